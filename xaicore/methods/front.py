"""The front of a network, up to its first bend, is affine: a mixture of inputs has there the same mixture of values.

Methods that evaluate f at many mixtures of a few inputs (the points of a line, coalitions of players) mix the values there instead, and run
only what is behind.
"""

from __future__ import annotations

from math import prod

from xaicore.graph.graph import Node
from xaicore.graph.passes import behind
from xaicore.methods.task import Task


def affine_front(task: Task, room: float) -> str | None:
    """The last value of no more than ``room`` entries a sample that is affine in the inputs and that everything on the way from them
    passes; None where there is no such value, or nothing before it that costs anything.
    """
    assert task.trace is not None
    trace, graph = task.trace, task.graph
    found = affine_nodes(task)
    if not any(n.op.weights(trace.active[n.name]) for n in found):
        return None
    for node in reversed(found):
        if prod(trace[node.name].shape[1:]) <= room:
            inputs = behind(graph, task.value, node.name, trace[node.name].shape).inputs
            if node.name in inputs and inputs.keys().isdisjoint(task.wrt):
                return node.name
    return None


def affine_nodes(task: Task) -> list[Node]:
    """The nodes before the explained value that are affine, jointly, in the explained inputs, in the order of evaluation."""
    assert task.trace is not None
    affine, found = set(task.wrt), []
    for node in task.graph.nodes:
        active = task.trace.active[node.name]
        reached = [i in affine for i, on in zip(node.inputs, active) if on]
        if reached and all(reached) and node.name != task.value and node.op.affine(active):
            affine.add(node.name)
            found.append(node)
    return found


def multiplications(task: Task, nodes: list[Node]) -> float:
    """What the weights of these nodes take for one sample."""
    assert task.trace is not None
    out = 0.0
    for node in nodes:
        for k in node.op.weights(task.trace.active[node.name]) or ():
            w = task.trace[node.inputs[k]]
            out += prod(task.trace[node.name].shape[1:]) * w.size / max(1, len(w))
    return out
