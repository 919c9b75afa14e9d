"""Every attack ends in exit code 3 or 4 (2: a sound file that does not fit) with one message, in 1 GiB of address space and ten seconds.

Nothing that a reader does not have to do is done: see runner.py. A sixth of each family in the quick tier, all in the thorough one.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("resource")
pytest.importorskip("onnx")
pytest.importorskip("h5py")

from tests.attacks import arrays, keras_files, onnx_files, output, own_format, pictures_and_texts, vector_files
from tests.attacks.attack import MODULE, Attack

FAMILIES: dict[str, Mapping[str, Attack]] = {
    "own format": own_format.ATTACKS, "onnx": onnx_files.ATTACKS, "keras": keras_files.ATTACKS, "arrays": arrays.ATTACKS,
    "pictures and texts": pictures_and_texts.ATTACKS, "output": output.ATTACKS,
    "vectors": vector_files.ATTACKS,
}
ROOT = Path(__file__).parent.parent.parent


def attacked(attacks: Mapping[str, Attack], folder: Path) -> list[str]:
    """What went wrong, as lines of text: nothing, if all is well."""
    plan = []
    for j, (name, attack) in enumerate(attacks.items()):
        place = folder / f"a{j}"
        place.mkdir()
        plan.append({"name": name, "words": [str(w) for w in attack.build(place)], "folder": str(place)})
    canary = folder / "canary"
    canary.mkdir()
    (canary / f"{MODULE}.py").write_text("import os\nos.write(2, b'FORBIDDEN: code of the file ran')\nos._exit(99)\n")
    path = folder / "plan.json"
    path.write_text(json.dumps(plan), encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "backends")]), "OMP_NUM_THREADS": "1",
                   "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1", "XAICORE_DEBUG": ""}
    ran = subprocess.run([sys.executable, str(Path(__file__).parent / "runner.py"), str(path)], capture_output=True, text=True,
                         env=environment, cwd=folder, timeout=590, check=False)
    assert ran.returncode == 0, ran.stderr[-3000:]
    results = json.loads(Path(f"{path}.results").read_text(encoding="utf-8"))
    return [line for one, result in zip(plan, results) for line in wrong(attacks[one["name"]], one, result)]


def wrong(attack: Attack, one: Mapping[str, Any], result: Mapping[str, Any]) -> list[str]:
    """What is not as it should be with one attack."""
    out, err = (Path(one["folder"], f".{k}").read_bytes().decode("utf-8", "replace") for k in ("out", "err"))
    told = {
        f"exit code {result['code']} instead of {attack.codes}": result["code"] not in attack.codes,
        f"took {result['seconds']:.1f} s": result["seconds"] > 10,
        "a traceback": "Traceback" in err or "FORBIDDEN" in err,
        "an internal error": "internal error" in err,
        f"the message has not {attack.says!r}": not re.search(attack.says, err) and result["code"] != 0,
        f"the message has not the name {attack.names!r}": bool(attack.names) and attack.names not in err and result["code"] in (3, 4),
        "control characters": bool(re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out + err)),
        "a message of many lines": result["code"] != 0 and len(err.strip().splitlines()) > 12,
    }
    page = Path(one["folder"], "out.html")
    if page.exists():
        text = page.read_text(encoding="utf-8")
        told["a script in the page"] = bool(Tags(text).foreign)
        told["the page has no policy"] = "Content-Security-Policy" not in text
    return [f"{one['name']}: {what}\n    {err.strip()[:400]}" for what, is_so in told.items() if is_so]


class Tags(HTMLParser):
    """What a page must not have: scripts, handlers, addresses that are not in the page itself."""

    def __init__(self, text: str):
        super().__init__()
        self.foreign: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("script", "iframe", "object", "embed", "base", "link", "form") or any(
                k.startswith("on") or (k in ("src", "href", "action") and not (v or "").startswith(("data:image/png;base64,", "#")))
                for k, v in attrs):
            self.foreign.append(f"<{tag} {attrs!r:.80}>")


def test_there_are_enough_attacks() -> None:
    assert sum(map(len, FAMILIES.values())) >= 80


def test_a_sample_of_each_family(tmp_path: Path) -> None:
    chosen = {f"{family}: {k}": v for family, attacks in FAMILIES.items() for k, v in list(attacks.items())[::6]}
    assert not (found := attacked(chosen, tmp_path)), "\n".join(found)


@pytest.mark.thorough
@pytest.mark.parametrize("family", FAMILIES)
def test_all_attacks(family: str, tmp_path: Path) -> None:
    assert not (found := attacked(FAMILIES[family], tmp_path)), "\n".join(found)


def test_the_watch_sees_what_it_has_to_see(tmp_path: Path) -> None:
    """A reader that opens another file, imports, connects, starts a process or unpickles is caught: planted in the command line itself."""
    program = "\n".join([
        "import json, os, sys",
        f"sys.path[:0] = [{str(ROOT)!r}, {str(ROOT / 'backends')!r}]",
        "from tests.attacks import runner",
        "for k, code in enumerate(json.loads(sys.argv[1])):",
        "    if os.fork() == 0:",
        "        import pickle, socket, subprocess",
        "        os.dup2(os.open(os.devnull, os.O_WRONLY), 2)",
        f"        runner.watch({str(tmp_path)!r}, ['inspect', {str(tmp_path / 'm.json')!r}], [])",
        "        try:",
        "            exec(code)",
        "        except Exception:",
        "            pass",
        "        os._exit(0)",
        "    print(os.waitstatus_to_exitcode(os.wait()[1]))",
    ])
    deeds = ["open('/etc/passwd')", f"open({str(tmp_path / 'other.bin')!r})", f"open({str(tmp_path / 'm.json')!r}, 'w')", f"import {MODULE}",
             "socket.create_connection(('127.0.0.1', 9))", "subprocess.run(['true'])", "os.system('true')",
             "pickle.loads(b'cbuiltins\\nlen\\n.')", f"open({str(tmp_path / 'm.json')!r})"]
    (tmp_path / "m.json").write_text("{}")
    (tmp_path / "other.bin").write_text("{}")
    ran = subprocess.run([sys.executable, "-c", program, json.dumps(deeds)], capture_output=True, text=True, timeout=60, check=False)
    assert ran.stdout.split() == ["99"] * (len(deeds) - 1) + ["0"], ran.stdout + ran.stderr
