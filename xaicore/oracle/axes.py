"""What a search for conventions tries: for every method its finite settings, the continuous ones with their range, its relatives."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import product
from types import MappingProxyType
from typing import Any

Axes = Mapping[str, tuple[Any, ...]]

_AROUND: Axes = {"start": ("value", "one", "all", "ones"), "sums": ("share", "repeat"), "averages": ("share", "uniform"),
                 "batchnorm": ("fold", "affine", "pass", "reverse", "surrogate")}
_LRP: Axes = {"bias": ("absorb", "ignore", "distribute", "whole"), "pool": ("winner", "proportional", "epsilon"), **_AROUND,
              "attention": ("attnlrp", "cp"), "gates": ("signal", "half", "proportional", "absolute")}
_HIDDEN: Axes = {"hidden": ("epsilon", "zero", "z_plus", "gamma", "w_square", "flat"), **_LRP}
_STEPS = (5, 10, 16, 20, 25, 32, 50, 64, 100, 128, 200, 256, 300, 500)
_QUADRATURE: Axes = {"quadrature": ("gauss_legendre", "gauss_legendre_captum", "left", "right", "midpoint", "trapezoid",
                                    "trapezoid_xplique", "trapezoid_captum", "inclusive_mean"), "steps": _STEPS}
_OUTPUT: Axes = {"output": ("logit", "probability", "log_probability")}
_NOISE: Axes = {"noise": ("relative", "absolute"), "clean": (False, True), "samples": (4, 5, 10, 15, 20, 25, 35, 50, 64, 100, 200),
                "of": ("gradient", "saliency", "gradient_x_input", "guided_backprop"), "sigma": (1.0, 0.2, 0.15, 0.1), **_OUTPUT}
_MAP: Axes = {"relu": (True, False), "upsample": ("bilinear", "bilinear_corners", "nearest", None),
              "normalize": (None, "max", "min_max", "max_first", "min_max_first"), **_OUTPUT}

AXES: Mapping[str, Axes] = MappingProxyType({
    "gradient": _OUTPUT, "gradient_x_input": _OUTPUT, "guided_backprop": _OUTPUT, "deconvnet": _OUTPUT,
    "saliency": {"reduce": ("none", "abs", "max_abs", "sum_abs", "l2"), **_OUTPUT},
    "lrp.zero": _LRP,
    "lrp.epsilon": {"stabilizer": ("sign", "plain", "zero", "clip"), **_LRP},
    "lrp.gamma": {"variant": ("generalized", "original"), **_LRP},
    "lrp.alpha_beta": {"alpha": (1, 2), "variant": ("contributions", "weights-only"), **_LRP},
    "lrp.z_plus": {"variant": ("contributions", "weights-only"), **_LRP},
    "lrp.w_square": {"variant": ("weights", "with-bias"), **_HIDDEN},
    "lrp.flat": _HIDDEN, "lrp.z_box": _HIDDEN,
    **dict.fromkeys(("lrp.epsilon_plus", "lrp.epsilon_plus_flat", "lrp.epsilon_gamma_box", "lrp.epsilon_alpha2_beta1",
                     "lrp.epsilon_alpha2_beta1_flat"), _LRP),
    "lrp.best_practice": {"alpha": (1, 2), "flat_input": (True, False), **_LRP},
    "deep_taylor": {"input": ("w_square", "z_plus", "flat"), "pool": _LRP["pool"], **_AROUND},
    "deeplift.rescale": {"threshold": (1e-10, 1e-7, 1e-6, 1e-5), "fallback": ("input", "reference", "midpoint"),
                         "pool": ("cross_max", "winner"),
                         "softmax": ("decomposed", "rescale", "centred", "quotient", "gradient"), **_OUTPUT},
    "deeplift.reveal_cancel": {"threshold": (1e-10, 1e-7, 1e-6, 1e-5), "fallback": ("input", "reference", "midpoint"), **_OUTPUT},
    "integrated_gradients": {"multiply": (True, False), **_QUADRATURE, **_OUTPUT},
    "internal_influence": {**_QUADRATURE, **_OUTPUT},
    "conductance": {"quadrature": ("midpoint", "left", "right", "trapezoid", "captum_gauss_legendre", "trapezoid_captum", "gauss_legendre"),
                    "steps": _STEPS, **_OUTPUT},
    "smoothgrad": _NOISE, "smoothgrad_squared": _NOISE, "vargrad": {"ddof": (0, 1), **_NOISE},
    "grad_cam": {"weights": ("mean", "sum", "guided", "normalized"), **_MAP},
    "grad_cam_plus_plus": {"weights": ("paper", "normalized", "elementwise", "mean", "square"), "score": ("exp", "linear"), **_MAP},
    **dict.fromkeys(("cam", "layer_cam", "hires_cam", "xgrad_cam", "score_cam", "ablation_cam", "eigen_cam"), _MAP),
    "guided_grad_cam": {**_MAP, "weights": ("mean", "sum", "guided", "normalized")},
    "occlusion": {"overlap": ("mean", "sum", "mean_per_cell"), "border": ("crop", "valid", "wrap"), "mode": ("drop", "keep"),
                  "score": ("difference", "raw", "complement"), "channels": ("together", "separate"), **_OUTPUT},
    "lime": {"draw": ("sizes", "bernoulli", "all"), "distance": ("cosine", "euclidean", "input_cosine", "input_euclidean"),
             "kernel": ("paper", "library", "uniform"), "ridge": (0, 1, 2), "lasso": (0, 0.01), "spread": ("repeat", "share"), **_OUTPUT},
    "kernel_shap": {"endpoints": ("constraint", "weight", "none"), "draw": ("paired", "drawn"), "features": (None, 10),
                    "spread": ("share", "repeat"), **_OUTPUT},
    "shapley.sampling": {"antithetic": (True, False), "spread": ("share", "repeat"), **_OUTPUT},
    "shapley.exact": {"spread": ("share", "repeat"), **_OUTPUT},
    "feature_ablation": {"spread": ("share", "repeat"), **_OUTPUT},
})
"""Method -> its finite settings -> the values that are tried. A map of another size than theirs is no candidate."""

FITS: Mapping[str, tuple[float, float]] = MappingProxyType({
    "eps": (1e-16, 10.0), "layer_eps": (1e-16, 10.0), "gamma": (1e-3, 1e3), "alpha": (1.0, 100.0), "width": (1e-3, 1e3),
    "sigma": (1e-4, 1e3), "ridge": (1e-6, 1e3), "lasso": (1e-6, 1e2)})
"""Continuous settings and the range, searched on a logarithmic scale, in which they are fitted."""

FAMILIES = (
    ("lrp.epsilon", "lrp.zero", "lrp.z_plus", "lrp.alpha_beta", "lrp.gamma", "lrp.w_square", "lrp.flat", "lrp.epsilon_plus",
     "lrp.epsilon_plus_flat", "lrp.epsilon_alpha2_beta1", "lrp.epsilon_alpha2_beta1_flat", "lrp.best_practice", "deep_taylor",
     "gradient_x_input"),
    ("deeplift.rescale", "deeplift.reveal_cancel", "deeplift.genomics", "integrated_gradients", "gradient_x_input"),
    ("integrated_gradients", "integrated_gradients.exact", "gradient_x_input"),
    ("gradient", "saliency", "gradient_x_input", "guided_backprop", "deconvnet"),
    ("smoothgrad", "smoothgrad_squared", "vargrad"),
    ("grad_cam", "hires_cam", "layer_cam", "xgrad_cam", "grad_cam_plus_plus", "cam"),
    ("feature_ablation", "shapley.exact", "kernel_shap"),
)
"""Methods that are taken for one another."""


def choices() -> Iterable[tuple[str, str, Any]]:
    """Every (method, setting, value) that the search may try."""
    for method, axes in AXES.items():
        for setting, values in axes.items():
            yield from product((method,), (setting,), values)
