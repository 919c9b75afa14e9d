"""Reductions and softmax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaicore.ops import Abs, Log, LogSoftmax, LogSumExp, Mean, Mul, Norm, Op, ReduceMax, ReduceMin, ReduceProd, Reshape, Softmax, Sum
from xaicore_onnx.call import Call, Layout, Lowering, Results
from xaicore_onnx.values import Live, onnx_axis

Reducer = Callable[[tuple[int, ...], bool], Op]


def _scope(c: Call, x: Live, since: int) -> tuple[tuple[int, ...], bool, Layout] | None:
    """Graph axes, keepdims and the layout of the result; None where nothing is to be reduced."""
    if c.opset >= since:
        axes = c.numbers(1, "axes") if c.has(1) else []
    else:
        axes = list(c.attr("axes") or [])
    if not axes:
        if c.opset >= since and c.attr("noop_with_empty_axes", 0):
            return None
        axes = list(range(x.rank))
    axes = [onnx_axis(k, x.rank, c.who) for k in axes]
    keep = bool(c.attr("keepdims", 1))
    at = x.at if x.at is None or keep else x.at - sum(k < x.at for k in axes)
    return tuple(sorted(x.axis(k, c.who) for k in axes)), keep, (at, x.outer, x.inner)


def reduction(make: Reducer, since: int = 18, square: bool = False, after: Op | None = None, single: Op | None = None) -> Lowering:
    """A lowering to one reduction, of squares or with a function after it; ``single``: what it makes of one entry alone."""

    def lower(c: Call) -> Results:
        x = c.live()
        scope = _scope(c, x, since)
        x = c.put(Mul(), x, x, part="square") if square else x
        if scope is None and single is not None:
            return c.put(single, x)
        if scope is not None:
            axes, keep, layout = scope
            x = c.put(make(axes, keep), x, layout=layout)
        return x if after is None else c.put(after, x)

    return lower


def softmax(op: Callable[[int], Op]) -> Lowering:
    """A lowering of Softmax or LogSoftmax. Before opset 13 all axes from ``axis`` on are one."""

    def lower(c: Call) -> Results:
        x = c.live()
        k = onnx_axis(c.attr("axis", -1 if c.opset >= 13 else 1), x.rank, c.who)
        if c.opset >= 13 or k == x.rank - 1:
            return c.put(op(_from_end(x.axis(k, c.who), x)), x)
        axes = [x.axis(j, c.who) for j in range(k, x.rank)]
        flat = c.put(Reshape((*x.tail[: axes[0] - 1], int(np.prod(x.tail[axes[0] - 1:])))), x, layout=(x.at, x.outer, x.inner))
        return c.put(Reshape(x.tail), c.put(op(-1), flat), layout=x.layout)

    return lower


def _from_end(axis: int, x: Live) -> int:
    """-1 for the last axis, as one writes it by hand."""
    return -1 if axis == len(x.tail) else axis


REDUCE: dict[str, Lowering] = {
    "ReduceSum": reduction(Sum, since=13), "ReduceMean": reduction(Mean), "ReduceMax": reduction(ReduceMax),
    "ReduceMin": reduction(ReduceMin), "ReduceProd": reduction(ReduceProd),
    "ReduceL1": reduction(lambda axes, keep: Norm(axes, keep, 1.0), single=Abs()),
    "ReduceL2": reduction(lambda axes, keep: Norm(axes, keep, 2.0), single=Abs()),
    "ReduceSumSquare": reduction(Sum, square=True), "ReduceLogSum": reduction(Sum, after=Log()), "ReduceLogSumExp": reduction(LogSumExp),
    "Softmax": softmax(Softmax), "LogSoftmax": softmax(LogSoftmax),
}  # fmt: skip
