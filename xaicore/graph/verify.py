"""Framework against graph: every value that both sides know is compared, in order, and the first difference is named."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import numpy as np

from xaicore.errors import Mismatch, NothingChecked
from xaicore.graph.graph import Graph, Node
from xaicore.graph.run import check_feeds, evaluate
from xaicore.numerics import Array

TOLERANCE = {"float32": 1e-4, "float64": 1e-9}
"""Largest difference over the largest absolute value, by the framework's dtype. In float32 a deep network's own
rounding reaches 1.1e-5 (ResNet-50 after calibration, float32 against float64, same framework), hence 1e-4."""

ROUNDING = 4
"""How many times the framework's own rounding two right answers may lie apart: both round at every step, and the largest of a few draws
of the framework's is no bound. EfficientNet-B7 with drawn parameters lies 0.8 of it away."""

HIDDEN = -1e29
"""Below this number a score is masked: its exponential is 0, and it does not matter how low it is (-3e38, -1e30 and their sums)."""


@dataclass(frozen=True)
class Verification:
    """What one ``verify`` compared, and found to agree.

    source    the framework's name
    compared  the nodes whose values both sides know, of ``nodes`` in the graph
    worst     the largest difference, over the largest absolute value of its node;  at  the node that has it
    rounded   how many nodes differ by more than the tolerance, and no more than the framework's own rounding explains
    """

    source: str
    compared: tuple[str, ...]
    nodes: int
    worst: float
    at: str
    rounded: int = 0

    def __str__(self) -> str:
        where = f", {self.worst:.2g} of the largest value at most (at {self.at!r})" if self.at else ", whole numbers and flags alone"
        chaos = f"; {self.rounded} of them as far as {self.source}'s own rounding goes, which the model amplifies" if self.rounded else ""
        return f"{len(self.compared)} of {self.nodes} nodes compared with {self.source}: they agree{where}{chaos}"


_records: ContextVar[list[Verification] | None] = ContextVar("verifications", default=None)


@contextmanager
def recorded() -> Iterator[list[Verification]]:
    """The list of all that is verified inside: how a command line tells what ``load(path, verify=True)`` compared."""
    found: list[Verification] = []
    token = _records.set(found)
    try:
        yield found
    finally:
        _records.reset(token)


def verify(
    graph: Graph, feeds: Mapping[str, Array], expected: Mapping[str, Array], source: str, tolerance: float | None = None,
    own: Callable[[], Mapping[str, float]] | None = None,
) -> Verification:
    """Raises Mismatch at the first node whose value differs from the framework's; says what was compared when none does.

    ``expected`` maps node names to the framework's values in the graph's layout; names that the graph lacks are
    ignored, but all outputs must be there. ``source`` is the framework's name, for the message.

    own   is asked where a value is further off than ``tolerance``: by how much, at each node, the framework's value moves when
          its inputs and parameters move by one unit in the last place. Networks of drawn parameters can be chaotic, and then
          rounding grows to any size. ``ROUNDING`` times that is no mismatch.
    """
    lost = [o for o in graph.outputs if o not in expected]
    if lost:
        raise NothingChecked(f"{source} gave no value for the output {lost[0]!r}, so the conversion could not be verified")
    order = [n.name for n in graph.nodes if n.name in expected]
    values = evaluate(graph, check_feeds(graph, feeds), keep=set(order))
    nodes = {n.name: n for n in graph.nodes}
    worst, at_worst, rounded = 0.0, "", 0
    moved: Mapping[str, float] | None = None
    for k, name in enumerate(order):
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
        if float(gap.max()) / scale >= worst:
            worst, at_worst = float(gap.max()) / scale, name
        if float(gap.max()) > limit * scale:
            if own is not None:
                moved = own() if moved is None else moved
                if float(gap.max()) <= ROUNDING * moved.get(name, 0.0):
                    rounded += 1
                    continue
            at = tuple(int(k) for k in np.unravel_index(int(gap.argmax()), gap.shape))
            raise Mismatch(
                f"{where} is the first that differs: at {at} {source} has {theirs[at]!r}, the graph {ours[at]!r} "
                f"(difference {gap.max():.3g}, allowed {limit * scale:.3g} = {limit:g} of the largest value"
                f"{_itself(moved, name, source)}). "
                f"{_before(order[:k], nodes[name])}. from_model(..., verify=False) converts anyway; do not trust the result"
            )
    found = Verification(source, tuple(order), len(graph.nodes), worst, at_worst, rounded)
    records = _records.get()
    if records is not None:
        records.append(found)
    return found


def _itself(moved: Mapping[str, float] | None, name: str, source: str) -> str:
    if moved is None:
        return ""
    return f"; a change in the last place of inputs and parameters moves {source}'s own value by {moved.get(name, 0.0):.1g}"


def _before(agree: Sequence[str], node: Node) -> str:
    """What is known to be right: its own inputs, where they were compared, else the last value before it."""
    if not agree:
        return "Nothing before it could be compared"
    direct = [i for i in node.inputs if i in agree]
    if direct:
        return f"Everything compared before it agrees, its input{'s' if len(direct) > 1 else ''} {', '.join(map(repr, direct))} too"
    return f"Everything compared before it agrees, last {agree[-1]!r}"
