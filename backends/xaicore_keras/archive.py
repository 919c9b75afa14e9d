"""Opening a .keras file that may be hostile: the zip, its JSON and its HDF5, each within limits; nothing in it is run.

A .keras file is a zip of metadata.json, config.json and model.weights.h5. What comes out is the configuration as plain data and a
store that hands out one named array at a time, after its size was checked against what the file really holds.
"""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.errors import BackendError, FileRefused
from xaicore.graph.untrusted import check_bytes, max_total, parse_json, read_bytes
from xaicore.numerics import Array
from xaicore_keras.record import Weight

MAX_JSON = 64 << 20
"""Of config.json: the largest of keras.applications has 1.3 MB; constants of keras.ops are in here too."""

MAX_RATIO = 100
"""Of a member's size to what it takes in the zip. Keras stores without compression; numbers hardly compress."""

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")
RECIPE = "Save the model again with model.save('model.keras')"


def opened(path: str | os.PathLike[str]) -> tuple[dict[str, Any], Store]:
    """The configuration and the weights of a file; FileRefused for everything that is no sound .keras file."""
    where = Path(path)
    data = read_bytes(where)
    if not data.startswith(b"PK\x03\x04"):
        kind = "an HDF5 file, Keras 2's format" if data.startswith(b"\x89HDF") else "not a zip archive"
        raise FileRefused(f"{where.name} is {kind}; a .keras file is a zip of {', '.join(MEMBERS)}. Load it in Keras, save it as .keras")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = _members(archive, where.name)
            metadata, config, weights = (_member(archive, members[name], where.name) for name in MEMBERS)
    except FileRefused:
        raise
    except Exception as error:                                          # zipfile, zlib and struct each raise their own
        raise FileRefused(f"{where.name} is a damaged zip archive: {str(error)[:200]}. {RECIPE}") from error
    version = _parsed(metadata, f"{where.name}: metadata.json").get("keras_version")
    if not isinstance(version, str) or not version.startswith("3."):
        raise FileRefused(f"{where.name} is of Keras {version!r:.40}; files of Keras 3 are read. Load it in Keras 3, and save it again")
    return _parsed(config, f"{where.name}: config.json"), Store(weights, where.name)


# ----- the zip --------------------------------------------------------------------------------------------------------


def _members(archive: zipfile.ZipFile, who: str) -> dict[str, zipfile.ZipInfo]:
    """The three members by name, after every entry was looked at."""
    found: dict[str, zipfile.ZipInfo] = {}
    for one in archive.infolist():
        if one.filename in found:
            raise FileRefused(f"{who} holds {one.filename!r} twice, so which one counts is not known. {RECIPE}")
        if one.filename not in MEMBERS:
            hint = "; layers with vocabularies are not read, take them out of the model" if one.filename.startswith("assets") else ""
            raise FileRefused(f"{who} holds {one.filename!r:.100}; {', '.join(MEMBERS)} are expected and nothing else{hint}. {RECIPE}")
        if one.flag_bits & 1:
            raise FileRefused(f"{who}: {one.filename} is encrypted; only plain files are read. {RECIPE}")
        if one.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise FileRefused(f"{who}: {one.filename} is packed by method {one.compress_type}, which Keras does not write. {RECIPE}")
        limit = max_total() if one.filename.endswith(".h5") else MAX_JSON
        if one.file_size > limit:
            raise FileRefused(f"{who}: {one.filename} declares {one.file_size:,} bytes; at most {limit:,} are read. {RECIPE}")
        if one.file_size > MAX_RATIO * one.compress_size + (1 << 20):
            raise FileRefused(f"{who}: {one.filename} unpacks {one.compress_size:,} to {one.file_size:,} bytes: a bomb. {RECIPE}")
        found[one.filename] = one
    missing = [name for name in MEMBERS if name not in found]
    if missing:
        raise FileRefused(f"{who} has no {missing[0]}; {', '.join(MEMBERS)} are expected. {RECIPE}")
    return found


def _member(archive: zipfile.ZipFile, one: zipfile.ZipInfo, who: str) -> bytes:
    """The bytes of a member: as many as it declares, and no more are ever unpacked."""
    with archive.open(one) as stream:
        data = stream.read(one.file_size + 1)
    if len(data) != one.file_size:
        raise FileRefused(f"{who}: {one.filename} declares {one.file_size:,} bytes and holds another number. {RECIPE}")
    return data


# ----- the JSON -------------------------------------------------------------------------------------------------------


def _parsed(data: bytes, who: str) -> dict[str, Any]:
    found = parse_json(data, who)
    if not isinstance(found, dict):
        raise FileRefused(f"{who} holds a {type(found).__name__}; an object is expected. {RECIPE}")
    return found


# ----- the weights ----------------------------------------------------------------------------------------------------


class Store:
    """The arrays of model.weights.h5 by path. Links out of the file, computed datasets and declared sizes are never followed."""

    def __init__(self, data: bytes, who: str):
        try:
            import h5py
        except ImportError as error:
            raise BackendError("reading .keras files needs the package 'h5py'; try: pip install 'xaicore[keras]'") from error
        self._h5, self.who = h5py, f"{who}: model.weights.h5"
        self._size, self._spent = len(data), 0
        with self._sound("it is not a sound HDF5 file"):
            self._file = h5py.File(io.BytesIO(data), "r")
            if self._file.id.get_create_plist().get_sizes() != (8, 8) or not _heaps_end(data):
                raise FileRefused(f"{self.who}: it is not a sound HDF5 file: a heap of texts in it has no end. {RECIPE}")

    def close(self) -> None:
        self._file.close()

    @contextmanager
    def _sound(self, what: str) -> Iterator[None]:
        """h5py passes on what a C library finds in a damaged file as errors of any kind; each is a FileRefused."""
        try:
            yield
        except FileRefused:
            raise
        except Exception as error:
            raise FileRefused(f"{self.who}: {what}: {type(error).__name__}: {str(error)[:200]}. {RECIPE}") from error

    def has(self, path: str) -> bool:
        """Is there a group at this path?"""
        return self._step(path) is not None

    def arrays(self, path: str, layer: str) -> list[Weight]:
        """The arrays 0, 1, 2, ... that Keras has saved below ``path``; the group names the layer whose they are."""
        group = self._step(f"{path}/vars" if path else "vars")
        if group is None:
            return []
        with self._sound(f"{path}/vars is damaged"):
            names, owner = sorted(group), group.attrs.get("name")
        if isinstance(owner, str) and layer and owner != layer:
            raise FileRefused(f"{self.who}: {path} holds the weights of layer {owner!r:.90}, and config.json has {layer!r} there. {RECIPE}")
        wanted = [str(k) for k in range(len(names))]
        if set(names) != set(wanted):
            raise FileRefused(f"{self.who}: {path}/vars holds {', '.join(names)[:200]}; arrays called 0, 1, 2, ... are expected. {RECIPE}")
        return [self._weight(group, name, f"{path}/vars/{name}") for name in wanted]

    def _step(self, path: str) -> Any:
        """The group at a path, by hard links alone; None if there is none."""
        here = self._file
        for part in path.split("/"):
            with self._sound(f"{path} is damaged"):
                link = here.get(part, getlink=True)
                if link is None:
                    return None
                if not isinstance(link, self._h5.HardLink):
                    raise FileRefused(f"{self.who}: {path} goes through a {type(link).__name__}, which is never followed. {RECIPE}")
                here = here[part]
            if not isinstance(here, self._h5.Group):
                raise FileRefused(f"{self.who}: {path} is no group but a {type(here).__name__}. {RECIPE}")
        return here

    def _weight(self, group: Any, name: str, path: str) -> Weight:
        """An array that can be read: plain numbers, stored in this file, as many bytes as its shape says."""
        with self._sound(f"{path} is damaged"):
            link = group.get(name, getlink=True)
            if not isinstance(link, self._h5.HardLink):
                raise FileRefused(f"{self.who}: {path} is a {type(link).__name__}, which is never followed. {RECIPE}")
            data = group[name]
            if not isinstance(data, self._h5.Dataset):
                raise FileRefused(f"{self.who}: {path} is no array but a {type(data).__name__}. {RECIPE}")
            if data.is_virtual or data.external:
                raise FileRefused(f"{self.who}: {path} takes its numbers from other files or datasets, which are never opened. {RECIPE}")
            dtype, shape, held = data.dtype, data.shape, int(data.id.get_storage_size())
            chunked, packed = data.chunks is not None, data.attrs.get("dtype") == "bfloat16"
        if shape is None or dtype.kind not in "fiub" or dtype.itemsize > 8:
            what = "bfloat16 numbers" if packed else f"{dtype!s:.40}"
            raise FileRefused(f"{self.who}: {path} holds {what}; numbers of at most 64 bits are expected. Save the model in float32")
        size = math.prod(shape) * dtype.itemsize
        if held != size or chunked:
            raise FileRefused(
                f"{self.who}: {path} declares the shape {shape}, {size:,} bytes, and stores {held:,}"
                f"{' in chunks' if chunked else ''}; plain arrays are expected, as Keras writes them. {RECIPE}"
            )
        check_bytes(size, f"{self.who}: {path}")
        self._spent += size
        if self._spent > self._size:
            raise FileRefused(f"{self.who}: its arrays declare more bytes than the whole file has ({self._size:,}): a bomb. {RECIPE}")
        return Weight(tuple(int(n) for n in shape), lambda: self._numbers(data, path))

    def _numbers(self, data: Any, path: str) -> Array:
        with self._sound(f"{path} is damaged"):
            x = np.asarray(data[()])
        if x.dtype.kind == "f" and not np.isfinite(x).all():
            raise FileRefused(f"{self.who}: {path} holds a number that is not finite. Check the training, and save the model again")
        return x


def _heaps_end(data: bytes) -> bool:
    """Does every global heap of an HDF5 file, where texts of attributes lie, come to its end?

    The C library goes from object to object by their sizes, and for ever where the free space (index 0) says that it has none.
    """
    at = data.find(b"GCOL\x01")
    while at >= 0:
        end, here = at + int.from_bytes(data[at + 8:at + 16], "little"), at + 16
        while end <= len(data) and here + 16 <= end:
            index, size = int.from_bytes(data[here:here + 2], "little"), int.from_bytes(data[here + 8:here + 16], "little")
            step = 16 + -(-size // 8) * 8 if index else size
            if step < 16 or here + step > end:
                return False
            here += step
        at = data.find(b"GCOL\x01", at + 5)
    return True
