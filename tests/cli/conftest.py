"""Small models and inputs as files, and a way to run the command inside the test."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.files import Ran, Run, cnn, odd_model, table_model
from xaicore.cli.main import main
from xaicore.graph.files import save


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``xaicore`` with these words; there is never a traceback."""
    def call(*words: object) -> Ran:
        code = main([str(w) for w in words])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err + captured.out
        return Ran(code, captured.out, captured.err)

    return call


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with all files."""
    folder = tmp_path_factory.mktemp("cli")
    rng = np.random.default_rng(0)
    for graph in (cnn("grey", 1, 8), cnn("rgb", 3, 12), table_model(), odd_model()):
        save(graph, folder / f"{graph.name}.json")
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save(folder / "grey.png")
    Image.fromarray(rng.integers(0, 256, (12, 12, 3), dtype=np.uint8)).save(folder / "rgb.png")
    Image.fromarray(rng.integers(0, 256, (20, 30, 3), dtype=np.uint8)).save(folder / "wide.jpg")
    np.save(folder / "grey.npy", rng.normal(size=(2, 1, 8, 8)))
    np.savetxt(folder / "rows.csv", rng.normal(size=(2, 5)), delimiter=",")
    np.savez(folder / "odd.npz", x=rng.normal(size=(1, 4, 6)), ids=np.zeros(1, dtype=np.int64))
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder with links to the files."""
    for file in made.iterdir():
        os.link(file, tmp_path / file.name)
    monkeypatch.chdir(tmp_path)
    return tmp_path
