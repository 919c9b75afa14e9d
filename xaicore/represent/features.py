"""What a layer says about a set of samples, as numbers: activations, and the matrix (samples, units) that comparisons take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.graph.passes import prune
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.sweep import chosen, whole
from xaicore.numerics import Array

POSITIONS = ("units", "samples", "mean")


def activations(graph: Graph, x: Any, layers: str | Sequence[str], batch_size: int = 64) -> dict[str, Array]:
    """The values of layers for a set of samples: {layer: (N, *K)}, evaluated ``batch_size`` samples at a time.

    The keys are the names as given. Raises UnknownName, with the nearest names, for a layer that does not exist.
    """
    batch_size = whole("batch_size", batch_size, 1)
    wanted = [layers] if isinstance(layers, str) else list(layers)
    found = {k: graph.find(k) for k in wanted}
    feeds = check_feeds(graph, x)
    needed = [v for v in dict.fromkeys(found.values()) if v not in graph.inputs]
    small = prune(graph, needed) if needed else graph
    count = len(next(iter(feeds.values())))
    parts: dict[str, list[Array]] = {v: [] for v in needed}
    for start in range(0, count, batch_size) if needed else ():
        values = evaluate(small, {k: v[start:start + batch_size] for k, v in feeds.items()}, keep=needed)
        for k in needed:
            parts[k].append(values[k])
    whole_set = {k: np.concatenate(v) for k, v in parts.items()}
    return {k: whole_set[v] if v in whole_set else feeds[v] for k, v in found.items()}


def matrix(values: Any, positions: str = "units", name: str = "the representation") -> Array:
    """(N, *K) -> float64 (samples, units), axis 0 being the samples.

    positions  of a feature map (N, C, *S): "units", every position of every channel is a unit (N, C·S); "samples", every position is
               a sample of C channels (N·S, C), which says that the network is convolutional; "mean", averaged over (N, C)

    Raises InputError for what is not finite, ShapeError for fewer than two axes.
    """
    chosen("positions", positions, POSITIONS)
    a = np.asarray(values)
    if a.ndim < 2 or 0 in a.shape:
        raise ShapeError(f"{name} has shape {a.shape}; one row for each sample, (N, units) or a feature map (N, C, *S), is expected")
    if a.dtype.kind not in "fiubO":
        raise InputError(f"{name} has dtype {a.dtype}; numbers are expected")
    a = a.astype(float)
    if not np.isfinite(a).all():
        bad = tuple(int(k) for k in np.argwhere(~np.isfinite(a))[0])
        raise InputError(f"{name} holds {a[bad]} at index {bad}; every entry must be finite")
    if a.ndim == 2 or positions == "units":
        return np.ascontiguousarray(a.reshape(len(a), -1))
    if positions == "samples":
        return np.ascontiguousarray(np.moveaxis(a, 1, -1).reshape(-1, a.shape[1]))
    return np.asarray(a.mean(axis=tuple(range(2, a.ndim))))


def pair(x: Any, y: Any, positions: str = "units") -> tuple[Array, Array]:
    """Two representations of the same samples, as matrices with equally many rows; ShapeError otherwise."""
    a, b = matrix(x, positions, "the first representation"), matrix(y, positions, "the second representation")
    if len(a) != len(b):
        raise ShapeError(f"the two representations have {len(a)} and {len(b)} samples; the same samples in the same order are compared")
    return a, b


def centred(a: Array) -> Array:
    """Each unit minus its mean over the samples."""
    return np.asarray(a - a.mean(axis=0))


def need_variation(a: Array, which: str) -> None:
    """Refuses a representation that is the same for all samples."""
    if not (a != a[:1]).any():
        raise Inapplicable(f"{which} is the same for all {len(a)} samples, so there is nothing to compare; give other samples, or another "
                           f"layer")
