"""MultiHeadAttention and keras.ops.dot_product_attention, written out: projections, heads, softmax, mixture."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.graph.blocks import attention
from xaicore.ops import Compare, Dense, Logical, ReduceMax, Reshape, ToBool, ToFloat, Transpose, Unsqueeze, Where
from xaicore_keras.convert import Call, Value
from xaicore_keras.record import kind_of

DROPPED = -0.7 * 3.38953e38
"""What Keras adds to the score of a pair that a mask drops. It is finite, so a row that drops all pairs weighs them equally."""


def multi_head_attention(c: Call) -> Value:
    """softmax(q kᵀ / sqrt(d) + mask) v for each head; the heads side by side through one more dense layer.

    query (N, T, *), value and key (N, S, *). Where the layer has a dropout rate, Keras takes another path at inference too,
    on which a row of scores that is masked altogether mixes nothing instead of everything.
    """
    layer = c.op
    query, value = c.own(c.arg(0, "query")), c.own(c.arg(1, "value"))
    given = c.arg(2, "key")
    key = value if given is None else c.own(given)
    if {query.rank, value.rank, key.rank} != {3} or tuple(layer._attention_axes) != (1,):
        raise c.refuse(f"attends over the axes {layer._attention_axes} of a tensor of rank {query.rank}", "use (N, T, C) tensors")
    for setting in ("_use_gate", "_sliding_window"):
        if getattr(layer, setting, None):
            raise c.refuse(f"has {setting[1:]} set", "leave this setting out")
    if c.kwargs.get("return_attention_scores"):
        raise c.refuse("returns its attention scores", "leave return_attention_scores out; the graph names them '.../weights'")
    q, k, v = (_project(c, part, x) for part, x in (("query", query), ("key", key), ("value", value)))
    masks = _masks(c, query, value, key)
    scale = 1.0 / math.sqrt(float(layer._key_dim))
    mixed = _attend(c, q, k, v, scale, masks, nothing_if_masked=layer._dropout > 0)
    heads, width = int(layer._num_heads), int(layer._value_dim)
    joined = c.add(Reshape((-1, heads * width)), c.add(Transpose((0, 2, 1, 3)), mixed, tag="by_token"), tag="joined")
    out = layer._output_dense
    if out.kernel.ndim != 3:
        raise c.refuse(f"has output_shape={layer._output_shape}", "use one number for it")
    w = c.param(out._kernel, lambda x: x.reshape(heads * width, -1).T)
    return replace(c.value(c.add(Dense(), joined, w, *_bias(c, out))), mask=c.arg(0, "query").mask)


def _project(c: Call, part: str, x: Value) -> str:
    """(N, T, C) to (N, heads, T, d) by the layer's own dense layer of that name."""
    layer = getattr(c.op, f"_{part}_dense")
    channels, heads, width = (int(n) for n in layer.kernel.shape)
    w = c.param(layer._kernel, lambda kernel: kernel.reshape(channels, heads * width).T)
    wide = c.add(Dense(), x, w, *_bias(c, layer), tag=part)
    return c.add(Transpose((0, 2, 1, 3)), c.add(Reshape((-1, heads, width)), wide, tag=f"{part}_heads"), tag=f"{part}_by_head")


def _bias(c: Call, layer: Any) -> list[str]:
    return [] if layer.bias is None else [c.param(layer.bias, np.ravel)]


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
    if c.kwargs.get("use_causal_mask"):
        rows, columns = c.size(query, 1), c.size(value, 1)
        out.append(c.to.b.constant(np.tril(np.ones((1, 1, rows, columns), bool)), f"{c.name}/causal_mask"))
    return out


def _attend(c: Call, q: str, k: str, v: str, scale: float, masks: list[str], nothing_if_masked: bool) -> str:
    """The attention block, with the masks joined and made additive."""
    with c.to.b.scope(c.name, layer=c.name, origin=kind_of(c.op)):
        if not masks:
            return attention(c.to.b, q, k, v, scale=scale, layer=c.name, origin=kind_of(c.op))
        keep = masks[0]
        for other in masks[1:]:
            keep = c.to.b.add(Logical("and"), keep, other, name="keep")
        zero, dropped = c.to.b.constant(0.0, "kept"), c.to.b.constant(DROPPED, "dropped")
        added = c.to.b.add(Where(), keep, zero, dropped, name="added_mask")
        mixed = attention(c.to.b, q, k, v, scale=scale, mask=added, layer=c.name, origin=kind_of(c.op))
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
        masks.append(c.to.b.constant(np.tril(np.ones((1, 1, rows, columns), bool)), f"{c.name}/causal_mask"))
    q, k, v = (c.add(Transpose((0, 2, 1, 3)), x, tag=f"{part}_by_head") for part, x in (("query", query), ("key", key), ("value", value)))
    width = c.size(query, 3)
    mixed = _attend(c, q, k, v, 1 / math.sqrt(width) if scale is None else float(scale), masks, nothing_if_masked=False)
    return c.value(c.add(Transpose((0, 2, 1, 3)), mixed))


