"""Twins of what takes parts of an input away one by one: occlusion, feature ablation, feature permutation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from itertools import product
from math import ceil
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.oracle.twins.draws import Rng, each, mlp, odd, one, telling
from xaicore.oracle.twins.plain_cnn import network
from xaicore.oracle.twins.twin import Problem, Twin

F = Callable[[Any], float]


def occlusion(f: F, x: Array, fill: Any, window: Sequence[int], stride: Sequence[int], score: str, overlap: str, border: str, mode: str
              ) -> tuple[Array, Array]:
    """(A, how many windows cover each entry) of one sample x: windows as boxes over all of its axes."""
    axes = []
    for n, w, s in zip(x.shape, window, stride):
        if border == "wrap":
            axes.append([[(at + k) % n for k in range(w)] for at in range(0, n, s)])
        else:
            count = ceil((n - w) / s) + 1 if border == "crop" else (n - w) // s + 1
            axes.append([[k for k in range(j * s, j * s + w) if k < n] for j in range(count) if j * s < n])
    total, seen, cells = np.zeros(x.shape), np.zeros(x.shape), np.zeros(x.shape)
    whole = f(x)
    for box in product(*axes):
        inside = np.zeros(x.shape, dtype=bool)
        for place in product(*box):
            inside[place] = True
        y = f(np.where(inside == (mode == "drop"), fill, x))
        value = {"difference": whole - y, "raw": y, "complement": 1 - y}[score]
        total += value * inside
        seen += inside
        cells += inside.sum() * inside
    by = {"mean": seen, "sum": np.ones(x.shape), "mean_per_cell": cells}[overlap]
    return np.where(seen > 0, total / np.where(by > 0, by, 1), 0), seen


LIBRARIES: Mapping[str, tuple[str, str, str, str, Any]] = MappingProxyType({
    "xaicore": ("difference", "mean", "crop", "drop", 0), "captum": ("difference", "mean", "crop", "drop", 0),
    "pair": ("difference", "sum", "valid", "drop", 0), "xplique": ("difference", "sum", "valid", "drop", 0),
    "deepexplain": ("difference", "mean_per_cell", "valid", "drop", 0), "zennit": ("raw", "sum", "wrap", "keep", 0),
    "tf_explain": ("complement", "mean", "crop", "drop", 127.5), "zeiler": ("raw", "mean", "crop", "drop", "mean")})
"""What each library does, read off the catalogue of peers again: score, overlap, border, mode, fill."""


def _occlusion(problem: Problem) -> Array:
    own = problem.settings
    score, overlap, border, mode, fill = LIBRARIES[own["convention"]]

    def answer(x: Array) -> Array:
        grey = x.mean(axis=(1, 2), keepdims=True) if fill == "mean" else fill
        channels = 1 if own.get("channels") == "separate" else x.shape[0]
        return occlusion(one(problem.graph, problem.target), x, grey, (channels, *own["window"]), (channels, *own["stride"]),
                         score, overlap, border, mode)[0]

    return each(problem, answer)


def _windows(rng: Rng, convention: str) -> Problem:
    own = {"convention": convention, "window": tuple(rng.integers(1, 5, 2).tolist()),
           "stride": tuple(rng.integers(1, 5, 2).tolist()), "channels": str(rng.choice(["together", "separate"]))}
    return Problem(network(rng), odd(rng, 2, 2, 6, 6), 1, own)


def _ablation(problem: Problem) -> Array:
    own = problem.settings
    labels, x0, keep = own["mask"], own["baseline"], own["mode"] == "keep"

    def answer(x: Array) -> Array:
        f, out = one(problem.graph, problem.target), np.zeros(x.shape)
        for g in np.unique(labels):
            here = labels == g
            lost = f(np.where(here, x, x0)) - f(x0) if keep else f(x) - f(np.where(here, x0, x))
            out[here] = lost / (here.sum() if own["spread"] == "share" else 1)
        return out

    return each(problem, answer)


def _groups(rng: Rng, mode: str) -> Problem:
    own = {"mask": rng.integers(0, 5, (2, 6, 6)), "baseline": odd(rng, 2, 6, 6), "mode": mode,
           "spread": str(rng.choice(["repeat", "share"]))}
    return Problem(network(rng), odd(rng, 2, 2, 6, 6), 2, own)


def permutation(f: F, x: Array, partners: Sequence[Sequence[int]]) -> Array:
    """A for a batch x (N, F): partners[k][n] gives its entry to sample n, one entry after the other."""
    out = np.zeros(x.shape)
    for n in range(x.shape[0]):
        for i in range(x.shape[1]):
            for order in partners:
                z = x[n].copy()
                z[i] = x[order[n], i]
                out[n, i] += (f(x[n]) - f(z)) / len(partners)
    return out


def _all_partners(problem: Problem) -> Array:
    x = np.asarray(problem.x)
    n = len(x)
    return permutation(one(problem.graph, problem.target), x, [[(k + step) % n for k in range(n)] for step in range(1, n)])


def _shuffled(problem: Problem) -> Array:
    x, draws = np.asarray(problem.x), np.random.default_rng(problem.settings["seed"])
    orders = [draws.permutation(len(x)).tolist() for _ in range(problem.settings["samples"])]
    return permutation(one(problem.graph, problem.target), x, orders)


TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    "occlusion": tuple(Twin(f"a loop over boxes as {name} has them", _occlusion, partial(_windows, convention=name)) for name in LIBRARIES),
    "feature_ablation": tuple(Twin(f"one evaluation for each group of a random mask, with mode={mode!r}", _ablation,
                                   partial(telling, draw=partial(_groups, mode=mode), run=_ablation)) for mode in ("drop", "keep")),
    "feature_permutation": (
        Twin("as many exchanges as there are other samples are all of them: a loop over all pairs, nothing drawn", _all_partners,
             lambda rng: Problem(mlp(rng, 4), odd(rng, 5, 4), 1, {"samples": 9})),
        Twin("free permutations, drawn again by rng.permutation(N) from the seed, and a loop over samples and entries", _shuffled,
             lambda rng: Problem(mlp(rng, 3), odd(rng, 4, 3), 0, {"samples": 3, "draw": "shuffle", "seed": int(rng.integers(99))}))),
})
