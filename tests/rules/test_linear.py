"""An affine step taken apart, asked directly: what no whole rule asks of sums, of paddings with a value, and of resizes."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from tests.cases import CASES
from xaicore import Builder
from xaicore.errors import Inapplicable
from xaicore.ops import Add, AvgPool, Conv, Dense, Pad, Resize
from xaicore.rules.linear import Affine, negative, passed, positive, ratio, same, square, zeros
from xaicore.rules.lrp import alpha_beta, epsilon, flat, gamma, w_square, z_box, z_plus
from xaicore.trace import forward

C = np.array([[4.0, -8.0]])


def taken(op, x, *params, dtype="float64") -> Affine:
    b = Builder(dtype=dtype)
    x = np.asarray(x, dtype=float) if dtype == "float64" else x
    graph = b.build(b.add(op, b.input("x", (None, *x.shape[1:])), *(b.param(f"p{k}", p) for k, p in enumerate(params))))
    return Affine(forward(graph, {"x": x}).step(graph.nodes[0]))


def test_a_constant_summand_is_a_bias_and_takes_no_factor():
    """f(1) x + bias(c): a change of weights acts on what is explained alone."""
    a = taken(Add(), [[2.0, 3.0]], C)
    for weights, factor in ((same, 1), (lambda w: 3 * w, 3), (negative, 0), (square, 1)):
        assert a.apply(None, weights).tolist() == [[2 * factor, 3 * factor]]
        assert a.apply(None, weights, same).tolist() == [[2 * factor + 4, 3 * factor - 8]]
        assert a.apply(None, weights, positive).tolist() == [[2 * factor + 4, 3 * factor]]
        assert a.back(np.array([[5.0, 7.0]]), weights)[0].tolist() == [[5 * factor, 7 * factor]]
    assert a.has_bias
    assert a.back(C)[1] is None


def test_what_is_padded_with_a_value_is_an_offset():
    a = taken(Pad(((1, 0),), value=5.0), [[2.0, 3.0]])
    assert a.has_bias
    assert a.apply().tolist() == [[0, 2, 3]]
    assert a.apply(None, same, same).tolist() == [[5, 2, 3]]
    assert a.apply((np.array([[1.0, -1.0]]),)).tolist() == [[0, 1, -1]]
    assert epsilon(0, "ignore")(a.step, np.array([[7.0, 8.0, 9.0]]))[0].tolist() == [[8, 9]]


def test_a_layer_without_a_constant_has_none():
    for a in (taken(AvgPool((2,)), [[[1.0, 3.0]]]), taken(Dense(), [[2.0, 3.0]], [[1.0, 1.0]])):
        assert not a.has_bias
        assert not a._offset()


def test_the_second_term_is_for_negative_inputs():
    """Inputs of 0 and above need one; so does a constant below 0, which is no input."""
    assert [len(taken(Add(), [x], C).terms(positive, negative)) for x in ([0.0, 0.5], [3.0, 0.0], [0.0, -0.5])] == [1, 1, 2]


def test_a_bias_that_an_operator_does_without_is_one_of_zeros():
    """So that ``Affine`` may leave it out."""
    found = set()
    for case in CASES:
        xs, last = case.draw(np.random.default_rng(0)), len(case.mask()) - 1
        for active in (case.mask(), (True, *(False,) * last)):
            if case.op.biases(active) == (last,) and case.op.arity[0] <= last:
                found.add(type(case.op).__name__)
                assert np.array_equal(case.op.forward(*xs[:-1]), case.op.forward(*xs[:-1], zeros(xs[-1])))
    assert found >= {"Conv", "ConvTranspose", "Dense"}


def test_weights_that_are_no_inputs():
    """An interpolation's weights are not equal, so that they can be neither squared nor set to one; a sum's and a product's can."""
    linear = taken(Resize((4,), "linear"), [[[1.0, 3.0]]])
    for rule in (w_square(), flat()):
        with pytest.raises(Inapplicable, match="cannot be squared or set to one"):
            rule(linear.step, np.ones((1, 1, 4)))
    linear_in = taken(Dense(), [[2.0, 3.0]], [[1.0, 2.0]])
    assert w_square()(linear_in.step, np.array([[5.0]]))[0].tolist() == [[1, 4]]
    assert w_square()(taken(AvgPool((2,)), [[[1.0, 3.0]]]).step, np.array([[[4.0]]]))[0].tolist() == [[[2, 2]]]


def test_signs_of_an_unknown_linear_part():
    """A cubic interpolation has weights of either sign inside itself."""
    cubic = taken(Resize((4,), "cubic"), [[[1.0, 3.0]]])
    with pytest.raises(Inapplicable, match="cannot split its weights by sign"):
        gamma(0.25)(cubic.step, np.ones((1, 1, 4)))
    assert cubic._offset()
    assert cubic.apply(None, same, zeros).tolist() == cubic.step.y.tolist()


# ----- R / z that is no float -------------------------------------------------------------------------------------

TINY = {"float64": 2.0**-1010, "float32": 2.0**-115}
"""What R = 2^20 over it is no number of the dtype, with room for its products above the smallest normal number."""
RULES = {
    "zero": epsilon(0), "zero, ignore": epsilon(0, "ignore"), "zero, distribute": epsilon(0, "distribute"), "gamma": gamma(100, 0, "ignore"),
    "gamma, distribute": gamma(0.25, 0, "distribute"), "gamma, original": gamma(0.25, 0, variant="original"), "alpha_beta": alpha_beta(2),
    "alpha_beta, distribute": alpha_beta(3, bias="distribute"), "z_plus": z_plus(), "z_box": z_box(0, 0),
}
LAYERS = {"dense": (Dense(), (3, 5), (4, 5), (4,)), "conv": (Conv((3,), pads=((1, 1),)), (3, 2, 4), (3, 2, 3), (3,))}


def shares(op, rule, dtype, *arrays):
    """What the rule passes to the input in arithmetic of ``dtype``, with floats that overflow as an error, as in a backward pass."""
    x, r, *params = (np.vectorize(Fraction, [object])(v) if dtype == "exact" else v.astype(dtype) for v in arrays)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        return rule(taken(op, x, *params, dtype=dtype).step, r)[0]


@pytest.mark.parametrize("layer", LAYERS)
@pytest.mark.parametrize("dtype", TINY)
@pytest.mark.parametrize("name", RULES)
def test_a_share_is_a_number_where_the_ratio_is_none(name, dtype, layer):
    """The first sample is as small as can be, the second ordinary, the third empty; the same on rationals is the second opinion."""
    op, *shapes = LAYERS[layer]
    x, w, bias = (np.random.default_rng(k).uniform(0.5, 1.5, s) * np.random.default_rng(k + 9).choice((-1, 1), s) for k, s in enumerate(shapes))
    x[0] *= TINY[dtype]
    x[2] = 0
    r = np.random.default_rng(5).uniform(0.5, 1, taken(op, x, w).step.y.shape)
    r[0] *= 2**20
    given = [v.astype(dtype) for v in (x, r, w, bias * TINY[dtype])]
    with pytest.raises(FloatingPointError), np.errstate(over="raise"):
        ratio(given[1][0], given[0].dtype.type(TINY[dtype]), 0)
    found, exact = (shares(op, RULES[name], d, *given) for d in (dtype, "exact"))
    assert np.abs(exact[0]).max() > 1
    for one, two in zip(found, exact):                                  # sums of ten products at most, whose cancellation is some hundredfold
        assert np.abs(one - two).max() <= 1e3 * np.finfo(dtype).eps * max(np.abs(two).max(), 1)


def test_an_epsilon_that_the_arithmetic_does_not_have_is_none():
    """1e-60 is 0 in float32: a neuron with z = 0 absorbs, as for eps = 0, and is no division by zero."""
    with np.errstate(divide="raise", invalid="raise"):
        assert ratio(np.ones(2, np.float32), np.array([0, 2], np.float32), 1e-60).tolist() == [0, 0.5]


def test_shares_whose_quotient_is_no_float():
    """One input of each neuron: all of R is its own, whatever z is. R / z is 1e310, 1e450, 1e316 and 2; the powers of two round nothing."""
    r, z = np.array([[1e10, 1e150, -1e16, 4.0]]), np.array([[1e-300, 1e-300, 1e-300, 2.0]])
    with np.errstate(over="raise"):
        (found,) = passed(lambda s: (z * s,), r, z, 0)
        assert np.allclose(found, r, rtol=1e-15, atol=0)
        (stable,) = passed(lambda s: (z * s,), r, z, 1e-300)
        assert np.allclose(stable, r * z / (z + 1e-300), rtol=1e-15, atol=0)
        assert passed(lambda s: (s, None), r[:, 3:], z[:, 3:], 0)[1] is None
        with pytest.raises(FloatingPointError):
            passed(lambda s: (s,), r, z, 0)                             # what overflows itself stays an error
