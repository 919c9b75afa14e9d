"""The cards of all methods, rules, operators and axioms: cards.md, cards_rules.md, cards_operators.md, cards_axioms.md.

    python docs/cards.py                                 # seconds; writes them from the code, the worked examples and the axioms
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from xaicore.methods import METHODS
from xaicore.ops import OPS
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.cards import card, document_of, markdown
from xaicore.oracle.more_cards import axiom_card, operator_card
from xaicore.oracle.rule_cards import rule_card
from xaicore.oracle.rule_ideas import RULE_IDEAS

HEADS = {
    "cards.md": """# Rule cards

One card for every method: the idea, the equation, the lines of code that compute it, an example to follow with a pencil, what it promises
and the test that holds it, its settings, who else computes it, when it misleads. Written by `python docs/cards.py`; the same cards are
printed by `xaicore methods ID`, and stand behind every unit on the pages of `xaicore view`.
""",
    "cards_rules.md": """# Cards of the rules

One card for every rule that stands in the table of a rule set: the idea, the equation, the lines of code, an example on one operator, what
it conserves, when it misleads. Written by `python docs/cards.py`; the same cards are printed by `xaicore rules winner_takes_all`. The
tables themselves: `xaicore rules lrp.epsilon`.
""",
    "cards_operators.md": """# Cards of the operators

One card for every operator: the idea, the equation, the lines of code, an example of a few numbers forward and backward, what it claims
and the test that proves it, what the rule sets do at it, who has the same, when it misleads. Written by `python docs/cards.py`; the same
cards are printed by `xaicore rules Conv`.
""",
    "cards_axioms.md": """# Cards of the axioms

One card for every axiom: what it says, the code that measures it, an example with a method that keeps it and one that does not, who
promises it, when it misleads. Written by `python docs/cards.py`; the same cards are printed by `xaicore rules completeness`. Which method
keeps which: [every method against every axiom](axioms.md).
""",
}


def documents() -> Mapping[str, str]:
    """File -> all its cards behind a table of contents."""
    ideas = {"cards.md": {id: (card(id).idea, markdown(card(id))) for id in METHODS}}
    tables = (("cards_rules.md", RULE_IDEAS, rule_card), ("cards_operators.md", OPS, operator_card), ("cards_axioms.md", AXIOMS, axiom_card))
    for file, table, make in tables:
        made = {id: make(id) for id in table}
        ideas[file] = {id: (c[0][1][0], document_of(id, c)) for id, c in made.items()}
    return {file: "\n".join([HEADS[file], *(f"- [{id}](#{id.replace('.', '').lower()}): {idea}" for id, (idea, _) in found.items()), "",
                             *(text for _, text in found.values())]) for file, found in ideas.items()}


if __name__ == "__main__":
    for file, text in documents().items():
        Path(__file__).with_name(file).write_text(text, encoding="utf-8")
