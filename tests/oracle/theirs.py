"""The networks on which the conventions of libraries are told apart, and what compare must say: their name, and no other."""

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder
from xaicore.ops import Conv, Dense, Flatten, ReLU
from xaicore.oracle.compare import compare

X = np.array([1.0, -2.0, 3.0])
W = np.array([[1.0, -0.5, -0.25], [-0.5, 0.75, 1.25]])
B = np.array([0.5, -0.75])
V = np.array([[1.25, 0.5], [-0.5, 2.0]])
C = np.array([0.25, -0.125])
Z = W @ X + B
H = np.maximum(Z, 0)
Y = V @ H + C
"""An input, two layers (weights W and V, biases B and C) and what they give of it."""

A = np.array([[[1.0, 0.0, 2.0], [0.5, 3.0, 0.25], [0.0, 1.0, 0.75]], [[0.5, 2.0, 0.0], [1.0, 0.25, 0.5], [1.5, 0.0, 1.0]]])
G = np.array([[[0.5, -0.2, 0.1], [0.3, 0.6, 0.0], [-0.1, 0.2, 0.1]], [[-0.3, 0.4, -0.2], [0.2, -0.7, 0.1], [0.1, -0.3, -0.2]]])
"""Two feature maps, and the gradient at them."""


def net(bias=B):
    """Dense, ReLU, Dense with two outputs."""
    b = Builder()
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", W), b.param("b", bias), name="one"))
    return b.build(b.add(Dense(), h, b.param("v", V), b.param("c", C), name="two"))


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


def map_net():
    """The input is A itself, twice its size by repetition; a layer picks every other pixel, so that A and G are as given."""
    b = Builder()
    pick = np.zeros((2, 2, 1, 1))
    pick[0, 0] = pick[1, 1] = 1
    a = b.add(ReLU(), b.add(Conv((2, 2)), b.input("x", (None, 2, 6, 6)), b.param("pick", pick)), name="a")
    return b.build(b.add(Dense(), b.add(Flatten(), a), b.param("g", [G.reshape(-1)]), name="f"))
