"""How a time is taken: both sides in turn, one thread, processor seconds, medians; and what the machine could do at best."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

import numpy as np

LEAST = 0.1
"""Seconds that a measurement takes at least, by repeating short calls: a single one after a pause finds all caches cold."""

PAUSE = 0.03
"""Seconds between two measurements: the threads of a linear algebra library spin for a while after their work."""


@dataclass(frozen=True)
class Pair:
    """Seconds of both sides, and how far their numbers are apart."""

    ours: float
    peer: float
    first: float
    ratio: float
    spread: tuple[float, float]
    difference: float | None


def pair(ours: Callable[[], np.ndarray], peer: Callable[[], np.ndarray], rounds: int, comparable: bool = True) -> Pair:
    """A B A B ...: ``ratio`` is the median over the rounds of ours / peer, ``first`` the seconds of our first call.

    Processor seconds of this process, not time on the wall, so that other programs on the machine count little.
    ``difference`` is the largest difference of the two results in units of the peer's largest entry.
    """
    first, one = _taken(ours, 1)
    _, other = _taken(peer, 1)
    difference = None
    if comparable:
        a, b = np.asarray(one, float), np.asarray(other, float)
        difference = float(np.abs(a - b).max() / np.abs(b).max()) if a.shape == b.shape else float("inf")
    times = [max(1, int(LEAST / max(_taken(f, 1)[0], 1e-6))) for f in (ours, peer)]
    both = [(_taken(ours, times[0])[0], _taken(peer, times[1])[0]) for _ in range(rounds)]
    ratios = sorted(a / b for a, b in both)
    return Pair(median(a for a, _ in both), median(b for _, b in both), first, median(ratios), (ratios[0], ratios[-1]), difference)


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
