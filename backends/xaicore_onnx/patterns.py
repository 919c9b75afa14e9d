"""What exporters write out of simpler operators and is one operator of the graph, so that rule sets and methods find it."""

from __future__ import annotations

import numpy as np

from xaicore.graph import Node
from xaicore.ops import Exp, Expand, Identity, MatMul, Mul, Op, Reshape, Softmax, Sub, Sum, Unsqueeze
from xaicore_onnx.call import Call, Value
from xaicore_onnx.values import Known, Live

LOWEST = -1e300
"""What a number below it is added to does not change it: float64 has sixteen digits."""


def softmax_of(c: Call, a: Value, b: Value) -> Live | None:
    """Softmax(x), where exporters wrote exp(x - m) / sum exp(x - m), m being equal along the axis of the sum, and so without effect."""
    if not isinstance(a, Live) or not isinstance(b, Live) or b.layout != a.layout:
        return None
    shapes, nodes, rank = c.converter.shapes, c.converter.node, len(a.tail) + 1
    exponential, total = nodes(a.name), _behind(c, b.name, (Reshape, Expand, Identity, Unsqueeze))
    if exponential is None or not isinstance(exponential.op, Exp) or total is None or not isinstance(total.op, Sum):
        return None
    axes = {k % rank for k in total.op.axes}
    if total.inputs != (a.name,) or len(axes) != 1 or len(b.tail) != len(a.tail):
        return None
    (axis,) = axes
    if any(n != m for k, (n, m) in enumerate(zip(a.tail, b.tail), 1) if k != axis):
        return None
    (scores,) = exponential.inputs
    difference = nodes(scores)
    if difference is not None and isinstance(difference.op, Sub) and difference.inputs[1] in shapes:
        whole, shift = difference.inputs
        source = _behind(c, shift, (Expand, Identity))
        sizes = shapes[source.name if source is not None else shift]
        if whole in shapes and len(sizes) == len(shapes[whole]) == rank and shapes[whole][1:] == a.tail and sizes[axis] == 1:
            scores = whole
    return c.put(Softmax(-1 if axis == rank - 1 else axis), scores, like=a)


def masked_scores(c: Call, mask: Known) -> tuple[Known | None, Known]:
    """A mask of float64's lowest numbers, added to scores that only a Softmax reads, as the -inf that it stands for.

    (what else is added, or None; the mask): a mask is of 0 and -inf, and positions may have a bias of their own beside it. Half of the
    lowest number more is beyond float64, and a method that adds the scores of input and baseline has that.
    """
    if mask.low.dtype != np.float64 or not (mask.low < LOWEST).any():
        return None, mask
    readers = [n for n in c.converter.graph.node if set(n.input) & set(c.node.output)]
    if not readers or any(n.op_type != "Softmax" for n in readers):
        return None, mask
    others = mask.mapped(f"{mask.name}/bias", lambda x: np.where(x < LOWEST, 0, x))
    hidden = mask.mapped(f"{mask.name}/masked", lambda x: np.where(x < LOWEST, -np.inf, 0))
    return (others if others.low.any() or others.high.any() else None), hidden


def scaled_product(c: Call, a: Live, b: Live) -> Live | None:
    """(a @ b) s², where exporters wrote (a s) @ (b s) with one number s: attention scores, as their frameworks scale them.

    With either the values are the same, but a rule with a stabiliser has two more sums to stabilise.
    """
    sides = [c.converter.node(v.name) for v in (a, b)]
    numbers = [_number(c, node) for node in sides]
    if None in numbers or numbers[0] != numbers[1]:
        return None
    plain = [node.inputs[0] for node in sides if node is not None]
    shapes = c.converter.shapes
    if any(shapes[name] != shapes[v.name] for name, v in zip(plain, (a, b))):
        return None
    product = c.put(MatMul(), *plain, like=a, part="unscaled")
    (s,) = set(numbers)
    return c.put(Mul(), product, c.number(float(s) * float(s), "scale"), like=a)          # type: ignore[arg-type]


def _number(c: Call, node: Node | None) -> float | None:
    """The number with which a node multiplies its first input."""
    if node is None or not isinstance(node.op, Mul) or node.inputs[1] not in c.converter.params:
        return None
    x = c.converter.params[node.inputs[1]]
    return float(x.reshape(-1)[0]) if x.size == 1 else None


def _behind(c: Call, name: str, kinds: tuple[type[Op], ...]) -> Node | None:
    """The node behind those of some kinds of one input."""
    node = c.converter.node(name)
    while node is not None and isinstance(node.op, kinds):
        node = c.converter.node(node.inputs[0])
    return node
