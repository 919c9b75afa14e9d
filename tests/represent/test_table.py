"""Every representation tool has a source, a formula, a worked number and a second implementation, and they all agree."""

import doctest
import importlib

import pytest

from tests.tables import agree, as_worked, missing
from xaicore.oracle.twins.represent import REPRESENT_TWINS
from xaicore.oracle.worked.represent import REPRESENT_WORKED
from xaicore.represent import REPRESENTATIONS
from xaicore.rules.formulas import TOOL_FORMULAS
from xaicore.rules.sources import SOURCES


@pytest.mark.parametrize("id", REPRESENTATIONS)
def test_every_row_is_complete(id):
    assert missing(REPRESENTATIONS[id], SOURCES, REPRESENT_WORKED, REPRESENT_TWINS) == []


def test_nothing_is_left_over():
    assert set(REPRESENTATIONS) == set(TOOL_FORMULAS)
    assert all(len(w.by_hand) > 10 for w in REPRESENT_WORKED.values())
    assert all(len(t.how) > 15 for t in REPRESENT_TWINS.values())


@pytest.mark.parametrize("id", REPRESENT_WORKED)
def test_worked(id):
    as_worked(REPRESENT_WORKED[id])


@pytest.mark.parametrize("name", ["cka", "meta_sne", "nmf", "recurrent", "sequence", "svcca", "tsne"])
def test_examples_of_docstrings(name):
    found = doctest.testmod(importlib.import_module(f"xaicore.represent.{name}"))
    assert found.attempted
    assert not found.failed


@pytest.mark.parametrize("id", REPRESENT_TWINS)
def test_twin(id):
    agree(REPRESENT_TWINS[id], id, 0)


@pytest.mark.thorough
@pytest.mark.parametrize("id", REPRESENT_TWINS)
def test_twin_thoroughly(id):
    for seed in range(1, 30):
        agree(REPRESENT_TWINS[id], id, seed)
