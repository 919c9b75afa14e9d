"""How much there is to look at in a map: Gini index, entropy, the number of features that count, the size of a compressed picture."""

from __future__ import annotations

import io
import zlib
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.methods.games import game
from xaicore.methods.sweep import chosen, whole
from xaicore.metrics.removal import keeping, of_players
from xaicore.metrics.statistics import descending
from xaicore.metrics.subject import Score, Subject
from xaicore.numerics import Array


def sparseness(s: Subject) -> Score:
    """Gini index Σ_k (2k - n - 1) |a|_(k) / (n Σ |a|), |a|_(1) <= ... <= |a|_(n): 0 for a uniform map, (n - 1)/n for a single entry.

    Per position. NaN for a map of zeros. Source: chalasani2020, who use Hurley and Rickard's form 1 - 2 Σ (|a|_(k)/‖a‖₁)(n - k +
    ½)/n, the same. Differs: Quantus adds 1e-7 to every |a|.
    """
    a = np.sort(s.positions("absolute"), axis=1)
    n, total = a.shape[1], a.sum(axis=1)
    weights = 2 * np.arange(1, n + 1) - n - 1
    return Score(np.where(total > 0, (a * weights).sum(axis=1) / np.where(total > 0, n * total, 1), np.nan))


def entropy(s: Subject) -> Score:
    """-Σ p ln p with p = |a| / Σ |a|, in nats: 0 for a single entry, ln n for a uniform map.

    Per position. NaN for a map of zeros. Source: bhatt2020, "complexity". Same as: Quantus Complexity.
    """
    return Score(shannon(s.positions("absolute")))


def shannon(a: Array) -> Array:
    """The entropy in nats of rows of non-negative numbers as shares; NaN for rows of zeros."""
    total = a.sum(axis=-1, keepdims=True)
    p = a / np.where(total > 0, total, 1)
    return np.asarray(np.where(total[..., 0] > 0, -(p * np.log(np.where(p > 0, p, 1))).sum(axis=-1), np.nan) + 0.0)


def effective_complexity(s: Subject, variant: str = "loss", eps: float | None = None, mask: Any = "positions", baseline: Any = 0,
                         steps: int = 100) -> Score:
    """k* = min k such that with the k features of largest |a| kept and the others at the baseline, (f(x) - f(x_k))² <= eps.

    variant   "loss": the above;  "count": the number of |a_i| > eps, without f
    eps       the loss that counts as none; default 0.01 f(x)² for "loss" (a tenth of f in size), 1e-5 for "count"
    mask, baseline  players and what stands for absent ones, as for the methods that take parts away
    steps     k is tried at so many equal steps up to the number of players M (all of them where M <= steps)

    Always at most M: keeping all costs nothing. Source: nguyen2020, eq. 6, whose loss is an expectation over a distribution of
    what is taken away; here one baseline (give a mean to come near). Differs: Quantus has "count" alone.
    """
    chosen("variant", variant, ("loss", "count"))
    g = game(s.task, mask, baseline)
    a = np.abs(of_players(s, g))
    if variant == "count":
        return Score((a > (1e-5 if eps is None else eps)).sum(axis=1).astype(float))
    f = np.asarray(s.task.result, dtype=float)
    limit = 0.01 * f**2 if eps is None else np.full(len(f), float(eps))
    counts = np.unique(np.rint(np.linspace(0, g.count, min(whole("steps", steps, 1), g.count) + 1)).astype(int))
    curve = keeping(g, descending(a), counts)
    good = (curve - f[:, None]) ** 2 <= limit[:, None]
    good[:, -1] = True                                                  # all kept: x itself, up to rounding
    return Score(counts[good.argmax(axis=1)].astype(float), {"counts": counts, "curve": curve})


def file_size(s: Subject, format: str = "png") -> Score:
    """The bytes of the map as a compressed grey picture of 8 bits: what a heatmap needs to be told.

    format  "png" (Pillow), "jpeg" (quality 90), "zlib" (the 8-bit values through zlib, level 9)

    0 is mid-grey and max |a| white or black. Comparable between maps of one size only; the count depends on the version of the
    library that compresses. Needs a map of two axes; "zlib" takes any. Source: samek2017, section on complexity.
    """
    chosen("format", format, ("png", "jpeg", "zlib"))
    picture = s.picture()
    if format != "zlib" and picture.ndim != 3:
        raise Inapplicable(f"format={format!r} is for images, and the map has {picture.ndim - 1} axes; format='zlib' takes any")
    top = np.abs(picture).reshape(len(picture), -1).max(axis=1).reshape(-1, *(1,) * (picture.ndim - 1))
    grey = np.rint(127.5 + 127.5 * picture / np.where(top == 0, 1, top)).astype(np.uint8)
    return Score(np.array([float(len(packed(one, format))) for one in grey]))


def packed(grey: Array, format: str) -> bytes:
    """8-bit pixels, (H, W) or (H, W, 3), as a file."""
    if format == "zlib":
        return zlib.compress(grey.tobytes(), 9)
    from PIL import Image

    out = io.BytesIO()
    Image.fromarray(grey).save(out, format.upper(), **({"optimize": True} if format == "png" else {"quality": 90}))
    return out.getvalue()


__all__ = ["effective_complexity", "entropy", "file_size", "packed", "shannon", "sparseness"]
