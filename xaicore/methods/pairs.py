"""BiLRP: which pairs of features make two inputs similar. Second-order relevance as a sum of products of first-order ones."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.contrast import Base, base_rules
from xaicore.methods.propagate import propagate
from xaicore.methods.sweep import reference
from xaicore.methods.task import Task
from xaicore.numerics import Array, scalar
from xaicore.trace import forward


def bilrp(task: Task, other: Any = None, base: Base = "lrp.epsilon") -> Attribution:
    """R_ii' = Σ_k R_i[φ_k(x)] R_i'[φ_k(x')]: the similarity <φ(x), φ(x')> shared among pairs of features; here summed over i'.

    other  x': an input like x (a batch or one sample for all); None: x itself. For a graph with several inputs a mapping by name
    base   the relevance rule set of the K passes for each of the two

    φ is the explained output (N, K), all its entries unless a target chooses some. Values: Σ_i' R_ii', in the shape of x; ``extras``:
    "here" and "there", input -> (N, K, *S), from which ``joint`` makes the matrix of one sample, and "similarity" (N,), which is also the
    attribution's output. Where the base conserves, Σ R_ii' = <φ(x), φ(x')>. Costs 2 K backward passes. Raises ShapeError for an x' that
    does not fit, InputError for a base that carries no relevance. Source: eberle2020. No library has it.
    """
    assert task.trace is not None
    rules = base_rules(base)
    here = task.trace[task.value]
    if here.ndim != 2:
        raise Inapplicable(f"bilrp compares two vectors, and {task.value!r} has shape {here.shape}; explain an output (N, K)")
    feeds = dict(task.feeds) if other is None else {**task.feeds, **reference(task, other, "other")}
    across = replace(task, feeds=feeds, trace=forward(task.graph, feeds, wrt=task.wrt))
    assert across.trace is not None
    there = across.trace[task.value]
    given = isinstance(task.target, str)                                # words: no target was asked for
    weights = np.full(here.shape, scalar(1, here), dtype=here.dtype) if given else task.weights
    parts: tuple[list[dict[str, Array]], list[dict[str, Array]]] = ([], [])
    for k in range(here.shape[1]):
        one = np.zeros(here.shape, dtype=here.dtype) + scalar(0, here)
        one[:, k] = scalar(1, here)
        for one_task, found in zip((task, across), parts):
            value = here if one_task is task else there
            found.append(dict(propagate(replace(one_task, keep="inputs"), rules, "bilrp", seed=one * value).values))
    first, second = ({k: np.stack([p[k] for p in one], axis=1) for k in task.wrt} for one in parts)
    whole = sum((v.reshape(*v.shape[:2], -1).sum(axis=2) for v in second.values()), here * scalar(0, here)) * weights
    values = {k: (v * whole.reshape(*whole.shape, *(1,) * (v.ndim - 2))).sum(axis=1) for k, v in first.items()}
    similarity = (weights * here * there).sum(axis=1)
    return Attribution(values, similarity, "bilrp", task.graph, task.feeds, task.target, {"base": rules.name},
                       f"the similarity <{task.value}(x), {task.value}(x')>",
                       extras={"here": first, "there": second, "weights": weights, "similarity": similarity})


def joint(a: Attribution, sample: int = 0, name: str | None = None) -> Array:
    """The matrix R_ii' (D, D') of one sample of a bilrp attribution; features of input ``name`` in row-major order.

    Raises InputError for an attribution of another method, and where the matrix would have more than 2^26 entries.
    """
    if "here" not in a.extras:
        raise InputError(f"joint() reads what bilrp found, and this is an attribution of {a.method}")
    key = next(iter(a.values)) if name is None else name
    x, y = (a.extras[k][key][sample].reshape(a.extras[k][key].shape[1], -1) for k in ("here", "there"))
    if x.shape[1] * y.shape[1] > 2**26:
        raise InputError(f"the matrix of pairs would have {x.shape[1]} x {y.shape[1]} entries; sum extras['here'] and extras['there'] over "
                         f"regions first")
    return np.asarray(np.einsum("kd,k,ke->de", x, a.extras["weights"][sample], y))
