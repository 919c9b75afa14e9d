"""What the card of every operator says beyond its docstring: ``TOLD``, by the operator's name."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xaicore.oracle.operators import arranging, computing
from xaicore.oracle.operators.told import Told, value

TOLD: Mapping[str, Told] = MappingProxyType({type(t.op).__name__: t for t in (*computing.ROWS, *arranging.ROWS)})

__all__ = ["TOLD", "Told", "value"]
