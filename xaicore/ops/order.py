"""Operators that compare entries: where the largest stand along an axis or in a window, the k largest, one-hot codes.

Where the largest stand is a whole number, through which no signal passes; the largest themselves are entries of x.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, filled, scalar
from xaicore.ops.index import GatherElements
from xaicore.ops.logic import Blocking
from xaicore.ops.op import Op, batchless
from xaicore.ops.pool import MaxPool, Window
from xaicore.ops.shape import check_indices

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


@dataclass(frozen=True)
class _Arg(Blocking):
    """The position of an extreme entry; of equal ones the first, with ``last`` the last."""

    axis: int
    keepdims: bool = False
    last: bool = False

    def forward(self, *xs: Array) -> Array:
        (axis,) = batchless((self.axis,), xs[0].ndim, self)
        found = first_of(xs[0], axis, self.last, largest=isinstance(self, ArgMax))
        return found if self.keepdims else found.squeeze(axis)


@final
@dataclass(frozen=True)
class ArgMax(_Arg):
    """y = the position of the largest entry along ``axis``, int64; of equal ones the first, with ``last`` the last.

    Raises ShapeError for the batch axis.   Same as: np.argmax, torch.argmax, ONNX ArgMax, whose select_last_index is ``last``.
    """


@final
@dataclass(frozen=True)
class ArgMin(_Arg):
    """y = the position of the smallest entry along ``axis``, int64; of equal ones the first, with ``last`` the last.

    Raises ShapeError for the batch axis.   Same as: np.argmin, torch.argmin, ONNX ArgMin, whose select_last_index is ``last``.
    """


@final
@dataclass(frozen=True)
class Hardmax(Blocking):
    """y = 1 at the first largest entry along ``axis`` and 0 elsewhere, in the arithmetic of x; derivative 0 everywhere.

    Raises ShapeError for the batch axis.   Same as: ONNX Hardmax from opset 13 on.
    """

    axis: int = -1

    def forward(self, *xs: Array) -> Array:
        (axis,) = batchless((self.axis,), xs[0].ndim, self)
        y = filled(xs[0].shape, 0, xs[0])
        np.put_along_axis(y, first_of(xs[0], axis), scalar(1, y), axis)
        return y


@final
@dataclass(frozen=True)
class OneHot(Blocking):
    """y[n, ..., k, ...] = 1 where k = ids[n, ...], else 0, int64: ids (N, ...) of integers, a new axis of ``depth`` entries.

    ``axis`` is its place in y. Ids from -depth to -1 count from the end, and for ids outside every entry is 0.
    Raises ShapeError for the batch axis and depth < 1, InputError for ids that are no integers.
    Same as: ONNX OneHot with the values (0, 1), tf.one_hot; torch.nn.functional.one_hot refuses ids outside 0 to depth - 1.
    """

    depth: int
    axis: int = -1

    def __post_init__(self) -> None:
        if self.depth < 1:
            raise ShapeError(f"{self}: depth must be at least 1")

    def forward(self, *xs: Array) -> Array:
        (ids,) = xs
        (axis,) = batchless((self.axis,), ids.ndim + 1, self)
        check_indices(ids, np.iinfo(np.int64).min, np.iinfo(np.int64).max, self)
        places = np.arange(self.depth).reshape(-1, *(1,) * (ids.ndim - axis))
        ids = np.expand_dims(np.where(ids < 0, ids + self.depth, ids), axis)
        return np.asarray(ids == places, np.int64)


@dataclass(frozen=True)
class _Top(Op):
    """The ``k`` largest (smallest) entries along ``axis``, in order; of equal ones the first first."""

    axis: int
    k: int
    largest: bool = True

    def __post_init__(self) -> None:
        if self.k < 1:
            raise ShapeError(f"{self}: k must be at least 1")

    def order(self, x: Array) -> tuple[Array, int]:
        """Where they stand, and the axis."""
        (axis,) = batchless((self.axis,), x.ndim, self)
        if self.k > x.shape[axis]:
            raise ShapeError(f"{self}: axis {axis} of x {x.shape} has {x.shape[axis]} entries, so k is {x.shape[axis]} at most")
        if self.largest:                                   # a stable order of the reversed axis, read backwards
            order = x.shape[axis] - 1 - np.flip(np.argsort(np.flip(x, axis), axis, kind="stable"), axis)
        else:
            order = np.argsort(x, axis, kind="stable")
        return np.take(order, np.arange(self.k), axis), axis


@final
@dataclass(frozen=True)
class TopK(_Top):
    """y = the ``k`` largest entries along ``axis`` in descending order (not ``largest``: the smallest, ascending).

    x (N, ..., L, ...) -> (N, ..., k, ...). With k = L it sorts. Of equal entries the first comes first.
    The signal goes to the entries that were taken. Expands to GatherElements of TopKIndices: LRP conserves; DeepLIFT completes
    where the baseline takes the same entries, and refuses a baseline that does not.
    Raises ShapeError for the batch axis and for k larger than the axis.
    Same as: torch.topk (whose order among equals is not defined), ONNX TopK; its positions are TopKIndices.
    """

    composite: ClassVar[bool] = True

    def forward(self, *xs: Array) -> Array:
        return np.take_along_axis(xs[0], *self.order(xs[0]))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        at, axis = self.order(xs[0])
        out = filled(xs[0].shape, 0, g)
        np.put_along_axis(out, at, g, axis)
        return out

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        """x_i - x_j of all pairs i < j: between two changes of sign the order, and with it who is taken, is the same."""
        (x,) = xs
        (axis,) = batchless((self.axis,), x.ndim, str(self))
        rows = np.moveaxis(x, axis, -1)
        i, j = np.triu_indices(x.shape[axis], 1)
        return (rows[..., i] - rows[..., j],)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        at = b.add(TopKIndices(self.axis, self.k, self.largest), inputs[0], name="indices")
        return b.add(GatherElements(self.axis), inputs[0], at)


@final
@dataclass(frozen=True)
class TopKIndices(_Top, Blocking):
    """y = the positions, int64, of what TopK with the same settings returns.   Raises ShapeError as TopK does.

    Same as: the second result of torch.topk and of ONNX TopK.
    """

    def forward(self, *xs: Array) -> Array:
        return np.asarray(self.order(xs[0])[0], np.int64)


@final
@dataclass(frozen=True)
class MaxPoolIndices(Window, Blocking):
    """y = where in x, its spatial axes taken as one, the entry stands that MaxPool with the same settings takes; int64.

    Of equal entries the first in row-major order. Same as: the indices of torch.nn.MaxPool1d to 3d; those of ONNX MaxPool count
    all of x as one, batch and channels too. MaxUnpool is ScatterElements of them into zeros: ``graph.blocks.max_unpool``.
    """

    def forward(self, *xs: Array) -> Array:
        pool = MaxPool(self.kernel, self.stride, self.dilation, self.pads, self.ceil)
        return np.asarray(pool.places(pool.winners(xs[0]), xs[0]), np.int64)


# ----- shared by the above ----------------------------------------------------------------------------------------


def first_of(x: Array, axis: int, last: bool = False, largest: bool = True) -> Array:
    """The position (int64, the axis kept as size 1) of the first, or last, extreme entry."""
    seen = np.flip(x, axis) if last else x
    found = seen.argmax(axis, keepdims=True) if largest else seen.argmin(axis, keepdims=True)
    return np.asarray(x.shape[axis] - 1 - found if last else found, np.int64)
