"""Worked examples of soft masks (RISE, meaningful perturbation), of average causal effects (ACE) and of regions (XRAI)."""

from __future__ import annotations

from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import cubic, linear, net_b, product

ROW = [[[1, 1]]]
DRAWN = ("Two places, two masks. Seed 0 draws the cells (0, 1) and (1, 1); of three places between the middles of two cells the image "
         "has the first two, c_1 and (c_1 + c_2)/2: the masks (0, 1/2) and (1, 1), where f = 2 x1 + 4 x2 is 2 and 6.")
PULLS = "f = 2 x1 - x2, an absent place is 0: f has the slopes 2 and -1 in the mask (m_1, m_2)."
LINE = [[[[1, 1, 1, 1]]]]


def _pulled(name: str, expected: list[Any], by_hand: str, **settings: Any) -> Worked:
    return Worked("meaningful_perturbation", name, linear(2, -1, shape=(1, 2)), ROW, [[expected]], by_hand, "fong2017 eq. 6",
                  settings={"fill": 0, **settings})


def _regions(name: str, weights: tuple[int, ...], segments: Any, expected: list[Any], by_hand: str, **settings: Any) -> Worked:
    """Integrated gradients of a linear f at ones are its weights; the pixels lie in a row."""
    own = {"segments": segments, "baseline": 0, "quadrature": "midpoint", "steps": 1, **settings}
    return Worked("xrai", name, linear(*weights, shape=(1, 1, len(weights))), [[[[1] * len(weights)]]], [[[expected]]], by_hand,
                  "kapishnikov2019", settings=own, exact=True)


def _chain(*spans: tuple[int, int], length: int) -> list[list[list[bool]]]:
    """Masks of runs of pixels in a row, from a to b."""
    return [[[a <= i <= b for i in range(1, length + 1)]] for a, b in spans]


EXAMPLES = (
    Worked("rise", "two-masks", linear(2, 4, shape=(1, 2)), ROW, [[[6, 7]]], DRAWN + " S = (2·0 + 6·1, 2·1/2 + 6·1)/(2·1/2).",
           "petsiuk2018 eq. 6", settings={"samples": 2, "grid": 2, "seed": 0}, exact=True),
    Worked("rise", "divided-by-the-cover", linear(2, 4, shape=(1, 2)), ROW, [[[6, F(14, 3)]]],
           DRAWN + " Over the sums of the masks, 1 and 3/2: 6/1 and 7/(3/2).", "petsiuk2018 as xplique has it",
           settings={"samples": 2, "grid": 2, "seed": 0, "normalize": "mask"}, exact=True),
    Worked("rise", "mirrored-border", linear(2, 4, shape=(1, 2)), ROW, [[[F(115, 18), F(43, 6)]]],
           "Seed 0 draws the cells (0, 1) and (1, 1). The image has the first two of three places, at -1/6 and 1/2 of the cells; -1/6 is "
           "taken as 1/6: the masks (1/6, 1/2) and (1, 1), f = 2/6 + 4/2 = 7/3 and 6, S = (7/3·1/6 + 6, 7/3·1/2 + 6).",
           "petsiuk2018 as the authors' code has it", settings={"samples": 2, "grid": 2, "seed": 0, "border": "mirror"}, exact=True),
    Worked("rise", "all-or-nothing", linear(2, 4, shape=(1, 2)), ROW, [[[6, 6]]],
           "A grid of one cell: a mask is 1 everywhere or 0 everywhere. Where something is visible f = 6, so that the mean of f over the "
           "masks that show a place is 6, whatever is drawn.", "petsiuk2018 as xplique has it",
           settings={"samples": 20, "grid": 1, "normalize": "mask"}, exact=True),

    _pulled("one-step", [0.5 + 0.1 * 1.9999 / (1.9999 + 1e-8), 0.5 - 0.1 * 1.0001 / (1.0001 + 1e-8)],
            PULLS + " Less the sparsity: 2 - 1e-4 and -1 - 1e-4; the mask is flat, so nothing is rough. The first step of Adam is rate · "
            "g/(|g| + 1e-8): m = 1/2 - .1 and 1/2 + .1, and 1 - m is shown.", steps=1),
    _pulled("to-the-end", [1, 0],
            PULLS + " m_1 falls to 0 and m_2 rises to 1, where they are cut off; with a rate of 1 the first step gets there. 1 - m.",
            steps=5, rate=1),
    _pulled("preservation", [1, 0],
            PULLS + " The smallest mask that keeps f high: the slopes of -f + Σ m/10^4 are -2 and 1, m_1 rises to 1 and m_2 falls to 0. "
            "m is shown.", steps=5, rate=1, variant="preservation"),
    _pulled("not-worth-its-size", [0, 0],
            PULLS + " A sparsity of 3 takes 3 from both: -1 and -4, so both rise to 1, and nothing is deleted.", steps=5, rate=1,
            sparsity=3),

    Worked("ace", "product", product, [[1, 0]], [[F(2, 3), 0]],
           "f = x1 x2 + x1², over a background in which both have the mean 0, α from -1 to 1. E[f | x1 = α] = α·0 + α², whose mean is "
           "1/3: 1 - 1/3. E[f | x2 = α] = 0·α + E x1² whatever α.", "chattopadhyay2019 eq. 5",
           settings={"background": [[-1, 1], [1, -1], [0, 2], [0, -2]], "low": -1, "high": 1}),
    Worked("ace", "product-inclusive-mean", product, [[1, 0]], [[F(1, 3), 0]],
           "As the authors average over α: at -1, 0, 1 the mean of α² is 2/3, and 1 - 2/3 = 1/3.",
           "chattopadhyay2019 as the authors' code has it",
           settings={"background": [[-1, 1], [1, -1], [0, 2], [0, -2]], "low": -1, "high": 1, "steps": 3, "quadrature": "inclusive_mean"},
           exact=True),
    Worked("ace", "linear", linear(2, -1), [[3, 1]], [[4, 1]],
           "A linear f: w (x - the middle of the interval), which is the mean (1, 2) of the background: 2·(3 - 1), -1·(1 - 2).",
           "chattopadhyay2019 eq. 5", settings={"background": [[0, 0], [2, 4]], "quadrature": "midpoint", "steps": 2}, exact=True),
    Worked("ace", "net-b", net_b, [[2, 1]], [[F(11, 4), F(-1, 4)]],
           "The other input is 0; α = 1/2, 3/2. f(α, 0) = relu(α - 1) + 2 α is 1 and 7/2, at 2 it is 5: 5 - 9/4. f(0, α) = relu(α - 1) "
           "is 0 and 1/2, at 1 it is 0: 0 - 1/4.", "chattopadhyay2019 eq. 5",
           settings={"low": 0, "high": 2, "quadrature": "midpoint", "steps": 2}, exact=True),
    Worked("ace", "mean-of-samples", product, [[2, 3]], [[F(15, 4), 2]],
           "The background (0, 1), (2, 1), (1, 1); α = 1/2 and 3/2. E[f | x1 = α] = α·1 + α²: 6 at 2, less the mean 9/4 of 3/4 and 15/4. "
           "E[f | x2 = α] = α E x1 + E x1² = α + 5/3: 3 - 1.", "chattopadhyay2019 section 4",
           settings={"background": [[0, 1], [2, 1], [1, 1]], "order": "mc", "low": 0, "high": 2, "quadrature": "midpoint", "steps": 2},
           exact=True),

    Worked("ace", "second-order", cubic, [[3, 1]], [[4, F(-1, 4)]],
           "f = x1 x2², the background (0, 0) and (2, 2): means 1, variances 1; α = 1/2 and 3/2. E[f | x1 = α] = α·1² + 1/2·2 α·1 = 2 α: "
           "6 - 2. E[f | x2 = α] = 1·α²: 1 - (1/4 + 9/4)/2.", "chattopadhyay2019 eq. 7",
           settings={"background": [[0, 0], [2, 2]], "quadrature": "midpoint", "steps": 2}, exact=True),
    Worked("ace", "first-order", cubic, [[3, 1]], [[2, F(-1, 4)]], "The same without the curvature in x2: E[f | x1 = α] = α·1², 3 - 1.",
           "chattopadhyay2019 eq. 6", settings={"background": [[0, 0], [2, 2]], "order": 1, "quadrature": "midpoint", "steps": 2},
           exact=True),

    Worked("xrai", "three-segments", linear(3, 2, 1, 0, shape=(1, 2, 2)), [[[[1, 1], [1, 1]]]], [[[[F(5, 2), F(5, 2)], [1, 0]]]],
           "Integrated gradients of a linear f are w x = (3, 2 | 1, 0). The top row has the mean 5/2 and comes first, then 1, then 0.",
           "kapishnikov2019", settings={"segments": [[0, 0], [1, 2]], "baseline": 0, "quadrature": "midpoint", "steps": 1}, exact=True),
    Worked("xrai", "its-own-segments", linear(*range(1, 9), shape=(1, 2, 4)), [[[[1, 1, 3, 3], [1, 1, 3, 3]]]],
           [[[[F(7, 2), F(7, 2), F(33, 2), F(33, 2)]] * 2]],
           "w x = (1, 2, 9, 12 | 5, 6, 21, 24). Felzenszwalb's regions of every scale are the two flat halves: (1 + 2 + 5 + 6)/4 and (9 "
           "+ 12 + 21 + 24)/4.", "kapishnikov2019", settings={"baseline": 0, "quadrature": "midpoint", "steps": 1}, exact=True),
    _regions("regions-that-overlap", (9, 0, 9), _chain((1, 2), (2, 3), length=3), [F(9, 2), F(9, 2), 9],
             "Both regions have the mean 9/2; the first is taken, and of the second pixel 3 is new, which is 9."),
    _regions("ranked-anew", (8, 0, 6, 1), _chain((1, 2), (2, 3), (3, 4), length=4), [4, 4, 6, 1],
             "Means 4, 3, 7/2. After {1,2}, {2,3} has only pixel 3 to add, which is 6 and more than the 7/2 of {3,4}; then pixel 4."),
    _regions("ranked-once", (8, 0, 6, 1), _chain((1, 2), (2, 3), (3, 4), length=4), [4, 4, F(7, 2), F(7, 2)],
             "Means 4, 3, 7/2 decide the order once: {1,2}, {3,4}; {2,3} has nothing to add.", speed="fast"),
    _regions("what-none-covers", (8, 0, 6, 2), _chain((1, 2), length=4), [4, 4, 4, 4],
             "The region {1,2} has the mean 4; pixels 3 and 4, which none covers, have theirs: (6 + 2)/2."),
    Worked("xrai", "largest-channel", linear(3, 1, -1, 2, shape=(2, 1, 2)), [[[[1, 1]], [[1, 1]]]], [[[[3, 2]]]],
           "Two channels, (3, 1) and (-1, 2); the largest of each pixel (their sum would be 2 and 3).",
           "kapishnikov2019 as the authors' code has it",
           settings={"segments": [[0, 1]], "baseline": 0, "quadrature": "midpoint", "steps": 1, "reduce": "max"}, exact=True),
)
