"""The readers, each with the ending of its files, what it does with one, and sound files to begin with. Only an XaicoreError may come out."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from xaicore.data import digits_model, digits_path

LIMIT = 1 << 26


@dataclass(frozen=True)
class Target:
    """``read`` takes the path of a file called ``name``; ``seeds`` makes sound files."""

    name: str
    read: Callable[[str], Any]
    seeds: Callable[[], list[bytes]]


def _model(path: str) -> Any:
    from xaicore.graph.untrusted import limited
    from xaicore.plugins import load

    with limited(LIMIT):
        return load(path)


def _inspected(path: str) -> Any:
    """A graph in our own format is only described by its file: what runs it first is ``xaicore inspect``."""
    from xaicore.cli.inspect import survey
    from xaicore.graph.untrusted import limited

    with limited(LIMIT):
        return survey(_model(path))


def _input(path: str) -> Any:
    from xaicore.cli.inputs import read_input
    from xaicore.graph.untrusted import limited

    with limited(LIMIT):
        return read_input(path, _digits())


def _arrays(path: str) -> Any:
    from xaicore.cli.stored import read_arrays
    from xaicore.graph.untrusted import limited
    from xaicore.oracle.numbers import numbers

    with limited(LIMIT):
        return numbers(read_arrays(path), "theirs")


def _vectors(path: str) -> Any:
    from xaicore.errors import XaicoreError
    from xaicore.oracle.vectors import read

    for v in read(path):
        try:
            _ = v.graph, v.question()
        except (XaicoreError, KeyError, TypeError, ValueError, AttributeError, ArithmeticError):        # as lint and run take them
            continue


_MADE: dict[str, Any] = {}


def _digits() -> Any:
    if "digits" not in _MADE:
        _MADE["digits"] = digits_model()
    return _MADE["digits"]


def _npy(x: Any) -> bytes:
    out = io.BytesIO()
    np.save(out, x)
    return out.getvalue()


def _npz(**arrays: Any) -> bytes:
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)
    return out.getvalue()


def _own() -> list[bytes]:
    from tests.attacks.own_format import chain, document, node

    return [json.dumps(document()).encode(), chain(node("LeakyReLU", {"slope": {"number": "1/3"}}, ["x"], "a"), node("Sum", {"axes": [1]}, ["a"]))]


def _onnx() -> list[bytes]:
    from tests.backends.onnx_models import model, node

    w = np.arange(6, dtype=np.float32).reshape(2, 3)
    return [model([node("Gemm", "x w", "y", transB=1)], {"x": [1, 3]}, "y", {"w": w}).SerializeToString(),
            model([node("Conv", "x w", "c", pads=[1, 1, 1, 1]), node("Relu", "c", "r"), node("Reshape", "r s", "y")], {"x": [1, 1, 4, 4]}, "y",
                  {"w": np.ones((2, 1, 3, 3), np.float32), "s": np.array([1, -1])}).SerializeToString()]


def _keras() -> list[bytes]:
    from tests.attacks.keras_files import SOUND

    return [SOUND]


def _safetensors() -> list[bytes]:
    from xaicore.cli.outputs import safetensors

    return [safetensors({"a": np.ones((2, 3)), "b": np.zeros(4, np.float32)}, {"about": "x"})]


def _case() -> list[bytes]:
    from tests.attacks.vector_files import sound

    return [json.dumps(sound()).encode()]


TARGETS = {t.name: t for t in (
    Target("m.json", _inspected, _own), Target("m.onnx", _model, _onnx), Target("m.keras", _model, _keras),
    Target("x.npy", _input, lambda: [_npy(np.ones((1, 1, 8, 8))), _npy(np.ones((2, 64), ">f4", order="F"))]),
    Target("x.npz", _input, lambda: [_npz(image=np.ones((1, 1, 8, 8)))]),
    Target("x.csv", _input, lambda: [b"a,b\n" + b"1,2.5e-3\n" * 2, ";".join(["1"] * 64).encode()]),
    Target("x.json", _input, lambda: [b'{"image": [[1, 2.5, true]]}', b"[[1e5, null]]"]),
    Target("x.png", _input, lambda: [digits_path("digit_3.png").read_bytes()]),
    Target("a.safetensors", _arrays, _safetensors), Target("v.json", _vectors, _case),
    Target("a.json", _arrays, lambda: [b'{"a": [["1/3", "2"], [1, 2.5]]}']),
)}


def tried(target: Target, data: bytes, folder: Path) -> str:
    """What the reader says about these bytes: "" or the name of an XaicoreError; anything else comes out as it is.

    Within the wall that the commands put around it: four times the limit on one array, which is 64 MiB here; beyond it MemoryError is an answer.
    """
    from xaicore.cli.guard import _memory
    from xaicore.errors import XaicoreError

    folder.mkdir(parents=True, exist_ok=True)               # somebody may have swept /tmp in the middle of a long run
    path = folder / target.name
    path.write_bytes(data)
    try:
        with _memory(4 * LIMIT):
            target.read(str(path))
    except (XaicoreError, MemoryError) as error:
        return type(error).__name__
    return ""
