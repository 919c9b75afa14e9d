"""Class-activation maps that the gradient weighs: sums of the feature maps of one layer. Those without a gradient are in scorecam.py.

All give, for each input with as many spatial axes as the layer, on which the layer depends, the map in the size of the
input, (N, 1, *S), or (N, *S, 1) where channels are fed last; with upsample=None the only value is the map at the layer,
under its name. ``layers`` holds the map before resizing and scaling, (N, 1, *S). They share these settings:

layer      the value A (N, C, *S) with one to three spatial axes; by default the output of the last convolution with
           more than one position (of any convolution, if none has) that is not the explained value itself, after
           what follows it entry by entry (normalisation, activation, residual sum, concatenation) and before the
           next pooling
tokens     for a layer of tokens (N, T, C), as transformers have them: how many stand before those of the picture (1 for a
           class token), which make a square, or (that number, height, width); None: the layer is (N, C, *S)
relu       True cuts off the negative part of the map
upsample   a name of maps.RESIZE, "bilinear" (linear along every axis), "bilinear_corners", "nearest", or None
normalize  a name of maps.NORMALIZE, or None, the default: no paper scales its map, and most libraries do

Raise Inapplicable when there is no value with spatial axes, or nothing flows through it to f; UnknownName for a layer or a
setting that does not exist. Cost: one forward and one backward pass.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.methods.attribution import Attribution
from xaicore.methods.maps import Finish, feature_map, last_before_pooling, value_and_gradient
from xaicore.methods.propagate import propagate
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Task
from xaicore.numerics import Array, divide, is_exact, positive, scalar
from xaicore.rules.guided import guided_backprop

Weigh = Callable[[Array, Array], Array]
"""(A (N, C, *S), G = ∂f/∂A) -> channel weights (N, C)."""


def _space(x: Array) -> tuple[int, ...]:
    return tuple(range(2, x.ndim))


def _spread(weights: Array, like: Array) -> Array:
    """Weights (N, C) as (N, C, 1, ...), to multiply ``like`` (N, C, *S)."""
    return weights.reshape(*weights.shape, *(1,) * (like.ndim - 2))


def weighted(a: Array, weights: Array) -> Array:
    """Σ_k w_k A_k: (N, 1, *S)."""
    return np.asarray((_spread(weights, a) * a).sum(axis=1, keepdims=True))


# ----- the class-activation map -----------------------------------------------------------------------------------


def cam(
    task: Task, layer: str | None = None, relu: bool = False, upsample: str | None = "bilinear", normalize: str | None = None,
    tokens: Any = None,
) -> Attribution:
    """M = Σ_k w_k A_k,  for a network that ends in f = Σ_k w_k mean_s A_k(s) + b: a global average pool and a linear head.

    Settings as in the head of this file, but that ``layer`` is the last value with positions, behind a window pooling too; relu=False
    keeps the paper's signs. ``extras``: "weights" w (N, C), read as the gradient
    of f with respect to the pooled values, and "bias" b (N,), so that the mean of the map over the positions, plus b, is f.
    Anything that is affine in A behind the layer and weighs all its positions alike is such a head: pooling by GlobalAvgPool, Mean
    or a window as large as the map; dense layers and 1 x 1 convolutions, several too, normalisation with fixed statistics.
    Inapplicable otherwise, with the node that is not affine. Source: zhou2016, eq. 1 and 2. Same as: torch-cam CAM, which
    reads the weight of a layer that the user names.
    """
    finish = Finish(relu, upsample, normalize)
    name = last_before_pooling(task, "cam") if layer is None and tokens is None else feature_map(task, "cam", layer, tokens)
    inner, _ = task.at_layer(name)
    assert inner.trace is not None
    for node in inner.graph.nodes:
        active = inner.trace.active[node.name]
        if any(active) and not node.op.affine(active):
            raise Inapplicable(f"cam: node {node.name!r} ({node.op}) behind layer {name!r} is not affine, and CAM is for a global average "
                               f"pool and a linear head; use hires_cam or grad_cam")
    a, g = value_and_gradient(task, "cam", name, tokens)
    w = np.asarray(g.sum(axis=_space(g)))
    each = _spread(w / scalar(prod(g.shape[2:]), g), g)
    if (abs(g - each) > _rounding(g) * abs(g).max(initial=0)).any():
        raise Inapplicable(f"cam: behind layer {name!r} the positions have different weights, so they are not pooled by a global average; "
                           f"use hires_cam, which gives each position its own, or grad_cam")
    out = weighted(a, w)
    bias = task.result - out.reshape(len(out), -1).sum(axis=1) / scalar(prod(out.shape[2:]), out)
    return finish(task, "cam", name, out, {"weights": w, "bias": bias})


def _rounding(x: Array) -> float:
    """16 units in the last place: the mean of equal numbers is rounded a few times. Nothing in exact mode."""
    return 0 if is_exact(x) else 16 * float(np.finfo(x.dtype).eps)


# ----- Grad-CAM ---------------------------------------------------------------------------------------------------


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


WEIGHTS: Mapping[str, Weigh] = MappingProxyType({"mean": _mean, "sum": _sum, "guided": _guided, "normalized": _normalized})
"""Grad-CAM's. The docstrings say who uses which."""


def grad_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    weights: str = "mean", counterfactual: bool = False, tokens: Any = None,
) -> Attribution:
    """L = ReLU(Σ_k α_k A_k),  α_k = 1/Z Σ_s ∂f/∂A_k(s) over the Z positions s of channel k.

    layer, relu, upsample, normalize as in the head of this file, and
    weights         how α comes from the gradient, see WEIGHTS
    counterfactual  -∂f/∂A in place of ∂f/∂A: what speaks against f

    A map (N, 1, *S) in the size of x. ``extras["weights"]`` is α (N, C). Raises Inapplicable without a convolution or for a layer without
    space. Source: selvaraju2017, eq. 1 and 2. Differs: pytorch-grad-cam and torch-cam have normalize="min_max_first", tf-keras-vis and
    keras-vis "min_max", PAIR "max"; captum leaves out relu and resizes by "nearest".
    """
    return _grad_cam(task, "grad_cam", layer, Finish(relu, upsample, normalize), weights, counterfactual, tokens)


def _grad_cam(task: Task, method: str, layer: str | None, finish: Finish, weights: str, counterfactual: bool, tokens: Any) -> Attribution:
    weigh = WEIGHTS[chosen("weights", weights, WEIGHTS)]
    name = feature_map(task, method, layer, tokens)
    a, g = value_and_gradient(task, method, name, tokens)
    alpha = weigh(a, -g if counterfactual else g)
    return finish(task, method, name, weighted(a, alpha), {"weights": alpha})


def guided_grad_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str = "bilinear", normalize: str | None = None,
    weights: str = "mean", tokens: Any = None,
) -> Attribution:
    """A = (Grad-CAM in the size of x) ⊙ guided backpropagation.

    Values in the shape of the inputs; settings and errors as for grad_cam: raises what it does. ``layers`` holds the map. Source:
    selvaraju2017. Same as: captum GuidedGradCam with upsample="nearest".
    """
    if upsample is None:
        raise InputError("guided_grad_cam multiplies the map with an attribution of the input, so upsample=None has no meaning; use "
                         "'bilinear' or 'nearest'")
    map_ = _grad_cam(task, "guided_grad_cam", layer, Finish(relu, upsample, normalize), weights, False, tokens)
    guided = propagate(replace(task, keep="inputs"), guided_backprop(), "guided_grad_cam")
    values = {k: np.asarray(v * guided.values[k]) for k, v in map_.values.items()}
    return replace(map_, values=values)


# ----- Grad-CAM++ -------------------------------------------------------------------------------------------------


def _alpha(a: Array, g: Array, third: Array) -> Array:
    """g² / (2 g² + T g³), 0 where g is 0; where the denominator is 0, too (the authors' code divides by 1 there)."""
    square = g * g
    return divide(square, scalar(2, g) * square + third)


def _positive_sum(alpha: Array, g: Array) -> Array:
    return np.asarray((alpha * positive(g)).sum(axis=_space(g)))


def _paper(a: Array, g: Array) -> Array:
    """α = g² / (2 g² + (Σ A) g³), w = Σ α ReLU(g): the paper, pytorch-grad-cam (which adds 1e-6 to the denominator)."""
    return _positive_sum(_alpha(a, g, a.sum(axis=_space(a), keepdims=True) * g**3), g)


def _elementwise(a: Array, g: Array) -> Array:
    """α = g² / (2 g² + Σ (A g³)): FastCAM, and what torch-cam means."""
    third = np.broadcast_to((a * g**3).sum(axis=_space(a), keepdims=True), g.shape)
    return _positive_sum(_alpha(a, g, third), g)


def _rescaled(a: Array, g: Array) -> Array:
    """The paper's α divided by its sum over the positions: tf-keras-vis, the authors' code."""
    alpha = _alpha(a, g, a.sum(axis=_space(a), keepdims=True) * g**3)
    return _positive_sum(divide(alpha, np.broadcast_to(alpha.sum(axis=_space(a), keepdims=True), alpha.shape)), g)


def _averaged(a: Array, g: Array) -> Array:
    """α = g² / (2 g² + mean(A) g³), w = mean of α ReLU(g): xplique."""
    z = scalar(prod(a.shape[2:]), a)
    return np.asarray(_positive_sum(_alpha(a, g, a.sum(axis=_space(a), keepdims=True) / z * g**3), g) / z)


def _square(a: Array, g: Array) -> Array:
    """w = Σ g² ReLU(g): what torch-cam 0.5 computes, where the division is lost."""
    return _positive_sum(g * g, g)


SECOND_ORDER: Mapping[str, Weigh] = MappingProxyType({
    "paper": _paper, "normalized": _rescaled, "elementwise": _elementwise, "mean": _averaged, "square": _square})
"""Grad-CAM++'s. The docstrings say who uses which."""


def grad_cam_plus_plus(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    weights: str = "paper", score: str = "exp", tokens: Any = None,
) -> Attribution:
    """L = ReLU(Σ_k w_k A_k),  w_k = Σ_s α_k(s) ReLU(e^f g),  α = g² / (2 g² + g³ Σ A_k),  g = ∂f/∂A_k(s).

    layer, relu, upsample, normalize as in the head of this file, and
    weights  how w comes from A and g, see SECOND_ORDER
    score    "exp": e^f is what is differentiated, as in the paper; "linear": f itself, without the factor e^f, which is the same
             for all positions of a sample

    α is the ratio of the second derivative of e^f to twice itself plus the sum of the third, which is this for an f that is
    piecewise linear in A. ``extras["weights"]`` is w (N, C). Also raises InputError where e^f overflows, ExactnessError for
    score="exp" in exact mode. Source: chattopadhay2018. Differs: pytorch-grad-cam, torch-cam, xplique have
    score="linear"; tf-keras-vis weights="normalized", normalize="min_max".
    """
    finish, weigh = Finish(relu, upsample, normalize), SECOND_ORDER[chosen("weights", weights, SECOND_ORDER)]
    factor = _exponential(task.result) if chosen("score", score, ("exp", "linear")) == "exp" else None
    name = feature_map(task, "grad_cam_plus_plus", layer, tokens)
    a, g = value_and_gradient(task, "grad_cam_plus_plus", name, tokens)
    w = weigh(a, g)
    w = w if factor is None else w * factor[:, None]
    return finish(task, "grad_cam_plus_plus", name, weighted(a, w), {"weights": w})


def _exponential(f: Array) -> Array:
    if is_exact(f):
        raise ExactnessError("e^f is not rational; use score='linear', which leaves out this factor")
    with np.errstate(over="ignore"):
        out = np.exp(f)
    if not np.isfinite(out).all():
        worst = int(np.argmax(f))
        raise InputError(f"score='exp': f(x) = {f[worst]:.6g} of sample {worst}, and e^f leaves the range of {f.dtype}; use "
                         f"score='linear', which leaves out this factor of the whole map")
    return np.asarray(out)


# ----- position by position ---------------------------------------------------------------------------------------


def layer_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    tokens: Any = None,
) -> Attribution:
    """L = ReLU(Σ_k ReLU(∂f/∂A_k) ⊙ A_k): each position has its own weight, the positive part of its gradient.

    Settings, shapes and errors as in the head of this file (raises Inapplicable without maps); also for early layers. Source: jiang2021.
    Same as: pytorch-grad-cam, torch-cam (which joins several layers by the maximum of tanh(2 L / max L)), tf-keras-vis.
    """
    finish, name = Finish(relu, upsample, normalize), feature_map(task, "layer_cam", layer, tokens)
    a, g = value_and_gradient(task, "layer_cam", name, tokens)
    return finish(task, "layer_cam", name, (positive(g) * a).sum(axis=1, keepdims=True))


def hires_cam(
    task: Task, layer: str | None = None, relu: bool = False, upsample: str | None = "bilinear", normalize: str | None = None,
    tokens: Any = None,
) -> Attribution:
    """L = Σ_k ∂f/∂A_k ⊙ A_k, gradient times value summed over channels.

    Settings, shapes and errors as in the head of this file (raises Inapplicable without maps); relu=False, because then the map of a
    layer that only an affine head follows sums to f - b, what the paper calls faithful. Source: draelos2020. Differs: pytorch-grad-cam
    has relu=True; its elementwise Grad-CAM cuts off each term, which this has not.
    """
    finish, name = Finish(relu, upsample, normalize), feature_map(task, "hires_cam", layer, tokens)
    a, g = value_and_gradient(task, "hires_cam", name, tokens)
    return finish(task, "hires_cam", name, (g * a).sum(axis=1, keepdims=True))


def xgrad_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    tokens: Any = None,
) -> Attribution:
    """L = ReLU(Σ_k w_k A_k),  w_k = Σ_s g A_k(s) / Σ_s A_k(s),  g = ∂f/∂A_k(s): the gradient's mean, weighted by the activation.

    Settings, shapes and errors as in the head of this file (raises Inapplicable without maps); with relu=False the map has the same sum
    as gradient times value. A channel whose sum is 0 gets the weight 0. ``extras["weights"]`` is w (N, C). Source: fu2020. Differs: the
    authors' code adds 1e-6 to the denominator, pytorch-grad-cam 1e-7, torch-cam 1e-8.
    """
    finish, name = Finish(relu, upsample, normalize), feature_map(task, "xgrad_cam", layer, tokens)
    a, g = value_and_gradient(task, "xgrad_cam", name, tokens)
    w = divide((g * a).sum(axis=_space(a)), a.sum(axis=_space(a)))
    return finish(task, "xgrad_cam", name, weighted(a, w), {"weights": w})
