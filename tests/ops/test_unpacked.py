"""Small products beside the one that they stand for: in value for any sizes, in bits where the library is the one that was looked at."""

from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore.ops import unpacked


@settings(max_examples=80, deadline=None, derandomize=True)
@given(st.integers(1, 9), st.integers(1, 23), st.integers(1, 3), st.integers(1, 4), st.integers(1, 60), st.integers(1, 9), st.integers(1, 5),
       st.booleans())
def test_the_product_is_its_sum(rows, inner, several, run, small, depth, multiple, given_out) -> None:
    """Whole numbers: exact in whatever order. The sum is written out, and the matrix has more axes to sum over than one."""
    rng = np.random.default_rng(rows)
    x, matrix = rng.integers(-4, 5, (rows, 2 * inner)).astype(float), rng.integers(-4, 5, (2, inner, several * run)).astype(float)
    expected = np.array([[sum(row[k] * matrix.reshape(2 * inner, -1)[k, o] for k in range(2 * inner)) for o in range(several * run)] for row in x])
    with patch.multiple(unpacked, RUN=8 * run, LEAST_RUN=8, SMALL=small, DEPTH={"d": depth}, ROUND=multiple):
        runs = unpacked.in_runs(matrix)
        assert runs.shape == (several, 2 * inner, run)                        # floats of eight bytes
        assert runs.base is None                                              # so that it can be kept
        out = np.full(expected.shape, np.nan) if given_out else None
        y = unpacked.product(runs, x, out)
    assert np.array_equal(y, expected)
    assert out is None or y is out


def test_how_wide_a_run_is() -> None:
    sizes = [(64, "f"), (96, "f"), (32, "f"), (33, "f"), (32, "d"), (48, "d"), (8, "d")]
    assert [unpacked._run(n, np.dtype(c)) for n, c in sizes] == [64, 32, 32, 0, 32, 16, 0]


@given(st.integers(1, 5000), st.integers(1, 500))
def test_parts_and_pieces_are_all_there_is(n: int, most: int) -> None:
    parts = unpacked._parts(n, most)
    assert [k for part in parts for k in range(n)[part]] == list(range(n))
    assert max(part.stop - part.start for part in parts) <= max(most, -(-most // unpacked.ROUND) * unpacked.ROUND)
    pieces = unpacked.in_pieces(n, most)
    assert [k for piece, _ in pieces for k in range(n)[piece]] == list(range(n))
    assert all((piece.stop - piece.start) % size == 0 and size <= most for piece, size in pieces)
    assert n % 2 or most == 1 or all(size % 2 == 0 for _, size in pieces)


LOOKED_AT = unpacked.available() and unpacked._library().version.startswith("0.3.31")


@pytest.mark.skipif(not LOOKED_AT, reason="the order of sums is that of OpenBLAS 0.3.31 with AVX-512 and one thread")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("inner", [64, 147, 384, 385, 448, 449, 500, 576, 771, 900, 1351, 4608])
def test_not_a_bit_is_another(inner: int, dtype: str) -> None:
    rng = np.random.default_rng(inner)
    x, matrix = rng.normal(size=(203, inner)).astype(dtype), rng.normal(size=(inner, 96)).astype(dtype)
    for rows in (2, 49, 203):
        assert np.array_equal(unpacked.product(unpacked.in_runs(matrix), x[:rows]), x[:rows] @ matrix)


def test_overflow_is_an_error() -> None:
    x, matrix = np.full((9, 1440), 1e30, "float32"), np.full((1440, 160), 1e30, "float32")
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        unpacked.product(unpacked.in_runs(matrix), x)


class Library:
    internal_api, filepath, architecture, num_threads = "openblas", "numpy.libs/libscipy_openblas64_.so", "SkylakeX", 1


@pytest.mark.parametrize(("changes", "expected"), [
    ({}, True), ({"num_threads": 2}, False), ({"architecture": "Haswell"}, False), ({"internal_api": "mkl"}, False),
    ({"filepath": "scipy.libs/libscipy_openblas.so"}, False), ({"filepath": "lib/libopenblas.so.0"}, True)])
def test_where_they_are_available(monkeypatch, changes, expected) -> None:
    """SciPy brings a library of its own, which NumPy does not ask."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    library = type("Other", (Library,), changes)()
    monkeypatch.setattr(threadpoolctl, "ThreadpoolController", lambda: type("All", (), {"lib_controllers": [library]})())
    monkeypatch.setattr(unpacked, "_library", unpacked._library.__wrapped__)
    assert unpacked.available() is expected


def test_not_available_without_threadpoolctl(monkeypatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "threadpoolctl", None)
    monkeypatch.setattr(unpacked, "_library", unpacked._library.__wrapped__)
    assert not unpacked.available()


@pytest.mark.parametrize(("size", "expected"), [
    ((49, 512, 2048), True), ((1, 4096, 4096), False), ((49, 512, 2008), False), ((30, 64, 512), False), ((31, 1024, 32), True)])
def test_where_they_pay(monkeypatch, size, expected) -> None:
    monkeypatch.setattr(unpacked, "available", lambda: True)
    assert unpacked.pays(*size, np.dtype("float32")) is expected
    assert not unpacked.pays(*size, np.dtype("float16"))
    assert not unpacked.pays(*size, np.dtype(object))
