"""LinearSHAP and MaxSHAP: worked numbers, against exact Shapley values of every entry, and functions of another form."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.games import linear, maxima
from tests.nets import NET_B, close
from tests.oracle.planted import cnn, image
from xaicore import Builder
from xaicore.errors import Inapplicable
from xaicore.methods.closed import shares_of_a_maximum
from xaicore.ops import Add, Dense, Maximum, ReduceMax, ReduceMin, ReLU, Slice
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins import games as twins


@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_linear_functions(seed):
    rng = np.random.default_rng(seed)
    graph, x, sets = linear(rng, "exact"), *(np.vectorize(F, otypes=[object])(numbers(rng, (k, 2, 3, 3))) for k in (2, 3))
    mask = np.arange(18).reshape(2, 3, 3) % 6
    for own in ({"baseline": sets[0]}, {"background": sets}):
        a = xc.explain(graph, x, "linear_shap", target=1, **own)
        assert a.gap().tolist() == [0, 0]
        b = xc.explain(graph, x, "shapley.exact", target=1, mask=mask, **own).extras["players"]
        assert (np.stack([np.asarray(a)[:, mask == k].sum(axis=1) for k in range(6)], axis=1) == b).all()


@given(values=st.lists(st.tuples(st.integers(-4, 4), st.integers(-4, 4)), min_size=1, max_size=5), fixed=st.lists(st.integers(-4, 4), max_size=1))
def test_shares_of_a_maximum(values, fixed):
    """Whole numbers, so ties of every kind; against the mean over all orders."""
    a, r = ([F(v[k]) for v in values] for k in (0, 1))

    def v(who):
        return max([a[i] if i in who else r[i] for i in range(len(a))] + fixed)

    assert shares_of_a_maximum(a, r, [F(f) for f in fixed]) == twins.shapley_by_orders(v, len(a))


@settings(max_examples=4)
@given(seed=st.integers(0, 2**32 - 1))
def test_maxima_against_all_coalitions(seed):
    """A max-pool over scaled, rectified entries, mixed linearly: 2^9 coalitions of the entries of one channel."""
    rng = np.random.default_rng(seed)
    graph = maxima(rng, "exact")
    x, x0 = (np.vectorize(F, otypes=[object])(numbers(rng, s)) for s in ((1, 2, 3, 3), (2, 3, 3)))
    a = xc.explain(graph, x, "max_shap", target=2, baseline=x0)
    assert a.gap()[0] == 0
    only = x0.copy()
    only[0] = x[0, 0]                                                   # channel 1 is as in the baseline: its entries are worth nothing
    one = xc.explain(graph, only[None], "max_shap", target=2, baseline=x0)
    mask = np.where(np.arange(2)[:, None, None] == 0, np.arange(9).reshape(3, 3), 9)
    b = xc.explain(graph, only[None], "shapley.exact", target=2, baseline=x0, mask=mask).extras["players"][0]
    assert list(np.asarray(one)[0, 0].reshape(-1)) == list(b[:9])
    assert not np.asarray(one)[0, 1].any()


def test_minima_and_other_forms():
    b = Builder(dtype="exact")
    x = b.input("x", (None, 4))
    low, high = b.add(ReduceMin((1,), keepdims=True), x), b.add(ReduceMax((1,), keepdims=True), b.add(Slice(1, 0, 2), x))
    pair = b.add(Maximum(), *(b.add(Slice(1, k, k + 1), x) for k in (2, 3)))
    graph = b.build(b.add(Add(), b.add(Add(), low, high), pair))
    point, x0 = [[3, 1, -2, 5]], [0, 2, 1, 4]
    assert (np.asarray(xc.explain(graph, point, "max_shap", baseline=x0)) == np.asarray(xc.explain(graph, point, "shapley.exact", baseline=x0))).all()


def test_functions_of_another_form():
    with pytest.raises(Inapplicable, match=r"node 'relu1' \(ReLU\(\)\) is not affine in the inputs; use kernel_shap"):
        xc.explain(NET_B, [[2, 1]], "linear_shap")
    with pytest.raises(Inapplicable, match="node 'conv1' .* stands before the maximum and mixes entries"):
        xc.explain(cnn(), image(1), "max_shap", target=0)
    b = Builder()
    rectified = b.build(b.add(ReLU(), b.input("x", (None, 1))))
    with pytest.raises(Inapplicable, match="there is none between the input and the explained value"):
        xc.explain(rectified, [[2.0]], "max_shap")
    b = Builder()
    x = b.input("x", (None, 2))
    top = b.add(ReduceMax((1,), keepdims=True), x)
    beside = b.build(b.add(Add(), top, x, name="sum"))
    with pytest.raises(Inapplicable, match="node 'sum' .* reads an input beside the maximum"):
        xc.explain(beside, [[1.0, 2.0]], "max_shap", target=0)
    c = Builder()
    y = c.add(ReLU(), c.add(ReduceMax((1,), keepdims=True), c.input("x", (None, 2))), name="bent")
    with pytest.raises(Inapplicable, match="node 'bent' .* stands behind the maximum and is not affine"):
        xc.explain(c.build(c.add(Dense(), y, c.param("w", [[1.0]]))), [[1.0, 2.0]], "max_shap")


def test_a_real_layer_of_pooling():
    """From the activations before a pool on: the pool of the planted network is followed by a ReLU, so only up to there."""
    graph, x = cnn(), image(1)
    a = xc.explain(graph, x, "max_shap", target=lambda b, y: b.add(ReduceMax((1,)), y), layer="logits")
    assert close(a.total(), a.output - a.baseline_output, 1e-12)
