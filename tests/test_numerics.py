"""The array functions: examples, adjoint pairs, exact arithmetic."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore import numerics
from xaicore.errors import ExactnessError
from xaicore.numerics import LONG, between, masked, numbers

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


def integers(rng: np.random.Generator, *shape: int) -> np.ndarray:
    """Small whole numbers: sums of products are exact, so that adjoints are compared without tolerance."""
    return rng.integers(-5, 6, shape).astype(float)


@EXAMPLES
@given(st.lists(st.tuples(*[st.integers(1, 3)] * 3, st.integers(0, 3)), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_windows_and_scatter(axes: list[tuple[int, int, int, int]], seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, stride, dilation, room = zip(*axes)
    space = [(k - 1) * d + 1 + r for k, d, r in zip(kernel, dilation, room)]
    x = integers(rng, 2, *space)
    seen = numerics.windows(x, kernel, stride, dilation)
    rank = len(axes)
    for n, *at in np.ndindex(seen.shape):
        place = [o * s + k * d for o, k, s, d in zip(at[:rank], at[rank:], stride, dilation)]
        assert seen[n, *at] == x[n, *place]
    count = seen.shape[1 : 1 + rank]
    for o, s, k, d, n in zip(count, stride, kernel, dilation, space):
        assert (o - 1) * s + (k - 1) * d + 1 <= n < o * s + (k - 1) * d + 1, "one window more would not fit"
    assert not seen.flags.writeable
    g = integers(rng, *seen.shape)
    back = numerics.scatter(g, space, stride, dilation)
    assert back.shape == x.shape
    assert (back * x).sum() == (g * seen).sum()
    for k, slices in numerics.taps(kernel, stride, dilation, count):
        assert np.array_equal(x[(slice(None), *slices)], seen[(..., *k)])


@EXAMPLES
@given(st.lists(st.tuples(st.integers(1, 4), st.integers(-2, 3), st.integers(-2, 3)), min_size=1, max_size=3), st.integers(0, 2**32 - 1))
def test_padding_and_its_adjoint(axes: list[tuple[int, int, int]], seed: int) -> None:
    axes = [(n + max(-a, 0) + max(-b, 0), a, b) for n, a, b in axes]
    rng = np.random.default_rng(seed)
    x, pads = integers(rng, 2, *(n for n, _, _ in axes)), [(a, b) for _, a, b in axes]
    y = numerics.pad_spatial(x, pads, 7)
    for n, *at in np.ndindex(y.shape):
        place = [p - a for p, (_, a, _) in zip(at, axes)]
        within = all(0 <= p < size for p, (size, _, _) in zip(place, axes))
        assert y[n, *at] == (x[n, *place] if within else 7)
    g = integers(rng, *y.shape)
    back = numerics.pad_spatial(g, [(-a, -b) for a, b in pads])
    assert back.shape == x.shape
    assert (back * x).sum() == (g * numerics.pad_spatial(x, pads)).sum()


def test_padding_keeps_the_layout_of_memory() -> None:
    x = np.moveaxis(np.zeros((2, 4, 5, 3)), -1, 1)
    y = numerics.pad_spatial(x, [(1, 1), (1, 1)])
    assert y.strides[1] == y.itemsize


def test_along_is_one_matrix_for_each_axis() -> None:
    rng = np.random.default_rng(0)
    x, a, b = integers(rng, 2, 3, 4, 5), integers(rng, 6, 4), integers(rng, 2, 5)
    assert np.array_equal(numerics.along(x, [a, b]), np.einsum("ncij,pi,qj->ncpq", x, a, b))


def test_unbroadcast_is_the_adjoint_of_broadcasting() -> None:
    rng = np.random.default_rng(1)
    for shape in [(), (3,), (1, 3), (2, 1), (2, 3), (1, 1), (4, 1, 3), (1, 2, 1)]:
        g = integers(rng, 4, 2, 3)
        x = integers(rng, *shape)
        back = numerics.unbroadcast(g, shape)
        assert back.shape == shape
        assert (back * x).sum() == (g * x).sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, object])
def test_division_and_stabiliser(dtype: type) -> None:
    z = np.array([-2, 0, 4]).astype(dtype) if dtype is not object else np.array([Fraction(-2), Fraction(0), Fraction(4)])
    assert numerics.stabilize(z, 0.5).tolist() == [-2.5, 0.5, 4.5]
    assert numerics.divide(numerics.filled((3,), 1, z), z).tolist() == [-0.5, 0, 0.25]
    assert numerics.stabilize(z, 0.5).dtype == numerics.divide(z, z).dtype == z.dtype
    assert numerics.positive(z).tolist() == [0, 0, 4]
    assert numerics.negative(z).tolist() == [-2, 0, 0]


def test_exact_scalars_are_read_as_decimals() -> None:
    like = np.array([Fraction(1)])
    assert numerics.scalar(0.1, like) == Fraction(1, 10)
    assert numerics.scalar(Fraction(1, 3), like) == Fraction(1, 3)
    assert type(numerics.scalar(0.1, np.zeros(1, np.float32))) is np.float32
    assert numerics.rationals(np.array([[1, 2]]), "x").tolist() == [[1, 2]]
    with pytest.raises(ExactnessError, match=r"x: 0\.5 is a float, and exact mode takes only int and Fraction"):
        numerics.rationals(np.array([0.5], dtype=object), "x")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("size", [1, LONG - 1, LONG, LONG + 5])
def test_long_arrays_have_the_bounds_and_masks_of_short_ones(dtype: type, size: int) -> None:
    rng = np.random.default_rng(size)
    x, g = rng.normal(size=(2, 1, size)).astype(dtype)
    g, mask = g[:, ::-1], x > 0.2
    for low, high in ((0, None), (None, 0), (-0.5, 0.5), (0.5, -0.5), (None, None)):
        plain = x if low is None else np.maximum(x, dtype(low))
        found = between(x, low, high)
        assert found.dtype == dtype
        assert (found == (plain if high is None else np.minimum(plain, dtype(high)))).all()
    assert masked(g, mask).dtype == numbers(mask, g).dtype == dtype
    assert (masked(g, mask) == np.where(mask, g, 0)).all()
    assert (numbers(mask[:, ::2], g) == np.where(mask[:, ::2], 1, 0)).all()
