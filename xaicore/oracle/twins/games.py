"""Second opinions on cooperative games: sums over all orders or all coalitions, the multilinear extension, the weighted regression."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations, product
from math import comb, factorial
from typing import Any

import numpy as np

from xaicore.numerics import Array

Worth = Callable[[frozenset[int]], Any]
"""v: what a set of players is worth."""


def worth(f: Callable[[Array], Any], x: Array, x0: Array, labels: Array) -> Worth:
    """v(S) = f(x where the players in S are, x0 elsewhere), for a function of one sample; remembered."""
    known: dict[frozenset[int], Any] = {}

    def v(who: frozenset[int]) -> Any:
        if who not in known:
            z = np.array(x0)
            for place in np.ndindex(x.shape):
                if int(labels[place]) in who:
                    z[place] = x[place]
            known[who] = f(z)
        return known[who]

    return v


def shapley_by_orders(v: Worth, players: int) -> list[Any]:
    """The mean, over all M! orders, of what each player adds to those before it."""
    out: list[Any] = [0] * players
    orders = list(permutations(range(players)))
    for order in orders:
        before: frozenset[int] = frozenset()
        for i in order:
            out[i] = out[i] + v(before | {i}) - v(before)
            before = before | {i}
    return [o / len(orders) for o in out]


def subsets(of: Sequence[int]) -> list[frozenset[int]]:
    """Every subset, the empty one first."""
    return [frozenset(s) for k in range(len(of) + 1) for s in combinations(of, k)]


def shapley_by_formula(v: Worth, players: int) -> list[Any]:
    """Shapley 1953: Σ |S|! (M - |S| - 1)! [v(S + i) - v(S)] / M!."""
    out = []
    for i in range(players):
        others = [k for k in range(players) if k != i]
        terms = [factorial(len(s)) * factorial(players - len(s) - 1) * (v(s | {i}) - v(s)) for s in subsets(others)]
        out.append(sum(terms) / factorial(players))
    return out


def banzhaf(v: Worth, players: int) -> list[Any]:
    """The mean, over all sets of the other players, of what each player adds."""
    out = []
    for i in range(players):
        every = subsets([k for k in range(players) if k != i])
        out.append(sum(v(s | {i}) - v(s) for s in every) / len(every))
    return out


def shapley_interaction(v: Worth, players: int, i: int, j: int) -> Any:
    """Grabisch and Roubens 1999: Σ |S|! (M - |S| - 2)! [v(S + i + j) - v(S + i) - v(S + j) + v(S)] / (M - 1)!."""
    total: Any = 0
    for s in subsets([k for k in range(players) if k not in (i, j)]):
        weight = factorial(len(s)) * factorial(players - len(s) - 2)
        total = total + weight * (v(s | {i, j}) - v(s | {i}) - v(s | {j}) + v(s))
    return total / factorial(players - 1)


def shapley_by_integral(v: Worth, players: int) -> list[float]:
    """Owen 1972: the integral over t of the derivatives, at (t, ..., t), of the multilinear extension of v.

    The derivative is a polynomial of degree M - 1 in t, so ceil(M / 2) Gauss-Legendre nodes are exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss((players + 1) // 2)
    out = [0.0] * players
    for node, weight in zip((nodes + 1) / 2, weights / 2):
        for i in range(players):
            for s in subsets([k for k in range(players) if k != i]):
                chance = node ** len(s) * (1 - node) ** (players - 1 - len(s))
                out[i] += float(weight * chance * (v(s | {i}) - v(s)))
    return out


Tree = Any
"""A player's number, or a sequence of trees: a group."""


def orders_of(tree: Tree) -> list[tuple[int, ...]]:
    """All orders in which the members of every group come one after the other."""
    if isinstance(tree, int):
        return [(tree,)]
    out = []
    for order in permutations(tree):
        for parts in product(*(orders_of(child) for child in order)):
            out.append(tuple(i for part in parts for i in part))
    return out


def owen_by_orders(v: Worth, tree: Tree) -> dict[int, Any]:
    """The mean, over all orders that keep groups together, of what each player adds to those before it."""
    orders = orders_of(tree)
    out: dict[int, Any] = dict.fromkeys(orders[0], 0)
    for order in orders:
        for k, i in enumerate(order):
            out[i] = out[i] + v(frozenset(order[: k + 1])) - v(frozenset(order[:k]))
    return {i: o / len(orders) for i, o in out.items()}


def kernel_shap_literal(v: Worth, players: int) -> Array:
    """Lundberg and Lee 2017, theorem 2: the weighted least squares with a multiplier for the condition on the sum."""
    rows, targets, weights = [], [], []
    for s in subsets(range(players)):
        if 0 < len(s) < players:
            rows.append([1.0 if k in s else 0.0 for k in range(players)])
            targets.append(float(v(s) - v(frozenset())))
            weights.append((players - 1) / (comb(players, len(s)) * len(s) * (players - len(s))))
    z, y, w = np.array(rows), np.array(targets), np.array(weights)
    system = np.ones((players + 1, players + 1))
    system[:-1, :-1], system[-1, -1] = 2 * z.T @ (w[:, None] * z), 0
    right = np.append(2 * z.T @ (w * y), float(v(frozenset(range(players))) - v(frozenset())))
    return np.asarray(np.linalg.solve(system, right)[:-1])
