"""lime: a weighted linear model of the output around a sample, on rows of numbers or on segments of an image."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore_peers.protocol import Array, Library, targets
from xaicore_peers.torches import array, tensor


def _outputs(model: Any, x: Array) -> Any:
    def f(rows: Array) -> Array:
        import torch

        with torch.no_grad():
            return array(model(tensor(np.asarray(rows).reshape(-1, *x.shape[1:]).astype(x.dtype))))

    return f


def tabular(model: Any, x: Array, target: Any, baseline: Any, num_samples: int = 5000, kernel_width: float | None = None,
            discretize: bool = False, seed: int = 0) -> Array:
    """LimeTabularExplainer in regression mode; ``baseline`` is the training set that it takes means and scales from."""
    from lime.lime_tabular import LimeTabularExplainer

    flat = x.reshape(len(x), -1)
    data = np.asarray(baseline).reshape(len(baseline), -1)
    found = np.zeros(flat.shape)
    for n, t in enumerate([0] * len(x) if target is None else targets(target, len(x))):
        explainer = LimeTabularExplainer(data, mode="regression", kernel_width=kernel_width, discretize_continuous=discretize,
                                         feature_selection="none", random_state=seed)
        f = _outputs(model, x)
        one = explainer.explain_instance(flat[n], lambda rows, f=f, t=t: f(rows)[:, int(t)], num_features=flat.shape[1],
                                         num_samples=num_samples)
        for k, v in one.local_exp[1]:
            found[n, k] = v
    return found.reshape(x.shape)


def image(model: Any, x: Array, target: Any, baseline: Any, segments: Any = None, num_samples: int = 1000, kernel_width: float = 0.25,
          hide_color: float = 0.0, seed: int = 0) -> Array:
    """LimeImageExplainer on (N, 3, H, W); ``segments`` an (H, W) array of labels."""
    from lime.lime_image import LimeImageExplainer

    found = np.zeros(x.shape)
    for n, t in enumerate([0] * len(x) if target is None else targets(target, len(x))):
        explainer = LimeImageExplainer(kernel_width=kernel_width, feature_selection="none", random_state=seed)
        f = _outputs(model, x)
        one = explainer.explain_instance(
            np.moveaxis(x[n], 0, -1), lambda rows, f=f: f(np.moveaxis(np.asarray(rows), -1, 1)), labels=(int(t),), top_labels=None,
            hide_color=hide_color, num_samples=num_samples, segmentation_fn=lambda _: np.asarray(segments), random_seed=seed)
        for k, v in one.local_exp[int(t)]:
            found[n][:, np.asarray(segments) == k] = v
    return found


LIME = Library("lime", "lime", "lime", "torch", {"LimeTabular": tabular, "LimeImage": image})
