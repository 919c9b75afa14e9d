"""One change after another, each in a child of this process that has everything imported: the first question that notices ends it."""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.mutation.mutants import Mutant, Source
from benchmarks.mutation.plant import Living, anew, exchange, living
from benchmarks.mutation.watch import traced

Status = Literal["killed", "survived", "not executed", "same code"]
MEMORY = 4 * 2**30
PATIENCE = 3.0
"""Seconds of a processor, beside ten times what the questions take without a change; who needs longer counts as noticed."""


@dataclass
class Verdict:
    """What became of one change, and who noticed."""

    key: str
    status: Status
    by: str = ""
    stage: int = 1


class Hunt:
    """The questions, which lines each executes, and how long it takes; ``at_import``: lines that the import of xaicore executes."""

    def __init__(self, sources: Sequence[Source], ask: bool = True):
        assert not any(k.startswith("xaicore") for k in sys.modules), "the import itself is watched"
        self.sources = list(sources)
        self.files = {str(s.path): s for s in sources}
        self.at_import = traced(lambda: __import__("benchmarks.mutation.questions"), self.files)
        from benchmarks.mutation.questions import questions

        self.lines: dict[str, dict[str, set[int]]] = {}
        self.seconds: dict[str, float] = {}
        self.asked = questions() if ask else {}
        for name, ask in self.asked.items():
            start = time.process_time()
            self.lines[name] = traced(ask, self.files)
            self.seconds[name] = time.process_time() - start
        self.living = living()
        gc.freeze()                                                          # children share the memory that nobody collects

    def early(self, m: Mutant) -> bool:
        """Whether the import of xaicore itself executes the place: then exchanging a function afterwards would come too late. The default
        of an argument is such a place where the import calls the function."""
        lines = self.at_import.get(str(m.source.path), ())
        return any(k in lines for k in range(m.body[0], m.body[1] + 1)) if m.default else _meets(self.at_import, m)

    def relevant(self, m: Mutant) -> list[str]:
        """The questions that execute the place, the cheapest first; those that execute anything of its module where the import does."""
        name = str(m.source.path)
        if self.early(m):
            hit = [q for q, lines in self.lines.items() if name in lines]
        else:
            first, last = m.body if m.default else m.lines
            hit = [q for q, lines in self.lines.items() if any(first <= k <= last for k in lines.get(name, ()))]
        return sorted(hit, key=lambda q: self.seconds[q])

    def judge(self, m: Mutant) -> Verdict:
        """Plants one change and asks."""
        names = self.relevant(m)
        if not names:
            return Verdict(m.key, "not executed")
        early = self.early(m)
        patience = PATIENCE + 10 * sum(self.seconds[q] for q in names)
        return in_child(m.key, lambda: noticed_by(m, names, early, self.asked, self.living), patience)


def noticed_by(m: Mutant, names: Iterable[str], early: bool, asked: Mapping[str, Callable[[], None]],
               all: Living) -> str:
    """Plants a change in this process, which has to be a child, and gives the first question that notices, or ""."""
    if early:
        anew(m)
        from benchmarks.mutation.questions import questions

        asked = questions()
    elif not exchange(m, all):
        return "same code"
    for name in names:
        ask = asked[name]
        try:
            ask()
        except BaseException:
            return name
    return ""


def in_child(key: str, ask: Callable[[], str], seconds: float, stage: int = 1) -> Verdict:
    """The verdict of a forked process: ``ask`` gives the name of who noticed, or "". Raising, dying and hanging are noticed, too."""
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            gc.disable()
            os.dup2(nowhere, 1)
            os.dup2(nowhere, 2)
            signal.signal(signal.SIGPROF, signal.SIG_DFL)
            signal.setitimer(signal.ITIMER_PROF, seconds)
            resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
            said = ask()
        except BaseException as error:
            said = f"raised {type(error).__name__}: {error}"
        os.write(into, ("." + said)[:500].encode())
        os._exit(0)
    os.close(into)
    with os.fdopen(out, "rb") as pipe:
        said = pipe.read().decode(errors="replace")
    os.waitpid(child, 0)
    if said == ".same code":
        return Verdict(key, "same code")
    return Verdict(key, "survived", stage=stage) if said == "." else Verdict(key, "killed", said[1:] or "it did not end", stage)


def _meets(lines: Mapping[str, set[int]], m: Mutant) -> bool:
    seen = lines.get(str(m.source.path), ())
    return any(k in seen for k in range(m.lines[0], m.lines[1] + 1))
