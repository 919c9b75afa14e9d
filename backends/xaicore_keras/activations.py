"""Activation functions, by their Keras 3 names: the same table serves ``activation=...``, activation layers and ``keras.ops``.

``ACTIVATIONS`` is the table: a name, and what to add to the graph for it. Softmax takes its axis along.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, TypeAlias

from xaicore.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Abs,
    Add,
    Clip,
    Compare,
    Exp,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LogSoftmax,
    Mish,
    Mul,
    Neg,
    Op,
    Pow,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Slice,
    Softmax,
    Softplus,
    Softsign,
    Sqrt,
    Sub,
    Tanh,
    Where,
)
from xaicore_keras.convert import Call, Value
from xaicore_keras.record import Function, Layer

Get: TypeAlias = Callable[[str, Any], Any]
"""How an activation asks for a setting: its name, and Keras's default."""


def activate(c: Call, function: Any, v: Value) -> Value:
    """The ``activation=`` of a layer as a node of its own, called layer/relu."""
    if function in (None, "linear", Function("linear")):
        return v
    if isinstance(function, Layer):
        if function.kind in _BY_CLASS:
            function = Function(_BY_CLASS[function.kind], function.config)
        else:
            return c.to.lower(replace(c, op=function, args=(v,), kwargs={}, name=f"{c.name}/{function.name}"))[0]
    known = function if isinstance(function, Function) else Function(str(function))
    if known.name not in ACTIVATIONS:
        raise c.refuse(
            f"has the activation {known.name!r}, a Python function that Keras does not record",
            f"use one of {', '.join(sorted(ACTIVATIONS))}, or call keras.ops functions on the layer's output",
        )
    return ACTIVATIONS[known.name](c, v, lambda key, default: known.settings.get(key, default), known.name)


def activation_operation(name: str, c: Call) -> Value:
    """A row for an operation or layer that is an activation itself: its settings are its attributes."""
    return ACTIVATIONS[name](c, c.x, lambda key, default: c.op.config.get(key, default), "")


# ----- one function each ------------------------------------------------------------------------------------------

Activation = Callable[[Call, Value, Get, str], Value]


def _one(op: Op) -> Activation:
    return lambda c, v, get, tag: c.map(op, v, tag=tag)


def _set(make: Callable[[Any], Op], key: str, default: Any) -> Activation:
    return lambda c, v, get, tag: c.map(make(get(key, default)), v, tag=tag)


def _sub(tag: str, part: str) -> str:
    return f"{tag}/{part}" if tag else part


def relu(c: Call, v: Value, get: Get, tag: str) -> Value:
    """x above the threshold, cut at max_value; below it slope * (x - threshold)."""
    slope, bound, top = get("negative_slope", 0.0), get("threshold", 0.0), get("max_value", None)
    if slope and top is None and not bound:
        return c.map(LeakyReLU(float(slope)), v, tag=tag)
    stages: list[tuple[str, Callable[[Value, str], Value]]] = []
    if bound:
        stages.append(("kept", lambda x, name: _keep_above(c, x, bound, 0.0, name)))
    elif top == 6:
        stages.append(("relu6", lambda x, name: c.map(ReLU6(), x, tag=name)))
    else:
        stages.append(("relu", lambda x, name: c.map(ReLU(), x, tag=name)))
    if top is not None and (bound or top != 6):     # a clip after the ReLU, so that the slope at 0 is that of ReLU
        stages.append(("cut", lambda x, name: c.map(Clip(None, float(top)), x, tag=name)))
    y = v
    for part, stage in stages:
        y = stage(y, tag if part == stages[-1][0] and not slope else _sub(tag, part))
    if not slope:
        return y
    below = c.map(Neg(), v, tag=_sub(tag, "negated"))
    if bound:
        below = c.map(Add(), below, c.constant(bound, tag="threshold"), tag=_sub(tag, "shifted"))
    below = c.map(ReLU(), below, tag=_sub(tag, "below"))
    below = c.map(Mul(), below, c.constant(slope, tag="slope"), tag=_sub(tag, "leak"))
    return c.map(Sub(), y, below, tag=tag)


def _keep_above(c: Call, v: Value, bound: float, other: float, tag: str) -> Value:
    """x where x > bound, else the other value."""
    above = c.add(Compare("gt"), v, c.constant(bound, tag="threshold"), tag=_sub(tag, "above"))
    return replace(v, name=c.add(Where(), above, v, c.constant(other, tag="other"), tag=tag))


def _with_axis(make: Callable[[int], Op]) -> Activation:
    def add(c: Call, v: Value, get: Get, tag: str) -> Value:
        axis = get("axis", -1)
        if isinstance(axis, (list, tuple)) and len(axis) == 1:
            axis = axis[0]
        if not isinstance(axis, int):
            raise c.refuse(f"takes a softmax over the axes {axis}", "give one axis; flatten them into one before it")
        if axis % v.rank == 0:
            raise c.refuse("takes a softmax over axis 0, the batch", "samples must not mix: use another axis")
        return c.map(make(v.axis(axis) if v.moved else axis), v, tag=tag)

    return add


def glu(c: Call, v: Value, get: Get, tag: str) -> Value:
    """a * sigmoid(b) for the two halves of x along the axis."""
    axis = get("axis", -1) % v.rank
    half = c.size(v, axis) // 2
    a, b = (c.map(Slice(v.axis(axis), *ends), v, tag=_sub(tag, f"half{k}")) for k, ends in enumerate(((0, half), (half, 2 * half))))
    gate = c.map(Sigmoid(), b, tag=_sub(tag, "gate"))
    return replace(c.map(Mul(), a, gate, tag=tag), image="")


def hard_shrink(c: Call, v: Value, get: Get, tag: str) -> Value:
    """x where |x| > threshold, else 0."""
    size = c.map(Abs(), v, tag=_sub(tag, "abs"))
    far = c.add(Compare("gt"), size, c.constant(get("threshold", 0.5), tag="threshold"), tag=_sub(tag, "far"))
    return replace(v, name=c.add(Where(), far, v, c.constant(0.0, tag="zero"), tag=tag))


def threshold(c: Call, v: Value, get: Get, tag: str) -> Value:
    """x where x > threshold, else the default value."""
    return _keep_above(c, v, get("threshold", 0.0), get("default_value", 0.0), tag)


def soft_shrink(c: Call, v: Value, get: Get, tag: str) -> Value:
    """x - clip(x, -threshold, threshold)."""
    t = float(get("threshold", 0.5))
    return c.map(Sub(), v, c.map(Clip(-t, t), v, tag=_sub(tag, "near")), tag=tag)


def tanh_shrink(c: Call, v: Value, get: Get, tag: str) -> Value:
    """x - tanh(x)."""
    return c.map(Sub(), v, c.map(Tanh(), v, tag=_sub(tag, "tanh")), tag=tag)


def squareplus(c: Call, v: Value, get: Get, tag: str) -> Value:
    """(x + sqrt(x^2 + b)) / 2."""
    inside = c.map(Add(), c.map(Pow(2), v, tag=_sub(tag, "square")), c.constant(get("b", 4), tag="b"), tag=_sub(tag, "plus"))
    total = c.map(Add(), v, c.map(Sqrt(), inside, tag=_sub(tag, "sqrt")), tag=_sub(tag, "sum"))
    return c.map(Mul(), total, c.constant(0.5, tag="half"), tag=tag)


def log_sigmoid(c: Call, v: Value, get: Get, tag: str) -> Value:
    """-softplus(-x)."""
    inside = c.map(Softplus(), c.map(Neg(), v, tag=_sub(tag, "negated")), tag=_sub(tag, "softplus"))
    return c.map(Neg(), inside, tag=tag)


def sparse_plus(c: Call, v: Value, get: Get, tag: str) -> Value:
    """0 below -1, (x + 1)^2 / 4 up to 1, x above: the square is of a clip, so that one choice suffices."""
    inside = c.map(Add(), c.map(Clip(-1.0, 1.0), v, tag=_sub(tag, "clip")), c.constant(1.0, tag="one"), tag=_sub(tag, "plus"))
    middle = c.map(Mul(), c.map(Pow(2), inside, tag=_sub(tag, "square")), c.constant(0.25, tag="quarter"), tag=_sub(tag, "middle"))
    above = c.add(Compare("ge"), v, c.constant(1.0, tag="one"), tag=_sub(tag, "above"))
    return replace(v, name=c.add(Where(), above, v, middle, tag=tag))


ACTIVATIONS: Mapping[str, Activation] = {
    "relu": relu, "relu6": _one(ReLU6()), "leaky_relu": _set(LeakyReLU, "negative_slope", 0.2), "elu": _set(ELU, "alpha", 1.0),
    "selu": _one(SELU()), "celu": _set(CELU, "alpha", 1.0), "silu": _one(SiLU()), "mish": _one(Mish()),
    "gelu": _set(lambda tanh: GELU("tanh" if tanh else "none"), "approximate", False),
    "sigmoid": _one(Sigmoid()), "hard_sigmoid": _one(HardSigmoid(1 / 6, 0.5)), "sparse_sigmoid": _one(HardSigmoid(0.5, 0.5)),
    "hard_silu": _one(HardSwish()), "log_sigmoid": log_sigmoid, "tanh": _one(Tanh()), "hard_tanh": _one(Clip(-1.0, 1.0)),
    "tanh_shrink": tanh_shrink, "soft_shrink": soft_shrink, "hard_shrink": hard_shrink, "threshold": threshold,
    "softplus": _one(Softplus()), "softsign": _one(Softsign()), "squareplus": squareplus, "sparse_plus": sparse_plus,
    "exponential": _one(Exp()), "glu": glu, "softmax": _with_axis(Softmax), "log_softmax": _with_axis(LogSoftmax),
}

OPERATIONS: Mapping[str, str] = {
    "Relu": "relu", "Relu6": "relu6", "LeakyRelu": "leaky_relu", "Elu": "elu", "Selu": "selu", "Celu": "celu", "Silu": "silu",
    "Gelu": "gelu", "Sigmoid": "sigmoid", "HardSigmoid": "hard_sigmoid", "SparseSigmoid": "sparse_sigmoid", "HardSilu": "hard_silu",
    "LogSigmoid": "log_sigmoid", "Tanh": "tanh", "HardTanh": "hard_tanh", "TanhShrink": "tanh_shrink", "SoftShrink": "soft_shrink",
    "HardShrink": "hard_shrink", "Threshold": "threshold", "Softplus": "softplus", "Softsign": "softsign", "Squareplus": "squareplus",
    "SparsePlus": "sparse_plus", "Exp": "exponential", "Glu": "glu", "Softmax": "softmax", "LogSoftmax": "log_softmax",
}
"""Classes of keras.ops, and the activation that each one is."""

_BY_CLASS: Mapping[str, str] = {
    **{f"keras.ops.{k}": v for k, v in OPERATIONS.items()}, "keras.activations.ReLU": "relu", "keras.activations.Mish": "mish",
}
