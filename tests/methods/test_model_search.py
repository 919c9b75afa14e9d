"""The search against every graph by itself, and the network against the matrices of its paper."""

from itertools import combinations, permutations

import numpy as np
import pytest

import xaicore as xc
from tests.nets import NET_A, close
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.model_search import Candidate, all_graphs, gcn, reward, xgnn
from xaicore.oracle.strategies import numbers


def drawn(seed, types=1):
    rng = np.random.default_rng(seed)
    return gcn([rng.normal(size=(4, types)) * 2, rng.normal(size=(3, 4)) * 2], rng.normal(size=(2, 3)) * 3, rng.normal(size=2))


def probability(graph, g, features):
    """The paper's matrices for one graph: Â = D^-1/2 (A + I) D^-1/2."""
    a = np.zeros((len(g.types),) * 2)
    for i, j in g.edges:
        a[i, j] = a[j, i] = 1
    a = a + np.eye(len(a))
    root = np.diag(a.sum(axis=1) ** -0.5)
    h = np.array([features[t] for t in g.types], dtype=float)
    for k in (1, 2):
        h = np.maximum(root @ a @ root @ h @ graph.params[f"w{k}"].T, 0)
    z = graph.params["head"] @ h.mean(axis=0) + graph.params["bias"]
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def test_reward_by_hand():
    """E61: (.9 - 1/2) + mean(.7 - 1/2, .9 - 1/2) = .7; an invalid graph loses λ2."""
    assert reward(0.9, 2, [0.7, 0.9]) == pytest.approx(0.7)
    assert reward(0.9, 2, [0.7, 0.9], valid=False, rules=0.5) == pytest.approx(0.2)
    assert reward(0.9, 2, [0.7, 0.9], future=0) == reward(0.9, 2) == 0.4


def test_how_many_graphs():
    """Connected labelled graphs of 1 to 5 nodes: 1, 1, 4, 38, 728."""
    sizes = [len(g.types) for g in all_graphs(5)]
    assert [sizes.count(n) for n in range(1, 6)] == [1, 1, 4, 38, 728]
    assert sum(1 for g in all_graphs(3, types=2)) == 2 + 4 + 4 * 8
    assert len(set(all_graphs(4, 2))) == sum(1 for _ in all_graphs(4, 2))


@pytest.mark.parametrize("seed", range(3))
def test_every_graph_by_itself(seed):
    """The best of all connected graphs of up to 4 nodes of 2 types, one at a time by the paper's matrices, degrees counted by hand."""
    graph, features = drawn(seed, 2), [[1.0, 0.0], [0.0, 1.0]]
    for degrees in (None, (1, 2)):
        found = xgnn(graph, 1, features, nodes=4, degrees=degrees)
        best = -np.inf
        for n in range(1, 5):
            pairs = list(combinations(range(n), 2))
            for which in range(2 ** len(pairs)):
                edges = tuple(e for k, e in enumerate(pairs) if which >> k & 1)
                reach = np.linalg.matrix_power(np.eye(n) + Candidate((0,) * n, edges).adjacency, n)
                if not reach.all():
                    continue
                for types in np.ndindex((2,) * n):
                    g = Candidate(types, edges)
                    broken = degrees is not None and any(sum(i in e for e in edges) > degrees[types[i]] for i in range(n))
                    best = max(best, probability(graph, g, features)[1] - 0.5 - broken)
        assert found.reward == pytest.approx(best, abs=1e-12)
        assert found.probability == pytest.approx(probability(graph, found.graph, features)[1], abs=1e-12)
        assert found.evaluated == 2 + 4 + 32 + 38 * 16


@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_no_better(seed):
    graph = drawn(seed, 2)
    own = {"features": [[1.0, 0.0], [0.0, 1.0]], "nodes": 4, "degrees": (3, 2)}
    best = xgnn(graph, 0, **own)
    walked = xgnn(graph, 0, search="greedy", steps=6, rollouts=3, **own)
    assert walked.reward <= best.reward + 1e-12
    assert walked == xgnn(graph, 0, search="greedy", steps=6, rollouts=3, **own)
    assert walked.graph.connected
    assert walked.evaluated < best.evaluated
    one = xgnn(graph, 0, search="greedy", steps=1, rollouts=0, **own)
    options = [Candidate((0,)), *(Candidate((0, t), ((0, 1),)) for t in (0, 1))]
    assert one.reward == pytest.approx(max(probability(graph, g, own["features"])[0] for g in options) - 0.5, abs=1e-12)


def test_how_many_steps_there_are():
    """One type, three nodes: 1 start, 1 second node, 2 places for the third (to node 0 or 1), 1 edge that closes the triangle, no more."""
    assert xgnn(drawn(0), 0, search="greedy", nodes=3, rollouts=0).evaluated == 1 + 1 + 2 + 1


def test_rollouts_look_ahead():
    """Two steps, two types: the first by R_f now plus 3 times its mean over all next steps (400 draws of it), the second by R_f alone."""
    features, turned = [[1.0, 0.0], [0.0, 1.0]], 0
    for seed in range(12):
        graph = drawn(seed, 2)

        def score(g, graph=graph):
            return probability(graph, g, features)[0] - 0.5

        def after(g):
            n = len(g.types)
            return [Candidate((*g.types, t), tuple(sorted((*g.edges, (i, n))))) for i in range(n) for t in (0, 1)]

        ahead = {g: score(g) + 3 * np.mean([score(k) for k in after(g)]) for g in after(Candidate((0,)))}
        first = max(ahead, key=ahead.get)
        error = 3 * sum(np.std([score(k) for k in after(g)]) for g in ahead) / 400**0.5
        if abs(np.diff(list(ahead.values()))[0]) < 5 * error:            # five standard errors of 400 draws
            continue
        turned += first != max(ahead, key=score)
        way = [Candidate((0,)), first, max(after(first), key=score)]
        found = xgnn(graph, 0, features, nodes=3, search="greedy", steps=2, rollouts=400, future=3)
        assert found.reward == pytest.approx(max(map(score, way)), abs=1e-12)
    assert turned                                                       # in one of them at least the nearest choice would be another


def test_a_network_that_counts_triangles_of_one_type():
    """More neighbours of type 1 raise the class: the best graph of three nodes is all of type 1."""
    graph = gcn([[[0.0, 1.0]]], [[1.0], [0.0]])
    found = xgnn(graph, 0, [[1.0, 0.0], [0.0, 1.0]], nodes=3)
    assert found.graph == Candidate((1,))                               # already the largest mean, and the smallest such graph
    assert str(found).startswith("nodes of types [1], edges none: p = 0.7311, reward +0.2311")
    assert set(xgnn(graph, 1, [[1.0, 0.0], [0.0, 1.0]], nodes=3).graph.types) == {0}


def test_isomorphic_graphs_score_the_same():
    graph, rng = drawn(5, 2), np.random.default_rng(0)
    g = Candidate((0, 1, 1, 0), ((0, 1), (1, 2), (1, 3)))
    a, h = g.adjacency, np.eye(2)[list(g.types)]
    values = [graph({"adjacency": a[np.ix_(p, p)][None], "features": h[list(p)][None]}) for p in permutations(range(4))]
    assert close(values, [values[0]] * len(values), 1e-14)
    r = xc.explain(graph, {"adjacency": a[None], "features": h[None]}, "gradient", target=0)
    assert r["features"].shape == (1, 4, 2)
    assert r["adjacency"].shape == (1, 4, 4)
    step = numbers(rng, (4, 2))
    up, down = (graph({"adjacency": a[None], "features": (h + s * 1e-6 * step)[None]}) for s in (1, -1))
    p = graph({"adjacency": a[None], "features": h[None]})[0]
    odds = [np.log(v[0, 0] / v[0, 1]) for v in (up, down)]
    other = xc.explain(graph, {"adjacency": a[None], "features": h[None]}, "gradient", target=1)
    assert ((r["features"] - other["features"])[0] * step).sum() == pytest.approx((odds[0] - odds[1]) / 2e-6, abs=1e-6)
    assert p.sum() == pytest.approx(1)


G = drawn(0)
BAD = {
    "search": (lambda: xgnn(G, 0, search="beam"), UnknownName, "there are 'exhaustive', 'greedy'"),
    "nodes": (lambda: xgnn(G, 0, nodes=0), InputError, "nodes=0"),
    "too many": (lambda: xgnn(G, 0, nodes=7), Inapplicable, "there are 2,131,019 graphs of up to 7 nodes of 1 types"),
    "inputs": (lambda: xgnn(NET_A, 0), Inapplicable, "the network reads x; inputs called 'adjacency' and 'features'"),
    "features": (lambda: xgnn(G, 0, features=[1.0]), ShapeError, r"features have shape \(1,\)"),
    "width": (lambda: xgnn(G, 0, features=[[1.0, 2.0]]), xc.XaicoreError, "2 instead of 1 on axis 2"),
    "degrees": (lambda: xgnn(G, 0, degrees=[1, 2]), InputError, "2 entries for 1 types"),
    "start": (lambda: xgnn(G, 0, search="greedy", start=1), InputError, "0 to 0"),
    "class": (lambda: xgnn(G, 2), InputError, "target"),
    "future": (lambda: xgnn(G, 0, future=-1), InputError, "future=-1"),
    "one class": (lambda: xgnn(gcn([[[1.0]]], [[1.0]]), 0), Inapplicable, "two classes at least"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
