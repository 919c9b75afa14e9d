"""One backward pass with one rule set: gradients, deconvnet, guided backpropagation, LRP, deep Taylor, DeepLIFT are this call."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName, nearest
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.task import Task
from xaicore.numerics import Array, difference, filled, product
from xaicore.rules.gradient import gradient as gradient_rules
from xaicore.rules.guided import guided_backprop
from xaicore.rules.patterns import Patterns, fit_patterns, pattern_rules
from xaicore.rules.ruleset import Pair, Plan, RuleSet, sign_parts
from xaicore.trace import Ledger, Signal, Signals, Trace, backward, beside, forward

Reduce = Literal["none", "abs", "max_abs", "sum_abs", "l2"]


@dataclass(frozen=True, eq=False)
class Passage:
    """One backward pass with all that it was made of: the values, the rule of each node, the signal at each value that was kept."""

    rules: RuleSet
    trace: Trace
    plan: Plan
    signals: Signals
    seed: Array
    baseline: Mapping[str, Array] | None = None

    def read(self, name: str, signal: Signal) -> Array:
        """A signal at a value as the result has it: multipliers times the difference from the baseline, everything else as it is."""
        return _read(self.rules, self.trace, name, signal, False)


def pass_back(
    task: Task, rules: RuleSet, method: str, baseline: Any = None, seed: Array | None = None, plan: Plan | None = None,
    kept: Callable[[Task, Trace], Sequence[str]] | None = None, books: bool = True,
) -> Passage:
    """The backward pass of a rule set from the explained value; settings as in ``propagate``; ``kept`` names values (default: all)."""
    if rules.carrier == "relevance" and task.output != "logit" and task.head is not None:
        raise Inapplicable(f"{method}: LRP starts at a logit, and a softmax head would take the relevance of every class apart; "
                           f"use output='logit' (the default), which explains the value before {task.head}")
    start = task.baseline(baseline) if rules.carrier == "multiplier" else None
    trace = rules.note(task.traced(rules) if start is None else beside(task.traced(rules), start))
    graph = trace.graph
    if seed is None:
        seed = task.weights * trace[task.value] if rules.carrier == "relevance" else task.weights
    plan = rules.plan(trace.graph, trace.wrt, task.value) if plan is None else plan
    names = [n.name for n in graph.nodes] if kept is None else kept(task, trace)
    signals = backward(trace, plan, {task.value: seed}, names, books)
    return Passage(rules, trace, plan, signals, seed, start)


def propagate(
    task: Task, rules: RuleSet, method: str, baseline: Any = None, multiply: bool = False, seed: Array | None = None,
    plan: Plan | None = None,
) -> Attribution:
    """The attribution of a rule set: its signal at the inputs, read out as its carrier says.

    carrier "cotangent": seed 1, read out as it is (or times x with ``multiply``); "relevance": seed f(x), read out as it
    is; "probability": seed 1, read out as it is; "multiplier": seed 1, read out times (x - baseline). ``seed`` replaces the seed,
    ``plan`` the rule set's plan for what lies before the explained value.
    """
    passage = pass_back(task, rules, method, baseline, seed, plan, _kept, books=task.keep != "inputs")
    trace, signals, start = passage.trace, passage.signals, passage.baseline
    found = _each_its_own({k: _read(rules, trace, k, s, multiply) for k, s in signals.values.items()})
    return Attribution(
        values={k: found[k] if k in found else trace[k] * 0 for k in task.wrt},
        output=task.scores(trace[task.value]), method=method, graph=task.graph, feeds=task.feeds, target=task.target,
        settings=dict(rules.settings), explained=task.words, baseline=start,
        baseline_output=None if trace.ref is None else task.scores(trace.ref[task.value]),
        layers=Layers(trace.graph, {k: v for k, v in found.items() if k not in task.wrt}),
        ledger=signals.ledger if task.keep != "inputs" else _books_later(passage, task.value))


def _books_later(passage: Passage, value: str) -> Ledger:
    """The ledger of a passage whose inner values nobody asked for: the passage is taken again when somebody looks into it.

    What it is made of is the inputs, copied, so that neither the values inside nor a caller's writing live on in it.
    """
    rules, plan, seed, graph, wrt = passage.rules, passage.plan, passage.seed, passage.trace.graph, passage.trace.wrt
    feeds = {k: passage.trace[k].copy() for k in graph.inputs}
    there = None if passage.baseline is None else {k: v.copy() for k, v in passage.baseline.items()}

    def again() -> Ledger:
        trace = rules.note(forward(graph, feeds, there, wrt))
        return backward(trace, plan, {value: seed}).ledger

    return Ledger.later(again)


STARTS: Mapping[str, Callable[[Array, Array], Array]] = {
    "value": lambda weights, y: weights * y,
    "one": lambda weights, y: weights,
    "all": lambda weights, y: y,
    "ones": lambda weights, y: filled(y.shape, 1, y),
}
"""name -> (the target's weights, the outputs) -> the relevance that starts."""


def seed_of(task: Task, start: str) -> Array | None:
    """The relevance that starts at the outputs y, by name: "value" f(x) at the target (the papers; captum, innvestigate); "one" 1 there
    (zennit with a one-hot vector); "all" every output its own value (zennit by default, DeepExplain); "ones" 1 at every output."""
    assert task.trace is not None
    if start not in STARTS:
        raise UnknownName(f"start={start!r} does not exist: {nearest(str(start), STARTS)}")
    return None if start == "value" else STARTS[start](task.weights, task.trace[task.value])


def _each_its_own(signals: Mapping[str, Array]) -> dict[str, Array]:
    """The same arrays, none of which shares memory: a rule that passes a signal on unchanged makes one array for two values."""
    owners: dict[int, Array] = {}
    out = {}
    for name, v in signals.items():
        owner = v
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        out[name] = v.copy() if id(owner) in owners else v
        owners[id(owner)] = owner
    return out


def _kept(task: Task, trace: Trace) -> Sequence[str]:
    if task.keep == "all":
        return [n.name for n in trace.graph.nodes]
    if task.keep == "inputs":
        return ()
    wanted = [task.keep] if isinstance(task.keep, str) else list(task.keep)
    return [trace.graph.find(name) for name in wanted]


def _read(rules: RuleSet, trace: Trace, name: str, signal: Signal, multiply: bool) -> Array:
    if rules.carrier == "multiplier":
        assert trace.ref is not None
        delta = difference(trace[name], trace.ref[name])
        if isinstance(signal, Pair):
            parts = trace.notes.get(name) or sign_parts(delta)
            return np.asarray(signal.plus * parts.plus + signal.minus * parts.minus)
        return np.asarray(signal * delta)
    return product(signal, trace[name]) if multiply else np.asarray(signal)


# ----- the gradient and what is made of it --------------------------------------------------------------------------


def gradient(task: Task) -> Attribution:
    """∂f/∂x, entry by entry.

    Values in the shape of the inputs; ``layers`` holds ∂f/∂h at inner values. ReLU'(0) = 0; ties in a maximum go to the first. Raises
    Unsupported where f does not depend on an input that is explained. Source: simonyan2013. Same as: captum, tf-explain, xplique and every
    framework's own derivative, up to ties and kinks.
    """
    return propagate(task, gradient_rules(), "gradient")


def gradient_x_input(task: Task) -> Attribution:
    """x ⊙ ∂f/∂x. Equals LRP-0 on piecewise-linear networks (W1).

    Values in the shape of the inputs, no settings. Its sum is f(x) where f is linear without offset, and elsewhere what the offset of the
    affine piece leaves. Raises Unsupported where f does not depend on an input. Source: shrikumar2017 (as the method compared with). Same
    as: captum InputXGradient, innvestigate InputTimesGradient.
    """
    return propagate(task, gradient_rules(), "gradient_x_input", multiply=True)


def reduced(a: Attribution, reduce: Reduce, method: str) -> Attribution:
    """The attribution with its signs and, for images, its channels (axis 1) reduced.

    "abs" |g| in the input's shape; "max_abs" the largest, "sum_abs" the sum, "l2" the Euclidean norm over channels,
    which keep axis 1 with one entry; on inputs without spatial axes these are |g| itself. "none" leaves g.
    """
    ways: Mapping[str, Callable[[Array], Any]] = {
        "none": lambda g: g, "abs": abs, "max_abs": lambda g: abs(g).max(axis=1, keepdims=True),
        "sum_abs": lambda g: abs(g).sum(axis=1, keepdims=True), "l2": lambda g: np.sqrt((g * g).sum(axis=1, keepdims=True)),
    }
    if not isinstance(reduce, str) or reduce not in ways:
        raise InputError(f"reduce={reduce!r} does not exist; there are " + ", ".join(map(repr, ways)))
    if reduce == "l2" and a.graph.dtype == "exact":
        raise ExactnessError("reduce='l2' has a square root, so it is not rational; use reduce='sum_abs' or graph.astype('float64')")

    def one(name: str, g: Array) -> Array:
        if reduce in ("none", "abs") or g.ndim < 3:
            return np.asarray(g if reduce == "none" else abs(g))
        if channels_last(a.graph.meta, name):
            return np.moveaxis(np.asarray(ways[reduce](np.moveaxis(g, -1, 1))), 1, -1)
        return np.asarray(ways[reduce](g))

    return replace(a, values={k: one(k, v) for k, v in a.values.items()}, method=method, settings={**a.settings, "reduce": reduce},
                   layers=Layers(a.layers.graph, {k: np.asarray(v if reduce == "none" else abs(v)) for k, v in a.layers.items()})
                   if isinstance(a.layers, Layers) else a.layers)


def channels_last(meta: Mapping[str, str], name: str) -> bool:
    """Does the user feed this input with its channels on the last axis?"""
    return meta.get(f"layout.{name}", "").endswith("C")


def saliency(task: Task, reduce: Reduce = "abs") -> Attribution:
    """|∂f/∂x|, or over colour channels the maximum of it (reduce="max_abs"), the sum, the norm.

    reduce   "abs"; "max_abs", "sum_abs", "l2" over the channels of an image; "none"

    Values in the shape of the inputs, one channel where it is reduced over. Raises InputError for a reduction that does not exist,
    ExactnessError for "l2" in exact mode. Source: simonyan2013, whose colour maps take max_abs. Same as: captum Saliency (abs). Differs:
    PAIR sums over channels.
    """
    return reduced(propagate(task, gradient_rules(), "saliency"), reduce, "saliency")


def guided_saliency(task: Task, reduce: Reduce = "max_abs") -> Attribution:
    """The saliency reduction of guided backpropagation: max over channels of |guided|. Not Guided IG, not Guided Grad-CAM.

    Values in the shape of the inputs, one channel where ``reduce`` is over them (settings as for saliency, and it raises what that does).
    Source: the name is keras-vis' (backprop_modifier="guided"); springenberg2014 for the backward pass. Same as: keras-vis
    visualize_saliency with that modifier, up to its scaling to [0, 1]; no other library has the name.
    """
    return reduced(propagate(task, guided_backprop(), "guided_saliency"), reduce, "guided_saliency")


def simple_taylor(task: Task, root: Any = 0) -> Attribution:
    """R_i = ∂f/∂x_i(x~) (x_i - x~_i) at a root point x~ (f(x~) = 0 makes it complete to first order).

    root  a number, one sample or a batch, as a baseline is

    Values in the shape of the inputs. Raises ShapeError for a root that does not fit. Exact for affine f at any root. Source: bach2015,
    Taylor-type decomposition; montavon2017. Differs: lrp_toolbox and innvestigate leave the search for a root to the user, too, and have
    no such method; gradient_x_input is its root 0.
    """
    at = task.baseline(root, "root")
    rows = np.arange(task.size)
    grads, values = task.gradients({k: at[k] for k in task.wrt}, rows)
    parts = {k: grads[k] * (task.feeds[k] - at[k]) for k in task.wrt}
    return Attribution(parts, task.result, "simple_taylor", task.graph, task.feeds, task.target, {"root": root}, task.words, at, values)


# ----- through patterns ---------------------------------------------------------------------------------------------


def patternnet(task: Task, background: Any = None, estimator: str = "relu", patterns: Patterns | None = None) -> Attribution:
    """s_i = Σ_j a_ij s_j from f(x) down: the signal in the input that the network responds to.

    background  training samples (B, *S), from which the patterns are fitted with ``estimator``, "relu" or "linear"
    patterns    in place of both, what xaicore.rules.patterns.fit_patterns made once for many calls
    Values in the shape of the inputs. Raises Inapplicable without background or patterns, or for a network whose layers they do not fit.
    Patterns are data of the network, so there is no default. Source: kindermans2018. Same as: innvestigate 1.0 without its projection
    of the output to ±1.
    """
    found = _fitted(task, background, estimator, patterns, "patternnet")
    return propagate(task, pattern_rules("patternnet", found, False), "patternnet")


def pattern_attribution(task: Task, background: Any = None, estimator: str = "relu", patterns: Patterns | None = None) -> Attribution:
    """R_i = Σ_j w_ij a_ij R_j from f(x) down: what each part of the signal contributes. Complete for linear networks without bias.

    Settings, shapes and errors as for patternnet: raises Inapplicable without patterns. Source: kindermans2018. Same as: innvestigate 1.0.
    """
    found = _fitted(task, background, estimator, patterns, "pattern_attribution")
    return propagate(task, pattern_rules("pattern_attribution", found, True), "pattern_attribution")


def _fitted(task: Task, background: Any, estimator: str, patterns: Any, method: str) -> Patterns:
    if isinstance(patterns, Patterns) and background is None:
        return patterns
    if patterns is not None or background is None:
        raise Inapplicable(f"{method} needs the patterns of this network, which come from data: give background=training samples, or "
                           f"patterns=fit_patterns(graph, samples) from xaicore.rules.patterns")
    given = background if isinstance(background, Mapping) else {task.wrt[0]: background}
    return fit_patterns(task.graph, {k: given.get(k, v) for k, v in task.feeds.items()}, estimator)
