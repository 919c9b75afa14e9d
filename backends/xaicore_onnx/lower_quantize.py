"""Quantised models: integers as the floats that hold them, so that a signal passes where the model rounds (straight through).

A QuantizeLinear and the DequantizeLinear behind it are one FakeQuantize. Elsewhere round(x) is x + (round(x) - x), of which the part in
brackets carries no signal; what is cut off at the ends of the integer type passes none either.
Source: Bengio, Leonard and Courville 2013, the straight-through estimator.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from xaicore.errors import ConversionError
from xaicore.ops import Add, Clip, Conv, Detach, Div, FakeQuantize, Mul, Op, Round, Sub, ToFloat
from xaicore_onnx.call import Call, Lowering, Results, Value
from xaicore_onnx.lower_linear import matmul, no_zeros, padding, window_settings
from xaicore_onnx.values import Known, Live, MixingError, onnx_axis

RANGES = {
    TensorProto.UINT8: (0, 255), TensorProto.INT8: (-128, 127), TensorProto.UINT16: (0, 65535), TensorProto.INT16: (-32768, 32767),
}  # fmt: skip


def quantize(c: Call) -> Results:
    """saturate(round(x / scale) + zero)."""
    x = c.live()
    scale, zero = c.x(1), c.x(2) if c.has(2) else None
    y = _quantized(c, _scaled(c, Div(), x, scale), zero, c.attr("output_dtype", 0))
    if isinstance(scale, Known) and (zero is None or isinstance(zero, Known)):
        clip = c.converter.producer(y)
        assert clip is not None
        assert isinstance(clip.op, Clip)
        c.converter.quantised[c.node.output[0]] = Quantised(x, scale, zero, c.attr("axis", 1), c.attr("block_size", 0), clip.op)
    return y


def dequantize(c: Call) -> Results:
    """(x - zero) * scale; right behind a QuantizeLinear of the same numbers, both are one FakeQuantize."""
    made = c.converter.quantised.get(c.node.input[0])
    if made is not None and made.undone_by(c):
        low, high = made.clip.low, made.clip.high
        names = [_of_axis(c, _as_floats(v), made.x, c.attr("axis", 1), c.attr("block_size", 0)) for v in (made.scale, made.shift(c.name))]
        return c.join(FakeQuantize(int(low or 0), int(high or 0)), made.x, *names)
    x = c.live() if isinstance(c.x(0), Live) or not isinstance(c.x(1), Live) else c.batched(_known(c, 0), c.live(1))
    x = c.put(ToFloat(), x, part="float") if x.kind != "f" else x
    if c.has(2) and not _is_zero(c.x(2)):
        x = _scaled(c, Sub(), x, c.x(2))
    return _scaled(c, Mul(), x, c.x(1))


@dataclass(frozen=True, eq=False)
class Quantised:
    """What a QuantizeLinear did."""

    x: Live
    scale: Known
    zero: Known | None
    axis: int
    block: int
    clip: Clip

    def shift(self, name: str) -> Known:
        """The zero point, 0 where none is given."""
        return self.zero or Known(f"{name}/zero", *(np.zeros((), np.int64),) * 2)

    def undone_by(self, c: Call) -> bool:
        """Takes this DequantizeLinear the same numbers?"""
        if (c.attr("axis", 1), c.attr("block_size", 0)) != (self.axis, self.block) and self.scale.low.ndim > 0:
            return False
        pairs = ((c.x(1), self.scale), (c.x(2) if c.has(2) else self.shift(""), self.shift("")))
        return all(isinstance(a, Known) and a.fixed and b.fixed and np.array_equal(a.low, b.low) for a, b in pairs)


def _as_floats(value: Known) -> Known:
    return value if value.low.dtype.kind == "f" else value.mapped(value.name, lambda x: x.astype(np.int64))


def _known(c: Call, k: int) -> Known:
    value = c.known(k, "value")
    return value.mapped(value.name, lambda x: x.astype(np.float64))


def _scaled(c: Call, op: Op, x: Live, by: Value) -> Live:
    """x - zero, x * scale or x / scale: one number, one for each entry of an axis, or one for each block along an axis."""
    by = _float(c, by)
    rank = by.rank if isinstance(by, Live) else by.low.ndim
    if rank == 0 or (isinstance(by, Known) and by.low.size == 1):
        return c.join(op, x, by if isinstance(by, Live) else by.mapped(by.name, lambda v: v.reshape(())))
    if isinstance(by, Live):
        if c.attr("block_size", 0) or (rank == 1 and x.rank > 1):
            raise ConversionError(f"{c.who} takes several scales from the input {by.name!r}; give them as a constant")
        return c.join(op, x, by)
    return c.join(op, x, _of_axis(c, by, x, c.attr("axis", 1), c.attr("block_size", 0)))


def _of_axis(c: Call, by: Known, x: Live, axis: int, block: int) -> Known:
    """Numbers for the entries of an axis, or for blocks along it, in a shape that broadcasts to x."""
    if by.low.size == 1:
        return by.mapped(by.name, lambda v: v.reshape(()))
    axis = onnx_axis(axis, x.rank, c.who)
    if block:
        n = x.shape(c.converter.batches[0])[axis]
        return by.mapped(f"{by.name}/blocks", lambda v: v.repeat(block, axis).take(np.arange(n), axis))
    return by.mapped(f"{by.name}/axis", lambda v: v.reshape(-1, *(1,) * (x.rank - 1 - axis))) if by.low.ndim == 1 and x.rank > 1 else by


def _float(c: Call, value: Value) -> Value:
    if isinstance(value, Known):
        return value.mapped(value.name, lambda x: x.astype(np.float64)) if value.low.dtype.kind != "f" else value
    return value if value.kind == "f" else c.put(ToFloat(), value, part="float")


def _is_zero(value: Value) -> bool:
    return isinstance(value, Known) and not value.low.any() and not value.high.any()


def _quantized(c: Call, x: Live, zero: Value | None, kind: int = 0) -> Live:
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
    return _quantized(c, c.join(Div(), y, _float(c, c.x(k))), c.x(k + 1) if c.has(k + 1) else None)


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
