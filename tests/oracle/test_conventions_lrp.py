"""Conventions of LRP (2 to 8 of fifteen): theirs is a loop of its own, and compare must name it, and no other."""

import math

import numpy as np
import pytest

from tests.oracle import by_hand as hand
from tests.oracle.theirs import B, C, H, V, W, X, Y, Z, named, net
from xaicore import Builder
from xaicore.ops import Add, AvgPool, BatchNorm, Dense, Flatten, ReLU


def two(rule, start=None):
    """The rule in both layers, from output 0."""
    r = rule(H, V, C, np.array([Y[0], 0.0]) if start is None else start)
    return rule(X, W, B, r)


def layer(share, bottom):
    return lambda x, w, b, r: hand.lrp_layer(x, w, b, r, share, bottom)


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
