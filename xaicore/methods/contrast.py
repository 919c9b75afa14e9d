"""Relevance that speaks for one class against the others, or for chosen units alone: CLRP, SGLRP, contrastive excitation, concepts."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName, nearest
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.propagate import propagate
from xaicore.methods.task import Task
from xaicore.numerics import Array, divide, positive, scalar
from xaicore.ops import Softmax
from xaicore.rules import RULE_SETS
from xaicore.rules.excitation import excitation_backprop as excitation_rules
from xaicore.rules.ruleset import Parts, Rule, RuleSet, total
from xaicore.rules.select import last, weighted
from xaicore.trace import Signal, Step

Base = str | RuleSet
DUALS = ("negated", "uniform", "scores")


def base_rules(base: Base) -> RuleSet:
    """The relevance rule set that a method is built on: an id of RULE_SETS with its defaults, or a RuleSet of the user's own."""
    carrying = [k for k in RULE_SETS if k.startswith("lrp.") or k == "deep_taylor"]
    if isinstance(base, RuleSet):
        rules = base
    elif base in RULE_SETS:
        rules = RULE_SETS[base]()
    else:
        raise UnknownName(f"base={base!r} is no rule set: {nearest(str(base), carrying)}")
    if rules.carrier != "relevance":
        raise InputError(f"base: {rules.name} carries no relevance but a {rules.carrier}; choose one of {', '.join(carrying)}, or a "
                         f"RuleSet")
    return rules


# ----- two passes made one ----------------------------------------------------------------------------------------


def combined(a: Attribution, b: Attribution, method: str, f: Callable[[Array, Array], Array], **settings: Any) -> Attribution:
    """``f`` of two attributions of the same inputs, at the inputs and at every layer that both have; no ledger of its own."""
    assert isinstance(a.layers, Layers)
    kept = {k: f(v, b.layers[k]) for k, v in a.layers.items() if k in b.layers}
    return replace(a, values={k: f(v, b.values[k]) for k, v in a.values.items()}, layers=Layers(a.layers.graph, kept), ledger=None,
                   method=method, settings={**a.settings, **settings})


def per_sample(factor: Array, x: Array) -> Array:
    """``factor`` (N,) times x (N, ...)."""
    return np.asarray(factor.reshape(-1, *(1,) * (x.ndim - 1)) * x)


def one_class(task: Task, method: str) -> Array:
    """The explained value (N, C) of a task that explains one class of several for each sample."""
    assert task.trace is not None
    z = task.trace[task.value]
    one_hot = ((task.weights == 0) | (task.weights == 1)).all() and (total(task.weights) == 1).all()
    if z.ndim != 2 or z.shape[1] < 2 or not one_hot:
        given = "a function" if callable(task.target) else f"{task.target!r:.40}"
        raise Inapplicable(f"{method} sets one class against the others, so it needs an output (N, C) with two classes at least and the "
                           f"index of a class as target; {task.value!r} has shape {z.shape}, the target is {given}")
    return z


def negated(rule: Rule) -> Rule:
    """``rule`` of the dual neuron, whose weights are those of the neuron negated; its bias stays."""
    def apply(step: Step, r: Signal) -> Parts:
        op = step.node.op
        kernels = op.weights(step.active)
        if not kernels:
            raise Inapplicable(f"node {step.node.name!r}: {op} has no weights to negate")
        xs = tuple(-x if k in kernels else x for k, x in enumerate(step.xs))
        return rule(step._replace(xs=xs, y=op.forward(*xs)), r)

    return Rule(f"{rule.label} of -w", apply, rule.source)


def dual_rules(rules: RuleSet) -> RuleSet:
    """The rule set with the weights of the last layer negated."""
    top = last(weighted)
    return replace(rules, rules=(*((top & selector, negated(rule)) for selector, rule in rules.rules), *rules.rules))


# ----- the methods ------------------------------------------------------------------------------------------------


def clrp(task: Task, base: Base = "lrp.z_plus", dual: str = "negated", relu: bool = True) -> Attribution:
    """max(0, R - R_dual), R_dual rescaled to Σ R: what speaks for the class and not for its dual.

    base   the rule set of both passes: an id, or a RuleSet (with z-box at the input as in the paper:
           RULE_SETS["lrp.z_box"](low, high, hidden="z_plus"))
    dual   "negated": the last layer's weights of the class, negated (CLRP2); "uniform": every other class starts with the same
           relevance (CLRP1); "scores": every other class starts with |its score|, as the authors' script has it
    relu   False leaves the signed difference, whose sum is 0 where the base conserves (W20)
    A dual without relevance (Σ R_dual = 0) subtracts nothing. Values in the shape of the inputs. Raises Inapplicable for a target that is
    not one class of several, InputError for a base that carries no relevance. Source: gu2018. Differs: no library has it, and the
    authors' script has dual="scores".

    >>> from xaicore.graph import Builder
    >>> from xaicore.ops import Dense
    >>> b = Builder()
    >>> graph = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[3, 1], [1, 3]])))
    >>> from xaicore.methods.explain import explain
    >>> np.asarray(explain(graph, [[2, 1]], "clrp", target=0, dual="uniform")).round(6).tolist()
    [[3.2, 0.0]]
    """
    if dual not in DUALS:
        raise InputError(f"dual={dual!r} does not exist; there are " + ", ".join(map(repr, DUALS)))
    z, rules = one_class(task, "clrp"), base_rules(base)
    a = propagate(task, rules, "clrp")
    others = scalar(1, z) - task.weights
    starts = {"negated": task.weights * z, "uniform": others * per_sample(total(task.weights * z), others), "scores": others * np.abs(z)}
    b = propagate(task, dual_rules(rules) if dual == "negated" else rules, "clrp", seed=starts[dual])
    factor = divide(a.total(), b.total())

    def contrast(r: Array, r_dual: Array) -> Array:
        difference = r - per_sample(factor, r_dual)
        return positive(difference) if relu else difference

    return combined(a, b, "clrp", contrast, base=rules.name, dual=dual, relu=relu)


def softmax_gradient(z: Array, weights: Array) -> Array:
    """∂p_t/∂z_n = p_t (1 - p_t) for n = t and -p_t p_n for the others: (N, C), rows that sum to 0."""
    p = Softmax(-1).forward(z)
    return Softmax(-1).vjp(0, weights, p, z)


def sglrp(task: Task, base: Base = "lrp.z_plus", rescale: bool = False, relu: bool = False) -> Attribution:
    """R from the softmax gradient: R_t = p_t (1 - p_t) at the class, R_n = -p_t p_n at every other class, then the rules of ``base``.

    rescale  the negative part is scaled to the mass of the positive one at the input; relu: max(0, ·). Both off as in the paper, where
             the starts sum to 0 already (W19).
    It is not the gradient of p_t times x: that starts from z_n ∂p_t/∂z_n (W18). Values in the shape of the inputs. Raises Inapplicable
    for a target that is not one class of several, ExactnessError in exact mode, InputError for a base that carries no relevance. Source:
    iwana2019. No library has it.
    """
    z, rules = one_class(task, "sglrp"), base_rules(base)
    if z.dtype == object:
        raise ExactnessError("sglrp starts from a softmax, which is not rational; use graph.astype('float64')")
    start = softmax_gradient(z, task.weights)
    none = scalar(0, z)
    a = propagate(task, rules, "sglrp", seed=np.where(task.weights != 0, start, none))
    b = propagate(task, rules, "sglrp", seed=np.where(task.weights != 0, none, start))
    factor = divide(a.total(), -b.total()) if rescale else np.ones(len(z), z.dtype)

    def together(r: Array, r_others: Array) -> Array:
        both = r + per_sample(factor, r_others)
        return positive(both) if relu else both

    return combined(a, b, "sglrp", together, base=rules.name, rescale=rescale, relu=relu)


def excitation_backprop(task: Task, contrastive: bool = False) -> Attribution:
    """P_i = Σ_j x_i w_ij+ P_j / Σ_i x_i w_ij+ from P = 1 at the class; with ``contrastive`` minus the same from the dual class.

    The dual class has the negated weights of the last layer; the difference is signed and sums to 0 where both conserve.
    Meant for networks whose activations are >= 0; then it is z+ without bias divided by f(x) (W13). In attention the weights are
    constants and the values take all, at a gate the signal does, at other products either factor. Values in the shape of the inputs,
    which sum to 1 where all is conserved. Raises UncoveredNode for an operator without a row. Source: zhang2016, sections 3 (marginal
    winning probability) and 3.3 (contrastive attention). Differs: the authors stop at an inner layer, which layer= gives here.
    """
    rules = excitation_rules()
    a = propagate(task, rules, "excitation_backprop")
    if not contrastive:
        return replace(a, settings={"contrastive": False})
    b = propagate(task, dual_rules(rules), "excitation_backprop")
    return combined(a, b, "excitation_backprop", lambda p, p_dual: p - p_dual, contrastive=True)


# ----- relevance through chosen units -------------------------------------------------------------------------------


def concept_relevance(
    task: Task, layer: str | None = None, units: int | Sequence[int] = 0, base: Base = "lrp.epsilon_plus",
) -> Attribution:
    """R of the input that passes the chosen units of a layer: the relevance of these units, carried on to the input by itself.

    layer  the inner value; default: the output of the last layer before the explained value that has weights
    units  one channel (axis 1) or several
    What goes around the layer (a skip connection) is not part of it. Since the rules are linear in R, the maps of all units sum up to all
    that passes the layer, which is the whole map where nothing goes around. ``extras["passed"]`` (N,) is the relevance of the chosen
    units. Values in the shape of the inputs. Raises UnknownName for a layer, InputError for units that
    it has not. A unit stands for a concept that its most relevant inputs show. Source: achtibat2023. Differs: zennit-crp masks the
    relevance of the layer's output, so that what goes around it reaches the input whatever the units.
    """
    rules = base_rules(base)
    assert task.trace is not None
    graph = task.prepared(rules)
    name = _inner(task) if layer is None else graph.find(layer)
    if name not in {n.name for n in graph.nodes} or not task.trace.carries(name):
        raise Inapplicable(f"concept_relevance conditions on an inner layer, and {layer!r} is an input or depends on none; choose a layer "
                           f"between them")
    value = task.trace[name]
    chosen = _units(units, value, name)
    whole = propagate(replace(task, keep=[name]), rules, "concept_relevance")
    if name not in whole.layers:
        raise Inapplicable(f"no relevance arrives at layer {name!r}, which lies beside the way to {task.value!r}; choose another")
    mask = value * scalar(0, value)
    mask[:, chosen] = scalar(1, value)
    passed = mask * whole.layers[name]
    plan = rules.plan(graph, task.wrt, task.value)
    a = propagate(replace(task, value=name, weights=mask), rules, "concept_relevance", seed=passed, plan=plan)
    return replace(a, output=task.result, explained=task.words, extras={"passed": total(passed)},
                   settings={**a.settings, "layer": name, "units": tuple(chosen), "base": rules.name})


def _inner(task: Task) -> str:
    """The last value with weights before the layer that makes the explained value."""
    assert task.trace is not None
    heavy = [n.name for n in task.graph.nodes if n.op.weights(task.trace.active[n.name]) and n.name != task.value]
    if not heavy:
        raise Inapplicable(f"concept_relevance conditions on an inner layer, and none with weights lies before {task.value!r}; name one "
                           f"with layer=, or use a relevance method such as lrp.epsilon")
    return heavy[-1]


def _units(units: int | Sequence[int], value: Array, name: str) -> list[int]:
    if value.ndim < 2:
        raise Inapplicable(f"layer {name!r} has shape {value.shape} and so no units on axis 1")
    chosen: Collection[Any] = [units] if isinstance(units, (int, np.integer)) and not isinstance(units, bool) else list(units) \
        if isinstance(units, (list, tuple, np.ndarray)) else []
    count = value.shape[1]
    if not chosen or any(isinstance(u, bool) or not isinstance(u, (int, np.integer)) or not 0 <= u < count for u in chosen):
        raise InputError(f"units={units!r}: layer {name!r} has {count} units on axis 1; give one of 0 to {count - 1}, or a list of them")
    return sorted({int(u) for u in chosen})
