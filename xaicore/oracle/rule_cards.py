"""Cards of rules, in the form of those of operators (more_cards.py): what "winner_takes_all" in a table of a rule set means."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType

import numpy as np

from xaicore.errors import UnknownName, nearest
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.ops import Dense, Sigmoid
from xaicore.oracle.cards import PROMISED, code_lines, innermost, shown
from xaicore.oracle.more_cards import Sections, sums
from xaicore.oracle.rule_ideas import RULE_IDEAS, RuleIdea
from xaicore.rules import RULE_SETS, Rule
from xaicore.rules.sources import SOURCES, cite

EXAMPLE = "tests/oracle/test_rule_cards.py::test_the_example[{}]"
RULE_PARTS = ("the idea", "the equation", "the code", "worked by hand", "what it conserves", "where it decides", "when it misleads",
              "references")


@cache
def rules() -> Mapping[str, tuple[Rule, tuple[str, ...]]]:
    """Label without settings -> a rule of this label, and the rule sets that have it, each with its defaults."""
    found: dict[str, tuple[Rule, tuple[str, ...]]] = {}
    for id, build in RULE_SETS.items():
        box = {"low": 0, "high": 1} if "low" in inspect.signature(build).parameters else {}
        for label, rule in {rule.label.split("(")[0]: rule for _, rule in build(**box).rules}.items():
            first, sets = found.get(label, (rule, ()))
            found[label] = first, (*sets, id)
    return MappingProxyType(found)


def rule_card(name: str) -> Sections:
    """The card of a rule by its label; UnknownName with the nearest names."""
    if name not in RULE_IDEAS:
        raise UnknownName(f"no rule is called {name!r}: {nearest(name, RULE_IDEAS)}")
    told, (rule, sets) = RULE_IDEAS[name], rules()[name]
    code = code_lines(innermost(rule.apply))
    given = ", ".join(f"{k} = {shown(v)}" for k, v in {**told.signals, **told.weights, **told.settings}.items())
    conserving = next((s for s in (told.by, *sets) if s.startswith(("lrp", "deeplift", "deep_"))), "")
    key = rule.source.split()[0].rstrip(",") if rule.source else ""
    return [
        ("the idea", [told.idea]),
        ("the equation", [told.equation]),
        (f"the code: {code.name} in {code.where}", list(code.lines)),
        ("worked by hand", [f"{' -> '.join(str(op) for op in told.chain)} under {told.by}: {given}", "gives " + sums(told.gives),
                            f"held by {EXAMPLE.format(name)}"]),
        ("what it conserves, and the test that holds it",
         [told.conserves, *([f"    held by {PROMISED.format(conserving)}"] if conserving and told.conserves[:7] != "nothing" else [])]),
        ("where it decides", [f"in {', '.join(sets)}; xaicore rules ID shows for which operators"]),
        ("when it misleads", [told.misleads]),
        ("references", [f"{rule.source}: {cite(key)}" if key in SOURCES else "by the mathematics of the operator; no paper of its own"]),
    ]


def example(told: RuleIdea) -> tuple[Graph, dict[str, Array]]:
    """The operators of the example as a graph, and its input."""
    b = Builder("example")
    names = [b.input(k, (None, *np.shape(v)[1:])) for k, v in told.signals.items()]
    for op in told.chain:
        if isinstance(op, Sigmoid):
            names[-1] = b.add(op, names[-1])
        else:
            weights = [b.param(k, np.array(v, dtype=float)) for k, v in told.weights.items()] if isinstance(op, Dense) else []
            names = [b.add(op, *names, *weights)]
    return b.build(names[0]), {k: np.array(v, dtype=float) for k, v in told.signals.items()}
