"""Worked examples: for every method numbers that someone can follow with a pencil, with the arithmetic in words.

A file holds the examples of one family; ``WORKED`` collects them by method. ``tests/oracle/test_worked.py`` runs them all; rule cards
and certified vectors are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xaicore.oracle.worked.example import Worked

WORKED: Mapping[str, tuple[Worked, ...]] = MappingProxyType({})

__all__ = ["WORKED", "Worked"]
