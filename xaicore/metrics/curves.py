"""Curves of f while the features are taken away, or put back, in the order of the map; each metric is an area of one.

extras of all: "curve" (N, K), f after so many features, and "counts" (K,), how many. The explained number f is a logit unless
``output="probability"`` is asked for.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.methods.games import channel_axis
from xaicore.methods.segments import felzenszwalb
from xaicore.methods.sweep import chosen, whole
from xaicore.methods.task import Task
from xaicore.metrics.removal import counts_of, keeping, of_players, places, players, removing
from xaicore.metrics.statistics import area, descending
from xaicore.metrics.subject import Score, Subject, signed, space_of
from xaicore.numerics import Array

ORDERS = ("descending", "ascending")


def pixel_flipping(s: Subject, steps: int | None = 100, order: str = "descending", mask: Any = "positions", baseline: Any = 0,
                   seed: int = 0,
                   sign: str = "signed") -> Score:
    """The area under f(x with the first k features at the baseline), k over the order of a, the k axis scaled to [0, 1].

    steps  k takes so many equal steps up to the number of features; None: one feature at a time
    order  "descending": the most important first, small is good; "ascending": large is good
    baseline  0, or as ``players`` says: the paper flips binary pixels (give baseline=1 - x) and erases others

    Source: bach2015, section on pixel flipping (the curve; its area is later custom). Differs: Quantus starts its curve after the
    first step, and fills with the sample's minimum (baseline="minimum").
    """
    return _curve(s, steps, order, mask, baseline, seed, sign, removed=True)


def deletion(s: Subject, steps: int | None = 100, mask: Any = "positions", baseline: Any = 0, seed: int = 0, sign: str = "signed") -> Score:
    """The area under f while the most important features are deleted, from x to the baseline: small is good.

    Source: petsiuk2018, section 4.1, for probabilities and a grey filling (of images around 0). It is pixel flipping by definition.
    Differs: xplique takes 10 steps, torch-cam 20; the area over [0, 1] is the same scale.
    """
    return _curve(s, steps, "descending", mask, baseline, seed, sign, removed=True)


def insertion(s: Subject, steps: int | None = 100, mask: Any = "positions", baseline: Any = "blur", seed: int = 0,
              sign: str = "signed") -> Score:
    """The area under f while the most important features are put into the baseline, until x is whole: large is good.

    baseline  "blur" (the paper's canvas; for images), or another one

    Source: petsiuk2018, section 4.1.
    """
    if baseline == "blur" and any(v.ndim != 4 for k, v in s.task.feeds.items() if k in s.task.wrt):
        raise Inapplicable("insertion starts from a blurred image, and this input is none; give a baseline, such as baseline=0 or 'mean'")
    return _curve(s, steps, "descending", mask, baseline, seed, sign, removed=False)


def _curve(s: Subject, steps: int | None, order: str, mask: Any, baseline: Any, seed: int, sign: str, removed: bool) -> Score:
    chosen("order", order, ORDERS)
    g = players(s, mask, baseline, seed)
    a = signed(of_players(s, g), sign)
    counts = counts_of(g.count, steps)
    curve = (removing if removed else keeping)(g, descending(a if order == "descending" else -a), counts)
    return Score(area(curve, counts / g.count), {"curve": curve, "counts": counts})


def region_perturbation(s: Subject, window: Any = None, regions: int = 100, order: str = "descending", baseline: Any = "uniform",
                        repeats: int = 1,
                        seed: int = 0) -> Score:
    """AOPC = 1/(L + 1) Σ_{k=0}^{L} (f(x) - f(x with the first k regions replaced)): large is good for the most relevant first (MoRF).

    window   the side of the square regions, which do not overlap (those at the end may be smaller); default 9, the paper's, but at most a
             quarter of the shorter side
    regions  L; at most as many as there are
    order    "descending" (MoRF), "ascending" (LeRF)
    baseline  "uniform" noise over the sample's range, drawn ``repeats`` times (seed, seed + 1, ...) and averaged; or another filling

    Source: samek2017, eq. 12. Differs: Quantus gives f(x) - f of each step, its windows are 8 wide and filled with 0 by default.
    """
    chosen("order", order, ORDERS)
    labels = patches(s.task, s.name, window)
    total: Any = 0.0
    for r in range(whole("repeats", repeats, 1)):
        g = players(s, labels, baseline, seed + r)
        counts = np.arange(min(whole("regions", regions, 1), g.count) + 1)
        a = of_players(s, g)
        total = total + removing(g, descending(a if order == "descending" else -a), counts)
    curve = total / repeats
    f = np.asarray(s.task.result, dtype=float)
    return Score((f[:, None] - curve).mean(axis=1), {"curve": curve, "counts": counts})


def selectivity(s: Subject, window: Any = None, baseline: Any = 0, seed: int = 0) -> Score:
    """The area under f(x without the k most relevant patches), k from 0 to all, over [0, 1]: small is good.

    Source: montavon2018, section 7.2. Differs: Quantus fills with the minimum, and gives the curve.
    """
    g = players(s, patches(s.task, s.name, window), baseline, seed)
    counts = np.arange(g.count + 1)
    curve = removing(g, descending(of_players(s, g)), counts)
    return Score(area(curve), {"curve": curve, "counts": counts})


def patches(task: Task, name: str, window: Any) -> dict[str, Array] | str:
    """Labels of square patches of an image, each with all its channels; every feature of an input without space."""
    space, axis = space_of(task, name), channel_axis(task, name)
    if axis is None:
        return "entries"
    side = max(1, min(9, min(space) // 4)) if window is None else window
    sides = [whole("window", v, 1) for v in (side if isinstance(side, tuple) else (side,) * len(space))]
    if len(sides) != len(space):
        raise InputError(f"window={window!r} has {len(sides)} entries, and input {name!r} has {len(space)} axes of space")
    label = np.zeros(space, dtype=int)
    for k, (n, w) in enumerate(zip(space, sides)):
        label = label * -(-n // w) + (np.arange(n) // w).reshape(-1, *(1,) * (len(space) - 1 - k))
    return {name: np.array(np.broadcast_to(np.expand_dims(label, axis), task.feeds[name].shape[1:]))}


# ----- segments of each image -----------------------------------------------------------------------------------------


def irof(s: Subject, segments: Any = 8, area_of: str = "unit", baseline: Any = "mean", seed: int = 0) -> Score:
    """The area over f(x with the first k segments at their fill) / f(x): 1 - that area, large is good.

    segments  the regions of each image, removed in the order of the mean of a: a number of parts along each axis, labels (*S) or (N, *S),
              "felzenszwalb", or "slic" (scikit-image; 300 segments, compactness 10: the paper's kind)
    area_of   "unit": k scaled to [0, 1];  "steps": k itself, so that the score is at most the number of segments
    baseline  "mean" of each channel over the image, or another filling

    The paper explains probabilities (output="probability"). NaN where f(x) is 0. Source: rieger2020. Same as: Quantus IROF for "steps"; its
    curve lacks the start, so it is off by one step.
    """
    chosen("area_of", area_of, ("unit", "steps"))
    labels = segment(s, segments)
    out, curves = np.full(s.size, np.nan), []
    for n in range(s.size):
        one = s.sample(n)
        g = players(one, {s.name: labels[n]}, _row(baseline, one, n), seed)
        a = of_players(one, g) / g.sizes()
        curve = removing(g, descending(a), np.arange(g.count + 1))[0]
        curves.append(curve)
        if curve[0] != 0:
            over = 1 - area(curve / curve[0])
            out[n] = over if area_of == "unit" else over * g.count
    return Score(out, {"curves": curves, "labels": labels})


def _row(baseline: Any, one: Subject, n: int) -> Any:
    """A baseline of a batch, for sample n."""
    a = np.asarray(baseline) if not isinstance(baseline, (str, dict)) else None
    full = a is not None and a.ndim == one.task.feeds[one.name].ndim and len(a) > 1
    return a[n:n + 1] if full and a is not None else baseline


def segment(s: Subject, segments: Any) -> Array:
    """Labels (N, ...) in the shape of the input, each segment with all its channels."""
    name, task = s.name, s.task
    x, axis, space = task.feeds[name], channel_axis(task, name), space_of(task, name)
    if isinstance(segments, str):
        if segments not in ("felzenszwalb", "slic"):
            raise UnknownName(f"segments={segments!r}: a number of parts, labels, 'felzenszwalb' or 'slic'")
        if axis is None or len(space) != 2:
            raise InputError(f"segments={segments!r} is for images, and input {name!r} has shape {x.shape}; "
                             f"give a number of parts, or labels")
        images = np.moveaxis(np.asarray(x, dtype=float), axis + 1, 1)
        flat = np.stack([_segmented(one, segments) for one in images])
    elif isinstance(segments, (int, np.integer)) and not isinstance(segments, bool):
        label = np.zeros(space, dtype=int)
        for k, n in enumerate(space):
            parts = min(whole("segments", segments, 1), n)
            label = label * parts + (np.arange(n) * parts // n).reshape(-1, *(1,) * (len(space) - 1 - k))
        flat = np.broadcast_to(label, (len(x), *space))
    else:
        flat = s.about(segments, "segments", int).reshape(len(x), *space)
    return np.array(np.broadcast_to(flat if axis is None else np.expand_dims(flat, axis + 1), x.shape))


def _segmented(image: Array, how: str) -> Array:
    low, high = image.min(), image.max()
    level = (image - low) / (high - low) if high > low else image * 0
    if how == "felzenszwalb":
        share = image[0].size / 224**2
        return felzenszwalb(2 * level - 1, 250 / 255 * share, 0.8 * min(image.shape[1:]) / 224, max(1, round(150 * share)))
    try:
        from skimage.segmentation import slic
    except ImportError:
        raise Inapplicable("segments='slic' needs scikit-image (pip install 'xaicore[segment]'); 'felzenszwalb' is built in") from None
    return np.asarray(slic(np.moveaxis(level, 0, -1), n_segments=300, compactness=10, channel_axis=-1, start_label=0))


# ----- ROAD -------------------------------------------------------------------------------------------------------------


def road(s: Subject, shares: Any = (0.1, 0.3, 0.5, 0.7, 0.9), order: str = "descending", measure: str = "accuracy", sigma: float = 0.01,
         seed: int = 0) -> Score:
    """Mean over shares p of the accuracy (or of f) with the top p of pixels imputed by their neighbours: small is good for "descending".

    An imputed pixel is the weighted mean of its neighbours, 1/6 for each beside and 1/12 for each diagonal one (at the border in these
    proportions), all of them solved for at once, plus normal noise of ``sigma``: no mask shows, unlike with a constant filling.
    measure  "accuracy": 1 where the target's class is still the largest, else 0; "f": the explained number
    order    "descending", "ascending", or "combined": half the difference (ascending - descending), large is good

    extras: "curve" (N, K). Noise of share k by default_rng([seed, k]). Source: rong2022, section 4 (noisy linear imputation;
    weights as in the authors' code). Differs: pytorch-grad-cam reports "combined" of f at 10 ... 90 %.
    """
    chosen("order", order, (*ORDERS, "combined"))
    chosen("measure", measure, ("accuracy", "f"))
    if order == "combined":
        up, down = (road(s, shares, o, measure, sigma, seed) for o in ("ascending", "descending"))
        return Score((up.values - down.values) / 2, {"ascending": up.extras["curve"], "descending": down.extras["curve"]})
    name, task = s.name, s.task
    x, axis, space = task.feeds[name], channel_axis(task, name), space_of(task, name)
    if axis is None or len(space) != 2 or x.dtype.kind != "f":
        raise Inapplicable(f"ROAD imputes pixels of an image from their neighbours, and input {name!r} has shape {x.shape}")
    at = np.asarray(shares, dtype=float).reshape(-1)
    if not at.size or (at < 0).any() or (at > 1).any():
        raise InputError(f"shares={shares!r} must be numbers from 0 to 1")
    a = s.positions()
    place = places(descending(a if order == "descending" else -a))
    images = np.moveaxis(x, axis + 1, 1)
    columns = []
    for k, p in enumerate(at):
        gone = (place < round(float(p) * a.shape[1])).reshape(len(x), *space)
        noise = sigma * np.random.default_rng([seed, k]).standard_normal(images.shape[1:])
        filled = np.stack([imputed(one, hole, noise) for one, hole in zip(images, gone)])
        columns.append(_measured(task, {name: np.ascontiguousarray(np.moveaxis(filled, 1, axis + 1)).astype(x.dtype)}, measure))
    curve = np.stack(columns, axis=1)
    return Score(curve.mean(axis=1), {"curve": curve, "shares": at})


def _measured(task: Task, feeds: dict[str, Array], measure: str) -> Array:
    from xaicore.graph.run import evaluate

    out = []
    for at in range(0, task.size, task.batch_size):
        part = slice(at, at + task.batch_size)
        value = evaluate(task.graph, {k: v[part] for k, v in {**task.feeds, **feeds}.items()}, keep=[task.value])[task.value]
        if measure == "f":
            out.append(np.asarray(task.scores(value, np.arange(task.size)[part]), dtype=float))
            continue
        if value.ndim != 2 or value.shape[1] < 2:
            raise Inapplicable(f"measure='accuracy' is about classes, and the explained value has shape {value.shape}; choose measure='f'")
        out.append((value.argmax(axis=1) == task.weights[part].argmax(axis=1)).astype(float))
    return np.concatenate(out)


NEIGHBOURS = tuple((dy, dx, 1 / 6 if dy * dx == 0 else 1 / 12) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx)


def imputed(image: Array, gone: Array, noise: Array) -> Array:
    """An image (C, H, W) whose pixels in ``gone`` (H, W) are the weighted means of their neighbours, plus noise there. All of it
    gone: noise around 0."""
    from scipy.sparse import csr_matrix
    from scipy.sparse.linalg import spsolve

    out = np.array(image, dtype=float)
    if not gone.any():
        return out
    if gone.all():
        return np.asarray(noise, dtype=float)
    height, width = gone.shape
    number = np.full(gone.shape, -1)
    number[gone] = np.arange(gone.sum())
    ys, xs = np.nonzero(gone)
    rows, columns, entries = [number[ys, xs]], [number[ys, xs]], [np.zeros(len(ys))]
    known = np.zeros((len(ys), len(image)))
    for dy, dx, w in NEIGHBOURS:
        ny, nx = ys + dy, xs + dx
        inside = (ny >= 0) & (ny < height) & (nx >= 0) & (nx < width)
        own, ny, nx = number[ys, xs][inside], ny[inside], nx[inside]
        entries[0][own] += w
        hole = gone[ny, nx]
        rows.append(own[hole])
        columns.append(number[ny, nx][hole])
        entries.append(np.full(int(hole.sum()), -w))
        np.add.at(known, own[~hole], w * image[:, ny[~hole], nx[~hole]].T)
    matrix = csr_matrix((np.concatenate(entries), (np.concatenate(rows), np.concatenate(columns))), shape=(len(ys), len(ys)))
    solved = np.asarray(spsolve(matrix.tocsc(), known)).reshape(len(ys), -1)
    out[:, ys, xs] = solved.T + noise[:, ys, xs]
    return out


__all__ = ["deletion", "imputed", "insertion", "irof", "patches", "pixel_flipping", "region_perturbation", "road", "segment", "selectivity"]
