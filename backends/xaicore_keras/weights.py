"""``WEIGHTS``: which arrays each layer has, in the order in which Keras saves them, and of what shape its settings make them.

A row takes the layer and the shapes of its inputs and gives, for each group, names and shapes. A group is the path below the
layer where Keras keeps them: "" is the layer itself, "cell" the cell of a recurrent one. Before an array is read, its shape is
compared with the row, so that a file cannot make a layer larger than its settings say.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from xaicore.errors import XaicoreError
from xaicore_keras.record import Layer, Weight

Shape = tuple[int | None, ...]
Groups = dict[str, dict[str, Shape | None]]


def with_weights(layer: Layer, shapes: Sequence[Shape], error: type[XaicoreError]) -> Layer:
    """The layer with its arrays under their names; an error of the given kind where they are not those that its settings call for."""
    groups: Groups = WEIGHTS[layer.kind](layer, shapes) if layer.kind in WEIGHTS else {"": {}}
    found: dict[str, Weight] = {}
    for group, wanted in groups.items():
        arrays = layer.arrays(group)
        if len(arrays) != len(wanted):
            raise error(
                f"layer {layer.name!r} ({layer.kind}) has {len(arrays)} arrays{f' in {group!r}' if group else ''}, but its settings call "
                f"for {len(wanted)}{': ' if wanted else ''}{', '.join(wanted)}. Save the model again with model.save(path)"
            )
        for (name, shape), weight in zip(wanted.items(), arrays):
            fits = shape is None or (len(shape) == weight.ndim and all(n in (None, have) for n, have in zip(shape, weight.shape)))
            if not fits:
                raise error(
                    f"layer {layer.name!r} ({layer.kind}): {name} has the shape {weight.shape}, but its settings and its input "
                    f"call for {shape}. Save the model again with model.save(path)"
                )
            found[name] = weight
    return replace(layer, weights=found)


def _channels(layer: Layer, shapes: Sequence[Shape]) -> int | None:
    first = layer.config.get("data_format") == "channels_first"
    return shapes[0][1 if first else -1]


def _times(*factors: int | None) -> int | None:
    return None if None in factors else math.prod(factors)          # type: ignore[arg-type]


def _with_bias(layer: Layer, kernels: Mapping[str, Shape | None], bias: Shape) -> Groups:
    return {"": {**kernels, **({"bias": bias} if layer.use_bias else {})}}


def _dense(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    return _with_bias(layer, {"kernel": (shapes[0][-1], layer.units)}, (layer.units,))


def _einsum_dense(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    """The kernel's labels are those of the input or the output; the bias has the output's, from its first one on."""
    terms, out = layer.equation.replace(" ", "").split("->")
    seen, kernel = terms.split(",")
    given = layer.output_shape if isinstance(layer.output_shape, (list, tuple)) else [layer.output_shape]
    labels = out.replace("...", "")
    sizes: dict[str, int | None] = dict(zip(reversed(labels), reversed(tuple(given)))) if not out.endswith("...") else {}
    plain = seen.replace("...", "")
    where = zip(plain, shapes[0]) if not seen.startswith("...") else zip(reversed(plain), reversed(shapes[0]))
    sizes = {**sizes, **dict(where)}
    groups: Groups = {"": {"kernel": tuple(sizes.get(k) for k in kernel)}}
    if layer.bias_axes is not None:
        behind = labels[min(labels.index(k) for k in layer.bias_axes) :]
        dots = (len(shapes[0]) - len(plain)) if out.endswith("...") else 0
        groups[""]["bias"] = (*(sizes.get(k) if k in layer.bias_axes else 1 for k in behind), *(1,) * dots)
    return groups


def _embedding(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    return {"": {"embeddings": (layer.input_dim, layer.output_dim)}}


def _conv(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    channels = _channels(layer, shapes)
    inner = None if channels is None else channels // layer.groups
    return _with_bias(layer, {"kernel": (*layer.kernel_size, inner, layer.filters)}, (layer.filters,))


def _depthwise(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    channels, each = _channels(layer, shapes), layer.depth_multiplier
    return _with_bias(layer, {"kernel": (*layer.kernel_size, channels, each)}, (_times(channels, each),))


def _separable(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    channels, each, size = _channels(layer, shapes), layer.depth_multiplier, layer.kernel_size
    kernels: dict[str, Shape] = {
        "depthwise_kernel": (*size, channels, each), "pointwise_kernel": (*(1 for _ in size), _times(channels, each), layer.filters),
    }
    return _with_bias(layer, kernels, (layer.filters,))


def _conv_transpose(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    return _with_bias(layer, {"kernel": (*layer.kernel_size, layer.filters, _channels(layer, shapes))}, (layer.filters,))


def _along(layer: Layer, shapes: Sequence[Shape]) -> Shape:
    """The lengths of the axes that a layer normalises over or keeps."""
    axes = layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]
    return tuple(shapes[0][k] for k in axes)


def _batch_norm(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    one = _along(layer, shapes)
    learned = {k: one for k, used in (("gamma", layer.scale), ("beta", layer.center)) if used}
    more = ("moving_stddev", "renorm_mean", "renorm_stddev") if layer.config.get("renorm") else ()
    return {"": {**learned, **dict.fromkeys(("moving_mean", "moving_variance", *more), one)}}


def _scaled(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    one = _along(layer, shapes)
    return {"": {k: one for k, used in (("gamma", layer.scale), ("beta", layer.center)) if used}}


def _rms(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    return {"": {"scale": _along(layer, shapes)}}


def _spectral(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    """What the layer inside is normalised with in training, beside that layer's own kernel."""
    return {"": {"kernel": None, "vector_u": (1, None)}}


def _prelu(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    shared = layer.shared_axes or ()
    return {"": {"alpha": tuple(1 if k + 1 in shared else n for k, n in enumerate(shapes[0][1:]))}}


def _normalization(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    """None where mean and variance are settings."""
    if layer.config.get("mean") is not None:
        return {"": {}}
    axes = sorted(k % len(shapes[0]) for k in (layer.axis if isinstance(layer.axis, (list, tuple)) else [layer.axis]))
    kept = tuple(shapes[0][k] for k in axes)
    return {"": {"mean": kept, "variance": kept, "count": ()}}


def _layer_scale(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    return {"": {"gamma": (layer.projection_dim,)}}


def _projection(layer: Layer, group: str, part: str, kernel: Shape, bias: Shape) -> Groups:
    return {group: {f"{part}/kernel": kernel, **({f"{part}/bias": bias} if layer.use_bias else {})}}


def _heads(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    heads, width = layer.num_heads, layer.key_dim
    inner = layer.value_dim or width
    query, value, key = shapes[0][-1], shapes[1][-1], shapes[-1][-1]
    given = layer.output_shape
    out = (query,) if not given else tuple(given) if isinstance(given, (list, tuple)) else (given,)
    gate = _projection(layer, "_gate_dense", "gate", (query, heads, inner), (heads, inner)) if layer.config.get("use_gate") else {}
    return {
        **_projection(layer, "query_dense|_query_dense", "query", (query, heads, width), (heads, width)),
        **_projection(layer, "key_dense|_key_dense", "key", (key, heads, width), (heads, width)),
        **_projection(layer, "value_dense|_value_dense", "value", (value, heads, inner), (heads, inner)),
        **gate, **_projection(layer, "output_dense|_output_dense", "attention_output", (heads, inner, *out), out),
    }


def _grouped_heads(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    heads, groups, width = layer.num_query_heads, layer.num_key_value_heads, layer.head_dim
    query, value, key = shapes[0][-1], shapes[1][-1], shapes[-1][-1]
    gate = _projection(layer, "_gate_dense", "gate", (query, heads, width), (heads, width)) if layer.config.get("use_gate") else {}
    return {
        **_projection(layer, "_query_dense", "query", (query, heads, width), (heads, width)),
        **_projection(layer, "_key_dense", "key", (key, groups, width), (groups, width)),
        **_projection(layer, "_value_dense", "value", (value, groups, width), (groups, width)),
        **gate, **_projection(layer, "_output_dense", "attention_output", (heads, width, query), (query,)),
    }


def _scores(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    concat = {"concat_score_weight": ()} if layer.config.get("score_mode") == "concat" else {}
    return {"": {**({"scale": ()} if layer.use_scale else {}), **concat}}


def _additive_scores(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    return {"": {"scale": (shapes[0][-1],)} if layer.use_scale else {}}


def _recurrent(gates: int, group: str = "cell") -> Row:
    def row(layer: Layer, shapes: Sequence[Shape]) -> Groups:
        units = layer.units
        bias: Shape = (2, gates * units) if layer.config.get("reset_after") else (gates * units,)
        kernels: dict[str, Shape] = {"kernel": (shapes[0][-1], gates * units), "recurrent_kernel": (units, gates * units)}
        return {group: _with_bias(layer, kernels, bias)[""]}

    return row


def _conv_lstm(layer: Layer, shapes: Sequence[Shape]) -> Groups:
    """The cell of a convolutional LSTM: one image of each sample at every step."""
    size, filters = tuple(layer.kernel_size), layer.filters
    channels = shapes[0][2 if layer.config.get("data_format") == "channels_first" else -1]
    kernels: dict[str, Shape] = {
        "kernel": (*size, channels, 4 * filters), "recurrent_kernel": (*size, filters, 4 * filters),
    }
    return {"cell": _with_bias(layer, kernels, (4 * filters,))[""]}


Row = Callable[[Layer, Sequence[Shape]], Groups]

WEIGHTS: Mapping[str, Row] = {f"keras.{kind}": row for kind, row in {
    "layers.Dense": _dense, "layers.EinsumDense": _einsum_dense, "layers.Embedding": _embedding,
    **{f"layers.Conv{n}D": _conv for n in (1, 2, 3)}, **{f"layers.DepthwiseConv{n}D": _depthwise for n in (1, 2)},
    **{f"layers.SeparableConv{n}D": _separable for n in (1, 2)}, **{f"layers.Conv{n}DTranspose": _conv_transpose for n in (1, 2, 3)},
    "layers.BatchNormalization": _batch_norm, "layers.LayerNormalization": _scaled, "layers.GroupNormalization": _scaled,
    "layers.RMSNormalization": _rms, "layers.SpectralNormalization": _spectral, "layers.PReLU": _prelu,
    "layers.Normalization": _normalization, "applications.LayerScale": _layer_scale,
    "layers.MultiHeadAttention": _heads, "layers.GroupedQueryAttention": _grouped_heads, "layers.Attention": _scores,
    "layers.AdditiveAttention": _additive_scores,
    "layers.LSTM": _recurrent(4), "layers.GRU": _recurrent(3), "layers.SimpleRNN": _recurrent(1),
    "layers.LSTMCell": _recurrent(4, ""), "layers.GRUCell": _recurrent(3, ""), "layers.SimpleRNNCell": _recurrent(1, ""),
    **{f"layers.ConvLSTM{n}D": _conv_lstm for n in (1, 2, 3)},
}.items()}
