"""Reductions and softmax."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaicore.ops import (
    Abs,
    Add,
    Detach,
    Exp,
    Log,
    LogSoftmax,
    Mean,
    Mul,
    Op,
    ReduceMax,
    ReduceMin,
    Reshape,
    Softmax,
    Sqrt,
    Squeeze,
    Sub,
    Sum,
)
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


def reduction(make: Reducer, since: int = 18, before: Op | None = None, after: Op | None = None, square: bool = False) -> Lowering:
    """A lowering to one reduction, with a function of single entries before and after it."""

    def lower(c: Call) -> Results:
        x = c.live()
        scope = _scope(c, x, since)
        x = x if before is None else c.put(before, x)
        x = c.put(Mul(), x, x, part="square") if square else x
        if scope is not None:
            axes, keep, layout = scope
            x = c.put(make(axes, keep), x, layout=layout)
        return x if after is None else c.put(after, x)

    return lower


def log_sum_exp(c: Call) -> Results:
    """log(sum exp(x)), computed as max + log(sum exp(x - max)) so that no exponential overflows."""
    x = c.live()
    scope = _scope(c, x, 18)
    if scope is None:
        return x
    axes, keep, layout = scope
    top = c.put(Detach(shared=True), c.put(ReduceMax(axes, True), x))
    low = c.put(Log(), c.put(Sum(axes, True), c.put(Exp(), c.put(Sub(), x, top))))
    y = c.put(Add(), low, top)
    return y if keep else c.put(Squeeze(axes), y, layout=layout)


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
    "ReduceMin": reduction(ReduceMin), "ReduceL1": reduction(Sum, before=Abs()), "ReduceL2": reduction(Sum, square=True, after=Sqrt()),
    "ReduceSumSquare": reduction(Sum, square=True), "ReduceLogSum": reduction(Sum, after=Log()), "ReduceLogSumExp": log_sum_exp,
    "Softmax": softmax(Softmax), "LogSoftmax": softmax(LogSoftmax),
}  # fmt: skip
