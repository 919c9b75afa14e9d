"""Worked examples of differences from a reference: DeepLIFT, DeepSHAP, GradientSHAP, Shapley values in closed form."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import Net, linear, net_a, net_b
from xaicore.oracle.worked.networks import (
    at_zero,
    convolution,
    greater,
    interaction,
    largest,
    letters,
    pair_of_maxima,
    pooled,
    rectifier,
    residual,
    saturating,
    shared_part,
    window,
)

A, B, C = [[3, 1]], [[2, 1]], [[[3, -1, 2]]]
LINEAR, RESCALE, REVEAL = "shrikumar2017 section 3.5.1", "shrikumar2017 section 3.5.2", "shrikumar2017 section 3.5.3"
SHAP = "lundberg2017 section 4.2"


def lift(rule: str, name: str, net: Net, x: Any, expected: Any, by_hand: str, source: str = RESCALE, target: Any = 0, **settings: Any
         ) -> Worked:
    """An exact example of one of DeepLIFT's rules."""
    return Worked(f"deeplift.{rule}", name, net, x, expected, by_hand, source, target=target, settings=settings, exact=True)


EXAMPLES = (
    lift("rescale", "net-a", net_a, A, [[6, -5]],
         "Against 0: Δz = (2, 5, -2), Δh = (2, 5, 0), so m = 1, 1, 0. Multipliers at x: 3·1·(1, -1) - 1·1·(1, 2) = (2, -5), times (3, 1)."),
    lift("rescale", "net-b", net_b, B, [[F(16, 3), F(-4, 3)]],
         "Reference z = (-1, 0), h = 0. Δz = (3, 1), Δh = (2, 1): m = 2/3 and 1. At x: 1·2/3·(1, 1) + 2·1·(1, -1) = (8/3, -4/3), times (2, "
         "1). Sum 4 = f - f(0)."),
    lift("rescale", "saturated", saturating, [[2]], [[1]],
         "z = -1, reference 1; h = 0, reference 1: m = (0 - 1)/(-1 - 1) = 1/2. At x: -1·1/2·(-1) = 1/2, times 2. The gradient is 0."),
    lift("rescale", "shared-part", shared_part, [[20, 10]], [[0, 10]],
         "Δz = 10, Δh = 10, m = 1: f = x1 - (x1 - x2) gives (20 - 20, 10): all to x2."),
    lift("rescale", "relu-over-a-kink", rectifier, [[2]], [[2]], "From -3 to 2: Δh/Δz = 2/5, times 5.", baseline=-3),
    lift("rescale", "no-difference-on", net_b, B, [[0, 0]], "The reference is x itself, so every contribution is 0.", baseline=[[2, 1]]),
    lift("rescale", "max-pool", window, [[[3, 1]]], [[[1, 0]]],
         "(3, 1) against (0, 2): 3 - 2 = 1. M = max(3, 2) = 3: M - 2 = 1 to the winner here, x1; 3 - M = 0 to the winner there.",
         "shrikumar2017 (maxima as in shap)", target=(0, 0), baseline=[[[0, 2]]]),
    lift("rescale", "max-pool-falling", window, [[[1, 2]]], [[[-1, 0]]],
         "(1, 2) against (3, 0): 2 - 3 = -1. M = max(2, 3) = 3: M - 3 = 0 to x2, which wins here; 2 - M = -1 to x1, which won there.",
         "shrikumar2017 (maxima as in shap)", target=(0, 0), baseline=[[[3, 0]]]),
    lift("rescale", "max-pool-tie", pooled(), [[[1, 3, 2, 2]]], [[[0, 6, 2, 0]]], "Against 0: 2·3 to x2, 1·2 to x3, the first of the tie.",
         "shrikumar2017 (maxima as in shap)"),
    lift("rescale", "residual", residual, A, [[6, 1]],
         "Against 0: Δz = (2, -5), Δh = (2, 0): m = 1, 0. At x: (1, 2) around, 1·(1, -1) through: (2, 1), times (3, 1)."),
    lift("rescale", "product-at-the-middle", interaction, [[2, 3]], [[5, 3]],
         "Δ(x1 x2) from 0: the mean 3/2 of x2 times 2, and the mean 1 of x1 times 3: (3, 3). With x1 itself: (2 + 3, 3).",
         "shrikumar2017 (products: Shapley value of two factors)"),
    lift("rescale", "greater-of-two", greater, [[3]], [[6]], "max(3, 6) - 0: all through 2 x.", "shrikumar2017 (maxima as in shap)"),
    lift("rescale", "convolution", convolution(1), C, [[[6, -5, 4]]],
         "Reference z = (1, 1), h = (1, 1). Δz = (1, 3) = Δh: m = 1. At x: 2·(1, 2) and 1·(1, 2): (2, 5, 2), times (3, -1, 2). Sum 5 = 8 - "
         "3."),
    lift("reveal_cancel", "net-a", net_a, A, [[F(7, 2), F(-5, 2)]],
         "Unit 1, Δz = 3 - 1: +3 alone 3, after -1: 2, mean 5/2; -1: alone 0, after +3: -1, mean -1/2. Unit 2, 3 + 2: 3, 2. Unit 3, 1 - "
         "3: Δh+ = 1/2, Δh- = -1/2. x1: 3·5/2 - 3 + 2·(-1/2) = 7/2; x2: 3·(-1/2) - 2 + 2·1/2 = -5/2.", REVEAL),
    lift("reveal_cancel", "net-b", net_b, B, [[F(13, 3), F(-1, 3)]],
         "Unit 1 from -1 by 2 + 1, of one sign: 2 in thirds: 4/3, 2/3. Unit 2 from 0: +2 alone 2, after -1: 1, mean 3/2; -1: alone 0, "
         "after +2: -1, mean -1/2; times 2: 3, -1. x1: 4/3 + 3; x2: 2/3 - 1.", REVEAL),
    lift("reveal_cancel", "shared-part", shared_part, [[20, 10]], [[5, 5]],
         "relu(20 - 10): +20 alone 20, after -10: 10, mean 15; -10: alone 0, after: -10, mean -5. f = x1 - relu: (20 - 15, 5).", REVEAL),
    lift("reveal_cancel", "relu-at-zero", at_zero, [[1, 1]], [[2, 0]],
         "First unit, 1 - 1: +1 alone 1, after -1: 0, mean 1/2; -1: -1/2; times 2: (1, -1). Second: (1, 1). Rescale, with Δz = 0, has (1, "
         "1).", REVEAL),
    lift("reveal_cancel", "residual", residual, A, [[F(9, 2), F(5, 2)]],
         "Unit 1, 3 - 1: Δh = (5/2, -1/2). Unit 2, 1 - 6: +1: alone 1, after -6: 0, mean 1/2 for x2; -6: alone 0, after +1: -1, mean -1/2 "
         "for x1. f = y1 + 2 y2: x1: 3 + 5/2 + 2·(-1/2); x2: 2 - 1/2 + 2·1/2.", REVEAL),
    lift("reveal_cancel", "convolution", convolution(), C, [[[4, F(-5, 2), F(7, 2)]]],
         "Unit 1, 3 - 2: +3: alone 3, after -2: 1, mean 2; -2: (0 - 2)/2 = -1; times 2: 4, -2. Unit 2, 4 - 1: +4: 4 and 3, mean 7/2; -1: "
         "-1/2. x2: -2 - 1/2.", REVEAL),
    lift("genomics", "convolution-by-rescale", convolution(), C, [[[6, -5, 4]]],
         "Behind a convolution Rescale: m = 1 for both, (2, 5, 2) times (3, -1, 2).", "shrikumar2017 (the authors' library)"),
    lift("genomics", "dense-by-reveal-cancel", net_a, A, [[F(7, 2), F(-5, 2)]],
         "Behind dense layers RevealCancel. Δh from x1: 5/2, 3, -1/2; from x2: -1/2, 2, 1/2; times (3, -1, 2).",
         "shrikumar2017 (the authors' library)"),
    Worked("deep_shap", "one-reference", net_b, B, [[F(16, 3), F(-4, 3)]], "With the reference 0 alone it is DeepLIFT: m = 2/3, 1, "
           "(8/3, -4/3) times (2, 1).", SHAP, exact=True),
    Worked("deep_shap", "mean-of-two", net_b, B, [[F(8, 3), F(-2, 3)]],
           "References (0, 0) and x itself: DeepLIFT gives (16/3, -4/3) and (0, 0), mean (8/3, -2/3).", SHAP,
           settings={"background": [[0, 0], [2, 1]]}, exact=True),
    Worked("deep_shap", "mean-of-two-reveal-cancel", net_b, B, [[F(13, 6), F(-1, 6)]],
           "References (0, 0) and x itself: RevealCancel gives (13/3, -1/3) and (0, 0).", SHAP,
           settings={"background": [[0, 0], [2, 1]], "variant": "reveal_cancel"}, exact=True),
    Worked("deep_shap", "affine", linear(2, -3), [[4, 1]], [[6, -6]],
           "The mean reference is (1, -1): 2·(4 - 1), -3·(1 + 1). For affine f it is the Shapley value.", SHAP,
           settings={"background": [[0, 0], [2, -2]]}, exact=True),
    Worked("deep_shap.hypothetical", "letters", letters, [[[1, 0], [0, 1]]], [[[-1, 2], [1, -2]]],
           "Place 1: weights 1 and 3, reference half and half: 1 - 2, 3 - 2. Place 2: weights 2 and -2, mean 0: 2, -2.",
           "shrikumar2017 (hypothetical contributions of the authors' library)", settings={"background": [[[1, 1], [0, 0]], [[0, 0], [1,
           1]]]},
           exact=True),
    Worked("deep_shap.hypothetical", "one-letter-as-reference", letters, [[[1, 0], [0, 1]]], [[[0, 0], [2, -4]]],
           "The reference is the first letter at both places: weights minus the first row: (0, 0), (3 - 1, -2 - 2).",
           "shrikumar2017 (hypothetical contributions of the authors' library)", settings={"background": [[[1, 1], [0, 0]]]}, exact=True),
    Worked("gradient_shap", "affine", linear(2, -3), [[4, 1]], [[8, -3]],
           "The gradient is (2, -3) wherever it is drawn, and the reference 0: 2·4, -3·1.", "erion2021 eq. 3", settings={"samples": 3},
           exact=True),
    Worked("gradient_shap", "another-reference", linear(2, -3), [[4, 1]], [[6, 0]], "2·(4 - 1), -3·(1 - 1), whatever is drawn.",
           "erion2021 eq. 3", settings={"samples": 3, "baseline": [[1, 1]]}, exact=True),
    Worked("gradient_shap", "homogeneous", net_a, A, [[6, -5]],
           "On the line from 0 every point is α (3, 1), where the same units are on: the gradient is always (2, -5), times (3, 1).",
           "erion2021 eq. 3", settings={"samples": 4, "seed": 3}),
    Worked("linear_shap", "baseline-zero", linear(2, -3, bias=5), [[4, 1]], [[8, -3]], "w (x - 0): 2·4, -3·1; the bias is in both.",
           "lundberg2017 corollary 1", exact=True),
    Worked("linear_shap", "mean-of-a-background", linear(2, -3, bias=5), [[4, 1]], [[6, -6]],
           "The background's mean is (1, -1): 2·(4 - 1), -3·(1 + 1).", "lundberg2017 corollary 1", settings={"background": [[0, 0], [2,
           -2]]},
           exact=True),
    Worked("max_shap", "paper", largest, [[5, 4, 0]], [[3, 2, 0]],
           "Against 0, 0, 0. The height from 4 to 5 belongs to player 1, that from 0 to 4 to players 1 and 2: 1 + 2, 2.",
           "lundberg2017 section 4.2", exact=True),
    Worked("max_shap", "tie", largest, [[2, 2, 2]], [[F(2, 3)] * 3], "The height from 0 to 2 belongs to all three.",
           "lundberg2017 section 4.2", exact=True),
    Worked("max_shap", "crossing", largest, [[3, 0, 0]], [[F(5, 2), F(-1, 2), 0]],
           "Against (0, 1, 0). From 1 to 3: only player 1 reaches it, 2. From 0 to 1: player 1 when in, player 2 when out; nothing is at "
           "stake unless 1 is out and 2 in: v = 0 then, 1 else. Player 1: 1/2, player 2: -1/2.", "lundberg2017 section 4.2 (any baseline: "
           "derived)", settings={"baseline": [[0, 1, 0]]}, exact=True),
    Worked("max_shap", "two-against-one", largest, [[2, 3, 0]], [[F(2, 3), F(5, 3), F(-1, 3)]],
           "Against (0, 0, 1). The height from 0 to 1 is missed only with 3 in and neither 1 nor 2: 3 loses it when it comes first, 1/3; 1 "
           "brings it back in the order 3, 1, 2 and 2 in 3, 2, 1: 1/6 each. From 1 to 2: 1/2 each. From 2 to 3: player 2.",
           "lundberg2017 section 4.2 (any baseline: derived)", settings={"baseline": [[0, 0, 1]]}, exact=True),
    Worked("max_shap", "two-windows", pair_of_maxima, [[[2, 1, 4]]], [[[F(9, 2), 1, F(-7, 2)]]],
           "3 max(2, 1): from 1 to 2 player 1, from 0 to 1 both: 3·(3/2, 1/2). -max(1, 4): from 1 to 4 player 3, below both: -(1/2, 7/2). "
           "x2: 3/2 - 1/2.", "lundberg2017 section 4.2", exact=True),
)
