"""Recurrent layers, one direction of one layer each: RNN, GRU and LSTM. Several layers are several nodes, both directions a Concat.

Here are the equations of one time step, forward (``step``), their derivatives (``slopes``) and the chain rule through them (``back``),
with the gates named as in the papers; the loop over time is in recurrence.py. ``expand`` gives the same function as nodes of simpler
operators for each time step (unroll.py): that is where relevance and multipliers of differences flow, and the twin of this in the tests.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from xaicore.errors import GraphError
from xaicore.numerics import Array, filled
from xaicore.ops import laid
from xaicore.ops.op import Op
from xaicore.ops.recurrence import Recurrence, State, Tape, before, product
from xaicore.ops.smooth import Sigmoid, Tanh
from xaicore.ops.unroll import unroll_gru, unroll_lstm, unroll_rnn

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring

SIGMOID, TANH = Sigmoid(), Tanh()


@final
@dataclass(frozen=True)
class RNN(Recurrence):
    """h_t = activation(w x_t + b + u h_{t-1} + c).

    x (N, T, I), w (H, I), u (H, H), b (H,), c (H,), [h (N or 1, H), [mask (N or 1, T)]] -> all h_t (N, T, H). ``reverse``
    goes from the last time step to the first; the output stands in the order of time all the same.
    Raises ShapeError for inputs that do not fit, InputError for a mask that is not boolean, GraphError for an activation that
    is no function of one number.
    Source: Elman 1990. Same as: one direction of a layer of torch.nn.RNN; Keras SimpleRNN, which has one bias, and an output that
    stands in reverse order with go_backwards.
    """

    reverse: bool = False
    activation: Op = TANH

    GATES: ClassVar[tuple[str, ...]] = ("h",)

    def step(self, a: Array, u: Array, c: Array, state: State) -> tuple[State, Tape]:
        z = a + product(state[0], u) + c
        h = self.activation.forward(z)
        return (h,), (z, h)

    def slopes(self, tape: Tape, state: State) -> Tape:
        z, h = tape
        return (self.activation.vjp(0, filled(h.shape, 1, h), h, z),)

    def back(self, d: State, slopes: Tape, u: Array) -> tuple[Array, Array, State]:
        dz = d[0] * slopes[0]
        return dz, dz, (product(dz, u, laid.back),)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_rnn(b, self.activation, self.reverse, *inputs)


@final
@dataclass(frozen=True)
class GRU(Recurrence):
    """h_t = (1 - z) n + z h_{t-1}, with the gates r ("reset") and z ("update") and the candidate n.

    r = gate(w_r x_t + b_r + u_r h + c_r),  z = gate(w_z x_t + b_z + u_z h + c_z),  h = h_{t-1},
    n = activation(w_n x_t + b_n + r (u_n h + c_n))     reset="after" the product with u_n,
    n = activation(w_n x_t + b_n + u_n (r h) + c_n)     reset="before" it, as in the paper.
    x (N, T, I), w (3 H, I), u (3 H, H), b (3 H,), c (3 H,), [h (N or 1, H), [mask (N or 1, T)]] -> all h_t (N, T, H), the rows of
    w, u, b and c in the order r, z, n. ``reverse`` goes from the last time step to the first.
    Raises ShapeError for inputs that do not fit, InputError for a mask that is not boolean.
    Source: Cho et al. 2014 ("before"; Chung et al. 2014 exchange z and 1 - z); "after" is cuDNN's form. Same as: torch.nn.GRU
    ("after"); Keras GRU (reset_after) and ONNX GRU (linear_before_reset), both with the rows z, r, h.
    """

    reverse: bool = False
    reset: Literal["after", "before"] = "after"
    gate: Op = SIGMOID
    activation: Op = TANH

    GATES: ClassVar[tuple[str, ...]] = ("r", "z", "n")
    SUMS: ClassVar[tuple[int, ...]] = (0, 4)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reset not in ("after", "before"):
            raise GraphError(f"GRU: reset is {self.reset!r}; 'after' or 'before' the product with the recurrent weights is expected")

    def step(self, a: Array, u: Array, c: Array, state: State) -> tuple[State, Tape]:
        (h,) = state
        size = h.shape[-1]
        v = product(h, u) + c
        z_gates = a[..., : 2 * size] + v[..., : 2 * size]
        gates = self.gate.forward(z_gates)
        r, z = gates[..., :size], gates[..., size:]
        inner = v[..., 2 * size :] if self.reset == "after" else product(r * h, u[2 * size :]) + c[2 * size :]
        z_n = a[..., 2 * size :] + (r * inner if self.reset == "after" else inner)
        n = self.activation.forward(z_n)
        return ((1 - z) * n + z * h,), (z_gates, r, z, inner, z_n, n)

    def slopes(self, tape: Tape, state: State) -> Tape:
        (h,) = state
        z_gates, r, z, inner, z_n, n = tape
        size = h.shape[-1]
        to_r = self.gate.vjp(0, inner if self.reset == "after" else h, r, z_gates[..., :size])
        to_z = self.gate.vjp(0, h - n, z, z_gates[..., size:])
        to_n = self.activation.vjp(0, 1 - z, n, z_n)
        return to_r, to_z, to_n, r, z

    def back(self, d: State, slopes: Tape, u: Array) -> tuple[Array, Array, State]:
        (dh,) = d
        to_r, to_z, to_n, r, z = slopes
        size = dh.shape[-1]
        d_z, d_n = dh * to_z, dh * to_n
        if self.reset == "after":
            d_r = d_n * to_r
            dv = np.concatenate((d_r, d_z, d_n * r), -1)
            return np.concatenate((d_r, d_z, d_n), -1), dv, (product(dv, u, laid.back) + dh * z,)
        d_rh = product(d_n, u[2 * size :], laid.back)
        d_gates = np.concatenate((d_rh * to_r, d_z), -1)
        dv = np.concatenate((d_gates, d_n), -1)
        return dv, dv, (d_rh * r + product(d_gates, u[: 2 * size], laid.back) + dh * z,)

    def seen(self, gate: int, tape: Tape, old: State) -> Array:
        (h,), r = old, tape[1]
        return r * h if self.reset == "before" and gate == 2 else h

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_gru(b, self.gate, self.activation, self.reset, self.reverse, *inputs)


@final
@dataclass(frozen=True)
class LSTM(Recurrence):
    """c_t = f c_{t-1} + i g and h_t = o squash(c_t), with the gates i ("input"), f ("forget"), o ("output") and the candidate g.

    (i, f, o) = gate(w x_t + b + u h_{t-1} + c) and g = activation(the same), each with its own rows of w, u, b and c.
    x (N, T, I), w (4 H, I), u (4 H, H), b (4 H,), c (4 H,), [h (N or 1, H), c (N or 1, H), [mask (N or 1, T)]] -> (N, T, H): all h_t
    (output="hidden"), or all c_t ("cell"). The rows of w, u, b and c are in the order i, f, g, o. ``reverse`` goes from the
    last time step to the first.
    Raises ShapeError for inputs that do not fit, InputError for a mask that is not boolean.
    Source: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000 and without peepholes. Same as: one direction of
    a layer of torch.nn.LSTM; Keras LSTM, which has one bias; ONNX LSTM with the rows i, o, f, c.
    """

    reverse: bool = False
    output: Literal["hidden", "cell"] = "hidden"
    gate: Op = SIGMOID
    activation: Op = TANH
    squash: Op = TANH

    GATES: ClassVar[tuple[str, ...]] = ("i", "f", "g", "o")
    STATES: ClassVar[tuple[str, ...]] = ("h", "c")
    arity: ClassVar[tuple[int, int | None]] = (5, 8)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.output not in ("hidden", "cell"):
            raise GraphError(f"LSTM: output is {self.output!r}; 'hidden' or 'cell' is expected")

    def shown(self, state: State) -> int:
        return 1 if self.output == "cell" else 0

    def step(self, a: Array, u: Array, c: Array, state: State) -> tuple[State, Tape]:
        h, cell = state
        z = self._sums(a, u, c, h)
        i, f, g, o = self._gates(z)
        new = f * cell
        new += i * g
        s = self.squash.forward(new)
        return (o * s, new), (z, i, f, g, o, new, s)

    def hidden(self, y: Array, *xs: Array) -> Array:
        return y if self.output == "hidden" else replace(self, output="hidden").forward(*xs)

    def _sums(self, a: Array, u: Array, c: Array, h: Array) -> Array:
        """w x_t + b + u h + c, all gates."""
        z = product(h, u)
        z += a
        z += c
        return z

    def _gates(self, z: Array) -> tuple[Array, Array, Array, Array]:
        size = z.shape[-1] // 4
        gates = self.gate.forward(np.concatenate((z[..., : 2 * size], z[..., 3 * size :]), -1))
        g = self.activation.forward(z[..., 2 * size : 3 * size])
        return gates[..., :size], gates[..., size : 2 * size], g, gates[..., 2 * size :]

    def again(self, y: Array, a: Array, u: Array, c: Array, state: State, stays: Sequence[Array | None]) -> tuple[State, Tape]:
        h, cell = before(y, state[0]), state[1]
        z = self._sums(a, u, c, h)
        i, f, g, o = self._gates(z)
        new, cells = i * g, np.empty_like(h)
        for t, stay in enumerate(stays):
            cells[:, t] = cell
            new[:, t] += f[:, t] * cell
            cell = new[:, t] if stay is None else np.where(stay, cell, new[:, t])
        return (h, cells), (z, i, f, g, o, new, self.squash.forward(new))

    def slopes(self, tape: Tape, state: State) -> Tape:
        z, i, f, g, o, new, s = tape
        z_i, z_f, z_g, z_o = (z[..., k * g.shape[-1] : (k + 1) * g.shape[-1]] for k in range(4))
        to_gates = np.stack((self.gate.vjp(0, g, i, z_i), self.gate.vjp(0, state[1], f, z_f), self.activation.vjp(0, i, g, z_g)), -2)
        return to_gates, self.gate.vjp(0, s, o, z_o), self.squash.vjp(0, o, s, new), f

    def back(self, d: State, slopes: Tape, u: Array) -> tuple[Array, Array, State]:
        dh, dc = d
        to_gates, to_o, to_cell, f = slopes
        dc = dc + dh * to_cell
        dz = np.empty((len(dh), 4, dh.shape[1]), dh.dtype)
        np.multiply(dc[:, None], to_gates, out=dz[:, :3])
        np.multiply(dh, to_o, out=dz[:, 3])
        flat = dz.reshape(len(dh), -1)
        return flat, flat, (product(flat, u, laid.back), dc * f)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_lstm(b, self.gate, self.activation, self.squash, self.output, self.reverse, *inputs)
