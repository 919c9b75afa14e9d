"""Attacks on the reader of certified test vectors, which other people's runners and lints open."""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.attacks.attack import MODULE, Attack, dumped

FOLDER = Path(__file__).parent.parent.parent / "xaicore/oracle/vectors/cases"


def sound() -> dict[str, Any]:
    """One vector of the shipped ones."""
    document = json.loads(next(iter(sorted(FOLDER.glob("gradient*.json")))).read_text(encoding="utf-8"))
    return {"schema": document["schema"], "vectors": document["vectors"][:1]}


def linted(data: bytes | Callable[[Path], Any], says: str, codes: tuple[int, ...] = (4,)) -> Attack:
    def build(folder: Path) -> list[str]:
        path = folder / "v.json"
        path.write_bytes(data) if isinstance(data, bytes) else data(path)
        return ["vectors", "lint", str(path), "--max-bytes", "100M", "--timeout", "8"]

    return Attack(build, says, codes, "v.json")


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    document = copy.deepcopy(sound())
    change(document["vectors"][0])
    return dumped(document)


def first_parameter(value: Any) -> Callable[[dict[str, Any]], None]:
    def change(vector: dict[str, Any]) -> None:
        name = next(iter(vector["model"]["params"]))
        vector["model"]["params"][name] = value

    return change


ATTACKS = {
    "no document": linted(b"{", "not a JSON document"),
    "deep": linted(b"[" * 10**5, "nested more than 100"),
    "schema of tomorrow": linted(dumped({"schema": 99, "vectors": []}), "schema 99"),
    "vectors of text": linted(dumped({"schema": 1, "vectors": "abc"}), "no file of test vectors"),
    "a vector of text": linted(dumped({"schema": 1, "vectors": ["abc"]}), "does not know"),
    "unknown field": linted(changed(lambda v: v.update(__class__=MODULE)), "__class__"),
    "an id of lists": linted(changed(lambda v: v.update(id=[1])), "of another kind"),
    "a model of text": linted(changed(lambda v: v.update(model=MODULE)), "of another kind"),
    "rational bomb": linted(changed(first_parameter([["1e999999999"]])), "", (1,)),
    "rational by zero": linted(changed(first_parameter([["1/0"]])), "", (1,)),
    "infinity": linted(changed(first_parameter([[float("inf")]])), "", (1,)),
    "code for a number": linted(changed(first_parameter([[f"__import__('{MODULE}')"]])), "", (1,)),
    "operator of a module": linted(changed(lambda v: v["model"]["nodes"][0].update(op=MODULE)), "", (1,)),
    "method of a module": linted(changed(lambda v: v.update(method=f"{MODULE}.run")), "", (1,)),
    "a shape of terabytes": linted(changed(lambda v: v["model"]["nodes"].append(
        {"name": "z", "op": "Expand", "fields": {"shape": [10**12]}, "inputs": [next(iter(v["x"]))]})), "", (1, 3, 4)),
    "a settings bomb": linted(changed(lambda v: v.update(settings={"eps": {"rational": "1e999999999"}})), "", (1,)),
    "a key twice": linted(b'{"schema": 1, "schema": 1, "vectors": []}', "stands twice"),
    "20 MB": linted(lambda path: path.write_bytes(b" " * (20 << 20)), "more than 16,777,216"),
    "pipe": linted(lambda path: os.mkfifo(path), "no regular file"),
    "names for the terminal": linted(changed(lambda v: v.update(id="\x1b[2Jgradient/x")), "", (1,)),
}
