"""Graphs built around a given one, for axioms that speak of other functions: one that is blind to a feature, one that treats
two features alike, the same function written otherwise. Each keeps the names of the graph's outputs.

What is measured on them, and at which inputs, is in axioms.py.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.passes import prune, without_head
from xaicore.numerics import Array, rationals, scalar
from xaicore.ops import Add, Concat, Dense, Flatten, Mul, Neg, ReLU, Reshape, Slice

Wiring = Callable[[Builder, str], str]
"""(builder, the input's name) -> the name of the value that is read instead."""


def numbers(values: object, like: Array) -> Array:
    """Whole numbers or fractions in the arithmetic of ``like``."""
    x = np.asarray(values)
    return rationals(x, "a construction") if like.dtype == object else x.astype(like.dtype)


def free_name(graph: Graph, wanted: str) -> str:
    """``wanted``, with a number behind it as long as a value of the graph is called so."""
    taken = {*graph.inputs, *graph.params, *(n.name for n in graph.nodes)}
    name, k = wanted, 2
    while name in taken:
        name, k = f"{wanted}{k}", k + 1
    return name


def reading(graph: Graph, name: str, wiring: Wiring) -> tuple[Graph, str]:
    """The graph in which every reader of input ``name`` reads what ``wiring`` makes of it, and the name of that value."""
    b = Builder(graph.name, graph.dtype)
    b.copy_inputs(graph)
    with b.scope(free_name(graph, "around")):
        new = wiring(b, name)
    for node in graph.nodes:
        b.keep(node, [new if i == name else i for i in node.inputs])
    return b.build(*(new if o == name else o for o in graph.outputs)), new


# ----- features that do not count ---------------------------------------------------------------------------------


def masked(graph: Graph, name: str, mask: Array) -> Graph:
    """f(mask * x): the features at which the mask is 0 have no influence. ``mask`` has the input's shape without the batch."""
    return reading(graph, name, lambda b, x: b.add(Mul(), x, b.constant(mask[None], "mask")))[0]


def masked_beside(graph: Graph, name: str, mask: Array, u: Array) -> tuple[Graph, str]:
    """f(mask * (x + u - u + p - q)) with a second input u like x, p = q functions of u; and the name of that input.

    One layer reads u with the weights 1 and -1. No entry of u has an influence, nor has x where the mask is 0.
    """
    extra, shape = free_name(graph, "unread"), mask.shape

    def wiring(b: Builder, value: str) -> str:
        b.input(extra, graph.inputs[name].shape)
        if f"layout.{name}" in graph.meta:
            b.meta[f"layout.{extra}"] = graph.meta[f"layout.{name}"]
        tall = [b.add(Reshape((*shape, 1)), v, name=f"tall_{k}") for k, v in enumerate((value, extra))]
        three = b.add(Concat(len(shape) + 1), *tall, tall[1], name="three")
        same = b.add(Dense(), three, b.constant(numbers([[1, 1, -1]], mask), "weights"), name="weighed")
        same = b.add(Add(), b.add(Reshape(shape), same, name="same"), nothing(b, extra, u), name="again")
        return b.add(Mul(), same, b.constant(mask[None], "mask"), name="masked")

    return reading(graph, name, wiring)[0], extra


def nothing(b: Builder, value: str, x: Array) -> str:
    """p - q = 0 for p = relu(relu(u) - 1 - relu(v)) and q = relu(relu(u - 1) - relu(v)): equal for all u and v, bit for bit.

    Their gradients are equal, too. With this pair sundararajan2017 shows that DeepLIFT and LRP tell equal functions apart. u is
    the value, scaled to 3 at the first sample of x, v its reverse, scaled to 1.
    """
    far = abs(x[0]).reshape(-1) * scalar(1000, x) > abs(x[0]).max()     # what is next to zero cannot be scaled
    inverse = np.where(far, scalar(1, x) / np.where(far, x[0].reshape(-1), scalar(1, x)), scalar(0, x))
    row = b.add(Flatten(), value, name="row")
    u = b.add(Mul(), row, b.constant(inverse[None] * scalar(3, x), "to_three"), name="u")
    turned = b.add(Slice(1, None, None, -1), row, name="reversed")
    v = b.add(ReLU(), b.add(Mul(), turned, b.constant(inverse[None, ::-1], "to_one")), name="v")
    less, one = b.add(Neg(), v, name="less_v"), b.constant(numbers(-1, x), "less_one")
    p = b.add(ReLU(), b.add(Add(), b.add(Add(), b.add(ReLU(), u, name="relu_u"), one), less), name="p")
    q = b.add(ReLU(), b.add(Add(), b.add(ReLU(), b.add(Add(), u, one), name="relu_u_less_one"), less), name="q")
    return b.add(Reshape(x.shape[1:]), b.add(Add(), p, b.add(Neg(), q)), name="nothing")


# ----- features that count alike ----------------------------------------------------------------------------------


def mirror_axis(graph: Graph, name: str, x: Array) -> int:
    """The axis along which an image is mirrored: the last one that has two entries and is not the channels'."""
    rank = x.ndim
    channel = None if rank < 3 else rank - 1 if graph.meta.get(f"layout.{name}", "").endswith("C") else 1
    axes = [k for k in range(1, rank) if k != channel and x.shape[k] > 1]
    if not axes:
        raise Inapplicable(f"input {name!r} of shape {x.shape} has no two features side by side that could be exchanged")
    return axes[-1]


def mirrored(graph: Graph, output: str, name: str, axis: int) -> Graph:
    """g(x) = f(x) + f(x mirrored along ``axis``), before the softmax head if there is one: g treats x_k and its mirror image alike.

    Every node is there twice, as ``name/straight`` and ``name/mirrored``; the sum has the name of the value that it is the
    sum of, and the head follows.
    """
    value, _ = without_head(graph, output)
    if value in graph.inputs:
        raise Inapplicable(f"the explained value is the input {value!r} itself")
    body = prune(graph, [value])
    b = Builder(graph.name, graph.dtype)
    b.copy_inputs(graph)
    scope = free_name(graph, "around")
    with b.scope(scope):
        turned = b.add(Slice(axis, None, None, -1), name, name="turned")
    names: dict[str, dict[str, str]] = {"straight": {}, "mirrored": {name: turned}}
    for node in body.nodes:
        for copy, known in names.items():
            known[node.name] = b.add(node.op, *(known.get(i, i) for i in node.inputs), name=f"{node.name}/{copy}",
                                     layer=node.layer or node.name, origin=node.origin)
    ends = [known[value] for known in names.values()]
    b.add(Add(), *ends, name=value)
    done = {n.name for n in body.nodes}
    for node in prune(graph, [output]).nodes:
        if node.name not in done:
            b.keep(node)
    return b.build(output)


# ----- the same function ------------------------------------------------------------------------------------------


def rewritten(graph: Graph, name: str, x: Array, c: Array) -> tuple[Graph, str]:
    """f(relu(x + c) - relu(-x - c) - c + p - q): the same function by other nodes. Also the name of the value that is x again."""
    def wiring(b: Builder, value: str) -> str:
        moved = b.add(Add(), value, b.constant(c, "plus"), name="moved")
        up = b.add(ReLU(), moved, name="up")
        down = b.add(Neg(), b.add(ReLU(), b.add(Neg(), moved, name="negated"), name="down"), name="back")
        same = b.add(Add(), b.add(Add(), up, down, name="both"), b.constant(-c, "minus"), name="same")
        return b.add(Add(), same, nothing(b, value, x), name="again")

    return reading(graph, name, wiring)
