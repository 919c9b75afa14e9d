"""The vectors as tests: with --subject they ask it, one test for each vector; without it there is nothing to ask."""

from __future__ import annotations

from typing import Any

import pytest

from xaicore.oracle.serve import function
from xaicore.oracle.vectors import Vector, vectors
from xaicore.oracle.vectors.run import known_failures, run


@pytest.fixture(scope="session")
def known(request: Any) -> dict[str, str]:
    """The failures that are expected, with their reasons."""
    path = request.config.getoption("--expected-failures")
    return known_failures(path, [v.id for v in vectors()]) if path else {}


def test_vector(vector: Vector, request: Any, known: dict[str, str]) -> None:
    """The subject gives the certified answer, or one in a named convention."""
    option = request.config.getoption
    (outcome,) = run(function(option("--subject")), [vector], option("--emit"), known).outcomes
    if outcome.status == "not offered":
        pytest.skip(f"not offered: {outcome.detail}" if outcome.detail else "not offered")
    if outcome.expected and outcome.ok:
        pytest.xfail(outcome.expected)
    assert outcome.ok, str(outcome)
