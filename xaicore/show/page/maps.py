"""Maps of the viewer: how the entries of a value lie on cells, and how numbers are packed for the page."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from xaicore.numerics import Array


@dataclass(frozen=True, eq=False)
class Grid:
    """How a value's entries lie on its map: ``cell`` of every entry (flat), rows x width cells."""

    height: int
    width: int
    cell: Array
    how: str

    def of(self, values: Array) -> Array:
        """The sums of the entries in each cell."""
        return np.bincount(self.cell, weights=np.asarray(values, dtype=float).reshape(-1), minlength=self.height * self.width)


def grid_of(shape: Sequence[int], channels_last: bool = False, side: int | None = None) -> Grid:
    """(C, H, W) lies as H x W, (A, B) as itself, (F,) as a row, or as a block of rows where it is long; ``side``: at most so many cells."""
    count = int(np.prod(shape)) if len(shape) else 1
    index = np.arange(count)
    how = ""
    if len(shape) >= 3:
        last = channels_last
        h, w = (shape[-3], shape[-2]) if last else (shape[-2], shape[-1])
        place = (index // shape[-1]) if last else index
        row, column = (place // w) % h, place % w
        how = f"{count // (h * w)} channels summed" if count > h * w else ""
    elif len(shape) == 2 and 1 not in shape:
        (h, w), row, column = shape, index // shape[1], index % shape[1]
    else:
        w = count if count <= 16 else int(np.ceil(np.sqrt(count)))
        h, row, column = -(-count // w), index // w, index % w
        how = "in rows" if h > 1 else ""
    if side is not None and max(h, w) > side:
        by = -(-max(h, w) // side)
        row, column, h, w = row // by, column // by, -(-h // by), -(-w // by)
        how = ", ".join(x for x in (how, f"blocks of {by} x {by} summed") if x)
    return Grid(int(h), int(w), row * w + column, how)


def packed(values: Array) -> str:
    """float32, little-endian, base64."""
    return base64.b64encode(np.asarray(values, dtype="<f4").tobytes()).decode("ascii")
