"""Worked examples of DeepLIFT's conventions: heads of softmax, tiny differences, products and minima, pairs of multipliers behind them."""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.ops import Dense, Mul, PReLU, ReduceMin, ReLU, Slice, Softmax
from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.networks import interaction, power

LN2, LN3, LN4 = math.log(2), math.log(3), math.log(4)
RESCALE, REVEAL = "shrikumar2017 section 3.5.2", "shrikumar2017 section 3.5.3"
MEAN = (5 / 3 / LN3 + 10 / 3 / LN2 + 28 / 15 / LN4 + 56 / 15 / LN2) / 4
HEADS = {"x": [[LN3, 0], [LN4, 0]], "baseline": [[0, LN2], [0, LN2]]}
SCORES = "s = (3/4, 1/4) and (4/5, 1/5) against (1/3, 2/3), f = 4 s1 + 8 s2. "


def two_scores() -> Graph:
    """f = 4 s1 + 8 s2 with s the softmax of x."""
    b = Builder("two_scores")
    s = b.add(Softmax(-1), b.input("x", (None, 2)), name="softmax")
    return b.build(b.add(Dense(), s, b.param("w", [[4, 8]]), name="f"))


def smallest() -> Graph:
    """f = min(x1, x2)."""
    b = Builder("smallest")
    return b.build(b.add(ReduceMin((1,), keepdims=True), b.input("x", (None, 2)), name="f"))


def rectified_product() -> Graph:
    """f = 2 relu(x1 x2)."""
    b = Builder("rectified_product")
    x = b.input("x", (None, 2))
    first, second = (b.add(Slice(1, k, k + 1), x) for k in (0, 1))
    h = b.add(ReLU(), b.add(Mul(), first, second, name="product"), name="relu")
    return b.build(b.add(Dense(), h, b.param("w", [[2]]), name="f"))


def leaking() -> Graph:
    """f = z where z > 0 and z / 4 elsewhere, z = x1 - x2."""
    b = Builder("leaking")
    z = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[1, -1]]), name="z")
    return b.build(b.add(PReLU(), z, b.param("slope", [0.25]), name="f"))


def head(softmax: str, expected: Any, by_hand: str) -> Worked:
    """A softmax as one node."""
    return Worked("deeplift.rescale", f"softmax-{softmax}", two_scores, HEADS["x"], expected, SCORES + by_hand, RESCALE,
                  settings={"softmax": softmax, "baseline": HEADS["baseline"]})


def tiny(fallback: str, first: Any, by_hand: str) -> Worked:
    """A difference below the threshold beside one above it."""
    return Worked("deeplift.rescale", f"tiny-difference-{fallback}", power(2), [[3], [0.5]], [[first], [-0.75]],
                  f"f = x². With the threshold 1, 3 - 1 <= 1·max(1, 3) is tiny: {by_hand}, times 2. 1/2 + 1 > 1·max(1, 1/2) is not: "
                  f"1/4 - 1.", RESCALE, settings={"threshold": 1, "fallback": fallback, "baseline": [[1], [-1]]})


EXAMPLES = (
    head("rescale", [[F(5, 3), F(-10, 3)], [F(28, 15), F(-56, 15)]],
         "Entry by entry: 4·(3/4 - 1/3), 8·(1/4 - 2/3); 4·(4/5 - 1/3), 8·(1/5 - 2/3)."),
    head("gradient", [[-0.75 * LN3, -0.75 * LN2], [-0.64 * LN4, -0.64 * LN2]],
         "The derivative at x, s_i (m_i - f): 3/4·(4 - 5), 1/4·(8 - 5) and 4/5·(4 - 24/5), 1/5·(8 - 24/5), times ln 3, -ln 2 and ln 4, "
         "-ln 2."),
    head("centred", [[5 / 3 - MEAN * LN3, -10 / 3 + MEAN * LN2], [28 / 15 - MEAN * LN4, -56 / 15 + MEAN * LN2]],
         "As entry by entry, but from each multiplier, 5/(3 ln 3), 10/(3 ln 2), 28/(15 ln 4), 56/(15 ln 2), the mean of all is taken."),
    head("quotient", [[F(-2, 3), -1], [F(-2, 3), F(-6, 5)]],
         "e = (1, 1/3), S = 4/3 against (1/2, 1), 3/2. To e: m (3/4 + 2/3)/2 = (17/6, 17/3), and through S: (4·3/2 + 8·4/3)/2·(3/4 - 2/3)/"
         "(4/3 - 3/2) = -25/6, together (-4/3, 3/2), times Δe = (1/2, -2/3). Then e = (1, 1/4), S = 5/4: (44/15, 88/15) - 64/15 = (-4/3, "
         "8/5), times (1/2, -3/4)."),
    tiny("input", 12, "the derivative 6 at the input"),
    tiny("reference", 4, "the derivative 2 at the reference"),
    tiny("midpoint", 8, "the derivative 4 in the middle"),
    Worked("deeplift.rescale", "product-between-references", interaction, [[2, 3]], [[3, 3]],
           "f = 2 + 6, against 1 + 1. x1 alone: 1. The product at the middle (3/2, 2): 2·1 to x1, 3/2·2 to x2.",
           "shrikumar2017 (products: derived here)",
           settings={"baseline": [[1, 1]]}, exact=True),
    Worked("deeplift.rescale", "minimum", smallest, [[3, 1], [3, 1]], [[1, 0], [0, -1]],
           "Against (0, 2): 1 - 0, to x1, which is the least of the reference. Against (4, 2): 1 - 2, to x2, the least of both.", RESCALE,
           settings={"baseline": [[0, 2], [4, 2]]}, exact=True),
    Worked("deeplift.reveal_cancel", "product-behind-a-rectifier", rectified_product, [[2, 3], [2, -3], [2, 3]],
           [[4, 6], [F(-2, 7), F(-12, 7)], [-5, 5]],
           "Against (1, 1): 2·(6 - 1), m = 2 at the middle (3/2, 2): 2·2·1, 2·3/2·2. Then 1 falls to -6, all below: m- = 2·(-1)/(-7) = "
           "2/7 at (3/2, -1): 2/7·(-1)·1, 2/7·3/2·(-4). Against (3, 2) the product stays 6, m is the slope 2 at (5/2, 5/2): 2·5/2·(-1, "
           "1).",
           REVEAL, settings={"baseline": [[1, 1], [1, 1], [3, 2]]}, exact=True),
    Worked("deeplift.reveal_cancel", "leaking", leaking, [[3, 1]], [[F(21, 8), F(-5, 8)]],
           "Δz+ = 3, Δz- = -1. Δ+ = ½ [(3 - 0) + (2 + 1/4)] = 21/8, Δ- = ½ [(-1/4 - 0) + (2 - 3)] = -5/8.", REVEAL, exact=True),
)
