"""Recurrent layers time step by time step, out of simpler operators: the expansions of RNN, GRU and LSTM.

Each time step is a Dense of the joined [x_t, h_{t-1}], activations, and products of gates with signals, as the papers on LRP
for recurrent networks have it. Values are (N, 1, features); the nodes of time step t are called ``t/part``. Where no initial
state is given, the first step has none, and its terms are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xaicore.errors import GraphError
from xaicore.numerics import Array
from xaicore.ops.arithmetic import Add, Mul, Sub, Where
from xaicore.ops.elementwise import Clip
from xaicore.ops.linear import Dense
from xaicore.ops.op import Op
from xaicore.ops.shape import Concat, Expand, Slice, Split, Unsqueeze

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring

States = tuple[str, ...]
"""The names of the states after a time step; () before the first where none are given."""


@dataclass(frozen=True)
class Loop:
    """The time steps of one recurrent layer: the wiring, the layer's inputs x, w, u, b, c, states, mask, and the direction."""

    b: Wiring
    inputs: tuple[str, ...]
    states: int
    reverse: bool
    clip: float | None = None
    """The bound of what goes into an activation function, which ONNX knows."""

    def weights(self) -> tuple[Array, Array, Array, Array]:
        """The values of w, u, b and c."""
        w, u, b, c = (self.b.value(name) for name in self.inputs[1:5])
        return w, u, b, c

    def run(self, step: Callable[[str, str, States], States], shown: int = 0) -> str:
        """All states (N, T, H); ``step`` adds the nodes of one time step: (prefix, x_t, old states) -> new states."""
        b, x = self.b, self.inputs[0]
        steps = b.shape(x)[1]
        if steps is None:
            raise GraphError(f"the number of time steps of {x!r} is free; to unroll a recurrent layer it must be known")
        mask = self.inputs[5 + self.states] if len(self.inputs) > 5 + self.states else None
        state = tuple(self._initial(name, f"initial{k}") for k, name in enumerate(self.inputs[5 : 5 + self.states]))
        if state and b.shape(x)[0] == 1:
            x = b.add(Expand((-1, -1)), x, state[0], name="x")
        found: dict[int, str] = {}
        for t in range(steps - 1, -1, -1) if self.reverse else range(steps):
            old, state = state, step(f"{t}/", b.add(Slice(1, t, t + 1), x, name=f"{t}/x"), state)
            if mask is not None:
                counts = b.add(Unsqueeze((2,)), b.add(Slice(1, t, t + 1), mask, name=f"{t}/mask"), name=f"{t}/counts")
                state = tuple(b.add(Where(), counts, new, kept, name=f"{t}/kept{k}") for k, (new, kept) in enumerate(zip(state, old)))
            found[t] = state[shown]
        return b.add(Concat(1), *(found[t] for t in range(steps)), name="states")

    def _initial(self, name: str, part: str) -> str:
        """An initial state (N or 1, H) as (N, 1, H)."""
        high = self.b.add(Unsqueeze((1,)), name, name=part)
        return self.b.add(Expand((-1, -1)), high, self.inputs[0], name=f"{part}/batch") if self.b.shape(name)[0] == 1 else high

    def joined(self, part: str, w: Array, u: Array, bias: Array) -> Callable[[str, str, str | None], str]:
        """A function that adds w x + u h + bias as one Dense of [x, h], or of x alone: (prefix, x, h or None) -> name."""
        only_x, both = self.b.constant(w, f"{part}/w"), self.b.constant(np.concatenate((w, u), axis=1), f"{part}/wu")
        b = self.b.constant(bias, f"{part}/b")

        def add(at: str, x: str, h: str | None) -> str:
            if h is None:
                return self.b.add(Dense(), x, only_x, b, name=at + part)
            return self.b.add(Dense(), self.b.add(Concat(2), x, h, name=f"{at}{part}_input"), both, b, name=at + part)

        return add

    def activate(self, op: Op, x: str, name: str) -> str:
        """``op`` of x, which is clipped first where a clip is given."""
        x = x if self.clip is None else self.b.add(Clip(-self.clip, self.clip), x, name=f"{name}_clipped")
        return self.b.add(op, x, name=name)

    def pieces(self, x: str, at: str, letters: str, size: int) -> list[str]:
        """``x`` cut along its last axis, a piece of ``size`` for each letter."""
        return [self.b.add(Split(2, (size,) * len(letters), k), x, name=f"{at}{one}_sum") for k, one in enumerate(letters)]


def unroll_rnn(b: Wiring, activation: Op, reverse: bool, *inputs: str, clip: float | None = None) -> str:
    """h = activation(w x + u h + b + c)."""
    loop = Loop(b, inputs, 1, reverse, clip)
    w, u, bias, c = loop.weights()
    total = loop.joined("h_sum", w, u, bias + c)

    def step(at: str, x: str, old: States) -> States:
        return (loop.activate(activation, total(at, x, old[0] if old else None), f"{at}h"),)

    return loop.run(step)


def unroll_gru(b: Wiring, gate: Op, activation: Op, reset: str, reverse: bool, *inputs: str, clip: float | None = None) -> str:
    """r and z from one Dense, then n, then h = (1 - z) n + z h."""
    loop = Loop(b, inputs, 1, reverse, clip)
    w, u, bias, c = loop.weights()
    size = u.shape[1]
    gates = loop.joined("gates", w[: 2 * size], u[: 2 * size], (bias + c)[: 2 * size])
    (w_n, u_n, b_n, c_n), one = (v[2 * size :] for v in (w, u, bias, c)), b.constant(1, "one")
    if reset == "before":
        whole = loop.joined("n_sum", w_n, u_n, b_n + c_n)
    else:
        w_name, u_name, b_name, c_name = (b.constant(v, f"n_sum/{k}") for k, v in (("w", w_n), ("u", u_n), ("b", b_n), ("c", c_n)))

    def candidate(at: str, x: str, r: str, h: str | None) -> str:
        if reset == "before":
            return whole(at, x, None if h is None else b.add(Mul(), r, h, name=f"{at}reset"))
        inner = c_name if h is None else b.add(Dense(), h, u_name, c_name, name=f"{at}n_inner")
        total = b.add(Add(), b.add(Dense(), x, w_name, name=f"{at}n_x"), b.add(Mul(), r, inner, name=f"{at}reset"), name=f"{at}n_both")
        return b.add(Add(), total, b_name, name=f"{at}n_sum")

    def step(at: str, x: str, old: States) -> States:
        h = old[0] if old else None
        r, z = (loop.activate(gate, v, at + k) for k, v in zip("rz", loop.pieces(gates(at, x, h), at, "rz", size)))
        n = loop.activate(activation, candidate(at, x, r, h), f"{at}n")
        new = b.add(Mul(), b.add(Sub(), one, z, name=f"{at}new_share"), n, name=f"{at}new")
        return (new if h is None else b.add(Add(), new, b.add(Mul(), z, h, name=f"{at}kept"), name=f"{at}h"),)

    return loop.run(step)


def unroll_lstm(
    b: Wiring, gate: Op, activation: Op, squash: Op, output: str, reverse: bool, *inputs: str, clip: float | None = None,
    peepholes: Mapping[str, Array] | None = None, coupled: bool = False,
) -> str:
    """All four gates from one Dense, then c = f c + i g and h = o squash(c).

    What only ONNX has: ``peepholes`` p by the gate's letter, with p_i c_{t-1}, p_f c_{t-1} and p_o c_t added in the gates; the
    ``coupled`` forget gate f = 1 - i.
    """
    loop = Loop(b, inputs, 2, reverse, clip)
    w, u, bias, c = loop.weights()
    size = u.shape[1]
    gates = loop.joined("gates", w, u, bias + c)
    views = {k: b.constant(p, f"peephole_{k}") for k, p in (peepholes or {}).items()}
    one = b.constant(1, "one") if coupled else ""

    def opened(at: str, k: str, total: str, cell: str | None) -> str:
        """The gate of letter k."""
        if k in views and cell is not None:
            total = b.add(Add(), total, b.add(Mul(), cell, views[k], name=f"{at}{k}_seen"), name=f"{at}{k}_total")
        return loop.activate(gate, total, at + k)

    def step(at: str, x: str, old: States) -> States:
        sums = dict(zip("ifgo", loop.pieces(gates(at, x, old[0] if old else None), at, "ifgo", size)))
        cell = old[1] if old else None
        i = opened(at, "i", sums["i"], cell)
        new = b.add(Mul(), i, loop.activate(activation, sums["g"], f"{at}g"), name=f"{at}new")
        if cell is not None:
            f = b.add(Sub(), one, i, name=f"{at}f") if coupled else opened(at, "f", sums["f"], cell)
            new = b.add(Add(), b.add(Mul(), f, cell, name=f"{at}kept"), new, name=f"{at}c")
        return b.add(Mul(), opened(at, "o", sums["o"], new), b.add(squash, new, name=f"{at}squashed"), name=f"{at}h"), new

    return loop.run(step, 1 if output == "cell" else 0)
