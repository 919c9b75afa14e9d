"""docs/coverage.md out of the results: shares of each set, a row for each model, and what does not add up."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.coverage.measure import GRADIENT, ROUNDING, SENSITIVITY, SUMS
from benchmarks.coverage.routes import METHODS, SAME

DOCS = Path(__file__).parents[2] / "docs" / "coverage.md"
Row = Mapping[str, Any]
COLUMNS = {"lrp": "LRP conserves", "deeplift": "DeepLIFT completes"}

WHY: Mapping[tuple[str, str], str] = {
    ("lrp", "Add"): "a constant added to entries that are exactly 0 (a scale and shift behind a hard swish, the zeros of quantised "
                    "embeddings) is ignored, and nobody else is there to pass it to",
    ("lrp", "Concat"): "a constant joined to the sequence (class token, register) gets the share that is routed to it",
    ("lrp", "Softmax"): "\"cp\" takes a softmax as a constant, so relevance that arrives at one which is no attention weight stays there",
    ("lrp", "LogSoftmax"): "as at a softmax",
    ("lrp", "Dense"): "padding (tokens of zeros) has a value by its bias alone, and a bias that is ignored has nobody to pass it to",
    ("lrp", "Pad"): "padding with a number other than 0 is a constant",
    ("lrp", "Conv"): "as at a dense layer, for pixels of zeros",
    ("deeplift", "Reciprocal"): "a softmax is decomposed into exp, sum and 1 / sum with one shift for input and baseline; where the largest scores of "
        "the two are further apart than 25 or so, exp of the difference leaves none of float64's digits",
    ("deeplift", "Where"): "the condition differs between input and baseline, and a choice between two values is no function of one input",
}
"""(column, operator) -> why the operator has no rule that adds up."""


def wrong(row: Row) -> str:
    """What of conversion, forward and gradient is wrong, "" if nothing is."""
    if row.get("error"):
        return str(row["error"])
    if "gradient" not in row:
        return "was not measured to the end"
    found = []
    if not row["forward"] <= row["forward_limit"]:
        found.append(f"forward {row['forward']:.1e}")
    if not row["gradient"] <= row.get("gradient_limit", GRADIENT):
        found.append(f"gradient {row['gradient']:.1e}")
    if row["sensitivity"] < SENSITIVITY:
        found.append(f"sensitivity {row['sensitivity']:.1e}")
    return "; ".join(found)


def short(row: Row, column: str) -> str:
    """What a sum lacks, "" if nothing."""
    if f"{column}_error" in row:
        return f"{column}: {row[f'{column}_error']}"
    if column not in row or row[column] <= SUMS:
        return ""
    known = "by definition: " if row.get(f"{column}_reason") else ""
    return f"{column} {row[column]:.1e} {known}{row.get(f'{column}_lost', '')}"


def failing(row: Row) -> str:
    """Everything that is wrong with a row."""
    return "; ".join(part for part in (wrong(row), *(short(row, c) for c in COLUMNS)) if part)


def differing(row: Row) -> str:
    """Which methods say something else by another route, and why, "" if none does."""
    if row.get("error") or "routes" not in row:
        return str(row.get("error", "was not measured to the end"))
    found = []
    for name, route in row["routes"].items():
        far = [f"{k} {route[k]:.1e} ({why or 'no reason found'})" for k, why in route.get("because", {}).items()]
        found += [f"{name}: {part}" for part in ([route["error"]] if "error" in route else far)]
    return "; ".join(found)


# ----- the page ---------------------------------------------------------------------------------------------------


def write_table(sets: Mapping[str, Sequence[Row]], routes: Mapping[str, Sequence[Row]]) -> None:
    """Writes docs/coverage.md."""
    measured = {name: rows for name, rows in sets.items() if rows}
    compared = {name: rows for name, rows in routes.items() if rows}
    parts = [HEAD, *(_shares(measured)), "", *_routes(compared, measured), *(line for name, rows in measured.items() for line in _section(name, rows))]
    DOCS.write_text("\n".join(parts).rstrip() + "\n")


HEAD = f"""# Coverage

Which real models convert, and whether what is computed on them is right. Written by `python -m benchmarks.coverage`, which says how to
measure it again; nothing here is written by hand.

Every model has random parameters everywhere (scales, shifts and gates too) and calibrated batch statistics, and runs in float64 on two
samples of noise; its output must differ between the two by {SENSITIVITY:g} of its size, or an error would not show.

| column | what it says |
|---|---|
| forward | largest difference from the framework's output over its largest entry; at most 1e-9, or 1e-6 where the model itself computes in float32; 1e-4 for ONNX, against onnxruntime in float32 |
| gradient | the same for the gradient of a random projection of all outputs, against autograd; at most {GRADIENT:g}, 1e-7 with a hard sigmoid (whose slope torch rounds to float32), 1e-5 where the model computes in float32; ONNX files against central differences of the graph's forward pass along random directions, 1e-5, or where that pass is too steep for them (basic-pitch) against autograd of the torch model that the graph is written as |
| LRP conserves | the largest error of Σ R over f(x), for `lrp.gamma` with γ = 100, ε = 0, `bias="ignore"`, `attention="cp"`, at most {SUMS:g}; else what stayed where |
| DeepLIFT completes | the same for `deeplift.rescale` against zeros, over f(x) - f(0) |
| s, GiB | everything together, on one core of a machine that others use too; the largest resident memory |
| code | the commit whose code was measured; for rows of before 29 November 2026, 22:00, the commit that brought the row |

Drawn parameters can make a deep network chaotic: then what it computes depends on how its sums are rounded, and two right answers lie
apart. Where a limit is exceeded, the framework is asked how far its own answer moves when its inputs and parameters move by one unit in the
last place ("itself", the largest of three draws), and {ROUNDING} times that is the limit. torch's EfficientNet-B7 and torch's EfficientNet-B7 in
channels-last memory, of the same numbers, differ by 2e-7, and their gradients by 4e-5.

Models whose inputs are whole numbers are explained at their embedding, against the other sample's. "Keeps by definition" was checked
neuron by neuron (`xaicore.oracle.conservation`): relevance stayed only where no explained input contributes, or where the rule says so;
below each table stands which operators these are, and why.
"""


def _shares(sets: Mapping[str, Sequence[Row]]) -> list[str]:
    lines = ["| set | backend | measured | convert, forward and gradient agree | LRP conserves | or keeps by definition | DeepLIFT completes |",
             "|---|---|---:|---:|---:|---:|---:|"]
    for name, rows in sets.items():
        right = [r for r in rows if not wrong(r)]
        sums = [sum(1 for r in right if c in r and r[c] <= SUMS) for c in COLUMNS]
        kept = sum(1 for r in right if r.get("lrp_reason"))
        size = max(r.get("set_size", 0) for r in rows) or len(rows)
        lines.append(f"| {name} | {rows[0]['backend']} | {len(rows)} of {size} | {len(right)} | {sums[0]} | {kept} | {sums[1]} |")
    return lines


def _section(name: str, rows: Sequence[Row]) -> list[str]:
    lines = [f"## {name}", "", "| model | nodes | batch | forward | gradient | LRP conserves | DeepLIFT completes | s | GiB | code |",
             "|---|---:|---|---:|---:|---|---|---:|---:|---|"]
    reasons: dict[tuple[str, str], None] = {}
    for row in rows:
        made = "".join(f" ({row[k]})" for k in ("of", "reduced") if row.get(k))
        if "gradient" not in row:
            lines.append(f"| {row['model']}{made} | {_cell(wrong(row))} | | | | | | {row['seconds']} | {row['gib']} | {row.get('code', '')} |")
            continue
        sums = []
        for column in COLUMNS:
            sums.append(_sum(row, column))
            reasons |= {(column, op): None for op in row.get(f"{column}_lost", {})}
        numbers = [_number(row, "forward"), _number(row, "gradient")]
        lines.append(f"| {row['model']}{made} | {row['nodes']} | {row['batch']} | {' | '.join([*numbers, *sums])} | {row['seconds']} | {row['gib']} | {row.get('code', '')} |")
    if reasons:
        lines += ["", *(f"- {COLUMNS[c]}, {op}: {WHY[c, op]}." for c, op in reasons if (c, op) in WHY)]
    return [*lines, ""]


ROUTES = f"""## The same model by several routes

The same model as its own backend takes it, and by another route: a torch model through the ONNX file that `torch.onnx.export` writes of it,
a Keras application (on Keras's torch backend) through `torch.export` and through that file. Both torch routes take one exported program, of a
batch of two. Measured by `python -m benchmarks.coverage SET --routes`: the largest difference of the two attributions over the largest entry, for each model at most
{SAME:g}, or {ROUNDING} times what the attribution itself moves when the input moves by one unit in the last place. The columns of methods have
the largest difference among the models that agree; then how many agree, and what makes the others the same:

- *float32*: an ONNX attribute, and a number of the model's code that torch writes into the file, is a float32: the slope 1/6 of a hard
  sigmoid, the scale of an attention, the ε of a norm (EfficientNetB0: 1e-6 for the 0.001 of its norms, 1e-14 once it is rounded), and what
  is computed of them when the file is written (a positional encoding of sines). With those numbers rounded in the other graph too, both agree.
- *ties*: DeepLIFT compares with a picture of zeros, of which all windows see the same; where a max-pool follows a convolution at once (Xception),
  its maxima are tied up to rounding, and rounding chooses which pixel they are. With a baseline of noise, a thousandth in size, both agree.
- *eps*: where one graph has one operator and the other several (an adaptive pool with uneven windows; a normalisation that was written out),
  each of them stabilises its sum. With a stabiliser of 1e-12 both agree.

torch 2.14 cannot write three of the models with fused attention (T5, BEiT, Swin), because it traces a reshape as a view of the layout that
its attention kernel returns, and then replaces the kernel; for these a copy stands before every reshape. Nor can it write attention of
three or five axes (Hiera, NesT, SAM, Twins); around it stand reshapes to four and back.
"""


def _routes(sets: Mapping[str, Sequence[Row]], own: Mapping[str, Sequence[Row]]) -> list[str]:
    if not sets:
        return []
    lines = [ROUTES, "| set | route | models | " + " | ".join(f"`{m}`" for m in METHODS) + " | agree | float32 | eps | ties | no reason | cannot |",
             "|---|---|---:|" + "---:|" * len(METHODS) + "---:|---:|---:|---:|---:|---:|"]
    apart: list[str] = []
    for name, rows in sets.items():
        for route in dict.fromkeys(k for row in rows for k in row.get("routes", {})):
            found = {row["model"]: row["routes"][route] for row in rows if route in row.get("routes", {})}
            right = {k: r for k, r in found.items() if "error" not in r}
            why = {k: set(r["because"].values()) for k, r in right.items()}
            worst = [max((r[m] for r in right.values() if m in r and m not in r["because"]), default=0.0) for m in METHODS]
            counts = [sum(not w for w in why.values()), *(sum(any(part in one for one in w) for w in why.values()) for part in ("float32", "eps", "ties")),
                      sum("" in w for w in why.values()), len(found) - len(right)]
            lines.append(f"| {name} | {route} | {len(found)} of {max(r['set_size'] for r in rows)} | {' | '.join(f'{w:.0e}' for w in worst)} | {' | '.join(map(str, counts))} |")
            refused = {row["model"]: row.get("refused", {}) for row in rows}
            for k, r in found.items():
                parts = [_cell(r["error"])] if "error" in r else [f"`{m}` {r[m]:.0e} ({w or 'no reason found'})" for m, w in r["because"].items()]
                parts += [f"`{m}` refuses by both ({_cell(why)})" for m, why in refused[k].items()] if "error" not in r else []
                apart += [f"| {name} | {k} | {route} | {', '.join(parts)} |"] if parts else []
    lines += ["", *(f"- {line}" for name, rows in sets.items() for line in _measured(name, rows, own.get(name, ())))]
    return [*lines, "", *(["Where they differ:", "", "| set | model | route | |", "|---|---|---|---|", *apart, ""] if apart else [])]


def _measured(name: str, rows: Sequence[Row], own: Sequence[Row]) -> list[str]:
    """Which models of a set were compared, by the size of what they saw, and by which code; which of its own rows were not."""
    right = [r for r in rows if "routes" in r]
    made: dict[str, list[str]] = {}
    for r in right:
        size = f" with pictures of {r['side']} x {r['side']}" if "side" in r else ""
        made.setdefault(size, []).append(r["model"] + (f" ({r['reduced']})" if r.get("reduced") else ""))
    refused = [r for r in rows if "routes" not in r]
    found = [f"{name}{size}: {', '.join(models)}." for size, models in made.items()]
    found += [f"{name}, no comparison: " + "; ".join(f"{r['model']} ({_cell(differing(r)).partition(' (node ')[0][:120]})" for r in refused) + "."] if refused else []
    left = [r["model"] for r in own if r["model"] not in {row["model"] for row in rows}]
    found += [f"{name}, not compared yet: {', '.join(left)}."] if left else []
    code = Counter(r.get("code", "") for r in rows).most_common()
    return [*found, f"{name}, rows by the commit of their code: " + ", ".join(f"{k} {n}" for k, n in code) + "."]


def _number(row: Row, column: str) -> str:
    itself = f" (itself {row[f'{column}_itself']:.0e})" if f"{column}_itself" in row else ""
    return (f"{row[column]:.0e}" if row[column] <= row.get(f"{column}_limit", GRADIENT) else f"**{row[column]:.1e}**") + itself


def _sum(row: Row, column: str) -> str:
    if f"{column}_error" in row:
        return _cell(row[f"{column}_error"])
    if column not in row:
        return "no floating input"
    if row[column] <= SUMS:
        return "yes"
    return ", ".join(f"{op} keeps {share:.2g}" for op, share in row.get(f"{column}_lost", {}).items()) or f"{row[column]:.1e}"


def _cell(text: str) -> str:
    return re.sub("\x1b\\[[0-9;]*m", "", text).replace("|", "\\|").replace("\n", " ")[:300]
