"""What a metric looks at: one attribution, the f and x that it is about, and the method, to be asked again elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.graph.graph import Graph
from xaicore.methods.attribution import Attribution
from xaicore.methods.explain import explain
from xaicore.methods.games import channel_axis
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Feeds, Progress, Task, make_task
from xaicore.numerics import Array

SIGNS = ("signed", "absolute", "positive")
Ask = Callable[[Graph, Feeds, Any], Any]
"""(graph, inputs by name, target) -> the attribution: an array for one input, a mapping by name, or an Attribution."""


@dataclass(frozen=True, eq=False)
class Score:
    """What a metric found: one number for each sample, and what it came from (a curve, the draws).

    NaN says that the metric is not defined for a sample; each metric's text says when (a map of zeros has no entropy).
    """

    values: Array
    extras: Mapping[str, Any] = field(default_factory=dict)

    @property
    def mean(self) -> float:
        """The mean over the samples for which it is defined; NaN where there is none."""
        known = self.values[~np.isnan(self.values)]
        return float(known.mean()) if len(known) else float("nan")


@dataclass(frozen=True, eq=False)
class Subject:
    """One attribution under examination.

    graph    the whole graph, as the user has it;  task: f and x, with the softmax head settled
    target   the target in a form that means the same on other inputs: weights, or a callable
    values   input name -> attribution in the shape of the input (a map of one channel is shared out to all channels)
    ask      asks the method again; None for a map that was given as numbers
    """

    label: str
    graph: Graph
    task: Task
    target: Any
    values: Mapping[str, Array]
    ask: Ask | None = None

    @property
    def size(self) -> int:
        """The number of samples N."""
        return self.task.size

    @property
    def name(self) -> str:
        """The only explained input; Inapplicable where there are several."""
        if len(self.values) != 1:
            raise Inapplicable(f"this metric is for models with one explained input, and there are {len(self.values)} ("
                               f"{', '.join(self.values)}); choose one with wrt=")
        return next(iter(self.values))

    def again(self, feeds: Feeds | None = None, graph: Graph | None = None, target: Any = None) -> dict[str, Array]:
        """The method's map on other inputs (as many samples), another graph or another target."""
        if self.ask is None:
            raise Inapplicable(f"{self.label} was given as numbers, so it cannot be asked for another input, model or target; give a "
                               f"method's id, or a function of (graph, inputs, target)")
        there = {**self.task.feeds, **(feeds or {})}
        found = self.ask(graph or self.graph, there, self.target if target is None else target)
        return in_shape(self.label, found, {k: there[k] for k in self.values}, self.task)

    def positions(self, sign: str = "signed", values: Mapping[str, Array] | None = None) -> Array:
        """The map with one number for each position (channels summed), all inputs side by side: (N, M), float64."""
        parts = []
        for k, v in (self.values if values is None else values).items():
            axis = channel_axis(self.task, k)
            a = np.asarray(v, dtype=float)
            a = a if axis is None else a.sum(axis=axis + 1)
            parts.append(a.reshape(len(a), -1))
        return signed(np.concatenate(parts, axis=1), sign)

    def picture(self, sign: str = "signed", values: Mapping[str, Array] | None = None) -> Array:
        """The map of the one explained input over space, (N, *S)."""
        name = self.name
        shape = space_of(self.task, name)
        return self.positions(sign, values).reshape(-1, *shape)

    def about(self, given: Any, setting: str, dtype: Any = float) -> Array:
        """Something known about every position (a mask, a map of fixations), (N, M), in the order of ``positions``.

        ``given`` is an array (N, *S) or (*S) for one input, or a mapping by input name; channel axes may be there and are then 1 or equal.
        """
        by_name = given if isinstance(given, Mapping) else {self.name: given}
        missing = [k for k in self.values if k not in by_name]
        if missing:
            raise InputError(f"{setting} says nothing about input {missing[0]!r}; give a mapping with arrays for {', '.join(self.values)}")
        return np.concatenate([_over_space(self.task, k, by_name[k], setting).reshape(self.size, -1) for k in self.values],
                              axis=1).astype(dtype)

    def sample(self, n: int) -> Subject:
        """The subject of one sample; its method cannot be asked again (its settings may be about the whole batch)."""
        task = one_sample(self.task, n)
        return replace(self, task=task, values={k: v[n:n + 1] for k, v in self.values.items()}, ask=None)


def signed(a: Array, sign: str) -> Array:
    """The map as it is, its size |a|, or its positive part; UnknownName for another word."""
    chosen("sign", sign, SIGNS)
    return np.abs(a) if sign == "absolute" else np.maximum(a, 0) if sign == "positive" else a


def one_sample(task: Task, n: int) -> Task:
    """The task about sample n alone."""
    return replace(task, feeds={k: v[n:n + 1] for k, v in task.feeds.items()}, weights=task.weights[n:n + 1], trace=None, progress=None)


def space_of(task: Task, name: str) -> tuple[int, ...]:
    """The axes of an input without batch and channels: (H, W) of an image, (F,) of features."""
    shape = list(task.feeds[name].shape[1:])
    axis = channel_axis(task, name)
    if axis is not None:
        del shape[axis]
    return tuple(shape)


def _over_space(task: Task, name: str, given: Any, setting: str) -> Array:
    """(N, *S) of what was given for one input."""
    a, space, n = np.asarray(given), space_of(task, name), task.size
    if a.dtype.kind not in "fiub":
        raise InputError(f"{setting} of input {name!r} has dtype {a.dtype}; numbers or booleans are expected")
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise InputError(f"{setting} of input {name!r} holds {a[~np.isfinite(a)][0]}; give finite numbers")
    axis = channel_axis(task, name)
    if axis is not None and a.ndim == len(space) + 2:                   # a channel axis: its first entry, where all are the same
        first = np.take(a, [0], axis=axis + 1)
        if not (a == first).all():
            raise InputError(f"{setting} of input {name!r} differs between channels; it is about positions, so give one without channels")
        a = np.take(a, 0, axis=axis + 1)
    if a.shape == space:
        a = np.broadcast_to(a, (n, *space))
    if a.shape != (n, *space):
        raise ShapeError(f"{setting} of input {name!r} has shape {a.shape}; {space}, the same for all, or {(n, *space)} is expected")
    return np.array(a)


def in_shape(label: str, found: Any, inputs: Mapping[str, Array], task: Task) -> dict[str, Array]:
    """An attribution as float64 arrays in the shapes of the inputs; a map of one channel is shared out to all channels."""
    given = found.values if isinstance(found, Attribution) else found if isinstance(found, Mapping) else {next(iter(inputs)): found}
    missing = [k for k in inputs if k not in given]
    if missing:
        raise InputError(f"{label} says nothing about input {missing[0]!r}; a mapping with arrays for {', '.join(inputs)} is expected")
    out = {}
    for k, x in inputs.items():
        v = given[k]
        a = np.asarray(v.detach().cpu().numpy() if hasattr(v, "detach") else v)
        if a.dtype.kind not in "fiubO":
            raise InputError(f"{label} gave dtype {a.dtype} for input {k!r}; numbers are expected")
        a, axis = a.astype(float), channel_axis(task, k)
        if axis is not None and a.shape == (*x.shape[:axis + 1], *x.shape[axis + 2:]):
            a = np.expand_dims(a, axis + 1)
        if axis is not None and a.ndim == x.ndim and a.shape[axis + 1] == 1 and a.shape != x.shape:
            a = np.repeat(a, x.shape[axis + 1], axis=axis + 1) / x.shape[axis + 1]
        if a.shape != x.shape:
            raise ShapeError(f"{label} gave shape {a.shape} for input {k!r} of shape {x.shape}; the input's shape is expected, or the same "
                             f"with one channel")
        if not np.isfinite(a).all():
            raise InputError(f"{label} gave {a[~np.isfinite(a)][0]} for input {k!r}; a map has finite numbers")
        out[k] = a
    return out


# ----- making a subject ---------------------------------------------------------------------------------------------


def subject(
    graph: Graph, x: Any, method: Any, target: Any = None, *, output: str = "logit", label: str | None = None,
    wrt: Sequence[str] | None = None, batch_size: int | None = None, progress: Progress | None = None, **settings: Any,
) -> Subject:
    """The subject of a method on a graph and x.

    method   an id of xc.METHODS with its settings; a function of (graph, inputs by name, target) that gives the map, of whichever library;
             or the map itself, as an array or a mapping by input name
    target   as for explain; the largest logit at x stays the target on all other inputs
    """
    task = make_task(graph, x, target, output, batch_size, progress, wrt=wrt, free=True)
    definite = _definite(target, task)

    def by_id(graph: Graph, feeds: Feeds, target: Any) -> Attribution:
        return explain(graph, feeds, method, target, output=output, batch_size=batch_size, wrt=wrt, **settings)

    if isinstance(method, str):
        name, ask = label or method, by_id
    elif callable(method):
        if settings:
            raise UnknownName(f"a function has no setting {next(iter(settings))!r}: give it to the function itself")
        name, ask = label or str(getattr(method, "__name__", "function")), method
    else:
        inputs = {k: task.feeds[k] for k in task.wrt}
        return Subject(label or "given", graph, task, definite, MappingProxyType(in_shape(label or "the map", method, inputs, task)))
    made = Subject(name, graph, task, definite, {k: task.feeds[k] for k in task.wrt}, ask)
    return replace(made, values=MappingProxyType(made.again()))


def _definite(target: Any, task: Task) -> Any:
    """The target as weights of the explained value, under the output's name where one was given."""
    if callable(target):
        return target
    if isinstance(target, tuple) and target and isinstance(target[0], str):
        return target if len(target) == 2 and callable(target[1]) else (target[0], task.weights)
    return task.weights


__all__ = ["SIGNS", "Ask", "Score", "Subject", "in_shape", "one_sample", "signed", "space_of", "subject"]
