"""Where the batch goes: every step of a Layout against NumPy on the framework's own array, and what it refuses against labels."""

from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xaicore.errors import ConversionError
from xaicore.graph.layout import Layout, common
from xaicore.ops import Flatten, Reshape, Transpose

N = 5
"""Samples in these tests: a prime number that is no other size here."""

PRIME = 1_000_003
SIZES = st.sampled_from([1, 2, 3, 4, 6])


@st.composite
def layouts(draw, samples: int = N) -> Layout:
    """Any position of the batch, with or without other axes merged into it."""
    shape = draw(st.lists(SIZES, min_size=1, max_size=4), label="shape")
    axis = draw(st.integers(0, len(shape) - 1), label="axis")
    before, after = draw(st.tuples(SIZES, SIZES), label="merged") if draw(st.booleans()) else (1, 1)
    shape[axis] = before * samples * after
    return Layout(tuple(shape), samples, axis, before, after)


def values(one: Layout) -> np.ndarray:
    """Every entry another number."""
    return np.arange(prod(one.shape), dtype=float).reshape(one.shape)


def labels(one: Layout) -> np.ndarray:
    """For every entry of the framework's array the sample that it belongs to, by the definition of a row-major merge."""
    along = np.arange(one.shape[one.axis]) // one.after % one.batch
    return np.broadcast_to(along.reshape(-1, *(1,) * (len(one.shape) - one.axis - 1)), one.shape)


def run(op, x: np.ndarray) -> np.ndarray:
    return x if op is None else op.forward(x)


def factors(total: int) -> st.SearchStrategy[tuple[int, ...]]:
    """Shapes of up to five axes with so many entries."""

    @st.composite
    def shapes(draw):
        rest, found = total, []
        for _ in range(draw(st.integers(0, 4), label="cuts")):
            n = draw(st.sampled_from([d for d in range(1, rest + 1) if rest % d == 0]), label="size")
            found.append(n)
            rest //= n
        found.append(rest)
        return tuple(draw(st.permutations(found), label="order"))

    return shapes()


@given(layouts())
def test_the_graph_has_sample_by_sample_what_the_framework_has(one: Layout) -> None:
    x, laid = values(one), one.to_graph(values(one))
    assert laid.shape == one.graph_shape
    for n in range(N):
        assert sorted(laid[n].ravel()) == sorted(x[labels(one) == n])
        assert list(laid[n].ravel()) == sorted(laid[n].ravel())        # and in the framework's order: the entries count upwards


@given(layouts())
def test_parts_say_of_which_axes_of_the_graph_a_framework_axis_is_made(one: Layout) -> None:
    flat = [k for part in one.parts for k in part]
    assert sorted(flat) == list(range(len(one.graph_shape)))
    back = one.to_graph(values(one)).transpose(flat).reshape(one.shape)
    np.testing.assert_array_equal(back, values(one))


@given(layouts(), st.data())
def test_permuting_commutes_with_laying_out(one: Layout, data: st.DataObject) -> None:
    perm = data.draw(st.permutations(range(len(one.shape))), label="perm")
    moved, op = one.permute(perm)
    np.testing.assert_array_equal(run(op, one.to_graph(values(one))), moved.to_graph(values(one).transpose(perm)))
    others = [k for k in perm if k != one.axis]
    if others == sorted(others) and not one.merged:
        assert op is None                                               # moving the batch alone costs nothing


@given(layouts(), st.data())
def test_a_reshape_is_exact_or_refused_and_refused_only_when_it_tears_the_batch(one: Layout, data: st.DataObject) -> None:
    shape = data.draw(factors(prod(one.shape)), label="new shape")
    where = labels(one).reshape(shape)
    try:
        moved, op = one.reshape(shape)
    except ConversionError:
        for axis, size in enumerate(shape):                             # a layout is a repetition of 0 0 1 1 2 2 ... along one axis
            along = np.moveaxis(where, axis, 0).reshape(size, -1)
            run_length = int(np.argmax(along[:, 0] != along[0, 0])) or 1
            pattern = np.arange(size) // run_length % N
            assert size % N or (along != pattern[:, None]).any(), "a layout exists, so it should not have been refused"
        return
    assert moved.shape == shape
    np.testing.assert_array_equal(where, labels(moved))
    np.testing.assert_array_equal(run(op, one.to_graph(values(one))), moved.to_graph(values(one).reshape(shape)))


@given(layouts(PRIME), st.data())
def test_a_free_batch_is_read_as_the_same_layout(one: Layout, data: st.DataObject) -> None:
    """With a prime in place of the batch, a chain of steps gives the layouts that it gives for a batch of five."""
    small = Layout(tuple(n // PRIME * N if n % PRIME == 0 else n for n in one.shape), N, one.axis, one.before, one.after)
    for _ in range(3):
        perm = data.draw(st.permutations(range(len(one.shape))), label="perm")
        (one, op), (small, same) = one.permute(perm), small.permute(perm)
        assert op == same
        sizes = data.draw(factors(prod(small.shape)), label="shape")
        try:
            small, same = small.reshape(sizes)
        except ConversionError:
            continue
        one, op = one.reshape(tuple(n // N * PRIME if k == small.axis else n for k, n in enumerate(sizes)))
        assert (op, one.parts) == (same, small.parts)


# ----- the layouts that models have -----------------------------------------------------------------------------------


def test_the_common_case_is_trivial() -> None:
    one = Layout((N, 3, 8, 8), N)
    assert one.trivial
    assert one.graph_shape == one.shape
    assert one.parts == ((0,), (1,), (2,), (3,))
    assert one.reshape((N, 192)) == (Layout((N, 192), N), Flatten())
    assert one.permute((0, 2, 3, 1)) == (Layout((N, 8, 8, 3), N), Transpose((0, 2, 3, 1)))
    assert one.reshape(one.shape) == (one, None)


def test_multi_head_attention_moves_the_batch_three_times_and_the_graph_only_its_heads() -> None:
    """(N, T, E) -> (T, N, E) -> (T, N H, d) -> (N H, T, d) -> (N, H, T, d), and the way back through (T N, E)."""
    tokens, heads, width = 7, 2, 4
    one, op = Layout((N, tokens, heads * width), N).permute((1, 0, 2))
    assert (one.parts, op) == (((1,), (0,), (2,)), None)
    one, op = one.reshape((tokens, N * heads, width))
    assert (one.parts, op) == (((1,), (0, 2), (3,)), Reshape((tokens, heads, width)))
    one, op = one.permute((1, 0, 2))
    assert (one.parts, op) == (((0, 1), (2,), (3,)), Transpose((0, 2, 1, 3)))
    one, op = one.reshape((N, heads, tokens, width))
    assert (one.trivial, op) == (True, None)
    one, op = one.permute((2, 0, 1, 3))
    assert (one.parts, op) == (((1,), (0,), (2,), (3,)), Transpose((0, 2, 1, 3)))
    one, op = one.reshape((tokens * N, heads * width))
    assert (one.parts, op) == (((1, 0), (2,)), Reshape((tokens, heads * width)))
    one, op = one.reshape((tokens, N, heads * width))
    assert (one.parts, op) == (((1,), (0,), (2,)), None)


def test_windows_of_a_shifted_window_transformer() -> None:
    """(N, 2, w, 2, w, C) -> (N 4, w w, C): the number of windows is merged behind the batch."""
    one, _ = Layout((N, 2, 3, 2, 3, 8), N).permute((0, 1, 3, 2, 4, 5))
    one, op = one.reshape((N * 4, 9, 8))
    assert (one.parts, one.after, op) == (((0, 1), (2,), (3,)), 4, Reshape((4, 9, 8)))
    assert one.reshape((N, 4, 9, 8))[0].trivial


# ----- axes, sizes, broadcasting --------------------------------------------------------------------------------------


@given(layouts(), st.data())
def test_axes_and_sizes(one: Layout, data: st.DataObject) -> None:
    for k in range(-len(one.shape), len(one.shape)):
        if k % len(one.shape) == one.axis:
            with pytest.raises(ConversionError, match="mixes samples"):
                one.graph_axis(k)
            with pytest.raises(ConversionError, match="mixes samples"):
                one.without([k])
        else:
            assert one.graph_shape[one.graph_axis(k)] == one.shape[k]
            summed = one.to_graph(values(one)).sum(axis=one.graph_axis(k))
            np.testing.assert_array_equal(summed, one.without([k]).to_graph(values(one).sum(axis=k)))


@given(layouts(), st.data())
def test_a_constant_is_laid_out_to_broadcast_as_in_the_framework(one: Layout, data: st.DataObject) -> None:
    kept = data.draw(st.integers(0, len(one.shape)), label="axes of the constant")
    shape = [data.draw(st.sampled_from([1, n]), label="size") for n in one.shape[len(one.shape) - kept :]]
    constant = np.random.default_rng(0).standard_normal(shape)
    if kept > (behind := len(one.shape) - one.axis - 1) and shape[-1 - behind] > 1:
        per_sample = constant.reshape(*shape[: -1 - behind], one.before, N, one.after, *shape[len(shape) - behind :])
        constant = np.broadcast_to(np.take(per_sample, [0], -2 - behind), per_sample.shape).reshape(shape)
    total = one.to_graph(values(one)) + one.constant(constant)
    np.testing.assert_array_equal(total, one.to_graph(values(one) + constant))


def test_a_constant_that_knows_its_sample_is_refused() -> None:
    one = Layout((3, N), N, axis=1)
    with pytest.raises(ConversionError, match="differs from sample to sample"):
        one.constant(np.arange(N))
    with pytest.raises(ConversionError, match="more axes than the result"):
        one.constant(np.zeros((1, 3, N)))
    with pytest.raises(ConversionError, match="does not fit"):
        Layout((2 * N,), N, before=2).constant(np.zeros(3))


@given(layouts(), st.data())
def test_values_broadcast_as_in_the_framework(one: Layout, data: st.DataObject) -> None:
    """The same batch axis with fewer axes in front, or with some sizes 1."""
    lead = data.draw(st.lists(SIZES, max_size=2), label="axes in front")
    wide = Layout((*lead, *one.shape), N, one.axis + len(lead), one.before, one.after)
    sizes = tuple(n if k == one.axis or data.draw(st.booleans(), label="keep") else 1 for k, n in enumerate(one.shape))
    thin = Layout(sizes, N, one.axis, one.before, one.after)
    both = common([wide, thin], wide.shape)
    assert both == wide
    _, op = thin.lifted(len(wide.shape))
    total = wide.to_graph(values(wide)) * run(op, thin.to_graph(values(thin)))
    np.testing.assert_array_equal(total, both.to_graph(values(wide) * values(thin)))


# ----- refusals -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("act", "message"), [
    (lambda: Layout((3, N), N), r"a value of shape \(3, 5\) has no batch of 5 on axis 0"),
    (lambda: Layout((N,), N, axis=1), "has no batch of 5 on axis 1"),
    (lambda: Layout((4, N), N, 1).graph_axis(1), r"along axis 1 of a value of shape \(4, N\), where the batch is"),
    (lambda: Layout((4, 2 * N * 3), N, 1, 2, 3).graph_axis(-1), r"shape \(4, 2 \* N \* 3\)"),
    (lambda: Layout((N,), N).graph_axis(2), r"axis 2 is outside a value of shape \(N,\)"),
    (lambda: Layout((PRIME, 6), PRIME).reshape((3, 2 * PRIME)), r"reshapes \(N, 6\) to \(3, 2 \* N\), which tears the batch N apart"),
    (lambda: Layout((N, 6), N).reshape((3, 10)), r"reshapes \(N, 6\) to \(3, 10\)"),
    (lambda: Layout((N, 6), N).resized((N, 6, 1)), "became one of 3 axes"),
    (lambda: common([Layout((N, 1), N), Layout((1, N), N, 1)], (N, N)), r"\(N, 1\) and \(1, N\), where the batch N of one meets another"),
    (lambda: common([Layout((2 * N,), N, before=2), Layout((2 * N,), N, after=2)], (2 * N,)), r"\(2 \* N,\) and \(N \* 2,\)"),
])
def test_what_mixes_samples_is_refused_by_name(act, message: str) -> None:
    with pytest.raises(ConversionError, match=message):
        act()
