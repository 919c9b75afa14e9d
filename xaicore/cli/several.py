"""xaicore explain with several inputs: a folder of results that the same command goes on with, progress, a row for each failure."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xaicore.cli.pixels import pixels_of

if TYPE_CHECKING:
    from concurrent.futures import Executor

    from xaicore.cli.shared import Request
    from xaicore.many.run import Status

ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


def names(given: Sequence[str]) -> list[str] | None:
    """The files that were named, patterns filled in, in order; None for one file without a pattern. InputError for a pattern of none."""
    from glob import glob

    from xaicore.errors import InputError

    found: list[str] = []
    for one in given:
        if Path(one).exists() or not any(c in one for c in "*?["):
            found.append(one)
            continue
        fitting = sorted(glob(one, recursive=True))
        if not fitting:
            raise InputError(f"no file fits {one!r}")
        found += fitting
    return None if len(given) == 1 and found == list(given) else list(dict.fromkeys(found))


def run(args: argparse.Namespace, files: Sequence[str], wanted: Sequence[Request]) -> int:
    """Explains all files into a folder; exit code 1 when some failed."""
    from xaicore.cli import shared
    from xaicore.cli.settings import from_files
    from xaicore.data import digits_path
    from xaicore.graph.untrusted import max_bytes
    from xaicore.many import explain_many

    folder = _folder(args)
    pixels = pixels_of(args)
    path = str(digits_path()) if args.model == shared.SHIPPED and not Path(args.model).exists() else args.model
    graph = shared.open_model(args.model, args.dtype)
    baseline = _baseline(args.baseline, wanted)
    methods = {one.label.replace("/", ":"): (one.method, {**_own(one.method, baseline),
                                                          **from_files(one.settings, graph, pixels, graph.dtype)}) for one in wanted}
    options = {"target": shared.target(args.target), "output": args.output, "layer": args.layer, "batch_size": args.batch_size}
    with _executor(args.jobs) as executor, _told(len(files)) as tell:
        found = explain_many(path, files, methods, out=folder, executor=executor, resume=not args.afresh, seed=args.seed, dtype=args.dtype,
                             progress=tell, read=partial(_read, pixels=pixels), max_bytes=max_bytes(),
                             **{k: v for k, v in options.items() if v is not None})
    if args.json:
        shared.dump({"folder": str(found.folder), "items": found.items, "done": found.done, "failed": found.failed, "kept": found.skipped})
    else:
        kept = f", {found.skipped:,} of them before" if found.skipped else ""
        shared.say(f"{found.folder}: {found.done:,} of {found.items:,} items explained{kept}, {found.failed:,} failed, "
                   f"{found.seconds:.1f} s; index.jsonl has a line for each")
        for row in (r for r, _ in zip((r for r in found.rows() if r["status"] != "done"), range(5))):
            shared.say(f"  {row['name']}: {row['type']}: {row['message']}")
    return 1 if found.failed else 0


def _read(path: str, graph: Any, pixels: Any) -> Any:
    from xaicore.cli.inputs import IMAGES, read_input

    return read_input(path, graph, pixels if Path(path).suffix.lower() in IMAGES else None)


def _folder(args: argparse.Namespace) -> Path:
    from xaicore.errors import InputError

    if len(args.out) != 1 or (Path(args.out[0]).suffix and not Path(args.out[0]).is_dir()):
        raise InputError("several inputs go into a folder: -o FOLDER, once")
    for option, why in (("background", "give it as a setting, -m METHOD:background=file.npy"), ("trace", "explain one input"),
                        ("over", "explain one input"), ("one_scale", "explain one input")):
        if getattr(args, option):
            raise InputError(f"--{option.replace('_', '-')} is for one input; {why}")
    return Path(args.out[0])


def _baseline(text: str | None, wanted: Sequence[Request]) -> float | None:
    from xaicore.errors import InputError
    from xaicore.methods.table import METHODS

    if text is None:
        return None
    if not any(METHODS[one.method].baseline for one in wanted):
        raise InputError(f"--baseline {text}: none of the chosen methods compares with a baseline")
    try:
        return 0.0 if text == "zero" else float(text)
    except ValueError:
        raise InputError(f"--baseline {text!r} with several inputs is a number or zero; give an array as a setting, "
                         f"-m METHOD:baseline=file.npy") from None


def _own(method: str, baseline: float | None) -> dict[str, Any]:
    from xaicore.methods.table import METHODS

    return {"baseline": baseline} if baseline is not None and METHODS[method].baseline else {}


@contextmanager
def _executor(jobs: int | None) -> Iterator[Executor | None]:
    """Spawned processes with one thread of BLAS each; None for one job."""
    from xaicore.errors import InputError

    if jobs is not None and jobs < 1:
        raise InputError(f"--jobs {jobs}: at least 1 is expected")
    if jobs in (None, 1):
        yield None
        return
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    before = {k: os.environ.get(k) for k in ONE_THREAD}
    os.environ.update({k: "1" for k in ONE_THREAD if k not in os.environ})
    pool = ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn"))
    try:
        yield pool
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        for k, v in before.items():
            if v is None:
                os.environ.pop(k, None)


@contextmanager
def _told(count: int) -> Iterator[Any]:
    """Progress on stderr: one line that is written over in a terminal, a line now and then elsewhere; the last one on the way out."""
    import time

    last: dict[str, Any] = {"time": 0.0, "line": "", "shown": ""}
    terminal = sys.stderr.isatty()

    def tell(status: Status) -> None:
        last["line"] = str(status)
        if time.monotonic() - last["time"] > (0.2 if terminal else 10):
            last["time"], last["shown"] = time.monotonic(), last["line"]
            print(f"\r\x1b[K{status}" if terminal else str(status), end="" if terminal else "\n", file=sys.stderr, flush=True)

    try:
        yield tell
    finally:
        if last["line"] and (terminal or last["line"] != last["shown"]):
            print(f"\r\x1b[K{last['line']}" if terminal else last["line"], file=sys.stderr, flush=True)
