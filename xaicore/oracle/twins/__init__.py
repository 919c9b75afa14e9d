"""Second opinions: slower, dumber implementations that share no code with what they check.

The files hold the papers' formulas as loops, a family each; those that make whole methods of them end in a table of their own, method
id -> twins. ``TWINS`` joins these: for every method a second implementation of the whole of it, and networks, inputs and settings on
which the two are compared (``tests/oracle/test_twins.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from xaicore.oracle.twins import (
    backpropagation,
    class_maps,
    coalitions,
    contrastive,
    data,
    lines,
    references,
    relevance,
    signals,
    soft_masks,
    structures,
    windows,
)
from xaicore.oracle.twins.twin import Problem, Twin

TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    **windows.TWINS, **coalitions.TWINS, **class_maps.TWINS, **soft_masks.TWINS,
    **backpropagation.TWINS, **relevance.TWINS, **contrastive.TWINS, **references.TWINS, **lines.TWINS, **signals.TWINS,
    **data.TWINS, **structures.TWINS,
})

__all__ = ["TWINS", "Problem", "Twin"]
