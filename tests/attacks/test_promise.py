"""SECURITY.md: every sentence of the promise has a test that exists."""

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent


def test_each_sentence_has_a_test() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+?) \| `(tests/\S+?)::(test_\w+)` \|$", (ROOT / "SECURITY.md").read_text(encoding="utf-8"), re.M)
    assert [int(n) for n, *_ in rows] == list(range(1, len(rows) + 1))
    assert len(rows) >= 12
    for _, sentence, file, name in rows:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {f.name for f in tree.body if isinstance(f, ast.FunctionDef)}, sentence


def test_every_reader_is_promised() -> None:
    """What the command reads is named in the promise."""
    from xaicore.cli.inputs import READ
    from xaicore.cli.stored import STORED
    from xaicore.plugins import READERS

    promised = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert [kind for kind in {*READ, *STORED, *READERS} - {".jpeg"} if f"`{kind}`" not in promised] == []
