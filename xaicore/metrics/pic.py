"""Performance information curves: how f recovers with the information in a picture that is blurred but for its salient pixels."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.passes import extend
from xaicore.graph.run import evaluate
from xaicore.methods.games import channel_axis
from xaicore.methods.sweep import chosen
from xaicore.metrics.removal import places
from xaicore.metrics.statistics import descending
from xaicore.metrics.subject import Score, Subject, space_of
from xaicore.numerics import Array
from xaicore.ops import Softmax

THRESHOLDS = (0.005, 0.01, 0.02, 0.03, 0.04, 0.05, 0.07, 0.10, 0.13, 0.21, 0.34, 0.50, 0.75)


def sic(s: Subject, thresholds: Any = THRESHOLDS, keep: float = 0.01, least: float = 0.8, format: str = "png", seed: int = 0) -> Score:
    """Softmax information curve: the area under (p(picture) - p(blurred)) / (p(x) - p(blurred)) over the picture's information.

    The picture is x where the map is among its top t, and elsewhere x interpolated linearly from a random share ``keep`` of its
    pixels and its corners. Its information is its size in bytes after lossless compression, scaled so that the blurred picture has 0 and
    x has 1. Both are cut to [0, 1], the curve is made to rise, and ends are (0, 0) and (1, 1).
    least   samples whose p(x) is below are left out (NaN), as are those where p(blurred) is not below p(x)
    format  "png" (Pillow) or "zlib", of 8-bit pixels

    Needs an image with 1 or 3 channels and an output of classes. Source: kapishnikov2019, section 4. Differs: the authors' code measures
    size as WebP, whose bytes depend on the version of libwebp.
    """
    return _pic(s, thresholds, keep, least, format, seed, accuracy=False)


def aic(s: Subject, thresholds: Any = THRESHOLDS, keep: float = 0.01, least: float = 0.8, format: str = "png", seed: int = 0) -> Score:
    """Accuracy information curve: as ``sic``, with 1 where the target's class is the largest, and 0 elsewhere, for p.

    Source: kapishnikov2019, section 4.
    """
    return _pic(s, thresholds, keep, least, format, seed, accuracy=True)


def _pic(s: Subject, thresholds: Any, keep: float, least: float, format: str, seed: int, accuracy: bool) -> Score:
    chosen("format", format, ("png", "zlib"))
    name, task = s.name, s.task
    x, axis, space = task.feeds[name], channel_axis(task, name), space_of(task, name)
    if axis is None or len(space) != 2 or x.shape[axis + 1] not in (1, 3):
        raise Inapplicable(f"an information curve is for images of 1 or 3 channels, and input {name!r} has shape {x.shape}")
    at = np.sort(np.asarray(thresholds, dtype=float).reshape(-1))
    if not at.size or at[0] <= 0 or at[-1] > 1:
        raise InputError(f"thresholds={thresholds!r} must be shares of the pixels, above 0 and at most 1")
    images = np.moveaxis(np.asarray(x, dtype=float), axis + 1, 1)
    order = places(descending(s.positions())).reshape(len(x), *space)
    values, curves = np.full(len(x), np.nan), []
    for n, image in enumerate(images):
        start = interpolated(image, known_pixels(space, keep, seed))
        tops = [order[n] < round(float(t) * order[n].size) for t in at]
        shown = np.stack([start, *(np.where(top, image, start) for top in tops), image])
        p = _of_class(s, n, np.ascontiguousarray(np.moveaxis(shown, 1, axis + 1)).astype(x.dtype), accuracy)
        low, high = image.min(), image.max()
        bits = np.array([information(one, low, high, format) for one in shown], dtype=float)
        sure = _of_class(s, n, x[n:n + 1], False)[0]
        curve = pic_curve(p, bits) if sure >= least else None
        curves.append(curve)
        if curve is not None:
            values[n] = float((np.diff(curve[0]) * (curve[1][1:] + curve[1][:-1]) / 2).sum())
    return Score(values, {"curves": curves})


def known_pixels(space: tuple[int, int] | tuple[int, ...], keep: float, seed: int) -> Array:
    """The pixels that are kept from the beginning: a random share, drawn by default_rng(seed), and the corners."""
    if not 0 < keep <= 1:
        raise InputError(f"keep={keep!r} is a share of the pixels: above 0 and at most 1")
    known = np.zeros(space, dtype=bool)
    flat = np.random.default_rng(seed).permutation(known.size)[:max(1, round(keep * known.size))]
    known.reshape(-1)[flat] = True
    known[::space[0] - 1 or 1, ::space[1] - 1 or 1] = True
    return known


def interpolated(image: Array, known: Array) -> Array:
    """An image (C, H, W) from its known pixels, linearly on the triangles between them (Delaunay)."""
    from scipy.interpolate import griddata

    points = np.argwhere(known)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in known.shape), indexing="ij"), axis=-1)
    filled = griddata(points, image[:, known].T, grid, method="linear")
    return np.asarray(np.where(known, image, np.moveaxis(filled, -1, 0)))


def information(image: Array, low: float, high: float, format: str) -> int:
    """The bytes of a picture (C, H, W) in 8 bits between low and high, compressed without loss."""
    from xaicore.metrics.complexity import packed

    levels = np.round(255 * np.clip((image - low) / (high - low or 1), 0, 1), 9)          # so that no rounding decides a half
    grey = np.rint(levels).astype(np.uint8)
    if format == "zlib":
        return len(zlib.compress(grey.tobytes(), 9))
    return len(packed(grey[0] if len(grey) == 1 else np.moveaxis(grey, 0, -1), "png"))


def pic_curve(p: Array, bits: Array) -> tuple[Array, Array] | None:
    """(information, performance) from 0 to 1, rising in both; None where the first of p or bits is not below the last."""
    if p[0] >= p[-1] or bits[0] >= bits[-1]:
        return None
    x = np.clip((bits - bits[0]) / (bits[-1] - bits[0]), 0, 1)
    y = np.clip((p - p[0]) / (p[-1] - p[0]), 0, 1)
    order = np.argsort(x, kind="stable")
    at, level = np.concatenate([[0.0], x[order], [1.0]]), np.concatenate([[0.0], y[order], [1.0]])
    return at, np.maximum.accumulate(level)


def _of_class(s: Subject, n: int, shown: Array, accuracy: bool) -> Array:
    """p of the target's class at M pictures, or whether it is the largest."""
    task = s.task
    graph, value = task.graph, task.value
    if task.output == "logit":
        graph, value = extend(task.graph, lambda b: b.add(Softmax(-1), task.value))
    rows = np.full(len(shown), n)
    feeds = {k: shown if k == s.name else v[rows] for k, v in task.feeds.items()}
    out = np.concatenate([evaluate(graph, {k: v[at:at + task.batch_size] for k, v in feeds.items()}, keep=[value])[value]
                          for at in range(0, len(shown), task.batch_size)])
    if out.ndim != 2 or out.shape[1] < 2:
        raise Inapplicable(f"an information curve is about classes, and the explained value has shape {out.shape}")
    out = np.asarray(out, dtype=float)
    if task.output == "log_probability":
        out = np.exp(out)
    label = int(np.asarray(task.weights[n], dtype=float).argmax())
    return (out.argmax(axis=1) == label).astype(float) if accuracy else out[:, label]


__all__ = ["THRESHOLDS", "aic", "information", "interpolated", "known_pixels", "pic_curve", "sic"]
