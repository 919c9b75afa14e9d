"""How a time is taken: both sides in turn, one thread, processor seconds, medians; and what the machine could do at best."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np

LEAST = 0.1
"""Seconds that a measurement takes at least, by repeating short calls: a single one after a pause finds all caches cold."""

PAUSE = 0.03
"""Seconds between two measurements: the threads of a linear algebra library spin for a while after their work."""


SLOW = 4.0
"""Seconds of a call from which on one call of each side has to do."""


@dataclass(frozen=True)
class Taken:
    """Seconds of one of our speeds and of the peer; ``ratio`` is the median over the rounds of ours / peer, None without a peer."""

    ours: float
    peer: float | None
    first: float
    ratio: float | None
    spread: tuple[float, float] | None
    value: np.ndarray


def together(ours: Mapping[str, Callable[[], np.ndarray]], peer: Callable[[], np.ndarray] | None, rounds: int) -> tuple[dict[str, Taken], np.ndarray | None]:
    """Every speed of ours and the peer in turn, A B C A B C ...: what each took, and the peer's value.

    Processor seconds of this process, not time on the wall, so that other programs on the machine count little. ``first`` is our first
    call, which also warms up.
    """
    sides = {**ours, **({} if peer is None else {"": peer})}
    first = {k: _taken(f, 1) for k, f in sides.items()}
    slow = max(t for t, _ in first.values()) > SLOW
    times = {k: 1 if first[k][0] > 5 * LEAST else max(1, int(LEAST / max(_taken(f, 1)[0], 1e-6))) for k, f in sides.items()}
    taken = [{k: t for k, (t, _) in first.items()}] if slow else [{k: _taken(f, times[k])[0] for k, f in sides.items()} for _ in range(rounds)]
    out = {}
    for k in ours:
        ratios = [] if peer is None else sorted(one[k] / one[""] for one in taken)
        out[k] = Taken(median(one[k] for one in taken), median(one[""] for one in taken) if ratios else None, first[k][0],
                       median(ratios) if ratios else None, (ratios[0], ratios[-1]) if ratios else None, first[k][1])
    return out, None if peer is None else first[""][1]


def apart(a: np.ndarray, b: np.ndarray) -> float:
    """The largest difference in units of the largest entry of b."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.abs(a - b).max() / np.abs(b).max()) if a.shape == b.shape else float("inf")


def far(a: np.ndarray, b: np.ndarray) -> float:
    """The Euclidean distance in units of the length of b."""
    a, b = np.asarray(a, float), np.asarray(b, float)
    return float(np.linalg.norm(a - b) / np.linalg.norm(b)) if a.shape == b.shape else float("inf")


def _taken(f: Callable[[], np.ndarray], times: int) -> tuple[float, np.ndarray]:
    """Seconds of one of ``times`` calls, and its value."""
    gc.collect()
    time.sleep(PAUSE)
    start = time.process_time()
    for _ in range(times):
        value = f()
    return (time.process_time() - start) / times, value


def peaks(dtype: str) -> tuple[float, float]:
    """(operations a second of a matrix product, bytes a second of a copy) that NumPy reaches here."""
    rng = np.random.default_rng(0)
    a, b = rng.random((256, 2304)).astype(dtype), rng.random((2304, 3136)).astype(dtype)
    big, into = np.ones(1 << 24), np.empty(1 << 24)
    product = min(_taken(lambda: a @ b, 3)[0] for _ in range(7))
    copy = min(_taken(lambda: np.add(big, 0, out=into), 1)[0] for _ in range(5))
    return 2 * 256 * 2304 * 3136 / product, 2 * big.nbytes / copy
