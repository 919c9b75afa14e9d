"""References for one-hot sequences: random sequences with the same pairs of neighbours."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.numerics import Array


def dinucleotide_shuffle(x: Array, samples: int = 10, seed: int = 0, axis: int = 1) -> Array:
    """``samples`` random sequences for each of x, with the same first and last letter and the same count of every pair of neighbours.

    x        one-hot, (N, 4, L) with ``axis=1`` for the letters, or (N, L, 4) with axis=2; any number of letters
    samples  B, how many for each sequence;  seed  of the draws, the same for every sequence

    Returns (B, N, *S), S the shape of a sequence, all such sequences being equally likely (x itself is one of them). InputError
    where x is not one-hot. Source: altschul1985, with the last edges drawn as a random spanning tree towards the last letter
    (wilson1996). The usual references of deeplift and shap for genomic models.

    >>> x = np.eye(4)[[0, 1, 0, 1, 2]].T[None]
    >>> y = dinucleotide_shuffle(x, 3)
    >>> y.shape, bool((y == x).all())
    ((3, 1, 4, 5), True)
    """
    if x.ndim != 3 or axis not in (1, 2):
        raise InputError(f"x has shape {x.shape} and axis={axis}; sequences (N, letters, L) with axis=1, or (N, L, letters) with axis=2, "
                         f"are expected")
    letters = np.moveaxis(x, axis, 1)
    if not (np.isin(letters, (0, 1)).all() and (letters.sum(axis=1) == 1).all()):
        raise InputError(f"x is not one-hot along axis {axis}: every place holds one 1 and else 0; give references as an array instead "
                         f"(background=...)")
    out = np.empty((samples, *letters.shape), dtype=x.dtype)
    codes = np.eye(letters.shape[1], dtype=int)
    for n, one in enumerate(letters):
        rng = np.random.default_rng(seed)
        text = np.asarray(one.argmax(axis=0) if x.dtype != object else (one == 1).argmax(axis=0)).tolist()
        for k in range(samples):
            drawn = codes[shuffled(text, rng)].T
            out[k, n] = np.where(drawn == 1, one.max(), one.min()) if x.dtype == object else drawn
    return np.moveaxis(out, 2, axis + 1)


def shuffled(text: list[int], rng: np.random.Generator) -> list[int]:
    """A random walk through all edges text[i] -> text[i + 1], from the first letter to the last, uniform among all."""
    if len(text) < 3:
        return list(text)
    edges: dict[int, list[int]] = {}
    for a, b in pairwise(text):
        edges.setdefault(a, []).append(b)
    last = text[-1]
    final: dict[int, int] = {}                                          # letter -> its last edge: a tree towards the last letter
    for start in sorted(edges):
        path, at = {}, start                                            # a random walk whose loops are forgotten
        while at != last and at not in final:
            path[at] = int(rng.integers(len(edges[at])))
            at = edges[at][path[at]]
        at = start
        while at != last and at not in final:
            final[at] = path[at]
            at = edges[at][path[at]]
    left: dict[int, list[Any]] = {}
    for a, ends in edges.items():
        rest = [b for k, b in enumerate(ends) if a == last or k != final[a]]
        left[a] = [rest[k] for k in rng.permutation(len(rest))] + ([] if a == last else [ends[final[a]]])
    out, used = [text[0]], dict.fromkeys(left, 0)
    while len(out) < len(text):
        a = out[-1]
        out.append(left[a][used[a]])
        used[a] += 1
    return out
