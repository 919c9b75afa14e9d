"""Cases of comparisons, Boolean operators and casts."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError
from xaicore.ops import BitShift, Bitwise, BitwiseNot, Compare, IsInf, IsNaN, Logical, Not, ToBool, ToFloat, ToInt

from .case import Case, binary, index, normal

X = ((3, 2, 4),)
PAIR = ((3, 2, 4), (2, 1))
coarse = index(3)


def bits(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Both signs, twelve bits."""
    return rng.integers(-(2**11), 2**11, shape)


CASES = (
    Case("Compare-eq", Compare("eq"), PAIR, coarse, torch=lambda a, b: a == b),
    Case("Compare-ne", Compare("ne"), PAIR, coarse, torch=lambda a, b: a != b),
    Case("Compare-lt", Compare("lt"), PAIR, normal, torch=lambda a, b: a < b),
    Case("Compare-le", Compare("le"), PAIR, coarse, torch=lambda a, b: a <= b),
    Case("Compare-gt", Compare("gt"), PAIR, normal, torch=lambda a, b: a > b),
    Case("Compare-ge", Compare("ge"), PAIR, coarse, torch=lambda a, b: a >= b),
    Case("Logical-and", Logical("and"), PAIR, binary, torch=lambda a, b: a.logical_and(b)),
    Case("Logical-or", Logical("or"), PAIR, coarse, torch=lambda a, b: a.logical_or(b)),
    Case("Logical-xor", Logical("xor"), PAIR, coarse, torch=lambda a, b: a.logical_xor(b)),
    Case("Not", Not(), X, binary, torch=lambda x: x.logical_not()),
    Case("IsNaN", IsNaN(), X, normal, torch=lambda x: x.isnan()),
    Case("IsInf", IsInf(), X, normal, torch=lambda x: x.isinf()),
    Case("IsInf-positive", IsInf(negative=False), X, normal, torch=lambda x: x.isposinf()),
    Case("IsInf-negative", IsInf(positive=False), X, normal, torch=lambda x: x.isneginf()),
    Case("Bitwise-and", Bitwise("and"), PAIR, bits, torch=lambda a, b: a & b, errors=((((3, 2), (2,)), InputError, "but integers are expected"),)),
    Case("Bitwise-or", Bitwise("or"), PAIR, bits, torch=lambda a, b: a | b),
    Case("Bitwise-xor", Bitwise("xor"), PAIR, bits, torch=lambda a, b: a ^ b),
    Case("BitwiseNot", BitwiseNot(), X, bits, torch=lambda x: ~x),
    Case("BitShift-left", BitShift("left"), PAIR, (bits, index(9)), torch=lambda a, b: a << b, errors=(
        ((np.array([1]), np.array([64])), InputError, "the number of places is 64 at index (0,); 0 to 63 places are expected for int64"),
    )),
    Case("BitShift-right", BitShift("right"), PAIR, (bits, index(9)), torch=lambda a, b: a >> b),
    Case("ToBool", ToBool(), X, coarse, torch=lambda x: x.bool()),
    Case("ToInt", ToInt(), X, normal, torch=lambda x: x.long(), errors=(
        ((np.array([np.nan]),), InputError, "ToInt: the input is nan"), ((np.array([1e30]),), InputError, "within int64"),
    )),
    Case("ToFloat", ToFloat(), X, normal, torch=lambda x: x),
    Case("ToFloat-int", ToFloat(), X, coarse, torch=lambda x: x.double()),
    Case("ToFloat-bool", ToFloat(), X, binary, torch=lambda x: x.double()),
)
