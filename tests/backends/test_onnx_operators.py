"""Every operator of the ONNX table against the reference evaluator and onnxruntime; what nodes become, windows and resizing, refusals.

The cases are in onnx_cases.py. The graph of each is verified node by node when it is made, and its output is compared with every
opinion there is, on another batch than the example's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from xaicore_onnx import to_graph
from xaicore_onnx.lower import TABLE

from tests.backends.onnx_cases import CASES, I64, Case, W, one
from tests.backends.onnx_models import model, node, opinions
from xaicore.errors import ConversionError
from xaicore.ops import Dense, ReLU6, Resize


def check(case: Case, seed: int = 0) -> Any:
    """Converts and compares; gives the graph."""
    rng = np.random.default_rng(seed)
    dtype = {"f4": np.float32, "f8": np.float64}[case.kind]
    first, second = (rng.uniform(case.low, 2, (n, *case.x[1:])).astype(dtype) for n in (2, 3))
    proto = model(case.nodes, {"x": first}, case.outputs, case.weights, case.opset)
    graph = to_graph(proto, first)
    assert graph.inputs["x"].shape[0] is None
    ours = graph(second)
    ours = ours if isinstance(ours, tuple) else (ours,)
    even = any(n.op_type == "LRN" and any(a.name == "size" and a.i % 2 == 0 for a in n.attribute) for n in case.nodes)
    for who, theirs in opinions(proto, {"x": second}, runtime=not even).items():                     # onnxruntime takes odd sizes only
        for mine, y in zip(ours, theirs, strict=True):
            assert mine.shape == y.shape, who
            # both compute in float32: some roundings of 6e-8 each, relative to the largest value
            np.testing.assert_allclose(mine, y, rtol=1e-4, atol=1e-5 * max(1.0, float(np.abs(y).max())), err_msg=who)
    return graph


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_operator(case: Case) -> None:
    check(case)


def test_every_operator_of_the_table_has_a_case() -> None:
    covered = {n.op_type for case in CASES for n in case.nodes}
    elsewhere = set("Resize Shape Size GlobalLpPool "       # below and in test_onnx.py, test_onnx_batch.py; GlobalLpPool the evaluator lacks
                    "If Loop Scan Scatter ScatterND TensorScatter EyeLike OptionalHasElement OptionalGetElement "          # test_onnx_control.py
                    "RNN GRU LSTM".split())                 # test_onnx_recurrent.py
    assert set(TABLE) <= covered | elsewhere


def test_global_lp_pool() -> None:
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 5)).astype(np.float32)
    graph = to_graph(model([node("GlobalLpPool", "x", "y", p=3)], {"x": x}, "y"), x, verify=False)
    np.testing.assert_allclose(graph(x), (np.abs(x.astype(float)) ** 3).sum((2, 3), keepdims=True) ** (1 / 3), rtol=1e-12)


# ----- what a node becomes ------------------------------------------------------------------------------------------


def kinds(case: Case) -> list[str]:
    return [type(n.op).__name__ for n in check(case).nodes]


def test_matmul_and_a_bias_are_one_dense() -> None:
    case = next(c for c in CASES if c.id == "MatMul-Add")
    graph = check(case)
    (only,) = graph.nodes
    assert isinstance(only.op, Dense)
    assert only.inputs == ("x", "w.T", "b")
    np.testing.assert_array_equal(graph.params["w.T"], case.weights["w"].T.astype(float))


def test_a_bias_stays_beside_a_matmul_that_is_read_twice() -> None:
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "a"), node("Mul", "a h", "y")]
    assert kinds(Case("twice", 13, nodes, (2, 3), {"w": np.float32(W((3, 4))), "b": np.float32(W((4,)))})) == ["Dense", "Add", "Mul"]


@pytest.mark.parametrize("shape", [(4,), (1, 4), (1, 1, 4)])
def test_a_row_that_is_added_is_the_bias_of_a_matmul(shape: tuple[int, ...]) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "y")]
    graph = check(Case("row", 13, nodes, (2, 5, 3), {"w": np.float32(W((3, 4))), "b": np.float32(W(shape))}))
    assert [type(n.op).__name__ for n in graph.nodes] == ["Dense"]
    assert graph.nodes[0].origin == "MatMul + Add (opset 13)"


@pytest.mark.parametrize("shape", [(3, 1, 1), (1, 3, 1, 1)])
def test_what_is_added_to_each_channel_is_the_bias_of_a_convolution(shape: tuple[int, ...]) -> None:
    nodes = [node("Conv", "x w", "h"), node("Add", "h b", "y")]
    weights = {"w": np.float32(W((3, 2, 2, 2))), "b": np.float32(W(shape))}
    assert kinds(Case("channels", 13, nodes, (2, 2, 4, 4), weights)) == ["Conv"]
    assert kinds(Case("channels", 13, nodes, (2, 2, 4, 4), {**weights, "b": np.float32(W((3, 3, 3)))})) == ["Conv", "Add"]


@pytest.mark.parametrize("shape", [(5, 4), (1, 5, 1), (5, 1), ()])
def test_what_is_added_stays_an_add_unless_it_is_one_number_for_each_feature(shape: tuple[int, ...]) -> None:
    nodes = [node("MatMul", "x w", "h"), node("Add", "h b", "y")]
    case = Case("tokens", 13, nodes, (2, 5, 3), {"w": np.float32(W((3, 4))), "b": np.float32(W(shape))})
    assert kinds(case) == ["Dense", "Add"]


def test_a_weight_keeps_its_name_through_a_transpose() -> None:
    nodes = [node("Transpose", "w", "t", perm=[1, 0]), node("MatMul", "x t", "y")]
    graph = check(Case("turned", 13, nodes, (2, 3), {"w": np.float32(W((4, 3)))}))
    assert [n.inputs for n in graph.nodes] == [("x", "w")]


def test_clip_to_six_is_relu6() -> None:
    assert isinstance(check(next(c for c in CASES if c.id == "Clip-13-6")).nodes[0].op, ReLU6)


# ----- windows and resizing as properties ---------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_convolution_geometry(data: st.DataObject) -> None:
    """Any stride, dilation, padding and grouping, and auto_pad."""
    draw = data.draw
    rank = draw(st.integers(1, 2), "rank")
    sizes = [draw(st.integers(4, 8)) for _ in range(rank)]
    kernel = [draw(st.integers(1, 3)) for _ in range(rank)]
    groups = draw(st.sampled_from([1, 2]))
    transposed = draw(st.booleans(), "transposed")
    attributes: dict[str, Any] = {"strides": [draw(st.integers(1, 3)) for _ in range(rank)], "group": groups}
    auto = draw(st.sampled_from(["NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID"]))
    if auto == "NOTSET":
        attributes["pads"] = [draw(st.integers(0, 1)) for _ in range(2 * rank)]
        attributes["dilations"] = [draw(st.integers(1, 2)) for _ in range(rank)]
        assume(all((k - 1) * d + 1 <= n for k, d, n in zip(kernel, attributes["dilations"], sizes)))
        assume(not transposed or all(k * d > 2 for k, d in zip(kernel, attributes["dilations"])))
    else:
        assume(not transposed or all(k >= s for k, s in zip(kernel, attributes["strides"])))    # SAME pads must not be negative
        attributes["auto_pad"] = auto
    assume(not (transposed and auto == "VALID"))                # the evaluator takes no pads to mean none only with NOTSET
    shape = (4, 3) if transposed else (6, 4 // groups)
    check(one("ConvTranspose" if transposed else "Conv", (2, 4, *sizes), 13, weights={"w": W((*shape, *kernel))}, **attributes))


MODES = ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners", "half_pixel_symmetric", "tf_crop_and_resize")


@settings(max_examples=80, deadline=None)
@given(data=st.data())
def test_resize(data: st.DataObject) -> None:
    """All modes of coordinates, rounding and interpolation, by sizes and by scales, up and down.

    Left out is where onnx.reference departs from the text of the standard: it makes an output of floor(n scale) entries and forgets the crop,
    and takes n scale for the length where pytorch_half_pixel asks whether that is 1. The crops are dyadic, so that no rounding decides a tie.
    """
    draw = data.draw
    mode = draw(st.sampled_from(["nearest", "linear", "cubic"]), "mode")
    attributes: dict[str, Any] = {"mode": mode, "coordinate_transformation_mode": draw(st.sampled_from(MODES), "coordinates")}
    if mode == "nearest":
        attributes["nearest_mode"] = draw(st.sampled_from(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]))
    else:
        attributes["exclude_outside"] = draw(st.integers(0, 1)) if mode == "cubic" else 0
        attributes["antialias"] = draw(st.integers(0, 1))
    if mode == "cubic":
        attributes["cubic_coeff_a"] = draw(st.sampled_from([-0.75, -0.5]))
    crop = attributes["coordinate_transformation_mode"] == "tf_crop_and_resize"
    assume(not (crop and attributes.get("antialias")))
    weights: dict[str, Any] = {}
    if crop:
        attributes["extrapolation_value"] = draw(st.sampled_from([0.0, 7.0]))
        weights["roi"] = np.array([0, 0, *draw(st.sampled_from([(0.25, 0.125), (-0.25, 0.0)])), 1, 1, *draw(st.sampled_from([(0.75, 1.0), (1.25, 0.625)]))], np.float32)
    x = (2, 1, draw(st.integers(2, 6)), draw(st.integers(2, 6)))
    if draw(st.booleans(), "by size"):
        weights["sizes"] = np.array([2, 1, draw(st.integers(2, 9)), draw(st.integers(2, 9))], I64)
        case = one("Resize", x, 19, inputs=f"x {'roi' if crop else '-'} - sizes", weights=weights, **attributes)
        rng = np.random.default_rng(0)
        feed = rng.uniform(-1, 1, x).astype(np.float32)
        proto = model(case.nodes, {"x": list(x)}, "y", case.weights, 19)
        graph, second = to_graph(proto, feed), feed
    else:
        scales = [draw(st.sampled_from([0.5, 0.75, 1.5, 2.0, 3.0])) for _ in range(2)]
        weights["scales"] = np.array([1, 1, *scales], np.float32)
        lengths = [n * s for n, s in zip(x[2:], scales)]
        seen = [float(b - a) for a, b in zip(weights["roi"][2:4], weights["roi"][6:])] if crop else [1.0, 1.0]
        assume(all(int(n * part) == int(n) >= 1 for n, part in zip(lengths, seen)))
        assume(attributes["coordinate_transformation_mode"] != "pytorch_half_pixel" or not any(1 < n < 2 for n in lengths))
        case = one("Resize", x, 19, inputs=f"x {'roi' if crop else '-'} scales", weights=weights, **attributes)
        second = np.random.default_rng(0).uniform(-1, 1, x).astype(np.float32)
        proto = model(case.nodes, {"x": second}, "y", case.weights, 19)
        graph = to_graph(proto, second)
    theirs = opinions(proto, {"x": second})["onnx.reference"][0]
    np.testing.assert_allclose(graph(second), theirs, rtol=1e-4, atol=1e-5)          # float32 against float64


@pytest.mark.parametrize("settings_of", [
    {"mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "ceil"}, {"mode": "linear"}, {"mode": "cubic"},
], ids=str)  # fmt: skip
def test_resize_is_one_operator(settings_of: dict[str, Any]) -> None:
    graph = check(one("Resize", (2, 1, 3, 4), 13, inputs="x - s", weights={"s": [1.0, 1.0, 2.0, 2.0]}, **settings_of))
    assert [type(n.op) for n in graph.nodes] == [Resize]


# ----- what is refused ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("case", "text"), [
    (one("Unique", (2, 3), 13), "Unique has no counterpart"), (one("RandomNormalLike", (2, 3), 13), "draws random numbers"),
    (one("GatherND", (2, 3), 13, weights={"i": np.array([[0, 1], [0, 2]], I64)}), "samples would mix"),
    (one("DFT", (2, 6000, 1), 20), "1 to 4096"),
    (one("Softmax", (2, 3), 13, axis=0), "samples would mix"),
    (one("ReduceMean", (2, 3), 13, keepdims=0), "samples would mix"),
    (one("Transpose", (2, 3), 13, id="gram", perm=[1, 0])._replace(nodes=[node("Transpose", "x", "t", perm=[1, 0]), node("MatMul", "t x", "y")]), "samples"),
    (one("BatchNormalization", (2, 3), 15, weights={k: np.ones(3, np.float32) for k in "gbmv"}, training_mode=1, outputs="y o p"), "training mode"),
    (one("BatchNormalization", (2, 3, 1), 7, weights={k: np.ones((3,), np.float32) for k in "gbmv"}, spatial=0), "spatial=0"),
    (one("Dropout", (2, 3), 13, weights={"r": np.float32(0.5), "t": np.bool_(True)}), "random"),
    (one("MaxPool", (2, 1, 4), 12, kernel_shape=[2], outputs="y i")._replace(nodes=[node("MaxPool", "x", "v i", kernel_shape=[2]), node("Abs", "i", "y")]),
     "numbers of the samples beside"),
    (one("Conv", (2, 3, 4), 11, inputs="x x"), "kernel of Conv is the model's input 'x'.*constants="),
    (one("Pow", (2, 3), 13, inputs="x x"), "exponent of Pow is the model's input"),
    (one("Einsum", (3, 3), 12, equation="ii->i"), "samples would mix"),
    (one("Pow", (2, 70), 13, weights={"p": np.arange(70.0)}), "70 different exponents"),
    (one("Gather", (2, 3), 13, weights={"i": np.array([0], I64)}, axis=0), "samples would mix"),
], ids=lambda v: v.id if isinstance(v, Case) else "")  # fmt: skip
def test_refused_operators(case: Case, text: str) -> None:
    proto = model(case.nodes, {"x": np.zeros(case.x, np.float32)}, case.outputs, case.weights, case.opset)
    with pytest.raises(ConversionError, match=text) as caught:
        to_graph(proto, np.ones(case.x, np.float32))
    assert str(caught.value).startswith("node ")
    assert case.nodes[-1].op_type in str(caught.value)
