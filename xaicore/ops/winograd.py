"""Winograd's minimal filtering for 3 x 3 windows with stride 1: the same sums, taken in another order with fewer products.

An output tile of m x m needs (m + 2)² products instead of 9 m²: y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A, where d is the tile of
(m + 2)² inputs and ⊙ becomes, over channels, a matrix product for each of the (m + 2)² positions. F(2, 3) saves a factor of
2.25, F(4, 3) one of 4. Each transform is one product with a Kronecker square, (Bᵀ ⊗ Bᵀ) d: a product of small matrices takes less
time than the passes over memory that its few additions would be. The adjoint is the same with the weights turned around; every step
transposed would need no other weights, but took a quarter longer, since what it scatters overlaps. Sums are reassociated: the error is
some ten times that of direct sums for F(4, 3), and about that of direct sums for F(2, 3) (measured in ``tests/ops/test_winograd.py``),
which is why this is ``speed="fast"`` and not the default.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks" (the transforms for the points 0, ±1, ±2, ∞).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction as Q
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from xaicore.numerics import Array, matmul
from xaicore.ops.kept import kept

Matrix = tuple[tuple[Q | int, ...], ...]

B: dict[int, Matrix] = {
    2: ((1, 0, -1, 0), (0, 1, 1, 0), (0, -1, 1, 0), (0, 1, 0, -1)),
    4: ((4, 0, -5, 0, 1, 0), (0, -4, -4, 1, 1, 0), (0, 4, -4, -1, 1, 0), (0, -2, -1, 2, 1, 0), (0, 2, -1, -2, 1, 0), (0, 4, 0, -5, 0, 1)),
}
"""Bᵀ: what becomes of the inputs of a tile."""

G: dict[int, Matrix] = {
    2: ((1, 0, 0), (Q(1, 2), Q(1, 2), Q(1, 2)), (Q(1, 2), Q(-1, 2), Q(1, 2)), (0, 0, 1)),
    4: ((Q(1, 4), 0, 0), (Q(-1, 6), Q(-1, 6), Q(-1, 6)), (Q(-1, 6), Q(1, 6), Q(-1, 6)), (Q(1, 24), Q(1, 12), Q(1, 6)),
        (Q(1, 24), Q(-1, 12), Q(1, 6)), (0, 0, 1)),
}
"""G: what becomes of the weights."""

A: dict[int, Matrix] = {
    2: ((1, 1, 1, 0), (0, 1, -1, -1)),
    4: ((1, 1, 1, 1, 1, 0), (0, 1, -1, 2, -2, 0), (0, 1, 1, 4, 4, 0), (0, 1, -1, 8, -8, 1)),
}
"""Aᵀ: how the products add up to the outputs of a tile."""

BLOCK_BYTES = 1 << 22
"""Tiles are transformed in pieces of about this size, which the cache holds."""

PIECE_BYTES = 1 << 22
"""Weights are transformed in pieces of about this size, each of which the tiles of a block use while the cache holds it."""


def correlate(
    x: Array, w: Array, m: int, pads: Sequence[tuple[int, int]] = ((0, 0), (0, 0)), turned: bool = False, bias: Array | None = None,
) -> Array:
    """y[n, i, j, o] = Σ_{c, a, b} w[o, c, a, b] x[n, i + a - before, j + b - before', c], with output tiles of m x m, m = 2 or 4.

    x (N, H, W, C) channels-last with ``pads`` (before, after) zeros around it, none negative, w (O, C, 3, 3), floats
    -> (N, H + before + after - 2, W + ..., O). ``turned`` reads w[c, o, 2 - a, 2 - b] for w[o, c, a, b], as the adjoint needs it, without
    a copy of the weights. ``bias`` (O,) is added.
    """
    (top, bottom), (left, right) = pads
    height, width = x.shape[1] + top + bottom - 2, x.shape[2] + left + right - 2
    down, across = -(-height // m), -(-width // m)
    y = np.empty((len(x), height, width, w.shape[1 if turned else 0]), x.dtype)
    rows = max(1, BLOCK_BYTES // ((m + 2) ** 2 * across * max(w.shape[:2]) * x.itemsize))
    rows = -(-down // -(-down // rows))                                     # blocks of about one size
    several = max(1, rows // down)                                          # whole samples, where one sample's tiles are few
    blocks = [(slice(n, n + several), slice(r, min(r + rows, down))) for n in range(0, len(x), several) for r in range(0, down, rows)]
    weights: Iterable[tuple[slice, Array]] = _weights(w, m, turned)
    weights = weights if len(blocks) == 1 else list(weights)
    padded = np.zeros((min(several, len(x)), rows * m + 2, across * m + 2, x.shape[3]), x.dtype)
    for n, r in blocks:
        part, tiles = x[n], padded[: len(x[n]), : (r.stop - r.start) * m + 2]
        first, last = (min(max(k - top, 0), x.shape[1]) for k in (r.start * m, r.stop * m + 2))
        above = max(first + top - r.start * m, 0)                           # rows of padding in front of the first one
        tiles[:, :above], tiles[:, above + last - first :] = 0, 0
        tiles[:, above : above + last - first, left : left + x.shape[2]] = part[:, first:last]
        _block(tiles, weights, m, bias, y[n, r.start * m : r.stop * m])
    return y


def _block(x: Array, weights: Iterable[tuple[slice, Array]], m: int, bias: Array | None, out: Array) -> None:
    """The outputs of some rows of tiles, written into ``out``."""
    size, down, across = m + 2, (x.shape[1] - 2) // m, (x.shape[2] - 2) // m
    a, b, c, d = x.strides
    tiles = as_strided(x, (size, size, len(x), down, across, x.shape[3]), (b, c, a, m * b, m * c, d), writeable=False)
    v = np.matmul(_square("B", m, x.dtype), tiles.reshape(size * size, -1)).reshape(size * size, -1, x.shape[3])
    p = np.empty((size * size, v.shape[1], out.shape[3]), x.dtype)
    for some, u in weights:
        np.matmul(v, u, out=p[:, :, some])
    parts = matmul(_square("A", m, x.dtype), p.reshape(size * size, -1)).reshape(m, m, *tiles.shape[2:5], -1)
    if bias is not None:
        parts += bias
    for i in range(m):
        for j in range(m):
            into = out[:, i::m, j::m]
            into[...] = parts[i, j, :, : into.shape[1], : into.shape[2]]


def _weights(w: Array, m: int, turned: bool) -> Iterator[tuple[slice, Array]]:
    """G w Gᵀ for every pair of channels, ((m + 2)², inputs, outputs), some outputs at a time; kept where w is a parameter.

    In the same pieces whether they are kept or not: which products are taken, and so their bits, does not depend on it.
    """
    pairs = w.reshape(*w.shape[:2], 9).transpose((0, 2, 1) if turned else (1, 2, 0))         # (inputs, 9, outputs)
    both = _square("G", m, w.dtype)
    both = both[:, ::-1] if turned else both
    step = max(1, round(PIECE_BYTES / (len(both) * len(pairs) * w.itemsize * 64))) * 64
    for start in range(0, pairs.shape[2], step):
        some = slice(start, start + step)

        def transformed(_: Array, some: slice = some) -> Array:
            u = np.empty((len(both), len(pairs), pairs[0, 0, some].size), w.dtype)
            np.matmul(both, pairs[:, :, some], out=u.transpose(1, 0, 2))
            return u

        yield some, kept(w, ("winograd", m, turned, start), transformed, fast=True)


@cache
def _square(which: str, m: int, dtype: Any) -> Array:
    """The Kronecker square of one of the transforms: what it is along both axes of a tile."""
    one = np.array([[float(v) for v in row] for row in {"A": A, "B": B, "G": G}[which][m]], dtype)
    return np.kron(one, one)
