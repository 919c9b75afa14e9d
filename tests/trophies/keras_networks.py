"""The networks of the scripts on TensorFlow written once more as graphs, for our side; images are (N, C, H, W)."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore import Builder, Graph
from xaicore.ops import Add, Conv, Dense, Flatten, GlobalAvgPool, ReLU, ReLU6


def dense(*weights: Any, bias: Any = None, between: Any = None) -> Graph:
    """Dense layers with an activation between them; the last has the bias."""
    b = Builder("net")
    h = b.input("x", (None, len(weights[0][0])))
    for k, w in enumerate(weights):
        extra = (b.param("bias", bias),) if bias is not None and k == len(weights) - 1 else ()
        h = b.add(Dense(), h, b.param(f"w{k}", w), *extra, name=f"fc{k}")
        h = b.add(between, h, name=f"act{k}") if between is not None and k < len(weights) - 1 else h
    return b.build(h)


def residual() -> Graph:
    """relu(x) + relu(relu(x)), times 1."""
    b = Builder("net")
    h = b.add(ReLU(), b.add(Dense(), b.input("x", (None, 1)), b.param("w0", [[1.0]])))
    g = b.add(ReLU(), b.add(Dense(), h, b.param("w1", [[1.0]])))
    return b.build(b.add(Dense(), b.add(Add(), h, g), b.param("w2", [[1.0]])))


def mean_of_conv(scale: float) -> Graph:
    """An image x -> a layer "conv" that is x itself -> its mean times ``scale``."""
    b = Builder("net")
    conv = b.add(Conv(), b.input("x", (None, 1, 2, 2)), b.param("w", np.ones((1, 1, 1, 1))), name="conv")
    return b.build(b.add(Dense(), b.add(Flatten(), b.add(GlobalAvgPool(), conv)), b.param("out", [[scale]])))


def capped() -> Graph:
    """The sum of min(max(x, 0), 6)."""
    b = Builder("net")
    return b.build(b.add(Dense(), b.add(ReLU6(), b.input("x", (None, 2))), b.param("w", [[1.0, 1.0]])))


IMAGE = np.array([[[[1.0, 2.0], [3.0, 4.0]]]])
MAP: dict[str, Any] = {"layer": "conv"}
NETWORKS: dict[str, tuple[Graph, Any, dict[str, Any]]] = {
    "innvestigate_alpha_beta_bias": (dense([[1.0, -0.5, -0.25]], bias=[0.5]), [[1.0, -2.0, 3.0]], {}),
    "innvestigate_deep_taylor_sum": (residual(), [[3.0]], {}),
    "innvestigate_smoothgrad_noise": (dense([[1.0], [-0.5]], [[1.0, -1.0]], between=ReLU()), [[0.5]],
                                      {"noise_scale": 1e-6, "augment_by_n": 50}),
    "tf_keras_vis_gradcampp_overflow": (mean_of_conv(100.0), IMAGE, {**MAP, "normalize_cam": True}),
    "xplique_gradcampp_mean": (mean_of_conv(4.0), IMAGE, MAP),
    "xplique_guided_relu6": (capped(), [[9.0, 3.0]], {}),
}
"""Script -> its network, its input, the settings of the call."""
