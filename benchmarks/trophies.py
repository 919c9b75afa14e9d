"""Writes docs/trophies.md: runs every script of tests/trophies in an interpreter that has its peer, and tells what came out.

    XAICORE_PEERS=.peers python -m benchmarks.trophies
"""

from __future__ import annotations

import argparse
import ast
import datetime
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

from xaicore_peers import LIBRARIES, environments

ROOT = Path(__file__).parent.parent
PACKAGES = {**{k: v.package for k, v in LIBRARIES.items()}, "quantus": "quantus", "innvestigate": "innvestigate"}
NAMES = {**{k: v.distribution for k, v in LIBRARIES.items()}, "quantus": "quantus", "innvestigate": "innvestigate"}


HEAD = ("`python -m benchmarks.trophies` writes this page. A script needs the library, its framework and NumPy; it prints both numbers and",
        "ends with exit code 1 while the defect is there. Expected values follow from the method's definition or from the library's own",
        "documentation, or are the library's own answer for the same function written otherwise. What is a convention is in",
        "[conformance.md](conformance.md), not here. Where the documentation of a library names a limitation, and the library answers with",
        "a wrong number without a word, it stands here as a *silent fall-back*.")


def interpreter(peer: str) -> tuple[str, str] | None:
    """(python, folder for its path) that can import a peer; None without one."""
    if importlib.util.find_spec(PACKAGES[peer]):
        return sys.executable, ""
    root = Path(os.environ.get("XAICORE_PEERS", ".peers"))
    made = [folder for (name, _), folder in environments().items() if name == peer] or sorted(root.glob(f"{peer}-*"))
    if not made:
        return None
    own = made[-1] / "bin" / "python"
    return (str(own), "") if own.exists() else (sys.executable, str(made[-1]))


def ran(path: Path, where: tuple[str, str]) -> tuple[int, str, str]:
    """(exit code, given, expected) of a script."""
    done = subprocess.run([where[0], "-W", "ignore", str(path)], capture_output=True, text=True, timeout=300, check=False,
                          env={**os.environ, "PYTHONPATH": where[1], "TF_CPP_MIN_LOG_LEVEL": "3"})
    found = dict(re.findall(r"^(given|expected) +(.*)$", done.stdout, re.M))
    return done.returncode, found.get("given", done.stderr.strip()[-100:]), found.get("expected", "")


def main() -> int:
    """Runs all and writes the page; 1 when a script does not show its defect any more."""
    scripts = sorted(p for p in (ROOT / "tests" / "trophies").glob("*.py") if not p.name.startswith(("test_", "keras_")))
    page: list[str] = []
    gone, counted, peers = [], 0, set()
    last = ""
    aside = sorted((ROOT / "tests" / "trophies" / "aside").glob("*.py"))
    for path in [*scripts, *aside]:
        text = path.read_text(encoding="utf-8")
        said = re.search(r'^PEER, SUBJECT, KIND = "(.*?)", "(.*?)", "(.*?)"\nVERSION, UPSTREAM = "(.*?)", "(.*?)"$', text, re.M)
        assert said is not None, path
        peer, _, kind, version, upstream = said.groups()
        where = interpreter(peer)
        code, given, expected = ran(path, where) if where else (-1, "not run here", "")
        print(path.stem, code, sep="\t", flush=True)
        if code == 0:
            gone.append(path.stem)
        heading = "## Aside: true, not found without being told where to look" if path in aside else f"## {NAMES[peer]} {version}"
        if heading != last:
            page += [heading, ""]
            last = heading
        title, _, rest = (ast.get_docstring(ast.parse(text)) or "").partition("\n\n")
        link = f"[{path.name}](../{path.relative_to(ROOT).as_posix()})"
        page += [f"### {title.rstrip('.')}", "", f"*{kind}* · {link} · upstream: {upstream}", "",
                 *rest.splitlines(), "", "```", f"given     {given[:300]}", f"expected  {expected[:300]}", "```", ""]
        counted += path not in aside
        peers.add(peer)
    head = ["# Trophies: confirmed defects of other libraries", "",
            f"{counted} defects of {len(peers)} libraries, in the releases that were current on {datetime.date.today()}; each was run.", "",
            *HEAD, ""]
    (ROOT / "docs" / "trophies.md").write_text("\n".join(head + page), encoding="utf-8")
    print(f"not there any more: {', '.join(gone)}" if gone else "all are there")
    return bool(gone)


if __name__ == "__main__":
    argparse.ArgumentParser(prog="python -m benchmarks.trophies", description=__doc__).parse_args()              # there are no options
    sys.exit(main())
