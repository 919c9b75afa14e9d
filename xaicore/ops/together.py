"""A convolution and its adjoint for many small images with few channels, with the batch innermost in memory: x as (C, *S, N).

There every tap of a window is a copy of long runs over all samples, where with the channels innermost a run has only as many entries as
there are channels. What conv.py does is the definition, and the twin in the tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from xaicore.numerics import Array, filled, matmul, pad_spatial, taps

MANY, FEW, SMALL = 8, 8, 1024
"""From so many samples on, up to so many channels of x (and four times as many of y) and up to so many positions this is faster. Measured
for the adjoint of 3 x 3 and 5 x 5 windows on 8 x 8 to 28 x 28 positions: .2 to .9 of the time with 3 and 6 channels, more with 32."""

PIECE = 1 << 21
"""Windows are gathered in pieces of about this many bytes."""


def innermost(x: Array) -> bool:
    """Has x (N, C, *S) many samples, and the batch as its innermost axis in memory? Then ``convolve`` takes no turning around of x."""
    return len(x) >= MANY and x.dtype.kind == "f" and x.strides[0] == x.itemsize and _inside(x).flags.c_contiguous


def pays(g: Array, w: Array) -> bool:
    """Is ``adjoint_x`` the faster one, also where it turns g around and its result back?"""
    return len(g) >= MANY and g.dtype.kind == "f" and w.shape[1] <= FEW and len(w) <= 4 * FEW and prod(g.shape[2:]) <= SMALL


def convolve(x: Array, w: Array, stride: Sequence[int], dilation: Sequence[int], pads: Sequence[tuple[int, int]]) -> Array:
    """Conv without bias and groups: (N, C, *S), (O, C, *K) -> (N, O, *S'), the batch innermost in memory."""
    seen, kernel = _inside(pad_spatial(x, pads)), w.shape[2:]
    count = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(seen.shape[1:-1], kernel, stride, dilation, strict=True)]
    y, matrix = np.empty((len(w), *count, len(x)), x.dtype), w.reshape(len(w), -1)
    for rows in _rows(matrix.shape[1], count, len(x) * x.itemsize):
        some = [rows.stop - rows.start, *count[1:]]
        columns = np.empty((w.shape[1], *kernel, *some, len(x)), x.dtype)
        for k, slices in taps(kernel, stride, dilation, some):
            columns[(slice(None), *k)] = seen[:, rows.start * stride[0] :][(slice(None), *slices)]
        matmul(matrix, columns.reshape(matrix.shape[1], -1), out=y[:, rows].reshape(len(w), -1))
    return _outside(y)


def adjoint_x(
    g: Array, w: Array, space: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pads: Sequence[tuple[int, int]],
) -> Array:
    """<g, convolve(x, w)> = <adjoint_x(g, w), x> for x (N, C, *space), the batch innermost in memory."""
    given, kernel = np.ascontiguousarray(_inside(g)), w.shape[2:]
    out = filled((w.shape[1], *(n + a + b for n, (a, b) in zip(space, pads, strict=True)), len(g)), 0, g)
    count, matrix = given.shape[1:-1], w.reshape(len(w), -1).T
    for rows in _rows(len(matrix), count, len(g) * g.itemsize):
        some = (rows.stop - rows.start, *count[1:])
        columns = matmul(matrix, given[:, rows].reshape(len(w), -1)).reshape(w.shape[1], *kernel, *some, len(g))
        reached = out[:, rows.start * stride[0] :]
        for k, slices in taps(kernel, stride, dilation, some):
            reached[(slice(None), *slices)] += columns[(slice(None), *k)]
    return pad_spatial(_outside(out), [(-a, -b) for a, b in pads])


def _inside(x: Array) -> Array:
    """Axis 0 as the last one, a view."""
    return x.transpose(*range(1, x.ndim), 0)


def _outside(x: Array) -> Array:
    """The last axis as axis 0, a view."""
    return x.transpose(x.ndim - 1, *range(x.ndim - 1))


def _rows(width: int, count: Sequence[int], bytes_each: int) -> Iterator[slice]:
    """Some rows of all windows, each of ``width`` entries for every sample, in pieces of about PIECE bytes."""
    step = max(1, PIECE // max(1, width * prod(count[1:]) * bytes_each))
    return (slice(r, min(r + step, count[0])) for r in range(0, count[0], step))
