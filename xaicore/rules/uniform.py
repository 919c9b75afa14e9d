"""LRP rule sets with one rule in every layer, and the rows that all LRP rule sets share (``compose``, which says what their settings are).

The rules themselves stand in lrp.py.
"""

from __future__ import annotations

from typing import Any

from xaicore.errors import InputError
from xaicore.numerics import at_least
from xaicore.ops import GRU, LSTM, RNN, BatchNorm, Div, LpPool, Sub, Variance
from xaicore.rules.attention import bilinear_rows
from xaicore.rules.gates import gate_rows
from xaicore.rules.linear import Number
from xaicore.rules.lrp import (
    MAXIMA,
    Bias,
    alpha_beta,
    check_bias,
    epsilon,
    epsilon_pool,
    euler,
    identity,
    proportional_pool,
    route,
    winner_takes_all,
    z_plus,
)
from xaicore.rules.lrp import gamma as gamma_rule
from xaicore.rules.ruleset import Row, RuleSet
from xaicore.rules.select import affine, elementwise, op, routes, weighted

EXPANDED = (Sub, Div, BatchNorm, Variance, RNN, GRU, LSTM)


def compose(
    name: str, *rows: Row, eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner", attention: str = "attnlrp",
    gates: str = "signal", source: str = "bach2015", stabilizer: str = "sign", **settings: Any,
) -> RuleSet:
    """A relevance rule set: the rows for layers first, then the rows that all LRP rule sets share.

    eps stabilises sums, average pools and products of activations; pool: "winner", "proportional" or "epsilon"; attention: the
    transformer rules, "attnlrp" (achtibat2024) or "cp" (ali2022); gates: products with a sigmoid's value, "signal" (arras2017),
    "half", "proportional" or "absolute" (arras2019). Rule sets with ``layer_eps`` stabilise the denominators of their layers with it, too
    (zennit 1e-6, captum 1e-9; 0: what is empty absorbs). What every method has besides stands in dialect.py (sums, averages, batchnorm)
    and methods/propagate.py (start).
    """
    check_bias(bias)
    at_least("eps", eps, 0)
    pools = {"winner": winner_takes_all, "proportional": proportional_pool, "epsilon": epsilon_pool(eps)}
    if pool not in pools:
        raise InputError(f"pool={pool!r} does not exist; there are " + ", ".join(map(repr, pools)))
    own = {**settings, "eps": eps, "bias": bias, "pool": pool, "attention": attention, "gates": gates,
           **({} if stabilizer == "sign" else {"stabilizer": stabilizer})}
    return RuleSet(name, "relevance", (
        *rows,
        (MAXIMA, pools[pool]),
        (routes, route),                                                # reshape, slice, concatenate, pad, choose
        (affine, epsilon(eps, bias, stabilizer)),                       # sums, skip connections, average pools, scales
        (elementwise, identity),
        (op(LpPool), euler),
        *gate_rows(gates),
        *bilinear_rows(attention, eps, bias),                           # products of activations, softmax, normalisation
    ), expand=EXPANDED, fold=True, source=source,
        settings=own)


def lrp_zero(bias: Bias = "absorb", pool: str = "winner", attention: str = "attnlrp", gates: str = "signal") -> RuleSet:
    """LRP-0: R_i = Σ_j x_i w_ij R_j / z_j everywhere.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. A denominator of 0 has
    nothing to share, and its relevance is absorbed. On piecewise-linear networks it is gradient_x_input (W1). Raises
    Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source: bach2015 eq. 56. Same as:
    innvestigate LRPZ, lrp_toolbox "simple", up to what they add to a denominator near 0; captum and zennit have it as ε with a tiny eps.
    """
    return compose("lrp.zero", (weighted, epsilon(0, bias)), eps=0, bias=bias, pool=pool, attention=attention, gates=gates)


def lrp_epsilon(eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner", attention: str = "attnlrp",
                gates: str = "signal", stabilizer: str = "sign") -> RuleSet:
    """LRP-ε: R_i = Σ_j x_i w_ij R_j / (z_j + eps sign z_j), sign 0 = +1, everywhere.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. What eps keeps is
    absorbed, most where z is small. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row.
    Source: bach2015 eq. 58. Same as: zennit Epsilon, captum EpsilonRule, innvestigate LRPEpsilon. Differs: their eps is 1e-6, 1e-9 and
    1e-7.
    """
    return compose("lrp.epsilon", (weighted, epsilon(eps, bias, stabilizer)), eps=eps, bias=bias, pool=pool, attention=attention,
                   gates=gates, stabilizer=stabilizer)


def lrp_gamma(
    gamma: Number = 0.25, eps: Number = 1e-6, bias: Bias = "absorb", variant: str = "generalized", pool: str = "winner",
    attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0,
) -> RuleSet:
    """LRP-γ: R_i = Σ_j x_i (w_ij + γ w_ij⁺) R_j / Σ_i x_i (w_ij + γ w_ij⁺) in every layer.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. variant="generalized"
    also serves inputs of either sign; layer_eps stabilises its denominators. Raises Inapplicable where a probability is explained,
    UncoveredNode for an operator without a row. Source: montavon2019; signed inputs: andeol2021. Same as: zennit Gamma. Differs: captum
    GammaRule is meant for x >= 0 and leaves the bias as it is (variant="original", bias="whole").
    """
    return compose("lrp.gamma", (weighted, gamma_rule(gamma, layer_eps, bias, variant)), eps=eps, bias=bias, pool=pool,
                   attention=attention, gates=gates, source="montavon2019", gamma=gamma, variant=variant, layer_eps=layer_eps)


def lrp_alpha_beta(
    alpha: Number = 2, eps: Number = 1e-6, bias: Bias = "absorb", variant: str = "contributions", pool: str = "winner",
    attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0,
) -> RuleSet:
    """LRP-αβ: R_i = Σ_j (α (x_i w_ij)⁺ / z_j⁺ - β (x_i w_ij)⁻ / z_j⁻) R_j in every layer, β = α - 1.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. A neuron with one sign
    alone has an empty part, whose relevance is absorbed; layer_eps stabilises its denominators (zennit 1e-6, captum 1e-9). Raises
    Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source: bach2015 eq. 60. Same as: zennit
    AlphaBeta. Differs: lrp_toolbox has α + β = 1; innvestigate adds the whole bias to both denominators; variant="weights-only" splits
    weights.
    """
    return compose("lrp.alpha_beta", (weighted, alpha_beta(alpha, layer_eps, bias, variant)), eps=eps, bias=bias, pool=pool,
                   attention=attention, gates=gates, alpha=alpha, variant=variant, layer_eps=layer_eps)


def lrp_z_plus(eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner", attention: str = "attnlrp",
               gates: str = "signal", variant: str = "contributions", layer_eps: Number = 0) -> RuleSet:
    """z+: R_i = Σ_j (x_i w_ij)⁺ R_j / Σ_i (x_i w_ij)⁺ in every layer.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. A neuron without a
    positive part absorbs its relevance; layer_eps stabilises its denominators (zennit 1e-6, captum 1e-9). Raises Inapplicable where a
    probability is explained, UncoveredNode for an operator without a row. Source: montavon2017. Same as: zennit ZPlus, innvestigate
    LRPZPlus. Differs: captum Alpha1_Beta0 and innvestigate's fast form split weights, for x >= 0 (variant="weights-only").
    """
    return compose("lrp.z_plus", (weighted, z_plus(layer_eps, bias, variant)), eps=eps, bias=bias, pool=pool, attention=attention,
                   gates=gates, source="montavon2017", variant=variant, layer_eps=layer_eps)
