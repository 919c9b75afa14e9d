"""The web of equalities: LRP's rules among each other (W10 to W18), the rectified backward passes and the gradient (W22 to W26).

Each with its exact preconditions, on random networks, in rationals: there is no tolerance but where one is given.
"""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.identities.networks import drawn, exact, same, values
from tests.nets import close, mlp
from xaicore.ops import Conv, Dense, LeakyReLU, ReLU
from xaicore.oracle.strategies import cnns, graphs, inputs_of, mlps, numbers
from xaicore.rules import RULE_SETS, lrp, op
from xaicore.trace import backward, forward

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
