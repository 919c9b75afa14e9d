"""``workers=n``: evaluations that do not depend on each other, n at a time, in threads of this process.

NumPy gives up the interpreter's lock while it works on arrays, so that threads share one model and its memory. What one evaluation is
(``batch_size`` points) and in which order results are added up is the same for every n: so are the bytes of the result. Whole inputs go
to processes with ``explain_many``.
"""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar

import numpy as np

from xaicore.errors import InputError

T = TypeVar("T")
R = TypeVar("R")
VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")


def checked(workers: Any) -> int | None:
    """None, or a number of threads that this process has processors for; InputError for what is no whole number of at least 1."""
    if workers is None:
        return None
    if isinstance(workers, bool) or not isinstance(workers, (int, np.integer)) or workers < 1:
        raise InputError(f"workers={workers!r} must be a whole number of at least 1, or None to leave threads to the library of linear "
                         f"algebra")
    return min(int(workers), processors())


def processors() -> int:
    """How many processors this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def one_thread_each(workers: int | None) -> AbstractContextManager[Any]:
    """Inside, the library for linear algebra has one thread for each of ours, so that no processor is asked for twice.

    Also for one worker: sums are then taken in the same order. InputError where threadpoolctl, which sees to it, is not installed and the
    environment does not say so either.
    """
    if workers is None:
        return nullcontext()
    try:
        from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]
    except ImportError:
        if any(os.environ.get(k) == "1" for k in VARIABLES):
            return nullcontext()
        raise InputError(f"workers={workers} needs a library of linear algebra that keeps to one thread in each: pip install "
                         f"threadpoolctl, or start Python with {VARIABLES[0]}=1") from None
    return threadpool_limits(1)                                         # type: ignore[no-any-return]


def in_order(workers: int | None, work: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[T, R]]:
    """(item, work(item)) in the order of the items, which are made here, one after the other; ``workers`` are under way at a time."""
    if workers is None or workers == 1:
        for item in items:
            yield item, work(item)
        return
    waiting: deque[tuple[T, Future[R]]] = deque()
    with ThreadPoolExecutor(workers) as pool:
        try:
            for item in items:
                waiting.append((item, pool.submit(work, item)))
                if len(waiting) > workers:
                    first, done = waiting.popleft()
                    yield first, done.result()
            for first, done in waiting:
                yield first, done.result()
        finally:
            for _, left in waiting:
                left.cancel()
