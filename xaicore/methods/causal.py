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
ARROWS = ("none", "time")
MOST_DEGREE = 6
MOST = 10**7
"""Evaluations of f beyond which a call is refused before it starts."""


def ace(task: Task, baseline: Any = 0, background: Any = None, order: int | str = 2, steps: int = 10, quadrature: str = "gauss_legendre",
        low: Any = None, high: Any = None, ddof: int = 0, degree: int | str | None = None, arrows: str = "none") -> Attribution:
    """ACE_i = E[f | do(x_i = its value)] - mean over α of E[f | do(x_i = α)], the other inputs following their distribution.

    background  samples (B, ...) that say how the inputs are distributed; without them they are fixed at ``baseline``
    order       of the expectation. 1: f(μ) with μ_i = α; 2: + ½ Σ_jk ∂²f/∂x_j∂x_k(μ) Cov(x_j, x_k) over the j, k other than i;
                "mc": the mean of f over the background with x_i = α
    steps, quadrature  how α is averaged over the interval from low to high; the authors' own is "inclusive_mean" with 1000
    low, high   of the intervention: a number, or one for each entry. Default: the range that the graph records for its input, else
                that of the background
    degree      of a causal regressor, a polynomial in α that stands for E[f | do(x_i = α)], fitted at the ``steps`` nodes, by least
                squares; "evidence": the degree up to 6, and the weights, by Bayesian model evidence, as in the paper. None: the network
                itself is asked at x_i, too. A fitted regressor answers for any x without a pass: ``extras["regressor"]``
    arrows      between the inputs. "none": they have common causes alone; "time": axis 1 is time, x_i acts on what comes later as far as
                a regression of it on everything up to x_i's time says, so that do(x_i = α) moves it; needs a background
    ddof        0: covariances of the background as a distribution, so that order 2 of a quadratic f is order "mc"; 1: the estimate
                by B - 1 that the authors' code takes

    Values in the shape of the inputs. ``extras``: "points" by input (F, steps), the α, and "curve" by input (N, F, steps), the
    expectations there, entries in row-major order; with ``degree`` "regressor" by input (N, F, degree + 1), coefficients of Legendre
    polynomials in (2 α - low - high) / (high - low), and "degree" by input (N, F). At a layer (layer=) the background is taken there, and
    gives the interval. Costs F (steps + 1) points: one forward pass each, for order 2 also min(B, F)
    passes forward and back for the second derivatives, for "mc" B forward passes; Inapplicable, with the number, beyond ten million. Where
    f is piecewise linear its second derivatives are 0 almost everywhere and taken as that, so that order 2 is order 1; the
    curvature of the paper's classifiers is that of their softmax (output="probability"). Rational in exact mode for a rational quadrature,
    without ``degree`` and "time". Source: chattopadhyay2019. No library has it beside the authors' code. Equals linear_shap for affine f
    and an interval that is symmetric about the mean.
    """
    if order not in ORDERS or isinstance(order, bool):
        raise InputError(f"order={order!r} does not exist; there are 1, 2 and 'mc'")
    steps, ddof = whole("steps", steps, 1), whole("ddof", ddof, 0)
    chosen("quadrature", quadrature, QUADRATURES)
    if task.weights.dtype == object and quadrature == "gauss_legendre":
        raise ExactnessError("the nodes of quadrature='gauss_legendre' are irrational; use quadrature='midpoint'")
    nodes, weights = QUADRATURES[quadrature](steps)
    if degree is not None and degree != "evidence":
        degree = whole("degree", degree, 0)
        if degree >= steps:
            raise InputError(f"degree={degree} has {degree + 1} coefficients, which {steps} points do not determine; give more steps")
    chosen("arrows", arrows, ARROWS)
    if task.weights.dtype == object and (degree is not None or arrows == "time"):
        raise ExactnessError("a fit by least squares is not done in rationals; leave degree and arrows='time' out, or use "
                             "graph.astype('float64')")
    others = _Others.of(task, baseline, background, ddof, arrows == "time")
    entries = sum(task.feeds[k][0].size for k in task.wrt)
    each = {1: 1, 2: 1 + 2 * others.directions, "mc": others.size}[order]
    cost = task.size * entries * (len(nodes) + 1) * each
    if cost > MOST:
        raise Inapplicable(f"{entries:,} entries at {len(nodes) + 1} values each take {cost:,} evaluations of f for this batch, and ace "
                           f"takes up to {MOST:,}; lower steps or the background, explain a layer or a smaller input, or use order=1")
    w = np.array([scalar(v, task.weights) for v in weights], dtype=task.weights.dtype)
    values, points, curves = {}, {}, {}
    fits: dict[str, Array] = {}
    degrees: dict[str, Array] = {}
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
        if degree is None:
            values[k] = (found[..., -1] - (found[..., :-1] * w).sum(axis=2)).reshape(x.shape)
        else:
            places = unit_interval(asked, lows.reshape(-1), highs.reshape(-1))
            fits[k], degrees[k] = regressors(places[..., :-1], found[..., :-1], degree)
            values[k] = predicted(fits[k], places[..., -1]).reshape(x.shape).astype(x.dtype) - fits[k][..., 0].reshape(x.shape)
        points[k], curves[k] = alphas, found[..., :-1]
    if task.progress is not None:
        task.progress(entries, entries)
    more = {} if degree is None else {"regressor": fits, "degree": degrees}
    return Attribution(values, task.result, "ace", task.graph, task.feeds, task.target, {}, task.words,
                       extras={"points": points, "curve": curves, **more})


# ----- causal regressors --------------------------------------------------------------------------------------------


def unit_interval(alphas: Array, low: Array, high: Array) -> Array:
    """α (N, F, K) from [low, high] to [-1, 1]; 0 where the interval is a point."""
    width = (high - low).astype(float)
    t = (2 * alphas - (low + high)[:, None]) / np.where(width == 0, 1, width)[:, None]
    return np.where(width[:, None] == 0, 0, t.astype(float))


def predicted(coefficients: Array, t: Array) -> Array:
    """Σ_d c_d P_d(t) with Legendre polynomials: (..., D + 1) and (...) -> (...). Its mean over [-1, 1] is c_0."""
    basis = np.polynomial.legendre.legvander(t, coefficients.shape[-1] - 1)
    return np.asarray((basis * coefficients).sum(axis=-1))


def regressors(t: Array, y: Array, degree: int | str) -> tuple[Array, Array]:
    """(coefficients (N, F, D + 1), degrees (N, F)) of polynomials for y (N, F, K) at t (N, F, K) in [-1, 1]."""
    n, f, k = y.shape
    most = min(MOST_DEGREE, k - 1) if isinstance(degree, str) else degree
    out, degrees = np.zeros((n, f, most + 1)), np.full((n, f), most)
    for at in np.ndindex(n, f):
        values = y[at].astype(float)
        if isinstance(degree, str):
            fits = [evidence(np.polynomial.legendre.legvander(t[at], d), values) for d in range(most + 1)]
            degrees[at] = max(range(most + 1), key=lambda d: fits[d][1])
            out[at][:degrees[at] + 1] = fits[degrees[at]][0]
        else:
            out[at] = np.linalg.lstsq(np.polynomial.legendre.legvander(t[at], most), values, rcond=None)[0]
    return out, degrees


def evidence(basis: Array, y: Array, rounds: int = 100) -> tuple[Array, float]:
    """(mean of the weights, ln p(y)) of y = Φ w + e, w ~ N(0, 1/a), e ~ N(0, 1/b), with a and b that maximise p(y), by re-estimation.

    γ = Σ λ / (a + λ), a = γ / |m|², b = (K - γ) / |y - Φ m|². Φ (K, M), y (K,), on the scale of y's largest entry; the noise is at least
    1e-6 of it, since a noise of 0 has no evidence. Source: MacKay 1992 (mackay1992; reconstruction).
    """
    scale = float(np.abs(y).max()) or 1.0
    z, (k, m) = y / scale, basis.shape
    own, gram = np.linalg.eigvalsh(basis.T @ basis), basis.T @ basis
    a, b = 1.0, 1.0
    for _ in range(rounds):
        mean = np.linalg.solve(a * np.eye(m) + b * gram, b * basis.T @ z)
        known = float((b * own / (a + b * own)).sum())
        rest = float(((z - basis @ mean) ** 2).sum())
        a, b = known / max(float(mean @ mean), 1e-12), min(max(k - known, 1e-3) / max(rest, 1e-300), 1e12)
        a = min(max(a, 1e-12), 1e12)
    precision = a * np.eye(m) + b * gram
    mean = np.linalg.solve(precision, b * basis.T @ z)
    fit = b / 2 * float(((z - basis @ mean) ** 2).sum()) + a / 2 * float(mean @ mean)
    log = (m * np.log(a) + k * np.log(b / (2 * np.pi)) - np.linalg.slogdet(precision)[1]) / 2 - fit
    return mean * scale, float(log)


@dataclass(frozen=True, eq=False)
class _Others:
    """The distribution of the inputs: samples of it, their mean, and directions u_r with Cov = Σ u_r u_rᵀ."""

    task: Task
    samples: Mapping[str, Array]
    mean: Mapping[str, Array]
    ways: Mapping[str, Array]
    ddof: int = 0
    time: bool = False

    @classmethod
    def of(cls, task: Task, baseline: Any, background: Any, ddof: int, time: bool = False) -> _Others:
        if time and background is None:
            raise InputError("arrows='time' learns from a background how the past acts on the future; give background=")
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
        return cls(task, samples, mean, parts, ddof, time)

    @property
    def size(self) -> int:
        return len(next(iter(self.samples.values())))

    @property
    def directions(self) -> int:
        return len(next(iter(self.ways.values())))

    def expectation(self, name: str, i: int, alphas: Array, order: int | str) -> Array:
        """E[f | do(entry i of input ``name`` = α)] for α (N, A), (N, A)."""
        n, a = alphas.shape
        effect = self._effect(name, i)
        rows = np.repeat(np.arange(n), a)
        if order == "mc":
            b = self.size
            f = self._at({k: np.tile(v, (n * a, *(1,) * (v.ndim - 1))) for k, v in self.samples.items()}, np.repeat(rows, b), name, i,
                         np.repeat(alphas.reshape(-1), b), effect)
            return np.asarray(f.reshape(n, a, b).sum(axis=2) / scalar(b, f))
        centre = {k: np.repeat(v, n * a, axis=0) for k, v in self.mean.items()}
        first = self._at(centre, rows, name, i, alphas.reshape(-1), effect).reshape(n, a)
        if order == 1 or not self.directions:
            return first
        return np.asarray(first + self._curvature(name, i, alphas, effect) / scalar(2, first))

    def _effect(self, name: str, i: int) -> Array | None:
        """How much each entry of the input (F,) moves with entry i: of later times, its coefficient among everything up to its time."""
        x = self.samples[name]
        if not self.time or x.ndim < 2:
            return None
        flat, size = (x - self.mean[name]).reshape(len(x), -1), int(np.prod(x.shape[2:]))
        now = (i // size + 1) * size
        out = np.zeros(flat.shape[1], dtype=x.dtype)
        out[now:] = np.linalg.lstsq(flat[:, :now], flat[:, now:], rcond=None)[0][i]
        return out

    def _at(self, points: dict[str, Array], rows: Array, name: str, i: int, alphas: Array, effect: Array | None) -> Array:
        _moved(points[name].reshape(len(rows), -1), i, alphas, effect)
        return quiet(self.task).at(points, rows)

    def _curvature(self, name: str, i: int, alphas: Array, effect: Array | None) -> Array:
        """Σ_r u_rᵀ H u_r at μ with entry i = α and u_r without entry i, and without what comes of it."""
        n, a = alphas.shape
        r = self.directions
        ways = {k: v.copy() for k, v in self.ways.items()}
        _moved(ways[name].reshape(r, -1), i, np.repeat(scalar(0, alphas), r), effect)
        out = []
        for at in range(0, n * a * r, max(1, self.task.batch_size)):
            cell, way = np.divmod(np.arange(at, min(at + max(1, self.task.batch_size), n * a * r)), r)
            points = {k: np.repeat(v, len(cell), axis=0) for k, v in self.mean.items()}
            _moved(points[name].reshape(len(cell), -1), i, alphas.reshape(-1)[cell], effect)
            out.append(hessian_product(self.task, points, cell // a, {k: v[way] for k, v in ways.items()})[1])
        total = np.concatenate(out).reshape(n, a, r).sum(axis=2)
        return np.asarray(total / scalar(self.size - self.ddof, total) if total.dtype == object else total)


def _moved(flat: Array, i: int, to: Array, effect: Array | None) -> None:
    """Entry i of rows (M, F) of one's own set to ``to``, and what it acts on moved along."""
    if effect is not None:
        flat += (to - flat[:, i])[:, None] * effect
    flat[:, i] = to


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
