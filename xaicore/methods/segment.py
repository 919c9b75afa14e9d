"""From a map to a decision: which pixels are the object, and the box around them, from a saliency map and the colours of the image.

The brightest part of the map names some pixels of the object, the darkest some of the background; two mixtures of Gaussians learn their
colours, and a graph cut divides all pixels between them so that the border runs along edges of the image.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.methods.attribution import Attribution
from xaicore.methods.propagate import channels_last
from xaicore.numerics import Array, at_least, filled

UNITS = 10_000
"""Costs are rounded to whole multiples of 1 / UNITS, since a maximum flow is exact on whole numbers only."""


@dataclass(frozen=True, eq=False)
class Segmentation:
    """mask (N, H, W): the object's pixels; boxes: (top, left, bottom, right) of each sample, ends excluded; cut: the cut's cost."""

    mask: Array
    boxes: tuple[tuple[int, int, int, int] | None, ...]
    cut: tuple[float, ...]


def segment(
    a: Attribution, name: str | None = None, foreground: float = 0.95, background: float = 0.30, smoothness: float = 50.0,
    components: int = 5, largest: bool = True, seed: int = 0,
) -> Segmentation:
    """The object that a saliency map shows: min over labels of Σ_p D_p(l_p) + λ Σ_pq [l_p ≠ l_q] exp(-|c_p - c_q|² / 2σ²).

    a           an attribution of an image (N, C, H, W) or (N, H, W, C); its absolute values, the largest over channels, are the map
    foreground  pixels above this quantile of the map are examples of the object, those below ``background`` of what is around it
    smoothness  λ; σ² is the mean squared difference of neighbours (4 of them), so that edges are cheap to cut along
    components  Gaussians in each of the two colour models, fewer where there are fewer different colours
    largest     keep the largest connected part alone
    D is minus the logarithm of a colour's density in either model, and infinite against an example's own label. Exact up to the
    rounding of costs to 1e-4: the cut is a maximum flow (W62). Source: simonyan2013 section 3.2 (quantiles and colour models from
    descriptions: reconstruction); boykov2001 for the cut.
    """
    key = next(iter(a.values)) if name is None else name
    map_, colours = _map_and_colours(a, key)
    for setting, q in (("foreground", foreground), ("background", background)):
        if isinstance(q, bool) or not isinstance(q, (int, float)) or not 0 <= q <= 1:
            raise InputError(f"{setting}={q!r} must be a quantile from 0 to 1")
    if background >= foreground:
        raise InputError(f"background={background} must be below foreground={foreground}: both are quantiles of the same map")
    at_least("smoothness", smoothness, 0)
    masks, boxes, cuts = [], [], []
    for m, c in zip(map_, colours):
        inside, outside = m >= np.quantile(m, foreground), m <= np.quantile(m, background)
        if not (inside & ~outside).any():
            raise InputError("the map is the same everywhere, so it names no object; explain with another method or target")
        inside &= ~outside
        rng = np.random.default_rng(seed)
        pixels = c.reshape(-1, c.shape[-1])
        to_object, to_ground = (-mixture(c[where], components, rng)(pixels).reshape(m.shape) for where in (inside, outside))
        low = np.minimum(to_object, to_ground)                          # only their difference matters; costs must not be negative
        to_object, to_ground = to_object - low, to_ground - low
        never = to_object.max() + to_ground.max() + 8 * smoothness + 1
        mask, cost = cut(np.where(outside, never, to_object), np.where(inside, never, to_ground), *_links(c, smoothness))
        mask = _largest(mask) if largest else mask
        masks.append(mask)
        boxes.append(box(mask))
        cuts.append(cost)
    return Segmentation(np.array(masks), tuple(boxes), tuple(cuts))


def _map_and_colours(a: Attribution, key: str) -> tuple[Array, Array]:
    """The map (N, H, W) and the image (N, H, W, C)."""
    image, values = np.asarray(a.feeds[key], dtype=float), np.asarray(a[key], dtype=float)
    if image.ndim != 4 or values.ndim != 4:
        raise ShapeError(f"segment divides the pixels of images (N, C, H, W), and input {key!r} has shape {image.shape}")
    last = channels_last(a.graph.meta, key)
    image, values = (v if last else np.moveaxis(v, 1, -1) for v in (image, values))
    if values.shape[1:3] != image.shape[1:3]:
        raise ShapeError(f"the map has {values.shape[1:3]} pixels, the image {image.shape[1:3]}; use a map in the size of the image")
    return abs(values).max(axis=-1), image


# ----- colours ------------------------------------------------------------------------------------------------------


def mixture(x: Array, components: int, rng: np.random.Generator, rounds: int = 20) -> Any:
    """log p of a mixture of Gaussians fitted to x (M, C) by expectation and maximisation: a function (P, C) -> (P,).

    Starts from different samples drawn at random; covariances get 1e-3 of the data's variance on their diagonal, so that a single
    colour has a density. Each round raises the likelihood, up to that.
    """
    x = np.asarray(x, dtype=float)
    starts = np.unique(x, axis=0)
    k = min(components, len(starts))
    mean = starts[rng.choice(len(starts), k, replace=False)]
    floor = (1e-3 * x.var(axis=0).mean() + 1e-6) * np.eye(x.shape[1])
    cov, share = np.stack([np.cov(x.T, bias=True).reshape(x.shape[1], x.shape[1]) + floor] * k), np.full(k, 1 / k)

    def logs(points: Array) -> Array:
        d = points[:, None, :] - mean[None]
        inverse = np.linalg.inv(cov)
        squares = np.einsum("pki,kij,pkj->pk", d, inverse, d)
        return np.asarray(np.log(share) - 0.5 * (squares + np.linalg.slogdet(cov)[1] + points.shape[1] * np.log(2 * np.pi)))

    for _ in range(rounds):
        parts = np.exp(logs(x) - _log_sum(logs(x))[:, None])            # how much each Gaussian owns of each sample
        weight = parts.sum(axis=0) + 1e-12
        mean = parts.T @ x / weight[:, None]
        d = x[:, None, :] - mean[None]
        cov = np.einsum("mk,mki,mkj->kij", parts, d, d) / weight[:, None, None] + floor
        share = weight / weight.sum()
    return lambda points: _log_sum(logs(points))


def _log_sum(v: Array) -> Array:
    top = v.max(axis=1)
    return np.asarray(top + np.log(np.exp(v - top[:, None]).sum(axis=1)))


# ----- the cut ------------------------------------------------------------------------------------------------------


def _links(c: Array, smoothness: float) -> tuple[Array, Array]:
    """What it costs to part each pixel from the one below it (H - 1, W) and from the one to its right (H, W - 1)."""
    down, right = ((c[1:] - c[:-1]) ** 2).sum(axis=-1), ((c[:, 1:] - c[:, :-1]) ** 2).sum(axis=-1)
    both = np.concatenate([down.reshape(-1), right.reshape(-1)])
    spread = 2 * both.mean() if both.size and both.mean() > 0 else 1.0
    return smoothness * np.exp(-down / spread), smoothness * np.exp(-right / spread)


def cut(to_object: Array, to_ground: Array, down: Array, right: Array) -> tuple[Array, float]:
    """(labels (H, W), True for the object; their cost): the labelling with the smallest sum of unary and parted links.

    Costs >= 0: of calling a pixel object, of calling it ground, of parting neighbours below and to the right. The source stands for
    "object": cutting its edge to a pixel costs ``to_ground`` of it. Pixels that are indifferent become ground.
    """
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import breadth_first_order, maximum_flow

    h, w = to_object.shape
    number = np.arange(h * w).reshape(h, w)
    source, sink = h * w, h * w + 1

    def whole(v: Array) -> Array:
        return np.asarray(np.minimum(np.rint(np.asarray(v).reshape(-1) * UNITS), 2**31 - 1).astype(np.int32))

    ends: list[tuple[Any, Any, Array]] = [
        (np.full(h * w, source), number.reshape(-1), whole(to_ground)), (number.reshape(-1), np.full(h * w, sink), whole(to_object))]
    for one, other, cost in ((number[:-1], number[1:], down), (number[:, :-1], number[:, 1:], right)):
        ends += [(one.reshape(-1), other.reshape(-1), whole(cost)), (other.reshape(-1), one.reshape(-1), whole(cost))]
    rows, columns, costs = (np.concatenate([e[k] for e in ends]) for k in range(3))
    graph = coo_matrix((costs, (rows, columns)), shape=(h * w + 2,) * 2).tocsr()
    found = maximum_flow(graph, source, sink)
    residual = graph - found.flow
    residual.data[residual.data < 0] = 0
    residual.eliminate_zeros()
    reached = breadth_first_order(residual, source, return_predecessors=False)
    labels = np.zeros(h * w + 2, dtype=bool)
    labels[reached] = True
    return np.asarray(labels[:-2].reshape(h, w)), found.flow_value / UNITS


def _largest(mask: Array) -> Array:
    from scipy.ndimage import label

    parts, count = label(mask)
    if count < 2:
        return np.asarray(mask)
    sizes = np.bincount(parts.reshape(-1))[1:]
    return np.asarray(parts == 1 + int(sizes.argmax()))


def box(mask: Array) -> tuple[int, int, int, int] | None:
    """(top, left, bottom, right) of the True pixels, ends excluded; None where there are none.

    >>> box(np.array([[False, False, False], [False, True, True]]))
    (1, 1, 2, 3)
    """
    if not mask.any():
        return None
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def overlap(one: Sequence[int], other: Sequence[int]) -> float:
    """Intersection over union of two boxes (top, left, bottom, right)."""
    top, left, bottom, right = max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])
    both = max(bottom - top, 0) * max(right - left, 0)
    either = sum((b[2] - b[0]) * (b[3] - b[1]) for b in (one, other)) - both
    return both / either if either else 0.0


# ----- a control that knows no model --------------------------------------------------------------------------------


def global_contrast(image: Array) -> Array:
    """S(p) = Σ_q |I_p - I_q| over all pixels q, channels added: a map that no network enters, which any attribution must beat.

    image (N, C, H, W) -> (N, 1, H, W). By the histogram, Σ_n F_n |I_p - n|: sorted values and their running sums give it in
    O(P log P). Source: the global contrast of static saliency (zhai2006, reconstruction).
    """
    x = np.asarray(image)
    if x.ndim != 4:
        raise ShapeError(f"global_contrast compares the pixels of images (N, C, H, W), and this has shape {x.shape}")
    x = x if x.dtype.kind in "fO" else x.astype(float)
    out = filled((len(x), 1, *x.shape[2:]), 0, x)
    for n, c in np.ndindex(x.shape[:2]):
        values = x[n, c].reshape(-1)
        order = np.argsort(values, kind="stable")
        ranked = values[order]
        below, count, ranks = np.cumsum(ranked) - ranked, len(values), np.arange(len(values))
        spread = ranked * ranks - below + (ranked.sum() - below - ranked) - ranked * (count - ranks - 1)
        out[n, 0].reshape(-1)[order] += spread
    return out
