"""Functions of numbers: activations, arithmetic, comparisons, casts. Whole numbers are int64 in a graph. A cast to a narrower integer and
operators on bits keep the bits that ONNX keeps; sums and products that leave ONNX's narrow integers are not imitated."""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce
from typing import Literal

import numpy as np
import onnx

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
    BitShift,
    Bitwise,
    BitwiseNot,
    Ceil,
    Clip,
    Compare,
    Cos,
    Cosh,
    Det,
    Div,
    Dropout,
    Erf,
    Exp,
    Floor,
    HardSigmoid,
    HardSwish,
    Identity,
    IsInf,
    IsNaN,
    LeakyReLU,
    Log,
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
    Shrink,
    Sigmoid,
    Sign,
    SiLU,
    Sin,
    Sinh,
    Softplus,
    Softsign,
    Sqrt,
    Sub,
    Tan,
    Tanh,
    Threshold,
    ToBool,
    ToFloat,
    ToInt,
    Where,
)
from xaicore_onnx.call import Call, Lowering, Results, Value
from xaicore_onnx.external import ITEM_BYTES
from xaicore_onnx.patterns import masked_scores, softmax_of
from xaicore_onnx.values import Known, Live, Numbered, broadcast

SELU_ALPHA, SELU_GAMMA = 1.67326319217681884765625, 1.05070102214813232421875
"""ONNX's defaults: those of Klambauer et al. 2017, rounded to float32."""

MAX_EXPONENTS = 64
"""Each different exponent of a Pow costs two nodes."""

FLOATS = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16, onnx.TensorProto.BFLOAT16)


# ----- one input --------------------------------------------------------------------------------------------------


def unary(make: Callable[[Call], Op]) -> Lowering:
    """A lowering to one operator of one input."""
    return lambda c: c.put(make(c), c.live())


def same(op: Op) -> Lowering:
    """A lowering to one operator of one input that has no settings."""
    return lambda c: c.put(op, c.live())


def selu(c: Call) -> Results:
    """gamma * (x for x > 0, alpha * (exp(x) - 1) otherwise): SELU for its own constants, else ELU and a factor."""
    alpha, gamma = c.attr("alpha", SELU_ALPHA), c.attr("gamma", SELU_GAMMA)
    if abs(alpha - SELU_ALPHA) < 1e-6 and abs(gamma - SELU_GAMMA) < 1e-6:      # files round the constants to float32
        return c.put(SELU(), c.live())
    return c.put(Mul(), c.put(ELU(alpha), c.live()), c.number(gamma, "gamma"))


def swish(c: Call) -> Results:
    """x * sigmoid(alpha * x)."""
    x, alpha = c.live(), c.attr("alpha", 1.0)
    if alpha == 1.0:
        return c.put(SiLU(), x)
    return c.put(Mul(), x, c.put(Sigmoid(), c.put(Mul(), x, c.number(alpha, "alpha"))))


def clip(c: Call) -> Results:
    """min(max(x, low), high). The bounds are attributes before opset 11, inputs from then on."""
    x = c.live()
    bounds = [c.attr("min"), c.attr("max")] if c.opset < 11 else [c.x(k) if c.has(k) else None for k in (1, 2)]
    numbers = [_bound(b) for b in bounds]
    if x.kind == "f" and all(b is None or n is not None for b, n in zip(bounds, numbers)):
        low, high = numbers
        largest = float(np.finfo(np.float32).max)           # what exporters write for "no bound"
        low, high = None if low is None or low <= -largest else low, None if high is None or high >= largest else high
        return c.put(ReLU6() if (low, high) == (0.0, 6.0) else Clip(low, high), x)
    for op, bound in zip((Maximum(), Minimum()), bounds):
        if isinstance(bound, (Known, Live)):
            names, like = c.aligned(x, bound)
            x = c.put(op, *names, like=like)
    return x


def _bound(value: Value | float | None) -> float | None:
    """A bound that is one constant number."""
    if isinstance(value, Known):
        return float(value.low.reshape(-1)[0]) if value.fixed and value.low.size == 1 else None
    return float(value) if isinstance(value, (int, float)) else None


def prelu(c: Call) -> Results:
    """x for x > 0, slope * x otherwise."""
    x, slope = c.live(0), c.x(1)
    names, like = c.aligned(x, slope)
    if isinstance(slope, Known):
        return c.put(PReLU(), *names, like=like)
    below = c.put(Compare("lt"), names[0], c.number(0, "zero"), like=like)
    return c.put(Where(), below, c.put(Mul(), *names, like=like), names[0], like=like)


def cast(c: Call) -> Results:
    """A change of type. Between floats it is the identity: a graph has one float type."""
    return to_type(c, c.live(), c.attr("to"))


def cast_like(c: Call) -> Results:
    """A change to the type of the second input."""
    x, target = c.x(0), c.x(1)
    kind = target.kind if isinstance(target, Live) else target.low.dtype.kind
    if isinstance(x, Known):
        dtype = {"f": np.float64, "b": np.bool_}.get(kind, np.int64)
        return x.mapped(x.name, lambda value: value.astype(dtype))
    return to_type(c, x, {"f": onnx.TensorProto.FLOAT, "b": onnx.TensorProto.BOOL}.get(kind, onnx.TensorProto.INT64))


def to_type(c: Call, x: Live, target: int) -> Live:
    """``x`` as floats, integers or booleans."""
    if target not in ITEM_BYTES:
        raise ConversionError(f"{c.who} casts to element type {target}, which is not converted; use float, integer or bool tensors")
    kind, op = ("f", ToFloat()) if target in FLOATS else ("b", ToBool()) if target == onnx.TensorProto.BOOL else ("i", ToInt())
    if x.kind == kind == "i" and ITEM_BYTES[target] < ITEM_BYTES.get(c.converter.element(c.node.input[0]), 0):
        return wrapped(c, x, target)
    return c.put(Identity() if x.kind == kind else op, x)


def dropout(c: Call) -> Results:
    """x: dropout outside training. The mask, if it is read, is true everywhere."""
    x = c.live()
    ratio = float(c.array(1, "ratio").reshape(-1)[0]) if c.opset >= 12 and c.has(1) else c.attr("ratio", 0.5)
    training = c.opset >= 12 and c.has(2) and bool(c.array(2, "training_mode").reshape(-1)[0])
    if training and ratio:
        raise ConversionError("Dropout is in training mode, so its output is random; export the model in inference mode (model.eval())")
    y = c.put(Dropout(ratio), x)
    return [y, c.put(Compare("eq"), x, x, part="mask") if c.reads(1) else None]


# ----- two and more inputs ----------------------------------------------------------------------------------------


def binary(op: Op) -> Lowering:
    """A lowering to one operator of two inputs that broadcast."""

    return lambda c: c.join(op, c.x(0), c.x(1))


def add(c: Call) -> Results:
    """a + b; a Dense or Conv without bias takes a constant b as its own."""
    a, b = c.x(0), c.x(1)
    for x, bias in ((a, b), (b, a)):
        if isinstance(x, Live) and isinstance(bias, Known):
            y = c.fused(x, bias)
            if y is not None:
                return y
            others, mask = masked_scores(c, bias)
            if mask is not bias:
                return c.join(Add(), x if others is None else c.join(Add(), x, others, part="bias"), mask)
    return c.join(Add(), a, b)


def divide(c: Call) -> Results:
    """a / b; of integers without the fraction, towards zero."""
    a, b = c.x(0), c.x(1)
    if any(isinstance(v, Live) and v.kind == "f" for v in (a, b)):
        return softmax_of(c, a, b) or c.join(Div(), a, b)
    return c.put(ToInt(), c.join(Div(), _as_float(c, a), _as_float(c, b), part="ratio"))


def _as_float(c: Call, value: Value) -> Value:
    if isinstance(value, Known):
        return value.mapped(f"{value.name}/float", lambda x: x.astype(np.float64))
    return c.put(ToFloat(), value, part="float")


def power(c: Call) -> Results:
    """x^p for a constant p of few different entries, or p^x for a constant p > 0."""
    x, p = c.x(0), c.x(1)
    if isinstance(x, Known) and isinstance(p, Live):
        base = c.array(0, "base")
        if not (base > 0).all():
            raise ConversionError("Pow of a constant base that is not positive everywhere is not converted")
        if p.kind == "i" and (base == 2).all() and base.dtype.kind in "iu":
            return c.join(BitShift("left"), Known(f"{c.name}/one", *(np.ones(base.shape, np.int64),) * 2), p)
        names, like = c.aligned(Known(f"{x.name}/log", *(np.log(base.astype(np.float64)),) * 2), p)
        return c.put(Exp(), c.put(Mul(), *names, like=like))
    x, exponents = c.live(0), c.array(1, "exponent")
    first, *rest = (float(v) for v in np.unique(exponents))
    if len(rest) >= MAX_EXPONENTS:
        raise ConversionError(
            f"Pow has {1 + len(rest)} different exponents; up to {MAX_EXPONENTS} are converted. Split the model, or use "
            "one"
        )
    if not rest and broadcast((x.shape(1), exponents.shape)) != x.shape(1):
        rest = [first]                                      # one exponent all over, in an array that enlarges x
    y = _to_power(c, x, first)
    for one in rest:
        chosen = Known(f"{c.name}/is_{one:g}", *(exponents == one,) * 2)
        names, like = c.aligned(chosen, _to_power(c, x, one), y)
        y = c.put(Where(), *names, like=like)
    return y


def _to_power(c: Call, x: Live, p: float) -> Live:
    """x^p; of integers an integer again."""
    if x.kind == "f":
        return c.put(Pow(p), x)
    return c.put(ToInt(), c.put(Pow(p), c.put(ToFloat(), x)))


def chain(c: Call, op: Op) -> Live:
    """op(op(x_1, x_2), x_3) ..., the constants last."""

    def join(a: Live, b: Value) -> Live:
        names, like = c.aligned(a, b)
        return c.put(op, *names, like=like)

    first, *lives = [v for v in c.inputs if isinstance(v, Live)]
    others: list[Value] = [*lives, *(v for v in c.inputs if isinstance(v, Known))]
    return reduce(join, others, first)


def variadic(op: Op) -> Lowering:
    """A lowering to a chain of one operator of two inputs."""
    return lambda c: chain(c, op)


def mean(c: Call) -> Results:
    """(x_1 + ... + x_n) / n."""
    return c.put(Mul(), chain(c, Add()), c.number(1 / len(c.inputs), "share"))


def modulo(c: Call) -> Results:
    """a - floor(a / b) * b, or with fmod a - trunc(a / b) * b."""
    counted = c.inputs[0] if c.inputs else None
    if isinstance(counted, Numbered) and counted.step and all(counted.step % n == 0 for n in c.array(1, "divisor").reshape(-1)):
        c.inputs[0] = counted.rest                          # what the number of the sample adds is a multiple of the divisor
    return c.join(Mod("trunc" if c.attr("fmod", 0) else "floor"), c.x(0), c.x(1))


def bits(kind: Literal["and", "or", "xor"]) -> Lowering:
    """A lowering of an operator on the bits of two integers."""
    return lambda c: c.join(Bitwise(kind), c.x(0), c.x(1))


def bits_turned(c: Call) -> Results:
    """Every bit turned; of an unsigned integer of b bits, 2^b - 1 - x."""
    return _narrowed(c, c.put(BitwiseNot(), c.live()))


def shifted(c: Call) -> Results:
    """The bits of unsigned integers moved to the left or right; those that leave the type are lost."""
    left = c.attr("direction", "") == "LEFT"
    y = c.join(BitShift("left" if left else "right"), c.x(0), c.x(1))
    return _narrowed(c, y) if left else y


def _narrowed(c: Call, y: Live) -> Live:
    """Of an integer of the graph, which has 64 bits, those that the model's type has."""
    kind = c.converter.element(c.node.input[0])
    if not kind or (kind == onnx.TensorProto.UINT64 and c.node.op_type == "BitwiseNot"):
        found = "64-bit unsigned integers" if kind else "integers of a type that the file does not tell"
        raise ConversionError(f"{c.who} turns the bits of {found}, which a graph's 64 bits with sign do not hold; cast them before")
    return wrapped(c, y, kind)


def wrapped(c: Call, y: Live, kind: int) -> Live:
    """The lowest bits of an integer, as a narrower type has them: with the sign that they then have."""
    width = 8 * ITEM_BYTES[kind]
    if width == 64:
        return y
    kept = c.put(Bitwise("and"), y, c.derived(np.asarray(2**width - 1), f"{c.name}/mask"), part="kept")
    if kind in (onnx.TensorProto.UINT8, onnx.TensorProto.UINT16, onnx.TensorProto.UINT32):
        return kept
    sign = c.derived(np.asarray(2 ** (width - 1)), f"{c.name}/sign")
    return c.put(Sub(), c.put(Bitwise("xor"), kept, sign, part="turned"), sign, part="signed")


def where(c: Call) -> Results:
    """a where the condition holds, else b."""
    names, like = c.aligned(c.x(0), c.x(1), c.x(2))
    return c.put(Where(), *names, like=like)


def optional_given(c: Call) -> Results:
    """Is there a value? A tensor always is."""
    return Known(c.node.output[0], *(np.asarray(c.has(0)),) * 2)


def gelu(c: Call) -> Results:
    """x times the normal distribution function of x, or its tanh approximation."""
    approximate = c.attr("approximate", "none")
    if approximate not in ("none", "tanh"):
        raise ConversionError(f"Gelu has approximate={approximate!r}; 'none' or 'tanh' is expected")
    return c.put(GELU(approximate), c.live())


MATH: dict[str, Lowering] = {
    **{name: same(op) for name, op in {
        "Relu": ReLU(), "Sigmoid": Sigmoid(), "Tanh": Tanh(), "Softsign": Softsign(), "Softplus": Softplus(), "Mish": Mish(),
        "HardSwish": HardSwish(), "Abs": Abs(), "Ceil": Ceil(), "Floor": Floor(), "Round": Round(), "Sign": Sign(), "Neg": Neg(),
        "Cos": Cos(), "Sin": Sin(), "Erf": Erf(), "Exp": Exp(), "Log": Log(), "Sqrt": Sqrt(), "Reciprocal": Reciprocal(),
        "Identity": Identity(), "Not": Not(), "IsNaN": IsNaN(), "Tan": Tan(), "Asin": Asin(), "Acos": Acos(), "Atan": Atan(),
        "Sinh": Sinh(), "Cosh": Cosh(), "Asinh": Asinh(), "Acosh": Acosh(), "Atanh": Atanh(), "Det": Det(),
    }.items()},
    "LeakyRelu": unary(lambda c: LeakyReLU(c.attr("alpha", 0.01))),
    "Elu": unary(lambda c: ELU(c.attr("alpha", 1.0))),
    "ThresholdedRelu": unary(lambda c: Threshold(c.attr("alpha", 1.0))),
    "Shrink": unary(lambda c: Shrink(c.attr("lambd", 0.5), c.attr("bias", 0.0))),
    "Celu": unary(lambda c: CELU(c.attr("alpha", 1.0))),
    "HardSigmoid": unary(lambda c: HardSigmoid(c.attr("alpha", 0.2), c.attr("beta", 0.5))),
    "Gelu": gelu, "Selu": selu, "Swish": swish, "Clip": clip, "PRelu": prelu,
    "Cast": cast, "CastLike": cast_like, "Dropout": dropout,
    "IsInf": unary(lambda c: IsInf(bool(c.attr("detect_negative", 1)), bool(c.attr("detect_positive", 1)))), "Mod": modulo,
    "BitwiseAnd": bits("and"), "BitwiseOr": bits("or"), "BitwiseXor": bits("xor"), "BitwiseNot": bits_turned, "BitShift": shifted,
    "OptionalHasElement": optional_given, "OptionalGetElement": same(Identity()),
    "Add": add, "Sub": binary(Sub()), "Mul": binary(Mul()), "Div": divide, "Pow": power,
    "Max": variadic(Maximum()), "Min": variadic(Minimum()), "Sum": variadic(Add()), "Mean": mean, "Where": where,
    "Equal": binary(Compare("eq")), "Less": binary(Compare("lt")), "LessOrEqual": binary(Compare("le")),
    "Greater": binary(Compare("gt")), "GreaterOrEqual": binary(Compare("ge")),
    "And": binary(Logical("and")), "Or": binary(Logical("or")), "Xor": binary(Logical("xor")),
}  # fmt: skip
