"""Signed numbers -> colours: red speaks for the explained value, blue against it, white is zero, on a symmetric scale.

A picture never changes the numbers: the scale is returned, so that whoever shows the picture can print it beside it.
Contact sheets are in sheet.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.propagate import channels_last as has_channels_last
from xaicore.numerics import Array

RGB: TypeAlias = Array
"""uint8, (H, W, 3)."""

FOR = ((255, 255, 255), (250, 192, 164), (221, 98, 76), (140, 14, 36))
AGAINST = ((255, 255, 255), (170, 209, 238), (72, 140, 204), (22, 67, 142))
"""Stops at 0, 1/3, 2/3 and 1 of the scale. Red and blue stay apart for all common kinds of colour blindness, and equal
amounts have about equal lightness, so that a grey print still shows how much (though not the sign)."""

CLIP = 0.005
"""At most this share of the cells may lie beyond the scale; none of an 8 x 8 map, 250 of a 224 x 224 map. One pixel of a
photograph would otherwise leave all others white."""


@dataclass(frozen=True, eq=False)
class View:
    """One sample's numbers as they are drawn.

    cells    (H, W) for what has two axes to draw, (F,) for bars
    kind     "image" (square pixels), "cells" (a table of numbers), "bars"
    how      what was done to get there: "3 channels summed"
    """

    cells: Array
    kind: str
    how: str = ""

    @property
    def shape(self) -> str:
        """ "224 x 224", "13"."""
        return " x ".join(str(n) for n in self.cells.shape)


def view(values: Any, channels_last: bool = False, name: str = "the attribution") -> View:
    """The numbers of one sample (no batch axis) laid out for drawing; sums are kept whenever axes are joined.

    (F,) -> bars; (1, L) -> bars; (A, B) -> cells; (C, H, W) -> image, summed over channels; (C, D, H, W) -> image, summed
    over channels and depth. Raises InputError when an entry is not finite.
    """
    x = finite(values, name)
    if x.ndim <= 1:
        return View(x.reshape(-1), "bars")
    if x.ndim == 2:
        return View(x.reshape(-1), "bars") if 1 in x.shape else View(x, "cells")
    if channels_last:
        x = np.moveaxis(x, -1, 0)
    count = int(np.prod(x.shape[:-2]))
    how = "" if count == 1 else f"{x.shape[0]} channels summed" if x.ndim == 3 else f"{count} channels and slices summed"
    return View(x.reshape(count, *x.shape[-2:]).sum(axis=0), "image", how)


def finite(values: Any, name: str = "the attribution") -> Array:
    """``values`` as float64 (rationals included); InputError with the first index that is not finite."""
    x = np.asarray(values).astype(float)
    if not np.isfinite(x).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(x))[0])
        raise InputError(f"{name} holds {x[bad]} at index {bad}, which has no colour; a result must be finite. "
                         f"Look for the node with xaicore explain ... --trace")
    return x


def symmetric_limit(cells: Array, clip: float = CLIP) -> float:
    """The scale [-limit, limit] of a map: the largest magnitude of ``cells``, of which the share ``clip`` may lie beyond it.

    Never 0: for maps that are zero everywhere it is 1.

    >>> symmetric_limit(np.array([[1.0, -3.0], [2.0, 0.0]]))
    3.0
    """
    sizes = np.sort(np.abs(cells.reshape(-1)))
    beyond = min(int(clip * len(sizes)), len(sizes) - 1)
    limit = float(sizes[len(sizes) - 1 - beyond])
    return limit or float(sizes[-1]) or 1.0


def colours(cells: Array, limit: float) -> RGB:
    """uint8 (*shape, 3): white at 0, red above, blue below, saturated from ±limit on.

    >>> colours(np.array([0.0, 1.0, -1.0]), 1.0).tolist()
    [[255, 255, 255], [140, 14, 36], [22, 67, 142]]
    """
    t = np.clip(np.asarray(cells, dtype=float) / limit, -1, 1)
    stops = np.linspace(-1, 1, 2 * len(FOR) - 1)
    table = np.array(AGAINST[:0:-1] + FOR, dtype=float)
    return _bytes(np.stack([np.interp(t, stops, table[:, k]) for k in range(3)], axis=-1))


def overlay(cells: Array, picture: RGB, limit: float) -> RGB:
    """The map over a faint grey copy of the picture: colour in proportion to the magnitude, nothing where it is zero.

    ``cells`` may be coarser than the picture (a class-activation map); each then covers a block.
    """
    height, width = picture.shape[:2]
    rows = np.arange(height) * cells.shape[0] // height
    columns = np.arange(width) * cells.shape[1] // width
    spread = cells[rows][:, columns]
    grey = picture.astype(float) @ np.array([0.299, 0.587, 0.114])      # luma of ITU-R BT.601
    faint = 255 - 0.35 * (255 - grey)                                   # light enough for both colours to stand out on it
    share = np.clip(np.abs(spread) / limit, 0, 1)[..., None]
    return _bytes((1 - share) * faint[..., None] + share * colours(spread, limit))


def photograph(x: Array, channels_last: bool = False, bounds: tuple[float, float] | None = None) -> RGB | None:
    """An input sample (C, H, W) as a picture, or None when it is no image.

    One channel is grey, three are RGB, any other number is averaged. ``bounds`` are the values of black and white (default: the
    smallest and largest there are).
    """
    if x.ndim != 3:
        return None
    y = finite(np.moveaxis(x, -1, 0) if channels_last else x, "the input")
    if len(y) != 3:
        y = np.repeat(y.mean(axis=0, keepdims=True), 3, axis=0)
    low, high = bounds if bounds is not None and bounds[1] > bounds[0] else (float(y.min()), float(y.max()))
    t = (y - low) / (high - low) if high > low else np.full_like(y, 0.5)
    return _bytes(255 * np.clip(np.moveaxis(t, 0, -1), 0, 1))


def _bytes(x: Array) -> RGB:
    return np.asarray(np.rint(x), dtype=np.uint8)


# ----- of an Attribution ------------------------------------------------------------------------------------------


def bounds_of(meta: Mapping[str, str], name: str) -> tuple[float, float] | None:
    """What the graph knows of an input's range, from its ``meta`` entry "range.<input>": "low,high"."""
    try:
        low, high = (float(part) for part in meta.get(f"range.{name}", "").split(","))
    except ValueError:
        return None
    return low, high


def view_of(a: Attribution, name: str, sample: int) -> View:
    """What ``a`` says about one input (or layer) of one sample, laid out for drawing."""
    return view(a.values[name][sample], has_channels_last(a.graph.meta, name), f"the attribution {a.method} of {name!r}")


def photograph_of(a: Attribution, name: str, sample: int) -> RGB | None:
    """The input picture that an attribution is about, or None when there is none (tables, layers)."""
    if name not in a.feeds or name not in a.graph.inputs:
        return None
    return photograph(a.feeds[name][sample], has_channels_last(a.graph.meta, name), bounds_of(a.graph.meta, name))
