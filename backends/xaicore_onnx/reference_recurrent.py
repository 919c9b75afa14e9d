"""RNN, GRU and LSTM of the reference evaluator, sample by sample as the standard describes them.

The onnx package (1.23.2) computes them without activation functions of one's own, clip, lengths, coupled gates; its RNN knows two
functions. So each is written out here.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from onnx.reference.op_run import OpRun

from xaicore.numerics import Array

Function = Callable[[Array], Array]
Functions = Sequence[Function]
Settings = Mapping[str, Any]
PARAMETERS = {"LeakyRelu": (0.01, None), "ThresholdedRelu": (1.0, None), "ScaledTanh": (1.0, 1.0), "HardSigmoid": (0.2, 0.5),
              "Elu": (1.0, None), "Affine": (1.0, 0.0)}
"""The functions that take alpha, or alpha and beta, and what those are when not given."""


def _function(name: str, a: Any, b: Any) -> Function:
    table: dict[str, Function] = {
        "Relu": lambda x: np.maximum(x, 0), "Tanh": np.tanh, "Sigmoid": lambda x: 1 / (1 + np.exp(-x)),
        "Softsign": lambda x: x / (1 + abs(x)), "Softplus": lambda x: np.log1p(np.exp(x)),
        "LeakyRelu": lambda x: np.where(x < 0, a * x, x), "ThresholdedRelu": lambda x: np.where(x > a, x, 0),
        "ScaledTanh": lambda x: a * np.tanh(b * x), "HardSigmoid": lambda x: np.minimum(np.maximum(a * x + b, 0), 1),
        "Elu": lambda x: np.where(x < 0, a * np.expm1(np.minimum(x, 0)), x), "Affine": lambda x: a * x + b,
    }
    return {k.lower(): f for k, f in table.items()}[name.lower()]


def _clipped(f: Function, limit: float) -> Function:
    return lambda x: f(np.clip(x, -limit, limit))


class _Recurrent(OpRun):  # type: ignore[misc]
    op_domain = ""
    defaults: Sequence[str]
    states = 1

    def step(self, f: Functions, z: Array, r: Array, rb: Array, state: list[Array], p: Array, settings: Settings) -> list[Array]:
        """The new state from z = W x + Wb, the recurrent weights r and their bias, the old state, the peepholes."""
        raise NotImplementedError

    def _run(self, x: Array, w: Array, r: Array, b: Array | None = None, lengths: Array | None = None, h: Array | None = None,
             c: Array | None = None, p: Array | None = None, **settings: Any) -> tuple[Array, ...]:
        batch_first = bool(settings.get("layout"))
        if batch_first:
            x, (h, c) = x.swapaxes(0, 1), (None if v is None else v.swapaxes(0, 1) for v in (h, c))
        steps, n, _ = x.shape
        directions, rows, size = r.shape
        b = np.zeros((directions, 2 * rows), x.dtype) if b is None else b
        p = np.zeros((directions, 3 * size), x.dtype) if p is None else p
        start = [np.zeros((directions, n, size), x.dtype) if v is None else v for v in (h, c)][: self.states]
        y = np.zeros((steps, directions, n, size), x.dtype)
        final = [v.copy() for v in start]
        functions = self._functions(directions, settings)
        for d in range(directions):
            backwards = d == 1 or settings.get("direction") in ("reverse", b"reverse")
            each = len(functions) // directions
            for k in range(n):
                state = [v[d, k] for v in start]
                many = steps if lengths is None else int(lengths[k])
                for t in range(many - 1, -1, -1) if backwards else range(many):
                    z = w[d] @ x[t, k] + b[d, :rows]
                    state = self.step(functions[d * each : (d + 1) * each], z, r[d], b[d, rows:], state, p[d], settings)
                    y[t, d, k] = state[0]
                for v, new in zip(final, state):
                    v[d, k] = new
        if batch_first:
            y, final = y.transpose(2, 0, 1, 3), [v.swapaxes(0, 1) for v in final]
        return (y, *(v.astype(x.dtype) for v in final))

    def _functions(self, directions: int, settings: Settings) -> list[Function]:
        names = list(settings.get("activations") or [])
        if len(names) != directions * len(self.defaults):               # the schema of RNN fills in two
            names = list(self.defaults) * directions
        alphas, betas = list(settings.get("activation_alpha") or []), list(settings.get("activation_beta") or [])
        limit = settings.get("clip") or math.inf
        found: list[Function] = []
        for k, name in enumerate(names):
            a, b = {k.lower(): v for k, v in PARAMETERS.items()}.get(name.lower(), (None, None))
            a = alphas.pop(0) if a is not None and alphas else a
            b = betas.pop(0) if b is not None and betas else b
            found.append(_clipped(_function(name, a, b), math.inf if k % 3 == 2 and self.states == 2 else limit))
        return found


class RNN(_Recurrent):
    """h = f(W x + Wb + R h + Rb)."""

    defaults = ("Tanh",)

    def step(self, f: Functions, z: Array, r: Array, rb: Array, state: list[Array], p: Array, settings: Settings) -> list[Array]:
        return [f[0](z + r @ state[0] + rb)]


class GRU(_Recurrent):
    """z and r, then h~ with the reset gate before or after the linear step, then (1 - z) h~ + z h."""

    defaults = ("Sigmoid", "Tanh")

    def step(self, f: Functions, z: Array, r: Array, rb: Array, state: list[Array], p: Array, settings: Settings) -> list[Array]:
        (h,), (x_z, x_r, x_h), (r_z, r_r, r_h), (b_z, b_r, b_h) = state, np.split(z, 3), np.split(r, 3), np.split(rb, 3)
        update, reset = f[0](x_z + r_z @ h + b_z), f[0](x_r + r_r @ h + b_r)
        inner = reset * (r_h @ h + b_h) if settings.get("linear_before_reset") else r_h @ (reset * h) + b_h
        return [(1 - update) * f[1](x_h + inner) + update * h]


class LSTM(_Recurrent):
    """i, o, f, c with peepholes; with input_forget the forget gate is 1 - i. No clip before the last function (as onnxruntime)."""

    defaults = ("Sigmoid", "Tanh", "Tanh")
    states = 2

    def step(self, f: Functions, z: Array, r: Array, rb: Array, state: list[Array], p: Array, settings: Settings) -> list[Array]:
        (h, c), (p_i, p_o, p_f) = state, np.split(p, 3)
        z_i, z_o, z_f, z_c = np.split(z + r @ h + rb, 4)
        i = f[0](z_i + p_i * c)
        forget = 1 - i if settings.get("input_forget") else f[0](z_f + p_f * c)
        c = forget * c + i * f[1](z_c)
        return [f[0](z_o + p_o * c) * f[2](c), c]


RECURRENT = (RNN, GRU, LSTM)
