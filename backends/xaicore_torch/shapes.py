"""ATen operators that move entries: views, slices, joins, padding, indexing.

Each function takes the Context and the operator's arguments under their ATen names, and returns what its results become. Where
the batch goes is the business of xaicore.graph.layout. The table at the end says which function lowers which operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import prod
from typing import Any

import numpy as np
import torch

from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout, common
from xaicore.ops import Concat, Expand, Gather, GatherND, Pad, Reshape, Slice, Split, Squeeze
from xaicore_torch.context import Const, Context, Value, kind_of
from xaicore_torch.layers import embedding

# ----- another shape ----------------------------------------------------------------------------------------------


def reshape(c: Context, x: Any, **_: Any) -> Value:
    """Every operator that only writes the same entries in another shape; the shape is read off the result."""
    return _reshaped(c, c.active(x), c.shape())


def _reshaped(c: Context, x: Value, shape: Sequence[int], part: str = "") -> Value:
    layout, op = x.layout.reshape(shape)
    return c.emit(op, x, layout=layout, part=part)


def permute(c: Context, x: Any, dims: Sequence[int]) -> Value:
    """Axes in another order."""
    x = c.active(x)
    layout, op = x.layout.permute(dims)
    return c.emit(op, x, layout=layout)


def transpose(c: Context, x: Any, dim0: int, dim1: int) -> Value:
    """Two axes exchanged."""
    x = c.active(x)
    perm = list(range(len(x.layout.shape)))
    one, two = x.layout.framework_axis(dim0), x.layout.framework_axis(dim1)
    perm[one], perm[two] = two, one
    return permute(c, x, perm)


def matrix_transpose(c: Context, x: Any) -> Value:
    """The two axes of a matrix exchanged."""
    return transpose(c, x, -2, -1)


def expand(c: Context, x: Any, **_: Any) -> Value:
    """Axes of 1 repeated; new axes in front."""
    return _expanded(c, c.active(x), c.shape())


def _expanded(c: Context, x: Value, shape: Sequence[int], part: str = "") -> Value:
    layout, op = x.layout.lifted(len(shape))
    x = c.emit(op, x, layout=layout, part="lifted")
    layout = layout.resized(shape)
    same = layout.graph_shape == x.layout.graph_shape
    return c.emit(None if same else Expand(layout.graph_shape[1:]), x, layout=layout, part=part)


def repeat(c: Context, x: Any, repeats: Sequence[int]) -> Value:
    """The array tiled: a new axis before each of its axes is repeated, then the two are joined."""
    x = c.active(x)
    sizes = (1,) * (len(repeats) - len(x.layout.shape)) + x.layout.shape
    apart = _reshaped(c, x, [n for s in sizes for n in (1, s)], part="apart")
    spread = _expanded(c, apart, [n for r, s in zip(repeats, sizes) for n in (r, s)], part="spread")
    return _reshaped(c, spread, c.shape())


# ----- taking apart -----------------------------------------------------------------------------------------------


def slice_(c: Context, x: Any, dim: int, start: int | None, end: int | None, step: int) -> Value:
    """x[start:end:step] along one axis; the whole axis (also the batch's) is x itself."""
    value = c.active(x)
    if c.shape() == value.layout.shape and step == 1:
        return value
    axis, size = value.layout.graph_axis(dim), value.layout.shape[dim]
    stop = None if end is None or end >= size else end
    return c.emit(Slice(axis, start or None, stop, step), value, layout=value.layout.resized(c.shape()))


def select(c: Context, x: Any, dim: int, index: int) -> Value:
    """x[index] along one axis, which is gone."""
    return _selected(c, c.active(x), dim, c.number(index))


def _selected(c: Context, x: Value, dim: int, index: int, part: str = "") -> Value:
    axis, size = x.layout.graph_axis(dim), x.layout.shape[dim]
    k = index + size if index < 0 else index
    single = list(x.layout.shape)
    single[x.layout.framework_axis(dim)] = 1
    one = x if size == 1 else c.emit(Slice(axis, k, k + 1), x, layout=x.layout.resized(single), part=f"{part}slice")
    return c.emit(Squeeze((axis,)), one, layout=x.layout.without([dim]), part=part)


def split(c: Context, x: Any, dim: int = 0, **_: Any) -> list[Value | None]:
    """split and chunk; the sizes are read off the results, and only used pieces are made."""
    x = c.active(x)
    axis = x.layout.graph_axis(dim)
    shapes = [c.shape(k) for k in range(len(c.node.meta["val"]))]
    sizes = tuple(shape[x.layout.framework_axis(dim)] for shape in shapes)
    return [
        c.emit(Split(axis, sizes, k), x, layout=x.layout.resized(shape), part=str(k)) if k in c.used() else None
        for k, shape in enumerate(shapes)
    ]


def unbind(c: Context, x: Any, dim: int) -> list[Value | None]:
    """Every entry along one axis."""
    x = c.active(x)
    x.layout.graph_axis(dim)
    return [_selected(c, x, dim, k, part=str(k)) if k in c.used() else None for k in range(x.layout.shape[dim])]


# ----- joining ----------------------------------------------------------------------------------------------------


def cat(c: Context, tensors: Sequence[Any], dim: int) -> Value:
    """One after the other along one axis. A constant among them (a class token) is repeated for every sample."""
    kept = [t for t in tensors if 0 not in (t.layout.shape if isinstance(t, Value) else t.versions[0].shape)]   # empty ends of a split
    return _joined(c, kept, dim)


def _joined(c: Context, tensors: Sequence[Any], dim: int) -> Value:
    values = [t for t in tensors if isinstance(t, Value)]
    layout = common([t.layout for t in values], c.shape())
    kind = kind_of(c.result().dtype)
    axis = layout.graph_axis(dim)
    names = []
    for k, t in enumerate(tensors):
        if isinstance(t, Value):
            names.append(c.operand(t, t.layout, kind == "float"))
            continue
        shape = list(layout.graph_shape[1:])
        shape[axis - 1] = int(t.versions[0].shape[dim])
        names.append(c.add(Expand(tuple(shape)), c.operand(t, layout, kind == "float"), values[0].name, part=f"constant_{k}"))
    return Value(names[0] if len(names) == 1 else c.add(Concat(axis), *names), layout, kind)


def stack(c: Context, tensors: Sequence[Any], dim: int) -> Value:
    """Along a new axis."""
    rank = len(c.shape())
    k = dim + rank if dim < 0 else dim

    def opened(t: Any) -> Any:
        if isinstance(t, Const):
            return Const(tuple(v.unsqueeze(k) for v in t.versions), t.name)
        return _reshaped(c, t, (*t.layout.shape[:k], 1, *t.layout.shape[k:]), part="opened")

    return _joined(c, [opened(t) for t in tensors], k)


def slice_scatter(c: Context, x: Any, src: Any, dim: int, start: int | None, end: int | None, step: int) -> Value:
    """x with x[start:end] along one axis replaced by src: what is before, src, what is behind."""
    size = c.shape()[dim]
    first, last = (k + size if k < 0 else min(k, size) for k in (start or 0, size if end is None else end))
    if step != 1:
        raise ConversionError(f"assigning to a slice with step {step} is not supported; build the tensor with torch.cat or torch.where")
    return _replaced(c, x, src, dim, first, last)


def select_scatter(c: Context, x: Any, src: Any, dim: int, index: int) -> Value:
    """x with x[index] along one axis replaced by src."""
    shape = list(c.shape())
    k = dim + len(shape) if dim < 0 else dim
    at = index + shape[k] if index < 0 else index
    shape[k] = 1
    opened = Const(tuple(v.unsqueeze(k) for v in src.versions), src.name) if isinstance(src, Const) else _reshaped(c, src, shape, "source")
    return _replaced(c, x, opened, k, at, at + 1)


def _replaced(c: Context, x: Any, src: Any, dim: int, first: int, last: int) -> Value:
    size = c.shape()[dim]
    if (first, last) == (0, size) and isinstance(src, Value):
        whole: Value = src
        return whole
    pieces = [_piece(c, x, dim, 0, first, "before"), src, _piece(c, x, dim, last, size, "behind")]
    return _joined(c, [p for p in pieces if p is not None], dim)


def _piece(c: Context, x: Any, dim: int, first: int, last: int, part: str) -> Any:
    if first == last:
        return None
    if isinstance(x, Const):
        return Const(tuple(v.narrow(dim, first, last - first) for v in x.versions), x.name)
    shape = list(x.layout.shape)
    shape[dim] = last - first
    return c.emit(Slice(x.layout.graph_axis(dim), first, last), x, layout=x.layout.resized(shape), part=part)


def copy(c: Context, x: Any, src: Any) -> Any:
    """src, broadcast to the shape of x: what is left of an assignment."""
    return _expanded(c, src, c.shape()) if isinstance(src, Value) else c.fold()


# ----- moving along an axis ---------------------------------------------------------------------------------------


def flip(c: Context, x: Any, dims: Sequence[int]) -> Value:
    """Axes reversed."""
    value = c.active(x)
    for k, dim in enumerate(dims):
        value = c.emit(Slice(value.layout.graph_axis(dim), step=-1), value, part="" if k == len(dims) - 1 else str(dim))
    return value


def roll(c: Context, x: Any, shifts: Sequence[int], dims: Sequence[int]) -> Value:
    """Entries moved along axes, around the end."""
    value = c.active(x)
    if len(dims) != len(shifts):
        raise ConversionError("roll without dims moves entries from one sample to another, so samples mix; give the axes")
    for k, (shift, dim) in enumerate(zip(shifts, dims)):
        axis, size = value.layout.graph_axis(dim), value.layout.shape[dim]
        if at := -shift % size:
            parts = (c.add(Slice(axis, at, None), value.name, part="tail"), c.add(Slice(axis, None, at), value.name, part="head"))
            value = Value(c.add(Concat(axis), *parts, part="" if k == len(dims) - 1 else str(dim)), value.layout, value.kind)
    return value


def padded(c: Context, x: Any, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Value:
    """Entries added to the last axes; ``pad`` runs from the last axis forwards. "circular" takes them from the other end."""
    source = c.active(x)
    rank, pairs = len(source.layout.shape), list(zip(pad[::2], pad[1::2]))
    by_axis = {source.layout.graph_axis(rank - 1 - k): pair for k, pair in enumerate(pairs) if pair != (0, 0)}
    layout = source.layout.resized(c.shape())
    if not by_axis:
        return source
    if mode == "circular":
        name = source.name
        for axis, (before, after) in by_axis.items():
            ends = ([Slice(axis, -before, None)] if before else [], [Slice(axis, None, after)] if after else [])
            left, right = ([c.add(op, name, part="end") for op in some] for some in ends)
            name = c.add(Concat(axis), *left, name, *right, part="" if axis == list(by_axis)[-1] else str(axis))
        return Value(name, layout, source.kind)
    pads = tuple(by_axis.get(k, (0, 0)) for k in range(min(by_axis), len(source.layout.graph_shape)))
    known: Any = {"constant": "constant", "reflect": "reflect", "replicate": "edge"}
    return c.emit(Pad(pads, known[mode], float(value or 0.0)), source, layout=layout)


# ----- indexing ---------------------------------------------------------------------------------------------------


def index_select(c: Context, x: Any, dim: int, index: Any) -> Value:
    """Entries of one axis by constant positions; or rows of a constant table by positions that depend on the input."""
    return _indexed(c, x, dim, index)


def index(c: Context, x: Any, indices: Sequence[Any]) -> Value:
    """x[:, ..., i, j, ...] with arrays of positions on neighbouring axes, constant and the same for every sample.

    And x[arange(N), at]: of each sample the entry at its own position, as language models take their last token.
    """
    given = [k for k, one in enumerate(indices) if one is not None]
    if given == [0, 1] and _counts_samples(indices[0]) and isinstance(indices[1], Value):
        return _own_entry(c, c.batch_first(x), c.batch_first(indices[1], 1))
    if len(given) == 1:
        return _indexed(c, x, given[0], indices[given[0]])
    if not all(isinstance(indices[k], Const) for k in given) or given != list(range(given[0], given[-1] + 1)):
        raise ConversionError("several arrays of positions are supported if they are constant and on neighbouring axes; use slices")
    x = c.active(x)
    shape = x.layout.shape
    sizes = [shape[k] for k in given]
    flat = np.ravel_multi_index([indices[k].tensor.numpy() % n for k, n in zip(given, sizes)], sizes)
    joined = _reshaped(c, x, (*shape[: given[0]], prod(sizes), *shape[given[-1] + 1 :]), part="joined")
    return _indexed(c, joined, given[0], Const((torch.from_numpy(flat),), "positions"))


def _counts_samples(rows: Any) -> bool:
    """Is it arange(N), whatever the batch?"""
    return isinstance(rows, Const) and all(t.ndim == 1 and torch.equal(t, torch.arange(len(t))) for t in rows.versions) and len(
        {len(t) for t in rows.versions}) == len(rows.versions) > 1


def _own_entry(c: Context, x: Value, at: Value) -> Value:
    """y[n] = x[n, at[n]]."""
    column = c.add(Reshape((1,)), at.name, part="positions")
    return Value(c.add(GatherND(), x.name, column), Layout(c.shape(), c.batch), x.kind)


def _indexed(c: Context, x: Any, dim: int, at: Any, part: str = "") -> Value:
    if isinstance(x, Const) and isinstance(at, Value) and dim == 0 and x.tensor.ndim == 2 and at.kind == "int":
        return embedding(c, x, at)
    x = c.active(x)
    if not isinstance(at, Const):
        raise ConversionError("the positions depend on the model's input; only constant positions are supported (torch.where may do)")
    positions = at.tensor
    if positions.dtype == torch.bool:
        if positions.ndim != 1:
            raise ConversionError("a boolean mask over several axes gives a result of no fixed shape; use torch.where")
        positions = positions.nonzero()[:, 0]
    axis = x.layout.graph_axis(dim)
    k = x.layout.framework_axis(dim)
    shape, here = x.layout.shape, tuple(positions.shape)
    moved = x.layout.axis + (len(here) - 1 if k < x.layout.axis else 0)
    layout = replace(x.layout, shape=(*shape[:k], *here, *shape[k + 1 :]), axis=moved)
    return c.emit(Gather(axis), x, c.constant(np.asarray(positions.numpy()), "positions"), layout=layout, part=part)


def unfold(c: Context, x: Any, dimension: int, size: int, step: int) -> Value:
    """Windows of one axis on a new last axis: x.unfold(dim, size, step)."""
    value = c.active(x)
    k = value.layout.framework_axis(dimension)
    starts = torch.arange(0, value.layout.shape[k] - size + 1, step)
    seen = _indexed(c, value, k, Const((starts[:, None] + torch.arange(size),), "positions"), part="windows")
    order = [j for j in range(len(seen.layout.shape)) if j != k + 1]
    layout, op = seen.layout.permute([*order, k + 1])
    return c.emit(op, seen, layout=layout)


TABLE: Mapping[str, Callable[..., Any]] = {
    **dict.fromkeys(("view", "_unsafe_view", "squeeze", "unsqueeze"), reshape),
    "permute": permute, "transpose": transpose, "t": matrix_transpose,
    "expand": expand, "repeat": repeat,
    "slice": slice_, "select": select, "split": split, "split_with_sizes": split, "unbind": unbind,
    "cat": cat, "stack": stack, "slice_scatter": slice_scatter, "select_scatter": select_scatter, "copy": copy,
    "flip": flip, "roll": roll, "pad": padded, "constant_pad_nd": padded, "index_select": index_select, "index": index,
    "_unsafe_index": index, "unfold": unfold,
}
