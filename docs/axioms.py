"""Every method against every axiom, on the digits CNN that comes with xaicore: the matrix of axioms.md.

    python docs/axioms.py                                # a minute on one core; writes axioms.md

Exit code 1 when a method does not keep what it promises.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

import xaicore as xc
from xaicore.data import digits_images, digits_model
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.report import Report, Verdict
from xaicore.oracle.twins import TWINS

GRAPH = digits_model()
IMAGES, LABELS = digits_images()
X = IMAGES[:2]
HALF = replace(GRAPH, params={k: v / 2 for k, v in GRAPH.params.items()})

SETTINGS: Mapping[str, Mapping[str, Any]] = {
    "patternnet": {"background": IMAGES}, "pattern_attribution": {"background": IMAGES}, "meaningful_perturbation": {"steps": 20},
    "rise": {"samples": 400}, "guided_ig": {"steps": 20}, "shapley.sampling": {"samples": 5}, "kernel_shap": {"samples": 300},
    "tcav": {"layer": "relu4", "concept": IMAGES[:4], "random": [IMAGES[4:8]], "test": 0}, "vog": {"checkpoints": [HALF, GRAPH]},
    "independence": {"labels": LABELS[:2], "test": "permutation", "permutations": 9},
}
"""What a method must be told, and fewer evaluations where their number does not matter."""

MARKS = {"yes": "yes", "(yes)": "(yes)", "no": "no", "-": "–", "BROKEN": "**BROKEN**"}


def on_the_digits(methods: Sequence[str] | None = None) -> Report:
    """Every method, or some, on two digits, the most likely class of the first for both."""
    chosen = list(methods or xc.METHODS)
    return xc.check(GRAPH, X, chosen, target=0, settings={k: v for k, v in SETTINGS.items() if k in chosen})


def elsewhere(refused: Iterable[str]) -> Report:
    """Methods that the digits CNN is no network for, each on a network of its twin, how a map is finished left as it is."""
    verdicts: list[Verdict] = []
    for method in refused:
        problem = TWINS[method][0].problem(np.random.default_rng(0))
        own = {k: v for k, v in problem.settings.items() if k not in ("relu", "normalize", "upsample")}
        verdicts += xc.check(problem.graph, problem.x, [method], target=problem.target, settings={method: own}).verdicts
    return Report(tuple(verdicts))


def refused(report: Report) -> list[str]:
    """Methods of which no axiom could be measured."""
    met = {v.method for v in report if v.status != "does not apply"}
    return [m for m in dict.fromkeys(v.method for v in report) if m not in met]


# ----- the page -------------------------------------------------------------------------------------------------------------


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], left: int = 1) -> str:
    """Markdown; the first ``left`` columns are texts."""
    lines = [heads, ["---"] * left + [":-:"] * (len(heads) - left), *rows]
    return "\n".join("| " + " | ".join(c.replace("|", "\\|").replace("\n", " ") for c in line) + " |" for line in lines)


def grid(report: Report) -> str:
    axioms, rows = report.grid()
    return table(["method", *(a.replace("_", " ") for a in axioms)], [[f"`{r[0]}`", *(MARKS[c] for c in r[1:])] for r in rows])


def reasons(report: Report) -> str:
    """Why an axiom was not measured, each reason once, with the methods and axioms that it is about."""
    about: dict[str, dict[str, list[str]]] = {}
    for v in report:
        if v.status == "does not apply":
            about.setdefault(v.reason, {}).setdefault(v.axiom.replace("_", " "), []).append(f"`{v.method}`")
    rows = []
    for reason, found in about.items():
        groups: dict[tuple[str, ...], list[str]] = {}
        for axiom, methods in found.items():
            groups.setdefault(tuple(methods), []).append(axiom)
        for methods, axioms in groups.items():
            rows.append((", ".join(axioms) if len(axioms) < len(AXIOMS) else "all", ", ".join(methods), reason))
    return table(("axioms", "methods", "why not"), sorted(rows), 3)


def page(digits: Report, others: Report) -> str:
    holds, fails, refused = (sum(v.status == s for v in digits) for s in ("holds", "fails", "does not apply"))
    promised = sum(v.promised and v.status == "holds" for v in [*digits, *others])
    broken = [*digits.broken, *others.broken]
    axioms = [(k.replace("_", " "), a.statement, a.precondition, a.source) for k, a in AXIOMS.items()]
    return f"""# Every method against every axiom

Measured on two digits with the CNN that comes with xaicore, in float64. `xaicore check digits` prints such a matrix for any model and
input. Written by `python docs/axioms.py`; nothing here is written by hand.

{len({v.method for v in digits})} methods, {len(AXIOMS)} axioms: {holds} hold, {fails} do not hold, {refused} do not apply.
{promised} promises were measured and kept, {len(broken)} broken.

yes: promised and measured; (yes): it holds here and is not promised; no: not promised, and it does not hold here; –: does not apply,
for a reason below. What is promised holds on every network on which it applies: `tests/oracle/test_promises.py` measures it on random
ones.

{grid(digits)}

## What the axioms say

{table(("axiom", "statement", "precondition", "source"), axioms, 4)}

## Methods for other networks

The digits CNN is no network for these; each is measured on one that its second implementation is tested on.

{grid(others)}

## Why an axiom does not apply

{reasons(digits)}

On the other networks:

{reasons(others)}
"""


def main() -> int:
    digits = on_the_digits()
    others = elsewhere(m for m in refused(digits) if m in TWINS)
    Path(__file__).with_suffix(".md").write_text(page(digits, others), encoding="utf-8")
    for v in [*digits.broken, *others.broken]:
        print(f"BROKEN {v.method}: {v.axiom}, residual {v.residual}, allowed {v.tolerance}. {v.reason}")
    return digits.exit_code or others.exit_code


if __name__ == "__main__":
    raise SystemExit(main())
