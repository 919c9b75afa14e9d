"""PAIR saliency: paths and regions for any function that gives gradients; one sample at a time, images (N, C, H, W) outside and channels
last inside."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.protocol import Array, Library, filled, targets
from xaicore_peers.torches import array, gradient, layer_of, score, tensor


def _function(model: Any, dtype: Any, layer: str = "") -> Any:
    """PAIR's call_model_function: gradients, or the output of the target, or a layer with its gradients."""
    def call(images: Array, call_model_args: Any = None, expected_keys: Any = None) -> dict[str, Array]:
        import torch
        from saliency.core import CONVOLUTION_LAYER_VALUES, CONVOLUTION_OUTPUT_GRADIENTS, INPUT_OUTPUT_GRADIENTS, OUTPUT_LAYER_VALUES

        given = np.asarray(images, dtype=dtype)
        x = tensor(np.moveaxis(given, -1, 1) if given.ndim == 4 else given)
        target = (call_model_args or {}).get("target")
        if OUTPUT_LAYER_VALUES in expected_keys:
            with torch.no_grad():
                return {OUTPUT_LAYER_VALUES: array(score(model, target)(x))}
        if CONVOLUTION_LAYER_VALUES in expected_keys:
            held: list[Any] = []
            hook = layer_of(model, layer).register_forward_hook(lambda m, a, y: held.append(y))
            try:
                f = score(model, target)(x.requires_grad_())
            finally:
                hook.remove()
            (g,) = torch.autograd.grad(f.sum(), held[0])
            last = (0, *range(2, held[0].ndim), 1)
            return {CONVOLUTION_LAYER_VALUES: array(held[0].permute(last)), CONVOLUTION_OUTPUT_GRADIENTS: array(g.permute(last))}
        found = array(gradient(model, x, target))
        return {INPUT_OUTPUT_GRADIENTS: np.moveaxis(found, 1, -1) if found.ndim == 4 else found}

    return call


def _each(name: str, mask: str, baselined: bool = False, layered: bool = False) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, layer: str = "", **settings: Any) -> Array:
        from saliency import core

        starts = filled(baseline, x)
        chosen = [None] * len(x) if target is None else targets(target, len(x))
        found = []
        inside = [np.moveaxis(v, 1, -1) if x.ndim == 4 else v for v in (x, starts)]
        for one, t, start in zip(inside[0], chosen, inside[1]):
            given = {"x_baseline": start} if baselined else {}
            call = _function(model, x.dtype, layer)
            found.append(np.asarray(getattr(getattr(core, name)(), mask)(one, call, {"target": t}, **given, **settings)))
        if x.ndim == 4:
            return np.stack([np.moveaxis(f, -1, 0) if f.ndim == 3 else f[None] for f in found])
        return np.stack(found)

    return explain


SALIENCY = Library("saliency", "saliency", "saliency", "torch", {
    "GradientSaliency": _each("GradientSaliency", "GetMask"), "IntegratedGradients": _each("IntegratedGradients", "GetMask", True),
    "GuidedIG": _each("GuidedIG", "GetMask", True), "BlurIG": _each("BlurIG", "GetMask"), "Occlusion": _each("Occlusion", "GetMask"),
    "SmoothGrad": _each("GradientSaliency", "GetSmoothedMask"), "GradCam": _each("GradCam", "GetMask"),
})
