"""LRP through products of a gate and a signal, as LSTM and GRU cells and squeeze-and-excitation blocks have them.

A gate is a factor that came through a sigmoid. Four conventions, chosen by name: "signal" (LRP-all) sends everything to the
signal, "half", "proportional" and "absolute" share it. Products without a gate, or of two, follow attention.py. A gate beside a
constant is no product of two: it is the only variable and takes all, as in 3 sigmoid(x), and as the reset gate of a GRU does in the
first step, where its signal is the recurrent bias.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from xaicore.errors import InputError
from xaicore.graph.graph import Node
from xaicore.numerics import Array, divide, scalar, unbroadcast
from xaicore.ops import Add, HardSigmoid, Mul, Neg, Sigmoid, Sub
from xaicore.rules.ruleset import Parts, Row, Rule
from xaicore.rules.select import Selector, View
from xaicore.trace import Step

GATES = (Sigmoid, HardSigmoid)
Share = Callable[[Array, Array], tuple[Array, Array]]
"""(gate, signal) -> the shares of R that they get."""


def came_through_a_sigmoid(name: str, view: View) -> bool:
    """Is the value a sigmoid's, perhaps moved, negated, or with a constant added, as in 1 - z?"""
    while name in view.nodes:
        node = view.nodes[name]
        if isinstance(node.op, GATES):
            return True
        signals = [i for i, on in zip(node.inputs, view.active[name]) if on]
        if len(signals) != 1 or not (node.op.routes or isinstance(node.op, (Neg, Add, Sub))):
            return False
        name = signals[0]
    return False


def gated(k: int) -> Selector:
    """Products of two active values of which input ``k`` alone is a gate."""
    def test(node: Node, view: View) -> bool:
        if not isinstance(node.op, Mul) or not all(view.active[node.name]):
            return False
        found = [came_through_a_sigmoid(i, view) for i in node.inputs]
        return found[k] and sum(found) == 1

    return Selector(f"gated({'left' if k == 0 else 'right'})", test)


# ----- the shares -------------------------------------------------------------------------------------------------


def _signal(gate: Array, signal: Array) -> tuple[Array, Array]:
    return gate * scalar(0, gate), signal * scalar(0, signal) + scalar(1, signal)


def _half(gate: Array, signal: Array) -> tuple[Array, Array]:
    half = scalar(1, gate) / scalar(2, gate)
    return gate * scalar(0, gate) + half, signal * scalar(0, signal) + half


def _proportional(gate: Array, signal: Array) -> tuple[Array, Array]:
    return divide(gate, gate + signal), divide(signal, gate + signal)


def _absolute(gate: Array, signal: Array) -> tuple[Array, Array]:
    return _proportional(np.abs(gate), np.abs(signal))


SHARES: Mapping[str, Share] = {"signal": _signal, "half": _half, "proportional": _proportional, "absolute": _absolute}


def gate_rule(gates: str, k: int) -> Rule:
    """y = g s with the gate g at input ``k``: R_g and R_s by the convention's name.

    "signal"        R_g = 0, R_s = R                              LRP-all, "signal-take-all"
    "half"          R_g = R_s = R / 2                             LRP-half
    "proportional"  R_g = g R / (g + s), R_s = s R / (g + s)      LRP-prop; g + s = 0 absorbs
    "absolute"      the same with |g| and |s|                     LRP-abs; g = s = 0 absorbs
    r (N, ...) -> the shapes of g and s; along axes where a factor is broadcast its relevance is summed.
    Source: arras2017 ("signal"), arras2019 (all four, compared). Same as: the authors' LRP_for_LSTM ("signal").

    >>> from xaicore.rules.example import product
    >>> product(gate_rule("signal", 0), 0.5, 3, relevance=7)
    [0.0, 7.0]
    >>> product(gate_rule("proportional", 0), 0.5, 3, relevance=7)
    [1.0, 6.0]
    """
    if gates not in SHARES:
        raise InputError(f"gates={gates!r} does not exist; there are " + ", ".join(map(repr, SHARES)) + " (Arras et al. 2019)")
    share = SHARES[gates]

    def apply(step: Step, r: Array) -> Parts:
        gate, signal = step.xs if k == 0 else step.xs[::-1]
        pair = share(gate, signal) if k == 0 else share(gate, signal)[::-1]
        return tuple(unbroadcast(r * part, x.shape) for part, x in zip(pair, step.xs))

    return Rule(f"gates({gates})", apply, "arras2017" if gates == "signal" else "arras2019")


def gate_rows(gates: str) -> tuple[Row, ...]:
    """The rows of a relevance rule set for products with a gate, by the name of the convention."""
    return (gated(0), gate_rule(gates, 0)), (gated(1), gate_rule(gates, 1))
