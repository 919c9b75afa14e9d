"""A Builder that works out the shape of every value as it is added, and refuses what no machine could hold."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any, Literal

import numpy as np

from xaicore.errors import FileRefused
from xaicore.graph.build import Builder
from xaicore.graph.graph import Node
from xaicore.numerics import Array
from xaicore.ops import Flatten, Op, Reshape
from xaicore_keras.record import kind_of_number
from xaicore_keras.weights import Shape

MAX_ENTRIES = 1 << 31
"""Entries of one sample of one value: 16 GiB in float64. A file whose settings ask for more is refused before it is run."""

MAX_TRIED = 1 << 24
"""Entries with which an operator is tried on a sample, if it cannot do with none."""

STAND_INS = (192, 320)
"""Two lengths for an axis that the model leaves free: where a value's shape differs between them, it is free there too."""


class SizedBuilder(Builder):
    """A Builder that knows the shape of every value, from running each operator on a batch of no samples.

    That costs nothing, needs no formula for any operator, and axis 0 is the batch in all of them. Axes that the model leaves
    free are tried at two lengths.
    """

    def __init__(self, name: str = "", dtype: str = "float64"):
        super().__init__(name, dtype)
        self._tried: dict[str, tuple[Array, ...]] = {}

    def input(self, name: str, shape: Sequence[int | None], kind: Literal["float", "int", "bool"] = "float") -> str:
        made = super().input(name, shape, kind)
        _bounded(f"input {name!r}", shape[1:])
        dtype = {"float": np.float64, "int": np.int64, "bool": np.bool_}[kind]
        self._tried[made] = tuple(np.zeros((0, *(free if n is None else n for n in shape[1:])), dtype) for free in STAND_INS)
        return made

    def param(self, name: str, value: Any) -> str:
        made = super().param(name, value)
        self._tried[made] = (self._params[made],) * len(STAND_INS)
        return made

    def add(self, op: Op, *inputs: str, name: str | None = None, layer: str = "", origin: str = "") -> str:
        made = super().add(op, *inputs, name=name, layer=layer, origin=origin)
        node = self._nodes[-1]
        first = _tried(node.op, [self._tried[i][0] for i in inputs])
        same = all(self._tried[i][0].shape == self._tried[i][1].shape for i in inputs)
        self._tried[made] = (first, first if same else _tried(node.op, [self._tried[i][1] for i in inputs]))
        return made

    def shape(self, name: str) -> Shape:
        """The shape of a value, None where it is free."""
        first, second = self._tried[name]
        return (None, *(n if n == other else None for n, other in zip(first.shape[1:], second.shape[1:])))

    def last(self, name: str) -> Node:
        """The node of this name, one of the newest."""
        return next(n for n in reversed(self._nodes) if n.name == name)

    def kind(self, name: str) -> Literal["float", "int", "bool"]:
        return kind_of_number(str(self._tried[name][0].dtype))


def _tried(op: Op, xs: Sequence[Array]) -> Array:
    """The operator's output for a batch of no samples."""
    sizes = xs[0].shape[1:] if xs else ()
    if isinstance(op, Flatten):                                         # NumPy cannot work out a -1 when there are no entries
        op = Reshape((prod(sizes),))
    elif isinstance(op, Reshape) and -1 in op.shape:
        known = prod(n for n in op.shape if n != -1)
        if not known or prod(sizes) % known:
            raise ValueError(f"{sizes} has no reshape to {op.shape}")
        op = Reshape(tuple(prod(sizes) // known if n == -1 else n for n in op.shape))
    with np.errstate(all="ignore"):
        try:
            y = np.asarray(op.forward(*xs))
        except ValueError:                                              # some work a length out of the entries: one sample of zeros
            if sum(prod(x.shape[1:]) for x in xs) > MAX_TRIED:
                raise
            y = np.asarray(op.forward(*(np.zeros((1, *x.shape[1:]), x.dtype) if x.ndim and not len(x) else x for x in xs)))[:0]
    _bounded(str(op), y.shape[1:])
    return y


def _bounded(what: str, shape: Sequence[int | None]) -> None:
    entries = prod(n or 1 for n in shape)
    if entries > MAX_ENTRIES:
        raise FileRefused(f"{what} has {entries:,} entries in each sample, shape {tuple(shape)}; at most {MAX_ENTRIES:,} are allowed")
