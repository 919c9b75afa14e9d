"""Contact sheets: they open, have the expected size, and show the numbers that they are about."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from tests.show.results import image_results, table_results, token_results
from xaicore.errors import InputError
from xaicore.methods import Attribution
from xaicore.show.heatmap import AGAINST, FOR, colours, symmetric_limit, view_of
from xaicore.show.sheet import BOX, CAPTION, GAP, bars, contact_sheet, drawable, fit, png, tiles_of

HEADING = 30
LEGEND = 34


def test_the_png_opens_and_has_the_size_of_its_tiles() -> None:
    results = image_results()
    with Image.open(io.BytesIO(png(contact_sheet(results, "title", columns=3)))) as image:
        image.load()
        assert image.mode == "RGB"
        assert image.width == 3 * (BOX + GAP) + GAP
        assert image.height == 31 + HEADING + 2 * (BOX + CAPTION + GAP) + LEGEND          # 31: the title
    assert contact_sheet(results).width == 5 * (BOX + GAP) + GAP


def test_every_cell_of_a_tile_has_its_colour() -> None:
    """The map of the second tile, found by its place and read back pixel by pixel."""
    results = image_results(methods=("lrp.epsilon",))
    sheet = np.asarray(contact_sheet(results))
    cells = view_of(results["lrp.epsilon"], "image", 0).cells
    x, y = GAP + (BOX + GAP), HEADING + CAPTION
    tile = sheet[y:y + BOX, x:x + BOX]
    expected = colours(cells, symmetric_limit(cells))
    step = BOX // 8
    for row in range(8):
        for column in range(8):
            block = tile[row * step:(row + 1) * step, column * step:(column + 1) * step]
            assert (block == expected[row, column]).all()


def test_labels_have_method_sum_and_scale() -> None:
    results = image_results()
    tiles = tiles_of(results, 0)
    assert [t.title for t in tiles] == ["input", *results]
    for tile, a in zip(tiles[1:], results.values()):
        assert tile.line.startswith(f"sum {float(a.total()[0]):.5g}")
        assert tile.line.endswith(f"scale ±{np.abs(np.asarray(a)).max():.5g}")


def test_one_scale_for_all_maps() -> None:
    results = image_results()
    limits = {t.line.split("±")[1] for t in tiles_of(results, 0, shared=True)[1:]}
    assert limits == {f"{max(np.abs(np.asarray(a)).max() for a in results.values()):.5g}"}
    assert len({t.line.split("±")[1] for t in tiles_of(results, 0)[1:]}) > 1


def test_a_block_for_each_sample() -> None:
    one, two = (contact_sheet(image_results(batch=n)).height for n in (1, 2))
    assert two - one == one - LEGEND
    assert contact_sheet(image_results(batch=3), samples=[2]).height == one


def test_photographs_of_any_size_fit() -> None:
    for size in (5, 100, 224, 300):
        for tile in tiles_of(image_results(3, size, methods=("gradient",)), 0, over=True):
            assert max(tile.picture.size) <= BOX
            assert max(tile.picture.size) > BOX // 2


def test_tables_and_tokens_are_drawn() -> None:
    assert contact_sheet(table_results()).width == 5 * (BOX + GAP) + GAP
    tiles = tiles_of(token_results(), 0)
    assert [t.title for t in tiles] == ["input 'x'", "gradient", "deeplift.rescale"]
    assert tiles[1].picture.size == (6 * (BOX // 6), 4 * (BOX // 4))


def test_bars_point_to_the_side_of_their_sign() -> None:
    image = np.asarray(bars(np.array([1.0, -1.0, 0.0]), 1.0)).astype(int)
    height = image.shape[0] // 3
    reds = (image[..., 0] > image[..., 2] + 60)
    blues = (image[..., 2] > image[..., 0] + 60)
    assert reds[:height].any()
    assert not blues[:height].any()
    assert blues[height:2 * height].any()
    assert not reds[height:2 * height].any()
    assert not (reds | blues)[2 * height:].any()
    assert np.flatnonzero(reds[height // 2]).min() > np.flatnonzero(blues[height + height // 2]).max()
    grey = np.asarray(bars(np.array([1.0, -1.0]), 1.0, signs=False)).astype(int)
    assert (grey.max(axis=-1) - grey.min(axis=-1)).max() <= 10           # an input speaks neither for nor against


@pytest.mark.parametrize("n", [1, 24, 25, 100, 224, 1000])
def test_any_number_of_bars_fits(n: int) -> None:
    image = bars(np.linspace(-1, 1, n), 1.0)
    assert max(image.size) <= BOX + 24                                  # labelled bars are at least 9 pixels high
    assert min(image.size) >= 20


def test_enlarging_keeps_the_pixels() -> None:
    rgb = np.array([[FOR[-1], AGAINST[-1]]], np.uint8)
    image = np.asarray(fit(rgb, 10))
    assert image.shape == (5, 10, 3)
    assert (image[:, :5] == FOR[-1]).all()
    assert (image[:, 5:] == AGAINST[-1]).all()


def test_layers_say_what_they_are() -> None:
    tiles = tiles_of(image_results(methods=("integrated_gradients",), layer="features.0"), 0)
    assert tiles[0].title == "value of 'conv'"
    tiles = tiles_of(image_results(methods=("lrp.epsilon",), layer="features.0"), 0, over=True)
    assert tiles[0].title == "input"


def test_text_that_the_font_does_not_have_is_a_question_mark() -> None:
    assert drawable("Σ\x1b[2J ±1") == "??[2J ±1"
    contact_sheet(image_results(methods=("gradient",)), "漢字" * 200)


def test_nothing_or_too_much_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="at least one"):
        contact_sheet({})
    with pytest.raises(InputError, match="500 samples"):
        contact_sheet(table_results(500))
    a = image_results(methods=("gradient",))["gradient"]
    bad: dict[str, Attribution] = {"gradient": Attribution({"image": np.full((1, 1, 8, 8), np.nan)}, a.output, a.method, a.graph, a.feeds)}
    with pytest.raises(InputError, match="nan"):
        contact_sheet(bad)


def test_the_same_results_give_the_same_bytes() -> None:
    assert png(contact_sheet(image_results())) == png(contact_sheet(image_results()))
