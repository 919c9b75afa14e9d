"""Layers and operations that move entries: reshape, transpose, index, join, split, repeat, pad. All leave axis 0 alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from xaicore.ops import Concat, Expand, Flatten, Gather, GatherElements, Identity, Pad, Reshape, Slice, Squeeze, Transpose, Unsqueeze
from xaicore_keras.convert import Call, Lowering, Value
from xaicore_keras.record import numpy_of

WHOLE = (slice(None), slice(0, None), slice(None, None, 1), slice(0, None, 1))
"""Ways to write an axis as it is."""

# ----- axes -------------------------------------------------------------------------------------------------------


def some_axes(c: Call, v: Value) -> tuple[int, ...]:
    """The axes of a reduction or a flip; None means all of them, which refuses as well as naming axis 0 does."""
    given = c.op.axis
    axes = tuple(range(v.rank)) if given is None else tuple(k % v.rank for k in (given if isinstance(given, (list, tuple)) else [given]))
    if 0 in axes:
        raise c.refuse(f"works along axis 0, the batch (axis={given})", "samples must not mix: name the other axes")
    return axes


def one_axis(c: Call, axis: int | None, rank: int) -> int:
    if axis is None or axis % rank == 0:
        raise c.refuse(f"works along axis {axis}, which is or contains the batch", "samples must not mix: use another axis")
    return axis % rank


def still_moved(v: Value, gone: Sequence[int], keepdims: bool = False) -> bool:
    """Are the channels still on axis 1, and last in Keras, when these axes have gone?"""
    return v.moved and (keepdims or ((v.rank - 1) not in gone and v.rank - len(gone) > 2))


# ----- one tensor in another shape ----------------------------------------------------------------------------------


def flatten(c: Call) -> Value:
    """In Keras's order of axes; data_format='channels_first' puts the channels last before."""
    v = c.own(c.x)
    if c.extra:
        return c.value(c.add(Reshape((*(c.size(v, k) for k in range(1, 1 + c.extra)), -1)), v))
    if c.op.config.get("data_format", "channels_last") == "channels_first" and v.rank > 2:
        v = replace(v, name=c.add(Transpose((0, *range(2, v.rank), 1)), v, tag="channels_last"))
    return c.value(c.add(Flatten(), v))


def reshape_to(c: Call, v: Value, target: Sequence[int | None]) -> Value:
    """The entries of each sample in Keras's order, in a new shape without the batch; one length at most is None or -1."""
    free = [k for k, n in enumerate(target) if n in (None, -1)]
    if len(free) > 1:
        raise c.refuse(f"leaves several axes of {tuple(target)} free", "name all lengths but one")
    shape = tuple(-1 if k in free else int(n or 0) for k, n in enumerate(target))
    if len(shape) > 1 and v.rank == 2 and set(shape[:-1]) == {1}:      # (1, 1, C): the channels may as well be put on axis 1
        return c.value(c.add(Reshape((shape[-1], *shape[:-1])), v), moved=True)
    return c.value(c.add(Reshape(shape), c.own(v)))


def _solved(before: Sequence[int | None], target: Sequence[int | None]) -> tuple[int | None, ...]:
    """The target with its free length worked out, where the sizes are known."""
    if None in before or sum(n in (None, -1) for n in target) != 1:
        return tuple(target)
    rest = math.prod(n for n in target if n not in (None, -1))          # type: ignore[misc]
    return tuple(math.prod(before) // rest if n in (None, -1) and rest else n for n in target)  # type: ignore[arg-type]


def reshape_layer(c: Call) -> Value:
    return reshape_to(c, c.x, _solved(c.x.shape[1:], c.op.target_shape))


def reshape(c: Call) -> Value:
    """Where Keras counts the batch in, it must stay as it is."""
    given = c.op.newshape
    first, *after = (given,) if isinstance(given, int) else tuple(given)
    before = c.x.shape[1:]
    after = list(_solved(before, after)) if first is None else after
    known = None not in before and not any(n in (None, -1) for n in after)
    if first not in (None, -1) or (known and math.prod(before) != math.prod(after)):            # type: ignore[arg-type]
        shown = f"({', '.join('None' if n in (None, -1) else str(n) for n in (first, *after))})"
        raise c.refuse(f"makes {shown} of {c.x.shape}, which moves entries between samples", "keep axis 0 as it is, or use -1 for it")
    return reshape_to(c, c.x, after)


def permuted(c: Call, v: Value, perm: Sequence[int]) -> Value:
    """A permutation of Keras's axes; nothing is done where the graph has that order already."""
    if perm[0] != 0:
        raise c.refuse(f"moves axis 0, the batch ({tuple(perm)})", "permute the other axes only")
    now = tuple(v.axis(k) for k in perm)
    name = v.name if now == tuple(range(v.rank)) else c.add(Transpose(now), v)
    return c.value(name)


def permute(c: Call) -> Value:
    return permuted(c, c.x, (0, *c.op.dims))


def transpose(c: Call) -> Value:
    return permuted(c, c.x, c.op.axes if c.op.axes is not None else tuple(range(c.x.rank))[::-1])


def moveaxis(c: Call) -> Value:
    return permuted(c, c.x, _order(c.x.rank, lambda x: np.moveaxis(x, c.op.source, c.op.destination)))


def swapaxes(c: Call) -> Value:
    return permuted(c, c.x, _order(c.x.rank, lambda x: np.swapaxes(x, c.op.axis1, c.op.axis2)))


def _order(rank: int, change: Callable[[Any], Any]) -> list[int]:
    """The permutation that a NumPy function of axes does: read off an array whose every axis has its own length."""
    return [n - 1 for n in change(np.empty(tuple(range(1, rank + 1)))).shape]


def expand_dims(c: Call) -> Value:
    v = c.own(c.x)
    axes = c.op.axis if isinstance(c.op.axis, (list, tuple)) else [c.op.axis]
    rank = v.rank + len(axes)
    new = tuple(sorted(k % rank for k in axes))
    if 0 in new:
        raise c.refuse("puts an axis before the batch", "expand another axis")
    return c.value(c.add(Unsqueeze(new), v))


def squeeze(c: Call) -> Value:
    v, given = c.x, c.op.axis
    axes = [k for k, n in enumerate(v.shape) if n == 1] if given is None else given if isinstance(given, (list, tuple)) else [given]
    gone = tuple(k % v.rank for k in axes)
    if 0 in gone:
        raise c.refuse("squeezes axis 0, the batch", "name the other axes")
    return c.value(c.add(Squeeze(tuple(sorted(v.axis(k) for k in gone))), v), still_moved(v, gone))


def repeat_vector(c: Call) -> Value:
    return c.value(c.add(Expand((c.op.n, -1)), c.add(Unsqueeze((1,)), c.x, tag="step")))


# ----- pieces and copies --------------------------------------------------------------------------------------------


def stack(c: Call) -> Value:
    values = [c.own(v) for v in c.values]
    axis = one_axis(c, c.op.axis, values[0].rank + 1)
    parts = [c.add(Unsqueeze((axis,)), v, tag=f"input{k}") for k, v in enumerate(values)]
    return c.value(c.add(Concat(axis), *parts))


def unstack(c: Call) -> tuple[Value, ...]:
    v = c.own(c.x)
    axis = one_axis(c, c.op.axis, v.rank)
    pieces = [c.add(Slice(axis, k, k + 1), v, tag=f"slice{k}") for k in range(c.size(v, axis))]
    return tuple(c.value(c.add(Squeeze((axis,)), piece, tag=f"{k}")) for k, piece in enumerate(pieces))


def split(c: Call) -> tuple[Value, ...]:
    v = c.x
    axis = one_axis(c, c.op.axis, v.rank)
    given = c.op.indices_or_sections
    n = c.size(v, axis)
    inner = list(range(0, n, n // given))[1:] if isinstance(given, int) else [int(k) for k in numpy_of(given)]
    ends = zip([0, *inner], [*inner, n])
    return tuple(c.value(c.add(Slice(v.axis(axis), *pair), v, tag=f"{k}"), v.moved) for k, pair in enumerate(ends))


def take(c: Call) -> Value:
    """Entries along an axis by constant indices."""
    indices = c.arg(1, "indices")
    if isinstance(indices, Value):
        raise c.refuse("has indices that are computed", "use constant indices, or keras.layers.Embedding for a table of weights")
    index = numpy_of(indices).astype(np.int64)
    v = c.x if index.ndim == 1 else c.own(c.x)
    axis = one_axis(c, c.op.axis, v.rank)
    index = np.where(index < 0, index + c.size(v, axis), index)
    name = c.add(Gather(v.axis(axis)), v, c.to.b.constant(index, f"{c.name}/indices"))
    return c.value(name, v.moved)


def repeat(c: Call) -> Value:
    v = c.x
    axis = one_axis(c, c.op.axis, v.rank)
    index = np.repeat(np.arange(c.size(v, axis)), numpy_of(c.op.repeats))
    return c.value(c.add(Gather(v.axis(axis)), v, c.to.b.constant(index, f"{c.name}/indices")), v.moved)


def tile(c: Call) -> Value:
    v = c.own(c.x)
    repeats = [int(k) for k in numpy_of(c.op.repeats).reshape(-1)]
    repeats = [1] * (v.rank - len(repeats)) + repeats
    if len(repeats) > v.rank or repeats[0] != 1:
        raise c.refuse(f"repeats axis 0, the batch ({repeats})", "repeat the other axes only")
    name = v.name
    for k, count in enumerate(repeats):
        name = c.add(Concat(k), *[name] * count, tag=f"axis{k}") if count > 1 else name
    return c.value(name)


def flip(c: Call) -> Value:
    v, name = c.x, c.x.name
    for k in some_axes(c, v):
        name = c.add(Slice(v.axis(k), None, None, -1), name, tag=f"axis{k}")
    return c.value(name, v.moved)


def pad(c: Call) -> Value:
    v = c.own(c.x)
    modes: dict[str, Literal["constant", "reflect", "edge"]] = {"constant": "constant", "reflect": "reflect", "edge": "edge"}
    if c.op.mode not in modes:
        raise c.refuse(f"has mode={c.op.mode!r}", "use 'constant', 'reflect' or 'edge'")
    width = c.op.pad_width
    pairs = [tuple(int(n) for n in p) for p in np.broadcast_to(numpy_of(width), (v.rank, 2))]
    if pairs[0] != (0, 0):
        raise c.refuse("pads axis 0, the batch", "pad the other axes only")
    value = c.arg(1, "constant_values")
    return c.value(c.add(Pad(tuple((a, b) for a, b in pairs[1:]), modes[c.op.mode], 0.0 if value is None else float(value)), v))


def broadcast_to(c: Call) -> Value:
    v = c.own(c.x)
    shape = tuple(c.op.shape)
    if v.rank != len(shape):
        raise c.refuse(f"adds axes ({v.shape} to {shape})", "use expand_dims first")
    return c.value(c.add(Expand(tuple(-1 if n is None or n == have else n for n, have in zip(shape[1:], v.shape[1:]))), v))


def get_item(c: Call) -> Value:
    """Slices, whole numbers, new axes and an ellipsis, applied from left to right."""
    v, key = c.x, c.arg(1, "key")
    keys = list(key) if isinstance(key, (tuple, list)) else [key]
    if any(not (k is None or k is Ellipsis or isinstance(k, (slice, int, np.integer))) for k in keys):
        raise c.refuse("is indexed by a tensor or a list", "use slices and whole numbers, or keras.ops.take")
    taken = sum(k is not None and k is not Ellipsis for k in keys)
    where_dots = next((k for k, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[where_dots : where_dots + 1] = [slice(None)] * (v.rank - taken)
    if keys[0] not in WHOLE:
        raise c.refuse("picks from axis 0, the batch", "samples must not mix: index the other axes")
    if any(not isinstance(k, slice) for k in keys):
        v = c.own(v)
    name, axis, gone, new, position = v.name, 0, [], [], 0
    for k in keys:
        if k is None:
            new.append(position)
            position += 1
            continue
        at = v.axis(axis)
        if isinstance(k, slice):
            position += 1
            if k not in WHOLE:
                name = c.add(Slice(at, k.start, k.stop, 1 if k.step is None else k.step), name, tag=f"axis{axis}")
        else:
            name = c.add(Slice(at, int(k), int(k) + 1 if k != -1 else None), name, tag=f"axis{axis}")
            gone.append(at)
        axis += 1
    name = c.add(Squeeze(tuple(gone)), name, tag="picked") if gone else name
    name = c.add(Unsqueeze(tuple(new)), name, tag="new_axes") if new else name
    return c.value(name, v.moved)


def roll(c: Call) -> Value:
    """What goes out at one end comes in at the other."""
    v = c.x
    axis = one_axis(c, c.op.axis if not isinstance(c.op.axis, (list, tuple)) else c.op.axis[0] if len(c.op.axis) == 1 else None, v.rank)
    n = c.size(v, axis)
    shift = int(numpy_of(c.op.shift).reshape(-1)[0]) % n
    if not shift:
        return c.map(Identity(), v)
    parts = [c.add(Slice(v.axis(axis), *ends), v, tag=f"part{k}") for k, ends in enumerate(((n - shift, n), (0, n - shift)))]
    return c.value(c.add(Concat(v.axis(axis)), *parts), v.moved)


def take_along_axis(c: Call) -> Value:
    """Entry by entry; the indices are a tensor or a constant."""
    v, indices = c.own(c.x), c.arg(1, "indices")
    axis = one_axis(c, c.op.axis, v.rank)
    if isinstance(indices, Value):
        index = c.own(indices).name
    else:
        index = c.to.b.constant(numpy_of(indices).astype(np.int64), f"{c.name}/indices")
    return c.value(c.add(GatherElements(axis), v, index))


OPERATIONS: dict[str, Lowering] = {
    "Reshape": reshape, "Transpose": transpose, "Moveaxis": moveaxis, "Swapaxes": swapaxes, "ExpandDims": expand_dims,
    "Squeeze": squeeze, "Stack": stack, "Unstack": unstack, "Split": split, "Take": take, "Repeat": repeat, "Tile": tile,
    "Flip": flip, "Pad": pad, "BroadcastTo": broadcast_to, "GetItem": get_item, "Roll": roll,
    "TakeAlongAxis": take_along_axis,
}
