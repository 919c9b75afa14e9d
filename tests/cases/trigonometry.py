"""Cases of the tangent, and of inverse and hyperbolic functions."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError
from xaicore.ops import Acos, Acosh, Asin, Asinh, Atan, Atanh, Cosh, Sinh, Tan

from .case import Case, normal, positive

X = ((3, 2, 5),)


def inside(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """In [-3/4, 3/4], where the slopes of the inverse functions stay below 3."""
    return (2 * rng.integers(-48, 48, shape) + 1) / 128


CASES = (
    Case("Tan", Tan(), X, inside, torch=lambda x: x.tan()),
    Case("Asin", Asin(), X, inside, torch=lambda x: x.asin(), errors=(((np.array([1.5]),), InputError, "-1 <= x <= 1 is expected"),)),
    Case("Acos", Acos(), X, inside, torch=lambda x: x.acos(), errors=(((np.array([-1.5]),), InputError, "Acos: the input is -1.5"),)),
    Case("Atan", Atan(), X, normal, torch=lambda x: x.atan()),
    Case("Sinh", Sinh(), X, normal, torch=lambda x: x.sinh(), errors=(((np.array([1e4]),), InputError, "exceeds the largest float64"),)),
    Case("Cosh", Cosh(), X, normal, torch=lambda x: x.cosh(), errors=(((np.array([-1e4]),), InputError, "exceeds the largest float64"),)),
    Case("Asinh", Asinh(), X, normal, torch=lambda x: x.asinh()),
    Case("Acosh", Acosh(), X, lambda rng, shape: 1 + positive(rng, shape), torch=lambda x: x.acosh(),
         errors=(((np.array([0.5]),), InputError, "Acosh: the input is 0.5"),)),
    Case("Atanh", Atanh(), X, inside, torch=lambda x: x.atanh(), errors=(((np.array([0.0, 1.0]),), InputError, "-1 < x < 1"),)),
)
