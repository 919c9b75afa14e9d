"""Where a rule stands on an edge, relevance that arrives there given by hand: what no network hands down, and no vector can show."""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc
from xaicore.errors import ShapeError
from xaicore.graph.build import Builder
from xaicore.ops import BatchNorm, Conv, Dense, MatMul, Mul, PReLU, ReLU
from xaicore.rules.attention import stop
from xaicore.rules.deeplift import merged, slope
from xaicore.rules.example import neuron
from xaicore.rules.lrp import flat, gamma, z_box
from xaicore.rules.ruleset import Pair
from xaicore.trace import forward

X, W = [1, -2, 3], [1, -0.5, -0.25]                                     # contributions 1, 1, -3/4


def test_gamma_absorbs_at_zero():
    """z = 1 + 1 - 3/4 - 5/4 = 0 is of neither sign."""
    assert neuron(gamma(0.25), X, W, -1.25) == [0, 0, 0]


def test_flat_is_stabilised():
    assert neuron(flat(1), X, W, 0.5, r=8) == [2, 2, 2]


def test_one_multiplier_of_a_pair():
    """m+ where Δ > 0, m- where Δ < 0, their mean at 0."""
    m = Pair(np.array([[8.0, 8.0, 8.0]]), np.array([[2.0, 2.0, 2.0]]))
    assert merged(m, np.array([[0.5, -0.5, 0.0]])).tolist() == [[8, 2, 5]]


def test_a_tiny_difference_of_a_node_with_a_parameter():
    """PReLU below 0 has its slope, 1/4, as derivative."""
    b = Builder()
    y = b.add(PReLU(), b.input("x", (None, 1)), b.param("slope", [0.25]))
    graph = b.build(y)
    trace, other = (forward(graph, {"x": np.array([[v]])}) for v in (-1.0, -1.5))
    step = trace.step(trace.graph.nodes[0])
    step = step._replace(ref=other.step(other.graph.nodes[0]))
    assert slope(step, np.array([[0.5]]), np.array([[0.125]]), 1, "input").tolist() == [[0.25]]


# ----- bounds of the input ------------------------------------------------------------------------------------------


def pixels(shape=(2, 3, 5)):
    """A convolution of kernel 1 on x (1, C, H, W), with no two axes alike, and its relevance."""
    b = Builder()
    rng = np.random.default_rng(0)
    graph = b.build(b.add(Conv(), b.input("x", (None, *shape)), b.param("w", rng.normal(size=(1, shape[0], 1, 1)))))
    return forward(graph, {"x": rng.uniform(size=(1, *shape))}).step(graph.nodes[0]), rng.normal(size=(1, 1, *shape[1:]))


def test_bounds_for_each_channel():
    """Σ_c (x_c - l_c) w_c⁺ + (x_c - h_c) w_c⁻ at each pixel, shared in proportion."""
    step, r = pixels()
    low, high = np.array([-1.0, -3.0]), np.array([2.0, 4.0])
    (found, _) = z_box(low[:, None, None], high[:, None, None])(step, r)
    x, w = step.xs[0][0], step.xs[1][0, :, 0, 0]
    for i, j in np.ndindex(x.shape[1:]):
        terms = [(x[c, i, j] - low[c]) * max(w[c], 0) + (x[c, i, j] - high[c]) * min(w[c], 0) for c in range(2)]
        for c in range(2):
            assert found[0, c, i, j] == pytest.approx(terms[c] / sum(terms) * r[0, 0, i, j], rel=1e-12)


@pytest.mark.parametrize("shape", [(2, 3, 5), (1, 2, 3, 5), (5,), (1, 1, 5), (3, 1)])
def test_bounds_that_fit(shape):
    step, r = pixels()
    found = z_box(np.zeros(shape), np.ones(shape))(step, r)[0]
    assert found.tolist() == z_box(0.0, 1.0)(step, r)[0].tolist()


@pytest.mark.parametrize("shape", [(1, 1, 2, 3, 5), (2,), (3, 1, 1), (5, 1), (2, 3, 1, 1)])
def test_bounds_that_do_not_fit(shape):
    step, r = pixels()
    with pytest.raises(ShapeError, match="does not fit the input of shape"):
        z_box(np.zeros(shape), np.ones(shape))(step, r)


def test_beyond_the_box_the_terms_keep_their_signs():
    """x = (-2, 0) with w = (1, -1) in [-1, 1]: terms -1 and 1, a sum of 0, which eps = 1 stabilises to +1."""
    assert neuron(z_box(-1, 1, eps=1), [-2, 0], [1, -1]) == [-1, 1]


# ----- what takes no part -------------------------------------------------------------------------------------------


def test_a_stop_gives_nothing_to_what_is_active_alone():
    b = Builder()
    graph = b.build(b.add(MatMul(), b.input("x", (None, 2)), b.param("w", np.eye(2))))
    step = forward(graph, {"x": np.array([[1.0, 2.0]])}).step(graph.nodes[0])
    parts = stop(step, np.array([[3.0, 4.0]]))
    assert parts[0].tolist() == [[0, 0]]
    assert parts[1] is None


def test_a_product_without_a_gate_is_walked_through_either_factor():
    """y = relu(x) relu(2 x): each factor is taken with probability 1/2, and both lead to x."""
    b = Builder()
    x = b.input("x", (None, 1))
    one, two = b.add(ReLU(), x, name="one"), b.add(ReLU(), b.add(Dense(), x, b.param("w", [[2.0]])), name="two")
    graph = b.build(b.add(Mul(), one, two))
    a = xc.explain(graph, np.array([[3.0]]), "excitation_backprop", target=0, keep=["one", "two"])
    assert [np.asarray(a.layers[k]).tolist() for k in ("one", "two")] == [[[0.5]], [[0.5]]]


def test_excitation_folds_a_batchnorm_whose_scale_turns_the_signs():
    """w = (1, -2) with scale -1: the second input excites, the first does not."""
    b = Builder()
    stats = [b.param(k, [v]) for k, v in zip("gbmv", (-1.0, 0.0, 0.0, 1.0))]
    graph = b.build(b.add(BatchNorm(eps=0.0), b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, -2.0]])), *stats))
    assert np.asarray(xc.explain(graph, np.array([[1.0, 1.0]]), "excitation_backprop", target=0)).tolist() == [[0, 1]]
