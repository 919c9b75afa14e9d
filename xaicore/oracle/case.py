"""One method on one graph and input, with everything that an axiom needs to run it again on something else."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.graph.graph import Graph
from xaicore.graph.run import check_feeds
from xaicore.methods.attribution import Attribution
from xaicore.methods.explain import explain, from_layer
from xaicore.methods.table import METHODS
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array
from xaicore.oracle.tolerance import tolerance

SETS = ("background", "concept", "random")
"""Settings that hold samples of their own, which are none of the batch."""


@dataclass(frozen=True, eq=False)
class Case:
    """One method on one graph and input; ``a`` is the attribution that the axioms are about.

    ``target`` is a weight for every sample and output entry (``of`` makes it so), or a callable; ``run`` is what explains,
    with the arguments of ``explain``.
    """

    graph: Graph
    feeds: Mapping[str, Array]
    method: str
    target: Any
    settings: Mapping[str, Any]
    a: Attribution
    run: Callable[..., Attribution] = explain
    seed: int = 0

    @classmethod
    def of(cls, graph: Graph, x: Any, method: str, target: Any = None, settings: Mapping[str, Any] | None = None,
           run: Callable[..., Attribution] = explain, seed: int = 0) -> Case:
        """The case of a method that explains ``x``: every target becomes weights that are the same in all constructions.

        A model without floating inputs (token ids) is taken from the layer on that the settings name, as ``explain`` does.
        """
        own = dict(settings or {})
        if not graph.float_inputs and "layer" in own:
            graph, x = from_layer(graph, x, own.pop("layer"))
        feeds = check_feeds(graph, x)
        free = method in METHODS and METHODS[method].free
        definite = target if callable(target) else _as_weights(graph, feeds, target, free)
        return cls(graph, feeds, method, definite, own, run(graph, feeds, method=method, target=definite, **own), run, seed)

    def again(self, graph: Graph | None = None, feeds: Mapping[str, Array] | None = None, target: Any = None, **settings: Any
              ) -> Attribution:
        """The same method on another graph, input, target, or with other settings."""
        return self.run(graph or self.graph, feeds or self.feeds, method=self.method, target=self.target if target is None else target,
                        **{**self.settings, **settings})

    def rows(self, rows: Sequence[int]) -> Case:
        """The case of some of the samples alone (or of some repeated), with their targets, baselines and noise; ``a`` is the old one."""
        if any(spec.shape[0] is not None for spec in self.graph.inputs.values()):
            raise Inapplicable("the graph was converted with a fixed batch, and this takes single samples")
        index, shapes = list(rows), {v.shape for v in self.feeds.values()}

        def part(value: Any, batch: bool = True) -> Any:
            if isinstance(value, Mapping):
                return {k: part(v, batch) for k, v in value.items()}
            if batch and isinstance(value, np.ndarray) and value.shape in shapes:
                return value[index]
            return value[:, index] if isinstance(value, np.ndarray) and value.shape[1:] in shapes else value

        name, weights = self.target if isinstance(self.target, tuple) else (None, self.target)
        weights = weights if callable(weights) else weights[index]
        return replace(self, feeds={k: v[index] for k, v in self.feeds.items()}, target=weights if name is None else (name, weights),
                       settings={k: part(v, k not in SETS) for k, v in self.settings.items()})

    @property
    def size(self) -> int:
        """The number of samples."""
        return len(next(iter(self.feeds.values())))

    @property
    def input(self) -> str:
        """The input that constructions change: the first that is attributed to, in its own shape."""
        name = next(iter(self.a.values))
        if name not in self.feeds:
            raise Inapplicable(f"the attribution is about {name!r}, which is no input of the graph")
        same_shape(self)
        return name

    @property
    def has(self) -> Mapping[str, Any]:
        """The settings that the method knows, with their defaults."""
        return METHODS[self.method].settings if self.method in METHODS else {}

    def task(self) -> Task:
        """What is explained, as methods see it."""
        free = self.method in METHODS and METHODS[self.method].free
        return make_task(self.graph, self.feeds, self.target, self.settings.get("output", "logit"), free=free)


def _as_weights(graph: Graph, feeds: Mapping[str, Array], target: Any, free: bool = False) -> Any:
    """The target as weights (N, *K) of the explained value, under the output's name where there are several.

    A class index would do as well, but the largest logit at x (the default) is not the largest in a construction.
    """
    task = make_task(graph, feeds, target, free=free)
    if isinstance(target, tuple) and target and isinstance(target[0], str):
        return (target[0], target[1] if len(target) == 2 and callable(target[1]) else task.weights)
    return task.weights


def same_shape(case: Case) -> None:
    """Refuses methods whose attribution has not the shape of the input (class-activation maps)."""
    for k, v in case.a.values.items():
        if k not in case.feeds or v.shape != case.feeds[k].shape:
            raise Inapplicable(f"{case.method} gives one map of shape {v.shape} at {k!r}"
                               + (f", whose shape is {case.feeds[k].shape}" if k in case.feeds else ", which is no input"))


def amounts(a: Attribution) -> list[Array]:
    """All that was added up on the way to an attribution: rounding is relative to the largest of it."""
    known = [a.output, *a.values.values(), *a.layers.values()]
    return known if a.baseline_output is None else [*known, a.baseline_output]


def difference(a: Attribution, b: Attribution) -> tuple[Array, float]:
    """|A - B| over all shared inputs, and the tolerance for it."""
    gaps = [np.asarray(abs(a.values[k] - b.values[k])).reshape(-1) for k in a.values if k in b.values]
    return np.concatenate(gaps), tolerance(a.graph, *amounts(a), *amounts(b))
