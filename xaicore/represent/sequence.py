"""Timelines as in Understanding RL Vision, for any sequence of observations: attributions at a layer, reduced to a few channels.

The network may be a policy, a value function or any other; it is the sequence of samples that makes a timeline. Training a policy is
not here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.paths import integrated_gradients
from xaicore.methods.sweep import whole
from xaicore.methods.task import make_task
from xaicore.numerics import Array
from xaicore.represent.nmf import Groups


@dataclass(frozen=True, eq=False)
class Reduced:
    """Attributions at a layer in the terms of a few groups of channels.

    reduced   (T, *S, G), a channel for each group;  residual (T, *S), what they leave: Σ_G reduced + residual = Σ_C raw
    raw       (T, C, *S), the attribution of every unit
    output    (T,), the explained value;  start (T,), the value at zero activations, where it was computed
    """

    reduced: Array
    residual: Array
    raw: Array
    output: Array = field(default_factory=lambda: np.zeros(0))
    start: Array = field(default_factory=lambda: np.zeros(0))

    @property
    def gap(self) -> Array:
        """output - start - Σ raw: what the quadrature misses."""
        return np.asarray(self.output - self.start - self.raw.reshape(len(self.raw), -1).sum(axis=1))


def reduce_attribution(raw: Any, groups: Groups) -> tuple[Array, Array]:
    """t_g = (L_g(max(A, 0)) - L_g(max(-A, 0))) |d_g|_1 with loadings L by ``groups.transform``, and the residual Σ_c A_c - Σ_g t_g.

    raw (T, C, *S) -> (T, *S, G), (T, *S). Each reduced channel is thereby the sum over channels of what its direction stands for, and
    reduced plus residual is the sum over channels, exactly. Source: hilton2020, appendix and the authors' code.

    >>> g = Groups(np.zeros((1, 1)), np.array([[1.0, 1.0]]))
    >>> reduced, residual = reduce_attribution([[3.0, -1.0]], g)
    >>> reduced.round(9).tolist(), abs(residual.round(9)).tolist()      # 1.5 and 0.5 of the direction (1, 1), twice each
    ([[2.0]], [0.0])
    """
    a = np.moveaxis(np.asarray(raw, dtype=float), 1, -1)
    loadings = groups.transform(np.maximum(a, 0)) - groups.transform(np.maximum(-a, 0))
    reduced = loadings * np.abs(groups.directions).sum(axis=1)
    return reduced, np.asarray(a.sum(axis=-1) - reduced.sum(axis=-1))


def reduced_attributions(
    graph: Graph, observations: Any, layer: str, groups: Groups, target: Any = None, steps: int = 10, quadrature: str = "right",
    output: str = "logit", batch_size: int | None = None,
) -> Reduced:
    """Integrated gradients from zero activations to the layer's own, reduced to the groups.

    observations  (T, ...) the sequence, one step a sample
    target        what is explained: a value function has one output; of a policy choose a logit, or the action that was taken at each step
    steps         of the straight line in the layer's space, by ``quadrature`` (a name of paths.QUADRATURES); hilton2020 has 10, "right"

    Raises Inapplicable where the layer does not lie between the input and the target.
    """
    task, _ = make_task(graph, observations, target, output, batch_size).at_layer(layer)
    a = integrated_gradients(task, 0, steps, quadrature)
    (raw,) = a.values.values()
    reduced, residual = reduce_attribution(raw, groups)
    assert a.baseline_output is not None
    return Reduced(reduced, residual, raw, a.output, a.baseline_output)


# ----- along the time -------------------------------------------------------------------------------------------------


def advantages(rewards: Sequence[float], values: Sequence[float], discount: float = 0.99, decay: float = 0.95, last: float = 0.0) -> Array:
    """A_t = δ_t + γ λ A_{t+1}, δ_t = r_t + γ V_{t+1} - V_t: generalised advantages, (T,). γ = ``discount``, λ = ``decay``.

    ``last`` is the value behind the last step, 0 where the sequence ends. λ = 0 gives δ, λ = 1 the discounted return minus the value.
    Source: schulman2016.

    >>> advantages([0, 1], [0.5, 0.5], discount=0.9, decay=0.8).round(9).tolist()     # δ = (-0.05, 0.5); -0.05 + 0.72 * 0.5 = 0.31
    [0.31, 0.5]
    """
    r, v = np.asarray(rewards, dtype=float), np.asarray(values, dtype=float)
    if r.ndim != 1 or r.shape != v.shape or not len(r):
        raise ShapeError(f"rewards {r.shape} and values {v.shape}: one of each for every step is expected")
    for name, x in (("discount", discount), ("decay", decay)):
        if not 0 <= x <= 1:
            raise InputError(f"{name}={x!r} must lie between 0 and 1")
    delta = r + discount * np.append(v[1:], last) - v
    out, running = np.zeros(len(r)), 0.0
    for t in reversed(range(len(r))):
        running = delta[t] + discount * decay * running
        out[t] = running
    return out


@dataclass(frozen=True, eq=False)
class Timeline:
    """A sequence in numbers: values (T,), the attribution to each group (T, G), the residual (T,), advantages (T,) or None.

    bookmarks  the steps where the advantage (else the change of the value) is largest in either direction, the largest first
    """

    values: Array
    groups: Array
    residual: Array
    advantages: Array | None
    bookmarks: tuple[int, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain lists, for a page or a file."""
        more = {} if self.advantages is None else {"advantages": self.advantages.tolist()}
        return {"values": self.values.tolist(), "groups": self.groups.tolist(), "residual": self.residual.tolist(), **more,
                "bookmarks": list(self.bookmarks)}


def timeline(
    found: Reduced, rewards: Sequence[float] | None = None, discount: float = 0.99, decay: float = 0.95, bookmarks: int = 5,
) -> Timeline:
    """The reduced attributions summed over positions, step by step, with where it is worth looking."""
    count = whole("bookmarks", bookmarks, 0)
    if found.output.shape != (len(found.raw),):
        raise Inapplicable("a timeline needs the explained value at every step; make the reduced attributions with reduced_attributions")
    steps = len(found.raw)
    groups = found.reduced.reshape(steps, -1, found.reduced.shape[-1]).sum(axis=1)
    gained = None if rewards is None else advantages(rewards, found.output.tolist(), discount, decay)
    surprise = np.abs(np.diff(found.output, prepend=found.output[:1]) if gained is None else gained)
    order = tuple(int(k) for k in np.argsort(-surprise, kind="stable")[:count])
    return Timeline(np.asarray(found.output, dtype=float), groups, found.residual.reshape(steps, -1).sum(axis=1), gained, order)
