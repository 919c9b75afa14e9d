"""Layer-wise relevance propagation: the rules, each beside its equation. Rule sets of one rule: uniform.py, of several: composites.py.

Relevance starts as the explained value itself, R = f(x), and every rule hands R_j on to the inputs i of neuron j. What
biases, stabilisers and empty denominators keep stands in the ledger. Rules for softmax, normalisations and products of
activations are in attention.py, deep Taylor decomposition in taylor.py.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, TypeAlias

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.numerics import STABILIZERS, Array, at_least, divide, either, is_exact, negative, positive, product, scalar
from xaicore.ops import (
    AdaptiveMaxPool,
    AvgPool,
    GlobalMaxPool,
    Maximum,
    MaxPool,
    Minimum,
    ReduceMax,
    ReduceMin,
)
from xaicore.rules.linear import Affine, Number, Term, ones, passed, plus, ratio, same, scaled, square, times, zeros
from xaicore.rules.ruleset import Parts, Rule
from xaicore.rules.select import op
from xaicore.trace import Step

Bias: TypeAlias = Literal["absorb", "ignore", "distribute", "whole"]
BIASES = ("absorb", "ignore", "distribute", "whole")

MAXIMA = op(MaxPool, AdaptiveMaxPool, GlobalMaxPool, ReduceMax, ReduceMin, Maximum, Minimum)


def check_bias(bias: str) -> None:
    """Refuses a bias policy that does not exist."""
    if bias not in BIASES:
        raise InputError(f"bias={bias!r} is not a policy; there are: " + ", ".join(map(repr, BIASES)))


def _label(name: str, bias: str, *numbers: Number) -> str:
    shown = [f"{float(n):g}" for n in numbers] + ([f"bias={bias}"] if bias != "absorb" else [])
    return f"{name}({', '.join(shown)})" if shown else name


def share_bias(a: Affine, amount: Array, eps: Number = 0) -> tuple[Array | None, ...]:
    """``amount`` per neuron, shared equally among the inputs that the neuron really has (padding is none), their number stabilised."""
    if not a.step.node.op.weights(a.step.active):                      # one input for each output, or equal weights
        count = a.apply(a.actives(ones))
        return a.back(ratio(amount, count, eps))
    count = a.apply(a.actives(ones), ones)
    return a.back(ratio(amount, count, eps), ones)


def shared(a: Affine, terms: Sequence[Term], r: Array, z: Array, eps: Number, bias: str) -> Parts:
    """R of each neuron shared among its contributions in proportion to z; with "distribute" also what of z is no contribution."""
    def parts(s: Array) -> Parts:
        found = a.shares(terms, s)
        return plus(found, share_bias(a, product(s, z - a.sum(terms)))) if bias == "distribute" and a.has_bias else found

    return passed(parts, r, z, eps)


# ----- the rules --------------------------------------------------------------------------------------------------


def epsilon(eps: Number = 1e-6, bias: Bias = "absorb", stabilizer: str = "sign") -> Rule:
    """R_i = x_i Σ_j w_ij R_j / (z_j + eps sign(z_j)),  z_j = Σ_i x_i w_ij + b_j,  sign(0) = +1.

    r (N, *J) -> (N, *I). eps = 0 is LRP-0; then a neuron with z_j = 0 absorbs its relevance.
    bias: "absorb" keeps b_j in z_j, so that its share is lost to the inputs; "ignore" leaves it out of z_j; "distribute"
    shares b_j R_j / z_j equally among the neuron's inputs; "whole", which tells the rules with parts apart, is "absorb" here.
    stabilizer: "sign" as above; "plain" z_j + eps (lxt), which can be zero and then absorbs; "zero" eps where z_j = 0 alone
    (innvestigate's Z-rule); "clip" sign(z_j) max(|z_j|, eps) (an option of zennit).
    Source: bach2015 eqs. 56 (eps = 0) and 58. Same as: zennit Epsilon, captum (1e-9), innvestigate EpsilonRule (1e-7), lrp_toolbox.

    >>> from xaicore.rules.example import neuron
    >>> neuron(epsilon(0.25), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.5, 0.5, -0.375]
    """
    check_bias(bias)
    at_least("eps", eps, 0)
    if stabilizer not in STABILIZERS:
        raise InputError(f"stabilizer={stabilizer!r} does not exist; there are " + ", ".join(map(repr, STABILIZERS)))

    def apply(step: Step, r: Array) -> Parts:
        a = Affine(step)
        z = a.apply() if bias == "ignore" and a.has_bias else step.y

        def parts(s: Array) -> Parts:
            found = times(step.xs, a.back(s))
            return plus(found, share_bias(a, product(s, step.y - a.apply()))) if bias == "distribute" and a.has_bias else found

        return passed(parts, r, z, eps, stabilizer)

    kind = "" if stabilizer == "sign" else f", {stabilizer}"
    return Rule(_label("epsilon" if eps else "zero", bias, *([eps] if eps else [])) + kind, apply, "bach2015")


def gamma(gamma: Number = 0.25, eps: Number = 0, bias: Bias = "absorb", variant: str = "generalized") -> Rule:
    """R_i = Σ_j x_i (w_ij + γ w_ij+) R_j / Σ_i x_i (w_ij + γ w_ij+), the bias counted as one more weight with x = 1.

    variant: "original" is that formula, meant for x >= 0. "generalized" takes signed inputs: with z_j the neuron's true
    output, contributions of the sign of z_j are favoured,
      z_j > 0:  x_i+ (w + γ w+) + x_i- (w + γ w-);    z_j < 0:  x_i+ (w + γ w-) + x_i- (w + γ w+);    z_j = 0 absorbs.
    For x >= 0 and z_j > 0 the two agree. bias as in ``epsilon``, but "absorb" has γ b_j+ too, and "whole" leaves b_j as it is.
    Source: montavon2019 (original), andeol2021 (generalized; reconstruction from descriptions). Same as: zennit Gamma is
    the generalized form; captum's GammaRule is variant="original", bias="whole", eps=1e-9.

    >>> from xaicore.rules.example import neuron
    >>> neuron(gamma(0.25), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.526316, 0.526316, -0.315789]
    """
    check_bias(bias)
    at_least("gamma", gamma, 0)
    at_least("eps", eps, 0)
    if variant not in ("original", "generalized"):
        raise InputError(f"variant={variant!r} of the gamma rule does not exist; there are 'original' and 'generalized'")

    def favoured(part: Callable[[Array], Array]) -> Callable[[Array], Array]:
        return lambda w: w + scalar(gamma, w) * part(w)

    def branch(a: Affine, r: Array, for_plus: Callable[[Array], Array], for_minus: Callable[[Array], Array]) -> Parts:
        terms = a.terms(for_plus, for_minus)
        z = a.sum(terms, zeros if bias == "ignore" else same if bias == "whole" else for_plus)
        return shared(a, terms, r, z, eps, bias)

    def apply(step: Step, r: Array) -> Parts:
        a = Affine(step)
        up, down = favoured(positive), favoured(negative)
        if variant == "original":
            return branch(a, r, up, up)
        z = a.apply() if bias == "ignore" and a.has_bias else step.y
        none = scalar(0, r)
        above, below = either(z > 0, r, none), either(z < 0, r, none)
        parts = branch(a, above, up, down)
        return plus(parts, branch(a, below, down, up)) if below.any() else parts    # behind a ReLU no relevance comes to z < 0

    return Rule(_label("gamma", bias, gamma), apply, "montavon2019" if variant == "original" else "andeol2021")


def alpha_beta(alpha: Number = 2, eps: Number = 0, bias: Bias = "absorb", variant: str = "contributions") -> Rule:
    """R_i = Σ_j (α (x_i w_ij)+ / (Σ_i (x_i w_ij)+ + b_j+) - β (x_i w_ij)- / (Σ_i (x_i w_ij)- + b_j-)) R_j,  β = α - 1 >= 0.

    The split is by the sign of the contribution x w. variant="weights-only" splits the weights alone: x w+ and x w-.
    A neuron whose positive (negative) part is empty absorbs that part's relevance, so that the sum is conserved only
    where both parts are there. bias as in ``epsilon``, its positive part with the positive contributions; "whole": all of b_j in both
    denominators (innvestigate; captum's Alpha1_Beta0_Rule with variant="weights-only", alpha=1, eps=1e-9).
    Source: bach2015 eq. 60, written there with α + β = 1; here α - β = 1 as in zennit.

    >>> from xaicore.rules.example import neuron
    >>> neuron(alpha_beta(2), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.8, 0.8, -1.0]
    """
    check_bias(bias)
    at_least("eps", eps, 0)
    at_least("alpha", alpha, 1, "alpha - beta = 1 with beta >= 0")
    if variant not in ("contributions", "weights-only"):
        raise InputError(f"variant={variant!r} of the alpha-beta rule does not exist; there are 'contributions' and 'weights-only'")

    def one_sign(a: Affine, r: Array, sign: Callable[[Array], Array]) -> Parts:
        other = negative if sign is positive else positive
        terms = a.terms(sign, other) if variant == "contributions" else ((a.actives(same), sign),)
        z = a.sum(terms, zeros if bias == "ignore" else same if bias == "whole" else sign)
        return shared(a, terms, r, z, eps, bias)

    def apply(step: Step, r: Array) -> Parts:
        a = Affine(step)
        parts = one_sign(a, r, positive)
        return parts if alpha == 1 else plus(
            scaled(scalar(alpha, r), parts), scaled(scalar(_minus_beta(alpha), r), one_sign(a, r, negative)))

    return Rule(_label("alpha_beta", bias, alpha, alpha - 1), apply, "bach2015")


@lru_cache(maxsize=64, typed=True)
def _minus_beta(alpha: Number) -> Fraction:
    """-β = 1 - α, of a float as it is written."""
    return 1 - Fraction(str(alpha))


def z_plus(eps: Number = 0, bias: Bias = "absorb", variant: str = "contributions") -> Rule:
    """R_i = Σ_j (x_i w_ij)+ / (Σ_i (x_i w_ij)+ + b_j+) R_j: alpha-beta with alpha 1 and beta 0.

    Source: montavon2017, the z+ rule for x >= 0, where (x w)+ = x w+; the split by contributions takes any sign. variant and bias as
    in ``alpha_beta``. Same as: zennit ZPlus (eps=1e-6). innvestigate: ZPlus is bias="ignore", Alpha1Beta0 bias="whole", ZPlusFast
    variant="weights-only", bias="ignore"; captum's Alpha1_Beta0_Rule variant="weights-only", bias="whole", eps=1e-9.

    >>> from xaicore.rules.example import neuron
    >>> neuron(z_plus(), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.4, 0.4, 0.0]
    """
    return Rule(_label("z_plus", bias), alpha_beta(1, eps, bias, variant).apply, "montavon2017")


def w_square(variant: str = "weights", eps: Number = 0) -> Rule:
    """R_i = Σ_j w_ij² / Σ_i w_ij² R_j, whatever the input is; the bias takes no part.

    variant: "with-bias" has b_j² in the denominator, too, which absorbs its share (zennit).
    Source: montavon2017 eq. 12. Same as: innvestigate, lrp_toolbox.

    >>> from xaicore.rules.example import neuron
    >>> neuron(w_square(), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.761905, 0.190476, 0.047619]
    """
    if variant not in ("weights", "with-bias"):
        raise InputError(f"variant={variant!r} of the w² rule does not exist; there are 'weights' and 'with-bias'")

    def apply(step: Step, r: Array) -> Parts:
        a = Affine(step)
        a.check_uniform()
        z = a.apply(a.actives(ones), square, square if variant == "with-bias" else zeros)
        return a.back(ratio(r, z, eps), square)

    at_least("eps", eps, 0)
    return Rule("w_square", apply, "montavon2017")


def flat(eps: Number = 0) -> Rule:
    """R_i = Σ_j R_j / (number of inputs of j): equal shares; padding is no input, whether the
    convolution or a Pad of zeros in front of it adds it.

    Source: lapuschkin2017 (the rule written ♭). Same as: zennit Flat, innvestigate FlatRule.

    >>> from xaicore.rules.example import neuron
    >>> neuron(flat(), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.333333, 0.333333, 0.333333]
    """
    def apply(step: Step, r: Array) -> Parts:
        a = Affine(step)
        a.check_uniform()
        return share_bias(a, r, eps)

    at_least("eps", eps, 0)
    return Rule("flat", apply, "lapuschkin2017")


def z_box(low: Any, high: Any, eps: Number = 0) -> Rule:
    """R_i = Σ_j (x_i w_ij - l_i w_ij+ - h_i w_ij-) / Σ_i (the same) R_j for inputs in the box l <= x <= h.

    Computed as (x_i - l_i) w_ij+ + (x_i - h_i) w_ij-, which is exactly 0, not rounding, where every x_i lies on its bound.
    low, high: numbers, or arrays that broadcast against the input without its batch (a value for each channel: shape
    (C, 1, 1)); InputError unless low <= high, ShapeError where they do not fit. The bias cancels. Padding contributes nothing.
    Source: montavon2017, the rule for pixels (zB). Same as: zennit ZBox. Differs: innvestigate has low -1, high +1 by default.

    >>> from xaicore.rules.example import neuron
    >>> neuron(z_box(-3, 3), x=[1, -2, 3], w=[1, -0.5, -0.25], b=0.5)
    [0.615385, 0.384615, 0.0]
    """
    bounds = {"low": np.asarray(low), "high": np.asarray(high)}
    for name, given in bounds.items():
        if given.dtype.kind not in "fiuO":
            raise InputError(f"{name}={given!r:.60} is no bound of the input; give a number, or one for each channel of shape (C, 1, 1)")
    if bounds["low"].ndim == bounds["high"].ndim == 0 and not low <= high:
        raise InputError(f"low={low!r} and high={high!r} span no box; low <= x <= high is expected of the input")

    def above(name: str) -> Callable[[Array], Array]:
        """x - bound."""
        def distance(x: Array) -> Array:
            given = bounds[name]
            if x.ndim < given.ndim or any(n not in (1, m) for n, m in zip(given.shape[::-1], x.shape[::-1])):
                raise ShapeError(f"{name} has shape {given.shape}, which does not fit the input of shape {x.shape}; give a number, or one "
                                 f"for each channel of shape (C, 1, 1)")
            bound = np.vectorize(lambda v: scalar(v, x), otypes=[object])(given) if is_exact(x) else given.astype(x.dtype)
            return np.asarray(x - bound)

        return distance

    def apply(step: Step, r: Array) -> Parts:
        a = Affine(step)
        from_low, from_high = a.actives(above("low")), a.actives(above("high"))
        terms = (from_low, positive), (from_high, negative)
        return shared(a, terms, r, a.sum(terms), eps, "absorb")

    shown = ", ".join(str(b) if not b.ndim else f"array{list(b.shape)}" for b in bounds.values())
    return Rule(f"z_box({shown})", apply, "montavon2017")


def _pass_routes(step: Step, r: Array) -> Parts:
    return step.vjp(r)


def _identity(step: Step, r: Array) -> Parts:
    return tuple(r if on else None for on in step.active)


def _proportional(step: Step, r: Array) -> Parts:
    return times(step.xs, step.vjp(divide(r, step.y)))


def _average(step: Step, r: Array) -> Parts:
    """Shares in a max-pool's window by value: the z-rule of the average pool of the same geometry."""
    o = step.node.op
    if not isinstance(o, MaxPool):
        return step.vjp(r)
    pool = AvgPool(o.kernel, o.stride, o.dilation, o.pads, o.ceil)
    x = step.xs[0]
    z = pool.forward(x)
    return (x * pool.vjp(0, divide(r, z), z, x),)


route = Rule("route", _pass_routes)
"""Relevance follows the data through reshapes, slices, concatenations: no division, so exact also at zeros."""

def epsilon_pool(eps: Number) -> Rule:
    """R_i = x_i R_j / (y_j + eps sign y_j) for the winner: the ε-rule with a maximum's derivative. Source: captum's rule for max-pools."""
    return Rule(f"epsilon_pool({float(eps):g})", lambda step, r: times(step.xs, step.vjp(ratio(r, step.y, eps))))


winner_takes_all = Rule("winner_takes_all", _pass_routes, "bach2015")
"""R goes to the entry that was the maximum; the first in row-major order among equals."""

proportional_pool = Rule("proportional_pool", _average, "bach2015")
"""R_i = x_i / Σ_window x R_j: shares of a max-pool's window by value."""

identity = Rule("identity", _identity, "bach2015")
"""R_i = R_j for an activation function of one input."""

euler = Rule("euler", _proportional)
"""R_i = x_i (∂y/∂x_i) R / y, which conserves for y homogeneous of degree 1 (Euler), such as an Lp-norm pool."""
