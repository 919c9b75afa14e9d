"""Nothing that was handed over is modified, the same call gives the same bits, and what comes back belongs to the caller."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.frozen import freeze
from tests.methods.games import GAMES, INPUTS, PATTERNS, convolved, maxima, rectified, sigmoids
from tests.oracle.planted import cnn, exact, image, normed, several, tiny, tiny_image
from xaicore import Builder, Graph
from xaicore.graph.blocks import multi_head_attention
from xaicore.methods.attribution import Attribution
from xaicore.ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Dropout,
    GlobalAvgPool,
    Identity,
    LayerNorm,
    Maximum,
    Mean,
    Mul,
    ReLU,
    Reshape,
    Slice,
    Softmax,
    Tanh,
)
from xaicore.oracle.strategies import numbers


def block() -> Graph:
    """Self-attention, a normalisation, a gate, a maximum, a softmax head, on (N, 3, 4)."""
    rng = np.random.default_rng(0)
    b = Builder("block")
    x = b.input("tokens", (None, 3, 4))
    weights = [b.param(f"w{k}", numbers(rng, (4, 4))) for k in range(4)]
    y = b.add(Add(), x, multi_head_attention(b, x, weights, [None] * 4, heads=2, width=4))
    y = b.add(LayerNorm(1), y, b.param("g", numbers(rng, (4,))), b.param("beta", numbers(rng, (4,))), name="norm")
    y = b.add(Maximum(), b.add(Mul(), y, b.add(Tanh(), y)), b.add(Mul(), y, b.constant(0.5)))
    y = b.add(Dense(), b.add(Mean((1,)), y), b.param("head", numbers(rng, (3, 4))), name="logits")
    return b.build(b.add(Softmax(), y, name="probabilities"))


def normalised() -> Graph:
    """Convolution, BatchNorm (folded by some rule sets), dropout, a slice and a concatenation, global pooling."""
    rng = np.random.default_rng(1)
    b = Builder("normalised")
    h = b.add(Conv(), b.input("image", (None, 2, 4, 4)), b.param("k", numbers(rng, (3, 2, 3, 3))), name="conv")
    h = b.add(BatchNorm(), h, *(b.param(n, abs(numbers(rng, (3,)))) for n in ("gamma", "beta", "mean", "var")), name="bn")
    h = b.add(Dropout(), b.add(ReLU(), h))
    h = b.add(Concat(1), h, b.add(Slice(1, 0, 1), h))
    h = b.add(Reshape((4,)), b.add(GlobalAvgPool(), h))
    return b.build(b.add(Dense(), h, b.param("v", numbers(rng, (3, 4))), name="logits"))


def direct() -> Graph:
    """Operators that copy or return what they get: the places where one array could be two results."""
    b = Builder("direct")
    x = b.input("x", (None, 4))
    return b.build(b.add(Identity(), b.add(Reshape((4,)), b.add(Reshape((2, 2)), b.add(Dropout(), x))), name="same"))


def networks() -> dict[str, tuple[Graph, dict[str, np.ndarray], Any]]:
    rng = np.random.default_rng(4)
    return {
        "cnn": (cnn(head=True), {"image": image(2)}, [1, 2]),
        "block": (block(), {"tokens": numbers(rng, (2, 3, 4))}, 1),
        "normed": (normed(), {"x": numbers(rng, (2, 3, 4))}, 0),
        "normalised": (normalised(), {"image": image(2)}, 0),
        "several": (*several(), ("one", 2)),
        "direct": (direct(), {"x": numbers(rng, (2, 4))}, 3),
        "maxima": (maxima(rng), {"x": numbers(rng, (2, 2, 3, 3))}, 1),
        "rectified": (rectified(rng), {"x": numbers(rng, (2, 2, 3, 3))}, 1),
        "concepts": (sigmoids(rng), {"x": INPUTS["len.psi"](rng, 2)}, 1),
        "graphs": (convolved(rng), INPUTS["xgnn"](rng, 2), 1),
        "exact": (tiny(), {"x": tiny_image(2)}, 1),
        "float32": (cnn().astype("float32"), {"image": image(2).astype("float32")}, 0),
    }


NETWORKS = networks()
SETTINGS = {"lrp.z_box": {"low": -2, "high": 2}, "lrp.epsilon_gamma_box": {"low": -2, "high": 2}, "guided_ig": {"steps": 3},
            "interior_gradients": {"steps": 5}, **GAMES, **PATTERNS}


def run(method: str, graph: Graph, feeds: Any, target: Any) -> Attribution | str:
    """The attribution, or the message of the typed error with which the method refuses the network."""
    try:
        return xc.explain(graph, feeds, method, target, **SETTINGS.get(method, {}))
    except xc.XaicoreError as error:
        return str(error)


def bits(a: Attribution | str) -> Any:
    """Everything that a result holds, to compare bit for bit."""
    if isinstance(a, str):
        return a
    ledger = [] if a.ledger is None else [(e.node.name, e.arrived.tolist(), e.passed.tolist()) for e in a.ledger]
    return ({k: v.tolist() for k, v in a.values.items()}, a.output.tolist(), None if a.baseline_output is None else a.baseline_output.tolist(),
            {k: v.tolist() for k, v in a.layers.items()}, ledger)


def copied(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return {k: v.copy() for k, v in feeds.items()}


every = pytest.mark.parametrize("method", sorted(xc.METHODS))


def test_every_method_runs_somewhere():
    ran = {m for m in xc.METHODS for graph, feeds, target in NETWORKS.values() if not isinstance(run(m, graph, feeds, target), str)}
    assert ran == set(xc.METHODS)


@every
@pytest.mark.parametrize("network", NETWORKS)
def test_inputs_and_parameters_stay_and_runs_repeat(method, network):
    """On writeable inputs: they are the same before and after, and a second run gives the same bits."""
    graph, feeds, target = NETWORKS[network]
    given, params = copied(feeds), {k: v.tolist() for k, v in graph.params.items()}
    once = bits(run(method, graph, given, target))
    assert all(given[k].tolist() == v.tolist() for k, v in feeds.items())
    assert {k: v.tolist() for k, v in graph.params.items()} == params
    assert bits(run(method, graph, given, target)) == once


@every
def test_nothing_writes_into_what_it_is_handed(method, monkeypatch):
    """With every input, every value and every signal read-only; the same bits as without."""
    free = {name: bits(run(method, *NETWORKS[name])) for name in NETWORKS}
    freeze(monkeypatch)
    for name, (graph, feeds, target) in NETWORKS.items():
        given = copied(feeds)
        for v in given.values():
            v.flags.writeable = False
        assert bits(run(method, graph, given, target)) == free[name], name


def test_interleaved_runs_are_bit_identical():
    """Methods and networks in two orders, and once more backwards: nothing is remembered between calls."""
    calls = [(m, n) for m in ("gradient", "lrp.epsilon", "deeplift.reveal_cancel", "integrated_gradients", "smoothgrad", "occlusion", "grad_cam")
             for n in ("cnn", "block", "several")]
    first = {c: bits(run(c[0], *NETWORKS[c[1]])) for c in calls}
    for order in (calls[::-1], sorted(calls, key=lambda c: (c[1], c[0]))):
        for c in order:
            assert bits(run(c[0], *NETWORKS[c[1]])) == first[c]


def test_global_random_state_is_left_alone():
    np.random.seed(0)  # noqa: NPY002  the state that must stay is the global one
    before = np.random.get_state()[1].tolist()  # noqa: NPY002
    for method in ("smoothgrad", "vargrad", "gradient"):
        run(method, *NETWORKS["cnn"])
    xc.check(cnn(), image(1), ["gradient", "smoothgrad"], target=0)
    assert np.random.get_state()[1].tolist() == before  # noqa: NPY002


def test_parameters_cannot_be_written():
    w = np.array([[1.0, 2.0]])
    b = Builder()
    graph = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", w), name="y"))
    w[0, 0] = 100                                                       # the caller's own array is no part of the graph
    assert graph([[1.0, 1.0]])[0, 0] == 3
    with pytest.raises(ValueError, match="read-only"):
        graph.params["w"][0, 0] = 5
    with pytest.raises(TypeError):
        graph.params["w"] = w
    with pytest.raises(AttributeError):
        graph.nodes = ()
    with pytest.raises(AttributeError):
        graph.nodes[0].name = "z"
    for other in (graph.astype("float32"), graph.astype("exact")):
        assert not other.params["w"].flags.writeable


def own(x: np.ndarray) -> np.ndarray:
    """Writes something else into every entry."""
    x[...] = 99
    return x


@every
@pytest.mark.parametrize("network", ["cnn", "direct", "exact", "several"])
def test_results_belong_to_the_caller(method, network):
    """Writing into everything that came back changes no second call, no input, no parameter."""
    graph, feeds, target = NETWORKS[network]
    given = copied(feeds)
    before = bits(run(method, graph, given, target))
    a = run(method, graph, given, target)
    if isinstance(a, str):
        return
    for v in (*a.values.values(), *a.layers.values(), a.output, *([] if a.baseline is None else a.baseline.values())):
        if v.flags.writeable:
            own(v)
    assert all(given[k].tolist() == v.tolist() for k, v in feeds.items())
    assert bits(run(method, graph, given, target)) == before


@pytest.mark.parametrize("network", NETWORKS)
def test_outputs_belong_to_the_caller(network):
    graph, feeds, _ = NETWORKS[network]
    given = copied(feeds)
    y = graph(given)
    before = [v.tolist() for v in (y if isinstance(y, tuple) else (y,))]
    for v in y if isinstance(y, tuple) else (y,):
        if v.flags.writeable:
            own(v)
    assert all(given[k].tolist() == v.tolist() for k, v in feeds.items())
    again = graph(given)
    assert [v.tolist() for v in (again if isinstance(again, tuple) else (again,))] == before


def test_values_of_one_result_are_not_each_other():
    """A reshape or an identity on the way must not make the input's attribution a view of a layer's."""
    graph, feeds, target = NETWORKS["direct"]
    for method in ("gradient", "lrp.zero", "deeplift.rescale", "guided_backprop"):
        a = xc.explain(graph, feeds, method, target=target)
        kept = {k: v.tolist() for k, v in a.layers.items()}
        own(a["x"])
        assert {k: v.tolist() for k, v in a.layers.items()} == kept, method


def test_settings_are_not_modified_or_kept():
    """Baselines, target weights and noise are arrays of the caller, too."""
    graph, x = cnn(), image(2)
    x0, weights, noise = image(2, seed=5), np.array([0.5, -1.0, 2.0]), np.random.default_rng(0).normal(size=(3, 2, 2, 4, 4))
    for method, settings in (("deeplift.rescale", {"baseline": x0}), ("integrated_gradients", {"baseline": {"image": x0}}),
                             ("simple_taylor", {"root": x0}), ("occlusion", {"fill": x0}), ("smoothgrad", {"noise": noise}),
                             ("lrp.z_box", {"low": x0[0] - 2, "high": x0[0] + 2})):
        copies = {k: (v.copy() if isinstance(v, np.ndarray) else {"image": x0.copy()}) for k, v in settings.items()}
        a = xc.explain(graph, x, method, target=weights, **settings)
        first = bits(a)
        assert weights.tolist() == [0.5, -1.0, 2.0]
        for k, v in settings.items():
            was, now = (copies[k], v) if isinstance(v, np.ndarray) else (copies[k]["image"], v["image"])
            assert was.tolist() == now.tolist()
        for v in a.values.values():
            own(v)
        if a.baseline is not None:
            for v in a.baseline.values():
                own(v)
        assert bits(xc.explain(graph, x, method, target=weights, **settings)) == first
        x0 = image(2, seed=5)


def test_exact_inputs_are_copied():
    """An array of Fractions needs no conversion, and is nevertheless not the array that the graph works on."""
    graph, x = direct().astype("exact"), exact(numbers(np.random.default_rng(0), (1, 4)))
    b = Builder(dtype="exact")
    nothing = b.build(b.input("x", (None, 4)))
    before = x.tolist()
    for one in (graph, nothing):
        own(one(x))
        assert x.tolist() == before
    own(xc.explain(nothing, x, "gradient_x_input", target=0)["x"])
    assert x.tolist() == before


def test_a_rule_set_is_not_changed_by_before():
    from xaicore.rules import RULE_SETS, flat, op

    rules = RULE_SETS["lrp.zero"]()
    rows = rules.rules
    more = rules.before((op(Dense), flat()))
    assert rules.rules is rows
    assert len(more.rules) == len(rows) + 1
    with pytest.raises(AttributeError):
        rules.rules = ()
