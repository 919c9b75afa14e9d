"""Worked examples: each is what the engine gives, digit for digit; the exact ones in rationals."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

import numpy as np
import pytest

import xaicore as xc
from xaicore.oracle.tolerance import tolerance
from xaicore.oracle.worked import WORKED, Worked
from xaicore.rules.sources import SOURCES

EXAMPLES = [w for several in WORKED.values() for w in several]


def named(values) -> dict:
    return dict(values) if isinstance(values, Mapping) else {"": values}


def rational(values):
    return np.vectorize(Fraction, otypes=[object])(np.array(values, dtype=object))


def met(example: Worked, exact: bool) -> None:
    graph = example.graph().astype("exact") if exact else example.graph()
    a = xc.explain(graph, example.x, example.method, target=example.target, **example.settings)
    got = {**(a.values if isinstance(example.expected, Mapping) else {"": np.asarray(a)}), **{k: a.extras[k] for k in example.extras}}
    for k, expected in {**named(example.expected), **example.extras}.items():
        if exact:
            assert np.shape(got[k]) == np.shape(expected)
            assert list(rational(got[k]).reshape(-1)) == list(rational(expected).reshape(-1)), k
        else:
            want = np.array(expected, dtype=float)
            assert np.shape(got[k]) == want.shape, k
            assert np.abs(np.asarray(got[k], dtype=float) - want).max(initial=0) <= tolerance(graph, want, a.output), (k, got[k])


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda w: f"{w.method}:{w.name}")
def test_worked(example):
    met(example, exact=False)
    if example.exact:
        met(example, exact=True)
    assert example.source.split()[0] in SOURCES
    assert len(example.by_hand) > 20


def test_every_method_has_one():
    assert set(WORKED) == set(xc.METHODS)


def test_names_are_unique():
    assert all(len({w.name for w in several}) == len(several) for several in WORKED.values())
    assert all(w.method == id for id, several in WORKED.items() for w in several)
