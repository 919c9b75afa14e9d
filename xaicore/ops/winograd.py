"""Winograd's minimal filtering for 3 x 3 windows with stride 1: the same sums, taken in another order with fewer products.

An output tile of m x m needs (m + 2)² products instead of 9 m²: y = Aᵀ [(G w Gᵀ) ⊙ (Bᵀ d B)] A, where d is the tile of
(m + 2)² inputs and ⊙ becomes, over channels, a matrix product for each of the (m + 2)² positions. F(2, 3) saves a factor of
2.25, F(4, 3) one of 4. Sums are reassociated: the error is some ten times that of direct sums for F(4, 3), and about that of
direct sums for F(2, 3) (measured in ``tests/ops/test_winograd.py``), which is why this is ``speed="fast"`` and not the default.

Source: Lavin and Gray 2016, "Fast Algorithms for Convolutional Neural Networks" (the transforms for the points 0, ±1, ±2, ∞).
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction as Q

import numpy as np

from xaicore.numerics import Array, matmul

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

BLOCK_BYTES = 1 << 23
"""Tiles are transformed in pieces of about this size, since the products of a piece read all weights: 4 MiB took up to a fifth longer."""


def correlate(x: Array, w: Array, m: int, turned: bool = False) -> Array:
    """y[n, i, j, o] = Σ_{c, a, b} w[o, c, a, b] x[n, i + a, j + b, c], with output tiles of m x m, m = 2 or 4.

    x (N, H + 2, W + 2, C) channels-last, w (O, C, 3, 3), floats -> (N, H, W, O). ``turned`` reads w[c, o, 2 - a, 2 - b] for
    w[o, c, a, b], as the adjoint needs it, without a copy of the weights.
    """
    size, (height, width) = m + 2, (x.shape[1] - 2, x.shape[2] - 2)
    down, across = -(-height // m), -(-width // m)
    x = _reaching(x, down * m + 2, across * m + 2)
    u = _weights(w, m, turned)
    y = np.empty((len(x), height, width, u.shape[2]), x.dtype)
    rows = max(1, BLOCK_BYTES // (size * size * across * max(w.shape[:2]) * x.itemsize))
    several = max(1, rows // down)                                          # whole samples, where one sample's tiles are few
    for n in range(0, len(x), several):
        for r in range(0, down, rows):
            tiles = x[n : n + several, r * m : (min(r + rows, down)) * m + 2]
            out = y[n : n + several, r * m : (r + rows) * m]
            _block(tiles, u, m, out)
    return y


def _block(x: Array, u: Array, m: int, out: Array) -> None:
    """The outputs of some rows of tiles, written into ``out``."""
    size, down, across = m + 2, (x.shape[1] - 2) // m, (x.shape[2] - 2) // m
    bands = _combined(B[m], [x[:, i : i + (down - 1) * m + 1 : m] for i in range(size)])        # (size, n, down, W, C)
    d = np.empty((size, size, len(x), down, across, x.shape[3]), x.dtype)
    for band, into in zip(bands, d):
        _combined(B[m], [band[:, :, j : j + (across - 1) * m + 1 : m] for j in range(size)], into)
    p = matmul(d.reshape(size * size, -1, x.shape[3]), u).reshape(size, size, len(x), down, across, -1)
    for i, band in enumerate(_combined(A[m], list(p))):                                        # (size, n, down, across, O)
        for j, part in enumerate(_combined(A[m], list(band))):
            into = out[:, i::m, j::m]
            into[...] = part[:, : into.shape[1], : into.shape[2]]


def _weights(w: Array, m: int, turned: bool) -> Array:
    """G w Gᵀ for every pair of channels: ((m + 2)², inputs, outputs), a view of one matrix product."""
    g = np.array([[float(v) for v in row] for row in G[m]], w.dtype)
    both = np.kron(g, g)                                                                        # ((m + 2)², 9)
    u = (both[:, ::-1] if turned else both) @ w.reshape(-1, 9).T
    u = u.reshape(len(both), *w.shape[:2])
    return u if turned else u.transpose(0, 2, 1)


def _combined(matrix: Matrix, parts: Sequence[Array], out: Array | None = None) -> Array:
    """Σ_k matrix[a][k] parts[k] for each row a: additions, and products with small constants, without temporaries."""
    out = np.empty((len(matrix), *parts[0].shape), parts[0].dtype) if out is None else out
    scratch = np.empty(parts[0].shape, parts[0].dtype)
    for row, total in zip(matrix, out):
        used = [(c, part) for c, part in zip(row, parts) if c]
        c, part = min(used, key=lambda pair: pair[0] != 1)              # begin with one that needs no product, where there is one
        np.multiply(part, total.dtype.type(c), out=total)
        for factor, other in used:
            if other is part:
                continue
            if factor == 1:
                np.add(total, other, out=total)
            elif factor == -1:
                np.subtract(total, other, out=total)
            else:
                np.multiply(other, total.dtype.type(factor), out=scratch)
                np.add(total, scratch, out=total)
    return out


def _reaching(x: Array, height: int, width: int) -> Array:
    """x with zeros at its end, so that its tiles are whole."""
    if x.shape[1:3] == (height, width):
        return x
    out = np.zeros((len(x), height, width, x.shape[3]), x.dtype)
    out[:, : x.shape[1], : x.shape[2]] = x
    return out
