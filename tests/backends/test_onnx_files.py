"""Hostile and broken ONNX files: every one ends in one of our errors, soon, and without memory that the file only asked for."""

from __future__ import annotations

import os
import pickle
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xaicore_onnx import load, to_graph
from xaicore_onnx.lower import TABLE

from tests.backends.onnx_models import ELEMENTS, model, node, onnx
from xaicore.errors import ConversionError, FileRefused, GraphError, XaicoreError

F4, I64 = np.float32, np.int64
W = np.random.default_rng(0).standard_normal


def small() -> Any:
    """A model with most kinds of fields: attributes of every type, initialisers of floats and integers, a shape chain."""
    nodes = [
        node("Conv", "x w", "c", name="/body/conv/Conv", pads=[1, 1, 1, 1]), node("LeakyRelu", "c", "r", alpha=0.1),
        node("Resize", "r - s", "u", mode="linear"), node("MaxPool", "u", "p", kernel_shape=[2, 2], strides=[2, 2]),
        node("Shape", "p", "n", start=0, end=1), node("Concat", "n rest", "t", axis=0), node("Reshape", "p t", "f"),
        node("Gemm", "f v", "y", transB=1),
    ]  # fmt: skip
    weights = {"w": F4(W((3, 2, 3, 3))), "s": F4([1, 1, 2, 2]), "rest": np.array([-1], I64), "v": F4(W((4, 48)))}
    return model(nodes, {"x": np.zeros((1, 2, 4, 4), F4)}, "y", weights)


DATA = small().SerializeToString()


# ----- what is not a model at all -----------------------------------------------------------------------------------


def _pickle(path: Path) -> None:
    path.write_bytes(pickle.dumps({"weights": [1.0, 2.0]}))


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02}q\x00.")


WRONG: dict[str, tuple[Callable[[Path], Any], str]] = {
    "missing": (lambda p: None, "cannot be read: No such file"),
    "empty": (lambda p: p.write_bytes(b""), "is empty"),
    "directory": (lambda p: p.mkdir(), "no regular file .but a folder"),
    "pickle": (_pickle, "pickle, which is never opened"),
    "zip": (_zip, "a zip archive"),
    "numpy": (lambda p: np.save(p.open("wb"), np.ones(3)), "a NumPy array"),
    "text": (lambda p: p.write_text("import os\n" * 50), "is not an ONNX model"),
    "json": (lambda p: p.write_text('{"nodes": []}'), "is not an ONNX model"),
    "random": (lambda p: p.write_bytes(np.random.default_rng(0).bytes(5000)), "is not an ONNX model"),
    "zeros": (lambda p: p.write_bytes(bytes(5000)), "is not an ONNX model"),
    "cut": (lambda p: p.write_bytes(DATA[: len(DATA) // 2]), "cut off or damaged"),
    "fifo": (lambda p: os.mkfifo(p), "no regular file"),
}


@pytest.mark.filterwarnings("ignore::ResourceWarning")                 # np.save to a file that nothing closes
@pytest.mark.parametrize("kind", WRONG)
def test_what_is_no_model_is_refused_with_what_to_do(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    make, text = WRONG[kind]
    make(path)
    with pytest.raises(FileRefused, match=text) as caught:
        load(path)
    assert "model.onnx" in str(caught.value)
    assert caught.value.exit_code == 4


def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    path.chmod(0)
    if os.access(path, os.R_OK):
        pytest.skip("the superuser reads every file")
    with pytest.raises(FileRefused, match="permissions"):
        load(path)


def test_a_file_above_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(DATA)
    monkeypatch.setattr("xaicore_onnx.safe.MAX_BYTES", 100)
    with pytest.raises(FileRefused, match="more than 100 are not read|holds 100 at most"):
        load(path)
    with pytest.raises(FileRefused, match="more than 100 are not read|holds 100 at most"):
        to_graph(DATA)


@pytest.mark.parametrize("share", range(0, 100, 10))
def test_a_file_that_is_cut_off(share: int) -> None:
    with pytest.raises(FileRefused):
        to_graph(DATA[: len(DATA) * share // 100])


def test_a_file_that_is_cut_off_anywhere() -> None:
    for end in range(len(DATA)):
        try:
            to_graph(DATA[:end], verify=False)
        except XaicoreError:
            continue
        raise AssertionError(f"{end} of {len(DATA)} bytes were taken for a whole model")


@settings(max_examples=150, deadline=None)
@given(flips=st.lists(st.tuples(st.integers(0, len(DATA) - 1), st.integers(0, 7)), min_size=1, max_size=4))
def test_flipped_bits_convert_or_are_refused(flips: list[tuple[int, int]]) -> None:
    data = bytearray(DATA)
    for at, bit in flips:
        data[at] ^= 1 << bit
    with suppress(XaicoreError):
        to_graph(bytes(data))


EXTREMES = (-(2**63), -(2**31), -7, -1, 0, 1, 2, 5, 64, 2**16, 2**31 - 1, 2**40, 2**63 - 1)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_fields_with_absurd_values_convert_or_are_refused(data: st.DataObject) -> None:
    """Valid protobuf with wrong contents: what random bytes hardly ever reach."""
    proto = small()
    for _ in range(data.draw(st.integers(1, 3))):
        one = data.draw(st.sampled_from(list(proto.graph.node)))
        what = data.draw(st.sampled_from(["attribute", "operator", "input", "fewer", "constant", "shape"]))
        extreme = data.draw(st.sampled_from(EXTREMES))
        if what == "attribute" and one.attribute:
            a = data.draw(st.sampled_from(list(one.attribute)))
            if a.type == onnx.AttributeProto.INT:
                a.i = extreme
            elif a.type == onnx.AttributeProto.INTS:
                a.ints[data.draw(st.integers(0, len(a.ints) - 1))] = extreme
            elif a.type == onnx.AttributeProto.FLOAT:
                a.f = data.draw(st.sampled_from([0.0, -1.0, 1e30, float("inf"), float("nan")]))
            else:
                a.s = data.draw(st.sampled_from([b"", b"\xff\xfe", b"cubic", b"tf_crop_and_resize"]))
        elif what == "operator":
            one.op_type = data.draw(st.sampled_from(sorted(TABLE)))
        elif what == "input" and one.input:
            names = [v.name for v in (*proto.graph.initializer, *proto.graph.input)]
            one.input[data.draw(st.integers(0, len(one.input) - 1))] = data.draw(st.sampled_from(names))
        elif what == "fewer" and len(one.input) > 1:
            del one.input[-1]
        elif what == "constant":
            proto.graph.initializer[2].CopyFrom(onnx.numpy_helper.from_array(np.array([extreme], I64), "rest"))
        else:
            proto.graph.input[0].type.tensor_type.shape.dim[data.draw(st.integers(0, 3))].dim_value = extreme
    with suppress(XaicoreError):
        to_graph(proto, verify=False)


# ----- tensors ------------------------------------------------------------------------------------------------------


def external(tensor: Any, location: str) -> None:
    tensor.ClearField("raw_data")
    tensor.data_location = onnx.TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", location


@pytest.mark.parametrize("location", ["weights.bin", "../secret", "/etc/passwd", ""])
def test_external_data_is_not_read(location: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither beside the model nor in the working directory, where onnx's own to_array looks."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "weights.bin").write_bytes(bytes(4 * 54))
    proto = small()
    external(proto.graph.initializer[0], location)
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    for attempt in (lambda: load(tmp_path / "model.onnx"), lambda: to_graph(proto)):
        with pytest.raises(FileRefused, match=r"tensor 'w' keeps its data in another file .*save_as_external_data=False"):
            attempt()


@pytest.mark.parametrize("where", ["attribute", "subgraph", "function"])
def test_external_data_is_found_wherever_it_is(where: str) -> None:
    tensor = onnx.numpy_helper.from_array(np.ones(3, F4), "hidden")
    external(tensor, "weights.bin")
    constant = onnx.helper.make_node("Constant", [], ["k"], value=tensor)
    out = onnx.helper.make_tensor_value_info("k", ELEMENTS["f4"], [3])
    if where == "attribute":
        proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y")
        proto.graph.node.append(constant)
    elif where == "subgraph":
        branch = onnx.helper.make_graph([constant], "b", [], [out])
        proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y", {"c": np.bool_(True)})
        proto.graph.node.append(onnx.helper.make_node("If", ["c"], ["z"], then_branch=branch, else_branch=branch))
    else:
        proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y")
        proto.functions.append(onnx.helper.make_function("local", "F", [], ["k"], [constant], [onnx.helper.make_opsetid("", 18)]))
        proto.opset_import.append(onnx.helper.make_opsetid("local", 1))
    with pytest.raises(FileRefused, match="'hidden' keeps its data in another file"):
        to_graph(proto)


@pytest.mark.parametrize(("change", "text"), [
    (lambda t: t.dims.__setitem__(0, -1), "sizes of at least 0"),
    (lambda t: t.dims.__setitem__(0, 2**62), "bytes are expected, but it holds"),
    (lambda t: t.dims.__setitem__(0, 4), "288 bytes are expected, but it holds 216"),
    (lambda t: setattr(t, "raw_data", t.raw_data[:-1]), "216 bytes are expected, but it holds 215"),
    (lambda t: (t.ClearField("raw_data"), t.float_data.extend([1.0])), "54 elements are expected, but it holds 1"),
    (lambda t: t.ClearField("raw_data"), "54 elements are expected, but it holds 0"),
])  # fmt: skip
def test_tensors_that_do_not_hold_what_they_say(change: Callable[[Any], Any], text: str) -> None:
    proto = small()
    change(proto.graph.initializer[0])
    with pytest.raises(FileRefused, match=text):
        to_graph(proto)


@pytest.mark.parametrize("field", ["float_data", "double_data", "int64_data", "int32_data", "uint64_data"])
def test_tensors_without_raw_bytes_are_read(field: str) -> None:
    element = {"float_data": "FLOAT", "double_data": "DOUBLE", "int64_data": "INT64", "int32_data": "INT32", "uint64_data": "UINT64"}[field]
    tensor = onnx.helper.make_tensor("w", getattr(onnx.TensorProto, element), [3], [1, 2, 3])
    assert len(getattr(tensor, field)) == 3
    proto = model([node("Cast", "w", "v", to=ELEMENTS["f4"]), node("Mul", "x v", "y")], {"x": [1, 3]}, "y", {"w": np.ones(3, F4)})
    proto.graph.initializer[0].CopyFrom(tensor)
    np.testing.assert_array_equal(to_graph(proto)(np.ones((1, 3))), [[1.0, 2.0, 3.0]])


def test_other_kinds_of_tensors_are_refused() -> None:
    proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y")
    proto.graph.initializer.append(onnx.helper.make_tensor("s", onnx.TensorProto.STRING, [1], [b"text"]))
    with pytest.raises(ConversionError, match="'s' has the element type STRING"):
        to_graph(proto)
    proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y")
    values = onnx.numpy_helper.from_array(np.ones(1, F4), "sparse")
    proto.graph.sparse_initializer.append(onnx.helper.make_sparse_tensor(values, onnx.numpy_helper.from_array(np.array([0])), [3]))
    with pytest.raises(FileRefused, match="sparse"):
        to_graph(proto)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers(bad: float) -> None:
    w = F4(W((3, 4)))
    w[1, 2] = bad
    with pytest.raises(GraphError, match="'w' holds"):
        to_graph(model([node("Gemm", "x w", "y", transB=1)], {"x": [1, 4]}, "y", {"w": w}))


# ----- bombs --------------------------------------------------------------------------------------------------------

HUGE = 10**6

BOMBS: dict[str, Any] = {
    "ConstantOfShape": ([node("ConstantOfShape", "s", "c"), node("Add", "x c", "y")], {"s": np.array([HUGE, HUGE], I64)}),
    "Range": ([node("Range", "a b d", "c"), node("Cast", "c", "f", to=1), node("Add", "x f", "y")],
              {"a": np.array(0, I64), "b": np.array(10**15, I64), "d": np.array(1, I64)}),
    "Expand constant": ([node("Expand", "k s", "c"), node("Add", "x c", "y")], {"k": np.ones(1, F4), "s": np.array([HUGE, HUGE], I64)}),
    "Expand": ([node("Unsqueeze", "x a", "u"), node("Expand", "u s", "y")], {"a": np.array([1], I64), "s": np.array([1, HUGE, HUGE, 1, 1], I64)}),
    "Tile": ([node("Tile", "x r", "y")], {"r": np.array([1, HUGE, HUGE, 1], I64)}),
    "Pad": ([node("Pad", "x p", "y")], {"p": np.array([0, 0, 10**9, 10**9, 0, 0, 0, 0], I64)}),
    "Resize": ([node("Resize", "x - s", "y")], {"s": np.array([1, 1, 1e6, 1e6], F4)}),
    "Upsample-matrix": ([node("Resize", "x - s", "y", mode="cubic")], {"s": np.array([1, 1, 1, 4e7], F4)}),
    "Gather": ([node("Gather", "x i", "g", axis=1), node("Gather", "g i", "h", axis=2), node("Gather", "h i", "y", axis=3)],
               {"i": np.zeros(10**5, I64)}),
    "OneHot": ([node("OneHot", "i d v", "h"), node("Add", "x h", "y")],
               {"i": np.zeros(10**4, I64), "d": np.array(10**9, I64), "v": np.array([0, 1], F4)}),
    "MatMul": ([node("MatMul", "a b", "c"), node("Add", "x c", "y")], {"a": np.ones((10**5, 1), F4), "b": np.ones((1, 10**5), F4)}),
    "outer sum": ([node("Add", "a b", "c"), node("Add", "x c", "y")], {"a": np.ones((10**5, 1), F4), "b": np.ones((1, 10**5), F4)}),
    "Concat": ([node("Concat", f"c{k} c{k}", f"c{k + 1}", axis=0) for k in range(60)] + [node("Add", "x c60", "y")], {"c0": np.ones(4, F4)}),
    "Concat of the input": ([node("Concat", ("x " if k == 0 else f"c{k} ") * 2, f"c{k + 1}", axis=1) for k in range(60)] + [node("Relu", "c60", "y")], {}),
    "many": ([node("Expand", f"k s{k}", f"c{k}") for k in range(8)] + [node("Add", "x k", "y")],
             {"k": np.ones(1, F4), **{f"s{k}": np.array([9 * 10**6 + k], I64) for k in range(8)}}),
    "pooling pads": ([node("AveragePool", "x", "y", kernel_shape=[3, 3], pads=[10**9] * 4)], {}),
    "LRN": ([node("LRN", "x", "y", size=2**40)], {}),
    "ConvTranspose": ([node("ConvTranspose", "x w", "y", strides=[10**8, 10**8])], {"w": np.ones((2, 1, 2, 2), F4)}),
    "output_shape": ([node("ConvTranspose", "x w", "y", output_shape=[10**8, 10**8])], {"w": np.ones((2, 1, 2, 2), F4)}),
    "CumSum": ([node("Reshape", "x s", "f"), node("CumSum", "f a", "y")], {"s": np.array([1, -1], I64), "a": np.array(7, I64)}),
    "Pow": ([node("Pow", "x p", "y")], {"p": np.arange(1000, dtype=F4).reshape(1000, 1, 1, 1)}),
}  # fmt: skip


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_before_they_go_off(bomb: str, monkeypatch: pytest.MonkeyPatch) -> None:
    resource = pytest.importorskip("resource")
    nodes, weights = BOMBS[bomb]
    if bomb in ("Concat", "Concat of the input", "many"):               # these reach the limits in small steps, which takes its time
        monkeypatch.setattr("xaicore_onnx.convert.MAX_CONSTANT", 10**7)
        monkeypatch.setattr("xaicore_onnx.convert.MAX_VALUE", 10**7)
    proto = model(nodes, {"x": [1, 2, 4, 4]}, "y", weights)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises((FileRefused, ConversionError), match=r"node '|constants of more than"):
        to_graph(proto, verify=False)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 500_000, f"{grown:,} kB were used"                   # the three chains may use some times 10^7 elements of 8 bytes


@pytest.mark.parametrize("shape", [[1, 10**6, 10**6], [10**9, 3], [1, 2**62]])
def test_inputs_of_absurd_size(shape: list[int]) -> None:
    with pytest.raises(FileRefused, match="inputs have"):
        to_graph(model([node("Relu", "x", "y")], {"x": shape}, "y"))


def test_deeply_nested_subgraphs() -> None:
    inner = onnx.helper.make_graph([node("Relu", "x", "o")], "g", [], [onnx.helper.make_tensor_value_info("o", ELEMENTS["f4"], [1, 3])])
    for depth in range(60):
        deeper = onnx.helper.make_node("If", ["c"], [f"o{depth}"], then_branch=inner, else_branch=inner)
        inner = onnx.helper.make_graph([deeper], "g", [], [onnx.helper.make_tensor_value_info(f"o{depth}", ELEMENTS["f4"], [1, 3])])
        if depth == 12:                                     # both branches are copied, so that the size doubles
            break
    proto = model([node("Relu", "x", "y")], {"x": [1, 3]}, "y", {"c": np.bool_(True)})
    proto.graph.node.extend(inner.node)
    with suppress(XaicoreError):
        to_graph(proto, verify=False)


@pytest.mark.parametrize("change", ["cycle", "twice", "missing"])
def test_graphs_that_are_no_graphs(change: str) -> None:
    proto = small()
    if change == "cycle":
        proto.graph.node[0].input[0] = "y"
    elif change == "twice":
        proto.graph.node[1].output[0] = "c"
    else:
        proto.graph.node[1].input[0] = "nowhere"
    with pytest.raises((FileRefused, ConversionError)):
        to_graph(proto)


def test_no_model_input() -> None:
    with pytest.raises(ConversionError, match="no input, so there is nothing to explain"):
        to_graph(_constant_model())


def _constant_model() -> Any:
    proto = model([node("Relu", "x", "y")], {"x": [2, 3]}, "y")
    proto.graph.initializer.append(onnx.numpy_helper.from_array(F4(W((2, 3))), "x"))
    return proto
