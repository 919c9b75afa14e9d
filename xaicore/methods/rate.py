"""RATE: how much each variable of a data set counts, in a network whose last layer has a posterior distribution instead of weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, ShapeError, UnknownName
from xaicore.graph.graph import Graph
from xaicore.graph.run import evaluate
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array, at_least
from xaicore.ops import Dense

PROJECTIONS = ("covariance", "linear")
ROUNDING = 1e-10
"""Directions whose variance is below this share of the largest count as none, as in the authors' code."""


@dataclass(frozen=True, eq=False)
class Rate:
    """kld (p,): what each variable tells about all others; everything else follows from it. mean (p,), covariance (p, p): of the effects.

    rate   kld / Σ kld, sums to 1
    delta  Σ rate ln(p rate): 0 where all variables count the same
    ess    100 / (1 + delta), in percent
    """

    kld: Array
    mean: Array
    covariance: Array

    @property
    def rate(self) -> Array:
        return np.asarray(self.kld / self.kld.sum())

    @property
    def delta(self) -> float:
        r = self.rate[self.rate > 0]
        return float((r * np.log(len(self.kld) * r)).sum())

    @property
    def ess(self) -> float:
        return 100 / (1 + self.delta)

    def __str__(self) -> str:
        order = np.argsort(-self.rate, kind="stable")[:8]
        shown = ", ".join(f"{j}: {self.rate[j]:.4f}" for j in order)
        return (f"RATE of {len(self.rate)} variables (1/p = {1 / len(self.rate):.4f}): {shown}; delta = {self.delta:.4f}, "
                f"ESS = {self.ess:.2f} %")


def rate(mean: Any, covariance: Any) -> Rate:
    """KLD_j = μ_j² α_j / 2 with α_j = λ_jᵀ Λ_-j⁻¹ λ_j, for effects β ~ N(μ, Σ), Λ = Σ⁻¹, λ_j its column j without j.

    mean (p,), covariance (p, p), symmetric with no negative eigenvalue. A singular one gets its generalised inverse.

    KLD_j is KL(p(β_-j) || p(β_-j | β_j = 0)) up to a term without μ (W52). Scaling β changes nothing; equal roles give equal shares.
    Raises Inapplicable where every KLD is 0: effects without correlation (a diagonal Σ, or 0) or without a mean tell nothing about each
    other, so that shares are not defined. Differs: the authors' Python package documents a covariance where the formula needs the
    precision Λ, and their R code takes |μ|, which is the same (N19). Source: crawford2019, ishhorowicz2019 (formula as in the
    authors' code).

    >>> rate([2, 1], [[1, 0.5], [0.5, 1]]).rate.round(9)
    array([0.8, 0.2])
    """
    mu, sigma = np.asarray(mean), np.asarray(covariance)
    if mu.ndim != 1 or sigma.shape != (mu.size, mu.size) or mu.size < 2:
        raise ShapeError(f"the mean has shape {mu.shape} and the covariance {sigma.shape}; (p,) and (p, p) are expected, p at least 2")
    mu, sigma = mu.astype(float), sigma.astype(float)
    if not np.isfinite(mu).all() or not np.isfinite(sigma).all():
        raise InputError("the mean or the covariance holds a number that is not finite")
    size = abs(sigma).max()
    if abs(sigma - sigma.T).max() > ROUNDING * size or np.linalg.eigvalsh(sigma)[0] < -ROUNDING * size:
        raise InputError("the covariance must be symmetric, without negative eigenvalues")
    precision = _inverse(sigma)
    kld = np.zeros(mu.size)
    for j in range(mu.size):
        rest = np.arange(mu.size) != j
        column = precision[rest, j]
        kld[j] = mu[j] ** 2 / 2 * (column @ _inverse(precision[np.ix_(rest, rest)]) @ column)
    if not kld.sum() > 0:
        raise Inapplicable("no effect tells anything about another one (a diagonal covariance, one of 0, or a mean of 0), so RATE, a share "
                           "of what they tell, is not defined; rank the means by their standard deviations instead")
    return Rate(kld, mu, sigma)


def _inverse(m: Array) -> Array:
    return np.asarray(np.linalg.pinv(m, rcond=ROUNDING, hermitian=True))


# ----- the last layer -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Posterior:
    """w ~ N(mean, covariance) of the last layer's weights and bias (h + 1,), the bias last; features (N, h + 1) end in a column of 1."""

    features: Array
    mean: Array
    covariance: Array


def last_layer(
    graph: Graph, x: Any, y: Any = None, target: Any = None, prior: float = 1.0, noise: float = 1.0, output: str = "logit",
) -> Posterior:
    """p(w | y) for y = H w + e, w ~ N(0, prior), e ~ N(0, noise): V = (HᵀH / noise + 1 / prior)⁻¹, M = V Hᵀ y / noise.

    x      samples (N, ...) with one row of features each;  y (N,): the response; None: what the network itself says (the explained value)
    prior  the variance of each weight and of the bias;  noise: the variance of the response around f

    The features are what enters the last Dense layer, which makes the explained value. The paper has a variational posterior for W
    where the response is not Gaussian; this is its closed form where it is. Inapplicable where no Dense layer makes the value.
    """
    return _posterior(_task(graph, x, target, output), y, prior, noise)


def _task(graph: Graph, x: Any, target: Any, output: str) -> Task:
    if isinstance(graph, Graph) and graph.dtype == "exact":
        raise ExactnessError("RATE takes logarithms and eigenvalues, which are not rational; use graph.astype('float64')")
    return make_task(graph, x, target, output)


def _posterior(task: Task, y: Any, prior: float, noise: float) -> Posterior:
    for name, variance in (("prior", prior), ("noise", noise)):
        if at_least(name, variance, 0) == 0:
            raise InputError(f"{name}=0 must be a positive variance")
    node = next((n for n in task.graph.nodes if n.name == task.value), None)
    if node is None or not isinstance(node.op, Dense):
        maker = "an input" if node is None else node.op
        raise Inapplicable(f"the posterior is of a last Dense layer, and {task.value!r} is made by {maker}; explain an output that a Dense "
                           f"layer makes")
    h = np.asarray(evaluate(task.graph, task.feeds, keep=[node.inputs[0]])[node.inputs[0]], dtype=float)
    if h.ndim != 2:
        raise Inapplicable(f"the last layer {node.name!r} reads {h.shape}; one row of features for each sample, (N, h), is expected")
    response = np.asarray(task.result if y is None else y, dtype=float)
    if response.shape != (len(h),) or not np.isfinite(response).all():
        raise ShapeError(f"y has shape {response.shape}; one finite number for each of {len(h)} samples is expected")
    h = np.column_stack([h, np.ones(len(h))])
    v = np.linalg.inv(h.T @ h / noise + np.eye(h.shape[1]) / prior)
    return Posterior(h, v @ h.T @ response / noise, (v + v.T) / 2)


def network_rate(
    graph: Graph, x: Any, y: Any = None, target: Any = None, projection: str = "covariance", prior: float = 1.0, noise: float = 1.0,
    output: str = "logit",
) -> Rate:
    """RATE of a network's inputs: f ~ N(H M, H V Hᵀ) from ``last_layer``, effects β = P f, so μ = P H M and Σ = P H V Hᵀ Pᵀ.

    projection  "covariance": β_j = cov(x_j, f) over the samples (the authors' default); "linear": β = X⁺ f, least squares

    One variable for each entry of the input, in row-major order; other settings as in ``last_layer``. Source: ishhorowicz2019, there
    with a diagonal V; the whole one is kept here.
    """
    return of_network(_task(graph, x, target, output), y, projection, prior, noise)


def of_network(task: Task, y: Any, projection: str, prior: float, noise: float) -> Rate:
    """``network_rate`` of a task; its variables are the entries of the explained inputs, one input after the other."""
    if projection not in PROJECTIONS:
        raise UnknownName(f"projection={projection!r} does not exist; there are " + ", ".join(map(repr, PROJECTIONS)))
    found = _posterior(task, y, prior, noise)
    data = np.concatenate([np.asarray(task.feeds[k], dtype=float).reshape(task.size, -1) for k in task.wrt], axis=1)
    if projection == "covariance":
        if task.size < 2:
            raise InputError("a covariance needs two samples at least; give the whole data set")
        p = (data - data.mean(axis=0)).T / (task.size - 1)
    else:
        p = np.linalg.pinv(data)
    ph = p @ found.features
    sigma = ph @ found.covariance @ ph.T
    return rate(ph @ found.mean, (sigma + sigma.T) / 2)
