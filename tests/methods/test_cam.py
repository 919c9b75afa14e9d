"""Grad-CAM: the numbers of the libraries, torch as a second opinion, which layer is taken, sizes and layouts."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.maps import A, G
from tests.nets import NET_B, X_B, close
from xaicore import Builder
from xaicore.errors import Inapplicable, UnknownName
from xaicore.methods.cam import WEIGHTS
from xaicore.ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    MaxPool,
    Mul,
    ReLU,
    Reshape,
    Resize,
    Sigmoid,
    Transpose,
)
from xaicore.oracle.strategies import numbers


@pytest.mark.parametrize(("weights", "expected"), [("mean", 0.1), ("sum", 0.4), ("guided", 0.15), ("normalized", 0.1 / (0.5 + 1e-7))])
def test_channel_weights_of_the_libraries(weights, expected):
    """f = Σ G A with A the explained layer: the map is the weight times A."""
    b = Builder()
    x = b.input("x", (None, 1, 2, 2))
    a = b.add(Conv(), x, b.param("one", np.ones((1, 1, 1, 1))), name="conv")
    graph = b.build(b.add(Dense(), b.add(Flatten(), a), b.param("g", G.reshape(1, 4))))
    found = xc.explain(graph, A, "grad_cam", weights=weights)
    assert close(found.extras["weights"], [[expected]], 1e-14)
    assert close(found, A * expected, 1e-14)
    scale = 1 if weights == "normalized" else 2                         # a second sample whose f has twice the gradient
    both = xc.explain(graph, np.concatenate([A, A]), "grad_cam", weights=weights, target=np.array([[1.0], [2.0]]))
    assert close(both.extras["weights"], [[expected], [scale * expected]], 1e-6)
    assert WEIGHTS[weights].__doc__


def test_a_worked_map():
    """Two channels, weights 1/4 (1 + 1 - 1 - 1 + ...) = 1 and -1/2: A1 - A2 / 2, its negative part cut off; in rationals too."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 2, 1, 2))
    a = b.add(Conv(), x, b.param("one", np.array([[1, 0], [0, 1]]).reshape(2, 2, 1, 1)), name="conv")
    weight = np.array([[Fraction(1), Fraction(1), Fraction(0), Fraction(-1)]], dtype=object)
    graph = b.build(b.add(Dense(), b.add(Flatten(), a), b.param("w", weight)))
    values = np.array([[[[1, 4]], [[6, 2]]]])
    found = xc.explain(graph, values, "grad_cam")
    assert list(found.extras["weights"][0]) == [1, Fraction(-1, 2)]
    assert list(found.layers["conv"][0, 0, 0]) == [0, 3]
    assert list(np.asarray(found)[0, 0, 0]) == [0, 3]
    assert list(np.asarray(xc.explain(graph, values, "grad_cam", relu=False))[0, 0, 0]) == [-2, 3]
    assert list(np.asarray(xc.explain(graph, values, "grad_cam", counterfactual=True))[0, 0, 0]) == [2, 0]


def network(b, x, rng, rank=2, into=2, act=True):
    """conv -> relu -> pool -> conv -> relu -> flatten -> dense, on an input with sides 6 (N, into, 6, ...)."""
    h = b.add(Conv(pads=((1, 1),) * rank), x, b.param("k1", numbers(rng, (3, into, *(3,) * rank))), name="conv1")
    h = b.add(MaxPool((2,) * rank), b.add(ReLU(), h, name="relu1"), name="pool1")
    h = b.add(Conv(), h, b.param("k2", numbers(rng, (4, 3, *(2,) * rank))), b.param("b2", numbers(rng, (4,))), name="conv2")
    h = b.add(ReLU(), h, name="relu2") if act else h
    return b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (3, 4 * 2**rank))), name="logits")


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("layer", [None, "relu1", "conv1", "pool1"])
@pytest.mark.parametrize("upsample", ["bilinear", "nearest"])
def test_against_torch(rank, layer, upsample, rng):
    """torch's autograd at the layer and torch's interpolate."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    b = Builder()
    graph = b.build(network(b, b.input("x", (None, 2, *(6,) * rank)), rng, rank))
    x = rng.normal(size=(2, 2, *(6,) * rank))
    a = xc.explain(graph, x, "grad_cam", target=[2, 0], layer=layer, upsample=upsample)

    p = {k: torch.tensor(v) for k, v in graph.params.items()}
    conv, pool = getattr(functional, f"conv{rank}d"), getattr(functional, f"max_pool{rank}d")
    at = {"conv1": conv(torch.tensor(x, requires_grad=True), p["k1"], padding=1)}
    at["relu1"] = at["conv1"].relu()
    at["pool1"] = pool(at["relu1"], 2)
    at["relu2"] = conv(at["pool1"], p["k2"], p["b2"]).relu()
    logits = at["relu2"].flatten(1) @ p["w"].T
    here = at[layer or "relu2"]
    (g,) = torch.autograd.grad(logits[0, 2] + logits[1, 0], here)
    cam = (g.flatten(2).mean(2).reshape(2, -1, *(1,) * rank) * here).sum(1, keepdim=True).relu()
    mode = "nearest" if upsample == "nearest" else ("linear", "bilinear", "trilinear")[rank - 1]
    expected = functional.interpolate(cam, size=x.shape[2:], mode=mode).detach().numpy()
    assert close(a.layers[layer or "relu2"], cam.detach().numpy(), 1e-12)
    assert close(a, expected, 1e-12)
    assert a.settings["layer"] == (layer or "relu2")


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 4))
def test_w27_and_w28_by_loops(seed, size):
    """W27, W28 (E33, E34): A global average pool and a linear head: ReLU of the class-activation map Σ_k w_k A_k, over Z; with one position
    ReLU of Σ gradient * activation. Here in rationals, so equal."""
    rng = np.random.default_rng(seed)
    b = Builder()
    h = b.add(Conv(), b.input("x", (None, 2, size, size)), b.param("k", numbers(rng, (3, 2, 1, 1))), b.param("c", numbers(rng, (3,))))
    h = b.add(ReLU(), h, name="maps")
    y = b.add(Dense(), b.add(Reshape((3,)), b.add(GlobalAvgPool(), h)), b.param("w", numbers(rng, (2, 3))))
    graph, x = b.build(y).astype("exact"), np.vectorize(Fraction, otypes=[object])(numbers(rng, (1, 2, size, size)))
    a = xc.explain(graph, x, "grad_cam", target=1)
    k, c, w = (graph.params[name] for name in "kcw")
    for i in range(size):
        for j in range(size):
            maps = [max(sum(k[o, m, 0, 0] * x[0, m, i, j] for m in range(2)) + c[o], Fraction(0)) for o in range(3)]
            value = max(sum(w[1, o] * maps[o] for o in range(3)), Fraction(0)) / size**2
            assert np.asarray(a)[0, 0, i, j] == value
    if size == 1:
        gradient = xc.explain(graph, x, "gradient_x_input", target=1, layer="maps")
        assert max(gradient.total()[0], Fraction(0)) == np.asarray(a)[0, 0, 0, 0]


# ----- which layer ------------------------------------------------------------------------------------------------


def chosen(build, *shape):
    b = Builder()
    rng = np.random.default_rng(0)
    graph = b.build(build(b, b.input("x", (None, *shape)), rng))
    return xc.explain(graph, rng.normal(size=(2, *shape)), "grad_cam", target=1).settings["layer"]


def head(b, h, channels, rng):
    return b.add(Dense(), b.add(Flatten(), b.add(GlobalAvgPool(), h, name="gap")), b.param("head", numbers(rng, (3, channels))))


def conv(b, x, rng, out, into, side=1, name="conv", **fields):
    return b.add(Conv(**fields), x, b.param(f"{name}.k", numbers(rng, (out, into, side, side))), name=name)


def residual(b, x, rng):
    h = conv(b, x, rng, 2, 2, name="first")
    n = [b.param(f"n{k}", np.ones(2)) for k in range(4)]
    h = b.add(BatchNorm(), conv(b, h, rng, 2, 2, name="second"), *n, name="norm")
    return head(b, b.add(ReLU(), b.add(Add(), h, x, name="sum"), name="out"), 2, rng)


def dense(b, x, rng):
    h = b.add(Concat(1), x, conv(b, x, rng, 3, 2), name="joined")
    return head(b, b.add(ReLU(), h, name="out"), 5, rng)


def gated(b, x, rng):
    """Squeeze and excitation: the gate's convolutions see one position."""
    h = conv(b, x, rng, 2, 2, name="wide")
    gate = b.add(Sigmoid(), conv(b, b.add(GlobalAvgPool(), h), rng, 2, 2, name="narrow"))
    return head(b, b.add(Mul(), h, gate, name="out"), 2, rng)


def classifier(b, x, rng):
    """A convolution behind the global pooling is the classifier."""
    h = b.add(ReLU(), conv(b, x, rng, 4, 2, name="wide"), name="out")
    return b.add(Flatten(), conv(b, b.add(GlobalAvgPool(), h), rng, 3, 4, name="class"))


def one_position(b, x, rng):
    return b.add(Flatten(), b.add(ReLU(), conv(b, conv(b, x, rng, 4, 2, side=4, name="out"), rng, 3, 4, name="class"), name="end"))


def fully_convolutional(b, x, rng):
    """The explained value is a convolution itself: the map is taken before it."""
    h = b.add(ReLU(), conv(b, x, rng, 4, 2), name="out")
    return b.add(Flatten(), conv(b, h, rng, 3, 4, name="scores"))


def transposed(b, x, rng):
    h = b.add(ConvTranspose(), conv(b, x, rng, 2, 2), b.param("t", numbers(rng, (2, 2, 1, 1))), name="out")
    h = b.add(Transpose((0, 1, 3, 2)), h)
    return head(b, h, 2, rng)


@pytest.mark.parametrize(("build", "expected"), [
    (residual, "out"), (dense, "out"), (gated, "out"), (classifier, "out"), (one_position, "class"), (transposed, "out"),
    (fully_convolutional, "out")], ids=lambda v: getattr(v, "__name__", v))
def test_default_layer(build, expected):
    assert chosen(build, 2, 4, 4) == expected


def test_the_explained_value_is_not_its_own_map():
    """A segmentation model: the last convolution gives the explained value, so the layer before it is taken."""
    b = Builder()
    rng = np.random.default_rng(0)
    h = b.add(ReLU(), conv(b, b.input("x", (None, 2, 4, 4)), rng, 4, 2), name="features")
    graph = b.build(conv(b, h, rng, 3, 4, name="scores"))
    assert xc.explain(graph, rng.normal(size=(1, 2, 4, 4)), "grad_cam", target=(1, 2, 3)).settings["layer"] == "features"


# ----- sizes and layouts ------------------------------------------------------------------------------------------


def test_channels_last(rng):
    b = Builder()
    x = b.input("x", (None, 6, 6, 2))
    b.meta["layout.x"] = "NHWC"
    last = b.build(network(b, b.add(Transpose((0, 3, 1, 2)), x), np.random.default_rng(1)))
    b = Builder()
    first = b.build(network(b, b.input("x", (None, 2, 6, 6)), np.random.default_rng(1)))
    values = rng.normal(size=(2, 2, 6, 6))
    one = np.asarray(xc.explain(first, values, "grad_cam", target=0))
    other = np.asarray(xc.explain(last, np.moveaxis(values, 1, -1), "grad_cam", target=0))
    assert other.shape == (2, 6, 6, 1)
    assert close(other[..., 0], one[:, 0], 1e-13)


def test_without_upsampling(rng):
    b = Builder()
    graph = b.build(network(b, b.input("x", (None, 2, 6, 6)), rng))
    a = xc.explain(graph, rng.normal(size=(2, 2, 6, 6)), "grad_cam", target=0, upsample=None)
    assert list(a.values) == ["relu2"]
    assert np.asarray(a).shape == (2, 1, 2, 2)
    assert (np.asarray(a) == a.layers["relu2"]).all()


def test_several_inputs(rng):
    """A map is only about the pictures that it depends on; numbers beside them get none."""
    b = Builder()
    x, y, z = b.input("x", (None, 2, 6, 6)), b.input("y", (None, 2, 3, 3)), b.input("z", (None, 3))
    h = network(b, x, rng)
    other = b.add(Flatten(), conv(b, y, rng, 1, 2, name="beside"))
    extra = b.add(Dense(), other, b.param("v", numbers(rng, (3, 9))))
    graph = b.build(b.add(Add(), b.add(Add(), h, extra), z))
    feeds = {"x": rng.normal(size=(1, 2, 6, 6)), "y": rng.normal(size=(1, 2, 3, 3)), "z": rng.normal(size=(1, 3))}
    assert {k: v.shape for k, v in xc.explain(graph, feeds, "grad_cam", target=0, layer="relu2").values.items()} == {"x": (1, 1, 6, 6)}
    assert list(xc.explain(graph, feeds, "grad_cam", target=0, layer="beside").values) == ["y"]
    b = Builder()
    x, y = b.input("x", (None, 2, 2, 2)), b.input("y", (None, 2, 4, 4))
    both = b.add(Add(), b.add(Resize((4, 4), coordinates="asymmetric", rounding="floor"), x), y)
    graph = b.build(head(b, conv(b, both, rng, 3, 2), 3, rng))
    a = xc.explain(graph, {"x": rng.normal(size=(1, 2, 2, 2)), "y": rng.normal(size=(1, 2, 4, 4))}, "grad_cam", target=0)
    assert {k: v.shape for k, v in a.values.items()} == {"x": (1, 1, 2, 2), "y": (1, 1, 4, 4)}


def test_at_the_input(rng):
    b = Builder()
    graph = b.build(network(b, b.input("x", (None, 2, 6, 6)), rng))
    x = rng.normal(size=(1, 2, 6, 6))
    g = np.asarray(xc.explain(graph, x, "gradient", target=0))
    a = xc.explain(graph, x, "grad_cam", target=0, layer="x")
    assert close(a, np.maximum((g.mean(axis=(2, 3), keepdims=True) * x).sum(axis=1, keepdims=True), 0), 1e-13)


def test_float32(rng):
    b = Builder()
    graph = b.build(network(b, b.input("x", (None, 2, 6, 6)), rng))
    x = rng.normal(size=(1, 2, 6, 6)).astype(np.float32)
    a = xc.explain(graph.astype("float32"), x, "grad_cam", target=0)
    assert np.asarray(a).dtype == np.float32
    assert close(a, np.asarray(xc.explain(graph, x, "grad_cam", target=0)), 1e-5)


# ----- errors -----------------------------------------------------------------------------------------------------


def test_models_without_space():
    with pytest.raises(Inapplicable, match="no convolution lies between the input and the explained value"):
        xc.explain(NET_B, X_B, "grad_cam")
    with pytest.raises(Inapplicable, match=r"layer 'fc1' has shape \(1, 2\); feature maps \(N, C, \*S\)"):
        xc.explain(NET_B, X_B, "grad_cam", layer="fc1")


def test_errors(rng):
    b = Builder()
    graph = b.build(network(b, b.input("x", (None, 2, 6, 6)), rng))
    x = rng.normal(size=(1, 2, 6, 6))
    for settings, error, words in (
            ({"layer": "relu3"}, UnknownName, "did you mean 'relu"), ({"upsample": "bicubic"}, UnknownName, "upsample='bicubic'"),
            ({"weights": "maen"}, UnknownName, "did you mean 'mean'")):
        with pytest.raises(error, match=words):
            xc.explain(graph, x, "grad_cam", target=0, **settings)
    b = Builder()
    flat = b.input("x", (None, 8))
    h = conv(b, b.add(Reshape((2, 2, 2)), flat), rng, 3, 2)
    graph = b.build(head(b, h, 3, rng))
    with pytest.raises(Inapplicable, match=r"2 spatial axes, and no explained input has as many \(x \(1, 8\)\); use upsample=None"):
        xc.explain(graph, rng.normal(size=(1, 8)), "grad_cam", target=0)
    assert xc.explain(graph, rng.normal(size=(1, 8)), "grad_cam", target=0, upsample=None)["conv"].shape == (1, 1, 2, 2)


def test_a_layer_beside_the_path(rng):
    """A layer that only a constant reaches, and one whose signal is blocked."""
    from xaicore.ops import Detach

    b = Builder()
    x, other = b.input("x", (None, 2, 4, 4)), b.input("other", (None, 2, 4, 4))
    beside, main = conv(b, other, rng, 3, 2, name="beside"), conv(b, x, rng, 3, 2, name="main")
    graph = b.build(head(b, b.add(Add(), main, b.add(Detach(), beside)), 3, rng))
    feeds = {"x": rng.normal(size=(1, 2, 4, 4)), "other": rng.normal(size=(1, 2, 4, 4))}
    with pytest.raises(Inapplicable, match="'beside' does not depend on the input"):
        xc.explain(graph, feeds, "grad_cam", target=0, layer="beside", wrt=["x"])
    with pytest.raises(Inapplicable, match="no signal passes layer 'beside'"):
        xc.explain(graph, feeds, "grad_cam", target=0, layer="beside")
