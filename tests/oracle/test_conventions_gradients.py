"""Conventions of quadrature, DeepLIFT and noise (1 and 9 to 11 of fifteen): theirs is a loop of its own, and compare must name it, and no other."""

import numpy as np
import pytest

from tests.oracle import by_hand as hand
from tests.oracle.theirs import named
from xaicore import Builder
from xaicore.ops import Add, Dense, Flatten, MaxPool, Mul, ReLU, Softmax

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
