"""Attacks on the reader of .keras files: the zip, its JSON, its HDF5."""

from __future__ import annotations

import copy
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from tests.attacks.attack import MODULE, Attack, Payload, dumped, model, zipped

KERNEL = "layers/dense/vars/0"


def config() -> dict[str, Any]:
    """A dense layer behind an input of two numbers."""
    return {
        "module": "keras", "class_name": "Sequential", "registered_name": None, "build_config": {"input_shape": [None, 2]},
        "config": {"name": "net", "trainable": True, "dtype": "float32", "build_input_shape": [None, 2], "layers": [
            {"module": "keras.layers", "class_name": "InputLayer", "registered_name": None,
             "config": {"batch_shape": [None, 2], "dtype": "float32", "sparse": False, "name": "x"}},
            {"module": "keras.layers", "class_name": "Dense", "registered_name": None, "build_config": {"input_shape": [None, 2]},
             "config": {"name": "first", "trainable": True, "dtype": "float32", "units": 3, "activation": "relu", "use_bias": True}},
        ]},
    }


def weights(change: Callable[[h5py.File], Any] = lambda file: None) -> bytes:
    out = io.BytesIO()
    with h5py.File(out, "w") as file:
        file[KERNEL] = np.ones((2, 3), np.float32)
        file["layers/dense/vars/1"] = np.zeros(3, np.float32)
        file["layers/dense/vars"].attrs["name"] = "first"
        file.create_group("vars")
        change(file)
    return out.getvalue()


def members(**more: bytes) -> dict[str, bytes]:
    sound = {"metadata.json": b'{"keras_version": "3.15.1"}', "config.json": dumped(config()), "model.weights.h5": weights()}
    return {**sound, **{{"metadata": "metadata.json", "config": "config.json", "weights": "model.weights.h5"}[k]: v for k, v in more.items()}}


def keras(says: str, codes: tuple[int, ...] = (4,), method: int = zipfile.ZIP_STORED, extra: list[tuple[str, bytes]] | None = None,
          **more: bytes) -> Attack:
    return model("m.keras", zipped([*members(**more).items(), *(extra or [])], method), says, codes=codes)


def edited(change: Callable[[dict[str, Any]], Any]) -> bytes:
    made = copy.deepcopy(config())
    change(made)
    return dumped(made)


def dense(**more: Any) -> bytes:
    return edited(lambda c: c["config"]["layers"][1]["config"].update(more))


def kind(**more: Any) -> bytes:
    return edited(lambda c: c["config"]["layers"][1].update(more))


def kernel(make: Callable[[h5py.File], Any]) -> bytes:
    def change(file: h5py.File) -> None:
        del file[KERNEL]
        made = make(file)
        if made is not None:
            file[KERNEL] = made

    return weights(change)


def virtual(file: h5py.File) -> None:
    layout = h5py.VirtualLayout(shape=(2, 3), dtype="f4")
    layout[:] = h5py.VirtualSource("/etc/passwd", "x", shape=(2, 3))
    file.create_virtual_dataset(KERNEL, layout)


def truncated_size(data: bytes) -> bytes:
    """The directory of the zip says that config.json is of 16 bytes."""
    at = data.rindex(b"PK\x01\x02", 0, data.rindex(b"config.json"))
    return data[:at + 24] + (16).to_bytes(4, "little") + data[at + 28:]


def encrypted(data: bytes) -> bytes:
    at = data.index(b"PK\x01\x02")
    return data[:at + 8] + b"\x01\x00" + data[at + 10:]


def bomb(name: str, size: int) -> Attack:
    """A member that unpacks to far more than it takes."""
    def build(folder: Path) -> list[str]:
        with zipfile.ZipFile(folder / "m.keras", "w", zipfile.ZIP_DEFLATED) as archive:
            for one, data in members().items():
                if one != name:
                    archive.writestr(one, data)
            with archive.open(name, "w") as stream:
                for _ in range(size >> 20):
                    stream.write(bytes(1 << 20))
        return ["inspect", str(folder / "m.keras")]

    return Attack(build, "a bomb|at most 67,108,864", names="m.keras")


def endless(data: bytes) -> bytes:
    """The free space of the heap of texts has the size 0, with which HDF5's own library never comes to the heap's end."""
    here = data.index(b"GCOL") + 16
    while data[here:here + 2] != b"\x00\x00":
        here += 16 + -(-int.from_bytes(data[here + 8:here + 16], "little") // 8) * 8
    return data[:here + 8] + bytes(8) + data[here + 16:]


SOUND = zipped(list(members().items()))
LAMBDA = {"class_name": "Lambda", "config": {"name": "f", "function": {"class_name": "__lambda__", "config": {
    "code": "4wEAAAAAAAAAAAAAAAEAAAACAAAA8wYAAACXAAQAUwE=", "defaults": None, "closure": None}}}}
ATTACKS = {
    "a pickle": model("m.keras", pickle.dumps(Payload()), "not a zip archive"),
    "HDF5 of Keras 2": model("m.h5", weights(), "HDF5 file"),
    "HDF5 by another name": model("m.keras", weights(), "HDF5 file"),
    "cut off": model("m.keras", SOUND[:-60], "damaged zip|not a zip"),
    "a member's size lies": model("m.keras", truncated_size(SOUND), "declares 16 bytes|damaged zip"),
    "encrypted": model("m.keras", encrypted(SOUND), "encrypted|damaged"),
    "bomb in the weights": bomb("model.weights.h5", 200 << 20),
    "bomb in the configuration": bomb("config.json", 100 << 20),
    "a path out of the archive": keras("holds '../../evil.py'", extra=[("../../evil.py", b"import " + MODULE.encode())]),
    "an absolute path": keras("holds '/etc/cron.d/evil'", extra=[("/etc/cron.d/evil", b"x")]),
    "a module beside the weights": keras(f"holds '{MODULE}.py'", extra=[(f"{MODULE}.py", b"raise SystemExit(9)")]),
    "config.json twice": keras("holds 'config.json' twice", extra=[("config.json", b"{}")]),
    "many members": keras("are expected and nothing else", extra=[(f"assets/{k}", b"") for k in range(5000)]),
    "config of nothing": keras("not a JSON document", config=b""),
    "deep config": keras("nested more than 100", config=b'{"a":' * 10**5 + b"1" + b"}" * 10**5),
    "a key twice": keras("stands twice", config=b'{"module": "keras", "module": "os", "class_name": "system"}'),
    "a number of 10,000 digits": keras("not a JSON document", config=b'{"a": ' + b"9" * 10**4 + b"}"),
    "Keras 2": keras("is of Keras", metadata=b'{"keras_version": "2.15.0"}'),
    "a class of a module": keras("canary", (3, 4), config=kind(module=MODULE, class_name="Layer")),
    "class os.system": keras("system", (3, 4), config=kind(module="os", class_name="system", config={"command": "id"})),
    "a registered name": keras("Custom", (3, 4), config=kind(module=None, class_name="Custom", registered_name=f"{MODULE}>Custom")),
    "a marshalled Lambda": keras("Lambda", (3, 4), config=kind(**LAMBDA)),
    "TFSMLayer": keras("TFSMLayer", (3, 4), config=kind(class_name="TFSMLayer", config={"name": "f", "filepath": "http://localhost/model"})),
    "an activation of a module": keras("activation|canary", (3, 4), config=dense(activation={
        "module": MODULE, "class_name": "function", "config": "run", "registered_name": "function"})),
    "an activation by name": keras("activation|canary", (3, 4), config=dense(activation=f"{MODULE}.run")),
    "an initialiser of a module": keras("", (0, 3, 4), config=dense(kernel_initializer={"module": MODULE, "class_name": "run", "config": {}})),
    "a policy of a module": keras("", (0, 3, 4), config=dense(dtype={"module": MODULE, "class_name": "run", "config": {}})),
    "a policy without settings": keras("", (0, 3, 4), config=dense(dtype={"class_name": "DTypePolicy", "config": None})),
    "units of 10^15": keras("call for|entries", (4,), config=dense(units=10**15)),
    "units of nothing": keras("", (4,), config=dense(units=-3)),
    "units of text": keras("", (4,), config=dense(units="3; import os")),
    "a vocabulary file": keras("StringLookup", (3, 4), config=kind(class_name="StringLookup", config={"name": "f", "vocabulary": "/etc/passwd"})),
    "soft link": keras("SoftLink, which is never followed", weights=kernel(lambda f: h5py.SoftLink("/layers/dense/vars/1"))),
    "soft link in a circle": keras("SoftLink, which is never followed", weights=kernel(lambda f: h5py.SoftLink("/" + KERNEL))),
    "external link": keras("ExternalLink, which is never followed", weights=kernel(lambda f: h5py.ExternalLink("/etc/passwd", "/x"))),
    "external data": keras("never opened", weights=kernel(
        lambda f: f.create_dataset(KERNEL, (2, 3), "f4", external=[("/etc/passwd", 0, 24)]) and None)),
    "virtual data": keras("never opened", weights=kernel(virtual)),
    "shape bomb": keras("would take|stores 0", weights=kernel(lambda f: f.create_dataset(KERNEL, (10**9, 10**6), "f4") and None)),
    "packed bomb": keras("in chunks", weights=kernel(lambda f: f.create_dataset(
        KERNEL, (1 << 13, 1 << 13), "f4", chunks=(1 << 10, 1 << 10), compression="gzip", fillvalue=0) and None)),
    "objects": keras("64 bits", weights=kernel(lambda f: f.create_dataset(KERNEL, data=["a", "b"]) and None)),
    "references": keras("64 bits", weights=kernel(lambda f: f.create_dataset(KERNEL, data=[f.ref], dtype=h5py.ref_dtype) and None)),
    "group for an array": keras("no array but a Group", weights=kernel(lambda f: f.create_group(KERNEL) and None)),
    "a heap without end": keras("has no end", weights=endless(weights())),
    "a group in itself": keras("", weights=kernel(lambda f: f["layers"])),
    "damaged HDF5": keras("", weights=weights()[:512] + bytes(600) + weights()[1112:]),
    "no HDF5": keras("not a sound HDF5", weights=json.dumps({}).encode()),
}
