"""Blocks out of simple operators: attention, residual, mlp. A block is a function that adds nodes, never an operator.

That way every rule set sees matrix products, a softmax and additions, and needs no rule for "attention".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xaicore.graph.build import Builder
from xaicore.ops import Add, Dense, MatMul, Mul, Op, Reshape, Softmax, Transpose


def attention(
    b: Builder, q: str, k: str, v: str, *, scale: float, mask: str | None = None, rank: int = 4,
    name: str = "attention", layer: str = "", origin: str = "",
) -> str:
    """softmax(scale * q kᵀ + mask) v for q (N, ..., T, d), k (N, ..., S, d), v (N, ..., S, e) -> (N, ..., T, e).

    ``rank`` is the number of axes of q, k and v; ``mask`` is additive (0 to keep, -inf to drop) and broadcasts against
    (N, ..., T, S). Source: Vaswani et al. 2017, eq. 1.
    """
    with b.scope(name, layer=layer or name, origin=origin):
        swap = (*range(rank - 2), rank - 1, rank - 2)
        scores = b.add(MatMul(), q, b.add(Transpose(swap), k, name="keys"), name="scores")
        scores = b.add(Mul(), scores, b.constant(scale, "scale"), name="scaled")
        if mask is not None:
            scores = b.add(Add(), scores, mask, name="masked")
        return b.add(MatMul(), b.add(Softmax(-1), scores, name="weights"), v, name="mixed")


def multi_head_attention(
    b: Builder, x: str, weights: Sequence[str], biases: Sequence[str | None], *, heads: int, width: int, mask: str | None = None,
    name: str = "attention",
) -> str:
    """Self-attention with ``heads`` heads on x (N, T, width); the weights of query, key, value, out are (width, width)."""

    def project(j: int, what: str, value: str) -> str:
        bias = biases[j]
        return b.add(Dense(), value, weights[j], *(() if bias is None else (bias,)), name=what)

    def by_head(j: int, what: str) -> str:
        tall = b.add(Reshape((-1, heads, width // heads)), project(j, what, x), name=f"{what}_heads")
        return b.add(Transpose((0, 2, 1, 3)), tall, name=f"{what}_by_head")

    with b.scope(name, layer=name):
        q, k, v = by_head(0, "query"), by_head(1, "key"), by_head(2, "value")
        mixed = attention(b, q, k, v, scale=(width // heads) ** -0.5, mask=mask, name="heads", layer=name)
        joined = b.add(Reshape((-1, width)), b.add(Transpose((0, 2, 1, 3)), mixed, name="by_token"), name="joined")
        return project(3, "out", joined)


def residual(b: Builder, x: str, body: Callable[[str], str], name: str = "residual") -> str:
    """x + body(x)."""
    return b.add(Add(), x, body(x), name=name)


def mlp(b: Builder, x: str, layers: Sequence[tuple[str, str | None]], activation: Op, name: str = "mlp") -> str:
    """Dense layers (weight, bias or None) with ``activation`` between them, none after the last."""
    with b.scope(name):
        for k, (w, bias) in enumerate(layers):
            x = b.add(Dense(), x, w, *(() if bias is None else (bias,)), name=f"fc{k + 1}", layer=f"{name}.fc{k + 1}")
            if k + 1 < len(layers):
                x = b.add(activation, x, name=f"act{k + 1}")
        return x
