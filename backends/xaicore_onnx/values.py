"""What is known of an ONNX value while a model is converted: an array (Known), or a value of the graph and where its batch lies (Live).

In a graph axis 0 is the batch of every value. ONNX has no such law, and exporters move the batch: they put time first, or join
the batch with the heads of an attention. So the same numbers have one order of axes in ONNX and one in the graph, and a Live says
how the two correspond, as ``xaicore.graph.layout`` does for one batch size.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout
from xaicore.numerics import Array


class MixingError(ConversionError):
    """An operator works along the batch. Where the file's batch is one sample, the converter tries again without a batch axis."""


@dataclass(frozen=True, eq=False)
class Known:
    """An array that depends on no entry of an input. A shape may depend on the batch size, so that it is known at two of them.

    What is computed from a shape (sizes, positions, masks) is computed twice; where both results agree it is a constant, and
    where they differ in the ratio of the two batch sizes it is that many times the batch.
    """

    name: str
    low: Array
    high: Array

    @property
    def fixed(self) -> bool:
        """Is it the same at both batch sizes?"""
        if self.low is self.high:
            return True
        return bool(np.array_equal(self.low, self.high, equal_nan=self.low.dtype.kind == "f"))

    def mapped(self, name: str, change: Callable[[Array], Array]) -> Known:
        """The same after a function of one array."""
        low = change(self.low)
        return Known(name, low, low if self.low is self.high else change(self.high))


@dataclass(frozen=True)
class Live:
    """A value of the graph, of shape (N, *tail) there.

    In ONNX its axis ``at`` holds outer * N * inner entries, in this order, and the graph holds ``outer`` and ``inner``, where
    they are not 1, as axes of their own at that place; all other axes are the same in both. With ``at`` None the ONNX value has
    no batch axis and shape ``tail``: it is what ONNX computes for one sample.
    """

    name: str
    tail: tuple[int, ...]
    kind: str = "f"
    at: int | None = 0
    outer: int = 1
    inner: int = 1

    @property
    def layout(self) -> tuple[int | None, int, int]:
        """Where the batch lies."""
        return self.at, self.outer, self.inner

    @property
    def plain(self) -> bool:
        """Does it have the same axes in ONNX and in the graph?"""
        return self.layout == (0, 1, 1)

    def shape(self, n: int) -> tuple[int, ...]:
        """The shape in ONNX at batch size ``n``."""
        if self.at is None:
            return self.tail
        merged = (self.outer != 1) + (self.inner != 1)
        return (*self.tail[: self.at], self.outer * n * self.inner, *self.tail[self.at + merged:])

    @property
    def rank(self) -> int:
        """The number of axes in ONNX."""
        return len(self.shape(1))

    @property
    def place(self) -> Layout | None:
        """The same as a Layout for a batch of 1; None without a batch axis."""
        return None if self.at is None else Layout(self.shape(1), 1, self.at, self.outer, self.inner)

    @property
    def groups(self) -> tuple[tuple[int, ...], ...]:
        """For each ONNX axis the graph axes that it is made of, without the batch.

        >>> Live("x", (5, 4, 3), at=1, inner=4).groups                      # (T, N * 4, D) is (N, T, 4, D) in the graph
        ((1,), (2,), (3,))
        """
        place = self.place
        if place is None:
            return tuple((k,) for k in range(1, len(self.tail) + 1))
        return tuple(tuple(k for k in part if k) for part in place.parts)

    def axis(self, k: int, who: str) -> int:
        """The graph axis of the ONNX axis ``k``; MixingError for the axis that holds the batch."""
        k = onnx_axis(k, self.rank, who)
        if k == self.at:
            raise MixingError(
                f"{who} works along axis {k}, which holds the batch, so that samples would mix; the graph's law is that "
                f"each sample is explained by itself. If the model takes one sample without a batch axis, use unbatched=True"
            )
        return self.groups[k][0]


@dataclass(frozen=True)
class Numbered:
    """Numbers that name entries of a batch: in ONNX the number of its sample stands before each ``rest``, which the graph has alone.

    So exporters write x[arange(N), ids]. Only what looks entries up may read it.
    With a ``step`` the number of the sample, times it, is added instead: the positions that MaxPool gives count the whole tensor.
    """

    rest: Live
    step: int = 0


def onnx_axis(k: int, rank: int, who: str) -> int:
    """A possibly negative ONNX axis as a number from 0."""
    if not -rank <= k < rank:
        raise ConversionError(f"{who} names axis {k}, but its input has {rank} axes; the file is inconsistent, export it again")
    return k % rank


def to_graph(x: Array, layout: tuple[int | None, int, int]) -> Array:
    """An array in ONNX's order of axes in the graph's. With ``at`` None it is one sample.

    >>> to_graph(np.zeros((5, 2 * 4, 3)), (1, 1, 4)).shape
    (2, 5, 4, 3)
    """
    at, outer, inner = layout
    if at is None:
        return x[None]
    return Layout(x.shape, x.shape[at] // (outer * inner), at, outer, inner).to_graph(x)


def broadcast(shapes: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """The common shape; ConversionError where there is none."""
    try:
        return np.broadcast_shapes(*(tuple(s) for s in shapes))
    except ValueError as error:
        raise ConversionError(f"shapes {', '.join(str(tuple(s)) for s in shapes)} do not broadcast; the file is inconsistent") from error
