"""Sums, averages and BatchNorm as other libraries pass them: by loops over the entries, by hand, and as printed rows."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from tests.nets import close
from xaicore import Builder
from xaicore.errors import UnknownName
from xaicore.ops import Add, AvgPool, BatchNorm, Conv, Dense, Mean, ReLU, Sub
from xaicore.rules import op
from xaicore.rules.deeplift import linear
from xaicore.rules.dialect import batchnorm_reverse, batchnorm_surrogate, copied, in_dialect
from xaicore.rules.ruleset import RuleSet
from xaicore.rules.uniform import lrp_epsilon, lrp_z_plus
from xaicore.trace import forward

EPS, GAMMA, BETA, MEAN, VAR = 0.5, (2.0, -1.5), (0.25, 0.75), (0.5, -1.0), (0.5, 2.0)
X = np.array([[[1.5, -2.0, 0.75], [-3.0, 0.25, 1.25]], [[2.5, 0.5 + 2**-20, -0.25], [4.0, -0.5, 0.125]]])


def normalised():
    """A step of BatchNorm on X (N, C, L) = (2, 2, 3); one entry lies at its mean but for a millionth."""
    b = Builder()
    stats = [b.param(k, v) for k, v in zip("gbmv", (GAMMA, BETA, MEAN, VAR))]
    graph = b.build(b.add(BatchNorm(eps=EPS), b.input("x", (None, 2, 3)), *stats))
    return forward(graph, {"x": X}).step(graph.nodes[0])


def entries(formula):
    out = np.empty_like(X)
    for n, c, k in np.ndindex(X.shape):
        out[n, c, k] = formula(X[n, c, k], c, R[n, c, k])
    return out


R = np.arange(1.0, 13.0).reshape(X.shape)


def test_reverse_by_loops():
    def one(x, c, r):
        y = (x - MEAN[c]) / sqrt(VAR[c] + EPS) * GAMMA[c] + BETA[c]
        bottom = (x - MEAN[c]) * y
        return x * (y - BETA[c]) * r / (bottom + (1e-7 if bottom >= 0 else -1e-7))

    step = normalised()
    parts = batchnorm_reverse(step, R)
    assert close(parts[0], entries(one), 1e-9)
    assert parts[1:] == (None,) * 4


def test_surrogate_by_loops():
    def one(x, c, r):
        spread = sqrt(VAR[c] ** 2 + EPS)
        return x * GAMMA[c] / spread * r / (x * GAMMA[c] / spread + BETA[c] - MEAN[c] / spread)

    parts = batchnorm_surrogate(normalised(), R)
    assert close(parts[0], entries(one))
    assert parts[1:] == (None,) * 4


def test_a_copied_sum_hands_all_to_each():
    b = Builder()
    graph = b.build(b.add(Add(), b.input("x", (None, 1)), b.input("y", (None, 1))))
    step = forward(graph, {"x": np.array([[3.0]]), "y": np.array([[1.0]])}).step(graph.nodes[0])
    assert [p.tolist() for p in copied(step, np.array([[8.0]]))] == [[[8]], [[8]]]


# ----- which rows there are -----------------------------------------------------------------------------------------

NET = Builder("net")
_x = NET.input("x", (None, 2, 4))
_h = NET.add(BatchNorm(eps=0.0), NET.add(Conv(), _x, NET.param("w", np.ones((2, 2, 1))), name="conv"),
             *(NET.param(k, v) for k, v in zip("gbmv", (GAMMA, BETA, MEAN, VAR))), name="norm")
_s = NET.add(AvgPool((2,)), NET.add(Add(), _h, NET.add(ReLU(), _h, name="relu"), name="sum"), name="pool")
NET = NET.build(NET.add(Mean((1, 2)), _s, name="mean"))


def rules_of(rules: RuleSet) -> dict[str, str]:
    plan = rules.plan(rules.prepare(NET))
    return {n.name: plan.rule(n).label for n in plan.graph.nodes}


SHARED = "epsilon(0.25, bias=ignore)"
SHARE = {"conv": SHARED, "norm": "route", "relu": "identity", "sum": SHARED, "pool": SHARED, "mean": SHARED}


@pytest.mark.parametrize(("settings", "differs"), [
    ({}, {}),
    ({"sums": "repeat"}, {"sum": "copied"}),
    ({"averages": "uniform"}, {"pool": "copied", "mean": "copied"}),
    ({"sums": "repeat", "averages": "uniform"}, {"sum": "copied", "pool": "copied", "mean": "copied"}),
    ({"batchnorm": "affine"}, {"norm": SHARED}),
    ({"batchnorm": "pass"}, {"norm": "identity"}),
    ({"batchnorm": "reverse"}, {"norm": "batchnorm_reverse"}),
    ({"batchnorm": "surrogate"}, {"norm": "batchnorm_surrogate"}),
    ({"batchnorm": "pass", "sums": "repeat"}, {"norm": "identity", "sum": "copied"}),
], ids=str)
def test_which_rule_each_node_gets(settings, differs):
    assert rules_of(in_dialect(lrp_epsilon(0.25, "ignore"), **settings)) == {**SHARE, **differs}


def test_the_default_is_the_rule_set_itself():
    rules = lrp_epsilon()
    assert in_dialect(rules) is rules


def test_a_batchnorm_of_its_own_is_not_taken_apart():
    rules = lrp_z_plus()
    found = in_dialect(rules, batchnorm="pass")
    assert set(rules.expand) - set(found.expand) == {BatchNorm}
    assert Sub in found.expand
    assert found.fold == "padding"
    assert rules.fold is True


def test_a_rule_set_without_settings_is_not_stabilised():
    """eps 0 and bias "absorb", as the settings of the rules themselves have it."""
    plain = RuleSet("plain", "relevance", ((op(Dense, Conv), linear),))
    assert in_dialect(plain, batchnorm="affine").rules[0][1].label == "zero"


@pytest.mark.parametrize("setting", ["sums", "averages", "batchnorm"])
def test_names_that_do_not_exist(setting):
    with pytest.raises(UnknownName, match=f"{setting}='repaet' does not exist"):
        in_dialect(lrp_epsilon(), **{setting: "repaet"})
