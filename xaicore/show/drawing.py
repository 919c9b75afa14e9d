"""Line drawings as SVG without styles: a waterfall that sums, bars, a curve, a signal with its attribution, the books of a pass.

They stand on pages under a policy that forbids inline styles, so that colours are attributes. Texts are escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

from xaicore.errors import InputError
from xaicore.numerics import Array
from xaicore.show.heatmap import colours, finite, symmetric_limit
from xaicore.show.table import clean
from xaicore.trace import Ledger

INK, FAINT, LINE = "#19191e", "#5f5f69", "#cdcdd4"
FOR, AGAINST = "#b8392c", "#2f6fb5"
"""Red for, blue against; the sign also stands in the number, for whoever sees no difference."""


class Drawing(str):
    """The text of an SVG, which a notebook draws, on white."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        return f'<div style="background:#fff;overflow-x:auto;padding:6px">{self}</div>'


def svg(width: int, height: int, parts: Sequence[str], title: str) -> Drawing:
    """The parts on one sheet; ``title`` is what a screen reader says."""
    size = f'viewBox="0 0 {width} {height}" width="{width}" height="{height}"'
    return Drawing(f'<svg xmlns="http://www.w3.org/2000/svg" class="drawing" {size} role="img" font-family="system-ui, sans-serif" '
                   f'font-size="12"><title>{escape(clean(title))}</title>{"".join(parts)}</svg>')


def text(x: float, y: float, words: str, anchor: str = "start", ink: str = INK) -> str:
    """Words that start, end or have their middle at x."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{ink}">{escape(clean(words))}</text>'


def _box(x: float, y: float, width: float, height: float, fill: str, hint: str = "") -> str:
    inner = f"<title>{escape(clean(hint))}</title>" if hint else ""
    return f'<rect x="{x:.2f}" y="{y:.2f}" width="{max(width, 0.5):.2f}" height="{height:.2f}" fill="{fill}">{inner}</rect>'


def line(points: Sequence[tuple[float, float]], ink: str = INK, wide: float = 1) -> str:
    """A line through points."""
    return f'<polyline fill="none" stroke="{ink}" stroke-width="{wide}" points="{" ".join(f"{x:.2f},{y:.2f}" for x, y in points)}"/>'


def steps(values: Any, most: int = 12) -> list[tuple[str, float]]:
    """What a waterfall shows: (index, value) of the largest ``most``, then the sum of the others; they add up to the sum of all."""
    x = finite(values).reshape(-1)
    order = sorted(range(len(x)), key=lambda i: -abs(x[i]))
    shown = [(str(i), float(x[i])) for i in order[:most]]
    rest = [float(x[i]) for i in order[most:]]
    return [*shown, *([(f"{len(rest)} others", sum(rest))] if rest else [])]


def waterfall(
    values: Any, names: Sequence[str] = (), start: float = 0.0, end: float | None = None, most: int = 12, title: str = "",
) -> Drawing:
    """From ``start`` to ``end``, value by value, the largest first; what the sum leaves to ``end`` is a bar of its own (the gap).

    InputError where there are names, and not one for each value.
    """
    size = finite(values).size
    if names and len(names) != size:
        raise InputError(f"{len(names)} names were given for {size} values; one for each is expected")
    bars = [(names[int(k)] if names and k.isdigit() else f"[{k}]" if k.isdigit() else k, v) for k, v in steps(values, most)]
    reached = start + sum(v for _, v in bars)
    if end is not None and abs(end - reached) > 1e-9 * max(1.0, abs(end), abs(start)):
        bars.append(("not attributed", end - reached))
    places, at = [], start
    for _, v in bars:
        places.append((at, at + v))
        at += v
    low, high = min([start, *(min(p) for p in places)]), max([start, *(max(p) for p in places)])
    width, left, right, step = 640, 150, 70, 22

    def place(v: float) -> float:
        return left + (v - low) / ((high - low) or 1) * (width - left - right)

    parts = [text(left - 8, 15, "start", "end", FAINT), line([(place(start), 4), (place(start), 20)], FAINT, 2),
             text(place(start) + 5, 15, f"{start:.5g}", ink=FAINT)]
    for k, ((name, v), (a, b)) in enumerate(zip(bars, places)):
        y = 24 + k * step
        fill = FAINT if name == "not attributed" else FOR if v >= 0 else AGAINST
        long = abs(place(b) - place(a))
        parts += [text(left - 8, y + 13, name[:22], "end"), _box(place(min(a, b)), y, long, 16, fill, f"{name}: {v:.6g}"),
                  text(place(max(a, b)) + 5, y + 13, f"{v:+.4g}"), line([(place(b), y + 16), (place(b), y + step)], LINE)]
    y = 24 + len(bars) * step
    parts += [text(left - 8, y + 13, "end", "end", FAINT), line([(place(at), y), (place(at), y + 16)], FAINT, 2),
              text(place(at) + 5, y + 13, f"{at:.5g}", ink=FAINT)]
    return svg(width, y + 22, parts, title or f"waterfall from {start:.5g} to {at:.5g}")


def curve(points: Sequence[tuple[float, float]], title: str = "", width: int = 420, height: int = 180) -> Drawing:
    """A curve through (α, f) with its ends in numbers, and a dot (class "dot") that a script may move along ``data-points``."""
    if len(points) < 2:
        raise InputError(f"a curve needs two points at least; got {len(points)}")
    fs = [f for _, f in points]
    low, high = min(0.0, *fs), max(0.0, *fs)
    first, last = points[0][0], points[-1][0]
    along, up = (width - 60) / ((last - first) or 1), (height - 40) / ((high - low) or 1)
    places = [(44 + (a - first) * along, 12 + (high - f) * up) for a, f in points]
    zero = 12 + high * up
    parts = [line([(44, zero), (width - 16, zero)], LINE), text(38, zero + 4, "0", "end", FAINT), line(places, FOR, 2),
             text(38, places[-1][1] + 4, f"{fs[-1]:.3g}", "end"), text(44, height - 8, f"α = {first:.3g}", ink=FAINT),
             text(width - 16, height - 8, f"α = {last:.3g}", "end", FAINT)]
    at = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
    parts.append(f'<circle class="dot" r="4" fill="{INK}" cx="{places[-1][0]:.1f}" cy="{places[-1][1]:.1f}" data-points="{at}"/>')
    return svg(width, height, parts, title or "f along the way from the baseline to the input")


def signal(x: Array, values: Array, title: str = "", width: int = 760, height: int = 90) -> Drawing:
    """(C, L) signals as lines, each with its attribution as coloured bars under it."""
    x, values = finite(x), finite(values)
    if x.shape != values.shape or x.ndim != 2:
        raise InputError(f"a signal (C, L) and its attribution have one shape; got {x.shape} and {values.shape}")
    limit, (count, long) = symmetric_limit(values), x.shape
    parts = []
    for c in range(count):
        top, low, high = c * height, float(x[c].min()), float(x[c].max())
        inks = ["#" + "".join(f"{int(v):02x}" for v in rgb) for rgb in colours(values[c], limit)]
        wide = (width - 8) / long
        parts += [_box(4 + k * wide, top + height - 22, wide + 0.3, 16, ink, f"[{c},{k}]: {values[c, k]:.4g}")
                  for k, ink in enumerate(inks)]
        up = (height - 36) / ((high - low) or 1)
        parts.append(line([(4 + (k + 0.5) * wide, top + 6 + (high - float(v)) * up) for k, v in enumerate(x[c])]))
    return svg(width, count * height, parts, title or "signal and attribution")


def books(ledger: Ledger, sample: int = 0, title: str = "", width: int = 640) -> Drawing:
    """The ledger as bars: what arrived at each node from the output down, and in grey beside it what it kept."""
    rows = [(e.node.name, float(e.arrived[sample]), float(e.absorbed[sample])) for e in ledger]
    limit = max([abs(a) for _, a, _ in rows] + [abs(k) for *_, k in rows] + [1e-300])
    middle, half = 340, 220
    parts = [line([(middle, 4), (middle, 8 + 20 * len(rows))], LINE)]
    for k, (name, a, kept) in enumerate(rows):
        y = 8 + 20 * k
        long, short = abs(a) / limit * half, abs(kept) / limit * half
        fill = FOR if a >= 0 else AGAINST
        parts += [text(110, y + 12, name[:18], "end"), _box(middle - (long if a < 0 else 0), y, long, 11, fill, f"{name}: {a:.6g}"),
                  _box(middle - (short if kept < 0 else 0), y + 11, short, 3, FAINT, f"absorbed {kept:.4g}"),
                  text(width - 4, y + 12, f"{a:.4g}", "end")]
    return svg(width, 16 + 20 * len(rows), parts, title or "what arrived at each node, and what it kept")
