"""What follows from a parameter alone, kept beside it: transformed weights, parts by sign. Numbers never depend on what is kept.

A parameter of a graph is a read-only array of its own, so that its identity names its numbers. What was made of it goes when it goes.
What comes first stays, what no longer fits is made anew at each call.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Hashable
from threading import RLock

from xaicore.numerics import Array

BUDGET = 3 << 26
"""Bytes that a shelf keeps at most, of all parameters together."""


class Kept:
    """Arrays by the array that they follow from and the name of what was made of it."""

    def __init__(self) -> None:
        self.bytes = 0
        self.found: dict[int, dict[Hashable, Array]] = {}
        self.lock = RLock()                                             # a parameter may go, and be counted out, in any thread

    def of(self, source: Array, what: Hashable, make: Callable[[Array], Array], within: int = BUDGET) -> Array:
        """``kept``."""
        known = self.found.get(id(source), {}).get(what)
        if known is not None:
            return known
        made = make(source)
        if _alone(source) and made is not source and made.base is None:
            with self.lock:
                if self.bytes + made.nbytes <= within:
                    self._keep(source, what, made)
        return made

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
            self.bytes -= sum(v.nbytes for v in self.found.pop(key).values())


def _alone(x: Array) -> bool:
    """Is x an array of numbers that nobody writes to, nor to what lies under it?"""
    return not x.flags.writeable and x.base is None and x.dtype != object


KEPT, TRANSFORMED = Kept(), Kept()
"""The shelves of this process: what every speed may keep, and what the fast one keeps besides."""


def kept(source: Array, what: Hashable, make: Callable[[Array], Array], within: int = BUDGET) -> Array:
    """``make(source)``, remembered while ``source`` lives where it is a parameter and all that is kept stays ``within`` so many bytes.

    ``what`` names what is made; ``make`` gives a new array. Read-only where it is remembered.
    """
    return KEPT.of(source, what, make, within)
