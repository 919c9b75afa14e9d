"""What the cases do not show of the activations: kinks, tails, extremes, exact values, settings that cannot be."""

from __future__ import annotations

from decimal import Decimal, localcontext
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore.errors import GraphError
from xaicore.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)

SMOOTH = [ELU(), ELU(0.5), SELU(), CELU(), CELU(0.5), Sigmoid(), Tanh(), SiLU(), GELU(), GELU("tanh"), Mish(), Softplus(), Softsign()]
PIECEWISE = [ReLU(), LeakyReLU(), LeakyReLU(-2.0), ReLU6(), Clip(-1.0, 2.0), Clip(low=0.5), Clip(high=0.5), HardSigmoid(), HardSigmoid(0.2)]
ALL = [*SMOOTH, *PIECEWISE, HardSwish()]


def gradient(op, x):
    return op.vjp(0, np.ones_like(x), op.forward(x), x)


# ----- kinks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "x", "y", "slope"), [
    (ReLU(), 0.0, 0.0, 0.0),
    (ReLU(), -0.0, 0.0, 0.0),
    (LeakyReLU(0.1), 0.0, 0.0, 0.1),
    (ReLU6(), 0.0, 0.0, 0.0),
    (ReLU6(), 6.0, 6.0, 0.0),
    (Clip(-1.0, 2.0), -1.0, -1.0, 1.0),
    (Clip(-1.0, 2.0), 2.0, 2.0, 1.0),
    (Clip(-1.0, 2.0), np.nextafter(2.0, 3.0), 2.0, 0.0),
    (Clip(2.0, -1.0), 0.0, -1.0, 0.0),
    (Clip(), 1e300, 1e300, 1.0),
    (HardSigmoid(), -3.0, 0.0, 0.0),
    (HardSigmoid(), 3.0, 1.0, 0.0),
    (HardSwish(), -3.0, 0.0, 0.0),
    (HardSwish(), 3.0, 3.0, 1.0),
    (ELU(0.5), 0.0, 0.0, 0.5),
    (SELU(), 0.0, 0.0, 1.0507009873554805 * 1.6732632423543772),
    (CELU(0.5), 0.0, 0.0, 1.0),
    (Softsign(), 0.0, 0.0, 1.0),
], ids=str)
def test_value_and_slope_at_a_kink(op, x, y, slope):
    x = np.array([x])
    assert op.forward(x) == y
    assert gradient(op, x) == slope


@pytest.mark.parametrize(("op", "name", "settings"), [
    (ReLU(), "relu", {}),
    (LeakyReLU(0.1), "leaky_relu", {"negative_slope": 0.1}),
    (ReLU6(), "relu6", {}),
    (HardSigmoid(), "hardsigmoid", {}),
    (HardSwish(), "hardswish", {}),
    (ELU(0.5), "elu", {"alpha": 0.5}),
    (SELU(), "selu", {}),
    (CELU(0.5), "celu", {"alpha": 0.5}),
    (Softsign(), "softsign", {}),
], ids=str)
def test_slope_at_a_kink_is_that_of_torch(op, name, settings):
    torch = pytest.importorskip("torch")
    x = np.array([-6.0, -3.0, -0.0, 0.0, 3.0, 6.0])
    t = torch.tensor(x, requires_grad=True)
    getattr(torch.nn.functional, name)(t, **settings).sum().backward()
    # torch keeps 1/6 and some constants as float32 in the backward pass of float64, hence not better than 1e-7
    np.testing.assert_allclose(gradient(op, x), t.grad.numpy(), rtol=1e-7, atol=0)


def test_clip_slope_on_the_bounds_is_that_of_torch():
    torch = pytest.importorskip("torch")
    x = np.array([-2.0, -1.0, 0.0, 2.0, 3.0])
    t = torch.tensor(x, requires_grad=True)
    t.clamp(-1.0, 2.0).sum().backward()
    assert gradient(Clip(-1.0, 2.0), x).tolist() == t.grad.tolist()


def test_prelu_slope_at_zero_is_that_of_torch():
    torch = pytest.importorskip("torch")
    x, w = np.array([[0.0, -1.0, 2.0]]), np.array([0.3])
    t, s = torch.tensor(x, requires_grad=True), torch.tensor(w, requires_grad=True)
    torch.nn.functional.prelu(t, s).sum().backward()
    y = PReLU().forward(x, w)
    assert PReLU().vjp(0, np.ones_like(x), y, x, w).tolist() == t.grad.tolist()
    assert PReLU().vjp(1, np.ones_like(x), y, x, w).tolist() == s.grad.tolist()


rationals = st.fractions(min_value=-8, max_value=8, max_denominator=64)


@pytest.mark.parametrize("op", PIECEWISE, ids=str)
@given(a=rationals, b=rationals)
def test_between_kinks_the_function_is_a_line(op, a, b):
    """f((a + b) / 2) = (f(a) + f(b)) / 2, exactly, where no kink array changes its sign between a and b."""
    ends = np.array([a, b], dtype=object)
    if any(k[0] * k[1] < 0 for k in op.kinks(ends)):
        return
    fa, fb = op.forward(ends)
    (middle,) = op.forward(np.array([(a + b) / 2], dtype=object))
    assert middle == (fa + fb) / 2


@pytest.mark.parametrize(("op", "at"), [
    (ReLU(), [0]), (LeakyReLU(), [0]), (ReLU6(), [0, 6]), (Clip(-1.0, 2.0), [-1, 2]), (Clip(low=0.5), [Fraction(1, 2)]),
    (Clip(), []), (Clip(-np.inf, np.inf), []), (Clip(1.0, -1.0), []),
    (HardSigmoid(), [-3, 3]), (HardSigmoid(0.2), [Fraction(-5, 2), Fraction(5, 2)]),
], ids=str)
def test_each_kink_is_one_and_is_exact(op, at):
    found = op.kinks(np.array([Fraction(0)], dtype=object))
    assert len(found) == len(at)
    h = Fraction(1, 10**6)
    for k, x in enumerate(at):
        assert op.kinks(np.array([Fraction(x)], dtype=object))[k] == 0
        left, right = gradient(op, np.array([x - h, x + h], dtype=object))
        assert left != right


def test_prelu_kinks():
    x = np.array([[1.0, -1.0]])
    assert PReLU().kinks(x, np.array([0.1]))[0] is x


@pytest.mark.parametrize("op", [*SMOOTH, HardSwish()], ids=str)
def test_smooth_ones_are_not_piecewise_linear(op):
    assert op.kinks(np.zeros(1)) is None


# ----- tails and extremes -----------------------------------------------------------------------------------------


def d_tanh(x):
    return ((2 * x).exp() - 1) / ((2 * x).exp() + 1)


PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459230781640628620899")
PLAIN = {
    "Sigmoid": (Sigmoid(), lambda x: 1 / (1 + (-x).exp())),
    "Tanh": (Tanh(), d_tanh),
    "SiLU": (SiLU(), lambda x: x / (1 + (-x).exp())),
    "Mish": (Mish(), lambda x: x * d_tanh((1 + x.exp()).ln())),
    "Softplus": (Softplus(), lambda x: (1 + x.exp()).ln()),
    "Softplus-2": (Softplus(2.0), lambda x: (1 + (2 * x).exp()).ln() / 2),
    "ELU": (ELU(0.5), lambda x: x if x > 0 else (x.exp() - 1) / 2),
    "CELU": (CELU(0.5), lambda x: x if x > 0 else ((2 * x).exp() - 1) / 2),
    "SELU": (SELU(), lambda x: Decimal("1.0507009873554805") * (x if x > 0 else Decimal("1.6732632423543772") * (x.exp() - 1))),
    "GELU-tanh": (GELU("tanh"), lambda x: x / 2 * (1 + d_tanh((2 / PI).sqrt() * (x + Decimal("0.044715") * x**3)))),
}


@pytest.mark.parametrize("name", PLAIN)
@given(x=st.floats(-12, 12).filter(lambda v: abs(v) > 1e-6))
def test_every_digit_is_right_in_the_tails_too(name, x):
    """Against the plain formula in decimals of 120 digits, and its central difference: relative error, however small the number."""
    op, plain = PLAIN[name]
    with localcontext() as c:
        c.prec = 120
        h, at = Decimal("1e-40"), Decimal(x)
        value, slope = plain(at), (plain(at + h) - plain(at - h)) / (2 * h)
    # a few roundings, and exp amplifies that of its argument, up to 2u = 149 for the tanh form of GELU; the slopes of SiLU, GELU
    # and Mish pass 0 where two terms of size 1e-1 cancel, hence the absolute part in units of one rounding
    digits = {"rtol": 4e-14 if name == "GELU-tanh" else 3e-15}
    np.testing.assert_allclose(op.forward(np.array([x])), [float(value)], **digits)
    np.testing.assert_allclose(gradient(op, np.array([x])), [float(slope)], **digits, atol=4e-16 if abs(x) < 3 else 0)


@pytest.mark.parametrize("x", [-8.0, -3.0, -0.5, 0.5, 3.0])
def test_gelu_keeps_its_digits_at_negative_inputs(x):
    from math import erfc, exp, pi, sqrt

    cdf = erfc(-x / sqrt(2)) / 2
    slope = cdf + x * exp(-x * x / 2) / sqrt(2 * pi)
    rtol = (8 + 2 * x * x) * 2.2e-16          # exp(-x^2 / 2) multiplies the relative rounding error of x by x^2
    np.testing.assert_allclose(GELU().forward(np.array([x])), [x * cdf], rtol=rtol)
    np.testing.assert_allclose(gradient(GELU(), np.array([x])), [slope], rtol=rtol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", ALL, ids=str)
def test_extremes_give_finite_numbers_and_no_warning(op, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    x = np.array([-1e30, -1e4, -tiny, -0.0, 0.0, tiny, 1e4, 1e30], dtype)
    y, slope = op.forward(x), gradient(op, x)
    assert y.dtype == slope.dtype == dtype
    assert np.isfinite(y).all()
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hard_swish_at_the_largest_float(dtype):
    x = np.array([-1, 1], dtype) * np.finfo(dtype).max
    assert HardSwish().forward(x).tolist() == [0, x[1]]
    assert gradient(HardSwish(), x).tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("op", "name", "settings"), [
    (ELU(), "elu", {}), (SELU(), "selu", {}), (CELU(), "celu", {}), (Sigmoid(), "sigmoid", {}), (Tanh(), "tanh", {}),
    (SiLU(), "silu", {}), (GELU(), "gelu", {}), (GELU("tanh"), "gelu", {"approximate": "tanh"}), (Mish(), "mish", {}),
    (Softplus(), "softplus", {}), (Softsign(), "softsign", {}), (HardSwish(), "hardswish", {}), (HardSigmoid(), "hardsigmoid", {}),
], ids=str)
def test_far_out_as_torch(op, name, settings, dtype):
    torch = pytest.importorskip("torch")
    x = np.array([-1e4, -300.0, -30.0, 30.0, 300.0, 1e4], dtype)
    t = torch.tensor(x, requires_grad=True)
    out = getattr(torch.nn.functional, name)(t, **settings)
    out.sum().backward()
    # torch subtracts from 1 in the tails, where only the absolute error is small: a few roundings of 1, times x for x * gate
    eps = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(op.forward(x), out.detach().numpy(), rtol=eps, atol=30 * eps)
    np.testing.assert_allclose(gradient(op, x), t.grad.numpy(), rtol=max(eps, 1e-7 * (name == "hardsigmoid")), atol=30 * eps)


# ----- exact values -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("op", "x", "y", "slope"), [
    (LeakyReLU(0.1), -3, "-3/10", "1/10"),
    (LeakyReLU(), "-1/3", "-1/300", "1/100"),
    (ReLU6(), "13/2", "6", "0"),
    (Clip(-0.1, 0.1), "-1/3", "-1/10", "0"),
    (HardSigmoid(), 1, "2/3", "1/6"),
    (HardSigmoid(0.2, 0.5), 1, "7/10", "1/5"),
    (HardSwish(), 1, "2/3", "5/6"),
    (Softsign(), "-2/3", "-2/5", "9/25"),
], ids=str)
def test_settings_are_read_as_decimals_on_rationals(op, x, y, slope):
    at = np.array([Fraction(x)], dtype=object)
    assert op.forward(at).tolist() == [Fraction(y)]
    assert gradient(op, at).tolist() == [Fraction(slope)]
    assert {type(v) for v in (*op.forward(at), *gradient(op, at))} == {Fraction}


# ----- settings that cannot be ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("make", "text"), [
    (lambda: GELU("quick"), "'none' or 'tanh'"),
    (lambda: CELU(0.0), "alpha is 0.0"),
    (lambda: CELU(-1.0), "alpha is -1.0"),
    (lambda: Softplus(0.0), "beta is 0.0"),
    (lambda: Clip(float("nan"), 1.0), "low is NaN"),
])
def test_a_setting_without_meaning_is_refused(make, text):
    with pytest.raises(GraphError, match=text):
        make()
