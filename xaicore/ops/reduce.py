"""Reductions over axes other than the batch: sum, mean, maximum, minimum, variance.

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
    """y = sum of x over ``axes``."""

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
    """y = mean of x over ``axes``."""

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


# ----- helpers ----------------------------------------------------------------------------------------------------


def sizes_of(b: Wiring, x: str) -> tuple[int, ...]:
    """The sizes of the axes of x after the batch, for an expansion that has to know them."""
    sizes = tuple(n for n in b.shape(x)[1:] if n is not None)
    if len(sizes) < b.rank(x) - 1:
        raise GraphError(f"the shape of {x!r} is {b.shape(x)}; to expand, every size but the batch must be known")
    return sizes
