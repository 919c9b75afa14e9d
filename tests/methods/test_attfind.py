"""AttFind by hand, by its formula for linear decoders, by a loop, and against the best choice of all."""

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xaicore as xc
from tests.nets import close, mlp
from xaicore.errors import InputError, ShapeError, UnknownName
from xaicore.methods.attfind import attfind
from xaicore.oracle.strategies import numbers

IDENTITY = mlp([[[1.0, 0.0], [0.0, 1.0]]], [None])
MINUS = mlp([[[1.0, -1.0]]], [None])
STYLES = np.array([[0.0, 0.0], [1.0, 0.0], [2.0, 2.0]])


def test_by_hand():
    """E62: the mean effects towards the minima are (-1, 2/3), towards the maxima (1, -4/3)."""
    found = attfind(IDENTITY, MINUS, STYLES)
    assert close(found.mean, [[-1, 2 / 3], [1, -4 / 3]], 1e-15)
    assert close(found.effects[2], [[-2, 2], [0, 0]], 1e-15)
    assert [(c.coordinate, c.direction, c.samples) for c in found.chosen] == [(0, "max", 3), (1, "min", 3)]
    assert str(found).splitlines()[1:] == ["  s[0] to its max  +1 on average over 3 samples", "  s[1] to its min  +0.666667 on average over 3 samples"]
    # one after the other: coordinate 0 gives (2, 1, 0), so the first two samples leave, and for the third coordinate 1 gives 2
    subset = attfind(IDENTITY, MINUS, STYLES, selection="subset", threshold=1.0)
    assert [(c.coordinate, c.direction, c.effect, c.samples) for c in subset.chosen] == [(0, "max", 1.0, 3), (1, "min", 2.0, 1)]
    assert len(attfind(IDENTITY, MINUS, STYLES, selection="subset", threshold=0.5, top=1).chosen) == 1


def test_effects_add_up_until_a_sample_is_explained():
    """f = 3 s_1 + 2 s_2 + s_3 on (0, 0, 0) and (1, 1, 1): 3 is below 4, 3 + 2 is not, so s_3 has no one left to explain."""
    found = attfind(lambda v: v, mlp([[[3.0, 2.0, 1.0]]], [None]), [[0.0] * 3, [1.0] * 3], selection="subset", threshold=4, low=0, high=2)
    assert [(c.coordinate, c.effect, c.samples) for c in found.chosen] == [(0, 4.5, 2), (1, 2.0, 1)]


@given(seed=st.integers(0, 2**32 - 1), top=st.integers(1, 3))
def test_linear_decoders(seed, top):
    """Δ = shift (e - s_j) (Bᵀc)_j, a coordinate that G does not read has none, and no choice of that size has a larger joint effect."""
    rng = np.random.default_rng(seed)
    b, c, s = numbers(rng, (5, 4)), numbers(rng, (2, 5)), numbers(rng, (3, 4))
    b[:, 3] = 0
    decoder, classifier = mlp([b], [numbers(rng, (5,))]), mlp([c], [None])
    found = attfind(decoder, classifier, s, target=1, shift=0.5, top=top, batch_size=7)
    slope, ends = b.T @ c[1], np.stack([s.min(axis=0), s.max(axis=0)])
    assert close(found.effects, 0.5 * (ends[None] - s[:, None]) * slope, 1e-12, scale=1)
    assert not found.effects[:, :, 3].any()

    def joint(choice):
        moved = s.copy()
        for j, d in choice:
            moved[:, j] += 0.5 * (ends[d, j] - s[:, j])
        return (classifier(decoder(moved)) - classifier(decoder(s)))[:, 1].mean()

    own = joint([(c.coordinate, ("min", "max").index(c.direction)) for c in found.chosen])
    best = max(joint(list(zip(which, ds))) for which in combinations(range(4), top) for ds in product((0, 1), repeat=top))
    assert own == pytest.approx(best, abs=1e-12)


def test_the_loop():
    """A decoder and classifier with kinks, a Python function as decoder, ends and targets of the user's own."""
    rng = np.random.default_rng(5)
    decoder = mlp([rng.normal(size=(6, 3)), rng.normal(size=(4, 6))], [rng.normal(size=6), None])
    classifier = mlp([rng.normal(size=(5, 4)), rng.normal(size=(3, 5))], [rng.normal(size=5), None])
    s, target = rng.normal(size=(4, 3)), [2, 0, 1, 1]
    found = attfind(decoder, classifier, s, target, low=-2, high=[1, 2, 3])
    for n, d, j in np.ndindex(4, 2, 3):
        moved = s[n:n + 1].copy()
        moved[0, j] = -2 if d == 0 else j + 1
        change = classifier(decoder(moved)) - classifier(decoder(s[n:n + 1]))
        assert found.effects[n, d, j] == pytest.approx(change[0, target[n]], abs=1e-12)
    again = attfind(lambda v: decoder(v), classifier, s, target, low=-2, high=[1, 2, 3], batch_size=1)
    assert close(again.effects, found.effects, 1e-12)
    p = attfind(decoder, classifier, s, target, output="probability")
    assert abs(p.effects).max() <= 1
    assert found.mean.max() == found.chosen[0].effect


TWO_IN = xc.Builder()
TWO_IN = TWO_IN.build(TWO_IN.add(xc.OPS["Add"](), TWO_IN.input("a", (None, 1)), TWO_IN.input("b", (None, 1))))
BAD = {
    "styles": (lambda: attfind(IDENTITY, MINUS, [1.0, 2.0]), ShapeError, r"styles are numbers \(N, D\)"),
    "selection": (lambda: attfind(IDENTITY, MINUS, STYLES, selection="best"), UnknownName, "there are 'independent', 'subset'"),
    "top": (lambda: attfind(IDENTITY, MINUS, STYLES, top=0), InputError, "top=0"),
    "shift": (lambda: attfind(IDENTITY, MINUS, STYLES, shift=0), InputError, "shift=0 must be a positive number"),
    "low": (lambda: attfind(IDENTITY, MINUS, STYLES, low=[1, 2, 3]), ShapeError, r"low has shape \(3,\)"),
    "decoder": (lambda: attfind(lambda v: v[:1], MINUS, STYLES), ShapeError, r"the decoder made \(1, 2\) of 3 styles"),
    "classifier": (lambda: attfind(IDENTITY, TWO_IN, STYLES), InputError, r"has 2 inputs \(a, b\), and a decoder makes one"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input(name):
    call, error, message = BAD[name]
    with pytest.raises(error, match=message):
        call()
