"""Worked numbers of the metrics: for every row of METRICS one that someone can follow with a pencil."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from math import log, log2, sqrt
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.metrics.roar import Data
from xaicore.metrics.subject import Subject, subject
from xaicore.metrics.train import Sgd, train
from xaicore.numerics import Array
from xaicore.ops import Dense, Flatten, ReLU


@dataclass(frozen=True)
class WorkedMetric:
    """``METRICS[metric].run(subject(), **settings)`` is ``expected``, one number for each sample (NaN: not defined)."""

    metric: str
    subject: Callable[[], Subject]
    expected: Sequence[float]
    by_hand: str
    settings: Mapping[str, Any] = field(default_factory=dict)


# ----- networks ---------------------------------------------------------------------------------------------------------


def net(*weights: Any, biases: Sequence[Any] = ()) -> Graph:
    """Dense layers with ReLU between them; a bias of None, or none at all, is left out."""
    b = Builder("net", "float64")
    x = b.input("x", (None, len(weights[0][0])))
    for k, w in enumerate(weights):
        bias = biases[k] if k < len(biases) else None
        extra = [] if bias is None else [b.param(f"b{k}", np.array(bias, dtype=float))]
        x = b.add(Dense(), x, b.param(f"w{k}", np.array(w, dtype=float)), *extra)
        x = b.add(ReLU(), x) if k + 1 < len(weights) else x
    return b.build(x)


def of_picture(weights: Any, height: int, width: int, bias: Any = None) -> Graph:
    """An affine function of a picture of one channel."""
    b = Builder("picture", "float64")
    x = b.add(Flatten(), b.input("x", (None, 1, height, width)))
    extra = [] if bias is None else [b.param("b", np.array(bias, dtype=float))]
    return b.build(b.add(Dense(), x, b.param("w", np.array(weights, dtype=float)), *extra))


NET_A = net([[1, -1], [1, 2], [-1, 1]], [[3, -1, 2]])
"""x = (3, 1): z = (2, 5, -2), f = 3·2 - 5 = 1; gradient * input (6, -5). f(0, 1) = 0, f(3, 0) = 6, f(0, 0) = 0."""
NET_B = net([[1, 1], [1, -1]], [[1, 2]], biases=[[-1, 0]])
"""x = (2, 1): f = 4; gradient (3, -1)."""


def a(method: Any = "gradient_x_input") -> Subject:
    return subject(NET_A, [[3.0, 1.0]], method, 0)


def affine(w: Sequence[float], x: Sequence[float], map: Any) -> Subject:
    """f(x) = Σ w x, and a map (numbers, or a method)."""
    return subject(net([w]), [list(x)], map if isinstance(map, str) or callable(map) else np.array([map], dtype=float), 0)


def shown(*maps: Sequence[float]) -> Subject:
    """Maps alone, one for each sample."""
    values = np.array(maps, dtype=float)
    return subject(net(np.ones((2, values.shape[1])).tolist()), np.ones(values.shape), values, 0)


def of_input(graph: Graph, feeds: Any, target: Any) -> Array:
    """A map that knows no model: the input."""
    return np.asarray(feeds["x"])


def blind() -> Subject:
    return subject(net([[1, 2, 3], [3, 1, 2]]), [[1.0, 3.0, 2.0]], of_input, 0)


def first_only(graph: Graph, feeds: Any, target: Any) -> Array:
    """All of the map on the first feature."""
    return np.asarray(np.ones((len(feeds["x"]), 1)) * [1.0, 0.0])


def ranker(graph: Graph, x: Array, y: Array, seed: int) -> Graph:
    """Fifty steps of gradient descent on all data at once: enough for what one feature tells."""
    return train(graph, x, y, optimizer=Sgd(0.5, 0.0), epochs=50, schedule="constant", seed=seed)


FACTORIAL = np.array([[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]])
PLANTED = Data(FACTORIAL, np.array([0, 0, 1, 1]), FACTORIAL, np.array([0, 0, 1, 1]))
"""The class is the sign of x1; x2 tells nothing, in every balanced half."""

SPOT = np.array([[[[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]]])
CENTRE = [[0, 0, 0, 0, 10, 0, 0, 0, 0], [0] * 9]


def spot() -> Subject:
    """Class 0 scores 10 times the middle pixel, class 1 scores 5; only the middle is 1, and the map is the picture."""
    return subject(of_picture(CENTRE, 3, 3, [0, 5]), SPOT, SPOT, 0)


def signs() -> Subject:
    """Three samples with maps of one sign pattern, of classes 0, 0, 1."""
    x = np.array([[1.0], [1.1], [-1.0]])
    return subject(net([[1], [-1]]), x, np.array([[1.0], [1.1], [1.2]]), 0)


def three() -> Subject:
    return shown((0.1, 0.4, 0.3, 0.2))


TRUTH = {"truth": [0, 1, 1, 0]}
DENSITY = {"human": [0.4, 0.4, 0.2]}


def distribution() -> Subject:
    return shown((0.5, 0.3, 0.2))


EXAMPLES = (
    WorkedMetric("faithfulness.correlation", lambda: affine([3, -1, 2], [1, 1, 1], [3, -1, 2]), [1.0],
                 "f = 3x1 - x2 + 2x3, a = (3, -1, 2): without S, f loses Σ_S a, so both sides are equal: r = 1",
                 {"samples": 5, "subset": 2}),
    WorkedMetric("faithfulness.estimate", lambda: affine([1, 2, 3], [1, 1, 1], [1, 3, 2]), [0.5],
                 "drops (1, 2, 3), a = (1, 3, 2): deviations (-1, 0, 1) and (-1, 1, 0): r = 1 / (√2 √2) = 1/2"),
    WorkedMetric("monotonicity", lambda: affine([1, 2, -1], [1, 1, 1], [1, 2, 3]), [0.0],
                 "in ascending order of a: f = 1, 1 + 2 = 3, 3 - 1 = 2: it falls at the last step"),
    WorkedMetric("monotonicity.correlation", lambda: affine([1, 2, 3], [1, 1, 1], [1, 3, 2]), [0.5],
                 "against the one reference 0: losses (1, 4, 9)/36, ranks (1, 2, 3); ranks of |a| (1, 3, 2): r = 1/2",
                 {"background": np.zeros((1, 3))}),
    WorkedMetric("pixel_flipping", a, [0.25], "a = (6, -5): f(3,1) = 1, f(0,1) = 0, f(0,0) = 0; area (1 + 0)/2 · 1/2 + 0 = 1/4",
                 {"steps": None}),
    WorkedMetric("deletion", a, [0.25], "the same curve 1, 0, 0: 1/4", {"steps": None}),
    WorkedMetric("insertion", a, [3.25], "f(0,0) = 0, f(3,0) = 6, f(3,1) = 1: (0 + 6)/4 + (6 + 1)/4 = 13/4",
                 {"steps": None, "baseline": 0}),
    WorkedMetric("region_perturbation", a, [2 / 3], "curve 1, 0, 0: AOPC = (0 + 1 + 1)/3 (E64)", {"baseline": 0}),
    WorkedMetric("selectivity", a, [0.25], "features are the patches: curve 1, 0, 0, area 1/4"),
    WorkedMetric("sensitivity_n", lambda: affine([3, -1, 2], [1, 1, 1], [-3, 1, -2]), [-1.0],
                 "a is the negative of the contributions: r = -1 for every n", {"sizes": [1, 2], "samples": 8}),
    WorkedMetric("irof", lambda: subject(of_picture([[1, 0, 0, 0]], 2, 2), [[[[4.0, 0], [0, 0]]]], np.array([[[[4.0, 0], [0, 0]]]]), 0),
                 [0.5625],
                 "f is the first pixel, 4; mean 1. Upper segment first: f/f(x) = 1, 1/4, 1/4; area 5/16 + 1/8 = 7/16; 1 - 7/16",
                 {"segments": [[0, 0], [1, 1]]}),
    WorkedMetric("infidelity", lambda: affine([3, -1], [1, 1], [1, 0]), [1.0],
                 "without noise I = x: Σ I a = 1, f(x) - f(0) = 2: (1 - 2)² = 1", {"sigma": 0.0, "samples": 3}),
    WorkedMetric("road", spot, [0.5], "nothing gone: 10 > 5, right; the middle imputed by eight zeros: 0 < 5, wrong; mean 1/2",
                 {"shares": (0.0, 1 / 9), "sigma": 0.0}),
    WorkedMetric("sufficiency", signs, [0.5, 0.5, 0.0], "all three are near; of the two others one, one and none have the class",
                 {"distance": "euclidean", "threshold": 0.6}),
    WorkedMetric("consistency", signs, [0.5, 0.5, 0.0], "all three have the code +; of the two others one, one and none have the class",
                 {"code": "sign"}),
    WorkedMetric("pic.sic", spot, [0.5], "blurred: all 0, p = σ(-5); with the top 1/9 it is x: information and p rise together: area 1/2",
                 {"thresholds": (1 / 9,), "seed": 2}),
    WorkedMetric("pic.aic", spot, [0.5], "the same, from wrong to right: area 1/2", {"thresholds": (1 / 9,), "seed": 2}),
    WorkedMetric("local_lipschitz", lambda: affine([2, 2], [1, 3], "gradient_x_input"), [2.0], "e(x) = 2x: ‖2d‖ / ‖d‖ = 2"),
    WorkedMetric("sensitivity.max", lambda: affine([2, 2], [1, 3], "gradient"), [0.0], "the gradient of an affine f does not move"),
    WorkedMetric("sensitivity.avg", lambda: affine([2, 2], [1, 3], "gradient"), [0.0], "the gradient of an affine f does not move"),
    WorkedMetric("continuity", lambda: subject(of_picture([[1, 1, 1]], 1, 3), [[[[1.0, 0, 0]]]], "gradient_x_input", 0), [sqrt(2)],
                 "e = x: (1,0,0) moves to (0,1,0) and (0,0,1): ‖·‖₁ = 2, ‖·‖₂ = √2: 2/√2", {"shifts": 2}),
    WorkedMetric("stability.input", lambda: affine([2], [1], "gradient_x_input"), [1.0], "e = 2x: (e - e')/e = (x - x')/x: quotient 1"),
    WorkedMetric("stability.output", lambda: affine([2], [1], "gradient_x_input"), [0.5], "(e - e')/e = -d at x = 1, h - h' = -2d: 1/2"),
    WorkedMetric("stability.representation", lambda: affine([2], [1], "gradient_x_input"), [1.0],
                 "the last layer's input is x itself: quotient 1"),
    WorkedMetric("pointing_game", three, [1.0], "the largest is .4, second, inside {2, 3} (E77)", TRUTH),
    WorkedMetric("attribution_localisation", three, [0.7], "(.4 + .3) / 1 (E77)", TRUTH),
    WorkedMetric("mu_weighted", three, [1.4], ".7 · 4/2 = 1.4 (E77)", TRUTH),
    WorkedMetric("relevance_mass", three, [0.7], "inside .4 + .3, in all 1: .7", TRUTH),
    WorkedMetric("relevance_rank", lambda: shown((0.1, 0.4, 0.15, 0.2)), [0.5], "the two largest are 2 and 4; of them 2 is inside {2, 3}",
                 TRUTH),
    WorkedMetric("top_k_intersection", three, [2 / 3], "the three largest are 2, 3, 4; inside are 2 and 3", {**TRUTH, "k": 3}),
    WorkedMetric("localisation_auc", lambda: shown((0.1, 0.4, 0.15, 0.2)), [0.75],
                 "inside .4, .15, outside .1, .2: three of four pairs won", TRUTH),
    WorkedMetric("sparseness", lambda: shown((0, 0, 1)), [2 / 3], "(2·3 - 3 - 1)/3 · 1/1 = 2/3 (E78)"),
    WorkedMetric("entropy", lambda: shown((0.5, 0.25, 0.25)), [1.5 * log(2)], "½ ln 2 + 2 · ¼ ln 4 = 1.5 ln 2 = 1.0397 (E78)"),
    WorkedMetric("effective_complexity", lambda: affine([10, 1, 0], [1, 1, 1], [10, 1, 0]), [1.0],
                 "f = 11, limit .01 · 121 = 1.21; none kept: loss 121; one: (11 - 10)² = 1, good enough"),
    WorkedMetric("file_size", lambda: shown((0,)), [9.0],
                 "one grey byte 128: 2 bytes of head, 3 + 8 + 7 = 18 bits of deflate in 3 bytes, 4 of checksum", {"format": "zlib"}),
    WorkedMetric("mprt", blind, [1.0], "a map that knows no model does not change with it: ranks equal"),
    WorkedMetric("mprt.smooth", blind, [1.0], "the average of the inputs does not change with the model"),
    WorkedMetric("mprt.efficient", blind, [0.0], "the same entropy before and after"),
    WorkedMetric("random_logit", blind, [1.0], "a map that knows no class is the same for the other one"),
    WorkedMetric("csc", blind, [1.0], "the same map for every direction: |cos| = 1"),
    WorkedMetric("completeness", lambda: subject(NET_B, [[2.0, 1.0]], "gradient_x_input", 0), [0.25],
                 "f(x) - f(0) = 4, Σ a = 6 - 1 = 5: 1/4"),
    WorkedMetric("non_sensitivity", lambda: affine([1, 0], [1, 2], [1, 1]), [1.0],
                 "f does not depend on x2, and the map says that it does"),
    WorkedMetric("input_invariance", lambda: subject(NET_B, [[2.0, 1.0]], "gradient_x_input", 0), [0.5],
                 "x + 1 = (3, 2): (6, -1) becomes (9, -2) (S07): 3 / 6", {"shift": 1.0}),
    WorkedMetric("fixation.auc_judd", lambda: shown((1, 2, 3, 4)), [0.875],
                 "fixated 2 and 4: points (0, ½) at 4, (½, 1) at 2, (1, 1): ½ · ¾ + ½ · 1", {"fixations": [0, 1, 0, 1]}),
    WorkedMetric("fixation.auc_borji", lambda: shown((0, 1)), [1.0],
                 "the one drawn place is the first (default_rng([1, 0])): 0 against 1, all thresholds tell them apart",
                 {"fixations": [0, 1], "splits": 1, "seed": 1}),
    WorkedMetric("fixation.auc_shuffled", lambda: shown((0, 1, 0.5)), [1.0], "elsewhere only the first place was fixated: 0 against 1",
                 {"fixations": [0, 1, 0], "others": [2, 0, 0], "splits": 3}),
    WorkedMetric("fixation.nss", lambda: shown((1, 2, 3)), [1 / sqrt(2 / 3)], "mean 2, deviation √(2/3): (3 - 2)/√(2/3) = 1.2247",
                 {"fixations": [0, 0, 1]}),
    WorkedMetric("fixation.cc", distribution, [0.7559289460184544], "deviations (.1667, -.0333, -.1333) and (.0667, .0667, -.1333) (E59)",
                 DENSITY),
    WorkedMetric("fixation.sim", distribution, [0.9], ".4 + .3 + .2 (E59)", DENSITY),
    WorkedMetric("fixation.kl", distribution, [0.4 * log(0.8) + 0.4 * log(4 / 3)], ".4 ln .8 + .4 ln 4/3 + 0 = .025816 (E59)", DENSITY),
    WorkedMetric("fixation.emd", lambda: shown((0.5, 0.5, 0)), [1.0], "½ moves from the first place to the third, or ½ by one twice: 1",
                 {"human": [0, 0.5, 0.5]}),
    WorkedMetric("fixation.information_gain", distribution, [log2(1.5)], "log2 .5 - log2 1/3 = log2 1.5 = .584963 bits (E59)",
                 {"fixations": [1, 0, 0]}),
    WorkedMetric("roar", lambda: subject(net([[1, 0], [0, 1]]), FACTORIAL[:1], first_only, 0), [0.75],
                 "all there: accuracy 1; x1 at its mean 0: each x2 has both classes, exactly ½; area ¾ (E79)",
                 {"data": PLANTED, "shares": (0.0, 0.5), "trainer": ranker}),
    WorkedMetric("kar", lambda: subject(net([[1, 0], [0, 1]]), FACTORIAL[:1], first_only, 0), [0.75],
                 "nothing kept: ½; x1 kept: 1; area ¾", {"data": PLANTED, "shares": (0.0, 0.5), "trainer": ranker}),
)

METRIC_WORKED: Mapping[str, WorkedMetric] = MappingProxyType({w.metric: w for w in EXAMPLES})

__all__ = ["METRIC_WORKED", "WorkedMetric"]
