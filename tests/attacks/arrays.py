"""Attacks on the readers of inputs and of attributions: .npy, .npz, .safetensors."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from tests.attacks.attack import MODULE, Payload, dumped, feed, npy, npy_header, side, zipped

X = np.ones((1, 1, 8, 8))
OBJECTS = np.array([Payload()], dtype=object)


def header(shape: str, descr: str = "'<f8'", more: str = "") -> str:
    return f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}{more}}}"


def safetensors(header: Any, body: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else dumped(header)
    return (len(text) if length is None else length).to_bytes(8, "little") + text + body


def entry(shape: list[Any], offsets: list[Any], dtype: Any = "F64") -> dict[str, Any]:
    return {"a": {"dtype": dtype, "shape": shape, "data_offsets": offsets}}


def bomb(path: Path) -> None:
    """1.5 GiB of zeros in 1.5 MB."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("x.npy", "w", force_zip64=True) as stream:
        stream.write(npy_header(header("(1, 1, 16384, 12288)")))
        for _ in range(1536):
            stream.write(bytes(1 << 20))


def claims(size: int) -> bytes:
    """An .npz whose directory claims ``size`` bytes for its only member."""
    data = zipped([("x.npy", npy(X))])
    for magic, at in ((b"PK\x01\x02", 20), (b"PK\x03\x04", 18)):
        place = data.index(magic) + at
        data = data[:place] + size.to_bytes(4, "little") * 2 + data[place + 8:]
    return data


def damaged() -> bytes:
    """Deflated numbers with a byte of the stream changed: zlib itself complains."""
    data = bytearray(zipped([("x.npy", npy(np.arange(4096.0)))], zipfile.ZIP_DEFLATED))
    data[60] ^= 0xFF
    return bytes(data)


def nested() -> bytes:
    data = npy(X)
    for _ in range(20):
        data = zipped([("x.npy", data)])
    return data


NPY = {
    "object array": feed("x.npy", npy(OBJECTS, allow_pickle=True), "arrays of Python objects are never loaded"),
    "objects in a structure": feed("x.npy", npy_header(header("(1,)", "[('a', '|O')]"), pickle.dumps(Payload())), "Python objects"),
    "a pickle": feed("x.npy", pickle.dumps(Payload()), "is not an .npy array"),
    "empty": feed("x.npy", b"", "not an .npy array, or it is truncated"),
    "header cut off": feed("x.npy", npy(X)[:40], "not an .npy array, or it is truncated"),
    "data cut off": feed("x.npy", npy(X)[:-9], "is truncated"),
    "a header twice": feed("x.npy", b"\x93NUMPY\x01\x00v\x00{'descr': '<f8', 'fortran_order'" + npy(X)[:128], "not an .npy array"),
    "code in the header": feed("x.npy", npy_header(f"__import__('{MODULE}')"), "not an .npy array"),
    "code in the shape": feed("x.npy", npy_header(header(f"(__import__('{MODULE}'),)")), "not an .npy array"),
    "nested header": feed("x.npy", npy_header("(" * 9000 + ")" * 9000), "not an .npy array"),
    "header of 10 MB": feed("x.npy", npy_header(header("(1,)", more=", 'x': '" + "a" * 10**7 + "'"), version=b"\x02\x00"), "not an .npy array"),
    "header length of 4 GB": feed("x.npy", b"\x93NUMPY\x02\x00" + b"\xff" * 4 + b"{", "not an .npy array|truncated"),
    "shape of exabytes": feed("x.npy", npy_header(header(f"({2**62}, 4)")), "at most 32 sizes"),
    "shape of terabytes": feed("x.npy", npy_header(header("(1000000, 1000000)"), bytes(64)), "would take"),
    "shape of a gigabyte": feed("x.npy", npy_header(header("(1, 1, 10000, 10000)"), bytes(64)), "is truncated"),
    "negative shape": feed("x.npy", npy_header(header("(-1, -8)"), bytes(64)), "", codes=(2, 4)),
    "true for a size": feed("x.npy", npy_header(header("(True, 8)"), bytes(64)), "", codes=(2, 4)),
    "33 axes": feed("x.npy", npy_header(header("(" + "1, " * 70 + ")"), bytes(8)), "", codes=(2, 4)),
    "dtype of nothing": feed("x.npy", npy_header(header(f"({10**9},)", "'|V0'")), "", codes=(4,)),
    "dtype of text": feed("x.npy", npy(np.array(["=cmd()"])), "but numbers are expected"),
    "dtype of dates": feed("x.npy", npy(np.array(["2020-01-01"], "datetime64[D]")), "but numbers are expected"),
    "version 9": feed("x.npy", b"\x93NUMPY\x09\x00" + npy(X)[8:], r"version \(9, 0\)"),
    "NaN": feed("x.npy", npy(np.full((1, 1, 8, 8), np.nan)), "nan", codes=(2,)),
    "pipe": feed("x.npy", lambda path: os.mkfifo(path), "no regular file"),
    "device": feed("x.npy", lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "folder": feed("x.npy", lambda path: path.mkdir(), "is a directory"),
}
NPZ = {
    "bomb": feed("x.npz", bomb, "a bomb"),
    "a member's claim": feed("x.npz", claims(2**32 - 2), "would take|not a readable"),
    "a false sum": feed("x.npz", zipped([("x.npy", npy(X))]).replace(npy(X)[-8:], b"12345678", 1), "not a readable|truncated"),
    "object array": feed("x.npz", zipped([("x.npy", npy(OBJECTS, allow_pickle=True))]), "Python objects"),
    "pickled member": feed("x.npz", zipped([("x.npy", pickle.dumps(Payload()))]), "not an .npy array"),
    "zips in zips": feed("x.npz", nested(), "not an .npy array"),
    "a name twice": feed("x.npz", zipped([("x.npy", npy(X)), ("x.npy", npy(X))]), "twice"),
    "a path out": feed("x.npz", zipped([("../../x.npy", npy(X)), ("y.npy", npy(X))]), "no input of the model", codes=(2,)),
    "nothing": feed("x.npz", zipped([]), "not a readable|holds no array"),
    "no arrays": feed("x.npz", zipped([(f"{MODULE}.py", b"")]), "holds no array"),
    "cut off": feed("x.npz", zipped([("x.npy", npy(X))])[:-30], "not a readable"),
    "header lie": feed("x.npz", zipped([("x.npy", npy_header(header("(1, 1, 10000, 10000)"), bytes(64)))]), "truncated"),
    "damaged packing": feed("x.npz", damaged(), "not a readable"),
    "another packing": feed("x.npz", zipped([("x.npy", npy(np.zeros((1, 1, 8, 8))))], zipfile.ZIP_LZMA), "packed by method 14"),
    "unknown packing": feed("x.npz", zipped([("x.npy", npy(X))]).replace(b"\x14\x00\x00\x00\x00\x00", b"\x14\x00\x00\x00\x63\x00"), "not a readable|packed by method"),
}
SAFETENSORS = {
    "header of exabytes": side("a.safetensors", safetensors(b"{}", length=2**63), "no safetensors file"),
    "empty": side("a.safetensors", b"", "no safetensors file"),
    "header cut off": side("a.safetensors", safetensors(b'{"a": {"dty'), "not a JSON document"),
    "list for a header": side("a.safetensors", safetensors([1]), "header that cannot be read"),
    "deep header": side("a.safetensors", safetensors(b'{"a":' * 10**4 + b"1" + b"}" * 10**4), "nested more than 100"),
    "a name twice": side("a.safetensors", safetensors(b'{"a": 1, "a": 2}'), "stands twice"),
    "offsets behind the end": side("a.safetensors", safetensors(entry([2], [0, 16]), bytes(8)), "do not fit"),
    "offsets reversed": side("a.safetensors", safetensors(entry([1], [8, 0]), bytes(8)), "do not fit"),
    "negative offsets": side("a.safetensors", safetensors(entry([1], [-8, 0]), bytes(8)), "no list of sizes"),
    "shape larger than its bytes": side("a.safetensors", safetensors(entry([10**6, 10**6], [0, 8]), bytes(8)), "do not fit"),
    "shape that overflows": side("a.safetensors", safetensors(entry([2**62, 8], [0, 8]), bytes(8)), "no list of sizes"),
    "negative shape": side("a.safetensors", safetensors(entry([-1, -1], [0, 8]), bytes(8)), "no list of sizes"),
    "shape of nothing": side("a.safetensors", safetensors(entry([0, 2**62], [0, 0]), bytes(8)), ""),
    "shape of fractions": side("a.safetensors", safetensors(entry([1.5], [0, 8]), bytes(8)), "cannot be read|do not fit"),
    "shape of text": side("a.safetensors", safetensors(entry(["1"], [0, 8]), bytes(8)), "cannot be read"),
    "infinite offset": side("a.safetensors", safetensors(b'{"a": {"dtype": "F64", "shape": [1], "data_offsets": [0, Infinity]}}'), "cannot be read"),
    "type of a module": side("a.safetensors", safetensors(entry([1], [0, 8], MODULE), bytes(8)), "cannot be read"),
    "type of a list": side("a.safetensors", safetensors(entry([1], [0, 8], ["F64"]), bytes(8)), "cannot be read"),
    "one place for many": side("a.safetensors", safetensors(
        {f"a{k}": {"dtype": "U8", "shape": [1 << 20], "data_offsets": [0, 1 << 20]} for k in range(9000)}, bytes(1 << 20)),
        "overlap|in all"),
    "pickled objects": side("a.npy", npy(OBJECTS, allow_pickle=True), "Python objects"),
    "results of another kind": side("a.json", dumped({"results": [{"label": [], "values": 3}, 5]}), "not as xaicore explain"),
    "ragged lists": side("a.json", b"[[1, 2], [3]]", "rows of equal length"),
    "text for numbers": side("a.json", dumped({"a": f"__import__('{MODULE}')"}), "", (2, 4)),
    "rational bomb": side("a.json", dumped({"a": ["1e999999999"]}), "", (2, 4)),
    "rational by zero": side("a.json", dumped({"a": ["1/0"]}), "", (2, 4)),
    "integer of 10^400": side("a.json", b"[1" + b"0" * 400 + b", 1.5]", "", (2, 4)),
    "null": side("a.json", b'{"a": null}', "holds NoneType", (2, 4)),
    "deep list": side("a.json", b"[" * 10**5, "nested more than 100"),
}
ATTACKS = {**{f"npy: {k}": v for k, v in NPY.items()}, **{f"npz: {k}": v for k, v in NPZ.items()},
           **{f"attributions: {k}": v for k, v in SAFETENSORS.items()}}
