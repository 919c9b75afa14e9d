"""One row on one network: builds both sides, measures, says what fell short and how far the floors are."""

from __future__ import annotations

import warnings
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch

import xaicore as xc
from benchmarks.speed.measure import pair
from benchmarks.speed.networks import inputs, network
from benchmarks.speed.rows import Row
from xaicore import Graph
from xaicore.graph.run import evaluate

LIMITS = {("float32", "exact"): 1e-5, ("float64", "exact"): 1e-10, ("float32", "fast"): 1e-3, ("float64", "fast"): 1e-8}
"""Of the peer's largest entry. Gradients in float32 jump where rounding decides a kink, in torch as in ours: they are asserted in float64."""


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    row: str
    peer: str
    network: str
    batch: int
    dtype: str
    speed: str
    ratio: float
    low: float
    high: float
    ours: float
    peer_seconds: float
    first: float
    difference: float | None
    agrees: bool | None
    goal: float | None
    floor: float
    apart: str = ""


class Subject:
    """A network in one arithmetic, ours and theirs."""

    def __init__(self, name: str, batch: int, dtype: str):
        self.model = network(name).to(getattr(torch, dtype))
        self.x = inputs(name, batch).to(getattr(torch, dtype))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.graph = xc.from_model(self.model, (self.x,), verify=False).astype(dtype)
        self.work = operations(self.graph, self.x.numpy())


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

    evaluate(graph, {next(iter(graph.inputs)): x}, keep=(), visit=visit)
    return count["operations"], count["bytes"]


def measured(row: Row, name: str, subject: Subject, batch: int, dtype: str, speed: str, rounds: int, peak: tuple[float, float]) -> Result:
    x = subject.x.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = row.peer(subject.model, subject.x)
        found = pair(lambda: row.ours(subject.graph, x, speed), peer, rounds, comparable=not row.apart)
    limit = LIMITS[dtype, speed]
    floor = row.passes * max(subject.work[0] / peak[0], 2 * subject.work[1] / peak[1])
    goal = row.goals.get(name, (None, None))[speed == "fast"]
    agrees = None if found.difference is None else found.difference <= limit
    return Result(row.name, row.peer_name, name, batch, dtype, speed, found.ratio, *found.spread, found.ours, found.peer, found.first,
                  found.difference, agrees, goal if batch == 1 and dtype == "float32" else None, floor, row.apart)


def as_json(result: Result) -> dict[str, Any]:
    return asdict(result)
