"""Recurrent layers: LSTM, GRU, SimpleRNN, RNN around one of their cells, Bidirectional around any of these, and Masking.

Keras has the gates in the orders i, f, c, o and z, r, h, transposed kernels, one bias (two in a GRU with ``reset_after``), and
with ``go_backwards`` gives its outputs in the order in which it made them, last time step first.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from xaicore.numerics import Array
from xaicore.ops import (
    CELU,
    ELU,
    GELU,
    GRU,
    LSTM,
    RNN,
    SELU,
    Add,
    Clip,
    Compare,
    Concat,
    CumSum,
    Exp,
    HardSigmoid,
    HardSwish,
    Identity,
    LeakyReLU,
    Mish,
    Mul,
    Op,
    ReduceMax,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Slice,
    Softplus,
    Softsign,
    Squeeze,
    Tanh,
    ToBool,
    ToFloat,
    Unsqueeze,
    Where,
)
from xaicore_keras.convert import Call, Value
from xaicore_keras.record import Function, Layer, flat

ORDER: Mapping[str, tuple[int, ...]] = {"SimpleRNN": (0,), "GRU": (1, 0, 2), "LSTM": (0, 1, 2, 3)}
"""Keras's blocks of columns (h; z r h; i f c o) in the order of the operators (h; r z n; i f g o)."""

FUNCTIONS: Mapping[str, Op] = {
    "linear": Identity(), "tanh": Tanh(), "sigmoid": Sigmoid(), "relu": ReLU(), "relu6": ReLU6(), "hard_sigmoid": HardSigmoid(1 / 6, 0.5),
    "sparse_sigmoid": HardSigmoid(0.5, 0.5), "hard_tanh": Clip(-1.0, 1.0), "hard_silu": HardSwish(), "silu": SiLU(), "mish": Mish(),
    "gelu": GELU(), "elu": ELU(), "selu": SELU(), "celu": CELU(), "leaky_relu": LeakyReLU(0.2), "softplus": Softplus(),
    "softsign": Softsign(), "exponential": Exp(),
}
"""Activations that a cell can have, without settings of their own. (Keras 2 wrote hard_sigmoid for a slope of 0.2; Keras 3 has 1/6.)"""


@dataclass(frozen=True)
class Pass:
    """What a recurrent layer gives in one direction: its outputs in the order of time, the last one, the final states."""

    every: str
    last: str
    states: tuple[str, ...]


def recurrent(c: Call) -> Value | tuple[Value, ...]:
    """LSTM, GRU, SimpleRNN, and RNN around a cell."""
    mask, initial = _mask(c), initial_of(c)
    done = one_way(c, c.own(c.x), _heeded(c, mask, initial), initial, whole="" if c.op.return_sequences else "steps")
    found = [done.every if c.op.return_sequences else done.last]
    if c.op.return_sequences and c.op.go_backwards:
        found = [c.add(Slice(1, None, None, -1), done.every, tag="turned")]
    output = replace(c.value(found[0]), mask=mask if c.op.return_sequences else None)
    return (output, *(c.value(one) for one in done.states)) if c.op.return_state else output


def bidirectional(c: Call) -> tuple[Value, ...]:
    """Both ways, put together by ``merge_mode``; a layer that goes backwards has its outputs back in the order of time."""
    x, mask, initial = c.own(c.x), _mask(c), initial_of(c)
    ways, half = [c.inside(c.op.forward_layer), c.inside(c.op.backward_layer)], len(initial) // 2
    if not all(one.op.kind in ROWS for one in ways):
        raise c.refuse(f"wraps a {ways[0].op.kind}", f"wrap one of {', '.join(sorted(k.rpartition('.')[2] for k in ROWS))}")
    heeded = _heeded(c, mask, initial)
    done = [one_way(one, x, heeded, initial[k * half : (k + 1) * half]) for k, one in enumerate(ways)]
    sequences = bool(ways[0].op.return_sequences)
    parts = [one.every if sequences else one.last for one in done]
    if sequences and ways[0].op.go_backwards:                           # then it is the other one that Keras turns around
        parts = [c.add(Slice(1, None, None, -1), one, tag="turned") for one in parts]
    kept = mask if sequences else None
    merged = [replace(c.value(one), mask=kept) for one in _merged(c, parts)]
    states = [c.value(one) for way in done for one in way.states] if ways[0].op.return_state else []
    return (*merged, *states)


def _merged(c: Call, parts: list[str]) -> list[str]:
    mode = c.op.merge_mode
    if mode is None:
        return parts
    if mode == "concat":
        return [c.add(Concat(len(c.to.b.shape(parts[0])) - 1), *parts)]
    if mode == "ave":
        return [c.add(Mul(), c.add(Add(), *parts, tag="sum"), c.constant(0.5, tag="half"))]
    if mode not in ("sum", "mul"):
        raise c.refuse(f"has the merge_mode {mode!r}", "use 'concat', 'sum', 'ave', 'mul' or None")
    return [c.add(Add() if mode == "sum" else Mul(), *parts)]


def one_way(c: Call, x: Value, mask: Value | None, initial: list[Value], whole: str = "steps") -> Pass:
    """One layer in its direction; ``whole`` is the tag of the node with all outputs, or what comes last on the way to them."""
    if c.op.stateful:
        raise c.refuse("keeps its state from one call to the next, so it is not the same function twice", "rebuild it with stateful=False")
    cells, backwards, left = _cells(c), bool(c.op.go_backwards), list(initial)
    zeros_out, edge = bool(c.op.config.get("zero_output_for_mask")), Slice(1, 0, 1) if backwards else Slice(1, -1)
    cut = mask is not None and (zeros_out or bool(initial))

    def final(name: str, tag: str) -> str:
        return c.add(Squeeze((1,)), c.add(edge, name, tag=f"{tag}/step" if tag else "last"), tag=tag)

    found: list[str] = []
    hidden, every, last = x, x.name, ""
    for k, one in enumerate(cells):                                     # of several, each runs over what the one before it gives
        cell = replace(c, args=(hidden,), kwargs={}).inside(one) if one is not c.op else c
        kind, end, part = CELLS.get(one.kind, one.kind.rpartition(".")[2]), k == len(cells) - 1, f"cell{k}/" if len(cells) > 1 else ""
        count = 2 if kind == "LSTM" else 1
        states, left = [v.name for v in left[:count]], left[count:]
        if mask is not None and not states:
            states = [c.to.b.constant(np.zeros((1, cell.op.units)), f"{c.name}/{part}zeros")] * count
        inputs = [hidden.name, *_weights(cell, kind), *states, *([] if mask is None else [mask.name])]
        tag = ("unmasked" if cut else whole) if end else f"{part}steps"
        hidden = c.value(c.add(_operator(cell, kind, backwards, "hidden"), *inputs, tag=tag))
        if end:
            every = hidden.name if mask is None or not cut else _cut(c, hidden.name, mask, zeros_out, backwards, whole)
            last = final(every, "" if whole else "final")
        if c.op.return_state:
            found.append(last if end and every == hidden.name else final(hidden.name, f"{part}h"))
            if kind == "LSTM":
                found.append(final(c.add(_operator(cell, kind, backwards, "cell"), *inputs, tag=f"{part}cells"), f"{part}c"))
    return Pass(every, last, tuple(found))


def _cut(c: Call, y: str, mask: Value, zeros: bool, backwards: bool, tag: str) -> str:
    """Zeros where a step is masked, or only until the first step that is not: Keras repeats outputs, and starts from zeros."""
    counts = mask.name
    if not zeros:
        so_far = c.add(CumSum(1, reverse=backwards), c.add(ToFloat(), mask, tag="mask_number"), tag="so_far")
        counts = c.add(Compare("gt"), so_far, c.to.b.constant(0, f"{c.name}/none"), tag="begun")
    return c.add(Where(), c.add(Unsqueeze((2,)), counts, tag="counts"), y, c.to.b.constant(0, f"{c.name}/zero"), tag=tag)


# ----- cells ------------------------------------------------------------------------------------------------------


def _cells(c: Call) -> list[Layer]:
    """The layers whose settings and weights are those of the cells that run: the layer itself, or those inside an RNN."""
    if c.op.kind != "keras.layers.RNN":
        return [c.op]
    cell = c.op.parts.get("cell")
    stacked = cell is not None and cell.kind == STACK
    found = [v for k, v in cell.parts.items() if k.startswith("cells/")] if stacked and cell else [cell]
    for one in found:
        if one is None or one.kind not in CELLS:
            raise c.refuse(f"runs a cell of the kind {getattr(one, 'kind', 'unknown')}", f"use {', '.join(CELLS)}, alone or in a list")
    return [one for one in found if one is not None]


def _operator(c: Call, kind: str, backwards: bool, output: str) -> Op:
    activation = function_of(c, c.op.activation)
    if kind == "SimpleRNN":
        return RNN(backwards, activation)
    gate = function_of(c, c.op.recurrent_activation)
    if kind == "GRU":
        return GRU(backwards, "after" if c.op.reset_after else "before", gate, activation)
    return LSTM(backwards, output, gate, activation, activation)  # type: ignore[arg-type]


def function_of(c: Call, function: object) -> Op:
    """An activation as an operator."""
    known = function if isinstance(function, Function) else Function(str(getattr(function, "name", function or "linear")))
    if isinstance(function, Layer) or known.settings or known.name not in FUNCTIONS:
        raise c.refuse(f"has the activation {known.name!r}, which no cell here has", f"use one of {', '.join(sorted(FUNCTIONS))}")
    return FUNCTIONS[known.name]


def _weights(c: Call, kind: str) -> list[str]:
    """w, u, b and c, their blocks in the operator's order."""
    order = ORDER[kind]

    def rows(x: Array) -> Array:
        blocks = np.split(x, len(order), axis=-1)
        return np.concatenate([blocks[k] for k in order], axis=-1).T

    def of(row: int) -> Callable[[Array], Array]:
        return lambda x: rows(x[row])

    names = [c.param("kernel", rows), c.param("recurrent_kernel", rows)]
    bias = c.weight("bias")
    if bias is not None and bias.ndim == 2:
        return [*names, c.param("bias", of(0), "input"), c.param("bias", of(1), "recurrent")]
    zeros = c.to.b.constant(np.zeros(len(order) * c.op.units), f"{c.name}/no_bias")
    return [*names, zeros if bias is None else c.param("bias", rows), zeros]


# ----- states and masks -------------------------------------------------------------------------------------------


def initial_of(c: Call) -> list[Value]:
    """The initial states that the call is given."""
    given = c.arg(1, "initial_state")
    found = [] if given is None else flat(given)
    if not all(isinstance(one, Value) for one in found):
        raise c.refuse("is given an initial_state that is a constant", "make it the output of a layer, or an input of the model")
    return [c.own(one) for one in found]


def _mask(c: Call) -> Value | None:
    """The mask of the sequence, given to the call or carried along."""
    given = c.arg(2, "mask")
    mask = c.x.mask if given is None else given
    if mask is None or isinstance(mask, Value):
        return mask if mask is None or mask.kind == "bool" else replace(mask, name=c.add(ToBool(), mask, tag="mask"), kind="bool")
    raise c.refuse("is given a mask that is a constant", "compute it from the input, with keras.layers.Masking or keras.ops")


def _heeded(c: Call, mask: Value | None, initial: list[Value]) -> Value | None:
    """The mask that the layer itself heeds: beside an initial state Keras hands on what the sequence carries, and does not heed it."""
    return mask if c.arg(2, "mask") is not None or not initial else None


def masking(c: Call) -> Value:
    """x where any feature of a time step differs from ``mask_value``, else 0, and that as the mask for the layers behind."""
    x = c.own(c.x)
    other = c.add(Compare("ne"), x, c.constant(c.op.mask_value, tag="mask_value"), tag="differs")
    some = c.add(ReduceMax((x.rank - 1,), keepdims=True), c.add(ToFloat(), other, tag="differs_number"), tag="some")
    counts = c.add(ToBool(), some, tag="counts")
    mask = c.value(c.add(Squeeze((x.rank - 1,)), counts, tag="mask"))
    return replace(c.value(c.add(Where(), counts, x, c.to.b.constant(0, f"{c.name}/zero"))), mask=mask)


def lone_cell(c: Call) -> Value:
    """A cell that is called by itself."""
    raise c.refuse("is one step of a recurrent layer", "put it into keras.layers.RNN(cell), which runs it over a sequence")


ROWS: Mapping[str, str] = {f"keras.layers.{k}": k for k in ("LSTM", "GRU", "SimpleRNN", "RNN")}
CELLS: Mapping[str, str] = {f"keras.layers.{k}Cell": k for k in ("LSTM", "GRU", "SimpleRNN")}
STACK = "keras.layers.StackedRNNCells"
RECURRENT: Mapping[str, Callable[[Call], Value | tuple[Value, ...]]] = {
    **dict.fromkeys(ROWS.values(), recurrent), "Bidirectional": bidirectional, "Masking": masking,
    **dict.fromkeys((*(f"{k}Cell" for k in CELLS.values()), "StackedRNNCells"), lone_cell),
}
