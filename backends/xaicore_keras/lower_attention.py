"""The attention layers and keras.ops.dot_product_attention, written out: projections, heads, softmax, mixture."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from xaicore.graph.blocks import attention
from xaicore.ops import (
    Add,
    Compare,
    Dense,
    Gather,
    Logical,
    MatMul,
    Mul,
    ReduceMax,
    Reshape,
    Sigmoid,
    Softmax,
    Sub,
    Sum,
    Tanh,
    ToBool,
    ToFloat,
    Transpose,
    Unsqueeze,
    Where,
)
from xaicore_keras.convert import Call, Value

DROPPED = -0.7 * 3.38953e38
"""What Keras adds to the score of a pair that a mask drops. It is finite, so a row that drops all pairs weighs them equally."""


def multi_head_attention(c: Call) -> Value:
    """softmax(q kᵀ / sqrt(d) + mask) v for each head; the heads side by side through one more dense layer.

    query (N, T, *), value and key (N, S, *). Where the layer has a dropout rate, Keras takes another path at inference too,
    on which a row of scores that is masked altogether mixes nothing instead of everything.
    """
    layer = c.op
    query, value, key = _inputs(c)
    axes = layer.config.get("attention_axes")
    if {query.rank, value.rank, key.rank} != {3} or tuple(axes or (1,)) not in ((1,), (-2,)):
        raise c.refuse(f"attends over the axes {axes} of a tensor of rank {query.rank}", "use (N, T, C) tensors")
    _refuse_settings(c)
    if layer.config.get("use_gate"):
        raise c.refuse("has use_gate set", "leave this setting out")
    heads, width = layer.num_heads, layer.value_dim or layer.key_dim
    q, k, v = (_by_head(c, part, x) for part, x in (("query", query), ("key", key), ("value", value)))
    scale = 1.0 / math.sqrt(float(layer.key_dim))
    mixed = _attend(c, q, k, v, scale, _masks(c, query, value, key), nothing_if_masked=layer.dropout > 0)
    if c.op.weights["attention_output/kernel"].ndim != 3:
        raise c.refuse(f"has output_shape={layer.output_shape}", "use one number for it")
    return replace(c.value(_output(c, mixed, heads * width)), mask=c.arg(0, "query").mask)


def grouped_query_attention(c: Call) -> Value:
    """Multi-head attention in which several query heads share one head of keys and values."""
    layer = c.op
    query, value, key = _inputs(c)
    _refuse_settings(c)
    heads, width = layer.num_query_heads, layer.head_dim
    each = heads // layer.num_key_value_heads
    q = _by_head(c, "query", query)
    k, v = (_repeated(c, _by_head(c, part, x), part, each) for part, x in (("key", key), ("value", value)))
    mixed = _attend(c, q, k, v, 1.0 / math.sqrt(float(width)), _masks(c, query, value, key), nothing_if_masked=layer.dropout > 0)
    if layer.config.get("use_gate"):
        mixed = c.add(Mul(), mixed, c.add(Sigmoid(), _by_head(c, "gate", query), tag="gate_open"), tag="gated")
    return replace(c.value(_output(c, mixed, heads * width)), mask=c.arg(0, "query").mask)


def attention_layer(c: Call) -> Value:
    """Attention: softmax(q kᵀ * scale) v; with score_mode="concat" the score is w * sum(tanh(scale * (q + k)))."""
    query, key, value = _query_key_value(c)
    if c.op.config.get("score_mode", "dot") == "dot":
        scores = c.add(MatMul(), query, c.add(Transpose((0, 2, 1)), key, tag="keys"), tag="scores")
        scores = _scaled(c, scores, "scale")
    else:
        scores = _scaled(c, _summed_tanh(c, query, key, "scale"), "concat_score_weight")
    return _weighted(c, scores, query, value)


def additive_attention(c: Call) -> Value:
    """AdditiveAttention: softmax(sum(scale * tanh(q + k))) v."""
    query, key, value = _query_key_value(c)
    return _weighted(c, _summed_tanh(c, query, key, "", after="scale"), query, value)


def _inputs(c: Call) -> tuple[Value, Value, Value]:
    """Query, value and key, which is the value if it was left out."""
    query, value = c.own(c.arg(0, "query")), c.own(c.arg(1, "value"))
    given = c.arg(2, "key")
    return query, value, value if given is None else c.own(given)


def _refuse_settings(c: Call) -> None:
    if c.op.config.get("sliding_window"):
        raise c.refuse("has sliding_window set", "leave this setting out")
    if c.arg(7, "return_attention_scores"):
        raise c.refuse("returns its attention scores", "leave return_attention_scores out; the graph names them '.../weights'")


def _by_head(c: Call, part: str, x: Value) -> str:
    """(N, T, C) to (N, heads, T, d) by the layer's own dense layer of that name."""
    channels, heads, width = c.op.weights[f"{part}/kernel"].shape
    w = c.param(f"{part}/kernel", lambda kernel: kernel.reshape(channels, heads * width).T)
    wide = c.add(Dense(), x, w, *_bias(c, part), tag=part)
    return c.add(Transpose((0, 2, 1, 3)), c.add(Reshape((-1, heads, width)), wide, tag=f"{part}_heads"), tag=f"{part}_by_head")


def _repeated(c: Call, x: str, part: str, each: int) -> str:
    """Every head of (N, heads, T, d) ``each`` times, side by side."""
    heads = c.op.num_key_value_heads
    index = c.to.b.constant(np.repeat(np.arange(heads), each), f"{c.name}/{part}_groups")
    return x if each == 1 else c.add(Gather(1), x, index, tag=f"{part}_repeated")


def _output(c: Call, mixed: str, width: int) -> str:
    """(N, heads, T, d) through the last dense layer."""
    joined = c.add(Reshape((-1, width)), c.add(Transpose((0, 2, 1, 3)), mixed, tag="by_token"), tag="joined")
    w = c.param("attention_output/kernel", lambda x: x.reshape(width, -1).T)
    return c.add(Dense(), joined, w, *_bias(c, "attention_output"))


def _bias(c: Call, part: str) -> list[str]:
    return [c.param(f"{part}/bias", np.ravel)] if c.weight(f"{part}/bias") else []


def _query_key_value(c: Call) -> tuple[Value, Value, Value]:
    """Of a list [query, value] or [query, value, key]."""
    if c.arg(3, "return_attention_scores"):
        raise c.refuse("returns its attention scores", "leave return_attention_scores out; the graph names them '.../weights'")
    query, value, *rest = (c.own(v) for v in c.arg(0, "inputs"))
    if {v.rank for v in (query, value, *rest)} != {3}:
        raise c.refuse(f"attends with a query {query.shape}", "use (N, T, C) tensors")
    return query, rest[0] if rest else value, value


def _summed_tanh(c: Call, query: Value, key: Value, inside: str, after: str = "") -> str:
    """sum_d after_d * tanh(inside * (q_td + k_sd)), (N, T, S)."""
    rows, columns = c.add(Unsqueeze((2,)), query, tag="rows"), c.add(Unsqueeze((1,)), key, tag="columns")
    pairs = c.add(Tanh(), _scaled(c, c.add(Add(), rows, columns, tag="pairs"), inside), tag="tanh")
    return c.add(Sum((3,), False), _scaled(c, pairs, after), tag="scores")


def _scaled(c: Call, x: str, weight: str) -> str:
    return c.add(Mul(), x, c.param(weight), tag=f"times_{weight}") if weight and c.weight(weight) else x


def _weighted(c: Call, scores: str, query: Value, value: Value) -> Value:
    """softmax(scores) v, in which a score that is masked is 1e9 lower, and a query that is masked gives 0."""
    given = c.arg(1, "mask")
    masks = list(given) if isinstance(given, (list, tuple)) else [v.mask for v in c.arg(0, "inputs")]
    keep = [] if len(masks) < 2 or masks[1] is None else [c.add(Unsqueeze((1,)), masks[1], tag="value_mask")]
    if c.arg(4, "use_causal_mask"):
        rows, columns = c.size(query, 1), c.size(value, 1)
        c.within(rows * columns, "the causal mask")
        keep.append(c.to.b.constant(np.tril(np.ones((1, rows, columns), bool)), f"{c.name}/causal_mask"))
    if keep:
        both = keep[0] if len(keep) == 1 else c.add(Logical("and"), *keep, tag="keep")
        lower = c.add(Sub(), scores, c.to.b.constant(1e9, f"{c.name}/lowering"), tag="lowered")
        scores = c.add(Where(), both, scores, lower, tag="masked_scores")
    weights = c.add(Softmax(-1), scores, tag="weights")
    if not masks or masks[0] is None:
        return c.value(c.add(MatMul(), weights, value))
    mixed = c.add(MatMul(), weights, value, tag="mixed")
    kept = c.add(Unsqueeze((2,)), masks[0], tag="query_mask")
    return replace(c.value(c.add(Where(), kept, mixed, c.to.b.constant(0.0, f"{c.name}/dropped"))), mask=masks[0])


def _masks(c: Call, query: Value, value: Value, key: Value) -> list[str]:
    """Booleans that broadcast against (N, heads, T, S): true where a pair is kept."""
    out: list[str] = []
    done = set()
    for part, v, axes in (("query", query, (1, 3)), ("value", value, (1, 2)), ("key", key, (1, 2))):
        mask = c.kwargs.get(f"{part}_mask") or v.mask
        if mask is not None and (mask.name, axes) not in done:
            done.add((mask.name, axes))
            out.append(c.add(Unsqueeze(axes), mask, tag="mask"))
    given = c.kwargs.get("attention_mask")
    if isinstance(given, Value):
        if given.rank not in (3, 4):
            raise c.refuse(f"is given an attention_mask {given.shape}", "give one of shape (N, T, S)")
        name = given.name if given.kind == "bool" else c.add(ToBool(), given, tag="mask")
        out.append(c.add(Unsqueeze((1,)), name, tag="mask") if given.rank == 3 else name)
    elif given is not None:
        keep = np.asarray(given).astype(bool)
        keep = keep[:, None] if keep.ndim == 3 else keep.reshape((1,) * (4 - keep.ndim) + keep.shape)
        out.append(c.to.b.constant(keep, f"{c.name}/attention_mask"))
    if c.arg(9, "use_causal_mask"):
        rows, columns = c.size(query, 1), c.size(value, 1)
        c.within(rows * columns, "the causal mask")
        out.append(c.to.b.constant(np.tril(np.ones((1, 1, rows, columns), bool)), f"{c.name}/causal_mask"))
    return out


def _attend(c: Call, q: str, k: str, v: str, scale: float, masks: list[str], nothing_if_masked: bool) -> str:
    """The attention block, with the masks joined and made additive."""
    with c.to.b.scope(c.name, layer=c.name, origin=c.op.kind):
        if not masks:
            return attention(c.to.b, q, k, v, scale=scale, layer=c.name, origin=c.op.kind)
        keep = masks[0]
        for other in masks[1:]:
            keep = c.to.b.add(Logical("and"), keep, other, name="keep")
        zero, dropped = c.to.b.constant(0.0, "kept"), c.to.b.constant(DROPPED, "dropped")
        added = c.to.b.add(Where(), keep, zero, dropped, name="added_mask")
        mixed = attention(c.to.b, q, k, v, scale=scale, mask=added, layer=c.name, origin=c.op.kind)
        if not nothing_if_masked:
            return mixed
        some = c.to.b.add(ReduceMax((-1,), True), c.to.b.add(ToFloat(), keep, name="keep_number"), name="any")
        return c.to.b.add(Where(), c.to.b.add(Compare("gt"), some, zero, name="any_kept"), mixed, zero, name="mixed_if_kept")


def dot_product_attention(c: Call) -> Value:
    """keras.ops.dot_product_attention: query, key, value (N, T, heads, d)."""
    if c.op.attn_logits_soft_cap is not None:
        raise c.refuse("caps its scores", "leave attn_logits_soft_cap out")
    query, key, value = (c.own(c.arg(k, name)) for k, name in enumerate(("query", "key", "value")))
    bias, mask, scale = (c.arg(k, name) for k, name in ((3, "bias"), (4, "mask"), (5, "scale")))
    if bias is not None or (mask is not None and not isinstance(mask, Value)):
        raise c.refuse("is given a bias or a constant mask", "give a boolean tensor as mask")
    masks = [] if mask is None else [mask.name]
    if c.op.is_causal:
        rows, columns = c.size(query, 1), c.size(key, 1)
        c.within(rows * columns, "the causal mask")
        masks.append(c.to.b.constant(np.tril(np.ones((1, 1, rows, columns), bool)), f"{c.name}/causal_mask"))
    q, k, v = (c.add(Transpose((0, 2, 1, 3)), x, tag=f"{part}_by_head") for part, x in (("query", query), ("key", key), ("value", value)))
    width = c.size(query, 3)
    mixed = _attend(c, q, k, v, 1 / math.sqrt(width) if scale is None else float(scale), masks, nothing_if_masked=False)
    return c.value(c.add(Transpose((0, 2, 1, 3)), mixed))


