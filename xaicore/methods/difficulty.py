"""VoG: which samples a network finds hard, by how much the gradient at each changed while the network was trained."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, GraphError, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.propagate import channels_last
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array


@dataclass(frozen=True, eq=False)
class Difficulty:
    """pixels: input -> (N, *S), how much each gradient spread over K checkpoints; scores (N,): their mean, large for a hard sample."""

    pixels: dict[str, Array]
    scores: Array
    checkpoints: int

    def __str__(self) -> str:
        order = np.argsort(-self.scores, kind="stable")
        hard, easy = (", ".join(f"{n} ({self.scores[n]:.4g})" for n in part[:3]) for part in (order, order[::-1]))
        return f"VoG over {self.checkpoints} checkpoints of {len(self.scores)} samples; hardest: {hard}; easiest: {easy}"


def vog(
    checkpoints: Sequence[Graph], x: Any, labels: Any, output: str = "logit", channels: str = "mean", batch_size: int | None = None,
) -> Difficulty:
    """VoG = mean over pixels of sqrt(1/K Σ_t (S_t - mean S)²), S_t the gradient of the true class's logit at checkpoint t.

    checkpoints  K >= 2 graphs with the same nodes and different parameters: the first of a training for early VoG, the last for late
    x            samples (N, ...), or a mapping by input name;  labels: the class of each, or what ``explain`` takes as target
    output       "logit" as in the paper; "probability" is what the authors' script for toy data explains
    channels     "mean": gradients of an image (N, C, H, W) are averaged over channels first, as the authors' script does; "each": not

    Named a variance, it is a standard deviation over the population of checkpoints (N19). The order of checkpoints does not matter; equal
    ones give 0; gradients times c give |c| VoG. Compare within a class: ``class_normalized``. Raises InputError for one checkpoint,
    GraphError for graphs that differ, naming the node. Costs K forward and backward passes. Source: agarwal2022 (as in the authors' code).

    >>> from xaicore.graph import Builder
    >>> from xaicore.ops import Dense
    >>> def checkpoint(w):
    ...     b = Builder()
    ...     return b.build(b.add(Dense(), b.input("x", (None, 1)), b.param("w", [[w]])))
    >>> print(vog([checkpoint(1), checkpoint(2), checkpoint(3)], [[5.0]], [0]).scores.round(6))
    [0.816497]
    """
    graphs = architecture(checkpoints)
    if labels is None:
        raise InputError("labels is None: VoG is about the true class of each sample, and the checkpoints may each predict another")
    return spread([make_task(g, x, labels, output, batch_size) for g in graphs], channels)


def architecture(checkpoints: Any) -> list[Graph]:
    """The checkpoints, two at least and of one architecture."""
    graphs = list(checkpoints) if isinstance(checkpoints, (list, tuple)) else []
    if len(graphs) < 2 or not all(isinstance(g, Graph) for g in graphs):
        raise InputError(f"checkpoints is a list of two graphs at least, since one gradient has no spread; {type(checkpoints).__name__} of "
                         f"{len(graphs)} came")
    for k, g in enumerate(graphs):
        _same(graphs[0], g, k)
    return graphs


def spread(tasks: Sequence[Task], channels: str) -> Difficulty:
    """How much the gradients of the tasks differ, which ask the same of each checkpoint."""
    if channels not in ("mean", "each"):
        raise InputError(f"channels={channels!r} is 'mean' or 'each'")
    maps: dict[str, list[Array]] = {}
    for task in tasks:
        for name, s in task.gradients({k: task.feeds[k] for k in task.wrt}, np.arange(task.size))[0].items():
            axis = s.ndim - 1 if channels_last(task.graph.meta, name) else 1
            maps.setdefault(name, []).append(s.mean(axis=axis) if channels == "mean" and s.ndim == 4 else s)
    pixels = {k: np.std(np.stack(v), axis=0) for k, v in maps.items()}
    flat = np.concatenate([v.reshape(len(v), -1) for v in pixels.values()], axis=1)
    return Difficulty(pixels, flat.mean(axis=1), len(tasks))


def at_checkpoint(task: Task, checkpoint: Graph) -> Task:
    """The task with the parameters of another state of the training. GraphError where that is another network."""
    if checkpoint.dtype != task.graph.dtype:
        checkpoint = checkpoint.astype(task.graph.dtype)
    nodes = {n.name: n for n in checkpoint.nodes}
    known = {*checkpoint.inputs, *checkpoint.params, *nodes}
    params: dict[str, Array] = {}
    behind: set[str] = set()
    for n in task.graph.nodes:
        own = nodes.get(n.name)
        if own is None and behind | known & set(n.inputs) - set(checkpoint.inputs):
            behind.add(n.name)                                          # what a target or a scale has put behind the network
        elif own is None or (own.op, own.inputs) != (n.op, n.inputs):
            there = "there is none of this name" if own is None else f"it is {own.op}({', '.join(own.inputs)})"
            raise GraphError(f"node {n.name!r} of the explained model is {n.op}({', '.join(n.inputs)}), and in a checkpoint {there}; all "
                             f"are one architecture")
    for k, v in task.graph.params.items():
        params[k] = checkpoint.params.get(k, v)
        if params[k].shape != v.shape:
            raise GraphError(f"parameter {k!r} has shape {params[k].shape} in a checkpoint and {v.shape} in the explained model; all are "
                             f"one architecture")
    return replace(task, graph=replace(task.graph, params=params), trace=None)


def class_normalized(scores: Any, labels: Any) -> Array:
    """(v - mean of its class) / standard deviation of its class, (N,) -> (N,): VoG on a scale that classes share.

    Mean 0 and (population) standard deviation 1 within each class; 0 where a class has one sample or equal ones.

    >>> class_normalized([1.0, 3.0, 5.0], [0, 0, 1])
    array([-1.,  1.,  0.])
    """
    v, y = np.asarray(scores, dtype=float), np.asarray(labels)
    if v.ndim != 1 or y.shape != v.shape:
        raise ShapeError(f"scores have shape {v.shape}, labels {y.shape}; one number and one class for each sample are expected")
    out = np.zeros(len(v))
    for c in np.unique(y):
        own = v[y == c]
        spread = own.std() if np.ptp(own) else 0.0
        out[y == c] = (own - own.mean()) / spread if spread else 0.0
    return out


def _same(first: Graph, other: Graph, k: int) -> None:
    """Do two checkpoints differ in their parameters alone?"""
    if "exact" in (first.dtype, other.dtype):
        raise ExactnessError("vog takes a square root, which is not rational; use graph.astype('float64')")
    if dict(first.inputs) != dict(other.inputs) or first.outputs != other.outputs or len(first.nodes) != len(other.nodes):
        raise GraphError(f"checkpoint {k} has other inputs, outputs or another number of nodes than the first; all are one architecture")
    for a, b in zip(first.nodes, other.nodes):
        if (a.name, a.op, a.inputs) != (b.name, b.op, b.inputs):
            raise GraphError(f"checkpoint {k}: node {b.name!r} is {b.op}({', '.join(b.inputs)}), but in the first {a.name!r} is {a.op}"
                             f"({', '.join(a.inputs)}); all are one architecture")
