"""Pooling and normalisation by stored or own statistics: operators on (N, C, ...)."""

from __future__ import annotations

import numpy as np

from xaicore.errors import ConversionError
from xaicore.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Div,
    Expand,
    Floor,
    Fold,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    LpPool,
    MaxPool,
    MaxPoolIndices,
    Mean,
    Mul,
    Op,
    Pad,
    Reshape,
    RMSNorm,
    Rsqrt,
    ScatterElements,
    Slice,
    Sub,
    ToFloat,
    ToInt,
    Variance,
)
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.lower_linear import no_zeros, padding, window_settings
from xaicore_onnx.values import Live, MixingError, Numbered, onnx_axis

# ----- pooling ----------------------------------------------------------------------------------------------------


def pool(c: Call, kind: str) -> Results:
    """MaxPool, AveragePool, LpPool. ONNX's stride is 1 by default, not the kernel."""
    given = c.live()
    joined = c.volumes(given)
    x, framed = (joined, False) if joined is not None else c.frames(given)
    kernel, stride, dilation = window_settings(c, ())
    around = padding(c, x.tail[1 + framed:], kernel, stride, dilation)
    if framed:                                              # windows of one frame
        kernel, stride, dilation, around = (1, *kernel), (1, *stride), (1, *dilation), [(0, 0), *around]
    pads = no_zeros(around)
    dilated = dilation if any(d > 1 for d in dilation) else ()
    strided = stride if stride != kernel else ()
    ceil = bool(c.attr("ceil_mode", 0))
    op: Op
    if kind == "max":
        op = MaxPool(kernel, strided, dilated, pads, ceil)
        if c.reads(1):
            x = c.images(given)                             # positions in one image
            return [c.put(op, x) if c.reads(0) else None, _positions(c, x, MaxPoolIndices(kernel, strided, dilated, pads, ceil))]
    elif kind == "average":
        op = AvgPool(kernel, strided, dilated, pads, ceil, count_include_pad=bool(c.attr("count_include_pad", 0)))
    else:
        op = LpPool(c.attr("p", 2), kernel, strided, dilated, pads, ceil)
    y = c.put(op, x)
    return c.parted(y, given) if joined is not None else c.unframed(y, given) if framed else y


def _positions(c: Call, x: Live, op: Op) -> Live | Numbered:
    """Where each maximum stands in the whole tensor: after all channels before its own, and all samples before its own."""
    at = c.put(op, x, part="positions")
    channels, *space = x.tail
    if c.attr("storage_order", 0):                          # positions that count columns first
        if len(space) != 2:
            raise ConversionError(f"{c.who} counts columns first, which is converted for images alone")
        high, wide = space
        whole = c.put(ToFloat(), at)
        row = c.put(ToInt(), c.put(Floor(), c.put(Div(), whole, c.number(wide, "width"))), part="row")
        before = c.put(Mul(), row, c.derived(np.asarray(wide), f"{c.name}/wide"), part="before")
        column = c.put(Sub(), at, before, part="column")
        at = c.put(Add(), c.put(Mul(), column, c.derived(np.asarray(high), f"{c.name}/high"), part="ahead"), row, part="by_column")
    size = int(np.prod(space))
    if channels > 1:
        start = np.arange(channels).reshape(channels, *(1,) * len(space)) * size
        at = c.put(Add(), at, c.derived(start, f"{c.name}/channels"), part="counted")
    return at if c.converter.single else Numbered(at, channels * size)


def max_unpool(c: Call) -> Results:
    """Zeros, and each entry of x where its position says; larger at the end where a shape is given."""
    x = c.images(c.live())
    kernel, stride, _ = window_settings(c, ())
    pads = list(c.attr("pads") or [0] * 2 * len(kernel))
    rank, channels = len(kernel), x.tail[0]
    space = [(n - 1) * s - pads[k] - pads[k + rank] + w for k, (n, s, w) in enumerate(zip(x.tail[1:], stride, kernel))]
    size = channels * int(np.prod(space))
    found = c.inputs[1] if c.has(1) else None
    if isinstance(found, Numbered) and found.step == size:
        at = found.rest
    elif isinstance(found, Live) and c.converter.single:
        at = c.images(found)
    else:
        raise MixingError(f"{c.who} takes positions that count all samples; those of a MaxPool of the same size are converted")
    count = int(np.prod(x.tail))
    rows = [c.put(Reshape((count,)), v, part=what) for v, what in ((x, "entries"), (at, "places"))]
    empty = c.put(Expand((size,)), c.derived(np.zeros((1, size)), f"{c.name}/zeros"), x, like=x, part="empty")
    y = c.put(Reshape((channels, *space)), c.put(ScatterElements(axis=1), empty, rows[1], rows[0], like=x, part="put"))
    if not c.has(2):
        return y
    wanted = c.known(2, "output shape").low.reshape(-1)[-rank:]
    return c.put(Pad(tuple((0, int(a) - b) for a, b in zip(wanted, space))), y)


def col2im(c: Call) -> Results:
    """Windows as columns put back into the image, where they overlap summed: (N, C K, L) -> (N, C, *S)."""
    x = c.images(c.live())
    size, kernel = (tuple(c.numbers(k, what)) for k, what in ((1, "image shape"), (2, "block shape")))
    pads = list(c.attr("pads") or [0] * 2 * len(kernel))
    stride, dilation = (tuple(c.attr(k) or ()) for k in ("strides", "dilations"))
    op = Fold(
        size=size, kernel=kernel, stride=stride if any(n != 1 for n in stride) else (),
        dilation=dilation if any(n != 1 for n in dilation) else (),
        pads=no_zeros(list(zip(pads[: len(kernel)], pads[len(kernel):]))),
    )
    return c.put(op, x)


def global_pool(c: Call, op: Op) -> Results:
    """The mean or the maximum over all of space, whose axes stay with size 1."""
    return c.put(op, c.images(c.live()))


def global_lp_pool(c: Call) -> Results:
    """The p-norm over all of space."""
    x = c.images(c.live())
    return c.put(LpPool(c.attr("p", 2), x.tail[1:]), x)


# ----- normalisation ----------------------------------------------------------------------------------------------


def batch_norm(c: Call) -> Results:
    """By the stored mean and variance of each channel; a model in training mode is refused."""
    if c.attr("training_mode", 0) or any(c.reads(j) for j in range(1, len(c.node.output))):
        raise ConversionError(
            "BatchNormalization is in training mode, so its statistics mix samples; export the model in inference mode "
            "(model.eval())"
        )
    if not c.attr("spatial", 1):
        raise ConversionError(
            "BatchNormalization with spatial=0 (removed in opset 9) is not converted; export the model with a newer "
            "opset"
        )
    given = c.live()
    x, framed = c.frames(given)
    statistics = [c.param(c.known(k, what)) for k, what in enumerate(("scale", "bias", "mean", "variance"), 1)]
    y = c.put(BatchNorm(c.attr("epsilon", 1e-5)), x, *statistics)
    return c.unframed(y, given) if framed else y


def instance_norm(c: Call) -> Results:
    """By the mean and variance of each channel of each sample."""
    x = c.images(c.live())
    return c.put(InstanceNorm(c.attr("epsilon", 1e-5)), x, c.param(c.known(1, "scale")), c.param(c.known(2, "bias")))


def group_norm(c: Call) -> Results:
    """By the mean and variance of each group of channels, as opset 21 defines it. That of opset 18 is withdrawn: the checker refuses it."""
    op = GroupNorm(c.attr("num_groups", 0), c.attr("epsilon", 1e-5))
    return c.put(op, c.images(c.live()), c.param(c.known(1, "scale")), c.param(c.known(2, "bias")))


def layer_norm(c: Call) -> Results:
    """By the mean and variance over the axes from ``axis`` on; the mean and 1 / sqrt(variance + epsilon) are further outputs."""
    x, eps = c.live(), c.attr("epsilon", 1e-5)
    count, names = _trailing(c, x)
    y = c.put(LayerNorm(count, eps), x, *names)
    axes = tuple(range(-count, 0))
    mean = c.put(Mean(axes, keepdims=True), x, part="mean") if c.reads(1) else None
    scale = None
    if c.reads(2):
        shifted = c.put(Add(), c.put(Variance(axes, keepdims=True), x), c.number(eps, "eps"))
        scale = c.put(Rsqrt(), shifted, part="inverse_deviation")
    return [y, mean, scale]


def rms_norm(c: Call) -> Results:
    """By the mean square over the axes from ``axis`` on."""
    x = c.live()
    count, names = _trailing(c, x)
    return c.put(RMSNorm(count, c.attr("epsilon", 1e-5)), x, *names)


def _trailing(c: Call, x: Live) -> tuple[int, list[str]]:
    """How many axes are normalised, and the names of scale and bias in the shape of those axes."""
    axis = onnx_axis(c.attr("axis", -1), x.rank, c.who)
    for k in range(axis, x.rank):
        x.axis(k, c.who)
    shape = tuple(x.shape(1)[axis:])
    names = []
    for k, what in ((1, "scale"), (2, "bias")):
        if not c.has(k):
            continue
        value = c.known(k, what)
        if value.low.shape == shape:
            names.append(c.param(value))
            continue
        flat = c.array(k, what)
        while flat.ndim > len(shape) and flat.shape[0] == 1:
            flat = flat[0]
        if flat.ndim > len(shape):
            raise ConversionError(
                f"the {what} of {c.who} has shape {flat.shape}, which is more than the normalised axes {shape}; not "
                "converted"
            )
        names.append(c.derived(np.broadcast_to(flat, shape), f"{value.name}/full"))
    return x.rank - axis, names


def lrn(c: Call) -> Results:
    """Local response normalisation across channels. ONNX's windows of even size reach one channel further up than down, the graph's the
    other way, so that the channels are turned around for the time."""
    x, size = c.images(c.live()), c.attr("size")
    op = LocalResponseNorm(size, c.attr("alpha", 1e-4), c.attr("beta", 0.75), c.attr("bias", 1.0))
    if size % 2:
        return c.put(op, x)
    return c.put(Slice(1, step=-1), c.put(op, c.put(Slice(1, step=-1), x)))


WINDOW: dict[str, Lowering] = {
    "MaxPool": lambda c: pool(c, "max"), "AveragePool": lambda c: pool(c, "average"), "LpPool": lambda c: pool(c, "norm"),
    "GlobalAveragePool": lambda c: global_pool(c, GlobalAvgPool()), "GlobalMaxPool": lambda c: global_pool(c, GlobalMaxPool()),
    "GlobalLpPool": global_lp_pool, "MaxUnpool": max_unpool, "Col2Im": col2im,
    "BatchNormalization": batch_norm, "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm, "LayerNormalization": layer_norm, "RMSNormalization": rms_norm, "LRN": lrn,
}  # fmt: skip
