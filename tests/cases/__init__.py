"""All cases of the operator tests: the ``CASES`` of every file in this folder."""

from __future__ import annotations

import importlib
import pkgutil

from .case import Case


def _collect() -> tuple[Case, ...]:
    found: list[Case] = []
    for module in sorted(m.name for m in pkgutil.iter_modules(__path__)):
        found += getattr(importlib.import_module(f"{__name__}.{module}"), "CASES", ())
    return tuple(found)


CASES: tuple[Case, ...] = _collect()
