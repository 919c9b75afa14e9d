"""Every objective and preset has a source, a worked number and a second implementation, and they all agree; objectives have a formula."""

import pytest

from tests.tables import agree, as_worked, missing
from xaicore.oracle.twins.visualize import OBJECTIVE_TWINS, PRESET_TWINS
from xaicore.oracle.worked.visualize import OBJECTIVE_WORKED, PRESET_WORKED
from xaicore.rules.formulas import OBJECTIVE_FORMULAS
from xaicore.rules.sources import SOURCES
from xaicore.visualize import OBJECTIVES, PRESETS

TWINS = {**OBJECTIVE_TWINS, **PRESET_TWINS}
WORKED = {**OBJECTIVE_WORKED, **PRESET_WORKED}
ROWS = {**OBJECTIVES, **PRESETS}


def test_the_package_has_the_tables():
    import xaicore as xc
    from xaicore.represent import REPRESENTATIONS
    from xaicore.visualize import render

    assert (xc.OBJECTIVES, xc.PRESETS, xc.REPRESENTATIONS, xc.render) == (OBJECTIVES, PRESETS, REPRESENTATIONS, render)


@pytest.mark.parametrize("id", ROWS)
def test_every_row_is_complete(id):
    assert missing(ROWS[id], SOURCES, WORKED, TWINS) == []


def test_nothing_is_left_over():
    assert set(OBJECTIVES) == set(OBJECTIVE_TWINS) == set(OBJECTIVE_WORKED) == set(OBJECTIVE_FORMULAS)
    assert set(PRESETS) == set(PRESET_TWINS) == set(PRESET_WORKED)
    assert all(len(t.how) > 10 for t in TWINS.values())


@pytest.mark.parametrize("id", WORKED)
def test_worked(id):
    as_worked(WORKED[id])


@pytest.mark.parametrize("id", TWINS)
def test_twin(id):
    agree(TWINS[id], id, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("id", TWINS)
def test_twin_thoroughly(id):
    for seed in range(1, 10):
        agree(TWINS[id], id, seed)
