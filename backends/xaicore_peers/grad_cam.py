"""pytorch-grad-cam: class activation maps, rectified, scaled to [0, 1] and to the size of the input; ``layer`` is a submodule's name."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.protocol import Array, Library, targets
from xaicore_peers.torches import layer_of, tensor


def _cam(name: str) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, layer: str = "", aug_smooth: bool = False, eigen_smooth: bool = False,
                **options: Any) -> Array:
        import pytorch_grad_cam
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        chosen = None if target is None else [ClassifierOutputTarget(int(t)) for t in targets(target, len(x))]
        wanted = [layer_of(model, layer)]
        with getattr(pytorch_grad_cam, name)(model=model, target_layers=wanted, **options) as cam:
            found = cam(input_tensor=tensor(x), targets=chosen, aug_smooth=aug_smooth, eigen_smooth=eigen_smooth)
        return np.asarray(found)[:, None]

    return explain


def guided_backprop(model: Any, x: Array, target: Any, baseline: Any, whole_batch: bool = False) -> Array:
    """Guided backpropagation, one sample at a time or the batch as it is, channels back in the second place."""
    from pytorch_grad_cam import GuidedBackpropReLUModel

    if whole_batch:
        chosen = None if target is None else int(np.asarray(target).reshape(-1)[0])
        return np.moveaxis(np.asarray(GuidedBackpropReLUModel(model=model, device="cpu")(tensor(x), target_category=chosen)), -1, -3)
    found = [GuidedBackpropReLUModel(model=model, device="cpu")(tensor(one[None]), target_category=None if t is None else int(t))
             for one, t in zip(x, [None] * len(x) if target is None else targets(target, len(x)))]
    return np.stack([np.moveaxis(f, -1, 0) for f in found])


GRAD_CAM = Library("grad_cam", "grad-cam", "pytorch_grad_cam", "torch", {
    **{k: _cam(k) for k in ("GradCAM", "GradCAMPlusPlus", "HiResCAM", "GradCAMElementWise", "XGradCAM", "LayerCAM", "AblationCAM",
                            "ScoreCAM", "EigenCAM", "EigenGradCAM", "FullGrad", "FEM", "ShapleyCAM")},
    "GuidedBackprop": guided_backprop,
})
