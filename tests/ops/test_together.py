"""Convolutions of many small images with the batch innermost in memory: the sums of conv.py in another order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.ops import conv, together


@st.composite
def drawn(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, conv.Geometry]:
    """x with its batch innermost, w, and a geometry that fits them."""
    rank = draw(st.integers(1, 2))
    axes = [(draw(st.integers(1, 3)), draw(st.integers(1, 2)), draw(st.integers(1, 2)), (draw(st.integers(0, 2)), draw(st.integers(0, 2))))
            for _ in range(rank)]
    kernel, stride, dilation, pads = zip(*axes)
    space = [(k - 1) * d + 1 + draw(st.integers(0, 4)) for k, _, d, _ in axes]
    n, c, o = draw(st.integers(8, 10)), draw(st.integers(1, 5)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    dtype = draw(st.sampled_from([np.float32, np.float64]))
    x, w = rng.normal(size=(c, *space, n)).astype(dtype), rng.normal(size=(o, c, *kernel)).astype(dtype)
    return x.transpose(rank + 1, *range(rank + 1)), w, conv.Geometry(stride, dilation, pads, 1, False)


@given(drawn(), st.booleans(), st.sampled_from([1, 500, 1 << 21]))
@settings(max_examples=60, deadline=None)
def test_it_is_the_plain_convolution_and_its_adjoint(given_: tuple[np.ndarray, np.ndarray, conv.Geometry], turned: bool, piece: int) -> None:
    x, w, at = given_
    rng, before = np.random.default_rng(0), x.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(together, "PIECE", piece)                         # a row at a time, some, all
        assert together.innermost(x)
        y = conv.convolve(x, w, at)
        g = rng.normal(size=y.shape).astype(y.dtype)
        g = conv._channels_first(np.ascontiguousarray(conv._last(g))) if turned else np.moveaxis(np.moveaxis(g, 0, -1).copy(), -1, 0)
        back = conv.adjoint_x(g, w, x.shape[2:], at)
        patch.setattr(together, "MANY", 1000)                           # the plain ones
        plain, plain_back = conv.convolve(np.ascontiguousarray(x), w, at), conv.adjoint_x(np.ascontiguousarray(g), w, x.shape[2:], at)
    near = 200 * np.finfo(x.dtype).eps                                  # sums of at most 5 * 9 products of numbers of about 1
    assert y.dtype == plain.dtype
    assert np.abs(y - plain).max() <= near
    assert back.dtype == g.dtype
    assert np.abs(back - plain_back).max() <= near
    assert (x == before).all()


def test_the_layout_that_comes_is_the_layout_that_goes() -> None:
    x = np.random.default_rng(0).normal(size=(6, 14, 14, 50)).astype(np.float32).transpose(3, 0, 1, 2)
    w, at = np.ones((16, 6, 5, 5), np.float32), conv.Geometry((1, 1), (1, 1), ((0, 0), (0, 0)), 1, False)
    y = conv.convolve(x, w, at)
    assert together.innermost(y)
    assert together.innermost(conv.adjoint_x(y, w, (14, 14), at))
    there = conv.adjoint_x(conv._channels_first(conv._channels_last(y)), w, (14, 14), at)
    assert conv._last(there).flags.c_contiguous
