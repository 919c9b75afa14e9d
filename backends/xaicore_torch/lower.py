"""The table from ATen operators to graph operators, and the walk over an exported program that uses it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import fx
from torch.export.graph_signature import OutputKind
from torch.utils import _pytree as pytree

from xaicore.errors import ConversionError, XaicoreError, nearest
from xaicore.graph.graph import Graph
from xaicore.graph.passes import prune
from xaicore.ops import Identity, LocalResponseNorm, Op, Shrink
from xaicore_torch import arithmetic, layers, positions, products, recurrent, reductions, shapes
from xaicore_torch.context import Const, Context, Value
from xaicore_torch.places import NOTHING

TABLE: Mapping[str, Callable[..., Any]] = {
    **products.TABLE, **layers.TABLE, **recurrent.TABLE, **arithmetic.TABLE, **reductions.TABLE, **shapes.TABLE, **positions.TABLE,
}
"""ATen operator, without namespace and overload -> the function that lowers it."""

SHAPE_ONLY = frozenset({"zeros_like", "ones_like", "full_like", "new_zeros", "new_ones", "new_full", "fill", "empty_like", "new_empty"})
"""Operators that read no more than the shape of their first argument, so that their result is a constant."""

WHOLE: Mapping[type, Callable[[Any], Op]] = {
    torch.nn.Hardshrink: lambda m: Shrink(float(m.lambd)), torch.nn.Softshrink: lambda m: Shrink(float(m.lambd), float(m.lambd)),
    torch.nn.LocalResponseNorm: lambda m: LocalResponseNorm(m.size, m.alpha, m.beta, m.k),
}
"""Modules that torch takes apart although there is one operator for them: class -> operator, from the live module."""


def simplify(program: Any) -> Any:
    """The program with every operator that has no row in the table taken apart by torch, as far as torch can.

    Aliases (clip, multiply), losses, cosine_similarity, unfold ... become operators that have one; what has a row stays whole.
    """
    for _ in range(DEPTH):
        unknown = {n.target for n in _active(program) if _name(n) not in TABLE or recurrent.has_projections(n)}
        known = torch.export.default_decompositions() if unknown else {}
        apart = {target: known[target] for target in unknown if target in known}
        if not apart:
            break
        try:
            program = program.run_decompositions(apart)
        except Exception:                                                 # then it stays whole, and is refused by its own name
            break
    return program


DEPTH = 5
"""How often what came out is taken apart again; column_stack takes three."""


def _active(program: Any) -> list[fx.Node]:
    """The calls of ATen operators that depend on an input of the user's and are not lowered by their shape or their name alone."""
    users = set(program.graph_signature.user_inputs)
    on: set[fx.Node] = set()
    for node in program.graph.nodes:
        sizes = isinstance(node.meta.get("val"), (torch.SymInt, torch.SymBool, type(None)))
        if node.name in users or (any(n in on for n in node.all_input_nodes) and not sizes):
            on.add(node)
    return [n for n in program.graph.nodes if n in on and hasattr(n.target, "_schema") and _name(n) not in SHAPE_ONLY | NOTHING]


def _name(node: fx.Node) -> str:
    """An ATen operator without namespace and overload; others (prims, a user's own) as they are."""
    return str(node.target._schema.name).removeprefix("aten::") if hasattr(node.target, "_schema") else str(node.target)


@dataclass(frozen=True)
class Lowered:
    """A graph, and what the nodes of the exported program have become in it: what verification needs."""

    graph: Graph
    values: Sequence[tuple[fx.Node, Value]]


def lower_program(program: Any, dtype: str, modules: Mapping[str, Any]) -> Lowered:
    """The exported program as a graph. ``modules`` are the live model's, by dotted name (none for a program from a file)."""
    c = Context(program, dtype, type(modules[""]).__name__ if modules else "")
    _inputs(c, program)
    whole = _whole(c, program, modules)
    outputs: list[tuple[fx.Node, Value | str]] = []
    for node in program.graph.nodes:
        c.node = node
        if node.op == "call_function":
            try:
                _call(c, node, whole)
            except XaicoreError as error:
                where = f"module {c.place.layer!r}" if c.place.layer else "the model's own forward"
                raise ConversionError(f"{c.place.origin} (node {node.name!r}, {where}): {error}") from error
        elif node.op == "output":
            outputs = _outputs(c, program, node)
    names = [found.name if isinstance(found, Value) else found for _, found in outputs]
    known = [(n, v) for n, v in [*c.env.items(), *outputs] if isinstance(v, Value)]
    return Lowered(prune(c.builder.build(*names)), known)


def _inputs(c: Context, program: Any) -> None:
    """Placeholders: what the user feeds are inputs; parameters, buffers and tensors written in forward are constants."""
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
    pairs = list(zip(placeholders, program.graph_signature.input_specs, strict=True))
    for node, spec in pairs:
        value = node.meta.get("val")
        if spec.target is None:
            c.env[node] = c.input(node.name, value) if isinstance(value, torch.Tensor) else value
    for node, spec in pairs:
        if spec.target is not None:
            stored = program.state_dict if spec.target in program.state_dict else program.constants
            c.env[node] = c.parameter(spec.target, stored[spec.target])


def _call(c: Context, node: fx.Node, whole: Mapping[fx.Node, tuple[Op, fx.Node] | None]) -> None:
    """Lowers one node, and notes in ``c.env`` what it has become."""
    if node in whole:
        found = whole[node]
        c.env[node] = None if found is None else c.emit(found[0], c.active(c.env[found[1]]))
        return
    if node.target is operator.getitem:
        c.env[node] = c.env[node.args[0]][node.args[1]]
        return
    name = _name(node)
    if name == "item" and isinstance(c.env.get(node.args[0]), Const):
        c.env[node] = c.env[node.args[0]].tensor.item()
    result = node.meta.get("val")
    if result is None or isinstance(result, (int, float, torch.SymInt, torch.SymFloat, torch.SymBool)):
        return                                                           # an assertion, or arithmetic of sizes: read where it is used
    active = any(_holds_value(c.env.get(n)) for n in node.all_input_nodes)
    if not active or name in SHAPE_ONLY:
        c.env[node] = c.fold()
    elif name in NOTHING:
        c.env[node] = c.env[node.args[0]]
    elif name in TABLE:
        c.env[node] = c.checked(TABLE[name](c, **c.arguments()))
    else:
        close = nearest(name, TABLE)
        raise ConversionError(
            f"this operator is not supported{f' ({close})' if close.startswith('did') else ''}. Write the step with other torch functions, "
            f"or convert a submodule without it: from_model(model.backbone, x)"
        )


def _holds_value(found: Any) -> bool:
    return any(isinstance(v, Value) for v in found) if isinstance(found, list) else isinstance(found, Value)


def _whole(c: Context, program: Any, modules: Mapping[str, Any]) -> dict[fx.Node, tuple[Op, fx.Node] | None]:
    """The calls of modules in ``WHOLE``: their last node -> (operator, the node that feeds it), their other nodes -> None."""
    calls: dict[str, list[fx.Node]] = {}
    for node in program.graph.nodes:
        if node.op == "call_function" and c.places[node].call and isinstance(node.meta.get("val"), torch.Tensor):
            calls.setdefault(c.places[node].call, []).append(node)
    found: dict[fx.Node, tuple[Op, fx.Node] | None] = {}
    for nodes in calls.values():
        module = modules.get(c.places[nodes[0]].layer)
        make = WHOLE.get(type(module))
        if make is not None:
            fed = [n for node in nodes for n in node.all_input_nodes if isinstance(n.meta.get("val"), torch.Tensor) and n not in nodes]
            found.update(dict.fromkeys(nodes[:-1]))
            found[nodes[-1]] = (make(module), fed[0])
    return found


def _outputs(c: Context, program: Any, node: fx.Node) -> list[tuple[fx.Node, Value | str]]:
    """The outputs. A model that returns a dict has them under its keys; what is no tensor is left out."""
    specs = program.graph_signature.output_specs                         # an input that is written in place comes as one more result
    returned = [v for v, spec in zip(node.args[0], specs, strict=True) if spec.kind == OutputKind.USER_OUTPUT]
    leaves, _ = pytree.tree_flatten_with_path(pytree.tree_unflatten(returned, program.call_spec.out_spec))
    found: list[tuple[fx.Node, Value | str]] = []
    for path, value in leaves:
        known = c.env.get(value) if isinstance(value, fx.Node) else None
        named = any(not isinstance(key, pytree.SequenceKey) for key in path)
        name = ".".join(str(getattr(key, "key", getattr(key, "idx", getattr(key, "name", key)))) for key in path)
        if isinstance(known, Const):
            if len(known.versions) > 1:
                raise ConversionError(f"output {name or 0!r} is as long as the batch, but does not depend on the input; leave it out")
            found.append((value, c.weight(known)))
        elif isinstance(known, Value) and named:
            name = f"output.{name}" if c.builder.has(name) else name
            found.append((value, replace(known, name=c.builder.add(Identity(), known.name, name=name, origin="output"))))
        elif isinstance(known, Value):
            found.append((value, known))
    if not any(isinstance(v, Value) for _, v in found):
        raise ConversionError("no output of the model depends on its input, so there is nothing to attribute")
    return found
