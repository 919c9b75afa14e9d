"""Axioms as numbers: how far a map is from complete, from insensitive, from invariant. Verdicts with reasons: ``xaicore check``."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.passes import shift_first_bias
from xaicore.methods.sweep import whole
from xaicore.metrics.removal import of_players, players, present, starts
from xaicore.metrics.robustness import joined
from xaicore.metrics.subject import Score, Subject
from xaicore.numerics import Array


def completeness(s: Subject, baseline: Any = 0, relative: bool = True) -> Score:
    """|f(x) - f(x0) - Σ a|, relative: / |f(x) - f(x0)|. 0: the map adds up.

    baseline  x0; None: the difference is f(x) itself, as relevance rules conserve it

    NaN, relative, where f(x) = f(x0). Source: sundararajan2017. Differs: Quantus divides each map by its maximum by default, and
    asks for ==.
    """
    f = np.asarray(s.task.result, dtype=float)
    reached = f
    if baseline is not None:
        reached = f - np.asarray(s.task.at(starts(s.task, baseline), np.arange(s.size)), dtype=float)
    gap = np.abs(reached - joined(s.values, s).sum(axis=1))
    if relative:
        gap = np.where(reached != 0, gap / np.where(reached != 0, np.abs(reached), 1), np.nan)
    return Score(gap, {"reached": reached})


def non_sensitivity(s: Subject, eps: float = 1e-5, samples: int = 5, mask: Any = None, seed: int = 0) -> Score:
    """|Z Δ D|: the number of features of which the map says nothing (|a_i| <= eps) while f depends on them, or the other way around.

    f depends on feature i if f(x) moves by more than eps in one of ``samples`` draws of it, uniform over the sample's range (draws as in
    monotonicity.correlation; a sample without a range has none). What a feature is (``mask``): see faithfulness.estimate. extras:
    "silent" (N, M), "independent" (N, M). Source: nguyen2020. Differs: Quantus fills with the sample's minimum, so that its smallest
    entry never changes and counts as one that f does not depend on.
    """
    f = np.asarray(s.task.result, dtype=float)
    g = players(s, mask, 0)
    depends = np.zeros((s.size, g.count), dtype=bool)
    alone = ~np.eye(g.count, dtype=bool)
    for k in range(whole("samples", samples, 1)):
        g = players(s, mask, starts(s.task, "uniform", seed * 1_000_003 + k))
        moved = np.abs(present(g, g.count, lambda n, i: alone[i]) - f[:, None]) > eps
        depends |= moved
    silent = np.abs(of_players(s, g)) <= eps
    return Score((silent != ~depends).sum(axis=1).astype(float), {"silent": silent, "independent": ~depends})


def input_invariance(s: Subject, shift: Any = -1.0) -> Score:
    """max |e(g, x + m) - e(f, x)| / max |e(f, x)|, where g reads x + m as f reads x: 0 for a map that does not mind a constant shift.

    shift  m: a number, one sample, or a mapping by input name

    The gradient has 0; gradient * input and integrated gradients with a baseline of zeros have not. NaN for a map of zeros.
    Source: kindermans2019. Same as: Quantus InputInvariance, which answers whether the maps are equal; there the model is to have a
    preprocessing that undoes the shift.
    """
    given = shift if isinstance(shift, dict) else dict.fromkeys(s.values, shift)
    by: dict[str, Array] = {}
    for k, m in given.items():
        if k not in s.values:
            raise InputError(f"shift names {k!r}, which is no explained input: {', '.join(s.values)}")
        x = s.task.feeds[k]
        if x.dtype.kind not in "fO":
            raise Inapplicable(f"input {k!r} holds {x.dtype}, which cannot be shifted")
        try:
            flat = np.array(np.broadcast_to(np.asarray(m, dtype=float), x.shape[1:]))
        except ValueError:
            raise InputError(f"shift of input {k!r} has shape {np.shape(m)}; a number or {x.shape[1:]} is expected") from None
        by[k] = np.vectorize(Fraction, otypes=[object])(flat) if x.dtype == object else flat.astype(x.dtype)
    there = s.again({k: s.task.feeds[k] + m[None] for k, m in by.items()}, shift_first_bias(s.graph, by))
    a, b = joined(s.values, s), joined(there, s)
    top = np.abs(a).max(axis=1)
    return Score(np.where(top > 0, np.abs(a - b).max(axis=1) / np.where(top > 0, top, 1), np.nan))


__all__ = ["completeness", "input_invariance", "non_sensitivity"]
