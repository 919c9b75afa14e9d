"""What the cases do not show of the reductions: ties, winners on a baseline, exact means and variances, loops as a second opinion."""

from __future__ import annotations

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore.errors import GraphError, ShapeError
from xaicore.ops import Mean, ReduceMax, ReduceMin, Sum, Variance


def integers(seed, shape=(2, 3, 2, 4), high=4):
    x = np.random.default_rng(seed).integers(-high, high + 1, shape)
    return np.vectorize(Fraction, otypes=[object])(x)


axes = st.sets(st.sampled_from([1, 2, 3, -1, -2, -3]), min_size=1).filter(lambda s: len({k % 4 for k in s}) == len(s)).map(tuple)


def by_hand(x, over, keepdims):
    """For each entry of y the indices that it reads, in row-major order; and the shape of y."""
    gone = {k % x.ndim for k in over}
    groups = {}
    for k in np.ndindex(x.shape):
        groups.setdefault(tuple(0 if d in gone else n for d, n in enumerate(k) if keepdims or d not in gone), []).append(k)
    shape = tuple(1 if d in gone else n for d, n in enumerate(x.shape) if keepdims or d not in gone)
    return groups, shape


@given(over=axes, keepdims=st.booleans(), seed=st.integers(0, 999))
def test_against_loops_with_ties_and_exactly(over, keepdims, seed):
    x = integers(seed)
    groups, shape = by_hand(x, over, keepdims)
    g = integers(seed + 1, shape)
    plain = {
        Sum: lambda v: (sum(v), [1] * len(v)),
        Mean: lambda v: (sum(v) / len(v), [Fraction(1, len(v))] * len(v)),
        ReduceMax: lambda v: (max(v), [int(k == v.index(max(v))) for k in range(len(v))]),
        ReduceMin: lambda v: (min(v), [int(k == v.index(min(v))) for k in range(len(v))]),
        Variance: lambda v: (
            sum(a * a for a in v) / len(v) - (sum(v) / len(v)) ** 2,
            [2 * (a - sum(v) / len(v)) / len(v) for a in v],
        ),
    }
    for kind, f in plain.items():
        op = kind(over, keepdims=keepdims)
        y = op.forward(x)
        back = op.vjp(0, g, y, x)
        assert y.shape == shape
        for k, members in groups.items():
            value, slopes = f([x[m] for m in members])
            assert y[k] == value, op
            assert [back[m] for m in members] == [g[k] * s for s in slopes], op
        assert {type(v) for v in (*y.reshape(-1), *back.reshape(-1))} == {Fraction}, op


def test_winners_on_a_baseline_route_there():
    x, baseline = np.array([[1.0, 5.0, 2.0]]), np.array([[7.0, 0.0, 7.0]])
    for keepdims in (False, True):
        op = ReduceMax((1,), keepdims)
        g = np.full(op.forward(x).shape, 3.0)
        assert op.route(g, op.winners(x), x).tolist() == [[0, 3, 0]]
        assert op.route(g, op.winners(baseline), x).tolist() == [[3, 0, 0]]
    op = ReduceMin((1,))
    assert op.candidates(x).tolist() == [[-1, -5, -2]]
    assert op.route(np.array([3.0]), op.winners(baseline), x).tolist() == [[0, 3, 0]]


def test_torch_shares_a_tie_of_amax():
    """The difference that the docstrings state."""
    torch = pytest.importorskip("torch")
    for name in ("amax", "amin"):
        t = torch.ones(1, 2, requires_grad=True)
        getattr(t, name)(1).sum().backward()
        assert t.grad.tolist() == [[0.5, 0.5]]
        t = torch.ones(1, 2, requires_grad=True)
        getattr(t, name[1:])(1).values.sum().backward()
        assert t.grad.tolist() == [[1.0, 0.0]]


@given(ddof=st.integers(0, 2), seed=st.integers(0, 99))
def test_variance_by_pairs(ddof, seed):
    """The sum of squared deviations is the sum of (a - b)^2 over all pairs, divided by n."""
    x = integers(seed, (1, 5))
    pairs = sum((a - b) ** 2 for a, b in itertools.combinations(x[0], 2))
    assert Variance((1,), ddof=ddof).forward(x).tolist() == [pairs / 5 / (5 - ddof)]


def test_variance_far_from_zero_keeps_its_digits():
    x = np.array([[1e8, 1e8 + 1, 1e8 + 2]])
    assert Variance((1,)).forward(x) == 2 / 3


def test_the_signal_of_a_sum_can_be_written_to():
    x = np.ones((1, 3))
    back = Sum((1,)).vjp(0, np.ones(1), np.ones(1), x)
    back[0, 0] = 5
    assert back.tolist() == [[5, 1, 1]]


@pytest.mark.parametrize("kind", [Sum, Mean, ReduceMax, ReduceMin, Variance])
def test_axes_that_cannot_be(kind):
    x = np.zeros((2, 3))
    for axes in ((0,), (-2,), (1, 0)):
        with pytest.raises(ShapeError, match=rf"{kind.__name__}: axis .* is axis 0, the batch"):
            kind(axes).forward(x)
    with pytest.raises(ShapeError, match=rf"{kind.__name__}: axis 2 is outside"):
        kind((2,)).forward(x)


def test_a_negative_ddof_is_refused():
    with pytest.raises(GraphError, match="ddof is -1"):
        Variance((1,), ddof=-1)
