"""LOVI colours: corners by hand, Python's colorsys as a second opinion, the tile of a contact sheet."""

import colorsys

import numpy as np
import pytest

import xaicore as xc
from xaicore.data import digits_images, digits_model
from xaicore.errors import InputError
from xaicore.show.lovi import lovi, lovi_of
from xaicore.show.sheet import tiles_of


def test_against_colorsys():
    rng = np.random.default_rng(0)
    maps = rng.uniform(size=(4, 5, 6))
    maps[0, 0, 0], maps[1, 0, 0] = 0, 1
    found = lovi(maps)
    for i in range(5):
        for j in range(6):
            p = maps[:, i, j]
            hue = 300 * sum(v * (1 - k / 3) for k, v in enumerate(p)) / sum(p)
            saturation = 1 - (sum(p) / (4 * max(p)) - 1 / 4) / (3 / 4)
            low, high = maps.min(), maps.max()
            assert (low, high) == (0, 1)
            expected = colorsys.hsv_to_rgb(hue / 360, saturation, max(p))
            assert abs(found[i, j] - 255 * np.array(expected)).max() <= 0.5 + 1e-9             # rounded to whole numbers


def test_pixels_without_a_response_are_black():
    assert lovi(np.zeros((3, 2, 2))).tolist() == [[[0, 0, 0]] * 2] * 2
    assert lovi([[[5.0, 1.0]], [[1.0, 1.0]]])[0, 1].tolist() == [0, 0, 0]
    weighted = lovi([[[1.0, 0.0]], [[1.0, 0.0]]], weights=[0, 1])
    assert weighted[0, 0].tolist() == [255, 0, 0]                       # the early layer is left out


@pytest.mark.parametrize(("maps", "weights", "words"), [
    (np.ones((1, 2, 2)), None, "at least two layers"), (np.ones((2, 2)), None, r"got shape \(2, 2\)"),
    (np.ones((2, 1, 1)), [1], "one number for each of 2 layers"), (np.ones((2, 1, 1)), [1, -1], "none negative"),
    (np.full((2, 1, 1), np.nan), None, "must be finite")])
def test_refusals(maps, weights, words):
    with pytest.raises(InputError, match=words):
        lovi(maps, weights)


def test_a_tile_of_its_own():
    graph, images = digits_model(), digits_images()[0][:1]
    results = {m: xc.explain(graph, images, m) for m in ("smoe", "gradient")}
    assert [t.title for t in tiles_of(results, 0)] == ["input", "smoe", "smoe, by layer", "gradient"]
    one = xc.explain(graph, images, "smoe", layer="relu2")
    assert lovi_of(one, "image", 0) is None
