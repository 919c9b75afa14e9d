"""Resize and Upsample in all their modes. Each is separable, so that it is one matrix (O, L) for each axis, computed here.

What torch's interpolate does as well becomes an Upsample; other nearest modes become Gather, other linear and cubic ones a product
with the matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

import numpy as np

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import Add, Gather, Upsample
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.lower_linear import along_axis
from xaicore_onnx.values import Live, MixingError, onnx_axis

MAX_SIZE, MAX_WEIGHTS = 1 << 16, 1 << 25
"""Of one resized axis: what is far beyond any image, and still takes no more than a second and 256 MB."""


@dataclass(frozen=True)
class Rule:
    """How Resize reads its input along one axis."""

    mode: str
    coordinates: str
    rounding: str = "round_prefer_floor"
    a: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False

    def places(self, n: int, size: int, scale: float, roi: tuple[float, float]) -> Array:
        """Where in the input of ``n`` entries each of the ``size`` outputs lies."""
        out, width = np.arange(size, dtype=np.float64), scale * n
        if self.coordinates in ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric"):
            shift = n / 2 * (1 - size / width) if self.coordinates == "half_pixel_symmetric" else 0.0
            if self.coordinates == "pytorch_half_pixel" and size == 1:
                return np.zeros(1)
            return shift + (out + 0.5) / scale - 0.5
        if self.coordinates == "asymmetric":
            return out / scale
        if self.coordinates == "align_corners":
            return out * (n - 1) / (width - 1) if width != 1 else np.zeros(size)
        if self.coordinates == "tf_half_pixel_for_nn":
            return (out + 0.5) / scale
        if self.coordinates == "tf_crop_and_resize":
            start, end = roi
            step = (end - start) * (n - 1) / (width - 1) if width != 1 else 0.0
            return start * (n - 1) + out * step if width != 1 else np.full(size, 0.5 * (start + end) * (n - 1))
        raise ConversionError(f"Resize has coordinate_transformation_mode {self.coordinates!r}, which is not known; export with another")

    def nearest(self, places: Array, n: int, scale: float) -> Array:
        """The entry that each output copies."""
        low, part = np.floor(places), places - np.floor(places)
        up = {"round_prefer_floor": part > 0.5, "round_prefer_ceil": part >= 0.5, "floor": part < 0, "ceil": part > 0}
        up["inwards"] = up["ceil"] if scale < 1 else up["floor"]
        if self.rounding not in up:
            raise ConversionError(f"Resize has nearest_mode {self.rounding!r}, which is not known; export with another")
        return np.asarray(np.clip(low + up[self.rounding], 0, n - 1), dtype=np.int64)

    def matrix(self, places: Array, n: int, scale: float) -> Array:
        """(O, n): the weight of each entry in each output; entries beyond the ends count as those at the ends."""
        squeeze = min(scale, 1.0) if self.antialias else 1.0
        reach = (2 if self.mode == "cubic" else 1) / squeeze
        out = np.zeros((len(places), n))
        for row, place in enumerate(places):
            at = np.arange(floor(place - reach), floor(place + reach) + 2)
            weights = self._kernel((at - place) * squeeze)
            if self.exclude_outside:
                weights = np.where((at >= 0) & (at < n), weights, 0)
            if self.exclude_outside or self.antialias:
                weights = weights / weights.sum()
            np.add.at(out[row], np.clip(at, 0, n - 1), weights)
        return out

    def _kernel(self, x: Array) -> Array:
        """The hat function, or Keys's cubic."""
        x, a = np.abs(x), self.a
        if self.mode == "linear":
            return np.asarray(np.maximum(1 - x, 0))
        near = (a + 2) * x**3 - (a + 3) * x**2 + 1
        far = a * (x**3 - 5 * x**2 + 8 * x - 4)
        return np.asarray(np.where(x <= 1, near, np.where(x < 2, far, 0)))


def resize(c: Call) -> Results:
    """Resize from opset 10 on. In opset 10 it has no modes but nearest and linear, both with asymmetric coordinates; "nearest" rounds
    down when it enlarges and up when it reduces, as onnxruntime has it and the examples of that version."""
    x = c.live()
    if c.opset < 11:
        scales = [float(v) for v in c.array(1, "scales").reshape(-1)]
        return _apply(c, x, list(range(x.rank)), scales, None, Rule(c.attr("mode", "nearest"), "asymmetric", "inwards"))
    axes = [onnx_axis(k, x.rank, c.who) for k in c.attr("axes") or range(x.rank)]
    roi = [float(v) for v in c.array(1, "roi").reshape(-1)] if c.has(1) else []
    rule = Rule(
        c.attr("mode", "nearest"), c.attr("coordinate_transformation_mode", "half_pixel"), c.attr("nearest_mode", "round_prefer_floor"),
        c.attr("cubic_coeff_a", -0.75), bool(c.attr("antialias", 0)), bool(c.attr("exclude_outside", 0)),
    )
    spans = list(zip(roi[: len(axes)], roi[len(axes):])) if rule.coordinates == "tf_crop_and_resize" else None
    if c.has(3) and c.known(3, "sizes").low.size:
        scales, sizes = _of_sizes(c, x, axes)
    else:
        scales, sizes = _numbers_beside_batch(c, x, axes), None
    return _apply(c, x, axes, scales, spans, rule, sizes, c.attr("extrapolation_value", 0.0))


def upsample(c: Call) -> Results:
    """Upsample, which Resize replaced: nearest and linear with asymmetric coordinates, rounded down."""
    x = c.live()
    scales = list(c.attr("scales") or []) if c.opset < 9 else [float(v) for v in c.array(1, "scales").reshape(-1)]
    return _apply(c, x, list(range(x.rank)), scales, None, Rule(c.attr("mode", "nearest"), "asymmetric", "floor"))


def _numbers_beside_batch(c: Call, x: Live, axes: Sequence[int]) -> list[float]:
    """Scales that may have been computed from the batch size: 1 there at every batch size."""
    value = c.known(2, "scales")
    low, high = (np.asarray(v, np.float64).reshape(-1) for v in (value.low, value.high))
    if len(low) != len(axes) or not (low == high).all():
        raise ConversionError(
            f"{c.who} has {len(low)} scales for {len(axes)} axes, or scales that depend on the batch size; the file is "
            "inconsistent"
        )
    return [float(v) for v in low]


def _of_sizes(c: Call, x: Live, axes: Sequence[int]) -> tuple[list[float], list[int]]:
    """Scales and output sizes from the input ``sizes`` and the policy on the aspect ratio."""
    value, n = c.known(3, "sizes"), c.converter.batches[0]
    sizes, have = [int(v) for v in value.low.reshape(-1)], [x.shape(n)[k] for k in axes]
    beside = [int(v) for k, v in zip(axes, value.high.reshape(-1)) if k != x.at]
    if len(sizes) != len(axes) or beside != [v for k, v in zip(axes, sizes) if k != x.at]:
        raise ConversionError(
            f"{c.who} has {len(sizes)} sizes for {len(axes)} axes, or sizes that depend on the batch size; the file is "
            "inconsistent"
        )
    policy = c.attr("keep_aspect_ratio_policy", "stretch")
    scales = [a / b for a, b in zip(sizes, have)]
    if policy != "stretch":
        scale = (min if policy == "not_larger" else max)(scales)
        return [scale] * len(axes), [floor(scale * k + 0.5) for k in have]
    return scales, sizes


def _apply(
    c: Call, x: Live, axes: Sequence[int], scales: Sequence[float], roi: Sequence[tuple[float, float]] | None, rule: Rule,
    sizes: Sequence[int] | None = None, outside: float = 0.0,
) -> Live:
    """Resizes each axis whose scale is not 1."""
    if rule.mode not in ("nearest", "linear", "cubic") or len(scales) != len(axes):
        raise ConversionError(
            f"{c.who} has mode {rule.mode!r} and {len(scales)} scales for {len(axes)} axes; nearest, linear or cubic is "
            "expected"
        )
    steps = []
    for j, (k, scale) in enumerate(zip(axes, scales)):
        span = roi[j] if roi else (0.0, 1.0)
        if scale == 1 and span == (0.0, 1.0):
            continue
        if k == x.at:
            raise MixingError(f"{c.who} resizes the batch axis")
        axis = x.axis(k, c.who)
        n = x.tail[axis - 1]
        size = sizes[j] if sizes else floor(n * (span[1] - span[0]) * scale) if roi else floor(n * scale)
        if not 1 <= size <= MAX_SIZE or n * size > MAX_WEIGHTS or scale <= 0:
            raise ConversionError(
                f"{c.who} makes axis {k} of {n} entries {size} long; 1 to {MAX_SIZE}, and at most {MAX_WEIGHTS:,} weights, are computed"
            )
        steps.append((axis, n, size, scale, rule.places(n, size, scale, span)))
    upsampled = _as_upsample(c, x, rule, steps) if not roi else None
    return upsampled or _by_axis(c, x, rule, steps, outside if roi else None)


Step = tuple[int, int, int, float, Array]


def _as_upsample(c: Call, x: Live, rule: Rule, steps: Sequence[Step]) -> Live | None:
    """One Upsample where its matrices are those of the file."""
    if not x.plain or not 3 <= x.rank <= 5 or not steps or any(axis < 2 for axis, *_ in steps) or rule.mode == "cubic":
        return None
    size = list(x.tail[1:])
    for axis, _, out, _, _ in steps:
        size[axis - 2] = out
    for corners in (False, True) if rule.mode == "linear" else (False,):
        pairs = [(_of_upsample(rule.mode, n, out, corners), _matrix(rule, n, scale, at)) for _, n, out, scale, at in steps]
        if all(np.allclose(theirs, ours, atol=1e-6) for theirs, ours in pairs):                     # scales are stored in float32
            return c.put(Upsample(tuple(size), rule.mode, corners), x)                              # type: ignore[arg-type]
    return None


def _of_upsample(mode: str, n: int, size: int, corners: bool) -> Array:
    """The matrix (size, n) of an Upsample of one axis."""
    y = Upsample((size,), mode, corners).forward(np.eye(n)[:, None])                               # type: ignore[arg-type]
    return np.asarray(y[:, 0].T)


def _matrix(rule: Rule, n: int, scale: float, places: Array) -> Array:
    if rule.mode == "nearest":
        return np.eye(n)[rule.nearest(places, n, scale)]
    return rule.matrix(places, n, scale)


def _by_axis(c: Call, x: Live, rule: Rule, steps: Sequence[Step], outside: float | None) -> Live:
    """One Gather or one product for each axis; ``outside`` is the value of outputs that lie beyond the input."""
    beyond = np.zeros((1,) * len(x.tail), bool)
    for axis, n, _, scale, places in steps:
        missed = (places < 0) | (places > n - 1) if outside is not None else np.zeros(len(places), bool)
        beyond = beyond | missed.reshape([-1 if k == axis else 1 for k in range(1, len(x.tail) + 1)])
        if rule.mode == "nearest" and not missed.any():
            x = c.put(Gather(axis), x, c.derived(rule.nearest(places, n, scale), f"{c.name}/from"))
        else:
            x = along_axis(c, x, axis, np.where(missed[:, None], 0, _matrix(rule, n, scale, places)), "weights")
    if outside and beyond.any():
        x = c.put(Add(), x, c.derived(np.where(beyond, outside, 0.0), f"{c.name}/outside"))
    return x


RESIZE: dict[str, Lowering] = {"Resize": resize, "Upsample": upsample}
