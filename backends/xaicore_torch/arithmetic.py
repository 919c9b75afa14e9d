"""ATen operators on single entries: activations, functions of one or two numbers, comparisons, casts. Reductions are in reductions.py.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. The
tables at the end say which function lowers which operator.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from xaicore.errors import ConversionError
from xaicore.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Acos,
    Acosh,
    Add,
    Asin,
    Asinh,
    Atan,
    Atanh,
    Bitwise,
    BitwiseNot,
    Ceil,
    Clip,
    Compare,
    Cos,
    Cosh,
    Detach,
    Div,
    Erf,
    Exp,
    Expm1,
    Floor,
    HardSigmoid,
    HardSwish,
    Identity,
    IsInf,
    IsNaN,
    LeakyReLU,
    Log,
    Log1p,
    Logical,
    Maximum,
    Minimum,
    Mish,
    Mod,
    Mul,
    Neg,
    Not,
    Op,
    Pow,
    PReLU,
    Reciprocal,
    ReLU,
    ReLU6,
    Round,
    Rsqrt,
    Sigmoid,
    Sign,
    SiLU,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Split,
    Sqrt,
    Sub,
    Tan,
    Tanh,
    Threshold,
    ToBool,
    ToInt,
    Where,
)
from xaicore_torch.context import Const, Context, Value, kind_of

# ----- one array --------------------------------------------------------------------------------------------------


def elementwise(make: Callable[..., Op], c: Context, x: Any, **settings: Any) -> Value:
    """An operator of one array; ``make`` gets the other arguments."""
    value = c.active(x)
    return c.emit(make(**settings), c.as_float(value) if c.result().is_floating_point() else value)


def elu(alpha: float, scale: float, input_scale: float) -> Op:
    """ELU; torch writes SELU and CELU by other names, so that other scales do not occur."""
    if (scale, input_scale) != (1, 1):
        raise ConversionError(f"elu with scale {scale} and input_scale {input_scale} is not supported; use selu or celu")
    return ELU(float(alpha))


def hardtanh(min_val: float, max_val: float) -> Op:
    """A clip. At its bounds torch's hardtanh has slope 0, ours 1 (as torch.clamp); ReLU6 has 0 in both."""
    return ReLU6() if (min_val, max_val) == (0, 6) else Clip(min_val, max_val)


def clamp(c: Context, x: Any, min: Any = None, max: Any = None) -> Value:
    """min(max(x, low), high); the bounds are numbers, or arrays that broadcast."""
    value = c.active(x)
    if not any(isinstance(b, Value) or (isinstance(b, Const) and b.tensor.numel() > 1) for b in (min, max)):
        low, high = (None if b is None or abs(c.number(b)) == math.inf else c.number(b) for b in (min, max))
        if low is high is None:
            return value
        return c.emit(Clip(low, high), c.as_float(value) if c.result().is_floating_point() else value)
    for bound, op, part in ((min, Maximum(), "" if max is None else "at_least"), (max, Minimum(), "")):
        if bound is not None:
            names, layout = c.align(value, bound)
            value = Value(c.add(op, *names, part=part), layout, value.kind)
    return value


def softplus(c: Context, x: Any, beta: float, threshold: float) -> Value:
    """log(1 + exp(beta x)) / beta. torch returns x itself above the threshold; from 20 on that is a difference below 3e-9."""
    x = c.active(x)
    if threshold >= 20:
        return c.emit(Softplus(float(beta)), x)
    smooth = c.emit(Softplus(float(beta)), x, part="smooth")
    above = c.add(Compare("gt"), x.name, c.constant(np.asarray(threshold / beta), "threshold"), part="above")
    return Value(c.add(Where(), above, x.name, smooth.name), x.layout)


def prelu(c: Context, x: Any, weight: Any) -> Value:
    """x where x > 0, else weight * x, with one weight, or one for each channel (axis 1)."""
    x = c.active(x)
    if not isinstance(weight, Const):
        raise ConversionError("the slope depends on the model's input; that is not supported")
    slope = weight.tensor
    if slope.numel() > 1:
        weight = Const((slope.reshape(-1, *(1,) * (len(x.layout.shape) - 2)),), weight.name)
    return c.emit(PReLU(), x, c.operand(weight, x.layout))


def rrelu(c: Context, x: Any, lower: float, upper: float, training: bool) -> Value:
    """At inference the slope is the middle of its range."""
    return c.emit(LeakyReLU((lower + upper) / 2), c.active(x))


def glu(c: Context, x: Any, dim: int) -> Value:
    """The first half times the sigmoid of the second."""
    x = c.active(x)
    axis, half = x.layout.graph_axis(dim), x.layout.shape[dim] // 2
    layout = x.layout.resized(c.shape())
    value = c.emit(Split(axis, (half, half), 0), x, layout=layout, part="value")
    gate = c.emit(Sigmoid(), c.emit(Split(axis, (half, half), 1), x, layout=layout, part="gate"), part="sigmoid")
    return c.emit(Mul(), value, gate.name)


def log_sigmoid(c: Context, x: Any) -> Value:
    """-softplus(-x)."""
    minus = c.emit(Neg(), c.active(x), part="minus")
    return c.emit(Neg(), c.emit(Softplus(), minus, part="softplus"))


def square(c: Context, x: Any) -> Value:
    """x²."""
    return c.emit(Pow(2), c.active(x))


def cast(c: Context, x: Any, other: Any = None) -> Value:
    """To the dtype of the result, which is float, int or bool; the precision of a float is the graph's."""
    value, kind = c.active(x), kind_of(c.result().dtype)
    if kind == value.kind:
        return value
    return c.as_float(value) if kind == "float" else c.emit(ToInt() if kind == "int" else ToBool(), value)


def detach(c: Context, x: Any) -> Value:
    """x, without its derivative."""
    return c.emit(Detach(), c.active(x))


def nan_to_num(c: Context, x: Any, nan: float | None, posinf: float | None, neginf: float | None) -> Value:
    """x: a graph holds no NaN, and infinities that matter are found by verification."""
    return c.emit(Identity(), c.active(x))


# ----- two arrays -------------------------------------------------------------------------------------------------


def binary(op: Op, c: Context, x: Any, other: Any) -> Value:
    """An operator of two arrays that broadcast."""
    names, layout = c.align(x, other)
    return Value(c.add(op, *names), layout, kind_of(c.result().dtype))


def sum_of_two(op: Op, c: Context, x: Any, other: Any, alpha: Any) -> Value:
    """x + alpha * other, or x - alpha * other; with zeros it is x, and no sum, whose relevance a rule would stabilise."""
    y = c.result()
    if isinstance(x, Value) and _is_zero(other) and c.node.args[0].meta["val"].shape == y.shape and x.kind == kind_of(y.dtype):
        return c.emit(Identity(), x)
    return binary(op, c, x, _times(c, other, alpha))


def _is_zero(x: Any) -> bool:
    """Is it a constant of nothing but 0?"""
    return not any(bool(t.any()) for t in x.versions) if isinstance(x, Const) else isinstance(x, (int, float)) and x == 0


def rsub(c: Context, x: Any, other: Any, alpha: Any) -> Value:
    """other - alpha * x."""
    return binary(Sub(), c, other, _times(c, x, alpha))


def _times(c: Context, x: Any, factor: Any) -> Any:
    factor = c.number(factor)
    if factor == 1:
        return x
    if isinstance(x, Const):
        return Const(tuple(t * factor for t in x.versions), f"{x.name}/scaled")
    if not isinstance(x, Value):
        return x * factor
    return c.emit(Mul(), x, c.constant(np.asarray(float(factor) if x.kind == "float" else factor), "alpha"), part="scaled")


def div(c: Context, x: Any, other: Any, rounding_mode: str | None = None) -> Value:
    """x / other; "floor" rounds down. x / (1 + |x|) is recognised as softsign, which torch writes out."""
    inner = _softsign_argument(c) if rounding_mode is None else None
    if isinstance(inner, Value):
        return c.emit(Softsign(), inner)
    if rounding_mode is None:
        return binary(Div(), c, x, other)
    if rounding_mode != "floor" or kind_of(c.result().dtype) != "float":
        raise ConversionError(f"division with rounding_mode {rounding_mode!r} of {c.result().dtype} is not supported")
    names, layout = c.align(x, other)
    return Value(c.add(Floor(), c.add(Div(), *names, part="quotient")), layout)


def _softsign_argument(c: Context) -> Any:
    """x, when the node at hand divides x by 1 + |x|."""
    def called(node: Any, name: str) -> bool:
        return hasattr(node, "target") and str(node.target).startswith(f"aten.{name}.")

    top, bottom = c.node.args[:2]
    if called(bottom, "add") and bottom.args[1] == 1 and called(bottom.args[0], "abs") and bottom.args[0].args[0] is top:
        return c.env.get(top)
    return None


def base(number: float, c: Context, x: Any) -> Value:
    """number ** x."""
    return power(c, number, c.active(x))


def log_of(number: float, c: Context, x: Any) -> Value:
    """The logarithm to a base: log(x) / log(base)."""
    log = c.emit(Log(), c.as_float(c.active(x)), part="log")
    return c.emit(Mul(), log, c.constant(np.asarray(1 / math.log(number)), "scale"))


def trunc(c: Context, x: Any) -> Value:
    """Towards 0: sign(x) * floor(|x|)."""
    x = c.active(x)
    size = c.add(Floor(), c.add(Abs(), x.name, part="size"), part="whole")
    return Value(c.add(Mul(), c.add(Sign(), x.name, part="sign"), size), x.layout, x.kind)


def isinf(c: Context, x: Any) -> Value:
    """Is it infinite?"""
    return c.emit(IsInf(), c.active(x))


def power(c: Context, x: Any = None, exponent: Any = None) -> Value:
    """x ** number, or number ** x = exp(x log(number))."""
    if isinstance(exponent, Value):
        if isinstance(x, Value):
            raise ConversionError("a power whose base and exponent both depend on the input is not supported; use exp(y * log(x))")
        if c.number(x) <= 0:
            raise ConversionError(f"a power of {c.number(x)} with an exponent that depends on the input is not supported")
        log_base = c.constant(np.asarray(math.log(c.number(x))), "log_base")
        return c.emit(Exp(), c.emit(Mul(), c.as_float(exponent), log_base, part="exponent"))
    return c.emit(Pow(c.number(exponent)), c.as_float(c.active(x)))


def lerp(c: Context, x: Any, end: Any, weight: Any) -> Value:
    """x + weight * (end - x)."""
    (start, stop, share), layout = c.align(x, end, weight)
    way = c.add(Sub(), stop, start, part="difference")
    return Value(c.add(Add(), start, c.add(Mul(), way, share, part="way")), layout)


def where(c: Context, condition: Any, x: Any = None, other: Any = None) -> Value:
    """x where the condition holds, else other."""
    names, layout = c.align(condition, x, other, keep=(0,))
    return Value(c.add(Where(), *names), layout, kind_of(c.result().dtype))


def masked_fill(c: Context, x: Any, mask: Any, value: Any) -> Value:
    """value where the mask holds, else x."""
    return where(c, mask, value, x)


def logical_not(c: Context, x: Any) -> Value:
    """not x; of whole numbers every bit."""
    return c.emit(Not() if kind_of(c.result().dtype) == "bool" else BitwiseNot(), c.active(x))


def logical(op: Logical, c: Context, x: Any, other: Any) -> Value:
    """and, or, xor; of whole numbers bit by bit."""
    return binary(op if kind_of(c.result().dtype) == "bool" else Bitwise(op.kind), c, x, other)


def take(make: Callable[..., Op]) -> Callable[..., Value]:
    """elementwise with its operator."""
    return partial(elementwise, make)


TABLE: Mapping[str, Callable[..., Any]] = {
    # activations
    "relu": take(ReLU), "relu6": take(ReLU6), "sigmoid": take(Sigmoid), "tanh": take(Tanh), "silu": take(SiLU), "mish": take(Mish),
    "selu": take(SELU), "hardsigmoid": take(HardSigmoid), "hardswish": take(HardSwish),
    "leaky_relu": take(lambda negative_slope: LeakyReLU(float(negative_slope))), "celu": take(lambda alpha: CELU(float(alpha))),
    "elu": take(elu), "gelu": take(lambda approximate: GELU(approximate)), "hardtanh": take(hardtanh), "clamp": clamp,
    "clamp_min": clamp, "clamp_max": clamp, "softplus": softplus, "prelu": prelu,
    "rrelu": rrelu, "glu": glu, "log_sigmoid": log_sigmoid,
    # functions of one number
    "exp": take(Exp), "expm1": take(Expm1), "log": take(Log), "log1p": take(Log1p), "sqrt": take(Sqrt), "rsqrt": take(Rsqrt),
    "reciprocal": take(Reciprocal), "abs": take(Abs), "neg": take(Neg), "erf": take(Erf), "sin": take(Sin), "cos": take(Cos),
    "tan": take(Tan), "asin": take(Asin), "acos": take(Acos), "atan": take(Atan), "sinh": take(Sinh), "cosh": take(Cosh),
    "asinh": take(Asinh), "acosh": take(Acosh), "atanh": take(Atanh), "exp2": partial(base, 2.0), "log2": partial(log_of, 2.0),
    "log10": partial(log_of, 10.0), "trunc": trunc, "isnan": take(IsNaN), "isinf": isinf,
    "threshold": take(lambda threshold, value: Threshold(float(threshold), float(value))),
    "floor": take(Floor), "ceil": take(Ceil), "round": take(Round), "sign": take(Sign), "sgn": take(Sign), "square": square,
    "_to_copy": cast, "type_as": cast, "detach": detach, "nan_to_num": nan_to_num,
    # functions of two
    "add": partial(sum_of_two, Add()), "sub": partial(sum_of_two, Sub()), "rsub": rsub, "mul": partial(binary, Mul()), "div": div,
    "floor_divide": partial(div, rounding_mode="floor"), "remainder": partial(binary, Mod()),
    "fmod": partial(binary, Mod("trunc")), "pow": power,
    "maximum": partial(binary, Maximum()), "minimum": partial(binary, Minimum()), "lerp": lerp,
    "where": where, "masked_fill": masked_fill,
    **{kind: partial(binary, Compare(kind)) for kind in ("eq", "ne", "lt", "le", "gt", "ge")},
    **{f"{form}_{kind}": partial(logical, Logical(kind)) for kind in ("and", "or", "xor") for form in ("logical", "bitwise")},
    **{f"__{kind}__": partial(logical, Logical(kind)) for kind in ("and", "or", "xor")},
    "logical_not": logical_not, "bitwise_not": logical_not,
}
