"""DeepLIFT against its twin by loops, against exact arithmetic, and where peers differ."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, close, mlp
from xaicore import Builder
from xaicore.errors import Inapplicable, InputError
from xaicore.graph.blocks import multi_head_attention
from xaicore.graph.passes import fold_batchnorm
from xaicore.ops import (
    Add,
    BatchNorm,
    Compare,
    Conv,
    Dense,
    Detach,
    Div,
    Flatten,
    GlobalAvgPool,
    LayerNorm,
    Maximum,
    MaxPool,
    Mean,
    Mul,
    Norm,
    ReduceMin,
    ReLU,
    Reshape,
    Sigmoid,
    SiLU,
    Softmax,
    Sum,
    Tanh,
    ToFloat,
)
from xaicore.oracle.strategies import SMOOTH, cnns, graphs, inputs_of, mlps, numbers
from xaicore.oracle.twins.deeplift import ReluNet

RULES = ("deeplift.rescale", "deeplift.reveal_cancel", "deeplift.genomics")


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


@given(data=st.data())
@pytest.mark.parametrize("reveal", [False, True], ids=["rescale", "reveal_cancel"])
def test_equals_the_loops(reveal, data):
    """In rationals, on fully connected networks: no tolerance."""
    graph = data.draw(mlps()).astype("exact")
    x, x0 = (exact(data.draw(inputs_of(graph, batch=(1, 1)))) for _ in range(2))
    layers = [n for n in graph.nodes if isinstance(n.op, Dense)]
    net = ReluNet([graph.params[n.inputs[1]].tolist() for n in layers], [graph.params[n.inputs[2]].tolist() for n in layers])
    a = xc.explain(graph, x, "deeplift.reveal_cancel" if reveal else "deeplift.rescale", target=1, baseline=x0)
    assert list(np.asarray(a)[0]) == net.deeplift(list(x[0]), list(x0[0]), 1, reveal)


@given(data=st.data())
@pytest.mark.parametrize("method", RULES)
def test_summation_to_delta(method, data):
    """Exactly zero on piecewise-linear graphs with skips, pools, concatenations, reused values."""
    graph = data.draw(cnns(activations=(ReLU(),))).astype("exact")
    x, x0 = (exact(data.draw(inputs_of(graph, batch=(1, 1)))) for _ in range(2))
    a = xc.explain(graph, x, method, target=0, baseline=x0)
    assert a.gap()[0] == 0
    assert a.output[0] == graph(x)[0, 0]
    assert a.baseline_output[0] == graph(x0)[0, 0]
    assert a.ledger is not None
    assert all(v == 0 for e in a.ledger for v in e.absorbed)


@given(data=st.data())
@pytest.mark.parametrize("method", RULES)
def test_smooth_activations(method, data):
    graph = data.draw(mlps(activations=SMOOTH))
    x, x0 = (data.draw(inputs_of(graph, batch=(2, 2))) for _ in range(2))
    a = xc.explain(graph, x, method, target=0, baseline=x0)
    assert close(a.gap(), [0, 0], scale=abs(np.asarray(a)).sum() + abs(a.output).max())


@given(seed=st.integers(0, 2**32 - 1))
@pytest.mark.parametrize("method", RULES)
def test_transformer_with_gate_closes(method, seed):
    """Self-attention, LayerNorm, a gate and a division: softmax and norms are decomposed, products taken at the midpoint."""
    rng = np.random.default_rng(seed)
    b = Builder()
    x = b.input("x", (None, 3, 4))
    weights = [b.param(f"w{k}", numbers(rng, (4, 4))) for k in range(4)]
    y = b.add(Add(), x, multi_head_attention(b, x, weights, [None] * 4, heads=2, width=4))
    y = b.add(LayerNorm(1), y, b.param("g", numbers(rng, (4,))), b.param("beta", numbers(rng, (4,))))
    gate = b.add(Sigmoid(), b.add(Dense(), y, b.param("wg", numbers(rng, (4, 4)))))
    y = b.add(Div(), b.add(Mul(), y, gate), b.add(Add(), b.add(Mul(), gate, gate), b.constant(1.0)))
    y = b.add(Dense(), b.add(Mean((1,)), b.add(SiLU(), y)), b.param("head", numbers(rng, (3, 4))))
    graph = b.build(y)
    data, base = numbers(rng, (2, 3, 4)), numbers(rng, (2, 3, 4))
    a = xc.explain(graph, data, method, target=2, baseline=base)
    # 1e-9 of the summed magnitudes: the quotients dy/dx lose up to 1/threshold = 1e10 units of the last place only where |dx|
    # is that small, and then enter times dx
    assert np.abs(a.gap()).max() <= 1e-9 * max(1, np.abs(np.asarray(a)).sum())


def test_probability_of_a_softmax_head():
    """A decomposed softmax completes; the shift is one number in both traces, so logits far apart make no difference."""
    b = Builder()
    g = b.build(b.add(Softmax(-1), b.input("x", (None, 3))))
    for shift in (0, 500):
        a = xc.explain(g, [[1.0 + shift, 2.0 + shift, -1.0 + shift]], "deeplift.rescale", target=1, output="probability", baseline=shift)
        assert close(a.total(), [np.exp(2) / (np.exp(1) + np.exp(2) + np.exp(-1)) - 1 / 3])


@given(x=st.lists(st.integers(-9, 9), min_size=4, max_size=4), x0=st.lists(st.integers(-9, 9), min_size=4, max_size=4))
def test_minimum_and_overlapping_maxima_complete(x, x0):
    b = Builder(dtype="exact")
    v = b.input("x", (None, 1, 4))
    pooled = b.add(MaxPool((2,), stride=(1,)), v)
    g = b.build(b.add(ReduceMin((1, 2)), pooled))
    a = xc.explain(g, [[x]], "deeplift.rescale", baseline=exact(np.array([[x0]])))
    assert a.gap()[0] == 0
    assert abs(np.asarray(a)).max() <= max(abs(p - q) for p, q in zip(x, x0))      # every multiplier is in [0, 1]


def test_tiny_difference_uses_the_derivative():
    """x = 2e-7 against -3e-7: 0.4 by the quotient (captum, deeplift), 0 by the derivative at the baseline (shap, 1e-6)."""
    b = Builder()
    g = b.build(b.add(ReLU(), b.input("x", (None, 1))))
    base = np.array([[-3e-7]])
    assert close(np.asarray(xc.explain(g, [[2e-7]], "deeplift.rescale", baseline=base)) / 5e-7, [[0.4]])
    assert np.asarray(xc.explain(g, [[2e-7]], "deeplift.rescale", baseline=base, threshold=1e-6, fallback="reference"))[0, 0] == 0
    assert close(np.asarray(xc.explain(g, [[2e-7]], "deeplift.rescale", baseline=base, threshold=1e-6)) / 5e-7, [[1]])


def test_a_row_of_zeros_has_no_direction(rng):
    """Directions of tokens, one of which is padding (0 on both runs): the length's slope is infinite there, and the others' shares stay."""
    def directions(tokens):
        b = Builder()
        x = b.input("x", (None, tokens, 4))
        length = b.add(Maximum(), b.add(Norm((2,), True), x), b.constant(1e-12))
        w = np.random.default_rng(5).standard_normal((2, 12))
        return b.build(b.add(Dense(), b.add(Flatten(), b.add(Div(), x, length)), b.param("w", w[:, 4 * (3 - tokens):])))

    x, x0 = rng.standard_normal((2, 1, 3, 4))
    x[0, 0] = x0[0, 0] = 0
    whole, rest = (xc.explain(directions(n), x[:, -n:], "deeplift.rescale", 1, baseline=x0[:, -n:]) for n in (3, 2))
    assert np.abs(whole.gap()).max() < 1e-12
    assert not np.asarray(whole)[0, 0].any()
    assert close(np.asarray(whole)[:, 1:], np.asarray(rest))


@given(data=st.data())
def test_zero_when_input_is_the_reference(data):
    graph = data.draw(graphs())
    x = data.draw(inputs_of(graph))
    for method in RULES:
        assert not np.asarray(xc.explain(graph, x, method, target=0, baseline=x)).any()


def test_genomics_is_rescale_after_convolutions():
    """On a network with convolutions alone it is Rescale, on a dense one RevealCancel."""
    rng = np.random.default_rng(5)
    b = Builder()
    x = b.input("x", (None, 1, 5, 5))
    h = b.add(ReLU(), b.add(Conv(), x, b.param("w", numbers(rng, (2, 1, 3, 3)))))
    h = b.add(ReLU(), b.add(Conv(), h, b.param("v", numbers(rng, (2, 2, 2, 2)))))
    g = b.build(b.add(Reshape((2,)), b.add(GlobalAvgPool(), h)))
    data, base = numbers(rng, (1, 1, 5, 5)), numbers(rng, (1, 1, 5, 5))
    values = {m: np.asarray(xc.explain(g, data, m, target=0, baseline=base)) for m in RULES}
    assert close(values["deeplift.genomics"], values["deeplift.rescale"])
    assert not close(values["deeplift.genomics"], values["deeplift.reveal_cancel"], 1e-4)
    dense = {m: np.asarray(xc.explain(NET_A, [[3.0, 1.0]], m)) for m in RULES}
    assert close(dense["deeplift.genomics"], dense["deeplift.reveal_cancel"])


@pytest.mark.parametrize("method", RULES)
def test_batch_normalisation_is_part_of_the_layer_before_it(method):
    """The same numbers whether the exporter has folded it or not, for scales of either sign. The deeplift library, too,
    carries the positive and the negative part through it."""
    rng = np.random.default_rng(3)
    b = Builder()
    h = b.add(Conv(), b.input("x", (None, 2, 4, 4)), b.param("w", numbers(rng, (3, 2, 2, 2))))
    h = b.add(BatchNorm(), h, *(b.param(f"bn{k}", np.array(v)) for k, v in enumerate(([1.5, -2.0, 0.5], [0.1, 0.2, -0.3], [0.0, 0.4, 1.0],
                                                                                     [1.0, 0.5, 2.0]))))
    g = b.build(b.add(Dense(), b.add(Flatten(), b.add(ReLU(), h)), b.param("v", numbers(rng, (2, 27)))))
    x, x0 = numbers(rng, (1, 2, 4, 4)), numbers(rng, (1, 2, 4, 4))
    values = [np.asarray(xc.explain(graph, x, method, target=1, baseline=x0)) for graph in (g, fold_batchnorm(g))]
    assert close(*values)


def test_settings():
    with pytest.raises(InputError, match="fallback='nowhere'"):
        xc.explain(NET_A, [[3.0, 1.0]], "deeplift.rescale", fallback="nowhere")


def test_tanh_unit_closed_form():
    """One tanh unit: Rescale gives Δf w_i Δx_i / (w · Δx)."""
    g = mlp([[[2.0, -1.0]], [[1.0]]], [[0.25], None])
    b = Builder()
    x = b.input("x", (None, 2))
    g = b.build(b.add(Tanh(), b.add(Dense(), x, b.param("w", [[2.0, -1.0]]), b.param("c", [0.25]))))
    a = xc.explain(g, [[0.5, 0.25]], "deeplift.rescale")
    df = np.tanh(1.0) - np.tanh(0.25)
    assert close(np.asarray(a)[0], [df * 1.0 / 0.75, df * -0.25 / 0.75])


# ----- a softmax whose scores lie far apart -----------------------------------------------------------------------------


def softmax_by_loops(s, s0, w):
    """Contributions of the scores to Σ w_i softmax_i: y = exp(s - L), L = ln Σ exp(s), every function by its Δy / Δx."""
    e, e0 = np.exp(s - s.max()), np.exp(s0 - s.max())
    total, total0 = e.sum(), e0.sum()
    log = (np.log(total) - np.log(total0)) / (total - total0) if total != total0 else 1 / total
    out = np.zeros(len(s))
    for i in range(len(s)):
        u, u0 = s[i] - s.max() - np.log(total), s0[i] - s.max() - np.log(total0)
        slope = (np.exp(u) - np.exp(u0)) / (u - u0) if u != u0 else np.exp(u)
        for k in range(len(s)):
            mean = (e[k] - e0[k]) / (s[k] - s0[k]) if s[k] != s0[k] else e[k]
            out[k] += w[i] * slope * ((i == k) - mean * log) * (s[k] - s0[k])
    return out


@given(st.floats(0, 600), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_softmax_completes_however_far_the_scores_are_apart(distance, size, seed):
    """e^distance is within float64 up to 709. The quotient exp / sum loses everything from e^36 on."""
    rng = np.random.default_rng(seed)
    s, s0 = rng.normal(size=size), rng.normal(size=size)
    s0[rng.integers(size)] += distance
    w = rng.normal(size=size)
    b = Builder()
    x = b.input("x", (None, size))
    graph = b.build(b.add(Dense(), b.add(Softmax(-1), x), b.param("w", w[None])))
    for one, other in ((s, s0), (s0, s)):
        a = xc.explain(graph, one[None], "deeplift.rescale", target=0, baseline=other[None])
        assert abs(float(a.gap()[0])) < 1e-12                            # of numbers of size 1: a dozen roundings
        np.testing.assert_allclose(np.asarray(a)[0], softmax_by_loops(one, other, w), atol=1e-9)    # differences of equal scores by loops
        assert np.abs(np.asarray(a)).max() <= 2 * np.abs(w).max() * np.abs(one - other).max()       # multipliers of at most 1, twice


@pytest.mark.parametrize("method", RULES)
@pytest.mark.parametrize("kind", ["product", "sum", "maximum", "detached"])
def test_a_computed_weight_that_differs_on_the_baseline_is_refused(kind, method):
    """x · [x > 0], x + [x > 0], max(x, [x > 0]), x · detach(x): what carries no signal moves between the two runs, unseen by a multiplier."""
    b = Builder()
    x = b.input("x", (None, 2))
    step = b.add(Detach(), x) if kind == "detached" else b.add(ToFloat(), b.add(Compare("gt"), x, b.constant(0.0)))
    op = {"product": Mul(), "sum": Add(), "maximum": Maximum(), "detached": Mul()}[kind]
    graph = b.build(b.add(Sum((1,)), b.add(op, x, step, name="joined")))
    with pytest.raises(Inapplicable, match=f"node 'joined' .{type(op).__name__}.*has other weights there"):
        xc.explain(graph, [[1.0, 2.0]], method, baseline=-1.0)
    if kind != "detached":
        a = xc.explain(graph, [[1.0, 2.0]], method, baseline=0.5)       # on the same side
        assert a.gap()[0] == 0
