"""Running sums and products along one axis. The product over whole axes is ReduceProd in reduce.py."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, final

import numpy as np

from xaicore.errors import GraphError
from xaicore.numerics import Array, filled
from xaicore.ops.arithmetic import Mul
from xaicore.ops.op import Op, batchless
from xaicore.ops.resize import Pad
from xaicore.ops.shape import Concat, Slice

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


@dataclass(frozen=True)
class _Scan(Op):
    """The settings of both: entry k covers the entries up to k; ``exclusive`` those before k, ``reverse`` those from k on."""

    axis: int
    exclusive: bool = False
    reverse: bool = False

    def _turned(self, x: Array) -> Array:
        """The scanned axis first, in the order of the scan."""
        (axis,) = batchless((self.axis,), x.ndim, self)
        rows = np.moveaxis(x, axis, 0)
        return rows[::-1] if self.reverse else rows

    def _back(self, rows: Array) -> Array:
        """The way back from ``_turned``."""
        return np.moveaxis(rows[::-1] if self.reverse else rows, 0, self.axis)

    def _shifted(self, rows: Array, start: int) -> Array:
        """An exclusive scan from an inclusive one: ``start`` first, the last entry left out."""
        return np.concatenate([filled((1, *rows.shape[1:]), start, rows), rows])[: len(rows)] if self.exclusive else rows


@final
@dataclass(frozen=True)
class CumSum(_Scan):
    """y_k = sum of x_j for j <= k along ``axis``; ``exclusive``: j < k; ``reverse``: j >= k (j > k).

    Raises ShapeError for the batch axis.   Same as: np.cumsum, torch.cumsum, ONNX CumSum, tf.cumsum.
    """

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = "uniform"

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        return self._back(self._shifted(np.cumsum(self._turned(xs[0]), axis=0, dtype=xs[0].dtype), 0))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return CumSum(self.axis, self.exclusive, not self.reverse).forward(g)


@final
@dataclass(frozen=True)
class CumProd(_Scan):
    """y_k = product of x_j for j <= k along ``axis``; ``exclusive``: j < k (the first is 1); ``reverse``: j >= k (j > k).

    The vjp divides by nothing, so zeros are fine: dy_k/dx_i is the product of the others.
    Expands to a chain of products, y_k = y_(k-1) x_k, for the rules of LRP and DeepLIFT.
    Raises ShapeError for the batch axis.   Same as: np.cumprod, torch.cumprod, ONNX CumProd, tf.math.cumprod.
    """

    composite: ClassVar[bool] = True

    def forward(self, *xs: Array) -> Array:
        return self._back(self._shifted(np.cumprod(self._turned(xs[0]), axis=0, dtype=xs[0].dtype), 1))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, g = self._turned(xs[0]), self._turned(g)
        before = np.concatenate([filled((1, *x.shape[1:]), 1, x), np.cumprod(x, axis=0)])
        out, after = filled(x.shape, 0, x), filled(x.shape[1:], 0, x)
        for k in reversed(range(len(x))):                  # after_k = sum over l >= k of g_l times the x between k and l
            if self.exclusive:
                out[k] = before[k] * after
                after = g[k] + x[k] * after
            else:
                after = g[k] + (x[k + 1] * after if k + 1 < len(x) else after)
                out[k] = before[k] * after
        return self._back(out)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        (x,) = inputs
        shape = b.shape(x)
        (axis,) = batchless((self.axis,), len(shape), self)
        size = shape[axis]
        if size is None:
            raise GraphError(f"the shape of {x!r} is {shape}; to expand, axis {axis} must be known")
        order = range(size)[::-1] if self.reverse else range(size)
        found: list[str] = []
        for k in order[: size - self.exclusive]:
            factor = b.add(Slice(axis, k, k + 1), x, name=f"factor{k}")
            found.append(b.add(Mul(), found[-1], factor, name=f"product{k}") if found else factor)
        if not found:                                      # an exclusive product over one entry is 1
            return None
        y = b.add(Concat(axis), *(found[::-1] if self.reverse else found), name="products")
        ones = (0, 1) if self.reverse else (1, 0)
        return b.add(Pad((ones, *((0, 0),) * (len(shape) - 1 - axis)), value=1.0), y) if self.exclusive else y
