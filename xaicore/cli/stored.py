"""Reading attributions that are there already: .npy, .npz, .json, .safetensors -> arrays by name. Nothing that is read is executed."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.cli.inputs import TEXT, _found, _npy, _npz
from xaicore.errors import FileRefused, UnknownName, nearest
from xaicore.graph.untrusted import Spent, open_regular, parse_json, read_bytes
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
        with open_regular(path) as stream:
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
    document = parse_json(read_bytes(path, TEXT), path.name)
    if isinstance(document, dict) and isinstance(document.get("results"), list):
        try:
            document = {f"{r['label']}{'/' + k if len(r['values']) > 1 else ''}": v
                        for r in document["results"] for k, v in r["values"].items()}
        except (KeyError, TypeError, AttributeError) as error:
            raise FileRefused(f"{path.name} has results that are not as xaicore explain -o writes them: {type(error).__name__} "
                              f"{error}") from None
    given: dict[str, Any] = document if isinstance(document, dict) else {"": document}
    out = {}
    for k, v in given.items():
        try:
            out[k] = np.asarray(v)
        except (ValueError, OverflowError):
            raise FileRefused(f"{path.name}{f', entry {k!r}' if k else ''}: a nested list with rows of equal length is expected") from None
    return out


KINDS = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1", "U8": "u1", "BOOL": "?"}


def _safetensors(path: Path) -> dict[str, Array]:
    """The safetensors format: 8 bytes for the length of a JSON header, the header, the arrays; every offset is checked first."""
    size = path.stat().st_size
    with open_regular(path) as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, TEXT):
            raise FileRefused(f"{path.name} is no safetensors file: its header would have {length:,} bytes, the file has {size:,}")
        header = parse_json(stream.read(length), f"{path.name}: its header")
        try:
            header.pop("__metadata__", None)
            entries = {k: (np.dtype(KINDS[v["dtype"]]), _sizes(v["shape"]), _sizes(v["data_offsets"])) for k, v in header.items()}
            order = sorted((start, end, k) for k, (_, _, (start, end)) in entries.items())
        except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
            raise FileRefused(f"{path.name} has a header that cannot be read: {type(error).__name__} {str(error)[:200]}") from None
        out, spent, free = {}, Spent(path.name), 0
        for start, end, k in order:
            dtype, shape, _ = entries[k]
            count = math.prod(shape) * dtype.itemsize
            if not start <= end <= size - 8 - length or end - start != count or max(shape, default=0) > size or len(shape) > 32:
                raise FileRefused(f"{path.name}: {k!r} claims bytes {start} to {end} for shape {shape} of {dtype}, which do not fit")
            if start < free:
                raise FileRefused(f"{path.name}: {k!r} claims bytes {start} to {end}, which overlap those of another array")
            free = end
            spent.add(count, f"{path.name}: {k!r}")
            stream.seek(8 + length + start)
            out[k] = np.frombuffer(stream.read(count), dtype).reshape(shape).astype(dtype.newbyteorder("="))
    return {k: out[k] for k in entries}


def _sizes(given: Any) -> tuple[int, ...]:
    """A list of whole numbers from 0; ValueError for anything else."""
    if not isinstance(given, list) or not all(type(n) is int and 0 <= n < 2**62 for n in given):
        raise ValueError(f"{given!r:.100} is no list of sizes")
    return tuple(given)
