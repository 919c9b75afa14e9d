"""Attention rollout: where the tokens of the last layer look, followed down through all attention layers as a random walk."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.sweep import chosen, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array
from xaicore.ops import Einsum, MatMul, Softmax
from xaicore.trace import Trace

HEADS: Mapping[str, Callable[[Array], Array]] = MappingProxyType({
    "mean": lambda a: np.asarray(a.mean(axis=1)), "max": lambda a: np.asarray(a.max(axis=1)), "min": lambda a: np.asarray(a.min(axis=1))})
"""How the heads (N, H, T, T) of a layer become one map: the paper takes the mean."""


def attention_rollout(task: Task, heads: str = "mean", residual: float = 0.5, token: int = 0) -> Attribution:
    """Ã_L ... Ã_1 with Ã = residual · I + (1 - residual) · A, A the attention of a layer with its heads joined, rows summing to 1.

    heads     "mean" (the paper), "max" or "min" over heads; rows are scaled to 1 again
    residual  the weight of the skip connection, 0.5 in the paper
    token     whose row is the answer: 0 for a class token, -1 for the last token

    It reads the forward pass alone: neither the target nor the values of the network enter. Values: for an input (N, T, D) the row,
    as (N, T, 1); for others, "tokens" (N, T). ``extras["rollout"]`` is the whole matrix (N, T, T), ``extras["layers"]`` the names of the
    softmax nodes. Raises Inapplicable without attention, or where the layers differ in their number of tokens. Source:
    abnar2020. Same as: the authors' code and the ViT notebooks after it, which take residual=0.5; captum has none.
    """
    join = HEADS[chosen("heads", heads, HEADS)]
    if isinstance(residual, bool) or not isinstance(residual, (int, float)) or not 0 <= residual <= 1:
        raise InputError(f"residual={residual!r} must be a number from 0 to 1, the share of the skip connection")
    assert task.trace is not None
    maps = _attentions(task.trace)
    if not maps:
        raise Inapplicable("attention_rollout multiplies attention maps, and no softmax over (N, heads, T, T) that multiplies values is in "
                           "this graph; use a gradient or relevance method")
    sizes = {k: a.shape[-1] for k, a in maps.items()}
    if len(set(sizes.values())) > 1:
        raise Inapplicable(f"attention_rollout needs the same tokens in every layer, and they have {sizes}")
    count = next(iter(sizes.values()))
    at = whole("token", token, -count)
    if at >= count:
        raise InputError(f"token={token} is out of range: the layers have {count} tokens")
    rolled = None
    for a in maps.values():
        one = join(a if a.ndim == 4 else a[:, None])
        mixed = residual * np.eye(count, dtype=one.dtype) + (1 - residual) * one / one.sum(axis=-1, keepdims=True)
        rolled = mixed if rolled is None else mixed @ rolled
    assert rolled is not None
    row = rolled[:, at]
    fitting = [k for k in task.wrt if task.feeds[k].ndim == 3 and task.feeds[k].shape[1] == count]
    values = dict.fromkeys(fitting, row[:, :, None]) or {"tokens": row}
    return Attribution(values, task.result, "attention_rollout", task.graph, task.feeds, task.target,
                       {"heads": heads, "residual": residual, "token": token}, task.words,
                       extras={"rollout": rolled, "layers": tuple(maps)})


def _attentions(trace: Trace) -> dict[str, Array]:
    """The softmax maps over (N, [heads,] T, T) that are the first factor of a product, in order of evaluation."""
    products = {n.inputs[0] for n in trace.graph.nodes if isinstance(n.op, (MatMul, Einsum))}
    return {n.name: trace[n.name] for n in trace.graph.nodes
            if isinstance(n.op, Softmax) and n.name in products and trace[n.name].ndim in (3, 4)
            and trace[n.name].shape[-1] == trace[n.name].shape[-2]}
