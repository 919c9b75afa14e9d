"""Piecewise-linear activations. Smooth ones (Sigmoid, GELU ...) are in smooth.py, mathematical functions (Exp, Abs ...) in pointwise.py."""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, final

import numpy as np

from xaicore.errors import GraphError, ShapeError
from xaicore.numerics import Array, above_zero, between, either, is_exact, masked, numbers, positive, scalar, unbroadcast
from xaicore.ops.op import Op
from xaicore.ops.pointwise import Pointwise


@final
@dataclass(frozen=True)
class ReLU(Pointwise):
    """y = max(x, 0); derivative 0 at 0.

    Same as: torch.nn.ReLU, keras ReLU, ONNX Relu.
    """

    fresh = True

    def value(self, x: Array) -> Array:
        return positive(x)

    def over(self, *xs: Array) -> Array:
        return between(xs[0], low=0, out=xs[0])

    def derivative(self, x: Array, y: Array) -> Array:
        return numbers(x > 0, x)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return masked(g, above_zero(xs[0]))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        return (xs[0],)


@final
@dataclass(frozen=True)
class LeakyReLU(Pointwise):
    """y = x for x > 0, slope * x otherwise; derivative ``slope`` at 0 (as torch)."""

    slope: float = 0.01

    def value(self, x: Array) -> Array:
        return either(x > 0, x, scalar(self.slope, x) * x)

    def derivative(self, x: Array, y: Array) -> Array:
        return either(x > 0, scalar(1, x), scalar(self.slope, x))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        return (xs[0],)


@final
@dataclass(frozen=True)
class PReLU(Op):
    """y = x for x > 0, slope * x otherwise; derivative ``slope`` at 0 (as torch).

    x (N, ...), slope broadcast to x as NumPy does, so one slope for each channel of an image has shape (C, 1, 1).
    ShapeError when slope does not broadcast to the shape of x.
    """

    arity = (2, 2)
    elementwise = True

    def forward(self, *xs: Array) -> Array:
        x, slope = xs
        _need_broadcast(slope, x)
        return either(x > 0, x, slope * x)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, slope = xs
        if i == 0:
            return either(x > 0, g, slope * g)
        return np.asarray(unbroadcast(np.where(x > 0, scalar(0, x), g * x), slope.shape))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        return (xs[0],)


@final
@dataclass(frozen=True)
class ReLU6(Pointwise):
    """y = min(max(x, 0), 6); derivative 0 at 0 and at 6 (as torch)."""

    def value(self, x: Array) -> Array:
        return between(x, 0, 6)

    def derivative(self, x: Array, y: Array) -> Array:
        return numbers((x > 0) & (x < 6), x)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return masked(g, (xs[0] > 0) & (xs[0] < 6))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        return (xs[0], xs[0] - scalar(6, xs[0]))


@final
@dataclass(frozen=True)
class Clip(Pointwise):
    """y = min(max(x, low), high); derivative 1 where low <= x <= high, on the bounds too (as torch.clamp), 0 elsewhere.

    None, or an infinite bound, is no bound. With low > high every y is ``high`` (as torch and ONNX).
    """

    low: float | None = None
    high: float | None = None

    @property
    def fresh(self) -> bool:  # type: ignore[override]
        """Without bounds a short x is handed on as it is."""
        return self._bounds() != (None, None)

    def __post_init__(self) -> None:
        for name, bound in (("low", self.low), ("high", self.high)):
            if bound is not None and math.isnan(bound):
                raise GraphError(f"Clip: {name} is NaN; give a number, or None for no bound")

    def value(self, x: Array) -> Array:
        return between(x, *self._bounds())

    def over(self, *xs: Array) -> Array:
        return between(xs[0], *self._bounds(), out=xs[0])

    def derivative(self, x: Array, y: Array) -> Array:
        low, high = self._bounds()
        inside = np.ones(x.shape, dtype=bool)
        if low is not None:
            inside &= x >= scalar(low, x)
        if high is not None:
            inside &= x <= scalar(high, x)
        return numbers(inside, x)

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        (x,) = xs
        low, high = self._bounds()
        if low is not None and high is not None and low >= high:
            return ()                          # constant
        return tuple(x - scalar(bound, x) for bound in (low, high) if bound is not None)

    def _bounds(self) -> tuple[float | None, float | None]:
        low = None if self.low is None or (math.isinf(self.low) and self.low < 0) else self.low
        high = None if self.high is None or (math.isinf(self.high) and self.high > 0) else self.high
        return low, high


@final
@dataclass(frozen=True)
class HardSigmoid(Pointwise):
    """y = min(max(slope * x + shift, 0), 1); derivative 0 at both kinks (as torch).

    torch and Keras: slope 1/6, ONNX: slope 0.2 unless given. On rationals the float 1/6 is read as one sixth.
    """

    slope: float = 1 / 6
    shift: float = 0.5

    def value(self, x: Array) -> Array:
        return between(self._line(x), 0, 1)

    def derivative(self, x: Array, y: Array) -> Array:
        u = self._line(x)
        return np.asarray(np.where((u > 0) & (u < 1), self._slope(x), scalar(0, x)))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        u = self._line(xs[0])
        return (u, u - scalar(1, u))

    def _line(self, x: Array) -> Array:
        return np.asarray(self._slope(x) * x + scalar(self.shift, x))

    def _slope(self, x: Array) -> Any:
        return scalar(Fraction(1, 6) if is_exact(x) and self.slope == 1 / 6 else self.slope, x)


def _need_broadcast(slope: Array, x: Array) -> None:
    try:
        fits = np.broadcast_shapes(slope.shape, x.shape) == x.shape
    except ValueError:
        fits = False
    if not fits:
        hint = "one slope for each channel of an image has shape (C, 1, 1)"
        raise ShapeError(f"PReLU: slope of shape {slope.shape} does not broadcast to x of shape {x.shape}; {hint}")
