"""Hand-worked numbers that need more than one call of a method; all others are in xaicore/oracle/worked/."""

from fractions import Fraction as F

import numpy as np

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B, close


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
