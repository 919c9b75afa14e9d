"""The way back: a graph as an ONNX model of the same function. What ONNX lacks is written out of what it has, or expanded first.

ONNX stores settings such as a slope or an epsilon in single precision, whatever the type of the tensors; apart from that a float64
graph stays float64. A Detach becomes an Identity, since ONNX has no derivatives.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto

from xaicore.errors import ConversionError
from xaicore.graph import Graph
from xaicore.graph.passes import expand
from xaicore.numerics import Array
from xaicore.ops import CumProd, GroupNorm, Op, RMSNorm, Variance
from xaicore_onnx.emit_functions import FUNCTIONS
from xaicore_onnx.emit_index import INDEX
from xaicore_onnx.emitter import Emitter, Rule
from xaicore_onnx.lower_recurrent import EMIT_RECURRENT, unrolled
from xaicore_onnx.safe import OPSETS

FIRST_OPSET = 18
"""Since then axes are inputs everywhere; ONNX runtimes of 2023 read it."""


def emit(graph: Graph, opset: int = 21) -> onnx.ModelProto:
    """The ONNX model of a graph, checked by onnx.checker; the batch is its free size N.

    Names of inputs, parameters, nodes and outputs stay; layers and origins are kept in the nodes' metadata, the graph's own in the
    model's. ``opset`` is 18 or later: GELU needs 20, GroupNorm 21, RMSNorm 23 to stay one operator.
    ConversionError for an operator that ONNX cannot express.
    """
    if opset not in OPSETS or opset < FIRST_OPSET:
        raise ConversionError(f"emit writes the operator sets {FIRST_OPSET} to {OPSETS[-1]}, not {opset}")
    if graph.dtype == "exact":
        raise ConversionError("ONNX has no rationals; emit graph.astype('float64') instead")
    kinds: set[type[Op]] = {Variance, *(kind for kind, since in NEEDS.items() if opset < since)}
    return Emitter(expand(unrolled(graph), kinds), opset, EMIT).model()


NEEDS: Mapping[type[Op], int] = {GroupNorm: 21, RMSNorm: 23, CumProd: 26}
"""Operators that are expanded for an earlier operator set."""


# ----- the table ----------------------------------------------------------------------------------------------------

def same(kind: str) -> Rule:
    """The ONNX operator of this name, without settings."""
    return lambda e, op, *xs: e.put(kind, *xs)


def reduction(kind: str) -> Rule:
    """A reduction over the operator's axes."""

    def rule(e: Emitter, op: Any, x: str) -> None:
        if op.axes:
            e.put(kind, x, e.ints(op.axes, "axes"), keepdims=int(op.keepdims))
        else:
            e.put("Identity", x)                            # no axes means all of them in ONNX

    return rule


def dense(e: Emitter, op: Any, x: str, w: str, *b: str) -> None:
    """Gemm for a matrix, else MatMul with the transposed weight, and Add."""
    if len(e.shape(x)) == 2:
        e.put("Gemm", x, w, *b, transB=1)
        return
    turned = e.put("Transpose", w, part="weight", perm=[1, 0])
    if b:
        e.put("Add", e.put("MatMul", x, turned, part="product"), *b)
    else:
        e.put("MatMul", x, turned)


def window(op: Any, rank: int, **more: Any) -> dict[str, Any]:
    """strides, dilations and pads of a convolution or pool, those that are not the default."""
    pads = op.pads or ((0, 0),) * rank
    return {
        "strides": list(op.stride) or None, "dilations": list(op.dilation) or None,
        "pads": [a for a, _ in pads] + [b for _, b in pads], **more,
    }


def conv(e: Emitter, op: Any, x: str, w: str, *b: str) -> None:
    """Conv."""
    e.put("Conv", x, w, *b, **window(op, len(e.shape(w)) - 2, group=op.groups))


def conv_transpose(e: Emitter, op: Any, x: str, w: str, *b: str) -> None:
    """ConvTranspose."""
    more = {"group": op.groups, "output_padding": list(op.output_padding) or None}
    e.put("ConvTranspose", x, w, *b, **window(op, len(e.shape(w)) - 2, **more))


def pool(kind: str) -> Rule:
    """MaxPool, AveragePool, LpPool; their stride is the kernel by default, ONNX's is 1."""

    def rule(e: Emitter, op: Any, x: str) -> None:
        more: dict[str, Any] = {"kernel_shape": list(op.kernel), "ceil_mode": int(op.ceil)}
        if kind == "LpPool":
            if op.p != int(op.p):
                raise ConversionError(f"node {e.current.name!r}: ONNX's LpPool has whole exponents only, not {op.p}")
            more["p"] = int(op.p)
        factor = 1.0
        if kind == "AveragePool":
            more["count_include_pad"] = int(op.count_include_pad or op.divisor is not None)
            if op.dilation and e.opset < 19:
                raise ConversionError(f"node {e.current.name!r}: ONNX's AveragePool knows dilation from opset 19 on, not {e.opset}")
            if op.divisor is not None:
                if op.ceil:
                    raise ConversionError(
                        f"node {e.current.name!r}: ONNX's AveragePool has no divisor, and with ceil windows differ in "
                        "size"
                    )
                factor = prod(op.kernel) / op.divisor
        attributes = window(op, len(op.kernel), **more)
        attributes["strides"] = list(op.stride or op.kernel)
        if factor == 1.0:
            e.put(kind, x, **attributes)
        else:
            e.put("Mul", e.put(kind, x, part="mean", **attributes), e.floats(factor, "factor"))

    return rule


def adaptive(kind: str) -> Rule:
    """A pool with equal windows where the sizes divide; other means as a product with a matrix for each axis."""

    def rule(e: Emitter, op: Any, x: str) -> None:
        space = e.shape(x)[2:]
        if all(n % k == 0 for n, k in zip(space, op.size)):
            size = [n // k for n, k in zip(space, op.size)]
            e.put(kind, x, kernel_shape=size, strides=size)
            return
        if kind == "MaxPool":
            raise ConversionError(
                f"node {e.current.name!r}: {op} on {space} has windows of different sizes, which ONNX lacks for a "
                "maximum"
            )
        names = [e.floats(_shares(n, k), f"shares{j}") for j, (n, k) in enumerate(zip(space, op.size))]
        old, new = "ijk"[: len(space)], "abc"[: len(space)]
        e.put("Einsum", x, *names, equation=",".join([f"zy{old}", *(b + a for a, b in zip(old, new))]) + f"->zy{new}")

    return rule


def _shares(n: int, size: int) -> Array:
    """(size, n): the means over windows [floor(o n / size), ceil((o + 1) n / size))."""
    out = np.zeros((size, n))
    for o in range(size):
        start, stop = o * n // size, -(-(o + 1) * n // size)
        out[o, start:stop] = 1 / (stop - start)
    return out


def clip(e: Emitter, op: Any, x: str) -> None:
    """Clip with the bounds that are given."""
    low, high = (0.0, 6.0) if type(op).__name__ == "ReLU6" else (op.low, op.high)
    bounds = ["" if b is None else e.floats(b, part) for b, part in ((low, "low"), (high, "high"))]
    e.put("Clip", x, *bounds)


def celu(e: Emitter, op: Any, x: str) -> None:
    """alpha * ELU(x / alpha); Celu itself is for float32 only before opset 28."""
    if e.float == TensorProto.FLOAT:
        e.put("Celu", x, alpha=float(op.alpha))
        return
    alpha = e.floats(op.alpha, "alpha")
    e.put("Mul", e.put("Elu", e.put("Div", x, alpha, part="scaled"), part="elu"), alpha)


def gelu(e: Emitter, op: Any, x: str) -> None:
    """Gelu, before opset 20 written out."""
    if e.opset >= 20:
        e.put("Gelu", x, approximate=op.approximate)
        return
    if op.approximate == "none":
        curve = e.put("Erf", e.put("Mul", x, e.floats(0.5**0.5, "root"), part="scaled"), part="erf")
    else:
        cube = e.put("Mul", e.put("Mul", x, x, part="square"), x, part="cube")
        inner = e.put("Add", x, e.put("Mul", cube, e.floats(0.044715, "third"), part="bent"), part="sum")
        curve = e.put("Tanh", e.put("Mul", inner, e.floats((2 / np.pi) ** 0.5, "root"), part="scaled"), part="tanh")
    half = e.put("Mul", x, e.floats(0.5, "half"), part="halved")
    e.put("Mul", half, e.put("Add", curve, e.floats(1, "one"), part="raised"))


def silu(e: Emitter, op: Any, x: str) -> None:
    """x * sigmoid(beta x)."""
    inner = x if op.beta == 1 else e.put("Mul", x, e.floats(op.beta, "beta"), part="scaled")
    e.put("Mul", x, e.put("Sigmoid", inner, part="sigmoid"))


def softplus(e: Emitter, op: Any, x: str) -> None:
    """log(1 + exp(beta x)) / beta."""
    if op.beta == 1.0:
        e.put("Softplus", x)
        return
    beta = e.floats(op.beta, "beta")
    e.put("Div", e.put("Softplus", e.put("Mul", x, beta, part="scaled"), part="softplus"), beta)


def compare(e: Emitter, op: Any, a: str, b: str) -> None:
    """Equal and its relatives; "ne" is Not(Equal)."""
    kinds = {"lt": "Less", "le": "LessOrEqual", "gt": "Greater", "ge": "GreaterOrEqual", "eq": "Equal"}
    if op.kind == "ne":
        e.put("Not", e.put("Equal", a, b, part="equal"))
    else:
        e.put(kinds[op.kind], a, b)


def logical(e: Emitter, op: Any, a: str, b: str) -> None:
    """And, Or, Xor of booleans."""
    e.put({"and": "And", "or": "Or", "xor": "Xor"}[op.kind], e.truth(a, "left"), e.truth(b, "right"))


def flatten(e: Emitter, op: Any, x: str) -> None:
    """Flatten keeps two axes in ONNX; from a later axis on it is a Reshape."""
    if op.start == 1:
        e.put("Flatten", x, axis=1)
    else:
        e.put("Reshape", x, e.ints([0] * op.start + [-1], "shape"))


def pad(e: Emitter, op: Any, x: str) -> None:
    """Pad; entries are taken away by Slice, which every runtime does alike."""
    axes = range(-len(op.pads), 0)
    cut = [(k, max(-a, 0), min(b, 0)) for k, (a, b) in zip(axes, op.pads) if a < 0 or b < 0]
    grown = [(k, max(a, 0), max(b, 0)) for k, (a, b) in zip(axes, op.pads) if a > 0 or b > 0]
    if cut:
        bounds = [[a for _, a, _ in cut], [b or LAST for _, _, b in cut], [k for k, _, _ in cut]]
        x = e.put("Slice", x, *(e.ints(v, p) for v, p in zip(bounds, ("starts", "ends", "cut"))), part="cropped" if grown else "")
    if grown:
        pads = e.ints([a for _, a, _ in grown] + [b for _, _, b in grown], "pads")
        value = e.floats(float(op.value), "value") if op.mode == "constant" else ""
        e.put("Pad", x, pads, value, e.ints([k for k, _, _ in grown], "axes"), mode=op.mode)
    elif not cut:
        e.put("Identity", x)


LAST = np.iinfo(np.int64).max


def slices(e: Emitter, op: Any, x: str) -> None:
    """Slice along one axis; None becomes the end that the step starts from or goes to."""
    start = op.start if op.start is not None else 0 if op.step > 0 else LAST
    stop = op.stop if op.stop is not None else LAST if op.step > 0 else -LAST
    e.put("Slice", x, *(e.ints([v], p) for v, p in ((start, "start"), (stop, "stop"), (op.axis, "axis"), (op.step, "step"))))


def piece(e: Emitter, op: Any, x: str) -> None:
    """One piece of a Split, as a Slice."""
    start = sum(op.sizes[: op.index])
    e.put("Slice", x, *(e.ints([v], p) for v, p in ((start, "start"), (start + op.sizes[op.index], "stop"), (op.axis, "axis"))))


def expansion(e: Emitter, op: Any, x: str, *like: str) -> None:
    """Expand: 1 keeps a size, and the batch is that of ``like``."""
    tail = [1 if n == -1 else n for n in op.shape]
    if not like:
        e.put("Expand", x, e.ints([1, *tail], "sizes"))
        return
    batch = e.put("Shape", like[0], part="batch", start=0, end=1)
    e.put("Expand", x, e.put("Concat", batch, e.ints(tail, "tail"), part="sizes", axis=0))


def resize(e: Emitter, op: Any, x: str) -> None:
    """Resize, by its sizes or by its scales."""
    rank, coordinates, rounding = len(e.shape(x)), op.coordinates, op.rounding
    if coordinates == "tf_half_pixel_for_nn":
        if (op.mode, rounding) != ("nearest", "floor"):
            raise ConversionError(f"node {e.current.name!r}: ONNX has no coordinates tf_half_pixel_for_nn any more, which {op} needs")
        coordinates, rounding = "half_pixel", "round_prefer_ceil"             # floor(p + 1/2)
    settings: dict[str, Any] = {
        "axes": list(range(rank - len(op.size), rank)), "mode": op.mode, "coordinate_transformation_mode": coordinates,
        "nearest_mode": rounding if op.mode == "nearest" else None, "cubic_coeff_a": float(op.cubic) if op.mode == "cubic" else None,
        "exclude_outside": int(op.exclude_outside) or None, "antialias": int(op.antialias) or None,
    }
    roi = e.floats([*(a for a, _ in op.crop), *(b for _, b in op.crop)], "roi") if op.crop else ""
    if not op.scales:
        e.put("Resize", x, roi, "", e.ints(op.size, "sizes"), **settings)
        return
    scales = np.asarray(op.scales, np.float32)
    spans = [b - a for a, b in op.crop] or [1] * len(op.size)
    if any(int(np.floor(n * span * float(s))) != k for n, s, k, span in zip(e.shape(x)[-len(op.size) :], scales, op.size, spans)):
        raise ConversionError(f"node {e.current.name!r}: {op} has another size than ONNX computes from its scales")
    e.put("Resize", x, roi, e.constant(scales, "scales"), **settings)


def lrn(e: Emitter, op: Any, x: str) -> None:
    """LRN, whose windows of even size reach one channel further down, the graph's one further up: so the channels are turned around."""
    settings = {"size": op.size, "alpha": float(op.alpha), "beta": float(op.beta), "bias": float(op.k)}
    if op.size % 2:
        e.put("LRN", x, **settings)
        return
    bounds = [e.ints([v], p) for v, p in ((LAST, "start"), (-LAST, "stop"), (1, "axis"), (-1, "step"))]
    turned = e.put("Slice", x, *bounds, part="turned")
    e.put("Slice", e.put("LRN", turned, part="normalised", **settings), *bounds)


def normalized(kind: str) -> Rule:
    """A normalisation whose scale and bias ONNX wants written out: ones and zeros where the graph has none."""

    def rule(e: Emitter, op: Any, x: str, *params: str) -> None:
        channels = kind in ("GroupNormalization", "InstanceNormalization")
        shape = e.shape(x)[1:2] if channels else e.shape(x)[len(e.shape(x)) - op.axes :] if not params else ()
        scale = params[0] if params else e.floats(np.ones(shape), "scale")
        bias = list(params[1:]) or ([e.floats(np.zeros(shape or e.shape(scale)), "bias")] if channels else [])
        more = {"num_groups": op.groups} if kind == "GroupNormalization" else {} if channels else {"axis": -op.axes}
        e.put(kind, x, scale, *bias, epsilon=float(op.eps), **more)

    return rule


EMIT: dict[str, Rule] = {
    # linear, convolution, pooling
    "Dense": dense, "MatMul": same("MatMul"), "Einsum": lambda e, op, *xs: e.put("Einsum", *xs, equation=op.equation),
    "Conv": conv, "ConvTranspose": conv_transpose, "MaxPool": pool("MaxPool"), "AvgPool": pool("AveragePool"), "LpPool": pool("LpPool"),
    "AdaptiveAvgPool": adaptive("AveragePool"), "AdaptiveMaxPool": adaptive("MaxPool"), "GlobalAvgPool": same("GlobalAveragePool"),
    "GlobalMaxPool": same("GlobalMaxPool"),
    # activations
    "ReLU": same("Relu"), "LeakyReLU": lambda e, op, x: e.put("LeakyRelu", x, alpha=float(op.slope)), "PReLU": same("PRelu"),
    "ReLU6": clip, "Clip": clip, "ELU": lambda e, op, x: e.put("Elu", x, alpha=float(op.alpha)), "SELU": same("Selu"), "CELU": celu,
    "Sigmoid": same("Sigmoid"), "HardSigmoid": lambda e, op, x: e.put("HardSigmoid", x, alpha=float(op.slope), beta=float(op.shift)),
    "HardSwish": same("HardSwish"), "Tanh": same("Tanh"), "GELU": gelu, "SiLU": silu, "Mish": same("Mish"), "Softplus": softplus,
    "Softsign": same("Softsign"),
    # recurrent
    **EMIT_RECURRENT,
    # functions of one number
    "Exp": same("Exp"), "Log": same("Log"), "Sqrt": same("Sqrt"), "Reciprocal": same("Reciprocal"), "Abs": same("Abs"),
    "Neg": same("Neg"), "Erf": same("Erf"), "Sin": same("Sin"), "Cos": same("Cos"), "Floor": same("Floor"), "Ceil": same("Ceil"),
    "Round": same("Round"), "Sign": same("Sign"),
    "Expm1": lambda e, op, x: e.put("Sub", e.put("Exp", x, part="exp"), e.floats(1, "one")),
    "Log1p": lambda e, op, x: e.put("Log", e.put("Add", x, e.floats(1, "one"), part="raised")),
    "Rsqrt": lambda e, op, x: e.put("Reciprocal", e.put("Sqrt", x, part="sqrt")),
    "Pow": lambda e, op, x: e.put("Pow", x, e.floats(op.exponent, "exponent")),
    # functions of two numbers, and what only goes forward
    "Add": same("Add"), "Sub": same("Sub"), "Mul": same("Mul"), "Div": same("Div"), "Maximum": same("Max"), "Minimum": same("Min"),
    "Where": lambda e, op, c, a, b: e.put("Where", e.truth(c, "condition"), a, b), "Compare": compare, "Logical": logical,
    "Not": lambda e, op, x: e.put("Not", e.truth(x, "truth")), "ToFloat": lambda e, op, x: e.put("Cast", x, to=e.float),
    "ToInt": lambda e, op, x: e.put("Cast", x, to=TensorProto.INT64), "ToBool": lambda e, op, x: e.put("Cast", x, to=TensorProto.BOOL),
    # reductions
    "Sum": reduction("ReduceSum"), "Mean": reduction("ReduceMean"), "ReduceMax": reduction("ReduceMax"),
    "ReduceMin": reduction("ReduceMin"),
    # shape
    "Reshape": lambda e, op, x: e.put("Reshape", x, e.ints([0, *op.shape], "shape")),
    "Flatten": flatten,
    "Transpose": lambda e, op, x: e.put("Transpose", x, perm=list(op.perm)),
    "Concat": lambda e, op, *xs: e.put("Concat", *xs, axis=op.axis), "Split": piece, "Slice": slices, "Pad": pad,
    "Gather": lambda e, op, x, at: e.put("Gather", x, at, axis=op.axis),
    "Embedding": lambda e, op, table, ids: e.put("Gather", table, ids, axis=0), "Expand": expansion,
    "Squeeze": lambda e, op, x: e.put("Squeeze", x, e.ints(op.axes, "axes")),
    "Unsqueeze": lambda e, op, x: e.put("Unsqueeze", x, e.ints(op.axes, "axes")), "Resize": resize, "Identity": same("Identity"),
    "Dropout": lambda e, op, x: e.put("Dropout", x, e.floats(op.rate, "rate")), "Detach": same("Identity"),
    # normalisation
    "BatchNorm": lambda e, op, *xs: e.put("BatchNormalization", *xs, epsilon=float(op.eps)),
    "LayerNorm": normalized("LayerNormalization"), "GroupNorm": normalized("GroupNormalization"),
    "InstanceNorm": normalized("InstanceNormalization"), "RMSNorm": normalized("RMSNormalization"),
    "LocalResponseNorm": lrn,
    "Softmax": lambda e, op, x: e.put("Softmax", x, axis=op.axis), "LogSoftmax": lambda e, op, x: e.put("LogSoftmax", x, axis=op.axis),
    **INDEX, **FUNCTIONS,
}
