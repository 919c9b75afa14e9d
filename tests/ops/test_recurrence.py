"""The recurrent operators find all that is in a time step at once, from the states: the same as the steps one by one, wired as a graph.

There the weights are constants; their cotangents are compared with central differences in test_ops.py.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.ops.backprop import backprop, expanded
from xaicore.ops import GRU, LSTM, RNN, HardSigmoid, Op, ReLU, Sigmoid
from xaicore.ops import recurrence as loop
from xaicore.ops.recurrence import Recurrence

KINDS = (
    lambda r: RNN(r), lambda r: RNN(r, ReLU()), lambda r: GRU(r), lambda r: GRU(r, "before"), lambda r: LSTM(r), lambda r: LSTM(r, "cell"),
    lambda r: LSTM(r, "hidden", HardSigmoid(), Sigmoid()),
)


@st.composite
def layers(draw: st.DrawFn) -> tuple[Op, tuple[np.ndarray, ...], np.ndarray]:
    """A layer of any kind with its inputs, and a cotangent."""
    op: Recurrence = draw(st.sampled_from(KINDS))(draw(st.booleans()))
    n, t, i, h = draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng, rows = np.random.default_rng(draw(st.integers(0, 2**20))), len(op.GATES) * h
    shapes = [(n, t, i), (rows, i), (rows, h), (rows,), (rows,)]
    masked = draw(st.booleans())
    shapes += [(n, h)] * len(op.STATES) if masked or draw(st.booleans()) else []
    xs = [rng.normal(size=s) / 2 for s in shapes]
    return op, (*xs, rng.random((n, t)) < 0.6) if masked else tuple(xs), rng.normal(size=(n, t, h))


@given(layers(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_all_steps_at_once_are_the_steps_one_by_one(drawn: tuple[Op, tuple[np.ndarray, ...], np.ndarray], narrow: bool) -> None:
    op, xs, g = drawn
    y, signal = backprop(*expanded(op, xs), g)
    if narrow:
        xs, g = tuple(x if x.dtype == bool else x.astype(np.float32) for x in xs), g.astype(np.float32)
    eps = 1e-5 if narrow else 1e-13       # numbers of about 1, some hundred roundings each
    found = op.forward(*xs)
    assert found.dtype == g.dtype
    assert np.abs(found - y).max() <= eps
    before = [x.copy() for x in xs]
    for i in range(len(xs)):
        got = op.vjp(i, g, found, *xs)
        assert got.shape == xs[i].shape
        assert i in (1, 2, 3, 4) or op.blocks(i) or np.abs(got - signal[f"x{i}"]).max() <= eps * max(1.0, np.abs(got).max())
    assert all((x == old).all() for x, old in zip(xs, before))


def test_parts_of_a_batch_are_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    xs = [rng.normal(size=s) for s in ((5, 3, 2), (8, 2), (8, 2), (8,), (8,), (5, 2), (5, 2))]
    g = rng.normal(size=(5, 3, 2))
    for op in (LSTM(), LSTM(True, "cell")):
        y = op.forward(*xs)
        whole = [op.vjp(i, g, y, *xs) for i in range(7)]
        for several in (2, 3):                                                      # in three parts, in two
            with monkeypatch.context() as patch:
                patch.setattr(loop, "REMEMBERED", 10 * y.nbytes // len(y) * several)
                assert all(np.abs(op.vjp(i, g, y, *xs) - one).max() < 1e-12 for i, one in enumerate(whole))    # sums in another order


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("op", [RNN(), GRU(), GRU(True, "before"), LSTM()], ids=str)
def test_many_samples_and_units_are_each_sample_by_itself(op: Recurrence, dtype: str) -> None:
    """With so many, the products of a time step are taken as small ones (unpacked.py), of weights in runs."""
    rng, rows = np.random.default_rng(0), 128 * len(op.GATES)
    weights = [(rng.normal(size=s) / 16).astype(dtype) for s in ((rows, 3), (rows, 128), (rows,), (rows,))]
    for w in weights:
        w.flags.writeable = False
    x, g = rng.normal(size=(70, 4, 3)).astype(dtype), rng.normal(size=(70, 4, 128)).astype(dtype)
    y = op.forward(x, *weights)
    back, to_u = op.vjp(0, g, y, x, *weights), op.vjp(2, g, y, x, *weights)
    alone = [(op.forward(x[k : k + 1], *weights), k) for k in range(0, 70, 23)]
    eps = 1e-5 if dtype == "float32" else 1e-13                            # sums of 128 and 512 terms of about 1/16
    for one, k in alone:
        assert np.abs(y[k] - one[0]).max() <= eps
        assert np.abs(back[k] - op.vjp(0, g[k : k + 1], one, x[k : k + 1], *weights)[0]).max() <= eps * np.abs(back).max()
    each = sum(op.vjp(2, g[k : k + 1], y[k : k + 1], x[k : k + 1], *weights) for k in range(70))
    assert np.abs(to_u - each).max() <= eps * np.abs(to_u).max()


def test_an_overflow_in_a_step_is_an_error_even_where_the_state_stays_small() -> None:
    huge = np.full((512, 128), 1e38, np.float32)
    xs = (np.ones((1, 2, 4), np.float32), np.ones((512, 4), np.float32), huge, np.zeros(512, np.float32), np.zeros(512, np.float32))
    with np.errstate(over="raise", invalid="raise"), pytest.raises(FloatingPointError):
        LSTM().forward(*xs, np.ones((1, 128), np.float32), np.ones((1, 128), np.float32))
