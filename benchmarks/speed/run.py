"""One row on one network: builds both sides, compares their numbers, takes the time, says what fell short and how far the floors are.

Numbers are compared on the network at a small size, in three ways that together leave nothing to rounding at kinks:

    float64   ours and theirs differ by at most 1e-10 of the largest entry (fast: 1e-8)
    float32   ours is no further from their float64 than 1e-5 (fast: 1e-3), or than KINKS times their own float32 is. In float32 some units of
              a deep network lie within rounding of a kink and fall on either side of it, in theirs as in ours; both distances are written down
    at size   what a row gives at its own size in float32 is compared, too; where there are no kinks (a forward pass) within the same 1e-5
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np

import xaicore as xc
from benchmarks.speed import plain
from benchmarks.speed.measure import apart, far, together
from benchmarks.speed.rows import TARGET, Row
from xaicore import Graph
from xaicore.graph.run import evaluate

LIMITS = {"exact": 1e-5, "fast": 1e-3}
"""Of float32."""

FAST = 100
"""How much further fast may be from the peer's numbers in float64 than exact: its sums are longer, and have both signs."""

KINKS = 30


@dataclass(frozen=True)
class Subject:
    """A network in one arithmetic, ours and theirs; ``model`` is None where torch is not installed."""

    model: Any
    x: Any
    graph: Graph

    @property
    def fresh(self) -> Graph:
        """The graph with parameters of its own, beside which nothing is kept yet: what another row, or the comparison at a small size, keeps
        takes no room from this one."""
        return replace(self.graph, params={k: v.copy() for k, v in self.graph.params.items()})

    @property
    def array(self) -> np.ndarray:
        return self.x if isinstance(self.x, np.ndarray) else np.asarray(self.x.numpy())


def subject(name: str, batch: int, dtype: str, small: bool = False) -> Subject:
    """The network ``name``, at its own size or a small one."""
    try:
        import torch

        from benchmarks.speed.networks import SMALL, inputs, network
    except ImportError:
        return Subject(None, plain.inputs(name, batch).astype(dtype), plain.graph(name).astype(dtype))
    size = {"size": SMALL} if small else {}
    model, x = network(name, **size).to(getattr(torch, dtype)), inputs(name, batch, **size).to(getattr(torch, dtype))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return Subject(model, x, xc.from_model(model, (x,), verify=False).astype(dtype))


@lru_cache(maxsize=2)
def small(name: str, dtype: str) -> Subject:
    return subject(name, 1, dtype, small=True)


def operations(graph: Graph, x: np.ndarray) -> tuple[float, float]:
    """(multiplications and additions, bytes written) of one forward pass."""
    count = {"operations": 0.0, "bytes": 0.0}

    def visit(node: Any, xs: tuple[np.ndarray, ...], y: np.ndarray) -> None:
        count["bytes"] += y.nbytes
        kind = type(node.op).__name__
        if kind in ("Conv", "Dense"):
            count["operations"] += 2.0 * y.size * xs[1].size / (xs[1].shape[0] if kind == "Conv" else len(xs[1]))
        elif kind == "MatMul":
            count["operations"] += 2.0 * y.size * xs[0].shape[-1]
        elif kind in ("LSTM", "GRU", "RNN"):
            count["operations"] += 2.0 * len(xs[0]) * xs[0].shape[1] * sum(w.size for w in xs[1:] if w.ndim > 1)

    evaluate(graph, {next(iter(graph.inputs)): x}, keep=(), visit=visit)
    return count["operations"], count["bytes"]


def compared(row: Row, name: str, speeds: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """By speed: the distances of the numbers in float64 and float32, and whether they are within the limits."""
    ours, peer = row.check or (row.ours, row.peer)
    wide, narrow = small(name, "float64"), small(name, "float32")
    truth, theirs = (peer(s.model, s.x)() for s in (wide, narrow))
    out = {}
    for speed in speeds:
        in64 = apart(ours(wide.fresh, wide.array, speed), truth)
        in32, their32 = far(ours(narrow.fresh, narrow.array, speed), truth), far(theirs, truth)
        agrees = in64 <= row.limit * (FAST if speed == "fast" else 1) and in32 <= max(LIMITS[speed], KINKS * their32)
        out[speed] = {"float64": in64, "float32": in32, "their_float32": their32, "agrees": agrees}
    return out


def measured(row: Row, name: str, at: Subject, batch: int, dtype: str, speeds: tuple[str, ...], rounds: int, peak: tuple[float, float],
             work: tuple[float, float], alone: set[str]) -> list[dict[str, Any]]:
    """The results of one row, one for each speed. Without the peer ours alone, if no row of this name was measured yet (``alone``)."""
    x = at.array
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            peer = None if at.model is None else row.peer(at.model, at.x)
        except ImportError:
            peer = None
        if peer is None and row.name in alone:
            return []
        alone.add(row.name)
        checks: Mapping[str, dict[str, Any]] = compared(row, name, speeds) if peer is not None and not row.apart else {}
        taken, theirs, bare = {}, None, None
        for speed in speeds:                                              # one after the other: what one keeps takes no room from the other
            graph = at.fresh
            sides = {speed: lambda graph=graph, speed=speed: row.ours(graph, x, speed)}
            if speed == speeds[0] and name in row.bare and len(x) == 1 and dtype == "float32":
                sides["bare"] = row.bare[name](graph, x, TARGET)
            found, theirs = together(sides, peer, rounds)
            bare = found.pop("bare", bare)
            taken |= found
    products, passes = row.passes * work[0] / peak[0], row.passes * 2 * work[1] / peak[1]
    out = []
    for speed, t in taken.items():
        found = checks.get(speed, {"float64": None, "float32": None, "their_float32": None, "agrees": None})
        at_size = None if theirs is None or row.apart else apart(t.value, theirs)
        if at_size is not None and not row.kinks and not at_size <= LIMITS[speed]:
            found = {**found, "agrees": False}
        goal = row.goals.get(name, (None, None))[speed == "fast"] if batch == 1 and dtype == "float32" else None
        low, high = t.spread or (None, None)
        out.append({"row": row.name, "peer": row.peer_name if peer is not None else "-", "network": name, "batch": batch, "dtype": dtype, "speed": speed,
                    "ratio": t.ratio, "low": low, "high": high, "ours": t.ours, "peer_seconds": t.peer, "first": t.first, "at_size": at_size,
                    **found, "goal": goal, "bare": None if bare is None else bare.ratio, "floor_products": products, "floor_bytes": passes, "note": row.apart})
    return out
