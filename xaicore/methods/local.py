"""f at inputs that differ from a known one in a part: what has not changed is not computed again.

An occluded image is the image itself, but for a window. So is every value behind it that looks at a neighbourhood: a convolution of 3 x 3
changes in the window and one entry around it, and all its other entries stand in the trace of the image. Each value is computed in a box:

    sight   what an entry of an operator's output sees along one axis of its input: the entries from o * stride - before on, ``span`` of
            them; or all. It is the one thing that is said about each operator (sights.py)
    reach   the box in which a value can differ from the known one: the entries that see something of the box at the input
    need    the other way around, what an operator needs of its input to compute this box: entries that may have changed from the box at
            the input, the others from the known value; beyond the edges is the operator's padding

An operator without sights (a flattening, a mean over space, attention) gets its input whole, and from there on evaluation is the ordinary
one. The result is that of ordinary evaluation, up to the rounding of sums that a library for linear algebra takes in another order for
another shape; in exact mode it is equal.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from math import prod
from operator import or_
from typing import Any, NamedTuple

import numpy as np

from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import run_node
from xaicore.methods.sights import Boxes, Sight, inside, padding, sights
from xaicore.methods.sweep import parts_of, scores
from xaicore.methods.task import Feeds, Task
from xaicore.methods.workers import in_order
from xaicore.numerics import Array
from xaicore.ops import AvgPool, Conv, Dense, Identity, MaxPool, Op
from xaicore.trace import Trace, forward

Make = Callable[[Array], Feeds]
"""The inputs of the points with these numbers: (points, ...) for each explained input."""

MOST = 32
"""Points at a time: products are hardly faster with more, and boxes of one size fit points of unlike reach less well."""

HANDLING, ELEMENT = 2**19, 8
"""In multiplications of a matrix product: what it takes to put one box together, and to compute an entry that is no sum of products."""


BOXED = (Conv, MaxPool, AvgPool)
"""What boxes are put together for."""


def scores_near(task: Task, known: Feeds, rows: Array, make: Make) -> Array:
    """f at M points, shape (M,), that are the samples ``rows`` of ``known`` but for a part, whatever part that is.

    The same as ``sweep.scores``, and computed as there where that is less work. As many points are evaluated at a time as take the room
    of ``batch_size`` whole ones: points of similar reach, since all of a batch compute boxes of one size.
    """
    assert task.trace is not None
    if _too_small(task.graph, task.wrt, task.trace):
        return scores(task, rows, lambda part: make(np.arange(len(rows))[part]))
    view = View.of(task.graph, task.wrt, task.value, task.trace)
    if view.gains:
        reach = view.reach(_differing(task, known, rows, make))
        whole, local, room = view.work(reach)
    if not view.gains or local > whole:
        return scores(task, rows, lambda part: make(np.arange(len(rows))[part]))
    if known is not task.feeds:
        view = replace(view, known=forward(task.graph, {**task.feeds, **known}, wrt=task.wrt))
    order = np.lexsort(np.concatenate([reach[k].size for k in view.sees], axis=1).T)
    step = max(1, min(MOST, int(task.batch_size * room)))
    found = np.empty(len(rows), dtype=task.weights.dtype)
    points = ((order[part], make(order[part])) for part in parts_of(replace(task, batch_size=step), len(rows)))

    def evaluated(point: tuple[Array, Feeds]) -> Array:
        these, feeds = point
        return task.scores(view.evaluate(rows[these], feeds, {k: boxes.rows(these) for k, boxes in reach.items()}), rows[these])

    for (these, _), f in in_order(task.workers, evaluated, points):
        found[these] = f
    return found


def _too_small(graph: Graph, wrt: Sequence[str], known: Trace) -> bool:
    """Is a whole evaluation less work than putting boxes together?"""
    moving, work = set(wrt), 0.0
    for node in graph.nodes:
        if not moving.isdisjoint(node.inputs):
            moving.add(node.name)
            work += _each(node, known) * prod(known[node.name].shape[1:]) - HANDLING * isinstance(node.op, BOXED)
    return work < 0


def _each(node: Node, known: Trace) -> float:
    """Multiplications for an entry of a node's output."""
    w = known[node.inputs[1]] if isinstance(node.op, (Conv, Dense)) else None
    return ELEMENT if w is None else max(ELEMENT, w.size / len(w))


# ----- patches ----------------------------------------------------------------------------------------------------


class Patch(NamedTuple):
    """The entries (K, *size) of K values from ``start`` (K, axes) on."""

    values: Array
    start: Array


def _differing(task: Task, known: Feeds, rows: Array, make: Make) -> dict[str, Boxes]:
    """By input, for every point the smallest box that holds all entries in which it is not the known sample."""
    parts: dict[str, list[Boxes]] = {k: [] for k in task.wrt}
    for at in range(0, len(rows), MOST):
        these = np.arange(at, min(at + MOST, len(rows)))
        made = make(these)
        for name in task.wrt:
            differs = made[name] != known[name][rows[these]]
            box = Boxes(*np.empty((2, len(these), differs.ndim - 1), int))
            for axis, n in enumerate(differs.shape[1:], start=1):
                along = differs.reshape(len(these), prod(differs.shape[1:axis]), n, -1).any(axis=3).any(axis=1)
                nothing = ~along.any(axis=1)
                box.start[:, axis - 1] = np.where(nothing, n, along.argmax(axis=1))
                box.stop[:, axis - 1] = np.where(nothing, 0, n - along[:, ::-1].argmax(axis=1))
            parts[name].append(box)
    return {k: Boxes(np.concatenate([b.start for b in v]), np.concatenate([b.stop for b in v])) for k, v in parts.items()}


def _assembled(known: Array, rows: Sequence[int], patch: Patch | None, start: Array, size: tuple[int, ...], op: Op | None = None) -> Array:
    """The box from ``start`` on, of the known samples ``rows`` with the patch laid over them; it may stick out of what ``op`` pads."""
    out = np.empty_like(known, shape=(len(rows), *size))                # laid out in memory as the known value is: channels last
    if (start < 0).any() or (start + size > known.shape[1:]).any():
        out[...] = padding(op or Identity(), known, *([] if patch is None else [patch.values]))
    _lay(out, start, known, np.zeros_like(start), rows)
    if patch is not None:
        _lay(out, start, patch.values, patch.start, range(len(rows)))
    return out


def _lay(onto: Array, start: Array, values: Array, at: Array, rows: Sequence[int]) -> None:
    """Copies to each box what of ``values[row]``, which stand from ``at`` on, lies inside it."""
    low, high = np.maximum(start, at), np.minimum(start + onto.shape[1:], at + values.shape[1:])
    into, out_of = np.stack([low - start, high - start], axis=-1).tolist(), np.stack([low - at, high - at], axis=-1).tolist()
    some = (low < high).all(axis=1).tolist()
    for k, row in enumerate(rows):
        if some[k]:
            here: Any = (k, *(slice(*ends) for ends in into[k]))
            there: Any = (row, *(slice(*ends) for ends in out_of[k]))
            onto[here] = values[there]


# ----- a graph seen so --------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class View:
    """A graph and its known values: which depend on a sample (``batched``), which on what is explained (``moving``), and the sights of
    those that are computed in boxes, in the order of evaluation.
    """

    graph: Graph
    wrt: Sequence[str]
    value: str
    known: Trace
    batched: Collection[str]
    moving: Collection[str]
    sees: Mapping[str, tuple[Sight, ...]]

    @classmethod
    def of(cls, graph: Graph, wrt: Sequence[str], value: str, known: Trace) -> View:
        """What can be computed in boxes is: all that a node needs of what moves must be."""
        batched, moving, boxed = set(graph.inputs), set(wrt), set(wrt)
        sees: dict[str, tuple[Sight, ...]] = {}
        for node in graph.nodes:
            if not batched.isdisjoint(node.inputs):
                batched.add(node.name)
            if moving.isdisjoint(node.inputs):
                continue
            moving.add(node.name)
            shapes, constant = [known[i].shape for i in node.inputs], [i not in batched for i in node.inputs]
            see = sights(node.op, shapes, constant, known[node.name].shape)
            if see is not None and all(i in boxed for i in node.inputs if i in moving):
                boxed.add(node.name)
                sees[node.name] = see
        return cls(graph, wrt, value, known, batched, moving, sees)

    @property
    def gains(self) -> bool:
        """Is a convolution computed in boxes? Without, there is little to gain."""
        return any(n.name in self.sees and isinstance(n.op, Conv) for n in self.graph.nodes)

    def reach(self, boxes: Mapping[str, Boxes]) -> dict[str, Boxes]:
        """The boxes of every value that is computed in boxes."""
        out = dict(boxes)
        for node in self.graph.nodes:
            if node.name in self.sees:
                there = reduce(or_, (out[i].seen_by(self.sees[node.name], self.known[node.name].shape) for i in node.inputs if i in out))
                out[node.name] = there
        return out

    def work(self, reach: Mapping[str, Boxes]) -> tuple[float, float, float]:
        """(multiplications of one whole evaluation, of one in boxes, how many in boxes take the room of a whole one)."""
        whole = local = all_entries = in_boxes = 0.0
        for node in self.graph.nodes:
            if node.name in self.moving:
                each, entries = _each(node, self.known), prod(self.known[node.name].shape[1:])
                part = float(reach[node.name].size.prod(axis=1).mean()) if node.name in self.sees else entries
                whole, local = whole + each * entries, local + each * part + HANDLING * isinstance(node.op, BOXED)
                all_entries, in_boxes = all_entries + entries, in_boxes + part
        return whole, local, all_entries / in_boxes

    def evaluate(self, rows: Array, feeds: Feeds, reach: Mapping[str, Boxes]) -> Array:
        """The explained value of K points, whole; ``feeds`` are the known samples ``rows`` outside the boxes at the inputs."""
        graph, known = self.graph, rows.tolist()
        readers = Counter(i for n in graph.nodes for i in n.inputs if n.name in self.moving)
        values: dict[str, Array | Patch] = {}
        for name in self.wrt:
            start, size = reach[name].level(self.known[name].shape)
            values[name] = Patch(_assembled(feeds[name], range(len(rows)), None, start, size), start)
        for node in (n for n in graph.nodes if n.name in self.moving):
            if node.name in self.sees:
                start, size = reach[node.name].level(self.known[node.name].shape)
                xs = [self._needed(node, i, start, size, known, values.get(i)) for i in node.inputs]
                values[node.name] = Patch(run_node(replace(node, op=inside(node.op)), xs, graph.dtype), start)
            else:
                values[node.name] = run_node(node, [self._whole(i, known, values.get(i)) for i in node.inputs], graph.dtype)
            for i in node.inputs:
                readers[i] -= 1
                if not readers[i] and i != self.value:
                    values.pop(i, None)
        return self._whole(self.value, known, values[self.value])

    def _needed(self, node: Node, i: str, start: Array, size: tuple[int, ...], rows: Sequence[int], value: Any) -> Array:
        """What a node needs of its input ``i`` for the box of its output from ``start`` on."""
        x = self.known[i]
        if i not in self.batched:
            return x
        from_, length = np.zeros((len(rows), x.ndim - 1), int), list(x.shape[1:])
        for k, (axis, stride, before, span) in enumerate(self.sees[node.name]):
            if span:
                from_[:, axis - 1], length[axis - 1] = start[:, k] * stride - before, (size[k] - 1) * stride + span
        if value is not None and value.values.shape[1:] == tuple(length) and (value.start == from_).all():
            return np.asarray(value.values)
        return _assembled(x, rows, value, from_, tuple(length), node.op)

    def _whole(self, i: str, rows: Sequence[int], value: Any) -> Array:
        """All of a value, with a batch of the points."""
        x = self.known[i]
        if isinstance(value, Patch):
            return _assembled(x, rows, value, np.zeros((len(rows), x.ndim - 1), int), x.shape[1:])
        return x if i not in self.batched else x[rows] if value is None else value
