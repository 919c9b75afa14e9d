"""What a worker does with a shard: load the model once, explain each item by itself, hand back bytes and rows.

Everything here is at module level and every argument is plain, so that threads, spawned processes, MPI and Dask take it alike.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.errors import FileRefused, XaicoreError
from xaicore.graph.graph import Graph
from xaicore.graph.untrusted import limited
from xaicore.methods.attribution import Attribution
from xaicore.methods.explain import explain
from xaicore.methods.table import METHODS
from xaicore.numerics import Array


@dataclass(frozen=True)
class ModelRef:
    """A model file and its SHA-256 sum: what a worker loads, and how it knows that it is the same model."""

    path: str
    sha256: str
    dtype: str = "float64"
    max_bytes: int | None = None

    @staticmethod
    def of(path: str | Path, dtype: str = "float64", max_bytes: int | None = None) -> ModelRef:
        """The reference to a file as it is now; FileRefused when it cannot be read."""
        return ModelRef(str(Path(path).absolute()), sha256_of(Path(path)), dtype, max_bytes)

    def graph(self) -> Graph:
        """The model, loaded once in each process. FileRefused when the file is another one than it was."""
        return _loaded(self)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise FileRefused(f"{path} cannot be read ({error.strerror or error}); every worker needs the file under this path") from None
    return digest.hexdigest()


@lru_cache(maxsize=2)
def _loaded(model: ModelRef) -> Graph:
    from xaicore.plugins import load

    path = Path(model.path)
    found = sha256_of(path)
    if found != model.sha256:
        raise FileRefused(f"{path} has the SHA-256 sum {found[:16]}..., and this run began with {model.sha256[:16]}...: the file changed. "
                          f"Begin anew in another folder")
    with limited(model.max_bytes):
        return load(path, dtype=model.dtype)


@dataclass(frozen=True)
class Question:
    """What is asked about every item: label -> (method id, settings), and what ``explain`` takes besides."""

    methods: Mapping[str, tuple[str, Mapping[str, Any]]]
    options: Mapping[str, Any]
    seed: int
    read: Any
    on_error: str = "record"


def seed_of(seed: int, item: int) -> int:
    """The seed of an item: its own, whatever shard, order or machine it comes in."""
    return int(np.random.SeedSequence([seed, item]).generate_state(1, np.uint32)[0])


def shard(model: ModelRef, question: Question, items: Sequence[tuple[int, str, Any]]) -> tuple[dict[str, Array], list[dict[str, Any]]]:
    """The arrays and the rows of some items. An item that fails is a row with its error; a model that cannot be loaded is an exception."""
    graph = model.graph()
    arrays: dict[str, Array] = {}
    rows = []
    for index, name, item in items:
        try:
            found = _answers(graph, question, index, item, model.max_bytes)
            own, row = _recorded(index, name, found)
        except Exception as error:                                      # whatever a poisoned item does, the others keep their results
            if question.on_error == "raise":
                raise
            text = str(error) if isinstance(error, (XaicoreError, MemoryError)) else f"unexpected: {error}"
            own, row = {}, {"item": index, "name": name, "status": "error", "type": type(error).__name__, "message": text[:2000]}
        arrays.update(own)
        rows.append(row)
    return arrays, rows


def _answers(graph: Graph, question: Question, index: int, item: Any, max_bytes: int | None) -> dict[str, Attribution]:
    with limited(max_bytes):
        feeds = question.read(item, graph) if isinstance(item, (str, Path)) else item
    out = {}
    for label, (method, settings) in question.methods.items():
        own = dict(settings)
        if "seed" in METHODS[method].settings:
            own["seed"] = seed_of(int(own.get("seed", question.seed)), index)
        out[label] = explain(graph, feeds, method, **question.options, **own)
    return out


def _recorded(index: int, name: str, found: Mapping[str, Attribution]) -> tuple[dict[str, Array], dict[str, Any]]:
    """An item's arrays by name, and its row: what was explained, and a sum over the bytes of its arrays."""
    arrays, digest = {}, hashlib.sha256()
    for label, a in found.items():
        for key, value in a.values.items():
            x = np.ascontiguousarray(value.astype(float) if value.dtype == object else value)
            x = x.astype(x.dtype.newbyteorder("<"), copy=False)
            arrays[f"{index}/{label}" if len(a.values) == 1 else f"{index}/{label}/{key}"] = x
            digest.update(x.tobytes())
    return arrays, {
        "item": index, "name": name, "status": "done", "sha256": digest.hexdigest(),
        "methods": {label: {"explained": a.explained, "output": [float(v) for v in a.output], "total": [float(v) for v in a.total()]}
                    for label, a in found.items()},
    }
