"""Where DeepLIFT's rules stand on an edge: asked of one step, multipliers and differences given by hand."""

from __future__ import annotations

from math import exp

import numpy as np
import pytest

from tests.nets import close
from xaicore import Builder
from xaicore.errors import Inapplicable
from xaicore.ops import Dense, Maximum, Minimum, PReLU, ReLU, Sigmoid, Softmax, Where
from xaicore.rules.deeplift import (
    _note_reveal,
    cross_max,
    linear_pair,
    rescale,
    reveal_cancel,
    same_rest,
    softmax_quotient,
    softmax_rescale,
)
from xaicore.rules.ruleset import Pair, Rule, sign_parts
from xaicore.trace import forward, with_notes

PASS = Rule("pass", lambda step, m: (None, m, m))


def step_of(op, feeds, base, dtype="float64", **params):
    b = Builder("net", dtype)
    names = [b.input(k, (None, *v.shape[1:]), "bool" if v.dtype == bool else "float") for k, v in feeds.items()]
    graph = b.build(b.add(op, *names, *(b.param(k, v) for k, v in params.items())))
    trace = forward(graph, feeds, base)
    return with_notes(trace, {graph.nodes[0].name: lambda step: None}, sign_parts).step(graph.nodes[0])


# ----- what carries no signal, and differs --------------------------------------------------------------------------


def choosing():
    """Three choices, of which the second is another on the baseline, with other values to choose from."""
    a, b = np.array([[1.0, 2.0, 3.0]]), np.array([[4.0, 5.0, 6.0]])
    feeds = {"cond": np.array([[True, False, True]]), "a": a, "b": b}
    return step_of(Where(), feeds, {**feeds, "cond": np.array([[True, True, True]])})


@pytest.mark.parametrize("m", [
    np.array([[0.0, 1.0, 0.0]]), np.array([[7.0, 7.0, 7.0]]),
    Pair(np.array([[0.0, 1.0, 0.0]]), np.array([[0.0, 0.0, 0.0]])), Pair(np.array([[0.0, 0.0, 0.0]]), np.array([[0.0, 1.0, 0.0]])),
    Pair(np.array([[0.0, 1.0, 0.0]]), np.array([[0.0, -1.0, 0.0]])),     # a sum of 0 is no absence: each goes its own way
], ids=["one", "all", "plus", "minus", "cancelling"])
def test_a_choice_that_moves_and_meets_a_signal_is_refused(m):
    with pytest.raises(Inapplicable, match="chooses otherwise on the baseline"):
        same_rest(PASS)(choosing(), m)


@pytest.mark.parametrize("m", [np.array([[5.0, 0.0, 5.0]]), Pair(np.array([[5.0, 0.0, 0.0]]), np.array([[0.0, 0.0, 5.0]]))], ids=["one", "pair"])
def test_a_choice_that_meets_no_signal_is_none(m):
    assert same_rest(PASS)(choosing(), m)[1] is m


# ----- quotients ----------------------------------------------------------------------------------------------------


def sigmoid(v):
    return 1 / (1 + exp(-v))


def test_single_precision_has_a_wider_threshold():
    """Δx = 2⁻²¹ is 5e-7: a quotient would have an error of 10 %, the derivative none. Δx = 1/2 is far above it."""
    x, x0 = np.array([[1.0, 1.0]], "float32"), np.array([[1.0 - 2**-21, 0.5]], "float32")
    (found,) = rescale()(step_of(Sigmoid(), {"x": x}, {"x": x0}, "float32"), np.ones((1, 2), "float32"))
    y, y0 = sigmoid(1), sigmoid(0.5)
    assert abs(found[0, 0] - y * (1 - y)) < 1e-6
    assert abs(found[0, 1] - (y - y0) / 0.5) < 1e-6
    assert abs((y - y0) / 0.5 - y * (1 - y)) > 1e-2


def test_rescale_takes_each_of_a_pair():
    step = step_of(ReLU(), {"x": np.array([[2.0, 1.0]])}, {"x": np.array([[-2.0, -3.0]])})       # Δy / Δx = 1/2 and 1/4
    found = rescale()(step, Pair(np.array([[8.0, 8.0]]), np.array([[-4.0, 12.0]])))[0]
    assert (found.plus.tolist(), found.minus.tolist()) == ([[4, 2]], [[-2, 3]])


def test_reveal_cancel_at_a_node_with_a_parameter():
    """PReLU of slope 1/4 from 1 by Δ+ = 2 and Δ- = 0: m+ = 1, and m- the mean of the slopes at 1 and at 3, which are 1."""
    b = Builder()
    graph = b.build(b.add(PReLU(), b.input("x", (None, 2)), b.param("slope", [0.25])))
    trace = forward(graph, {"x": np.array([[3.0, -3.0]])}, {"x": np.array([[1.0, -1.0]])})
    step = with_notes(trace, {graph.nodes[0].name: _note_reveal}, sign_parts).step(graph.nodes[0])
    found = reveal_cancel(step, np.ones((1, 2)))[0]
    assert (found.plus.tolist(), found.minus.tolist()) == ([[1, 0.25]], [[1, 0.25]])


# ----- maxima -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "m"), [(Maximum(), [0, 1]), (Minimum(), [1, 0])])
def test_extremes_in_two_steps(op, m):
    """a: 1 -> 3, b: 2 -> 10. The maximum goes 2 -> 10: all of 8 to b. The minimum goes 1 -> 3: all of 2 to a."""
    step = step_of(op, {"a": np.array([[3.0]]), "b": np.array([[10.0]])}, {"a": np.array([[1.0]]), "b": np.array([[2.0]])})
    assert [float(p[0, 0]) for p in cross_max(step, np.array([[1.0]]))] == m


@pytest.mark.parametrize(("op", "x", "x0", "m"), [
    # who wins on the input gets the step from the baseline's extreme to the farther of the two, who won on the baseline the rest
    (Maximum(), (5.0, 1.0), (0.0, 4.0), (1 / 5, 0)),                     # y: 4 -> 5, M = 5: 1 to a over Δa = 5; 0 to b
    (Maximum(), (2.0, 1.0), (0.0, 4.0), (0, 2 / 3)),                     # y: 4 -> 2, M = 4: 0 to a; -2 to b over Δb = -3
    (Minimum(), (-5.0, -1.0), (0.0, -4.0), (1 / 5, 0)),
    (Minimum(), (-2.0, -1.0), (0.0, -4.0), (0, 2 / 3)),
])
def test_extremes_whose_winner_changes(op, x, x0, m):
    feeds, base = ({k: np.array([[v]]) for k, v in zip("ab", values)} for values in (x, x0))
    step = step_of(op, feeds, base)
    found = [float(p[0, 0]) for p in cross_max(step, np.array([[3.0]]))]
    assert close(found, [3 * v for v in m], 1e-15, 1)
    assert close(sum(f * (v - v0) for f, v, v0 in zip(found, x, x0)), 3 * (step.y - step.ref.y)[0, 0], 1e-15, 1)


def test_what_is_no_maximum_is_refused():
    with pytest.raises(Inapplicable, match="is no maximum"):
        cross_max(step_of(ReLU(), {"x": np.ones((1, 1))}, {"x": np.zeros((1, 1))}), np.ones((1, 1)))


# ----- softmax as one node ------------------------------------------------------------------------------------------

SCORES = np.array([[1.0, -0.5, 2.0], [0.25, 0.0, -1.0]])
BASE = np.array([[0.5, -0.5, 1.0], [0.75, -0.5, -1.0]])                 # Δ = 1/2, 0, 1 and -1/2, 1/2, 0
M = np.array([[2.0, -1.0, 3.0], [1.0, 4.0, -2.0]])


def softmax(row):
    e = [exp(v - max(row)) for v in row]
    return [v / sum(e) for v in e]


@pytest.mark.parametrize(("fallback", "share"), [("input", 1.0), ("midpoint", 0.5), ("reference", 0.0)])
@pytest.mark.parametrize("threshold", [1e-10, 0.5])
def test_softmax_entry_by_entry(fallback, share, threshold):
    """m_i Δp_i / Δx_i; where |Δx| is at most the threshold the derivative p_i (m_i - Σ_k m_k p_k) at the point between the two."""
    step = step_of(Softmax(1), {"x": SCORES}, {"x": BASE})
    (found,) = softmax_rescale(threshold, fallback)(step, M)
    for n, (row, row0) in enumerate(zip(SCORES.tolist(), BASE.tolist())):
        p, p0, at = softmax(row), softmax(row0), softmax([share * v + (1 - share) * v0 for v, v0 in zip(row, row0)])
        mean = sum(m * q for m, q in zip(M[n], at))
        for i, (v, v0) in enumerate(zip(row, row0)):
            expected = at[i] * (M[n, i] - mean) if abs(v - v0) <= threshold else M[n, i] * (p[i] - p0[i]) / (v - v0)
            assert found[n, i] == pytest.approx(expected, rel=1e-12)


def test_softmax_as_a_quotient():
    """p = e / s: m' = m (1/s + 1/s0) / 2 + Σ_k m_k (e_k + e0_k) / 2 · (1/s - 1/s0) / (s - s0), then m' Δe / Δx; 0 where Δx = 0."""
    (found,) = softmax_quotient(step_of(Softmax(1), {"x": SCORES}, {"x": BASE}), M)
    for n, (row, row0) in enumerate(zip(SCORES.tolist(), BASE.tolist())):
        e, e0 = ([exp(v - max(r)) for v in r] for r in (row, row0))
        s, s0 = sum(e), sum(e0)
        common = sum(m * (a + a0) / 2 for m, a, a0 in zip(M[n], e, e0)) * (1 / s - 1 / s0) / (s - s0)
        for i, (v, v0) in enumerate(zip(row, row0)):
            expected = (M[n, i] * (1 / s + 1 / s0) / 2 + common) * (e[i] - e0[i]) / (v - v0) if v != v0 else 0
            assert found[n, i] == pytest.approx(expected, rel=1e-12)


def test_a_pair_through_weights_of_either_sign():
    """Δx = (2, -3, 0), w = (5, -7): up for Δx > 0 is m+ W+ + m- W-, for Δx < 0 m+ W- + m- W+, for 0 the mean."""
    w = [[5.0, 5.0, 5.0], [-7.0, -7.0, -7.0]]
    step = step_of(Dense(), {"x": np.array([[2.0, -3.0, 1.0]])}, {"x": np.array([[0.0, 0.0, 1.0]])}, w=w)
    (found, _) = linear_pair(step, Pair(np.array([[2.0, 3.0]]), np.array([[10.0, 20.0]])))
    assert found.tolist() == [[5 * 2 - 7 * 20, 5 * 10 - 7 * 3, (5 * 12 - 7 * 23) / 2]]
