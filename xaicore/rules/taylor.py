"""Deep Taylor decomposition: a root point for each neuron's Taylor expansion, which gives z+, w² or z-box by its domain."""

from __future__ import annotations

from typing import Any

from xaicore.errors import InputError
from xaicore.rules.linear import Number
from xaicore.rules.lrp import flat, w_square, z_box, z_plus
from xaicore.rules.ruleset import Rule, RuleSet
from xaicore.rules.select import first, weighted
from xaicore.rules.uniform import compose


def deep_taylor(input: str = "w_square", low: Any = None, high: Any = None, eps: Number = 1e-6, pool: str = "winner") -> RuleSet:
    """z+ without bias in hidden layers (activations >= 0), and at the first layer what the input's domain asks for.

    input: "w_square" for unbounded inputs, "z_box" for low <= x <= high (pixels), "z_plus" for x >= 0, "flat".
    The relevance of each entry, in the shape of the inputs, with the ledger. Raises InputError for z_box without a range, Inapplicable
    where a probability is explained, UncoveredNode for an operator without a row. The theory assumes ReLU layers with biases b <= 0 and
    an explained value > 0. Source: montavon2017 (w²: eq. 12). Same as: innvestigate DeepTaylor and BoundedDeepTaylor on networks without
    skips.
    """
    if input == "z_box" and (low is None or high is None):
        raise InputError("deep_taylor(input='z_box') needs the input's range: low=..., high=... (0 and 1 for pixels in [0, 1])")
    rules: dict[str, Rule] = {"w_square": w_square(), "z_plus": z_plus(0, "ignore"), "flat": flat()}
    if input == "z_box":
        rules["z_box"] = z_box(low, high)
    if input not in rules:
        raise InputError(f"input={input!r} is no domain of deep Taylor decomposition; there are 'w_square', 'z_box', 'z_plus', 'flat'")
    return compose("deep_taylor", (first(weighted), rules[input]), (weighted, z_plus(0, "ignore")), eps=eps, bias="ignore", pool=pool,
                   source="montavon2017", input=input)
