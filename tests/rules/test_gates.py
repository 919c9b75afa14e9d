"""Which products have a gate: one sigmoid of two active factors; the example of every convention stands in the rule's docstring."""

from __future__ import annotations

import numpy as np
import pytest

from xaicore import Builder
from xaicore.ops import Mul, ReLU, Sigmoid
from xaicore.rules.gates import gate_rule, gated
from xaicore.rules.select import View
from xaicore.trace import activity, forward


def product(left: str, right: str):
    b = Builder()
    x = b.input("x", (None, 2))
    made = {"gate": lambda: b.add(Sigmoid(), x), "signal": lambda: b.add(ReLU(), x), "constant": lambda: b.param("c", [[3.0, 5.0]])}
    return b.build(b.add(Mul(), made[left](), made[right](), name="product"))


@pytest.mark.parametrize(("left", "right", "found"), [
    ("gate", "signal", (True, False)), ("signal", "gate", (False, True)), ("gate", "gate", (False, False)),
    ("signal", "signal", (False, False)), ("gate", "constant", (False, False)), ("constant", "gate", (False, False)),
])
def test_which_factor_is_the_gate(left, right, found):
    graph = product(left, right)
    view = View(graph, activity(graph, graph.float_inputs))
    node = next(n for n in graph.nodes if n.name == "product")
    assert tuple(gated(k)(node, view) for k in (0, 1)) == found


@pytest.mark.parametrize("k", [0, 1])
def test_the_gate_stands_at_its_place(k):
    """g = 1, s = 3: g R / (g + s) and s R / (g + s)."""
    b = Builder()
    graph = b.build(b.add(Mul(), b.input("a", (None, 1)), b.input("b", (None, 1))))
    gate, signal = np.array([[1.0]]), np.array([[3.0]])
    step = forward(graph, dict(zip("ab", (gate, signal) if k == 0 else (signal, gate)))).step(graph.nodes[0])
    for name, shares in (("proportional", (2, 6)), ("signal", (0, 8)), ("half", (4, 4))):
        found = [float(p[0, 0]) for p in gate_rule(name, k)(step, np.array([[8.0]]))]
        assert found == list(shares if k == 0 else shares[::-1])
