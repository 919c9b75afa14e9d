"""Many small images at once: icons of channels, and activation grids whose cells are what each position sees."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.represent.dictionary import Grid
from xaicore.visualize.objectives import direction
from xaicore.visualize.search import Recipe, render


def icons(
    graph: Graph, layer: str, channels: Sequence[int], count: int, recipe: Recipe | str = "olah", batch: int = 16, **settings: Any,
) -> Array:
    """One image for each channel of a layer, ``batch`` of them at once: (len(channels), C, H, W). ``count`` is how many channels it has."""
    chosen = [whole("channel", c, 0) for c in channels]
    if not chosen or max(chosen) >= count:
        raise InputError(f"channels={list(channels)}: the layer has channels 0 to {count - 1}")
    return directions(graph, layer, np.eye(count)[chosen], recipe, batch, **settings)


def directions(graph: Graph, layer: str, vectors: Any, recipe: Recipe | str = "olah", batch: int = 16, power: float = 0.0, seed: int = 0,
               progress: Callable[[int, int], None] | None = None, **settings: Any) -> Array:
    """One image for each direction (M, channels) of a layer: (M, C, H, W). Further settings are those of ``render``."""
    v, batch = np.asarray(vectors, dtype=float), whole("batch", batch, 1)
    if v.ndim != 2 or not len(v):
        raise ShapeError(f"directions have shape {v.shape}; one row of channels for each image, (M, channels), is expected")
    parts = []
    for start in range(0, len(v), batch):
        rows = v[start:start + batch]
        parts.append(render(graph, direction(layer, rows, power), recipe, batch=len(rows), seed=seed, **settings).images)
        if progress is not None:
            progress(min(start + batch, len(v)), len(v))
    return np.concatenate(parts)


def picture_grid(graph: Graph, layer: str, grid: Grid, recipe: Recipe | str = "olah", batch: int = 16, power: float = 0.0,
                 background: float | None = None, **settings: Any) -> Array:
    """An activation grid (or atlas) as one picture: each cell the image of its direction, in the middle of its square, its side in
    proportion to the square root of its length: (C, rows · h, columns · w).

    background  the value between and in empty cells (default: the middle of the images' range). Source: olah2018, carter2019.
    """
    rows, columns = grid.norms.shape
    on = grid.norms.reshape(-1) > 0
    if not on.any():
        raise InputError("every cell of the grid is empty")
    vectors = grid.vectors.reshape(rows * columns, -1)
    unit = vectors[on] / grid.norms.reshape(-1)[on][:, None]
    made = directions(graph, layer, unit, recipe, batch, power, **settings)
    sizes = np.zeros(rows * columns)
    sizes[on] = np.sqrt(grid.norms.reshape(-1)[on] / grid.norms.max())
    c, h, w = made.shape[1:]
    middle = float(made.min() + made.max()) / 2 if background is None else background
    out = np.full((c, rows * h, columns * w), middle)
    for n, k in enumerate(np.flatnonzero(on)):
        r, q = divmod(int(k), columns)
        high, wide = max(1, round(h * sizes[k])), max(1, round(w * sizes[k]))
        top, left = r * h + (h - high) // 2, q * w + (w - wide) // 2
        a, b = (h - high) // 2, (w - wide) // 2
        out[:, top:top + high, left:left + wide] = made[n, :, a:a + high, b:b + wide]
    return out
