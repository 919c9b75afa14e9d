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
from xaicore.ops import (
    Add,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Div,
    Identity,
    Mean,
    Mul,
    Pow,
    Reciprocal,
    RMSNorm,
    Rsqrt,
    Sigmoid,
    SiLU,
    Sqrt,
    Sub,
    Transpose,
)
from xaicore.ops.op import Op

Shapes = Mapping[str, Sequence[int]]
POWERS: Mapping[float, tuple[type[Op], ...]] = {-1: (Reciprocal,), -0.5: (Rsqrt,), 0.5: (Sqrt,), 2: ()}
"""Exponent -> the operators that are this power, beside Pow."""


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
        made[add.name] = _seen(add, BatchNorm(eps=0.0), (x, *names), first, "channels_first")
    return _with(graph, params, made)


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


def recognise_rmsnorm(graph: Graph, shapes: Shapes | None = None) -> Graph:
    """x / sqrt(mean(x²) + ε), and that times a constant γ along the axes of the mean, as an RMSNorm.

    The square may be a power or a product, the inverse of the root an Rsqrt, a Reciprocal, a power or a division, and casts may stand
    in between: models of torch are written so, and so torch writes its own ``nn.RMSNorm`` into ONNX files. Where the axes are not the
    last ones, a Transpose stands before and behind. The last node keeps its name and value; γ stays a node of its own where something
    else reads what it scales. A graph of rationals stays as it is, since RMSNorm has a square root.
    """
    if graph.dtype == "exact":
        return graph
    nodes, readers = {n.name: n for n in graph.nodes}, _readers(graph)
    norms = {n.name: found for n in graph.nodes if (found := _over_root_mean_square(n, nodes, graph)) is not None}
    if not norms:
        return graph
    shapes = shapes or shapes_of(graph)
    params = dict(graph.params)
    made: dict[str, list[Node]] = {}
    for node in graph.nodes:
        norm, gamma = (node.name, "") if node.name in norms else _scaled(node, nodes, readers, graph)
        x, over, eps = norms.get(norm, ("", (), 0.0))
        if x not in shapes:
            continue
        size = shapes[x]
        axes = sorted(a % len(size) for a in over)
        perm, inputs = (*(i for i in range(len(size)) if i not in axes), *axes), [x]
        if gamma:
            if params[gamma].ndim > len(size) or not set(_axes(params[gamma], len(size))) <= set(axes):
                continue
            inputs.append(f"{node.name}/gamma")
            whole = np.broadcast_to(params[gamma], [n if i in axes else 1 for i, n in enumerate(size)])
            params[inputs[1]] = whole.transpose(perm).reshape([size[i] for i in axes])
        made[node.name] = _seen(node, RMSNorm(len(axes), eps), inputs, perm, "axes_last")
    return _with(graph, params, made)


def _over_root_mean_square(node: Node, nodes: Mapping[str, Node], graph: Graph) -> tuple[str, tuple[int, ...], float] | None:
    """x, the axes of the mean and ε of x / sqrt(mean(x²) + ε) that ends at ``node``."""
    def past(name: str) -> str:
        while name in nodes and isinstance(nodes[name].op, Identity):
            (name,) = nodes[name].inputs
        return name

    def number(name: str) -> float | None:
        return float(graph.params[name].reshape(())) if name in graph.params and graph.params[name].size == 1 else None

    def power(name: str, exponent: float) -> str:
        """What ``name`` is this power of in one step, "" if it is none."""
        made = nodes.get(past(name))
        if made is None:
            return ""
        if isinstance(made.op, POWERS[exponent]) or (isinstance(made.op, Pow) and made.op.exponent == exponent):
            return made.inputs[0]
        if exponent == 2 and isinstance(made.op, Mul) and len({past(i) for i in made.inputs}) == 1:
            return made.inputs[0]
        if exponent == -1 and isinstance(made.op, Div) and number(made.inputs[0]) == 1:
            return made.inputs[1]
        return ""

    def base(name: str, exponent: float) -> str:                        # no function here calls itself: a cycle would keep the graph alive
        """What ``name`` is this power of, "" if it is none."""
        return power(name, exponent) or (power(power(name, -1), 0.5) if exponent == -0.5 else "")

    products, quotient = [(0, 1, -0.5), (1, 0, -0.5)], [(0, 1, 0.5)]
    for x, scale, exponent in products if isinstance(node.op, Mul) else quotient if isinstance(node.op, Div) else []:
        total = nodes.get(past(base(node.inputs[scale], exponent)))
        if total is None or not isinstance(total.op, Add):
            continue
        for mean, eps in (total.inputs, total.inputs[::-1]):
            statistic, added = nodes.get(past(mean)), number(eps)
            if added is None or statistic is None or not isinstance(statistic.op, Mean) or not statistic.op.keepdims:
                continue
            if past(base(statistic.inputs[0], 2)) == past(node.inputs[x]):
                return node.inputs[x], statistic.op.axes, added
    return None


def _scaled(node: Node, nodes: Mapping[str, Node], readers: Mapping[str, int], graph: Graph) -> tuple[str, str]:
    """The value that a product with a constant scales, past casts, and the constant; "" where it is none or others read the value."""
    if not isinstance(node.op, Mul) or sum(i in graph.params for i in node.inputs) != 1:
        return "", ""
    name, gamma = sorted(node.inputs, key=lambda i: i in graph.params)
    while name in nodes and readers[name] == 1 and isinstance(nodes[name].op, Identity):
        (name,) = nodes[name].inputs
    return (name, gamma) if readers[name] == 1 else ("", "")


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
    return _with(graph, params, {k: [n] for k, n in changed.items()})


def recognise_silu(graph: Graph) -> Graph:
    """x σ(x) as SiLU(x), for which ONNX files have no operator; the node keeps its name, and a Sigmoid that others read stays."""
    gates = {n.name: n.inputs[0] for n in graph.nodes if isinstance(n.op, Sigmoid)}
    products = {n.name: n.inputs for n in graph.nodes if isinstance(n.op, Mul)}
    gated = {name: a for name, (one, two) in products.items() for a, b in ((one, two), (two, one)) if gates.get(b) == a}
    return _with(graph, graph.params, {n.name: [replace(n, op=SiLU(), inputs=(gated[n.name],))] for n in graph.nodes if n.name in gated})


def _seen(node: Node, op: Op, inputs: Sequence[str], perm: Sequence[int], front: str) -> list[Node]:
    """``node`` as another operator, which sees the axes of its first input in the order ``perm``: between Transposes unless it is that."""
    if list(perm) == sorted(perm):
        return [replace(node, op=op, inputs=tuple(inputs))]
    turned, inner = f"{node.name}/{front}", f"{node.name}/normalized"
    return [
        replace(node, name=turned, op=Transpose(tuple(perm)), inputs=(inputs[0],)),
        replace(node, name=inner, op=op, inputs=(turned, *inputs[1:])),
        replace(node, op=Transpose(tuple(int(i) for i in np.argsort(perm))), inputs=(inner,))]


def _with(graph: Graph, params: Mapping[str, Array], made: Mapping[str, list[Node]]) -> Graph:
    """The graph with other nodes in the place of some, pruned; the same object where there are none."""
    return prune(replace(graph, params=params, nodes=tuple(n for old in graph.nodes for n in made.get(old.name, [old])))) if made else graph


def _readers(graph: Graph) -> Counter[str]:
    return Counter(i for n in graph.nodes for i in n.inputs) + Counter(graph.outputs)


def _axes(x: Array, rank: int) -> list[int]:
    """The axes of an array of ``rank`` axes along which a constant that broadcasts to it varies."""
    return [rank - x.ndim + k for k, n in enumerate(x.shape) if n != 1]
