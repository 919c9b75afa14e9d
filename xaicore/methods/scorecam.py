"""Class-activation maps without a gradient: channels weighed by what f does when they mask the input, or go missing; or by nothing.

Layer, settings and shapes are those of cam.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError
from xaicore.graph.passes import extend
from xaicore.methods.attribution import Attribution
from xaicore.methods.cam import weighted
from xaicore.methods.maps import Finish, as_fed, at_inputs, feature_map, min_max, pixels, token_grid
from xaicore.methods.sweep import chosen, column, quiet, reference, scores, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, is_exact, scalar
from xaicore.ops import Softmax

# ----- Score-CAM --------------------------------------------------------------------------------------------------

WEIGHTS: Mapping[str, str] = MappingProxyType({
    "softmax": "softmax over the channels of f(x ⊙ H_k) - f(x0): the paper, pytorch-grad-cam, torch-cam",
    "increase": "f(x ⊙ H_k) - f(x0) itself",
    "class_softmax": "the probability of the explained class given x ⊙ H_k: the authors' code, tf-keras-vis",
})
ORDERS = ("upsample_first", "normalize_first")


def score_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    weights: str = "softmax", order: str = "upsample_first", baseline: Any = 0, tokens: Any = None,
) -> Attribution:
    """L = ReLU(Σ_k w_k A_k),  w = softmax over k of f(x ⊙ H_k) - f(x0),  H_k = A_k in the size of x, scaled to [0, 1].

    layer, relu, upsample, normalize, tokens  as for all maps (cam.py); with upsample=None masks are resized by "bilinear"
    weights   see WEIGHTS; "class_softmax" takes a second softmax where the model ends in one (output="probability")
    order     of the masks: "upsample_first", then min-max (the paper, pytorch-grad-cam, tf-keras-vis), or "normalize_first" (torch-cam)
    baseline  x0; it matters for weights="increase" only, a softmax does not see what is the same for all channels

    A constant channel has no contrast: its mask is 0 everywhere. Needs no gradient. ``extras``: "weights" w and "scores", f(x ⊙ H_k),
    both (N, C). Cost: one forward pass for every channel, and two. Also raises ExactnessError for a softmax in exact mode. Source:
    wang2020. Differs: the authors' code has weights="class_softmax" of a logit, normalize="min_max", and leaves out constant channels;
    pytorch-grad-cam has no x0 and masks by upsample="bilinear_corners".
    """
    return _score_cam(task, "score_cam", layer, Finish(relu, upsample, normalize), weights, order, baseline, None, tokens)


def faster_score_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    weights: str = "softmax", order: str = "upsample_first", baseline: Any = 0, top: int = 10,
    tokens: Any = None,
) -> Attribution:
    """Score-CAM with the ``top`` channels alone whose activations vary most over the positions (standard deviation, first of equals).

    Each sample has its own channels: ``extras["channels"]`` (N, top). Settings as for score_cam, which it equals when ``top`` is
    the number of channels or more. Cost: ``top`` forward passes, and two. Raises InputError for
    top < 1, and what score_cam does. Source: kubota2020. Differs: the library's own variant has the weights "class_softmax".
    """
    top = whole("top", top, 1)
    return _score_cam(task, "faster_score_cam", layer, Finish(relu, upsample, normalize), weights, order, baseline, top, tokens)


def _score_cam(task: Task, method: str, layer: str | None, finish: Finish, weights: str, order: str, baseline: Any, top: int | None,
               tokens: Any) -> Attribution:
    chosen("weights", weights, WEIGHTS)
    first = chosen("order", order, ORDERS) == "normalize_first"
    if weights != "increase" and task.graph.dtype == "exact":
        raise ExactnessError(f"{method}: a softmax is not rational; use weights='increase', or graph.astype('float64')")
    start = reference(task, baseline, "baseline")
    name = feature_map(task, method, layer, tokens)
    assert task.trace is not None
    a = pixels(task.trace[name], tokens)
    channels = _most_varied(a, a.shape[1] if top is None else min(top, a.shape[1]))
    rows, which = np.repeat(np.arange(task.size), channels.shape[1]), channels.reshape(-1)
    at_inputs(task, method, name, a[:1, :1], finish.upsample or "bilinear")     # refuses before the work what it cannot serve

    def masked(part: slice) -> dict[str, Array]:
        one = a[rows[part], which[part]][:, None]
        masks = at_inputs(task, method, name, min_max(one) if first else one, finish.upsample or "bilinear")
        return {k: task.feeds[k][rows[part]] * as_fed(task, k, m if first else min_max(m)) for k, m in masks.items()}

    asked = _probability(task) if weights == "class_softmax" else task
    found = scores(asked, rows, masked).reshape(channels.shape)
    w = found - quiet(task).at(start, np.arange(task.size))[:, None] if weights == "increase" else found
    w = _softmax(w) if weights == "softmax" else w
    full = filled(a.shape[:2], 0, a)
    np.put_along_axis(full, channels, w, axis=1)
    extras = {"weights": full, "scores": found, **({} if top is None else {"channels": channels})}
    return replace(finish(task, method, name, weighted(a, full), extras), baseline=start)


def _most_varied(a: Array, top: int) -> Array:
    """For each sample the ``top`` channels with the largest variance over the positions, in ascending order: (N, top)."""
    flat = a.reshape(*a.shape[:2], -1)
    size = scalar(flat.shape[2], a)
    mean = flat.sum(axis=2, keepdims=True) / size
    variance = ((flat - mean) * (flat - mean)).sum(axis=2)
    return np.sort(np.argsort(-variance, axis=1, kind="stable")[:, :top], axis=1)


def _softmax(s: Array) -> Array:
    e = np.exp(s - s.max(axis=1, keepdims=True))
    return np.asarray(e / e.sum(axis=1, keepdims=True))


def _probability(task: Task) -> Task:
    """The same target behind a softmax over the classes, axis 1 of the explained value."""
    if task.weights.ndim < 2:
        raise Inapplicable(f"weights='class_softmax' needs an explained value with classes, and {task.value!r} has one number a sample")
    graph, value = extend(task.graph, lambda b: b.add(Softmax(1), task.value))
    return replace(task, graph=replace(graph, outputs=(value,)), value=value)


# ----- Ablation-CAM -----------------------------------------------------------------------------------------------


def ablation_cam(
    task: Task, layer: str | None = None, relu: bool = True, upsample: str | None = "bilinear", normalize: str | None = None,
    weights: str = "relative", fill: Any = 0, tokens: Any = None,
) -> Attribution:
    """L = ReLU(Σ_k w_k A_k),  w_k = (f(x) - f_k(x)) / f(x)  with f_k: channel k of the layer set to ``fill``.

    layer, relu, upsample, normalize, tokens  as for all maps (cam.py)
    weights  "relative" (the paper, pytorch-grad-cam), or "difference", f(x) - f_k(x)
    fill     a number. pytorch-grad-cam takes 0 for a channel whose minimum is 0, else 1e7 less than the smallest value, which drives
             every unit behind it far beyond what it has seen

    ``extras["weights"]`` is w (N, C). Cost: one forward pass of the part behind the layer for every channel. Also raises
    Inapplicable for weights="relative" where f(x) = 0, InputError for a fill that is no number. Source:
    desai2020. Differs: pytorch-grad-cam in its fill, as said; other libraries have none.
    """
    finish, relative = Finish(relu, upsample, normalize), chosen("weights", weights, ("relative", "difference")) == "relative"
    if np.ndim(fill):
        raise InputError(f"fill has shape {np.shape(fill)}; ablation_cam sets a whole channel to one number")
    name = feature_map(task, "ablation_cam", layer, tokens)
    inner, _ = task.at_layer(name)
    whole_value, f = inner.feeds[name], task.result
    a = pixels(whole_value, tokens)
    value = inner.baseline({name: fill}, "fill")[name].reshape(-1)[0]
    if relative and (f == 0).any():
        raise Inapplicable(f"ablation_cam: f(x) = 0 for sample {int(np.argmax(f == 0))}, so there is no share of it; use "
                           f"weights='difference'")
    rows, which = np.repeat(np.arange(len(a)), a.shape[1]), np.tile(np.arange(a.shape[1]), len(a))

    def ablated(part: slice) -> dict[str, Array]:
        made = whole_value[rows[part]]
        if tokens is None:
            made[np.arange(len(made)), which[part]] = value
        else:
            made[np.arange(len(made)), token_grid(made.shape, tokens)[0]:, which[part]] = value
        return {name: made}

    w = f[:, None] - scores(inner, rows, ablated).reshape(a.shape[:2])
    w = w / f[:, None] if relative else w
    return finish(task, "ablation_cam", name, weighted(a, w), {"weights": w})


# ----- Eigen-CAM --------------------------------------------------------------------------------------------------


def eigen_cam(
    task: Task, layer: str | None = None, relu: bool = False, upsample: str | None = "bilinear", normalize: str | None = None,
    center: bool = False, tokens: Any = None,
) -> Attribution:
    """L = M v,  M (Z, C) the activations, a row for each position, v the first right singular vector of M: no class, no gradient.

    layer, relu, upsample, normalize, tokens  as for all maps (cam.py)
    center  True subtracts each channel's mean over the positions first: the first principal component (pytorch-grad-cam)

    A singular vector has no sign; here it is the one with which the map goes along with the mean over the channels (Σ_s L M̄ ≥ 0),
    where pytorch-grad-cam leaves what LAPACK gives. ``extras["weights"]`` is v (N, C), "share" (N,) the part of the squared
    activations that L explains. Where the two largest singular values are equal v is one of many. Raises ExactnessError in exact
    mode. Source: muhammad2020. Same as: pytorch-grad-cam with center=True, up to the sign; other
    libraries have none.
    """
    finish = Finish(relu, upsample, normalize)
    if not isinstance(center, (bool, np.bool_)):
        raise InputError(f"center={center!r} must be True or False")
    name = feature_map(task, "eigen_cam", layer, tokens)
    assert task.trace is not None
    a = pixels(task.trace[name], tokens)
    if is_exact(a):
        raise ExactnessError("eigen_cam: singular vectors are not rational; use graph.astype('float64')")
    m = np.swapaxes(a.reshape(*a.shape[:2], -1), 1, 2)
    m = m - m.mean(axis=1, keepdims=True) if center else m
    _, sizes, vectors = np.linalg.svd(m, full_matrices=False)
    v = vectors[:, 0]
    projected = np.einsum("nzc,nc->nz", m, v)
    turn = np.where((projected * m.mean(axis=2)).sum(axis=1) < 0, -1, 1).astype(a.dtype)
    squares = (sizes * sizes).sum(axis=1)
    share = np.where(squares > 0, sizes[:, 0] ** 2 / np.where(squares > 0, squares, 1), 0)
    out = (projected * column(turn, projected)).reshape(len(a), 1, *a.shape[2:])
    return finish(task, "eigen_cam", name, out, {"weights": v * turn[:, None], "share": share})
