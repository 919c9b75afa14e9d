"""The web of equalities between methods (catalogue W1 to W64), each with its exact preconditions, on random networks.

Exact arithmetic where the graph is piecewise linear: then there is no tolerance. Path and noise identities that need one
method alone stand with that method's tests; those between rules of one kind are in test_web_rules.py.
"""

from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import xaicore as xc
from tests.identities.networks import drawn, exact, same, values
from tests.nets import close, mlp
from xaicore import Builder
from xaicore.graph.passes import shift_first_bias
from xaicore.ops import Conv, Dense, Flatten, MaxPool, ReLU, Reshape, Sigmoid
from xaicore.oracle.strategies import SMOOTH, graphs, inputs_of, mlps, numbers
from xaicore.rules.gradient import gradient
from xaicore.rules.ruleset import total
from xaicore.trace import backward, forward

# ----- gradient, LRP-0, DeepLIFT ----------------------------------------------------------------------------------


@given(data=st.data())
def test_w1_lrp_zero_is_gradient_x_input(data):
    """W1 (E72, I20, I24): Piecewise-linear layers, bias kept in z, no z_j = 0 with relevance (leaky ones are linear on each side)."""
    graph, x = drawn(data, graphs())
    a = xc.explain(graph, x, "lrp.zero", target=0)
    trace = forward(a.layers.graph, a.feeds)
    assume(not any((trace[k] == 0)[a.layers[k] != 0].any() for k in a.layers))
    assert same(np.asarray(a), values(graph, x, "gradient_x_input"))


@given(data=st.data())
def test_w2_euler(data):
    """W2 (I23): Σ x ∂f/∂x = f without biases: f is homogeneous of degree 1 (Euler)."""
    graph, x = drawn(data, graphs("none"))
    a = xc.explain(graph, x, "gradient_x_input", target=0)
    assert a.total()[0] == a.output[0]


@given(data=st.data())
def test_w3_gradient_with_bias_gradients_is_complete(data):
    """W3 (I25): Σ x ∂f/∂x + Σ_layers b ∂f/∂b = f: the biases are explained values like the input."""
    graph, x = drawn(data, graphs("any"))
    biases = [k for k in graph.params if k.startswith("b") or k.endswith(".b")]
    trace = forward(graph, {"x": x}, wrt=["x", *biases])
    seed = trace["logits"] * 0
    seed[0, 0] = F(1)
    found = backward(trace, gradient().plan(graph, trace.wrt), {"logits": seed}).values
    assert sum((found[k] * trace[k]).sum() for k in found) == trace["logits"][0, 0]


@given(data=st.data())
def test_w4_rescale_with_zero_reference_is_gradient_x_input(data):
    """W4 (I21): Without biases every reference activation is 0, and Δy/Δx is the slope.

    Not where a leaky activation leaves a window of a max-pool all negative: what the window is below the reference's 0 belongs to the
    entry that wins on the reference, the first of equals.
    """
    graph, x = drawn(data, graphs("none"))
    trace = forward(graph, {"x": x})
    assume(all((trace[n.name] >= 0).all() for n in graph.nodes if isinstance(n.op, MaxPool)))
    assert same(values(graph, x, "deeplift.rescale"), values(graph, x, "gradient_x_input"))


@given(data=st.data())
def test_w5_integrated_gradients_of_a_homogeneous_function(data):
    """W5 (I22): The gradient is constant along the path from 0."""
    graph, x = drawn(data, mlps("none"))
    assert same(values(graph, x, "integrated_gradients.exact"), values(graph, x, "gradient_x_input"))


@given(data=st.data())
def test_w7_integrated_gradients_is_rescale_for_one_hidden_layer(data):
    """W7 (I26, I27): Any activation, one layer of them between affine maps, the same baseline."""
    graph = data.draw(mlps("any", activations=(*SMOOTH, ReLU()), hidden=(1, 1)))
    x, x0 = data.draw(inputs_of(graph)), None
    x0 = numbers(np.random.default_rng(len(x)), x.shape)
    if any(isinstance(n.op, ReLU) for n in graph.nodes):
        graph, x, x0 = graph.astype("exact"), exact(x), exact(x0)
        assert same(values(graph, x, "integrated_gradients.exact", baseline=x0), values(graph, x, "deeplift.rescale", baseline=x0))
    else:
        ours = values(graph, x, "integrated_gradients", baseline=x0, steps=40)
        assert close(ours, values(graph, x, "deeplift.rescale", baseline=x0), 1e-7)   # 40 Gauss nodes on analytic integrands


@given(data=st.data())
def test_w8_lrp_zero_without_bias_is_rescale(data):
    """W8 (I54): All hidden biases <= 0, so that every reference activation is 0; no output bias."""
    graph = data.draw(mlps("nonpositive"))
    graph = mlp([graph.params[n.inputs[1]] for n in graph.nodes if isinstance(n.op, Dense)],
                [graph.params[n.inputs[2]] if n.name != "logits" else None for n in graph.nodes if isinstance(n.op, Dense)]).astype("exact")
    x = exact(data.draw(inputs_of(graph)))
    assert same(values(graph, x, "lrp.zero", bias="ignore"), values(graph, x, "deeplift.rescale"))


@given(data=st.data())
def test_w9_lrp_zero_without_bias_is_integrated_gradients_for_one_hidden_layer(data):
    """W9 (E26, E27): W7 and W8 together: one hidden layer with biases <= 0, no output bias, baseline 0."""
    drawn_net = data.draw(mlps("nonpositive", hidden=(1, 1)))
    dense = [n for n in drawn_net.nodes if isinstance(n.op, Dense)]
    graph = mlp([drawn_net.params[n.inputs[1]] for n in dense], [drawn_net.params[dense[0].inputs[2]], None]).astype("exact")
    x = exact(data.draw(inputs_of(graph)))
    assert same(values(graph, x, "lrp.zero", bias="ignore"), values(graph, x, "integrated_gradients.exact"))


@given(data=st.data())
def test_w46_reveal_cancel_is_rescale_where_no_signs_meet(data):
    """W46: Where all contributions to a unit have one sign, there is nothing to reveal: positive weights, positive differences."""
    graph = data.draw(mlps("any"))
    graph = mlp([abs(graph.params[n.inputs[1]]) for n in graph.nodes if isinstance(n.op, Dense)],
                [graph.params[n.inputs[2]] for n in graph.nodes if isinstance(n.op, Dense)]).astype("exact")
    x = exact(data.draw(inputs_of(graph, nonnegative=True)))
    assert same(values(graph, x, "deeplift.reveal_cancel"), values(graph, x, "deeplift.rescale"))


@given(seed=st.integers(0, 2**32 - 1))
def test_w60_one_sigmoid_unit_in_closed_form(seed):
    """W60 (I59): IG_i = DeepLIFT_i = Δf w_i Δx_i / (w · Δx), since f depends on w · x alone."""
    rng = np.random.default_rng(seed)
    w, x, x0 = rng.normal(size=(1, 4)), rng.normal(size=(1, 4)), rng.normal(size=(1, 4))
    b = Builder()
    graph = b.build(b.add(Sigmoid(), b.add(Dense(), b.input("x", (None, 4)), b.param("w", w), b.param("b", [0.3]))))
    assume(abs((w * (x - x0)).sum()) > 0.1)                             # below, the closed form loses digits
    expected = (graph(x) - graph(x0)) * w * (x - x0) / (w * (x - x0)).sum()
    # 60 Gauss-Legendre nodes on a sigmoid along |w · Δx| < 12: its poles at i pi leave an error below 1e-12
    assert close(values(graph, x, "integrated_gradients", baseline=x0, steps=60), expected, 1e-10)
    assert close(values(graph, x, "deeplift.rescale", baseline=x0), expected, 1e-10)


# ----- class-activation maps --------------------------------------------------------------------------------------


@given(seed=st.integers(0, 2**32 - 1))
def test_w27_grad_cam_is_cam_for_average_pooled_heads(seed):
    """W27 (E33, E34): Grad-CAM = ReLU(CAM) / Z and mean(CAM) + b = S_c, with a global average pool and a linear head."""
    graph, x, cam, score = _pooled_head(seed, 4)
    a = xc.explain(graph, x, "grad_cam", target=1, layer="act")
    assert close(a.layers["act"][0, 0], np.maximum(cam, 0) / cam.size)
    assert close([cam.mean() + graph.params["b"][1]], [score])


@given(seed=st.integers(0, 2**32 - 1))
def test_w28_grad_cam_at_one_position_is_gradient_times_activation(seed):
    """W28: With one position, the mean of the gradient is the gradient."""
    graph, x, cam, _ = _pooled_head(seed, 1)
    a = xc.explain(graph, x, "grad_cam", target=1, layer="act")
    assert close(a.layers["act"].reshape(-1), [max(cam.sum(), 0)])


def _pooled_head(seed, size):
    from xaicore.ops import GlobalAvgPool

    rng = np.random.default_rng(seed)
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 2, size + 2, size + 2)), b.param("k", numbers(rng, (3, 2, 3, 3)))), name="act")
    y = b.add(Dense(), b.add(Reshape((3,)), b.add(GlobalAvgPool(), h)), b.param("w", numbers(rng, (2, 3))), b.param("b", numbers(rng, (2,))))
    graph, x = b.build(y), numbers(rng, (1, 2, size + 2, size + 2))
    maps = forward(graph, {"x": x})["act"][0]
    return graph, x, np.tensordot(graph.params["w"][1], maps, 1), graph(x)[0, 1]


@given(seed=st.integers(0, 2**32 - 1))
def test_w29_second_order_weights_of_grad_cam_plus_plus(seed):
    """W29: α = g² / (2 g² + Σ A g³) is 1/2 where g is not 0 if the map's activations sum to 0 (the formula, in rationals)."""
    rng = np.random.default_rng(seed)
    g = exact(numbers(rng, (5,)))
    a = exact(numbers(rng, (5,)))
    a[-1] -= a.sum()
    assert [x * x / (2 * x * x + a.sum() * x**3) for x in g] == [F(1, 2)] * 5


# ----- paths and parameters ---------------------------------------------------------------------------------------


@given(data=st.data())
def test_w38_layer_conductance_sums_to_the_difference(data):
    """W38 (I45): Σ_k ∫ ∂F/∂h_k dh_k along the straight path, piece by piece between the exact kinks; with one hidden layer and a
    linear head it is w_k Δh_k."""
    graph, x = drawn(data, mlps("any", hidden=(1, 1)))
    alphas = xc.explain(graph, x, "integrated_gradients.exact", target=0).extras["breakpoints"][0]
    total_by_unit = 0
    for low, high in pairwise(alphas):
        h = [forward(graph, {"x": x * a})["act0"][0] for a in (low, high)]
        slope = xc.explain(graph, x * ((low + high) / 2), "gradient", target=0).layers["act0"][0]
        total_by_unit = total_by_unit + slope * (h[1] - h[0])
    assert total_by_unit.sum() == graph(x)[0, 0] - graph(x * 0)[0, 0]
    delta = forward(graph, {"x": x})["act0"][0] - forward(graph, {"x": x * 0})["act0"][0]
    assert list(total_by_unit) == list(graph.params["w_out"][0] * delta)


@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("method", ["gradient", "gradient_x_input", "lrp.zero", "integrated_gradients.exact", "deeplift.rescale",
                                    "deeplift.reveal_cancel"])
def test_w57_hidden_permutation_and_rescaling(method, seed):
    """W57 (I49): A hidden unit's place and positive scale are no part of the function."""
    rng = np.random.default_rng(seed)
    w, c, v = numbers(rng, (4, 3)), numbers(rng, (4,)), numbers(rng, (2, 4))
    order, scale = rng.permutation(4), rng.integers(1, 5, 4) / 2
    one = mlp([w, v], [c, None]).astype("exact")
    other = mlp([(w * scale[:, None])[order], (v / scale)[:, order]], [(c * scale)[order], None])
    other = mlp([exact(w * scale[:, None])[order], exact(v)[:, order] / exact(scale)[order]], [exact(c * scale)[order], None], "exact")
    x = exact(numbers(rng, (1, 3)))
    assert same(values(one, x, method), values(other, x, method))


@given(data=st.data())
def test_w58_shifted_baseline(data):
    """W58 (I48): IG of f2 at (x + m, x0 + m) is IG of f1 at (x, x0)."""
    graph, x = drawn(data, mlps("any"))
    m = exact(numbers(np.random.default_rng(3), x.shape))
    moved = shift_first_bias(graph, {"x": m[0]})
    ours = values(moved, x + m[:1], "integrated_gradients.exact", baseline=m[:1])
    assert same(ours, values(graph, x, "integrated_gradients.exact"))


@given(data=st.data())
def test_w64_exact_integrated_gradients_has_no_gap(data):
    """W64 (I62): In rationals the gap is 0, not small."""
    graph, x = drawn(data, graphs())
    x0 = exact(data.draw(inputs_of(graph, batch=(1, 1))))
    assert xc.explain(graph, x, "integrated_gradients.exact", target=0, baseline=x0).gap()[0] == 0


# ----- metamorphic extras -----------------------------------------------------------------------------------------


def test_flat_spreads_onto_unused_inputs():
    """The negative test: w² gives a zero weight 0, flat does not see weights."""
    graph = mlp([[[1.0, 0.0], [2.0, 0.0]], [[1.0, 1.0]]], [None, None])
    assert values(graph, [[1.0, 1.0]], "lrp.w_square")[0, 1] == 0
    assert values(graph, [[1.0, 1.0]], "lrp.flat")[0, 1] != 0


@given(data=st.data())
def test_restarting_from_a_layer_gives_the_same(data):
    """What the whole pass says at a layer is what the part behind the layer says about it."""
    graph = data.draw(mlps("any", hidden=(2, 3)))
    x = data.draw(inputs_of(graph))
    for method in ("gradient", "lrp.zero", "deeplift.rescale"):
        at = xc.explain(graph, x, method, target=0, layer="act0")
        assert total(np.asarray(at)).shape == (len(x),)
        assert np.asarray(at).shape == forward(graph, {"x": x})["act0"].shape


def test_flatten_is_transparent():
    b = Builder()
    x = b.input("x", (None, 2, 2))
    g = b.build(b.add(Dense(), b.add(Flatten(), x), b.param("w", [[1.0, -2.0, 3.0, 4.0]])))
    assert values(g, [[[1.0, 1.0], [1.0, 1.0]]], "lrp.zero").tolist() == [[[1, -2], [3, 4]]]
