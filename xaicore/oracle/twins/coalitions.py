"""Twins of the games between features: every coalition, every order, the draws repeated; KernelSHAP and LIME by normal equations."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from itertools import product
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.oracle.twins import games
from xaicore.oracle.twins.draws import Rng, each, mlp, odd, one
from xaicore.oracle.twins.games import Worth, worth
from xaicore.oracle.twins.plain_cnn import network
from xaicore.oracle.twins.twin import Problem, Twin

# ----- players --------------------------------------------------------------------------------------------------------


def _features(rng: Rng, players: int, **own: Any) -> Problem:
    """A dense network whose entries are the players; the baseline has even multiples, so that no entry equals it."""
    return Problem(mlp(rng, players), odd(rng, 2, players), int(rng.integers(3)), {"baseline": odd(rng, players) + 1 / 256, **own})


def _segments(rng: Rng, players: int, **own: Any) -> Problem:
    """A convolutional network, the players being groups of entries."""
    mask = rng.permutation(np.arange(72) % players).reshape(2, 6, 6)
    return Problem(network(rng), odd(rng, 2, 2, 6, 6), int(rng.integers(3)), {"mask": mask, "baseline": odd(rng, 2, 6, 6), **own})


def _played(problem: Problem, value: Callable[[Worth, int], Sequence[Any]]) -> Array:
    """The value of every player in each of its entries, a share of it."""
    own = problem.settings
    f = one(problem.graph, problem.target)

    def answer(x: Array) -> Array:
        labels = own["mask"] if "mask" in own else np.arange(x.size).reshape(x.shape)
        phi = value(worth(f, x, own["baseline"], labels), int(labels.max()) + 1)
        out = np.zeros(x.shape)
        for i, v in enumerate(phi):
            out[labels == i] = v / (labels == i).sum()
        return out

    return each(problem, answer)


def _backgrounds(problem: Problem) -> Array:
    """Linearity in the game: the mean of the values of one baseline after the other."""
    sets = np.asarray(problem.settings["background"])
    each_one = [_played(replace(problem, settings={"baseline": b}), games.shapley_by_orders) for b in sets]
    return np.asarray(sum(each_one) / len(sets))


def _sampled(problem: Problem) -> Array:
    """The orders drawn again; each is walked forwards and, if asked, backwards."""
    own = problem.settings

    def value(v: Worth, players: int) -> list[float]:
        rng = np.random.default_rng(own["seed"])
        orders = [rng.permutation(players).tolist() for _ in range(own["samples"])]
        walks = [w for o in orders for w in ((o, o[::-1]) if own["antithetic"] else (o,))]
        out = [0.0] * players
        for walk in walks:
            for k, i in enumerate(walk):
                out[i] += (v(frozenset(walk[: k + 1])) - v(frozenset(walk[:k]))) / len(walks)
        return out

    return _played(problem, value)


def halves(players: Sequence[int]) -> games.Tree:
    """A row of players cut in the middle, and again."""
    if len(players) == 1:
        return players[0]
    return halves(players[: len(players) // 2]), halves(players[len(players) // 2:])


TREES: tuple[games.Tree, ...] = (((0, 1), 2, (3, 4)), ((0, (1, 2)), 3, 4), (((0, 4), (2, 3)), 1), (0, 1, 2, 3, 4))


def _owen(problem: Problem) -> Array:
    def value(v: Worth, players: int) -> list[Any]:
        found = games.owen_by_orders(v, problem.settings.get("hierarchy", halves(range(players))))
        return [found[i] for i in range(players)]

    return _played(problem, value)


def _interaction(problem: Problem) -> Array:
    own = problem.settings

    def value(v: Worth, players: int) -> list[Any]:
        phi = games.shapley_by_orders(v, players)
        pairs = [[games.shapley_interaction(v, players, i, j) if i != j else 0 for j in range(players)] for i in range(players)]
        mine = [phi[i] - sum(pairs[i]) / 2 for i in range(players)]
        k = own["partner"]
        if k is None:
            return mine
        return [mine[i] if i == k else pairs[i][k] / (2 if own["variant"] == "shap" else 1) for i in range(players)]

    return _played(problem, value)


# ----- regressions ------------------------------------------------------------------------------------------------------


def _drawn_kernel_shap(problem: Problem) -> Array:
    """Coalitions drawn again, all with the same weight; the sum of φ is held by a multiplier."""
    own = problem.settings

    def value(v: Worth, players: int) -> list[float]:
        rng, sizes = np.random.default_rng(own["seed"]), list(range(1, players))
        chance = np.array([1 / (k * (players - k)) for k in sizes])
        rows = [rng.permutation(players) < s for s in rng.choice(sizes, size=own["samples"], p=chance / chance.sum())]
        z = np.array(rows, dtype=float)
        y = np.array([v(frozenset(np.flatnonzero(row).tolist())) - v(frozenset()) for row in rows])
        system = np.ones((players + 1, players + 1))
        system[:-1, :-1], system[-1, -1] = z.T @ z, 0
        right = np.append(z.T @ y, v(frozenset(range(players))) - v(frozenset()))
        return np.linalg.solve(system, right)[:-1].tolist()             # type: ignore[no-any-return]

    return _played(problem, value)


def normal_equations(z: Array, y: Array, w: Array, ridge: float) -> Array:
    """β of the weighted ridge regression with an intercept, which is not penalised."""
    rows = np.concatenate([z, np.ones((len(z), 1))], axis=1)
    penalty = ridge * np.diag([1.0] * z.shape[1] + [0.0])
    return np.asarray(np.linalg.solve(rows.T @ (w[:, None] * rows) + penalty, rows.T @ (w * y))[:-1])


def coordinate_descent(z: Array, y: Array, w: Array, penalty: float, turns: int = 5000) -> Array:
    """β of the lasso: each weight in turn is set to its soft threshold."""
    w = w / w.sum()
    z, y = z - w @ z, y - w @ y
    beta = np.zeros(z.shape[1])
    for _ in range(turns):
        before = beta.copy()
        for j in range(len(beta)):
            rho = w @ (z[:, j] * (y - z @ beta + z[:, j] * beta[j]))
            beta[j] = np.sign(rho) * max(abs(rho) - penalty, 0) / (w @ z[:, j] ** 2)
        if np.abs(beta - before).max() < 1e-15:
            break
    return beta


def few(z: Array, y: Array, w: Array, count: int, how: str) -> list[int]:
    """The columns of the largest weights of a ridge of 0.01, or those that least squares takes one after the other."""
    if how == "highest":
        return sorted(range(z.shape[1]), key=lambda j: -abs(normal_equations(z, y, w, 0.01)[j]))[:count]
    found: list[int] = []
    while len(found) < count:
        left = {}
        for j in set(range(z.shape[1])) - set(found):
            columns = z[:, [*found, j]]
            residual = y - columns @ normal_equations(columns, y, w, 0)
            left[j] = float(w @ (residual - w @ residual / w.sum()) ** 2)
        found.append(min(left, key=left.__getitem__))
    return found


def similarity(distance: str, kernel: str, width: float, point: Array, centre: Array) -> float:
    """π of one sample, by the paper's kernel or the library's."""
    if distance.endswith("cosine"):
        d = 1 - (float(point @ centre) / math.sqrt(float(point @ point) * float(centre @ centre)) if point.any() else 0)
    else:
        d = math.sqrt(sum((p - c) ** 2 for p, c in zip(point.tolist(), centre.tolist())))
    return {"paper": math.exp(-d * d / width**2), "library": math.sqrt(math.exp(-d * d / width**2)), "uniform": 1.0}[kernel]


def _drawn(draw: str, players: int, samples: int, seed: int) -> list[list[int]]:
    """The simple form of each sample, all of them for draw="all"."""
    if draw == "all":
        return [list(row) for row in product((1, 0), repeat=players)]
    rng, out = np.random.default_rng(seed), [[1] * players]
    while len(out) < samples:
        if draw == "bernoulli":
            out.append([int(r < 0.5) for r in rng.random(players)])
        else:
            rank, size = rng.permutation(players), rng.integers(0, players + 1)
            out.append([int(r < size) for r in rank])
    return out


def _lime(problem: Problem) -> Array:
    own = problem.settings

    def answer(x: Array) -> Array:
        labels, x0 = own["mask"], own["baseline"]
        v = worth(one(problem.graph, problem.target), x, x0, labels)
        players = int(labels.max()) + 1
        z = _drawn(own["draw"], players, own.get("samples", 0), own.get("seed", 0))
        y = np.array([v(frozenset(i for i in range(players) if row[i])) for row in z])
        points = [np.array(row, dtype=float) for row in z]
        if own["distance"].startswith("input"):
            points = [np.where(np.array(row)[labels] == 1, x, x0).reshape(-1) for row in z]
        w = np.array([similarity(own["distance"], own["kernel"], own["width"], p, points[0]) for p in points])
        rows, beta = np.array(z, dtype=float), np.zeros(players)
        keep = few(rows, y, w, own["features"], own["selection"]) if "features" in own else list(range(players))
        if own.get("lasso"):
            beta = coordinate_descent(rows, y, w, own["lasso"])
        else:
            beta[keep] = normal_equations(rows[:, keep], y, w, own.get("ridge", 0))
        return np.asarray(beta[labels])

    return each(problem, answer)


def _lime_problem(rng: Rng, **own: Any) -> Problem:
    chosen = {"distance": str(rng.choice(["cosine", "euclidean", "input_cosine", "input_euclidean"])), "width": float(rng.uniform(0.7, 2)),
              "kernel": str(rng.choice(["paper", "library", "uniform"])), "samples": 40, "seed": int(rng.integers(99)), **own}
    if chosen["distance"] == "input_euclidean":
        chosen["width"] *= 5                                            # 72 entries, at distances up to about 7
    return _segments(rng, 5, **chosen)


def _table(problem: Problem) -> Array:
    """Tables: entries drawn again from a normal distribution or from the column; z' in deviations, or whether the quarter is x's."""
    own = problem.settings
    data, samples = np.asarray(own["background"], dtype=float), own["samples"]
    f = one(problem.graph, problem.target)

    def answer(x: Array) -> Array:
        rng = np.random.default_rng(own["seed"])
        columns = [sorted(c) for c in data.T.tolist()]
        if own["representation"] == "numbers":
            drawn = rng.normal(size=(samples, x.size)) * data.std(axis=0) + data.mean(axis=0)
        else:
            which = rng.integers(0, len(data), (samples, x.size))
            drawn = np.array([[data[which[s, i], i] for i in range(x.size)] for s in range(samples)])
        drawn[0] = x
        if own["representation"] == "numbers":
            z = (drawn - data.mean(axis=0)) / data.std(axis=0)
        else:
            cuts = [[quantile(c, q) for q in (0.25, 0.5, 0.75)] for c in columns]
            quarter = [[sum(v > cut for cut in cuts[i]) for i, v in enumerate(row)] for row in drawn.tolist()]
            z = np.array([[float(quarter[s][i] == quarter[0][i]) for i in range(x.size)] for s in range(samples)])
        w = np.array([similarity("euclidean", "library", own["width"], row, z[0]) for row in z])
        return normal_equations(z, np.array([f(row) for row in drawn]), w, own["ridge"])

    return each(problem, answer)


def quantile(values: Sequence[float], q: float) -> float:
    """Between the two sorted values around q (K - 1)."""
    at = q * (len(values) - 1)
    low = math.floor(at)
    high = min(low + 1, len(values) - 1)
    return values[low] + (at - low) * (values[high] - values[low])


def _tables(rng: Rng) -> Problem:
    own = {"representation": str(rng.choice(["numbers", "quartiles"])), "background": odd(rng, 11, 4), "samples": 60,
           "seed": int(rng.integers(99)), "ridge": 1, "kernel": "library", "distance": "euclidean", "width": 1.5}
    return Problem(mlp(rng, 4), odd(rng, 2, 4), 1, own)


def _seeded(rng: Rng) -> dict[str, Any]:
    return {"samples": 3, "antithetic": bool(rng.integers(2)), "seed": int(rng.integers(99))}


# Normal equations square the condition of the fit: weights from 1 down to exp(-8) and 40 rows for 6 columns, 1e7 at most, times 1e-16.
SQUARED = 1e-8

TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    "shapley.exact": (
        Twin("the mean over all 120 orders of what a player adds", lambda p: _played(p, games.shapley_by_orders),
             lambda rng: _features(rng, 5)),
        Twin("the mean over all orders of games whose absent features come from one of three samples after the other", _backgrounds,
             lambda rng: Problem(mlp(rng, 4), odd(rng, 2, 4), 1, {"background": odd(rng, 3, 4)})),
        Twin("the integral of the derivatives of the multilinear extension, with groups of pixels as players",
             lambda p: _played(p, games.shapley_by_integral), lambda rng: _segments(rng, 6))),
    "shapley.sampling": (
        Twin("the orders drawn again by rng.permutation(M), walked one step after the other", _sampled,
             lambda rng: _features(rng, 5, **_seeded(rng))),
        Twin("the same on groups of pixels", _sampled, lambda rng: _segments(rng, 6, **_seeded(rng)))),
    "shapley.owen": (
        Twin("the mean over all orders that keep groups together, for trees of several depths", _owen,
             lambda rng: _features(rng, 5, hierarchy=TREES[rng.integers(len(TREES))])),
        Twin("the same for the tree of halves, made again by cutting a row of players in the middle", _owen,
             lambda rng: _features(rng, 6))),
    "shapley.interaction": tuple(
        Twin(f"Grabisch and Roubens's sum over sets without the pair, the mean over all orders, with partner={who}, variant={variant!r}",
             _interaction, partial(_features, players=5, partner=who, variant=variant))
        for who, variant in ((None, "index"), (0, "index"), (3, "shap"))),
    "kernel_shap": (
        Twin("theorem 2 with a Lagrange multiplier for the sum, all coalitions",
             lambda p: _played(p, lambda v, m: games.kernel_shap_literal(v, m).tolist()), lambda rng: _segments(rng, 6), SQUARED),
        Twin("the coalitions drawn again (rng.choice of a size, then rng.permutation), normal equations with a multiplier",
             _drawn_kernel_shap, lambda rng: _features(rng, 5, draw="drawn", samples=25, seed=int(rng.integers(99))), SQUARED)),
    "lime": (
        *(Twin(f"all 32 coalitions, the weights and the normal equations written out, with distance={distance!r}", _lime,
               partial(_lime_problem, draw="all", distance=distance, ridge=ridge), SQUARED)
          for distance, ridge in (("cosine", 0), ("euclidean", 1), ("input_cosine", 1), ("input_euclidean", 0))),
        Twin("the coalitions drawn again, one sample after the other", _lime,
             lambda rng: _lime_problem(rng, draw=str(rng.choice(["sizes", "bernoulli"])), ridge=1), SQUARED),
        *(Twin(f"the same with {words}", _lime,
               partial(_lime_problem, draw="all", distance="euclidean", features=2, selection=how), SQUARED)
          for how, words in (("forward", "features taken one by one"), ("highest", "the two largest weights of a ridge"))),
        Twin("the lasso by coordinate descent", _lime, lambda rng: _lime_problem(rng, draw="all", lasso=0.003),
             1e-7),                                                     # the descent stops at steps of 1e-15 and goes on linearly
        Twin("tables: the draws repeated, quarters by counting, the normal equations written out", _table, _tables, SQUARED)),
})
