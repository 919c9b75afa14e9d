"""Framework against graph: every value that both sides know is compared, in order, and the first difference is named."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from xaicore.errors import Mismatch, NothingChecked
from xaicore.graph.graph import Graph
from xaicore.graph.run import check_feeds, evaluate
from xaicore.numerics import Array

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Largest difference over the largest absolute value, by the framework's dtype. In float32 a deep network's own
rounding reaches 1.1e-5 (ResNet-50 after calibration, float32 against float64, same framework), hence 1e-4."""

HIDDEN = -1e29
"""Below this number a score is masked: its exponential is 0, and it does not matter how low it is (-3e38, -1e30 and their sums)."""


def verify(graph: Graph, feeds: Mapping[str, Array], expected: Mapping[str, Array], source: str, tolerance: float | None = None) -> None:
    """Raises Mismatch at the first node whose value differs from the framework's.

    ``expected`` maps node names to the framework's values in the graph's layout; names that the graph lacks are
    ignored, but all outputs must be there. ``source`` is the framework's name, for the message.
    """
    lost = [o for o in graph.outputs if o not in expected]
    if lost:
        raise NothingChecked(f"{source} gave no value for the output {lost[0]!r}, so the conversion could not be verified")
    order = [n.name for n in graph.nodes if n.name in expected]
    values = evaluate(graph, check_feeds(graph, feeds), keep=set(order))
    nodes = {n.name: n for n in graph.nodes}
    for name in order:
        theirs, ours = np.asarray(expected[name]), values[name]
        where = f"node {name!r} ({nodes[name].op}; layer {nodes[name].layer or '?'}; from {nodes[name].origin or source})"
        if theirs.shape != ours.shape:
            raise Mismatch(f"{where}: {source} gives shape {theirs.shape}, the graph {ours.shape}; please report this model")
        if theirs.dtype.kind not in "f":
            same = bool((theirs == ours).all())
            if not same:
                raise Mismatch(f"{where}: {source} and the graph give different {theirs.dtype} values")
            continue
        limit = tolerance if tolerance is not None else TOLERANCE.get(str(theirs.dtype), TOLERANCE["float32"])
        if graph.dtype == "float32":
            limit = max(limit, TOLERANCE["float32"])
        finite = np.isfinite(theirs)
        hidden = (theirs < HIDDEN) & (ours < HIDDEN)
        if not ((finite == np.isfinite(ours)) | hidden).all():
            raise Mismatch(f"{where}: {source} and the graph differ in where values are infinite")
        finite &= ~hidden
        if not finite.any():
            continue
        gap = np.abs(np.where(finite, theirs, 0).astype(float) - np.where(finite, ours, 0).astype(float))
        scale = max(float(np.abs(theirs[finite]).max()), 1e-6)         # below 1e-6 a value is rounding of something larger
        if float(gap.max()) > limit * scale:
            at = tuple(int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
            raise Mismatch(
                f"{where} is the first that differs: at {at} {source} has {theirs[at]!r}, the graph {ours[at]!r} "
                f"(difference {gap.max():.3g}, allowed {limit * scale:.3g} = {limit:g} of the largest value). "
                f"Everything before it agrees. from_model(..., verify=False) converts anyway; do not trust the result"
            )
