"""Sanity checks that bring a theorem to a model: slopes that complete maps do not tell, other paths, absent curvature, other definitions.

Each takes a subject and a seed and gives (figure, whether it passes, what the figure is). Small cases in rationals:
``tests/identities/test_impossibility.py``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, XaicoreError
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.passes import extend, prune
from xaicore.methods.table import METHODS
from xaicore.metrics.removal import keeping, of_players, players, starts
from xaicore.metrics.robustness import joined
from xaicore.metrics.statistics import cosine
from xaicore.metrics.subject import Subject, subject
from xaicore.numerics import Array
from xaicore.ops import Add, Dense, Flatten, ReLU
from xaicore.oracle.axes import AXES

ALIKE = 0.9
"""The correlation or cosine above which two maps count as one picture: chosen, not derived."""
HEARD = 0.1
"""The share of its answer to a change of slope and value that a map must give to the slope alone to tell it: chosen, not derived."""


# ----- asking a method again ----------------------------------------------------------------------------------------------


def mean(values: Array) -> float:
    """Of what is a number; Inapplicable where nothing is."""
    known = values[~np.isnan(values)]
    if not len(known):
        raise Inapplicable("the maps that are compared do not vary")
    return float(known.mean())


def method_of(s: Subject) -> str:
    """The id of the method; Inapplicable for functions."""
    run = getattr(s.ask, "keywords", None)
    if run is None:
        raise Inapplicable("a function has no settings that could be varied; give a method's id")
    return str(run["method"])


def options_of(s: Subject) -> Mapping[str, Any]:
    """The settings that were given with the id."""
    method_of(s)
    return dict(getattr(s.ask, "keywords", {})["options"])


def again_with(s: Subject, **settings: Any) -> Array:
    """The map of the same method id with other settings; Inapplicable for functions."""
    method, options = method_of(s), options_of(s)
    return subject(s.graph, s.task.feeds, method, s.target, **{**options, **settings}).positions()


def _start(s: Subject) -> Mapping[str, Array]:
    """The baseline that the method was given, or zeros."""
    given = options_of(s).get("baseline", 0) if getattr(s.ask, "keywords", None) is not None else 0
    return starts(s.task, given)


# ----- N12: what complete maps do not tell ----------------------------------------------------------------------------------


def slope(s: Subject, seed: int) -> tuple[float, bool, str]:
    """Functions are added to f, on the first sample: 1, 1 + h(t) and 1 + t, with t = 0 at the baseline and 1 at x.

    h(t) = 2 relu(t - 3/4) - relu(t - 1/2) has the slope of t at x, but is 0 at both ends, so that integrated gradients and DeepLIFT give it
    nothing: two models with one map, of which the one may rise where the other falls (N12, S14). The 1 keeps LRP from dividing by
    h = 0. Figure: ‖map(f + 1 + h) - map(f + 1)‖₁ / ‖map(f + 1 + t) - map(f + 1)‖₁, all times the size of f: 1 for the gradient, and for
    LRP-0, which is gradient * input; 0 for a map that does not tell the slope.
    """
    graph, target = _explained(s)
    feeds = {k: v[:1] for k, v in s.task.feeds.items()}
    first = Subject(s.label, graph, replace(s.task, graph=graph, feeds=feeds, weights=target, trace=None),
                    target, {k: v[:1] for k, v in s.values.items()}, s.ask)
    size = _size(s)
    plain, bent, straight = (joined(first.again(graph=g), first)
                             for g in (_with(graph, s, size, "none"), _with(graph, s, size, "bent"), _with(graph, s, size, "straight")))
    whole = float(np.abs(straight - plain).sum())
    if not whole > 1e-9 * float(np.abs(plain).sum()):
        raise Inapplicable("the map does not see a function of the input that goes around its layer")
    figure = float(np.abs(bent - plain).sum()) / whole
    return figure, figure > HEARD, ("what is left of the change of the map (first sample) when the slope at x changes, but f(x) and "
                                    "f(baseline) do not")


def _explained(s: Subject) -> tuple[Graph, Array]:
    """The graph up to the explained value, and the first sample's weights on it."""
    task = s.task
    if task.output != "logit" or callable(s.target):
        raise Inapplicable("a function is added to the logits of a fixed target; the explained value is another one")
    if np.asarray(task.weights).ndim != 2 or task.weights.dtype.kind != "f":
        raise Inapplicable(f"a function is added to an output (N, K) of floats, and the explained value has shape {task.weights.shape} of "
                           f"{task.weights.dtype}")
    return prune(replace(task.graph, outputs=(task.value,)), [task.value]), task.weights[:1]


def _size(s: Subject) -> float:
    """How much is added: the size of f(x) or of what f changes from the baseline to x, whichever is larger."""
    f = float(np.asarray(s.task.result, dtype=float)[0])
    at = float(np.asarray(s.task.at(_start(s), np.arange(s.size)), dtype=float)[0])
    return max(abs(f), abs(f - at)) or 1.0


def _with(graph: Graph, s: Subject, size: float, how: str) -> Graph:
    """f + size (1 + h(t)), f + size (1 + t) or f + size, t = Σ (x - x0) (z - x0) / |x - x0|² over the explained inputs, first sample."""
    start = _start(s)
    away = {k: np.asarray(s.task.feeds[k][0] - start[k][0], dtype=float).reshape(-1) for k in s.values}
    square = sum(float(d @ d) for d in away.values())
    if not square:
        raise Inapplicable("the input is its baseline")
    weights = np.asarray(s.task.weights[0], dtype=float)

    def build(b: Builder) -> str:
        parts = []
        for k, d in away.items():
            flat = b.add(Flatten(), k) if s.task.feeds[k].ndim > 1 else k
            offset = -float(d @ np.asarray(start[k][0], dtype=float).reshape(-1)) / square
            parts.append(b.add(Dense(), flat, b.constant(d[None] / square, f"along/{k}"), b.constant(np.array([offset]), f"from/{k}")))
        t = parts[0]
        for other in parts[1:]:
            t = b.add(Add(), t, other)
        way = size * weights / float(weights @ weights)
        one = b.constant(way, "one")
        if how == "bent":
            two = b.add(ReLU(), b.add(Dense(), t, b.constant(np.ones((2, 1)), "both"), b.constant(np.array([-0.5, -0.75]), "kinks")))
            return b.add(Add(), graph.outputs[0], b.add(Dense(), two, b.constant(way[:, None] * np.array([[-1.0, 2.0]]), "into"), one))
        share = 1.0 if how == "straight" else 0.0
        return b.add(Add(), graph.outputs[0], b.add(Dense(), t, b.constant(share * way[:, None], "into"), one))

    made, last = extend(graph, build)
    return prune(replace(made, outputs=(last,)), [last])


# ----- N13: what completeness leaves open ------------------------------------------------------------------------------------


def path(s: Subject, seed: int) -> tuple[float, bool, str]:
    """A complete map beside two others: parts of the input put in one after the other, from the first and from the last (N13, E51, E52)."""
    start = _start(s)
    f, total = np.asarray(s.task.result, dtype=float), joined(s.values, s).sum(axis=1)
    change = f - np.asarray(s.task.at(start, np.arange(s.size)), dtype=float)
    size = np.maximum(np.abs(f), np.abs(change))                        # as the check "sum" has it
    gap = float((np.abs(total - change) / np.where(size > 0, size, 1)).max())
    if gap > 1e-2:
        raise Inapplicable(f"this is about complete maps, and Σ map misses f(x) - f(baseline) by {gap:.2g} of f")
    g = players(s, None, start)
    if g.count < 2:
        raise Inapplicable("the input has one part, so there is one path")
    own, found = of_players(s, g), []
    for order in (np.arange(g.count), np.arange(g.count)[::-1]):
        there = keeping(g, np.broadcast_to(order, (s.size, g.count)), np.arange(g.count + 1))
        a = np.empty_like(own)
        a[:, order] = np.diff(there, axis=1)
        found.append(mean(cosine(own, a)))
    figure = min(found)
    return figure, figure > ALIKE, f"smaller cosine, over {g.count} parts, with the maps that put them in from the first or from the last"


# ----- N18: curvature that is not there ----------------------------------------------------------------------------------------


SECOND: Mapping[str, tuple[str, Any, Any]] = MappingProxyType({"ace": ("order", 2, 1), "global_saliency": ("level", "second", "first")})
"""Methods that take second derivatives: the setting, its value with them, its value without."""


def curvature(s: Subject, seed: int) -> tuple[float, bool, str]:
    """The map with second derivatives beside the one without: a network of ReLUs has none almost everywhere (N18)."""
    method = method_of(s)
    if method not in SECOND:
        raise Inapplicable(f"the method takes no second derivatives; {' and '.join(SECOND)} do")
    setting, there, without = SECOND[method]
    options = options_of(s)
    if options.get(setting, METHODS[method].settings[setting]) != there:
        raise Inapplicable(f"{setting}={options[setting]!r} takes no second derivatives; {setting}={there!r} does")
    if method == "ace" and options.get("background") is None:
        raise Inapplicable("without samples there is no covariance that second derivatives could meet; give background=, samples of the "
                           "inputs")
    first, second = again_with(s, **{setting: without}), s.positions()
    figure = float(np.abs(second - first).sum() / max(float(np.abs(first).sum()), 1e-300))
    words = "change of the map by its second-order term"
    if figure <= 1e-3:                                                  # central differences in float32 leave some 1e-4 of the map
        words += ": f has no curvature, as with ReLUs, or the same everywhere; ask for output='probability', or a smooth model"
    return figure, figure > 1e-3, words


# ----- N19: one name, several definitions --------------------------------------------------------------------------------------


NAMED = ("variant", "reduce", "multiply", "bias", "weights", "score", "overlap", "kernel", "endpoints", "stabilizer")
"""Settings that say which of several published definitions is meant; what says how exactly one is computed is not among them."""
OTHERS: Mapping[str, tuple[str, str]] = MappingProxyType({
    "smoothgrad": ("smoothgrad_squared", "smoothgrad_squared, which one library has as its SmoothGrad"),
    "smoothgrad_squared": ("smoothgrad", "smoothgrad, whose name one library gives to it")})


def definition(s: Subject, seed: int) -> tuple[float, bool, str]:
    """The smallest cosine with a map that another paper or library has under the same name (N19)."""
    found = list(_definitions(s))
    if not found:
        raise Inapplicable("one definition has this name, as far as the table of conventions knows")
    figure, words = min(found)
    return figure, figure > ALIKE, f"smallest of {len(found)} cosines with other definitions of that name, with {words}"


def _definitions(s: Subject) -> Iterator[tuple[float, str]]:
    method, options, own = method_of(s), options_of(s), s.positions()

    def beside(a: Array, words: str) -> Iterator[tuple[float, str]]:
        figures = cosine(own, a)
        if not np.isnan(figures).all():
            yield mean(figures), words

    if method == "vog":                                                 # the name says variance, the formula has its root
        yield from beside(own**2, "the variance itself")
    if method in OTHERS:
        other, words = OTHERS[method]
        shared = {k: v for k, v in options.items() if k in METHODS[other].settings or k == "output"}
        yield from beside(subject(s.graph, s.task.feeds, other, s.target, **shared).positions(), words)
    known = {**dict(METHODS[method].settings), **options}
    for setting, values in AXES.get(method, {}).items():
        if setting not in NAMED:
            continue
        for value in values:
            if value == known.get(setting):
                continue
            try:
                a = again_with(s, **{setting: value})
            except XaicoreError:
                continue                                                # a definition that this model or another setting rules out
            yield from beside(a, f"{setting}={value!r}")


__all__ = ["ALIKE", "again_with", "curvature", "definition", "mean", "method_of", "options_of", "path", "slope"]
