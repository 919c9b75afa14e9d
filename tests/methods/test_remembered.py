"""What a graph remembers of itself: never another answer, never a longer life; and books that are kept only when somebody looks."""

from __future__ import annotations

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest

import xaicore as xc
from tests.oracle.planted import attending, cnn, image
from tests.test_purity import NETWORKS, bits, normalised
from xaicore import Builder, trace
from xaicore.graph.graph import REMEMBERED, Graph
from xaicore.ops import BatchNorm, Conv, Dense
from xaicore.rules import lrp_epsilon, named, op
from xaicore.rules.gradient import gradient, vjp

METHODS = ("gradient", "guided_backprop", "lrp.epsilon", "lrp.gamma", "lrp.epsilon_plus", "deeplift.rescale", "deeplift.reveal_cancel")


def fresh(graph: Graph) -> Graph:
    """The same graph, which remembers nothing."""
    return replace(graph)


def test_once():
    graph, made = cnn(), []
    assert [graph.once("a", lambda: made.append(1)) for _ in range(3)] == [None] * 3
    assert made == [1]
    assert replace(graph).remembered == {}
    for k in range(2 * REMEMBERED):
        assert graph.once(("n", k), lambda k=k: k) == k
    assert len(graph.remembered) == REMEMBERED
    assert ("n", 2 * REMEMBERED - 1) in graph.remembered


@pytest.mark.parametrize("network", ["cnn", "block", "normalised", "several", "exact", "float32"])
def test_a_graph_that_remembers_answers_as_one_that_does_not(network):
    """Methods, targets, scales, batches and settings one after the other on one graph, and each on a graph of its own."""
    graph, feeds, target = NETWORKS[network]
    graph = fresh(graph)
    first = {k: v[:1] for k, v in feeds.items()}
    single = ("one", 2) if network == "several" else 1
    asked = [(m, x, t, more) for m in METHODS for x, t in ((feeds, target), (first, single)) for more in ({}, {"keep": "inputs"})]
    asked += [("lrp.epsilon", first, single, {"eps": e}) for e in (1, 1.0, 2)] + [("gradient", first, single, {"output": "probability"})] * (network == "cnn")
    for method, x, t, more in asked + asked[::-1]:
        assert bits(xc.explain(graph, x, method, t, **more)) == bits(xc.explain(fresh(graph), x, method, t, **more)), (method, more)
    assert graph.remembered


def test_settings_of_another_kind_are_not_taken_for_each_other():
    graph, x = cnn(), image(1)
    xc.explain(graph, x, "lrp.epsilon", 0, eps=1)
    with pytest.raises(xc.XaicoreError, match="eps=True"):
        xc.explain(graph, x, "lrp.epsilon", 0, eps=True)
    assert [type(xc.explain(graph, x, "lrp.epsilon", 0, eps=e).settings["eps"]) for e in (1, 1.0)] == [int, float]


def test_a_changed_rule_set_has_no_key():
    """Nor is a plan found under the key of the table that it was made from."""
    rules = lrp_epsilon().known_as("a key")
    assert rules.key == "a key"
    assert lrp_epsilon().key is rules.before((op(Conv), vjp)).key is replace(rules, fold=False).key is None
    graph, x = cnn(), image(1)
    changed = gradient().before((named("*"), rules.rules[0][1]))
    plain, other = (np.asarray(xc.explain(graph, x, rule_set, 0)) for rule_set in (gradient(), changed))
    assert (plain != other).any()
    assert (plain == np.asarray(xc.explain(graph, x, "gradient", 0))).all()


@pytest.mark.parametrize("make", [cnn, normalised, attending])
def test_a_graph_dies_with_its_last_user(make):
    """Without the garbage collector's help: nothing that a graph remembers refers to it."""
    graph = make()
    (name,) = graph.float_inputs
    x = np.random.default_rng(0).normal(size=(2, *graph.inputs[name].shape[1:]))
    gc.collect()
    gc.disable()
    try:
        for method in METHODS:
            for output in ("logit", "probability"):
                if output == "logit" or not method.startswith("lrp"):
                    xc.explain(graph, x, method, 0, output=output, keep="inputs")
        xc.explain(graph, x, "gradient", 0, speed="fast")
        gone = [weakref.ref(graph), *(weakref.ref(v) for v in graph.params.values())]
        del graph
        assert not any(ref() is not None for ref in gone)
    finally:
        gc.enable()


@pytest.mark.parametrize("method", [*METHODS, "lrp.zero", "excitation_backprop"])
@pytest.mark.parametrize("network", ["cnn", "block", "exact"])
def test_books_that_are_kept_later(method, network):
    """The same entries as where they were kept at once, whatever has become of the arrays that came back meanwhile."""
    graph, feeds, target = NETWORKS[network]
    try:
        now = xc.explain(graph, feeds, method, target)
    except xc.XaicoreError:
        return
    later = xc.explain(graph, feeds, method, target, keep="inputs")
    for v in (*later.values.values(), *later.feeds.values(), later.output):
        v[...] = 7
    assert [e.node for e in later.ledger] == [e.node for e in now.ledger]
    for a, b in zip(now.ledger, later.ledger, strict=True):
        assert (a.arrived == b.arrived).all()
        assert (a.passed == b.passed).all()
    assert (later.ledger.seed == now.ledger.seed).all()
    assert (later.absorbed == now.absorbed).all()
    assert str(later.ledger) == str(now.ledger)


def test_one_pass_is_enough(monkeypatch):
    """Where a rule set folds BatchNorm only the folded graph is run, unless the largest logit of the graph as it is is asked for."""
    taken = []
    evaluate = trace.evaluate_all
    monkeypatch.setattr(trace, "evaluate_all", lambda graph, *more: taken.append(len(graph.params)) or evaluate(graph, *more))
    graph, x = normalised(), image(2)
    folded = len(graph.params) - 3                                      # kernel and four statistics become kernel and bias
    for target, passes in ((0, [folded]), ([1, 0], [folded]), (None, [len(graph.params), folded]), ("logits", [folded])):
        for _ in range(2):
            taken.clear()
            xc.explain(graph, x, "lrp.epsilon", (target, 1) if isinstance(target, str) else target, keep="inputs")
            assert sorted(taken) == sorted(passes), target
    taken.clear()
    assert len(xc.explain(graph, x, "lrp.epsilon", 0, keep="inputs").ledger) == len(xc.explain(graph, x, "lrp.epsilon", 0).ledger)
    assert taken == [folded] * 3                                        # the books take the pass again


def test_an_error_does_not_wait_for_a_first_call():
    """A run that only the shapes were taken from is taken each time, so that its overflow is one on a graph that knows them already."""
    b = Builder("dense then normalised", "float32")
    h = b.add(Dense(), b.input("x", (None, 2)), b.param("w", np.full((2, 2), 1e30)))
    h = b.add(BatchNorm(), h, *(b.param(k, np.full(2, v)) for k, v in (("gamma", 1e-30), ("beta", 0.0), ("mean", 0.0), ("var", 1.0))))
    graph, large = b.build(b.add(Dense(), h, b.param("v", np.ones((2, 2))))), np.full((1, 2), 1e9)
    said = []
    for _ in range(2):
        with pytest.raises(xc.XaicoreError) as caught:
            xc.explain(graph, large, "lrp.epsilon", 0)
        said.append(str(caught.value))
        xc.explain(graph, large / 1e9, "lrp.epsilon", 0)
    assert said[0] == said[1]


@pytest.mark.parametrize("network", ["block", "several", "cnn", "maxima"])
def test_what_arrives_is_all_that_came(network):
    """Also where two nodes read one value, so that what came from each was measured before the two were added up."""
    graph, feeds, target = NETWORKS[network]
    a = xc.explain(graph, feeds, "lrp.epsilon", target)
    for e in a.ledger:
        whole = a.layers[e.node.name].reshape(len(e.arrived), -1).sum(axis=1)
        assert np.allclose(e.arrived, whole, rtol=1e-12, atol=1e-12 * np.abs(whole).max())          # another order of some hundred terms
    b = xc.explain(graph, feeds, "gradient", target)
    values = trace.forward(b.graph, b.feeds).values
    for e in b.ledger:
        whole = (b.layers[e.node.name] * values[e.node.name]).reshape(len(e.arrived), -1).sum(axis=1)
        assert np.allclose(e.arrived, whole, rtol=1e-12, atol=1e-12 * max(np.abs(whole).max(), 1e-300))
