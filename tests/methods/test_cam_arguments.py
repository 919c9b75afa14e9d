"""What every class-activation map has in common: sizes, scales, layouts, layers of tokens, and what it refuses."""

import numpy as np
import pytest

import xaicore as xc
from tests.methods.maps import FAMILY, A, fixture, pooled, rationals
from tests.nets import NET_B, X_B, close
from xaicore import Builder
from xaicore.errors import ExactnessError, Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.maps import NORMALIZE, RESIZE
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, MaxPool, Mean, Pad, ReLU, Reshape, Transpose
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins import maps as twins

# ----- sizes, scales, layouts -------------------------------------------------------------------------------------


@pytest.mark.parametrize("normalize", NORMALIZE)
def test_scales(normalize, rng):
    graph, x = pooled(rng, 4), rng.normal(size=(2, 2, 4, 4))
    b = Builder()
    h = b.add(MaxPool((2, 2)), b.input("x", (None, 2, 4, 4)))
    h = b.add(ReLU(), b.add(Conv(), h, b.param("k", numbers(rng, (3, 2, 1, 1)))), name="maps")
    small = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (2, 12)))))
    for net in (graph, small):
        raw = xc.explain(net, x, "hires_cam", target=0, upsample=None)
        m = np.asarray(raw)
        found = np.asarray(xc.explain(net, x, "hires_cam", target=0, normalize=normalize))
        flat = xc.explain(net, x, "hires_cam", target=0, normalize=normalize, upsample=None)
        assert close(flat.layers["maps"], m, 1e-14)                     # layers are before scaling
        for n in range(2):
            def scaled(v):
                low = v.min() if normalize.startswith("min_max") else 0
                return (v - low) / (max(v.max(), 0) - low) if v.max() > low else 0 * v

            up = np.array(twins.resized((scaled(m[n, 0]) if normalize.endswith("first") else m[n, 0]).tolist(), 4, 4))
            assert close(found[n, 0], up if normalize.endswith("first") else scaled(up), 1e-12)
            assert close(np.asarray(flat)[n, 0], scaled(m[n, 0]), 1e-12)


def test_resizing_with_corners(rng):
    torch = pytest.importorskip("torch")
    m = rng.normal(size=(2, 3, 3, 4))
    for name, kind in (("bilinear", {"mode": "bilinear"}), ("bilinear_corners", {"mode": "bilinear", "align_corners": True}), ("nearest", {"mode": "nearest"})):
        assert close(RESIZE[name]((7, 5)).forward(m), torch.nn.functional.interpolate(torch.tensor(m), (7, 5), **kind).numpy(), 1e-12)


@pytest.mark.parametrize("method", [*FAMILY, "cam", "guided_grad_cam", "smoe", "fastcam"])
def test_channels_last_and_batches(method, rng):
    first, last = pooled(np.random.default_rng(1), 3), pooled(np.random.default_rng(1), 3, layout=True)
    x = rng.normal(size=(3, 2, 3, 3))
    one = np.asarray(xc.explain(first, x, method, target=[0, 1, 0], layer="maps"))
    other = np.asarray(xc.explain(last, np.moveaxis(x, 1, -1), method, target=[0, 1, 0], layer="maps", batch_size=2))
    assert other.shape == (3, 3, 3, one.shape[1])
    assert close(np.moveaxis(other, -1, 1), one, 1e-12)
    alone = np.concatenate([np.asarray(xc.explain(first, x[n:n + 1], method, target=t)) for n, t in enumerate((0, 1, 0))])
    assert close(alone, one, 1e-12)
    single = xc.explain(first.astype("float32"), x.astype("float32"), method, target=[0, 1, 0])
    assert np.asarray(single).dtype == np.float32
    assert close(single, one, 2e-5)                                     # some hundred roundings of 6e-8


@pytest.mark.parametrize("method", ["score_cam", "faster_score_cam", "ablation_cam"])
@pytest.mark.parametrize("batch_size", [1, 4, 100])
def test_progress_is_told(method, batch_size, rng):
    calls = []
    graph, x = pooled(rng, 3), rng.normal(size=(2, 2, 3, 3))
    found = np.asarray(xc.explain(graph, x, method, target=0, batch_size=batch_size, progress=lambda *c: calls.append(c)))
    assert calls[0] == (0, 6)
    assert calls[-1] == (6, 6)
    assert len(calls) == 1 + -(-6 // batch_size)
    assert close(found, np.asarray(xc.explain(graph, x, method, target=0)), 1e-13)


# ----- tokens -----------------------------------------------------------------------------------------------------


def with_tokens(rng, lead=1, size=(3, 3)):
    """conv -> relu -> tokens (N, lead + h w, 3), the first of them empty -> dense: a picture as a transformer has it."""
    b = Builder()
    h, w = size
    y = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, h, w)), b.param("k", numbers(rng, (3, 2, 1, 1)))), name="maps")
    y = b.add(Transpose((0, 2, 1)), b.add(Reshape((3, h * w)), y))
    y = b.add(Pad(((lead, 0), (0, 0))), y, name="tokens")
    return b.build(b.add(Dense(), b.add(Flatten(), y), b.param("w", numbers(rng, (2, 3 * (lead + h * w)))), b.param("b", numbers(rng, (2,)))))


@pytest.mark.parametrize("method", [*FAMILY, "guided_grad_cam"])
def test_a_layer_of_tokens_is_a_map(method, rng):
    """The same maps from (N, T, C) as from the (N, C, H, W) that the tokens are made of; squares, and rectangles that are named."""
    for lead, size, tokens in ((1, (3, 3), 1), (0, (3, 3), 0), (2, (2, 4), (2, 2, 4))):
        graph, x = with_tokens(rng, lead, size), rng.normal(size=(2, 2, *size))
        one = xc.explain(graph, x, method, target=0, layer="maps")
        other = xc.explain(graph, x, method, target=0, layer="tokens", tokens=tokens)
        assert close(other, np.asarray(one), 1e-12)
        assert close(other.layers["tokens"], one.layers["maps"], 1e-12)
    with pytest.raises(InputError, match="tokens=1 says how to read a layer of tokens; name it with layer="):
        xc.explain(graph, x, method, target=0, tokens=1)
    for tokens, error, words in ((1, ShapeError, "10 tokens less 1 are 9, which make no grid of 2 x 4"), ((1, 2), InputError, "tokens="),
                                 ("1", InputError, "tokens='1'"), (2, ShapeError, "10 tokens less 2 are 8, which make no square")):
        with pytest.raises(error, match=words):
            xc.explain(graph, x, method, target=0, layer="tokens", tokens=(1, 2, 4) if tokens == 1 else tokens)
    with pytest.raises(ShapeError, match=r"is for a layer of tokens \(N, T, C\), and this one has shape \(2, 3, 2, 4\)"):
        xc.explain(graph, x, method, target=0, layer="maps", tokens=1)


def test_cam_of_pooled_tokens(rng):
    """A mean over tokens and a linear head: CAM, as for a global average pool."""
    b = Builder()
    y = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, 3, 3)), b.param("k", numbers(rng, (3, 2, 1, 1)))), name="maps")
    y = b.add(Transpose((0, 2, 1)), b.add(Reshape((3, 9)), y), name="tokens")
    graph = b.build(b.add(Dense(), b.add(Mean((1,)), y), b.param("w", numbers(rng, (2, 3)))))
    x = rng.normal(size=(2, 2, 3, 3))
    assert close(xc.explain(graph, x, "cam", target=1, layer="tokens", tokens=0), np.asarray(xc.explain(graph, x, "cam", target=1, layer="maps")), 1e-13)


# ----- refusals ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*FAMILY, "cam", "guided_grad_cam", "smoe", "fastcam"])
def test_what_every_map_refuses(method, rng):
    graph, x = pooled(rng, 3), rng.normal(size=(1, 2, 3, 3))
    with pytest.raises(Inapplicable, match=f"{method} needs a value with spatial axes, and no convolution"):
        xc.explain(NET_B, X_B, method)
    with pytest.raises(Inapplicable, match=r"layer 'fc1' has shape \(1, 2\); feature maps"):
        xc.explain(NET_B, X_B, method, layer="fc1")
    with pytest.raises(UnknownName, match="did you mean 'maps'"):
        xc.explain(graph, x, method, target=0, layer="map")
    with pytest.raises(UnknownName, match="upsample='bilinea' does not exist: did you mean 'bilinear'"):
        xc.explain(graph, x, method, target=0, upsample="bilinea")
    with pytest.raises(UnknownName, match="normalize='minmax' does not exist"):
        xc.explain(graph, x, method, target=0, normalize="minmax")


@pytest.mark.parametrize(("method", "settings", "error", "words"), [
    ("cam", {"relu": "yes"}, InputError, "relu='yes' must be True or False"),
    ("guided_grad_cam", {"upsample": None}, InputError, "upsample=None has no meaning"),
    ("grad_cam_plus_plus", {"weights": "papr"}, UnknownName, "did you mean 'paper'"),
    ("grad_cam_plus_plus", {"score": "log"}, UnknownName, "score='log' does not exist"),
    ("score_cam", {"weights": "soft"}, UnknownName, "weights='soft' does not exist"),
    ("score_cam", {"order": "both"}, UnknownName, "order='both' does not exist"),
    ("score_cam", {"baseline": np.zeros((2, 2))}, ShapeError, r"the baseline of input 'x' has shape \(2, 2\)"),
    ("faster_score_cam", {"top": 0}, InputError, "top=0 must be a whole number of at least 1"),
    ("ablation_cam", {"fill": [0, 1]}, InputError, "sets a whole channel to one number"),
    ("ablation_cam", {"weights": "share"}, UnknownName, "weights='share' does not exist"),
    ("eigen_cam", {"center": 2}, InputError, "center=2 must be True or False"),
    ("smoe", {"layer": ["maps", "maps"]}, InputError, "none twice"),
    ("smoe", {"statistic": "entropy"}, UnknownName, "statistic='entropy' does not exist"),
    ("smoe", {"weights": [1, 2]}, InputError, "weights has 2 entries for 1 layers"),
    ("smoe", {"weights": ["a"]}, InputError, "must be numbers"),
    ("smoe", {"weights": [-1.0]}, InputError, "none negative"),
    ("fastcam", {"cam": "layer_cam"}, UnknownName, "cam='layer_cam' does not exist"),
    ("fastcam", {"inverse": 1}, InputError, "inverse=1 must be True or False"),
    ("gradient", {"layer": ["maps"]}, InputError, "gradient attributes to one layer"),
])
def test_settings(method, settings, error, words, rng):
    with pytest.raises(error, match=words):
        xc.explain(pooled(rng, 3), rng.normal(size=(1, 2, 3, 3)), method, target=0, **settings)


def test_numbers_that_do_not_exist(rng):
    big = fixture(score=1000.0)
    with pytest.raises(InputError, match="f\\(x\\) = 1000 of sample 0, and e\\^f leaves the range of float64; use score='linear'"):
        xc.explain(big, A, "grad_cam_plus_plus")
    assert np.asarray(xc.explain(big, A, "grad_cam_plus_plus", score="linear")).any()
    zero = fixture(score=0, dtype="exact")
    with pytest.raises(Inapplicable, match="f\\(x\\) = 0 for sample 0, so there is no share of it; use weights='difference'"):
        xc.explain(zero, [[[[1, 0], [2, 3]]]], "ablation_cam")
    exact = pooled(rng, 3, dtype="exact")
    x = rationals(numbers(rng, (1, 2, 3, 3)))
    for method, words in (("grad_cam_plus_plus", "use score='linear'"), ("score_cam", "use weights='increase'"), ("eigen_cam", "not rational"),
                          ("smoe", "use statistic='mean' or 'max'")):
        with pytest.raises(ExactnessError, match=words):
            xc.explain(exact, x, method, target=0)


def test_cam_reads_what_the_global_pooling_reads(rng):
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, 4, 4)), b.param("k", numbers(rng, (3, 2, 1, 1)))), name="maps")
    h = b.add(Flatten(), b.add(GlobalAvgPool(), b.add(MaxPool((2, 2)), h, name="window"), name="gap"))
    graph = b.build(b.add(Dense(), h, b.param("w", numbers(rng, (2, 3)))))
    x = rng.normal(size=(1, 2, 4, 4))
    assert xc.explain(graph, x, "cam", target=0).settings["layer"] == "window"
    assert xc.explain(graph, x, "grad_cam", target=0).settings["layer"] == "maps"
    with pytest.raises(Inapplicable, match="'window'.*is not affine"):
        xc.explain(graph, x, "cam", target=0, layer="maps")


def test_cam_needs_an_affine_head(rng):
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, 3, 3)), b.param("k", numbers(rng, (3, 2, 1, 1)))), name="maps")
    h = b.add(Flatten(), b.add(GlobalAvgPool(), h, name="gap"))
    h = b.add(ReLU(), b.add(Dense(), h, b.param("v", numbers(rng, (3, 3)))), name="bend")
    graph = b.build(b.add(Dense(), h, b.param("w", numbers(rng, (2, 3)))))
    with pytest.raises(Inapplicable, match=r"cam: node 'bend' \(ReLU\(\)\) behind layer 'maps' is not affine.*use hires_cam or grad_cam"):
        xc.explain(graph, rng.normal(size=(1, 2, 3, 3)), "cam", target=0)
