"""How much rounding may change an attribution: the arithmetic, the nodes on the way, and how nearly their denominators cancel."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from xaicore.errors import XaicoreError
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.surrogate import HEAVY
from xaicore.methods.table import METHODS
from xaicore.numerics import Array, stabilize
from xaicore.oracle.tolerance import largest
from xaicore.rules.linear import Affine
from xaicore.rules.linear import same as unchanged
from xaicore.trace import Step, forward

UNITS = 16
"""Units in the last place that one node may lose. Over 90 drawn networks of two to five layers under eleven methods, float32 against
float64, the largest loss was 7.9 units by the formula below, and the median 0.04 to 0.6 (tests/oracle/test_condition.py measures it
again); a library that adds in another order than we do may lose as much on its side."""


@dataclass(frozen=True)
class Tolerance:
    """|ours - theirs| may be ``absolute`` at most; ``words`` say where that comes from.

    eps      unit of the coarser of the two arithmetics, ``dtype`` its name
    sum      Σ over the nodes on the way of max_j κ_j |R_j|,  κ_j = (Σ_i |x_i w_ij| + |b_j|) / |z_j + eps sign z_j|: a denominator that
             is what nearly cancelling terms leave is known to κ_j units, and so is what is divided by it
    worst    the largest κ_j of a neuron with relevance, at ``node``
    """

    absolute: float
    dtype: str
    eps: float
    sum: float = 0.0
    nodes: int = 0
    worst: float = 1.0
    node: str = ""
    given: bool = False

    @property
    def words(self) -> str:
        """The derivation in one line."""
        if self.given:
            return f"{self.absolute:.3g}, as given"
        if not self.eps:
            return "0: both sides are exact rationals"
        text = (f"{self.absolute:.3g} = {UNITS} units of {self.dtype} ({self.eps:.3g}) x {self.sum:.3g}, the sizes at "
                f"{counted(self.nodes, 'node')}")
        return text + (f"; condition number of the denominators up to {self.worst:.3g} at {self.node!r}" if self.node else "")


def counted(n: int, word: str) -> str:
    """ "1 node", "3 nodes"."""
    return f"{n:,} {word}{'' if n == 1 else 's'}"


def tolerance_of(a: Attribution, dtype: str) -> Tolerance:
    """What rounding in ``dtype`` ("float32", "float64", "exact"), or in the graph's own arithmetic if that is coarser, may amount to.

    For relevance it is the sum of ``Tolerance.sum`` over the backward pass; for other methods every node counts with the size of the
    result, and for methods that only evaluate f with the size of f.
    """
    names = [d for d in (dtype, a.graph.dtype) if d != "exact"]
    if not names:
        return Tolerance(0.0, "exact", 0.0)
    coarse = max(names, key=lambda d: float(np.finfo(d).eps))
    eps = float(np.finfo(coarse).eps)
    size = max([largest(v) for v in a.values.values()], default=0.0)
    if a.method in METHODS and METHODS[a.method].free:
        size = max(size, largest(a.output), *([largest(a.baseline_output)] if a.baseline_output is not None else []))
    losses = list(losses_of(a))
    if not losses:
        nodes, kappa = max(len(a.graph.nodes), 1), regression(a)
        return Tolerance(UNITS * eps * nodes * size * kappa, coarse, eps, nodes * size * kappa, nodes, kappa,
                         "the regression" if kappa > 1 else "")
    worst, node = max(((kappa, name) for name, kappa, _ in losses), key=lambda pair: pair[0])
    total = size + sum(loss for _, _, loss in losses)
    return Tolerance(UNITS * eps * total, coarse, eps, total, len(losses), worst, node if worst > 1 else "")


def regression(a: Attribution) -> float:
    """The condition number that weights of 10^6 beside weights of 1 give a least-squares fit: the root of their ratio."""
    return float(HEAVY) ** 0.5 if a.method == "kernel_shap" and a.settings.get("endpoints") == "weight" else 1.0


def losses_of(a: Attribution) -> Iterator[tuple[str, float, float]]:
    """(node, its largest κ_j, max_j κ_j |R_j|) for every node that a pass of relevance went through."""
    if a.ledger is None or not isinstance(a.layers, Layers) or not a.method.startswith(("lrp", "deep_taylor")):
        return
    graph = a.layers.graph
    try:
        trace = forward(graph, a.feeds)
    except XaicoreError:                                                # the pass went another way than through the whole graph
        return
    nodes = {n.name: n for n in graph.nodes}
    for entry in a.ledger:
        name = entry.node.name
        if name not in a.layers.kept or name not in nodes:
            continue
        r = np.abs(np.asarray(a.layers.kept[name], dtype=float))
        kappa = np.broadcast_to(denominators(trace.step(nodes[name]), a), r.shape)
        yield name, float(kappa[r > 0].max(initial=1.0)), float((kappa * r).max(initial=0.0))


def denominators(step: Step, a: Attribution) -> Array:
    """κ of every neuron of an affine node, 1 elsewhere and where a rule's denominator has terms of one sign."""
    one, op = np.ones((1,) * step.y.ndim), step.node.op
    if op.routes or op.elementwise or not op.affine(step.active) or op.weights(step.active) is None:
        return one
    affine = Affine(step)
    try:
        size = np.asarray(affine.apply(affine.actives(abs), abs), dtype=float)
        sum_ = np.asarray(affine.apply(None, unchanged), dtype=float)
    except (XaicoreError, FloatingPointError):
        return one
    y = np.asarray(step.y, dtype=float)
    bias = y - sum_ if affine.has_bias and a.settings.get("bias") != "ignore" else y * 0
    split = a.method in ("lrp.alpha_beta", "lrp.z_plus", "deep_taylor") and bool(op.weights(step.active))
    if split and a.settings.get("bias") != "whole":
        return one
    eps = float(a.settings.get("layer_eps" if split else "eps") or 0)
    top, z = ((size + sum_) / 2, (size + sum_) / 2 + bias) if split else (size, sum_ + bias)
    z = np.abs(stabilize(z, eps)) if eps else np.abs(z)
    return np.asarray(np.maximum(np.divide(top + np.abs(bias), z, out=np.ones_like(z), where=z > 0), 1))
