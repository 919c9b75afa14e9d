"""A small graph as JSON that one reads with the eye: parameters in nested lists, operators with the fields that are not their defaults."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.errors import FileRefused
from xaicore.graph.files import fields_of, op_of
from xaicore.graph.graph import Graph, InputSpec, Node, cast
from xaicore.graph.untrusted import rational
from xaicore.numerics import Array


def model_of(graph: Graph) -> dict[str, Any]:
    """A graph as the ``model`` of a vector. Floats become the rational that they are where that is short, else they stay floats."""
    nodes = []
    for n in graph.nodes:
        given = fields_of(n.op, f"node {n.name!r}")
        usual = {f.name: f.default for f in dataclasses.fields(n.op)}  # type: ignore[arg-type]
        fields = {k: v for k, v in given.items() if getattr(n.op, k) != usual[k]}
        nodes.append({"name": n.name, "op": type(n.op).__name__, **({"fields": fields} if fields else {}), "inputs": list(n.inputs),
                      **({"layer": n.layer} if n.layer and n.layer != n.name else {})})
    return {"inputs": {k: {"shape": list(s.shape), "kind": s.kind} for k, s in graph.inputs.items()},
            "params": {k: _lists(v, k in _indices(graph)) for k, v in graph.params.items()}, "nodes": nodes, "outputs": list(graph.outputs)}


def _indices(graph: Graph) -> set[str]:
    """The parameters that are positions or conditions; the others are numbers, also where they were given as whole ones."""
    return {i for n in graph.nodes for i in n.inputs if n.op.blocks(n.inputs.index(i))}


def graph_of(model: Mapping[str, Any], dtype: str) -> Graph:
    """The graph of a ``model``; FileRefused says what is missing or does not fit."""
    try:
        inputs = {k: InputSpec(tuple(s["shape"]), s["kind"]) for k, s in model["inputs"].items()}
        params = {k: _array(v, dtype) for k, v in model["params"].items()}
        nodes = tuple(Node(n["name"], op_of({"op": n["op"], "fields": n.get("fields", {})}, f"node {n['name']!r}"), tuple(n["inputs"]),
                           n.get("layer", "")) for n in model["nodes"])
        return Graph(inputs, params, nodes, tuple(model["outputs"]), dtype)
    except (KeyError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError) as error:
        raise FileRefused(f"the model of a vector is malformed: {type(error).__name__}: {error}") from None


def _lists(value: Array, index: bool) -> Any:
    if index:
        return {"whole": value.tolist()}
    return [_lists(v, index) for v in value] if value.ndim else _number(value[()])


def _number(v: Any) -> Any:
    exact = Fraction(v)
    return str(exact) if exact.denominator <= 4096 else float(v)


def _array(value: Any, dtype: str) -> Array:
    if isinstance(value, Mapping):
        return np.array(value["whole"])

    def one(v: Any) -> Any:
        return [one(u) for u in v] if isinstance(v, list) else rational(v) if isinstance(v, str) else Fraction(v)

    made = np.array(one(value), dtype=object)
    return made if dtype == "exact" else cast(made.astype(float), dtype)
