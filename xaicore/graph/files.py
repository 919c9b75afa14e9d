"""xaicore's own model file: one JSON document, parameters as base64 of little-endian arrays. Reading it runs nothing."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.errors import FileRefused, GraphError
from xaicore.graph.graph import DTYPES, Graph, InputSpec, Node
from xaicore.numerics import Array
from xaicore.ops import OPS, Op

FORMAT = "xaicore-graph"
VERSION = 1
STORED = ("float64", "float32", "int64", "int32", "bool", "uint8", "int8", "int16", "uint16", "uint32", "uint64")
LARGEST = 2**31                                                         # bytes; a larger model belongs into ONNX


def save(graph: Graph, path: str | Path) -> None:
    """Writes the graph; the file appears whole or not at all. An exact graph is stored as float64 if that loses nothing."""
    path = Path(path)
    document = {
        "format": FORMAT, "version": VERSION, "name": graph.name, "dtype": graph.dtype, "meta": dict(graph.meta),
        "inputs": {k: {"shape": list(s.shape), "kind": s.kind} for k, s in graph.inputs.items()},
        "params": {k: _pack(k, v) for k, v in graph.params.items()},
        "nodes": [{"name": n.name, "op": type(n.op).__name__, "fields": dataclasses.asdict(n.op), "inputs": list(n.inputs),
                   "layer": n.layer, "origin": n.origin} for n in graph.nodes],
        "outputs": list(graph.outputs),
    }
    part = path.with_name(path.name + ".part")
    part.write_text(json.dumps(document, separators=(",", ":")), encoding="utf-8")
    part.replace(path)


def load(path: str | Path) -> Graph:
    """Reads what ``save`` wrote; anything else is FileRefused, with what is wrong."""
    path = Path(path)
    if path.stat().st_size > LARGEST:
        raise FileRefused(f"{path.name} has {path.stat().st_size:,} bytes; more than {LARGEST:,} are not read")
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise FileRefused(f"{path.name} is not a JSON document ({error}); it may be truncated or of another kind") from None
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FileRefused(f"{path.name} is JSON, but not a model of xaicore (no \"format\": \"{FORMAT}\")")
    if document.get("version") != VERSION:
        raise FileRefused(f"{path.name} has format version {document.get('version')!r}; this release reads version {VERSION}")
    try:
        return _graph(document)
    except (KeyError, TypeError, ValueError, AttributeError, binascii.Error, GraphError) as error:
        raise FileRefused(f"{path.name} is malformed: {type(error).__name__}: {error}") from None


def _graph(document: dict[str, Any]) -> Graph:
    inputs = {}
    for k, v in document["inputs"].items():
        if v["kind"] not in ("float", "int", "bool"):
            raise ValueError(f"input {k!r} has the kind {v['kind']!r}")
        inputs[k] = InputSpec(tuple(None if n is None else _size(n) for n in v["shape"]), v["kind"])
    params = {k: _unpack(k, v) for k, v in document["params"].items()}
    nodes = tuple(Node(str(n["name"]), _op(n), tuple(map(str, n["inputs"])), str(n["layer"]), str(n["origin"])) for n in document["nodes"])
    meta = {str(k): str(v) for k, v in document["meta"].items()}
    return Graph(inputs, params, nodes, tuple(document["outputs"]), document["dtype"], str(document["name"]), meta)


def _op(entry: dict[str, Any]) -> Op:
    """An operator from the table of contents and plain fields: nothing is imported or evaluated by name."""
    if entry["op"] not in OPS:
        raise ValueError(f"node {entry['name']!r} has the unknown operator {entry['op']!r}; the file may come from a newer release")
    kind = OPS[entry["op"]]
    known = {f.name for f in dataclasses.fields(kind)}
    strange = set(entry["fields"]) - known
    if strange:
        raise ValueError(f"node {entry['name']!r}: {entry['op']} has no field {sorted(strange)[0]!r}")
    return kind(**{k: _plain(v) for k, v in entry["fields"].items()})


def _plain(value: Any) -> Any:
    """JSON back to field values: lists are tuples, the rest numbers, strings, None."""
    if isinstance(value, list):
        return tuple(_plain(v) for v in value)
    if value is None or isinstance(value, (str, bool, int)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"{value!r} is not a field value")


def _size(n: Any) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n < 2**31:
        raise ValueError(f"{n!r} is not a size")
    return n


def _pack(name: str, value: Array) -> dict[str, Any]:
    if value.dtype == object:
        floats = value.astype("float64")
        if any(a != b for a, b in zip(value.reshape(-1), floats.reshape(-1).tolist())):
            raise GraphError(f"parameter {name!r} holds rationals that are no binary float, such as 1/3, and the file stores floats")
        value = floats
    stored = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
    return {"dtype": str(value.dtype), "shape": list(value.shape), "data": base64.b64encode(stored.tobytes()).decode("ascii")}


def _unpack(name: str, entry: dict[str, Any]) -> Array:
    if entry["dtype"] not in STORED:
        raise ValueError(f"parameter {name!r} has the dtype {entry['dtype']!r}")
    shape = tuple(_size(n) for n in entry["shape"])
    raw = base64.b64decode(entry["data"], validate=True)
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    if len(raw) != math.prod(shape) * dtype.itemsize:
        needed = math.prod(shape) * dtype.itemsize
        raise ValueError(f"parameter {name!r}: shape {shape} of {entry['dtype']} takes {needed} bytes, {len(raw)} are there")
    return np.frombuffer(raw, dtype).reshape(shape).astype(np.dtype(entry["dtype"]))


__all__ = ["DTYPES", "load", "save"]
