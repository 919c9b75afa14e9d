"""Networks that torch exports, forward and gradient against torch."""

from __future__ import annotations

import io
import warnings
from typing import Any

import numpy as np
import pytest
from xaicore_onnx import to_graph

from tests.backends.common import input_gradients
from tests.backends.onnx_models import model, node, noise
from xaicore.ops import Transpose

# ----- gradients ----------------------------------------------------------------------------------------------------


def export(module: Any, example: Any, **more: Any) -> bytes:
    """torch's exporter that needs no further package; it is deprecated, hence the warnings."""
    torch = pytest.importorskip("torch")
    out = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(module.eval(), example, out, dynamo=False, opset_version=17, **more)
    return out.getvalue()


def convolutional() -> Any:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1, self.norm = nn.Conv2d(2, 4, 3, padding=1), nn.BatchNorm2d(4)
            self.conv2, self.up = nn.Conv2d(4, 4, 3, stride=2, padding=1, groups=2), nn.ConvTranspose2d(4, 4, 2, stride=2)
            self.fc = nn.Linear(4 * 4 * 4, 3)
            self.norm.running_mean.normal_()
            self.norm.running_var.uniform_(0.5, 2)

        def forward(self, x: Any) -> Any:
            x = torch.relu(self.norm(self.conv1(x)))
            x = x + self.up(nn.functional.silu(self.conv2(x)))
            x = nn.functional.max_pool2d(x, 3, stride=2, padding=1)
            return torch.log_softmax(self.fc(torch.flatten(nn.functional.gelu(x), 1)), 1)

    torch.manual_seed(0)
    return Net()


def transformer() -> Any:
    torch = pytest.importorskip("torch")
    from torch import nn

    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patches, self.token = nn.Conv2d(2, 8, 2, 2), nn.Parameter(torch.randn(1, 1, 8))
            self.body = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, activation="gelu")
            self.head = nn.Linear(8, 3)

        def forward(self, x: Any) -> Any:
            x = self.patches(x).flatten(2).transpose(1, 2)
            x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1)
            return self.head(self.body(x)[:, 0])

    torch.manual_seed(0)
    return Net()


@pytest.mark.parametrize("make", [convolutional, transformer])
@pytest.mark.parametrize("free", [True, False])
def test_gradients_of_an_exported_network_are_those_of_torch(make: Any, free: bool) -> None:
    torch = pytest.importorskip("torch")
    net = make().double().eval()
    x = torch.randn(2 if free else 1, 2, 8, 8, dtype=torch.double)
    data = export(net, x, input_names=["x"], dynamic_axes={"x": {0: "N"}} if free else None)
    graph = to_graph(data, x.numpy())
    assert graph.inputs["x"].shape == (None, 2, 8, 8)
    feed = torch.randn(3, 2, 8, 8, dtype=torch.double, requires_grad=True)
    y = net(feed)
    seed = torch.randn(y.shape, dtype=torch.double)
    y.backward(seed)
    # 1e-6: epsilon and the constants of gelu are stored in single precision, and so is what the exporter folds
    np.testing.assert_allclose(graph(feed.detach().numpy()), y.detach().numpy(), rtol=1e-6, atol=1e-6)
    mine = input_gradients(graph, feed.detach().numpy(), [seed.numpy()])["x"]
    np.testing.assert_allclose(mine, feed.grad.numpy(), rtol=1e-6, atol=1e-6 * float(feed.grad.abs().max()))
    assert "head" in {n.layer for n in graph.nodes} or "fc" in {n.layer for n in graph.nodes}


def test_identity_transposes_cost_nothing() -> None:
    """A permutation that moves the batch alone is no Transpose in the graph."""
    proto = model([node("Transpose", "x", "y", perm=[1, 0, 2])], {"x": noise(2, 3, 4)}, "y")
    graph = to_graph(proto, noise(2, 3, 4))
    assert not any(isinstance(n.op, Transpose) for n in graph.nodes)
    np.testing.assert_array_equal(graph(noise(2, 3, 4)), noise(2, 3, 4).astype(float))
