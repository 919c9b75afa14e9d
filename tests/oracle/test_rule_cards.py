"""Every rule in a table of a rule set has a card with all its parts; its sums come out, by this rule and no other."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import numpy as np
import pytest

import xaicore as xc
from xaicore.cli.main import main
from xaicore.errors import UnknownName
from xaicore.oracle.more_cards import missing
from xaicore.oracle.operators import value
from xaicore.oracle.rule_cards import RULE_PARTS, example, rule_card, rules
from xaicore.oracle.rule_ideas import RULE_IDEAS
from xaicore.trace import forward

ROOT = Path(__file__).parents[2]


def test_a_card_for_every_rule_and_no_other() -> None:
    assert set(RULE_IDEAS) == set(rules())
    assert {k: m for k in RULE_IDEAS if (m := missing(rule_card(k), RULE_PARTS))} == {}
    text = (ROOT / "docs" / "cards_rules.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == list(RULE_IDEAS), "run python docs/cards.py"


@pytest.mark.parametrize("name", RULE_IDEAS)
def test_the_example(name: str) -> None:
    """A few hundred roundings lie between; the stabiliser of those examples that have one is written into their sums, or 1e-12."""
    told = RULE_IDEAS[name]
    graph, x = example(told)
    a = xc.explain(graph, x, told.by, target=0, **told.settings)
    found = np.concatenate([np.ravel(a.values[k]) for k in told.signals])
    np.testing.assert_allclose(found, [value(e) for e in told.gives.split(";")], rtol=1e-5 if told.by == "lrp.epsilon" else 1e-9, atol=1e-9)
    known = inspect.signature(xc.RULE_SETS[told.by]).parameters
    made = xc.RULE_SETS[told.by](**{k: v for k, v in told.settings.items() if k in known})
    ready = made.prepare(graph, {k: v.shape for k, v in forward(graph, x).values.items()})
    plan = made.plan(ready)
    assert name in {plan.rule(n).label.split("(")[0] for n in ready.nodes if n.name in plan.rows}


def test_on_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["rules", "winner_takes_all"]) == 0
    out = capsys.readouterr().out
    assert "gives 0; 3" in out
    assert "deep_taylor" in out
    with pytest.raises(UnknownName, match="winner_takes_all"):
        rule_card("winner_take_all")
