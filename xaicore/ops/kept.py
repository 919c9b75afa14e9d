"""What follows from a parameter alone, kept beside it: transformed weights, parts by sign. Numbers never depend on what is kept.

A parameter of a graph is a read-only array of its own, so that its identity names its numbers. What was made of it goes when it goes.
What comes first stays, what no longer fits is made anew at each call.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from threading import RLock

from xaicore.numerics import Array

BUDGET = FAST_BUDGET = 1 << 28
"""Bytes that are kept at most, of all parameters together: by the exact speed, and by the fast one, whose weights take up to four times as
much room."""


class Kept:
    """Arrays by the array that they follow from and the name of what was made of it."""

    def __init__(self, budget: int) -> None:
        self.budget, self.bytes = budget, 0
        self.found: dict[int, dict[Hashable, Array]] = {}
        self.lock = RLock()                                             # a parameter may go, and be counted out, in any thread

    def of(self, source: Array, what: Hashable, make: Callable[[Array], Array]) -> Array:
        """``kept``."""
        known = self.found.get(id(source), {}).get(what)
        if known is not None:
            return known
        made = make(source)
        if _alone(source) and made is not source and made.base is None:
            with self.lock:
                if self.bytes + made.nbytes <= self.budget:
                    self._keep(source, what, made)
        return made

    def holds(self, source: Array, what: Hashable, share: float) -> bool:
        """Is this kept, or would it be, as many bytes as ``source`` has, within this share of the budget?"""
        known = what in self.found.get(id(source), {})
        return known or (_alone(source) and self.bytes + source.nbytes <= share * self.budget)

    def _keep(self, source: Array, what: Hashable, made: Array) -> None:
        if id(source) not in self.found:
            self.found[id(source)] = {}
            weakref.finalize(source, self._gone, id(source)).atexit = False
        if what not in self.found[id(source)]:                          # another thread may have been faster
            made.flags.writeable = False
            self.found[id(source)][what] = made
            self.bytes += made.nbytes

    def _gone(self, key: int) -> None:
        with self.lock:
            gone = self.found.pop(key)
            self.bytes -= sum(v.nbytes for v in gone.values())          # what was made of these in turn goes after this, with ``gone``


def _alone(source: Array) -> bool:
    """Is it an array that nobody writes to and that stands for itself, as a parameter does?"""
    return not source.flags.writeable and source.base is None and source.dtype != object


EXACT, FAST = Kept(BUDGET), Kept(FAST_BUDGET)
"""The two of this process."""


def kept(source: Array, what: Hashable, make: Callable[[Array], Array], fast: bool = False) -> Array:
    """``make(source)``, remembered while ``source`` lives where it is a parameter and the budget of its speed has room.

    ``what`` names what is made; ``make`` gives a new array. Read-only where it is remembered.
    """
    return (FAST if fast else EXACT).of(source, what, make)


def holds(source: Array, what: Hashable, share: float = 1) -> bool:
    """Would ``kept(source, what, ...)`` remember what it makes, of about the size of ``source``, within this share of the exact budget?"""
    return EXACT.holds(source, what, share)
