"""Players, coalitions and Shapley values: worked numbers, second implementations by loops over sets and orders, bad input."""

from dataclasses import replace
from fractions import Fraction as F
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_B, close
from tests.oracle.planted import cnn, image, several
from xaicore import Builder
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods import games
from xaicore.methods.games import Game, game
from xaicore.methods.shapley import every_coalition, walked
from xaicore.methods.task import make_task
from xaicore.ops import Dense, Embedding, Mean, ReLU
from xaicore.oracle.strategies import cnns, inputs_of, mlps, numbers
from xaicore.oracle.twins import games as twins
from xaicore.oracle.twins.games import worth


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


# ----- players ----------------------------------------------------------------------------------------------------


def labels(shape, mask, limit=64, last=False):
    b = Builder()
    x = b.input("x", (None, *shape))
    if last:
        b.meta["layout.x"] = "NHWC"
    graph = b.build(b.add(Mean(tuple(range(1, len(shape) + 1))), x))
    return game(make_task(graph, np.ones((1, *shape))), mask, limit=limit).labels["x"]


def test_who_the_players_are():
    assert labels((3,), None).tolist() == [0, 1, 2]
    assert labels((3,), [7, 2, 7]).tolist() == [1, 0, 1]
    assert labels((2, 2, 4), None, 4).tolist() == [[[0, 0, 1, 1], [2, 2, 3, 3]]] * 2
    assert labels((2, 2, 4), 2).tolist() == [[[0, 0, 1, 1], [2, 2, 3, 3]]] * 2
    assert labels((2, 1, 5), (1, 3))[0, 0].tolist() == [0, 0, 1, 2, 2]                  # symmetric
    assert labels((2, 2, 2), "positions")[1].tolist() == [[0, 1], [2, 3]]
    assert labels((2, 2, 2), "entries").reshape(-1).tolist() == list(range(8))
    assert labels((2, 2, 2), [[[5, 5], [3, 3]]])[1].tolist() == [[1, 1], [0, 0]]        # broadcasts over channels
    assert labels((2, 2, 3), "positions", last=True).tolist() == [[[0] * 3, [1] * 3], [[2] * 3, [3] * 3]]
    assert len(np.unique(labels((1, 8, 8), None))) == 64
    assert len(np.unique(labels((1, 224, 224), None))) == 64
    assert len(np.unique(labels((1, 9, 9, 9), None))) == 64


def test_players_over_several_inputs():
    """Numbers in a mapping are shared; an array is the numbers of each input by itself."""
    graph, feeds = several()
    task = make_task(graph, feeds, ("one", 0))
    assert set(task.wrt) == {"x", "z"}
    apart = game(task, "entries")
    assert apart.count == sum(feeds[k][0].size for k in task.wrt)
    assert not set(apart.labels["x"].reshape(-1)) & set(apart.labels["z"].reshape(-1))
    together = game(task, {k: np.zeros(feeds[k].shape[1:], dtype=int) for k in task.wrt})
    assert together.count == 1
    assert together.sizes().tolist() == [apart.count]
    a = xc.explain(graph, feeds, "shapley.exact", target=("one", 0), mask={k: np.zeros(feeds[k].shape[1:], dtype=int) for k in task.wrt})
    assert close(a.total(), a.output - a.baseline_output, 1e-12)


@given(data=st.data(), batch_size=st.sampled_from([1, 7, 4096]))
def test_values_of_coalitions(data, batch_size):
    """Against one input at a time; of a background, the mean; one that comes twice costs one evaluation."""
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph))
    sets = data.draw(inputs_of(graph, batch=(1, 3)))
    calls = []
    task = make_task(graph, x, 1, batch_size=batch_size, progress=lambda *c: calls.append(c))
    g = game(task, 2, background=sets)
    z = np.concatenate([every_coalition(4), every_coalition(4)[::-1]])
    v = g.values(z)
    assert calls[-1] == (16 * len(x) * len(sets),) * 2
    for n in range(len(x)):
        slow = [worth(lambda one: graph(one[None])[0, 1], x[n], b, g.labels["x"]) for b in sets]
        for k, row in enumerate(z):
            who = frozenset(np.flatnonzero(row).tolist())
            assert v[n, k] == pytest.approx(sum(w(who) for w in slow) / len(sets), abs=1e-12)   # rounding of some hundred operations


def test_a_background_of_its_own_for_each_sample():
    graph, x = cnn(), image(2)
    sets = numbers(np.random.default_rng(3), (3, 2, 2, 4, 4))
    both = xc.explain(graph, x, "shapley.exact", target=1, mask=2, background=sets)
    for n in range(2):
        one = xc.explain(graph, x[n:n + 1], "shapley.exact", target=1, mask=2, background=sets[:, n])
        assert close(np.asarray(both)[n:n + 1], np.asarray(one), 1e-12)


def test_spread():
    """A share for each entry adds up to the player's value; repeated, every entry has all of it."""
    share = xc.explain(cnn(), image(2), "shapley.exact", target=1, mask=2)
    repeat = xc.explain(cnn(), image(2), "shapley.exact", target=1, mask=2, spread="repeat")
    assert close(np.asarray(repeat), 8 * np.asarray(share), 1e-12)
    assert close(share.total(), share.extras["players"].sum(axis=1), 1e-12)
    assert (np.asarray(repeat)[:, 0, 0, 0] == repeat.extras["players"][:, 0]).all()


# ----- Shapley values ---------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(data=st.data())
def test_exact_values_against_sets_and_orders(data):
    """Rationals: the literal formula, and the mean over all orders, to the last digit."""
    graph = data.draw(mlps("any")).astype("exact")
    x, x0 = (exact(data.draw(inputs_of(graph, batch=(1, 1)))) for _ in range(2))
    m = x.shape[1]
    v = worth(lambda one: graph(one[None])[0, 1], x[0], x0[0], np.arange(m))
    a = xc.explain(graph, x, "shapley.exact", target=1, baseline=x0[0])
    assert list(np.asarray(a)[0]) == twins.shapley_by_formula(v, m) == twins.shapley_by_orders(v, m)
    assert a.gap()[0] == 0
    pairs = xc.explain(graph, x, "shapley.interaction", target=1, baseline=x0[0], variant="shap").extras["interactions"][0]
    assert [sum(row) for row in pairs] == list(np.asarray(a)[0])
    assert all(pairs[i, j] * 2 == twins.shapley_interaction(v, m, i, j) for i in range(m) for j in range(m) if i != j)


@settings(max_examples=8)
@given(data=st.data())
def test_sampled_orders_against_loops(data):
    graph = data.draw(mlps("any")).astype("exact")
    x = exact(data.draw(inputs_of(graph, batch=(2, 2))))
    m = x.shape[1]
    a = xc.explain(graph, x, "shapley.sampling", target=0, samples=3, seed=5)
    assert a.gap().tolist() == [0, 0]
    for n in range(2):
        v = worth(lambda one: graph(one[None])[0, 0], x[n], exact(np.zeros(m, dtype=int)), np.arange(m))
        rows = []
        for order in a.extras["orders"]:
            gain = [F(0)] * m
            for walk in (order, order[::-1]):
                for k, i in enumerate(walk):
                    gain[i] += (v(frozenset(walk[: k + 1].tolist())) - v(frozenset(walk[:k].tolist()))) / 2
            rows.append(gain)
        assert list(np.asarray(a)[n]) == [sum(column) / 3 for column in zip(*rows)]
        spread = np.array(rows, dtype=float).std(axis=0, ddof=1) / 3**0.5
        assert close(a.extras["standard_error"][n], spread, 1e-12)


def test_every_order_once_is_the_exact_value(monkeypatch):
    """The estimate is unbiased: over all 24 orders it is the Shapley value, with pairs and without."""
    rng = np.random.default_rng(2)
    w = numbers(rng, (5, 4)), numbers(rng, (1, 5))
    from tests.nets import mlp

    graph, x = mlp(w, [numbers(rng, (5,)), None]).astype("exact"), exact(numbers(rng, (1, 4)))

    class Fixed:
        def __init__(self, *_):
            self.left = list(permutations(range(4)))

        def permutation(self, n):
            return np.array(self.left.pop())

    monkeypatch.setattr(np.random, "default_rng", Fixed)
    truth = list(np.asarray(xc.explain(graph, x, "shapley.exact"))[0])
    for antithetic in (True, False):
        assert list(np.asarray(xc.explain(graph, x, "shapley.sampling", samples=24, antithetic=antithetic))[0]) == truth


def test_the_standard_error_is_honest():
    """200 estimates from other seeds: their deviation from the exact value is what a single one says, within 20 %."""
    graph, x = cnn(), image(1)
    truth = xc.explain(graph, x, "shapley.exact", target=1, mask=3).extras["players"][0]
    runs = [xc.explain(graph, x, "shapley.sampling", target=1, mask=3, samples=10, antithetic=False, seed=s).extras for s in range(200)]
    real = np.sqrt(np.mean([(r["players"][0] - truth) ** 2 for r in runs], axis=0))
    said = np.sqrt(np.mean([r["standard_error"][0] ** 2 for r in runs], axis=0))
    moved = real > 1e-9
    assert moved.sum() > 4
    assert np.abs(said[moved] / real[moved] - 1).max() < 0.2            # 200 runs estimate a deviation to 1/√400 = 5 %; 4 of these


def test_pairs_of_orders_are_exact_for_pairs_of_players():
    """Games in which two players interact at a time, not three: one pair of orders gives the Shapley values."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(6, 6)), rng.normal(size=6)
    f = xc.from_function(lambda x: ((x @ a) * x).sum(axis=1) + x @ b, (None, 6))
    x = rng.normal(size=(2, 6))
    one = xc.explain(f, x, "shapley.sampling", samples=1)
    assert close(np.asarray(one), np.asarray(xc.explain(f, x, "shapley.exact")), 1e-12)
    assert "standard_error" not in one.extras


def test_walked():
    assert walked(np.array([[2, 0, 1]])).astype(int).tolist() == [[[0, 0, 0], [0, 0, 1], [1, 0, 1], [1, 1, 1]]]


# ----- whole numbers, functions, layers -----------------------------------------------------------------------------


def test_token_ids():
    """Model-free methods explain inputs of whole numbers; a padding id is what stands for an absent token."""
    rng = np.random.default_rng(0)
    table = rng.normal(size=(6, 3))
    b = Builder()
    ids = b.input("ids", (None, 4), "int")
    h = b.add(Mean((1,)), b.add(Embedding(), b.param("table", table), ids))
    graph = b.build(b.add(Dense(), h, b.param("w", rng.normal(size=(2, 3)))))
    x = np.array([[1, 2, 3, 1], [5, 4, 3, 2]])
    each = (table @ graph.params["w"].T)[:, 1] / 4                      # what a token adds to logit 1
    for method, own in (("shapley.exact", {}), ("kernel_shap", {}), ("lime", {"samples": 40}), ("shapley.sampling", {}), ("shapley.owen", {}),
                        ("feature_ablation", {}), ("occlusion", {"fill": 5})):
        a = xc.explain(graph, x, method, target=1, **({} if method == "occlusion" else {"baseline": 5}), **own)
        assert close(np.asarray(a), each[x] - each[5], 1e-9), method
        assert np.asarray(a).dtype == np.float64
    with pytest.raises(InputError, match="whole numbers are expected"):
        xc.explain(graph, x, "shapley.exact", target=1, baseline=0.5)
    with pytest.raises(InputError, match="explain a layer instead"):
        xc.explain(graph, x, "gradient", target=1)


def test_any_function():
    f = xc.from_function(lambda x, t: np.stack([x[:, 0] * t[:, 0], x.sum(axis=1)], axis=1), {"x": (None, 2), "t": (None, 1)})
    a = xc.explain(f, {"x": [[3.0, 1.0]], "t": [[2.0]]}, "shapley.exact", target=0)
    assert a["x"].tolist() == [[3, 0]]
    assert a["t"].tolist() == [[3]]
    third = xc.from_function(lambda x: x[:, 0] / 3, (None, 1), dtype="exact")
    assert np.asarray(xc.explain(third, [[1]], "shapley.exact"))[0, 0] == F(1, 3)
    only = xc.explain(f, {"x": [[3.0, 1.0]], "t": [[2.0]]}, "kernel_shap", target=1, wrt="x")
    assert close(only["x"], [[3, 1]], 1e-12)


def test_functions_that_fail():
    shape = (None, 2)
    with pytest.raises(Inapplicable, match="black box without a derivative"):
        xc.explain(xc.from_function(lambda x: x[:, 0], shape), [[1.0, 2.0]], "gradient")
    with pytest.raises(InputError, match=r"failed on inputs of shape \(1, 2\): IndexError"):
        xc.from_function(lambda x: x[:, 7], shape)([[1.0, 2.0]])
    with pytest.raises(ShapeError, match=r"returned shape \(\) for a batch of 1"):
        xc.from_function(lambda x: x.sum(), shape)([[1.0, 2.0]])
    with pytest.raises(InputError, match="not a function: wrap it, graph = xaicore.from_function"):
        xc.explain(lambda x: x, [[1.0, 2.0]], "lime")
    with pytest.raises(InputError, match="takes a Python function, not int"):
        xc.from_function(3, shape)


def test_layers():
    """Players at a layer; a baseline or a background of inputs is taken there."""
    graph, x = cnn(), image(1)
    sets = image(3, seed=8)
    a = xc.explain(graph, x, "shapley.exact", target=1, layer="fc1", background=sets)
    assert a["fc1"].shape == (1, 4)
    assert close(a.total(), a.output - graph(sets)[:, 1].mean(), 1e-12)
    b = xc.explain(graph, x, "kernel_shap", target=1, layer="fc1", baseline=sets[0])
    assert close(b.total(), a.output - graph(sets[:1])[:, 1], 1e-12)


GIVEN_UP = [
    ("shapley.exact", {"mask": 2, "spread": "repeat"}), ("shapley.exact", {"mask": 2, "background": image(3, seed=9)}),
    ("kernel_shap", {"mask": 2, "endpoints": "none"}), ("kernel_shap", {"mask": 2, "endpoints": "weight"}),
    ("kernel_shap", {"mask": 2, "features": 2}), ("lime", {"mask": 2, "samples": 60, "features": 2}), ("lime", {"mask": 2, "samples": 60, "lasso": 0.1}),
    ("lime", {"mask": 2, "samples": 60, "ridge": 1}), ("lime", {"samples": 60, "representation": "quartiles", "background": image(30, seed=9), "ridge": 1}),
    ("shapley.interaction", {"mask": 2, "partner": 1}), ("occlusion", {"convention": "tf_explain"}), ("occlusion", {"convention": "zennit", "window": 2}),
    ("feature_ablation", {"mask": 2, "mode": "keep"}), ("rise", {"samples": 30, "normalize": "mask"}), ("gradient_shap", {"samples": 3, "sigma": 0.1}),
    ("deep_shap", {"background": image(3, seed=9)}), ("ace", {"order": "mc", "background": image(3, seed=9), "steps": 2}),
    ("shapley.owen", {"mask": 2, "hierarchy": ((0, 1), (2, 3))}), ("shapley.sampling", {"mask": 2, "samples": 1, "antithetic": False}),
]


@pytest.mark.parametrize(("method", "own"), GIVEN_UP)
def test_other_settings_break_no_promise(method, own):
    """What a setting gives up does not apply, and says so; the rest holds."""
    report = xc.check(cnn(), image(2), method, target=1, settings={method: own})
    assert not report.broken, str(report)
    assert report.exit_code == 0


# ----- bad input ----------------------------------------------------------------------------------------------------


BAD = [
    ({"mask": "entries"}, Inapplicable, r"32 players have 2\^32 = 4,294,967,296 coalitions, each one evaluation for every sample; "
     r"shapley.exact takes up to 16 players \(65,536 coalitions\)"),
    ({"mask": np.zeros((3, 4), int)}, ShapeError, r"the mask of input 'image' has shape \(3, 4\); \(2, 4, 4\)"),
    ({"mask": np.zeros((4, 4))}, InputError, "the mask of input 'image' has dtype float64; it holds whole numbers"),
    ({"mask": "entry"}, UnknownName, "did you mean 'entries'"),
    ({"mask": 0}, InputError, "mask=0 cuts an axis into fewer than 1 part"),
    ({"mask": {"img": 2}}, UnknownName, "the mask names 'img', which is no explained input: did you mean 'image'"),
    ({"mask": {}}, InputError, "the mask has nothing for input 'image'"),
    ({"mask": 2, "background": np.zeros((3, 2, 4))}, ShapeError, r"the background of input 'image' has shape \(3, 2, 4\); \(B, 2, 4, 4\)"),
    ({"mask": 2, "background": np.zeros((0, 2, 4, 4))}, ShapeError, r"shape \(0, 2, 4, 4\)"),
    ({"mask": 2, "background": np.full((1, 2, 4, 4), np.nan)}, InputError, "the background: input 'image' holds nan"),
    ({"mask": 2, "background": np.zeros((1, 2, 4, 4)), "baseline": 1}, InputError, "baseline and background were both given"),
    ({"mask": 2, "background": {"img": 0}}, UnknownName, "the background names 'img'"),
    ({"mask": 2, "baseline": np.zeros(3)}, ShapeError, r"the baseline of input 'image' has shape \(3,\)"),
    ({"mask": 2, "spread": "half"}, UnknownName, "spread='half' does not exist"),
]


@pytest.mark.parametrize(("own", "error", "message"), BAD)
def test_bad_input(own, error, message):
    with pytest.raises(error, match=message):
        xc.explain(cnn(), image(2), "shapley.exact", target=1, **own)


@pytest.mark.parametrize(("method", "message"), [
    ("shapley.sampling", "7,526,450 coalitions of 150,528 players, a table of 1,055 GiB"), ("kernel_shap", "303,104 coalitions of 150,528 players"),
    ("shapley.exact", r"150528 players have 2\^150528"), ("shapley.owen", "hierarchy of 150528 players"), ("lime", "samples do not determine"),
])
def test_too_many_players_are_refused_at_once(method, message):
    """A photograph with every number a player: the message comes before the memory goes."""
    b = Builder()
    graph = b.build(b.add(Mean((1, 2, 3)), b.input("x", (None, 3, 224, 224))))
    x = np.ones((1, 3, 224, 224))
    with pytest.raises((Inapplicable, InputError), match=message):
        xc.explain(graph, x, method, mask="entries", **({"hierarchy": "flat"} if method == "shapley.owen" else {"samples": 10} if method == "lime" else {}))


def test_bad_input_of_single_methods():
    with pytest.raises(InputError, match="samples=0 must be a whole number of at least 1"):
        xc.explain(NET_B, [[2, 1]], "shapley.sampling", samples=0)
    with pytest.raises(InputError, match="partner=2 is no player; there are 2"):
        xc.explain(NET_B, [[2, 1]], "shapley.interaction", partner=2)
    with pytest.raises(Inapplicable, match=r"32 players have 2\^32"):
        xc.explain(cnn(), image(1), "shapley.interaction", mask="entries")
    graph, feeds = several()
    with pytest.raises(InputError, match="the background has nothing for input 'x'; give a mapping"):
        xc.explain(graph, feeds, "kernel_shap", target=("one", 0), background=np.zeros((2, 3)))


# ----- the front of a network -------------------------------------------------------------------------------------


def fronted(data, dtype="float64"):
    """A task on a network that begins with a dense layer or a convolution, and a game of four players on it."""
    graph = data.draw(st.one_of(mlps(hidden=(2, 3), features=(4, 6)), cnns(activations=(ReLU(),)))).astype(dtype)
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    x, sets = (numbers(rng, (n, *graph.inputs["x"].shape[1:])) for n in (2, data.draw(st.integers(1, 3))))
    x, sets = (exact(v) if dtype == "exact" else v for v in (x, sets))
    task = make_task(graph, x, 1, batch_size=data.draw(st.sampled_from([1, 5, 64])))
    return game(task, np.arange(x[0].size).reshape(x[0].shape) % 4, background=sets)


@settings(max_examples=20)
@given(data=st.data())
def test_the_front_is_a_product(data):
    """v with the part before the first bend as one product over players, and with every input made and evaluated whole."""
    g = fronted(data)
    z = every_coalition(4)[np.random.default_rng(0).permutation(32) % 16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(games, "PRODUCT", 10**6)                          # take it even here
        front = g._front(len(z))
        steps = []
        g = replace(g, task=replace(g.task, progress=lambda done, count: steps.append((done, count))))
        fast = g.scores(len(z), lambda k: z[k])
        patch.setattr(Game, "_front", lambda self, count: None)
        plain = g.scores(len(z), lambda k: z[k])
    assert front is not None
    assert {count for _, count in steps} == {2 * 32 * g.backgrounds}
    assert close(fast, plain, 1e-12)


@settings(max_examples=5)
@given(data=st.data())
def test_the_front_in_rationals(data):
    g = fronted(data, "exact")
    z = every_coalition(4)[np.arange(32) % 16]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(games, "PRODUCT", 10**6)
        assert g._front(len(z)) is not None
        fast = g.scores(len(z), lambda k: z[k])
        patch.setattr(Game, "_front", lambda self, count: None)
        assert (fast == g.scores(len(z), lambda k: z[k])).all()


def test_no_front():
    """Few coalitions are evaluated whole."""
    graph, feeds = several()
    assert game(make_task(graph, feeds, ("one", 0)))._front(3) is None
