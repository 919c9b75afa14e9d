"""Reading attributions that are there already: .npy, .npz, .json, .safetensors -> arrays by name. Nothing that is read is executed."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.cli.inputs import ARRAYS, TEXT, _found, _npy, _npz, _opened, _text
from xaicore.errors import FileRefused, UnknownName, nearest
from xaicore.numerics import Array

STORED = (".npy", ".npz", ".json", ".safetensors")


def read_arrays(name: str) -> dict[str, Array]:
    """The arrays of a file by name ("" for one without), as another program or ``xaicore explain -o`` wrote them; FILE#NAME takes one.

    Of what xaicore wrote only the attributions are read. Raises FileRefused for a file that is not what its name says, UnknownName for
    an array that it does not hold.
    """
    file, sharp, wanted = name.partition("#")
    path = _found(file)
    kind = path.suffix.lower()
    if kind not in STORED:
        raise FileRefused(f"{name} is no side of a comparison: a file is one of {' '.join(STORED)} (other sides: xaicore compare --help)")
    if kind == ".npy":
        with _opened(path) as stream:
            arrays = {"": _npy(stream, path.stat().st_size, path.name)}
    elif kind == ".npz":
        arrays = {k: v for k, v in _npz(path, ("about.npy",)).items() if not k.startswith("x/")}
    elif kind == ".safetensors":
        arrays = {k: v for k, v in _safetensors(path).items() if not k.startswith("x/")}
    else:
        arrays = _attributions(path)
    if sharp:
        if wanted not in arrays:
            raise UnknownName(f"{path.name} holds no {wanted!r}: {nearest(wanted, arrays)}")
        return {"": arrays[wanted]}
    return arrays


def _attributions(path: Path) -> dict[str, Array]:
    """A nested list, a mapping of names to such (rationals as "p/q"), or the .json that ``xaicore explain -o`` wrote."""
    try:
        document = json.loads(_text(path))
    except (json.JSONDecodeError, RecursionError) as error:
        raise FileRefused(f"{path.name} is not a JSON document: {error}") from None
    if isinstance(document, dict) and isinstance(document.get("results"), list):
        values = {f"{r['label']}{'/' + k if len(r['values']) > 1 else ''}": v for r in document["results"] for k, v in r["values"].items()}
        document = values
    given: dict[str, Any] = document if isinstance(document, dict) else {"": document}
    out = {}
    for k, v in given.items():
        try:
            out[k] = np.asarray(v)
        except ValueError:
            raise FileRefused(f"{path.name}{f', entry {k!r}' if k else ''}: a nested list with rows of equal length is expected") from None
    return out


KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}


def _safetensors(path: Path) -> dict[str, Array]:
    """The safetensors format: 8 bytes for the length of a JSON header, the header, the arrays; every offset is checked first."""
    size = path.stat().st_size
    with _opened(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, TEXT):
            raise FileRefused(f"{path.name} is no safetensors file: its header would have {length:,} bytes, the file has {size:,}")
        try:
            header = json.loads(stream.read(length))
            header.pop("__metadata__", None)
            entries = {k: (np.dtype(KINDS[v["dtype"]]), tuple(int(n) for n in v["shape"]), int(v["data_offsets"][0]),
                           int(v["data_offsets"][1])) for k, v in header.items()}
        except (ValueError, RecursionError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise FileRefused(f"{path.name} has a header that cannot be read: {type(error).__name__} {error}") from None
        out = {}
        for k, (dtype, shape, start, end) in entries.items():
            count = math.prod(shape) * dtype.itemsize
            if any(n < 0 for n in shape) or not 0 <= start <= end <= size - 8 - length or end - start != count or count > ARRAYS:
                raise FileRefused(f"{path.name}: {k!r} claims bytes {start} to {end} for shape {shape} of {dtype}, which do not fit")
            stream.seek(8 + length + start)
            out[k] = np.frombuffer(stream.read(count), dtype).reshape(shape).astype(dtype.newbyteorder("="))
    return out
