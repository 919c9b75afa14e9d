"""``keras.ops`` on symbolic tensors: arithmetic, reductions, shape, indexing, products.

An operation's settings are attributes of its object (``op.axis``), its tensors are the arguments of the call; each tensor
may also be a constant.
"""

from __future__ import annotations

import math
import string
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np

from xaicore.ops import (
    Abs,
    Add,
    Ceil,
    Clip,
    Compare,
    Concat,
    Cos,
    Dense,
    Detach,
    Div,
    Einsum,
    Erf,
    Exp,
    Expand,
    Expm1,
    Floor,
    Gather,
    Identity,
    Log,
    Log1p,
    Logical,
    MatMul,
    Maximum,
    Mean,
    Minimum,
    Mul,
    Neg,
    Not,
    Op,
    Pad,
    Pow,
    Reciprocal,
    ReduceMax,
    ReduceMin,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Slice,
    Sqrt,
    Squeeze,
    Sub,
    Sum,
    ToBool,
    ToInt,
    Unsqueeze,
    Variance,
    Where,
)
from xaicore_keras.convert import Call, Lowering, Value, numpy_of
from xaicore_keras.lower_layers import floating, permuted, reshape_to

# ----- two operands -----------------------------------------------------------------------------------------------


def operands(c: Call, *given: Any, number: bool = True) -> tuple[list[str], Value]:
    """Names of tensors and constants that broadcast in one layout, and a Value with that layout."""
    tensors = [floating(c, v) if number and c.outs and _is_float(c, given) else v for v in given if isinstance(v, Value)]
    ranks = {v.rank for v in tensors}
    if len(ranks) > 1:
        shapes = " and ".join(str(v.shape) for v in tensors)
        raise c.refuse(f"combines tensors of different rank, {shapes}, so that the batch meets another axis", "use expand_dims first")
    moved = any(v.moved for v in tensors)
    queue = iter([c.moved(v) if moved else v for v in tensors])
    out = [next(queue) if isinstance(v, Value) else v for v in given]
    like = next(v for v in out if isinstance(v, Value))
    names = [v.name if isinstance(v, Value) else c.constant(v, like) for v in out]
    image = like.image if sum(isinstance(v, Value) for v in out) == 1 else ""
    return names, replace(c.value("", like.moved), image=image)


def _is_float(c: Call, given: Sequence[Any]) -> bool:
    kinds = [v.kind if isinstance(v, Value) else "float" if numpy_of(v).dtype.kind == "f" else "int" for v in given]
    return "float" in kinds or type(c.op).__name__ in ("Divide", "TrueDivide")


def pair(op: Op) -> Lowering:
    def lowering(c: Call) -> Value:
        names, v = operands(c, c.arg(0, "x1"), c.arg(1, "x2"))
        return replace(v, name=c.add(op, *names))

    return lowering


def logical(kind: Literal["and", "or", "xor"]) -> Lowering:
    def lowering(c: Call) -> Value:
        names, v = operands(c, c.arg(0, "x1"), c.arg(1, "x2"), number=False)
        return replace(v, name=c.add(Logical(kind), *names))

    return lowering


def power(c: Call) -> Value:
    base, exponent = c.arg(0, "x1"), c.arg(1, "x2")
    if isinstance(exponent, Value) or numpy_of(exponent).ndim:
        raise c.refuse("has an exponent that is not one number", "write it as exp(exponent * log(base))")
    value = float(numpy_of(exponent))
    return c.map(Pow(int(value) if value.is_integer() else value), floating(c, base))


def where(c: Call) -> Value:
    condition, a, b = c.arg(0, "condition"), c.arg(1, "x1"), c.arg(2, "x2")
    if a is None or b is None:
        raise c.refuse("has no values to choose from", "give x1 and x2")
    if not isinstance(condition, Value):
        condition = numpy_of(condition).astype(bool)
    elif condition.kind != "bool":
        condition = c.map(ToBool(), condition, tag="condition")
    names, v = operands(c, condition, a, b, number=False)
    return replace(v, name=c.add(Where(), *names))


# ----- one operand ------------------------------------------------------------------------------------------------


def each(op: Op) -> Lowering:
    return lambda c: c.map(op, floating(c, c.x))


def scaled_log(factor: float) -> Lowering:
    return lambda c: c.map(Mul(), c.map(Log(), floating(c, c.x), tag="log"), c.constant(factor, tag="factor"))


def clip(c: Call) -> Value:
    low, high = (None if v is None else float(numpy_of(v)) for v in (c.op.x_min, c.op.x_max))
    return c.map(Clip(low, high), c.x)


def rounded(c: Call) -> Value:
    if c.op.decimals:
        raise c.refuse(f"rounds to {c.op.decimals} decimals", "round to whole numbers")
    return c.map(Round(), c.x)


def cast(c: Call) -> Value:
    dtype = str(c.op.dtype)
    if "float" in dtype:
        return c.map(Identity(), c.x) if c.x.kind == "float" else floating(c, replace(c.x))
    return c.map(ToBool() if dtype == "bool" else ToInt(), c.x)


# ----- reductions -------------------------------------------------------------------------------------------------


def reduction(make: Callable[[tuple[int, ...], bool], Op], after: Op | None = None) -> Lowering:
    """A row for an operation that reduces ``axis``; ``after`` comes behind it (the root of a variance)."""

    def lowering(c: Call) -> Value:
        if getattr(c.op, "initial", None) is not None:
            raise c.refuse("has an initial value", "leave it out, or take the maximum with it afterwards")
        v = floating(c, c.x)
        axes = _axes(c, v)
        name = c.add(make(tuple(v.axis(k) for k in axes), bool(c.op.keepdims)), v, tag="variance" if after else "")
        return c.value(c.add(after, name) if after else name, _still_moved(v, axes, bool(c.op.keepdims)))

    return lowering


def _axes(c: Call, v: Value) -> tuple[int, ...]:
    given = c.op.axis
    axes = tuple(range(v.rank)) if given is None else tuple(k % v.rank for k in (given if isinstance(given, (list, tuple)) else [given]))
    if 0 in axes:
        raise c.refuse(f"reduces axis 0, the batch (axis={given})", "samples must not mix: name the other axes")
    return axes


def _still_moved(v: Value, gone: Sequence[int], keepdims: bool = False) -> bool:
    """Are the channels still on axis 1, and last in Keras, when these axes have gone?"""
    return v.moved and (keepdims or ((v.rank - 1) not in gone and v.rank - len(gone) > 2))


def logsumexp(c: Call) -> Value:
    """m + log(sum(exp(x - m))) with the maximum m, which cancels and so carries no signal."""
    v = c.x
    axes = _axes(c, v)
    at = tuple(v.axis(k) for k in axes)
    top = c.add(Detach(shared=True), c.add(ReduceMax(at, True), v, tag="max"), tag="shift")
    total = c.add(Sum(at, True), c.add(Exp(), c.add(Sub(), v, top, tag="shifted"), tag="exp"), tag="sum")
    whole = c.add(Add(), c.add(Log(), total, tag="log"), top, tag="" if c.op.keepdims else "kept")
    return c.value(whole if c.op.keepdims else c.add(Squeeze(at), whole), _still_moved(v, axes, bool(c.op.keepdims)))


# ----- shape ------------------------------------------------------------------------------------------------------


def reshape(c: Call) -> Value:
    """Where Keras counts the batch in, it must stay as it is."""
    before, after = c.x.shape[1:], c.outs[0][1:]
    if c.outs[0][0] is not None and c.x.shape[0] is None:
        raise c.refuse(f"makes {c.outs[0]} of {c.x.shape}, which moves entries between samples", "keep axis 0 as it is, or use -1 for it")
    if None not in before and None not in after and math.prod(n or 0 for n in before) != math.prod(n or 0 for n in after):
        raise c.refuse(f"makes {c.outs[0]} of {c.x.shape}, which moves entries between samples", "keep axis 0 as it is")
    return reshape_to(c, c.x, after)


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
    return c.value(c.add(Squeeze(tuple(sorted(v.axis(k) for k in gone))), v), _still_moved(v, gone))


def _other_axis(c: Call, axis: int | None, rank: int) -> int:
    if axis is None or axis % rank == 0:
        raise c.refuse(f"works along axis {axis}, which is or contains the batch", "samples must not mix: use another axis")
    return axis % rank


def stack(c: Call) -> Value:
    values = [c.own(v) for v in c.values]
    axis = _other_axis(c, c.op.axis, values[0].rank + 1)
    parts = [c.add(Unsqueeze((axis,)), v, tag=f"input{k}") for k, v in enumerate(values)]
    return c.value(c.add(Concat(axis), *parts))


def unstack(c: Call) -> tuple[Value, ...]:
    v = c.own(c.x)
    axis = _other_axis(c, c.op.axis, v.rank)
    pieces = [c.add(Slice(axis, k, k + 1), v, tag=f"slice{k}") for k in range(len(c.outs))]
    return tuple(c.value(c.add(Squeeze((axis,)), piece, tag=f"{k}")) for k, piece in enumerate(pieces))


def split(c: Call) -> tuple[Value, ...]:
    v = c.x
    axis = _other_axis(c, c.op.axis, v.rank)
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
    axis = _other_axis(c, c.op.axis, v.rank)
    index = np.where(index < 0, index + c.size(v, axis), index)
    name = c.add(Gather(v.axis(axis)), v, c.to.b.constant(index, f"{c.name}/indices"))
    return c.value(name, v.moved)


def repeat(c: Call) -> Value:
    v = c.x
    axis = _other_axis(c, c.op.axis, v.rank)
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
    for k in _axes(c, v):
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
    shape = c.outs[0]
    if v.rank != len(shape):
        raise c.refuse(f"adds axes ({v.shape} to {shape})", "use expand_dims first")
    return c.value(c.add(Expand(tuple(-1 if n is None else n for n in shape[1:])), v))


def get_item(c: Call) -> Value:
    """Slices, whole numbers, new axes and an ellipsis, applied from left to right."""
    v, key = c.x, c.arg(1, "key")
    keys = list(key) if isinstance(key, tuple) else [key]
    if any(not (k is None or k is Ellipsis or isinstance(k, (slice, int, np.integer))) for k in keys):
        raise c.refuse("is indexed by a tensor or a list", "use slices and whole numbers, or keras.ops.take")
    taken = sum(k is not None and k is not Ellipsis for k in keys)
    where_dots = next((k for k, one in enumerate(keys) if one is Ellipsis), len(keys))
    keys[where_dots : where_dots + 1] = [slice(None)] * (v.rank - taken)
    if keys[0] is None or (keys[0] != slice(None) and keys[0] != slice(0, None)):
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
            if k not in (slice(None), slice(0, None), slice(None, None, 1)):
                name = c.add(Slice(at, k.start, k.stop, 1 if k.step is None else k.step), name, tag=f"axis{axis}")
        else:
            name = c.add(Slice(at, int(k), int(k) + 1 if k != -1 else None), name, tag=f"axis{axis}")
            gone.append(at)
        axis += 1
    name = c.add(Squeeze(tuple(gone)), name, tag="picked") if gone else name
    name = c.add(Unsqueeze(tuple(new)), name, tag="new_axes") if new else name
    return c.value(name, v.moved)


# ----- products ---------------------------------------------------------------------------------------------------


def matmul(c: Call) -> Value:
    """A constant matrix on the right makes a dense layer; two tensors of one rank are multiplied sample by sample."""
    a, b = c.arg(0, "x1"), c.arg(1, "x2")
    if isinstance(a, Value) and not isinstance(b, Value) and numpy_of(b).ndim == 2:
        w = c.param(b, np.transpose, "transposed")
        return c.value(c.add(Dense(), c.own(floating(c, a)), w))
    tensors = [v for v in (a, b) if isinstance(v, Value)]
    if type(c.op).__name__ == "Dot" or any(v.rank < 3 for v in tensors) or len({v.rank for v in tensors}) > 1:
        shapes = " and ".join(str(v.shape) for v in tensors)
        raise c.refuse(f"multiplies {shapes}, so that samples would meet", "use tensors of one rank, at least (N, I, J), or einsum")
    like = c.own(tensors[0])
    names = [c.own(floating(c, v)).name if isinstance(v, Value) else c.constant(v, like) for v in (a, b)]
    return c.value(c.add(MatMul(), *names))


def einsum(c: Call) -> Value:
    terms, arrow, out = c.op.subscripts.replace(" ", "").partition("->")
    inputs = terms.split(",")
    if not arrow:
        raise c.refuse("has an equation without an output", "write '->' and the labels of the output")
    free = iter([one for one in string.ascii_letters if one not in terms + out])
    rank = max((len(v.shape) if isinstance(v, Value) else numpy_of(v).ndim) - len(t.replace("...", "")) for t, v in zip(inputs, c.args))
    dots = "".join(next(free) for _ in range(rank)) if "..." in terms else ""
    inputs, out = [t.replace("...", dots) for t in inputs], out.replace("...", dots)
    names = []
    for term, v in zip(inputs, c.args):
        if isinstance(v, Value):
            if term[0] != out[:1]:
                raise c.refuse(f"has the equation {c.op.subscripts!r}, which mixes or moves the batch", "keep the batch first everywhere")
            names.append(c.own(floating(c, v)).name)
        else:
            names.append(c.constant(v))
    return c.value(c.add(Einsum(f"{','.join(inputs)}->{out}"), *names))


# ----- the tables -------------------------------------------------------------------------------------------------

PAIRS: dict[str, Op] = {
    "Add": Add(), "Subtract": Sub(), "Multiply": Mul(), "Divide": Div(), "TrueDivide": Div(), "Maximum": Maximum(), "Minimum": Minimum(),
    "Equal": Compare("eq"), "NotEqual": Compare("ne"), "Less": Compare("lt"), "LessEqual": Compare("le"), "Greater": Compare("gt"),
    "GreaterEqual": Compare("ge"),
}

EACH: dict[str, Op] = {
    "Negative": Neg(), "Absolute": Abs(), "Abs": Abs(), "Square": Pow(2), "Sqrt": Sqrt(), "Rsqrt": Rsqrt(), "Reciprocal": Reciprocal(),
    "Expm1": Expm1(), "Log": Log(), "Log1p": Log1p(), "Erf": Erf(), "Sin": Sin(), "Cos": Cos(), "Sign": Sign(), "Floor": Floor(),
    "Ceil": Ceil(), "StopGradient": Detach(), "Copy": Identity(),
}

OTHERS: dict[str, Lowering] = {
    "Power": power, "Where": where, "Clip": clip, "Round": rounded, "Cast": cast, "LogicalNot": lambda c: c.map(Not(), c.x),
    "LogicalAnd": logical("and"), "LogicalOr": logical("or"), "LogicalXor": logical("xor"),
    "Log2": scaled_log(1 / math.log(2)), "Log10": scaled_log(1 / math.log(10)),
    "Sum": reduction(Sum), "Mean": reduction(Mean), "Max": reduction(ReduceMax), "Amax": reduction(ReduceMax),
    "Min": reduction(ReduceMin), "Amin": reduction(ReduceMin), "Var": reduction(Variance), "Std": reduction(Variance, Sqrt()),
    "Logsumexp": logsumexp,
    "Reshape": reshape, "Transpose": transpose, "Moveaxis": moveaxis, "Swapaxes": swapaxes, "ExpandDims": expand_dims,
    "Squeeze": squeeze, "Stack": stack, "Unstack": unstack, "Split": split, "Take": take, "Repeat": repeat, "Tile": tile,
    "Flip": flip, "Pad": pad, "BroadcastTo": broadcast_to, "GetItem": get_item,
    "Matmul": matmul, "Dot": matmul, "Einsum": einsum,
}

OPERATIONS: dict[str, Lowering] = {**{k: pair(op) for k, op in PAIRS.items()}, **{k: each(op) for k, op in EACH.items()}, **OTHERS}
