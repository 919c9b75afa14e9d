"""Functions of whole matrices."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import prod
from typing import Any, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, is_exact
from xaicore.ops.op import Op


@final
@dataclass(frozen=True)
class Det(Op):
    """y = the determinant of each matrix: x (N, ..., M, M) -> (N, ...).

    The vjp is g times the cofactors, from the determinants of all minors: it divides by nothing, so singular matrices are fine.
    It is a product of M factors in many ways, for which no rule of LRP or DeepLIFT is known: their error says how to add one.
    Raises ShapeError when the last two axes are not equal or the batch is one of them.   Same as: np.linalg.det, ONNX Det.
    """

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        if x.ndim < 3 or x.shape[-1] != x.shape[-2]:
            raise ShapeError(f"Det: x has shape {x.shape}, but (N, ..., M, M) is expected")
        return _det(x)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        out, m = x.copy(), x.shape[-1]
        for r in range(m):
            for c in range(m):
                minor = np.delete(np.delete(x, r, -2), c, -1)
                out[..., r, c] = g * ((-1) ** (r + c) * _det(minor))
        return out


def _det(x: Array) -> Array:
    if not is_exact(x):
        return np.asarray(np.linalg.det(x), dtype=x.dtype)
    flat = [_rational(one.tolist()) for one in x.reshape(prod(x.shape[:-2]), *x.shape[-2:])]
    out = np.empty(len(flat), dtype=object)
    out[:] = flat
    return out.reshape(x.shape[:-2])


def _rational(rows: list[list[Any]]) -> Fraction:
    """The determinant of one matrix of fractions, by Gauss's elimination."""
    product = Fraction(1)
    for k in range(len(rows)):
        pivot = next((r for r in range(k, len(rows)) if rows[r][k]), None)
        if pivot is None:
            return Fraction(0)
        if pivot != k:
            rows[k], rows[pivot], product = rows[pivot], rows[k], -product
        product *= rows[k][k]
        for r in range(k + 1, len(rows)):
            factor = rows[r][k] / rows[k][k]
            rows[r] = [a - factor * b for a, b in zip(rows[r], rows[k])]
    return product
