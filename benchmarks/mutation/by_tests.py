"""The second stage: what the oracle did not notice is asked of the tests of the family, again only those that execute the place."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import Any

import pytest

from benchmarks.mutation.hunt import PATIENCE, Verdict, in_child
from benchmarks.mutation.mutants import ROOT, Mutant
from benchmarks.mutation.plant import VARIABLE, exchange, living
from benchmarks.mutation.watch import traced

TESTS: dict[str, tuple[str, ...]] = {
    "rules": ("tests/rules", "tests/ops/test_softmax.py", "tests/ops/test_normalize.py"),
    "ops": ("tests/ops/test_ops.py",),
    "ops.recurrence": ("tests/rules/test_recurrent.py",), "ops.recurrent": ("tests/rules/test_recurrent.py",),
    "ops.scan": ("tests/rules/test_recurrent.py", "tests/graph/test_blocks.py"), "ops.unroll": ("tests/rules/test_recurrent.py",),
    "ops.matrix": ("tests/ops/test_linear.py",), "ops.order": ("tests/ops/test_index.py",),
    "ops.trigonometry": ("tests/ops/test_pointwise.py",),
    "methods": ("tests/methods",),
}


def files(module: str) -> list[str]:
    """The test files of a module such as "ops.pool", those of its own name among them."""
    scope, _, name = module.partition(".")
    own = f"tests/{scope}/test_{name}.py"
    found = [*TESTS.get(module, ()), own, *TESTS.get(scope, ())]
    return [f for f in dict.fromkeys(found) if (ROOT / f).exists()]


class Loop:
    """A plugin of pytest, whose loop over the tests is: each once, watched; then for every change those that meet it."""

    def __init__(self, changes: Sequence[Mutant]):
        self.changes = changes
        self.verdicts: list[Verdict] = []
        self.failed: list[str] = []

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def pytest_runtestloop(self, session: Any) -> bool:
        names = {str(m.source.path) for m in self.changes}
        lines, seconds = {}, {}
        for item in session.items:
            start = time.process_time()
            lines[item] = traced(lambda item=item: self._run(item), names)
            seconds[item] = time.process_time() - start
        if self.failed:
            raise SystemExit(f"without a change these tests fail already: {', '.join(self.failed[:5])}")
        all = living()
        for m in self.changes:
            path = str(m.source.path)
            first, last = m.body if m.default else m.lines
            meets = [i for i in session.items if any(first <= k <= last for k in lines[i].get(path, ()))]
            hit = sorted(meets, key=lambda i: seconds[i])

            def ask(m: Mutant = m, hit: list[Any] = hit) -> str:
                if not exchange(m, all):
                    return "same code"
                for item in hit:
                    self._run(item)
                    if self.failed:
                        return self.failed[0]
                return ""

            if hit:
                self.verdicts.append(in_child(m.key, ask, PATIENCE + 10 * sum(seconds[i] for i in hit), stage=2))
        return True

    def _run(self, item: Any) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def by_tests(changes: Sequence[Mutant], early: Sequence[Mutant], paths: Sequence[str]) -> list[Verdict]:
    """The verdicts of the test files on these changes; ``early`` ones, which the import executes, cost a new interpreter each."""
    loop = Loop(changes)
    arguments = [*paths, "-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-W", "ignore", "-x"]
    if changes:
        sys.stdout.flush()
        pytest.main(["--rootdir", str(ROOT), *arguments], plugins=[loop])
    return [*loop.verdicts, *(_by_new_interpreter(m, arguments) for m in early)]


def _by_new_interpreter(m: Mutant, arguments: Sequence[str]) -> Verdict:
    from benchmarks.mutation.mutants import mutants

    _, scope, *module = m.source.name.split(".")
    number = [other.key for other in mutants(m.source)].index(m.key)
    environment = {**os.environ, VARIABLE: f"{scope}:{'.'.join(module)}:{number}"}
    command = [sys.executable, "-m", "pytest", "-p", "benchmarks.mutation.plant", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        return Verdict(m.key, "killed", "it did not end", 2)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    return Verdict(m.key, "killed", failed[0][:200] if failed else "pytest", 2) if done.returncode else Verdict(m.key, "survived", stage=2)
