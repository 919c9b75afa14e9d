"""xaicore explain with several inputs: patterns, a folder, failures as rows, going on."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.cli.conftest import Run
from xaicore.data import digits_path


@pytest.fixture
def images(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for k in range(4):
        shutil.copy(digits_path("digit_3.png"), tmp_path / f"{k}.png")
    (tmp_path / "2.png").write_bytes(b"poison")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_pattern_becomes_a_folder(run: Run, images: Path) -> None:
    ran = run("explain", "digits", "*.png", "-m", "gradient", "-m", "smoothgrad:samples=2", "-o", "out/")
    assert ran.code == 1
    assert "out: 3 of 4 items explained, 1 failed" in ran.out
    assert "2.png: FileRefused: 2.png is not a PNG or JPEG image" in ran.out
    assert "4 of 4, 1 failed" in ran.err
    rows = [json.loads(line) for line in (images / "out/index.jsonl").read_text().splitlines()]
    assert [r["status"] for r in rows] == ["done", "done", "error", "done"]
    assert rows[0]["methods"]["gradient"]["output"] == rows[1]["methods"]["gradient"]["output"]
    assert rows[0]["sha256"] != rows[1]["sha256"], "the same image, another seed for each item"
    again = run("explain", "digits", "0.png", "1.png", "2.png", "3.png", "-m", "gradient", "-m", "smoothgrad:samples=2", "-o", "out", "--json")
    assert json.loads(again.out) == {"folder": "out", "items": 4, "done": 3, "failed": 1, "kept": 4}
    assert run("explain", "digits", "*.png", "-m", "gradient", "-m", "smoothgrad:samples=2", "-o", "out", "--afresh").code == 2


def test_one_file_is_explained_as_ever_and_a_pattern_may_be_a_name(run: Run, images: Path) -> None:
    shutil.copy(images / "0.png", images / "a[1].png")
    for name in ("0.png", "a[1].png"):
        assert run("explain", "digits", name, "-m", "gradient", "-o", "one.npz").code == 0
    assert np.load(images / "one.npz")["gradient"].shape == (1, 1, 8, 8)


@pytest.mark.parametrize(("words", "told"), [
    (("*.png",), "several inputs go into a folder"), (("*.png", "-o", "out.npz"), "several inputs go into a folder"),
    (("*.gif", "-o", "out"), "no file fits '*.gif'"), (("*.png", "-o", "out", "--trace"), "--trace is for one input"),
    (("*.png", "-o", "out", "--jobs", "0"), "--jobs 0: at least 1"), (("*.png", "-o", "out", "--baseline", "0"), "none of the chosen methods compares"),
    (("*.png", "-o", "out", "-m", "integrated_gradients", "--baseline", "mean"), "is a number or zero"),
])
def test_mistakes(run: Run, images: Path, words: tuple[str, ...], told: str) -> None:
    ran = run("explain", "digits", *words)
    assert ran.code == 2
    assert told in ran.err
