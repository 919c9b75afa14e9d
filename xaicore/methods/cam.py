"""Class-activation maps: sums of the feature maps of one layer, weighted by the gradient there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from types import MappingProxyType

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Task
from xaicore.numerics import Array, positive, scalar
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
    Sub,
    Upsample,
)
from xaicore.rules.gradient import gradient
from xaicore.trace import activity

# ----- channel weights --------------------------------------------------------------------------------------------


def _space(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _mean(a: Array, g: Array) -> Array:
    """1/Z Σ g over the positions: the paper's α. captum, pytorch-grad-cam, torch-cam, tf-keras-vis, PAIR, xplique."""
    return np.asarray(_sum(a, g) / scalar(prod(g.shape[2:]), g))


def _sum(a: Array, g: Array) -> Array:
    """Σ g: the authors' Lua code; the map is Z times the paper's."""
    return np.asarray(g.sum(axis=_space(g)))


def _guided(a: Array, g: Array) -> Array:
    """1/Z Σ g where a > 0 and g > 0: tf-explain by default."""
    return _mean(a, np.where((a > 0) & (g > 0), g, scalar(0, g)))


def _normalized(a: Array, g: Array) -> Array:
    """1/Z Σ g / (max g + 1e-7), the signed maximum over channels and positions: keras-vis. Turns the sign when all g < 0."""
    top = g.reshape(len(g), -1).max(axis=1)
    return np.asarray(_mean(a, g) / (top + scalar(1e-7, g))[:, None])


WEIGHTS: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType({
    "mean": _mean, "sum": _sum, "guided": _guided, "normalized": _normalized})
"""name -> (A (N, C, *S), G = ∂f/∂A) -> channel weights (N, C). The docstrings say who uses which."""

RESIZE: Mapping[str, str] = MappingProxyType({"bilinear": "linear", "nearest": "nearest"})


# ----- Grad-CAM ---------------------------------------------------------------------------------------------------


def grad_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", weights: str = "mean",
    counterfactual: bool = False,
) -> Attribution:
    """L = ReLU(Σ_k α_k A_k),  α_k = 1/Z Σ_s ∂f/∂A_k(s) over the Z positions s of channel k.

    layer           the value A (N, C, *S) with one to three spatial axes; by default the output of the last convolution with
                    more than one position (of any convolution, if none has) that is not the explained value itself, after
                    what follows it entry by entry (normalisation, activation, residual sum, concatenation) and before the
                    next pooling. On a transformer name it
    relu            False keeps the negative part (captum's default)
    upsample        "bilinear" (linear along every axis), "nearest", or None for the map as it is
    weights         how α comes from the gradient, see WEIGHTS
    counterfactual  -∂f/∂A in place of ∂f/∂A: what speaks against f

    The value for each input with as many spatial axes as A, on which A depends, is the map in its size, (N, 1, *S), or
    (N, *S, 1) where channels are fed last; with upsample=None the only value is the map at the layer, under its name.
    ``layers`` holds the map as it is, (N, 1, *S); ``extras["weights"]`` is α (N, C). Nothing is normalised.

    Inapplicable when there is no value with spatial axes, or nothing flows through it to f; UnknownName for a layer or a
    setting that does not exist. Source: selvaraju2017, eq. 1 and 2. Differs: pytorch-grad-cam, torch-cam, tf-keras-vis and
    keras-vis scale to [0, 1], PAIR by the maximum; captum leaves out relu and resizes by "nearest".
    """
    how = None if upsample is None else RESIZE[chosen("upsample", upsample, RESIZE)]
    weigh = WEIGHTS[chosen("weights", weights, WEIGHTS)]
    name = _last_feature_map(task) if layer is None else _feature_map(task, layer)
    assert task.trace is not None
    signals = task.pull(task.trace, gradient(), task.weights, [name])
    if name not in signals.values:
        raise Inapplicable(f"grad_cam: no signal passes layer {name!r} on the way from {task.value!r} to the input; name another layer")
    a, g = task.trace[name], signals.values[name]
    alpha = weigh(a, -g if counterfactual else g)
    cam = (alpha.reshape(*alpha.shape, *(1,) * (a.ndim - 2)) * a).sum(axis=1, keepdims=True)
    cam = positive(cam) if relu else cam
    return Attribution({name: cam} if how is None else _at_inputs(task, name, cam, how), task.result, "grad_cam", task.graph, task.feeds,
                       task.target, {"layer": name}, task.words, layers=Layers(task.graph, {name: cam}), extras={"weights": alpha})


def _at_inputs(task: Task, layer: str, cam: Array, mode: str) -> dict[str, Array]:
    """The map in the size of every input that it is about."""
    values = {}
    for k in task.wrt:
        x = task.feeds[k]
        on = activity(task.graph, [k])
        if x.ndim != cam.ndim or not (k == layer or any(on.get(layer, ()))):
            continue
        last = channels_last(task.graph.meta, k)
        size = x.shape[1:-1] if last else x.shape[2:]
        resized = Upsample(size, "nearest" if mode == "nearest" else "linear").forward(cam)
        values[k] = np.moveaxis(resized, 1, -1) if last else resized
    if not values:
        shapes = ", ".join(f"{k} {task.feeds[k].shape}" for k in task.wrt)
        raise Inapplicable(f"grad_cam: the map at layer {layer!r} has {cam.ndim - 2} spatial axes, and no explained input has as many "
                           f"({shapes}); use upsample=None")
    return values


# ----- which layer ------------------------------------------------------------------------------------------------

ALONG = (Identity, Dropout, BatchNorm, GroupNorm, InstanceNorm, LocalResponseNorm, Add, Sub, Mul, Maximum, Concat)
"""Operators, besides elementwise ones, behind which a feature map is still the same feature map."""


def _feature_map(task: Task, layer: str) -> str:
    name = task.graph.find(layer)
    assert task.trace is not None
    shape = task.trace[name].shape if name in task.trace.values else ()
    if not 3 <= len(shape) <= 5:
        raise Inapplicable(f"grad_cam: layer {layer!r} has shape {shape}; feature maps (N, C, *S) with one to three spatial axes are "
                           f"expected")
    if not task.trace.carries(name):
        raise Inapplicable(f"grad_cam: layer {layer!r} does not depend on the input; name another layer")
    return name


def _last_feature_map(task: Task) -> str:
    """The last convolution before the explained value, and what follows it entry by entry."""
    assert task.trace is not None
    trace, nodes = task.trace, task.graph.nodes
    ends = _copied(task)
    convolutions = [n.name for n in nodes if isinstance(n.op, (Conv, ConvTranspose)) and trace.carries(n.name) and n.name not in ends]
    if not convolutions:
        raise Inapplicable("grad_cam needs a value with spatial axes, and no convolution lies between the input and the explained value; "
                           "name one with layer=, or use another method (gradient, integrated_gradients, occlusion)")
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


def _copied(task: Task) -> set[str]:
    """The explained value and what it only copies: scores that are flattened are no feature map."""
    found = {task.value}
    for node in reversed(task.graph.nodes):
        if node.name in found and node.op.routes:
            found.add(node.inputs[0])
    return found
