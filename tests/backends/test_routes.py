"""The same model by several routes: torch, the ONNX file that torch writes of it, Keras natively and through torch.

The reference is the graph that the model's own backend makes; the promise is 1e-6 of the largest attribution. The table of whole sets
of models is docs/coverage.md ("The same model by several routes").
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

import numpy as np
import pytest

import xaicore as xc

torch = pytest.importorskip("torch")
pytest.importorskip("onnxscript")

from torch import nn  # noqa: E402 (torch may be absent)
from xaicore_torch.export import quiet  # noqa: E402

from tests.backends import torch_networks as nets  # noqa: E402
from tests.backends.torch_cases import draw, shake  # noqa: E402
from tests.backends.torch_compare import calibrate  # noqa: E402

METHODS: dict[str, dict[str, Any]] = {
    "gradient": {}, "lrp.epsilon": {}, "lrp.epsilon_plus": {}, "deeplift.rescale": {}, "integrated_gradients": {"steps": 4},
}


def written(model: Any, x: Any) -> xc.Graph:
    """The graph of the file that torch writes of a module or of an exported program."""
    with quiet():
        file = torch.onnx.export(model, (x,), dynamo=True) if isinstance(model, nn.Module) else torch.onnx.export(model, dynamo=True)
    return xc.from_model(file.model_proto, x.numpy())


def the_same(one: xc.Graph, two: xc.Graph, x: np.ndarray) -> None:
    """Every method says the same."""
    for method, settings in METHODS.items():
        a, b = (np.asarray(xc.explain(g, x, method, 1, **settings)) for g in (one, two))
        assert np.abs(a - b).max() <= 1e-6 * np.abs(a).max(), method
        assert np.abs(a).max() > 0


class Mobile(nn.Module):
    """An inverted residual with ReLU6 and a gate by context, and SiLU, which ONNX writes as a product."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide, self.deep = nets.conv_block(3, 4, stride=2), nn.Conv2d(4, 8, 1, bias=False), nn.Conv2d(8, 8, 3, 1, 1, groups=8, bias=False)
        self.norms = nn.ModuleList(nn.BatchNorm2d(n) for n in (8, 8, 4))
        self.down, self.up, self.narrow, self.head = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1), nn.Conv2d(8, 4, 1, bias=False), nn.Linear(4, 5)

    def forward(self, x: Any) -> Any:
        x = self.stem(x)
        y = nn.functional.silu(self.norms[1](self.deep(nn.functional.relu6(self.norms[0](self.wide(x))))))
        y = y * torch.sigmoid(self.up(nn.functional.silu(self.down(y.mean((2, 3), keepdim=True)))))
        return self.head((x + self.norms[2](self.narrow(y))).mean((2, 3)))


class Vit(nn.Module):
    """Patches, a class token, torch's own encoder layer."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.zeros(1, 1, 8))
        self.layer, self.head = nn.TransformerEncoderLayer(8, 2, 16, activation="gelu", batch_first=True, norm_first=True), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).flatten(2).mT
        x = self.layer(torch.cat([self.token.expand(len(x), 1, 8), x], 1))
        return self.head(x[:, 0])


class LastPool(nn.Module):
    """Channels last, and a pool over all of them: torch writes its strides into the file as a look-up across the batch."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.norm, self.head = nn.Conv2d(3, 6, 2, 2), nn.LayerNorm(6), nn.Linear(6, 5)

    def forward(self, x: Any) -> Any:
        x = self.norm(self.stem(x).permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return self.head(nn.functional.adaptive_avg_pool2d(x, 1).flatten(1))


class Language(nn.Module):
    """Patches through torch's RMSNorm, one that is written with a cast (as Llama has it), and one across channels (as MobileNetV5 has it)."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.norm, self.gain, self.channels = nn.Conv2d(3, 6, 4, 4), nn.RMSNorm(6, 1e-6), nn.Parameter(torch.ones(6)), nn.Parameter(torch.ones(6))
        self.mix, self.head = nn.Linear(6, 6), nn.Linear(6, 5)

    def forward(self, x: Any) -> Any:
        x = self.patch(x)
        x = x * torch.rsqrt(x.pow(2).mean(1, keepdim=True) + 1e-6) * self.channels[:, None, None]
        y = self.mix(self.norm(x.flatten(2).mT)).relu()
        z = y.to(torch.float64)
        y = self.gain * (z * torch.rsqrt(z.square().mean(-1, keepdim=True) + 1e-6)).to(y.dtype)
        return self.head(y.mean(1))


NETS: dict[str, Callable[[], nn.Module]] = {
    "resnet": nets.resnet, "vgg": lambda: nn.Sequential(*list(nets.vgg())[:-6], nn.Flatten(), nn.LazyLinear(5)), "mobile": Mobile, "vit": Vit,
    "channels last": LastPool, "dense": lambda: nets.Dense(), "lenet": nets.lenet, "rmsnorm": Language,
}
QUICK = ("vit", "rmsnorm")


@pytest.mark.parametrize("name", [n if n in QUICK else pytest.param(n, marks=pytest.mark.thorough) for n in NETS])
def test_torch_and_the_onnx_file_that_it_writes(name: str) -> None:
    x = draw(2, 3, 16, 16)
    model = NETS[name]().double()
    with torch.no_grad():
        model(x)                                                        # lazy layers learn their size
    calibrate(shake(model), x)
    the_same(xc.from_model(model, x), written(model, x), x.numpy())


# ----- Keras applications ---------------------------------------------------------------------------------------------


APPLICATIONS: dict[str, dict[str, Any]] = {
    "MobileNet": {"alpha": 0.25}, "MobileNetV2": {"alpha": 0.35}, "ResNet50": {}, "VGG16": {}, "DenseNet121": {}, "EfficientNetV2B0": {},
}


@pytest.fixture
def keras(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Keras on torch, in float64 throughout: as it comes it computes much of a float64 model in float32."""
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    if keras.backend.backend() != "torch":
        pytest.skip("the other routes are torch's, so Keras must run on it")
    from keras.src.backend.common import dtypes

    monkeypatch.setitem(dtypes.BIT64_TO_BIT32_DTYPE, "float64", "float64")
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield keras
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def drawn(model: Any, x: Any) -> None:
    """Kernels N(0, 2 / fan-in), scales U(0.5, 1.5), the rest N(0, 0.1); batch statistics those of the samples, a tenth off."""
    rng = np.random.default_rng(0)
    for w in model.weights:
        shape, name = tuple(w.shape), w.path.rpartition("/")[2]
        fan = np.prod(shape[:-2] if "depthwise" in w.path else shape[:-1]) if len(shape) > 1 else 100
        positive = name in ("gamma", "moving_variance")
        w.assign(torch.from_numpy(rng.uniform(0.5, 1.5, shape) if positive else rng.normal(0, (2 / fan) ** 0.5, shape)))
    for layer in model._flatten_layers():
        if type(layer).__name__ == "BatchNormalization":
            def taken(v: Any, *args: Any, layer: Any = layer, call: Any = layer.call, **kwargs: Any) -> Any:
                axes = tuple(range(v.ndim - 1))
                layer.moving_mean.assign(v.mean(axes) + 0.1 * v.std(axes))
                layer.moving_variance.assign(v.var(axes, unbiased=False) * 1.1 + 1e-3)
                del layer.call
                return call(v, *args, **kwargs)

            layer.call = taken
    with torch.no_grad():
        model(x, training=False)


def as_written(graph: xc.Graph) -> xc.Graph:
    """The graph with the settings of its operators (ε of norms) in float32, in which an ONNX file holds them."""
    def rounded(op: Any) -> Any:
        return replace(op, **{f.name: float(np.float32(v)) for f in fields(op) if isinstance(v := getattr(op, f.name), float)})

    return replace(graph, nodes=tuple(replace(n, op=rounded(n.op)) for n in graph.nodes))


@pytest.mark.thorough
@pytest.mark.parametrize("name", APPLICATIONS)
def test_a_keras_application_natively_and_through_torch(name: str, keras: Any) -> None:
    model = getattr(keras.applications, name)(weights=None, input_shape=(32, 32, 3), classes=5, classifier_activation=None, **APPLICATIONS[name])
    x = torch.from_numpy(np.random.default_rng(1).uniform(0, 255, (4, 32, 32, 3)))
    drawn(model, x)
    native = xc.from_model(model, x[:2].numpy())
    with quiet():
        program = torch.export.export(model, (x[:2],), strict=False)    # for both routes; with a free batch it takes four times as long
    live = name == "MobileNet"
    through_torch = importlib.import_module("xaicore_torch").to_graph(model if live else program, x[:2], verify=live)
    the_same(native, through_torch, x[:2].numpy())
    the_same(as_written(native), written(program, x[:2]), x[:2].numpy())
