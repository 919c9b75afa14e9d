"""python -m benchmarks.mutation rules ops: plants changes in the engine and asks whether the oracle notices.

    python -m benchmarks.mutation rules                          every change in xaicore/rules, the oracle alone
    python -m benchmarks.mutation ops --sample 800 --tests       800 drawn ones of xaicore/ops, then the tests of the family
    python -m benchmarks.mutation ops --only pool                one module
    python -m benchmarks.mutation rules --keep FILE              remembers verdicts in FILE and goes on where it stopped
    python -m benchmarks.mutation rules --keep FILE --again      asks of the survivors in FILE again, after the oracle has grown
    python -m benchmarks.mutation --write FILE ...               docs/mutation.md from such files
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

from benchmarks.mutation.hunt import Hunt, Verdict  # noqa: E402
from benchmarks.mutation.mutants import Mutant, mutants, sources  # noqa: E402
from benchmarks.mutation.reasons import homeless  # noqa: E402
from benchmarks.mutation.report import summary, write  # noqa: E402


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.mutation", description=__doc__,
                                     formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("scopes", nargs="*", help="packages of xaicore: rules, ops, methods")
    parser.add_argument("--only", default="", help="modules of the package, with commas")
    parser.add_argument("--sample", type=int, help="so many changes, drawn from all of each package")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--tests", action="store_true", help="ask the tests of the family about what the oracle did not notice")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so many; with --keep the next run goes on")
    parser.add_argument("--keep", type=Path, help="a file of verdicts (JSON)")
    parser.add_argument("--again", action="store_true", help="ask of the survivors again")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--write", type=Path, nargs="+", help="files of verdicts: write docs/mutation.md")
    args = parser.parse_args(arguments)
    if args.write:
        found = [json.loads(p.read_text(encoding="utf-8")) for p in args.write]
        write(found)
        for listed in homeless(m.key for scope in ("rules", "ops") for source in sources(scope) for m in mutants(source)):
            print(f"benchmarks/mutation/reasons.py: no change of today's code begins with {listed!r}", file=sys.stderr)
        return 0
    known: dict[str, Any] = json.loads(args.keep.read_text(encoding="utf-8")) if args.keep and args.keep.exists() else {}
    known["verdicts"] = verdicts = known.get("verdicts", {})
    known.setdefault("of", {})
    planned = []
    for scope in args.scopes:
        found = [m for source in sources(scope, args.only) for m in mutants(source)]
        known["of"][scope] = [len(found), args.seed]
        known.setdefault("on", {})[scope] = date.today().isoformat()
        if args.again:
            found = [m for m in found if m.key in verdicts] if args.sample else found
            gone = [k for k in verdicts if k.split(":")[0].split(".")[0] == scope and k not in {m.key for m in found}]
            for k in [*gone, *(m.key for m in found if m.key in verdicts and _alive(verdicts[m.key]))]:
                del verdicts[k]
        planned += found if args.again else _drawn(found, args.sample, args.seed)

    def keep() -> None:
        if args.keep:
            args.keep.write_text(json.dumps(known, indent=1), encoding="utf-8")

    _hunt(planned, verdicts, args, keep)
    keep()
    print(json.dumps(known, indent=1) if args.json else summary(known))
    return 0


def _drawn(found: list[Mutant], count: int | None, seed: int) -> list[Mutant]:
    if count is None or count >= len(found):
        return found
    return random.Random(seed).sample(found, count)                    # in the order drawn: whatever is stopped has judged a sample


def _hunt(planned: list[Mutant], verdicts: dict[str, Any], args: argparse.Namespace, keep: Callable[[], None]) -> None:
    end = time.monotonic() + args.seconds
    wanted = [m for m in planned if m.key not in verdicts or (args.tests and _alive(verdicts[m.key]) and verdicts[m.key]["stage"] == 1)]
    hunt = Hunt(list(dict.fromkeys(m.source for m in wanted)), any(m.key not in verdicts for m in wanted))
    for m in wanted:
        if time.monotonic() > end:
            return
        if m.key not in verdicts:
            _note(verdicts, hunt.judge(m), m)
            if len(verdicts) % 50 == 0:
                keep()
    if not args.tests:
        return
    from benchmarks.mutation.by_tests import by_tests

    left = [m for m in wanted if m.key in verdicts and _alive(verdicts[m.key])]
    early = [m for m in left if hunt.early(m)]
    by_key = {m.key: m for m in left}

    def note(verdict: Verdict) -> None:
        _note(verdicts, verdict, by_key[verdict.key])
        keep()

    by_tests([m for m in left if m not in early], early, note)


def _alive(verdict: dict[str, Any]) -> bool:
    return verdict["status"] in ("survived", "not executed")


def _note(verdicts: dict[str, Any], verdict: Verdict, m: Mutant) -> None:
    verdicts[m.key] = {**asdict(verdict), "kind": m.kind, "line": m.line}
    if _alive(verdicts[m.key]):
        print(f"{verdict.stage} {verdict.status:12} {m.line:4} {m.key}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
