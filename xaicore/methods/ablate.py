"""What f loses when one group of features is taken away, or exchanged with that of another sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.methods.attribution import Attribution
from xaicore.methods.games import Game, game
from xaicore.methods.sweep import chosen, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array

DRAWS = ("others", "shuffle")


def feature_ablation(task: Task, mask: Any = None, baseline: Any = 0, background: Any = None, mode: str = "drop", spread: str = "repeat"
                     ) -> Attribution:
    """A_g = f(x) - f(x without the group g).

    mask        the groups: as for shapley.exact, "entries" for every entry by itself; an image has up to 64 parts by default
    baseline    what stands where a group is taken away: a number, one sample, a batch, a mapping by input name
    background  a set of samples (B, ...) instead: the mean over them
    mode        "drop": as above; "keep": what g adds to nobody, f(baseline with g) - f(baseline)
    spread      the score of a group in each of its entries: all of it ("repeat") or an equal "share"

    Values in the shape of the inputs. ``extras``: "players" (N, M), the score of each group, and "labels". Not complete: where groups
    stand in for each other both lose nothing, where they work together both lose all. Costs M B forward passes for each sample,
    or of each the part that a group can change (local.py).
    Raises ShapeError for a mask that does not fit. Source: kokhlikyan2020, who name it; leave one covariate out. Same as: captum
    FeatureAblation (mask="entries" there is the default).
    """
    chosen("mode", mode, ("drop", "keep"))
    g = game(task, mask, baseline, background)
    return g.attribution("feature_ablation", _one_by_one(g, mode), spread)


def feature_permutation(task: Task, samples: int = 10, draw: str = "others", mask: Any = None, seed: int = 0, spread: str = "repeat"
                        ) -> Attribution:
    """A_g = f(x_n) - mean over k of f(x_n with the group g of another sample x_π_k(n) of the batch).

    samples  how many exchanges π_k; with draw="others" no more than there are other samples, N - 1
    draw     "others": nobody keeps its own values, and a sample meets every partner once at most (cyclic shifts of a random order);
             "shuffle": free permutations, in which some do
    mask, spread    as for feature_ablation

    Values in the shape of the inputs; every input's group g comes from the same sample. ``extras``: "players", "labels", "orders"
    (K, N). The result belongs to the batch: another batch, other values. Inapplicable for a batch of one, which has nobody to
    exchange with (captum: exactly 0); InputError for samples < 1. Costs M K forward passes for each sample. Source: breiman2001,
    fisher2019 for "others". Same as: captum FeaturePermutation (draw="shuffle", samples=1). For a mean over a set of your own
    take feature_ablation with background=.
    """
    chosen("draw", draw, DRAWS)
    samples = whole("samples", samples, 1)
    n = task.size
    if n == 1:
        raise Inapplicable("feature_permutation exchanges features with the other samples of the batch, and this batch has one; give more "
                           "samples at once, or use feature_ablation with background= a set of samples")
    rng = np.random.default_rng(seed)
    if draw == "shuffle":
        orders = np.array([rng.permutation(n) for _ in range(samples)])
    else:
        ring, steps = rng.permutation(n), rng.permutation(n - 1)[:samples] + 1
        orders = np.empty((len(steps), n), dtype=int)
        orders[:, ring] = np.stack([np.roll(ring, -step) for step in steps])
    plain = game(task, mask)
    g = Game(task, plain.labels, plain.count, {k: task.feeds[k][orders] for k in task.wrt})
    return g.attribution("feature_permutation", _one_by_one(g, "drop"), spread, orders=orders)


def _one_by_one(g: Game, mode: str) -> Array:
    """f(x) - v(all but i), or v(i) - v(nobody): (N, M)."""
    who = np.arange(g.count)
    if mode == "drop":
        return np.asarray(g.task.result[:, None] - g.scores(g.count, lambda k: who[None] != k[:, None], near=g.task.feeds))
    v = g.scores(g.count + 1, lambda k: who[None] == k[:, None], near=g.start)         # the last is nobody
    return np.asarray(v[:, :-1] - v[:, -1:])
