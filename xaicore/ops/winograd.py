"""Winograd's minimal filtering for 3 x 3 windows with stride 1: the same sums, taken in another order with fewer products.

An output tile of m x m needs (m + 2)² products instead of 9 m²: y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A, where d is the tile of
(m + 2)² inputs and ⊙ becomes, over channels, a matrix product for each of the (m + 2)² positions. F(2, 3) saves a factor of
2.25, F(4, 3) one of 4. A transform is a product with a small matrix along one axis of the tiles, then along the other: that takes less
time than the passes over memory that its few additions would be, and three fifths of the time of both axes in one product. The adjoint
is the same with the weights turned around; every step transposed would need no other weights, but took a quarter longer, since what it
scatters overlaps. Sums are reassociated: the error is some ten times that of direct sums for F(4, 3), and about that of direct sums for
F(2, 3) (measured in ``tests/ops/test_winograd.py``), which is why this is ``speed="fast"`` and not the default.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks" (the transforms for the points 0, ±1, ±2, ∞).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from fractions import Fraction as Q
from functools import cache
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import as_strided

from xaicore.numerics import Array, in_range
from xaicore.ops.kept import kept
from xaicore.ops.unpacked import SMALL, in_pieces

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

BLOCK_BYTES, LARGEST_BLOCK = 1 << 21, 1 << 23
"""Tiles are taken in pieces of about the first size, which the cache holds; where transformed weights are more than four times of it, so
that reading them again for each piece would count, in pieces of a quarter of theirs, up to the second."""

ROW_BYTES = 1 << 20
"""Rows of tiles are transformed some at a time, of about this size, which the cache of a core holds."""

PIECE_BYTES = 1 << 22
"""Weights are transformed in pieces of about this size, each of which the tiles of a block use while the cache holds it."""


WIDE, MANY = 64, 512
"""Outputs of such a product; half as many from MANY channels on, so that it has rows enough."""


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
    one = (m + 2) ** 2 * max(w.shape[:2]) * x.itemsize                      # bytes of a tile
    rows = max(1, max(BLOCK_BYTES, min(one * min(w.shape[:2]) // 4, LARGEST_BLOCK)) // (one * across))
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
    """The outputs of some rows of tiles, written into ``out``; transforms some rows at a time, products position by position."""
    size, down, across, channels, outputs = m + 2, (x.shape[1] - 2) // m, (x.shape[2] - 2) // m, x.shape[3], out.shape[3]
    v = np.empty((size, size, len(x), down, across, channels), x.dtype)
    p = np.empty((size, size, len(x), down, across, outputs), x.dtype)
    step = max(1, ROW_BYTES // (size * size * across * max(channels, outputs) * x.itemsize))
    rows = [(n, slice(r, min(r + step, down))) for n in range(len(x)) for r in range(0, down, step)]
    for n, r in rows:
        _tiles(x[n, r.start * m : r.stop * m + 2], m, v[:, :, n, r])
    for some, u in weights:
        _products(v.reshape(size * size, -1, channels), u, p.reshape(size * size, -1, outputs)[:, :, some])
    for n, r in rows:
        _outputs(p[:, :, n, r], m, bias, out[n, r.start * m : r.stop * m])


def _tiles(x: Array, m: int, v: Array) -> None:
    """v = Bᵀ d B for the tiles d of some rows (height, width, C): (m + 2, m + 2, rows, tiles across, C)."""
    size, (_, _, down, across, channels) = m + 2, v.shape
    row, entry, item = x.strides
    strips = as_strided(x, (down, size, x[0].size), (m * row, row, item), writeable=False)
    half = np.empty(strips.shape, x.dtype)
    _along("B", m, strips, half)
    strip, row, _ = half.strides
    tiles = as_strided(half, (size, size, down, across, channels), (row, entry, strip, m * entry, item), writeable=False)
    _along("B", m, tiles.reshape(size, size, -1), v.reshape(size, size, -1))


def _outputs(p: Array, m: int, bias: Array | None, out: Array) -> None:
    """Aᵀ p A, and the bias, of the products p (m + 2, m + 2, rows, tiles across, O), side by side in ``out`` (height, width, O)."""
    size, _, down, across, outputs = p.shape
    half, y = np.empty((m, size, p[0, 0].size), p.dtype), np.empty((m, m, down, across, outputs), p.dtype)
    _along("A", m, p.reshape(size, size, -1).swapaxes(0, 1), half.swapaxes(0, 1))
    _along("A", m, half, y.reshape(m, m, -1))
    in_range(y)
    if bias is not None:
        y += bias
    out[...] = y.transpose(2, 0, 3, 1, 4).reshape(down * m, across * m, outputs)[: len(out), : out.shape[1]]


def _along(which: str, m: int, x: Array, out: Array) -> None:
    """A transform along the last axis but one: out[..., i, :] = Σ_j t[i, j] x[..., j, :]."""
    t = _matrix(which, m, x.dtype)
    for part, run in in_pieces(x.shape[-1], SMALL // t.size):
        np.matmul(t, _beside(x[..., part], run), out=_beside(out[..., part], run))


def _beside(x: Array, run: int) -> Array:
    """Matrices (..., rows, n) as several of ``run`` columns: (..., n / run, rows, run), a view."""
    return x.reshape(*x.shape[:-1], -1, run).swapaxes(-3, -2)


def _products(v: Array, u: Array, out: Array) -> None:
    """out[k] = v[k] u[k] for v (positions, tiles, C) and u (positions, runs of outputs, C, run)."""
    _, several, channels, wide = u.shape
    for part, run in in_pieces(v.shape[1], SMALL // (channels * wide)):
        left, y = v[:, part], out[:, part]
        np.matmul(left.reshape(len(v), 1, -1, run, channels), u[:, :, None],
                  out=y.reshape(len(v), -1, run, several, wide).transpose(0, 3, 1, 2, 4))


def _wide(n: int, most: int) -> int:
    """The length of equal runs of n outputs, ``most`` at most; n where they would be narrow."""
    wide = next(k for k in range(min(n, most), 0, -1) if n % k == 0)
    return wide if wide >= 16 else n


def _weights(w: Array, m: int, turned: bool) -> Iterator[tuple[slice, Array]]:
    """G w Gᵀ for every pair of channels, ((m + 2)², runs, inputs, outputs of a run), some outputs at a time; kept for parameters.

    In the same pieces whether they are kept or not: which products are taken, and so their bits, does not depend on it.
    """
    pairs = w.reshape(*w.shape[:2], 9).transpose((0, 2, 1) if turned else (1, 2, 0))         # (inputs, 9, outputs)
    pairs = pairs[:, ::-1] if turned else pairs
    inputs, _, outputs = pairs.shape
    step = max(1, round(PIECE_BYTES / ((m + 2) ** 2 * inputs * w.itemsize * WIDE))) * WIDE
    for start in range(0, outputs, step):
        some = slice(start, min(start + step, outputs))
        wide = _wide(some.stop - start, WIDE if inputs < MANY else WIDE // 2)

        def transformed(_: Array, some: slice = some, wide: int = wide) -> Array:
            windows = pairs[:, :, some].reshape(inputs, 9, -1, wide).transpose(1, 2, 0, 3).reshape(3, 3, -1)
            half = np.empty((m + 2, 3, windows.shape[2]), w.dtype)
            u = np.empty(((m + 2) ** 2, (some.stop - some.start) // wide, inputs, wide), w.dtype)
            _along("G", m, windows.swapaxes(0, 1), half.swapaxes(0, 1))
            _along("G", m, half, u.reshape(m + 2, m + 2, -1))
            return u

        yield some, kept(w, ("winograd", m, turned, start), transformed, fast=True)


@cache
def _matrix(which: str, m: int, dtype: Any) -> Array:
    """One of the transforms, as numbers of ``dtype``."""
    return np.array([[float(v) for v in row] for row in {"A": A, "B": B, "G": G}[which][m]], dtype)
