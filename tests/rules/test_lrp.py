"""Every LRP rule against its twin: the paper's formula with loops on the layer's matrix, in floats and in rationals."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, close
from xaicore import Builder
from xaicore.errors import Inapplicable, InputError, UncoveredNode
from xaicore.ops import (
    Add,
    AvgPool,
    BatchNorm,
    Conv,
    ConvTranspose,
    Dense,
    Einsum,
    Exp,
    LayerNorm,
    MatMul,
    Maximum,
    MaxPool,
    Mean,
    Mul,
    Neg,
    Resize,
    Softmax,
)
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins import rules as twins
from xaicore.rules import RULE_SETS, lrp, named, op, weighted
from xaicore.rules.ruleset import RuleSet
from xaicore.trace import forward


def layer(kind: str, seed: int, bias: bool, dtype: str = "float64"):
    """A step of one affine layer on one sample."""
    rng = np.random.default_rng(seed)
    b = Builder("layer", dtype)

    def const(*shape):
        return b.param(f"p{len(b._params)}", to(numbers(rng, shape)))

    def to(values):
        return np.vectorize(lambda v: F(v), otypes=[object])(values) if dtype == "exact" else values

    shapes = {"dense": (4,), "matmul": (2, 3), "einsum": (2, 3)}
    shape = shapes.get(kind, (2, 4, 4))
    x = b.input("x", (None, *shape))
    out = {
        "dense": lambda: b.add(Dense(), x, const(3, 4), *([const(3)] if bias else [])),
        "matmul": lambda: b.add(MatMul(), x, const(3, 2)),
        "einsum": lambda: b.add(Einsum("ntd,de->nte"), x, const(3, 2)),
        "conv": lambda: b.add(Conv(stride=(2, 1), pads=((1, 0), (1, 1))), x, const(3, 2, 3, 2), *([const(3)] if bias else [])),
        "grouped": lambda: b.add(Conv(groups=2, dilation=(2, 1)), x, const(4, 1, 2, 2), *([const(4)] if bias else [])),
        "transposed": lambda: b.add(ConvTranspose(stride=(2, 2)), x, const(2, 2, 2, 2), *([const(2)] if bias else [])),
        "average": lambda: b.add(AvgPool((2, 2), stride=(1, 1), pads=((1, 0), (0, 0))), x),
    }[kind]()
    trace = forward(b.build(out), {"x": to(numbers(rng, (1, *shape)))})
    step = trace.step(trace.graph.nodes[0])
    return step, to(numbers(rng, step.y.shape))


KINDS = ("dense", "matmul", "einsum", "conv", "grouped", "transposed", "average")
SEEDS = st.integers(0, 2**32 - 1)
few = settings(max_examples=max(5, settings().max_examples // 4))       # a draw is a whole layer of random numbers


def agree(step, rule, r, twin):
    ours = rule(step, r)[0].reshape(-1)
    if step.y.dtype == object:
        assert list(ours) == list(twin)
    else:
        assert close(ours, twin)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", lrp.BIASES)
@few
@given(seed=SEEDS, eps=st.sampled_from([0, F(1, 4)]))
def test_epsilon(kind, bias, seed, eps):
    step, r = layer(kind, seed, bias=True)
    x, w, b = twins.as_matrix(step)
    agree(step, lrp.epsilon(eps, bias), r, twins.epsilon(x, w, b, r.reshape(-1), float(eps), bias))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bias", ["absorb", "ignore"])
@pytest.mark.parametrize("split", ["contributions", "weights-only"])
@few
@given(seed=SEEDS, alpha=st.sampled_from([1, 2, 3.5]))
def test_alpha_beta(kind, bias, split, seed, alpha):
    step, r = layer(kind, seed, bias=True)
    x, w, b = twins.as_matrix(step)
    agree(step, lrp.alpha_beta(alpha, 0, bias, split), r, twins.alpha_beta(x, w, b, r.reshape(-1), alpha, bias, split))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("variant", ["generalized", "original"])
@pytest.mark.parametrize("bias", ["absorb", "ignore"])
@few
@given(seed=SEEDS, strength=st.sampled_from([0, 0.25, 1.5]))
def test_gamma(kind, variant, bias, seed, strength):
    step, r = layer(kind, seed, bias=True)
    x, w, b = twins.as_matrix(step)
    agree(step, lrp.gamma(strength, 0, bias, variant), r, twins.gamma(x, w, b, r.reshape(-1), strength, variant, bias))


@pytest.mark.parametrize("kind", KINDS)
@few
@given(seed=SEEDS)
def test_the_rest(kind, seed):
    step, r = layer(kind, seed, bias=True)
    x, w, b = twins.as_matrix(step)
    flat_r = r.reshape(-1)
    agree(step, lrp.z_plus(), r, twins.z_plus(x, w, b, flat_r))
    agree(step, lrp.z_plus(bias="ignore"), r, twins.z_plus(x, w, b, flat_r, "ignore"))
    agree(step, lrp.flat(), r, twins.flat(x, w, b, flat_r))
    agree(step, lrp.w_square(), r, twins.w_square(x, w, b, flat_r))
    agree(step, lrp.z_box(-1.5, 2), r, twins.z_box(x, w, b, flat_r, -1.5, 2))


@pytest.mark.parametrize("kind", KINDS)
def test_exact(kind):
    """The same code on rationals equals the twin without any tolerance."""
    step, r = layer(kind, 7, bias=True, dtype="exact")
    x, w, b = twins.as_matrix(step)
    flat_r = r.reshape(-1)
    for bias in lrp.BIASES:
        agree(step, lrp.epsilon(F(1, 8), bias), r, twins.epsilon(x, w, b, flat_r, F(1, 8), bias))
    for bias in ("absorb", "ignore"):
        agree(step, lrp.alpha_beta(2, 0, bias), r, twins.alpha_beta(x, w, b, flat_r, 2, bias))
        agree(step, lrp.gamma(F(1, 4), 0, bias), r, twins.gamma(x, w, b, flat_r, F(1, 4), "generalized", bias))
    agree(step, lrp.flat(), r, twins.flat(x, w, b, flat_r))
    agree(step, lrp.w_square(), r, twins.w_square(x, w, b, flat_r))
    agree(step, lrp.z_box(F(-3, 2), 2), r, twins.z_box(x, w, b, flat_r, F(-3, 2), 2))


@given(seed=SEEDS)
def test_distribute_conserves_alpha_beta(seed):
    """With the bias shared out, alpha beta conserves wherever both signs occur: checked on the neurons' own sums."""
    step, r = layer("dense", seed, bias=True, dtype="exact")
    x, w, _ = twins.as_matrix(step)
    both = [any(x[i] * row[i] > 0 for i in range(4)) and any(x[i] * row[i] < 0 for i in range(4)) for row in w]
    r = np.where(np.array([both]), r, F(0))
    assert lrp.alpha_beta(2, 0, "distribute")(step, r)[0].sum() == r.sum()


# ----- the fixture of one neuron that separates the peers' conventions -------------------------------------------------

X, W = [1, -2, 3], [1, F(-1, 2), F(-1, 4)]


def neuron(rule, bias):
    b = Builder(dtype="exact")
    y = b.add(Dense(), b.input("x", (None, 3)), b.param("w", [W]), b.param("b", [bias]))
    trace = forward(b.build(y), {"x": np.array([[F(v) for v in X]], dtype=object)})
    return list(rule(trace.step(trace.graph.nodes[0]), np.array([[F(1)]], dtype=object))[0][0])


@pytest.mark.parametrize(("rule", "positive", "negative"), [
    (lrp.epsilon(0), [F(4, 7), F(4, 7), F(-3, 7)], [F(4, 3), F(4, 3), -1]),
    (lrp.epsilon(F(1, 4)), [F(1, 2), F(1, 2), F(-3, 8)], None),
    (lrp.alpha_beta(2), [F(4, 5), F(4, 5), -1], [1, 1, F(-3, 5)]),
    (lrp.alpha_beta(2, bias="ignore"), [1, 1, -1], [1, 1, -1]),
    (lrp.z_plus(), [F(2, 5), F(2, 5), 0], [F(1, 2), F(1, 2), 0]),
    (lrp.z_plus(bias="ignore"), [F(1, 2), F(1, 2), 0], [F(1, 2), F(1, 2), 0]),
    (lrp.gamma(F(1, 4)), [F(10, 19), F(10, 19), F(-6, 19)], [1, 1, F(-3, 5)]),
    (lrp.w_square(), [F(16, 21), F(4, 21), F(1, 21)], [F(16, 21), F(4, 21), F(1, 21)]),
    (lrp.z_box(-3, 3), [F(8, 13), F(5, 13), 0], [F(8, 13), F(5, 13), 0]),
], ids=str)
def test_conventions(rule, positive, negative):
    """F1 to F10 of the notes on peers, worked by hand there."""
    assert neuron(rule, F(1, 2)) == positive
    if negative is not None:
        assert neuron(rule, F(-1, 2)) == negative


def test_stabiliser_sign():
    """z = -0.45, eps 0.25: the denominator is -0.70 (an unsigned eps would give -0.20); sign(0) is +1."""
    assert lrp.ratio(np.array([1.0]), np.array([-0.45]), 0.25)[0] == 1 / -0.70
    assert lrp.ratio(np.array([1.0]), np.array([0.0]), 0.25)[0] == 4
    assert lrp.ratio(np.array([1.0]), np.array([0.0]), 0)[0] == 0


# ----- nodes that are not layers ----------------------------------------------------------------------------------


def relevance(graph, x, rules="lrp.zero", **settings):
    return xc.explain(graph, x, rules, **settings)


def test_residual_add_splits_by_value():
    b = Builder()
    x = b.input("x", (None, 2))
    g = b.build(b.add(Dense(), b.add(Add(), x, b.add(Mul(), x, b.constant(3.0))), b.param("w", [[1.0, 1.0]])))
    a = relevance(g, [[1.0, 2.0]])
    assert close(np.asarray(a), [[4.0, 8.0]])                            # a skip that doubled relevance would give (8, 16)
    assert close(a.gap(), [0], scale=abs(a.output).max())


def test_max_pool_winner_and_proportional():
    b = Builder()
    g = b.build(b.add(MaxPool((2,)), b.input("x", (None, 1, 2))))
    x = [[[3.0, 1.0]]]
    assert np.asarray(relevance(g, x, target=(0, 0))).tolist() == [[[3, 0]]]
    assert close(np.asarray(relevance(g, x, target=(0, 0), pool="proportional")), [[[2.25, 0.75]]])
    assert np.asarray(relevance(g, [[[2.0, 2.0]]], target=(0, 0))).tolist() == [[[2, 0]]]    # a tie: the first


def test_batchnorm_is_folded(rng):
    """A convolution with BatchNorm gets the relevance of the one folded layer that computes the same."""
    b = Builder()
    x = b.input("x", (None, 2, 3, 3))
    y = b.add(Conv(), x, b.param("w", rng.normal(size=(2, 2, 2, 2))), b.param("b", rng.normal(size=2)), name="conv")
    for name, value in (("gamma", rng.normal(size=2)), ("beta", rng.normal(size=2)), ("mean", rng.normal(size=2)), ("var", rng.random(2) + 0.5)):
        b.param(name, value)
    y = b.add(BatchNorm(1e-3), y, "gamma", "beta", "mean", "var", name="bn")
    g = b.build(y)
    scale = g.params["gamma"] / np.sqrt(g.params["var"] + 1e-3)
    c = Builder()
    folded = c.build(c.add(Conv(), c.input("x", (None, 2, 3, 3)), c.param("w", g.params["w"] * scale[:, None, None, None]),
                           c.param("b", (g.params["b"] - g.params["mean"]) * scale + g.params["beta"])))
    data = rng.normal(size=(2, 2, 3, 3))
    for method in ("lrp.zero", "lrp.gamma", "lrp.z_plus", "lrp.epsilon_plus"):
        assert close(np.asarray(relevance(g, data, method, target=(0, 1, 1))), np.asarray(relevance(folded, data, method, target=(0, 1, 1))))


def test_mean_and_upsample_conserve(rng):
    b = Builder()
    x = b.input("x", (None, 1, 3, 3))
    g = b.build(b.add(Mean((1, 2, 3)), b.add(Resize((5, 5), "linear"), x)))
    a = relevance(g, rng.random((2, 1, 3, 3)))
    assert close(a.gap(), [0, 0], scale=abs(a.output).max())


def test_products_are_halved():
    b = Builder()
    p, q = b.input("p", (None, 1)), b.input("q", (None, 1))
    a = relevance(b.build(b.add(Mul(), p, q)), {"p": [[3.0]], "q": [[4.0]]})
    assert a["p"].tolist() == [[6]]
    assert a["q"].tolist() == [[6]]


def test_softmax_taylor_formula(rng):
    """R_i = x_i (R_i - s_i Σ R) with loops."""
    from xaicore.rules.attention import taylor_softmax

    b = Builder()
    g = b.build(b.add(Softmax(-1), b.input("x", (None, 4))))
    x, r = rng.normal(size=(1, 4)), rng.normal(size=(1, 4))
    trace = forward(g, {"x": x})
    s = np.exp(x[0]) / np.exp(x[0]).sum()
    assert close(taylor_softmax(trace.step(g.nodes[0]), r)[0][0], [x[0, i] * (r[0, i] - s[i] * r.sum()) for i in range(4)])


@pytest.mark.parametrize("bias", ["absorb", "ignore"])
def test_the_offset_of_a_normalisation_is_a_bias(rng, bias):
    """R_i = Σ_j x_i w_ji R_j / z_j with w = γ_j (δ_ji - 1/n) / σ, and β_j in z_j unless it is ignored; a loop."""
    b = Builder()
    gamma, beta = rng.normal(size=(2, 4))
    g = b.build(b.add(LayerNorm(), b.input("x", (None, 4)), b.param("gamma", gamma), b.param("beta", beta), name="norm"))
    x = rng.normal(size=(2, 4))
    a = xc.explain(g, x, "lrp.zero", target=np.ones(4), bias=bias)
    for n in range(2):
        sigma = np.sqrt(((x[n] - x[n].mean()) ** 2).mean() + 1e-5)
        w = gamma[:, None] * (np.eye(4) - 1 / 4) / sigma
        share = g(x)[n] / (w @ x[n] + (beta if bias == "absorb" else 0))
        assert close(a["x"][n], [sum(x[n, i] * w[j, i] * share[j] for j in range(4)) for i in range(4)])
    assert bool(np.abs(a.gap()).max() < 1e-12) == (bias == "ignore")        # a dozen roundings of numbers near 1


# ----- errors -----------------------------------------------------------------------------------------------------


def test_uncovered_node_says_how_to_add_a_row():
    g = NET_A
    bare = RuleSet("bare", "relevance", ((weighted, lrp.epsilon()),))
    with pytest.raises(UncoveredNode, match=r"no row covers node 'relu1'.*before\(\(op\(ReLU\), <rule>\)\)"):
        bare.plan(g)


def test_unsplittable_node_names_itself():
    b = Builder()
    g = b.build(b.add(Neg(), b.input("x", (None, 2)), name="minus"))
    rules = RuleSet("plus", "relevance", ((op(Neg), lrp.z_plus()),))
    with pytest.raises(Inapplicable, match="node 'minus'.*cannot split its weights by sign"):
        xc.explain(g, [[1.0, 2.0]], rules, target=0)


@pytest.mark.parametrize(("make", "text"), [
    (lambda: lrp.epsilon(bias="half"), "bias='half' is not a policy"),
    (lambda: lrp.gamma(variant="new"), "variant='new'"),
    (lambda: lrp.alpha_beta(0.5), "alpha - beta = 1"),
    (lambda: lrp.alpha_beta(2, variant="x"), "variant='x'"),
    (lambda: RULE_SETS["lrp.flat"](hidden="deep"), "hidden='deep'"),
    (lambda: RULE_SETS["lrp.zero"](pool="mean"), "pool='mean'"),
    (lambda: RULE_SETS["lrp.zero"](attention="full"), "attention='full'"),
    (lambda: RULE_SETS["lrp.z_box"](), "low="),
    (lambda: RULE_SETS["deep_taylor"](input="z_box"), "low="),
    (lambda: RULE_SETS["deep_taylor"](input="what"), "no domain"),
])
def test_settings_are_checked(make, text):
    with pytest.raises(InputError, match=text):
        make()


def test_softmax_head_under_lrp():
    b = Builder()
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1.0, 2.0], [3.0, -1.0]]), name="logits")
    g = b.build(b.add(Softmax(-1), z))
    assert relevance(g, [[1.0, 1.0]], target=0).output[0] == 3           # the logit, before the softmax
    with pytest.raises(Inapplicable, match="LRP starts at a logit.*output='logit'"):
        relevance(g, [[1.0, 1.0]], target=0, output="probability")


def test_before_puts_user_rows_in_front():
    rules = RULE_SETS["lrp.epsilon"]()
    mine = rules.before((named("fc1"), lrp.flat()))
    assert len(mine.rules) == len(rules.rules) + 1
    assert "flat" in str(mine.plan(NET_A)).splitlines()[1]
    assert "flat" not in str(rules.plan(NET_A))


def test_maximum_of_two_branches():
    b = Builder()
    x = b.input("x", (None, 1))
    g = b.build(b.add(Maximum(), x, b.add(Mul(), x, b.constant(2.0))))
    assert relevance(g, [[3.0]]).gap()[0] == 0


def test_exp_passes_relevance():
    b = Builder()
    g = b.build(b.add(Exp(), b.input("x", (None, 1))))
    a = relevance(g, [[0.5]])
    assert np.asarray(a)[0, 0] == a.output[0]
