"""Exact mode: on a piecewise-linear network everything is a rational, sums close to Fraction(0), and a float is an error."""

from __future__ import annotations

from fractions import Fraction as F

import numpy as np
import pytest

import xaicore as xc
from tests.cases import CASES
from tests.graph.graphs import graph_of
from tests.methods import games
from tests.nets import NET_A
from tests.oracle.planted import cnn, exact, image, pooled, several, tiny, tiny_image
from xaicore import Builder, Graph
from xaicore.errors import ExactnessError, GraphError, XaicoreError
from xaicore.graph import InputSpec, Node
from xaicore.ops import OPS, Dense
from xaicore.trace import forward

METHODS_OF_THE_ISSUE = ["integrated_gradients.exact", "deeplift.rescale", "deeplift.reveal_cancel", "deeplift.genomics"]


def fractions(values) -> bool:
    return all(type(v) is F for v in np.asarray(values).reshape(-1))


# ----- sums that close ----------------------------------------------------------------------------------------------


def test_the_network_is_worth_testing():
    """A residual connection, a max-pool, units on both sides of their kinks."""
    graph = tiny()
    assert {"skip", "pool"} <= {n.name for n in graph.nodes}
    trace = forward(graph, {"x": tiny_image(2)})
    for name in ("relu1", "relu2"):
        assert 0.3 < (trace[name] > 0).mean() < 0.95
    assert fractions(trace["logits"])


@pytest.mark.parametrize("method", METHODS_OF_THE_ISSUE)
@pytest.mark.parametrize("target", [0, 1])
def test_complete_methods_have_no_gap(method, target):
    for baseline in (0, F(1, 3), tiny_image(2) / 7):
        a = xc.explain(tiny(), tiny_image(2), method, target=target, baseline=baseline)
        assert a.gap().tolist() == [F(0), F(0)]
        assert fractions(a.gap())
        assert fractions(a)
        assert a.output.tolist() != a.baseline_output.tolist()


@pytest.mark.parametrize("target", [0, 1])
def test_lrp_zero_has_no_gap_without_biases(target):
    """With the biases left out of the denominators, and on the network that has none."""
    for graph, settings in ((tiny(), {"bias": "ignore"}), (tiny(bias=False), {}), (tiny(bias=False), {"bias": "distribute"})):
        a = xc.explain(graph, tiny_image(2), "lrp.zero", target=target, **settings)
        assert a.gap().tolist() == [F(0), F(0)]
        assert fractions(a)
        assert all(v == 0 for e in a.ledger for v in e.absorbed)


def test_what_biases_absorb_is_the_gap_to_the_last_digit():
    """The books balance: f(x) - Σ R is what the ledger's nodes kept, entry by entry."""
    for method in ("lrp.zero", "lrp.epsilon", "lrp.gamma", "lrp.alpha_beta", "lrp.z_plus", "lrp.w_square", "lrp.flat"):
        a = xc.explain(tiny(), tiny_image(2), method, target=1)
        assert (a.ledger.absorbed == a.gap()).all()
        assert fractions(a.gap())


def test_float64_agrees():
    """The rationals are the limit of the floats: every method, to rounding."""
    x = image(2)
    for method in [*METHODS_OF_THE_ISSUE, "gradient", "lrp.zero", "lrp.gamma", "lrp.alpha_beta", "deep_taylor", "occlusion"]:
        ours = np.asarray(xc.explain(cnn().astype("exact"), exact(x), method, target=1))
        theirs = np.asarray(xc.explain(cnn(), x, method, target=1))
        # 1e-9: ten nodes of some 20 roundings, whose LRP denominators are at least 1/256 of their terms
        np.testing.assert_allclose(theirs, ours.astype(float), rtol=1e-9, atol=1e-9 * abs(ours.astype(float)).max())


# ----- every method -------------------------------------------------------------------------------------------------


NEEDS = {"lrp.z_box": {"low": -2, "high": 2}, "lrp.epsilon_gamma_box": {"low": -2, "high": 2}}
IRRATIONAL = {"integrated_gradients": "irrational", "smoothgrad": "noise is not rational", "smoothgrad_squared": "noise is not rational",
              "vargrad": "noise is not rational", "grad_cam_plus_plus": r"e\^f is not rational", "score_cam": "softmax is not rational",
              "faster_score_cam": "softmax is not rational", "smoe": "not rational", "fastcam": "not rational",
              "eigen_cam": "singular vectors are not rational", "sglrp": "sglrp starts from a softmax", "salient_relevance": "measures distances", "expected_gradients": "irrational",
              "internal_influence": "irrational", "blur_ig": "Gaussian is not rational", "xrai": "irrational", **games.IRRATIONAL}
NOISE = {"noise": tiny_image(6).reshape(3, 2, 1, 3, 3) / 9}
RATIONAL_WITH = {"integrated_gradients": {"quadrature": "midpoint", "steps": 3}, "smoothgrad": NOISE, "smoothgrad_squared": NOISE,
                 "vargrad": NOISE, "grad_cam_plus_plus": {"score": "linear"}, "score_cam": {"weights": "increase"},
                 "faster_score_cam": {"weights": "increase", "top": 1}, "smoe": {"statistic": "mean", "normalize": "min_max"},
                 "expected_gradients": {"quadrature": "midpoint", "steps": 3}, "internal_influence": {"quadrature": "exact"},
                 "guided_ig": {"steps": 3}, "xrai": {"quadrature": "midpoint", "steps": 2, "segments": 2}, "interior_gradients": {"steps": 3}, "conductance": {"quadrature": "exact"},
                 "fastcam": {"statistic": "max", "normalize": None}, **games.RATIONAL}
NEVER = {"eigen_cam", "sglrp", "blur_ig", "attention_rollout", "salient_relevance", *games.NEVER}  # roots, softmaxes, a blur


@pytest.mark.parametrize("method", sorted(xc.METHODS))
def test_every_method_is_rational_or_says_that_it_is_not(method):
    if method in IRRATIONAL:
        with pytest.raises(ExactnessError, match=IRRATIONAL[method]):
            xc.explain(tiny(), tiny_image(2), method, target=0)
    if method in NEVER:
        return
    graph, x = (pooled("exact"), exact(image(2))) if method == "cam" else (tiny(), tiny_image(2))
    if method in games.SPECIAL:
        graph = games.SPECIAL[method](np.random.default_rng(0), "exact")
        x = games.special_input(method, np.repeat(tiny_image(2), 2, axis=1), "exact")
    a = xc.explain(graph, x, method, target=0, **NEEDS.get(method, {}), **RATIONAL_WITH.get(method, {}))
    assert fractions(a.output)
    assert all(fractions(v) for v in a.values.values())
    assert all(fractions(v) for v in a.layers.values())
    assert np.asarray(a).any()


def test_settings_are_read_as_the_decimals_that_they_show():
    """0.1 is one tenth, not the nearest binary number."""
    zero = xc.explain(tiny(), tiny_image(1), "lrp.epsilon", target=0, eps=0.1)
    tenth = xc.explain(tiny(), tiny_image(1), "lrp.epsilon", target=0, eps=F(1, 10))
    assert (np.asarray(zero) == np.asarray(tenth)).all()


def test_a_reduction_with_a_root():
    with pytest.raises(ExactnessError, match="reduce='l2' has a square root"):
        xc.explain(tiny(), tiny_image(1), "saliency", target=0, reduce="l2")
    assert fractions(xc.explain(tiny(), tiny_image(1), "saliency", target=0, reduce="sum_abs"))


# ----- no float comes in --------------------------------------------------------------------------------------------


def built(value):
    b = Builder(dtype="exact")
    return b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", value)))


ONE = [[3, 1]]
X = NET_A.astype("exact")
ENTRANCES = {
    "input, a list": lambda: xc.explain(X, [[0.5, 1.0]]),
    "input, an array": lambda: xc.explain(X, np.array([[0.5, 1.0]])),
    "input, float32": lambda: xc.explain(X, np.array([[0.5, 1.0]], dtype="float32")),
    "input, one among Fractions": lambda: xc.explain(X, [[F(1, 2), 1.0]]),
    "input, by name": lambda: X(x=[[0.5, 1.0]]),
    "input, called": lambda: X([[0.5, 1.0]]),
    "parameter": lambda: built([[0.5, 1.0]]),
    "parameter, one among Fractions": lambda: built(np.array([[F(1, 2), 0.5]])),
    "constant": lambda: Builder(dtype="exact").constant(0.5),
    "baseline, a number": lambda: xc.explain(X, ONE, "deeplift.rescale", baseline=0.5),
    "baseline, NumPy's number": lambda: xc.explain(X, ONE, "deeplift.rescale", baseline=np.float64(0.5)),
    "baseline, an array": lambda: xc.explain(X, ONE, "deeplift.rescale", baseline=np.array([0.5, 0.5])),
    "baseline, by name": lambda: xc.explain(X, ONE, "integrated_gradients.exact", baseline={"x": [0.5, F(1)]}),
    "baseline of a path": lambda: xc.explain(X, ONE, "integrated_gradients.exact", baseline=0.5),
    "root": lambda: xc.explain(X, ONE, "simple_taylor", root=0.5),
    "filling": lambda: xc.explain(X, ONE, "occlusion", fill=0.5),
    "target weights": lambda: xc.explain(X, ONE, target=np.array([0.5])),
    "target weights by sample": lambda: xc.explain(X, ONE, target=np.array([[0.5]])),
    "target weights, one among Fractions": lambda: xc.explain(tiny(), tiny_image(1), target=np.array([F(1, 2), 0.5], dtype=object)),
    "noise": lambda: xc.explain(X, ONE, "smoothgrad", noise=np.zeros((2, 1, 2))),
}


@pytest.mark.parametrize("entrance", ENTRANCES)
def test_a_float_is_an_error_at_every_entrance(entrance):
    with pytest.raises(ExactnessError, match=r"\d\.\d.* is a float.*, and exact mode takes only int and Fraction. Write it as a fraction"):
        ENTRANCES[entrance]()


def test_a_graph_made_of_floats_is_no_exact_graph():
    w = np.array([[0.5, 1.0]])
    with pytest.raises(GraphError, match="parameter 'w' has dtype float64, but the graph is object; use Builder.param or astype"):
        Graph({"x": InputSpec((None, 2))}, {"w": w}, (Node("y", Dense(), ("x", "w")),), ("y",), "exact")


def test_whole_numbers_and_fractions_come_in():
    for x in ([[3, 1]], [[F(3), F(1)]], np.array([[3, 1]]), np.array([[3, 1]], dtype="int8"), [[F(3), 1]]):
        assert X(x)[0, 0] == F(1)
    assert xc.explain(X, ONE, "deeplift.rescale", baseline=np.array([1, 2])).gap()[0] == 0
    assert xc.explain(X, ONE, target=np.array([F(1, 2)])).output[0] == F(1, 2)
    assert xc.explain(X, ONE, target=np.array([[2]])).output[0] == 2
    graph, feeds = several()
    feeds = {k: exact(v) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    a = xc.explain(graph.astype("exact"), feeds, "lrp.zero", target=("one", 1))
    assert fractions(a["x"])
    assert fractions(a["z"])


# ----- every operator -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_every_operator_is_rational_or_says_that_it_is_not(case):
    graph, feeds = graph_of(case, "exact")
    if not case.op.rational:
        with pytest.raises(ExactnessError, match=rf"node 'node'.*: {type(case.op).__name__}.* is not rational, so it has no value in exact mode"):
            graph(feeds)
        return
    y = graph(feeds)
    assert y.dtype.kind in "iub" or fractions(y)
    floats, same = graph_of(case, "float64")
    # 1e-12: some thousand roundings of 1e-16, of numbers of about the size of the largest
    np.testing.assert_allclose(floats(same).astype(float), y.astype(float), rtol=1e-12, atol=1e-12 * max(1.0, abs(y.astype(float)).max()))


def test_both_kinds_of_operators_are_there():
    rational = {name for name, kind in OPS.items() if kind.rational}
    assert {"Conv", "MaxPool", "ReLU", "LeakyReLU", "Clip", "Abs", "Resize", "Mean", "Div"} <= rational
    assert {"Softmax", "Sigmoid", "Tanh", "GELU", "Exp", "LayerNorm", "Sqrt", "BatchNorm"} <= set(OPS) - rational


def test_a_softmax_head_is_explained_before_it():
    graph = cnn(head=True).astype("exact")
    a = xc.explain(graph, exact(image(1)), "deeplift.rescale", target=1)
    assert a.gap()[0] == 0
    assert a.explained == "logit 1 of 'logits' (before Softmax)"
    with pytest.raises(ExactnessError, match=r"node 'probabilities': Softmax\(\) is not rational"):
        xc.explain(graph, exact(image(1)), "gradient", target=1, output="probability")
    with pytest.raises(XaicoreError, match="'probabilities'"):
        graph(exact(image(1)))
