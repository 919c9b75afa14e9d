"""One network written in torch, Keras and ONNX, with the same weights: every method says the same about all three.

Padding is written in every way that there is: in the convolution (torch), as a Pad node (ONNX), once each way (Keras).
"""

import os

import numpy as np
import pytest

import xaicore as xc
from tests.methods.games import DATA
from tests.nets import close

torch = pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

BOX = {"low": -2, "high": 2}


def weights(seed: int = 0) -> dict[str, np.ndarray]:
    """In torch's layout, float32 values, so that every framework stores the same numbers."""
    rng = np.random.default_rng(seed)
    shapes = {"c1": (4, 1, 3, 3), "c2": (4, 4, 3, 3), "fc": (3, 4 * 4 * 4)}
    w = {f"{k}.w": rng.normal(size=s).astype("float32") / np.sqrt(np.prod(s[1:])).astype("float32") for k, s in shapes.items()}
    return w | {f"{k}.b": rng.normal(size=s[0]).astype("float32") * np.float32(0.1) for k, s in shapes.items()}


def in_torch(w):
    class Net(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.c1 = torch.nn.Conv2d(1, 4, 3, padding=1)
            self.c2 = torch.nn.Conv2d(4, 4, 3, padding=1)
            self.pool = torch.nn.MaxPool2d(2)
            self.fc = torch.nn.Linear(64, 3)

        def forward(self, x):
            h = torch.relu(self.c1(x))
            h = torch.relu(h + self.c2(h))
            return torch.softmax(self.fc(torch.flatten(self.pool(h), 1)), dim=-1)

    net = Net().eval()
    net.load_state_dict({f"{k}.{long}": torch.from_numpy(w[f"{k}.{short}"].copy()) for k in ("c1", "c2", "fc")
                         for long, short in (("weight", "w"), ("bias", "b"))})
    return xc.from_model(net, torch.randn(2, 1, 8, 8, generator=torch.Generator().manual_seed(0)))


def in_onnx(w):
    from onnx import TensorProto, helper, numpy_helper

    def node(op, inputs, output, **attributes):
        return helper.make_node(op, inputs, [output], name=output, **attributes)

    nodes = [
        node("Pad", ["x", "pads"], "around x"), node("Conv", ["around x", "c1.w", "c1.b"], "c1"), node("Relu", ["c1"], "r1"),
        node("Pad", ["r1", "pads"], "around r1"), node("Conv", ["around r1", "c2.w", "c2.b"], "c2"), node("Add", ["r1", "c2"], "sum"), node("Relu", ["sum"], "r2"),
        node("MaxPool", ["r2"], "pool", kernel_shape=[2, 2], strides=[2, 2]), node("Flatten", ["pool"], "flat"),
        node("Gemm", ["flat", "fc.w", "fc.b"], "fc", transB=1), node("Softmax", ["fc"], "p", axis=-1)]
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 8, 8])],
                              [helper.make_tensor_value_info("p", TensorProto.FLOAT, ["N", 3])],
                              [numpy_helper.from_array(v, k) for k, v in (w | {"pads": np.array([0, 0, 1, 1, 0, 0, 1, 1])}).items()])
    return xc.from_model(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9))


def in_keras(w):
    os.environ.setdefault("KERAS_BACKEND", "torch")
    keras = pytest.importorskip("keras")
    layers = keras.layers
    x = keras.Input((8, 8, 1), name="x")
    c1, c2 = (layers.Conv2D(4, 3, padding=how, name=k) for k, how in (("c1", "valid"), ("c2", "same")))
    h = layers.ReLU(name="r1")(c1(layers.ZeroPadding2D(1)(x)))
    h = layers.ReLU(name="r2")(layers.Add(name="sum")([h, c2(h)]))
    fc = layers.Dense(3, activation="softmax", name="fc")
    model = keras.Model(x, fc(layers.Flatten(name="flat")(layers.MaxPooling2D(2, name="pool")(h))))
    for k, layer in (("c1", c1), ("c2", c2)):
        layer.set_weights([w[f"{k}.w"].transpose(2, 3, 1, 0), w[f"{k}.b"]])
    by_place = w["fc.w"].reshape(3, 4, 4, 4).transpose(2, 3, 1, 0).reshape(64, 3)      # Keras flattens channels last
    fc.set_weights([by_place, w["fc.b"]])
    return xc.from_model(model, np.random.default_rng(1).normal(size=(2, 8, 8, 1)).astype("float32"))


@pytest.fixture(scope="module")
def graphs():
    w = weights()
    return {"torch": in_torch(w), "onnx": in_onnx(w), "keras": in_keras(w)}


OTHERS = (DATA - {"rate", "segmentation"}) | {"cam", "linear_shap", "max_shap", "attention_rollout", "lrp.restructured", "patternnet", "pattern_attribution", "attfind"}
"""Methods that ask for another network or for data: a pooled or affine head, attention, one output that can be flooded, styles, samples."""
DISTRIBUTED = [f"{k} distributed" for k, row in sorted(xc.METHODS.items()) if "bias" in row.settings]


@pytest.mark.parametrize("method", sorted(set(xc.METHODS) - OTHERS) + DISTRIBUTED)
def test_the_same_attribution(graphs, method):
    x = np.random.default_rng(2).normal(size=(2, 1, 8, 8))
    method, *distributed = method.split()
    settings = {k: v for k, v in BOX.items() if k in xc.METHODS[method].settings} | ({"bias": "distribute"} if distributed else {})
    at_layer = xc.METHODS[method].layer == "own"
    if at_layer:
        layers = {"torch": "c2", "onnx": "c2", "keras": "c2"}
    found = {}
    for name, graph in graphs.items():
        own = dict(settings) | ({"layer": layers[name]} if at_layer else {})
        fed = x.transpose(0, 2, 3, 1) if name == "keras" else x
        a = xc.explain(graph, fed, method, target=1, **own)
        values = np.asarray(a)
        if name == "keras":
            values = values.transpose(0, 3, 1, 2) if values.shape[-1] == 1 else values
        found[name] = (a.output, values)
    for name in ("onnx", "keras"):
        assert close(found[name][0], found["torch"][0])
        # 1e-6 relative is the promise; the weights are the same float32 numbers and the arithmetic is float64
        assert close(found[name][1], found["torch"][1], 1e-6), name
