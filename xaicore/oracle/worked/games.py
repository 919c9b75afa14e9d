"""Worked examples of games between features: Shapley and Owen values, interactions, KernelSHAP, LIME."""

from __future__ import annotations

from fractions import Fraction as F
from math import exp, log, sqrt

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import gloves, linear, net_a, net_b, product

GLOVES = [[1, 1, 1]]
WORTHS_A = "NET A at (3, 1): v() = 0, v(1) = f(3, 0) = 6, v(2) = f(0, 1) = 0, v(1, 2) = 1."
WORTHS_B = "NET B at (2, 1): v() = 0, v(1) = f(2, 0) = 5, v(2) = f(0, 1) = 0, v(1, 2) = 4."
WORTHS_G = "v = 1 for {1,2}, {1,3} and {1,2,3}, else 0."
HALF = 1 / sqrt(log(2))
"""The width at which exp(-1 / width²) = 1/2."""

NARROW = (1 - sqrt(1 / 2)) / sqrt(log(2))
"""The width at which the kernel is 1/2 at the cosine distance of one of two features, 1 - 1/√2."""
NOBODY = exp(-1 / NARROW**2)
RISE = (5 - 12 / (2 + NOBODY)) / (5 - 9 / (2 + NOBODY))
"""The slope of NET A's values 0, 3, 1 at 0, 1, 2 features, with the weights NOBODY, 1, 1: the two coalitions of one have 1/2 each."""

EXAMPLES = (
    Worked("shapley.exact", "net-a", net_a, [[3, 1]], [[F(7, 2), F(-5, 2)]],
           WORTHS_A + " Feature 1 adds 6 when it comes first and 1 - 0 when second: (6 + 1)/2. Feature 2 adds 0 first and 1 - 6 second: "
           "-5/2.", "shapley1953 the mean over all orders", exact=True),
    Worked("shapley.exact", "net-b", net_b, [[2, 1]], [[F(9, 2), F(-1, 2)]], WORTHS_B + " (5 + 4)/2 and (0 + 4 - 5)/2.",
           "shapley1953 the mean over all orders", exact=True),
    Worked("shapley.exact", "another-baseline", net_b, [[2, 1]], [[3, 0]],
           "Absent features are 1, not 0: v() = f(1, 1) = 1, v(1) = f(2, 1) = 4, and feature 2 is 1 with or without: (4 - 1, 0), where "
           "the baseline 0 gives (9/2, -1/2).", "sundararajan2020", settings={"baseline": 1}, exact=True),
    Worked("shapley.exact", "gloves", gloves, GLOVES, [[F(2, 3), F(1, 6), F(1, 6)]],
           WORTHS_G + " In 4 of the 6 orders the left glove comes after a right one and brings the 1; in the orders 1,2,3 and 1,3,2 the "
           "right one that comes second does.", "shapley1953 the mean over all orders", exact=True),
    Worked("shapley.exact", "background-of-two", product, [[2, 3]], [[8, 2]],
           "f = x1 x2 + x1² at (2, 3), the mean over the backgrounds (0, 0) and (0, 2): v() = 0, v(1) = (f(2, 0) + f(2, 2))/2 = (4 + "
           "8)/2, v(2) = 0, v(1, 2) = 10. φ = (6 + 10)/2, (0 + 10 - 6)/2.", "lundberg2017 the mean over a background",
           settings={"background": [[0, 0], [0, 2]]}, exact=True),
    Worked("shapley.exact", "groups", net_b, [[2, 1]], [[2, 2]],
           "Both features are one player, who is worth f(2, 1) - f(0, 0) = 4; its two entries share it.",
           "shapley1953 the mean over all orders", settings={"mask": [0, 0]}, exact=True),

    Worked("shapley.sampling", "net-a-one-pair", net_a, [[3, 1]], [[F(7, 2), F(-5, 2)]],
           WORTHS_A + " Whatever the order drawn, it and its reverse are both orders that there are: (6 + 1)/2 and (0 - 5)/2.",
           "castro2009", settings={"samples": 1}, exact=True),
    Worked("shapley.sampling", "net-b-one-pair", net_b, [[2, 1]], [[F(9, 2), F(-1, 2)]],
           WORTHS_B + " One order and its reverse: (5 + 4)/2 and (0 - 1)/2.", "mitchell2022", settings={"samples": 1}, exact=True),
    Worked("shapley.sampling", "linear-any-order", linear(2, -1, 4), [[3, 5, 1]], [[6, -5, 4]],
           "f = 2 x1 - x2 + 4 x3: a feature adds w x in whatever order, 2·3, -5, 4·1.", "castro2009",
           settings={"samples": 3, "antithetic": False}, exact=True),

    Worked("shapley.owen", "gloves-in-one-group", gloves, GLOVES, [[F(2, 3), F(1, 6), F(1, 6)]],
           WORTHS_G + " One group of all three: the Shapley value. The left glove comes after a right one in 4 of 6 orders.", "owen1977",
           settings={"hierarchy": "flat"}, exact=True),
    Worked("shapley.owen", "a-pair-and-a-single", gloves, GLOVES, [[F(3, 4), F(1, 4), 0]],
           WORTHS_G + " Gloves 1 and 2 keep together. Orders 1,2,3 (the 1 goes to 2), 2,1,3 (to 1), 3,1,2 (to 1), 3,2,1 (to 1): 3/4, "
           "1/4, 0.", "owen1977", settings={"hierarchy": ((0, 1), 2)}, exact=True),
    Worked("shapley.owen", "left-against-right", gloves, GLOVES, [[F(1, 2), F(1, 4), F(1, 4)]],
           WORTHS_G + " The two right gloves keep together. Orders 1,2,3 (to 2), 1,3,2 (to 3), 2,3,1 and 3,2,1 (to 1): 1/2, 1/4, 1/4.",
           "owen1977", settings={"hierarchy": (0, (1, 2))}, exact=True),

    Worked("shapley.owen", "halves", gloves, GLOVES, [[F(1, 2), F(1, 4), F(1, 4)]],
           WORTHS_G + " A row of three is halved into 1 and (2, 3), as above: 1/2, 1/4, 1/4.", "winter1989", exact=True),

    Worked("shapley.interaction", "net-a", net_a, [[3, 1]], [[6, -5]],
           WORTHS_A + " I_12 = 1 - 6 - 0 + 0 = -5; φ_1 = 7/2, of which the player's own part is 7/2 + 5/2 = 6.",
           "grabisch1999 the index; lundberg2020 the diagonal", settings={"partner": 0}, exact=True),
    Worked("shapley.interaction", "net-b", net_b, [[2, 1]], [[5, -1]],
           WORTHS_B + " I_12 = 4 - 5 - 0 + 0 = -1; φ_1 - I_12/2 = 9/2 + 1/2 = 5.", "grabisch1999 the index; lundberg2020 the diagonal",
           settings={"partner": 0}, exact=True),
    Worked("shapley.interaction", "gloves-with-the-left", gloves, GLOVES, [[F(1, 6), F(1, 2), F(1, 2)]],
           WORTHS_G + " Weights 0! 1!/2! = 1/2 for no third glove and for the third one. I_12: (1 - 0 - 0 + 0)/2 + (1 - 1 - 0 + 0)/2 = "
           "1/2, and so I_13. Its own: 2/3 - (1/2 + 1/2)/2 = 1/6.", "grabisch1999 the index; lundberg2020 the diagonal",
           settings={"partner": 0}, exact=True),
    Worked("shapley.interaction", "gloves-two-right-ones", gloves, GLOVES, [[F(1, 2), F(1, 6), F(-1, 2)]],
           WORTHS_G + " The right gloves stand in for each other: I_23 = (0 - 0 - 0 + 0)/2 + (1 - 1 - 1 + 0)/2 = -1/2. Its own: 1/6 - "
           "(1/2 - 1/2)/2 = 1/6.", "grabisch1999 the index; lundberg2020 the diagonal", settings={"partner": 1}, exact=True),
    Worked("shapley.interaction", "gloves-halves", gloves, GLOVES, [[F(1, 6), F(1, 4), F(1, 4)]],
           WORTHS_G + " Half of I_12 = I_13 = 1/2 stands on either side of the diagonal, so that row 1 adds up to φ_1 = 1/6 + 1/4 + 1/4 "
           "= 2/3.", "lundberg2020 SHAP interaction values", settings={"partner": 0, "variant": "shap"}, exact=True),
    Worked("shapley.interaction", "product-main-effects", product, [[2, 3]], [[4, 0]],
           "f = x1 x2 + x1² at (2, 3): v(1) = 4, v(2) = 0, v(1, 2) = 10, I_12 = 6. The diagonal: φ_1 - 3 = (4 + 10)/2 - 3 = 4, φ_2 - 3 = "
           "(0 + 6)/2 - 3 = 0.", "grabisch1999 the index; lundberg2020 the diagonal", exact=True),

    Worked("kernel_shap", "net-a", net_a, [[3, 1]], [[F(7, 2), F(-5, 2)]],
           WORTHS_A + " The coalitions {1} and {2} have the weight (2 - 1)/(2·1·1) = 1/2. With φ_2 = 1 - φ_1: (6 - φ_1)² + (0 - 1 + "
           "φ_1)² is least at φ_1 = 7/2.", "lundberg2017 theorem 2", exact=True),
    Worked("kernel_shap", "net-b", net_b, [[2, 1]], [[F(9, 2), F(-1, 2)]],
           WORTHS_B + " With φ_2 = 4 - φ_1: (5 - φ_1)² + (0 - 4 + φ_1)² is least at φ_1 = 9/2.", "lundberg2017 theorem 2", exact=True),
    Worked("kernel_shap", "gloves", gloves, GLOVES, [[F(2, 3), F(1, 6), F(1, 6)]],
           WORTHS_G + " All six coalitions have the weight 2/(3·1·2) = 1/3. By symmetry φ_2 = φ_3 = p, φ_1 = 1 - 2p: (1 - 2p)² + 2 p² + "
           "2 p² + (2p)² (of {1}; {2}, {3}; {1,2}, {1,3} that miss 1 by p; {2,3}) has the slope 24 p - 4, so p = 1/6.",
           "lundberg2017 theorem 2", exact=True),
    Worked("kernel_shap", "gloves-without-the-ends", gloves, GLOVES, [[1, F(1, 2), F(1, 2)]],
           WORTHS_G + " Without the condition on the sum, but with an intercept: z less its mean 1/2 has the products 3/2 with itself "
           "and -1/2 with the others, and 1, 0, 0 with v. φ = (I + J)/2 (1, 0, 0) = (1, 1/2, 1/2), whose sum is 2, not 1.",
           "lundberg2017 as xplique has it", settings={"endpoints": "none"}, exact=True),

    Worked("lime", "net-a", net_a, [[3, 1]], [[F(7, 2), F(-5, 2)]],
           WORTHS_A + " All four coalitions, equal weights: a slope is the mean of what the feature adds, (6 + 1)/2 and (0 - 5)/2.",
           "ribeiro2016 eq. 2", settings={"draw": "all", "kernel": "uniform"}, exact=True),
    Worked("lime", "net-b", net_b, [[2, 1]], [[F(9, 2), F(-1, 2)]],
           WORTHS_B + " The mean of what a feature adds: (5 + 4)/2 and (0 - 1)/2.", "ribeiro2016 eq. 2",
           settings={"draw": "all", "kernel": "uniform"}, exact=True),
    Worked("lime", "gloves", gloves, GLOVES, [[F(3, 4), F(1, 4), F(1, 4)]],
           WORTHS_G + " All eight coalitions with equal weights give the Banzhaf value: glove 1 adds 1 to three of the four sets of the "
           "others, glove 2 adds 1 to one of four ({1}).", "ribeiro2016 eq. 2", settings={"draw": "all", "kernel": "uniform"}, exact=True),
    Worked("lime", "ridge", net_b, [[2, 1]], [[F(9, 4), F(-1, 4)]],
           WORTHS_B + " Columns less their mean have the square 4·1/4 = 1 and the product 0, so a ridge of 1 halves both: 9/2 · 1/(1 + "
           "1), -1/2 · 1/2.", "ribeiro2016 eq. 2, the ridge of its library", settings={"draw": "all", "kernel": "uniform", "ridge": 1},
           exact=True),
    Worked("lime", "lasso", net_b, [[2, 1]], [[4, 0]],
           WORTHS_B + " A mean square of 1/4 a column: the lasso with 1/8 takes 4·1/8 = 1/2 from each slope, (9/2 - 1/2, 0).",
           "ribeiro2016 eq. 2, the lasso of captum", settings={"draw": "all", "kernel": "uniform", "lasso": 0.125}),
    Worked("lime", "one-feature", net_a, [[3, 1]], [[F(7, 2), 0]],
           WORTHS_A + " Slopes 7/2 and -5/2 of orthogonal columns: K-Lasso with K = 1 keeps the larger, and the fit to it alone is the "
           "same.", "ribeiro2016 algorithm 1", settings={"draw": "all", "kernel": "uniform", "features": 1}),
    Worked("lime", "kernel-of-the-paper", net_a, [[3, 1]], [[F(8, 3), F(-10, 3)]],
           WORTHS_A + " Distances 0, 1, 1, √2 from all; with exp(-D²/width²) and exp(-1/width²) = 1/2 the weights are 1, 1/2, 1/2, 1/4: "
           "a feature is there with odds 2 : 1, independently. Slopes: 2/3·(1 - 0) + 1/3·(6 - 0) = 8/3, 2/3·(1 - 6) + 1/3·0 = -10/3.",
           "ribeiro2016 section 3.4", settings={"draw": "all", "distance": "euclidean", "width": HALF}),
    Worked("lime", "kernel-of-the-library", net_a, [[3, 1]], [[F(8, 3), F(-10, 3)]],
           WORTHS_A + " sqrt(exp(-D²/width²)) = exp(-D²/(2 width²)), so at a width smaller by √2 the weights are again 1, 1/2, 1/2, 1/4: "
           "2/3·1 + 1/3·6 and 2/3·(-5).", "ribeiro2016 the kernel of its library",
           settings={"draw": "all", "distance": "euclidean", "kernel": "library", "width": HALF / sqrt(2)}),
    Worked("lime", "cosine-distance", net_a, [[3, 1]], [[RISE + 3, RISE - 3]],
           WORTHS_A + " Distances 0, 1 - 1/√2 twice, 1; weights 1, 1/2, 1/2, n = exp(-1/width²) = 8.6e-6. {1} and {2} weigh the same, so "
           "β_1 - β_2 = 6 - 0. Along the number of features, 0, 1, 2 with the means 0, 3, 1 and the weights n, 1, 1: mean 3/(2 + n) and "
           "4/(2 + n), products 5 - 12/(2 + n), squares 5 - 9/(2 + n), slope.", "ribeiro2016 section 3.4",
           settings={"draw": "all", "width": NARROW}),
    Worked("lime", "distance-of-the-inputs", net_a, [[3, 1]], [[F(8, 3), F(-2560, 513)]],
           WORTHS_A + " Without x1 = 3 the distance is 3, without x2 = 1 it is 1: weights 2^-9 and 1/2, and their product. Slopes: 2/3·1 "
           "+ 1/3·6 = 8/3, 512/513·(-5) + 1/513·0.", "ribeiro2016 section 3.3",
           settings={"draw": "all", "distance": "input_euclidean", "width": HALF}),
    Worked("lime", "numbers", linear(2, -1), [[3, 5]], [[2, -4]],
           "f = 2 x1 - x2 is fitted exactly whatever is drawn; z is in deviations of the background, which are 1 and 4: 2·1, -1·4.",
           "ribeiro2016 eq. 2, tables",
           settings={"representation": "numbers", "background": [[-1, 4], [1, -4]], "samples": 20, "distance": "euclidean"}),
)
