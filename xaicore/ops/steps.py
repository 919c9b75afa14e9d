"""Functions with steps: thresholds, shrinkage, remainders, quantisation.

Where such a function jumps, a gradient sees nothing and an integral of it misses the jump; DeepLIFT's Rescale takes it in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from xaicore.errors import GraphError, ShapeError
from xaicore.numerics import Array, filled, is_exact, scalar, unbroadcast
from xaicore.ops.arithmetic import Div, Mul, Sub, common_shape
from xaicore.ops.op import Op
from xaicore.ops.pointwise import Abs, Floor, Pointwise, Sign, refuse, whole

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


@final
@dataclass(frozen=True)
class Threshold(Pointwise):
    """y = x for x > threshold, ``below`` otherwise; derivative 0 at the threshold.

    Same as: torch.nn.Threshold, ONNX ThresholdedRelu with the value 0. It jumps unless the two numbers are equal.
    """

    threshold: float = 0.0
    below: float = 0.0

    def value(self, x: Array) -> Array:
        return np.where(x > scalar(self.threshold, x), x, scalar(self.below, x))

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(np.where(x > scalar(self.threshold, x), scalar(1, x), scalar(0, x)))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        return (xs[0] - scalar(self.threshold, xs[0]),) if self.threshold == self.below else None


@final
@dataclass(frozen=True)
class Shrink(Pointwise):
    """y = x - bias for x > lambd, x + bias for x < -lambd, 0 between; derivative 0 on the bounds.

    bias 0 is the hard shrinkage, which jumps; bias = lambd the soft one, which does not.
    Same as: ONNX Shrink, torch.nn.Hardshrink and Softshrink. Raises GraphError for a negative lambd.
    """

    lambd: float = 0.5
    bias: float = 0.0

    def __post_init__(self) -> None:
        if not self.lambd >= 0:
            raise GraphError(f"Shrink: lambd is {self.lambd}; 0 or a positive number is expected")

    def value(self, x: Array) -> Array:
        limit, bias = scalar(self.lambd, x), scalar(self.bias, x)
        return np.asarray(np.where(x > limit, x - bias, np.where(x < -limit, x + bias, scalar(0, x))))

    def derivative(self, x: Array, y: Array) -> Array:
        return np.asarray(np.where(np.abs(x) > scalar(self.lambd, x), scalar(1, x), scalar(0, x)))

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        limit = scalar(self.lambd, xs[0])
        return (xs[0] - limit, xs[0] + limit) if self.bias == self.lambd else None


@final
@dataclass(frozen=True)
class Mod(Op):
    """y = a - q b, q the quotient a / b rounded down ("floor": the sign of b) or towards 0 ("trunc": the sign of a), b != 0.

    a and b broadcast; integers too. dy/da = 1, dy/db = -q.   InputError where b is 0, ShapeError for shapes that do not fit.
    Expands to products with the rounded quotient.   Same as: np.mod and np.fmod, torch.remainder and torch.fmod, ONNX Mod.
    """

    kind: Literal["floor", "trunc"] = "floor"

    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    composite: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.kind not in ("floor", "trunc"):
            raise GraphError(f"Mod: kind is {self.kind!r}; 'floor' or 'trunc' is expected")

    def forward(self, *xs: Array) -> Array:
        a, b = xs
        common_shape("Mod", xs)
        refuse(b == 0, b, "Mod", "the divisor must not be 0; add a small constant to it")
        if self.kind == "floor":
            return np.asarray(np.mod(a, b))
        return np.asarray(np.sign(a) * np.mod(np.abs(a), np.abs(b)) if is_exact(a) else np.fmod(a, b))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        a, b = xs
        if i == 1:
            quotient = (a - y) / b
            g = -g * (whole(round, quotient) if is_exact(quotient) else np.round(quotient))
        return np.asarray(unbroadcast(np.asarray(g), xs[i].shape), dtype=xs[i].dtype)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        quotient = b.add(Div(), *inputs, name="quotient")
        if self.kind == "floor":
            whole_part = b.add(Floor(), quotient, name="whole")
        else:
            size = b.add(Floor(), b.add(Abs(), quotient, name="size"), name="whole")
            whole_part = b.add(Mul(), b.add(Sign(), quotient, name="sign"), size, name="signed")
        return b.add(Sub(), inputs[0], b.add(Mul(), whole_part, inputs[1], name="multiple"))


@final
@dataclass(frozen=True)
class FakeQuantize(Op):
    """y = (clip(round(x / scale) + zero_point, low, high) - zero_point) scale: quantised and taken back, halves to the even number.

    x (N, ...), scale > 0 and zero_point broadcast to x as NumPy does (one for each channel of an image: shape (C, 1, 1)).
    The vjp is straight through: g where round(x / scale) + zero_point lies within low and high, 0 elsewhere and for scale and
    zero_point. The true derivative is 0 almost everywhere.
    LRP takes it as an activation: relevance passes unchanged, in the range and beyond. DeepLIFT's Rescale takes the true quotient
    of differences, so it completes. Integrated gradients integrate the straight-through slope and do not.
    Raises GraphError for low > high, ShapeError for shapes that do not fit, InputError for a scale that is not positive.
    Same as: torch.fake_quantize_per_tensor_affine and per_channel_affine; ONNX QuantizeLinear followed by DequantizeLinear.
    """

    low: int = -128
    high: int = 127

    arity: ClassVar[tuple[int, int | None]] = (3, 3)
    elementwise: ClassVar[bool] = True
    straight_through: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.low > self.high:
            raise GraphError(f"{self}: low must not be larger than high")

    def blocks(self, i: int) -> bool:
        return i > 0

    def forward(self, *xs: Array) -> Array:
        _, scale, zero = self._checked(*xs)
        return np.asarray((self._clipped(self._level(*xs)) - zero) * scale)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if i > 0:
            return np.zeros_like(xs[i]) if xs[i].dtype != object else filled(xs[i].shape, 0, xs[i])
        level = self._level(*xs)
        return np.where((level >= self.low) & (level <= self.high), g, scalar(0, g))

    def _checked(self, *xs: Array) -> Sequence[Array]:
        x, scale, zero = xs
        for name, one in (("scale", scale), ("zero_point", zero)):
            try:
                fits = np.broadcast_shapes(one.shape, x.shape) == x.shape
            except ValueError:
                fits = False
            if not fits:
                raise ShapeError(f"FakeQuantize: {name} of shape {one.shape} does not broadcast to x of shape {x.shape}; one for each "
                                 f"channel of an image has shape (C, 1, 1)")
        refuse(~(scale > 0), scale, "FakeQuantize", "a scale must be positive", "scale")
        return x, scale, zero.astype(x.dtype)

    def _level(self, *xs: Array) -> Array:
        x, scale, zero = self._checked(*xs)
        level = x / scale
        return np.asarray((whole(round, level) if is_exact(level) else np.round(level)) + zero)

    def _clipped(self, level: Array) -> Array:
        return np.asarray(np.minimum(np.maximum(level, scalar(self.low, level)), scalar(self.high, level)))
