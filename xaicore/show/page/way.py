"""The way from the baseline to the input, for the viewer: f along it, and at a few stored points of it what x is and where f
rises. Methods that go straight (integrated gradients in all forms) have it; the page blends what lies between two stored points.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.methods.attribution import Attribution
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import quiet
from xaicore.methods.unit import task_of
from xaicore.numerics import Array
from xaicore.show.heatmap import bounds_of, finite, photograph, symmetric_limit
from xaicore.show.page import data_uri
from xaicore.show.page.maps import grid_of, packed
from xaicore.show.table import clean

STRAIGHT = ("integrated_gradients", "integrated_gradients.exact", "interior_gradients")
STOPS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""The stored points: a picture between two of them is exact, a slope there is not, and the page says which points it has."""
CELLS = 64                                            # a side of a stored map at most
POINTS = 400                                          # of a curve at most


def curve_of(a: Attribution, sample: int) -> list[list[float]]:
    """(α, f) in ascending order with both ends; of a curve with more points than a drawing shows, so many evenly; [] without a curve."""
    at, f = a.extras.get("alphas", a.extras.get("breakpoints")), a.extras.get("curve")
    if at is None or f is None or isinstance(at, dict):
        return []
    own, line = (at[sample] if isinstance(at, tuple) else at), f[sample]
    if np.ndim(line) != 1 or np.ndim(own) != 1:
        return []
    points = {float(x): float(v) for x, v in zip(own, line)}
    if a.baseline_output is not None:
        points |= {0.0: float(a.baseline_output[sample])}
    found = sorted((points | {1.0: float(a.output[sample])}).items())
    chosen = np.unique(np.linspace(0, len(found) - 1, min(len(found), POINTS)).astype(int))
    return [list(found[k]) for k in chosen]


def way_of(a: Attribution, sample: int) -> list[dict[str, Any]]:
    """For each explained input: both ends as they are drawn, and (x - x0) ∂f/∂x, summed in cells, at the stored points."""
    at_inputs = all(k in a.feeds and np.shape(v) == np.shape(a.feeds[k]) for k, v in a.values.items())
    if a.method not in STRAIGHT or a.baseline is None or not at_inputs:
        return []
    task = quiet(task_of(a, sample))
    ends = {k: (np.asarray(a.baseline[k][sample]), task.feeds[k][0]) for k in task.wrt}
    points = {k: np.stack([(1 - s) * x0 + s * x for s in STOPS]).astype(x.dtype) for k, (x0, x) in ends.items()}
    grads, _ = task.gradients(points, np.zeros(len(STOPS), dtype=int))
    return [_one(a, name, *ends[name], grads[name]) for name in task.wrt]


def _one(a: Attribution, name: str, x0: Array, x: Array, grads: Array) -> dict[str, Any]:
    last = channels_last(a.graph.meta, name)
    low, high = bounds_of(a.graph.meta, name) or (float(min(x0.min(), x.min())), float(max(x0.max(), x.max())))
    pictures = [photograph(finite(v), last, (low, high)) for v in (x0, x)]
    g = grid_of(x.shape, last, CELLS)
    moves = [g.of(finite((x - x0) * grad)) for grad in grads]
    return {"input": clean(name), "height": g.height, "width": g.width, "how": g.how,
            "pictures": [] if any(p is None for p in pictures) else [data_uri(p) for p in pictures],
            "ends": [packed(g.of(finite(v))) for v in (x0, x)], "limit": symmetric_limit(np.stack(moves)),
            "size": symmetric_limit(np.stack([g.of(finite(v)) for v in (x0, x)])),
            "stops": list(STOPS), "moves": [packed(v) for v in moves]}
