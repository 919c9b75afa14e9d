"""GELU of float32 in passes over memory: within its bound of the definition, in every layout of memory."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr

from xaicore.ops import GELU
from xaicore.ops.normal import PIECE

LAYOUTS = (
    lambda x: x, lambda x: x.transpose(0, 2, 1), lambda x: x[:, ::-1], lambda x: x[:, :, ::2], lambda x: np.asfortranarray(x), lambda x: x[:1, :, :0],
)


def check(x: np.ndarray) -> None:
    """Value and derivative beside the definition in float64: 8 + x² halves of a unit in the last place, of each of their terms."""
    y = GELU().forward(x)
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        d = GELU().vjp(0, np.ones_like(x), y, x)
    wide = x.astype(np.float64)
    phi, bell = ndtr(wide), wide * np.exp(-np.minimum(wide * wide, 1e3) / 2) / math.sqrt(2 * math.pi)
    half = (8 + np.minimum(wide * wide, 200)) * 2.0**-24
    least = 1e-44                                                       # the last digits of numbers that are about to vanish
    assert y.dtype == d.dtype == np.float32
    assert y.shape == d.shape == x.shape
    assert (np.abs(y - wide * phi) <= half * np.abs(wide * phi) + 15 * least).all()
    assert (np.abs(d - (phi + bell)) <= half * (phi + np.abs(bell)) + 15 * least).all()


@given(st.integers(0, 2**20), st.sampled_from(LAYOUTS), st.floats(1e-3, 30))
@settings(max_examples=40, deadline=None)
def test_every_layout_has_the_numbers_of_the_definition(seed: int, layout: object, scale: float) -> None:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(2, 3, 5)) * scale
    x[rng.random(x.shape) < 0.1] = 0
    x = layout(x.astype(np.float32))                                    # type: ignore[operator]
    before = x.copy()
    check(x)
    assert (x == before).all()


def test_all_magnitudes_and_more_than_one_piece() -> None:
    far = np.concatenate((np.linspace(-20, 20, PIECE), 10.0 ** np.linspace(-44, 38, 2001)))
    check(np.concatenate((far, -far, [0.0]))[None].astype(np.float32))


def test_the_definition_serves_float64() -> None:
    x = np.linspace(-9, 9, 101)[None]
    assert (GELU().forward(x) == x * ndtr(x)).all()
