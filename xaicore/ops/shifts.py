"""Windows over channels-last arrays, and the sum of what windows give back. Where they lie is worked out once for a shape.

For a small map the calls count, not the numbers that they touch: all windows are one view, and all that comes back is one copy and one sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod

import numpy as np
from numpy.lib.stride_tricks import as_strided

from xaicore.numerics import Array

FEW = 2**16
"""Entries up to which ``added_up`` lays what comes from the windows side by side: 5 x 5 windows on 28 x 28 positions took a fifth of the
time of 25 additions; from some 100,000 entries on these are as fast."""

PLANES = 4
"""Input channels up to which the adjoint goes plane by plane: runs along a row are longer than runs along so few channels. The first layer
of VGG16 took 0.4 of the time, that of ResNet18 0.3."""


def windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """Of channels-last x (N, *S, C) a read-only view (N, *S', *K, C): entry [n, o, k] is x[n, o * stride + k * dilation]."""
    shape, strides = _seen(x.shape, x.strides, tuple(kernel), tuple(stride), tuple(dilation))
    if not x.flags.c_contiguous or x.dtype == object:
        return as_strided(x, shape, strides, writeable=False)
    view = np.ndarray(shape, x.dtype, x, 0, strides)                    # the same in an eighth of the time
    view.flags.writeable = False
    return view


@lru_cache(maxsize=256)
def _seen(
    shape: tuple[int, ...], strides: tuple[int, ...], kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...],
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and strides of the view."""
    space = strides[1:-1]
    count = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(shape[1:-1], kernel, stride, dilation, strict=True)]
    steps = (*(b * s for b, s in zip(space, stride)), *(b * d for b, d in zip(space, dilation)))
    return (shape[0], *count, *kernel, shape[-1]), (strides[0], *steps, strides[-1])


def few(lead: int, kernel: Sequence[int], space: Sequence[int], dtype: np.dtype) -> bool:
    """Is ``added_up`` the faster way for so many arrays of this size?"""
    return dtype.kind == "f" and lead * prod(kernel) * prod(space) <= FEW


def added_up(columns: Array, space: tuple[int, ...], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """What windows give back, summed where they overlap: columns (L, *K, *S') of floats -> (L, *space), in row-major order of K.

    Each place in the window has an array of ``space`` to itself, so that one copy lays all windows where they belong, and one sum over
    the places adds them up in the order in which a loop over the places would.
    """
    kernel = columns.shape[1 : 1 + len(space)]
    apart = np.zeros((len(columns), prod(kernel), prod(space)), columns.dtype)
    steps = laid(apart.itemsize, kernel, space, tuple(stride), tuple(dilation))
    np.ndarray(columns.shape, apart.dtype, apart, 0, steps)[...] = columns
    return np.add.reduce(apart, axis=1).reshape(len(columns), *space)   # type: ignore[no-any-return]


@lru_cache(maxsize=256)
def laid(
    itemsize: int, kernel: tuple[int, ...], space: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...],
) -> tuple[int, ...]:
    """Strides of a view (L, *K, *S') of (L, prod(K), prod(space)): [l, k, o] is o stride + k dilation in the k-th array of ``space``."""
    whole = prod(space)
    row = [prod(space[k + 1 :]) for k in range(len(space))]             # entries from one place to the next along each axis of space
    taps = [prod(kernel[k + 1 :]) * whole + d * row[k] for k, d in enumerate(dilation)]
    return tuple(itemsize * n for n in (prod(kernel) * whole, *taps, *(s * r for s, r in zip(stride, row))))
