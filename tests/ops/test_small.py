"""Convolutions of small maps in few calls: the same bits as conv.py's own way, which is the twin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.ops import conv, small


@st.composite
def drawn(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, conv.Geometry]:
    """x in several layouts of memory, w, b, and a geometry that fits them."""
    rank = draw(st.integers(1, 3))
    least = draw(st.integers(1, 2))                                     # from 2 on some padding is less than a window reaches
    steps = draw(st.sampled_from([(1,), (1, 2)]))                       # as often by one along every axis as not
    axes = [(draw(st.integers(least, 3)), draw(st.sampled_from(steps)), draw(st.integers(1, 2)),
             (draw(st.integers(0, 3 - least)), draw(st.integers(0, 2)))) for _ in range(rank)]
    kernel, stride, dilation, pads = zip(*axes)
    space = [(k - 1) * d + 1 + draw(st.integers(0, 4)) for k, _, d, _ in axes]
    n, c, o = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2, 5, 6])), draw(st.sampled_from([1, 2, 7, 20]))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x, w, b = (rng.normal(size=shape).astype(dtype) for shape in ((n, c, *space), (o, c, *kernel), (o,)))
    layout = draw(st.sampled_from(["channels first", "channels last", "every other row"]))
    if layout == "channels last":
        x = conv._channels_first(conv._channels_last(x))
    if layout == "every other row":
        x = np.repeat(x, 2, axis=2)[:, :, ::2]
    return x, w, b, conv.Geometry(stride, dilation, pads, 1, False)


@given(drawn(), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_small_maps_have_the_bits_of_large_ones(given_: tuple[np.ndarray, np.ndarray, np.ndarray, conv.Geometry], biased: bool) -> None:
    x, w, b, at = given_
    before, bias = x.copy(), b if biased else None
    plan = small.planned(x, w, at)
    assert plan is not None
    y = small.convolve(x, w, plan, bias)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "planned", lambda *_: None)
        plain = conv.convolve(x, w, at, bias)
    assert y.strides == plain.strides
    assert y.dtype == plain.dtype
    assert np.array_equal(y, plain)
    assert (x == before).all()


@given(drawn(), st.booleans())
@settings(max_examples=150, deadline=None, derandomize=True)
def test_what_comes_back_has_the_bits_of_large_maps(given_: tuple[np.ndarray, np.ndarray, np.ndarray, conv.Geometry], turned: bool) -> None:
    x, w, _, at = given_
    g = np.random.default_rng(0).normal(size=conv.convolve(x, w, at).shape).astype(x.dtype)
    g = conv._channels_first(conv._channels_last(g)) if turned else g
    before, plan = g.copy(), small.planned_back(g, w, x.shape[2:], at)
    cut = any(max(pair) > (k - 1) * d for pair, k, d in zip(at.pads, w.shape[2:], at.dilation))
    scattered = w.shape[1] > 4 and (cut or set(at.stride) != {1} or not 1 < len(w) <= 3 * w.shape[1])
    assert (plan is None) == (scattered or w[0].size == 1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(small, "planned", lambda *_: None)
        patch.setattr(small, "planned_back", lambda *_: None)
        plain = conv.adjoint_x(g, w, x.shape[2:], at)
    if plan is not None:
        back = small.adjoint_x(g, w, plan)
        assert back.strides == plain.strides
        assert back.dtype == plain.dtype
        assert np.array_equal(back, plain)
    assert (g == before).all()


@pytest.mark.parametrize(("x", "w", "at", "why"), [
    ((1, 2, 9, 9), (2, 1, 3, 3), {"groups": 2}, "groups"),
    ((1, 16, 9, 9), (16, 16, 3, 3), {"fast": True}, "Winograd's sums"),
    ((8, 2, 9, 9), (2, 2, 3, 3), {}, "many samples"),
    ((1, 64, 9, 9), (64, 64, 1, 1), {}, "many weights"),
    ((1, 8, 99, 99), (2, 8, 3, 3), {}, "a large map"),
    ((1, 2, 9, 9), (2, 2, 3, 3), {"pads": ((1, -1), (0, 0))}, "less than no padding"),
])
def test_what_is_not_small_goes_the_other_way(x: tuple[int, ...], w: tuple[int, ...], at: dict, why: str) -> None:
    geometry = conv.Geometry(**{"stride": (1, 1), "dilation": (1, 1), "pads": ((0, 0), (0, 0)), "groups": 1, "fast": False, **at})
    assert small.planned(np.ones(x, np.float32), np.ones(w, np.float32), geometry) is None, why
    y = np.ones((x[0], w[0], *(n + a + b - 2 for n, (a, b) in zip(x[2:], geometry.pads))), np.float32)
    assert small.planned_back(y, np.ones(w, np.float32), x[2:], geometry) is None, why


@pytest.mark.parametrize(("x", "w", "goes"), [(object, object, False), ("float32", "float64", False), ("float64", "float64", True)])
def test_rationals_and_two_arithmetics_go_the_other_way(x: type | str, w: type | str, goes: bool) -> None:
    at = conv.Geometry((1, 1), (1, 1), ((1, 1), (1, 1)), 1, False)
    kernel = np.ones((2, 1, 3, 3), w)
    assert (small.planned(np.ones((1, 1, 6, 6), x), kernel, at) is not None) is goes
    assert (small.planned_back(np.ones((1, 2, 6, 6), x), kernel, (6, 6), at) is not None) is goes


def test_what_leaves_the_range_is_told_there_and_back() -> None:
    x, w = np.full((1, 1, 6, 6), 1e30, np.float32), np.full((2, 1, 3, 3), 1e30, np.float32)
    at = conv.Geometry((1, 1), (1, 1), ((1, 1), (1, 1)), 1, False)
    plan, back = small.planned(x, w, at), small.planned_back(np.full((1, 2, 6, 6), 1e30, np.float32), w, (6, 6), at)
    assert plan is not None
    assert back is not None
    with np.errstate(all="raise"):
        with pytest.raises(FloatingPointError):
            small.convolve(x, w, plan)
        with pytest.raises(FloatingPointError):
            small.adjoint_x(np.full((1, 2, 6, 6), 1e30, np.float32), w, back)
