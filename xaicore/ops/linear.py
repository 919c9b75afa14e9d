"""Products with a matrix: Dense, MatMul and Einsum, and what every operator "L(x, w) + b" claims.

Convolutions make the same claims and are in conv.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, ClassVar, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, filled, in_range, matmul, unbroadcast
from xaicore.ops import laid, unpacked
from xaicore.ops.op import Op

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


@dataclass(frozen=True)
class Weighted(Op):
    """y = L(x, w) + b with L linear in x and in w: the claims that Dense, Conv and ConvTranspose share.

    Any of the three inputs may be active. With x alone, w is the kernel and b the bias; with w alone, x is the kernel.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 3)
    fresh: ClassVar[bool] = True

    def affine(self, active: Sequence[bool]) -> bool:
        return not (active[0] and active[1])

    def bilinear(self, active: Sequence[bool]) -> bool:
        return active[0] and active[1] and not any(active[2:])

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        if active[0] == active[1] or any(active[2:]):  # b + L(x, w) is affine, and not linear, in w when b is active
            return None
        return (1,) if active[0] else (0,)

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        if any(active[2:]):
            return () if active[0] or active[1] else (0,)  # with b alone active, L(x, w) is what is only added
        return (2,) if len(active) == 3 else ()


def check_bias(b: Array, outputs: int, who: object) -> None:
    """Refuses a bias that is not one number for each of the ``outputs``."""
    if b.shape != (outputs,):
        raise ShapeError(f"{who}: the bias has shape {b.shape}, but w has {outputs} outputs, so ({outputs},) is expected")


@final
@dataclass(frozen=True)
class Dense(Weighted):
    """y_o = sum_i w_oi x_i + b_o, along the last axis of x.

    x (N, ..., I), w (O, I), [b (O,)] -> (N, ..., O).
    Raises ShapeError when x has no feature axis, or when x, w and b do not fit.
    Same as: torch.nn.Linear, ONNX Gemm with transB. Keras stores the transpose of w.
    """

    def forward(self, *xs: Array) -> Array:
        x, w = xs[0], xs[1]
        if w.ndim != 2:
            raise ShapeError(f"Dense: w has shape {w.shape}, but (O, I) is expected; reshape the kernel to two axes")
        if x.ndim < 2 or x.shape[-1] != w.shape[1]:
            raise ShapeError(
                f"Dense: x has shape {x.shape}, but (N, ..., {w.shape[1]}) is expected, since w has shape {w.shape}; "
                f"flatten x, or transpose w if it is stored as (I, O)"
            )
        y = _times(x, w, laid.ahead) if x.ndim == 2 else _times(_rows(x), w, laid.ahead).reshape(*x.shape[:-1], len(w))
        if len(xs) == 2:
            return y
        if xs[2].shape != w.shape[:1]:
            check_bias(xs[2], len(w), "Dense")
        y += xs[2]
        return y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, w = xs[0], xs[1]
        if i == 0:
            return _times(g, w, laid.back) if g.ndim == 2 else _times(_rows(g), w, laid.back).reshape(x.shape)
        if i == 1:
            return np.asarray(matmul(_rows(g).T, _rows(x)))
        return unbroadcast(g, xs[2].shape)


def _times(x: Array, w: Array, matrix: laid.Matrix) -> Array:
    """x (rows, I) times wᵀ (``laid.ahead``), or g (rows, O) times w (``laid.back``), for w (O, I)."""
    if len(x) * w.size > unpacked.SMALL:
        return laid.times(matrix, w, len(x))(x, None)
    return matmul(x, w.T if matrix is laid.ahead else w)


def _rows(x: Array) -> Array:
    """All axes but the last as one: one large product is faster than a stack of small ones."""
    return x.reshape(prod(x.shape[:-1]), x.shape[-1])


@final
@dataclass(frozen=True)
class MatMul(Op):
    """y_..ik = sum_j a_..ij b_..jk, with NumPy's broadcasting of the leading axes.

    a (..., I, J), b (..., J, K) -> (..., I, K). An active input has its batch on axis 0 and the rank of y: a matrix is only
    ever a constant, or (N, J) at the left of a matrix. Both may be active (attention): then y is bilinear.
    Raises ShapeError for vectors, for inner sizes that differ, and for leading axes that do not broadcast.
    Same as: np.matmul, torch.matmul, ONNX MatMul; those also take vectors.
    """

    arity: ClassVar[tuple[int, int | None]] = (2, 2)

    def affine(self, active: Sequence[bool]) -> bool:
        return not all(active)

    def bilinear(self, active: Sequence[bool]) -> bool:
        return all(active)

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        return None if all(active) == any(active) else ((1,) if active[0] else (0,))

    def forward(self, *xs: Array) -> Array:
        a, b = xs
        if a.ndim < 2 or b.ndim < 2:
            raise ShapeError(f"MatMul: the shapes are {a.shape} and {b.shape}, but two axes at least are expected; unsqueeze")
        if a.shape[-1] != b.shape[-2]:
            raise ShapeError(
                f"MatMul: {a.shape} @ {b.shape} does not fit: the last axis of a has {a.shape[-1]} entries and "
                f"the last but one of b has {b.shape[-2]}; transpose one of them"
            )
        for one, two in zip(a.shape[-3::-1], b.shape[-3::-1]):
            if one != two and 1 not in (one, two):
                raise ShapeError(f"MatMul: the leading axes of {a.shape} and {b.shape} do not broadcast ({one} against {two})")
        if b.ndim == 2 and a.shape[-2] * b.size > unpacked.SMALL:
            return _times(_rows(a), b, laid.back).reshape(*a.shape[:-1], b.shape[1])
        return np.asarray(matmul(a, b))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        a, b = xs
        if i == 0 and b.ndim == 2 and g.shape[-2] * b.size > unpacked.SMALL:
            return _times(_rows(g), b, laid.ahead).reshape(a.shape)
        if i == 0:
            return unbroadcast(matmul(g, np.swapaxes(b, -1, -2)), a.shape)
        return unbroadcast(matmul(np.swapaxes(a, -1, -2), g), b.shape)


@final
@dataclass(frozen=True)
class Einsum(Op):
    """y_out = the sum over all labels that are not in the output of the product of the inputs.

    ``equation`` is explicit and has no ellipsis: "nij,njk->nik". The first label of the output is the batch: it stands first in
    every active input and nowhere else. One active input: affine. Two: bilinear. More: neither.
    Raises ShapeError for an equation of another form (no "->", an ellipsis, a label that is repeated within one input, a batch
    label that is not first, a label of the output that no input has), and for inputs that do not fit it.
    Same as: np.einsum, torch.einsum, ONNX Einsum; those also take diagonals ("ii->i") and ellipses.
    """

    equation: str

    arity: ClassVar[tuple[int, int | None]] = (1, None)

    def __post_init__(self) -> None:
        terms, arrow, out = self.equation.replace(" ", "").partition("->")
        inputs = terms.split(",")
        labels = set(terms.replace(",", ""))

        def refuse(reason: str) -> ShapeError:
            return ShapeError(f"Einsum({self.equation!r}): {reason}; write it like 'nij,njk->nik'")

        if not arrow or not all(c.isalpha() for c in labels | set(out)):
            raise refuse("the equation must name every axis with a letter and have one '->'")
        if any(len(set(term)) != len(term) for term in (*inputs, out)):
            raise refuse("a label is repeated within one array")
        if not out or not set(out) <= labels:
            raise refuse("the output must have the batch as its first label, and only labels of the inputs")
        if any(out[0] in term[1:] for term in inputs):
            raise refuse(f"the batch label {out[0]!r} must stand first wherever it stands, since samples never mix")

    def _terms(self) -> tuple[list[str], str]:
        terms, _, out = self.equation.replace(" ", "").partition("->")
        return terms.split(","), out

    def affine(self, active: Sequence[bool]) -> bool:
        return sum(active) == 1

    def bilinear(self, active: Sequence[bool]) -> bool:
        return sum(active) == 2

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        """The other one of two; None for more, since in several constants jointly y is not linear."""
        return (active.index(False),) if len(active) == 2 and sum(active) == 1 else None

    def forward(self, *xs: Array) -> Array:
        self._sizes(xs)
        return _einsum(self.equation, xs)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        inputs, out = self._terms()
        others = [k for k in range(len(xs)) if k != i]
        reached = set(out).union(*(inputs[k] for k in others))
        kept = "".join(c for c in inputs[i] if c in reached)  # along the rest, which forward sums away, g is constant
        part = _einsum(",".join([out, *(inputs[k] for k in others)]) + "->" + kept, [g, *(xs[k] for k in others)])
        whole = tuple(slice(None) if c in reached else None for c in inputs[i])
        return part[whole] + filled(xs[i].shape, 0, g) if len(kept) < len(inputs[i]) else part

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        """Of one input: Sum, then Transpose."""
        from xaicore.ops.reduce import Sum
        from xaicore.ops.shape import Transpose

        (source, *more), out = self._terms()
        if more:
            return None
        summed = tuple(k for k, c in enumerate(source) if c not in out)
        left = "".join(c for c in source if c in out)
        name = b.add(Sum(summed), inputs[0]) if summed else inputs[0]
        return b.add(Transpose(tuple(left.index(c) for c in out)), name)

    def _sizes(self, xs: Sequence[Array]) -> None:
        inputs, _ = self._terms()
        if len(xs) != len(inputs):
            raise ShapeError(f"Einsum({self.equation!r}): {len(xs)} inputs were given, but {len(inputs)} are expected")
        sizes: dict[str, int] = {}
        for k, (term, x) in enumerate(zip(inputs, xs)):
            if x.ndim != len(term):
                raise ShapeError(f"Einsum({self.equation!r}): input {k} has shape {x.shape}, but axes {term!r} are expected")
            for c, n in zip(term, x.shape):
                if sizes.setdefault(c, n) != n:
                    raise ShapeError(
                        f"Einsum({self.equation!r}): label {c!r} is {sizes[c]} long before and {n} long in input {k} of shape "
                        f"{x.shape}; all axes of one label must have one length"
                    )


def _einsum(equation: str, xs: Sequence[Array]) -> Array:
    y = np.einsum(equation.replace(" ", ""), *xs, optimize=True)
    in_range(y)                                                         # einsum reads no floating-point flags at all
    return y.copy() if any(y is x for x in xs) else np.asarray(y)
