"""The two networks of the quick tier without a framework: what is measured where torch is not installed, ours alone."""

from __future__ import annotations

import itertools

import numpy as np

from xaicore import Builder, Graph
from xaicore.ops import Conv, Dense, Flatten, MaxPool, ReLU

SHAPES = {"MLP": (784,), "LeNet": (1, 28, 28)}


def graph(name: str) -> Graph:
    """The architecture of ``networks.NETWORKS[name]`` with other random weights."""
    rng, b = np.random.default_rng(0), Builder(name, "float32")
    h = b.input("x", (None, *SHAPES[name]))

    def weighted(op: Conv | Dense, value: str, shape: tuple[int, ...], layer: str) -> str:
        scale = float(np.prod(shape[1:])) ** -0.5
        w, bias = (rng.uniform(-scale, scale, s).astype(np.float32) for s in (shape, shape[:1]))
        return b.add(op, value, b.param(f"{layer}.weight", w), b.param(f"{layer}.bias", bias), name=layer)

    if name == "LeNet":
        h = b.add(MaxPool((2, 2)), b.add(ReLU(), weighted(Conv(pads=((2, 2), (2, 2))), h, (6, 1, 5, 5), "conv1")))
        h = b.add(Flatten(), b.add(MaxPool((2, 2)), b.add(ReLU(), weighted(Conv(), h, (16, 6, 5, 5), "conv2"))))
    sizes = {"MLP": (784, 512, 256, 10), "LeNet": (400, 120, 84, 10)}[name]
    for k, (into, out) in enumerate(itertools.pairwise(sizes)):
        h = weighted(Dense(), h, (out, into), f"fc{k}")
        h = h if k == len(sizes) - 2 else b.add(ReLU(), h)
    return b.build(h)


def inputs(name: str, batch: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=(batch, *SHAPES[name])).astype(np.float32)
