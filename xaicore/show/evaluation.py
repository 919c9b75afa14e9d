"""An evaluation as a table and as a picture: methods down, metrics across, each cell coloured by its rank among the methods."""

from __future__ import annotations

from collections.abc import Sequence

from PIL import Image, ImageDraw

from xaicore.metrics.evaluate import Evaluation
from xaicore.show.sheet import FAINT, GAP, INK, LINE, drawable, font, number
from xaicore.show.table import Column, Table, figure

CELL, ROW, LABEL = 62, 26, 12
BEST, WORST, PLAIN = (33, 102, 172), (247, 247, 247), (255, 255, 255)
ARROWS = {"larger": "+", "smaller": "-", "neither": "."}


def scores(e: Evaluation, digits: int = 4) -> Table:
    """The means over the samples; a heading ends with + where larger is better, with - where smaller is."""
    columns = [Column("method"), *(figure(k, "\n".join([*k.split("."), ARROWS[r.better]]), digits) for k, r in e.metrics.items())]
    return Table(columns, [[m, *row] for m, row in e.rows()], title=f"{e.explained}" if e.explained else "", notes=_notes(e))


def _notes(e: Evaluation) -> list[str]:
    notes = ["+ larger is better, - smaller is better, . neither; - in a cell: see the reasons (--reasons)" if e.reasons() else
             "+ larger is better, - smaller is better, . neither"]
    document = e.document()["scores"]
    partly = [f"{v['method']} by {v['metric']} ({v['undefined']})" for v in document if v.get("undefined")]
    if partly:
        shown = ", ".join(partly[:6]) + (f" and {len(partly) - 6} more" if len(partly) > 6 else "")
        notes.append(f"not defined for some samples, which the mean leaves out: {shown}")
    return notes


def reasons(e: Evaluation) -> Table:
    """Why there is no number."""
    return Table([Column("method"), Column("metric"), Column("reason", long=True)], [[m, k, v] for (m, k), v in e.reasons().items()])


def listing(e: Evaluation) -> Table:
    """Method by method: how often it is the first among those that know nothing of a model, and the mean of its ranks."""
    judged = [k for k, r in e.metrics.items() if r.better != "neither"]
    ranks = {k: e.ranking(k) for k in judged}
    rows = []
    for m in e.methods:
        own = [ranks[k][m] for k in judged if m in ranks[k]]
        rows.append([m, sum(own) / len(own) if own else None, len(own)])
    rows.sort(key=lambda r: float("inf") if r[1] is None else float(str(r[1])))
    return Table([Column("method"), figure("mean_rank", digits=3), Column("metrics", right=True)], rows,
                 notes=["a mean over metrics that measure different things; not a verdict"])


def chart(e: Evaluation, title: str = "") -> Image.Image:
    """The scores as a picture: blue is the best of its column, pale the worst; grey where there is no number."""
    metrics = list(e.metrics)
    ranks = {k: e.ranking(k) if e.metrics[k].better != "neither" else {} for k in metrics}
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    left = GAP + int(max(probe.textlength(drawable(m), font=font(LABEL)) for m in e.methods)) + 10
    above = 40 + int(max(probe.textlength(drawable(k), font=font(LABEL)) for k in metrics)) + 16
    image = Image.new("RGB", (left + CELL * len(metrics) + GAP, above + ROW * len(e.methods) + 34), "white")
    pen = ImageDraw.Draw(image)
    pen.text((GAP, 10), drawable(title or f"{e.graph}: {e.explained}"), font=font(15), fill=INK)
    for c, k in enumerate(metrics):
        word = _upright(f"{drawable(k)}  {ARROWS[e.metrics[k].better]}")
        image.paste(word, (left + c * CELL + (CELL - word.width) // 2, above - word.height - 4))
    for r, m in enumerate(e.methods):
        y = above + r * ROW
        pen.text((left - 8, y + ROW / 2), drawable(m), font=font(LABEL), fill=INK, anchor="rm")
        for c, k in enumerate(metrics):
            value = e.mean(m, k)
            box = (left + c * CELL, y, left + (c + 1) * CELL - 2, y + ROW - 2)
            pen.rectangle(box, fill=_ink(ranks[k], m, value))
            dark = _share(ranks[k], m) > 0.55
            text = "" if value is None else number(float(f"{value:.3g}"))
            pen.text((box[0] + CELL / 2 - 1, y + ROW / 2 - 1), text, font=font(11), fill="white" if dark else INK, anchor="mm")
    foot = above + ROW * len(e.methods) + 8
    pen.text((GAP, foot), "blue: the best of its column (+ larger, - smaller is better), the paler the worse;  white: does not judge (.);  "
             "grey: no number", font=font(11), fill=FAINT)
    return image


def _share(ranks: dict[str, float], method: str) -> float:
    """1 for the best of a column, 0 for the worst; 0 without a rank."""
    return (len(ranks) - ranks[method]) / max(len(ranks) - 1, 1) if method in ranks else 0.0


def _ink(ranks: dict[str, float], method: str, value: float | None) -> tuple[int, int, int]:
    if value is None:
        return LINE
    if method not in ranks:
        return PLAIN
    t = _share(ranks, method)
    r, g, b = (round(w + (v - w) * t) for v, w in zip(BEST, WORST))
    return r, g, b


def _upright(text: str) -> Image.Image:
    probe = ImageDraw.Draw(Image.new("RGB", (1, 1)))
    line = Image.new("RGB", (int(probe.textlength(text, font=font(LABEL))) + 4, LABEL + 6), "white")
    ImageDraw.Draw(line).text((2, 2), text, font=font(LABEL), fill=INK)
    return line.rotate(90, expand=True, fillcolor="white")


def curves(named: dict[str, Sequence[float]], at: Sequence[float], title: str = "", width: int = 560, height: int = 320,
           low: float | None = None, high: float | None = None) -> Image.Image:
    """Lines over a common axis (accuracies after retraining, f along a deletion), each labelled at its end."""
    image = Image.new("RGB", (width, height), "white")
    pen = ImageDraw.Draw(image)
    bottom = min(min(v) for v in named.values()) if low is None else low
    top = max(max(v) for v in named.values()) if high is None else high
    inner = (46, 34, width - 170, height - 30)

    def place(x: float, y: float) -> tuple[float, float]:
        return (inner[0] + (x - at[0]) / ((at[-1] - at[0]) or 1) * (inner[2] - inner[0]),
                inner[3] - (y - bottom) / ((top - bottom) or 1) * (inner[3] - inner[1]))

    pen.text((GAP, 8), drawable(title), font=font(14), fill=INK)
    for level in (bottom, (bottom + top) / 2, top):
        y = place(at[0], level)[1]
        pen.line((inner[0], y, inner[2], y), fill=LINE)
        pen.text((inner[0] - 6, y), number(level), font=font(11), fill=FAINT, anchor="rm")
    for x in at:
        pen.text((place(x, bottom)[0], inner[3] + 12), f"{100 * x:.0f} %", font=font(11), fill=FAINT, anchor="mm")
    ends: list[float] = []
    for k, (name, values) in enumerate(sorted(named.items(), key=lambda item: -item[1][-1])):
        ink = COLOURS[k % len(COLOURS)]
        points = [place(x, float(v)) for x, v in zip(at, values)]
        pen.line(points, fill=ink, width=2)
        y = max(points[-1][1], *(e + 14 for e in ends)) if ends else points[-1][1]
        ends.append(y)
        pen.text((inner[2] + 8, y), drawable(name), font=font(12), fill=ink, anchor="lm")
    return image


COLOURS = ((33, 102, 172), (178, 24, 43), (27, 120, 55), (118, 42, 131), (191, 129, 45), (53, 151, 143), (90, 90, 90), (197, 27, 125))

__all__ = ["chart", "curves", "listing", "reasons", "scores"]
