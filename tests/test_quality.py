"""Linting and types, as part of the tests: ruff over everything, mypy --strict over xaicore and backends."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("command", [
    ["ruff", "check", "xaicore", "backends", "tests", "benchmarks"],
    ["mypy"],
], ids=["ruff", "mypy"])
def test_clean(command):
    pytest.importorskip(command[0])
    done = subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
