"""Conditional independence: closed forms, every permutation, and the size and power of the tests on drawn data."""

from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from tests.nets import close, mlp
from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.methods.independence import feature_relevance, partial_correlation


def with_correlations(r, n=12, seed=0):
    """Columns whose sample correlations are exactly r."""
    rng = np.random.default_rng(seed)
    q, _ = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, len(r)))]))
    return (q[:, 1:] @ np.linalg.cholesky(r).T).T


def test_by_hand():
    """E45: r_xf = .5, r_xl = .6, r_fl = .5: (.5 - .3) / sqrt(.64 · .75) = .2886751; and r_xf = .25, r_xl = .5, r_fl = 0 too."""
    for xf, xl, fl in ((0.5, 0.6, 0.5), (0.25, 0.5, 0.0)):
        x, f, label = with_correlations([[1, xf, xl], [xf, 1, fl], [xl, fl, 1]])
        found = feature_relevance(x, f, label)
        assert round(found.statistic, 7) == 0.2886751
        assert found.p == pytest.approx(2 * norm.sf(np.arctanh(0.5 / 3**0.5) * 8**0.5), rel=1e-12)
        assert str(found) == "the function is not shown to use the feature (given the label: +0.2887, p = 0.401 by partial correlation)"


@given(seed=st.integers(0, 2**32 - 1), columns=st.integers(1, 3))
def test_partial_correlation_is_a_minor_of_the_precision(seed, columns):
    """-P_ab / sqrt(P_aa P_bb) with P the inverse of the covariance of all columns."""
    v = np.random.default_rng(seed).normal(size=(columns + 2, 20))
    p = np.linalg.inv(np.cov(v))
    found = partial_correlation(v[0], v[1], v[2:].T)
    assert found == pytest.approx(-p[0, 1] / (p[0, 0] * p[1, 1]) ** 0.5, abs=1e-10)     # rounding times the condition of 20 drawn samples


def test_the_function_that_reads_the_label_alone():
    """F is L, or affine in it: nothing is left. F = X: relevant. F = -X given any label: relevant, with the other sign."""
    rng = np.random.default_rng(1)
    label = rng.normal(size=30)
    x = label + rng.normal(size=30)
    assert feature_relevance(x, 3 * label - 1, label) == feature_relevance(x, np.ones(30), label)
    assert feature_relevance(x, 3 * label - 1, label).p == 1
    assert feature_relevance(x, -x, label).statistic == pytest.approx(-1)
    assert feature_relevance(x, x, label).relevant()
    assert feature_relevance(x, x, (label > 0), "permutation").p == 1 / 1000


def test_a_network():
    """f = 2 x_1 + relu(l): given l it has all of x_1, and of x_2 nothing but what x_1 has."""
    rng = np.random.default_rng(2)
    graph = mlp([np.eye(3), [[2.0, 0.0, 1.0]]], [np.array([9.0, 9.0, 0.0]), None])
    v = rng.normal(size=(200, 3))
    f = graph(v)[:, 0]
    assert feature_relevance(v[:, 0], f, v[:, 2]).p < 1e-9
    assert feature_relevance(v[:, 1], f, v[:, 2]).p > 0.01


@pytest.mark.parametrize("statistic", ["correlation", "distance"])
def test_all_orders_by_their_definition(statistic):
    """Two classes of 3 and 4: each order within them, with loops for the statistic."""
    rng = np.random.default_rng(3)
    x, f, label = rng.normal(size=7), rng.normal(size=7), np.array(list("aabbabb"))
    f += x
    groups = [[i for i in range(7) if label[i] == c] for c in "ab"]

    def value(v):
        if statistic == "correlation":
            centred = [np.array([w[i] - np.mean([w[j] for j in g]) for g in groups for i in g]) for w in (v, f)]
            return abs((centred[0] * centred[1]).sum()) / np.sqrt((centred[0] ** 2).sum() * (centred[1] ** 2).sum())
        out = 0
        for g in groups:
            n, tables = len(g), []
            for w in (v, f):
                d = [[abs(w[i] - w[j]) for j in g] for i in g]
                tables.append([[d[i][j] - np.mean(d[i]) - np.mean([row[j] for row in d]) + np.mean(d) for j in range(n)] for i in range(n)])
            out += n * np.mean([tables[0][i][j] * tables[1][i][j] for i, j in product(range(n), repeat=2)])
        return out

    seen = []
    for one, two in product(permutations(groups[0]), permutations(groups[1])):
        v = x.copy()
        v[groups[0]], v[groups[1]] = x[list(one)], x[list(two)]
        seen.append(value(v))
    found = feature_relevance(x, f, label, "permutation", statistic, "all")
    assert found.statistic == pytest.approx(value(x), rel=1e-12)
    assert found.p == np.mean(np.array(seen) >= value(x) - 1e-9)
    assert len(seen) == 144
    drawn = feature_relevance(x, f, label, "permutation", statistic, 999)
    assert abs(drawn.p - found.p) < 5 * (0.25 / 999) ** 0.5 + 1e-3        # five binomial standard errors
    assert drawn == feature_relevance(x, f, label, "permutation", statistic, 999)


def test_what_no_line_shows():
    """F = X² within classes: the correlation does not see it, the distance does."""
    x = np.tile(np.linspace(-1, 1, 21), 2)
    label = np.repeat([0, 1], 21)
    f = x**2 + label
    assert feature_relevance(x, f, label, "permutation", permutations=199).p > 0.5
    assert feature_relevance(x, f, label, "permutation", "distance", 199).relevant()


def test_size_under_independence():
    """Level 5 %: of 400 Gaussian data sets in which X and F share L alone, 20 +- 5 standard errors (22) are called relevant."""
    rng = np.random.default_rng(4)
    p = []
    for _ in range(400):
        label = rng.normal(size=25)
        p.append(feature_relevance(label + rng.normal(size=25), label + rng.normal(size=25), label).p)
    assert abs(np.mean(np.array(p) < 0.05) - 0.05) < 5 * (0.05 * 0.95 / 400) ** 0.5
    assert abs(np.mean(p) - 0.5) < 5 * (1 / 12 / 400) ** 0.5            # uniform


V = np.arange(6.0)
BAD = {
    "test": (lambda: feature_relevance(V, V, V, "cmi"), UnknownName, "there are 'partial_correlation', 'permutation'"),
    "statistic": (lambda: feature_relevance(V, V, V, statistic="t"), UnknownName, "there are 'correlation', 'distance'"),
    "no classes": (lambda: feature_relevance(V, V, V, "permutation"), Inapplicable, "shuffles within classes"),
    "few": (lambda: feature_relevance(V[:4], V[:4], V[:4]), InputError, "4 samples are too few .* give 5 at least"),
    "two axes": (lambda: feature_relevance(V.reshape(2, 3), V, V), InputError, r"feature has shape \(2, 3\)"),
    "lengths": (lambda: feature_relevance(V, V[:5], V), ShapeError, "6 features and 5 predictions"),
    "labels": (lambda: feature_relevance(V, V, V[:5]), ShapeError, r"the label has shape \(5,\)"),
    "rows of classes": (lambda: feature_relevance(V, V, np.ones((6, 2), int)), ShapeError, "give one-hot rows as floats"),
    "nan": (lambda: feature_relevance(V, V, np.full(6, np.nan)), InputError, "not finite"),
    "none": (lambda: feature_relevance(V, V, [0] * 6, "permutation", permutations=0), InputError, "permutations=0"),
    "too many": (lambda: feature_relevance(np.arange(9), np.arange(9), [0] * 9, "permutation", permutations="all"), InputError, "362,880 orders"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()


def test_words_and_one_hot_labels_are_the_same():
    rng = np.random.default_rng(5)
    x, f, label = rng.normal(size=20), rng.normal(size=20), rng.integers(0, 3, 20)
    one_hot = (label[:, None] == np.arange(3)).astype(float)
    a, b, c = (feature_relevance(x, f, v) for v in (label, np.array(["a", "b", "c"])[label], one_hot))
    assert a == b
    assert close([a.statistic, a.p], [c.statistic, c.p], 1e-12)
