"""Forward saliency: how much the channels of a layer differ at each position (SMOE scale), and FastCAM, its product with a CAM.

Nothing is propagated: one forward pass gives a map of every scale of the network. How layers are drawn as colours (LOVI) is in
show/lovi.py.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, InputError, ShapeError
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.cam import grad_cam, grad_cam_plus_plus, xgrad_cam
from xaicore.methods.maps import RESIZE, as_fed, at_inputs, feature_map, last_of_each_scale, min_max
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Task
from xaicore.numerics import Array, is_exact, positive, scalar

TINY = 1e-7
"""Added to activations before a logarithm, as the authors do."""

# ----- a number for each position ---------------------------------------------------------------------------------


def _smoe(x: Array) -> Array:
    """μ (log2 μ - mean_k log2 x_k): mean activation times the log of arithmetic over geometric mean."""
    x = x + scalar(TINY, x)
    mean = x.mean(axis=1)
    return np.asarray(mean * (np.log2(mean) - np.log2(x).mean(axis=1)))


def _std(x: Array) -> Array:
    """The standard deviation over the channels, divided by C - 1 (0 for a single channel)."""
    return np.asarray(x.std(axis=1, ddof=1) if x.shape[1] > 1 else x[:, 0] * 0)


def _mean(x: Array) -> Array:
    """The mean over the channels."""
    return np.asarray(x.sum(axis=1) / scalar(x.shape[1], x))


def _max(x: Array) -> Array:
    """The largest channel."""
    return np.asarray(x.max(axis=1))


def _gamma(x: Array) -> Array:
    """The scale θ of the gamma distribution that fits the channels best (maximum likelihood)."""
    flat = np.moveaxis(x, 1, -1)
    shape = _gamma_shape(flat.reshape(-1, flat.shape[-1])).reshape(flat.shape[:-1])
    return np.asarray(((flat + TINY).mean(axis=-1) / shape).astype(x.dtype))


STATISTICS: Mapping[str, Callable[[Array], Array]] = MappingProxyType({
    "smoe": _smoe, "std": _std, "mean": _mean, "max": _max, "gamma": _gamma})
"""name -> (activations (N, C, *S), none negative -> (N, *S)). The docstrings say what."""


def _gamma_shape(x: Array) -> Array:
    """k of the gamma distribution of each row of x >= 0, which is shifted by TINY: Choi and Wette's start and ten Newton steps.

    A row of equal numbers has no finite k; 1e9 stands for it.
    """
    from scipy.special import digamma, polygamma

    x = x.astype(float) + TINY
    s = np.maximum(np.log(x.mean(axis=-1)) - np.log(x).mean(axis=-1), 1e-9)
    k = (3 - s + np.sqrt((s - 3) ** 2 + 24 * s)) / (12 * s)
    for _ in range(10):
        k = np.maximum(k - (np.log(k) - digamma(k) - s) / (1 / k - polygamma(1, k)), 1e-9)
    return np.asarray(np.minimum(k, 1e9))


# ----- a scale for each map ---------------------------------------------------------------------------------------


def _gaussian_cdf(m: Array) -> Array:
    """Φ((m - mean) / std) over the positions, std divided by Z - 1; 1/2 for a constant map. The authors' default."""
    from scipy.special import ndtr

    flat = m.reshape(len(m), -1).astype(float)
    spread = flat.std(axis=1, ddof=1, keepdims=True) if flat.shape[1] > 1 else np.zeros((len(m), 1))
    moved = flat - flat.mean(axis=1, keepdims=True)
    return np.asarray(ndtr(moved / np.where(spread > 0, spread, np.inf)).reshape(m.shape).astype(m.dtype))


def _gamma_cdf(m: Array) -> Array:
    """The distribution function of the gamma distribution that fits the map, moved to begin at 0.

    The authors cut the series of the incomplete gamma function off after eight terms, and k at 18; here it is the function itself.
    """
    from scipy.special import gammainc

    flat = m.reshape(len(m), -1).astype(float)
    flat = flat - flat.min(axis=1, keepdims=True) + TINY
    k = _gamma_shape(flat)[:, None]
    return np.asarray(gammainc(k, flat * k / (flat + TINY).mean(axis=1, keepdims=True)).reshape(m.shape).astype(m.dtype))


SCALES: Mapping[str, Callable[[Array], Array]] = MappingProxyType({
    "gaussian": _gaussian_cdf, "gamma": _gamma_cdf, "min_max": lambda m: min_max(m[:, None])[:, 0]})
"""name -> (maps (N, *S) -> maps (N, *S) with values in [0, 1])."""


def smoe(
    task: Task, layer: str | Sequence[str] | None = None, statistic: str = "smoe", normalize: str | None = "gaussian",
    weights: Sequence[float] | None = None, upsample: str = "bilinear",
) -> Attribution:
    """S = Σ_l w_l N(μ (log2 μ - mean_k log2 A_k))_l / Σ_l w_l,  μ = mean_k A_k, over the channels of layers l, resized to x.

    layer      one name or a sequence of names; by default the last feature maps of every size (before each pooling). Negative
               activations count as 0, as behind a ReLU
    statistic  "smoe", or "std", "mean", "max", "gamma" (the fitted scale, of which SMOE has nearly the order), see STATISTICS
    normalize  N, of each layer's map: "gaussian", "gamma", "min_max" (see SCALES), or None
    weights    w, one for each layer; default all 1, which the authors found best
    upsample   as for class-activation maps (maps.py)

    No class and no target: the map says where the network sees something, not for what. The value for each input with as many
    spatial axes is the map in its size, one channel; ``layers`` holds each layer's statistic before N, ``extras["maps"]`` by
    input the resized maps (N, L, *S), which show.lovi colours. Statistics are >= 0, SMOE is 0 where all channels are equal and
    SMOE(c A) = c SMOE(A), both up to the 1e-7 that is added to A. Inapplicable without feature maps, InputError for weights that do
    not fit, ExactnessError in exact mode for what is not rational. Cost: one forward pass. Source: mundhenk2019. Same as: the authors'
    code; no other library has it.
    """
    return _smoe_map(task, "smoe", layer, statistic, normalize, weights, upsample)


def _smoe_map(task: Task, method: str, layer: str | Sequence[str] | None, statistic: str, normalize: str | None,
              weights: Sequence[float] | None, upsample: str) -> Attribution:
    for setting, value, known in (("statistic", statistic, STATISTICS), ("upsample", upsample, RESIZE)):
        chosen(setting, value, known)
    if normalize is not None:
        chosen("normalize", normalize, SCALES)
    if task.graph.dtype == "exact" and (statistic not in ("mean", "max") or normalize in ("gaussian", "gamma")):
        raise ExactnessError(f"{method}: logarithms, roots and distribution functions are not rational; use statistic='mean' or 'max' with "
                             "normalize=None or 'min_max', or graph.astype('float64')")
    names = layers_of(task, method, layer)
    assert task.trace is not None
    parts = _weights(weights, len(names), task.trace[names[0]])
    raw = {k: STATISTICS[statistic](positive(task.trace[k])) for k in names}
    sized: dict[str, list[Array]] = {}
    for m in raw.values():
        scaled = m if normalize is None else SCALES[normalize](m)
        for k, v in at_inputs(task, method, names[0], scaled[:, None], upsample).items():
            sized.setdefault(k, []).append(v)
    stacks = {k: np.concatenate(v, axis=1) for k, v in sized.items()}
    values = {k: as_fed(task, k, (v * parts.reshape(1, -1, *(1,) * (v.ndim - 2))).sum(axis=1, keepdims=True)) for k, v in stacks.items()}
    return Attribution(values, task.result, method, task.graph, task.feeds, task.target, {"layer": list(names)}, task.words,
                       layers=Layers(task.graph, {k: m[:, None] for k, m in raw.items()}), extras={"maps": stacks})


CAMS: Mapping[str, Callable[..., Attribution]] = MappingProxyType({
    "grad_cam": grad_cam, "grad_cam_plus_plus": lambda task, **s: grad_cam_plus_plus(task, score="linear", **s), "xgrad_cam": xgrad_cam})
"""The class-activation maps of FastCAM. They are scaled to [0, 1], so that the factor e^f of Grad-CAM++ has no effect."""


def fastcam(
    task: Task, layer: str | Sequence[str] | None = None, statistic: str = "smoe", normalize: str | None = "gaussian",
    weights: Sequence[float] | None = None, upsample: str = "bilinear", cam: str = "grad_cam_plus_plus", inverse: bool = False,
) -> Attribution:
    """F = S ⊙ C,  S the SMOE map, C the class-activation map of the last layer in the size of x, scaled to [0, 1].

    layer, statistic, normalize, weights, upsample  as for smoe; C is taken at the last of the layers
    cam      "grad_cam_plus_plus" (the authors' default), "grad_cam", "xgrad_cam"
    inverse  True: S ⊙ (1 - C), what the network sees and does not use for the class

    A map (N, 1, *S) in the size of x. With a normalize F lies in [0, 1] and is nowhere larger than S or C. ``extras``: "smoe" and "cam",
    by input. Raises what smoe and the map do. Cost: one forward and one backward pass. Source: mundhenk2019. Same as:
    the authors' code; no other library has it.
    """
    chosen("cam", cam, CAMS)
    if not isinstance(inverse, (bool, np.bool_)):
        raise InputError(f"inverse={inverse!r} must be True or False")
    base = _smoe_map(task, "fastcam", layer, statistic, normalize, weights, upsample)
    names = list(base.layers)
    map_ = CAMS[cam](task, layer=names[-1], upsample=upsample, normalize="min_max")
    shared = [k for k in base.values if k in map_.values]
    values = {k: base.values[k] * (scalar(1, map_.values[k]) - map_.values[k] if inverse else map_.values[k]) for k in shared}
    return replace(base, values=values, extras={"smoe": base.values, "cam": map_.values})


def layers_of(task: Task, method: str, layer: str | Sequence[str] | None) -> tuple[str, ...]:
    """The values that were named, or the last feature maps of every size; all with the same number of spatial axes."""
    if layer is None:
        return last_of_each_scale(task, method)
    names = tuple(feature_map(task, method, k) for k in ([layer] if isinstance(layer, str) else layer))
    if not names or len(set(names)) < len(names):
        raise InputError(f"layer={layer!r} must name at least one layer, and none twice")
    assert task.trace is not None
    ranks = {k: task.trace[k].ndim - 2 for k in names}
    if len(set(ranks.values())) > 1:
        raise ShapeError(f"{method}: the layers have different numbers of spatial axes ({ranks}), so their maps cannot be added")
    return names


def _weights(given: Sequence[float] | None, count: int, like: Array) -> Array:
    """Shares that add up to 1, in the arithmetic of ``like``."""
    values: list[Any] = [1] * count if given is None else list(given) if isinstance(given, (list, tuple, np.ndarray)) else [given]
    if len(values) != count:
        raise InputError(f"weights has {len(values)} entries for {count} layers; give one for each, or leave it out")
    try:
        numbers = [scalar(v, like) for v in values]
    except (TypeError, ValueError):
        raise InputError(f"weights={given!r} must be numbers, one for each layer") from None
    if any(not (v >= 0 and (is_exact(like) or np.isfinite(v))) for v in numbers) or sum(numbers) <= 0:
        raise InputError(f"weights={given!r} must be finite, none negative, and not all 0")
    return np.array([v / sum(numbers) for v in numbers], dtype=like.dtype)
