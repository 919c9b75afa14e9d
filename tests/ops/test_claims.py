"""What operators claim and what they do when nobody says otherwise, written down once more: arities, claims, defaults."""

from __future__ import annotations

from dataclasses import MISSING, fields

import numpy as np
import pytest

from tests.cases import CASES
from tests.cases.case import Case
from xaicore.errors import ShapeError
from xaicore.ops import OPS, AdaptiveAvgPool, Concat, ReLU, ReLU6, Shrink, Sigmoid, Tanh, Threshold, TopK
from xaicore.ops.pointwise import Pointwise

ARITIES = {
    (1, None): "Einsum Concat", (1, 2): "Expand RMSNorm", (1, 3): "LayerNorm GroupNorm InstanceNorm", (2, 3): "Dense Conv ConvTranspose",
    (2, 2): "MatMul PReLU Add Sub Mul Div Mod Maximum Minimum Compare Logical Bitwise BitShift Gather GatherElements GatherND Embedding "
            "ReverseSequence GridSample",
    (3, 3): "FakeQuantize Where ScatterElements ScatterND", (5, 5): "BatchNorm", (5, 7): "RNN GRU", (5, 8): "LSTM",
}
NOT_RATIONAL = """LpPool ELU SELU CELU Sigmoid Tanh GELU SiLU Mish Softplus Exp Expm1 Log Log1p Sqrt Rsqrt Erf Sin Cos Tan Asin Acos Atan
 Sinh Cosh Asinh Acosh Atanh LogSumExp BatchNorm LayerNorm GroupNorm InstanceNorm RMSNorm LocalResponseNorm Softmax LogSoftmax"""
ELEMENTWISE = """ReLU LeakyReLU PReLU ReLU6 Clip ELU SELU CELU Sigmoid HardSigmoid HardSwish Tanh GELU SiLU Mish Softplus Softsign Exp Expm1
 Log Log1p Sqrt Rsqrt Reciprocal Abs Neg Pow Erf Sin Cos Tan Asin Acos Atan Sinh Cosh Asinh Acosh Atanh Floor Ceil Round Sign Threshold
 Shrink FakeQuantize"""
ROUTES = """Unfold Where ToFloat Gather GatherElements GatherND Embedding Trilu ReverseSequence Reshape Flatten Transpose Concat Split Slice
 Pad Expand Squeeze Unsqueeze Identity Dropout"""
CLAIMS = {
    "elementwise": ELEMENTWISE, "routes": ROUTES, "composite": "Mod ReduceProd Norm LogSumExp CumProd TopK",
    "straight_through": "FakeQuantize", "fixed_weights": "AvgPool AdaptiveAvgPool GlobalAvgPool Fold Add Sum Mean CumSum",
}
WINDOW = {"stride": (), "dilation": (), "pads": ()}
DEFAULTS: dict[str, dict[str, object]] = {
    "Conv": {**WINDOW, "groups": 1, "fast": False}, "ConvTranspose": {**WINDOW, "output_padding": (), "groups": 1},
    "MaxPool": {**WINDOW, "ceil": False}, "MaxPoolIndices": {**WINDOW, "ceil": False}, "LpPool": {**WINDOW, "ceil": False},
    "AvgPool": {**WINDOW, "ceil": False, "count_include_pad": True, "divisor": None}, "Unfold": WINDOW, "Fold": WINDOW,
    "LeakyReLU": {"slope": 0.01}, "Clip": {"low": None, "high": None}, "ELU": {"alpha": 1}, "CELU": {"alpha": 1},
    "HardSigmoid": {"slope": 1 / 6, "shift": 0.5}, "GELU": {"approximate": "none"}, "SiLU": {"beta": 1}, "Softplus": {"beta": 1},
    "Threshold": {"threshold": 0, "below": 0}, "Shrink": {"lambd": 0.5, "bias": 0}, "FakeQuantize": {"low": -128, "high": 127},
    "Mod": {"kind": "floor"}, "RNN": {"reverse": False, "activation": Tanh()},
    "GRU": {"reverse": False, "reset": "after", "gate": Sigmoid(), "activation": Tanh()},
    "LSTM": {"reverse": False, "output": "hidden", "gate": Sigmoid(), "activation": Tanh(), "squash": Tanh()},
    "IsInf": {"negative": True, "positive": True}, "ToFloat": {"dtype": "float64"}, "ArgMax": {"keepdims": False, "last": False},
    "ArgMin": {"keepdims": False, "last": False}, "Hardmax": {"axis": -1}, "OneHot": {"axis": -1},
    **{k: {"keepdims": False} for k in ("Sum", "Mean", "ReduceMax", "ReduceMin", "ReduceProd", "LogSumExp")},
    "Norm": {"keepdims": False, "p": 2}, "Variance": {"keepdims": False, "ddof": 0},
    "CumSum": {"exclusive": False, "reverse": False}, "CumProd": {"exclusive": False, "reverse": False}, "GatherND": {"batch_dims": 1},
    "ScatterElements": {"reduction": "none", "axis": 1}, "ScatterND": {"reduction": "none"}, "TopK": {"largest": True},
    "TopKIndices": {"largest": True}, "Trilu": {"k": 0, "upper": True}, "Flatten": {"start": 1},
    "Slice": {"start": None, "stop": None, "step": 1}, "Pad": {"mode": "constant", "value": 0},
    "Resize": {"mode": "nearest", "coordinates": "half_pixel", "rounding": "round_prefer_floor", "scales": (), "cubic": -0.75,
               "exclude_outside": False, "antialias": False, "crop": ()},
    "GridSample": {"mode": "linear", "padding": "zeros", "align_corners": False}, "Dropout": {"rate": 0.5}, "Detach": {"shared": False},
    "BatchNorm": {"eps": 1e-5}, "GroupNorm": {"eps": 1e-5}, "InstanceNorm": {"eps": 1e-5},
    "LayerNorm": {"axes": 1, "eps": 1e-5}, "RMSNorm": {"axes": 1, "eps": 1e-5},
    "LocalResponseNorm": {"alpha": 1e-4, "beta": 0.75, "k": 1}, "Softmax": {"axis": -1}, "LogSoftmax": {"axis": -1},
}
OWN = {k: o for k, o in OPS.items() if o.__module__.startswith("xaicore.")}


@pytest.mark.parametrize("name", OWN)
def test_arity_claims_and_defaults(name):
    op = OWN[name]
    assert op.arity == next((k for k, names in ARITIES.items() if name in names.split()), (1, 1))
    said = {k: getattr(op, k) for k in CLAIMS if not isinstance(getattr(op, k), property)}
    assert {k: bool(v) for k, v in said.items()} == {k: name in CLAIMS[k].split() for k in said}
    assert isinstance(op.rational, property) or op.rational is (name not in NOT_RATIONAL.split())
    assert {f.name: f.default for f in fields(op) if f.default is not MISSING} == DEFAULTS.get(name, {})


def test_where_the_slope_of_an_order_changes():
    """x_i - x_j of all pairs i < j."""
    (found,) = TopK(1, 2).kinks(np.array([[1.0, 3.0, 0.0]]))
    assert found.tolist() == [[-2, 1, 3]]


def test_sizes_of_an_adaptive_pool():
    assert AdaptiveAvgPool((1, 1, 1)).forward(np.ones((1, 1, 2, 2, 2))).tolist() == [[[[[1]]]]]
    for size in ((), (1, 1, 1, 1), (0,)):
        with pytest.raises(ShapeError, match="one to three output sizes"):
            AdaptiveAvgPool(size)


def test_what_is_concatenated_has_one_rank():
    """(1, 3) has all the axes of (1, 3, 4) but the one along which they are joined."""
    with pytest.raises(ShapeError, match="input 1 has shape"):
        Concat(2).forward(np.ones((1, 3, 4)), np.ones((1, 3)))
    assert Concat(1).forward(np.ones((1, 3))).tolist() == [[1, 1, 1]]


@pytest.mark.parametrize("case", [c for c in CASES if isinstance(c.op, Pointwise)], ids=lambda c: c.id)
def test_what_comes_back_is_a_multiple_of_the_derivative(case: Case) -> None:
    """DeepLIFT asks for the derivative, everything else for the vjp; some operators write both out."""
    (x,) = case.draw(np.random.default_rng(0))
    y = case.op.forward(x)
    g = np.random.default_rng(1).standard_normal(y.shape)
    np.testing.assert_allclose(case.op.vjp(0, g, y, x), g * case.op.derivative(x, y), rtol=1e-15, atol=0)      # one product each


@pytest.mark.parametrize(("op", "kinks"), [(ReLU(), [0]), (ReLU6(), [0, 6]), (Threshold(0.5, 2.0), [0.5]), (Shrink(0.5), [-0.5, 0.5])], ids=str)
def test_the_derivative_at_a_kink_is_0(op: Pointwise, kinks: list[float]) -> None:
    """As torch has it, and what comes back says so, too."""
    x = np.array([kinks])
    y = op.forward(x)
    assert not op.derivative(x, y).any()
    assert not op.vjp(0, np.ones_like(y), y, x).any()
    if isinstance(op, Shrink):
        assert not y.any()                                              # the bounds are part of what lies between
