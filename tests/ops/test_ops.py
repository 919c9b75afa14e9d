"""Every operator against its contract, once for each case in tests/cases.

Each number has a second opinion that shares no code with it: central differences, the framework, one sample at a time, rationals,
and the operator's own claims, which are proven here by what they say.
"""

from __future__ import annotations

import itertools
import zlib
from fractions import Fraction

import numpy as np
import pytest

from tests.cases import CASES
from tests.cases.case import BATCH, Case, cast
from xaicore import numerics
from xaicore.ops import OPS, TopK

cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.id)

STEP = 2.0**-17
"""Of central differences: near the cube root of the rounding error, where truncation and rounding are alike."""

DIFFERENCES = 1e-6
"""Relative error of central differences: STEP**2 / 6 = 1e-11 times third derivatives, which reach 1e4 for 1/x at 1/4."""

PRECISION = {np.float64: 1e-12, np.float32: 2e-4}
"""Relative rounding error: some thousand roundings of 1e-16 and of 6e-8 (a sum over a window or a row, then an activation)."""

ENTRIES = 24
"""At most so many entries of one array are visited one by one."""


def draws(case: Case, salt: int = 0) -> tuple[np.ndarray, ...]:
    return case.draw(np.random.default_rng([zlib.crc32(case.id.encode()), salt]))


def noise(case: Case, shape: tuple[int, ...], salt: int) -> np.ndarray:
    return np.random.default_rng([zlib.crc32(case.id.encode()), salt]).standard_normal(shape)


def floats(xs: tuple[np.ndarray, ...]) -> list[int]:
    return [i for i, x in enumerate(xs) if x.dtype.kind == "f"]


def passing(case: Case, xs: tuple[np.ndarray, ...]) -> list[int]:
    """The inputs to which a signal may flow."""
    return [i for i in floats(xs) if not case.op.blocks(i)]


def replaced(xs: tuple[np.ndarray, ...], i: int, x: np.ndarray) -> tuple[np.ndarray, ...]:
    return (*xs[:i], x, *xs[i + 1 :])


def close(a: np.ndarray, b: np.ndarray, rtol: float, what: str = "") -> None:
    """Equal up to ``rtol`` of the largest entry, but at least of 1: the size of what is added up on the way."""
    assert a.shape == b.shape, f"{what}: shapes {a.shape} and {b.shape}"
    scale = max(1.0, float(np.max(np.abs(b), initial=0.0)))
    np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * scale, err_msg=what)


def some_entries(case: Case, shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    every = list(np.ndindex(shape))
    chosen = np.random.default_rng(zlib.crc32(case.id.encode())).permutation(len(every))[:ENTRIES]
    return [every[k] for k in chosen]


def masks(case: Case, xs: tuple[np.ndarray, ...]) -> list[tuple[bool, ...]]:
    """All ways in which some of the floating inputs can be active."""
    free = floats(xs)
    return [
        tuple(i in chosen for i in range(len(xs)))
        for size in range(1, len(free) + 1)
        for chosen in itertools.combinations(free, size)
    ]


# ----- the table --------------------------------------------------------------------------------------------------


def test_every_operator_has_a_case() -> None:
    assert set(OPS) == {type(c.op).__name__ for c in CASES}


def test_case_names_are_unique_and_begin_with_the_operator() -> None:
    assert len({c.id for c in CASES}) == len(CASES)
    assert not [c.id for c in CASES if c.id.split("-")[0] != type(c.op).__name__]


# ----- values -----------------------------------------------------------------------------------------------------


@cases
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_forward_keeps_batch_and_dtype(case: Case, dtype: type) -> None:
    xs = draws(case)
    y = case.op.forward(*cast(xs, dtype))
    assert isinstance(y, np.ndarray)
    assert y.shape[0] == BATCH
    if floats(xs) and y.dtype.kind == "f":
        assert y.dtype == dtype
    reference = case.op.forward(*xs)
    close(y.astype(float), reference.astype(float), PRECISION[dtype], "against float64")


@cases
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_vjp_has_the_shape_and_dtype_of_the_input(case: Case, dtype: type) -> None:
    xs = cast(draws(case), dtype)
    y = case.op.forward(*xs)
    g = noise(case, y.shape, 1).astype(y.dtype if y.dtype.kind == "f" else dtype)
    for i in floats(xs):
        back = case.op.vjp(i, g, y, *xs)
        assert (back.shape, back.dtype) == (xs[i].shape, xs[i].dtype), f"input {i}"
    for i, x in enumerate(xs):
        if case.op.blocks(i):
            back = case.op.vjp(i, g, y, *xs)
            assert back.shape == x.shape
            assert not back.any(), f"input {i} is blocked"


@cases
def test_vjp_is_the_derivative(case: Case) -> None:
    xs = draws(case)
    y = case.op.forward(*xs)
    if y.dtype.kind != "f":
        assert all(case.op.blocks(i) for i in floats(xs)), "a result that is not a float blocks every signal"
        return
    if case.op.straight_through:
        pytest.skip("its vjp stands in for a derivative that is 0; the framework and its own tests are the opinion")
    g = noise(case, y.shape, 2)
    for i in passing(case, xs):
        back = case.op.vjp(i, g, y, *xs)
        entries = some_entries(case, xs[i].shape)
        found = np.array([back[k] for k in entries])
        slopes = np.array([((g * _central(case, xs, i, _one_hot(xs[i].shape, k))).sum()) for k in entries])
        close(found, slopes, DIFFERENCES, f"input {i}")


@cases
def test_vjp_is_the_adjoint_of_the_directional_derivative(case: Case) -> None:
    xs = draws(case, 3)
    y = case.op.forward(*xs)
    for i in passing(case, xs) if y.dtype.kind == "f" and not case.op.straight_through else []:
        u, v = noise(case, y.shape, 4), noise(case, xs[i].shape, 5)
        left = (v * case.op.vjp(i, u, y, *xs)).sum()
        right = (u * _central(case, xs, i, v)).sum()
        close(np.array(left), np.array(right), DIFFERENCES * 10, f"input {i}")  # x 10: the direction is about as long


def _one_hot(shape: tuple[int, ...], at: tuple[int, ...]) -> np.ndarray:
    e = np.zeros(shape)
    e[at] = 1
    return e


def _central(case: Case, xs: tuple[np.ndarray, ...], i: int, v: np.ndarray) -> np.ndarray:
    up, down = (case.op.forward(*replaced(xs, i, xs[i] + s * v)) for s in (STEP, -STEP))
    return (up - down) / (2 * STEP)


@cases
def test_framework(case: Case) -> None:
    if case.torch is None:
        pytest.skip("no counterpart in torch")
    torch = pytest.importorskip("torch")
    xs = draws(case)
    tensors = [torch.tensor(x, requires_grad=x.dtype.kind == "f") for x in xs]
    theirs = case.torch(*tensors)
    y = case.op.forward(*xs)
    close(np.asarray(y, float), theirs.detach().numpy().astype(float), case.torch_rtol, "forward")
    if not theirs.requires_grad:
        return
    g = noise(case, y.shape, 6)
    theirs.backward(torch.tensor(g))
    for i in floats(xs):
        if tensors[i].grad is not None:
            close(case.op.vjp(i, g, y, *xs), tensors[i].grad.numpy(), case.torch_rtol, f"vjp of input {i}")


# ----- batch, purity ----------------------------------------------------------------------------------------------


@cases
def test_samples_do_not_mix(case: Case) -> None:
    xs = draws(case)
    y = case.op.forward(*xs)
    g = noise(case, y.shape, 7)
    sliced = case.sliced()
    for n in range(BATCH):
        one = tuple(x[n : n + 1] if batched else x for x, batched in zip(xs, sliced))
        alone = case.op.forward(*one)
        close(alone.astype(float), y[n : n + 1].astype(float), PRECISION[np.float64], f"sample {n}")
        for i in passing(case, xs) if y.dtype.kind == "f" else []:
            if sliced[i]:
                back = case.op.vjp(i, g[n : n + 1], alone, *one)
                close(back, case.op.vjp(i, g, y, *xs)[n : n + 1], PRECISION[np.float64], f"vjp of input {i}, sample {n}")


@cases
def test_inputs_are_left_alone_and_nothing_is_remembered(case: Case) -> None:
    xs = draws(case)
    before = tuple(x.copy() for x in xs)
    for x in xs:
        x.flags.writeable = False
    y = case.op.forward(*xs)
    kept = y.copy()
    g = noise(case, y.shape, 8)
    g.flags.writeable = False
    y.flags.writeable = False
    backs = [case.op.vjp(i, g, y, *xs).copy() for i in passing(case, xs)] if y.dtype.kind == "f" else []
    case.op.forward(*draws(case, 9))
    assert all((a == b).all() for a, b in zip(xs, before))
    assert np.array_equal(case.op.forward(*xs), kept, equal_nan=kept.dtype.kind == "f")
    again = [case.op.vjp(i, g, y, *xs) for i in passing(case, xs)] if backs else []
    assert all(np.array_equal(a, b) for a, b in zip(backs, again))


# ----- claims -----------------------------------------------------------------------------------------------------


@cases
def test_affine_means_affine(case: Case) -> None:
    p, q, r = draws(case), draws(case, 10), draws(case, 11)
    for mask in masks(case, p):
        if not case.op.affine(mask) or any(m and case.op.blocks(i) for i, m in enumerate(mask)):
            continue

        def at(*active: np.ndarray, mask: tuple[bool, ...] = mask) -> np.ndarray:
            return case.op.forward(*(a if m else x for a, m, x in zip(active, mask, p)))

        mixed = tuple(a + b - c if m else a for a, b, c, m in zip(p, q, r, mask))
        close(at(*mixed), at(*p) + at(*q) - at(*r), PRECISION[np.float64], f"active {mask}")


@cases
def test_bilinear_means_linear_in_each(case: Case) -> None:
    p, q = draws(case), draws(case, 12)
    for mask in masks(case, p):
        if not case.op.bilinear(mask):
            continue
        assert sum(mask) == 2
        assert not case.op.affine(mask), "bilinear and affine exclude each other"
        biases = case.op.biases(mask)
        base = tuple(np.zeros_like(x) if i in biases else x for i, x in enumerate(p))
        for i in (k for k, m in enumerate(mask) if m):
            both = case.op.forward(*replaced(base, i, p[i] + q[i]))
            apart = case.op.forward(*base) + case.op.forward(*replaced(base, i, q[i]))
            close(both, apart, PRECISION[np.float64], f"active {mask}, input {i}")


@cases
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_output_may_be_written_over_the_first_input(case: Case, dtype: type, monkeypatch: pytest.MonkeyPatch) -> None:
    """To the bit, with every array taken for a long one; a fresh output shares no memory with an input, nor with another output, long or short."""
    xs = cast(draws(case), np.dtype(dtype))
    for length in (numerics.LONG, 1) if case.op.fresh else ():
        monkeypatch.setattr(numerics, "LONG", length)
        y = case.op.forward(*xs)
        assert not any(np.shares_memory(y, x) for x in (*xs, case.op.forward(*xs))), f"arrays are long from {length} entries on"
    monkeypatch.setattr(numerics, "LONG", 1)
    before, y = [x.copy() for x in xs], case.op.forward(*xs)
    over = case.op.over(xs[0].copy(), *xs[1:])
    assert over.dtype == y.dtype
    assert over.shape == y.shape
    assert over.tobytes() == y.tobytes()
    assert all(np.array_equal(x, old) for x, old in zip(xs, before))


@cases
def test_weights_are_where_the_linear_part_is_linear(case: Case) -> None:
    p, q = draws(case), draws(case, 13)
    for mask in masks(case, p):
        if not case.op.affine(mask):
            continue
        weights = case.op.weights(mask)
        if weights == ():
            assert case.op.fixed_weights is not None, f"active {mask}: no weight input, and no claim on fixed weights"
        if not weights:
            continue
        assert not any(mask[i] for i in weights)

        def linear(*ws: np.ndarray, mask: tuple[bool, ...] = mask, weights: tuple[int, ...] = weights) -> np.ndarray:
            xs = tuple(ws[weights.index(i)] if i in weights else x for i, x in enumerate(p))
            zeros = tuple(np.zeros_like(x) if m else x for x, m in zip(xs, mask))
            return case.op.forward(*xs) - case.op.forward(*zeros)

        both = linear(*(p[i] + q[i] for i in weights))
        close(both, linear(*(p[i] for i in weights)) + linear(*(q[i] for i in weights)), PRECISION[np.float64], f"active {mask}")


@cases
def test_biases_are_only_added(case: Case) -> None:
    p, q = draws(case), draws(case, 14)
    for mask in masks(case, p):
        if not case.op.affine(mask) or case.op.routes or any(m and case.op.blocks(i) for i, m in enumerate(mask)):
            continue
        biases = case.op.biases(mask)
        assert not any(mask[i] for i in biases)
        nothing = tuple(np.zeros_like(x) if m or i in biases else x for i, (x, m) in enumerate(zip(p, mask)))
        close(case.op.forward(*nothing), np.zeros_like(case.op.forward(*p)), 1e-300, f"active {mask}")  # zero, exactly
        other = tuple(q[i] if m else x for i, (x, m) in enumerate(zip(p, mask)))
        for i in biases:
            here = case.op.forward(*p) - case.op.forward(*replaced(p, i, q[i]))
            there = case.op.forward(*other) - case.op.forward(*replaced(other, i, q[i]))
            close(here, there, PRECISION[np.float64], f"active {mask}, bias {i}")


@cases
def test_routes_copy_one_entry(case: Case) -> None:
    xs = draws(case)
    y = case.op.forward(*xs)
    if not case.op.routes or y.dtype.kind != "f":
        return
    assert case.op.affine(case.mask())
    for k in some_entries(case, y.shape):
        rows = np.concatenate([case.op.vjp(i, _one_hot(y.shape, k), y, *xs).reshape(-1) for i in passing(case, xs)] or [np.zeros(0)])
        values = np.concatenate([xs[i].reshape(-1) for i in passing(case, xs)] or [np.zeros(0)])
        assert np.isin(rows, (0, 1)).all()
        assert rows.sum() <= 1, f"y{k} copies {rows.sum()} entries"
        if rows.any():
            assert y[k] == values[rows == 1][0]


@cases
def test_elementwise_means_entry_by_entry(case: Case) -> None:
    xs = draws(case)
    y = case.op.forward(*xs)
    if not case.op.elementwise:
        assert case.op.kinks(*xs) is None or isinstance(case.op, TopK), "only an operator that is elementwise, or sorts, has kinks"
        return
    assert y.shape == xs[0].shape
    for k in some_entries(case, y.shape):
        moved = xs[0].copy()
        moved[k] = draws(case, 15)[0][k]
        change = case.op.forward(*replaced(xs, 0, moved)) != y
        change[k] = False
        assert not change.any()
        if not case.op.blocks(0):
            back = case.op.vjp(0, _one_hot(y.shape, k), y, *xs)
            back[k] = 0
            assert not back.any()


@cases
def test_fixed_weights_are_what_they_claim(case: Case) -> None:
    xs = draws(case)
    if case.op.fixed_weights is None or case.op.weights(case.mask()) != ():
        return
    y = case.op.forward(*xs)
    for k in some_entries(case, y.shape):
        active = [i for i, m in enumerate(case.mask()) if m]
        row = np.concatenate([case.op.vjp(i, _one_hot(y.shape, k), y, *xs).reshape(-1) for i in active])
        assert (row >= 0).all()
        if case.op.fixed_weights == "uniform":
            close(row[row > 0], np.full((row > 0).sum(), row.max()), PRECISION[np.float64], f"weights of y{k}")


@cases
def test_kinks_bound_the_linear_pieces(case: Case) -> None:
    p, q = draws(case), draws(case, 16)
    q = (q[0], *p[1:])
    before, after = case.op.kinks(*p), case.op.kinks(*q)
    if before is None or after is None or isinstance(case.op, TopK):    # its pieces: tests/methods/test_line.py
        return
    same = np.ones(p[0].shape, bool)
    for a, b in zip(before, after, strict=True):
        same &= (np.sign(a) == np.sign(b)) | (np.broadcast_to(a, same.shape) == 0) | (np.broadcast_to(b, same.shape) == 0)
    middle = case.op.forward((p[0] + q[0]) / 2, *p[1:])
    straight = (case.op.forward(*p) + case.op.forward(*q)) / 2
    assert same.any(), "no pair of draws lies on one piece"
    close(middle[same], straight[same], PRECISION[np.float64])


@cases
def test_candidates_hold_the_maximum(case: Case) -> None:
    xs = draws(case)
    candidates = case.op.candidates(*xs)
    if candidates is None:
        return
    y = case.op.forward(*xs)
    assert candidates.shape[:-1] == y.shape
    assert candidates.dtype == y.dtype
    sign = -1 if "Min" in type(case.op).__name__ else 1
    assert (candidates.max(axis=-1) == sign * y).all()
    assert np.isin(np.abs(candidates), np.abs(np.concatenate([x.reshape(-1) for x in xs]))).all(), "candidates are entries"


# ----- exact arithmetic -------------------------------------------------------------------------------------------


@cases
def test_rational_operators_are_exact(case: Case) -> None:
    xs = draws(case)
    if not case.op.rational:
        return
    op = case.op.with_dtype("exact") if hasattr(case.op, "with_dtype") else case.op
    exact = cast(xs, object)
    y, near = op.forward(*exact), case.op.forward(*xs)
    _check_exact(y, near, "forward")
    if near.dtype.kind != "f":
        return
    g = np.random.default_rng(17).integers(-3, 4, y.shape)
    for i in passing(case, xs):
        back = op.vjp(i, cast((g.astype(float),), object)[0], y, *exact)
        _check_exact(back, case.op.vjp(i, g.astype(float), near, *xs), f"vjp of input {i}")
    candidates = op.candidates(*exact)
    if candidates is not None:
        _check_exact(candidates, case.op.candidates(*xs), "candidates")


def _check_exact(found: np.ndarray, near: np.ndarray, what: str) -> None:
    if near.dtype.kind != "f":
        assert np.array_equal(found, near)
        return
    assert found.dtype == object, what
    kinds = {type(v) for v in found.reshape(-1)}
    assert kinds <= {Fraction, int}, f"{what}: {kinds}"
    close(found.astype(float), near, PRECISION[np.float64], what)


# ----- expansion and errors ---------------------------------------------------------------------------------------


@cases
def test_expansion_is_the_same_function(case: Case) -> None:
    from xaicore.graph.build import Builder
    from xaicore.graph.passes import expand

    xs = draws(case)
    b = Builder()
    kinds = {"f": "float", "i": "int", "b": "bool"}
    names = [
        b.input(f"x{i}", (None, *x.shape[1:]), kinds[x.dtype.kind]) if batched else b.param(f"x{i}", x)
        for i, (x, batched) in enumerate(zip(xs, case.sliced()))
    ]
    graph = b.build(b.add(case.op, *names))
    grown = expand(graph, [type(case.op)], {f"x{i}": x.shape for i, x in enumerate(xs)})
    feeds = {f"x{i}": xs[i] for i, batched in enumerate(case.sliced()) if batched}
    if not feeds or not any(n.op != case.op for n in grown.nodes):
        return
    close(grown(feeds).astype(float), case.op.forward(*xs).astype(float), PRECISION[np.float64])


@pytest.mark.parametrize(
    ("case", "inputs", "error", "text"),
    [pytest.param(c, *e, id=f"{c.id}-{k}") for c in CASES for k, e in enumerate(c.errors)],
)
def test_errors_say_what_is_wrong(case: Case, inputs: tuple, error: type[Exception], text: str) -> None:
    xs = tuple(x if isinstance(x, np.ndarray) else np.zeros(x) for x in inputs)
    with pytest.raises(error) as caught:
        case.op.forward(*xs)
    assert text in str(caught.value), str(caught.value)
