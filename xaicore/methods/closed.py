"""Shapley values with a closed form: of affine functions, and of maxima."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import pairwise
from math import factorial
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.graph.graph import Node
from xaicore.graph.run import evaluate
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import backgrounds
from xaicore.methods.sweep import quiet, reference
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, scalar
from xaicore.ops import Add, Div, Mul, Neg, Sub
from xaicore.rules.gradient import gradient
from xaicore.trace import activity, forward


def linear_shap(task: Task, baseline: Any = 0, background: Any = None) -> Attribution:
    """φ_i = w_i (x_i - mean of x_i over the background), for f(x) = w x + b.

    baseline    what x is compared with: a number, one sample, a batch, a mapping by input name
    background  a set of samples (B, ...) instead, of which only the mean matters

    Values in the shape of the inputs, complete. Inapplicable, naming the node, when f is not affine in the inputs. Rational in exact
    mode. Costs one forward and one backward pass. Source: lundberg2017, corollary 1 (independent features: the interventional
    expectation). Same as: shap LinearExplainer by default. Equals every Shapley value, IG and DeepLIFT of the same baseline.
    """
    flags = activity(task.graph, task.wrt)
    for node in task.graph.nodes:
        if any(flags[node.name]) and not node.op.affine(flags[node.name]):
            raise Inapplicable(f"linear_shap is the Shapley value of an affine f, and node {node.name!r} ({node.op}) is not affine in the "
                               f"inputs; use kernel_shap or shapley.sampling, or deep_shap, which is approximate")
    start = _start(task, baseline, background)
    rows = np.arange(task.size)
    w, _ = quiet(task).gradients({k: task.feeds[k] for k in task.wrt}, rows)
    parts = {k: w[k] * (task.feeds[k] - start[k]) for k in task.wrt}
    there = quiet(task).at(start, rows)
    return Attribution(parts, task.result, "linear_shap", task.graph, task.feeds, task.target, {}, task.words, start, there)


def max_shap(task: Task, baseline: Any = 0) -> Attribution:
    """φ of f = Σ_j c_j max_{i in J_j} h_i(x_i) + c: every maximum shared by what it takes from x and from the baseline.

    A maximum of values a_i (of x) and r_i (of the baseline, for who is absent) is taken apart by height. Between two neighbouring
    heights let A be those with a_i above and R those with r_i above. Where A and R have a player in common nothing is at stake;
    else each in A gets |R|! (|A|-1)! / (|A|+|R|)! of the distance, each in R loses (|R|-1)! |A|! / (|A|+|R|)!.

    Values in the shape of the inputs: the Shapley value itself with every entry a player, complete. Inapplicable, naming the node,
    when f is not: nodes that act on single entries, maxima of those (max-pooling too), affine nodes. Rational in exact mode.
    Costs two forward passes and one backward, and some hundred operations for each maximum. Source: lundberg2017, section 4.2, Max
    SHAP, there for one maximum and r = 0; the form for any r is derived here, and held by shapley.exact. No library has it.

    baseline    what stands where an entry is absent: a number, one sample, a batch, a mapping by input name
    """
    tops = _maxima(task)
    start = reference(task, baseline, "baseline")
    trace = forward(task.graph, task.feeds, wrt=task.wrt)
    weights = task.pull(trace, gradient(), task.weights, only=[node.name for node, _ in tops]).values
    sizes = [task.feeds[k][0].size for k in task.wrt]
    phi = filled((task.size, sum(sizes)), 0, task.weights)
    for node, places in tops:
        here, there = (_candidates(task, node, feeds) for feeds in (task.feeds, {**task.feeds, **start}))
        w = weights[node.name].reshape(task.size, -1)
        if (here.max(axis=-1) != trace[node.name].reshape(task.size, -1)).any():
            w = -w                                                      # a minimum, whose candidates are the negated entries
        for n, j in np.argwhere(w != 0):
            who = places[j]
            players = sorted({p for p in who if p >= 0})
            fixed = [here[n, j, k] for k, p in enumerate(who) if p < 0]
            a, r = ([max([v[n, j, k] for k, q in enumerate(who) if q == p]) for p in players] for v in (here, there))
            for p, share in zip(players, shares_of_a_maximum(a, r, fixed)):
                phi[n, p] += w[n, j] * share
    parts, at = {}, 0
    for k, size in zip(task.wrt, sizes):
        parts[k] = phi[:, at:at + size].reshape(task.feeds[k].shape)
        at += size
    return Attribution(parts, task.result, "max_shap", task.graph, task.feeds, task.target, {}, task.words, start,
                       quiet(task).at(start, np.arange(task.size)))


def shares_of_a_maximum(a: Sequence[Any], r: Sequence[Any], fixed: Sequence[Any] = ()) -> list[Any]:
    """Shapley values of v(S) = max(a_i for i in S, r_i for the others, fixed).

    >>> shares_of_a_maximum([5.0, 4.0, 0.0], [0.0, 0.0, 0.0])
    [3.0, 2.0, 0.0]
    """
    out = [v * 0 for v in a]
    heights = sorted({*a, *r, *fixed})
    for low, high in pairwise(heights):
        up, down = [i for i, v in enumerate(a) if v >= high], [i for i, v in enumerate(r) if v >= high]
        if set(up) & set(down) or any(v >= high for v in fixed):
            continue
        n, m = len(up), len(down)
        for who, share in ((up, Fraction(factorial(m) * factorial(max(n - 1, 0)), factorial(n + m))),
                           (down, -Fraction(factorial(max(m - 1, 0)) * factorial(n), factorial(n + m)))):
            for i in who:
                out[i] = out[i] + (high - low) * (share if isinstance(low, Fraction) else float(share))
    return out


# ----- what f is made of ------------------------------------------------------------------------------------------


def _start(task: Task, baseline: Any, background: Any) -> dict[str, Array]:
    if background is None:
        return reference(task, baseline, "baseline")
    sets = backgrounds(task, background, baseline)
    return {k: np.array(np.broadcast_to(v.sum(axis=0) / scalar(len(v), v), task.feeds[k].shape)) for k, v in sets.items()}


def _maxima(task: Task) -> list[tuple[Node, list[list[int]]]]:
    """Every node of maxima, with the entry (over all inputs, row by row) that each of its candidates is made of; -1: of none.

    Inapplicable where f has another form.
    """
    assert task.trace is not None
    flags, trace = activity(task.graph, task.wrt), task.trace
    marks: dict[str, Array] = {}                                        # of values whose entries depend on one entry each: which, from 1
    at = 1
    for k in task.wrt:
        marks[k] = np.arange(at, at + task.feeds[k][0].size, dtype=float).reshape(1, *task.feeds[k].shape[1:])
        at += task.feeds[k][0].size
    found = []
    for node in task.graph.nodes:
        on = [i for i, active in zip(node.inputs, flags[node.name]) if active]
        if not on:
            continue
        single = [i for i in on if i in marks]
        if len(single) == len(on):
            seen = tuple(marks[i] if i in on else _unmarked(task, i) for i in node.inputs)
            if node.op.routes:
                marks[node.name] = node.op.forward(*seen)
                continue
            same = all((marks[i].shape == marks[on[0]].shape and (marks[i] == marks[on[0]]).all()) for i in on)
            entrywise = node.op.elementwise or isinstance(node.op, (Add, Sub, Mul, Div, Neg))
            if same and entrywise and trace[node.name].shape == trace[on[0]].shape:
                marks[node.name] = marks[on[0]]
                continue
            candidates = node.op.candidates(*seen)
            if candidates is None:
                raise _other(node, "stands before the maximum and mixes entries")
            rows = abs(np.asarray(candidates)).reshape(-1, candidates.shape[-1])
            found.append((node, [[int(v) - 1 for v in row] for row in rows]))
        elif single or not node.op.affine(flags[node.name]):
            raise _other(node, "reads an input beside the maximum" if single else "stands behind the maximum and is not affine")
    if not found:
        raise Inapplicable("max_shap is the Shapley value of a maximum, and there is none between the input and the explained value; use "
                           "linear_shap where f is affine, else shapley.exact, kernel_shap or shapley.sampling")
    return found


def _other(node: Node, what: str) -> Inapplicable:
    return Inapplicable(f"max_shap is the Shapley value of a maximum of single entries, and node {node.name!r} ({node.op}) {what}; use "
                        f"shapley.exact (up to 16 players), kernel_shap or shapley.sampling")


def _unmarked(task: Task, name: str) -> Array:
    """Zeros in the shape of a value that no explained entry reaches, for one sample."""
    assert task.trace is not None
    x = task.trace[name]
    return np.zeros(x.shape if name in task.graph.params else (1, *x.shape[1:]))


def _candidates(task: Task, top: Node, feeds: Mapping[str, Array]) -> Array:
    """The candidates of every maximum (N, J, C)."""
    values = {**feeds, **evaluate(task.graph, feeds, keep=[*task.graph.params, *top.inputs])}
    found = top.op.candidates(*(values[i] for i in top.inputs))
    assert found is not None
    return found.reshape(len(found), -1, found.shape[-1])
