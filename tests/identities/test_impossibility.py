"""Known impossibility and sanity results (catalogue N1 to N12, N16, N17) as executable facts: what methods do not do.

A library that "passes" one of these has a bug, or its method is not the one that its name says.
"""

from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.identities.networks import values
from tests.nets import NET_A, NET_B, X_A, X_B, close, mlp
from xaicore import Builder
from xaicore.graph.passes import shift_first_bias
from xaicore.ops import Add, Conv, Dense, Flatten, MaxPool, Mul, Neg, ReLU, Sub
from xaicore.rules.gradient import gradient
from xaicore.trace import backward, forward


def cosine(a, b):
    a, b = a.reshape(-1), b.reshape(-1)
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def test_n1_gradients_break_sensitivity():
    """N1 (S01): f = 1 - relu(1 - x) changes from 0 to 1 between 0 and 2, and its gradient at 2 is 0. Integrated gradients give 1."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 1))
    g = b.build(b.add(Sub(), b.constant(1), b.add(ReLU(), b.add(Sub(), b.constant(1), x))))
    assert values(g, [[2]], "gradient")[0, 0] == 0
    assert values(g, [[2]], "integrated_gradients.exact")[0, 0] == 1
    assert values(g, [[2]], "deeplift.rescale")[0, 0] == 1


def rectified_difference():
    """relu(relu(x1) - 1 - relu(x2))."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 2))
    h = b.add(ReLU(), x)
    z = b.add(Dense(), h, b.param("w", [[1, -1]]), b.param("b", [-1]))
    return b.build(b.add(ReLU(), z))


def test_n2_rectified_backward_passes_break_sensitivity():
    """N2 (S06): relu(relu(x1) - 1 - relu(x2)) depends on x2, and both give it 0."""
    g = rectified_difference()
    assert list(values(g, [[3, 1]], "gradient")[0]) == [1, -1]
    assert list(values(g, [[3, 1]], "guided_backprop")[0]) == [1, 0]
    assert list(values(g, [[3, 1]], "deconvnet")[0]) == [1, 0]


def two_implementations():
    """The pair of the integrated-gradients paper: f = relu(relu(x1) - 1 - relu(x2)), g = relu(relu(x1 - 1) - relu(x2))."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 2))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("v", [[1, 0], [0, 1]]), b.param("c", [-1, 0]), name="first"))
    other = b.build(b.add(ReLU(), b.add(Dense(), h, b.param("w", [[1, -1]]), name="second")))
    return rectified_difference(), other


def test_n3_implementation_invariance():
    """N3 (S02, S03, S04, S05): Two networks that are the same function: integrated gradients agree, DeepLIFT and conserving LRP do not."""
    f, g = two_implementations()
    grid = [[F(i, 4), F(j, 4)] for i in range(-8, 17, 3) for j in range(-8, 17, 3)]
    assert (f(grid) == g(grid)).all()
    x = [[3, 1]]
    assert list(values(f, x, "integrated_gradients.exact")[0]) == list(values(g, x, "integrated_gradients.exact")[0]) == [F(3, 2), F(-1, 2)]
    by_rescale = [list(values(one, x, "deeplift.rescale")[0]) for one in (f, g)]
    by_lrp = [list(values(one, x, "lrp.zero", bias="ignore")[0]) for one in (f, g)]
    assert by_rescale == [[F(3, 2), F(-1, 2)], [2, -1]]
    assert by_lrp[0] != by_lrp[1]


def test_n4_bias_policies_trade_off():
    """N4 (E24, E25, E26, S05): Bias absorbed: the same for both implementations, not complete. Ignored: complete, and not the same."""
    f, g = two_implementations()
    x = [[3, 1]]
    absorbed = [xc.explain(one, x, "lrp.zero") for one in (f, g)]
    ignored = [xc.explain(one, x, "lrp.zero", bias="ignore") for one in (f, g)]
    assert list(np.asarray(absorbed[0])[0]) == list(np.asarray(absorbed[1])[0])
    assert all(a.gap()[0] != 0 for a in absorbed)
    assert [a.gap()[0] for a in ignored] == [0, 0]
    assert list(np.asarray(ignored[0])[0]) != list(np.asarray(ignored[1])[0])
    assert xc.explain(NET_B, X_B, "lrp.zero").gap()[0] == pytest.approx(-1)
    assert xc.explain(NET_B, X_B, "lrp.zero", bias="ignore").gap()[0] == pytest.approx(0, abs=1e-12)


def test_n5_input_shift():
    """N5 (I48, S07, S08): f2(x + m) = f(x): the gradient does not notice; gradient * input and zero-baseline integrated gradients do."""
    m = np.array([1.0, -2.0])
    moved = shift_first_bias(NET_B, {"x": m})
    x = X_B + m
    assert close(moved(x), NET_B(X_B))
    assert close(values(moved, x, "gradient"), values(NET_B, X_B, "gradient"))
    assert not close(values(moved, x, "gradient_x_input"), values(NET_B, X_B, "gradient_x_input"), 1e-3)
    assert not close(values(moved, x, "integrated_gradients.exact"), values(NET_B, X_B, "integrated_gradients.exact"), 1e-3)
    assert close(values(moved, x, "integrated_gradients.exact", baseline=m), values(NET_B, X_B, "integrated_gradients.exact"))


def random_layer(seed=0, inputs=30, hidden=4000):
    rng = np.random.default_rng(seed)
    w, v = rng.normal(size=(hidden, inputs)), rng.normal(size=(2, hidden)) / np.sqrt(hidden)
    return mlp([w, v], [None, None]), rng.normal(size=(1, inputs)), w


def test_n6_guided_backprop_recovers_the_input():
    """N6 (S09): Random weights, 4000 hidden units: guided backpropagation points along the input, the gradient is noise (|cos| < 0.5)."""
    g, x, _ = random_layer()
    assert cosine(values(g, x, "guided_backprop"), x) > 0.95
    assert abs(cosine(values(g, x, "gradient"), x)) < 0.5


def test_n7_guided_backprop_ignores_random_output_weights():
    """N7 (S10, S17): Other output weights leave guided backpropagation as it is; the gradient changes."""
    g, x, w = random_layer()
    rng = np.random.default_rng(9)
    other = mlp([w, rng.normal(size=(2, len(w))) / np.sqrt(len(w))], [None, None])
    assert cosine(values(g, x, "guided_backprop"), values(other, x, "guided_backprop")) > 0.9
    assert cosine(values(g, x, "gradient"), values(other, x, "gradient")) < 0.5


def deep_random(seed=1, layers=8, width=40):
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(width, width)) / np.sqrt(width) for _ in range(layers)] + [rng.normal(size=(2, width))]
    return mlp(weights, [None] * len(weights)), abs(rng.normal(size=(1, width)))


def test_n8_z_plus_is_class_insensitive():
    """N8 (S11, S12): Products of nonnegative matrices converge to rank 1: the z+ maps of two classes align, those of LRP-0 do not."""
    rng = np.random.default_rng(2)
    product, ratios = np.eye(40), []
    for _ in range(8):
        product = np.maximum(rng.normal(size=(40, 40)), 0) @ product
        s = np.linalg.svd(product, compute_uv=False)
        ratios.append(s[1] / s[0])
    assert ratios[0] > 0.1
    assert ratios[-1] < 1e-4
    g, x = deep_random()
    assert cosine(values(g, x, "lrp.z_plus", target=0), values(g, x, "lrp.z_plus", target=1)) > 0.999
    assert cosine(values(g, x, "lrp.zero", target=0), values(g, x, "lrp.zero", target=1)) < 0.95


def test_n9_alpha_beta_needs_both_signs():
    """N9 (E12): alpha 2 beta 1 on NET A sums to 0 where f = 1: a neuron without negative part keeps that part."""
    assert xc.explain(NET_A.astype("exact"), [[3, 1]], "lrp.alpha_beta").total()[0] == 0
    assert NET_A(X_A)[0, 0] == 1


def test_n10_lrp_zero_is_unstable_near_zero():
    """N10 (S16): z = 1 - 0.999999: relevances beyond 1e5 for R = 1 at z, and below 11 with eps = 0.1."""
    g = mlp([[[1.0, -0.999999]]], [None])
    x = [[1.0, 1.0]]
    scale = float(g(x)[0, 0])
    assert abs(values(g, x, "lrp.zero") / scale).max() > 1e5
    assert abs(values(g, x, "lrp.epsilon", eps=0.1) / scale).max() < 11


def test_n11_a_complete_map_cannot_forget_the_biases():
    """N11 (I25): Σ x ∂f/∂x misses f by Σ b ∂f/∂b: on NET B 5 instead of 4. No map of the input alone, linear in x on each linear
    piece, can be complete there, since f(0) = b2 w2 of the piece is not 0; a map over inputs and biases is."""
    trace = forward(NET_B, {"x": X_B}, wrt=["x", "b1"])
    found = backward(trace, gradient().plan(NET_B, trace.wrt), {"fc2": np.ones((1, 1))}).values
    assert float((found["x"] * X_B).sum()) == 5
    assert float((found["x"] * X_B).sum() + (found["b1"] * NET_B.params["b1"]).sum()) == 4 == NET_B(X_B)[0, 0]


def test_n12_complete_maps_do_not_tell_the_slope():
    """N12 (S14): f = relu(x) and g = 2 relu(x - 1) have f(2) = g(2), the same complete map, and slopes 1 and 2 at 2: a decision about a
    small step away from 2 cannot be taken from the map."""
    b = Builder(dtype="exact")
    f = b.build(b.add(ReLU(), b.input("x", (None, 1))))
    b = Builder(dtype="exact")
    x = b.input("x", (None, 1))
    g = b.build(b.add(Mul(), b.constant(2), b.add(ReLU(), b.add(Sub(), x, b.constant(1)))))
    for method in ("integrated_gradients.exact", "deeplift.rescale"):
        assert values(f, [[2]], method)[0, 0] == values(g, [[2]], method)[0, 0] == 2
    assert (values(f, [[2]], "gradient")[0, 0], values(g, [[2]], "gradient")[0, 0]) == (1, 2)


def test_n16_probability_and_logit_are_different_questions():
    """N16: A function of x added to every logit changes the logit's gradient by its own and leaves the probability's."""
    rng = np.random.default_rng(3)
    b = Builder()
    x = b.input("x", (None, 3))
    z = b.add(Dense(), x, b.param("w", rng.normal(size=(4, 3))), name="z")
    common = b.add(ReLU(), b.add(Dense(), x, b.param("c", np.full((1, 3), 0.7)), name="c_in"), name="common")
    plain, shifted = b.build(z), b.build(b.add(Add(), z, common, name="shifted"))
    at = abs(rng.normal(size=(1, 3)))
    assert close(values(shifted, at, "gradient") - values(plain, at, "gradient"), np.full((1, 3), 0.7))
    for output in ("probability", "log_probability"):
        assert close(values(shifted, at, "gradient", output=output), values(plain, at, "gradient", output=output))


def test_n17_deconvnet_without_switches_is_input_independent():
    """N17 (S15): Without max-pooling two inputs have the same map; with it they do not."""
    rng = np.random.default_rng(4)

    def net(pool):
        b = Builder()
        h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 1, 6, 6)), b.param("w", rng.normal(size=(3, 1, 3, 3))), name="conv"))
        h = b.add(MaxPool((2, 2)), h) if pool else h
        size = 12 if pool else 48
        return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", rng.normal(size=(2, size))), name="fc"))

    one, two = rng.normal(size=(2, 1, 1, 6, 6))
    free, switched = net(False), net(True)
    assert (values(free, one, "deconvnet") == values(free, two, "deconvnet")).all()
    assert (values(switched, one, "deconvnet") != values(switched, two, "deconvnet")).any()


def test_negation_is_no_rectifier():
    """A guard for the constructions above: Neg is affine and passes any sign."""
    b = Builder()
    g = b.build(b.add(Neg(), b.input("x", (None, 1))))
    assert values(g, [[2.0]], "guided_backprop")[0, 0] == -1
