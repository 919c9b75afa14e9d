"""What the cases do not show of softmax: masks, huge scores, autograd on a naive rewrite, the expansion with its signal and its shift."""

from __future__ import annotations

import autograd
import autograd.numpy as anp
import numpy as np
import pytest

from tests.ops.backprop import backprop, expanded
from xaicore.ops import Detach, LogSoftmax, Softmax

BOTH = pytest.mark.parametrize("op", [Softmax(), LogSoftmax(), Softmax(1), LogSoftmax(1)], ids=str)
TIGHT = {"rtol": 1e-13, "atol": 1e-13}         # some ten roundings of float64
NO = -np.inf


def naive(op, x):
    e = anp.exp(x)
    y = e / anp.sum(e, axis=op.axis, keepdims=True)
    return y if isinstance(op, Softmax) else anp.log(y)


@BOTH
def test_against_autograd_on_a_naive_rewrite(op):
    rng = np.random.default_rng(0)
    x, g = rng.standard_normal((2, 2, 3, 4))
    y = op.forward(x)
    np.testing.assert_allclose(y, naive(op, x), **TIGHT)
    np.testing.assert_allclose(op.vjp(0, g, y, x), autograd.grad(lambda a: anp.sum(g * naive(op, a)))(x), **TIGHT)


@BOTH
def test_the_expansion_passes_the_same_signal(op):
    rng = np.random.default_rng(1)
    x, g = rng.standard_normal((2, 2, 3, 4))
    graph, feeds = expanded(op, (x,))
    y, signal = backprop(graph, feeds, g)
    np.testing.assert_allclose(y, op.forward(x), **TIGHT)
    np.testing.assert_allclose(signal["x0"], op.vjp(0, g, y, x), **TIGHT)
    assert [n.op for n in graph.nodes if isinstance(n.op, Detach)] == [Detach(shared=True)]


# ----- masks ------------------------------------------------------------------------------------------------------


def test_a_masked_score_is_zero_and_passes_no_signal():
    x, g = np.array([[0.0, NO, 1.0, NO]]), np.array([[1.0, 2.0, -3.0, 4.0]])
    y = Softmax().forward(x)
    kept = Softmax().forward(x[:, ::2])
    assert y[0, 1::2].tolist() == [0, 0]
    assert y[0, ::2].tolist() == kept[0].tolist()
    back = Softmax().vjp(0, g, y, x)
    assert back[0, 1::2].tolist() == [0, 0]
    np.testing.assert_allclose(back[:, ::2], Softmax().vjp(0, g[:, ::2], kept, x[:, ::2]), **TIGHT)
    graph, feeds = expanded(Softmax(), (x,))
    np.testing.assert_allclose(backprop(graph, feeds, g)[1]["x0"], back, **TIGHT)


def test_a_masked_log_probability_is_minus_infinity():
    torch = pytest.importorskip("torch")
    x, g = np.array([[0.0, NO, 1.0]]), np.array([[1.0, 0.5, -3.0]])
    y = LogSoftmax().forward(x)
    t = torch.tensor(x, requires_grad=True)
    out = t.log_softmax(-1)
    out.backward(torch.tensor(g))
    np.testing.assert_allclose(y, out.detach().numpy(), **TIGHT)
    np.testing.assert_allclose(LogSoftmax().vjp(0, g, y, x), t.grad.numpy(), **TIGHT)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_of_nothing_but_masks_is_zero(dtype):
    x = np.array([[NO, NO], [0, 0]], dtype)
    g = np.array([[1, -2], [3, 4]], dtype)
    y = Softmax().forward(x)
    assert y.dtype == dtype
    assert y.tolist() == [[0, 0], [0.5, 0.5]]
    assert Softmax().vjp(0, g, y, x).tolist() == [[0, 0], [-0.25, 0.25]]
    y = LogSoftmax().forward(x)
    assert y[0].tolist() == [NO, NO]
    assert np.isfinite(LogSoftmax().vjp(0, g, y, x)).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("op", [Softmax(), LogSoftmax()], ids=str)
def test_the_expansion_of_masked_rows_is_the_same(op, dtype):
    x, g = np.array([[NO, NO], [0, NO], [1, 2]], dtype), np.array([[1, -2], [3, 4], [5, 6]], dtype)
    y, signal = backprop(*expanded(op, (x,), np.dtype(dtype).name), g)
    assert y.dtype == signal["x0"].dtype == dtype
    rounding = 16 * np.finfo(dtype).eps
    np.testing.assert_allclose(y, op.forward(x), rtol=rounding)
    np.testing.assert_allclose(signal["x0"], op.vjp(0, g, y, x), rtol=rounding, atol=rounding)


def test_a_row_of_nothing_but_masks_is_zero_in_torch_attention_too():
    torch = pytest.importorskip("torch")
    q, k, v = torch.randn(3, 1, 1, 2, 4, dtype=torch.float64)
    mask = torch.tensor([[True, True], [False, False]])
    out = torch.nn.functional.scaled_dot_product_attention(q, k, v, attn_mask=mask).numpy()
    scores = np.where(mask.numpy(), (q @ k.mT).numpy() / 2, NO)
    np.testing.assert_allclose(Softmax().forward(scores) @ v.numpy(), out, **TIGHT)


# ----- huge scores ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@BOTH
def test_huge_scores_give_finite_numbers_and_no_warning(op, dtype):
    tiny = np.finfo(dtype).smallest_subnormal
    for row in ([1e4, -1e4, 0], [1e4, 1e4, 1e4], [-1e4, -1e4, -1e4], [1e30, 1e30, -1e30], [tiny, 0, -tiny], [88, -88, 0]):
        x = np.array([row, row[::-1]], dtype)
        y = op.forward(x)
        back = op.vjp(0, np.ones_like(x), y, x)
        assert y.dtype == back.dtype == dtype
        assert np.isfinite(y).all()
        assert np.isfinite(back).all()
        total = (y if isinstance(op, Softmax) else np.exp(y)).sum(axis=op.axis)
        np.testing.assert_allclose(total, 1, rtol=4 * np.finfo(dtype).eps)


def test_adding_to_every_score_changes_nothing():
    x = np.array([[0.0, 1.0, 2.0]])
    assert Softmax().forward(x + 1024).tolist() == Softmax().forward(x).tolist()
    assert LogSoftmax().forward(x - 1024).tolist() == LogSoftmax().forward(x).tolist()
