"""The saturation curve: where its points lie, the tile of a sheet, refusals."""

import numpy as np
import pytest

import xaicore as xc
from tests.nets import NET_B, X_B
from xaicore.data import digits_images, digits_model
from xaicore.errors import InputError
from xaicore.show.curve import INK, LINE, curve, curve_of
from xaicore.show.sheet import tiles_of


def test_points_lie_where_they_should():
    """From (0, -1) to (1, 3): the first point at the bottom left, the last at the top right, the line of 0 a quarter up."""
    image = np.asarray(curve([0, 0.5, 1], [-1.0, 1.0, 3.0], box=217))
    for x, y in ((8, 208), (108, 108), (208, 8)):
        assert (image[y - 1:y + 2, x - 1:x + 2] == INK).all(axis=-1).any(), (x, y)
    assert image[158, 20].tolist() == list(LINE)
    flat = np.asarray(curve([0, 1], [0.0, 0.0]))
    assert (flat == INK).all(axis=-1).any()


def test_tile_of_a_sheet():
    graph, images = digits_model(), digits_images()[0][:2]
    results = {m: xc.explain(graph, images, m) for m in ("interior_gradients", "integrated_gradients")}
    assert [t.title for t in tiles_of(results, 1)] == ["input", "interior_gradients", "integrated_gradients", "interior_gradients: f on the way"]
    assert curve_of(results["integrated_gradients"], 0) is None
    exact = xc.explain(NET_B.astype("exact"), X_B.astype(int), "interior_gradients", steps=2)
    assert curve_of(exact, 0).size == (224, 224)


@pytest.mark.parametrize(("alphas", "values", "words"), [([0], [1], "two points at least"), ([0, 1], [1], "as many"), ([0, 1], [1, np.nan], "finite")])
def test_refusals(alphas, values, words):
    with pytest.raises(InputError, match=words):
        curve(alphas, values)
