"""The reference evaluator of the onnx package, with the operators repaired that it computes wrongly (found with onnx 1.23.2).

It is the second opinion on every conversion, and it computes the constants of a file. Each repair says what was wrong.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun
from onnx.reference.ops.op_conv_transpose import ConvTranspose as OneGroup
from onnx.reference.ops.op_scatter_elements import ScatterElements as ElementsRun

from xaicore.numerics import Array
from xaicore_onnx.reference_recurrent import RECURRENT


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


class SpaceToDepth(OpRun):  # type: ignore[misc]
    """It did not know the mode CRD of opset 28."""

    op_domain = ""

    def _run(self, x: Array, blocksize: int = 1, mode: str | None = None) -> tuple[Array]:
        n, c, h, w = x.shape
        blocks = x.reshape(n, c, h // blocksize, blocksize, w // blocksize, blocksize)
        y = blocks.transpose((0, 1, 3, 5, 2, 4) if mode == "CRD" else (0, 3, 5, 1, 2, 4))
        return (y.reshape(n, c * blocksize**2, h // blocksize, w // blocksize),)


class LpNormalization(OpRun):  # type: ignore[misc]
    """It summed entries with their signs where p is 1."""

    op_domain = ""

    def _run(self, x: Array, axis: int | None = None, p: int | None = None) -> tuple[Array]:
        order, along = p or 2, -1 if axis is None else axis
        norm = (np.abs(x) ** order).sum(axis=along, keepdims=True) ** (1 / order)
        return ((x / np.where(norm == 0, 1, norm)).astype(x.dtype),)


class GridSample(OpRun):  # type: ignore[misc]
    """It clipped the place and not the entries where cubic reads the border. One place after the other."""

    op_domain = ""

    def _run(
        self, x: Array, grid: Array, align_corners: int | None = None, mode: str | None = None, padding_mode: str | None = None
    ) -> tuple[Array]:
        kind, padding = (mode or "linear").removeprefix("bi"), padding_mode or "zeros"
        space, places = x.shape[2:], grid.reshape(len(x), -1, grid.shape[-1])
        y = np.zeros((*x.shape[:2], places.shape[1]), x.dtype)
        for n, j in np.ndindex(*places.shape[:2]):
            rows = [_taps(float(v), size, kind, padding, bool(align_corners)) for v, size in zip(places[n, j][::-1], space)]
            for taps in itertools.product(*rows):
                if all(0 <= k < size for (k, _), size in zip(taps, space)):
                    y[n, :, j] += x[(n, slice(None), *(k for k, _ in taps))] * math.prod(w for _, w in taps)
        return (y.reshape(*x.shape[:2], *grid.shape[1:-1]),)


def _taps(v: float, size: int, kind: str, padding: str, corners: bool) -> list[tuple[int, float]]:
    """The entries along an axis that a place between -1 and 1 reads, and their weights."""
    place = (v + 1) / 2 * (size - 1) if corners else ((v + 1) * size - 1) / 2
    low, high = (0.0, size - 1.0) if corners else (-0.5, size - 0.5)

    def inside(at: float) -> float:
        if padding == "reflection":
            span = high - low
            at = low + span - abs((at - low) % (2 * span) - span) if span else low
        return at if padding == "zeros" else min(max(at, 0.0), size - 1.0)

    if kind == "cubic":
        first = math.floor(place) - 1
        a, weights = -0.75, []
        for k in range(first, first + 4):
            d = abs(place - k)
            weights.append((a + 2) * d**3 - (a + 3) * d**2 + 1 if d <= 1 else a * (d**3 - 5 * d**2 + 8 * d - 4))
        return [(round(inside(k)), w) for k, w in zip(range(first, first + 4), weights)]
    place = inside(place)
    if kind == "nearest":
        return [(round(place), 1.0)]                        # halves to the even entry
    k = math.floor(place)
    return [(k, 1 - (place - k)), (k + 1, place - k)]


class Scatter(ElementsRun):  # type: ignore[misc]
    """The older name of ScatterElements, which it had lost."""

    op_domain = ""


class _Pool(OpRun):  # type: ignore[misc]
    """Pooling window by window, whatever the rank. With pads the evaluator's own put windows at wrong places or beyond the input."""

    op_domain = ""

    def pooled(self, x: Array, total: Callable[[Array, int], Array], window: Window) -> Array:
        """``total`` of each window, given its entries in the last axis and how many places, padding included, it covers."""
        axes = [window.places(k, n) for k, n in enumerate(x.shape[2:])]
        y = np.empty((*x.shape[:2], *(len(one) for one in axes)), x.dtype)
        for at in np.ndindex(*y.shape[2:]):
            places = [axis[k][0] for axis, k in zip(axes, at)]
            covered = math.prod(axis[k][1] for axis, k in zip(axes, at))
            seen = x[(slice(None), slice(None), *np.ix_(*places))]
            y[(slice(None), slice(None), *at)] = total(seen.reshape(*x.shape[:2], -1), covered)
        return y


@dataclass(frozen=True)
class Window:
    """The settings of a pool, as ONNX states them."""

    kernel: Sequence[int]
    strides: Sequence[int] | None
    pads: Sequence[int] | None
    dilations: Sequence[int] | None
    auto_pad: str | None
    ceil: int | None

    def places(self, k: int, n: int) -> list[tuple[list[int], int]]:
        """For each window along spatial axis ``k`` of ``n`` entries: the entries that it sees, and how many places it covers."""
        size, rank = self.kernel[k], len(self.kernel)
        step, gap = (self.strides or [1] * rank)[k], (self.dilations or [1] * rank)[k]
        before, after = (self.pads or [0] * 2 * rank)[k], (self.pads or [0] * 2 * rank)[k + rank]
        if self.auto_pad in ("SAME_UPPER", "SAME_LOWER"):
            missing = max((math.ceil(n / step) - 1) * step + (size - 1) * gap + 1 - n, 0)
            before = missing // 2 if self.auto_pad == "SAME_UPPER" else missing - missing // 2
            after = missing - before
        room = (n + before + after - (size - 1) * gap - 1) / step
        count = (math.ceil(room) if self.ceil else math.floor(room)) + 1
        if self.ceil and (count - 1) * step >= n + before:
            count -= 1                                      # the last window must not start in the padding behind
        windows = [range(start, start + size * gap, gap) for start in range(-before, -before + count * step, step)]
        return [([i for i in at if 0 <= i < n], sum(i < n + after for i in at)) for at in windows]


class MaxPool(_Pool):
    """The largest entry of each window, and where it stands in the whole tensor: of equal ones the first."""

    def _run(
        self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None, dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] = (), pads: Sequence[int] | None = None, storage_order: int | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array, ...]:
        window = Window(kernel_shape, strides, pads, dilations, auto_pad, ceil_mode)
        y = self.pooled(x, lambda seen, covered: seen.max(axis=-1), window)
        if len(self.output) == 1:
            return (y,)
        order = np.lexsort((-np.arange(x.size), x.reshape(-1)))                 # by value, and of equal ones the last first
        ranks = np.empty(x.size, np.int64)
        ranks[order] = np.arange(x.size)
        best = self.pooled(ranks.reshape(x.shape), lambda seen, covered: seen.max(axis=-1), window)
        at = order[best]
        if storage_order:                                   # columns first, within each image
            size = math.prod(x.shape[2:])
            row, column = np.divmod(at % size, x.shape[-1])
            at = at - at % size + column * x.shape[-2] + row
        return y, at


class AveragePool(_Pool):
    """The mean of each window."""

    def _run(
        self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None, count_include_pad: int | None = None,
        dilations: Sequence[int] | None = None, kernel_shape: Sequence[int] = (), pads: Sequence[int] | None = None,
        strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        def mean(seen: Array, covered: int) -> Array:
            return np.asarray(seen.sum(axis=-1) / (covered if count_include_pad else seen.shape[-1]))

        return (self.pooled(x, mean, Window(kernel_shape, strides, pads, dilations, auto_pad, ceil_mode)),)


class LpPool(_Pool):
    """The p-norm of each window."""

    def _run(
        self, x: Array, auto_pad: str | None = None, ceil_mode: int | None = None, dilations: Sequence[int] | None = None,
        kernel_shape: Sequence[int] = (), p: int | None = 2, pads: Sequence[int] | None = None, strides: Sequence[int] | None = None,
    ) -> tuple[Array]:
        power = p or 2
        window = Window(kernel_shape, strides, pads, dilations, auto_pad, ceil_mode)
        return (self.pooled(x, lambda seen, covered: (np.abs(seen) ** power).sum(axis=-1) ** (1 / power), window),)


# ----- what older operator sets meant -------------------------------------------------------------------------------


class Old(OpRun):  # type: ignore[misc]
    """An operator of an older set. Settings are read from the node: the evaluator fills in the defaults of the newest set."""

    op_domain = ""

    def setting(self, name: str, default: Any) -> Any:
        """The attribute, or its old default."""
        return next((onnx.helper.get_attribute_value(a) for a in self.onnx_node.attribute if a.name == name), default)


class BatchNormalization(Old):
    """Before opset 14: by the stored statistics, where it mixed in those of the batch."""

    def _run(self, x: Array, scale: Array, bias: Array, mean: Array, var: Array, **new: Any) -> tuple[Array]:
        g, b, m, v = (one.reshape(-1, *(1,) * (x.ndim - 2)) for one in (scale, bias, mean, var))
        return (((x - m) / np.sqrt(v + self.setting("epsilon", 1e-5)) * g + b).astype(x.dtype),)


class Softmax(Old):
    """Before opset 13: over all axes from ``axis`` on, where it took one axis."""

    def _run(self, x: Array, **new: Any) -> tuple[Array]:
        return (np.exp(LogSoftmax._run(self, x)[0]),)


class LogSoftmax(Old):
    """As Softmax."""

    def _run(self, x: Array, **new: Any) -> tuple[Array]:
        rows = x.reshape(math.prod(x.shape[: self.setting("axis", 1)]), -1)
        low = rows - rows.max(axis=1, keepdims=True)
        return ((low - np.log(np.exp(low).sum(axis=1, keepdims=True))).reshape(x.shape),)


class Hardmax(Old):
    """Before opset 13: over all axes from ``axis`` on, where it took one axis."""

    def _run(self, x: Array, **new: Any) -> tuple[Array]:
        rows = x.reshape(math.prod(x.shape[: self.setting("axis", 1) % x.ndim]), -1)
        return ((np.arange(rows.shape[1]) == rows.argmax(axis=1)[:, None]).astype(x.dtype).reshape(x.shape),)


class DequantizeLinear(Old):
    """Before opset 19, of which it knows nothing."""

    def _run(self, x: Array, scale: Array, zero: Array | None = None, **new: Any) -> tuple[Array]:
        shape = (-1, *(1,) * (x.ndim - 1 - self.setting("axis", 1) % max(1, x.ndim))) if scale.size > 1 else ()
        shift = np.zeros_like(scale) if zero is None else zero.astype(np.int32)
        return (((x.astype(np.int32) - shift.reshape(shape)) * scale.reshape(shape)).astype(scale.dtype),)


class Upsample(Old):
    """Upsample, and Resize of opset 10: it knew whole factors of "nearest" only, or not the order of the inputs."""

    def _run(self, x: Array, scales: Array | None = None, **new: Any) -> tuple[Array]:
        for axis, factor in enumerate(self.setting("scales", ()) if scales is None else scales):
            n = x.shape[axis]
            rows = []
            for o in range(math.floor(n * factor)):
                linear = self.setting("mode", b"nearest") == b"linear"
                low = min(math.ceil(o / factor) if factor < 1 and not linear else math.floor(o / factor), n - 1)
                part = min(o / factor, n - 1) - low if linear else 0.0
                rows.append(x.take(low, axis) * (1 - part) + x.take(min(low + 1, n - 1), axis) * part)
            x = np.stack(rows, axis).astype(x.dtype)
        return (x,)


class Resize(Upsample):
    """Of opset 10."""


REPAIRS: dict[type[OpRun], int] = {
    **dict.fromkeys((LRN, GlobalMaxPool, Erf, ConvTranspose, SpaceToDepth, LpNormalization, GridSample, Scatter), 99),
    **dict.fromkeys((MaxPool, AveragePool, LpPool), 99),
    **dict.fromkeys(RECURRENT, 99),
    BatchNormalization: 14, Softmax: 13, LogSoftmax: 13, Hardmax: 13, DequantizeLinear: 19, Upsample: 99, Resize: 11,
}  # fmt: skip
"""Each repair, and the operator set from which on it is not needed."""


def evaluator(model: onnx.ModelProto) -> ReferenceEvaluator:
    """A repaired evaluator of a model."""
    opset = max((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), default=1)
    return ReferenceEvaluator(model, new_ops=[repair for repair, until in REPAIRS.items() if opset < until])
