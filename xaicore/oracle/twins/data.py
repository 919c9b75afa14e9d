"""Twins of methods about data sets: TCAV, VoG, RATE, conditional independence, AttFind, the submodular pick.

Gradients are products of weight matrices with the silent rows struck out; everything else is the papers' sums, one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.oracle.twins import coalitions
from xaicore.oracle.twins.draws import Rng, odd, one, telling
from xaicore.oracle.twins.draws import mlp as perceptron
from xaicore.oracle.twins.twin import Problem, Twin

SQUARED = 1e-9
"""Least squares by another way: rounding times the square of a condition number of a few hundred."""


def layers(graph: Graph, x: Array) -> tuple[Array, Array, Array]:
    """(hidden values h of one sample, ∂f/∂h for each output (3, H), ∂f/∂x (3, F)) of x -> W2 relu(W1 x + b1) + b2."""
    w1, b1, w2 = (graph.params[k] for k in ("w1", "b1", "w2"))
    z = [sum(w * v for w, v in zip(row, x)) + b for row, b in zip(w1, b1)]
    h = np.array([max(v, 0.0) for v in z])
    firing = np.array([[w if v > 0 else 0.0 for w in row] for row, v in zip(w1, z)])
    return h, np.asarray(w2), np.asarray(w2 @ firing)


# ----- concepts and training ----------------------------------------------------------------------------------------


def _normal(a: Array, y: Array, ridge: float, kind: str) -> Array:
    """w of the hyperplane: the normal equations of (w, b), or Newton's steps on them, from 0."""
    z = np.column_stack([a, np.ones(len(a))])
    weight = np.diag([ridge] * a.shape[1] + [0.0])
    if kind == "ridge":
        return np.asarray(np.linalg.solve(z.T @ z / len(z) + weight, z.T @ y / len(z))[:-1])
    t = np.zeros(z.shape[1])
    for _ in range(60):
        p = 1 / (1 + np.exp(-(z @ t)))
        slope = z.T @ (p - (y > 0)) / len(z) + weight @ t
        t = t - np.linalg.solve((z * (p * (1 - p))[:, None]).T @ z / len(z) + weight, slope)
    return np.asarray(t[:-1])


def _tcav(problem: Problem) -> Mapping[str, Array]:
    own = problem.settings
    concept, sets = np.array([layers(problem.graph, x)[0] for x in own["concept"]]), own["random"]
    mean = np.zeros(concept.shape[1])
    for others in sets:
        other = np.array([layers(problem.graph, x)[0] for x in others])
        w = _normal(np.concatenate([concept, other]), np.array([1.0] * len(concept) + [-1.0] * len(other)), own["ridge"], own["classifier"])
        mean += w / sum(v * v for v in w) ** 0.5 / len(sets)
    return {own["layer"]: np.array([layers(problem.graph, x)[1][problem.target] * mean for x in problem.x])}


def _tcav_problem(rng: Rng, classifier: str) -> Problem:
    graph = perceptron(rng, 4)
    layer = graph.nodes[1].name
    settings = {"layer": layer, "concept": odd(rng, 7, 4), "random": [odd(rng, 6, 4), odd(rng, 5, 4)], "classifier": classifier,
                "ridge": 0.1, "test": 0}
    return Problem(graph, odd(rng, 3, 4), int(rng.integers(3)), settings)


def _vog(problem: Problem) -> Array:
    out = np.zeros(problem.x.shape)
    states = problem.settings["checkpoints"]
    for n, x in enumerate(problem.x):
        slopes = [layers(g, x)[2][problem.target] for g in states]
        for j in range(len(x)):
            mean = sum(s[j] for s in slopes) / len(slopes)
            out[n, j] = (sum((s[j] - mean) ** 2 for s in slopes) / len(slopes)) ** 0.5
    return out


def _vog_problem(rng: Rng) -> Problem:
    states = [perceptron(rng, 3) for _ in range(4)]
    return Problem(states[-1], odd(rng, 2, 3), int(rng.integers(3)), {"checkpoints": states})


# ----- variables ----------------------------------------------------------------------------------------------------


def _divergence(m0: Array, s0: Array, m1: Array, s1: Array) -> float:
    """KL(N(m0, s0) || N(m1, s1))."""
    d = m1 - m0
    ratio = np.linalg.det(s1) / np.linalg.det(s0)
    return float((np.trace(np.linalg.solve(s1, s0)) - len(d) + np.log(ratio) + d @ np.linalg.solve(s1, d)) / 2)


def _rate(problem: Problem) -> Array:
    """The divergence of the others' effects from what they are when β_j = 0, less what it is for μ = 0: blocks, no precision matrix."""
    graph, x = problem.graph, np.asarray(problem.x)
    prior, noise = problem.settings["prior"], problem.settings["noise"]
    h = np.array([[*layers(graph, v)[0], 1.0] for v in x])
    f = np.array([one(graph, problem.target)(v) for v in x])
    precision = sum(np.outer(row, row) / noise for row in h) + np.eye(h.shape[1]) / prior
    covariance = np.linalg.inv(precision)
    weights = covariance @ sum(row * v / noise for row, v in zip(h, f))
    ways = np.array([[np.cov(x[:, j], h[:, k])[0, 1] for k in range(h.shape[1])] for j in range(x.shape[1])])
    mu, sigma = ways @ weights, ways @ covariance @ ways.T
    kld = []
    for j in range(len(mu)):
        rest = [i for i in range(len(mu)) if i != j]
        column, block = sigma[rest, j] / sigma[j, j], sigma[np.ix_(rest, rest)]
        told = block - np.outer(column, column) * sigma[j, j]
        kld.append(_divergence(mu[rest], block, mu[rest] - column * mu[j], told) - _divergence(mu[rest], block, mu[rest], told))
    return np.array([np.array(kld) / sum(kld)] * len(x))


def _rate_problem(rng: Rng) -> Problem:
    while True:
        graph, x = perceptron(rng, 3), 2 * odd(rng, 9, 3)
        if np.mean([(layers(graph, v)[0] > 0).mean() for v in x]) > 0.4:  # enough units fire for effects of three variables
            return Problem(graph, x, int(rng.integers(3)), {"prior": float(rng.choice([0.5, 2])), "noise": 1.0})


def _psi(n: int) -> float:
    """ψ(n) up to Euler's constant, which cancels: 1 + 1/2 + ... + 1/(n-1)."""
    return sum(1 / k for k in range(1, n))


def _dependence(x: Sequence[float], f: Sequence[float], labels: Sequence[int], own: Mapping[str, Any]) -> float:
    """The statistic of one entry, by loops over pairs."""
    groups = [[i for i, c in enumerate(labels) if c == one_class] for one_class in sorted(set(labels))]
    if own["statistic"] == "cmi":
        total = 0.0
        for g in groups:
            for i in g:
                both = {j: max(abs(x[i] - x[j]), abs(f[i] - f[j])) for j in g if j != i}
                reach = sorted(both.values())[own["neighbours"] - 1]
                near, near_x, near_f = (sum(d <= reach for d in ds) for ds in (
                    both.values(), [abs(x[i] - x[j]) for j in both], [abs(f[i] - f[j]) for j in both]))
                total += _psi(near) - _psi(near_x) - _psi(near_f) + _psi(len(both))
        return total / len(x)
    if own["statistic"] == "distance":
        total = 0.0
        for g in groups:
            tables = []
            for v in (x, f):
                d = [[abs(v[i] - v[j]) for j in g] for i in g]
                rows, whole = [sum(r) / len(g) for r in d], sum(map(sum, d)) / len(g) ** 2
                tables.append([[d[i][j] - rows[i] - rows[j] + whole for j in range(len(g))] for i in range(len(g))])
            total += sum(a * b for r, s in zip(*tables) for a, b in zip(r, s)) / len(g)
        return total
    left = [[v[i] - sum(v[j] for j in g) / len(g) for g in groups for i in g] for v in (x, f)]
    products = [sum(a * b for a, b in zip(p, q)) for p, q in ((left[0], left[1]), (left[0], left[0]), (left[1], left[1]))]
    r = float(products[0] / (products[1] * products[2]) ** 0.5)
    return abs(r) if own["test"] == "permutation" else r


def _independence(problem: Problem) -> Array:
    x = np.asarray(problem.x)
    f = [one(problem.graph, problem.target)(v) for v in x]
    return np.array([[_dependence(x[:, j].tolist(), f, problem.settings["labels"], problem.settings) for j in range(x.shape[1])]] * len(x))


def _independence_problem(rng: Rng, **settings: Any) -> Problem:
    own = {"test": "permutation", "statistic": "correlation", "permutations": 3, "neighbours": 2, **settings}
    labels = [0, 1, 1, 0, 2, 2, 0, 1, 2, 2, 0, 1]
    return Problem(perceptron(rng, 3), odd(rng, 12, 3), int(rng.integers(3)), {"labels": labels, **own})


def _attfind(problem: Problem) -> Array:
    s, own, f = np.asarray(problem.x), problem.settings, one(problem.graph, problem.target)
    out = np.zeros(s.shape)
    for j in range(s.shape[1]):
        ways = []
        for end in (own.get("low", min(s[:, j])), own.get("high", max(s[:, j]))):
            moved = [[v if k != j else v + own["shift"] * (end - v) for k, v in enumerate(row)] for row in s]
            ways.append([f(m) - f(row) for m, row in zip(moved, s)])
        out[:, j] = max(ways, key=sum)
    return out


def _attfind_problem(rng: Rng, **settings: Any) -> Problem:
    return Problem(perceptron(rng, 4), odd(rng, 3, 4), int(rng.integers(3)), {"shift": float(rng.choice([0.5, 1])), **settings})


def _pick_problem(rng: Rng) -> Problem:
    found = coalitions.TWINS["lime"][0].problem(rng)
    return Problem(found.graph, found.x, found.target, {**found.settings, "kernel": "uniform", "top": 1})


def _told(kind: str) -> Callable[[Rng], Problem]:
    return lambda rng: telling(rng, lambda r: _tcav_problem(r, kind), _tcav)


TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    "tcav": (Twin("normal equations with the intercept as a column, slopes as products of matrices", _tcav, _told("ridge"), SQUARED),
             Twin("sixty Newton steps in all coordinates, slopes as products of matrices", _tcav, _told("logistic"),
                  1e-7)),                                               # a slope of 1e-8 is a minimum, and the ridge of 0.1 divides it
    "vog": (Twin("slopes as products of matrices, the deviation in two passes over them", _vog,
                 lambda rng: telling(rng, _vog_problem, _vog)),),
    "rate": (Twin("the divergence of two Gaussians, conditioned by blocks of the covariance", _rate, _rate_problem,
                  1e-7),),                                              # determinants and inverses of condition up to some 1e6
    "independence": (
        Twin("what is left of each class's mean, in a loop", _independence,
             lambda rng: _independence_problem(rng, test="partial_correlation")),
        Twin("the same, without its sign", _independence, _independence_problem),
        Twin("tables of distances within classes", _independence, lambda rng: _independence_problem(rng, statistic="distance")),
        Twin("counts of neighbours one by one, harmonic numbers for ψ", _independence,
             lambda rng: _independence_problem(rng, statistic="cmi"),
             1e-9)),                                                    # of the largest; a statistic is a mean of differences of four ψ
    "attfind": (Twin("one coordinate of one sample at a time", _attfind, lambda rng: telling(rng, _attfind_problem, _attfind)),
                Twin("the same, with ends of one's own", _attfind, lambda rng: _attfind_problem(rng, low=-2, high=2))),
    "lime.submodular_pick": (Twin("the map is that of LIME: all 32 coalitions and the normal equations", coalitions.TWINS["lime"][0].run,
                                  _pick_problem, SQUARED),),
})
