"""Functions of two arrays that broadcast as NumPy does: sum, difference, product, quotient, maximum, minimum, choice.

Each vjp sums over the axes along which its input was broadcast. The same array may stand at both inputs: each has its own vjp.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.numerics import Array, long, scalar, unbroadcast
from xaicore.ops.op import Op
from xaicore.ops.pointwise import Neg, Reciprocal, refuse

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


class _Pair(Op):
    """Two inputs of shapes that broadcast, else ShapeError."""

    arity = (2, 2)

    def value(self, a: Array, b: Array) -> Array:
        """y, the shapes being right."""
        raise TypeError(f"{type(self).__name__} does not define value")

    def forward(self, *xs: Array) -> Array:
        common_shape(type(self).__name__, xs)
        return np.asarray(self.value(*xs))


@final
@dataclass(frozen=True)
class Add(_Pair):
    """y = a + b.   With one active input the other is its bias.

    Same as: torch.add, ONNX Add.
    """

    fixed_weights = "uniform"
    fresh = True

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        return _constants(active)

    def value(self, a: Array, b: Array) -> Array:
        return a + b

    def over(self, *xs: Array) -> Array:
        a, b = xs
        return np.add(a, b, out=a) if a.shape == b.shape and a.dtype == b.dtype and long(a) else self.forward(a, b)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return _back(g, xs[i])


@final
@dataclass(frozen=True)
class Sub(_Pair):
    """y = a - b.   With one active input the other is its bias.   Expands to a + (-b).

    Same as: torch.sub, ONNX Sub.
    """

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        return _constants(active)

    def value(self, a: Array, b: Array) -> Array:
        return a - b

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return _back(-g if i else g, xs[i])

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return b.add(Add(), inputs[0], b.add(Neg(), inputs[1]))


@final
@dataclass(frozen=True)
class Mul(_Pair):
    """y = a * b.   With one active input the other is its weight; with two it is bilinear (a square too: same value twice).

    Same as: torch.mul, ONNX Mul.
    """

    def affine(self, active: Sequence[bool]) -> bool:
        return not all(active)

    def bilinear(self, active: Sequence[bool]) -> bool:
        return all(active)

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        return _constants(active)[:1] or None

    def value(self, a: Array, b: Array) -> Array:
        return a * b

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return _back(g * xs[1 - i], xs[i])


@final
@dataclass(frozen=True)
class Div(_Pair):
    """y = a / b, b != 0.   Affine in a alone.   InputError where b is 0.   Expands to a * (1 / b).

    Same as: torch.div, ONNX Div of floats; those give inf at 0.
    """

    def affine(self, active: Sequence[bool]) -> bool:
        return not active[1]

    def value(self, a: Array, b: Array) -> Array:
        refuse(b == 0, b, "Div", "the divisor must not be 0; add a small constant to it")
        return a / b

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        a, b = xs
        return _back(g / b, a) if i == 0 else _back(-g * (y / b), b)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return b.add(Mul(), inputs[0], b.add(Reciprocal(), inputs[1]))


class _Choice(_Pair):
    """The larger or smaller of two: the winner takes the whole cotangent, and at a tie that is the first input."""

    def candidates(self, *xs: Array) -> Array:
        raise TypeError(f"{type(self).__name__} does not define candidates")

    def winners(self, *xs: Array) -> Array:
        """For each entry of y the number of the input that it copies: an index into the last axis of the candidates."""
        return np.asarray(self.candidates(*xs).argmax(axis=-1))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return _back(_where(self.winners(*xs) == i, g), xs[i])


@final
@dataclass(frozen=True)
class Maximum(_Choice):
    """y = max(a, b); at a tie the first input takes the whole cotangent.

    ``candidates`` stacks a and b on a new last axis.   Differs: torch.maximum gives each input one half at a tie.
    """

    def value(self, a: Array, b: Array) -> Array:
        return np.maximum(a, b)

    def candidates(self, *xs: Array) -> Array:
        return np.stack(np.broadcast_arrays(*xs), axis=-1)


@final
@dataclass(frozen=True)
class Minimum(_Choice):
    """y = min(a, b); at a tie the first input takes the whole cotangent.

    ``candidates`` are negated: y = -max(candidates), since min(a, b) = -max(-a, -b).   Differs: torch.minimum halves at a tie.
    """

    def value(self, a: Array, b: Array) -> Array:
        return np.minimum(a, b)

    def candidates(self, *xs: Array) -> Array:
        return -np.stack(np.broadcast_arrays(*xs), axis=-1)


@final
@dataclass(frozen=True)
class Where(Op):
    """y = a where cond, else b.   cond bool, a and b any shapes that broadcast with it; no signal passes to cond.

    InputError when cond is not boolean. An entry that was not chosen gets exactly 0, even beside an infinite mask value.
    Same as: torch.where, ONNX Where, np.where.
    """

    arity = (3, 3)
    routes = True

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        return tuple(i for i in (1, 2) if not active[i])

    def blocks(self, i: int) -> bool:
        return i == 0

    def forward(self, *xs: Array) -> Array:
        if xs[0].dtype != bool:
            raise InputError(f"Where: the condition has dtype {xs[0].dtype}, but booleans are expected; cast it with ToBool")
        common_shape("Where", xs)
        return np.where(*xs)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if i == 0:
            return np.zeros_like(xs[0])
        return _back(_where(xs[0] == (i == 1), g), xs[i])


# ----- helpers ----------------------------------------------------------------------------------------------------


def common_shape(who: object, xs: Sequence[Array]) -> None:
    try:
        np.broadcast_shapes(*(x.shape for x in xs))
    except ValueError:
        shapes = " and ".join(str(x.shape) for x in xs)
        hint = "sizes must agree from the last axis backwards, or be 1"
        raise ShapeError(f"{who}: shapes {shapes} do not broadcast; {hint}") from None


def _constants(active: Sequence[bool]) -> tuple[int, ...]:
    return tuple(i for i, on in enumerate(active) if not on)


def _back(g: Array, x: Array) -> Array:
    """The cotangent g of the broadcast x, as one of x itself."""
    return np.asarray(unbroadcast(np.asarray(g), x.shape), dtype=x.dtype)


def _where(condition: Array, g: Array) -> Array:
    return np.where(condition, g, scalar(0, g))
