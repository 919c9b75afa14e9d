"""Five families of networks, each grown in two directions: the width of its layers and the size of its input. Weights are drawn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.graph.blocks import multi_head_attention
from xaicore.ops import GELU, LSTM, Add, BatchNorm, Conv, Dense, Flatten, GlobalAvgPool, LayerNorm, MaxPool, Mean, ReLU, Slice

CLASSES = 10


@dataclass(frozen=True)
class Family:
    """``make(width, side)`` gives the graph; the lists are what is measured, the other size staying at its middle entry."""

    name: str
    make: Callable[[int, int], Graph]
    widths: tuple[int, ...]
    sides: tuple[int, ...]
    width: str
    side: str

    def sizes(self) -> list[tuple[str, int, int]]:
        """(which grows, width, side): five of each kind."""
        return [*(("width", w, self.sides[2]) for w in self.widths), *(("input", self.widths[2], s) for s in self.sides)]


class _Net:
    """A builder with drawn weights: He's variance, so that values keep their size through any depth."""

    def __init__(self, name: str):
        self.b, self.rng = Builder(name, "float32"), np.random.default_rng(0)

    def weight(self, *shape: int) -> str:
        return self.b.param(f"w{len(self.b._params)}", self.rng.standard_normal(shape) * (2 / np.prod(shape[1:])) ** 0.5)

    def constant(self, value: float, n: int) -> str:
        return self.b.param(f"b{len(self.b._params)}", np.full(n, float(value)))

    def bias(self, n: int) -> str:
        return self.constant(0, n)

    def dense(self, x: str, out: int, into: int) -> str:
        return self.b.add(Dense(), x, self.weight(out, into), self.bias(out))

    def conv(self, x: str, out: int, into: int, stride: int = 1) -> str:
        return self.b.add(Conv(stride=(stride, stride), pads=((1, 1), (1, 1))), x, self.weight(out, into, 3, 3), self.bias(out))

    def relu(self, x: str) -> str:
        return self.b.add(ReLU(), x)


def mlp(width: int, side: int) -> Graph:
    """Three hidden layers."""
    net = _Net("MLP")
    x = net.b.input("x", (None, side))
    for into in (side, width, width):
        x = net.relu(net.dense(x, width, into))
    return net.b.build(net.dense(x, CLASSES, width))


def cnn(width: int, side: int) -> Graph:
    """Three blocks of two 3 x 3 convolutions and a maximum, the channels doubling."""
    net, channels = _Net("CNN"), 3
    x = net.b.input("x", (None, 3, side, side))
    for wide in (width, 2 * width, 4 * width):
        x = net.relu(net.conv(x, wide, channels))
        x = net.b.add(MaxPool((2, 2)), net.relu(net.conv(x, wide, wide)))
        channels = wide
    return net.b.build(net.dense(net.b.add(Flatten(), net.b.add(GlobalAvgPool(), x)), CLASSES, channels))


def residual_cnn(width: int, side: int) -> Graph:
    """Three stages of two residual blocks with BatchNorm, the channels doubling and the side halving."""
    net = _Net("residual CNN")

    def normed(x: str, n: int) -> str:
        return net.b.add(BatchNorm(), x, *(net.constant(v, n) for v in (1, 0, 0, 1)))

    x, channels = net.relu(normed(net.conv(net.b.input("x", (None, 3, side, side)), width, 3), width)), width
    for k, wide in enumerate((width, 2 * width, 4 * width)):
        for j in range(2):
            stride = 2 if k and not j else 1
            y = net.relu(normed(net.conv(x, wide, channels, stride), wide))
            y = normed(net.conv(y, wide, wide), wide)
            x = x if stride == 1 and wide == channels else normed(net.conv(x, wide, channels, stride), wide)
            x, channels = net.relu(net.b.add(Add(), x, y)), wide
    return net.b.build(net.dense(net.b.add(Flatten(), net.b.add(GlobalAvgPool(), x)), CLASSES, channels))


def transformer(width: int, side: int) -> Graph:
    """Two encoder blocks of four heads on ``side`` tokens of ``width`` numbers each."""
    net = _Net("transformer")

    def normed(x: str) -> str:
        return net.b.add(LayerNorm(), x, net.constant(1, width), net.bias(width))

    x = net.b.input("x", (None, side, width))
    for k in range(2):
        weights = [net.weight(width, width) for _ in range(4)]
        x = net.b.add(Add(), x, multi_head_attention(net.b, normed(x), weights, [None] * 4, heads=4, width=width, name=f"attention{k}"))
        y = net.b.add(GELU(), net.dense(normed(x), 4 * width, width))
        x = net.b.add(Add(), x, net.dense(y, width, 4 * width))
    return net.b.build(net.dense(net.b.add(Mean((1,)), normed(x)), CLASSES, width))


def lstm(width: int, side: int) -> Graph:
    """One LSTM over ``side`` steps of 32 numbers; the last step is classified."""
    net = _Net("LSTM")
    x = net.b.input("x", (None, side, 32))
    h = net.b.add(LSTM(), x, net.weight(4 * width, 32), net.weight(4 * width, width), net.bias(4 * width), net.bias(4 * width))
    last = net.b.add(Flatten(), net.b.add(Slice(1, side - 1, side), h))
    return net.b.build(net.dense(last, CLASSES, width))


FAMILIES = (
    Family("MLP", mlp, (256, 512, 1024, 2048, 4096), (256, 512, 1024, 2048, 4096), "units of a layer", "numbers"),
    Family("CNN", cnn, (8, 12, 16, 24, 32), (16, 32, 48, 64, 96), "channels of the first block", "pixels of a side"),
    Family("residual CNN", residual_cnn, (8, 12, 16, 24, 32), (16, 32, 48, 64, 96), "channels of the first stage", "pixels of a side"),
    Family("transformer", transformer, (32, 64, 128, 192, 256), (16, 32, 64, 128, 256), "numbers of a token", "tokens"),
    Family("LSTM", lstm, (32, 64, 128, 256, 512), (8, 16, 32, 64, 128), "units", "steps"),
)
