"""Worked numbers of objectives and presets: two pixels and a linear score are enough for most."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.ops import Conv, Dense, Flatten
from xaicore.oracle.worked.number import Number
from xaicore.visualize import objectives as o
from xaicore.visualize.objective import Objective, bind
from xaicore.visualize.presets import PRESETS
from xaicore.visualize.search import render

A = np.array([[[[1.0, 2.0]], [[3.0, -2.0]]]])                            # one sample, two channels, two positions
SUM = ((3.0, 4.0),)


def dots(weights: Any = SUM) -> Graph:
    """Scores of an image of two pixels."""
    b = Builder("dots")
    return b.build(b.add(Dense(), b.add(Flatten(), b.input("x", (None, 1, 1, 2)), name="flat"), b.param("w", weights), name="score"))


def net_a_as_image() -> Graph:
    """The network A of the worked numbers (z1 = x1 - x2, z2 = x1 + 2 x2, z3 = -x1 + x2), its hidden layer without the ReLU."""
    b = Builder("a")
    x = b.input("x", (None, 2, 1, 1))
    return b.build(b.add(Conv(), x, b.param("w", [[[[1.0]], [[-1.0]]], [[[1.0]], [[2.0]]], [[[-1.0]], [[1.0]]]]), name="hidden"))


def _both(objective: Objective, a: Any = A) -> list[float]:
    """The score and the gradient of the first sample's terms."""
    (term,) = objective.terms
    score, g = term.measure(np.asarray(a, dtype=float))
    return [float(score[0]), *g[0].reshape(-1)]


def _first(id: str, x: Any, bounds: tuple[float, float] = (0.0, 255.0), steps: int = 1, **more: Any) -> Callable[[], Any]:
    """What the first step of a preset makes of an image under 3 x1 + 4 x2, in grey levels."""
    def run() -> Any:
        return render(dots(), o.class_logit(0), PRESETS[id].make(bounds, **more), start=[[x]], steps=steps, bounds=bounds).images[0, 0, 0]

    return run


def _blurred(width: float, own: float, other: float) -> float:
    """The first of two pixels under a Gaussian that is mirrored at both ends: own own other | own other other own own ..."""
    reach = int(4 * width + 0.5)
    weights = {k: np.exp(-0.5 * (k / width) ** 2) for k in range(-reach, reach + 1)}
    value = sum(w * (own if k % 4 in (0, 3) else other) for k, w in weights.items())
    return float(value / sum(weights.values()))


G1, G2 = (100 + 0.9 * g / (12.5**0.5 + 1e-5) for g in (3, 4))


def _drawn(id: str) -> Callable[[], Any]:
    """One Adam step of the constant coefficient alone, no transformations: the change of the image's mean."""
    def run() -> Any:
        plain = replace(PRESETS[id].make((0.0, 1.0)), transforms=())
        p = plain.image.start(np.random.default_rng(0), (1, 1, 1, 2))
        one = render(dots(((1.0, 1.0),)), o.class_logit(0), plain, steps=1, bounds=(0, 1)).images
        moved = plain.image.of(one) - p                                  # Adam's first step is the rate, in the direction of the slope
        return moved[0, 0, 0, 0, :1]

    return run


_OBJECTIVES: dict[str, Number] = {
    "neuron": Number(lambda: _both(o.neuron("l", 1, (0, 0))), [3, 0, 0, 1, 0], "the entry 3, slope 1 there"),
    "channel": Number(lambda: _both(o.channel("l", 0)), [1.5, 0.5, 0.5, 0, 0], "(1 + 2)/2"),
    "layer": Number(lambda: _both(o.layer("l")), [4.5, 0.5, 1, 1.5, -1], "(1 + 4 + 9 + 4)/4; 2 a / 4"),
    "energy": Number(lambda: bind(net_a_as_image(), o.energy("hidden")).at(np.array([[[[2.0]], [[1.0]]]]))[1][0, :, 0, 0], [6, 6],
                     "z = (1, 4, -1); Wᵀz = (1 + 4 + 1, -1 + 8 - 1)"),
    "class_logit": Number(lambda: bind(dots(), o.class_logit(0)).at(np.array([[[[1.0, 2.0]]]]))[0], [11], "3 + 8"),
    "class_probability": Number(lambda: [*(f := bind(dots(((0.0, 0), (np.log(3), 0))), o.class_probability(1)).at(
        np.array([[[[1.0, 0]]]])))[0], f[1][0, 0, 0, 0]], [0.75, np.log(3) * 3 / 16], "3/(1 + 3); slope p (1 - p) ln 3"),
    "direction": Number(lambda: _both(o.direction("l", (1, -1), 0)), [1, 0.5, 0.5, -0.5, -0.5], "(1 - 3 + 2 + 2)/2"),
    "difference": Number(lambda: bind(net_a_as_image(), o.difference(o.channel("hidden", 1), o.channel("hidden", 0))).at(
        np.array([[[[2.0]], [[1.0]]]]))[0], [3], "z2 - z1 = 4 - 1"),
    "interpolation": Number(lambda: [t.measure(np.concatenate([A, A]))[0] for t in o.interpolation(o.channel("l", 0), o.neuron(
        "l", 1, (0, 0))).terms], [[1.5, 0], [0, 3]], "the first image has all of (1 + 2)/2, the second all of 3"),
    "diversity": Number(lambda: [t.measure(np.array([[[[1.0]], [[0.0]]], [[[1.0]], [[1.0]]]]))[0] for t in o.diversity("l").terms],
                        [[-0.25, -0.25]], "Gram matrices (1 0; 0 0) and (1 1; 1 1): cosine 1/(1·2), over N = 2"),
    "style": Number(lambda: _both(o.style("l", np.zeros((2, 1, 1))))[:1], [-(25 + 1 + 1 + 169) / 16],
                    "G = (1 + 4, 3 - 4; ., 9 + 4) / 4 against 0: -(5² + 1 + 1 + 13²)/16"),
    "match": Number(lambda: _both(o.match("l", [[[1.0, 0]], [[3.0, 0]]]))[:1], [-0.8], "-(2² + 2²)/(1 + 9)"),
    "guide": Number(lambda: _both(o.guide("l", [[[1.0, 0]], [[0.0, 1]]])), [5, 0, 1, 1, 0],
                    "position (1, 3) is best met by (0, 1): 3; position (2, -2) by (1, 0): 2"),
    "l2": Number(lambda: _both(o.l2())[:1], [18], "1 + 4 + 9 + 4"),
    "norm": Number(lambda: _both(o.norm(3))[:1], [44], "1 + 8 + 27 + 8"),
    "total_variation": Number(lambda: _both(o.total_variation())[:1], [26], "(2 - 1)² + (-2 - 3)²"),
}
_PRESETS: dict[str, Number] = {
    "simonyan": Number(_first("simonyan", (0.0, 0.0), (-1.0, 1.0), 300, weight=2.0), [3, 4], "w / (2 λ) with λ = 2/2²"),
    "yosinski1": Number(_first("yosinski1", (100.0, 100.0)), [0, _blurred(0.5, 100.32, 100.24)],
                        "2/25 of (3, 4) is added; blurred; the smaller of two is below their median"),
    "yosinski2": Number(_first("yosinski2", (100.0, -200.0)), [255, 0],
                        "(100, -200) + 100 (3, 4) = (400, 200), times 0.7; 140 is below 140 + 0.2 · 140, 280 is cut to 255"),
    "yosinski3": Number(_first("yosinski3", (-200.0, -200.0)), [_blurred(1, 99.99, 199.98), _blurred(1, 199.98, 99.99)],
                        "(100, 200) times 0.9999, blurred"),
    "yosinski4": Number(_first("yosinski4", (100.0, 100.0)), [0, _blurred(0.5, 100.32, 100.24)],
                        "2/25 of (3, 4) is added; blurred; the contribution 3 x1 is below the 90th percentile, 4 x2 is not"),
    "jacobgil": Number(_first("jacobgil", (100.0, 100.0)), [((2 * G1 + G2) + 2.4 * G1) / 7, ((G1 + 2 * G2) + 2.4 * G2 + G2) / 7],
                       "a step of 0.9 of root mean square 1; blurs (2 a + b)/3 and (a + 2 b)/3; 0.8 of each; the larger of the two stays"),
    "inversion": Number(lambda: render(dots(), o.match("flat", [6000.0, 8000]), PRESETS["inversion"].make((0, 255))).images[0, 0, 0],
                        [7000 - 1000 / 3, 7000 + 1000 / 3], "the mean stays; the difference 2000 shrinks by 1 + 2 · 1e-8 · 1e8 = 3", 1e-6),
    # L-BFGS stops where the function no longer falls by 1e-14 of its size: the square of the distance
    "keras_blog": Number(_first("keras_blog", (100.0, 100.0)), [100 + 3 / (12.5**0.5 + 1e-5), 100 + 4 / (12.5**0.5 + 1e-5)],
                         "sqrt((9 + 16)/2) is the size; one grey level"),
    "deepdream": Number(lambda: render(dots(((1.0, 1.0),)), o.class_logit(0), "deepdream", start=[[[100.0, 100]]], steps=1,
                                       bounds=(0, 255)).images[0, 0, 0], [101.5, 101.5], "1.5 · 1/1, wherever it is rolled to"),
    "fooling": Number(_first("fooling", (100.0, 100.0)), [102, 102], "Adam's first step is its rate, two grey levels"),
    "olah": Number(_drawn("olah"), [0.05], "Adam's first step is its rate", 1e-8),
    "olah_small": Number(_drawn("olah_small"), [0.05], "Adam's first step is its rate", 1e-8),                # its eps of 1e-8
}
OBJECTIVE_WORKED: Mapping[str, Number] = MappingProxyType(_OBJECTIVES)
PRESET_WORKED: Mapping[str, Number] = MappingProxyType(_PRESETS)
