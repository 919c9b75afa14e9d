"""What an attack is, and the table that each family of files fills."""

from __future__ import annotations

import io
import json
import warnings
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

MODULE = "canary_payload"
"""A module that is on the path of the process under attack: its import, by whatever name a file holds, is the worst that can happen."""


@dataclass(frozen=True)
class Attack:
    """``build`` writes files into an empty folder and returns the words of the command.

    ``says`` is a pattern that the message must match; ``names`` the file that it must name; ``codes`` the exit codes that are right.
    """

    build: Callable[[Path], Sequence[str]]
    says: str
    codes: tuple[int, ...] = (4,)
    names: str = ""


def model(name: str, data: bytes | Callable[[Path], bytes], says: str, *words: str, codes: tuple[int, ...] = (4,)) -> Attack:
    """A model file that is inspected, with further ``words``."""
    return Attack(lambda folder: ["inspect", _put(folder, name, data), *words], says, codes, name)


def feed(name: str, data: bytes | Callable[[Path], bytes], says: str, *words: str, codes: tuple[int, ...] = (4,)) -> Attack:
    """An input file that the shipped model is to explain."""
    return Attack(lambda folder: ["explain", "digits", _put(folder, name, data), "-m", "gradient", *words], says, codes, name)


def side(name: str, data: bytes | Callable[[Path], bytes], says: str, codes: tuple[int, ...] = (4,)) -> Attack:
    """A file of attributions that is compared with itself."""
    return Attack(lambda folder: ["compare", _put(folder, name, data), str(folder / name)], says, codes, name)


def _put(folder: Path, name: str, data: bytes | Callable[[Path], bytes]) -> str:
    path = folder / name
    if not isinstance(data, bytes):
        data = data(path)                                               # one that makes the file itself returns nothing
    if data is not None:
        path.write_bytes(data)
    return str(path)


def dumped(document: Any) -> bytes:
    return json.dumps(document).encode()


def npy(x: Any, **more: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, x, **more)
    return out.getvalue()


def npy_header(text: str, body: bytes = b"", version: bytes = b"\x01\x00") -> bytes:
    """An .npy file whose header is any text."""
    head = text.encode() + b"\n"
    size = len(head).to_bytes(2 if version == b"\x01\x00" else 4, "little")
    return b"\x93NUMPY" + version + size + head + body


def zipped(members: Sequence[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    out = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(out, "w", method) as archive:
        warnings.simplefilter("ignore")                                 # a name twice
        for name, data in members:
            archive.writestr(zipfile.ZipInfo(name), data, method)
    return out.getvalue()


class Payload:
    """Pickled, it imports the canary."""

    def __reduce__(self) -> Any:
        return (__import__, (MODULE,))
