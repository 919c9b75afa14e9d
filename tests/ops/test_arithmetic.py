"""What the cases do not show of the functions of two arrays: claims, ties, squares, masks, every way to broadcast."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import mutually_broadcastable_shapes

from xaicore.errors import InputError
from xaicore.ops import Add, Div, Maximum, Minimum, Mul, Sub, Where

BOTH, FIRST, SECOND = (True, True), (True, False), (False, True)


@pytest.mark.parametrize(("op", "active", "affine", "bilinear", "weights", "biases"), [
    (Add(), BOTH, True, False, (), ()),
    (Add(), FIRST, True, False, (), (1,)),
    (Add(), SECOND, True, False, (), (0,)),
    (Sub(), BOTH, True, False, None, ()),
    (Sub(), FIRST, True, False, None, (1,)),
    (Sub(), SECOND, True, False, None, (0,)),
    (Mul(), BOTH, False, True, None, ()),
    (Mul(), FIRST, True, False, (1,), ()),
    (Mul(), SECOND, True, False, (0,), ()),
    (Div(), BOTH, False, False, None, ()),
    (Div(), FIRST, True, False, None, ()),
    (Div(), SECOND, False, False, None, ()),
    (Maximum(), BOTH, False, False, None, ()),
    (Where(), (False, True, True), True, False, None, ()),
    (Where(), (False, True, False), True, False, None, (2,)),
    (Where(), (False, False, True), True, False, None, (1,)),
], ids=str)
def test_claims(op, active, affine, bilinear, weights, biases):
    assert (op.affine(active), op.bilinear(active), op.biases(active)) == (affine, bilinear, biases)
    assert (op.weights(active) if affine else None) == weights


def test_a_square_passes_the_signal_twice():
    x, g = np.array([[3.0, -2.0]]), np.ones((1, 2))
    y = Mul().forward(x, x)
    assert (Mul().vjp(0, g, y, x, x) + Mul().vjp(1, g, y, x, x)).tolist() == [[6.0, -4.0]]
    y = Add().forward(x, x)
    assert (Add().vjp(0, g, y, x, x) + Add().vjp(1, g, y, x, x)).tolist() == [[2.0, 2.0]]
    y = Maximum().forward(x, x)
    assert (Maximum().vjp(0, g, y, x, x) + Maximum().vjp(1, g, y, x, x)).tolist() == [[1.0, 1.0]]


@pytest.mark.parametrize("op", [Maximum(), Minimum()], ids=str)
def test_at_a_tie_the_first_input_takes_all(op):
    a, b, g = np.array([[1.0, 2.0, -0.0]]), np.array([[1.0, 2.0, 0.0]]), np.array([[3.0, 5.0, 7.0]])
    y = op.forward(a, b)
    assert op.vjp(0, g, y, a, b).tolist() == g.tolist()
    assert op.vjp(1, g, y, a, b).tolist() == [[0, 0, 0]]
    assert op.winners(a, b).tolist() == [[0, 0, 0]]


def test_torch_halves_a_tie():
    """The difference that the docstrings state."""
    torch = pytest.importorskip("torch")
    for name in ("maximum", "minimum"):
        a, b = (torch.ones(1, requires_grad=True) for _ in "ab")
        getattr(torch, name)(a, b).backward()
        assert a.grad == b.grad == 0.5


def test_winners_and_candidates():
    a, b = np.array([[1.0, 5.0], [2.0, 2.0]]), np.array([3.0, 2.0])
    assert Maximum().candidates(a, b).tolist() == [[[1, 3], [5, 2]], [[2, 3], [2, 2]]]
    assert Maximum().winners(a, b).tolist() == [[1, 0], [1, 0]]
    assert Minimum().candidates(a, b).tolist() == [[[-1, -3], [-5, -2]], [[-2, -3], [-2, -2]]]
    assert Minimum().winners(a, b).tolist() == [[0, 1], [0, 0]]


def test_where_passes_exact_zeros_beside_an_infinite_mask():
    cond, a, b = np.array([[True, False]]), np.array([[1.0, 2.0]]), np.array(-np.inf)
    y = Where().forward(cond, a, b)
    assert y.tolist() == [[1.0, -np.inf]]
    assert Where().vjp(1, np.array([[3.0, np.inf]]), y, cond, a, b).tolist() == [[3.0, 0.0]]
    assert Where().vjp(2, np.array([[3.0, 4.0]]), y, cond, a, b) == 4.0
    assert Where().blocks(0)
    assert Where().vjp(0, np.ones((1, 2)), y, cond, a, b).tolist() == [[False, False]]


def test_division_by_zero_names_the_entry():
    for zero in (np.array([[1.0], [-0.0]]), np.array([[Fraction(1)], [Fraction(0)]], dtype=object)):
        with pytest.raises(InputError, match=r"Div: the input is -?0(\.0)? at index \(1, 0\)"):
            Div().forward(zero, zero)


@pytest.mark.parametrize("op", [Add(), Sub(), Mul(), Div(), Maximum(), Minimum()], ids=str)
@given(shapes=mutually_broadcastable_shapes(num_shapes=2, max_dims=3, max_side=3), seed=st.integers(0, 99))
def test_every_way_to_broadcast(op, shapes, seed):
    """The vjp of input i at one entry is the sum of g * dy/dx over all y that read it, found by moving that entry alone, exactly."""
    rng = np.random.default_rng(seed)
    a, b = (_odd(rng, shape, k) for k, shape in enumerate(shapes.input_shapes))
    y = np.asarray(op.forward(a, b))
    assert y.shape == shapes.result_shape
    g = _odd(rng, y.shape, 2)
    for i, x in enumerate((a, b)):
        back = op.vjp(i, g, y, a, b)
        assert back.shape == x.shape
        for k in np.ndindex(x.shape):
            moved = x.copy()
            h = Fraction(1, 1000)
            moved[k] += h
            up = np.asarray(op.forward(*((moved, b) if i == 0 else (a, moved))))
            slope = np.sum((up - y) / h * g)
            # a quotient's difference quotient in b is off by its factor b / (b + h); all the others are lines here
            if isinstance(op, Div) and i == 1:
                slope *= moved[k] / x[k]
            assert back[k] == slope


def _odd(rng, shape, k):
    """Fractions of different denominators for each k, so that entries of two arrays are never equal, nor is any 0."""
    x = np.empty(shape, dtype=object)
    for at in np.ndindex(shape):
        x[at] = Fraction(2 * int(rng.integers(-4, 4)) + 1, (2, 4, 8)[k])
    return x
