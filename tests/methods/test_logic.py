"""Formulas against the truth tables of all small functions, shortest covers by exhaustion, and the three families of networks."""

from itertools import combinations, pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import NET_A, close, mlp
from xaicore.errors import ExactnessError, Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.logic import Formula, explain_logic, minimise, simplify
from xaicore.ops import Dense, Sigmoid
from xaicore.oracle.strategies import mlps

ALL = np.array(list(product((0.0, 1.0), repeat=2)))
XOR = mlp([[[1.0, 1.0], [1.0, 1.0]], [[1.0, -2.0]]], [[0.0, -1.0], [-0.5]])
"""relu(a + b) - 2 relu(a + b - 1) > 1/2."""


def truth(terms, n):
    return [any(all(row[j] == v for j, v in term) for term in terms) for row in product((False, True), repeat=n)]


def fewest(table, n):
    """The smallest disjunction by trying all sets of conjunctions, the smallest sets first: (terms, literals)."""
    every = [tuple((j, bool(v)) for j, v in enumerate(row) if v is not None) for row in product((None, 0, 1), repeat=n)]
    inside = [t for t in every if all(table[k] or not one for k, one in enumerate(truth([t], n)))]
    for size in range(len(inside) + 1):
        found = [sum(map(len, c)) for c in combinations(inside, size) if truth(c, n) == list(table)]
        if found:
            return size, min(found)
    return None


def test_all_functions_of_three_concepts():
    """256 truth tables: kept exactly; for every eleventh no set of conjunctions is smaller."""
    for k in range(256):
        table = [bool(k >> j & 1) for j in range(8)]
        terms = minimise(table)
        assert truth(terms, 3) == table
        if k % 11 == 0:
            assert (len(terms), sum(map(len, terms))) == fewest(table, 3)


@settings(max_examples=15)
@given(st.integers(4, 6).flatmap(lambda n: st.lists(st.booleans(), min_size=2**n, max_size=2**n)))
def test_larger_tables_are_kept(table):
    n = len(table).bit_length() - 1
    terms = minimise(table)
    assert truth(terms, n) == table
    for left_out in range(len(terms)):
        assert truth([t for k, t in enumerate(terms) if k != left_out], n) != table


def test_the_cyclic_table_needs_three():
    """a≠b or b≠c: six prime implicants, none of them essential, and three suffice."""
    table = [len(set(row)) > 1 for row in product((0, 1), repeat=3)]
    assert len(minimise(table)) == 3


def test_fewest_literals_among_the_fewest_terms():
    """A table of four concepts whose shortest covers all have 5 terms, some with 13 literals and some with 12."""
    table = [bool(11511 >> k & 1) for k in range(16)]
    terms = minimise(table)
    assert truth(terms, 4) == table
    assert (len(terms), sum(map(len, terms))) == (5, 12)


def test_the_threshold_keeps_the_largest():
    """w = (2, 1): a threshold of 1 keeps the largest alone, 1/2 keeps what has exactly half."""
    graph = mlp([[[2.0, 1.0]]], [[-0.5]])
    assert explain_logic(graph, [[1.0, 1.0]], threshold=1).local == (((0, True),),)
    assert explain_logic(graph, [[1.0, 1.0]]).local == (((0, True), (1, True)),)


def test_xor():
    """E57: the truth table of XOR, from a network with ReLUs and one with sigmoids of fan-in 2."""
    assert truth(minimise([0, 1, 1, 0]), 2) == [False, True, True, False]
    found = explain_logic(XOR, ALL, family="relu", names=("a", "b"))
    assert str(found) == "(~a & b) | (a & ~b)   (fidelity 100.0%, 2 terms, 4 literals)"
    assert found.local == (None, ((0, False), (1, True)), ((0, True), (1, False)), None)
    psi = sigmoids([[[20.0, 20.0], [-20.0, -20.0]], [[20.0, 20.0]]], [[-10.0, 30.0], [-30.0]])
    logic = explain_logic(psi, ALL, family="psi")
    assert str(logic.formula) == "(~c0 & c1) | (c0 & ~c1)"
    assert logic.fidelity == 1


def sigmoids(weights, biases, last=True):
    b = xc.Builder()
    h = b.input("x", (None, len(weights[0][0])))
    for k, (w, bias) in enumerate(zip(weights, biases)):
        h = b.add(Dense(), h, b.param(f"w{k}", w), b.param(f"b{k}", bias))
        if last or k + 1 < len(weights):
            h = b.add(Sigmoid(), h)
    return b.build(h)


@settings(max_examples=20)
@given(data=st.data())
def test_all_concepts_kept_say_all(data):
    """Boolean inputs, every concept in each conjunction, every conjunction tried: fidelity 1, and 1 in accuracy for its own answers."""
    graph = data.draw(mlps("any", features=(2, 4)))
    x = np.array(list(product((0.0, 1.0), repeat=graph.inputs["x"].shape[1])))
    for family in ("relu", "mu"):
        said = graph(x).argmax(axis=1) == 1
        found = explain_logic(graph, x, 1, said, family, threshold=0, terms=99)
        used = [t for t in found.local if t is not None]
        if family == "mu" or all(len(t) == x.shape[1] for t in used):
            assert found.fidelity == found.accuracy == 1
        assert (found.formula(x) == truth(found.formula.terms, x.shape[1])).all()


@settings(max_examples=10)
@given(data=st.data())
def test_the_firing_path(data):
    """f = w·x + b exactly at the sample, w by products of the weights of active units; threshold .5 keeps the larger half of |w|."""
    graph = data.draw(mlps("any", features=(3, 4)))
    x = np.random.default_rng(data.draw(st.integers(0, 99))).integers(0, 2, (4, graph.inputs["x"].shape[1])).astype(float)
    found = explain_logic(graph, x, 1)
    for n, term in enumerate(found.local):
        w, b, a = np.eye(x.shape[1]), np.zeros(x.shape[1]), x[n]
        for node in graph.nodes:
            if isinstance(node.op, Dense):
                m = graph.params[node.inputs[1]]
                c = graph.params[node.inputs[2]] if len(node.inputs) > 2 else 0
                w, b, a = m @ w, m @ b + c, m @ a + c
            else:
                w, b, a = w * (a > 0)[:, None], b * (a > 0), np.maximum(a, 0)
        assert close(w @ x[n] + b, graph(x[n:n + 1])[0], 1e-12, scale=1)
        if term is not None:
            strong = abs(w[1]) >= 0.5 * abs(w[1]).max()
            assert term == tuple((j, bool(x[n, j] > 0.5)) for j in range(x.shape[1]) if strong[j] and w[1, j] != 0)


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32 - 1))
def test_truth_tables_composed_neuron_by_neuron(seed):
    """Fan-in 2: each neuron as a function of two truth values, composed by recursion."""
    rng = np.random.default_rng(seed)
    sizes, weights, biases = (4, 3, 2, 1), [], []
    for m, k in pairwise(sizes):
        w = np.zeros((k, m))
        for row in w:
            row[rng.choice(m, 2, replace=False)] = rng.normal(size=2) * 3
        weights.append(w)
        biases.append(rng.normal(size=k))

    def neuron(layer, j, row):
        if layer < 0:
            return bool(row[j])
        reads = np.flatnonzero(weights[layer][j])
        return sum(weights[layer][j][i] * neuron(layer - 1, i, row) for i in reads) + biases[layer][j] > 0

    x = np.array(list(product((0.0, 1.0), repeat=4)))
    for last in (True, False):
        found = explain_logic(sigmoids(weights, biases, last), x, family="psi")
        expected = [neuron(2, 0, row) for row in x]
        assert list(found.formula(x)) == expected
        assert found.fidelity == np.mean((sigmoids(weights, biases, last)(x)[:, 0] > 0.5 * last) == expected)


def test_labels_and_frequent_terms():
    """f = a > 1/2 on (a, noise): the firing path sees a alone; a wrong label is an error of the formula, and none of its fidelity."""
    graph = mlp([[[1.0, 0.0]]], [[-0.5]])
    found = explain_logic(graph, np.vstack([ALL, [1, 0]]), labels=[0, 0, 1, 0, 1], names=("a", "noise"))
    assert str(found.formula) == "a"
    assert (found.fidelity, found.accuracy) == (1.0, 0.8)
    assert str(explain_logic(graph, ALL, labels=[0, 0, 1, 0]).formula) == "False"       # right as often without
    both = explain_logic(graph, ALL, labels=[0, 0, 1, 1], family="mu")
    assert (str(both.formula), both.accuracy) == ("c0", 1.0)
    assert str(explain_logic(mlp([[[0.0, 0.0]]], [[-1.0]]), ALL).formula) == "False"
    assert str(explain_logic(mlp([[[0.0, 0.0]]], [[1.0]]), ALL).formula) == "True"
    assert simplify(Formula((((0, True),), ((0, False),)), ("a",))).terms == ((),)


BAD = {
    "family": (lambda: explain_logic(XOR, ALL, family="tree"), UnknownName, "there are 'relu', 'mu', 'psi'"),
    "threshold": (lambda: explain_logic(XOR, ALL, threshold=2), InputError, "from 0 to 1"),
    "concepts": (lambda: explain_logic(XOR, 2 * ALL), InputError, r"concepts lie in \[0, 1\], and 0.0 to 2.0 came"),
    "class": (lambda: explain_logic(mlp([np.eye(2)], [None]), ALL), InputError, "has 2 classes"),
    "labels": (lambda: explain_logic(XOR, ALL, labels=[1, 2, 3, 0]), ShapeError, "one truth value for each of 4"),
    "names": (lambda: explain_logic(XOR, ALL, names=["a"]), InputError, "1 names came for 2 concepts"),
    "psi of relus": (lambda: explain_logic(XOR, ALL, family="psi"), Inapplicable, "node 'relu1' is ReLU"),
    "fan-in": (lambda: explain_logic(sigmoids([np.ones((1, 3))], [[0.0]]), np.zeros((1, 3)), family="psi"), Inapplicable, "reads 3 values, more than fan_in=2"),
    "wide": (lambda: explain_logic(sigmoids([np.ones((1, 13))], [[0.0]]), np.zeros((1, 13)), family="psi", fan_in=None), Inapplicable, "8,192 rows"),
    "exact": (lambda: explain_logic(NET_A.astype("exact"), [[1, 0]]), ExactnessError, "off floats"),
    "table": (lambda: minimise([1, 0, 1]), ShapeError, r"2\^n rows"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
