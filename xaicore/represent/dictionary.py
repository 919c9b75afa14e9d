"""Semantic dictionaries and activation grids: a position of a layer in the terms of its channels, instead of 512 numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.represent.features import activations, matrix


@dataclass(frozen=True, eq=False)
class Dictionary:
    """For each position of one sample the channels that are most active there.

    channels  (*S, k) indices, the strongest first;  values (*S, k), their activations
    norms     (*S), the length of the whole activation vector, the size of a cell when the grid is drawn
    start     the position with the longest vector, where a page opens
    """

    channels: Array
    values: Array
    norms: Array
    start: tuple[int, ...]

    @property
    def icons(self) -> tuple[int, ...]:
        """All channels that occur, in order: what has to be visualised for a page (visualize.icons)."""
        return tuple(int(c) for c in np.unique(self.channels))


def semantic_dictionary(graph: Graph, x: Any, layer: str, top: int = 4) -> Dictionary:
    """The ``top`` channels of largest activation at every position of one sample; of equal ones the lower index.

    Raises ShapeError for several samples or a layer without positions, InputError for more channels than there are. Source: olah2018.
    """
    top = whole("top", top, 1)
    a = _one(activations(graph, x, layer)[layer], layer)
    if top > len(a):
        raise InputError(f"top={top}: layer {layer!r} has {len(a)} channels")
    order = np.argsort(-a, axis=0, kind="stable")[:top]
    norms = np.sqrt((a**2).sum(axis=0))
    start = tuple(int(i) for i in np.unravel_index(int(norms.argmax()), norms.shape))
    return Dictionary(np.moveaxis(order, 0, -1), np.moveaxis(np.take_along_axis(a, order, axis=0), 0, -1), norms, start)


@dataclass(frozen=True, eq=False)
class Grid:
    """Directions to be visualised, one for each cell: vectors (*S, C) and their lengths (*S); counts (*S) for an atlas."""

    vectors: Array
    norms: Array
    counts: Array | None = None


def activation_grid(graph: Graph, x: Any, layer: str) -> Grid:
    """The whole activation vector of every position of one sample. Drawn, each cell is the visualisation of its direction
    (visualize.picture_grid), scaled by its length. Source: olah2018."""
    a = _one(activations(graph, x, layer)[layer], layer)
    vectors = np.moveaxis(a, 0, -1)
    return Grid(vectors, np.sqrt((vectors**2).sum(axis=-1)))


def atlas(
    vectors: Any, layout: Any, cells: int = 8, fewest: int = 1, margin: float = 0.1, percentiles: tuple[float, float] = (1, 99),
) -> Grid:
    """The mean of all activation vectors whose place in a layout falls into a cell of a square grid: (cells, cells, C).

    vectors      (M, C), single positions of many samples;  layout (M, 2), such as ``tsne(vectors).points``
    fewest       cells with fewer vectors are empty (0)
    percentiles  between which the layout is laid out; ``margin`` is added on both sides. The few beyond are in no cell

    Rows go down as the second coordinate grows. Source: carter2019, whose layout is UMAP of cosine distances.
    """
    cells, fewest = whole("cells", cells, 1), whole("fewest", fewest, 1)
    v, at = matrix(vectors, name="the vectors"), matrix(layout, name="the layout")
    if at.shape != (len(v), 2):
        raise ShapeError(f"the layout has shape {at.shape}; a place in the plane for each vector, ({len(v)}, 2), is expected")
    low, high = (np.percentile(at, p, axis=0) for p in percentiles)
    wide = high - low
    if not (wide > 0).all():
        raise Inapplicable("all places of the layout have the same coordinate on one axis, so there is no grid to lay over them")
    low, high = low - margin * wide, high + margin * wide
    index = np.floor((at - low) / (high - low) * cells).astype(int)
    inside = ((index >= 0) & (index < cells)).all(axis=1)
    flat = index[inside, 1] * cells + index[inside, 0]
    sums, counts = np.zeros((cells * cells, v.shape[1])), np.bincount(flat, minlength=cells * cells)
    np.add.at(sums, flat, v[inside])
    means = np.where((counts >= fewest)[:, None], sums / np.maximum(counts, 1)[:, None], 0.0).reshape(cells, cells, -1)
    return Grid(means, np.sqrt((means**2).sum(axis=-1)), counts.reshape(cells, cells))


def _one(a: Array, layer: str) -> Array:
    if len(a) != 1 or a.ndim < 3:
        raise ShapeError(f"one sample and a layer with positions, (1, C, *S), are expected; layer {layer!r} gave {a.shape}")
    return np.asarray(a[0], dtype=float)
