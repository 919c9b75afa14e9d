"""Comparisons, Boolean operators, bits and casts. No signal passes any of them, except the cast of a float to a float."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, final

import numpy as np

from xaicore.errors import GraphError, InputError
from xaicore.numerics import Array, filled, rationals
from xaicore.ops.op import Op
from xaicore.ops.pointwise import refuse


class Blocking(Op):
    """An operator with a discrete result: it blocks every input, and its vjp is 0."""

    def blocks(self, i: int) -> bool:
        return True

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return filled(xs[i].shape, 0, xs[i])


_COMPARE = {"eq": np.equal, "ne": np.not_equal, "lt": np.less, "le": np.less_equal, "gt": np.greater, "ge": np.greater_equal}
_BITWISE = {"and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor}
_LOGICAL = {"and": np.logical_and, "or": np.logical_or, "xor": np.logical_xor}


@final
@dataclass(frozen=True)
class Compare(Blocking):
    """y = (a kind b), booleans; kind is one of eq ne lt le gt ge, and a and b broadcast.

    Same as: torch.eq to torch.ge, ONNX Equal, Less, Greater and their kin.
    """

    kind: Literal["eq", "ne", "lt", "le", "gt", "ge"]
    arity = (2, 2)

    def __post_init__(self) -> None:
        _need_kind("Compare", self.kind, _COMPARE)

    def forward(self, *xs: Array) -> Array:
        return np.asarray(_COMPARE[self.kind](*xs), dtype=bool)


@final
@dataclass(frozen=True)
class Logical(Blocking):
    """y = (a kind b), booleans; kind is one of and, or, xor. A number counts as true unless it is 0.

    Same as: torch.logical_and to torch.logical_xor, ONNX And, Or, Xor.
    """

    kind: Literal["and", "or", "xor"]
    arity = (2, 2)

    def __post_init__(self) -> None:
        _need_kind("Logical", self.kind, _LOGICAL)

    def forward(self, *xs: Array) -> Array:
        return np.asarray(_LOGICAL[self.kind](*(x != 0 for x in xs)), dtype=bool)


@final
@dataclass(frozen=True)
class Not(Blocking):
    """y = not x, booleans. A number counts as true unless it is 0.

    Same as: torch.logical_not, ONNX Not.
    """

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0] == 0, dtype=bool)


@final
@dataclass(frozen=True)
class IsNaN(Blocking):
    """y = is x not a number? A rational always is one.

    Same as: torch.isnan, ONNX IsNaN.
    """

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0] != xs[0])


@final
@dataclass(frozen=True)
class IsInf(Blocking):
    """y = is x infinite, and of a sign that counts? A rational never is.

    Same as: torch.isinf, ONNX IsInf.
    """

    negative: bool = True
    positive: bool = True

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        infinite = np.isinf(x) if x.dtype.kind == "f" else np.zeros(x.shape, bool)
        return np.asarray(infinite & np.where(x > 0, self.positive, self.negative))


@final
@dataclass(frozen=True)
class Bitwise(Blocking):
    """y = (a kind b) bit by bit, of integers or booleans; kind is one of and, or, xor, and a and b broadcast.

    InputError for floats.   Same as: np.bitwise_and and its relatives, ONNX BitwiseAnd, BitwiseOr, BitwiseXor.
    """

    kind: Literal["and", "or", "xor"]
    arity = (2, 2)

    def __post_init__(self) -> None:
        _need_kind("Bitwise", self.kind, _BITWISE)

    def forward(self, *xs: Array) -> Array:
        _need_bits("Bitwise", xs)
        return np.asarray(_BITWISE[self.kind](*xs))


@final
@dataclass(frozen=True)
class BitwiseNot(Blocking):
    """y = x with every bit turned: -x - 1 for a signed integer.   InputError for floats.

    Same as: torch.bitwise_not, ONNX BitwiseNot.
    """

    def forward(self, *xs: Array) -> Array:
        _need_bits("BitwiseNot", xs)
        return np.asarray(~xs[0])


@final
@dataclass(frozen=True)
class BitShift(Blocking):
    """y = a with its bits moved by b places to the "left" (times 2^b) or "right" (divided by 2^b and rounded down).

    InputError for floats and for b outside 0 to the number of bits less one, which computers treat differently.
    Same as: np.left_shift and np.right_shift, torch.bitwise_left_shift, ONNX BitShift.
    """

    direction: Literal["left", "right"]
    arity = (2, 2)

    def __post_init__(self) -> None:
        _need_kind("BitShift", self.direction, ("left", "right"))

    def forward(self, *xs: Array) -> Array:
        a, b = xs
        _need_bits("BitShift", xs)
        bits = 8 * a.dtype.itemsize
        refuse((b < 0) | (b >= bits), b, "BitShift", f"0 to {bits - 1} places are expected for {a.dtype}", "number of places")
        return np.asarray(np.left_shift(a, b) if self.direction == "left" else np.right_shift(a, b))


@final
@dataclass(frozen=True)
class ToBool(Blocking):
    """y = (x != 0).

    Same as: x.to(torch.bool), ONNX Cast to BOOL.
    """

    def forward(self, *xs: Array) -> Array:
        return np.asarray(xs[0] != 0, dtype=bool)


@final
@dataclass(frozen=True)
class ToInt(Blocking):
    """y = x without its fraction (towards zero), as int64.   InputError for NaN, infinity and what int64 cannot hold.

    Same as: x.to(torch.int64), ONNX Cast to INT64; those let NaN through.
    """

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        if x.dtype.kind in "fO":
            refuse(~((x >= -(2**63)) & (x < 2**63)), x, "ToInt", "a finite number within int64 is expected")
        return x.astype(np.int64)


@final
@dataclass(frozen=True)
class ToFloat(Op):
    """y = x as the graph's number: a float or Fraction stays as it is and passes the signal, an int or bool is converted.

    ``dtype`` ("float64", "float32", "exact") is the graph's arithmetic; ``graph.astype`` rewrites it through ``with_dtype``.
    Same as: x.to(torch.float64), ONNX Cast to a float.
    """

    dtype: Literal["float64", "float32", "exact"] = "float64"
    routes = True

    def __post_init__(self) -> None:
        _need_kind("ToFloat", self.dtype, ("float64", "float32", "exact"))

    def with_dtype(self, dtype: Literal["float64", "float32", "exact"]) -> ToFloat:
        """The same cast in a graph of another arithmetic."""
        return replace(self, dtype=dtype)

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        if x.dtype.kind in "fO":
            return x
        if x.dtype.kind not in "iub":
            raise InputError(f"ToFloat: the input has dtype {x.dtype}; numbers or booleans are expected")
        return rationals(x.astype(np.int64), "ToFloat") if self.dtype == "exact" else x.astype(self.dtype)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g if xs[0].dtype.kind in "fO" else np.zeros_like(xs[0])


def _need_bits(who: object, xs: Iterable[Array]) -> None:
    for x in xs:
        if x.dtype.kind not in "iub":
            raise InputError(f"{who}: an input has dtype {x.dtype}, but integers are expected; cast it with ToInt")


def _need_kind(who: object, kind: str, known: Iterable[str]) -> None:
    if kind not in known:
        raise GraphError(f"{who}: {kind!r} is unknown; one of {', '.join(known)} is expected")
