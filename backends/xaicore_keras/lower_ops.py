"""``keras.ops`` on symbolic tensors: arithmetic, reductions, products. Those that only move entries are in lower_shape.py.

An operation's settings are attributes of its object (``op.axis``), its tensors are the arguments of the call; each tensor
may also be a constant.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from xaicore.ops import (
    Abs,
    Acos,
    Acosh,
    Add,
    ArgMax,
    ArgMin,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Ceil,
    Clip,
    Compare,
    Cos,
    Cosh,
    CumSum,
    Dense,
    Detach,
    Div,
    Einsum,
    Erf,
    Exp,
    Expm1,
    Floor,
    Identity,
    Log,
    Log1p,
    Logical,
    MatMul,
    Maximum,
    Mean,
    Minimum,
    Mul,
    Neg,
    Norm,
    Not,
    OneHot,
    Op,
    Pow,
    Reciprocal,
    ReduceMax,
    ReduceMin,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sinh,
    Sqrt,
    Squeeze,
    Sub,
    Sum,
    Tan,
    ToBool,
    ToFloat,
    ToInt,
    Variance,
    Where,
)
from xaicore_keras.convert import Call, Lowering, Value
from xaicore_keras.lower_layers import floating
from xaicore_keras.lower_shape import one_axis, some_axes, still_moved
from xaicore_keras.record import numpy_of
from xaicore_keras.weights import Shape

# ----- two operands -----------------------------------------------------------------------------------------------


def operands(c: Call, *given: Any, number: bool = True) -> tuple[list[str], Value]:
    """Names of tensors and constants that broadcast in one layout, and a Value with that layout."""
    as_float = number and _is_float(c, given)
    given = tuple(floating(c, v) if as_float and isinstance(v, Value) else v for v in given)
    tensors = [v for v in given if isinstance(v, Value)]
    if len({v.rank for v in tensors}) > 1:
        shapes = " and ".join(str(v.shape) for v in tensors)
        raise c.refuse(f"combines tensors of different rank, {shapes}, so that the batch meets another axis", "use expand_dims first")
    moved = any(v.moved for v in tensors)
    laid = [c.moved(v) if moved and isinstance(v, Value) else v for v in given]
    found = [v for v in laid if isinstance(v, Value)]
    kind = "float" if as_float or any(v.kind == "float" for v in found) else "bool" if all(v.kind == "bool" for v in found) else "int"
    like = replace(found[0], kind=kind, shape=_broadcast([v.shape for v in found]))
    names = [v.name if isinstance(v, Value) else c.constant(v, like) for v in laid]
    return names, replace(like, image=like.image if len(tensors) == 1 else "")


def _broadcast(shapes: Sequence[Shape]) -> Shape:
    """The shape of what broadcasts, as far as it is known."""
    return tuple(next((n for n in sizes if n != 1), 1) for sizes in zip(*shapes))


def joined(c: Call, op: Op, names: Sequence[str], like: Value) -> Value:
    return replace(c.value(c.add(op, *names), like.moved), image=like.image)


def _is_float(c: Call, given: Sequence[Any]) -> bool:
    kinds = [v.kind if isinstance(v, Value) else "float" if numpy_of(v).dtype.kind == "f" else "int" for v in given]
    return "float" in kinds or c.op.kind in ("keras.ops.Divide", "keras.ops.TrueDivide")


def pair(op: Op) -> Lowering:
    def lowering(c: Call) -> Value:
        names, v = operands(c, c.arg(0, "x1"), c.arg(1, "x2"))
        return joined(c, op, names, v)

    return lowering


def logical(kind: Literal["and", "or", "xor"]) -> Lowering:
    def lowering(c: Call) -> Value:
        names, v = operands(c, c.arg(0, "x1"), c.arg(1, "x2"), number=False)
        return joined(c, Logical(kind), names, v)

    return lowering


def power(c: Call) -> Value:
    base, exponent = c.arg(0, "x1"), c.arg(1, "x2")
    if isinstance(exponent, Value) or numpy_of(exponent).ndim:
        raise c.refuse("has an exponent that is not one number", "write it as exp(exponent * log(base))")
    value = float(numpy_of(exponent))
    return c.map(Pow(int(value) if value.is_integer() else value), floating(c, base))


def where(c: Call) -> Value:
    condition, a, b = c.arg(0, "condition"), c.arg(1, "x1"), c.arg(2, "x2")
    if a is None or b is None:
        raise c.refuse("has no values to choose from", "give x1 and x2")
    if not isinstance(condition, Value):
        condition = numpy_of(condition).astype(bool)
    elif condition.kind != "bool":
        condition = c.map(ToBool(), condition, tag="condition")
    names, v = operands(c, condition, a, b, number=False)
    return joined(c, Where(), names, v)


# ----- one operand ------------------------------------------------------------------------------------------------


def each(op: Op) -> Lowering:
    return lambda c: c.map(op, floating(c, c.x))


def scaled_log(factor: float) -> Lowering:
    return lambda c: c.map(Mul(), c.map(Log(), floating(c, c.x), tag="log"), c.constant(factor, tag="factor"))


def clip(c: Call) -> Value:
    low, high = (None if v is None else float(numpy_of(v)) for v in (c.op.x_min, c.op.x_max))
    return c.map(Clip(low, high), c.x)


def rounded(c: Call) -> Value:
    if c.op.decimals:
        raise c.refuse(f"rounds to {c.op.decimals} decimals", "round to whole numbers")
    return c.map(Round(), c.x)


def cast(c: Call) -> Value:
    dtype = str(c.op.dtype)
    if "float" in dtype:
        return c.map(Identity(), c.x) if c.x.kind == "float" else floating(c, replace(c.x))
    return c.map(ToBool() if dtype == "bool" else ToInt(), c.x)


# ----- reductions -------------------------------------------------------------------------------------------------


def reduction(make: Callable[[tuple[int, ...], bool], Op], after: Op | None = None) -> Lowering:
    """A row for an operation that reduces ``axis``; ``after`` comes behind it (the root of a variance, a number as a boolean)."""

    def lowering(c: Call) -> Value:
        if c.op.config.get("initial") is not None:
            raise c.refuse("has an initial value", "leave it out, or take the maximum with it afterwards")
        v = floating(c, c.x)
        axes = some_axes(c, v)
        name = c.add(make(tuple(v.axis(k) for k in axes), bool(c.op.keepdims)), v, tag="reduced" if after else "")
        return c.value(c.add(after, name) if after else name, still_moved(v, axes, bool(c.op.keepdims)))

    return lowering


def logsumexp(c: Call) -> Value:
    """m + log(sum(exp(x - m))) with the maximum m, which cancels and so carries no signal."""
    v = c.x
    axes = some_axes(c, v)
    at = tuple(v.axis(k) for k in axes)
    top = c.add(Detach(shared=True), c.add(ReduceMax(at, True), v, tag="max"), tag="shift")
    total = c.add(Sum(at, True), c.add(Exp(), c.add(Sub(), v, top, tag="shifted"), tag="exp"), tag="sum")
    whole = c.add(Add(), c.add(Log(), total, tag="log"), top, tag="" if c.op.keepdims else "kept")
    return c.value(whole if c.op.keepdims else c.add(Squeeze(at), whole), still_moved(v, axes, bool(c.op.keepdims)))


def along(make: Callable[..., Op], number: bool = True) -> Lowering:
    """A row for an operation along one axis, which stays (running sums) or goes (positions)."""

    def lowering(c: Call) -> Value:
        v = floating(c, c.x) if number else c.x
        axis = one_axis(c, c.op.axis, v.rank)
        if number:
            return c.value(c.add(make(v.axis(axis)), v), v.moved)
        kept = bool(c.op.keepdims)
        return c.value(c.add(make(v.axis(axis), kept), v), still_moved(v, (axis,), kept))

    return lowering


def one_hot(c: Call) -> Value:
    """Floats, as Keras has them by default."""
    if c.op.axis not in (-1, c.x.rank):
        raise c.refuse(f"puts the classes on axis {c.op.axis}", "use axis=-1")
    v = c.own(c.x)
    code = c.add(OneHot(int(c.op.num_classes)), v if v.kind == "int" else c.add(ToInt(), v, tag="index"), tag="code")
    return c.value(c.add(ToFloat(), code))


def norm(c: Call) -> Value:
    """The 2-norm (ord None or 2) or the 1-norm over one axis."""
    axes = some_axes(c, c.x)
    if c.op.ord not in (None, 1, 2, "fro", "euclidean") or (len(axes) > 1 and c.op.ord is not None):
        raise c.refuse(f"has ord={c.op.ord} over {len(axes)} axes", "use ord=2 or ord=1 over one axis")
    v, kept = floating(c, c.x), bool(c.op.keepdims)
    p = 1.0 if c.op.ord == 1 else 2.0
    return c.value(c.add(Norm(tuple(v.axis(k) for k in axes), kept, p), v), still_moved(v, axes, kept))


def floor_divide(c: Call) -> Value:
    names, v = operands(c, c.arg(0, "x1"), c.arg(1, "x2"))
    return replace(c.value(c.add(Floor(), c.add(Div(), *names, tag="quotient")), v.moved), image=v.image)


# ----- products ---------------------------------------------------------------------------------------------------


def matmul(c: Call) -> Value:
    """A constant matrix on the right makes a dense layer; two tensors of one rank are multiplied sample by sample."""
    a, b = c.arg(0, "x1"), c.arg(1, "x2")
    if isinstance(a, Value) and not isinstance(b, Value) and numpy_of(b).ndim == 2:
        w = c.to.b.constant(np.transpose(numpy_of(b)), f"{c.name}/kernel")
        return c.value(c.add(Dense(), c.own(floating(c, a)), w))
    tensors = [v for v in (a, b) if isinstance(v, Value)]
    if c.op.kind == "keras.ops.Dot" or any(v.rank < 3 for v in tensors) or len({v.rank for v in tensors}) > 1:
        shapes = " and ".join(str(v.shape) for v in tensors)
        raise c.refuse(f"multiplies {shapes}, so that samples would meet", "use tensors of one rank, at least (N, I, J), or einsum")
    like = c.own(tensors[0])
    names = [c.own(floating(c, v)).name if isinstance(v, Value) else c.constant(v, like) for v in (a, b)]
    return c.value(c.add(MatMul(), *names))


def einsum(c: Call) -> Value:
    terms, arrow, out = c.op.subscripts.replace(" ", "").partition("->")
    inputs = terms.split(",")
    if not arrow:
        raise c.refuse("has an equation without an output", "write '->' and the labels of the output")
    free = iter([one for one in string.ascii_letters if one not in terms + out])
    rank = max((len(v.shape) if isinstance(v, Value) else numpy_of(v).ndim) - len(t.replace("...", "")) for t, v in zip(inputs, c.args))
    dots = "".join(next(free) for _ in range(rank)) if "..." in terms else ""
    inputs, out = [t.replace("...", dots) for t in inputs], out.replace("...", dots)
    names = []
    for term, v in zip(inputs, c.args):
        if isinstance(v, Value):
            if term[0] != out[:1]:
                raise c.refuse(f"has the equation {c.op.subscripts!r}, which mixes or moves the batch", "keep the batch first everywhere")
            names.append(c.own(floating(c, v)).name)
        else:
            names.append(c.constant(v))
    return c.value(c.add(Einsum(f"{','.join(inputs)}->{out}"), *names))


# ----- the tables -------------------------------------------------------------------------------------------------

PAIRS: dict[str, Op] = {
    "Add": Add(), "Subtract": Sub(), "Multiply": Mul(), "Divide": Div(), "TrueDivide": Div(), "Maximum": Maximum(), "Minimum": Minimum(),
    "Equal": Compare("eq"), "NotEqual": Compare("ne"), "Less": Compare("lt"), "LessEqual": Compare("le"), "Greater": Compare("gt"),
    "GreaterEqual": Compare("ge"),
}

EACH: dict[str, Op] = {
    "Negative": Neg(), "Absolute": Abs(), "Square": Pow(2), "Sqrt": Sqrt(), "Rsqrt": Rsqrt(), "Reciprocal": Reciprocal(),
    "Expm1": Expm1(), "Log": Log(), "Log1p": Log1p(), "Erf": Erf(), "Sin": Sin(), "Cos": Cos(), "Tan": Tan(),
    "Arcsin": Asin(), "Arccos": Acos(), "Arctan": Atan(), "Sinh": Sinh(), "Cosh": Cosh(), "Arcsinh": Asinh(), "Arccosh": Acosh(),
    "Arctanh": Atanh(), "Sign": Sign(), "Floor": Floor(),
    "Ceil": Ceil(), "StopGradient": Detach(), "Copy": Identity(),
}

OTHERS: dict[str, Lowering] = {
    "ConvertToTensor": lambda c: c.map(Identity(), c.x),
    "Power": power, "Where": where, "Clip": clip, "Round": rounded, "Cast": cast, "LogicalNot": lambda c: c.map(Not(), c.x),
    "LogicalAnd": logical("and"), "LogicalOr": logical("or"), "LogicalXor": logical("xor"),
    "Log2": scaled_log(1 / math.log(2)), "Log10": scaled_log(1 / math.log(10)),
    "Sum": reduction(Sum), "Mean": reduction(Mean), "Max": reduction(ReduceMax), "Amax": reduction(ReduceMax),
    "Min": reduction(ReduceMin), "Amin": reduction(ReduceMin), "Var": reduction(Variance), "Std": reduction(Variance, Sqrt()),
    "Any": reduction(ReduceMax, ToBool()), "All": reduction(ReduceMin, ToBool()), "Logsumexp": logsumexp,
    "Matmul": matmul, "Dot": matmul, "Einsum": einsum, "FloorDivide": floor_divide, "Norm": norm,
    "Cumsum": along(CumSum), "Argmax": along(ArgMax, number=False), "Argmin": along(ArgMin, number=False), "OneHot": one_hot,
}

OPERATIONS: dict[str, Lowering] = {
    **{k: pair(op) for k, op in PAIRS.items()}, **{k: each(op) for k, op in EACH.items()}, **OTHERS,
}
