"""xaicore visualize and xaicore represent: what they print, draw and refuse."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.cli.files import Run
from xaicore.cli import visualize
from xaicore.errors import ShapeError
from xaicore.represent.dictionary import Dictionary
from xaicore.represent.sequence import Timeline
from xaicore.show.interface import dictionary_page, timeline_page
from xaicore.show.pictures import Shown, drawn, mosaic, plane
from xaicore.visualize import PRESETS


def test_images_of_classes_channels_and_neurons(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "units.png"
    ran = run("visualize", "digits", "--class", 3, "--channel", "relu2:4", "--neuron", "relu2:4,3,3", "--steps", 6, "--batch", 2, "-o", out)
    assert ran.code == 0
    assert all(word in ran.out for word in ("class 3", "channel relu2:4", "neuron relu2:4,3,3", "olah_small"))
    with Image.open(out) as sheet:
        assert sheet.width > 2 * 160
    again = tmp_path / "again.png"
    run("visualize", "digits", "--class", 3, "--channel", "relu2:4", "--neuron", "relu2:4,3,3", "--steps", 6, "--batch", 2, "-o", again)
    assert again.read_bytes() == out.read_bytes()


def test_numbers_frames_dreams_and_inversions(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "made.npz"
    told = json.loads(run("visualize", "digits", "--class", 3, "--steps", 4, "--json", "-o", out).out)
    assert told["results"][0]["objective"] == "class 3"
    assert told["settings"]["seed"] == 0
    with np.load(out, allow_pickle=False) as stored:
        assert stored["class_3"].shape == (1, 1, 8, 8)
    assert run("visualize", "digits", "--class", 3, "--steps", 4, "--frames", 3, "-o", tmp_path / "f.png").code == 0
    ran = run("visualize", "digits", "--layer", "relu2", "--from", "digit_5.png", "--preset", "deepdream", "--octaves", 2, "--steps", 2,
              "-o", tmp_path / "dream.png")
    assert ran.code == 0
    assert "layer relu2" in ran.out
    assert run("visualize", "digits", "--layer", "relu2", "--from", "digit_5.png", "--preset", "inversion", "--steps", 5).code == 0


@pytest.mark.parametrize(("words", "said"), [
    (["--channel", "rellu2:4"], "did you mean 'relu2'"),
    (["--channel", "relu2"], "--channel LAYER:K"),
    (["--channel", "relu2:99"], "channels 0 to 15"),
    (["--class", "12"], "channels 0 to 9"),
    (["--class", "3", "--preset", "olha"], "olah"),
    ([], "nothing to make large"),
    (["--layer", "relu2", "--preset", "inversion"], "--from IMAGE"),
    (["--class", "3", "-o", "three.jpg"], ".png"),
])
def test_visualize_refuses(run: Run, words: list[str], said: str) -> None:
    ran = run("visualize", "digits", *words)
    assert ran.code == 2
    assert said in ran.err


def test_the_help_names_every_preset() -> None:
    assert [p for p in PRESETS if p not in visualize.EPILOG] == []


def test_representations_as_tables(run: Run) -> None:
    ran = run("represent", "digits", "digits", "--compare", "relu1,pool,logits")
    assert ran.code == 0
    lines = ran.out.splitlines()
    assert lines[0] == "linear CKA on 12 samples"
    assert lines[3].split()[:2] == ["relu1", "1"]
    assert "they leave" in run("represent", "digits", "digits", "--groups", "relu2:4").out
    assert "sees 9 of 64 inputs" in run("represent", "digits", "digit_3.png", "--field", "conv2:0,0,0").out
    assert "(0, 0)" in run("represent", "digits", "digit_3.png", "--dictionary", "pool").out
    both = json.loads(run("represent", "digits", "digits", "--compare", "relu1,pool", "--with", "digits", "--json").out)
    assert both["compare"][1]["pool"] > 1 - 1e-9


def test_representations_as_pictures(run: Run, tmp_path: Path) -> None:
    for k, words in enumerate((["--patches", "relu2:4"], ["--maps", "relu2"], ["--neighbours", "fc1", "--top", 3], ["--map", "fc1"])):
        out = tmp_path / f"{k}.png"
        ran = run("represent", "digits", "digits", *words, "-o", out)
        assert ran.code == 0
        assert out.stat().st_size > 500
    assert "sample" in ran.out


def test_pages(run: Run, tmp_path: Path) -> None:
    out = tmp_path / "dictionary.html"
    assert run("represent", "digits", "digit_3.png", "--dictionary", "pool", "--top", 2, "--icons", 1, "-o", out).code == 0
    text = out.read_text(encoding="utf-8")
    assert text.count('class="cell"') == 16
    assert "what channel" in text
    assert "<script" not in text
    out = tmp_path / "timeline.html"
    ran = run("represent", "digits", "digits", "--timeline", "relu2:3", "--target", 3, "--top", 2, "-o", out)
    assert ran.code == 0
    assert "group_2" in ran.out.replace(" ", "_")
    text = out.read_text(encoding="utf-8")
    assert text.count("<polyline") == 1 + 4
    assert text.count("<figure") == 12
    assert "http" not in text.replace("http-equiv", "")


@pytest.mark.parametrize(("words", "said"), [
    (["--groups", "conv1"], "ReLU"),
    (["--patches", "relu2:44"], "channel 44"),
    (["--compare", ","], "at least one layer"),
    (["--compare", "relu1", "-o", "x.png"], "is a table"),
    (["--field", "conv2:0,9,0"], "(16, 8, 8)"),
    (["--map", "fc11"], "fc1"),
])
def test_represent_refuses(run: Run, words: list[str], said: str) -> None:
    ran = run("represent", "digits", "digits", *words)
    assert ran.code == 2
    assert said in ran.err


def test_pages_escape_names_from_files() -> None:
    line = Timeline(np.array([0.0, 1]), np.ones((2, 1)), np.zeros(2), np.ones(2), (1,))
    text = timeline_page(line, "<b>model</b>", names=["<script>x</script>"])
    assert "<script" not in text
    assert "<b>model" not in text
    assert "advantage" in text
    with pytest.raises(ShapeError, match="3 frames for 2 steps"):
        timeline_page(line, "t", [np.zeros((1, 2, 2))] * 3)
    with pytest.raises(ShapeError, match="rows and columns"):
        dictionary_page(Dictionary(np.zeros((2, 1), int), np.zeros((2, 1)), np.ones(2), (0,)), np.zeros((1, 2, 2)), "t")


def test_pictures() -> None:
    x = np.arange(12.0).reshape(1, 3, 4)
    assert drawn(x).shape == (3, 4, 3)
    assert drawn(x)[0, 0].tolist() == [0, 0, 0]
    assert drawn(x)[2, 3].tolist() == [255, 255, 255]
    assert drawn(x, (0, 22))[2, 3, 0] == 128                           # 11/22 of 255, rounded to even
    assert (drawn(np.ones((1, 2, 2))) == 128).all()
    assert drawn(np.array([[[0.0, *[1.0] * 8, 9.0]]]), stretch=0.2)[0, 5, 0] == 128
    assert mosaic([Shown(x), Shown(x), Shown(x)], 2, 50).width == 14 + 2 * 64
    assert plane(np.array([[0.0, 0], [1, 1]]), [x, x], 200).size == (200, 200)
