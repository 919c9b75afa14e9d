"""All readers, one after the other: python -m tests.fuzz. 22 seconds in all by default: the smoke run of CI.

    python -m tests.fuzz [READER ...] [--seconds S] [--jobs N] [--keep FOLDER]

``--seconds`` of processor time for each reader (on a busy machine that takes longer), ``--jobs`` of them at a time, ``--keep`` for corpus and
findings. With atheris, if it is installed (run.py); otherwise the same readers and the same changes of files (mutate.py) under a plain random
search, which sees no coverage and counts the seconds of the clock. Exit code 1 with a finding.
"""

from __future__ import annotations

import argparse
import importlib.util
import math
import os
import random
import re
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tests.fuzz.mutate import changed
from tests.fuzz.run import finding
from tests.fuzz.seeds import longest
from tests.fuzz.targets import TARGETS, tried

SMOKE = 22.0
"""Seconds for all readers together; starting the processes comes on top."""


def plain(name: str, seconds: float, folder: Path, most: float = math.inf) -> str:
    """A random search without coverage: sound files changed for so long, or so often. The figures as text."""
    target, draw, count, wrong = TARGETS[name], random.Random(0), 0, 0
    sound, end = target.seeds(), time.monotonic() + seconds
    work = folder / f"{name}.work"
    work.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        while time.monotonic() < end and count < most:
            data = draw.choice(sound)
            for _ in range(draw.randrange(4)):
                data = changed(name, data, draw, lambda b: bytes_changed(b, draw))[:longest(name)]
            count += 1
            try:
                tried(target, data, work)
            except Exception as error:
                wrong += finding(error, data, folder / f"{name}.found", name)
    return f"{count} executions without coverage, {wrong} findings"


def bytes_changed(data: bytes, draw: random.Random) -> bytes:
    """One piece of up to 16 bytes exchanged, left out or put in."""
    at, long = draw.randrange(len(data) + 1), draw.choice((0, 1, 1, 2, 4, 8, 16))
    return data[:at] + draw.choice((b"", draw.randbytes(long), b"\xff" * long, b"\0" * long)) + data[at + draw.choice((0, long)):]


def guided(name: str, seconds: float, folder: Path) -> str:
    """atheris in a process of its own, again until it has had its processor time, at most 20 times after an early end. The figures as text."""
    log, begun, used, ended = folder / f"{name}.log", time.monotonic(), 0.0, 0
    while (left := seconds - used) >= 1 and ended < 20:
        with log.open("ab") as out:
            process = subprocess.Popen([sys.executable, "-m", "tests.fuzz.run", name, str(math.ceil(left)), str(folder)], stdout=out, stderr=out)
            _, status, usage = os.wait4(process.pid, 0)
        used, ended = used + usage.ru_utime + usage.ru_stime, ended + (status != 0)
    return f"{figures(log)}, {used:.0f} s of CPU in {time.monotonic() - begun:.0f} s"


def figures(log: Path) -> str:
    """Executions, and the edges and features that the last run of this log had covered."""
    text = log.read_text(encoding="utf-8", errors="replace") if log.exists() else ""
    done = sum(map(int, re.findall(r"number_of_executed_units: (\d+)", text)))
    cov, ft = (re.findall(r"cov: (\d+) ft: (\d+)", text) or [("?", "?")])[-1]
    return f"{done:,} executions, {cov} edges, {ft} features"


def smoke(names: list[str], seconds: float, folder: Path) -> dict[str, str]:
    """atheris over all readers from one process, as starting one for each takes longer than the search."""
    with (folder / "all.log").open("wb") as out:
        subprocess.run([sys.executable, "-m", "tests.fuzz.run", ",".join(names), str(max(1, int(seconds))), str(folder)], stdout=out, stderr=out, check=True)
    return {name: figures(folder / f"{name}.log") for name in names}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz")
    parser.add_argument("readers", nargs="*", metavar="READER", help=f"of {' '.join(TARGETS)}")
    parser.add_argument("--seconds", type=float)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--keep", type=Path)
    told = parser.parse_args()
    if unknown := set(told.readers) - set(TARGETS):
        parser.error(f"no reader {' '.join(sorted(unknown))}: the readers are {' '.join(TARGETS)}")
    readers = told.readers or list(TARGETS)
    seconds = told.seconds or max(1.0, SMOKE / len(readers))
    folder = told.keep or Path(tempfile.mkdtemp(prefix="xaicore-fuzz-"))
    folder.mkdir(parents=True, exist_ok=True)
    atheris = importlib.util.find_spec("atheris") is not None
    if atheris and seconds < 60 and len(readers) > 1:
        for name, told_by in smoke(readers, seconds, folder).items():
            print(f"{name}: {told_by}", flush=True)
    else:
        with ThreadPoolExecutor(told.jobs) as pool:
            for name, told_by in zip(readers, pool.map(lambda name: (guided if atheris else plain)(name, seconds, folder), readers)):
                print(f"{name}: {told_by}", flush=True)
    found = [p for name in readers for p in sorted((folder / f"{name}.found").glob("*")) if not p.name.startswith("slow-unit")]
    print(f"{len(readers)} readers, {len(found)} files of findings{f' in {folder}' if found else ''}, "
          f"{resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss >> 10} MiB at most")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
