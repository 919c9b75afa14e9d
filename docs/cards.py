"""The rule cards of all methods, as one document: cards.md.

    python docs/cards.py                                 # seconds; writes cards.md from the code, the worked examples and the axioms
"""

from __future__ import annotations

from pathlib import Path

from xaicore.methods import METHODS
from xaicore.oracle.cards import card, markdown

HEAD = """# Rule cards

One card for every method: the idea, the equation, the lines of code that compute it, an example to follow with a pencil, what it promises
and the test that holds it, its settings, who else computes it, when it misleads. Written by `python docs/cards.py`; the same cards are
printed by `xaicore methods ID`, and stand behind every unit on the pages of `xaicore view`.
"""


def document() -> str:
    """All cards behind a table of contents."""
    contents = [f"- [{id}](#{id.replace('.', '')}): {card(id).idea}" for id in METHODS]
    return "\n".join([HEAD, *contents, "", *(markdown(card(id)) for id in METHODS)])


if __name__ == "__main__":
    Path(__file__).with_name("cards.md").write_text(document(), encoding="utf-8")
