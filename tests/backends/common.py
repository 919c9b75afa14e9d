"""What the tests of the backends share: the gradient of a graph, by walking the vjp of every node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import check_feeds
from xaicore.trace import backward, forward


class GradientPlan:
    """The plain chain rule; the ledger sums gradient times value."""

    def rule(self, node: Node) -> Any:
        return lambda step, signal: step.vjp(signal)

    @property
    def measure(self) -> Any:
        def measure(signal: np.ndarray, y: np.ndarray, *rest: Any) -> np.ndarray:
            finite = np.where(signal == 0, 0, y)                        # a masked score is minus infinity, and no signal comes to it
            return (signal * finite).reshape(len(y), -1).sum(1)

        return measure


def input_gradients(graph: Graph, x: Any, seeds: Sequence[np.ndarray]) -> Mapping[str, np.ndarray]:
    """The gradient, at every floating input, of sum_k <seeds[k], output k>."""
    feeds = check_feeds(graph, x)
    trace = forward(graph, feeds)
    total: dict[str, np.ndarray] = {}
    for name, seed in zip(graph.outputs, seeds, strict=True):
        if trace.carries(name):
            total[name] = total[name] + seed if name in total else seed
    reached = backward(trace, GradientPlan(), total).values
    return {k: reached.get(k, np.zeros_like(feeds[k])) for k in graph.float_inputs}
