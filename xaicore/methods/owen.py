"""Owen values: Shapley values for players that form groups, groups of groups, and so on."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from itertools import combinations
from math import comb, log2
from typing import Any, TypeAlias

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import Game, channel_axis, game
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, scalar

Tree: TypeAlias = "int | tuple[Tree, ...]"
Contexts: TypeAlias = list[tuple[int, Fraction]]
"""Who is there already, as bits, and how often."""

MOST = 2**20
"""Terms that a hierarchy may have: Σ over players of Π over the groups around it of 2^(members - 1)."""


def owen(task: Task, hierarchy: Any = "halves", mask: Any = None, baseline: Any = 0, background: Any = None, spread: str = "share"
         ) -> Attribution:
    """φ_i = mean, over the orders in which every group comes in one piece, of what i adds to those before it.

    hierarchy  "halves": the players are halved by where they are, along the longer axis, down to single ones; "flat": one group,
               which gives the Shapley value; or nested tuples of the players' numbers, ((0, 1), (2, (3, 4))), numbered as in
               ``extras["labels"]``
    mask, baseline, background, spread    as for shapley.exact; an image has up to 64 players by default

    Values in the shape of the inputs, complete: the sum is f(x) - v(nobody). ``extras``: "players", "labels", "hierarchy" and
    "evaluations", how many coalitions that took: M² at most for halves, 2^M for flat; Inapplicable, with the number, beyond a
    million terms. Rational in exact mode. Source: owen1977 for two levels, winter1989 for any number. Same as: shap
    PartitionExplainer when its budget lasts, on the same tree (it stops early otherwise). InputError for a hierarchy that
    does not have every player exactly once.
    """
    g = game(task, mask, baseline, background)
    tree = halved(g) if hierarchy == "halves" else tuple(range(g.count)) if hierarchy == "flat" else _given(hierarchy, g.count)
    cost = _terms(tree)
    if cost > MOST:
        many = f"{cost:,.0f}" if cost < 10**15 else f"2^{log2(cost):,.0f} or more"
        raise Inapplicable(f"this hierarchy of {g.count} players has {many} terms, and shapley.owen takes up to {MOST:,}; the largest "
                           f"group decides (2^(members - 1) terms for each member), so divide it (hierarchy='halves' has {g.count**2:,} "
                           f"at most), or use shapley.sampling or kernel_shap")
    contexts = dict(_contexts(tree, [(0, Fraction(1))]))
    wanted = sorted({b for i, found in contexts.items() for before, _ in found for b in (before, before | 1 << i)})
    place = {b: k for k, b in enumerate(wanted)}
    v = g.scores(len(wanted), lambda k: np.array([[wanted[s] >> i & 1 for i in range(g.count)] for s in k], dtype=bool))
    phi = filled((task.size, g.count), 0, v)
    for i, found in contexts.items():
        before, after = ([place[b | bit] for b, _ in found] for bit in (0, 1 << i))
        phi[:, i] = ((v[:, after] - v[:, before]) * np.array([scalar(w, v) for _, w in found], dtype=v.dtype)).sum(axis=1)
    return g.attribution("shapley.owen", phi, spread, v[:, place[0]], {}, hierarchy=tree, evaluations=len(wanted) * g.backgrounds)


def _members(tree: Tree) -> int:
    """The players of a tree, as bits."""
    return 1 << tree if isinstance(tree, int) else sum(_members(child) for child in tree)


def _terms(tree: Tree) -> float:
    """The number of coalitions to which players are added, over all players; no more than 2^900."""
    if isinstance(tree, int):
        return 1
    return min(2.0 ** min(len(tree) - 1, 800) * sum(_terms(child) for child in tree), 2.0**900)


def _contexts(tree: Tree, around: Contexts) -> Iterator[tuple[int, Contexts]]:
    """For every player those coalitions: of each group around it, some of the other members, with Shapley's weights."""
    if isinstance(tree, int):
        yield tree, around
        return
    k = len(tree)
    for j, child in enumerate(tree):
        others = [_members(one) for i, one in enumerate(tree) if i != j]
        here = [(sum(some), Fraction(1, k * comb(k - 1, size))) for size in range(k) for some in combinations(others, size)]
        yield from _contexts(child, [(before | more, w * p) for before, w in around for more, p in here])


def _given(hierarchy: Any, players: int) -> Tree:
    if isinstance(hierarchy, str):
        chosen("hierarchy", hierarchy, ("flat", "halves"))

    def read(one: Any) -> Tree:
        if isinstance(one, (int, np.integer)) and not isinstance(one, bool):
            return int(one)
        if isinstance(one, (tuple, list)) and len(one):
            return tuple(read(child) for child in one)
        raise InputError(f"hierarchy holds {one!r:.60}; it is made of players' numbers and of (not empty) tuples of such")

    tree = read(hierarchy)
    leaves = sorted(_leaves(tree))
    if leaves != list(range(players)):
        raise InputError(f"hierarchy names the players {str(leaves)[:60]}, but each of the {players} players, 0 to {players - 1}, must be "
                         f"there once (extras['labels'] of another method on the same mask shows which is where)")
    return tree


def _leaves(tree: Tree) -> list[int]:
    return [tree] if isinstance(tree, int) else [i for child in tree for i in _leaves(child)]


def halved(g: Game) -> Tree:
    """The players halved by the middle of their entries, along the longer axis; those of different inputs apart first."""
    groups = []
    done: set[int] = set()
    for name, labels in g.labels.items():
        channel = channel_axis(g.task, name)
        axes = [k for k in range(labels.ndim) if k != channel]
        at = np.indices(labels.shape)[axes].reshape(len(axes), -1)
        count = np.bincount(labels.reshape(-1), minlength=g.count)
        middle = np.stack([np.bincount(labels.reshape(-1), weights=one, minlength=g.count) / np.maximum(count, 1) for one in at], axis=1)
        who = np.array([i for i in np.flatnonzero(count).tolist() if i not in done], dtype=int)
        done |= set(who.tolist())
        if len(who):
            groups.append(_halves(who, middle))
    return groups[0] if len(groups) == 1 else tuple(groups)


def _halves(who: Array, middle: Array) -> Tree:
    if len(who) == 1:
        return int(who[0])
    places = middle[who]
    axis = int(np.ptp(places, axis=0).argmax())
    order = who[np.argsort(places[:, axis], kind="stable")]
    half = len(order) // 2
    return _halves(order[:half], middle), _halves(order[half:], middle)
