"""Every method against its second implementation, on random problems within the twin's preconditions."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

import numpy as np
import pytest

import xaicore as xc
from xaicore.oracle.tolerance import tolerance
from xaicore.oracle.twins import TWINS, Twin

PAIRS = [pytest.param(id, twin, id=f"{id}:{k}") for id, several in TWINS.items() for k, twin in enumerate(several)]


def agree(id: str, twin: Twin, seed: int) -> None:
    problem = twin.problem(np.random.default_rng([zlib.crc32((id + twin.how).encode()), seed]))
    a = xc.explain(problem.graph, problem.x, id, target=problem.target, **problem.settings)
    second = twin.run(problem)
    for name, want in (second if isinstance(second, Mapping) else {"": second}).items():
        got, want = np.asarray(a[name] if name else a, dtype=float), np.asarray(want, dtype=float)
        limit = tolerance(problem.graph, want, a.output) if twin.tolerance is None else twin.tolerance * np.abs(want).max()
        assert got.shape == want.shape
        assert np.abs(got - want).max(initial=0) <= limit, f"{id} and {twin.how}: {np.abs(got - want).max():.3g} > {limit:.3g}"
        assert np.abs(want).max() > 0, "a twin that gives zeros tells nothing: choose another problem"


def test_every_method_has_one():
    assert set(TWINS) == set(xc.METHODS)


@pytest.mark.parametrize(("id", "twin"), PAIRS)
def test_twin(id, twin):
    for seed in range(2):
        agree(id, twin, seed)
    assert len(twin.how) > 15
