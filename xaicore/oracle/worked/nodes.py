"""Worked examples of nodes that are no layers: products, gates, attention, softmax, normalisation, bent functions."""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.networks import (
    classifier,
    gated,
    gated_constant,
    interaction,
    mixing,
    shifted_norm,
    sigmoid,
    standardised,
    weighing,
)

LN3 = math.log(3)
A_AND_V = {"a": [[[1, 3]]], "v": [[[2], [1]]]}
ARRAS, ATTNLRP, CP = "arras2019 section 3", "achtibat2024 eq. 15", "ali2022 section 4"


def gate(name: str, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """LRP-0 through a product with a gate."""
    return Worked("lrp.zero", f"gate-{name}", gated, x, expected, by_hand, ARRAS, settings=settings, exact=True)


EXAMPLES = (
    gate("signal-takes-all", [[3, 0]], [[F(3, 2), 0]], "The gate is 1/2, f = 3/2: all to the signal.", gates="signal"),
    gate("half", [[3, 0]], [[F(3, 4), F(3, 4)]], "f = 3·1/2: half each; the hard sigmoid hands its half on.", gates="half"),
    gate("proportional", [[3, 0]], [[F(9, 7), F(3, 14)]], "3 and 1/2 of 7/2: 6/7 and 1/7 of f = 3/2.", gates="proportional"),
    gate("proportional-of-a-negative-signal", [[-3, 0]], [[F(-9, 5), F(3, 10)]],
         "-3 and 1/2 of -5/2: 6/5 and -1/5 of f = -3/2.", gates="proportional"),
    gate("absolute", [[-3, 0]], [[F(-9, 7), F(-3, 14)]], "3 and 1/2 of 7/2, without signs: 6/7 and 1/7 of f = -3/2.", gates="absolute"),
    Worked("lrp.zero", "gate-of-a-constant", gated_constant, [[0]], [[F(3, 2)]],
           "f = 3·1/2; the constant 3 is a weight and takes nothing, so the gate and what is behind it get all.", ARRAS, exact=True),
    Worked("lrp.zero", "product", interaction, [[2, 3]], [[5, 3]], "f = 2 + 6: the sum hands down 2 and 6, and each factor gets half of 6.",
           ATTNLRP, exact=True),
    Worked("lrp.zero", "attention-halves", mixing, A_AND_V, {"a": [[[1, F(3, 2)]]], "v": [[[1], [F(3, 2)]]]},
           "O = 1·2 + 3·1 = 5: parts 2 and 3, half of each to the weight and half to the value.", ATTNLRP, target=(0, 0), exact=True),
    Worked("lrp.zero", "attention-constant-weights", mixing, A_AND_V, {"a": [[[0, 0]]], "v": [[[2], [3]]]},
           "The weights are taken as constants: 2 and 3 to the values.", CP, target=(0, 0), settings={"attention": "cp"}, exact=True),
    Worked("lrp.zero", "softmax", weighing, [[LN3, 0]], [[0.75 * LN3, 0]],
           "s = (3/4, 1/4), f = 3 = R_s1. Taylor: x1 (3 - 3/4·3) = 3/4 ln 3, x2 = 0.", ATTNLRP),
    Worked("lrp.zero", "softmax-constant", weighing, [[LN3, 0]], [[0, 0]], "The softmax is taken as a constant and keeps f = 3.", CP,
           settings={"attention": "cp"}),
    Worked("lrp.zero", "normalisation", standardised, [[1, 3]], [[F(-3, 2), F(9, 2)]],
           "Mean 2, deviation 1: y = (-1, 1), f = 3, R_y = (1, 2), R/y = (-1, 2). The deviation constant, the mean not: minus its mean "
           "1/2, (-3/2, 3/2), times (1, 3).", CP),
    Worked("lrp.zero", "softmax-of-two-samples", weighing, [[LN3, 0], [0, LN3]], [[0.75 * LN3, 0], [0, -0.75 * LN3]],
           "Each sample alone: 3/4 ln 3 as above; then s = (1/4, 3/4), f = 1 = R_s1: x2 (0 - 3/4·1) = -3/4 ln 3.", ATTNLRP),
    Worked("lrp.zero", "softmax-of-unlike-samples", weighing, [[LN3, 0], [LN3, 2 * LN3]], [[0.75 * LN3, 0], [0.75 * LN3, -1.5 * LN3]],
           "The first as above; then s = (3, 9)/12, f = 1 = R_s1: ln 3 (1 - 1/4·1) and 2 ln 3 (0 - 3/4·1).", ATTNLRP),
    Worked("lrp.epsilon", "attention-halves-stabilised", mixing, A_AND_V,
           {"a": [[[F(20, 21), F(10, 7)]]], "v": [[[F(20, 21)], [F(10, 7)]]]},
           "O = 5: 5 over 2·(5 + 1/4) is 10/21, times the parts 2 and 3.", ATTNLRP, target=(0, 0), settings={"eps": F(1, 4)}, exact=True),
    Worked("lrp.epsilon", "attention-constant-weights-stabilised", mixing, A_AND_V, {"a": [[[0, 0]]], "v": [[[F(40, 21)], [F(20, 7)]]]},
           "O = 5: 5 over 5 + 1/4 is 20/21, times the parts 2 and 3.", CP, target=(0, 0), settings={"eps": F(1, 4), "attention": "cp"},
           exact=True),
    Worked("lrp.zero", "normalisation-shift-absorbs", shifted_norm, [[1, 3]], [[-2, 6]],
           "Mean 2, deviation 1: y = (2·(-1) + 1, 1 + 1) = (-1, 2), f = 5, R_y = (1, 4), R/y = (-1, 2). Times the scales: (-2, 2), whose "
           "mean is 0; times (1, 3). The shifts keep 1.", CP),
    Worked("lrp.zero", "normalisation-shift-ignored", shifted_norm, [[1, 3]], [[F(-5, 2), F(15, 2)]],
           "R_y = (1, 4) over y without the shifts, (-2, 1): (-1/2, 4). Times the scales: (-1, 4), minus the mean 3/2: (-5/2, 5/2), times "
           "(1, 3). Sum 5 = f.", CP, settings={"bias": "ignore"}),
    Worked("lrp.epsilon", "normalisation-shift-ignored", shifted_norm, [[1, 3]], [[F(-368, 189), F(368, 63)]],
           "f = 5 over 5 + 1/4 is 20/21: R_y = (20/21, 80/21), over -2 - 1/4 and 1 + 1/4: (-80/189, 64/21). Times the scales 2 and 1, "
           "minus the mean 208/189: (-368/189, 368/189), times (1, 3).", CP, settings={"eps": F(1, 4), "bias": "ignore"}),
    Worked("excitation_backprop", "sum-and-product", interaction, [[2, 3]], [[F(5, 8), F(3, 8)]],
           "f = 2 + 6: 2/8 goes to x1, and 6/8 to the product, where either factor gets half.", "zhang2016 eq. 4", exact=True),
    Worked("excitation_backprop", "attention", mixing, {"a": [[[2, -3]]], "v": [[[1], [-2]]]},
           {"a": [[[0, 0]]], "v": [[[F(1, 4)], [F(3, 4)]]]},
           "The terms 2·1 and (-3)·(-2), both positive, 2 and 6 of 8; all to the values.", "zhang2016 eq. 4", target=(0, 0), exact=True),
    Worked("excitation_backprop", "attention-that-inhibits", mixing, {"a": [[[2, -3]]], "v": [[[1], [2]]]},
           {"a": [[[0, 0]]], "v": [[[1], [0]]]}, "The terms 2 and -6: the walk takes the first alone.", "zhang2016 eq. 4", target=(0, 0),
           exact=True),
    Worked("excitation_backprop", "gate", gated, [[3, 0]], [[1, 0]], "The signal is taken, never the gate.", "zhang2016 eq. 4", exact=True),
    Worked("gradient", "sigmoid", sigmoid, [[LN3]], [[F(3, 16)]], "f = 1/(1 + 1/3) = 3/4, f' = f (1 - f).", "simonyan2013 section 3"),
    Worked("gradient", "logit", classifier, [[0, LN3]], [[1, 0]], "A softmax head is left out: the logit is x1.", "simonyan2013 section 3"),
    Worked("gradient", "probability", classifier, [[0, LN3]], [[F(3, 16), F(-3, 16)]], "p = (1/4, 3/4): p1 (1 - p1) and -p1 p2.",
           "simonyan2013 section 3", settings={"output": "probability"}),
    Worked("gradient", "log-probability", classifier, [[0, LN3]], [[F(3, 4), F(-3, 4)]], "p = (1/4, 3/4): 1 - p1 and -p2.",
           "simonyan2013 section 3", settings={"output": "log_probability"}),
    Worked("deeplift.rescale", "sigmoid", sigmoid, [[LN3]], [[F(1, 4)]], "f(ln 3) - f(0) = 3/4 - 1/2, all to the one input.",
           "shrikumar2017 section 3.5.2"),
    Worked("integrated_gradients", "sigmoid", sigmoid, [[LN3]], [[F(1, 4)]], "With one input the integral is f(ln 3) - f(0) = 3/4 - 1/2.",
           "sundararajan2017 eq. 1"),
    Worked("gradient_x_input", "sigmoid", sigmoid, [[LN3]], [[0.1875 * LN3]],
    "3/16 times ln 3, about 0.206: less than f(ln 3) - f(0) = 1/4.",
           "shrikumar2017 section 3"),
    Worked("simple_taylor", "sigmoid", sigmoid, [[LN3]], [[0.25 * LN3]], "f' = 1/4 at the root 0, times ln 3.", "montavon2017 section 3.1"),
)
