"""Graph, Builder, feeds and evaluation: what exists is valid, every mistake is a typed error that names the thing, nothing is modified."""

from __future__ import annotations

import dataclasses
import weakref
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.graph.graphs import cnn, feed
from xaicore.errors import ExactnessError, GraphError, InputError, ShapeError, UnknownName, XaicoreError
from xaicore.graph import Builder, Graph, InputSpec, Node
from xaicore.graph.run import check_feeds, evaluate, sample_feeds, shapes_of
from xaicore.ops import Add, Concat, Dense, Embedding, Gather, Identity, Log, Mul, Op, Reciprocal, ReLU, Sub, ToFloat, Where

W = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]])


def dense(dtype: str = "float64", shape: tuple[int | None, ...] = (None, 2)) -> Graph:
    b = Builder("net")
    x = b.input("x", shape)
    h = b.add(Dense(), x, b.param("w", W), name="fc", layer="body.fc")
    return b.build(b.add(ReLU(), h, name="act")).astype(dtype)


def two_inputs() -> Graph:
    """a (N, 2) times 2 minus b (N, 2)."""
    b = Builder()
    one, other = b.input("a", (None, 2)), b.input("b", (None, 2))
    return b.build(b.add(Sub(), b.add(Mul(), one, b.constant(2)), other))


def made(**changes: Any) -> Graph:
    """A graph by its constructor, with some of its parts replaced."""
    parts: dict[str, Any] = {
        "inputs": {"x": InputSpec((None, 2))}, "params": {"w": W}, "nodes": (Node("fc", Dense(), ("x", "w")),), "outputs": ("fc",),
    }
    return Graph(**{**parts, **changes})


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


# ----- what is fed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("x", [
    [[1, 2]], [[1.0, 2.0]], np.array([[1, 2]], dtype="uint8"), np.array([[1, 2]], dtype="float16"), np.array([[1.0, 2.0]]),
    ([[1.0, 2.0]],), {"x": [[1.0, 2.0]]}, np.array([[1.0, 2.0]])[::-1], np.asfortranarray([[1.0, 2.0]]),
], ids=repr)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_numbers_of_many_kinds_are_taken(x: Any, dtype: str) -> None:
    y = dense(dtype)(x)
    assert y.dtype == dtype
    assert y.tolist() == [[0.0, 4.5, 2.0]]


@pytest.mark.parametrize(("x", "error", "text"), [
    ([1.0, 2.0], ShapeError, r"input 'x' has shape \(2,\), but float\(N, 2\) is expected \(rank 2\); axis 0 is the batch: .* x\[None\]"),
    (1.0, ShapeError, r"shape \(\), but"), (np.zeros((1, 1, 2)), ShapeError, r"shape \(1, 1, 2\), but .*rank 2\)$"),
    (np.zeros((4, 3)), ShapeError, r"shape \(4, 3\), but float\(N, 2\) is expected: 3 instead of 2 on axis 1"),
    (np.zeros((0, 2)), InputError, "empty batch"), ([[1, np.nan]], InputError, r"holds nan at index \(0, 1\)"),
    ([[1, 2], [-np.inf, 0]], InputError, r"holds -inf at index \(1, 0\)"), ([[True, False]], InputError, "dtype bool, but numbers are"),
    ([["1", "2"]], InputError, "dtype <U1, but an array of numbers is expected"), ([[1j, 2]], InputError, "dtype complex128"),
    ([[None, 1]], InputError, "dtype object, but numbers"), ([[1, 2], [3]], InputError, "cannot be read as an array"),
    ([[Fraction(1, 2), 1]], InputError, r"use graph.astype\('exact'\)"), ({"y": 1}, UnknownName, "no input 'y': known: x"),
    ({}, InputError, r"no value was given for input 'x' \(float\(N, 2\)\)"), (None, InputError, "input 'x' is None, but an array of numbers is expected"),
    (object(), InputError, "dtype object"),
])
def test_a_wrong_feed_is_named(x: Any, error: type[XaicoreError], text: str) -> None:
    with pytest.raises(error, match=text):
        dense()(x)


def test_what_float32_cannot_hold_is_an_error_and_not_an_infinity() -> None:
    with pytest.raises(InputError, match=r"input 'x' holds 1e\+39 at index \(0, 0\), which float32 cannot hold"):
        dense("float32")([[1e39, 0.0]])
    with pytest.raises(InputError, match=r"parameter 'w' holds .*e\+39, which float32 cannot hold"):
        made(params={"w": W * 1e39}).astype("float32")


def test_a_fixed_batch_is_kept() -> None:
    graph = dense(shape=(2, 2))
    assert graph(np.ones((2, 2))).shape == (2, 3)
    with pytest.raises(ShapeError, match="3 instead of 2 on the batch; this graph was converted with a fixed batch"):
        graph(np.ones((3, 2)))


def test_a_free_size_is_free() -> None:
    b = Builder()
    graph = b.build(b.add(ReLU(), b.input("x", (None, None, 3))))
    assert graph(np.ones((2, 7, 3))).shape == (2, 7, 3)
    with pytest.raises(InputError, match="an empty array"):
        graph(np.ones((2, 0, 3)))
    with pytest.raises(ShapeError, match=r"float\(N, \?, 3\) is expected"):
        graph(np.ones((2, 7, 4)))


def test_whole_numbers_and_booleans_are_not_floats() -> None:
    b = Builder()
    ids, keep = b.input("ids", (None, 2), "int"), b.input("keep", (None, 2, 1), "bool")
    vectors = b.add(Embedding(), b.param("table", W), ids)
    graph = b.build(b.add(Where(), keep, vectors, b.constant(0)))
    want = [[[0.5, 2.0], [0.0, 0.0]]]
    on = [[[True], [False]]]
    assert graph([[1, 0]], on).tolist() == want
    assert graph(ids=np.array([[1, 0]], dtype="uint8"), keep=[[[1], [0]]]).tolist() == want
    assert graph.float_inputs == ()
    for bad, text in (([[1.0, 0.0]], "dtype float64, but whole numbers are expected, such as token ids"), ([[True, False]], "dtype bool")):
        with pytest.raises(InputError, match=text):
            graph(bad, on)
    for wrong in ([[[2], [0]]], [[[1.0], [0.0]]], [[["a"], ["b"]]]):
        with pytest.raises(InputError, match=r"input 'keep' has dtype .*, but booleans are expected"):
            graph([[1, 0]], wrong)


def test_several_inputs_come_in_order_or_by_name() -> None:
    graph = two_inputs()
    a, b = np.array([[1.0, 2.0]]), np.array([[5.0, 7.0]])
    want = [[-3.0, -3.0]]
    for y in (graph(a, b), graph([a, b]), graph((a, b)), graph({"b": b, "a": a}), graph(b=b, a=a)):
        assert y.tolist() == want
    with pytest.raises(InputError, match=r"2 inputs \(a, b\)"):
        graph(a)
    with pytest.raises(InputError, match="no value was given for input 'b'"):
        graph({"a": a})
    with pytest.raises(ShapeError, match=r"differ in their batch \(axis 0\): {'a': 1, 'b': 2}"):
        graph(a, np.ones((2, 2)))
    with pytest.raises(InputError, match="either in order or by name"):
        graph(a, b=b)


class Tensor:
    """What torch's tensors do: those that track gradients or lie on another device refuse ``numpy()``, and so does bfloat16."""

    def __init__(self, value: Any, plain: bool = False) -> None:
        self.value, self.plain = value, plain

    def detach(self) -> Tensor:
        return Tensor(self.value, self.plain)

    def cpu(self) -> Tensor:
        return Tensor(self.value, True)

    def numpy(self) -> np.ndarray:
        if not self.plain:
            raise RuntimeError("Can't call numpy() on Tensor that requires grad")
        if self.value is None:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return np.asarray(self.value)


def test_a_tensor_is_detached_and_read() -> None:
    assert dense()(Tensor([[1.0, 2.0]])).tolist() == [[0.0, 4.5, 2.0]]
    with pytest.raises(InputError, match=r"cannot be read as an array \(Got unsupported ScalarType BFloat16"):
        dense()(Tensor(None))


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


# ----- evaluation -------------------------------------------------------------------------------------------------------


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
