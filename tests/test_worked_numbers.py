"""The hand-worked numbers of table 0.1 of the method catalogue, for every method that exists, and the same in rationals."""

from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B, close

CASES = [
    # method, settings, NET A at (3, 1), NET B at (2, 1)
    ("gradient", {}, (2, -5), (3, -1)),
    ("saliency", {}, (2, 5), (3, 1)),
    ("gradient_x_input", {}, (6, -5), (6, -1)),
    ("guided_backprop", {}, (3, -3), (3, -1)),
    ("deconvnet", {}, (1, -1), (3, -1)),
    ("integrated_gradients.exact", {}, (6, -5), (F(16, 3), F(-4, 3))),
    ("lrp.zero", {}, (6, -5), (6, -1)),
    ("lrp.zero", {"bias": "ignore"}, (6, -5), (F(16, 3), F(-4, 3))),
    ("lrp.epsilon", {"eps": F(1, 4)}, (F(144, 35), F(-128, 35)), None),
    ("lrp.gamma", {"gamma": 1}, (F(57, 35), F(-22, 35)), None),
    ("lrp.gamma", {"gamma": 1, "variant": "original"}, (F(57, 35), F(-22, 35)), None),
    ("lrp.z_plus", {}, (1, 0), None),
    ("lrp.alpha_beta", {"alpha": 1}, (1, 0), None),
    ("lrp.alpha_beta", {"alpha": 2}, (F(14, 5), F(-14, 5)), None),
    ("lrp.w_square", {"hidden": "zero"}, (2, -1), None),
    ("lrp.flat", {"hidden": "zero"}, (F(1, 2), F(1, 2)), None),
    ("lrp.z_box", {"hidden": "zero", "low": 0, "high": 4}, (0, 1), None),
    ("deeplift.rescale", {}, (6, -5), (F(16, 3), F(-4, 3))),
    ("deeplift.reveal_cancel", {}, (F(7, 2), F(-5, 2)), (F(13, 3), F(-1, 3))),
]


@pytest.mark.parametrize(("method", "settings", "on_a", "on_b"), CASES, ids=[f"{c[0]}{c[1] or ''}" for c in CASES])
def test_table(method, settings, on_a, on_b):
    for graph, x, expected in ((NET_A, X_A, on_a), (NET_B, X_B, on_b)):
        if expected is None:
            continue
        a = xc.explain(graph, x, method, **settings)
        assert close(np.asarray(a)[0], [float(v) for v in expected]), str(np.asarray(a))
        exact = xc.explain(graph.astype("exact"), x.astype(int), method, **settings)
        assert list(np.asarray(exact)[0]) == list(expected)


def test_sums():
    """alpha 2 beta 1 sums to 0 on NET A, where f = 1; occlusion to 3 on NET B, where f = 4."""
    assert xc.explain(NET_A.astype("exact"), [[3, 1]], "lrp.alpha_beta").total()[0] == 0
    assert xc.explain(NET_B, X_B, "occlusion").total()[0] == 3


def test_integrated_gradients_by_quadrature():
    """NET A is homogeneous of degree 1, so that the gradient is constant on the path and any quadrature is exact."""
    assert close(np.asarray(xc.explain(NET_A, X_A, "integrated_gradients"))[0], (6, -5))
    b = np.asarray(xc.explain(NET_B, X_B, "integrated_gradients", quadrature="midpoint", steps=3000))[0]
    assert np.abs(b - (16 / 3, -4 / 3)).max() < 1e-3    # one kink at alpha = 1/3: a midpoint rule errs by at most one cell, slope 3


def test_best_practice_composite():
    """eps 0.1 on the top layer, then alpha 1 beta 0 or equal shares: hidden (5.4545, -4.5455, 0)."""
    from xaicore.rules import RULE_SETS, flat, named, z_plus

    top = RULE_SETS["lrp.epsilon"](eps=F(1, 10))
    a = xc.explain(NET_A.astype("exact"), [[3, 1]], top.before((named("fc1"), z_plus())))
    assert list(a.layers["relu1"][0]) == [F(60, 11), F(-50, 11), 0]
    assert list(np.asarray(a)[0]) == [F(30, 11), F(-20, 11)]
    b = xc.explain(NET_A.astype("exact"), [[3, 1]], top.before((named("fc1"), flat())))
    assert list(np.asarray(b)[0]) == [F(5, 11), F(5, 11)]
