"""Why changes live that nobody notices: each was read, and the sentence says what makes it no mistake, or that it is a gap."""

from __future__ import annotations

import re
from collections.abc import Iterable

NUMBER = re.compile(r" \(\d+\)")
GAP = "gap"
UNUSED = "what stands there is never used: where it would be, `either` takes its other side"
EQUALLY_LONG = "`zip(..., strict=True)` of lists that are equally long"
ONE = "an operator of one input does not look at the index"
BOTH = "all are None or none of them: whether the input is active decides"
NULL = "where there is no constant, or none is asked for, 0 is taken off and put back"
SIZE = "only speed: from which size on another way is taken"
SAMPLES = "only memory: how many samples go through at a time"
ROWS = "only memory: how many rows go through at a time"
TILES = "only speed: how many rows of tiles are transformed at a time"
BEYOND = "only speed: tiles beyond the right edge are computed, too, and left out of the result"
WAY = "only speed: which of two ways is taken"
INFINITE = "the question is asked of infinite numbers alone"
MASKED = "it stands under a numerator of 0 where everything is masked"
LAST = "the last of two axes is axis 1"
ADDED = "only speed: a bias of zeros is added instead of left out"
REMEMBERED = "only speed: which parts of weights are remembered beyond the step"
TURNED = "numerator and denominator change their sign together"
NORMED = "what is summed is divided by its sum"

REASONS: dict[str, str] = {
    "rules.attention:_taylor_softmax: 0 -> 1 (2)": "a masked entry has s = 0 and no relevance, so that any finite number does in its place",
    "rules.deeplift:slope: 1 -> 2 (4)": UNUSED,
    "rules.deeplift:same_rest.apply: not on and": "only speed: where nothing moved, y on the baseline is compared with itself",
    "rules.deeplift:softmax_rescale.apply: 0 -> 1 (4)": ONE,
    "rules.deeplift:softmax_rescale.apply: 1 -> 2": UNUSED,
    "rules.deeplift:_linear_pair: up is None or": BOTH,
    "rules.deeplift:_routes_pair: a is None or": BOTH,
    "rules.excitation:excitation_backprop: 1 -> 2": "the shares of the two factors are divided by their sum, and the other is 0",
    "rules.linear:Affine.inputs: x is not None and": BOTH,
    "rules.linear:Affine.inputs: zeros -> ones": ADDED,
    "rules.linear:Affine.inputs: len(out) - 1 -> len(out) + 1": ADDED,
    "rules.linear:Affine.inputs: len(out) - 1 -> 1 - len(out)": ADDED,
    "rules.linear:Affine.inputs: 1 -> 2": ADDED,
    "rules.linear:Affine.inputs: 0 -> 1": ADDED,
    "rules.linear:Affine.inputs: out[k].dtype is not": "whole numbers multiply as the floats that they equal, converted or not",
    "rules.linear:Affine._changed: change in (positive, negative)": REMEMBERED,
    "rules.linear:Affine._changed: positive -> negative": REMEMBERED,
    "rules.linear:Affine._changed: negative -> positive": REMEMBERED,
    "rules.linear:Affine._changed: k not in": REMEMBERED,
    "rules.linear:Affine._part: False -> True": "only memory: which of two budgets counts what is remembered",
    "rules.linear:Affine.apply: self.additive and": NULL,
    "rules.linear:Affine.apply: zeros -> ones (4)": NULL,
    "rules.linear:the module: 1e-37 -> 1.0": "only speed: where eps is above 0, no entry is 0 and both divisions are one",
    "rules.linear:ratio: eps > TINY": "1e-37 itself is above 0 in every arithmetic, too",
    "rules.lrp:_average: 0 -> 1 (2)": ONE,
    "rules.patterns:_pattern: 1 -> 2 (2)": NORMED,
    "rules.patterns:_pattern: mean_xy - mean_x * _per_output(mean_y, op_, w) -> mean_x *": TURNED,
    "rules.ruleset:total: -x.strides": "only speed: the order in which axes stand for a sum over all of them",
    "rules.ruleset:total: x.flags": "only speed: which of two forms of the same sum is taken",
    "rules.linear:passed: np.abs(less)": "a neuron whose R / z is on the border is right in either pass",
    "ops.conv:adjoint_x: True -> False": EQUALLY_LONG,
    "ops.conv:adjoint_x: True -> False (2)": EQUALLY_LONG,
    "ops.conv:adjoint_x: w.size < laid.LARGE -> w.size <= laid.LARGE": SIZE,
    "ops.conv:the module: 21 -> 22": ROWS,
    "ops.conv:adjoint_x: len(w) == 1 -> len(w) != 1": WAY,
    "ops.conv:adjoint_x: w.shape[1] > 1 -> w.shape[1] >= 1": WAY,
    "ops.conv:_adjoint_planes: len(g) * w.shape[1] -> len(g) / w.shape[1]": WAY,
    "ops.conv:_products: 1 -> 2 (2)": WAY,
    "ops.conv:block_bytes: max -> min": ROWS,
    "ops.conv:convolve: x.dtype.kind == 'f'": WAY,
    "ops.conv:convolve: 1 -> 2 (11)": "only speed: layers of one channel each are then taken by the general way",
    "ops.conv:_channels_last: 2 ** 12": SIZE,
    "ops.conv:_samples: 1 -> 2": SAMPLES,
    "ops.conv:_samples: 1 -> 2 (2)": SAMPLES,
    "ops.conv:_samples: max -> min (2)": SAMPLES,
    "ops.conv:_blocks: 1 -> 2": ROWS,
    "ops.conv:_blocks: 1 -> 2 (4)": ROWS,
    "ops.conv:ConvTranspose.forward: True -> False": EQUALLY_LONG,
    "ops.depthwise:adjoint_x: True -> False (2)": EQUALLY_LONG,
    "ops.depthwise:_sum_up: min -> max": ROWS,
    "ops.elementwise:LeakyReLU.value: x > 0": "at 0 both branches give 0",
    "ops.elementwise:Clip._bounds: 0 -> 1 (2)": INFINITE,
    "ops.elementwise:Clip._bounds: self.high > 0": INFINITE,
    "ops.grid:GridSample._mirrored: 0 * one -> 0 / one": "0 over 1 is 0",
    "ops.grid:GridSample._mirrored: 0 -> 1 (3)": "an axis of one entry: what follows clips any place to that entry",
    "ops.grid:GridSample._mirrored: from_edge < 0": "on the edge a place is clipped to the end of x, where the slope is 0",
    "ops.grid:GridSample._taps: 4 -> 5": "so far outside all places are alike",
    "ops.linear:Weighted.biases: any -> all": "of a bias that is not there both say that nothing is added",
    "ops.linear:_einsum: any -> all": "np.einsum gives back an operand itself only where it is the only one",
    "ops.linear:MatMul.vjp: g.shape[-2] * b.size > unpacked.SMALL -> g.shape[-2] * b.size >=": SIZE,
    "ops.placing:positions: False -> True": "a guard: nobody writes to what is remembered",
    "ops.pool:Window.__post_init__: 1 -> 2": "a pool has no groups, and the function that checks them wants at least 1",
    "ops.pool:MaxPool.vjp: 0 -> 1 (3)": "what is outside takes nothing, whatever stands there",
    "ops.pool:MaxPool.vjp: long -> not long": "only speed: a truth value is 0 or 1 in a product, converted or not",
    "ops.pool:_Max.candidates: 2 -> 3": "axes of one entry more, which the reshape at the end takes together",
    "ops.recurrence:Recurrence.vjp: 10 -> 11": SAMPLES,
    "ops.recurrence:product: x.ndim == 2 and": WAY,
    "ops.recurrent:GRU.back: -1 -> 1": LAST,
    "ops.recurrent:GRU.back: -1 -> 1 (3)": LAST,
    "ops.recurrent:RNN.slopes: 0 -> 1": ONE,
    "ops.reduce:Norm._norm: 1 -> 2": "it stands under a numerator of 0 where every entry is 0",
    "ops.resize:Pad.forward: True -> False": EQUALLY_LONG,
    "ops.resize:Pad._sources: True -> False": EQUALLY_LONG,
    "ops.shifts:the module: 16 -> 17": SIZE,
    "ops.small:_planned_back: 1 < outputs <= 3 * channels -> 1 < outputs < 3": WAY,
    "ops.smooth:HardSwish.derivative: 3 -> 4": "where x is below -3 it is not read",
    "ops.resize:Resize._kernel: 2 -> 3 (3)": "nothing farther than 2 is read, where the cubic is 0",
    "ops.softmax:Softmax.forward: 1 -> 2": MASKED,
    "ops.softmax:_expand_exp_and_sum: 1 -> 2": MASKED,
    "ops.steps:FakeQuantize.vjp: xs[i].dtype != object": "a whole 0 is the rational 0",
    "ops.together:the module: 1 -> 2": ROWS,
    "ops.together:_rows: PIECE // max": ROWS,
    "ops.unpacked:product: terms.stop - terms.start -> terms.stop + terms.start": "only speed: how many rows a small product takes",
    "ops.unpacked:product: terms.stop - terms.start -> terms.start - terms.stop": "only speed: how many rows a small product takes",
    "ops.winograd:the module: 512 -> 513": SIZE,
    "ops.winograd:the module: 22 -> 23": TILES,
    "ops.winograd:the module: 23 -> 24": TILES,
    "ops.winograd:_block: 1 -> 2 (2)": TILES,
    "ops.winograd:_block: ROW_BYTES // (size": TILES,
    "ops.winograd:_block: x.shape[2] - 2 -> x.shape[2] + 2": BEYOND,
    "ops.winograd:_block: min -> max": "only speed: rows that come again are transformed again, and slices end where the array does",
    "ops.winograd:_weights: 2 -> 3 (6)": SIZE,
    "ops.winograd:_weights: WIDE // 2": SIZE,
    "ops.winograd:_wide: min -> max": SIZE,
    "ops.winograd:_wide: wide >= 16": SIZE,
    "ops.winograd:correlate: -width // m": BEYOND,
    "ops.winograd:correlate: 2 -> 3 (10)": "one row more than is read",
    "ops.winograd:correlate: min -> max": TILES,
    "ops.winograd:correlate: (m + 2) ** 2 -> (m + 2) * 2": TILES,
}
"""The key of a change, or the beginning of it -> the reason. A number at its end tells it from others like it, and belongs to it."""


def reason(key: str) -> str:
    """What is known of a survivor; the longest beginning that is listed decides. "" where it was not looked at."""
    found = [k for k in REASONS if _is(key, k)]
    return REASONS[max(found, key=len)] if found else ""


def _is(key: str, listed: str) -> bool:
    return key.startswith(listed) and not NUMBER.fullmatch(key[len(listed):])


def homeless(keys: Iterable[str]) -> list[str]:
    """Reasons that are no change's of these: the code that they spoke of is another by now."""
    keys = list(keys)
    return [listed for listed in REASONS if not any(_is(key, listed) for key in keys)]
