"""What the emitting functions work with: Keras's tensors of a graph's values, in either layout, and layers that get their weights."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from xaicore.errors import ConversionError, InputError
from xaicore.graph.graph import Graph, Node
from xaicore.numerics import Array


class Emitter:
    """The state of one emission. A value is there with its channels on axis 1, as the graph has it, or last, as Keras's layers want it."""

    def __init__(self, graph: Graph):
        self.graph = graph
        self.node: Node | None = None
        self._own: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self._names: set[str] = set()
        self._weights: list[tuple[Any, list[Array]]] = []

    # ----- values -------------------------------------------------------------------------------------------------

    def put(self, name: str, tensor: Any, last: bool = False) -> None:
        """Notes what a value has become."""
        (self._last if last else self._own)[name] = tensor

    def own(self, name: str) -> Any:
        """A value's tensor with the axes as in the graph."""
        if name in self.graph.params:
            raise self.refuse(f"takes the parameter {name!r} where a layer takes what depends on the input", "fold constants first")
        if name not in self._own:
            rank, called = len(self._last[name].shape), self.named(f"{name}/channels_first")
            self._own[name] = keras.layers.Permute((rank - 1, *range(1, rank - 1)), name=called)(self._last[name])
        return self._own[name]

    def last(self, name: str) -> Any:
        """A value's tensor with its channels last."""
        if name not in self._last:
            own = self.own(name)
            rank = len(own.shape)
            if rank < 3:
                return own
            self._last[name] = keras.layers.Permute((*range(2, rank), 1), name=self.named(f"{name}/channels_last"))(own)
        return self._last[name]

    def is_last(self, name: str) -> bool:
        """Is the value there with its channels last, and only so?"""
        return name in self._last and name not in self._own

    def rank(self, name: str) -> int:
        return len((self._own if name in self._own else self._last)[name].shape)

    def size(self, name: str, axis: int) -> int:
        """The length of one of the graph's axes, which must be known."""
        n = self.own(name).shape[axis]
        if n is None:
            raise self.refuse(f"needs the length of axis {axis}, which the graph leaves free", "give the input a fixed size")
        return int(n)

    def operand(self, name: str) -> Any:
        """A tensor, or the array of a parameter."""
        return self.graph.params[name] if name in self.graph.params else self.own(name)

    def param(self, name: str) -> Array:
        """The array of a parameter; ConversionError for a weight that is computed."""
        if name not in self.graph.params:
            raise self.refuse(f"has the weight {name!r}, which is computed from an input", "emit to torch or ONNX; Keras's own theirs")
        return self.graph.params[name]

    # ----- layers -------------------------------------------------------------------------------------------------

    def layer(self, kind: Any, *args: Any, weights: Sequence[Array] = (), part: str = "", **settings: Any) -> Any:
        """A new layer, called as the node is, that gets these weights once it is built."""
        assert self.node is not None
        name = self.named(f"{self.node.name}/{part}" if part else self.node.name)
        made = kind(*args, **settings, name=name, dtype=self.graph.dtype)
        if weights:
            self._weights.append((made, list(weights)))
        return made

    def named(self, name: str) -> str:
        """A name that Keras takes: no slash, no dot, each once."""
        base = "".join(ch if ch.isalnum() or ch == "_" else "_" for ch in name)
        unique, k = base, 2
        while unique in self._names:
            unique, k = f"{base}_{k}", k + 1
        self._names.add(unique)
        return unique

    def finish(self) -> None:
        """Gives the layers their weights."""
        for layer, weights in self._weights:
            layer.set_weights([np.asarray(w) for w in weights])

    def refuse(self, why: str, todo: str) -> ConversionError:
        assert self.node is not None
        return ConversionError(f"node {self.node.name!r}: {self.node.op} {why}, so it has no counterpart in Keras. To do: {todo}")


def check_arithmetic(graph: Graph) -> None:
    """InputError for a graph in exact arithmetic."""
    if graph.dtype == "exact":
        raise InputError("Keras has no rational numbers; emit graph.astype('float64')")
