"""What a worked example is: a network small enough for paper, the settings, the numbers, and how one gets to them by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from xaicore.graph.graph import Graph


@dataclass(frozen=True)
class Worked:
    """``explain(graph(), x, method, target=target, **settings)`` is ``expected``.

    name      of the example within its method: lower case with hyphens, never changed again
    graph     builds the network, float64; a few numbers, whole or simple fractions
    x         the input as nested lists; input name -> lists where there are several
    expected  nested lists of int, Fraction or float; input name -> lists where there are several. Where all are int or Fraction and
              ``exact`` is true, the example also runs in exact mode and is met with ==.
    by_hand   the arithmetic, for a reader with a pencil: "z = 3·1 - 1·1 = 2; R_1 = 3/2 · 2 = 3; ..."
    source    key and equation of the paper, as in rules/sources.py: "bach2015 eq. 58"
    extras    name -> expected, of ``Attribution.extras``, where the number of interest stands there
    """

    method: str
    name: str
    graph: Callable[[], Graph]
    x: Any
    expected: Any
    by_hand: str
    source: str
    target: Any = 0
    settings: Mapping[str, Any] = field(default_factory=dict)
    extras: Mapping[str, Any] = field(default_factory=dict)
    exact: bool = False
