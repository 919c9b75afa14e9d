"""Graph and Builder: what exists is valid, every mistake is a typed error that names the thing, nothing is modified."""

from __future__ import annotations

import dataclasses
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.graph.graphs import W, made
from xaicore.errors import ExactnessError, GraphError, InputError, UnknownName
from xaicore.graph import Builder, Graph, InputSpec, Node
from xaicore.ops import Add, Concat, Dense, Gather, Identity, Mul, ReLU, ToFloat

# ----- a graph that cannot be -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("changes", "text"), [
    ({"nodes": (Node("fc", Dense(), ("x", "v")),)}, "node 'fc' reads 'v', which nothing before it defines"),
    ({"nodes": (Node("b", ReLU(), ("a",)), Node("a", ReLU(), ("x",))), "outputs": ("b",)}, "node 'b' reads 'a', which nothing before"),
    ({"nodes": (Node("fc", Dense(), ("fc", "w")),)}, "node 'fc' reads 'fc', which nothing before"),
    ({"nodes": (Node("x", ReLU(), ("x",)),), "outputs": ("x",)}, "'x' is defined twice"),
    ({"nodes": (Node("w", ReLU(), ("x",)),), "outputs": ("w",)}, "'w' is defined twice"),
    ({"nodes": (Node("h", ReLU(), ("x",)), Node("h", ReLU(), ("x",))), "outputs": ("h",)}, "'h' is defined twice"),
    ({"params": {"x": W, "w": W}}, "'x' is used for two inputs or parameters"),
    ({"nodes": (Node("fc", Dense(), ("x",)),)}, "Dense takes 2 to 3 inputs, 1 were given"),
    ({"nodes": (Node("fc", Dense(), ("x", "w", "w", "w")),)}, "Dense takes 2 to 3 inputs, 4 were given"),
    ({"nodes": (Node("fc", ReLU(), ("x", "w")),)}, "ReLU takes 1 inputs, 2 were given"),
    ({"nodes": (Node("fc", Concat(1), ()),)}, "Concat takes 1 to any number inputs, 0 were given"),
    ({"outputs": ()}, "at least one output"),
    ({"outputs": ("fcc",)}, r"the output 'fcc' is not a value of the graph: did you mean 'fc'\?"),
    ({"dtype": "float16"}, "'float16' is not one of float64, float32, exact"),
    ({"inputs": {"x": InputSpec(())}}, r"input 'x' has the shape \(\); axis 0, the batch"),
    ({"inputs": {"x": InputSpec((None, -2))}}, r"input 'x' has the shape \(None, -2\)"),
    ({"inputs": {"x": InputSpec((None, 2), "complex")}}, "kind 'complex'"),                      # type: ignore[arg-type]
    ({"params": {"w": W.astype("float32")}}, "parameter 'w' has dtype float32, but the graph is float64"),
    ({"params": {"w": W.astype(complex)}}, "parameter 'w' has dtype complex128"),
    ({"params": {"w": np.array([["a", "b"]])}}, "parameter 'w' has dtype <U1"),
])
def test_what_cannot_be_is_refused(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(GraphError, match=text):
        made(**changes)


@pytest.mark.parametrize(("bad", "text"), [
    (np.nan, r"'w' holds nan at index \(1, 0\)"), (np.inf, r"'w' holds inf at index \(1, 0\)"),
    (-np.inf, r"'w' holds -inf at index \(1, 0\)"),
])
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_a_parameter_that_is_not_finite_is_refused(bad: float, text: str, dtype: str) -> None:
    w = W.copy()
    w[1, 0] = bad
    b = Builder(dtype=dtype)
    h = b.add(Dense(), b.input("x", (None, 2)), b.param("w", w))
    with pytest.raises(GraphError, match=text + ".*Repair the model's weights"):
        b.build(h)


@pytest.mark.parametrize(("mask", "allowed"), [
    ([[0.0, -np.inf]], True), ([[-np.inf, -np.inf]], True), ([[0.0, np.inf]], False), ([[np.inf]], False),
    ([[0.0, -np.inf, np.nan]], False), ([[0.0, -np.inf, 1.0]], False), ([[-np.inf, np.inf]], False),
])
def test_only_additive_masks_may_be_infinite(mask: list[list[float]], allowed: bool) -> None:
    b = Builder()
    y = b.add(Add(), b.input("x", (None, 1)), b.param("mask", mask))
    if allowed:
        assert b.build(y)([[1.0]]).tolist() == [[1.0 + v for v in mask[0]]]
        with pytest.raises(InputError, match="no rational value"):
            b.build(y).astype("exact")
    else:
        with pytest.raises(GraphError, match="parameter 'mask' holds"):
            b.build(y)


def test_integers_and_booleans_are_parameters_of_any_graph() -> None:
    for dtype in ("float64", "float32", "exact"):
        b = Builder(dtype=dtype)
        x = b.input("x", (None, 3))
        graph = b.build(b.add(Gather(1), x, b.param("at", np.array([2, 0], dtype="int32"))))
        assert graph.params["at"].dtype == np.int32
        assert graph([[1, 2, 3]]).tolist() == [[3, 1]]


# ----- the builder ------------------------------------------------------------------------------------------------------


def test_names_that_are_taken_count_the_calls() -> None:
    b = Builder()
    x = b.input("x", (None, 2))
    names = [b.add(ReLU(), x, name="act") for _ in range(3)]
    with b.scope("block", layer="module", origin="Block"), b.scope("inner"):
        scoped = b.add(ReLU(), x, name="act")
        own = b.add(ReLU(), x, layer="other", origin="Own")
    assert names == ["act", "act@2", "act@3"]
    assert (scoped, own) == ("block/inner/act", "block/inner/relu")
    graph = b.build(scoped, own)
    assert (graph.node(scoped).layer, graph.node(scoped).origin) == ("module", "Block")
    assert (graph.node(own).layer, graph.node(own).origin) == ("other", "Own")
    assert b.add(ReLU(), x) == "relu"                                   # the scope has ended
    assert b.has("x")
    assert not b.has("y")


@pytest.mark.parametrize(("act", "text"), [
    (lambda b: b.input("x", (None, 2)), "the input name 'x' is taken"),
    (lambda b: b.param("x", 1.0), "the parameter name 'x' is taken"),
    (lambda b: b.param("", 1.0), "a parameter needs a name"),
    (lambda b: b.input(3, (None,)), "an? input needs a name, not 3"),
    (lambda b: b.add(ReLU, "x"), r"instance such as ReLU\(\)"),
    (lambda b: b.add(ReLU(), "z"), "node 'relu' reads 'z', which nothing before it defines: known: x"),
    (lambda b: b.param("p", np.array([1j])), "parameter 'p' has dtype complex128"),
    (lambda b: b.param("p", "text"), "parameter 'p' has dtype"),
    (lambda b: b.param("p", [Fraction(1, 2)]), "parameter 'p' is an object array"),
    (lambda b: b.shape("x"), "does not know shapes"),
    (lambda b: b.build(), "at least one output"),
    (lambda b: Builder(dtype="half"), "dtype 'half' is not one of"),
])
def test_the_builder_refuses(act: Any, text: str) -> None:
    b = Builder()
    b.input("x", (None, 2))
    with pytest.raises(GraphError, match=text):
        act(b)


@pytest.mark.parametrize("value", [2, 0.25, Fraction(1, 4), np.float32(0.25), np.array([0.5])], ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32", "exact"])
def test_a_constant_is_a_number_of_the_graph(value: Any, dtype: str) -> None:
    b = Builder(dtype=dtype)
    x = b.input("x", (None, 1))
    if dtype == "exact" and not isinstance(value, (int, Fraction)):
        with pytest.raises(ExactnessError, match=r"parameter 'constant': .* exact mode takes only int and Fraction"):
            b.constant(value)
        return
    y = b.build(b.add(Mul(), x, b.constant(value)))([[8]])
    assert y.tolist() == [[8 * (value if not isinstance(value, np.ndarray) else 0.5)]]
    assert isinstance(y[0, 0], {"float64": np.float64, "float32": np.float32, "exact": Fraction}[dtype])


@pytest.mark.parametrize("dtype", ["float64", "float32", "exact"])
def test_a_cast_goes_to_the_float_of_the_graph(dtype: str) -> None:
    b = Builder(dtype=dtype)
    graph = b.build(b.add(ToFloat("float64"), b.input("ids", (None, 2), "int")))
    for other in ("float64", "float32", "exact"):
        y = graph.astype(other)([[1, 2]])
        assert y.tolist() == [[1, 2]]
        assert isinstance(y[0, 0], {"float64": np.float64, "float32": np.float32, "exact": Fraction}[other])


def test_a_builder_may_go_on_after_build() -> None:
    b = Builder()
    h = b.add(ReLU(), b.input("x", (None, 1)))
    first = b.build(h)
    b.param("later", 1.0)
    b.add(ReLU(), h)
    b.meta["k"] = "v"
    assert (len(first.nodes), len(first.params), dict(first.meta)) == (1, 0, {})


# ----- nothing is modified ----------------------------------------------------------------------------------------------


def test_parameters_are_copies_and_read_only() -> None:
    w = W.copy()
    b = Builder()
    graph = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", w)))
    w[:] = 99
    assert graph.params["w"].tolist() == W.tolist()
    with pytest.raises(ValueError, match="read-only"):
        graph.params["w"][0, 0] = 1
    with pytest.raises(TypeError, match="does not support item assignment"):
        graph.params["w"] = w                                           # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        graph.name = "other"                                            # type: ignore[misc]


def test_a_read_only_view_of_a_writeable_array_is_copied() -> None:
    w = W.copy()
    view = w[:]
    view.flags.writeable = False
    graph = made(params={"w": view})
    w[:] = 99
    assert graph.params["w"].tolist() == W.tolist()


# ----- finding and printing ---------------------------------------------------------------------------------------------


def calls() -> Graph:
    b = Builder()
    x = b.input("x", (None, 2))
    first = b.add(ReLU(), x, name="one/act", layer="one")
    x = b.add(ReLU(), first, name="one/out", layer="one")
    x = b.add(ReLU(), x, name="shared/act", layer="shared")
    x = b.add(ReLU(), x, name="shared/act", layer="shared")
    return b.build(b.add(ReLU(), x, name="last"))


def test_find_takes_a_node_an_input_or_a_layer() -> None:
    graph = calls()
    assert [graph.find(k) for k in ("last", "one/act", "x", "one", "shared/act", "shared/act@2")] == [
        "last", "one/act", "x", "one/out", "shared/act", "shared/act@2"]
    with pytest.raises(UnknownName, match="'shared' is called 2 times; name one of the calls: shared/act, shared/act@2"):
        graph.find("shared")
    with pytest.raises(UnknownName, match=r"no layer or node is called 'lsat': did you mean 'last'\?"):
        graph.find("lsat")
    with pytest.raises(UnknownName, match="no node is called 'one'"):
        graph.node("one")


def test_a_graph_prints_as_text() -> None:
    b = Builder("net")
    x, ids = b.input("x", (None, None, 3)), b.input("ids", (4, 2), "int")
    h = b.add(Dense(), x, b.param("w", np.ones((1000, 3))), name="fc", layer="body.fc")
    graph = b.build(b.add(ReLU(), h, name="act", layer="act"), b.add(Identity(), ids, name="same"))
    lines = str(graph).splitlines()
    assert lines[0] == "graph net  float64  3 nodes, 3,000 parameters"
    assert lines[1].split() == ["input", "x", "float(N,", "?,", "3)"]
    assert lines[2].split() == ["input", "ids", "int(4,", "2)"]
    assert lines[3].split() == ["fc", "=", "Dense()(x,", "w[1000,", "3])", "#", "body.fc"]
    assert lines[4].split() == ["act", "=", "ReLU()(fc)"]               # a layer that is called like its node is not repeated
    assert lines[-1].split() == ["output", "act,", "same"]
    assert repr(graph) == "<Graph net: 3 nodes, 3,000 parameters, float64>"
    assert str(InputSpec((None, None))) == "float(N, ?)"
    assert "(unnamed)" in str(made())
