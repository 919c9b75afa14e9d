"""Every objective and preset has a source, a worked number and a second implementation, and they all agree."""

import zlib

import numpy as np
import pytest

from xaicore.oracle.twins.visualize import OBJECTIVE_TWINS, PRESET_TWINS
from xaicore.oracle.worked.visualize import OBJECTIVE_WORKED, PRESET_WORKED
from xaicore.rules.sources import SOURCES
from xaicore.visualize import OBJECTIVES, PRESETS

TWINS = {**OBJECTIVE_TWINS, **PRESET_TWINS}
WORKED = {**OBJECTIVE_WORKED, **PRESET_WORKED}


def test_the_package_has_the_tables():
    import xaicore as xc
    from xaicore.represent import REPRESENTATIONS
    from xaicore.visualize import render

    assert (xc.OBJECTIVES, xc.PRESETS, xc.REPRESENTATIONS, xc.render) == (OBJECTIVES, PRESETS, REPRESENTATIONS, render)


def test_every_row_is_complete():
    for rows, twins, worked in ((OBJECTIVES, OBJECTIVE_TWINS, OBJECTIVE_WORKED), (PRESETS, PRESET_TWINS, PRESET_WORKED)):
        assert set(rows) == set(twins) == set(worked)
        for row in rows.values():
            assert row.source in SOURCES
            assert len(row.summary) > 10
    assert all(len(w.by_hand) > 4 for w in WORKED.values())
    assert all(len(t.how) > 10 for t in TWINS.values())


@pytest.mark.parametrize("id", WORKED)
def test_worked(id):
    number = WORKED[id]
    got, want = np.asarray(number.run(), dtype=float), np.asarray(number.expected, dtype=float)
    assert got.shape == want.shape
    assert np.abs(got - want).max() <= number.tolerance * max(1, np.abs(want).max()), got


def agree(id, seed):
    twin = TWINS[id]
    problem = twin.problem(np.random.default_rng([zlib.crc32(id.encode()), seed]))
    for given in problem:
        if isinstance(given, np.ndarray):
            given.flags.writeable = False                             # whatever changes its input is found
    got, want = np.asarray(twin.first(*problem), dtype=float), np.asarray(twin.second(*problem), dtype=float)
    assert got.shape == want.shape
    assert np.abs(want).max() > 0
    assert np.abs(got - want).max() <= twin.tolerance * max(1, np.abs(want).max())


@pytest.mark.parametrize("id", TWINS)
def test_twin(id):
    agree(id, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("id", TWINS)
def test_twin_thoroughly(id):
    for seed in range(1, 10):
        agree(id, seed)
