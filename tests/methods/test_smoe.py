"""SMOE scale and FastCAM: the worked number, loops, torch as a second opinion, the order that the title claims, layers."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.maps import pooled
from tests.nets import close
from xaicore import Builder
from xaicore.methods.smoe import SCALES, STATISTICS
from xaicore.ops import Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins import maps as twins
from xaicore.trace import forward


def scales(rng, size=8):
    """Two convolutions at ``size``, a pooling, one at half of it, pooled again."""
    b = Builder()
    h = b.input("x", (None, 2, size, size))
    for k, channels in enumerate((4, 5, 6)):
        into = (2, 4, 5)[k]
        h = b.add(Conv(pads=((1, 1), (1, 1))), h, b.param(f"k{k}", numbers(rng, (channels, into, 3, 3)) / into), name=f"conv{k}")
        h = b.add(ReLU(), h, name=f"relu{k}")
        h = b.add(MaxPool((2, 2)), h, name=f"pool{k}") if k else h
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", numbers(rng, (3, 6 * (size // 4) ** 2)))))


def test_the_worked_number():
    """SMOE(1, 2, 4) = 7/3 (log2 7/3 - 1) = .5189, four digits (the 1e-7 added to the activations moves the eighth)."""
    found = STATISTICS["smoe"](np.array([1.0, 2.0, 4.0]).reshape(1, 3, 1, 1))
    assert abs(found[0, 0, 0] - 0.5189) < 5.1e-5
    assert found[0, 0, 0] == pytest.approx(7 / 3 * (np.log2(7 / 3) - 1), abs=1e-6)


@given(seed=st.integers(0, 2**32 - 1))
def test_smoe_and_its_scale_by_loops(seed):
    rng = np.random.default_rng(seed)
    graph, x = scales(rng, 4), numbers(rng, (2, 2, 4, 4))
    a = xc.explain(graph, x, "smoe", target=0)
    assert a.settings["layer"] == ["relu1", "relu2"]
    for n in range(2):
        maps = []
        for name in ("relu1", "relu2"):
            raw = twins.smoe(forward(graph, {"x": x})[name][n].tolist())
            assert close(a.layers[name][n, 0], raw, 1e-12)
            maps.append(np.array(twins.resized(twins.gaussian_scale(raw), 4, 4)))
        assert close(a.extras["maps"]["x"][n], maps, 1e-9)
        assert close(np.asarray(a)[n, 0], (maps[0] + maps[1]) / 2, 1e-9)


@given(seed=st.integers(0, 2**32 - 1), factor=st.floats(0.1, 50))
def test_w30_smoe(seed, factor):
    """W30: SMOE >= 0, 0 exactly where all channels are equal, homogeneous of degree 1, blind to the order of channels."""
    rng = np.random.default_rng(seed)
    x = np.exp(rng.normal(size=(2, 5, 3, 3)))
    x[:, :, 0, 0] = x[:, :1, 0, 0]
    smoe = STATISTICS["smoe"]
    found = smoe(x)
    assert (found[:, 1:] > 1e-9).all()
    assert close(found[:, 0, 0], [0, 0], 1e-14, scale=30)               # activations up to 30
    assert close(smoe(factor * x), factor * found, 1e-5)                # x >= .02 here, to which 1e-7 is added
    assert close(smoe(x[:, rng.permutation(5)]), found, 1e-13)
    assert (STATISTICS["std"](x)[:, 0, 0] < 1e-13).all()


@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("cam", ["grad_cam", "grad_cam_plus_plus", "xgrad_cam"])
def test_w30_fastcam_is_a_product(cam, seed):
    """W30: SMOE times the map of the last layer, scaled to [0, 1]; no larger than either; with its inverse it adds up to SMOE."""
    rng = np.random.default_rng(seed)
    graph, x = scales(rng), numbers(rng, (2, 2, 8, 8))
    s = np.asarray(xc.explain(graph, x, "smoe", target=1))
    c = np.asarray(xc.explain(graph, x, cam, target=1, layer="relu2", normalize="min_max"))
    found = np.asarray(xc.explain(graph, x, "fastcam", target=1, cam=cam))
    assert close(found, s * c, 1e-12)
    assert (found <= np.minimum(s, c) + 1e-12).all()
    assert close(found + np.asarray(xc.explain(graph, x, "fastcam", target=1, cam=cam, inverse=True)), s, 1e-12)


def test_order_of_the_gamma_scale():
    """The claim of the paper: SMOE puts positions nearly in the order of the fitted scale of a gamma distribution; here with a rank
    correlation of .97 and more, where the mean alone has less."""
    from scipy.stats import spearmanr

    rng = np.random.default_rng(0)
    x = rng.gamma(rng.uniform(0.5, 5, (1, 1, 20, 20)), rng.uniform(0.2, 3, (1, 1, 20, 20)), (1, 64, 20, 20))
    gamma, smoe, mean = (STATISTICS[k](x).reshape(-1) for k in ("gamma", "smoe", "mean"))
    assert spearmanr(smoe, gamma)[0] > 0.97
    assert spearmanr(smoe, gamma)[0] > spearmanr(mean, gamma)[0] + 0.1


def test_the_fitted_gamma_against_scipy():
    """Maximum likelihood by another optimiser, and the distribution function of the fit."""
    from scipy.stats import gamma

    rng = np.random.default_rng(1)
    rows = rng.gamma(2.5, 1.5, (1, 40, 1, 3))
    for j, theta in enumerate(STATISTICS["gamma"](rows)[0, 0]):
        _, _, expected = gamma.fit(rows[0, :, 0, j], floc=0)
        assert theta == pytest.approx(expected, rel=1e-4)
    m = rng.gamma(2, 1, (2, 5, 5))
    for n, found in enumerate(SCALES["gamma"](m)):
        moved = m[n] - m[n].min() + 1e-7
        k, _, theta = gamma.fit(moved.reshape(-1) + 1e-7, floc=0)
        assert close(found, gamma.cdf(moved, k, scale=theta), 1e-4)    # the two optimisers agree to about this
    assert close(SCALES["gaussian"](np.ones((1, 2, 2))), np.full((1, 2, 2), 0.5), 1e-15)
    assert close(SCALES["min_max"](np.array([[[1.0, 3.0], [2.0, 1.0]]])), [[[0, 1], [0.5, 0]]], 1e-15)


def test_statistics_against_torch(rng):
    torch = pytest.importorskip("torch")
    x = abs(rng.normal(size=(2, 4, 3, 3)))
    t = torch.tensor(x)
    for name, expected in (("std", t.std(dim=1)), ("mean", t.mean(dim=1)), ("max", t.max(dim=1)[0])):
        assert close(STATISTICS[name](x), expected.numpy(), 1e-13)
        assert STATISTICS[name].__doc__
    assert STATISTICS["std"](x[:, :1]).any() == 0


def test_layers_and_weights(rng):
    graph, x = scales(rng), rng.normal(size=(1, 2, 8, 8))
    both = xc.explain(graph, x, "smoe", target=0, layer=["relu0", "pool2"], weights=[1, 3], normalize="min_max")
    one, other = (np.asarray(xc.explain(graph, x, "smoe", target=0, layer=k, normalize="min_max")) for k in ("relu0", "pool2"))
    assert close(both, (one + 3 * other) / 4, 1e-13)
    assert sorted(both.layers) == ["pool2", "relu0"]
    assert (np.asarray(xc.explain(graph, x, "smoe", target=0)) == np.asarray(xc.explain(graph, x, "smoe", target=2))).all()   # no class
    negative = np.asarray(xc.explain(graph, x, "smoe", target=0, layer="conv2", normalize=None, statistic="mean"))
    assert close(negative, np.asarray(xc.explain(graph, x, "smoe", target=0, layer="relu2", normalize=None, statistic="mean")), 1e-13)


def test_a_scale_of_one_position_does_not_count(rng):
    """A convolution behind the global pooling is a classifier."""
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, 4, 4)), b.param("k", numbers(rng, (3, 2, 1, 1)))), name="maps")
    h = b.add(Conv(), b.add(GlobalAvgPool(), h), b.param("v", numbers(rng, (4, 3, 1, 1))), name="narrow")
    graph = b.build(b.add(Dense(), b.add(Flatten(), b.add(ReLU(), h)), b.param("w", numbers(rng, (2, 4)))))
    assert xc.explain(graph, rng.normal(size=(1, 2, 4, 4)), "smoe", target=0).settings["layer"] == ["maps"]


def test_rational_statistics(rng):
    graph, x = pooled(rng, 2, dtype="exact"), np.array([[[[1, 2], [3, 4]], [[0, 1], [5, 2]]]])
    for statistic in ("mean", "max"):
        a = xc.explain(graph, x, "smoe", target=0, statistic=statistic, normalize="min_max")
        assert all(type(v) is F for v in np.asarray(a).reshape(-1))
        product = xc.explain(graph, x, "fastcam", target=0, statistic=statistic, normalize=None, cam="grad_cam")
        assert all(type(v) is F for v in np.asarray(product).reshape(-1))
