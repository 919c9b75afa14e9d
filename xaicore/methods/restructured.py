"""Relevance for regression: why is the prediction f(x) and not y_ref? The network is restructured, then any LRP rule set runs."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.graph.restructure import last_rectified, restructure
from xaicore.methods.attribution import Attribution
from xaicore.methods.contrast import Base, base_rules
from xaicore.methods.propagate import propagate
from xaicore.methods.task import Task
from xaicore.numerics import Array, is_exact, positive, scalar
from xaicore.rules import RULE_SETS
from xaicore.rules.gradient import gradient
from xaicore.trace import forward


def restructured(task: Task, reference: Any = 0, base: Base | None = None) -> Attribution:
    """R of the network restructured to f(x) - y_ref, so that Σ R = f(x) - y_ref where the rules of ``base`` conserve.

    reference  y_ref: a number, or one for each sample
    base       a relevance rule set, by default LRP-ε with bias="ignore"

    The reference activations are found by flooding, a_ref = max(0, a - t) with the t for which the network's last rectified layer
    gives y_ref; every unit of it becomes relu(z - a_ref) - relu(a_ref - z) + relu(-z) (W21). ``extras``: the level "t" (N,) and
    "reference_activations". Raises InputError where no level gives y_ref (weights of mixed sign), Inapplicable where no ReLU is
    followed by affine layers alone. Values in the shape of the inputs. Source: letzgus2022; flooding and the three units as in a
    re-implementation. No library has it.
    """
    assert task.trace is not None
    rules = RULE_SETS["lrp.epsilon"](bias="ignore") if base is None else base_rules(base)
    at = last_rectified(task.graph, task.value)
    a = task.trace[at]
    slope = task.pull(task.trace, gradient(), task.weights, only=[at]).values[at]
    wanted = _per_sample(reference, task)
    levels = [flood(v.reshape(-1), x.reshape(-1), f - y) for v, x, f, y in zip(slope, a, task.result, wanted)]
    for n, t in enumerate(levels):
        if t is None:
            raise InputError(f"sample {n}: no level of flooding gives reference={float(wanted[n]):.6g}; what the activations of {at!r} can "
                             f"reach ends before it. Choose a value nearer to f(x) = {float(task.result[n]):.6g}")
    level = np.array(levels, dtype=a.dtype)
    flooded = positive(a - level.reshape(-1, *(1,) * (a.ndim - 1)))
    graph, name = restructure(task.graph, task.value, a.ndim)
    feeds = {k: v for k, v in {**task.feeds, name: flooded}.items() if k in graph.inputs}
    inner = replace(task, graph=graph, feeds=feeds, trace=forward(graph, feeds, wrt=task.wrt))
    found = propagate(inner, rules, "lrp.restructured")
    return replace(found, output=task.result, baseline_output=wanted, feeds=task.feeds, graph=task.graph,
                   settings={**found.settings, "reference": reference, "base": rules.name},
                   extras={"t": level, "reference_activations": flooded})


def _per_sample(reference: Any, task: Task) -> Array:
    given = np.asarray(reference)
    if given.dtype.kind not in "fiuO" or given.shape not in ((), (task.size,)):
        raise InputError(f"reference={reference!r:.40} must be a number, or one for each of the {task.size} samples")
    like = task.result
    return np.array([scalar(v, like) for v in np.broadcast_to(given, (task.size,)).tolist()], dtype=like.dtype)


def flood(v: Array, a: Array, drop: Any) -> Any:
    """The level t nearest to 0 with Σ v_k (a_k - max(0, a_k - t)) = drop, for activations a >= 0; None where there is none.

    For t >= 0 the sum is Σ v_k min(a_k, t): linear between the activations in order. For t < 0 it is t Σ v. A drop that the highest
    level misses by the rounding of the sum alone is reached there.

    >>> float(flood(np.array([1.0, 2.0]), np.array([2.0, 1.0]), 2.0))
    0.6666666666666666
    """
    if drop == 0:
        return drop * 0
    total = v.sum()
    below = drop / total if total != 0 and drop / total < 0 else None
    rounding = 0 if is_exact(a) else 2 * (len(a) + 1) * np.finfo(a.dtype).eps  # of two sums of len(a) products, f's and this one
    reached, start, passed = drop * 0, drop * 0, drop * 0
    above = None
    for stop in sorted(set(a[a > 0].tolist())):
        rate = v[a >= stop].sum()
        gain = rate * (stop - start)
        if rate != 0 and 0 <= (drop - reached) / gain <= 1:
            above = start + (drop - reached) / rate
            break
        reached, start, passed = reached + gain, stop, passed + abs(gain)
    if above is None and start > 0 and abs(drop - reached) <= rounding * passed:
        above = start
    found = [t for t in (below, above) if t is not None]
    return min(found, key=abs) if found else None
