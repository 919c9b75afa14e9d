"""What a second implementation of a tool is that is no attribution method: representations, objectives, presets."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True)
class Second:
    """Two ways to the same numbers.

    how        in words, what the second does that the first does not
    problem    rng -> arguments, small enough for loops
    first      arguments -> numbers, by the tool itself;  second: by loops, closed forms or brute force, sharing no code with it
    tolerance  of max |numbers|; one that is not rounding has its origin in a comment beside it
    """

    how: str
    problem: Callable[[np.random.Generator], tuple[Any, ...]]
    first: Callable[..., Any]
    second: Callable[..., Any]
    tolerance: float = 1e-9
