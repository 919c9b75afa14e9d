"""Operators that take, put or order entries by number: gathers, scatters, sorted entries, positions of extremes, running sums.

ONNX counts the batch axis into the numbers of GatherND and ScatterND; where those begin with the number of their sample, that is
left out, and what is left works within each sample. Where they do not, samples would mix.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod

import numpy as np
from onnx import helper

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import (
    Add,
    ArgMax,
    ArgMin,
    Compare,
    CumProd,
    CumSum,
    Expand,
    Gather,
    GatherElements,
    GatherND,
    Hardmax,
    OneHot,
    Op,
    Reshape,
    ReverseSequence,
    ScatterElements,
    ScatterND,
    Sub,
    ToBool,
    ToInt,
    TopK,
    TopKIndices,
    Transpose,
    Trilu,
    Where,
)
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.values import Known, Live, MixingError, Numbered, onnx_axis

# ----- one number for each entry ----------------------------------------------------------------------------------


def gather_elements(c: Call) -> Results:
    """y[..., j, ...] = x[..., indices[..., j, ...], ...] along one axis."""
    x, at = _together(c, 0, 1)
    return c.put(GatherElements(x.axis(c.attr("axis", 0), c.who)), x, at, like=x)


def scatter_elements(c: Call) -> Results:
    """x with updates put, added, multiplied or compared at one place each."""
    x, at, updates = _together(c, 0, 1, 2)
    return c.put(ScatterElements(axis=x.axis(c.attr("axis", 0), c.who), reduction=c.attr("reduction", "none")), x, at, updates, like=x)


def _together(c: Call, *which: int) -> list[Live]:
    """Inputs of the same rank, of which at least one depends on the input, with their batch on the same axis."""
    found = [c.x(k) for k in which]
    like = next(v for v in found if isinstance(v, Live))
    rank = like.rank
    for v in found:
        if isinstance(v, Live) and (v.layout != like.layout or v.rank != rank):
            raise MixingError(f"{c.who} matches {like.name!r} and {v.name!r}, whose batches lie on different axes: samples would mix")
    made = []
    for v in found:
        if isinstance(v, Live):
            made.append(v)
            continue
        x = c.placed(v, like.layout, rank)
        x = x.astype(np.int64) if x.dtype.kind in "iu" else x
        name = c.derived(x, v.name if v.fixed and x.shape == v.low.shape else f"{v.name}/placed")
        made.append(Live(name, x.shape[1:], x.dtype.kind, *like.layout))
    rows = c.converter.batches[0]
    if len({len(c.converter.params[v.name]) if v.name in c.converter.params else rows for v in made}) > 1:
        return [c.put(Expand(v.tail), v.name, like, layout=like.layout, part="copies") if _single(c, v) else v for v in made]
    return made


def _single(c: Call, v: Live) -> bool:
    return v.name in c.converter.params and len(c.converter.params[v.name]) == 1


# ----- numbers that name entries or blocks ------------------------------------------------------------------------


def gather_nd(c: Call) -> Results:
    """Entries or blocks by their numbers."""
    x, shared = c.x(0), c.attr("batch_dims", 0)
    numbers = c.inputs[1] if c.has(1) else None
    if isinstance(x, Live) and isinstance(numbers, Known) and not shared and x.at is not None and x.at >= numbers.low.shape[-1]:
        return _before_the_batch(c, x)
    x, at, shared = _within(c, x, _numbers(c), shared)
    return c.put(GatherND(shared), x, at, like=x if x.name not in c.converter.params else at)


def _before_the_batch(c: Call, x: Live) -> Live:
    """By constant numbers along axes that all lie in front of the batch, so that each sample gives the same entries."""
    at = c.array(1, "indices").astype(np.int64)
    depth = at.shape[-1]
    sizes = x.tail[:depth]
    if (at >= sizes).any() or (at < -np.array(sizes)).any():
        raise ConversionError(f"{c.who} names an entry beyond the sizes {sizes} of {x.name!r}; the file is inconsistent, export it again")
    assert x.at is not None
    row = c.put(Reshape((prod(sizes), *x.tail[depth:])), x, layout=(x.at - depth + 1, x.outer, x.inner), part="row")
    which = np.ravel_multi_index(tuple(np.moveaxis(at % sizes, -1, 0)), sizes)
    return c.put(Gather(1), row, c.derived(which, f"{c.name}/row"), layout=(x.at - depth + at.ndim - 1, x.outer, x.inner))


def _put_before_the_batch(c: Call, x: Live) -> Live:
    """At constant numbers along axes that all lie in front of the batch, so that each sample gets its updates at the same places."""
    at = c.array(1, "indices").astype(np.int64)
    depth, width = at.shape[-1], at.ndim - 1
    assert x.at is not None
    layout, updates = (x.at - depth + width, x.outer, x.inner), c.x(2)
    if isinstance(updates, Live) and updates.layout != layout:
        raise MixingError(f"{c.who} puts {updates.name!r} into {x.name!r}, whose batches lie on different axes: samples would mix")
    given = updates if isinstance(updates, Live) else c.derived(c.placed(updates, layout, width + x.rank - depth), f"{c.name}/updates")
    return c.put(ScatterND(reduction=c.attr("reduction", "none")), x, c.derived(at[None], f"{c.name}/numbers"), given, like=x)


def scatter_nd(c: Call) -> Results:
    """x with updates put, added, multiplied or compared at entries or blocks."""
    whole, numbers = c.x(0), c.inputs[1] if c.has(1) else None
    if isinstance(whole, Live) and isinstance(numbers, Known) and whole.at is not None and whole.at >= numbers.low.shape[-1]:
        return _put_before_the_batch(c, whole)
    x, at, _ = _within(c, whole, _numbers(c), 0)
    like = at if x.name in c.converter.params else x
    updates = c.x(2)
    if isinstance(updates, Known):
        updates = c.batched(updates, like)
    return c.put(ScatterND(reduction=c.attr("reduction", "none")), x, at, updates, like=like)


def _numbers(c: Call) -> Known | Live | Numbered:
    found = c.inputs[1] if c.has(1) else None
    return found if isinstance(found, Numbered) and not found.step else c.x(1)


def _within(c: Call, x: Known | Live, at: Known | Live | Numbered, shared: int) -> tuple[Live, Live, int]:
    """x and the numbers within each sample, and how many axes they share in the graph."""
    like = x if isinstance(x, Live) else at if isinstance(at, Live) else at.rest if isinstance(at, Numbered) else c.live(2)
    if not like.plain and like.at is not None:
        raise MixingError(f"{c.who} wants the batch on axis 0, but that of {like.name!r} lies elsewhere")
    data = c.batched(x, like) if isinstance(x, Known) else x
    if like.at is None:
        numbers = c.batched(at, like) if isinstance(at, Known) else at
        assert isinstance(numbers, Live)
        return data, numbers, shared + 1
    if shared:
        return data, c.batched(at, like) if isinstance(at, Known) else c.live(1), shared
    if isinstance(at, Known):
        rest = _numbered(at, c.converter.batches)
        if rest is not None:
            return data, c.batched(rest, like), 1
    if isinstance(at, Numbered):
        return data, at.rest, 1
    raise MixingError(
        f"{c.who} names samples of the batch by numbers that are not each sample's own, so that samples would mix; the graph's law is that "
        f"each is explained by itself. If the model takes one sample without a batch axis, use unbatched=True"
    )


def _numbered(at: Known, batches: tuple[int, int]) -> Known | None:
    """The numbers behind that of their sample, if each begins with it."""
    for x, n in ((at.low, batches[0]), (at.high, batches[1])):
        if x.ndim < 2 or x.shape[-1] < 2 or len(x) != n or not (x[..., 0] == np.arange(n).reshape(-1, *(1,) * (x.ndim - 2))).all():
            return None
    return at.mapped(f"{at.name}/within", lambda x: x[..., 1:])


def gather_live(c: Call, x: Live, at: Live) -> Live:
    """Gather by numbers that depend on the input, for one sample: the axis comes to the front and its blocks are taken."""
    if x.at is not None or at.at is not None:
        raise MixingError(
            f"{c.who} looks up entries of {x.name!r} by numbers computed for all samples at once, so that samples would mix; "
            f"if the model takes one sample without a batch axis, use unbatched=True"
        )
    axis = x.axis(c.attr("axis", 0), c.who)
    rank = len(x.tail) + 1
    front = x if axis == 1 else c.put(Transpose((0, axis, *(k for k in range(1, rank) if k != axis))), x, part="front")
    y = c.put(GatherND(1), front, c.put(Reshape((*at.tail, 1)), at, part="numbers"), part="blocks")
    width = len(at.tail)
    if axis == 1 or not width:
        return y if axis == 1 else c.put(Transpose(tuple(range(len(y.tail) + 1))), y)
    before = range(1 + width, axis + width)                 # the axes in front of the one that was looked up
    return c.put(Transpose((0, *before, *range(1, 1 + width), *range(axis + width, len(y.tail) + 1))), y)


# ----- by place ---------------------------------------------------------------------------------------------------


def compress(c: Call) -> Results:
    """The entries where a constant condition holds, along an axis, or of all entries in a row."""
    x = c.live()
    kept = np.flatnonzero(c.array(1, "condition"))
    if "axis" in c.attrs:
        return c.put(Gather(x.axis(c.attr("axis"), c.who)), x, c.derived(kept, f"{c.name}/kept"))
    if x.at is not None:
        raise MixingError(f"{c.who} without an axis puts the entries of all samples in a row, so that samples would mix")
    row = c.put(Reshape((int(np.prod(x.tail)),)), x, part="row")
    return c.put(Gather(1), row, c.derived(kept, f"{c.name}/kept"))


def reverse_sequence(c: Call) -> Results:
    """The first entries of each row, as many as its length says, in reverse order."""
    x, lengths = c.live(), c.x(1)
    row, time = (onnx_axis(c.attr(name, default), x.rank, c.who) for name, default in (("batch_axis", 1), ("time_axis", 0)))
    if isinstance(lengths, Live):
        if x.at != row or lengths.at != 0:
            raise MixingError(f"{c.who} takes its lengths along axis {row}, which is not the batch")
        return c.put(ReverseSequence(x.axis(time, c.who)), x, lengths, like=x)
    sizes = [x.shape(n) for n in c.converter.batches]
    at = [_order(ends, size, row, time) for ends, size in zip((lengths.low, lengths.high), sizes)]
    numbers = c.placed(Known(f"{c.name}/order", *at), x.layout, x.rank)
    numbers = np.broadcast_to(numbers, (len(numbers), *x.tail))
    name = c.derived(numbers, f"{c.name}/order")
    if len(numbers) == 1:
        name = c.put(Expand(x.tail), name, x, layout=x.layout, part="copies").name
    return c.put(GatherElements(x.axis(time, c.who)), x, name, like=x)


def _order(lengths: Array, size: tuple[int, ...], row: int, time: int) -> Array:
    """Which entry along ``time`` each entry comes from, with size 1 on all other axes but ``row``."""
    if len(lengths) != size[row]:
        raise ConversionError(f"ReverseSequence has {len(lengths)} lengths for {size[row]} rows; the file is inconsistent")
    shape = [n if k in (row, time) else 1 for k, n in enumerate(size)]
    ends = lengths.reshape([-1 if k == row else 1 for k in range(len(size))])
    steps = np.arange(size[time]).reshape([-1 if k == time else 1 for k in range(len(size))])
    return np.ascontiguousarray(np.broadcast_to(np.where(steps < ends, ends - 1 - steps, steps), shape))


def tensor_scatter(c: Call) -> Results:
    """A cache whose entries from a place on are those of an update; circular: from its end back to its beginning."""
    past, update = (c.x(k) for k in (0, 1))
    like = past if isinstance(past, Live) else c.live(1)
    past, update = (c.batched(v, like) if isinstance(v, Known) else v for v in (past, update))
    axis = past.axis(c.attr("axis", -2), c.who)
    length, many = past.tail[axis - 1], update.tail[axis - 1]
    starts = c.x(2) if c.has(2) else None
    steps = np.arange(many).reshape([many if k == axis else 1 for k in range(len(past.tail) + 1)])
    if isinstance(starts, Live):
        apart = (1,) * (past.rank - 1)
        shape = apart if past.at is not None else (*starts.tail, *apart)
        tall = c.put(Reshape(shape), starts, layout=past.layout, part="starts")
        at = c.put(Add(), tall, c.derived(steps, f"{c.name}/steps"), like=past, part="places")
        at = c.put(Expand(update.tail), at, part="everywhere")
        if c.attr("mode", "linear") == "circular":
            beyond = c.put(Compare("ge"), at, c.derived(np.asarray(length), f"{c.name}/length"), part="beyond")
            back = c.put(Sub(), at, c.derived(np.asarray(length), f"{c.name}/length"), part="back")
            at = c.put(Where(), beyond, back, at, part="around")
        return c.put(ScatterElements(axis=axis), past, at, update, like=past)
    along, around = onnx_axis(c.attr("axis", -2), past.rank, c.who), c.attr("mode", "linear") == "circular"

    def places_for(first: Array) -> Array:
        at = first.reshape(-1, *(1,) * (past.rank - 1)) + np.arange(many).reshape([many if k == along else 1 for k in range(past.rank)])
        return at % length if around else at

    first = starts or Known(f"{c.name}/start", *(np.zeros(past.shape(n)[0], np.int64) for n in c.converter.batches))
    places = c.placed(first.mapped(f"{c.name}/places", places_for), past.layout, past.rank)
    name = c.derived(np.broadcast_to(places, (len(places), *update.tail)), f"{c.name}/places")
    if len(places) == 1:
        name = c.put(Expand(update.tail), name, past, layout=past.layout, part="copies").name
    return c.put(ScatterElements(axis=axis), past, name, update, like=past)


def trilu(c: Call) -> Results:
    """The upper or lower triangle of matrices, zeros elsewhere."""
    x = c.live()
    k = int(c.array(1, "diagonal").reshape(-1)[0]) if c.has(1) else 0
    for axis in (-2, -1):
        x.axis(axis, c.who)
    return c.put(Trilu(k, bool(c.attr("upper", 1))), x)


def eye_like(c: Call) -> Results:
    """Ones on a diagonal, in the size of the input, whose values do not matter."""
    x, k = c.live(), c.attr("k", 0)
    dtype = np.dtype({"b": np.bool_, "i": np.int64}.get(x.kind, np.float64))
    if "dtype" in c.attrs:
        dtype = helper.tensor_dtype_to_np_dtype(c.attr("dtype"))
    low, high = (np.eye(x.shape(n)[0], x.shape(n)[1], k).astype(dtype) for n in c.converter.batches)
    return Known(c.node.output[0], low, high)


# ----- order ------------------------------------------------------------------------------------------------------


def top(c: Call) -> Results:
    """The largest entries along an axis in order, and their positions."""
    x = c.live()
    k = c.attr("k") if c.opset < 10 else int(c.array(1, "number of entries").reshape(-1)[0])
    settings = (x.axis(c.attr("axis", -1), c.who), k, bool(c.attr("largest", 1)))
    values = c.put(TopK(*settings), x) if c.reads(0) else None
    return [values, c.put(TopKIndices(*settings), x, part="positions") if c.reads(1) else None]


def extreme(kind: type[ArgMax] | type[ArgMin]) -> Lowering:
    """The position of the largest or smallest entry along an axis."""

    def lower(c: Call) -> Results:
        x, k, keep = c.live(), c.attr("axis", 0), bool(c.attr("keepdims", 1))
        axis, k = x.axis(k, c.who), onnx_axis(k, x.rank, c.who)
        at = x.at if x.at is None or keep else x.at - (k < x.at)
        return c.put(kind(axis, keep, bool(c.attr("select_last_index", 0))), x, layout=(at, x.outer, x.inner))

    return lower


def hardmax(c: Call) -> Results:
    """1 at the first largest entry along an axis, 0 elsewhere. Before opset 13 all axes from ``axis`` on are one."""
    x = c.live()
    k = onnx_axis(c.attr("axis", -1 if c.opset >= 13 else 1), x.rank, c.who)
    if c.opset >= 13 or k == x.rank - 1:
        return c.put(Hardmax(x.axis(k, c.who)), x)
    axes = [x.axis(j, c.who) for j in range(k, x.rank)]
    flat = c.put(Reshape((*x.tail[: axes[0] - 1], int(np.prod(x.tail[axes[0] - 1:])))), x, layout=(x.at, x.outer, x.inner))
    return c.put(Reshape(x.tail), c.put(Hardmax(-1), flat), layout=x.layout)


def one_hot(c: Call) -> Results:
    """off + (on - off) * code: codes of numbers on a new axis; a number from -depth on counts from the end, others have no code."""
    x, values = c.live(), c.x(2)
    depth = int(c.array(1, "depth").reshape(-1)[0])
    k = onnx_axis(c.attr("axis", -1), x.rank + 1, c.who)
    if x.at is not None and not x.plain:
        raise MixingError(f"{c.who} wants the batch on axis 0, but that of {x.name!r} lies elsewhere")
    moved = x.at is not None and k <= x.at
    layout = (None if x.at is None else x.at + moved, x.outer, x.inner)
    axis = k + 1 if x.at is None or moved else k
    ids = c.put(ToInt(), x, part="whole") if x.kind == "f" else x
    code = c.put(OneHot(depth, axis), ids, layout=layout, part="code")
    if isinstance(values, Known):
        off, on = c.array(2, "values").reshape(-1)
        if values.low.dtype.kind in "iu" and (off, on) == (0, 1):
            return code
        pair = [Known(f"{c.name}/{what}", *(np.asarray(v),) * 2) for what, v in (("on", on), ("off", off))]
        return c.put(Where(), c.put(ToBool(), code, part="is"), *(c.param(p) for p in pair), like=code)
    if values.at is not None:
        raise MixingError(f"{c.who} takes its two values from the input {values.name!r} for all samples at once")
    shape = Reshape((1,) * len(code.tail))
    off, on = (c.put(shape, c.put(Gather(1), values, c.derived(np.asarray([j]), f"{c.name}/{what}"), part=what), part=what)
               for j, what in enumerate(("off", "on")))
    return c.put(Where(), c.put(ToBool(), code, part="is"), on, off, like=code)


def running(kind: Callable[[int, bool, bool], Op]) -> Lowering:
    """Running sums or products along an axis."""

    def lower(c: Call) -> Results:
        x = c.live()
        axis = x.axis(int(c.array(1, "axis").reshape(-1)[0]), c.who)
        return c.put(kind(axis, bool(c.attr("exclusive", 0)), bool(c.attr("reverse", 0))), x)

    return lower


INDEX: dict[str, Lowering] = {
    "GatherElements": gather_elements, "ScatterElements": scatter_elements, "Scatter": scatter_elements, "GatherND": gather_nd,
    "ScatterND": scatter_nd, "TensorScatter": tensor_scatter, "Compress": compress, "ReverseSequence": reverse_sequence, "Trilu": trilu,
    "EyeLike": eye_like, "TopK": top, "ArgMax": extreme(ArgMax), "ArgMin": extreme(ArgMin), "Hardmax": hardmax, "OneHot": one_hot,
    "CumSum": running(CumSum), "CumProd": running(CumProd),
}  # fmt: skip
