"""Conv and ConvTranspose against the sums of their docstrings written as loops, over random geometries, without any tolerance.

Inputs are small integers, so that every sum of products is exact in float64 in whatever order it is taken.
"""

from __future__ import annotations

from typing import NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.errors import ShapeError
from xaicore.numerics import scatter
from xaicore.ops import Conv, ConvTranspose, conv, laid, shifts, small, unpacked

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


WAYS = {"LARGE": 1000}, {"LARGE": 0}, {"LARGE": 0, "LEAST": 0, "holds": lambda *_: True}
"""Weights laid out or not, or in runs: which of it would be chosen needs more numbers than there are here."""

SHUT = dict.fromkeys(("planned", "planned_back"), lambda *_: None)
"""Without the way of small maps, on which all of these would go."""

OPEN = {"planned": small.planned}

TINY = {"RUN": 8, "LEAST_RUN": 8, "SMALL": 8, "DEPTH": {"d": 3}, "ROUND": 1, "available": lambda: True}
"""The smallest of products, and of parts of a sum."""


class Setting(NamedTuple):
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    groups: int
    space: tuple[int, ...]
    per_group: tuple[int, int]
    batch: int
    seed: int
    block: int


@st.composite
def geometries(draw: st.DrawFn) -> Setting:
    rank = draw(st.integers(1, 3), "rank")
    small = st.integers(1, 2 if rank == 3 else 3)

    def axes(one: st.SearchStrategy) -> tuple:
        return tuple(draw(one) for _ in range(rank))

    kernel, stride, dilation = axes(small), axes(small), axes(small)
    pads = axes(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    reach = [(k - 1) * d + 1 - a - b for k, d, (a, b) in zip(kernel, dilation, pads)]
    space = tuple(max(1, n + draw(st.integers(0, 2), "room")) for n in reach)
    per_group = (draw(st.integers(1, 2), "input channels"), draw(st.integers(1, 2), "output channels"))
    return Setting(
        kernel, stride, dilation, pads, draw(st.integers(1, 3), "groups"), space, per_group, draw(st.integers(1, 2), "batch"),
        draw(st.integers(0, 2**32 - 1), "seed"), draw(st.sampled_from([1, 200, 1 << 20]), "bytes in a block"),
    )


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    return rng.integers(-4, 5, shape).astype(float)


def inside(at: tuple[int, ...], space: tuple[int, ...]) -> bool:
    return all(0 <= p < n for p, n in zip(at, space))


@EXAMPLES
@given(geometries())
def test_conv_is_its_sum(s: Setting) -> None:
    rng = np.random.default_rng(s.seed)
    c, o = s.per_group
    x = integers(rng, s.batch, c * s.groups, *s.space)
    w = integers(rng, o * s.groups, c, *s.kernel)
    b = integers(rng, o * s.groups)
    count = [
        (n + before + after - (k - 1) * d - 1) // t + 1
        for n, k, t, d, (before, after) in zip(s.space, s.kernel, s.stride, s.dilation, s.pads)
    ]
    expected = np.zeros((s.batch, o * s.groups, *count))
    for n, out, *at in np.ndindex(expected.shape):
        expected[n, out, *at] = b[out]
        for channel, *k in np.ndindex(w.shape[1:]):
            place = tuple(p * t + j * d - before for p, t, j, d, (before, _) in zip(at, s.stride, k, s.dilation, s.pads))
            if inside(place, s.space):
                expected[n, out, *at] += w[out, channel, *k] * x[n, out // o * c + channel, *place]
    op = Conv(s.stride, s.dilation, s.pads, s.groups)
    with patch.multiple(conv, BLOCK_BYTES=s.block, BLOCK_ROWS=1), patch.multiple(laid, **WAYS[s.seed % 3]), \
            patch.multiple(unpacked, **TINY), patch.object(shifts, "FEW", s.seed // 2 % 2 << 16), \
            patch.multiple(small, **(SHUT if s.seed // 4 % 4 else OPEN)):
        y = op.forward(x, w, b)
        assert np.array_equal(y, expected)
        check_adjoints(op, rng, y, x, w, b)


@EXAMPLES
@given(geometries(), st.data())
def test_conv_transpose_is_its_sum(s: Setting, data: st.DataObject) -> None:
    rng = np.random.default_rng(s.seed)
    c, o = s.per_group
    extra = tuple(data.draw(st.integers(0, t), "output padding") for t in s.stride)
    x = integers(rng, s.batch, c * s.groups, *s.space)
    w = integers(rng, c * s.groups, o, *s.kernel)
    b = integers(rng, o * s.groups)
    size = tuple(
        (n - 1) * t + (k - 1) * d + 1 - before - after + e
        for n, k, t, d, (before, after), e in zip(s.space, s.kernel, s.stride, s.dilation, s.pads, extra)
    )
    op = ConvTranspose(s.stride, s.dilation, s.pads, extra, s.groups)
    if min(size) < 1:
        with pytest.raises(ShapeError, match="use less padding"):
            op.forward(x, w, b)
        return
    expected = np.zeros((s.batch, o * s.groups, *size)) + b.reshape(-1, *(1,) * len(size))
    for n, channel, *at in np.ndindex(x.shape):
        for out, *k in np.ndindex(w.shape[1:]):
            place = tuple(p * t + j * d - before for p, t, j, d, (before, _) in zip(at, s.stride, k, s.dilation, s.pads))
            if inside(place, size):
                expected[n, channel // c * o + out, *place] += x[n, channel, *at] * w[channel, out, *k]
    with patch.multiple(conv, BLOCK_BYTES=s.block, BLOCK_ROWS=1), patch.multiple(laid, **WAYS[s.seed % 3]), \
            patch.multiple(unpacked, **TINY), patch.object(shifts, "FEW", s.seed // 2 % 2 << 16), \
            patch.multiple(small, **(SHUT if s.seed // 4 % 4 else OPEN)):
        y = op.forward(x, w, b)
        assert np.array_equal(y, expected)
        check_adjoints(op, rng, y, x, w, b)


@pytest.mark.parametrize("channels", [1, 6])
def test_output_padding_beyond_what_any_window_reaches(channels: int) -> None:
    """Of one window, cut off by the padding, nothing is left: all of the output is what output_padding appends."""
    y = ConvTranspose((3,), (), ((2, 0),), (2,)).forward(np.ones((1, 1, 1)), np.ones((1, channels, 1)), np.arange(float(channels)))
    assert np.array_equal(y, np.arange(float(channels)).reshape(1, channels, 1))


def check_adjoints(op: Conv | ConvTranspose, rng: np.random.Generator, y: np.ndarray, *xs: np.ndarray) -> None:
    """<g, L(x, w)> = <vjp_x g, x> = <vjp_w g, w>, and <g, b> for the bias, for some integer g: exact as well."""
    g = integers(rng, *y.shape)
    x, w, b = xs
    without = (g * (y - b.reshape(-1, *(1,) * (y.ndim - 2)))).sum()
    backs = [op.vjp(i, g, y, *xs) for i in range(3)]
    assert [back.shape for back in backs] == [one.shape for one in xs]
    assert (backs[0] * x).sum() == without
    assert (backs[1] * w).sum() == without
    assert np.array_equal(backs[2], np.moveaxis(g, 1, 0).reshape(len(b), -1).sum(axis=1))


@EXAMPLES
@given(geometries())
def test_what_windows_give_back_is_added_up_in_the_order_of_a_loop(s: Setting) -> None:
    """Bit for bit: ``scatter`` adds place after place."""
    rng = np.random.default_rng(s.seed)
    space = tuple(n + a + b for n, (a, b) in zip(s.space, s.pads))
    count = [(n - (k - 1) * d - 1) // t + 1 for n, k, t, d in zip(space, s.kernel, s.stride, s.dilation)]
    columns = rng.normal(size=(s.batch, *s.kernel, *count)).astype(["f4", "f8"][s.seed % 2])
    rank = len(space)
    plain = scatter(columns.transpose(0, *range(1 + rank, 1 + 2 * rank), *range(1, 1 + rank)), space, s.stride, s.dilation)
    assert np.array_equal(shifts.added_up(columns, space, s.stride, s.dilation), plain)


def test_channels_last_memory_gives_the_same_numbers() -> None:
    rng = np.random.default_rng(0)
    x, w = integers(rng, 2, 3, 5, 4), integers(rng, 4, 3, 3, 3)
    op = Conv(pads=((1, 1), (1, 1)))
    turned = np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1)
    y = op.forward(x, w)
    assert np.array_equal(op.forward(turned, w), y)
    again = integers(rng, 2, 4, 3, 3)
    assert np.array_equal(op.forward(y, again), op.forward(np.ascontiguousarray(y), again))  # y itself lies channels-last


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_large_maps_are_computed_in_several_blocks(dtype: type) -> None:
    """At its real size a block is smaller than this map; the framework is the second opinion."""
    torch = pytest.importorskip("torch")
    rng = np.random.default_rng(1)
    x, w = rng.standard_normal((2, 8, 60, 50)).astype(dtype), rng.standard_normal((6, 8, 3, 3)).astype(dtype)
    g = rng.standard_normal((2, 6, 30, 25)).astype(dtype)
    op = Conv((2, 2), pads=((1, 1), (1, 1)))
    tensors = [torch.tensor(one, requires_grad=True) for one in (x, w)]
    theirs = torch.nn.functional.conv2d(*tensors, stride=2, padding=1)
    theirs.backward(torch.tensor(g))
    y = op.forward(x, w)
    rtol = 1e4 * np.finfo(dtype).eps  # 72 to 1500 products are added up in another order
    for ours, other in [(y, theirs.detach()), (op.vjp(0, g, y, x, w), tensors[0].grad), (op.vjp(1, g, y, x, w), tensors[1].grad)]:
        assert ours.dtype == dtype
        np.testing.assert_allclose(ours, other.numpy(), rtol=rtol, atol=rtol)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("shape", [(2, 3, 40, 50), (1, 4, 5000), (3, 2, 11, 12, 13), (1, 1, 70, 70), (2, 5, 40, 50), (1, 3, 8, 9)])
def test_channels_last_is_a_transposed_copy_in_every_layout(shape: tuple[int, ...], dtype: str) -> None:
    x = np.random.default_rng(0).normal(size=shape).astype(dtype)
    order = (0, *range(2, x.ndim), 1)
    layouts = [x, np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2], np.ascontiguousarray(x.transpose(order)).transpose(
        0, x.ndim - 1, *range(1, x.ndim - 1))]
    for one in layouts:
        found = conv._channels_last(one)
        assert found.flags.c_contiguous
        assert np.array_equal(found, x.transpose(order))


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Conv((0,)), "at least 1"),
        (lambda: Conv((), (0, 1)), "at least 1"),
        (lambda: Conv(groups=0), "at least 1"),
        (lambda: Conv(pads=((-1, 0),)), "none negative; crop with Slice"),
        (lambda: Conv(pads=((1,),)), "one (before, after)"),
        (lambda: ConvTranspose(output_padding=(-1,)), "output_padding must not be negative"),
        (lambda: ConvTranspose((2,), output_padding=(1, 1)).forward(np.zeros((1, 1, 2)), np.zeros((1, 1, 2))), "output_padding has 2"),
        (lambda: ConvTranspose(groups=2).forward(np.zeros((1, 3, 2)), np.zeros((3, 1, 2))), "a multiple of 2"),
    ],
)
def test_settings_that_fit_no_input_are_refused(make, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make()
    assert text in str(caught.value)


def test_a_kernel_reaches_as_far_as_its_dilation() -> None:
    with pytest.raises(ShapeError, match="a window of 5 does not fit an axis of 4"):
        Conv(dilation=(2,)).forward(np.ones((1, 1, 4)), np.ones((1, 1, 3)))
