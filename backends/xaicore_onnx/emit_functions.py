"""How emit.py writes trigonometric functions, steps, bits, norms and products."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import TensorProto, helper

from xaicore_onnx.emitter import Emitter, Rule
from xaicore_onnx.lower_quantize import RANGES


def same(kind: str) -> Rule:
    """The ONNX operator of this name, without settings."""
    return lambda e, op, *xs: e.put(kind, *xs)


def reduction(kind: str) -> Rule:
    """A reduction over the operator's axes; no axes means all of them in ONNX."""

    def rule(e: Emitter, op: Any, x: str) -> None:
        if op.axes:
            e.put(kind, x, e.ints(op.axes, "axes"), keepdims=int(op.keepdims))
        else:
            e.put("Identity", x)

    return rule


def norm(e: Emitter, op: Any, x: str) -> None:
    """ReduceL1, ReduceL2, else the powers written out."""
    if not op.axes:
        e.put("Abs", x)
    elif op.p in (1, 2):
        reduction("ReduceL1" if op.p == 1 else "ReduceL2")(e, op, x)
    else:
        power = e.put("Pow", e.put("Abs", x, part="size"), e.floats(op.p, "p"), part="power")
        total = e.put("ReduceSum", power, e.ints(op.axes, "axes"), part="sum", keepdims=int(op.keepdims))
        e.put("Pow", total, e.floats(1 / op.p, "root"))


def threshold(e: Emitter, op: Any, x: str) -> None:
    """ThresholdedRelu for zero below, else Where."""
    if op.below == 0:
        e.put("ThresholdedRelu", x, alpha=float(op.threshold))
    else:
        e.put("Where", e.put("Greater", x, e.floats(op.threshold, "threshold"), part="above"), x, e.floats(op.below, "below"))


def mod(e: Emitter, op: Any, a: str, b: str) -> None:
    """Mod has the sign of the divisor for integers only, and fmod's for floats."""
    if op.kind == "trunc" or e.element(a) not in (e.float,):
        e.put("Mod", a, b, fmod=int(op.kind == "trunc"))
        return
    quotient = e.put("Floor", e.put("Div", a, b, part="quotient"), part="whole")
    e.put("Sub", a, e.put("Mul", quotient, b, part="multiple"))


def fake_quantize(e: Emitter, op: Any, x: str, scale: str, zero: str) -> None:
    """QuantizeLinear and DequantizeLinear for the range of an integer type, else written out, and in float64, which those do not know."""
    kind = next((k for k, ends in RANGES.items() if ends == (op.low, op.high) and e.float == TensorProto.FLOAT), None)
    arrays = [e.graph.params.get(k) for k in (scale, zero)]
    if kind is not None and all(a is not None for a in arrays):
        rank, shape = len(e.shape(x)), np.broadcast_shapes(*(a.shape for a in arrays if a is not None))
        wide = [k + rank - len(shape) for k, n in enumerate(shape) if n != 1]
        if len(wide) < 2:
            numbers = [np.broadcast_to(a, shape).reshape(-1 if wide else ()) for a in arrays if a is not None]
            names = [e.floats(numbers[0], "scale"), e.constant(numbers[1].astype(helper.tensor_dtype_to_np_dtype(kind)), "zero")]
            more: dict[str, Any] = {"axis": wide[0]} if wide else {}
            e.put("DequantizeLinear", e.put("QuantizeLinear", x, *names, part="levels", **more), *names, **more)
            return
    if e.element(zero) != e.float:
        zero = e.put("Cast", zero, part="zero", to=e.float)
    level = e.put("Add", e.put("Round", e.put("Div", x, scale, part="scaled"), part="rounded"), zero, part="level")
    clipped = e.put("Clip", level, e.floats(op.low, "low"), e.floats(op.high, "high"), part="clipped")
    e.put("Mul", e.put("Sub", clipped, zero, part="shifted"), scale)


def bit_shift(e: Emitter, op: Any, a: str, b: str) -> None:
    """BitShift is for unsigned integers; for signed ones a power of two, whose quotient is rounded down."""
    power = e.put("Pow", e.constant(np.array(2), "two"), b, part="power")
    if op.direction == "left":
        e.put("Mul", a, power)
    else:
        e.put("Div", e.put("Sub", a, e.put("Mod", a, power, part="rest"), part="multiple"), power)


def is_inf(e: Emitter, op: Any, x: str) -> None:
    """IsInf."""
    e.put("IsInf", x, detect_negative=int(op.negative), detect_positive=int(op.positive))


FUNCTIONS: dict[str, Rule] = {
    **{kind: same(kind) for kind in ("Tan", "Asin", "Acos", "Atan", "Sinh", "Cosh", "Asinh", "Acosh", "Atanh", "Det")},
    "BitwiseNot": same("BitwiseNot"), "IsNaN": same("IsNaN"),
    "Threshold": threshold, "Shrink": lambda e, op, x: e.put("Shrink", x, lambd=float(op.lambd), bias=float(op.bias)), "Mod": mod,
    "FakeQuantize": fake_quantize, "IsInf": is_inf, "BitShift": bit_shift,
    "Bitwise": lambda e, op, a, b: e.put({"and": "BitwiseAnd", "or": "BitwiseOr", "xor": "BitwiseXor"}[op.kind], a, b),
    "ReduceProd": reduction("ReduceProd"), "Norm": norm, "LogSumExp": reduction("ReduceLogSumExp"),
}
