"""A world in which every value of a graph, every input and every signal is read-only: whoever writes into one is caught."""

from __future__ import annotations

from typing import Any

import numpy as np

import xaicore.graph.run
import xaicore.methods.task
from xaicore.rules.ruleset import Pair, Rule

run_within, check_feeds, call = xaicore.graph.run.run_within, xaicore.graph.run.check_feeds, Rule.__call__


def frozen(x: Any) -> Any:
    """The same thing, its arrays read-only."""
    if isinstance(x, Pair):
        return Pair(frozen(x.plus), frozen(x.minus))
    if isinstance(x, np.ndarray):
        x.flags.writeable = False
    return x


def freeze(patch: Any) -> None:
    """Makes operators, rules and methods run on read-only arrays, until pytest's monkeypatch is undone."""
    def node(*args: Any) -> np.ndarray:
        return frozen(run_within(*args))

    def feeds(*args: Any) -> dict[str, np.ndarray]:
        return {k: frozen(v.copy()) for k, v in check_feeds(*args).items()}

    def rule(self: Rule, step: Any, signal: Any) -> Any:
        return call(self, step, frozen(signal))

    patch.setattr(xaicore.graph.run, "run_within", node)
    patch.setattr(xaicore.methods.task, "check_feeds", feeds)
    patch.setattr(Rule, "__call__", rule)
