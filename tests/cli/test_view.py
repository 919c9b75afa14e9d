"""xaicore view: it writes the page that the library makes, with names from a file; refusals leave nothing behind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from tests.cli.files import Run, cnn
from tests.show.test_viewer import numbers, stored
from xaicore.methods import explain


def test_the_page_is_written(run: Run, folder: Path) -> None:
    done = run("view", "grey.json", "grey.npy", "--sample", 1, "-m", "lrp.epsilon", "-m", "gradient", "-o", "out.html", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["files"] == ["out.html"]
    text = (folder / "out.html").read_text(encoding="utf-8")
    a = explain(cnn("grey", 1, 8), np.load("grey.npy")[1:], "lrp.epsilon")
    d = stored(text)
    np.testing.assert_allclose(numbers(d["cells"][0][-1]["map"]), np.asarray(a).reshape(-1), rtol=2e-7, atol=1e-12)
    assert "xaicore view grey.json grey.npy -m lrp.epsilon -m gradient --sample 1 -o out.html" in text


def test_names_of_features(run: Run, folder: Path) -> None:
    (folder / "names.txt").write_text("age\nheight\n<b>\nsugar\nsalt\n", encoding="utf-8")
    assert run("view", "table.json", "rows.csv", "--names", "names.txt").code == 0
    text = (folder / "view.html").read_text(encoding="utf-8")
    assert ">height</text>" in text
    assert "&lt;b&gt;" in text


@pytest.mark.parametrize(("words", "message"), [
    (("-o", "out.png"), ".html"), (("--sample", 9), "0 to 1"), (("--names", "nothing.txt"), "cannot be read"), (("-o", "no/out.html"), "no folder"),
])
def test_refusals(run: Run, folder: Path, words: tuple[object, ...], message: str) -> None:
    done = run("view", "grey.json", "grey.npy", *words)
    assert done.code == 2
    assert message in done.err
    assert not list(folder.glob("*.html"))
