"""Pooling: the largest, the mean or the p-norm over windows of space; every channel by itself.

A window is a product of one range per spatial axis, so sums and maxima are taken one axis after the other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import LONG, Array, along, either, filled, is_exact, numbers, pad_spatial, scalar, scatter, taps, windows
from xaicore.ops.conv import check_geometry
from xaicore.ops.op import Op, need_rank
from xaicore.ops.placing import HANDED_ON, Axes, Place, by_axis, by_place, handed_on, largest, overhang, placed, positions, take


@dataclass(frozen=True)
class Window(Op):
    """The settings of a sliding window: one entry in each for each spatial axis; () takes the default.

    x (N, C, *S) -> (N, C, *S'), S' = floor((S + before + after - dilation * (K - 1) - 1) / stride) + 1; with ``ceil`` the
    quotient is rounded up, but the last window must start inside x or its padding before. ``stride`` is ``kernel`` by default.
    Raises ShapeError when settings and ranks do not fit, when a window is larger than the padded input, and when a window
    would see nothing but padding.
    """

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()
    ceil: bool = False

    def __post_init__(self) -> None:
        check_geometry(self.stride, self.dilation, self.pads, 1, self)
        if not 1 <= len(self.kernel) <= 3 or min(self.kernel) < 1:
            raise ShapeError(f"{self}: kernel must hold one to three sizes of at least 1")
        for name in ("stride", "dilation", "pads"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.kernel):
                raise ShapeError(f"{self}: {name} must have {len(self.kernel)} entries, one for each in kernel")

    def settings(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Stride, dilation and pads with their defaults filled in."""
        rank = len(self.kernel)
        return self.stride or self.kernel, self.dilation or (1,) * rank, self.pads or ((0, 0),) * rank

    def positions(self, x: Array) -> Axes:
        """Where the windows look, also outside x: below 0 and from its size on there is padding."""
        need_rank(x, len(self.kernel) + 2, self, "(N, C, *S) with one spatial axis for each entry of kernel")
        for n, k, d, (before, after) in zip(x.shape[2:], self.kernel, *self.settings()[1:], strict=True):
            if n + before + after < (k - 1) * d + 1:
                raise ShapeError(f"{self}: a window of {(k - 1) * d + 1} does not fit an axis of {n} + {before} + {after} entries "
                                 f"(x {x.shape}); use a larger input or more padding")
        found = [positions(*one, self.ceil) for one in zip(x.shape[2:], self.kernel, *self.settings(), strict=True)]
        for at, n in zip(found, x.shape[2:]):
            empty = ~((at >= 0) & (at < n)).any(axis=1)
            if empty.any():
                raise ShapeError(f"{self}: window {empty.argmax()} of an axis of {n} entries sees only padding; use less of it")
        return tuple(found)


# ----- maxima -----------------------------------------------------------------------------------------------------


class _Max(Op):
    """What every maximum over windows has: its winners, the way back to them, and its candidates."""

    def looks_at(self, x: Array) -> Axes:
        """The positions that each window sees, all of them inside x."""
        raise TypeError(f"{type(self).__name__} does not define looks_at")

    def forward(self, *xs: Array) -> Array:
        y = xs[0]
        for axis, (first, *others) in enumerate(self.places_of(y), 2):      # the first axis first, whose runs of memory are the longest
            best = take(y, first, axis)
            for k, place in enumerate(others):
                best = np.maximum(best, take(y, place, axis), out=best if k else None)
            y = best
        return y

    def places_of(self, x: Array) -> tuple[tuple[Place, ...], ...]:
        """``looks_at``, by place in the window."""
        return by_place(self.looks_at(x))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return self.route(g, self.winners(xs[0]), xs[0])

    def winners(self, x: Array) -> Array:
        """For each entry of y which entry of its window it copies: an index into the last axis of ``candidates(x)``.

        Of equal entries the first in row-major order wins, as in torch and TensorFlow.
        """
        best, winner, inner = x, np.zeros(x.shape, np.intp), 1
        for axis, at in by_axis(self.places_of(x)):  # the last axis first, so that in a tie the outer axes decide first
            value, where = take(best, at[0], axis), take(winner, at[0], axis)
            for k, place in enumerate(at[1:], 1):
                other = take(best, place, axis)
                wins = other > value
                value = np.where(wins, other, value)
                where = np.where(wins, take(winner, place, axis) + k * inner, where)
            best, winner, inner = value, where, inner * len(at)
        return winner

    def route(self, g: Array, winners: Array, x: Array) -> Array:
        """Sends each entry of ``g`` to the entry of x that ``winners`` names, and adds up what arrives; the shape of x.

        With ``winners(x)`` it is the vjp; with the winners of another input (a baseline), a part of DeepLIFT's cross-maximum.
        """
        space = prod(x.shape[2:])
        target = self.places(winners, x) + np.arange(0, x.shape[0] * x.shape[1] * space, space).reshape(*x.shape[:2], *(1,) * (x.ndim - 2))
        if g.dtype == object:
            out = filled((x.size,), 0, g)
            np.add.at(out, target.reshape(-1), g.reshape(-1))
        else:
            out = np.bincount(target.reshape(-1), weights=g.reshape(-1), minlength=x.size).astype(g.dtype, copy=False)
        return out.reshape(x.shape)

    def places(self, winners: Array, x: Array) -> Array:
        """Where in space, all of its axes taken as one, the entry of x stands that each of ``winners`` names."""
        axes = self.looks_at(x)
        choice = np.unravel_index(winners, tuple(at.shape[1] for at in axes))
        place = np.zeros(winners.shape, np.intp)
        for k, (at, tap) in enumerate(zip(axes, choice)):
            window = np.arange(len(at)).reshape(-1, *(1,) * (len(axes) - 1 - k))
            place = place * x.shape[2 + k] + at[window, tap]
        return place

    def candidates(self, *xs: Array) -> Array:
        """All entries of each window (N, C, *S', K), row-major; y is the maximum over the last axis.

        In the place of padding stands the nearest entry that the same window sees, so that padding never adds a value.
        """
        x, axes = xs[0], self.looks_at(xs[0])
        rank = len(axes)
        grid: list[Any] = [slice(None), slice(None)]
        for k, at in enumerate(axes):
            shape = [1] * (2 * rank)
            shape[k], shape[rank + k] = at.shape
            grid.append(at.reshape(shape))
        found: Array = x[tuple(grid)]
        return found.reshape(*found.shape[: 2 + rank], -1)


@final
@dataclass(frozen=True)
class MaxPool(_Max, Window):
    """y[n, c, o] = max_k x[n, c, o * stride + k * dilation - pad]; padding never wins.

    Settings, shapes and errors: see ``Window``. Ties go to the first entry in row-major order, derivative and winners alike.
    Same as: torch.nn.MaxPool1d to 3d, ONNX MaxPool. lrp_toolbox divides the signal among ties instead.
    """

    def looks_at(self, x: Array) -> Axes:
        return placed(self, x.shape).looks

    def places_of(self, x: Array) -> tuple[tuple[Place, ...], ...]:
        return placed(self, x.shape).places

    def forward(self, *xs: Array) -> Array:
        y, stages = xs[0], placed(self, xs[0].shape).stages
        if stages is None:
            return super().forward(*xs)
        for places in stages:
            y = largest(y, places)
        return y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        """What ``route`` gives along ``winners``, several times faster: the first entry of a window that equals y takes its g."""
        x, (_, _, edges, places, apart, stages) = xs[0], placed(self, xs[0].shape)
        if stages is not None and x.size <= HANDED_ON and not is_exact(g):
            return handed_on(g, x, self)
        y = self.forward(x)  # cheap, and a y of other inputs, which equals nothing, would lose the signal in silence
        floats = x.dtype.kind == "f"
        padded = pad_spatial(x, edges, np.nan if floats else 0)  # padding never wins: a NaN equals nothing
        back, free = np.empty_like(padded), np.ones_like(y, dtype=bool)  # like x in memory, too
        if is_exact(g) or not apart or prod(self.kernel) * y.size != padded.size:  # else every entry is in one window, which writes it
            back[...] = scalar(0, x)
        takes, plain = np.empty_like(free), not is_exact(g) and bool(np.isfinite(g).all())
        routed, long = np.empty_like(g) if plain and not apart else g, g.size >= LONG and not is_exact(g)
        for seen, inside in places:
            np.equal(padded[(..., *seen)], y, out=takes)
            takes &= free
            if inside is not None and not floats:
                takes &= inside
            if apart and not is_exact(g):  # no entry is in two windows
                np.multiply(g, numbers(takes, g) if long else takes, out=back[(..., *seen)])
            elif plain:
                back[(..., *seen)] += np.multiply(g, numbers(takes, g) if long else takes, out=routed)
            else:
                back[(..., *seen)] += either(takes, g, scalar(0, g))
            free ^= takes
        return pad_spatial(back, [(-a, -b) for a, b in edges])


@final
@dataclass(frozen=True)
class AdaptiveMaxPool(_Max):
    """The maximum over windows [floor(o S / S'), ceil((o + 1) S / S')), S' = ``size``: even shares of each axis.

    x (N, C, *S) -> (N, C, *size).   Raises ShapeError when the rank of x does not fit ``size``.
    Ties go to the first entry in row-major order. Same as: torch.nn.AdaptiveMaxPool1d to 3d.
    """

    size: tuple[int, ...]

    def __post_init__(self) -> None:
        _check_size(self.size, self)

    def looks_at(self, x: Array) -> Axes:
        found = []
        for start, stop in _shares(x, self.size, self):
            widest = (stop - start).max()
            found.append(np.minimum(start[:, None] + np.arange(widest), stop[:, None] - 1))
        return tuple(found)


@final
@dataclass(frozen=True)
class GlobalMaxPool(_Max):
    """The maximum over all of space: x (N, C, *S) -> (N, C, 1, ...).

    Raises ShapeError when x has no spatial axis. Ties go to the first entry in row-major order.
    Same as: ONNX GlobalMaxPool. deeplift's GlobalMaxPool1D hands the whole signal to every one of tied entries.
    """

    def looks_at(self, x: Array) -> Axes:
        return tuple(np.arange(n)[None] for n in _space(x, "GlobalMaxPool"))


# ----- means ------------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class AvgPool(Window):
    """y[n, c, o] = sum_k x[n, c, o * stride + k * dilation - pad] / count, with zeros outside x.

    Settings, shapes and errors: see ``Window``. ``count`` is ``divisor`` if given; else the number of entries of the window
    that lie in x, with ``count_include_pad`` in x and its padding. What ``ceil`` lets a window hang over beyond the padding
    never counts.
    Same as: torch.nn.AvgPool1d to 3d (without dilation), ONNX AveragePool. Keras pads with count_include_pad=False.
    """

    count_include_pad: bool = True
    divisor: int | None = None

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.divisor == 0:
            raise ShapeError(f"{self}: divisor must not be 0; leave it out to divide by the number of entries")

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        axes = self.positions(xs[0])
        y = pad_spatial(xs[0], overhang(axes, xs[0]))
        for _, parts in self._parts(axes):
            total = y[parts[0]].copy()
            for part in parts[1:]:
                total += y[part]
            y = total
        return y / self._counts(xs[0], axes)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        axes = self.positions(xs[0])
        g = g / self._counts(xs[0], axes)
        for axis, parts in self._parts(axes):
            at = axes[axis - 2]
            wide = filled((*g.shape[:axis], int(at.max() - at.min()) + 1, *g.shape[axis + 1 :]), 0, g)
            for part in parts:
                wide[part] += g
            g = wide
        return pad_spatial(g, [(-a, -b) for a, b in overhang(axes, xs[0])])

    def _parts(self, axes: Axes) -> Iterator[tuple[int, list[tuple[slice, ...]]]]:
        """(axis, for each position k in the window the index of what all windows see there along this axis)."""
        stride, dilation, _ = self.settings()
        for axis, at in by_axis(axes):
            seen = taps(at.shape[1:], (stride[axis - 2],), (dilation[axis - 2],), at.shape[:1])
            yield axis, [(slice(None),) * axis + one for _, one in seen]

    def _counts(self, x: Array, axes: Axes) -> Array:
        if self.divisor is not None:
            return np.array(self.divisor).astype(x.dtype)
        total = np.ones((1,) * len(axes), np.intp)
        for k, (at, n, (before, after)) in enumerate(zip(axes, x.shape[2:], self.settings()[2])):
            low, high = (-before, n + after) if self.count_include_pad else (0, n)
            inside = ((at >= low) & (at < high)).sum(axis=1)
            total = total * inside.reshape(-1, *(1,) * (len(axes) - 1 - k))
        return total.astype(x.dtype)


@final
@dataclass(frozen=True)
class AdaptiveAvgPool(Op):
    """The mean over windows [floor(o S / S'), ceil((o + 1) S / S')), S' = ``size``: even shares of each axis.

    x (N, C, *S) -> (N, C, *size).   Raises ShapeError when the rank of x does not fit ``size``.
    Same as: torch.nn.AdaptiveAvgPool1d to 3d.
    """

    size: tuple[int, ...]

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = "uniform"

    def __post_init__(self) -> None:
        _check_size(self.size, self)

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        members, count = self._members(xs[0])
        return along(xs[0], members) / count

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        members, count = self._members(xs[0])
        return along(g / count, [one.T for one in members])

    def _members(self, x: Array) -> tuple[list[Array], Array]:
        """For each axis a matrix of zeros and ones (S', S): which entries belong to the window; and how many in all."""
        shares = _shares(x, self.size, self)
        members = [
            ((np.arange(n) >= start[:, None]) & (np.arange(n) < stop[:, None])).astype(np.intp).astype(x.dtype)
            for (start, stop), n in zip(shares, x.shape[2:])
        ]
        sizes = np.ix_(*(stop - start for start, stop in shares))
        return members, np.asarray(prod(sizes[1:], start=sizes[0])).astype(x.dtype)


@final
@dataclass(frozen=True)
class GlobalAvgPool(Op):
    """The mean over all of space: x (N, C, *S) -> (N, C, 1, ...).

    Raises ShapeError when x has no spatial axis.   Same as: ONNX GlobalAveragePool.
    """

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = "uniform"

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        space = _space(xs[0], "GlobalAvgPool")
        return np.asarray(xs[0].sum(axis=tuple(range(2, xs[0].ndim)), keepdims=True)) / prod(space)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.broadcast_to(g / prod(xs[0].shape[2:]), xs[0].shape).copy()


# ----- the p-norm -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Exponent(Op):
    """The setting of a p-norm; a base, since a dataclass lists its last base first, and we write LpPool(p, kernel)."""

    p: float


@final
@dataclass(frozen=True)
class LpPool(Window, Exponent):
    """y[n, c, o] = (sum_k |x[n, c, o * stride + k * dilation - pad]|^p)^(1/p), with zeros outside x, p >= 1.

    Settings, shapes and errors: see ``Window``. Where a whole window is zero the derivative is taken as 0.
    Same as: ONNX LpPool. torch.nn.LPPool1d to 3d adds up x^p without the absolute value: equal for even p and for x >= 0; for
    odd p a negative sum is NaN there.
    """

    rational: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.p < np.inf:
            raise ShapeError(f"{self}: p must be at least 1 and finite; the limit of a large p is MaxPool of Abs")

    def forward(self, *xs: Array) -> Array:
        seen, largest = self._seen(xs[0])
        # Entries are divided by the largest of their window first, so that no power overflows or vanishes.
        space = tuple(range(-len(self.kernel), 0))
        powers = np.power(np.abs(seen) / largest, self.p).sum(axis=space)
        return np.asarray(np.power(powers, 1 / self.p) * largest.reshape(powers.shape), dtype=xs[0].dtype)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        seen, _ = self._seen(xs[0])
        stride, dilation, _ = self.settings()
        norm = np.where(y == 0, 1, y)[(..., *(None,) * len(self.kernel))]
        slope = np.sign(seen) * np.power(np.abs(seen) / norm, self.p - 1)
        edges = overhang(self.positions(xs[0]), xs[0])
        space = [n + a + b for n, (a, b) in zip(xs[0].shape[2:], edges)]
        flow = slope * g[(..., *(None,) * len(self.kernel))]
        return pad_spatial(scatter(flow.astype(g.dtype, copy=False), space, stride, dilation), [(-a, -b) for a, b in edges])

    def _seen(self, x: Array) -> tuple[Array, Array]:
        """All windows (N, C, *S', *K), and the largest absolute value of each, or 1 where all is zero."""
        stride, dilation, _ = self.settings()
        seen = windows(pad_spatial(x, overhang(self.positions(x), x)), self.kernel, stride, dilation)
        largest = np.abs(seen).max(axis=tuple(range(-len(self.kernel), 0)), keepdims=True)
        return seen, np.where(largest == 0, 1, largest).astype(x.dtype, copy=False)


# ----- shared by the above ----------------------------------------------------------------------------------------


def _check_size(size: tuple[int, ...], who: object) -> None:
    if not 1 <= len(size) <= 3 or min(size) < 1:
        raise ShapeError(f"{who}: size must hold one to three output sizes of at least 1")


def _shares(x: Array, size: tuple[int, ...], who: object) -> list[tuple[Array, Array]]:
    """For each axis the start and the end of every window."""
    need_rank(x, len(size) + 2, who, "(N, C, *S) with one spatial axis for each entry of size")
    _space(x, who)
    return [(np.arange(o) * n // o, -(-np.arange(1, o + 1) * n // o)) for n, o in zip(x.shape[2:], size)]


def _space(x: Array, who: object) -> tuple[int, ...]:
    """The spatial sizes; refuses an array without any, or with an empty one."""
    if x.ndim < 3 or min(x.shape[2:]) < 1:
        raise ShapeError(f"{who}: the input has shape {x.shape}, but (N, C, *S) with no empty axis in S is expected")
    return x.shape[2:]
