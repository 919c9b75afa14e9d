"""Why changes live that nobody notices: each was read, and the sentence says what makes it no mistake, or that it is a gap."""

from __future__ import annotations

GAP = "gap"
UNUSED = "what stands there is never used: where it would be, `either` takes its other side"
EQUALLY_LONG = "`zip(..., strict=True)` of lists that are equally long"
ONE = "an operator of one input does not look at the index"
BOTH = "all are None or none of them: whether the input is active decides"
NULL = "where there is no constant, or none is asked for, 0 is taken off and put back"
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
    "rules.linear:Affine.apply: op.biases": NULL,
    "rules.linear:Affine.apply: zeros -> ones (4)": NULL,
    "rules.lrp:_average: 0 -> 1 (2)": ONE,
    "rules.patterns:_pattern: 1 -> 2 (2)": NORMED,
    "rules.patterns:_pattern: mean_xy - mean_x": "numerator and denominator change their sign together",
    "rules.ruleset:total: -x.strides": "only speed: the order in which axes stand for a sum over all of them",
    "rules.ruleset:total: x.flags": "only speed: which of two forms of the same sum is taken",
    "rules.linear:passed: np.abs(less)": "a neuron whose R / z is on the border is right in either pass",
    "ops.conv:adjoint_x: True -> False": EQUALLY_LONG,
    "ops.elementwise:LeakyReLU.value: x > 0": "at 0 both branches give 0",
    "ops.pool:Window.__post_init__: 1 -> 2": "a pool has no groups, and the function that checks them wants at least 1",
    "ops.pool:MaxPool.vjp: b > 0": "only speed: where no window reaches beyond the edge, all that it reads is inside",
    "ops.recurrence:Recurrence.vjp: 10 -> 11": "only memory: how many samples go through at a time",
    "ops.conv:_samples: 1 -> 2": "only memory: how many samples go through at a time",
    "ops.conv:_blocks: 1 -> 2": "only memory: how many rows go through at a time",
    "ops.conv:convolve: 1 -> 2 (11)": "only speed: from which size on another algorithm is taken",
    "ops.conv:ConvTranspose.forward: True -> False": EQUALLY_LONG,
    "ops.resize:Pad._sources: True -> False": EQUALLY_LONG,
    "ops.winograd:correlate: 2 -> 3": "one row more than is read",
    "ops.winograd:_block: 1 -> 2": "a slice in steps of 2 and more, whose end is one further",
    "ops.recurrent:GRU.back: 0 -> 1": ONE,
    "ops.linear:_einsum: any -> all": "np.einsum gives back an operand itself only where it is the only one",
    "ops.softmax:_expand_exp_and_sum: 1 -> 2": "it stands under a numerator of 0 where everything is masked",
}
"""The key of a change, or the beginning of it -> the reason."""


def reason(key: str) -> str:
    """What is known of a survivor; the longest beginning that is listed decides. "" where it was not looked at."""
    found = [k for k in REASONS if key.startswith(k)]
    return REASONS[max(found, key=len)] if found else ""
