"""Operators that move entries and compute nothing: reshaping, slicing, joining, looking up, copying.

Padding and resampling are in resize.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import Any, ClassVar, final

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.numerics import Array, filled, unbroadcast
from xaicore.ops.op import Op, batchless, need_rank


class _Routes(Op):
    """An operator whose output entries are copies."""

    routes: ClassVar[bool] = True


# ----- one array, another shape -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Reshape(_Routes):
    """y has the entries of x in row-major order: x (N, ...) -> (N, *shape), where one entry of ``shape`` may be -1.

    ``shape`` has no batch axis, so that no reshape can mix samples.   Raises ShapeError when the numbers of entries differ.
    Same as: x.reshape(len(x), *shape). Frameworks count the batch axis in.
    """

    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if any(n < -1 for n in self.shape) or self.shape.count(-1) > 1:
            raise ShapeError(f"{self}: shape must hold sizes of at least 0, and -1 once at most")

    def forward(self, *xs: Array) -> Array:
        x = xs[0]
        need_batch(x, self)
        have, known = prod(x.shape[1:]), prod(n for n in self.shape if n != -1)
        free = have // known if known else 0
        shape = tuple(free if n == -1 else n for n in self.shape)
        if prod(shape) != have:
            raise ShapeError(
                f"{self}: a sample of x {x.shape} has {have} entries, which do not fill {self.shape}; "
                f"leave the batch axis out of shape"
            )
        return x.reshape(len(x), *shape)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g.reshape(xs[0].shape)


@final
@dataclass(frozen=True)
class Flatten(_Routes):
    """y joins the axes of x from ``start`` on: (N, ..., *rest) -> (N, ..., prod(rest)), start >= 1.

    Where ``start`` is the rank of x, an axis of 1 is appended.
    Raises ShapeError when ``start`` is 0 (the batch) or negative, or larger than the rank of x.
    Same as: torch.nn.Flatten, which also takes an end; ONNX Flatten gives two axes always.
    """

    start: int = 1

    def __post_init__(self) -> None:
        if self.start < 1:
            raise ShapeError(f"{self}: start must be at least 1; axis 0 is the batch, and samples never mix")

    def forward(self, *xs: Array) -> Array:
        x = xs[0]
        if x.ndim < self.start:
            raise ShapeError(f"{self}: x has shape {x.shape}, but at least {self.start} axes are expected; use a smaller start")
        return x.reshape(*x.shape[: self.start], prod(x.shape[self.start :]))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g.reshape(xs[0].shape)


@final
@dataclass(frozen=True)
class Transpose(_Routes):
    """y's axis k is x's axis perm[k]; perm[0] is 0, the batch.

    Raises ShapeError when ``perm`` is no permutation of the axes of x, or moves the batch.
    Same as: np.transpose, torch.permute, ONNX Transpose.
    """

    perm: tuple[int, ...]

    def __post_init__(self) -> None:
        if sorted(self.perm) != list(range(len(self.perm))) or self.perm[:1] != (0,):
            raise ShapeError(f"{self}: perm must hold each of 0 to {len(self.perm) - 1} once and begin with 0, the batch")

    def forward(self, *xs: Array) -> Array:
        need_rank(xs[0], len(self.perm), self, f"an axis for each of the {len(self.perm)} entries of perm")
        return np.transpose(xs[0], self.perm)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.transpose(g, np.argsort(self.perm))


@final
@dataclass(frozen=True)
class Squeeze(_Routes):
    """y leaves out the ``axes`` of x, each of size 1.

    Raises ShapeError for an axis of another size, and for the batch axis, also when the batch is 1.
    Same as: np.squeeze, ONNX Squeeze with axes; torch.squeeze passes over axes of another size.
    """

    axes: tuple[int, ...]

    def forward(self, *xs: Array) -> Array:
        axes = _once(batchless(self.axes, xs[0].ndim, self), self)
        wrong = [k for k in axes if xs[0].shape[k] != 1]
        if wrong:
            raise ShapeError(f"{self}: axis {wrong[0]} of x {xs[0].shape} is not of size 1; use Reshape or Slice")
        return xs[0].reshape([n for k, n in enumerate(xs[0].shape) if k not in axes])

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g.reshape(xs[0].shape)


@final
@dataclass(frozen=True)
class Unsqueeze(_Routes):
    """y has axes of size 1 at the positions ``axes``, counted in y.

    Raises ShapeError for a position outside y, for the batch axis, and for one named twice.
    Same as: np.expand_dims, ONNX Unsqueeze.
    """

    axes: tuple[int, ...]

    def forward(self, *xs: Array) -> Array:
        need_batch(xs[0], self)
        axes = _once(batchless(self.axes, xs[0].ndim + len(self.axes), self), self)
        return np.expand_dims(xs[0], axes)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g.reshape(xs[0].shape)


# ----- joining and taking apart -----------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Concat(_Routes):
    """y is the inputs one after the other along ``axis``.

    Any number of arrays, equal in all other sizes, the batch too: a constant of batch 1, such as a class token, goes through
    Expand first.   Raises ShapeError when sizes differ, and for the batch axis.
    Same as: np.concatenate, torch.cat, ONNX Concat.
    """

    axis: int

    arity: ClassVar[tuple[int, int | None]] = (1, None)

    def forward(self, *xs: Array) -> Array:
        (axis,) = batchless((self.axis,), xs[0].ndim, self)
        first = _without(xs[0].shape, axis)
        for k, x in enumerate(xs):
            if x.ndim != xs[0].ndim or _without(x.shape, axis) != first:
                raise ShapeError(
                    f"{self}: input {k} has shape {x.shape} and input 0 {xs[0].shape}, but equal sizes are expected on every "
                    f"axis but {axis}; an input of batch 1 goes through Expand first"
                )
        return np.concatenate(xs, axis)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (axis,) = batchless((self.axis,), g.ndim, self)
        start = sum(x.shape[axis] for x in xs[:i])
        return g[(slice(None),) * axis + (slice(start, start + xs[i].shape[axis]),)]


@final
@dataclass(frozen=True)
class Split(_Routes):
    """y is piece number ``index`` when ``axis`` of x is cut into pieces of the given ``sizes``.

    Raises ShapeError when the sizes do not add up to the axis, when there is no such piece, and for the batch axis.
    Same as: torch.split with a list, ONNX Split; one node for each piece that is used.
    """

    axis: int
    sizes: tuple[int, ...]
    index: int

    def __post_init__(self) -> None:
        if not 0 <= self.index < len(self.sizes) or min(self.sizes) < 0:
            raise ShapeError(f"{self}: index must be one of 0 to {len(self.sizes) - 1}, and no size negative")

    def forward(self, *xs: Array) -> Array:
        (axis,) = batchless((self.axis,), xs[0].ndim, self)
        if sum(self.sizes) != xs[0].shape[axis]:
            raise ShapeError(f"{self}: the sizes add up to {sum(self.sizes)}, which is not axis {axis} of x {xs[0].shape}")
        return xs[0][self._piece(axis)]

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return _put(g, self._piece(*batchless((self.axis,), g.ndim, self)), xs[0].shape)

    def _piece(self, axis: int) -> tuple[slice, ...]:
        start = sum(self.sizes[: self.index])
        return (slice(None),) * axis + (slice(start, start + self.sizes[self.index]),)


@final
@dataclass(frozen=True)
class Slice(_Routes):
    """y = x[start:stop:step] along ``axis``, as Python slices: negative numbers count from the end, a negative step flips.

    Raises ShapeError for the batch axis, for a step of 0, and when nothing is left.
    Same as: ONNX Slice on one axis, torch indexing (which knows no negative step).
    """

    axis: int
    start: int | None = None
    stop: int | None = None
    step: int = 1

    def __post_init__(self) -> None:
        if self.step == 0:
            raise ShapeError(f"{self}: step must not be 0; use Gather with the same index again to repeat an entry")

    def forward(self, *xs: Array) -> Array:
        (axis,) = batchless((self.axis,), xs[0].ndim, self)
        y = xs[0][self._seen(axis)]
        if y.shape[axis] == 0:
            raise ShapeError(f"{self}: nothing is left of axis {axis} of x {xs[0].shape}; check start and stop")
        return y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return _put(g, self._seen(*batchless((self.axis,), g.ndim, self)), xs[0].shape)

    def _seen(self, axis: int) -> tuple[slice, ...]:
        return (slice(None),) * axis + (slice(self.start, self.stop, self.step),)


# ----- looking up -------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Gather(_Routes):
    """y[n, ..., j, ...] = x[n, ..., indices[j], ...] along ``axis``: the same entries of every sample.

    x (N, *A, L, *B), indices (*J) of integers without a batch axis -> (N, *A, *J, *B). Negative indices count from the end.
    Nothing flows to the indices.
    Raises ShapeError for the batch axis, InputError for indices that are no integers or outside the axis.
    Same as: np.take, torch.index_select (one axis of indices, none negative), ONNX Gather.
    """

    axis: int

    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def blocks(self, i: int) -> bool:
        return i == 1

    def forward(self, *xs: Array) -> Array:
        x, indices = xs
        (axis,) = batchless((self.axis,), x.ndim, self)
        check_indices(indices, -x.shape[axis], x.shape[axis], self)
        return np.take(x, indices, axis)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, indices = xs
        if i == 1:
            return np.zeros_like(indices)
        (axis,) = batchless((self.axis,), x.ndim, self)
        out = filled(x.shape, 0, g)
        chosen: Any = (slice(None),) * axis + (indices,)
        np.add.at(out, chosen, g)
        return out


@final
@dataclass(frozen=True)
class Embedding(_Routes):
    """y[n, ...] = table[ids[n, ...]].

    table (V, D) of constants or parameters, ids (N, ...) of integers -> (N, ..., D).
    Nothing flows to the ids: explain the output of this node, or the table.
    Raises ShapeError for a table of another rank, InputError for ids that are no integers or outside 0 to V - 1.
    Same as: torch.nn.Embedding, which refuses negative ids as well.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def blocks(self, i: int) -> bool:
        return i == 1

    def forward(self, *xs: Array) -> Array:
        table, ids = xs
        need_rank(table, 2, "Embedding", "a table (V, D)")
        check_indices(ids, 0, len(table), "Embedding")
        return np.asarray(table[ids])

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        table, ids = xs
        if i == 1:
            return np.zeros_like(ids)
        out = filled(table.shape, 0, g)
        np.add.at(out, ids, g)
        return out


# ----- copies -----------------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class Expand(_Routes):
    """y repeats x along axes of size 1: x (N or 1, ...), [like (N, ...)] -> (N, *shape), where -1 keeps the size of x.

    N is that of x; if that is 1 and ``like`` is given, that of ``like``, whose values do not matter: nothing flows to it.
    The adjoint sums over the copies.
    Raises ShapeError when x has not one axis for the batch and each entry of ``shape``, or does not fit.
    Same as: torch.Tensor.expand, ONNX Expand; those also add axes at the front.
    """

    shape: tuple[int, ...]

    arity: ClassVar[tuple[int, int | None]] = (1, 2)

    def __post_init__(self) -> None:
        if any(n < -1 for n in self.shape):
            raise ShapeError(f"{self}: shape must hold sizes of at least 0, or -1 to keep the size of x")

    def blocks(self, i: int) -> bool:
        return i == 1

    def forward(self, *xs: Array) -> Array:
        x = xs[0]
        need_rank(x, 1 + len(self.shape), self, "the batch and one axis for each entry of shape; use Unsqueeze")
        batch = len(xs[1]) if len(xs) == 2 and len(x) == 1 else len(x)
        if len(xs) == 2 and len(xs[1]) != batch:
            raise ShapeError(f"{self}: x has {len(x)} samples and ``like`` has {len(xs[1])}; give x one sample or as many")
        shape = tuple(have if n == -1 else n for n, have in zip(self.shape, x.shape[1:]))
        if any(have not in (1, n) for n, have in zip(shape, x.shape[1:])):
            raise ShapeError(f"{self}: x {x.shape} does not expand to (N, *{shape}); only axes of size 1 are repeated")
        return np.broadcast_to(x, (batch, *shape))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.zeros_like(xs[1]) if i == 1 else unbroadcast(g, xs[0].shape)


@final
@dataclass(frozen=True)
class Identity(_Routes):
    """y = x.

    Same as: torch.nn.Identity, ONNX Identity.
    """

    def forward(self, *xs: Array) -> Array:
        return xs[0]

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g


@final
@dataclass(frozen=True)
class Dropout(_Routes):
    """y = x: what dropout is when a model is used and not trained. ``rate`` is kept for the way back to a framework.

    Same as: torch.nn.Dropout in eval mode, ONNX Dropout at inference.
    """

    rate: float = 0.5

    def forward(self, *xs: Array) -> Array:
        return xs[0]

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return g


@final
@dataclass(frozen=True)
class Detach(Op):
    """y = x, and no signal passes: the derivative is taken as 0.

    With ``shared``, in a run with a baseline, both runs take the value of the main run; so the shift in a stable softmax,
    which does not change its value, is one number in both.   Same as: torch.Tensor.detach, jax.lax.stop_gradient.
    """

    shared: bool = False

    def blocks(self, i: int) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        return xs[0]

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return filled(xs[0].shape, 0, g)


# ----- shared by the above ----------------------------------------------------------------------------------------


def need_batch(x: Array, who: object) -> None:
    """Refuses a number without axes."""
    if x.ndim == 0:
        raise ShapeError(f"{who}: the input has no axes, but a batch on axis 0 is expected")


def _once(axes: tuple[int, ...], who: object) -> tuple[int, ...]:
    if len(set(axes)) < len(axes):
        raise ShapeError(f"{who}: one of the axes {axes} is named twice; name each once")
    return axes


def _without(shape: Sequence[int], axis: int) -> tuple[int, ...]:
    return (*shape[:axis], *shape[axis + 1 :])


def _put(g: Array, at: tuple[slice, ...], shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` with g at ``at``: the adjoint of basic indexing."""
    out = filled(shape, 0, g)
    out[at] = g
    return out


def check_indices(indices: Array, low: int, high: int, who: object) -> None:
    if indices.dtype.kind not in "iu":
        raise InputError(f"{who}: the indices have dtype {indices.dtype}, but integers are expected; cast them with ToInt")
    outside = (indices < low) | (indices >= high)
    if outside.any():
        raise InputError(f"{who}: index {int(indices[outside][0])} is outside the {high} entries; use {low} to {high - 1}")
