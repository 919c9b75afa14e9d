"""tf-keras-vis: saliency and class activation maps of Keras models on TensorFlow; ``layer`` is a layer's name."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.kerases import images, score
from xaicore_peers.protocol import Array, Library


def saliency(model: Any, x: Array, target: Any, baseline: Any, smooth_samples: int = 0, smooth_noise: float = 0.2, keepdims: bool = True,
             normalize_map: bool = False) -> Array:
    """|gradient|, by default without the maximum over channels and without scaling."""
    from tf_keras_vis.saliency import Saliency

    return np.asarray(Saliency(model)(score(target, len(x)), x, smooth_samples=smooth_samples, smooth_noise=smooth_noise,
                                      keepdims=keepdims, normalize_map=normalize_map))


def _cam(module: str, name: str) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, layer: str = "", normalize_cam: bool = False, expand_cam: bool = False,
                **options: Any) -> Array:
        from importlib import import_module

        maker = getattr(import_module(f"tf_keras_vis.{module}"), name)
        found = maker(model)(score(target, len(x)), x, penultimate_layer=layer or None, normalize_cam=normalize_cam,
                             expand_cam=expand_cam, **options)
        return np.asarray(found)

    return images(explain)


TF_KERAS_VIS = Library("tf_keras_vis", "tf-keras-vis", "tf_keras_vis", "keras", {
    "Saliency": images(saliency), "Gradcam": _cam("gradcam", "Gradcam"), "GradcamPlusPlus": _cam("gradcam_plus_plus", "GradcamPlusPlus"),
    "Layercam": _cam("layercam", "Layercam"), "Scorecam": _cam("scorecam", "Scorecam"),
}, dtype="float32")
