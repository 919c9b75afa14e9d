"""Methods that are more than one rule set: promises on many more random networks, in three arithmetics, and second implementations on many more problems.

What is run here with many draws runs with few in ``tests/oracle/test_promises.py`` and ``test_twins.py``.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.test_promises import NEVER_RATIONAL, inputs_for, keeps_its_promises, keeps_its_promises_in_rationals, networks
from tests.oracle.test_twins import agree
from xaicore.methods.table import METHODS
from xaicore.oracle.twins import TWINS
from xaicore.rules import RULE_SETS

pytestmark = pytest.mark.thorough
IDS = sorted(set(METHODS) - set(RULE_SETS))
PAIRS = [pytest.param(id, twin, id=f"{id}:{k}") for id in IDS for k, twin in enumerate(TWINS[id])]


@pytest.mark.parametrize("method", IDS)
@pytest.mark.parametrize("dtype", ["float64", "float32"])
@settings(max_examples=150, derandomize=False)
@given(data=st.data())
def test_promises(method, dtype, data):
    graph = data.draw(networks(method)).astype(dtype)
    keeps_its_promises(method, graph, data.draw(inputs_for(method, graph, 3)), data.draw(st.integers(0, 2)))


@pytest.mark.parametrize("method", [id for id in IDS if id not in NEVER_RATIONAL])
@settings(max_examples=10, derandomize=False)
@given(data=st.data())
def test_promises_without_rounding(method, data):
    keeps_its_promises_in_rationals(method, data)


@pytest.mark.parametrize(("id", "twin"), PAIRS)
def test_twin(id, twin):
    for seed in range(2, 40):
        agree(id, twin, seed)
