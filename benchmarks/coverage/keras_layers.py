"""The layers of Keras beside plain convolutions and dense layers, each in a small network that ends in a dense layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.coverage.keras_subject import SAMPLES, draw, keras, keras_subject
from benchmarks.coverage.measure import Subject

layers = keras.layers
IMAGE, STEPS = (9, 8, 3), (6, 5)


def _ends(x: Any, y: Any) -> Any:
    """A head on what the layer makes, so that the network has three numbers to explain."""
    return keras.Model(x, layers.Dense(3, name="head")(layers.Flatten(name="flat")(y)))


def _on(shape: tuple[int, ...], make: Callable[[Any], Any]) -> Callable[[], Any]:
    def build() -> Any:
        x = keras.Input(shape, name="x")
        return _ends(x, make(x))

    return build


def _behind_a_convolution(make: Callable[[Any], Any]) -> Callable[[], Any]:
    """With SiLU, not ReLU: a pixel whose channels are all 0 has nothing to pass on to, and no norm to divide by."""
    return _on(IMAGE, lambda x: make(layers.Conv2D(4, 3, activation="silu", name="first")(x)))


def _sequence(make: Callable[[], Any]) -> Callable[[], Any]:
    return _on(STEPS, lambda x: make()(x))


def _embedded(make: Callable[[Any], Any], **settings: Any) -> Callable[[], Any]:
    def build() -> Any:
        x = keras.Input((6,), dtype="int32", name="x")
        return _ends(x, make(layers.Embedding(7, 5, name="embedding", **settings)(x)))

    return build


def _film() -> Any:
    x = keras.Input((4, 6, 5, 2), name="x")
    return _ends(x, layers.ConvLSTM2D(3, 3, padding="same", name="layer")(x))


MODELS: Mapping[str, Callable[[], Any]] = {
    "LSTM": _sequence(lambda: layers.LSTM(4, name="layer")),
    "GRU": _sequence(lambda: layers.GRU(4, name="layer")),
    "GRU, reset before": _sequence(lambda: layers.GRU(4, reset_after=False, return_sequences=True, name="layer")),
    "SimpleRNN": _sequence(lambda: layers.SimpleRNN(4, name="layer")),
    "Bidirectional": _sequence(lambda: layers.Bidirectional(layers.LSTM(3, return_sequences=True), name="layer")),
    "Masking, LSTM": _on(STEPS, lambda x: layers.LSTM(4, name="layer")(layers.Masking(name="mask")(x))),
    "Embedding, masked GRU": _embedded(lambda x: layers.GRU(4, name="layer")(x), mask_zero=True),
    "ConvLSTM2D": _film,
    "TimeDistributed": _on((3, *IMAGE), lambda x: layers.TimeDistributed(layers.Conv2D(4, 3, activation="relu"), name="layer")(x)),
    "MultiHeadAttention": _on(STEPS, lambda x: layers.MultiHeadAttention(2, 3, name="layer")(x, x)),
    "GroupQueryAttention": _on(STEPS, lambda x: layers.GroupQueryAttention(3, 4, 2, name="layer")(x, x)),
    "Attention": _on(STEPS, lambda x: layers.Attention(use_scale=True, name="layer")([x, layers.Dense(5, name="value")(x)])),
    "AdditiveAttention": _on(STEPS, lambda x: layers.AdditiveAttention(name="layer")([x, layers.Dense(5, name="value")(x)])),
    "EinsumDense": _on(STEPS, lambda x: layers.EinsumDense("abc,cde->abde", (6, 2, 3), bias_axes="de", name="layer")(x)),
    "SeparableConv2D": _on(IMAGE, lambda x: layers.SeparableConv2D(4, 3, activation="relu", name="layer")(x)),
    "DepthwiseConv2D": _on(IMAGE, lambda x: layers.DepthwiseConv2D(3, 2, depth_multiplier=2, padding="same", name="layer")(x)),
    "Conv2DTranspose": _on(IMAGE, lambda x: layers.Conv2DTranspose(4, 3, 2, padding="same", activation="relu", name="layer")(x)),
    "Conv1D, causal": _on(STEPS, lambda x: layers.Conv1D(4, 3, padding="causal", dilation_rate=2, activation="silu", name="layer")(x)),
    "Conv3D": _on((5, 6, 4, 2), lambda x: layers.Conv3D(3, 2, activation="relu", name="layer")(x)),
    "Conv2D, channels first": _on((3, 9, 8), lambda x: layers.MaxPooling2D(2, data_format="channels_first")(
        layers.Conv2D(4, 3, groups=1, data_format="channels_first", activation="relu", name="layer")(x))),
    "LayerNormalization": _behind_a_convolution(lambda h: layers.LayerNormalization(name="layer")(h)),
    "GroupNormalization": _behind_a_convolution(lambda h: layers.GroupNormalization(2, name="layer")(h)),
    "RMSNormalization": _behind_a_convolution(lambda h: layers.RMSNormalization(name="layer")(h)),
    "UnitNormalization": _behind_a_convolution(lambda h: layers.UnitNormalization(name="layer")(h)),
    "SpectralNormalization": _on(IMAGE, lambda x: layers.SpectralNormalization(layers.Conv2D(4, 3, activation="relu"), name="layer")(x)),
    "PReLU": _on(IMAGE, lambda x: layers.PReLU(shared_axes=[1, 2], name="layer")(layers.Conv2D(4, 3, name="first")(x))),
    "Resizing": _behind_a_convolution(lambda h: layers.Resizing(9, 11, name="layer")(h)),
}


def subject(name: str) -> Subject:
    """The network on noise; ids are explained at their embedding, and one sample ends in padding."""
    model = MODELS[name]()
    leaf = "embedding" if str(model.inputs[0].dtype).startswith("int") else ""
    shape = tuple(model.inputs[0].shape[1:])
    if leaf:
        ids = np.random.default_rng(0).integers(1, 7, (SAMPLES, *shape))
        ids[1, -2:] = 0
        return keras_subject(model, [ids], leaf=leaf)
    x = draw(*shape)
    if "Masking" in name:
        x[1, -2:] = 0
    return keras_subject(model, [x])
