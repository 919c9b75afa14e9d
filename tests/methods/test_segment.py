"""Graph cuts against every labelling, mixtures against closed forms, the global contrast against its double sum."""

import dataclasses
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.networks import cnn
from tests.nets import NET_B, X_B
from xaicore.data import digits_images, digits_model
from xaicore.errors import InputError, ShapeError
from xaicore.methods.segment import UNITS, box, cut, global_contrast, mixture, overlap, segment


def cost(labels, to_object, to_ground, down, right):
    return (np.where(labels, to_object, to_ground).sum() + (down * (labels[1:] != labels[:-1])).sum() + (right * (labels[:, 1:] != labels[:, :-1])).sum())


def test_four_pixels_in_a_line():
    """E58: object costs (0, 0, 3, 3), ground costs (3, 2, 0, 0), parting neighbours costs 1: object, object, ground, ground at cost 1."""
    labels, value = cut(np.array([[0, 0, 3, 3]]), np.array([[3, 2, 0, 0]]), np.zeros((0, 4)), np.ones((1, 3)))
    assert labels.tolist() == [[True, True, False, False]]
    assert value == 1


@given(seed=st.integers(0, 2**32 - 1))
def test_w62_the_cut_is_the_cheapest_labelling(seed):
    """W62 (E58): of all 2^(H W) labellings, none costs less; the cost is the flow's, exactly (whole numbers)."""
    rng = np.random.default_rng(seed)
    h, w = [(1, 6), (2, 4), (3, 3)][rng.integers(3)]
    parts = [rng.integers(0, 9, s).astype(float) for s in ((h, w), (h, w), (h - 1, w), (h, w - 1))]
    labels, value = cut(*parts)
    every = [cost(np.array(bits).reshape(h, w), *parts) for bits in product((False, True), repeat=h * w)]
    assert value == min(every) == cost(labels, *parts)


def test_limits_of_smoothness():
    rng = np.random.default_rng(0)
    a, b = rng.random((3, 4)).round(3), rng.random((3, 4)).round(3)
    free, _ = cut(a, b, np.zeros((2, 4)), np.zeros((3, 3)))
    assert (free == (a < b)).all()
    stiff, value = cut(a, b, np.full((2, 4), 100.0), np.full((3, 3), 100.0))
    assert stiff.all() or not stiff.any()
    assert value == pytest.approx(min(a.sum(), b.sum()), abs=12 / UNITS)   # each of twelve costs is rounded once


def test_a_mixture_of_one_is_the_gaussian_of_the_data():
    rng = np.random.default_rng(1)
    x, at = rng.normal(size=(200, 2)) @ np.array([[1.0, 0.4], [0.0, 0.5]]), rng.normal(size=(5, 2))
    mean, c = x.mean(axis=0), np.cov(x.T, bias=True) + (1e-3 * x.var(axis=0).mean() + 1e-6) * np.eye(2)
    d = at - mean
    expected = -0.5 * ((d @ np.linalg.inv(c)) * d).sum(axis=1) - 0.5 * np.log((2 * np.pi) ** 2 * np.linalg.det(c))
    np.testing.assert_allclose(mixture(x, 1, rng)(at), expected, rtol=1e-10)
    two = np.concatenate([rng.normal(-5, 0.1, (50, 1)), rng.normal(5, 0.2, (150, 1))])
    density = mixture(two, 2, rng)
    assert np.exp(density(np.array([[5.0]])))[0] > 10 * np.exp(density(np.array([[0.0]])))[0]
    # a mixture is a density: its integral over the line is 1
    line = np.linspace(-20, 20, 200_001)[:, None]
    assert np.exp(density(line)).sum() * (line[1, 0] - line[0, 0]) == pytest.approx(1, abs=1e-6)


def test_a_bright_square_is_found():
    """A gradient that sits inside a bright square on a dark, noisy ground: the whole square is the object."""
    rng = np.random.default_rng(2)
    image = rng.normal(0.1, 0.02, (2, 1, 12, 12))
    image[0, 0, 3:9, 4:10] += 0.8
    image[1, 0, 1:5, 2:7] += 0.8
    a = xc.explain(cnn(rng, 12, 2), image, "gradient", target=0)
    hints = (image > 0.5) * 0.1                                         # else a pixel of the square may be an example of the ground
    hints[0, 0, 5:7, 6:8] = hints[1, 0, 2:4, 4:6] = 1
    hints += rng.random(hints.shape) * 0.01
    found = segment(dataclasses.replace(a, values={"x": hints}), foreground=0.98)
    expected = image[:, 0] > 0.5
    assert (found.mask == expected).all()
    assert found.boxes == ((3, 4, 9, 10), (1, 2, 5, 7))
    again = segment(dataclasses.replace(a, values={"x": hints}), foreground=0.98)
    assert (again.mask == found.mask).all()
    assert again.cut == found.cut


def test_digits_are_cut_out():
    """On real digits the strokes (the brighter half of the pixels) hold most of what the gradient's map is cut to."""
    images, _ = digits_images()
    a = xc.explain(digits_model(), images[:3], "gradient_x_input")
    for mask, image in zip(segment(a, smoothness=1.0, foreground=0.8).mask, images[:3, 0]):
        assert image[mask].mean() > image[~mask].mean()


def test_boxes():
    assert box(np.zeros((2, 2), bool)) is None
    assert overlap((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert overlap((0, 0, 1, 1), (1, 1, 2, 2)) == 0
    assert overlap((0, 0, 2, 2), (0, 0, 2, 2)) == 1


@given(seed=st.integers(0, 2**32 - 1))
def test_global_contrast_is_its_double_sum(seed):
    """By all pairs; with few levels (ties) and with many."""
    rng = np.random.default_rng(seed)
    x = rng.integers(0, rng.integers(2, 200), (2, 2, 3, 4)).astype(float)
    expected = np.zeros((2, 1, 3, 4))
    for n, c, i, j, k, m in np.ndindex(2, 2, 3, 4, 3, 4):
        expected[n, 0, i, j] += abs(x[n, c, i, j] - x[n, c, k, m])
    np.testing.assert_allclose(global_contrast(x), expected, rtol=1e-12)
    assert not global_contrast(np.ones((1, 1, 3, 3))).any()


def test_bad_input():
    graph, x = cnn(np.random.default_rng(0), 4, 2), np.random.default_rng(0).normal(size=(1, 1, 4, 4))
    a = xc.explain(graph, x, "gradient", target=0)
    for settings, message in (({"foreground": 1.5}, "foreground=1.5 must be a quantile"), ({"background": 0.97}, "background=0.97 must be below"),
                              ({"smoothness": -1}, "smoothness=-1 must be")):
        with pytest.raises(InputError, match=message):
            segment(a, **settings)
    with pytest.raises(InputError, match="the map is the same everywhere"):
        segment(dataclasses.replace(a, values={k: v * 0 + 1 for k, v in a.values.items()}))
    with pytest.raises(ShapeError, match=r"images \(N, C, H, W\)"):
        global_contrast(np.ones((3, 3)))
    with pytest.raises(ShapeError, match="segment divides the pixels of images"):
        segment(xc.explain(NET_B, X_B, "gradient"))

