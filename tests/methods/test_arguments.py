"""DAX by hand, against loops over weights, and the properties that its paper asks for."""

import json
from dataclasses import replace
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, X_A, close, mlp
from xaicore.data import digits_images, digits_model
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.methods.arguments import dax
from xaicore.ops import Add, Dense, ReLU
from xaicore.oracle.strategies import inputs_of, mlps, numbers


def said(a, key):
    return {(str(r.lower), str(r.upper)): getattr(r, key) for r in a.relations}


def test_by_hand():
    """E49 (I13): the messages of NET A are [[9, -3], [-3, -2], [0, 0]], their sums (6, -5, 0)."""
    a = dax(NET_A.astype("exact"), [[3, 1]], layers=["relu1"], top=None)
    assert said(a, "message") == {("relu1[0]", "fc2"): 6, ("relu1[1]", "fc2"): -5, ("x[0]", "relu1[0]"): 9, ("x[1]", "relu1[0]"): -3,
                                  ("x[0]", "relu1[1]"): -3, ("x[1]", "relu1[1]"): -2}
    assert said(a, "kind") == {("relu1[0]", "fc2"): "support", ("relu1[1]", "fc2"): "attack", ("x[0]", "relu1[0]"): "support",
                               ("x[1]", "relu1[0]"): "attack", ("x[0]", "relu1[1]"): "support", ("x[1]", "relu1[1]"): "support"}
    assert {str(v): v.strength for v in a.arguments} == {"fc2": 1, "relu1[0]": 6, "relu1[1]": -5, "x[0]": 6, "x[1]": -5}
    assert str(dax(NET_A, X_A, layers=["relu1"])) == """\
arguments for 'fc2', by lrp.zero
fc2                      strength +1
    supported by relu1[0] (+6)
    attacked by relu1[1] (-5)
relu1[0]                 strength +6
    supported by x[0] (+9)
    attacked by x[1] (-3)
relu1[1]                 strength -5
    supported by x[0] (-3), x[1] (-2)
x[0]                     strength +6
x[1]                     strength -5"""
    assert a.strata == ("x", "relu1", "fc2")
    assert dax(NET_A, X_A).strata == ("x", "fc1", "fc2")


@given(data=st.data())
def test_messages_are_those_of_the_rule(data):
    """R_i<-j = a_i w_ji R_j / z_j in a loop over the layers, in rationals; W56: strength = sum of messages, exactly."""
    graph = data.draw(mlps("none", hidden=(1, 3))).astype("exact")
    x = np.vectorize(F, otypes=[object])(data.draw(inputs_of(graph, batch=(1, 1))))
    a = dax(graph, x, 1, top=None)
    weights = [graph.params[n.inputs[1]] for n in graph.nodes if len(n.inputs) > 1]
    values = [x[0]]
    for w in weights:
        values.append(np.array([sum(v * max(u, F(0)) if len(values) > 1 else v * u for v, u in zip(row, values[-1])) for row in w]))
    r = [values[-1][k] if k == 1 else F(0) for k in range(3)]
    for k in reversed(range(len(weights))):
        below = [max(u, F(0)) if k else u for u in values[k]]
        m = [[below[i] * weights[k][j][i] * r[j] / values[k + 1][j] if r[j] else F(0) for j in range(len(r))] for i in range(len(below))]
        level = a.strata[k]
        if k + 1 < len(weights):
            for i, j in np.ndindex(len(below), len(r)):
                assert said(a, "message").get((f"{level}[{i}]", f"{a.strata[k + 1]}[{j}]"), F(0)) == m[i][j]
        r = [sum(row) for row in m]
        assert {v.unit[0]: v.strength for v in a.at(level)} == {i: v for i, v in enumerate(r) if v}
        assert all(v.heard == v.strength for v in a.at(level))


@given(data=st.data())
def test_properties(data):
    """The other sign turns every strength and message around and no relation; a unit that nothing reads is no argument."""
    graph = data.draw(mlps("none", hidden=(1, 2), outputs=1)).astype("exact")
    x = np.vectorize(F, otypes=[object])(data.draw(inputs_of(graph, batch=(1, 1))))
    other, one = (dax(replace(graph, params={k: sign * v if k == "w_out" else v for k, v in graph.params.items()}), x, top=None)
                  for sign in (-1, 1))
    assert said(other, "kind") == said(one, "kind")
    assert said(other, "message") == {k: -m for k, m in said(one, "message").items()}
    assert {str(v): -v.strength for v in other.arguments} == {str(v): v.strength for v in one.arguments}
    wider = {k: np.pad(v, ((0, 1), (0, 0)), constant_values=F(1)) if k == "w0" else np.pad(v, ((0, 0), (0, 1)), constant_values=F(0))
             if v.ndim == 2 and v.shape[1] == len(graph.params["w0"]) and k == ("w1" if "w1" in graph.params else "w_out") else v
             for k, v in graph.params.items()}
    again = dax(replace(graph, params=wider), x, top=None)
    assert said(again, "message") == said(one, "message")


def test_pictures_and_the_strongest():
    """The digits network: channels argue, each stratum shows the strongest, and what the shown ones say is accounted for."""
    images, _ = digits_images()
    a = dax(digits_model(), images[:1], 0, top=3, base="lrp.z_plus")
    relevance = xc.explain(digits_model(), images[:1], "lrp.z_plus", target=0)
    for stratum in a.strata[1:-1]:
        r = relevance.layers[stratum][0]
        sums = sorted(abs(r.reshape(len(r), -1).sum(axis=1)))[::-1][:3]
        assert close([abs(v.strength) for v in a.at(stratum)], sums[:len(a.at(stratum))], 1e-12)
    assert [len(v.unit) for v in a.at("image")] == [3, 3, 3]
    text = json.loads(a.to_json())
    assert {v["from"] for v in text["relations"]} <= {v["id"] for v in text["arguments"]}
    assert text["strata"] == list(a.strata)
    top = a.at(a.strata[-2])
    assert close(sum(v.heard for v in top), sum(v.strength for v in top), 1e-12)


@given(data=st.data())
def test_what_passes_by_is_no_message(data):
    """Beside a skip connection: what a unit says adds up to its own strength, in rationals, and not to what flows around it, too."""
    rng = np.random.default_rng(data.draw(st.integers(0, 99)))
    b = xc.Builder(dtype="exact")
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 3)), b.param("w1", _rationals(rng, (3, 3)))), name="low")
    h = b.add(Add(), b.add(ReLU(), b.add(Dense(), h, b.param("w2", _rationals(rng, (3, 3)))), name="branch"), h, name="sum")
    graph = b.build(b.add(Dense(), h, b.param("w3", _rationals(rng, (1, 3))), name="out"))
    a = dax(graph, _rationals(rng, (1, 3)), layers=["low", "branch"], top=None)
    for j in a.at("branch"):
        assert sum(r.message for r in a.relations if r.upper == j) == j.strength
    passed = sum(v.strength for v in a.at("low")) - sum(v.heard for v in a.at("low"))
    assert passed == a.arguments[0].strength - sum(v.strength for v in a.at("branch"))


def _rationals(rng, shape):
    return np.vectorize(F, otypes=[object])(numbers(rng, shape))


def test_the_strongest_come_first():
    """Contributions 1, -5, 3, of which the two with the largest sizes are shown; the rest of what they hear is nobody's."""
    a = dax(mlp([np.eye(3), [[1.0, -5.0, 3.0]]], [None, None]), [[1.0, 1.0, 1.0]], layers=["relu1"], top=2)
    assert [str(v) for v in a.at("relu1")] == ["relu1[1]", "relu1[2]"]
    assert [(v.strength, v.heard) for v in a.at("x")] == [(-5, -5), (3, 3)]
    mixed = dax(mlp([np.ones((2, 1)), [[1.0, -5.0]]], [None, None]), [[1.0]], layers=["relu1"], top=1)
    assert [(v.strength, v.heard) for v in mixed.at("x")] == [(-4, -5)]


BAD = {
    "batch": (lambda: dax(NET_A, np.ones((2, 2))), InputError, r"2 came; give x\[n:n \+ 1\]"),
    "layer": (lambda: dax(NET_A, X_A, layers=["relu2"]), UnknownName, "did you mean 'relu1'"),
    "the input": (lambda: dax(NET_A, X_A, layers=["x"]), Inapplicable, "is no inner layer"),
    "order": (lambda: dax(NET_A, X_A, layers=["relu1", "fc1"]), Inapplicable, "the order is fc1, relu1"),
    "top": (lambda: dax(NET_A, X_A, top=0), InputError, "top=0"),
    "base": (lambda: dax(NET_A, X_A, base="gradient"), InputError, "carries no relevance"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_one_layer_argues_from_its_inputs():
    a = dax(mlp([[[2.0, -1.0]]], [None]), X_A)
    assert said(a, "message") == {("x[0]", "fc1"): 6, ("x[1]", "fc1"): -1}
