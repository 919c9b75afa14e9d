"""A neuron is a target inside the graph: target=("layer", index), for every method; layer= says where the attribution is."""

from dataclasses import replace

import numpy as np
import pytest

import xaicore as xc
from tests.nets import NET_A, NET_B, X_A, X_B, close
from tests.oracle.planted import cnn, image
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.ops import Sum
from xaicore.oracle.twins.numeric import central_differences
from xaicore.trace import forward

SLOW = {"integrated_gradients": {"steps": 3}, "smoothgrad": {"samples": 2}, "smoothgrad_squared": {"samples": 2}, "vargrad": {"samples": 2},
        "guided_ig": {"steps": 3}}
BOX = {"low": -2, "high": 2}


def test_worked_neurons():
    """NET A at (3, 1): h1 = relu(x1 - x2) = 2, h2 = relu(x1 + 2 x2) = 5, h3 = 0."""
    for method, expected in (("gradient", (1, 2)), ("gradient_x_input", (3, 2)), ("lrp.zero", (3, 2)), ("deeplift.rescale", (3, 2)),
                             ("integrated_gradients", (3, 2)), ("occlusion", (3, 2))):
        a = xc.explain(NET_A, X_A, method, target=("relu1", 1))
        assert close(np.asarray(a), [expected], 1e-12)
        assert a.output == [5]
    assert a.explained == "1 of 'relu1'"
    assert xc.explain(NET_A, X_A, "gradient", target=("relu1", 2)).total() == 0                # inactive
    assert close(np.asarray(xc.explain(NET_A, X_A, "gradient", target=("fc1", 2))), [(-1, 1)], 1e-15)   # before the ReLU
    assert xc.explain(NET_B, X_B, target=("relu1", [1])).output == [1]
    both = xc.explain(NET_A, X_A, target=("relu1", np.array([1.0, -1.0, 0.0])))                # weights: a direction in the layer
    assert close(np.asarray(both), [(1 - 1, -1 - 2)], 1e-15)
    total = xc.explain(NET_A, X_A, target=("relu1", lambda b, y: b.add(Sum((1,)), y)))
    assert total.output == [7]


@pytest.mark.parametrize("method", sorted(xc.METHODS))
def test_every_method_explains_neurons(method):
    """As it explains the output of the graph that ends there."""
    graph, x = cnn(head=True), image(2)
    settings = {**{k: v for k, v in BOX.items() if k in xc.METHODS[method].settings}, **SLOW.get(method, {})}
    target = (1, 1, 1)
    shorter = replace(graph, outputs=("skip",))

    def run(g, t):
        try:
            return np.asarray(xc.explain(g, x, method, target=t, **settings))
        except Inapplicable as refused:
            return str(refused)

    one, other = run(graph, ("skip", target)), run(shorter, target)
    assert isinstance(one, str) == isinstance(other, str)              # what refuses the one refuses the other
    assert isinstance(one, str) or (one == other).all()


def test_a_neuron_by_central_differences():
    """Away from kinks: the gradient of a convolution's neuron, and of the same with respect to an earlier layer."""
    graph, x = cnn(), image(1)
    shorter = replace(graph, outputs=("conv2",))
    slow = central_differences(shorter, x, lambda y: y[0, 1, 0, 1])
    assert close(xc.explain(graph, x, target=("conv2", (1, 0, 1))), slow, 1e-8)
    at = xc.explain(graph, x, target=("conv2", 1, 0, 1), layer="pool")
    assert list(at.values) == ["pool"]
    assert close((np.asarray(at) * forward(graph, {"image": x})["pool"]).sum(), at.output[0], 1e-12)   # conv2 is linear in pool


def test_refusals():
    graph, x = cnn(head=True), image(1)
    for target, error, words in (
            (("skp", 0), UnknownName, "the target names output 'skp': did you mean 'skip'"),
            (("skip", 0), InputError, "needs 3 indices"), (("skip",), InputError, "give a target tuple with 3 indices"),
            (("skip", (0, 9, 0)), InputError, "target 9 is out of range"), (("image", (0, 0, 0)), UnknownName, "names output 'image'")):
        with pytest.raises(error, match=words):
            xc.explain(graph, x, target=target)
    with pytest.raises(InputError, match="layer 'skip', whose value is explained as it is; output='probability'"):
        xc.explain(graph, x, target=("skip", (0, 0, 0)), output="probability")
    with pytest.raises(Inapplicable, match="does not lie between the input and the explained value"):
        xc.explain(graph, x, target=("pool", (0, 0, 0)), layer="conv2")
