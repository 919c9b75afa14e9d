"""The Builder: the only way in which graphs are made. Block builders (attention, residual, mlp) are in blocks.py."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from fractions import Fraction
from typing import Any, Literal

import numpy as np

from xaicore.errors import GraphError, UnknownName, nearest
from xaicore.graph.graph import DTYPES, Graph, InputSpec, Node
from xaicore.numerics import Array, rationals
from xaicore.ops.op import Op


class Builder:
    """Collects inputs, parameters and nodes; ``build(*outputs)`` gives the validated Graph.

    >>> from xaicore.ops import Dense, ReLU
    >>> b = Builder()
    >>> x = b.input("x", (None, 2))
    >>> h = b.add(Dense(), x, b.param("w", [[1.0, -1.0]]), name="fc")
    >>> b.build(b.add(ReLU(), h))([[3.0, 1.0]])
    array([[2.]])
    """

    def __init__(self, name: str = "", dtype: str = "float64", shapes: Callable[[], Mapping[str, Sequence[int]]] | None = None):
        if dtype not in DTYPES:
            raise GraphError(f"dtype {dtype!r} is not one of {', '.join(DTYPES)}")
        self.name = name
        self.dtype = dtype
        self.meta: dict[str, str] = {}
        self._inputs: dict[str, InputSpec] = {}
        self._params: dict[str, Array] = {}
        self._nodes: list[Node] = []
        self._names: set[str] = set()
        self._scope: tuple[str, str, str] = ("", "", "")
        self._shapes = shapes

    # ----- values -----------------------------------------------------------------------------------------------

    def input(self, name: str, shape: Sequence[int | None], kind: Literal["float", "int", "bool"] = "float") -> str:
        """A graph input; None in ``shape`` for a size that is free (axis 0 is the batch)."""
        self._claim(name, "input")
        self._inputs[name] = InputSpec(tuple(shape), kind)
        return name

    def param(self, name: str, value: Any) -> str:
        """A parameter; floats are taken to the graph's dtype (Fractions and ints in exact mode), integers stay."""
        self._claim(name, "parameter")
        stored = self._to_param(name, value)                            # a copy of ours, which the graph then takes as it is
        stored.flags.writeable = False
        self._params[name] = stored
        return name

    def constant(self, value: Any, name: str | None = None) -> str:
        """A parameter that no one trained, such as the 1/2 of an expansion; a Python number becomes a scalar of the dtype."""
        x = np.asarray(value)
        if isinstance(value, (int, Fraction)) and not isinstance(value, bool):
            x = np.asarray(Fraction(value) if self.dtype == "exact" else float(value))
        unique = self._unique(self._prefixed(name or "constant"))
        return self.param(unique, x)

    def add(self, op: Op, *inputs: str, name: str | None = None, layer: str = "", origin: str = "") -> str:
        """Adds one call of ``op`` and returns its name. A name that is taken gets @2, @3, ... (the second, third call)."""
        if not isinstance(op, Op):
            raise GraphError(f"add takes an operator instance such as ReLU(), not {op!r}")
        if hasattr(op, "with_dtype"):                                   # a cast goes to the graph's own float
            op = op.with_dtype(self.dtype)
        _, scope_layer, scope_origin = self._scope
        final = self._unique(self._prefixed(name or type(op).__name__.lower()))
        for i in inputs:
            if i not in self._names:
                raise GraphError(f"node {final!r} reads {i!r}, which nothing before it defines: {nearest(str(i), self._names)}")
        self._names.add(final)
        self._nodes.append(Node(final, op, tuple(inputs), layer or scope_layer, origin or scope_origin))
        return final

    def build(self, *outputs: str, name: str | None = None) -> Graph:
        """The graph with these outputs, validated."""
        title = self.name if name is None else name
        return Graph(self._inputs, self._params, tuple(self._nodes), outputs, self.dtype, title, dict(self.meta))

    @contextmanager
    def scope(self, prefix: str, layer: str = "", origin: str = "") -> Iterator[None]:
        """Names inside become ``prefix/name``, and nodes inherit layer and origin: for blocks and expansions."""
        before = self._scope
        self._scope = (self._prefixed(prefix), layer or before[1], origin or before[2])
        try:
            yield
        finally:
            self._scope = before

    # ----- shapes, for expansions that need them ----------------------------------------------------------------

    def shape(self, name: str) -> tuple[int | None, ...]:
        """The shape of a value, its batch given as None."""
        if name in self._params:
            return self._params[name].shape
        if self._shapes is None:
            raise GraphError("this Builder does not know shapes; only expansions of a whole graph do (graph.passes.expand)")
        known = self._shapes()
        if name not in known:
            raise UnknownName(f"the shape of {name!r} is not known: {nearest(name, known)}")
        return (None, *known[name][1:])

    def rank(self, name: str) -> int:
        """The number of axes of a value."""
        return len(self.shape(name))

    def value(self, name: str) -> Array:
        """The value of a parameter, for expansions that take it apart; GraphError for a value that is computed."""
        if name not in self._params:
            raise GraphError(f"{name!r} is no parameter but an input or a computed value; to expand this operator its weights must be "
                             f"parameters of the graph (graph.passes.fold_constants makes those that depend on no input)")
        return self._params[name]

    # ----- names ------------------------------------------------------------------------------------------------

    def copy_inputs(self, graph: Graph) -> None:
        """Takes over the inputs and parameters of a graph under their own names."""
        for k, spec in graph.inputs.items():
            self.input(k, spec.shape, spec.kind)
        for k, v in graph.params.items():
            self._claim(k, "parameter")
            self._params[k] = v
        self.meta.update(graph.meta)

    def keep(self, node: Node, inputs: Sequence[str] | None = None, op: Op | None = None) -> str:
        """Takes over a node of another graph under its own name, perhaps with other inputs or another operator."""
        self._claim(node.name, "node")
        self._nodes.append(Node(node.name, op or node.op, tuple(inputs or node.inputs), node.layer, node.origin))
        return node.name

    def has(self, name: str) -> bool:
        """Is there an input, a parameter or a node of this name?"""
        return name in self._names

    def _prefixed(self, name: str) -> str:
        return f"{self._scope[0]}/{name}" if self._scope[0] else name

    def _unique(self, name: str) -> str:
        if name not in self._names:
            return name
        k = 2
        while f"{name}@{k}" in self._names:
            k += 1
        return f"{name}@{k}"

    def _claim(self, name: str, what: str) -> None:
        if not isinstance(name, str) or not name:
            raise GraphError(f"a {what} needs a name, not {name!r}")
        if name in self._names:
            raise GraphError(f"the {what} name {name!r} is taken; choose another")
        self._names.add(name)

    def _to_param(self, name: str, value: Any) -> Array:
        x = np.asarray(value)
        if x.dtype.kind in "fO" and self.dtype == "exact":
            return rationals(x, f"parameter {name!r}")
        if x.dtype.kind == "O":
            raise GraphError(f"parameter {name!r} is an object array; give numbers, or build with dtype='exact'")
        if x.dtype.kind == "f":
            return np.array(x, dtype=DTYPES[self.dtype])
        if x.dtype.kind in "iub":
            return np.array(x)
        raise GraphError(f"parameter {name!r} has dtype {x.dtype}; numbers are expected")
