"""Shapley values: of every coalition, of random orders, of a hierarchy of groups; and the interaction of two players."""

from __future__ import annotations

from fractions import Fraction
from math import comb
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import Coalitions, Game, few_enough, game
from xaicore.methods.sweep import chosen, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, scalar

MOST = 16
"""Players of the exact value: 65,536 coalitions."""


def exact(task: Task, mask: Any = None, baseline: Any = 0, background: Any = None, spread: str = "share") -> Attribution:
    """φ_i = Σ over S without i of |S|! (M-|S|-1)! / M! [v(S ∪ i) - v(S)]: the Shapley value from all 2^M coalitions.

    mask        who the M players are: an array of whole numbers in the shape of a sample (equal numbers are one player), a
                mapping by input name, "entries", "positions", or into how many parts each axis of space is cut. Default:
                every entry of (N, F), and of an image 3 x 3 parts
    baseline    what stands where a player is absent: a number, one sample, a batch, a mapping by input name
    background  a set of samples (B, ...) instead of a baseline: v is the mean over them (the interventional expectation)
    spread      a player's value in each of its entries: an equal "share", so that the map is complete, or "repeat", all of it

    Values in the shape of the inputs, whose sum is f(x) - v(nobody). ``extras``: "players" (N, M), "labels".
    Costs 2^M B forward passes for each sample; Inapplicable with the cost beyond 16 players. Raises ShapeError for a mask that
    does not fit. Rational in exact mode. Source: shapley1953; lundberg2017 for models. Differs: captum ShapleyValues walks all M!
    orders and repeats a player's value; which baseline, and whether one or a mean over many, is the caller's choice (there
    are many Shapley values, sundararajan2020).
    """
    g = game(task, mask, baseline, background, limit=9)
    v = every_value(g, "shapley.exact")
    phi = shapley_of(v, g.count)
    return g.attribution("shapley.exact", phi, spread, v[:, 0], evaluations=v.shape[1] * g.backgrounds)


def interaction(task: Task, mask: Any = None, baseline: Any = 0, background: Any = None, variant: str = "index", partner: int | None = None,
                spread: str = "share") -> Attribution:
    """I_ij = Σ over S without i, j of |S|! (M-|S|-2)! / (M-1)! [v(S ∪ ij) - v(S ∪ i) - v(S ∪ j) + v(S)], with all 2^M coalitions.

    variant     "index": I_ij itself; "shap": I_ij / 2, so that row i sums to φ_i. The diagonal is what interactions leave of
                the player's Shapley value, φ_i - Σ_j I_ij / 2, in both
    partner     the map shows the interactions of every player with this one, and its own diagonal entry there; None: the
                diagonal, main effects
    mask, baseline, background, spread    as for shapley.exact

    ``extras["interactions"]`` (N, M, M), symmetric. With partner=None the map sums to f(x) - v(nobody) - Σ_{i<j} I_ij. Cost and
    limit as for shapley.exact. Raises InputError for a partner that is no player. Source: grabisch1999 for the index; the halves
    on both sides of the diagonal are lundberg2020's (TreeSHAP), who call them SHAP interaction values. Same as: shap's
    interaction values of a tree for variant="shap"; shapiq for the index.
    """
    chosen("variant", variant, ("index", "shap"))
    g = game(task, mask, baseline, background, limit=9)
    if partner is not None and not 0 <= whole("partner", partner, 0) < g.count:
        raise InputError(f"partner={partner!r} is no player; there are {g.count}, numbered from 0 (extras['labels'] shows where each is)")
    v = every_value(g, "shapley.interaction")
    phi, pairs = shapley_of(v, g.count), interactions_of(v, g.count)
    own = phi - pairs.sum(axis=2) / scalar(2, v)
    if variant == "shap":
        pairs = pairs / scalar(2, v)
    pairs[:, range(g.count), range(g.count)] = own
    shown = own if partner is None else pairs[:, partner]
    return g.attribution("shapley.interaction", shown, spread, v[:, 0], interactions=pairs, shapley=phi)


def sampling(task: Task, samples: int = 25, antithetic: bool = True, mask: Any = None, baseline: Any = 0, background: Any = None,
             seed: int = 0, spread: str = "share") -> Attribution:
    """φ_i = mean over random orders of v(those before i, and i) - v(those before i).

    samples     orders that are drawn; with ``antithetic`` each is also walked backwards, which doubles the cost and is exact
                where no more than two players interact at a time
    seed        of the orders, the same for all samples of a batch
    mask, baseline, background, spread    as for shapley.exact, but an image has up to 64 players by default

    Values in the shape of the inputs: unbiased, and complete (every order telescopes to f(x) - v(nobody)).
    ``extras["standard_error"]`` (N, M): from the spread over the drawn orders (pairs count once); not for samples = 1. Costs
    samples (M + 1) B forward passes for each sample, twice that with antithetic, less where coalitions repeat. Raises
    InputError for samples < 1. Source: castro2009; mitchell2022 for the pairs. Same as: captum ShapleyValueSampling (25 orders,
    no pairs), shap PermutationExplainer (pairs, as many as 500 evaluations allow).
    Differs: DeepExplain walks from x down to the baseline (5 orders).
    """
    samples = whole("samples", samples, 1)
    g = game(task, mask, baseline, background)
    few_enough(g, samples * (1 + antithetic) * (g.count + 1), "shapley.sampling")
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(g.count) for _ in range(samples)])
    walks = orders if not antithetic else np.stack([orders, orders[:, ::-1]], axis=1).reshape(-1, g.count)
    v = g.values(walked(walks).reshape(-1, g.count)).reshape(task.size, len(walks), g.count + 1)
    steps = v[:, :, 1:] - v[:, :, :-1]
    gains = filled(steps.shape, 0, steps)
    np.put_along_axis(gains, np.broadcast_to(walks[None], steps.shape), steps, axis=2)
    if antithetic:
        gains = (gains[:, 0::2] + gains[:, 1::2]) / scalar(2, gains)
    phi = gains.sum(axis=1) / scalar(samples, gains)
    extras: dict[str, Any] = {"orders": orders}
    if samples > 1:
        spreads = np.asarray(gains - phi[:, None]).astype(float)
        extras["standard_error"] = np.sqrt((spreads**2).sum(axis=1) / (samples - 1) / samples)
    return g.attribution("shapley.sampling", phi, spread, v[:, 0, 0], **extras)


# ----- what the methods are made of -------------------------------------------------------------------------------


def every_coalition(players: int) -> Coalitions:
    """(2^M, M): coalition s has player i where bit i of s is 1."""
    return np.asarray((np.arange(2**players)[:, None] >> np.arange(players)[None]) % 2 == 1)


def every_value(g: Game, method: str) -> Array:
    """v of all coalitions, (N, 2^M), in the order of every_coalition; Inapplicable, with the cost, for too many players."""
    if g.count > MOST:
        readable = f" = {2**g.count:,}" if g.count < 64 else ""
        raise Inapplicable(
            f"{g.count} players have 2^{g.count}{readable} coalitions, each {_times(g.backgrounds)} for every sample; {method} "
            f"takes up to {MOST} players ({2**MOST:,} coalitions). Make them fewer (mask=3 cuts space into 3 parts along each axis; an "
            f"array of whole numbers groups as you like), or use shapley.sampling or kernel_shap, whose cost is chosen with samples")
    shifts = np.arange(g.count)
    return g.scores(2**g.count, lambda k: (k[:, None] >> shifts[None]) % 2 == 1)


def _times(evaluations: int) -> str:
    return "one evaluation" if evaluations == 1 else f"{evaluations:,} evaluations"


def shapley_of(v: Array, players: int) -> Array:
    """The Shapley values (N, M) of games given by all their values (N, 2^M)."""
    bits, sizes = _bits(players)
    weight = [scalar(Fraction(1, players * comb(players - 1, s)), v) for s in range(players)]
    out = []
    for i in range(players):
        without = np.flatnonzero(~bits[:, i])
        gains = v[:, without | (1 << i)] - v[:, without]
        out.append((gains * np.array([weight[s] for s in sizes[without]], dtype=v.dtype)).sum(axis=1))
    return np.stack(out, axis=1)


def interactions_of(v: Array, players: int) -> Array:
    """The Shapley interaction index (N, M, M) of games given by all their values; 0 on the diagonal."""
    bits, sizes = _bits(players)
    out = filled((len(v), players, players), 0, v)
    weight = [scalar(Fraction(1, (players - 1) * comb(players - 2, s)), v) for s in range(players - 1)]
    for i in range(players):
        for j in range(i):
            s = np.flatnonzero(~bits[:, i] & ~bits[:, j])
            gains = v[:, s | (1 << i) | (1 << j)] - v[:, s | (1 << i)] - v[:, s | (1 << j)] + v[:, s]
            out[:, i, j] = out[:, j, i] = (gains * np.array([weight[k] for k in sizes[s]], dtype=v.dtype)).sum(axis=1)
    return out


def _bits(players: int) -> tuple[Coalitions, Array]:
    bits = every_coalition(players)
    return bits, bits.sum(axis=1)


def walked(orders: Array) -> Coalitions:
    """(R, M + 1, M): the coalitions that fill up as each order (R, M) is walked, from nobody to all."""
    rank = np.empty_like(orders)
    np.put_along_axis(rank, orders, np.broadcast_to(np.arange(orders.shape[1]), orders.shape), axis=1)
    return rank[:, None, :] < np.arange(orders.shape[1] + 1)[None, :, None]
