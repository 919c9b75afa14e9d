"""The batch of an ONNX model, wherever the model keeps it: moved, joined with other axes, written down, or missing; sizes that are left free."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xaicore_onnx import lower, to_graph

from tests.backends.common import input_gradients
from tests.backends.onnx_models import ELEMENTS, agrees, model, node, noise, onnx, opinions
from xaicore.errors import ConversionError, FileRefused, InputError, ShapeError
from xaicore.ops import Add, Dense, Expand, MatMul, Reshape

F4 = np.float32
I64 = np.int64


# ----- the batch ----------------------------------------------------------------------------------------------------

SHAPE_CHAIN = [
    node("Shape", "x", "s"), node("Slice", "s zero one", "n"), node("Concat", "n rest", "target", axis=0), node("Reshape", "x target", "f"),
    node("Gemm", "f w", "y", transB=1),
]  # fmt: skip


def test_a_reshape_to_a_computed_batch() -> None:
    weights = {"zero": np.array([0], I64), "one": np.array([1], I64), "rest": np.array([-1], I64), "w": noise(3, 12)}
    proto = model(SHAPE_CHAIN, {"x": noise(2, 3, 4)}, "y", weights)
    graph = to_graph(proto, noise(2, 3, 4))
    assert [n.op for n in graph.nodes] == [Reshape((12,)), Dense()]
    agrees(graph, proto, noise(5, 3, 4))


def test_a_reshape_to_an_integer_times_the_batch() -> None:
    """(N, 6) -> (2N, 3): a value whose batch is joined with another axis is (N, 2, 3) in the graph; a sum then brings it back."""
    nodes = [
        node("Shape", "x", "s"), node("Gather", "s zero", "n"), node("Mul", "n two", "m"), node("Concat", "m three", "target", axis=0),
        node("Reshape", "x target", "h"), node("Relu", "h", "r"), node("Concat", "n six", "back", axis=0), node("Reshape", "r back", "y"),
    ]  # fmt: skip
    weights = {"zero": np.array([0], I64), "two": np.array(2, I64), "three": np.array([3], I64), "six": np.array([6], I64)}
    proto = model(nodes, {"x": noise(2, 6)}, "y", weights)
    graph = to_graph(proto, noise(2, 6))
    assert graph.nodes[0].op == Reshape((2, 3))
    agrees(graph, proto, noise(4, 6))


def test_a_class_token_is_expanded_to_the_batch() -> None:
    nodes = [
        node("Shape", "x", "n", start=0, end=1), node("Concat", "n rest", "target", axis=0), node("Expand", "token target", "t"),
        node("Concat", "t x", "y", axis=1),
    ]  # fmt: skip
    proto = model(nodes, {"x": noise(2, 3, 4)}, "y", {"token": noise(1, 1, 4), "rest": np.array([-1, -1], I64)})
    proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.array([1, 4], I64), "rest"))
    graph = to_graph(proto, noise(2, 3, 4))
    assert isinstance(graph.nodes[0].op, Expand)
    agrees(graph, proto, noise(5, 3, 4))


def test_zeros_of_the_batch_size() -> None:
    nodes = [node("Shape", "x", "s"), node("ConstantOfShape", "s", "z"), node("Concat", "x z", "y", axis=1)]
    proto = model(nodes, {"x": noise(2, 3)}, "y")
    agrees(to_graph(proto, noise(2, 3)), proto, noise(5, 3))


def test_numbers_that_depend_on_the_place_in_the_batch_are_refused() -> None:
    nodes = [
        node("Shape", "x", "n", start=0, end=1), node("Squeeze", "n", "m"), node("Range", "zero m one", "r"), node("Unsqueeze", "r at", "u"),
        node("Cast", "u", "f", to=ELEMENTS["f4"]), node("Add", "x f", "y"),
    ]  # fmt: skip
    weights = {"zero": np.array(0, I64), "one": np.array(1, I64), "at": np.array([1], I64)}
    with pytest.raises(ConversionError, match="another one for each place in the batch"):
        to_graph(model(nodes, {"x": noise(2, 3)}, "y", weights), noise(2, 3))


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_the_batch_may_be_moved_and_joined(data: st.DataObject) -> None:
    """Any chain of permutations and of joinings of neighbouring axes, the batch among them, element by element in between; verification
    compares every value with the reference, in the graph's order of axes."""
    free = data.draw(st.booleans(), "free batch")
    shape: list[Any] = ["N", 2, 3, 4]
    nodes, weights, last = [], {"shift": np.float32(0.3)}, "x"
    for k in range(data.draw(st.integers(1, 5))):
        if data.draw(st.booleans(), "transpose"):
            perm = data.draw(st.permutations(range(len(shape))))
            nodes.append(node("Transpose", last, f"v{k}", perm=list(perm)))
            shape = [shape[j] for j in perm]
        elif len(shape) > 1 and data.draw(st.booleans(), "join"):
            at = data.draw(st.integers(0, len(shape) - 2))
            shape = [*shape[:at], f"{shape[at]}*{shape[at + 1]}", *shape[at + 2:]]
            nodes += _reshape(last, f"v{k}", shape, weights, free)
        else:
            nodes.append(node("Add", f"{last} shift", f"v{k}"))
        last = f"v{k}"
    split = [one for n in shape for one in str(n).split("*")]                     # all joined axes apart again, so that the output is plain
    nodes += _reshape(last, "apart", split, weights, free)
    first = split.index("N")
    nodes.append(node("Transpose", "apart", "y", perm=[first, *(k for k in range(len(split)) if k != first)]))
    x = noise(2 if free else 1, 2, 3, 4)
    proto = model(nodes, {"x": x} if free else {"x": [1, 2, 3, 4]}, "y", weights)
    graph = to_graph(proto, x)
    for n in range(2):
        y = graph(noise(2, 2, 3, 4, seed=5))[n:n + 1]
        np.testing.assert_allclose(y, opinions(proto, {"x": noise(2, 2, 3, 4, seed=5)[n:n + 1]})["onnx.reference"][0], rtol=1e-6)


def _reshape(source: str, to: str, shape: list[Any], weights: dict[str, Any], free: bool) -> list[Any]:
    """Nodes that reshape to sizes like "2*N*3", from the batch size of the input or with a batch of 1 written down."""
    sizes = [prod(1 if part == "N" else int(part) for part in str(n).split("*")) for n in shape]
    at = next(k for k, n in enumerate(shape) if "N" in str(n))
    if not free:
        weights[f"{to}/target"] = np.array(sizes, I64)
        return [node("Reshape", f"{source} {to}/target", to)]
    weights |= {f"{to}/a": np.array(sizes[:at], I64), f"{to}/k": np.array([sizes[at]], I64), f"{to}/b": np.array(sizes[at + 1:], I64)}
    return [
        node("Shape", "x", f"{to}/n", start=0, end=1), node("Mul", f"{to}/n {to}/k", f"{to}/m"),
        node("Concat", f"{to}/a {to}/m {to}/b", f"{to}/target", axis=0), node("Reshape", f"{source} {to}/target", to),
    ]  # fmt: skip


def test_attention_with_the_heads_joined_to_the_batch() -> None:
    """As torch writes it: time first, and (N * heads) stacks of matrices."""
    t, h, d = 4, 2, 3
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]), node("MatMul", "t wq", "q"), node("MatMul", "t wk", "k"),
        node("Shape", "x", "n", start=0, end=1), node("Mul", "n heads", "m"), node("Concat", "t_ m d_", "split", axis=0),
        node("Reshape", "q split", "q1"), node("Reshape", "k split", "k1"), node("Transpose", "q1", "q2", perm=[1, 0, 2]),
        node("Transpose", "k1", "k2", perm=[1, 2, 0]), node("MatMul", "q2 k2", "scores"), node("Softmax", "scores", "p", axis=-1),
        node("MatMul", "p q2", "mixed"), node("Transpose", "mixed", "u", perm=[1, 0, 2]), node("Concat", "t_ n e_", "join", axis=0),
        node("Reshape", "u join", "v"), node("Transpose", "v", "y", perm=[1, 0, 2]),
    ]  # fmt: skip
    weights = {"wq": noise(6, 6), "wk": noise(6, 6, seed=1), "heads": np.array(h, I64), "t_": np.array([t], I64), "d_": np.array([d], I64),
               "e_": np.array([h * d], I64)}
    proto = model(nodes, {"x": noise(2, t, h * d)}, "y", weights)
    graph = to_graph(proto, noise(2, t, h * d))
    agrees(graph, proto, noise(3, t, h * d, seed=4))
    assert sum(isinstance(n.op, MatMul) for n in graph.nodes) == 2
    assert [n.name for n in graph.nodes][-1] == "y"


def test_a_fixed_batch_of_one_is_freed() -> None:
    weights = {"s": np.array([1, 12], I64), "w": noise(3, 12)}
    proto = model([node("Reshape", "x s", "f"), node("Gemm", "f w", "y", transB=1)], {"x": [1, 3, 4]}, "y", weights)
    graph = to_graph(proto, noise(1, 3, 4))
    assert graph.inputs["x"].shape == (None, 3, 4)
    x = noise(4, 3, 4)
    for k in range(4):
        np.testing.assert_allclose(graph(x)[k:k + 1], opinions(proto, {"x": x[k:k + 1]})["onnx.reference"][0], rtol=1e-4, atol=1e-5)
    to_graph(proto, x)                                      # an example of four samples is verified one by one


def test_a_fixed_batch_of_one_may_be_squeezed_away() -> None:
    """Softmax over what was the batch's neighbour, after Squeeze: each sample by itself."""
    nodes = [node("Squeeze", "x zero", "v"), node("Softmax", "v", "p", axis=0), node("ReduceSum", "p zero", "s", keepdims=0), node("Mul", "p s", "m"),
             node("Unsqueeze", "m zero", "y")]  # fmt: skip
    proto = model(nodes, {"x": [1, 3, 4]}, "y", {"zero": np.array([0], I64)})
    graph = to_graph(proto, noise(1, 3, 4))
    x = noise(3, 3, 4)
    assert graph(x).shape == (3, 3, 4)
    for k in range(3):
        np.testing.assert_allclose(graph(x)[k:k + 1], opinions(proto, {"x": x[k:k + 1]})["onnx.reference"][0], rtol=1e-5)


def test_a_batch_with_a_number_for_each_sample_stays_fixed() -> None:
    proto = model([node("Add", "x w", "y")], {"x": [3, 2]}, "y", {"w": noise(3, 2)})
    graph = to_graph(proto, noise(3, 2))
    assert graph.inputs["x"].shape == (3, 2)
    agrees(graph, proto, noise(3, 2))
    with pytest.raises(ShapeError, match="converted with a fixed batch"):
        graph(noise(4, 2))


def test_a_fixed_batch_is_freed_only_after_a_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lowering that slips in rows for three samples: the graph does not run on a fourth."""
    rows = np.arange(12.0).reshape(3, 4)
    monkeypatch.setitem(lower.TABLE, "Relu", lambda c: c.put(Add(), c.live(), c.derived(rows, "rows")))
    graph = to_graph(model([node("Relu", "x", "y")], {"x": [3, 4]}, "y"), verify=False)
    assert graph.inputs["x"].shape == (3, 4)


def test_a_larger_fixed_batch_is_freed_too() -> None:
    weights = {"s": np.array([3, 12], I64), "w": noise(2, 12)}
    graph = to_graph(model([node("Reshape", "x s", "f"), node("Gemm", "f w", "y", transB=1)], {"x": [3, 3, 4]}, "y", weights), noise(3, 3, 4))
    assert graph.inputs["x"].shape == (None, 3, 4)
    with pytest.raises(InputError, match="batches of 3"):
        to_graph(model([node("Relu", "x", "y")], {"x": [3, 4]}, "y"), noise(4, 4))


def test_a_model_without_batch_axis() -> None:
    nodes = [node("Softmax", "x", "p", axis=0), node("MatMul", "p w", "y")]
    proto = model(nodes, {"x": [4]}, "y", {"w": noise(4, 3)})
    with pytest.raises(ConversionError, match="unbatched=True"):
        to_graph(model([node("Softmax", "x", "y", axis=0)], {"x": noise(1, 4)}, "y"))
    graph = to_graph(proto, noise(4), unbatched=True)
    x = noise(5, 4)
    assert graph.inputs["x"].shape == (None, 4)
    np.testing.assert_allclose(graph(x), np.stack([opinions(proto, {"x": one})["onnx.reference"][0] for one in x]), rtol=1e-5)


def test_samples_that_mix_are_refused() -> None:
    proto = model([node("ReduceMean", "x", "m", keepdims=1), node("Sub", "x m", "y")], {"x": noise(1, 4)}, "y")
    with pytest.raises(ConversionError, match=r"node 'm' \(ReduceMean, opset 18\): .*samples would mix"):
        to_graph(proto)


@pytest.mark.parametrize(("inputs", "text"), [
    ({"x": [1, 3], "y": [2, 3]}, "different sizes on axis 0"), ({"x": []}, "single number without a batch axis"),
])  # fmt: skip
def test_inputs_that_have_no_batch_in_common(inputs: dict[str, Any], text: str) -> None:
    with pytest.raises(ConversionError, match=text):
        to_graph(model([node("Relu", "x", "z")], inputs, "z"))


# ----- sizes that the file leaves free ------------------------------------------------------------------------------


def test_sizes_stay_free_that_nothing_depends_on() -> None:
    proto = model([node("Conv", "x w", "c"), node("GlobalAveragePool", "c", "y")], {"x": ["N", 3, "h", "w_"]}, "y", {"w": noise(2, 3, 3, 3)})
    graph = to_graph(proto)
    assert graph.inputs["x"].shape == (None, 3, None, None)
    agrees(graph, proto, noise(2, 3, 9, 7))


def test_sizes_that_something_depends_on_are_those_of_the_example() -> None:
    nodes = [node("Shape", "x", "t", start=1, end=2), node("Slice", "table zero t", "p"), node("Add", "x p", "y")]
    proto = model(nodes, {"x": ["N", "t", 4]}, "y", {"table": noise(70, 4), "zero": np.array([0], I64)})
    assert to_graph(proto, noise(2, 6, 4)).inputs["x"].shape == (None, 6, 4)
    assert to_graph(proto).inputs["x"].shape == (None, 64, 4)


def test_a_free_size_that_does_not_work_asks_for_an_example() -> None:
    nodes = [node("Flatten", "x", "f"), node("Gemm", "f w", "y", transB=1)]
    proto = model(nodes, {"x": ["N", "c", "h"]}, "y", {"w": noise(2, 12)})
    with pytest.raises(ShapeError, match="64 was tried for each: pass an example input"):
        to_graph(proto)
    assert to_graph(proto, noise(1, 3, 4)).inputs["x"].shape == (None, 3, 4)


def test_an_input_of_unknown_rank_is_refused() -> None:
    proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y")
    proto.graph.input[0].type.tensor_type.ClearField("shape")
    with pytest.raises((ConversionError, FileRefused), match="shape"):
        to_graph(proto)


# ----- where ONNX has the batch of an output ------------------------------------------------------------------------


def test_an_output_whose_batch_lies_elsewhere_says_so() -> None:
    proto = model([node("Transpose", "x", "y", perm=[1, 0, 2])], {"x": noise(2, 3, 4)}, "y")
    graph = to_graph(proto, noise(2, 3, 4))
    assert graph.meta["shape.y"] == "(3, N, 4)"
    x = noise(5, 3, 4)
    np.testing.assert_array_equal(graph(x), x)              # the batch in front again, as the graph has it everywhere
    assert to_graph(model([node("Flatten", "x", "y", axis=2)], {"x": noise(2, 3, 4)}, "y")).meta["shape.y"] == "(N * 3, 4)"


@pytest.mark.parametrize(("start", "text"), [(0, "depends on the batch size"), (1, "")])
def test_the_batch_size_is_no_value_of_a_sample(start: int, text: str) -> None:
    """With three samples, the three numbers of a shape must not be taken for one number of each."""
    nodes = [node("Shape", "x", "s", start=start), node("Cast", "s", "y", to=ELEMENTS["f4"])]
    proto = model(nodes, {"x": noise(3, 4, 5)}, "y")
    if text:
        with pytest.raises(ConversionError, match=text):
            to_graph(proto, noise(3, 4, 5), verify=False)
    else:
        np.testing.assert_array_equal(to_graph(proto, noise(3, 4, 5))(noise(3, 4, 5)), [4, 5])


# ----- inputs that have the batch elsewhere -------------------------------------------------------------------------


def with_state(axis: str | int = "N") -> Any:
    """x (N, 3) and a state (2, N, 3), whose halves are added; the new state is an output of the same order of axes."""
    nodes = [node("Gather", "s zero", "a", axis=0), node("Gather", "s one", "b", axis=0), node("Add", "x a", "c"), node("Mul", "c b", "y"),
             node("Unsqueeze", "y axes", "u"), node("Concat", "u s", "t", axis=0)]
    weights = {"zero": np.array(0), "one": np.array(1), "axes": np.array([0])}
    return model(nodes, {"x": ["N", 3], "s": [2, axis, 3]}, "y t", weights)


@pytest.mark.parametrize(("axis", "options"), [("N", {}), ("M", {"batch_axes": {"s": 1}})], ids=["by name", "as given"])
def test_an_input_with_the_batch_elsewhere(axis: str, options: Any) -> None:
    proto, x, s = with_state(axis), noise(4, 3), noise(2, 4, 3, seed=1)
    graph = to_graph(proto, (x, s), **options)              # the example as the model takes it, verified
    assert graph.inputs["s"].shape == (None, 2, 3)
    assert graph.meta["shape.s"] == "(2, N, 3)"
    assert graph.meta["shape.t"] == "(3, N, 3)"
    y, t = graph({"x": x, "s": s.transpose(1, 0, 2)})       # the batch in front, as everywhere in a graph
    np.testing.assert_allclose(y, (x + s[0]) * s[1], rtol=1e-6)
    np.testing.assert_allclose(t[:, 1:], s.transpose(1, 0, 2), rtol=1e-6)


@pytest.mark.parametrize(("options", "text"), [
    ({}, r"different sizes on axis 0 \(x 4, s 2\).*batch_axes=\{name: axis\}.*constants=.*unbatched=True"),
    ({"batch_axes": {"q": 1}}, "batch_axes names 'q', which is no input"), ({"batch_axes": {"s": 3}}, "batch_axes says 3 for input 's', which has 3 axes"),
])  # fmt: skip
def test_axes_of_the_batch_that_are_missing_or_wrong(options: Any, text: str) -> None:
    proto = with_state(4)
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 4
    with pytest.raises((ConversionError, InputError), match=text):
        to_graph(proto, **options)


# ----- frames of films ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_windows_on_frames_that_were_joined_with_the_batch(rank: int) -> None:
    """(N, T, C, *S) is reshaped to (N * T, C, *S), as a module that is applied to each frame has it, and back."""
    space, kernel = (7, 6, 5)[:rank], (3, 2, 2)[:rank]
    weights = {"one": np.array([-1, 2, *space], I64), "w": noise(4, 2, *kernel), "b": noise(4, seed=1), "g": noise(4, seed=2), "m": noise(4, seed=3),
               "v": noise(4, seed=4) ** 2 + F4(0.5), "back": np.array([-1, 3, 4, 2, *(1,) * (rank - 1)], I64)}
    nodes = [
        node("Reshape", "x one", "f"), node("Conv", "f w b", "c", strides=[2, 1, 1][:rank], pads=[1] * 2 * rank), node("BatchNormalization", "c g b m v", "n"),
        node("MaxPool", "n", "p", kernel_shape=[2] * rank, strides=[2, 3, 2][:rank]), node("AveragePool", "p", "a", kernel_shape=[1, 2, 3][:rank]),
        node("Reshape", "a back", "y"),
    ]
    proto = model(nodes, {"x": noise(2, 3, 2, *space)}, "y", weights)
    x = noise(2, 3, 2, *space)
    graph = to_graph(proto, x)
    agrees(graph, proto, noise(4, 3, 2, *space, seed=9))
    assert graph.inputs["x"].shape[0] is None
    seed = noise(2, *graph(x).shape[1:], seed=5).astype(float)
    direction, step = noise(*x.shape, seed=6).astype(float), 1e-6
    ends = [float((graph(x + sign * step * direction) * seed).sum()) for sign in (1, -1)]
    found = float((input_gradients(graph, x, [seed])["x"] * direction).sum())
    np.testing.assert_allclose(found, (ends[0] - ends[1]) / (2 * step), rtol=1e-6)                 # central differences; no kink is that near


def test_windows_on_the_parts_of_one_sample() -> None:
    nodes = [node("Conv", "x w", "c"), node("Relu", "c", "r"), node("GlobalMaxPool", "r", "p")]
    with pytest.raises(ConversionError, match=r"GlobalMaxPool takes \(N, C, ...\)"):
        to_graph(model(nodes, {"x": [3, 2, 5]}, "p", {"w": noise(4, 2, 3)}), unbatched=True)
    proto = model(nodes[:2], {"x": [3, 2, 5]}, "r", {"w": noise(4, 2, 3)})
    x = noise(3, 2, 5)
    np.testing.assert_allclose(to_graph(proto, x, unbatched=True)(x[None])[0], opinions(proto, {"x": x})["onnx.reference"][0], rtol=1e-5, atol=1e-6)
