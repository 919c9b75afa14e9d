"""Files for the tests of the .keras reader: a sound one, and what a hostile hand can make of its parts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Config = dict[str, Any]


def parts(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def packed(path: Path, members: dict[str, bytes], compression: int = zipfile.ZIP_STORED) -> Path:
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def with_config(source: Path, path: Path, change: Callable[[Config], Any]) -> Path:
    """The file with config.json changed in place."""
    members = parts(source)
    config = json.loads(members["config.json"])
    change(config)
    return packed(path, {**members, "config.json": json.dumps(config).encode()})


def with_weights(source: Path, path: Path, change: Callable[[h5py.File], Any]) -> Path:
    """The file with its HDF5 part changed."""
    members = parts(source)
    stream = io.BytesIO(members["model.weights.h5"])
    with h5py.File(stream, "r+") as file:
        change(file)
    return packed(path, {**members, "model.weights.h5": stream.getvalue()})


def layer(config: Config, name: str) -> Config:
    found: Config = next(one for one in config["config"]["layers"] if one["config"].get("name") == name)
    return found


def replaced(name: str, make: Callable[[h5py.File], Any]) -> Callable[[h5py.File], None]:
    """The first convolution's kernel as something else."""

    def change(file: h5py.File) -> None:
        del file[name]
        made = make(file)
        if made is not None:
            file[name] = made

    return change


KERNEL = "layers/conv2d/vars/0"


def bomb(file: h5py.File) -> None:
    """A huge shape of which nothing is stored: what is never written reads as zeros."""
    file.create_dataset(KERNEL, shape=(3, 3, 3, 1 << 36), dtype="float32")


def chunked(file: h5py.File) -> None:
    file.create_dataset(KERNEL, data=np.zeros((3, 3, 3, 4), "float32"), chunks=True, compression="gzip")


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout((3, 3, 3, 4), "float32")
    layout[:] = h5py.VirtualSource("/etc/hostname", "x", (3, 3, 3, 4))
    file.create_virtual_dataset(KERNEL, layout)


def external(file: h5py.File) -> None:
    file.create_dataset(KERNEL, shape=(3, 3, 3, 4), dtype="float32", external=[("/etc/hostname", 0, 432)])
