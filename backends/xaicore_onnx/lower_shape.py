"""Operators that move entries: reshaping, transposing, joining, cutting, looking up, padding, copying; and the shape itself.

Sizes are read at two batch sizes (see Known), which is how a target such as Concat(Shape(x)[0], -1) is told from a literal one.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import numpy as np

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import (
    Concat,
    Embedding,
    Expand,
    Flatten,
    Gather,
    Pad,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from xaicore_onnx.call import Anything, Call, Lowering, Results
from xaicore_onnx.lower_index import gather_live
from xaicore_onnx.lower_linear import transpose
from xaicore_onnx.values import Known, Live, MixingError, Numbered, broadcast, onnx_axis

# ----- shapes -----------------------------------------------------------------------------------------------------


def shape(c: Call) -> Results:
    """The sizes of the input, from ``start`` to ``end``."""
    x, start, end = c.live(), c.attr("start", 0), c.attr("end")
    rank = x.rank
    first, last = (min(max(k + rank if k < 0 else k, 0), rank) for k in (start, rank if end is None else end))
    low, high = (np.array(x.shape(n)[first:last], np.int64) for n in c.converter.batches)
    return Known(c.node.output[0], low, high)


def size(c: Call) -> Results:
    """The number of entries of the input."""
    low, high = (np.array(prod(c.live().shape(n)), np.int64) for n in c.converter.batches)
    return Known(c.node.output[0], low, high)


def reshape(c: Call) -> Results:
    """The same entries in another shape: 0 keeps a size (unless allowzero), -1 is what is left."""
    x, target = c.live(), c.known(1, "target shape")
    wanted = []
    for n, want in zip(c.converter.batches, (target.low, target.high)):
        have, sizes = x.shape(n), [int(v) for v in want.reshape(-1)]
        if not c.attr("allowzero", 0):
            sizes = [have[k] if v == 0 and k < len(have) else v for k, v in enumerate(sizes)]
        if sizes.count(-1) == 1:
            rest = prod(v for v in sizes if v != -1)
            sizes = [prod(have) // rest if v == -1 and rest else v for v in sizes]
        wanted.append(sizes)
    low, high = wanted
    if c.converter.fixed and target.fixed and low != high and not _is_moved(x, low, high, *c.converter.batches):
        high = low                                          # (2, 7, -1, 8) of a file for two samples: -1 is no batch
    return reshaped(c, x, low, high)


def reshaped(c: Call, x: Live, low: Sequence[int], high: Sequence[int]) -> Live:
    """``x`` in the ONNX shape ``low`` at the first batch size and ``high`` at the second."""
    n, m = c.converter.batches
    if prod(low) != prod(x.shape(n)) or min(low, default=1) < 0:
        raise ConversionError(f"{c.who} makes {tuple(low)} of {x.shape(n)}, which has another number of entries; the file is inconsistent")
    if x.at is None:
        return c.put(Reshape(tuple(low)), x)
    before = prod(x.shape(n)[: x.at]) * x.outer             # entries of one sample that vary slower than the batch
    moving = [k for k, (a, b) in enumerate(zip(low, high)) if a != b]
    if not moving:                                          # sizes written down for the batch size of the file
        fitting = [k for k in range(len(low)) if low[k] % n == 0 and _around(low, k, before, n)]
        moving = sorted(fitting, key=lambda k: _around(low, k, before, n) or (0, 0))[:1]             # joined with as little as can be
    if len(moving) != 1 or (low != high and high[moving[0]] * n != low[moving[0]] * m):
        raise MixingError(
            f"{c.who} makes {tuple(low)} of {x.shape(n)} with the batch on axis {x.at}: the batch is not one axis of the "
            "result"
        )
    (at,) = moving
    around = _around(low, at, before, n)
    if around is None:
        raise MixingError(
            f"{c.who} makes {tuple(low)} of {x.shape(n)} with the batch on axis {x.at}: entries of several samples would share a "
            "row"
        )
    outer, inner = around
    tail = (*low[:at], *(k for k in around if k > 1), *low[at + 1:])
    return c.put(Reshape(tuple(tail)), x, layout=(at, outer, inner))


def _is_moved(x: Live, low: Sequence[int], high: Sequence[int], n: int, m: int) -> bool:
    """Is the one axis on which two batch sizes differ a place where the batch ends up?"""
    moving = [k for k, (a, b) in enumerate(zip(low, high)) if a != b]
    before = prod(x.shape(n)[: x.at or 0]) * x.outer
    return len(moving) == 1 and high[moving[0]] * n == low[moving[0]] * m and _around(low, moving[0], before, n) is not None


def _around(low: Sequence[int], at: int, before: int, n: int) -> tuple[int, int] | None:
    """How many entries outside and inside the batch the axis ``at`` of the result holds, if that is where the batch ends up."""
    ahead, factor = prod(low[:at]), low[at] // n
    if not ahead or not factor or before % ahead:
        return None
    outer = before // ahead
    return (outer, factor // outer) if outer and factor % outer == 0 else None


def flatten(c: Call) -> Results:
    """Two axes: what is before ``axis``, and the rest."""
    x = c.live()
    axis = c.attr("axis", 1)
    axis = axis + x.rank if axis < 0 else axis
    if x.plain and axis == 1:
        return c.put(Flatten(1), x)
    low, high = ([prod(x.shape(n)[:axis]), prod(x.shape(n)[axis:])] for n in c.converter.batches)
    return reshaped(c, x, low, high)


def transposed(c: Call) -> Results:
    """The axes in another order, by default reversed."""
    x = c.live()
    return transpose(c, x, c.attr("perm") or list(range(x.rank))[::-1])


def _axes(c: Call, since: int) -> list[int] | None:
    """The axes of an operator that has them as an input from opset ``since`` on, and as an attribute before."""
    if c.opset >= since:
        return c.numbers(1, "axes") if c.has(1) else None
    axes = c.attr("axes")
    return None if axes is None else [int(k) for k in axes]


def squeeze(c: Call) -> Results:
    """Without the given axes of size 1, or without all of them."""
    x, axes = c.live(), _axes(c, 13)
    if axes is None:
        ones = [k for k, n in enumerate(x.shape(c.converter.batches[0])) if n == 1]
        axes = [k for k in ones if k != x.at or c.converter.single]
    axes = [onnx_axis(k, x.rank, c.who) for k in axes]
    if not axes:
        return x
    gone = tuple(x.axis(k, c.who) for k in axes)
    at = None if x.at is None else x.at - sum(k < x.at for k in axes)
    return c.put(Squeeze(gone), x, layout=(at, x.outer, x.inner))


def unsqueeze(c: Call) -> Results:
    """With axes of size 1 at the given places of the result."""
    x, axes = c.live(), _axes(c, 13) or []
    rank = x.rank + len(axes)
    new = sorted(onnx_axis(k, rank, c.who) for k in axes)
    if len(set(new)) != len(axes):
        raise ConversionError(f"{c.who} names an axis twice: {axes}; the file is inconsistent")
    old = [k for k in range(rank) if k not in new]
    at = None if x.at is None else old[x.at]
    y = Live("", (*x.tail, *[1] * len(axes)), x.kind, at, x.outer, x.inner)
    return c.put(Unsqueeze(tuple(y.groups[k][0] for k in new)), x, layout=y.layout)


# ----- copies -----------------------------------------------------------------------------------------------------


def expand(c: Call) -> Results:
    """Repeated along axes of size 1, up to the common shape of the input and the target."""
    x, target = c.live(), c.known(1, "target shape")
    x = c.grown(x, max(x.rank, target.low.size))
    n, m = c.converter.batches
    low, high = ([1] * (x.rank - want.size) + [int(v) for v in want.reshape(-1)] for want in (target.low, target.high))
    if x.at is not None and high[x.at] == n:
        high[x.at] = m                                      # the batch size of the file, written down
    shapes = [broadcast((x.shape(n), low)), broadcast((x.shape(m), high))]
    if any(s[x.at] != x.shape(n)[x.at] for s, n in zip(shapes, c.converter.batches) if x.at is not None):
        raise MixingError(f"{c.who} repeats the batch axis of {x.name!r}")
    first, second = ([v for k, v in enumerate(s) if k != x.at] for s in shapes)
    if first != second:
        raise MixingError(f"{c.who} repeats {x.name!r} as often as there are samples, along another axis than the batch")
    sizes = list(x.tail)
    for k, v in enumerate(shapes[0]):
        if k != x.at:
            sizes[x.groups[k][0] - 1] = v
    return x if tuple(sizes) == x.tail else c.put(Expand(tuple(sizes)), x)


MOST_COPIES = 4096


def tile(c: Call) -> Results:
    """Several copies, one after the other, along each axis."""
    x = c.live()
    for k, times in enumerate(c.numbers(1, "repeats")):
        if times < 1:
            raise ConversionError(f"{c.who} repeats {times} times; at least once is expected")
        if times > MOST_COPIES:                                         # each is a name in the graph
            raise ConversionError(f"{c.who} repeats {times:,} times; at most {MOST_COPIES:,} times are converted")
        if times > 1:
            x = c.put(Concat(x.axis(k, c.who)), *[x] * times)
    return x


def concat(c: Call) -> Results:
    """One after the other; a constant is copied for each sample first."""
    lives = [v for v in c.inputs if isinstance(v, Live)]
    like = lives[0]
    if like.kind == "i" and like.plain and len(c.inputs) > 1 and _counts(c.inputs[0], c.converter.batches):
        if len(c.inputs) > 2:
            c.inputs = c.inputs[1:]
            rest = concat(c)
            assert isinstance(rest, Live)
            return Numbered(rest)
        return Numbered(like)
    if any(v.layout != like.layout or v.rank != like.rank for v in lives):
        raise MixingError(f"{c.who} joins values whose batches lie on different axes: {', '.join(repr(v.name) for v in lives)}")
    axis = like.axis(c.attr("axis", 1 if c.opset < 4 else 0), c.who)
    values = [c.x(k) for k in range(len(c.inputs))]
    kept = [v for v in values if isinstance(v, Live) or v.low.size]      # an empty constant adds nothing
    parts = [v if isinstance(v, Live) else c.batched(v, like) for v in kept]
    return parts[0] if len(parts) == 1 else c.put(Concat(axis), *parts, like=like)


def _counts(value: Anything | None, batches: tuple[int, int]) -> bool:
    """Is it the number of its sample, for each sample? (N, 1), or (N, *J, 1) with the same number all over."""
    if not isinstance(value, Known) or (value.fixed and batches[0] != batches[1]) or value.low.ndim < 2 or value.low.shape[-1] != 1:
        return False
    ends = zip((value.low, value.high), batches)
    return all(len(x) == n and (x == np.arange(n).reshape(-1, *(1,) * (x.ndim - 1))).all() for x, n in ends)


# ----- pieces -----------------------------------------------------------------------------------------------------


def split(c: Call) -> Results:
    """Pieces along an axis: of given sizes, or as equal as possible with a smaller last one."""
    x, count = c.live(), len(c.node.output)
    axis = x.axis(c.attr("axis", 0), c.who)
    length = x.tail[axis - 1]
    sizes = c.numbers(1, "sizes") if c.opset >= 13 and c.has(1) else c.attr("split")
    if not sizes:
        each = -(-length // c.attr("num_outputs", count)) if c.opset >= 18 else length // count
        sizes = [min(each, max(0, length - k * each)) for k in range(count)]
    if len(sizes) != count:
        raise ConversionError(f"{c.who} has {count} outputs for the sizes {sizes}; the file is inconsistent")
    return [c.put(Split(axis, tuple(sizes), k), x) if name else None for k, name in enumerate(c.node.output)]


def slices(c: Call) -> Results:
    """x[start:stop:step] along several axes. The bounds are attributes before opset 10, inputs from then on."""
    x, batches = c.live(), c.converter.batches
    if c.opset < 10:
        starts, ends = list(c.attr("starts", [])), list(c.attr("ends", []))
        axes, steps = list(c.attr("axes") or range(len(starts))), [1] * len(starts)
        bounds = [(starts, ends)] * 2
    else:
        found = [c.known(k, what) for k, what in ((1, "starts"), (2, "ends"))]
        starts_at, ends_at = ([[int(v) for v in x.reshape(-1)] for x in (f.low, f.high)] for f in found)
        bounds = list(zip(starts_at, ends_at))
        axes = c.numbers(3, "axes") if c.has(3) else list(range(len(bounds[0][0])))
        steps = c.numbers(4, "steps") if c.has(4) else [1] * len(axes)
    y = x
    for j, (k, step) in enumerate(zip(axes, steps)):
        k = onnx_axis(k, x.rank, c.who)
        cuts = [_cut(starts[j], ends[j], step, x.shape(n)[k]) for n, (starts, ends) in zip(batches, bounds)]
        if all(cut == (None, None) for cut in cuts) and step == 1:
            continue
        axis = y.axis(k, c.who)
        if cuts[0] != cuts[1]:
            raise MixingError(f"{c.who} cuts axis {k} at a place that depends on the batch size")
        y = c.put(Slice(axis, *cuts[0], step), y)
    return y


def _cut(start: int, stop: int, step: int, n: int) -> tuple[int | None, int | None]:
    """ONNX's bounds, clamped to an axis of ``n`` entries, as Python's; None where a bound is the end of the axis."""
    start, stop = (k + n if k < 0 else k for k in (start, stop))
    if step > 0:
        start, stop = min(max(start, 0), n), min(max(stop, 0), n)
        return start or None, None if stop == n else stop
    start, stop = min(max(start, 0), n - 1), min(max(stop, -1), n - 1)
    return None if start == n - 1 else start, None if stop == -1 else stop


def pad(c: Call) -> Results:
    """Entries added at both ends of axes: a constant, the edge again, a mirror image, or the other end."""
    x, mode = c.live(), c.attr("mode", "constant")
    numbers = c.attr("pads", []) if c.opset < 11 else c.numbers(1, "pads")
    given = c.array(2, "value").reshape(-1) if c.opset >= 11 and c.has(2) else np.array([c.attr("value", 0.0)])
    value = float(given[0]) if given.size else 0.0
    axes = c.numbers(3, "axes") if c.opset >= 18 and c.has(3) else list(range(x.rank))
    if len(numbers) != 2 * len(axes):
        raise ConversionError(f"{c.who} has pads {list(numbers)} for {len(axes)} axes; two for each are expected")
    pairs = {k: pair for k, pair in zip(axes, zip(numbers[:len(axes)], numbers[len(axes):])) if any(pair)}
    places = {x.axis(k, c.who): pair for k, pair in pairs.items()}
    if not places:
        return x
    if mode == "wrap":
        for axis, (before, after) in sorted(places.items()):
            at = np.arange(-before, x.tail[axis - 1] + after) % x.tail[axis - 1]
            x = c.put(Gather(axis), x, c.derived(at, f"{c.name}/from"))
        return x
    if mode not in ("constant", "edge", "reflect"):
        raise ConversionError(f"{c.who} has mode {mode!r}; constant, reflect, edge or wrap is expected")
    if mode != "constant":
        for axis, (before, after) in places.items():
            if before < 0 or after < 0:
                x = c.put(Slice(axis, max(-before, 0) or None, min(after, 0) or None), x)
        places = {axis: (max(before, 0), max(after, 0)) for axis, (before, after) in places.items()}
    first = min(places)
    return c.put(Pad(tuple(places.get(k, (0, 0)) for k in range(first, len(x.tail) + 1)), mode, value if mode == "constant" else 0.0), x)


def gather(c: Call) -> Results:
    """Entries of an axis by their numbers, or rows of a constant table by numbers that are an input of the model."""
    data, indices = c.x(0), c.x(1)
    if isinstance(data, Known):
        return _look_up(c, c.array(0, "table"), data.name, c.live(1))
    if isinstance(indices, Live):
        return gather_live(c, data, indices)
    k = onnx_axis(c.attr("axis", 0), data.rank, c.who)
    own = _own_entries(data, indices, k, c.converter.batches)
    if own is not None:
        return c.put(Gather(1), data, c.derived(own, f"{indices.name}/within"), layout=(0, 1, 1))
    at = c.array(1, "indices")
    axis = data.axis(k, c.who)
    shift = at.ndim - 1 if data.at is not None and k < data.at else 0
    layout = (None if data.at is None else data.at + shift, data.outer, data.inner)
    return c.put(Gather(axis), data, c.derived(at.astype(np.int64), indices.name), layout=layout)


def _own_entries(x: Live, at: Known, k: int, batches: tuple[int, int]) -> Array | None:
    """Which of its own entries each sample gets, the same for all, where an axis holds ``inner`` entries of each; else None.

    So torch exports a change of strides: x flattened, and looked up by numbers i * inner + j for sample i.
    """
    if k != 0 or x.at != 0 or x.outer != 1 or x.inner == 1:
        return None
    for numbers, n in ((at.low, batches[0]), (at.high, batches[1])):
        if numbers.ndim < 1 or len(numbers) not in (n, batches[0]):
            return None
        start = np.arange(len(numbers)).reshape(-1, *(1,) * (numbers.ndim - 1)) * x.inner
        if not (numbers == start + at.low[:1]).all() or (at.low[0] < 0).any() or (at.low[0] >= x.inner).any():
            return None
    return np.asarray(at.low[0], np.int64)


def _look_up(c: Call, table: Array, name: str, ids: Live) -> Live:
    """table[ids]: an Embedding. Negative ids are not looked up, though ONNX counts them from the end."""
    axis = onnx_axis(c.attr("axis", 0), table.ndim, c.who)
    if axis != 0:
        y = _look_up_rows(c, np.moveaxis(table, axis, 0), f"{name}/turned", ids)
        if ids.at is not None and not ids.plain:
            raise MixingError(f"{c.who} wants the batch on axis 0, but that of {ids.name!r} lies elsewhere")
        count = len(ids.tail)
        before = tuple(range(1 + count, 1 + count + axis))
        perm = (0, *before, *range(1, 1 + count), *range(1 + count + axis, len(y.tail) + 1))
        return c.put(Transpose(perm), y, layout=(None if ids.at is None else axis, 1, 1))
    return _look_up_rows(c, table, name, ids)


def _look_up_rows(c: Call, table: Array, name: str, ids: Live) -> Live:
    rows = c.derived(table.reshape(len(table), -1) if table.ndim != 2 else table, name if table.ndim == 2 else f"{name}/rows")
    y = c.put(Embedding(), rows, ids)
    return y if table.ndim == 2 else c.put(Reshape((*ids.tail, *table.shape[1:])), y)


def depth_to_space(c: Call) -> Results:
    """Blocks of channels laid out in space: (N, C b b, H, W) -> (N, C, H b, W b)."""
    x, b = c.images(c.live()), c.attr("blocksize")
    channels, high, wide = x.tail
    crd = c.attr("mode", "DCR") == "CRD"
    split_up = (channels // (b * b), b, b, high, wide) if crd else (b, b, channels // (b * b), high, wide)
    y = c.put(Reshape(split_up), x)
    y = c.put(Transpose((0, 1, 4, 2, 5, 3) if crd else (0, 3, 4, 1, 5, 2)), y)
    return c.put(Reshape((channels // (b * b), high * b, wide * b)), y)


def space_to_depth(c: Call) -> Results:
    """Blocks of space laid out as channels: (N, C, H b, W b) -> (N, b b C, H, W), in mode CRD (N, C b b, H, W)."""
    x, b = c.images(c.live()), c.attr("blocksize")
    channels, high, wide = x.tail
    y = c.put(Reshape((channels, high // b, b, wide // b, b)), x)
    y = c.put(Transpose((0, 1, 3, 5, 2, 4) if c.attr("mode", "DCR") == "CRD" else (0, 3, 5, 1, 2, 4)), y)
    return c.put(Reshape((channels * b * b, high // b, wide // b)), y)


SHAPE: dict[str, Lowering] = {
    "Shape": shape, "Size": size, "Reshape": reshape, "Flatten": flatten, "Transpose": transposed, "Squeeze": squeeze,
    "Unsqueeze": unsqueeze, "Expand": expand, "Tile": tile, "Concat": concat, "Split": split, "Slice": slices, "Pad": pad,
    "Gather": gather, "DepthToSpace": depth_to_space, "SpaceToDepth": space_to_depth,}  # fmt: skip
