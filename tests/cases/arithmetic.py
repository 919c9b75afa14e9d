"""Cases of the functions of two arrays, with each sensible choice of active inputs and with broadcasting."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import Add, Div, Maximum, Minimum, Mul, Sub, Where

from .case import Case, Domain, binary, distinct, nonzero, normal

BOTH = (True, True)
SECOND = (False, True)


def interleaved(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Odd multiples of 1/256 between those of ``distinct``: no entry of one meets an entry of the other."""
    return distinct(rng, shape) + 1 / 256


CHOICE: tuple[Domain, ...] = (distinct, interleaved)
MIXED = (((3, 4), (5,)), ShapeError, "do not broadcast")


def pick(cond: Any, a: Any, b: Any) -> Any:
    return cond * a + ~cond * b


CASES = (
    Case("Add", Add(), ((3, 2, 4), (3, 2, 4)), active=BOTH, torch=lambda a, b: a + b, errors=(MIXED,)),
    Case("Add-broadcast", Add(), ((3, 2, 4), (3, 1, 4)), active=BOTH, torch=lambda a, b: a + b),
    Case("Add-bias", Add(), ((3, 2, 4), (2, 1)), torch=lambda a, b: a + b),
    Case("Add-scalar", Add(), ((3, 4), ()), torch=lambda a, b: a + b),
    Case("Add-second", Add(), ((4,), (3, 4)), active=SECOND, torch=lambda a, b: a + b),
    Case("Sub", Sub(), ((3, 2, 4), (3, 1, 4)), active=BOTH, torch=lambda a, b: a - b, errors=(MIXED,)),
    Case("Sub-bias", Sub(), ((3, 4), (4,)), torch=lambda a, b: a - b),
    Case("Sub-second", Sub(), ((1,), (3, 4)), active=SECOND, torch=lambda a, b: a - b),
    Case("Mul", Mul(), ((3, 2, 4), (3, 2, 1)), active=BOTH, torch=lambda a, b: a * b, errors=(MIXED,)),
    Case("Mul-weight", Mul(), ((3, 2, 4), (2, 1)), torch=lambda a, b: a * b),
    Case("Mul-second", Mul(), ((), (3, 4)), active=SECOND, torch=lambda a, b: a * b),
    Case("Div", Div(), ((3, 2, 4), (3, 1, 4)), (normal, nonzero), BOTH, lambda a, b: a / b, errors=(
        MIXED, ((np.ones((1, 2)), np.array([[2.0, 0.0]])), InputError, "Div: the input is 0.0 at index (0, 1)"),
    )),
    Case("Div-constant", Div(), ((3, 4), (4,)), (normal, nonzero), torch=lambda a, b: a / b),
    Case("Div-second", Div(), ((4,), (3, 4)), (normal, nonzero), SECOND, lambda a, b: a / b),
    Case("Maximum", Maximum(), ((3, 2, 4), (3, 2, 4)), CHOICE, BOTH, lambda a, b: a.maximum(b), errors=(MIXED,)),
    Case("Maximum-broadcast", Maximum(), ((3, 2, 4), (2, 1)), CHOICE, torch=lambda a, b: a.maximum(b)),
    Case("Minimum", Minimum(), ((3, 2, 4), (3, 2, 4)), CHOICE, BOTH, lambda a, b: a.minimum(b), errors=(MIXED,)),
    Case("Minimum-second", Minimum(), ((4,), (3, 4)), CHOICE, SECOND, lambda a, b: a.minimum(b)),
    Case("Where", Where(), ((4,), (3, 4), (3, 1)), (binary, normal, normal), (False, True, True), pick, errors=(
        (((3, 4), (3, 4), (3, 4)), InputError, "ToBool"),
        ((np.ones((2, 3), bool), (2, 3), (2, 4)), ShapeError, "do not broadcast"),
    )),
    Case("Where-batched", Where(), ((3, 4), (3, 4), ()), (binary, normal, normal), (False, True, False), pick,
         batched=(True, True, False)),
    Case("Where-first", Where(), ((2, 4), (3, 2, 4), ()), (binary, normal, normal), (False, True, False), pick),
    Case("Where-second", Where(), ((1, 4), (4,), (3, 4)), (binary, normal, normal), (False, False, True), pick),
)
