"""Tangent, inverse and hyperbolic functions, in radians. Sine and cosine are in pointwise.py, Tanh in smooth.py.

A value outside a function's domain is an InputError, and so is a signal where the slope is infinite.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

import numpy as np

from xaicore.numerics import Array
from xaicore.ops.pointwise import Pointwise, Pole, bounded, refuse


@final
@dataclass(frozen=True)
class Tan(Pointwise):
    """y = tan(x); derivative 1 + y^2.

    Same as: torch.tan, ONNX Tan.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return np.tan(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 1 + y * y


@final
@dataclass(frozen=True)
class Asin(Pole):
    """y = arcsin(x), -1 <= x <= 1; derivative 1 / sqrt(1 - x^2).   InputError elsewhere, and for a signal at -1 and 1.

    Same as: torch.asin, ONNX Asin; those give NaN outside.
    """

    rational = False

    def value(self, x: Array) -> Array:
        _within(x, "Asin")
        return np.arcsin(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(1 / np.sqrt((1 - x) * (1 + x)))


@final
@dataclass(frozen=True)
class Acos(Pole):
    """y = arccos(x), -1 <= x <= 1; derivative -1 / sqrt(1 - x^2).   InputError elsewhere, and for a signal at -1 and 1.

    Same as: torch.acos, ONNX Acos; those give NaN outside.
    """

    rational = False

    def value(self, x: Array) -> Array:
        _within(x, "Acos")
        return np.arccos(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(-1 / np.sqrt((1 - x) * (1 + x)))


@final
@dataclass(frozen=True)
class Atan(Pointwise):
    """y = arctan(x); derivative 1 / (1 + x^2).

    Same as: torch.atan, ONNX Atan.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return np.arctan(x)

    def derivative(self, x: Array, y: Array) -> Array:
        r = 1 / np.hypot(1, x).astype(x.dtype)             # x^2 could overflow
        return r * r


@final
@dataclass(frozen=True)
class Sinh(Pointwise):
    """y = (exp(x) - exp(-x)) / 2; derivative cosh(x).   InputError where the result exceeds the largest float.

    Same as: torch.sinh, ONNX Sinh.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return bounded(np.sinh, x, "Sinh")

    def derivative(self, x: Array, y: Array) -> Array:
        return np.cosh(x)


@final
@dataclass(frozen=True)
class Cosh(Pointwise):
    """y = (exp(x) + exp(-x)) / 2; derivative sinh(x).   InputError where the result exceeds the largest float.

    Same as: torch.cosh, ONNX Cosh.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return bounded(np.cosh, x, "Cosh")

    def derivative(self, x: Array, y: Array) -> Array:
        return np.sinh(x)


@final
@dataclass(frozen=True)
class Asinh(Pointwise):
    """y = ln(x + sqrt(x^2 + 1)); derivative 1 / sqrt(x^2 + 1).

    Same as: torch.asinh, ONNX Asinh.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return np.arcsinh(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(1 / np.hypot(1, x).astype(x.dtype))


@final
@dataclass(frozen=True)
class Acosh(Pole):
    """y = ln(x + sqrt(x^2 - 1)), x >= 1; derivative 1 / sqrt(x^2 - 1).   InputError elsewhere, and for a signal at 1.

    Same as: torch.acosh, ONNX Acosh; those give NaN outside.
    """

    rational = False

    def value(self, x: Array) -> Array:
        refuse(~(x >= 1), x, "Acosh", "x >= 1 is expected; clip before it")
        return np.arccosh(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(1 / (np.sqrt(x - 1) * np.sqrt(x + 1)))


@final
@dataclass(frozen=True)
class Atanh(Pointwise):
    """y = ln((1 + x) / (1 - x)) / 2, -1 < x < 1; derivative 1 / (1 - x^2).   InputError elsewhere.

    Same as: torch.atanh, ONNX Atanh; those give NaN outside.
    """

    rational = False

    def value(self, x: Array) -> Array:
        refuse(~(np.abs(x) < 1), x, "Atanh", "-1 < x < 1 is expected; clip before it")
        return np.arctanh(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(1 / ((1 - x) * (1 + x)))


def _within(x: Array, who: object) -> None:
    refuse(~(np.abs(x) <= 1), x, who, "-1 <= x <= 1 is expected; clip before it")
