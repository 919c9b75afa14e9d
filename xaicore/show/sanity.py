"""Sanity checks as a table, and as maps side by side: trained, top layer random, all layers random, another class."""

from __future__ import annotations

from PIL import Image, ImageDraw

from xaicore.oracle.sanity import CHECKS, SanityReport
from xaicore.show.heatmap import symmetric_limit, view
from xaicore.show.sheet import CAPTION, FAINT, GAP, INK, LINE, draw, drawable, font, number
from xaicore.show.table import Column, Table, figure

BOX = 140
MARKS = {"passes": "", "fails": " !", "does not apply": ""}


def grid(report: SanityReport) -> Table:
    """Methods down, checks across; a figure with ! fails, - does not apply."""
    checks = list(dict.fromkeys(f.check for f in report))
    methods = list(dict.fromkeys(f.method for f in report))
    cell = {(f.method, f.check): None if f.figure is None else f"{f.figure:.3g}{MARKS[f.status]}" for f in report}
    columns = [Column("method"), *(Column(c, f"{c}\n{CHECKS[c].numbers}\n{CHECKS[c].figure}", right=True) for c in checks)]
    return Table(columns, [[m, *(cell[m, c] for c in checks)] for m in methods], report.explained,
                 ["! fails: survives (over .5), is one map (over .9), is silent, does not add up, moves, jumps, does not tell the slope "
                  "(under .1), or is one of several answers (cosine under .9); -: does not apply"])


def reasons(report: SanityReport) -> Table:
    """Every finding with its words."""
    rows = [[f.method, f.check, f.status, f.figure, f.words] for f in report]
    return Table([Column("method"), Column("check"), Column("status"), figure("figure", digits=4), Column("what", long=True)], rows)


def sheet(report: SanityReport, title: str = "", sample: int = 0) -> Image.Image:
    """A row for each method: its map, and what is left of it when parameters are random or the class is another."""
    titles = list(dict.fromkeys(t for maps in report.pictures.values() for t in maps))
    words = 300
    width = GAP + words + len(titles) * (BOX + GAP)
    image = Image.new("RGB", (width, 62 + len(report.pictures) * (BOX + CAPTION)), "white")
    pen = ImageDraw.Draw(image)
    pen.text((GAP, 8), drawable(f"{title}   {report.explained}"), font=font(16), fill=INK)
    for c, t in enumerate(titles):
        pen.text((GAP + words + c * (BOX + GAP), 38), drawable(t), font=font(13), fill=INK)
    for r, (method, maps) in enumerate(report.pictures.items()):
        y = 62 + r * (BOX + CAPTION)
        pen.text((GAP, y + 8), drawable(method), font=font(14), fill=INK)
        survived = method in report.survivors
        for k, line in enumerate(_lines(report, method)):
            pen.text((GAP, y + 30 + 16 * k), drawable(line), font=font(12), fill=(178, 24, 43) if survived and k == 0 else FAINT)
        for c, t in enumerate(titles):
            if t not in maps:
                continue
            v = view(maps[t][sample], report.channels_last, method)
            limit = symmetric_limit(v.cells)
            x = GAP + words + c * (BOX + GAP)
            picture = draw(v, limit, box=BOX)
            image.paste(picture, (x, y))
            pen.rectangle((x - 1, y - 1, x + picture.width, y + picture.height), outline=LINE)
            pen.text((x, y + BOX + 4), f"scale ±{number(limit)}", font=font(11), fill=FAINT)
    return image


def _lines(report: SanityReport, method: str) -> list[str]:
    failed = [f for f in report if f.method == method and f.status == "fails"]
    by = {f.check: f for f in report if f.method == method}
    passed = "randomisation" in by and by["randomisation"].status == "passes"
    outline = "outline" in by and by["outline"].status == "fails"
    head = "" if "randomisation" not in by else "survives parameter randomisation" if by["randomisation"].status == "fails" else \
        "survives randomisation of the last layer" if "last_layer" in by and by["last_layer"].status == "fails" else \
        "its outline survives, its signs do not" if outline else "depends on the parameters" if passed else ""
    return [head, *(f"fails {f.check}: {f.figure:.3g}" for f in failed if f.check not in ("randomisation", "last_layer", "outline"))][:7]


__all__ = ["grid", "reasons", "sheet"]
