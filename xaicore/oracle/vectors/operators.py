"""Networks of one operator with a weighted sum behind it, small rational numbers in them: what passes back through each operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops import (
    RNN,
    Abs,
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    Add,
    AvgPool,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    CumProd,
    CumSum,
    Dense,
    Det,
    Div,
    Einsum,
    Expand,
    Flatten,
    Fold,
    Gather,
    GatherElements,
    GatherND,
    GlobalAvgPool,
    GlobalMaxPool,
    GridSample,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    MatMul,
    Maximum,
    MaxPool,
    Mean,
    Minimum,
    Mul,
    Neg,
    Op,
    Pad,
    Pow,
    PReLU,
    ReduceMax,
    ReduceMin,
    ReduceProd,
    ReLU,
    ReLU6,
    Reshape,
    Resize,
    ReverseSequence,
    ScatterElements,
    ScatterND,
    Shrink,
    Slice,
    Split,
    Squeeze,
    Sub,
    Sum,
    Threshold,
    TopK,
    Transpose,
    Trilu,
    Unfold,
    Unsqueeze,
    Variance,
    Where,
)

LINEAR = ("gradient", "gradient_x_input", "deeplift.rescale")
BENT = ("gradient", "gradient_x_input")


@dataclass(frozen=True)
class Small:
    """f = Σ weights ⊙ op(x, constants): a name that never changes, the input, and the methods whose answer a quotient gives."""

    name: str
    build: Callable[[Builder, str], str]
    x: Any
    methods: Sequence[str] = LINEAR

    def graph(self) -> Graph:
        """The network. Its last layer weighs the operator's entries with 1, -2, 3, -4, ..."""
        bare, _, _ = self._bare()
        count = bare(np.asarray(self.x, float)).size // len(self.x)
        _, b, y = self._bare()
        weights = [[(k + 1.0) * (-1) ** k for k in range(count)]]
        return b.build(b.add(Dense(), b.add(Flatten(), y, name="flat"), b.param("weights", weights), name="f"))

    def _bare(self) -> tuple[Graph, Builder, str]:
        b = Builder(self.name)
        y = self.build(b, b.input("x", (None, *np.shape(self.x)[1:])))
        return b.build(y), b, y


def one(op: Op, *constants: Any) -> Callable[[Builder, str], str]:
    """op(x, constants ...): lists are numbers, arrays stay what they are (indices)."""
    given = [c if isinstance(c, np.ndarray) else np.asarray(c, float) for c in constants]
    return lambda b, x: b.add(op, x, *(b.param(f"c{k}", c) for k, c in enumerate(given)), name="op")


def twice(op: Op) -> Callable[[Builder, str], str]:
    """op(x, 2 x): both inputs depend on x."""
    return lambda b, x: b.add(op, x, b.add(Mul(), x, b.param("two", [2.0]), name="double"), name="op")


VECTOR, ROW, IMAGE = [[3, -1, 2, 5]], [[[1, -2, 4, 3]]], [[[[1, 2, 0], [-1, 3, 5], [4, -2, 6]]]]
PAIR = [[[[1, 2], [3, -4]], [[5, -6], [7, 8]]]]
BATCH = [[3, -1, 2, 5], [1, 4, -2, 6]]

BLOCK = [[[[[1, -2], [3, 4]], [[0, 5], [-1, 2]]]]]
GRID = [[[[-0.5, -0.75], [0.25, 0.5]], [[1.25, -1.5], [0.125, 0.875]]]]
UNITS = [[1, 0.5], [-1, 1]], [[0.5, -0.25], [0.25, 1]], [0.25, 0], [0, 0.5]              # w, u, b, c of a recurrent layer

RESIZES: tuple[dict[str, Any], ...] = (
    {"mode": "nearest", "coordinates": "asymmetric", "rounding": "floor"},
    {"mode": "nearest", "coordinates": "align_corners", "rounding": "ceil"},
    {"mode": "nearest", "coordinates": "tf_half_pixel_for_nn", "rounding": "round_prefer_ceil"},
    {"mode": "linear", "coordinates": "align_corners"}, {"mode": "linear", "coordinates": "pytorch_half_pixel"},
    {"mode": "cubic", "coordinates": "half_pixel"}, {"mode": "cubic", "coordinates": "align_corners"})

CASES: tuple[Small, ...] = (
    Small("dense", one(Dense(), [[1, 2, 0, -1], [0, 1, 1, 3]], [2, -1]), BATCH, BENT),
    Small("dense-no-bias", one(Dense(), [[1, 2, 0, -1], [0, 1, 1, 3]]), BATCH),
    Small("matmul", one(MatMul(), [[1, 2], [0, -1], [3, 1], [2, 2]]), [[[3, -1, 2, 5]]]),
    Small("conv-1d", one(Conv(), [[[2, -1]]]), ROW),
    Small("conv-2d", one(Conv(), [[[[1, 2], [-1, 3]]]]), IMAGE),
    Small("conv-padded", one(Conv(pads=((1, 1), (1, 1))), [[[[1, 2, 0], [-1, 3, 1], [0, 1, -2]]]]), IMAGE),
    Small("conv-strided", one(Conv(stride=(2,)), [[[2, -1]]]), ROW),
    Small("conv-dilated", one(Conv(dilation=(2, 2)), [[[[1, 2], [-1, 3]]]]), IMAGE),
    Small("conv-odd-padding", one(Conv(pads=((1, 0), (0, 1))), [[[[1, 2], [-1, 3]]]]), IMAGE),
    Small("conv-grouped", one(Conv(groups=2), [[[[1, 2], [3, 4]]], [[[-1, 0], [2, 1]]]]), PAIR),
    Small("conv-pointwise", one(Conv(), [[[[2]], [[-1]]], [[[1]], [[3]]]]), PAIR),
    Small("conv-transpose", one(ConvTranspose(stride=(2,)), [[[2, -1, 3]]]), ROW),
    Small("conv-transpose-cropped", one(ConvTranspose(pads=((1, 0),)), [[[2, -1]]]), ROW),
    Small("avg-pool", one(AvgPool((2,))), ROW),
    Small("avg-pool-overlapping", one(AvgPool((2, 2), stride=(1, 1))), IMAGE),
    Small("avg-pool-padded", one(AvgPool((2,), pads=((1, 1),))), ROW),
    Small("avg-pool-padding-not-counted", one(AvgPool((2,), pads=((1, 1),), count_include_pad=False)), ROW),
    Small("global-avg-pool", one(GlobalAvgPool()), PAIR),
    Small("max-pool", one(MaxPool((2,))), ROW, BENT),
    Small("max-pool-overlapping", one(MaxPool((2, 2), stride=(1, 1))), IMAGE, BENT),
    Small("max-pool-padded", one(MaxPool((2,), pads=((1, 1),))), ROW, BENT),
    Small("max-pool-dilated", one(MaxPool((2,), stride=(1,), dilation=(2,))), ROW, BENT),
    Small("global-max-pool", one(GlobalMaxPool()), PAIR, BENT),
    Small("reduce-max", one(ReduceMax((1,))), VECTOR, BENT),
    Small("reduce-min", one(ReduceMin((1,))), VECTOR, BENT),
    Small("maximum", one(Maximum(), [1, 1, 1, 1]), VECTOR, BENT),
    Small("minimum", one(Minimum(), [1, 1, 1, 1]), VECTOR, BENT),
    Small("relu", one(ReLU()), BATCH),
    Small("leaky-relu", one(LeakyReLU(0.25)), BATCH),
    Small("prelu", one(PReLU(), [0.5, 0.25, -0.5, 2]), BATCH),
    Small("abs", one(Abs()), BATCH),
    Small("clip", one(Clip(-0.5, 2.5)), [[3, -1, 2, 5]]),
    Small("negate", one(Neg()), VECTOR),
    Small("add-constant", one(Add(), [1, -2, 3, 4]), VECTOR),
    Small("sub-constant", one(Sub(), [1, -2, 3, 4]), VECTOR),
    Small("mul-constant", one(Mul(), [1, -2, 3, 4]), VECTOR),
    Small("add-itself", twice(Add()), VECTOR),
    Small("sub-itself", twice(Sub()), VECTOR),
    Small("sum", one(Sum((1,))), VECTOR),
    Small("sum-of-rows", one(Sum((2,))), PAIR),
    Small("mean", one(Mean((2, 3))), PAIR),
    Small("cumulative-sum", one(CumSum(1)), VECTOR),
    Small("reshape", one(Reshape((2, 2))), VECTOR),
    Small("transpose", one(Transpose((0, 3, 1, 2))), PAIR),
    Small("slice", one(Slice(1, 1, 4, 2)), VECTOR),
    Small("slice-backwards", one(Slice(1, 3, -5, -1)), VECTOR),
    Small("pad", one(Pad(((1, 2),))), ROW),
    Small("concat-itself", twice(Concat(1)), VECTOR),
    Small("expand", one(Expand((3, 4))), [[[3, -1, 2, 5]]]),
    Small("unfold", one(Unfold((2, 2))), IMAGE),
    Small("relu6", one(ReLU6()), [[7, -1, 2, 5]]),
    Small("threshold", one(Threshold(1, 0)), VECTOR, BENT),
    Small("gather", one(Gather(1), np.array([2, 0, 2])), VECTOR),
    Small("squeeze", one(Squeeze((1,))), ROW),
    Small("unsqueeze", one(Unsqueeze((1,))), VECTOR),
    Small("triangle", one(Trilu()), PAIR),
    Small("einsum", one(Einsum("ni,io->no"), [[1, 2], [0, -1], [3, 1], [2, 2]]), VECTOR),
    Small("divide-by-constant", one(Div(), [1, -2, 4, 8]), VECTOR),
    Small("where", lambda b, x: b.add(Where(), b.param("on", np.array([1, 0, 1, 0], bool)), x, b.param("c", [9.0] * 4), name="op"), VECTOR),
    Small("resize-nearest", one(Resize((4,), mode="nearest")), [[[1, -2]]]),
    Small("resize-linear", one(Resize((4,), mode="linear")), [[[1, -2]]]),
    *(Small(f"resize-{'-'.join(map(str, how.values()))}".replace("_", "-"), one(Resize((5, 2), **how)), IMAGE) for how in RESIZES),
    Small("resize-by-scales", one(Resize((5, 2), mode="linear", coordinates="half_pixel_symmetric", scales=(1.75, 0.75))), IMAGE),
    Small("resize-antialiased", one(Resize((2, 2), mode="linear", antialias=True)), IMAGE),
    Small("resize-cubic-within", one(Resize((5, 2), mode="cubic", exclude_outside=True)), IMAGE),
    *(Small(f"grid-{mode}-{padding}{'-corners' * corners}", one(GridSample(mode, padding, corners), GRID), IMAGE)
      for mode in ("linear", "cubic") for padding in ("zeros", "border", "reflection") for corners in (False, True)),
    Small("pad-reflected", one(Pad(((1, 2), (0, 1)), "reflect")), IMAGE),
    Small("pad-edge", one(Pad(((1, 2), (0, 1)), "edge")), IMAGE),
    Small("pad-with-a-value", one(Pad(((1, 2),), value=3)), ROW, BENT),
    Small("pad-cropped", one(Pad(((-1, 2), (1, -2)))), IMAGE),
    Small("conv-strided-padded", one(Conv(stride=(2, 1), pads=((1, 1), (0, 1))), [[[[1, 2], [-1, 3]]], [[[2, 0], [1, -2]]]], [1, -1]),
          IMAGE, BENT),
    Small("conv-all", one(Conv((2, 1), (1, 2), ((1, 2), (2, 0)), 2), [[[[1, 2]]], [[[3, -1]]], [[[0, 2]]], [[[1, 1]]]]), PAIR),
    Small("conv-3d", one(Conv(), [[[[[1, 2]], [[-1, 3]]]]]), BLOCK),
    Small("conv-longer-than-its-input", one(Conv(pads=((3, 2),)), [[[1, -2, 3, 4, -1, 2]]]), ROW),
    Small("conv-transpose-2d", one(ConvTranspose((2, 1), (1, 2), ((1, 0), (0, 1))), [[[[1, 2], [-1, 3]], [[2, 0], [1, -2]]]]), IMAGE),
    Small("conv-transpose-grouped", one(ConvTranspose((2, 2), groups=2), [[[[1, 2]], [[-1, 3]]], [[[2, 0]], [[1, -2]]]], [1, 2, -1, 0]),
          PAIR, BENT),
    Small("conv-transpose-output-padding", one(ConvTranspose((2,), output_padding=(1,)), [[[2, -1, 3]]]), ROW),
    Small("avg-pool-ceil", one(AvgPool((2, 2), (2, 2), pads=((1, 0), (0, 0)), ceil=True)), IMAGE),
    Small("avg-pool-ceil-not-counted", one(AvgPool((2, 2), (2, 2), pads=((1, 0), (0, 1)), ceil=True, count_include_pad=False)), IMAGE),
    Small("max-pool-ceil", one(MaxPool((2, 2), (2, 2), pads=((1, 0), (0, 0)), ceil=True)), IMAGE, BENT),
    Small("max-pool-all", one(MaxPool((2, 2), (1, 2), (2, 1), ((1, 1), (1, 1)))), IMAGE, BENT),
    Small("max-pool-3d", one(MaxPool((2, 1, 2), (1, 1, 1))), BLOCK, BENT),
    Small("adaptive-avg-pool", one(AdaptiveAvgPool((2, 2))), IMAGE),
    Small("adaptive-avg-pool-grows", one(AdaptiveAvgPool((5,))), [[[1, -2, 4]]]),
    Small("adaptive-max-pool", one(AdaptiveMaxPool((2, 2))), IMAGE, BENT),
    Small("unfold-all", one(Unfold((2, 2), (2, 1), (1, 2), ((1, 0), (0, 1)))), IMAGE),
    Small("fold", one(Fold((3,), (2,))), [[[1, -2], [4, 3]]]),
    Small("fold-all", one(Fold((3, 2), (2, 2), (1, 1), (1, 1), ((0, 1), (1, 0)))),
          [[[1, -2, 3, 0, 2, 1], [4, 3, 1, -1, 2, 5], [0, 1, 2, 3, -4, 1], [2, 2, 1, 1, 0, -3]]]),
    Small("gather-elements", one(GatherElements(1), np.array([[2, 0, -1, 2]])), VECTOR),
    Small("gather-elements-inner", one(GatherElements(2), np.array([[[[1, 0]], [[0, 0]]]])), PAIR),
    Small("gather-nd", one(GatherND(), np.array([[[0, 1], [-1, 0]]])), PAIR),
    Small("scatter-elements", lambda b, x: b.add(ScatterElements(axis=1), b.param("c", [[1.0, 2, 3, 4, 5]]),
                                                 b.param("at", np.array([[3, 0, 4, 1]])), x, name="op"), VECTOR, BENT),
    Small("scatter-elements-added", one(ScatterElements("add"), np.array([[2, 0, 2]]), [[1, 2, 3]]), VECTOR, BENT),
    Small("scatter-into", one(ScatterElements(), np.array([[2, 0]]), [[7, -7]]), VECTOR, BENT),
    Small("scatter-largest", one(ScatterElements("max"), np.array([[2, 0, 1]]), [[7, -7, 0]]), VECTOR, BENT),
    Small("scatter-multiplied", one(ScatterElements("mul"), np.array([[2, 0, 2]]), [[2, -3, 5]]), VECTOR, BENT),
    Small("scatter-nd-blocks", one(ScatterND("add"), np.array([[[1], [0], [1]]]), [[[[1, 2], [3, 4]], [[0, 1], [1, 0]], [[2, 2], [2, 2]]]]),
          PAIR, BENT),
    Small("reverse-sequence", one(ReverseSequence(1), np.array([3, 2])), BATCH),
    Small("split", one(Split(1, (1, 2, 1), 1)), VECTOR),
    Small("top", one(TopK(1, 3)), BATCH, BENT),
    Small("top-smallest", one(TopK(1, 2, False)), BATCH, BENT),
    Small("cumulative-sum-reversed", one(CumSum(1, reverse=True)), VECTOR),
    Small("cumulative-sum-exclusive", one(CumSum(2, exclusive=True)), PAIR),
    Small("cumulative-product", one(CumProd(1)), BATCH, BENT),
    Small("cumulative-product-with-zeros", one(CumProd(1, True, True)), [[3, 0, 2, 5, 0, 1]], BENT),
    Small("product", one(ReduceProd((1,))), BATCH, BENT),
    Small("product-with-a-zero", one(ReduceProd((2, 3))), [[[[1, 2], [0, -4]], [[5, 0], [0, 8]]]], BENT),
    Small("determinant", one(Det()), [[[2, 1], [3, -1]]], BENT),
    Small("determinant-3", one(Det()), [[[0, 1, 3], [3, -1, 2], [1, 4, -2]]], BENT),
    Small("variance", one(Variance((1,))), BATCH, BENT),
    Small("variance-corrected", one(Variance((2, 3), True, 1)), PAIR, BENT),
    Small("square", one(Pow(2)), VECTOR, BENT),
    Small("hard-sigmoid", one(HardSigmoid(0.25, 0.5)), [[-3, -1, 1, 5]], BENT),
    Small("hard-swish", one(HardSwish()), [[-4, -1, 1, 5]], BENT),
    Small("mul-itself", twice(Mul()), VECTOR, BENT),
    Small("maximum-of-two", lambda b, x: b.add(Maximum(), x, b.add(Neg(), x, name="minus"), name="op"), VECTOR, BENT),
    Small("minimum-of-two", lambda b, x: b.add(Minimum(), x, b.add(Neg(), x, name="minus"), name="op"), VECTOR, BENT),
    Small("where-other", lambda b, x: b.add(Where(), b.param("on", np.array([1, 0, 1, 0], bool)), b.param("c", [9.0] * 4), x, name="op"),
          VECTOR),
    Small("shrink", one(Shrink(1.5, 0.5)), VECTOR, BENT),
    Small("triangle-below", one(Trilu(-1, upper=False)), PAIR),
    Small("einsum-itself", lambda b, x: b.add(Einsum("nchw,nkhw->nck"), x, x, name="op"), PAIR, BENT),
    Small("matmul-itself", lambda b, x: b.add(MatMul(), x, x, name="op"), PAIR, BENT),
    Small("rnn", one(RNN(activation=ReLU()), *UNITS), [[[1, 2], [-1, 1], [2, -1]]], BENT),
    Small("rnn-reversed", one(RNN(True, ReLU()), *UNITS, [[1, -1]]), [[[1, 2], [-1, 1], [2, -1]]], BENT),
)
"""Inputs lie between kinks, so that the quotient is exact; the answers at kinks stand in the worked examples."""
