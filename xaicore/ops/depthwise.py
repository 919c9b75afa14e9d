"""A convolution of every channel by itself, and its adjoint: sums over taps of x moved times one weight a channel, some rows at a time.

The loop over taps in conv.py is the definition, and the twin in the tests; these are its sums in its order, to the bit. Here they are taken
while the cache holds a few rows of the result, and along whole rows of memory, which all channels of a row of positions are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import prod

import numpy as np

from xaicore.numerics import Array, pad_spatial
from xaicore.ops.kept import kept

AT_ONCE = 1 << 15
"""Entries of the result that are summed up at a time; 2^14 took a third longer, 2^12 twice as long."""

Tap = tuple[tuple[int, ...], Array]
"""Where a tap begins to look, along each axis of space, and its weights for a row of positions (width * C,)."""


def convolve(x: Array, w: Array, stride: Sequence[int], dilation: Sequence[int], pads: Sequence[tuple[int, int]]) -> Array:
    """Channels-last x (N, *S, C), w (C, 1, *K) -> (N, *S', C)."""
    padded, kernel = pad_spatial(x, (*pads, (0, 0))), w.shape[2:]
    count = [(n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(padded.shape[1:-1], kernel, stride, dilation, strict=True)]
    y = (np.empty if w.size else np.zeros)((len(x), *count, x.shape[-1]), x.dtype)     # of windows that see nothing, 0
    *outer, step = stride
    columns = [np.ascontiguousarray(padded[..., p::step, :]) for p in range(step)]  # what lies ``stride`` apart in a row, side by side
    for n in range(len(x)):
        _sum_up(((columns[at[-1] % step][n], (*at[:-1], at[-1] // step), v) for at, v in _taps(w, dilation, count[-1])), outer, y[n])
    return y


def adjoint_x(
    g: Array, w: Array, space: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pads: Sequence[tuple[int, int]],
) -> Array:
    """<g, convolve(x, w)> = <adjoint_x(g, w), x> for channels-last g, and x (N, *space, C).

    What lies ``stride`` apart in x is found by itself: there the taps that reach it move g by whole steps.
    """
    first = [a // s for (a, _), s in zip(pads, stride, strict=True)]
    reach = [-(-(a + n) // s) - f for n, (a, _), s, f in zip(space, pads, stride, first, strict=True)]
    most = [(k - 1) * d // s for k, d, s in zip(w.shape[2:], dilation, stride, strict=True)]
    moved = pad_spatial(g, (*((m - f, f + r - c) for m, f, r, c in zip(most, first, reach, g.shape[1:-1])), (0, 0)))
    out = np.zeros((len(g), *(m for n, s in zip(reach, stride) for m in (n, s)), g.shape[-1]), g.dtype)
    one = [1] * (len(stride) - 1)
    for phase in np.ndindex(*stride):
        taps = [(tuple([m - a // s for m, a, s in zip(most, at, stride)]), v) for at, v in _taps(w, dilation, reach[-1])
                if all(a % s == p for a, s, p in zip(at, stride, phase))]
        for n in range(len(g) if taps else 0):
            part = np.empty((*reach, g.shape[-1]), g.dtype)
            _sum_up(((moved[n], at, v) for at, v in taps), one, part)
            out[(n, *(i for p in phase for i in (slice(None), p)))] = part
    y = out.reshape(len(g), *(n * s for n, s in zip(reach, stride)), g.shape[-1])
    return y[(slice(None), *(slice(a - f * s, a - f * s + n) for n, (a, _), f, s in zip(space, pads, first, stride)))]


def _taps(w: Array, dilation: Sequence[int], width: int) -> Iterator[Tap]:
    """Row-major."""
    for k, v in zip(np.ndindex(*w.shape[2:]), kept(w, ("side by side", width), lambda w: _side_by_side(w, width)), strict=True):
        yield tuple([i * d for i, d in zip(k, dilation)]), v


def _side_by_side(w: Array, width: int) -> Array:
    """The weights of each tap for a row of ``width`` positions: (taps, width * C)."""
    by_tap = w.reshape(len(w), prod(w.shape[2:])).T
    out = np.empty((len(by_tap), width * len(w)), w.dtype)
    out.reshape(len(by_tap), width, len(w))[...] = by_tap[:, None]
    return out


def _sum_up(taps: Iterator[tuple[Array, tuple[int, ...], Array]], outer: Sequence[int], out: Array) -> None:
    """out (*S', C) = Σ x[at, at + outer, ...] v over (x, at, v), the last axis of space without a step; some rows of ``out`` at a time."""
    *lines, width, channels = out.shape
    run = width * channels
    seen = []
    for x, at, v in taps:
        rows = tuple(slice(a, a + (m - 1) * s + 1, s) for a, m, s in zip(at, lines, outer, strict=False))
        flat = x.reshape(*x.shape[:-2], -1)[(*rows, slice(at[-1] * channels, at[-1] * channels + run))]
        seen.append((flat if lines else flat[None], v))
    total = out.reshape(*lines, run) if lines else out.reshape(1, run)
    step = max(1, AT_ONCE // prod(total.shape[1:]))
    room = np.empty((min(step, len(total)), *total.shape[1:]), out.dtype)
    for r in range(0, len(total), step):
        some = total[r : r + step]
        product = room[: len(some)]
        for k, (x, v) in enumerate(seen):
            np.multiply(x[r : r + step], v, out=product if k else some)
            if k:
                some += product
