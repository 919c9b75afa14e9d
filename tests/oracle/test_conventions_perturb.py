"""Conventions of occlusion, KernelSHAP and LIME (14 and 15 of fifteen): theirs is a loop of its own, and compare must name it, and no other."""

import math

import numpy as np
import pytest

from tests.oracle import by_hand as hand
from tests.oracle.theirs import B, C, V, W, named, net
from xaicore import Builder
from xaicore.ops import Dense

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
