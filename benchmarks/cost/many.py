"""The prediction for many inputs and the run that checks it: digits through one process, then as many more through two spawned workers."""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

import xaicore as xc
from xaicore.data import digits_model, digits_path

METHODS = ["lrp.epsilon", "gradient_x_input"]
SHARD = 64


def digits(n: int) -> np.ndarray:
    """So many different images: the shipped one with noise."""
    from xaicore.cli.inputs import read_input

    (one,) = read_input(str(digits_path("digit_3.png")), digits_model()).values()
    rng = np.random.default_rng(0)
    return np.clip(one + 0.1 * rng.standard_normal((n, *one.shape[1:])), 0, 1)


def spent() -> float:
    """CPU seconds of this process and of its children that ended."""
    return sum(t.ru_utime + t.ru_stime for t in (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)))


def ran(n: int, workers: int) -> dict[str, float]:
    """CPU and clock of explain_many over n digits; 0 workers: in this process."""
    x = digits(n)
    with tempfile.TemporaryDirectory() as folder:
        cpu, clock = spent(), time.monotonic()
        if workers:
            with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
                done = xc.explain_many(digits_path(), x, METHODS, out=Path(folder) / "r", executor=pool, shard_size=SHARD)
        else:
            done = xc.explain_many(digits_path(), x, METHODS, out=Path(folder) / "r", shard_size=SHARD)
        assert (done.done, done.failed) == (n, 0)
        return {"items": n, "workers": workers, "cpu": spent() - cpu, "clock": time.monotonic() - clock}


def check(few: int = 300, many: int = 4000) -> dict[str, Any]:
    """cpu(n, workers) = n c + workers s: c from two runs in one process, s from a run of two workers that have next to nothing to do."""
    ran(SHARD, 0)
    one, two = ran(few, 0), ran(3 * few, 0)
    start = ran(2, 2)
    each = (two["cpu"] - one["cpu"]) / (2 * few)
    predicted = many * each + start["cpu"]
    measured = ran(many, 2)
    return {"each": each, "start": start["cpu"], "predicted": predicted, "measured": measured, "cores": os.cpu_count(), "methods": METHODS}
