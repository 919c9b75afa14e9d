"""SmoothGrad, its square and VarGrad: fixtures, closed forms, identities on the same noise."""

from fractions import Fraction
from math import erf, sqrt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B, close
from xaicore import Builder
from xaicore.errors import ExactnessError, InputError, ShapeError, UnknownName
from xaicore.ops import Add, Dense, Mul, Pow
from xaicore.oracle.strategies import SMOOTH, cnns, graphs, inputs_of, mlps, numbers
from xaicore.oracle.twins.numeric import central_differences

METHODS = ("smoothgrad", "smoothgrad_squared", "vargrad")


def half_square(dtype="float64"):
    """f = x² / 2, whose gradient is x."""
    b = Builder(dtype=dtype)
    return b.build(b.add(Mul(), b.add(Pow(2), b.input("x", (None, 1))), b.constant(Fraction(1, 2))))


def fractions(x):
    return np.vectorize(Fraction, otypes=[object])(x)


@pytest.mark.parametrize(("method", "settings", "expected"), [
    ("smoothgrad", {}, 0), ("smoothgrad_squared", {}, 1), ("vargrad", {}, 1), ("vargrad", {"ddof": 1}, 2)])
@pytest.mark.parametrize("dtype", ["float64", "float32", "exact"])
def test_given_noise(method, settings, expected, dtype):
    """f = x²/2 at 0 with noise (-1, +1): the mean of the gradients is 0, of their squares 1 (N19: PAIR's
    SmoothGrad is the second by default), their variance 1 or, unbiased, 2."""
    a = xc.explain(half_square(dtype), [[0]], method, noise=np.array([[[-1]], [[1]]]), **settings)
    assert np.asarray(a)[0, 0] == expected
    assert np.asarray(a).dtype == (object if dtype == "exact" else dtype)
    assert (a.settings["samples"], a.settings["sigma"], a.settings["seed"]) == (2, None, None)


def test_standard_error():
    """Gradients (-1, 0, 4): mean 1, unbiased variance 7, so sqrt(7/3)."""
    noise = np.array([-1, 0, 4]).reshape(3, 1, 1)
    a = xc.explain(half_square(), [[0]], "smoothgrad", noise=noise)
    assert close(a.extras["standard_error"]["x"], [[sqrt(7 / 3)]], 1e-14)
    b = xc.explain(half_square(), [[0]], "smoothgrad_squared", noise=noise)
    assert close(b.extras["standard_error"]["x"], [[np.std([1, 0, 16], ddof=1) / sqrt(3)]], 1e-14)
    assert "standard_error" not in xc.explain(half_square(), [[0]], "smoothgrad", samples=1).extras
    c = xc.explain(half_square(), [[0]], "vargrad", noise=noise)
    assert close(c.extras["mean"]["x"], [[1]], 1e-14)


@pytest.mark.parametrize("dtype", ["float64", "exact"])
@given(data=st.data())
def test_w31_square_is_variance_plus_squared_mean(dtype, data):
    """W31 (I01): Mean square = variance + squared mean, of the same draws."""
    graph = data.draw(graphs())
    x = data.draw(inputs_of(graph))
    noise = numbers(np.random.default_rng(data.draw(st.integers(0, 99))), (4, *x.shape))
    if dtype == "exact":
        graph, x, noise = graph.astype("exact"), fractions(x), fractions(noise)
    mean, square, variance = (np.asarray(xc.explain(graph, x, m, target=0, noise=noise)) for m in METHODS)
    if dtype == "exact":
        assert (square == variance + mean * mean).all()
    else:
        assert close(square, variance + mean * mean, 1e-13)
    assert (variance >= 0).all()


@given(data=st.data())
def test_statistics_of_single_gradients(data):
    """A loop over the noise with NumPy's mean and var."""
    graph = data.draw(graphs())
    x = data.draw(inputs_of(graph))
    noise = numbers(np.random.default_rng(data.draw(st.integers(0, 99))), (5, *x.shape))
    single = np.array([np.asarray(xc.explain(graph, x + e, "gradient", target=0)) for e in noise])
    for method, ddof, expected in (("smoothgrad", None, single.mean(0)), ("smoothgrad_squared", None, (single**2).mean(0)),
                                   ("vargrad", 0, single.var(0)), ("vargrad", 1, single.var(0, ddof=1))):
        settings = {} if ddof is None else {"ddof": ddof}
        for batch_size in (1, 3, 64):
            a = xc.explain(graph, x, method, target=0, noise=noise, batch_size=batch_size, **settings)
            assert close(a, expected, 1e-12)


@given(data=st.data())
def test_w32_gradient_of_the_averaged_function(data):
    """W32 (I03): Central differences of x -> mean of f(x + ε_j), on smooth networks (no kink within a step)."""
    graph = data.draw(mlps(activations=SMOOTH))
    x = data.draw(inputs_of(graph, batch=(1, 1)))
    noise = numbers(np.random.default_rng(data.draw(st.integers(0, 99))), (4, *x.shape))
    slow = central_differences(graph, x, lambda y: y[0, 1], 1e-5) * 0
    for e in noise:
        slow += central_differences(graph, x + e, lambda y: y[0, 1], 1e-5) / len(noise)
    assert close(xc.explain(graph, x, "smoothgrad", target=1, noise=noise), slow, 1e-8)    # h² and rounding / h: both 1e-10


def test_w33_closed_form_of_one_relu_layer():
    """W33 (E38, E39): E[∇f] = Σ_k v_k W_k Φ(z_k / (σ |W_k|)): (2.44185, -.59915) for NET B and σ = 1; the mean of 20 000 draws is within five
    of its own standard errors, and NET A's too."""
    for graph, x, sigma, known in ((NET_B, X_B, 1.0, (2.44185, -0.59915)), (NET_A, X_A, 2.0, None)):
        w, v = graph.params["w1"], graph.params["w2"][0]
        z = w @ x[0] + graph.params.get("b1", 0)
        phi = [0.5 * (1 + erf(zk / (sigma * sqrt(row @ row)) / sqrt(2))) for zk, row in zip(z, w)]
        expected = sum(vk * p * row for vk, p, row in zip(v, phi, w))
        if known:
            assert np.abs(expected - known).max() < 5.1e-6              # five decimals are given
        a = xc.explain(graph, x, "smoothgrad", sigma=sigma, noise="absolute", samples=20_000, batch_size=5000, seed=3)
        error = a.extras["standard_error"]["x"][0]
        assert (error < 0.05).all()
        assert (np.abs(np.asarray(a)[0] - expected) < 5 * error).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_w34_linear_functions(seed):
    """W34 (I02): Any noise: the gradient, its square, and a variance of exactly 0."""
    rng = np.random.default_rng(seed)
    b = Builder()
    w = numbers(rng, (1, 4))
    graph, x = b.build(b.add(Dense(), b.input("x", (None, 4)), b.param("w", w))), numbers(rng, (2, 4))
    settings = {"samples": 7, "sigma": float(rng.uniform(0, 9)), "seed": seed, "noise": "absolute"}
    mean, square, variance = (np.asarray(xc.explain(graph, x, m, **settings)) for m in METHODS)
    assert (mean == w).all()
    assert (square == w * w).all()
    assert (variance == 0).all()


@given(data=st.data())
def test_no_noise_is_the_gradient(data):
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph))
    base = np.asarray(xc.explain(graph, x, "gradient", target=0))
    assert (np.asarray(xc.explain(graph, x, "smoothgrad", target=0, sigma=0, samples=3)) == base).all()
    constant = np.ones_like(x)                                          # range 0: relative noise is none
    base = np.asarray(xc.explain(graph, constant, "gradient", target=0))
    assert (np.asarray(xc.explain(graph, constant, "smoothgrad", target=0, sigma=2, samples=3)) == base).all()


def test_scale_of_the_noise():
    """The gradient of x²/2 is x: SmoothGrad's excess over x is the mean draw times the scale, for every sample the same draws."""
    b = Builder()
    x = b.input("x", (None, 3))
    graph = b.build(b.add(Dense(), b.add(Mul(), b.add(Pow(2), x), b.constant(0.5)), b.param("w", np.ones((1, 3)))))
    values = np.array([[0.0, 1.0, 4.0], [2.0, 2.0, 4.0], [-3.0, -3.0, -3.0]])

    def excess(**settings):
        return np.asarray(xc.explain(graph, values, "smoothgrad", samples=6, seed=5, **settings)) - values

    unit = excess(noise="absolute", sigma=1.0)
    assert close(unit[0], unit[1], 1e-14)
    assert close(excess(sigma=0.5), unit * (np.array([[4], [2], [0]]) * 0.5), 1e-14)
    assert close(excess(noise="absolute", sigma=0.25), unit * 0.25, 1e-14)
    assert close(unit[0], np.random.default_rng([5, 0]).standard_normal((6, 3)).mean(axis=0), 1e-14)


@pytest.mark.parametrize("method", METHODS)
def test_seed(method):
    a, b, c = (xc.explain(NET_B, X_B, method, sigma=1.0, seed=s) for s in (0, 0, 1))
    assert (np.asarray(a) == np.asarray(b)).all()
    assert (np.asarray(a) != np.asarray(c)).any()
    assert a.settings["seed"] == 0
    assert c.settings["seed"] == 1


def test_inputs_get_their_own_noise():
    """f = x y: ∂f/∂x = y + ε_y, so that equal inputs are told apart by their draws; noise by name, in any order."""
    b = Builder()
    graph = b.build(b.add(Mul(), b.input("x", (None, 1)), b.input("y", (None, 1))))
    a = xc.explain(graph, {"x": [[1.0]], "y": [[1.0]]}, "smoothgrad", sigma=1, noise="absolute", samples=4)
    assert a["x"] != a["y"]
    given = {"y": np.full((2, 1, 1), 3.0), "x": np.full((2, 1, 1), 5.0)}
    c = xc.explain(graph, {"x": [[1.0]], "y": [[1.0]]}, "smoothgrad", noise=given)
    assert (c["x"][0, 0], c["y"][0, 0]) == (4, 6)


def test_at_a_layer():
    """Noise on the hidden layer of NET B: f is linear behind it."""
    a = xc.explain(NET_B, X_B, "smoothgrad", layer="relu1", sigma=3.0)
    assert list(np.asarray(a)[0]) == [1, 2]
    b = xc.explain(NET_B, X_B, "vargrad", layer="fc1", sigma=1.0, noise="absolute", samples=400, seed=1)
    p = 0.5 * (1 + erf(1 / sqrt(2)))                                    # z2 = 1, σ = 1: its ReLU is on with probability Φ(1)
    assert abs(np.asarray(b)[0, 1] - 4 * p * (1 - p)) < 0.15            # v² p (1 - p) = .534; the spread over seeds is about .04


@pytest.mark.parametrize(("settings", "error", "words"), [
    ({"samples": 0}, InputError, "samples=0 must be a whole number of at least 1"),
    ({"samples": 1.5}, InputError, "samples=1.5"),
    ({"seed": -1}, InputError, "seed=-1"),
    ({"sigma": -0.1}, InputError, "sigma=-0.1 must be a finite number of at least 0"),
    ({"sigma": float("nan")}, InputError, "sigma=nan"),
    ({"sigma": "big"}, InputError, "sigma='big'"),
    ({"noise": "relativ"}, UnknownName, "did you mean 'relative'"),
    ({"noise": np.zeros((3, 2))}, ShapeError, r"shape \(3, 2\); \(M, 1, 2\) is expected"),
    ({"noise": np.zeros((0, 1, 2))}, ShapeError, "M >= 1"),
    ({"noise": np.full((1, 1, 2), "a")}, InputError, "numbers are expected"),
    ({"noise": {"y": 0}}, UnknownName, "noise names 'y'"),
    ({"noise": {}}, InputError, "holds nothing for input 'x'"),
])
@pytest.mark.parametrize("method", METHODS)
def test_settings(method, settings, error, words):
    with pytest.raises(error, match=words):
        xc.explain(NET_B, X_B, method, **settings)


def test_more_errors():
    with pytest.raises(InputError, match="ddof=1 needs more than 1 samples, and there are 1"):
        xc.explain(NET_B, X_B, "vargrad", samples=1, ddof=1)
    with pytest.raises(ExactnessError, match="drawn noise is not rational; give the noise itself"):
        xc.explain(NET_B.astype("exact"), [[2, 1]], "smoothgrad")
    with pytest.raises(ExactnessError, match="noise for input 'x'"):
        xc.explain(NET_B.astype("exact"), [[2, 1]], "smoothgrad", noise=np.zeros((2, 1, 2)))
    b = Builder()
    graph = b.build(b.add(Add(), b.input("x", (None, 1)), b.input("y", (None, 1))))
    with pytest.raises(ShapeError, match="same number of draws"):
        xc.explain(graph, {"x": [[1.0]], "y": [[1.0]]}, "smoothgrad", noise={"x": np.zeros((2, 1, 1)), "y": np.zeros((3, 1, 1))})


# ----- noise around any method ------------------------------------------------------------------------------------


@given(data=st.data())
@pytest.mark.parametrize("of", ["gradient_x_input", "saliency", "lrp.epsilon", ("lrp.epsilon", {"eps": 0.25}), "deeplift.rescale",
                                ("integrated_gradients", {"steps": 3}), "guided_backprop", ("occlusion", {"score": "raw"})], ids=str)
def test_noise_around_any_method(of, data):
    """A loop over the noise with NumPy's mean and var, whatever is averaged and whatever the batches."""
    graph = data.draw(graphs())
    x = data.draw(inputs_of(graph))
    noise = numbers(np.random.default_rng(data.draw(st.integers(0, 99))), (3, *x.shape))
    name, own = of if isinstance(of, tuple) else (of, {})
    single = np.array([np.asarray(xc.explain(graph, x + e, name, target=0, **own)) for e in noise])
    for method, expected in (("smoothgrad", single.mean(0)), ("smoothgrad_squared", (single**2).mean(0)), ("vargrad", single.var(0))):
        a = xc.explain(graph, x, method, target=0, noise=noise, of=of, batch_size=data.draw(st.sampled_from([1, 4, 64])))
        assert close(a, expected, 1e-10, scale=max(1e-6, (single**2).max()))


def test_noise_around_a_map_and_around_a_baseline_for_each_sample():
    """Maps have their own shape; a setting with a row for each sample follows the samples."""
    from tests.oracle.planted import cnn, image

    x, noise = image(2), image(6, seed=4).reshape(3, 2, 2, 4, 4) / 4
    single = [np.asarray(xc.explain(cnn(), x + e, "grad_cam", target=[0, 1])) for e in noise]
    a = xc.explain(cnn(), x, "smoothgrad", target=[0, 1], noise=noise, of="grad_cam")
    assert np.asarray(a).shape == (2, 1, 4, 4)
    assert close(a, np.mean(single, axis=0), 1e-12)
    start = image(2, seed=8)
    single = [np.asarray(xc.explain(cnn(), x + e, "deeplift.rescale", target=[0, 1], baseline=start)) for e in noise]
    a = xc.explain(cnn(), x, "smoothgrad", target=[0, 1], noise=noise, of=("deeplift.rescale", {"baseline": start}), batch_size=2)
    assert close(a, np.mean(single, axis=0), 1e-12)
    at = xc.explain(cnn(), x, "smoothgrad", target=[0, 1], sigma=0, samples=2, of="lrp.epsilon", layer="skip")
    assert close(at["skip"], xc.explain(cnn(), x, "lrp.epsilon", target=[0, 1], layer="skip")["skip"], 1e-12)


@pytest.mark.parametrize(("of", "error", "words"), [
    ("lrp.epsilo", UnknownName, "did you mean 'lrp.epsilon'"), (("lrp.epsilon", {"epsilon": 1}), UnknownName, "lrp.epsilon has no setting 'epsilon'"),
    (("lrp.epsilon", 1), InputError, "must be the id of a method, or"), (3, UnknownName, "of=3 does not exist")])
def test_refusals_of_what_is_averaged(of, error, words):
    with pytest.raises(error, match=words):
        xc.explain(NET_B, X_B, "smoothgrad", of=of)
