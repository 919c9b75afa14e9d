"""Operators that change the size of axes: Pad and Resize. Both treat one axis after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor
from typing import Any, ClassVar, Literal, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, along, filled, pad_spatial
from xaicore.ops.op import Op


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


COORDINATES = ("half_pixel", "half_pixel_symmetric", "pytorch_half_pixel", "align_corners", "asymmetric", "tf_half_pixel_for_nn",
               "tf_crop_and_resize")
ROUNDINGS = ("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")


@final
@dataclass(frozen=True)
class Resize(Op):
    """y along each of the last ``len(size)`` axes, one after the other, is x read at other places: x (N, ..., *S) -> (N, ..., *size).

    ``scales`` are the factors, size / S where left out. Output s reads the place p of an axis with S entries and the factor f
    (and S' = f S entries, not rounded):
      half_pixel            (s + 1/2) / f - 1/2
      pytorch_half_pixel    the same, but 0 where size is 1
      half_pixel_symmetric  the same + S/2 (1 - size / S'), so that both ends of the input are treated alike
      align_corners         s (S - 1) / (S' - 1), 0 where S' is 1
      asymmetric            s / f
      tf_half_pixel_for_nn  (s + 1/2) / f
      tf_crop_and_resize    start (S - 1) + s (end - start) (S - 1) / (S' - 1) with one (start, end) for each axis in ``crop``, and
                            (start + end) (S - 1) / 2 where S' is 1; places outside x are 0
    "nearest" copies the entry that ``rounding`` makes of p. "linear" and "cubic" weight the entries around p, by 1 - |d|, or by
    Keys's cubic with the coefficient ``cubic``; beyond the ends of x the last entry counts, or nothing with ``exclude_outside``,
    and then the weights are divided by their sum. ``antialias`` widens the weights by 1 / f where f < 1 and divides by their sum.
    Claims: "nearest" routes; the others are linear, with weights >= 0 unless cubic.
    Raises ShapeError when x has too few axes or an empty one, for settings that do not fit each other, and with exclude_outside for
    a place that has no entry near it.
    Source: ONNX Resize; Keys 1981, "Cubic convolution interpolation for digital image processing".
    Same as: torch.nn.functional.interpolate: "nearest" is asymmetric and "floor", "nearest-exact" half_pixel and
    "round_prefer_ceil", the linear ones half_pixel or align_corners, bicubic the same with -3/4; its antialias takes
    exclude_outside, and -1/2 for bicubic. Keras "nearest" is "nearest-exact".
    Positions are computed in rationals. torch rounds the ratio of float32 inputs to float32, so that its "nearest" reads one
    position before ours in rare places where s * ratio is whole (2 entries to 82, for one).
    """

    size: tuple[int, ...]
    mode: Literal["nearest", "linear", "cubic"] = "nearest"
    coordinates: str = "half_pixel"
    rounding: str = "round_prefer_floor"
    scales: tuple[float, ...] = ()
    cubic: float = -0.75
    exclude_outside: bool = False
    antialias: bool = False
    crop: tuple[tuple[float, float], ...] = ()

    def __post_init__(self) -> None:
        if self.mode not in ("nearest", "linear", "cubic"):
            raise ShapeError(f"{self}: mode must be 'nearest', 'linear' or 'cubic'")
        for name, known in (("coordinates", COORDINATES), ("rounding", ROUNDINGS)):
            if getattr(self, name) not in known:
                raise ShapeError(f"{self}: {name} must be one of {', '.join(known)}")
        if not self.size or min(self.size) < 1:
            raise ShapeError(f"{self}: size must hold one output size of at least 1 for each axis that is resized")
        if self.scales and (len(self.scales) != len(self.size) or min(self.scales) <= 0):
            raise ShapeError(f"{self}: scales must hold one positive number for each entry of size, or be left out")
        if self.crop and (len(self.crop) != len(self.size) or any(len(one) != 2 for one in self.crop)):
            raise ShapeError(f"{self}: crop must hold one (start, end) for each entry of size, or be left out")
        if bool(self.crop) != (self.coordinates == "tf_crop_and_resize"):
            raise ShapeError(f"{self}: crop and the coordinates tf_crop_and_resize come together")

    @property
    def routes(self) -> bool:  # type: ignore[override]
        return self.mode == "nearest"

    @property
    def fixed_weights(self) -> Literal["nonnegative"] | None:  # type: ignore[override]
        """A cubic has negative weights."""
        return None if self.mode == "cubic" else "nonnegative"

    def affine(self, active: Sequence[bool]) -> bool:
        return True

    def forward(self, *xs: Array) -> Array:
        x = self._check(xs[0])
        if not self.routes or self.crop:
            return along(x, self._matrices(x))
        first = x.ndim - len(self.size)
        for k, n in enumerate(x.shape[first:]):
            if not self._still(k, n):
                x = np.take(x, [self._nearest(place, n) for place in self._places(k, n)], axis=first + k)
        return x

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return along(g, [one.T for one in self._matrices(self._check(xs[0]))])

    def matrix(self, k: int, n: int) -> list[dict[int, Fraction]]:
        """For each position along axis number ``k`` of ``size``, where x has ``n`` entries: the weight of each entry that it reads."""
        if self._still(k, n):
            return [{s: Fraction(1)} for s in range(n)]
        return [self._weights(place, k, n) for place in self._places(k, n)]

    def _matrices(self, x: Array) -> list[Array]:
        found = []
        for k, n in enumerate(x.shape[x.ndim - len(self.size) :]):
            matrix = filled((self.size[k], n), 0, x)
            for s, weights in enumerate(self.matrix(k, n)):
                for p, weight in weights.items():
                    matrix[s, p] = _number(weight, x)
            found.append(matrix)
        return found

    def _check(self, x: Array) -> Array:
        if x.ndim <= len(self.size) or 0 in x.shape[1:]:
            raise ShapeError(f"{self}: x has shape {x.shape}, but the batch, an axis for each entry of size and no empty one are expected")
        return x

    def _still(self, k: int, n: int) -> bool:
        """Is this axis left as it is?"""
        whole = not self.crop or self.crop[k] == (0, 1)
        return self.size[k] == n and whole and (not self.scales or self.scales[k] == 1)

    def _factor(self, k: int, n: int) -> Fraction:
        return Fraction(str(self.scales[k])) if self.scales else Fraction(self.size[k], n)

    def _places(self, k: int, n: int) -> list[Fraction]:
        """Where in x each position of y along axis ``k`` (``n`` entries of x) lies."""
        size, factor, half = self.size[k], self._factor(k, n), Fraction(1, 2)
        wide = factor * n
        if self.coordinates == "asymmetric":
            return [s / factor for s in range(size)]
        if self.coordinates == "tf_half_pixel_for_nn":
            return [(s + half) / factor for s in range(size)]
        if self.coordinates in ("align_corners", "tf_crop_and_resize"):
            start, end = (Fraction(str(v)) for v in (self.crop[k] if self.crop else (0, 1)))
            if wide == 1:
                return [(start + end) / 2 * (n - 1) if self.crop else Fraction(0)] * size
            return [start * (n - 1) + s * (end - start) * (n - 1) / (wide - 1) for s in range(size)]
        if self.coordinates == "pytorch_half_pixel" and size == 1:
            return [Fraction(0)]
        shift = n * half * (1 - size / wide) if self.coordinates == "half_pixel_symmetric" else 0
        return [shift + (s + half) / factor - half for s in range(size)]

    def _nearest(self, place: Fraction, n: int) -> int:
        if self.rounding.startswith("round"):
            half = Fraction(1, 2)
            at = floor(place + half) if self.rounding == "round_prefer_ceil" else ceil(place - half)
        else:
            at = floor(place) if self.rounding == "floor" else ceil(place)
        return min(max(at, 0), n - 1)

    def _weights(self, place: Fraction, k: int, n: int) -> dict[int, Fraction]:
        """Entry of x -> its weight in the output that reads ``place``."""
        if self.crop and not 0 <= place <= n - 1:
            return {}
        if self.mode == "nearest":
            return {self._nearest(place, n): Fraction(1)}
        narrow = min(self._factor(k, n), Fraction(1)) if self.antialias else Fraction(1)
        reach = (2 if self.mode == "cubic" else 1) / narrow
        read = {p: self._kernel(abs(p - place) * narrow) for p in range(ceil(place - reach), floor(place + reach) + 1)}
        if self.exclude_outside:
            read = {p: v for p, v in read.items() if 0 <= p < n}
        total = sum(read.values()) if self.exclude_outside or self.antialias else 1
        if not total:
            raise ShapeError(f"{self}: a place of y lies at {float(place):g} of an axis of {n} entries, near none of them; use scales that "
                             f"fit size, or leave exclude_outside out")
        out: dict[int, Fraction] = {}
        for p, v in read.items():
            at = min(max(p, 0), n - 1)
            out[at] = out.get(at, Fraction(0)) + v / total
        return {p: v for p, v in out.items() if v}

    def _kernel(self, d: Fraction) -> Fraction:
        """The weight at the distance ``d``: the hat function, or Keys's cubic."""
        if self.mode == "linear":
            return max(1 - d, Fraction(0))
        a = Fraction(str(self.cubic))
        if d <= 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * (d**3 - 5 * d**2 + 8 * d - 4) if d < 2 else Fraction(0)


def _number(value: Fraction, like: Array) -> Any:
    return value if like.dtype == object else like.dtype.type(float(value))
