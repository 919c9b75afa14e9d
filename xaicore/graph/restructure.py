"""A regression network restructured around a reference value, so that what a layer-wise rule explains is f(x) - y_ref.

relu(z) - a = relu(z - a) - relu(a - z) + relu(-z) for a >= 0: the network with every unit of its last rectified layer replaced by
these three is f - y_ref when the reference activations a give y_ref.
"""

from __future__ import annotations

from dataclasses import replace

from xaicore.errors import Inapplicable
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph, Node
from xaicore.graph.passes import prune
from xaicore.ops import Add, Neg, ReLU, Sub


def last_rectified(graph: Graph, value: str) -> str:
    """The ReLU node from which an affine chain leads to ``value``; Inapplicable, naming what stands in between, when there is none."""
    nodes = {n.name: n for n in graph.nodes}
    name = value
    while name in nodes and not isinstance(nodes[name].op, ReLU):
        node = nodes[name]
        active = tuple(i not in graph.params for i in node.inputs)
        if sum(active) != 1 or not node.op.affine(active):
            raise Inapplicable(f"the restructured network replaces the last rectified layer, and only affine layers may follow it: node "
                               f"{name!r} ({node.op}) does not let {value!r} be one; use a relevance method with a baseline, such as "
                               f"deeplift.rescale")
        name = node.inputs[active.index(True)]
    if name not in nodes:
        raise Inapplicable(f"the restructured network replaces the last rectified layer, and no ReLU lies before {value!r}; use "
                           f"gradient_x_input, which is exact for an affine network")
    return name


def restructure(graph: Graph, value: str, rank: int) -> tuple[Graph, str]:
    """(the network of f - y_ref, the name of its new input): reference activations (N, *inner) of the last rectified layer.

    ``rank`` is the number of axes of that layer. The biases behind it are left out, since they cancel in the difference; nodes keep
    their names, the new ones are called ``relu/above``, ``relu/below``, ``relu/rest``. Source: letzgus2022.
    """
    at = last_rectified(graph, value)
    reference = f"{at}/reference"
    b = Builder(graph.name, graph.dtype)
    b.copy_inputs(graph)
    b.input(reference, (None,) * rank)
    behind = {at}
    for node in graph.nodes:
        if node.name == at:
            z = node.inputs[0]
            with b.scope(at, layer=node.layer or at, origin=node.origin):
                above = b.add(ReLU(), b.add(Sub(), z, reference, name="over"), name="above")
                below = b.add(ReLU(), b.add(Sub(), reference, z, name="under"), name="below")
                rest = b.add(ReLU(), b.add(Neg(), z, name="mirrored"), name="rest")
                both = b.add(Add(), above, rest, name="both")
            b.keep(Node(at, Sub(), (both, below), node.layer, node.origin))
        elif behind.intersection(node.inputs):
            behind.add(node.name)
            b.keep(_without_bias(node, graph))
        else:
            b.keep(node)
    return prune(b.build(value), [value]), reference


def _without_bias(node: Node, graph: Graph) -> Node:
    """An affine node whose additive constants are left out."""
    active = tuple(i not in graph.params for i in node.inputs)
    additive = node.op.biases(active)
    if not additive:
        return node
    kept = tuple(i for k, i in enumerate(node.inputs) if k not in additive)
    if len(kept) < node.op.arity[0]:
        raise Inapplicable(f"node {node.name!r} ({node.op}) adds a constant behind the last rectified layer; fold it into the layer before")
    return replace(node, inputs=kept)


