"""Smooth activations, those that are rational first. Piecewise-linear ones are in elementwise.py.

Every formula is written so that no intermediate overflows: exponentials see only -|x|, or x where it is negative.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, final

import numpy as np

from xaicore.errors import GraphError
from xaicore.numerics import LONG, ONES, ZEROS, Array, between, either, negative, scalar
from xaicore.ops.normal import gelu, gelu_slope, normal_cdf
from xaicore.ops.pointwise import Pointwise

# ----- rational ---------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class HardSwish(Pointwise):
    """y = x * min(max(x + 3, 0), 6) / 6; derivative 0 at -3 and 1 at 3, from the outer branches (as torch 2.13)."""

    def value(self, x: Array) -> Array:
        return x * (between(x + 3, 0, 6) / 6)

    def derivative(self, x: Array, y: Array) -> Array:
        inner = between(x, -3, 3)              # the line below stays finite for every x
        return np.where(x <= -3, scalar(0, x), np.where(x < 3, (2 * inner + 3) / 6, scalar(1, x)))


@final
@dataclass(frozen=True)
class Softsign(Pointwise):
    """y = x / (1 + |x|); derivative 1 / (1 + |x|)^2.

    Same as: torch.nn.Softsign, ONNX Softsign.
    """

    def value(self, x: Array) -> Array:
        return np.asarray(x / (1 + np.abs(x)))

    def derivative(self, x: Array, y: Array) -> Array:
        r = 1 / (1 + np.abs(x))
        return r * r


# ----- exponential ------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class ELU(Pointwise):
    """y = x for x > 0, alpha * (exp(x) - 1) otherwise; derivative ``alpha`` at 0 (as torch)."""

    alpha: float = 1.0
    rational = False

    def value(self, x: Array) -> Array:
        return either(x > 0, x, self.alpha * np.expm1(negative(x)))

    def derivative(self, x: Array, y: Array) -> Array:
        return either(x > 0, scalar(1, x), self.alpha * np.exp(negative(x)))


@final
@dataclass(frozen=True)
class SELU(Pointwise):
    """y = scale * ELU(x; alpha) with alpha = 1.6732632423543772 and scale = 1.0507009873554805; derivative alpha * scale at 0.

    The constants make zero mean and unit variance a fixed point.
    Source: Klambauer et al. 2017, "Self-Normalizing Neural Networks".
    """

    rational = False

    def value(self, x: Array) -> Array:
        return _SELU_SCALE * either(x > 0, x, _SELU_ALPHA * np.expm1(negative(x)))

    def derivative(self, x: Array, y: Array) -> Array:
        return _SELU_SCALE * either(x > 0, scalar(1, x), _SELU_ALPHA * np.exp(negative(x)))


_SELU_ALPHA = 1.6732632423543772
_SELU_SCALE = 1.0507009873554805


@final
@dataclass(frozen=True)
class CELU(Pointwise):
    """y = x for x > 0, alpha * (exp(x / alpha) - 1) otherwise, alpha > 0; derivative 1 at 0, continuous there.

    Same as: torch.nn.CELU, ONNX Celu.
    """

    alpha: float = 1.0
    rational = False

    def __post_init__(self) -> None:
        if not self.alpha > 0:
            raise GraphError(f"CELU: alpha is {self.alpha}; a number > 0 is expected, or exp(x / alpha) would overflow")

    def value(self, x: Array) -> Array:
        return either(x > 0, x, self.alpha * np.expm1(negative(x) / self.alpha))

    def derivative(self, x: Array, y: Array) -> Array:
        return np.exp(negative(x) / self.alpha)


@final
@dataclass(frozen=True)
class Sigmoid(Pointwise):
    """y = 1 / (1 + exp(-x)).

    Same as: torch.sigmoid, ONNX Sigmoid.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return _sigmoid(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return _bell(x)


@final
@dataclass(frozen=True)
class Tanh(Pointwise):
    """y = tanh(x); derivative 4 e / (1 + e)^2 with e = exp(-2|x|), which keeps its digits where 1 - y^2 cancels.

    Same as: torch.tanh, ONNX Tanh.
    """

    rational = False

    def value(self, x: Array) -> Array:
        return np.tanh(x)

    def derivative(self, x: Array, y: Array) -> Array:
        return 4 * _bell(2 * x)


@final
@dataclass(frozen=True)
class SiLU(Pointwise):
    """y = x * sigmoid(beta * x), also called swish.

    Same as: torch.nn.SiLU (beta 1), ONNX Swish.
    """

    beta: float = 1.0
    rational = False

    def value(self, x: Array) -> Array:
        return x * _sigmoid(self.beta * x)

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(_sigmoid(self.beta * x) + self.beta * x * _bell(self.beta * x))


@final
@dataclass(frozen=True)
class GELU(Pointwise):
    """y = x * Phi(x), Phi the normal distribution; "tanh": y = x/2 * (1 + tanh(sqrt(2/pi) * (x + 0.044715 x^3))).

    The tanh form is computed as x * sigmoid(2u), the same function without the cancellation of 1 + tanh(u) at negative u.
    In float32 Phi is a fraction of polynomials, in passes over memory (normal.py).
    Source: Hendrycks and Gimpel 2016, "Gaussian Error Linear Units".
    """

    approximate: Literal["none", "tanh"] = "none"
    rational = False

    def __post_init__(self) -> None:
        if self.approximate not in ("none", "tanh"):
            raise GraphError(f"GELU: approximate is {self.approximate!r}; 'none' or 'tanh' is expected")

    def value(self, x: Array) -> Array:
        if self.approximate == "tanh":
            return x * _sigmoid(self._twice_u(x)[0])
        return gelu(x) if x.dtype == np.float32 else x * normal_cdf(x)

    def derivative(self, x: Array, y: Array) -> Array:
        if self.approximate == "tanh":
            u, du = self._twice_u(x)
            return np.asarray(_sigmoid(u) + x * _bell(u) * du)
        if x.dtype == np.float32:
            return gelu_slope(x, y)
        near = np.clip(x, -40, 40)             # exp(-40^2 / 2) is 0 in every float, and the square of a huge x would overflow
        return np.asarray(normal_cdf(x) + x * (np.exp(-near * near / 2) / math.sqrt(2 * math.pi)))

    def _twice_u(self, x: Array) -> tuple[Array, Array]:
        """2u and its derivative; beyond |x| = 30 the sigmoid of it is 0 or 1 in every float, and x^3 could overflow."""
        near = np.clip(x, -30, 30)
        c = 2 * math.sqrt(2 / math.pi)
        return c * (near + 0.044715 * near**3), c * (1 + 3 * 0.044715 * near * near)


@final
@dataclass(frozen=True)
class Mish(Pointwise):
    """y = x * tanh(ln(1 + exp(x))).

    tanh(ln(1 + t)) = (t^2 + 2t) / (t^2 + 2t + 2), a fraction that is written in exp(-|x|) on either side of 0.
    Source: Misra 2019, "Mish: A Self Regularized Non-Monotonic Activation Function".
    """

    rational = False

    def value(self, x: Array) -> Array:
        return x * self._gate(x)[0]

    def derivative(self, x: Array, y: Array) -> Array:
        gate, slope = self._gate(x)
        return np.asarray(gate + x * slope)

    def _gate(self, x: Array) -> tuple[Array, Array]:
        """tanh(softplus(x)) and its derivative."""
        e = np.exp(-np.abs(x))
        right = x >= 0
        top = np.where(right, 1 + 2 * e, e * (e + 2))
        below = top + np.where(right, 2 * e * e, 2)
        return top / below, 4 * e * (1 + e) * np.where(right, e, 1) / (below * below)


@final
@dataclass(frozen=True)
class Softplus(Pointwise):
    """y = ln(1 + exp(beta * x)) / beta, beta > 0.

    Differs: torch returns x itself where beta * x > 20 (its ``threshold``), off by at most exp(-20) / beta = 2.1e-9 / beta.
    """

    beta: float = 1.0
    rational = False

    def __post_init__(self) -> None:
        if not self.beta > 0:
            raise GraphError(f"Softplus: beta is {self.beta}; a number > 0 is expected")

    def value(self, x: Array) -> Array:
        return np.maximum(x, 0) + np.log1p(np.exp(-self.beta * np.abs(x))) / self.beta

    def derivative(self, x: Array, y: Array) -> Array:
        return _sigmoid(self.beta * x)


# ----- helpers ----------------------------------------------------------------------------------------------------


def _sigmoid(x: Array) -> Array:
    """1 / (1 + e) for x >= 0 and e / (1 + e) for x < 0, with e = exp(-|x|): exp(min(x, 0)) is the 1 or the e."""
    below, y = np.empty_like(x), np.empty_like(x)
    np.exp(np.negative(np.abs(x, out=below), out=below), out=below)
    np.exp(x.clip(-np.inf, 0, out=y) if x.size >= LONG else np.minimum(x, ZEROS[x.dtype.char], out=y), out=y)
    below += ONES[x.dtype.char]
    y /= below
    return y


def _bell(x: Array) -> Array:
    """The derivative of the sigmoid, e / (1 + e)^2 with e = exp(-|x|): s (1 - s) would cancel for large x."""
    e = np.abs(x, out=np.empty_like(x))
    np.exp(np.negative(e, out=e), out=e)
    below = 1 + e
    below *= below
    e /= below
    return e
