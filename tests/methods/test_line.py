"""The kinks of single operators along a line, against where their slope really changes."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from xaicore import Builder
from xaicore.errors import Inapplicable
from xaicore.methods.line import Line
from xaicore.ops import (
    Abs,
    Clip,
    Compare,
    Dense,
    Floor,
    GlobalMaxPool,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    LpPool,
    Maximum,
    MaxPool,
    Minimum,
    Mul,
    PReLU,
    ReduceMax,
    ReduceMin,
    ReLU,
    ReLU6,
    Reshape,
    Sign,
    Sub,
    ToFloat,
    TopK,
    Variance,
    Where,
)


def line(op, start, end, *constants, dtype="exact", shape=None, **limits):
    """The line of one operator on x (1, K), perhaps reshaped."""
    b = Builder(dtype=dtype)
    x = b.input("x", (None, len(start)))
    x = x if shape is None else b.add(Reshape(shape), x)
    y = b.add(op, x, *(b.param(f"c{k}", c) for k, c in enumerate(constants)), name="y")
    convert = (lambda v: np.array([[Fraction(k) for k in v]])) if dtype == "exact" else (lambda v: np.array([v], dtype=float))
    return Line(b.build(y), "y", {"x": convert(start)}, {"x": convert(end)}, {}, **limits)


@pytest.mark.parametrize(("op", "constants", "expected"), [
    (ReLU(), (), [Fraction(1, 4)]),
    (LeakyReLU(0.5), (), [Fraction(1, 4)]),
    (PReLU(), (Fraction(1, 5),), [Fraction(1, 4)]),
    (Abs(), (), [Fraction(1, 4)]),
    (ReLU6(), (), [Fraction(1, 4)]),
    (Clip(-1, 1), (), [Fraction(1, 8), Fraction(3, 8)]),
    (Clip(None, 2), (), [Fraction(1, 2)]),
    (Clip(5, 1), (), []),
    (HardSigmoid(0.5, 0.5), (), [Fraction(1, 8), Fraction(3, 8)]),
    (Maximum(), (np.array([[1]]),), [Fraction(3, 8)]),
    (Minimum(), (np.array([[1]]),), [Fraction(3, 8)]),
    (Sub(), (np.array([[1]]),), []),
])
def test_elementwise(op, constants, expected):
    """x runs from -2 to 6: it is v at α = (v + 2) / 8."""
    constants = [np.array(c) if isinstance(c, np.ndarray) else np.array([c]) for c in constants]
    constants = [np.vectorize(Fraction, otypes=[object])(c) for c in constants]
    alphas, _ = line(op, [-2], [6], *constants).kinks()
    assert list(alphas) == [0, *expected, 1]


@pytest.mark.parametrize(("op", "shape"), [(ReduceMax((1,)), None), (MaxPool((3,)), (1, 3)), (GlobalMaxPool(), (1, 3))])
def test_envelope_of_three_lines(op, shape):
    """1 - 4α, 0, 3α - 2: the second wins between 1/4 and 2/3; the first and third cross at 3/7, below it, which is no kink."""
    alphas, values = line(op, [1, 0, -2], [-3, 0, 1], shape=shape).kinks()
    assert list(alphas) == [0, Fraction(1, 4), Fraction(2, 3), 1]
    assert list(values.reshape(-1)) == [1, 0, 0, 1]


def test_minimum_is_the_lower_envelope():
    alphas, values = line(ReduceMin((1,)), [-1, 0, 2], [3, 0, -1]).kinks()
    assert list(alphas) == [0, Fraction(1, 4), Fraction(2, 3), 1]
    assert list(values.reshape(-1)) == [-1, 0, 0, -1]


def test_three_lines_through_one_point():
    """All cross at 1/2: one kink, and the steepest wins behind it."""
    alphas, values = line(ReduceMax((1,)), [1, 0, -1], [-1, 0, 1]).kinks()
    assert list(alphas) == [0, Fraction(1, 2), 1]
    assert list(values.reshape(-1)) == [1, 0, 1]


def test_ties_at_an_end_and_equal_lines():
    alphas, _ = line(ReduceMax((1,)), [0, 0, 0], [1, 2, 3]).kinks()
    assert list(alphas) == [0, 1]
    alphas, _ = line(ReduceMax((1,)), [1, 1], [-1, -1]).kinks()
    assert list(alphas) == [0, 1]
    alphas, _ = line(ReLU(), [0, 1], [1, 0]).kinks()                     # zeros at the ends are no kinks
    assert list(alphas) == [0, 1]


@given(data=st.data(), dtype=st.sampled_from(["exact", "float64"]))
def test_the_maximum_is_linear_between_kinks(data, dtype):
    """The upper envelope of K random lines, looked at in the middle of every piece; its slopes increase (convexity), so that
    every kink is one."""
    whole = st.integers(-6, 6)
    k = data.draw(st.integers(2, 6), "lines")
    start, end = (data.draw(st.lists(whole, min_size=k, max_size=k), name) for name in ("start", "end"))
    alphas, values = line(ReduceMax((1,)), start, end, dtype=dtype).kinks()
    values = values.reshape(-1)
    at = (alphas[:-1] + alphas[1:]) / 2
    middle = [max(s + (e - s) * a for s, e in zip(start, end)) for a in at]
    slopes = np.diff(values) / np.diff(alphas)
    if dtype == "exact":
        assert list(middle) == list((values[:-1] + values[1:]) / 2)
        assert (np.diff(slopes) > 0).all()
    else:
        assert np.abs(np.array(middle) - (values[:-1] + values[1:]) / 2).max() < 1e-13     # numbers of about 6
        assert (np.diff(slopes) > 1e-9).all()


@pytest.mark.parametrize("room", [1, 4, 5, 64])
def test_stretches(room):
    """A hundred kinks at (k + 1/2) / 100, however few points are held at a time."""
    b = Builder(dtype="exact")
    x = b.input("x", (None, 1))
    shift = np.array([[Fraction(2 * k + 1, 200) for k in range(100)]], dtype=object)
    graph = b.build(b.add(ReLU(), b.add(Sub(), x, b.param("shift", shift)), name="y"))
    ends = {"x": np.array([[Fraction(0)]], dtype=object)}, {"x": np.array([[Fraction(1)]], dtype=object)}
    alphas, values = Line(graph, "y", *ends, {}, room=room).kinks()
    assert list(alphas) == [0, *shift[0], 1]
    assert len(values) == 102
    assert list(values[-1]) == [1 - s for s in shift[0]]
    with pytest.raises(Inapplicable, match="more than 100 linear pieces"):
        Line(graph, "y", *ends, {}, room=room, most=100).kinks()
    assert len(Line(graph, "y", *ends, {}, room=room, most=101).kinks()[0]) == 102


def test_kinks_that_rounding_invents_are_left_out():
    """z = x1 - x2 is 0 along the whole path up to rounding, which has a sign; 0.1 + 0.2 - 0.3 likewise."""
    b = Builder()
    x = b.input("x", (None, 3))
    graph = b.build(b.add(ReLU(), b.add(Dense(), x, b.param("w", [[1.0, 1.0, -1.0]])), name="y"))
    alphas, _ = Line(graph, "y", {"x": np.zeros((1, 3))}, {"x": np.array([[0.1, 0.2, 0.3]])}, {}).kinks()
    assert len(alphas) <= 3


def test_kinks_that_lie_close_together_are_told_apart():
    """At 1/2 and, in a later node, 1/2 + 1e-9: far from each other, in units in the last place."""
    b = Builder()
    x = b.input("x", (None, 1))
    first, second = (b.add(ReLU(), b.add(Sub(), x, b.constant(c))) for c in (0.5, 0.5 + 1e-9))
    graph = b.build(b.add(Sub(), first, second, name="y"))
    alphas, _ = Line(graph, "y", {"x": np.zeros((1, 1))}, {"x": np.ones((1, 1))}, {}).kinks()
    assert list(alphas) == [0, 0.5, 0.5 + 1e-9, 1]


@pytest.mark.parametrize("op", [Floor(), Sign(), HardSwish(), Variance((1,))])
def test_bent_operators(op):
    with pytest.raises(Inapplicable, match=f"node 'y' \\({type(op).__name__}.*is not piecewise linear"):
        line(op, [-1.0, 1.0], [1.0, 2.0], dtype="float64").kinks()


def test_bent_pool():
    with pytest.raises(Inapplicable, match="LpPool"):
        line(LpPool(2, (2,)), [-1.0, 1.0], [1.0, 2.0], dtype="float64", shape=(1, 2)).kinks()


def test_products_and_conditions_that_move():
    """x * x is bent, and a condition on x makes f jump; with a constant factor and a constant condition both are affine."""
    ends = {"x": np.zeros((1, 2))}, {"x": np.ones((1, 2))}
    b = Builder()
    x = b.input("x", (None, 2))
    with pytest.raises(Inapplicable, match="Mul"):
        Line(b.build(b.add(Mul(), x, x, name="y")), "y", *ends, {}).kinks()
    b = Builder()
    x, zero = b.input("x", (None, 2)), b.constant(0.5)
    mask = b.add(Compare("gt"), x, zero)
    with pytest.raises(Inapplicable, match="Compare"):
        Line(b.build(b.add(Where(), mask, x, zero, name="y")), "y", *ends, {}).kinks()
    b = Builder()
    x, other = b.input("x", (None, 2)), b.input("other", (None, 2))
    mask = b.add(Compare("gt"), other, b.constant(0.5))
    weight = b.add(ToFloat(), mask)
    bent = b.add(ReLU(), b.add(Sub(), b.add(Mul(), x, weight), b.constant(0.25)))
    graph = b.build(b.add(Where(), mask, bent, other, name="z"))
    alphas, values = Line(graph, "z", *ends, {"other": np.array([[0.0, 1.0]])}).kinks()
    assert list(alphas) == [0, 0.25, 1]
    assert list(values[-1]) == [0, 0.75]


# ----- the largest k ------------------------------------------------------------------------------------------------


def test_where_an_order_changes():
    """(0, 2, 3) to (4, 2, 1): 0 + 4 α meets 2 at 1/2 and 3 - 2 α at 1/2, which meets 2 there, too; a smaller slope elsewhere."""
    assert line(TopK(1, 2), [0, 2, 3], [4, 2, 1]).kinks()[0].tolist() == [0, Fraction(1, 2), 1]
    assert line(TopK(1, 1), [0, 1, 3], [4, 1, 2]).kinks()[0].tolist() == [0, Fraction(1, 4), Fraction(3, 5), 1]
    assert line(TopK(1, 1, False), [0, 5], [0, 5]).kinks()[0].tolist() == [0, 1]


@given(seed=st.integers(0, 2**32 - 1), k=st.integers(1, 4), largest=st.booleans())
def test_integrals_through_the_largest_k(seed, k, largest):
    """A network that keeps the k largest (smallest) of four rectified units: complete in rationals, and f on the way is a broken line."""
    rng = np.random.default_rng(seed)
    b = Builder(dtype="exact")

    def drawn(*shape):
        return np.vectorize(lambda v: Fraction(int(v), 8), otypes=[object])(rng.integers(-8, 9, shape))

    h = b.add(LeakyReLU(Fraction(1, 4)), b.add(Dense(), b.input("x", (None, 3)), b.param("w", drawn(4, 3)), b.param("c", drawn(4))))
    graph = b.build(b.add(Dense(), b.add(TopK(1, k, largest), h, name="top"), b.param("v", drawn(2, k)), name="y"))
    x, start = drawn(1, 3), drawn(1, 3)
    a = xc.explain(graph, x, "integrated_gradients.exact", 1, baseline=start)
    assert a.gap()[0] == 0
    alphas = [Fraction(n, 60) for n in range(61)]
    points = np.concatenate([(1 - t) * start + t * x for t in alphas])
    f = graph(points)[:, 1]
    (ends,) = a.extras["breakpoints"]
    for n in range(1, 60):
        if not any(alphas[n - 1] < t < alphas[n + 1] for t in ends):
            assert f[n - 1] + f[n + 1] == 2 * f[n]
    floats = xc.explain(graph.astype("float64"), x.astype(float), "integrated_gradients.exact", 1, baseline=start.astype(float))
    # rounding of f alone: a tie between two entries that only rounding tells apart may choose another one for a whole piece
    assert abs(floats.gap()[0]) <= 1e-12 * (1 + abs(float(a.output[0])))
