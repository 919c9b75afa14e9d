"""The contract of an operator: one forward, one backward, and claims that the tests prove.

There is no graph in here and no rule: an operator does not know what is attributed, it only states what is true of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, ClassVar, Literal

from xaicore.errors import ShapeError
from xaicore.numerics import Array

if TYPE_CHECKING:
    from typing import Protocol

    class Wiring(Protocol):
        """What ``expand`` needs of a graph builder: add a node or a constant and get its name; ask for a shape or a parameter."""

        def add(self, op: Op, *inputs: str, name: str | None = None) -> str: ...
        def constant(self, value: float | int | Fraction | Array, name: str | None = None) -> str: ...
        def shape(self, name: str) -> tuple[int | None, ...]: ...
        def rank(self, name: str) -> int: ...
        def value(self, name: str) -> Array: ...


@dataclass(frozen=True)
class Op:
    """A pure function of arrays, with its vector-Jacobian product and its claims.

    A subclass is final, a frozen dataclass whose fields are plain Python (no arrays), and has no state. Weights are
    ordinary inputs: "the layer with modified weights" is the same operator called with other arguments.

    Axis 0 of every input that depends on the graph's inputs is the batch, axis 0 of the output too, and sample n of
    the output depends on sample n of the inputs alone. An operator never changes the dtype of its floating inputs,
    never modifies an array that it was given (``over`` may), and (where ``rational``) works on object arrays of ``Fraction``.

    ``active`` is, throughout, one flag for each input: does this input carry the signal that is being explained? The
    other inputs are constants of the explanation: weights, biases, indices, detached statistics.
    """

    arity: ClassVar[tuple[int, int | None]] = (1, 1)
    """Smallest and largest number of inputs; None for no limit."""

    elementwise: ClassVar[bool] = False
    """Claim: y[k] depends on x[k] of input 0 alone (other inputs, if any, are constants such as a slope)."""

    routes: ClassVar[bool] = False
    """Claim: every y[k] is a copy of at most one entry of the active inputs (reshape, slice, concatenate, pad)."""

    rational: ClassVar[bool] = True
    """Claim: rational inputs give rational outputs, and the code runs on object arrays of ``Fraction``."""

    straight_through: ClassVar[bool] = False
    """Claim: the vjp is no derivative (that is 0 almost everywhere) but stands in for one, so that a signal passes."""

    composite: ClassVar[bool] = False
    """Claim: the operator is short for its ``expand`` form, so that a rule set without a row for it takes it apart."""

    fresh: ClassVar[bool] = False
    """Claim: the output of ``forward`` is memory of its own, in no view of an input and in nothing that is kept."""

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = None
    """Claim on an operator that is linear without a weight input (sum, mean, average pool): its weights are all equal
    for one output entry ("uniform"), or only known to be >= 0 ("nonnegative")."""

    def affine(self, active: Sequence[bool]) -> bool:
        """Claim: y is affine, jointly, in the active inputs."""
        return self.routes

    def bilinear(self, active: Sequence[bool]) -> bool:
        """Claim: y is linear in each of exactly two active inputs (and not affine jointly)."""
        return False

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        """Claim: the constant inputs in which the linear part of an affine y is itself linear (kernels).

        () when there are none because ``fixed_weights`` holds; None when the operator cannot tell.
        """
        return () if self.fixed_weights else None

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        """Claim: the constant inputs that are only added: with zeros there (and 0 at the active inputs), y is 0."""
        return ()

    def blocks(self, i: int) -> bool:
        """Claim: no signal passes to input ``i`` by the operator's meaning (an index, a condition, Detach)."""
        return False

    def forward(self, *xs: Array) -> Array:
        """y = f(x_0, x_1, ...)."""
        raise TypeError(f"{type(self).__name__} does not define forward")

    def over(self, *xs: Array) -> Array:
        """``forward``, to the bit, which may write its output over the first input."""
        return self.forward(*xs)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        """g J_i: the cotangent of input ``i`` for the cotangent ``g`` of y; same shape and dtype as ``xs[i]``."""
        raise TypeError(f"{type(self).__name__} does not define vjp")

    def laid(self, i: int, x: Array) -> Array:
        """``x``, the same numbers, in memory as input ``i`` is read fastest; what is made of it entry by entry lies so, too."""
        return x

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        """The same function out of simpler operators, added to ``b``; None when there is none."""
        return None

    def kinks(self, *xs: Array) -> tuple[Array, ...] | None:
        """For a piecewise-linear operator that is elementwise, or sorts: arrays whose sign changes mark where the slope changes.

        None: the operator is not of this kind. ReLU gives (x,); a clip gives (x - low, x - high); TopK all differences of entries, where
        signs may also change without a change of slope.
        """
        return None

    def candidates(self, *xs: Array) -> Array | None:
        """For a maximum (or minimum, negated): y is the maximum of these over their last axis; else None."""
        return None

    def __str__(self) -> str:
        from dataclasses import fields

        shown = [f"{f.name}={getattr(self, f.name)!r}" for f in fields(self) if getattr(self, f.name) != f.default]
        return f"{type(self).__name__}({', '.join(shown)})"


def batchless(axes: Sequence[int], rank: int, who: object) -> tuple[int, ...]:
    """The axes as sorted non-negative numbers; refuses axis 0, which is the batch.

    >>> batchless((-1, 1), 3, "Sum")
    (1, 2)
    """
    out = []
    for axis in axes:
        k = axis + rank if axis < 0 else axis
        if not 0 <= k < rank:
            raise ShapeError(f"{who}: axis {axis} is outside an array of rank {rank}; use -{rank - 1} to {rank - 1}, not 0")
        if k == 0:
            raise ShapeError(f"{who}: axis {axis} is axis 0, the batch; samples never mix: use one of the axes 1 to {rank - 1}")
        out.append(k)
    return tuple(sorted(out))


def need_rank(x: Array, rank: int, who: object, layout: str) -> None:
    """Refuses an array that has not exactly ``rank`` axes, and says which axes are expected."""
    if x.ndim != rank:
        raise ShapeError(f"{who}: the input has shape {x.shape}, but {layout} (rank {rank}) is expected")
