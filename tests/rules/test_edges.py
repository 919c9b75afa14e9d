"""Where a rule stands on an edge, relevance that arrives there given by hand: what no network hands down, and no vector can show."""

from __future__ import annotations

import numpy as np

from xaicore.graph.build import Builder
from xaicore.ops import PReLU
from xaicore.rules.deeplift import merged, slope
from xaicore.rules.example import neuron
from xaicore.rules.lrp import flat, gamma
from xaicore.rules.ruleset import Pair
from xaicore.trace import forward

X, W = [1, -2, 3], [1, -0.5, -0.25]                                     # contributions 1, 1, -3/4


def test_gamma_absorbs_at_zero():
    """z = 1 + 1 - 3/4 - 5/4 = 0 is of neither sign."""
    assert neuron(gamma(0.25), X, W, -1.25) == [0, 0, 0]


def test_flat_is_stabilised():
    assert neuron(flat(1), X, W, 0.5, r=8) == [2, 2, 2]


def test_one_multiplier_of_a_pair():
    """m+ where Δ > 0, m- where Δ < 0, their mean at 0."""
    m = Pair(np.array([[8.0, 8.0, 8.0]]), np.array([[2.0, 2.0, 2.0]]))
    assert merged(m, np.array([[0.5, -0.5, 0.0]])).tolist() == [[8, 2, 5]]


def test_a_tiny_difference_of_a_node_with_a_parameter():
    """PReLU below 0 has its slope, 1/4, as derivative."""
    b = Builder()
    y = b.add(PReLU(), b.input("x", (None, 1)), b.param("slope", [0.25]))
    graph = b.build(y)
    trace, other = (forward(graph, {"x": np.array([[v]])}) for v in (-1.0, -1.5))
    step = trace.step(trace.graph.nodes[0])
    step = type(step)(**{**vars(step), "ref": other.step(other.graph.nodes[0])}) if step.ref is None else step
    assert slope(step, np.array([[0.5]]), np.array([[0.125]]), 1, "input").tolist() == [[0.25]]
