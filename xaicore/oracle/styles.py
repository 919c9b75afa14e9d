"""A graph as the text of a torch module, in the styles that users write: a module for each call, functional calls, in place, shared.

    source(graph, "functional")  ->  "import torch ... class Net(nn.Module): ..."

The text needs torch alone, holds the weights as numbers, and ends in a function ``model()``. All styles are one function of the input,
so what an explainer makes of them may not differ.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from xaicore import ops
from xaicore.errors import ConversionError, UnknownName, nearest
from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import shapes_of

STYLES = ("modules", "functional", "in-place", "shared")
"""modules: one for each call. functional: torch functions where there are no weights. in-place: activations overwrite their input where
nothing else reads it. shared: one module for all activations of a kind, and for layers with the same parameters."""

Activation = tuple[str, str, str]


def _activation(kind: str, function: str, arguments: Callable[[Any], str] = lambda op: "") -> Callable[[Any], Activation]:
    return lambda op: (f"nn.{kind}({arguments(op)})", function, arguments(op))


ACTIVATIONS: Mapping[type[ops.Op], Callable[[Any], Activation]] = {
    ops.ReLU: _activation("ReLU", "torch.relu"),
    ops.LeakyReLU: _activation("LeakyReLU", "F.leaky_relu", lambda op: f"{float(op.slope)}"),
    ops.ELU: _activation("ELU", "F.elu", lambda op: f"{float(op.alpha)}"),
    ops.Sigmoid: _activation("Sigmoid", "torch.sigmoid"), ops.Tanh: _activation("Tanh", "torch.tanh"),
    ops.Softplus: _activation("Softplus", "F.softplus", lambda op: f"{float(op.beta)}"),
    ops.GELU: _activation("GELU", "F.gelu"), ops.SiLU: _activation("SiLU", "F.silu"), ops.ReLU6: _activation("ReLU6", "F.relu6"),
}
IN_PLACE = (ops.ReLU, ops.LeakyReLU, ops.ELU, ops.SiLU, ops.ReLU6)
"""Those that torch's modules offer with ``inplace=True``."""
OVERWRITTEN = (ops.Dense, ops.Conv, ops.BatchNorm, ops.Add, ops.Concat)
"""Those whose output torch does not need for the backward pass, so that it may be overwritten."""


def source(graph: Graph, style: str = "modules") -> str:
    """The text; UnknownName for a style that there is not, ConversionError for an operator without a text."""
    if style not in STYLES:
        raise UnknownName(f"no style is called {style!r}: {nearest(style, STYLES)}")
    shapes = shapes_of(graph)
    made: dict[tuple[str, ...], str] = {}
    init: list[str] = []
    lines: list[str] = []
    readers = [i for n in graph.nodes for i in n.inputs]
    for node in graph.nodes:
        module, call = _written(node, graph, shapes, style, readers)
        if module:
            key = (module, *node.inputs[1:], *(() if style == "shared" else (node.name,)))
            if key not in made:
                made[key] = node.name
                init += [f"        self.{node.name} = {module}", *_weights(node, graph)]
            call = f"self.{made[key]}({node.inputs[0]})"
        lines.append(f"        {node.name} = {call}")
    (feed,) = graph.inputs
    return "\n".join([
        "import torch", "import torch.nn.functional as F", "from torch import nn", "", "",
        "class Net(nn.Module):", "    def __init__(self):", "        super().__init__()", *init, "",
        f"    def forward(self, {feed}):", *lines, f"        return {graph.outputs[0]}", "", "",
        "def model():", "    return Net().double().eval()", ""])


def _weights(node: Node, graph: Graph) -> list[str]:
    """Lines that give a layer its numbers."""
    fields = ("weight", "bias", "running_mean", "running_var")
    return [f"        self.{node.name}.{f}.data = torch.tensor({numbers(graph.params[p])}, dtype=torch.float64)"
            for f, p in zip(fields, node.inputs[1:])]


def numbers(value: Any) -> str:
    """An array as nested lists, short where the numbers are."""
    def plain(v: Any) -> Any:
        return [plain(one) for one in v] if isinstance(v, list) else float(v)

    return repr(plain(np.asarray(value).tolist()))


def _written(node: Node, graph: Graph, shapes: Mapping[str, tuple[int, ...]], style: str, readers: list[str]) -> tuple[str, str]:
    """(the module's constructor or "", the call without it)."""
    o: Any = node.op
    xs = list(node.inputs)
    rank = len(shapes[xs[0]]) - 2
    plain = style == "functional"
    if type(o) in ACTIVATIONS:
        module, function, arguments = ACTIVATIONS[type(o)](o)
        made_by = next((n.op for n in graph.nodes if n.name == xs[0]), None)
        if style == "in-place" and isinstance(o, IN_PLACE) and readers.count(xs[0]) == 1 and isinstance(made_by, OVERWRITTEN):
            module = module[:-1] + (", " if arguments else "") + "inplace=True)"
        return ("", f"{function}({', '.join([xs[0], *filter(None, [arguments])])})") if plain else (module, "")
    if isinstance(o, ops.Softmax):
        return ("", f"torch.softmax({xs[0]}, {o.axis})") if plain else (f"nn.Softmax({o.axis})", "")
    if isinstance(o, ops.Flatten):
        return "", f"{xs[0]}.flatten(1)"
    if isinstance(o, (ops.MaxPool, ops.AvgPool)):
        return _pool(o, xs[0], rank, plain)
    if isinstance(o, ops.GlobalAvgPool):
        return ("", f"F.adaptive_avg_pool{rank}d({xs[0]}, 1)") if plain else (f"nn.AdaptiveAvgPool{rank}d(1)", "")
    if isinstance(o, ops.Dense):
        return f"nn.Linear({graph.params[xs[1]].shape[1]}, {len(graph.params[xs[1]])}, bias={len(xs) > 2})", ""
    if isinstance(o, ops.Conv):
        w = graph.params[xs[1]]
        pads = tuple(a for a, _ in o.pads) or 0
        return (f"nn.Conv{rank}d({w.shape[1] * o.groups}, {len(w)}, {tuple(w.shape[2:])}, stride={o.stride or 1}, padding={pads}, "
                f"dilation={o.dilation or 1}, groups={o.groups}, bias={len(xs) > 2})"), ""
    if isinstance(o, ops.BatchNorm):
        return f"nn.BatchNorm{rank or 1}d({len(graph.params[xs[1]])}, eps={float(o.eps)})", ""
    binary = {ops.Add: "+", ops.Sub: "-", ops.Mul: "*"}.get(type(o))
    if binary and len(xs) == 2:
        return "", f"{xs[0]} {binary} {xs[1]}"
    if isinstance(o, ops.Concat):
        return "", f"torch.cat([{', '.join(xs)}], {o.axis})"
    raise ConversionError(f"node {node.name!r}: {o} has no text in torch; write it into xaicore/oracle/styles.py")


def _pool(o: Any, x: str, rank: int, plain: bool) -> tuple[str, str]:
    pads = tuple(a for a, _ in o.pads) or 0
    if isinstance(o, ops.MaxPool):
        settings = f"{o.kernel}, stride={o.stride or o.kernel}, padding={pads}, dilation={o.dilation or 1}, ceil_mode={o.ceil}"
        return ("", f"F.max_pool{rank}d({x}, {settings})") if plain else (f"nn.MaxPool{rank}d({settings})", "")
    settings = f"{o.kernel}, stride={o.stride or o.kernel}, padding={pads}, ceil_mode={o.ceil}, count_include_pad={o.count_include_pad}"
    return ("", f"F.avg_pool{rank}d({x}, {settings})") if plain else (f"nn.AvgPool{rank}d({settings})", "")
