"""What the cases do not show of the normalisations: autograd on a naive rewrite, the detached form, expansions with their signal."""

from __future__ import annotations

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from tests.ops.backprop import backprop, expanded
from xaicore.errors import GraphError, InputError
from xaicore.ops import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RMSNorm

TIGHT = {"rtol": 1e-12, "atol": 1e-12}         # a few hundred roundings of float64


def naive_batch(x, gamma, beta, mean, var):
    out = []
    for c in range(x.shape[1]):
        out.append((x[:, c] - mean[c]) / anp.sqrt(var[c] + 1e-5) * gamma[c] + beta[c])
    return anp.stack(out, axis=1)


def naive_rows(x, rows, scale=None, centre=True, eps=1e-5):
    """(x - mean) / sqrt(var + eps) for each group of entries in ``rows``; ``scale`` (from another x) freezes the denominator."""
    flat = anp.reshape(x, (-1,))
    other = flat if scale is None else np.reshape(scale, (-1,))
    out = [None] * flat.shape[0]
    for row in rows:
        mean = sum(flat[k] for k in row) / len(row) if centre else 0.0
        m = sum(other[k] for k in row) / len(row) if centre else 0.0
        var = sum((other[k] - m) ** 2 for k in row) / len(row)
        for k in row:
            out[k] = (flat[k] - mean) / anp.sqrt(var + eps)
    return anp.reshape(anp.stack(out), x.shape)


def rows_of(shape, key):
    """The flat numbers of the entries, grouped by key(index)."""
    groups = {}
    for number, at in enumerate(np.ndindex(shape)):
        groups.setdefault(key(at), []).append(number)
    return list(groups.values())


def by_channel(rows):
    """The naive form of a norm with (C,) parameters."""

    def naive(x, gamma, beta, of=None):
        shape = (-1,) + (1,) * (x.ndim - 2)
        return naive_rows(x, rows, of) * anp.reshape(gamma, shape) + anp.reshape(beta, shape)

    return naive


def naive_lrn(op, x, frozen=None):
    of = x if frozen is None else frozen
    out = []
    for c in range(x.shape[1]):
        low, high = max(0, c - op.size // 2), min(x.shape[1] - 1, c + (op.size - 1) // 2)
        around = sum(of[:, j] ** 2 for j in range(low, high + 1))
        out.append(x[:, c] / (op.k + op.alpha / op.size * around) ** op.beta)
    return anp.stack(out, axis=1)


S = (2, 4, 3)
LAYER, TWO = rows_of(S, lambda k: k[:2]), rows_of(S, lambda k: k[:1])
GROUP, INSTANCE = rows_of(S, lambda k: (k[0], k[1] // 2)), rows_of(S, lambda k: k[:2])
LRN = LocalResponseNorm(3, alpha=0.7, beta=0.6, k=1.5)
EVEN = LocalResponseNorm(2, alpha=0.7)

SELF = {
    "LayerNorm": (LayerNorm(), ((3,), (3,)), lambda x, *p, of=None: naive_rows(x, LAYER, of) * p[0] + p[1]),
    "LayerNorm-two-axes": (LayerNorm(axes=2), ((4, 3), (4, 3)), lambda x, *p, of=None: naive_rows(x, TWO, of) * p[0] + p[1]),
    "LayerNorm-plain": (LayerNorm(eps=0.1), (), lambda x, of=None: naive_rows(x, LAYER, of, eps=0.1)),
    "RMSNorm": (RMSNorm(), ((3,),), lambda x, *p, of=None: naive_rows(x, LAYER, of, centre=False) * p[0]),
    "GroupNorm": (GroupNorm(2), ((4,), (4,)), by_channel(GROUP)),
    "InstanceNorm": (InstanceNorm(), ((4,), (4,)), by_channel(INSTANCE)),
    "LocalResponseNorm": (LRN, (), lambda x, of=None: naive_lrn(LRN, x, of)),
    "LocalResponseNorm-even": (EVEN, (), lambda x, of=None: naive_lrn(EVEN, x, of)),
}
both = pytest.mark.parametrize("name", SELF)


def drawn(shapes, seed=0):
    rng = np.random.default_rng(seed)
    x, *params = (rng.standard_normal(s) for s in (S, *shapes))
    return (x, *params), rng.standard_normal(S)


@both
def test_against_autograd_on_a_naive_rewrite(name):
    op, shapes, naive = SELF[name]
    xs, g = drawn(shapes)
    y = op.forward(*xs)
    np.testing.assert_allclose(y, naive(*xs), **TIGHT)
    for i in range(len(xs)):
        theirs = autograd.grad(lambda *a: anp.sum(g * naive(*a)), i)(*xs)
        np.testing.assert_allclose(op.vjp(i, g, y, *xs), theirs, **TIGHT)


@both
def test_the_detached_vjp_holds_the_denominator(name):
    op, shapes, naive = SELF[name]
    xs, g = drawn(shapes, 1)
    y = op.forward(*xs)
    theirs = autograd.grad(lambda x: anp.sum(g * naive(x, *xs[1:], of=xs[0])))(xs[0])
    detached = op.vjp_detached(g, y, *xs)
    np.testing.assert_allclose(detached, theirs, **TIGHT)
    assert not np.allclose(detached, op.vjp(0, g, y, *xs), rtol=1e-3)       # it is another thing than the gradient


@pytest.mark.parametrize("op", [RMSNorm(), LRN], ids=str)
def test_detached_they_are_linear_and_conserve(op):
    """y = A(x) x with A held: so sum x * vjp_detached(g) = sum g * y, for every g."""
    xs, g = drawn(((3,),) if isinstance(op, RMSNorm) else (), 2)
    y = op.forward(*xs)
    np.testing.assert_allclose((xs[0] * op.vjp_detached(g, y, *xs)).sum(), (g * y).sum(), rtol=1e-12)    # some hundred roundings


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2), (2, 3, 2, 2)])
def test_batch_norm_against_autograd(shape):
    rng = np.random.default_rng(3)
    xs = (rng.standard_normal(shape), *rng.standard_normal((3, 3)), rng.random(3) + 0.1)
    g = rng.standard_normal(shape)
    y = BatchNorm().forward(*xs)
    np.testing.assert_allclose(y, naive_batch(*xs), **TIGHT)
    for i in range(5):
        theirs = autograd.grad(lambda *a: anp.sum(g * naive_batch(*a)), i)(*xs)
        np.testing.assert_allclose(BatchNorm().vjp(i, g, y, *xs), theirs, **TIGHT)


@pytest.mark.parametrize("wide", [(), (2,), (0, 1, 2, 3)], ids=["none", "the mean", "all"])
def test_batch_norm_is_not_written_over_an_x_of_another_type(rng, wide):
    """float32 minus float64 is float64, which has no room in x."""
    x = rng.normal(size=(1, 2, 40, 40)).astype(np.float32)
    params = [p.astype(np.float64 if k in wide else np.float32) for k, p in enumerate(rng.uniform(0.5, 1, (4, 2)))]
    y, over = BatchNorm().forward(x, *params), BatchNorm().over(x.copy(), *params)
    assert over.dtype == y.dtype == (np.float64 if wide else np.float32)
    assert (over == y).all()


def test_one_group_is_all_channels(rng):
    x = rng.normal(size=(2, 3, 4))
    mean, var = (f(x, axis=(1, 2), keepdims=True) for f in (np.mean, np.var))
    np.testing.assert_allclose(GroupNorm(1, 0.1).forward(x), (x - mean) / np.sqrt(var + 0.1), **TIGHT)


def test_batch_norm_claims():
    op = BatchNorm()
    x_alone = (True, False, False, False, False)
    assert op.affine(x_alone)
    assert (op.weights(x_alone), op.biases(x_alone)) == ((1,), (2, 3))
    assert not op.affine((True, True, False, False, False))
    assert not op.affine((True, False, False, False, True))
    assert op.affine((True, False, True, True, False))
    assert op.weights((True, False, True, False, False)) is None
    assert not op.elementwise


# ----- expansions -------------------------------------------------------------------------------------------------


@both
def test_the_expansion_passes_the_same_signal(name):
    op, shapes, _ = SELF[name]
    xs, g = drawn(shapes, 4)
    y, signal = backprop(*expanded(op, xs), g)
    np.testing.assert_allclose(y, op.forward(*xs), **TIGHT)
    for i in range(len(xs)):
        np.testing.assert_allclose(signal[f"x{i}"], op.vjp(i, g, y, *xs), **TIGHT)


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 2), (2, 3, 2, 1, 2)])
def test_the_expansion_of_batch_norm_is_one_product_and_one_sum(shape):
    rng = np.random.default_rng(5)
    xs = (rng.standard_normal(shape), *rng.standard_normal((3, 3)), rng.random(3) + 0.1)
    g = rng.standard_normal(shape)
    graph, feeds = expanded(BatchNorm(), xs)
    y, signal = backprop(graph, feeds, g)
    np.testing.assert_allclose(y, BatchNorm().forward(*xs), **TIGHT)
    for i in range(5):
        np.testing.assert_allclose(signal[f"x{i}"], BatchNorm().vjp(i, g, y, *xs), **TIGHT)
    on = {"x0"}
    for node in graph.nodes:
        if on & set(node.inputs):
            on.add(node.name)
    assert [type(n.op).__name__ for n in graph.nodes if n.name in on] == ["Mul", "Add"]


@both
def test_the_expansion_keeps_float32(name):
    op, shapes, _ = SELF[name]
    xs, _ = drawn(shapes, 6)
    small = tuple(x.astype(np.float32) for x in xs)
    graph, feeds = expanded(op, small, "float32")
    y = graph(feeds)
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, op.forward(*xs), rtol=1e-5, atol=1e-5)     # some ten roundings of float32


# ----- extremes and errors ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", [LayerNorm(), GroupNorm(2), InstanceNorm(), RMSNorm(), LRN], ids=str)
def test_extremes_give_finite_numbers_and_no_warning(op, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    for x in (np.zeros(S), np.full(S, 1e4), np.full(S, tiny), np.where(np.arange(3) == 0, -1e4, 1e4) * np.ones(S)):
        x = x.astype(dtype)
        y = op.forward(x)
        g = np.ones(S, dtype)
        for out in (y, op.vjp(0, g, y, x), op.vjp_detached(g, y, x)):
            assert out.dtype == dtype
            assert np.isfinite(out).all()
        if not isinstance(op, LocalResponseNorm):
            assert np.abs(y).max() <= 3          # |xhat| <= sqrt(n - 1) for n entries


def test_a_constant_row_without_eps_has_no_scale():
    with pytest.raises(InputError, match=r"LayerNorm: the mean square plus eps is 0.0 at index \(0, 0\); .* eps > 0.0"):
        LayerNorm(eps=0.0).forward(np.ones((1, 3)))
    with pytest.raises(InputError, match="RMSNorm"):
        RMSNorm(eps=0.0).forward(np.zeros((1, 3)))


@pytest.mark.parametrize(("make", "text"), [
    (lambda: LayerNorm(axes=0), "axes is 0"),
    (lambda: RMSNorm(axes=-1), "axes is -1"),
    (lambda: GroupNorm(0), "groups is 0"),
    (lambda: LocalResponseNorm(0), "size is 0"),
])
def test_a_setting_without_meaning_is_refused(make, text):
    with pytest.raises(GraphError, match=text):
        make()
