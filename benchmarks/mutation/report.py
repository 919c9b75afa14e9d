"""The score and the survivors, as text and as docs/mutation.md."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

from benchmarks.mutation.mutants import ROOT
from benchmarks.mutation.reasons import GAP, reason

Verdicts = Mapping[str, Mapping[str, Any]]


def counts(verdicts: Iterable[Mapping[str, Any]]) -> tuple[int, int, int]:
    """(noticed by the oracle, noticed by tests alone, neither); what compiles to the same code is no change and not counted."""
    found = Counter("oracle" if v["status"] == "killed" and v["stage"] == 1 else "tests" if v["status"] == "killed" else "alive"
                    for v in verdicts if v["status"] != "same code")
    return found["oracle"], found["tests"], found["alive"]


def interval(hits: int, total: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share."""
    if not total:
        return 0.0, 1.0
    z, p = 1.96, hits / total
    middle, half = p + z * z / (2 * total), z * sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return (middle - half) / (1 + z * z / total), (middle + half) / (1 + z * z / total)


def summary(known: Mapping[str, Any]) -> str:
    """One line for each package, one for each of its modules."""
    lines = []
    for scope, (of, seed) in known.get("of", {}).items():
        mine = {k: v for k, v in known["verdicts"].items() if k.startswith((scope + ".", scope + ":"))}
        on = known.get("on", {}).get(scope, "")
        lines.append(_line(scope + (f", {on}" if on else ""), mine, len(mine), of, seed))
        for module in sorted({k.split(":")[0] for k in mine}):
            oracle, tests, alive = counts(v for k, v in mine.items() if k.split(":")[0] == module)
            lines.append(f"  {module:24} {oracle:4} {tests:4} {alive:4}")
    return "\n".join(lines)


def _line(scope: str, mine: Verdicts, drawn: int, of: int, seed: int | str) -> str:
    oracle, tests, alive = counts(mine.values())
    total = oracle + tests + alive
    low, high = interval(oracle + tests, total)
    sampled = f"{drawn} of {of} changes drawn (seed {seed})" if drawn < of else f"all {of} changes"
    return (f"{scope}: {sampled}; {oracle} noticed by the oracle, {tests} by tests alone, {alive} by neither: "
            f"{(oracle + tests) / max(total, 1):.1%}" + (f" ({low:.1%} to {high:.1%})" if drawn < of else ""))


def write(found: Sequence[Mapping[str, Any]]) -> None:
    """docs/mutation.md from verdicts."""
    verdicts = {k: v for known in found for k, v in known["verdicts"].items()}
    of = {k: v for known in found for k, v in known["of"].items()}
    alive = {k: v for k, v in verdicts.items() if v["status"] in ("survived", "not executed")}
    said = {k: reason(k) for k in alive}
    harmless = [k for k, r in said.items() if r and not r.startswith(GAP)]
    said_of = [line for known in found for line in summary(known).splitlines() if not line.startswith(" ")]
    lines = [HEAD, "```text", *said_of, *_together(found, verdicts), "```", ""]
    lines += [FIRST, ""] if any(known["of"].get("ops", ["", 0])[1] == 5 for known in found) else []
    for scope in of:
        mine = {k: v for k, v in verdicts.items() if k.startswith((scope + ".", scope + ":"))}
        oracle, tests, left = counts(mine.values())
        free = sum(k in mine for k in harmless)
        lines.append(f"`{scope}`: {left} survivors, of which {free} were read and change nothing that can be seen; without those the "
                     f"score is {(oracle + tests) / max(oracle + tests + left - free, 1):.1%}.")
    lines += ["", "## By module", "", "| module | by the oracle | by tests alone | by neither | score |", "|---|---:|---:|---:|---:|"]
    for module in sorted({k.split(":")[0] for k in verdicts}):
        oracle, tests, left = counts(v for k, v in verdicts.items() if k.split(":")[0] == module)
        lines.append(f"| `{module}` | {oracle} | {tests} | {left} | {(oracle + tests) / max(oracle + tests + left, 1):.1%} |")
    lines += ["", "## By kind of change", "", "| kind | noticed | by neither |", "|---|---:|---:|"]
    for kind in sorted({v["kind"] for v in verdicts.values()}):
        oracle, tests, left = counts(v for v in verdicts.values() if v["kind"] == kind)
        lines.append(f"| {kind} | {oracle + tests} | {left} |")
    lines += ["", "## Survivors that were read", "", *_listed({k: r for k, r in said.items() if r})]
    waiting = sum(v["stage"] == 1 for v in alive.values())
    lines += ["", "## Survivors that nobody has read", "", "Each may be a gap of the oracle, or change nothing; that is not known. "
              f"{waiting} survivors met no test of the family, or were not asked of it.", "",
              *_listed({k: "" for k, r in said.items() if not r})]
    (ROOT / "docs/mutation.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def _together(found: Sequence[Mapping[str, Any]], verdicts: Verdicts) -> list[str]:
    """A line for each package of which several samples were drawn."""
    lines = []
    for scope, (of, _) in {k: v for known in found for k, v in known["of"].items()}.items():
        several = [known for known in found if scope in known["of"]]
        if len(several) > 1:
            mine = {k: v for k, v in verdicts.items() if k.startswith((scope + ".", scope + ":"))}
            seeds = ", ".join(str(known["of"][scope][1]) for known in several)
            lines.append(_line(scope, mine, len(mine), of, seeds))
    return lines


def _listed(found: Mapping[str, str]) -> list[str]:
    if not found:
        return ["None."]
    out = ["| where | change | why it lives |", "|---|---|---|"] if any(found.values()) else ["| where | change |", "|---|---|"]
    for key, why in found.items():
        where, _, change = key.partition(": ")
        change = change.replace("|", "\\|").replace("`", "'")
        out.append(f"| `{where}` | `{change}` |" + (f" {why} |" if why else ""))
    return out


FIRST = """A sample whose survivors have got tests since says less of the changes outside it. When they were drawn, on 2026-11-30, the
samples of seeds 2 to 5 stood at 90.0, 90.3, 93.3 and 95.2 %, together at 92.2 % (903 of 979, 90.4 to 93.8 %): 19 of their 76 survivors
were gaps, 57 change nothing that can be seen, 35 of them nothing but the time or the memory that a result takes. A sample of the code
of 2026-11-29, which had fewer ways to be fast, had stood at 92.0 % (184 of 200, 87.4 to 95.0 %). Of `rules`, three survivors were gaps
when they were judged on 2026-11-30."""

HEAD = """# Does the oracle notice?

`python -m benchmarks.mutation rules ops` plants small mistakes in the engine, one at a time, and asks whether anybody notices: comparisons
turned, plus for minus, times for divided by, numbers one larger, truth values and conditions turned, `and` for `or`, a dropped `not`,
minus or term, operands of a subtraction exchanged, maximum for minimum, positive for negative, zeros for ones, other defaults. Left alone
are text, types, labels, what is said in an error (its condition is changed), arguments that only save time (`copy=False`), and the 1 of
the -1 of a `reshape` (any number below 0 says the same).

First the oracle alone is asked: the certified vectors (answer, layers, absorbed relevance and forward values, in rationals where they are
rational, and once more in float64), the worked examples and the twins. What it does not notice is asked of the tests of the family. Only
questions that execute the changed line are asked, the cheapest first; a change on a line that none of them executes counts as not noticed.
A process that hangs or dies has noticed. This page is written by `python -m benchmarks.mutation --write FILE ...` from the verdicts
that `--keep FILE` keeps; the intervals are Wilson's at 95 %.

## Score
"""
