"""A small network with every number of a backward pass: units with value and signal, and what each hands to each."""

from __future__ import annotations

from dataclasses import dataclass
from html import escape
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.unit import Unit, passage_of, unit_of, values_of
from xaicore.rules.ruleset import RuleSet
from xaicore.show.drawing import AGAINST, FAINT, FOR, INK, LINE, Drawing, line, svg, text
from xaicore.show.table import clean

LARGEST = 64
"""Units that still can be read."""
KEEPS = ("relevance", "multiplier", "probability")
"""What is passed on is a share of what came, so that there is something to keep; a gradient is not."""
WORDS = {"cotangent": "gradient", "multiplier": "contribution"}


@dataclass(frozen=True)
class _Place:
    """A unit and where it is drawn."""

    unit: Unit
    x: float
    y: float


def neurons(a: Attribution, sample: int = 0, rules: RuleSet | None = None, title: str = "", wide: int = 190) -> Drawing:
    """Units as circles, inputs to the left: the value inside, the signal under it, and, in grey, what the unit keeps of it.

    A line is a message of the backward pass, red for positive and blue for negative, its number near the unit that sends it, its width
    in proportion to the largest. ``rules``: of a result that your own rule set made. ``wide``: pixels from layer to layer.
    Raises Inapplicable where the method is not one backward pass of a rule set, InputError for more than 64 units.
    """
    p = passage_of(a, sample, rules)
    names = list(reversed(values_of(p)))
    count = sum(p.trace[n][0].size for n in names)
    if count > LARGEST:
        raise InputError(f"{a.graph.name or 'the graph'} has {count} units, and a drawing of more than {LARGEST} cannot be read; "
                         f"xaicore view draws large networks layer by layer")
    nodes = {n.name: n for n in p.trace.graph.nodes}
    depth: dict[str, int] = {}
    for name in [*p.trace.wrt, *(n.name for n in p.trace.graph.nodes if n.name in names)]:
        behind = [depth[i] for i in nodes[name].inputs if i in depth] if name in nodes else []
        depth[name] = max(behind, default=-1) + 1
    columns = [[(n, tuple(map(int, k))) for n in names if depth[n] == d for k in np.ndindex(p.trace[n].shape[1:])]
               for d in range(max(depth[n] for n in names) + 1)]
    height = 62 + 84 * max(len(c) for c in columns)
    places: dict[tuple[str, tuple[int, ...]], _Place] = {}
    for d, column in enumerate(columns):
        for k, (name, index) in enumerate(column):
            y = 46 + (height - 62) * (k + 0.5) / len(column)
            places[name, index] = _Place(unit_of(p, name, index), 60 + wide * d, y)
    sent = [(one, places[t.value, t.index], float(t.passed)) for one in places.values() for t in one.unit.terms
            if (t.value, t.index) in places and t.passed is not None]
    most = max([abs(v) for *_, v in sent], default=0.0) or 1.0
    parts = [_wire(_between(start, end, wide), v, most) for start, end, v in sent]
    parts += [_label(_between(start, end, wide), v, 0.22 + 0.16 * (sum(start.unit.index) % 2)) for start, end, v in sent if v]
    parts += [_circle(one, p.rules.carrier in KEEPS) for one in places.values()]
    parts += [text(60 + wide * d, 16, ", ".join(dict.fromkeys(n for n, _ in c)), "middle", FAINT) for d, c in enumerate(columns)]
    carried = WORDS.get(p.rules.carrier, p.rules.carrier)
    return svg(120 + wide * (len(columns) - 1), height, parts, title or f"{a.method}: value and {carried} of each unit of {a.graph.name}")


def _number(v: Any) -> str:
    return f"{float(v) + 0.0:.4g}"


def _between(start: _Place, end: _Place, wide: int) -> list[tuple[float, float]]:
    """The way of a message, from the unit that sends it: straight to the next layer, in an arch over the layers that it skips."""
    skipped = (start.x - end.x) / wide - 1
    steps = np.linspace(0, 1, 2 if skipped < 0.5 else 25)
    arch = 0 if skipped < 0.5 else 42
    across, down = start.x - end.x - 40, end.y - start.y
    return [(start.x - 20 - t * across, start.y + t * down - arch * 4 * t * (1 - t)) for t in map(float, steps)]


def _wire(way: list[tuple[float, float]], amount: float, most: float) -> str:
    ink = LINE if not amount else FOR if amount > 0 else AGAINST
    return line(way, ink, round(1 + 5 * abs(amount) / most, 2))


def _label(way: list[tuple[float, float]], amount: float, at: float) -> str:
    (x0, y0), (x1, y1) = (way[0], way[-1]) if len(way) == 2 else (way[6], way[8])
    x, y = x0 + at * (x1 - x0), y0 + at * (y1 - y0)
    words = _number(amount)
    size = 7 * len(words) + 4
    back = f'<rect x="{x - size / 2:.1f}" y="{y - 8:.1f}" width="{size}" height="16" fill="#ffffff" rx="3"/>'
    return back + text(x, y + 4, words, "middle", FOR if amount > 0 else AGAINST)


def _circle(one: _Place, keeps: bool) -> str:
    u = one.unit
    hint = clean(f"{u.value}{list(u.index)}: value {_number(u.y)}, signal {_number(u.signal)}")
    ring = f'<circle cx="{one.x:.1f}" cy="{one.y:.1f}" r="20" fill="#ffffff" stroke="{INK}"><title>{escape(hint)}</title></circle>'
    ink = FAINT if not u.signal else FOR if u.signal > 0 else AGAINST
    kept = keeps and u.kind != "input" and abs(float(u.absorbed)) > 1e-9 * max(1.0, abs(float(u.signal)))
    return (ring + text(one.x, one.y + 4, _number(u.y), "middle") + text(one.x, one.y + 34, _number(u.signal), "middle", ink)
            + (text(one.x, one.y + 48, f"keeps {_number(u.absorbed)}", "middle", FAINT) if kept else ""))
