"""Pooling and normalisation by stored or own statistics: operators on (N, C, ...)."""

from __future__ import annotations

import numpy as np

from xaicore.errors import ConversionError
from xaicore.ops import (
    Add,
    AvgPool,
    BatchNorm,
    GlobalAvgPool,
    GlobalMaxPool,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LocalResponseNorm,
    LpPool,
    MaxPool,
    Mean,
    Op,
    RMSNorm,
    Rsqrt,
    Slice,
    Variance,
)
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.lower_linear import no_zeros, padding, window_settings
from xaicore_onnx.values import Live, onnx_axis

# ----- pooling ----------------------------------------------------------------------------------------------------


def pool(c: Call, kind: str) -> Results:
    """MaxPool, AveragePool, LpPool. ONNX's stride is 1 by default, not the kernel."""
    x = c.images(c.live())
    kernel, stride, dilation = window_settings(c, ())
    pads = no_zeros(padding(c, x.tail[1:], kernel, stride, dilation))
    dilated = dilation if any(d > 1 for d in dilation) else ()
    strided = stride if stride != kernel else ()
    ceil = bool(c.attr("ceil_mode", 0))
    op: Op
    if kind == "max":
        op = MaxPool(kernel, strided, dilated, pads, ceil)
    elif kind == "average":
        op = AvgPool(kernel, strided, dilated, pads, ceil, count_include_pad=bool(c.attr("count_include_pad", 0)))
    else:
        op = LpPool(c.attr("p", 2), kernel, strided, dilated, pads, ceil)
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
    x = c.images(c.live())
    statistics = [c.param(c.known(k, what)) for k, what in enumerate(("scale", "bias", "mean", "variance"), 1)]
    return c.put(BatchNorm(c.attr("epsilon", 1e-5)), x, *statistics)


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
    "GlobalLpPool": global_lp_pool, "BatchNormalization": batch_norm, "InstanceNormalization": instance_norm,
    "GroupNormalization": group_norm, "LayerNormalization": layer_norm, "RMSNormalization": rms_norm, "LRN": lrn,
}  # fmt: skip
