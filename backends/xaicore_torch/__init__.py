"""The torch backend: a live module or an exported program as a graph, and a graph as a module."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import fx
from torch.utils import _pytree as pytree

from xaicore.errors import NothingChecked
from xaicore.graph.graph import Graph
from xaicore.graph.verify import verify as compare
from xaicore.numerics import Array
from xaicore_torch.context import UNWRITTEN, Value
from xaicore_torch.emit import emit
from xaicore_torch.export import check_derivative, export_program, part_of, quiet, unwrapped
from xaicore_torch.lower import Lowered, lower_program, simplify
from xaicore_torch.places import function_name

__all__ = ["emit", "to_graph"]


def to_graph(model: Any, example: Any = None, *, dtype: str = "float64", verify: bool = True, submodule: str = "") -> Graph:
    """The graph of a torch.nn.Module (in eval mode) or of a torch.export.ExportedProgram.

    ``example`` is what the model is called with: a tensor, a tuple of arguments, or a mapping by name; axis 0 is the batch of
    every tensor. The graph takes any batch, unless the model fixes it; its inputs have the names of forward's arguments, its
    layers those of the modules; an output whose batch the model has moved comes with the batch first. With ``verify`` every
    value is compared with torch's on the example, and autograd's gradient with the derivative of what was exported.

    ``submodule`` is the dotted path of the part to convert, for models that have no static graph as a whole (a detector: its
    backbone, the head of its RPN). ``example`` is still the whole model's: it is run once, and the part is converted with what
    its first call was given. The graph's names are the part's own, as in ``to_graph(model.get_submodule(submodule), ...)``.

    Raises ConversionError for what has no counterpart, BackendError for what is no model, InputError for a bad example,
    UnknownName for a submodule that is none, Mismatch when a value differs. Functions that torch.export drops (a custom backward,
    torch.no_grad, a backward hook) are found by ``verify`` for live modules only: an exported program holds no trace of them.
    """
    model = unwrapped(model)
    if submodule:
        model, example = part_of(model, submodule, example)
    program, args, kwargs = export_program(model, example)
    with quiet():
        program = simplify(program)
    live = isinstance(model, torch.nn.Module)
    lowered = lower_program(program, "float64" if dtype == "exact" else dtype, dict(model.named_modules()) if live else {})
    if verify:
        _verify(lowered, program, args, kwargs)
        if live:
            check_derivative(model, program, args, kwargs)
    return lowered.graph.astype(dtype)


def _verify(lowered: Lowered, program: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
    """Compares the value of every node with torch's own, in the model's dtype."""
    fed = pytree.tree_leaves((args, kwargs))
    if not fed:
        raise NothingChecked("the program holds no example inputs, so it cannot be verified: give some, or verify=False")
    with quiet(), torch.no_grad():
        recorder = _Recorder(program.graph_module, {n for n, _ in lowered.values})
        recorder.run(*_flat_inputs(program, fed))
    expected: dict[str, Array] = {o: lowered.graph.params[o] for o in lowered.graph.outputs if o in lowered.graph.params}
    rough = _rough(program)
    for node, value in lowered.values:
        expected.setdefault(value.name, _in_graph(value, recorder.seen[node], node in rough))
    feeds = {k: expected[k] for k in lowered.graph.inputs}
    compare(lowered.graph, feeds, expected, "torch", own=lambda: _own_rounding(lowered, program, fed, expected))


def _own_rounding(lowered: Lowered, program: Any, fed: list[Any], expected: Mapping[str, Array], draws: int = 3) -> Mapping[str, float]:
    """By how much torch's own values move, at most, when inputs and parameters move by one unit in the last place, up or down."""
    specs = program.graph_signature.input_specs
    free = [spec.target is None or spec.kind is torch.export.graph_signature.InputKind.PARAMETER for spec in specs]
    moved: dict[str, float] = {}
    for seed in range(draws):
        g = torch.Generator().manual_seed(seed)
        with quiet(), torch.no_grad():
            recorder = _Recorder(program.graph_module, {n for n, _ in lowered.values})
            recorder.run(*(_one_ulp(x, g) if f else x for x, f in zip(_flat_inputs(program, fed), free, strict=True)))
        for node, value in lowered.values:
            theirs = expected[value.name]
            if theirs.dtype.kind == "f":
                gap = np.abs(_in_graph(value, recorder.seen[node], False) - theirs)
                moved[value.name] = max(moved.get(value.name, 0.0), float(np.max(gap, initial=0, where=np.isfinite(gap))))
    return moved


def _one_ulp(x: Any, g: torch.Generator) -> Any:
    """Every entry of a floating tensor one unit in the last place up or down."""
    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        return x
    return x * (1 + torch.finfo(x.dtype).eps * (torch.randint(0, 2, x.shape, generator=g).to(x.dtype) * 2 - 1))


def _rough(program: Any) -> set[fx.Node]:
    """The nodes that torch knows to float32 only although they are float64: behind a step that casts, as language models do."""
    users = set(program.graph_signature.user_inputs)
    found: set[fx.Node] = set()
    for node in program.graph.nodes:
        single = any(getattr(v, "dtype", None) == torch.float32 for v in pytree.tree_leaves(node.meta.get("val")))
        if node.op == "call_function" and (single or any(n in found for n in node.all_input_nodes)):
            found.add(node)
        elif single and node.name in users:                             # then all is float32
            return set()
    return found


def _in_graph(value: Value, tensor: Any, rough: bool) -> Array:
    array = value.layout.to_graph(tensor.detach().cpu().contiguous().numpy())
    with np.errstate(over="ignore"):
        return array.astype(np.float32) if rough and array.dtype.kind == "f" else array


def _flat_inputs(program: Any, fed: list[Any]) -> list[Any]:
    """Parameters, buffers, constants and the user's inputs, in the order of the program's placeholders."""
    users = iter(fed)
    found = []
    for spec in program.graph_signature.input_specs:
        stored = program.state_dict if spec.target in program.state_dict else program.constants
        found.append(next(users) if spec.target is None else stored[spec.target])
    return found


class _Recorder(fx.Interpreter):  # type: ignore[misc]
    """Runs a program and keeps the values of some nodes."""

    def __init__(self, module: Any, wanted: set[fx.Node]):
        super().__init__(module)
        self.wanted = wanted
        self.seen: dict[fx.Node, Any] = {}

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if n.op == "call_function" and function_name(n.target) in UNWRITTEN:
            value = torch.zeros_like(value)
        if n in self.wanted:
            self.seen[n] = value
        return value
