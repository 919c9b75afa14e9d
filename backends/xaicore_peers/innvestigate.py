"""innvestigate: gradients, LRP and deep Taylor of Keras 2 models on TensorFlow in graph mode; names are those of its analyzers.

Keras 2 knows no keras.ops, with which xaicore_keras emits, so that the plain layers that innvestigate knows are written out here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from xaicore import ops
from xaicore.errors import ConversionError
from xaicore.graph import Graph
from xaicore.graph.files import load
from xaicore_peers.kerases import images
from xaicore_peers.protocol import Array, Library, targets

ANALYZERS = {
    "Gradient": "gradient", "IntegratedGradients": "integrated_gradients", "SmoothGrad": "smoothgrad", "GuidedBackprop": "guided_backprop",
    "Deconvnet": "deconvnet", "InputTimesGradient": "input_t_gradient", "DeepTaylor": "deep_taylor",
    "LRPZ": "lrp.z", "LRPEpsilon": "lrp.epsilon", "LRPWSquare": "lrp.w_square", "LRPFlat": "lrp.flat",
    "LRPAlpha2Beta1": "lrp.alpha_2_beta_1", "LRPAlpha2Beta1IgnoreBias": "lrp.alpha_2_beta_1_IB", "LRPAlpha1Beta0": "lrp.alpha_1_beta_0",
    "LRPZPlus": "lrp.z_plus", "LRPZPlusFast": "lrp.z_plus_fast", "LRPSequentialPresetA": "lrp.sequential_preset_a",
    "LRPSequentialPresetB": "lrp.sequential_preset_b",
}


def _analyzer(name: str) -> Any:
    def explain(model: Any, x: Array, target: Any, baseline: Any, **options: Any) -> Array:
        import innvestigate

        single = model.output_shape[-1] == 1
        given = {} if baseline is None or name != "IntegratedGradients" else {"reference_inputs": np.asarray(baseline, dtype=np.float32)}
        analyzer = innvestigate.create_analyzer(ANALYZERS[name], model, neuron_selection_mode="max_activation" if single else "index",
                                                **given, **options)
        chosen = [{} if single else {"neuron_selection": int(t)} for t in targets(0 if target is None else target, len(x))]
        return np.concatenate([np.asarray(analyzer.analyze(x[n:n + 1].astype(np.float32), **one)) for n, one in enumerate(chosen)])

    return images(explain)


# ----- a graph as a model of Keras 2 ---------------------------------------------------------------------------------


def keras2(graph: Graph, fused: bool = False) -> Any:
    """The graph, with its images channels last, as a tf.keras model of plain layers, a ReLU within the layer before it where ``fused``;
    ConversionError for what is none."""
    from tensorflow import keras

    values: dict[str, Any] = {}
    for name, spec in graph.inputs.items():
        values[name] = keras.Input(spec.shape[1:] if len(spec.shape) < 3 else (*spec.shape[2:], spec.shape[1]))
    inputs, stored = list(values.values()), []
    before = {n.inputs[0]: n.name for n in graph.nodes if fused and isinstance(n.op, ops.ReLU)}
    within = {before[n.name] for n in graph.nodes if n.name in before and isinstance(n.op, (ops.Dense, ops.Conv))}
    for node in graph.nodes:
        xs = [values[i] for i in node.inputs if i in values]
        if node.name in within:
            values[node.name] = xs[0]
            continue
        weights = [np.asarray(graph.params[i], dtype=np.float32) for i in node.inputs if i in graph.params]
        if type(node.op) not in MADE or len(xs) + len(weights) != len(node.inputs):
            raise ConversionError(f"node {node.name!r}: {node.op} is none of the layers of Keras 2 that xaicore_peers.innvestigate writes")
        if isinstance(node.op, ops.Flatten) and len(xs[0].shape) == 4:
            xs = [keras.layers.Permute((3, 1, 2))(xs[0])]
        layer = MADE[type(node.op)](keras.layers, node.op, weights)
        if before.get(node.name) in within:
            layer.activation = keras.activations.relu
        values[node.name] = layer(xs[0] if len(xs) == 1 else xs)
        stored.append((layer, weights, node.op))
    model = keras.Model(inputs, [values[o] for o in graph.outputs])
    for layer, weights, o in stored:
        if weights:
            order = {ops.Dense: (1, 0), ops.Conv: (2, 3, 1, 0)}.get(type(o))
            layer.set_weights([weights[0].transpose(order) if order else weights[0], *weights[1:]])
    return model


def _window(o: Any) -> dict[str, Any]:
    if any(p != (0, 0) for p in o.pads) or any(d != 1 for d in o.dilation) or o.ceil:
        raise ConversionError(f"{o}: a pool without padding is expected")
    return {"pool_size": o.kernel, "strides": o.stride or o.kernel}


def _conv(layers: Any, o: Any, weights: list[Any]) -> Any:
    w = weights[0]
    k, strides = w.shape[2:], o.stride or (1, 1)
    same = bool(o.pads) and all(a == b == (n - 1) // 2 for (a, b), n in zip(o.pads, k)) and all(n % 2 for n in k) and set(strides) == {1}
    if w.ndim != 4 or (any(p != (0, 0) for p in o.pads) and not same):
        raise ConversionError(f"{o}: a convolution of images, without padding or with half of the kernel around, is expected")
    return layers.Conv2D(len(w), k, strides, "same" if same else "valid", dilation_rate=o.dilation or (1, 1), groups=o.groups,
                         use_bias=len(weights) > 1)


MADE: Mapping[type[ops.Op], Callable[[Any, Any, list[Any]], Any]] = {
    ops.Dense: lambda layers, o, w: layers.Dense(len(w[0]), use_bias=len(w) > 1), ops.Conv: _conv,
    ops.ReLU: lambda layers, o, w: layers.Activation("relu"), ops.Tanh: lambda layers, o, w: layers.Activation("tanh"),
    ops.Softmax: lambda layers, o, w: layers.Activation("softmax"), ops.Flatten: lambda layers, o, w: layers.Flatten(),
    ops.MaxPool: lambda layers, o, w: layers.MaxPooling2D(**_window(o)),
    ops.AvgPool: lambda layers, o, w: layers.AveragePooling2D(**_window(o)),
    ops.Add: lambda layers, o, w: layers.Add(), ops.BatchNorm: lambda layers, o, w: layers.BatchNormalization(-1, epsilon=float(o.eps)),
}
"""Operator -> (keras.layers, the operator, its weights) -> a layer."""


class _InGraphMode(Library):
    """The library, with TensorFlow told before the first model that nothing is eager, as innvestigate 2 wants it."""

    def explain(self, method: str, model: Any, x: Any, target: Any = None, baseline: Any = None, **settings: Any) -> Array:
        """What the analyzer gives, sample by sample."""
        import tensorflow

        tensorflow.compat.v1.disable_eager_execution()
        graph = load(model) if isinstance(model, (str, Path)) and not str(model).endswith(".py") else model
        fused = settings.pop("fused", False)
        return super().explain(method, keras2(graph, fused) if isinstance(graph, Graph) else graph, x, target, baseline, **settings)


INNVESTIGATE = _InGraphMode("innvestigate", "innvestigate", "innvestigate", "keras", {k: _analyzer(k) for k in ANALYZERS}, dtype="float32")
