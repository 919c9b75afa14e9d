"""The web of equalities between methods (catalogue W1 to W64), each with its exact preconditions, on random networks.

Exact arithmetic where the graph is piecewise linear: then there is no tolerance. Path and noise identities that need one
method alone stand with that method's tests.
"""

from fractions import Fraction as F
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import close, mlp
from xaicore import Builder
from xaicore.graph.passes import shift_first_bias
from xaicore.ops import Conv, Dense, Flatten, LeakyReLU, MaxPool, ReLU, Reshape, Sigmoid
from xaicore.oracle.strategies import SMOOTH, cnns, graphs, inputs_of, mlps, numbers
from xaicore.rules import RULE_SETS, lrp, op
from xaicore.rules.gradient import gradient
from xaicore.rules.ruleset import total
from xaicore.trace import backward, forward


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


def drawn(data, strategy, batch=(1, 1), **kinds):
    """A graph in exact arithmetic and an input."""
    graph = data.draw(strategy).astype("exact")
    return graph, exact(data.draw(inputs_of(graph, batch=batch, **kinds)))


def values(graph, x, method, **settings):
    return np.asarray(xc.explain(graph, x, method, target=settings.pop("target", 0), **settings))


def same(a, b):
    return a.shape == b.shape and bool((a == b).all())


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


# ----- between LRP rules ------------------------------------------------------------------------------------------


@given(data=st.data())
def test_w10_limits_of_epsilon(data):
    """W10 (I37): eps = 0 is LRP-0, and so is eps -> 0; eps -> infinity absorbs all."""
    graph, x = drawn(data, graphs())
    assert same(values(graph, x, "lrp.epsilon", eps=0), values(graph, x, "lrp.zero"))
    near = values(graph, x, "lrp.epsilon", eps=F(1, 10**12))
    far = values(graph, x, "lrp.epsilon", eps=F(10**12))
    assert max(abs(near - values(graph, x, "lrp.zero")).reshape(-1)) < F(1, 10**3)
    assert max(abs(far).reshape(-1)) < F(1, 10**6)


@given(data=st.data())
def test_w11_limits_of_gamma(data):
    """W11 (I36, I37): γ = 0 is LRP-0; γ -> infinity is z+ where activations are >= 0 (the input, too)."""
    graph, x = drawn(data, mlps("none"), nonnegative=True)
    assert same(values(graph, x, "lrp.gamma", gamma=0), values(graph, x, "lrp.zero"))
    zero, hidden = RULE_SETS["lrp.zero"](), op(Dense)
    g, z = zero.before((hidden, lrp.gamma(F(10**12), variant="original"))), zero.before((hidden, lrp.z_plus()))
    ours, theirs = (np.asarray(xc.explain(graph, x, r, target=0)) for r in (g, z))
    trace = forward(graph, {"x": x})
    has_positive = all((trace[n.inputs[0]] @ np.maximum(graph.params[n.inputs[1]], F(0)).T > 0).all() for n in graph.nodes if isinstance(n.op, Dense))
    assume(has_positive)
    assert max(abs(ours - theirs).reshape(-1)) < F(1, 10**6)


@given(data=st.data())
def test_w12_z_plus_is_alpha_one_beta_zero(data):
    """W12 (I35): Whatever the signs of the inputs, since contributions are split."""
    graph, x = drawn(data, graphs())
    assert same(values(graph, x, "lrp.z_plus"), values(graph, x, "lrp.alpha_beta", alpha=1))


@given(data=st.data())
def test_w13_deep_taylor_is_excitation_backprop(data):
    """W13: For activations >= 0 and no bias in the denominator: marginal winning probabilities by loops, normalised to the top value."""
    graph = data.draw(mlps("none", outputs=1))
    x = abs(data.draw(inputs_of(graph, batch=(1, 1))))
    trace = forward(graph, {"x": x})
    top = trace["logits"][0, 0]
    assume(top > 1e-6)
    p = np.array([1.0])
    for n in reversed([n for n in graph.nodes if isinstance(n.op, Dense)]):
        a, w = trace[n.inputs[0]][0], np.maximum(graph.params[n.inputs[1]], 0)
        z = w @ a
        assume((z[p > 0] > 1e-9).all())
        p = np.array([sum(a[i] * w[j, i] * p[j] / z[j] for j in range(len(z)) if z[j] > 0) for i in range(len(a))])
    assert close(values(graph, x, "deep_taylor", input="z_plus")[0] / top, p)


@given(data=st.data())
def test_w14_flat_is_w_square_for_equal_weights(data):
    """W14 (I41): |w| the same for all inputs of a neuron."""
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    signs = rng.choice([-1, 1], (3, 4)) / 4
    graph = mlp([signs, numbers(rng, (2, 3))], [None, None]).astype("exact")
    x = exact(numbers(rng, (1, 4)))
    assert same(values(graph, x, "lrp.flat"), values(graph, x, "lrp.w_square"))


@given(data=st.data())
def test_w15_limits_of_z_box(data):
    """W15 (I39, I40): a box of size zero is LRP-0 without bias; an infinitely wide one shares by |w|."""
    graph, x = drawn(data, mlps("any"))
    zero = RULE_SETS["lrp.zero"]()
    assert same(values(graph, x, zero.before((op(Dense), lrp.z_box(0, 0)))), values(graph, x, zero.before((op(Dense), lrp.epsilon(0, "ignore")))))
    wide = values(graph, x, "lrp.z_box", low=-(10**12), high=10**12, hidden="zero")
    first = graph.nodes[0]
    w = abs(graph.params[first.inputs[1]])
    r = xc.explain(graph, x, "lrp.zero", target=0).layers[first.name]
    shares = (w / w.sum(axis=1, keepdims=True)).T @ r[0]
    assert max(abs(wide[0] - shares)) < F(1, 10**6)


@settings(max_examples=max(5, settings().max_examples // 4))             # 16 rule sets, each on whole networks in rationals
@given(data=st.data())
@pytest.mark.parametrize("method", [m for m in RULE_SETS if m.startswith("lrp")] + ["deep_taylor"])
def test_w16_every_rule_is_linear_in_relevance(method, data):
    """W16 (I56): With the activations fixed, every rule is linear in the relevance that arrives."""
    graph, x = drawn(data, cnns())
    box = {"low": -1, "high": 1} if "box" in method else {}
    rules = RULE_SETS[method](**box)
    trace = forward(rules.prepare(graph), {"x": x})
    plan = rules.plan(trace.graph)
    rng = np.random.default_rng(1)
    r, s = (exact(numbers(rng, trace["logits"].shape)) for _ in range(2))

    def run(seed):
        return backward(trace, plan, {"logits": seed}).values["x"]

    assert same(run(r * 2 - s * F(1, 3)), run(r) * 2 - run(s) * F(1, 3))


@given(data=st.data())
@pytest.mark.parametrize("method", ["lrp.z_plus", "lrp.w_square", "lrp.flat", "lrp.z_box", "lrp.zero", "lrp.gamma", "lrp.alpha_beta"])
def test_w17_conservation(method, data):
    """W17 (E12, I38): Node by node, wherever the node's denominators are not 0 (for alpha 2 beta 1: wherever both signs occur)."""
    graph, x = drawn(data, graphs("nonpositive", max_pool=True))
    settings = {"hidden": "z_plus"} if method in ("lrp.w_square", "lrp.flat", "lrp.z_box") else {}
    settings |= {"low": -1, "high": 1} if method == "lrp.z_box" else {}
    a = xc.explain(graph, x, method, target=0, bias="ignore", **({"eps": 0} if method != "lrp.zero" else {}), **settings)
    from xaicore.rules.linear import Affine, negative, positive

    trace = forward(a.layers.graph, a.feeds)
    for step in trace:
        arrived = a.layers.get(step.node.name)
        if arrived is None or (arrived == 0).all():
            continue
        if isinstance(step.node.op, (Dense, Conv)):
            m = Affine(step)
            up = m.apply(m.actives(positive), positive) + m.apply(m.actives(negative), negative)
            down = m.apply(m.actives(positive), negative) + m.apply(m.actives(negative), positive)
            first = step.node.inputs[0] == "x" and method in ("lrp.w_square", "lrp.flat", "lrp.z_box")
            split = method in ("lrp.z_plus", "lrp.w_square", "lrp.flat", "lrp.z_box") and not first
            fine = ((up != 0) & (down != 0)) if method == "lrp.alpha_beta" else (up != 0) if split else (m.apply() != 0)
            if not first and not fine[arrived != 0].all():
                continue
        elif (step.y == 0)[arrived != 0].any():
            continue
        assert a.ledger[step.node.name].absorbed[0] == 0, step.node.name


@given(data=st.data())
def test_w18_relevance_of_the_softmax_gradient(data):
    """W18 (I55): LRP-0 started from R_j = z_j ∂p_t/∂z_j is (∂p_t/∂x) * x, bias-free."""
    graph = data.draw(mlps("none"))
    x = data.draw(inputs_of(graph, batch=(1, 1)))
    z = graph(x)[0]
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    jacobian = p[1] * ((np.arange(3) == 1) - p)
    a = values(graph, x, "lrp.zero", target=jacobian)
    b = values(graph, x, "gradient_x_input", target=1, output="probability")
    assert close(a, b)


# ----- rectified backward passes ----------------------------------------------------------------------------------


def all_units_active(graph, x):
    trace = forward(graph, {"x": x})
    return all((trace[n.inputs[0]] > 0).all() for n in graph.nodes if isinstance(n.op, ReLU))


@given(seed=st.integers(0, 2**32 - 1))
def test_w22_guided_is_deconvnet_when_all_units_are_active(seed):
    """W22 (I44): No ReLU cuts anything on the way forward."""
    rng = np.random.default_rng(seed)
    graph = mlp([abs(numbers(rng, (4, 3))), abs(numbers(rng, (3, 4))), numbers(rng, (2, 3))], [None] * 3).astype("exact")
    x = exact(abs(numbers(rng, (1, 3))))
    assert all_units_active(graph, x)
    assert same(values(graph, x, "guided_backprop"), values(graph, x, "deconvnet"))


@given(seed=st.integers(0, 2**32 - 1))
def test_w23_guided_is_gradient_for_nonnegative_signals(seed):
    """W23 (I43): No ReLU cuts anything on the way back."""
    rng = np.random.default_rng(seed)
    graph = mlp([numbers(rng, (4, 3)), abs(numbers(rng, (3, 4))), abs(numbers(rng, (2, 3)))], [None] * 3).astype("exact")
    x = exact(numbers(rng, (1, 3)))
    assert same(values(graph, x, "guided_backprop"), values(graph, x, "gradient"))


@given(data=st.data())
def test_w24_deconvnet_is_gradient_without_relu(data):
    """W24 (I43): Where there is no ReLU, the three backward passes are one."""
    graph, x = drawn(data, cnns(activations=(LeakyReLU(0.25),)))
    assert same(values(graph, x, "deconvnet"), values(graph, x, "gradient"))
    rng = np.random.default_rng(int(abs(x).sum() * 256) % 1000)
    positive = mlp([abs(numbers(rng, (4, 3))), abs(numbers(rng, (2, 4)))], [None] * 2).astype("exact")
    assert same(values(positive, exact(abs(numbers(rng, (1, 3)))), "deconvnet"), values(positive, exact(abs(numbers(rng, (1, 3)))), "gradient"))


@given(data=st.data())
def test_w25_deconvnet_without_switches_does_not_depend_on_the_input(data):
    """W25 (S15): Without switches and forward masks nothing depends on x."""
    graph, x = drawn(data, cnns(activations=(ReLU(),), max_pool=False))
    other = exact(data.draw(inputs_of(graph, batch=(1, 1))))
    assert same(values(graph, x, "deconvnet"), values(graph, other, "deconvnet"))


@given(data=st.data())
def test_w26_guided_saliency_is_the_channel_maximum_of_guided(data):
    """W26: By definition: max over channels of |guided|."""
    graph, x = drawn(data, cnns(activations=(ReLU(),)))
    assert same(values(graph, x, "guided_saliency"), abs(values(graph, x, "guided_backprop")).max(axis=1, keepdims=True))


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
