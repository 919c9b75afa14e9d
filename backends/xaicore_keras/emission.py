"""The way back: a graph as a Functional Keras model, for the operators that Keras has a layer or a function for.

``EMITTERS`` is the table of contents: operator -> function. Convolutions, pools and their like run with the channels last, as
all of Keras's backends can; a Permute layer stands where the layout changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from xaicore import ops
from xaicore.errors import ConversionError
from xaicore.graph.graph import Graph
from xaicore_keras.emit_recurrent import RECURRENT
from xaicore_keras.emitter import Emitter, check_arithmetic

Emit = Callable[..., None]
RESHAPED = "emit to torch or ONNX, which have it"
layers = keras.layers


def emit(graph: Graph) -> Any:
    """The graph as a keras.Model that takes the graph's inputs, in the graph's layout and dtype, and gives its outputs.

    A layer has the name of its node, with "_" for what Keras does not allow in one. Where an operator or its setting has no
    counterpart: ConversionError. InputError for a graph in exact arithmetic. In float64 Keras still computes parts in float32,
    by its own rule of promotion.
    """
    check_arithmetic(graph)
    e = Emitter(graph)
    kinds = {"float": graph.dtype, "int": "int32", "bool": "bool"}
    inputs = []
    for name, spec in graph.inputs.items():
        x = keras.Input(batch_shape=spec.shape, dtype=kinds[spec.kind], name=e.named(name))
        inputs.append(x)
        e.put(name, x)
    for node in graph.nodes:
        e.node = node
        if type(node.op) not in EMITTERS:
            raise e.refuse("has no row in xaicore_keras.emission.EMITTERS", RESHAPED)
        if all(i in graph.params for i in node.inputs):
            raise e.refuse("depends on no input", "fold constants first (xaicore.graph.passes.fold_constants)")
        try:
            EMITTERS[type(node.op)](e, node.op, node.name, *node.inputs)
        except (ValueError, NotImplementedError, RuntimeError, TypeError) as error:     # what this backend of Keras has not
            raise e.refuse(f"is not taken by Keras on {keras.backend.backend()}: {str(error).strip()[:300]}", RESHAPED) from error
    for name in graph.outputs:
        if name in graph.params:
            raise ConversionError(f"the output {name!r} is a parameter; a Keras model's outputs depend on its inputs")
    model = keras.Model(inputs if len(inputs) > 1 else inputs[0], [e.own(o) for o in graph.outputs] if len(graph.outputs) > 1
                        else e.own(graph.outputs[0]), name=e.named(graph.name or "graph"))
    e.finish()
    return model


# ----- products -------------------------------------------------------------------------------------------------------


def dense(e: Emitter, op: Any, out: str, x: str, w: str, *b: str) -> None:
    kernel = e.param(w)
    made = e.layer(layers.Dense, len(kernel), use_bias=bool(b), weights=[kernel.T, *(e.param(k) for k in b)])
    e.put(out, made(e.own(x)))


def matmul(e: Emitter, op: Any, out: str, a: str, b: str) -> None:
    e.put(out, keras.ops.matmul(e.operand(a), e.operand(b)))


def einsum(e: Emitter, op: Any, out: str, *xs: str) -> None:
    e.put(out, keras.ops.einsum(op.equation.replace(" ", ""), *(e.operand(x) for x in xs)))


def embedding(e: Emitter, op: Any, out: str, table: str, ids: str) -> None:
    rows = e.param(table)
    if rows.ndim != 2:
        raise e.refuse(f"has a table of shape {rows.shape}", "use a table (rows, width)")
    e.put(out, e.layer(layers.Embedding, *rows.shape, weights=[rows])(e.own(ids)))


def conv(e: Emitter, op: Any, out: str, x: str, w: str, *b: str) -> None:
    """A depthwise layer where each group is one channel, and padding as a layer of its own: Keras's "same" is another one."""
    kernel = e.param(w)
    rank = kernel.ndim - 2
    stride, dilation = op.stride or (1,) * rank, op.dilation or (1,) * rank
    if max(stride) > 1 and max(dilation) > 1:
        raise e.refuse("has both a stride and a dilation", RESHAPED)
    channels = kernel.shape[1] * op.groups
    bias = [e.param(k) for k in b]
    settings: dict[str, Any] = {"strides": stride, "dilation_rate": dilation, "use_bias": bool(b)}
    spatial = kernel.transpose(*range(2, kernel.ndim), 1, 0)            # (O, I, *K) -> (*K, I, O)
    size = kernel.shape[2:]
    if op.groups == channels and channels > 1 and rank < 3 and len(set(stride)) == 1:
        each = len(kernel) // channels
        weights = [spatial.reshape(*size, channels, each), *bias]
        kind = getattr(layers, f"DepthwiseConv{rank}D")
        made = e.layer(kind, size, depth_multiplier=each, weights=weights, **settings)
    else:
        kind = getattr(layers, f"Conv{rank}D")
        made = e.layer(kind, len(kernel), size, groups=op.groups, weights=[spatial, *bias], **settings)
    e.put(out, made(_padded(e, x, op.pads)), last=True)


def conv_transpose(e: Emitter, op: Any, out: str, x: str, w: str, *b: str) -> None:
    """Without padding; what the pads cut off, less what output_padding puts back there, is cut off by a Cropping layer."""
    kernel = e.param(w)
    rank = kernel.ndim - 2
    stride, dilation = op.stride or (1,) * rank, op.dilation or (1,) * rank
    cut = [(a, b - more) for (a, b), more in zip(op.pads or ((0, 0),) * rank, op.output_padding or (0,) * rank)]
    if op.groups != 1 or max(dilation) > 1 or min(b for _, b in cut) < 0:
        raise e.refuse("has groups, a dilation, or more output_padding than padding", RESHAPED)
    if any(k < s for k, s in zip(kernel.shape[2:], stride)):
        raise e.refuse("has a kernel that is smaller than its stride", RESHAPED)
    weights = [kernel.transpose(*range(2, kernel.ndim), 1, 0), *(e.param(k) for k in b)]        # (C, O, *K) -> (*K, O, C)
    kind = getattr(layers, f"Conv{rank}DTranspose")
    y = e.layer(kind, kernel.shape[1], kernel.shape[2:], strides=stride, use_bias=bool(b), weights=weights)(e.last(x))
    if np.any(cut):
        y = e.layer(getattr(layers, f"Cropping{rank}D"), _pairs(cut), part="cut")(y)
    e.put(out, y, last=True)


def _pairs(pads: Sequence[tuple[int, int]]) -> Any:
    return pads[0] if len(pads) == 1 else tuple(pads)


def _padded(e: Emitter, x: str, pads: Sequence[tuple[int, int]], value: float = 0.0) -> Any:
    """The value, channels last, with its spatial axes padded."""
    tensor = e.last(x)
    if not pads or not np.any(pads):
        return tensor
    if value == 0:
        return e.layer(getattr(layers, f"ZeroPadding{len(pads)}D"), _pairs(pads), part="padded")(tensor)
    return keras.ops.pad(tensor, ((0, 0), *pads, (0, 0)), constant_values=value)


# ----- windows --------------------------------------------------------------------------------------------------------


def pool(average: bool) -> Emit:
    def rule(e: Emitter, op: Any, out: str, x: str) -> None:
        rank = len(op.kernel)
        stride, pads = op.stride or op.kernel, op.pads or ((0, 0),) * rank
        if max(op.dilation or (1,)) > 1:
            raise e.refuse("has a dilation", RESHAPED)
        if op.ceil and any((e.size(x, 2 + k) + sum(pads[k]) - op.kernel[k]) % stride[k] for k in range(rank)):
            raise e.refuse("has windows that hang over the end", RESHAPED)
        if average and (op.divisor is not None or (np.any(pads) and not op.count_include_pad)):
            raise e.refuse("divides by another count than the cells of its window", RESHAPED)
        kind = getattr(layers, f"{'Average' if average else 'Max'}Pooling{rank}D")
        made = e.layer(kind, op.kernel, stride)
        e.put(out, made(_padded(e, x, pads, 0.0 if average else -np.inf)), last=True)

    return rule


def everywhere(kind: str, **settings: Any) -> Emit:
    """A pool over all of space."""
    def rule(e: Emitter, op: Any, out: str, x: str) -> None:
        rank = e.rank(x) - 2
        made = e.layer(getattr(layers, f"{kind}{rank}D"), *([op.size] if hasattr(op, "size") else []), **settings)
        e.put(out, made(e.last(x)), last=True)

    return rule


def resize(e: Emitter, op: Any, out: str, x: str) -> None:
    modes = {("linear", "half_pixel"): "bilinear", ("nearest", "half_pixel"): "nearest"}
    mode = modes.get((op.mode, op.coordinates))
    plain = not (op.scales or op.exclude_outside or op.antialias or op.crop) and (mode != "nearest" or op.rounding == "round_prefer_ceil")
    if mode is None or not plain or len(op.size) != 2 or e.rank(x) != 4:
        raise e.refuse("is no bilinear or nearest resizing of pictures by half pixels", RESHAPED)
    e.put(out, e.layer(layers.Resizing, *op.size, interpolation=mode, data_format="channels_last")(e.last(x)), last=True)


# ----- normalisation --------------------------------------------------------------------------------------------------


def batch_norm(e: Emitter, op: Any, out: str, x: str, *params: str) -> None:
    made = e.layer(layers.BatchNormalization, axis=-1, epsilon=op.eps, weights=[e.param(k) for k in params])
    e.put(out, made(e.last(x)), last=e.rank(x) > 2)


def layer_norm(e: Emitter, op: Any, out: str, x: str, *params: str) -> None:
    shape = tuple(e.size(x, k) for k in range(-op.axes, 0))
    weights = [np.broadcast_to(e.param(k), shape) for k in params]
    made = e.layer(layers.LayerNormalization, axis=list(range(-op.axes, 0)), epsilon=op.eps, scale=len(params) > 0, center=len(params) > 1,
                   weights=weights)
    e.put(out, made(e.own(x)))


def group_norm(e: Emitter, op: Any, out: str, x: str, *params: str) -> None:
    made = e.layer(layers.GroupNormalization, getattr(op, "groups", -1), axis=-1, epsilon=op.eps, scale=len(params) > 0,
                   center=len(params) > 1, weights=[np.ravel(e.param(k)) for k in params])
    e.put(out, made(e.last(x)), last=e.rank(x) > 2)


def rms_norm(e: Emitter, op: Any, out: str, x: str, *params: str) -> None:
    if op.axes != 1:
        raise e.refuse("is over several axes", "flatten them into one before it")
    width = e.size(x, -1)
    scale = np.broadcast_to(e.param(params[0]), (width,)) if params else np.ones(width)
    e.put(out, e.layer(layers.RMSNormalization, axis=-1, epsilon=op.eps, weights=[scale])(e.own(x)))


# ----- entry by entry -------------------------------------------------------------------------------------------------


def each(make: Callable[[Emitter, Any], Callable[[Any], Any]]) -> Emit:
    """An operator of one tensor, whatever its layout."""
    def rule(e: Emitter, op: Any, out: str, x: str) -> None:
        last = e.is_last(x)
        e.put(out, make(e, op)(e.last(x) if last else e.own(x)), last=last)

    return rule


def activation(name: str) -> Emit:
    return each(lambda e, op: e.layer(layers.Activation, name))


def function(call: Callable[[Any, Any], Any]) -> Emit:
    return each(lambda e, op: lambda x: call(op, x))


def prelu(e: Emitter, op: Any, out: str, x: str, slope: str) -> None:
    tensor, alpha = e.own(x), e.param(slope)
    rank = len(tensor.shape)
    alpha = alpha.reshape((1,) * (rank - alpha.ndim) + alpha.shape)[0]
    shared = [k + 1 for k, n in enumerate(alpha.shape) if n == 1]
    e.put(out, e.layer(layers.PReLU, shared_axes=shared, weights=[alpha])(tensor))


def hard_sigmoid(op: Any, x: Any) -> Any:
    return keras.ops.clip(x * op.slope + op.shift, 0.0, 1.0)


def silu(e: Emitter, op: Any) -> Callable[[Any], Any]:
    """A layer of its own where Keras has one."""
    if op.beta == 1:
        found: Callable[[Any], Any] = e.layer(layers.Activation, "silu")
        return found
    return lambda x: x * keras.ops.sigmoid(x * op.beta)


def softplus(op: Any, x: Any) -> Any:
    return keras.ops.softplus(x) if op.beta == 1 else keras.ops.softplus(x * op.beta) / op.beta


def clip(op: Any, x: Any) -> Any:
    low, high = (-np.inf if op.low is None else op.low), (np.inf if op.high is None else op.high)
    return keras.ops.clip(x, low, high)


def several(call: Callable[..., Any]) -> Emit:
    """An operator of tensors and constants that broadcast; all with the channels last where all tensors are."""
    def rule(e: Emitter, op: Any, out: str, *xs: str) -> None:
        tensors = [x for x in xs if x not in e.graph.params]
        rank = max(e.rank(x) for x in tensors)
        constants = [e.graph.params[x] for x in xs if x in e.graph.params]
        last = rank > 2 and all(e.is_last(x) and e.rank(x) == rank for x in tensors) and all(c.ndim in (0, rank) for c in constants)
        laid = []
        for x in xs:
            if x in e.graph.params:
                c = e.graph.params[x]
                laid.append(np.moveaxis(c, 1, -1) if last and c.ndim else c)
            else:
                laid.append(e.last(x) if last else e.own(x))
        e.put(out, call(op, *laid), last=last)

    return rule


COMPARE = {
    "eq": keras.ops.equal, "ne": keras.ops.not_equal, "lt": keras.ops.less, "le": keras.ops.less_equal, "gt": keras.ops.greater,
    "ge": keras.ops.greater_equal,
}
LOGICAL = {"and": keras.ops.logical_and, "or": keras.ops.logical_or, "xor": keras.ops.logical_xor}


# ----- shape and reductions -------------------------------------------------------------------------------------------


def own(call: Callable[[Emitter, Any, Any, str], Any]) -> Emit:
    """An operator of one tensor that goes by the graph's axes."""
    def rule(e: Emitter, op: Any, out: str, x: str, *more: str) -> None:
        if more:
            raise e.refuse(f"takes {more[0]!r} beside its input", RESHAPED)
        e.put(out, call(e, op, e.own(x), x))

    return rule


def reduction(call: Callable[..., Any]) -> Emit:
    return own(lambda e, op, x, name: call(x, axis=tuple(op.axes), keepdims=op.keepdims) if op.axes else x * 1.0)


def variance(e: Emitter, op: Any, out: str, x: str) -> None:
    if op.ddof or not op.axes:
        raise e.refuse("divides by another number than the count of its entries", RESHAPED)
    e.put(out, keras.ops.var(e.own(x), axis=tuple(op.axes), keepdims=op.keepdims))


def flatten(e: Emitter, op: Any, x: Any, name: str) -> Any:
    if op.start == 1:
        return e.layer(layers.Flatten)(x)
    return e.layer(layers.Reshape, (*(e.size(name, k) for k in range(1, op.start)), -1))(x)


def squeeze(e: Emitter, op: Any, x: Any, name: str) -> Any:
    return keras.ops.squeeze(x, axis=tuple(k % len(x.shape) for k in op.axes))


def unsqueeze(e: Emitter, op: Any, x: Any, name: str) -> Any:
    rank = len(x.shape) + len(op.axes)
    for k in sorted(a % rank for a in op.axes):
        x = keras.ops.expand_dims(x, k)
    return x


def sliced(e: Emitter, op: Any, x: Any, name: str) -> Any:
    """By indices, which need no negative steps of the backend."""
    axis = op.axis % len(x.shape)
    return keras.ops.take(x, np.arange(e.size(name, axis))[slice(op.start, op.stop, op.step)], axis=axis)


def split(e: Emitter, op: Any, x: Any, name: str) -> Any:
    start = sum(op.sizes[: op.index])
    return keras.ops.take(x, np.arange(start, start + op.sizes[op.index]), axis=op.axis % len(x.shape))


def gather(e: Emitter, op: Any, out: str, x: str, index: str) -> None:
    e.put(out, keras.ops.take(e.own(x), e.param(index), axis=op.axis))


def pad(e: Emitter, op: Any, x: Any, name: str) -> Any:
    """Negative numbers cut off; all axes but the batch."""
    for k, (a, b) in enumerate(op.pads):
        axis = len(x.shape) - len(op.pads) + k
        if min(a, b) < 0:
            x = keras.ops.take(x, np.arange(max(-a, 0), x.shape[axis] - max(-b, 0)), axis=axis)
    widths = [(max(a, 0), max(b, 0)) for a, b in op.pads]
    first = len(x.shape) - len(op.pads)
    if op.mode == "constant":
        return keras.ops.pad(x, ((0, 0),) * first + tuple(widths), constant_values=float(op.value)) if np.any(widths) else x
    for k, pair in enumerate(widths):                                   # the indices padded instead: not every backend knows every mode
        if np.any(pair):
            x = keras.ops.take(x, np.pad(np.arange(x.shape[first + k]), pair, mode=op.mode), axis=first + k)
    return x


def transpose(e: Emitter, op: Any, out: str, x: str) -> None:
    """A change of layout needs no layer: the tensor is the other layout's of the result."""
    rank = len(op.perm)
    if rank > 2 and op.perm == (0, rank - 1, *range(1, rank - 1)):
        e.put(out, e.own(x), last=True)
    elif rank > 2 and op.perm == (0, *range(2, rank), 1):
        e.put(out, e.last(x))
    else:
        e.put(out, e.layer(layers.Permute, op.perm[1:])(e.own(x)))


def expand(e: Emitter, op: Any, x: Any, name: str) -> Any:
    """Times ones: Keras broadcasts to a shape only where the batch is known."""
    if len(op.shape) != len(x.shape) - 1:
        raise e.refuse("adds axes", "use Unsqueeze first")
    return x * np.ones((1, *(1 if n == -1 else n for n in op.shape)), e.graph.dtype)


def concat(e: Emitter, op: Any, out: str, *xs: str) -> None:
    last = op.axis % e.rank(xs[0]) == 1 and all(x not in e.graph.params and e.is_last(x) for x in xs)
    tensors = [e.last(x) if last else e.own(x) for x in xs]
    e.put(out, tensors[0] if len(xs) == 1 else e.layer(layers.Concatenate, axis=-1 if last else op.axis)(tensors), last=last)


def cast(dtype: str) -> Emit:
    return each(lambda e, op: lambda x: keras.ops.cast(x, dtype or e.graph.dtype))


K = keras.ops
EMITTERS: Mapping[type[ops.Op], Emit] = {
    ops.Dense: dense, ops.MatMul: matmul, ops.Einsum: einsum, ops.Embedding: embedding, ops.Conv: conv, ops.ConvTranspose: conv_transpose,
    **RECURRENT, ops.MaxPool: pool(False), ops.AvgPool: pool(True), ops.GlobalAvgPool: everywhere("GlobalAveragePooling", keepdims=True),
    ops.GlobalMaxPool: everywhere("GlobalMaxPooling", keepdims=True), ops.AdaptiveAvgPool: everywhere("AdaptiveAveragePooling"),
    ops.AdaptiveMaxPool: everywhere("AdaptiveMaxPooling"), ops.Resize: resize,
    ops.BatchNorm: batch_norm, ops.LayerNorm: layer_norm, ops.GroupNorm: group_norm, ops.InstanceNorm: group_norm, ops.RMSNorm: rms_norm,
    ops.ReLU: each(lambda e, op: e.layer(layers.ReLU)), ops.ReLU6: activation("relu6"), ops.PReLU: prelu,
    ops.LeakyReLU: each(lambda e, op: e.layer(layers.LeakyReLU, op.slope)), ops.ELU: each(lambda e, op: e.layer(layers.ELU, op.alpha)),
    ops.SELU: activation("selu"), ops.CELU: function(lambda op, x: K.celu(x, op.alpha)), ops.Sigmoid: activation("sigmoid"),
    ops.HardSigmoid: function(hard_sigmoid), ops.HardSwish: activation("hard_silu"), ops.Tanh: activation("tanh"),
    ops.GELU: function(lambda op, x: K.gelu(x, approximate=op.approximate == "tanh")), ops.SiLU: each(silu),
    ops.Mish: activation("mish"), ops.Softplus: function(softplus), ops.Softsign: activation("softsign"),
    ops.Clip: function(clip), ops.Exp: function(lambda op, x: K.exp(x)), ops.Expm1: function(lambda op, x: K.expm1(x)),
    ops.Log: function(lambda op, x: K.log(x)), ops.Log1p: function(lambda op, x: K.log1p(x)), ops.Sqrt: function(lambda op, x: K.sqrt(x)),
    ops.Rsqrt: function(lambda op, x: K.rsqrt(x)), ops.Reciprocal: function(lambda op, x: K.reciprocal(x)),
    ops.Abs: function(lambda op, x: K.absolute(x)), ops.Neg: function(lambda op, x: K.negative(x)),
    ops.Pow: function(lambda op, x: K.power(x, op.exponent)), ops.Erf: function(lambda op, x: K.erf(x)),
    ops.Sin: function(lambda op, x: K.sin(x)), ops.Cos: function(lambda op, x: K.cos(x)), ops.Floor: function(lambda op, x: K.floor(x)),
    ops.Ceil: function(lambda op, x: K.ceil(x)), ops.Round: function(lambda op, x: K.round(x)), ops.Sign: function(lambda op, x: K.sign(x)),
    ops.Identity: each(lambda e, op: e.layer(layers.Identity)), ops.Dropout: each(lambda e, op: e.layer(layers.Dropout, op.rate)),
    ops.Detach: function(lambda op, x: K.stop_gradient(x)),
    ops.Add: several(lambda op, a, b: K.add(a, b)), ops.Sub: several(lambda op, a, b: K.subtract(a, b)),
    ops.Mul: several(lambda op, a, b: K.multiply(a, b)), ops.Div: several(lambda op, a, b: K.divide(a, b)),
    ops.Maximum: several(lambda op, a, b: K.maximum(a, b)), ops.Minimum: several(lambda op, a, b: K.minimum(a, b)),
    ops.Where: several(lambda op, c, a, b: K.where(c, a, b)), ops.Compare: several(lambda op, a, b: COMPARE[op.kind](a, b)),
    ops.Logical: several(lambda op, a, b: LOGICAL[op.kind](a, b)), ops.Not: function(lambda op, x: K.logical_not(x)),
    ops.ToFloat: cast(""), ops.ToInt: cast("int32"), ops.ToBool: cast("bool"),
    ops.Sum: reduction(K.sum), ops.Mean: reduction(K.mean), ops.ReduceMax: reduction(K.max), ops.ReduceMin: reduction(K.min),
    ops.Variance: variance, ops.Softmax: own(lambda e, op, x, name: e.layer(layers.Softmax, axis=op.axis)(x)),
    ops.LogSoftmax: own(lambda e, op, x, name: K.log_softmax(x, axis=op.axis)),
    ops.Reshape: own(lambda e, op, x, name: e.layer(layers.Reshape, op.shape)(x)), ops.Flatten: own(flatten),
    ops.Transpose: transpose, ops.Squeeze: own(squeeze), ops.Unsqueeze: own(unsqueeze),
    ops.Slice: own(sliced), ops.Split: own(split), ops.Gather: gather, ops.Pad: own(pad), ops.Expand: own(expand), ops.Concat: concat,
}
