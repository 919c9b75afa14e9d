"""The operators of the ONNX table as models of one node (or few), at the operator sets where their meaning changed.

How to add one: a line in its family. Each is converted, verified and compared with every second opinion in test_onnx_operators.py.
"""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np

from tests.backends.onnx_models import ELEMENTS, node


class Case(NamedTuple):
    id: str
    opset: int
    nodes: list[Any]
    x: tuple[int, ...]
    weights: dict[str, Any]
    outputs: str = "y"
    low: float = -2.0
    kind: str = "f4"


def one(op: str, x: tuple[int, ...], opset: int = 18, *, id: str = "", weights: dict[str, Any] | None = None, inputs: str = "",
        outputs: str = "y", low: float = -2.0, kind: str = "f4", **attributes: Any) -> Case:
    """A model of one node whose first input is x; the weights follow in their order unless ``inputs`` names all."""
    weights = {k: np.asarray(w, np.float32) if np.asarray(w).dtype == np.float64 else np.asarray(w) for k, w in (weights or {}).items()}
    names = inputs or " ".join(["x", *weights])
    return Case(f"{op}-{opset}{'-' + id if id else ''}", opset, [node(op, names, outputs, **attributes)], x, weights, outputs, low, kind)


W = np.random.default_rng(1).standard_normal
I64 = np.int64

CASES: list[Case] = [
    # functions of one number
    *(one(op, (2, 3), opset) for op, opset in itertools.product(
        ("Relu", "Sigmoid", "Tanh", "Softsign", "Softplus", "Abs", "Ceil", "Floor", "Neg", "Exp", "Reciprocal", "Cos", "Sin", "Identity"),
        (7, 13, 22))),
    *(one(op, (2, 3), opset) for op, opset in (("Erf", 9), ("Erf", 13), ("Sign", 9), ("Round", 11), ("Mish", 18), ("HardSwish", 14))),
    *(one(op, (2, 3), opset, low=0.1) for op in ("Log", "Sqrt") for opset in (7, 13)),
    *(one("LeakyRelu", (2, 3), opset, alpha=0.3) for opset in (7, 16)), one("LeakyRelu", (2, 3)),
    *(one("Elu", (2, 3), opset, alpha=0.3) for opset in (7, 22)), one("Celu", (2, 3), 12, alpha=0.7), one("Selu", (2, 3)),
    one("Selu", (2, 3), id="own", alpha=2.0, gamma=3.0), one("HardSigmoid", (2, 3)), one("HardSigmoid", (2, 3), id="own", alpha=0.5, beta=0.6),
    one("Gelu", (2, 3), 20), one("Gelu", (2, 3), 20, id="tanh", approximate="tanh"), one("Swish", (2, 3), 24), one("Swish", (2, 3), 24, id="own", alpha=1.5),
    one("ThresholdedRelu", (2, 9), 10, alpha=0.5), one("Shrink", (2, 9), 9, lambd=0.5, bias=0.2), one("IsNaN", (2, 3), 13),
    one("Clip", (2, 9), 7, min=-0.5, max=0.7), one("Clip", (2, 9), 7, id="low", min=0.1), one("Clip", (2, 9), 7, id="none"),
    one("Clip", (2, 9), 11, weights={"a": np.float32(-0.5), "b": np.float32(0.7)}),
    one("Clip", (2, 9), 13, id="high", inputs="x - b", weights={"b": np.float32(0.7)}),
    one("Clip", (2, 9), 13, id="crossed", weights={"a": np.float32(1), "b": np.float32(-1)}),
    one("Clip", (2, 9), 13, id="6", weights={"a": np.float32(0), "b": np.float32(6)}),
    one("PRelu", (2, 3, 4), 7, weights={"s": W((3, 1))}), one("PRelu", (2, 3, 4), 16, weights={"s": W((1,))}),
    *(one(op, (2, 3), opset, low=low) for op, opset, low in (
        ("Tan", 7, -1.5), ("Atan", 7, -2), ("Sinh", 9, -2), ("Cosh", 9, -2), ("Asinh", 9, -2))),
    *(Case(op, 9, [node("Sigmoid", "x", "h"), node(op, "h", "y")], (2, 3), {}) for op in ("Asin", "Acos", "Atanh")),
    Case("Acosh", 9, [node("Exp", "x", "h"), node("Add", "h o", "i"), node("Acosh", "i", "y")], (2, 3), {"o": np.float32(1)}),
    one("Det", (2, 3, 3), 11), one("Det", (2, 4, 3, 3), 22),
    # bits of unsigned integers, which a cast tells the type of
    *(Case(f"{op}-{kind}", 18, [node("Cast", "x", "i", to=ELEMENTS[kind]), node(op, "i k", "y")], (2, 3), {"k": np.array([5, 6, 3], dtype)}, low=0)
      for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor") for kind, dtype in (("u1", np.uint8), ("i8", np.int64))),
    Case("BitwiseNot-u1", 18, [node("Cast", "x", "i", to=ELEMENTS["u1"]), node("BitwiseNot", "i", "y")], (2, 3), {}, low=0),
    Case("BitwiseNot-i8", 18, [node("Cast", "x", "i", to=ELEMENTS["i8"]), node("BitwiseNot", "i", "y")], (2, 3), {}, low=-9),
    *(Case(f"BitShift-{d}", 11, [node("Mul", "x f", "l"), node("Cast", "l", "i", to=ELEMENTS["u1"]), node("BitShift", "i k", "y", direction=d)], (2, 3), {
        "f": np.float32(120), "k": np.array([1, 3, 5], np.uint8)}, low=0) for d in ("LEFT", "RIGHT")),
    # casts and dropout
    Case("Cast-to-int-and-back", 13, [node("Cast", "x", "i", to=ELEMENTS["i8"]), node("Cast", "i", "y", to=ELEMENTS["f4"])], (2, 3), {}),
    Case("Cast-to-bool-and-back", 9, [node("Cast", "x", "i", to=ELEMENTS["b1"]), node("Cast", "i", "y", to=ELEMENTS["f4"])], (2, 3), {}),
    *(Case(f"Cast-to-narrow-{kind}", 13, [node("Mul", "x f", "l"), node("Cast", "l", "i", to=ELEMENTS["i8"]), node("Cast", "i", "y", to=ELEMENTS[kind])], (2, 7), {
        "f": np.float32(400)}) for kind in ("u1", "i1", "i4")), Case("Div-int", 13, [node("Cast", "x", "i", to=ELEMENTS["i8"]), node("Div", "i k", "y")], (2, 3), {"k": np.array([3, -2, 5])}, low=-9),
    one("Cast", (2, 3), 13, id="double", to=ELEMENTS["f8"]), one("CastLike", (2, 3), 15, weights={"like": np.zeros(1, np.int64)}),
    one("Dropout", (2, 3), 7, ratio=0.4), one("Dropout", (2, 3), 10), one("Dropout", (2, 3), 12, weights={"r": np.float32(0.4)}),
    one("Dropout", (2, 3), 13, id="mask", outputs="y m"),
    one("Dropout", (2, 3), 13, id="ratio0", weights={"r": np.float32(0), "t": np.bool_(True)}),
    # functions of two numbers
    *(one(op, (2, 3, 4), opset, weights={"w": shape(W)}) for op, opset in itertools.product(("Add", "Sub", "Mul", "Div"), (7, 14))
      for shape in (lambda r: r((3, 1)), lambda r: np.float32(0.7), lambda r: r((1, 3, 4)))),
    *(one(op, (2, 3), 13, id="first", inputs="w x", weights={"w": W((3,))}) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    one("Add", (2, 3), 13, id="row", weights={"w": W((1, 3))}),
    *(Case(f"{op}-both", 13, [node("Neg", "x", "n"), node(op, "n x", "y")], (2, 3), {}) for op in ("Add", "Sub", "Mul", "Div", "Max", "Min")),
    one("Pow", (2, 3), 7, weights={"p": np.float32(2)}), one("Pow", (2, 3), 15, id="int", weights={"p": np.array([3], I64)}),
    one("Pow", (2, 3), 13, id="several", low=0.1, weights={"p": [0.5, 2, 2]}), one("Pow", (2, 3), 13, id="wider", weights={"p": [[2.0] * 3]}),
    one("Pow", (2, 3), 13, id="base", inputs="b x", weights={"b": np.float32(2)}),
    *(one(op, (2, 3), opset, weights={"a": W((3,)), "b": W((1, 3))}) for op in ("Max", "Min", "Sum", "Mean") for opset in (8, 13)),
    one("Max", (2, 3), 13, id="one"),
    Case("Where", 9, [node("Less", "x w", "c"), node("Where", "c x w", "y")], (2, 3), {"w": np.zeros(3, np.float32)}),
    *(Case(op, 16 if "Or" in op else 13, [node(op, "x w", "c"), node("Cast", "c", "y", to=ELEMENTS["f4"])], (2, 3), {"w": np.zeros(3, np.float32)})
      for op in ("Equal", "Less", "LessOrEqual", "Greater", "GreaterOrEqual")),
    *(Case(op, 13, [node("Greater", "x w", "a"), node("Less", "x v", "b"), node(op, "a b", "c"), node("Not", "c", "y")], (2, 3),
           {"w": np.zeros(3, np.float32), "v": np.ones(3, np.float32)}) for op in ("And", "Or", "Xor")),
    # products
    *(one("Gemm", (2, 3), opset, weights={"w": W((4, 3)), "b": W((4,))}, transB=1) for opset in (7, 9, 11, 13)),
    one("Gemm", (2, 3), 11, id="none", weights={"w": W((3, 4))}), one("Gemm", (2, 3), 13, id="row", weights={"w": W((3, 4)), "b": W((1, 4))}, beta=0.5),
    one("Gemm", (2, 3), 13, id="alpha", weights={"w": W((3, 4)), "b": np.float32(0.3)}, alpha=0.5, beta=2.0),
    one("Gemm", (2, 3), 13, id="beta0", weights={"w": W((3, 4)), "b": W((4,))}, beta=0.0),
    one("Gemm", (2, 3), 13, id="column", weights={"w": W((3, 4)), "b": W((1, 1))}),
    *(one("MatMul", x, opset, weights={"w": W(w)}) for opset in (9, 13) for x, w in (((2, 3), (3, 4)), ((2, 5, 3), (3, 4)))),
    one("MatMul", (2, 5, 3), 13, id="left", inputs="w x", weights={"w": W((4, 5))}), one("MatMul", (2, 5, 3), 13, id="stack", weights={"w": W((1, 3, 4))}),
    one("MatMul", (2, 5, 3), 13, id="vector", weights={"w": W((3,))}), one("MatMul", (2, 5, 3), 13, id="row", inputs="w x", weights={"w": W((5,))}),
    Case("MatMul-both", 13, [node("Transpose", "x", "t", perm=[0, 2, 1]), node("MatMul", "x t", "y")], (2, 3, 4), {}),
    Case("MatMul-Add", 13, [node("MatMul", "x w", "h"), node("Add", "b h", "y")], (2, 5, 3),
         {"w": np.float32(W((3, 4))), "b": np.float32(W((4,)))}),
    *(one("Einsum", (2, 3, 4), 12, id=e, weights=w, equation=e) for e, w in (
        ("bij,jk->bik", {"w": W((4, 5))}), ("bij->bji", {}), ("bij->bi", {}), ("...j,jk->...k", {"w": W((4, 5))}), ("bij->bij", {}),
        ("b i j , k j -> b k i", {"w": W((5, 4))}), ("bij,j", {"w": W((4,))}))),
    # convolution
    *(one("Conv", (2, 3, *[7, 6, 5][:r]), opset, id=f"{r}d", weights={"w": W((4, 3, *[3, 2, 2][:r])), "b": W((4,))}) for r in (1, 2, 3) for opset in (7, 11, 22)),
    one("Conv", (2, 4, 7, 8), id="all", weights={"w": W((6, 2, 3, 2))}, group=2, strides=[2, 1], dilations=[1, 2], pads=[1, 0, 2, 1], kernel_shape=[3, 2]),
    *(one("Conv", (2, 2, 7, 8), id=a, weights={"w": W((3, 2, 4, 3))}, auto_pad=a, strides=[2, 3]) for a in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    *(one("ConvTranspose", (2, 3, *[4, 3][:r]), opset, id=f"{r}d", weights={"w": W((3, 4, *[3, 2][:r])), "b": W((4,))}, strides=[2] * r)
      for r in (1, 2) for opset in (7, 11)),
    one("ConvTranspose", (2, 4, 4, 3), id="all", weights={"w": W((4, 3, 3, 2))}, group=2, strides=[2, 3], pads=[1, 0, 1, 1], output_padding=[1, 2]),

    one("ConvTranspose", (2, 3, 4, 3), id="dilation", weights={"w": W((3, 2, 2, 2))}, dilations=[2, 1]),
    *(one("ConvTranspose", (2, 2, 4, 5), id=a, weights={"w": W((2, 3, 3, 3))}, auto_pad=a, strides=[2, 2]) for a in ("SAME_UPPER", "SAME_LOWER")),
    # pooling
    *(one(op, (2, 2, 7, 8), opset, kernel_shape=[3, 2], strides=[2, 2], pads=[1, 0, 1, 1], **more)
      for op in ("MaxPool", "AveragePool") for opset, more in ((7, {}), (10, {"ceil_mode": 1}), (22, {"ceil_mode": 1, "dilations": [1, 2]}))),
    one("MaxPool", (2, 2, 9), 12, id="stride1", kernel_shape=[3]), one("MaxPool", (2, 2, 5, 5, 5), 12, id="3d", kernel_shape=[2, 2, 2], strides=[2, 2, 2]),
    one("AveragePool", (2, 2, 7, 8), 11, id="padded", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1),
    *(one(op, (2, 2, 7, 8), 11, id=a, kernel_shape=[3, 2], strides=[2, 3], auto_pad=a)
      for op in ("MaxPool", "AveragePool") for a in ("SAME_UPPER", "SAME_LOWER", "VALID")),
    one("LpPool", (2, 2, 7, 8), 11, kernel_shape=[3, 2], strides=[2, 2]), one("LpPool", (2, 2, 7, 8), 18, id="3", kernel_shape=[3, 2], p=3, pads=[1, 0, 1, 1]),
    *(one(op, shape, 13, id=f"{len(shape)}d") for op in ("GlobalAveragePool", "GlobalMaxPool") for shape in ((2, 3, 4), (2, 3, 4, 5))),
    Case("MaxUnpool", 11, [node("MaxPool", "x", "p i", kernel_shape=[2, 3], strides=[2, 3]), node("MaxUnpool", "p i", "y", kernel_shape=[2, 3], strides=[2, 3])],
         (2, 2, 4, 6), {}),
    Case("MaxPool-positions", 12, [node("MaxPool", "x", "p i", kernel_shape=[3, 2], strides=[2, 1], pads=[1, 0, 0, 1]), node("Mod", "i s", "y")], (2, 2, 5, 4), {
        "s": np.array(20)}),
    one("Col2Im", (2, 12, 12), 18, weights={"s": np.array([4, 5]), "b": np.array([2, 2])}),
    # normalisation
    *(one("BatchNormalization", (2, 3, 4), opset, epsilon=1e-3, weights={"g": W((3,)), "b": W((3,)), "m": W((3,)), "v": np.abs(W((3,))) + 0.3})
      for opset in (7, 9, 14, 15)),
    one("InstanceNormalization", (2, 3, 4), 7, weights={"g": W((3,)), "b": W((3,))}),
    one("GroupNormalization", (2, 4, 5), 21, num_groups=2, weights={"g": W((4,)), "b": W((4,))}),
    one("LayerNormalization", (2, 3, 4), 17, weights={"g": W((4,)), "b": W((4,))}), one("LayerNormalization", (2, 3, 4), 17, id="no-bias", weights={"g": W((4,))}),
    one("LayerNormalization", (2, 3, 4), 17, id="axes", axis=1, weights={"g": W((3, 4)), "b": W((4,))}, outputs="y m s"),
    one("RMSNormalization", (2, 3, 4), 23, weights={"g": W((4,))}), one("RMSNormalization", (2, 3, 4), 23, id="axes", axis=1, weights={"g": W((3, 4))}),
    *(one("LRN", (2, 5, 3, 4), 13, id=str(size), size=size, alpha=0.3, beta=0.6, bias=1.5) for size in (1, 2, 3, 4, 9)),
    *(one(op, (2, 3, 4), opset, axis=axis) for op in ("Softmax", "LogSoftmax") for opset, axis in ((7, 1), (11, 1), (11, 2), (13, 1), (13, 2), (13, -1))),
    one("Softmax", (2, 3, 4), 11, id="default"), one("Softmax", (2, 3, 4), 13, id="default"),
    # reductions
    *(one(op, (2, 3, 4), opset, id=f"{keep}", low=0.1, axes=[1, -1], keepdims=keep)
      for op in ("ReduceMean", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")
      for opset in (7, 13) for keep in (0, 1)),
    *(one(op, (2, 3, 4), 18, low=0.1, weights={"axes": np.array([2], I64)}, keepdims=0) for op in (
        "ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceL2", "ReduceSumSquare", "ReduceLogSum", "ReduceLogSumExp")),
    one("ReduceSum", (2, 3, 4), 11, axes=[1]), one("ReduceSum", (2, 3, 4), 13, weights={"axes": np.array([-1], I64)}),
    one("ReduceSum", (2, 3, 4), 13, id="noop", weights={"axes": np.array([], I64)}, noop_with_empty_axes=1),
    # shape
    one("Reshape", (2, 3, 4), 7, weights={"s": np.array([0, 12], I64)}), one("Reshape", (2, 3, 4), 14, weights={"s": np.array([0, -1, 2], I64)}),
    one("Reshape", (2, 3, 4), 13, id="free", weights={"s": np.array([-1, 4, 3], I64)}),
    *(one("Flatten", (2, 3, 4), opset, axis=axis) for opset, axis in ((7, 1), (13, 1), (11, -2))),
    one("Transpose", (2, 3, 4, 5), perm=[0, 2, 3, 1]),
    one("Squeeze", (2, 1, 3, 1), 7, axes=[1, 3]), one("Squeeze", (2, 1, 3, 1), 11, axes=[-1]), one("Squeeze", (2, 1, 3, 1), 13, weights={"a": np.array([1], I64)}),
    one("Unsqueeze", (2, 3), 7, axes=[1, 3]), one("Unsqueeze", (2, 3), 11, axes=[-1]), one("Unsqueeze", (2, 3), 13, weights={"a": np.array([-1, 1], I64)}),
    one("Expand", (2, 1, 3), 13, weights={"s": np.array([1, 4, 1], I64)}), one("Expand", (2, 1, 3), 8, id="lower", weights={"s": np.array([4, 3], I64)}),
    one("Tile", (2, 3, 1), 13, weights={"r": np.array([1, 2, 3], I64)}),
    one("Concat", (2, 3), 13, inputs="x x", axis=1), one("Concat", (2, 3), 11, id="last", inputs="x x x", axis=-1),
    *(one("Split", (2, 7), opset, outputs="y z", axis=1, **more) for opset, more in (
        (7, {"split": [3, 4]}), (13, {"weights": {"s": np.array([3, 4], I64)}}), (18, {"num_outputs": 2}))),
    one("Split", (2, 6), 13, id="equal", outputs="a b c", axis=-1),
    one("Slice", (2, 7, 5), 9, axes=[1, 2], starts=[1, -3], ends=[-1, 1000]),
    one("Slice", (2, 7, 5), 10, weights={"s": np.array([0, 1], I64), "e": np.array([1000, 4], I64)}),
    one("Slice", (2, 7, 5), 13, id="steps", weights={k: np.array(v, I64) for k, v in (("s", [-1, 4]), ("e", [-1000, 0]), ("a", [1, 2]), ("p", [-2, -1]))}),
    one("Pad", (2, 3, 4), 7, pads=[0, 1, 2, 0, 0, 3], value=1.5), one("Pad", (2, 3, 4), 10, id="reflect", mode="reflect", pads=[0, 1, 2, 0, 0, 3]),
    one("Pad", (2, 3, 4), 11, id="edge", mode="edge", weights={"p": np.array([0, 1, 0, 0, 0, 3], I64)}),
    one("Pad", (2, 3, 4), 13, id="value", weights={"p": np.array([0, 1, 0, 0, 0, 3], I64), "v": np.float32(2.5)}),
    one("Pad", (2, 3, 4), 18, id="axes", inputs="x p - a", weights={"p": np.array([1, 2], I64), "a": np.array([-1], I64)}),
    one("Pad", (2, 3, 4), 19, id="wrap", mode="wrap", weights={"p": np.array([0, 0, 2, 0, 0, 5], I64)}),
    one("Gather", (2, 5, 3), 13, weights={"i": np.array([[0, -1], [2, 2]], I64)}, axis=1), one("Gather", (2, 5, 3), 7, id="scalar", weights={"i": np.array(2, I64)}, axis=-1),
    one("DepthToSpace", (2, 8, 2, 3), 13, blocksize=2), one("DepthToSpace", (2, 8, 2, 3), 13, id="CRD", blocksize=2, mode="CRD"),
    one("SpaceToDepth", (2, 2, 4, 6), 13, blocksize=2), one("Trilu", (2, 4, 5), 14), one("Trilu", (2, 4, 5), 14, id="lower", upper=0, weights={"k": np.array(1, I64)}),
    one("CumSum", (2, 3, 4), 14, weights={"axis": np.array(1, I64)}), one("CumSum", (2, 3, 4), 14, id="back", weights={"axis": np.array(2, I64)}, exclusive=1, reverse=1),
    # by number, by order
    Case("GatherElements", 13, [node("TopK", "x k", "v i"), node("GatherElements", "x i", "y", axis=2)], (2, 3, 4), {"k": np.array([2], I64)}),
    *(Case(f"ScatterElements-{r}", 18, [node("TopK", "x k", "v i"), node("Neg", "v", "n"), node("ScatterElements", "x i n", "y", axis=-1, reduction=r)],
           (2, 3, 4), {"k": np.array([2], I64)}) for r in ("none", "add", "mul", "max", "min")),
    *(Case(f"{op}-{opset}", opset, [node("TopK", "x k", "v i"), node("Exp", "v", "n"), node(op, "x i n", "y", axis=2)], (2, 3, 4), {"k": np.array([3], I64)})
      for op, opset in (("ScatterElements", 11), ("ScatterElements", 13))),
    Case("GatherND", 13, [node("TopK", "x k", "v i"), node("Unsqueeze", "i a", "j"), node("GatherND", "x j", "y", batch_dims=1)], (2, 5), {
        "k": np.array([2], I64), "a": np.array([2], I64)}),
    *(one(op, (2, 3, 4), opset, axis=a, **more) for op in ("ArgMax", "ArgMin") for opset, a, more in (
        (7, 1, {}), (11, -1, {"keepdims": 0}), (12, 2, {"select_last_index": 1}), (13, 1, {"keepdims": 0}))),
    one("TopK", (2, 3, 5), 7, k=2, axis=2, outputs="y i"), one("TopK", (2, 3, 5), 10, weights={"k": np.array([3], I64)}, axis=1, outputs="y i"),
    one("TopK", (2, 3, 5), 11, weights={"k": np.array([2], I64)}, largest=0, outputs="y i"),
    *(one("Hardmax", (2, 3, 4), opset, axis=a) for opset, a in ((7, 1), (11, 1), (11, 2), (13, 1), (13, -1))),
    Case("OneHot", 11, [node("Cast", "x", "i", to=ELEMENTS["i8"]), node("OneHot", "i d v", "y", axis=1)], (2, 3), {
        "d": np.array(2, I64), "v": np.array([-1.5, 4.0], np.float32)}),
    one("Compress", (2, 3, 4), 11, weights={"c": np.array([True, False, True])}, axis=1),
    Case("ReverseSequence", 10, [node("ReduceSum", "x", "s", axes=[1, 2], keepdims=0), node("Greater", "s o", "g"), node("Cast", "g", "c", to=ELEMENTS["i8"]),
                                 node("Add", "c t", "n"), node("ReverseSequence", "x n", "y", batch_axis=0, time_axis=1)], (2, 4, 3), {
        "t": np.array(2, I64), "o": np.float32(0)}),
    one("CumProd", (2, 3, 4), 26, weights={"axis": np.array(1, I64)}),
    # attention
    one("Attention", (2, 2, 3, 4), 23, inputs="x x x"), one("Attention", (2, 2, 3, 4), 24, id="causal", inputs="x x x", is_causal=1),
    one("Attention", (2, 3, 8), 24, id="flat", inputs="x x x", q_num_heads=4, kv_num_heads=4, softcap=1.5, scale=0.4),
    one("Attention", (2, 2, 3, 4), 25, id="window", inputs="x x x", left_window_size=1, right_window_size=0, outputs="y k v s", qk_matmul_output_mode=3),
    one("Attention", (2, 2, 3, 4), 23, id="mask", inputs="x x x m", weights={"m": np.array([[True, False, True]] * 2 + [[False] * 3])}),
    # quantised; the float32 opinions round as float64 does unless a value lies on a tie
    one("QuantizeLinear", (2, 3), 13, weights={"s": np.float32(0.013), "z": np.uint8(128)}),
    one("QuantizeLinear", (2, 3, 2), 13, id="axis", axis=1, weights={"s": [0.013, 0.5, 0.002], "z": np.array([1, -2, 3], np.int8)}),
    Case("DequantizeLinear", 13, [node("QuantizeLinear", "x s z", "q"), node("DequantizeLinear", "q s z", "y")], (2, 3), {
        "s": np.float32(0.031), "z": np.int8(5)}),
    Case("DequantizeLinear-weights", 13, [node("DequantizeLinear", "w s z", "r", axis=0), node("Gemm", "x r", "y", transB=1)], (2, 3), {
        "w": np.arange(-6, 6, dtype=np.int8).reshape(4, 3), "s": np.float32([0.1, 0.2, 0.3, 0.4]), "z": np.array([0, 1, 0, -1], np.int8)}),
    Case("QLinearMatMul", 10, [node("QuantizeLinear", "x s z", "q"), node("QLinearMatMul", "q s z w t u v o", "y")], (2, 3), {
        "s": np.float32(0.021), "z": np.uint8(100), "w": np.arange(12, dtype=np.uint8).reshape(3, 4), "t": np.float32(0.01), "u": np.uint8(3),
        "v": np.float32(0.0037), "o": np.uint8(120)}),
    Case("QLinearConv", 10, [node("QuantizeLinear", "x s z", "q"), node("QLinearConv", "q s z w t u v o", "y", pads=[1, 1])], (2, 2, 5), {
        "s": np.float32(0.021), "z": np.uint8(100), "w": np.arange(12, dtype=np.uint8).reshape(2, 2, 3), "t": np.float32(0.01), "u": np.uint8(3),
        "v": np.float32(0.0037), "o": np.uint8(120)}),
    Case("MatMulInteger", 10, [node("QuantizeLinear", "x s z", "q"), node("MatMulInteger", "q w z u", "y")], (2, 3), {
        "s": np.float32(0.021), "z": np.uint8(100), "w": np.arange(12, dtype=np.uint8).reshape(3, 4), "u": np.uint8(3)}),
    Case("ConvInteger", 10, [node("QuantizeLinear", "x s z", "q"), node("ConvInteger", "q w z u", "y", pads=[1, 1, 0, 1])], (2, 2, 5, 4), {
        "s": np.float32(0.021), "z": np.uint8(100), "w": np.arange(36, dtype=np.uint8).reshape(2, 2, 3, 3), "u": np.uint8(3)}),
    # transforms and norms
    *(one("DFT", (2, 6, parts), opset, id=f"{parts}{flag}", **{**more, **({flag: 1} if flag else {})})
      for opset, more in ((17, {"axis": 1}), (20, {})) for parts, flag in ((1, ""), (2, ""), (2, "inverse"), (1, "onesided"))),
    one("DFT", (2, 5, 4, 2), 20, id="cut", weights={"n": np.array(3, I64), "a": np.array(1, I64)}),
    one("STFT", (2, 12, 1), 17, weights={"step": np.array(3, I64), "w": np.hanning(6)}),
    *(one("LpNormalization", (2, 3, 4), 22, id=str(p), p=p, axis=a) for p, a in ((1, 1), (2, -1))),
    one("Mod", (2, 9), 13, fmod=1, weights={"m": np.float32(0.7)}), one("Mod", (2, 9), 28, id="floor", weights={"m": np.float32(-0.7)}),
    Case("Mod-int", 10, [node("Cast", "x", "i", to=ELEMENTS["i8"]), node("Mod", "i m", "y")], (2, 9), {"m": np.array(-3, I64)}, low=-9),
    one("IsInf", (2, 3), 20), one("Einsum", (2, 3, 3), 12, id="diagonal", equation="bii->bi"),
    one("Einsum", (2, 3), 12, id="known-diagonal", equation="bi,iij->bij", weights={"w": W((3, 3, 4))}),
    # reading at places that are computed from the image itself
    *(Case(f"GridSample-{opset}-{mode}-{pad}-{corners}", opset, [
        node("Gather", "x k", "c", axis=1), node("Transpose", "c", "g", perm=[0, 2, 3, 1]),
        node("GridSample", "x g", "y", mode=mode, padding_mode=pad, align_corners=corners)], (2, 3, 4, 5), {"k": np.array([2, 0])}, low=-1.6)
      for opset, mode in ((16, "bilinear"), (16, "bicubic"), (22, "nearest"), (20, "cubic")) for pad in ("zeros", "border", "reflection") for corners in (0, 1)),
    # resizing
    *(one("Upsample", (2, 1, 3, 4), 7, id=m, mode=m, scales=[1.0, 1.0, 2.0, 1.5]) for m in ("nearest", "linear")),
    *(one("Upsample", (2, 1, 3, 4), 9, id=m, mode=m, weights={"s": [1.0, 1.0, 2.0, 3.0]}) for m in ("nearest", "linear")),
    *(one("Resize", (2, 1, 3, 4), 10, id=m, mode=m, weights={"s": [1.0, 1.0, 2.0, 0.6]}) for m in ("nearest", "linear")),
]  # fmt: skip
