"""xaicore evaluate, sanity, metrics."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

from tests.cli.files import Run
from xaicore.data import digits_path


def test_evaluate(run: Run, folder: Path) -> None:
    np.save(folder / "truth.npy", np.eye(8))
    done = run("evaluate", "digits", digits_path("digit_3.png"), "-m", "gradient", "-m", "smoothgrad:samples=2", "--metrics", "deletion:steps=4,baseline=mean,pointing_game",
               "--metrics", "road:order=combined,measure=f", "--truth", "truth.npy", "-o", "out.json", "--reasons")
    assert done.code == 0
    assert "control.sobel" in done.out
    found = json.loads((folder / "out.json").read_text())
    assert found["metrics"]["deletion:steps=4,baseline=mean"]["settings"]["steps"] == 4
    assert found["methods"][:2] == ["gradient", "smoothgrad:samples=2"]
    picture = run("evaluate", "digits", digits_path("digit_3.png"), "-m", "gradient", "--metrics", "entropy", "--no-controls", "-o", "out.png", "--json")
    assert picture.code == 0
    assert json.loads(picture.out)["methods"] == ["gradient"]
    with Image.open(folder / "out.png") as image:
        assert image.width > 50


def test_nothing_measured(run: Run, folder: Path) -> None:
    done = run("evaluate", "digits", digits_path("digit_3.png"), "-m", "gradient", "--metrics", "pointing_game", "--no-controls", "--reasons")
    assert done.code == 5
    assert "give truth=" in done.out.replace("\n", " ")


def test_mistakes(run: Run, folder: Path) -> None:
    digit = digits_path("digit_3.png")
    assert run("evaluate", "digits", digit, "--metrics", "deletoin").code == 2
    assert "deletion" in run("evaluate", "digits", digit, "--metrics", "deletoin").err
    assert run("evaluate", "digits", digit, "--metrics", "steps=3").code == 2
    assert run("evaluate", "digits", digit, "-o", "x.txt").code == 2
    assert run("evaluate", "digits", digit, "--truth", "no.npy", "--metrics", "pointing_game").code == 2
    assert run("evaluate", "digits", digit, "--truth", digit, "--metrics", "pointing_game").code == 4
    assert run("sanity", "digits", digit, "--checks", "luck").code == 2
    assert run("sanity", "digits", digit, "-o", "x.html").code == 2
    assert run("metrics", "roaar").code == 2


def test_sanity(run: Run, folder: Path) -> None:
    digit = digits_path("digit_3.png")
    done = run("sanity", "digits", digit, "-m", "gradient", "-m", "guided_backprop", "--checks", "randomisation,class", "-o", "maps.png", "--reasons")
    assert done.code == 1
    assert "guided_backprop   SURVIVES parameter randomisation" in done.out
    with Image.open(folder / "maps.png") as image:
        assert image.width > 700
    calm = run("sanity", "digits", digit, "-m", "gradient", "--checks", "randomisation", "--no-controls", "--json")
    assert calm.code == 0
    assert json.loads(calm.out)["survivors"] == []


def test_metrics(run: Run) -> None:
    listed = run("metrics")
    assert listed.code == 0
    assert "fixation.nss" in listed.out
    card = run("metrics", "sensitivity_n")
    assert "ancona2018" in card.out or "Ancona" in card.out
    assert len(json.loads(run("metrics", "--json").out)["metrics"]) > 50
