"""Resize and Upsample in all their modes: one Resize, and what lies beyond the input added behind it. Reading at any place: GridSample."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import floor
from typing import Literal, NamedTuple

import numpy as np

from xaicore.errors import ConversionError
from xaicore.ops import Add, GridSample, Resize
from xaicore.ops.resize import COORDINATES, ROUNDINGS
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.values import Live, MixingError, onnx_axis

MAX_SIZE, MAX_WEIGHTS = 1 << 16, 1 << 25
"""Of one resized axis: what is far beyond any image, and still takes no more than a second and 256 MB."""


@dataclass(frozen=True)
class Rule:
    """How Resize reads its input; the fields of the operator that do not depend on sizes."""

    mode: str
    coordinates: str
    rounding: str = "round_prefer_floor"
    cubic: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False

    def check(self, who: str) -> None:
        """Refuses names that the standard does not have."""
        known = {"mode": ("nearest", "linear", "cubic"), "coordinates": COORDINATES, "rounding": (*ROUNDINGS, "inwards")}
        for field, attribute in (("mode", "mode"), ("coordinates", "coordinate_transformation_mode"), ("rounding", "nearest_mode")):
            if getattr(self, field) not in known[field]:
                raise ConversionError(f"{who} has {attribute} {getattr(self, field)!r}, which is not known; export with another")


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
    rule.check(c.who)
    if len(scales) != len(axes):
        raise ConversionError(f"{c.who} has {len(scales)} scales for {len(axes)} axes; one for each is expected")
    steps: dict[int, Step] = {}
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
        steps[axis] = Step(size, scale, span, ("ceil" if scale < 1 else "floor") if rule.rounding == "inwards" else rule.rounding)
    for rounding in sorted({one.rounding for one in steps.values()}):
        chosen = {k: one for k, one in steps.items() if one.rounding == rounding}
        x = _resized(c, x, chosen, replace(rule, rounding=rounding), roi is not None, outside)
    return x


class Step(NamedTuple):
    """What happens to one axis."""

    size: int
    scale: float
    span: tuple[float, float]
    rounding: str


def _resized(c: Call, x: Live, steps: Mapping[int, Step], rule: Rule, crops: bool, outside: float) -> Live:
    """One Resize from the first axis that changes to the last; ``outside`` is the value of outputs that lie beyond the input."""
    axes = range(min(steps), len(x.tail) + 1)
    still = {k: Step(x.tail[k - 1], 1.0, (0.0, 1.0), "") for k in axes}
    chosen = [steps.get(k, still[k]) for k in axes]
    by_size = all(one.scale == one.size / x.tail[k - 1] for k, one in zip(axes, chosen))
    op = Resize(
        tuple(one.size for one in chosen), rule.mode, rule.coordinates, rule.rounding,                  # type: ignore[arg-type]
        () if by_size else tuple(one.scale for one in chosen), rule.cubic, rule.exclude_outside, rule.antialias,
        tuple(one.span for one in chosen) if crops else (),
    )
    y = c.put(op, x)
    if outside and crops:
        beyond = outside * (1 - op.forward(np.ones((1, *x.tail[axes[0] - 1 :])))[0])
        y = c.put(Add(), y, c.derived(beyond, f"{c.name}/outside")) if beyond.any() else y
    return y


def grid_sample(c: Call) -> Results:
    """Entries of an image read at the places that a grid names: x (N, C, *S), grid (N, *O, rank of S)."""
    lives = [c.images(v) for v in c.inputs[:2] if isinstance(v, Live)]
    x, grid = (c.images(v) if isinstance(v, Live) else c.batched(v, lives[0]) for v in (c.x(0), c.x(1)))
    modes: dict[str, Literal["linear", "nearest", "cubic"]] = {
        "linear": "linear", "bilinear": "linear", "nearest": "nearest", "cubic": "cubic", "bicubic": "cubic",
    }  # fmt: skip
    mode, padding = c.attr("mode", "linear"), c.attr("padding_mode", "zeros")
    if mode not in modes or not 1 <= len(x.tail) - 1 <= 3:
        raise ConversionError(f"{c.who} has mode {mode!r} and {len(x.tail) - 1} spatial axes; {', '.join(modes)} and 1 to 3 are converted")
    return c.put(GridSample(modes[mode], padding, bool(c.attr("align_corners", 0))), x, grid)


RESIZE: dict[str, Lowering] = {"Resize": resize, "Upsample": upsample, "GridSample": grid_sample}
