"""The web of equalities between methods that take parts away (catalogue W41 to W50, N14, N15, N18), with exact preconditions.

Exact arithmetic where the graph is piecewise linear: then there is no tolerance.
"""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.identities.networks import drawn, exact, values
from tests.nets import NET_A, NET_B, X_A, X_B, close, mlp
from xaicore import Builder
from xaicore.data import digits_images, digits_model
from xaicore.ops import Add, Concat, Dense, Mul, ReLU, Slice
from xaicore.oracle.strategies import inputs_of, mlps, numbers
from xaicore.oracle.twins import games as twins
from xaicore.oracle.twins.games import worth


def linear(rng, features=4, dtype="float64"):
    b = Builder(dtype=dtype)
    w, c = numbers(rng, (2, features)), numbers(rng, (2,))
    w, c = (exact(w), exact(c)) if dtype == "exact" else (w, c)
    return b.build(b.add(Dense(), b.input("x", (None, features)), b.param("w", w), b.param("c", c))), w


# ----- Shapley values ---------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(data=st.data())
def test_w41_efficiency_dummy_and_linearity(data):
    """W41: Exact enumeration, rationals."""
    graph, x = drawn(data, mlps("any"), (2, 2))
    x0 = exact(data.draw(inputs_of(graph, batch=(1, 1))))[0]
    a = xc.explain(graph, x, "shapley.exact", target=0, baseline=x0)
    assert a.gap().tolist() == [0, 0]
    both = exact(np.array([2, -3, 0]))
    mixed = values(graph, x, "shapley.exact", target=both, baseline=x0)
    assert (mixed == 2 * values(graph, x, "shapley.exact", target=0, baseline=x0)
            - 3 * values(graph, x, "shapley.exact", target=1, baseline=x0)).all()
    same = x.copy()
    same[:, 0] = x0[0]                                                  # a player who changes nothing
    assert (values(graph, same, "shapley.exact", baseline=x0)[:, 0] == 0).all()


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_w41_symmetry_and_monotonicity(seed):
    """W41: Two inputs that are added before anything else, with equal values; and a function whose every marginal gain is larger."""
    rng = np.random.default_rng(seed)
    b = Builder(dtype="exact")
    x = b.input("x", (None, 3))
    first, second, third = (b.add(Slice(1, k, k + 1), x) for k in range(3))
    h = b.add(Concat(1), b.add(Add(), first, second), third)
    h = b.add(ReLU(), b.add(Dense(), h, b.param("w", exact(numbers(rng, (4, 2)))), b.param("c", exact(numbers(rng, (4,))))))
    y = b.add(Dense(), h, b.param("v", exact(numbers(rng, (1, 4)))), name="y")
    more = b.add(Add(), y, b.add(ReLU(), first), name="more")           # what relu(x1) adds, x1 gains in every coalition
    graph = b.build(y, more)
    point = exact(numbers(rng, (1, 3)))
    point[:, 1] = point[:, 0]
    phi = values(graph, point, "shapley.exact", target=("y",))[0]
    assert phi[0] == phi[1]
    gained = values(graph, point, "shapley.exact", target=("more",))[0]
    assert gained[0] - phi[0] == max(point[0, 0], F(0)) >= 0
    assert list(gained[1:]) == list(phi[1:])


@settings(max_examples=8)
@given(data=st.data())
def test_w42_kernel_shap_of_all_coalitions_is_shapley(data):
    """W42: To the last digit, whatever the network; and the multiplier form of the theorem."""
    graph, x = drawn(data, mlps("any"), (2, 2))
    own = {"baseline": exact(data.draw(inputs_of(graph, batch=(1, 1))))[0], "target": 1}
    a = xc.explain(graph, x, "kernel_shap", **own)
    assert a.extras["exhaustive"]
    assert (np.asarray(a) == values(graph, x, "shapley.exact", **own)).all()
    m = x.shape[1]
    if m > 1:
        v = worth(lambda one: graph(one[None])[0, 1], x[0], own["baseline"], np.arange(m))
        assert close(np.asarray(a)[0], twins.kernel_shap_literal(v, m), 1e-9)           # a system of up to six equations


@settings(max_examples=8)
@given(data=st.data())
def test_w43_lime_full_factorial_uniform_is_banzhaf(data):
    """W43: Unregularised least squares on all coalitions with equal weights; for two players that is Shapley, too."""
    graph, x = drawn(data, mlps("any"))
    m = x.shape[1]
    a = xc.explain(graph, x, "lime", target=0, draw="all", kernel="uniform")
    v = worth(lambda one: graph(one[None])[0, 0], x[0], exact(np.zeros(m, dtype=int)), np.arange(m))
    assert list(np.asarray(a)[0]) == twins.banzhaf(v, m)
    two = values(graph, x, "lime", draw="all", kernel="uniform", mask=[0] + [1] * (m - 1))
    assert (two == values(graph, x, "shapley.exact", mask=[0] + [1] * (m - 1), spread="repeat")).all()


def superpixels(rng):
    """Ten regions of the 8 x 8 digit: each pixel belongs to the nearest of ten random points."""
    while True:
        points = rng.uniform(0, 7, (10, 2))
        y, x = np.mgrid[:8, :8]
        found = ((y[..., None] - points[:, 0]) ** 2 + (x[..., None] - points[:, 1]) ** 2).argmin(axis=-1)
        if len(np.unique(found)) == 10:
            return found


@pytest.mark.parametrize("seed", range(3))
def test_w44_four_ways_to_the_shapley_value_of_ten_superpixels(seed):
    """W44: Exact, KernelSHAP of all coalitions, Owen on the flat hierarchy, the integral of the multilinear extension: to 1e-10."""
    rng = np.random.default_rng(seed)
    images, names = digits_images()
    n = int(rng.integers(len(images)))
    x, graph, mask = images[n:n + 1].astype(float), digits_model(), superpixels(rng)[None]
    own = {"target": int(names[n]), "mask": mask, "baseline": float(rng.uniform(0, 1))}
    phi = {m: xc.explain(graph, x, m, **own, **more).extras["players"][0] for m, more in (
        ("shapley.exact", {}), ("kernel_shap", {}), ("shapley.owen", {"hierarchy": "flat"}))}
    every = ((np.arange(1024)[:, None] >> np.arange(10)) & 1).astype(bool)
    inputs = np.where(every[:, mask], x, own["baseline"])
    f = graph.astype("float64")
    logits = xc.explain(f, inputs, "gradient", target=own["target"]).output             # f of every coalition, another way
    v = {frozenset(np.flatnonzero(row).tolist()): logits[k] for k, row in enumerate(every)}
    phi["integral"] = np.array(twins.shapley_by_integral(v.__getitem__, 10))
    for one in phi.values():
        assert np.abs(one - phi["shapley.exact"]).max() < 1e-10
    assert np.abs(phi["shapley.exact"]).max() > 0.1


@settings(max_examples=6)
@given(data=st.data())
def test_w45_reveal_cancel_is_shapley_for_one_relu_of_two_opposite_inputs(data):
    """W45: One unit, two contributions of opposite sign; with equal signs, or more units (NET B), it is not."""
    a, b, c = (F(data.draw(st.integers(1, 40)), 8) for _ in range(3))
    graph = mlp([[[1, -1]], [[1]]], [[c - 3], None], "exact")
    x = exact(np.array([[a, b]], dtype=object))
    assert (values(graph, x, "deeplift.reveal_cancel") == values(graph, x, "shapley.exact")).all()


def test_w45_not_in_general():
    """W45."""
    assert list(values(NET_B.astype("exact"), X_B.astype(int), "deeplift.reveal_cancel")[0]) == [F(13, 3), F(-1, 3)]
    assert list(values(NET_B.astype("exact"), X_B.astype(int), "shapley.exact")[0]) == [F(9, 2), F(-1, 2)]


@settings(max_examples=10)
@given(seed=st.integers(0, 2**32 - 1))
def test_w46_reveal_cancel_is_rescale_when_every_unit_sees_one_sign(seed):
    """W46: Positive weights and positive differences: no unit has contributions that cancel."""
    rng = np.random.default_rng(seed)
    w = [abs(exact(numbers(rng, s))) for s in ((4, 3), (3, 4), (1, 3))]
    graph = mlp(w, [exact(numbers(rng, (4,))), exact(numbers(rng, (3,))), None], "exact")
    x = abs(exact(numbers(rng, (2, 3))))
    assert (values(graph, x, "deeplift.reveal_cancel") == values(graph, x, "deeplift.rescale")).all()


# ----- special functions --------------------------------------------------------------------------------------------


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_w47_linear_functions(seed):
    """W47: IG = DeepLIFT = Shapley = KernelSHAP = LIME = occlusion = ablation = w (x - x0), of the same baseline."""
    rng = np.random.default_rng(seed)
    graph, w = linear(rng, dtype="exact")
    x, x0 = exact(numbers(rng, (2, 4))), exact(numbers(rng, (4,)))
    expected = w[1] * (x - x0)
    for method, own in (("integrated_gradients.exact", {}), ("deeplift.rescale", {}), ("shapley.exact", {}), ("kernel_shap", {}),
                        ("kernel_shap", {"samples": 9, "draw": "drawn"}), ("shapley.sampling", {"samples": 1, "antithetic": False}),
                        ("lime", {"kernel": "uniform", "samples": 40}), ("occlusion", {"fill": x0, "baseline": None})):
        own = {k: v for k, v in {"baseline": x0, **own}.items() if v is not None}
        assert (values(graph, x, method, target=1, **own) == expected).all(), method
    lime = values(graph.astype("float64"), x.astype(float), "lime", target=1, baseline=x0.astype(float), samples=100)
    assert close(lime, expected.astype(float), 1e-9)


@settings(max_examples=8)
@given(seed=st.integers(0, 2**32 - 1))
def test_w48_occlusion_of_one_feature_is_shapley_for_additive_functions(seed):
    """W48: f = Σ_i g_i(x_i), each g_i a sum of hinges."""
    rng = np.random.default_rng(seed)
    b = Builder(dtype="exact")
    x = b.input("x", (None, 3))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w", exact(np.kron(np.eye(3), numbers(rng, (4, 1))))), b.param("c", exact(numbers(rng, (12,))))))
    graph = b.build(b.add(Dense(), h, b.param("v", exact(numbers(rng, (1, 12))))))
    point = exact(numbers(rng, (2, 3)))
    assert (values(graph, point, "occlusion") == values(graph, point, "shapley.exact")).all()
    product = Builder(dtype="exact")
    y = product.input("x", (None, 2))
    one = product.build(product.add(Mul(), *(product.add(Slice(1, k, k + 1), y) for k in range(2))))
    assert list(values(one, [[3, 2]], "occlusion")[0]) == [6, 6]        # not additive
    assert list(values(one, [[3, 2]], "shapley.exact")[0]) == [3, 3]


@settings(max_examples=5)
@given(data=st.data())
def test_w57_shapley_does_not_see_the_order_of_hidden_units(data):
    """W57."""
    graph, x = drawn(data, mlps("any", hidden=(1, 1)))
    w, c, v = (graph.params[k] for k in ("w0", "b0", "w_out"))
    order = list(range(len(w)))[::-1]
    other = mlp([2 * w[order], v[:, order] / 2], [2 * c[order], graph.params["b_out"]], "exact")
    assert (values(graph, x, "shapley.exact") == values(other, x, "shapley.exact")).all()


# ----- what these methods are not -----------------------------------------------------------------------------------


def test_n14_there_are_many_shapley_values():
    """N14: The same game rules, another baseline: NET B at (2, 1) from (0, 0) and from (1, 1), and from the mean over both."""
    graph = NET_B.astype("exact")
    first = values(graph, [[2, 1]], "shapley.exact")[0]
    second = values(graph, [[2, 1]], "shapley.exact", baseline=1)[0]
    both = values(graph, [[2, 1]], "shapley.exact", background=exact(np.array([[0, 0], [1, 1]])))[0]
    assert list(first) == [F(9, 2), F(-1, 2)]
    assert list(second) == [3, 0]
    assert list(both) == [F(15, 4), F(-1, 4)]


def test_n15_lime_depends_on_its_seed_and_its_width():
    """N15: On the digits network: from seed to seed an explanation moves by a good part of its size, and so it does from width to width."""
    images, names = digits_images()
    graph, x = digits_model(), images[3:4].astype(float)
    own = {"target": int(names[3]), "mask": 4, "samples": 60}
    runs = np.array([values(graph, x, "lime", seed=s, **own).reshape(-1) for s in range(10)])
    spread = runs.std(axis=0).max() / abs(runs.mean(axis=0)).max()
    assert 0.05 < spread < 2
    many = np.array([values(graph, x, "lime", seed=s, **{**own, "samples": 6000}).reshape(-1) for s in range(4)])
    assert many.std(axis=0).max() / abs(many.mean(axis=0)).max() < spread / 3          # √100 = 10 times less, for 4 and 10 runs: 3
    near, far = (values(graph, x, "lime", **{**own, "samples": 6000, "width": w}) for w in (0.1, 3.0))
    assert abs(near - far).max() > 0.1 * abs(far).max()
    assert (values(graph, x, "lime", seed=1, **own) == values(graph, x, "lime", seed=1, **own)).all()


def test_e66_and_e67_kernels():
    """E66, E67: LIME's kernel at d = 0.5: width .25 (library), 1 (captum), 45 (xplique); Shapley's for four players."""
    from xaicore.methods.lime import KERNELS
    from xaicore.methods.surrogate import kernel

    half = np.array([0.5])
    assert round(float(KERNELS["library"](half, 0.25)[0]), 4) == 0.1353
    assert round(float(KERNELS["library"](half, 1.0)[0]), 4) == 0.8825
    assert round(float(KERNELS["paper"](half, 45.0)[0]), 5) == 0.99988
    assert KERNELS["library"](half, 0.25)[0] == pytest.approx(np.sqrt(np.exp(-half[0]**2 / 0.25**2)), rel=1e-15)
    assert [kernel(4, k) for k in (1, 2, 3)] == [F(1, 4), F(1, 8), F(1, 4)]


def test_worked_numbers_of_both_networks():
    """E19 to E21 and E29: (7/2, -5/2) on NET A, (9/2, -1/2) on NET B."""
    for graph, x, expected in ((NET_A, X_A, [3.5, -2.5]), (NET_B, X_B, [4.5, -0.5])):
        for method, own in (("shapley.exact", {}), ("kernel_shap", {}), ("lime", {"draw": "all", "kernel": "uniform"})):
            assert close(values(graph, x, method, **own)[0], expected, 1e-12)


