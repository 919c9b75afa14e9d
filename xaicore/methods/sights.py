"""What an entry of an operator's output sees of its input along each axis, and the boxes that follow: which part of a value changes.

What is seen is said once for each operator, in ``sights``; ``tests/methods/test_local.py`` proves it for every case of every operator.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import numpy as np

from xaicore.numerics import Array, scalar
from xaicore.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Concat,
    Conv,
    Dense,
    Detach,
    Div,
    Dropout,
    Identity,
    LayerNorm,
    LocalResponseNorm,
    LogSoftmax,
    LpPool,
    Maximum,
    MaxPool,
    Minimum,
    Mul,
    Op,
    Pad,
    RMSNorm,
    Slice,
    Softmax,
    Split,
    Sub,
    Transpose,
    Where,
)


class Sight(NamedTuple):
    """Entry o of the output sees the entries o * stride - before + (0 .. span - 1) of ``axis`` of the input; span 0: all of them."""

    axis: int
    stride: int = 1
    before: int = 0
    span: int = 1


POINTWISE = (Add, Sub, Mul, Div, Maximum, Minimum, Where, Identity, Dropout, Detach)
"""Besides every operator that claims to be elementwise."""

MIXES: Mapping[type[Op], Callable[[Any, int], tuple[int, ...]]] = {
    Dense: lambda op, rank: (rank - 1,), BatchNorm: lambda op, rank: (1,), LocalResponseNorm: lambda op, rank: (1,),
    LayerNorm: lambda op, rank: tuple(range(rank - op.axes, rank)), RMSNorm: lambda op, rank: tuple(range(rank - op.axes, rank)),
    Concat: lambda op, rank: (op.axis % rank,), Slice: lambda op, rank: (op.axis % rank,), Split: lambda op, rank: (op.axis % rank,),
    Softmax: lambda op, rank: (op.axis % rank,), LogSoftmax: lambda op, rank: (op.axis % rank,),
}
"""(operator, rank) -> the axes along which everything is seen; along the others each entry sees its own place."""


def sights(op: Op, shapes: Sequence[tuple[int, ...]], constant: Sequence[bool], out: tuple[int, ...]) -> tuple[Sight, ...] | None:
    """For each axis of the output but the batch, what it sees of every input with a batch; None: everything, or it is not known.

    ``constant`` inputs are those without a batch, which are used as they are: an axis along which one of them is not the same everywhere
    counts as seen whole.
    """
    rank = len(out)
    alone = not constant[0] and all(constant[1:])                       # one input with a batch, then parameters
    if isinstance(op, (Conv, MaxPool, AvgPool, LpPool)) and alone:
        return _windows(op, shapes)
    if isinstance(op, Transpose):
        return tuple(Sight(axis) for axis in op.perm[1:])
    if isinstance(op, Pad) and op.mode == "constant":
        return tuple(Sight(axis, 1, before) for axis, (before, _) in enumerate(((0, 0),) * (rank - len(op.pads)) + op.pads))[1:]
    if type(op) in MIXES and (alone or (isinstance(op, Concat) and not any(constant))):
        whole = {*MIXES[type(op)](op, rank)}
    elif (op.elementwise or isinstance(op, POINTWISE)) and all(s == out for s, fixed in zip(shapes, constant) if not fixed):
        whole = {rank - len(s) + axis for s, fixed in zip(shapes, constant) if fixed for axis, n in enumerate(s) if n > 1}
    else:
        return None
    return None if 0 in whole else tuple(Sight(axis, span=0 if axis in whole else 1) for axis in range(1, rank))


def _windows(op: Any, shapes: Sequence[tuple[int, ...]]) -> tuple[Sight, ...] | None:
    """Sliding windows over space. A mean over the entries inside alone is another operator at the edges: None."""
    space = len(shapes[0]) - 2
    kernel = shapes[1][2:] if isinstance(op, Conv) else op.kernel
    if isinstance(op, AvgPool) and op.divisor is None and (op.ceil or (any(map(any, op.pads)) and not op.count_include_pad)):
        return None
    stride = op.stride or ((1,) * space if isinstance(op, Conv) else kernel)
    dilation, pads = op.dilation or (1,) * space, op.pads or ((0, 0),) * space
    channels = Sight(1, span=0 if isinstance(op, Conv) else 1)
    return (channels, *(Sight(2 + k, stride[k], pads[k][0], (kernel[k] - 1) * dilation[k] + 1) for k in range(space)))


def inside(op: Any) -> Op:
    """The operator for an input that has its padding already."""
    if isinstance(op, Conv):
        return replace(op, pads=())
    if isinstance(op, (MaxPool, AvgPool, LpPool)):
        return replace(op, pads=(), ceil=False)
    return Identity() if isinstance(op, Pad) else op


def padding(op: Op, *seen: Array) -> Any:
    """What stands beyond the edges: 0, what a Pad says, and for a maximum nothing that could win against what is ``seen``."""
    return min(x.min() for x in seen) if isinstance(op, MaxPool) else scalar(op.value if isinstance(op, Pad) else 0, seen[0])


# ----- boxes ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Boxes:
    """For each of M points the entries ``start`` to ``stop`` - 1, (M, axes), along every axis but the batch; none where stop <= start."""

    start: Array
    stop: Array

    @property
    def size(self) -> Array:
        return np.asarray(np.maximum(self.stop - self.start, 0))

    def rows(self, these: Array) -> Boxes:
        return Boxes(self.start[these], self.stop[these])

    def __or__(self, other: Boxes) -> Boxes:
        return Boxes(np.minimum(self.start, other.start), np.maximum(self.stop, other.stop))

    def seen_by(self, see: Sequence[Sight], shape: tuple[int, ...]) -> Boxes:
        """The entries of an output of ``shape`` that see something of these: o * stride - before + span > start and <= stop - 1."""
        start, stop = (np.empty((len(self.start), len(see)), int) for _ in range(2))
        for k, (axis, stride, before, span) in enumerate(see):
            low, high, n = self.start[:, axis - 1], self.stop[:, axis - 1], shape[1 + k]
            start[:, k] = np.clip(-((span - 1 - low - before) // stride), 0, n) if span else 0
            stop[:, k] = np.clip((high - 1 + before) // stride + 1, 0, n) if span else n
        nothing = (self.stop <= self.start).any(axis=1, keepdims=True) & np.array([one.span > 0 for one in see])
        return Boxes(np.where(nothing, shape[1:], start), np.where(nothing, 0, stop))

    def level(self, shape: tuple[int, ...]) -> tuple[Array, tuple[int, ...]]:
        """(start, size): boxes of one size, that of the largest, that cover these and lie in a value of ``shape``."""
        size = np.maximum(self.size.max(axis=0), 1)
        return np.minimum(self.start, np.array(shape[1:]) - size), tuple(size.tolist())
