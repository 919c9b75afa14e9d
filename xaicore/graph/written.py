"""Layers that a framework, or an exporter, wrote out of arithmetic, as the layers that they are; the same function, Graph -> Graph.

A rule set sees neurons where there are layers: the bias of a convolution is no neuron of its own, and neither is each step of a
normalisation. Keras on its torch backend writes them so, channels last, and so do the ONNX files that are made of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from xaicore.graph.graph import Graph, Node
from xaicore.graph.passes import prune
from xaicore.graph.run import shapes_of
from xaicore.numerics import Array
from xaicore.ops import Add, BatchNorm, Conv, ConvTranspose, Dense, Identity, Mul, Sigmoid, SiLU, Sub, Transpose

Shapes = Mapping[str, Sequence[int]]


def recognise_batchnorm(graph: Graph, shapes: Shapes | None = None) -> Graph:
    """(x - μ) k + β, with constants along one axis, as a BatchNorm of mean μ, variance 1, scale k and shift β.

    Where the axis is not 1, a Transpose stands before and behind. The last node keeps its name and value; the two before it, which
    nothing else may read, are gone. A graph of rationals stays as it is, since BatchNorm has a square root. ``shapes`` (of one run)
    saves a run on sample feeds.
    """
    if graph.dtype == "exact":
        return graph
    nodes, readers = {n.name: n for n in graph.nodes}, _readers(graph)
    made: dict[str, list[Node]] = {}
    params = dict(graph.params)
    for add in graph.nodes:
        steps = _three_steps(add, nodes, readers, graph)
        if steps is None:
            continue
        shapes = shapes or shapes_of(graph)
        x, *constants = steps
        if x not in shapes:
            continue
        rank = len(shapes[x])
        axes = {k for c in constants for k in _axes(graph.params[c], rank)}
        size = shapes[x][max(axes, default=0)]
        if len(axes) != 1 or 0 in axes or any(graph.params[c].size not in (1, size) for c in constants):
            continue
        (axis,) = axes
        mean, k, beta = (np.broadcast_to(graph.params[c].reshape(-1), (size,)) for c in constants)
        names = [f"{add.name}/{part}" for part in ("gamma", "beta", "mean", "var")]
        params |= dict(zip(names, (k, beta, mean, np.ones_like(k))))
        first = (0, axis, *(i for i in range(1, rank) if i != axis))
        if axis == 1:
            made[add.name] = [replace(add, op=BatchNorm(eps=0.0), inputs=(x, *names))]
            continue
        front, norm = f"{add.name}/channels_first", f"{add.name}/normalized"
        back = tuple(int(i) for i in np.argsort(first))
        made[add.name] = [
            replace(add, name=front, op=Transpose(first), inputs=(x,)),
            replace(add, name=norm, op=BatchNorm(eps=0.0), inputs=(front, *names)),
            replace(add, op=Transpose(back), inputs=(norm,))]
    if not made:
        return graph
    return prune(replace(graph, params=params, nodes=tuple(n for old in graph.nodes for n in made.get(old.name, [old]))))


def _three_steps(add: Node, nodes: Mapping[str, Node], readers: Mapping[str, int], graph: Graph) -> tuple[str, str, str, str] | None:
    """x, μ, k and β of (x - μ) k + β that ends at ``add``."""
    found: list[str] = []
    node: Node | None = add
    for kind in (Add, Mul, Sub):
        if node is None or not isinstance(node.op, kind) or (node is not add and readers[node.name] > 1):
            return None
        live = [i for i in node.inputs if i not in graph.params]
        if len(live) != 1 or len(node.inputs) != 2 or (kind is Sub and node.inputs[0] != live[0]):
            return None
        found.append(next(i for i in node.inputs if i in graph.params))
        before, node = live[0], nodes.get(live[0])
    return before, found[2], found[1], found[0]


def fold_bias(graph: Graph, shapes: Shapes | None = None) -> Graph:
    """A constant that is added along the output channels of a Conv, ConvTranspose or Dense without bias is its bias; the same function.

    Transposes in between are looked through. The layer keeps its name; the Add stays as an Identity, so that its name still means its
    output. Nothing else may read what lies between.
    """
    nodes, readers = {n.name: n for n in graph.nodes}, _readers(graph)
    params = dict(graph.params)
    changed: dict[str, Node] = {}
    for add in graph.nodes:
        constants = [i for i in add.inputs if i in graph.params]
        if not isinstance(add.op, Add) or len(constants) != 1 or len(add.inputs) != 2:
            continue
        (name,) = (i for i in add.inputs if i not in constants)
        perms: list[Sequence[int]] = []
        while name in nodes and readers[name] == 1 and isinstance(op := nodes[name].op, Transpose):
            perms.append(op.perm)
            (name,) = nodes[name].inputs
        layer = nodes.get(name)
        if layer is None or readers[name] > 1 or not isinstance(layer.op, (Conv, ConvTranspose, Dense)) or len(layer.inputs) > 2:
            continue
        shapes = shapes or shapes_of(graph)
        if name not in shapes or layer.inputs[1] not in graph.params:
            continue
        rank = len(shapes[name])
        axis = rank - 1 if isinstance(layer.op, Dense) else 1
        size = shapes[name][axis]
        for perm in reversed(perms):
            axis = list(perm).index(axis)
        x = graph.params[constants[0]]
        if x.ndim > rank or not set(_axes(x, rank)) <= {axis} or x.size not in (1, size):
            continue
        bias = f"{name}/added_bias"
        params[bias] = np.broadcast_to(x.reshape(-1), (size,))
        changed[name] = replace(layer, inputs=(*layer.inputs, bias))
        inner = next(i for i in add.inputs if i not in constants)
        changed[add.name] = replace(add, op=Identity(), inputs=(inner,))
    if not changed:
        return graph
    return prune(replace(graph, params=params, nodes=tuple(changed.get(n.name, n) for n in graph.nodes)))


def recognise_silu(graph: Graph) -> Graph:
    """x σ(x) as SiLU(x), for which ONNX files have no operator; the node keeps its name, and a Sigmoid that others read stays."""
    gates = {n.name: n.inputs[0] for n in graph.nodes if isinstance(n.op, Sigmoid)}
    products = {n.name: n.inputs for n in graph.nodes if isinstance(n.op, Mul)}
    gated = {name: a for name, (one, two) in products.items() for a, b in ((one, two), (two, one)) if gates.get(b) == a}
    if not gated:
        return graph
    return prune(replace(graph, nodes=tuple(replace(n, op=SiLU(), inputs=(gated[n.name],)) if n.name in gated else n for n in graph.nodes)))


def _readers(graph: Graph) -> Counter[str]:
    return Counter(i for n in graph.nodes for i in n.inputs) + Counter(graph.outputs)


def _axes(x: Array, rank: int) -> list[int]:
    """The axes of an array of ``rank`` axes along which a constant that broadcasts to it varies."""
    return [rank - x.ndim + k for k, n in enumerate(x.shape) if n != 1]
