"""LSTM, GRU and RNN layers, as one node for each layer and direction; and such a node as torch computes it.

torch has the batch on axis 1 unless told otherwise, the final states of all layers in one tensor (layers * directions, N, H), and
two biases, as the operators have. The tables at the end say which function lowers which ATen operator, and which emits which.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from xaicore import ops
from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout
from xaicore.ops import GRU, LSTM, RNN, Concat, Op, ReLU, Slice, Squeeze
from xaicore_torch.context import Const, Context, Value

KINDS: Mapping[str, Op] = {"lstm": LSTM(), "gru": GRU(), "rnn_tanh": RNN(), "rnn_relu": RNN(activation=ReLU())}

# ----- from torch -------------------------------------------------------------------------------------------------


def has_projections(node: Any) -> bool:
    """Is it an LSTM with proj_size, which torch itself takes apart?"""
    schema = getattr(node.target, "_schema", None)
    if schema is None or schema.name != "aten::lstm" or schema.overload_name != "input":
        return False
    return bool(len(node.args[2]) == (5 if node.args[3] else 3) * node.args[4] * (2 if node.args[7] else 1))


def recurrent(kind: str) -> Callable[..., list[Value | None]]:
    """The lowering of lstm.input, gru.input, rnn_tanh.input and rnn_relu.input."""
    def lower(c: Context, x: Any = None, hx: Any = None, params: Any = (), has_biases: bool = True, num_layers: int = 1, dropout: float = 0,
              train: bool = False, bidirectional: bool = False, batch_first: bool = False, **_: Any) -> list[Value | None]:
        if x is None:
            raise ConversionError("packed sequences of different lengths are not supported; pad them to one length")
        x, batch_axis = c.active(x), 0 if batch_first else 1
        if x.layout.merged or x.layout.axis != batch_axis or len(x.layout.shape) != 3:
            raise ConversionError(
                f"it reads {x.layout.shown()}, but the batch N alone is expected on axis {batch_axis}, since batch_first={batch_first}; "
                f"axis 0 of what the model is fed is the batch: transpose it inside forward, or set batch_first=True"
            )
        return _Layers(c, kind, hx if kind == "lstm" else [hx], params, has_biases, num_layers, 2 if bidirectional else 1).lower(x)

    return lower


class _Layers:
    """The layers of one call in the making."""

    def __init__(self, c: Context, kind: str, hx: Sequence[Any], params: Sequence[Any], biases: bool, layers: int, directions: int):
        self.c, self.kind, self.hx, self.layers, self.directions = c, kind, hx, layers, directions
        each = 4 if biases else 2
        self.weights = [self._biased([c.weight(p) for p in params[k : k + each]], params[k]) for k in range(0, len(params), each)]
        self.finals: dict[str, list[str]] = {"hidden": [], "cell": []}

    def _biased(self, names: list[str], w: Any) -> list[str]:
        if len(names) == 4:
            return names
        zeros = self.c.constant(np.zeros(w.tensor.shape[0]), "no_bias")
        return [*names, zeros, zeros]

    def lower(self, x: Value) -> list[Value | None]:
        """Output, final h and, of an LSTM, final c; those that are not read are None."""
        c, h = self.c, x.name
        used = c.used()
        for k in range(self.layers):
            last = k == self.layers - 1
            part = "" if last else f"l{k}"
            done = [self._one(h, k * self.directions + d, d == 1, part if self.directions == 1 else f"l{k}{'_reverse' * d}", 2 in used)
                    for d in range(self.directions)]
            h = done[0] if self.directions == 1 else c.add(Concat(2), *done, part=part)
        output = Value(h, x.layout.resized(c.shape()))
        finals = [self._final(name, 1 + k) if 1 + k in used else None for k, name in enumerate(("hidden", "cell")[: len(self.hx)])]
        return [output, *finals]

    def _one(self, x: str, k: int, reverse: bool, part: str, cells: bool) -> str:
        """One direction of one layer, and its final states."""
        c = self.c
        states = self._initial(k)
        op: Any = replace(KINDS[self.kind], reverse=reverse)  # type: ignore[call-arg]
        end = Slice(1, 0, 1) if reverse else Slice(1, -1)
        y = c.add(op, x, *self.weights[k], *states, part=part)
        self.finals["hidden"].append(c.add(end, y, part=f"{part or 'l' + str(k // self.directions)}/h"))
        if cells:
            name = c.add(LSTM(reverse, "cell"), x, *self.weights[k], *states, part=f"{part}/cells" if part else "cells")
            self.finals["cell"].append(c.add(end, name, part=f"{part or 'l' + str(k // self.directions)}/c"))
        return y

    def _final(self, which: str, output: int) -> Value:
        """The final states of all layers: torch has (layers, N, H), the graph (N, layers, H)."""
        every = self.finals[which]
        part = "h_n" if which == "hidden" else "c_n"
        name = every[0] if len(every) == 1 else self.c.add(Concat(1), *every, part=part)
        return Value(name, Layout(self.c.shape(output), self.c.batch, 1))

    def _initial(self, k: int) -> list[str]:
        """The initial states of one direction of one layer; none where they are zeros."""
        if all(isinstance(h, Const) and not any(bool(v.any()) for v in h.versions) for h in self.hx):
            return []
        return [self._state(h, k, name) for h, name in zip(self.hx, ("h", "c"))]

    def _state(self, h: Any, k: int, name: str) -> str:
        c = self.c
        if isinstance(h, Const):
            found = [v[k].detach().cpu().numpy() for v in h.versions]
            if any((v != found[0][:1]).any() for v in found):
                raise ConversionError("its initial state is a constant that differs from sample to sample of the batch")
            return c.constant(found[0][:1], f"{name}_0")
        if h.layout.axis != 1 or h.layout.merged:
            raise ConversionError(f"its initial state is {h.layout.shown()}, but (layers, N, H), the batch N alone on axis 1, is expected")
        return c.add(Squeeze((1,)), c.add(Slice(1, k, k + 1), h.name, part=f"{name}_0/l{k}"), part=f"{name}_0/l{k}/state")


TABLE: Mapping[str, Callable[..., Any]] = {kind: recurrent(kind) for kind in KINDS}

# ----- to torch ---------------------------------------------------------------------------------------------------


Functions = Mapping[type[Op], Callable[..., Any]]


def run(functions: Functions, op: Any, x: Any, w: Any, u: Any, b: Any, c: Any, *rest: Any) -> Any:
    """A recurrent operator in torch: torch's own layer where it is one, else a loop with the activations of ``functions``."""
    count = len(op.STATES)
    n = max(len(v) for v in (x, *rest[:count]))
    x = x.expand(n, -1, -1)
    state = tuple(v.expand(n, -1) for v in rest[:count]) or (x.new_zeros(n, u.shape[1]),) * count
    kind = next((k for k, one in KINDS.items() if one == replace(op, reverse=False)), None)
    mask = rest[count] if len(rest) > count else None
    if kind is not None and mask is None:
        whole = tuple(v[None].contiguous() for v in state)
        given = x.flip(1) if op.reverse else x
        y = getattr(torch, kind)(given, whole if kind == "lstm" else whole[0], [w, u, b, c], True, 1, 0.0, False, False, True)[0]
        return y.flip(1) if op.reverse else y
    steps: list[Any] = [None] * x.shape[1]
    for t in reversed(range(len(steps))) if op.reverse else range(len(steps)):
        new = STEPS[type(op)](op, functions, x[:, t] @ w.T + b, u, c, state)
        state = new if mask is None else tuple(torch.where(mask[:, t, None], a, old) for a, old in zip(new, state))
        steps[t] = state[1 if getattr(op, "output", "") == "cell" else 0]
    return torch.stack(steps, 1)


def _call(functions: Functions, op: Op, x: Any) -> Any:
    return functions[type(op)](op, x)


def _rnn(op: RNN, f: Functions, a: Any, u: Any, c: Any, state: Any) -> Any:
    return (_call(f, op.activation, a + state[0] @ u.T + c),)


def _gru(op: GRU, f: Functions, a: Any, u: Any, c: Any, state: Any) -> Any:
    h, (a_r, a_z, a_n), (v_r, v_z, v_n) = state[0], a.chunk(3, 1), (state[0] @ u.T + c).chunk(3, 1)
    r, z = _call(f, op.gate, a_r + v_r), _call(f, op.gate, a_z + v_z)
    inner = r * v_n if op.reset == "after" else (r * h) @ u.chunk(3)[2].T + c.chunk(3)[2]
    return ((1 - z) * _call(f, op.activation, a_n + inner) + z * h,)


def _lstm(op: LSTM, f: Functions, a: Any, u: Any, c: Any, state: Any) -> Any:
    i, forget, g, o = (a + state[0] @ u.T + c).chunk(4, 1)
    cell = _call(f, op.gate, forget) * state[1] + _call(f, op.gate, i) * _call(f, op.activation, g)
    return _call(f, op.gate, o) * _call(f, op.squash, cell), cell


STEPS: Mapping[type[Op], Callable[..., Any]] = {ops.RNN: _rnn, ops.GRU: _gru, ops.LSTM: _lstm}
