"""Loops, numbers of samples, quantised layers and what else needs more than one node to show, against the evaluator and onnxruntime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xaicore_onnx import to_graph

from tests.backends.common import input_gradients
from tests.backends.onnx_models import ELEMENTS, model, node, onnx, opinions
from xaicore.errors import ConversionError
from xaicore.ops import GatherND, ScatterND, Softmax

Array = np.ndarray
F4, I64 = np.float32, np.int64


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


def agree(proto: Any, *examples: Array, **options: Any) -> Any:
    """Converts on the first example, and compares all of them with every opinion: the same in float32, some roundings of 6e-8 apart."""
    graph = to_graph(proto, examples[0], **options)
    for x in examples:
        ours = graph(x[None] if options.get("unbatched") else x)
        ours = ours if isinstance(ours, tuple) else (ours,)
        for who, theirs in opinions(proto, {"x": x}).items():
            for mine, y in zip(ours, theirs, strict=True):
                np.testing.assert_allclose(mine[0] if options.get("unbatched") else mine, y, rtol=1e-4, atol=1e-5, err_msg=who)
    return graph


# ----- numbers that begin with that of their sample -----------------------------------------------------------------


def by_sample(rest: list[Any], known: bool) -> tuple[list[Any], dict[str, Any]]:
    """x[arange(N), ids] as torch writes it: the positions ``at`` are constants, or those of the largest entries."""
    nodes = [
        node("Shape", "x", "n", start=0, end=1), node("Squeeze", "n", "count"), node("Range", "zero count one", "r"), node("Reshape", "r tall", "rows"),
    ]
    if known:
        nodes += [node("Concat", "n one1", "size", axis=0), node("Expand", "two size", "ids")]
    else:
        nodes += [node("ArgMax", "x", "m", axis=1, keepdims=0), node("Slice", "m s e a", "ids")]
    nodes += [node("Concat", "rows ids", "at", axis=-1), *rest]
    weights = {"zero": np.array(0), "one": np.array(1), "one1": np.array([1]), "tall": np.array([-1, 1]), "two": np.array([[2]]),
               "s": np.array([0]), "e": np.array([1]), "a": np.array([1])}
    return nodes, weights


@pytest.mark.parametrize("known", [True, False])
def test_entries_of_each_sample(known: bool) -> None:
    nodes, weights = by_sample([node("GatherND", "x at", "y")], known)
    graph = agree(model(nodes, {"x": noise(2, 4, 3)}, "y", weights), noise(2, 4, 3), noise(5, 4, 3, seed=1))
    assert graph.node("y").op == GatherND(1)
    assert graph.inputs["x"].shape[0] is None


@pytest.mark.parametrize("known", [True, False])
def test_entries_put_into_each_sample(known: bool) -> None:
    rest = [node("ReduceMax", "x axes", "u", keepdims=0), node("Mul", "u half", "h"), node("ScatterND", "x at h", "y", reduction="add")]
    nodes, weights = by_sample(rest, known)
    weights |= {"axes": np.array([1]), "half": F4(0.5)}
    graph = agree(model(nodes, {"x": noise(2, 4, 3)}, "y", weights), noise(2, 4, 3), noise(5, 4, 3, seed=1))
    assert graph.node("y").op == ScatterND(reduction="add")


def test_numbers_of_samples_are_for_looking_up_only() -> None:
    nodes, weights = by_sample([node("Cast", "at", "c", to=ELEMENTS["f4"]), node("ReduceSum", "at axes", "y")], False)
    with pytest.raises(ConversionError, match=r"node 'y' \(ReduceSum.*numbers of the samples beside"):
        to_graph(model(nodes, {"x": noise(2, 4, 3)}, "y", {**weights, "axes": np.array([1])}), noise(2, 4, 3))
    nodes, weights = by_sample([], False)
    with pytest.raises(ConversionError, match="output 'at': the output holds the number of each sample"):
        to_graph(model(nodes, {"x": noise(2, 4, 3)}, "at", weights), noise(2, 4, 3))


@pytest.mark.parametrize("op", ["ScatterElements", "Scatter"])
def test_another_constant_index_for_each_sample_fixes_the_batch(op: str) -> None:
    at = np.array([[[0], [2]], [[1], [3]]])
    proto = model([node(op, "x i u", "y", axis=2)], {"x": [2, 3, 4]}, "y", {"i": at, "u": noise(2, 2, 1, seed=3)}, 10 if op == "Scatter" else 13)
    assert agree(proto, noise(2, 3, 4), noise(2, 3, 4, seed=2)).inputs["x"].shape == (2, 3, 4)


@pytest.mark.parametrize("mode", ["linear", "circular"])
def test_a_cache_is_written_at_a_place(mode: str) -> None:
    proto = model([node("TensorScatter", "x u w", "y", mode=mode, axis=1)], {"x": [2, 5, 3]}, "y", {"u": noise(2, 2, 3, seed=4), "w": np.array([1, 3])}, 24)
    agree(proto, noise(2, 5, 3), noise(2, 5, 3, seed=1))


def test_lookups_by_live_numbers_in_one_sample() -> None:
    nodes = [node("ArgMax", "x", "i", axis=1, keepdims=0), node("Gather", "x i", "y", axis=1), node("Gather", "t i", "z", axis=1)]
    agree(model(nodes, {"x": [3, 4]}, "y z", {"t": noise(2, 4, 3)}), noise(3, 4), noise(3, 4, seed=2), unbatched=True)


# ----- what depends on shapes or presence alone ---------------------------------------------------------------------


def test_constants_of_a_shape() -> None:
    nodes = [node("EyeLike", "x", "e", k=1), node("MatMul", "x e", "y")]
    with pytest.raises(ConversionError, match="samples"):
        to_graph(model(nodes, {"x": noise(3, 3)}, "y"), noise(3, 3))
    agree(model(nodes, {"x": [3, 3]}, "y"), noise(3, 3), noise(3, 3, seed=1), unbatched=True)


def test_a_tensor_is_there() -> None:
    branches = {f"{k}_branch": onnx.helper.make_graph([node(op, "x", k)], k, [], [onnx.helper.make_tensor_value_info(k, 1, None)])
                for k, op in (("then", "Relu"), ("else", "Neg"))}
    nodes = [node("OptionalHasElement", "x", "c"), onnx.helper.make_node("If", ["c"], ["r"], **branches), node("OptionalGetElement", "r", "y")]
    proto = model(nodes, {"x": noise(2, 3)}, "y")
    np.testing.assert_array_equal(to_graph(proto, noise(2, 3), verify=False)(noise(4, 3)), np.maximum(noise(4, 3).astype(float), 0))


# ----- loops --------------------------------------------------------------------------------------------------------


def info(name: str, kind: int = 1) -> Any:
    return onnx.helper.make_tensor_value_info(name, kind, None)


def recurrence(**settings: Any) -> Any:
    """h <- tanh(x_t + W h) along axis 1 of x (N, T, D), with h and h^2 of each step stacked."""
    body = onnx.helper.make_graph(
        [node("MatMul", "h w", "p"), node("Add", "p b", "q"), node("Add", "q e", "s"), node("Tanh", "s", "g"), node("Mul", "g g", "square")],
        "step", [info("h"), info("e")], [info("g"), info("square")],
    )
    nodes = [node("ReduceMean", "x", "first", axes=[1], keepdims=0),
             onnx.helper.make_node("Scan", ["first", "x"], ["last", "all"], body=body, num_scan_inputs=1, **settings)]
    proto = model(nodes, {"x": noise(2, 5, 3)}, "last all", {"w": noise(3, 3, seed=7), "b": noise(3, seed=8)}, 13)
    del proto.graph.output[:]
    proto.graph.output.extend([onnx.helper.make_tensor_value_info(k, 1, ["A"] * rank) for k, rank in (("last", 2), ("all", 3))])
    return proto


@pytest.mark.parametrize(("direction", "out_axis", "turned"), [(0, 1, 0), (1, 1, 0), (0, 2, 1)])
def test_scan(direction: int, out_axis: int, turned: int) -> None:
    proto = recurrence(scan_input_axes=[1], scan_input_directions=[direction], scan_output_axes=[out_axis], scan_output_directions=[turned])
    graph = to_graph(proto, noise(2, 5, 3), verify=False)
    x = noise(4, 5, 3, seed=1).astype(float)
    w, b = (noise(*s, seed=k).astype(float) for s, k in (((3, 3), 7), ((3,), 8)))
    h, rows = x.mean(1), []
    for t in range(5)[:: -1 if direction else 1]:           # the recurrence, written down
        h = np.tanh(h @ w + b + x[:, t])
        rows.append(h * h)
    last, stacked = graph(x)
    np.testing.assert_allclose(last, h, rtol=1e-6, atol=1e-6)                                       # the weights are float32 numbers
    np.testing.assert_allclose(stacked, np.stack(rows[:: -1 if turned else 1], out_axis), rtol=1e-6, atol=1e-6)
    seeds = [noise(4, 3, seed=2).astype(float), np.zeros_like(stacked)]
    direction_of_x, step = noise(4, 5, 3, seed=3).astype(float), 1e-5
    ends = [(graph(x + sign * step * direction_of_x)[0] * seeds[0]).sum() for sign in (1, -1)]
    mine = (input_gradients(graph, x, seeds)["x"] * direction_of_x).sum()
    np.testing.assert_allclose(mine, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)                   # central differences: step^2


def counted(condition: str = "going", count: int | None = 3) -> Any:
    """y = (x + 0)(x + 1)(x + 2) ..., one factor in each step, and the product of each step."""
    body = onnx.helper.make_graph(
        [node("Cast", "k", "f", to=1), node("Add", "x f", "s"), node("Mul", "p s", "q"), node("Identity", "q", "row"), node("Less", "k two", "early"),
         node("ReduceMax", "q", "t", axes=[1], keepdims=0), node("Less", "t big", "small"), node("Identity", condition, "next")],
        "step", [info("k", 7), info("going", 9), info("p")], [info("next", 9), info("q"), info("row")],
    )
    inputs = ["m" if count is not None else "", "c", "one"]
    weights = {"m": np.array(count or 0), "c": np.bool_(True), "two": np.array(2), "one": F4([[1.0]]), "big": F4(100)}
    proto = model([onnx.helper.make_node("Loop", inputs, ["y", "rows"], body=body)], {"x": noise(2, 3)}, "y rows", weights, 13)
    del proto.graph.output[:]
    proto.graph.output.extend([onnx.helper.make_tensor_value_info(k, 1, ["A"] * rank) for k, rank in (("y", 2), ("rows", 3))])
    return proto


@pytest.mark.parametrize(("condition", "count", "steps"), [("going", 3, 3), ("early", None, 3), ("early", 2, 2)])
def test_loop(condition: str, count: int | None, steps: int) -> None:
    graph = to_graph(counted(condition, count), noise(2, 3), verify=False)
    x = noise(4, 3, seed=1).astype(float)
    want = np.cumprod([x + k for k in range(steps)], axis=0)
    y, rows = graph(x)
    np.testing.assert_allclose(y, want[-1], rtol=1e-12)
    np.testing.assert_allclose(rows, np.moveaxis(want, 1, 0), rtol=1e-12)
    assert graph.meta["shape.rows"] == f"({steps}, N, 3)"


@pytest.mark.parametrize(("condition", "count", "text"), [
    ("small", 3, "goes on or stops as its condition says"), ("going", None, "more than 40 steps"), ("going", 5000, "more than 40 steps"),
    ("going", 0, "makes no step"),
])  # fmt: skip
def test_loops_that_are_refused(condition: str, count: int | None, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaicore_onnx.lower_loop.MAX_STEPS", 40)
    with pytest.raises(ConversionError, match=rf"node 'y' \(Loop, opset 13\).*{text}"):
        to_graph(counted(condition, count), noise(2, 3), verify=False)


# ----- quantised layers ---------------------------------------------------------------------------------------------


def test_a_signal_passes_where_the_model_rounds() -> None:
    """Within the range of the integers the gradient is that of the layer without rounding; beyond it is 0."""
    nodes = [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "r"), node("Gemm", "r w", "y")]
    w = noise(3, 2, seed=5)
    proto = model(nodes, {"x": noise(2, 3)}, "y", {"s": F4(0.01), "z": np.int8(3), "w": w}, 13)
    x = np.array([[0.5, -0.3, 4.0], [0.123, 1.0, -9.0]], F4)
    graph = agree(proto, x)
    seed = np.ones((2, 2))
    inside = np.abs(x) < 1.2
    np.testing.assert_allclose(input_gradients(graph, x, [seed])["x"], (seed @ w.T.astype(float)) * inside, rtol=1e-12)


# ----- attention ----------------------------------------------------------------------------------------------------


def test_attention_is_products_and_a_softmax() -> None:
    graph = to_graph(model([onnx.helper.make_node("Attention", ["x"] * 3, ["y"], name="/block/attn/sdpa")], {"x": noise(2, 2, 3, 4)}, "y", opset=23))
    kinds = [type(n.op).__name__ for n in graph.nodes]
    assert kinds == ["Transpose", "MatMul", "Mul", "Softmax", "MatMul"]
    assert {n.layer for n in graph.nodes} == {"block.attn"}
    assert graph.nodes[3].op == Softmax(-1)
    assert graph.nodes[-1].name == "/block/attn/sdpa"


def test_attention_with_lengths_of_each_sample_is_taken_from_its_definition() -> None:
    nodes = [node("ArgMax", "x", "m", axis=1, keepdims=0), node("Gather", "m zero", "n", axis=1), node("Gather", "n zero", "l", axis=1),
             node("Attention", "x x x - - - l", "y")]
    proto = model(nodes, {"x": noise(2, 3, 3, 4)}, "y", {"zero": np.array(0)}, 24)
    x = noise(4, 3, 3, 4, seed=1)
    graph = to_graph(proto, noise(2, 3, 3, 4), verify=False)
    q = x.astype(float)
    lengths = x.argmax(1)[:, 0, 0]
    scores = q @ q.swapaxes(-1, -2) / 2
    e = np.exp(scores) * (np.arange(3) < lengths[:, None])[:, None, None]
    want = e / np.where(e.sum(-1, keepdims=True) == 0, 1, e.sum(-1, keepdims=True)) @ q            # a query that sees no key gives 0
    np.testing.assert_allclose(graph(x), want, rtol=1e-5, atol=1e-6)
