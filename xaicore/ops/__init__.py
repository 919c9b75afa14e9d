"""The operators: ``OPS`` is the table of contents, one name for each, in the families of the files."""

from collections.abc import Mapping
from types import MappingProxyType

from xaicore.ops.arithmetic import Add, Div, Maximum, Minimum, Mul, Sub, Where
from xaicore.ops.conv import Conv, ConvTranspose
from xaicore.ops.elementwise import Clip, HardSigmoid, LeakyReLU, PReLU, ReLU, ReLU6
from xaicore.ops.fold import Fold, Unfold
from xaicore.ops.grid import GridSample
from xaicore.ops.index import GatherElements, GatherND, ReverseSequence, ScatterElements, ScatterND, Trilu
from xaicore.ops.linear import Dense, Einsum, MatMul
from xaicore.ops.logic import BitShift, Bitwise, BitwiseNot, Compare, IsInf, IsNaN, Logical, Not, ToBool, ToFloat, ToInt
from xaicore.ops.matrix import Det
from xaicore.ops.normalize import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RMSNorm
from xaicore.ops.op import Op
from xaicore.ops.order import ArgMax, ArgMin, Hardmax, MaxPoolIndices, OneHot, TopK, TopKIndices
from xaicore.ops.pointwise import (
    Abs,
    Ceil,
    Cos,
    Erf,
    Exp,
    Expm1,
    Floor,
    Log,
    Log1p,
    Neg,
    Pow,
    Reciprocal,
    Round,
    Rsqrt,
    Sign,
    Sin,
    Sqrt,
)
from xaicore.ops.pool import (
    AdaptiveAvgPool,
    AdaptiveMaxPool,
    AvgPool,
    GlobalAvgPool,
    GlobalMaxPool,
    LpPool,
    MaxPool,
)
from xaicore.ops.recurrent import GRU, LSTM, RNN
from xaicore.ops.reduce import Mean, Norm, ReduceMax, ReduceMin, ReduceProd, Sum, Variance
from xaicore.ops.resize import Pad, Resize
from xaicore.ops.scan import CumProd, CumSum
from xaicore.ops.shape import (
    Concat,
    Detach,
    Dropout,
    Embedding,
    Expand,
    Flatten,
    Gather,
    Identity,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Transpose,
    Unsqueeze,
)
from xaicore.ops.smooth import CELU, ELU, GELU, SELU, HardSwish, Mish, Sigmoid, SiLU, Softplus, Softsign, Tanh
from xaicore.ops.softmax import LogSoftmax, LogSumExp, Softmax
from xaicore.ops.steps import FakeQuantize, Mod, Shrink, Threshold
from xaicore.ops.trigonometry import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cosh, Sinh, Tan

OPS: Mapping[str, type[Op]] = MappingProxyType({one.__name__: one for one in (
    # linear, convolution
    Dense, MatMul, Einsum, Conv, ConvTranspose,
    # pooling
    MaxPool, AvgPool, LpPool, AdaptiveAvgPool, AdaptiveMaxPool, GlobalAvgPool, GlobalMaxPool, MaxPoolIndices, Unfold, Fold,
    # activations
    ReLU, LeakyReLU, PReLU, ReLU6, Clip, ELU, SELU, CELU, Sigmoid, HardSigmoid, HardSwish, Tanh, GELU, SiLU, Mish, Softplus, Softsign,
    # functions of one number
    Exp, Expm1, Log, Log1p, Sqrt, Rsqrt, Reciprocal, Abs, Neg, Pow, Erf, Sin, Cos, Tan, Asin, Acos, Atan, Sinh, Cosh, Asinh, Acosh, Atanh,
    Floor, Ceil, Round, Sign, Threshold, Shrink, FakeQuantize,
    # functions of two numbers
    Add, Sub, Mul, Div, Mod, Maximum, Minimum, Where,
    # recurrent
    RNN, GRU, LSTM,
    # forward only
    Compare, Logical, Not, IsNaN, IsInf, Bitwise, BitwiseNot, BitShift, ToFloat, ToInt, ToBool, ArgMax, ArgMin, Hardmax, OneHot,
    # reductions
    Sum, Mean, ReduceMax, ReduceMin, ReduceProd, Norm, LogSumExp, Variance, CumSum, CumProd, Det,
    # looking up and putting down
    Gather, GatherElements, GatherND, ScatterElements, ScatterND, TopK, TopKIndices, Embedding, Trilu, ReverseSequence,
    # shape
    Reshape, Flatten, Transpose, Concat, Split, Slice, Pad, Expand, Squeeze, Unsqueeze, Resize, GridSample,
    Identity, Dropout, Detach,
    # normalisation
    BatchNorm, LayerNorm, GroupNorm, InstanceNorm, RMSNorm, LocalResponseNorm, Softmax, LogSoftmax,
)})
"""Name -> operator. Their cards: ``xaicore rules Conv``."""

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GRU",
    "LSTM",
    "OPS",
    "RNN",
    "SELU",
    "Abs",
    "Acos",
    "Acosh",
    "AdaptiveAvgPool",
    "AdaptiveMaxPool",
    "Add",
    "ArgMax",
    "ArgMin",
    "Asin",
    "Asinh",
    "Atan",
    "Atanh",
    "AvgPool",
    "BatchNorm",
    "BitShift",
    "Bitwise",
    "BitwiseNot",
    "Ceil",
    "Clip",
    "Compare",
    "Concat",
    "Conv",
    "ConvTranspose",
    "Cos",
    "Cosh",
    "CumProd",
    "CumSum",
    "Dense",
    "Det",
    "Detach",
    "Div",
    "Dropout",
    "Einsum",
    "Embedding",
    "Erf",
    "Exp",
    "Expand",
    "Expm1",
    "FakeQuantize",
    "Flatten",
    "Floor",
    "Fold",
    "Gather",
    "GatherElements",
    "GatherND",
    "GlobalAvgPool",
    "GlobalMaxPool",
    "GridSample",
    "GroupNorm",
    "HardSigmoid",
    "HardSwish",
    "Hardmax",
    "Identity",
    "InstanceNorm",
    "IsInf",
    "IsNaN",
    "LayerNorm",
    "LeakyReLU",
    "LocalResponseNorm",
    "Log",
    "Log1p",
    "LogSoftmax",
    "LogSumExp",
    "Logical",
    "LpPool",
    "MatMul",
    "MaxPool",
    "MaxPoolIndices",
    "Maximum",
    "Mean",
    "Minimum",
    "Mish",
    "Mod",
    "Mul",
    "Neg",
    "Norm",
    "Not",
    "OneHot",
    "Op",
    "PReLU",
    "Pad",
    "Pow",
    "RMSNorm",
    "ReLU",
    "ReLU6",
    "Reciprocal",
    "ReduceMax",
    "ReduceMin",
    "ReduceProd",
    "Reshape",
    "Resize",
    "ReverseSequence",
    "Round",
    "Rsqrt",
    "ScatterElements",
    "ScatterND",
    "Shrink",
    "SiLU",
    "Sigmoid",
    "Sign",
    "Sin",
    "Sinh",
    "Slice",
    "Softmax",
    "Softplus",
    "Softsign",
    "Split",
    "Sqrt",
    "Squeeze",
    "Sub",
    "Sum",
    "Tan",
    "Tanh",
    "Threshold",
    "ToBool",
    "ToFloat",
    "ToInt",
    "TopK",
    "TopKIndices",
    "Transpose",
    "Trilu",
    "Unfold",
    "Unsqueeze",
    "Variance",
    "Where",
]
