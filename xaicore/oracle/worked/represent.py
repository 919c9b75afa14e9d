"""Worked numbers of the representation tools: small enough for paper."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.ops import Conv, Dense, Flatten, ReLU
from xaicore.oracle.worked.number import Number
from xaicore.represent.blocks import between, blocks
from xaicore.represent.cka import cka
from xaicore.represent.dictionary import activation_grid, atlas, semantic_dictionary
from xaicore.represent.features import activations
from xaicore.represent.meta_sne import representation_distances
from xaicore.represent.neighbours import neighbours
from xaicore.represent.nmf import Groups, neuron_groups, nmf
from xaicore.represent.patches import feature_maps, top_patches
from xaicore.represent.receptive import receptive_field
from xaicore.represent.recurrent import clusters, importance_over_time, responses
from xaicore.represent.sequence import Reduced, advantages, reduce_attribution, reduced_attributions, timeline
from xaicore.represent.svcca import cca, pwcca, svcca, svcca_fourier
from xaicore.represent.tsne import affinities, divergence


def two_maps(head: Any = ((1, 0.5, -0.5, 1, 0.25, 0, -1, 0.5),)) -> Graph:
    """Two channels that copy the image and its negative, then a dense end: relu(x), relu(-x) at 2 x 2 positions."""
    b = Builder("two_maps")
    h = b.add(Conv(), b.input("x", (None, 1, 2, 2)), b.param("w", [[[[1.0]]], [[[-1.0]]]]), name="conv")
    h = b.add(ReLU(), h, name="maps")
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", head), name="score"))


def means(size: int = 5, kernel: int = 3) -> Graph:
    """Two convolutions of ones behind each other, no padding."""
    b = Builder("means")
    w = np.ones((1, 1, kernel, kernel))
    h = b.add(Conv(), b.input("x", (None, 1, size, size)), b.param("w1", w), name="first")
    return b.build(b.add(Conv(stride=(2, 2)), h, b.param("w2", np.ones((1, 1, 2, 2))), name="second"))


IMAGE = np.array([[[[1.0, -1.0], [2.0, 0.0]]]])
SQUARE = np.array([[1.0, 1], [1, -1], [-1, 1], [-1, -1], [0, 0]])      # uncorrelated columns of mean 0
STEPS = np.array([[0.0], [1], [3]])
FIRST = Groups(np.zeros((1, 1)), np.array([[1.0, 0]]))                  # one group, which is channel 0


def _pair_kl() -> float:
    """KL of three points on a line against P of equal shares."""
    p = (1 - np.eye(3)) / 6
    return divergence(p, np.array([[0.0], [1.0], [2.0]]))


_ROWS: dict[str, Number] = {
    "activations": Number(lambda: activations(two_maps(), IMAGE, "maps")["maps"], [[[[1, 0], [2, 0]], [[0, 1], [0, 0]]]],
                          "relu of the image and of its negative"),
    "feature_maps": Number(lambda: feature_maps(two_maps(), IMAGE, "conv"), [[[[1, -1], [2, 0]], [[-1, 1], [-2, 0]]]], "kernels 1 and -1"),
    "top_patches": Number(lambda: [(p.value, *p.position, *p.box[0], *p.box[1]) for p in top_patches(
        means(), np.arange(25.0).reshape(1, 1, 5, 5), "first", 0, 1)], [[162, 2, 2, 2, 5, 2, 5]],
        "the sum of the lower right 3 x 3: 9 · 18, at position (2, 2), rows and columns 2 to 4"),
    "receptive_field": Number(lambda: receptive_field(means(), "second", (0, 0, 0)).box, [[0, 4], [0, 4]],
                              "3 + (2 - 1) = 4 pixels along each axis, from 0 on"),
    "neighbours": Number(lambda: neighbours(STEPS, k=1).distances, [[1], [1], [2]], "points 0, 1 and 3: the nearest others are 1, 0 and 1"),
    "cca": Number(lambda: cca(SQUARE, SQUARE[:, :1] + SQUARE[:, 1:]).correlations, [1], "x1 + x2 lies in the span of x1 and x2"),
    "svcca": Number(lambda: svcca(SQUARE * [3, 1], SQUARE[:, :1], keep=0.9).correlations, [1],
                    "x1 has 9/10 of the variance, so it alone is kept, and it is y"),
    "svcca_fourier": Number(lambda: svcca_fourier(SQUARE[:, :1, None, None], SQUARE[:, 1:, None, None]), [[0]],
                            "one position has the frequency 0 alone, and x1 and x2 are uncorrelated"),
    "pwcca": Number(lambda: pwcca(SQUARE[:, :1] * 5, SQUARE + [0, 7]), 1, "x has one direction, correlation 1, whatever its weight"),
    "cka": Number(lambda: cka(STEPS[:, :1], [[0.0], [1], [2]]), 27 / 28,
                  "centred (-4, -1, 5)/3 and (-1, 0, 1): (xᵀy)² / (|x|² |y|²) = 3² / (42/9 · 2)"),
    "tsne": Number(lambda: [affinities(STEPS, 2)[0, 1], _pair_kl()], [1 / 6, np.log(0.8) * 2 / 3 + np.log(2) / 3],
                   "perplexity 2 of two neighbours: both count alike, p = 1/6. Weights 1/2, 1/2, 1/5 for distances 1, 1, 2: "
                   "q = 5/24, 5/24, 1/12, so Σ p ln(p/q) = 4/6 ln(4/5) + 2/6 ln 2"),
    "meta_sne": Number(lambda: representation_distances([STEPS[:2], 3 * STEPS[:2], STEPS[1:]]), np.zeros((3, 3)),
                       "two points have one distance, which the scale divides out: all such representations are one"),
    "nmf": Number(lambda: nmf([[2.0, 4], [1, 2]], 1).directions, [[1 / 5**0.5, 2 / 5**0.5]], "rank one: the direction (1, 2) of length 1",
                  1e-6),                                                # as for neuron_groups
    "neuron_groups": Number(lambda: neuron_groups(two_maps(), IMAGE, "maps", 2).directions, [[1, 0], [0, 1]],
                            "the channels are never active together, so each is a group; channel 0 lies in the left column", 3e-3),
    # the search ends when a step gains less than 1e-6 of |A|²: (1e-3)²
    "semantic_dictionary": Number(lambda: semantic_dictionary(two_maps(), IMAGE, "maps", 1).channels, [[[0], [1]], [[0], [0]]],
                                  "where the image is negative, channel 1; of equal ones the lower"),
    "activation_grid": Number(lambda: activation_grid(two_maps(), IMAGE, "maps").norms, [[1, 1], [2, 0]], "one channel at a time"),
    "atlas": Number(lambda: atlas([[1.0], [3.0], [5.0]], [[0, 0], [0, 0], [1, 1.0]], 2, percentiles=(0, 100)).vectors,
                    [[[2], [0]], [[0], [5]]], "(1 + 3)/2 at the upper left, 5 at the lower right"),
    "blocks": Number(lambda: blocks(two_maps(), IMAGE, "maps").spatial, [[[1, 0], [-1, 0]]],
                     "a ⊙ v: 1·1 at the upper left, 2·(-1/2) at the lower left, 1·0 at the upper right"),
    "between": Number(lambda: between(two_maps(), IMAGE, "conv", "maps"),
                      [[[[1, 0], [0, 0]], [[0, 1], [0, 0]]], [[[0, 0], [2, 0]], [[0, 0], [0, 0]]]],
                      "a position's length is |x| there, and nowhere else"),
    "reduced_attributions": Number(lambda: [*(r := reduced_attributions(two_maps(), IMAGE, "maps", FIRST)).reduced.reshape(-1),
                                            *r.residual.reshape(-1)], [1, 0, -1, 0, 0, 0, 0, 0],
                                   "the one group is channel 0, whose attributions are 1 and -1; channel 1 adds 1·0"),
    "timeline": Number(lambda: timeline(Reduced(np.array([[[1.0], [2]], [[3.0], [-1]]]), np.zeros((2, 2)), np.zeros((2, 1, 2)),
                                                np.array([0.0, 1]), np.zeros(2))).groups, [[3], [2]], "1 + 2 and 3 - 1"),
    "advantages": Number(lambda: advantages([0, 1], [0.5, 0.5], 0.9, 0.8), [0.31, 0.5],
                         "δ = 0 + 0.9·0.5 - 0.5 = -0.05 and 1 - 0.5 = 0.5; -0.05 + 0.72·0.5"),
    "responses": Number(lambda: responses([[0], [0.2], [0.4], [0.5], [0.7], [1.2]], [[0], [1], [2], [3], [4], [5.0]], 0.4), [[0.6]],
                        "sorted pairs are 0.5, 0.5 and 0.8 apart; their mean"),
    "clusters": Number(lambda: clusters([[1, 1.0], [1, 1.1], [9, 9]], 2, 1).units == clusters([[1, 1.0], [1, 1.1], [9, 9]], 2, 1).units[0],
                       [True, True, False], "rows 0 and 1 are 0.1 apart, row 2 some 11"),
    "importance_over_time": Number(lambda: importance_over_time(two_maps(), IMAGE), [[[[1, 0.0], [1, 0]]]],
                                   "|x ∂y/∂x|: 1·1, 1·0, 2·1/2, 0"),
    "reduce_attribution": Number(lambda: reduce_attribution([[3.0, -1.0]], Groups(np.zeros((1, 1)), np.array([[1.0, 1.0]])))[0], [[2]],
                                 "3 is nearest to 1.5 of (1, 1), 1 to 0.5 of it: (1.5 - 0.5) · 2"),
}
REPRESENT_WORKED: Mapping[str, Number] = MappingProxyType(_ROWS)
