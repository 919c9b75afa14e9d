"""Networks of one operator with a weighted sum behind it, small rational numbers in them: what passes back through each operator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops import (
    Abs,
    Add,
    AvgPool,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    CumSum,
    Dense,
    Div,
    Einsum,
    Expand,
    Flatten,
    Gather,
    GlobalAvgPool,
    GlobalMaxPool,
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
    PReLU,
    ReduceMax,
    ReduceMin,
    ReLU,
    ReLU6,
    Reshape,
    Resize,
    Slice,
    Squeeze,
    Sub,
    Sum,
    Threshold,
    Transpose,
    Trilu,
    Unfold,
    Unsqueeze,
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
)
"""Inputs lie between kinks, so that the quotient is exact; the answers at kinks stand in the worked examples."""
