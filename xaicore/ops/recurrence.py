"""What the recurrent operators share: the loop over time, forward and back, their inputs, initial states and masks.

The equations of one time step are in recurrent.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import fields
from typing import Any, ClassVar

import numpy as np

from xaicore.errors import GraphError, InputError, ShapeError
from xaicore.numerics import Array, filled, matmul, scalar, unbroadcast
from xaicore.ops.op import Op, need_rank
from xaicore.ops.shape import Identity

State = tuple[Array, ...]
"""The state after a time step: (h,) or, of an LSTM, (h, c)."""
Tape = tuple[Array, ...]
"""What a time step remembers for the way back: the values before and after its activations."""
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
            return unbroadcast(matmul(a, w), x.shape)
        if i == 1:
            return np.asarray(matmul(_rows(a).T, _rows(np.broadcast_to(x, (len(a), *x.shape[1:])))))
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
            parts.append(matmul(_rows(one).T, _rows(seen)))
        return np.concatenate(parts)

    def seen(self, gate: int, tape: Tape, old: State) -> Array:
        """What the rows of u of a gate are multiplied with in a time step."""
        return old[0]

    def _steps(self, *xs: Array) -> Iterator[tuple[int, State, Tape, State]]:
        """For every time step, in the direction's order: its number, the old state, what was remembered, the new state."""
        x, w, u, b, c, state, mask = self._checked(xs)
        a = matmul(x, w.T) + b
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


def _rows(x: Array) -> Array:
    """Samples and time steps as one axis."""
    return x.reshape(-1, x.shape[-1])
