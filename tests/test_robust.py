"""Numbers at the edge: huge, tiny and subnormal ones, no entries, one entry. A result or a typed error, never a silent NaN or infinity.

And the number of threads of the BLAS library: the same bits in float64, rounding in float32, and overflow in any of them is an error.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.cases import CASES
from tests.cases.case import Case, cast
from xaicore.errors import InputError, XaicoreError
from xaicore.graph.graph import Node
from xaicore.graph.run import run_node
from xaicore.numerics import in_range
from xaicore.ops import Slice

SCALES = {
    "huge": lambda t: t.max / 4, "whose square overflows": lambda t: 2 * np.sqrt(t.max), "tiny": lambda t: t.tiny * 8,
    "subnormal": lambda t: t.smallest_subnormal * 5, "zero": lambda t: 0.0,
}


def scaled(xs: tuple[Any, ...], size: float) -> tuple[Any, ...]:
    """The floating inputs with ``size`` as their largest entry."""
    with np.errstate(under="ignore", over="ignore"):
        return tuple(x if x.dtype.kind != "f" else (x / max(1.0, np.abs(x).max(initial=0)) * x.dtype.type(size)).astype(x.dtype) for x in xs)


def lost(case: Case, xs: tuple[Any, ...], dtype: str) -> Iterator[str]:
    """What came out that is no number, forwards or backwards, without an error."""
    try:
        y = run_node(Node("y", case.op, tuple(f"x{k}" for k in range(len(xs)))), xs, dtype)
    except XaicoreError:
        return
    if y.dtype.kind != "f":
        return
    if not np.isfinite(y).all():
        yield f"{case.id} in {dtype}: forward"
        return
    for i, on in enumerate(case.mask()):
        if on and xs[i].dtype.kind == "f":
            try:
                with np.errstate(over="raise", invalid="raise", divide="raise"):
                    g = case.op.vjp(i, np.ones_like(y), y, *xs)
            except (FloatingPointError, XaicoreError):
                continue
            if not np.isfinite(g).all():
                yield f"{case.id} in {dtype}: vjp to input {i}"


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("scale", SCALES)
def test_a_result_is_a_number_or_an_error(scale: str, dtype: str) -> None:
    size = float(SCALES[scale](np.finfo(dtype)))
    drawn = ((case, cast(case.draw(np.random.default_rng(0)), np.dtype(dtype))) for case in CASES)
    assert [what for case, xs in drawn for what in lost(case, scaled(xs, size), dtype)] == []


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_no_number_does_not_come_in(value: float) -> None:
    """NaN and infinities are refused at the inputs, and in the weights too, but for the -inf that masks hold."""
    b = xc.Builder("b")
    x = b.input("x", (None, 2))
    graph = b.build(b.add(xc.OPS["Dense"](), x, b.param("w", np.ones((2, 2)))))
    with pytest.raises(InputError, match="every entry must be finite"):
        graph(np.array([[1, value]]))
    b = xc.Builder("b")
    x = b.input("x", (None, 2))
    if value == -np.inf:
        return
    with pytest.raises(XaicoreError, match="holds"):
        b.build(b.add(xc.OPS["Dense"](), x, b.param("w", np.full((2, 2), value))))


def reshaped(case: Case, xs: tuple[Any, ...], n: int) -> Iterator[tuple[Any, ...]]:
    """Each axis of each input cut to ``n`` entries, and a batch of ``n``."""
    for i, x in enumerate(xs):
        for axis in range(x.ndim):
            if x.shape[axis] > n and not (axis == 0 and case.sliced()[i]):
                yield tuple(v.take(range(n), axis) if k == i else v for k, v in enumerate(xs))
    yield tuple(v[:n] if batched and v.ndim else v for v, batched in zip(xs, case.sliced()))


@pytest.mark.parametrize("n", [0, 1])
def test_axes_of_no_and_of_one_entry(n: int) -> None:
    """A result without a warning, or a typed error; and with one entry a finite one."""
    for case in CASES:
        for xs in reshaped(case, case.draw(np.random.default_rng(0)), n):
            try:
                y = run_node(Node("y", case.op, tuple(f"x{k}" for k in range(len(xs)))), xs, "float64")
            except XaicoreError:
                continue
            assert y.dtype.kind != "f" or np.isfinite(y).all(), case.id
            for i, on in enumerate(case.mask()):
                if on and xs[i].dtype.kind == "f":
                    try:
                        assert case.op.vjp(i, np.ones_like(y), y, *xs).shape == xs[i].shape, case.id
                    except XaicoreError:
                        continue
                    except (ValueError, ZeroDivisionError):             # of an empty value, which no graph holds
                        assert n == 0, case.id


def test_nothing_becomes_empty_on_the_way() -> None:
    """Inputs without entries are refused, and so is an operator that leaves nothing: no signal meets an empty value."""
    b = xc.Builder("b")
    graph = b.build(b.add(Slice(axis=2, start=0, stop=0), b.input("x", (None, 2, None))))
    with pytest.raises(XaicoreError, match="nothing is left"):
        graph(np.ones((1, 2, 5)))
    with pytest.raises(InputError, match="empty"):
        graph(np.ones((1, 2, 0)))


def test_the_check_of_products() -> None:
    y = np.array([1.0, np.inf])
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):
        in_range(y)
    with np.errstate(over="ignore"):
        assert in_range(y) is y
    with np.errstate(over="raise"):
        in_range(np.full(3, np.finfo(float).max))                       # whose sum overflows, and which is finite


THREADS = '''
import sys
import numpy as np, xaicore as xc
from xaicore.errors import XaicoreError
from xaicore.graph.graph import Node
from xaicore.graph.run import run_node
from xaicore.ops import Conv, Dense, Einsum, Flatten, MatMul, ReLU
rng, silent = np.random.default_rng(0), 0
for dtype in ("float64", "float32"):
    big = 2 * np.sqrt(np.finfo(dtype).max)
    for _ in range(8):
        i, j, k = rng.integers(500, size=3)
        a, b = rng.standard_normal((2, 500, 500)).astype(dtype)
        a[i, k] = b[j, k] = big
        for op, xs in ((Dense(), (a, b)), (MatMul(), (a, b.T)), (Einsum("nk,jk->nj"), (a, b))):
            try:
                silent += not np.isfinite(run_node(Node("y", op, ("a", "b")), xs, dtype)).all()
            except XaicoreError:
                pass
print(silent)
out = {}
for dtype in ("float64", "float32"):
    rng = np.random.default_rng(0)
    b = xc.Builder("wide", dtype=dtype)
    y = b.input("x", (None, 3, 32, 32))
    for k, (i, o) in enumerate(((3, 32), (32, 64), (64, 64))):
        y = b.add(ReLU(), b.add(Conv(stride=(2, 2) if k else (), pads=((1, 1), (1, 1))), y, b.param(f"w{k}", rng.normal(size=(o, i, 3, 3)) / i)))
    y = b.add(ReLU(), b.add(Dense(), b.add(Flatten(), y), b.param("v0", rng.normal(size=(512, 4096)) / 30)))
    graph = b.build(b.add(Dense(), y, b.param("v1", rng.normal(size=(10, 512)) / 30)))
    x = rng.normal(size=(8, 3, 32, 32)).astype(dtype)
    for method in ("gradient", "lrp.epsilon", "deeplift.rescale", "grad_cam", "smoothgrad"):
        out[f"{dtype} {method}"] = np.asarray(xc.explain(graph, x, method, 0))
np.savez(sys.argv[1], **out)
'''


@pytest.mark.thorough
def test_the_number_of_threads(tmp_path: Path) -> None:
    """float64: equal bits. float32: sums of up to 4,096 terms in another order, √4096 · 2⁻²⁴ for each of five layers, 2e-5 of the largest."""
    root = Path(__file__).parent.parent
    found = []
    for n in ("1", "2"):
        environment = {**os.environ, "OPENBLAS_NUM_THREADS": n, "OMP_NUM_THREADS": n, "MKL_NUM_THREADS": n, "PYTHONPATH": str(root)}
        ran = subprocess.run([sys.executable, "-c", THREADS, str(tmp_path / f"{n}.npz")], capture_output=True, text=True, env=environment,
                             timeout=500, check=False)
        assert ran.stdout.split() == ["0"], f"{n} threads: {ran.stdout} silent infinities {ran.stderr[-2000:]}"
        found.append(np.load(tmp_path / f"{n}.npz"))
    for name in found[0].files:
        one, two = found[0][name], found[1][name]
        if name.startswith("float64"):
            assert one.tobytes() == two.tobytes(), name
        else:
            assert np.abs(one - two).max() <= 2e-5 * np.abs(one).max(), name
