"""Reductions over axes other than the batch: sum, mean, maximum, minimum, variance, product, norms.

``axes`` is a tuple of axis numbers, negative ones from the end; axis 0 is a ShapeError. With ``keepdims`` a reduced axis stays
as size 1. An empty tuple reduces nothing.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from xaicore.errors import GraphError, ShapeError
from xaicore.numerics import Array, filled
from xaicore.ops.arithmetic import Div, Mul, Sub
from xaicore.ops.op import Op, batchless
from xaicore.ops.pointwise import Abs, Pow
from xaicore.ops.shape import Concat, Identity, Slice, Squeeze

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


class _Reduction(Op):
    """What the reductions share: their axes, and the way back from a reduced shape."""

    axes: tuple[int, ...]
    keepdims: bool

    def _axes(self, x: Array) -> tuple[int, ...]:
        return batchless(self.axes, x.ndim, type(self).__name__)

    def _count(self, x: Array) -> int:
        return math.prod(x.shape[k] for k in self._axes(x))

    def _kept(self, g: Array, x: Array) -> Array:
        """g with its reduced axes back as size 1."""
        return g if self.keepdims else np.expand_dims(g, self._axes(x))


@final
@dataclass(frozen=True)
class Sum(_Reduction):
    """y = sum of x over ``axes``.

    Same as: torch.sum, ONNX ReduceSum.
    """

    axes: tuple[int, ...]
    keepdims: bool = False
    fixed_weights = "uniform"

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0].sum(axis=self._axes(xs[0]), keepdims=self.keepdims))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.broadcast_to(self._kept(g, xs[0]), xs[0].shape).copy()


@final
@dataclass(frozen=True)
class Mean(_Reduction):
    """y = mean of x over ``axes``.

    Same as: torch.mean, ONNX ReduceMean.
    """

    axes: tuple[int, ...]
    keepdims: bool = False
    fixed_weights = "uniform"

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        return np.asarray(x.sum(axis=self._axes(x), keepdims=self.keepdims) / self._count(x))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        return np.broadcast_to(self._kept(g / self._count(x), x), x.shape).copy()


class _Extremum(_Reduction):
    """A maximum or minimum over ``axes``: the first of equal entries in row-major order takes the whole cotangent."""

    def _rows(self, x: Array) -> Array:
        """The entries that each y is taken from on a new last axis, in row-major order: the shape of y and their number."""
        axes = self._axes(x)
        last = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
        shape = (1 if k in axes else n for k, n in enumerate(x.shape) if self.keepdims or k not in axes)
        return last.reshape(*shape, self._count(x))

    def candidates(self, *xs: Array) -> Array:
        raise TypeError(f"{type(self).__name__} does not define candidates")

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return self.route(g, self.winners(xs[0]), xs[0])

    def winners(self, x: Array) -> Array:
        """For each entry of y which entry of x it copies: an index into the last axis of ``candidates(x)``."""
        return np.asarray(self.candidates(x).argmax(axis=-1))

    def route(self, g: Array, winners: Array, x: Array) -> Array:
        """Sends each entry of g to the entry of x that ``winners`` names; the shape of x.

        With ``winners(x)`` it is the vjp. With the winners on another input (a baseline) it is what DeepLIFT's cross-maximum
        needs.
        """
        axes = self._axes(x)
        out = filled((*winners.shape, self._count(x)), 0, x)
        np.put_along_axis(out, winners[..., None], g[..., None], axis=-1)
        rest = tuple(n for k, n in enumerate(x.shape) if k not in axes)
        last = out.reshape(rest + tuple(x.shape[k] for k in axes))
        return np.moveaxis(last, range(len(rest), x.ndim), axes)


@final
@dataclass(frozen=True)
class ReduceMax(_Extremum):
    """y = maximum of x over ``axes``; the first of equal entries in row-major order takes the whole cotangent.

    ``candidates``: the reduced entries on the last axis.   Differs: torch.amax shares a tie equally, torch.max(dim) does not.
    """

    axes: tuple[int, ...]
    keepdims: bool = False

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0].max(axis=self._axes(xs[0]), keepdims=self.keepdims))

    def candidates(self, *xs: Array) -> Array:
        return self._rows(xs[0])


@final
@dataclass(frozen=True)
class ReduceMin(_Extremum):
    """y = minimum of x over ``axes``; the first of equal entries in row-major order takes the whole cotangent.

    ``candidates`` are negated: y = -max(candidates).   Differs: torch.amin shares a tie equally; torch.min(dim) does not.
    """

    axes: tuple[int, ...]
    keepdims: bool = False

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0].min(axis=self._axes(xs[0]), keepdims=self.keepdims))

    def candidates(self, *xs: Array) -> Array:
        return -self._rows(xs[0])


@final
@dataclass(frozen=True)
class Variance(_Reduction):
    """y = sum (x - mean)^2 / (n - ddof) over ``axes`` with n entries each.   ShapeError when n <= ddof.

    ddof 0 is the variance of the entries themselves, 1 the unbiased estimate (the default of torch.var).
    Expands to Mean, Sub, Mul and Mean, or Sum and Div when ddof is not 0.
    Same as: torch.var with correction=ddof.
    """

    axes: tuple[int, ...]
    keepdims: bool = False
    ddof: int = 0

    def __post_init__(self) -> None:
        if self.ddof < 0:
            raise GraphError(f"Variance: ddof is {self.ddof}; 0 or a positive number is expected")

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        d = self._centred(x)
        return np.asarray((d * d).sum(axis=self._axes(x), keepdims=self.keepdims) / self._divisor(x))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        return 2 * self._kept(g, x) * self._centred(x) / self._divisor(x)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        (x,) = inputs
        d = b.add(Sub(), x, b.add(Mean(self.axes, keepdims=True), x, name="mean"), name="centred")
        square = b.add(Mul(), d, d, name="square")
        if self.ddof == 0:
            return b.add(Mean(self.axes, self.keepdims), square)
        sizes = sizes_of(b, x)
        n = math.prod(sizes[k - 1] for k in batchless(self.axes, 1 + len(sizes), "Variance"))
        return b.add(Div(), b.add(Sum(self.axes, self.keepdims), square), b.constant(n - self.ddof))

    def _centred(self, x: Array) -> Array:
        return np.asarray(x - x.sum(axis=self._axes(x), keepdims=True) / self._count(x))

    def _divisor(self, x: Array) -> int:
        n = self._count(x)
        if n <= self.ddof:
            raise ShapeError(f"Variance: axes {self.axes} of shape {x.shape} hold {n}; more than ddof = {self.ddof} is needed")
        return n - self.ddof


@final
@dataclass(frozen=True)
class ReduceProd(_Reduction):
    """y = product of x over ``axes``.

    The vjp multiplies the others and divides by nothing, so zeros are fine. Expands to products of halves, pairs of which LRP and
    DeepLIFT have rules for.   Same as: np.prod, torch.prod, ONNX ReduceProd.
    """

    axes: tuple[int, ...]
    keepdims: bool = False
    composite = True

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0].prod(axis=self._axes(xs[0]), keepdims=self.keepdims))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        axes = self._axes(x)
        moved = np.moveaxis(x, axes, range(x.ndim - len(axes), x.ndim))
        rows = moved.reshape(*moved.shape[: x.ndim - len(axes)], self._count(x))
        one = filled((*rows.shape[:-1], 1), 1, x)
        before = np.cumprod(np.concatenate([one, rows[..., :-1]], axis=-1), axis=-1)
        after = np.cumprod(np.concatenate([one, rows[..., :0:-1]], axis=-1), axis=-1)[..., ::-1]
        others = np.moveaxis((before * after).reshape(moved.shape), range(x.ndim - len(axes), x.ndim), axes)
        return np.asarray(self._kept(g, x) * others)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        (x,) = inputs
        sizes = (1, *sizes_of(b, x))
        axes = batchless(self.axes, len(sizes), "ReduceProd")
        for axis in axes:
            n = sizes[axis]
            while n > 1:
                half = n // 2
                left = b.add(Slice(axis, 0, half), x, name="left")
                pairs = b.add(Mul(), left, b.add(Slice(axis, half, 2 * half), x, name="right"), name="pairs")
                x = b.add(Concat(axis), pairs, b.add(Slice(axis, n - 1, n), x, name="odd"), name="rest") if n % 2 else pairs
                n = half + n % 2
        if axes and not self.keepdims:
            return b.add(Squeeze(axes), x)
        return b.add(Identity(), x) if x == inputs[0] else x


@final
@dataclass(frozen=True)
class Norm(_Reduction):
    """y = (sum of |x|^p over ``axes``)^(1/p), p >= 1; where all of x is 0 the derivative is taken as 0.

    Expands to Abs, Pow, Sum and the root, for the rules of LRP and DeepLIFT. Exact on rationals for p = 1.
    Same as: torch.linalg.vector_norm, ONNX ReduceL1 and ReduceL2. An infinite p is ReduceMax of Abs.
    """

    axes: tuple[int, ...]
    keepdims: bool = False
    p: float = 2.0
    composite = True

    def __post_init__(self) -> None:
        if not 1 <= self.p < math.inf:
            raise GraphError(f"Norm: p is {self.p}; a finite number of at least 1 is expected, and for the largest entry ReduceMax of Abs")

    @property
    def rational(self) -> bool:  # type: ignore[override]
        return self.p == 1

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        if self.p == 1:
            return np.asarray(np.abs(x).sum(axis=self._axes(x), keepdims=self.keepdims))
        y = self._norm(x)
        return y if self.keepdims else np.squeeze(y, self._axes(x))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        sign = np.asarray(np.sign(x))
        if self.p == 1:
            return np.asarray(self._kept(g, x) * sign)
        norm = self._norm(x)
        slope = sign * (np.abs(x) / np.where(norm == 0, 1, norm)) ** (self.p - 1)
        return np.asarray(self._kept(g, x) * slope, dtype=x.dtype)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        (x,) = inputs
        if self.p == 1:
            return b.add(Sum(self.axes, self.keepdims), b.add(Abs(), x, name="size"))
        if self.p == 2:
            powers = b.add(Mul(), x, x, name="square")
        else:
            powers = b.add(Pow(self.p), b.add(Abs(), x, name="size"), name="power")
        return b.add(Pow(1 / self.p), b.add(Sum(self.axes, self.keepdims), powers, name="sum"))

    def _norm(self, x: Array) -> Array:
        """With its axes kept; x is divided by its largest entry first, so that no power overflows or vanishes."""
        axes = self._axes(x)
        largest = np.abs(x).max(axis=axes, keepdims=True) if axes else np.abs(x)
        safe = np.where(largest == 0, 1, largest)
        total = ((np.abs(x) / safe) ** self.p).sum(axis=axes, keepdims=True)
        return np.asarray(largest * total ** (1 / self.p), dtype=x.dtype)


# ----- helpers ----------------------------------------------------------------------------------------------------


def sizes_of(b: Wiring, x: str) -> tuple[int, ...]:
    """The sizes of the axes of x after the batch, for an expansion that has to know them."""
    sizes = tuple(n for n in b.shape(x)[1:] if n is not None)
    if len(sizes) < b.rank(x) - 1:
        raise GraphError(f"the shape of {x!r} is {b.shape(x)}; to expand, every size but the batch must be known")
    return sizes
