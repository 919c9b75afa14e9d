"""Graphs that the tests of this folder share, and what it means that two are the same."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

from tests.cases.case import Case, cast
from xaicore.graph import Builder, Graph, InputSpec, Node
from xaicore.graph.run import check_feeds, evaluate
from xaicore.ops import Add, BatchNorm, Conv, Dense, Flatten, LayerNorm, MaxPool, Mul, ReLU, Softmax

ROUNDING = {"float64": 1e-12, "float32": 2e-4}
"""Relative: two ways of computing the same that differ in the order of some hundred roundings of 1e-16 and of 6e-8."""

W = np.array([[1.0, -1.0], [0.5, 2.0], [0.0, 1.0]])


def graph_of(case: Case, dtype: str = "float64") -> tuple[Graph, dict[str, np.ndarray]]:
    """One node, "node", of a case's operator: what has a batch is a graph input, the rest are parameters; and its feeds."""
    xs = cast(case.draw(np.random.default_rng(zlib.crc32(case.id.encode()))), object if dtype == "exact" else np.dtype(dtype))
    b = Builder(case.id, dtype)
    feeds, names = {}, []
    for k, (x, batched) in enumerate(zip(xs, case.sliced(), strict=True)):
        if batched:
            kind: Any = {"b": "bool", "i": "int", "u": "int"}.get(x.dtype.kind, "float")
            names.append(b.input(f"x{k}", (None, *x.shape[1:]), kind))
            feeds[names[-1]] = x
        else:
            names.append(b.param(f"p{k}", x))
    return b.build(b.add(case.op, *names, name="node", layer="layer", origin="origin")), feeds


def cnn(dtype: str = "float64") -> Graph:
    """conv - batch norm - relu - pool - residual - dense - softmax on (N, 2, 4, 4), two heads; in exact mode what is rational of it."""
    rng = np.random.default_rng(7)

    def draw(*shape: int) -> np.ndarray:
        return (2 * np.floor(32 * rng.standard_normal(shape)) + 1) / 64    # exact in float32 and as small fractions

    b = Builder("cnn", "float64" if dtype == "exact" else dtype)
    b.meta["range.x"] = "0,1"
    x = b.input("x", (None, 2, 4, 4))
    h = b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("w1", draw(3, 2, 3, 3)), b.param("b1", draw(3)), name="conv", layer="body.conv",
              origin="Conv2d")
    statistics = [b.param(f"bn.{k}", draw(3) if k != "var" else draw(3) ** 2 + 1) for k in ("gamma", "beta", "mean", "var")]
    h = b.add(BatchNorm(), h, *statistics, name="bn") if dtype != "exact" else h
    h = b.add(MaxPool((2, 2)), b.add(ReLU(), h, name="relu"), name="pool")
    inner = b.add(Conv(), h, b.param("w2", draw(3, 3, 1, 1)), name="inner")
    h = b.add(Flatten(), b.add(Add(), h, inner, name="skip"), name="flat")
    y = b.add(Dense(), h, b.param("w3", draw(4, 12)), b.param("b3", draw(4)), name="logits")
    return b.build(*([b.add(Softmax(), y, name="probabilities")] if dtype != "exact" else []), y).astype(dtype)


def dense(dtype: str = "float64", shape: tuple[int | None, ...] = (None, 2)) -> Graph:
    """relu(W x), the weight W of this file."""
    b = Builder("net")
    x = b.input("x", shape)
    h = b.add(Dense(), x, b.param("w", W), name="fc", layer="body.fc")
    return b.build(b.add(ReLU(), h, name="act")).astype(dtype)


def made(**changes: Any) -> Graph:
    """A graph by its constructor, with some of its parts replaced."""
    parts: dict[str, Any] = {
        "inputs": {"x": InputSpec((None, 2))}, "params": {"w": W}, "nodes": (Node("fc", Dense(), ("x", "w")),), "outputs": ("fc",),
    }
    return Graph(**{**parts, **changes})


def bypassed() -> Graph:
    """y = fc2(relu(fc1 x)) + x + mask: the value "h" has the input x and another input beside it."""
    b = Builder()
    x, other = b.input("x", (None, 2)), b.input("other", (None, 2))
    h = b.add(ReLU(), b.add(Dense(), x, b.param("w1", [[1.0, 2.0], [3.0, -1.0]]), name="fc1"), name="h")
    inner = b.add(Dense(), h, b.param("w2", [[1.0, 0.5], [-1.0, 2.0]]), name="fc2")
    return b.build(b.add(Add(), b.add(Add(), inner, x), other, name="y"))


def normalised() -> tuple[Graph, dict[str, np.ndarray]]:
    """A layer norm times its own softmax on (N, 3, 4); both are outputs. And its feeds."""
    rng = np.random.default_rng(0)
    b = Builder("block")
    x = b.input("x", (None, 3, 4))
    h = b.add(LayerNorm(), x, b.param("gamma", rng.standard_normal(4)), name="norm", layer="block.norm")
    w = b.add(Softmax(), h, name="weights")
    return b.build(b.add(Mul(), w, h, name="mixed"), w), {"x": rng.standard_normal((2, 3, 4))}


def feed(graph: Graph, batch: int = 3, seed: int = 0) -> dict[str, np.ndarray]:
    """Normal draws for the floating inputs, small whole numbers in exact mode."""
    rng = np.random.default_rng(seed)
    shapes = {k: tuple(n or batch for n in s.shape) for k, s in graph.inputs.items()}
    if graph.dtype == "exact":
        return {k: rng.integers(-4, 5, s) for k, s in shapes.items()}
    return {k: rng.standard_normal(s) for k, s in shapes.items()}


def assert_same(a: Graph, b: Graph) -> None:
    """The same graph in everything that it says, bit by bit."""
    assert (a.name, a.dtype, a.outputs) == (b.name, b.dtype, b.outputs)
    assert dict(a.inputs) == dict(b.inputs)
    assert dict(a.meta) == dict(b.meta)
    assert a.nodes == b.nodes
    assert list(a.params) == list(b.params)
    for k in a.params:
        assert a.params[k].dtype == b.params[k].dtype, k
        assert a.params[k].shape == b.params[k].shape, k
        assert a.params[k].tolist() == b.params[k].tolist(), k


def values(graph: Graph, feeds: Any, names: list[str] | None = None) -> dict[str, np.ndarray]:
    return evaluate(graph, check_feeds(graph, feeds), keep=[n.name for n in graph.nodes] if names is None else names)


def equal(graph: Graph, other: Graph, feeds: Any, names: list[str] | None = None) -> None:
    """Both graphs give the same values to all outputs and to all ``names``, as exactly as their arithmetic allows."""
    assert other.outputs == graph.outputs
    assert other.dtype == graph.dtype
    names = [*graph.outputs, *(names or ())]
    one, two = values(graph, feeds, names), values(other, feeds, names)
    for k in names:
        assert one[k].shape == two[k].shape, k
        assert one[k].dtype == two[k].dtype, k
        if graph.dtype == "exact" or one[k].dtype.kind != "f":
            assert one[k].tolist() == two[k].tolist(), k
        else:
            rtol = ROUNDING[graph.dtype]
            np.testing.assert_allclose(two[k], one[k], rtol=rtol, atol=rtol * max(1.0, abs(one[k]).max()), err_msg=k)
