"""``explanation.html``: maps, sums, ledgers, layers and verdicts on one page that needs no network, no script and no other file.

Pictures are data URIs; a content-security-policy forbids everything but them and the page's own style sheet. Every text is
escaped by Jinja2, because layer names come from model files.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.table import METHODS
from xaicore.oracle.report import Report
from xaicore.rules.sources import SOURCES, cite
from xaicore.show import table
from xaicore.show.heatmap import View, colours, overlay, photograph_of, symmetric_limit, view, view_of
from xaicore.show.sheet import bars, enlarged, input_image, input_name, number, png
from xaicore.show.table import Table, clean

if TYPE_CHECKING:
    from jinja2 import Template

SAMPLES = 8                                           # of a batch that get their own section
LAYERS = 16                                           # pictures in one film strip
NUMBERS = 256                                         # cells of a map that is also given as numbers


@dataclass(frozen=True)
class Picture:
    """An image with its sizes; ``title`` and ``line`` stand under it. ``shared`` and ``over`` are its other two versions."""

    title: str
    line: str
    src: str
    alt: str
    shared: str = ""
    over: str = ""
    small: bool = False                               # few pixels: enlarge with hard edges
    facts: Sequence[tuple[str, str]] = ()
    numbers: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Section:
    """One sample: its inputs, a picture for each result, the way through the layers."""

    title: str
    inputs: Sequence[Picture]
    pictures: Sequence[Picture]
    films: Sequence[Film] = ()


@dataclass(frozen=True)
class Film:
    """One backward pass: a picture for each layer from the output to the input, and the ledger."""

    label: str
    pictures: Sequence[Picture]
    ledger: Table


@dataclass(frozen=True)
class About:
    """What a method is, in words, with the settings of this run and, where its answer is more than a map, that answer."""

    label: str
    summary: str
    settings: str
    source: str
    promises: Sequence[str] = field(default_factory=tuple)
    says: str = ""


def page(
    results: Mapping[str, Attribution], title: str = "explanation", command: str = "", report: Report | None = None, version: str = "",
) -> str:
    """The page for results (label -> Attribution of the same batch).

    command   how to get the same page again;  report   the verdicts of ``check``, when there are any
    Raises InputError when there is no result, or a number that is not finite.
    """
    if not results:
        raise InputError("a page needs at least one attribution")
    first = next(iter(results.values()))
    count = len(first.output)
    style = file_text("style.css")
    return template("explanation.html.j2").render(
        title=clean(title), style=style, style_hash=base64.b64encode(hashlib.sha256(style.encode()).digest()).decode(),
        explained=clean(first.explained), command=clean(command), version=version, model=first.graph,
        sections=[_section(results, n, count) for n in range(min(count, SAMPLES))], left_out=max(0, count - SAMPLES),
        summary=table.attributions(results), verdicts=None if report is None else table.verdicts(report),
        broken=[] if report is None else table.broken(report),
        about=[_about(label, a) for label, a in results.items()],
        graph_text="\n".join(clean(line) for line in str(first.graph).splitlines()))


def _section(results: Mapping[str, Attribution], sample: int, count: int) -> Section:
    first = next(iter(results.values()))
    views = {(label, name): view_of(a, name, sample) for label, a in results.items() for name in a.values}
    shared = max(symmetric_limit(v.cells) for v in views.values())
    pictures = [_picture(label, name, v, results[label], sample, shared) for (label, name), v in views.items()]
    what = first.explained if count == 1 else f"Sample {sample}, target {table.targets(first)[sample]}"
    title = clean(f"{what}: f(x) = {number(float(first.output[sample]))}")
    films = [films_of(label, a, sample) for label, a in results.items() if table.passes_on(a)]
    return Section(title, inputs_of(first, sample), pictures, films)


def inputs_of(a: Attribution, sample: int) -> list[Picture]:
    """The floating inputs of one sample as pictures."""
    out = []
    for name in a.feeds:
        if name not in a.graph.float_inputs:
            continue
        picture = photograph_of(a, name, sample)
        image, line = input_image(a, name, sample)
        src, small = (data_uri(image), False) if picture is None else (data_uri(picture), max(picture.shape) <= 64)
        label = clean(input_name(a, name))
        out.append(Picture(label, line, src, f"the {label}", small=small))
    return out


def _picture(label: str, name: str, v: View, a: Attribution, sample: int, shared: float) -> Picture:
    limit = symmetric_limit(v.cells)
    total = float(v.cells.sum())
    photo = photograph_of(a, name, sample)
    over = "" if photo is None or v.kind != "image" else data_uri(overlay(v.cells, enlarged(photo, v.cells.shape), limit))
    facts = [("sum", number(total)), ("scale", f"±{number(limit)}")]
    if len(a.values) == 1:
        gap = f"{float(a.gap()[sample]):.3g}"
        facts.append(("gap", gap if table.sums_up(a) else f"({gap})"))
    kept = table.absorbed(a, sample)
    if kept is not None:
        facts.append(("absorbed", f"{kept:.3g}"))
    if v.how:
        facts.append(("drawn", v.how))
    title = clean(label if len(a.values) == 1 else f"{label} [{name}]")
    grid = v.cells if v.cells.ndim == 2 else v.cells[:, None]
    numbers = [[f"{n:.3g}" for n in row] for row in grid] if v.cells.size <= NUMBERS else []
    alt = f"{title}: map of {v.shape} cells, sum {number(total)}, from {number(float(v.cells.min()))} to {number(float(v.cells.max()))}"
    return Picture(title, "", drawn(v, limit), alt, drawn(v, shared), over, v.kind != "bars" and max(v.cells.shape) <= 64, facts, numbers)


def films_of(label: str, a: Attribution, sample: int) -> Film:
    """Pictures of the nodes where relevance is shared out anew (activations and reshapes only hand it on), then of the inputs."""
    assert a.ledger is not None
    nodes = [e.node for e in a.ledger if not (e.node.op.elementwise or e.node.op.routes) and e.node.name in a.layers]
    if len(nodes) > LAYERS:
        nodes = [nodes[round(k)] for k in np.linspace(0, len(nodes) - 1, LAYERS)]
    views = [(n.name, type(n.op).__name__, view(a.layers[n.name][sample], name=f"the signal at {n.name!r}")) for n in nodes]
    views += [(name, "input" if name in a.graph.inputs else "layer", view_of(a, name, sample)) for name in a.values]
    pictures = []
    for name, kind, v in views:
        limit = symmetric_limit(v.cells)
        line = f"{kind}, sum {number(float(v.cells.sum()))}, scale ±{number(limit)}"
        pictures.append(Picture(clean(name), line, drawn(v, limit), f"{clean(label)} at {clean(name)}",
                                small=v.kind != "bars" and max(v.cells.shape) <= 64))
    return Film(clean(label), pictures, table.ledger(a, label, sample))


def _about(label: str, a: Attribution) -> About:
    row = METHODS.get(a.method)
    shown = ", ".join(f"{k}={v!r}" for k, v in table.settings(a.settings).items())
    source = "" if row is None or row.source.split()[0].rstrip(",") not in SOURCES else str(cite(row.source))
    return About(clean(label), "a rule set of your own" if row is None else row.summary, clean(shown), source,
                 () if row is None else tuple(p.replace("_", " ") for p in row.promises),
                 "\n".join(clean(line) for line in str(a.extras.get("says", "")).split("\n")))


def drawn(v: View, limit: float) -> str:
    """A view as a data URI in its own size: the page enlarges it."""
    if v.kind == "bars":
        return data_uri(bars(v.cells, limit))
    return data_uri(colours(v.cells, limit))


def data_uri(image: Any) -> str:
    """A PNG inside a URL."""
    made = image if isinstance(image, Image.Image) else Image.fromarray(np.ascontiguousarray(image))
    return "data:image/png;base64," + base64.b64encode(png(made)).decode("ascii")


def file_text(name: str) -> str:
    """A template, style sheet or script of this package."""
    return files(__name__).joinpath(name).read_text(encoding="utf-8")


@cache
def template(name: str) -> Template:
    """A template that escapes everything it is not told to leave."""
    from jinja2 import Environment, FunctionLoader, StrictUndefined
    from markupsafe import Markup, escape

    def breakable(text: str) -> Markup:
        """Long names may be broken behind a dot or an underscore."""
        return escape(text).replace(".", Markup(".<wbr>")).replace("_", Markup("_<wbr>"))

    env = Environment(loader=FunctionLoader(file_text), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    env.filters["breakable"] = breakable
    return env.get_template(name)
