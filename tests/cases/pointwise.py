"""Cases of the functions of one number."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError
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

from .case import Case, nonzero, normal, positive


def wide(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """About N(0, 4^2), in odd multiples of 1/32: several whole numbers apart, never on one or on a half."""
    return 4 * normal(rng, shape)


X = ((3, 2, 5),)

CASES = (
    Case("Exp", Exp(), X, torch=lambda x: x.exp(), errors=(((np.array([[1.0, 1e4]]),), InputError, "Exp: the input is 10000.0"),)),
    Case("Expm1", Expm1(), X, torch=lambda x: x.expm1(), errors=(((np.array([1e4]),), InputError, "exceeds the largest float64"),)),
    Case("Log", Log(), X, positive, torch=lambda x: x.log(), errors=(
        ((np.array([1.0, 0.0]),), InputError, "Log: the input is 0.0 at index (1,)"), ((np.array([-1.0]),), InputError, "x > 0"),
    )),
    Case("Log1p", Log1p(), X, positive, torch=lambda x: x.log1p(), errors=(((np.array([-1.0]),), InputError, "x > -1"),)),
    Case("Sqrt", Sqrt(), X, positive, torch=lambda x: x.sqrt(), errors=(((np.array([-0.25]),), InputError, "Sqrt: the input is -0.25"),)),
    Case("Rsqrt", Rsqrt(), X, positive, torch=lambda x: x.rsqrt(), errors=(((np.array([0.0]),), InputError, "Rsqrt: the input is 0.0"),)),
    Case("Reciprocal", Reciprocal(), X, nonzero, torch=lambda x: 1 / x, errors=(
        ((np.array([[2.0, 0.0]]),), InputError, "Reciprocal: the input is 0.0 at index (0, 1)"),
        ((np.array([1e-310]),), InputError, "exceeds the largest float64"),
    )),
    Case("Pow-2", Pow(2), X, torch=lambda x: x**2),
    Case("Pow-3.0", Pow(3.0), X, torch=lambda x: x**3),
    Case("Pow-1", Pow(1), X, torch=lambda x: x**1),
    Case("Pow-0", Pow(0), X, torch=lambda x: x**0),
    Case("Pow-minus2", Pow(-2), X, nonzero, torch=lambda x: x**-2, errors=(((np.array([0.0]),), InputError, "x != 0"),)),
    Case("Pow-half", Pow(0.5), X, positive, torch=lambda x: x**0.5, errors=(((np.array([-1.0]),), InputError, "broken power"),)),
    Case("Pow-minus0.75", Pow(-0.75), X, positive, torch=lambda x: x**-0.75, errors=(((np.array([0.0]),), InputError, "x != 0"),)),
    Case("Erf", Erf(), X, torch=lambda x: x.erf()),
    Case("Sin", Sin(), X, wide, torch=lambda x: x.sin()),
    Case("Cos", Cos(), X, wide, torch=lambda x: x.cos()),
    Case("Abs", Abs(), X, torch=lambda x: x.abs()),
    Case("Neg", Neg(), X, torch=lambda x: -x),
    Case("Sign", Sign(), X, torch=lambda x: x.sign()),
    Case("Floor", Floor(), X, wide, torch=lambda x: x.floor()),
    Case("Ceil", Ceil(), X, wide, torch=lambda x: x.ceil()),
    Case("Round", Round(), X, wide, torch=lambda x: x.round()),
)
