"""Restructured LRP, FullGrad, patterns, BiLRP, rollout and global saliency: worked numbers, loops, closed forms."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.networks import cnn
from tests.nets import NET_B, X_B, close, mlp
from xaicore import Builder
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.graph.restructure import restructure
from xaicore.methods.pairs import joint
from xaicore.methods.restructured import flood
from xaicore.ops import (
    Add,
    Conv,
    ConvTranspose,
    Dense,
    Flatten,
    GlobalAvgPool,
    MatMul,
    Mul,
    ReLU,
    Reshape,
    Sigmoid,
    Softmax,
    Sub,
    Sum,
    Transpose,
)
from xaicore.oracle.strategies import cnns, inputs_of, mlps, numbers
from xaicore.rules import RULE_SETS
from xaicore.rules.patterns import Patterns, fit_patterns
from xaicore.trace import forward


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


# ----- restructured LRP -------------------------------------------------------------------------------------------


def test_restructured_by_hand():
    """E48: a = (2, 1), w = (1, 2), y_ref = 2: the level is 2/3, a_ref = (4/3, 1/3), the hidden relevance (2/3, 4/3), its sum 4 - 2."""
    graph = mlp([[[1, 0], [0, 1]], [[1, 2]]], [None, [5]]).astype("exact")
    a = xc.explain(graph, [[2, 1]], "lrp.restructured", reference=7, base=RULE_SETS["lrp.zero"](bias="ignore"))
    assert a.extras["t"][0] == F(2, 3)
    assert list(a.extras["reference_activations"][0]) == [F(4, 3), F(1, 3)]
    assert list(a.layers["relu1"][0]) == [F(2, 3), F(4, 3)]
    assert list(np.asarray(a)[0]) == [F(2, 3), F(4, 3)]
    assert (a.output[0], a.baseline_output[0], a.gap()[0]) == (9, 7, 0)


@given(data=st.data())
def test_w21_the_restructured_network_is_the_difference(data):
    """W21 (I12): g(x, a_ref) = f(x) - y_ref as functions, and the relevance sums to it; reference = f(x) gives zeros."""
    graph = data.draw(mlps("any", hidden=(1, 2), outputs=1)).astype("exact")
    x = exact(data.draw(inputs_of(graph, batch=(2, 2))))
    last = [n.name for n in graph.nodes if isinstance(n.op, ReLU)][-1]
    a = forward(graph, {"x": x})[last]
    weights = graph.params[graph.nodes[-1].inputs[1]][0]
    t = F(data.draw(st.integers(1, 8)), 16)
    flooded = np.maximum(a - t, F(0))
    y_ref = flooded @ weights + (graph.params[graph.nodes[-1].inputs[2]] if len(graph.nodes[-1].inputs) > 2 else F(0))
    inner, name = restructure(graph, graph.outputs[0], 2)
    assert (inner({"x": x, name: flooded})[:, 0] == graph(x)[:, 0] - y_ref).all()
    found = xc.explain(graph, x, "lrp.restructured", reference=y_ref, base=RULE_SETS["lrp.zero"](bias="ignore"))
    trace = forward(graph, {"x": x})
    assume(not any((trace[n.inputs[0]] @ graph.params[n.inputs[1]].T == 0).any() for n in graph.nodes if isinstance(n.op, Dense)))
    assert list(found.gap()) == [0, 0]
    nothing = xc.explain(graph, x, "lrp.restructured", reference=graph(x)[:, 0])
    assert not np.asarray(nothing).any()


@given(seed=st.integers(0, 2**32 - 1))
def test_the_level_solves_its_equation_and_is_the_nearest(seed):
    rng = np.random.default_rng(seed)
    v, a = exact(rng.integers(-4, 5, 5)), exact(rng.integers(0, 6, 5))
    t_true = F(int(rng.integers(-8, 24)), 4)

    def sunk(t):
        return sum(w * (x - max(F(0), x - t)) for w, x in zip(v, a))

    t = flood(v, a, sunk(t_true))
    assert sunk(t) == sunk(t_true)
    assert abs(t) <= abs(t_true)
    grid = [F(k, 64) for k in range(-64 * 4, 64 * 8)]
    assert not any(abs(g) < abs(t) and sunk(g) == sunk(t_true) for g in grid)


def test_flooding_through_a_pooled_head_and_a_level_that_does_not_exist():
    rng = np.random.default_rng(0)
    b = Builder()
    h = b.add(ReLU(), b.add(Conv(), b.input("x", (None, 1, 4, 4)), b.param("w", rng.normal(size=(3, 1, 3, 3)))), name="relu")
    h = b.add(Flatten(), b.add(GlobalAvgPool(), h))
    graph = b.build(b.add(Dense(), h, b.param("v", abs(rng.normal(size=(1, 3)))), b.param("c", [0.5])))
    x = rng.normal(size=(2, 1, 4, 4))
    a = xc.explain(graph, x, "lrp.restructured", reference=[0.75, 0.5])
    assert close(a.gap(), [0, 0], 1e-5, scale=1)                        # eps = 1e-6 against contributions of size 1
    with pytest.raises(InputError, match="no level of flooding gives reference=0.25"):
        xc.explain(mlp([[[1.0], [1.0]], [[1.0, -1.0]]], [None, None]), [[1.0]], "lrp.restructured", reference=0.25)
    with pytest.raises(Inapplicable, match="no ReLU lies before"):
        xc.explain(mlp([[[1.0, 2.0]]], [None]), [[1.0, 1.0]], "lrp.restructured")
    b = Builder()
    smooth = b.build(b.add(Dense(), b.add(Sigmoid(), b.add(ReLU(), b.input("x", (None, 2)))), b.param("w", [[1.0, 2.0]]), name="y"))
    with pytest.raises(Inapplicable, match="only affine layers may follow it: node 'sigmoid'"):
        xc.explain(smooth, [[1.0, 1.0]], "lrp.restructured")
    with pytest.raises(InputError, match="one for each of the 1 samples"):
        xc.explain(NET_B, X_B, "lrp.restructured", reference=[1, 2])


# ----- FullGrad ---------------------------------------------------------------------------------------------------


@given(data=st.data())
def test_fullgrad_is_the_function(data):
    """W3 for every network, smooth ones too: the input's part and the biases' parts add up to f."""
    graph = data.draw(cnns())
    x = data.draw(inputs_of(graph))
    a = xc.explain(graph, x, "fullgrad", target=0)
    parts = a.extras["input"] + sum(a.extras["biases"].values())
    assert close(parts, a.output, 1e-12, scale=abs(a.output).max() + abs(a.extras["input"]).max())


def test_fullgrad_by_loops():
    """One convolution, ReLU, dense: |x g| plus, at every position of the layer, Σ_channels |b_c ∂f/∂z_c|."""
    rng = np.random.default_rng(1)
    w, bias, v = rng.normal(size=(2, 1, 3, 3)), rng.normal(size=2), rng.normal(size=(1, 2 * 16))
    b = Builder()
    h = b.add(Conv(pads=((1, 1), (1, 1))), b.input("x", (None, 1, 4, 4)), b.param("w", w), b.param("b", bias), name="conv")
    graph = b.build(b.add(Dense(), b.add(Flatten(), b.add(ReLU(), h)), b.param("v", v)))
    x = rng.normal(size=(1, 1, 4, 4))
    padded = np.pad(x[0, 0], 1)
    z = np.array([[[(w[c, 0] * padded[i:i + 3, j:j + 3]).sum() + bias[c] for j in range(4)] for i in range(4)] for c in range(2)])
    g = (z > 0) * v.reshape(2, 4, 4)
    gx = np.zeros((6, 6))
    for c, i, j in np.ndindex(2, 4, 4):
        gx[i:i + 3, j:j + 3] += g[c, i, j] * w[c, 0]
    gx = gx[1:5, 1:5]
    own = abs(x[0, 0] * gx)
    biases = [abs(bias[c] * g[c]) for c in range(2)]
    assert close(xc.explain(graph, x, "fullgrad"), (own + sum(biases))[None, None], 1e-12)
    # with min_max every channel's map is brought to [0, 1] first

    def scaled(m):
        return (m - m.min()) / (m.max() - m.min())

    assert close(xc.explain(graph, x, "fullgrad", rescale="min_max"), (scaled(own) + sum(scaled(m) for m in biases))[None, None], 1e-12)


# ----- patterns ---------------------------------------------------------------------------------------------------


def test_the_pattern_of_a_distractor():
    """E65: x = s (1, 0) + e (1, 1), w = (1, -1) sees s alone: the pattern is (1, 0), not w. On all four (±1, ±1): exactly."""
    x = [[s + e, e] for s in (-1, 1) for e in (-1, 1)]
    graph = mlp([[[1, -1]]], [None]).astype("exact")
    assert fit_patterns(graph, x, "linear").values["fc1"].tolist() == [[1, 0]]
    a = xc.explain(graph, [[3, 1]], "pattern_attribution", patterns=fit_patterns(graph, x, "linear"))
    assert list(np.asarray(a)[0]) == [2, 0]
    assert a.gap()[0] == 0
    signal = xc.explain(graph, [[3, 1]], "patternnet", patterns=fit_patterns(graph, x, "linear"))
    assert list(np.asarray(signal)[0]) == [2, 0]


@pytest.mark.parametrize("estimator", ["linear", "relu"])
@pytest.mark.parametrize("kind", ["dense", "conv", "grouped", "transposed", "transposed groups"])
def test_w61_patterns_by_loops(kind, estimator):
    """W61 (I19): cov[x, y] / var[y], or its two-component form, from every window of every sample; wᵀ a = 1 for each neuron."""
    rng = np.random.default_rng(2)
    op, shape, weight = {
        "dense": (Dense(), (4,), (3, 4)), "conv": (Conv((2,), (1,), ((1, 1),)), (2, 5), (3, 2, 2)),
        "grouped": (Conv(groups=2), (4, 5), (2, 2, 2)), "transposed": (ConvTranspose((2,)), (2, 3), (2, 3, 2)),
        "transposed groups": (ConvTranspose(groups=2), (4, 3), (4, 2, 2))}[kind]
    w, x = rng.normal(size=weight), rng.normal(size=(6, *shape)) + 0.3
    b = Builder()
    graph = b.build(b.add(op, b.input("x", (None, *shape)), b.param("w", w), b.param("b", rng.normal(size=4 if kind == "transposed groups" else weight[
        1 if kind == "transposed" else 0])), name="layer"))
    found = fit_patterns(graph, x, estimator)["layer"]
    # the layer as a matrix, column by column; entry (j, i) of it is weight number which[j, i]
    step = forward(graph, {"x": x}).step(graph.node("layer"))
    size, out = int(np.prod(shape)), step.y[0].size
    bare = [op.forward(e.reshape(1, *shape), w).reshape(-1) for e in np.eye(size)]
    ids = [op.forward(e.reshape(1, *shape), np.arange(1.0, w.size + 1).reshape(weight)).reshape(-1) for e in np.eye(size)]
    matrix, which = np.array(bare).T, np.array(ids).T.round().astype(int) - 1
    channel = np.arange(out) // (out // step.y.shape[1]) if kind != "dense" else np.arange(out)
    y = x.reshape(6, -1) @ matrix.T
    expected = np.zeros(w.size)
    for k in range(w.size):
        pairs = [(n, j, i) for n in range(6) for j in range(out) for i in range(size) if which[j, i] == k]
        c = channel[pairs[0][1]]
        every = [(n, j) for n in range(6) for j in range(out) if channel[j] == c]
        counted = [(n, j) for n, j in every if estimator == "linear" or y[n, j] > 0]
        chosen = set(counted)
        xs = {(n, j): x.reshape(6, -1)[n, i] for n, j, i in pairs}
        mean_xy = sum(xs.get(p, 0.0) * y[p] for p in counted) / len(chosen)
        mean_x = sum(xs.get(p, 0.0) for p in counted) / len(chosen)
        expected[k] = mean_xy - mean_x * np.mean([y[p] for p in every])
    expected = expected.reshape(weight)
    neurons = {k: channel[next(j for j in range(out) if (which[j] == k).any())] for k in range(w.size)}
    for c in set(neurons.values()):
        own = np.array([neurons[k] == c for k in range(w.size)]).reshape(weight)
        total = (w * expected)[own].sum()
        assert close((w * found)[own].sum(), 1.0, 1e-10)
        assert close(found[own], expected[own] / total, 1e-9)


def test_white_data_give_the_gradient():
    """cov[x] = 1: the pattern is w / |w|², so that PatternNet is the gradient up to a factor. All sign vectors are white."""
    x = exact(np.array(np.meshgrid(*[[-1, 1]] * 3)).reshape(3, -1).T)
    graph = mlp([[[1, 2, -2]]], [None]).astype("exact")
    patterns = fit_patterns(graph, x, "linear")
    assert patterns["fc1"].tolist() == [[F(1, 9), F(2, 9), F(-2, 9)]]
    assert str(patterns) == "patterns (linear, 8 samples) of fc1 (1, 3)"


def test_patterns_of_a_network():
    """Through ReLU, max-pool and skip the signal goes as the gradient does; a linear network is attributed completely."""
    rng = np.random.default_rng(4)
    graph, x = cnn(rng, 4, 2), numbers(rng, (40, 1, 4, 4))
    patterns = fit_patterns(graph, x)
    for method in ("patternnet", "pattern_attribution"):
        a = xc.explain(graph, x[:2], method, target=[0, 1], patterns=patterns)
        assert np.asarray(a).shape == (2, 1, 4, 4)
        assert a.layers["relu1"].shape == (2, 2, 4, 4)
    assert (np.asarray(a) == np.asarray(xc.explain(graph, x[:2], method, target=[0, 1], background=x))).all()
    for settings in ({}, {"patterns": patterns, "background": x}, {"patterns": "relu"}):
        with pytest.raises(Inapplicable, match=r"patternnet needs the patterns of this network, which come from data"):
            xc.explain(graph, x[:1], "patternnet", target=0, **settings)
    with pytest.raises(Inapplicable, match="no pattern was fitted for node 'fc2'"):
        xc.explain(NET_B, X_B, "patternnet", patterns=Patterns({}, "linear", 3))
    with pytest.raises(InputError, match="one sample has none"):
        fit_patterns(graph, x[:1])
    with pytest.raises(InputError, match="estimator='quadratic' does not exist"):
        fit_patterns(graph, x, "quadratic")


# ----- BiLRP ------------------------------------------------------------------------------------------------------


def test_bilrp_of_a_linear_embedding():
    """φ = W x: R_ii' = Σ_k w_ki x_i w_ki' x'_i', the sum of products of contributions."""
    rng = np.random.default_rng(5)
    w, x, other = rng.integers(1, 5, (3, 4)), rng.integers(1, 5, (2, 4)), rng.integers(1, 5, (2, 4))
    graph = mlp([w.tolist()], [None]).astype("exact")
    a = xc.explain(graph, x, "bilrp", other=exact(other), base="lrp.zero")
    for n in range(2):
        expected = [[sum(F(int(w[k, i] * x[n, i] * w[k, j] * other[n, j])) for k in range(3)) for j in range(4)] for i in range(4)]
        assert joint(a, n).tolist() == expected
        assert list(np.asarray(a)[n]) == [sum(row) for row in expected]
        assert a.output[n] == sum((w @ x[n]) * (w @ other[n])) == sum(map(sum, expected))
    one = xc.explain(graph, x, "bilrp", target=1, other=exact(other), base="lrp.zero")
    assert one.output[0] == (w @ x[0])[1] * (w @ other[0])[1]


@given(data=st.data())
def test_bilrp_is_symmetric_and_complete(data):
    graph = data.draw(mlps("none")).astype("exact")
    x, other = (exact(data.draw(inputs_of(graph, batch=(1, 1)))) for _ in range(2))
    base = RULE_SETS["lrp.zero"]()
    a, b = (xc.explain(graph, p, "bilrp", other=q, base=base) for p, q in ((x, other), (other, x)))
    assert (joint(a) == joint(b).T).all()
    traces = [forward(graph, {"x": p}) for p in (x, other)]
    assume(not any((t[n.name] == 0).any() for t in traces for n in graph.nodes if isinstance(n.op, Dense)))
    assert joint(a).sum() == a.output[0] == (graph(x) * graph(other)).sum()
    assert (joint(xc.explain(graph, x, "bilrp", base=base)) == joint(xc.explain(graph, x, "bilrp", other=x, base=base))).all()


def test_joint_reads_bilrp_alone():
    with pytest.raises(InputError, match=r"joint\(\) reads what bilrp found, and this is an attribution of gradient"):
        joint(xc.explain(NET_B, X_B, "gradient"))


# ----- attention rollout --------------------------------------------------------------------------------------------


def transformer(layers: int, heads: int = 2, tokens: int = 3, width: int = 4):
    rng = np.random.default_rng(6)
    b = Builder()
    h = b.input("x", (None, tokens, width))
    for k in range(layers):
        params = [b.param(f"{k}.{s}", rng.normal(size=(width, width) if s.startswith("w") else width)) for s in ("wq", "bq", "wk", "bk", "wv", "bv", "wo", "bo")]
        h = _attention(b, h, params, heads, f"att{k}")
    return b.build(b.add(Dense(), b.add(Sum((1,)), h), b.param("head", rng.normal(size=(2, width)))))


def _attention(b, h, params, heads, name):
    q, k, v = (b.add(Transpose((0, 2, 1, 3)), b.add(Reshape((3, heads, 2)), b.add(Dense(), h, params[i], params[i + 1]))) for i in (0, 2, 4))
    weights = b.add(Softmax(-1), b.add(MatMul(), q, b.add(Transpose((0, 1, 3, 2)), k)), name=f"{name}/weights")
    mixed = b.add(Reshape((3, 2 * heads)), b.add(Transpose((0, 2, 1, 3)), b.add(MatMul(), weights, v)))
    return b.add(Add(), h, b.add(Dense(), mixed, params[6], params[7]), name=name)


@pytest.mark.parametrize("heads", ["mean", "max", "min"])
def test_rollout_by_loops(heads):
    graph = transformer(2)
    x = np.random.default_rng(7).normal(size=(2, 3, 4))
    trace = forward(graph, {"x": x})
    a = xc.explain(graph, x, "attention_rollout", target=0, heads=heads, token=1, residual=0.25)
    for n in range(2):
        paths = np.eye(3)
        for layer in ("att0/weights", "att1/weights"):
            joined = np.array([[getattr(np, heads)([trace[layer][n, h, i, j] for h in range(2)]) for j in range(3)] for i in range(3)])
            step = [[0.25 * (i == j) + 0.75 * joined[i, j] / joined[i].sum() for j in range(3)] for i in range(3)]
            paths = np.array([[sum(step[i][k] * paths[k, j] for k in range(3)) for j in range(3)] for i in range(3)])
        assert close(a.extras["rollout"][n], paths, 1e-14)
        assert close(np.asarray(a)[n, :, 0], paths[1], 1e-14)
        assert close(paths.sum(axis=1), [1, 1, 1], 1e-14)
    assert a.extras["layers"] == ("att0/weights", "att1/weights")


def test_rollout_refusals():
    with pytest.raises(Inapplicable, match="no softmax over"):
        xc.explain(NET_B, X_B, "attention_rollout")
    graph, x = transformer(1), np.ones((1, 3, 4))
    for settings, error, message in (({"token": 3}, InputError, "token=3 is out of range: the layers have 3 tokens"), ({"residual": 2}, InputError, "from 0 to 1"),
                                     ({"heads": "sum"}, UnknownName, "heads='sum' does not exist")):
        with pytest.raises(error, match=message):
            xc.explain(graph, x, "attention_rollout", target=0, **settings)


# ----- global saliency ----------------------------------------------------------------------------------------------


def quadratic():
    """½ (2 x1 - 5 x2 - y)² at y = 0, as a graph: the cost itself is explained."""
    b = Builder(dtype="exact")
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[2, -5]]))
    return b.build(b.add(Mul(), b.constant(F(1, 2)), b.add(Mul(), z, z)))


def test_w51_global_saliency_by_hand():
    """W51 (E70): at (3, 1) removing x1 costs 12, removing x2 17.5, and the second-order level says the same."""
    found = {level: list(np.asarray(xc.explain(quadratic(), [[3, 1]], "global_saliency", level=level))[0])
             for level in ("deletion", "first", "second", "sensitivity")}
    assert found["deletion"] == found["second"] == [12, F(35, 2)]
    assert found["first"] == [-6, 5]                                    # -x g with g = (2, -5)
    assert found["sensitivity"] == [4, 25]


@given(seed=st.integers(0, 2**32 - 1))
def test_w51_quadratic_costs(seed):
    """W51: any quadratic cost, any baseline: deletion in rationals; in floats to the rounding of a second difference."""
    rng = np.random.default_rng(seed)
    w, c = rng.integers(-3, 4, (2, 3)), rng.integers(-3, 4, 2)
    b = Builder(dtype="exact")
    z = b.add(Sub(), b.add(Dense(), b.input("x", (None, 3)), b.param("w", w)), b.constant(exact(c[None])))
    graph = b.build(b.add(Sum((1,)), b.add(Mul(), z, z)))
    x, to = rng.integers(-4, 5, (2, 3)), rng.integers(-4, 5, (2, 3))
    levels = [xc.explain(graph, x, "global_saliency", level=level, baseline=exact(to)) for level in ("deletion", "second")]
    assert (np.asarray(levels[0]) == np.asarray(levels[1])).all()
    assert (levels[0].extras["global"]["x"] == np.asarray(levels[0]).sum(axis=0) / 2).all()
    removed = [[sum((w @ [to[n, i] if i == k else x[n, i] for i in range(3)] - c) ** 2) - sum((w @ x[n] - c) ** 2) for k in range(3)] for n in range(2)]
    assert (np.asarray(levels[0]) == np.array(removed)).all()
    single = np.asarray(xc.explain(graph.astype("float64"), x, "global_saliency", level="second", baseline=to.astype(float)))
    # a second difference with h = 6e-6 · 4 divides the rounding of gradients of size 400 by 5e-5: some 1e-9 of the largest entry
    assert close(single, np.asarray(levels[1]).astype(float), 1e-7, scale=400.0)


def test_a_cost_as_target():
    """The cost is built on the graph by the target: squared error to 1."""
    def cost(b, y):
        d = b.add(Sub(), y, b.constant(1.0))
        return b.add(Sum((1,)), b.add(Mul(), d, d))

    a = xc.explain(NET_B, X_B, "global_saliency", target=cost, level="deletion")
    without = [(NET_B([v])[0, 0] - 1) ** 2 - (NET_B(X_B)[0, 0] - 1) ** 2 for v in ([0.0, 1.0], [2.0, 0.0])]
    assert close(np.asarray(a)[0], without, 1e-14)
