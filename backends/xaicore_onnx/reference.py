"""The reference evaluator of the onnx package, with the operators repaired that it computes wrongly (found with onnx 1.23.2).

It is the second opinion on every conversion, and it computes the constants of a file. Each repair says what was wrong.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as OneGroup

from xaicore.numerics import Array


class LRN(OpRun):  # type: ignore[misc]
    """It normalised as many channels as there are samples, and took images only."""

    op_domain = ""

    def _run(self, x: Array, alpha: float = 1e-4, beta: float = 0.75, bias: float = 1.0, size: int = 1) -> tuple[Array]:
        y = np.empty_like(x)
        for c in range(x.shape[1]):
            around = x[:, max(0, c - (size - 1) // 2) : c + size // 2 + 1]
            y[:, c] = x[:, c] / (bias + alpha / size * (around**2).sum(axis=1)) ** beta
        return (y,)


class GlobalMaxPool(OpRun):  # type: ignore[misc]
    """It took the maximum over the wrong axes for any but two spatial axes."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (x.max(axis=tuple(range(2, x.ndim)), keepdims=True),)


class Erf(OpRun):  # type: ignore[misc]
    """It computed in single precision, whatever its input."""

    op_domain = ""

    def _run(self, x: Array) -> tuple[Array]:
        return (np.array([math.erf(v) for v in x.reshape(-1)], x.dtype).reshape(x.shape),)


class ConvTranspose(OneGroup):  # type: ignore[misc]
    """It cut the kernel into groups by output channels, though its first axis holds the input channels."""

    op_domain = ""

    def _run(self, X: Array, W: Array, B: Array | None = None, group: int = 1, **settings: Any) -> tuple[Array]:
        if group == 1:
            return tuple(super()._run(X, W, B, group=1, **settings))                               # type: ignore[return-value]
        biases = [None] * group if B is None else np.split(B, group)
        parts = zip(np.split(X, group, 1), np.split(W, group), biases)
        return (np.concatenate([super(ConvTranspose, self)._run(x, w, b, group=1, **settings)[0] for x, w, b in parts], axis=1),)


def evaluator(model: Any) -> ReferenceEvaluator:
    """A repaired evaluator of a model."""
    return ReferenceEvaluator(model, new_ops=[LRN, GlobalMaxPool, Erf, ConvTranspose])
