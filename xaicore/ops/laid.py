"""Weights (O, C, *K) of a convolution, or (O, C) of a dense layer, as the matrices that products read, laid out for them where it pays.

    ahead(w)       (K * C, O)   windows of x times this is the convolution
    back(w)        (K * O, C)   windows of g times this, with the kernel turned around, is the adjoint for stride 1
    scattered(w)   (O, K * C)   g times this is what each window gets, for the adjoint with other strides

The library packs a matrix piece by piece before it multiplies, which takes as long as multiplying where positions are few: it packs fastest
what lies row by row. For 512 channels at 7 x 7 positions (K * C, O) took 1.6 ms, its transpose 2.0 ms, the products alone 1.0 ms. Small
products it does not pack at all: there ``times`` takes many of them (unpacked.py), 0.9 ms. What is laid out is kept; kernels of one
entry lie right in one of two directions, and what is gained in the other one is less.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from math import prod

import numpy as np

from xaicore.numerics import Array, matmul
from xaicore.ops import unpacked
from xaicore.ops.kept import holds, kept

LARGE = 1 << 15
"""Weights from which on it pays to lay them out; below, the library has other kernels for other layouts."""

LINE = 64
"""Bytes that memory hands out at a time."""


def pays(w: Array) -> bool:
    """Is ``w`` to be laid out?"""
    return w.size >= LARGE and prod(w.shape[2:]) > 1 and w.dtype.kind == "f"


def laid(w: Array) -> Array:
    """The same numbers as (O, C, *K), in memory as ``ahead`` reads them where it pays; what is made of it entry by entry lies so, too."""
    if not pays(w) or _windows_first(w).flags.c_contiguous:
        return w

    def turned(w: Array) -> Array:
        memory = np.empty(_windows_first(w).shape, w.dtype)
        out = np.empty_like(memory.transpose(w.ndim - 1, w.ndim - 2, *range(w.ndim - 2)))      # owns its memory, so that it can be kept
        _copy(_windows_first(w), _windows_first(out))
        return out

    return kept(w, "laid", turned)


def ahead(w: Array) -> Array:
    """w as the matrix (K * C, O)."""
    return _windows_first(laid(w)).reshape(-1, len(w)) if pays(w) else in_rows(w).T


def back(w: Array) -> Array:
    """w with its windows turned around as the matrix (K * O, C)."""
    return (kept(w, "back", lambda w: packed(_turned(w))) if pays(w) else _turned(w)).reshape(-1, w.shape[1])


def scattered(w: Array) -> Array:
    """w as the matrix (O, K * C)."""
    return (kept(w, "scattered", lambda w: packed(_outputs_first(w))) if pays(w) else _outputs_first(w)).reshape(len(w), -1)


def in_rows(w: Array) -> Array:
    """``scattered``, without keeping anything."""
    return _outputs_first(w).reshape(len(w), -1)


def short(w: Array) -> Array:
    """``scattered`` of few weights, kept."""
    return kept(w, "short", lambda w: packed(_outputs_first(w))).reshape(len(w), -1)


def short_back(w: Array) -> Array:
    """``short`` of the weights (C, O, *K) with which the adjoint is a convolution: those of w with their windows turned around."""
    if prod(w.shape[2:]) == 1:
        return w.reshape(w.shape[:2]).T
    turned = tuple(range(2, w.ndim))
    return kept(w, "short back", lambda w: packed(_outputs_first(np.flip(w.swapaxes(0, 1), turned)))).reshape(w.shape[1], -1)


# ----- products ---------------------------------------------------------------------------------------------------

FEW = 64
"""Rows up to which it pays most to lay weights out in runs, since packing them takes as long as multiplying: half of the time and less."""

LEAST = 1 << 12
"""Weights from which on runs pay."""

SHARE = 0.5
"""Of the budget of what is kept, for runs of weights that lie in rows of outputs or inputs already: others gain more by that memory."""

Matrix = Callable[[Array], Array]
"""One of the three above."""

Times = Callable[[Array, "Array | None"], Array]
"""(x, out) -> x times a matrix."""


def times(matrix: Matrix, w: Array, rows: int) -> Times:
    """The product of x, of ``rows`` rows in all, with one of the matrices of w above: as one, or in small products with w in runs."""
    columns = w.size // len(w) if matrix is scattered else w.shape[0 if matrix is ahead else 1]
    if w.size >= LEAST and unpacked.pays(rows, w.size // columns, columns, w.dtype):
        at_hand = prod(w.shape[2:]) == 1 or (matrix is ahead and _windows_first(w).flags.c_contiguous)
        what = "in runs", matrix.__name__
        if holds(w, what, SHARE if at_hand and rows > FEW else 1):
            views: dict[Matrix, Matrix] = {ahead: _windows_first, back: _turned, scattered: in_rows}
            return partial(unpacked.product, kept(w, what, lambda w: unpacked.in_runs(views[matrix](w))))
    return partial(_whole, matrix(w))


def _whole(matrix: Array, x: Array, out: Array | None = None) -> Array:
    return matmul(x, matrix, out)


# ----- memory -----------------------------------------------------------------------------------------------------


def packed(x: Array) -> Array:
    """x in a new array, row by row in memory."""
    return _copy(x, np.empty(x.shape, x.dtype))


def _copy(x: Array, out: Array) -> Array:
    """``out``, row by row in memory, with the numbers of x; where those run across memory some columns at a time, as they come along."""
    step = LINE // x.itemsize if abs(x.strides[-1]) > LINE else max(1, x.shape[-1])
    for start in range(0, x.shape[-1], step):
        out[..., start : start + step] = x[..., start : start + step]
    return out


def _windows_first(w: Array) -> Array:
    """(*K, C, O), a view."""
    return w.transpose(*range(2, w.ndim), 1, 0)


def _outputs_first(w: Array) -> Array:
    """(O, *K, C), a view."""
    return w.transpose(0, *range(2, w.ndim), 1)


def _turned(w: Array) -> Array:
    """(*K, O, C) with the windows turned around, a view."""
    return np.flip(w, tuple(range(2, w.ndim))).transpose(*range(2, w.ndim), 0, 1)
