"""Conservation, node by node: the ledger says what a node kept, and here it is asked whether it had to keep it.

A rule divides by a neuron's denominator, and where that is zero there is nothing to divide by: such a neuron keeps its
relevance by definition. What a node kept beyond that is lost.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.methods.attribution import Attribution, Layers
from xaicore.numerics import Array, negative, positive, scalar
from xaicore.ops import AvgPool, GroupNorm, InstanceNorm, LayerNorm, LogSoftmax, MaxPool, Op, Softmax
from xaicore.oracle.tolerance import largest, tolerance
from xaicore.rules import RULE_SETS
from xaicore.rules.linear import Affine, ones, square
from xaicore.rules.ruleset import Rule, RuleSet, total
from xaicore.trace import Entry, Step, forward

NOT_CONSERVING: tuple[type[Op], ...] = (Softmax, LogSoftmax)
"""Operators whose LRP rules keep relevance by their own formula: a Taylor expansion of the softmax."""


def unexplained(a: Attribution, method: str) -> tuple[float, float, str]:
    """(largest loss without a reason, tolerance, where) for an attribution with a ledger and all signals kept.

    Raises Inapplicable when relevance was lost, but only where the rule's own definition keeps it.
    """
    assert a.ledger is not None
    assert isinstance(a.layers, Layers)
    limit = tolerance(a.graph, a.output, *a.values.values(), *a.layers.values())
    leaks = [e for e in a.ledger if largest(e.absorbed) > limit]
    if not leaks:
        worst = max(((largest(e.absorbed), e.node.name) for e in a.ledger), default=(0.0, "-"))
        return worst[0], limit, f"largest leak at node {worst[1]!r}"
    rules = _rules(method, a.settings)
    if rules is None or rules.carrier != "relevance":                   # DeepLIFT divides by differences, and loses nothing at 0
        return max((largest(e.absorbed), limit, f"largest leak at node {e.node.name!r}") for e in leaks)
    trace = forward(a.layers.graph, a.feeds, wrt=[k for k in a.values if k in a.feeds] or None)
    plan = rules.plan(trace.graph, trace.wrt)
    found, reasons = [], []
    for e in leaks:
        lost, reason = _lost(trace.step(e.node), plan.rule(e.node), e, a.layers, a.settings)
        found.append((lost, limit, f"largest leak at node {e.node.name!r}"))
        reasons.append((largest(e.absorbed), reason))
    worst_loss = max(found)
    if worst_loss[0] > limit:
        return worst_loss
    raise Inapplicable(max(reasons)[1])


def _rules(method: str, settings: Mapping[str, Any]) -> RuleSet | None:
    build = RULE_SETS.get(method)
    return None if build is None else build(**{k: settings[k] for k in inspect.signature(build).parameters if k in settings})


def _lost(step: Step, rule: Rule, entry: Entry, layers: Layers, settings: Mapping[str, Any]) -> tuple[float, str]:
    """What the node lost without a reason, and the reason for the rest."""
    name, amount = entry.node.name, largest(entry.absorbed)
    if isinstance(entry.node.op, NOT_CONSERVING):
        kind = type(entry.node.op).__name__
        return 0.0, f"node {name!r} keeps {amount:.3g}: the rule {rule.label} of {kind} does not conserve by its own formula"
    r = layers[name]
    idle = without_denominator(step, rule, settings) & (r != 0)
    if not idle.any():
        return amount, ""
    theirs = np.where(idle, r, scalar(0, r))
    kept = total(theirs) - sum(total(part) for part in rule(step, theirs) if part is not None)
    return largest(entry.absorbed - kept), (f"node {name!r} keeps {amount:.3g}, all of it at {int(idle.sum())} neurons to which no "
                                           f"explained input contributes, or none of one sign: {rule.label} has nothing to share by")


def without_denominator(step: Step, rule: Rule, settings: Mapping[str, Any]) -> Array:
    """Where the denominator of a rule is zero, biases left out; for alpha-beta, where one of its two is.

    Written from the papers' denominators and not from the rules' code: by the contributions of each sign, by the squares of
    the weights, by the distance from the box.
    """
    if isinstance(step.node.op, MaxPool):                               # only shares by value divide there
        o = step.node.op
        return np.asarray(AvgPool(o.kernel, o.stride, o.dilation, o.pads, o.ceil).forward(step.xs[0]) == 0)
    if isinstance(step.node.op, (LayerNorm, GroupNorm, InstanceNorm)):  # β left out, as a bias
        return np.asarray(step.node.op.forward(*step.xs[:2]) == 0)
    if not step.node.op.affine(step.active):
        return np.asarray(step.y == 0)
    a = Affine(step)
    if rule.label.startswith(("w_square", "flat")):
        return np.asarray(a.apply(a.actives(ones), square) == 0)
    if rule.label.startswith("z_box"):
        above = a.actives(lambda x: x - _bound(settings["low"], x))
        below = a.actives(lambda x: x - _bound(settings["high"], x))
        return np.asarray(a.apply(above, positive) + a.apply(below, negative) == 0)
    if rule.label.startswith(("z_plus", "alpha_beta")):
        empty = a.apply(a.actives(positive), positive) + a.apply(a.actives(negative), negative) == 0
        if rule.label.startswith("alpha_beta") and not rule.label.startswith("alpha_beta(1,"):
            empty = empty | (a.apply(a.actives(positive), negative) + a.apply(a.actives(negative), positive) == 0)
        return np.asarray(empty)
    return np.asarray(a.apply() == 0)


def _bound(value: Any, x: Array) -> Array:
    return np.asarray(np.vectorize(lambda v: scalar(v, x), otypes=[x.dtype])(np.asarray(value)))
