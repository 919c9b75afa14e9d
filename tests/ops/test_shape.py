"""What the shape operators refuse when they are made, and what Detach and the lookups claim."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.errors import ShapeError
from xaicore.ops import (
    Concat,
    Detach,
    Embedding,
    Expand,
    Flatten,
    Gather,
    Reshape,
    Slice,
    Split,
    Squeeze,
    Transpose,
    Unsqueeze,
)


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Reshape((-1, -1)), "-1 once at most"),
        (lambda: Reshape((-2,)), "-1 once at most"),
        (lambda: Flatten(0), "axis 0 is the batch"),
        (lambda: Flatten(-1), "start must be at least 1"),
        (lambda: Transpose((1, 0)), "begin with 0, the batch"),
        (lambda: Transpose((0, 1, 1)), "each of 0 to 2 once"),
        (lambda: Transpose(()), "begin with 0"),
        (lambda: Split(1, (1, 2), 2), "one of 0 to 1"),
        (lambda: Split(1, (1, -2), 0), "no size negative"),
        (lambda: Split(1, (), 0), "index must be one of"),
        (lambda: Slice(1, step=0), "step must not be 0"),
        (lambda: Expand((-2,)), "-1 to keep"),
        (lambda: Concat(0).forward(np.zeros((1, 1))), "the batch"),
        (lambda: Split(0, (1,), 0).forward(np.zeros((1, 1))), "the batch"),
        (lambda: Slice(0).forward(np.zeros((1, 1))), "the batch"),
        (lambda: Gather(0).forward(np.zeros((1, 1)), np.array([0])), "the batch"),
        (lambda: Squeeze((0,)).forward(np.zeros((1, 1))), "the batch"),
        (lambda: Unsqueeze((0,)).forward(np.zeros((1, 1))), "the batch"),
        (lambda: Unsqueeze((1, -2)).forward(np.zeros((1,))), "named twice"),
    ],
)
def test_settings_that_fit_no_input_or_mix_samples_are_refused(make, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make()
    assert text in str(caught.value)


def test_nothing_flows_to_indices_and_through_detach() -> None:
    assert [op.blocks(0) for op in (Gather(1), Embedding(), Expand((1,)), Detach())] == [False, False, False, True]
    assert [op.blocks(1) for op in (Gather(1), Embedding(), Expand((1,)))] == [True, True, True]


def test_repeated_lookups_add_up() -> None:
    table, ids = np.zeros((3, 2)), np.array([[1, 1], [2, 1]])
    g = np.arange(8.0).reshape(2, 2, 2)
    assert Embedding().vjp(0, g, g, table, ids).tolist() == [[0, 0], [0 + 2 + 6, 1 + 3 + 7], [4, 5]]
    x, chosen = np.zeros((1, 3)), np.array([2, 0, 2])
    assert Gather(1).vjp(0, np.array([[1.0, 10, 100]]), np.zeros((1, 3)), x, chosen).tolist() == [[10, 0, 101]]


def test_an_empty_batch_keeps_its_shape() -> None:
    assert Reshape((2, -1)).forward(np.zeros((0, 6))).shape == (0, 2, 3)
    assert Flatten().forward(np.zeros((0, 2, 3))).shape == (0, 6)


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.integers(1, 6),
    st.one_of(st.none(), st.integers(-8, 8)),
    st.one_of(st.none(), st.integers(-8, 8)),
    st.sampled_from([-3, -2, -1, 1, 2, 3]),
)
def test_slice_is_pythons(size: int, start: int | None, stop: int | None, step: int) -> None:
    entries = list(range(size))
    kept = entries[start:stop:step]
    op, x = Slice(-1, start, stop, step), np.array([entries], float)
    if not kept:
        with pytest.raises(ShapeError, match="nothing is left"):
            op.forward(x)
        return
    y = op.forward(x)
    assert y.tolist() == [kept]
    g = np.arange(1.0, len(kept) + 1)[None]
    back = op.vjp(0, g, y, x)
    assert back.tolist() == [[kept.index(k) + 1 if k in kept else 0 for k in entries]]
