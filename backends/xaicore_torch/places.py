"""What each node of an exported program is called in the graph, and where it comes from in the user's model."""

from __future__ import annotations

import operator
import os
import re
from typing import Any, NamedTuple

import torch
from torch import fx

NOTHING = frozenset({"clone", "alias", "contiguous", "lift_fresh", "lift_fresh_copy", "dropout", "alpha_dropout", "feature_dropout"})
"""Functions that compute nothing at inference (programs that draw at random were refused before)."""

_LIBRARY = os.path.dirname(os.path.abspath(torch.__file__))
_HERE = os.path.dirname(os.path.abspath(__file__))
_FRAME = re.compile(r'File "([^"]+)", line (\d+)')
_PLAIN = {"_native_batch_norm_legit_no_training": "batch_norm", "_to_copy": "cast", "scaled_dot_product_attention": "attention"}


class Place(NamedTuple):
    """One call of a function. ``layer`` is the dotted path of the innermost module, ``call`` tells its calls apart."""

    name: str
    layer: str
    origin: str
    function: str
    call: str


def places(program: Any) -> dict[fx.Node, Place]:
    """The place of every call.

    The last call inside a module without submodules is named after the module, so that the module's name means its output;
    every other one is ``module/function``. Calls in the model's own forward have the name of the function.
    """
    calls = [n for n in program.graph.nodes if n.op == "call_function"]
    innermost = {n: _innermost(n) for n in calls}
    owners = _owners(program)
    called = {path for _, path, _ in innermost.values()}
    for n in calls:                                                     # attention uses the weights of out_proj without calling it
        lent = {owners[a] for a in n.all_input_nodes if a in owners} - called
        if len(lent) == 1 and (owner := lent.pop()).startswith(f"{innermost[n][1]}."):
            innermost[n] = (f"{innermost[n][0]}.{n.name}", owner, "")
    paths = {path for _, path, _ in innermost.values()} | set(owners.values())
    last = {innermost[n][0]: n for n in calls if _computes(n)}
    return {n: _place(n, *innermost[n], paths, last[innermost[n][0]] is n if innermost[n][0] in last else False) for n in calls}


def function_name(target: Any) -> str:
    """``conv2d`` of aten.conv2d.default, and plain words for the names of decomposed operators."""
    name: str = target.__name__ if not hasattr(target, "_schema") else target._schema.name.split("::")[-1]
    return _PLAIN.get(name, name.strip("_"))


def _place(node: fx.Node, key: str, path: str, kind: str, paths: set[str], is_last: bool) -> Place:
    function = function_name(node.target)
    leaf = bool(path) and not any(p.startswith(f"{path}.") and ".parametrizations" not in p for p in paths)
    name = path if leaf and is_last else f"{path}/{function}" if path else function
    line = _user_line(node.meta.get("stack_trace") or "")
    origin = f"{node.target}" + (f" in {kind}" if kind else "") + (f", {line}" if line else "")
    return Place(name, path, origin, function, key)


def _innermost(node: fx.Node) -> tuple[str, str, str]:
    """Key of the call (a second call of a module has another), dotted path and class of the innermost module."""
    stack = [(k, v) for k, v in (node.meta.get("nn_module_stack") or {}).items() if "empty_nn_module_stack" not in k]
    if not stack:
        return "", "", ""
    key, (path, kind) = stack[-1]
    return key, path, (kind if isinstance(kind, str) else kind.__name__).rpartition(".")[2]


def _computes(node: fx.Node) -> bool:
    value = node.meta.get("val")
    first = value[0] if isinstance(value, (list, tuple)) and value else value
    return isinstance(first, torch.Tensor) and node.target is not operator.getitem and function_name(node.target) not in NOTHING


def _owners(program: Any) -> dict[fx.Node, str]:
    """The placeholder of each parameter -> the path of the module that holds it."""
    placeholders = [n for n in program.graph.nodes if n.op == "placeholder"]
    specs = program.graph_signature.input_specs
    return {n: spec.target.rpartition(".")[0] for n, spec in zip(placeholders, specs, strict=True) if spec.target is not None}


def _user_line(trace: str) -> str:
    """``file.py:12``, the last line of the trace that is not the framework's own; without folders, which are private.

    A trace runs from the call of the conversion to the line; for a node that came up when torch took another apart it may end in
    this backend, and then there is no such line.
    """
    frames = [(f, line) for f, line in _FRAME.findall(trace) if not f.startswith((_LIBRARY, "torch/", "<"))]
    if not frames or frames[-1][0].startswith(_HERE):
        return ""
    return f"{os.path.basename(frames[-1][0])}:{frames[-1][1]}"
