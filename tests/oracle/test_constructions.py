"""What the axioms are made of: graphs that are the functions that they say, neurons without a denominator, tolerances."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import mlp
from tests.oracle.planted import CHEAP, check_one
from tests.rules.test_lrp import layer
from xaicore import Builder
from xaicore.graph.run import evaluate
from xaicore.ops import Add, Dense, MaxPool
from xaicore.oracle import constructions as made
from xaicore.oracle.conservation import without_denominator
from xaicore.oracle.strategies import cnns, inputs_of, numbers
from xaicore.oracle.tolerance import SAFETY, largest, tolerance
from xaicore.oracle.twins import rules as twins
from xaicore.rules import lrp

# ----- constructions are the functions that they say ------------------------------------------------------------------


@given(data=st.data())
def test_constructions(data):
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph, batch=(2, 2)))
    y = graph(x)
    rng = np.random.default_rng(0)

    mask = (np.arange(32) % 3 != 0).reshape(2, 4, 4)
    assert (made.masked(graph, "x", made.numbers(mask.astype(int), x))(x) == graph(x * mask)).all()

    wide, extra = made.masked_beside(graph, "x", made.numbers(mask.astype(int), x), x)
    for _ in range(3):
        u = numbers(rng, x.shape)                                       # odd multiples of 1/256: x + u - u is x
        assert (wide({"x": x, extra: u}) == graph(x * mask)).all()

    axis = made.mirror_axis(graph, "x", x)
    both = made.mirrored(graph, "logits", "x", axis)
    assert (both(x) == y + graph(np.flip(x, axis))).all()

    other, again = made.rewritten(graph, "x", x, np.asarray(1.25))
    for z in (x, numbers(rng, x.shape), x * 0):
        inner = evaluate(other, {"x": z}, keep=[again])[again]
        assert (inner == z).all()                                       # z and 1.25 are multiples of 1/256
        assert (other(z) == graph(z)).all()


@given(x=st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4), z=st.lists(st.floats(-1e6, 1e6), min_size=4, max_size=4))
def test_nothing_is_exactly_nothing(x, z):
    """p - q is 0 for any numbers, bit for bit, and so is its gradient."""
    b = Builder()
    graph = b.build(made.nothing(b, b.input("x", (None, 4)), np.array([x])))
    at = np.array([z, x])
    assert not graph(at).any()
    assert not np.asarray(xc.explain(graph, at, "gradient", target=np.ones(4))).any()


def test_names_that_are_taken():
    b = Builder()
    x, u = b.input("unread", (None, 2)), b.input("around", (None, 2))
    graph = b.build(b.add(Dense(), b.add(Add(), x, u, name="around/mask"), b.param("around2", [[1.0, 2.0], [0.5, 1.0]]), name="unread2"))
    assert made.free_name(graph, "unread") == "unread3"
    report = xc.check(graph, {"unread": [[1.0, 2.0]], "around": [[3.0, -1.0]]}, CHEAP, target=0)
    assert not report.broken
    assert sum(v.status == "holds" for v in report) > 40


@pytest.mark.parametrize("kind", ["dense", "conv", "grouped"])
@pytest.mark.parametrize("seed", range(3))
def test_empty_denominators_by_loops(kind, seed):
    """Against the layer's matrix: z+ where no contribution is positive, alpha-beta where one sign is missing, and so on."""
    step, _ = layer(kind, seed, True)
    step.xs[0].reshape(-1)[::2] = 0                                     # some neurons lose all of their inputs
    x, w, _ = twins.as_matrix(step)
    parts = [[a * b for a, b in zip(x, row)] for row in w]
    expected = {
        lrp.epsilon(0, "ignore"): [sum(p) == 0 for p in parts],
        lrp.z_plus(0, "ignore"): [not any(v > 0 for v in p) for p in parts],
        lrp.alpha_beta(1, 0, "ignore"): [not any(v > 0 for v in p) for p in parts],
        lrp.alpha_beta(2, 0, "ignore"): [not any(v > 0 for v in p) or not any(v < 0 for v in p) for p in parts],
        lrp.w_square(): [not any(row) for row in w],
        lrp.flat(): [not any(row) for row in w],
        lrp.z_box(0, 1): [all((a - 0) * max(b, 0) + (a - 1) * min(b, 0) == 0 for a, b in zip(x, row)) for row in w],
    }
    for rule, mask in expected.items():
        found = without_denominator(step, rule, {"low": 0, "high": 1})
        assert found[0].reshape(-1).tolist() == mask, rule.label


def test_empty_denominators_of_a_pool():
    b = Builder()
    graph = b.build(b.add(MaxPool((2,)), b.input("x", (None, 1, 4))))
    a = xc.explain(graph, [[[1.0, -1.0, 2.0, 1.0]]], "lrp.zero", target=np.ones((1, 2)), pool="proportional")
    assert a.ledger.absorbed[0] == 1                                    # the window that sums to 0 keeps its 1
    found = check_one("conservation", "lrp.zero", graph, [[[1.0, -1.0, 2.0, 1.0]]], np.ones((1, 2)), pool="proportional")
    assert found.status == "does not apply"
    assert check_one("conservation", "lrp.zero", graph, [[[1.0, -1.0, 2.0, 1.0]]], np.ones((1, 2))).status == "holds"


# ----- tolerance ----------------------------------------------------------------------------------------------------


def test_tolerance_is_rounding_times_depth_times_size():
    graph = mlp([[[1.0, 1.0]], [[1.0]]], [None, None])
    assert tolerance(graph, np.array([[3.0, -4.0], [1.0, 1.0]])) == SAFETY * 2.0**-52 * 3 * 7
    assert tolerance(graph.astype("float32"), np.array([2.0])) == SAFETY * 2.0**-23 * 3 * 2
    assert tolerance(graph.astype("exact"), np.array([1e9])) == 0


def test_largest():
    assert largest(np.array([1.0, -3.0])) == 3
    assert largest(np.array([1.0, np.nan])) == largest(np.array([np.nan, 1.0])) == np.inf
    assert largest(np.array([F(1, 10**400), F(0)])) > 0
    assert largest(np.array([F(0)])) == 0
    assert largest(np.zeros(0)) == 0
