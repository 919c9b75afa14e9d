"""What the cases of gathers, scatters and sorted entries cannot show: repeated values, and what LRP, DeepLIFT and IG make of them."""

from __future__ import annotations

import math
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import xaicore as xc
from tests.cases import CASES
from tests.cases.case import Case, exact
from tests.ops.attributed import complete_gap, lrp_gap, summed
from xaicore.errors import Inapplicable, UncoveredNode
from xaicore.graph import Builder, Graph
from xaicore.ops import ArgMax, ArgMin, CumProd, GatherND, OneHot, Op, ScatterElements, ScatterND, TopK, TopKIndices

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)
COARSE = st.integers(0, 2)
"""So few values that most of them are tied."""


@EXAMPLES
@given(st.data())
def test_scatter_is_the_loop_that_it_stands_for(data: st.DataObject) -> None:
    """Ties and repeated indices, in rationals: values and vjp against a loop over the updates, one after the other."""
    size, count = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 5))
    x, updates = (exact(data.draw(hnp.arrays(float, (2, n), elements=COARSE))) for n in (size, count))
    at = data.draw(hnp.arrays(np.int64, (2, count), elements=st.integers(-size, size - 1)))
    reduction = data.draw(st.sampled_from(["none", "add", "mul", "max", "min"]))
    op, g = ScatterElements(reduction), exact(np.arange(2.0, 2 + 2 * size).reshape(2, size))
    y = op.forward(x, at, updates)
    for n in range(2):
        for k in range(size):
            hits = [j for j in range(count) if at[n, j] % size == k]
            values, where = [x[n, k], *updates[n, hits]], [None, *hits]
            if reduction in ("none", "max", "min"):
                wins = {"none": len(hits), "max": values.index(max(values)), "min": values.index(min(values))}[reduction]
                expected, slopes = values[wins], [F(j == wins) for j in range(len(values))]
            elif reduction == "add":
                expected, slopes = sum(values), [F(1)] * len(values)
            else:
                expected, slopes = math.prod(values), [math.prod(values[:j] + values[j + 1 :]) for j in range(len(values))]
            assert y[n, k] == expected
            assert op.vjp(0, g, y, x, at, updates)[n, k] == g[n, k] * slopes[0]
            for j, slope in zip(where[1:], slopes[1:]):
                assert op.vjp(2, g, y, x, at, updates)[n, j] == g[n, k] * slope


@EXAMPLES
@given(st.data())
def test_blocks_are_where_their_indices_say(data: st.DataObject) -> None:
    """GatherND and ScatterND at any geometry: batches of 2 or 1, shared axes, deep and shallow indices, negative ones."""
    sizes = data.draw(st.lists(st.integers(1, 3), min_size=1, max_size=3))
    shared = data.draw(st.integers(1, len(sizes)))
    depth = data.draw(st.integers(1, len(sizes) + 1 - shared))
    batches = data.draw(st.sampled_from([(2, 2), (2, 1), (1, 2)]))
    lead, rest = sizes[: shared - 1], sizes[shared - 1 + depth :]
    count = data.draw(st.lists(st.integers(1, 3), max_size=2))
    x = exact(np.arange(1.0, 1 + batches[0] * np.prod(sizes)).reshape(batches[0], *sizes))
    at = np.stack([data.draw(hnp.arrays(np.int64, (batches[1], *lead, *count), elements=st.integers(-n, n - 1)))
                   for n in sizes[shared - 1 : shared - 1 + depth]], axis=-1)
    op = GatherND(shared)
    y = op.forward(x, at)
    assert y.shape == (2, *lead, *count, *rest)
    g, back = exact(np.arange(1.0, 1 + y.size).reshape(y.shape)), np.zeros(x.shape, object)
    for k in np.ndindex(2, *lead, *count):
        block = (k[0] % batches[0], *k[1:shared], *at[(k[0] % batches[1], *k[1:])])
        assert np.array_equal(y[k], x[block])
        back[block] = back[block] + g[k]
    assert op.vjp(0, g, y, x, at).tolist() == back.tolist()
    if shared == 1:
        moved = x.repeat(2, axis=0) if batches[0] == 1 else x.copy()
        for k in np.ndindex(2, *count):
            block = (k[0], *at[(k[0] % batches[1], *k[1:])])
            moved[block] = moved[block] + g[k]
        assert ScatterND("add").forward(x, at, g).tolist() == moved.tolist()


@EXAMPLES
@given(hnp.arrays(float, (2, 5), elements=COARSE), st.integers(1, 5), st.booleans())
def test_equal_entries_keep_their_order(x: np.ndarray, k: int, largest: bool) -> None:
    """sorted() is stable, and so are TopK and its indices; the extremes are the first of them."""
    at = [sorted(range(5), key=lambda j, row=row: -row[j] if largest else row[j])[:k] for row in x.tolist()]
    assert TopKIndices(1, k, largest).forward(x).tolist() == at
    assert TopK(1, k, largest).forward(x).tolist() == [[row[j] for j in js] for row, js in zip(x.tolist(), at)]
    kind = ArgMax if largest else ArgMin
    assert kind(1).forward(x).tolist() == [js[0] for js in at]
    best = [max(j for j in range(5) if row[j] == row[js[0]]) for row, js in zip(x.tolist(), at)]
    assert kind(1, last=True).forward(x).tolist() == best


# ----- what attributions make of them -------------------------------------------------------------------------------

FAMILY = ["Gather", "Scatter", "Trilu", "Reverse", "Cum", "TopK"]
SERVED = [c for c in CASES if any(c.id.startswith(k) for k in FAMILY) and any(c.mask()) and c.op.rational and not c.op.blocks(0)]
NO_RULE = {"ScatterElements-mul", "ScatterElements-mul-zeros", "ScatterElements-max", "ScatterElements-min", "ScatterND-mul", "ScatterND-max"}


CONSTANT = {"CumProd-exclusive": 1 + 2, "CumProd-both": 4}
"""The empty products are 1 whatever the input is: with the weights of the sum behind them, that much is no one's."""


@pytest.mark.parametrize("case", SERVED, ids=lambda c: c.id)
def test_rules_need_no_row_of_their_own(case: Case) -> None:
    """LRP conserves where nothing is absorbed, DeepLIFT completes; neither table names these operators."""
    graph, feeds = summed(case)
    if case.id in NO_RULE:
        with pytest.raises(UncoveredNode, match=rf"no row covers node 'node' \({type(case.op).__name__}.*Add one in front"):
            xc.explain(graph, feeds, "lrp.epsilon", target=0)
        with pytest.raises(Inapplicable, match="use integrated_gradients, which samples the path"):
            xc.explain(graph, feeds, "integrated_gradients.exact", target=0)
        return
    assert lrp_gap(graph, feeds).tolist() == [CONSTANT.get(case.id, 0)] * 3
    assert complete_gap(graph, feeds).tolist() == [0, 0, 0]
    if case.op.affine(case.mask()):
        assert complete_gap(graph, feeds, "integrated_gradients.exact").tolist() == [0, 0, 0]


def one(op: Op, n: int) -> Graph:
    b = Builder(dtype="exact")
    return b.build(b.add(op, b.input("x", (None, n))))


def test_relevance_of_a_running_product() -> None:
    """Half at every product: of x0 x1 x2 the last factor has 1/2, the first two 1/4 each."""
    a = xc.explain(one(CumProd(1), 3), [[2, 3, 5]], "lrp.zero", target=2)
    assert np.asarray(a).tolist() == [[F(15, 2), F(15, 2), F(15)]]


def test_differences_of_the_largest_need_the_same_order() -> None:
    """On the baseline (3, 4, 0) the largest is the second entry, on (0, 1, 9) the third: then no multiplier can say what changed."""
    graph, x = one(TopK(1, 2), 3), [[2, 7, 5]]
    a = xc.explain(graph, x, "deeplift.rescale", target=0, baseline=np.array([[3, 4, 0]]))
    assert np.asarray(a).tolist() == [[0, 3, 0]]
    for method in ("deeplift.rescale", "deeplift.reveal_cancel"):
        with pytest.raises(Inapplicable, match=r"\(GatherElements.*chooses otherwise on the baseline than on the input"):
            xc.explain(graph, x, method, target=0, baseline=np.array([[0, 1, 9]]))


def test_relevance_of_the_largest() -> None:
    a = xc.explain(one(TopK(1, 2), 3), [[2, 7, 5]], "lrp.zero", target=1)
    assert np.asarray(a).tolist() == [[0, 0, 5]]


def test_one_hot_of_one_kind() -> None:
    assert OneHot(1).forward(np.array([[0, -1, 1]])).tolist() == [[[1], [1], [0]]]
