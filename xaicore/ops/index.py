"""Looking up and putting down entries one by one: gather, scatter, the triangle of a matrix, sequences turned around.

Indices are integers with a batch on axis 0, of size N or 1 (the same for every sample), and count within their own sample, so
that nothing can mix samples; negative ones count from the end. No signal flows to them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, Literal, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, filled, unbroadcast
from xaicore.ops.op import Op, batchless, need_rank
from xaicore.ops.shape import check_indices


class _Indexed(Op):
    """An operator whose second input says where: its ``positions`` are places in a sample of x, all axes taken as one."""

    def blocks(self, i: int) -> bool:
        return i == 1

    def positions(self, x: Array, indices: Array) -> Array:
        """For each entry that is moved its place in the sample (N or 1, ...)."""
        raise TypeError(f"{type(self).__name__} does not define positions")


# ----- gather -----------------------------------------------------------------------------------------------------


class _Gather(_Indexed):
    """y[n] = x[n] at the positions."""

    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    routes: ClassVar[bool] = True

    def forward(self, *xs: Array) -> Array:
        at = self.positions(*xs)
        batch = _batch(self, *xs)
        rows, flat = _rows(xs[0]), at.reshape(len(at), -1)
        return np.asarray(xs[0].reshape(len(xs[0]), -1)[rows, flat].reshape(batch, *at.shape[1:]))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, indices = xs
        if i == 1:
            return np.zeros_like(indices)
        at = self.positions(*xs)
        out = filled((len(x), prod(x.shape[1:])), 0, g)
        np.add.at(out, (_rows(x), at.reshape(len(at), -1)), g.reshape(len(g), -1))
        return out.reshape(x.shape)


@final
@dataclass(frozen=True)
class GatherElements(_Gather):
    """y[n, ..., j, ...] = x[n, ..., indices[n, ..., j, ...], ...] along ``axis``: every entry of y has an index of its own.

    x (N, *S), indices (N or 1, *J) of as many axes, J <= S on all axes but ``axis`` -> (N, *J).
    Raises ShapeError for the batch axis and for shapes that do not fit, InputError for indices outside the axis.
    Same as: np.take_along_axis, torch.gather (no negative indices), ONNX GatherElements.
    """

    axis: int

    def positions(self, x: Array, indices: Array) -> Array:
        return _elements(self, x, indices, self.axis)


@final
@dataclass(frozen=True)
class GatherND(_Gather):
    """y[n, b, j] = x[n, b, indices[n, b, j, 0], ..., indices[n, b, j, k-1]]: an index names an entry, or a block, of the sample.

    x (N, *B, *S), indices (N or 1, *B, *J, k), k <= rank of S -> (N, *B, *J, *S[k:]), where (N, *B) are ``batch_dims`` axes.
    Raises ShapeError for shapes that do not fit, InputError for indices outside x.
    Same as: ONNX GatherND with batch_dims >= 1; with k = 1 and J = () one position of each sample, torch's x[arange(N), ids].
    """

    batch_dims: int = 1

    def __post_init__(self) -> None:
        if self.batch_dims < 1:
            raise ShapeError(f"{self}: batch_dims must be at least 1; axis 0 is the batch, and samples never mix")

    def positions(self, x: Array, indices: Array) -> Array:
        return _blocks(self, x, indices, self.batch_dims)


# ----- scatter ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Reduction(Op):
    """The setting of both scatters; a base, since a dataclass lists its last base first."""

    reduction: Literal["none", "add", "mul", "max", "min"] = "none"

    def __post_init__(self) -> None:
        if self.reduction not in ("none", "add", "mul", "max", "min"):
            raise ShapeError(f"{self}: reduction must be 'none', 'add', 'mul', 'max' or 'min'")


class _Scatter(_Indexed):
    """y = x with ``updates`` put down at the positions, or added, multiplied or compared there."""

    arity: ClassVar[tuple[int, int | None]] = (3, 3)
    reduction: Any

    @property
    def routes(self) -> bool:  # type: ignore[override]
        return bool(self.reduction == "none")

    @property
    def fixed_weights(self) -> Literal["uniform"] | None:  # type: ignore[override]
        """Every weight is 1 when updates are added."""
        return "uniform" if self.reduction == "add" else None

    def affine(self, active: Sequence[bool]) -> bool:
        return self.reduction in ("none", "add") or (self.reduction == "mul" and not active[2])

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        return tuple(k for k in (0, 2) if not active[k]) if self.reduction in ("none", "add") else ()

    def forward(self, *xs: Array) -> Array:
        x, at, updates = self._flat(*xs)
        return self._put(x, at, updates).reshape(len(x), *xs[0].shape[1:])

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if i == 1:
            return np.zeros_like(xs[1])
        x, at, updates = self._flat(*xs)
        rows, flat = _rows(x), g.reshape(len(g), -1)
        back = self._of_x(flat, x, at, updates) if i == 0 else self._of_updates(flat[rows, at], x, at, updates)
        return unbroadcast(back.reshape(len(back), *xs[i].shape[1:]), xs[i].shape)

    def _flat(self, x: Array, indices: Array, updates: Array) -> tuple[Array, Array, Array]:
        """x (N, M), positions (N, K) and updates (N, K), all with the whole batch."""
        at = self.positions(x, indices)
        batch = _batch(self, x, indices, updates)
        if updates.shape[1:] != at.shape[1:]:
            raise ShapeError(f"{self}: updates have shape {updates.shape}, but (N, *{at.shape[1:]}) is expected, "
                             f"for x {x.shape} and indices {indices.shape}")
        x, at, updates = (np.broadcast_to(v.reshape(len(v), -1), (batch, v[:1].size)) for v in (x, at, updates))
        return x, at, updates

    def _put(self, x: Array, at: Array, updates: Array) -> Array:
        y, rows = x.copy(), _rows(x)
        if self.reduction == "none":
            y[rows, at] = updates                          # NumPy: of several values for one place the last stays
        else:
            ufunc: Any = {"add": np.add, "mul": np.multiply, "max": np.maximum, "min": np.minimum}[self.reduction]
            ufunc.at(y, (rows, at), updates)
        return y

    def _of_x(self, g: Array, x: Array, at: Array, updates: Array) -> Array:
        if self.reduction == "add":
            return g
        if self.reduction == "mul":
            return np.asarray(g * self._put(filled(x.shape, 1, x), at, updates))
        return np.where(self._owners(x, at, updates) == at.shape[1], g, 0 * g)

    def _of_updates(self, g: Array, x: Array, at: Array, updates: Array) -> Array:
        """g (N, K) is what arrives at the place of each update."""
        rows, zero = _rows(x), updates == 0
        if self.reduction == "add":
            return g
        if self.reduction == "mul":                        # the product of all other factors of that place, which may be 0 too
            rest = self._put(x, at, np.where(zero, 1, updates).astype(x.dtype))[rows, at]
            zeros = np.zeros(x.shape, np.intp)
            np.add.at(zeros, (rows, at), zero)
            alone = zeros[rows, at] == zero
            return np.where(alone, g * rest / np.where(zero, 1, updates), 0 * g).astype(x.dtype)
        return np.where(self._owners(x, at, updates)[rows, at] == np.arange(at.shape[1]), g, 0 * g)

    def _owners(self, x: Array, at: Array, updates: Array) -> Array:
        """Which update each place of x was taken from; their number K where x stayed."""
        rows, count = _rows(x), at.shape[1]
        owners = np.full(x.shape, count)
        if self.reduction == "none":
            owners[rows, at] = np.arange(count)
            return owners
        y = self._put(x, at, updates)
        np.minimum.at(owners, (rows, at), np.where(updates == y[rows, at], np.arange(count), count))
        return np.where(y == x, count, owners)


@final
@dataclass(frozen=True)
class ScatterElements(_Reduction, _Scatter):
    """y = x, but y[n, ..., indices[n, ..., j, ...], ...] = updates[n, ..., j, ...] along ``axis``.

    x (N or 1, *S), indices (N or 1, *J), updates (N or 1, *J), J <= S on all axes but ``axis`` -> (N, *S).
    reduction: "none" overwrites, and of several updates of one entry the last stays; "add", "mul", "max", "min" combine updates
    with x. At equal values of a maximum x wins, then the first update.
    Claims: "none" routes, "add" is affine with weights of 1, "mul" is affine in x alone, "max" and "min" are neither; a signal at
    updates that are multiplied or compared has no rule in LRP and DeepLIFT, and the error says how to add one.
    Raises ShapeError for the batch axis and for shapes that do not fit, InputError for indices outside the axis.
    Same as: torch.Tensor.scatter, scatter_add and scatter_reduce with include_self, ONNX ScatterElements.   Differs: torch's gradient
    shares ties, and goes to every update of an entry that is overwritten more than once, not to the one that stays.
    """

    axis: int = 1

    def positions(self, x: Array, indices: Array) -> Array:
        return _elements(self, x, indices, self.axis)


@final
@dataclass(frozen=True)
class ScatterND(_Reduction, _Scatter):
    """y = x, but y[n, indices[n, j, 0], ..., indices[n, j, k-1]] = updates[n, j]: entries or blocks of each sample.

    x (N or 1, *S), indices (N or 1, *J, k), k <= rank of S, updates (N or 1, *J, *S[k:]) -> (N, *S).
    reduction, claims and ties: as ScatterElements.
    Raises ShapeError for shapes that do not fit, InputError for indices outside x.
    Same as: torch's x[n, i, j] = updates (index_put); ONNX ScatterND, whose indices count the batch axis in.
    """

    def positions(self, x: Array, indices: Array) -> Array:
        return _blocks(self, x, indices, 1)


# ----- by place ---------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Trilu(Op):
    """y is x with zeros below (``upper``) or above the diagonal number ``k`` of its last two axes, k > 0 further right.

    x (N, ..., R, C), at least three axes.   Raises ShapeError for fewer: a triangle over the batch would mix samples.
    Same as: np.triu and np.tril, torch.triu and torch.tril, ONNX Trilu.
    """

    k: int = 0
    upper: bool = True

    routes: ClassVar[bool] = True

    def forward(self, *xs: Array) -> Array:
        return np.where(self._kept(xs[0]), xs[0], filled((), 0, xs[0]))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.where(self._kept(g), g, filled((), 0, g))

    def _kept(self, x: Array) -> Array:
        if x.ndim < 3:
            raise ShapeError(f"{self}: x has shape {x.shape}, but (N, ..., R, C) is expected; add an axis with Unsqueeze")
        rows, columns = np.ogrid[: x.shape[-2], : x.shape[-1]]
        return np.asarray(columns - rows >= self.k if self.upper else columns - rows <= self.k)


@final
@dataclass(frozen=True)
class ReverseSequence(Op):
    """y[n] is x[n] with its first lengths[n] entries along ``axis`` in reverse order and the rest as it was.

    x (N, ...), lengths (N,) of integers from 0 to the size of the axis; no signal flows to them.
    Raises ShapeError for the batch axis and other shapes, InputError for other lengths.
    Same as: ONNX ReverseSequence with batch_axis 0, tf.reverse_sequence. A whole axis is turned around by Slice with step -1.
    """

    axis: int

    arity: ClassVar[tuple[int, int | None]] = (2, 2)
    routes: ClassVar[bool] = True

    def blocks(self, i: int) -> bool:
        return i == 1

    def forward(self, *xs: Array) -> Array:
        return np.take_along_axis(xs[0], *self._order(*xs))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.zeros_like(xs[1]) if i == 1 else np.take_along_axis(g, *self._order(*xs))

    def _order(self, x: Array, lengths: Array) -> tuple[Array, int]:
        (axis,) = batchless((self.axis,), x.ndim, self)
        if lengths.shape != x.shape[:1]:
            raise ShapeError(f"{self}: lengths have shape {lengths.shape}, but one for each sample of x {x.shape} is expected")
        check_indices(lengths, 0, x.shape[axis] + 1, self)
        at, ends = np.arange(x.shape[axis]), lengths[:, None]
        order = np.where(at < ends, ends - 1 - at, at)
        return order.reshape(len(x), *(x.shape[axis] if k == axis else 1 for k in range(1, x.ndim))), axis


# ----- shared by the above ----------------------------------------------------------------------------------------


def _rows(x: Array) -> Array:
    return np.arange(len(x))[:, None]


def _batch(op: Op, *arrays: Array) -> int:
    """The number of samples: that of all the arrays which have more than one."""
    sizes = {len(a) for a in arrays} - {1}
    if len(sizes) > 1:
        raise ShapeError(f"{op}: the inputs have shapes {', '.join(str(a.shape) for a in arrays)}; one batch, or 1, is expected on axis 0")
    return sizes.pop() if sizes else 1


def _strides(x: Array) -> list[int]:
    """How many places of a sample one step along each axis goes, the batch counted as 0."""
    return [0, *(prod(x.shape[k + 1 :]) for k in range(1, x.ndim))]


def _elements(op: Op, x: Array, indices: Array, axis: int) -> Array:
    """indices (N or 1, *J) as places: along every other axis an entry stays where it is."""
    (axis,) = batchless((axis,), x.ndim, str(op))
    need_rank(indices, x.ndim, f"{op}, the indices", f"as many axes as x {x.shape}")
    check_indices(indices, -x.shape[axis], x.shape[axis], str(op))
    strides = _strides(x)
    at = np.where(indices < 0, indices + x.shape[axis], indices) * strides[axis]
    for k in range(1, x.ndim):
        if k != axis:
            if indices.shape[k] > x.shape[k]:
                raise ShapeError(f"{op}: indices {indices.shape} are longer than x {x.shape} on axis {k}; only axis {axis} may be")
            at = at + (np.arange(indices.shape[k]) * strides[k]).reshape(-1, *(1,) * (x.ndim - 1 - k))
    return at


def _blocks(op: Op, x: Array, indices: Array, shared: int) -> Array:
    """indices (N or 1, *B, *J, k) as places (N or 1, *B, *J, *S[k:]), where (N, *B) are ``shared`` axes."""
    depth = indices.shape[-1] if indices.ndim > shared else 0
    if not 1 <= depth <= x.ndim - shared or indices.shape[1:shared] != x.shape[1:shared]:
        raise ShapeError(f"{op}: indices {indices.shape} and x {x.shape} do not fit; the first {shared} axes must agree, and the last "
                         f"axis of the indices must hold 1 to {x.ndim - shared} numbers")
    strides = _strides(x)
    at = np.zeros(indices.shape[:-1], np.intp)
    for j in range(depth):
        one, n = indices[..., j], x.shape[shared + j]
        check_indices(one, -n, n, str(op))
        at = at + np.where(one < 0, one + n, one) * strides[shared + j]
    for k in range(1, shared):
        at = at + (np.arange(x.shape[k]) * strides[k]).reshape(-1, *(1,) * (at.ndim - 1 - k))
    rest = x.shape[shared + depth :]
    return at.reshape(*at.shape, *(1,) * len(rest)) + np.arange(prod(rest)).reshape(rest)


