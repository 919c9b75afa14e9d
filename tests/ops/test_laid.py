"""Weights as matrices, laid out or not, beside their definitions entry by entry."""

import numpy as np
import pytest

from xaicore.ops import Conv, kept, laid, unpacked
from xaicore.ops.kept import EXACT, Kept


def weights(*shape: int, dtype: str = "float32") -> np.ndarray:
    w = np.random.default_rng(0).normal(size=shape).astype(dtype)
    w.flags.writeable = False
    return w


@pytest.mark.parametrize("given", ["as it comes", "laid out"])
@pytest.mark.parametrize("shape", [(40, 37, 5, 5), (3, 2, 3), (200, 180, 1, 1), (130, 130, 2), (2, 3, 2, 3, 2), (37, 50, 3, 2, 4)])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_matrices(shape, dtype, given):
    w = weights(*shape, dtype=dtype)
    w = w if given == "as it comes" else laid.laid(w)
    o, c, *kernel = shape
    ahead, back, scattered = laid.ahead(w), laid.back(w), laid.scattered(w)
    for n, k in enumerate(np.ndindex(*kernel)):
        one, turned = w[:, :, *k], w[:, :, *(size - 1 - i for size, i in zip(kernel, k))]
        assert np.array_equal(ahead[n * c : (n + 1) * c], one.T)
        assert np.array_equal(back[n * o : (n + 1) * o], turned)
        assert np.array_equal(scattered[:, n * c : (n + 1) * c], one)


def test_what_is_made_of_what_is_laid_out_lies_so_too():
    w = weights(96, 64, 3, 3)
    one = Conv().laid(1, w)
    assert np.array_equal(one, w)
    assert one is Conv().laid(1, w) is laid.laid(one)                      # kept beside w, and never laid out twice
    part = np.maximum(one, 0)
    assert laid.laid(part) is part
    assert np.shares_memory(laid.ahead(part), part)
    assert Conv(fast=True).laid(1, w) is w                                 # Winograd's sums read them otherwise
    assert Conv(groups=2).laid(1, w) is w
    assert Conv().laid(0, w) is w


def test_small_weights_and_pointwise_ones_stay_as_they_are():
    before = EXACT.bytes
    for w in (weights(8, 8, 3, 3), weights(256, 256, 1, 1), np.array(weights(64, 64, 3, 3), object)):
        assert laid.laid(w) is w
        laid.ahead(w), laid.back(w), laid.scattered(w)
    assert EXACT.bytes == before


MATRICES = laid.ahead, laid.back, laid.scattered


def way(matrix, w: np.ndarray, rows: int) -> object:
    return laid.times(matrix, w, rows).func


@pytest.fixture
def _available(monkeypatch):
    monkeypatch.setattr(unpacked, "available", lambda: True)


@pytest.mark.usefixtures("_available")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "rows"), [((64, 160, 3, 3), 49), ((64, 160, 3, 3), 700), ((96, 1024, 1, 1), 64), ((2048, 64, 1, 1), 16), ((64, 64, 17), 33)])
def test_in_runs(shape, rows, dtype):
    """Whole numbers, so that every sum is exact in whatever order it is taken."""
    rng = np.random.default_rng(1)
    w = rng.integers(-3, 4, shape).astype(dtype)
    w.flags.writeable = False
    for matrix in MATRICES:
        whole = matrix(w)
        times = laid.times(matrix, w, rows)
        assert times.func is unpacked.product
        assert times.args[0] is laid.times(matrix, w, rows).args[0]           # kept
        x = rng.integers(-3, 4, (rows, len(whole))).astype(dtype)
        out = np.empty((rows, whole.shape[1]), dtype)
        assert np.array_equal(times(x, None), x @ whole)
        assert times(x, out) is out
        assert np.array_equal(out, x @ whole)


@pytest.mark.usefixtures("_available")
@pytest.mark.parametrize(("shape", "rows"), [((64, 160, 3, 3), 1), ((64, 64, 3, 3), 9), ((65, 127, 3, 3), 900), ((64, 63, 1, 1), 5000)])
def test_one_product_elsewhere(shape, rows):
    assert laid.times(laid.back, weights(*shape), rows).func is laid._whole


@pytest.mark.usefixtures("_available")
def test_one_product_of_what_could_change():
    w = np.zeros((64, 160, 3, 3), "float32")
    assert [way(m, w, 49) for m in MATRICES] == 3 * [laid._whole]             # in runs it would be made at each call


@pytest.mark.usefixtures("_available")
def test_runs_of_what_lies_in_rows_take_half_of_the_budget(monkeypatch):
    own = Kept(2 * 64 * 160 * 9 * 4 + 100)
    monkeypatch.setattr(kept, "EXACT", own)
    pointwise, laid_out, plain = weights(96, 960, 1, 1), laid.laid(weights(64, 160, 3, 3)).copy(order="K"), weights(64, 160, 3, 3)
    laid_out.flags.writeable = False
    another = weights(10)
    own.of(another, "something", lambda w: np.concatenate(6 * [w]))            # more than nothing, so that half is not enough
    assert [way(m, pointwise, 65) for m in MATRICES] == 3 * [laid._whole]
    assert way(laid.ahead, laid_out, 65) is laid._whole
    assert way(laid.back, plain, 65) is unpacked.product
    del plain
    assert way(laid.back, laid_out, 65) is unpacked.product
    assert way(laid.ahead, pointwise, 64) is laid._whole                      # now nothing is left
    own.bytes = 0
    assert way(laid.ahead, pointwise, 65) is unpacked.product


def test_one_product_where_the_library_has_no_others(monkeypatch):
    monkeypatch.setattr(unpacked, "available", lambda: False)
    assert [way(m, weights(64, 160, 3, 3), 49) for m in MATRICES] == 3 * [laid._whole]
