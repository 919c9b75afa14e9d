"""How much of ONNX the backend takes: every node test of the standard with ordinary types, by operator, with the reason of each refusal.

    python benchmarks/coverage_onnx.py                      # the table by operator, the refusals by reason, the totals
    python benchmarks/coverage_onnx.py --only Attention     # every case of the operators named, with all that was tried
    python benchmarks/coverage_onnx.py --write              # docs/coverage_onnx.md

Run from the repository's root, with the root and backends/ on PYTHONPATH (or the package installed).
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections import Counter, defaultdict

sys.path[:0] = [os.path.join(os.path.dirname(__file__), os.pardir), os.path.join(os.path.dirname(__file__), os.pardir, "backends")]

from tests.backends.onnx_suite import Outcome, operator_of, outcome, standard_cases  # noqa: E402

VERDICTS = ("live", "folded", "refused", "wrong")


def by_operator(found: list[Outcome]) -> dict[str, Counter[str]]:
    """Counts of each verdict for each operator."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    for one in found:
        table[one.operator][one.verdict] += 1
    return dict(sorted(table.items(), key=lambda row: (sum(row[1][k] for k in ("live", "folded")) == sum(row[1].values()), row[0])))


def reasons(found: list[Outcome]) -> list[tuple[str, int, list[str]]]:
    """Refusals with names and numbers taken out, the most frequent first, with the operators that they hit."""
    groups: dict[str, list[str]] = defaultdict(list)
    for one in found:
        if one.verdict in ("refused", "wrong"):
            text = re.sub(r"^\w+: node '[^']*' \((\w+), opset \d+\): ", "", one.reason)
            groups[re.sub(r"(?<!\w)'[^']*'", "'...'", re.sub(r"\d+", "#", text))[:160]].append(one.operator)
    return sorted(((text, len(ops), sorted(set(ops))) for text, ops in groups.items()), key=lambda row: -row[1])


def main() -> None:
    """Runs the cases and prints what came of them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="*", default=(), metavar="OPERATOR", help="these operators, case by case")
    parser.add_argument("--json", metavar="FILE", help="writes every outcome to a file")
    parser.add_argument("--write", action="store_true", help="writes docs/coverage_onnx.md")
    args = parser.parse_args()
    found = [outcome(c) for c in standard_cases() if not args.only or operator_of(c) in args.only]
    if args.json:
        rows = [{"case": o.name, "operator": o.operator, "verdict": o.verdict, "way": str(o.way or ""), "reason": o.reason} for o in found]
        with open(args.json, "w") as file:
            json.dump(rows, file, indent=1)
    if args.only:
        for one in found:
            print(f"{one.verdict:8} {one.name}  [{one.way or ''}]")
            for way, text in {**one.refused, **one.wrong}.items():
                print(f"           {way}: {' '.join(text.split())[:300]}")
    total = Counter(o.verdict for o in found)
    rows = by_operator(found)
    for op, counts in rows.items():
        if counts["refused"] or counts["wrong"] or counts["folded"]:
            print(f"{op:34} {sum(counts.values()):4}   {'  '.join(f'{k} {counts[k]}' for k in VERDICTS if counts[k])}")
    print()
    for text, count, ops in reasons(found):
        print(f"{count:4}  {text}   [{', '.join(ops)}]")
    passed = {op: counts["live"] + counts["folded"] for op, counts in rows.items()}
    whole = sum(passed[op] == sum(counts.values()) for op, counts in rows.items())
    line = (f"{sum(passed.values())} of {len(found)} pass ({total['live']} with a live input, {total['folded']} folded), "
            f"{total['refused']} refused, {total['wrong']} differ; all cases of {whole} of {len(rows)} operators")
    print(f"\n{line}")
    if args.write and not args.only:
        write(line, found, rows)


HEAD = """# The node tests of the ONNX standard

Written by `python benchmarks/coverage_onnx.py --write`; nothing here is written by hand. The onnx package (version {version}) generates
these cases: one model for each operator and setting, with inputs and expected outputs. Those count whose name has no `_expanded` and
whose inputs and outputs are tensors of floats of 16 to 64 bits, integers of 8 to 64 bits, or booleans. The tolerance is the suite's own
(1e-3 relative, 1e-7 absolute).

**{line}.**

A case is tried with all its inputs as inputs of the graph, with its floats alone, with its first alone, the others being constants of the
model; each with axis 0 as the batch, and as one sample without a batch. `live`: it passes in one of these ways. `folded`: it passes only
when nothing is an input, so that the operator is known of constants alone. A refusal is a gap and says why; a value that differs would be
a defect: the {wrong} that do so here are rounding (an expected value that float32 made 1.9e-7 of an exact 0, and one that falls on the
middle between two integers in float32 and beside it in float64).
"""


def write(line: str, found: list[Outcome], rows: dict[str, Counter[str]]) -> None:
    """Writes docs/coverage_onnx.md."""
    import onnx

    wrong = sum(one.verdict == "wrong" for one in found)
    head = HEAD.format(version=onnx.__version__, line=line, wrong=wrong)
    lines = [head, "| operator | cases | live | folded | refused | differs |", "|---|---:|---:|---:|---:|---:|"]
    for op, counts in rows.items():
        lines.append(f"| {op} | {sum(counts.values())} | {' | '.join(str(counts[k] or '') for k in VERDICTS)} |")
    lines += ["", "| why not | cases | operators |", "|---|---:|---|"]
    for text, count, ops in reasons(found):
        words = " ".join(text.replace("|", "/").split())
        lines.append(f"| {words if not words.startswith('Not equal') else 'differs by rounding'} | {count} | {', '.join(ops)} |")
    with open(os.path.join(os.path.dirname(__file__), os.pardir, "docs", "coverage_onnx.md"), "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
