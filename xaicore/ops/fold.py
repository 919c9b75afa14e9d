"""Windows as columns and back: Unfold lays every window out, Fold adds windows up. Each is the adjoint of the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import ClassVar, Literal, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, pad_spatial, scatter, windows
from xaicore.ops.conv import check_geometry
from xaicore.ops.op import Op, need_rank


@dataclass(frozen=True)
class _Windows(Op):
    """The settings of both: one entry in each for each of one to three spatial axes; () takes the default, 1 and no padding."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()

    def __post_init__(self) -> None:
        check_geometry(self.stride, self.dilation, self.pads, 1, self)
        if not 1 <= len(self.kernel) <= 3 or min(self.kernel) < 1:
            raise ShapeError(f"{self}: kernel must hold one to three sizes of at least 1")
        for name in ("stride", "dilation", "pads"):
            if getattr(self, name) and len(getattr(self, name)) != len(self.kernel):
                raise ShapeError(f"{self}: {name} must have {len(self.kernel)} entries, one for each in kernel")

    def settings(self) -> tuple[tuple[int, ...], tuple[int, ...], tuple[tuple[int, int], ...]]:
        """Stride, dilation and pads with their defaults filled in."""
        rank = len(self.kernel)
        return self.stride or (1,) * rank, self.dilation or (1,) * rank, self.pads or ((0, 0),) * rank

    def counts(self, space: Sequence[int]) -> tuple[int, ...]:
        """How many windows lie on each axis of ``space``."""
        found = []
        for n, k, s, d, (before, after) in zip(space, self.kernel, *self.settings(), strict=True):
            room = n + before + after - (k - 1) * d - 1
            if room < 0:
                raise ShapeError(f"{self}: a window of {(k - 1) * d + 1} does not fit an axis of {n} + {before} + {after} entries; "
                                 f"use a larger axis or more padding")
            found.append(room // s + 1)
        return tuple(found)

    def _columns(self, x: Array) -> Array:
        """x (N, C, *S) -> (N, C K, L)."""
        stride, dilation, pads = self.settings()
        seen = windows(pad_spatial(x, pads), self.kernel, stride, dilation)
        rank = len(self.kernel)
        return np.moveaxis(seen, range(-rank, 0), range(2, 2 + rank)).reshape(len(x), x.shape[1] * prod(self.kernel), -1)

    def _sum(self, columns: Array, space: Sequence[int]) -> Array:
        """columns (N, C K, L) -> (N, C, *space)."""
        stride, dilation, pads = self.settings()
        rank, counts = len(self.kernel), self.counts(space)
        g = columns.reshape(len(columns), columns.shape[1] // prod(self.kernel), *self.kernel, *counts)
        g = np.moveaxis(g, range(2, 2 + rank), range(-rank, 0))
        padded = [n + a + b for n, (a, b) in zip(space, pads)]
        return pad_spatial(scatter(g, padded, stride, dilation), [(-a, -b) for a, b in pads])


@final
@dataclass(frozen=True)
class Unfold(_Windows):
    """y[n, c K + k, l] = x[n, c, l * stride + k * dilation - pad]: every window of every channel as a column (im2col).

    x (N, C, *S) with one to three spatial axes -> (N, C K, L): K entries of a window and L windows, both row-major; zeros in the
    padding. ``stride`` is 1 by default.
    Raises ShapeError when the rank of x does not fit ``kernel``, and when a window does not fit x.
    Same as: torch.nn.Unfold, which is for images and equal padding alone. A convolution is a product with it.
    """

    routes: ClassVar[bool] = True

    def forward(self, *xs: Array) -> Array:
        need_rank(xs[0], len(self.kernel) + 2, self, "(N, C, *S) with one spatial axis for each entry of kernel")
        self.counts(xs[0].shape[2:])
        return self._columns(xs[0])

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return self._sum(g, xs[0].shape[2:])


@dataclass(frozen=True)
class _Sized(Op):
    """The size of what is folded; a base, since a dataclass lists its last base first."""

    size: tuple[int, ...]


@final
@dataclass(frozen=True)
class Fold(_Windows, _Sized):
    """y[n, c, p] = the sum of x[n, c K + k, l] over all k and l with l * stride + k * dilation - pad = p (col2im).

    x (N, C K, L) -> (N, C, *size), the adjoint of Unfold: where windows overlap they add up. ``stride`` is 1 by default.
    Raises ShapeError when x has other sizes than Unfold of (N, C, *size) gives.
    Same as: torch.nn.Fold, which is for images and equal padding alone; ONNX Col2Im.
    """

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = "uniform"

    def __post_init__(self) -> None:
        super().__post_init__()
        if len(self.size) != len(self.kernel):
            raise ShapeError(f"{self}: size must have {len(self.kernel)} entries, one for each in kernel")
        self.counts(self.size)

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        x, length, taps = xs[0], prod(self.counts(self.size)), prod(self.kernel)
        if x.ndim != 3 or x.shape[1] % taps or x.shape[2] != length:
            raise ShapeError(f"{self}: x has shape {x.shape}, but (N, C * {taps}, {length}) is expected: windows of {taps}, and {length} "
                             f"of them in {self.size}")
        return self._sum(x, self.size)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return self._columns(g)
