"""What all class-activation maps share: which layer is taken, and how a map over its positions comes to the inputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import isqrt, prod
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Task
from xaicore.numerics import Array, divide, positive
from xaicore.ops import (
    Add,
    BatchNorm,
    Concat,
    Conv,
    ConvTranspose,
    Dropout,
    GroupNorm,
    Identity,
    InstanceNorm,
    LocalResponseNorm,
    Maximum,
    Mul,
    Resize,
    Sub,
)
from xaicore.rules.gradient import gradient
from xaicore.trace import activity

# ----- sizes and scales -------------------------------------------------------------------------------------------

RESIZE: Mapping[str, Callable[[tuple[int, ...]], Resize]] = MappingProxyType({
    "bilinear": lambda size: Resize(size, "linear"),
    "bilinear_corners": lambda size: Resize(size, "linear", "align_corners"),
    "nearest": lambda size: Resize(size, "nearest", "asymmetric", "floor"),
})
"""name -> (size -> the operator). "bilinear" is linear along every axis, pixels being areas (torch-cam, pytorch-grad-cam through
cv2); "bilinear_corners" maps corner pixels onto corners (pytorch-grad-cam's Score-CAM); "nearest" is captum's."""


def per_map(x: Array, of: str) -> Array:
    """The minimum or maximum ("min", "max") of each (sample, channel) over its positions, to broadcast against x."""
    return np.asarray(getattr(x, of)(axis=tuple(range(2, x.ndim)), keepdims=True))


def by_max(x: Array) -> Array:
    """x / max x; a map without a positive entry becomes 0."""
    top = positive(per_map(x, "max"))
    return divide(x, np.broadcast_to(top, x.shape))


def min_max(x: Array) -> Array:
    """(x - min x) / (max x - min x), from 0 to 1; a constant map becomes 0."""
    low = per_map(x, "min")
    return divide(x - low, np.broadcast_to(per_map(x, "max") - low, x.shape))


NORMALIZE: Mapping[str, tuple[Callable[[Array], Array], bool]] = MappingProxyType({
    "max": (by_max, False), "min_max": (min_max, False), "max_first": (by_max, True), "min_max_first": (min_max, True)})
"""name -> (the scaling of a map, whether it comes before the resizing). max: PAIR; min_max: tf-keras-vis, keras-vis, tf-explain;
min_max_first: pytorch-grad-cam, torch-cam."""


@dataclass(frozen=True)
class Finish:
    """What happens to a map after it was computed.

    relu       False keeps the negative part
    upsample   a name of RESIZE, or None for the map as it is
    normalize  a name of NORMALIZE, or None to leave the scale
    """

    relu: bool
    upsample: str | None
    normalize: str | None

    def __post_init__(self) -> None:
        if not isinstance(self.relu, (bool, np.bool_)):
            raise InputError(f"relu={self.relu!r} must be True or False")
        if self.upsample is not None:
            chosen("upsample", self.upsample, RESIZE)
        if self.normalize is not None:
            chosen("normalize", self.normalize, NORMALIZE)

    def __call__(self, task: Task, method: str, layer: str, cam: Array, extras: Mapping[str, Any] | None = None) -> Attribution:
        """The attribution of a map (N, 1, *S) at ``layer``, whose ``layers`` hold the map before resizing and scaling."""
        cam = positive(cam) if self.relu else cam
        scale, first = (None, False) if self.normalize is None else NORMALIZE[self.normalize]
        shown = scale(cam) if scale is not None and (first or self.upsample is None) else cam
        if self.upsample is None:
            values = {layer: shown}
        else:
            made = at_inputs(task, method, layer, shown, self.upsample)
            made = made if scale is None or first else {k: scale(v) for k, v in made.items()}
            values = {k: as_fed(task, k, v) for k, v in made.items()}
        return Attribution(values, task.result, method, task.graph, task.feeds, task.target, {"layer": layer}, task.words,
                           layers=Layers(task.graph, {layer: cam.copy() if values.get(layer) is cam else cam}), extras=extras or {})


def at_inputs(task: Task, method: str, layer: str, cam: Array, upsample: str) -> dict[str, Array]:
    """The maps (N, C, *S) in the size of every input that they are about, channels first."""
    values = {}
    for k in task.wrt:
        x = task.feeds[k]
        on = activity(task.graph, [k])
        if x.ndim != cam.ndim or not (k == layer or any(on.get(layer, ()))):
            continue
        size = x.shape[1:-1] if channels_last(task.graph.meta, k) else x.shape[2:]
        values[k] = RESIZE[upsample](size).forward(cam)
    if not values:
        shapes = ", ".join(f"{k} {task.feeds[k].shape}" for k in task.wrt)
        raise Inapplicable(f"{method}: the map at layer {layer!r} has {cam.ndim - 2} spatial axes, and no explained input has as many "
                           f"({shapes}); use upsample=None")
    return values


def as_fed(task: Task, name: str, x: Array) -> Array:
    """(N, C, *S) in the layout in which the user feeds input ``name``."""
    return np.moveaxis(x, 1, -1) if channels_last(task.graph.meta, name) else x


def value_and_gradient(task: Task, method: str, layer: str, tokens: Any = None) -> tuple[Array, Array]:
    """A and ∂f/∂A at a layer, both (N, C, *S)."""
    assert task.trace is not None
    signals = task.pull(task.trace, gradient(), task.weights, only=[layer])
    if layer not in signals.values:
        raise Inapplicable(f"{method}: no signal passes layer {layer!r} on the way from {task.value!r} to the input; name another layer")
    return pixels(task.trace[layer], tokens), pixels(signals.values[layer], tokens)


def pixels(x: Array, tokens: Any) -> Array:
    """Feature maps (N, C, *S): the value as it is, or of tokens (N, T, C) those behind the first, as a grid of pixels."""
    if tokens is None:
        return x
    lead, grid = token_grid(x.shape, tokens)
    return np.ascontiguousarray(np.moveaxis(x[:, lead:].reshape(len(x), *grid, x.shape[2]), -1, 1))


def token_grid(shape: tuple[int, ...], tokens: Any) -> tuple[int, tuple[int, ...]]:
    """(how many tokens come before the pixels, the grid of the others) for a value of (N, T, C) and the setting ``tokens``.

    A number is how many come before, and the others make a square; (number, height, width) says which rectangle.
    """
    given = tuple(tokens) if isinstance(tokens, (tuple, list)) else (tokens,)
    whole_numbers = all(isinstance(v, (int, np.integer)) and not isinstance(v, bool) for v in given)
    if not whole_numbers or len(given) not in (1, 3) or given[0] < 0 or any(v < 1 for v in given[1:]):
        raise InputError(f"tokens={tokens!r} must be the number of tokens before those of the picture (1 for a class token), or that "
                         f"number with height and width of the grid")
    if len(shape) != 3:
        raise ShapeError(f"tokens={tokens!r} is for a layer of tokens (N, T, C), and this one has shape {shape}; leave it out")
    count = shape[1] - given[0]
    side = isqrt(max(count, 0))
    grid = tuple(int(v) for v in given[1:]) or (side, side)
    if count < 1 or prod(grid) != count:
        raise ShapeError(f"tokens={tokens!r}: {shape[1]} tokens less {given[0]} are {count}, which make no "
                         + (f"grid of {grid[0]} x {grid[1]}" if len(given) == 3 else "square; give (number before, height, width)"))
    return given[0], grid


# ----- which layer ------------------------------------------------------------------------------------------------

ALONG = (Identity, Dropout, BatchNorm, GroupNorm, InstanceNorm, LocalResponseNorm, Add, Sub, Mul, Maximum, Concat)
"""Operators, besides elementwise ones, behind which a feature map is still the same feature map."""


def feature_map(task: Task, method: str, layer: str | None, tokens: Any = None) -> str:
    """The named value, when it is feature maps (N, C, *S) on the way to f; by default the last such value (last_feature_map)."""
    if layer is None:
        if tokens is not None:
            raise InputError(f"tokens={tokens!r} says how to read a layer of tokens; name it with layer=")
        return last_feature_map(task, method)
    name = task.graph.find(layer)
    assert task.trace is not None
    shape = task.trace[name].shape if name in task.trace.values else ()
    if not 3 <= len(shape) <= 5:
        raise Inapplicable(f"{method}: layer {layer!r} has shape {shape}; feature maps (N, C, *S) with one to three spatial axes are "
                           f"expected")
    if not task.trace.carries(name):
        raise Inapplicable(f"{method}: layer {layer!r} does not depend on the input; name another layer")
    if tokens is not None:
        token_grid(shape, tokens)
    return name


def last_feature_map(task: Task, method: str) -> str:
    """The last convolution before the explained value, and what follows it entry by entry."""
    assert task.trace is not None
    trace, nodes = task.trace, task.graph.nodes
    ends = _copied(task)
    convolutions = _convolutions(task, method, ends)
    wide = [k for k in convolutions if prod(trace[k].shape[2:]) > 1]    # a classifier after the global pooling may be a convolution
    last = (wide or convolutions)[-1]
    space, same = trace[last].shape[2:], {last}
    for node in nodes:
        y = trace[node.name]
        if node.name in ends or y.ndim != len(space) + 2 or y.shape[2:] != space:
            continue
        if any(i in same for i in node.inputs) and (node.op.elementwise or isinstance(node.op, ALONG)):
            same.add(node.name)
            last = node.name
    return last


def last_before_pooling(task: Task, method: str) -> str:
    """The last value with as many axes as the last feature map and more than one position: what a global pooling reads."""
    assert task.trace is not None
    last = last_feature_map(task, method)
    ends, rank = _copied(task), task.trace[last].ndim
    for node in reversed(task.graph.nodes):
        y = task.trace[node.name]
        if node.name not in ends and y.ndim == rank and prod(y.shape[2:]) > 1 and task.trace.carries(node.name):
            return node.name
    return last


def last_of_each_scale(task: Task, method: str) -> tuple[str, ...]:
    """For every size of feature maps, from the first to the last, the last value of that size: the ends of the scales of a network.

    A size of one position counts only when there is no other.
    """
    assert task.trace is not None
    ends, found = _copied(task), {}
    convolutions = set(_convolutions(task, method, ends))
    rank = task.trace[last_feature_map(task, method)].ndim
    behind = set(convolutions)
    for node in task.graph.nodes:
        y = task.trace[node.name]
        if node.name in ends or y.ndim != rank or not task.trace.carries(node.name):
            continue
        follows = any(i in behind for i in node.inputs) and (node.op.elementwise or isinstance(node.op, ALONG))
        if follows or node.name in convolutions:
            behind.add(node.name)
            found[y.shape[2:]] = node.name
    wide = tuple(name for space, name in found.items() if prod(space) > 1)
    return wide or tuple(found.values())


def _convolutions(task: Task, method: str, ends: set[str]) -> list[str]:
    assert task.trace is not None
    carries = task.trace.carries
    found = [n.name for n in task.graph.nodes if isinstance(n.op, (Conv, ConvTranspose)) and carries(n.name) and n.name not in ends]
    if not found:
        raise Inapplicable(f"{method} needs a value with spatial axes, and no convolution lies between the input and the explained value; "
                           f"name one with layer=, or use another method (gradient, integrated_gradients, occlusion)")
    return found


def _copied(task: Task) -> set[str]:
    """The explained value and what it only copies: scores that are flattened are no feature map."""
    found = {task.value}
    for node in reversed(task.graph.nodes):
        if node.name in found and node.op.routes:
            found.add(node.inputs[0])
    return found
