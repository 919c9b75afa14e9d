"""Ablation and permutation of feature groups: loops, ablation as occlusion of one window, batches."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B, close
from tests.oracle.planted import cnn, image
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.oracle.strategies import cnns, inputs_of, numbers


@given(data=st.data(), mode=st.sampled_from(["drop", "keep"]), spread=st.sampled_from(["repeat", "share"]))
def test_ablation_against_loops(data, mode, spread):
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph))
    labels = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 5, (2, 4, 4))
    x0 = numbers(np.random.default_rng(7), (2, 4, 4))
    a = xc.explain(graph, x, "feature_ablation", target=1, mask=labels, baseline=x0, mode=mode, spread=spread)
    for n in range(len(x)):
        slow = np.zeros((2, 4, 4))
        for g in np.unique(labels):
            f = [graph(np.where(labels == g, p, q)[None])[0, 1] for p, q in ((x0, x[n]), (x[n], x[n]), (x[n], x0), (x0, x0))]
            score = f[1] - f[0] if mode == "drop" else f[2] - f[3]
            slow[labels == g] = score / (1 if spread == "repeat" else (labels == g).sum())
        assert close(np.asarray(a)[n], slow, 1e-12, scale=1)


def test_ablation_is_occlusion_of_one_place():
    """E22 and E30, and every position of an image by itself; of a background set the mean."""
    assert list(np.asarray(xc.explain(NET_A, X_A, "feature_ablation"))[0]) == [1, -5]
    assert list(np.asarray(xc.explain(NET_B, X_B, "feature_ablation"))[0]) == [4, -1]
    graph, x = cnn(), image(2)
    a = xc.explain(graph, x, "feature_ablation", target=1, mask="positions")
    assert close(np.asarray(a), np.asarray(xc.explain(graph, x, "occlusion", target=1, window=1)), 1e-12)
    sets = image(3, seed=4)
    mean = np.mean([np.asarray(xc.explain(graph, x, "feature_ablation", target=1, baseline=b)) for b in sets], axis=0)
    assert close(np.asarray(xc.explain(graph, x, "feature_ablation", target=1, background=sets)), mean, 1e-12)


@pytest.mark.parametrize("samples", [2, 3, 10])
def test_permutation_against_loops(samples):
    graph, x = cnn(), image(4)
    a = xc.explain(graph, x, "feature_permutation", target=[0, 1, 2, 0], mask=2, samples=samples, seed=1)
    orders, labels = a.extras["orders"], a.extras["labels"]["image"]
    assert len(orders) == min(samples, 3)
    assert all(sorted(o) == [0, 1, 2, 3] and not (o == np.arange(4)).any() for o in orders)
    assert all(len(set(column)) == len(orders) for column in orders.T)
    for n, target in enumerate([0, 1, 2, 0]):
        for g in range(4):
            other = [graph(np.where(labels == g, x[o[n]], x[n])[None])[0, target] for o in orders]
            expected = graph(x[n:n + 1])[0, target] - np.mean(other)
            assert np.asarray(a)[n][labels == g] == pytest.approx(expected, abs=1e-12)      # rounding of ten nodes


def test_permutation_of_linear_functions():
    """Against all others: w (x_n - mean of the others)."""
    w = np.array([2.0, -1.0, 0.5])
    f = xc.from_function(lambda x: x @ w, (None, 3))
    x = np.random.default_rng(0).normal(size=(5, 3))
    a = np.asarray(xc.explain(f, x, "feature_permutation", samples=99))
    assert close(a, w * (x - (x.sum(axis=0) - x) / 4), 1e-12)
    shuffled = np.asarray(xc.explain(f, x, "feature_permutation", draw="shuffle", samples=2000, seed=3))
    assert np.abs(shuffled - w * (x - x.mean(axis=0))).max() < 0.25      # 2000 draws of a deviation of about 2: five times 2/√2000


def test_batches_of_one_and_bad_input():
    with pytest.raises(Inapplicable, match="this batch has one; give more samples at once"):
        xc.explain(cnn(), image(1), "feature_permutation", target=0)
    with pytest.raises(InputError, match="samples=0 must be a whole number of at least 1"):
        xc.explain(cnn(), image(2), "feature_permutation", target=0, samples=0)
    with pytest.raises(UnknownName, match="draw='all' does not exist"):
        xc.explain(cnn(), image(2), "feature_permutation", target=0, draw="all")
    with pytest.raises(UnknownName, match="mode='add' does not exist"):
        xc.explain(cnn(), image(2), "feature_ablation", target=0, mode="add")
