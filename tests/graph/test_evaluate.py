"""Running a graph: what is kept and released, exact mode and the other arithmetics, errors that name the node; no input is modified."""

from __future__ import annotations

import dataclasses
import weakref
from fractions import Fraction

import numpy as np
import pytest

from tests.graph.graphs import cnn, dense, feed, made
from xaicore.errors import ExactnessError, InputError, ShapeError, XaicoreError
from xaicore.graph import Builder, InputSpec, Node
from xaicore.graph.run import check_feeds, evaluate, sample_feeds, shapes_of
from xaicore.ops import Add, Dense, Identity, Log, Mul, Op, Reciprocal, ReLU

# ----- exact mode -------------------------------------------------------------------------------------------------------


def test_exact_takes_fractions_and_whole_numbers_alone() -> None:
    graph = dense("exact")
    for x in ([[1, 2]], [[Fraction(1), Fraction(2)]], np.array([[1, 2]])):
        y = graph(x)
        assert y.tolist() == [[0, Fraction(9, 2), 2]]
        assert {type(v) for v in y.reshape(-1)} == {Fraction}
    for bad in ([[0.5, 1.0]], np.ones((1, 2), dtype="float32"), [[Fraction(1), 0.5]]):
        with pytest.raises(ExactnessError, match=r"input 'x': .* exact mode takes only int and Fraction"):
            graph(bad)


def test_an_operator_that_is_not_rational_says_so() -> None:
    b = Builder(dtype="exact")
    graph = b.build(b.add(Log(), b.input("x", (None, 1)), name="log"))
    with pytest.raises(ExactnessError, match=r"node 'log': Log\(\) is not rational"):
        graph([[1]])


def test_a_float_that_an_operator_makes_in_exact_mode_is_an_error() -> None:
    b = Builder(dtype="exact")
    graph = b.build(b.add(Halved(), b.input("x", (None, 1)), name="half"))
    with pytest.raises(ExactnessError, match=r"node 'half' \(Halved\(\)\): 0.5 is a float"):
        graph([[1]])


@dataclasses.dataclass(frozen=True)
class Halved(Op):
    """A planted mistake: it leaves the arithmetic that it was given."""

    def forward(self, *xs: np.ndarray) -> np.ndarray:
        return xs[0] * 0.5 if xs[0].dtype == object else xs[0].astype("float64") / 2


def test_an_operator_that_changes_the_dtype_is_an_error() -> None:
    b = Builder(dtype="float32")
    graph = b.build(b.add(Halved(), b.input("x", (None, 1)), name="half"))
    with pytest.raises(ExactnessError, match=r"node 'half'.* gave float64 in a float32 graph"):
        graph([[1.0]])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_astype_keeps_the_function(dtype: str) -> None:
    graph = cnn("exact")
    x = feed(graph)["x"]
    exact = graph(x).astype(float)
    y = graph.astype(dtype)(x)
    assert y.dtype == dtype
    # four layers of weights that are multiples of 2**-6, sums below 2**7: 31 bits, which float64 has; float32 rounds to 24, some ten times
    np.testing.assert_allclose(y, exact, rtol=0, atol=0 if dtype == "float64" else 1e-6 * abs(exact).max())
    assert {v.dtype for v in graph.astype(dtype).params.values()} == {np.dtype(dtype)}


def test_astype_takes_floats_as_the_binary_numbers_that_they_are() -> None:
    b = Builder()
    graph = b.build(b.add(Mul(), b.input("x", (None, 1)), b.param("tenth", 0.1)))
    assert graph.astype("exact")([[1]])[0, 0] == Fraction(0.1) != Fraction(1, 10)
    assert graph.astype("exact").astype("float64").params["tenth"] == 0.1
    assert graph.astype("float64") is graph
    assert graph.astype("object").dtype == "exact"
    with pytest.raises(InputError, match=r"astype\('float16'\): the arithmetics are float64, float32, exact"):
        graph.astype("float16")


# ----- evaluation -------------------------------------------------------------------------------------------------------


def test_running_modifies_no_input() -> None:
    graph = cnn()
    feeds = feed(graph)
    before = {k: v.copy() for k, v in feeds.items()}
    first = graph(feeds)
    second = graph(feeds)
    for k, v in feeds.items():
        assert v.tolist() == before[k].tolist()
    for a, b in zip(first, second, strict=True):
        assert a.tolist() == b.tolist()
    first[0][:] = 0                                                     # a result is the caller's own
    assert graph(feeds)[0].tolist() == second[0].tolist()


def test_values_are_kept_overridden_visited_and_released() -> None:
    graph = cnn()
    feeds = check_feeds(graph, feed(graph))
    everything = evaluate(graph, feeds, keep=[n.name for n in graph.nodes])
    assert list(everything) != []
    assert evaluate(graph, feeds, keep=["relu"])["relu"].tolist() == everything["relu"].tolist()
    swapped = evaluate(graph, feeds, keep=["probabilities", "relu"], override={"relu": everything["relu"] * 0})
    blank = graph({"x": feeds["x"]})[0] * 0 + swapped["probabilities"][0]
    np.testing.assert_allclose(swapped["probabilities"], blank, rtol=1e-15)   # without its relu every sample is the same
    seen: dict[str, tuple[int, ...]] = {}
    evaluate(graph, feeds, keep=(), visit=lambda node, xs, y: seen.__setitem__(node.name, y.shape))
    assert seen == {k: v.shape for k, v in everything.items()}
    assert {k: shapes_of(graph, feeds)[k] for k in seen} == seen
    assert evaluate(graph, feeds, keep=()) == {}


def test_a_value_is_released_after_its_last_reader() -> None:
    b = Builder()
    h = x = b.input("x", (None, 1))
    for _ in range(20):
        h = b.add(Mul(), h, h)
    graph = b.build(b.add(Add(), h, x))
    alive: list[weakref.ref[np.ndarray]] = []
    most = 0

    def visit(node: Node, xs: tuple[np.ndarray, ...], y: np.ndarray) -> None:
        nonlocal most
        alive.append(weakref.ref(y))
        most = max(most, sum(r() is not None for r in alive))

    evaluate(graph, {"x": np.ones((1, 1))}, visit=visit)
    assert most == 2                                                    # a node's input and its output


def test_the_same_input_twice_is_not_released_too_early() -> None:
    b = Builder()
    x = b.input("x", (None, 1))
    h = b.add(ReLU(), x)
    graph = b.build(b.add(Add(), b.add(Mul(), h, h), h))
    assert graph([[3.0]]).tolist() == [[12.0]]


def test_an_input_or_a_parameter_may_be_an_output() -> None:
    b = Builder()
    x = b.input("x", (None, 1))
    graph = b.build(x, b.param("w", [[2.0]]), b.add(ReLU(), x))
    assert [y.tolist() for y in graph([[-3.0]])] == [[[-3.0]], [[2.0]], [[0.0]]]


@pytest.mark.parametrize(("node", "text"), [
    (Node("fc", Dense(), ("x", "w")), r"node 'fc': "),
    (Node("fc", Dense(), ("x", "w"), "body.fc"), r"node 'fc' \(layer 'body.fc'\): "),
    (Node("fc", Dense(), ("x", "w"), "body.fc", "Linear, net.py:3"), r"node 'fc' \(from Linear, net.py:3\): "),
])
def test_a_node_that_fails_is_named(node: Node, text: str) -> None:
    graph = made(inputs={"x": InputSpec((None, 5))}, nodes=(node,))
    with pytest.raises(ShapeError, match=text):
        graph(np.ones((1, 5)))


def test_a_division_by_zero_in_exact_mode_is_a_typed_error() -> None:
    b = Builder(dtype="exact")
    graph = b.build(b.add(Reciprocal(), b.input("x", (None, 1)), name="inverse"))
    with pytest.raises(XaicoreError, match="node 'inverse'"):
        graph([[0]])


def test_sample_feeds_are_of_the_right_kind() -> None:
    b = Builder()
    names = [b.input("x", (None, None, 3)), b.input("ids", (2, 4), "int"), b.input("on", (None,), "bool")]
    graph = b.build(*[b.add(Identity(), n) for n in names])
    feeds = sample_feeds(graph, batch=2, size=5)
    assert {k: (v.shape, v.dtype.kind) for k, v in feeds.items()} == {"x": ((2, 5, 3), "f"), "ids": ((2, 4), "i"), "on": ((2,), "b")}
    assert (feeds["x"] > 0).all()
    assert sample_feeds(graph)["x"].tolist() == sample_feeds(graph)["x"].tolist()
