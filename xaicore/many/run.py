"""``explain_many``: shards of items through an executor, with a bounded window, and each result on the disk as soon as it is there."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.errors import InputError, UnknownName, XaicoreError, nearest
from xaicore.graph.files import save
from xaicore.graph.graph import Graph
from xaicore.many.store import Folder, Many, rows_of
from xaicore.many.task import ModelRef, Question, sha256_of, shard
from xaicore.methods.table import METHODS

WINDOW = 2
"""Shards that wait for each worker: enough that none is idle, few enough that their inputs fit into the memory."""


@dataclass(frozen=True)
class Status:
    """How far a run is. ``rate`` is items a second in this run, ``left`` the seconds that the rest takes at that rate."""

    done: int
    failed: int
    items: int
    seconds: float
    rate: float
    left: float

    def __str__(self) -> str:
        failed = f", {self.failed} failed" if self.failed else ""
        hours, rest = divmod(round(self.left), 3600)
        return f"{self.done:,} of {self.items:,}{failed}   {self.rate:.3g}/s   {hours}:{rest // 60:02d}:{rest % 60:02d} left"


def explain_many(
    model: str | Path | Graph, items: Sequence[Any], methods: Sequence[Any] | Mapping[str, Any], *, out: str | Path,
    executor: Executor | None = None, resume: bool = True, shard_size: int = 16, window: int | None = None, seed: int = 0,
    on_error: str = "record", progress: Callable[[Status], Any] | None = None, read: Callable[[str, Graph], Any] | None = None,
    dtype: str = "float64", max_bytes: int | None = None, **options: Any,
) -> Many:
    """Explains every item by every method, into a folder; the same call again goes on where it was interrupted.

    model      a model file that all workers can read; a Graph is saved into the folder first
    items      paths of inputs (as the command line reads them), arrays or mappings as ``explain`` takes them (a batch each);
               one array is as many items as it has rows
    methods    ids, or pairs (id, settings); a mapping label -> one of these names them itself
    out        the folder: run.json, part-00000.safetensors ..., index.jsonl with a line for each item
    executor   any concurrent.futures.Executor (threads, spawned processes, loky, MPI, Dask's Client.get_executor()); None: here, in order
    resume     False: a folder that holds a run is an error
    shard_size items of a task and of a file;  window  tasks that are submitted at once (default: two for each worker)
    seed       of methods that draw: an item's own seed comes from this and its place, so that its bytes depend on neither
               executor nor order nor shard_size
    on_error   "record": an item that fails is a row of the index, "raise": the first failure ends the run
    progress   called with a Status after each shard
    read       (path, graph) -> feeds, at module level of a module that the workers can import (default: as the command line)
    options    target, output, layer, batch_size, wrt, speed: of ``explain``

    Raises InputError for a folder of another run (another model, other items, settings or seed), UnknownName for methods and
    settings, FileRefused for a model that cannot be loaded or changed meanwhile, XaicoreError when the workers are gone (the finished
    shards are kept). Equal bits on several machines need equal NumPy, BLAS and thread numbers; OPENBLAS_NUM_THREADS=1 is best.
    """
    started = time.monotonic()
    for name, value in (("shard_size", shard_size), ("window", 1 if window is None else window)):
        if not isinstance(value, int) or isinstance(value, bool) or value < 1:
            raise InputError(f"{name}={value!r} must be a whole number from 1")
    if on_error not in ("record", "raise"):
        raise UnknownName(f"on_error={on_error!r}: 'record' or 'raise'")
    asked = _asked(methods)
    named = _named(items)
    question = Question(asked, options, int(seed), read or _read, on_error)
    folder = Folder(out)
    reference = _reference(model, folder, dtype, max_bytes)
    manifest = _manifest(reference, asked, options, seed, named, shard_size)
    there = folder.begin(manifest, resume)
    reference.graph()                                                   # a model that cannot be read is told at once
    numbers = [k for k in range((len(named) + shard_size - 1) // shard_size) if k not in there]
    skipped = failed = 0
    for path in there.values():
        rows = rows_of(path)
        skipped, failed = skipped + len(rows), failed + sum(r["status"] != "done" for r in rows)
    finished = 0
    try:
        for number, (arrays, rows) in _results(executor, reference, question, named, numbers, shard_size, window):
            folder.add(number, arrays, rows)
            finished, failed = finished + len(rows), failed + sum(r["status"] != "done" for r in rows)
            if progress is not None:
                seconds = time.monotonic() - started
                rate = finished / seconds if seconds else 0.0
                left = (len(named) - skipped - finished) / rate if rate else 0.0
                progress(Status(skipped + finished, failed, len(named), seconds, rate, left))
    finally:
        done, failed = folder.finish()
    return Many(folder.path, len(named), done, failed, skipped, time.monotonic() - started)


def _read(path: str, graph: Graph) -> Any:
    from xaicore.cli.inputs import read_input

    return read_input(path, graph)


# ----- what is asked ----------------------------------------------------------------------------------------------------


def _asked(methods: Any) -> dict[str, tuple[str, Mapping[str, Any]]]:
    """Label -> (id, settings), each known before anything runs."""
    if isinstance(methods, str) or not isinstance(methods, (Mapping, list, tuple)) or not methods:
        raise InputError(f"methods={methods!r:.60} must be a list of method ids or pairs (id, settings), or a mapping from labels to these")
    pairs = methods.items() if isinstance(methods, Mapping) else [(None, m) for m in methods]
    out: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for label, given in pairs:
        method, settings = given if isinstance(given, tuple) and len(given) == 2 else (given, {})
        if not isinstance(method, str) or method not in METHODS:
            raise UnknownName(f"no method is called {method!r}: {nearest(str(method), METHODS)}; a RuleSet goes through explain")
        for k in settings:
            if k not in METHODS[method].settings:
                raise UnknownName(f"{method} has no setting {k!r}: {nearest(k, METHODS[method].settings)}")
        shown = str(method if label is None else label)
        if shown in out or "/" in shown:
            raise InputError(f"the label {shown!r} stands twice or has a slash; give a mapping with a label for each method")
        out[shown] = (method, dict(settings))
    return out


def _named(items: Any) -> list[tuple[int, str, Any]]:
    """(place, name, item) of every item."""
    if isinstance(items, (str, Path)):
        raise InputError(f"items={str(items)!r:.60} is one path; give a list of paths (sorted(Path(folder).glob('*.png')))")
    if isinstance(items, np.ndarray):
        return [(k, f"row {k}", items[k:k + 1]) for k in range(len(items))]
    out = []
    for k, item in enumerate(items):
        path = isinstance(item, (str, Path))
        out.append((k, str(item) if path else f"item {k}", str(Path(item).absolute()) if path else item))
    if not out:
        raise InputError("there are no items; give at least one path or array")
    return out


def _reference(model: Any, folder: Folder, dtype: str, max_bytes: int | None) -> ModelRef:
    if not isinstance(model, Graph):
        return ModelRef.of(model, dtype, max_bytes)
    folder.path.mkdir(parents=True, exist_ok=True)
    path, fresh = folder.path / "model.json", folder.path / ".model.json"
    save(model, fresh)
    if path.exists() and sha256_of(path) != sha256_of(fresh):
        fresh.unlink()
        raise InputError(f"{folder.path} holds a run of another model; give another folder")
    fresh.replace(path)
    return ModelRef.of(path, model.dtype, max_bytes)


def _manifest(model: ModelRef, asked: Any, options: Any, seed: int, named: Sequence[tuple[int, str, Any]], size: int) -> dict[str, Any]:
    """What makes two runs the same, as JSON."""
    digest = hashlib.sha256()
    for _, name, item in named:
        digest.update(name.encode("utf-8", "replace") + b"\0" + (b"" if isinstance(item, str) else _bytes(item)))
    asks = {label: {"method": m, "settings": {k: _plain(v) for k, v in s.items()}} for label, (m, s) in asked.items()}
    made = {"format": "xaicore-many", "version": 1, "model": {"name": Path(model.path).name, "sha256": model.sha256, "dtype": model.dtype},
            "methods": asks, "options": {k: _plain(v) for k, v in options.items()}, "seed": int(seed), "items": len(named),
            "items_sha256": digest.hexdigest(), "shard": size}
    return dict(json.loads(json.dumps(made)))


def _bytes(item: Any) -> bytes:
    if isinstance(item, Mapping):
        return b"".join(str(k).encode() + _bytes(item[k]) for k in sorted(item))
    if isinstance(item, (tuple, list)) and any(isinstance(v, np.ndarray) for v in item):
        return b"".join(_bytes(v) for v in item)
    x = np.asarray(item)
    return f"{x.dtype.str}{x.shape}".encode() + (repr(x.tolist()).encode() if x.dtype == object else np.ascontiguousarray(x).tobytes())


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    if callable(value):
        raise InputError(f"{value!r:.60} is a function, which a run cannot record; give a number, a text or an array")
    plain = isinstance(value, (list, tuple)) and all(isinstance(v, (str, int, float)) for v in value)
    if isinstance(value, (np.ndarray, Mapping, list, tuple)) and not plain:
        return {"sha256": hashlib.sha256(_bytes(value)).hexdigest()}
    return [_plain(v) for v in value] if isinstance(value, (list, tuple)) else str(value)


# ----- the executor -----------------------------------------------------------------------------------------------------


def _results(
    executor: Executor | None, model: ModelRef, question: Question, named: Sequence[tuple[int, str, Any]], numbers: Sequence[int],
    size: int, window: int | None,
) -> Iterator[tuple[int, tuple[Any, Any]]]:
    """(number, what ``shard`` gave) of each shard as it is finished; no more than a window of them is under way."""
    def part(k: int) -> Sequence[tuple[int, str, Any]]:
        return named[k * size:(k + 1) * size]

    if executor is None:
        for k in numbers:
            yield k, shard(model, question, part(k))
        return
    wide = window or WINDOW * _workers(executor)
    pending: dict[Future[Any], int] = {}
    left = iter(numbers)
    gone: Exception | None = None
    try:
        while True:
            while gone is None and len(pending) < wide and (n := next(left, None)) is not None:
                try:
                    pending[executor.submit(shard, model, question, part(n))] = n
                except Exception as error:
                    gone = _gone(error)
            if not pending:
                break
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                number = pending.pop(future)
                try:
                    found = future.result()
                except Exception as error:                              # what others have finished is still taken
                    gone = gone or _gone(error)
                    continue
                yield number, found
    finally:
        for future in pending:
            future.cancel()
    if gone is not None:
        raise gone


def _gone(error: BaseException) -> Exception:
    """The end of a run whose workers are gone, in words; any other error as it is."""
    if type(error).__name__ not in ("BrokenProcessPool", "TerminatedWorkerError", "KilledWorker", "CancelledError", "BrokenExecutor"):
        if isinstance(error, Exception):
            return error
        raise error
    made = XaicoreError(f"a worker ended while it explained ({type(error).__name__}: {error}). What is finished is kept: run the same call "
                        f"again to go on. If one shard always ends it, executor=None shows the item")
    made.__cause__ = error
    return made


def _workers(executor: Executor) -> int:
    """How many tasks an executor runs at once, where it says so; else 4."""
    for name in ("_max_workers", "max_workers"):
        if isinstance(found := getattr(executor, name, None), int) and found > 0:
            return found
    client = getattr(executor, "_client", None)                         # Dask's
    try:
        return max(1, sum(client.ncores().values())) if client is not None else 4
    except Exception:
        return 4
