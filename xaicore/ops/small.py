"""A convolution and its adjoint for small maps, in as few calls as there are: there the calls count, not the numbers that they touch.

What follows from the shapes alone is worked out once for them (``Plan``). What conv.py does is the definition, and the twin in the tests,
bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple

import numpy as np

from xaicore.numerics import Array, in_range, matmul
from xaicore.ops import laid, shifts, together

SMALL = 1 << 19
"""Bytes of all windows up to which a map is small. Of the time of conv.py's own way the two convolutions of LeNet took 0.7 and 0.65 there,
0.8 and 0.65 back; with more to copy and to multiply less is gained, and BLOCK_BYTES of conv.py is where it takes more than one piece."""

Geometry = tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...], int, bool]
"""``conv.Geometry``: stride, dilation, pads, groups, fast."""


class Plan(NamedTuple):
    """Where the windows of one convolution lie, in x with its channels innermost, or plane by plane where there is one channel.

    turned   the axes of x (N, C, *S) in the order of the room
    room     the shape of x with its padding, in which x itself is ``inside`` (None: there is no padding)
    seen     the shape of all windows, and ``apart``, how far they lie apart in the room in bytes
    rows     the shape of the windows as a matrix: (positions, K * C), or (N, K, positions) of planes
    product  the shape of the product, and ``back``, its axes in the order of y
    """

    planes: bool
    turned: tuple[int, ...]
    room: tuple[int, ...]
    inside: Any
    seen: tuple[int, ...]
    apart: tuple[int, ...]
    rows: tuple[int, ...]
    product: tuple[int, ...]
    back: tuple[int, ...]


def planned(x: Array, w: Array, at: Geometry) -> Plan | None:
    """The plan of ``convolve``; None where the map is not small, or conv.py has a faster way."""
    return _planned(x.shape, w.shape, at, x.itemsize) if x.dtype is w.dtype and x.dtype.kind == "f" else None


@lru_cache(maxsize=256)
def _planned(x: tuple[int, ...], w: tuple[int, ...], at: Geometry, itemsize: int) -> Plan | None:
    stride, dilation, pads, *_ = at
    (n, channels, *space), (outputs, _, *kernel), rank = x, w, len(w) - 2
    high = [s + a + b for s, (a, b) in zip(space, pads)]
    count = [(s - (k - 1) * d - 1) // t + 1 for s, k, t, d in zip(high, kernel, stride, dilation)]
    if _elsewhere(n, w, at) or n * channels * prod(kernel) * prod(count) * itemsize > SMALL:
        return None
    planes, axes = channels == 1, tuple(range(2, 2 + rank))
    room = (n, *high) if planes else (n, *high, channels)
    steps = [itemsize * prod(room[k + 1 :]) for k in range(len(room))]  # from one entry to the next along each axis
    over, within = ([b * t for b, t in zip(steps[1:], by)] for by in (stride, dilation))
    return Plan(
        planes=planes, turned=(0, *axes) if planes else (0, *axes, 1), room=room,
        inside=None if high == space else (slice(None), *(slice(a, a + s) for s, (a, _) in zip(space, pads))),
        seen=(n, *kernel, *count) if planes else (n, *count, *kernel, channels),
        apart=(steps[0], *within, *over) if planes else (steps[0], *over, *within, itemsize),
        rows=(n, prod(kernel), prod(count)) if planes else (n * prod(count), prod(kernel) * channels),
        product=(n, outputs, *count) if planes else (n, *count, outputs), back=(0, 1 + rank, *range(1, 1 + rank)))


def _elsewhere(n: int, w: tuple[int, ...], at: Geometry) -> bool:
    """Does conv.py go other ways with so many samples, such weights or such a geometry?"""
    _, _, pads, groups, fast = at
    return groups > 1 or n >= together.MANY or prod(w) >= laid.LEAST or (fast and w[2:] == (3, 3)) or min(map(min, pads)) < 0


def convolve(x: Array, w: Array, plan: Plan, b: Array | None = None) -> Array:
    """Conv of x (N, C, *S) by w (O, C, *K), plus b (O,): one copy of the windows, one product."""
    if plan.planes:
        y = matmul(w.reshape(len(w), -1), _windows(x[:, 0], plan)).reshape(plan.product)
        if b is not None:
            y += b.reshape(-1, *(1,) * (y.ndim - 2))
        return y
    y = matmul(_windows(x.transpose(plan.turned), plan), laid.short(w).T)
    if b is not None:
        y += b
    return y.reshape(plan.product).transpose(plan.back)


def _windows(x: Array, plan: Plan) -> Array:
    """The matrix of all windows: a copy, but where strides lead from one to the next."""
    if plan.inside is None:
        room = np.ascontiguousarray(x)
    else:
        room = np.zeros(plan.room, x.dtype)
        room[plan.inside] = x
    return np.ndarray(plan.seen, x.dtype, room, 0, plan.apart).reshape(plan.rows)


# ----- the way back -----------------------------------------------------------------------------------------------


class Back(NamedTuple):
    """Where what comes back belongs.

    around  the plan of the convolution with the kernel turned around, for stride 1; else, plane by plane:
    rows    the shape of g as matrices (N, O, positions)
    columns the shape of what the windows get, (N * C, *K, *S'), and ``apart``, how far it lies apart where each place in the window has
            an array to itself, ``lone`` (N * C, prod(K), all of space with its padding)
    whole   the shape of all of space, of which x is ``inside``
    """

    around: Plan | None = None
    rows: tuple[int, ...] = ()
    columns: tuple[int, ...] = ()
    apart: tuple[int, ...] = ()
    lone: tuple[int, ...] = ()
    whole: tuple[int, ...] = ()
    inside: Any = None


def planned_back(g: Array, w: Array, space: Sequence[int], at: Geometry) -> Back | None:
    """The plan of ``adjoint_x``; None where the map is not small, or conv.py has a faster way."""
    return _planned_back(g.shape, w.shape, tuple(space), at, g.dtype) if g.dtype is w.dtype and g.dtype.kind == "f" else None


@lru_cache(maxsize=256)
def _planned_back(g: tuple[int, ...], w: tuple[int, ...], space: tuple[int, ...], at: Geometry, dtype: np.dtype[Any]) -> Back | None:
    stride, dilation, pads, *_ = at
    (n, outputs, *count), (_, channels, *kernel) = g, w
    if _elsewhere(n, w, at):
        return None
    if channels > shifts.PLANES:                                        # as in conv.adjoint_x
        rest = tuple(((k - 1) * d - a, (k - 1) * d - b) for k, d, (a, b) in zip(kernel, dilation, pads))
        if set(stride) != {1} or not 1 < outputs <= 3 * channels:
            return None
        turned = _planned(g, (channels, outputs, *kernel), (stride, dilation, rest, 1, False), dtype.itemsize)
        return None if turned is None else Back(turned)
    whole = tuple(s + a + b for s, (a, b) in zip(space, pads))
    if channels * prod(kernel) == 1 or not shifts.few(n * channels, kernel, whole, dtype):
        return None
    return Back(
        rows=(n, outputs, prod(count)), columns=(n * channels, *kernel, *count),
        apart=shifts.laid(dtype.itemsize, tuple(kernel), whole, stride, dilation), lone=(n * channels, prod(kernel), prod(whole)),
        whole=(n, channels, *whole), inside=None if whole == space else (..., *(slice(a, a + s) for s, (a, _) in zip(space, pads))))


def adjoint_x(g: Array, w: Array, plan: Back) -> Array:
    """<g, convolve(x, w)> = <adjoint_x(g, w), x>: one product and one copy, and a sum of what came to each place from each window."""
    if plan.around is not None:
        y = matmul(_windows(g.transpose(plan.around.turned), plan.around), laid.short_back(w).T)
        return y.reshape(plan.around.product).transpose(plan.around.back)
    planes = g if g.flags.c_contiguous else np.moveaxis(np.ascontiguousarray(np.moveaxis(g, 1, -1)), -1, 1)
    columns = np.matmul(w.reshape(len(w), -1).T, planes.reshape(plan.rows))
    lone = np.zeros(plan.lone, g.dtype)
    np.ndarray(plan.columns, g.dtype, lone, 0, plan.apart)[...] = columns.reshape(plan.columns)
    out = in_range(np.add.reduce(lone, axis=1)).reshape(plan.whole)     # fewer numbers than the product has
    return out if plan.inside is None else out[plan.inside]
