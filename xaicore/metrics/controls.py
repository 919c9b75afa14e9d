"""Maps that know no model: what every method has to beat, on every metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.graph.graph import Graph
from xaicore.methods.propagate import channels_last
from xaicore.methods.segment import global_contrast
from xaicore.methods.task import Feeds
from xaicore.numerics import Array


def random_map(graph: Graph, feeds: Feeds, target: Any, seed: int = 0) -> dict[str, Array]:
    """Normal numbers by default_rng([seed, k]) for the k-th input: the same map for every sample, model and target."""
    return {k: np.broadcast_to(np.random.default_rng([seed, at]).standard_normal(feeds[k].shape[1:]), feeds[k].shape)
            for at, k in enumerate(_explained(graph, feeds))}


def input_map(graph: Graph, feeds: Feeds, target: Any) -> dict[str, Array]:
    """|x| itself."""
    return {k: np.abs(np.asarray(feeds[k], dtype=float)) for k in _explained(graph, feeds)}


def sobel_map(graph: Graph, feeds: Feeds, target: Any) -> dict[str, Array]:
    """The size of the gradient of the picture's brightness (the mean of its channels) by Sobel's masks; edges repeat the border."""
    out = {}
    for k in _explained(graph, feeds):
        grey = _images(graph, feeds, k).mean(axis=1)
        p = np.pad(grey, ((0, 0), (1, 1), (1, 1)), mode="edge")
        h, w = grey.shape[1:]

        def at(dy: int, dx: int, p: Array = p, h: int = h, w: int = w) -> Array:
            return np.asarray(p[:, 1 + dy:1 + dy + h, 1 + dx:1 + dx + w])

        gx = sum(c * (at(dy, 1) - at(dy, -1)) for dy, c in ((-1, 1), (0, 2), (1, 1)))
        gy = sum(c * (at(1, dx) - at(-1, dx)) for dx, c in ((-1, 1), (0, 2), (1, 1)))
        out[k] = _as_fed(graph, k, np.sqrt(gx**2 + gy**2))
    return out


def contrast_map(graph: Graph, feeds: Feeds, target: Any) -> dict[str, Array]:
    """The global contrast Σ_q |I_p - I_q| of each pixel, channels added."""
    return {k: _as_fed(graph, k, global_contrast(_images(graph, feeds, k))[:, 0]) for k in _explained(graph, feeds)}


def _explained(graph: Graph, feeds: Feeds) -> tuple[str, ...]:
    return graph.float_inputs or tuple(feeds)


def _images(graph: Graph, feeds: Feeds, k: str) -> Array:
    x = np.asarray(feeds[k], dtype=float)
    if x.ndim != 4:
        raise Inapplicable(f"this control is for images, and input {k!r} has shape {x.shape}; control.random and control.input take any")
    return np.moveaxis(x, -1, 1) if channels_last(graph.meta, k) else x


def _as_fed(graph: Graph, k: str, a: Array) -> Array:
    return a[..., None] if channels_last(graph.meta, k) else a[:, None]


CONTROLS: Mapping[str, Callable[..., dict[str, Array]]] = MappingProxyType({
    "control.random": random_map, "control.input": input_map, "control.sobel": sobel_map, "control.contrast": contrast_map})
"""name -> (graph, inputs, target) -> map. ``evaluate`` takes them among its methods."""

__all__ = ["CONTROLS", "contrast_map", "input_map", "random_map", "sobel_map"]
