"""Recurrent layers, one direction of one layer each: RNN, GRU and LSTM. Several layers are several nodes, both directions a Concat.

Forward and backward are loops over the time steps, with the gates named as in the papers. ``expand`` gives the same function
as nodes of simpler operators for each time step (unroll.py): that is where relevance and multipliers of differences flow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, ClassVar, Literal, final

import numpy as np

from xaicore.errors import GraphError, InputError, ShapeError
from xaicore.numerics import Array, filled, scalar, unbroadcast
from xaicore.ops.elementwise import Sigmoid, Tanh
from xaicore.ops.op import Op, need_rank
from xaicore.ops.shape import Identity
from xaicore.ops.unroll import unroll_gru, unroll_lstm, unroll_rnn

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring

SIGMOID, TANH = Sigmoid(), Tanh()
State = tuple[Array, ...]
"""The state after a time step: (h,) or, of an LSTM, (h, c)."""
Tape = tuple[Array, ...]
"""What a time step remembers for the way back: the values before and after its activations."""
REMEMBERED = 2**26
"""Bytes that the tapes of all time steps may take, about: the way back goes through as many samples at a time as fit."""


class _Recurrent(Op):
    """What the three share: inputs, time, direction, initial state and mask.

    x (N, T, I), w (G * H, I), u (G * H, H), b (G * H,), c (G * H,), one state (N or 1, H) for each in ``STATES`` or none of
    them (zeros), and then, if at all, mask (N or 1, T) of booleans -> the states of all time steps (N, T, H). G is the number
    of gates, whose blocks of rows stand in the order of ``GATES``; a time step computes w x_t + b and u h + c. Where the mask
    is False the state stays as it was.
    """

    GATES: ClassVar[tuple[str, ...]]
    STATES: ClassVar[tuple[str, ...]] = ("h",)
    arity: ClassVar[tuple[int, int | None]] = (5, 7)
    reverse: bool

    def __post_init__(self) -> None:
        functions = [v for v in (getattr(self, f.name) for f in fields(self)) if isinstance(v, Op)]  # type: ignore[arg-type]
        for one in functions:
            if not (one.elementwise or one == Identity()) or one.arity != (1, 1):
                raise GraphError(f"{type(self).__name__}: {one} is no function of one number; an activation such as Tanh() is expected")
        object.__setattr__(self, "rational", all(one.rational for one in functions))

    def blocks(self, i: int) -> bool:
        return i == 5 + len(self.STATES)

    # ----- one time step, given by each kind ------------------------------------------------------------------------

    def step(self, a: Array, u: Array, c: Array, state: State) -> tuple[State, Tape]:
        """The new state from a = w x_t + b and the old state, and what ``back`` needs to remember of it."""
        raise TypeError(f"{type(self).__name__} does not define step")

    def back(self, d: State, tape: Tape, u: Array, state: State) -> tuple[Array, Array, State]:
        """Cotangents from those of the new state: of a, of u h + c, and of the old state."""
        raise TypeError(f"{type(self).__name__} does not define back")

    def shown(self, state: State) -> int:
        """Which part of the state is the output."""
        return 0

    # ----- all of them ----------------------------------------------------------------------------------------------

    def forward(self, *xs: Array) -> Array:
        shown = {t: new[self.shown(new)] for t, _, _, new in self._steps(*xs)}
        return np.stack([shown[t] for t in range(len(shown))], axis=1)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if self.blocks(i):
            return np.zeros_like(xs[i])
        batch, part = len(g), max(1, REMEMBERED // (10 * y.nbytes // len(y)))
        batched = [i == 0 or i >= 5 for i in range(len(xs))]
        found = []
        for k in range(0, batch, part):
            some = [x[k : k + part] if own and len(x) == batch else x for x, own in zip(xs, batched)]
            found.append(self._vjp(i, g[k : k + part], *some))
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if batched[i] and len(xs[i]) == batch else np.asarray(sum(found[1:], start=found[0]))

    def _vjp(self, i: int, g: Array, *xs: Array) -> Array:
        """The vjp for as many samples as can be remembered at once."""
        steps = sorted(self._steps(*xs), key=lambda step: step[0])
        olds, tapes = [step[1] for step in steps], [step[2] for step in steps]
        a, v, d = self._through(g, tapes, olds, xs)
        x, w = xs[:2]
        if i == 0:
            return unbroadcast(np.matmul(a, w), x.shape)
        if i == 1:
            return np.asarray(np.matmul(_rows(a).T, _rows(np.broadcast_to(x, (len(a), *x.shape[1:])))))
        if i == 2:
            return self._recurrent_weights(v, tapes, olds)
        if i in (3, 4):
            return np.asarray((a if i == 3 else v).sum(axis=(0, 1)))
        return unbroadcast(d[i - 5], xs[i].shape)

    def _through(self, g: Array, tapes: list[Tape], olds: list[State], xs: Sequence[Array]) -> tuple[Array, Array, State]:
        """Through time, against its direction: the cotangents of all w x_t + b, of all u h + c, and of the initial state."""
        mask = xs[5 + len(self.STATES)] if len(xs) > 5 + len(self.STATES) else None
        a: list[Any] = [None] * len(tapes)
        v: list[Any] = [None] * len(tapes)
        d: State = tuple(filled(one.shape, 0, g) for one in olds[0])
        for t in reversed(list(self._times(len(tapes)))):
            at = self.shown(d)
            d = (*d[:at], d[at] + g[:, t], *d[at + 1 :])
            stays = None
            if mask is not None:                                         # what a masked step hands on to the state before it
                counts = mask[:, t, None]
                stays = tuple(np.where(counts, scalar(0, g), one) for one in d)
                d = tuple(np.where(counts, one, scalar(0, g)) for one in d)
            a[t], v[t], d = self.back(d, tapes[t], xs[2], olds[t])
            d = d if stays is None else tuple(one + other for one, other in zip(d, stays))
        return np.stack(a, axis=1), np.stack(v, axis=1), d

    def _recurrent_weights(self, v: Array, tapes: list[Tape], olds: list[State]) -> Array:
        """The cotangent of u, gate by gate: what came to its product, times what u was multiplied with."""
        parts = []
        for k, one in enumerate(np.split(v, len(self.GATES), axis=2)):
            seen = np.stack([self.seen(k, tape, old) for tape, old in zip(tapes, olds)], axis=1)
            parts.append(np.matmul(_rows(one).T, _rows(seen)))
        return np.concatenate(parts)

    def seen(self, gate: int, tape: Tape, old: State) -> Array:
        """What the rows of u of a gate are multiplied with in a time step."""
        return old[0]

    def _steps(self, *xs: Array) -> Iterator[tuple[int, State, Tape, State]]:
        """For every time step, in the direction's order: its number, the old state, what was remembered, the new state."""
        x, w, u, b, c, state, mask = self._checked(xs)
        a = np.matmul(x, w.T) + b
        for t in self._times(x.shape[1]):
            old = state
            state, tape = self.step(a[:, t], u, c, old)
            if mask is not None:
                state = tuple(np.where(mask[:, t, None], new, kept) for new, kept in zip(state, old))
            yield t, old, tape, state

    def _times(self, steps: int) -> Iterator[int]:
        return iter(range(steps - 1, -1, -1) if self.reverse else range(steps))

    def _checked(self, xs: Sequence[Array]) -> tuple[Array, Array, Array, Array, Array, State, Array | None]:
        who, rows = type(self).__name__, len(self.GATES)
        x, w, u, b, c = xs[:5]
        need_rank(x, 3, who, "(N, T, I), samples of T time steps,")
        need_rank(u, 2, who, f"recurrent weights ({rows} * H, H)")
        hidden = u.shape[1]
        wanted = {"w": (w, (rows * hidden, x.shape[2])), "u": (u, (rows * hidden, hidden)), "b": (b, (rows * hidden,)),
                  "c": (c, (rows * hidden,))}
        for name, (given, shape) in wanted.items():
            if given.shape != shape:
                raise ShapeError(f"{who}: {name} has shape {given.shape}, but x has {x.shape[2]} features and u {hidden} columns, so "
                                 f"{shape} is expected: {rows} blocks of rows in the order {', '.join(self.GATES)}")
        given_states = xs[5 : 5 + len(self.STATES)]
        if given_states and len(given_states) < len(self.STATES):
            raise ShapeError(f"{who}: of the initial states {' and '.join(self.STATES)} only the first is given; give all or none")
        n = next((len(one) for one in (x, *given_states) if len(one) != 1), 1)
        for name, one in zip(self.STATES, given_states):
            if one.ndim != 2 or one.shape[1] != hidden or len(one) not in (1, n):
                raise ShapeError(f"{who}: the initial state {name} has shape {one.shape}, but ({n} or 1, {hidden}) is expected")
        if x.shape[1] == 0 or len(x) not in (1, n):
            raise ShapeError(f"{who}: x has shape {x.shape}; at least one time step is expected, and {n} samples or one")
        state = tuple(np.broadcast_to(one, (n, hidden)) for one in given_states) or (filled((n, hidden), 0, x),) * len(self.STATES)
        mask = xs[5 + len(self.STATES)] if len(xs) > 5 + len(self.STATES) else None
        if mask is not None and (mask.dtype != bool or mask.ndim != 2 or mask.shape[1] != x.shape[1] or len(mask) not in (1, n)):
            raise InputError(f"{who}: the mask is {mask.dtype} of shape {mask.shape}; booleans of shape ({n} or 1, {x.shape[1]}) are "
                             f"expected, True where a time step counts")
        return x, w, u, b, c, state, mask


@final
@dataclass(frozen=True)
class RNN(_Recurrent):
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
        z = a + np.matmul(state[0], u.T) + c
        h = self.activation.forward(z)
        return (h,), (z, h)

    def back(self, d: State, tape: Tape, u: Array, state: State) -> tuple[Array, Array, State]:
        z, h = tape
        dz = self.activation.vjp(0, d[0], h, z)
        return dz, dz, (np.matmul(dz, u),)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_rnn(b, self.activation, self.reverse, *inputs)


@final
@dataclass(frozen=True)
class GRU(_Recurrent):
    """h_t = (1 - z) n + z h_{t-1}, with the gates r ("reset") and z ("update") and the candidate n.

    r = gate(w_r x_t + b_r + u_r h + c_r),  z = gate(w_z x_t + b_z + u_z h + c_z),  h = h_{t-1},
    n = activation(w_n x_t + b_n + r (u_n h + c_n))     reset="after" the product with u_n,
    n = activation(w_n x_t + b_n + u_n (r h) + c_n)     reset="before" it, as in the paper.
    x (N, T, I), w (3 H, I), u (3 H, H), b (3 H,), c (3 H,), [h (N or 1, H), [mask (N or 1, T)]] -> all h_t (N, T, H), the rows of
    w, u, b and c in the order r, z, n. ``reverse`` goes from the last time step to the first.
    Raises ShapeError for inputs that do not fit, InputError for a mask that is not boolean.
    Source: Cho et al. 2014, where z and 1 - z are exchanged; "after" is cuDNN's form. Same as: torch.nn.GRU ("after"); Keras GRU
    (reset_after) and ONNX GRU (linear_before_reset), both with the rows z, r, h.
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
        (a_r, a_z, a_n), (v_r, v_z, v_n) = _blocks(a, 3), _blocks(np.matmul(h, u.T) + c, 3)
        z_r, z_z = a_r + v_r, a_z + v_z
        r, z = self.gate.forward(z_r), self.gate.forward(z_z)
        size = h.shape[1]
        inner = v_n if self.reset == "after" else np.matmul(r * h, u[2 * size :].T) + c[2 * size :]
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
            d_h = np.matmul(d_inner, u_n)
        else:
            d_rh = np.matmul(d_n, u_n)
            d_r, d_inner = self.gate.vjp(0, d_rh * h, r, z_r), d_n
            d_h = d_rh * r
        d_h = d_h + np.matmul(d_r, u_r) + np.matmul(d_z, u_z) + dh * z
        return np.concatenate((d_r, d_z, d_n), 1), np.concatenate((d_r, d_z, d_inner), 1), (d_h,)

    def seen(self, gate: int, tape: Tape, old: State) -> Array:
        (h,), r = old, tape[1]
        return r * h if self.reset == "before" and gate == 2 else h

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_gru(b, self.gate, self.activation, self.reset, self.reverse, *inputs)


@final
@dataclass(frozen=True)
class LSTM(_Recurrent):
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
        z_i, z_f, z_g, z_o = _blocks(a + np.matmul(h, u.T) + c, 4)
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
        return dz, dz, (np.matmul(dz, u), dc * f)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return unroll_lstm(b, self.gate, self.activation, self.squash, self.output, self.reverse, *inputs)


def _blocks(a: Array, count: int) -> list[Array]:
    return np.split(a, count, axis=1)


def _rows(x: Array) -> Array:
    """Samples and time steps as one axis."""
    return x.reshape(-1, x.shape[-1])
