"""Worked examples of relevance that speaks for one class, for chosen units, for pairs, for patterns, for tokens; of maps of these."""

from __future__ import annotations

import math
from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import net_a, net_b
from xaicore.oracle.worked.networks import (
    around,
    attention,
    colours,
    cost,
    embedding,
    filter_of_one,
    pixels,
    pooled,
    raised_cost,
    rectified_filter,
    residual,
    two_classes,
    two_hidden,
)

B = [[2, 1]]
GU, IWANA, ZHANG, CONCEPT = "gu2018 section 3", "iwana2019 eq. 4", "zhang2016 eq. 4", "achtibat2023 (conditional relevance)"
PATTERN, ROLLOUT, SALIENT = "kindermans2018 section 4", "abnar2020 section 4", "li2019 with goferman2012 (reconstruction)"
SIGNALS = [[2, 1], [0, -1], [0, 1], [-2, -1]]
"""(s + e, e) for s, e = ±1: what the filter x1 - x2 looks for is s; e is in both entries."""
WHITE = [[1, 1], [1, -1], [-1, 1], [-1, -1]]
S_AND_E = "The samples are (s + e, e), s and e = ±1, so y = x1 - x2 = s: cov(x, y) = (1, 0), var y = 1, the pattern is (1, 0). "
ROW = [[[[1, 1]]]]
TOKENS = [[[1, 0], [0, 1]]]
EVEN, FIRST, SECOND = ((0, 0), (0, 0)), ((0, 0), (math.log(3), 0)), ((0, 0), (0, math.log(3)))
THREE_TO_ONE = 1 + math.log(3) / 2


def classes(name: str, net: Any, expected: Any, by_hand: str, target: int = 0, **settings: Any) -> Worked:
    """CLRP at (2, 1)."""
    return Worked("clrp", name, net, B, expected, by_hand, GU, target=target, settings=settings, exact=True)


def excited(name: str, net: Any, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """Excitation backpropagation."""
    return Worked("excitation_backprop", name, net, x, expected, by_hand, ZHANG, settings=settings, exact=True)


def removed(name: str, net: Any, x: Any, expected: Any, by_hand: str, **settings: Any) -> Worked:
    """Global saliency."""
    return Worked("global_saliency", name, net, x, expected, by_hand, "morch1995 (reconstruction)", settings=settings, exact=True)


EXAMPLES = (
    classes("uniform", two_classes, [[F(16, 5), 0]],
            "y = (7, 5): R = (6, 1). The other class starts with 7 as well: 7·(2, 3)/5 = (14/5, 21/5), sum 7. 6 - 14/5; 1 - 21/5 < 0.",
            dual="uniform"),
    classes("signed", two_classes, [[F(16, 5), F(-16, 5)]], "As the uniform one, (6, 1) - (14/5, 21/5), without the maximum: sum 0.",
            dual="uniform", relu=False),
    classes("scores", two_classes, [[F(16, 5), 0]], "The other class starts with its own 5: (2, 3), scaled to the sum 7: (14/5, 21/5).",
            dual="scores"),
    classes("negated", two_hidden, [[3, 0]],
            "y1 = 2·2 - 1 = 3. z+: only 4 is positive, R = (3, 0). The dual has -4 and 1: R = (0, 3), sum 3: max(3 - 0, 0), max(0 - 3, 0).",
            dual="negated"),
    classes("dual-without-relevance", two_hidden, [[2, 1]], "y2 = 2 + 1: R = (2, 1). The dual's weights are all negative: nothing to "
            "subtract.", target=1, dual="negated"),
    Worked("sglrp", "even-odds", two_classes, [[1, 1]], [[F(1, 8), F(-1, 8)]],
           "y = (4, 4), p = (1/2, 1/2): the classes start with 1/4 and -1/4. 1/4·(3, 1)/4 - 1/4·(1, 3)/4.", IWANA),
    Worked("sglrp", "even-odds-positive", two_classes, [[1, 1]], [[F(1, 8), 0]], "As (1/8, -1/8), cut off at 0.", IWANA,
           settings={"relu": True}),
    Worked("sglrp", "three-to-one", two_classes, [[THREE_TO_ONE, 1]], [[v * (3 * a / (3 * a + 1) - a / (a + 3)) for a, v in (
           (THREE_TO_ONE, 3 / 16), (THREE_TO_ONE, -3 / 16))]],
           "y1 - y2 = 2 (x1 - x2) = ln 3, p = (3/4, 1/4): the classes start with 3/16 and -3/16. With a = x1 the first hands down 3 a and "
           "1 of 3 a + 1, the second a and 3 of a + 3.", IWANA),
    excited("net-a", net_a, [[3, 1]], [[1, 0]], "Of 6, -5, 0 only 6 is excitatory: P_h = (1, 0, 0). Of 3 and -1 only x1."),
    excited("net-a-contrastive", net_a, [[3, 1]], [[F(2, 5), F(-2, 5)]],
            "(1, 0), and of the negated last layer, -6 and 5: P_h = (0, 1, 0), 3 and 2 of 5. (1, 0) - (3/5, 2/5).", contrastive=True),
    excited("two-classes", two_classes, B, [[F(6, 7), F(1, 7)]], "The contributions 6 and 1 to y1 = 7."),
    excited("bias-ignored", net_b, B, [[F(5, 6), F(1, 6)]], "P_h = (1/2, 1/2). Unit 1: (2, 1)/3, the bias has no part. Unit 2: x1 alone. "
            "x1: 1/3 + 1/2."),
    excited("max-pool", pooled(), [[[1, 3, 2, 2]]], [[[0, F(3, 4), F(1, 4), 0]]], "6 and 2 of 8, to the winners."),
    excited("average-pool", pooled("avg"), [[[1, 3, 2, 2]]], [[[F(1, 6), F(1, 2), F(1, 6), F(1, 6)]]],
            "4 and 2 of 6: 2/3·(1, 3)/4, 1/3·(1/2, 1/2)."),
    excited("residual", residual, [[3, 1]], [[F(5, 7), F(2, 7)]],
            "y = (5, 1): 5/7 and 2/7. y1: 3/5 around, 2/5 through the branch, where x1 alone excites. y2: around."),
    Worked("concept_relevance", "first-unit", net_a, [[3, 1]], [[9, -3]], "R_h = (6, -5, 0). Unit 0 alone: 6/2·(3, -1).", CONCEPT,
           settings={"layer": "relu1", "units": 0, "base": "lrp.zero"}, extras={"passed": [6]}, exact=True),
    Worked("concept_relevance", "second-unit", net_a, [[3, 1]], [[-3, -2]], "R_h = (6, -5, 0). Unit 1 alone: -5/5·(3, 2).", CONCEPT,
           settings={"layer": "relu1", "units": 1, "base": "lrp.zero"}, extras={"passed": [-5]}, exact=True),
    Worked("concept_relevance", "two-units", net_a, [[3, 1]], [[6, -5]], "(9, -3) + (-3, -2): here all of LRP-0, for unit 2 is dead.",
    CONCEPT,
           settings={"layer": "relu1", "units": [0, 1], "base": "lrp.zero"}, extras={"passed": [1]}, exact=True),
    Worked("concept_relevance", "what-goes-around", around, [[3, -1]], [[9, 0]],
           "f = 6 - 2 + 9 + 5 = 18. Of the branch unit 0 holds 9, all from x1; the way around is no part of it.", CONCEPT,
           settings={"layer": "branch", "units": 0, "base": "lrp.zero"}, extras={"passed": [9]}, exact=True),
    Worked("bilrp", "two-inputs", embedding, B, [[28, -1]],
           "φ = (3, 3), φ' of (3, 1) = (4, 5). R[φ1] = (2, 1), R[φ2] = (4, -1): 4·(2, 1) + 5·(4, -1). Sum 27 = 3·4 + 3·5.",
           "eberle2020 eq. 4",
           target=None, settings={"other": [[3, 1]], "base": "lrp.zero"}, extras={"similarity": [27]}, exact=True),
    Worked("bilrp", "with-itself", embedding, B, [[18, 0]], "φ = (3, 3): 3·(2, 1) + 3·(4, -1). Sum 18 = 3² + 3².", "eberle2020 eq. 4",
           target=None, settings={"base": "lrp.zero"}, extras={"similarity": [18]}, exact=True),
    Worked("bilrp", "one-number-of-two", embedding, B, [[20, -5]], "φ2 alone, 3 and 5: 5·(4, -1).", "eberle2020 eq. 4", target=1,
           settings={"other": [[3, 1]], "base": "lrp.zero"}, extras={"similarity": [15]}, exact=True),
    Worked("patternnet", "distractor", filter_of_one, [[3, 1]], [[2, 0]], S_AND_E + "f = 2, times the pattern.", PATTERN,
           settings={"background": SIGNALS, "estimator": "linear"}, exact=True),
    Worked("patternnet", "two-components", filter_of_one, [[3, 1]], [[2, 0]],
           "Where y > 0 x is (2, 1) or (0, -1), y = 1: E+[x y] = (1, 0) = E+[x]; E[y] = 0: the pattern is (1, 0) again.", PATTERN,
           settings={"background": SIGNALS, "estimator": "relu"}, exact=True),
    Worked("patternnet", "white-data", filter_of_one, [[3, 1]], [[1, -1]],
           "All (±1, ±1): cov(x, y) = (1, -1), var y = 2, the pattern is w/2. f = 2.", PATTERN,
           settings={"background": WHITE, "estimator": "linear"}, exact=True),
    Worked("patternnet", "means-are-no-pattern", filter_of_one, [[3, 1]], [[2, 0]],
           "The same samples moved by (5, 3): y moves by 2, and covariances know no means: (1, 0) again. f = 2.", PATTERN,
           settings={"background": [[a + 5, b + 3] for a, b in SIGNALS], "estimator": "linear"}, exact=True),
    Worked("patternnet", "two-layers", rectified_filter, [[3, 1]], [[2, 0]],
           S_AND_E + "h = relu(s) is 1 or 0 and y = 2 h: cov(h, y)/var y = (1/2)/1 = 1/2. f = 4: 4·1/2 at h, then (1, 0).", PATTERN,
           settings={"background": SIGNALS, "estimator": "linear"}, exact=True),
    Worked("pattern_attribution", "distractor", filter_of_one, [[3, 1]], [[2, 0]], S_AND_E + "f = 2, times w a = (1, 0).", PATTERN,
           settings={"background": SIGNALS, "estimator": "linear"}, exact=True),
    Worked("pattern_attribution", "white-data", filter_of_one, [[3, 1]], [[1, 1]],
           "All (±1, ±1): the pattern is w/2 = (1/2, -1/2), w a = (1/2, 1/2), f = 2.", PATTERN,
           settings={"background": WHITE, "estimator": "linear"}, exact=True),
    Worked("pattern_attribution", "two-layers", rectified_filter, [[3, 1]], [[4, 0]],
           S_AND_E + "At the head w a = 2·1/2 = 1: f = 4 arrives at h, and w a = (1, 0) below.", PATTERN,
           settings={"background": SIGNALS, "estimator": "linear"}, exact=True),
    Worked("attention_rollout", "one-layer", attention(EVEN), TOKENS, [[[F(3, 4)], [F(1, 4)]]],
           "Scores 0: A = 1/2 everywhere. Ã = I/2 + A/2: 3/4 and 1/4 in the first row.", ROLLOUT, target=None),
    Worked("attention_rollout", "two-layers", attention(EVEN, EVEN), TOKENS, [[[F(5, 8)], [F(3, 8)]]],
           "(3/4, 1/4) times [[3/4, 1/4], [1/4, 3/4]]: 9/16 + 1/16, 3/16 + 3/16.", ROLLOUT, target=None),
    Worked("attention_rollout", "last-token", attention(EVEN), TOKENS, [[[F(1, 4)], [F(3, 4)]]],
    "The second row of Ã: 1/4 and 3/4.", ROLLOUT,
           target=None, settings={"token": -1}),
    Worked("attention_rollout", "without-skip", attention(EVEN), TOKENS, [[[F(1, 2)], [F(1, 2)]]], "Ã = A with residual = 0.",
           ROLLOUT, target=None, settings={"residual": 0}),
    Worked("attention_rollout", "two-uneven-layers", attention(FIRST, SECOND), TOKENS, [[[F(17, 32)], [F(15, 32)]]],
           "Ã1 = [[5/8, 3/8], [1/4, 3/4]]; in layer 2 the second token scores itself ln 3: Ã2 = [[3/4, 1/4], [1/8, 7/8]]. The first row "
           "of Ã2 Ã1: 3/4·(5, 3)/8 + 1/4·(1, 3)/4.", ROLLOUT, target=None),
    Worked("attention_rollout", "uneven", attention(FIRST), TOKENS, [[[F(5, 8)], [F(3, 8)]]],
           "The first token scores itself 0 and the second ln 3: A = (1, 3)/4. Ã = (1/2 + 1/8, 3/8).", ROLLOUT, target=None),
    Worked("salient_relevance", "two-pixels", pixels(1, 2), ROW, [[[[(1 - math.exp(-1)) / 2] * 2]]],
           "R = (1, 2), from 0 to 1: (0, 1). Scales 1 and 0.8 keep both pixels, whose patches differ by 1: S = 1 - 1/e. Scales 0.5 and 0.3 "
           "leave one pixel, S = 0. The mean is half; both are foci.", SALIENT, settings={"window": 1, "neighbours": 1, "distance": 0}),
    Worked("salient_relevance", "two-pixels-apart", pixels(1, 2), ROW, [[[[(1 - math.exp(-0.4)) / 2] * 2]]],
           "As without distance, but the patches are half of the image apart: d = 1/(1 + 3·1/2) = 2/5.", SALIENT,
           settings={"window": 1, "neighbours": 1, "distance": 3}),
    Worked("salient_relevance", "nothing-stands-out", pixels(1, 1), ROW, [[[[0, 0]]]], "R = (1, 1) is constant.", SALIENT,
           settings={"window": 1, "neighbours": 1}),
    Worked("fullgrad", "two-pixels", pixels(1, 2, bias=1), [[[[1, 2]]]], [[[[2, 6]]]],
           "z = (2, 3), f = 2 + 6, ∂f/∂z = (1, 2). |x g| = (1, 4) and |b g| = (1, 2). Their sums 5 and 3 are f = 8.", "srinivas2019 eq. 5",
           extras={"input": [5]}, exact=True),
    Worked("fullgrad", "one-pixel-off", pixels(1, 2, bias=1), [[[[1, -3]]]], [[[[2, 0]]]],
           "z = (2, -2): ∂f/∂z = (1, 0). |x g| = (1, 0), |b g| = (1, 0).", "srinivas2019 eq. 5", extras={"input": [1]}, exact=True),
    Worked("fullgrad", "signs-are-lost", pixels(1, -2, bias=1), [[[[1, 2]]]], [[[[2, 6]]]],
           "∂f/∂z = (1, -2): |(1, -4)| + |(1, -2)|, though f = 2 - 6.", "srinivas2019 eq. 5", extras={"input": [-3]}, exact=True),
    Worked("fullgrad", "every-map-from-0-to-1", pixels(1, 2, bias=1), [[[[1, 2]]]], [[[[0, 2]]]], "(1, 4) becomes (0, 1), (1, 2) too.",
           "srinivas2019 (pytorch-grad-cam)", settings={"rescale": "min_max"}, exact=True),
    Worked("fullgrad", "channels-together", colours(), [[[[1, 1]], [[1, 1]]]], [[[[1, F(1, 2)]]]],
           "|x g| = (1, 1) and (3, 2) in two channels, together from 1 to 3: (0, 0) and (1, 1/2), summed over the channels.",
           "srinivas2019 (the authors' code)", settings={"rescale": "layer"}, extras={"input": [-1]}, exact=True),
    removed("deletion", cost, [[3, 1]], [[12, F(35, 2)]],
            "E = (6 - 5)²/2 = 1/2. Without x1 (-5)²/2 = 25/2, without x2 6²/2 = 18.", level="deletion"),
    removed("first-level", cost, [[3, 1]], [[-6, 5]], "∂E = z (2, -5) = (2, -5), times 0 - x.", level="first"),
    removed("sensitivity", cost, [[3, 1]], [[4, 25]], "∂E = (2, -5), squared.", level="sensitivity"),
    removed("another-value", cost, [[3, 1]], [[4, 0]], "x1 becomes 1: (2 - 5)²/2 - 1/2; x2 is 1 already.", level="deletion", baseline=1),
    removed("second-level-without-curvature", net_b, B, [[-6, 1]], "A piecewise-linear f has no second derivative: (3, -1) times 0 - x."),
    removed("second-level", raised_cost, [[3, 1]], [[12, F(35, 2)]],
            "∂E = (2, -5), ∂²E = (4, 25): -3·2 + 9/2·4 = 12, 5 + 25/2 = 35/2, as removing them does, for E is quadratic."),
    Worked("global_saliency", "mean-over-samples", cost, [[3, 1], [1, 0]], [[12, F(35, 2)], [-2, 0]],
           "The second sample: E = 2, without x1 0, x2 is 0 already. Means: 5 and 35/4.", "morch1995 (reconstruction)",
           settings={"level": "deletion"}, exact=True),
)
