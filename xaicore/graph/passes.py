"""Rewrites: Graph -> Graph, each with the same function unless its name says otherwise. Nothing is changed in place."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache

import numpy as np

from xaicore.errors import GraphError, Inapplicable
from xaicore.graph.build import Builder
from xaicore.graph.graph import DTYPES, Graph, InputSpec, Node, owned
from xaicore.graph.run import evaluate, shapes_of
from xaicore.numerics import Array, in_arithmetic_of
from xaicore.ops import BatchNorm, Conv, ConvTranspose, Dense, Dropout, Identity, LogSoftmax, Op, Pad, Softmax, Transpose


def prune(graph: Graph, outputs: Sequence[str] | None = None) -> Graph:
    """Only what the outputs need: dead nodes and unread parameters go, the inputs stay."""
    outputs = tuple(graph.outputs if outputs is None else outputs)
    needed = set(outputs)
    for node in reversed(graph.nodes):
        if node.name in needed:
            needed.update(node.inputs)
    params = {k: v for k, v in graph.params.items() if k in needed}
    return replace(graph, params=params, nodes=tuple(n for n in graph.nodes if n.name in needed), outputs=outputs)


def expand(
    graph: Graph, kinds: Collection[type[Op]], shapes: Mapping[str, Sequence[int]] | None = None,
    where: Callable[[Node], bool] = lambda node: True,
) -> Graph:
    """Every node whose operator is among ``kinds`` replaced by its ``expand`` form, repeatedly; the same function.

    The last node of an expansion keeps the name of the node that it replaces; the others are called ``name/part`` and
    keep its layer. ``shapes`` (of one run) saves a run on sample feeds where an expansion asks for a shape. ``where`` chooses
    among the nodes of these kinds.
    """
    wanted = tuple(kinds)

    def chosen(node: Node) -> bool:
        return isinstance(node.op, wanted) and where(node)

    while any(chosen(n) for n in graph.nodes):
        grown = _expand_once(graph, chosen, shapes)
        if len(grown.nodes) == len(graph.nodes) and all(a.op == b.op for a, b in zip(grown.nodes, graph.nodes)):
            return grown                                                # what is left has no simpler form
        graph, shapes = grown, None
    return graph


def _expand_once(graph: Graph, chosen: Callable[[Node], bool], shapes: Mapping[str, Sequence[int]] | None) -> Graph:
    lookup = cache(lambda: shapes if shapes is not None else shapes_of(graph))
    renamed: dict[str, str] = {}
    b = Builder(graph.name, graph.dtype, lambda: {**lookup(), **{new: lookup()[old] for old, new in renamed.items()}})
    b.copy_inputs(graph)
    for node in graph.nodes:
        inputs = [renamed.get(i, i) for i in node.inputs]
        last = None
        if chosen(node):
            with b.scope(node.name, layer=node.layer or node.name, origin=node.origin):
                last = node.op.expand(b, *inputs)
        if last is None:
            b.keep(node, inputs)
        else:
            renamed[node.name] = last
    grown = b.build(*(renamed.get(o, o) for o in graph.outputs))
    return rename(grown, {new: old for old, new in renamed.items()})


def faster(graph: Graph) -> Graph:
    """The same function by faster algorithms, which take sums in another order: ``speed="fast"`` of ``explain``."""
    return replace(graph, nodes=tuple(replace(n, op=replace(n.op, fast=True)) if isinstance(n.op, Conv) else n for n in graph.nodes))


def for_outputs(graph: Graph, speed: str = "exact") -> Graph:
    """The same function for its outputs alone, as runtimes for inference build it: BatchNorm folded into the layer before it, and no nodes
    that pass on what they get. Values inside are others than before, or gone. ``speed`` as in ``explain``.
    """
    graph = fold_batchnorm(faster(graph) if speed == "fast" else graph)
    passed_on: dict[str, str] = {}
    kept = []
    for node in graph.nodes:
        inputs = tuple(passed_on.get(i, i) for i in node.inputs)
        if isinstance(node.op, (Identity, Dropout)) and node.name not in graph.outputs:
            passed_on[node.name] = inputs[0]
        else:
            kept.append(replace(node, inputs=inputs))
    return replace(graph, nodes=tuple(kept)) if passed_on else graph


def rename(graph: Graph, names: Mapping[str, str]) -> Graph:
    """The same graph with nodes called otherwise: ``names`` maps old names to new ones."""
    def new(name: str) -> str:
        return names.get(name, name)

    nodes = tuple(replace(n, name=new(n.name), inputs=tuple(new(i) for i in n.inputs)) for n in graph.nodes)
    return replace(graph, nodes=nodes, outputs=tuple(new(o) for o in graph.outputs))


def fold_constants(graph: Graph) -> Graph:
    """Nodes that depend on no graph input become parameters."""
    constant = set(graph.params)
    foldable = []
    for node in graph.nodes:
        if all(i in constant for i in node.inputs) and node.name not in graph.outputs:
            constant.add(node.name)
            foldable.append(node)
    if not foldable:
        return graph
    part = Graph({}, graph.params, tuple(foldable), tuple(n.name for n in foldable), graph.dtype)
    values = evaluate(part, {})
    names = {n.name for n in foldable}
    nodes = tuple(n for n in graph.nodes if n.name not in names)
    return prune(replace(graph, params={**graph.params, **values}, nodes=nodes))


def fold_batchnorm(graph: Graph, shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """BatchNorm folded into the Conv, ConvTranspose or Dense before it, when it is the only reader; the same function.

    Transposes between the two that together leave the channels on axis 1, and Identities, are looked through.
    w' = w γ/σ and b' = (b - μ) γ/σ + β with σ = sqrt(var + eps), per output channel. The folded layer keeps its own name
    and layer; the BatchNorm node stays as an Identity, so that its name still means its output. ``shapes`` (of one run) saves a
    run on sample feeds, which a Dense layer needs: its channels are BatchNorm's only when its output has rank 2.
    """
    readers = Counter(i for n in graph.nodes for i in n.inputs) + Counter(graph.outputs)
    nodes = {n.name: n for n in graph.nodes}
    params = dict(graph.params)
    changed: dict[str, Node] = {}
    for node in graph.nodes:
        if not isinstance(node.op, BatchNorm) or node.inputs[0] not in nodes:
            continue
        before = _through_transposes(nodes, readers, node.inputs[0])
        statistics = node.inputs[1:]
        known = all(i in graph.params for i in (*before.inputs[1:], *statistics))
        if before.name in changed or not isinstance(before.op, (Conv, ConvTranspose, Dense)) or readers[before.name] > 1 or not known:
            continue
        real = np.zeros((), DTYPES[graph.dtype])
        gamma, beta, mean, var = (in_arithmetic_of(real, params[i]) for i in statistics)
        scale, shift = _scale_and_shift(node.op, gamma, beta, mean, var)
        w = in_arithmetic_of(real, params[before.inputs[1]])
        if isinstance(before.op, Dense):
            shapes = shapes or shapes_of(graph)
            if len(shapes[before.name]) != 2:
                continue
        w_new = before.op.laid(1, w * _along_outputs(scale, before.op, w))
        old = params[before.inputs[2]] if len(before.inputs) > 2 else scale * 0
        weight, bias = f"{before.name}/folded_weight", f"{before.name}/folded_bias"
        params[weight], params[bias] = (owned(v.astype(w.dtype, copy=False)) for v in (w_new, old * scale + shift))
        changed[before.name] = replace(before, inputs=(before.inputs[0], weight, bias))
        changed[node.name] = replace(node, op=Identity(), inputs=node.inputs[:1])
    if not changed:
        return graph
    return prune(replace(graph, params=params, nodes=tuple(changed.get(n.name, n) for n in graph.nodes)))


def _through_transposes(nodes: Mapping[str, Node], readers: Mapping[str, int], name: str) -> Node:
    """The node before ``name``, or the one behind it whose channels Transposes move away from axis 1 and bring back."""
    node, axis = nodes[name], 1
    while isinstance(node.op, (Transpose, Identity)) and readers[node.name] == 1 and node.inputs[0] in nodes:
        axis = node.op.perm[axis] if isinstance(node.op, Transpose) else axis
        node = nodes[node.inputs[0]]
    return node if axis == 1 else nodes[name]


def fold_padding(graph: Graph, shapes: Mapping[str, Sequence[int]] | None = None) -> Graph:
    """Zeros that a Pad puts in front of a Conv become padding of the Conv, which reads them cut away again; the same function.

    conv(pad(x)) = conv'(crop(pad(x))), with a node ``name/unpadded`` for the crop; the Pad keeps its name, value and other readers.
    Padding is no neuron: rules that count a neuron's inputs (flat, w-square, z-box, a distributed bias) then say the same of
    both ways in which frameworks write a padded convolution. Identity and Dropout nodes in between are looked through.
    ``shapes`` (of one run) tells the rank of weights that are no parameters; without it those convolutions stay as they are.
    """
    nodes = {n.name: n for n in graph.nodes}
    weights = {k: v.shape for k, v in graph.params.items()}
    computed = {} if shapes is None else shapes
    out: list[Node] = []
    for node in graph.nodes:
        weight = (weights.get(node.inputs[1]) or computed.get(node.inputs[1])) if isinstance(node.op, Conv) else None
        pads = () if weight is None else _zeros_before(nodes, node.inputs[0], len(weight) - 2)
        if isinstance(node.op, Conv) and any(map(any, pads)):
            crop = replace(node, name=f"{node.name}/unpadded", op=Pad(tuple((-a, -b) for a, b in pads)), inputs=node.inputs[:1])
            own = node.op.pads or ((0, 0),) * len(pads)
            wider = replace(node.op, pads=tuple((a + c, b + d) for (a, b), (c, d) in zip(pads, own)))
            out += [crop, replace(node, op=wider, inputs=(crop.name, *node.inputs[1:]))]
        else:
            out.append(node)
    return replace(graph, nodes=tuple(out)) if len(out) > len(graph.nodes) else graph


def _zeros_before(nodes: Mapping[str, Node], name: str, rank: int) -> tuple[tuple[int, int], ...]:
    """How many zeros the nodes that end at ``name`` put (before, after) each of the last ``rank`` axes."""
    total = [(0, 0)] * rank
    while name in nodes and isinstance(nodes[name].op, (Pad, Identity, Dropout)):
        op = nodes[name].op
        if isinstance(op, Pad):
            pads = op.pads[max(len(op.pads) - rank, 0):]
            others = op.pads[:len(op.pads) - len(pads)]
            if op.mode != "constant" or op.value != 0 or any(map(any, others)) or any(min(pair) < 0 for pair in pads):
                break
            pads = ((0, 0),) * (rank - len(pads)) + pads
            total = [(a + c, b + d) for (a, b), (c, d) in zip(total, pads)]
        name = nodes[name].inputs[0]
    return tuple(total)


def _scale_and_shift(op: BatchNorm, gamma: Array, beta: Array, mean: Array, var: Array) -> tuple[Array, Array]:
    if gamma.dtype == object:
        raise Inapplicable("BatchNorm has a square root, so it is not rational; fold it first: fold_batchnorm(graph).astype('exact')")
    scale = gamma / np.sqrt(var + gamma.dtype.type(op.eps))
    return scale, beta - mean * scale


def _along_outputs(scale: Array, op: Op, w: Array) -> Array:
    """``scale`` (one entry for each output channel) shaped to multiply the weight."""
    if isinstance(op, ConvTranspose):                                   # w is (C, O/groups, *K): outputs run group by group
        per_group = scale.reshape(op.groups, -1)
        rows = np.repeat(per_group, w.shape[0] // op.groups, axis=0)
        return rows.reshape(rows.shape + (1,) * (w.ndim - 2))
    return scale.reshape(scale.shape + (1,) * (w.ndim - 1))


def without_head(graph: Graph, output: str) -> tuple[str, str | None]:
    """The value before a softmax head, and the head's kind: ("logits", "Softmax"), or (output, None) if there is none.

    Identity and Dropout nodes between the softmax and the output are looked through.
    """
    nodes = {n.name: n for n in graph.nodes}
    name = output
    while name in nodes and isinstance(nodes[name].op, (Identity, Dropout)):
        name = nodes[name].inputs[0]
    if name in nodes and isinstance(nodes[name].op, (Softmax, LogSoftmax)):
        return nodes[name].inputs[0], type(nodes[name].op).__name__
    return output, None


def extend(graph: Graph, build: Callable[[Builder], str]) -> tuple[Graph, str]:
    """The graph with more nodes behind it: ``build`` gets a Builder that knows all its values, and returns a new one's name."""
    b = Builder(graph.name, graph.dtype)
    b.copy_inputs(graph)
    for node in graph.nodes:
        b.keep(node)
    last = build(b)
    return b.build(*dict.fromkeys([*graph.outputs, last])), last


def chain(first: Graph, second: Graph) -> Graph:
    """x -> second(first(x)) as one graph: a classifier behind a decoder.

    A name of the first that the second has, too, gets "first/" in front. Raises GraphError unless the first has one output, the second
    one input, and both one dtype.
    """
    if len(first.outputs) != 1 or len(second.inputs) != 1 or first.dtype != second.dtype:
        raise GraphError(f"chain joins one output to one input; the first graph has {len(first.outputs)} outputs and is {first.dtype}, the "
                         f"second has {len(second.inputs)} inputs and is {second.dtype}")
    (entry,) = second.inputs
    taken = {*second.params, *(n.name for n in second.nodes)}
    own = [*first.inputs, *first.params, *(n.name for n in first.nodes)]
    names: dict[str, str] = {}
    for k in own:
        while names.get(k, k) in taken or (k in names and names[k] in own):
            names[k] = f"first/{names.get(k, k)}"

    def new(name: str) -> str:
        return names.get(name, name)

    here = tuple(replace(n, name=new(n.name), inputs=tuple(map(new, n.inputs))) for n in first.nodes)
    end = new(first.outputs[0])
    there = tuple(replace(n, inputs=tuple(end if i == entry else i for i in n.inputs)) for n in second.nodes)
    return replace(first, name=f"{second.name or 'second'} of {first.name or 'first'}", inputs={new(k): v for k, v in first.inputs.items()},
                   params={**{new(k): v for k, v in first.params.items()}, **second.params}, nodes=(*here, *there),
                   outputs=tuple(end if o == entry else o for o in second.outputs))


def cut(graph: Graph, value: str, shape: Sequence[int]) -> Graph:
    """The part of the graph behind ``value``, which becomes a graph input; what bypasses it stays connected to the inputs.

    ``shape`` is the value's shape in one run (axis 0, the batch, is left free).
    """
    if value in graph.inputs:
        return graph
    if value in graph.outputs and len(graph.outputs) == 1:
        raise GraphError(f"{value!r} is the output itself; there is nothing behind it to explain")
    graph.node(value)
    nodes = tuple(n for n in graph.nodes if n.name != value)
    needed = set(graph.outputs)
    for node in reversed(nodes):
        if node.name in needed:
            needed.update(node.inputs)
    inputs = {k: spec for k, spec in graph.inputs.items() if k in needed}
    inputs[value] = InputSpec((None, *shape[1:]))
    return prune(replace(graph, inputs=inputs, nodes=tuple(n for n in nodes if n.name in needed)))


def behind(graph: Graph, value: str, name: str, shape: Sequence[int]) -> Graph:
    """The part of the graph from ``name``, whose value has this shape, to ``value``; remembered."""
    return graph.once(("behind", value, name, tuple(shape[1:])), lambda: cut(replace(graph, outputs=(value,)), name, shape))


def shift_first_bias(graph: Graph, shift: Mapping[str, Array]) -> Graph:
    """The graph g with g(x + m) = f(x): each input x is read as x - m. ``shift`` maps input names to m (without batch).

    Source: Kindermans et al. 2019, "The (un)reliability of saliency methods", input invariance; there it is the first
    layer's bias b - W m that changes, which is the same function.
    """
    from xaicore.ops import Sub

    b = Builder(graph.name, graph.dtype)
    b.copy_inputs(graph)
    moved = {}
    for name, m in shift.items():
        if name not in graph.inputs:
            raise GraphError(f"{name!r} is not an input of the graph; the inputs are {', '.join(graph.inputs)}")
        by = np.asarray(m)[None]
        by = by if by.dtype.kind in "fO" or graph.dtype == "exact" else by.astype(float)
        moved[name] = b.add(Sub(), name, b.constant(by, f"{name}/shift"), name=f"{name}/unshifted")
    for node in graph.nodes:
        b.keep(node, [moved.get(i, i) for i in node.inputs])
    return b.build(*graph.outputs)
