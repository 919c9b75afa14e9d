"""Integrated gradients by quadrature and exactly: worked numbers, a second implementation by pieces, and identities."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.networks import cnn
from tests.nets import NET_A, NET_B, X_A, X_B, close, mlp
from xaicore import Builder
from xaicore.errors import ExactnessError, Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods import paths
from xaicore.methods.paths import QUADRATURES
from xaicore.methods.task import make_task
from xaicore.ops import Add, Dense, Flatten, MaxPool, Pow, ReLU, Reshape, Sigmoid, Tanh
from xaicore.oracle.strategies import graphs, inputs_of, mlps, numbers
from xaicore.oracle.twins.numeric import dense_integrated_gradients
from xaicore.oracle.twins.pieces import Pieces

EXACT = "integrated_gradients.exact"


def power(k, dtype="float64"):
    """f = x^k of one feature."""
    b = Builder(dtype=dtype)
    return b.build(b.add(Pow(k), b.input("x", (None, 1))))


def fractions(x):
    return np.vectorize(Fraction, otypes=[object])(x)


# ----- quadratures ------------------------------------------------------------------------------------------------

CUBE = [("gauss_legendre", 50, 1.0), ("trapezoid_captum", 50, 0.980204), ("inclusive_mean", 25, 1.020833), ("left", 64, 0.976685),
        ("right", 20, 1.07625), ("right", 100, 1.01505), ("inclusive_mean", 50, 1.010204), ("midpoint", 50, 0.9999),
        ("trapezoid_xplique", 50, 1.000208), ("trapezoid", 50, 1.0002)]
SQUARE = [("trapezoid_captum", 50, 0.98), ("right", 20, 1.05), ("left", 64, 0.984375), ("right", 100, 1.01), ("inclusive_mean", 25, 1.0)]


@pytest.mark.parametrize(("k", "quadrature", "steps", "expected"), [*((3, *c) for c in CUBE), *((2, *c) for c in SQUARE)])
def test_numbers_of_the_libraries(k, quadrature, steps, expected):
    a = xc.explain(power(k), [[1.0]], "integrated_gradients", quadrature=quadrature, steps=steps)
    assert abs(np.asarray(a)[0, 0] - expected) < 5.1e-7                 # six digits are given


def test_without_the_factor():
    """tf-explain: ten nodes with both ends, the gradient's mean without (x - x0)."""
    a = xc.explain(power(3), [[2.0]], "integrated_gradients", quadrature="inclusive_mean", steps=10, multiply=False)
    assert abs(np.asarray(a)[0, 0] - 4 * 1.055556) < 5e-6
    b = xc.explain(power(3), [[2.0]], "integrated_gradients", quadrature="inclusive_mean", steps=10)
    assert np.asarray(b)[0, 0] == 2 * np.asarray(a)[0, 0]


@pytest.mark.parametrize("quadrature", QUADRATURES)
@pytest.mark.parametrize("steps", [2, 3, 10])
def test_nodes_and_weights(quadrature, steps):
    nodes, weights = QUADRATURES[quadrature](steps)
    assert len(nodes) == len(weights) == steps + (quadrature == "trapezoid")
    assert all(0 <= a <= 1 for a in nodes)
    assert list(nodes) == sorted(nodes)
    whole = Fraction(steps - 1, steps) if quadrature == "trapezoid_captum" else 1
    assert abs(sum(weights) - whole) < {"gauss_legendre": 1e-14, "gauss_legendre_captum": 1e-7}.get(quadrature, Fraction(1, 10**30))
    assert QUADRATURES[quadrature].__doc__


@pytest.mark.parametrize("steps", [1, 2, 3, 5])
def test_gauss_legendre_integrates_polynomials_of_degree_2n_minus_1(steps):
    """f = x^(2n) has a gradient of degree 2n - 1."""
    a = xc.explain(power(2 * steps), [[1.5]], "integrated_gradients", steps=steps)
    assert close(a.total(), a.output, 1e-13)


def test_one_node():
    for quadrature, at in (("left", 0), ("right", 1), ("midpoint", Fraction(1, 2)), ("inclusive_mean", 0)):
        assert list(QUADRATURES[quadrature](1)[0]) == [at]
    for quadrature in ("trapezoid_captum", "trapezoid_xplique"):
        with pytest.raises(InputError, match="steps=1 must be at least 2"):
            xc.explain(NET_B, X_B, "integrated_gradients", quadrature=quadrature, steps=1)


@pytest.mark.parametrize("quadrature", [q for q in QUADRATURES if not q.startswith("gauss_legendre")])
def test_rational_quadratures_in_exact_mode(quadrature):
    """The exact value agrees with float64, and the two-feature sum of NET B with a loop over the nodes in Fractions."""
    a = xc.explain(NET_B.astype("exact"), [[2, 1]], "integrated_gradients", quadrature=quadrature, steps=7)
    assert all(isinstance(v, Fraction) for v in np.asarray(a)[0])
    nodes, weights = QUADRATURES[quadrature](7)
    slopes = [((1 if 3 * t > 1 else 0) + 2 * (t > 0), (1 if 3 * t > 1 else 0) - 2 * (t > 0)) for t in nodes]   # W = [[1, 1], [1, -1]]
    assert list(np.asarray(a)[0]) == [2 * sum(w * s[0] for w, s in zip(weights, slopes)), sum(w * s[1] for w, s in zip(weights, slopes))]
    b = xc.explain(NET_B, X_B, "integrated_gradients", quadrature=quadrature, steps=7)
    assert close(b, np.asarray(a), 1e-14)


def test_saturation_curve():
    """f(αx) = .5, 1.5, 4 at α = 1/4, 1/2, 1 on NET B."""
    a = xc.explain(NET_B, np.concatenate([X_B, X_B]), "integrated_gradients", quadrature="right", steps=4)
    assert list(a.extras["alphas"]) == [0.25, 0.5, 0.75, 1]
    assert a.extras["curve"].shape == (2, 4)
    assert list(a.extras["curve"][1][[0, 1, 3]]) == [0.5, 1.5, 4]


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 3))
def test_w6_homogeneous_functions_of_degree_k(seed, k):
    """W6 (I15): IG(0) = gradient * input / k for f = Σ v relu(Wx)^k."""
    rng = np.random.default_rng(seed)
    b = Builder()
    h = b.add(Pow(k), b.add(ReLU(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", numbers(rng, (4, 3))))))
    graph, x = b.build(b.add(Dense(), h, b.param("v", numbers(rng, (1, 4))))), numbers(rng, (2, 3))
    expected = np.asarray(xc.explain(graph, x, "gradient_x_input")) / k
    assert close(xc.explain(graph, x, "integrated_gradients", steps=2), expected, 1e-13)
    if k == 2:                                                          # the integrand is linear: one midpoint integrates it
        a = xc.explain(graph.astype("exact"), fractions(x), "integrated_gradients", quadrature="midpoint", steps=1)
        assert (np.asarray(a) == np.asarray(xc.explain(graph.astype("exact"), fractions(x), "gradient_x_input")) / 2).all()


@given(data=st.data())
def test_completeness_of_smooth_networks(data):
    """Gauss-Legendre with 40 nodes on analytic integrands; 400 midpoints are a second opinion to 1/400²."""
    graph = data.draw(mlps(activations=(Sigmoid(), Tanh())))
    x = data.draw(inputs_of(graph, batch=(1, 1)))
    a = xc.explain(graph, x, "integrated_gradients", target=0, steps=40, baseline=0.25)
    assert close(a.gap(), [0], 1e-9, scale=abs(np.asarray(a)).sum() + abs(a.output).max())
    slow = dense_integrated_gradients(lambda p: np.asarray(xc.explain(graph, p, "gradient", target=0)), x, np.full(x.shape, 0.25), 400)
    assert close(a, slow, 1e-4)


# ----- exact ------------------------------------------------------------------------------------------------------


def test_worked_numbers_of_the_exact_integral():
    """NET B bends once, at α = 1/3, where x1 + x2 = 1: 2 (2/3 · 1 + 2) = 16/3 and 1 (2/3 · 1 - 2) = -4/3."""
    a = xc.explain(NET_B.astype("exact"), [[2, 1]], EXACT)
    assert list(np.asarray(a)[0]) == [Fraction(16, 3), Fraction(-4, 3)]
    assert a.gap()[0] == 0
    assert list(a.extras["pieces"]) == [2]
    assert list(a.extras["breakpoints"][0]) == [0, Fraction(1, 3), 1]
    assert list(a.extras["curve"][0]) == [0, Fraction(2, 3), 4]
    b = xc.explain(NET_A.astype("exact"), [[3, 1]], EXACT)
    assert list(np.asarray(b)[0]) == [6, -5]
    assert list(b.extras["pieces"]) == [1]
    assert close(xc.explain(NET_A, X_A, EXACT), [[6, -5]], 1e-15)


@given(seed=st.integers(0, 2**32 - 1))
def test_against_pieces_built_forwards(seed):
    """relu(W1 x + b1), a skip connection, overlapping max-pools and a linear head: equal as Fractions."""
    rng = np.random.default_rng(seed)
    w1, b1, w2, b2, w3 = (numbers(rng, shape) for shape in ((4, 3), (4,), (4, 4), (4,), (1, 3)))
    x, x0 = numbers(rng, (1, 3)), numbers(rng, (1, 3))
    b = Builder()
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 3)), b.param("w1", w1), b.param("b1", b1)))
    k = b.add(ReLU(), b.add(Add(), b.add(Dense(), h, b.param("w2", w2), b.param("b2", b2)), h))
    k = b.add(Flatten(), b.add(MaxPool((2,), (1,)), b.add(Reshape((1, 4)), k)))
    graph = b.build(b.add(Dense(), k, b.param("w3", w3))).astype("exact")

    path = list(zip(*fractions(np.concatenate([x0, x]))))
    units = [Pieces(path, [(Fraction(0), Fraction(1), [Fraction(int(i == j)) for j in range(3)], Fraction(0))]) for i in range(3)]
    hidden = [Pieces.sum(units, fractions(row), Fraction(bias)).relu() for row, bias in zip(w1, b1)]
    second = [Pieces.sum([*hidden, hidden[j]], [*fractions(w2[j]), Fraction(1)], Fraction(b2[j])).relu() for j in range(4)]
    expected = Pieces.sum([second[j].maximum(second[j + 1]) for j in range(3)], fractions(w3[0])).integral()

    a = xc.explain(graph, fractions(x), EXACT, baseline=fractions(x0))
    assert list(np.asarray(a)[0]) == expected
    assert a.gap()[0] == 0


@settings(max_examples=10)
@given(data=st.data())
def test_w64_float64_agrees_with_rationals(data):
    """W64 (I62): The same pieces in floats, to rounding."""
    graph = data.draw(graphs())
    x = data.draw(inputs_of(graph))
    a = xc.explain(graph, x, EXACT, target=0, baseline=0.25)
    b = xc.explain(graph.astype("exact"), fractions(x), EXACT, target=0, baseline=Fraction(1, 4))
    assert (b.gap() == 0).all()
    assert np.abs(a.gap()).max() <= 1e-12                               # some 1e4 units of rounding; nets of about 50 units
    assert close(a, np.asarray(b), 1e-12)


def test_a_thousand_relus(rng):
    """|gap| <= 1e-10 in float64, a dense midpoint sum agrees to its own error, and float32 to its rounding."""
    graph, x = cnn(rng, 8, 8), rng.normal(size=(2, 1, 8, 8))            # 8 * 64 * 2 + 32 = 1056 ReLUs
    a = xc.explain(graph, x, EXACT, target=1)
    assert np.abs(a.gap()).max() <= 1e-10
    assert (a.extras["pieces"] > 200).all()
    for points, curve in zip(a.extras["breakpoints"], a.extras["curve"]):
        assert points[0] == 0
        assert points[-1] == 1
        assert (np.diff(points) > 0).all()
        assert len(curve) == len(points)
    assert close([c[0] for c in a.extras["curve"]], a.baseline_output, 1e-12)
    assert close([c[-1] for c in a.extras["curve"]], a.output, 1e-12)
    dense = xc.explain(graph, x, "integrated_gradients", target=1, quadrature="midpoint", steps=1000, batch_size=500)
    assert np.abs(np.asarray(dense) - np.asarray(a)).max() < 3e-4       # 400 jumps of about 1e-3, each misplaced by half a cell
    single = xc.explain(graph.astype("float32"), x, EXACT, target=1)
    assert np.asarray(single).dtype == np.float32
    assert list(single.extras["pieces"]) == list(a.extras["pieces"])
    assert np.abs(single.gap()).max() < 1e-5                            # 1e-7 a rounding, some hundred pieces
    assert close(single, np.asarray(a), 1e-5)


def test_a_small_residual_cnn_in_rationals(rng):
    graph = cnn(rng, 4, 2)
    x = fractions(rng.integers(-16, 17, (1, 1, 4, 4)) / 16)
    exact = graph.astype("exact")
    a = xc.explain(exact, x, EXACT, target=2, baseline=Fraction(1, 3))
    assert a.gap()[0] == Fraction(0)
    assert isinstance(a.gap()[0], Fraction)
    for room in (1, 7):                                                 # done in stretches: the same kinks
        b = xc.explain(exact, x, EXACT, target=2, baseline=Fraction(1, 3), batch_size=room)
        assert (np.asarray(a) == np.asarray(b)).all()
        assert list(a.extras["breakpoints"][0]) == list(b.extras["breakpoints"][0])


def test_equal_input_and_baseline():
    a = xc.explain(NET_B, X_B, EXACT, baseline=X_B)
    assert list(np.asarray(a)[0]) == [0, 0]
    assert a.gap()[0] == 0


def test_several_inputs_and_an_input_that_is_not_explained():
    """f = relu(x + y - 1) + z: along the diagonal; z keeps its value."""
    b = Builder()
    x, y, z = (b.input(k, (None, 1)) for k in "xyz")
    h = b.add(ReLU(), b.add(Add(), b.add(Add(), x, y), b.constant(-1.0)))
    graph = b.build(b.add(Add(), h, z))
    feeds = {"x": [[1.0], [2.0]], "y": [[3.0], [0.0]], "z": [[5.0], [6.0]]}
    a = xc.explain(graph, feeds, EXACT, wrt=["x", "y"])
    assert set(a.values) == {"x", "y"}
    assert close(a["x"], [[0.75], [1.0]], 1e-15)
    assert close(a["y"], [[2.25], [0.0]], 1e-15)
    assert close(a.gap(), [0, 0], 1e-15, scale=abs(a.output).max())
    everything = xc.explain(graph, feeds, EXACT)
    assert close(everything["z"], [[5], [6]], 1e-15)
    with pytest.raises(InputError, match="names input 'z', which is not explained"):
        xc.explain(graph, feeds, EXACT, wrt=["x", "y"], baseline={"z": 0})


@pytest.mark.parametrize("method", ["integrated_gradients", EXACT])
def test_at_a_layer(method):
    """Behind the ReLU of NET B, f is linear: the attribution of a hidden unit is w_k (h_k - h_k(x0))."""
    a = xc.explain(NET_B, X_B, method, layer="relu1", baseline=np.array([[1.0, 1.0]]))
    assert list(a.values) == ["relu1"]
    assert close(a, [[1, 2]], 1e-14)                                    # h(x) = (2, 1), h(1, 1) = (1, 0), w = (1, 2)
    assert close(a.gap(), [0], 1e-14, scale=abs(a.output).max())


# ----- errors -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("settings", "error", "words"), [
    ({"steps": 0}, InputError, "steps=0 must be a whole number of at least 1"),
    ({"steps": 2.5}, InputError, "steps=2.5 must be"),
    ({"steps": True}, InputError, "steps=True must be"),
    ({"quadrature": "midpiont"}, UnknownName, "did you mean 'midpoint'"),
    ({"quadrature": 3}, UnknownName, "quadrature=3 does not exist"),
    ({"baseline": np.zeros(3)}, ShapeError, "baseline"),
    ({"baseline": float("nan")}, InputError, "the baseline: input 'x' holds nan"),
    ({"baseline": {"y": 0}}, UnknownName, "'y'"),
])
def test_settings(settings, error, words):
    with pytest.raises(error, match=words):
        xc.explain(NET_B, X_B, "integrated_gradients", **settings)


def test_gauss_legendre_has_no_exact_value():
    with pytest.raises(ExactnessError, match="nodes of quadrature='gauss_legendre' are irrational"):
        xc.explain(NET_B.astype("exact"), [[2, 1]], "integrated_gradients")


@settings(max_examples=4)
@given(data=st.data())
def test_bent_networks_are_refused(data):
    graph = data.draw(mlps(activations=(Tanh(),)))
    with pytest.raises(Inapplicable, match=r"node 'act0' \(Tanh\(\); layer \?\) is not piecewise linear.*use integrated_gradients"):
        xc.explain(graph, data.draw(inputs_of(graph)), EXACT, target=0)
    with pytest.raises(Inapplicable, match="Softmax"):
        xc.explain(NET_B, X_B, EXACT, output="probability")


def test_too_many_pieces():
    with pytest.raises(Inapplicable, match="more than 1 linear pieces; raise max_pieces"):
        xc.explain(NET_B, X_B, EXACT, max_pieces=1)
    with pytest.raises(InputError, match="max_pieces=0"):
        xc.explain(NET_B, X_B, EXACT, max_pieces=0)
    assert xc.explain(NET_B, X_B, EXACT, max_pieces=2).extras["pieces"][0] == 2


def test_what_is_affine_is_taken_once(monkeypatch):
    """The layers before the first bend are taken out of the integral: in rationals nothing changes, and a part around them forbids it."""
    taken = []
    monkeypatch.setattr(paths, "affine_front", lambda task, room, found=paths.affine_front: taken.append(found(task, room)) or taken[-1])
    graph, x = mlp([[[1.0, -1.0], [1.0, 2.0]], [[3.0, -1.0]]], [[0.5, 0.0], None]).astype("exact"), [[3, 1], [-1, 2]]
    once = {m: np.asarray(xc.explain(graph, x, m, baseline=1, **s)) for m, s in (("integrated_gradients.exact", {}), ("integrated_gradients", {"quadrature": "midpoint", "steps": 3}))}
    assert taken == ["fc1", None, "fc1", None]
    monkeypatch.setattr(paths, "affine_front", lambda task, room: None)
    for m, s in (("integrated_gradients.exact", {}), ("integrated_gradients", {"quadrature": "midpoint", "steps": 3})):
        assert (np.asarray(xc.explain(graph, x, m, baseline=1, **s)) == once[m]).all()
    monkeypatch.undo()
    b = Builder("around")
    v = b.input("x", (None, 2))
    y = b.add(Add(), b.add(ReLU(), b.add(Dense(), v, b.param("w", [[1.0, 2.0], [0.0, 1.0]]), name="fc")), v)
    task = make_task(b.build(b.add(Dense(), y, b.param("u", [[1.0, 1.0]]))), [[1.0, 2.0]])
    assert paths.affine_front(task, 4) is None
