"""The fifteen conventions on which honest libraries differ most: theirs is a loop of its own, and compare must name it, and no other."""

import math

import numpy as np
import pytest

import xaicore as xc
from tests.oracle import by_hand as hand
from xaicore import Builder
from xaicore.errors import XaicoreError
from xaicore.methods.table import METHODS
from xaicore.ops import Add, AvgPool, BatchNorm, Conv, Dense, Flatten, MaxPool, Mul, ReLU, Softmax
from xaicore.oracle.axes import choices
from xaicore.oracle.compare import compare
from xaicore.oracle.profiles import ENTRIES
from xaicore.oracle.vectors import vectors

X = np.array([1.0, -2.0, 3.0])
W = np.array([[1.0, -0.5, -0.25], [-0.5, 0.75, 1.25]])
B = np.array([0.5, -0.75])
V = np.array([[1.25, 0.5], [-0.5, 2.0]])
Z = W @ X + B
H = np.maximum(Z, 0)


def net(bias=B):
    """Dense, ReLU, Dense with two outputs."""
    b = Builder()
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", W), b.param("b", bias), name="one"))
    return b.build(b.add(Dense(), h, b.param("v", V), b.param("c", C), name="two"))


C = np.array([0.25, -0.125])
Y = V @ H + C


def two(rule, start=None):
    """The rule in both layers, from output 0."""
    r = rule(H, V, C, np.array([Y[0], 0.0]) if start is None else start)
    return rule(X, W, B, r)


def layer(share, bottom):
    return lambda x, w, b, r: hand.lrp_layer(x, w, b, r, share, bottom)


def named(graph, x, method, theirs, expected, others=(), target=0, **settings):
    """The closest convention has these settings and no other; what else gives the same numbers is among ``others``."""
    a = xc.explain(graph, x, method, target=target, **settings)
    c = compare(a, np.asarray(theirs).reshape(next(iter(a.values.values())).shape), label="theirs", seconds=120)                # a limit in time is no part of what is tested
    if expected is None:
        assert c.agree, str(c)
        return c
    assert not c.agree
    assert c.closest_convention is not None, str(c)
    wanted = expected if isinstance(expected, tuple) else (method, expected)
    best = c.closest_convention
    assert best.method == wanted[0], str(c)
    assert set(best.settings) == set(wanted[1]), str(c)
    for k, v in wanted[1].items():
        assert best.settings[k] == (pytest.approx(v, rel=1e-6) if isinstance(v, float) else v), str(c)
    rest = {(o.method, *sorted(o.settings)) for o in c.conventions[1:]}
    assert rest <= {(m, *sorted(keys)) for m, keys in others}, str(c)
    return c


# ----- 1: quadrature ----------------------------------------------------------------------------------------------


def cubic():
    """f = Σ w x³, without a kink, so that every quadrature differs."""
    b = Builder()
    x = b.input("x", (None, 2))
    return b.build(b.add(Dense(), b.add(Mul(), b.add(Mul(), x, x), x), b.param("w", [[1.0, -0.5]])))


QUADRATURES = {
    "captum trapezoid": (lambda g, x: hand.quadrature(g, x, *hand.captum_trapezoid(50)), {"quadrature": "trapezoid_captum"}),
    "PAIR": (lambda g, x: hand.quadrature(g, x, *hand.inclusive(25)), {"quadrature": "inclusive_mean", "steps": 25}),
    "innvestigate": (lambda g, x: hand.quadrature(g, x, [k / 64 for k in range(64)], [1 / 64] * 64), {"quadrature": "left", "steps": 64}),
    "zennit": (lambda g, x: hand.quadrature(g, x, [k / 20 for k in range(1, 21)], [1 / 20] * 20), {"quadrature": "right", "steps": 20}),
    "DeepExplain": (lambda g, x: hand.quadrature(g, x, [k / 100 for k in range(1, 101)], [0.01] * 100), {"quadrature": "right", "steps": 100}),
    "trulens": (lambda g, x: hand.quadrature(g, x, *hand.inclusive(50)), {"quadrature": "inclusive_mean"}),
    "deeplift": (lambda g, x: hand.quadrature(g, x, [(k + 0.5) / 50 for k in range(50)], [0.02] * 50), {"quadrature": "midpoint"}),
    "xplique": (lambda g, x: hand.quadrature(g, x, [k / 49 for k in range(50)], [1 / 98, *[1 / 49] * 48, 1 / 98]),
                {"quadrature": "trapezoid_xplique"}),
    "tf-explain": (lambda g, x: hand.quadrature(g, x, *hand.inclusive(10), multiply=False),
                   {"quadrature": "inclusive_mean", "steps": 10, "multiply": False}),
}


@pytest.mark.parametrize("library", QUADRATURES)
def test_1_quadrature(library):
    theirs, settings = QUADRATURES[library]
    x = np.array([1.5, -2.0])
    named(cubic(), x[None], "integrated_gradients", theirs(lambda p: np.array([3.0, -1.5]) * p**2, x), settings, target=None)


def test_1_a_right_integral_is_clean():
    x = np.array([1.5, -2.0])
    named(cubic(), x[None], "integrated_gradients", [x[0]**3, -0.5 * x[1]**3], None, target=None)


# ----- 2 to 6: the rules of LRP -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("bias", "settings"), [("split", None), ("whole", {"bias": "whole"}), ("none", {"bias": "ignore"})])
def test_2_the_bias_of_alpha_beta(bias, settings):
    named(net(), X[None], "lrp.alpha_beta", two(lambda x, w, b, r: hand.alpha_beta(x, w, b, r, 2, bias)), settings)


@pytest.mark.parametrize(("start", "settings"), [
    ((Y[0], 0), None), ((1, 0), {"start": "one"}), (Y, {"start": "all"}), ((1, 1), {"start": "ones"})])
def test_3_where_relevance_starts(start, settings):
    named(net(), X[None], "lrp.epsilon", two(layer(hand.plain, hand.with_sign(1e-6)), np.array(start, dtype=float)), settings)


@pytest.mark.parametrize(("share", "bottom", "settings"), [
    (hand.plus, lambda s, b, z: s + max(b, 0), None),
    (hand.plus, lambda s, b, z: s, {"bias": "ignore"}),
    (hand.plus, lambda s, b, z: s + b, {"bias": "whole"}),
    (hand.weight_plus, lambda s, b, z: s, {"bias": "ignore", "variant": "weights-only"}),
    (hand.weight_plus, lambda s, b, z: s + b + 1e-9 * hand.sign(s + b), {"bias": "whole", "variant": "weights-only", "layer_eps": 1e-9}),
], ids=["zennit", "innvestigate ZPlus", "innvestigate Alpha1Beta0", "ZPlusFast", "captum"])
def test_4_what_z_plus_means(share, bottom, settings):
    same = [] if settings is None else [("lrp.alpha_beta", ("alpha", *settings))]
    if settings == {"bias": "ignore"}:
        same.append(("deep_taylor", ("input",)))
    named(net(), X[None], "lrp.z_plus", two(layer(share, bottom)), settings, same)


def test_5_gamma_of_captum_leaves_the_bias():
    theirs = two(layer(hand.favoured(0.25), lambda s, b, z: s + b + 1e-9 * hand.sign(s + b)))
    c = named(net(), X[None], "lrp.gamma", theirs, {"variant": "original", "bias": "whole", "layer_eps": 1e-9})
    assert "captum LRP(GammaRule)" in str(c)


@pytest.mark.parametrize(("gamma", "settings"), [(0.25, None), (0.1, {"gamma": 0.1}), (0.3317, {"gamma": 0.3317})])
def test_5_gamma_of_zennit_and_a_fitted_gamma(gamma, settings):
    named(net(), X[None], "lrp.gamma", two(lambda x, w, b, r: hand.zennit_gamma(x, w, b, r, gamma)), settings)


@pytest.mark.parametrize(("bottom", "settings"), [
    (hand.with_sign(1e-9), {"eps": 1e-9}), (hand.with_sign(0.25), {"eps": 0.25}), (hand.with_sign(0.0317), {"eps": 0.0317}),
    (lambda s, b, z: z + 0.25, {"eps": 0.25, "stabilizer": "plain"}),
    pytest.param(lambda s, b, z: hand.sign(z) * max(abs(z), 0.25), {"eps": 0.25, "stabilizer": "clip"}, marks=pytest.mark.thorough),
])
def test_6_epsilon(bottom, settings):
    b = Builder()
    x = np.array([[1.0, 1.0, 1.0]])
    w, bias = np.array([[0.5, -2.0, 0.75], [1.0, 0.25, -0.5]]), np.array([0.3, -0.65])           # z = -0.45 and 0.1
    g = b.build(b.add(Dense(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", w), b.param("b", bias)), b.param("v", [[1.0, -2.0]])))
    z = w @ x[0] + bias
    r = hand.lrp_layer(z, [[1.0, -2.0]], [0.0], [z[0] - 2 * z[1]], hand.plain, bottom)
    named(g, x, "lrp.epsilon", hand.lrp_layer(x[0], w, bias, r, hand.plain, bottom), settings, target=None)


@pytest.mark.parametrize(("bottom", "settings", "same"), [
    (hand.with_sign(1e-6), None, ()), (hand.with_sign(1e-9), {"eps": 1e-9}, ()),
    (hand.with_sign(1e-16), {"eps": 1e-16}, [("lrp.epsilon", ("eps", "stabilizer"))]),
    (lambda s, b, z: 0.0 if z == 0 else z, ("lrp.zero", {}), [("lrp.zero", ("start",)), ("lrp.gamma", ())]),
    (lambda s, b, z: z + 0.25 * (z == 0), {"eps": 0.25, "stabilizer": "zero"}, [("lrp.epsilon", ("eps", "stabilizer"))])],
    ids=["zennit", "captum", "lrp_toolbox", "dropped", "innvestigate"])
def test_6_a_denominator_that_is_zero(bottom, settings, same):
    b = Builder()
    w = np.array([[1.0, 1.0], [1.0, -0.5]])
    g = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", w)))                           # z = 0 and 1.5, relevance 1 at both
    theirs = hand.lrp_layer([1.0, -1.0], w, [0.0, 0.0], [1.0, 1.0], hand.plain, bottom)
    named(g, [[1.0, -1.0]], "lrp.epsilon", theirs, settings, same, target=np.array([1.0, 1.0]), start="one")


# ----- 7, 8: BatchNorm, sums, averages ----------------------------------------------------------------------------

GAMMA, BETA, MEAN, VAR, EPS = np.array([2.0, -1.5]), np.array([0.5, 3.0]), np.array([0.3, -0.2]), np.array([0.25, 0.5]), 1e-3


def batchnorm_theirs(kind):
    """z+ with a BatchNorm between two layers."""
    scale = GAMMA / np.sqrt(VAR + EPS)
    u = scale * (Z - MEAN) + BETA
    h = np.maximum(u, 0)
    y = V @ h + C
    r = hand.lrp_layer(h, V, C, [y[0], 0.0], hand.plus, lambda s, b, z: s + max(b, 0))
    for j in range(2):
        if kind == "affine":
            r[j] = Z[j] * scale[j] * r[j] / (u[j] + 1e-6 * hand.sign(u[j]))
        if kind == "reverse":
            d = (Z[j] - MEAN[j]) * u[j]
            r[j] = Z[j] * (u[j] - BETA[j]) * r[j] / (d + 1e-7 * hand.sign(d))
        if kind == "surrogate":
            wrong = math.sqrt(VAR[j] ** 2 + EPS)
            r[j] = Z[j] * GAMMA[j] / wrong * r[j] / (Z[j] * GAMMA[j] / wrong - MEAN[j] / wrong + BETA[j])
    if kind == "fold":
        w = W * scale[:, None]
        return hand.lrp_layer(X, w, (B - MEAN) * scale + BETA, r, hand.plus, lambda s, b, z: s + max(b, 0))
    return hand.lrp_layer(X, W, B, r, hand.plus, lambda s, b, z: s + max(b, 0))


@pytest.mark.parametrize("kind", ["fold", "affine", "pass", "reverse", "surrogate"])
def test_7_batchnorm(kind):
    b = Builder()
    z = b.add(Dense(), b.input("x", (None, 3)), b.param("w", W), b.param("b", B))
    u = b.add(BatchNorm(EPS), z, *(b.param(k, v) for k, v in (("g", GAMMA), ("e", BETA), ("m", MEAN), ("s", VAR))), name="bn")
    g = b.build(b.add(Dense(), b.add(ReLU(), u), b.param("v", V), b.param("c", C)))
    settings = None if kind == "fold" else {"batchnorm": kind}
    named(g, X[None], "lrp.z_plus", batchnorm_theirs(kind), settings, [("lrp.alpha_beta", ("alpha", "batchnorm"))])


@pytest.mark.parametrize("kind", ["share", "repeat"])
def test_8_a_residual_sum(kind):
    b = Builder()
    x = b.input("x", (None, 2))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w", V), b.param("b", B)))
    g = b.build(b.add(Dense(), b.add(Add(), h, x, name="skip"), b.param("v", [[1.0, -0.5]])))
    at = np.array([1.0, 2.0])
    inner = np.maximum(V @ at + B, 0)
    total, f = inner + at, (inner + at) @ [1.0, -0.5]
    eps = 1e-6
    r = hand.lrp_layer(total, [[1.0, -0.5]], [0.0], [f], hand.plain, hand.with_sign(eps))
    near, far = (r, r) if kind == "repeat" else (inner * r / (total + eps), at * r / (total + eps))
    theirs = hand.lrp_layer(at, V, B, near, hand.plain, hand.with_sign(eps)) + far
    named(g, at[None], "lrp.epsilon", theirs, None if kind == "share" else {"sums": "repeat"}, target=None)


@pytest.mark.parametrize("kind", ["share", "uniform"])
def test_8_an_average(kind):
    b = Builder()
    pooled = b.add(AvgPool((2,), (2,)), b.input("x", (None, 1, 4)))
    g = b.build(b.add(Dense(), b.add(Flatten(), pooled), b.param("v", [[1.0, -0.5]])))
    x = np.array([1.0, 3.0, -2.0, 5.0])
    means = [2.0, 1.5]
    r = hand.lrp_layer(means, [[1.0, -0.5]], [0.0], [2.0 - 0.75], hand.plain, hand.with_sign(1e-6))
    theirs = [(0.5 if kind == "uniform" else x[k] / 2 / (means[k // 2] + 1e-6)) * r[k // 2] for k in range(4)]
    named(g, x[None, None], "lrp.epsilon", theirs, None if kind == "share" else {"averages": "uniform"}, target=None)


# ----- 9, 10: DeepLIFT --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("threshold", "at", "settings"), [
    (1e-10, "input", None), (1e-7, "reference", {"threshold": 1e-7, "fallback": "reference"}),
    (1e-6, "reference", {"threshold": 1e-6, "fallback": "reference"}), (1e-5, "midpoint", {"threshold": 1e-5, "fallback": "midpoint"}),
], ids=["captum", "deeplift", "shap", "DeepExplain"])
def test_9_small_differences(threshold, at, settings):
    x, x0 = np.array([2e-7, 3e-7, 6e-6, 3e-8, 2.0]), np.array([-3e-7, -2e-7, -2e-6, -4e-8, -1.0])
    b = Builder()
    weights = np.array([1.0, -2.0, 0.5, 1.5, 1.0]) * [1e7, 1e7, 1e6, 1e8, 1]                        # so that every unit counts
    g = b.build(b.add(Dense(), b.add(ReLU(), b.input("x", (None, 5))), b.param("w", [weights])))
    theirs = hand.rescale(x, x0, threshold, at) * weights * (x - x0)
    named(g, x[None], "deeplift.rescale", theirs, settings, [("deeplift.reveal_cancel", ()), ("integrated_gradients", ())], target=None,
          baseline=x0)


@pytest.mark.parametrize(("x", "x0", "theirs", "settings"), [
    ([3.0, 1.0], [0.0, 2.0], [1.0, 0.0], None), ([3.0, 1.0], [0.0, 2.0], [3.0, 0.0], {"pool": "winner"}),
    ([1.0, 2.0], [3.0, 0.0], [-1.0, 0.0], ()), ([1.0, 2.0], [3.0, 0.0], [0.0, 2.0], {"pool": "winner"})])
def test_10_max_pool(x, x0, theirs, settings):
    b = Builder()
    g = b.build(b.add(Flatten(), b.add(MaxPool((2,)), b.input("x", (None, 1, 2)))))
    same = [("gradient_x_input", ())]                                   # the net is nothing but this pool
    named(g, [[x]], "deeplift.rescale", theirs, settings or None, same, target=np.array([1.0]), baseline=np.array([x0]))


def softmax_theirs(kind, x):
    p, p0, dx = hand.softmax(x), hand.softmax(np.zeros(3)), x
    m = np.array([0.0, (p[1] - p0[1]) / dx[1], 0.0])
    if kind == "centred":
        m = m - m.sum() / 3
    if kind == "gradient":
        m = np.array([p[1] * ((k == 1) - p[k]) for k in range(3)])
    if kind == "quotient":
        e, e0 = np.exp(x - x.max()), np.exp(np.zeros(3))
        s, s0 = e.sum(), e0.sum()
        direct = np.array([0.0, 0.5 * (1 / s + 1 / s0), 0.0])
        m = (direct + 0.5 * (e[1] + e0[1]) * (1 / s - 1 / s0) / (s - s0)) * (e - e0) / dx
    return m * dx


@pytest.mark.parametrize("kind", ["rescale", "centred", "quotient", "gradient"])
def test_10_softmax(kind):
    b = Builder()
    g = b.build(b.add(Softmax(1), b.input("x", (None, 3))))
    x = np.array([1.0, 2.0, -1.0])
    theirs = softmax_theirs(kind, x)
    if kind == "centred":
        assert theirs == pytest.approx([-0.062009, 0.248034, 0.062009], abs=5e-7)                # peers.md, 2.4.4
    same = [("gradient_x_input", ())] if kind == "gradient" else []
    named(g, x[None], "deeplift.rescale", theirs, {"softmax": kind}, same, target=1, output="probability")


# ----- 11: noise --------------------------------------------------------------------------------------------------


def noise_theirs(kind, x, seed=3):
    def draws(n, sigma):
        unit = np.random.default_rng([seed, 0]).standard_normal((n, 2))                          # the draws that the docs name
        return sigma * unit

    def slope(p):
        return np.array([3.0, -1.5]) * p**2 - 1

    if kind == "captum":
        return np.mean([slope(x + e) for e in draws(5, 1.0)], axis=0)
    if kind == "captum Saliency":
        return np.mean([abs(slope(x + e)) for e in draws(5, 1.0)], axis=0)
    if kind == "PAIR":
        return np.mean([slope(x + e) ** 2 for e in draws(25, 0.15 * 3.5)], axis=0)
    if kind == "zennit":
        e = draws(20, 0.1 * 3.5)
        return np.mean([slope(x + v) for v in [*e[:19], np.zeros(2)]], axis=0)
    return np.mean([slope(x + e) for e in draws(50, 0.37)], axis=0)


@pytest.mark.parametrize(("kind", "expected"), [
    ("captum", {"noise": "absolute", "sigma": 1.0, "samples": 5}),
    ("captum Saliency", {"noise": "absolute", "sigma": 1.0, "samples": 5, "of": "saliency"}),
    ("PAIR", ("smoothgrad_squared", {"samples": 25})), ("zennit", {"sigma": 0.1, "samples": 20, "clean": True}),
    ("fitted", {"sigma": 0.37 / 3.5}),
])
def test_11_noise(kind, expected):
    b = Builder()
    x = b.input("x", (None, 2))
    cube = b.add(Dense(), b.add(Mul(), b.add(Mul(), x, x), x), b.param("w", [[1.0, -0.5]]))
    g = b.build(b.add(Add(), cube, b.add(Dense(), x, b.param("v", [[-1.0, -1.0]]))))
    at = np.array([1.5, -2.0])
    same = [("smoothgrad", ("noise", "sigma"))] if kind == "fitted" else []
    named(g, at[None], "smoothgrad", noise_theirs(kind, at), expected, same, target=None, seed=3)


# ----- 12, 13: class-activation maps ------------------------------------------------------------------------------

A = np.array([[[1.0, 0.0, 2.0], [0.5, 3.0, 0.25], [0.0, 1.0, 0.75]], [[0.5, 2.0, 0.0], [1.0, 0.25, 0.5], [1.5, 0.0, 1.0]]])
G = np.array([[[0.5, -0.2, 0.1], [0.3, 0.6, 0.0], [-0.1, 0.2, 0.1]], [[-0.3, 0.4, -0.2], [0.2, -0.7, 0.1], [0.1, -0.3, -0.2]]])


def map_net():
    """The input is A itself, twice its size by repetition; a layer picks every other pixel, so that A and G are as given."""
    b = Builder()
    pick = np.zeros((2, 2, 1, 1))
    pick[0, 0] = pick[1, 1] = 1
    a = b.add(ReLU(), b.add(Conv((2, 2)), b.input("x", (None, 2, 6, 6)), b.param("pick", pick)), name="a")
    return b.build(b.add(Dense(), b.add(Flatten(), a), b.param("g", [G.reshape(-1)]), name="f"))


HIGH = A + np.array([2.0, 0.0])[:, None, None]                          # so that the map is positive, and min-max is not division by max


def weighted(w, a=A):
    return sum(w[k] * a[k] for k in range(2))


def scaled(m):
    return (m - m.min()) / (m.max() - m.min())


RELU = np.vectorize(lambda v: max(v, 0.0))
MEAN_W = [G[k].sum() / 9 for k in range(2)]
KERAS = [G[k].sum() / 9 / (0.6 + 1e-7) for k in range(2)]
GUIDED = [sum(G[k].reshape(-1)[(A[k].reshape(-1) > 0) & (G[k].reshape(-1) > 0)]) / 9 for k in range(2)]
LARGE = hand.upsampled(weighted(MEAN_W, HIGH), 6)
GRAD_CAMS = {
    "xplique": (A, hand.upsampled(RELU(weighted(MEAN_W)), 6), None),
    "authors": (A, hand.upsampled(RELU(weighted([9 * v for v in MEAN_W])), 6), {"weights": "sum"}),
    "captum": (A, np.kron(weighted(MEAN_W), np.ones((2, 2))), {"relu": False, "upsample": "nearest"}),
    "pytorch-grad-cam": (HIGH, hand.upsampled(scaled(weighted(MEAN_W, HIGH)), 6), {"normalize": "min_max_first"}),
    "tf-keras-vis": (HIGH, scaled(LARGE), {"normalize": "min_max"}),
    "PAIR": (HIGH, LARGE / LARGE.max(), {"normalize": "max"}),
    "guided": (A, hand.upsampled(RELU(weighted(GUIDED)), 6), {"weights": "guided"}),
    "keras-vis, not scaled": (A, hand.upsampled(RELU(weighted(KERAS)), 6), {"weights": "normalized"}),
}


@pytest.mark.parametrize("library", GRAD_CAMS)
def test_12_grad_cam(library):
    a, theirs, settings = GRAD_CAMS[library]
    x = np.kron(a, np.ones((1, 2, 2)))
    named(map_net(), x[None], "grad_cam", theirs, settings, [], target=None)


def plus_plus(kind):
    s, out = (G * A).sum(), []
    for k in range(2):
        a, g = A[k].reshape(-1), G[k].reshape(-1)
        third = {"paper": a.sum() * g**3, "elementwise": np.full(9, (a * g**3).sum()), "mean": a.mean() * g**3, "square": 0 * g,
                 "normalized": a.sum() * g**3}[kind]
        alpha = np.array([0.0 if g[i] == 0 else g[i] ** 2 / (2 * g[i] ** 2 + third[i]) for i in range(9)])
        if kind == "square":
            alpha = g**2
        if kind == "normalized":
            alpha = alpha / alpha.sum()
        w = sum(alpha[i] * max(g[i], 0.0) for i in range(9))
        out.append(w / 9 if kind == "mean" else w * math.exp(s) if kind == "normalized" else w)
    return hand.upsampled(RELU(weighted(out)), 6)


@pytest.mark.parametrize(("kind", "settings"), [
    ("paper", {"score": "linear"}), ("elementwise", {"score": "linear", "weights": "elementwise"}),
    ("square", {"score": "linear", "weights": "square"}), ("mean", {"score": "linear", "weights": "mean"}), ("normalized", {"weights": "normalized"})],
    ids=["pytorch-grad-cam", "torchcam as meant", "torchcam", "xplique", "tf-keras-vis"])
def test_13_grad_cam_plus_plus(kind, settings):
    x = np.kron(A, np.ones((1, 2, 2)))
    named(map_net(), x[None], "grad_cam_plus_plus", plus_plus(kind), settings, target=None)


# ----- 14: occlusion ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("theirs", "settings"), [
    ([3, 4, 6, 7], None), ([3, 8, 12, 7], {"overlap": "sum"}), ([1.5, 2, 3, 3.5], {"overlap": "mean_per_cell"}),
    ([8, 8, 12, 12], {"overlap": "sum", "mode": "keep", "score": "raw", "border": "wrap"})],
    ids=["captum", "PAIR, xplique", "DeepExplain", "zennit"])
def test_14_occlusion(theirs, settings):
    b = Builder()
    g = b.build(b.add(Dense(), b.input("x", (None, 4)), b.param("w", [[1.0, 2.0, 3.0, 4.0]])))
    c = named(g, [[1.0, 1.0, 1.0, 1.0]], "occlusion", np.array(theirs, dtype=float) if settings is None or "mode" not in settings else
              kept_windows(), settings, target=None, window=2, stride=1)
    if settings and "mode" in settings:
        assert "zennit Occlusion" in str(c)


def kept_windows():
    """Windows of two that go round the border; the sum over those that cover an entry of f with all else taken away."""
    w = [1.0, 2.0, 3.0, 4.0]
    out = np.zeros(4)
    for start in range(4):
        inside = [start, (start + 1) % 4]
        out[inside] += sum(w[k] for k in inside)
    assert out.tolist() == [8, 8, 12, 12]
    return out


# ----- 15: KernelSHAP and LIME ------------------------------------------------------------------------------------


def game(z):
    """v of a set of three players, with an interaction."""
    x = np.array([1.0, 2.0, -1.5])
    h = np.maximum(W @ np.where([k in z for k in range(3)], x, 0.0) + B, 0)
    return float(V[0] @ h + C[0])


def kernel_theirs(kind):
    rows, y, w = [], [], []
    for z in hand.coalitions(3):
        k = len(z)
        if k in (0, 3):
            if kind == "none":
                continue
            weight = 1e6
        else:
            weight = 2 / (math.comb(3, k) * k * (3 - k))
        rows.append([float(i in z) for i in range(3)])
        y.append(game(z))
        w.append(weight)
    return hand.weighted_fit(rows, y, w)


@pytest.mark.parametrize(("kind", "settings"), [("weight", {"endpoints": "weight"}), ("none", {"endpoints": "none"})], ids=["captum", "xplique"])
def test_15_kernel_shap_endpoints(kind, settings):
    named(net(), [[1.0, 2.0, -1.5]], "kernel_shap", kernel_theirs(kind), settings)


def test_15_kernel_shap_is_exact_where_the_condition_is():
    phi = [sum((1 if i in z else -1) * math.factorial(len(z) - (i in z)) * math.factorial(3 - len(z) - (i not in z)) / 6 * game(z)
               for z in hand.coalitions(3)) for i in range(3)]
    named(net(), [[1.0, 2.0, -1.5]], "kernel_shap", phi, None)


@pytest.mark.thorough
def test_15_shap_keeps_ten_features():
    w = np.array([5.0, -4, 3, 2.5, -2.2, 2, 1.8, -1.6, 1.4, 1.2, 0.2, -0.1])
    b = Builder()
    g = b.build(b.add(Dense(), b.input("x", (None, 12)), b.param("w", [w])))
    rows = [[float(k in z) for k in range(12)] for z in hand.coalitions(12) if 0 < len(z) < 12]
    weight = [11 / (math.comb(12, int(sum(r))) * sum(r) * (12 - sum(r))) for r in rows]
    z = np.array(rows)
    y, keep = z @ w, list(range(10))                                    # the largest ten of an additive game
    first = hand.weighted_fit((z[:, keep[:-1]] - z[:, [9]]).tolist(), (y - z[:, 9] * w.sum()).tolist(), weight, intercept=False)
    theirs = np.zeros(12)
    theirs[:9], theirs[9] = first, w.sum() - first.sum()
    named(g, np.ones((1, 12)), "kernel_shap", theirs, {"features": 10}, target=None, samples=5000)


def lime_theirs(width=0.25, ridge=0.0, kernel="paper", distance="cosine"):
    rows = [[float(i in z) for i in range(3)] for z in hand.coalitions(3)]
    w = []
    for r in rows:
        d = 1 - math.sqrt(sum(r) / 3) if distance == "cosine" else math.sqrt(3 - sum(r))
        w.append(math.exp(-(d / width) ** 2 / (2 if kernel == "library" else 1)))
    return hand.weighted_fit(rows, [game({i for i in range(3) if r[i]}) for r in rows], w, ridge)


@pytest.mark.parametrize(("given", "settings"), [
    ({}, None), ({"kernel": "library"}, {"kernel": "library"}), ({"ridge": 1.0}, {"ridge": 1}), ({"ridge": 2.0}, {"ridge": 2}),
    ({"width": 0.4}, {"width": 0.4}),
    pytest.param({"kernel": "library", "ridge": 1.0}, {"kernel": "library", "ridge": 1}, marks=pytest.mark.thorough),
    pytest.param({"width": 1.3, "distance": "euclidean"}, {"width": 1.3, "distance": "euclidean"}, marks=pytest.mark.thorough)])
def test_15_lime(given, settings):
    same = [("lime", ("width",))] if settings == {"kernel": "library"} else \
        [("lime", ("width", "ridge"))] if settings and len(settings) == 2 and "kernel" in settings else []
    named(net(), [[1.0, 2.0, -1.5]], "lime", lime_theirs(**given), settings, same, draw="all")


# ----- the tables -------------------------------------------------------------------------------------------------


def test_only_settings_that_methods_have_are_searched():
    for method, setting, value in choices():
        assert setting in METHODS[method].settings or setting in ("output", "layer"), (method, setting)
        default = METHODS[method].settings.get(setting, "logit")
        assert value is None or default is None or isinstance(value, (type(default), int, float, str)), (method, setting, value)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda e: f"{e.peer} {e.method} {e.ours}")
def test_profiles_name_settings_that_exist(entry):
    row = METHODS[entry.ours]
    assert set(entry.settings) <= {*row.settings, "output"}
    assert not entry.versions or isinstance(entry.covers("0.9.0"), bool)
    assert not entry.vector or entry.vector in {v.id for v in vectors()}


def test_every_value_that_is_searched_is_taken():
    """A value that a method refuses for its name would be searched in vain."""
    g = map_net()
    x = np.kron(A, np.ones((1, 2, 2)))[None]
    for method, setting, value in choices():
        if setting in ("steps", "samples") or method == "lrp.z_box":
            continue
        settings = {"window": 2} if method == "occlusion" else {"mask": 2, **({"samples": 40} if "samples" in METHODS[method].settings else {})} \
            if "mask" in METHODS[method].settings else {}
        settings |= {"low": -1, "high": 4} if "low" in METHODS[method].settings else {}
        settings |= {"samples": 2} if method in ("smoothgrad", "smoothgrad_squared", "vargrad") else {}
        settings |= {"lasso": 0} if setting == "ridge" else {"ridge": 0} if setting == "lasso" else {}
        settings |= {"layer": "a", "neuron": 0} if (method, value) in [("conductance", v) for v in ("trapezoid_captum", "gauss_legendre")] else {}
        try:
            xc.explain(g, x, method, **settings, **{setting: value})
        except XaicoreError as error:
            refused = str(error)
            if "does not exist" in refused or "no setting" in refused:
                raise


GIVEN_UP = [("lrp.alpha_beta", {"bias": "whole"}), ("lrp.epsilon", {"sums": "repeat"}), ("lrp.w_square", {"variant": "with-bias"}),
            ("lrp.flat", {"layer_eps": 0.1}), ("lrp.epsilon", {"averages": "uniform"}), ("lrp.epsilon", {"start": "ones"}),
            ("lrp.epsilon", {"batchnorm": "pass"}), ("deeplift.rescale", {"pool": "winner"})]


@pytest.mark.parametrize(("method", "settings"), GIVEN_UP)
def test_a_convention_promises_no_axiom_that_it_gives_up(method, settings):
    """The skip network of the residual sum, with an average pool: nothing that is promised is broken."""
    b = Builder()
    x = b.input("x", (None, 1, 4))
    h = b.add(ReLU(), b.add(Conv((1,)), x, b.param("w", [[[1.5]]]), b.param("b", [0.25])))
    pooled = b.add(Flatten(), b.add(AvgPool((2,), (2,)), b.add(Add(), h, x)))
    g = b.build(b.add(Dense(), pooled, b.param("v", [[1.0, -0.5], [0.5, 2.0]]), b.param("c", [0.5, -0.25])))
    report = xc.check(g, np.array([[[1.0, 3.0, 2.0, 5.0]], [[-1.0, 2.0, 0.5, 1.0]]]), methods=[method], settings={method: settings})
    assert not report.broken, str(report)
