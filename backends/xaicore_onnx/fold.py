"""Evaluating what does not depend on an input: shapes, masks, positions, transposed weights. Nothing large is made from a small file.

The arithmetic is that of ``onnx.reference``, one node at a time, after the size of its result was bounded from the sizes (and, for
operators that are told a size, the values) of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import ceil, prod
from typing import Any

import numpy as np
import onnx
from onnx import helper

from xaicore.errors import ConversionError, FileRefused
from xaicore.graph.untrusted import max_bytes
from xaicore.numerics import Array
from xaicore_onnx.reference import evaluator
from xaicore_onnx.safe import array_of

MAX_CONSTANT = 128_000_000
"""Elements that one computed constant may have, or as many as its largest input: 1 GB in float64, and the largest layer of VGG19 fits.
A file of a few bytes can ask for any number of them."""

MAX_VALUE = 200_000_000
"""Elements that one value may have for one sample: 1.6 GB in float64."""

Shape = Sequence[int]

ALSO_FOLDED = frozenset({
    "ConstantOfShape", "Range",
    "NonZero", "Unique",
    "MelWeightMatrix", "NonMaxSuppression", "BitCast",
})
"""Operators that are evaluated on constants, though they have no counterpart on values that depend on an input."""


def constant(node: onnx.NodeProto) -> Array:
    """The value of a Constant node."""
    a = node.attribute[0] if len(node.attribute) == 1 else None
    who = f"node {node.name or node.output[0]!r} (Constant)"
    if a is None:
        raise ConversionError(f"{who} has {len(node.attribute)} attributes; exactly one value is expected. Export the model again")
    if a.name == "value":
        return array_of(a.t, who)
    if a.name in ("value_float", "value_floats"):
        return np.array(a.f if a.name == "value_float" else list(a.floats), np.float32)
    if a.name in ("value_int", "value_ints"):
        return np.array(a.i if a.name == "value_int" else list(a.ints), np.int64)
    raise ConversionError(f"{who} holds a {a.name}; numbers are converted, strings and sparse tensors are not")


def evaluate(node: onnx.NodeProto, inputs: Sequence[Array | None], opset: int) -> list[Array | None]:
    """The outputs of one node by the reference evaluator."""
    feeds = {name: x for name, x in zip(node.input, inputs) if name and x is not None}
    declared = [helper.make_tensor_value_info(k, helper.np_dtype_to_tensor_dtype(x.dtype), x.shape) for k, x in feeds.items()]
    outputs = [name for name in node.output if name]
    graph = helper.make_graph([node], "constant", declared, [helper.make_empty_tensor_value_info(o) for o in outputs])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
    with np.errstate(all="ignore"):
        found = dict(zip(outputs, evaluator(model).run(outputs, feeds)))
    return [None if not name else _array(found[name]) for name in node.output]


def _array(x: Any) -> Array:
    y = np.asarray(x)
    if y.dtype.kind not in "fiub":
        y = y.astype(np.float32)                            # bfloat16
    return y


# ----- how large a result can be ----------------------------------------------------------------------------------


def check_size(node: onnx.NodeProto, shapes: Sequence[Shape | None], known: Sequence[Array | None], limit: int) -> None:
    """FileRefused when the result, or an intermediate such as the padded input, would have more than ``limit`` elements.

    ``shapes`` has one entry for each input (None for one left out), ``known`` its value where it is a constant.
    """
    limit = min(limit, max_bytes() // 8)
    given = [tuple(s) for s in shapes if s is not None]
    rule = GROWTH.get(node.op_type)
    attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type != onnx.AttributeProto.GRAPH}
    size = rule(given, known, attrs) if rule is not None and given else _default(given)
    if not size <= max(limit, *(prod(s) for s in given), 0):
        raise FileRefused(
            f"node {node.name or node.output[0]!r} ({node.op_type}) would make {size:,.0f} elements of inputs of shape "
            f"{', '.join(str(s) for s in given)}; {limit:,} are allowed for one value. A file like this is broken or hostile"
        )


def check_work(node: onnx.NodeProto, shapes: Sequence[Shape | None]) -> None:
    """Refuses to evaluate what would take minutes: products of large matrices that a small file can make of nothing."""
    given = [tuple(s) for s in shapes if s is not None]
    attrs = {a.name: helper.get_attribute_value(a) for a in node.attribute if a.type != onnx.AttributeProto.GRAPH}
    bound = WORK.get(node.op_type)
    if bound is None or len(given) < 1:
        return
    work, limit = bound(given, attrs)
    if work > limit:
        raise FileRefused(
            f"node {node.name or node.output[0]!r} ({node.op_type}) would take {work:,.0f} steps to compute a constant of inputs of shape "
            f"{', '.join(str(s) for s in given)}; {limit:,} are allowed. A file like this is broken or hostile"
        )


def _products(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[float, int]:
    """The entries of one factor times the columns of the other."""
    a, b = (tuple(s) or (1,) for s in shapes[:2]) if len(shapes) > 1 else ((1,), (1,))
    return prod(a) * prod(b) / max(1, min(a[-1], *b[-2:])), 10**11


def _labels(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[float, int]:
    sizes: dict[str, int] = {}
    terms = attrs["equation"].decode("utf-8", "replace").replace(" ", "").partition("->")[0].split(",")
    for term, shape in zip(terms, shapes):
        sizes.update(zip(reversed(term.replace("...", "")), reversed(tuple(shape))))
    return prod(sizes.values()), 10**10


def _windows(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[float, int]:
    kernel = shapes[1][1:] if len(shapes) > 1 else attrs.get("kernel_shape") or [1]
    return float(prod(shapes[0])) * prod(kernel), 10**10


def _places(shapes: Sequence[Shape], attrs: Mapping[str, Any]) -> tuple[float, int]:
    return prod(shapes[-1]) * 64, 10**8


WORK: dict[str, Callable[[Sequence[Shape], Mapping[str, Any]], tuple[float, int]]] = {
    **dict.fromkeys(("MatMul", "Gemm", "MatMulInteger", "QLinearMatMul"), _products), "Einsum": _labels,
    **dict.fromkeys(("Conv", "ConvTranspose", "ConvInteger", "QLinearConv"), _windows),
    **dict.fromkeys(("MaxPool", "AveragePool", "LpPool", "GridSample", "RoiAlign", "DeformConv"), _places),
}  # fmt: skip
"""Operators that take longer than their result is large: an estimate of their steps, and how many are some ten seconds."""


def _default(shapes: Sequence[Shape]) -> float:
    """The largest of the inputs, or their common shape where they broadcast."""
    largest = max((prod(s) for s in shapes), default=0)
    try:
        return max(largest, prod(np.broadcast_shapes(*(tuple(s) for s in shapes))))
    except ValueError:
        return largest


def _joined(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    return sum(prod(s) for s in shapes)


def _numbers(known: Sequence[Array | None], k: int) -> list[float] | None:
    if k >= len(known) or known[k] is None:
        return None
    return [float(v) for v in np.asarray(known[k]).reshape(-1)[:64]]        # a shape has fewer axes than that


def _expand(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    want = _numbers(known, 1) or []
    have = [1.0] * (len(want) - len(shapes[0])) + [float(n) for n in shapes[0]]
    want = [1.0] * (len(have) - len(want)) + want
    return prod(max(a, b) for a, b in zip(have, want))


def _tile(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    return prod(shapes[0]) * prod(_numbers(known, 1) or [1])


def _of_shape(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    return prod(_numbers(known, 0) or [1])


def _range(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    start, limit, step = ((_numbers(known, k) or [1.0])[0] for k in range(3))
    return max(0, ceil((limit - start) / step)) if step else 0


def _padded(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    pads = [float(p) for p in attrs.get("pads") or _numbers(known, 1) or []]
    axes = [int(k) for k in _numbers(known, 3) or range(len(shapes[0]))]
    grown = [float(n) for n in shapes[0]]
    for axis, before, after in zip(axes, pads, pads[len(axes):]):
        if -len(grown) <= axis < len(grown):
            grown[axis] += max(before, 0) + max(after, 0)
    return prod(grown)


def _window(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    x = shapes[0]
    rank = len(x) - 2
    pads = [abs(float(p)) for p in attrs.get("pads") or [0] * 2 * rank]
    space = [n + pads[k] + pads[k + rank] for k, n in enumerate(x[2:]) if k + rank < len(pads)]
    channels = max(x[1] if len(x) > 1 else 1, shapes[1][0] if len(shapes) > 1 and shapes[1] else 1)
    return (x[0] if x else 1) * channels * prod(space)


def _conv_transpose(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    x, w = shapes[0], shapes[1]
    ones = [1] * (len(x) - 2)
    strides, dilations = attrs.get("strides") or ones, attrs.get("dilations") or ones
    extra = attrs.get("output_padding") or [0] * len(ones)
    space = [n * abs(s) + k * abs(d) + abs(e) for n, k, s, d, e in zip(x[2:], w[2:], strides, dilations, extra)]
    space = [max(a, float(b)) for a, b in zip(space, attrs.get("output_shape") or space)]
    return float(x[0] * max(x[1], w[1] * abs(attrs.get("group", 1))) * prod(space))


def _resize(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    sizes, scales = _numbers(known, 3), _numbers(known, 2) or _numbers(known, 1) or attrs.get("scales")
    if sizes:
        return prod(shapes[0]) * prod(max(1.0, n) for n in sizes) / max(1, prod(shapes[0][-len(sizes):]))
    return prod(shapes[0]) * prod(max(1.0, float(s)) for s in scales or [])


def _neighbours(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    x = shapes[0]
    return float(prod(x) + prod(x) / max(1, x[1] if len(x) > 1 else 1) * abs(attrs.get("size", 1)))


def _gather(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    axis = attrs.get("axis", 0)
    length = shapes[0][axis] if -len(shapes[0]) <= axis < len(shapes[0]) else 1
    return prod(shapes[1]) * prod(shapes[0]) / max(1, length)


def _gather_nd(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    depth = shapes[1][-1] if shapes[1] else 0
    return prod(shapes[1][:-1]) * prod(shapes[0][depth:])


def _one_hot(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    return prod(shapes[0]) * max(_numbers(known, 1) or [1])


def _mel(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    bands, length = ((_numbers(known, k) or [1.0])[0] for k in range(2))
    return abs(bands) * (abs(length) / 2 + 1)


def _scattered(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    return prod(shapes[0])


def _matmul(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    a, b = shapes[0], shapes[1]
    lead = _default([a[:-2] or (1,), b[:-2] or (1,)])
    return lead * prod(a[-2:-1]) * prod(b[-1:] if len(b) > 1 else ())


def _gemm(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    a, b = (tuple(s) if len(s) == 2 else (1, 1) for s in shapes[:2])
    return a[1 if attrs.get("transA", 0) else 0] * b[0 if attrs.get("transB", 0) else 1]


def _einsum(shapes: Sequence[Shape], known: Sequence[Array | None], attrs: Mapping[str, Any]) -> float:
    sizes: dict[str, int] = {}
    equation = attrs["equation"].decode("utf-8", "replace").replace(" ", "")
    terms, _, out = equation.partition("->")
    for term, shape in zip(terms.split(","), shapes):
        sizes.update(zip(term.replace("...", ""), shape))
    return prod(sizes.get(c, 1) for c in set(out or terms))


GROWTH: dict[str, Callable[[Sequence[Shape], Sequence[Array | None], Mapping[str, Any]], float]] = {
    "Concat": _joined, "Expand": _expand, "Tile": _tile, "ConstantOfShape": _of_shape, "Range": _range, "Pad": _padded,
    "Conv": _window, "AveragePool": _window, "MaxPool": _window, "LpPool": _window, "ConvTranspose": _conv_transpose,
    "Resize": _resize, "Upsample": _resize, "Gather": _gather, "GatherND": _gather_nd, "OneHot": _one_hot,
    "MelWeightMatrix": _mel, "ScatterND": _scattered, "LRN": _neighbours, "MatMul": _matmul, "Gemm": _gemm, "Einsum": _einsum,
}  # fmt: skip
"""Operators whose result can be larger than their inputs and their common shape, and an upper bound on it."""
