"""Layers that slide over space: convolutions, pooling, padding, cropping, resizing. All run with the channels on axis 1.

Keras stores kernels as (*K, I, O), and "same" padding is uneven where the total is odd: the larger half comes after.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from math import prod
from typing import Any

from xaicore.numerics import Array
from xaicore.ops import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    Conv,
    ConvTranspose,
    Div,
    Flatten,
    GlobalAvgPool,
    GlobalMaxPool,
    MaxPool,
    Mean,
    Mul,
    Op,
    Pad,
    ReduceMax,
    Resize,
    Sum,
    ToFloat,
    Unsqueeze,
)
from xaicore_keras.activations import activate
from xaicore_keras.convert import Call, Value
from xaicore_keras.record import numpy_of

Pads = tuple[tuple[int, int], ...]


# ----- layout and padding -----------------------------------------------------------------------------------------


def channels_last(c: Call) -> bool:
    return bool((c.op.config.get("data_format") or c.to.settings.data_format) == "channels_last")


def spatial(c: Call, last: bool | None = None) -> tuple[Value, tuple[int, ...]]:
    """The input with its channels on axis 1, and Keras's numbers of its spatial axes."""
    v = c.x
    if channels_last(c) if last is None else last:
        return c.moved(v), tuple(range(1, v.rank - 1))
    if c.extra:
        raise c.refuse("wraps a layer with data_format='channels_first'", "use channels_last inside TimeDistributed")
    if v.image:
        c.to.layouts.setdefault(v.image, "")
    return c.own(v), tuple(range(2, v.rank))


def same(n: Callable[[], int], kernel: int, stride: int, dilation: int = 1) -> tuple[int, int]:
    """total = max((ceil(n / stride) - 1) * stride + dilation * (kernel - 1) + 1 - n, 0), half of it (down) before."""
    total = dilation * (kernel - 1)
    if stride > 1:
        size = n()
        total = max((-(-size // stride) - 1) * stride + total + 1 - size, 0)
    return total // 2, total - total // 2


def tupled(value: Any, count: int) -> tuple[int, ...]:
    """One number for each spatial axis."""
    return tuple(int(k) for k in value) if isinstance(value, (list, tuple)) else (int(value),) * count


def padding(c: Call, v: Value, axes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Pads:
    """Keras's ``padding`` in numbers."""
    mode = c.op.padding
    if mode == "valid":
        return ((0, 0),) * len(kernel)
    if mode == "causal":
        return ((dilation[0] * (kernel[0] - 1), 0),)
    if mode != "same":
        raise c.refuse(f"has padding={mode!r}", "use 'valid', 'same' or, in Conv1D, 'causal'")
    return tuple(same(lambda a=a: c.size(v, a), k, s, d) for a, k, s, d in zip(axes, kernel, stride, dilation))  # type: ignore[misc]


def leading(c: Call, values: Sequence[Any], neutral: Any, plain: bool = True) -> tuple[Any, ...]:
    """Settings with a neutral entry for each leading axis that the layer does not know of; () where all are neutral."""
    whole = (neutral,) * c.extra + tuple(values)
    return () if plain and all(v == neutral for v in whole) else whole


def finish(c: Call, name: str, moved: bool) -> Value:
    """The layer's activation, as a node of its own."""
    return activate(c, c.op.config.get("activation"), c.value(name, moved))


# ----- convolutions -----------------------------------------------------------------------------------------------


def to_oihw(kernel: Array) -> Array:
    """(*K, I, O) to (O, I, *K)."""
    return kernel.transpose(kernel.ndim - 1, kernel.ndim - 2, *range(kernel.ndim - 2))


def depthwise_to_oihw(kernel: Array) -> Array:
    """(*K, C, M) to (C * M, 1, *K): the M outputs of a channel stand side by side."""
    return to_oihw(kernel.reshape(*kernel.shape[:-2], 1, -1))


def _fitted(c: Call, kernel: Array | str, fit: Callable[[Array], Array]) -> str:
    """The kernel in the graph's layout, with a spatial axis of size 1 for each leading axis."""

    def with_time(x: Array) -> Array:
        w = fit(x)
        return w.reshape(*w.shape[:2], *(1,) * c.extra, *w.shape[2:])

    return c.param(kernel, with_time, f"{c.extra}") if isinstance(kernel, str) else c.to.b.constant(with_time(kernel), f"{c.name}/kernel")


def _kernel(c: Call, name: str = "kernel", position: int = 1) -> tuple[Array | str, tuple[int, ...]]:
    """The kernel of a layer by name, or the constant that a keras.ops convolution was given; and its shape."""
    weight = c.weight(name)
    if weight is not None:
        return name, weight.shape
    given = c.arg(position, name)
    if isinstance(given, Value):
        raise c.refuse("has a kernel that is computed from an input", "use a kernel that is a weight or a constant")
    kernel = numpy_of(given)
    return kernel, kernel.shape


def _slide(c: Call, v: Value, axes: Sequence[int], size: Sequence[int], groups: int) -> Conv:
    stride, dilation = tupled(c.op.strides, len(size)), tupled(c.op.dilation_rate, len(size))
    pads = padding(c, v, axes[c.extra :], size, stride, dilation)
    return Conv(leading(c, stride, 1), leading(c, dilation, 1), leading(c, pads, (0, 0)), groups)


def conv(c: Call) -> Value:
    """Conv1D to 3D, and keras.ops.conv."""
    v, axes = spatial(c)
    kernel, shape = _kernel(c)
    channels = c.size(v, -1 if v.moved else 1)
    op = _slide(c, v, axes, shape[:-2], channels // shape[-2])
    name = c.add(op, v, _fitted(c, kernel, to_oihw), *c.params("bias"))
    return finish(c, name, v.moved)


def depthwise(c: Call) -> Value:
    """DepthwiseConv1D and 2D, and keras.ops.depthwise_conv: one group for each channel."""
    v, axes = spatial(c)
    kernel, shape = _kernel(c)
    op = _slide(c, v, axes, shape[:-2], shape[-2])
    name = c.add(op, v, _fitted(c, kernel, depthwise_to_oihw), *c.params("bias"))
    return finish(c, name, v.moved)


def separable(c: Call) -> Value:
    """SeparableConv1D and 2D, and keras.ops.separable_conv: a depthwise convolution, then one over the channels."""
    v, axes = spatial(c)
    (first, shape), (second, _) = _kernel(c, "depthwise_kernel"), _kernel(c, "pointwise_kernel", 2)
    op = _slide(c, v, axes, shape[:-2], shape[-2])
    inner = c.add(op, v, _fitted(c, first, depthwise_to_oihw), tag="depthwise")
    name = c.add(Conv(), inner, _fitted(c, second, to_oihw), *c.params("bias"))
    return finish(c, name, v.moved)


def conv_transpose(c: Call) -> Value:
    """Conv1DTranspose to 3D.

    With k the dilated kernel size and s the stride: "valid" appends max(k, s) - k entries (or output_padding). "same" keeps
    n * s entries, (n - 1) * s + k % 2 + output_padding where that is given, and cuts the rest, the smaller half first.
    """
    v, axes = spatial(c)
    kernel, shape = _kernel(c)
    rank = len(axes)
    stride, dilation = tupled(c.op.strides, rank), tupled(c.op.dilation_rate, rank)
    given = c.op.output_padding
    extra = (None,) * rank if given is None else tupled(given, rank)
    cuts, appended = [], []
    for n, s, d, e in zip(shape[:-2], stride, dilation, extra):
        k = (n - 1) * d + 1
        if c.op.padding == "valid":
            before, after = 0, -(max(k, s) - k if e is None else e)
        else:
            total = k + s - 2 if e is None else k + k % 2 - 2 + e       # what is left of 2 * (k - 1)
            kept = min(total - total // 2, k - 1)
            before, after = k - 1 - kept, k - 1 - (total - kept)
        cuts.append((before, max(after, 0)))
        appended.append(max(-after, 0))
    w = _fitted(c, kernel, to_oihw)     # (*K, O, C) to (C, O, *K)
    op = ConvTranspose(leading(c, stride, 1), leading(c, dilation, 1), leading(c, cuts, (0, 0)), leading(c, appended, 0))
    name = c.add(op, v, w, *c.params("bias"))
    return finish(c, name, v.moved)


# ----- pooling ----------------------------------------------------------------------------------------------------


def _window(c: Call) -> tuple[Value, tuple[int, ...], tuple[int, ...], Pads]:
    v, axes = spatial(c)
    axes = axes[c.extra :]
    kernel = tupled(c.op.pool_size, len(axes))
    stride = kernel if c.op.strides is None else tupled(c.op.strides, len(axes))
    pads = padding(c, v, axes, kernel, stride, (1,) * len(axes))
    return v, leading(c, kernel, 1, False), leading(c, stride, 1, False), leading(c, pads, (0, 0))


def max_pool(c: Call) -> Value:
    """The largest entry of each window; padding never wins."""
    v, kernel, stride, pads = _window(c)
    return c.value(c.add(MaxPool(kernel, stride, (), pads), v), v.moved)


def average_pool(c: Call) -> Value:
    """The mean over the cells that lie inside the image.

    The torch backend of Keras deviates where "same" padding is uneven: it repeats the border and counts it. The graph
    computes what the model computes, so there the border is repeated too.
    """
    v, kernel, stride, pads = _window(c)
    if c.to.settings.backend == "torch" and any(a != b for a, b in pads):
        padded = c.add(Pad(pads, "edge"), v, tag="border")
        return c.value(c.add(AvgPool(kernel, stride), padded), v.moved)
    return c.value(c.add(AvgPool(kernel, stride, (), pads, count_include_pad=False), v), v.moved)


def global_pool(c: Call) -> Value:
    """GlobalAveragePooling and GlobalMaxPooling 1D to 3D; with a mask, the mean over the steps that it keeps."""
    average = "Average" in c.op.kind
    mask = c.arg(1, "mask") or c.x.mask
    if average and mask is not None and c.x.rank == 3 and "1D" in c.op.kind:
        return _masked_mean(c, mask)
    v, _ = spatial(c)
    if c.extra:
        op: Op = (Mean if average else ReduceMax)(tuple(range(2 + c.extra, v.rank)), c.op.keepdims)
        return c.value(c.add(op, v), v.moved)
    name = c.add(GlobalAvgPool() if average else GlobalMaxPool(), v)
    return c.value(name, v.moved) if c.op.keepdims else c.value(c.add(Flatten(), name, tag="flatten"))


def _masked_mean(c: Call, mask: Value) -> Value:
    """sum_t m_t x_t / sum_t m_t."""
    v = c.own(c.x)
    axis = 1 if channels_last(c) else 2
    kept = c.add(Unsqueeze((3 - axis,)), c.add(ToFloat(), mask, tag="mask"), tag="weights")
    total = c.add(Sum((axis,), c.op.keepdims), c.add(Mul(), v, kept, tag="kept"), tag="sum")
    return c.value(c.add(Div(), total, c.add(Sum((axis,), c.op.keepdims), kept, tag="count")))


def adaptive_pool(c: Call) -> Value:
    """AdaptiveAveragePooling and AdaptiveMaxPooling 1D to 3D: the windows floor(i n / m) to ceil((i + 1) n / m)."""
    v, axes = spatial(c)
    size = tupled(c.op.output_size, len(axes))
    op: Op = AdaptiveAvgPool(size) if "Average" in c.op.kind else AdaptiveMaxPool(size)
    return c.value(c.add(op, v), v.moved)


# ----- the size of an image ---------------------------------------------------------------------------------------


def _pairs(value: Any, count: int) -> Pads:
    """Pads as Keras's layers take them: one number, one for each axis, or a pair for each axis."""
    if isinstance(value, int):
        return ((value, value),) * count
    if count == 1 and not isinstance(value[0], (list, tuple)):
        return ((int(value[0]), int(value[1])),)
    return tuple((int(p), int(p)) if isinstance(p, int) else (int(p[0]), int(p[1])) for p in value)


def zero_padding(c: Call) -> Value:
    """ZeroPadding1D to 3D."""
    v, axes = spatial(c)
    return replace(c.value(c.add(Pad(_pairs(c.op.padding, len(axes))), v), v.moved), image=v.image)


def cropping(c: Call) -> Value:
    """Cropping1D to 3D: padding by negative numbers."""
    v, axes = spatial(c, None if "data_format" in c.op.config else True)
    pads = tuple((-a, -b) for a, b in _pairs(c.op.cropping, len(axes)))
    return replace(c.value(c.add(Pad(pads), v), v.moved), image=v.image)


def up_sampling(c: Call) -> Value:
    """UpSampling1D to 3D: entries repeated, or in 2D bilinear."""
    v, axes = spatial(c, None if "data_format" in c.op.config else True)
    size = tuple(c.size(v, a) * f for a, f in zip(axes, tupled(c.op.size, len(axes))))
    return _resized(c, v, axes, size, c.op.config.get("interpolation", "nearest"))


def resizing(c: Call) -> Value:
    """Resizing, and keras.ops.image.resize: half-pixel coordinates."""
    op = c.op
    for setting in ("antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio"):
        if op.config.get(setting):
            raise c.refuse(f"has {setting}=True", f"use {setting}=False, or resize the images before the model")
    v, axes = spatial(c)
    size = (op.height, op.width) if "height" in op.config else tupled(op.size, 2)
    return _resized(c, v, axes, (int(size[0]), int(size[1])), op.interpolation)


def _resized(c: Call, v: Value, axes: Sequence[int], size: tuple[int, ...], mode: str) -> Value:
    """"nearest" reads entry floor((k + 1/2) n / size), the entry nearest to the middle of k."""
    c.within(prod(size) * c.size(v, -1 if v.moved else 1), "an image")
    if mode == "bilinear":
        return c.map(Resize(size, "linear"), v)
    if mode != "nearest":
        raise c.refuse(f"has interpolation={mode!r}", "use 'nearest' or 'bilinear', or resize the images before the model")
    return c.map(Resize(size, "nearest", "half_pixel", "round_prefer_ceil"), v)
