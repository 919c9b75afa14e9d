"""Worked examples of class-activation maps and forward saliency.

Most are about the catalogue's two maps, A_1 = (1, 0 | 0, 2) and A_2 = (0, 1 | 1, 0) with a global average pool and the weights (2, -1):
f = 2·3/4 - 1/2 = 1. The conventions of the libraries are told apart by one map A = (1, 2 | 2, 1) whose places have the weights
G = (1/2, -1/4 | 1/4, 0). The layer "maps" is in the size of the input, so that nothing is resized.
"""

from __future__ import annotations

from fractions import Fraction as F
from math import erf, exp, log2, sqrt
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import head_on_maps, pooled_maps, strided

TWO = [[[[1, 0], [0, 2]], [[0, 1], [1, 0]]]]
POOLED = pooled_maps((2, -1))
RECTIFIED = pooled_maps((2, -1), relu=True)
BESIDE_IT = [[[[1, 0], [0, 2]], [[1, 1], [1, 0]]]]
ONE = [[[[1, 2], [2, 1]]]]
WEIGHED = head_on_maps([[0.5, -0.25, 0.25, 0]], 0.5)
HIGH, LOW = exp(1.25) / (exp(1.25) + exp(-0.5)), exp(-0.5) / (exp(1.25) + exp(-0.5))
ALPHA = "∂f/∂A_1 = 2/4 and ∂f/∂A_2 = -1/4 everywhere."


def _map(method: str, name: str, expected: Any, by_hand: str, source: str, exact: bool = True, **settings: Any) -> Worked:
    """Of the catalogue's two maps."""
    return Worked(method, name, POOLED, TWO, [[expected]], by_hand, source, settings=settings, exact=exact)


def _score(method: str, name: str, weight: Any, by_hand: str, source: str, exact: bool = True, **settings: Any) -> Worked:
    """Of A = (1, 2 | 2, 1) with the weights G: the map is w A."""
    expected = [[[[weight, 2 * weight], [2 * weight, weight]]]]
    return Worked(method, name, WEIGHED, ONE, expected, by_hand, source, settings=settings, extras={"weights": [[weight]]}, exact=exact)


def _resize(name: str, expected: list[Any], by_hand: str, upsample: str) -> Worked:
    """A map of two places, (1, 3), at an input of four."""
    return Worked("grad_cam", name, strided, [[[1, 9, 3, 9]]], [[expected]], by_hand, "selvaraju2017 eq. 2",
                  settings={"upsample": upsample}, exact=True)


G = "G = (1/2, -1/4 | 1/4, 0)"
SECOND = "α at 1/2 and at 1/4, where g is positive: "

CAMS = (
    _map("cam", "two-maps", [[2, -1], [-1, 4]], "2 A_1 - A_2. Its mean over the four places is 1 = f.", "zhou2016 eq. 2"),
    Worked("cam", "with-a-bias", pooled_maps((1, 3), 5), TWO, [[[[1, 3], [3, 2]]]],
           "A_1 + 3 A_2; its mean 9/4 and the bias 5 are f = 29/4.", "zhou2016 eq. 2", extras={"weights": [[1, 3]], "bias": [5]},
           exact=True),
    _map("grad_cam", "two-maps", [[F(1, 2), 0], [0, 1]], ALPHA + " α = their means; relu(A_1/2 - A_2/4) cuts off the -1/4.",
         "selvaraju2017 eq. 1 and 2"),
    _map("grad_cam", "without-relu", [[F(1, 2), F(-1, 4)], [F(-1, 4), 1]], ALPHA + " A_1/2 - A_2/4, as captum leaves it.",
         "selvaraju2017 eq. 1", relu=False),
    _map("grad_cam", "counterfactual", [[0, F(1, 4)], [F(1, 4), 0]], ALPHA + " With the opposite sign: relu(-A_1/2 + A_2/4).",
         "selvaraju2017 section 3.3", counterfactual=True),
    _map("grad_cam", "from-0-to-1", [[F(1, 2), 0], [0, 1]],
         ALPHA + " relu(A_1/2 - A_2/4) = (1/2, 0 | 0, 1) has the smallest entry 0 and the largest 1: it stays.", "selvaraju2017 eq. 2",
         normalize="min_max"),
    _score("grad_cam", "mean-gradient", F(1, 8), G + ": the mean is (1/2 - 1/4 + 1/4 + 0)/4 = 1/8.", "selvaraju2017 eq. 1"),
    _score("grad_cam", "summed-gradient", F(1, 2), G + ": the sum is 1/2, as the authors' first code has it.",
           "selvaraju2017 eq. 1 without 1/Z", weights="sum"),
    _score("grad_cam", "guided-gradient", F(3, 16), G + ", and only what is positive where A is, as tf-explain: (1/2 + 1/4)/4 = 3/16.",
           "selvaraju2017 as tf-explain has it", weights="guided"),
    _score("grad_cam", "normalised-gradient", 0.125 / (0.5 + 1e-7),
           G + ": the mean 1/8 over the largest entry 1/2 (and 1e-7), as keras-vis.", "selvaraju2017 as keras-vis has it", exact=False,
           weights="normalized"),
    _resize("two-places-to-four", [1, F(3, 2), F(5, 2), 3],
            "The layer is every second entry, A = (1, 3), the weight of each place 1, α = 1. Places lie at 1/2 + 2k pixels: the new ones "
            "at -1/4, 1/4, 3/4, 5/4 of the old ones give 1, 3/4·1 + 1/4·3, 1/4·1 + 3/4·3, 3.", "bilinear"),
    _resize("corners-on-corners", [1, F(5, 3), F(7, 3), 3], "A = (1, 3), α = 1; corners onto corners: 1, 1 + 2/3, 1 + 4/3, 3.",
            "bilinear_corners"),
    _resize("nearest", [1, 1, 3, 3], "A = (1, 3), α = 1; each place is repeated.", "nearest"),
    _map("hires_cam", "two-maps", [[F(1, 2), F(-1, 4)], [F(-1, 4), 1]],
         ALPHA + " g A summed over channels, A_1/2 - A_2/4; the sum is 1 = f.", "draelos2020"),
    Worked("hires_cam", "place-by-place", WEIGHED, ONE, [[[[F(1, 2), F(-1, 2)], [F(1, 2), 0]]]],
           G + " times A = (1, 2 | 2, 1), place by place; the sum 1/2 and the bias 1/2 are f = 1.", "draelos2020", exact=True),
    _map("layer_cam", "two-maps", [[F(1, 2), 0], [0, 1]], ALPHA + " Only the positive gradient counts: A_1/2.", "jiang2021"),
    Worked("layer_cam", "a-negative-channel", POOLED, BESIDE_IT, [[[[F(1, 2), 0], [0, 1]]]],
           "A_2 = (1, 1 | 1, 0): its gradient -1/4 counts as 0 and takes nothing from A_1/2.", "jiang2021", exact=True),
    Worked("layer_cam", "place-by-place", WEIGHED, ONE, [[[[F(1, 2), 0], [F(1, 2), 0]]]], G + " without its -1/4, times A.", "jiang2021",
           exact=True),
    _map("xgrad_cam", "two-maps", [[F(1, 2), 0], [0, 1]],
         ALPHA + " Their means weighed by A are the same: w = (1/2, -1/4), and relu(A_1/2 - A_2/4).", "fu2020"),
    _score("xgrad_cam", "weighed-by-the-activation", F(1, 12), "Σ g A = 1/2 - 1/2 + 1/2 + 0 = 1/2 and Σ A = 6: w = 1/12.", "fu2020"),
    _map("grad_cam_plus_plus", "two-maps", [[F(4, 7), 0], [0, F(8, 7)]],
         ALPHA + " Channel 1: α = g²/(2 g² + 3 g³) = 1/(2 + 3/2) = 2/7 at each of four places, w_1 = 4·2/7·1/2 = 4/7; channel 2 has no "
         "positive gradient. The factor e^f is left out.", "chattopadhay2018", score="linear"),
    _map("grad_cam_plus_plus", "two-maps-exp", [[4 / 7 * exp(1), 0], [0, 8 / 7 * exp(1)]],
         "As with f itself, 4/7 A_1, times e^f = e, because e^f is differentiated.", "chattopadhay2018", exact=False),
    _score("grad_cam_plus_plus", "paper", F(6, 35),
           SECOND + "1/(2 + 6·1/2) = 1/5 and 1/(2 + 6/4) = 2/7 with Σ A = 6: w = 1/5·1/2 + 2/7·1/4 = 6/35.", "chattopadhay2018",
           score="linear"),
    _score("grad_cam_plus_plus", "elementwise", F(21, 80),
           SECOND + "Σ A g³ = 1/8 - 2/64 + 2/64 = 1/8, (1/4)/(1/2 + 1/8) = 2/5 and (1/16)/(1/8 + 1/8) = 1/4: w = 2/5·1/2 + 1/4·1/4 = "
           "21/80.", "chattopadhay2018 as FastCAM has it", weights="elementwise", score="linear"),
    _score("grad_cam_plus_plus", "normalised", F(2, 29),
           "α = 1/5, 1/(2 - 6/4) = 2, 2/7, 0 over their sum 87/35: 7/87 at 1/2 and 10/87 at 1/4: w = 7/174 + 10/348 = 2/29.",
           "chattopadhay2018 as tf-keras-vis has it", weights="normalized", score="linear"),
    _score("grad_cam_plus_plus", "averaged", F(15, 209),
           SECOND + "the mean 3/2 of A in place of its sum, 1/(2 + 3/4) = 4/11 and 1/(2 + 3/8) = 8/19: w = (2/11 + 2/19)/4 = 15/209.",
           "chattopadhay2018 as xplique has it", weights="mean", score="linear"),
    _score("grad_cam_plus_plus", "squared", F(9, 64), "Where the division is lost: w = (1/2)²·1/2 + (1/4)²·1/4 = 9/64.",
           "chattopadhay2018 as torch-cam 0.5 has it", weights="square", score="linear"),
    Worked("guided_grad_cam", "two-maps", RECTIFIED, BESIDE_IT, [[[[F(1, 8), 0], [0, F(1, 2)]], [[0, 0], [0, 0]]]],
           "A_2 = (1, 1 | 1, 0). Grad-CAM is relu(A_1/2 - A_2/4) = (1/4, 0 | 0, 1). Guided backpropagation passes 1/2 to channel 1 where "
           "A_1 > 0, and nothing to channel 2, whose signal -1/4 is negative. The product: (1/8, 0 | 0, 1/2), 0.",
           "selvaraju2017 section 3.2", exact=True),
    _map("score_cam", "two-maps", [[HIGH, LOW], [LOW, 2 * HIGH]],
         "Masks H_1 = A_1/2, H_2 = A_2. f(x H_1) = 2·(1/2 + 2)/4 = 5/4, f(x H_2) = -1/2: w = softmax(5/4, -1/2) = (.852, .148), w_1 A_1 "
         "+ w_2 A_2.", "wang2020 algorithm 1", exact=False),
    _map("score_cam", "the-increase-itself", [[F(5, 4), 0], [0, F(5, 2)]], "w = (5/4, -1/2) - f(0) with f(0) = 0: relu(5/4 A_1 - A_2/2).",
         "wang2020 eq. 4", weights="increase"),
    _map("faster_score_cam", "one-channel", [[F(5, 4), 0], [0, F(5, 2)]],
         "A_1 varies more (variance 11/16 against 1/4), so only its score is asked: f(x H_1) - f(0) = 5/4, H_1 = A_1/2.", "kubota2020",
         weights="increase", top=1),
    _map("faster_score_cam", "one-channel-softmax", [[1, 0], [0, 2]],
         "A_1 varies more, and the softmax of a single score is 1: the map is A_1.", "kubota2020", exact=False, top=1),
    _map("ablation_cam", "two-maps", [[F(3, 2), 0], [0, 3]],
         "f = 1. Without A_1 f = -1/2, so 3/2 of it is lost; without A_2 f = 3/2, w_2 = -1/2: relu(3/2 A_1 - A_2/2).", "desai2020"),
    _map("ablation_cam", "difference", [[F(3, 2), 0], [0, 3]],
         "f - f without: 1 + 1/2 and 1 - 3/2; f = 1, so that the share is the difference.", "desai2020", weights="difference"),
    Worked("ablation_cam", "share-of-the-whole", head_on_maps([[0.5, -0.25, 0.25, 0]], 1.5), ONE,
           [[[[F(1, 4), F(1, 2)], [F(1, 2), F(1, 4)]]]],
           "f = 1/2 + 3/2, without the only channel it is the bias 3/2: a quarter is lost, A/4.", "desai2020",
           extras={"weights": [[F(1, 4)]]}, exact=True),
    Worked("eigen_cam", "one-direction", head_on_maps([[1, 1, 1, 1]] * 2), [[[[3, 0], [6, 9]], [[4, 0], [8, 12]]]], [[[[5, 0], [10, 15]]]],
           "A_1 = 3 B, A_2 = 4 B with B = (1, 0 | 2, 3): M has rank 1, v = (3/5, 4/5), and the map is 3/5·3 B + 4/5·4 B = 5 B.",
           "muhammad2020"),
    Worked("eigen_cam", "centred", head_on_maps([[1, 1, 1, 1]] * 2), [[[[3, 0], [6, 9]], [[4, 0], [8, 12]]]],
           [[[[-2.5, -7.5], [2.5, 7.5]]]], "The same less each channel's mean: 5 (B - 3/2).", "muhammad2020 as pytorch-grad-cam has it",
           settings={"center": True}),
)

TINY = 1e-7
SHARE = [7 / 3 + TINY, (log2(1 + TINY) + log2(2 + TINY) + log2(4 + TINY)) / 3]
BESIDE = head_on_maps([[1, 1], [1, 1], [1, 1]], side=(1, 2))
PLACES = [[[[1, 1]], [[2, 1]], [[4, 1]]]]


def _smoe(name: str, expected: list[Any], by_hand: str, exact: bool = False, **settings: Any) -> Worked:
    """Channels (1, 2, 4) at the first place, (1, 1, 1) at the second."""
    return Worked("smoe", name, BESIDE, PLACES, [[[expected]]], by_hand, "mundhenk2019", settings=settings, exact=exact)


UP, DOWN = ((1 + erf(s / 2)) / 2 for s in (1, -1))

FORWARD = (
    _smoe("three-channels", [SHARE[0] * (log2(SHARE[0]) - SHARE[1]), 0],
          "μ = 7/3, mean log2 = (0 + 1 + 2)/3 = 1: 7/3 (log2 7/3 - 1) = .5189; equal channels give 0. The 1e-7 that is added to the "
          "activations moves the seventh digit.", normalize=None),
    _smoe("gaussian-scale", [UP, DOWN],
          "Two places s and t lie (s - t)/2 above and below their mean, and their deviation is |s - t|/√2: Φ(1/√2) = .7602 and Φ(-1/√2) "
          "= .2398."),
    _smoe("mean", [F(7, 3), 1], "The mean of the channels: (1 + 2 + 4)/3 and 1.", True, statistic="mean", normalize=None),
    _smoe("largest", [4, 1], "The largest channel: 4 and 1.", True, statistic="max", normalize=None),
    _smoe("from-0-to-1", [1, 0], "The larger of two places becomes 1, the other 0.", True, statistic="mean", normalize="min_max"),
    _smoe("deviation", [sqrt(7 / 3), 0],
          "1, 2, 4 less 7/3: (16 + 1 + 25)/9 over 3 - 1 is 7/3, its root 1.5275; equal channels do not deviate.", statistic="std",
          normalize=None),
    _map("fastcam", "two-maps", [[F(1, 4), 0], [0, 1]],
         "The mean over the channels, (1/2, 1/2 | 1/2, 1), times Grad-CAM from 0 to 1, (1/2, 0 | 0, 1).", "mundhenk2019", statistic="mean",
         normalize=None, cam="grad_cam"),
    _map("fastcam", "inverse", [[F(1, 4), F(1, 2)], [F(1, 2), 0]], "The mean over the channels times 1 - Grad-CAM = (1/2, 1 | 1, 0).",
         "mundhenk2019", statistic="mean", normalize=None, cam="grad_cam", inverse=True),
    _map("fastcam", "second-order", [[F(1, 4), 0], [0, 1]], "Grad-CAM++ is 4/7 A_1 up to a factor, from 0 to 1 (1/2, 0 | 0, 1) as well.",
         "mundhenk2019", statistic="mean", normalize=None),
)

EXAMPLES = (*CAMS, *FORWARD)
