"""Feature maps, and the patches of a data set that excite a channel most, cut out by their exact receptive fields."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.graph.run import check_feeds
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.represent.features import activations
from xaicore.represent.receptive import receptive_fields


@dataclass(frozen=True, eq=False)
class Patch:
    """One place where a channel is excited: sample, position in the layer, the activation, the box in the input, the pixels (C, h, w)."""

    sample: int
    position: tuple[int, ...]
    value: float
    box: tuple[tuple[int, int], ...]
    pixels: Array


def feature_maps(graph: Graph, x: Any, layer: str, batch_size: int = 64) -> Array:
    """The layer's value (N, C, *S), exactly as the forward pass has it."""
    return activations(graph, x, layer, batch_size)[layer]


def top_patches(graph: Graph, x: Any, layer: str, channel: int, k: int = 9, per_sample: int = 1, batch_size: int = 64) -> list[Patch]:
    """The k places of highest activation of a channel over a set of samples, with their receptive fields.

    per_sample  how many places one sample may have (the paper shows the top 9 samples, one place each)

    Of equal activations the earlier sample and position comes first. Near the edges of the image a patch is smaller: padding is not part of
    it. Errors as for ``activations`` and ``receptive_field``. Source: zeiler2014, figure 2.
    """
    k, per_sample, channel = whole("k", k, 1), whole("per_sample", per_sample, 1), whole("channel", channel, 0)
    a = activations(graph, x, layer, batch_size)[layer]
    if a.ndim < 2 or channel >= a.shape[1]:
        raise InputError(f"channel {channel} of layer {layer!r} does not exist: its value has shape {a.shape}")
    flat = np.asarray(a[:, channel], dtype=float).reshape(len(a), -1)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :per_sample]
    rows, places = np.repeat(np.arange(len(a)), best.shape[1]), best.reshape(-1)
    order = np.argsort(-flat[rows, places], kind="stable")[:k]
    chosen = [(int(rows[j]), tuple(int(i) for i in np.unravel_index(places[j], a.shape[2:]))) for j in order]
    name = graph.float_inputs[0]
    feeds = check_feeds(graph, x)
    images = np.moveaxis(feeds[name], -1, 1) if channels_last(graph.meta, name) else feeds[name]
    if images.ndim < 3:
        raise ShapeError(f"input {name!r} has shape {images.shape}; patches are cut from images or sequences (N, C, *S)")
    fields = receptive_fields(graph, layer, [(channel, *p) for _, p in chosen], {n: v[:1] for n, v in feeds.items()})
    out = []
    for (sample, position), found in zip(chosen, fields):
        cut: Any = tuple(slice(low, high) for low, high in found.box)
        out.append(Patch(sample, position, float(a[(sample, channel, *position)]), found.box, images[(sample, slice(None), *cut)].copy()))
    return out
