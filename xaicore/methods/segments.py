"""Over-segmentation of an image: Felzenszwalb's graph-based regions at several scales, a grid, or regions that the user gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.methods.curved import blurred
from xaicore.methods.sweep import chosen, whole
from xaicore.numerics import Array

SCALES = (50, 100, 150, 250, 500, 1200)
SIDE = 224
"""Scales, and the side of the square images that they, a blur of 0.8, at least 150 pixels for a region and 5 for its growth are meant
for. On other images areas are scaled by the area, lengths by the shorter side."""


def regions(given: Any, x: Array, name: str) -> list[Array]:
    """Masks (S, H, W), True inside, for every sample of x (N, C, H, W); they may overlap and need not cover all.

    given   "felzenszwalb": the regions of six scales, each grown a little;  a number n, or one for each axis: a grid of so many parts;
            labels (H, W), or (N, H, W); boolean masks (S, H, W), or (N, S, H, W)
    """
    space = x.shape[2:]
    if isinstance(given, str):
        chosen("segments", given, ("felzenszwalb",))
        if len(space) != 2:
            raise InputError(f"segments='felzenszwalb' is for images of two axes, and input {name!r} has {len(space)}; give a number of "
                             f"parts, labels or masks")
        return [np.concatenate([_grown(_masks(labels), space) for labels in _all_scales(one.astype(float))]) for one in x]
    if isinstance(given, (int, np.integer)) or (isinstance(given, tuple) and len(given) == len(space)):
        return [_masks(grid(space, given))] * len(x)
    return _as_given(given, x, name)


def grid(space: Sequence[int], parts: Any) -> Array:
    """Labels of a grid of ``parts`` (a number, or one for each axis) parts, as equal as whole pixels allow."""
    counts = list(parts) if isinstance(parts, tuple) else [parts] * len(space)
    labels = np.zeros(tuple(space), dtype=int)
    for axis, (n, k) in enumerate(zip(space, counts)):
        k = min(whole("segments", k, 1), n)
        along = np.arange(n) * k // n
        labels = labels * k + along.reshape(-1, *(1,) * (len(space) - 1 - axis))
    return labels


def _as_given(given: Any, x: Array, name: str) -> list[Array]:
    a, space, n = np.asarray(given), x.shape[2:], len(x)
    if a.dtype == bool and a.shape[-len(space):] == space and a.size and a.ndim in (len(space) + 1, len(space) + 2):
        if a.ndim == len(space) + 1:
            return [a] * n
        if len(a) == n:
            return list(a)
    if a.dtype.kind in "iu" and a.shape == space:
        return [_masks(a)] * n
    if a.dtype.kind in "iu" and a.shape == (n, *space):
        return [_masks(one) for one in a]
    if a.dtype.kind not in "iub":
        raise InputError(f"segments has dtype {a.dtype}; labels are whole numbers, masks are booleans")
    shown = ", ".join(map(str, space))
    raise ShapeError(f"segments of input {name!r} has shape {a.shape}; labels ({shown}) or ({n}, {shown}), or boolean masks "
                     f"(S, {shown}) or ({n}, S, {shown}) are expected")


def _masks(labels: Array) -> Array:
    return np.stack([labels == k for k in np.unique(labels)])


def _grown(masks: Array, space: tuple[int, ...]) -> Array:
    """Each mask with all pixels within 5/224 of the shorter side."""
    radius = round(5 * min(space) / SIDE)
    out = masks.copy()
    for dy, dx in product(range(-radius, radius + 1), repeat=2):
        if 0 < dy * dy + dx * dx <= radius * radius:
            to_y, from_y = _overlap(dy, space[0])
            to_x, from_x = _overlap(dx, space[1])
            out[:, to_y, to_x] |= masks[:, from_y, from_x]
    return out


def _overlap(d: int, n: int) -> tuple[slice, slice]:
    return slice(max(d, 0), min(n, n + d)), slice(max(-d, 0), min(n, n - d))


# ----- Felzenszwalb and Huttenlocher ------------------------------------------------------------------------------


def _all_scales(image: Array) -> Iterator[Array]:
    """The label images of SCALES for one image (C, H, W), which is brought to [-1, 1] first."""
    low, high = image.min(), image.max()
    level = (image - low) / (high - low) * 2 - 1 if high > low else image * 0
    share = image.shape[1] * image.shape[2] / SIDE**2
    for k in SCALES:
        yield felzenszwalb(level, k / 255 * share, 0.8 * min(image.shape[1:]) / SIDE, max(1, round(150 * share)))


def felzenszwalb(image: Array, scale: float, sigma: float = 0.8, min_size: int = 20) -> Array:
    """Labels (H, W) of regions of an image (C, H, W): pixels are joined along edges from the lightest on, two regions when the
    edge between them is no heavier than the heaviest inside either, plus scale / its size; then regions smaller than min_size
    are joined to a neighbour. An edge joins two of the eight neighbours, its weight is their Euclidean distance over channels.

    Source: felzenszwalb2004. Same as: skimage.segmentation.felzenszwalb, which divides its scale by 255 (equal weights may be taken in
    another order).
    """
    smooth = blurred(image[None], sigma, "reflect", False)[0]
    height, width = image.shape[1:]
    number = np.arange(height * width).reshape(height, width)
    ends: list[tuple[Array, Array]] = []
    weights = []
    for dy, dx in ((0, 1), (1, 0), (1, 1), (1, -1)):
        here = (slice(0, height - dy), slice(max(0, -dx), width - max(0, dx)))
        there = (slice(dy, height), slice(max(0, dx), width + min(0, dx)))
        ends.append((number[here].reshape(-1), number[there].reshape(-1)))
        weights.append(np.sqrt(((smooth[(slice(None), *here)] - smooth[(slice(None), *there)]) ** 2).sum(axis=0)).reshape(-1))
    first, second, weight = np.concatenate([a for a, _ in ends]), np.concatenate([b for _, b in ends]), np.concatenate(weights)
    order = np.argsort(weight, kind="stable")
    edges = list(zip(first[order].tolist(), second[order].tolist(), weight[order].tolist()))
    parent, size, inside = list(range(height * width)), [1] * (height * width), [0.0] * (height * width)

    def root(p: int) -> int:
        while parent[p] != p:
            parent[p] = parent[parent[p]]
            p = parent[p]
        return p

    def join(p: int, q: int) -> None:
        parent[q] = p
        size[p] += size[q]

    for a, b, w in edges:
        p, q = root(a), root(b)
        if p != q and w <= min(inside[p] + scale / size[p], inside[q] + scale / size[q]):
            join(p, q)
            inside[p] = w
    for a, b, _ in edges:
        p, q = root(a), root(b)
        if p != q and min(size[p], size[q]) < min_size:
            join(p, q)
    labels = np.array([root(p) for p in range(height * width)])
    return np.unique(labels, return_inverse=True)[1].reshape(height, width)
