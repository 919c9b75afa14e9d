"""The command line as a whole: help, version, exit codes, errors without traceback, one JSON document."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

import xaicore
from tests.cli.files import Run
from xaicore.cli import main as entry
from xaicore.errors import FileRefused, Inapplicable, InputError, Mismatch, NothingChecked, UncoveredNode, XaicoreError

HEAVY = ("PIL", "rich", "jinja2", "scipy", "hypothesis", "onnx", "torch", "keras", "xaicore.show", "xaicore.oracle", "xaicore.data")


ENV = {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def python(*words: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter with this checkout on its path."""
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, timeout=60, env=ENV)


def test_help_names_every_command_and_exit_code(run: Run) -> None:
    ran = run("--help")
    assert ran.code == 0
    for word in ("demo", "inspect", "explain", "check", "methods", "rules", "exit codes", "  5  nothing was checked"):
        assert word in ran.out


@pytest.mark.parametrize("command", ["demo", "inspect", "explain", "check", "methods", "rules", "visualize", "represent"])
def test_each_command_has_help(run: Run, command: str) -> None:
    ran = run(command, "--help")
    assert ran.code == 0
    assert "--json" in ran.out


def test_version(run: Run) -> None:
    assert run("--version").out == f"xaicore {xaicore.__version__}\n"


def test_module_runs_as_a_command() -> None:
    ended = python("-m", "xaicore", "--version")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, f"xaicore {xaicore.__version__}\n", "")


def test_help_loads_nothing_that_a_command_needs() -> None:
    ended = python("-c", "import sys\nfrom xaicore.cli.main import main\nmain(['--help'])\nprint(*sys.modules, file=sys.stderr)")
    loaded = ended.stderr.split()
    assert not [m for m in loaded if m in HEAVY or m.startswith(tuple(f"{h}." for h in HEAVY))]


def test_building_the_help_is_quick() -> None:
    started = time.process_time()
    entry.parser().format_help()
    assert time.process_time() - started < 0.15                         # the limit for --help of its own; it takes a tenth of this


@pytest.mark.parametrize(("error", "code"), [
    (InputError("wrong"), 2), (Mismatch("differs"), 1), (UncoveredNode("no row"), 3), (Inapplicable("not here"), 3),
    (FileRefused("no model"), 4), (NothingChecked("nothing"), 5), (XaicoreError("any"), 2),
])
def test_every_error_class_becomes_its_exit_code(run: Run, monkeypatch: pytest.MonkeyPatch, error: XaicoreError, code: int) -> None:
    def fail(name: str, dtype: str = "") -> None:
        raise error

    monkeypatch.setattr("xaicore.cli.shared.open_model", fail)
    ran = run("inspect", "model.json")
    assert (ran.code, ran.out, ran.err) == (code, "", f"xaicore: {error}\n")
    told = run("inspect", "model.json", "--json")
    assert json.loads(told.out) == {"error": {"type": type(error).__name__, "message": str(error), "exit_code": code}}


def test_what_nobody_expected_is_one_line_that_says_how_to_report_it(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str, dtype: str = "") -> None:
        raise ZeroDivisionError("of all things")

    monkeypatch.delenv("XAICORE_DEBUG", raising=False)
    monkeypatch.setattr("xaicore.cli.shared.open_model", fail)
    ran = run("inspect", "model.json")
    assert ran.code == 2
    assert ran.err.count("\n") == 1
    assert "ZeroDivisionError: of all things" in ran.err
    assert "report it" in ran.err
    monkeypatch.setenv("XAICORE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        run("inspect", "model.json")


def test_memory_and_interruption_have_words(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def raising(error: BaseException) -> None:
        def fail(name: str, dtype: str = "") -> None:
            raise error

        monkeypatch.setattr("xaicore.cli.shared.open_model", fail)

    raising(MemoryError("4 TiB"))
    ran = run("inspect", "model.json")
    assert ran.code == 4
    assert "model.json: not enough memory (4 TiB)" in ran.err
    raising(KeyboardInterrupt())
    assert run("inspect", "model.json").code == 130


@pytest.mark.parametrize("words", [
    (), ("frobnicate",), ("explain",), ("explain", "m.json"), ("explain", "m", "x", "--seed", "no"), ("rules", "--foo"),
])
def test_usage_is_exit_code_2_with_the_usage_line(run: Run, words: tuple[str, ...]) -> None:
    ran = run(*words)
    assert ran.code == 2
    assert ran.err.startswith("usage: xaicore")
    assert "--help)" in ran.err
    assert json.loads(run(*words, "--json").out)["error"]["type"] == "UsageError"


def test_messages_cannot_steer_the_terminal(run: Run, folder: Path) -> None:
    ran = run("inspect", "a\x1b[2Jb.json")
    assert "\x1b" not in ran.err
    assert "a\\x1b[2Jb.json" in ran.err


def test_a_closed_pipe_is_no_error() -> None:
    ended = subprocess.run(f"{sys.executable} -m xaicore methods | head -n 1", shell=True, capture_output=True, text=True, timeout=60,
                           env=ENV)
    assert ended.stderr == ""
    assert ended.stdout.startswith("method")


@pytest.mark.skipif(sys.platform == "win32", reason="pseudo-terminals")
def test_a_terminal_gets_colour_and_tables_that_fit_it() -> None:
    import pty
    import re

    leader, follower = pty.openpty()
    env = {**ENV, "COLUMNS": "72", "TERM": "xterm"}
    ended = subprocess.Popen([sys.executable, "-m", "xaicore", "inspect", "digits"], stdout=follower, stderr=subprocess.DEVNULL, env=env)
    os.close(follower)
    data = b""
    while True:
        try:
            part = os.read(leader, 65536)
        except OSError:                                                 # Linux reports the end of a pseudo-terminal this way
            break
        if not part:
            break
        data += part
    os.close(leader)
    assert ended.wait(timeout=60) == 0
    text = data.decode()
    assert "\x1b[1m" in text
    lines = re.sub(r"\x1b\[[0-9;]*m", "", text).splitlines()
    assert max(len(line) for line in lines if "│" in line or "──" in line) <= 72
