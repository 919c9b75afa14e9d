"""Measures whole sets of models, one subprocess for each model, and writes docs/coverage.md.

    python -m benchmarks.coverage torch.nn torchvision            what has no result yet
    python -m benchmarks.coverage timm --only 'resnet*' --fresh   again, by a pattern of names
    python -m benchmarks.coverage --list timm                     the names
    python -m benchmarks.coverage timm --routes                   the same model as ONNX and by other routes: same attributions?
    python -m benchmarks.coverage --table                         docs/coverage.md from the results, nothing measured

A model that crashes, takes too long or too much memory costs its own row. Results are lines of JSON in ``results/SET.jsonl``, so that
a run that was interrupted goes on where it stopped.
"""

from __future__ import annotations

import argparse
import fnmatch
import importlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from benchmarks.coverage import SETS, routes
from benchmarks.coverage import measure as one
from benchmarks.coverage.table import differing, failing, write_table

RESULTS = Path(__file__).parent / "results"


def main(argv: list[str] | None = None) -> int:
    """Runs what was asked for; 0 when every row that was measured is good."""
    plain = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog="python -m benchmarks.coverage", description=__doc__, formatter_class=plain)
    parser.add_argument("sets", nargs="*", metavar="SET", help=f"of {', '.join(SETS)}")
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="names to measure (may be given more than once)")
    parser.add_argument("--failed", action="store_true", help="measure again what failed, and nothing else")
    parser.add_argument("--fresh", action="store_true", help="measure again what has a result")
    parser.add_argument("--list", action="store_true", help="print the names and stop")
    parser.add_argument("--routes", action="store_true", help="compare the attributions of the same model by several routes, instead")
    parser.add_argument("--table", action="store_true", help="only write docs/coverage.md")
    parser.add_argument("--seconds", type=float, default=600, help="limit for each model (600)")
    parser.add_argument("--gib", type=float, default=5, help="limit of resident memory for each model (5)")
    parser.add_argument("--trace", action="store_true", help="show the whole traceback of what fails")
    asked = parser.parse_args(argv)
    unknown = [s for s in asked.sets if s not in SETS]
    if unknown:
        parser.error(f"no set is called {unknown[0]!r}; there are {', '.join(SETS)}")
    measure, wrong = (routes.measure, differing) if asked.routes else (one.measure, failing)
    bad, commit = 0, code()
    for name in asked.sets:
        backend, module = SETS[name]
        zoo = importlib.import_module(f"benchmarks.coverage.{module}")
        build = getattr(zoo, "compared", zoo.subject) if asked.routes else zoo.subject
        results = f"{name}.routes" if asked.routes else name
        known = read(results)
        names = [m for m in zoo.MODELS if not asked.only or any(fnmatch.fnmatch(m, p) for p in asked.only)]
        if asked.list:
            print("\n".join(names))
            continue
        for m in names:
            if asked.failed:
                wanted = m in known and bool(wrong(known[m]))
            else:
                wanted = asked.fresh or m not in known
            if not wanted:
                continue
            row = {**run(build, m, backend, asked, measure), "set_size": len(zoo.MODELS), "code": commit}
            known[m] = row
            with open(RESULTS / f"{results}.jsonl", "a") as lines:
                lines.write(json.dumps(row) + "\n")
            why = wrong(row)
            bad += bool(why)
            print(f"{time.strftime('%H:%M:%S')} {name} {m}: {why or 'good'} ({row['seconds']} s, {row['gib']} GiB)", flush=True)
        write(results, [known[m] for m in zoo.MODELS if m in known])
    if not asked.list:
        write_table({s: list(read(s).values()) for s in SETS}, {s: list(read(f"{s}.routes").values()) for s in SETS})
    return int(bool(bad))


def code() -> str:
    """The commit of what is measured, with a + where the sources differ from it."""
    def git(*words: str) -> str:
        return subprocess.run(["git", *words], cwd=RESULTS.parent, capture_output=True, text=True).stdout.strip()

    sources = git("status", "--porcelain", "--", ":/xaicore/*.py", ":/backends/*.py", ":/benchmarks/coverage/*.py")
    return git("rev-parse", "--short=7", "HEAD") + "+" * bool(sources)


def read(name: str) -> dict[str, dict[str, Any]]:
    """The rows of a set by model, the last one of each."""
    path = RESULTS / f"{name}.jsonl"
    rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    return {row["model"]: row for row in rows}


def write(name: str, rows: list[dict[str, Any]]) -> None:
    """The set's rows in the order of its models, one for each."""
    (RESULTS / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


# ----- one model in a process of its own --------------------------------------------------------------------------


def run(build: Any, model: str, backend: str, asked: argparse.Namespace, measure: Any) -> dict[str, Any]:
    """The row of one model: what the child wrote before it ended, and how it ended.

    The child is a fork, so that the framework is imported once for all models.
    """
    reading, writing = os.pipe()
    started = time.monotonic()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _child(build, model, os.fdopen(writing, "w"), measure, asked.trace)
    os.close(writing)
    row: dict[str, Any] = {"model": model, "backend": backend, "converts": False}
    ended, usage = _wait(child, started + asked.seconds, asked.gib)
    with os.fdopen(reading) as lines:
        for line in lines:
            row.update(json.loads(line))
    if ended:
        row.setdefault("error", ended)
    row["seconds"] = round(time.monotonic() - started, 1)
    row["gib"] = round(usage.ru_maxrss / 2**20, 2)
    return row


def _wait(child: int, until: float, gib: float) -> tuple[str, Any]:
    """How the child ended, if not by itself, and its resource usage."""
    why = ""
    while True:
        done, status, usage = os.wait4(child, os.WNOHANG)
        if done:
            break
        if not why and time.monotonic() > until:
            why = "took longer than the limit"
        elif not why and _resident(child) > gib:
            why = f"took more than {gib:g} GiB"
        if why:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    if not why and os.WIFSIGNALED(status):
        why = f"was ended by {signal.Signals(os.WTERMSIG(status)).name}"
    return why, usage


def _resident(child: int) -> float:
    try:
        with open(f"/proc/{child}/statm") as numbers:
            return int(numbers.read().split()[1]) * resource.getpagesize() / 2**30
    except (OSError, IndexError):
        return 0.0


def _child(build: Any, model: str, out: Any, measure: Any, trace: bool) -> None:
    def note(facts: dict[str, Any]) -> None:
        out.write(json.dumps(facts) + "\n")
        out.flush()

    try:
        os.setpgid(0, 0)
        measure(build(model), note)
    except BaseException as error:                                      # whatever it is, it is this row's result
        if trace:
            traceback.print_exc()
        note({"error": f"{type(error).__name__}: {error}"[:1500]})
    out.close()
    os._exit(0)


if __name__ == "__main__":
    RESULTS.mkdir(exist_ok=True)
    sys.exit(main())
