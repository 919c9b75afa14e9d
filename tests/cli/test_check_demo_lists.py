"""xaicore check, demo, methods, rules."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from tests.cli.files import Run
from xaicore.methods import METHODS
from xaicore.oracle.report import Report, Verdict
from xaicore.rules import RULE_SETS


def test_check_prints_promise_and_fact(run: Run, folder: Path) -> None:
    ran = run("check", "grey.json", "grey.png", "-m", "gradient", "-m", "deeplift.rescale", "--axioms", "completeness,linearity,determinism")
    assert ran.code == 0, ran.out + ran.err
    rows = {line.split()[0]: line.split()[1:] for line in ran.out.splitlines() if line.startswith(("gradient", "deeplift"))}
    assert rows["gradient"] == ["no", "yes", "yes"]
    assert rows["deeplift.rescale"][0] == "yes"


def test_check_without_input_says_that_it_draws(run: Run, folder: Path) -> None:
    ran = run("check", "table.json", "-m", "gradient", "--axioms", "determinism")
    assert ran.code == 0
    assert "drawn numbers" in ran.err


def test_check_json_and_settings(run: Run, folder: Path) -> None:
    ran = run("check", "grey.json", "grey.npy", "-m", "integrated_gradients:steps=3", "-m", "smoothgrad:samples=2", "--axioms", "determinism", "--json")
    document = json.loads(ran.out)
    assert [v["status"] for v in document["verdicts"]] == ["holds", "holds"]
    assert document["exit_code"] == ran.code == 0


def test_nothing_that_applies_is_exit_code_5(run: Run, folder: Path) -> None:
    ran = run("check", "grey.json", "grey.png", "-m", "gradient", "--axioms", "conservation", "--reasons")
    assert ran.code == 5
    assert "nothing was checked" in ran.err
    assert "does not apply" in ran.out


def test_a_broken_promise_is_exit_code_1(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = Report((Verdict("gradient", "dummy", "fails", 0.5, 1e-9, True, "planted"), Verdict("gradient", "linearity", "holds", 0.0, 1e-9, True)))
    monkeypatch.setattr("xaicore.oracle.axioms.check", lambda *_, **__: planted)
    ran = run("check", "grey.json", "grey.png")
    assert ran.code == 1
    assert "BROKEN gradient: dummy, residual 0.5, allowed 1e-09. planted" in ran.out
    assert json.loads(run("check", "grey.json", "grey.png", "--json").out)["verdicts"][0]["broken"] is True
    shown = run("demo", "--out", "demo")
    assert shown.code == 1
    assert "BROKEN gradient" in Path("demo/page.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(("words", "code"), [
    (("nothing.json",), 4), (("grey.json", "rgb.png"), 2), (("grey.json", "grey.png", "--axioms", "dumy"), 2), (("grey.json", "grey.png", "-m", "lrp"), 2),
])
def test_check_with_bad_input(run: Run, folder: Path, words: tuple[str, ...], code: int) -> None:
    ran = run("check", *words)
    assert ran.code == code
    assert ran.err.startswith("xaicore: ")


# ----- demo -------------------------------------------------------------------------------------------------------------


def test_demo_explains_checks_and_draws(run: Run, folder: Path) -> None:
    ran = run("demo", "--out", "a/b")
    assert ran.code == 0, ran.out
    rows = [line for line in ran.out.splitlines() if line.split()[:1] and line.split()[0] in METHODS and line.rstrip().endswith(" s")]
    assert len(rows) >= 8
    assert {line.split()[1] for line in rows} == {"3"}
    for word in ("target", "f(x)", "sum", "absorbed", "gap", "time", "a/b/explanation.png", "a/b/page.html"):
        assert word in ran.out
    with Image.open("a/b/explanation.png") as image:
        assert image.width == 5 * 238 + 14                                # five tiles of 224 with gaps of 14
    assert sorted(p.name for p in Path("a/b").iterdir()) == ["explanation.png", "page.html"]


def test_demo_json_is_one_document(run: Run, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xaicore.cli.demo.METHODS", ("gradient", "lrp.epsilon"))      # two methods, so that it is quick
    monkeypatch.setattr("xaicore.cli.demo.SLOW", "lrp.epsilon")
    document = json.loads(run("demo", "--out", "demo", "--digit", "8", "--json").out)
    assert [r["method"] for r in document["results"]] == ["gradient", "lrp.epsilon"]
    assert document["results"][0]["target"] == ["8"]
    assert document["exit_code"] == 0
    assert all(Path(f).exists() for f in document["files"])
    assert {v["status"] for v in document["verdicts"]} <= {"holds", "fails", "does not apply"}


def test_demo_with_a_folder_that_cannot_be(run: Run, folder: Path) -> None:
    Path("file").touch()
    ran = run("demo", "--out", "file/sub")
    assert ran.code == 2
    assert "cannot be made" in ran.err
    assert run("demo", "--digit", "11").code == 2


# ----- lists ------------------------------------------------------------------------------------------------------------


def test_methods_and_rules_list_all(run: Run) -> None:
    listed = run("methods").out
    assert all(any(line.split()[:1] == [m] for line in listed.splitlines()) for m in METHODS)
    assert [m["id"] for m in json.loads(run("methods", "--json").out)["methods"]] == list(METHODS)
    listed = run("rules").out
    assert all(any(line.split()[:1] == [r] for line in listed.splitlines()) for r in RULE_SETS)
    assert [r["id"] for r in json.loads(run("rules", "--json").out)["rule_sets"]] == list(RULE_SETS)


@pytest.mark.parametrize("method", sorted(METHODS))
def test_a_method_has_a_card(run: Run, method: str) -> None:
    ran = run("methods", method)
    assert ran.code == 0
    for setting in METHODS[method].settings:
        assert any(line.split()[:1] == [setting] for line in ran.out.splitlines())
    assert "promises" in ran.out
    document = json.loads(run("methods", method, "--json").out)
    assert document["promises"] == list(METHODS[method].promises)
    assert document["citation"]


@pytest.mark.parametrize("id", sorted(RULE_SETS))
def test_a_rule_set_has_a_card_with_its_table(run: Run, id: str) -> None:
    ran = run("rules", id)
    assert ran.code == 0
    document = json.loads(run("rules", id, "--json").out)
    assert document["rows"]
    for row in document["rows"]:
        assert row["rule"] in ran.out
        assert row["selector"] in ran.out
    assert document["citation"] in ran.out
    assert "?" not in ran.out.split("\nsources\n")[1]


def test_the_formula_stands_beside_the_rule(run: Run) -> None:
    assert "z_plus" in run("rules", "lrp.z_plus").out
    assert "(x_i w_ij)+ / (Σ_i (x_i w_ij)+ + b_j+)" in run("rules", "lrp.z_plus").out


@pytest.mark.parametrize(("command", "wrong", "right"), [("methods", "lrp.epsilom", "lrp.epsilon"), ("rules", "deeplift.rescal", "deeplift.rescale")])
def test_unknown_ids_get_the_nearest(run: Run, command: str, wrong: str, right: str) -> None:
    ran = run(command, wrong)
    assert ran.code == 2
    assert f"'{right}'" in ran.err
