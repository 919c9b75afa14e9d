"""VoG by its written-out loop, by hand and by what must not change it."""

from dataclasses import replace
from statistics import pstdev

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, NET_B, close, mlp
from xaicore.errors import ExactnessError, GraphError, InputError, ShapeError
from xaicore.methods.difficulty import class_normalized, vog
from xaicore.ops import Dense, Flatten, Transpose
from xaicore.oracle.strategies import cnns, inputs_of, numbers


def scaled(graph, c):
    return replace(graph, params={k: v * c for k, v in graph.params.items()})


def training(graph, rng, count=4):
    """Checkpoints: the same nodes, drawn parameters."""
    return [replace(graph, params={k: numbers(rng, v.shape) for k, v in graph.params.items()}) for _ in range(count)]


def test_by_hand():
    """E40: gradients 1, 2, 3: the standard deviation sqrt(2/3) = .816497, and not the variance .666667 (N19)."""
    found = vog([mlp([[[w]]], [None]) for w in (1.0, 2.0, 3.0)], [[5.0]], [0])
    assert round(float(found.scores[0]), 6) == 0.816497
    assert str(found) == "VoG over 3 checkpoints of 1 samples; hardest: 0 (0.8165); easiest: 0 (0.8165)"


@settings(max_examples=10)
@given(data=st.data())
def test_the_loop(data):
    """Checkpoint by checkpoint, pixel by pixel, with gradients from explain."""
    graph = data.draw(cnns())
    x, rng = data.draw(inputs_of(graph, batch=(2, 2))), np.random.default_rng(data.draw(st.integers(0, 9)))
    graphs = training(graph, rng)
    for channels in ("mean", "each"):
        found = vog(graphs, x, [2, 0], channels=channels)
        maps = [np.asarray(xc.explain(g, x, "gradient", target=[2, 0])) for g in graphs]
        for n in range(2):
            pixels = []
            for i, j in np.ndindex(4, 4):
                seen = [[(m[n, 0, i, j] + m[n, 1, i, j]) / 2] if channels == "mean" else [m[n, 0, i, j], m[n, 1, i, j]] for m in maps]
                pixels += [pstdev(v) for v in zip(*seen)]
            assert close(found.scores[n], np.mean(pixels), 1e-12)
    assert found.pixels["x"].shape == x.shape


@settings(max_examples=10)
@given(data=st.data())
def test_what_does_not_change_it(data):
    graph = data.draw(cnns())
    x, rng = data.draw(inputs_of(graph, batch=(2, 2))), np.random.default_rng(data.draw(st.integers(0, 9)))
    graphs = training(graph, rng)
    found = vog(graphs, x, [1, 1])
    assert close(vog(graphs[::-1], x, [1, 1]).scores, found.scores, 1e-12)
    assert not vog([graph] * 3, x, [1, 1]).scores.any()
    linear = [mlp([numbers(rng, (3, 4))], [None]) for _ in range(3)]
    y = numbers(rng, (2, 4))
    once = vog(linear, y, [0, 2])
    assert close(vog([scaled(g, -3.0) for g in linear], y, [0, 2]).scores, 3 * once.scores, 1e-12)
    assert (vog(linear, y, [0, 2], batch_size=1).scores == once.scores).all()
    assert (vog(linear, y, [0, 2], output="probability").scores != once.scores).all()


def test_channels_may_come_last():
    """The same images as (N, 4, 4, 2): the mean is over the channels, wherever they are."""
    rng = np.random.default_rng(6)
    b = xc.Builder()
    x = b.input("x", (None, 4, 4, 2))
    b.meta["layout.x"] = "NHWC"
    h = b.add(Flatten(), b.add(Transpose((0, 3, 1, 2)), x))
    last = b.build(b.add(Dense(), h, b.param("w", numbers(rng, (3, 32)))))
    b = xc.Builder()
    first = b.build(b.add(Dense(), b.add(Flatten(), b.input("x", (None, 2, 4, 4))), b.param("w", last.params["w"])))
    pairs = [(replace(last, params={"w": w}), replace(first, params={"w": w})) for w in numbers(rng, (3, 3, 32))]
    v = numbers(rng, (2, 2, 4, 4))
    a, c = vog([p[0] for p in pairs], v.transpose(0, 2, 3, 1), [0, 1]), vog([p[1] for p in pairs], v, [0, 1])
    assert close(a.scores, c.scores, 1e-12)
    assert a.pixels["x"].shape == (2, 4, 4)


@given(st.lists(st.tuples(st.integers(-50, 50), st.integers(0, 2)), min_size=1, max_size=12))
def test_class_normalized(rows):
    v, y = np.array([a for a, _ in rows], dtype=float), np.array([b for _, b in rows])
    found = class_normalized(v, y)
    for c in set(y.tolist()):
        own = found[y == c]
        assert abs(own.mean()) < 1e-12
        assert own.std() == pytest.approx(1 if len(set(v[y == c])) > 1 else 0, abs=1e-12)


BAD = {
    "one": (lambda: vog([NET_A], [[1.0, 2.0]], [0]), InputError, "a list of two graphs at least"),
    "a graph": (lambda: vog(NET_A, [[1.0, 2.0]], [0]), InputError, "Graph of 0 came"),
    "no labels": (lambda: vog([NET_A, NET_A], [[1.0, 2.0]], None), InputError, "the true class of each sample"),
    "channels": (lambda: vog([NET_A, NET_A], [[1.0, 2.0]], [0], channels="max"), InputError, "'mean' or 'each'"),
    "biased": (lambda: vog([NET_A, NET_B], [[1.0, 2.0]], [0]), GraphError, "checkpoint 1: node 'fc1' is .*b1"),
    "deeper": (lambda: vog([NET_A, mlp([[[1.0, 2.0]]], [None])], [[1.0, 2.0]], [0]), GraphError, "another number of nodes"),
    "exact": (lambda: vog([NET_A.astype("exact")] * 2, [[1, 2]], [0]), ExactnessError, "square root"),
    "labels": (lambda: class_normalized([1.0, 2.0], [1]), ShapeError, "one number and one class"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
