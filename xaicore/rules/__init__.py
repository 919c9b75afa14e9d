"""Rule sets: how a signal passes each kind of operator. ``RULE_SETS`` maps an id to the function that builds the table."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from xaicore.rules.composites import (
    lrp_best_practice,
    lrp_epsilon_alpha2_beta1,
    lrp_epsilon_alpha2_beta1_flat,
    lrp_epsilon_gamma_box,
    lrp_epsilon_plus,
    lrp_epsilon_plus_flat,
    lrp_flat,
    lrp_w_square,
    lrp_z_box,
)
from xaicore.rules.deeplift import deeplift_genomics, deeplift_rescale, deeplift_reveal_cancel
from xaicore.rules.excitation import excitation_backprop, winning_probability
from xaicore.rules.gradient import gradient, vjp
from xaicore.rules.guided import deconvnet, guided_backprop, positive_gradient, rectified_signal
from xaicore.rules.lrp import (
    alpha_beta,
    epsilon,
    flat,
    gamma,
    identity,
    proportional_pool,
    route,
    w_square,
    winner_takes_all,
    z_box,
    z_plus,
)
from xaicore.rules.ruleset import Pair, Plan, Rule, RuleSet
from xaicore.rules.select import affine, anything, bilinear, elementwise, first, last, named, op, routes, weighted
from xaicore.rules.taylor import deep_taylor
from xaicore.rules.uniform import lrp_alpha_beta, lrp_epsilon, lrp_gamma, lrp_z_plus, lrp_zero

RULE_SETS: Mapping[str, Callable[..., RuleSet]] = MappingProxyType({
    "gradient": gradient,
    "deconvnet": deconvnet,
    "guided_backprop": guided_backprop,
    "lrp.zero": lrp_zero,
    "lrp.epsilon": lrp_epsilon,
    "lrp.gamma": lrp_gamma,
    "lrp.alpha_beta": lrp_alpha_beta,
    "lrp.z_plus": lrp_z_plus,
    "lrp.z_box": lrp_z_box,
    "lrp.w_square": lrp_w_square,
    "lrp.flat": lrp_flat,
    "lrp.epsilon_plus": lrp_epsilon_plus,
    "lrp.epsilon_plus_flat": lrp_epsilon_plus_flat,
    "lrp.epsilon_gamma_box": lrp_epsilon_gamma_box,
    "lrp.epsilon_alpha2_beta1": lrp_epsilon_alpha2_beta1,
    "lrp.epsilon_alpha2_beta1_flat": lrp_epsilon_alpha2_beta1_flat,
    "lrp.best_practice": lrp_best_practice,
    "deep_taylor": deep_taylor,
    "excitation_backprop": excitation_backprop,
    "deeplift.rescale": deeplift_rescale,
    "deeplift.reveal_cancel": deeplift_reveal_cancel,
    "deeplift.genomics": deeplift_genomics,
})
"""Id -> function that makes the rule set from its settings. ``xaicore rules ID`` prints one as a table."""

__all__ = [
    "RULE_SETS",
    "Pair",
    "Plan",
    "Rule",
    "RuleSet",
    "affine",
    "alpha_beta",
    "anything",
    "bilinear",
    "elementwise",
    "epsilon",
    "first",
    "flat",
    "gamma",
    "identity",
    "last",
    "named",
    "op",
    "positive_gradient",
    "proportional_pool",
    "rectified_signal",
    "route",
    "routes",
    "vjp",
    "w_square",
    "weighted",
    "winner_takes_all",
    "winning_probability",
    "z_box",
    "z_plus",
]
