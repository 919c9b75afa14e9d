"""explain_all: the same results as explain, one by one, from fewer forward passes."""

from __future__ import annotations

import numpy as np
import pytest

import xaicore as xc
from tests.oracle.planted import cnn, image
from xaicore import trace
from xaicore.errors import InputError, UnknownName
from xaicore.rules import RULE_SETS

METHODS = ["gradient", "guided_backprop", "lrp.epsilon", "lrp.epsilon_plus", "deeplift.rescale", ("integrated_gradients", {"steps": 3}), "grad_cam", "occlusion"]


@pytest.mark.parametrize("layer", [None, "relu1"])
def test_equals_explain(layer):
    graph, x = cnn(head=True), image(3)
    methods = METHODS if layer is None else METHODS[:5]
    many = xc.explain_all(graph, x, methods, [None, 1, [0, 2, 1]], layer=layer)
    assert list(many) == [m if isinstance(m, str) else m[0] for m in methods]
    for given in methods:
        method, settings = given if isinstance(given, tuple) else (given, {})
        for a, target in zip(many[method], [None, 1, [0, 2, 1]], strict=True):
            b = xc.explain(graph, x, method, target=target, layer=layer, **settings)
            assert (np.asarray(a) == np.asarray(b)).all()
            assert (a.output == b.output).all()
            assert (a.explained, a.settings, a.method) == (b.explained, b.settings, b.method)


def test_one_forward_pass(monkeypatch):
    """Four methods and two targets take one pass; DeepLIFT takes one more for its baseline, and each target's own."""
    taken = []
    evaluate = trace.evaluate_all
    monkeypatch.setattr(trace, "evaluate_all", lambda *args, **more: taken.append(1) or evaluate(*args, **more))
    xc.explain_all(cnn(), image(2), ["gradient", "guided_backprop", "lrp.epsilon", "lrp.epsilon_plus"], [0, 1])
    assert len(taken) == 1
    xc.explain_all(cnn(), image(2), ["gradient", "deeplift.rescale"], [0, 1])
    assert len(taken) == 1 + 1 + 2


def test_prepared_graphs_are_shared(monkeypatch):
    """A softmax inside is expanded for LRP: one more pass, however many rule sets want it."""
    from tests.oracle.planted import attending

    taken = []
    evaluate = trace.evaluate_all
    monkeypatch.setattr(trace, "evaluate_all", lambda *args, **more: taken.append(1) or evaluate(*args, **more))
    graph = attending()
    x = np.random.default_rng(0).normal(size=(2, *graph.inputs[graph.float_inputs[0]].shape[1:]))
    alone = [np.asarray(xc.explain(graph, x, "lrp.epsilon", eps=e, target=0)) for e in (1e-6, 1e-3)]
    count = len(taken)
    many = xc.explain_all(graph, x, {"small": ("lrp.epsilon", {"eps": 1e-6}), "large": ("lrp.epsilon", {"eps": 1e-3})}, [0])
    assert len(taken) - count < count
    assert all((np.asarray(many[k][0]) == a).all() for k, a in zip(("small", "large"), alone))


def test_labels_and_mistakes():
    graph, x = cnn(), image(1)
    found = xc.explain_all(graph, x, {"mine": RULE_SETS["lrp.epsilon"](eps=1e-3), "theirs": ("lrp.epsilon", {"eps": 1e-3})})
    assert (np.asarray(found["mine"][0]) == np.asarray(found["theirs"][0])).all()
    for methods, message in ((("gradient", "gradient"), "two methods are called 'gradient'"), ("gradient", "must be a list of method ids"), ([], "at least one"), ([3], "3 is no method")):
        with pytest.raises(InputError, match=message):
            xc.explain_all(graph, x, methods)
    with pytest.raises(UnknownName, match="no method is called 'gradent'"):
        xc.explain_all(graph, x, ["gradent"])
    with pytest.raises(UnknownName, match="has no setting 'epps'"):
        xc.explain_all(graph, x, [("lrp.epsilon", {"epps": 1})])
    with pytest.raises(UnknownName, match="speed='quick'"):
        xc.explain_all(graph, x, ["gradient"], speed="quick")
