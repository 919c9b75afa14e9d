"""What the recurrent operators share: the loop over time, forward and back, their inputs, initial states and masks.

The equations of one time step are in recurrent.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import ClassVar

import numpy as np

from xaicore.errors import GraphError, InputError, ShapeError
from xaicore.numerics import Array, filled, in_range, matmul, unbroadcast
from xaicore.ops import laid, unpacked
from xaicore.ops.op import Op, need_rank
from xaicore.ops.shape import Identity

State = tuple[Array, ...]
"""The state after a time step: (h,) or, of an LSTM, (h, c)."""
Tape = tuple[Array, ...]
"""What a time step finds on its way: the values before and after its activations; or what ``slopes`` makes of these."""
REMEMBERED = 2**26
"""Bytes that the tapes of all time steps may take, about: the way back goes through as many samples at a time as fit."""


class Recurrence(Op):
    """What the three share: inputs, time, direction, initial state and mask.

    x (N, T, I), w (G * H, I), u (G * H, H), b (G * H,), c (G * H,), one state (N or 1, H) for each in ``STATES`` or none of
    them (zeros), and then, if at all, mask (N or 1, T) of booleans -> the states of all time steps (N, T, H). G is the number
    of gates, whose blocks of rows stand in the order of ``GATES``; a time step computes w x_t + b and u h + c. Where the mask
    is False the state stays as it was.
    """

    GATES: ClassVar[tuple[str, ...]]
    STATES: ClassVar[tuple[str, ...]] = ("h",)
    SUMS: ClassVar[tuple[int, ...]] = (0,)
    """What of a tape is a sum with a product in it."""
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
        """The new state from a = w x_t + b and the old state, and what ``slopes`` needs of it. One time step, its arrays (N, ...), or all
        of them at once (N, T, ...), where all old states are known."""
        raise TypeError(f"{type(self).__name__} does not define step")

    def slopes(self, tape: Tape, state: State) -> Tape:
        """The derivatives that ``back`` multiplies with, of all time steps at once (N, T, ...); ``state`` are the old states."""
        raise TypeError(f"{type(self).__name__} does not define slopes")

    def back(self, d: State, slopes: Tape, u: Array) -> tuple[Array, Array, State]:
        """Cotangents from those of the new state: of a, of u h + c, and of the old state; one time step (N, ...)."""
        raise TypeError(f"{type(self).__name__} does not define back")

    def again(self, y: Array, a: Array, u: Array, c: Array, state: State, stays: Sequence[Array | None]) -> tuple[State, Tape]:
        """The old states of all time steps (N, T, H) and their tapes, all at once: known from all h_t and the initial state. ``stays``:
        where a step keeps its old state."""
        olds = (before(y, state[0]),)
        return olds, self.step(a, u, c, olds)[1]

    def hidden(self, y: Array, *xs: Array) -> Array:
        """All h_t, from the output."""
        return y

    def shown(self, state: State) -> int:
        """Which part of the state is the output."""
        return 0

    # ----- all of them ----------------------------------------------------------------------------------------------

    def forward(self, *xs: Array) -> Array:
        x, w, u, b, c, state, mask = self._checked(xs)
        a, stays, at = self._in_order(matmul(x, w.T) + b), self._stays(mask, x.shape[1]), self.shown(state)
        y = np.empty((len(state[0]), x.shape[1], u.shape[1]), x.dtype)
        into, sums = self._in_order(y), []
        for t, stay in enumerate(stays):
            new, tape = self.step(a[:, t], u, c, state)
            state = new if stay is None else tuple(np.where(stay, old, one) for old, one in zip(state, new))
            into[:, t] = state[at]
            sums.append([tape[k] for k in self.SUMS])
        for parts in zip(*sums):
            in_range(np.stack(parts))
        return y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if self.blocks(i):
            return np.zeros_like(xs[i])
        y = self.hidden(y, *xs)
        batch, part = len(g), max(1, REMEMBERED // (10 * y.nbytes // len(y)))
        batched = [i == 0 or i >= 5 for i in range(len(xs))]
        found = []
        for k in range(0, batch, part):
            some = [x[k : k + part] if own and len(x) == batch else x for x, own in zip(xs, batched)]
            found.append(self._vjp(i, g[k : k + part], y[k : k + part], *some))
        if len(found) == 1:
            return found[0]
        return np.concatenate(found) if batched[i] and len(xs[i]) == batch else np.asarray(sum(found[1:], start=found[0]))

    def _vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        """The vjp for as many samples as can be remembered at once, from all h_t: as these are known, so are the old states, and what is in
        a time step is computed for all of them together, with one product; only the cotangents go from one to the next."""
        x, w, u, b, c, state, mask = self._checked(xs)
        a, stays = self._in_order(matmul(x, w.T) + b), self._stays(mask, x.shape[1])
        olds, tape = self.again(self._in_order(y), a, u, c, state, stays)
        da, dv, d = self._through(self._in_order(g), self.slopes(tape, olds), stays, u)
        if i == 0:
            return unbroadcast(matmul(self._in_order(da), w), x.shape)
        if i == 1:
            return np.asarray(matmul(_rows(da).T, _rows(np.broadcast_to(self._in_order(x), (len(da), *x.shape[1:])))))
        if i == 2:
            return self._recurrent_weights(dv, tape, olds)
        if i in (3, 4):
            return np.asarray((da if i == 3 else dv).sum(axis=(0, 1)))
        return unbroadcast(d[i - 5], xs[i].shape)

    def _through(self, g: Array, slopes: Tape, stays: Sequence[Array | None], u: Array) -> tuple[Array, Array, State]:
        """Through time, against its direction: the cotangents of all w x_t + b, of all u h + c, and of the initial state."""
        zero = filled((len(g), g.shape[2]), 0, g)
        d: State = (zero,) * len(self.STATES)
        at, a, v = self.shown(d), [], []
        for t in reversed(range(len(stays))):
            d = (*d[:at], d[at] + g[:, t], *d[at + 1 :])
            stay = stays[t]
            if stay is None:
                da, dv, d = self.back(d, tuple([one[:, t] for one in slopes]), u)
            else:                                                        # what a masked step hands on to the state before it
                kept = tuple(np.where(stay, one, zero) for one in d)
                da, dv, d = self.back(tuple(np.where(stay, zero, one) for one in d), tuple([one[:, t] for one in slopes]), u)
                d = tuple(one + other for one, other in zip(d, kept))
            a.append(da)
            v.append(dv)
        for one in d:
            in_range(one)
        to_a = in_range(np.stack(a[::-1], axis=1))
        return to_a, to_a if v[0] is a[0] else in_range(np.stack(v[::-1], axis=1)), d

    def _recurrent_weights(self, v: Array, tape: Tape, olds: State) -> Array:
        """The cotangent of u, gate by gate: what came to its product, times what u was multiplied with."""
        parts = np.split(v, len(self.GATES), axis=2)
        return np.concatenate([matmul(_rows(one).T, _rows(self.seen(k, tape, olds))) for k, one in enumerate(parts)])

    def seen(self, gate: int, tape: Tape, olds: State) -> Array:
        """What the rows of u of a gate are multiplied with, in all time steps."""
        return olds[0]

    def _in_order(self, x: Array) -> Array:
        """(N, T, ...) with the time steps as the direction takes them, and back again."""
        return x[:, ::-1] if self.reverse else x

    def _stays(self, mask: Array | None, steps: int) -> list[Array | None]:
        """For each time step, in the direction's order, where the state stays as it was."""
        if mask is None:
            return [None] * steps
        stays = ~self._in_order(mask)[:, :, None]
        return [stays[:, t] for t in range(steps)]

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


def product(x: Array, u: Array, matrix: laid.Matrix = laid.ahead) -> Array:
    """x (..., H) times uᵀ (``laid.ahead``), or d (..., O) times u (``laid.back``), for u (O, H). The loop over time asks only once, at its
    end, whether its products are in range (``matmul`` asks each time)."""
    if x.ndim == 2 and len(x) * u.size > unpacked.SMALL:
        return laid.times(matrix, u, len(x))(x, None)
    return np.asarray(np.matmul(x, u.T if matrix is laid.ahead else u))


def before(y: Array, first: Array) -> Array:
    """What stood before each time step: y (N, T, H) one step later, with ``first`` (N, H) in front."""
    return np.concatenate((first[:, None], y[:, :-1]), axis=1)


def _rows(x: Array) -> Array:
    """Samples and time steps as one axis."""
    return x.reshape(-1, x.shape[-1])
