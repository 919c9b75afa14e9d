"""Pad and Resize against their definitions written as loops on fractions, and where torch's rounding differs."""

from __future__ import annotations

import math
from fractions import Fraction
from fractions import Fraction as F

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cases.case import exact
from xaicore.errors import ShapeError
from xaicore.ops import Pad, Resize
from xaicore.ops.resize import COORDINATES, ROUNDINGS

EXAMPLES = settings(max_examples=100, deadline=None, derandomize=True)


def check_linear_map(op: Pad | Resize, x: np.ndarray, weights: list[dict[int, Fraction]], value: Fraction = Fraction(0)) -> None:
    """x is one row; entry s of y is the sum of weight * x[p] over weights[s], or ``value`` where there is none."""
    y = op.forward(x)
    assert y[0, 0].tolist() == [sum(v * x[0, 0, p] for p, v in one.items()) if one else value for one in weights]
    g = exact(np.arange(1.0, len(weights) + 1))
    expected = [sum(g[s] * one.get(p, 0) for s, one in enumerate(weights)) for p in range(x.shape[-1])]
    assert op.vjp(0, g[None, None], y, x)[0, 0].tolist() == expected


def row_of(n: int) -> np.ndarray:
    return exact(np.array([[[k * k + 1.0 for k in range(n)]]]))


def place(s: int, n: int, size: int, f: Fraction, coordinates: str, start: Fraction, end: Fraction) -> Fraction:
    """ONNX's table of coordinate_transformation_mode, with length_resized = f n."""
    wide = f * n
    if coordinates == "tf_crop_and_resize":
        return start * (n - 1) + s * (end - start) * (n - 1) / (wide - 1) if wide != 1 else (start + end) * (n - 1) / 2
    return {
        "half_pixel": (s + F(1, 2)) / f - F(1, 2),
        "half_pixel_symmetric": F(n, 2) * (1 - size / wide) + (s + F(1, 2)) / f - F(1, 2),
        "pytorch_half_pixel": (s + F(1, 2)) / f - F(1, 2) if size > 1 else F(0),
        "align_corners": s * F(n - 1) / (wide - 1) if wide != 1 else F(0),
        "asymmetric": s / f,
        "tf_half_pixel_for_nn": (s + F(1, 2)) / f,
    }[coordinates]


def hat(d: Fraction) -> Fraction:
    return 1 - abs(d) if abs(d) < 1 else F(0)


def keys(a: Fraction):
    """Keys 1981, eq. 15 with the free coefficient: the two branches of the cubic."""
    def kernel(d: Fraction) -> Fraction:
        d = abs(d)
        if d < 1:
            return (a + 2) * d**3 - (a + 3) * d**2 + 1
        return a * d**3 - 5 * a * d**2 + 8 * a * d - 4 * a if d < 2 else F(0)

    return kernel


@EXAMPLES
@given(st.data())
def test_resize_reads_where_it_says(data: st.DataObject) -> None:
    """Each output as a sum over a wide range of entries, those beyond the ends too, in rationals."""
    n, size = data.draw(st.integers(1, 6)), data.draw(st.integers(1, 12))
    mode = data.draw(st.sampled_from(["nearest", "linear", "cubic"]))
    coordinates, rounding = data.draw(st.sampled_from(COORDINATES)), data.draw(st.sampled_from(ROUNDINGS))
    scales = data.draw(st.sampled_from([(), (2.5,), (0.4,), (3.0,)]))
    outside, antialias, a = data.draw(st.booleans()), data.draw(st.booleans()), data.draw(st.sampled_from([-0.75, -0.5]))
    crop = ((data.draw(st.sampled_from([-0.25, 0.0, 0.5])), data.draw(st.sampled_from([0.75, 1.0, 1.5]))),) if "crop" in coordinates else ()
    op = Resize((size,), mode, coordinates, rounding, scales, a, outside, antialias, crop)
    f = F(str(scales[0])) if scales else F(size, n)
    start, end = (F(v) for v in crop[0]) if crop else (F(0), F(1))
    weights: list[dict[int, Fraction]] = []
    for s in range(size):
        p = place(s, n, size, f, coordinates, start, end)
        if size == n and f == 1 and (start, end) == (0, 1):
            weights.append({s: F(1)})
        elif crop and not 0 <= p <= n - 1:
            weights.append({})
        elif mode == "nearest":
            half = p - math.floor(p) == F(1, 2)
            near = {"floor": math.floor(p), "ceil": math.ceil(p), "round_prefer_floor": math.floor(p) if half else round(p),
                    "round_prefer_ceil": math.ceil(p) if half else round(p)}[rounding]
            weights.append({min(max(near, 0), n - 1): F(1)})
        else:
            kernel, narrow = hat if mode == "linear" else keys(F(str(a))), min(f, 1) if antialias else F(1)
            seen = [(q, kernel((q - p) * narrow)) for q in range(-40, 70)]
            seen = [(q, v) for q, v in seen if 0 <= q < n] if outside else seen
            total = sum(v for _, v in seen) if outside or antialias else 1
            if total == 0:
                with pytest.raises(ShapeError, match="near none of them"):
                    op.forward(row_of(n))
                return
            row: dict[int, Fraction] = {}
            for q, v in seen:
                row[min(max(q, 0), n - 1)] = row.get(min(max(q, 0), n - 1), F(0)) + v / total
            weights.append(row)
    check_linear_map(op, row_of(n), weights)


def test_a_scale_of_another_size_moves_the_entries() -> None:
    """1 2 5 10 17 twice as large and cut to five: every half an entry. With a scale of 1 nothing moves."""
    row = row_of(5)
    assert Resize((5,), "linear", "asymmetric", scales=(2.0,)).forward(row).tolist() == [[[1, F(3, 2), 2, F(7, 2), 5]]]
    assert Resize((5,), "linear", "asymmetric", scales=(1.0,)).forward(row).tolist() == row.tolist()


def test_one_position_lies_in_the_middle_of_what_is_cropped() -> None:
    """Of 1 2 5 10 17 at (1/4 + 1) / 2 of 4, which is 2 1/2: between 5 and 10."""
    assert Resize((1,), "linear", "tf_crop_and_resize", crop=((0.25, 1.0),)).forward(row_of(5)).tolist() == [[[F(15, 2)]]]


@EXAMPLES
@given(st.integers(1, 6), st.integers(-3, 7), st.integers(-3, 7), st.sampled_from(["constant", "edge", "reflect"]))
def test_pad_reads_where_it_says(n: int, before: int, after: int, mode: str) -> None:
    if mode != "constant":
        before, after = abs(before), abs(after)
    op = Pad(((before, after),), mode, 2.5)
    if (mode == "reflect" and max(before, after) >= n) or n + min(before, 0) + min(after, 0) < 1:
        with pytest.raises(ShapeError, match="an axis of"):
            op.forward(row_of(n))
        return
    weights = []
    for s in range(-before, n + after):
        if mode == "constant":
            weights.append({s: Fraction(1)} if 0 <= s < n else {})
        elif mode == "edge":
            weights.append({min(max(s, 0), n - 1): Fraction(1)})
        else:
            weights.append({-s if s < 0 else 2 * (n - 1) - s if s >= n else s: Fraction(1)})
    check_linear_map(op, row_of(n), weights, Fraction(5, 2))


def test_torch_rounds_the_ratio_of_nearest() -> None:
    """The difference that the docstring states: where s * S / size is whole, torch's float32 product may fall short of it."""
    torch = pytest.importorskip("torch")
    for n, size, dtype, count in [(2, 82, np.float32, 1), (3, 123, np.float32, 2), (2, 82, np.float64, 0), (3, 123, np.float64, 0)]:
        x = np.arange(n, dtype=dtype)[None, None]
        ours = Resize((size,), "nearest", "asymmetric", "floor").forward(x)[0, 0]
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
        (lambda: Resize((2,), "area"), "mode must be"),
        (lambda: Resize((2,), coordinates="middle"), "coordinates must be one of half_pixel"),
        (lambda: Resize((2,), rounding="up"), "rounding must be one of round_prefer_floor"),
        (lambda: Resize(()), "at least 1 for each axis"),
        (lambda: Resize((0,)), "at least 1"),
        (lambda: Resize((2,), scales=(1.0, 2.0)), "one positive number"),
        (lambda: Resize((2,), scales=(-1.0,)), "one positive number"),
        (lambda: Resize((2,), crop=((0.0, 1.0),)), "come together"),
        (lambda: Resize((2,), coordinates="tf_crop_and_resize", crop=((0.0, 1.0),) * 2), "one (start, end)"),
    ],
)
def test_settings_that_fit_no_input_are_refused(make, text: str) -> None:
    with pytest.raises(ShapeError) as caught:
        make()
    assert text in str(caught.value)


def test_a_part_in_as_many_pixels_is_no_copy():
    """The left half of (0, 2, 4), in three: places 0, 1/2 and 1."""
    x = np.array([[[0.0, 2.0, 4.0]]])
    half = Resize((3,), "linear", "tf_crop_and_resize", crop=((0.0, 0.5),))
    assert half.forward(x).tolist() == [[[0, 1, 2]]]
    assert Resize((3,), "linear", "tf_crop_and_resize", crop=((0.0, 1.0),)).forward(x).tolist() == x.tolist()
