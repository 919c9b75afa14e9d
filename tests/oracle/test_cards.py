"""Every method has a card with all its parts, and what a card names exists: lines of code, tests, axioms, sources."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

import xaicore as xc
from xaicore.errors import UnknownName
from xaicore.methods import METHODS
from xaicore.oracle import cards
from xaicore.oracle.cards import NOTES, card, code_of, markdown, rules_of, sections
from xaicore.oracle.ideas import IDEAS

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("id", METHODS)
def test_no_part_is_missing(id: str) -> None:
    c = card(id)
    assert c.missing() == []
    assert len(c.idea) < 200
    assert c.idea[-1] in ".?"
    assert all(line.strip() for one in c.code for line in one.lines[:1])
    headings = [h for h, _ in sections(c)]
    for part in ("the idea", "the equation", "the code", "worked by hand", "what it promises", "settings", "who else", "when it misleads",
                 "references"):
        assert any(h.startswith(part) for h in headings), part
    assert f"## {id}" in markdown(c)


def test_an_idea_for_every_method_and_no_other() -> None:
    assert set(IDEAS) == set(METHODS)


@pytest.mark.parametrize("id", ["lrp.epsilon", "deeplift.rescale", "gradient", "rise", "grad_cam"])
def test_the_code_is_what_stands_in_the_file(id: str) -> None:
    for one in code_of(id):
        path, _, line = one.where.rpartition(":")
        text = (ROOT / path).read_text(encoding="utf-8").splitlines()
        assert text[int(line) - 1].strip() == one.lines[0].strip()
        for shown in one.lines:
            assert any(shown.split("  #")[0].strip() in there for there in text)


def test_every_note_is_at_a_line_of_its_function() -> None:
    """A note whose line was rewritten would silently vanish."""
    written = {one.name: one for id in METHODS for one in code_of(id)}
    written |= {one.name: one for rule in xc.RULE_SETS["lrp.epsilon"]().rules for one in (cards.code_lines(rule[1].apply),)}
    for name, notes in NOTES.items():
        for start, note in notes:
            assert any(line.strip().startswith(start) and line.endswith(note) for line in written[name].lines), (name, start)


def test_the_tests_that_a_card_names_exist() -> None:
    for form in (cards.PROMISED, cards.SECOND, cards.BY_HAND):
        path, _, name = form.partition("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        assert name.split("[")[0] in {n.name for n in tree.body if isinstance(n, ast.FunctionDef)}


def test_a_rule_set_shows_its_own_rules() -> None:
    assert [k.split("(")[0] for k in rules_of("lrp.epsilon_plus_flat")] == ["flat", "z_plus", "epsilon"]
    assert "s_j = R_j / (z_j + eps sign z_j)" in "\n".join(card("lrp.epsilon").code[0].lines)


def test_the_numbers_of_the_card_are_those_of_the_worked_example() -> None:
    text = "\n".join(line for _, body in sections(card("lrp.epsilon"), 5) for line in body)
    assert "gives [[7/8, 7/8, -21/32]]" in text


def test_the_document_has_every_card() -> None:
    text = (ROOT / "docs" / "cards.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(METHODS), "run python docs/cards.py"


def test_unknown_names_get_the_nearest() -> None:
    with pytest.raises(UnknownName, match=r"lrp\.epsilon"):
        card("lrp.epsilom")
