"""Worked examples: for every method numbers that someone can follow with a pencil, with the arithmetic in words.

A file holds the examples of one family as ``EXAMPLES``; ``WORKED`` collects them by method. ``tests/oracle/test_worked.py`` runs them
all; rule cards and certified vectors are made from them.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from types import MappingProxyType

from xaicore.oracle.worked import (
    answers,
    composites,
    contrast,
    games,
    gradients,
    lifting,
    lines,
    lrp,
    maps,
    masks,
    nodes,
    occlusion,
    references,
)
from xaicore.oracle.worked.example import Worked

_ALL: tuple[Worked, ...] = tuple(chain(
    gradients.EXAMPLES, lrp.EXAMPLES, composites.EXAMPLES, references.EXAMPLES, lifting.EXAMPLES, contrast.EXAMPLES,
    lines.EXAMPLES, nodes.EXAMPLES, occlusion.EXAMPLES, games.EXAMPLES, maps.EXAMPLES, masks.EXAMPLES,
    answers.EXAMPLES,
))

WORKED: Mapping[str, tuple[Worked, ...]] = MappingProxyType(
    {id: tuple(w for w in _ALL if w.method == id) for id in dict.fromkeys(w.method for w in _ALL)})

__all__ = ["WORKED", "Worked"]
