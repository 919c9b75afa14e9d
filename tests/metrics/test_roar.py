"""The trainer and what is trained again: gradients of weights, steps by hand, planted data whose accuracies theory gives exactly."""

from itertools import product

import numpy as np
import pytest

import xaicore as xc
from tests.metrics.subjects import feature_net, picture_net
from tests.nets import mlp
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.metrics import subject
from xaicore.metrics.roar import Data, kar, retrain, roar
from xaicore.metrics.train import Adam, Sgd, accuracy, fresh, loss_and_gradients, train

FACTORIAL = np.array(list(product([-1.0, 1.0], repeat=6)))
"""All 64 sign patterns. The class is the majority of the first three; what is left of them decides what any model can know."""
MAJORITY = (FACTORIAL[:, :3].sum(axis=1) > 0).astype(int)
PLANTED = Data(FACTORIAL, MAJORITY, FACTORIAL, MAJORITY)
LINEAR = mlp([np.zeros((2, 6))], [np.zeros(2)])
THIRDS = [k / 6 for k in range(7)]


def quick(graph, x, y, seed):
    return train(graph, x, y, optimizer=Sgd(0.5, 0.0), epochs=80, schedule="constant", seed=seed)


def ranking(*order):
    """A map whose descending order is this one, for all samples."""
    a = np.zeros(6)
    a[list(order)] = np.arange(6, 0, -1)
    both = np.broadcast_to(a, (64, 6))
    return both, both


def test_accuracy_drops_where_theory_says():
    """Majority of three: with one hidden 3/4 can be known (a pair that agrees decides; else it is even), with two 3/4 (the third is in the
    majority 3 times of 4), with three nothing. The other three tell nothing. All exact: every cell of the factorial is balanced."""
    done = retrain(LINEAR, PLANTED, {"oracle": ranking(0, 1, 2, 3, 4, 5), "worst": ranking(3, 4, 5, 0, 1, 2)}, THIRDS, repeats=2, trainer=quick)
    assert done.curves["oracle"].tolist() == [1, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5]
    assert done.curves["worst"].tolist() == [1, 1, 1, 1, 0.75, 0.75, 0.5]
    assert done.ranking == ("oracle", "worst")
    assert done.accuracies["oracle"].shape == (7, 2)
    assert "oracle" in str(done)


def test_keeping_is_the_complement():
    done = retrain(LINEAR, PLANTED, {"oracle": ranking(0, 1, 2, 3, 4, 5), "worst": ranking(3, 4, 5, 0, 1, 2)}, THIRDS, keep=True, trainer=quick)
    assert done.curves["oracle"].tolist() == [0.5, 0.75, 0.75, 1, 1, 1, 1]
    assert done.curves["worst"].tolist() == [0.5, 0.5, 0.5, 0.5, 0.75, 0.75, 1]
    assert done.ranking == ("oracle", "worst")


def test_a_method_finds_the_planted_features():
    """The gradient of a trained model ranks as the oracle does, up to order among the three; nothing removed is the model as it was."""
    model = quick(fresh(LINEAR, 0), FACTORIAL, MAJORITY, 0)
    s = subject(model, FACTORIAL[:2], "saliency", MAJORITY[:2].tolist())
    found = roar(s, PLANTED, shares=THIRDS, trainer=quick)
    assert found.extras["retrained"].curves["saliency"].tolist() == [1, 0.75, 0.75, 0.5, 0.5, 0.5, 0.5]
    assert len(set(found.values)) == 1
    e = xc.evaluate(model, FACTORIAL[:2], ["saliency", "control.random"], "roar", MAJORITY[:2].tolist(), data=PLANTED, shares=THIRDS, trainer=quick)
    assert e.mean("saliency", "roar") == found.values[0] < e.mean("control.random", "roar")
    assert "Data" in e.to_json()
    assert kar(s, PLANTED, shares=[0.0, 0.5, 1.0], trainer=quick).values[0] == pytest.approx((0.5 + 1) / 4 + (1 + 1) / 4)


def test_one_factor_of_two():
    """E79: y = 2 x1 on the 2 x 2 factorial. Least squares without x1 explains nothing, without x2 everything: R² 0 and 1."""
    x = np.array([[-1.0, -1], [-1, 1], [1, -1], [1, 1]])
    y = 2 * x[:, :1]
    for gone, r2 in ((0, 0.0), (1, 1.0)):
        there = np.where(np.arange(2) == gone, 0, x)
        model = train(fresh(mlp([np.zeros((1, 2))], [np.zeros(1)]), 1), there, y, optimizer=Sgd(0.2, 0.0), epochs=200, loss="squared", schedule="constant")
        assert 1 - ((model(there) - y) ** 2).sum() / (y**2).sum() == pytest.approx(r2, abs=1e-12)


# ----- the trainer ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("net", [feature_net, picture_net], ids=["dense", "conv"])
@pytest.mark.parametrize("loss", ["cross_entropy", "squared"])
def test_gradients_of_weights(net, loss):
    """Against central differences of the loss written out, for Dense and Conv weights and biases."""
    g, rng = net(), np.random.default_rng(0)
    (name, spec), = g.inputs.items()
    x = rng.normal(size=(4, *spec.shape[1:]))
    y = np.array([0, 2, 1, 1]) if loss == "cross_entropy" else rng.normal(size=(4, 3))

    def written(params):
        from dataclasses import replace

        z = replace(g, params=params)(x)
        if loss == "squared":
            return ((z - y) ** 2).sum() / 8
        return float(np.mean([np.log(np.exp(row).sum()) - row[k] for row, k in zip(z, y)]))

    amount, grads = loss_and_gradients(g, {name: x}, y, loss)
    assert amount == pytest.approx(written(g.params), rel=1e-12)
    for k, w in g.params.items():
        for at in list(np.ndindex(w.shape))[:6]:
            up, down = w.copy(), w.copy()
            up[at] += 1e-6
            down[at] -= 1e-6
            slope = (written({**g.params, k: up}) - written({**g.params, k: down})) / 2e-6
            assert grads[k][at] == pytest.approx(slope, rel=1e-5, abs=1e-8)   # central differences: h² and rounding / h


def test_steps_by_hand():
    """Two steps of each optimiser on one weight, with Python numbers."""
    g, x, y = mlp([[[1.0]]], [None]), np.array([[1.0]]), np.array([[0.0]])        # loss w²/2, gradient w
    w, v = 1.0, 0.0
    for _ in range(2):
        v = 0.9 * v + w
        w -= 0.1 * v
    done = train(g, x, y, optimizer=Sgd(0.1, 0.9), epochs=2, loss="squared", schedule="constant")
    assert done.params["w1"][0, 0] == pytest.approx(w, rel=1e-14)
    w, m, s = 1.0, 0.0, 0.0
    for t in (1, 2):
        m, s = 0.9 * m + 0.1 * w, 0.999 * s + 0.001 * w * w
        w -= 0.1 * ((m / (1 - 0.9**t)) / ((s / (1 - 0.999**t)) ** 0.5 + 1e-8) + 0.01 * w)
    done = train(g, x, y, optimizer=Adam(0.1, 0.01), epochs=2, loss="squared", schedule="constant")
    assert done.params["w1"][0, 0] == pytest.approx(w, rel=1e-14)
    assert g.params["w1"][0, 0] == 1


def test_it_learns_and_repeats():
    """Exclusive or needs a hidden layer; the same seed gives the same bits, another one others; a head of softmax changes nothing."""
    x = np.array([[0.0, 0], [0, 1], [1, 0], [1, 1]])
    y = np.array([0, 1, 1, 0])
    net = fresh(mlp([np.zeros((12, 2)), np.zeros((2, 12))], [np.zeros(12), np.zeros(2)]), 3)
    one, two, three = (train(net, x, y, optimizer=Adam(0.05), epochs=120, batch=2, seed=s) for s in (0, 0, 1))
    assert accuracy(one, x, y) == 1
    assert all((one.params[k] == two.params[k]).all() for k in one.params)
    assert any((one.params[k] != three.params[k]).any() for k in one.params)
    from xaicore.graph.passes import extend
    from xaicore.ops import Softmax

    headed, _ = extend(net, lambda b: b.add(Softmax(), net.outputs[0]))
    _, plain = loss_and_gradients(net, {"x": x}, y)
    _, behind = loss_and_gradients(headed, {"x": x}, y)
    assert all((plain[k] == behind[k]).all() for k in plain)


@pytest.mark.parametrize(("call", "error", "words"), [
    (lambda: train(LINEAR, FACTORIAL, MAJORITY[:3]), ShapeError, "64 inputs and 3 targets"),
    (lambda: train(LINEAR, FACTORIAL, MAJORITY / 2), InputError, "class numbers"),
    (lambda: train(LINEAR, FACTORIAL, MAJORITY, loss="hinge"), UnknownName, "cross_entropy"),
    (lambda: train(LINEAR, FACTORIAL, FACTORIAL, loss="squared"), ShapeError, "squared loss"),
    (lambda: train(LINEAR.astype("exact"), FACTORIAL, MAJORITY), Inapplicable, "rational"),
    (lambda: train(LINEAR, FACTORIAL, MAJORITY, batch=0), InputError, "batch"),
    (lambda: retrain(LINEAR, PLANTED, {"a": FACTORIAL}), InputError, "pair"),
    (lambda: retrain(LINEAR, PLANTED, {"a": (FACTORIAL, FACTORIAL[:3])}), ShapeError, "'a'"),
    (lambda: retrain(LINEAR, PLANTED, {"a": ranking(0, 1, 2, 3, 4, 5)}, shares=[0.5]), InputError, "shares"),
    (lambda: retrain(LINEAR, PLANTED, {"a": ranking(0, 1, 2, 3, 4, 5)}, shares=[0.5, 0.1]), InputError, "rising"),
], ids=range(10))
def test_mistakes_are_named(call, error, words):
    with pytest.raises(error, match=words):
        call()


@pytest.mark.thorough
def test_digits_with_planted_corners():
    """On real digits whose class is written into the corners, the oracle is first and random is behind it; without the corners: chance."""
    from benchmarks.roar_digits import corners, data, fit, network

    d = data(planted=True)
    rng = np.random.default_rng(0)
    maps = {"oracle": tuple(np.broadcast_to(corners(), x.shape) for x in (d.x, d.x_test)), "random": tuple(rng.random(x.shape) for x in (d.x, d.x_test))}
    done = retrain(network(), d, maps, (0.0, 0.0625, 0.5), trainer=fit)
    assert done.ranking == ("oracle", "random")
    assert done.curves["oracle"][0] > 0.99
    assert done.curves["oracle"][1] < 0.15                              # 450 test images: chance .1 and three deviations of .014
    assert done.curves["random"][1] > 0.5


def test_a_mask_tells_the_class():
    """Maps that point to x5 for class 0 and x6 for class 1: all that decides is gone, and yet the model reads the class off the holes.
    With one mask for all, the mean of |map|, nothing leaks: chance."""
    a = np.zeros((64, 6))
    a[:, :3] = 3
    a[np.arange(64), 4 + MAJORITY] = 2
    net = mlp([np.zeros((16, 6)), np.zeros((2, 16))], [np.zeros(16), np.zeros(2)])

    def fit(graph, x, y, seed):
        return train(graph, x, y, optimizer=Adam(0.03), epochs=60, batch=64, seed=seed, schedule="constant")

    curves = [retrain(net, PLANTED, {"leak": (a, a)}, [0.0, 4 / 6], trainer=fit, per=per).curves["leak"].tolist() for per in ("image", "set")]
    assert curves == [[1, 1], [1, 0.5]]
