"""What the cases do not show of the functions of one number: domains, poles, extremes, exact powers and rounding."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore.errors import ExactnessError, GraphError, InputError
from xaicore.ops import (
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

dtypes = pytest.mark.parametrize("dtype", [np.float32, np.float64])


def exact(*values):
    return np.array([Fraction(v) for v in values], dtype=object)


def gradient(op, x):
    return op.vjp(0, np.ones_like(x), op.forward(x), x)


# ----- domains ----------------------------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize(("op", "bad"), [
    (Log(), 0.0), (Log(), -0.0), (Log(), -1e-3), (Log1p(), -1.0), (Sqrt(), -1e-3), (Rsqrt(), 0.0), (Rsqrt(), -1.0),
    (Reciprocal(), 0.0), (Reciprocal(), -0.0), (Pow(-1), 0.0), (Pow(0.5), -1.0), (Pow(-0.5), 0.0), (Log(), np.nan),
], ids=str)
def test_outside_the_domain_the_first_bad_value_is_named(op, bad, dtype):
    x = np.array([[1.0, 1.0], [bad, bad]], dtype)
    with pytest.raises(InputError, match=r"the input is .* at index \(1, 0\)") as caught:
        op.forward(x)
    assert str(caught.value).startswith(type(op).__name__)
    assert str(x[1, 0]) in str(caught.value)


@pytest.mark.parametrize(("op", "last", "first_bad"), [
    (Exp(), 88.0, 89.0), (Expm1(), 88.0, 89.0), (Pow(2), 1e19, 2e19), (Pow(4.5), 3e8, 1e9), (Reciprocal(), 3e-39, 1e-39),
], ids=str)
def test_a_result_beyond_the_largest_float_is_refused(op, last, first_bad):
    assert np.isfinite(op.forward(np.array([last], np.float32))).all()
    with pytest.raises(InputError, match="exceeds the largest float32"):
        op.forward(np.array([first_bad], np.float32))
    assert np.isfinite(op.forward(np.array([first_bad]))).all()


def test_exp_of_a_masked_score_is_zero():
    x = np.array([-np.inf, -1e4, 0.0])
    assert Exp().forward(x).tolist() == [0, 0, 1]
    assert gradient(Exp(), x).tolist() == [0, 0, 1]


@dtypes
@pytest.mark.parametrize(("op", "pole"), [(Sqrt(), 0.0), (Pow(0.5), 0.0), (Pow(1.5), None), (Log(), "tiny"), (Rsqrt(), "tiny")], ids=str)
def test_an_infinite_slope_passes_no_signal_or_is_refused(op, pole, dtype):
    x = np.array([1.0, 0.0 if pole is None else np.finfo(dtype).smallest_subnormal if pole == "tiny" else pole], dtype)
    y = op.forward(x)
    quiet = op.vjp(0, np.array([1, 0], dtype), y, x)
    assert quiet[1] == 0
    assert np.isfinite(quiet).all()
    if pole is None:
        assert np.isfinite(gradient(op, x)).all()
        return
    with pytest.raises(InputError, match=r"derivative there exceeds the largest .* Clip"):
        gradient(op, x)


# ----- extremes ---------------------------------------------------------------------------------------------------


@dtypes
@pytest.mark.parametrize("op", [Erf(), Sin(), Cos(), Abs(), Neg(), Sign(), Floor(), Ceil(), Round(), Pow(1), Pow(0)], ids=str)
def test_extremes_give_finite_numbers_and_no_warning(op, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([-1e30, -1e4, -tiny, -0.0, 0.0, tiny, 1e4, 1e30], dtype)
    y, slope = op.forward(x), gradient(op, x)
    assert y.dtype == slope.dtype == dtype
    assert np.isfinite(y).all()
    assert np.isfinite(slope).all()


@dtypes
def test_denormals_go_through(dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([tiny], dtype)
    assert Exp().forward(x) == 1
    assert Expm1().forward(x) == tiny
    assert Log1p().forward(x) == tiny
    np.testing.assert_allclose(Log().forward(x), [math.log(float(tiny))], rtol=1e-6)       # float32
    np.testing.assert_allclose(Sqrt().forward(x) * Rsqrt().forward(x), [1], rtol=1e-6)     # float32


@given(x=st.floats(-5, 5))
def test_erf_against_the_standard_library(x):
    np.testing.assert_allclose(Erf().forward(np.array([x])), [math.erf(x)], rtol=1e-14)                 # some ulp apart
    np.testing.assert_allclose(gradient(Erf(), np.array([x])), [2 / math.sqrt(math.pi) * math.exp(-x * x)], rtol=1e-14)


# ----- kinks, signs, rounding -------------------------------------------------------------------------------------


def test_abs_and_sign_at_zero():
    x = np.array([-2.0, -0.0, 0.0, 3.0])
    assert Abs().forward(x).tolist() == [2, 0, 0, 3]
    assert gradient(Abs(), x).tolist() == [-1, 0, 0, 1]
    assert Sign().forward(x).tolist() == [-1, 0, 0, 1]
    assert gradient(Sign(), x).tolist() == [0, 0, 0, 0]
    assert Abs().kinks(x)[0] is x
    assert Sign().kinks(x) is None


def test_slopes_at_jumps_and_kinks_are_those_of_torch():
    torch = pytest.importorskip("torch")
    for op, name in ((Abs(), "abs"), (Sign(), "sign"), (Floor(), "floor"), (Ceil(), "ceil"), (Round(), "round")):
        x = np.array([-1.5, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5])
        t = torch.tensor(x, requires_grad=True)
        y = getattr(t, name)()
        y.sum().backward()
        assert op.forward(x).tolist() == y.tolist()
        assert gradient(op, x).tolist() == t.grad.tolist()


@given(x=st.fractions(max_denominator=12))
def test_rounding_is_exact_on_rationals(x):
    for op, plain in ((Floor(), math.floor), (Ceil(), math.ceil), (Round(), round)):
        (y,) = op.forward(exact(x))
        assert (y, type(y)) == (plain(x), Fraction)
        assert np.array_equal(op.forward(np.array([float(x)])), [plain(x)]) or Fraction(float(x)) != x


# ----- powers -----------------------------------------------------------------------------------------------------


@given(x=st.fractions(min_value=-4, max_value=4, max_denominator=16).filter(bool), p=st.integers(-4, 4))
def test_whole_powers_are_exact(x, p):
    product = Fraction(1)
    for _ in range(abs(p)):
        product = product * x if p > 0 else product / x
    op = Pow(p)
    assert op.rational
    assert op.forward(exact(x)).tolist() == [product]
    assert gradient(op, exact(x)).tolist() == [p * product / x]
    assert type(gradient(op, exact(x))[0]) is Fraction


def test_a_whole_power_takes_zero_and_negative_numbers():
    x = np.array([-2.0, 0.0])
    assert Pow(3).forward(x).tolist() == [-8, 0]
    assert gradient(Pow(3.0), x).tolist() == [12, 0]
    assert Pow(0).forward(x).tolist() == [1, 1]
    assert gradient(Pow(0), x).tolist() == [0, 0]
    assert gradient(Pow(1), x).tolist() == [1, 1]


def test_a_broken_power_is_not_rational():
    assert not Pow(0.5).rational
    with pytest.raises(ExactnessError, match="float64"):
        Pow(0.5).forward(exact(4))


def test_a_power_without_meaning_is_refused():
    with pytest.raises(GraphError, match="exponent is nan"):
        Pow(float("nan"))


# ----- exact values and claims ------------------------------------------------------------------------------------


def test_reciprocal_is_exact_and_refuses_zero_there_too():
    x = exact("-2/3", 7)
    assert Reciprocal().forward(x).tolist() == [Fraction(-3, 2), Fraction(1, 7)]
    assert gradient(Reciprocal(), x).tolist() == [Fraction(-9, 4), Fraction(-1, 49)]
    with pytest.raises(InputError, match="Reciprocal: the input is 0"):
        Reciprocal().forward(exact(0))


def test_neg_is_affine_and_entry_by_entry():
    assert Neg().affine([True])
    assert Neg().elementwise
    assert not Neg().routes, "the entry is turned around, not copied"
