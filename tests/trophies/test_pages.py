"""The pages say what was run: no cell of docs/conformance.md is unclassified, and docs/trophies.md has every script."""

import re
from pathlib import Path

from benchmarks.profiles import HEADING, NOT_RUN, RUNS, WHY
from xaicore.oracle.profiles import PEERS

ROOT = Path(__file__).parent.parent.parent
ENTRY_VERDICTS = ("agrees to 1e-", "agrees within the draws: ", "differs by convention: ", "not run: ", "refuses: ")
VERDICTS = ("agrees to 1e-", "differs by convention: ", "defect: ", "refuses: ", "not offered", "not compared: ")


def conformance():
    """The families of networks, and the profiles entry by entry."""
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    families, _, entries = text.partition(f"\n{HEADING}\n")
    return families, entries


def test_every_profile_was_run_or_says_why_not():
    """Each line of profiles.py has a line on the page; what differs is named."""
    _, entries = conformance()
    rows = [line.strip("| ").split(" | ") for line in entries.splitlines() if line.startswith("| ") and not line.startswith("| theirs")]
    assert sorted(row[0] for row in rows) == sorted(e.method for several in PEERS.values() for e in several)
    assert [row for row in rows if not row[-1].startswith(ENTRY_VERDICTS)] == []
    assert sum(row[-1].startswith("agrees") for row in rows) >= 80
    assert {name: set(runs) | {m for p, m in WHY if p == name} for name, runs in RUNS.items()} == {
        name: {e.method for e in PEERS[name]} for name in RUNS}
    assert set(RUNS) | set(NOT_RUN) == set(PEERS)


def test_every_cell_of_the_conformance_page_is_a_verdict():
    text, _ = conformance()
    rows = [line for line in text.splitlines() if line.startswith("| ") and not line.startswith("| |")]
    cells = [cell.strip() for row in rows for cell in row.strip("|").split(" | ")[1:]]
    assert len(rows) >= 40
    assert [c for c in cells if not c.startswith(VERDICTS)] == []
    assert len(re.findall(r"^## \S+ [0-9.]+$", text, re.M)) >= 8        # peers, with their versions
    assert re.search(r"Written on \d{4}-\d{2}-\d{2}", text)


def test_a_defect_that_a_cell_names_has_its_script():
    text = (ROOT / "docs" / "conformance.md").read_text(encoding="utf-8")
    named = set(re.findall(r"tests/trophies/\w+\.py", text))
    assert named
    assert [n for n in named if not (ROOT / n).exists()] == []


def test_the_trophies_page_has_every_script():
    text = (ROOT / "docs" / "trophies.md").read_text(encoding="utf-8")
    scripts = {p.name for p in (ROOT / "tests" / "trophies").glob("*.py") if not p.name.startswith(("test_", "keras_"))}
    assert set(re.findall(r"\.\./tests/trophies/(\w+\.py)", text)) == scripts
    assert "not run here" not in text
