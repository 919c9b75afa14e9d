"""What a rule and a rule set do when nobody says otherwise: the defaults that the documents promise, written down once more by hand."""

from __future__ import annotations

import inspect

import pytest

import xaicore as xc
from xaicore.rules import attention, composites, deeplift, dialect, lrp, patterns, taylor, uniform

SETS = {"bias": "absorb", "pool": "winner", "attention": "attnlrp", "gates": "signal"}
MILLIONTH = {"eps": 1e-6, **SETS}
LAYERS = {**MILLIONTH, "layer_eps": 0}
LIFT = {"threshold": 1e-10, "fallback": "input"}

DEFAULTS = {
    lrp.epsilon: {"eps": 1e-6, "bias": "absorb", "stabilizer": "sign"},
    lrp.gamma: {"gamma": 0.25, "eps": 0, "bias": "absorb", "variant": "generalized"},
    lrp.alpha_beta: {"alpha": 2, "eps": 0, "bias": "absorb", "variant": "contributions"},
    lrp.z_plus: {"eps": 0, "bias": "absorb", "variant": "contributions"},
    lrp.w_square: {"variant": "weights", "eps": 0},
    lrp.flat: {"eps": 0},
    lrp.z_box: {"eps": 0},
    lrp.share_bias: {"eps": 0},
    uniform.compose: {**MILLIONTH, "source": "bach2015", "stabilizer": "sign"},
    uniform.lrp_zero: SETS,
    uniform.lrp_epsilon: {**MILLIONTH, "stabilizer": "sign"},
    uniform.lrp_gamma: {**LAYERS, "gamma": 0.25, "variant": "generalized"},
    uniform.lrp_alpha_beta: {**LAYERS, "alpha": 2, "variant": "contributions"},
    uniform.lrp_z_plus: {**LAYERS, "variant": "contributions"},
    attention.bilinear_rows: {"bias": "absorb"},
    attention.detached_normalisation: {"bias": "absorb"},
    composites.lrp_z_box: {**LAYERS, "low": None, "high": None, "hidden": "epsilon"},
    composites.lrp_w_square: {**LAYERS, "hidden": "epsilon", "variant": "weights"},
    composites.lrp_flat: {**LAYERS, "hidden": "epsilon"},
    composites.lrp_epsilon_plus: LAYERS,
    composites.lrp_epsilon_plus_flat: LAYERS,
    composites.lrp_epsilon_gamma_box: {**LAYERS, "low": None, "high": None, "gamma": 0.25},
    composites.lrp_epsilon_alpha2_beta1: LAYERS,
    composites.lrp_epsilon_alpha2_beta1_flat: LAYERS,
    composites.lrp_best_practice: {**LAYERS, "alpha": 1, "flat_input": True, "eps": 0.1},
    deeplift.rescale: LIFT,
    deeplift.deeplift_rescale: {**LIFT, "pool": "cross_max", "softmax": "decomposed"},
    deeplift.deeplift_reveal_cancel: LIFT,
    deeplift.deeplift_genomics: LIFT,
    dialect.in_dialect: {"sums": "share", "averages": "share", "batchnorm": "fold"},
    patterns.fit_patterns: {"estimator": "relu"},
    taylor.deep_taylor: {"input": "w_square", "low": None, "high": None, "eps": 1e-6, "pool": "winner"},
}


def defaults(function) -> dict:
    return {k: p.default for k, p in inspect.signature(function).parameters.items() if p.default is not p.empty}


@pytest.mark.parametrize("function", DEFAULTS, ids=lambda f: f.__name__)
def test_defaults(function):
    assert defaults(function) == DEFAULTS[function]


@pytest.mark.parametrize("function", [f for f in DEFAULTS if f.__name__.replace("_", ".", 1) in xc.METHODS], ids=lambda f: f.__name__)
def test_a_method_has_the_defaults_of_its_rule_set(function):
    shown = xc.METHODS[function.__name__.replace("_", ".", 1)].settings
    assert {k: shown[k] for k in DEFAULTS[function]} == DEFAULTS[function]
