"""Reading an image at the places of a grid, as spatial transformers do. The grid of an affine map is blocks.affine_grid."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from typing import ClassVar, Literal, NamedTuple, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, filled, is_exact, scalar, unbroadcast
from xaicore.ops.op import Op
from xaicore.ops.pointwise import whole


class Tap(NamedTuple):
    """One of the entries along an axis that a place reads: where (int), its weight, and the weight's slope in the place."""

    at: Array
    weight: Array
    slope: Array


@final
@dataclass(frozen=True)
class GridSample(Op):
    """y[n, c, o] is x[n, c] read at the place grid[n, o], whose last axis counts from the last spatial axis: (column, row).

    x (N, C, *S) with one to three spatial axes, grid (N or 1, *O, len(S)) -> (N, C, *O). Along an axis of S entries the
    coordinate v lies at ((v + 1) S - 1) / 2, so that -1 and 1 are the outer edges, and with ``align_corners`` at
    (v + 1) (S - 1) / 2, so that they are the middles of the outermost entries.
    mode: "linear" between neighbours; "nearest", halves to the even one; "cubic", Keys's with the coefficient -3/4.
    padding: outside x there are "zeros"; the last entry, "border"; or x mirrored at its edges, "reflection".
    Claims: "nearest" routes, and no signal passes to its grid; the others are affine in x, "linear" with weights >= 0. Where a
    signal passes to the grid no rule of LRP or DeepLIFT is known: their error says how to add one.
    The vjp of the grid is 0 where "border" or "reflection" clip the place to the ends.
    Raises ShapeError when ranks or batches do not fit.
    Source: Jaderberg et al. 2015, "Spatial Transformer Networks". Same as: torch.nn.functional.grid_sample (its bilinear and
    bicubic), ONNX GridSample in onnxruntime.   Differs: ONNX's reference clips the place, not the entries, of "cubic" and "border".
    """

    mode: Literal["linear", "nearest", "cubic"] = "linear"
    padding: Literal["zeros", "border", "reflection"] = "zeros"
    align_corners: bool = False

    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def __post_init__(self) -> None:
        if self.mode not in ("linear", "nearest", "cubic"):
            raise ShapeError(f"{self}: mode must be 'linear', 'nearest' or 'cubic'")
        if self.padding not in ("zeros", "border", "reflection"):
            raise ShapeError(f"{self}: padding must be 'zeros', 'border' or 'reflection'")

    @property
    def routes(self) -> bool:  # type: ignore[override]
        return self.mode == "nearest"

    @property
    def fixed_weights(self) -> Literal["nonnegative"] | None:  # type: ignore[override]
        """A cubic has negative weights."""
        return None if self.mode == "cubic" else "nonnegative"

    def affine(self, active: Sequence[bool]) -> bool:
        return self.routes or not active[1]

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        """With a signal at the grid there is no linear part to speak of."""
        return None if active[1] else super().weights(active)

    def blocks(self, i: int) -> bool:
        return i == 1 and self.mode == "nearest"

    def forward(self, *xs: Array) -> Array:
        x, grid = self._checked(*xs)
        batch = max(len(x), len(grid))
        y = filled((batch, x.shape[1], prod(grid.shape[1:-1])), 0, x)
        for at, weights, _ in self._corners(x, grid):
            y = y + prod(weights[1:], start=weights[0])[:, None] * _read(x, at)
        return np.asarray(y.reshape(batch, x.shape[1], *grid.shape[1:-1]))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, grid = self._checked(*xs)
        g = g.reshape(*g.shape[:2], -1)
        if i == 0:
            back = filled((len(g), x.shape[1], prod(x.shape[2:])), 0, x)
            rows, channels = np.ogrid[: len(g), : x.shape[1]]
            for at, weights, _ in self._corners(x, grid):
                moved = np.broadcast_to(prod(weights[1:], start=weights[0])[:, None] * g, g.shape)
                np.add.at(back, (rows[..., None], channels[..., None], at[:, None]), moved)
            return unbroadcast(back.reshape(-1, *x.shape[1:]), x.shape)
        rank = len(x.shape) - 2
        parts = [filled(g.shape[::2], 0, x) for _ in range(rank)]
        for at, weights, slopes in self._corners(x, grid) if self.mode != "nearest" else ():
            read = (g * _read(x, at)).sum(axis=1)
            for k in range(rank):
                parts[k] = parts[k] + read * prod((w for j, w in enumerate(weights) if j != k), start=slopes[k])
        back = np.stack(parts[::-1], axis=-1).reshape(-1, *grid.shape[1:])
        return unbroadcast(np.asarray(back, dtype=grid.dtype), grid.shape)

    def _checked(self, x: Array, grid: Array) -> tuple[Array, Array]:
        rank = x.ndim - 2
        if not 1 <= rank <= 3 or 0 in x.shape[2:]:
            raise ShapeError(f"{self}: x has shape {x.shape}, but (N, C, *S) with one to three axes in S, none empty, is expected")
        if grid.ndim != rank + 2 or grid.shape[-1] != rank:
            raise ShapeError(f"{self}: the grid has shape {grid.shape}, but (N, *O, {rank}) with {rank} axes in O is expected, since x "
                             f"has shape {x.shape}")
        if len(x) != len(grid) and 1 not in (len(x), len(grid)):
            raise ShapeError(f"{self}: x has {len(x)} samples and the grid {len(grid)}; the same number, or 1, is expected")
        return x, grid

    def _corners(self, x: Array, grid: Array) -> Iterator[tuple[Array, list[Array], list[Array]]]:
        """For each entry that a place reads: its number in space (N, O), and along each axis its weight and slope (N, O)."""
        space = x.shape[2:]
        axes = [self._taps(grid[..., -1 - k].reshape(len(grid), -1), n) for k, n in enumerate(space)]
        for taps in product(*axes):
            at = np.zeros(taps[0].at.shape, np.int64)
            for tap, n in zip(taps, space):
                at = at * n + tap.at
            yield at, [tap.weight for tap in taps], [tap.slope for tap in taps]

    # ----- one axis of ``n`` entries ----------------------------------------------------------------------------

    def _taps(self, v: Array, n: int) -> list[Tap]:
        """What coordinates v (N, O) read along the axis, the slopes those of v."""
        half = scalar(Fraction(n - 1 if self.align_corners else n, 2), v)
        place = (v + 1) * half - (0 if self.align_corners else scalar(Fraction(1, 2), v))
        turn = filled(v.shape, 1, v) * half                            # d place / d v
        if self.padding != "reflection":                               # so far outside all places are alike, and int64 holds these
            place = np.minimum(np.maximum(place, scalar(-4, v)), scalar(n + 3, v))
        if self.mode != "cubic":
            place, sign = self._inside(place, n)
            turn = turn * sign
        if self.mode == "nearest":
            one = filled(v.shape, 1, v)
            return [self._tap(_integers(round, place), one, 0 * one, n)]
        low = _integers(math.floor, place)
        t = place - low.astype(v.dtype)
        if self.mode == "linear":
            one = filled(v.shape, 1, v)
            return [self._tap(low, 1 - t, -turn, n), self._tap(low + 1, t, turn * one, n)]
        cubics = [(k, *_keys(t, k)) for k in (-1, 0, 1, 2)]
        return [self._tap(low + k, weight, slope * turn, n) for k, weight, slope in cubics]

    def _inside(self, place: Array, n: int) -> tuple[Array, Array]:
        """Places moved into x as ``padding`` says, and the slope of that: 1, -1 where mirrored, 0 where clipped."""
        one = filled(place.shape, 1, place)
        if self.padding == "zeros":
            return place, one
        if self.padding == "reflection":
            place, one = self._mirrored(place, n)
        end = scalar(n - 1, place)
        clipped = np.minimum(np.maximum(place, scalar(0, place)), end)
        return clipped, np.where((place > 0) & (place < end), one, 0 * one)

    def _mirrored(self, place: Array, n: int) -> tuple[Array, Array]:
        edge, span = (Fraction(0), n - 1) if self.align_corners else (Fraction(-1, 2), n)
        one = filled(place.shape, 1, place)
        if span == 0:
            return 0 * one, 0 * one
        from_edge = place - scalar(edge, place)
        size, width = np.abs(from_edge), scalar(span, place)
        flips = _integers(math.floor, size / width)
        rest = size - flips.astype(place.dtype) * width
        odd = flips % 2 == 1
        sign = np.where(from_edge < 0, -one, one) * np.where(odd, -one, one)
        return np.where(odd, width - rest, rest) + scalar(edge, place), sign

    def _tap(self, at: Array, weight: Array, slope: Array, n: int) -> Tap:
        """An entry that may lie outside: there it counts nothing with "zeros", else it stands for one inside."""
        outside = (at < 0) | (at >= n)
        if self.padding == "zeros":
            weight, slope = (np.where(outside, scalar(0, one), one) for one in (weight, slope))
        elif self.padding == "reflection" and self.mode == "cubic":
            period = 2 * (n - 1) if self.align_corners else 2 * n
            at = at % period if period else 0 * at
            at = np.where(at >= n, period - at - (0 if self.align_corners else 1), at)
        return Tap(np.clip(at, 0, n - 1), weight, slope)


def _keys(t: Array, k: int) -> tuple[Array, Array]:
    """The weight of the entry k places from the one below, at the distance t from that; and its slope in t."""
    a = scalar(Fraction(-3, 4), t)
    d = np.abs(t - k)
    sign = -1 if k > 0 else 1                                           # d |t - k| / dt
    if k in (0, 1):
        return (a + 2) * d**3 - (a + 3) * d**2 + 1, sign * (3 * (a + 2) * d**2 - 2 * (a + 3) * d)
    return a * (d**3 - 5 * d**2 + 8 * d - 4), sign * a * (3 * d**2 - 10 * d + 8)


def _integers(f: object, x: Array) -> Array:
    """Rounded down, or to the nearest (halves to the even one), as int64."""
    if is_exact(x):
        return whole(f, x).astype(np.int64)  # type: ignore[arg-type]
    return np.asarray(np.floor(x) if f is math.floor else np.round(x)).astype(np.int64)


def _read(x: Array, at: Array) -> Array:
    """x (N or 1, C, *S) at the numbers ``at`` (N or 1, O) -> (N, C, O)."""
    rows, channels = np.ogrid[: len(x), : x.shape[1]]
    return np.asarray(x.reshape(len(x), x.shape[1], -1)[rows[..., None], channels[..., None], at[:, None]])
