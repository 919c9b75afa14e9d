"""Why changes live that nobody notices: each was read, and the sentence says what makes it no mistake, or that it is a gap."""

from __future__ import annotations

GAP = "gap"
PLACE = "as the place in a pair, k - 1 is 1 - k for k = 0 and for k = 1"
BRANCH = "only speed: which of two forms of the same sum is taken"
UNUSED = "what stands there is never used: where it would be, `either` takes its other side"
TEXT = "the label or the source of a rule, for the eye"
DECIDED = "the two branches give the same numbers here"

REASONS: dict[str, str] = {
    "rules.gates:gated.test: 1 - k": PLACE,
    "rules.gates:gate_rule.apply: 1 - k": PLACE,
    "rules.linear:Affine.terms: on and": BRANCH,
    "rules.linear:Affine.terms: x < 0": BRANCH,
    "rules.linear:Affine.terms: 0 -> 1": BRANCH,
    "rules.linear:Affine.terms: (x < 0).any": BRANCH,
    "rules.lrp:z_box.above.distance: x - bound -> bound - x": "numerator and denominator change their sign together",
    "rules.lrp:epsilon.apply: stabilizer == 'sign' or not eps": DECIDED,
    "rules.lrp:epsilon.apply: bias in ('ignore', 'distribute') and a.has_bias": "only speed: without a bias W x is y",
    "rules.lrp:epsilon: stabilizer == 'sign'": TEXT,
    "rules.lrp:z_box: not b.ndim": TEXT,
    "rules.composites:composite: 'kohlbrenner2020'": TEXT,
    "rules.attention:_taylor_softmax: 0 -> 1 (2)": "a masked entry has s = 0 and no relevance, so that any finite number does in its place",
    "rules.attention:_stop: on -> not on": "no part, or a part of zeros: the same sum",
    "rules.attention:_stop: 0 -> 1 (2)": "the number that stands for an infinite one is multiplied by 0",
    "rules.attention:detached_normalisation.apply: len(step.xs) > 2": "with a scale and no shift, the forward pass without the shift is y",
    "rules.deeplift:slope: 0 -> 1 (4)": UNUSED,
    "rules.deeplift:slope: 0 -> 1 (5)": UNUSED,
    "rules.deeplift:slope: 1 -> 2 (4)": UNUSED,
    "rules.deeplift:softmax_rescale.apply: 1 -> 2": UNUSED,
    "rules.deeplift:softmax_rescale.apply: abs(dx) <=": "differs only where |Δx| is the threshold to the last digit",
    "rules.deeplift:rescale.apply: one * ratio": "no pair of multipliers meets Rescale: layers make one of what RevealCancel hands on",
    "rules.deeplift:_cross_max: m * sign": "the sign is 1 or -1, its own reciprocal",
    "rules.deeplift:_cross_max: top is None or": "both are None or neither: the operator alone decides",
    "rules.deeplift:_linear_pair: up is None or": "all three are None or none of them: whether the input is active decides",
    "rules.deeplift:_sum: p is None or": "both are None or neither: whether the input is active decides",
    "rules.deeplift:_routes_pair: a is None or": "both are None or neither: whether the input is active decides",
    "rules.deeplift:same_rest.apply: not on and": "only speed: where nothing moved, y on the baseline is compared with itself",
    "rules.deeplift:same_rest.apply: x is not x0": "only speed: the same object is equal to itself",
    "rules.deeplift:same_rest.apply: not on -> on": "only speed: y on the baseline is compared although nothing else moved",
    "rules.deeplift:rescale.apply: max -> min": GAP + ": the wider threshold of float32 is not tested",
    "rules.deeplift:rescale.apply: 1e-06": GAP + ": the wider threshold of float32 is not tested",
    "rules.example:": "a helper of docstrings, whose examples run in tests/test_doctests.py and are not asked here",
    "rules.linear:Affine.apply: self._offset() and": "where there is no constant, 0 is taken off",
    "ops.conv:adjoint_x: True -> False": "`zip(..., strict=True)` of lists that are equally long",
    "ops.elementwise:LeakyReLU.value: x > 0": "at 0 both branches give 0",
    "rules.taylor:deep_taylor: low is None or": "z_box, asked next, refuses half a range, too",
}
"""The key of a change, or the beginning of it -> the reason."""


def reason(key: str) -> str:
    """What is known of a survivor; the longest beginning that is listed decides. "" where it was not looked at."""
    found = [k for k in REASONS if key.startswith(k)]
    return REASONS[max(found, key=len)] if found else ""
