"""Subjects that the tests of metrics share: features, a picture of two channels, digits."""

from functools import cache

import numpy as np

from tests.nets import mlp
from xaicore import Builder
from xaicore.data import digits_images, digits_model
from xaicore.metrics import subject
from xaicore.ops import Conv, Dense, Flatten, ReLU


@cache
def feature_net(seed=0, inputs=6, classes=3):
    rng = np.random.default_rng(seed)
    return mlp([rng.normal(size=(8, inputs)), rng.normal(size=(classes, 8))], [rng.normal(size=8) / 4, rng.normal(size=classes) / 4])


@cache
def picture_net(seed=1):
    rng = np.random.default_rng(seed)
    b = Builder("picture", "float64")
    x = b.input("x", (None, 2, 5, 6))
    h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("w1", rng.normal(size=(4, 2, 3, 3)) / 3), b.param("b1", rng.normal(size=4) / 4), name="conv"))
    y = b.add(Dense(), b.add(Flatten(), h), b.param("w2", rng.normal(size=(3, 120)) / 8), b.param("b2", rng.normal(size=3) / 4), name="fc")
    return b.build(y)


def features(method="gradient_x_input", n=5, seed=0, **settings):
    x = np.random.default_rng([9, seed]).normal(size=(n, 6))
    return subject(feature_net(seed), x, method, **settings)


def picture(method="gradient_x_input", n=3, seed=0, **settings):
    x = np.random.default_rng([8, seed]).random((n, 2, 5, 6))
    return subject(picture_net(seed), x, method, **settings)


def digit(method="gradient_x_input", n=2, **settings):
    x, y = digits_images()
    return subject(digits_model(), x[:n], method, [int(v) for v in y[:n]], **settings)


def linear(weights, x, a=None, bias=None):
    """f(x) = w x of one output, one sample, and a map: w x unless given."""
    w, x = np.array([weights], dtype=float), np.array([x], dtype=float)
    return subject(mlp([w], [bias]), x, w * x if a is None else np.array([a], dtype=float), target=0)


def shown(a, shape=None):
    """A map as the subject of metrics that look at nothing else."""
    a = np.array([a], dtype=float)
    if a.ndim == 2:
        return subject(mlp([np.ones((2, a.shape[1]))], [None]), np.ones(a.shape), a, target=0)
    b = Builder("flat", "float64")
    x = b.input("x", (None, 1, *a.shape[1:]))
    y = b.build(b.add(Dense(), b.add(Flatten(), x), b.param("w", np.ones((2, a[0].size)))))
    return subject(y, np.ones((1, 1, *a.shape[1:])), a[:, None], target=0)
