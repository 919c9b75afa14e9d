"""A convolution and its adjoint for small maps, in as few calls as there are: there the calls count, not the numbers that they touch.

What follows from the shapes alone is worked out once for them (``Plan``). What conv.py does is the definition, and the twin in the tests,
bit for bit.
"""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xaicore.numerics import Array, matmul
from xaicore.ops import laid, together

SMALL = 1 << 18
"""Bytes of all windows up to which a map is small: a piece of conv.py holds them, and what the cache has besides stays in it."""

Geometry = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], int, bool]
"""``conv.Geometry``: stride, dilation, pads, groups, fast."""


class Plan(NamedTuple):
    """Where the windows of one convolution lie, in x with its channels innermost, or plane by plane where there is one channel.

    turned   the axes of x (N, C, *S) in the order of the room, and ``back``, those of the product in the order of y
    room     the shape of x with its padding, in which x itself is ``inside`` (None: there is no padding)
    seen     the shape of all windows, and how far they lie apart in the room in bytes
    rows     the shape of the windows as a matrix, or of as many matrices as samples, plane by plane
    """

    planes: bool
    turned: tuple[int, ...]
    room: tuple[int, ...]
    inside: Any
    seen: tuple[tuple[int, ...], tuple[int, ...]]
    rows: tuple[int, ...]
    product: tuple[int, ...]
    back: tuple[int, ...]


def planned(x: Array, w: Array, at: Geometry) -> Plan | None:
    """The plan of ``convolve``; None where the map is not small, or conv.py has a faster way."""
    return _planned(x.shape, w.shape, at, x.itemsize) if x.dtype is w.dtype and x.dtype.kind == "f" else None


@lru_cache(maxsize=256)
def _planned(x: tuple[int, ...], w: tuple[int, ...], at: Geometry, itemsize: int) -> Plan | None:
    stride, dilation, pads, groups, fast = at
    (n, channels, *space), (outputs, _, *kernel), rank = x, w, len(w) - 2
    high = [s + a + b for s, (a, b) in zip(space, pads)]
    count = [(s - (k - 1) * d - 1) // t + 1 for s, k, t, d in zip(high, kernel, stride, dilation)]
    bytes_of_windows = n * channels * prod(kernel) * prod(count) * itemsize
    others = groups > 1 or n >= together.MANY or prod(w) >= laid.LEAST or (fast and kernel == [3, 3])
    if others or bytes_of_windows > SMALL or min(map(min, pads)) < 0:
        return None
    planes = channels == 1
    room = (n, *high) if planes else (n, *high, channels)
    steps = [itemsize * prod(room[k + 1 :]) for k in range(len(room))]  # from one entry to the next along each axis
    over, within = ([b * t for b, t in zip(steps[1:], by)] for by in (stride, dilation))
    seen = (n, *kernel, *count) if planes else (n, *count, *kernel, channels)
    apart = (steps[0], *within, *over) if planes else (steps[0], *over, *within, itemsize)
    axes = tuple(range(2, 2 + rank))
    return Plan(
        planes, (0, *axes) if planes else (0, *axes, 1), room,
        None if high == space else (slice(None), *(slice(a, a + s) for s, (a, _) in zip(space, pads))),
        (seen, apart), (n, prod(kernel), prod(count)) if planes else (n * prod(count), prod(kernel) * channels),
        (n, outputs, *count) if planes else (n, *count, outputs), tuple(range(2 + rank)) if planes else (0, 1 + rank, *range(1, 1 + rank)))


def convolve(x: Array, w: Array, plan: Plan, b: Array | None = None) -> Array:
    """Conv of x (N, C, *S) by w (O, C, *K), plus b (O,): one copy of the windows, one product."""
    columns = _windows(x, plan)
    if plan.planes:
        y = matmul(w.reshape(len(w), -1), columns).reshape(plan.product)
        if b is not None:
            y += b.reshape(-1, *(1,) * (y.ndim - 2))
        return y
    y = matmul(columns, laid.short(w).T)
    if b is not None:
        y += b
    return y.reshape(plan.product).transpose(plan.back)


def _windows(x: Array, plan: Plan) -> Array:
    """All windows as the rows (or the columns, plane by plane) of a matrix: a copy, where no strides lead from one to the next."""
    x = x[:, 0] if plan.planes else x.transpose(plan.turned)
    if plan.inside is None:
        room = np.ascontiguousarray(x)
    else:
        room = np.zeros(plan.room, x.dtype)
        room[plan.inside] = x
    return np.ndarray(plan.seen[0], x.dtype, room, 0, plan.seen[1]).reshape(plan.rows)
