"""xplique: gradients, paths, maps and perturbations of Keras models on TensorFlow."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.kerases import images, one_hot
from xaicore_peers.protocol import Array, Library


def _attribution(name: str, **fixed: Any) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, **options: Any) -> Array:
        from xplique import attributions

        given = {**fixed, **options}
        if "layer" in given:
            given["conv_layer"] = given.pop("layer")
        if name == "IntegratedGradients" and baseline is not None:
            given["baseline_value"] = float(np.asarray(baseline))
        explainer = getattr(attributions, name)(model, **given)
        return np.asarray(explainer.explain(np.asarray(x, dtype=np.float32), one_hot(model, target, len(x))))

    return images(explain)


XPLIQUE = Library("xplique", "xplique", "xplique", "keras", {
    **{k: _attribution(k, reducer=None) for k in ("Saliency", "GradientInput", "IntegratedGradients", "SmoothGrad", "VarGrad", "SquareGrad",
                                                   "GuidedBackprop", "DeconvNet")},
    **{k: _attribution(k) for k in ("GradCAM", "GradCAMPP", "Occlusion", "Rise", "KernelShap", "Lime", "SobolAttributionMethod",
                                    "HsicAttributionMethod")},
}, dtype="float32")
