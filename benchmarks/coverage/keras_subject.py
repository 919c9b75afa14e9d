"""A Keras model as a subject: Keras on torch, in float64 throughout, parameters drawn anew, batch statistics calibrated."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "torch")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
import torch
from keras.src.backend.common import dtypes

from benchmarks.coverage.measure import Array, Subject
from xaicore.graph import Graph

SAMPLES = 2

dtypes.BIT64_TO_BIT32_DTYPE["float64"] = "float64"      # Keras computes much of a float64 model in float32, by this rule of promotion
keras.config.set_floatx("float64")
keras.config.set_dtype_policy("float64")


def keras_subject(model: Any, inputs: Sequence[Array], *, leaf: str = "", reduced: str = "") -> Subject:
    """``inputs``: an array for each input, with ``SAMPLES`` samples. ``leaf``: the Embedding at whose value ids are explained."""
    from xaicore_keras import to_graph

    randomise(model)
    calibrate(model, inputs)
    temper(model, inputs)
    names = [t._keras_history.operation.name for t in model.inputs]

    def convert() -> Graph:
        return to_graph(model, tuple(inputs), verify=False)

    def feeds() -> Mapping[str, Array]:
        return dict(zip(names, inputs, strict=True))

    def outputs() -> Sequence[Array]:
        with torch.no_grad():
            return [y.numpy() for y in call(model, [torch.from_numpy(x) for x in inputs])]

    def gradient(seeds: Sequence[Array]) -> Mapping[str, Array]:
        caught: dict[str, Any] = {}
        fed = [torch.from_numpy(x).requires_grad_(x.dtype.kind == "f") for x in inputs]
        layer = model.get_layer(leaf) if leaf else None
        if layer is not None:
            plain = layer.call

            def caught_call(*args: Any, **kwargs: Any) -> Any:
                caught[leaf] = plain(*args, **kwargs).detach().requires_grad_()
                return caught[leaf]

            layer.call = caught_call
        found = call(model, fed)
        if layer is not None:
            del layer.call
        total = sum((y * torch.from_numpy(s)).sum() for y, s in zip(found, seeds, strict=True) if y.requires_grad)
        leaves = caught or {k: t for k, t in zip(names, fed) if t.requires_grad}
        grads = torch.autograd.grad(total, list(leaves.values()), allow_unused=True)
        return {k: np.zeros(tuple(t.shape)) if g is None else g.numpy() for (k, t), g in zip(leaves.items(), grads)}

    known: dict[str, Any] = {}

    def exported() -> Any:
        from benchmarks.coverage.torch_subject import program_of

        if "program" not in known:
            known["program"] = program_of(model, tuple(torch.from_numpy(x) for x in inputs))
        return known["program"]

    def through_torch() -> Graph:
        from xaicore_torch import to_graph as of_a_program

        return of_a_program(exported(), tuple(torch.from_numpy(x) for x in inputs), verify=False)

    def through_onnx() -> Graph:
        from benchmarks.coverage.torch_subject import through_onnx as written

        return written(exported(), tuple(torch.from_numpy(x) for x in inputs))

    return Subject(
        convert, feeds, outputs, gradient, leaf=leaf, reduced=reduced, routes={"torch": through_torch, "torch, ONNX": through_onnx},
        facts={"parameters": int(model.count_params()), **({"side": inputs[0].shape[1]} if inputs[0].ndim == 4 else {})})


def call(model: Any, tensors: Sequence[Any]) -> list[Any]:
    """The model's outputs, at inference."""
    packed = keras.tree.pack_sequence_as(model.input, list(tensors))
    return list(keras.tree.flatten(model(packed, training=False)))


def randomise(model: Any, seed: int = 0) -> None:
    """Every weight drawn anew: kernels N(0, 1 / fan-in), convolutions N(0, 2 / fan-in), scales U(0.5, 1.5), shifts N(0, 0.1)."""
    rng = np.random.default_rng(seed)
    for w in model.weights:
        name, shape = w.path.rpartition("/")[2], tuple(w.shape)
        if not str(w.dtype).startswith("float"):
            continue
        if name in ("gamma", "scale", "variance", "moving_variance"):
            small = float(np.abs(keras.ops.convert_to_numpy(w)).max(initial=0)) < 0.3         # LayerScale
            x = rng.uniform(0.2, 0.8, shape) if small else rng.uniform(0.5, 1.5, shape)
        elif name == "embeddings":
            x = rng.normal(0, 1, shape)
        elif len(shape) < 2:
            x = rng.normal(0, 0.1, shape)
        else:
            fan = np.prod(shape[:-2]) if "depthwise" in w.path else np.prod(shape[:-1])
            x = rng.normal(0, np.sqrt((2 if len(shape) > 2 else 1) / fan), shape)
        w.assign(torch.from_numpy(np.asarray(x)))


def calibrate(model: Any, inputs: Sequence[Array], seed: int = 1) -> None:
    """BatchNormalizations take over the statistics of eight samples, the given ones and two of zeros (the baseline) among them, jittered by a tenth.

    With drawn ones a deep network forgets its input; with those of other samples, or of what was not jittered before, it grows a
    thousandfold in fifty blocks.
    """
    rng = np.random.default_rng(seed)
    norms = [layer for layer in model._flatten_layers() if isinstance(layer, keras.layers.BatchNormalization)]
    for norm in norms:
        def taken(v: Any, *args: Any, norm: Any = norm, plain: Any = norm.call, **kwargs: Any) -> Any:
            axes = tuple(k for k in range(v.ndim) if k != norm.axis % v.ndim)
            mean, variance = v.numpy().mean(axes), v.numpy().var(axes)
            norm.moving_mean.assign(torch.from_numpy(mean + 0.1 * np.sqrt(variance) * rng.standard_normal(mean.shape)))
            norm.moving_variance.assign(torch.from_numpy(variance * rng.uniform(0.9, 1.1, variance.shape) + 1e-6))
            return plain(v, *args, **kwargs)

        norm.call = taken
    if norms:
        with torch.no_grad():
            more = [np.concatenate([x, 0 * x, *(rng.permuted(x, axis=None).reshape(x.shape) for _ in range(2))]) for x in inputs]
            call(model, [torch.from_numpy(x) for x in more])
    for norm in norms:
        del norm.call


def temper(model: Any, inputs: Sequence[Array]) -> None:
    """The logits of a dense softmax head brought to 3 at most: a saturated softmax is 0 and 1 whatever the input."""
    head = model.layers[-1]
    if not isinstance(head, keras.layers.Dense) or head.activation is not keras.activations.softmax:
        return
    head.activation = keras.activations.linear
    with torch.no_grad():
        (logits,) = call(model, [torch.from_numpy(x) for x in inputs])
    head.activation = keras.activations.softmax
    for w in head.weights:
        w.assign(w.value.detach() * (3 / float(logits.abs().max())))


def draw(*shape: int, seed: int = 0) -> Array:
    """Gaussian noise."""
    return np.random.default_rng(seed).standard_normal((SAMPLES, *shape))
