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
from xaicore.rules.ruleset import RuleSet
from xaicore.show import drawing
from xaicore.show.heatmap import finite, photograph_of, symmetric_limit
from xaicore.show.page import data_uri, file_text, template
from xaicore.show.page.flow import data, input_view
from xaicore.show.table import clean

TOKENS = 2000


def viewer(
    results: Mapping[str, Attribution], title: str = "relevance", command: str = "", sample: int = 0, tokens: Sequence[str] = (),
    rules: Mapping[str, RuleSet] | None = None, version: str = "",
) -> str:
    """The page for one sample of results (label -> Attribution of the same batch).

    tokens    words for the places of a text, or names for the features of a table
    rules     label -> the rule set behind a result that was made with one of your own
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
    drawn = {**d, "operators": [], "methods": [{**m, "card": []} for m in d["methods"]]}            # cards stand in the page as text
    return template("viewer.html.j2").render(
        title=clean(title), d=d, data=_json(drawn), style=style, style_hash=_hash(style), script=script, script_hash=_hash(script),
        command=clean(command), version=clean(version), inputs=inputs, photo=any(part["photo"] for part in inputs),
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
        part: dict[str, Any] = {"title": f"input {clean(name)}", "photo": "" if photo is None else data_uri(photo), "methods": []}
        for label, a in results.items():
            if name in a.values and np.shape(a.values[name]) == np.shape(first.feeds[name]):
                shown = _shown(a, name, sample, kind, tokens)
                if shown:
                    part["methods"].append({"label": clean(label), "svg": "", "tokens": [], "limit": 1.0, **shown})
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
        return {"svg": drawing.waterfall(values, [clean(t) for t in tokens], start, end if _sums(a) else None)}
    if tokens and values.ndim == 2:
        if len(tokens) != len(values):
            raise InputError(f"{len(tokens)} tokens were given for a text of {len(values)} places; give one for each")
        sums = values.sum(axis=1)
        return {"tokens": [(clean(t), float(v)) for t, v in zip(tokens, sums)][:TOKENS], "limit": symmetric_limit(sums)}
    return {}


def _sums(a: Attribution) -> bool:
    from xaicore.show.table import sums_up

    return sums_up(a)
