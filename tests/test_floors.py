"""The oldest dependencies that pyproject.toml allows are those that .ci/release installs, so that a floor is run and not guessed."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
TOOLS = {"pytest-xdist", "ruff", "mypy", "torch", "keras", "onnxruntime"}
"""Of the extra "test": what has no part in the old set. torch and Keras bring a NumPy of their own."""


def test_every_floor_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = project["optional-dependencies"]
    floors = dict(one.split(">=") for one in (*project["dependencies"], *extras["test"], *extras["onnx"]) if ">=" in one)
    lines = re.findall(r"^([\w-]+)==([\d.]+?)(?:\.\*)?$", (ROOT / ".ci/oldest.txt").read_text(encoding="utf-8"), re.M)
    pins = dict(lines)
    assert set(floors) - TOOLS == set(pins)
    for name, pin in pins.items():
        floor = floors[name].split(".")
        assert pin.split(".")[:len(floor)] == floor, f"{name}>={floors[name]}, and {pin} is tested"
