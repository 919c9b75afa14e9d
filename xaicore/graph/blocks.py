"""Blocks out of simple operators: attention, rotary positions, gates, grids. A block is a function that adds nodes, never an operator.

That way every rule set sees matrix products, a softmax and additions, and needs no rule for "attention".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from xaicore.errors import GraphError
from xaicore.graph.build import Builder
from xaicore.numerics import Array
from xaicore.ops import (
    Add,
    Clip,
    Compare,
    Concat,
    Dense,
    Div,
    Embedding,
    Flatten,
    Gather,
    MatMul,
    Mean,
    Mul,
    Norm,
    Op,
    ReduceMax,
    Reshape,
    ScatterElements,
    Sigmoid,
    Slice,
    Softmax,
    Split,
    Sqrt,
    Sub,
    Sum,
    Tanh,
    ToFloat,
    Transpose,
    Unsqueeze,
    Variance,
    Where,
)


def attention(
    b: Builder, q: str, k: str, v: str, *, scale: float, mask: str | None = None, rank: int = 4, shared: tuple[int, int] | None = None,
    softcap: float | None = None, name: str = "attention", layer: str = "", origin: str = "",
) -> str:
    """softmax(scale * q kᵀ + mask) v for q (N, ..., T, d), k (N, ..., S, d), v (N, ..., S, e) -> (N, ..., T, e).

    ``rank`` is the number of axes of q, k and v; ``mask`` is additive (0 to keep, -inf to drop) and broadcasts against
    (N, ..., T, S): ``causal_mask`` makes one, ``as_mask`` turns booleans into one. ``shared`` = (h, g): q has h * g heads on axis 1,
    k and v have h, and g heads of q that follow each other read one of them (grouped queries). ``softcap`` c: the scores become
    c tanh(scores / c) before the mask. Source: Vaswani et al. 2017, eq. 1; grouped queries: Ainslie et al. 2023.
    """
    with b.scope(name, layer=layer or name, origin=origin):
        if shared is not None:
            heads = b.constant(np.repeat(np.arange(shared[0]), shared[1]), "shared_heads")
            k, v = b.add(Gather(1), k, heads, name="shared_keys"), b.add(Gather(1), v, heads, name="shared_values")
        swap = (*range(rank - 2), rank - 1, rank - 2)
        scores = b.add(MatMul(), q, b.add(Transpose(swap), k, name="keys"), name="scores")
        scores = b.add(Mul(), scores, b.constant(scale, "scale"), name="scaled")
        if softcap is not None:
            scores = b.add(Tanh(), b.add(Mul(), scores, b.constant(1 / softcap, "per_cap"), name="small"), name="bent")
            scores = b.add(Mul(), scores, b.constant(softcap, "cap"), name="capped")
        if mask is not None:
            scores = b.add(Add(), scores, mask, name="masked")
        return b.add(MatMul(), b.add(Softmax(-1), scores, name="weights"), v, name="mixed")


def causal_mask(queries: int, keys: int, offset: int = 0) -> Array:
    """(queries, keys): 0 where key s <= query t + offset, -inf elsewhere.

    offset 0 aligns both at the first position, as torch's is_causal; keys - queries aligns them at the last, as with a cache.

    >>> causal_mask(2, 3)
    array([[  0., -inf, -inf],
           [  0.,   0., -inf]])
    """
    return np.where(np.arange(keys) <= np.arange(queries)[:, None] + offset, 0.0, -np.inf)


def as_mask(b: Builder, kept: str, name: str = "mask") -> str:
    """Booleans, true to keep, as an additive mask: 0 or -inf."""
    return b.add(Where(), kept, b.constant(0.0, f"{name}/keep"), b.constant(-np.inf, f"{name}/drop"), name=name)


def rotary(
    b: Builder, x: str, cos: str, sin: str, *, width: int, interleaved: bool = False, whole: bool = True, rank: int = 4,
    name: str = "rotary",
) -> str:
    """Pairs (u, w) of the last axis turned by an angle: (u cos - w sin, w cos + u sin).

    x (N, ..., T, d); cos and sin broadcast against (N, ..., T, width / 2). The first ``width`` entries are turned, and unless they
    are the ``whole`` axis the rest stays. Entry j is paired with j + width / 2, or with its neighbour where ``interleaved``.
    Source: Su et al. 2021, "RoFormer", eq. 34 (interleaved). Same as: ONNX RotaryEmbedding; GPT-NeoX and LLaMA pair halves.
    """
    half = width // 2
    parts = (Slice(-1, 0, width, 2), Slice(-1, 1, width, 2)) if interleaved else (Slice(-1, 0, half), Slice(-1, half, width))
    with b.scope(name, layer=name):
        u, w = (b.add(part, x, name=what) for part, what in zip(parts, ("first", "second")))
        left = b.add(Sub(), b.add(Mul(), u, cos, name="first_cos"), b.add(Mul(), w, sin, name="second_sin"), name="turned_first")
        right = b.add(Add(), b.add(Mul(), w, cos, name="second_cos"), b.add(Mul(), u, sin, name="first_sin"), name="turned_second")
        if interleaved:
            pairs = (b.add(Unsqueeze((-1,)), one, name=what) for one, what in ((left, "first_of_pair"), (right, "second_of_pair")))
            y = b.add(Flatten(rank - 1), b.add(Concat(-1), *pairs, name="pairs"), name="turned")
        else:
            y = b.add(Concat(-1), left, right, name="turned")
        return y if whole else b.add(Concat(-1), y, b.add(Slice(-1, width), x, name="rest"), name="joined")


def rotary_angles(positions: Sequence[int] | Array, width: int, base: float = 10000.0) -> tuple[Array, Array]:
    """cos and sin (T, width / 2) of position * base^(-2 j / width). Source: Su et al. 2021, eq. 15."""
    angles = np.asarray(positions)[:, None] * base ** (-2 * np.arange(width // 2) / width)
    return np.cos(angles), np.sin(angles)


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


# ----- gates, normalised vectors, images --------------------------------------------------------------------------------


def glu(b: Builder, x: str, *, size: int, axis: int = -1, gate: Op | None = None, gate_first: bool = False, name: str = "glu") -> str:
    """One half of an axis of ``size`` entries times ``gate`` of the other: GLU (Sigmoid unless given), SwiGLU (SiLU), GEGLU (GELU).

    The gate reads the second half, with ``gate_first`` the first. Source: Dauphin et al. 2017; Shazeer 2020.
    """
    with b.scope(name, layer=name):
        halves = [b.add(Split(axis, (size // 2, size - size // 2), k), x, name=what) for k, what in enumerate(("first", "second"))]
        value, read = halves[::-1] if gate_first else halves
        return b.add(Mul(), value, b.add(gate or Sigmoid(), read, name="gate"), name="gated")


def normalized(b: Builder, x: str, *, axes: Sequence[int], p: float = 2, eps: float = 1e-12, name: str = "normalized") -> str:
    """x / max(‖x‖_p, eps) over ``axes``. Same as: torch.nn.functional.normalize; ONNX LpNormalization, whose eps is 0."""
    with b.scope(name, layer=name):
        norm = b.add(Clip(low=eps), b.add(Norm(tuple(axes), True, p), x, name="norm"), name="safe")
        return b.add(Div(), x, norm, name="unit")


def standardized(b: Builder, x: str, *, axes: Sequence[int], eps: float = 1e-9, name: str = "standardized") -> str:
    """(x - mean) / (standard deviation + eps) over ``axes``. Same as: ONNX MeanVarianceNormalization, when the batch is no axis of it."""
    with b.scope(name, layer=name):
        centred = b.add(Sub(), x, b.add(Mean(tuple(axes), keepdims=True), x, name="mean"), name="centred")
        deviation = b.add(Sqrt(), b.add(Variance(tuple(axes), keepdims=True), x, name="variance"), name="deviation")
        return b.add(Div(), centred, b.add(Add(), deviation, b.constant(eps, "eps"), name="safe"), name="unit")


def embedding_bag(
    b: Builder, table: str, ids: str, *, mode: str = "mean", weights: str | None = None, padding: int | None = None,
    name: str = "bag",
) -> str:
    """The mean, sum or maximum of the rows of table (V, D) that ids (N, L) name -> (N, D).

    ``weights`` (N, L) multiply the rows of a sum; ids equal to ``padding`` take no part in a sum or mean, and a bag of nothing else
    is 0. Raises GraphError for other combinations. Same as: torch.nn.EmbeddingBag on ids of two axes.
    """
    if mode not in ("mean", "sum", "max") or (weights is not None and mode != "sum") or (padding is not None and mode == "max"):
        raise GraphError(f"embedding_bag: mode={mode!r} with weights={weights!r} and padding={padding!r}; the modes are mean, sum and max, "
                         f"weights go with a sum, padding with a sum or mean")
    with b.scope(name, layer=name):
        rows = b.add(Embedding(), table, ids, name="rows")
        if mode == "max":
            return b.add(ReduceMax((1,)), rows, name="largest")
        if weights is not None:
            rows = b.add(Mul(), rows, b.add(Unsqueeze((-1,)), weights, name="tall_weights"), name="weighted")
        if padding is None:
            return b.add(Mean((1,)) if mode == "mean" else Sum((1,)), rows, name="total")
        counts = b.add(ToFloat(), b.add(Compare("ne"), ids, b.constant(np.array(padding), "padding"), name="kept"), name="counts")
        total = b.add(Sum((1,)), b.add(Mul(), rows, b.add(Unsqueeze((-1,)), counts, name="tall"), name="kept_rows"), name="total")
        if mode == "sum":
            return total
        count = b.add(Clip(low=1.0), b.add(Sum((1,), keepdims=True), counts, name="count"), name="at_least_one")
        return b.add(Div(), total, count, name="mean")


def max_unpool(b: Builder, x: str, places: str, *, channels: int, size: Sequence[int], name: str = "max_unpool") -> str:
    """x (N, C, *S) put down at ``places`` (what MaxPoolIndices gives) in zeros -> (N, C, *size). Same as: torch.nn.MaxUnpool1d to 3d."""
    with b.scope(name, layer=name):
        zeros = b.constant(np.zeros((1, channels, prod(size)), object if b.dtype == "exact" else float), "zeros")
        flat, at = b.add(Flatten(2), x, name="flat"), b.add(Flatten(2), places, name="places")
        return b.add(Reshape((channels, *size)), b.add(ScatterElements(axis=2), zeros, at, flat, name="put"), name="unpooled")


def affine_grid(b: Builder, theta: str, *, size: Sequence[int], align_corners: bool = False, name: str = "affine_grid") -> str:
    """The places that GridSample reads for an affine map theta (N, d, d + 1) of coordinates -> (N, *size, d).

    Source: Jaderberg et al. 2015, eq. 1. Same as: torch.nn.functional.affine_grid, ONNX AffineGrid.
    """
    d = len(size)
    lines = [np.linspace(-1, 1, n) if n > 1 else np.zeros(1) for n in size]
    lines = lines if align_corners else [line * (n - 1) / n for line, n in zip(lines, size)]
    places = np.stack([*np.meshgrid(*lines, indexing="ij")[::-1], np.ones(tuple(size))], axis=-1).reshape(1, -1, d + 1)
    with b.scope(name, layer=name):
        columns = b.add(Transpose((0, 2, 1)), theta, name="columns")
        return b.add(Reshape((*size, d)), b.add(MatMul(), b.constant(places, "places"), columns, name="points"), name="grid")
