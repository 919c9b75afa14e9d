"""pytest --pyargs xaicore.oracle.vectors --subject MODULE:FUNCTION: the vectors as tests of anyone's explainer."""

from __future__ import annotations

from typing import Any


def pytest_generate_tests(metafunc: Any) -> None:
    """One test for each vector, where there is a subject to ask."""
    if "vector" not in metafunc.fixturenames:
        return
    from xaicore.oracle.vectors import vectors

    option = metafunc.config.getoption
    found = vectors(option("--vectors")) if option("--subject") else ()
    metafunc.parametrize("vector", found, ids=[v.id for v in found])
