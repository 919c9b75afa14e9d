"""Winograd's sums against the direct ones: the same numbers to the bound that its rounding has, and only where they apply."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import xaicore as xc
from xaicore import Builder
from xaicore.errors import InputError, UnknownName
from xaicore.graph.passes import faster
from xaicore.ops import Conv, Dense, Flatten, ReLU, conv, winograd
from xaicore.ops.kept import FAST

GROWTH = {2: 8, 4: 128}
"""How many times eps · Σ |x| |w| an entry may be off. The transforms enlarge sums: the product of the largest row sums of |Bᵀ|, |G|, |Aᵀ|,
squared for two axes, is (2 · 1.5 · 3)² = 81 for F(2, 3) and (10 · 1 · 19)² for F(4, 3); random signs leave far less. Seen: 2 and 40."""


@pytest.mark.parametrize("m", [2, 4])
def test_the_transforms_are_exact(m):
    """Aᵀ [(G w) ⊙ (Bᵀ d)] = the m sums of three products, in rationals, for unit vectors w and d: the transforms are bilinear."""
    for j in range(3):
        for k in range(m + 2):
            w, d = [Fraction(i == j) for i in range(3)], [Fraction(i == k) for i in range(m + 2)]
            u = [sum(a * b for a, b in zip(row, w)) for row in winograd.G[m]]
            v = [sum(a * b for a, b in zip(row, d)) for row in winograd.B[m]]
            y = [sum(a * p * q for a, p, q in zip(row, u, v)) for row in winograd.A[m]]
            assert y == [sum(w[i] * d[o + i] for i in range(3)) for o in range(m)]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("m", [2, 4])
@settings(max_examples=25, deadline=None)
@given(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 19), st.integers(1, 19), st.tuples(*[st.integers(0, 7)] * 4),
       st.sampled_from([1, 1 << 10, 1 << 22]), st.sampled_from([1, 1 << 9, 1 << 20]), st.sampled_from([1, 100, 1000, 10**6]),
       st.booleans(), st.integers(0, 2**32 - 1))
def test_agrees_with_direct_sums(m, dtype, n, c, o, height, width, pads, block, row, unpacked, turned, seed):
    """Whatever the padding, and however tiles, rows of them and columns of a product are taken together."""
    rng = np.random.default_rng(seed)
    (top, bottom), (left, right) = pads[:2], pads[2:]
    height, width = max(height, 3 - top - bottom), max(width, 3 - left - right)
    x, w = rng.normal(size=(n, height, width, c)), rng.normal(size=(c, o, 3, 3) if turned else (o, c, 3, 3))
    direct = np.flip(w, (2, 3)).swapaxes(0, 1) if turned else w
    padded = np.pad(x, ((0, 0), (top, bottom), (left, right), (0, 0)))
    seen = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (1, 2))
    want, size = np.einsum("nijcab,ocab->nijo", seen, direct), np.einsum("nijcab,ocab->nijo", np.abs(seen), np.abs(direct))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (("BLOCK_BYTES", block), ("LARGEST_BLOCK", block), ("ROW_BYTES", row), ("SMALL", unpacked)):
            patch.setattr(winograd, name, value)
        got = winograd.correlate(x.astype(dtype), w.astype(dtype), m, ((top, bottom), (left, right)), turned)
    assert got.dtype == dtype
    assert (np.abs(got - want) <= GROWTH[m] * np.finfo(dtype).eps * size.max()).all()


@pytest.mark.parametrize(("fast", "shape", "kernel", "stride", "tile"), [
    (True, (1, 64, 24, 25), (64, 64, 3, 3), (1, 1), 4), (True, (3, 128, 7, 6), (64, 128, 3, 3), (1, 1), 2), (True, (1, 128, 7, 7), (64, 128, 3, 3), (1, 1), 0), (False, (1, 128, 26, 26), (128, 128, 3, 3), (1, 1), 0),
    (True, (2, 64, 19, 21), (128, 64, 3, 3), (1, 1), 2), (True, (2, 64, 6, 6), (128, 64, 3, 3), (1, 1), 0),
    (True, (1, 63, 26, 26), (128, 63, 3, 3), (1, 1), 4), (True, (1, 15, 26, 26), (128, 15, 3, 3), (1, 1), 0), (True, (1, 63, 19, 21), (128, 63, 3, 3), (1, 1), 0), (True, (1, 128, 26, 26), (128, 128, 3, 3), (2, 2), 0), (True, (1, 64, 26, 26), (64, 64, 5, 5), (1, 1), 0),
])
def test_where_it_is_used(monkeypatch, fast, shape, kernel, stride, tile):
    """One place decides; forward and adjoint both go through it, and agree with the direct sums."""
    rng, used = np.random.default_rng(0), []
    x, w, b = rng.normal(size=shape), rng.normal(size=kernel), rng.normal(size=kernel[0])
    monkeypatch.setattr(conv, "correlate", lambda *args, **more: used.append(args[2]) or winograd.correlate(*args, **more))
    op = Conv(pads=((1, 1), (1, 1)), stride=stride, fast=fast)
    plain = Conv(pads=((1, 1), (1, 1)), stride=stride)
    y = op.forward(x, w, b)
    back = op.vjp(0, y, y, x, w, b)
    assert used == ([tile, tile] if tile else [])
    assert np.abs(y - plain.forward(x, w, b)).max() <= 1e-11 * np.abs(y).max()               # 1152 sums · 128 eps
    assert np.abs(back - plain.vjp(0, y, y, x, w)).max() <= 1e-11 * np.abs(back).max()


@pytest.mark.parametrize("pads", [((0, 2), (3, 1)), ((4, 0), (1, 3))])
def test_padding_that_the_way_back_takes_away(pads):
    """Padding of more than two becomes a cut on the way back."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(2, 64, 9, 11)), rng.normal(size=(64, 64, 3, 3))
    fast, plain = Conv(pads=pads, fast=True), Conv(pads=pads)
    y = fast.forward(x, w)
    for got, want in ((y, plain.forward(x, w)), (fast.vjp(0, y, y, x, w), plain.vjp(0, y, y, x, w))):
        assert np.abs(got - want).max() <= 1e-11 * np.abs(want).max()


@pytest.mark.parametrize("channels", [33, 80, 100, 113, 127])
def test_runs_of_outputs(monkeypatch, channels):
    """Outputs that 64 does not divide: in equal runs where these are not narrow (3 of 11, 2 of 40 and of 50), else in one."""
    rng = np.random.default_rng(channels)
    x, w = rng.normal(size=(1, 8, 8, 5)), rng.normal(size=(channels, 5, 3, 3))
    seen = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (1, 2))
    want = np.einsum("nijcab,ocab->nijo", seen, w)
    for many in (1, winograd.MANY):
        monkeypatch.setattr(winograd, "MANY", many)
        assert np.abs(winograd.correlate(x, w, 4) - want).max() <= 1e-11 * np.abs(want).max()     # 45 sums · 128 eps


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize(("m", "shape", "size"), [(4, (192, 128, 3, 3), 26), (2, (128, 192, 3, 3), 8)])
def test_the_bits_do_not_depend_on_what_is_kept(monkeypatch, m, shape, size, turned):
    rng = np.random.default_rng(2)
    monkeypatch.setattr(winograd, "PIECE_BYTES", 1 << 20)
    for dtype in ("float32", "float64"):
        w = rng.normal(size=shape).astype(dtype)
        x = rng.normal(size=(1, size, size, w.shape[0 if turned else 1])).astype(dtype)
        anew = winograd.correlate(x, w, m, ((1, 1), (1, 1)), turned)
        own = w.copy()
        own.flags.writeable = False
        first, again = (winograd.correlate(x, own, m, ((1, 1), (1, 1)), turned) for _ in range(2))
        assert len(FAST.found[id(own)]) > 1
        assert anew.tobytes() == first.tobytes() == again.tobytes()


def network(channels: int = 128, size: int = 26) -> xc.Graph:
    rng = np.random.default_rng(3)
    b = Builder("net")
    h = b.input("x", (None, 3, size, size))
    for k, (o, c) in enumerate([(channels, 3), (channels, channels)]):
        h = b.add(ReLU(), b.add(Conv(pads=((1, 1), (1, 1))), h, b.param(f"w{k}", rng.normal(size=(o, c, 3, 3)) / (3 * c**0.5)), name=f"conv{k}"))
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("w", rng.normal(size=(3, channels * size**2)) / size), name="fc"))


def test_speed_of_explain():
    graph, x = network(), np.random.default_rng(1).normal(size=(2, 3, 26, 26))
    for method in ("gradient", "lrp.epsilon_plus", "deeplift.rescale"):
        exact, fast = xc.explain(graph, x, method, target=1), xc.explain(graph, x, method, target=1, speed="fast")
        difference = np.abs(np.asarray(fast) - np.asarray(exact)).max()
        assert 0 < difference <= 1e-9 * np.abs(np.asarray(exact)).max()                     # float64: 40 eps a sum, two layers, denominators
        assert fast.settings["speed"] == "fast"
        assert "speed" not in exact.settings
    assert not any(n.op.fast for n in graph.nodes if isinstance(n.op, Conv))
    assert all(n.op.fast for n in faster(graph).nodes if isinstance(n.op, Conv))


def test_bad_speed():
    with pytest.raises(UnknownName, match="speed='quick': the speeds are 'exact' and 'fast'"):
        xc.explain(network(4, 8), np.zeros((1, 3, 8, 8)), speed="quick")
    with pytest.raises(InputError):
        xc.explain(network(4, 8), None, speed="fast")
