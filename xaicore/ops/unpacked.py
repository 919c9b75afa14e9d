"""One large product of float matrices as many small ones, which the library of linear algebra need not pack: the same sums in less time.

OpenBLAS copies ("packs") both sides of a product piece by piece into the order in which its kernels read them. With AVX-512 it has kernels
besides that read both sides where they lie, and takes them for products of at most SMALL multiplications. Convolutions took, by many small
ones with weights in runs (``in_runs``), 0.55 to 0.85 of the time of one large one at 14 x 14 positions and fewer and 0.93 to 1.0 at more,
in float32; in float64 0.7 to 0.85 everywhere.

The library takes a long sum in parts (``_parts``) and adds these up. So do we, part for part, so that not a bit is another one.
"""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

import numpy as np

from xaicore.numerics import Array

SMALL = 10**6
"""Multiplications up to which OpenBLAS multiplies without packing."""

RUN, LEAST_RUN = 256, 128
"""Bytes of a row of a small product: four registers of AVX-512, or two where the columns cannot be shared out so. The wider, the less often
x is read; wider still, float64 took 1.3 of the time."""

DEPTH, ROUND = {"f": 448, "d": 384}, 16
"""By the character of a dtype how many terms OpenBLAS (0.3.31, AVX-512) sums up before it adds them to the rest, and what half of a part is
rounded up to. With other numbers, as with other kernels, results are as right and differ in rounding from those of one large product."""


def pays(rows: int, inner: int, columns: int, dtype: np.dtype[Any]) -> bool:
    """Are small products the faster way for (rows, inner) times (inner, columns)? Not where the library has several threads, which share
    a large product among them."""
    return rows > 1 and rows * inner * columns > SMALL and dtype.char in DEPTH and bool(_run(columns, dtype)) and available()


def _run(columns: int, dtype: np.dtype[Any]) -> int:
    """Columns of a small product; 0 where that many do not share out ``columns``."""
    return next((run for run in (RUN // dtype.itemsize, LEAST_RUN // dtype.itemsize) if run and columns % run == 0), 0)


def available() -> bool:
    """Has NumPy's library such kernels, and one thread? False where threadpoolctl, which knows, is not installed."""
    library = _library()
    return library is not None and library.num_threads == 1


@cache
def _library() -> Any:
    """What threadpoolctl knows of NumPy's OpenBLAS where that has kernels for AVX-512, or None."""
    try:
        from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]
    except ImportError:
        return None
    found = [one for one in ThreadpoolController().lib_controllers if one.internal_api == "openblas" and "scipy.libs" not in one.filepath]
    return found[0] if found and found[0].architecture in ("SkylakeX", "Cooperlake", "SapphireRapids") else None


def in_runs(matrix: Array) -> Array:
    """A matrix (..., columns), whose other axes are summed over, as (runs, inner, columns of a run), each run on its own in memory."""
    columns = matrix.shape[-1]
    run = _run(columns, matrix.dtype)
    out = np.empty((columns // run, matrix.size // columns, run), matrix.dtype)
    for k, one in enumerate(out):
        one.reshape(*matrix.shape[:-1], run)[...] = matrix[..., k * run : (k + 1) * run]
    return out


def product(runs: Array, x: Array, out: Array | None = None) -> Array:
    """x (rows, inner) times the matrix whose ``in_runs`` is ``runs``: (rows, columns). ``out`` is contiguous. Small products are taken in
    the thread that asks for them, so that NumPy sees every overflow."""
    several, inner, run = runs.shape
    y = np.empty((len(x), several * run), x.dtype) if out is None else out
    depth = inner if len(x) * runs.size <= SMALL else DEPTH[x.dtype.char]
    more = np.empty_like(y) if inner > depth else y
    for terms in _parts(inner, depth):
        to = more if terms.start else y
        for rows, each in in_pieces(len(x), SMALL // (run * (terms.stop - terms.start))):
            left, right = x[rows, terms].reshape(-1, 1, each, terms.stop - terms.start), runs[None, :, terms]
            np.matmul(left, right, out=to[rows].reshape(-1, each, several, run).swapaxes(1, 2))
        if terms.start:
            y += more
    return y


@lru_cache(maxsize=256)
def _parts(inner: int, depth: int) -> tuple[slice, ...]:
    """The parts in which the library sums up ``inner`` terms: ``depth`` at a time, what is left of less than twice as many in halves."""
    found, start = [], 0
    while start < inner:
        left = inner - start
        size = depth if left >= 2 * depth else left if left <= depth else -(-(left // 2) // ROUND) * ROUND
        found.append(slice(start, start + size))
        start += size
    return tuple(found)


@lru_cache(maxsize=256)
def in_pieces(n: int, most: int) -> tuple[tuple[slice, int], ...]:
    """0 to n in pieces of one length, ``most`` at most, and what is left: (where, the length of the pieces there). Of an even length, since
    the library's kernels take two rows at a time (an odd one took 1.02 to 1.05 of the time), and leaving nothing where that can be."""
    most = max(most // 2 * 2, 1)
    count = -(-n // most)
    shared = next((k for k in range(count, 5 * count // 2 + 1) if n % (2 * k) == 0), 0)
    piece = -(-n // (shared or count))
    piece = min(piece + piece % 2, most) if n % 2 == 0 else piece
    whole = n // piece * piece
    return ((slice(0, whole), piece), (slice(whole, n), n - whole))[: 1 + (whole < n)]
