"""The same picture on every machine: what show/ draws from fixed numbers, beside stored pictures.

    python -m tests.show.test_golden_images              # writes the stored ones again; look at what changed before you keep it

Numbers are quarters and eighths, so that no sum rounds. What may differ, and why:

* a level of a colour: 255 t is rounded to a whole number, and t comes out of a division (LEVEL);
* a letter's edge: its greys come from the FreeType library in Pillow. Drawn by Pillow 10.1, 11.0 and 13.0, at most 0.057 % of the pixels
  of a picture with letters differ by more than LEVEL, and none of a picture without; a few times that is allowed (EDGES);
* a coordinate of an SVG: it is written with one or two decimals, and the last one may round the other way (PLACE).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from xaicore.graph import Builder, Graph
from xaicore.methods import Attribution, explain
from xaicore.ops import Dense, Flatten
from xaicore.oracle.worked.nets import net_b
from xaicore.show import drawing
from xaicore.show.curve import curve
from xaicore.show.evaluation import curves
from xaicore.show.heatmap import colours, overlay, photograph
from xaicore.show.lovi import lovi
from xaicore.show.neurons import neurons
from xaicore.show.pictures import Shown, mosaic
from xaicore.show.sequence import Coloured, signal_image, text_image
from xaicore.show.sheet import bars, contact_sheet, fit, png

FOLDER = Path(__file__).parent / "golden"
LEVEL = 1
EDGES = 0.002
PLACE = 0.11

WAVE = ((np.arange(64) * 7 % 33) - 16) / 8
"""64 numbers from -2 to 2 in steps of an eighth, in no order that one sees."""
MAP = WAVE.reshape(8, 8)
GREY = (np.arange(64).reshape(1, 8, 8) % 9) / 8


def linear() -> Graph:
    b = Builder("linear")
    return b.build(b.add(Dense(), b.add(Flatten(), b.input("image", (None, 1, 8, 8))), b.param("w", np.stack([WAVE, WAVE[::-1]])), name="scores"))


def results() -> dict[str, Attribution]:
    x = GREY[None]
    return {m: explain(linear(), x, m, target=0) for m in ("gradient", "gradient_x_input")}


def on_net_b() -> Attribution:
    return explain(net_b(), np.array([[2.0, 1.0]]), "lrp.zero")


def text() -> Image.Image:
    words = "it is not a bad film at all".split()
    return text_image([Coloured("lrp.epsilon", words, WAVE[:8]), Coloured("gradient", words, WAVE[8:16])], "Why?", width=420, gap=4)


PICTURES: Mapping[str, tuple[Callable[[], Any], bool]] = {
    "heatmap": (lambda: fit(colours(MAP, 2.0), 64), False),
    "clipped": (lambda: fit(colours(MAP, 1.0), 64), False),
    "overlay": (lambda: fit(overlay(MAP, photograph(GREY), 2.0), 64), False),
    "bars": (lambda: bars(WAVE[:6], 2.0, 96), True),
    "lovi": (lambda: fit(lovi(np.abs(WAVE).reshape(4, 4, 4)), 64), False),
    "sheet": (lambda: contact_sheet(results(), "Two maps"), True),
    "tokens": (text, True),
    "signal": (lambda: signal_image(WAVE, {"gradient": WAVE[::-1]}, "A signal", width=320, height=60), True),
    "curve": (lambda: curve([0, 0.25, 0.5, 1], [0, 0.5, 2, 3], 96), False),
    "curves": (lambda: curves({"one": [0, 1, 0.5], "two": [1, 0.5, 0.25]}, [0, 0.5, 1], "Curves", width=320, height=160), True),
    "mosaic": (lambda: mosaic([Shown(GREY, "a", "1"), Shown(MAP[None], "b", "2")], 2, 48, "Two"), True),
}
"""name -> (what draws it, whether it has letters)."""

DRAWINGS: Mapping[str, Callable[[], str]] = {
    "waterfall": lambda: drawing.waterfall(WAVE[:6], ["a", "b", "c", "d", "e", "f"], 0.0, 1.0, 4, "A waterfall"),
    "saturation": lambda: drawing.curve([(0.0, 0.0), (0.25, 0.5), (1.0, 3.0)], "A curve"),
    "trace": lambda: drawing.signal(WAVE[None, :16], WAVE[None, 16:32], "A signal"),
    "ledger": lambda: drawing.books(on_net_b().ledger or pytest.fail("no ledger"), 0, "A ledger"),
    "neurons": lambda: neurons(on_net_b(), title="Net B"),
}


def image(made: Any) -> Image.Image:
    return made if isinstance(made, Image.Image) else Image.fromarray(np.asarray(made))


def assert_images_close(made: Any, stored: Any, letters: bool) -> None:
    """Equal in size; nowhere more than LEVEL apart, but for a share EDGES of the pixels where there are letters."""
    a, b = (np.asarray(image(v).convert("RGB")).astype(int) for v in (made, stored))
    assert a.shape == b.shape
    apart = (np.abs(a - b).max(axis=2) > LEVEL).mean()
    assert apart <= (EDGES if letters else 0), f"{100 * apart:.2f} % of the pixels differ by more than {LEVEL} of 255"


def assert_drawings_close(made: str, stored: str) -> None:
    """The same text, and every number in it within PLACE."""
    numbers = r"-?\d+\.\d+|-?\d+"
    assert re.sub(numbers, "#", made) == re.sub(numbers, "#", stored)
    np.testing.assert_allclose([float(v) for v in re.findall(numbers, made)], [float(v) for v in re.findall(numbers, stored)], rtol=0, atol=PLACE)


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_the_stored_one(name: str) -> None:
    draw, letters = PICTURES[name]
    with Image.open(FOLDER / f"{name}.png") as stored:
        assert_images_close(draw(), stored, letters)


@pytest.mark.parametrize("name", DRAWINGS)
def test_a_drawing_is_the_stored_one(name: str) -> None:
    assert_drawings_close(DRAWINGS[name](), (FOLDER / f"{name}.svg").read_text(encoding="utf-8"))


def test_a_change_would_be_seen() -> None:
    """Planted: another scale, a pixel, the other sign, a number, a word."""
    with Image.open(FOLDER / "heatmap.png") as stored:
        for wrong in (colours(MAP, 1.9), colours(-MAP, 2.0), np.where(np.arange(64).reshape(8, 8, 1) == 9, 0, colours(MAP, 2.0))):
            with pytest.raises(AssertionError):
                assert_images_close(fit(wrong.astype(np.uint8), 64), stored, False)
    with Image.open(FOLDER / "tokens.png") as stored, pytest.raises(AssertionError):
        assert_images_close(text_image([Coloured("lrp.epsilon", "it is not a bad film at all".split(), -WAVE[:8])] * 2, "Why?", width=420, gap=4),
                            stored, True)
    kept = (FOLDER / "waterfall.svg").read_text(encoding="utf-8")
    for wrong in (drawing.waterfall(WAVE[:6] + 0.25, list("abcdef"), 0.0, 1.0, 4, "A waterfall"), kept.replace("others", "rest")):
        with pytest.raises(AssertionError):
            assert_drawings_close(wrong, kept)


def test_nothing_else_is_stored_and_it_is_small() -> None:
    assert {p.name for p in FOLDER.iterdir()} == {*(f"{n}.png" for n in PICTURES), *(f"{n}.svg" for n in DRAWINGS)}
    assert sum(p.stat().st_size for p in FOLDER.iterdir()) < 120_000


if __name__ == "__main__":
    for name, (draw, _) in PICTURES.items():
        (FOLDER / f"{name}.png").write_bytes(png(image(draw())))
    for name, write in DRAWINGS.items():
        (FOLDER / f"{name}.svg").write_text(write(), encoding="utf-8")
