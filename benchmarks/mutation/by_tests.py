"""The second stage: what the oracle did not notice is asked of the tests of the family, again only those that execute the place."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import pytest

from benchmarks.mutation.hunt import PATIENCE, Verdict, in_child
from benchmarks.mutation.mutants import ROOT, Mutant, Source, mutants
from benchmarks.mutation.plant import VARIABLE, exchange, living
from benchmarks.mutation.watch import traced

OPTIONS = ("-q", "-p", "no:cacheprovider", "-p", "no:warnings", "-W", "ignore")
EVERY_OPERATOR = "tests/ops/test_ops.py"
TESTS: dict[str, tuple[str, ...]] = {
    "rules": ("tests/rules/test_defaults.py", "tests/rules", "tests/ops/test_softmax.py", "tests/ops/test_normalize.py"),
    "ops": (EVERY_OPERATOR, "tests/ops/test_claims.py"),
    "ops.recurrence": ("tests/rules/test_recurrent.py",),
    "ops.recurrent": ("tests/rules/test_recurrent.py", "tests/ops/test_recurrence.py"),
    "ops.scan": ("tests/rules/test_recurrent.py", "tests/graph/test_blocks.py"), "ops.unroll": ("tests/rules/test_recurrent.py",),
    "ops.matrix": ("tests/ops/test_linear.py",), "ops.reduce": ("tests/ops/test_steps.py",), "ops.order": ("tests/ops/test_index.py",),
    "ops.trigonometry": ("tests/ops/test_pointwise.py",), "ops.smooth": ("tests/ops/test_elementwise.py",),
    "ops.placing": ("tests/ops/test_pool.py",), "ops.shifts": ("tests/ops/test_depthwise.py", "tests/ops/test_conv.py"),
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

    def __init__(self, changes: Sequence[Mutant], note: Callable[[Verdict], None]):
        self.changes, self.note = changes, note
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
        sound = [i for i in session.items if i.nodeid not in self.failed]
        self.failed.clear()
        all = living()
        for m in self.changes:
            path = str(m.source.path)
            first, last = m.body if m.default else m.lines
            meets = [i for i in sound if any(first <= k <= last for k in lines[i].get(path, ()))
                     or (m.default and "default" in i.nodeid)]                      # who reads a signature executes nothing
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
                self.note(in_child(m.key, ask, PATIENCE + 10 * sum(seconds[i] for i in hit), stage=2))
        return True

    def _run(self, item: Any) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)


def by_tests(changes: Sequence[Mutant], early: Sequence[Mutant], note: Callable[[Verdict], None]) -> None:
    """Notes what the tests of their modules make of these changes; ``early`` ones, which the import executes, cost a new interpreter
    each."""
    if changes:
        paths = dict.fromkeys(p for m in changes for p in files(m.source.name.removeprefix("xaicore.")))
        with open(os.devnull, "w", encoding="utf-8") as nowhere, redirect_stdout(nowhere):
            pytest.main(["--rootdir", str(ROOT), *OPTIONS, *paths], plugins=[Loop(changes, note)])
    for m in early:
        note(_by_new_interpreter(m))


def _by_new_interpreter(m: Mutant) -> Verdict:
    _, scope, *module = m.source.name.split(".")
    number = [other.key for other in mutants(Source(m.source.path))].index(m.key)
    environment = {**os.environ, VARIABLE: f"{scope}:{'.'.join(module)}:{number}"}
    classes = [node.name for node in m.source.tree.body if isinstance(node, ast.ClassDef)]
    paths = files(m.source.name.removeprefix("xaicore."))
    some = " or ".join(classes + [Path(p).stem for p in paths if p != EVERY_OPERATOR])
    chosen = ["-x", *paths, *(["-k", some] if classes else [])]
    command = [sys.executable, "-m", "pytest", "-p", "benchmarks.mutation.plant", *OPTIONS, *chosen]
    try:
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=900, check=False)
    except subprocess.TimeoutExpired:
        return Verdict(m.key, "killed", "it did not end", 2)
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if done.returncode in (0, 5):                                          # 5: no test was there to ask
        return Verdict(m.key, "survived", stage=2)
    return Verdict(m.key, "killed", failed[0][:200] if failed else "pytest", 2)
