"""The pages of the site: every Python block in them runs, or is named below with the reason why not; names in the catalogue exist.

The site itself is built, with warnings as errors, by the part ``docs`` of .ci/run; the course is run there, too.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import xaicore as xc
from xaicore.visualize import PRESETS

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", ROOT / "SECURITY.md", ROOT / "backends" / "README.md", ROOT / "benchmarks" / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
GENERATED = {"cards.md", "cards_rules.md", "cards_operators.md", "cards_axioms.md"}      # their blocks are lines of the package itself

NOT_RUN = {
    ("backends/README.md", 0): "a sketch whose parts are words",
    ("backends/README.md", 1): "the models are the reader's; tests/meta/test_contract.py has it with real ones",
    ("docs/many_machines.md", 1): "it needs a scheduler with certificates; tests/many runs a cluster without",
}
"""(page, number of the Python block) -> why it is only read."""


def blocks(path: Path) -> list[str]:
    """The Python blocks of a page, in their order, without what a list indents them by."""
    found = re.findall(r"^([ ]*)```(?:python|py)\n(.*?)^[ ]*```", path.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return ["\n".join(line[len(indent):] for line in text.split("\n")) for indent, text in found]


def every() -> Iterator[tuple[str, int, str]]:
    for path in PAGES:
        if path.name not in GENERATED:
            for n, text in enumerate(blocks(path)):
                yield str(path.relative_to(ROOT)), n, text


# ----- what the reader of a page has before its block ---------------------------------------------------------------------


def many(folder: Path) -> dict[str, Any]:
    data = ROOT / "xaicore" / "data"
    shutil.copy(data / "digits.onnx", folder / "model.onnx")
    (folder / "images").mkdir()
    for k in range(18):
        shutil.copy(data / f"digit_{(3, 5, 8)[k % 3]}.png", folder / "images" / f"{k:02}.png")
    return {"Path": Path}


def digits(folder: Path) -> dict[str, Any]:
    from xaicore.data import digits_images, digits_model

    return {"graph": digits_model(), "x": digits_images()[0][:2].astype(float)}


def page(folder: Path) -> dict[str, Any]:
    from dataclasses import replace

    import numpy as np

    from xaicore.graph import Builder, Node
    from xaicore.ops import Dense, Div, Sub

    b = Builder("page")
    graph = b.build(b.add(Dense(), b.input("x", (None, 3)), b.param("w", np.ones((2, 3)))))
    return {"graph": graph, "Node": Node, "Sub": Sub, "Div": Div, "replace": replace, "MEAN": np.ones(3), "DEVIATION": np.full(3, 2.0)}


def photograph(folder: Path) -> dict[str, Any]:
    import numpy as np
    import torch

    from xaicore.show.sheet import contact_sheet, png
    from xaicore.show.table import attributions

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(),
                                  torch.nn.Linear(4, 5)).eval()
    x = np.random.default_rng(0).normal(size=(1, 3, 16, 16))
    return {"xc": xc, "network": network, "x": x, "METHODS": {"gradient": {}, "lrp.epsilon": {"eps": 0.01}}, "attributions": attributions,
            "png": png, "contact_sheet": contact_sheet, "Path": Path}


def protocol(folder: Path) -> dict[str, Any]:
    return {}


def vectors(folder: Path) -> dict[str, Any]:
    import torch

    return {"torch": torch}


BEFORE = {"docs/many_machines.md": many, "docs/metrics.md": digits, "docs/orientation.md": page, "docs/photograph.md": photograph,
          "docs/vectors.md": vectors}


@pytest.mark.parametrize(("name", "n", "text"), [pytest.param(*one, id=f"{one[0]}:{one[1]}") for one in every() if one[:2] not in NOT_RUN])
def test_a_block_runs(name: str, n: int, text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    if name in ("docs/photograph.md", "docs/vectors.md"):
        pytest.importorskip("torch")
    before = BEFORE.get(name, protocol)(tmp_path)
    if name == "docs/subject_protocol.md":
        asked = [{"cmd": "start", "protocol": 1}, {"cmd": "run", "seq": 7, "x": {"x": [[1, 2]]}}, {"cmd": "stop"}]
        monkeypatch.setattr(sys, "stdin", io.StringIO("\n".join(json.dumps(q) for q in asked)))
    exec(compile(text, f"{name}:{n}", "exec"), before)
    said = capsys.readouterr().out
    if name == "docs/subject_protocol.md":
        assert json.loads(said.splitlines()[1]) == {"seq": 7, "attributions": {"x": [[0.0, 0.0]]}}
    if name == "docs/vectors.md":
        import numpy as np
        import torch

        model = torch.nn.Linear(2, 2)
        found = before["explain"]("gradient", model, {"x": np.ones((1, 2))}, 1, {}, "any")
        np.testing.assert_allclose(found.numpy()[0], model.weight[1].detach().numpy())
    if name == "docs/orientation.md":
        import numpy as np

        np.testing.assert_allclose(before["graph"](np.full((1, 3), 5.0)), [[6.0, 6.0]])


def test_what_is_not_run_is_there() -> None:
    there = {one[:2] for one in every()}
    assert set(NOT_RUN) <= there
    assert {name for name, _ in there} >= set(BEFORE)


def test_a_block_that_fails_would_be_seen(tmp_path: Path) -> None:
    """Planted: in a list, indented."""
    bad = tmp_path / "bad.md"
    bad.write_text("1. x\n\n   ```python\n   if True:\n       1 / 0\n   ```\n", encoding="utf-8")
    with pytest.raises(ZeroDivisionError):
        exec(blocks(bad)[0], {})


def test_the_catalogue_names_what_exists() -> None:
    """Third column: ids of methods, tools, presets, metrics; a file and a command are not ids."""
    text = (ROOT / "docs" / "catalogue.md").read_text(encoding="utf-8")
    cells = [row.split("|")[3] for row in text.splitlines() if row.startswith("|") and row.count("|") >= 4][2:]
    ids = {i for cell in cells for i in re.findall(r"`([^`/ ]+)`", cell)}
    known = {*xc.METHODS, *xc.REPRESENTATIONS, *PRESETS, *xc.METRICS, *xc.OBJECTIVES, "fixation.*"}
    assert sorted(ids - known) == []
    assert len(ids & set(xc.METHODS)) > 65, "the others are in the table that is made of METHODS"
    papers = {"simonyan2013", "zeiler2014", "bach2015", "sundararajan2017", "shrikumar2017", "ribeiro2016", "lundberg2017", "selvaraju2017"}
    assert {row.source for m, row in xc.METHODS.items() if m in ids} >= papers


FIELD = ("Captum", "iNNvestigate", "PAIR saliency", "DeepExplain", "TruLens", "tf-explain", "Quantus", "Lucid", "tf-keras-vis", "keras-vis",
         "LRP toolbox", "DoWhy", "Leap AI", "grandalf", "TensorSpace", "CNN Explainer", "deepsense", "pytorch-cnn-visualizations", "theaisummer",
         "Chadha", "CS231n", "Molnar", "human-centred", "Neural Network Architecture", "Merantix", "Dark Secret", "AI Detectives",
         "Understanding your convolution network", "JuntingNet", "heatmapping.org", "CVPR 2020", "EMNN", "Singh", "Samek", "Podracer", "Borji")


def test_the_field_has_every_tool_and_text() -> None:
    """What the project's reading lists name and what is no method; each row says where its idea is, or "nowhere"."""
    text = (ROOT / "docs" / "field.md").read_text(encoding="utf-8")
    assert [name for name in FIELD if name not in text] == []
    rows = [row for row in text.splitlines() if row.startswith("| ") and not row.startswith(("| tool", "| text"))]
    assert all(len([c for c in row.split("|") if c.strip()]) == 3 for row in rows)


def test_every_page_is_in_the_contents() -> None:
    index = (ROOT / "docs" / "index.md").read_text(encoding="utf-8")
    listed = set(re.findall(r"^([a-z_]+)$", index, re.MULTILINE))
    assert {p.stem for p in (ROOT / "docs").glob("*.md")} - listed == {"index"}
