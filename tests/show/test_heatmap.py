"""Sign -> colour, the symmetric scale, zero is white; sums survive the layout; nothing that is not finite gets a colour."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xaicore.errors import InputError
from xaicore.show.heatmap import AGAINST, CLIP, FOR, bounds_of, colours, overlay, photograph, symmetric_limit, view

CELLS = arrays(np.float64, (3, 4), elements=st.floats(-1e6, 1e6, allow_subnormal=False))


def lightness(rgb: np.ndarray) -> np.ndarray:
    """CIE L* of sRGB, from the definitions of IEC 61966-2-1 and CIE 15."""
    c = rgb / 255
    linear = np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)
    y = linear @ np.array([0.2126, 0.7152, 0.0722])
    return np.where(y > 216 / 24389, 116 * np.cbrt(y) - 16, y * 24389 / 27)


@given(CELLS)
def test_red_speaks_for_blue_against_and_zero_is_white(cells: np.ndarray) -> None:
    limit = symmetric_limit(cells)
    rgb = colours(cells, limit).astype(int)
    red, blue = rgb[..., 0], rgb[..., 2]
    assert (rgb[cells == 0] == 255).all()
    assert (red >= blue)[cells > 0].all()
    assert (blue >= red)[cells < 0].all()
    visible = np.abs(cells) > 0.02 * limit                              # 1/50 of the scale is two of 255 steps of the blue or red channel
    assert (red > blue)[visible & (cells > 0)].all()
    assert (blue > red)[visible & (cells < 0)].all()


@given(CELLS)
def test_the_scale_is_symmetric(cells: np.ndarray) -> None:
    limit = symmetric_limit(cells)
    assert limit == symmetric_limit(-cells) > 0
    swapped = colours(-cells, limit)
    for sign, stops in ((1, FOR), (-1, AGAINST)):
        full = np.full((1, 1), sign * limit)
        assert tuple(colours(full, limit)[0, 0]) == stops[-1]
    assert ((swapped == 255).all(axis=-1) == (colours(cells, limit) == 255).all(axis=-1)).all()


def test_lightness_falls_with_the_magnitude_and_does_not_depend_on_the_sign() -> None:
    t = np.linspace(0, 1, 101)
    plus, minus = lightness(colours(t, 1.0)), lightness(colours(-t, 1.0))
    assert (np.diff(plus) < 0).all()
    assert (np.diff(minus) < 0).all()
    assert np.abs(plus - minus).max() < 3                               # of 100; about what the eye can just tell apart


def test_red_and_blue_differ_for_people_who_do_not_see_red_or_green() -> None:
    """Blue against yellow is what all dichromats of the common kinds keep: b* of CIELAB, here its sign by blue minus (red + green) / 2."""
    t = np.linspace(0.1, 1, 50)
    plus, minus = colours(t, 1.0).astype(int), colours(-t, 1.0).astype(int)
    for rgb, sign in ((plus, -1), (minus, 1)):
        assert ((rgb[:, 2] - (rgb[:, 0] + rgb[:, 1]) / 2) * sign > -1).all()


def test_beyond_the_scale_the_colour_stays() -> None:
    assert (colours(np.array([5.0, -5.0]), 1.0) == np.array([FOR[-1], AGAINST[-1]])).all()


def test_the_limit_leaves_few_cells_beyond() -> None:
    small = np.arange(64.0).reshape(8, 8)
    assert symmetric_limit(small) == 63
    big = np.arange(1.0, 10001).reshape(100, 100)
    assert symmetric_limit(big) == 10000 - CLIP * 10000
    assert (np.abs(big) > symmetric_limit(big)).sum() == CLIP * big.size
    assert symmetric_limit(np.zeros((3, 3))) == 1
    lonely = np.zeros(1000)
    lonely[7] = -2
    assert symmetric_limit(lonely) == 2                                 # the cells below are all zero: then the largest counts


@pytest.mark.parametrize(("shape", "kind", "drawn"), [
    ((), "bars", (1,)), ((5,), "bars", (5,)), ((1, 7), "bars", (7,)), ((7, 1), "bars", (7,)), ((3, 4), "cells", (3, 4)), ((1, 8, 8), "image", (8, 8)),
    ((3, 5, 6), "image", (5, 6)), ((2, 4, 5, 6), "image", (5, 6)),
])
def test_layouts_keep_the_sum(shape: tuple[int, ...], kind: str, drawn: tuple[int, ...]) -> None:
    x = np.arange(float(np.prod(shape))).reshape(shape)
    v = view(x)
    assert (v.kind, v.cells.shape) == (kind, drawn)
    assert v.cells.sum() == x.sum()


def test_channels_may_be_last_and_numbers_rational() -> None:
    x = np.arange(24.0).reshape(2, 3, 4)
    assert (view(np.moveaxis(x, 0, -1), channels_last=True).cells == x.sum(axis=0)).all()
    assert view(x).how == "2 channels summed"
    exact = np.array([[Fraction(1, 3), Fraction(-1, 3)]], dtype=object)
    assert view(exact).cells.sum() == 0


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_has_no_colour(bad: float) -> None:
    x = np.zeros((1, 2, 2))
    x[0, 1, 0] = bad
    with pytest.raises(InputError, match=r"gradient holds .* at index \(0, 1, 0\)"):
        view(x, name="gradient")


def test_an_overlay_shows_the_picture_where_the_map_is_zero() -> None:
    picture = np.zeros((2, 2, 3), np.uint8)
    picture[0] = 200
    rgb = overlay(np.array([[0.0, 1.0], [0.0, -1.0]]), picture, 1.0)
    assert len(set(rgb[0, 0])) == 1                                     # grey
    assert rgb[0, 0, 0] > rgb[1, 0, 0] > 127                            # bright stays brighter than dark, and both are faint
    assert tuple(rgb[0, 1]) == FOR[-1]
    assert tuple(rgb[1, 1]) == AGAINST[-1]
    coarse = overlay(np.array([[1.0]]), np.zeros((3, 5, 3), np.uint8), 1.0)
    assert (coarse == np.array(FOR[-1])).all()


def test_photographs() -> None:
    x = np.zeros((1, 2, 2))
    x[0, 0, 0] = 4
    assert photograph(x)[0, 0].tolist() == [255, 255, 255]
    assert photograph(x)[1, 1].tolist() == [0, 0, 0]
    assert photograph(x, bounds=(0, 8))[0, 0].tolist() == [128, 128, 128]
    colour = np.arange(12.0).reshape(3, 2, 2)
    assert (photograph(colour) == photograph(np.moveaxis(colour, 0, -1), channels_last=True)).all()
    assert (photograph(np.full((1, 2, 2), 3.0)) == 128).all()           # one value everywhere: middle grey
    assert photograph(np.ones((5, 2, 2)) * np.array([[0.0, 1.0]])).shape == (2, 2, 3)
    assert photograph(np.ones(4)) is None


def test_bounds_of_the_input() -> None:
    assert bounds_of({"range.x": "-1, 1"}, "x") == (-1.0, 1.0)
    assert bounds_of({"range.x": "dark"}, "x") is None
    assert bounds_of({}, "x") is None


def test_inputs_are_not_modified() -> None:
    x = np.arange(12.0).reshape(3, 2, 2)
    kept = x.copy()
    view(x)
    colours(x, 2.0)
    photograph(x)
    symmetric_limit(x)
    assert (x == kept).all()
