"""How emit.py writes gathers, scatters, windows as columns, and what compares entries."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from xaicore.errors import ConversionError
from xaicore_onnx.emitter import Emitter, Rule


def together(e: Emitter, *xs: str) -> list[str]:
    """All with the whole batch: what has one sample for every one is repeated, since these operators of ONNX do not broadcast."""
    like = next((x for x in xs if x in e.varying), None)
    if like is None:
        return list(xs)
    made = []
    for k, x in enumerate(xs):
        if x not in e.varying and e.shape(x)[0] == 1:
            batch = e.put("Shape", like, part=f"batch{k}", start=0, end=1)
            sizes = e.put("Concat", batch, e.ints([1] * (len(e.shape(x)) - 1), f"ones{k}"), part=f"sizes{k}", axis=0)
            x = e.put("Expand", x, sizes, part=f"repeated{k}")
        made.append(x)
    return made


def gather_elements(e: Emitter, op: Any, *xs: str) -> None:
    """GatherElements, where every other axis must be as long as that of the indices."""
    x, at = together(e, *xs)
    have, want = e.shape(xs[0]), e.shape(xs[1])
    cut = [k for k in range(1, len(have)) if want[k] < have[k] and k != op.axis % len(have)]
    if cut:
        ends = e.ints([want[k] for k in cut], "ends")
        x = e.put("Slice", x, e.ints([0] * len(cut), "starts"), ends, e.ints(cut, "axes"), part="cut")
    e.put("GatherElements", x, at, axis=op.axis % len(have))


def gather_nd(e: Emitter, op: Any, *xs: str) -> None:
    """GatherND within the batch."""
    e.put("GatherND", *together(e, *xs), batch_dims=op.batch_dims)


def scatter_elements(e: Emitter, op: Any, *xs: str) -> None:
    """ScatterElements."""
    e.put("ScatterElements", *together(e, *xs), axis=op.axis, reduction=op.reduction)


def scatter_nd(e: Emitter, op: Any, *xs: str) -> None:
    """ScatterND, whose indices count the batch in: the number of its sample stands before each."""
    x, at, updates = together(e, *xs)
    rank = len(e.shape(xs[1]))
    size = e.put("Shape", x, part="size", start=0, end=1)
    count = e.put("Squeeze", size, part="count")
    rows = e.put("Range", e.constant(np.array(0), "zero"), count, e.constant(np.array(1), "one"), part="range")
    rows = e.put("Reshape", rows, e.ints([-1] + [1] * (rank - 1), "tall"), part="rows")
    inner = e.put("Shape", at, part="inner", start=1, end=rank - 1)
    sizes = e.put("Concat", size, inner, e.ints([1], "last"), part="sizes", axis=0)
    where = e.put("Concat", e.put("Expand", rows, sizes, part="samples"), at, part="where", axis=-1)
    e.put("ScatterND", x, where, updates, reduction=op.reduction)


def reverse_sequence(e: Emitter, op: Any, x: str, lengths: str) -> None:
    """ReverseSequence, which turns around axis 1."""
    axis, rank = op.axis % len(e.shape(x)), len(e.shape(x))
    if axis == 1:
        e.put("ReverseSequence", x, lengths, batch_axis=0, time_axis=1)
        return
    perm = [0, axis, *(k for k in range(1, rank) if k != axis)]
    turned = e.put("ReverseSequence", e.put("Transpose", x, part="turned", perm=perm), lengths, part="reversed", batch_axis=0, time_axis=1)
    e.put("Transpose", turned, perm=[int(k) for k in np.argsort(perm)])


def top(at: int) -> Rule:
    """TopK: its values are output 0, their positions output 1."""

    def rule(e: Emitter, op: Any, x: str) -> None:
        e.put("TopK", x, e.ints([op.k], "k"), output=at, outputs=2, axis=op.axis, largest=int(op.largest), sorted=1)

    return rule


def scan(kind: str) -> Rule:
    """CumSum and CumProd."""
    return lambda e, op, x: e.put(kind, x, e.constant(np.array(op.axis), "axis"), exclusive=int(op.exclusive), reverse=int(op.reverse))


def arg(kind: str) -> Rule:
    """ArgMax and ArgMin."""
    return lambda e, op, x: e.put(kind, x, axis=op.axis, keepdims=int(op.keepdims), select_last_index=int(op.last))


def max_pool_indices(e: Emitter, op: Any, x: str) -> None:
    """The second output of MaxPool, which counts the whole tensor, within its sample and channel."""
    stride, dilation, pads = op.settings()
    found = e.put(
        "MaxPool", x, part="pool", output=1, outputs=2, kernel_shape=list(op.kernel), strides=list(stride), dilations=list(dilation),
        pads=[a for a, _ in pads] + [b for _, b in pads], ceil_mode=int(op.ceil),
    )
    e.put("Mod", found, e.constant(np.array(prod(e.shape(x)[2:])), "space"))


def unfold(e: Emitter, op: Any, x: str) -> None:
    """A convolution that copies, for ONNX has only the way back."""
    stride, dilation, pads = op.settings()
    channels, size = e.shape(x)[1], prod(op.kernel)
    taps = e.floats(np.tile(np.eye(size), (channels, 1)).reshape(-1, 1, *op.kernel), "taps")
    y = e.put("Conv", x, taps, part="windows", group=channels, strides=list(stride), dilations=list(dilation),
              pads=[a for a, _ in pads] + [b for _, b in pads])
    e.put("Reshape", y, e.ints([0, channels * size, -1], "shape"))


def fold(e: Emitter, op: Any, x: str) -> None:
    """Col2Im."""
    stride, dilation, pads = op.settings()
    e.put("Col2Im", x, e.ints(op.size, "size"), e.ints(op.kernel, "kernel"), strides=list(stride), dilations=list(dilation),
          pads=[a for a, _ in pads] + [b for _, b in pads])


def grid_sample(e: Emitter, op: Any, *xs: str) -> None:
    """GridSample, which had other names for its modes before opset 20, and was for images alone."""
    if e.opset < 20:
        raise ConversionError(f"node {e.current.name!r}: GridSample is written from opset 20 on, not {e.opset}")
    x, grid = together(e, *xs)
    e.put("GridSample", x, grid, mode=op.mode, padding_mode=op.padding, align_corners=int(op.align_corners))


INDEX: dict[str, Rule] = {
    "GridSample": grid_sample,
    "MaxPoolIndices": max_pool_indices, "Unfold": unfold, "Fold": fold,
    "GatherElements": gather_elements, "GatherND": gather_nd, "ScatterElements": scatter_elements, "ScatterND": scatter_nd,
    "ReverseSequence": reverse_sequence, "TopK": top(0), "TopKIndices": top(1), "CumSum": scan("CumSum"), "CumProd": scan("CumProd"),
    "ArgMax": arg("ArgMax"), "ArgMin": arg("ArgMin"), "Hardmax": lambda e, op, x: e.put("Hardmax", x, axis=op.axis),
    "OneHot": lambda e, op, x: e.put("OneHot", x, e.constant(np.array(op.depth), "depth"), e.ints([0, 1], "values"), axis=op.axis),
    "Trilu": lambda e, op, x: e.put("Trilu", x, e.constant(np.array(op.k), "k"), upper=int(op.upper)),
}
