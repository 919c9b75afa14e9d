"""Recurrent layers, one direction of one layer each: RNN, GRU and LSTM. Several layers are several nodes, both directions a Concat.

Here are the equations of one time step, forward (``step``) and back (``back``), with the gates named as in the papers; the loop
over time is in recurrence.py. ``expand`` gives the same function as nodes of simpler operators for each time step
(unroll.py): that is where relevance and multipliers of differences flow.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from xaicore.errors import GraphError
from xaicore.numerics import Array, matmul
from xaicore.ops.elementwise import Sigmoid, Tanh
from xaicore.ops.op import Op
from xaicore.ops.recurrence import Recurrence, State, Tape
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
        z = a + matmul(state[0], u.T) + c
        h = self.activation.forward(z)
        return (h,), (z, h)

    def back(self, d: State, tape: Tape, u: Array, state: State) -> tuple[Array, Array, State]:
        z, h = tape
        dz = self.activation.vjp(0, d[0], h, z)
        return dz, dz, (matmul(dz, u),)

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

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reset not in ("after", "before"):
            raise GraphError(f"GRU: reset is {self.reset!r}; 'after' or 'before' the product with the recurrent weights is expected")

    def step(self, a: Array, u: Array, c: Array, state: State) -> tuple[State, Tape]:
        (h,) = state
        (a_r, a_z, a_n), (v_r, v_z, v_n) = np.split(a, 3, 1), np.split(matmul(h, u.T) + c, 3, 1)
        z_r, z_z = a_r + v_r, a_z + v_z
        r, z = self.gate.forward(z_r), self.gate.forward(z_z)
        size = h.shape[1]
        inner = v_n if self.reset == "after" else matmul(r * h, u[2 * size :].T) + c[2 * size :]
        z_n = a_n + (r * inner if self.reset == "after" else inner)
        n = self.activation.forward(z_n)
        return ((1 - z) * n + z * h,), (z_r, r, z_z, z, inner, z_n, n)

    def back(self, d: State, tape: Tape, u: Array, state: State) -> tuple[Array, Array, State]:
        (h,), (dh,) = state, d
        z_r, r, z_z, z, inner, z_n, n = tape
        u_r, u_z, u_n = np.split(u, 3)
        d_z = self.gate.vjp(0, dh * (h - n), z, z_z)
        d_n = self.activation.vjp(0, dh * (1 - z), n, z_n)
        if self.reset == "after":
            d_r, d_inner = self.gate.vjp(0, d_n * inner, r, z_r), d_n * r
            d_h = matmul(d_inner, u_n)
        else:
            d_rh = matmul(d_n, u_n)
            d_r, d_inner = self.gate.vjp(0, d_rh * h, r, z_r), d_n
            d_h = d_rh * r
        d_h = d_h + matmul(d_r, u_r) + matmul(d_z, u_z) + dh * z
        return np.concatenate((d_r, d_z, d_n), 1), np.concatenate((d_r, d_z, d_inner), 1), (d_h,)

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
        z_i, z_f, z_g, z_o = np.split(a + matmul(h, u.T) + c, 4, 1)
        i, f, o = self.gate.forward(z_i), self.gate.forward(z_f), self.gate.forward(z_o)
        g = self.activation.forward(z_g)
        new = f * cell + i * g
        s = self.squash.forward(new)
        return (o * s, new), (z_i, i, z_f, f, z_g, g, z_o, o, new, s)

    def back(self, d: State, tape: Tape, u: Array, state: State) -> tuple[Array, Array, State]:
        (_, cell), (dh, dc) = state, d
        z_i, i, z_f, f, z_g, g, z_o, o, new, s = tape
        dc = dc + self.squash.vjp(0, dh * o, s, new)
        dz = np.concatenate((
            self.gate.vjp(0, dc * g, i, z_i),
            self.gate.vjp(0, dc * cell, f, z_f),
            self.activation.vjp(0, dc * i, g, z_g),
            self.gate.vjp(0, dh * s, o, z_o),
        ), axis=1)
        return dz, dz, (matmul(dz, u), dc * f)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_lstm(b, self.gate, self.activation, self.squash, self.output, self.reverse, *inputs)
