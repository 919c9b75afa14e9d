"""Pools against their definitions written as loops, over random geometries; exact where the result is rational."""

from __future__ import annotations

import math
from fractions import Fraction
from itertools import product
from typing import Any, NamedTuple
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.cases.case import exact
from xaicore.errors import ShapeError
from xaicore.ops import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalMaxPool, LpPool, MaxPool, pool

EXAMPLES = settings(max_examples=80, deadline=None, derandomize=True)


class Setting(NamedTuple):
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    ceil: bool
    space: tuple[int, ...]
    seed: int


@st.composite
def geometries(draw: st.DrawFn) -> Setting:
    rank = draw(st.integers(1, 3), "rank")
    small = st.integers(1, 2 if rank == 3 else 3)

    def axes(one: st.SearchStrategy) -> tuple:
        return tuple(draw(one) for _ in range(rank))

    kernel, stride, dilation = axes(small), axes(small), axes(small)
    pads = axes(st.tuples(st.integers(0, 2), st.integers(0, 2)))
    reach = [(k - 1) * d + 1 - a - b for k, d, (a, b) in zip(kernel, dilation, pads)]
    space = tuple(max(1, n + draw(st.integers(0, 3), "room")) for n in reach)
    return Setting(kernel, stride, dilation, pads, draw(st.booleans(), "ceil"), space, draw(st.integers(0, 2**32 - 1), "seed"))


def looks(s: Setting) -> list[list[list[int]]]:
    """For each axis and each window the positions that it looks at, outside x too: as the words of ``Window`` say."""
    found = []
    for n, k, t, d, (before, after) in zip(s.space, s.kernel, s.stride, s.dilation, s.pads):
        quotient = Fraction(n + before + after - d * (k - 1) - 1, t)
        count = (math.ceil(quotient) if s.ceil else math.floor(quotient)) + 1
        starts = [o * t for o in range(count)]
        if starts[-1] >= n + before:
            starts.pop()
        found.append([[start + j * d - before for j in range(k)] for start in starts])
    return found


def sees_nothing(s: Setting, axes: list[list[list[int]]]) -> bool:
    return any(not any(0 <= p < n for p in window) for n, axis in zip(s.space, axes) for window in axis)


def draw_integers(s: Setting, low: int = -2, high: int = 3) -> np.ndarray:
    """Few different values, so that windows are full of ties."""
    return np.random.default_rng(s.seed).integers(low, high, (2, 2, *s.space)).astype(float)


def each_window(axes: list[list[list[int]]]):
    """(position in y, all places that the window looks at, row-major)."""
    for at in product(*(range(len(axis)) for axis in axes)):
        yield at, list(product(*(axis[o] for axis, o in zip(axes, at))))


def inside(place: tuple[int, ...], space: tuple[int, ...]) -> bool:
    return all(0 <= p < n for p, n in zip(place, space))


def check_max(op, x: np.ndarray, axes: list[list[list[int]]], rng: np.random.Generator) -> None:
    shape = (*x.shape[:2], *(len(axis) for axis in axes))
    g = rng.integers(-3, 4, shape).astype(float)
    expected, back = np.zeros(shape), np.zeros_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        for at, places in each_window(axes):
            seen = [p for p in places if inside(p, x.shape[2:])]
            best = max(x[n, c, *p] for p in seen)
            expected[n, c, *at] = best
            back[n, c, *next(p for p in seen if x[n, c, *p] == best)] += g[n, c, *at]
    y = op.forward(x)
    assert np.array_equal(y, expected)
    assert np.array_equal(op.vjp(0, g, y, x), back)
    candidates, winners = op.candidates(x), op.winners(x)
    assert np.array_equal(np.take_along_axis(candidates, winners[..., None], -1)[..., 0], expected)
    assert np.array_equal(winners, candidates.argmax(axis=-1))
    assert np.array_equal(op.route(g, winners, x), back)
    assert (op.vjp(0, exact(g), exact(y), exact(x)) == exact(back)).all()


def lay(x: np.ndarray, how: int) -> np.ndarray:
    """The same numbers row by row, channels last, the first axis innermost, or channels last, backwards and with gaps."""
    if how == 3:
        wide = np.full((*x.shape[:1], *x.shape[2:], 2 * x.shape[1]), 9.0)
        wide[..., ::-2] = np.moveaxis(x, 1, -1)
        return np.moveaxis(wide[..., ::-2], -1, 1)
    return [x, np.moveaxis(np.ascontiguousarray(np.moveaxis(x, 1, -1)), -1, 1), np.asfortranarray(x)][how]


@EXAMPLES
@given(geometries())
@example(Setting((2, 2, 2), (2, 3, 4), (1, 2, 3), ((0, 0),) * 3, False, (4, 6, 8), 1))
def test_max_pool(s: Setting) -> None:
    op, x, axes = MaxPool(s.kernel, s.stride, s.dilation, s.pads, s.ceil), draw_integers(s), looks(s)
    if sees_nothing(s, axes):
        with pytest.raises(ShapeError, match="sees only padding"):
            op.forward(x)
        return
    with patch.object(pool, "HANDED_ON", s.seed % 2 * 2**17):
        check_max(op, lay(x, s.seed // 2 % 4), axes, np.random.default_rng(s.seed + 1))


@EXAMPLES
@given(geometries(), st.booleans(), st.sampled_from([None, 3, -2]))
def test_average_pool(s: Setting, count_include_pad: bool, divisor: int | None) -> None:
    op, axes = AvgPool(s.kernel, s.stride, s.dilation, s.pads, s.ceil, count_include_pad, divisor), looks(s)
    x = exact(draw_integers(s))
    if sees_nothing(s, axes):
        with pytest.raises(ShapeError, match="sees only padding"):
            op.forward(x)
        return
    shape = (*x.shape[:2], *(len(axis) for axis in axes))
    g = exact(np.random.default_rng(s.seed + 1).integers(-3, 4, shape).astype(float))
    expected, back = np.zeros(shape, object), np.zeros(x.shape, object)
    for n, c in np.ndindex(x.shape[:2]):
        for at, places in each_window(axes):
            seen = [p for p in places if inside(p, s.space)]
            padded = [p for p in places if all(-a <= q < size + b for q, size, (a, b) in zip(p, s.space, s.pads))]
            count = divisor or len(padded if count_include_pad else seen)
            expected[n, c, *at] = sum(x[n, c, *p] for p in seen) / Fraction(count)
            for p in seen:
                back[n, c, *p] += g[n, c, *at] / Fraction(count)
    y = op.forward(x)
    assert y.shape == shape
    assert (y == expected).all()
    assert (op.vjp(0, g, y, x) == back).all()


@EXAMPLES
@given(geometries(), st.sampled_from([1, 2, 3, 5.5]))
def test_power_pool(s: Setting, p: float) -> None:
    op, axes, x = LpPool(p, s.kernel, s.stride, s.dilation, s.pads, s.ceil), looks(s), draw_integers(s)
    if sees_nothing(s, axes):
        with pytest.raises(ShapeError, match="sees only padding"):
            op.forward(x)
        return
    y = op.forward(x)
    g = np.random.default_rng(s.seed + 1).standard_normal(y.shape)
    back = np.zeros_like(x)
    for n, c in np.ndindex(x.shape[:2]):
        for at, places in each_window(axes):
            seen = [q for q in places if inside(q, s.space)]
            norm = sum(abs(x[n, c, *q]) ** p for q in seen) ** (1 / p)
            assert y[n, c, *at] == pytest.approx(norm, rel=1e-14, abs=0)  # some ten roundings of 1e-16
            for q in seen:
                if norm:
                    back[n, c, *q] += g[n, c, *at] * np.sign(x[n, c, *q]) * (abs(x[n, c, *q]) / norm) ** (p - 1)
    np.testing.assert_allclose(op.vjp(0, g, y, x), back, rtol=1e-12, atol=1e-12)  # up to 27 windows add up in one entry


def test_torch_takes_no_absolute_value_in_odd_powers() -> None:
    """The difference that the docstring of LpPool states."""
    torch = pytest.importorskip("torch")
    x = np.array([[[3.0, -4.0]]])
    theirs = [torch.nn.functional.lp_pool1d(torch.tensor(one), 3, 2).item() for one in (np.abs(x), -x, x)]
    ours = [LpPool(3, (2,)).forward(one).item() for one in (np.abs(x), x)]
    assert ours == pytest.approx([91 ** (1 / 3)] * 2, rel=1e-14)
    assert theirs == pytest.approx([91 ** (1 / 3), 37 ** (1 / 3), math.nan], rel=1e-14, nan_ok=True)


def test_power_pool_neither_overflows_nor_vanishes() -> None:
    op = LpPool(3, (2,))
    for scale in (1e200, 1e-200):
        x = np.array([[[3.0, 4.0]]]) * scale
        y = op.forward(x)
        assert y[0, 0, 0] == pytest.approx(91 ** (1 / 3) * scale, rel=1e-14)
        np.testing.assert_allclose(op.vjp(0, np.ones((1, 1, 1)), y, x)[0, 0], np.array([9, 16]) / 91 ** (2 / 3), rtol=1e-14)


@settings(max_examples=50, deadline=None, derandomize=True)
@given(st.lists(st.tuples(st.integers(1, 6), st.integers(1, 6)), min_size=1, max_size=2), st.integers(0, 2**32 - 1))
def test_adaptive_pools(sizes: list[tuple[int, int]], seed: int) -> None:
    space, size = zip(*sizes)
    axes = [
        [list(range(math.floor(Fraction(o * n, s)), math.ceil(Fraction((o + 1) * n, s)))) for o in range(s)]
        for n, s in zip(space, size)
    ]
    rng = np.random.default_rng(seed)
    x = rng.integers(-2, 3, (1, 2, *space)).astype(float)
    check_max(AdaptiveMaxPool(size), x, axes, rng)
    mean, fractions = AdaptiveAvgPool(size), exact(x)
    y = mean.forward(fractions)
    g = exact(rng.integers(-3, 4, y.shape).astype(float))
    back = np.zeros(x.shape, object)
    for n, c in np.ndindex(x.shape[:2]):
        for at, places in each_window(axes):
            assert y[n, c, *at] == sum(fractions[n, c, *p] for p in places) / Fraction(len(places))
            for p in places:
                back[n, c, *p] += g[n, c, *at] / Fraction(len(places))
    assert (mean.vjp(0, g, y, fractions) == back).all()


def test_winners_of_a_baseline_route_to_the_baseline_maximum() -> None:
    """The four numbers that a cross-maximum is made of, by hand."""
    op = MaxPool((2,))
    x, baseline = np.array([[[1.0, 5.0, 2.0, 0.0]]]), np.array([[[3.0, 0.0, 0.0, 0.0]]])
    assert op.winners(x).tolist() == [[[1, 0]]]
    assert op.winners(baseline).tolist() == [[[0, 0]]]
    assert np.take_along_axis(op.candidates(x), op.winners(baseline)[..., None], -1)[..., 0].tolist() == [[[1.0, 2.0]]]
    assert op.route(np.array([[[10.0, 20.0]]]), op.winners(baseline), x).tolist() == [[[10.0, 0.0, 20.0, 0.0]]]


@pytest.mark.parametrize("op", [MaxPool((2, 2)), AdaptiveMaxPool((1, 1)), GlobalMaxPool()])
def test_ties_go_to_the_first_in_row_major_order(op) -> None:
    back = op.vjp(0, np.ones((1, 1, 1, 1)), np.ones((1, 1, 1, 1)), np.array([[[[0.0, 1.0], [1.0, 1.0]]]]))
    assert back.tolist() == [[[[0.0, 1.0], [0.0, 0.0]]]]


def test_a_window_reaches_as_far_as_its_dilation() -> None:
    with pytest.raises(ShapeError, match="a window of 5 does not fit an axis of 4"):
        MaxPool((3,), (1,), (2,)).forward(np.ones((1, 1, 4)))


def test_an_infinite_signal_goes_to_the_winner_alone(monkeypatch) -> None:
    monkeypatch.setattr(pool, "HANDED_ON", 0)
    op, x = MaxPool((2,), (1,)), np.array([[[1.0, 3.0, 2.0]]])
    assert op.vjp(0, np.array([[[np.inf, 1.0]]]), op.forward(x), x).tolist() == [[[0, np.inf, 0]]]


def test_minus_infinity_is_an_entry_like_any_other() -> None:
    op = MaxPool((2,), (1,), (), ((1, 1),))
    x = np.full((1, 1, 2), -np.inf)
    assert np.array_equal(op.forward(x), np.full((1, 1, 3), -np.inf))
    assert op.vjp(0, np.array([[[1.0, 2.0, 4.0]]]), op.forward(x), x).tolist() == [[[3.0, 4.0]]]


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: MaxPool(()), "one to three sizes"),
        (lambda: MaxPool((2, 0)), "at least 1"),
        (lambda: MaxPool((2, 2), (1,)), "stride must have 2 entries"),
        (lambda: AvgPool((2,), dilation=(1, 1)), "dilation must have 1 entries"),
        (lambda: AvgPool((2,), pads=((0, 0), (0, 0))), "pads must have 1 entries"),
        (lambda: AvgPool((2,), pads=((0, -1),)), "none negative"),
        (lambda: AvgPool((2,), divisor=0), "divisor must not be 0"),
        (lambda: LpPool(0.5, (2,)), "p must be at least 1"),
        (lambda: LpPool(math.inf, (2,)), "p must be at least 1 and finite"),
        (lambda: AdaptiveAvgPool(()), "one to three output sizes"),
        (lambda: AdaptiveMaxPool((0,)), "at least 1"),
    ],
)
def test_settings_that_fit_no_input_are_refused(make, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make()
    assert text in str(caught.value)


def test_positional_order_of_settings() -> None:
    assert LpPool(3, (2, 2), (1, 1)) == LpPool(p=3, kernel=(2, 2), stride=(1, 1))
    assert str(LpPool(3, (2,))) == "LpPool(p=3, kernel=(2,))"


@pytest.mark.parametrize("handed_on", [0, 2**17])
@pytest.mark.parametrize("how", range(4))
def test_the_last_place_of_the_last_window_gets_its_share(handed_on, how, monkeypatch) -> None:
    monkeypatch.setattr(pool, "HANDED_ON", handed_on)
    numbers = np.append(np.random.default_rng(0).permutation(143), 143.0)
    op, x = MaxPool((2, 3)), lay(numbers.reshape(2, 3, 4, 6), how)
    y = op.forward(x)
    assert np.array_equal(op.vjp(0, y, y, x), op.route(y, op.winners(x), x))
    assert op.vjp(0, y, y, x)[-1, -1, -1, -1] == x.max()


@pytest.mark.parametrize("op", [MaxPool((2, 2), (3, 3)), MaxPool((2, 2)), MaxPool((2, 2), (2, 2), pads=((1, 1), (0, 0)))], ids=str)
@pytest.mark.parametrize("handed_on", [0, 2**17])
def test_nothing_comes_to_what_no_window_sees(op, handed_on, monkeypatch) -> None:
    """Whatever stood in memory before."""
    monkeypatch.setattr(pool, "HANDED_ON", handed_on)
    x, whole = np.random.default_rng(0).normal(size=(2, 3, 7, 8)), np.empty_like

    def dirty(like: np.ndarray, **settings: Any) -> np.ndarray:
        out = whole(like, **settings)
        out[...] = 7
        return out

    y = op.forward(x)
    want = op.route(y, op.winners(x), x)
    monkeypatch.setattr(np, "empty_like", dirty)
    assert np.array_equal(op.vjp(0, y, y, x), want)
