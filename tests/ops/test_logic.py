"""What the cases do not show of comparisons and casts: rationals, truncation, other arithmetics, kinds that do not exist."""

from __future__ import annotations

import operator
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore.errors import GraphError, InputError
from xaicore.ops import Compare, IsInf, IsNaN, Logical, Not, ToBool, ToFloat, ToInt

SIXTHS = np.array([Fraction(k, 6) for k in (-7, -6, -1, 0, 1, 6, 11)], dtype=object)


@pytest.mark.parametrize("kind", ["eq", "ne", "lt", "le", "gt", "ge"])
@given(a=st.fractions(max_denominator=9), b=st.fractions(max_denominator=9))
def test_compare_is_exact_on_rationals(kind, a, b):
    y = Compare(kind).forward(np.array([a, b], dtype=object), np.array([b, b], dtype=object))
    assert y.dtype == bool
    assert y.tolist() == [getattr(operator, kind)(a, b), getattr(operator, kind)(b, b)]


def test_truth_of_numbers():
    for x in (SIXTHS, SIXTHS.astype(float), np.array([-7, -6, -1, 0, 1, 6, 11])):
        truth = [v != 0 for v in x]
        assert ToBool().forward(x).tolist() == truth
        assert Not().forward(x).tolist() == [not t for t in truth]
        assert Logical("and").forward(x, x).tolist() == truth
        assert Logical("xor").forward(x, np.ones(7, bool)).tolist() == [not t for t in truth]
        for y in (ToBool().forward(x), Not().forward(x), Logical("or").forward(x, x)):
            assert y.dtype == bool


def test_whole_numbers_are_cut_towards_zero():
    whole = [-1, -1, 0, 0, 0, 1, 1]
    for x in (SIXTHS, SIXTHS.astype(float), SIXTHS.astype(np.float32)):
        y = ToInt().forward(x)
        assert y.dtype == np.int64
        assert y.tolist() == whole
    assert ToInt().forward(np.array([True, False])).tolist() == [1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 2.0**63])
def test_what_no_integer_holds_is_refused(bad):
    with pytest.raises(InputError, match=r"ToInt: the input is .* at index \(1,\)"):
        ToInt().forward(np.array([0.0, bad]))


@pytest.mark.parametrize(("dtype", "kind"), [("float64", np.float64), ("float32", np.float32), ("exact", object)])
def test_a_cast_gives_the_number_of_its_graph(dtype, kind):
    op = ToFloat().with_dtype(dtype)
    assert op == ToFloat(dtype)
    for x in (np.array([[3, -1]]), np.array([[True, False]])):
        y = op.forward(x)
        assert y.dtype == kind
        assert y.tolist() == x.tolist()
        assert dtype != "exact" or type(y[0, 0]) is Fraction
        assert not op.vjp(0, np.ones((1, 2)), y, x).any()


@pytest.mark.parametrize("x", [np.array([0.5]), np.array([0.5], np.float32), np.array([Fraction(1, 3)], dtype=object)])
def test_a_cast_of_a_float_is_the_identity(x):
    y = ToFloat().forward(x)
    assert y.dtype == x.dtype
    assert y.tolist() == x.tolist()
    g = x + x
    assert ToFloat().vjp(0, g, y, x).tolist() == g.tolist()


def test_no_signal_passes():
    x = np.array([[1.5, -2.0]])
    for op, inputs in ((Compare("lt"), 2), (Logical("or"), 2), (Not(), 1), (ToBool(), 1), (ToInt(), 1)):
        xs = (x,) * inputs
        assert all(op.blocks(i) for i in range(inputs))
        assert not op.affine((True,) * inputs)
        assert not op.vjp(0, np.ones_like(x), op.forward(*xs), *xs).any()
    assert not ToFloat().blocks(0)


@pytest.mark.parametrize("make", [lambda: Compare("approx"), lambda: Logical("nand"), lambda: ToFloat("float16")])
def test_a_kind_that_does_not_exist_is_refused(make):
    with pytest.raises(GraphError, match="is unknown; one of"):
        make()


def test_words_are_not_numbers():
    with pytest.raises(InputError, match="dtype <U1"):
        ToFloat().forward(np.array(["a"]))


def test_numbers_that_are_none_and_infinities() -> None:
    x = np.array([0.5, -2.0, np.nan, np.inf, -np.inf])
    assert IsNaN().forward(x).tolist() == [False, False, True, False, False]
    assert IsInf().forward(x).tolist() == [False, False, False, True, True]
    assert IsInf(negative=False).forward(x).tolist() == [False, False, False, True, False]
    assert IsInf(positive=False).forward(x).tolist() == [False, False, False, False, True]
    assert not IsNaN().forward(np.array([1, 2])).any()
    assert not IsInf().forward(np.array([1, 2])).any()


def test_the_ends_of_int64():
    """-2^63 is an int64, 2^63 is none, and the float before it is."""
    ends = np.array([-(2.0**63), 2.0**63 - 1024, 200.0, -0.5])
    assert ToInt().forward(ends).tolist() == [-(2**63), 2**63 - 1024, 200, 0]
    for beyond in (2.0**63, -(2.0**63) - 2048):
        with pytest.raises(InputError, match="within int64"):
            ToInt().forward(np.array([0.0, beyond]))
