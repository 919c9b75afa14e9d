"""One meaning before an operator set, another from it on: pairs of models that differ in nothing else, for every change that bites.

The onnx package's checker refuses some of the older forms in newer sets, so each side is written as its set wants it; where the same file
means two things, both sides are the same nodes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import pytest
from xaicore_onnx import to_graph
from xaicore_onnx.safe import OPSETS

from tests.backends.onnx_models import model, node, onnx, opinions
from xaicore.errors import ConversionError

Array = np.ndarray
F4, I64 = np.float32, np.int64
X = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(F4)
IMAGE = np.random.default_rng(1).standard_normal((2, 2, 3, 5)).astype(F4)


class Side(NamedTuple):
    opset: int
    nodes: list[Any]
    weights: dict[str, Any]
    want: Array


def exp(x: Array) -> Array:
    return np.exp(x - x.max())


def flat(x: Array, f: Any) -> Array:
    return f(x.reshape(len(x), -1)).reshape(x.shape)


def soft(x: Array) -> Array:
    return np.exp(x) / np.exp(x).sum(-1, keepdims=True)


def hard(x: Array) -> Array:
    return (np.arange(x.shape[-1]) == x.argmax(-1)[..., None]).astype(F4)


AXES = {"a": np.array([1], I64)}
PAIRS: dict[str, tuple[Any, Side, Side]] = {
    "Softmax without axis: all from axis 1, the last": (
        X, Side(12, [node("Softmax", "x", "y")], {}, flat(X, soft)), Side(13, [node("Softmax", "x", "y")], {}, soft(X))),
    "Softmax with axis 1: two axes, one": (
        X, Side(12, [node("Softmax", "x", "y", axis=1)], {}, flat(X, soft)), Side(13, [node("Softmax", "x", "y", axis=1)], {}, soft(X.swapaxes(1, 2)).swapaxes(1, 2))),
    "LogSoftmax with axis 1": (
        X, Side(11, [node("LogSoftmax", "x", "y", axis=1)], {}, np.log(flat(X, soft))), Side(13, [node("LogSoftmax", "x", "y", axis=1)], {}, np.log(soft(X.swapaxes(1, 2)).swapaxes(1, 2)))),
    "Hardmax with axis 1": (
        X, Side(12, [node("Hardmax", "x", "y", axis=1)], {}, flat(X, hard)), Side(13, [node("Hardmax", "x", "y", axis=1)], {}, hard(X.swapaxes(1, 2)).swapaxes(1, 2))),
    "Clip: bounds as attributes, as inputs": (
        X, Side(10, [node("Clip", "x", "y", min=-0.5, max=0.25)], {}, X.clip(-0.5, 0.25)), Side(11, [node("Clip", "x l h", "y")], {"l": F4(-0.5), "h": F4(0.25)}, X.clip(-0.5, 0.25))),
    "Slice": (
        X, Side(9, [node("Slice", "x", "y", starts=[1], ends=[3], axes=[2])], {}, X[:, :, 1:3]),
        Side(10, [node("Slice", "x s e k", "y")], {"s": np.array([1]), "e": np.array([3]), "k": np.array([2])}, X[:, :, 1:3])),
    "Pad": (
        X, Side(10, [node("Pad", "x", "y", pads=[0, 0, 1, 0, 0, 2], value=0.5)], {}, np.pad(X, ((0, 0), (0, 0), (1, 2)), constant_values=0.5)),
        Side(11, [node("Pad", "x p v", "y")], {"p": np.array([0, 0, 1, 0, 0, 2]), "v": F4(0.5)}, np.pad(X, ((0, 0), (0, 0), (1, 2)), constant_values=0.5))),
    "Pad along some axes": (
        X, Side(13, [node("Pad", "x p", "y")], {"p": np.array([0, 0, 1, 0, 0, 2])}, np.pad(X, ((0, 0), (0, 0), (1, 2)))),
        Side(18, [node("Pad", "x p - k", "y")], {"p": np.array([1, 2]), "k": np.array([-1])}, np.pad(X, ((0, 0), (0, 0), (1, 2))))),
    "Squeeze": (
        X[:, :1], Side(12, [node("Squeeze", "x", "y", axes=[1])], {}, X[:, 0]), Side(13, [node("Squeeze", "x a", "y")], AXES, X[:, 0])),
    "Unsqueeze": (
        X, Side(12, [node("Unsqueeze", "x", "y", axes=[1])], {}, X[:, None]), Side(13, [node("Unsqueeze", "x a", "y")], AXES, X[:, None])),
    "ReduceSum": (
        X, Side(12, [node("ReduceSum", "x", "y", axes=[1])], {}, X.sum(1, keepdims=True)), Side(13, [node("ReduceSum", "x a", "y")], AXES, X.sum(1, keepdims=True))),
    **{op: (X, Side(17, [node(op, "x", "y", axes=[1], keepdims=0)], {}, f(X)), Side(18, [node(op, "x a", "y", keepdims=0)], AXES, f(X))) for op, f in {
        "ReduceMean": lambda x: x.mean(1), "ReduceMax": lambda x: x.max(1), "ReduceMin": lambda x: x.min(1), "ReduceProd": lambda x: x.prod(1),
        "ReduceL1": lambda x: np.abs(x).sum(1), "ReduceL2": lambda x: np.sqrt((x * x).sum(1)), "ReduceSumSquare": lambda x: (x * x).sum(1),
        "ReduceLogSumExp": lambda x: np.log(np.exp(x).sum(1))}.items()},
    "Split: equal parts, parts of a number": (
        X[:, :, :3], Side(13, [node("Split", "x s", "y z", axis=2)], {"s": np.array([2, 1])}, X[:, :, :2]),
        Side(18, [node("Split", "x", "y z", axis=2, num_outputs=2)], {}, X[:, :, :2])),
    "Dropout: the ratio as attribute, as input": (
        X, Side(10, [node("Dropout", "x", "y", ratio=0.5)], {}, X), Side(12, [node("Dropout", "x r", "y")], {"r": F4(0.5)}, X)),
    "BatchNormalization by the stored statistics": (
        X, *(Side(opset, [node("BatchNormalization", "x g b m v", "y", **more)], {"g": F4([1, 2, 3]), "b": F4([0, 1, 0]), "m": F4([0.5, 0, 1]), "v": F4([1, 2, 4])},
                  (X - F4([0.5, 0, 1])[:, None]) / np.sqrt(F4([1, 2, 4]) + F4(1e-5))[:, None] * F4([1, 2, 3])[:, None] + F4([0, 1, 0])[:, None])
             for opset, more in ((8, {"spatial": 1}), (9, {})))),
    "TopK: the number as attribute, as input": (
        X, Side(9, [node("TopK", "x", "y i", k=2, axis=2)], {}, -np.sort(-X)[:, :, :2]), Side(11, [node("TopK", "x k", "y i", axis=2)], {"k": np.array([2])}, -np.sort(-X)[:, :, :2])),
    "Resize of 10 is asymmetric, that of 11 by half pixels": (
        IMAGE, Side(10, [node("Resize", "x s", "y", mode="linear")], {"s": F4([1, 1, 1, 2])}, np.stack([IMAGE, (IMAGE + IMAGE[..., [1, 2, 3, 4, 4]]) / 2], -1).reshape(2, 2, 3, 10)),
        Side(11, [node("Resize", "x r s", "y", mode="linear")], {"r": F4([]), "s": F4([1, 1, 1, 2])},
             np.stack([0.25 * IMAGE[..., [0, 0, 1, 2, 3]] + 0.75 * IMAGE, 0.75 * IMAGE + 0.25 * IMAGE[..., [1, 2, 3, 4, 4]]], -1).reshape(2, 2, 3, 10))),
    "Upsample became Resize": (
        IMAGE, Side(9, [node("Upsample", "x s", "y", mode="nearest")], {"s": F4([1, 1, 2, 2])}, IMAGE.repeat(2, 2).repeat(2, 3)),
        Side(10, [node("Resize", "x s", "y", mode="nearest")], {"s": F4([1, 1, 2, 2])}, IMAGE.repeat(2, 2).repeat(2, 3))),
    "Flatten of a negative axis": (
        X, Side(9, [node("Flatten", "x", "y", axis=1)], {}, X.reshape(2, 12)), Side(11, [node("Flatten", "x", "y", axis=-2)], {}, X.reshape(2, 12))),
    "Gather of negative numbers": (
        X, Side(9, [node("Gather", "x i", "y", axis=2)], {"i": np.array([3])}, X[:, :, 3:]), Side(11, [node("Gather", "x i", "y", axis=2)], {"i": np.array([-1])}, X[:, :, 3:])),
    "ArgMax of the last of equals": (
        X.round(), Side(11, [node("ArgMax", "x", "y", axis=2)], {}, X.round().argmax(2)[..., None]),
        Side(12, [node("ArgMax", "x", "y", axis=2, select_last_index=1)], {}, 3 - X.round()[:, :, ::-1].argmax(2)[..., None])),
    "CumSum": (
        X, Side(11, [node("CumSum", "x a", "y")], {"a": np.array(1)}, X.cumsum(1)), Side(14, [node("CumSum", "x a", "y", reverse=1)], {"a": np.array(1)}, X[:, ::-1].cumsum(1)[:, ::-1])),
    "AveragePool takes dilations": (
        IMAGE, Side(18, [node("AveragePool", "x", "y", kernel_shape=[1, 2])], {}, (IMAGE[..., :-1] + IMAGE[..., 1:]) / 2),
        Side(19, [node("AveragePool", "x", "y", kernel_shape=[1, 2], dilations=[1, 2])], {}, (IMAGE[..., :-2] + IMAGE[..., 2:]) / 2)),
    "AveragePool rounds up its number of windows": (
        IMAGE, Side(9, [node("AveragePool", "x", "y", kernel_shape=[1, 2], strides=[1, 2])], {}, (IMAGE[..., [0, 2]] + IMAGE[..., [1, 3]]) / 2),
        Side(10, [node("AveragePool", "x", "y", kernel_shape=[1, 2], strides=[1, 2], ceil_mode=1)], {},
             np.concatenate([(IMAGE[..., [0, 2]] + IMAGE[..., [1, 3]]) / 2, IMAGE[..., 4:]], -1))),
    "GridSample has other names for its modes": (
        IMAGE, *(Side(opset, [node("Transpose", "x", "t", perm=[0, 2, 3, 1]), node("Mul", "t zero", "g"), node("GridSample", "x g", "y", mode=mode, align_corners=1)],
                      {"zero": F4(0)}, np.broadcast_to(IMAGE[:, :, 1:2, 2:3], IMAGE.shape)) for opset, mode in ((16, "bilinear"), (20, "linear")))),
    "Reshape keeps or makes an axis of 0": (
        X, Side(13, [node("Reshape", "x s", "y")], {"s": np.array([0, 12])}, X.reshape(2, 12)), Side(14, [node("Reshape", "x s", "y", allowzero=0)], {"s": np.array([0, 0, -1])}, X)),
    "Shape of a part": (
        X, Side(14, [node("Shape", "x", "n"), node("Slice", "n s e", "p"), node("Reshape", "x p2", "y")], {"s": np.array([1]), "e": np.array([3]), "p2": np.array([-1, 12])}, X.reshape(2, 12)),
        Side(15, [node("Shape", "x", "n", start=1), node("ReduceProd", "n", "q", keepdims=1), node("Concat", "m q", "p", axis=0), node("Reshape", "x p", "y")], {"m": np.array([-1])}, X.reshape(2, 12))),
    "DequantizeLinear along an axis": (
        X, Side(10, [node("DequantizeLinear", "q s z", "w"), node("Add", "x w", "y")], {"q": np.array([1, 5, -3, 7], np.int8), "s": F4(0.5), "z": np.int8(1)}, X + F4([0, 2, -2, 3])),
        Side(13, [node("DequantizeLinear", "q s z", "w", axis=0), node("Add", "x w", "y")], {"q": np.array([1, 5, -3, 7], np.int8), "s": F4([1, 2, 1, 2]), "z": np.zeros(4, np.int8)}, X + F4([1, 10, -3, 14]))),
}  # fmt: skip


@pytest.mark.parametrize("which", [0, 1], ids=["before", "from"])
@pytest.mark.parametrize("change", PAIRS)
def test_what_changed_between_operator_sets(change: str, which: int) -> None:
    x, *sides = PAIRS[change]
    side = sides[which]
    proto = model(side.nodes, {"x": x}, "y", side.weights, side.opset)
    graph = to_graph(proto, x)                              # compared with onnx.reference on the way
    found = graph(x)
    found = found[0] if isinstance(found, tuple) else found
    np.testing.assert_allclose(found, side.want, rtol=1e-5, atol=1e-6)                             # the constants of a file are float32
    for who, (y, *_) in opinions(proto, {"x": x}).items():
        np.testing.assert_allclose(found, y, rtol=1e-4, atol=1e-5, err_msg=who)


def test_both_sides_differ_where_the_same_nodes_mean_two_things() -> None:
    """Read by the other set's meaning, the model would be wrong: the pair can tell."""
    told = 0
    for x, before, after in PAIRS.values():
        if [n.SerializeToString() for n in before.nodes] == [n.SerializeToString() for n in after.nodes] and before.weights == after.weights:
            assert before.want.shape != after.want.shape or not np.allclose(before.want, after.want)
            told += 1
        assert before.opset < after.opset
        assert x.dtype == F4
    assert told >= 4


@pytest.mark.parametrize("opset", [1, 6, OPSETS[-1] + 1])
def test_other_operator_sets_are_refused(opset: int) -> None:
    proto = model([node("Relu", "x", "y")], {"x": X}, "y", opset=18)
    proto.opset_import[0].version = opset
    with pytest.raises(ConversionError, match=rf"operator set {opset}; the sets 7 to {OPSETS[-1]} are understood"):
        to_graph(proto)


def test_the_newest_set_of_the_installed_package_is_understood() -> None:
    """When onnx brings out a set, its changes have to be read, and OPSETS raised."""
    assert onnx.defs.onnx_opset_version() <= OPSETS[-1]
