"""Small models for the tests of the command line, and what a command leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.ops import Conv, Dense, Flatten, LogSoftmax, Mean, Mul, ReLU, Softmax


@dataclass(frozen=True)
class Ran:
    """What a command left behind."""

    code: int
    out: str
    err: str


Run = Callable[..., Ran]


def cnn(name: str, channels: int, size: int, classes: int = 4) -> Graph:
    """conv, relu, flatten, dense, softmax with seeded weights."""
    rng = np.random.default_rng(7)
    b = Builder(name)
    x = b.input("image", (None, channels, size, size))
    h = b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("w1", rng.normal(size=(3, channels, 3, 3))), b.param("b1", rng.normal(size=3)),
              name="conv", layer="features.0")
    h = b.add(Flatten(), b.add(ReLU(), h, name="relu", layer="features.1"), name="flat")
    h = b.add(Dense(), h, b.param("w2", rng.normal(size=(classes, 3 * size * size)) / size), name="fc", layer="head")
    return b.build(b.add(Softmax(), h, name="prob"))


def table_model() -> Graph:
    """Five numbers in, three out."""
    rng = np.random.default_rng(8)
    b = Builder("table")
    x = b.input("x", (None, 5))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w", rng.normal(size=(6, 5))), name="fc1"), name="relu")
    return b.build(b.add(Dense(), h, b.param("v", rng.normal(size=(3, 6))), name="fc2"))


def odd_model() -> Graph:
    """Two inputs (one of indices) and operators that some families do not cover."""
    b = Builder("odd")
    x = b.input("x", (None, None, 6))
    b.input("ids", (None,), "int")
    w = b.param("w", np.random.default_rng(9).normal(size=(6, 6)))
    h = b.add(LogSoftmax(), b.add(Dense(), x, w, name="fc1"), name="inner")
    h = b.add(Mean((1,)), b.add(Mul(), h, x, name="gate"), name="mean")
    return b.build(b.add(Dense(), h, w, name="fc2"))
