"""The gradient of a small graph by its operators' vjps alone, in ten lines: what an expansion passes back, input by input."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops.op import Op

Array = np.ndarray


def expanded(op: Op, xs: tuple[Array, ...], dtype: str = "float64") -> tuple[Graph, dict[str, Array]]:
    """The graph of ``op.expand`` with every input of it a graph input ("x0" with a batch, the others as they are)."""
    b = Builder(dtype=dtype, shapes=lambda: {f"x{k}": x.shape for k, x in enumerate(xs)})
    names = [b.input(f"x{k}", (None, *x.shape[1:])) if k == 0 else b.param(f"x{k}", x) for k, x in enumerate(xs)]
    out = op.expand(b, *names)
    assert out is not None
    return b.build(out), {"x0": xs[0]}


def backprop(graph: Graph, feeds: Mapping[str, Array], g: Array) -> tuple[Array, dict[str, Array]]:
    """The output, and the cotangent of every value that a signal reaches."""
    values = {**graph.params, **feeds}
    for node in graph.nodes:
        values[node.name] = node.op.forward(*(values[i] for i in node.inputs))
    signal = {graph.outputs[0]: g}
    for node in reversed(graph.nodes):
        xs = tuple(values[i] for i in node.inputs)
        for k, name in enumerate(node.inputs):
            if node.name in signal and not node.op.blocks(k):
                signal[name] = signal.get(name, 0) + node.op.vjp(k, signal[node.name], values[node.name], *xs)
    return values[graph.outputs[0]], signal
