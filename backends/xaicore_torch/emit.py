"""The way back: a graph as a torch.nn.Module with one submodule for each node, for round trips and for libraries that use hooks.

Where torch has a layer for an operator, the submodule is that layer (nn.Conv2d, nn.ReLU ...), and a layer that is called twice is
two submodules with the same parameters, so that a hook sees every call by itself. Every other operator is a ``Function``; which
torch function it calls stands in functions.py.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from xaicore import ops
from xaicore.errors import InputError, XaicoreError
from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import shapes_of
from xaicore_torch.functions import FUNCTIONS, same


def emit(graph: Graph) -> nn.Module:
    """The graph as a module in eval mode: takes the graph's inputs, gives its output or a tuple of outputs.

    Its submodules have the names of the nodes, its parameters the values of the graph's (in the graph's dtype); where a layer
    keeps them they are called as torch calls them, ``conv1.weight``. Raises InputError for a graph in exact arithmetic.
    """
    if graph.dtype == "exact":
        raise InputError("torch has no rational numbers; emit graph.astype('float64')")
    arguments = [inspect.Parameter(k, inspect.Parameter.POSITIONAL_OR_KEYWORD) for k in ("self", *graph.inputs) if k.isidentifier()]

    def forward(self: _Emitted, *args: Any, **kwargs: Any) -> Any:
        return self.run(args, kwargs)

    if len(arguments) == len(graph.inputs) + 1:                         # torch.export names inputs after forward's arguments
        forward.__signature__ = inspect.Signature(arguments)  # type: ignore[attr-defined]
    return type("Emitted", (_Emitted,), {"forward": forward, "__doc__": _Emitted.__doc__})(graph).eval()


class Function(nn.Module):  # type: ignore[misc]
    """One call of an operator that is no layer of torch's."""

    def __init__(self, op: ops.Op):
        super().__init__()
        self.op = op

    def forward(self, *xs: Any) -> Any:
        return FUNCTIONS[type(self.op)](self.op, *xs)

    def extra_repr(self) -> str:
        return str(self.op)


class _Emitted(nn.Module):  # type: ignore[misc]
    """A graph as a module: takes the graph's inputs in order or by name."""

    def __init__(self, graph: Graph):
        super().__init__()
        self.feeds, self.outputs = tuple(graph.inputs), graph.outputs
        tensors = {k: _tensor(v) for k, v in graph.params.items()}
        shapes = _shapes(graph)
        self.calls: list[tuple[str, str, tuple[str, ...]]] = []                 # (value, path of its module, what it is fed)
        paths = {}
        for node in sorted(graph.nodes, key=lambda n: n.name.count(".")):      # a module before its submodules
            paths[node.name] = _put(self, node.name, _layer(node, graph, tensors, shapes) or Function(node.op))
        for node in graph.nodes:
            whole = isinstance(self.get_submodule(paths[node.name]), Function)
            self.calls.append((node.name, paths[node.name], tuple(i for i in node.inputs if whole or i not in tensors)))
        held = {id(t): k for k, t in [*self.named_parameters(remove_duplicate=False), *self.named_buffers(remove_duplicate=False)]}
        read = {i for _, _, fed in self.calls for i in fed if i in tensors} | (set(self.outputs) & set(tensors))
        for name in sorted(read):
            if id(tensors[name]) not in held:
                held[id(tensors[name])] = _put(self, name, tensors[name])
        self.held = {name: held[id(tensors[name])] for name in read}

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
        """The outputs for the inputs given."""
        if len(args) + len(kwargs) != len(self.feeds):
            raise InputError(f"the graph has the inputs {', '.join(self.feeds)}; {len(args) + len(kwargs)} were given")
        values = dict(zip(self.feeds, args)) | dict(kwargs)
        for name, path in self.held.items():
            values[name] = functools.reduce(getattr, path.split("."), self)
        for name, path, fed in self.calls:
            values[name] = self.get_submodule(path)(*(values[i] for i in fed))
        found = tuple(values[o] for o in self.outputs)
        return found[0] if len(found) == 1 else found


def _tensor(value: Any) -> Any:
    tensor = torch.from_numpy(np.array(value))
    return nn.Parameter(tensor) if tensor.is_floating_point() else tensor


def _shapes(graph: Graph) -> Mapping[str, tuple[int, ...]]:
    """The shapes of one run, for layers that are called by their number of axes; none where sample inputs will not run."""
    try:
        return shapes_of(graph)
    except XaicoreError:
        return {}


def _put(root: nn.Module, path: str, value: Any) -> str:
    """Puts a module, parameter or buffer at a dotted path, making the modules on the way; returns where it is now."""
    *way, last = path.split(".")
    at, found = root, []
    for name in way:
        while hasattr(at, name) and not isinstance(getattr(at, name), nn.Module):
            name += "_"                                                 # a method of nn.Module, such as "double" or "train"
        if not hasattr(at, name):
            at.add_module(name, nn.Module())
        at = getattr(at, name)
        found.append(name)
    while hasattr(at, last):
        last += "_"
    if isinstance(value, nn.Module):
        at.add_module(last, value)
    elif isinstance(value, nn.Parameter):
        at.register_parameter(last, value)
    else:
        at.register_buffer(last, value)
    return ".".join([*found, last])


# ----- layers -----------------------------------------------------------------------------------------------------


def _layer(node: Node, graph: Graph, tensors: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> nn.Module | None:
    """torch's own layer for a node whose other inputs are all parameters; None where torch has none for these settings."""
    make = LAYERS.get(type(node.op))
    fed = node.inputs[0]
    held = [tensors[i] for i in node.inputs[1:] if i in tensors]
    if isinstance(node.op, ops.Embedding):
        fed, held = node.inputs[1], [tensors[i] for i in node.inputs[:1] if i in tensors]
    if make is None or fed in tensors or len(held) != len(node.inputs) - 1 or fed not in shapes:
        return None
    with torch.device("meta"):                                          # no storage and no draw of random numbers for initial weights
        layer = make(node.op, len(shapes[fed]) - 2, *held)
    if layer is None or not held:
        return layer
    names = ["weight", "bias", "running_mean", "running_var"]
    for name, tensor in zip(names, held):
        if name.startswith("running"):
            layer.register_buffer(name, tensor.detach())
        else:
            setattr(layer, name, tensor)
    if isinstance(layer, nn.modules.batchnorm._BatchNorm):
        layer.num_batches_tracked = torch.tensor(0)
    return layer


def _conv(op: ops.Conv, rank: int, w: Any, *b: Any) -> nn.Module | None:
    pads = same(op.pads)
    kinds = (nn.Conv1d, nn.Conv2d, nn.Conv3d)
    if pads is None:
        return None
    channels = w.shape[1] * op.groups
    return kinds[rank - 1](channels, len(w), w.shape[2:], op.stride or 1, pads or 0, op.dilation or 1, op.groups, bool(b), dtype=w.dtype)


def _conv_transpose(op: ops.ConvTranspose, rank: int, w: Any, *b: Any) -> nn.Module | None:
    pads = same(op.pads)
    kinds = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
    if pads is None:
        return None
    return kinds[rank - 1](
        len(w), w.shape[1] * op.groups, w.shape[2:], op.stride or 1, pads or 0, op.output_padding or 0, op.groups, bool(b),
        op.dilation or 1, dtype=w.dtype,
    )


def _max_pool(op: ops.MaxPool, rank: int) -> nn.Module | None:
    pads = same(op.pads)
    if pads is None or any(p > k // 2 for p, k in zip(pads, op.kernel)):
        return None
    kinds = (nn.MaxPool1d, nn.MaxPool2d, nn.MaxPool3d)
    return kinds[rank - 1](op.kernel, op.stride or None, pads or 0, op.dilation or 1, ceil_mode=op.ceil)


def _avg_pool(op: ops.AvgPool, rank: int) -> nn.Module | None:
    pads = same(op.pads)
    if pads is None or any(p > k // 2 for p, k in zip(pads, op.kernel)) or set(op.dilation) - {1} or op.divisor is not None:
        return None
    kinds: Any = (nn.AvgPool1d, nn.AvgPool2d, nn.AvgPool3d)
    return kinds[rank - 1](op.kernel, op.stride or None, pads or 0, op.ceil, op.count_include_pad)


LAYERS: Mapping[type[ops.Op], Callable[..., nn.Module | None]] = {
    ops.Dense: lambda op, rank, w, *b: nn.Linear(w.shape[1], w.shape[0], bool(b), dtype=w.dtype),
    ops.Conv: _conv, ops.ConvTranspose: _conv_transpose, ops.MaxPool: _max_pool, ops.AvgPool: _avg_pool,
    ops.GlobalAvgPool: lambda op, rank: (nn.AdaptiveAvgPool1d, nn.AdaptiveAvgPool2d, nn.AdaptiveAvgPool3d)[rank - 1](1),
    ops.BatchNorm: lambda op, rank, gamma, *rest: (nn.BatchNorm1d, nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d)[rank](
        len(gamma), op.eps, dtype=gamma.dtype),
    ops.LayerNorm: lambda op, rank, *p: nn.LayerNorm(p[0].shape, op.eps, bias=len(p) == 2, dtype=p[0].dtype) if p else None,
    ops.Embedding: lambda op, rank, table: nn.Embedding(*table.shape, dtype=table.dtype),
    ops.ReLU: lambda op, rank: nn.ReLU(), ops.LeakyReLU: lambda op, rank: nn.LeakyReLU(op.slope), ops.ReLU6: lambda op, rank: nn.ReLU6(),
    ops.ELU: lambda op, rank: nn.ELU(op.alpha), ops.SELU: lambda op, rank: nn.SELU(), ops.CELU: lambda op, rank: nn.CELU(op.alpha),
    ops.Sigmoid: lambda op, rank: nn.Sigmoid(), ops.Tanh: lambda op, rank: nn.Tanh(), ops.GELU: lambda op, rank: nn.GELU(op.approximate),
    ops.SiLU: lambda op, rank: nn.SiLU() if op.beta == 1 else None, ops.Mish: lambda op, rank: nn.Mish(),
    ops.Softplus: lambda op, rank: nn.Softplus(op.beta),
    ops.HardSwish: lambda op, rank: nn.Hardswish(), ops.Softsign: lambda op, rank: nn.Softsign(),
    ops.Softmax: lambda op, rank: nn.Softmax(op.axis), ops.LogSoftmax: lambda op, rank: nn.LogSoftmax(op.axis),
    ops.Flatten: lambda op, rank: nn.Flatten(op.start) if rank + 2 > op.start else None,
    ops.LocalResponseNorm: lambda op, rank: nn.LocalResponseNorm(op.size, op.alpha, op.beta, op.k),
    ops.Dropout: lambda op, rank: nn.Dropout(op.rate), ops.Identity: lambda op, rank: nn.Identity(),
}
"""Operator -> its layer, from the operator, the number of spatial axes and the parameters."""
