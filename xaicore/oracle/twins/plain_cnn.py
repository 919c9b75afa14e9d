"""A small convolutional network as nested loops over numbers, forward and backward: what gradients and maps are checked against.

``network`` builds it as a graph; ``Plain`` reads the graph's parameters and computes the same with lists. Nothing is shared but the
numbers: Plain knows no operator, no rule and no vjp.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU, Reshape
from xaicore.oracle.twins.draws import Rng, odd

Map = list[list[float]]
Maps = list[Map]

HIDDEN, LAST = 3, 4
"""Channels of the two convolutions."""


def network(rng: Rng, pooled: bool = False, side: int = 6) -> Graph:
    """conv1 (3 x 3, padded) - relu1 - pool (2 x 2) - conv2 (2 x 2) - relu2 - flatten or global average - f (3), on (N, 2, side, side)."""
    b = Builder("plain_pooled" if pooled else "plain")
    first = b.param("k1", odd(rng, HIDDEN, 2, 3, 3)), b.param("c1", odd(rng, HIDDEN))
    h = b.add(Conv(pads=((1, 1), (1, 1))), b.input("x", (None, 2, side, side)), *first, name="conv1")
    h = b.add(MaxPool((2, 2)), b.add(ReLU(), h, name="relu1"), name="pool")
    h = b.add(Conv(), h, b.param("k2", odd(rng, LAST, HIDDEN, 2, 2)), b.param("c2", odd(rng, LAST)), name="conv2")
    h = b.add(ReLU(), h, name="relu2")
    places = (side // 2 - 1) ** 2
    h = b.add(Reshape((LAST,)), b.add(GlobalAvgPool(), h)) if pooled else b.add(Flatten(), h)
    return b.build(b.add(Dense(), h, b.param("w", odd(rng, 3, LAST if pooled else LAST * places)), b.param("b", odd(rng, 3)), name="f"))


class Plain:
    """The same network of one sample, in loops. ``target`` is the output entry that is f."""

    def __init__(self, graph: Graph, target: int):
        p = {k: np.asarray(v, dtype=float).tolist() for k, v in graph.params.items()}
        self.k1, self.c1, self.k2, self.c2 = (p[k] for k in ("k1", "c1", "k2", "c2"))
        self.w: list[float] = p["w"][target]
        self.b: float = p["b"][target]
        self.pooled = graph.name == "plain_pooled"

    # ----- forward --------------------------------------------------------------------------------------------------

    def maps(self, x: Any) -> tuple[Maps, Maps, Maps, Maps]:
        """The values conv1, pool, conv2, relu2."""
        z1 = convolved(x, self.k1, self.c1, 1)
        pool = [pooled(rectified(m)) for m in z1]
        z2 = convolved(pool, self.k2, self.c2, 0)
        return z1, pool, z2, [rectified(m) for m in z2]

    def behind(self, a: Maps) -> float:
        """f as a function of relu2."""
        return self.b + sum(v * g for ak, gk in zip(a, self.slopes(a)) for row, slopes in zip(ak, gk) for v, g in zip(row, slopes))

    def __call__(self, x: Any) -> float:
        return self.behind(self.maps(x)[3])

    # ----- backward -------------------------------------------------------------------------------------------------

    def slopes(self, a: Maps) -> Maps:
        """∂f/∂relu2: the head's weights, one for each place, or for each channel and divided by the places."""
        rows, columns = len(a[0]), len(a[0][0])
        if self.pooled:
            return [[[self.w[k] / (rows * columns)] * columns for _ in range(rows)] for k in range(len(a))]
        return [[[self.w[(k * rows + i) * columns + j] for j in range(columns)] for i in range(rows)] for k in range(len(a))]

    def gradient(self, x: Any, guided: bool = False) -> Maps:
        """∂f/∂x; guided: at each ReLU what is negative is cut off, too."""
        return self.at_relu1(x, guided)[1]

    def at_relu1(self, x: Any, guided: bool = False) -> tuple[Maps, Maps]:
        """(∂f/∂relu1, ∂f/∂x)."""
        z1, pool, z2, a = self.maps(x)
        g = gated(z2, self.slopes(a), guided)
        g = back(g, self.k2, len(pool[0]), len(pool[0][0]), 0)
        at = [unpooled(rectified(m), gk) for m, gk in zip(z1, g)]
        return at, back(gated(z1, at, guided), self.k1, len(x[0]), len(x[0][0]), 1)


def convolved(x: Any, kernels: Any, biases: Sequence[float], pad: int) -> Maps:
    """y[o][i][j] = c[o] + Σ k[o][c][p][q] x[c][i + p - pad][j + q - pad], 0 outside."""
    height, width, size = len(x[0]), len(x[0][0]), len(kernels[0][0])
    out = []
    for kernel, bias in zip(kernels, biases):
        m = [[bias] * (width + 2 * pad - size + 1) for _ in range(height + 2 * pad - size + 1)]
        for i, row in enumerate(m):
            for j in range(len(row)):
                for c in range(len(x)):
                    for p in range(size):
                        for q in range(size):
                            r, s = i + p - pad, j + q - pad
                            if 0 <= r < height and 0 <= s < width:
                                row[j] += kernel[c][p][q] * x[c][r][s]
        out.append(m)
    return out


def back(g: Maps, kernels: Any, height: int, width: int, pad: int) -> Maps:
    """∂/∂x of the convolution: every product's share goes back to where its x came from."""
    size = len(kernels[0][0])
    out = [[[0.0] * width for _ in range(height)] for _ in kernels[0]]
    for kernel, m in zip(kernels, g):
        for i, row in enumerate(m):
            for j, v in enumerate(row):
                for c in range(len(out)):
                    for p in range(size):
                        for q in range(size):
                            r, s = i + p - pad, j + q - pad
                            if 0 <= r < height and 0 <= s < width:
                                out[c][r][s] += kernel[c][p][q] * v
    return out


def rectified(m: Map) -> Map:
    """max(v, 0)."""
    return [[max(v, 0.0) for v in row] for row in m]


def gated(z: Maps, g: Maps, guided: bool) -> Maps:
    """The ReLU backward: where z > 0, and with ``guided`` only where the signal is positive as well."""
    return [[[v if y > 0 and (v > 0 or not guided) else 0.0 for y, v in zip(*rows)] for rows in zip(zk, gk)] for zk, gk in zip(z, g)]


def pooled(m: Map) -> Map:
    """The largest of each 2 x 2 window."""
    return [[max(m[i][j], m[i][j + 1], m[i + 1][j], m[i + 1][j + 1]) for j in range(0, len(m[0]) - 1, 2)] for i in range(0, len(m) - 1, 2)]


def unpooled(m: Map, g: Map) -> Map:
    """The signal of each window at its largest entry, the first of equal ones."""
    out = [[0.0] * len(m[0]) for _ in m]
    for i, row in enumerate(g):
        for j, v in enumerate(row):
            window = [(2 * i + p, 2 * j + q) for p in range(2) for q in range(2)]
            best = window[0]
            for place in window[1:]:
                if m[place[0]][place[1]] > m[best[0]][best[1]]:
                    best = place
            out[best[0]][best[1]] += v
    return out
