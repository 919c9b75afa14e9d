"""expand: operators written in simpler ones, under the same names, with the same values."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.cases import CASES
from tests.cases.case import Case
from tests.graph.graphs import assert_same, equal, graph_of, normalised, values
from xaicore.graph import Builder, passes
from xaicore.ops import BatchNorm, Concat, Conv, LayerNorm, LogSoftmax, Mean, ReLU, Reshape, Rsqrt, Softmax, Variance


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_an_expansion_has_the_values_and_the_name_of_its_operator(case: Case) -> None:
    """The operator's own forward is the second opinion on its expansion."""
    for dtype in ("float64", "float32", "exact") if case.op.rational else ("float64", "float32"):
        graph, feeds = graph_of(case, dtype)
        grown = passes.expand(graph, [type(case.op)])
        if grown is graph or grown.nodes == graph.nodes:
            continue                                                    # it has no simpler form
        equal(graph, grown, feeds)
        assert grown.outputs == ("node",)
        assert {n.name.split("/")[0] for n in grown.nodes} == {"node"}
        assert {(n.layer, n.origin) for n in grown.nodes} == {("layer", "origin")}
        assert type(case.op) not in {type(n.op) for n in grown.nodes}


def test_some_operators_expand() -> None:
    """So that the test above is not empty."""
    grown = {type(c.op) for c in CASES if len(passes.expand(graph_of(c)[0], [type(c.op)]).nodes) > 1}
    assert grown >= {Softmax, LogSoftmax, BatchNorm, LayerNorm, Variance}


def test_expansion_goes_on_until_nothing_is_left() -> None:
    graph, feeds = normalised()
    before = str(graph)
    grown = passes.expand(graph, [LayerNorm, Softmax, Variance, Rsqrt])
    equal(graph, grown, feeds, ["norm", "weights", "mixed"])
    assert not {LayerNorm, Softmax, Variance} & {type(n.op) for n in grown.nodes}
    assert {n.layer for n in grown.nodes if n.name.startswith("norm")} == {"block.norm"}
    assert {n.layer for n in grown.nodes if n.name.startswith("weights")} == {"weights"}
    assert str(graph) == before
    assert_same(passes.expand(grown, [LayerNorm, Softmax]), grown)


def test_a_known_shape_saves_a_run_on_sample_feeds() -> None:
    """The expansion of BatchNorm asks for the rank of x; a sample of 8 x 8 would be too small for this convolution."""
    rng = np.random.default_rng(0)
    b = Builder()
    x = b.input("x", (None, 1, None, None))
    h = b.add(Conv(), x, b.param("w", rng.standard_normal((2, 1, 11, 11))))
    y = b.add(BatchNorm(), b.add(ReLU(), h), *(b.param(k, [1.0, 2.0]) for k in ("gamma", "beta", "mean", "var")), name="bn")
    graph, feeds = b.build(y), {"x": rng.standard_normal((2, 1, 12, 13))}
    shapes = {k: v.shape for k, v in values(graph, feeds).items()}
    equal(graph, passes.expand(graph, [BatchNorm], {**shapes, "x": (2, 1, 12, 13)}), feeds)


def test_reshaped_and_joined_values_survive_expansion() -> None:
    """An expansion between two readers of the same value, whose last node takes over the name of the node it replaces."""
    b = Builder()
    x = b.input("x", (None, 4))
    p = b.add(Softmax(), x, name="p")
    joined = b.add(Concat(1), b.add(Reshape((2, 2)), p), b.add(Reshape((2, 2)), b.add(ReLU(), p)))
    graph = b.build(b.add(Mean((1, 2)), joined), p)
    feeds = {"x": np.random.default_rng(0).standard_normal((3, 4))}
    grown = passes.expand(replace(graph, name="n"), [Softmax])
    equal(graph, grown, feeds, ["p"])
    assert grown.name == "n"
