"""ATen operators that are layers: convolutions, normalisations, pools, look-ups. Matrix products and attention are in products.py.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. The
table at the end says which function lowers which operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
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
    Reshape,
    Resize,
    RMSNorm,
    Softmax,
    Transpose,
)
from xaicore_torch.context import Const, Context, Value

# ----- frames -----------------------------------------------------------------------------------------------------


def spatial(c: Context, op: Op, x: Any, *params: Any, rank: int | None = None, part: str = "", kind: str = "") -> Value:
    """``op``, which works on (N, C, *S), on x and the constants ``params``.

    Frames or windows that the framework has merged with the batch, (N * T, C, *S), are one more spatial axis on which the kernel is
    1 long: (N, C, T, *S). That is the same function for what has no statistics of its own. Where there are three spatial axes
    already, frames are groups of channels, (N, T * C, *S), with the constants repeated for each.
    """
    value = c.active(x)
    layout = value.layout
    merged = layout.axis == 0 and len(layout.merged) == 1 and len(layout.shape) == rank
    names = ("the weight", "the bias", "the mean", "the variance")
    if not merged:
        value = c.batch_first(x, rank)
        given = [c.weight(p, what) for p, what in zip(params, names) if p is not None]
        return c.emit(op, value, *given, layout=value.layout.resized(c.shape()), part=part, kind=kind)
    if rank == 5:
        return _grouped(c, op, value, params, part, kind)
    swap = (0, 2, 1, *range(3, len(layout.shape) + 1))
    behind = c.add(Transpose(swap), value.name, part="frames_behind")
    kernel = isinstance(op, (Conv, ConvTranspose))
    params = tuple(Const((p.tensor.unsqueeze(2),), f"{p.name}/framed") if kernel and k == 0 else p for k, p in enumerate(params))
    given = [c.weight(p, what) for p, what in zip(params, names) if p is not None]
    y = c.add(_framed(op, layout.merged[0], len(layout.shape) - 2), behind, *given, part=f"{part}framed")
    return Value(c.add(Transpose(swap), y, part=part), layout.resized(c.shape()), kind or value.kind)


def _grouped(c: Context, op: Op, x: Value, params: Sequence[Any], part: str, kind: str) -> Value:
    """``op`` on (N, T * C, *S)."""
    (frames,), shape = x.layout.merged, c.shape()
    joined = c.add(Reshape((frames * x.layout.shape[1], *x.layout.shape[2:])), x.name, part="frames_joined")
    names = ("weight", "bias", "mean", "variance")
    given = [c.weight(Const((p.tensor.repeat(frames, *(1,) * (p.tensor.ndim - 1)),), f"{p.name}/repeated"), f"the {what}")
             for p, what in zip(params, names) if p is not None]
    grouped = replace(op, groups=op.groups * frames) if isinstance(op, (Conv, ConvTranspose)) else op
    y = c.add(grouped, joined, *given, part=f"{part}grouped")
    return Value(c.add(Reshape((frames, *shape[1:])), y, part=part), x.layout.resized(shape), kind or x.kind)


def _framed(op: Op, frames: int, axes: int) -> Op:
    """The operator with one more spatial axis in front, along which nothing happens."""
    if isinstance(op, GlobalAvgPool):
        return AdaptiveAvgPool((frames, *(1,) * axes))
    if isinstance(op, GlobalMaxPool):
        return AdaptiveMaxPool((frames, *(1,) * axes))
    if isinstance(op, BatchNorm):
        return op
    one: dict[str, Any] = {"kernel": 1, "stride": 1, "dilation": 1, "pads": (0, 0), "output_padding": 0, "size": frames}
    longer = {k: (v, *getattr(op, k)) for k, v in one.items() if getattr(op, k, ())}
    return replace(op, **longer)  # type: ignore[type-var]


# ----- convolution ------------------------------------------------------------------------------------------------


def conv(c: Context, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any, groups: int) -> Value:
    """conv1d to conv3d; ``padding`` may be "same" (the larger half behind) or "valid"."""
    kernel = _kernel(weight)
    n = len(kernel)
    if isinstance(padding, str):
        total = [d * (k - 1) if padding == "same" else 0 for d, k in zip(_each(dilation, n), kernel)]
        pads = tuple((t // 2, t - t // 2) for t in total) if any(total) else ()
    else:
        pads = _both(padding, n)
    return spatial(c, Conv(_each(stride, n, 1), _each(dilation, n, 1), pads, groups), x, weight, bias, rank=n + 2)


def conv_transpose(
    c: Context, x: Any, weight: Any, bias: Any, stride: Any, padding: Any, output_padding: Any, groups: int, dilation: Any
) -> Value:
    """conv_transpose1d to conv_transpose3d."""
    n = len(_kernel(weight))
    op = ConvTranspose(_each(stride, n, 1), _each(dilation, n, 1), _both(padding, n), _each(output_padding, n, 0), groups)
    return spatial(c, op, x, weight, bias, rank=n + 2)


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
    shape = c.shape()
    mean, name = running_mean.tensor if isinstance(running_mean, Const) else torch.zeros(shape[1]), c.place.name
    gamma = Const((torch.ones_like(mean),), f"{name}/gamma") if weight is None else weight
    beta = Const((torch.zeros_like(mean),), f"{name}/beta") if bias is None else bias
    y = spatial(c, BatchNorm(eps), x, gamma, beta, running_mean, running_var, rank=len(shape))
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
    y = spatial(c, op, x, rank=_spatial(c) + 2)
    if isinstance(c.node.meta["val"], torch.Tensor):
        return y
    if 1 not in c.used():
        return [y, None]
    if not isinstance(op, MaxPool):
        raise ConversionError("the positions of the maxima of an adaptive pool are used as values; those of max_pool1d to 3d are known")
    places = MaxPoolIndices(op.kernel, op.stride, op.dilation, op.pads, op.ceil)
    if not c.active(x).layout.trivial:
        raise ConversionError("the positions of the maxima of frames that are merged with the batch are not supported")
    return [y, c.emit(places, c.active(x), layout=y.layout, part="places", kind="int")]


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
