"""LOVI: maps of several layers in one picture, whose hue says which layers respond, from early (purple) to late (red)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.numerics import Array
from xaicore.show.heatmap import RGB, finite


def lovi(maps: Any, weights: Sequence[float] | None = None) -> RGB:
    """uint8 (H, W, 3) of L maps (L, H, W), the earliest layer first: hue, saturation and value of each pixel p are

        H = 300° Σ_l p_l (1 - l/(L-1)) / Σ_l p_l,   S = 1 - (Σ p / (L max p) - 1/L) / (1 - 1/L),   V = max_l p_l

    with p = (map - min) / (max - min) over all layers and pixels, times ``weights``, one for each layer (default 1), cut at 1 in V.
    One layer alone gives its own full colour, all layers alike a grey; where none responds the pixel is black. InputError for
    fewer than two layers, which have no hue, and for numbers that are not finite.
    Source: mundhenk2019, as in the authors' code, whose 0/0 for black pixels is black here.

    >>> lovi([[[1.0, 0.0, 1.0]], [[0.0, 1.0, 1.0]]])[0].tolist()
    [[255, 0, 255], [255, 0, 0], [255, 255, 255]]
    """
    x = finite(maps, "the maps")
    if x.ndim != 3 or len(x) < 2:
        raise InputError(f"lovi takes the maps of at least two layers, (L, H, W), and got shape {x.shape}; a single map is drawn by a "
                         f"heatmap")
    w = np.ones(len(x)) if weights is None else finite(list(weights), "the weights")
    if w.shape != (len(x),) or (w < 0).any():
        raise InputError(f"weights must be one number for each of {len(x)} layers, none negative")
    low, high = x.min(), x.max()
    p = (x - low) / (high - low if high > low else 1) * w[:, None, None]
    total, top, count = p.sum(axis=0), p.max(axis=0), len(x)
    dark = total == 0
    early = 1 - np.arange(count) / (count - 1)
    hue = 300 * np.tensordot(early, p, 1) / np.where(dark, 1, total)
    saturation = 1 - (total / (count * np.where(dark, 1, top)) - 1 / count) / (1 - 1 / count)
    return _from_hsv(hue, saturation, np.minimum(top, 1))


def lovi_of(a: Attribution, name: str, sample: int) -> RGB | None:
    """The picture of an attribution that keeps the maps of two layers or more (``extras["maps"]``, SMOE) of two axes; else None."""
    maps = a.extras.get("maps", {}).get(name)
    return None if maps is None or maps.ndim != 4 or maps.shape[1] < 2 else lovi(maps[sample])


def _from_hsv(hue: Array, saturation: Array, value: Array) -> RGB:
    """Hue in degrees, saturation and value in [0, 1], to red, green and blue: V (1 - S clip(|(H/60 + n) mod 6 - 3| - 1, 0, 1))."""
    out = [value * (1 - saturation * np.clip(2 - np.abs((hue / 60 + n) % 6 - 3), 0, 1)) for n in (0, 4, 2)]
    return np.asarray(np.rint(255 * np.stack(out, axis=-1)), dtype=np.uint8)
