"""Unfold and Fold at random geometries, each against its definition as a loop, in rationals."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases.case import exact
from tests.cases.fold import CASES
from tests.ops.attributed import complete_gap, lrp_gap, summed
from xaicore.errors import ShapeError
from xaicore.ops import Fold, Unfold


@settings(max_examples=60, deadline=None, derandomize=True)
@given(st.data())
def test_windows_are_what_the_loop_sees(data: st.DataObject) -> None:
    rank, channels = data.draw(st.integers(1, 3)), data.draw(st.integers(1, 2))

    def draw(low: int, high: int) -> tuple[int, ...]:
        return tuple(data.draw(st.integers(low, high)) for _ in range(rank))

    space, kernel, stride, dilation = draw(1, 5 - rank), draw(1, 3), draw(1, 3), draw(1, 2)
    pads = tuple(zip(draw(0, 2), draw(0, 2)))
    room = [n + a + b - (k - 1) * d - 1 for n, k, d, (a, b) in zip(space, kernel, dilation, pads)]
    op = Unfold(kernel, stride, dilation, pads)
    x = exact(np.arange(1.0, 1 + channels * np.prod(space)).reshape(1, channels, *space))
    if min(room) < 0:
        with pytest.raises(ShapeError, match="does not fit an axis"):
            op.forward(x)
        with pytest.raises(ShapeError, match="does not fit an axis"):
            Fold(space, kernel, stride, dilation, pads)
        return
    counts, taps = [r // s + 1 for r, s in zip(room, stride)], int(np.prod(kernel))
    y, fold = op.forward(x), Fold(space, kernel, stride, dilation, pads)
    g = exact(np.arange(1.0, 1 + y.size).reshape(y.shape))
    back = np.zeros_like(x) * 0
    for c in range(channels):
        for k, tap in enumerate(np.ndindex(*kernel)):
            for w, window in enumerate(np.ndindex(*counts)):
                at = tuple(o * s + j * d - a for o, s, j, d, (a, _) in zip(window, stride, tap, dilation, pads))
                inside = all(0 <= p < n for p, n in zip(at, space))
                assert y[0, c * taps + k, w] == (x[(0, c, *at)] if inside else 0)
                if inside:
                    back[(0, c, *at)] += g[0, c * taps + k, w]
    assert op.vjp(0, g, y, x).tolist() == fold.forward(g).tolist() == back.tolist()
    assert fold.vjp(0, x, back, g).tolist() == y.tolist()


@pytest.mark.parametrize(("make", "text"), [
    (lambda: Unfold(()), "one to three sizes"), (lambda: Unfold((1,) * 4), "one to three sizes"), (lambda: Unfold((2,), (1, 1)), "stride must have 1 entries"),
    (lambda: Unfold((2,), (0,)), "must be at least 1"), (lambda: Fold((3, 3), (2,)), "size must have 1 entries"),
])
def test_settings_that_fit_no_input_are_refused(make, text: str) -> None:
    with pytest.raises(ShapeError, match=text):
        make()


@pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)
def test_rules_need_no_row_of_their_own(case) -> None:
    graph, feeds = summed(case)
    assert lrp_gap(graph, feeds).tolist() == [0, 0, 0]
    assert complete_gap(graph, feeds).tolist() == [0, 0, 0]
    assert complete_gap(graph, feeds, "integrated_gradients.exact").tolist() == [0, 0, 0]
