"""Operations, bytes and seconds of one network at one size. Seconds are of CPU, so that a busy machine counts little."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import tracemalloc
from collections.abc import Callable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

import xaicore as xc
from benchmarks.cost.networks import FAMILIES, Family
from xaicore.graph import Graph
from xaicore.graph.run import evaluate, shapes_of
from xaicore.methods.memory import needs
from xaicore.ops import Conv, Dense, MatMul
from xaicore.ops.recurrence import Recurrence

BATCH = 8
METHODS = {"forward": "", "gradient": "gradient", "lrp.epsilon": "lrp.epsilon", "deeplift.rescale": "deeplift.rescale"}
NEEDS = {"forward": "forward", "gradient": "gradient", "lrp.epsilon": "relevance", "deeplift.rescale": "multiplier"}


def operations(graph: Graph, shapes: Mapping[str, Sequence[int]]) -> int:
    """Of one forward pass for one sample: two for each product that is added up, one for each entry of any other node."""
    count = 0
    for n in graph.nodes:
        y = prod(shapes[n.name])
        if isinstance(n.op, (Conv, Dense)):
            count += 2 * y * prod(shapes[n.inputs[1]][1:])
        elif isinstance(n.op, MatMul):
            count += 2 * y * shapes[n.inputs[0]][-1]
        elif isinstance(n.op, Recurrence):
            steps = shapes[n.inputs[0]][1]
            count += 2 * steps * (prod(shapes[n.inputs[1]]) + prod(shapes[n.inputs[2]]))
        else:
            count += y
    return count


def inputs(graph: Graph, n: int) -> dict[str, Any]:
    rng = np.random.default_rng(1)
    return {k: rng.random((n, *spec.shape[1:])).astype(graph.dtype) for k, spec in graph.inputs.items()}


def calls(graph: Graph, n: int) -> dict[str, Callable[[], Any]]:
    x = inputs(graph, n)
    (name,) = x
    run: dict[str, Callable[[], Any]] = {m: lambda id=id: xc.explain(graph, x[name], id, target=0) for m, id in METHODS.items()}
    return {**run, "forward": lambda: evaluate(graph, x)}


def seconds(f: Callable[[], Any], enough: float = 0.4) -> float:
    """CPU seconds of a call: the least of up to seven, of at least two."""
    f()
    best, spent, rounds = float("inf"), 0.0, 0
    while rounds < 2 or (spent < enough and rounds < 7):
        start = time.process_time()
        f()
        took = time.process_time() - start
        best, spent, rounds = min(best, took), spent + took, rounds + 1
    return best


def peak(f: Callable[[], Any]) -> int:
    f()
    tracemalloc.start()
    f()
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def row(family: Family, grows: str, width: int, side: int) -> dict[str, Any]:
    """Everything about one size, for one sample."""
    graph = family.make(width, side)
    shapes = shapes_of(graph, inputs(graph, 1))
    known, made = needs(graph, shapes), calls(graph, BATCH)
    return {
        "family": family.name, "grows": grows, "width": width, "side": side, "parameters": graph.size,
        "operations": operations(graph, shapes),
        "seconds": {m: seconds(f) / BATCH for m, f in made.items()},
        "bytes": {m: peak(f) / BATCH for m, f in made.items()},
        "needed": {m: known[NEEDS[m]].of(BATCH) / BATCH for m in made},
    }


def resident(name: str, method: str, n: int = 4 * BATCH) -> dict[str, float]:
    """In a fresh process: how far resident memory grows with one call, tracemalloc's peak, and the estimate."""
    words = [sys.executable, "-m", "benchmarks.cost.measure", name, method, str(n)]
    ran = subprocess.run(words, capture_output=True, text=True, check=True)
    return json.loads(ran.stdout)  # type: ignore[no-any-return]


def highest() -> int:
    """The most resident memory of this process so far; getrusage would have that of the process that started it."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    return 1024 * int(status.split("VmHWM:")[1].split()[0])


def main() -> None:
    """The fresh process of ``resident``."""
    name, method, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
    family = next(f for f in FAMILIES if f.name == name)
    graph = family.make(family.widths[2], family.sides[2])
    calls(graph, 1)[method]()                                           # what is imported and remembered once
    call = calls(graph, n)[method]
    before = highest()
    call()
    grown = highest() - before
    known = needs(graph, shapes_of(graph, inputs(graph, 1)))
    print(json.dumps({"resident": grown, "traced": peak(call), "needed": known[NEEDS[method]].of(n), "samples": n}))


if __name__ == "__main__":
    main()
