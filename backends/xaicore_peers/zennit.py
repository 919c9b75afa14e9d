"""zennit: LRP rules and composites by hooks on torch modules.

zennit leaves the seed to its user. Relevance here starts as the output of the target (Σ R = f), a gradient as 1 there.
"""

from __future__ import annotations

from typing import Any

from xaicore_peers.protocol import Array, Library
from xaicore_peers.torches import array, one_hot, tensor


def _attribute(attributor: Any, x: Array, target: Any, relevance: bool) -> Array:
    def seed(out: Any) -> Any:
        hot = one_hot(out, target)
        return hot * out.detach() if relevance else hot

    with attributor:
        _, found = attributor(tensor(x).requires_grad_(), seed)
    return array(found)


def _composite(name: str, relevance: bool = True) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, **settings: Any) -> Array:
        from zennit import composites
        from zennit.attribution import Gradient

        bounds = {k: tensor(x * 0 + v) for k, v in settings.items() if k in ("low", "high")}
        return _attribute(Gradient(model, getattr(composites, name)(**{**settings, **bounds})), x, target, relevance)

    return explain


def _rule(name: str) -> Any:
    """One rule for every convolution and dense layer; activations and normalisation pass, averages are shared in proportion."""
    def explain(model: Any, x: Array, target: Any, baseline: Any, **settings: Any) -> Array:
        from zennit import rules
        from zennit.attribution import Gradient
        from zennit.composites import LayerMapComposite
        from zennit.types import Activation, AvgPool, BatchNorm, Convolution, Linear

        bounds = {k: tensor(x * 0 + v) for k, v in settings.items() if k in ("low", "high")}
        chosen = getattr(rules, name)(**{**settings, **bounds})
        table = [(Activation, rules.Pass()), (BatchNorm, rules.Pass()), (AvgPool, rules.Norm()), ((Convolution, Linear), chosen)]
        return _attribute(Gradient(model, LayerMapComposite(layer_map=table)), x, target, True)

    return explain


def gradient(model: Any, x: Array, target: Any, baseline: Any) -> Array:
    """The gradient."""
    from zennit.attribution import Gradient

    return _attribute(Gradient(model), x, target, False)


def smooth_grad(model: Any, x: Array, target: Any, baseline: Any, noise_level: float = 0.1, n_iter: int = 20, seed: int = 0) -> Array:
    """The gradient averaged over noisy inputs."""
    import torch
    from zennit.attribution import SmoothGrad

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return _attribute(SmoothGrad(model, noise_level=noise_level, n_iter=n_iter), x, target, False)


def integrated_gradients(model: Any, x: Array, target: Any, baseline: Any, n_iter: int = 20) -> Array:
    """Integrated gradients, right ends of the steps."""
    from zennit.attribution import IntegratedGradients

    from xaicore_peers.torches import base

    start = base(baseline, x)
    return _attribute(IntegratedGradients(model, baseline_fn=lambda _: start, n_iter=n_iter), x, target, False)


def occlusion(model: Any, x: Array, target: Any, baseline: Any, window: Any = 8, stride: Any = 8) -> Array:
    """The output with only a window of x kept, added up over windows."""
    from zennit.attribution import Occlusion

    def whole(v: Any) -> Any:
        return tuple(v) if isinstance(v, list) else v

    return _attribute(Occlusion(model, window=whole(window), stride=whole(stride)), x, target, True)


ZENNIT = Library("zennit", "zennit", "zennit", "torch", {
    "Gradient": gradient, "SmoothGrad": smooth_grad, "IntegratedGradients": integrated_gradients, "Occlusion": occlusion,
    **{k: _composite(k) for k in ("EpsilonPlus", "EpsilonPlusFlat", "EpsilonAlpha2Beta1", "EpsilonAlpha2Beta1Flat", "EpsilonGammaBox")},
    **{k: _composite(k, False) for k in ("GuidedBackprop", "DeconvNet", "ExcitationBackprop")},
    **{k: _rule(k) for k in ("Epsilon", "ZPlus", "AlphaBeta", "Gamma", "WSquare", "Flat", "ZBox")},
})
