"""Worked examples of methods about data sets, concepts and structures: what each finds on two or three numbers."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction as F
from math import sqrt

from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.methods.model_search import gcn
from xaicore.ops import Dense, Sigmoid
from xaicore.oracle.worked.example import Worked
from xaicore.oracle.worked.nets import both, linear, net_a, net_b

MINUS = linear(1, -1)
AND_NOT = linear(1, -1, bias=-0.5)


def and_not_sigmoid() -> Graph:
    """p = sigmoid(2 x1 - 2 x2 - 1): above 1/2 for (1, 0) alone."""
    b = Builder("and_not")
    h = b.add(Dense(), b.input("x", (None, 2)), b.param("w", [[2, -2]]), b.param("b", [-1]), name="z")
    return b.build(b.add(Sigmoid(), h, name="p"))


def slope(w: float) -> Graph:
    """f = w x: a state of a training."""
    return replace(linear(1)(), params={"w": linear(w)().params["w"]})


def typed() -> Graph:
    """Class 1 counts nodes of type 1: softmax(0 · m, 1 · m), m the mean over nodes of what a layer that reads the type's column says."""
    return gcn([[[0, 1]]], [[0], [1]])


CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]]

EXAMPLES = (
    Worked("tcav", "net-b", net_b, [[2, 1], [3, 0]], [[F(1, 2), 1], [F(1, 2), 1]],
           "At (2, 1) and (3, 0) both units of relu1 are active, so the slope there is (1, 2). The concept's example (2, 1) has the "
           "activations (2, 1), the other example (1, 1) has (1, 0): the normal of the hyperplane between them points along (1, 1), of "
           "length 1 in the norm l1: v = (1/2, 1/2). A = (1·1/2, 2·1/2), whose sum S = 3/2 is above 0 for both samples: the score is 1.",
           "kim2018 section 3.3", None, {"layer": "relu1", "concept": [[2, 1]], "random": [[[1, 1]]], "classifier": "ridge",
                                         "normalize": "l1", "test": 0}, {"score": 1, "magnitudes": [F(3, 2)], "scores": [1]}),
    Worked("vog", "three-slopes", linear(3), [[5]], [[sqrt(2 / 3)]],
           "The gradients of the three states are 1, 2 and 3, their mean 2: the squares of the differences are 1, 0 and 1, their mean 2/3.",
           "agarwal2022", None, {"checkpoints": [slope(1), slope(2), slope(3)]}, {"scores": [sqrt(2 / 3)], "normalized": [0]}),
    Worked("rate", "two-variables", linear(1, -2, bias=1), [[1, 0], [-1, 0], [1, 1], [-1, -1]], [[F(4, 85), F(81, 85)]] * 4,
           "The last layer reads x itself; its means are 0, XᵀX = [[4, 2], [2, 2]] = S, V = (S + 1)⁻¹ = [[3, -2], [-2, 5]] / 11 for "
           "prior = noise = 1. The effects cov(x_j, f) have covariance S V S / 9 = [[36, 20], [20, 16]] / 99 and mean S V S w / 3, w = "
           "(1, -2): proportional to (36 - 40, 20 - 32) = (-4, -12). Of two variables α_j is proportional to 1 / Σ_jj: 16/36 : 144/16 = "
           "4 : 81.",
           "ishhorowicz2019", None, {}, {}),
    Worked("independence", "all-orders", linear(2, 1), [[0, 5], [2, 3], [1, 0], [3, 2]], [[2 / sqrt(5), 1 / sqrt(5)]] * 4,
           "Classes {1, 2} and {3, 4}. Less its mean in the class x1 is (-1, 1, -1, 1) and x2 is (1, -1, -1, 1), which are orthogonal; f "
           "= 2 x1 + x2. r_1 = 2·4 / (2 sqrt(16 + 4)) = 2/√5, r_2 = 4 / (2 sqrt(20)) = 1/√5. Each of the four orders within classes "
           "makes either pattern out of either, up to its sign: half of the orders give x1 as large a |r|, all of them x2.",
           "reimers2020", None, {"labels": [0, 0, 1, 1], "test": "permutation", "permutations": "all"}, {"p": [F(1, 2), 1]}),
    Worked("independence", "information", linear(1), [[0], [0], [1], [1]], [[F(3, 2)]] * 4,
           "Without a condition (one class) and for the nearest neighbour: each sample has one other at the distance 0 in (x, f), one in "
           "x, one in f, and three in its class: ψ(1) - ψ(1) - ψ(1) + ψ(3) = 1 + 1/2. Of the 24 orders 8 keep equal values together.",
           "mesner2021", None,
           {"labels": 0, "test": "permutation", "statistic": "cmi", "permutations": "all", "neighbours": 1}, {"p": [F(1, 3)]}),
    Worked("attfind", "difference", MINUS, [[0, 0], [1, 0], [2, 2]], [[2, 0], [1, 0], [0, 2]],
           "f = s1 - s2. Both coordinates go from 0 to 2. Raising s1 to 2 adds (2, 1, 0), lowering it to 0 takes (0, 1, 2): the maximum "
           "is better, by 1 on average. Lowering s2 to 0 adds (0, 0, 2), raising it takes (2, 2, 0): the minimum is better, by 2/3.",
           "lang2021 algorithm 1", None, {}, {"effects": [[[0, 0], [2, -2]], [[-1, 0], [1, -2]], [[-2, 2], [0, 0]]]}, exact=True),
    Worked("len.relu", "and", both, CORNERS, [[0, 0], [0, 0], [0, 0], [1, 1]],
           "f = relu(x1 + x2 - 1) is above 0 at (1, 1) alone. There the unit fires and w = (1, 1): both concepts reach half of the "
           "largest weight, and hold. The formula is c0 & c1, which says what the network says on all four samples.",
           "ciravegna2023", None, {}, {"fidelity": 1}),
    Worked("len.relu", "a-small-weight", linear(4, 1, bias=-2), CORNERS, [[0, 0], [0, 0], [1, 0], [1, 0]],
           "w = (4, 1), and 1 is below half of 4: only c0 is in the conjunctions. f = 4 x1 + x2 - 2 is above 0 where c0 holds.",
           "ciravegna2023", None, {}, {"fidelity": 1}),
    Worked("len.mu", "and-not", AND_NOT, CORNERS, [[0, 0], [0, 0], [1, -1], [0, 0]],
           "f = x1 - x2 - 1/2 is above 0 at (1, 0) alone, and the layer reads both concepts: c0 & ~c1.", "ciravegna2023", None, {},
           {"fidelity": 1}),
    Worked("len.psi", "and-not", and_not_sigmoid, CORNERS, [[0, 0], [0, 0], [1, -1], [0, 0]],
           "z = 2 x1 - 2 x2 - 1 is -1, -3, 1, -1 on the four rows of the truth table, and the sigmoid is above 1/2 where z > 0: at (1, "
           "0). c0 & ~c1.",
           "ciravegna2023", None, {}, {"fidelity": 1}),
    Worked("dax", "net-a", net_a, [[3, 1]], [[6, -5]],
           "Messages R_i<-j = x_i w_ji R_j / z_j: the first unit (z = 2, R = 6) sends 9 to x1 and -3 to x2, the second (z = 5, R = -5) "
           "sends -3 and -2, the third is silent. The strengths are 9 - 3 and -3 - 2; x2 attacks the first unit and supports the second "
           "one's negative case.",
           "albini2020", None, {"layers": ["relu1"]}, exact=True),
    Worked("segmentation", "four-pixels", linear(2, 1, 0, 0, shape=(1, 1, 4)), [[[[1, 1, 0, 0]]]], [[[[1, 1, 0, 0]]]],
           "|w| = (2, 1, 0, 0). Its quantile 0.95 is 1.85, so the first pixel is an example of the object; its quantile 0.3 is 0, so the "
           "last two are ground. The second pixel has the object's colour, 1, and parting it from the third costs 50 exp(-1 / (2/3)), "
           "less than a colour of the wrong model: the object is columns 0 and 1.",
           "simonyan2013 section 3.2", None, {}, {"boxes": [[0, 0, 1, 2]]}),
    Worked("global_contrast", "three-greys", linear(1, 1, 1, shape=(1, 1, 3)), [[[[0, 1, 3]]]], [[[[4, 3, 5]]]],
           "|0 - 1| + |0 - 3| = 4, |1 - 0| + |1 - 3| = 3, |3 - 0| + |3 - 1| = 5.", "zhai2006", None, exact=True),
    Worked("xgnn", "one-node", typed, {"adjacency": [[[0]]], "features": [[[1, 0]]]}, {"adjacency": [[[0]]], "features": [[[0, 1]]]},
           "Of one node there are two graphs. Of type 0 the layer says 0, and p = 1/2; of type 1 it says 1, and p = e / (1 + e) = 0.731.",
           "yuan2020", 1, {"types": [[1, 0], [0, 1]], "nodes": 1}),
    Worked("lime.submodular_pick", "one-of-three", linear(2, -1), [[1, 0], [0, 1], [1, 1]], [[2, 0], [0, -1], [2, -1]],
           "f is linear, so β_ij = w_j x_ij. I = (sqrt(2 + 0 + 2), sqrt(0 + 1 + 1)) = (2, √2). The first sample shows 2 of it, the "
           "second √2, the third both.", "ribeiro2016 algorithm 1", None, {"top": 1, "draw": "all", "samples": 4, "kernel": "uniform"},
           {"picked": [2], "importance": [2, sqrt(2)], "coverage": [2 + sqrt(2)]}),
)
