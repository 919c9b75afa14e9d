"""The ONNX backend as a whole: names, constants, functions, verification, what is written out.

The batch is in test_onnx_batch.py, whole networks in test_onnx_networks.py, the single operators in test_onnx_operators.py, hostile
files in test_onnx_files.py, the way back in test_onnx_emit.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from xaicore_onnx import load, lower, to_graph

from tests.backends.onnx_models import ELEMENTS, agrees, model, node, noise, onnx, opinions
from xaicore.errors import BackendError, ConversionError, InputError, Mismatch, NothingChecked
from xaicore.ops import Embedding, Identity, Sigmoid

F4 = np.float32
I64 = np.int64


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
