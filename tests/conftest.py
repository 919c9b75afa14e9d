"""Hypothesis profiles (quick by default, ``--hypothesis-profile=thorough`` for many more draws) and shared fixtures."""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

_COMMON = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]}
settings.register_profile("quick", max_examples=20, derandomize=True, **_COMMON)
settings.register_profile("thorough", max_examples=300, **_COMMON)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """A function in a parameter is named by its argument: its address would differ between parallel workers."""
    return argname if callable(val) and "<lambda>" in getattr(val, "__qualname__", "") else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses an address in the name of a test, which no other worker has: with one worker that would pass."""
    if found := [item.nodeid for item in items if " at 0x" in item.nodeid]:
        raise pytest.UsageError(f"{found[0]} has an address in its name, which differs between parallel workers: give the parameter an id")
