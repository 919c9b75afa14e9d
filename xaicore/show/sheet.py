"""The contact sheet: input and attribution maps side by side as one PNG, each with its method, its sum and its scale."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.propagate import channels_last
from xaicore.methods.table import METHODS
from xaicore.numerics import Array
from xaicore.show.curve import curve_of
from xaicore.show.heatmap import RGB, View, colours, overlay, photograph, photograph_of, symmetric_limit, view, view_of
from xaicore.show.lovi import lovi_of
from xaicore.show.table import targets

BOX = 224                                             # pixels: 28 for each of an 8 x 8 map, one for each of a usual photograph
CAPTION = 38
GAP = 14
LARGEST = 60_000_000                                  # pixels of a sheet; more is no picture to look at

INK, FAINT, LINE = (25, 25, 30), (95, 95, 105), (205, 205, 212)


@dataclass(frozen=True, eq=False)
class Tile:
    """One picture of a sheet with its two lines of text."""

    picture: Image.Image
    title: str
    line: str


# ----- drawing one map ----------------------------------------------------------------------------------------------


def draw(v: View, limit: float, picture: RGB | None = None, box: int = BOX) -> Image.Image:
    """A view as an image that fits ``box`` x ``box``; over ``picture`` when one is given."""
    if v.kind == "bars":
        return bars(v.cells, limit, box)
    if picture is not None and v.kind == "image":
        return fit(overlay(v.cells, enlarged(picture, v.cells.shape), limit), box)
    if v.kind == "cells":                                               # rows and columns have their own size in a table
        rows, columns = (max(1, box // n) for n in v.cells.shape)
        return fit(np.repeat(np.repeat(colours(v.cells, limit), rows, axis=0), columns, axis=1), box)
    return fit(colours(v.cells, limit), box)


def enlarged(picture: RGB, shape: tuple[int, ...]) -> RGB:
    """The picture with at least the cells of the map over it, by repeating its pixels."""
    times = [max(1, -(-cells // size)) for cells, size in zip(shape, picture.shape)]
    return np.repeat(np.repeat(picture, times[0], axis=0), times[1], axis=1)


def fit(rgb: RGB, box: int = BOX) -> Image.Image:
    """Enlarged by a whole number with hard edges, or reduced by averaging, to fit ``box`` x ``box``."""
    image = Image.fromarray(np.ascontiguousarray(rgb))
    factor = box // max(image.size)
    if factor >= 1:
        return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
    share = box / max(image.size)
    return image.resize((max(1, round(image.width * share)), max(1, round(image.height * share))), Image.Resampling.BOX)


def bars(values: Array, limit: float, box: int = BOX, signs: bool = True) -> Image.Image:
    """Signed bars from a zero line: to the right and labelled by index for up to 24 entries, upright and thin for more.

    ``signs``: red and blue; without them (an input, which speaks neither for nor against) grey.
    """
    n = len(values)
    share = np.clip(values / limit, -1, 1)
    ink = colours(np.where(share >= 0, 0.75, -0.75), 1.0)               # the length says how much, the colour only the sign
    if not signs:
        ink = np.full_like(ink, FAINT[0])
    if n > 24:
        width = max(1, box // n)
        image = Image.new("RGB", (n * width, box), "white")
        pen = ImageDraw.Draw(image)
        for k, s in enumerate(share):
            top, bottom = sorted((box / 2, box / 2 * (1 - s)))
            pen.rectangle((k * width, top, (k + 1) * width - 1, bottom), fill=tuple(int(c) for c in ink[k]))
        pen.line((0, box // 2, image.width, box // 2), fill=LINE)
        return image if image.width <= box else image.resize((box, box), Image.Resampling.BOX)
    height = min(26, max(9, box // n))
    image = Image.new("RGB", (box, height * n), "white")
    pen, letters = ImageDraw.Draw(image), font(min(12, height - 1))
    margin = int(pen.textlength(str(n - 1), font=letters)) + 6
    middle, reach = (margin + box) / 2, (box - margin) / 2 - 1
    for k, s in enumerate(share):
        left, right = sorted((middle, middle + reach * s))
        pen.rectangle((left, k * height + 1, right, (k + 1) * height - 2), fill=tuple(int(c) for c in ink[k]))
        pen.text((margin - 5, k * height + height / 2), str(k), font=letters, fill=FAINT, anchor="rm")
    pen.line((middle, 0, middle, image.height), fill=LINE)
    return image


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font."""
    return ImageFont.load_default(size)


def drawable(text: str) -> str:
    """What Pillow's own font has a shape for; "?" for the rest.

    >>> drawable("sum ±1 of Σ")
    'sum ±1 of ?'
    """
    return "".join(c if (c.isascii() and c.isprintable()) or c in "±·" else "?" for c in text)


# ----- the sheet ----------------------------------------------------------------------------------------------------


def number(v: float) -> str:
    """Five significant digits: what a caption has room for."""
    return f"{float(v):.5g}"


def tiles_of(results: Mapping[str, Attribution], sample: int, over: bool = False, shared: bool = False) -> list[Tile]:
    """The input of one sample, then a tile for each result and input.

    over     draw the maps over the input picture
    shared   one scale for all tiles instead of one for each
    """
    first = next(iter(results.values()))
    tiles = [input_tile(first, name, sample) for name in first.feeds if name in first.graph.float_inputs]
    views = {(label, name): view_of(a, name, sample) for label, a in results.items() for name in a.values}
    common = max(symmetric_limit(v.cells) for v in views.values()) if shared else None
    for (label, name), v in views.items():
        a = results[label]
        limit = symmetric_limit(v.cells) if common is None else common
        part = f"sum {number(float(v.cells.sum()))}"
        title = label if len(a.values) == 1 else f"{label} [{name}]"
        tiles.append(Tile(draw(v, limit, photograph_of(a, name, sample) if over else None), title, f"{part}   scale ±{number(limit)}"))
        layers = lovi_of(a, name, sample)
        if layers is not None:
            tiles.append(Tile(fit(layers), f"{title}, by layer", "hue: from purple, early, to red, late"))
    for label, a in results.items():
        path = curve_of(a, sample)
        if path is not None:
            ends = f"{number(float(a.extras['curve'][sample].min()))} to {number(float(a.extras['curve'][sample].max()))}"
            tiles.append(Tile(path, f"{label}: f on the way", f"f from {ends}"))
    return tiles


def input_tile(a: Attribution, name: str, sample: int) -> Tile:
    """The input itself, without colours that would speak for or against: a picture, grey cells or grey bars."""
    image, line = input_image(a, name, sample)
    return Tile(image, input_name(a, name), line)


def input_name(a: Attribution, name: str) -> str:
    """ "input", with its name where there are several; for what a method explains at a layer, the layer's value."""
    own = a.method in METHODS and METHODS[a.method].layer == "own"       # a map is made at a layer, of the input
    if name in a.values and a.settings.get("layer") is not None and not own:
        return f"value of {name!r}"
    return "input" if len(a.feeds) == 1 else f"input {name!r}"


def input_image(a: Attribution, name: str, sample: int) -> tuple[Image.Image, str]:
    """The drawing of an input, and its size and range in words."""
    x = a.feeds[name][sample]
    picture = photograph_of(a, name, sample)
    v = view(x, channels_last(a.graph.meta, name), f"input {name!r}")
    line = f"{v.shape}, {number(float(x.min()))} to {number(float(x.max()))}"
    if picture is not None:
        return fit(picture), line
    if v.kind == "bars":
        return bars(v.cells, symmetric_limit(v.cells), signs=False), line
    grey = photograph(v.cells[None])
    assert grey is not None
    rows, columns = (max(1, BOX // n) for n in v.cells.shape)
    return fit(np.repeat(np.repeat(grey, rows, axis=0), columns, axis=1)), line


def contact_sheet(
    results: Mapping[str, Attribution], title: str = "", columns: int = 5, over: bool = False, shared: bool = False,
    samples: Sequence[int] | None = None,
) -> Image.Image:
    """All results (label -> Attribution of the same batch) as one RGB image: a block of tiles for each sample.

    Its width is columns x (BOX + GAP) + GAP, or less when there are fewer tiles than columns. Raises InputError for no
    result, and for a sheet of more than LARGEST pixels.
    """
    if not results:
        raise InputError("a contact sheet needs at least one attribution")
    size = len(next(iter(results.values())).output)
    rows = list(range(size)) if samples is None else list(samples)
    per_sample = len(results) + 1
    columns = max(2, min(columns, per_sample))
    if (per_sample / columns + 1) * len(rows) * columns * BOX * (BOX + CAPTION) > LARGEST:
        raise InputError(f"a contact sheet of {len(rows)} samples and {len(results)} maps would have too many pixels to look at; "
                         f"explain fewer samples at once, or write .npz")
    blocks = [_block(tiles_of(results, n, over, shared), _heading(results, n, size), columns) for n in rows]
    head = _line(drawable(title), 17, INK, width=blocks[0].width) if title else None
    return stacked([*([head] if head else []), *blocks, _legend(blocks[0].width, shared)])


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file; the same image gives the same bytes."""
    out = io.BytesIO()
    image.save(out, "PNG", optimize=True)
    return out.getvalue()


def _heading(results: Mapping[str, Attribution], sample: int, size: int) -> str:
    a = next(iter(results.values()))
    what = a.explained if size == 1 else f"sample {sample}, target {targets(a)[sample]}"
    return f"{what}   f(x) = {number(float(a.output[sample]))}"


def _block(tiles: Sequence[Tile], heading: str, columns: int) -> Image.Image:
    rows = -(-len(tiles) // columns)
    heights = [max(t.picture.height for t in tiles[r * columns:(r + 1) * columns]) for r in range(rows)]
    width = GAP + columns * (BOX + GAP)
    image = Image.new("RGB", (width, 30 + sum(h + CAPTION + GAP for h in heights)), "white")
    pen = ImageDraw.Draw(image)
    pen.text((GAP, 6), _shortened(pen, drawable(heading), width - 2 * GAP, 15), font=font(15), fill=INK)
    y = 30
    for r, height in enumerate(heights):
        for c, tile in enumerate(tiles[r * columns:(r + 1) * columns]):
            x = GAP + c * (BOX + GAP)
            pen.text((x, y), _shortened(pen, drawable(tile.title), BOX, 13), font=font(13), fill=INK)
            pen.text((x, y + 17), _shortened(pen, drawable(tile.line), BOX, 12), font=font(12), fill=FAINT)
            image.paste(tile.picture, (x, y + CAPTION))
            pen.rectangle((x - 1, y + CAPTION - 1, x + tile.picture.width, y + CAPTION + tile.picture.height), outline=LINE)
        y += height + CAPTION + GAP
    return image


def _shortened(pen: ImageDraw.ImageDraw, text: str, width: int, size: int) -> str:
    """The text, cut at its end with "..." where it does not fit."""
    if pen.textlength(text, font=font(size)) <= width:
        return text
    while text and pen.textlength(text + "...", font=font(size)) > width:
        text = text[:-1]
    return text + "..."


def _line(text: str, size: int, ink: tuple[int, int, int], width: int) -> Image.Image:
    image = Image.new("RGB", (width, size + 14), "white")
    pen = ImageDraw.Draw(image)
    pen.text((GAP, 8), _shortened(pen, text, width - 2 * GAP, size), font=font(size), fill=ink)
    return image


def _legend(width: int, shared: bool) -> Image.Image:
    """The colour bar with its words."""
    image = Image.new("RGB", (width, 34), "white")
    pen = ImageDraw.Draw(image)
    bar = Image.fromarray(np.repeat(colours(np.linspace(-1, 1, 161), 1.0)[None], 12, axis=0))
    pen.text((GAP, 9), "against", font=font(12), fill=FAINT)
    image.paste(bar, (GAP + 52, 10))
    pen.rectangle((GAP + 51, 9, GAP + 52 + bar.width, 22), outline=LINE)
    words = "for      one scale for all maps" if shared else "for      each map has its own scale"
    pen.text((GAP + 58 + bar.width, 9), _shortened(pen, words, width - 2 * GAP - 58 - bar.width, 12), font=font(12), fill=FAINT)
    return image


def stacked(images: Sequence[Image.Image]) -> Image.Image:
    """One below the other, on white."""
    whole = Image.new("RGB", (max(i.width for i in images), sum(i.height for i in images)), "white")
    y = 0
    for one in images:
        whole.paste(one, (0, y))
        y += one.height
    return whole
