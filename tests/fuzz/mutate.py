"""Changes of files that stay files: a value of a JSON document, a field of an ONNX message, a member of a zip (with a checksum that holds).

Coverage-guided search over bytes alone seldom passes a checksum or a closing bracket. ``changed(name, data, random, mutate)`` parses, changes one
place or a few, and writes again; half of the time, and wherever the bytes do not parse, it is ``mutate(bytes)``, which atheris gives.
"""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from random import Random
from typing import Any

Mutate = Callable[[bytes], bytes]
STRANGE: list[Any] = [None, True, False, -1, 0, 1, 2, 7, 2**31, 2**32, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, 1e308, "", "x", "1/3", "1e999999999", "1/0", "\x00", "../x",
                      [], {}, [[]], [None], [0], [-1], [1, 1], {"op": "ReLU"}, {"number": "inf"}, {"number": "1/3"}]
WHOLE = [0, 1, -1, 2, 3, 7, 16, 255, 2**31 - 1, 2**31, 2**32, 2**62, 2**63 - 1, -(2**63)]


def changed(name: str, data: bytes, random: Random, mutate: Mutate) -> bytes:
    """``data`` of a file called ``name`` with something changed; ``random`` decides."""
    kind = name.rpartition(".")[2]
    form = {"json": _json, "keras": _zip, "npz": _zip, "onnx": _onnx, "safetensors": _safetensors}.get(kind)
    if form is None or random.random() < 0.4:
        return mutate(data)
    try:
        return form(data, random, mutate)
    except Exception:               # whatever a parser says of bytes that are no such file
        return mutate(data)


def rearranged(document: Any, random: Random, mutate: Mutate) -> Any:
    """A JSON document with one to four of its values exchanged, left out, doubled or renamed."""
    for _ in range(random.choice((1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        stack = [document]
        while stack:
            here = stack.pop()
            keys = list(here) if isinstance(here, dict) else range(len(here)) if isinstance(here, list) else ()
            places += [(here, k) for k in keys]
            stack += [here[k] for k in keys]
        if not places:
            return random.choice(STRANGE)
        here, key = random.choice(places)
        there, name = random.choice(places)
        value = json.loads(json.dumps(there[name]))
        act = random.randrange(6)
        if act == 0:
            del here[key]
        elif act == 1:
            here[key] = value
        elif act == 2 and isinstance(here, list):
            here.insert(key, value)
        elif act == 2:
            here[name if isinstance(name, str) else str(name)] = value
        elif act == 3 and isinstance(here[key], str):
            here[key] = mutate(here[key].encode("utf-8", "replace")).decode("utf-8", "replace")
        elif act == 3 and isinstance(here[key], (int, float)) and not isinstance(here[key], bool):
            here[key] += random.choice((-1, 1, 2, 1000))
        else:
            here[key] = json.loads(json.dumps(random.choice(STRANGE)))
    return document


def _json(data: bytes, random: Random, mutate: Mutate) -> bytes:
    return json.dumps(rearranged(json.loads(data), random, mutate)).encode()


def _safetensors(data: bytes, random: Random, mutate: Mutate) -> bytes:
    length = int.from_bytes(data[:8], "little")
    header, body = data[8:8 + length], data[8 + length:]
    header = _json(header, random, mutate) if random.random() < 0.8 else mutate(header)
    return len(header).to_bytes(8, "little") + header + (mutate(body) if random.random() < 0.2 else body)


def _zip(data: bytes, random: Random, mutate: Mutate) -> bytes:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        members = [(m.filename, archive.read(m)[:1 << 20]) for m in archive.infolist()[:20]]
    j = random.randrange(len(members))
    name, body = members[j]
    act = random.randrange(12)
    if act == 0:
        members.pop(j)
    elif act == 1:
        members.append((random.choice(members)[0], body))
    elif act == 2:
        members[j] = (mutate(name.encode()).decode("utf-8", "replace"), body)
    elif name.endswith(".json") and act < 11:
        members[j] = (name, _json(body, random, mutate))
    else:
        members[j] = (name, mutate(body))
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w") as archive:
        warnings.simplefilter("ignore")                                 # a name twice
        for name, body in members:
            archive.writestr(zipfile.ZipInfo(name), body, random.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)))
    return out.getvalue()


def _onnx(data: bytes, random: Random, mutate: Mutate) -> bytes:
    """One to four fields of any message within the model: a number, a text or bytes changed, an entry of a list left out, doubled or moved."""
    import onnx

    model = onnx.ModelProto.FromString(data)
    for _ in range(random.choice((1, 1, 2, 4))):
        places: list[tuple[Any, Any]] = []
        stack: list[Any] = [model]
        while stack:
            here = stack.pop()
            for field, value in here.ListFields():
                places.append((here, field))
                if field.type == field.TYPE_MESSAGE:
                    stack += list(value) if field.is_repeated else [value]
        here, field = random.choice(places)
        if not field.is_repeated:
            if field.type == field.TYPE_MESSAGE:
                here.ClearField(field.name)
            else:
                setattr(here, field.name, _scalar(field, getattr(here, field.name), random, mutate, places))
            continue
        values = getattr(here, field.name)
        j = random.randrange(len(values))
        act = random.randrange(4)
        if act == 0:
            del values[j]
        elif act == 1:
            values.extend([values[j]])
        elif act == 2 or field.type == field.TYPE_MESSAGE:
            moved = list(values)
            random.shuffle(moved)
            del values[:]
            values.extend(moved)
        else:
            values[j] = _scalar(field, values[j], random, mutate, places)
    return bytes(model.SerializeToString())


def _scalar(field: Any, value: Any, random: Random, mutate: Mutate, places: list[tuple[Any, Any]]) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        new = random.choice((value + 1, value - 1, *WHOLE))
        wide = field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64)
        return max(0 if field.cpp_type in (field.CPPTYPE_UINT32, field.CPPTYPE_UINT64) else -(2**63) if wide else -(2**31),
                   min(new, 2**63 - 1 if wide else 2**31 - 1))
    if isinstance(value, float):
        return random.choice((0.0, -1.0, 0.5, 1e30, float("inf"), float("nan"), -value))
    same = [getattr(m, f.name) for m, f in places if f.name == field.name or (f.name in ("input", "output", "name", "op_type") and isinstance(value, str))]
    if same and random.random() < 0.6:
        other = random.choice(same)
        value = random.choice(list(other)) if not isinstance(other, (str, bytes)) else other
        return value if field.type == field.TYPE_STRING else value if isinstance(value, bytes) else str(value).encode()
    made = mutate(value if isinstance(value, bytes) else value.encode())
    return made if field.type == field.TYPE_BYTES else made.decode("utf-8", "replace")
