"""A network as plain lists of units, read from a graph, and the one loop in which all twins of backward passes walk back through it.

Every value is a flat list of Fractions. A layer is a list of units; a unit knows the entries that it reads, and the weight of each.
Nothing here calls an operator: convolutions, pools and products are written out as who reads whom.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph, Node
from xaicore.numerics import Array
from xaicore.ops import Add, AvgPool, Conv, Dense, Flatten, GlobalAvgPool, MaxPool, ReLU, Reshape
from xaicore.oracle.twins.twin import Problem

Values = Mapping[str, Sequence[Any]]


@dataclass(frozen=True)
class Unit:
    """One entry of a layer: ``wires`` are the (value, place) that it reads, ``weights`` one for each, and its bias."""

    wires: Sequence[tuple[str, int]]
    weights: Sequence[Any] = ()
    bias: Any = Fraction(0)


@dataclass(frozen=True)
class Layer:
    """All units of one node. ``kind``: "affine", "relu", "max" or "route" (an entry handed on); ``op``: the operator's name."""

    name: str
    kind: str
    op: str
    units: Sequence[Unit]

    @property
    def weighted(self) -> bool:
        """A layer in the papers' sense."""
        return self.op in ("Dense", "Conv")


Step = Callable[[Layer, Unit, list[Any], Any, Any], list[Any]]
"""(layer, unit, what its wires carry, its value, the signal at it) -> the signal for each wire."""


@dataclass(frozen=True)
class Plain:
    """Layers in the order of evaluation; shapes (without the batch) of every value."""

    input: str
    layers: Sequence[Layer]
    shapes: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def output(self) -> str:
        """The name of the last value."""
        return self.layers[-1].name

    def layer(self, name: str) -> Layer:
        """The layer of a name."""
        return next(one for one in self.layers if one.name == name)

    def values(self, x: Sequence[Any]) -> dict[str, list[Any]]:
        """Every value of the network for one flat input."""
        found: dict[str, list[Any]] = {self.input: list(x)}
        for layer in self.layers:
            out = []
            for u in layer.units:
                xs = [found[k][i] for k, i in u.wires]
                if layer.kind == "affine":
                    out.append(sum((w * v for w, v in zip(u.weights, xs)), u.bias))
                elif layer.kind == "relu":
                    out.append(xs[0] if xs[0] > 0 else 0 * xs[0])
                else:
                    out.append(max(xs))
            found[layer.name] = out
        return found

    def back(self, values: Values, start: Sequence[Any], step: Step, at: str = "") -> dict[str, list[Any]]:
        """The signal at every value, from ``start`` at the value ``at`` (the output) down to the input, unit by unit."""
        signals: dict[str, list[Any]] = {k: [Fraction(0)] * len(v) for k, v in values.items()}
        signals[at or self.output] = list(start)
        for layer in reversed(self.layers):
            for j, u in enumerate(layer.units):
                signal = signals[layer.name][j]
                if signal == 0:
                    continue
                parts = step(layer, u, [values[k][i] for k, i in u.wires], values[layer.name][j], signal)
                for (k, i), part in zip(u.wires, parts):
                    signals[k][i] = signals[k][i] + part
        return signals

    def first(self) -> str:
        """The name of the layer with weights that comes first (of networks in which one layer reads the input)."""
        return next(one.name for one in self.layers if one.weighted)

    def last(self) -> str:
        """The name of the layer with weights that comes last."""
        return next(one.name for one in reversed(self.layers) if one.weighted)


# ----- the gradient, which many twins need ----------------------------------------------------------------------------


def winner(xs: Sequence[Any]) -> int:
    """The place of the maximum, the first among equals."""
    return next(i for i, v in enumerate(xs) if v == max(xs))


def gradient_step(layer: Layer, u: Unit, xs: list[Any], y: Any, g: Any) -> list[Any]:
    """The chain rule at one unit: weights, 1[z > 0], and 1 for the first maximum."""
    if layer.kind == "affine":
        return [w * g for w in u.weights]
    if layer.kind == "relu":
        return [g if xs[0] > 0 else 0 * g]
    return [g if i == winner(xs) else 0 * g for i in range(len(xs))]


def one_hot(size: int, k: int, value: Any = Fraction(1)) -> list[Any]:
    """``value`` at place k, zeros elsewhere."""
    return [value if i == k else Fraction(0) for i in range(size)]


def gradient(net: Plain, x: Sequence[Any], target: int) -> list[Any]:
    """∂f/∂x of one output."""
    values = net.values(x)
    return net.back(values, one_hot(len(values[net.output]), target), gradient_step)[net.input]


def each(problem: Problem, one: Callable[[Plain, list[Any], int], Sequence[Any]], shape: tuple[int, ...] | None = None) -> Array:
    """``one`` (network, flat sample, number of the sample) for every sample, in the shape of the input (or ``shape``, per sample)."""
    net, x = read(problem.graph), rational(problem.x)
    rows = [list(one(net, list(x[n].reshape(-1)), n)) for n in range(len(x))]
    return np.array(rows, dtype=object).reshape(len(x), *(x.shape[1:] if shape is None else shape))


def target_of(problem: Problem, n: int) -> int:
    """The class that is explained of sample n."""
    return int(problem.target if np.ndim(problem.target) == 0 else problem.target[n])


def rational(x: Any) -> Array:
    """An array of Fractions, each exactly the number that was there."""
    return np.asarray(np.vectorize(Fraction, otypes=[object])(np.array(x, dtype=object)))


# ----- from a graph ---------------------------------------------------------------------------------------------------


def read(graph: Graph) -> Plain:
    """A graph of one input as lists. It knows Dense, Conv, AvgPool, GlobalAvgPool, MaxPool (without padding), Add, ReLU, Flatten and
    Reshape; another operator raises KeyError.
    """
    (name,) = graph.inputs
    shapes = {name: tuple(int(n or 1) for n in graph.inputs[name].shape[1:])}
    layers = []
    for node in graph.nodes:
        kind, make = _READERS[type(node.op)]
        units, shapes[node.name] = make(graph, node, shapes)
        layers.append(Layer(node.name, kind, type(node.op).__name__, units))
    return Plain(name, layers, shapes)


Made = tuple[list[Unit], tuple[int, ...]]


def _dense(graph: Graph, node: Node, shapes: Mapping[str, tuple[int, ...]]) -> Made:
    x, w, *b = node.inputs
    weights, bias = rational(graph.params[w]), rational(graph.params[b[0]]) if b else None
    return [Unit([(x, i) for i in range(len(row))], list(row), Fraction(0) if bias is None else bias[j])
            for j, row in enumerate(weights)], (len(weights),)


Windows = list[list[tuple[tuple[int, ...], tuple[int, ...]]]]
"""For every place of a window, row by row: (place in the kernel, place in the input) of all that lies inside."""


def _windows(sizes: Sequence[int], kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], pads: Sequence[tuple[int, int]]
             ) -> tuple[list[int], Windows]:
    """How often a window fits along every axis, and what it sees at each place."""
    counts = [(n + p + q - d * (k - 1) - 1) // s + 1 for n, (p, q), d, k, s in zip(sizes, pads, dilation, kernel, stride)]
    found: Windows = []
    for o in product(*map(range, counts)):
        reads = []
        for k in product(*map(range, kernel)):
            at = tuple(a * s - p + b * d for a, s, (p, _), b, d in zip(o, stride, pads, k, dilation))
            if all(0 <= i < n for i, n in zip(at, sizes)):
                reads.append((k, at))
        found.append(reads)
    return counts, found


def _flat(at: Sequence[int], sizes: Sequence[int]) -> int:
    place = 0
    for i, n in zip(at, sizes):
        place = place * n + i
    return place


def _conv(graph: Graph, node: Node, shapes: Mapping[str, tuple[int, ...]]) -> Made:
    x, w, *b = node.inputs
    weights, bias, op = rational(graph.params[w]), rational(graph.params[b[0]]) if b else None, node.op
    assert isinstance(op, Conv)
    _, *sizes = shapes[x]
    into, per_group, *kernel = weights.shape
    ones, none = (1,) * len(sizes), ((0, 0),) * len(sizes)
    counts, places = _windows(sizes, kernel, op.stride or ones, op.dilation or ones, op.pads or none)
    units = []
    for o in range(into):
        group = o // (into // op.groups)
        for inside in places:
            wires = [(x, (group * per_group + c) * prod(sizes) + _flat(at, sizes)) for c in range(per_group) for _, at in inside]
            units.append(Unit(wires, [weights[(o, c, *k)] for c in range(per_group) for k, _ in inside],
                              Fraction(0) if bias is None else bias[o]))
    return units, (into, *counts)


def _pool(graph: Graph, node: Node, shapes: Mapping[str, tuple[int, ...]]) -> Made:
    (x,), op = node.inputs, node.op
    channels, *sizes = shapes[x]
    kernel = sizes if not isinstance(op, (AvgPool, MaxPool)) else op.kernel
    stride = getattr(op, "stride", ()) or kernel
    counts, places = _windows(sizes, kernel, stride, (1,) * len(sizes), ((0, 0),) * len(sizes))
    equal = Fraction(1, prod(kernel))
    return [Unit([(x, c * prod(sizes) + _flat(at, sizes)) for _, at in inside], [equal] * len(inside)) for c in range(channels)
            for inside in places], (channels, *counts)


def _add(graph: Graph, node: Node, shapes: Mapping[str, tuple[int, ...]]) -> Made:
    a, b = node.inputs
    return [Unit([(a, i), (b, i)], [Fraction(1)] * 2) for i in range(prod(shapes[a]))], shapes[a]


def _handed_on(graph: Graph, node: Node, shapes: Mapping[str, tuple[int, ...]]) -> Made:
    (x,) = node.inputs
    shape = node.op.shape if isinstance(node.op, Reshape) else (prod(shapes[x]),) if isinstance(node.op, Flatten) else shapes[x]
    return [Unit([(x, i)]) for i in range(prod(shapes[x]))], tuple(shape)


_READERS: Mapping[type, tuple[str, Callable[[Graph, Node, Mapping[str, tuple[int, ...]]], Made]]] = {
    Dense: ("affine", _dense), Conv: ("affine", _conv), AvgPool: ("affine", _pool), GlobalAvgPool: ("affine", _pool),
    Add: ("affine", _add), MaxPool: ("max", _pool), ReLU: ("relu", _handed_on), Flatten: ("route", _handed_on),
    Reshape: ("route", _handed_on)}
