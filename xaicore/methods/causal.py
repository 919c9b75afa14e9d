"""Average causal effects: what f becomes on average when one input is set to its value, whatever the others are."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.curvature import hessian_product
from xaicore.methods.games import backgrounds
from xaicore.methods.paths import QUADRATURES
from xaicore.methods.sweep import chosen, quiet, reference, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, scalar

ORDERS = (1, 2, "mc")
MOST = 10**7
"""Evaluations of f beyond which a call is refused before it starts."""


def ace(task: Task, baseline: Any = 0, background: Any = None, order: int | str = 2, steps: int = 10, quadrature: str = "gauss_legendre",
        low: Any = None, high: Any = None, ddof: int = 0) -> Attribution:
    """ACE_i = E[f | do(x_i = its value)] - mean over α of E[f | do(x_i = α)], the other inputs following their distribution.

    background  samples (B, ...) that say how the inputs are distributed; without them they are fixed at ``baseline``
    order       of the expectation. 1: f(μ) with μ_i = α; 2: + ½ Σ_jk ∂²f/∂x_j∂x_k(μ) Cov(x_j, x_k) over the j, k other than i;
                "mc": the mean of f over the background with x_i = α
    steps, quadrature  how α is averaged over the interval from low to high; the authors' own is "inclusive_mean" with 1000
    low, high   of the intervention: a number, or one for each entry. Default: the range that the graph records for its input, else
                that of the background
    ddof        0: covariances of the background as a distribution, so that order 2 of a quadratic f is order "mc"; 1: the estimate
                by B - 1 that the authors' code takes

    Values in the shape of the inputs. ``extras``: "points" by input (F, steps), the α, and "curve" by input (N, F, steps), the
    expectations there, entries in row-major order. Costs F (steps + 1) points: one forward pass each, for order 2 also min(B, F)
    passes forward and back for the second derivatives, for "mc" B forward passes; Inapplicable, with the number, beyond ten million. Where
    f is piecewise linear its second derivatives are 0 almost everywhere and taken as that, so that order 2 is order 1; the
    curvature of the paper's classifiers is that of their softmax (output="probability"). Inputs are taken as causes without
    arrows between them; sequences, whose past acts on their future, are not covered. Rational in exact mode for a rational
    quadrature. Source: chattopadhyay2019. No library has it beside the authors' code. Equals linear_shap for affine f and an interval
    that is symmetric about the mean.
    """
    if order not in ORDERS or isinstance(order, bool):
        raise InputError(f"order={order!r} does not exist; there are 1, 2 and 'mc'")
    steps, ddof = whole("steps", steps, 1), whole("ddof", ddof, 0)
    chosen("quadrature", quadrature, QUADRATURES)
    if task.weights.dtype == object and quadrature == "gauss_legendre":
        raise ExactnessError("the nodes of quadrature='gauss_legendre' are irrational; use quadrature='midpoint'")
    nodes, weights = QUADRATURES[quadrature](steps)
    others = _Others.of(task, baseline, background, ddof)
    entries = sum(task.feeds[k][0].size for k in task.wrt)
    each = {1: 1, 2: 1 + 2 * others.directions, "mc": others.size}[order]
    cost = task.size * entries * (len(nodes) + 1) * each
    if cost > MOST:
        raise Inapplicable(f"{entries:,} entries at {len(nodes) + 1} values each take {cost:,} evaluations of f for this batch, and ace "
                           f"takes up to {MOST:,}; lower steps or the background, explain a layer or a smaller input, or use order=1")
    w = np.array([scalar(v, task.weights) for v in weights], dtype=task.weights.dtype)
    values, points, curves = {}, {}, {}
    done = 0
    for k in task.wrt:
        x = task.feeds[k]
        lows, highs = _range(task, k, low, high, background, others)
        t = np.array([scalar(v, x) for v in nodes], dtype=x.dtype)
        alphas = lows.reshape(-1, 1) + (highs - lows).reshape(-1, 1) * t[None]                        # (F, K)
        here = np.repeat(alphas[None], task.size, axis=0)                                              # (N, F, K)
        asked = np.concatenate([here, x.reshape(task.size, -1, 1)], axis=2)
        found = filled(asked.shape, 0, task.weights)
        for i in range(asked.shape[1]):
            if task.progress is not None:
                task.progress(done, entries)
            found[:, i] = others.expectation(k, i, asked[:, i], order)
            done += 1
        values[k] = (found[..., -1] - (found[..., :-1] * w).sum(axis=2)).reshape(x.shape)
        points[k], curves[k] = alphas, found[..., :-1]
    if task.progress is not None:
        task.progress(entries, entries)
    return Attribution(values, task.result, "ace", task.graph, task.feeds, task.target, {}, task.words,
                       extras={"points": points, "curve": curves})


@dataclass(frozen=True, eq=False)
class _Others:
    """The distribution of the inputs: samples of it, their mean, and directions u_r with Cov = Σ u_r u_rᵀ."""

    task: Task
    samples: Mapping[str, Array]
    mean: Mapping[str, Array]
    ways: Mapping[str, Array]
    ddof: int = 0

    @classmethod
    def of(cls, task: Task, baseline: Any, background: Any, ddof: int) -> _Others:
        if background is None:
            start = reference(task, baseline, "baseline")
            if any((v != v[:1]).any() for v in start.values()):
                raise InputError("ace compares with one distribution for all samples; give one baseline, or a background")
            one = {k: v[:1] for k, v in start.items()}
            return cls(task, one, one, {k: v[:0] for k, v in one.items()})
        sets = backgrounds(task, background, baseline)
        if any(v.shape[1] > 1 for v in sets.values()):
            raise InputError("ace compares with one distribution for all samples; give one background (B, ...)")
        samples = {k: v[:, 0] for k, v in sets.items()}
        size = len(next(iter(samples.values())))
        if size <= ddof:
            raise InputError(f"the background has {size} samples, and ddof={ddof} needs more; give more samples, or ddof=0")
        mean = {k: v.sum(axis=0, keepdims=True) / scalar(size, v) for k, v in samples.items()}
        away = np.concatenate([(samples[k] - mean[k]).reshape(size, -1) for k in task.wrt], axis=1)
        ways = away                                                     # of rationals: divided by B - ddof where they are used
        if away.dtype != object:
            ways = away / np.sqrt(size - ddof)
            if size > away.shape[1]:
                ways = np.asarray(np.linalg.qr(ways, mode="r"))         # RᵀR is the same covariance, in fewer directions
        split = np.cumsum([task.feeds[k][0].size for k in task.wrt])[:-1]
        parts = {k: v.reshape(len(v), *task.feeds[k].shape[1:]) for k, v in zip(task.wrt, np.split(ways, split, axis=1))}
        return cls(task, samples, mean, parts, ddof)

    @property
    def size(self) -> int:
        return len(next(iter(self.samples.values())))

    @property
    def directions(self) -> int:
        return len(next(iter(self.ways.values())))

    def expectation(self, name: str, i: int, alphas: Array, order: int | str) -> Array:
        """E[f | do(entry i of input ``name`` = α)] for α (N, A), (N, A)."""
        n, a = alphas.shape
        rows = np.repeat(np.arange(n), a)
        if order == "mc":
            b = self.size
            f = self._at({k: np.tile(v, (n * a, *(1,) * (v.ndim - 1))) for k, v in self.samples.items()}, np.repeat(rows, b), name, i,
                         np.repeat(alphas.reshape(-1), b))
            return np.asarray(f.reshape(n, a, b).sum(axis=2) / scalar(b, f))
        centre = {k: np.repeat(v, n * a, axis=0) for k, v in self.mean.items()}
        first = self._at(centre, rows, name, i, alphas.reshape(-1)).reshape(n, a)
        if order == 1 or not self.directions:
            return first
        return np.asarray(first + self._curvature(name, i, alphas) / scalar(2, first))

    def _at(self, points: dict[str, Array], rows: Array, name: str, i: int, alphas: Array) -> Array:
        points[name].reshape(len(rows), -1)[:, i] = alphas
        return quiet(self.task).at(points, rows)

    def _curvature(self, name: str, i: int, alphas: Array) -> Array:
        """Σ_r u_rᵀ H u_r at μ with entry i = α and u_r without entry i."""
        n, a = alphas.shape
        r = self.directions
        ways = {k: v.copy() for k, v in self.ways.items()}
        ways[name].reshape(r, -1)[:, i] = scalar(0, alphas)
        out = []
        for at in range(0, n * a * r, max(1, self.task.batch_size)):
            cell, way = np.divmod(np.arange(at, min(at + max(1, self.task.batch_size), n * a * r)), r)
            points = {k: np.repeat(v, len(cell), axis=0) for k, v in self.mean.items()}
            points[name].reshape(len(cell), -1)[:, i] = alphas.reshape(-1)[cell]
            out.append(hessian_product(self.task, points, cell // a, {k: v[way] for k, v in ways.items()})[1])
        total = np.concatenate(out).reshape(n, a, r).sum(axis=2)
        return np.asarray(total / scalar(self.size - self.ddof, total) if total.dtype == object else total)


def _range(task: Task, name: str, low: Any, high: Any, background: Any, others: _Others) -> tuple[Array, Array]:
    """The ends of the interval of every entry, in the shape of a sample."""
    shape = task.feeds[name].shape[1:]
    out = []
    for setting, value, most in (("low", low, np.minimum), ("high", high, np.maximum)):
        if value is None and background is None:
            raise InputError("ace averages over an interval of values, and neither the graph nor a background says which; give low= "
                             "and high=, or background=")
        found = most.reduce(others.samples[name], axis=0) if value is None else reference(task, value, setting)[name][0]
        out.append(np.array(np.broadcast_to(found, shape)))
    if (out[0] > out[1]).any():
        raise InputError(f"low is above high for input {name!r}; exchange them")
    return out[0], out[1]
