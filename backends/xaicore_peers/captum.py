"""captum: gradients, paths, DeepLIFT, LRP and perturbation by hooks on torch modules."""

from __future__ import annotations

from typing import Any

from xaicore_peers.protocol import Array, Library
from xaicore_peers.torches import array, base, index, layer_of, tensor


def _call(explainer: Any, x: Array, target: Any, baseline: Any = "none", **settings: Any) -> Array:
    given = {} if isinstance(baseline, str) else {"baselines": base(baseline, x)}
    return array(explainer.attribute(tensor(x), target=index(target, len(x)), **given, **settings))


def _plain(name: str, **fixed: Any) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, **settings: Any) -> Array:
        import captum.attr

        return _call(getattr(captum.attr, name)(model), x, target, **fixed, **settings)

    return explain


def saliency(model: Any, x: Array, target: Any, baseline: Any, abs: bool = True) -> Array:
    """|gradient|, or the gradient."""
    from captum.attr import Saliency

    return _call(Saliency(model), x, target, abs=abs)


def integrated_gradients(model: Any, x: Array, target: Any, baseline: Any, n_steps: int = 50, quadrature: str = "gausslegendre",
                         multiply_by_inputs: bool = True) -> Array:
    """Integrated gradients with captum's quadratures."""
    from captum.attr import IntegratedGradients

    return _call(IntegratedGradients(model, multiply_by_inputs), x, target, baseline, n_steps=n_steps, method=quadrature)


def deep_lift(model: Any, x: Array, target: Any, baseline: Any, multiply_by_inputs: bool = True, eps: float = 1e-10) -> Array:
    """DeepLIFT, Rescale."""
    from captum.attr import DeepLift

    return _call(DeepLift(model, multiply_by_inputs=multiply_by_inputs, eps=eps), x, target, baseline)


def deep_lift_shap(model: Any, x: Array, target: Any, baseline: Any) -> Array:
    """DeepLIFT averaged over the rows of ``baseline``."""
    from captum.attr import DeepLiftShap

    return array(DeepLiftShap(model).attribute(tensor(x), tensor(baseline), target=index(target, len(x))))


def lrp(model: Any, x: Array, target: Any, baseline: Any, rule: str = "", **options: Any) -> Array:
    """LRP; ``rule`` is the name of one of captum's rules for every layer that has weights ("Alpha1_Beta0_Rule")."""
    from captum.attr import LRP
    from captum.attr._utils import lrp_rules

    if rule:
        for module in model.modules():
            if hasattr(module, "weight"):
                module.rule = getattr(lrp_rules, rule)(**options)
    return _call(LRP(model), x, target)


def occlusion(model: Any, x: Array, target: Any, baseline: Any, window: Any = 1, strides: Any = None) -> Array:
    """A window over the last axes; ``window`` is its whole shape without the batch, or one length for the last axis."""
    from captum.attr import Occlusion

    shape = tuple(window) if isinstance(window, (tuple, list)) else (*(1,) * (x.ndim - 2), window)
    steps = tuple(strides) if isinstance(strides, list) else strides
    return _call(Occlusion(model), x, target, baseline, sliding_window_shapes=shape, strides=steps)


def _baselined(name: str) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any) -> Array:
        import captum.attr

        return _call(getattr(captum.attr, name)(model), x, target, baseline)

    return explain


def _sampled(name: str) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, n_samples: int = 25, seed: int = 0) -> Array:
        import captum.attr
        import torch

        with torch.random.fork_rng():
            torch.manual_seed(seed)
            return _call(getattr(captum.attr, name)(model), x, target, baseline, n_samples=n_samples)

    return explain


def noise_tunnel(model: Any, x: Array, target: Any, baseline: Any, nt_type: str = "smoothgrad", nt_samples: int = 5, stdevs: float = 1.0,
                 seed: int = 0) -> Array:
    """Noise around the signed gradient."""
    import torch
    from captum.attr import NoiseTunnel, Saliency

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _call(NoiseTunnel(Saliency(model)), x, target, nt_type=nt_type, nt_samples=nt_samples, stdevs=stdevs, abs=False)


def _layer(name: str, baselined: bool = False) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, layer: str = "", **settings: Any) -> Array:
        import captum.attr

        explainer = getattr(captum.attr, name)(model, layer_of(model, layer))
        return _call(explainer, x, target, baseline if baselined else "none", **settings)

    return explain


def neuron_conductance(model: Any, x: Array, target: Any, baseline: Any, layer: str = "", neuron: Any = 0, n_steps: int = 50,
                       quadrature: str = "riemann_trapezoid") -> Array:
    """The part of the integrated gradient that flows through one neuron."""
    from captum.attr import NeuronConductance

    explainer = NeuronConductance(model, layer_of(model, layer))
    at = tuple(neuron) if isinstance(neuron, list) else neuron
    chosen = index(target, len(x))
    return array(explainer.attribute(tensor(x), at, baselines=base(baseline, x), target=chosen, n_steps=n_steps, method=quadrature))


CAPTUM = Library("captum", "captum", "captum", "torch", {
    "Saliency": saliency, "InputXGradient": _plain("InputXGradient"), "GuidedBackprop": _plain("GuidedBackprop"),
    "Deconvolution": _plain("Deconvolution"), "IntegratedGradients": integrated_gradients, "DeepLift": deep_lift,
    "DeepLiftShap": deep_lift_shap, "LRP": lrp, "Occlusion": occlusion, "FeatureAblation": _baselined("FeatureAblation"),
    "ShapleyValues": _baselined("ShapleyValues"), "ShapleyValueSampling": _sampled("ShapleyValueSampling"),
    "KernelShap": _sampled("KernelShap"), "Lime": _sampled("Lime"), "NoiseTunnel": noise_tunnel,
    "LayerGradCam": _layer("LayerGradCam"), "GuidedGradCam": _layer("GuidedGradCam"),
    "LayerGradientXActivation": _layer("LayerGradientXActivation"), "LayerConductance": _layer("LayerConductance", True),
    "InternalInfluence": _layer("InternalInfluence", True), "LayerIntegratedGradients": _layer("LayerIntegratedGradients", True),
    "LayerDeepLift": _layer("LayerDeepLift", True), "LayerLRP": _layer("LayerLRP"), "NeuronConductance": neuron_conductance,
})
