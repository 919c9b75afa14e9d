"""What an objective is: a sum of measures of layers (or of the image itself), each a number for every sample, with its gradient.

An objective is data. It knows no network until ``Measured`` binds it to one; the gradient at the image is then one backward pass of the
engine with a seed at every layer that is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.graph import Graph
from xaicore.graph.passes import extend, prune, without_head
from xaicore.graph.run import check_feeds
from xaicore.methods.propagate import channels_last
from xaicore.numerics import Array
from xaicore.ops import LogSoftmax, Softmax
from xaicore.rules.gradient import gradient
from xaicore.trace import backward, forward

Measure: TypeAlias = Callable[[Array], tuple[Array, Array]]
"""value (N, *K) -> (a number for each sample (N,), ∂ of their sum / ∂ value, in its shape)."""

IMAGE = "<image>"
OUTPUT = "<output>"
PROBABILITY = "<probability>"
"""Layers that every network has: the image that is made, before any transformation; the logits; the probabilities."""


@dataclass(frozen=True)
class Term:
    """One measure of one layer, times a weight."""

    layer: str
    measure: Measure = field(repr=False)
    words: str
    weight: float = 1.0

    def __str__(self) -> str:
        return self.words if self.weight == 1 else f"{self.weight:g} · {self.words}"


@dataclass(frozen=True)
class Objective:
    """A sum of terms, to be made large. ``a + b``, ``a - b``, ``2 * a``, ``-a`` are objectives, too."""

    terms: tuple[Term, ...]

    def __add__(self, other: Objective) -> Objective:
        return Objective((*self.terms, *other.terms))

    def __mul__(self, factor: float) -> Objective:
        if isinstance(factor, bool) or not isinstance(factor, (int, float, np.number)) or not np.isfinite(factor):
            raise InputError(f"an objective is multiplied by a finite number, not by {factor!r:.40}")
        return Objective(tuple(replace(t, weight=t.weight * float(factor)) for t in self.terms))

    __rmul__ = __mul__

    def __neg__(self) -> Objective:
        return self * -1

    def __sub__(self, other: Objective) -> Objective:
        return self + -other

    def __str__(self) -> str:
        return " + ".join(map(str, self.terms)).replace("+ -", "- ")


@dataclass(frozen=True, eq=False)
class Measured:
    """An objective of one network: ``at(images)`` gives the numbers and the gradient.

    graph   ends at the measured layers;  input the name of the image;  values layer name -> value of the graph
    """

    graph: Graph
    objective: Objective
    input: str
    values: Mapping[str, str]
    others: Mapping[str, Array] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int | None, ...]:
        """What the network takes: (C, H, W) for images, (F,) for a table; None where any size goes."""
        shape = self.graph.inputs[self.input].shape[1:]
        return (shape[-1], *shape[:-1]) if self.last else tuple(shape)

    @property
    def last(self) -> bool:
        """Does the network take its channels on the last axis?"""
        return channels_last(self.graph.meta, self.input)

    def at(self, seen: Array, image: Array | None = None) -> tuple[Array, Array, Array | None]:
        """(scores (N,), ∂Σ/∂seen, ∂Σ/∂image or None): ``seen`` is what the network gets, ``image`` what image terms measure.

        Without ``image`` both are one, and the whole gradient is the second.
        """
        scores = np.zeros(len(seen))
        feed = np.moveaxis(seen, 1, -1) if self.last else seen
        feeds = check_feeds(self.graph, {self.input: feed, **{k: np.repeat(v[:1], len(seen), axis=0) for k, v in self.others.items()}})
        back = np.zeros_like(seen, dtype=float)
        inner = [t for t in self.objective.terms if t.layer != IMAGE]
        if inner:
            trace = forward(self.graph, feeds, wrt=(self.input,))
            seeds: dict[str, Array] = {}
            for term in inner:
                name = self.values[term.layer]
                s, g = term.measure(np.asarray(trace[name], dtype=float))
                scores = scores + term.weight * s
                g = (term.weight * g).astype(trace[name].dtype)
                seeds[name] = seeds[name] + g if name in seeds else g
            signals = backward(trace, gradient().plan(self.graph, (self.input,)), seeds)
            g = signals.values[self.input] if self.input in signals.values else feeds[self.input] * 0
            back = np.asarray(np.moveaxis(g, -1, 1) if self.last else g, dtype=float)
        on_image = None
        for term in self.objective.terms:
            if term.layer == IMAGE:
                s, g = term.measure(seen if image is None else image)
                scores = scores + term.weight * s
                on_image = term.weight * g + (0 if on_image is None else on_image)
        if image is None and on_image is not None:
            return scores, back + on_image, None
        return scores, back, on_image


def bind(graph: Graph, objective: Objective, input: str | None = None, feeds: Any = None) -> Measured:
    """The objective of this network. Names of layers are looked up, a softmax head is looked through.

    input   the image among several inputs; the others are taken from ``feeds``, one sample each
    Raises UnknownName, with the nearest names, for a layer that does not exist; Inapplicable for one that does not depend on the
    image; InputError for exact mode, or where an input is missing.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"a Graph is expected, not {type(graph).__name__}: graph = xaicore.from_model(model, example_inputs), or "
                         f"xaicore.load(file)")
    if not isinstance(objective, Objective):
        raise InputError(f"an objective is expected, not {objective!r:.40}: for example channel('conv1', 3), from xaicore.visualize")
    if graph.dtype == "exact":
        raise InputError("images are made by a search in floating point; use graph.astype('float64')")
    images = [input] if input is not None else list(graph.float_inputs)
    if len(images) != 1 or images[0] not in graph.float_inputs:
        raise InputError(f"one floating input is the image that is made; name it with input=, among {', '.join(graph.float_inputs)}")
    others = {k: np.asarray(v) for k, v in dict(feeds or {}).items() if k != images[0]}
    missing = [k for k in graph.inputs if k != images[0] and k not in others]
    if missing:
        raise InputError(f"the network also reads {missing[0]!r}; give its value with feeds={{{missing[0]!r}: array}}, one sample")
    grown, values = graph, {}
    for layer in dict.fromkeys(t.layer for t in objective.terms):
        if layer == IMAGE:
            continue
        grown, values[layer] = _value(grown, layer)
    if not values:
        return Measured(graph, objective, images[0], {}, others)
    small = prune(grown, list(dict.fromkeys(values.values())))
    reached = {images[0]}
    for node in small.nodes:
        if any(i in reached and not node.op.blocks(k) for k, i in enumerate(node.inputs)):
            reached.add(node.name)
    for layer, value in values.items():
        if value not in reached:
            raise Inapplicable(f"layer {layer!r} does not depend on input {images[0]!r}, so no image changes it")
    return Measured(small, objective, images[0], values, others)


def _value(graph: Graph, layer: str) -> tuple[Graph, str]:
    """The graph, extended where the layer is a scale of the output, and the name of the value."""
    if layer not in (OUTPUT, PROBABILITY):
        return graph, graph.find(layer)
    if len(graph.outputs) > 1:
        raise InputError(f"the network has {len(graph.outputs)} outputs ({', '.join(graph.outputs)}); give layer= with the objective")
    logits, head = without_head(graph, graph.outputs[0])
    if layer == OUTPUT:
        return graph, logits
    if head == "Softmax":
        return graph, graph.outputs[0]
    axis = next((n.op.axis for n in graph.nodes if logits in n.inputs and isinstance(n.op, LogSoftmax)), -1)
    outputs = graph.outputs
    grown, value = extend(graph, lambda b: b.add(Softmax(axis), logits, name="probability_of_class"))
    return replace(grown, outputs=outputs), value
