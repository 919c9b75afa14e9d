"""Softmax, its logarithm and the log-sum-exp, safe for huge scores and for masked ones (-inf)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

import numpy as np

from xaicore.numerics import Array
from xaicore.ops.arithmetic import Add, Sub, Where
from xaicore.ops.elementwise import Clip
from xaicore.ops.logic import Compare
from xaicore.ops.op import Op, batchless
from xaicore.ops.pointwise import Exp, Log, refuse
from xaicore.ops.reduce import ReduceMax, Sum
from xaicore.ops.shape import Detach, Squeeze

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


@final
@dataclass(frozen=True)
class Softmax(Op):
    """y_k = exp(x_k) / sum_j exp(x_j) over ``axis``, not 0.   InputError for NaN and +inf.

    A score of -inf (masked) gives 0 and passes no signal. A row of nothing but -inf gives 0 everywhere, as torch's
    scaled_dot_product_attention has it for a fully masked query (torch.softmax gives NaN).
    Expands to exp(z - ln sum_j exp(z_j)), z being x minus its maximum; that shift is detached, with one value for input and
    baseline, so it cancels in every difference. A Where puts 1 for the sum of a row of nothing but -inf.
    The quotient exp(z) / sum is the same function, but of no use to DeepLIFT: where the scores of input and baseline lie d apart, it has
    factors of e^d whose products cancel, and from d = 36 on nothing is left of float64 (MiniLM against [MASK] for every word: d = 56).
    Here each multiplier is at most 1: Δe_k/Δz_k and Δln S/ΔS are logarithmic means, and the mean of a sum is no less than the sum of means.
    """

    axis: int = -1
    rational = False

    def forward(self, *xs: Array) -> Array:
        e = np.exp(_shifted(xs[0], self.axis, "Softmax"))
        total = e.sum(axis=self.axis, keepdims=True)
        return e / np.where(total == 0, 1, total)

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.asarray(y * (g - (g * y).sum(axis=self.axis, keepdims=True)))

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        _, z, _, total = _expand_exp_and_sum(b, inputs[0], (self.axis,))
        return b.add(Exp(), b.add(Sub(), z, b.add(Log(), total, name="log"), name="log_softmax"))


@final
@dataclass(frozen=True)
class LogSoftmax(Op):
    """y_k = x_k - ln sum_j exp(x_j) over ``axis``, not 0.   InputError for NaN and +inf.

    A score of -inf (masked) gives -inf and takes no part in the sum; a signal at its y passes to it (as torch). In a row of
    nothing but -inf every y is -inf (torch: NaN).   Expands to Exp, Sum, Log and Sub of x minus its maximum, as Softmax does.
    """

    axis: int = -1
    rational = False

    def forward(self, *xs: Array) -> Array:
        z = _shifted(xs[0], self.axis, "LogSoftmax")
        total = np.exp(z).sum(axis=self.axis, keepdims=True)
        return z - np.log(np.where(total == 0, 1, total))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        return np.asarray(g - np.exp(y) * g.sum(axis=self.axis, keepdims=True))

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        _, z, _, total = _expand_exp_and_sum(b, inputs[0], (self.axis,))
        return b.add(Sub(), z, b.add(Log(), total, name="log"))


@final
@dataclass(frozen=True)
class LogSumExp(Op):
    """y = ln sum exp(x) over ``axes``, a smooth maximum.   InputError for NaN, +inf, and where all of a row is -inf.

    A score of -inf (masked) takes no part. Expands as LogSoftmax does, with the detached maximum added at the end: LRP sees that
    maximum as a bias, DeepLIFT completes.
    Raises ShapeError for the batch axis.   Same as: torch.logsumexp, ONNX ReduceLogSumExp.
    """

    axes: tuple[int, ...]
    keepdims: bool = False
    rational = False
    composite = True

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        axes = batchless(self.axes, x.ndim, "LogSumExp")
        top = x.max(axis=axes, keepdims=True) if axes else x
        refuse(~np.isfinite(top), top, "LogSumExp", "a finite maximum is expected in every row")
        y = top + np.log(np.exp(x - top).sum(axis=axes, keepdims=True))
        return np.asarray(y if self.keepdims else np.squeeze(y, axes))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        axes = batchless(self.axes, x.ndim, "LogSumExp")
        whole = (g, y) if self.keepdims else (np.expand_dims(g, axes), np.expand_dims(y, axes))
        return np.asarray(whole[0] * np.exp(x - whole[1]))

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        shift, _, _, total = _expand_exp_and_sum(b, inputs[0], self.axes)
        y = b.add(Add(), b.add(Log(), total, name="log"), shift, name="whole")
        return y if self.keepdims or not self.axes else b.add(Squeeze(self.axes), y)


def _shifted(x: Array, axis: int, who: object) -> Array:
    """x - max(x); a row of nothing but -inf stays as it is."""
    batchless((axis,), x.ndim, who)
    top = x.max(axis=axis, keepdims=True)
    refuse(~(top < np.inf), top, who, "a finite maximum (or -inf, for a masked row) is expected in every row")
    return x - np.where(top == -np.inf, 0, top)


def _expand_exp_and_sum(b: Wiring, x: str, axes: tuple[int, ...]) -> tuple[str, str, str, str]:
    """The detached maximum, x minus it, the exponentials of that, and their sum (1 where it is 0)."""
    top = b.add(ReduceMax(axes, keepdims=True), x, name="max")
    finite = b.add(Clip(low=-3e38), top, name="finite")        # a fully masked row: -inf - (-inf) would be NaN; float32 holds 3e38
    shift = b.add(Detach(shared=True), finite, name="shift")
    z = b.add(Sub(), x, shift, name="shifted")
    exp = b.add(Exp(), z, name="exp")
    total = b.add(Sum(axes, keepdims=True), exp, name="sum")
    masked = b.add(Compare("eq"), total, b.constant(0, name="zero"), name="masked")
    return shift, z, exp, b.add(Where(), masked, b.constant(1, name="one"), total, name="total")
