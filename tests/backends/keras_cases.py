"""One small model for each kind of layer and operation: ``CASES``, a name and how the model is built.

Every model is drawn, converted, and compared in test_keras.py; a new row of the table needs a new line here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import keras
import numpy as np
from keras import layers, ops
from keras.src.applications.convnext import LayerScale
from keras.src.applications.inception_resnet_v2 import CustomScaleLayer

Build = Callable[[], Any]
LAST, FIRST = "channels_last", "channels_first"


def chain(shape: tuple[int | None, ...], *parts: Any, dtype: str | None = None) -> Any:
    return keras.Sequential([keras.Input(shape, dtype=dtype), *parts])


def one(kind: Any, shape: tuple[int, ...], *args: Any, **settings: Any) -> Build:
    return lambda: chain(shape, kind(*args, **settings))


def function(make: Callable[..., Any], *shapes: tuple[int | None, ...]) -> Any:
    inputs = [keras.Input(shape) for shape in shapes]
    return keras.Model(inputs if len(inputs) > 1 else inputs[0], make(*inputs))


def sample(rank: int, layout: str, channels: int = 4) -> tuple[int, ...]:
    """The shape of one sample, its axes of different length, even and odd."""
    space = (9, 8, 7)[:rank]
    return (*space, channels) if layout == LAST else (channels, *space)


# ----- activations ------------------------------------------------------------------------------------------------

ACTIVATIONS = [
    "relu", "relu6", "leaky_relu", "elu", "selu", "celu", "silu", "mish", "gelu", "sigmoid", "hard_sigmoid", "sparse_sigmoid", "hard_silu",
    "log_sigmoid", "tanh", "hard_tanh", "tanh_shrink", "soft_shrink", "hard_shrink", "softplus", "softsign", "squareplus", "sparse_plus",
    "exponential", "glu", "softmax", "log_softmax", "linear",
]

RELUS: tuple[dict[str, Any], ...] = (
    {}, {"max_value": 6}, {"max_value": 1.0}, {"negative_slope": 0.2}, {"threshold": 0.3}, {"max_value": 6, "negative_slope": 0.1},
    {"negative_slope": 0.3, "threshold": 0.1}, {"max_value": 1.0, "negative_slope": 0.1, "threshold": 0.2},
    {"max_value": 0.5, "threshold": 0.2},
)


def activations() -> Iterator[tuple[str, Build]]:
    for name in ACTIVATIONS:
        yield f"Dense-{name}", one(layers.Dense, (6,), 6, activation=name)
        yield f"Activation-{name}", one(layers.Activation, (3, 6), name)
        yield f"Conv-{name}", one(layers.Conv2D, (5, 4, 2), 4, 2, activation=name)
    for k, setting in enumerate(RELUS):
        yield f"ReLU-{k}", one(layers.ReLU, (4, 6), **setting)
        yield f"relu-operation-{k}", lambda setting=setting: function(lambda x: keras.activations.relu(x, **setting), (4, 6))
    yield "activation-layer", lambda: chain((4,), layers.Dense(5, activation=layers.LeakyReLU(0.1)))
    yield "activation-partial", one(layers.Dense, (4,), 5, activation=partial(keras.activations.elu, alpha=0.3))
    yield "activation-ops-gelu", one(layers.Dense, (4,), 5, activation=keras.ops.gelu)
    yield "LeakyReLU-ELU", lambda: chain((4,), layers.LeakyReLU(0.1), layers.ELU(0.5))
    yield "PReLU", one(layers.PReLU, (4, 5))
    yield "PReLU-image", lambda: chain((4, 5, 3), layers.Conv2D(3, 2), layers.PReLU())
    yield "PReLU-shared", lambda: chain((4, 5, 3), layers.Conv2D(3, 2), layers.PReLU(shared_axes=[1, 2]))
    yield "Softmax", lambda: chain((4, 5, 3), layers.Conv2D(3, 2), layers.Softmax())
    yield "Softmax-axis", lambda: chain((4, 5, 3), layers.Conv2D(3, 2), layers.Softmax(axis=1))


# ----- space ------------------------------------------------------------------------------------------------------


def windows() -> Iterator[tuple[str, Build]]:
    """Even and odd kernels, strides, dilation; in both layouts and both paddings."""
    for layout in (LAST, FIRST):
        line, plane = sample(1, layout), sample(2, layout)
        for padding in ("same", "valid"):
            at, form = f"{padding}-{layout}", {"padding": padding, "data_format": layout}
            for k, s, d in ((3, 1, 1), (3, 2, 1), (2, 1, 1), (2, 2, 1), (4, 3, 1), (3, 1, 2), (2, 1, 3)):
                both = {**form, "strides": s, "dilation_rate": d}
                yield f"Conv2D-{k}-{s}-{d}-{at}", one(layers.Conv2D, plane, 3, (k, 2), activation="relu", **both)
                yield f"DepthwiseConv2D-{k}-{s}-{d}-{at}", one(layers.DepthwiseConv2D, plane, k, depth_multiplier=2, **both)
                yield f"Conv2DTranspose-{k}-{s}-{d}-{at}", one(layers.Conv2DTranspose, plane, 3, (k, k + 1), **both)
                if d == 1:
                    yield f"MaxPooling2D-{k}-{s}-{at}", one(layers.MaxPooling2D, plane, (k, 2), s, **form)
                    yield f"AveragePooling2D-{k}-{s}-{at}", one(layers.AveragePooling2D, plane, (k, 2), s, **form)
            yield f"Conv2D-groups-{at}", one(layers.Conv2D, plane, 6, 3, groups=2, **form)
            yield f"SeparableConv2D-{at}", one(layers.SeparableConv2D, plane, 5, 3, depth_multiplier=2, activation="relu", **form)
            yield f"SeparableConv1D-{at}", one(layers.SeparableConv1D, line, 5, 3, **form)
            yield f"DepthwiseConv1D-{at}", one(layers.DepthwiseConv1D, line, 3, **form)
            for extra in (0, 1):
                yield f"Conv2DTranspose-extra{extra}-{at}", one(layers.Conv2DTranspose, plane, 3, 3, 2, output_padding=extra, **form)
    yield "Conv1D-causal", lambda: chain(
        (8, 3), layers.Conv1D(4, 3, padding="causal", dilation_rate=2), layers.Conv1D(4, 2, 2, padding="causal")
    )


def other_ranks() -> Iterator[tuple[str, Build]]:
    for layout in (LAST, FIRST):
        form, plane = {"data_format": layout}, sample(2, layout)
        for rank in (1, 2, 3):
            made: dict[str, tuple[tuple[int, ...], dict[str, Any]]] = {
                "Conv#": ((3, 3), {"strides": 2, "padding": "same", "activation": "tanh"}), "Conv#Transpose": ((3, 3), {"strides": 2}),
                "MaxPooling#": ((3, 2), {"padding": "same"}), "AveragePooling#": ((3, 2), {}), "GlobalMaxPooling#": ((), {}),
                "GlobalAveragePooling#": ((), {"keepdims": True}), "AdaptiveMaxPooling#": ((4,), {}), "AdaptiveAveragePooling#": ((4,), {}),
                "ZeroPadding#": ((2,), {}), "Cropping#": ((1,), {}), "UpSampling#": ((2,), {}),
            }
            for name, (args, settings) in made.items():
                if rank > 1 or name not in ("Cropping#", "UpSampling#"):
                    kind = getattr(layers, name.replace("#", f"{rank}D"))
                    yield f"{kind.__name__}-{layout}", one(kind, sample(rank, layout), *args, **settings, **form)
        yield f"ZeroPadding2D-uneven-{layout}", one(layers.ZeroPadding2D, plane, ((1, 2), (0, 3)), **form)
        yield f"Cropping2D-uneven-{layout}", one(layers.Cropping2D, plane, ((1, 2), (0, 3)), **form)
        yield f"GlobalAveragePooling2D-flat-{layout}", one(layers.GlobalAveragePooling2D, plane, **form)
        yield f"Flatten-{layout}", lambda form=form, plane=plane: chain(plane, layers.Conv2D(3, 2, **form), layers.Flatten(**form))
        for mode in ("nearest", "bilinear"):
            yield f"UpSampling2D-{mode}-{layout}", one(layers.UpSampling2D, plane, (2, 3), interpolation=mode, **form)
            for size in ((5, 13), (18, 16), (9, 3)):
                yield f"Resizing-{mode}-{size}-{layout}", one(layers.Resizing, plane, *size, interpolation=mode, **form)
    yield "Cropping1D-UpSampling1D", lambda: chain(
        (8, 3), layers.Cropping1D((1, 2)), layers.UpSampling1D(3), layers.ZeroPadding1D((0, 2))
    )


# ----- the rest of the layers -------------------------------------------------------------------------------------


def dense_and_norm() -> Iterator[tuple[str, Build]]:
    yield "Dense-no-bias", lambda: chain((4, 5), layers.Dense(3, use_bias=False))
    for name, (equation, out, bias) in {
        "dense": ("abc,cd->abd", (None, 3), "d"), "turned": ("abc,dc->abd", (None, 3), None), "steps": ("abc,bd->adc", (3, 5), "d"),
        "dots": ("...x,xy->...y", 3, "y"), "heads": ("abc,cde->abde", (4, 3, 2), "de"),
    }.items():
        yield f"EinsumDense-{name}", one(layers.EinsumDense, (4, 5), equation, out, bias_axes=bias, activation="relu")
    yield "Embedding", lambda: chain((6,), layers.Embedding(5, 4), layers.GlobalAveragePooling1D(), layers.Dense(2), dtype="int32")
    yield "Embedding-masked", lambda: chain(
        (6,), layers.Embedding(5, 4, mask_zero=True), layers.Dense(4), layers.GlobalAveragePooling1D(), layers.Dense(2), dtype="int32"
    )
    yield "masks-merged", two_masks
    yield "masks-nested", nested_mask
    yield "LayerScale", lambda: chain((4, 5, 3), layers.Conv2D(3, 2), LayerScale(1e-6, 3))
    yield "CustomScaleLayer", lambda: function(lambda a, b: CustomScaleLayer(0.3)([layers.Conv2D(3, 1)(a), b]), (4, 5, 3), (4, 5, 3))
    yield "SpectralNormalization", lambda: chain((4, 5), layers.SpectralNormalization(layers.Dense(3)))
    for layout, axis in ((LAST, -1), (FIRST, 1)):
        shape = sample(2, layout)
        yield f"BatchNormalization-{layout}", one(layers.BatchNormalization, shape, axis=axis)
        yield f"GroupNormalization-{layout}", one(layers.GroupNormalization, shape, 2, axis=axis)
        yield f"GroupNormalization-instance-{layout}", one(layers.GroupNormalization, shape, -1, axis=axis, scale=False)
        yield f"GroupNormalization-plain-{layout}", one(layers.GroupNormalization, shape, 4, axis=axis, center=False)
    yield "BatchNormalization-axis-2", lambda: chain((4, 5, 3), layers.BatchNormalization(axis=2))
    yield "BatchNormalization-vector", lambda: chain((5,), layers.BatchNormalization(center=False), layers.BatchNormalization(scale=False))
    yield "BatchNormalization-steps", lambda: chain((4, 5), layers.BatchNormalization())
    bare: dict[str, Any] = {"scale": False, "center": False}
    for k, setting in enumerate(({}, {"scale": False}, {"center": False}, bare, {"axis": [1, 2, 3]}, {"axis": [2, 3]})):
        yield f"LayerNormalization-{k}", lambda setting=setting: chain(
            (4, 5, 3), layers.Conv2D(3, 2), layers.LayerNormalization(**setting)
        )
    yield "RMSNormalization", lambda: chain((4, 5), layers.RMSNormalization())
    yield "UnitNormalization", lambda: chain(
        (4, 5, 2), layers.Conv2D(3, 2), layers.UnitNormalization(), layers.UnitNormalization(axis=[1, 2])
    )


def two_masks() -> Any:
    """A merged sequence keeps a step that either of its parts keeps."""
    a, b = keras.Input((4,), dtype="int32"), keras.Input((4,), dtype="int32")
    merged = layers.Add()([layers.Embedding(5, 3, mask_zero=True)(one) for one in (a, b)])
    return keras.Model([a, b], layers.GlobalAveragePooling1D()(merged))


def nested_mask() -> Any:
    """The mask enters a nested model, whose own record knows nothing of it."""
    ids = keras.Input((6,), dtype="int32")
    inner = keras.Sequential([keras.Input((6, 4)), layers.Dense(3), layers.GlobalAveragePooling1D()])
    return keras.Model(ids, inner(layers.Embedding(5, 4, mask_zero=True)(ids)))


def merging_and_shape() -> Iterator[tuple[str, Build]]:
    for name in ("Add", "Subtract", "Multiply", "Average", "Maximum", "Minimum", "Concatenate"):
        kind = getattr(layers, name)
        yield name, lambda kind=kind: function(lambda a, b: kind()([a, b]), (4, 5, 3), (4, 5, 3))
        yield f"{name}-two-layouts", lambda kind=kind: function(lambda a, b: kind()([layers.Conv2D(3, 1)(a), b]), (4, 5, 3), (4, 5, 3))
    yield "Add-three", lambda: function(lambda *x: layers.Add()(list(x)), (4,), (4,), (4,))
    yield "Average-three", lambda: function(lambda *x: layers.Average()(list(x)), (4,), (4,), (4,))
    yield "Multiply-ranks", lambda: function(lambda a, b: layers.Multiply()([a, b]), (4, 3), (3,))
    yield "Concatenate-axis", lambda: function(lambda a, b: layers.Concatenate(axis=1)([layers.Conv2D(3, 1)(a), b]), (4, 5, 3), (2, 5, 3))
    for k, (a, b, axes, unit) in enumerate((
        ((5,), (5,), 1, False), ((5,), (5,), -1, True), ((4, 5), (6, 5), 2, False), ((4, 5), (5, 3), (2, 1), False),
        ((4, 5), (4,), (1, 1), True), ((4, 5, 2), (4, 3), (1, 1), False),
    )):
        yield f"Dot-{k}", lambda a=a, b=b, axes=axes, unit=unit: function(lambda x, y: layers.Dot(axes, normalize=unit)([x, y]), a, b)
    yield "Reshape", lambda: chain((4, 6), layers.Reshape((2, -1, 3)))
    yield "Reshape-to-pixel", lambda: chain((6,), layers.Reshape((1, 1, 6)), layers.Conv2D(3, 1))
    yield "Reshape-image", lambda: chain((4, 5, 3), layers.Conv2D(2, 2), layers.Reshape((4, 6)))
    yield "Permute", lambda: chain((4, 5, 3), layers.Conv2D(2, 2), layers.Permute((3, 1, 2)), layers.Permute((2, 1, 3)), layers.Dense(3))
    yield "RepeatVector", lambda: chain((4,), layers.RepeatVector(3))
    yield "Dropout-and-noise", lambda: chain(
        (6,), layers.Dropout(0.5), layers.GaussianNoise(0.1), layers.GaussianDropout(0.2), layers.AlphaDropout(0.1),
        layers.ActivityRegularization(0.1), layers.Identity(), layers.Dense(2),
    )
    yield "SpatialDropout1D", lambda: chain((6, 5), layers.SpatialDropout1D(0.5), layers.Dense(2))
    yield "SpatialDropout3D", lambda: chain((3, 4, 5, 2), layers.SpatialDropout3D(0.5), layers.Dense(2))
    yield "augmentation", lambda: chain(
        (6, 5, 3), layers.SpatialDropout2D(0.5), layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.1),
        layers.RandomTranslation(0.1, 0.1), layers.RandomContrast(0.1), layers.RandomBrightness(0.1),
    )
    yield "Rescaling", lambda: chain((6, 5, 3), layers.Rescaling(1 / 255, offset=-0.5), layers.Conv2D(2, 2))
    yield "Rescaling-channels", lambda: chain((6, 5, 3), layers.Conv2D(3, 2), layers.Rescaling([0.1, 0.2, 0.3], offset=[1.0, 2.0, 3.0]))
    for k, setting in enumerate(({}, {"invert": True})):
        yield f"Normalization-{k}", lambda s=setting: chain(
            (6, 5, 3), layers.Conv2D(3, 2), layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[0.5, 2.0, 3.0], **s)
        )
    yield "Normalization-scalar", lambda: chain((4, 3), layers.Normalization(axis=None, mean=1.0, variance=2.0))


def every_step() -> Iterator[tuple[str, Build]]:
    image = (3, 6, 7, 2)
    for name, (shape, make) in {
        "Dense": ((4, 5), lambda: layers.Dense(3, activation="relu")), "Activation": ((3, 6), lambda: layers.Activation("softmax")),
        "Conv1D": ((3, 6, 2), lambda: layers.Conv1D(3, 3)),
        "Conv2D": (image, lambda: layers.Conv2D(3, 3, strides=2, padding="same", activation="relu")),
        "DepthwiseConv2D": (image, lambda: layers.DepthwiseConv2D(3, padding="same")),
        "SeparableConv2D": (image, lambda: layers.SeparableConv2D(3, 2)), "MaxPooling2D": (image, lambda: layers.MaxPooling2D(2)),
        "AveragePooling2D": (image, lambda: layers.AveragePooling2D(3, 2, padding="same")),
        "GlobalAveragePooling2D": (image, layers.GlobalAveragePooling2D), "Flatten": (image, layers.Flatten),
        "GlobalMaxPooling2D": (image, lambda: layers.GlobalMaxPooling2D(keepdims=True)),
        "BatchNormalization": (image, layers.BatchNormalization), "LayerNormalization": ((3, 6), layers.LayerNormalization),
    }.items():
        yield f"TimeDistributed-{name}", lambda shape=shape, make=make: chain(shape, layers.TimeDistributed(make()))


def attention() -> Iterator[tuple[str, Build]]:
    for name, (settings, call) in {
        "plain": ({}, {}), "dropout": ({"dropout": 0.1}, {}), "sizes": ({"value_dim": 5, "output_shape": 7}, {}),
        "no-bias": ({"use_bias": False}, {}), "causal": ({}, {"use_causal_mask": True}),
        "causal-dropout": ({"dropout": 0.1}, {"use_causal_mask": True}),
    }.items():
        yield f"MultiHeadAttention-{name}", lambda settings=settings, call=call: function(
            lambda x: layers.MultiHeadAttention(2, 3, **settings)(x, x, **call), (4, 6)
        )
    yield "MultiHeadAttention-cross", lambda: function(lambda q, v, k: layers.MultiHeadAttention(2, 3)(q, v, k), (4, 6), (5, 7), (5, 8))
    yield "MultiHeadAttention-mask", lambda: function(masked_attention, (4, 6), (4, 4))
    yield "MultiHeadAttention-constant-mask", lambda: function(
        lambda x: layers.MultiHeadAttention(2, 3)(x, x, attention_mask=np.tri(4, dtype=bool)[None]), (4, 6)
    )
    for rate in (0.0, 0.1):
        yield f"MultiHeadAttention-padding-{rate}", lambda rate=rate: transformer(rate)
    for name, (settings, call) in {
        "plain": ({}, {}), "dropout": ({"dropout": 0.1}, {"use_causal_mask": True}), "gate": ({"use_gate": True}, {}),
        "no-bias": ({"use_bias": False}, {"use_causal_mask": True}),
    }.items():
        yield f"GroupQueryAttention-{name}", lambda settings=settings, call=call: function(
            lambda q, v: layers.GroupQueryAttention(3, 4, 2, **settings)(q, v, **call), (4, 6), (5, 6)
        )
    for name, kind, settings, call in (
        ("Attention", layers.Attention, {}, {}), ("Attention-scale", layers.Attention, {"use_scale": True}, {"use_causal_mask": True}),
        ("Attention-concat", layers.Attention, {"score_mode": "concat", "use_scale": True}, {}),
        ("AdditiveAttention", layers.AdditiveAttention, {}, {}),
        ("AdditiveAttention-plain", layers.AdditiveAttention, {"use_scale": False}, {"use_causal_mask": True}),
    ):
        yield name, lambda kind=kind, settings=settings, call=call: function(
            lambda q, v, k: kind(**settings)([q, v, k], **call), (4, 6), (5, 3), (5, 6)
        )
    yield "Attention-masked", masked_scores
    yield "dot_product_attention", lambda: function(ops.dot_product_attention, (4, 2, 3), (5, 2, 3), (5, 2, 3))
    yield "dot_product_attention-causal", lambda: function(lambda q: ops.dot_product_attention(q, q, q, is_causal=True), (4, 2, 3))


def masked_attention(x: Any, m: Any) -> Any:
    return layers.MultiHeadAttention(2, 3)(x, x, attention_mask=ops.logical_or(m > 0.0, np.eye(4, dtype=bool)[None]))


def masked_scores() -> Any:
    """Both sequences are padded: scores of padded values are lowered, padded queries give 0 and are left out of the mean."""
    a, b = keras.Input((4,), dtype="int32"), keras.Input((5,), dtype="int32")
    q, v = (layers.Embedding(5, 3, mask_zero=True)(one) for one in (a, b))
    return keras.Model([a, b], layers.GlobalAveragePooling1D()(layers.Attention()([q, v])))


def transformer(rate: float) -> Any:
    """Token ids of which 0 is padding: the mask reaches the attention and the mean."""
    ids = keras.Input((6,), dtype="int32")
    x = layers.Embedding(5, 4, mask_zero=True)(ids)
    x = layers.LayerNormalization()(layers.Add()([x, layers.MultiHeadAttention(2, 3, dropout=rate)(x, x)]))
    return keras.Model(ids, layers.Dense(2)(layers.GlobalAveragePooling1D()(x)))


# ----- operations -------------------------------------------------------------------------------------------------

def ramp(*shape: int) -> np.ndarray:
    """A constant kernel, in the numbers that Keras computes with."""
    return np.linspace(0, 1, int(np.prod(shape)), dtype=keras.config.floatx()).reshape(shape)


def between(x: Any) -> Any:
    return ops.logical_and(x > 0.0, ops.logical_not(ops.logical_or(x > 1.0, ops.logical_xor(x < 0.1, x < 0.2))))


OPERATIONS: dict[str, Callable[[Any], Any]] = {
    "copy": ops.copy, "divide-array": lambda x: ops.divide(x, np.array([1.0, 2.0, 4.0])),
    "separable_conv": lambda x: ops.separable_conv(x, ramp(2, 2, 3, 1), ramp(1, 1, 3, 2)),
    "add": lambda x: x + 1.0, "from-constant": lambda x: 2.0 - x, "multiply-array": lambda x: x * np.arange(3.0),
    "divide": lambda x: x / 3.0, "divide-constant": lambda x: 2.0 / (x * x + 1.0), "negative": lambda x: -x,
    "power-2": lambda x: x**2, "power-3": lambda x: ops.power(x, 3.0), "abs": abs, "square": ops.square,
    "sqrt": lambda x: ops.sqrt(ops.square(x) + 1.0), "rsqrt": lambda x: ops.rsqrt(ops.square(x) + 1.0), "exp": ops.exp,
    "expm1": ops.expm1, "log": lambda x: ops.log(ops.exp(x)), "log1p": lambda x: ops.log1p(x * x),
    "log2": lambda x: ops.log2(x * x + 1.0), "log10": lambda x: ops.log10(x * x + 1.0), "erf": ops.erf, "sin": ops.sin,
    "cos": ops.cos, "reciprocal": lambda x: ops.reciprocal(x * x + 1.0), "sign": ops.sign, "floor": ops.floor, "ceil": ops.ceil,
    "round": ops.round, "clip": lambda x: ops.clip(x, -0.5, 0.5), "maximum": lambda x: ops.maximum(x, 0.0),
    "minimum": lambda x: ops.minimum(x, 0.3), "where": lambda x: ops.where(x > 0.0, x, x * 0.1),
    "where-integer": lambda x: ops.where(x > 0.0, x, 0),
    "logical": lambda x: ops.where(between(x), x, 0.0),
    "compare": lambda x: ops.cast(x >= 0.0, keras.config.floatx()) * x + ops.cast(ops.equal(x, x), keras.config.floatx()),
    "compare-more": lambda x: ops.where(ops.not_equal(x, 0.0), x, 1.0) * ops.cast(x <= 0.1, keras.config.floatx()),
    "cast-integer": lambda x: ops.cast(ops.cast(ops.cast(x, "int32") + 1, keras.config.floatx()), keras.config.floatx()) * x,
    "sum": lambda x: ops.sum(x, axis=(1, 2)), "sum-kept": lambda x: ops.sum(x, axis=1, keepdims=True),
    "mean": lambda x: ops.mean(x, axis=-1), "mean-one": lambda x: ops.mean(x, axis=1), "max": lambda x: ops.max(x, axis=2),
    "amax": lambda x: ops.amax(x, axis=(1, 3)), "min": lambda x: ops.min(x, axis=(1, 2)),
    "amin": lambda x: ops.amin(x, axis=-1, keepdims=True), "var": lambda x: ops.var(x, axis=-1),
    "std": lambda x: ops.std(x, axis=(1, 2)), "logsumexp": lambda x: ops.logsumexp(x, axis=-1),
    "logsumexp-kept": lambda x: ops.logsumexp(x, axis=1, keepdims=True), "reshape": lambda x: ops.reshape(x, (-1, 20, 3)),
    "transpose": lambda x: ops.transpose(x, (0, 3, 1, 2)), "moveaxis": lambda x: ops.moveaxis(x, 3, 1),
    "moveaxis-back": lambda x: ops.moveaxis(x, 1, -1), "swapaxes": lambda x: ops.swapaxes(x, 1, 3),
    "expand_dims": lambda x: ops.expand_dims(x, 2), "expand_dims-last": lambda x: ops.expand_dims(x, -1),
    "squeeze": lambda x: ops.squeeze(x[:, :1], 1), "squeeze-last": lambda x: ops.squeeze(x[..., :1], -1),
    "stack": lambda x: ops.stack([x, x * 2.0], axis=1), "stack-last": lambda x: ops.stack([x, x * 2.0], axis=-1),
    "unstack": lambda x: ops.unstack(x, axis=1)[2], "split": lambda x: ops.split(x, [1, 3], axis=1),
    "split-last": lambda x: ops.split(x, 3, axis=-1)[1], "take": lambda x: ops.take(x, [2, 0, -1], axis=1),
    "take-square": lambda x: ops.take(x, [[2, 0], [1, 1]], axis=-1), "take-one": lambda x: ops.take(x, 1, axis=2),
    "repeat": lambda x: ops.repeat(x, 2, axis=1), "tile": lambda x: ops.tile(x, (1, 2, 1, 3)),
    "flip": lambda x: ops.flip(x, axis=1), "flip-two": lambda x: ops.flip(x, axis=(1, -1)),
    "pad": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), constant_values=2.0),
    "pad-reflect": lambda x: ops.pad(x, ((0, 0), (1, 2), (0, 0), (0, 1)), mode="reflect"),
    "broadcast_to": lambda x: ops.broadcast_to(x[:, :1], (2, 4, 5, 3)), "index": lambda x: x[:, 1],
    "index-channel": lambda x: x[..., 0], "slices": lambda x: x[:, 1:3, ::2], "index-last": lambda x: x[:, None, -1],
    "index-mixed": lambda x: x[:, -1, :, 1:], "index-new": lambda x: x[:, :, 1, ..., None],
    "any": lambda x: ops.where(ops.any(x > 0.4, axis=-1, keepdims=True), x, 0.0), "all": lambda x: ops.where(ops.all(x > 0.0, axis=1), x[:, 0], 0.0),
    "stop_gradient": lambda x: x * ops.stop_gradient(x),
    "matmul-constant": lambda x: ops.matmul(x, np.arange(6.0).reshape(3, 2)),
    "matmul": lambda x: ops.matmul(x, ops.swapaxes(x, -1, -2)), "matmul-stack": lambda x: x @ np.ones((1, 1, 3, 2)),
    "dot": lambda x: ops.dot(x, np.ones((3, 2))), "einsum": lambda x: ops.einsum("nhwc,nhvc->nwv", x, x),
    "einsum-dots": lambda x: ops.einsum("...c,cd->...d", x, ramp(3, 2)), "relu": ops.relu, "gelu": ops.gelu,
    "gelu-erf": lambda x: ops.gelu(x, approximate=False), "silu": ops.silu, "softmax": lambda x: ops.softmax(x, axis=-1),
    "softmax-one": lambda x: ops.softmax(x, axis=1), "log_softmax": ops.log_softmax,
    "leaky_relu": lambda x: ops.leaky_relu(x, 0.3), "elu": lambda x: ops.elu(x, 0.5), "celu": lambda x: ops.celu(x, 0.5),
    "threshold": lambda x: ops.threshold(x, 0.2, 0.7), "sigmoid": ops.sigmoid, "soft_shrink": lambda x: ops.soft_shrink(x, 0.2),
    "tanh": ops.tanh, "hard_silu": ops.hard_silu, "normalize": lambda x: ops.normalize(x, axis=-1),
    "glu": lambda x: ops.glu(ops.concatenate([x, x * x], -1)), "concatenate": lambda x: ops.concatenate([x, x * 2.0], axis=-1),
    "concatenate-rows": lambda x: ops.concatenate([x, x * 2.0], axis=1),
    "max_pool": lambda x: ops.max_pool(x, 2, padding="same"), "average_pool": lambda x: ops.average_pool(x, 2, strides=1),
    "conv": lambda x: ops.conv(x, ramp(2, 2, 3, 4), padding="same"),
    "depthwise_conv": lambda x: ops.depthwise_conv(x, ramp(2, 2, 3, 1)),
    "resize": lambda x: ops.image.resize(x, (7, 9)),
    "tan": ops.tan, "arcsin": lambda x: ops.arcsin(x * 0.1), "arccos": lambda x: ops.arccos(x * 0.1), "arctan": ops.arctan,
    "sinh": ops.sinh, "cosh": ops.cosh, "arcsinh": ops.arcsinh, "arccosh": lambda x: ops.arccosh(x * x + 1.5),
    "arctanh": lambda x: ops.arctanh(x * 0.1), "cumsum": lambda x: ops.cumsum(x, axis=1), "cumsum-last": lambda x: ops.cumsum(x, axis=-1),
    "argmax": lambda x: ops.cast(ops.argmax(x, axis=-1), keras.config.floatx()) + ops.sum(x, axis=-1),
    "argmin": lambda x: ops.cast(ops.argmin(x, axis=1, keepdims=True), keras.config.floatx()) * x,
    "one_hot": lambda x: ops.cast(ops.one_hot(ops.argmax(x, axis=-1), 3), keras.config.floatx()) * x,
    "norm": lambda x: ops.norm(x, axis=-1), "norm-one": lambda x: ops.norm(x, ord=1, axis=1, keepdims=True),
    "floor_divide": lambda x: ops.floor_divide(ops.stop_gradient(x), 0.3) + x, "roll": lambda x: ops.roll(x, 2, axis=1), "roll-back": lambda x: ops.roll(x, -1, axis=-1),
    "take_along_axis": lambda x: ops.take_along_axis(x, ops.argmax(x, axis=2, keepdims=True), axis=2),
    "squeeze-and-excite": lambda x: x * ops.mean(x, axis=(1, 2), keepdims=True),
}


def operations() -> Iterator[tuple[str, Build]]:
    """Each on an input as it is, and behind a convolution, where the channels stand on axis 1."""
    for name in ACTIVATIONS:
        if hasattr(ops, name):
            yield f"ops-activation-{name}", lambda name=name: function(getattr(ops, name), (4, 6))
    for name, make in OPERATIONS.items():
        yield f"ops-{name}", lambda make=make: function(make, (4, 5, 3))
        yield f"ops-{name}-moved", lambda make=make: function(lambda x: make(layers.Conv2D(3, 1)(x)), (4, 5, 3))


def recurrent() -> Iterator[tuple[str, Build]]:
    """One case for each row; the settings are in test_keras_recurrent.py."""
    for kind in ("LSTM", "GRU", "SimpleRNN"):
        yield kind, one(getattr(layers, kind), (5, 3), 4)
        yield f"RNN-{kind}", lambda kind=kind: chain((5, 3), layers.RNN(getattr(layers, f"{kind}Cell")(4), return_sequences=True))
        yield f"Bidirectional-{kind}", lambda kind=kind: chain((5, 3), layers.Bidirectional(getattr(layers, kind)(2, return_sequences=True)))
    yield "RNN-list", lambda: chain((5, 3), layers.RNN([layers.GRUCell(4), layers.SimpleRNNCell(2)]))
    for rank in (1, 2, 3):
        kind = getattr(layers, f"ConvLSTM{rank}D")
        yield f"ConvLSTM{rank}D", one(kind, (3, *(4, 5, 3)[:rank], 2), 3, 2, padding="same")
    yield "Masking", lambda: chain((5, 3), layers.Masking(0.25), layers.GRU(2))


CASES: dict[str, Build] = {
    name: build
    for family in (recurrent, activations, windows, other_ranks, dense_and_norm, merging_and_shape, every_step, attention, operations)
    for name, build in family()
}
