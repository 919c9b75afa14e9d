"""Every channel by itself: the sums of conv.py over taps, to the bit, in one to three dimensions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.numerics import scatter, windows
from xaicore.ops import conv, depthwise


@st.composite
def drawn(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, conv.Geometry]:
    rank = draw(st.integers(1, 3))
    most = 4 - rank
    axes = [(draw(st.integers(1, most + 1)), draw(st.integers(1, 3)), draw(st.integers(1, 2)), (draw(st.integers(0, 2)), draw(st.integers(0, 2))))
            for _ in range(rank)]
    kernel, stride, dilation, pads = zip(*axes)
    space = [max(1, (k - 1) * d + 1 - a - b) + draw(st.integers(0, 4)) for k, _, d, (a, b) in axes]
    n, c = draw(st.integers(1, 2)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x, w = rng.normal(size=(n, *space, c)).astype(dtype), rng.normal(size=(c, 1, *kernel)).astype(dtype)
    return conv._channels_first(x), w, conv.Geometry(stride, dilation, pads, c, False)


def one_by_one(x: np.ndarray, w: np.ndarray, at: conv.Geometry) -> np.ndarray:
    """Tap by tap in row-major order."""
    seen = windows(conv.pad_spatial(x, at.pads), w.shape[2:], at.stride, at.dilation)
    y = np.zeros(seen.shape[: x.ndim], x.dtype)
    for k in np.ndindex(*w.shape[2:]):
        y += seen[(..., *k)] * w[(slice(None), 0, *k)].reshape(-1, *(1,) * (x.ndim - 2))
    return y


@given(drawn(), st.sampled_from([1, 10, 1 << 15]))
@settings(max_examples=80, deadline=None)
def test_it_is_the_sum_over_taps_and_its_adjoint(given_: tuple[np.ndarray, np.ndarray, conv.Geometry], entries: int) -> None:
    x, w, at = given_
    usual = depthwise.AT_ONCE
    depthwise.AT_ONCE = entries
    try:
        y = conv.convolve(x, w, at)
        g = np.random.default_rng(0).normal(size=y.shape).astype(y.dtype)
        back = conv.adjoint_x(g, w, x.shape[2:], at)
    finally:
        depthwise.AT_ONCE = usual
    assert y.dtype == x.dtype
    assert (y == one_by_one(x, w, at)).all()
    flow = g[(..., *(None,) * len(at.stride))] * w[:, 0].reshape(w.shape[0], *(1,) * len(at.stride), *w.shape[2:])
    padded = [n + a + b for n, (a, b) in zip(x.shape[2:], at.pads)]
    plain = conv.pad_spatial(scatter(flow, padded, at.stride, at.dilation), [(-a, -b) for a, b in at.pads])
    assert back.dtype == g.dtype
    assert (back == plain).all()


def test_a_window_of_no_entries_gives_0_and_not_what_the_memory_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "empty", lambda shape, dtype=float: np.full(shape, np.nan, dtype))
    assert (conv.Conv(groups=2).forward(np.ones((1, 2, 3, 3)), np.ones((2, 1, 0, 3))) == 0).all()
