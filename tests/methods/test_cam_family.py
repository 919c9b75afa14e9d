"""The family of class-activation maps: the libraries' numbers, each paper as loops, their identities, Score-CAM's conventions.

Sizes, scales, layouts, tokens and refusals are in test_cam_arguments.py, Grad-CAM by itself in test_cam.py.
"""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.maps import A, fixture, pooled, rationals
from tests.nets import close
from xaicore import Builder
from xaicore.errors import Inapplicable
from xaicore.methods.cam import SECOND_ORDER
from xaicore.methods.maps import min_max
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, Mean, ReLU
from xaicore.oracle.strategies import cnns, inputs_of, numbers
from xaicore.oracle.twins import maps as twins
from xaicore.trace import forward


@pytest.mark.parametrize(("weights", "score", "expected"), [
    ("paper", "linear", 0.138460), ("elementwise", "linear", 0.206165), ("square", "linear", 0.126), ("mean", "linear", 0.057082),
    ("normalized", "exp", 0.557665), ("normalized", "linear", 0.075472)])
def test_second_order_weights_of_the_libraries(weights, score, expected):
    """Golden fixture F19 of the peers, six digits; pytorch-grad-cam's 0.138460 has 1e-6 in its denominators, which moves the last."""
    a = xc.explain(fixture(), A, "grad_cam_plus_plus", weights=weights, score=score)
    assert abs(a.extras["weights"][0, 0] - expected) < (3e-6 if weights == "paper" else 5.1e-7)
    assert SECOND_ORDER[weights].__doc__


def test_worked_weights_in_rationals():
    """α = 1/5, 5/4, 5/13, 0 by hand: w = 1/10 + 1/26 = 9/65; XGrad-CAM (1/2 + 1/5) / 6 = 7/60."""
    exact = fixture(dtype="exact")
    x = [[[[1, 0], [2, 3]]]]
    assert xc.explain(exact, x, "grad_cam_plus_plus", score="linear").extras["weights"][0, 0] == F(9, 65)
    assert xc.explain(exact, x, "xgrad_cam").extras["weights"][0, 0] == F(7, 60)
    assert np.asarray(xc.explain(exact, x, "hires_cam")).tolist() == [[[[F(1, 2), 0], [F(1, 5), 0]]]]
    assert np.asarray(xc.explain(exact, x, "layer_cam", relu=False)).tolist() == [[[[F(1, 2), 0], [F(1, 5), 0]]]]
    assert xc.explain(exact, x, "ablation_cam").extras["weights"][0, 0] == F(7, 10) / 2
    assert xc.explain(exact, x, "score_cam", weights="increase").extras["weights"][0, 0] == F(3, 10)      # mask (1/3, 0, 2/3, 1)


@given(data=st.data())
def test_the_papers_as_loops(data):
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph, batch=(2, 2)))
    name = xc.explain(graph, x, "grad_cam", target=1).settings["layer"]
    if forward(graph, {"x": x})[name].ndim != 4:
        return
    a = forward(graph, {"x": x})[name]
    g = np.asarray(xc.explain(graph, x, "gradient", target=1, layer=name))
    behind, _ = xc.methods.task.make_task(graph, x, 1).at_layer(name)

    def f_of(layer_value):
        return behind.at({name: np.array([layer_value])}, np.zeros(1, int))[0]

    for n in range(2):
        an, gn = a[n].tolist(), g[n].tolist()
        expected = {
            "grad_cam": twins.grad_cam(an, gn), "grad_cam_plus_plus": twins.grad_cam_plus_plus(an, gn, float(graph(x)[n, 1])),
            "layer_cam": twins.layer_cam(an, gn), "hires_cam": twins.hires_cam(an, gn), "xgrad_cam": twins.xgrad_cam(an, gn),
            "score_cam": twins.score_cam(an, x[n].tolist(), lambda v: float(graph(np.array([v]))[0, 1])),
        }
        if abs(graph(x)[n, 1]) > 1e-3:
            expected["ablation_cam"] = twins.ablation_cam(an, f_of)
        for method, slow in expected.items():
            if method == "xgrad_cam" and abs(a[n].sum(axis=(1, 2))).min() < 1e-3:
                continue                                                # a sum next to zero makes a weight of any size
            found = xc.explain(graph, x, method, target=1)
            assert close(found.layers[name][n, 0], slow, 1e-9), method
            assert close(np.asarray(found)[n, 0], twins.resized(slow, 4, 4), 1e-9), method


def test_eigen_cam_by_power_iteration(rng):
    graph, x = pooled(rng, 4, 5), rng.normal(size=(3, 2, 4, 4))
    found = xc.explain(graph, x, "eigen_cam", target=0, upsample=None)
    for n, a in enumerate(forward(graph, {"x": x})["maps"]):
        assert close(np.asarray(found)[n, 0], twins.eigen_cam(a.tolist()), 1e-8)
    share = found.extras["share"]
    assert ((share > 1 / 5) & (share <= 1)).all()
    turned = xc.explain(graph, -x, "eigen_cam", target=1)
    assert (turned.extras["weights"] ** 2).sum(axis=1) == pytest.approx(1)
    centred = np.asarray(xc.explain(graph, x, "eigen_cam", target=0, upsample=None, center=True))
    assert centred.sum() == pytest.approx(0, abs=1e-12)
    one = np.asarray(xc.explain(graph, x, "eigen_cam", target=0))
    assert (one == np.asarray(xc.explain(graph, x, "eigen_cam", target=1))).all()              # it has no class


# ----- identities -------------------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 4))
@pytest.mark.parametrize("pool", [GlobalAvgPool, Mean])
def test_w27_cam_and_its_relatives(pool, seed, size):
    """W27: mean of the map + bias = f, CAM by the paper's loop, Grad-CAM = ReLU(CAM) / Z; HiResCAM is CAM / Z, XGrad-CAM too, and
    Ablation-CAM's weights are those of CAM times the mean activation. In rationals, so equal."""
    rng = np.random.default_rng(seed)
    graph, x = pooled(rng, size, dtype="exact", pool=pool), rationals(numbers(rng, (2, 2, size, size)))
    a = xc.explain(graph, x, "cam", target=1, upsample=None)
    maps, w = forward(graph, {"x": x})["maps"], graph.params["w"][1]
    for n in range(2):
        assert a.layers["maps"][n, 0].tolist() == twins.weighted_sum(maps[n].tolist(), list(w), False)
    assert (a.extras["weights"] == w).all()
    assert (a.extras["bias"] == graph.params["b"][1]).all()
    assert (a.total() / size**2 + a.extras["bias"] == graph(x)[:, 1]).all()
    zero = np.array(F(0), dtype=object)
    for method in ("grad_cam", "hires_cam"):
        other = np.asarray(xc.explain(graph, x, method, target=1, upsample=None, relu=False))
        assert (other == np.asarray(a) / size**2).all()
    assert (np.asarray(xc.explain(graph, x, "grad_cam", target=1, upsample=None)) == np.maximum(np.asarray(a), zero) / size**2).all()
    alive = maps.sum(axis=(2, 3)) != 0
    weights = xc.explain(graph, x, "xgrad_cam", target=1).extras["weights"]
    assert (weights == np.where(alive, w / F(size**2), F(0))).all()
    lost = xc.explain(graph, x, "ablation_cam", target=1, weights="difference").extras["weights"]
    assert (lost == w * maps.sum(axis=(2, 3)) / size**2).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_cam_is_linear_in_the_class_weights(seed):
    """The map of a difference of classes is the difference of the maps."""
    rng = np.random.default_rng(seed)
    graph, x = pooled(rng, 3, dtype="exact"), rationals(numbers(rng, (1, 2, 3, 3)))
    one, other = (np.asarray(xc.explain(graph, x, "cam", target=t)) for t in (0, 1))
    assert (np.asarray(xc.explain(graph, x, "cam", target=np.array([F(1), F(-1)]))) == one - other).all()


@given(seed=st.integers(0, 2**32 - 1))
def test_hires_cam_and_xgrad_cam_keep_the_sum(seed):
    """A flattened map and a dense head: the map of HiResCAM, plus the bias, sums to f; XGrad-CAM's has the same sum."""
    rng = np.random.default_rng(seed)
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, 3, 3)), b.param("k", numbers(rng, (3, 2, 2, 2)))), name="maps")
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (2, 12))), b.param("b", numbers(rng, (2,))))).astype("exact")
    x = rationals(numbers(rng, (2, 2, 3, 3)))
    a = xc.explain(graph, x, "hires_cam", target=0, upsample=None)
    assert (a.total() + graph.params["b"][0] == graph(x)[:, 0]).all()
    same = xc.explain(graph, x, "xgrad_cam", target=0, upsample=None, relu=False)
    dead = forward(graph, {"x": x})["maps"].sum(axis=(2, 3)) == 0
    assert (same.total() == a.total())[~dead.any(axis=1)].all()
    with pytest.raises(Inapplicable, match="positions have different weights.*use hires_cam"):
        xc.explain(graph, x, "cam", target=0)


@given(seed=st.integers(0, 2**32 - 1))
def test_w28_one_position(seed):
    """W28: with one position Grad-CAM = HiResCAM = ReLU(Σ gradient * activation); so is XGrad-CAM of positive activations."""
    rng = np.random.default_rng(seed)
    graph, x = pooled(rng, 1, dtype="exact"), rationals(numbers(rng, (1, 2, 1, 1)))
    expected = max(xc.explain(graph, x, "gradient_x_input", target=1, layer="maps").total()[0], F(0))
    for method in ("grad_cam", "hires_cam", "xgrad_cam"):
        assert np.asarray(xc.explain(graph, x, method, target=1, relu=True)).reshape(-1).tolist() == [expected]


@given(seed=st.integers(0, 2**32 - 1))
def test_w29_grad_cam_plus_plus_of_maps_that_sum_to_zero(seed):
    """W29: where Σ A = 0, α = 1/2 at every g that is not 0, so w_k = 1/2 Σ ReLU(g); with g <= 0 everywhere w_k = 0."""
    rng = np.random.default_rng(seed)
    g, a = numbers(rng, (2, 4)), numbers(rng, (2, 4))
    a[:, -1] -= a.sum(axis=1)
    g[1] = -abs(g[1])
    b = Builder()
    h = b.add(Conv(), b.input("x", (None, 2, 2, 2)), b.param("one", np.eye(2).reshape(2, 2, 1, 1)), name="maps")
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("g", g.reshape(1, 8)))).astype("exact")
    w = xc.explain(graph, rationals(a).reshape(1, 2, 2, 2), "grad_cam_plus_plus", score="linear").extras["weights"]
    assert w.tolist() == [[sum(max(F(v), F(0)) for v in g[0]) / 2, F(0)]]


def test_the_factor_of_grad_cam_plus_plus_cancels(rng):
    graph, x = pooled(rng, 4), rng.normal(size=(2, 2, 4, 4))
    for normalize in ("max", "min_max", "max_first"):
        one, other = (np.asarray(xc.explain(graph, x, "grad_cam_plus_plus", target=0, normalize=normalize, score=s)) for s in ("exp", "linear"))
        assert close(one, other, 1e-12)
    ratio = [np.asarray(xc.explain(graph, x, "grad_cam_plus_plus", target=0, score=s)) for s in ("exp", "linear")]
    assert close(ratio[0], ratio[1] * np.exp(graph(x)[:, 0]).reshape(2, 1, 1, 1), 1e-12)


@given(data=st.data())
def test_w26_guided_grad_cam_is_a_product(data):
    """W26: guided backpropagation times Grad-CAM in the size of the input."""
    graph = data.draw(cnns(activations=(ReLU(),)))
    x = data.draw(inputs_of(graph))
    for settings in ({}, {"upsample": "nearest", "weights": "sum"}, {"relu": False, "normalize": "max"}):
        parts = [np.asarray(xc.explain(graph, x, m, target=1, **s)) for m, s in (("grad_cam", settings), ("guided_backprop", {}))]
        assert close(xc.explain(graph, x, "guided_grad_cam", target=1, **settings), parts[0] * parts[1], 1e-13)


def test_positive_rescaling_of_channels(rng):
    """A factor that the next layer takes back changes no map whose weights are gradients: w/s times s A. Ablation-CAM's are losses."""
    one = pooled(rng, 3)
    s = np.array([2.0, 0.5, 4.0])
    params = dict(one.params)
    params["k"], params["c"], params["w"] = params["k"] * s.reshape(3, 1, 1, 1), params["c"] * s, params["w"] / s
    other = type(one)(one.inputs, params, one.nodes, one.outputs)
    x = rng.normal(size=(2, 2, 3, 3))
    for method in ("cam", "grad_cam", "hires_cam", "xgrad_cam", "layer_cam", "grad_cam_plus_plus"):
        assert close(xc.explain(one, x, method, target=1), np.asarray(xc.explain(other, x, method, target=1)), 1e-12), method
    assert not close(xc.explain(one, x, "ablation_cam", target=1), np.asarray(xc.explain(other, x, "ablation_cam", target=1)), 1e-3)


# ----- Score-CAM's conventions ------------------------------------------------------------------------------------


def test_faster_score_cam(rng):
    graph, x = pooled(rng, 4, 6), rng.normal(size=(3, 2, 4, 4))
    whole = xc.explain(graph, x, "score_cam", target=0)
    for top in (6, 99):
        assert close(xc.explain(graph, x, "faster_score_cam", target=0, top=top), np.asarray(whole), 1e-14)
    few = xc.explain(graph, x, "faster_score_cam", target=0, top=2)
    std = forward(graph, {"x": x})["maps"].std(axis=(2, 3))
    assert few.extras["channels"].tolist() == [sorted(row.argsort()[-2:].tolist()) for row in std]
    assert ((few.extras["weights"] != 0).sum(axis=1) == 2).all()
    assert few.extras["weights"].sum(axis=1) == pytest.approx(1)


def test_conventions_of_score_cam(rng):
    """The weights of each library by hand from masks that torch resizes."""
    torch = pytest.importorskip("torch")
    resize = torch.nn.functional.interpolate
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(stride=(2, 2)), b.input("x", (None, 2, 6, 6)), b.param("k", numbers(rng, (4, 2, 2, 2)))), name="maps")
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (3, 36)))))
    x = rng.normal(size=(2, 2, 6, 6))
    a = forward(graph, {"x": x})["maps"]

    def scored(masks):
        return np.stack([graph(x * masks[:, k:k + 1]) for k in range(4)], axis=1)               # (N, K, classes)

    up = resize(torch.tensor(a), (6, 6), mode="bilinear").numpy()
    corners = resize(torch.tensor(a), (6, 6), mode="bilinear", align_corners=True).numpy()
    first = resize(torch.tensor(min_max(a)), (6, 6), mode="bilinear").numpy()

    def softmax(v, axis):
        e = np.exp(v - v.max(axis=axis, keepdims=True))
        return e / e.sum(axis=axis, keepdims=True)

    for settings, expected in (
            ({}, softmax(scored(min_max(up))[..., 1], 1)),
            ({"upsample": "bilinear_corners"}, softmax(scored(min_max(corners))[..., 1], 1)),
            ({"order": "normalize_first"}, softmax(scored(first)[..., 1], 1)),
            ({"weights": "class_softmax"}, softmax(scored(min_max(up)), 2)[..., 1]),
            ({"weights": "increase", "baseline": 0.5}, scored(min_max(up))[..., 1] - graph(np.full_like(x, 0.5))[:, 1:2])):
        found = xc.explain(graph, x, "score_cam", target=1, **settings)
        assert close(found.extras["weights"], expected, 1e-12), settings
        assert close(found.layers["maps"][:, 0], np.maximum(np.einsum("nk,nkij->nij", expected, a), 0), 1e-12)


def test_a_constant_channel_masks_everything(rng):
    """Its mask has no contrast and is 0, so its score is that of a black picture."""
    b = Builder()
    h = b.add(Conv(), b.input("x", (None, 1, 2, 2)), b.param("k", np.array([1.0, 0.0]).reshape(2, 1, 1, 1)), b.param("c", np.array([0.0, 3.0])), name="maps")
    graph = b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (1, 8)))))
    x = rng.normal(size=(1, 1, 2, 2))
    a = xc.explain(graph, x, "score_cam")
    assert a.extras["scores"][0, 1] == graph(0 * x)[0, 0]
    assert xc.explain(graph, x, "score_cam", weights="increase").extras["weights"][0, 1] == 0
