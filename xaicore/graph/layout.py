"""Where a framework keeps the batch of a value, and how that value lies in the graph, whose axis 0 is always the batch.

Frameworks move the batch: attention in torch works on (T, N, E), on (T, N * H, d) and on (N * T, E). The graph does not. A
``Layout`` says, for one value, how its framework shape is made of the graph's axes; its methods say what a permutation or a
reshape of the framework's becomes in the graph, and refuse what would mix samples. There is no framework in here: shapes
are plain integers (a backend with a symbolic batch puts a large prime number in its place), values NumPy arrays.

The graph's value always has the framework's axes in the framework's order, with the batch taken out and put in front:

    framework (N, C, H, W)    graph (N, C, H, W)    parts ((0,), (1,), (2,), (3,))      the usual case: nothing to do
    framework (T, N, E)       graph (N, T, E)       parts ((1,), (0,), (2,))
    framework (T, N * H, d)   graph (N, T, H, d)    parts ((1,), (0, 2), (3,))
    framework (N * T, E)      graph (N, T, E)       parts ((0, 1), (2,))
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

import numpy as np

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import Flatten, Op, Reshape, Transpose


@dataclass(frozen=True)
class Layout:
    """A framework value of ``shape`` whose axis ``axis`` is ``before * batch * after`` long, row-major.

    ``before`` and ``after`` are 1 unless the framework has merged other axes into the batch's. Raises ConversionError for
    numbers that do not fit each other: the value has no batch on that axis.
    """

    shape: tuple[int, ...]
    batch: int
    axis: int = 0
    before: int = 1
    after: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.axis < len(self.shape) or self.shape[self.axis] != self.before * self.batch * self.after:
            raise ConversionError(f"a value of shape {self.shape} has no batch of {self.batch} on axis {self.axis}")

    # ----- reading ----------------------------------------------------------------------------------------------------

    @property
    def trivial(self) -> bool:
        """Does the value lie in the graph as in the framework: the batch alone on axis 0?"""
        return self.axis == 0 and self.before == self.after == 1

    @property
    def merged(self) -> tuple[int, ...]:
        """The sizes that the framework has merged with the batch, in order; () in the usual case."""
        return tuple(n for n in (self.before, self.after) if n != 1)

    @property
    def graph_shape(self) -> tuple[int, ...]:
        """The shape in the graph."""
        return (self.batch, *self.shape[: self.axis], *self.merged, *self.shape[self.axis + 1 :])

    @property
    def parts(self) -> tuple[tuple[int, ...], ...]:
        """For each framework axis the graph's axes that it is made of, outermost first.

        >>> Layout((7, 2 * 3, 4), batch=2, axis=1, after=3).parts
        ((1,), (0, 2), (3,))
        """
        found: list[tuple[int, ...]] = []
        free = 1
        for k in range(len(self.shape)):
            if k != self.axis:
                found.append((free,))
                free += 1
                continue
            inner: list[int] = [0]
            if self.before != 1:
                inner.insert(0, free)
                free += 1
            if self.after != 1:
                inner.append(free)
                free += 1
            found.append(tuple(inner))
        return tuple(found)

    def graph_axis(self, axis: int) -> int:
        """The graph's axis that framework axis ``axis`` is; ConversionError for the one with the batch."""
        k = self.framework_axis(axis)
        if k == self.axis:
            raise ConversionError(f"it works along axis {k} of a value of shape {self.shown()}, where the batch is, so it mixes samples")
        return self.parts[k][0]

    def framework_axis(self, axis: int) -> int:
        """``axis`` counted from the front; ConversionError outside the value."""
        k = axis + len(self.shape) if axis < 0 else axis
        if not 0 <= k < len(self.shape):
            raise ConversionError(f"axis {axis} is outside a value of shape {self.shown()}")
        return k

    def shown(self) -> str:
        """The framework's shape with the batch written as N, for messages."""
        sizes = [str(n) for n in self.shape]
        sizes[self.axis] = " * ".join(["N" if n is None else str(n) for n in (self.before, None, self.after) if n != 1])
        return f"({', '.join(sizes)}{',' if len(sizes) == 1 else ''})"

    # ----- moving axes ------------------------------------------------------------------------------------------------

    def permute(self, perm: Sequence[int]) -> tuple[Layout, Op | None]:
        """The layout after framework axis perm[k] has become axis k, and the graph's operator for it (None: nothing moves).

        >>> Layout((2, 7, 4), batch=2).permute((1, 0, 2))[1] is None            # (N, T, E) -> (T, N, E): the graph keeps (N, T, E)
        True
        """
        perm = tuple(self.framework_axis(k) for k in perm)
        moved = replace(self, shape=tuple(self.shape[k] for k in perm), axis=perm.index(self.axis))
        order = (0, *(k for j in perm for k in self.parts[j] if k != 0))
        return moved, None if order == tuple(range(len(order))) else Transpose(order)

    def reshape(self, shape: Sequence[int]) -> tuple[Layout, Op | None]:
        """The layout after a row-major reshape to ``shape`` (every size given), and the graph's operator for it.

        What stands before and after the batch in row-major order must stay so: a shape that cuts through the batch, or moves
        entries from one side of it to the other, is a ConversionError.

        >>> moved, op = Layout((7, 2, 12), batch=2, axis=1).reshape((7, 2 * 3, 4))
        >>> moved.parts, str(op)
        (((1,), (0, 2), (3,)), 'Reshape(shape=(7, 3, 4))')
        """
        shape = tuple(shape)
        ahead = prod(self.shape[: self.axis]) * self.before
        behind = prod(self.shape[self.axis + 1 :]) * self.after
        for k in range(len(shape)):
            outer, inner = prod(shape[:k]), prod(shape[k + 1 :])
            if outer and inner and ahead % outer == 0 and behind % inner == 0:
                before, after = ahead // outer, behind // inner
                if before * self.batch * after == shape[k]:
                    moved = Layout(shape, self.batch, k, before, after)
                    return moved, _reshaped(self.graph_shape, moved.graph_shape)
        free = self.batch > max([1, *self.graph_shape[1:]])             # a multiple of it is then no size of the model's own
        sizes = [f"{n // self.batch} * N".removeprefix("1 * ") if free and n and n % self.batch == 0 else str(n) for n in shape]
        raise ConversionError(f"it reshapes {self.shown()} to ({', '.join(sizes)}), which tears the batch N apart, so it mixes samples")

    def resized(self, shape: Sequence[int]) -> Layout:
        """The layout of a value with as many axes and the batch on the same one, other sizes being ``shape``'s."""
        if len(shape) != len(self.shape):
            raise ConversionError(f"a value of shape {self.shown()} became one of {len(shape)} axes")
        return replace(self, shape=tuple(shape))

    def without(self, axes: Sequence[int]) -> Layout:
        """The layout when framework ``axes`` (not the batch's) are gone, as after a sum over them."""
        gone = {self.framework_axis(k) for k in axes}
        for k in gone:
            self.graph_axis(k)
        kept = [k for k in range(len(self.shape)) if k not in gone]
        return replace(self, shape=tuple(self.shape[k] for k in kept), axis=kept.index(self.axis))

    def lifted(self, rank: int) -> tuple[Layout, Op | None]:
        """With axes of 1 in front, up to ``rank`` axes, as broadcasting adds them."""
        return self.reshape((1,) * (rank - len(self.shape)) + self.shape)

    # ----- values -----------------------------------------------------------------------------------------------------

    def to_graph(self, value: Array) -> Array:
        """A framework value of this layout, of any number of samples, as the graph has it."""
        samples = value.shape[self.axis] // (self.before * self.after)
        apart = value.reshape(*value.shape[: self.axis], self.before, samples, self.after, *value.shape[self.axis + 1 :])
        front = np.moveaxis(apart, self.axis + 1, 0)
        return front.reshape(samples, *value.shape[: self.axis], *self.merged, *value.shape[self.axis + 1 :])

    def constant(self, value: Array) -> Array:
        """A constant of the framework, laid out to broadcast with the graph's value: its batch axis is 1.

        Along the framework's batch axis it may be 1 long, or as long as the batch was when it was computed, if it is the same
        for every sample; else ConversionError.
        """
        missing = len(self.shape) - value.ndim
        if missing < 0:
            raise ConversionError(f"a constant of shape {value.shape} has more axes than the result {self.shown()}")
        if self.trivial and (missing or value.shape[0] == 1):
            return value                                            # NumPy broadcasts from the last axis backwards, as all frameworks do
        value = value.reshape((1,) * missing + value.shape)
        if value.shape[self.axis] == 1:
            return value.reshape(1, *value.shape[: self.axis], *(1 for _ in self.merged), *value.shape[self.axis + 1 :])
        if value.shape[self.axis] % (self.before * self.after):
            raise ConversionError(f"a constant of shape {value.shape} does not fit {self.shown()}")
        laid = self.to_graph(value)
        if not (laid == laid[:1]).all():
            raise ConversionError(f"a constant of shape {value.shape} differs from sample to sample of the batch")
        return laid[:1]


def common(layouts: Sequence[Layout], shape: Sequence[int]) -> Layout:
    """The layout of a result of ``shape`` to which values of these layouts broadcast; the batch must meet the batch.

    >>> common([Layout((2, 7, 4), 2), Layout((2, 1, 4), 2)], (2, 7, 4)).trivial
    True
    """
    first = layouts[0]
    where = {(one.axis + len(shape) - len(one.shape), one.before, one.after) for one in layouts}
    if len(where) > 1:
        shapes = " and ".join(one.shown() for one in layouts)
        raise ConversionError(f"it combines values of shapes {shapes}, where the batch N of one meets another axis, so it mixes samples")
    axis, before, after = where.pop()
    return Layout(tuple(shape), first.batch, axis, before, after)


def _reshaped(have: tuple[int, ...], want: tuple[int, ...]) -> Op | None:
    if have == want:
        return None
    return Flatten() if len(want) == 2 and len(have) > 2 else Reshape(want[1:])
