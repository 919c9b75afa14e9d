"""Where the windows of a pool lie on an axis, and what they see: whole numbers alone, so each answer is worked out once; and the way back
through windows that do not overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache, reduce
from math import prod
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np

from xaicore.numerics import Array, taps

T = TypeVar("T")

Axes: TypeAlias = tuple[Array, ...]
"""For each spatial axis an integer array (O, K): the positions in x that window o sees."""

Place: TypeAlias = "slice | Array"
"""What all windows see at one place in them along one axis: a slice where that is evenly spaced."""


@lru_cache(maxsize=256)
def positions(n: int, kernel: int, stride: int, dilation: int, pads: tuple[int, int], ceil: bool) -> Array:
    """Along one axis of n entries: (windows, kernel), read-only."""
    before, after = pads
    room = n + before + after - (kernel - 1) * dilation - 1
    count = (-(-room // stride) if ceil else room // stride) + 1
    count -= (count - 1) * stride >= n + before
    at = np.arange(count)[:, None] * stride + np.arange(kernel) * dilation - before
    at.flags.writeable = False
    return at


def by_place(axes: Axes) -> tuple[tuple[Place, ...], ...]:
    """For each axis, for each place in the window, what all windows see there."""
    return tuple(tuple(_place(at[:, k]) for k in range(at.shape[1])) for at in axes)


def _place(at: Array) -> Place:
    step = int(at[1] - at[0]) if len(at) > 1 else 1
    even = step > 0 and bool((np.diff(at) == step).all())
    return slice(int(at[0]), int(at[-1]) + 1, step) if even else at


def take(x: Array, place: Place, axis: int) -> Array:
    """np.take; a view where the positions are evenly spaced, which all but the windows at the edges are; else like x in memory."""
    if isinstance(place, slice):
        return x[(slice(None),) * axis + (place,)]
    out = np.empty_like(x, shape=(*x.shape[:axis], len(place), *x.shape[axis + 1 :]))
    out[...] = x[(slice(None),) * axis + (place,)]
    return out


def overhang(axes: Axes, x: Array) -> list[tuple[int, int]]:
    """By how many entries the windows reach beyond x at both ends of each axis; negative where they do not reach the end."""
    return [(-int(at.min()), int(at.max()) + 1 - n) for at, n in zip(axes, x.shape[2:])]


class Placed(NamedTuple):
    """The windows of a maximum over an input of one shape.

    looks    for each axis the positions, all of them inside x, and ``places`` the same by place in the window
    edges    by how many entries the windows reach beyond x at both ends of each axis
    seen     for each place in the window: the slices of the padded input that all windows see there, and which see x itself (None: all)
    apart    is no entry in two windows?
    stages   for ``largest``, axis by axis: what all windows see of x at each place in them along it; None where windows overlap, or reach
             beyond x
    """

    looks: Axes
    places: tuple[tuple[Place, ...], ...]
    edges: tuple[tuple[int, int], ...]
    seen: tuple[tuple[Any, Array | None], ...]
    apart: bool
    stages: tuple[tuple[Any, ...], ...] | None


@lru_cache(maxsize=256)
def placed(op: Any, shape: tuple[int, ...]) -> Placed:
    """The windows of ``op``, a pool, over an input of ``shape``; the errors of its ``positions``.

    A window that hangs over the edge looks twice at the entry of its own that is nearest: same maximum, same first winner, and no
    stand-in for minus infinity is needed, which rationals do not have.
    """
    x = np.broadcast_to(np.zeros(()), shape)
    axes, (stride, dilation, _) = op.positions(x), op.settings()
    looks = tuple(_inside(at, n) for at, n in zip(axes, shape[2:]))
    edges = tuple(overhang(axes, x))
    beyond = any(a > 0 or b > 0 for a, b in edges)
    seen = []
    for k, slices in taps(op.kernel, stride, dilation, [len(at) for at in axes]):
        own = [(at[:, j] >= 0) & (at[:, j] < n) for at, j, n in zip(axes, k, shape[2:])]
        seen.append((slices, reduce(np.logical_and.outer, own) if beyond else None))
    apart = all(s >= (k - 1) * d + 1 for s, k, d in zip(stride, op.kernel, dilation))
    places = by_place(looks)
    stages = tuple(tuple((slice(None),) * axis + (place,) for place in along) for axis, along in enumerate(places, 2))
    return Placed(looks, places, edges, tuple(seen), apart, stages if apart and not beyond else None)


def _inside(at: Array, n: int) -> Array:
    """Positions outside 0 to n - 1 as the nearest ones of their window that are inside."""
    low = np.where(at < 0, n, at).min(axis=1, keepdims=True)
    high = np.where(at >= n, -1, at).max(axis=1, keepdims=True)
    inside = np.clip(at, low, high)
    inside.flags.writeable = False
    return inside


def by_axis(axes: Sequence[T]) -> Iterator[tuple[int, T]]:
    """(axis of x, what belongs to it), the last axis first."""
    return ((2 + k, axes[k]) for k in reversed(range(len(axes))))


HANDED_ON = 2**17
"""Entries of x up to which ``handed_on`` is the faster way: 0.5 of the time for 6 maps of 28 x 28, 0.4 for 50 times 16 of 10 x 10; with
channels innermost 0.8 for 64 of 28 x 28, 1.1 for 512 of 14 x 14."""


def largest(x: Array, places: Sequence[Any]) -> Array:
    """The maximum of what windows see at the places in them along one axis."""
    best: Array = x[places[0]]
    for k, at in enumerate(places[1:]):
        best = np.maximum(best, x[at], out=best if k else None)
    return best


def handed_on(g: Array, x: Array, op: Any) -> Array:
    """``MaxPool.vjp`` where no entry of x is in two windows: g, put at the first place of its window, is handed on to the next place along
    an axis as long as something larger comes later.

    That is done from every entry of x, as all of them lie in one run of memory: between the first places there is nothing to hand on.
    """
    out = np.empty_like(x)                                              # like x in memory, without gaps
    starts, along = _runs(op, x.shape, out.strides, out.itemsize)
    out.fill(0)
    out[starts] = g
    best, held = (x if x.strides == out.strides else x.copy(order="K")).ravel("K"), out.ravel("K")
    goes: list[Array] = []
    for runs in along:                                                  # the last axis first, so that in a tie the outer axes decide first
        later = best[runs[-1]]                                          # the largest of what comes behind each entry
        for run in runs[-2::-1]:
            here = best[run]
            goes.append(here < later)
            if run.start or runs is not along[-1]:
                later = np.maximum(here, later)
        best = later
    for runs in reversed(along):
        here = left = held[runs[0]]
        for run in runs[1:]:
            there = held[run]
            left = left * goes.pop()
            here -= left
            there += left
            here = there
    return out


@lru_cache(maxsize=256)
def _runs(op: Any, shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> tuple[Any, tuple[tuple[slice, ...], ...]]:
    """What all windows of ``op`` see of x at their first place; and for each axis, the last one first, of x as one run of memory the runs
    of all first, second ... places along it, windows taken from every entry."""
    places, size = placed(op, shape).places, prod(shape)
    found = []
    for axis, along in by_axis(places):
        apart = strides[axis] // itemsize * op.settings()[1][axis - 2]
        found.append(tuple(slice(k * apart, size - (len(along) - 1 - k) * apart) for k in range(len(along))))
        size -= (len(along) - 1) * apart
    return (slice(None), slice(None), *(along[0] for along in places)), tuple(found)
