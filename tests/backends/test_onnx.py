"""The ONNX backend as a whole: names, the batch wherever a model keeps it, constants, free sizes, verification, gradients.

The single operators are in test_onnx_operators.py, hostile files in test_onnx_files.py, the way back in test_onnx_emit.py.
"""

from __future__ import annotations

import io
import warnings
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xaicore_onnx import load, lower, to_graph

from tests.backends.common import input_gradients
from tests.backends.onnx_models import ELEMENTS, model, node, onnx, opinions
from xaicore.errors import BackendError, ConversionError, FileRefused, InputError, Mismatch, NothingChecked, ShapeError
from xaicore.graph import Graph
from xaicore.ops import Add, Dense, Embedding, Expand, Identity, MatMul, Reshape, Sigmoid, Transpose

Array = np.ndarray
F4 = np.float32
I64 = np.int64


def noise(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape).astype(F4)


def agrees(graph: Graph, proto: Any, x: Array) -> None:
    """The graph's output is that of every opinion; both are float32, so a few roundings of 6e-8 apart."""
    for who, (theirs, *_) in opinions(proto, {"x": x}).items():
        mine = graph(x)
        mine = mine[0] if isinstance(mine, tuple) else mine
        np.testing.assert_allclose(mine, theirs, rtol=1e-4, atol=1e-5, err_msg=who)


def perceptron(**more: Any) -> Any:
    """x (N, 4) -> fc1 -> Relu -> fc2 (3)."""
    weights = {"fc1.weight": noise(5, 4), "fc1.bias": noise(5, seed=1), "fc2.weight": noise(3, 5, seed=2)}
    nodes = [
        onnx.helper.make_node("Gemm", ["x", "fc1.weight", "fc1.bias"], ["h"], name="/fc1/Gemm", transB=1),
        onnx.helper.make_node("Relu", ["h"], ["r"], name="/Relu"),
        onnx.helper.make_node("Gemm", ["r", "fc2.weight"], ["y"], name="/block/block.2/fc2/Gemm", transB=1),
    ]
    return model(nodes, {"x": noise(1, 4)}, "y", weights, **more)


# ----- the contract -------------------------------------------------------------------------------------------------


def test_names_layers_and_origins() -> None:
    graph = to_graph(perceptron(), noise(2, 4))
    assert [n.name for n in graph.nodes] == ["/fc1/Gemm", "/Relu", "/block/block.2/fc2/Gemm"]
    assert [n.layer for n in graph.nodes] == ["fc1", "", "block.2.fc2"]
    assert graph.nodes[0].origin == "Gemm (opset 18)"
    assert set(graph.params) == {"fc1.weight", "fc1.bias", "fc2.weight"}
    assert graph.nodes[0].inputs == ("x", "fc1.weight", "fc1.bias")
    assert str(graph.inputs["x"]) == "float(N, 4)"


def test_layers_from_torch_metadata() -> None:
    proto = perceptron()
    entry = proto.graph.node[1].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", "['', 'body', 'body.act', 'relu']"
    assert to_graph(proto).nodes[1].layer == "body.act"


def test_origins_from_torch_metadata() -> None:
    proto = perceptron()
    for key, value in (("class_hierarchy", "['net.Net', 'torch.nn.modules.activation.ReLU', 'aten.relu.default']"),
                       ("stack_trace", 'File "/home/me/net.py", line 12, in forward\n  x\n  File "/v/site-packages/torch/nn/relu.py", line 3, in forward')):
        entry = proto.graph.node[1].metadata_props.add()
        entry.key, entry.value = f"pkg.torch.onnx.{key}", value
    assert to_graph(proto).nodes[1].origin == "Relu (opset 18), aten.relu.default in torch.nn.modules.activation.ReLU, net.py:12"


@pytest.mark.parametrize("value", ["[", "__import__('os')", "['a']", "7", "[" * 500])
def test_metadata_that_is_no_list_is_ignored(value: str) -> None:
    proto = perceptron()
    entry = proto.graph.node[1].metadata_props.add()
    entry.key, entry.value = "pkg.torch.onnx.name_scopes", value
    assert to_graph(proto).nodes[1].layer == ""
    entry.key = "pkg.torch.onnx.class_hierarchy"
    assert to_graph(proto).nodes[1].origin == "Relu (opset 18)"


def test_nodes_without_a_name_have_that_of_their_output_and_names_may_repeat() -> None:
    nodes = [node("Relu", "x", "a"), node("Neg", "a", "b", name="same"), node("Abs", "b", "c", name="same"), node("Exp", "c", "y", name="x")]
    graph = to_graph(model(nodes, {"x": noise(1, 2)}, "y"), noise(2, 2))
    assert [n.name for n in graph.nodes] == ["a", "same", "c", "y"]


@pytest.mark.parametrize("dtype", ["float64", "float32", "exact"])
def test_dtypes(dtype: str) -> None:
    from fractions import Fraction

    graph = to_graph(perceptron(), dtype=dtype)
    assert graph.dtype == dtype
    wanted = {"float64": np.float64, "float32": np.float32, "exact": object}[dtype]
    assert all(p.dtype == wanted for p in graph.params.values())
    x = np.vectorize(Fraction, otypes=[object])(np.arange(4)[None]) if dtype == "exact" else noise(2, 4)
    assert graph(x).dtype == wanted


def test_the_model_is_not_changed() -> None:
    proto = perceptron()
    before = proto.SerializeToString(deterministic=True)
    to_graph(proto, noise(2, 4))
    assert proto.SerializeToString(deterministic=True) == before


def test_bytes_file_and_proto_are_the_same_model(tmp_path: Any) -> None:
    proto, x = perceptron(), noise(3, 4)
    path = tmp_path / "model.onnx"
    onnx.save(proto, path)
    for graph in (to_graph(proto), to_graph(proto.SerializeToString()), load(path), load(str(path), verify=True)):
        np.testing.assert_array_equal(graph(x), to_graph(proto)(x))


def test_another_kind_of_model_is_refused() -> None:
    with pytest.raises(BackendError, match=r"ModelProto or its bytes, not list"):
        to_graph([])


@pytest.mark.parametrize("example", [noise(2, 4), [noise(2, 4)], (noise(2, 4),), {"x": noise(2, 4)}, noise(2, 4).tolist()], ids=str)
def test_an_example_is_an_array_a_sequence_or_a_mapping(example: Any) -> None:
    to_graph(perceptron(), example)


@pytest.mark.parametrize(("example", "error", "text"), [
    ({"z": noise(2, 4)}, InputError, "the model has the inputs x"), (noise(2, 4, 1), InputError, "2 axes are declared"),
    (noise(2, 5), InputError, "the file says 4 for axis 1"), (np.full((2, 4), np.nan), InputError, "must be finite"),
])  # fmt: skip
def test_an_example_that_does_not_fit(example: Any, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        to_graph(perceptron(), example)


def test_initialisers_that_are_also_inputs_are_constants() -> None:
    proto = perceptron()
    for name, shape in (("fc1.weight", [5, 4]), ("fc1.bias", [5]), ("fc2.weight", [3, 5])):
        proto.graph.input.append(onnx.helper.make_tensor_value_info(name, ELEMENTS["f4"], shape))
    assert list(to_graph(proto).inputs) == ["x"]


def test_half_precision_and_bfloat16_weights() -> None:
    for element, tolerance in (("f2", 1e-3), ("bf", 1e-2)):                         # 11 and 8 bits of mantissa
        w = noise(3, 4)
        if element == "f2":
            tensor = onnx.numpy_helper.from_array(w.astype(np.float16), "w")
        else:
            tensor = onnx.helper.make_tensor("w", onnx.TensorProto.BFLOAT16, w.shape, w.reshape(-1))
        proto = model([node("Cast", "w", "v", to=ELEMENTS["f4"]), node("Gemm", "x v", "y", transB=1)], {"x": noise(1, 4)}, "y", {"w": w})
        proto.graph.initializer[0].CopyFrom(tensor)
        np.testing.assert_allclose(to_graph(proto, verify=False)(np.eye(4)), w.T, rtol=tolerance, atol=tolerance)


def test_channels_last_images_are_named_in_the_metadata() -> None:
    nodes = [node("Transpose", "x", "t", perm=[0, 3, 1, 2]), node("Conv", "t w", "y")]
    graph = to_graph(model(nodes, {"x": noise(1, 5, 6, 3)}, "y", {"w": noise(2, 3, 2, 2)}), noise(2, 5, 6, 3))
    assert graph.meta == {"layout.x": "NHWC"}
    assert to_graph(perceptron()).meta == {}


def test_several_inputs_and_outputs() -> None:
    nodes = [node("Add", "a b", "s"), node("Sub", "a b", "d"), node("Relu", "d", "r")]
    graph = to_graph(model(nodes, {"a": noise(1, 3), "b": noise(1, 3)}, "r s"), (noise(2, 3), noise(2, 3, seed=1)))
    assert graph.outputs == ("r", "s")
    first, second = graph(np.ones((4, 3)), np.full((4, 3), 0.25))
    assert (first == 0.75).all()
    assert (second == 1.25).all()


def test_an_output_that_is_an_input_or_a_constant() -> None:
    proto = model([node("Identity", "w", "c"), node("Identity", "x", "y")], {"x": noise(1, 3)}, "y c", {"w": noise(1, 2)})
    graph = to_graph(proto, noise(2, 3))
    assert isinstance(graph.nodes[0].op, Identity)
    np.testing.assert_array_equal(graph(np.ones((2, 3)))[1], noise(1, 2).astype(float))


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


# ----- constants ----------------------------------------------------------------------------------------------------


def test_constants_are_folded_to_parameters() -> None:
    nodes = [
        onnx.helper.make_node("Constant", [], ["c"], value_floats=[1.0, 2.0, 3.0]), node("Mul", "c c", "d"), node("Exp", "d", "e"),
        node("Add", "x e", "y"),
    ]  # fmt: skip
    graph = to_graph(model(nodes, {"x": noise(1, 3)}, "y"), noise(2, 3))
    assert [n.name for n in graph.nodes] == ["y"]
    np.testing.assert_allclose(graph.params["e"], np.exp(np.array([1.0, 4.0, 9.0])), rtol=1e-6)


@pytest.mark.parametrize(("value", "op"), [({"value_float": 0.5}, "Mul"), ({"value_int": 3}, "Pow"), ({"value_ints": [1, 2]}, "Pow")])
def test_kinds_of_constants(value: dict[str, Any], op: str) -> None:
    proto = model([onnx.helper.make_node("Constant", [], ["c"], **value), node(op, "x c", "y")], {"x": noise(1, 2)}, "y")
    agrees(to_graph(proto, np.abs(noise(2, 2))), proto, np.abs(noise(3, 2)))


@pytest.mark.parametrize("condition", [True, False])
def test_an_if_with_a_constant_condition_is_the_branch_that_is_taken(condition: bool) -> None:
    branches = {}
    for name, op in (("then_branch", "Relu"), ("else_branch", "Neg")):
        out = onnx.helper.make_tensor_value_info(f"{op}/out", ELEMENTS["f4"], ["N", 3])
        inner = [node("Add", "x shift", f"{op}/s"), node(op, f"{op}/s", f"{op}/out", name=op)]
        shift = onnx.numpy_helper.from_array(noise(3), f"{op}/w")
        inner[0].input[1] = f"{op}/w"
        branches[name] = onnx.helper.make_graph(inner, name, [], [out], [shift])
    proto = model([onnx.helper.make_node("If", ["c"], ["y"], name="if", **branches)], {"x": noise(1, 3)}, "y", {"c": np.bool_(condition)})
    graph = to_graph(proto, noise(2, 3))
    assert [n.name for n in graph.nodes] == [f"{'Relu' if condition else 'Neg'}/s", "Relu" if condition else "Neg", "if"]
    agrees(graph, proto, noise(4, 3))


def test_an_if_whose_condition_is_computed_is_refused() -> None:
    out = onnx.helper.make_tensor_value_info("o", ELEMENTS["f4"], ["N", 3])
    branch = onnx.helper.make_graph([node("Relu", "x", "o")], "b", [], [out])
    other = onnx.helper.make_graph([node("Neg", "x", "p")], "b", [], [onnx.helper.make_tensor_value_info("p", ELEMENTS["f4"], ["N", 3])])
    nodes = [node("ReduceMax", "x", "m", keepdims=0), node("Cast", "m", "c", to=ELEMENTS["b1"]),
             onnx.helper.make_node("If", ["c"], ["y"], then_branch=branch, else_branch=other)]
    with pytest.raises(ConversionError, match="condition of If is computed from the model's input"):
        to_graph(model(nodes, {"x": [1, 3]}, "y"), noise(1, 3))


def test_an_embedding() -> None:
    proto = model([node("Gather", "table ids", "e"), node("ReduceMean", "e axes", "y", keepdims=0)], {"ids": np.zeros((1, 5), I64)}, "y",
                  {"table": noise(7, 3), "axes": np.array([1], I64)})
    ids = np.array([[0, 1, 6, 3, 3], [2, 2, 2, 2, 2]])
    graph = to_graph(proto, ids)
    assert isinstance(graph.nodes[0].op, Embedding)
    assert graph.inputs["ids"].kind == "int"
    np.testing.assert_allclose(graph(ids), noise(7, 3).astype(float)[ids].mean(1), rtol=1e-6)


def test_an_embedding_of_single_numbers_and_of_matrices() -> None:
    for shape in ((7,), (7, 2, 3)):
        proto = model([node("Gather", "table ids", "y")], {"ids": np.zeros((1, 5), I64)}, "y", {"table": noise(*shape)})
        ids = np.array([[0, 1, 6, 3, 3], [2, 2, 2, 2, 2]])
        np.testing.assert_array_equal(to_graph(proto, ids)(ids), noise(*shape).astype(float)[ids])


def test_random_and_unknown_constants_are_refused() -> None:
    proto = model([node("Multinomial", "w", "r"), node("Cast", "r", "f", to=ELEMENTS["f4"]), node("Add", "x f", "y")], {"x": noise(1, 1)}, "y",
                  {"w": noise(1, 3)})
    with pytest.raises(ConversionError, match="Multinomial of constants is not evaluated"):
        to_graph(proto)


# ----- functions and domains ----------------------------------------------------------------------------------------


def test_local_functions_are_inlined() -> None:
    function = onnx.helper.make_function("local", "Twice", ["a"], ["b"], [node("Add", "a a", "b")], [onnx.helper.make_opsetid("", 18)])
    nodes = [node("Relu", "x", "r"), onnx.helper.make_node("Twice", ["r"], ["y"], domain="local")]
    proto = model(nodes, {"x": noise(1, 3)}, "y", imports=(onnx.helper.make_opsetid("local", 1),), functions=[function])
    x = noise(2, 3)
    np.testing.assert_array_equal(to_graph(proto, x)(x), 2 * np.maximum(x.astype(float), 0))


@pytest.mark.parametrize(("op", "opset", "shapes", "attributes"), [
    ("Attention", 23, [(2, 3, 4, 8), (2, 3, 5, 8), (2, 3, 5, 8)], {}), ("Attention", 23, [(2, 4, 6), (2, 5, 6), (2, 5, 6)], {"q_num_heads": 2, "kv_num_heads": 2}),
    ("Attention", 24, [(2, 3, 4, 8)] * 3, {"is_causal": 1}), ("MeanVarianceNormalization", 13, [(2, 3, 4, 4)], {"axes": [1, 2, 3]}),
    ("RotaryEmbedding", 23, [(2, 3, 4, 8), (2, 4, 4), (2, 4, 4)], {}),
])  # fmt: skip
def test_operators_that_the_standard_defines_by_a_function(op: str, opset: int, shapes: list[Any], attributes: dict[str, Any]) -> None:
    feeds = {f"x{k}": noise(*s, seed=k) for k, s in enumerate(shapes)}
    proto = model([onnx.helper.make_node(op, list(feeds), ["y"], **attributes)], feeds, "y", opset=opset)
    graph = to_graph(proto, feeds)
    np.testing.assert_allclose(graph(feeds), opinions(proto, feeds, runtime=False)["onnx.reference"][0], rtol=1e-4, atol=1e-5)


def test_foreign_domains_are_refused_by_name() -> None:
    proto = model([onnx.helper.make_node("FusedConv", ["x"], ["y"], domain="com.microsoft")], {"x": noise(1, 3)}, "y",
                  imports=(onnx.helper.make_opsetid("com.microsoft", 1),))
    with pytest.raises(ConversionError, match="com.microsoft::FusedConv is not one of the standard set"):
        to_graph(proto)


@pytest.mark.parametrize("opset", [6, 29, 99])
def test_operator_sets_that_are_not_known(opset: int) -> None:
    proto = perceptron()
    proto.opset_import[0].version = opset
    with pytest.raises(ConversionError, match=f"operator set {opset}; the sets 7 to 28 are understood"):
        to_graph(proto)


# ----- verification -------------------------------------------------------------------------------------------------


def test_a_wrong_conversion_is_a_mismatch_that_names_the_node(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(lower.TABLE, "Relu", lambda c: c.put(Sigmoid(), c.live()))
    with pytest.raises(Mismatch, match=r"node '/Relu' \(Sigmoid\(\); .*Relu \(opset 18\)\) is the first that differs"):
        to_graph(perceptron(), noise(2, 4))
    to_graph(perceptron(), noise(2, 4), verify=False)


def test_without_an_example_noise_is_verified() -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(lower.TABLE, "Relu", lambda c: c.put(Sigmoid(), c.live()))
        with pytest.raises(Mismatch):
            to_graph(perceptron())


def test_a_value_that_lies_elsewhere_is_compared_in_the_graphs_order(monkeypatch: pytest.MonkeyPatch) -> None:
    nodes = [node("Transpose", "x", "t", perm=[1, 0, 2]), node("Relu", "t", "r"), node("Transpose", "r", "y", perm=[1, 0, 2])]
    proto = model(nodes, {"x": noise(2, 3, 4)}, "y")
    to_graph(proto, noise(2, 3, 4))
    monkeypatch.setitem(lower.TABLE, "Relu", lambda c: c.put(Sigmoid(), c.live()))
    with pytest.raises(Mismatch, match="node 'r'"):
        to_graph(proto, noise(2, 3, 4))


def test_what_the_reference_cannot_run_is_not_silently_unverified() -> None:
    proto = model([node("GlobalLpPool", "x", "y")], {"x": noise(1, 3, 4)}, "y")
    with pytest.raises(NothingChecked, match="pass verify=False"):
        to_graph(proto, noise(2, 3, 4))


# ----- gradients ----------------------------------------------------------------------------------------------------


def export(module: Any, example: Any, **more: Any) -> bytes:
    """torch's exporter that needs no further package; it is deprecated, hence the warnings."""
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), example, out, dynamo=False, opset_version=17, **more)
    return out.getvalue()


def convolutional() -> Any:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.conv2, self.up = nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), nn.ConvTranspose2d(4, 4, 2, stride=2)
            self.fc = nn.Linear(4 * 4 * 4, 3)
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.norm(self.conv1(x)))
            x = x + self.up(nn.functional.silu(self.conv2(x)))
            x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
            return torch.log_softmax(self.fc(torch.flatten(nn.functional.gelu(x), 1)), 1)

    torch.manual_seed(0)
    return Net()


def transformer() -> Any:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.token = nn.Conv2d(2, 8, 2, 2), nn.Parameter(torch.randn(1, 1, 8))
            self.body = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
            return self.head(self.body(x)[:, 0])

    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize("make", [convolutional, transformer])
@pytest.mark.parametrize("free", [True, False])
def test_gradients_of_an_exported_network_are_those_of_torch(make: Any, free: bool) -> None:
    torch = pytest.importorskip("torch")
    net = make().double().eval()
    x = torch.randn(2 if free else 1, 2, 8, 8, dtype=torch.double)
    data = export(net, x, input_names=["x"], dynamic_axes={"x": {0: "N"}} if free else None)
    graph = to_graph(data, x.numpy())
    assert graph.inputs["x"].shape == (None, 2, 8, 8)
    feed = torch.randn(3, 2, 8, 8, dtype=torch.double, requires_grad=True)
    y = net(feed)
    seed = torch.randn(y.shape, dtype=torch.double)
    y.backward(seed)
    # 1e-6: epsilon and the constants of gelu are stored in single precision, and so is what the exporter folds
    np.testing.assert_allclose(graph(feed.detach().numpy()), y.detach().numpy(), rtol=1e-6, atol=1e-6)
    mine = input_gradients(graph, feed.detach().numpy(), [seed.numpy()])["x"]
    np.testing.assert_allclose(mine, feed.grad.numpy(), rtol=1e-6, atol=1e-6 * float(feed.grad.abs().max()))
    assert "head" in {n.layer for n in graph.nodes} or "fc" in {n.layer for n in graph.nodes}


def test_identity_transposes_cost_nothing() -> None:
    """A permutation that moves the batch alone is no Transpose in the graph."""
    proto = model([node("Transpose", "x", "y", perm=[1, 0, 2])], {"x": noise(2, 3, 4)}, "y")
    graph = to_graph(proto, noise(2, 3, 4))
    assert not any(isinstance(n.op, Transpose) for n in graph.nodes)
    np.testing.assert_array_equal(graph(noise(2, 3, 4)), noise(2, 3, 4).astype(float))


# ----- inputs given as constants ------------------------------------------------------------------------------------


def pieces() -> Any:
    """x (N, 12) reshaped to a shape that is an input, with the reduction's axes an input too."""
    nodes = [node("Reshape", "x shape", "r"), node("ReduceSum", "r axes", "y", keepdims=0)]
    proto = model(nodes, {"x": noise(2, 12), "shape": np.zeros(3, I64), "axes": np.zeros(1, I64)}, "y")
    proto.graph.output[0].CopyFrom(onnx.helper.make_tensor_value_info("y", ELEMENTS["f4"], ["N", "M"]))
    return proto


def test_inputs_given_as_constants() -> None:
    proto, x = pieces(), noise(2, 12)
    constants = {"shape": np.array([0, 3, 4]), "axes": np.array([2])}
    graph = to_graph(proto, x, constants=constants)
    assert list(graph.inputs) == ["x"]
    np.testing.assert_allclose(graph(x), x.reshape(2, 3, 4).sum(2), rtol=1e-6)
    with pytest.raises(ConversionError, match=r"target shape of Reshape is the model's input 'shape'.*constants=\{'shape': array\}"):
        to_graph(proto, verify=False, constants={"axes": np.array([2])})
    assert [v.name for v in proto.graph.input] == ["x", "shape", "axes"]                           # the caller's model is as it was


@pytest.mark.parametrize(("constants", "text"), [
    ({"shap": np.zeros(3, I64)}, "no input of the model.*shape"),
    ({"shape": np.zeros((1, 3), I64)}, r"'shape' has shape \(1, 3\), but the file says \[None\]"),
    ({"shape": np.zeros(3)}, "'shape' has dtype float64, but the file says int64"),
    ({"shape": np.array(["a"] * 3)}, "no tensor of floats"),
])  # fmt: skip
def test_constants_that_do_not_fit(constants: Any, text: str) -> None:
    with pytest.raises(InputError, match=text):
        to_graph(pieces(), constants=constants)


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


# ----- operators that the standard defines by others ----------------------------------------------------------------


def test_an_operator_without_counterpart_is_converted_by_its_definition() -> None:
    """Its nodes keep the layer of the operator, and defaults that its definition refers to are filled in: the axes 0, 2, 3 here."""
    one = onnx.helper.make_node("MeanVarianceNormalization", ["x"], ["y"], name="/body/norm/Mvn", axes=[2, 3])
    proto, x = model([one], {"x": noise(2, 3, 4, 5)}, "y", opset=13), noise(2, 3, 4, 5)
    graph = to_graph(proto, x)
    assert {n.layer for n in graph.nodes} == {"body.norm"}
    assert {type(n.op).__name__ for n in graph.nodes} >= {"Mean", "Div"}
    np.testing.assert_allclose(graph(x), (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True), rtol=1e-4, atol=1e-5)
    default = model([node("MeanVarianceNormalization", "x", "y")], {"x": noise(1, 3, 4, 5)}, "y", opset=13)
    y = to_graph(default, noise(1, 3, 4, 5), unbatched=True)(x[:, None])
    want = (x - x.mean((2, 3), keepdims=True)) / x.std((2, 3), keepdims=True)
    np.testing.assert_allclose(y[:, 0], want, rtol=1e-4, atol=1e-5)                                # axis 0 of one sample has one entry


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


# ----- a softmax that is written out --------------------------------------------------------------------------------


def written_out(axis: int, *, shape: list[int] | None = None, scores: str = "x", summed: str = "e", of: int | None = None) -> Any:
    """exp(x - max x) / sum exp(x - max x) along an axis of x (N, 3, 4), as exporters from JAX and TensorFlow write it."""
    keep = int(shape is None)
    nodes = [node("ReduceMax", scores, "m", axes=[axis], keepdims=keep), *([] if keep else [node("Reshape", "m s", "mr")]),
             node("Sub", "x m" if keep else "x mr", "d"), node("Exp", "d", "e"),
             node("ReduceSum", f"{summed} a", "t", keepdims=keep), *([] if keep else [node("Reshape", "t s", "tr"), node("Expand", "tr all", "tw")]),
             node("Div", "e t" if keep else "e tw", "y")]
    weights = {"a": np.array([axis if of is None else of]), "s": np.array(shape or [0]), "all": np.array([1, 3, 4])}
    return model(nodes, {"x": noise(2, 3, 4)}, "y", weights, 13)


@pytest.mark.parametrize(("axis", "shape"), [(2, None), (1, None), (-1, None), (2, [-1, 3, 1]), (1, [-1, 1, 4])])
def test_a_softmax_that_is_written_out_is_one(axis: int, shape: list[int] | None) -> None:
    proto = written_out(axis, shape=shape)
    graph = to_graph(proto, noise(2, 3, 4))
    assert [type(n.op).__name__ for n in graph.nodes] == ["Softmax"]
    assert graph.nodes[0].name == "y"
    agrees(graph, proto, noise(5, 3, 4, seed=1))


@pytest.mark.parametrize(("options", "kinds"), [
    ({"axis": 2, "summed": "d"}, ["ReduceMax", "Sub", "Exp", "Sum", "Div"]),                       # the sum of something else
    ({"axis": 1, "of": 2}, ["ReduceMax", "Sub", "Softmax"]),                                       # a shift that is none: it stays
    ({"axis": 2, "scores": "d0"}, ["Softmax"]),                                                    # the maximum of |x|: any shift is one
], ids=["another sum", "another axis", "another shift"])  # fmt: skip
def test_what_the_sum_and_the_shift_must_be(options: Any, kinds: list[str]) -> None:
    proto = written_out(**options)
    if "scores" in options:
        proto.graph.node.insert(0, node("Abs", "x", "d0"))
    x = np.abs(noise(2, 3, 4)) + F4(0.1)
    graph = to_graph(proto, x)
    assert [type(n.op).__name__ for n in graph.nodes] == kinds
    agrees(graph, proto, x)
