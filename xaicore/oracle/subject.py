"""A subject in a process of its own: JSON lines on stdin and stdout, a time limit, and words for everything that can go wrong.

The protocol, version 1, one JSON object a line (docs/subject_protocol.md has it with examples):

    -> {"cmd": "start", "protocol": 1}
    <- {"protocol": 1, "name": "mine", "version": "0.3"}         or {"unavailable": "why"}
    -> {"cmd": "run", "seq": 1, "model": "/path/graph.json", "x": {"x": [[1, -2, 3]]}, "target": [0], "baseline": null, "settings": {}}
    <- {"seq": 1, "attributions": {"x": [[0.5, 0.5, -0.4]]}}     with "layers": {"fc": ...} where it has them
       {"seq": 1, "skipped": "why"}     or     {"seq": 1, "error": "what", "type": "ValueError"}
    -> {"cmd": "stop"}

``model`` is a file in xaicore's own format (JSON); stderr is the subject's to log on.
"""

from __future__ import annotations

import contextlib
import json
import queue
import shlex
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from xaicore.errors import InputError, NothingChecked, SubjectFault
from xaicore.graph import Graph
from xaicore.graph.files import save
from xaicore.numerics import Array

PROTOCOL = 1
TIMEOUT = 60.0
LINE = 2**28
"""Characters of one answer; more is refused."""


class Subject:
    """A running subject; a context manager that ends it. ``run`` asks one question."""

    def __init__(self, command: str | Sequence[str], timeout: float = TIMEOUT, label: str = "",
                 environment: Mapping[str, str] | None = None):
        self.words = shlex.split(command) if isinstance(command, str) else list(command)
        self.label = label or (command if isinstance(command, str) else shlex.join(command))
        self.timeout, self.environment = timeout, environment
        self.name = self.version = ""
        self.log: list[str] = []

    def __enter__(self) -> Subject:
        if not self.words:
            raise InputError("cmd: names no command; write cmd:\"python mine.py\"")
        try:
            self.process = subprocess.Popen(self.words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                            encoding="utf-8", errors="replace", env=self.environment)
        except OSError as error:
            raise NothingChecked(f"{self.label}: {self.words[0]!r} cannot be run ({error.strerror}), so nothing was checked; check the "
                                 f"path and its permissions") from None
        self.lines: queue.Queue[str | None] = queue.Queue()
        assert self.process.stdout is not None
        assert self.process.stderr is not None
        self.threads = [threading.Thread(target=_pump, args=pair, daemon=True) for pair in (
            (self.process.stdout, self.lines.put), (self.process.stderr, self._remember))]
        for thread in self.threads:
            thread.start()
        try:
            hello = self._ask({"cmd": "start", "protocol": PROTOCOL})
            if "unavailable" in hello:
                raise NothingChecked(f"{self.label} is not available: {hello['unavailable']}; nothing was checked")
            if "error" in hello:
                raise SubjectFault(f"{self.label} did not start: {hello.get('type', 'an error')}: {hello['error']}")
            if hello.get("protocol", PROTOCOL) != PROTOCOL:
                raise SubjectFault(f"{self.label} speaks protocol {hello['protocol']!r}; this is protocol {PROTOCOL}")
            self.name, self.version = str(hello.get("name", self.label)), str(hello.get("version", ""))
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *reason: object) -> None:
        self.close()

    def run(self, graph: Graph, feeds: Mapping[str, Array], target: Any = None, baseline: Any = None,
            settings: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The attributions (and layers) that it answers with, as nested lists by name.

        NothingChecked where it skips the question, SubjectFault where it raises, hangs, ends or says something else than an answer.
        """
        with tempfile.TemporaryDirectory(prefix="xaicore-subject-") as folder:
            path = Path(folder) / "graph.json"
            save(graph, path)
            answer = self._ask({"cmd": "run", "seq": 1, "model": str(path), "x": {k: plain(v) for k, v in feeds.items()},
                                "target": plain(target), "baseline": plain(baseline), "settings": plain(dict(settings or {}))})
        if answer.get("seq") != 1:
            raise SubjectFault(f"{self.label} answered seq {answer.get('seq')!r} to the question with seq 1")
        if "skipped" in answer:
            raise NothingChecked(f"{self.label} skipped the question: {answer['skipped']}")
        if answer.get("type") == "SubjectFault":
            raise SubjectFault(f"{self.label}: {answer['error']}")
        if "error" in answer:
            raise SubjectFault(f"{self.label} raised {answer.get('type', 'an error')}: {answer['error']}")
        found = answer.get("attributions")
        if not isinstance(found, dict) or not found:
            raise SubjectFault(f"{self.label} answered without attributions: {json.dumps(answer)[:120]}; {{\"seq\": 1, \"attributions\": "
                               f"{{\"x\": [...]}}}} is expected")
        layers = answer.get("layers", {})
        return {**found, **(layers if isinstance(layers, dict) else {})}

    def close(self) -> None:
        """Ends the process, kindly at first."""
        process = getattr(self, "process", None)
        if process is None:
            return
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write('{"cmd": "stop"}\n')
            process.stdin.close()
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for thread in self.threads:
            thread.join(timeout=1)                                      # a grandchild may hold the pipe open
        for stream in (process.stdin, process.stdout, process.stderr):
            with contextlib.suppress(OSError, ValueError):
                stream.close()

    def _ask(self, question: Mapping[str, Any]) -> dict[str, Any]:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except (BrokenPipeError, OSError):
            raise SubjectFault(f"{self.label} ended{self._code()} before it was asked{self._last_words()}") from None
        try:
            line = self.lines.get(timeout=self.timeout)
        except queue.Empty:
            self.process.kill()
            raise SubjectFault(f"{self.label} gave no answer in {self.timeout:g} s, and was ended{self._last_words()}") from None
        if line is None:
            raise SubjectFault(f"{self.label} ended{self._code()} without an answer{self._last_words()}")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            raise SubjectFault(f"{self.label} printed {line.strip()[:80]!r} on stdout, where one JSON object a line is expected; a subject "
                               f"logs on stderr") from None
        if not isinstance(answer, dict):
            raise SubjectFault(f"{self.label} answered {line.strip()[:80]!r}, which is no JSON object")
        return answer

    def _code(self) -> str:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=1)
        return "" if self.process.returncode is None else f" with exit code {self.process.returncode}"

    def _remember(self, line: str | None) -> None:
        if line is not None:
            self.log = [*self.log[-19:], line.rstrip()]

    def _last_words(self) -> str:
        said = [w for w in self.log if w.strip()]
        return f"; the last line on its stderr: {said[-1][:200]}" if said else ""


def _pump(stream: IO[str], put: Any) -> None:
    """Every line of a stream, and None when it ends."""
    with contextlib.suppress(ValueError, OSError):
        for line in iter(lambda: stream.readline(LINE), ""):
            put(line)
    put(None)


def plain(value: Any) -> Any:
    """Arrays and numbers as JSON has them: floats with every digit, rationals as "p/q"."""
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return value.item()
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


def answers(explain: Any, lines: Iterator[str], name: str, version: str = "") -> Iterator[str]:
    """The other side: for every line that comes in the line that goes out. ``explain`` takes (path of the model, x, target, baseline,
    settings) and gives a mapping of names to arrays."""
    for line in lines:
        question = json.loads(line)
        if question["cmd"] == "stop":
            return
        if question["cmd"] == "start":
            yield json.dumps({"protocol": PROTOCOL, "name": name, "version": version})
            continue
        try:
            found = explain(question["model"], question["x"], question["target"], question["baseline"], question["settings"])
            yield json.dumps({"seq": question["seq"], "attributions": plain(found)})
        except Exception as error:
            yield json.dumps({"seq": question["seq"], "error": str(error) or "no message", "type": type(error).__name__})
