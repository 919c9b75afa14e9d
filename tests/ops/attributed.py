"""A case's operator with a sum behind it, as a graph in which it can be explained; and what LRP, DeepLIFT and IG must make of it."""

from __future__ import annotations

import numpy as np

import xaicore as xc
from tests.cases.case import Case, exact
from tests.graph.graphs import graph_of
from xaicore.graph import Builder, Graph
from xaicore.ops import Dense, Flatten


def summed(case: Case, dtype: str = "exact") -> tuple[Graph, dict[str, np.ndarray]]:
    """The case's operator and a sum of its output with the weights 1, 2, 3 ... behind it."""
    graph, feeds = graph_of(case, dtype)
    y = graph(feeds)
    b = Builder(dtype=dtype)
    b.copy_inputs(graph)
    weights = np.arange(1.0, 1 + y[0].size)[None]
    flat = b.add(Flatten(), b.keep(graph.nodes[0]))
    return b.build(b.add(Dense(), flat, b.param("w", exact(weights) if dtype == "exact" else weights))), feeds


def lrp_gap(graph: Graph, feeds: dict[str, np.ndarray], method: str = "lrp.zero") -> np.ndarray:
    """What is lost of the relevance when biases take no part."""
    return xc.explain(graph, feeds, method, target=0, bias="ignore").gap()


def smaller(graph: Graph, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """A baseline that no kink, tie or order separates from the input."""
    return {k: feeds[k] * 7 / 8 for k in graph.float_inputs}


def complete_gap(graph: Graph, feeds: dict[str, np.ndarray], method: str = "deeplift.rescale") -> np.ndarray:
    """f(x) - f(baseline) minus the attributions."""
    return xc.explain(graph, feeds, method, target=0, baseline=smaller(graph, feeds)).gap()
