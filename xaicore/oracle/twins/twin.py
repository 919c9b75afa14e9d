"""What a second implementation of a whole method is: how it computes, and the problems on which it is asked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.numerics import Array


@dataclass(frozen=True, eq=False)
class Problem:
    """One question that a method and its twin both answer: ``explain(graph, x, method, target=target, **settings)``."""

    graph: Graph
    x: Any
    target: Any = 0
    settings: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Twin:
    """A second implementation of one method.

    how        in words, what the twin does that the method does not: "a loop over all 2^M coalitions"
    run        problem -> the attribution, in the shape of the method's own (input name -> array for several inputs). It may evaluate
               the graph (``graph(x)``) and read its parameters; it calls no rule, no vjp and no method.
    problem    rng -> a problem, at random within the twin's preconditions, small enough for the twin
    tolerance  of max |values|; None: that of dtype and depth. Another one needs its origin in a comment beside it.
    """

    how: str
    run: Callable[[Problem], Array | Mapping[str, Array]]
    problem: Callable[[np.random.Generator], Problem]
    tolerance: float | None = None
