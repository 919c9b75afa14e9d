"""Salient relevance: a relevance map read by a bottom-up attention model, which keeps what differs from its surroundings.

The attention model is context-aware saliency: a patch is salient when even the patches most like it are unlike it, near or far.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.contrast import Base, base_rules
from xaicore.methods.maps import as_fed
from xaicore.methods.propagate import channels_last, propagate
from xaicore.methods.sweep import whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, at_least
from xaicore.ops import Resize

SCALES = (1.0, 0.8, 0.5, 0.3)
PIXELS = 64 * 64
"""The most pixels whose patches are all compared with each other: 4096² distances."""


def salient_relevance(
    task: Task, base: Base = "lrp.epsilon_plus", window: int = 7, neighbours: int = 64, distance: float = 3, threshold: float = 0.8,
) -> Attribution:
    """S' = S̄ (1 - d_foci), S̄ the mean over scales of S_i = 1 - exp(-(1/K) Σ_k d(p_i, q_k)), d = d_value / (1 + c d_position).

    base        the relevance rule set whose map is read; its channels are summed
    window      the side of a patch, in pixels of each scale
    neighbours  K, the most similar patches that count
    distance    c: how much less a far patch counts; positions are fractions of the larger side
    threshold   foci are the pixels with S̄ above this share of its largest value; d_foci is the distance to the nearest of them

    d_value is the Euclidean distance of two patches of the map, which is scaled to [0, 1] first, over the root of their size. Scales are
    1, 0.8, 0.5, 0.3. Values (N, 1, H, W) in [0, 1), 0 for a constant map; adding a constant to the map changes nothing. Compares all
    pairs of pixels: InputError above 64 x 64 pixels. Source: li2019 with goferman2012 (reconstruction from descriptions). No library has
    it.
    """
    rules = base_rules(base)
    if task.graph.dtype == "exact":
        raise ExactnessError("salient_relevance measures distances and takes exponentials, which are not rational; use "
                             "graph.astype('float64')")
    whole("window", window, 1)
    whole("neighbours", neighbours, 1)
    at_least("distance", distance, 0)
    at_least("threshold", threshold, 0)
    a = propagate(replace(task, keep="inputs"), rules, "salient_relevance")
    spatial = [k for k in task.wrt if task.feeds[k].ndim == 4]
    if not spatial:
        raise Inapplicable("salient_relevance compares patches of a map, and no explained input is an image (N, C, H, W)")
    values = {}
    for k in spatial:
        r = a.values[k]
        r = (r.sum(axis=-1) if channels_last(task.graph.meta, k) else r.sum(axis=1)).astype(float)
        if r[0].size > PIXELS:
            raise InputError(f"salient_relevance compares all pairs of pixels, and the map of {k!r} has {r.shape[1]} x {r.shape[2]}; "
                             f"explain a smaller image, or read the relevance map itself")
        found = np.stack([salience(m, window, neighbours, distance, threshold) for m in r])[:, None]
        values[k] = as_fed(task, k, found.astype(task.feeds[k].dtype))
    return replace(a, values=values, layers={}, ledger=None, settings={**a.settings, "base": rules.name})


def salience(m: Array, window: int, neighbours: int, distance: float, threshold: float) -> Array:
    """S' of one map (H, W)."""
    spread = m.max() - m.min()
    if spread == 0:
        return np.zeros(m.shape)
    m = (m - m.min()) / spread
    mean = np.zeros(m.shape)
    for scale in SCALES:
        size = tuple(max(1, round(scale * n)) for n in m.shape)
        small = Resize(size, "linear", antialias=True, exclude_outside=True).forward(m[None])[0]
        mean += Resize(m.shape, "linear").forward(_one_scale(small, window, neighbours, distance)[None])[0] / len(SCALES)
    foci = np.argwhere(mean >= threshold * mean.max())
    places = np.argwhere(np.ones(m.shape, bool))
    nearest = np.sqrt(((places[:, None] - foci[None]) ** 2).sum(axis=-1)).min(axis=1) / max(m.shape)
    return np.asarray(mean * (1 - np.minimum(nearest, 1)).reshape(m.shape))


def _one_scale(m: Array, window: int, neighbours: int, distance: float) -> Array:
    """S of one map at one scale: every patch (edges repeated) against every other."""
    before, after = (window - 1) // 2, window // 2
    padded = np.pad(m, ((before, after), (before, after)), mode="edge")
    patches = np.lib.stride_tricks.sliding_window_view(padded, (window, window)).reshape(m.size, -1)
    places = np.argwhere(np.ones(m.shape, bool)) / max(m.shape)
    found = np.empty(m.size)
    for i in range(m.size):
        value = np.sqrt(((patches - patches[i]) ** 2).mean(axis=1))
        d: Any = value / (1 + distance * np.sqrt(((places - places[i]) ** 2).sum(axis=1)))
        d = np.delete(d, i)
        count = min(neighbours, len(d))
        found[i] = 1 - np.exp(-np.partition(d, count - 1)[:count].mean()) if count else 0.0
    return found.reshape(m.shape)
