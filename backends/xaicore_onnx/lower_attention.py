"""Attention out of two products and a softmax, so that rule sets need no rule for it. What is written here has constant lengths; with
lengths that are an input the standard's own definition is taken, out of more operators."""

from __future__ import annotations

import numpy as np

from xaicore.numerics import Array
from xaicore.ops import Add, Concat, Div, Expand, MatMul, Mul, Reshape, Softmax, Tanh, Transpose, Unsqueeze, Where
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.values import Known, Live


def attention(c: Call) -> Results | None:
    """softmax(scale * q kT, capped, + mask) v for q (N, H, T, d) or (N, T, H d); keys and values may have fewer heads, and a past.

    A query that may look at no key gives 0.
    """
    if c.has(6):
        return None
    lives = [v for v in c.inputs[:3] if isinstance(v, Live)]
    like = c.images(lives[0]) if lives[0].at is not None else lives[0]
    flat = like.rank == 3
    q, k, v = (_by_head(c, x, c.attr("q_num_heads" if j == 0 else "kv_num_heads"), "qkv"[j]) if flat else x
               for j, x in enumerate(_live(c, j, like) for j in range(3)))
    k, v = (_after(c, x, j, what) for x, j, what in ((k, 4, "key"), (v, 5, "value")))
    present = [k, v]
    heads = q.tail[-3]
    k, v = _repeated(c, k, heads, "keys"), _repeated(c, v, heads, "values")
    scale = c.attr("scale", q.tail[-1] ** -0.5)
    scores = c.put(MatMul(), q, c.put(Transpose(_swapped(k)), k, part="keys_turned"), part="scores")
    stages = [c.put(Mul(), scores, c.number(scale, "scale"), part="scaled")]
    cap = c.attr("softcap", 0.0)
    capped = c.put(Tanh(), c.put(Div(), stages[0], c.number(cap, "cap"), part="shrunk")) if cap else stages[0]
    stages.append(c.put(Mul(), capped, c.number(cap, "cap"), part="capped") if cap else capped)
    stages.append(_masked(c, stages[1]))
    stages.append(c.put(Softmax(-1), stages[2], part="weights"))
    y = c.put(MatMul(), stages[3], v, part="mixed")
    if flat:
        y = c.put(Transpose(_heads_back(y)), y, part="by_token")
        y = c.put(Reshape((*y.tail[:-2], y.tail[-2] * y.tail[-1])), y, part="joined")
    return [y, *present, stages[c.attr("qk_matmul_output_mode", 0)]]


def _live(c: Call, j: int, like: Live) -> Live:
    x = c.x(j)
    if isinstance(x, Known):
        return c.batched(x, like)
    return c.images(x) if x.at is not None else x


def _swapped(x: Live) -> tuple[int, ...]:
    rank = len(x.tail) + 1
    return (*range(rank - 2), rank - 1, rank - 2)


def _heads_back(x: Live) -> tuple[int, ...]:
    rank = len(x.tail) + 1
    return (*range(rank - 3), rank - 2, rank - 3, rank - 1)


def _by_head(c: Call, x: Live, heads: int, what: str) -> Live:
    """(N, T, H d) -> (N, H, T, d)."""
    tall = c.put(Reshape((*x.tail[:-1], heads, x.tail[-1] // heads)), x, part=f"{what}_heads")
    return c.put(Transpose(_heads_back(tall)), tall, part=f"{what}_by_head")


def _after(c: Call, x: Live, j: int, what: str) -> Live:
    """Keys or values behind those of the past."""
    if not c.has(j):
        return x
    past = c.x(j)
    if isinstance(past, Known) and not past.low.size:
        return x
    return c.put(Concat(len(x.tail) - 1), c.batched(past, x) if isinstance(past, Known) else past, x, like=x, part=f"present_{what}")


def _repeated(c: Call, x: Live, heads: int, what: str) -> Live:
    """Each head as often as there are queries' heads to it."""
    have = x.tail[-3]
    if have == heads:
        return x
    axis = len(x.tail) - 1
    wide = c.put(Unsqueeze((axis,)), x, part=f"{what}_apart")
    wide = c.put(Expand((*x.tail[:-2], heads // have, *x.tail[-2:])), wide, part=f"{what}_repeated")
    return c.put(Reshape((*x.tail[:-3], heads, *x.tail[-2:])), wide, part=what)


def _masked(c: Call, scores: Live) -> Live:
    """The scores with -inf where a query may not look."""
    seen = _in_sight(c, *scores.tail[-2:])
    if c.has(3):
        mask = c.x(3)
        kind = mask.kind if isinstance(mask, Live) else mask.low.dtype.kind
        if isinstance(mask, Live) and mask.tail[-1:] != scores.tail[-1:]:
            short = scores.tail[-1] - mask.tail[-1]
            fill = Known(f"{c.name}/beyond", *(np.zeros((*mask.shape(1)[:-1], short), bool) if kind == "b"
                                               else np.full((*mask.shape(1)[:-1], short), -np.inf),) * 2)
            mask = c.put(Concat(len(mask.tail)), mask, c.batched(fill, mask), part="mask")
        elif isinstance(mask, Known) and mask.low.shape[-1] != scores.tail[-1]:
            mask = mask.mapped(f"{mask.name}/long", lambda x: _lengthened(x, scores.tail[-1]))
        if kind == "b":
            scores = c.join(Where(), mask, scores, _number(c, -np.inf, "hidden"), part="seen")
        else:
            scores = c.join(Add(), scores, mask, part="biased")
    if seen.all():
        return scores
    return c.join(Add(), scores, Known(f"{c.name}/order", *(np.where(seen, 0.0, -np.inf),) * 2), part="ordered")


def _number(c: Call, value: float, part: str) -> Known:
    return Known(f"{c.name}/{part}", *(np.asarray(value),) * 2)


def _lengthened(x: Array, length: int) -> Array:
    fill = False if x.dtype.kind == "b" else -np.inf
    return np.concatenate([x, np.full((*x.shape[:-1], length - x.shape[-1]), fill, x.dtype)], axis=-1)


def _in_sight(c: Call, queries: int, keys: int) -> Array:
    """(T, S): which keys the settings alone let each query see; those of the past come before the first query."""
    past = c.x(4) if c.has(4) else None
    offset = 0 if past is None else (past.tail if isinstance(past, Live) else past.low.shape)[-2]
    place, key = np.arange(queries)[:, None] + offset, np.arange(keys)
    left, right = c.attr("left_window_size", -1), c.attr("right_window_size", -1)
    seen = np.ones((queries, keys), bool)
    if c.attr("is_causal", 0):
        seen &= key <= place
    if left >= 0:
        seen &= key >= place - left
    if right >= 0:
        seen &= key <= place + right
    return seen


ATTENTION: dict[str, Lowering] = {"Attention": attention}
