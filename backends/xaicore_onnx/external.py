"""Tensors that a model keeps in files beside it: read by us alone, from regular files in the model's own folder, as many bytes as needed.

What the model says about a file is a hostile string until it was checked: it may lead out of the folder, through links, to a device, or
ask for more bytes than there are. Nothing of onnx opens files here: its ``to_array`` looks in the working directory.
"""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable
from math import prod
from pathlib import Path

from onnx import TensorProto

from xaicore.errors import FileRefused

ITEM_BYTES = {
    TensorProto.FLOAT: 4, TensorProto.DOUBLE: 8, TensorProto.FLOAT16: 2, TensorProto.BFLOAT16: 2, TensorProto.BOOL: 1,
    TensorProto.INT8: 1, TensorProto.INT16: 2, TensorProto.INT32: 4, TensorProto.INT64: 8,
    TensorProto.UINT8: 1, TensorProto.UINT16: 2, TensorProto.UINT32: 4, TensorProto.UINT64: 8,
}  # fmt: skip
"""The element types that are read, and the size of one element."""

KEYS = {"location", "offset", "length", "checksum"}
"""What the format defines; anything else is refused, as it can only mean that someone tries something."""


def fill(tensors: Iterable[TensorProto], folder: Path, limit: int, source: str) -> None:
    """Puts the data of external tensors into them; FileRefused for whatever is not plainly a file of ``folder`` with that many bytes."""
    left, checked = limit, set[str]()
    for tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL and not tensor.external_data:
            continue
        who = f"{source}: tensor {tensor.name or '(unnamed)'!r}"
        entries = {e.key: e.value for e in tensor.external_data}
        strange = sorted(set(entries) - KEYS)
        if strange or len(entries) != len(tensor.external_data) or "location" not in entries:
            found = ", ".join(e.key for e in tensor.external_data)
            raise FileRefused(f"{who} describes its file by {found or 'nothing'}; location, offset, length, checksum are known, once each")
        if tensor.data_type not in ITEM_BYTES or any(d < 0 for d in tensor.dims):
            raise FileRefused(f"{who} has the shape {list(tensor.dims)} and the element type {tensor.data_type}, which is not read")
        size = prod(tensor.dims) * ITEM_BYTES[tensor.data_type]
        offset, length = _number(entries, "offset", 0, who), _number(entries, "length", size, who)
        if length != size:
            raise FileRefused(f"{who} has the shape {list(tensor.dims)}, so {size:,} bytes are expected, but it says {length:,}")
        left -= size
        if left < 0:
            raise FileRefused(f"{who}: the model's tensors have more than {limit:,} bytes in all, which is the most that is read")
        path = _inside(folder, entries["location"], who)
        data = _read(path, offset, size, who)
        if "checksum" in entries and str(path) not in checked:
            _check_sum(path, entries["checksum"], limit, who)
            checked.add(str(path))
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
        tensor.raw_data = data


def _number(entries: dict[str, str], key: str, default: int, who: str) -> int:
    text = entries.get(key, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise FileRefused(f"{who} has {key} {text[:40]!r}; a whole number from 0 is expected. The file is damaged or hostile")
    return int(text)


def _inside(folder: Path, location: str, who: str) -> Path:
    """The path of a plain relative name in the folder, no link on the way."""
    parts = Path(location).parts
    shown = repr(location[:80])
    if not location or "\0" in location or "\\" in location or Path(location).is_absolute() or any(p in ("..", ".") for p in parts):
        raise FileRefused(f"{who} is in the file {shown}; a name inside the model's folder is expected, without '..' and not absolute")
    base = folder.resolve()
    path = base.joinpath(*parts)
    if path.resolve() != path:
        raise FileRefused(f"{who} is in the file {shown}, which is reached through a link; put the file itself into the model's folder")
    return path


def _read(path: Path, offset: int, size: int, who: str) -> bytes:
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except OSError as error:
        raise FileRefused(f"{who} is in the file {path.name!r}, which cannot be read: {error.strerror or error}; check the path") from error
    about = os.fstat(handle)
    if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
        os.close(handle)
        raise FileRefused(f"{who} is in {path.name!r}, which is no regular file with one name (but a device, a pipe, a hard link)")
    with os.fdopen(handle, "rb") as file:
        if offset + size > about.st_size:
            raise FileRefused(
                f"{who} is in the bytes {offset:,} to {offset + size:,} of {path.name!r}, which has {about.st_size:,}; the file is cut off"
            )
        file.seek(offset)
        data = file.read(size)
    if len(data) != size:
        raise FileRefused(f"{who}: {len(data):,} of {size:,} bytes could be read from {path.name!r}; the file changed meanwhile")
    return data


def _check_sum(path: Path, expected: str, limit: int, who: str) -> None:
    """The SHA-1 sum of the whole file, as the format has it; it finds damage, not forgery."""
    digest, left = hashlib.sha1(usedforsecurity=False), limit
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
            left -= len(block)
            if left < 0:
                raise FileRefused(f"{who} is in {path.name!r}, which has more than {limit:,} bytes; that is the most that is read")
    if digest.hexdigest() != expected.lower():
        raise FileRefused(f"{who} is in {path.name!r}, whose SHA-1 sum is not the one that the model gives; the file is damaged")
