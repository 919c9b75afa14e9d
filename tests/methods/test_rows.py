"""Methods about data sets and structures as rows of METHODS: complete, the same as their families' functions, and clear when they cannot."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest

import xaicore as xc
from tests.methods.games import SPECIAL, convolved
from tests.nets import NET_A, close, mlp
from xaicore.data import digits_images, digits_model
from xaicore.errors import GraphError, Inapplicable, InputError, UnknownName
from xaicore.graph.passes import chain
from xaicore.methods.arguments import dax
from xaicore.methods.attfind import attfind
from xaicore.methods.concepts import tcav
from xaicore.methods.difficulty import vog
from xaicore.methods.independence import conditional_information, feature_relevance
from xaicore.methods.logic import explain_logic
from xaicore.methods.model_search import xgnn
from xaicore.methods.rate import network_rate
from xaicore.methods.segment import global_contrast, segment
from xaicore.oracle.strategies import numbers
from xaicore.oracle.twins import TWINS
from xaicore.oracle.twins.structures import labellings
from xaicore.oracle.worked import WORKED

ROWS = ("tcav", "vog", "rate", "independence", "attfind", "lime.submodular_pick", "len.relu", "len.mu", "len.psi", "dax", "segmentation",
        "global_contrast", "xgnn")
GRAPH, (IMAGES, LABELS) = digits_model(), digits_images()


@pytest.mark.parametrize("id", ROWS)
def test_every_row_has_an_example_and_a_twin(id):
    assert WORKED[id]
    assert TWINS[id]


# ----- the same as the functions --------------------------------------------------------------------------------------


def test_rows_are_their_functions():
    """On the digits: each number of the function is in the row's values or extras."""
    x, concept, others = IMAGES[:6], IMAGES[LABELS == 3], [IMAGES[4:8], IMAGES[5:9]]
    a = xc.explain(GRAPH, x, "tcav", 3, layer="relu5", concept=concept, random=others, test=0)
    found = tcav(GRAPH, x, "relu5", concept, others, 3, test=0)
    assert close(a.total(), found.sensitivities.mean(axis=0), 1e-12)
    assert (a.extras["score"], a.extras["says"]) == (found.score, str(found))
    states = [replace(GRAPH, params={k: v * c for k, v in GRAPH.params.items()}) for c in (0.5, 1.0, 1.5)]
    a, found = xc.explain(GRAPH, x, "vog", list(LABELS[:6]), checkpoints=states), vog(states, x, LABELS[:6])
    assert close(np.asarray(a)[:, 0], found.pixels["image"], 1e-14)
    assert (a.extras["scores"] == found.scores).all()
    each = xc.explain(GRAPH, x, "vog", 1, checkpoints=states, channels="each", output="probability")
    assert close(np.asarray(each), vog(states, x, 1, "probability", "each").pixels["image"], 1e-14)
    assert close(np.asarray(xc.explain(GRAPH, IMAGES, "rate", 3)).reshape(12, -1)[4], network_rate(GRAPH, IMAGES, target=3).rate, 1e-12)
    a = xc.explain(GRAPH, IMAGES, "independence", 3, labels=LABELS == 3)
    one = feature_relevance(IMAGES[:, 0, 3, 4], GRAPH.astype("float64")(IMAGES)[:, 3], LABELS == 3)
    logit = feature_relevance(IMAGES[:, 0, 3, 4].astype(float), a.output, LABELS == 3)
    assert (np.asarray(a)[5, 0, 3, 4], a.extras["p"][0, 3, 4]) == (logit.statistic, logit.p)
    assert logit != one                                                 # the logit is explained, not the probability
    a = xc.explain(GRAPH, x[:2], "dax", [0, 1])
    assert [v.arguments for v in a.extras["arguments"]] == [dax(GRAPH, x[n:n + 1], n).arguments for n in range(2)]
    assert close(np.asarray(a), np.asarray(xc.explain(GRAPH, x[:2], "lrp.zero", [0, 1])), 1e-14)
    a, found = xc.explain(GRAPH, x, "segmentation", of="gradient", smoothness=1), segment(xc.explain(GRAPH, x, "gradient"), smoothness=1)
    assert (np.asarray(a)[:, 0] == found.mask).all()
    assert (a.extras["boxes"], list(a.extras["cut"])) == (found.boxes, list(found.cut))
    assert close(np.asarray(xc.explain(GRAPH, x, "global_contrast")), global_contrast(x.astype(float)), 1e-14)


def test_styles():
    """A classifier behind its decoder is what attfind explains; names that both have are kept apart."""
    rng = np.random.default_rng(0)
    decoder, classifier = mlp([numbers(rng, (4, 3)), numbers(rng, (5, 4))], [None, numbers(rng, (5,))]), mlp([numbers(rng, (2, 5))], [None])
    s = numbers(rng, (4, 3))
    whole = chain(decoder, classifier)
    assert close(whole(s), classifier(decoder(s)), 1e-14)
    assert close(chain(whole, mlp([numbers(rng, (3, 2))], [None]))(s).shape, (4, 3), 0)
    a, found = xc.explain(whole, s, "attfind", 1, top=2), attfind(decoder, classifier, s, 1, top=2)
    assert close(a.extras["effects"], found.effects, 1e-12)
    assert [(c.coordinate, c.direction) for c in a.extras["chosen"]] == [(c.coordinate, c.direction) for c in found.chosen]
    for c in found.chosen:
        assert close(np.asarray(a)[:, c.coordinate], found.effects[:, ("min", "max").index(c.direction), c.coordinate], 1e-12)
    with pytest.raises(GraphError, match="chain joins one output to one input"):
        chain(decoder, convolved(rng))


@pytest.mark.parametrize("family", ["relu", "mu", "psi"])
def test_formulas(family):
    rng = np.random.default_rng(3)
    graph, x = SPECIAL["len.psi"](rng), rng.integers(0, 257, (30, 4)) / 256
    a, found = xc.explain(graph, x, f"len.{family}", 1), explain_logic(graph, x, 1, family=family)
    assert (a.extras["formula"], a.extras["fidelity"]) == (found.formula, found.fidelity)
    for row, says, values in zip(x > 0.5, found.formula(x), np.asarray(a)):
        true_terms = [t for t in found.formula.terms if all(row[j] == v for j, v in t)]
        assert {(j, values[j] > 0) for j in np.flatnonzero(values)} == {literal for t in true_terms for literal in t}
        assert bool(true_terms) == says
    named = xc.explain(graph, x, f"len.{family}", 1, names=["a", "b", "c", "d"], labels=found.formula(x))
    assert set(named.extras["says"].split("   ")[0]) <= set("abcd&|~() FalseTru")
    assert named.extras["accuracy"] is not None


def test_graphs():
    """Two start graphs, a smaller and a larger typical graph padded to one size; a walk begins at the graph that was given."""
    rng = np.random.default_rng(1)
    graph = convolved(rng)
    start = {"adjacency": np.zeros((2, 1, 1)), "features": np.array([[[1.0, 0.0]], [[0.0, 1.0]]])}
    a = xc.explain(graph, start, "xgnn", 1, types=np.eye(2), nodes=3)
    found = xgnn(graph, 1, np.eye(2), nodes=3)
    assert a.extras["typical"] == (found, found)
    n = len(found.graph.types)
    assert (a["adjacency"][0] == found.graph.adjacency).all()
    assert (a["features"][1] == np.eye(2)[list(found.graph.types)]).all()
    assert a["features"].shape == (2, n, 2)
    alone = xc.explain(graph, {k: v[:1] for k, v in start.items()}, "xgnn", 1, nodes=2)
    assert set(alone.extras["typical"][0].graph.types) == {0}           # without types= only the start graph's own
    walk = xc.explain(graph, start, "xgnn", 2, types=np.eye(2), nodes=3, search="greedy", steps=1, rollouts=0)
    assert [t.evaluated for t in walk.extras["typical"]] == [3, 3]
    chained = np.array([[[0, 1, 0], [1, 0, 1], [0, 1, 0]]])
    three = xc.explain(graph, {"adjacency": chained, "features": np.eye(2)[[[0, 1, 1]]]}, "xgnn", 0, search="greedy", nodes=3, steps=9, rollouts=0)
    assert three.extras["typical"][0].graph.edges[:2] in (((0, 1), (1, 2)), ((0, 1), (0, 2)))
    assert three.extras["typical"][0].evaluated == 2                    # the start and the one edge that is missing


def test_the_pick_covers_what_counts():
    """Against every pick of that size: the greedy one has at least 1 - 1/e of the best c, by the paper's definition."""
    rng = np.random.default_rng(2)
    weights = numbers(rng, (2, 6))
    x = numbers(rng, (7, 6)) * (rng.random((7, 6)) < 0.4)
    a = xc.explain(mlp([weights], [None]), x, "lime.submodular_pick", 1, top=3, draw="all", samples=64, kernel="uniform")
    beta = abs(weights[1] * x)                                          # a linear f: LIME's weights are its terms
    importance = np.sqrt(beta.sum(axis=0))

    def c(picked):
        return sum(importance[j] for j in range(6) if any(beta[i, j] > 0 for i in picked))

    assert close(a.extras["importance"], importance, 1e-12)
    assert close(a.extras["coverage"], [c(a.extras["picked"][:k + 1]) for k in range(3)], 1e-12)
    best = max(c(p) for p in combinations(range(7), 3))
    assert (1 - 1 / np.e) * best <= a.extras["coverage"][-1] <= best + 1e-12
    for k, picked in enumerate(a.extras["picked"]):
        assert c(a.extras["picked"][:k + 1]) == max(c([*a.extras["picked"][:k], i]) for i in range(7))
        assert picked not in a.extras["picked"][:k]
    assert len(xc.explain(mlp([weights], [None]), x, "lime.submodular_pick", 1, top=99, draw="all", samples=64).extras["picked"]) == 7


def test_the_cut_costs_what_the_labelling_does():
    """Of a small image all 512 labellings are enumerated: the row's cut is the cheapest, to the rounding of 21 costs to 1e-4."""
    for seed in range(6):
        problem = TWINS["segmentation"][0].problem(np.random.default_rng(seed))
        a = xc.explain(problem.graph, problem.x, "segmentation", 1, **problem.settings)
        assert close(a.extras["cut"], [cost for _, cost, _ in labellings(problem)], 21 * 1e-4, scale=1)


# ----- information ----------------------------------------------------------------------------------------------------


def test_information_of_gaussians_and_of_words():
    """-1/2 ln(1 - r²) for Gaussians with a label of numbers; the sum over cells for discrete ones; 0 for independent ones."""
    rng = np.random.default_rng(4)
    label = rng.normal(size=600)
    x = label + rng.normal(size=600)
    f = label + 0.8 * (x - label) + 0.6 * rng.normal(size=600)
    # some 20 neighbours in the planes (x, l) and (f, l) leave a bias of one or two twentieths; a standard error is 0.03
    assert conditional_information(x, f, label) == pytest.approx(-0.5 * np.log(1 - 0.64), abs=0.2)
    assert abs(conditional_information(x, label + rng.normal(size=600), label)) < 0.2
    a, c = rng.integers(0, 2, 600), rng.integers(0, 2, 600)
    b = np.where(rng.random(600) < 0.8, a, 1 - a)
    exact = 0.8 * np.log(1.6) + 0.2 * np.log(0.4)
    assert conditional_information(a.astype(float), b.astype(float), c) == pytest.approx(exact, abs=0.06)
    assert conditional_information(np.arange(3.0), np.arange(3.0), [0, 1, 2]) == 0


def test_information_is_a_test():
    """What no line shows, it shows, also given a label of numbers; its size there is nominal on independent data."""
    rng = np.random.default_rng(5)
    label = rng.normal(size=60)
    x = label + rng.normal(size=60)
    own = {"test": "permutation", "statistic": "cmi", "permutations": 99}
    assert feature_relevance(x, (x - label) ** 2, label, **own).relevant()
    p = [feature_relevance(label + rng.normal(size=60), label + rng.normal(size=60), label, **own, seed=k).p for k in range(40)]
    assert np.mean(np.array(p) < 0.05) <= 0.05 + 5 * (0.05 * 0.95 / 40) ** 0.5    # five standard errors
    with pytest.raises(Inapplicable, match="statistic='cmi' with a number of permutations"):
        feature_relevance(x, x, label, "permutation", "cmi", "all")


# ----- what cannot be -------------------------------------------------------------------------------------------------


X = IMAGES[:2]
BAD = {
    "no layer": (lambda: xc.explain(GRAPH, X, "tcav"), Inapplicable, r"tcav needs the layer to look for the concept in \(conv1, .*give layer="),
    "no concept": (lambda: xc.explain(GRAPH, X, "tcav", layer="relu5"), Inapplicable, "examples of the concept, samples like x: give concept="),
    "unknown layer": (lambda: xc.explain(GRAPH, X, "tcav", layer="relu9", concept=X, random=[X]), UnknownName, "did you mean 'relu"),
    "one set": (lambda: xc.explain(GRAPH, X, "tcav", layer="relu5", concept=X, random=X), InputError, r"a single set is \[set\]"),
    "no checkpoints": (lambda: xc.explain(GRAPH, X, "vog"), Inapplicable, "give checkpoints="),
    "one checkpoint": (lambda: xc.explain(GRAPH, X, "vog", checkpoints=[GRAPH]), InputError, "two graphs at least"),
    "other checkpoints": (lambda: xc.explain(GRAPH, X, "vog", checkpoints=[NET_A, NET_A]), GraphError, "node 'conv1' of the explained model is .* there is none of this name"),
    "other widths": (lambda: xc.explain(mlp([[[1.0, 2.0]]], [None]), [[1.0, 1.0]], "vog", checkpoints=[mlp([[[1.0]]], [None])] * 2), GraphError,
                     r"has shape \(1, 1\) in a checkpoint and \(1, 2\)"),
    "one sample": (lambda: xc.explain(GRAPH, X[:1], "rate"), Inapplicable, "this batch has one sample"),
    "no labels": (lambda: xc.explain(GRAPH, X, "independence"), Inapplicable, "give labels="),
    "no styles": (lambda: xc.explain(GRAPH, X, "attfind"), Inapplicable, r"chain\(decoder, classifier\)"),
    "no concepts": (lambda: xc.explain(GRAPH, X, "len.relu", 1), Inapplicable, r"one input \(N, n\) in \[0, 1\]"),
    "two classes": (lambda: xc.explain(SPECIAL["len.mu"](np.random.default_rng(0)), np.ones((2, 4)), "len.mu", [0, 1]), Inapplicable,
                    "speaks about one class"),
    "no images": (lambda: xc.explain(NET_A, [[1.0, 2.0]], "segmentation"), Inapplicable, "pixels of images"),
    "no image": (lambda: xc.explain(NET_A, [[1.0, 2.0]], "global_contrast"), Inapplicable, "pixels of images"),
    "no such map": (lambda: xc.explain(GRAPH, X, "segmentation", of="gradeint"), UnknownName, "did you mean 'gradient"),
    "no graph": (lambda: xc.explain(GRAPH, X, "xgnn"), Inapplicable, "the network reads image"),
    "a loop": (lambda: xc.explain(convolved(np.random.default_rng(0)), {"adjacency": np.ones((1, 1, 1)), "features": np.ones((1, 1, 2))}, "xgnn", 0),
               InputError, "zeros on the diagonal"),
    "a type that is none": (lambda: xc.explain(convolved(np.random.default_rng(0)), {"adjacency": np.zeros((1, 1, 1)), "features": np.ones((1, 1, 2))},
                                               "xgnn", 0, types=np.eye(2)), InputError, "node 0 of the start graph has features that are no row of types="),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
