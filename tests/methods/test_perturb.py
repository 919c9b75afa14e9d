"""Occlusion: the numbers of five libraries, a second implementation by loops, and what holds for linear functions."""


import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_B, X_B, close
from xaicore import Builder
from xaicore.errors import InputError, ShapeError, UnknownName
from xaicore.ops import Add, Dense, Flatten, Transpose
from xaicore.oracle.strategies import cnns, inputs_of, numbers
from xaicore.oracle.twins import windows as loops

OVERLAP, BORDER, MODE = ("mean", "sum", "mean_per_cell"), ("crop", "valid", "wrap"), ("drop", "keep")
SCORE = ("difference", "raw", "complement")


def linear(weights, last=False):
    """f = Σ w x, for w of any shape; ``last`` marks the input as channels-last."""
    b = Builder()
    w = np.asarray(weights, dtype=float)
    x = b.input("x", (None, *w.shape))
    if last:
        b.meta["layout.x"] = "N" + "DHW"[-(w.ndim - 1):] + "C"
    return b.build(b.add(Dense(), b.add(Flatten(), x) if w.ndim > 1 else x, b.param("w", w.reshape(1, -1))))


LIBRARIES = [
    ("captum", {}, [3, 4, 6, 7]),
    ("PAIR, xplique", {"overlap": "sum", "border": "valid"}, [3, 8, 12, 7]),
    ("DeepExplain", {"overlap": "mean_per_cell", "border": "valid"}, [1.5, 2, 3, 3.5]),
    ("zennit", {"mode": "keep", "score": "raw", "overlap": "sum", "border": "wrap"}, [8, 8, 12, 12]),
    ("tf-explain", {"stride": 2, "score": "complement", "fill": 127.5}, [-388.5, -388.5, -894.5, -894.5]),
]


@pytest.mark.parametrize(("library", "settings", "expected"), LIBRARIES, ids=[c[0] for c in LIBRARIES])
@pytest.mark.parametrize("shape", [(4,), (1, 4)])
def test_numbers_of_the_libraries(library, settings, expected, shape):
    """f = x1 + 2 x2 + 3 x3 + 4 x4 at 1, window 2, stride 1; tf-explain: 1 - (3 · 127.5 + 7) and 1 - (3 + 7 · 127.5)."""
    graph = linear(np.arange(1, 5).reshape(shape))
    a = xc.explain(graph, np.ones((1, *shape)), "occlusion", window=2, **{"stride": 1, **settings})
    assert list(np.asarray(a).reshape(-1)) == expected


@given(data=st.data(), score=st.sampled_from(SCORE), overlap=st.sampled_from(OVERLAP), border=st.sampled_from(BORDER),
       mode=st.sampled_from(MODE))
def test_against_loops(data, score, overlap, border, mode):
    """A convolutional network on (N, 2, 4, 4), windows over space alone, over all axes, or channel by channel."""
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph))
    window = tuple(data.draw(st.integers(1, 4), "window") for _ in range(2))
    stride = tuple(data.draw(st.integers(1, 4), "stride") for _ in range(2))
    over = data.draw(st.sampled_from(["together", "separate", "entry"]), "channels")
    channel = {"together": 2, "separate": 1, "entry": data.draw(st.integers(1, 2), "channel window")}[over]
    fill = data.draw(st.sampled_from([0.0, 0.5, "sample"]))
    fill = numbers(np.random.default_rng(7), x.shape[1:]) if fill == "sample" else fill
    a = xc.explain(graph, x, "occlusion", target=1, window=(channel, *window) if over == "entry" else window, stride=stride, fill=fill,
                   score=score, overlap=overlap, border=border, mode=mode, channels="separate" if over == "separate" else "together",
                   batch_size=data.draw(st.sampled_from([1, 7, 64])))
    for n in range(len(x)):
        box, step = (channel, *window), (channel, *stride)
        slow, seen = loops.occlusion(lambda v: graph(v[None])[0, 1], x[n], fill, box, step, score, overlap, border, mode)
        assert close(np.asarray(a)[n], slow, 1e-12)
        assert (a.extras["counts"]["x"] == seen).all()


@given(seed=st.integers(0, 2**32 - 1), border=st.sampled_from(["crop", "wrap"]))
def test_w47_linear_functions(seed, border):
    """W47 (I42): One-entry windows: w (x - x0), whatever the overlap."""
    rng = np.random.default_rng(seed)
    w, x, x0 = numbers(rng, (2, 3, 3)), numbers(rng, (2, 2, 3, 3)), numbers(rng, (2, 3, 3))
    for overlap in OVERLAP:
        a = xc.explain(linear(w), x, "occlusion", window=1, channels="separate", fill=x0, overlap=overlap, border=border)
        assert close(a, w * (x - x0), 1e-13)


def test_a_window_as_large_as_the_input(rng):
    x = rng.normal(size=(2, 1, 4, 5))
    graph = linear(rng.normal(size=(1, 4, 5)))
    for border in BORDER:
        a = xc.explain(graph, x, "occlusion", window=(4, 5), stride=(4, 5), border=border, fill=1.0)
        assert close(a, np.broadcast_to((graph(x) - graph(np.ones_like(x)))[..., None, None], x.shape), 1e-13)


def test_mean_fill(rng):
    """Each channel's mean over the sample's positions, so that a constant channel loses nothing."""
    x = rng.normal(size=(2, 2, 3, 3))
    x[:, 1] = 5
    w = rng.normal(size=(2, 3, 3))
    a = xc.explain(linear(w), x, "occlusion", window=1, channels="separate", fill="mean")
    assert close(a, w * (x - x.mean(axis=(2, 3), keepdims=True)), 1e-13)
    exact = linear(np.ones((1, 3))).astype("exact")
    b = xc.explain(exact, [[[1, 2, 6]]], "occlusion", window=1, fill="mean")
    assert list(np.asarray(b)[0, 0]) == [-2, -1, 3]


def test_channels_last(rng):
    """The same picture fed as (N, H, W, C): space is in the middle."""
    w, x = rng.normal(size=(3, 4, 5)), rng.normal(size=(2, 3, 4, 5))
    for settings in ({"window": (2, 3), "stride": (1, 2)}, {"window": 2, "fill": "mean"}, {"window": 2, "channels": "separate"}, {}):
        first = xc.explain(linear(w), x, "occlusion", **settings)
        last = xc.explain(linear(np.moveaxis(w, 0, -1), last=True), np.moveaxis(x, 1, -1), "occlusion", **settings)
        assert close(np.moveaxis(np.asarray(last), -1, 1), np.asarray(first), 1e-12)
    sizes = xc.explain(linear(np.moveaxis(w, 0, -1), last=True), np.moveaxis(x, 1, -1), "occlusion", window=(2, 3)).settings["window"]
    assert sizes == (2, 3)


def test_channels_last_graph():
    """Through a Transpose, as backends convert such models."""
    b = Builder()
    x = b.input("x", (None, 2, 2, 1))
    b.meta["layout.x"] = "NHWC"
    y = b.add(Dense(), b.add(Flatten(), b.add(Transpose((0, 3, 1, 2)), x)), b.param("w", [[1.0, 2.0, 3.0, 4.0]]))
    a = xc.explain(b.build(y), np.ones((1, 2, 2, 1)), "occlusion", window=(1, 2))
    assert list(np.asarray(a).reshape(-1)) == [3, 3, 7, 7]


@pytest.mark.parametrize(("shape", "window", "stride"), [
    ((5,), (1,), (1,)), ((3, 8, 8), (3, 3, 3), (3, 1, 1)), ((3, 224, 60), (3, 22, 6), (3, 7, 2)), ((1, 2, 2), (1, 2, 2), (1, 1, 1)),
    ((4, 100), (4, 10), (4, 3)), ((2, 20, 30, 40), (2, 3, 3, 4), (2, 1, 1, 1))])
def test_default_windows(shape, window, stride):
    from xaicore.methods.perturb import _Grid
    from xaicore.methods.task import make_task

    grid = _Grid.of(make_task(linear(np.ones(shape)), np.ones((1, *shape))), "x", None, None, False)
    assert (grid.sizes, grid.strides) == (window, stride)


def test_several_inputs():
    """Each by itself, with settings by name."""
    b = Builder()
    x, y = b.input("x", (None, 2)), b.input("y", (None, 3))
    graph = b.build(b.add(Add(), b.add(Dense(), x, b.param("v", [[1.0, 2.0]])), b.add(Dense(), y, b.param("w", [[3.0, 4.0, 5.0]]))))
    a = xc.explain(graph, {"x": [[1.0, 1.0]], "y": [[1.0, 1.0, 1.0]]}, "occlusion", window={"y": 3}, fill={"x": 0, "y": 2})
    assert a["x"].tolist() == [[1, 2]]
    assert a["y"].tolist() == [[-12, -12, -12]]
    assert a.extras["counts"]["y"].tolist() == [1, 1, 1]


def test_entries_that_no_window_covers():
    a = xc.explain(linear([1, 2, 3, 4, 5]), np.ones((1, 5)), "occlusion", window=1, stride=3)
    assert np.asarray(a)[0].tolist() == [1, 0, 0, 4, 0]
    assert a.extras["counts"]["x"].tolist() == [1, 0, 0, 1, 0]


def test_a_scalar_for_each_sample():
    b = Builder()
    graph = b.build(b.add(Add(), b.input("x", (None,)), b.constant(1.0)))
    assert np.asarray(xc.explain(graph, [3.0, 4.0], "occlusion")).tolist() == [3, 4]


def test_at_a_layer():
    """One hidden unit of NET B at a time: (2, 2)."""
    a = xc.explain(NET_B, X_B, "occlusion", layer="relu1")
    assert list(a.values) == ["relu1"]
    assert np.asarray(a)[0].tolist() == [2, 2]


@pytest.mark.parametrize(("settings", "error", "words"), [
    ({"window": 5}, InputError, r"window \(5,\) is larger than input 'x' of shape \(1, 4\): 5 > 4 on axis 1"),
    ({"window": 0}, InputError, "window=0 must be whole numbers of at least 1"),
    ({"window": 1.0}, InputError, "window=1.0"),
    ({"window": (1, 2)}, InputError, r"window=\(1, 2\) has 2 entries; input 'x' takes 1 "),
    ({"stride": (1, True)}, InputError, "stride"),
    ({"window": {"y": 1}}, UnknownName, "window names 'y'"),
    ({"score": "diff"}, UnknownName, "score='diff' does not exist"),
    ({"overlap": "average"}, UnknownName, "overlap='average' does not exist: known: mean, mean_per_cell, sum"),
    ({"border": "same"}, UnknownName, "border='same'"),
    ({"mode": "dorp"}, UnknownName, "did you mean 'drop'"),
    ({"channels": "apart"}, UnknownName, "channels='apart'"),
    ({"fill": "median"}, UnknownName, "fill='median' does not exist"),
    ({"fill": "mean"}, InputError, "has none; give the values"),
    ({"fill": np.zeros(3)}, ShapeError, "shape"),
    ({"fill": float("inf")}, InputError, "the fill: input 'x' holds inf"),
])
def test_settings(settings, error, words):
    with pytest.raises(error, match=words):
        xc.explain(linear([1, 2, 3, 4]), np.ones((1, 4)), "occlusion", **settings)


def test_entries_of_an_image():
    with pytest.raises(InputError, match=r"takes 2 \(one for each spatial axis\) or 3 \(one for each axis but the batch\)"):
        xc.explain(linear(np.ones((1, 4, 4))), np.ones((1, 1, 4, 4)), "occlusion", window=(1,))


@pytest.mark.parametrize(("name", "expected"), [("captum", [3, 4, 6, 7]), ("pair", [3, 8, 12, 7]), ("xplique", [3, 8, 12, 7]),
                                                ("deepexplain", [1.5, 2, 3, 3.5]), ("zennit", [8, 8, 12, 12])])
def test_conventions_by_name(name, expected):
    """The same numbers as above, by the library's name; what is given in addition wins over it."""
    a = xc.explain(linear([1, 2, 3, 4]), np.ones((1, 4)), "occlusion", convention=name, window=2, stride=1)
    assert list(np.asarray(a)[0]) == expected
    assert a.settings["convention"] == name
    same = xc.explain(linear([1, 2, 3, 4]), np.ones((1, 4)), "occlusion", convention=name, window=2, stride=1, overlap="mean", border="crop",
                      score="difference", mode="drop")
    assert list(np.asarray(same)[0]) == [3, 4, 6, 7]


def test_conventions_with_their_own_windows(rng):
    w, x = rng.normal(size=(1, 20, 20)), rng.normal(size=(1, 1, 20, 20))
    for name, window, stride in (("pair", 15, 1), ("xplique", 3, 3), ("zennit", 8, 8)):
        by_name = xc.explain(linear(w), x, "occlusion", convention=name)
        written = xc.explain(linear(w), x, "occlusion", convention=name, window=window, stride=stride)
        assert (np.asarray(by_name) == np.asarray(written)).all()
        assert by_name.settings["window"] == {"x": (1, window, window)}
    tiles = xc.explain(linear(w), x, "occlusion", convention="tf_explain", window=5, output="logit")
    assert tiles.settings["stride"] == {"x": (1, 5, 5)}
    grey = xc.explain(linear(w), x, "occlusion", convention="zeiler", window=20, stride=20)
    assert close(np.asarray(grey).reshape(-1)[:1], [w.sum() * x.mean()], 1e-9)
    with pytest.raises(UnknownName, match="convention='Captum' does not exist: did you mean 'captum'"):
        xc.explain(linear(w), x, "occlusion", convention="Captum")
