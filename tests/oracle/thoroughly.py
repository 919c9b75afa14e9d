"""Promises on many more random networks, in three arithmetics, and second implementations on many more problems: for a part of the methods.

What is run here with many draws runs with few in ``test_promises.py`` and ``test_twins.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.oracle.test_promises import NEVER_RATIONAL, inputs_for, keeps_its_promises, keeps_its_promises_in_rationals, networks
from tests.oracle.test_twins import agree
from xaicore.oracle.twins import TWINS


def for_methods(ids: Sequence[str]) -> tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]:
    """(test_promises, test_promises_without_rounding, test_twin) of these methods."""
    pairs = [pytest.param(id, twin, id=f"{id}:{k}") for id in ids for k, twin in enumerate(TWINS[id])]

    @pytest.mark.parametrize("method", ids)
    @pytest.mark.parametrize("dtype", ["float64", "float32"])
    @settings(max_examples=150, derandomize=False)
    @given(data=st.data())
    def test_promises(method, dtype, data):
        graph = data.draw(networks(method)).astype(dtype)
        keeps_its_promises(method, graph, data.draw(inputs_for(method, graph, 3)), data.draw(st.integers(0, 2)))

    @pytest.mark.parametrize("method", [id for id in ids if id not in NEVER_RATIONAL])
    @settings(max_examples=10, derandomize=False)
    @given(data=st.data())
    def test_promises_without_rounding(method, data):
        keeps_its_promises_in_rationals(method, data)

    @pytest.mark.parametrize(("id", "twin"), pairs)
    def test_twin(id, twin):
        for seed in range(2, 40):
            agree(id, twin, seed)

    return test_promises, test_promises_without_rounding, test_twin
