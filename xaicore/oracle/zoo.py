"""Small networks that every check of an explainer runs on: the same ones each time, the constructs that break explainers among them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.numerics import Array
from xaicore.ops import Add, AvgPool, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU

Rng = np.random.Generator


@dataclass(frozen=True)
class Sample:
    """A network, an input of two samples and a class."""

    name: str
    graph: Graph
    feeds: Mapping[str, Array]
    target: int


def _numbers(rng: Rng, *shape: int) -> Array:
    """Odd multiples of 1/256 in (-1, 1): exact in float32, and no sum of them is zero by chance."""
    return np.asarray((rng.integers(-128, 128, shape) * 2 + 1) / 256)


def _dense(b: Builder, rng: Rng, x: str, inputs: int, outputs: int, name: str) -> str:
    return b.add(Dense(), x, b.param(f"{name}.weight", _numbers(rng, outputs, inputs)), b.param(f"{name}.bias", _numbers(rng, outputs)),
                 name=name)


def _conv(b: Builder, rng: Rng, x: str, inputs: int, outputs: int, name: str, **fields: int) -> str:
    w = b.param(f"{name}.weight", _numbers(rng, outputs, inputs // fields.get("groups", 1), 3, 3))
    return b.add(Conv((fields.get("stride", 1),) * 2, pads=((1, 1), (1, 1)), groups=fields.get("groups", 1)), x, w,
                 b.param(f"{name}.bias", _numbers(rng, outputs)), name=name)


def _mlp(rng: Rng) -> Graph:
    b = Builder("a multilayer perceptron")
    n, m = int(rng.integers(2, 6)), int(rng.integers(3, 8))
    h = b.add(ReLU(), _dense(b, rng, b.input("x", (None, n)), n, m, "fc1"), name="relu1")
    return b.build(_dense(b, rng, b.add(ReLU(), _dense(b, rng, h, m, m, "fc2"), name="relu2"), m, 3, "out"))


def _residual(rng: Rng) -> Graph:
    b = Builder("a residual network")
    x = b.input("x", (None, 4))
    h = b.add(Add(), b.add(ReLU(), _dense(b, rng, x, 4, 4, "fc1"), name="relu1"), x, name="skip")
    return b.build(_dense(b, rng, b.add(ReLU(), h, name="relu2"), 4, 3, "out"))


def _reused(rng: Rng) -> Graph:
    b = Builder("a layer that is called twice")
    x = b.input("x", (None, 4))
    w, c = b.param("shared.weight", _numbers(rng, 4, 4)), b.param("shared.bias", _numbers(rng, 4))
    h = b.add(ReLU(), b.add(Dense(), x, w, c, name="shared1", layer="shared"), name="relu1")
    return b.build(_dense(b, rng, b.add(ReLU(), b.add(Dense(), h, w, c, name="shared2", layer="shared"), name="relu2"), 4, 3, "out"))


def _cnn(rng: Rng) -> Graph:
    b = Builder("a convolutional network")
    h = b.add(ReLU(), _conv(b, rng, b.input("x", (None, 2, 6, 6)), 2, 4, "conv1"), name="relu1")
    h = b.add(MaxPool((2, 2)), h, name="pool")
    h = b.add(ReLU(), _conv(b, rng, h, 4, 4, "conv2", groups=2), name="relu2")
    return b.build(_dense(b, rng, b.add(Flatten(), h, name="flat"), 36, 3, "out"))


def _pooled(rng: Rng) -> Graph:
    b = Builder("a strided network with averages")
    h = b.add(ReLU(), _conv(b, rng, b.input("x", (None, 2, 6, 6)), 2, 3, "conv1", stride=2), name="relu1")
    h = b.add(AvgPool((2, 2), (1, 1)), h, name="mean")
    return b.build(_dense(b, rng, b.add(Flatten(), b.add(GlobalAvgPool(), h, name="pool"), name="flat"), 3, 3, "out"))


KINDS: tuple[Callable[[Rng], Graph], ...] = (_mlp, _cnn, _residual, _reused, _pooled)


def zoo(count: int, dtype: Literal["float32", "float64"] = "float64", seed: int = 0) -> Iterator[Sample]:
    """``count`` networks of all kinds in turn, each with its own numbers; the first ones are the same for every count."""
    for k in range(count):
        rng = np.random.default_rng([seed, k])
        graph = KINDS[k % len(KINDS)](rng)
        x = _numbers(rng, 2, *(int(n or 1) for n in graph.inputs["x"].shape[1:])).astype(dtype)
        yield Sample(f"{graph.name} (number {k})", graph.astype(dtype), {"x": x}, k % 3)
