"""The blocks against loops over samples, heads, tokens and features, written from the papers' formulas."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

import xaicore as xc
from xaicore.errors import GraphError
from xaicore.graph import Builder
from xaicore.graph.blocks import (
    affine_grid,
    as_mask,
    attention,
    causal_mask,
    embedding_bag,
    glu,
    max_unpool,
    mlp,
    multi_head_attention,
    normalized,
    residual,
    rotary,
    rotary_angles,
    standardized,
)
from xaicore.ops import Add, GridSample, MatMul, MaxPool, MaxPoolIndices, Mul, ReLU, SiLU, Softmax, Tanh
from xaicore.rules.gradient import gradient
from xaicore.trace import backward, forward

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


# ----- against torch --------------------------------------------------------------------------------------------------


def same_as_torch(b: Builder, y: str, feeds: dict[str, np.ndarray], run) -> None:
    """Forward, and the gradient of every input."""
    torch = pytest.importorskip("torch")
    graph = b.build(y)
    tensors = {k: torch.tensor(v, requires_grad=v.dtype.kind == "f") for k, v in feeds.items()}
    theirs, ours = run(torch, **tensors), graph(feeds)
    np.testing.assert_allclose(ours, theirs.detach().numpy(), rtol=1e-12, atol=1e-12)       # RTOL, ten times for a longer chain
    seed = np.random.default_rng(5).standard_normal(ours.shape)
    theirs.backward(torch.tensor(seed))
    trace = forward(graph, feeds)
    signals = backward(trace, gradient().plan(graph), {graph.outputs[0]: seed}).values
    for k in graph.float_inputs:
        np.testing.assert_allclose(signals[k], tensors[k].grad.numpy(), rtol=1e-11, atol=1e-11)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("shared", [None, (2, 3)])
def test_grouped_queries_and_causal_masks(causal: bool, shared: tuple[int, int] | None) -> None:
    rng = np.random.default_rng(2)
    heads = (6, 2) if shared else (2, 2)
    feeds = {"q": rng.standard_normal((2, heads[0], 3, 4)), "k": rng.standard_normal((2, heads[1], 5, 4)), "v": rng.standard_normal((2, heads[1], 5, 2))}
    b = Builder()
    names = [b.input(k, (None, *x.shape[1:])) for k, x in feeds.items()]
    mask = b.param("mask", causal_mask(3, 5)) if causal else None
    y = attention(b, *names, scale=0.5, mask=mask, shared=shared)
    same_as_torch(b, y, feeds, lambda torch, q, k, v: torch.nn.functional.scaled_dot_product_attention(
        q, k, v, is_causal=causal, scale=0.5, enable_gqa=shared is not None))


def test_boolean_masks_and_capped_scores() -> None:
    rng = np.random.default_rng(3)
    feeds = {"q": rng.standard_normal((2, 3, 4)), "k": rng.standard_normal((2, 5, 4)), "v": rng.standard_normal((2, 5, 2)),
             "kept": np.array([[[True, True, False, False, True]], [[False, True, True, True, True]]])}
    b = Builder()
    names = [b.input(k, (None, *x.shape[1:]), "float" if k != "kept" else "bool") for k, x in feeds.items()]
    y = attention(b, *names[:3], scale=2.0, mask=as_mask(b, names[3]), rank=3, softcap=1.5)

    def run(torch, q, k, v, kept):
        scores = 1.5 * torch.tanh(2 * q @ k.mT / 1.5)
        return scores.masked_fill(~kept, -torch.inf).softmax(-1) @ v

    same_as_torch(b, y, feeds, run)


def test_a_mask_aligned_at_the_last_position() -> None:
    assert (causal_mask(2, 4, 2) == 0).tolist() == [[True, True, True, False], [True, True, True, True]]


@pytest.mark.parametrize("interleaved", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_rotary_turns_pairs_by_their_angle(interleaved: bool, whole: bool) -> None:
    """As complex numbers, (u + iw) exp(i angle)."""
    x = np.random.default_rng(4).standard_normal((2, 3, 5, 6))
    width = 6 if whole else 4
    cos, sin = rotary_angles(range(5), width)
    b = Builder()
    y = rotary(b, b.input("x", (None, 3, 5, 6)), b.param("cos", cos), b.param("sin", sin), width=width, interleaved=interleaved, whole=whole)
    expected = x.copy()
    pairs = [(2 * j, 2 * j + 1) if interleaved else (j, j + width // 2) for j in range(width // 2)]
    for t in range(5):
        for j, (first, second) in enumerate(pairs):
            turned = (x[:, :, t, first] + 1j * x[:, :, t, second]) * np.exp(1j * t * 10000 ** (-2 * j / width))
            expected[:, :, t, first], expected[:, :, t, second] = turned.real, turned.imag
    graph = b.build(y)
    np.testing.assert_allclose(graph(x), expected, rtol=RTOL, atol=RTOL)
    a = xc.explain(graph, x, "lrp.zero", target=(1, 2, 3))
    assert np.abs(a.gap()).max() <= 1e-13                               # every operator in it is affine without a bias
    assert {type(n.op).__name__ for n in graph.nodes} <= {"Slice", "Mul", "Sub", "Add", "Concat", "Unsqueeze", "Flatten"}


def test_gates_and_unit_vectors() -> None:
    x = np.random.default_rng(5).standard_normal((2, 3, 6))
    b = Builder()
    same_as_torch(b, glu(b, b.input("x", (None, 3, 6)), size=6), {"x": x}, lambda torch, x: torch.nn.functional.glu(x, -1))
    b = Builder()
    same_as_torch(b, glu(b, b.input("x", (None, 3, 6)), size=6, gate=SiLU(), gate_first=True), {"x": x},
                  lambda torch, x: torch.nn.functional.silu(x[..., :3]) * x[..., 3:])
    for p in (1.0, 2.0, 3.0):
        b = Builder()
        same_as_torch(b, normalized(b, b.input("x", (None, 3, 6)), axes=(1,), p=p), {"x": x}, lambda torch, x, p=p: torch.nn.functional.normalize(x, p, 1))
    b = Builder()
    assert b.build(normalized(b, b.input("x", (None, 2)), axes=(1,)))(np.zeros((1, 2))).tolist() == [[0, 0]]


def test_standardized_rows() -> None:
    x = np.random.default_rng(8).standard_normal((2, 3, 6))
    b = Builder()
    same_as_torch(b, standardized(b, b.input("x", (None, 3, 6)), axes=(1, 2), eps=0.5), {"x": x},
                  lambda torch, x: (x - x.mean((1, 2), keepdim=True)) / (x.std((1, 2), correction=0, keepdim=True) + 0.5))


@pytest.mark.parametrize(("mode", "weighted", "padding"), [
    ("mean", False, None), ("sum", False, None), ("max", False, None), ("sum", True, None), ("mean", False, 1), ("sum", False, 1), ("sum", True, 1),
])
def test_bags_of_embeddings(mode: str, weighted: bool, padding: int | None) -> None:
    """Also a bag of padding alone."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(9)
    table, ids, weights = rng.standard_normal((6, 3)), np.array([[0, 1, 5, 1], [1, 1, 1, 1], [2, 3, 4, 0]]), rng.standard_normal((3, 4))
    b = Builder()
    names = b.param("table", table), b.input("ids", (None, 4), "int")
    graph = b.build(embedding_bag(b, *names, mode=mode, weights=b.input("w", (None, 4)) if weighted else None, padding=padding))
    theirs = torch.nn.functional.embedding_bag(torch.tensor(ids), torch.tensor(table), mode=mode, padding_idx=padding,
                                               per_sample_weights=torch.tensor(weights) if weighted else None)
    np.testing.assert_allclose(graph({"ids": ids, "w": weights} if weighted else {"ids": ids}), theirs.numpy(), rtol=RTOL, atol=RTOL)


def test_bags_that_torch_refuses_too() -> None:
    b = Builder()
    table, ids = b.param("table", np.ones((2, 2))), b.input("ids", (None, 2), "int")
    for settings in ({"mode": "median"}, {"mode": "mean", "weights": "w"}, {"mode": "max", "padding": 0}):
        with pytest.raises(GraphError, match="weights go with a sum, padding with a sum or mean"):
            embedding_bag(b, table, ids, **settings)


def test_unpooling_puts_maxima_back() -> None:
    x = np.random.default_rng(6).standard_normal((2, 3, 4, 6))
    b = Builder()
    image = b.input("x", (None, 3, 4, 6))
    pooled, places = b.add(MaxPool((2, 2)), image), b.add(MaxPoolIndices((2, 2)), image)

    def run(torch, x):
        return torch.nn.functional.max_unpool2d(*torch.nn.functional.max_pool2d(x, 2, return_indices=True), 2)

    same_as_torch(b, max_unpool(b, pooled, places, channels=3, size=(4, 6)), {"x": x}, run)


@pytest.mark.parametrize(("size", "corners"), [((3, 4), False), ((3, 4), True), ((1, 2), False), ((2, 3, 2), False), ((2, 3, 2), True)], ids=str)
def test_spatial_transformer(size: tuple[int, ...], corners: bool) -> None:
    """A grid out of an affine map, and an image read at it; the gradient of the map is the transformer's localisation."""
    d = len(size)
    rng = np.random.default_rng(7)
    feeds = {"x": rng.standard_normal((2, 2, *(5, 4, 3)[:d])), "theta": rng.uniform(-0.9, 0.9, (2, d, d + 1))}
    b = Builder()
    x, theta = (b.input(k, (None, *v.shape[1:])) for k, v in feeds.items())
    grid = affine_grid(b, theta, size=size, align_corners=corners)

    def run(torch, x, theta):
        places = torch.nn.functional.affine_grid(theta, [2, 2, *size], align_corners=corners)
        return torch.nn.functional.grid_sample(x, places, align_corners=corners)

    same_as_torch(b, b.add(GridSample(align_corners=corners), x, grid), feeds, run)
