"""Excitation backpropagation through products: term by term, and what stays of the probability in attention and at gates."""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc
from tests.nets import close
from xaicore import Builder
from xaicore.graph.blocks import multi_head_attention
from xaicore.ops import GRU, Dense, LayerNorm, MatMul, Mean, Mul, ReLU, Reshape, Sigmoid, Softmax
from xaicore.oracle.strategies import numbers
from xaicore.rules.excitation import winning_product
from xaicore.trace import forward


@pytest.mark.parametrize("shares", [(0, 1), (1, 1)])
def test_a_product_of_matrices_term_by_term(shares):
    """P of y_ij goes to the terms a_ik b_kj > 0 in proportion to them; every second y has none, and keeps its probability."""
    rng = np.random.default_rng(0)
    a, b, p = numbers(rng, (2, 3, 4)), numbers(rng, (2, 4, 2)), abs(numbers(rng, (2, 3, 2)))
    b[:, :, 1], a[0] = -abs(b[:, :, 1]), abs(a[0])                       # in the first sample the second column has no positive term
    g = Builder()
    graph = g.build(g.add(MatMul(), g.input("a", (None, 3, 4)), g.input("b", (None, 4, 2))))
    trace = forward(graph, {"a": a, "b": b})
    to_a, to_b, kept = np.zeros(a.shape), np.zeros(b.shape), 0.0
    for n, i, j in np.ndindex(p.shape):
        terms = [max(a[n, i, k] * b[n, k, j], 0) for k in range(4)]
        kept += p[n, i, j] if not sum(terms) else 0
        for k, t in enumerate(terms):
            if sum(terms):
                to_a[n, i, k] += shares[0] / sum(shares) * p[n, i, j] * t / sum(terms)
                to_b[n, k, j] += shares[1] / sum(shares) * p[n, i, j] * t / sum(terms)
    found = winning_product(shares)(trace.step(graph.nodes[0]), p)
    assert close(found[0], to_a, 1e-12)
    assert close(found[1], to_b, 1e-12)
    assert kept >= p[0, :, 1].sum()
    assert sum(v.sum() for v in found) == pytest.approx(p.sum() - kept)


def test_a_factor_that_is_broadcast_gets_the_sum():
    g = Builder()
    graph = g.build(g.add(Mul(), g.input("a", (None, 1)), g.input("b", (None, 3))))
    trace = forward(graph, {"a": np.array([[2.0]]), "b": np.array([[1.0, 3.0, -1.0]])})
    one, other = winning_product((1, 1))(trace.step(graph.nodes[0]), np.array([[0.2, 0.4, 0.4]]))
    assert one.tolist() == [[pytest.approx(0.3)]]
    assert close(other, [[0.1, 0.2, 0]], 1e-15)


def test_attention_keeps_all_of_it():
    """Positive values throughout: what starts as 1 arrives as 1, and the keys and queries, which only make weights, get none."""
    rng = np.random.default_rng(1)
    b = Builder()
    x = b.input("x", (None, 3, 4))
    weights = [b.param(f"w{k}", abs(numbers(rng, (4, 4)))) for k in range(4)]
    h = b.add(LayerNorm(1), multi_head_attention(b, x, weights, [None] * 4, heads=2, width=4), b.param("g", np.ones(4)), b.param("o", np.ones(4)))
    graph = b.build(b.add(Dense(), b.add(ReLU(), b.add(Mean((1,)), h)), b.param("v", abs(numbers(rng, (2, 4)))), name="y"))
    a = xc.explain(graph, abs(numbers(rng, (2, 3, 4))), "excitation_backprop", 1)
    assert close(a.total(), [1, 1], 1e-12)
    assert (np.asarray(a) >= 0).all()
    softmax = next(n.name for n in graph.nodes if isinstance(n.op, Softmax))
    assert not a.layers[softmax].any()
    contrast = xc.explain(graph, abs(numbers(rng, (2, 3, 4))), "excitation_backprop", 1, contrastive=True)
    assert close(contrast.total(), [1, 1], 1e-12)                       # no weight of the dual class is excitatory


def test_gates_take_none():
    b = Builder()
    x = b.input("x", (None, 2))
    gate = b.add(Sigmoid(), b.add(Dense(), x, b.param("g", [[1.0, 2.0]])), name="gate")
    signal = b.add(Dense(), x, b.param("s", [[3.0, 1.0]]), name="signal")
    a = xc.explain(b.build(b.add(Mul(), gate, signal, name="y")), [[1.0, 1.0]], "excitation_backprop")
    assert close(a, [[0.75, 0.25]], 1e-15)
    assert not a.layers["gate"].any()


def test_recurrent_cells():
    """A GRU is taken apart into gates and signals, and runs."""
    rng = np.random.default_rng(2)
    b = Builder()
    x = b.input("x", (None, 3, 2))
    h = b.add(GRU(), x, b.param("w", abs(numbers(rng, (6, 2)))), b.param("u", abs(numbers(rng, (6, 2)))), b.param("b", np.zeros(6)),
              b.param("c", np.zeros(6)))
    graph = b.build(b.add(Dense(), b.add(Reshape((6,)), h), b.param("v", abs(numbers(rng, (1, 6)))), name="y"))
    total = xc.explain(graph, abs(numbers(rng, (1, 3, 2))), "excitation_backprop").total()
    assert 0 < total[0] <= 1 + 1e-12
