"""Quantised models: integers as the floats that hold them, so that a signal passes where the model rounds (straight through).

round(x) is x + (round(x) - x), of which the part in brackets carries no signal; what is cut off at the ends of the integer type passes
none either. Source: Bengio, Leonard and Courville 2013, the straight-through estimator.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from xaicore.errors import ConversionError
from xaicore.ops import Add, Clip, Conv, Detach, Div, Mul, Op, Round, Sub, ToFloat
from xaicore_onnx.call import Call, Lowering, Results, Value
from xaicore_onnx.lower_linear import matmul, no_zeros, padding, window_settings
from xaicore_onnx.values import Known, Live, MixingError, onnx_axis

RANGES = {
    TensorProto.UINT8: (0, 255), TensorProto.INT8: (-128, 127), TensorProto.UINT16: (0, 65535), TensorProto.INT16: (-32768, 32767),
}  # fmt: skip


def quantize(c: Call) -> Results:
    """saturate(round(x / scale) + zero)."""
    x = c.live()
    zero = c.x(2) if c.has(2) else None
    return _quantized(c, _scaled(c, Div(), x, c.x(1)), zero, c.attr("axis", 1), c.attr("output_dtype", 0))


def dequantize(c: Call) -> Results:
    """(x - zero) * scale."""
    x = c.live() if isinstance(c.x(0), Live) or not isinstance(c.x(1), Live) else c.batched(_known(c, 0), c.live(1))
    x = c.put(ToFloat(), x, part="float") if x.kind != "f" else x
    if c.has(2) and not _is_zero(c.x(2)):
        x = _scaled(c, Sub(), x, c.x(2))
    return _scaled(c, Mul(), x, c.x(1))


def _known(c: Call, k: int) -> Known:
    value = c.known(k, "value")
    return value.mapped(value.name, lambda x: x.astype(np.float64))


def _scaled(c: Call, op: Op, x: Live, by: Value) -> Live:
    """x - zero, x * scale or x / scale: one number, one for each entry of an axis, or one for each block along an axis."""
    by = _float(c, by)
    rank = by.rank if isinstance(by, Live) else by.low.ndim
    if rank == 0 or (isinstance(by, Known) and by.low.size == 1):
        return c.join(op, x, by if isinstance(by, Live) else by.mapped(by.name, lambda v: v.reshape(())))
    axis, block = onnx_axis(c.attr("axis", 1), x.rank, c.who), c.attr("block_size", 0)
    if block:
        if isinstance(by, Live):
            raise ConversionError(f"{c.who} with blocks takes its scale from the input {by.name!r}; give it as a constant")
        n = x.shape(c.converter.batches[0])[axis]
        return c.join(op, x, by.mapped(f"{by.name}/blocks", lambda v: v.repeat(block, axis).take(np.arange(n), axis)))
    if rank == 1 and x.rank > 1:
        if isinstance(by, Live):
            raise ConversionError(f"{c.who} takes a scale for each entry of axis {axis} from the input {by.name!r}; give it as a constant")
        by = by.mapped(f"{by.name}/axis", lambda v: v.reshape(-1, *(1,) * (x.rank - 1 - axis)))
    return c.join(op, x, by)


def _float(c: Call, value: Value) -> Value:
    if isinstance(value, Known):
        return value.mapped(value.name, lambda x: x.astype(np.float64)) if value.low.dtype.kind != "f" else value
    return value if value.kind == "f" else c.put(ToFloat(), value, part="float")


def _is_zero(value: Value) -> bool:
    return isinstance(value, Known) and not value.low.any() and not value.high.any()


def _quantized(c: Call, x: Live, zero: Value | None, axis: int, kind: int = 0) -> Live:
    """saturate(round(x) + zero) in the range of the type of ``zero``."""
    if isinstance(zero, Known):
        kind = kind or helper.np_dtype_to_tensor_dtype(zero.low.dtype)
    elif isinstance(zero, Live):
        kind = kind or c.converter.element(c.node.input[list(c.inputs).index(zero)])
    kind = kind or TensorProto.UINT8
    if kind not in RANGES:
        name = onnx.TensorProto.DataType.Name(kind) if kind in onnx.TensorProto.DataType.values() else str(kind)
        raise ConversionError(f"{c.who} quantises to {name}, which is not converted; 8 and 16 bits are")
    low, high = RANGES[kind]
    error = c.put(Detach(), c.put(Sub(), c.put(Round(), x), x, part="error"), part="still")
    whole = c.put(Add(), x, error, part="whole")
    if zero is not None and not _is_zero(zero):
        whole = _scaled(c, Add(), whole, zero)
    return c.put(Clip(low, high), whole, part="saturated")


def qlinear_matmul(c: Call) -> Results:
    """The product of two quantised matrices, quantised again."""
    a, b = _real(c, 0, 1, 2, -2), _real(c, 3, 4, 5, -1)
    return _requantized(c, _product(c, a, b), 6)


def _requantized(c: Call, y: Live, k: int) -> Live:
    return _quantized(c, c.join(Div(), y, _float(c, c.x(k))), c.x(k + 1) if c.has(k + 1) else None, 1)


def _real(c: Call, k: int, scale: int, zero: int, along: int) -> Value:
    """An integer input as the number it stands for; its scale is one number, or one for each row (``along`` -2) or column (-1)."""
    value = _shifted(c, c.x(k), c.x(zero) if c.has(zero) else None, along)
    by = _rows(c, _float(c, c.x(scale)), along)
    if isinstance(value, Known) and isinstance(by, Known):
        return value.mapped(f"{value.name}/real", lambda x: x * by.low)
    return c.join(Mul(), value, by)


def _shifted(c: Call, value: Value, zero: Value | None, along: int) -> Value:
    """x - zero as floats."""
    value = _float(c, value)
    if zero is None or _is_zero(zero):
        return value
    shift = _rows(c, _float(c, zero), along)
    if isinstance(value, Known) and isinstance(shift, Known):
        return value.mapped(f"{value.name}/shifted", lambda x: x - shift.low)
    return c.join(Sub(), value, shift)


def _rows(c: Call, value: Value, along: int) -> Value:
    """One number for each row as a column."""
    if isinstance(value, Known) and value.low.ndim == 1 and value.low.size > 1 and along == -2:
        return value.mapped(f"{value.name}/column", lambda x: x[:, None])
    return value


def _product(c: Call, a: Value, b: Value) -> Live:
    inner = Call(c.converter, c.node, [a, b])
    y = matmul(inner)
    assert isinstance(y, Live)
    return y


def matmul_integer(c: Call) -> Results:
    """(a - zero of a) @ (b - zero of b)."""
    a, b = (_shifted(c, c.x(k), c.x(k + 2) if c.has(k + 2) else None, along) for k, along in ((0, -2), (1, -1)))
    return _product(c, a, b)


def conv_integer(c: Call) -> Results:
    """The convolution of x - zero of x by w - zero of w."""
    x, w = _shifted(c, c.x(0), c.x(2) if c.has(2) else None, -1), c.known(1, "kernel")
    if c.has(3):
        zero = np.asarray(c.array(3, "zero of w"), np.float64).reshape(-1, *(1,) * (w.low.ndim - 1))
        w = w.mapped(f"{w.name}/shifted", lambda v: v - zero)
    return _convolved(c, x, w, None)


def qlinear_conv(c: Call) -> Results:
    """The convolution of a quantised image, quantised again."""
    x, w = _real(c, 0, 1, 2, -1), c.known(3, "kernel")
    shape = (-1, *(1,) * (w.low.ndim - 1))
    scale, zero = (np.asarray(c.array(k, what), np.float64).reshape(-1).reshape(shape) for k, what in ((4, "scale"), (5, "zero")))
    kernel = w.mapped(f"{w.name}/real", lambda v: (v.astype(np.float64) - zero) * scale)
    bias = None
    if c.has(8):
        step = np.asarray(c.array(1, "scale of x"), np.float64).reshape(()) * scale.reshape(-1)
        held = c.known(8, "bias")
        bias = held.mapped(f"{held.name}/real", lambda v: v * step)
    return _requantized(c, _convolved(c, x, kernel, bias), 6)


def _convolved(c: Call, x: Value, w: Value, bias: Known | None) -> Live:
    if not isinstance(x, Live) or not isinstance(w, Known):
        raise MixingError(f"{c.who} is converted with a constant kernel and an image that depends on the input")
    image = c.images(x)
    kernel, stride, dilation = window_settings(c, w.low.shape[2:])
    pads = padding(c, image.tail[1:], kernel, stride, dilation)
    names: Sequence[str] = () if bias is None else (c.param(bias),)
    stride, dilation = (sizes if any(n != 1 for n in sizes) else () for sizes in (stride, dilation))
    return c.put(Conv(stride, dilation, no_zeros(pads), c.attr("group", 1)), image, c.param(w), *names)


QUANTIZE: dict[str, Lowering] = {
    "QuantizeLinear": quantize, "DequantizeLinear": dequantize, "QLinearMatMul": qlinear_matmul, "QLinearConv": qlinear_conv,
    "MatMulInteger": matmul_integer, "ConvInteger": conv_integer,
}  # fmt: skip
