"""Pad and Upsample against their definitions written as loops on fractions, and where torch's rounding differs."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases.case import exact
from xaicore.errors import ShapeError
from xaicore.ops import Pad, Upsample

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)


def check_linear_map(op: Pad | Upsample, x: np.ndarray, weights: list[dict[int, Fraction]], value: Fraction = Fraction(0)) -> None:
    """x is one row; entry s of y is the sum of weight * x[p] over weights[s], or ``value`` where there is none."""
    y = op.forward(x)
    assert y[0, 0].tolist() == [sum(v * x[0, 0, p] for p, v in one.items()) if one else value for one in weights]
    g = exact(np.arange(1.0, len(weights) + 1))
    expected = [sum(g[s] * one.get(p, 0) for s, one in enumerate(weights)) for p in range(x.shape[-1])]
    assert op.vjp(0, g[None, None], y, x)[0, 0].tolist() == expected


def row(n: int) -> np.ndarray:
    return exact(np.array([[[k * k + 1.0 for k in range(n)]]]))


@EXAMPLES
@given(
    st.integers(1, 6),
    st.integers(1, 12),
    st.sampled_from(["nearest", "linear", "corners"]),
    st.booleans(),
    st.sampled_from([2.5, 0.4, 3.0]),
)
def test_upsample_reads_where_it_says(n: int, size: int, mode: str, scaled: bool, scale: float) -> None:
    scales = (scale,) if scaled else ()
    op = Upsample((size,), "nearest" if mode == "nearest" else "linear", mode == "corners", scales)
    ratio = 1 / Fraction(str(scale)) if scaled else Fraction(n, size)
    weights = []
    for s in range(size):
        if mode == "nearest":
            weights.append({min(math.floor(s * ratio), n - 1): Fraction(1)})
            continue
        if mode == "corners":
            place = Fraction(s * (n - 1), size - 1) if size > 1 else Fraction(0)
        else:
            place = min(max((2 * s + 1) * ratio / 2 - Fraction(1, 2), Fraction(0)), Fraction(n - 1))
        low = math.floor(place)
        weights.append({p: v for p, v in ((low, 1 - place + low), (low + 1, place - low)) if v})
    check_linear_map(op, row(n), weights)


@EXAMPLES
@given(st.integers(1, 6), st.integers(-3, 7), st.integers(-3, 7), st.sampled_from(["constant", "edge", "reflect"]))
def test_pad_reads_where_it_says(n: int, before: int, after: int, mode: str) -> None:
    if mode != "constant":
        before, after = abs(before), abs(after)
    op = Pad(((before, after),), mode, 2.5)
    if (mode == "reflect" and max(before, after) >= n) or n + min(before, 0) + min(after, 0) < 1:
        with pytest.raises(ShapeError, match="an axis of"):
            op.forward(row(n))
        return
    weights = []
    for s in range(-before, n + after):
        if mode == "constant":
            weights.append({s: Fraction(1)} if 0 <= s < n else {})
        elif mode == "edge":
            weights.append({min(max(s, 0), n - 1): Fraction(1)})
        else:
            weights.append({-s if s < 0 else 2 * (n - 1) - s if s >= n else s: Fraction(1)})
    check_linear_map(op, row(n), weights, Fraction(5, 2))


def test_torch_rounds_the_ratio_of_nearest() -> None:
    """The difference that the docstring states: where s * S / size is whole, torch's float32 product may fall short of it."""
    torch = pytest.importorskip("torch")
    for n, size, dtype, count in [(2, 82, np.float32, 1), (3, 123, np.float32, 2), (2, 82, np.float64, 0), (3, 123, np.float64, 0)]:
        x = np.arange(n, dtype=dtype)[None, None]
        ours = Upsample((size,)).forward(x)[0, 0]
        theirs = torch.nn.functional.interpolate(torch.tensor(x), size=size)[0, 0].numpy()
        wrong = ours != theirs
        assert wrong.sum() == count
        assert (np.arange(size)[wrong] * n % size == 0).all()
        assert (theirs == ours - wrong).all()


@pytest.mark.parametrize(
    ("make", "text"),
    [
        (lambda: Pad(((1, 1),), "wrap"), "mode must be"),
        (lambda: Pad(((1,),)), "one (before, after)"),
        (lambda: Pad(((-1, 0),), "edge"), "negative pads are for mode 'constant'"),
        (lambda: Upsample((2,), "cubic"), "mode must be"),
        (lambda: Upsample(()), "one to three output sizes"),
        (lambda: Upsample((0,)), "at least 1"),
        (lambda: Upsample((2,), scales=(1.0, 2.0)), "one positive number"),
        (lambda: Upsample((2,), scales=(-1.0,)), "one positive number"),
        (lambda: Upsample((2,), align_corners=True), "align_corners is for mode 'linear'"),
    ],
)
def test_settings_that_fit_no_input_are_refused(make, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make()
    assert text in str(caught.value)
