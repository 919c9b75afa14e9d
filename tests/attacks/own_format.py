"""Attacks on xaicore's own model file, a JSON document."""

from __future__ import annotations

import base64
import copy
import json
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.attacks.attack import MODULE, Attack, dumped, model

WEIGHT = np.ones((2, 2)).tobytes()


def document() -> dict[str, Any]:
    """y = W x."""
    return {
        "format": "xaicore-graph", "version": 1, "name": "small", "dtype": "float64", "meta": {},
        "inputs": {"x": {"shape": [None, 2], "kind": "float"}},
        "params": {"w": {"dtype": "float64", "shape": [2, 2], "data": base64.b64encode(WEIGHT).decode()}},
        "nodes": [{"name": "y", "op": "Dense", "fields": {}, "inputs": ["x", "w"], "layer": "y", "origin": "Dense"}], "outputs": ["y"],
    }


def changed(change: Callable[[dict[str, Any]], Any]) -> bytes:
    doc = copy.deepcopy(document())
    change(doc)
    return dumped(doc)


def node(op: str, fields: dict[str, Any], inputs: list[str], name: str = "y") -> dict[str, Any]:
    return {"name": name, "op": op, "fields": fields, "inputs": inputs, "layer": name, "origin": op}


def chain(*nodes: dict[str, Any], shape: list[Any] | None = None) -> bytes:
    """A model of these nodes alone."""
    return changed(lambda d: d.update(nodes=list(nodes), params={}, outputs=[nodes[-1]["name"]],
                                      inputs={"x": {"shape": shape or [None, 2], "kind": "float"}}))


def computed(data: bytes, says: str) -> Attack:
    """A sound model that computes something enormous: explained on a sound input."""
    def build(folder: Any) -> list[str]:
        (folder / "m.json").write_bytes(data)
        np.save(folder / "x.npy", np.ones((1, 2)))
        return ["explain", str(folder / "m.json"), str(folder / "x.npy"), "-m", "gradient", "--max-bytes", "100M", "--timeout", "5"]

    return Attack(build, says, (3, 4), "m.json")


SUM = node("Sum", {"axes": [1]}, ["p"])


def doubled(rounds: int) -> bytes:
    """x beside itself, again and again: 2^rounds entries of a file of some kilobytes."""
    nodes, last = [], "x"
    for k in range(rounds):
        nodes.append(node("Concat", {"axis": 1}, [last, last], f"n{k}"))
        last = f"n{k}"
    return chain(*nodes)


TEXT = json.dumps(document())
ATTACKS = {
    "empty": model("m.json", b"", "not a JSON document"),
    "cut off": model("m.json", TEXT.encode()[:-40], "not a JSON document"),
    "no UTF-8": model("m.json", b"\xff\xfe\xfa{", "not a JSON document"),
    "deep lists": model("m.json", b"[" * 10**6, "nested more than 100 levels"),
    "deep objects": model("m.json", b'{"a":' * 10**5 + b"1" + b"}" * 10**5, "nested more than 100 levels"),
    "a key twice": model("m.json", TEXT.replace('"nodes"', '"format": "xaicore-graph", "nodes"').encode(), "'format' stands twice"),
    "a parameter twice": model("m.json", TEXT.replace('"params": {', '"params": {"w": 1, ').encode(), "'w' stands twice"),
    "a number of 10,000 digits": model("m.json", TEXT.replace('"version": 1', '"version": ' + "9" * 10**4).encode(), "not a JSON document"),
    "NaN for a size": model("m.json", TEXT.replace("[null, 2]", "[null, NaN]").encode(), "nan is not a size"),
    "size of 2^63": model("m.json", changed(lambda d: d["inputs"]["x"].update(shape=[None, 2**63])), "is not a size"),
    "negative size": model("m.json", changed(lambda d: d["params"]["w"].update(shape=[-2, -2])), "is not a size"),
    "true for a size": model("m.json", changed(lambda d: d["params"]["w"].update(shape=[True, 4])), "is not a size"),
    "shape that overflows": model("m.json", changed(lambda d: d["params"]["w"].update(shape=[2**30] * 6)), "bytes, 32 are there"),
    "dtype object": model("m.json", changed(lambda d: d["params"]["w"].update(dtype="object")), "has the dtype 'object'"),
    "dtype of a module": model("m.json", changed(lambda d: d["params"]["w"].update(dtype=MODULE)), "has the dtype"),
    "no base64": model("m.json", changed(lambda d: d["params"]["w"].update(data="$" * 44)), "malformed"),
    "NaN in a weight": model("m.json", changed(lambda d: d["params"]["w"].update(
        data=base64.b64encode(np.full(4, np.nan).tobytes()).decode())), "'w' holds nan"),
    "operator of a module": model("m.json", changed(lambda d: d["nodes"][0].update(op=MODULE)), "unknown operator"),
    "operator os.system": model("m.json", changed(lambda d: d["nodes"][0].update(op="os.system", fields={"command": "id"})), "unknown operator"),
    "operator __init__": model("m.json", changed(lambda d: d["nodes"][0].update(fields={"__class__": "x"})), "has no field '__class__'"),
    "base class": model("m.json", changed(lambda d: d["nodes"][0].update(op="Op")), "malformed|unknown operator"),
    "fraction bomb": model("m.json", chain(node("LeakyReLU", {"slope": {"number": "1e999999999"}}, ["x"])), "malformed"),
    "fraction by zero": model("m.json", chain(node("LeakyReLU", {"slope": {"number": "1/0"}}, ["x"])), "malformed"),
    "operators in operators": model("m.json", chain(node("RNN", {"activation": json.loads(
        '{"op":"RNN","fields":{"activation":' * 45 + '{"op":"Tanh","fields":{}}' + "}}" * 45)}, ["x"])), "malformed|nested"),
    "cycle": model("m.json", changed(lambda d: d["nodes"][0].update(inputs=["y", "w"])), "malformed"),
    "name twice": model("m.json", changed(lambda d: d["nodes"].append(dict(d["nodes"][0]))), "malformed"),
    "output of nothing": model("m.json", changed(lambda d: d.update(outputs=["secret"])), "malformed"),
    "version of tomorrow": model("m.json", changed(lambda d: d.update(version=99)), "format version 99"),
    "a list for a model": model("m.json", b"[1, 2, 3]", "not a model of xaicore"),
    "pipe": model("m.json", lambda path: os.mkfifo(path), "no regular file"),
    "folder": model("m.json", lambda path: path.mkdir(), "is a directory"),
    "device": model("m.json", lambda path: path.symlink_to("/dev/zero"), "no regular file"),
    "doubled 40 times": computed(doubled(40), "memory|not done"),
    "padding of terabytes": computed(chain(node("Unsqueeze", {"axes": [1]}, ["x"], "u"), node("Pad", {"pads": [[0, 0], [0, 10**12]]}, ["u"], "p"), SUM), "memory|bytes"),
    "one-hot of terabytes": computed(chain(node("ToInt", {}, ["x"], "i"), node("OneHot", {"depth": 10**13}, ["i"])), "memory|bytes|floating"),
    "expansion of terabytes": computed(chain(node("Unsqueeze", {"axes": [1]}, ["x"], "u"), node("Expand", {"shape": [10**12, 2]}, ["u"], "p"),
                                             node("Sum", {"axes": [1, 2]}, ["p"])), "memory|bytes|not done"),
}
