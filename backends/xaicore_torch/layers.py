"""ATen operators that are layers: convolutions, normalisations, pools, look-ups. Matrix products and attention are in products.py.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. The
table at the end says which function lowers which operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch

from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout
from xaicore.ops import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Embedding,
    GlobalAvgPool,
    GlobalMaxPool,
    GridSample,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    MaxPool,
    MaxPoolIndices,
    Op,
    Resize,
    RMSNorm,
    Softmax,
)
from xaicore_torch.context import Const, Context, Value

# ----- convolution ------------------------------------------------------------------------------------------------


def conv(c: Context, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Value:
    """conv1d to conv3d; ``padding`` may be "same" (the larger half behind) or "valid"."""
    kernel = _kernel(weight)
    n = len(kernel)
    x = c.batch_first(x, n + 2)
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(_each(dilation, n), kernel)]
        pads = tuple((t // 2, t - t // 2) for t in total) if any(total) else ()
    else:
        pads = _both(padding, n)
    op = Conv(_each(stride, n, 1), _each(dilation, n, 1), pads, groups)
    return c.emit(op, x, *c.weights( weight, bias), layout=x.layout.resized(c.shape()))


def conv_transpose(
    c: Context, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Value:
    """conv_transpose1d to conv_transpose3d."""
    n = len(_kernel(weight))
    x = c.batch_first(x, n + 2)
    op = ConvTranspose(_each(stride, n, 1), _each(dilation, n, 1), _both(padding, n), _each(output_padding, n, 0), groups)
    return c.emit(op, x, *c.weights( weight, bias), layout=x.layout.resized(c.shape()))


def convolution(
    c: Context, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, transposed: bool, output_padding: Any,
    groups: int,
) -> Value:
    """Both of the above, as programs that were decomposed further have it."""
    if transposed:
        return conv_transpose(c, x, weight, bias, stride, padding, output_padding, groups, dilation)
    return conv(c, x, weight, bias, stride, padding, dilation, groups)


def _kernel(weight: Any) -> tuple[int, ...]:
    if not isinstance(weight, Const):
        raise ConversionError("the kernel of the convolution depends on the model's input; that is not supported")
    return tuple(weight.tensor.shape[2:])


def _each(setting: Any, n: int, default: Sequence[int] | int | None = None) -> tuple[int, ...]:
    """A setting with one entry for each spatial axis (torch writes one entry for all); () when that is the default."""
    entries = tuple(setting) * n if len(setting) == 1 else tuple(setting)
    usual = (default,) * n if isinstance(default, int) else default
    return () if entries == usual else entries


def _both(padding: Any, n: int) -> tuple[tuple[int, int], ...]:
    return tuple((p, p) for p in _each(padding, n, 0))


# ----- normalisation ----------------------------------------------------------------------------------------------


def batch_norm(
    c: Context, x: Any, weight: Any, bias: Any, eps: float, running_mean: Any = None, running_var: Any = None, training: bool = False
) -> Any:
    """By stored statistics. In programs it has three results, of which only the first is used."""
    if training or running_mean is None:
        raise ConversionError(
            "it normalises by the statistics of what it is given, not by stored ones, so samples may mix; keep running statistics "
            "(track_running_stats=True) and call model.eval()"
        )
    x = c.batch_first(x)
    channels = x.layout.shape[1]
    gamma = c.constant(np.ones(channels), "gamma") if weight is None else c.weight(weight)
    beta = c.constant(np.zeros(channels), "beta") if bias is None else c.weight(bias)
    y = c.emit(BatchNorm(eps), x, gamma, beta, c.weight(running_mean, "the mean"), c.weight(running_var, "the variance"))
    return y if isinstance(c.node.meta["val"], torch.Tensor) else [y, None, None]


def layer_norm(c: Context, x: Any, normalized_shape: Any, weight: Any, bias: Any, eps: float) -> Any:
    """Over the last axes."""
    x = c.active(x)
    axes = len(normalized_shape)
    for k in range(-axes, 0):
        x.layout.graph_axis(k)
    y = c.emit(LayerNorm(axes, eps), x, *_scale_and_shift(c, weight, bias, normalized_shape))
    return y if isinstance(c.node.meta["val"], torch.Tensor) else [y, None, None]


def group_norm(c: Context, x: Any, num_groups: int, weight: Any, bias: Any, eps: float) -> Value:
    """Over groups of channels."""
    x = c.batch_first(x)
    return c.emit(GroupNorm(num_groups, eps), x, *_scale_and_shift(c, weight, bias, x.layout.shape[1:2]))


def native_group_norm(c: Context, x: Any, weight: Any, bias: Any, group: int, eps: float, **_: Any) -> Any:
    """group_norm, as programs that were decomposed further have it; also of instance_norm."""
    return [group_norm(c, x, group, weight, bias, eps), None, None]


def instance_norm(
    c: Context, x: Any, weight: Any, bias: Any, running_mean: Any, running_var: Any, use_input_stats: bool, eps: float
) -> Any:
    """Over the space of each channel; with stored statistics it is batch_norm."""
    if not use_input_stats:
        return batch_norm(c, x, weight, bias, eps, running_mean, running_var)
    x = c.batch_first(x)
    return c.emit(InstanceNorm(eps), x, *_scale_and_shift(c, weight, bias, x.layout.shape[1:2]))


def rms_norm(c: Context, x: Any, normalized_shape: Any, weight: Any, eps: float | None) -> Value:
    """Over the last axes, without the mean; torch's default eps is the rounding unit of the dtype."""
    x = c.active(x)
    for k in range(-len(normalized_shape), 0):
        x.layout.graph_axis(k)
    eps = torch.finfo(c.result().dtype).eps if eps is None else eps
    return c.emit(RMSNorm(len(normalized_shape), eps), x, *c.weights( weight))


def _scale_and_shift(c: Context, weight: Any, bias: Any, shape: Sequence[int]) -> list[str]:
    if weight is None and bias is not None:
        return [c.constant(np.ones(tuple(shape)), "gamma"), c.weight(bias)]
    return c.weights( weight, bias)


# ----- pools ------------------------------------------------------------------------------------------------------


def max_pool(c: Context, x: Any, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool) -> Any:
    """max_pool1d to max_pool3d; the variants that also return positions have two results."""
    n = _spatial(c)
    kernel = _each(kernel_size, n)
    op = MaxPool(kernel, _each(stride or kernel, n, kernel), _each(dilation, n, 1), _both(padding, n), ceil_mode)
    return _pooled(c, op, x)


def avg_pool(
    c: Context, x: Any, kernel_size: Any, stride: Any, padding: Any, ceil_mode: bool, count_include_pad: bool,
    divisor_override: int | None = None,
) -> Any:
    """avg_pool1d to avg_pool3d."""
    n = _spatial(c)
    kernel = _each(kernel_size, n)
    op = AvgPool(kernel, _each(stride or kernel, n, kernel), (), _both(padding, n), ceil_mode, count_include_pad, divisor_override)
    return _pooled(c, op, x)


def adaptive_avg_pool(c: Context, x: Any, output_size: Any) -> Any:
    """The mean over windows that share out the axis; over everything when the output is 1."""
    size = _each(output_size, _spatial(c))
    return _pooled(c, GlobalAvgPool() if set(size) == {1} else AdaptiveAvgPool(size), x)


def adaptive_max_pool(c: Context, x: Any, output_size: Any) -> Any:
    """The maximum over windows that share out the axis; over everything when the output is 1."""
    size = _each(output_size, _spatial(c))
    return _pooled(c, GlobalMaxPool() if set(size) == {1} else AdaptiveMaxPool(size), x)


def _spatial(c: Context) -> int:
    """The number of spatial axes, which the operator's name says."""
    name = str(c.node.target._schema.name).removesuffix("_with_indices")
    return int(name[-2])


def _pooled(c: Context, op: Op, x: Any) -> Any:
    x = c.batch_first(x, _spatial(c) + 2)
    y = c.emit(op, x, layout=x.layout.resized(c.shape()))
    if isinstance(c.node.meta["val"], torch.Tensor):
        return y
    if 1 not in c.used():
        return [y, None]
    if not isinstance(op, MaxPool):
        raise ConversionError("the positions of the maxima of an adaptive pool are used as values; those of max_pool1d to 3d are known")
    places = MaxPoolIndices(op.kernel, op.stride, op.dilation, op.pads, op.ceil)
    return [y, c.emit(places, x, layout=y.layout, part="places", kind="int")]


# ----- look-ups, softmax ------------------------------------------------------------------------------------------


def embedding(c: Context, weight: Any, indices: Any) -> Value:
    """Rows of a constant table."""
    ids = c.active(indices, "the index")
    table = c.weight(weight, "the table")
    return Value(c.add(Embedding(), table, ids.name), Layout(c.shape(), c.batch, ids.layout.axis, ids.layout.before, ids.layout.after))


def upsample_nearest(c: Context, x: Any, output_size: Any, scale_factors: Any = None, **scales: float | None) -> Value:
    """Nearest neighbour, in one to three dimensions; the overloads have one argument for all scales, or one for each axis."""
    return _upsampled(c, x, Resize(c.shape()[2:], "nearest", "asymmetric", "floor", _scales(scale_factors, scales)))


def upsample_linear(c: Context, x: Any, output_size: Any, align_corners: bool, scale_factors: Any = None, **scales: float | None) -> Value:
    """Linear, bilinear, trilinear; scales play no part when the corners are aligned."""
    coordinates, given = ("align_corners", ()) if align_corners else ("half_pixel", _scales(scale_factors, scales))
    return _upsampled(c, x, Resize(c.shape()[2:], "linear", coordinates, scales=given))


def upsample_exact(c: Context, x: Any, output_size: Any, scale_factors: Any = None, **scales: float | None) -> Value:
    """Nearest neighbour by the middles of the pixels."""
    return _upsampled(c, x, Resize(c.shape()[2:], "nearest", "half_pixel", "round_prefer_ceil", _scales(scale_factors, scales)))


def upsample_cubic(
    c: Context, x: Any, output_size: Any, align_corners: bool, scale_factors: Any = None, **scales: float | None,
) -> Value:
    """Bicubic."""
    coordinates, given = ("align_corners", ()) if align_corners else ("half_pixel", _scales(scale_factors, scales))
    return _upsampled(c, x, Resize(c.shape()[2:], "cubic", coordinates, scales=given, cubic=-0.75))


def resampled(
    mode: str, c: Context, x: Any, output_size: Any, align_corners: bool, scale_factors: Any = None, **scales: float | None,
) -> Value:
    """Bilinear and bicubic with a filter that widens where the picture shrinks."""
    coordinates, given = ("align_corners", ()) if align_corners else ("half_pixel", _scales(scale_factors, scales))
    op = Resize(c.shape()[2:], mode, coordinates, scales=given, cubic=-0.5, exclude_outside=True, antialias=True)  # type: ignore[arg-type]
    return _upsampled(c, x, op)


def grid_sample(c: Context, x: Any, grid: Any, interpolation_mode: int, padding_mode: int, align_corners: bool) -> Value:
    """x read at the places of a grid."""
    image = c.batch_first(x)
    places = c.batch_first(grid).name if isinstance(grid, Value) else c.operand(grid, Layout(_grid_shape(c, image), c.batch))
    modes: Any = ("linear", "nearest", "cubic")
    paddings: Any = ("zeros", "border", "reflection")
    return Value(c.add(GridSample(modes[interpolation_mode], paddings[padding_mode], align_corners), image.name, places),
                 Layout(c.shape(), c.batch))


def _grid_shape(c: Context, image: Value) -> tuple[int, ...]:
    return (c.batch, *c.shape()[2:], len(image.layout.shape) - 2)


def _scales(together: Any, single: Mapping[str, float | None]) -> tuple[float, ...]:
    return tuple(together or (s for s in single.values() if s is not None))


def _upsampled(c: Context, x: Any, op: Op) -> Value:
    x = c.batch_first(x)
    return c.emit(op, x, layout=x.layout.resized(c.shape()))


def softmax(c: Context, x: Any, dim: int, half_to_float: bool = False) -> Value:
    """Along one axis."""
    x = c.active(x)
    return c.emit(Softmax(x.layout.graph_axis(dim)), x)


def log_softmax(c: Context, x: Any, dim: int, half_to_float: bool = False) -> Value:
    """The logarithm of softmax."""
    x = c.active(x)
    return c.emit(LogSoftmax(x.layout.graph_axis(dim)), x)


TABLE: Mapping[str, Callable[..., Any]] = {
    "conv1d": conv, "conv2d": conv, "conv3d": conv, "convolution": convolution,
    "conv_transpose1d": conv_transpose, "conv_transpose2d": conv_transpose, "conv_transpose3d": conv_transpose,
    "_native_batch_norm_legit_no_training": batch_norm, "_native_batch_norm_legit": batch_norm,
    "layer_norm": layer_norm, "native_layer_norm": layer_norm, "group_norm": group_norm, "native_group_norm": native_group_norm,
    "instance_norm": instance_norm,
    "rms_norm": rms_norm, "softmax": softmax, "_softmax": softmax, "log_softmax": log_softmax, "_log_softmax": log_softmax,
    "max_pool1d": max_pool, "max_pool2d": max_pool, "max_pool3d": max_pool, "max_pool1d_with_indices": max_pool,
    "max_pool2d_with_indices": max_pool, "max_pool3d_with_indices": max_pool,
    "avg_pool1d": avg_pool, "avg_pool2d": avg_pool, "avg_pool3d": avg_pool,
    "adaptive_avg_pool1d": adaptive_avg_pool, "adaptive_avg_pool2d": adaptive_avg_pool, "adaptive_avg_pool3d": adaptive_avg_pool,
    "_adaptive_avg_pool2d": adaptive_avg_pool, "_adaptive_avg_pool3d": adaptive_avg_pool,
    "adaptive_max_pool1d": adaptive_max_pool, "adaptive_max_pool2d": adaptive_max_pool, "adaptive_max_pool3d": adaptive_max_pool,
    "embedding": embedding, "grid_sampler": grid_sample,
    "_upsample_nearest_exact1d": upsample_exact, "_upsample_nearest_exact2d": upsample_exact, "_upsample_nearest_exact3d": upsample_exact,
    "upsample_bicubic2d": upsample_cubic, "_upsample_bilinear2d_aa": partial(resampled, "linear"),
    "_upsample_bicubic2d_aa": partial(resampled, "cubic"),
    "upsample_nearest1d": upsample_nearest, "upsample_nearest2d": upsample_nearest, "upsample_nearest3d": upsample_nearest,
    "upsample_linear1d": upsample_linear, "upsample_bilinear2d": upsample_linear, "upsample_trilinear3d": upsample_linear,
}
