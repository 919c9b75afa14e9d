"""What a model is here: a static graph in single-assignment form, one node per call, parameters as ordinary inputs.

A layer that is used twice is two nodes with one ``layer`` name. How a graph is made stands in build.py, how it is
rewritten in passes.py, how it is evaluated in run.py.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, TypeVar
from weakref import WeakValueDictionary

import numpy as np

from xaicore.errors import GraphError, InputError, UnknownName, nearest
from xaicore.numerics import Array
from xaicore.ops.op import Op

T = TypeVar("T")
REMEMBERED = 64
"""How many things a graph remembers of itself; the oldest gives way."""

_NOTHING = object()

DTYPES: Mapping[str, Any] = {"float64": np.dtype("float64"), "float32": np.dtype("float32"), "exact": np.dtype(object)}


@dataclass(frozen=True)
class InputSpec:
    """What a graph input takes: its shape, None where any size goes (axis 0 is the batch), and its kind of number."""

    shape: tuple[int | None, ...]
    kind: Literal["float", "int", "bool"] = "float"

    def __str__(self) -> str:
        sizes = ", ".join("?" if n is None else str(n) for n in self.shape)
        return f"{self.kind}({'N' if self.shape and self.shape[0] is None else ''}{sizes[1:] if sizes.startswith('?') else sizes})"


@dataclass(frozen=True)
class Node:
    """One call of an operator. ``name`` is this call, ``layer`` where it came from in the framework's model.

    ``origin`` says it in the framework's words, for messages: operator, module class, source line.
    """

    name: str
    op: Op
    inputs: tuple[str, ...]
    layer: str = ""
    origin: str = ""


@dataclass(frozen=True, eq=False)
class Graph:
    """Inputs, parameters, nodes in order of evaluation, and the names of the outputs; valid by construction.

    ``graph(x)`` runs it. ``graph.astype("float32" | "float64" | "exact")`` gives the same function in another
    arithmetic. Printing a graph shows one line for each node.
    """

    inputs: Mapping[str, InputSpec]
    params: Mapping[str, Array]
    nodes: tuple[Node, ...]
    outputs: tuple[str, ...]
    dtype: str = "float64"
    name: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)
    remembered: dict[Hashable, Any] = field(default_factory=dict, init=False, repr=False)

    def __post_init__(self) -> None:
        if self.dtype not in DTYPES:
            raise GraphError(f"dtype {self.dtype!r} is not one of {', '.join(DTYPES)}")
        object.__setattr__(self, "inputs", MappingProxyType(dict(self.inputs)))
        object.__setattr__(self, "params", MappingProxyType({k: _frozen(v) for k, v in self.params.items()}))
        object.__setattr__(self, "nodes", tuple(self.nodes))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        _validate(self)

    # ----- looking things up ------------------------------------------------------------------------------------

    def node(self, name: str) -> Node:
        """The node called ``name``; UnknownName with the nearest names otherwise."""
        for one in self.nodes:
            if one.name == name:
                return one
        raise UnknownName(f"no node is called {name!r}: {nearest(name, (n.name for n in self.nodes))}")

    def find(self, layer: str) -> str:
        """The value that a layer name means: a node's own name, else the last node that came from this layer.

        A layer that is called several times is ambiguous, and the message lists the calls.
        """
        names = {n.name for n in self.nodes} | set(self.inputs)
        if not isinstance(layer, str):
            raise UnknownName(f"a layer is given by its name, not by {layer!r}: {nearest('', names)}")
        if layer in names:
            return layer
        calls = [n.name for n in self.nodes if n.layer == layer]
        if not calls:
            known = sorted({n.layer for n in self.nodes if n.layer} | names)
            raise UnknownName(f"no layer or node is called {layer!r}: {nearest(layer, known)}")
        bases = {c.split("/")[0].split("@")[0] for c in calls}
        if any("@" in c for c in calls) and len(bases) == 1:
            raise UnknownName(f"layer {layer!r} is called {len(calls)} times; name one of the calls: {', '.join(calls)}")
        return calls[-1]

    @property
    def float_inputs(self) -> tuple[str, ...]:
        """The inputs that can be attributed to."""
        return tuple([k for k, spec in self.inputs.items() if spec.kind == "float"])

    def once(self, key: Hashable, make: Callable[[], T]) -> T:
        """``make()``, remembered under ``key``: for what follows from this graph, which never changes, and from the key alone.

        What is remembered goes with the graph; a graph that was derived from it (``replace``) begins with nothing. ``make`` must not give
        anything that refers to this graph, or the graph would outlive its last user until the garbage collector comes.
        """
        found = self.remembered.get(key, _NOTHING)
        if found is _NOTHING:
            found = make()
            for oldest in list(self.remembered)[: max(0, len(self.remembered) + 1 - REMEMBERED)]:
                self.remembered.pop(oldest, None)
            self.remembered[key] = found
        return found                                                    # type: ignore[no-any-return]

    # ----- other arithmetic -------------------------------------------------------------------------------------

    def astype(self, dtype: str) -> Graph:
        """The same function in "float64", "float32" or "exact" (rationals: every float is taken as the binary number it is)."""
        dtype = {"object": "exact", "fraction": "exact"}.get(str(dtype), str(dtype))
        if dtype not in DTYPES:
            raise InputError(f"astype({dtype!r}): the arithmetics are {', '.join(DTYPES)}")
        if dtype == self.dtype:
            return self
        params = {k: _cast_parameter(k, v, dtype) for k, v in self.params.items()}
        nodes = tuple(replace(n, op=n.op.with_dtype(dtype)) if hasattr(n.op, "with_dtype") else n for n in self.nodes)
        return replace(self, params=params, nodes=nodes, dtype=dtype)

    def __call__(self, *args: Any, **feeds: Any) -> Any:
        """The output array, or a tuple of arrays, for inputs given in order, by name, or as one mapping."""
        from xaicore.graph.run import check_feeds, evaluate

        if args and feeds:
            raise InputError(f"give the inputs either in order or by name ({', '.join(self.inputs)}), not both")
        values = evaluate(self, check_feeds(self, args[0] if len(args) == 1 else args or feeds))
        return values[self.outputs[0]] if len(self.outputs) == 1 else tuple(values[o] for o in self.outputs)

    def __str__(self) -> str:
        lines = [f"graph {self.name or '(unnamed)'}  {self.dtype}  {len(self.nodes)} nodes, {self.size:,} parameters"]
        lines += [f"  input  {k:24} {spec}" for k, spec in self.inputs.items()]
        shown = {k: f"{k}{list(v.shape)}" for k, v in self.params.items()}
        for n in self.nodes:
            args = ", ".join(shown.get(i, i) for i in n.inputs)
            lines.append(f"  {n.name:30} = {n.op}({args})" + (f"   # {n.layer}" if n.layer and n.layer != n.name else ""))
        return "\n".join([*lines, f"  output {', '.join(self.outputs)}"])

    def __repr__(self) -> str:
        return f"<Graph {self.name or 'unnamed'}: {len(self.nodes)} nodes, {self.size:,} parameters, {self.dtype}>"

    @property
    def size(self) -> int:
        """The number of parameters."""
        return sum(int(v.size) for v in self.params.values())


def cast(x: Array, dtype: str) -> Array:
    """``x`` in another arithmetic; integers and booleans stay as they are, except that exact mode keeps rationals."""
    if x.dtype.kind not in "fO":
        return x
    if dtype == "exact":
        if x.dtype == object:
            return x
        out = np.empty(x.shape, dtype=object)
        flat = out.reshape(-1)
        for k, v in enumerate(x.reshape(-1).tolist()):
            if v in (float("inf"), float("-inf")):
                raise InputError("an infinite parameter (an additive mask) has no rational value; use Where with a condition")
            flat[k] = Fraction(v)
        return out
    with np.errstate(over="ignore"):                                    # what overflows becomes infinite, and the graph refuses it
        return np.asarray(x.astype(DTYPES[dtype]))


def _cast_parameter(name: str, value: Array, dtype: str) -> Array:
    """``cast``, which refuses a number that the other arithmetic cannot hold."""
    try:
        x = cast(value, dtype)
        lost = x.dtype.kind == "f" and bool(np.isinf(x).any()) and bool((np.isinf(x) & ~np.isinf(value.astype(float))).any())
    except OverflowError:
        lost = True
    if lost:
        top = max((v for v in value.reshape(-1) if abs(v) != np.inf), key=abs)
        raise InputError(f"parameter {name!r} holds {top!s:.24}, which {dtype} cannot hold; scale the weights, or stay in float64 or in "
                         f"exact mode")
    return owned(x)


def owned(x: Array) -> Array:
    """``x``, which nobody else has, made read-only: a graph takes such an array without a copy."""
    if x.base is None:
        x.flags.writeable = False
    return x


def _frozen(value: Array) -> Array:
    x = np.asarray(value)
    if x.flags.writeable or (isinstance(x.base, np.ndarray) and x.base.flags.writeable):
        x = x.copy()
        x.flags.writeable = False
    return x


def _validate(graph: Graph) -> None:
    known: set[str] = set()
    for name, spec in graph.inputs.items():
        if not spec.shape or any(n is not None and n < 0 for n in spec.shape):
            raise GraphError(f"input {name!r} has the shape {spec.shape}; axis 0, the batch, is needed: (None, ...)")
        if spec.kind not in ("float", "int", "bool"):
            raise GraphError(f"input {name!r} has the kind {spec.kind!r}; it is 'float', 'int' or 'bool'")
    for name in [*graph.inputs, *graph.params]:
        if name in known:
            raise GraphError(f"the name {name!r} is used for two inputs or parameters; rename one")
        known.add(name)
    for name, value in graph.params.items():
        _check_parameter(name, value, DTYPES[graph.dtype])
    for node in graph.nodes:
        low, high = node.op.arity
        if not low <= len(node.inputs) <= (high if high is not None else len(node.inputs)):
            wanted = f"{low}" if low == high else f"{low} to {'any number' if high is None else high}"
            raise GraphError(f"node {node.name!r}: {type(node.op).__name__} takes {wanted} inputs, {len(node.inputs)} were given")
        for i in node.inputs:
            if i not in known:
                raise GraphError(f"node {node.name!r} reads {i!r}, which nothing before it defines: {nearest(i, known)}")
        if node.name in known:
            raise GraphError(f"the name {node.name!r} is defined twice; a node is one call, so each call needs its own name")
        known.add(node.name)
    if not graph.outputs:
        raise GraphError("a graph needs at least one output: Builder.build(name, ...)")
    for o in graph.outputs:
        if o not in known:
            raise GraphError(f"the output {o!r} is not a value of the graph: {nearest(o, known)}")


_KNOWN: WeakValueDictionary[int, Array] = WeakValueDictionary()
"""Frozen arrays that were found finite: a graph derived from another one does not read its weights again."""


def _check_parameter(name: str, value: Array, dtype: Any) -> None:
    if value.dtype.kind in "iub":
        return
    if value.dtype != dtype:
        raise GraphError(f"parameter {name!r} has dtype {value.dtype}, but the graph is {dtype}; use Builder.param or astype")
    if value.dtype == object or _KNOWN.get(id(value)) is value:
        return
    finite = np.isfinite(value)
    if finite.all():
        _KNOWN[id(value)] = value
        return
    bad = tuple(int(k) for k in np.argwhere(~finite)[0])
    is_mask = bool(((value == 0) | (value == -np.inf)).all())               # an additive attention mask
    if not is_mask:
        raise GraphError(
            f"parameter {name!r} holds {value[bad]} at index {bad}: a number computed from it means nothing. "
            f"Repair the model's weights, then convert it again"
        )


def layers_of(nodes: Iterable[Node]) -> tuple[str, ...]:
    """The layer names in order of first use."""
    return tuple(dict.fromkeys(n.layer or n.name for n in nodes))
