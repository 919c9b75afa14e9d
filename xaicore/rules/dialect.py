"""What libraries do differently around the layers of a relevance rule set: where sums, averages and BatchNorm send relevance.

The conventions of the layers themselves (bias, stabiliser, variant) are settings of the rules in lrp.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from xaicore.errors import UnknownName, nearest
from xaicore.numerics import Array, divide, stabilize
from xaicore.ops import Add, AvgPool, BatchNorm, GlobalAvgPool, Mean
from xaicore.rules.linear import Number
from xaicore.rules.lrp import epsilon, identity
from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import affine, op
from xaicore.trace import Step


def _copied(step: Step, r: Array) -> Parts:
    return step.vjp(r)


copied = Rule("copied", _copied)
"""R_i = R_j ∂y_j/∂x_i: what automatic differentiation makes of a layer without a rule. A sum hands all of R to each summand."""

reverse_eps: float = 1e-7
"""innvestigate's K.epsilon."""


def _reverse(step: Step, r: Array) -> Parts:
    x, _, beta, mean = (_spread(v, step.y) if k else v for k, v in enumerate(step.xs[:4]))
    top, bottom = x * (step.y - beta), (x - mean) * step.y
    return (top * divide(r, stabilize(bottom, reverse_eps)), None, None, None, None)


batchnorm_reverse = Rule("batchnorm_reverse", _reverse)
"""R_x = x (y - β) R / ((x - μ) y + eps sign), eps = 1e-7: x γ R / (s y) but at x = μ, where nothing passes. Same as: innvestigate."""


def _surrogate(step: Step, r: Array) -> Parts:
    assert isinstance(step.node.op, BatchNorm)
    x, gamma, beta, mean, var = (_spread(v, step.y) if k else v for k, v in enumerate(step.xs))
    spread = np.sqrt(var * var + np.asarray(step.node.op.eps, var.dtype))
    scale = gamma / spread
    return (x * scale * divide(r, x * scale + beta - mean / spread), None, None, None, None)


batchnorm_surrogate = Rule("batchnorm_surrogate", _surrogate)
"""The z-rule of y' = γ x / √(var² + eps) + β - μ / √(var² + eps), which is not the layer's function. Same as: innvestigate, where αβ and
deep Taylor merge a BatchNorm (its fuse mode "one_linear")."""


def _spread(v: Array, y: Array) -> Array:
    """(C,) as (C, 1, ...), to broadcast against y (N, C, ...)."""
    return v.reshape(-1, *(1,) * (y.ndim - 2))


SUMS = ("share", "repeat")
AVERAGES = ("share", "uniform")
BATCHNORMS = ("fold", "affine", "pass", "reverse", "surrogate")
AVERAGING = op(AvgPool, GlobalAvgPool, Mean)


def in_dialect(rules: RuleSet, sums: str = "share", averages: str = "share", batchnorm: str = "fold") -> RuleSet:
    """The relevance rule set with other rules at sums, averages and BatchNorm; the default is the rule set itself.

    sums       "share": a sum's relevance in proportion to its summands; "repeat": all of it to each, so that every skip connection
               doubles it (captum and zennit for a functional ``a + b``, innvestigate's deep Taylor)
    averages   "share": in proportion to the entries; "uniform": equally, as the derivative has it (innvestigate's deep Taylor,
               zennit without a composite, DeepExplain, lxt)
    batchnorm  "fold": merged into the layer before it (zennit's canonizers); "affine": a layer of its own under the ε-rule (captum);
               "pass": R as it is (zennit without a canonizer); "reverse", "surrogate": innvestigate's two formulas

    Raises UnknownName for another name.
    """
    for setting, value, known in (("sums", sums, SUMS), ("averages", averages, AVERAGES), ("batchnorm", batchnorm, BATCHNORMS)):
        if value not in known:
            raise UnknownName(f"{setting}={value!r} does not exist: {nearest(str(value), known)}")
    rows = [(op(Add) & affine, copied)] if sums == "repeat" else []
    rows += [(AVERAGING & affine, copied)] if averages == "uniform" else []
    if batchnorm != "fold":
        eps: Number = rules.settings.get("eps", 0)
        bias = rules.settings.get("bias", "absorb")
        by_name: Mapping[str, Rule] = {"affine": epsilon(eps, bias), "pass": identity, "reverse": batchnorm_reverse,
                                       "surrogate": batchnorm_surrogate}
        rows += [(op(BatchNorm), by_name[batchnorm])]
        rules = replace(rules, fold="padding", expand=tuple(k for k in rules.expand if k is not BatchNorm))
    return rules.before(*rows) if rows else rules
