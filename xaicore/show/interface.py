"""Pages for what is no attribution map: a semantic dictionary to point at, a timeline of a sequence. One file each, nothing loaded, no
script.

Names come from model files, so everything is escaped.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from PIL import Image

from xaicore.errors import ShapeError
from xaicore.numerics import Array
from xaicore.represent.dictionary import Dictionary
from xaicore.represent.sequence import Timeline
from xaicore.show.pictures import drawn

STYLE = """body{font:15px/1.45 system-ui,sans-serif;color:#19191e;max-width:60rem;margin:2rem auto;padding:0 1rem}
h1{font-size:1.3rem}.note{color:#5f5f69}img{image-rendering:pixelated}figure{margin:0}
.board{position:relative;line-height:0;max-width:100%}.board>img{display:block;width:100%;height:auto}
.cell{position:absolute;border:1px solid transparent;box-sizing:border-box}.cell:hover,.cell:focus{border-color:#8c0e24;outline:none}
.card{display:none;position:absolute;left:calc(100% + 8px);top:0;z-index:2;background:#fff;border:1px solid #cdcdd4;padding:.5rem .7rem;
line-height:1.4;white-space:nowrap}.cell:hover .card,.cell:focus .card{display:block}
.card td{padding:0 .5rem 0 0;text-align:right}.card img{vertical-align:middle}.frames{display:flex;flex-wrap:wrap;gap:6px}
.frames figure{text-align:center;font-size:12px}.mark{font-weight:600;color:#8c0e24}svg{max-width:100%}
@media(max-width:56rem){.card{position:fixed;left:.5rem;right:.5rem;bottom:.5rem;top:auto}}"""
MARK = ' class="mark"'
INKS = ("#8c0e24", "#1f6f8b", "#c98a1b", "#4f7a28", "#7a4aa0", "#5f5f69", "#b2557d", "#2f2f9e")
"""Colours of groups, in their order; the last ones come again where there are more."""


def dictionary_page(found: Dictionary, picture: Array, title: str, icons: Mapping[int, Array] | None = None, size: int = 448) -> str:
    """The input with a grid over it; pointing at a cell (or reaching it by Tab) shows the channels that are most active there.

    picture  (C, H, W), the sample;  icons channel -> (C, h, w), such as visualize.icons makes
    Raises ShapeError for positions that are no rows and columns. The cell with the longest vector is marked by its number below.
    """
    if found.norms.ndim != 2:
        raise ShapeError(f"a board needs rows and columns; the positions have shape {found.norms.shape}")
    rows, columns = found.norms.shape
    high, wide = 100 / rows, 100 / columns
    top = float(found.norms.max()) or 1.0
    cells = []
    for i, j in np.ndindex(rows, columns):
        lines = "".join(
            f"<tr><td>{_icon(icons, int(c))}</td><td>channel {int(c)}</td><td>{float(v):.4g}</td></tr>"
            for c, v in zip(found.channels[i, j], found.values[i, j]))
        shade = 0.55 * (1 - float(found.norms[i, j]) / top)
        cells.append(
            f'<div class="cell" tabindex="0" style="left:{j * wide:.3f}%;top:{i * high:.3f}%;width:{wide:.3f}%;height:{high:.3f}%;'
            f'background:rgba(255,255,255,{shade:.2f})"><div class="card"><b>row {i}, column {j}</b>, length {float(found.norms[i, j]):.4g}'
            f"<table>{lines}</table></div></div>")
    board = (f'<div class="board" style="width:{size}px"><img src="{uri(picture)}" alt="the input">{"".join(cells)}</div>')
    note = (f"Point at a cell, or walk through them with the Tab key. A cell is the paler, the shorter its activation vector; the longest "
            f"is at row {found.start[0]}, column {found.start[1]}.")
    return _page(title, f'<p class="note">{note}</p>{board}')


def timeline_page(line: Timeline, title: str, frames: Sequence[Any] = (), names: Sequence[str] = ()) -> str:
    """The value over time, what each group adds and what they leave at every step, the advantage where there is one, the frames.

    frames  pictures (C, H, W), one a step;  names of the groups
    """
    steps, count = line.groups.shape
    labels = [names[g] if g < len(names) else f"group {g}" for g in range(count)]
    curves = {"value": (line.values, INKS[0])}
    if line.advantages is not None:
        curves["advantage"] = (line.advantages, INKS[1])
    parts = {label: (line.groups[:, g], INKS[g % len(INKS)]) for g, label in enumerate(labels)}
    parts["rest"] = (line.residual, "#cdcdd4")
    body = [f"<h2>Value</h2>{_chart(curves, line.bookmarks)}", f"<h2>What each group adds</h2>{_chart(parts, line.bookmarks)}"]
    marked = ", ".join(f'<a href="#step{k}">step {k}</a>' for k in line.bookmarks)
    body.append(f'<p class="note">Worth a look: {marked or "nothing"}.</p>')
    if len(frames):
        if len(frames) != steps:
            raise ShapeError(f"{len(frames)} frames for {steps} steps; one for each is expected")
        shown = "".join(
            f'<figure id="step{k}"><img src="{uri(one)}" width="80" alt="step {k}"><figcaption{MARK if k in line.bookmarks else ""}>'
            f"{k}: {line.values[k]:.3g}</figcaption></figure>" for k, one in enumerate(frames))
        body.append(f'<div class="frames">{shown}</div>')
    return _page(title, "".join(body))


def _chart(curves: Mapping[str, tuple[Array, str]], marks: Sequence[int], width: int = 720, height: int = 180) -> str:
    """Lines over the steps on one scale, with a line at 0 and the names in their colours."""
    everything = np.concatenate([v for v, _ in curves.values()])
    low, high = min(0.0, float(everything.min())), max(0.0, float(everything.max()))
    span = high - low or 1.0
    steps = len(next(iter(curves.values()))[0])

    def at(k: int, v: float) -> str:
        return f"{10 + k * (width - 20) / max(steps - 1, 1):.1f},{10 + (high - v) / span * (height - 20):.1f}"

    zero = at(0, 0.0).split(",")[1]
    lines = [f'<line x1="10" x2="{width - 10}" y1="{zero}" y2="{zero}" stroke="#cdcdd4"/>']
    for x in (at(k, 0.0).split(",")[0] for k in marks):
        lines.append(f'<line x1="{x}" x2="{x}" y1="10" y2="{height - 10}" stroke="#e7e7ec"/>')
    lines += [f'<polyline fill="none" stroke="{ink}" stroke-width="2" points="{" ".join(at(k, float(x)) for k, x in enumerate(v))}"/>'
              for v, ink in curves.values()]
    words = " ".join(f'<span style="color:{ink}">&#9632;</span> {escape(name)}' for name, (_, ink) in curves.items())
    return (f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(", ".join(curves))}">{"".join(lines)}</svg>'
            f'<p class="note">{words}, from {low:.3g} to {high:.3g}</p>')


def uri(pixels: Any) -> str:
    """A picture (C, H, W) as the address of itself."""
    out = io.BytesIO()
    Image.fromarray(drawn(pixels)).save(out, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode("ascii")


def _icon(icons: Mapping[int, Array] | None, channel: int) -> str:
    if icons is None or channel not in icons:
        return ""
    return f'<img src="{uri(icons[channel])}" width="48" height="48" alt="what channel {channel} responds to">'


def _page(title: str, body: str) -> str:
    return ('<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
            f"<title>{escape(title)}</title>"
            f'<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; img-src data:; style-src \'unsafe-inline\'">'
            f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>{body}</body></html>")
