"""What the card of an operator says beyond its docstring: the idea, an example of about four numbers, when it misleads.

The example is written as someone works it out: an expression for every entry of y, and for every entry of the cotangent of the first
input that a signal may pass to, given the cotangent ``g`` of y (1 everywhere where nothing is said).
``tests/oracle/test_operator_cards.py`` evaluates the expressions and compares them with what the operator says, so that two did the sum.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.numerics import Array
from xaicore.ops import Op


@dataclass(frozen=True)
class Told:
    """One operator: ``inputs`` by name; ``y``, ``back``: expressions, one for each entry, separated by ";" ("" where nothing flows)."""

    op: Op
    inputs: Mapping[str, Any]
    y: str
    back: str
    idea: str
    misleads: str
    g: str = ""

    def arrays(self) -> tuple[Array, ...]:
        """The inputs as arrays: float64, but for booleans and what is given as an array already."""
        return tuple(v if isinstance(v, np.ndarray) else np.array(v, dtype=bool if _true_or_false(v) else float)
                     for v in self.inputs.values())


def _true_or_false(v: Any) -> bool:
    return isinstance(v, bool) if not isinstance(v, list) else bool(v) and _true_or_false(v[0])


NAMES = {**{k: getattr(math, k) for k in ("exp", "log", "sqrt", "tanh", "erf", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh",
                                          "asinh", "acosh", "atanh", "floor", "ceil", "pi", "log1p", "expm1")},
         "max": max, "min": min, "abs": abs, "round": round}
"""What an expression may name."""


def value(expression: str) -> float:
    """The number that an expression of this file is.

    >>> value("max(-1, 0) + 2*3")
    6.0
    """
    return float(eval(expression, {"__builtins__": {}}, NAMES))
