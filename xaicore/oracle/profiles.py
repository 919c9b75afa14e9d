"""What other libraries compute, as data: for each library, its releases and its methods, the settings of ours that give its numbers.

The formulas were read in the libraries' sources (captum 0.9, zennit 1.0, innvestigate 2.1.2, shap 0.52, deeplift 0.6.13, saliency 0.2.1,
pytorch-grad-cam 1.5, torch-cam 0.5, xplique 2.0, tf-keras-vis 0.8.7, lxt 2.1); what was also run is told by docs/conformance.md.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from xaicore.errors import InputError, UnknownName, nearest
from xaicore.methods.table import METHODS


@dataclass(frozen=True)
class Entry:
    """One method of one library.

    peer, method   the library and its own name of the method;  versions: "" for all, or ranges such as ">=0.2,<0.10"
    ours, settings the id and the settings that reproduce its numbers; {}: our defaults do
    note           what differs, in words
    defect         what is wrong with it, "" for a convention;  vector: the certified case that shows it
    """

    peer: str
    method: str
    ours: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: str = ""
    note: str = ""
    defect: str = ""
    vector: str = ""

    @property
    def name(self) -> str:
        """Library and method, for a message."""
        return f"{self.peer} {self.method}"

    @property
    def verdict(self) -> str:
        """ "reproduces", "differs by design" or "defect"."""
        return "defect" if self.defect else "differs by design" if self.settings else "reproduces"

    def covers(self, version: str) -> bool:
        """Is a release within ``versions``?"""
        return all(_holds(version, one) for one in self.versions.split(",") if one)


_CAPTUM: dict[str, Any] = {"eps": 1e-9, "pool": "epsilon", "sums": "repeat", "batchnorm": "affine"}
_ZENNIT: dict[str, Any] = {"averages": "uniform", "batchnorm": "pass", "sums": "repeat"}
_EACH: dict[str, Any] = {"layer_eps": 1e-6, "batchnorm": "pass", "sums": "repeat"}
_INN: dict[str, Any] = {"eps": 1e-7, "batchnorm": "reverse"}
_NOISE: dict[str, Any] = {"noise": "absolute"}
_DIFF: dict[str, Any] = {"score": "difference", "mode": "drop"}
_FIRST: dict[str, Any] = {"normalize": "min_max_first"}
_SINCE: str = ">=0.2,<0.10"

ENTRIES: tuple[Entry, ...] = (
    # captum: hooks on modules; the target is an output of the model as it is
    Entry("captum", "Saliency", "saliency"),
    Entry("captum", "InputXGradient", "gradient_x_input"),
    Entry("captum", "Deconvolution", "deconvnet"),
    Entry("captum", "GuidedBackprop", "guided_backprop", note="ReLU modules alone: functional ones stay plain"),
    Entry("captum", "IntegratedGradients", "integrated_gradients", {"quadrature": "gauss_legendre_captum"},
          note="its weights are float32 in float64 pipelines, too: 1e-9 of the largest"),
    Entry("captum", "IntegratedGradients(riemann_trapezoid)", "integrated_gradients", {"quadrature": "trapezoid_captum"},
          defect="the weights of riemann_trapezoid sum to (n-1)/n, so that a linear function has 2 % too little at 50 steps",
          vector="integrated_gradients/captum-trapezoid-50"),
    Entry("captum", "DeepLiftShap", "deep_shap"),
    Entry("captum", "LayerGradientXActivation", "gradient_x_input", note="at a layer"),
    Entry("captum", "LayerIntegratedGradients", "integrated_gradients", note="at a layer"),
    Entry("captum", "LayerLRP", "lrp.epsilon", _CAPTUM, _SINCE, "at a layer"),
    Entry("captum", "LayerDeepLift", "deeplift.rescale", {"softmax": "centred"}, _SINCE, "at a layer"),
    Entry("captum", "DeepLift", "deeplift.rescale", {"softmax": "centred"}, _SINCE, "softmax modules share over the whole batch"),
    Entry("captum", "DeepLift(functional operators)", "deeplift.rescale", {"softmax": "centred"}, _SINCE,
          defect="products, clips and ReLU6 take the gradient, silently: what is no module with a rule is taken as linear",
          vector="deeplift.rescale/operator-clip"),
    Entry("captum", "LRP", "lrp.epsilon", _CAPTUM, _SINCE, "sums without its Addition_Module double the relevance"),
    Entry("captum", "LRP(GammaRule)", "lrp.gamma", {"variant": "original", "bias": "whole", "layer_eps": 1e-9, **_CAPTUM}, _SINCE),
    Entry("captum", "LRP(Alpha1_Beta0_Rule)", "lrp.z_plus", {"variant": "weights-only", "bias": "whole", "layer_eps": 1e-9, **_CAPTUM},
          _SINCE, "splits weights, not contributions: meant for x >= 0"),
    Entry("captum", "LRP(Alpha1_Beta0_Rule)", "lrp.alpha_beta",
          {"alpha": 1, "variant": "weights-only", "bias": "whole", "layer_eps": 1e-9, **_CAPTUM}, _SINCE),
    Entry("captum", "LayerGradCam", "grad_cam", {"relu": False, "upsample": None}),
    Entry("captum", "LayerGradCam(interpolate)", "grad_cam", {"relu": False, "upsample": "nearest"}),
    Entry("captum", "GuidedGradCam", "guided_grad_cam", {"upsample": "nearest"}),
    Entry("captum", "NoiseTunnel(Saliency(abs=False))", "smoothgrad", {"sigma": 1.0, "samples": 5, **_NOISE}),
    Entry("captum", "NoiseTunnel(Saliency)", "smoothgrad", {"sigma": 1.0, "samples": 5, "of": "saliency", **_NOISE}),
    Entry("captum", "NoiseTunnel(InputXGradient)", "smoothgrad", {"sigma": 1.0, "samples": 5, "of": "gradient_x_input", **_NOISE}),
    Entry("captum", "NoiseTunnel(smoothgrad_sq)", "smoothgrad_squared", {"sigma": 1.0, "samples": 5, "of": "saliency", **_NOISE}),
    Entry("captum", "NoiseTunnel(vargrad)", "vargrad", {"sigma": 1.0, "samples": 5, "of": "saliency", **_NOISE}),
    Entry("captum", "Occlusion", "occlusion", {"overlap": "mean", "border": "crop", **_DIFF}, note="stride 1 unless given"),
    Entry("captum", "FeatureAblation", "feature_ablation", {"mask": "entries", "spread": "repeat"}),
    Entry("captum", "ShapleyValues", "shapley.exact", {"mask": "entries", "spread": "repeat"}),
    Entry("captum", "ShapleyValueSampling", "shapley.sampling", {"antithetic": False, "mask": "entries", "spread": "repeat"}),
    Entry("captum", "KernelShap", "kernel_shap", {"draw": "drawn", "endpoints": "weight", "samples": 25, "mask": "entries",
                                                  "spread": "repeat"}),
    Entry("captum", "Lime", "lime", {"draw": "bernoulli", "distance": "input_cosine", "kernel": "library", "width": 1.0, "lasso": 0.01,
                                     "samples": 25, "mask": "entries"}),
    Entry("captum", "LayerConductance", "conductance", {"quadrature": "captum_gauss_legendre"},
          note="its nodes do not reach 0 and 1, so that it is not complete"),
    Entry("captum", "NeuronConductance", "conductance", {"quadrature": "trapezoid_captum"},
          defect="the default riemann_trapezoid has weights that sum to (n-1)/n"),
    Entry("captum", "InternalInfluence", "internal_influence", {"quadrature": "gauss_legendre_captum"}),
    # zennit: the user hands over the relevance that starts, here f(x) at the target (by default every output: start="all"); its canonizers
    # merge BatchNorm, without them it is passed
    Entry("zennit", "Gradient", "gradient"),
    Entry("zennit", "IntegratedGradients", "integrated_gradients", {"quadrature": "right", "steps": 20}),
    Entry("zennit", "SmoothGrad", "smoothgrad", {"sigma": 0.1, "samples": 20, "clean": True}),
    Entry("zennit", "Occlusion", "occlusion",
          {"score": "raw", "mode": "keep", "overlap": "sum", "border": "wrap", "window": 8, "stride": 8}),
    Entry("zennit", "GuidedBackprop", "guided_backprop"),
    Entry("zennit", "DeconvNet", "deconvnet"),
    Entry("zennit", "Epsilon", "lrp.epsilon", _ZENNIT),
    Entry("zennit", "Epsilon with a one-hot start", "lrp.epsilon", {"start": "one", **_ZENNIT}),
    Entry("zennit", "Epsilon with its default start", "lrp.epsilon", {"start": "all", **_ZENNIT}),
    Entry("zennit", "Gamma", "lrp.gamma", {"layer_eps": 1e-6, **_ZENNIT}),
    Entry("zennit", "AlphaBeta", "lrp.alpha_beta", {"layer_eps": 1e-6, **_ZENNIT}),
    Entry("zennit", "ZPlus", "lrp.z_plus", {"layer_eps": 1e-6, **_ZENNIT}),
    Entry("zennit", "WSquare", "lrp.w_square", {"variant": "with-bias", "hidden": "w_square", "layer_eps": 1e-6, **_ZENNIT}),
    Entry("zennit", "Flat", "lrp.flat", {"hidden": "flat", "layer_eps": 1e-6, **_ZENNIT}),
    Entry("zennit", "ZBox", "lrp.z_box", {"layer_eps": 1e-6, **_ZENNIT}, note="at the first layer"),
    *(Entry("zennit", k, v, _EACH)
      for k, v in (("EpsilonPlus", "lrp.epsilon_plus"), ("EpsilonPlusFlat", "lrp.epsilon_plus_flat"),
                   ("EpsilonGammaBox", "lrp.epsilon_gamma_box"), ("EpsilonAlpha2Beta1", "lrp.epsilon_alpha2_beta1"),
                   ("EpsilonAlpha2Beta1Flat", "lrp.epsilon_alpha2_beta1_flat"))),
    Entry("zennit", "ExcitationBackprop", "excitation_backprop", note="for x >= 0 without biases"),
    Entry("zennit", "ExcitationBackprop(any input)", "lrp.z_plus", {"start": "one", "layer_eps": 1e-6, **_ZENNIT},
          note="the bias is in its denominators, and signed inputs are split by x w"),
    # innvestigate 2
    Entry("innvestigate", "Gradient", "gradient"),
    Entry("innvestigate", "IntegratedGradients", "integrated_gradients", {"quadrature": "left", "steps": 64}),
    Entry("innvestigate", "SmoothGrad", "smoothgrad", {"sigma": 1.0, "samples": 64, **_NOISE}, ">=2",
          note="noise_scale is not read, so that it is 1"),
    Entry("innvestigate", "LRPZ", "lrp.epsilon", {"stabilizer": "zero", **_INN}),
    Entry("innvestigate", "LRPEpsilon", "lrp.epsilon", _INN),
    Entry("innvestigate", "LRPAlpha2Beta1", "lrp.alpha_beta", {"bias": "whole", **_INN},
          defect="the whole bias is in both denominators, so that relevance comes from nowhere",
          vector="lrp.alpha_beta/neuron-negative-bias"),
    Entry("innvestigate", "LRPAlpha2Beta1IgnoreBias", "lrp.alpha_beta", {"bias": "ignore", **_INN}),
    Entry("innvestigate", "LRPAlpha1Beta0", "lrp.z_plus", {"bias": "whole", **_INN}, note="the whole bias is in the denominator"),
    Entry("innvestigate", "LRPZPlus", "lrp.z_plus", {"bias": "ignore", **_INN}),
    Entry("innvestigate", "LRPZPlusFast", "lrp.z_plus", {"variant": "weights-only", "bias": "ignore", **_INN}),
    Entry("innvestigate", "LRPWSquare", "lrp.w_square", {"hidden": "w_square", **_INN}),
    Entry("innvestigate", "LRPFlat", "lrp.flat", {"hidden": "flat", **_INN}),
    Entry("innvestigate", "LRPSequentialPresetA", "lrp.best_practice", {"flat_input": False, "bias": "whole", "batchnorm": "reverse"}),
    Entry("innvestigate", "LRPSequentialPresetB", "lrp.best_practice",
          {"alpha": 2, "flat_input": False, "bias": "whole", "batchnorm": "reverse"}),
    Entry("innvestigate", "DeepTaylor", "deep_taylor",
          {"input": "z_plus", "sums": "repeat", "averages": "uniform", "batchnorm": "surrogate"},
          note="for layers that hold their ReLU, the last one too; a layer that holds none has the w² rule, and a ReLU of its own gates"),
    # lrp_toolbox, DeepExplain, deeplift, shap, lxt
    Entry("lrp_toolbox", "simple", "lrp.epsilon", {"eps": 1e-16}),
    Entry("lrp_toolbox", "alphabeta", "lrp.alpha_beta", {}, note="written there with alpha + beta = 1"),
    Entry("lrp_toolbox", "ww", "lrp.w_square"),
    Entry("lrp_toolbox", "flat", "lrp.flat"),
    Entry("DeepExplain", "IntegratedGradients", "integrated_gradients", {"quadrature": "right", "steps": 100}),
    Entry("DeepExplain", "EpsilonLRP", "lrp.epsilon", {"eps": 1e-4, "start": "all", "averages": "uniform", "sums": "repeat"},
          note="eps stands at the nonlinearities, none at the last layer; the sum of all outputs is explained"),
    Entry("DeepExplain", "DeepLIFTRescale", "deeplift.rescale",
          {"threshold": 1e-5, "fallback": "midpoint", "pool": "winner", "softmax": "gradient"}),
    Entry("DeepExplain", "Occlusion", "occlusion", {"overlap": "mean_per_cell", "border": "valid", **_DIFF}),
    Entry("deeplift", "Rescale", "deeplift.rescale", {"threshold": 1e-7, "fallback": "reference", "pool": "winner"}),
    Entry("deeplift", "RevealCancel", "deeplift.reveal_cancel", {"threshold": 1e-7, "fallback": "reference"}),
    Entry("deeplift", "DeepLIFT_GenomicsDefault", "deeplift.genomics", {"threshold": 1e-7, "fallback": "reference"}),
    Entry("shap", "DeepExplainer(torch)", "deeplift.rescale", {"threshold": 1e-6, "fallback": "reference", "softmax": "rescale"}),
    Entry("shap", "DeepExplainer(tensorflow)", "deeplift.rescale", {"threshold": 1e-6, "fallback": "reference", "softmax": "quotient"}),
    Entry("shap", "GradientExplainer", "expected_gradients"),
    Entry("shap", "KernelExplainer", "kernel_shap", {"features": 10, "mask": "entries"}),
    Entry("shap", "KernelExplainer(l1_reg=0)", "kernel_shap", {"mask": "entries"}),
    Entry("shap", "ExactExplainer", "shapley.exact", {"mask": "entries"}),
    Entry("shap", "PermutationExplainer", "shapley.sampling", {"mask": "entries"}),
    Entry("lxt", "efficient", "lrp.epsilon", {"eps": 1e-6, "stabilizer": "plain", "averages": "uniform"},
          note="eps is added without the sign, so that a denominator can be zero"),
    # gradients and paths of others
    Entry("saliency", "GradientSaliency", "gradient"),
    Entry("saliency", "GuidedIG", "guided_ig"),
    Entry("saliency", "BlurIG", "blur_ig", {"quadrature": "pair", "sigma": 50.0}),
    Entry("saliency", "IntegratedGradients", "integrated_gradients", {"quadrature": "inclusive_mean", "steps": 25}),
    Entry("saliency", "SmoothGrad", "smoothgrad_squared", {"samples": 25}),
    Entry("saliency", "GradCam", "grad_cam", {"normalize": "max"}),
    Entry("saliency", "Occlusion", "occlusion", {"overlap": "sum", "border": "valid", "window": 15, "stride": 1, **_DIFF}),
    Entry("trulens", "IntegratedGradients", "integrated_gradients", {"quadrature": "inclusive_mean", "steps": 50}),
    Entry("tf_explain", "IntegratedGradients", "integrated_gradients", {"quadrature": "inclusive_mean", "steps": 10, "multiply": False}),
    Entry("tf_explain", "GradCAM", "grad_cam", {"weights": "guided", "relu": False, "normalize": "min_max", "output": "probability"}),
    Entry("alibi", "IntegratedGradients", "integrated_gradients"),
    Entry("integrated-gradients", "the authors' notebook", "integrated_gradients", {"quadrature": "trapezoid", "output": "probability"}),
    Entry("deeplift", "integrated gradients helper", "integrated_gradients", {"quadrature": "midpoint"}),
    Entry("xplique", "Saliency", "saliency", {"reduce": "max_abs"}),
    Entry("xplique", "GradientInput", "gradient_x_input"),
    Entry("xplique", "GuidedBackprop", "guided_backprop"),
    Entry("xplique", "DeconvNet", "deconvnet"),
    Entry("xplique", "IntegratedGradients", "integrated_gradients", {"quadrature": "trapezoid_xplique"}),
    Entry("xplique", "SmoothGrad", "smoothgrad", {"sigma": 0.2, **_NOISE}),
    Entry("xplique", "SquareGrad", "smoothgrad_squared", {"sigma": 0.2, **_NOISE}),
    Entry("xplique", "VarGrad", "vargrad", {"sigma": 0.2, "ddof": 1, **_NOISE}),
    Entry("xplique", "GradCAM", "grad_cam"),
    Entry("xplique", "GradCAMPP", "grad_cam_plus_plus", {"weights": "mean", "score": "linear"}),
    Entry("xplique", "Occlusion", "occlusion", {"overlap": "sum", "border": "valid", "window": 3, "stride": 3, **_DIFF}),
    Entry("xplique", "Lime", "lime",
          {"draw": "bernoulli", "distance": "input_euclidean", "kernel": "paper", "width": 45.0, "ridge": 2, "samples": 150}),
    Entry("xplique", "KernelShap", "kernel_shap", {"draw": "drawn", "endpoints": "none", "samples": 800, "spread": "repeat"}),
    Entry("lime", "LimeImage", "lime", {"draw": "bernoulli", "kernel": "library", "width": 0.25, "ridge": 1, "samples": 1000}),
    Entry("lime", "LimeText", "lime", {"kernel": "library", "width": 0.25, "ridge": 1, "samples": 5000}),
    # class-activation maps
    Entry("grad_cam", "GradCAM", "grad_cam", _FIRST),
    Entry("grad_cam", "GradCAMPlusPlus", "grad_cam_plus_plus", {"score": "linear", **_FIRST}),
    Entry("grad_cam", "LayerCAM", "layer_cam", _FIRST),
    Entry("grad_cam", "XGradCAM", "xgrad_cam", _FIRST),
    Entry("grad_cam", "HiResCAM", "hires_cam", {"relu": True, **_FIRST}),
    Entry("torchcam", "GradCAM", "grad_cam", note="normalized=False; by default its maps are scaled: normalize='min_max_first'"),
    Entry("torchcam", "GradCAM(normalized)", "grad_cam", _FIRST),
    Entry("torchcam", "GradCAMpp", "grad_cam_plus_plus", {"weights": "square", "score": "linear"}, "<=0.5",
          defect="the division of alpha is made on a copy and lost, so that alpha is g²", vector="grad_cam_plus_plus/paper"),
    Entry("torchcam", "GradCAMpp (as meant)", "grad_cam_plus_plus", {"weights": "elementwise", "score": "linear"}),
    Entry("torchcam", "LayerCAM", "layer_cam"),
    Entry("torchcam", "XGradCAM", "xgrad_cam", note="1e-8 is added to the sum of activations"),
    Entry("tf_keras_vis", "Saliency", "saliency", {"reduce": "max_abs"}),
    Entry("tf_keras_vis", "Saliency(smooth_samples, keepdims)", "smoothgrad", {"of": "saliency", "sigma": 0.2}),
    Entry("tf_keras_vis", "Gradcam", "grad_cam", {"normalize": "min_max"}),
    Entry("tf_keras_vis", "GradcamPlusPlus", "grad_cam_plus_plus", {"weights": "normalized", "normalize": "min_max"}),
    Entry("keras_vis", "visualize_cam", "grad_cam", {"weights": "normalized", "normalize": "min_max"},
          defect="gradients are divided by their signed maximum, so that the map turns round where all are negative",
          vector="grad_cam/normalised-gradient"),
    Entry("ramprs", "the authors' Lua code", "grad_cam", {"weights": "sum"}),
)

PEERS: Mapping[str, tuple[Entry, ...]] = MappingProxyType({
    peer: tuple(e for e in ENTRIES if e.peer == peer) for peer in dict.fromkeys(e.peer for e in ENTRIES)})


def named(method: str) -> tuple[Entry, ...]:
    """All entries whose numbers this method of ours gives, the ones that differ from our defaults."""
    return tuple(e for e in ENTRIES if e.ours == method and e.settings)


def profile(peer: str, method: str, version: str = "") -> Entry:
    """The entry of a library's method (an id of ours will do); UnknownName with the nearest names.

    >>> profile("captum", "LRP").settings["eps"]
    1e-09
    """
    if peer not in PEERS:
        raise UnknownName(f"no profile is called {peer!r}: {nearest(peer, PEERS)}")
    called = [e for e in PEERS[peer] if method in (e.method, e.ours, e.method.partition("(")[0])]
    found = [e for e in called if not version or e.covers(version)]
    if not found:
        known = [e.method for e in PEERS[peer]]
        word = f" of version {version}" if called else ""
        raise UnknownName(f"the profile {peer!r}{word} has no method {method!r}: {nearest(method, [*known, *METHODS])}")
    return next((e for e in found if e.method == method), found[0])


def _holds(version: str, one: str) -> bool:
    """Does a release obey ``>=0.2``, ``<0.10``, ``<=1``, ``>1``, ``==1.0``?"""
    match = re.fullmatch(r"(>=|<=|==|>|<)([0-9.]+)", one.strip())
    if match is None:
        raise InputError(f"{one!r} is no range of versions; write >=0.2,<0.10")
    sign, limit = match.groups()
    mine, its = (_release(v) for v in (version, limit))
    width = max(len(mine), len(its))
    a, b = (v + (0,) * (width - len(v)) for v in (mine, its))
    if sign == "<=":                                                    # <=0.5 means every 0.5.x
        return a[:len(its)] <= its
    return {">=": a >= b, ">": a > b, "<": a < b, "==": a[:len(its)] == its}[sign]


def _release(version: str) -> tuple[int, ...]:
    numbers = re.match(r"[0-9]+(\.[0-9]+)*", version)
    if numbers is None:
        raise InputError(f"{version!r} is no version; numbers with points between them are expected, such as 0.9.0")
    return tuple(int(n) for n in numbers.group().split("."))
