"""Owen values: against all orders that keep groups together, Shapley values at both ends, hierarchies that are refused."""

from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import close
from tests.oracle.planted import cnn, image
from xaicore.errors import Inapplicable, InputError, UnknownName
from xaicore.oracle.strategies import inputs_of, mlps
from xaicore.oracle.twins import games as twins
from xaicore.oracle.twins.games import worth

TREES = [((0, 1), 2, 3), ((0, (1, 2)), 3), (((0, 1), (2, 3)),), (0, 1, 2, 3), (((3,), (0, 2)), (1,))]


@settings(max_examples=6)
@given(data=st.data(), tree=st.sampled_from(TREES))
def test_against_orders(data, tree):
    graph = data.draw(mlps("any", features=(4, 4))).astype("exact")
    x = np.vectorize(F, otypes=[object])(data.draw(inputs_of(graph, batch=(1, 1))))
    v = worth(lambda one: graph(one[None])[0, 1], x[0], x[0] * 0, np.arange(4))
    a = xc.explain(graph, x, "shapley.owen", target=1, hierarchy=tree)
    slow = twins.owen_by_orders(v, tree)
    assert list(np.asarray(a)[0]) == [slow[i] for i in range(4)]
    assert a.gap()[0] == 0


def test_groups_share_what_their_players_together_are_worth():
    """The quotient: the sum over a group of the top level is the Shapley value of the group as one player."""
    graph, x = cnn(), image(2)
    mask = np.arange(16).reshape(1, 4, 4) // 2                           # 8 players
    a = xc.explain(graph, x, "shapley.owen", target=1, mask=mask, hierarchy=((0, 1, 2), (3, 4), (5, 6, 7))).extras["players"]
    groups = np.array([0, 0, 0, 1, 1, 2, 2, 2])
    b = xc.explain(graph, x, "shapley.exact", target=1, mask=groups[mask]).extras["players"]
    assert close(np.stack([a[:, groups == k].sum(axis=1) for k in range(3)], axis=1), b, 1e-12)


def test_trivial_hierarchies():
    """One group of all, or groups of one: Shapley values."""
    graph, x = cnn(), image(1)
    exact = np.asarray(xc.explain(graph, x, "shapley.exact", target=2, mask=2))
    for hierarchy in ("flat", (0, 1, 2, 3), ((0,), (1,), (2,), (3,)), ((0, 1, 2, 3),)):
        assert close(np.asarray(xc.explain(graph, x, "shapley.owen", target=2, mask=2, hierarchy=hierarchy)), exact, 1e-12)


def test_halves():
    """Along the longer axis first; 64 players take no more than 64² coalitions."""
    a = xc.explain(cnn(), image(1), "shapley.owen", target=0, mask=(2, 4))
    assert a.extras["hierarchy"] == (((0, 1), (4, 5)), ((2, 3), (6, 7)))
    assert a.extras["evaluations"] <= 64
    many = xc.explain(cnn(), image(1), "shapley.owen", target=0, mask="entries")
    assert many.extras["evaluations"] <= 32**2
    assert close(many.total(), many.output - many.baseline_output, 1e-12)


def test_refusals():
    graph, x = cnn(), image(1)
    with pytest.raises(Inapplicable, match=r"32 players has 68,719,476,736 terms, and shapley.owen takes up to 1,048,576"):
        xc.explain(graph, x, "shapley.owen", target=0, mask="entries", hierarchy="flat")
    for hierarchy, message in ((((0, 1), 2), "each of the 4 players, 0 to 3, must be there once"), ((0, 1, 2, 3, 3), "must be there once"),
                               ((0, (), (1, 2, 3)), r"hierarchy holds \(\)"), ((0, "a"), "hierarchy holds 'a'")):
        with pytest.raises(InputError, match=message):
            xc.explain(graph, x, "shapley.owen", target=0, mask=2, hierarchy=hierarchy)
    with pytest.raises(UnknownName, match="did you mean 'halves'"):
        xc.explain(graph, x, "shapley.owen", target=0, mask=2, hierarchy="half")
