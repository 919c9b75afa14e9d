"""Layers without a sliding window: dense, embedding, normalisation, merging, shape, preprocessing, regularisation."""

from __future__ import annotations

import string
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from xaicore.numerics import Array
from xaicore.ops import (
    Add,
    BatchNorm,
    Clip,
    Compare,
    Concat,
    Dense,
    Dropout,
    Einsum,
    Embedding,
    GroupNorm,
    Identity,
    LayerNorm,
    Maximum,
    Minimum,
    Mul,
    Op,
    Pow,
    PReLU,
    RMSNorm,
    Rsqrt,
    Sub,
    Sum,
    ToFloat,
    ToInt,
    Transpose,
    Unsqueeze,
)
from xaicore_keras.activations import activate
from xaicore_keras.convert import Call, Value
from xaicore_keras.record import numpy_of

# ----- dense ------------------------------------------------------------------------------------------------------


def dense(c: Call) -> Value:
    """x @ kernel + bias along the last axis; the kernel (I, O) is kept as (O, I)."""
    name = c.add(Dense(), c.own(floating(c, c.x)), c.param("kernel", np.transpose), *c.params("bias"))
    return activate(c, c.op.activation, c.value(name))


def einsum_dense(c: Call) -> Value:
    """einsum(equation, x, kernel) + bias; where one last axis goes to one last axis, a Dense."""
    x = c.own(c.x)
    terms, out = c.op.equation.replace(" ", "").split("->")
    seen, kernel = terms.split(",")
    free = [one for one in string.ascii_letters if one not in terms + out]
    dots = "".join(free[: x.rank - len(seen.replace("...", ""))])
    seen, out = seen.replace("...", dots), out.replace("...", dots)
    if seen[0] != out[0] or seen[0] in kernel:
        raise c.refuse(f"has the equation {c.op.equation!r}, which mixes or moves the batch", "keep axis 0 first on both sides")
    bias = c.weight("bias")
    if len(kernel) == 2 and seen[:-1] == out[:-1] and set(kernel) == {seen[-1], out[-1]} and (bias is None or bias.ndim == 1):
        turn = np.transpose if kernel == seen[-1] + out[-1] else None
        name = c.add(Dense(), x, c.param("kernel", turn), *c.params("bias"))
        return activate(c, c.op.activation, c.value(name))
    product = c.add(Einsum(f"{seen},{kernel}->{out}"), x, c.param("kernel"), tag="" if bias is None else "product")
    name = product if bias is None else c.add(Add(), product, c.param("bias"))
    return activate(c, c.op.activation, c.value(name))


def embedding(c: Call) -> Value:
    """The rows of the table that the indices name; with mask_zero, index 0 is masked for the layers behind."""
    ids = c.own(c.x)
    if ids.kind == "float":
        ids = c.map(ToInt(), ids, tag="index")
    v = c.value(c.add(Embedding(), c.param("embeddings"), ids))
    if not c.op.mask_zero:
        return v
    mask = c.add(Compare("ne"), c.own(c.x), c.to.b.constant(np.asarray(0), f"{c.name}/masked_index"), tag="mask")
    return replace(v, mask=Value(mask, c.x.shape, "bool"))


def floating(c: Call, v: Value) -> Value:
    """Integers and booleans as numbers of the graph's arithmetic, where Keras would convert them."""
    return v if v.kind == "float" else replace(c.map(ToFloat(), v, tag="float"), kind="float")


# ----- normalisation ----------------------------------------------------------------------------------------------


def _filled(c: Call, name: str, shape: Sequence[int], value: float) -> str:
    """A weight, or an array of its neutral value where the layer has none."""
    return c.param(name) if c.weight(name) else c.to.b.constant(np.full(tuple(shape), value), name=f"{c.name}/{name}")


def _with_channels_first(c: Call, axis: int, op: Op, *params: str) -> Value:
    """An operator over axis 1 for a layer that normalises ``axis``: the last one is moved there, others by a Transpose."""
    k = axis % c.x.rank
    if k == c.x.rank - 1 and k != 1:
        v = c.moved(c.x)
        return c.value(c.add(op, v, *params), moved=True)
    v = c.own(c.x)
    if k == 1:
        return c.value(c.add(op, v, *params))
    perm = (0, k, *(j for j in range(1, v.rank) if j != k))
    inner = c.add(op, c.add(Transpose(perm), v, tag="to_front"), *params, tag="normalized")
    return c.value(c.add(Transpose(tuple(int(j) for j in np.argsort(perm))), inner))


def batch_norm(c: Call) -> Value:
    """(x - moving_mean) / sqrt(moving_variance + epsilon) * gamma + beta, along the layer's axis."""
    layer = c.op
    shape = layer.moving_mean.shape
    params = (
        _filled(c, "gamma", shape, 1.0), _filled(c, "beta", shape, 0.0), c.param("moving_mean"), c.param("moving_variance"),
    )
    return _with_channels_first(c, layer.axis, BatchNorm(layer.epsilon), *params)


def group_norm(c: Call) -> Value:
    """Groups of channels; groups=-1 is one group for each channel."""
    layer = c.op
    channels = c.size(c.x, layer.axis % c.x.rank)
    params = [_filled(c, "gamma", (channels,), 1.0)] if layer.scale or layer.center else []
    params += c.params("beta")
    return _with_channels_first(c, layer.axis, GroupNorm(channels if layer.groups == -1 else layer.groups, layer.epsilon), *params)


def _over_last(c: Call, op: Callable[[int], Op], params: Callable[[], Sequence[str]]) -> Value:
    """An operator over the last axes for a layer that normalises ``axis``; other axes go to the end and back."""
    v = c.own(c.x)
    given = c.op.axis if isinstance(c.op.axis, (list, tuple)) else [c.op.axis]
    axes = sorted(k % v.rank for k in given)
    if 0 in axes:
        raise c.refuse(f"normalises over the axes {given}, and axis 0 is the batch", "samples must not mix: use other axes")
    if axes == list(range(v.rank - len(axes), v.rank)):
        return c.value(c.add(op(len(axes)), v, *params()))
    perm = (*(k for k in range(v.rank) if k not in axes), *axes)
    inner = c.add(op(len(axes)), c.add(Transpose(perm), v, tag="to_end"), *params(), tag="normalized")
    return c.value(c.add(Transpose(tuple(int(k) for k in np.argsort(perm))), inner))


def layer_norm(c: Call) -> Value:
    """(x - mean) / sqrt(variance + epsilon) * gamma + beta, over the layer's axes of each sample."""
    layer = c.op
    if layer.config.get("rms_scaling"):
        raise c.refuse("has rms_scaling=True", "use keras.layers.RMSNormalization")

    def params() -> list[str]:
        if not layer.center:
            return c.params("gamma")
        return [_filled(c, "gamma", layer.beta.shape, 1.0), c.param("beta")]

    return _over_last(c, lambda n: LayerNorm(n, layer.epsilon), params)


def rms_norm(c: Call) -> Value:
    """x / sqrt(mean(x^2) + epsilon) * scale, over the layer's axes of each sample."""
    return _over_last(c, lambda n: RMSNorm(n, c.op.epsilon), lambda: c.params("scale"))


def unit_norm(c: Call) -> Value:
    """x / |x|, the norm being at least 1e-12: UnitNormalization, and keras.ops.normalize of order 2 with its own bound."""
    axis = c.op.axis
    least = c.op.config.get("epsilon", 1e-12)
    if c.op.config.get("order", 2) != 2:
        raise c.refuse(f"normalises by the norm of order {c.op.order}", "use order=2")
    axes = [axis] if isinstance(axis, int) else list(axis)
    return l2_normalized(c, c.x, axes, c.to.settings.epsilon if least is None else least, "")


def l2_normalized(c: Call, v: Value, axes: Sequence[int], least: float, tag: str) -> Value:
    """x / max(|x|, least) along the axes; the bound is on the square, so that no 1 / 0 comes up."""
    if any(k % v.rank == 0 for k in axes):
        raise c.refuse(f"normalises over the axes {axes}, and axis 0 is the batch", "samples must not mix: use other axes")
    prefix = f"{tag}/" if tag else ""
    square = c.add(Pow(2), v, tag=f"{prefix}square")
    total = c.add(Sum(tuple(v.axis(k) for k in axes), True), square, tag=f"{prefix}sum")
    scale = c.add(Rsqrt(), c.add(Clip(least * least), total, tag=f"{prefix}bounded"), tag=f"{prefix}scale")
    return replace(v, name=c.add(Mul(), v, scale, tag=tag), image="")


# ----- merging ----------------------------------------------------------------------------------------------------


def together(c: Call, values: Sequence[Value]) -> list[Value]:
    """The values in one layout: channels on axis 1 as soon as one of them has them there."""
    if len({v.rank for v in values}) > 1:
        top = max(v.rank for v in values)
        values = [_raised(c, v, top, k) for k, v in enumerate(values)]
    moved = any(v.moved for v in values)
    return [c.moved(v) if moved else v for v in values]


def _raised(c: Call, v: Value, rank: int, k: int) -> Value:
    """Merge layers (operations do not) put axes of size 1 behind the batch of what has fewer axes."""
    if v.rank == rank:
        return v
    new = tuple(range(1, 1 + rank - v.rank))
    name = c.add(Unsqueeze(new), c.own(v), tag=f"input{k}")
    return c.value(name)


def chain(op: Op) -> Callable[[Call], Value]:
    """A layer that joins all its inputs by one operator, from left to right."""

    def lowering(c: Call) -> Value:
        return _chained(c, op, "")

    return lowering


def _chained(c: Call, op: Op, tag: str) -> Value:
    first, *rest = together(c, c.values)
    name = first.name
    for k, v in enumerate(rest):
        name = c.add(op, name, v, tag=tag if k + 1 == len(rest) else f"{tag or 'part'}{k + 1}")
    return c.value(name, first.moved)


def average(c: Call) -> Value:
    """The sum times 1 / count."""
    total = _chained(c, Add(), "sum")
    return c.map(Mul(), total, c.constant(1 / len(c.values), tag="share"))


def concatenate(c: Call) -> Value:
    """Concatenate, and keras.ops.concatenate."""
    values = together(c, c.values)
    rank = values[0].rank
    if c.op.axis % rank == 0:
        raise c.refuse("joins along axis 0, the batch", "samples must not mix: use another axis")
    if all(v.mask is not None for v in values):
        raise c.refuse("joins masked sequences", "build the model without masking")
    return c.value(c.add(Concat(values[0].axis(c.op.axis)), *values), values[0].moved)


def dot(c: Call) -> Value:
    """sum over one axis of each input; two vectors give (N, 1)."""
    a, b = (c.own(v) for v in c.values)
    axes = [c.op.axes % v.rank for v in (a, b)] if isinstance(c.op.axes, int) else [k % v.rank for k, v in zip(c.op.axes, (a, b))]
    if c.op.normalize:
        bound = c.to.settings.epsilon
        a, b = (l2_normalized(c, v, [k], bound, f"unit{j}") for j, (v, k) in enumerate(zip((a, b), axes)))
    left = "n" + string.ascii_lowercase[: a.rank - 1]
    right = "n" + string.ascii_uppercase[: b.rank - 1]
    right = right[: axes[1]] + left[axes[0]] + right[axes[1] + 1 :]
    out = left.replace(left[axes[0]], "") + right.replace(left[axes[0]], "")[1:]
    if len(out) > 1:
        return c.value(c.add(Einsum(f"{left},{right}->{out}"), a, b))
    return c.value(c.add(Sum((1,), True), c.add(Mul(), a, b, tag="product")))


# ----- entry by entry ---------------------------------------------------------------------------------------------


def activation(c: Call) -> Value:
    """The function itself; a linear one is an Identity, so that the layer can be found."""
    v = activate(c, c.op.activation, c.x)
    return c.map(Identity(), v) if v.name == c.x.name else v


def prelu(c: Call) -> Value:
    """The slope has the shape of a sample, with 1 on shared axes."""
    slope = c.param("alpha", lambda w: c.x.in_layout(w[None]), f"moved={c.x.moved}")
    return c.map(PReLU(), c.x, slope)


def identity(c: Call) -> Value:
    """Layers that do nothing at inference."""
    return c.map(Dropout(float(c.op.rate)) if isinstance(c.op.config.get("rate"), float) else Identity(), c.x)


def rescaling(c: Call) -> Value:
    """x * scale + offset."""
    x, scale, offset = floating(c, c.x), np.asarray(c.op.scale, float), np.asarray(c.op.offset, float)
    if scale.ndim and c.to.settings.data_format == "channels_first":
        scale = scale.reshape(*scale.shape, *(1,) * (3 - scale.ndim))
    plain = not offset.any()
    y = c.map(Mul(), x, c.constant(scale, x, "scale"), tag="" if plain else "scaled")
    return y if plain else c.map(Add(), y, c.constant(offset, x, "offset"))


def normalization(c: Call) -> Value:
    """(x - mean) / max(sqrt(variance), epsilon), or back."""
    x = floating(c, c.x)
    mean, variance = _statistics(c)
    std = np.maximum(np.sqrt(variance), c.to.settings.epsilon)
    if c.op.invert:
        return c.map(Add(), c.map(Mul(), x, c.constant(std, x, "std"), tag="scaled"), c.constant(mean, x, "mean"))
    return c.map(Mul(), c.map(Sub(), x, c.constant(mean, x, "mean"), tag="centred"), c.constant(1 / std, x, "scale"))


def _statistics(c: Call) -> list[Array]:
    """Mean and variance in the numbers that Keras keeps them in: given as settings, or learned by adapt()."""
    axes = () if c.op.axis is None else c.op.axis if isinstance(c.op.axis, (list, tuple)) else (c.op.axis,)
    kept = sorted(k % c.x.rank for k in axes)
    dtype = np.float64 if c.op.policy == "float64" else np.float32
    found = []
    for name in ("mean", "variance"):
        x = numpy_of(getattr(c.op, name)).astype(dtype)
        shape = [1] * c.x.rank
        for k, n in zip(reversed(kept), reversed(x.shape)):
            shape[k] = n
        found.append(x.reshape(shape))
    return found


def layer_scale(c: Call) -> Value:
    """x * gamma along the last axis (keras.applications)."""
    return c.map(Mul(), c.x, c.param("gamma", lambda g: c.x.in_layout(g.reshape((1,) * (c.x.rank - 1) + g.shape)), f"moved={c.x.moved}"))


def scaled_residual(c: Call) -> Value:
    """a + b * scale (keras.applications)."""
    a, b = together(c, c.values)
    scaled = c.map(Mul(), b, c.constant(c.op.scale, tag="scale"), tag="scaled")
    return c.map(Add(), a, scaled)


# ----- wrappers ---------------------------------------------------------------------------------------------------


def time_distributed(c: Call) -> Value:
    """A layer at every step of axis 1: the time axis is one more axis that the layer's operator leaves alone."""
    inner = c.op.layer
    kind = inner.kind
    over_last = inner.config.get("axis", -1) in (-1, [-1])
    if kind not in EVERY_STEP or not over_last:
        raise c.refuse(
            f"wraps a {kind}, and the graph can hold no batch of steps",
            f"wrap one of {', '.join(sorted(k.rpartition('.')[2] for k in EVERY_STEP))}, or use a layer with one more axis",
        )
    return c.to.lower(replace(c, op=inner, extra=c.extra + 1))[0]


def wrapped(c: Call) -> Value:
    """SpectralNormalization at inference is the layer that it wraps."""
    return c.to.lower(replace(c, op=c.op.layer))[0]


EVERY_STEP = {f"keras.layers.{one}" for one in (
    "Dense", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Dropout", "Rescaling", "Identity", "Flatten",
    "Conv1D", "Conv2D", "DepthwiseConv1D", "DepthwiseConv2D", "SeparableConv1D", "SeparableConv2D",
    "MaxPooling1D", "MaxPooling2D", "AveragePooling1D", "AveragePooling2D",
    "GlobalAveragePooling1D", "GlobalAveragePooling2D", "GlobalMaxPooling1D", "GlobalMaxPooling2D",
    "BatchNormalization", "LayerNormalization",
)}

MERGE: dict[str, Op] = {"Add": Add(), "Subtract": Sub(), "Multiply": Mul(), "Maximum": Maximum(), "Minimum": Minimum()}
