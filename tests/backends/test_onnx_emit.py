"""Graph -> ONNX -> graph: every case of the operator tests, through the reference evaluator, onnxruntime and back."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from xaicore_onnx import emit, to_graph
from xaicore_onnx.emit import EMIT

from tests.backends.common import input_gradients
from tests.backends.onnx_models import onnx, opinions
from tests.cases import CASES, Case
from tests.cases.case import BATCH
from xaicore.errors import ConversionError, XaicoreError
from xaicore.graph import Builder, Graph
from xaicore.graph.blocks import multi_head_attention, residual
from xaicore.ops import (
    GELU,
    OPS,
    AdaptiveMaxPool,
    AvgPool,
    Conv,
    Dense,
    Detach,
    FakeQuantize,
    Flatten,
    GridSample,
    GroupNorm,
    Identity,
    LayerNorm,
    LpPool,
    MaxPool,
    ReLU,
    Reshape,
    Resize,
    RMSNorm,
    Softmax,
    Sub,
    Transpose,
)

Array = np.ndarray

REFUSED = {"AdaptiveMaxPool", "AdaptiveMaxPool-grows", "AdaptiveMaxPool-3d"}
"""Windows of different sizes: ONNX has no maximum over those."""

ONNXRUNTIME_LACKS = {
    **dict.fromkeys(("LocalResponseNorm-even", "LocalResponseNorm-wide", "LocalResponseNorm-k0"), "LRN of odd size on images only"),
    "Resize-cubic-inside": "cubic on images only", "GridSample-1d": "images and volumes only",
    "AvgPool-dilation": "padding smaller than the kernel only, though a dilated window is wider",
}  # fmt: skip

EXPANDED = {
    "AdaptiveAvgPool": "Einsum", "CELU": "Mul", "SiLU": "Mul", "Softplus-beta": "Div", "Compare-ne": "Not", "Logical-or": "Logical",
    "BitShift-left": "Mul", "BitShift-right": "ToInt", "ReduceProd-none": "Identity", "Norm-3": "Pow", "Threshold-below": "Where",
    "Threshold-continuous": "Where", "Mod": "Sub", "FakeQuantize": "Mul", "FakeQuantize-channels": "Mul", "ReverseSequence": "Transpose",
    "Expm1": "Sub", "Log1p": "Log", "Rsqrt": "Reciprocal", "Variance": "Mean", "Variance-ddof": "Div", "AvgPool-divisor": "Mul",
    **dict.fromkeys(("RNN-relu-reverse", "RNN-mask", "GRU-rational", "GRU-mask", "LSTM-cell", "LSTM-rational", "LSTM-mask"), "Concat"),
}  # fmt: skip
"""Operators that ONNX lacks, and what the last node of their form there comes back as."""


def test_every_operator_has_a_rule() -> None:
    assert set(OPS) - set(EMIT) == {"Variance"}             # expanded before


def single(case: Case, xs: tuple[Array, ...]) -> tuple[Graph, dict[str, Array]]:
    """The graph of one operator: what has a batch and may be active is an input, the rest a parameter."""
    ids = type(case.op).__name__ == "Embedding" or not any(case.mask())
    mask = case.sliced() if ids else case.mask()
    fixed = any(not on and x.ndim and len(x) == BATCH for on, x in zip(mask, xs)) and not ids
    b, names, feeds = Builder(), [], {}
    for k, (x, on) in enumerate(zip(xs, mask)):
        if on and len(x) == BATCH:
            kind: Any = {"f": "float", "i": "int", "b": "bool"}[x.dtype.kind]
            names.append(b.input(f"x{k}", (BATCH if fixed else None, *x.shape[1:]), kind))
            feeds[f"x{k}"] = x
        else:
            names.append(b.param(f"p{k}", x))
    if not feeds:                                           # Expand of a constant of batch 1: nothing depends on the input
        names[-1] = b.input("like", (None, *xs[-1].shape[1:]))
        feeds["like"] = xs[-1]
    return b.build(b.add(case.op, *names, name="y", layer="part.of")), feeds


@pytest.mark.parametrize("opset", [18, 21, 24])
@pytest.mark.parametrize("case", [c for c in CASES if c.id not in REFUSED], ids=lambda c: c.id)
def test_every_operator_there_and_back(case: Case, opset: int) -> None:
    if (case.id == "AvgPool-dilation" and opset < 19) or (case.id.startswith("GridSample") and opset < 20):
        pytest.skip("AveragePool has dilations from opset 19 on, GridSample its names from 20 on; the refusals are tested below")
    graph, feeds = single(case, case.draw(np.random.default_rng(0)))
    want = graph(feeds)
    proto = emit(graph, opset)
    # 1e-6: ONNX stores a slope or an epsilon in single precision; its reference weighs entries of Resize and GridSample in it
    theirs = opinions(proto, feeds, runtime=False)["onnx.reference"][0]
    assert theirs.shape == want.shape
    rtol, weighs = 1e-6, type(case.op).__name__ in ("Resize", "GridSample")
    np.testing.assert_allclose(theirs, want, rtol=10 * rtol if weighs else rtol, atol=rtol if weighs else rtol / 10)
    back = to_graph(proto, feeds)
    np.testing.assert_allclose(back(feeds), want, rtol=1e-6, atol=1e-7)
    assert back.nodes[-1].name == "y"
    assert back.nodes[-1].layer == ("" if case.id == "Expand-like" else "part.of")      # that one is a constant, folded


@pytest.mark.parametrize("case", [c for c in CASES if c.id not in REFUSED], ids=lambda c: c.id)
def test_every_operator_in_onnxruntime(case: Case) -> None:
    pytest.importorskip("onnxruntime")
    graph, feeds = single(case, case.draw(np.random.default_rng(1)))
    graph = graph.astype("float32")
    feeds = {k: v.astype(np.float32) if v.dtype.kind == "f" else v for k, v in feeds.items()}
    if case.id in ONNXRUNTIME_LACKS:
        pytest.skip(ONNXRUNTIME_LACKS[case.id])
    found = opinions(emit(graph, 21), feeds)
    if "onnxruntime" not in found:
        pytest.skip("onnxruntime has not implemented this operator for the type")
    want = graph(feeds)
    np.testing.assert_allclose(found["onnxruntime"][0], want, rtol=1e-4, atol=1e-5)                 # float32, two implementations


@pytest.mark.parametrize("case", [c for c in CASES if c.id not in REFUSED], ids=lambda c: c.id)
def test_operators_come_back_as_themselves(case: Case) -> None:
    graph, feeds = single(case, case.draw(np.random.default_rng(0)))
    back = to_graph(emit(graph, 24), feeds, verify=False)
    kinds = [type(n.op).__name__ for n in back.nodes]
    name = type(case.op).__name__
    family = {"MatMul": {"Dense"}, "Split": {"Slice"}, "Flatten": {"Reshape"}, "Detach": {"Identity"}, "ToFloat": {"Identity"}, "Sum": {"Identity"},
              "Einsum": {"Sum", "Identity"}, "Pad": {"Slice", "Pad"}, "Expand": {"Identity"},
              "LocalResponseNorm": {"Slice"},
              "CumSum": {"Dense", "Einsum"}, "CumProd": {"Mul", "Slice", "Concat", "Pad"}, "Trilu": {"Where"}, "Unfold": {"Conv", "Reshape"},
              "IsNaN": {"Compare"}, "IsInf": {"Compare", "Logical"}, "Norm": {"Abs", "Pow", "Mul", "Sum", "Sqrt"},
              "Threshold": {"Compare", "Where"}, "Shrink": {"Compare", "Where", "Add", "Sub"},
              "Mod": {"Div", "Floor", "Sign", "Abs", "Mul", "Sub"}, "FakeQuantize": {"Div", "Round", "Add", "Clip", "Sub", "Mul"},
              "LogSumExp": {"ReduceMax", "Detach", "Sub", "Exp", "Sum", "Log", "Add", "Squeeze"}}.get(name, set())
    expected = EXPANDED.get(case.id, EXPANDED.get(name, ""))
    assert name in kinds or kinds[-1] == expected or set(kinds) <= family, kinds


# ----- whole graphs -------------------------------------------------------------------------------------------------


def network(dtype: str = "float64", seed: int = 0) -> Graph:
    """Convolution, pooling, a residual block, attention, a softmax."""
    w = np.random.default_rng(seed).standard_normal
    b = Builder("network", dtype)
    x = b.input("image", (None, 2, 6, 6))
    h = b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("conv.w", w((4, 2, 3, 3))), b.param("conv.b", w(4)), name="conv", layer="body.conv")
    h = b.add(MaxPool((2, 2)), b.add(ReLU(), h, name="relu"), name="pool")
    tokens = b.add(Transpose((0, 2, 1)), b.add(Reshape((4, 9)), h, name="tokens"), name="by_token")
    weights = [b.param(f"attention.{k}", w((4, 4)) / 2) for k in "qkvo"]

    def body(value: str) -> str:
        normal = b.add(LayerNorm(), value, b.param("norm.g", w(4)), b.param("norm.b", w(4)), name="norm")
        return multi_head_attention(b, normal, weights, [None] * 4, heads=2, width=4)

    tokens = residual(b, tokens, body)
    tokens = b.add(GELU(), tokens, name="gelu")
    logits = b.add(Dense(), b.add(Flatten(), tokens, name="flat"), b.param("fc.w", w((3, 36)) / 6), b.param("fc.b", w(3)), name="fc", layer="head.fc")
    return b.build(b.add(Softmax(), logits, name="probabilities"), logits)


def test_a_network_there_and_back() -> None:
    graph = network()
    x = np.random.default_rng(1).standard_normal((3, 2, 6, 6))
    back = to_graph(emit(graph), x)
    for mine, theirs in zip(back(x), graph(x), strict=True):
        np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9)
    seeds = [np.zeros((3, 3)), np.random.default_rng(2).standard_normal((3, 3))]
    mine, theirs = (input_gradients(g, x, seeds)["image"] for g in (back, graph))
    np.testing.assert_allclose(mine, theirs, rtol=1e-6, atol=1e-9)
    assert back.outputs == graph.outputs
    assert {n.name: n.layer for n in graph.nodes if n.layer}.items() <= {n.name: n.layer for n in back.nodes}.items()
    trained = {"conv.w", "conv.b", "norm.g", "norm.b", "fc.w", "fc.b", *(f"attention.{k}" for k in "qkvo")}
    assert trained <= set(back.params)
    np.testing.assert_array_equal(back.params["attention.q"], graph.params["attention.q"])


@pytest.mark.parametrize("opset", [18, 20, 21, 23])
def test_a_network_in_onnxruntime(opset: int) -> None:
    pytest.importorskip("onnxruntime")
    graph = network("float32")
    x = np.random.default_rng(1).standard_normal((5, 2, 6, 6)).astype(np.float32)
    theirs = opinions(emit(graph, opset), {"image": x})["onnxruntime"]
    for mine, other in zip(graph(x), theirs, strict=True):
        np.testing.assert_allclose(mine, other, rtol=1e-4, atol=1e-5)


def test_names_and_types_of_an_emitted_model() -> None:
    proto = emit(network("float32"))
    assert [v.name for v in proto.graph.input] == ["image"]
    assert [d.dim_param or d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim] == ["N", 2, 6, 6]
    assert [v.name for v in proto.graph.output] == ["probabilities", "fc"]
    assert {t.data_type for t in proto.graph.initializer if t.name in ("conv.w", "fc.b")} == {onnx.TensorProto.FLOAT}
    assert proto.producer_name == "xaicore"
    onnx.checker.check_model(proto, full_check=True)


def test_layers_origins_and_metadata_come_back() -> None:
    b = Builder("net")
    b.meta.update({"layout.image": "NHWC", "labels": "a, b", "shape.y": "(3, N)"})
    x = b.input("image", (None, 2, 3))
    graph = b.build(b.add(ReLU(), x, name="y", layer="body.act", origin="aten.relu.default in ReLU, net.py:12"))
    proto = emit(graph)
    back = to_graph(proto)
    assert (back.name, back.nodes[0].name, back.nodes[0].layer) == ("net", "y", "body.act")
    assert back.nodes[0].origin == "Relu (opset 21), emitted from aten.relu.default in ReLU, net.py:12"
    assert dict(back.meta) == {"layout.image": "NHWC", "labels": "a, b"}       # in what was emitted the batch of y is on axis 0
    again = to_graph(emit(back))
    assert (again.nodes[0].origin, dict(again.meta)) == (back.nodes[0].origin, dict(back.meta))     # nothing piles up


def test_free_sizes_stay_free() -> None:
    b = Builder()
    x = b.input("x", (None, 2, None, None))
    graph = b.build(b.add(Conv(), x, b.param("w", np.ones((1, 2, 2, 2))), name="y"))
    proto = emit(graph)
    assert to_graph(proto).inputs["x"].shape == (None, 2, None, None)


def test_outputs_that_are_inputs_or_parameters() -> None:
    b = Builder()
    x = b.input("x", (None, 2))
    w = b.param("w", np.ones((1, 3)))
    graph = b.build(x, w, b.add(ReLU(), x, name="y"))
    feed = np.array([[1.0, -1.0]])
    found = opinions(emit(graph), {"x": feed})["onnx.reference"]
    for mine, theirs in zip(graph(feed), found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_detach_is_an_identity() -> None:
    b = Builder()
    x = b.input("x", (None, 2))
    graph = b.build(b.add(Sub(), x, b.add(Detach(), x, name="still"), name="y"))
    assert isinstance(to_graph(emit(graph)).node("still").op, Identity)


@pytest.mark.parametrize(("op", "opset", "kinds"), [
    (GroupNorm(2), 21, ["GroupNormalization"]), (RMSNorm(), 23, ["RMSNormalization"]), (GELU(), 20, ["Gelu"]), (LayerNorm(), 18, ["LayerNormalization"]),
])  # fmt: skip
def test_the_operator_set_decides_what_is_written_out(op: Any, opset: int, kinds: list[str]) -> None:
    b = Builder()
    graph = b.build(b.add(op, b.input("x", (None, 4, 3)), name="y"))
    assert [n.op_type for n in emit(graph, opset).graph.node] == kinds
    if opset > 18:
        assert kinds[0] not in {n.op_type for n in emit(graph, opset - 1).graph.node}


@pytest.mark.parametrize(("op", "opset", "text"), [
    (AdaptiveMaxPool((3,)), 21, "windows of different sizes"), (AvgPool((2,), dilation=(2,)), 18, "dilation from opset 19"),
    (AvgPool((2,), ceil=True, divisor=3), 21, "no divisor"), (LpPool(2.5, (2,)), 21, "whole exponents only"),
    (Resize((4,), "linear", "tf_half_pixel_for_nn"), 21, "no coordinates tf_half_pixel_for_nn any more"),
    (Resize((15,), scales=(2.5,)), 21, "has another size than ONNX computes"),
])  # fmt: skip
def test_what_onnx_cannot_express(op: Any, opset: int, text: str) -> None:
    b = Builder()
    graph = b.build(b.add(op, b.input("x", (None, 2, 7)), name="y"))
    with pytest.raises(ConversionError, match=f"node 'y': .*{text}"):
        emit(graph, opset)


def test_grid_samples_of_older_operator_sets() -> None:
    b = Builder()
    graph = b.build(b.add(GridSample(), b.input("x", (None, 2, 7)), b.input("grid", (None, 3, 1)), name="y"))
    with pytest.raises(ConversionError, match="node 'y': GridSample is written from opset 20 on, not 19"):
        emit(graph, 19)


def test_exact_graphs_and_other_operator_sets_are_refused() -> None:
    graph = network()
    with pytest.raises(ConversionError, match=r"astype\('float64'\)"):
        emit(_exact())
    for opset in (17, 29):
        with pytest.raises(ConversionError, match="18 to 28"):
            emit(graph, opset)


def _exact() -> Graph:
    b = Builder(dtype="exact")
    return b.build(b.add(ReLU(), b.input("x", (None, 2))))


# ----- any chain of operators ---------------------------------------------------------------------------------------

UNARY = [c for c in CASES if len(c.shapes) == 1 and len(c.shapes[0]) == 4 and c.id not in REFUSED and c.id != "AvgPool-dilation" and not getattr(c.op, "scales", ())
        ]


@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_chains_of_operators_there_and_back(data: st.DataObject) -> None:
    """Operators one behind the other, as far as their shapes and domains allow."""
    chosen = data.draw(st.lists(st.sampled_from(UNARY), min_size=1, max_size=5), "operators")
    b = Builder()
    shape = (2, *chosen[0].shapes[0][1:])
    value, last = np.random.default_rng(0).uniform(0.25, 2, shape), b.input("x", (None, *shape[1:]))
    x = value
    for case in chosen:
        try:
            y = np.asarray(case.op.forward(value))
        except (XaicoreError, ValueError, IndexError):
            continue
        if y.dtype.kind != "f" or y.size == 0 or not np.abs(y).max() < 1e3:
            continue
        value, last = y, b.add(case.op, last)
    if last == "x":
        return
    graph = b.build(last)
    back = to_graph(emit(graph, data.draw(st.sampled_from([18, 21, 24]))), x)
    # what follows may magnify the single precision of a setting; the largest value sets the scale
    np.testing.assert_allclose(back(x), value, rtol=1e-5, atol=1e-5 * float(np.abs(value).max()))


# ----- quantised values ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("low", "high"), [(-128, 127), (0, 255), (-32768, 32767), (0, 65535)])
@pytest.mark.parametrize("shape", [(), (3, 1), (1, 4), (1,)])
def test_quantisation_to_an_integer_type_is_two_nodes_and_comes_back_as_one(low: int, high: int, shape: tuple[int, ...]) -> None:
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (None, 3, 4))
    scale, zero = rng.uniform(0.1, 1, shape), rng.integers(max(low, -5), 5, shape)
    graph = b.build(b.add(FakeQuantize(low, high), x, b.param("s", scale), b.param("z", zero), name="y"))
    proto = emit(graph.astype("float32"))
    assert [n.op_type for n in proto.graph.node] == ["QuantizeLinear", "DequantizeLinear"]
    feed = rng.normal(0, 40, (5, 3, 4)).astype(np.float32)
    back = to_graph(proto, feed, dtype="float32")
    assert [n.op for n in back.nodes] == [FakeQuantize(low, high)]
    np.testing.assert_array_equal(back(feed), graph.astype("float32")(feed))
    for who, theirs in opinions(proto, {"x": feed}).items():
        np.testing.assert_allclose(theirs[0], back(feed), rtol=1e-6, err_msg=who)                  # one rounding of float32
    assert "Round" in {n.op_type for n in emit(graph).graph.node}       # QuantizeLinear takes no float64
