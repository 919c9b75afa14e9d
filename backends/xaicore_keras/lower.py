"""``TABLE``: what each Keras layer and operation becomes. The rows' functions are in lower_layers, lower_spatial, lower_ops ...

A key is the class in the package where Keras shows it; a subclass of a built-in layer is another class, and has no row.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from xaicore.errors import ConversionError
from xaicore_keras import lower_attention as attention
from xaicore_keras import lower_layers as layers
from xaicore_keras import lower_ops as ops
from xaicore_keras import lower_shape as shape
from xaicore_keras import lower_spatial as spatial
from xaicore_keras.activations import OPERATIONS, activation_operation
from xaicore_keras.convert import Call, Lowering
from xaicore_keras.lower_conv_lstm import conv_lstm
from xaicore_keras.lower_recurrent import RECURRENT


def _ranks(name: str, lowering: Lowering, ranks: str = "123") -> dict[str, Lowering]:
    """One row for each spatial rank: Conv1D, Conv2D, Conv3D."""
    return {name.replace("#", f"{n}D"): lowering for n in ranks}


def _all(lowering: Lowering, *names: str) -> dict[str, Lowering]:
    return dict.fromkeys(names, lowering)


LAYERS: Mapping[str, Lowering] = {
    "Dense": layers.dense, "EinsumDense": layers.einsum_dense, "Embedding": layers.embedding,
    "MultiHeadAttention": attention.multi_head_attention, "GroupedQueryAttention": attention.grouped_query_attention,
    "Attention": attention.attention_layer, "AdditiveAttention": attention.additive_attention,
    **RECURRENT, **_ranks("ConvLSTM#", conv_lstm), "TimeDistributed": layers.time_distributed, "SpectralNormalization": layers.wrapped,
    # convolution
    **_ranks("Conv#", spatial.conv), **_ranks("DepthwiseConv#", spatial.depthwise, "12"),
    **_ranks("SeparableConv#", spatial.separable, "12"), **_ranks("Conv#Transpose", spatial.conv_transpose),
    # pooling
    **_ranks("MaxPooling#", spatial.max_pool), **_ranks("AveragePooling#", spatial.average_pool),
    **_ranks("GlobalMaxPooling#", spatial.global_pool), **_ranks("GlobalAveragePooling#", spatial.global_pool),
    **_ranks("AdaptiveMaxPooling#", spatial.adaptive_pool), **_ranks("AdaptiveAveragePooling#", spatial.adaptive_pool),
    # normalisation
    "BatchNormalization": layers.batch_norm, "LayerNormalization": layers.layer_norm, "GroupNormalization": layers.group_norm,
    "RMSNormalization": layers.rms_norm, "UnitNormalization": layers.unit_norm,
    # activation
    "Activation": layers.activation, "PReLU": layers.prelu, "Softmax": partial(activation_operation, "softmax"),
    "ReLU": partial(activation_operation, "relu"), "LeakyReLU": partial(activation_operation, "leaky_relu"),
    "ELU": partial(activation_operation, "elu"),
    # merging
    **{name: layers.chain(op) for name, op in layers.MERGE.items()},
    "Average": layers.average, "Concatenate": layers.concatenate, "Dot": layers.dot,
    # shape
    "Flatten": shape.flatten, "Reshape": shape.reshape_layer, "Permute": shape.permute, "RepeatVector": shape.repeat_vector,
    **_ranks("ZeroPadding#", spatial.zero_padding), **_ranks("Cropping#", spatial.cropping), **_ranks("UpSampling#", spatial.up_sampling),
    # preprocessing
    "Rescaling": layers.rescaling, "Normalization": layers.normalization, "Resizing": spatial.resizing,
    # nothing at inference
    **_all(
        layers.identity, "Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D", "AlphaDropout", "GaussianDropout",
        "GaussianNoise", "ActivityRegularization", "Identity", "RandomFlip", "RandomRotation", "RandomZoom", "RandomTranslation",
        "RandomContrast", "RandomBrightness",
    ),
}

LAYER_LIKE: Mapping[str, Lowering] = {      # no adaptive pools, no conv_transpose: Keras records wrong shapes or settings for these
    "Conv": spatial.conv, "DepthwiseConv": spatial.depthwise, "SeparableConv": spatial.separable,
    "MaxPool": spatial.max_pool, "AveragePool": spatial.average_pool, "Resize": spatial.resizing,
    "Concatenate": layers.concatenate, "Normalize": layers.unit_norm, "DotProductAttention": attention.dot_product_attention,
}

TABLE: Mapping[str, Lowering] = {
    **{f"keras.layers.{k}": v for k, v in LAYERS.items()},
    **{f"keras.ops.{k}": v for k, v in {**ops.OPERATIONS, **shape.OPERATIONS, **LAYER_LIKE}.items()},
    **{f"keras.ops.{k}": partial(activation_operation, name) for k, name in OPERATIONS.items()},
    "keras.activations.ReLU": partial(activation_operation, "relu"), "keras.activations.Mish": partial(activation_operation, "mish"),
    "keras.applications.LayerScale": layers.layer_scale, "keras.applications.CustomScaleLayer": layers.scaled_residual,
}

# ----- what has no row --------------------------------------------------------------------------------------------

EXPORT = (
    "with KERAS_BACKEND=torch a model is also a torch module, so convert it through torch: "
    "program = torch.export.export(model, (torch.as_tensor(x),)); graph = xaicore.from_model(program, x)"
)

_STRINGS = ("StringLookup", "TextVectorization", "Hashing", "HashedCrossing", "IntegerLookup", "CategoryEncoding", "Discretization")


def reject(c: Call) -> ConversionError:
    """The error for a layer or operation without a row: which, why, and what to do."""
    home, _, name = c.op.kind.rpartition(".")
    if home == "keras.layers" and name == "Lambda":
        return c.refuse("is a Python function, which Keras does not record", f"call keras.ops on the tensors instead; or {EXPORT}")
    if home == "keras.layers" and name in _STRINGS:
        return c.refuse("maps strings or categories to indices", "take it out of the model, and feed the model what it gives")
    if c.op.is_layer and not home.startswith("keras."):
        todo = f"build it of keras layers and keras.ops as a Functional model; or {EXPORT}"
        return c.refuse("is a class of your own, whose code Keras does not record", todo)
    todo = f"replace it by layers or keras.ops that have one (xaicore_keras.lower.TABLE); or {EXPORT}"
    return c.refuse("has no counterpart", todo)
