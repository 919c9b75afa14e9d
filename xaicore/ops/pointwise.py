"""Functions of one number: exponentials, roots, powers, signs and rounding. Activations are in elementwise.py and smooth.py.

A value outside a function's domain, or a result beyond the largest float, is an error that names it: never NaN, never inf.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, final

import numpy as np

from xaicore.errors import ExactnessError, GraphError, InputError
from xaicore.numerics import Array, filled, is_exact, scalar
from xaicore.ops.op import Op


class Pointwise(Op):
    """y[k] = f(x[k]): a subclass gives f as ``value`` and f' as ``derivative``."""

    elementwise = True

    def value(self, x: Array) -> Array:
        """f(x), entry by entry."""
        raise TypeError(f"{type(self).__name__} does not define value")

    def derivative(self, x: Array, y: Array) -> Array:
        """f'(x) where y = f(x)."""
        raise TypeError(f"{type(self).__name__} does not define derivative")

    def forward(self, *xs: Array) -> Array:
        return np.asarray(self.value(xs[0]))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.asarray(g * self.derivative(xs[0], y))


class Pole(Pointwise):
    """A Pointwise whose derivative may be infinite. Where g is 0 nothing passes; where it is not, that is an InputError.

    ``derivative`` is called with overflow and division warnings off and may return inf.
    """

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        with np.errstate(over="ignore", divide="ignore", invalid="ignore"):
            d = self.derivative(xs[0], y)
            out = np.where(g == 0, scalar(0, g), g * d)
        if not is_exact(out):
            limit = f"the derivative there exceeds the largest {out.dtype}; keep the input away from it, for example with Clip"
            refuse(~np.isfinite(out) & np.isfinite(g), xs[0], type(self).__name__, limit)
        return out


def refuse(bad: Array, x: Array, who: object, why: str, what: str = "input") -> None:
    """Raises InputError for the first entry of x where ``bad`` is set: the operator, the value, its index and the reason."""
    if np.any(bad):
        k = tuple(int(n) for n in np.argwhere(bad)[0])
        raise InputError(f"{who}: the {what} is {np.asarray(x)[k]} at index {k}; {why}")


# ----- exponentials and logarithms --------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Exp(Pointwise):
    """y = exp(x).   InputError where the result exceeds the largest float (x > 709 in float64, > 88 in float32).

    Same as: torch.exp, ONNX Exp; those give inf.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return bounded(np.exp, x, "Exp")

    def derivative(self, x: Array, y: Array) -> Array:
        return y


@final
@dataclass(frozen=True)
class Expm1(Pointwise):
    """y = exp(x) - 1, accurate near 0.   InputError where the result exceeds the largest float.

    Same as: torch.expm1.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return bounded(np.expm1, x, "Expm1")

    def derivative(self, x: Array, y: Array) -> Array:
        return np.exp(x)


@final
@dataclass(frozen=True)
class Log(Pole):
    """y = ln(x) for x > 0.   InputError elsewhere, at 0 too: no -inf leaves this operator.

    Same as: torch.log, ONNX Log; those give -inf and NaN.
    """

    rational = False

    def value(self, x: Array) -> Array:
        refuse(~(x > 0), x, "Log", "a logarithm needs x > 0; add a small constant or clip before it")
        return np.log(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 1 / x


@final
@dataclass(frozen=True)
class Log1p(Pole):
    """y = ln(1 + x) for x > -1, accurate near 0.   InputError elsewhere.

    Same as: torch.log1p.
    """

    rational = False

    def value(self, x: Array) -> Array:
        refuse(~(x > -1), x, "Log1p", "ln(1 + x) needs x > -1; clip before it")
        return np.log1p(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 1 / (1 + x)


# ----- roots and powers -------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Sqrt(Pole):
    """y = x^(1/2) for x >= 0.   InputError elsewhere, and in the vjp at 0 (infinite slope) unless no signal arrives there.

    Differs: torch passes inf, or NaN for a zero cotangent, at x = 0.
    """

    rational = False

    def value(self, x: Array) -> Array:
        refuse(~(x >= 0), x, "Sqrt", "a square root needs x >= 0; clip before it")
        return np.sqrt(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 0.5 / y


@final
@dataclass(frozen=True)
class Rsqrt(Pole):
    """y = x^(-1/2) for x > 0.   InputError elsewhere.

    Same as: torch.rsqrt.
    """

    rational = False

    def value(self, x: Array) -> Array:
        refuse(~(x > 0), x, "Rsqrt", "1 / sqrt(x) needs x > 0; add a small constant before it")
        return 1 / np.sqrt(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return -0.5 * y / x


@final
@dataclass(frozen=True)
class Reciprocal(Pole):
    """y = 1 / x for x != 0.   InputError at 0, and where 1 / x exceeds the largest float.

    Same as: torch.reciprocal, ONNX Reciprocal; those give inf at 0.
    """

    def value(self, x: Array) -> Array:
        refuse(x == 0, x, "Reciprocal", "1 / x needs x != 0; add a small constant before it")
        return bounded(lambda v: 1 / v, x, "Reciprocal")

    def derivative(self, x: Array, y: Array) -> Array:
        return -(y * y)


@final
@dataclass(frozen=True)
class Pow(Pole):
    """y = x^p with a constant exponent p; 0^0 = 1.

    p a whole number: every x (x != 0 when p < 0), and exact on rationals. Otherwise x >= 0 (x > 0 when p < 0).
    InputError elsewhere, where the result exceeds the largest float, and in the vjp at 0 when 0 < p < 1 (infinite slope)
    unless no signal arrives there.
    Same as: torch.pow and ONNX Pow with a constant exponent.
    """

    exponent: float

    def __post_init__(self) -> None:
        if not math.isfinite(self.exponent):
            raise GraphError(f"Pow: the exponent is {self.exponent}; a finite number is expected")

    @property
    def rational(self) -> bool:  # type: ignore[override]
        """A whole exponent keeps rationals rational, any other does not."""
        return float(self.exponent).is_integer()

    def value(self, x: Array) -> Array:
        p = self._power(x)
        if not isinstance(p, int):
            refuse(x < 0, x, self, "a broken power needs x >= 0; clip before it")
        if p < 0:
            refuse(x == 0, x, self, "a negative power needs x != 0; add a small constant before it")
        return bounded(lambda v: v**p, x, self)

    def derivative(self, x: Array, y: Array) -> Array:
        p = self._power(x)
        return filled(x.shape, 0, x) if p == 0 else p * x ** (p - 1)

    def _power(self, x: Array) -> int | float:
        if self.rational:
            return int(self.exponent)          # Fraction ** int is a Fraction, Fraction ** float is not
        if is_exact(x):
            raise ExactnessError(f"{self}: a broken power of a rational is not rational; use graph.astype('float64')")
        return self.exponent


# ----- other smooth functions -------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Erf(Pointwise):
    """y = 2/sqrt(pi) int_0^x exp(-t^2) dt.

    Same as: torch.erf, ONNX Erf.
    """

    rational = False

    def value(self, x: Array) -> Array:
        from scipy.special import erf

        return np.asarray(erf(x))

    def derivative(self, x: Array, y: Array) -> Array:
        near = np.clip(x, -40, 40)             # exp(-40^2) is 0 in every float, and the square of a huge x would overflow
        return np.asarray(2 / math.sqrt(math.pi) * np.exp(-near * near))


@final
@dataclass(frozen=True)
class Sin(Pointwise):
    """y = sin(x), x in radians.

    Same as: torch.sin, ONNX Sin.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return np.sin(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.cos(x)


@final
@dataclass(frozen=True)
class Cos(Pointwise):
    """y = cos(x), x in radians.

    Same as: torch.cos, ONNX Cos.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return np.cos(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return -np.sin(x)


# ----- signs and rounding -----------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Abs(Pointwise):
    """y = |x|; derivative sign(x), 0 at 0 (as torch)."""

    def value(self, x: Array) -> Array:
        return np.abs(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return _sign(x)

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        return (xs[0],)


@final
@dataclass(frozen=True)
class Neg(Pointwise):
    """y = -x.

    Same as: torch.neg, ONNX Neg.
    """

    def affine(self, active: Any) -> bool:
        return True

    def value(self, x: Array) -> Array:
        return -x

    def derivative(self, x: Array, y: Array) -> Array:
        return filled(x.shape, -1, x)


@final
@dataclass(frozen=True)
class Sign(Pointwise):
    """y = -1, 0 or 1, the sign of x; derivative 0 everywhere.

    Same as: torch.sign, ONNX Sign.
    """

    def value(self, x: Array) -> Array:
        return _sign(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return filled(x.shape, 0, x)


@final
@dataclass(frozen=True)
class Floor(Pointwise):
    """y = the largest whole number <= x; derivative 0 everywhere.

    Same as: torch.floor, ONNX Floor.
    """

    def value(self, x: Array) -> Array:
        return whole(math.floor, x) if is_exact(x) else np.floor(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return filled(x.shape, 0, x)


@final
@dataclass(frozen=True)
class Ceil(Pointwise):
    """y = the smallest whole number >= x; derivative 0 everywhere.

    Same as: torch.ceil, ONNX Ceil.
    """

    def value(self, x: Array) -> Array:
        return whole(math.ceil, x) if is_exact(x) else np.ceil(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return filled(x.shape, 0, x)


@final
@dataclass(frozen=True)
class Round(Pointwise):
    """y = the nearest whole number, halves to the even one (as torch and ONNX); derivative 0 everywhere."""

    def value(self, x: Array) -> Array:
        return whole(round, x) if is_exact(x) else np.round(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return filled(x.shape, 0, x)


# ----- helpers ----------------------------------------------------------------------------------------------------


def bounded(f: Callable[[Array], Array], x: Array, who: object) -> Array:
    """f(x), refused where it exceeds the largest float."""
    if is_exact(x):
        return f(x)
    with np.errstate(over="ignore"):
        y = f(x)
    refuse(np.isinf(y) & np.isfinite(x), x, who, f"the result exceeds the largest {x.dtype}; scale or clip the input before it")
    return y


def _sign(x: Array) -> Array:
    one = scalar(1, x)
    return np.asarray(np.where(x > 0, one, np.where(x < 0, -one, scalar(0, x))))


def whole(f: Callable[[Any], int], x: Array) -> Array:
    """f on every Fraction, the whole numbers back as Fractions."""
    out = np.empty(x.shape, dtype=object)
    for k in np.ndindex(x.shape):
        out[k] = scalar(f(x[k]), x)
    return out
