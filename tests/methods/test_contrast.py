"""CLRP, SGLRP, contrastive excitation backpropagation and conditioned relevance against loops, and their identities."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import xaicore as xc
from tests.methods.networks import cnn
from tests.nets import NET_A, X_A, close, mlp
from xaicore import Builder
from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName
from xaicore.methods.contrast import softmax_gradient
from xaicore.ops import Add, Conv, Dense, ReLU
from xaicore.oracle.strategies import cnns, inputs_of, mlps, numbers
from xaicore.oracle.twins import rules as twins
from xaicore.rules import RULE_SETS


def exact(values):
    return np.vectorize(F, otypes=[object])(values)


def values(graph, x, method, **settings):
    return np.asarray(xc.explain(graph, x, method, target=settings.pop("target", 0), **settings))


def layers_of(graph):
    """The weights and biases of a drawn perceptron, as lists."""
    dense = [n for n in graph.nodes if len(n.inputs) > 1]
    return [([list(row) for row in graph.params[n.inputs[1]]], list(graph.params[n.inputs[2]]) if len(n.inputs) > 2 else None) for n in dense]


def walk(layers, x, start, rule):
    """A rule's loops from the top down to the input: rule(activations, weights, biases, signal, is_top)."""
    activations = [list(x)]
    for k, (w, b) in enumerate(layers):
        z = [sum(a * v for a, v in zip(activations[-1], row)) + (0 if b is None else b[j]) for j, row in enumerate(w)]
        activations.append([max(v, v * 0) for v in z] if k + 1 < len(layers) else z)
    signal = start(activations[-1])
    for k in reversed(range(len(layers))):
        w, b = layers[k]
        signal = rule(activations[k], w, b or [0] * len(w), signal, k + 1 == len(layers))
    return signal


# ----- CLRP -------------------------------------------------------------------------------------------------------


TWO_CLASSES = mlp([[[3.0, 1.0], [1.0, 3.0]]], [None])


@pytest.mark.parametrize("dual", ["negated", "uniform", "scores"])
@given(data=st.data())
def test_clrp_is_two_walks(dual, data):
    """The paper's two passes as loops, with z+ in every layer, in rationals; W20 (I14): without the maximum the sum is 0."""
    graph = data.draw(mlps("none", hidden=(1, 2))).astype("exact")
    x = exact(data.draw(inputs_of(graph, batch=(1, 1), nonnegative=True)))
    layers = layers_of(graph)

    def z_plus(a, w, b, r, top, sign=1):
        return twins.z_plus(a, [[sign * v for v in row] for row in w] if top else w, b, r, "absorb")

    def others(z):
        return [z[0] * 0] + ([z[0]] * (len(z) - 1) if dual == "uniform" else [abs(v) for v in z[1:]])

    r = walk(layers, x[0], lambda z: [z[0], *[z[0] * 0] * (len(z) - 1)], z_plus)
    if dual == "negated":
        r_dual = walk(layers, x[0], lambda z: [z[0], *[z[0] * 0] * (len(z) - 1)], lambda *a: z_plus(*a, sign=-1))
    else:
        r_dual = walk(layers, x[0], others, z_plus)
    factor = sum(r) / sum(r_dual) if sum(r_dual) else 0
    expected = [max(p - factor * q, F(0)) for p, q in zip(r, r_dual)]
    assert list(values(graph, x, "clrp", dual=dual)[0]) == expected
    signed = values(graph, x, "clrp", dual=dual, relu=False)
    if sum(r_dual):
        assert signed.sum() == 0


def test_clrp_of_identical_classes_is_nothing():
    graph = mlp([[[1.0, 2.0], [0.5, 1.0]], [[1.0, 2.0], [1.0, 2.0]]], [None, None]).astype("exact")
    for dual in ("uniform", "scores"):
        assert not values(graph, [[1, 2]], "clrp", dual=dual).any()


@given(data=st.data())
def test_clrp_scales_with_the_logit(data):
    graph, x = data.draw(cnns()), None
    x = data.draw(inputs_of(graph))
    a = values(graph, x, "clrp", base=RULE_SETS["lrp.z_plus"](eps=0, bias="ignore"), dual="uniform")
    assert (a >= 0).all()
    assert a.shape == x.shape


# ----- SGLRP ------------------------------------------------------------------------------------------------------


def test_w19_the_top_vector_of_sglrp():
    """W19 (E47, I11): rows of the softmax Jacobian, which sum to 0: for logits (0, ln 3), p = (1/4, 3/4), (3/16, -3/16)."""
    z = np.array([[0.0, np.log(3.0)]])
    assert close(softmax_gradient(z, np.array([[1.0, 0.0]])), [[3 / 16, -3 / 16]], 1e-15)
    z = np.random.default_rng(0).normal(size=(4, 5))
    p = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    for t in range(5):
        rows = softmax_gradient(z, np.eye(5)[[t] * 4])
        jacobian = np.array([np.diag(q) - np.outer(q, q) for q in p])
        assert close(rows, jacobian[:, t], 1e-14)
        assert abs(rows.sum(axis=1)).max() < 1e-15


@given(data=st.data())
def test_sglrp_is_one_walk_from_the_softmax_gradient(data):
    """LRP-0 is linear in R: one loop from the whole vector is the difference of the two passes."""
    graph = data.draw(mlps("none", hidden=(1, 2)))
    x = data.draw(inputs_of(graph, batch=(1, 1)))
    z = graph(x)[0]
    p = np.exp(z - z.max()) / np.exp(z - z.max()).sum()
    start = [p[1] * ((n == 1) - p[n]) for n in range(len(z))]
    expected = walk(layers_of(graph), x[0], lambda _: start, lambda a, w, b, r, top: twins.epsilon(a, w, b, r))
    found = values(graph, x, "sglrp", target=1, base="lrp.zero")
    assume(max(abs(v) for v in expected) < 1e3)                         # LRP-0 divides by sums that may cancel
    assert close(found[0], expected, 1e-9, scale=max(abs(v) for v in expected) + 1)
    masses = [values(graph, x, "sglrp", target=1, base="lrp.z_plus", rescale=r).sum() for r in (False, True)]
    assert abs(masses[1]) <= 1e-12 or masses[1] == masses[0]            # equal masses: the sum is 0, unless the others have none


# ----- excitation backpropagation -----------------------------------------------------------------------------------


def test_excitation_by_hand():
    """NET A at (3, 1): 2 · 3 is the only excitation of the output, and hidden unit 1 is excited by input 1 alone."""
    a = xc.explain(NET_A.astype("exact"), [[3, 1]], "excitation_backprop", target=0)
    assert list(a.layers["relu1"][0]) == [1, 0, 0]
    assert list(np.asarray(a)[0]) == [1, 0]
    assert close(values(NET_A, X_A, "excitation_backprop"), [[1, 0]])
    c = xc.explain(NET_A.astype("exact"), [[3, 1]], "excitation_backprop", target=0, contrastive=True)
    assert list(c.layers["relu1"][0]) == [1, -1, 0]                     # the dual output is excited by unit 2 alone
    assert list(np.asarray(c)[0]) == [1 - F(3, 5), -F(2, 5)]


@pytest.mark.parametrize("contrastive", [False, True])
@given(data=st.data())
def test_excitation_is_a_random_walk(contrastive, data):
    graph = data.draw(mlps("any", hidden=(1, 3))).astype("exact")
    x = exact(data.draw(inputs_of(graph, batch=(1, 1), nonnegative=True)))

    def start(z):
        return [F(1), *[F(0)] * (len(z) - 1)]

    def steps(sign):
        return lambda a, w, b, p, top: twins.winning_probability(a, [[sign * v for v in row] for row in w] if top else w, p)

    expected = walk(layers_of(graph), x[0], start, steps(1))
    if contrastive:
        expected = [p - q for p, q in zip(expected, walk(layers_of(graph), x[0], start, steps(-1)))]
    assert list(values(graph, x, "excitation_backprop", contrastive=contrastive)[0]) == expected


@given(data=st.data())
def test_probabilities_sum_to_one(data):
    """Where every unit on the way has an excitatory input; what others keep stands in the ledger."""
    graph = data.draw(mlps("any")).astype("exact")
    x = exact(data.draw(inputs_of(graph, batch=(1, 1), nonnegative=True)))
    a = xc.explain(graph, x, "excitation_backprop", target=0)
    assert a.total()[0] + a.ledger.absorbed[0] == 1
    assert (np.asarray(a) >= 0).all()


# ----- conditioned relevance ----------------------------------------------------------------------------------------


@given(data=st.data())
def test_the_units_share_the_relevance(data):
    """Linearity in R (W16): the maps of the single units of a layer that all passes add up to the whole map, exactly."""
    graph = data.draw(cnns()).astype("exact")
    x = exact(data.draw(inputs_of(graph, batch=(1, 1))))
    whole = xc.explain(graph, x, "lrp.z_plus", target=0)
    layer = next(n.name for n in graph.nodes if isinstance(n.op, Conv))
    count = whole.layers[layer].shape[1]
    parts = [values(graph, x, "concept_relevance", layer=layer, units=k, base="lrp.z_plus") for k in range(count)]
    assert (sum(parts) == np.asarray(whole)).all()
    assert (values(graph, x, "concept_relevance", layer=layer, units=list(range(count)), base="lrp.z_plus")
            == np.asarray(whole)).all()


def test_a_condition_is_a_network_without_the_other_units():
    """One hidden layer, LRP-0: only unit k's contributions x_i w_ik v_k remain (unit 2: 3 · 1 · -1, 1 · 2 · -1)."""
    graph = NET_A.astype("exact")
    assert [list(values(graph, [[3, 1]], "concept_relevance", layer="relu1", units=k, base="lrp.zero")[0]) for k in range(3)] == [
        [9, -3], [-3, -2], [0, 0]]                                      # E49: the messages to the inputs
    a = xc.explain(graph, [[3, 1]], "concept_relevance", layer="relu1", units=[0, 1], base="lrp.zero")
    assert list(np.asarray(a)[0]) == [6, -5]
    assert a.settings["units"] == [0, 1]
    assert a.extras["passed"][0] == 1
    assert xc.explain(graph, [[3, 1]], "concept_relevance", layer="relu1", units=1, base="lrp.zero").extras["passed"][0] == -5


def test_what_goes_around_a_layer_is_no_unit_of_it():
    """y = 2 x + relu(W x): the units of the branch share what passes the branch, 9 + 5 of f = 18; the skip's 6 - 2 reaches no map."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 2))
    branch = b.add(ReLU(), b.add(Dense(), x, b.param("w", [[3, 0], [0, -5]]), name="lin"), name="branch")
    y = b.add(Add(), b.add(Dense(), x, b.param("skip", [[2, 0], [0, 2]]), name="around"), branch, name="sum")
    graph = b.build(b.add(Dense(), y, b.param("v", [[1, 1]]), name="y"))
    maps = [list(values(graph, [[3, -1]], "concept_relevance", layer="branch", units=k, base="lrp.zero")[0]) for k in range(2)]
    assert maps == [[9, 0], [0, 5]]
    whole = xc.explain(graph, [[3, -1]], "lrp.zero", target=0)
    assert whole.total()[0] == 18 == 6 - 2 + 9 + 5


# ----- together -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["clrp", "sglrp", "excitation_backprop", "concept_relevance"])
def test_batches_layers_and_repetition(method):
    rng = np.random.default_rng(3)
    graph, x = cnn(rng, 4, 2), numbers(rng, (3, 1, 4, 4))
    whole = xc.explain(graph, x, method, target=[0, 3, 1])
    for n, t in enumerate([0, 3, 1]):
        assert close(np.asarray(whole)[n:n + 1], values(graph, x[n:n + 1], method, target=t), 1e-12)
    assert (np.asarray(whole) == values(graph, x, method, target=[0, 3, 1])).all()
    assert values(graph.astype("float32"), x, method).dtype == np.float32
    if method != "concept_relevance":
        inner = xc.explain(graph, x, method, target=0, layer="relu1")
        assert inner["relu1"].shape == (3, 2, 4, 4)


BAD = {
    "no class": (lambda: values(mlp([[[1.0, 2.0]]], [None]), [[1.0, 1.0]], "clrp"), Inapplicable, "with two classes at least"),
    "weights as target": (lambda: values(TWO_CLASSES, [[1.0, 1.0]], "sglrp", target=np.array([0.5, 0.5])), Inapplicable, "the index of a class"),
    "dual": (lambda: values(TWO_CLASSES, [[1.0, 1.0]], "clrp", dual="other"), InputError, "dual='other' does not exist; there are 'negated'"),
    "base": (lambda: values(TWO_CLASSES, [[1.0, 1.0]], "clrp", base="lrp.epsilom"), UnknownName, "did you mean 'lrp.epsilon'"),
    "base without relevance": (lambda: values(TWO_CLASSES, [[1.0, 1.0]], "sglrp", base="gradient"), InputError, "carries no relevance but a cotangent"),
    "rational softmax": (lambda: values(TWO_CLASSES.astype("exact"), [[1, 1]], "sglrp"), ExactnessError, "sglrp starts from a softmax"),
    "unit": (lambda: values(NET_A, X_A, "concept_relevance", layer="relu1", units=3), InputError, "has 3 units on axis 1; give one of 0 to 2"),
    "no units": (lambda: values(NET_A, X_A, "concept_relevance", layer="relu1", units=[]), InputError, r"units=\[\]"),
    "layer": (lambda: values(NET_A, X_A, "concept_relevance", layer="relu2"), UnknownName, "did you mean 'relu1'"),
    "the input": (lambda: values(NET_A, X_A, "concept_relevance", layer="x"), Inapplicable, "conditions on an inner layer"),
    "no inner layer": (lambda: values(TWO_CLASSES, [[1.0, 1.0]], "concept_relevance"), Inapplicable, "none with weights lies before 'fc1'"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
