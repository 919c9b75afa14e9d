"""Worked examples of nodes that are no layers: products, gates, attention, softmax, normalisation, bent functions."""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.networks import classifier, gated, interaction, mixing, sigmoid, standardised, weighing

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
