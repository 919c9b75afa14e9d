"""Cases of comparisons, Boolean operators and casts."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError
from xaicore.ops import Compare, Logical, Not, ToBool, ToFloat, ToInt

from .case import Case, binary, index, normal

X = ((3, 2, 4),)
PAIR = ((3, 2, 4), (2, 1))
coarse = index(3)

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
    Case("ToBool", ToBool(), X, coarse, torch=lambda x: x.bool()),
    Case("ToInt", ToInt(), X, normal, torch=lambda x: x.long(), errors=(
        ((np.array([np.nan]),), InputError, "ToInt: the input is nan"), ((np.array([1e30]),), InputError, "within int64"),
    )),
    Case("ToFloat", ToFloat(), X, normal, torch=lambda x: x),
    Case("ToFloat-int", ToFloat(), X, coarse, torch=lambda x: x.double()),
    Case("ToFloat-bool", ToFloat(), X, binary, torch=lambda x: x.double()),
)
