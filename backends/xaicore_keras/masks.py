"""Which layers take, heed and hand on the mask of a padded sequence. A test compares these lists with Keras's own classes."""

from __future__ import annotations


def _layers(*names: str) -> frozenset[str]:
    return frozenset(f"keras.layers.{one}" for one in names)


MASKED = _layers(
    "AdditiveAttention", "Attention", "BatchNormalization", "Bidirectional", "ConvLSTM1D", "ConvLSTM2D", "ConvLSTM3D", "GRU",
    "GlobalAveragePooling1D", "LSTM", "MultiHeadAttention", "RNN", "SimpleRNN", "Softmax", "TimeDistributed",
)
"""Layers whose ``call`` takes a mask."""

READS_MASKS = _layers(
    "AdditiveAttention", "Attention", "BatchNormalization", "Bidirectional", "GRU", "GlobalAveragePooling1D", "LSTM",
    "MultiHeadAttention", "RNN", "SimpleRNN",
)
"""Those whose lowering heeds it (BatchNormalization has no use for it at inference)."""

PASSES_MASKS = _layers(
    "Activation", "ActivityRegularization", "Add", "AlphaDropout", "Average", "BatchNormalization", "Dense", "Dropout", "ELU",
    "GaussianDropout", "GaussianNoise", "GroupNormalization", "Identity", "LayerNormalization", "LeakyReLU", "Maximum", "Minimum",
    "Multiply", "Normalization", "PReLU", "ReLU", "Rescaling", "Softmax", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D",
    "Subtract", "TimeDistributed", "UnitNormalization",
)
"""Layers that hand on the mask of their input, or the one mask of all their inputs, without a rule of their own.

Attention layers hand on that of the query, which their lowering does.
"""
