"""ATen operators that work by positions: gather and scatter, extremes and their places, sorting, running sums, bags, windows as columns.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. The
table at the end says which function lowers which operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import prod
from typing import Any

import numpy as np
import torch

from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout, common
from xaicore.ops import (
    ArgMax,
    ArgMin,
    CumProd,
    CumSum,
    Embedding,
    Fold,
    GatherElements,
    Mean,
    Mul,
    Op,
    ReduceMax,
    Reshape,
    ScatterElements,
    Sum,
    TopK,
    TopKIndices,
    Trilu,
    Unfold,
)
from xaicore_torch.context import Const, Context, Value

# ----- entries by number ------------------------------------------------------------------------------------------


def gather(c: Context, x: Any, dim: int, index: Any, **_: Any) -> Value:
    """y[..., j, ...] = x[..., index[..., j, ...], ...] along one axis."""
    source = x if isinstance(x, Value) else c.active(index, "the positions")
    layout = source.layout.resized(c.shape())
    axis = layout.graph_axis(dim)
    x, index = (_laid(c, one, source.layout) for one in (x, index))
    return Value(c.add(GatherElements(axis), x, index), layout, source.kind if source is not index else "float")


def _laid(c: Context, x: Any, like: Layout) -> str:
    """The name of a value or constant of as many axes, its batch where that of ``like`` is."""
    if isinstance(x, Value) and (x.layout.axis, x.layout.merged) != (like.axis, like.merged):
        raise ConversionError(f"it combines values of shapes {x.layout.shown()} and {like.shown()}, whose batch N is not on the same axis")
    return c.operand(x, x.layout if isinstance(x, Value) else like, as_float=False)


def scatter(
    reduction: str, c: Context, x: Any, dim: int, index: Any, src: Any = None, value: Any = None, reduce: str | None = None,
) -> Value:
    """x with entries of ``src`` (or one number) put down, or added, along one axis at the places ``index``."""
    if reduce is not None:
        raise ConversionError(f"scatter with reduce={reduce!r} is not supported; use scatter_add, or torch.where")
    known = next(v for v in (x, index, src) if isinstance(v, Value))
    layout = known.layout.resized(c.shape())
    axis = layout.graph_axis(dim)
    if src is None or not isinstance(src, (Value, Const)):
        shape = index.layout.shape if isinstance(index, Value) else tuple(index.versions[0].shape)
        src = Const((torch.full((1, *shape[1:]), float(c.number(value if src is None else src))),), f"{c.place.name}/filled")
        if layout.axis != 0:
            raise ConversionError("one number is put down on a value whose batch is not on axis 0; use torch.where")
    names = [_laid(c, x, layout), _laid(c, index, layout), _laid(c, src, layout)]
    return Value(c.add(ScatterElements(reduction, axis), *names), layout, known.kind)  # type: ignore[arg-type]


def arg(make: Callable[..., Op], c: Context, x: Any, dim: Any = None, keepdim: bool = False) -> Value:
    """The position of the extreme entry along one axis."""
    x = c.active(x)
    if dim is None:
        raise ConversionError("the position among all entries counts the samples of the batch in; give the axis (dim=...)")
    return c.emit(make(x.layout.graph_axis(dim), keepdim), x, layout=x.layout.resized(c.shape()) if keepdim else x.layout.without([dim]))


def top(c: Context, x: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The k largest entries in order, and their positions."""
    return _ordered(c, c.active(x), dim, c.number(k), largest)


def sort(c: Context, x: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Any:
    """All entries in order, and their positions."""
    x = c.active(x)
    return _ordered(c, x, dim, x.layout.shape[dim], descending)


def argsort(c: Context, x: Any, dim: int = -1, descending: bool = False, stable: bool | None = None) -> Any:
    """The positions alone."""
    x = c.active(x)
    return Value(c.add(TopKIndices(x.layout.graph_axis(dim), x.layout.shape[dim], descending), x.name), x.layout, "int")


def _ordered(c: Context, x: Value, dim: int, k: int, largest: bool) -> list[Value | None]:
    axis, layout = x.layout.graph_axis(dim), x.layout.resized(c.shape())
    used = c.used()
    entries = c.emit(TopK(axis, k, largest), x, layout=layout, part="0", kind=x.kind) if 0 in used else None
    places = c.emit(TopKIndices(axis, k, largest), x, layout=layout, part="1", kind="int") if 1 in used else None
    return [entries, places]


def scan(make: Callable[..., Op], c: Context, x: Any, dim: int) -> Value:
    """Running sums or products along one axis."""
    x = c.active(x)
    x = c.as_float(x) if c.result().is_floating_point() else c.as_int(x)
    return c.emit(make(x.layout.graph_axis(dim)), x)


def triangle(upper: bool, c: Context, x: Any, diagonal: int = 0) -> Value:
    """Zeros below or above a diagonal of the last two axes."""
    x = c.active(x)
    for k in (-2, -1):
        x.layout.graph_axis(k)
    return c.emit(Trilu(diagonal, upper), x)


# ----- windows ----------------------------------------------------------------------------------------------------


def unfold(c: Context, x: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Every window as a column."""
    x = c.batch_first(x, 4)
    op = Unfold(tuple(kernel_size), _plain(stride), _plain(dilation), _pads(padding))
    return c.emit(op, x, layout=Layout(c.shape(), c.batch))


def fold(c: Context, x: Any, output_size: Any, kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Value:
    """Windows added up."""
    x = c.batch_first(x, 3)
    size = tuple(c.number(n) for n in output_size)
    return c.emit(Fold(size, tuple(kernel_size), _plain(stride), _plain(dilation), _pads(padding)), x, layout=Layout(c.shape(), c.batch))


def _plain(setting: Sequence[int]) -> tuple[int, ...]:
    return () if set(setting) == {1} else tuple(setting)


def _pads(padding: Sequence[int]) -> tuple[tuple[int, int], ...]:
    return tuple((p, p) for p in padding) if any(padding) else ()


def unpool(c: Context, x: Any, indices: Any, output_size: Any, **_: Any) -> Value:
    """Maxima put back to where they were, zeros elsewhere."""
    x, at = c.batch_first(x), c.batch_first(indices)
    shape = c.shape()
    flat = Layout((*x.layout.shape[:2], prod(x.layout.shape[2:])), c.batch)
    columns = [c.add(Reshape(flat.graph_shape[1:]), one.name, part=part) for one, part in ((x, "values"), (at, "places"))]
    zeros = c.constant(np.zeros((1, shape[1], prod(shape[2:]))), "zeros")
    put = c.add(ScatterElements("none", 2), zeros, columns[1], columns[0], part="put")
    return Value(c.add(Reshape(shape[1:]), put), Layout(shape, c.batch))


# ----- look-ups and products of three -----------------------------------------------------------------------------


def embedding_bag(
    c: Context, weight: Any, indices: Any, offsets: Any, mode: int, per_sample_weights: Any, include_last_offset: bool = False, **_: Any
) -> Any:
    """Sums, means or maxima of table rows over bags of one size: torch lays (N, size) ids out as (N * size,) with offsets."""
    ids = c.active(indices, "the index")
    size = ids.layout.after
    starts = [t.tolist() for t in offsets.versions] if isinstance(offsets, Const) else [[-1]]
    padding = c.node.args[8] if len(c.node.args) > 8 else c.node.kwargs.get("padding_idx", -1)
    if padding >= 0 or include_last_offset or ids.layout.axis or any(s != [k * size for k in range(len(s))] for s in starts):
        raise ConversionError("bags of different sizes or with a padding index are not supported; give ids (N, size) without padding")
    rows = c.add(Embedding(), c.weight(weight, "the table"), ids.name, part="rows")
    if per_sample_weights is not None:
        shares = c.active(per_sample_weights, "the weight of each id")
        rows = c.add(Mul(), rows, c.add(Reshape((size, 1)), shares.name, part="weights"), part="weighted")
    reduce = (Sum, Mean, ReduceMax)[mode]((1,))
    if size == 1:
        rows = c.add(Reshape((1, c.shape()[-1])), rows, part="bag")
    return [Value(c.add(reduce, rows), Layout(c.shape(), c.batch)), None, None, None]


def trilinear(
    c: Context, i1: Any, i2: Any, i3: Any, expand1: Sequence[int], expand2: Sequence[int], expand3: Sequence[int], sumdim: Sequence[int],
    unroll_dim: int = 1,
) -> Value:
    """sum(i1 * i2 * i3) with axes of 1 put in at ``expand`` and summed over ``sumdim``: what nn.Bilinear computes."""
    total = len(c.shape()) + len(sumdim)

    def opened(x: Any, axes: Sequence[int]) -> Any:
        if isinstance(x, Const):
            tensors = list(x.versions)
            for k in sorted(axes):
                tensors = [t.unsqueeze(k) for t in tensors]
            return Const(tuple(tensors), f"{x.name}/opened")
        sizes = iter(x.layout.shape)
        layout, op = x.layout.reshape([1 if k in axes else next(sizes) for k in range(total)])
        return c.emit(op, x, layout=layout, part="opened")

    parts = [opened(x, axes) for x, axes in ((i1, expand1), (i2, expand2), (i3, expand3))]
    sizes = np.broadcast_shapes(*(p.layout.shape if isinstance(p, Value) else tuple(p.versions[0].shape) for p in parts))
    layout = common([p.layout for p in parts if isinstance(p, Value)], sizes)
    names = [c.operand(p, layout) for p in parts]
    product = c.add(Mul(), c.add(Mul(), names[0], names[1], part="pair"), names[2], part="product")
    y = c.add(Sum(tuple(layout.graph_axis(k) for k in sumdim)), product)
    return Value(y, layout.without(sumdim))


TABLE: Mapping[str, Callable[..., Any]] = {
    "gather": gather, "scatter": partial(scatter, "none"), "scatter_add": partial(scatter, "add"), "argmax": partial(arg, ArgMax),
    "argmin": partial(arg, ArgMin), "topk": top, "sort": sort, "argsort": argsort, "cumsum": partial(scan, CumSum),
    "cumprod": partial(scan, CumProd), "tril": partial(triangle, False), "triu": partial(triangle, True), "im2col": unfold, "col2im": fold,
    "max_unpool2d": unpool, "max_unpool3d": unpool, "_embedding_bag": embedding_bag,
    "_embedding_bag_forward_only": embedding_bag, "_trilinear": trilinear,
}
