"""xaicore's own model file: one JSON document, parameters as base64 of little-endian arrays. Reading it runs nothing."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import numpy as np

from xaicore.errors import FileRefused, GraphError, XaicoreError
from xaicore.graph.graph import DTYPES, Graph, InputSpec, Node, cast
from xaicore.graph.untrusted import Spent, parse_json, read_bytes
from xaicore.numerics import Array
from xaicore.ops import OPS, Op

FORMAT = "xaicore-graph"
VERSION = 1
STORED = ("float64", "float32", "int64", "int32", "bool", "uint8", "int8", "int16", "uint16", "uint32", "uint64")


def save(graph: Graph, path: str | Path) -> None:
    """Writes the graph; the file appears whole or not at all.

    The parameters of an exact graph are stored as float64. Raises GraphError when that would lose something, and for an operator
    that ``load`` would not know.
    """
    path = Path(path)
    document = {
        "format": FORMAT, "version": VERSION, "name": graph.name, "dtype": graph.dtype, "meta": dict(graph.meta),
        "inputs": {k: {"shape": list(s.shape), "kind": s.kind} for k, s in graph.inputs.items()},
        "params": {k: _pack(k, v) for k, v in graph.params.items()},
        "nodes": [{"name": n.name, "op": type(n.op).__name__, "fields": _fields(n), "inputs": list(n.inputs),
                   "layer": n.layer, "origin": n.origin} for n in graph.nodes],
        "outputs": list(graph.outputs),
    }
    text = json.dumps(document, separators=(",", ":"), allow_nan=False)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def load(path: str | Path) -> Graph:
    """Reads what ``save`` wrote; anything else is FileRefused, with what is wrong."""
    path = Path(path)
    document = parse_json(read_bytes(path), path.name)
    if not isinstance(document, dict) or document.get("format") != FORMAT:
        raise FileRefused(f"{path.name} is JSON, but not a model of xaicore (no \"format\": \"{FORMAT}\")")
    if document.get("version") != VERSION:
        raise FileRefused(f"{path.name} has format version {document.get('version')!r}; this release reads version {VERSION}")
    try:
        return _graph(document, Spent(path.name))
    except FileRefused as error:
        raise FileRefused(f"{path.name}: {error}") from None
    except MemoryError:
        raise FileRefused(f"{path.name} asks for more memory than there is") from None
    except KeyError as error:
        raise FileRefused(f"{path.name} is malformed: the entry {error} is missing") from None
    except (TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, binascii.Error, XaicoreError) as error:
        raise FileRefused(f"{path.name} is malformed: {type(error).__name__}: {error}") from None


def _graph(document: dict[str, Any], spent: Spent) -> Graph:
    inputs = {}
    for k, v in document["inputs"].items():
        if v["kind"] not in ("float", "int", "bool"):
            raise ValueError(f"input {k!r} has the kind {v['kind']!r}")
        inputs[k] = InputSpec(tuple(None if n is None else _size(n) for n in v["shape"]), v["kind"])
    dtype = _text(document["dtype"])
    params = {k: _unpack(k, v, spent) for k, v in document["params"].items()}
    if dtype == "exact":
        params = {k: cast(v, dtype) for k, v in params.items()}
    nodes = tuple(Node(_text(n["name"]), _op(n), _texts(n["inputs"]), _text(n["layer"]), _text(n["origin"])) for n in document["nodes"])
    meta = {k: _text(v) for k, v in document["meta"].items()}
    return Graph(inputs, params, nodes, _texts(document["outputs"]), dtype, _text(document["name"]), meta)


def _op(entry: dict[str, Any]) -> Op:
    """An operator from the table of contents and plain fields: nothing is imported or evaluated by name."""
    return op_of(entry, f"node {entry['name']!r}")


def op_of(entry: Mapping[str, Any], who: str) -> Op:
    """The operator of {"op": its name, "fields": its fields}, from the table of contents; ValueError or TypeError where there is none."""
    if entry["op"] not in OPS:
        raise ValueError(f"{who} has the unknown operator {entry['op']!r}; the file may come from a newer release")
    kind = OPS[entry["op"]]
    types = get_type_hints(kind)
    known = {f.name for f in dataclasses.fields(kind)}
    fields = {k: _plain(v) for k, v in entry["fields"].items()}
    for k, v in fields.items():
        if k not in known:
            raise ValueError(f"{who}: {entry['op']} has no field {k!r}")
        if not _fits(v, types[k]):
            raise TypeError(f"{who}: {entry['op']} has {k}={v!r}, which is not a {types[k]}")
    return kind(**fields)


# ----- fields: plain Python values, which JSON nearly knows -----------------------------------------------------------


def _fields(node: Node) -> dict[str, Any]:
    if OPS.get(type(node.op).__name__) is not type(node.op):
        raise GraphError(f"node {node.name!r}: {type(node.op).__name__} is not one of xaicore's own operators, so no file can hold it")
    return fields_of(node.op, f"node {node.name!r}")


def fields_of(op: Op, who: str) -> dict[str, Any]:
    """The fields of an operator as JSON; GraphError names ``who`` where a file cannot hold one."""
    return {f.name: _to_json(getattr(op, f.name), f"{who}: {f.name}") for f in dataclasses.fields(op)}  # type: ignore[arg-type]


def _to_json(value: Any, who: str) -> Any:
    """A field value as JSON: tuples are lists; what JSON has no number for (a fraction, an infinity) is {"number": "1/3"}.

    An operator within an operator (the activation of a recurrent layer) is {"op": its name, "fields": its fields}.
    """
    if isinstance(value, Op) and OPS.get(type(value).__name__) is type(value):
        return {"op": type(value).__name__, "fields": fields_of(value, who)}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, (tuple, list)):
        return [_to_json(v, who) for v in value]
    if isinstance(value, Fraction):
        return {"number": f"{value.numerator}/{value.denominator}"}
    if isinstance(value, float) and math.isinf(value):
        return {"number": str(value)}
    if value is None or isinstance(value, (str, bool, int, float)):
        return value
    raise GraphError(f"{who} is {value!r}, which a file cannot hold; numbers, strings and tuples of them are expected")


def _plain(value: Any) -> Any:
    """The way back from ``_to_json``."""
    if isinstance(value, list):
        return tuple(_plain(v) for v in value)
    if isinstance(value, dict) and sorted(value) == ["fields", "op"]:
        return op_of(value, "a field")
    if isinstance(value, dict) and list(value) == ["number"]:
        text = _text(value["number"])
        over, slash, under = text.partition("/")
        if slash:
            return Fraction(int(over), int(under))                      # Fraction("1e999999999") would fill the memory
        if text in ("inf", "-inf"):
            return float(text)
    elif isinstance(value, int) and not isinstance(value, bool):
        if abs(value) <= 2**63:
            return value
    elif value is None or isinstance(value, (str, bool)) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise ValueError(f"{value!r} is not a field value")


def _fits(value: Any, hint: Any) -> bool:
    """Has a field the type that its operator declares? A whole number and a fraction pass as floats, a bool as neither."""
    origin, args = get_origin(hint), get_args(hint)
    if origin in (Union, UnionType):
        return any(_fits(value, one) for one in args)
    if origin is Literal:
        return value in args
    if origin is tuple:
        if not isinstance(value, tuple) or (args[-1] is not Ellipsis and len(value) != len(args)):
            return False
        return all(_fits(v, one) for v, one in zip(value, args if args[-1] is not Ellipsis else args[:1] * len(value)))
    if isinstance(value, bool):
        return hint is bool
    return isinstance(value, (int, float, Fraction) if hint is float else hint)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} stands where a string is expected")
    return value


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"{value!r} stands where a list of names is expected")
    return tuple(_text(v) for v in value)


# ----- arrays ---------------------------------------------------------------------------------------------------------


def _size(n: Any) -> int:
    if not isinstance(n, int) or isinstance(n, bool) or not 0 <= n < 2**31:
        raise ValueError(f"{n!r} is not a size")
    return n


def _pack(name: str, value: Array) -> dict[str, Any]:
    if value.dtype == object:
        try:
            floats = value.astype("float64")
        except OverflowError:
            raise GraphError(f"parameter {name!r} holds rationals beyond the largest float, and the file stores floats") from None
        if any(a != b for a, b in zip(value.reshape(-1), floats.reshape(-1).tolist())):
            raise GraphError(f"parameter {name!r} holds rationals that are no binary float, such as 1/3, and the file stores floats")
        value = floats
    stored = np.ascontiguousarray(value).astype(value.dtype.newbyteorder("<"), copy=False)
    return {"dtype": str(value.dtype), "shape": list(value.shape), "data": base64.b64encode(stored.tobytes()).decode("ascii")}


def _unpack(name: str, entry: dict[str, Any], spent: Spent) -> Array:
    if entry["dtype"] not in STORED:
        raise ValueError(f"parameter {name!r} has the dtype {entry['dtype']!r}")
    shape = tuple(_size(n) for n in entry["shape"])
    raw = base64.b64decode(entry["data"], validate=True)
    dtype = np.dtype(entry["dtype"]).newbyteorder("<")
    if len(raw) != math.prod(shape) * dtype.itemsize:
        needed = math.prod(shape) * dtype.itemsize
        raise ValueError(f"parameter {name!r}: shape {shape} of {entry['dtype']} takes {needed} bytes, {len(raw)} are there")
    spent.add(len(raw), f"parameter {name!r}")
    if entry["dtype"] == "bool" and raw.strip(b"\0\1"):
        raise ValueError(f"parameter {name!r} is bool, and holds bytes other than 0 and 1")
    return np.frombuffer(raw, dtype).reshape(shape).astype(np.dtype(entry["dtype"]))


__all__ = ["DTYPES", "fields_of", "load", "op_of", "save"]
