"""What the tests of the examples with real weights share: the examples are programs in docs/, loaded by their path."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

import xaicore as xc

DOCS = Path(__file__).parents[2] / "docs"


def example(name: str, *packages: str) -> ModuleType:
    """docs/<name>.py as a module; skipped when a package with its weights is missing."""
    for package in packages:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs the package {package}")
    sys.path.insert(0, str(DOCS))
    try:
        spec = importlib.util.spec_from_file_location(f"docs_{name}", DOCS / f"{name}.py")
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(DOCS))
    return module


def complete(results: Mapping[str, xc.Attribution], quadrature: float = 0.0, conserved: float = 1e-3) -> None:
    """DeepLIFT to rounding, LRP to what its stabiliser keeps, integrated gradients to its quadrature error; of f's size."""
    allowed = {"deeplift.rescale": 1e-9, "lrp.epsilon": conserved, "integrated_gradients": quadrature}
    assert set(results) & set(allowed)
    for name, a in results.items():
        if name not in allowed:
            continue
        share = allowed[name]
        assert np.isfinite(np.asarray(a)).all()
        assert np.abs(a.gap()).max() <= share * max(1.0, float(np.abs(a.output).max())), (name, a.gap())


def is_small(name: str, largest: int = 300_000) -> None:
    """The picture of the page is there, and no larger than a page should load."""
    assert 5_000 < (DOCS / name).stat().st_size < largest
