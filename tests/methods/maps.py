"""What the tests of the maps of layers share: the methods, a layer whose values and gradient are known, a network that pools its maps."""

from fractions import Fraction as F

import numpy as np

from xaicore import Builder
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, Mean, ReLU, Reshape, Transpose
from xaicore.oracle.strategies import numbers

A = np.array([[[[1.0, 0.0], [2.0, 3.0]]]])
G = np.array([[[[0.5, -0.2], [0.1, 0.0]]]])
FAMILY = ("grad_cam", "grad_cam_plus_plus", "layer_cam", "hires_cam", "xgrad_cam", "score_cam", "faster_score_cam", "ablation_cam", "eigen_cam")


def fixture(score=2.0, dtype="float64"):
    """f = Σ G A + c with A the value "conv", so that f = ``score`` at A."""
    b = Builder(dtype=dtype)
    exact = dtype == "exact"
    g = np.array([[[[F(1, 2), F(-1, 5)], [F(1, 10), F(0)]]]], dtype=object) if exact else G
    at = np.array([[[[1, 0], [2, 3]]]]) if exact else A
    h = b.add(Conv(), b.input("x", (None, 1, 2, 2)), b.param("one", np.ones((1, 1, 1, 1), dtype=int if exact else float)), name="conv")
    bias = (F(score) if exact else score) - (g * at).sum()
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("g", g.reshape(1, 4)), b.param("c", np.array([bias]))))


def pooled(rng, size, channels=3, dtype="float64", pool=GlobalAvgPool, layout=False):
    """conv -> relu -> global average -> dense on (N, 2, size, size)."""
    b = Builder()
    x = b.input("x", (None, size, size, 2) if layout else (None, 2, size, size))
    if layout:
        b.meta["layout.x"] = "NHWC"
        x = b.add(Transpose((0, 3, 1, 2)), x)
    h = b.add(ReLU(), b.add(Conv(), x, b.param("k", numbers(rng, (channels, 2, 1, 1))), b.param("c", numbers(rng, (channels,)))), name="maps")
    h = b.add(Reshape((channels,)), b.add(GlobalAvgPool(), h)) if pool is GlobalAvgPool else b.add(Mean((2, 3)), h)
    return b.build(b.add(Dense(), h, b.param("w", numbers(rng, (2, channels))), b.param("b", numbers(rng, (2,))))).astype(dtype)


def rationals(x):
    return np.vectorize(F, otypes=[object])(x)
