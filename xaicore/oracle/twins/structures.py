"""Twins of methods whose answer is a structure: formulas by search, arguments by affine pieces, cuts and graphs by enumeration."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import combinations, product
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.methods.model_search import gcn
from xaicore.numerics import Array
from xaicore.ops import Dense, Flatten, Sigmoid
from xaicore.oracle.twins.data import layers
from xaicore.oracle.twins.draws import Rng, mlp, odd
from xaicore.oracle.twins.problems import on_perceptron
from xaicore.oracle.twins.problems import twins as exact_twins
from xaicore.oracle.twins.twin import Problem, Twin

Row = tuple[int, ...]
Term = Mapping[int, int]
"""Concept -> 1 where it must hold, 0 where it must not."""

# ----- formulas -----------------------------------------------------------------------------------------------------


def holds(term: Term, row: Row) -> bool:
    return all(row[j] == v for j, v in term.items())


def shortest(truth: Mapping[Row, bool]) -> list[list[Term]]:
    """All disjunctions of fewest terms, and among those of fewest literals, with this truth table: every set of implicants is tried."""
    rows = list(truth)
    implicants = [t for values in product((None, 0, 1), repeat=len(rows[0])) if (t := {j: v for j, v in enumerate(values) if v is not None})
                  is not None and all(truth[r] for r in rows if holds(t, r))]
    for size in range(len(implicants) + 1):
        covers: list[list[Term]] = [list(c) for c in combinations(implicants, size)
                                    if all(any(holds(t, r) for t in c) == truth[r] for r in rows)]
        if covers:
            least = min(sum(map(len, c)) for c in covers)
            return [c for c in covers if sum(map(len, c)) == least]
    raise AssertionError("a truth table always has the disjunction of its rows")


def said(problem: Problem, x: Array) -> bool:
    """Does the network put one sample in the class?"""
    y = problem.graph(np.asarray(x)[None])[0]
    return bool(y.argmax() == problem.target)


def table(problem: Problem) -> dict[Row, bool]:
    """The truth table of what the family's formula says, before it is made short."""
    x, family = np.asarray(problem.x), problem.settings.get("threshold", None)
    every = list(product((0, 1), repeat=x.shape[1]))
    if problem.graph.name == "sigmoids":
        return {row: _rounded(problem, row) for row in every}
    counts: dict[tuple[tuple[int, int], ...], int] = {}
    for v in x:
        if said(problem, v):
            w = abs(layers(problem.graph, v)[2][problem.target])
            keep = [j for j in range(len(v)) if family is None or w[j] >= family * max(w) > 0]
            term = tuple((j, int(v[j] > 0.5)) for j in keep)
            counts[term] = counts.get(term, 0) + 1
    kept: list[Term] = []
    for term in sorted(counts, key=lambda t: -counts[t])[:10]:
        longer = [*kept, dict(term)]
        right = [sum(any(holds(t, tuple(int(c > 0.5) for c in v)) for t in terms) == said(problem, v) for v in x)
                 for terms in (kept, longer)]
        kept = longer if right[1] > right[0] else kept
    return {row: any(holds(t, row) for t in kept) for row in every}


def _rounded(problem: Problem, row: Row) -> bool:
    values: list[float] = list(row)
    for k in range(2):
        w, b = problem.graph.params[f"w{k}"], problem.graph.params[f"c{k}"]
        values = [float(sum(a * v for a, v in zip(r, values)) + c > 0) for r, c in zip(w, b)]
    return bool(values[problem.target] == 1)


def _formula(problem: Problem) -> Array:
    (terms, *_) = shortest(table(problem))
    out = np.zeros(problem.x.shape)
    for n, v in enumerate(problem.x):
        for t in terms:
            if holds(t, tuple(int(c > 0.5) for c in v)):
                for j, value in t.items():
                    out[n, j] = 1 if value else -1
    return out


def _sigmoids(rng: Rng) -> Graph:
    """Two layers of three and two neurons that read two values each."""
    b = Builder("sigmoids")
    h = b.input("x", (None, 3))
    for k, rows in enumerate((3, 2)):
        w = 4 * odd(rng, rows, 3)
        for j in range(rows):
            w[j, j] = 0
        h = b.add(Sigmoid(), b.add(Dense(), h, b.param(f"w{k}", w), b.param(f"c{k}", odd(rng, rows))))
    return b.build(h)


def _concepts(rng: Rng, family: str) -> Problem:
    """A network whose shortest formula is the only one, and holds for some of twelve samples."""
    while True:
        graph = _sigmoids(rng) if family == "psi" else mlp(rng, 3)
        settings = {"threshold": 0.5} if family == "relu" else {}
        problem = Problem(graph, rng.integers(0, 257, (12, 3)) / 256, int(rng.integers(2)), settings)
        if len(shortest(table(problem))) == 1 and _formula(problem).any():
            return problem


# ----- arguments ----------------------------------------------------------------------------------------------------


def _strengths(problem: Problem) -> Array:
    """Without biases the strength of x_i is x_i times its coefficient in the affine piece."""
    out = []
    for x in problem.x:
        values, way = list(x), None
        for k in range(1, 4):
            w = problem.graph.params[f"w{k}"]
            rows = [sum(a * v for a, v in zip(row, values)) for row in w]
            silent = [k < 3 and z <= 0 for z in rows]
            step = np.array([[a * (not off) for a in row] for row, off in zip(w, silent)], dtype=object)
            way = step if way is None else step.dot(way)
            values = [z * (not off) for z, off in zip(rows, silent)]
        assert way is not None
        out.append(way[problem.target] * x)
    return np.array(out)


# ----- images -------------------------------------------------------------------------------------------------------


def _contrast(problem: Problem) -> Array:
    x = np.asarray(problem.x, dtype=float)
    out = np.zeros((len(x), 1, *x.shape[2:]))
    for n, c, i, j, k, m in np.ndindex(*x.shape, *x.shape[2:]):
        out[n, 0, i, j] += abs(x[n, c, i, j] - x[n, c, k, m])
    return out


def _image_problem(rng: Rng) -> Problem:
    """A linear function of images of two channels, 3 x 3."""
    b = Builder("linear")
    flat = b.add(Flatten(), b.input("x", (None, 2, 3, 3)))
    graph = b.build(b.add(Dense(), flat, b.param("w", odd(rng, 2, 18))))
    settings = {"components": 1, "smoothness": float(rng.choice([0.5, 2])), "inside": 0.8, "outside": 0.3, "largest": False}
    return Problem(graph, odd(rng, 2, 2, 3, 3), 1, settings)


def labellings(problem: Problem) -> Iterator[tuple[Array, float, float]]:
    """For each sample the cheapest of all 512 labellings, what it costs beyond the cheaper model of each pixel, and what the next does."""
    own = problem.settings
    w = problem.graph.params["w"][problem.target].reshape(2, 9)
    size = np.maximum(abs(w[0]), abs(w[1]))
    inside, outside = size >= np.quantile(size, own["inside"]), size <= np.quantile(size, own["outside"])
    for image in np.asarray(problem.x):
        colours = image.reshape(2, 9).T
        costs = []
        for of in (inside & ~outside, outside):
            mean, spread = colours[of].mean(axis=0), np.cov(colours[of].T, bias=True)
            spread = spread + (1e-3 * colours[of].var(axis=0).mean() + 1e-6) * np.eye(2)
            level = np.log(np.linalg.det(2 * np.pi * spread))
            costs.append([((c - mean) @ np.linalg.solve(spread, c - mean) + level) / 2 for c in colours])
        pairs = [(i, j) for i in range(9) for j in range(i + 1, 9) if (j == i + 1 and j % 3) or j == i + 3]
        apart = {p: ((colours[p[0]] - colours[p[1]]) ** 2).sum() for p in pairs}
        width = 2 * np.mean(list(apart.values()))
        found = []
        for bits in product((0, 1), repeat=9):
            if any(not b and i for b, i in zip(bits, inside & ~outside)) or any(b and o for b, o in zip(bits, outside)):
                continue
            links = sum(own["smoothness"] * np.exp(-apart[i, j] / width) for i, j in pairs if bits[i] != bits[j])
            found.append((sum(costs[0][k] if b else costs[1][k] for k, b in enumerate(bits)) + links, bits))
        found.sort()
        floor = sum(min(pair) for pair in zip(*costs))
        yield np.array(found[0][1], dtype=float).reshape(1, 3, 3), found[0][0] - floor, found[1][0] - floor if len(found) > 1 else np.inf


def _segmentation(problem: Problem) -> Array:
    return np.array([mask for mask, _, _ in labellings(problem)])


def _segmentation_problem(rng: Rng) -> Problem:
    """One in which the best labelling is clearly the best: costs are rounded to 1e-4, 21 of them."""
    while True:
        problem = _image_problem(rng)
        if all(second - best > 0.01 for _, best, second in labellings(problem)):
            return problem


# ----- graphs -------------------------------------------------------------------------------------------------------


def _typical(problem: Problem) -> Mapping[str, Array]:
    """Every graph by the paper's matrices, D^-1/2 (A + I) D^-1/2, in the order of nodes and edges."""
    g, own = problem.graph, problem.settings
    candidates: list[tuple[int, int, float, Array, Sequence[int]]] = []
    for n in range(1, own["nodes"] + 1):
        pairs = list(combinations(range(n), 2))
        for there in product((0, 1), repeat=len(pairs)):
            a = np.zeros((n, n))
            for (i, j), on in zip(pairs, there):
                a[i, j] = a[j, i] = on
            if not (np.linalg.matrix_power(a + np.eye(n), n) > 0).all():
                continue
            for types in product(range(len(own["types"])), repeat=n):
                root = np.diag((a + np.eye(n)).sum(axis=1) ** -0.5)
                h = np.maximum(root @ (a + np.eye(n)) @ root @ np.array([own["types"][t] for t in types]) @ g.params["w1"].T, 0)
                e = np.exp(g.params["head"] @ h.mean(axis=0))
                candidates.append((n, sum(there), e[problem.target] / e.sum(), a, types))
    candidates.sort(key=lambda c: c[:2])
    top = max(c[2] for c in candidates)
    *_, best, nodes = next(c for c in candidates if c[2] >= top - 1e-12)
    return {"adjacency": best[None], "features": np.array([[own["types"][t] for t in nodes]], dtype=float)}


def _typical_problem(rng: Rng) -> Problem:
    """One whose typical graph has an edge."""
    start: dict[str, Any] = {"adjacency": np.zeros((1, 1, 1)), "features": np.array([[[1.0, 0.0]]])}
    while True:
        graph = gcn([3 * odd(rng, 3, 2)], 3 * odd(rng, 2, 3))
        problem = Problem(graph, start, int(rng.integers(2)), {"types": [[1, 0], [0, 1]], "nodes": 3})
        if _typical(problem)["adjacency"].any():
            return problem


def _of_family(family: str) -> Callable[[Rng], Problem]:
    return lambda rng: _concepts(rng, family)


TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    **{f"len.{family}": (Twin(how, _formula, _of_family(family)),) for family, how in (
        ("relu", "conjunctions from products of matrices, the shortest of all disjunctions of implicants"),
        ("mu", "each sample's own row, the shortest of all disjunctions of implicants"),
        ("psi", "neuron by neuron on every row, the shortest of all disjunctions of implicants"))},
    "dax": exact_twins("inputs times the coefficients of the affine piece, a product of matrices", _strengths, on_perceptron(bias=False)),
    "segmentation": (Twin("all 512 labellings, one Gaussian for each model of colours", _segmentation, _segmentation_problem),),
    "global_contrast": (Twin("all pairs of pixels", _contrast, lambda rng: Problem(_image_problem(rng).graph, odd(rng, 2, 2, 3, 3))),),
    "xgnn": (Twin("every graph by itself, by the paper's matrices", _typical, _typical_problem),),
})
