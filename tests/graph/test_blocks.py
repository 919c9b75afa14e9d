"""The blocks against loops over samples, heads, tokens and features, written from the papers' formulas."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from xaicore.graph import Builder
from xaicore.graph.blocks import attention, mlp, multi_head_attention, residual
from xaicore.ops import Add, MatMul, Mul, ReLU, Softmax, Tanh

RTOL = 1e-13
"""Some hundred roundings of 1e-16: sums over at most eight features, an exponential, a division."""


def loop_attention(q: np.ndarray, k: np.ndarray, v: np.ndarray, scale: float, mask: np.ndarray | None) -> np.ndarray:
    """One query at a time: weights exp(scale q·k_s + mask_s) / their sum, output the weighted mean of the values."""
    lead = q.shape[:-2]
    out = np.zeros((*lead, q.shape[-2], v.shape[-1]))
    spread = None if mask is None else np.broadcast_to(mask, (*lead, q.shape[-2], k.shape[-2]))
    for at in np.ndindex(*lead):
        for t in range(q.shape[-2]):
            scores = []
            for s in range(k.shape[-2]):
                dot = sum(q[(*at, t, d)] * k[(*at, s, d)] for d in range(q.shape[-1]))
                scores.append(scale * dot + (0 if spread is None else spread[(*at, t, s)]))
            top = max(scores)
            e = [math.exp(one - top) for one in scores]
            for j in range(v.shape[-1]):
                out[(*at, t, j)] = sum(w * v[(*at, s, j)] for s, w in enumerate(e)) / sum(e)
    return out


CAUSAL = np.where(np.tri(3, 4, 1) > 0, 0.0, -np.inf)
MASKS = {
    "none": None, "causal": CAUSAL, "additive": np.linspace(-2, 2, 12).reshape(3, 4), "one-key": np.array([0.0, -np.inf, -np.inf, -np.inf]),
}


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)], ids=str)
@pytest.mark.parametrize("mask", MASKS.values(), ids=MASKS)
def test_attention_is_the_loop(lead: tuple[int, ...], mask: np.ndarray | None) -> None:
    rng = np.random.default_rng(0)
    q, k, v = rng.standard_normal((2, *lead, 3, 5)), rng.standard_normal((2, *lead, 4, 5)), rng.standard_normal((2, *lead, 4, 2))
    b = Builder()
    names = [b.input(name, (None, *x.shape[1:])) for name, x in (("q", q), ("k", k), ("v", v))]
    y = attention(b, *names, scale=0.3, mask=None if mask is None else b.param("mask", mask), rank=q.ndim)
    np.testing.assert_allclose(b.build(y)(q, k, v), loop_attention(q, k, v, 0.3, mask), rtol=RTOL, atol=RTOL)


def test_a_mask_may_be_an_input() -> None:
    rng = np.random.default_rng(1)
    q, k, v = (rng.standard_normal((2, 1, n, 2)) for n in (3, 4, 4))
    mask = rng.standard_normal((2, 1, 3, 4))
    b = Builder()
    y = attention(b, b.input("q", (None, 1, 3, 2)), b.input("k", (None, 1, 4, 2)), b.input("v", (None, 1, 4, 2)), scale=1.0,
                  mask=b.input("m", (None, 1, 3, 4)))
    np.testing.assert_allclose(b.build(y)(q, k, v, mask), loop_attention(q, k, v, 1.0, mask), rtol=RTOL, atol=RTOL)


def test_what_is_masked_has_no_influence() -> None:
    rng = np.random.default_rng(2)
    q, k, v = rng.standard_normal((1, 1, 3, 5)), rng.standard_normal((1, 1, 4, 5)), rng.standard_normal((1, 1, 4, 2))
    b = Builder()
    names = [b.input(name, (None, *x.shape[1:])) for name, x in (("q", q), ("k", k), ("v", v))]
    graph = b.build(attention(b, *names, scale=1.0, mask=b.param("mask", CAUSAL)))
    before = graph(q, k, v)
    k[..., 3, :], v[..., 3, :] = 100, 100                               # token 3 is seen by query 2 alone
    after = graph(q, k, v)
    assert after[..., :2, :].tolist() == before[..., :2, :].tolist()
    assert (after[..., 2, :] != before[..., 2, :]).all()


def test_attention_is_made_of_simple_operators_with_one_layer() -> None:
    b = Builder()
    x = b.input("x", (None, 2, 3, 4))
    graph = b.build(attention(b, x, x, x, scale=0.5, mask=b.constant(np.zeros((3, 3))), name="heads", layer="block.0", origin="sdpa"))
    assert [type(n.op) for n in graph.nodes if type(n.op) in (MatMul, Mul, Add, Softmax)] == [MatMul, Mul, Add, Softmax, MatMul]
    assert {(n.layer, n.origin) for n in graph.nodes} == {("block.0", "sdpa")}
    assert all(n.name.startswith("heads/") for n in graph.nodes)


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("masked", [True, False])
def test_multi_head_attention_is_the_loop(heads: int, biased: bool, masked: bool) -> None:
    rng = np.random.default_rng(3)
    width, tokens = 8, 3
    x = rng.standard_normal((2, tokens, width))
    w = [rng.standard_normal((width, width)) / 3 for _ in range(4)]
    c = [rng.standard_normal(width) if biased else None for _ in range(4)]
    mask = np.where(np.tri(tokens) > 0, 0.0, -np.inf) if masked else None
    b = Builder()
    y = multi_head_attention(b, b.input("x", (None, None, width)), [b.param(f"w{j}", w[j]) for j in range(4)],
                             [None if c[j] is None else b.param(f"c{j}", c[j]) for j in range(4)], heads=heads, width=width,
                             mask=None if mask is None else b.param("mask", mask))

    def project(j: int, rows: np.ndarray) -> np.ndarray:
        return np.stack([w[j] @ row + (0 if c[j] is None else c[j]) for row in rows])

    size = width // heads
    want = []
    for sample in x:
        q, k, v = (project(j, sample) for j in range(3))
        parts = [loop_attention(q[:, h : h + size], k[:, h : h + size], v[:, h : h + size], 1 / math.sqrt(size), mask)
                 for h in range(0, width, size)]
        want.append(project(3, np.concatenate(parts, axis=1)))
    np.testing.assert_allclose(b.build(y)(x), np.stack(want), rtol=RTOL, atol=RTOL)


def test_residual_adds_the_input() -> None:
    b = Builder()
    x = b.input("x", (None, 3))
    graph = b.build(residual(b, x, lambda h: b.add(Tanh(), h)))
    value = np.array([[0.5, -1.0, 2.0]])
    np.testing.assert_allclose(graph(value), [[v + math.tanh(v) for v in value[0]]], rtol=RTOL)
    assert graph.nodes[-1].name == "residual"


def test_mlp_has_no_activation_after_the_last_layer() -> None:
    """2 -> 2 -> 1 by hand, in rationals: relu(1·1 - 1·2) = 0, relu(2·1 + 0·2 + 1) = 3, and 5·0 - 1·3 = -3."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 2))
    layers = [(b.param("w1", [[1, -1], [2, 0]]), b.param("b1", [0, 1])), (b.param("w2", [[5, -1]]), None)]
    graph = b.build(mlp(b, x, layers, ReLU(), name="head"))
    assert graph([[1, 2]]).tolist() == [[Fraction(-3)]]
    assert [(n.name, n.layer) for n in graph.nodes] == [("head/fc1", "head.fc1"), ("head/act1", ""), ("head/fc2", "head.fc2")]
