"""LRP rule sets that mix rules: one at the input, one for convolutions, one for dense layers.

The rules themselves stand in lrp.py, what all rule sets share in uniform.py.
"""

from __future__ import annotations

from typing import Any

from xaicore.errors import InputError
from xaicore.ops import Conv, ConvTranspose
from xaicore.rules.linear import Number
from xaicore.rules.lrp import Bias, alpha_beta, epsilon, flat, w_square, z_box, z_plus
from xaicore.rules.lrp import gamma as gamma_rule
from xaicore.rules.ruleset import Row, Rule, RuleSet
from xaicore.rules.select import first, op, weighted
from xaicore.rules.uniform import compose

CONVOLUTIONS = op(Conv, ConvTranspose)


def hidden_rule(hidden: str, eps: Number, bias: Bias, variant: str, layer_eps: Number) -> Rule:
    """The rule of the layers above the first, by name; "w_square" and "flat" there make it the rule of every layer (zennit's rules)."""
    rules = {"zero": lambda: epsilon(0, bias), "epsilon": lambda: epsilon(eps, bias), "z_plus": lambda: z_plus(layer_eps, bias),
             "gamma": lambda: gamma_rule(0.25, layer_eps, bias), "w_square": lambda: w_square(variant, layer_eps),
             "flat": lambda: flat(layer_eps)}
    if hidden not in rules:
        raise InputError(f"hidden={hidden!r} is not a rule for the layers above the first; there are " + ", ".join(map(repr, rules)))
    return rules[hidden]()


def first_then(
    name: str, rule: Rule, hidden: str, eps: Number, bias: Bias, pool: str, attention: str, gates: str, layer_eps: Number, **settings: Any,
) -> RuleSet:
    """``rule`` at the first layer, the rule called ``hidden`` above."""
    above = hidden_rule(hidden, eps, bias, settings.get("variant", "weights"), layer_eps)
    return compose(name, (first(weighted), rule), (weighted, above), eps=eps, bias=bias, pool=pool,
                   attention=attention, gates=gates, source=rule.source, hidden=hidden, layer_eps=layer_eps, **settings)


def composite(
    name: str, conv: Rule, input_rule: Rule | None, eps: Number, bias: Bias, pool: str, attention: str, gates: str,
    source: str = "kohlbrenner2020", **settings: Any,
) -> RuleSet:
    """``conv`` on convolutions and ε on dense layers, with ``input_rule`` at the first layer when there is one."""
    rows: list[Row] = [] if input_rule is None else [(first(weighted), input_rule)]
    rows += [(CONVOLUTIONS, conv), (weighted, epsilon(eps, bias))]
    return compose(name, *rows, eps=eps, bias=bias, pool=pool, attention=attention, gates=gates, source=source, **settings)


def box(low: Any, high: Any, who: str, eps: Number) -> Rule:
    """The z-box rule, once its bounds are known."""
    if low is None or high is None:
        raise InputError(f"{who} needs the range of the input: low=..., high=... (numbers, or one for each channel of shape (C, 1, 1))")
    return z_box(low, high, eps)


def lrp_z_box(low: Any = None, high: Any = None, hidden: str = "epsilon", eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner",
              attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """z-box at the first layer: R_i = Σ_j (x_i w_ij - low w_ij⁺ - high w_ij⁻) R_j / Σ_i (the same); ``hidden`` above.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. ``hidden`` is
    "epsilon", "zero", "z_plus", "gamma", "w_square" or "flat"; low <= x <= high are numbers, or one for each channel (C, 1, 1);
    default: what the graph records of its input. Raises Inapplicable where a probability is explained, UncoveredNode for an operator
    without a row. InputError where nobody says the range, ShapeError for one that does not fit. Source: montavon2017. Same as: zennit
    ZBox, innvestigate BoundedDeepTaylor's first layer. Differs: innvestigate assumes -1 and 1.
    """
    return first_then("lrp.z_box", box(low, high, "lrp.z_box", layer_eps), hidden, eps, bias, pool, attention, gates,
                      layer_eps=layer_eps)


def lrp_w_square(hidden: str = "epsilon", eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner",
                 attention: str = "attnlrp", gates: str = "signal", variant: str = "weights",
                 layer_eps: Number = 0) -> RuleSet:
    """w² at the first layer: R_i = Σ_j w_ij² R_j / Σ_i w_ij², whatever x is; ``hidden`` above.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. variant="with-bias"
    adds b² to the denominator. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source:
    montavon2017 eq. 12. Same as: innvestigate WSquare, lrp_toolbox "ww". Differs: zennit WSquare has variant="with-bias".
    """
    return first_then("lrp.w_square", w_square(variant, layer_eps), hidden, eps, bias, pool, attention, gates,
                      variant=variant, layer_eps=layer_eps)


def lrp_flat(hidden: str = "epsilon", eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner",
             attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """Equal shares at the first layer: every input that a neuron reads gets the same; ``hidden`` above.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. Padding is no input.
    Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source: lapuschkin2017. Same as:
    zennit Flat, innvestigate Flat. Differs: lrp_toolbox has no padding.
    """
    return first_then("lrp.flat", flat(layer_eps), hidden, eps, bias, pool, attention, gates, layer_eps=layer_eps)


def lrp_epsilon_plus(eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner", attention: str = "attnlrp",
                     gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """z+ on convolutions, ε on dense layers.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. eps is that of the
    dense layers. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source:
    kohlbrenner2020. Same as: zennit EpsilonPlus, with BatchNorm merged first, as here.
    """
    return composite("lrp.epsilon_plus", z_plus(layer_eps, bias), None, eps, bias, pool, attention, gates, layer_eps=layer_eps)


def lrp_epsilon_plus_flat(eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner",
                          attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """Equal shares at the first layer, z+ on convolutions, ε on dense layers.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. eps is that of the
    dense layers. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source:
    kohlbrenner2020. Same as: zennit EpsilonPlusFlat, with BatchNorm merged first, as here.
    """
    return composite("lrp.epsilon_plus_flat", z_plus(layer_eps, bias), flat(layer_eps), eps, bias, pool, attention, gates,
                     layer_eps=layer_eps)


def lrp_epsilon_gamma_box(low: Any = None, high: Any = None, gamma: Number = 0.25, eps: Number = 1e-6, bias: Bias = "absorb",
                          pool: str = "winner", attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """z-box at the first layer, γ on convolutions, ε on dense layers.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. low and high as for
    lrp.z_box. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. InputError where nobody
    says the range. Source: montavon2019. Same as: zennit EpsilonGammaBox, with BatchNorm merged first, as here.
    """
    at_input = box(low, high, "lrp.epsilon_gamma_box", layer_eps)
    return composite("lrp.epsilon_gamma_box", gamma_rule(gamma, layer_eps, bias), at_input, eps, bias, pool, attention, gates,
                     "montavon2019", gamma=gamma, layer_eps=layer_eps)


def lrp_epsilon_alpha2_beta1(eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner",
                             attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """α2β1 on convolutions, ε on dense layers.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. eps is that of the
    dense layers. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source:
    kohlbrenner2020. Same as: zennit EpsilonAlpha2Beta1, with BatchNorm merged first, as here.
    """
    return composite("lrp.epsilon_alpha2_beta1", alpha_beta(2, layer_eps, bias), None, eps, bias, pool, attention, gates,
                     layer_eps=layer_eps)


def lrp_epsilon_alpha2_beta1_flat(eps: Number = 1e-6, bias: Bias = "absorb", pool: str = "winner",
                                  attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """Equal shares at the first layer, α2β1 on convolutions, ε on dense layers.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. eps is that of the
    dense layers. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row. Source:
    kohlbrenner2020. Same as: zennit EpsilonAlpha2Beta1Flat, with BatchNorm merged first, as here.
    """
    return composite("lrp.epsilon_alpha2_beta1_flat", alpha_beta(2, layer_eps, bias), flat(layer_eps), eps, bias, pool, attention, gates,
                     layer_eps=layer_eps)


def lrp_best_practice(alpha: Number = 1, flat_input: bool = True, eps: Number = 0.1, bias: Bias = "absorb", pool: str = "winner",
                      attention: str = "attnlrp", gates: str = "signal", layer_eps: Number = 0) -> RuleSet:
    """The composite LRP_CMP: ε on dense layers, αβ (α = 1 or 2) on convolutions, equal shares at the lowest one.

    The relevance of each entry, in the shape of the inputs, with the ledger; settings as ``compose`` says. flat_input=False
    leaves the lowest one to αβ. Raises Inapplicable where a probability is explained, UncoveredNode for an operator without a row.
    Source: kohlbrenner2020. Same as: innvestigate LRPSequentialPresetAFlat (α = 1) and BFlat (α = 2), whose eps of 0.1 is the default (the
    paper's value was not at hand).
    """
    at_input = flat(layer_eps) if flat_input else None
    return composite("lrp.best_practice", alpha_beta(alpha, layer_eps, bias), at_input, eps, bias, pool, attention,
                     gates, alpha=alpha, flat_input=flat_input, layer_eps=layer_eps)
