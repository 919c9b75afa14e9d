"""Every representation tool has a source, a worked number and a second implementation, and they all agree."""

import doctest
import importlib
import zlib

import numpy as np
import pytest

from xaicore.oracle.twins.represent import REPRESENT_TWINS
from xaicore.oracle.worked.represent import REPRESENT_WORKED
from xaicore.represent import REPRESENTATIONS
from xaicore.rules.sources import SOURCES

OUTSIDE = {
    "clusters": "SciPy's hierarchical clustering itself, tested for what it promises in test_recurrent.py",
    "importance_over_time": "the method gradient_x_input, which has its own twin in TWINS",
}
"""Tools that are another tool, which has its twin, under another name."""


def test_every_row_is_complete():
    assert set(REPRESENTATIONS) - set(OUTSIDE) <= set(REPRESENT_TWINS)
    assert set(REPRESENTATIONS) <= set(REPRESENT_WORKED)
    for row in REPRESENTATIONS.values():
        assert row.source in SOURCES
        assert len(row.summary) > 15
    assert all(len(w.by_hand) > 10 for w in REPRESENT_WORKED.values())
    assert all(len(t.how) > 15 for t in REPRESENT_TWINS.values())


@pytest.mark.parametrize("id", REPRESENT_WORKED)
def test_worked(id):
    number = REPRESENT_WORKED[id]
    got, want = np.asarray(number.run(), dtype=float), np.asarray(number.expected, dtype=float)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= number.tolerance * max(1, np.abs(want).max()), got


@pytest.mark.parametrize("name", ["cka", "meta_sne", "nmf", "recurrent", "sequence", "svcca", "tsne"])
def test_examples_of_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"xaicore.represent.{name}"))
    assert found.attempted
    assert not found.failed


def agree(id, seed):
    twin = REPRESENT_TWINS[id]
    problem = twin.problem(np.random.default_rng([zlib.crc32(id.encode()), seed]))
    for given in problem:
        if isinstance(given, np.ndarray):
            given.flags.writeable = False                             # whatever changes its input is found
    got, want = np.asarray(twin.first(*problem), dtype=float), np.asarray(twin.second(*problem), dtype=float)
    assert got.shape == want.shape
    assert np.abs(want).max() > 0
    assert np.abs(got - want).max() <= twin.tolerance * max(1, np.abs(want).max()), id


@pytest.mark.parametrize("id", REPRESENT_TWINS)
def test_twin(id):
    agree(id, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("id", REPRESENT_TWINS)
def test_twin_thoroughly(id):
    for seed in range(1, 30):
        agree(id, seed)
