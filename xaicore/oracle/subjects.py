"""Which of our methods a peer's explainer stands beside when the two are run on drawn networks, as data.

Settings come from the profiles where one names them; here stand those that belong to how the adapter calls the library (the relevance that
starts is the output's), and what a definition demands whatever the convention: that attributions add up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from xaicore.errors import InputError, UnknownName, nearest
from xaicore.numerics import Array
from xaicore.oracle.networks import BLOCKS


@dataclass(frozen=True)
class Beside:
    """One explainer: our method and settings for its number, its own settings, what its sums are, the blocks that it is defined for.

    No blocks: for models that one gives, with a layer; networks are not drawn for it.
    total  "difference": Σ = f(x) - f(baseline); "value": Σ = f(x) where no layer has a bias; "": nothing is promised
    most   entries of a sample, where the explainer asks about every subset or order of them; 0: any
    """

    ours: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    total: Literal["difference", "value", ""] = ""
    baseline: bool = False
    blocks: tuple[str, ...] = BLOCKS
    most: int = 0


SMOOTH = ("Tanh", "Sigmoid", "LeakyReLU", "Softplus", "ELU", "GELU", "SiLU", "ReLU6", "Softmax")
RECTIFIED = tuple(b for b in BLOCKS if b not in (*SMOOTH, "Product"))
"""Networks of rectifiers, for which LRP, guided backpropagation and deconvnet are defined."""

_DIFFERENCE: dict[str, Any] = {"total": "difference", "baseline": True}
_CAPTUM_LRP: dict[str, Any] = {"eps": 1e-9, "pool": "epsilon", "batchnorm": "affine"}
_ZENNIT: dict[str, Any] = {"batchnorm": "pass"}
_DROP: dict[str, Any] = {"score": "difference", "mode": "drop", "overlap": "mean", "border": "crop"}
_SCALED: dict[str, Any] = {"relu": True, "normalize": "min_max_first"}
_LAYERS: dict[str, Any] = {"layer_eps": 1e-6, **_ZENNIT}

SUBJECTS: Mapping[str, Beside] = {
    "captum:Saliency": Beside("saliency"),
    "captum:InputXGradient": Beside("gradient_x_input"),
    "captum:IntegratedGradients": Beside("integrated_gradients", baseline=True),
    "captum:DeepLift": Beside("deeplift.rescale", **_DIFFERENCE),
    "captum:GuidedBackprop": Beside("guided_backprop", blocks=RECTIFIED),
    "captum:Deconvolution": Beside("deconvnet", blocks=RECTIFIED),
    "captum:LRP": Beside("lrp.epsilon", _CAPTUM_LRP, total="value", blocks=(*RECTIFIED, "Tanh")),
    "captum:LRP(Alpha1_Beta0_Rule)": Beside("lrp.alpha_beta", {"alpha": 1, "layer_eps": 1e-9, **_CAPTUM_LRP}, blocks=()),
    "captum:FeatureAblation": Beside("feature_ablation", {"mask": "entries"}, baseline=True),
    "captum:ShapleyValues": Beside("shapley.exact", {"mask": "entries"}, **_DIFFERENCE, most=5),
    "captum:NeuronConductance": Beside("conductance", {"quadrature": "midpoint"}, baseline=True, blocks=()),
    "captum:LayerConductance": Beside("conductance", **_DIFFERENCE, blocks=()),
    "captum:Occlusion": Beside("occlusion", {"window": (1,), "stride": (1,), **_DROP}, {"window": 1}, blocks=()),
    "zennit:Gradient": Beside("gradient"),
    "zennit:IntegratedGradients": Beside("integrated_gradients", {"quadrature": "right", "steps": 20}, baseline=True),
    "zennit:GuidedBackprop": Beside("guided_backprop", blocks=RECTIFIED),
    "zennit:DeconvNet": Beside("deconvnet", blocks=RECTIFIED),
    "zennit:Epsilon": Beside("lrp.epsilon", {"eps": 1e-6, **_ZENNIT}, total="value", blocks=(*RECTIFIED, "Tanh")),
    "zennit:ZPlus": Beside("lrp.z_plus", _LAYERS, blocks=RECTIFIED),
    "zennit:AlphaBeta": Beside("lrp.alpha_beta", _LAYERS, blocks=RECTIFIED),
    "zennit:Gamma": Beside("lrp.gamma", _LAYERS, blocks=RECTIFIED),
    "zennit:Occlusion": Beside("occlusion", {"window": (2,), "stride": (2,), "score": "raw", "mode": "keep", "overlap": "sum",
                                             "border": "crop"}, {"window": [2], "stride": [2]}, blocks=()),
    "shap:DeepExplainer": Beside("deeplift.rescale", {"threshold": 1e-6, "fallback": "reference", "softmax": "rescale"}, **_DIFFERENCE),
    "shap:ExactExplainer": Beside("shapley.exact", {"mask": "entries"}, **_DIFFERENCE),
    "grad_cam:GuidedBackprop": Beside("guided_backprop", blocks=()),
    "grad_cam:GradCAM": Beside("grad_cam", _SCALED, blocks=()),
    "grad_cam:AblationCAM": Beside("ablation_cam", _SCALED, blocks=()),
    "grad_cam:EigenCAM": Beside("eigen_cam", {"center": True, **_SCALED}, blocks=()),
    "torchcam:GradCAM": Beside("grad_cam", blocks=()),
    "torchcam:GradCAMpp": Beside("grad_cam_plus_plus", {"score": "linear"}, blocks=()),
    "innvestigate:Gradient": Beside("gradient", blocks=()),
    "innvestigate:SmoothGrad": Beside("smoothgrad", {"sigma": 1e-6, "noise": "absolute", "samples": 50, "seed": 0}, blocks=()),
    "innvestigate:LRPAlpha2Beta1": Beside("lrp.alpha_beta", blocks=()),
    "innvestigate:DeepTaylor": Beside("deep_taylor", total="value", blocks=()),
    "tf_keras_vis:GradcamPlusPlus": Beside("grad_cam_plus_plus", {"weights": "normalized", "normalize": "min_max"}, blocks=()),
    "xplique:GradCAMPP": Beside("grad_cam_plus_plus", {"score": "linear"}, blocks=()),
    "xplique:GuidedBackprop": Beside("guided_backprop", blocks=()),
    "saliency:GradientSaliency": Beside("gradient"),
    "saliency:IntegratedGradients": Beside("integrated_gradients", {"quadrature": "inclusive_mean", "steps": 25}, baseline=True),
}
"""Subject -> what it is compared with."""


@dataclass(frozen=True)
class Judged:
    """A metric of another library: ours with its settings, theirs by default, and what their number is in terms of our score."""

    ours: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    score: Callable[[Array], Array] = np.asarray


AS_GIVEN: dict[str, Any] = {"normalise": False, "abs": False}
METRICS: Mapping[str, Judged] = {
    "quantus:AttributionLocalisation": Judged("attribution_localisation", {"weighted": True}, {"weighted": True, **AS_GIVEN}),
    "quantus:Completeness": Judged("completeness", score=lambda gap: (gap < 1e-6).astype(float)),      # float32 sums, and a verdict
    "quantus:Continuity": Judged("continuity", {"shifts": 1}, AS_GIVEN),
    "quantus:InputInvariance": Judged("input_invariance", given=AS_GIVEN, score=lambda apart: (apart < 1e-6).astype(float)),
    "quantus:Complexity": Judged("entropy", given=AS_GIVEN), "quantus:Monotonicity": Judged("monotonicity", given=AS_GIVEN),
    "quantus:PointingGame": Judged("pointing_game", given=AS_GIVEN), "quantus:Sparseness": Judged("sparseness", given=AS_GIVEN),
    "quantus:RelevanceMassAccuracy": Judged("relevance_mass", {"pool": "sum"}, AS_GIVEN),
    "quantus:RelevanceRankAccuracy": Judged("relevance_rank", {"pool": "sum"}, AS_GIVEN),
    "quantus:TopKIntersection": Judged("top_k_intersection", {"k": 2}, {"k": 2, **AS_GIVEN}),
}
"""Metric of a library -> which of ours it stands beside."""


def beside(subject: str) -> Beside:
    """The entry of ``peer:Explainer`` (a version, ``peer@1.0:Explainer``, is not looked at); UnknownName with the nearest."""
    peer, colon, method = subject.partition(":")
    if not colon:
        raise InputError(f"{subject!r} is no subject; write peer:Explainer, such as captum:DeepLift")
    name = f"{peer.partition('@')[0]}:{method}"
    if name not in SUBJECTS:
        raise UnknownName(f"no subject is called {name!r}: {nearest(name, SUBJECTS)}")
    return SUBJECTS[name]
