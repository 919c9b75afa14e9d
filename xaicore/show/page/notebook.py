"""A result in a notebook: the input, its map with sum and scale, the way through the layers; static pictures and text, no script."""

from __future__ import annotations

from html import escape

from xaicore.methods.attribution import Attribution
from xaicore.show import drawing, table
from xaicore.show.heatmap import finite, symmetric_limit, view_of
from xaicore.show.page import drawn, films_of, inputs_of
from xaicore.show.page.flow import input_view
from xaicore.show.sheet import number
from xaicore.show.table import Table, clean

FIGURE = ('<figure style="display:inline-block;margin:0 1em .5em 0;vertical-align:top;font-size:.85em;max-width:14em">{}'
          '<figcaption>{}</figcaption></figure>')
PICTURE = '<img src="{}" alt="{}" style="width:{}px;image-rendering:pixelated;border:1px solid #cdcdd4;background:#fff">'


def fragment(a: Attribution, sample: int = 0) -> str:
    """HTML of one sample: what ``Attribution._repr_html_`` gives."""
    lines = [escape(clean(line)) for line in str(a).splitlines()]
    parts = [f"<div><p><b>{lines[0]}</b><br>{'<br>'.join(lines[1:])}</p>"]
    parts += [FIGURE.format(PICTURE.format(p.src, escape(p.alt), 150), escape(p.title)) for p in inputs_of(a, sample)]
    for name in a.values:
        v = view_of(a, name, sample)
        limit = symmetric_limit(v.cells)
        title = escape(clean(f"{a.method} [{name}]" if len(a.values) > 1 else a.method))
        if v.kind == "bars" and name in a.feeds and input_view(a, name, sample) == "bars":
            start = 0.0 if a.baseline_output is None else float(a.baseline_output[sample])
            whole = table.sums_up(a) and len(a.values) == 1
            parts.append(drawing.waterfall(finite(a.values[name][sample]), (), start, float(a.output[sample]) if whole else None))
        else:
            picture = PICTURE.format(drawn(v, limit), title, 150)
            parts.append(FIGURE.format(picture, f"{title}: sum {number(float(v.cells.sum()))}, scale ±{number(limit)}"))
    if table.passes_on(a):
        film = films_of(a.method, a, sample)
        strip = "".join(FIGURE.format(PICTURE.format(p.src, escape(p.alt), 72), f"{escape(p.title)}<br>{escape(p.line)}")
                        for p in film.pictures)
        parts.append(f"<details><summary>layer by layer</summary>{strip}{_table(film.ledger)}</details>")
    return "".join([*parts, "</div>"])


def _table(t: Table) -> str:
    head = "".join(f"<th>{escape(c.title)}</th>" for c in t.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in t.cells())
    return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
