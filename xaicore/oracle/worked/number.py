"""A worked number of a tool that is no attribution method: what is computed, what comes out, and how one gets there by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Number:
    """``run()`` is ``expected`` (nested lists of numbers) to rounding, or to ``tolerance`` where a search stops before its end."""

    run: Callable[[], Any]
    expected: Any
    by_hand: str
    tolerance: float = 1e-9
