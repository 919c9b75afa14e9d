"""What has one axis: text whose characters or tokens carry the colour of their attribution, a signal with its attributions under it.

Colours and scales are those of heatmap.py; a picture never changes the numbers, and says its scale.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from PIL import Image, ImageDraw

from xaicore.errors import InputError, ShapeError
from xaicore.numerics import Array
from xaicore.show.heatmap import colours, finite, symmetric_limit
from xaicore.show.sheet import FAINT, GAP, INK, LINE, drawable, font, number

WIDTH = 920                                           # pixels of a picture
SHOWN = {"\n": "↵", "\t": "→", "\r": "←", " ": "\u00a0"}
DRAWN = {"\n": "\\n", "\t": "\\t", "\r": "\\r"}
PAGE = """<!DOCTYPE html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{font: 15px/1.7 sans-serif; max-width: 60em; margin: 2em auto; padding: 0 1em}}
h1 {{font-size: 1.2em}}
h2 {{font-size: .85em; font-weight: normal; color: #5f5f69; margin-bottom: .2em}}
p {{margin-top: 0; font-family: monospace; overflow-wrap: anywhere}}
span {{padding: .15em 0}}
</style>
{body}
<p style="color: #5f5f69">red speaks for the explained value, blue against it</p>
</html>
"""


@dataclass(frozen=True, eq=False)
class Coloured:
    """One text and one attribution of it: ``tokens`` (characters, words, pieces), a number for each, and what to write above.

    Raises ShapeError when the two differ in length, InputError for no token and for a number that is not finite.
    """

    title: str
    tokens: Sequence[str]
    values: Array

    def __post_init__(self) -> None:
        if not len(self.tokens):
            raise InputError(f"{self.title!r} has no tokens, so there is nothing to colour")
        values = finite(self.values, f"the attribution {self.title!r}")
        if values.shape != (len(self.tokens),):
            raise ShapeError(f"{self.title!r} has {len(self.tokens)} tokens and values of shape {values.shape}; one number for each token "
                             f"is expected: sum an embedding's axes first")
        object.__setattr__(self, "values", values)

    def limit(self) -> float:
        """The scale of the colours."""
        return symmetric_limit(self.values)

    def heading(self, limit: float) -> str:
        """ "lrp.epsilon   sum 1.25   scale ±0.5"."""
        return f"{self.title}   sum {number(float(self.values.sum()))}   scale ±{number(limit)}"


# ----- text -------------------------------------------------------------------------------------------------------------


def text_html(rows: Sequence[Coloured], title: str = "", joiner: str = "") -> str:
    """A page of its own: every token in a box of its colour, the number as its tooltip; a newline is shown and ends the line.

    ``joiner`` stands between tokens.
    """
    body = []
    for row in _given(rows):
        limit = row.limit()
        inks = _inks(row.values, limit)
        spans = []
        for token, value, (back, ink) in zip(row.tokens, row.values, inks):
            text = escape("".join(SHOWN.get(c, c) for c in token))
            end = "<br>" if token.endswith("\n") else "<wbr>" if token.isspace() else ""
            spans.append(f'<span style="background:{back};color:{ink}" title="{value:.4g}">{text}</span>{end}')
        body.append(f"<h2>{escape(row.heading(limit))}</h2>\n<p>{joiner.join(spans)}</p>")
    head = f"<h1>{escape(title)}</h1>\n" if title else ""
    return PAGE.format(title=escape(title or "attribution"), body=head + "\n".join(body))


def text_image(rows: Sequence[Coloured], title: str = "", width: int = WIDTH, gap: int = 0, size: int = 15) -> Image.Image:
    """The same as a picture; ``gap`` pixels stand between tokens. What Pillow's own font has no shape for is drawn as "?"."""
    letters, small = font(size), font(12)
    pen = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    high = size + 8
    blocks = []
    for row in _given(rows):
        places, x, y = [], GAP, 0
        for token in row.tokens:
            word = drawable("".join(DRAWN.get(c, c) for c in token))
            w = max(4, round(pen.textlength(word, font=letters)))
            if x + w > width - GAP and x > GAP:
                x, y = GAP, y + high + 2
            places.append((x, y, w, word))
            x, y = (GAP, y + high + 2) if token.endswith("\n") else (x + w + gap, y)
        blocks.append((row, places, places[-1][1] + high))
    top = 34 if title else GAP
    image = Image.new("RGB", (width, top + sum(26 + h + GAP for *_, h in blocks)), "white")
    pen = ImageDraw.Draw(image)
    if title:
        pen.text((GAP, 8), drawable(title), font=font(17), fill=INK)
    for row, places, height in blocks:
        limit = row.limit()
        pen.text((GAP, top), drawable(row.heading(limit)), font=small, fill=FAINT)
        for (x, y, w, word), (back, ink) in zip(places, _inks(row.values, limit)):
            pen.rectangle((x, top + 20 + y, x + w - 1, top + 20 + y + high - 1), fill=back)
            pen.text((x, top + 23 + y), word, font=letters, fill=ink)
        top += 26 + height + GAP
    return image


def _inks(values: Array, limit: float) -> list[tuple[str, str]]:
    """(background, letters) for each number; letters are white on dark colours."""
    found = []
    for r, g, b in colours(values, limit).tolist():
        light = 0.299 * r + 0.587 * g + 0.114 * b                           # luma of ITU-R BT.601
        found.append((f"#{r:02x}{g:02x}{b:02x}", "#19191e" if light > 120 else "#ffffff"))
    return found


def _given(rows: Sequence[Coloured]) -> Sequence[Coloured]:
    if not rows:
        raise InputError("there is no attribution to draw; give at least one Coloured")
    return rows


# ----- signals ----------------------------------------------------------------------------------------------------------


def signal_image(
    signal: Array, traces: Mapping[str, Array], title: str = "", duration: str = "", width: int = WIDTH, height: int = 90,
) -> Image.Image:
    """A signal (L,) as a line, and under it for each entry of ``traces`` (L,) its attribution as upright bars, red for and blue against.

    Where there are more samples than pixels, a bar is the sum of the attributions that it stands for, and the line spans their values.
    ``duration`` is written at the end of the axis ("64 ms"). Raises ShapeError for traces of another length.
    """
    x = finite(signal, "the signal")
    if x.ndim != 1 or len(x) < 2:
        raise ShapeError(f"the signal has shape {x.shape}; one axis of at least two samples is drawn: take one sample of the batch")
    values = {k: finite(v, f"the attribution {k!r}") for k, v in traces.items()}
    for k, v in values.items():
        if v.shape != x.shape:
            raise ShapeError(f"the attribution {k!r} has shape {v.shape}, the signal {x.shape}; sum its other axes first")
    columns = min(len(x), width - 2 * GAP)
    edges = np.linspace(0, len(x), columns + 1).astype(int)
    at: list[float] = (GAP + np.linspace(0, width - 2 * GAP, columns + 1)).tolist()
    top = 34 if title else GAP
    image = Image.new("RGB", (width, top + (height + 24) * (1 + len(values)) + GAP), "white")
    pen = ImageDraw.Draw(image)
    if title:
        pen.text((GAP, 8), drawable(title), font=font(17), fill=INK)
    size = float(np.abs(x).max()) or 1.0
    pen.text((GAP, top), f"signal   {number(float(x.min()))} to {number(float(x.max()))}", font=font(12), fill=FAINT)
    pen.text((width - GAP, top), duration or f"{len(x)} samples", font=font(12), fill=FAINT, anchor="ra")
    middle = top + 20 + height / 2
    pen.line((GAP, middle, width - GAP, middle), fill=LINE)
    spans = zip(np.minimum.reduceat(x, edges[:-1]).tolist(), np.maximum.reduceat(x, edges[:-1]).tolist())
    pen.line([(here, middle - height / 2 * v / size) for here, span in zip(at, spans) for v in dict.fromkeys(span)], fill=INK, width=1)
    for name, v in values.items():
        top += height + 24
        bars = np.add.reduceat(v, edges[:-1])
        limit = symmetric_limit(bars)
        pen.text((GAP, top), drawable(f"{name}   sum {number(float(v.sum()))}   scale ±{number(limit)}"), font=font(12), fill=FAINT)
        middle = top + 20 + height / 2
        share = np.clip(bars / limit, -1, 1)
        ink = colours(np.where(share >= 0, 0.75, -0.75), 1.0)               # the length says how much, the colour only the sign
        for column, s in enumerate(share.tolist()):
            upper, lower = sorted((middle, middle - s * height / 2))
            left, right = round(at[column]), max(round(at[column]), round(at[column + 1]) - 1)
            pen.rectangle((left, round(upper), right, round(lower)), fill=tuple(int(c) for c in ink[column]))
        pen.line((GAP, middle, width - GAP, middle), fill=LINE)
    return image
