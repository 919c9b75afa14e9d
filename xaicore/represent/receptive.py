"""Exact receptive fields: which entries of the input can change a unit, read off the graph.

A backward pass of the engine whose rules ask "does it depend?" instead of "how strongly?": weights count as 1, a maximum depends on its
whole window, and after every node what arrived is 0 or 1. It holds for every graph whose operators have a row here: skip connections,
dilation, groups and reshapes included.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.graph import Graph
from xaicore.graph.passes import prune
from xaicore.graph.run import check_feeds, sample_feeds
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import whole
from xaicore.numerics import Array, along, unbroadcast
from xaicore.ops import (
    AdaptiveMaxPool,
    AvgPool,
    Div,
    GlobalMaxPool,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LogSoftmax,
    LpPool,
    Maximum,
    MaxPool,
    Minimum,
    ReduceMax,
    ReduceMin,
    RMSNorm,
    Softmax,
    Sum,
    Where,
)
from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import affine, bilinear, elementwise, op, routes
from xaicore.trace import Step, backward, forward


def _binary(part: Array | None) -> Array | None:
    return None if part is None else (part != 0).astype(part.dtype)


def _linear(step: Step, g: Array) -> Parts:
    """The node's own vjp with every weight 1; where the operator cannot say which inputs are weights, all constants are."""
    known = step.node.op.weights(step.active)
    ones = tuple(np.ones_like(x) if not on and x.dtype.kind == "f" and (known is None or k in known) else x
                 for k, (x, on) in enumerate(zip(step.xs, step.active)))
    return tuple(_binary(p) for p in step.vjp(g, ones, step.y))


def _both(step: Step, g: Array) -> Parts:
    """A product of two signals depends on both factors."""
    ones = tuple(np.ones_like(x) if x.dtype.kind == "f" else x for x in step.xs)
    return tuple(_binary(p) for p in step.vjp(g, ones, step.y))


def _same(step: Step, g: Array) -> Parts:
    """Entry by entry, whatever the function: also of several inputs that are broadcast."""
    return tuple(_binary(unbroadcast(g, x.shape)) if on else None for x, on in zip(step.xs, step.active))


def _window(step: Step, g: Array) -> Parts:
    """Every entry of the windows."""
    x, pool = step.xs[0], step.node.op
    if isinstance(pool, (ReduceMax, ReduceMin)):
        return (_binary(Sum(pool.axes, pool.keepdims).vjp(0, g, step.y, x)),)
    if isinstance(pool, (MaxPool, LpPool)):
        mean = AvgPool(pool.kernel, pool.stride or pool.kernel, pool.dilation, pool.pads, pool.ceil)
        return (_binary(mean.vjp(0, g, step.y, x)),)
    assert isinstance(pool, (AdaptiveMaxPool, GlobalMaxPool))
    matrices = []
    for at, n in zip(pool.looks_at(x), x.shape[2:]):
        m = np.zeros((len(at), n), x.dtype)
        np.put_along_axis(m, at, 1, axis=1)
        matrices.append(m.T)
    return (_binary(along(g, matrices)),)


DEPENDENCE = RuleSet("dependence", "cotangent", (
    (op(MaxPool, LpPool, AdaptiveMaxPool, GlobalMaxPool, ReduceMax, ReduceMin), Rule("whole window", _window)),
    (op(Div, Maximum, Minimum, Where), Rule("entry by entry", _same)),
    (routes | affine, Rule("weights of 1", _linear)),
    (elementwise, Rule("entry by entry", _same)),
    (bilinear, Rule("both factors", _both)),
), expand=(Softmax, LogSoftmax, LayerNorm, GroupNorm, InstanceNorm, RMSNorm))
"""Rows of what depends on what. A node without one is an error that names it; DEPENDENCE.before(...) adds rows."""


@dataclass(frozen=True, eq=False)
class Field:
    """The entries of the input that a unit may depend on.

    mask  (C, H, W) of booleans, in the shape of a sample with channels first
    box   ((first, behind the last) for each axis of space), the smallest that holds all of them
    """

    mask: Array
    box: tuple[tuple[int, int], ...]

    @property
    def size(self) -> tuple[int, ...]:
        """How many pixels along each axis."""
        return tuple(b - a for a, b in self.box)


def receptive_field(graph: Graph, layer: str, unit: Any, x: Any = None, input: str | None = None) -> Field:
    """The inputs that can change one unit, from the graph's structure: no weight is looked at, only whether there is one.

    unit   the index of the unit within a sample of the layer: (channel, row, column), or a number for a layer of features
    x      an input, where the graph leaves the size free (otherwise sizes of the graph, 8 where it has none)
    input  among several

    A field is what the graph can do, a superset of what the given weights do: a weight that is 0 counts, a ReLU that is shut counts, and
    what decides a condition or an index is not counted. Raises UnknownName for a layer, InputError for a unit that does not exist,
    Inapplicable where the layer does not depend on the input, Unsupported for an operator without a row in DEPENDENCE.
    """
    return receptive_fields(graph, layer, [unit], x, input)[0]


def receptive_fields(
    graph: Graph, layer: str, units: Any, x: Any = None, input: str | None = None, rules: RuleSet = DEPENDENCE,
) -> list[Field]:
    """``receptive_field`` of several units, in one backward pass."""
    name = input or (graph.float_inputs[0] if graph.float_inputs else "")
    if name not in graph.float_inputs:
        raise InputError(f"input {name!r} is not a floating input; there are {', '.join(graph.float_inputs) or 'none'}")
    value = graph.find(layer)
    if value in graph.inputs:
        raise Inapplicable(f"{layer!r} is an input; a unit of it is its own receptive field")
    feeds = sample_feeds(graph) if x is None else check_feeds(graph, x)
    one = {k: v[:1] for k, v in feeds.items()}
    plain = graph if graph.dtype != "exact" else graph.astype("float64")
    one = {k: v.astype("float64") if v.dtype == object else v for k, v in one.items()}
    small = rules.prepare(prune(replace(plain, outputs=(value,))))
    trace = forward(small, one, wrt=(name,))
    if not trace.carries(value):
        raise Inapplicable(f"layer {layer!r} does not depend on input {name!r}, so its receptive field is empty")
    found = []
    for unit in units:
        at = _index(unit, trace[value].shape[1:], layer)
        seed = np.zeros_like(trace[value])
        seed[(0, *at)] = 1
        signals = backward(trace, rules.plan(small, (name,), value), {value: seed})
        mask = signals.values[name][0] != 0 if name in signals.values else np.zeros(one[name].shape[1:], bool)
        mask = np.moveaxis(mask, -1, 0) if channels_last(graph.meta, name) else mask
        found.append(Field(mask, _box(mask)))
    return found


def _index(unit: Any, shape: tuple[int, ...], layer: str) -> tuple[int, ...]:
    given = (unit,) if isinstance(unit, (int, np.integer)) else tuple(unit)
    at = tuple(whole("unit", u, 0) for u in given)
    if len(at) != len(shape) or any(k >= n for k, n in zip(at, shape)):
        raise InputError(f"unit {unit!r} does not exist in layer {layer!r}: a sample of it has shape {shape}")
    return at


def _box(mask: Array) -> tuple[tuple[int, int], ...]:
    """The smallest box, over the axes behind the channels (over the features of a table)."""
    out = []
    for axis in range(1 if mask.ndim > 1 else 0, mask.ndim):
        on = np.flatnonzero(mask.any(axis=tuple(k for k in range(mask.ndim) if k != axis)))
        out.append((int(on[0]), int(on[-1]) + 1) if len(on) else (0, 0))
    return tuple(out)


