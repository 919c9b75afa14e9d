"""Worked examples of gradients at many points: integrated on a line or another path, at a layer, in a cloud of noise."""

from __future__ import annotations

import math
from collections.abc import Mapping
from fractions import Fraction as F
from typing import Any

from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import Net, linear, net_a, net_b
from xaicore.oracle.worked.networks import (
    greater,
    half_square,
    interaction,
    pixels,
    pooled,
    power,
    rectifier,
    residual,
    saturating,
    shared_part,
    window,
)

A, B = [[3, 1]], [[2, 1]]
IG, COUNTERFACTUAL = "sundararajan2017 eq. 3", "sundararajan2016 section 2"
CONDUCTANCE, INFLUENCE = "dhamdhere2019 eq. 2", "leino2018 eq. 2"
PIECES = "sotoudeh2019 (kinks), sundararajan2017 eq. 1"
ON_NET_B = "At α (2, 1) z = (3 α - 1, α): the first unit is on beyond 1/3. Gradients (0, 0) at 0, (2, -2) up to 1/3, (3, -1) beyond. "
CENTRE = 1 / (1 + 2 * (math.exp(-2) + math.exp(-8)))
"""The weight of the middle of a Gaussian of σ = 1/2 along one axis, which reaches two pixels to either side."""


def cube(name: str, steps: int, expected: Any, by_hand: str, quadrature: str) -> Worked:
    """IG of f = x³ from 0 to 1, 1 by the integral, by one of the libraries' sums."""
    return Worked("integrated_gradients", name, power(3), [[1]], [[expected]], by_hand, IG,
                  settings={"quadrature": quadrature, "steps": steps}, exact=quadrature != "gauss_legendre")


def integral(name: str, net: Net, x: Any, expected: Any, by_hand: str, extras: Mapping[str, Any] | None = None, target: Any = 0,
**settings: Any
             ) -> Worked:
    """The exact integral."""
    return Worked("integrated_gradients.exact", name, net, x, expected, by_hand, PIECES, target=target, settings=settings,
                  extras=extras or {}, exact=True)


def on_b(method: str, name: str, expected: Any, by_hand: str, source: str, **settings: Any) -> Worked:
    """An example on NET B at (2, 1)."""
    return Worked(method, name, net_b, B, expected, by_hand, source, settings=settings, exact=True)


def noisy(method: str, name: str, net: Net, x: Any, expected: Any, by_hand: str, noise: Any, exact: bool = True, **settings: Any) -> Worked:
    """An example with the noise given."""
    source = {"smoothgrad": "smilkov2017 section 3", "smoothgrad_squared": "hooker2019 section 4.1", "vargrad": "adebayo2018local"}[method]
    return Worked(method, name, net, x, expected, by_hand, source, settings={"noise": noise, **settings}, exact=exact)


SIDES = [[[1, 0]], [[-1, 0]]]
ON_B = "At (3, 1) z = (3, 2), gradient (3, -1); at (1, 1) z = (1, 0), the second unit is off, gradient (1, 1). "

EXAMPLES = (
    cube("right-2", 2, F(15, 8), "∂f = 3 α²: (3/4 + 3)/2. The paper's own sum.", "right"),
    cube("left-2", 2, F(3, 8), "∂f = 3 α² at 0 and 1/2: (0 + 3/4)/2.", "left"),
    cube("midpoint-2", 2, F(15, 16), "∂f = 3 α² at 1/4 and 3/4: (3/16 + 27/16)/2.", "midpoint"),
    cube("trapezoid-2", 2, F(9, 8), "∂f = 3 α² at 0, 1/2, 1 with weights 1/4, 1/2, 1/4: 3/8 + 3/4. The authors' code.", "trapezoid"),
    cube("trapezoid-xplique-2", 2, F(3, 2), "Two nodes are one interval: (0 + 3)/2.", "trapezoid_xplique"),
    cube("trapezoid-captum-2", 2, F(3, 4), "Nodes 0 and 1 with weights 1/4: the weights sum to 1/2, 3/4.", "trapezoid_captum"),
    cube("inclusive-mean-2", 2, F(3, 2), "The mean of 3 α² at 0 and 1: 3/2.", "inclusive_mean"),
    cube("gauss-legendre-2", 2, 1, "Two nodes (1 ± 1/√3)/2: 3/4·(1 + 1/3 ± 2/√3), mean 1. Exact up to degree 3.", "gauss_legendre"),
    cube("zennit-20", 20, F(861, 800), "Σ 3 (k/20)²/20 for k = 1 .. 20 is 21·41/(2·20²).", "right"),
    cube("deepexplain-100", 100, F(20301, 20000), "Σ 3 (k/100)²/100 for k = 1 .. 100 is 101·201/(2·100²).", "right"),
    cube("innvestigate-64", 64, F(8001, 8192), "Σ 3 (k/64)²/64 for k = 0 .. 63 is 63·127/(2·64²).", "left"),
    cube("pair-25", 25, F(49, 48), "The mean of 3 (k/24)² for k = 0 .. 24 is 49/(2·24).", "inclusive_mean"),
    cube("trulens-50", 50, F(99, 98), "The mean of 3 (k/49)² for k = 0 .. 49 is 99/(2·49).", "inclusive_mean"),
    cube("deeplift-50", 50, F(9999, 10000), "Midpoints miss 1/(4·50²) of the integral of 3 α².", "midpoint"),
    cube("authors-50", 50, F(5001, 5000), "Trapezoids add 1/(2·50²) to the integral of 3 α².", "trapezoid"),
    cube("captum-trapezoid-50", 50, F(4803, 4900), "Trapezoids of 49 intervals, 1 + 1/(2·49²), times 49/50, the sum of the weights.",
         "trapezoid_captum"),
    cube("xplique-50", 50, F(4803, 4802), "Trapezoids of 49 intervals: 1 + 1/(2·49²).", "trapezoid_xplique"),
    cube("captum-50", 50, 1, "Fifty Gauss-Legendre nodes are exact up to degree 99.", "gauss_legendre"),
    Worked("integrated_gradients", "net-a", net_a, A, [[6, -5]], "Without biases the gradient on the line is (2, -5) throughout.", IG),
    on_b("integrated_gradients", "net-b-midpoint-3", [[F(16, 3), F(-4, 3)]],
         ON_NET_B + "At 1/6, 1/2, 5/6: mean (8/3, -4/3), times (2, 1): no midpoint's piece has the kink inside.", IG, quadrature="midpoint",
         steps=3),
    on_b("integrated_gradients", "net-b-left-2", [[3, F(-1, 2)]], ON_NET_B + "At 0 and 1/2: mean (3/2, -1/2).", IG, quadrature="left",
    steps=2),
    on_b("integrated_gradients", "net-b-right-2", [[6, -1]], ON_NET_B + "At 1/2 and 1: (3, -1).", IG, quadrature="right", steps=2),
    on_b("integrated_gradients", "net-b-trapezoid-2", [[F(9, 2), F(-3, 4)]], ON_NET_B + "At 0, 1/2, 1 with 1/4, 1/2, 1/4: (9/4, -3/4).", IG,
         quadrature="trapezoid", steps=2),
    Worked("integrated_gradients", "product", interaction, [[1, 1]], [[F(3, 2), F(1, 2)]], "∂f = (1 + x2, x1) at (1/2, 1/2).", IG,
           settings={"quadrature": "midpoint", "steps": 1}, exact=True),
    Worked("integrated_gradients", "baseline", power(2), [[3]], [[8]], "From 1 to 3: 2·2 in the middle, times 2: 9 - 1.", IG,
           settings={"quadrature": "midpoint", "steps": 1, "baseline": 1}, exact=True),
    Worked("integrated_gradients", "gradient-alone", power(3), [[2]], [[6]], "∂f = 3 x² at 0 and 2: mean 6, not multiplied by 2.", IG,
           settings={"quadrature": "inclusive_mean", "steps": 2, "multiply": False}, exact=True),
    integral("net-a", net_a, A, [[6, -5]], "One piece: no unit changes its sign. (2, -5) times (3, 1).", {"pieces": [1]}),
    integral("net-b", net_b, B, [[F(16, 3), F(-4, 3)]],
             ON_NET_B + "Means 2·1/3 + 3·2/3 = 8/3 and -2/3 - 2/3 = -4/3, times (2, 1).", {"pieces": [2]}),
    integral("saturating", saturating, [[2]], [[1]], "f = x up to 1, then 1: the slope is 1 on half of the way, times 2.", {"pieces": [2]}),
    integral("over-a-kink", rectifier, [[2]], [[2]], "From -3 to 2 the ReLU is on in the last 2/5, times 5.", {"pieces": [2]}, baseline=-3),
    integral("maximum-changes-hands", window, [[[3, 1]]], [[[F(3, 2), F(-1, 2)]]],
             "From (0, 2) to (3, 1): 3 α meets 2 - α at 1/2. Before, x2 falls by 1/2; then x1 rises by 3/2.", {"pieces": [2]},
             target=(0, 0), baseline=[[[0, 2]]]),
    integral("max-pool-tie", pooled(), [[[1, 3, 2, 2]]], [[[0, 6, 2, 0]]], "The same winners on the whole line, of a tie the first.",
             {"pieces": [1]}),
    integral("residual", residual, A, [[6, 1]], "No bias, one piece: (2, 1) times (3, 1).", {"pieces": [1]}),
    integral("shared-part", shared_part, [[20, 10]], [[0, 10]], "∂f = (1 - 1, 1) on the whole line, times (20, 10).", {"pieces": [1]}),
    integral("greater-of-two", greater, [[3]], [[6]], "max(x, 2 x) = 2 x on the whole line from 0 to 3.", {"pieces": [1]}),
    on_b("interior_gradients", "three-counterfactuals", [[F(11, 2), F(-5, 4)]],
         ON_NET_B + "At 1/4, 1/2, 1: (2, -2)/4 + (3, -1)/4 + (3, -1)/2 = (11/4, -5/4), times (2, 1).", COUNTERFACTUAL,
         alphas=[F(1, 4), F(1, 2), 1]),
    on_b("interior_gradients", "cumulative", [[F(11, 4), F(-5, 4)]], ON_NET_B + "The sum (2, -2)/4 + (3, -1)/4 + (3, -1)/2 itself.",
         COUNTERFACTUAL, alphas=[F(1, 4), F(1, 2), 1], multiply=False),
    on_b("interior_gradients", "final-gradient", [[6, -1]], ON_NET_B + "α = 1 alone: (3, -1) times (2, 1).", COUNTERFACTUAL, alphas=[1]),
    Worked("interior_gradients", "square", power(2), [[3]], [[F(27, 2)]], "∂f = 3 at 1/2 and 6 at 1: 3 (3/2 + 6/2). f itself is 9.",
           COUNTERFACTUAL, settings={"steps": 2}, extras={"curve": [[F(9, 4), 9]]}, exact=True),
    on_b("expected_gradients", "two-references", [[F(8, 3), F(-2, 3)]],
         "From (0, 0) integrated gradients are (16/3, -4/3), from x itself 0: the mean.", "erion2021 eq. 3",
         background=[[0, 0], [2, 1]], quadrature="midpoint", steps=3),
    Worked("expected_gradients", "affine", linear(2, -3), [[4, 1]], [[6, -6]], "The gradient is (2, -3), the mean reference (1, -1).",
           "erion2021 eq. 3", settings={"background": [[0, 0], [2, -2]], "quadrature": "midpoint", "steps": 1}, exact=True),
    Worked("expected_gradients", "square", power(2), [[3]], [[F(17, 2)]], "From 0: 9 - 0, from 1: 9 - 1; the mean.", "erion2021 eq. 3",
           settings={"background": [[0], [1]], "quadrature": "midpoint", "steps": 1}, exact=True),
    Worked("blur_ig", "one-pixel-in-the-dark", pixels(2), [[[[3]]]], [[[[6 * (1 - CENTRE**2)]]]],
           "f = 2 x. Blurred with σ = 1/2 the pixel keeps c = 1/(1 + 2 e^-2 + 2 e^-8) of its 3 along either axis, zeros lie around it: "
           "2·(3 - 3 c²).",
           "xu2020 eq. 4", settings={"sigma": 0.5, "steps": 3}),
    Worked("blur_ig", "one-pixel-repeated", pixels(2), [[[[3]]]], [[[[0]]]], "Beyond the border the pixel goes on: no blur changes it.",
           "xu2020 eq. 4", settings={"sigma": 0.5, "steps": 3, "border": "nearest"}),
    Worked("blur_ig", "two-pixels", pixels(2, -1), [[[[3, 1]]]],
           [[[[2 * (3 - CENTRE**2 * (3 + math.exp(-2))), -(1 - CENTRE**2 * (1 + 3 * math.exp(-2)))]]]],
           "With c = 1/(1 + 2 e^-2 + 2 e^-8) the blurred pixels are c² (3 + e^-2) and c² (1 + 3 e^-2): w (x - blurred), f is linear there.",
           "xu2020 eq. 4", settings={"sigma": 0.5, "steps": 2}),
    Worked("guided_ig", "product", interaction, [[1, 1]], [[2, 0]],
           "∂f at 0 is (1, 0): x2 goes first, at no gain; then x1 from 0 to 1 at the slope 1 + 1. Integrated gradients are (3/2, 1/2).",
           "kapishnikov2021 section 4", settings={"steps": 4, "max_dist": 1}, exact=True),
    Worked("guided_ig", "straight", net_b, B, [[3, F(-1, 2)]], ON_NET_B + "No room beside the line: gradients at 0 and 1/2, (0, 0) and (3, "
           "-1), each times half of (2, 1).", "kapishnikov2021 section 4", settings={"steps": 2, "max_dist": 0}, exact=True),
    Worked("guided_ig", "affine", linear(2, -3), [[4, 1]], [[8, -3]], "Whatever the path: 2·4 and -3·1.", "kapishnikov2021 section 4",
           settings={"steps": 5}, exact=True),
    *(on_b("conductance", f"net-b-{q}", {"relu1": [[2, 2]]},
    "The head is linear, f = h1 + 2 h2: 1·(2 - 0) and 2·(1 - 0), whatever the steps.",
           CONDUCTANCE, layer="relu1", quadrature=q, steps=3) for q in ("midpoint", "left", "right", "trapezoid", "exact")),
    Worked("conductance", "cube-midpoint", power(3), [[1]], {"h": [[F(15, 16)]]}, "Δh = 1/2 twice, ∂f/∂h = 3/16 at 1/4, 27/16 at 3/4.",
           CONDUCTANCE, settings={"layer": "h", "steps": 2}, exact=True),
    Worked("conductance", "cube-left", power(3), [[1]], {"h": [[F(3, 8)]]},
    "Δh = 1/2 twice, ∂f/∂h = 0 and 3/4. captum's riemann_trapezoid.",
           CONDUCTANCE, settings={"layer": "h", "steps": 2, "quadrature": "left"}, exact=True),
    Worked("conductance", "cube-trapezoid", power(3), [[1]], {"h": [[F(9, 8)]]}, "Δh = 1/2 twice, ∂f/∂h = (0 + 3/4)/2 and (3/4 + 3)/2.",
           CONDUCTANCE, settings={"layer": "h", "steps": 2, "quadrature": "trapezoid"}, exact=True),
    on_b("conductance", "through-the-first-unit", [[F(4, 3), F(2, 3)]],
         "relu(x1 + x2 - 1), weight 1, is on for α from 1/3: 2/3·(1, 1), times (2, 1). Sum 2, its conductance.", CONDUCTANCE, layer="relu1",
         neuron=0, quadrature="exact"),
    on_b("conductance", "through-the-second-unit", [[4, -2]], "2 relu(x1 - x2) is on throughout: 2·(1, -1), times (2, 1). Sum 2.",
         CONDUCTANCE, layer="relu1", neuron=1, quadrature="exact"),
    Worked("conductance", "of-the-inputs", net_a, A, [[6, -5]], "Without a layer it is integrated gradients: (2, -5) times (3, 1).",
           CONDUCTANCE, settings={"steps": 2}, exact=True),
    on_b("internal_influence", "linear-head", {"relu1": [[1, 2]]}, "∂f/∂h = (1, 2) wherever the input is.", INFLUENCE, layer="relu1",
         quadrature="midpoint", steps=3),
    on_b("internal_influence", "of-the-inputs", [[F(8, 3), F(-4, 3)]], ON_NET_B + "The mean gradient: 2/3 + 2, -2/3 - 2/3.", INFLUENCE,
         quadrature="exact"),
    Worked("internal_influence", "cube", power(3), [[1]], {"h": [[F(15, 16)]]}, "The mean of 3 h² at 1/4 and 3/4: (3/16 + 27/16)/2.",
           INFLUENCE, settings={"layer": "h", "steps": 2, "quadrature": "midpoint"}, exact=True),
    noisy("smoothgrad", "parabola", half_square, [[0]], [[0]], "∂f = x at -1 and +1: the mean is 0.", [[[-1]], [[1]]]),
    noisy("smoothgrad", "net-b", net_b, B, [[2, 0]], ON_B + "The mean: (2, 0).", SIDES),
    noisy("smoothgrad", "linear", linear(2, -3), [[4, 1]], [[2, -3]], "The gradient is (2, -3) at every point.", [[[5, -7]], [[1, 2]]]),
    noisy("smoothgrad", "of-saliency", half_square, [[0]], [[1]], "|∂f| = 1 at -1 and at +1: the mean of maps without signs.",
          [[[-1]], [[1]]], of="saliency"),
    noisy("smoothgrad", "one-draw", net_b, B, [[1, 1]], "At (1, 1) z = (1, 0): the second unit is off, (1, 1).", [[[-1, 0]]]),
    noisy("smoothgrad_squared", "parabola", half_square, [[0]], [[1]], "(-1)² and 1²: the mean is 1. PAIR's SmoothGrad by default.",
          [[[-1]], [[1]]]),
    noisy("smoothgrad_squared", "net-b", net_b, B, [[5, 1]], ON_B + "Squares (9, 1) and (1, 1), the mean (5, 1).", SIDES),
    noisy("vargrad", "parabola", half_square, [[0]], [[1]], "-1 and 1 around their mean 0: (1 + 1)/2.", [[[-1]], [[1]]]),
    noisy("vargrad", "parabola-unbiased", half_square, [[0]], [[2]], "-1 and 1 around their mean 0: (1 + 1)/(2 - 1).", [[[-1]], [[1]]],
    ddof=1),
    noisy("vargrad", "net-b", net_b, B, [[1, 1]], ON_B + "Around the mean (2, 0): (1, 1) for both.", SIDES),
    noisy("vargrad", "linear", linear(2, -3), [[4, 1]], [[0, 0]], "The gradient of a linear f does not vary.", [[[5, -7]], [[1, 2]]]),
)
