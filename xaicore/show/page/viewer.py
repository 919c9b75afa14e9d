"""The viewer: one file that shows how relevance flows through a model, layer by layer, down to the arithmetic of a unit.

It opens from disk, loads nothing, and runs one script, which the content-security policy names by its hash. The numbers on it are the
engine's (flow.py); texts are escaped by Jinja2, and data stand in the page as JSON without "<".
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.oracle.ideas import IDEAS
from xaicore.oracle.report import Report
from xaicore.rules.ruleset import RuleSet
from xaicore.show import drawing, table
from xaicore.show.heatmap import finite, photograph_of, symmetric_limit, view_of
from xaicore.show.page import data_uri, file_text, template
from xaicore.show.page import drawn as pictured
from xaicore.show.page.flow import data, input_view
from xaicore.show.table import clean

TOKENS = 2000


def viewer(
    results: Mapping[str, Attribution], title: str = "relevance", command: str = "", sample: int = 0, tokens: Sequence[str] = (),
    rules: Mapping[str, RuleSet] | None = None, version: str = "", report: Report | None = None,
) -> str:
    """The page for one sample of results (label -> Attribution of the same batch).

    tokens    words for the places of a text, or names for the features of a table
    rules     label -> the rule set behind a result that was made with one of your own
    report    the verdicts of ``check``, when there are any
    Raises InputError when there is no result, no such sample, names of another number, or a number that is not finite.
    """
    if not results:
        raise InputError("a page needs at least one attribution")
    first = next(iter(results.values()))
    if not 0 <= sample < len(first.output):
        raise InputError(f"sample {sample} is not in the batch, which has {len(first.output)} samples: 0 to {len(first.output) - 1}")
    for a in results.values():
        for name, v in a.values.items():
            finite(v, f"the attribution {a.method} of {name!r}")
    d = data(results, sample, rules)
    style, script = file_text("style.css") + file_text("viewer.css"), file_text("viewer.js")
    inputs = _inputs(results, sample, tokens)
    drawn = {**d, "cards": {}, "methods": [{**m, "card": []} for m in d["methods"]]}            # cards stand in the page as text
    return template("viewer.html.j2").render(
        title=clean(title), d=d, data=_json(drawn), style=style, style_hash=_hash(style), script=script, script_hash=_hash(script),
        command=clean(command), version=clean(version), inputs=inputs, photo=any(part["photo"] for part in inputs),
        verdicts=None if report is None else table.verdicts(report), broken=[] if report is None else table.broken(report),
        curves={k: drawing.curve([tuple(p) for p in m["curve"]]) for k, m in enumerate(d["methods"]) if m["curve"]})


def _hash(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _json(value: Any) -> str:
    """JSON that cannot end its element, nor begin a comment or a tag."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _inputs(results: Mapping[str, Attribution], sample: int, tokens: Sequence[str]) -> list[dict[str, Any]]:
    """The explained inputs as they are best seen: a photograph, coloured words, a waterfall, signals."""
    out = []
    first = next(iter(results.values()))
    for name in first.values:
        if name not in first.feeds:
            continue
        kind = input_view(first, name, sample)
        photo = photograph_of(first, name, sample)
        title = "the input" if len(first.values) == 1 else f"input {clean(name)}"
        part: dict[str, Any] = {"title": title, "photo": "" if photo is None else data_uri(photo), "methods": []}
        for label, a in results.items():
            if name in a.values and np.shape(a.values[name]) == np.shape(first.feeds[name]):
                shown = _shown(a, name, sample, kind, tokens)
                if shown:
                    none = {"svg": "", "img": "", "tokens": [], "limit": 1.0}
                    part["methods"].append({"label": clean(label), "line": _line(a, sample), **none, **shown})
        out.append(part)
    return out


def _shown(a: Attribution, name: str, sample: int, kind: str, tokens: Sequence[str]) -> dict[str, Any]:
    values, x = finite(a.values[name][sample]), finite(a.feeds[name][sample])
    if kind == "series":
        return {"svg": drawing.signal(x, values)}
    if kind == "bars":
        if tokens and len(tokens) != values.size:
            raise InputError(f"{len(tokens)} names were given for the {values.size} entries of {name!r}; give one for each")
        start = 0.0 if a.baseline_output is None else float(a.baseline_output[sample])
        end = float(a.output[sample]) if len(a.values) == 1 else None
        return {"svg": drawing.waterfall(values, [clean(t) for t in tokens], start, end if table.sums_up(a) else None)}
    if tokens and values.ndim == 2:
        if len(tokens) != len(values):
            raise InputError(f"{len(tokens)} tokens were given for a text of {len(values)} places; give one for each")
        sums = values.sum(axis=1)
        return {"tokens": [(clean(t), float(v)) for t, v in zip(tokens, sums)][:TOKENS], "limit": symmetric_limit(sums)}
    if photograph_of(a, name, sample) is not None:
        v = view_of(a, name, sample)
        return {"img": pictured(v, symmetric_limit(v.cells))}
    return {}


def _line(a: Attribution, sample: int) -> str:
    """What the method asks, and what its map adds up to."""
    idea = IDEAS[a.method].idea if a.method in IDEAS else "A rule set of your own."
    total, start = f"{float(a.total()[sample]):.4g}", 0.0 if a.baseline_output is None else float(a.baseline_output[sample])
    whole = f"f(x) = {float(a.output[sample]):.4g}" + (f" less f(baseline) = {start:.4g}" if start else "")
    return f"{idea} " + (f"Its sum, {total}, accounts for {whole}." if table.sums_up(a) else f"It promises nothing of its sum ({total}).")
