"""Pictures that are no maps: made images, patches and neighbours in rows with their captions; samples at their place in a plane."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from xaicore.errors import InputError
from xaicore.numerics import Array
from xaicore.show.heatmap import RGB
from xaicore.show.sheet import FAINT, GAP, INK, LINE, drawable, fit, font


@dataclass(frozen=True, eq=False)
class Shown:
    """One picture: pixels (C, H, W) or already drawn (H, W, 3) bytes, and what stands above it."""

    pixels: Any
    title: str = ""
    line: str = ""


def drawn(pixels: Any, bounds: tuple[float, float] | None = None, stretch: float = 0.0) -> RGB:
    """(C, H, W) as bytes (H, W, 3): black and white are ``bounds``, or the smallest and the largest value where none are given.

    stretch  this share of the values at either end may lie beyond black and white, which are then set inside the range; for made
             images, whose contrast is no part of what they say. One channel is grey, three are RGB, others are averaged
    """
    x = np.asarray(pixels, dtype=float)
    if x.ndim != 3 or not np.isfinite(x).all():
        raise InputError(f"a picture is finite numbers (C, H, W), not of shape {x.shape}")
    x = x if len(x) in (1, 3) else x.mean(axis=0, keepdims=True)
    low, high = bounds or (float(x.min()), float(x.max()))
    if stretch > 0:
        inner = np.quantile(x, [stretch, 1 - stretch])
        low, high = float(inner[0]), float(inner[1])
    t = np.clip((x - low) / (high - low), 0, 1) if high > low else np.full_like(x, 0.5)
    return np.repeat(np.rint(255 * t.transpose(1, 2, 0)).astype(np.uint8), 3 // len(x), axis=2)


def mosaic(pictures: Sequence[Shown], columns: int, box: int = 112, title: str = "") -> Image.Image:
    """Rows of ``columns`` pictures, each enlarged with hard edges or reduced to fit ``box`` x ``box``, in reading order."""
    if not pictures:
        raise InputError("there is nothing to draw")
    caption = 30 if any(p.line for p in pictures) else 17 if any(p.title for p in pictures) else 0
    tiles = [fit(p.pixels if np.asarray(p.pixels).dtype == np.uint8 else drawn(p.pixels), box) for p in pictures]
    columns = min(columns, len(tiles))
    rows = -(-len(tiles) // columns)
    heights = [max(t.height for t in tiles[r * columns:(r + 1) * columns]) for r in range(rows)]
    top = 28 if title else GAP // 2
    image = Image.new("RGB", (GAP + columns * (box + GAP), top + sum(h + caption + GAP for h in heights)), "white")
    pen = ImageDraw.Draw(image)
    if title:
        pen.text((GAP, 6), drawable(title), font=font(14), fill=INK)
    y = top
    for r, height in enumerate(heights):
        for c, tile in enumerate(tiles[r * columns:(r + 1) * columns]):
            one, x = pictures[r * columns + c], GAP + c * (box + GAP)
            pen.text((x, y), _cut(pen, drawable(one.title), box, 12), font=font(12), fill=INK)
            pen.text((x, y + 14), _cut(pen, drawable(one.line), box, 11), font=font(11), fill=FAINT)
            image.paste(tile, (x, y + caption))
            pen.rectangle((x - 1, y + caption - 1, x + tile.width, y + caption + tile.height), outline=LINE)
        y += height + caption + GAP
    return image


def plane(points: Array, pictures: Sequence[Any], size: int = 720, thumb: int = 40, labels: Sequence[str] = ()) -> Image.Image:
    """Every sample's picture (or its label, where it is none) at its place in the plane, (N, 2); rows go down with the second number."""
    low, high = points.min(axis=0), points.max(axis=0)
    at = (points - low) / np.maximum(high - low, 1e-12) * (size - thumb - 2 * GAP) + GAP
    image = Image.new("RGB", (size, size), "white")
    pen = ImageDraw.Draw(image)
    for n, (x, y) in enumerate(at):
        place = (round(x), round(y))
        if n < len(pictures) and np.ndim(pictures[n]) == 3:
            image.paste(fit(drawn(pictures[n]), thumb), place)
        else:
            pen.ellipse((place[0], place[1], place[0] + 6, place[1] + 6), fill=INK)
        if n < len(labels):
            pen.text((place[0] + 9, place[1] - 4), drawable(labels[n]), font=font(11), fill=INK)
    return image


def _cut(pen: ImageDraw.ImageDraw, text: str, width: int, size: int) -> str:
    while text and pen.textlength(text, font=font(size)) > width:
        text = text[:-1]
    return text
