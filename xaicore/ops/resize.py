"""Operators that change the size of axes: Pad and Upsample. Both treat one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import floor
from typing import Any, ClassVar, Literal, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, along, filled, pad_spatial
from xaicore.ops.op import Op, need_rank


@final
@dataclass(frozen=True)
class Pad(Op):
    """y is x with (before, after) entries added to each of the last ``len(pads)`` axes; negative numbers take entries away.

    mode "constant" adds ``value``; "edge" repeats the outermost entry; "reflect" mirrors x at it, without repeating it.
    Raises ShapeError when the batch axis would be padded, when nothing is left, for negative numbers in the other modes, and
    for more reflected entries than x has beside its edge.
    Same as: np.pad (which reflects again where x is too short), ONNX Pad, torch.nn.functional.pad, where "edge" is called
    "replicate" and the pads run from the last axis backwards.
    """

    pads: tuple[tuple[int, int], ...]
    mode: Literal["constant", "reflect", "edge"] = "constant"
    value: float | Fraction = 0.0

    routes: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.mode not in ("constant", "reflect", "edge"):
            raise ShapeError(f"{self}: mode must be 'constant', 'reflect' or 'edge'")
        if any(len(pair) != 2 for pair in self.pads):
            raise ShapeError(f"{self}: pads must hold one (before, after) for each axis")
        if self.mode != "constant" and any(min(pair) < 0 for pair in self.pads):
            raise ShapeError(f"{self}: negative pads are for mode 'constant'; crop with Slice first")

    def forward(self, *xs: Array) -> Array:
        x = xs[0]
        if x.ndim <= len(self.pads):
            raise ShapeError(
                f"{self}: x has shape {x.shape}, but {len(self.pads) + 1} axes at least are expected; the batch is not padded"
            )
        for (before, after), n in zip(self.pads, x.shape[x.ndim - len(self.pads) :], strict=True):
            if n + min(before, 0) + min(after, 0) < 1:
                raise ShapeError(f"{self}: nothing is left of an axis of {n} entries of x {x.shape}")
            if self.mode == "reflect" and max(before, after) >= n:
                raise ShapeError(f"{self}: an axis of {n} entries of x {x.shape} can be mirrored by {n - 1} entries at most")
        if self.mode == "constant":
            return pad_spatial(x, self.pads, self.value)
        for axis, at in self._sources(x):
            x = np.take(x, at, axis)
        return x

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x = xs[0]
        if self.mode == "constant":
            return pad_spatial(g, [(-a, -b) for a, b in self.pads])
        for axis, at in self._sources(x):
            out = filled((*g.shape[:axis], x.shape[axis], *g.shape[axis + 1 :]), 0, g)
            chosen: Any = (slice(None),) * axis + (at,)
            np.add.at(out, chosen, g)
            g = out
        return g

    def _sources(self, x: Array) -> list[tuple[int, Array]]:
        """(axis, for each position in y the position in x that it copies)."""
        axes = range(x.ndim - len(self.pads), x.ndim)
        mode: Any = self.mode
        return [(axis, np.pad(np.arange(x.shape[axis]), pair, mode)) for axis, pair in zip(axes, self.pads, strict=True)]


@final
@dataclass(frozen=True)
class Upsample(Op):
    """y[n, c, s'] = x[n, c, .] at the place that corresponds to s', nearest or linear between neighbours, axis by axis.

    x (N, C, *S) -> (N, C, *size), one to three spatial axes. The ratio of an axis is S / size, or 1 / scale with ``scales``.
    "nearest" reads position floor(s' * ratio); "linear" reads (s' + 1/2) * ratio - 1/2, but not below 0, or with
    ``align_corners`` s' * (S - 1) / (size - 1). Beyond the last entry the last entry counts. On two axes "linear" is bilinear.
    Raises ShapeError when the rank of x does not fit ``size``, and for settings that do not fit each other.
    Source: torch.nn.functional.interpolate, modes nearest, linear, bilinear and trilinear, checked in float64.
    Positions are computed in rationals. torch rounds the ratio of float32 inputs to float32, so that its "nearest" reads one
    position before ours in rare places where s' * ratio is whole (2 entries to 82, for one). ONNX Resize has a setting for each
    of these choices.
    """

    size: tuple[int, ...]
    mode: Literal["nearest", "linear"] = "nearest"
    align_corners: bool = False
    scales: tuple[float, ...] = ()

    fixed_weights: ClassVar[Literal["uniform", "nonnegative"] | None] = "nonnegative"

    def __post_init__(self) -> None:
        if self.mode not in ("nearest", "linear"):
            raise ShapeError(f"{self}: mode must be 'nearest' or 'linear'")
        if not 1 <= len(self.size) <= 3 or min(self.size) < 1:
            raise ShapeError(f"{self}: size must hold one to three output sizes of at least 1")
        if self.scales and (len(self.scales) != len(self.size) or min(self.scales) <= 0):
            raise ShapeError(f"{self}: scales must hold one positive number for each entry of size, or be left out")
        if self.align_corners and self.mode == "nearest":
            raise ShapeError(f"{self}: align_corners is for mode 'linear'")

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    @property
    def routes(self) -> bool:  # type: ignore[override]
        return self.mode == "nearest"

    def forward(self, *xs: Array) -> Array:
        if not self.routes:
            return along(xs[0], self._matrices(xs[0]))
        x = self._check(xs[0])
        for k, n in enumerate(x.shape[2:]):
            x = np.take(x, [min(floor(place), n - 1) for place in self._places(k, n)], axis=2 + k)
        return x

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return along(g, [one.T for one in self._matrices(xs[0])])

    def _matrices(self, x: Array) -> list[Array]:
        """For each axis the weights (size, S) of the entries of x: a one for "nearest", two that add up to one for "linear"."""
        found = []
        for k, (n, size) in enumerate(zip(self._check(x).shape[2:], self.size)):
            matrix = filled((size, n), 0, x)
            for s, place in enumerate(self._places(k, n)):
                low = min(floor(place), n - 1)
                part = place - low if low < n - 1 else Fraction(0)
                matrix[s, low] = _number(1 - part, x)
                if part:
                    matrix[s, low + 1] = _number(part, x)
            found.append(matrix)
        return found

    def _check(self, x: Array) -> Array:
        need_rank(x, len(self.size) + 2, str(self), "(N, C, *S) with one spatial axis for each entry of size")
        if 0 in x.shape[2:]:
            raise ShapeError(f"{self}: x has shape {x.shape}, but no empty axis is expected")
        return x

    def _places(self, k: int, n: int) -> list[Fraction]:
        """Where in x each position of y along spatial axis ``k`` (``n`` entries of x) lies."""
        size = self.size[k]
        ratio = 1 / Fraction(str(self.scales[k])) if self.scales else Fraction(n, size)
        if self.mode == "nearest":
            return [Fraction(floor(s * ratio)) for s in range(size)]
        if self.align_corners:
            return [Fraction(s * (n - 1), max(size - 1, 1)) for s in range(size)]
        return [max((s + Fraction(1, 2)) * ratio - Fraction(1, 2), Fraction(0)) for s in range(size)]


def _number(value: Fraction, like: Array) -> Any:
    return value if like.dtype == object else like.dtype.type(float(value))
