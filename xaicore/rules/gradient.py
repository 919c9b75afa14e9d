"""The gradient as a rule set: every node's own vector-Jacobian product."""

from __future__ import annotations

from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import anything
from xaicore.trace import Signal, Step


def _vjp(step: Step, g: Signal) -> Parts:
    return step.vjp(g)


vjp = Rule("vjp", _vjp)
"""g_i = Σ_j g_j ∂y_j/∂x_i."""


_GRADIENT = RuleSet("gradient", "cotangent", ((anything, vjp),), source="simonyan2013").known_as("gradient")


def gradient() -> RuleSet:
    """∂f/∂x. ReLU'(0) = 0; ties in a maximum go to the first. Source: simonyan2013."""
    return _GRADIENT
