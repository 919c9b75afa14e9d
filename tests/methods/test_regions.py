"""XRAI and its segments: the worked number, sets of pixels as a second opinion, identities, scikit-image, refusals."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, X_A, close
from tests.oracle.planted import cnn, image
from xaicore import Builder
from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.segments import felzenszwalb, grid, regions
from xaicore.ops import Dense, Flatten, Transpose
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins import paths as twins


def blank(*shape, dtype="float64", layout=False):
    """A model whose attribution does not matter: the tests give their own."""
    b = Builder(dtype=dtype)
    x = b.input("x", (None, *shape))
    if layout:
        b.meta["layout.x"] = "NHWC"
        x = b.add(Transpose((0, 3, 1, 2)), x)
    return b.build(b.add(Dense(), b.add(Flatten(), x), b.param("w", np.ones((1, int(np.prod(shape))), dtype=int if dtype == "exact" else float))))


def test_the_worked_number():
    """E53: three segments of a 2 x 2 map, the top row (3, 2) and both pixels below it: [[2.5, 2.5], [1, 0]]."""
    a = xc.explain(blank(1, 2, 2), np.zeros((1, 1, 2, 2)), "xrai", segments=np.array([[0, 0], [1, 2]]), of=np.array([[[[3.0, 2.0], [1.0, 0.0]]]]))
    assert np.asarray(a).tolist() == [[[[2.5, 2.5], [1, 0]]]]
    assert a.extras["rank"]["x"].tolist() == [[[1, 1], [2, 3]]]


@given(seed=st.integers(0, 2**32 - 1), fast=st.booleans(), fewest=st.integers(1, 4))
def test_against_sets_of_pixels(seed, fast, fewest):
    """Overlapping masks that leave some pixels out, two samples with their own; in rationals."""
    rng = np.random.default_rng(seed)
    x = np.zeros((2, 1, 4, 5), dtype=int)
    base = np.vectorize(F, otypes=[object])(rng.integers(-99, 99, (2, 1, 4, 5)))
    masks = rng.uniform(size=(2, 6, 4, 5)) < rng.uniform(0.1, 0.5)
    a = xc.explain(blank(1, 4, 5, dtype="exact"), x, "xrai", segments=masks, of=base, min_pixels=fewest, speed="fast" if fast else "exact")
    for n in range(2):
        assert np.asarray(a)[n, 0].tolist() == twins.xrai(base[n, 0].tolist(), masks[n].tolist(), fewest, fast)
    assert (a.total() == base.sum(axis=(1, 2, 3))).all()                # W37: the sum stays
    rank = a.extras["rank"]["x"]
    for n in range(2):
        assert len(set(zip(rank[n].reshape(-1), np.asarray(a)[n, 0].reshape(-1)))) == rank[n].max()      # constant on regions


@given(seed=st.integers(0, 2**32 - 1))
def test_w37_xrai(seed):
    """W37: regions of one pixel give the map back; disjoint regions are ranked alike by both speeds, each with its own mean, the
    densest first."""
    rng = np.random.default_rng(seed)
    base = numbers(rng, (2, 1, 3, 4))
    graph, x = blank(1, 3, 4), np.zeros((2, 1, 3, 4))
    single = xc.explain(graph, x, "xrai", segments=np.arange(12).reshape(3, 4), of=base)
    assert (np.asarray(single) == base).all()
    labels = rng.integers(0, 4, (3, 4))
    both = [xc.explain(graph, x, "xrai", segments=labels, of=base, speed=s) for s in ("exact", "fast")]
    assert (np.asarray(both[0]) == np.asarray(both[1])).all()
    for k in np.unique(labels):
        assert close(np.asarray(both[0])[:, 0][:, labels == k], np.repeat(base[:, 0][:, labels == k].mean(axis=1)[:, None], (labels == k).sum(), 1), 1e-12)
    for n in range(2):
        first = both[0].extras["rank"]["x"][n] == 1
        assert np.asarray(both[0])[n, 0][first].max() == np.asarray(both[0])[n].max()


def test_the_attribution_that_it_begins_with():
    """Integrated gradients from black and from white; the gap is the quadrature's, to the mean of f there."""
    graph, x = cnn(), image(2)
    ends = [np.broadcast_to(getattr(x, k)(axis=(1, 2, 3), keepdims=True), x.shape) for k in ("min", "max")]
    single = [xc.explain(graph, x, "integrated_gradients", target=1, baseline=np.array(e), steps=30) for e in ends]
    a = xc.explain(graph, x, "xrai", target=1, steps=30)
    assert close(a.extras["attribution"]["image"][:, 0], sum(np.asarray(s) for s in single).sum(axis=1) / 2, 1e-12)
    assert close(a.gap(), sum(s.gap() for s in single) / 2, 1e-9, scale=1)
    top = xc.explain(graph, x, "xrai", target=1, steps=30, reduce="max", baseline=0.5, segments=2)
    one = np.asarray(xc.explain(graph, x, "integrated_gradients", target=1, steps=30, baseline=0.5))
    assert close(top.extras["attribution"]["image"][:, 0], one.max(axis=1), 1e-12)
    quarters = np.asarray(top)[:, 0].reshape(2, 2, 2, 2, 2)             # constant on the four quarters
    assert (quarters == quarters[:, :, :1, :, :1]).all()


def test_regions_that_overlap_are_not_linear():
    """Which region comes first depends on the attribution: the map of a sum is not the sum of the maps."""
    masks = np.array([[[True, True, False]], [[False, True, True]]])
    one, other = np.array([[[[9.0, 0.0, 0.0]]]]), np.array([[[[0.0, 0.0, 9.0]]]])
    graph, x = blank(1, 1, 3), np.zeros((1, 1, 1, 3))
    maps = [np.asarray(xc.explain(graph, x, "xrai", segments=masks, of=v)).reshape(-1) for v in (one, other, one + other)]
    assert maps[0].tolist() == [4.5, 4.5, 0]
    assert maps[1].tolist() == [0, 4.5, 4.5]
    assert maps[2].tolist() == [4.5, 4.5, 9]


def test_area_stops_early():
    base = np.arange(16.0).reshape(1, 1, 4, 4)
    a = xc.explain(blank(1, 4, 4), np.zeros((1, 1, 4, 4)), "xrai", segments=4, of=base, area=0.25)
    values = np.asarray(a).reshape(-1)
    assert values[-5:].tolist() == [11, 12, 13, 14, 15]                 # five pixels are more than a quarter
    assert set(values[:-5]) == {np.arange(11).mean()}
    assert a.total() == base.sum()


def test_felzenszwalb_is_that_of_scikit_image():
    """The same partition, on images without two equal edges."""
    segmentation = pytest.importorskip("skimage.segmentation")
    rng = np.random.default_rng(0)
    for shape, scale, sigma, least in (((3, 20, 24), 100, 0.8, 10), ((1, 16, 16), 60, 0.5, 4), ((2, 12, 30), 200, 1.5, 1)):
        picture = rng.normal(size=shape)
        ours = felzenszwalb(picture, scale / 255, sigma, least)
        theirs = segmentation.felzenszwalb(np.moveaxis(picture, 0, -1), scale=scale, sigma=sigma, min_size=least, channel_axis=-1)
        assert len(np.unique(ours)) == len(np.unique(theirs)) > 1
        assert len(set(zip(ours.reshape(-1), theirs.reshape(-1)))) == len(np.unique(ours))


def test_felzenszwalb_by_hand():
    """Two flat halves stay two; with a large scale they are one; a lone pixel joins a neighbour for its size."""
    halves = np.repeat([[0.0, 0.0, 1.0, 1.0]], 4, axis=0)[None]
    assert len(np.unique(felzenszwalb(halves, 0.5, 0, 1))) == 2
    assert len(np.unique(felzenszwalb(halves, 9.0, 0, 1))) == 1
    dot = np.zeros((1, 5, 5))
    dot[0, 2, 2] = 5
    assert np.bincount(felzenszwalb(dot, 1.0, 0, 1).reshape(-1)).tolist() in ([24, 1], [1, 24])
    assert len(np.unique(felzenszwalb(dot, 1.0, 0, 2))) == 1


def test_grids_and_growth():
    assert grid((4, 6), 2).tolist() == [[0, 0, 0, 1, 1, 1]] * 2 + [[2, 2, 2, 3, 3, 3]] * 2
    assert grid((3,), 9).tolist() == [0, 1, 2]
    assert grid((2, 4), (1, 2)).tolist() == [[0, 0, 1, 1]] * 2
    masks = regions("felzenszwalb", np.random.default_rng(0).normal(size=(1, 1, 90, 90)), "x")[0]
    inside = masks[0]
    assert inside.any()
    spread = [np.roll(m, 1, axis=0)[1:] & ~m[1:] for m in masks]       # grown by two pixels: an overlap of neighbours
    assert sum(m.sum() for m in masks) > 6 * 90 * 90
    assert any(s.any() for s in spread)


def test_on_a_digit_and_with_channels_last():
    graph, x = digits_model(), digits_images()[0][:2]
    a = xc.explain(graph, x, "xrai", steps=20)
    assert np.asarray(a).shape == (2, 1, 8, 8)
    assert close(a.total(), a.extras["attribution"]["image"].sum(axis=(1, 2, 3)), 1e-12)
    first, last = blank(2, 4, 4), blank(4, 4, 2, layout=True)
    base = np.random.default_rng(0).normal(size=(2, 2, 4, 4))
    one = np.asarray(xc.explain(first, np.zeros((2, 2, 4, 4)), "xrai", segments=2, of=base))
    other = np.asarray(xc.explain(last, np.zeros((2, 4, 4, 2)), "xrai", segments=2, of=np.moveaxis(base, 1, -1)))
    assert other.shape == (2, 4, 4, 1)
    assert close(np.moveaxis(other, -1, 1), one, 1e-13)
    volume = xc.explain(blank(1, 2, 4, 4), np.zeros((1, 1, 2, 4, 4)), "xrai", segments=2, of=np.ones((1, 1, 2, 4, 4)))
    assert np.asarray(volume).shape == (1, 1, 2, 4, 4)


@pytest.mark.parametrize(("own", "error", "words"), [
    ({"segments": "slic"}, UnknownName, "segments='slic' does not exist"), ({"segments": np.zeros((3, 3), int)}, ShapeError, r"shape \(3, 3\); labels \(4, 4\)"),
    ({"segments": np.zeros((2, 4, 4), bool)[:0]}, ShapeError, "boolean masks"), ({"segments": np.zeros((4, 4))}, InputError, "dtype float64"),
    ({"segments": 0}, InputError, "segments=0 must be a whole number"), ({"speed": "quick"}, UnknownName, "speed='quick'"),
    ({"reduce": "mean"}, UnknownName, "reduce='mean'"), ({"area": 2}, InputError, "area=2 must lie between 0 and 1"),
    ({"min_pixels": 0}, InputError, "min_pixels=0"), ({"of": np.zeros((1, 4, 4))}, ShapeError, r"shape \(1, 4, 4\); \(1, 2, 4, 4\), or \(1, 1, 4, 4\)"),
    ({"of": np.full((1, 1, 4, 4), "a")}, InputError, "numbers in the arithmetic"), ({"steps": 0}, InputError, "steps=0"),
    ({"quadrature": "simpson"}, UnknownName, "quadrature='simpson'")])
def test_refusals(own, error, words):
    with pytest.raises(error, match=words):
        xc.explain(cnn(), image(1), "xrai", target=0, **own)


def test_inputs_without_space():
    with pytest.raises(Inapplicable, match="has no axes of space, so it has no regions"):
        xc.explain(NET_A, X_A, "xrai")
    with pytest.raises(InputError, match="segments='felzenszwalb' is for images of two axes"):
        xc.explain(blank(1, 5), np.zeros((1, 1, 5)), "xrai")
