"""xaicore rules: list the rule sets, or show one: the table of rules that it is, their code, a worked example, who else has it, sources.

A rule (winner_takes_all), an operator (Conv) or an axiom (completeness) has a card as well.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.rules import RuleSet


def arguments(parser: argparse.ArgumentParser) -> None:
    """[ID]."""
    parser.add_argument("id", nargs="?", metavar="ID",
                        help="a rule set (lrp.epsilon), a rule (winner_takes_all), an operator (Conv) or an axiom (completeness)")


def run(args: argparse.Namespace) -> int:
    """The list, or one rule set."""
    from xaicore.cli import shared
    from xaicore.rules import RULE_SETS
    from xaicore.show.table import listing

    if args.id is None:
        sets = {k: build(k) for k in RULE_SETS}
        if args.json:
            shared.dump({"rule_sets": [facts(k, r) for k, r in sets.items()]})
            return 0
        shared.show(listing(([k, r.carrier, r.source.split()[0] if r.source else "", summary(k)] for k, r in sets.items()),
                            "rule set", "carries", "source", "what it is",
                            notes=["", "xaicore rules ID shows one: which rule each kind of operator gets, its formula, its source.",
                                   "A rule (winner_takes_all), an operator (Conv) and an axiom (completeness) have cards as well."]))
        return 0
    if args.id not in RULE_SETS:
        return other(args.id, args.json)
    if args.json:
        from xaicore.cli.methods import parts

        shared.dump({**facts(args.id, build(args.id)), "card": dict(parts(args.id))})
    else:
        card(args.id, build(args.id))
    return 0


def other(id: str, as_json: bool) -> int:
    """The card of a rule, an operator or an axiom."""
    from xaicore.cli import shared
    from xaicore.cli.methods import say_parts
    from xaicore.errors import UnknownName, nearest
    from xaicore.oracle.more_cards import cards
    from xaicore.oracle.rule_cards import rule_card
    from xaicore.oracle.rule_ideas import RULE_IDEAS
    from xaicore.rules import RULE_SETS

    known = {**dict.fromkeys(RULE_IDEAS, rule_card), **cards()}
    name = next((k for k in known if k.lower() == id.lower()), None)
    if name is None:
        raise UnknownName(f"no rule set, rule, operator or axiom is called {id!r}: {nearest(id, [*RULE_SETS, *known])}")
    found = known[name](name)
    if as_json:
        shared.dump({"id": name, "card": dict(found)})
    else:
        shared.say(name)
        shared.say()
        say_parts(found)
    return 0


def settings(id: str) -> dict[str, Any]:
    """A rule set's settings and defaults."""
    import inspect

    from xaicore.rules import RULE_SETS

    return {k: p.default for k, p in inspect.signature(RULE_SETS[id]).parameters.items()}


def build(id: str) -> RuleSet:
    """The rule set with its defaults; the range of the input, which it cannot know, is taken as 0 to 1."""
    from xaicore.rules import RULE_SETS

    known = settings(id)
    return RULE_SETS[id](**({"low": 0, "high": 1} if "low" in known else {}))


def summary(id: str) -> str:
    """The first line of the rule set's documentation."""
    from xaicore.rules import RULE_SETS

    return (RULE_SETS[id].__doc__ or "").strip().splitlines()[0]


def facts(id: str, r: RuleSet) -> dict[str, Any]:
    """One rule set as plain data."""
    from xaicore.cli.methods import citation

    return {"id": id, "summary": summary(id), "carrier": r.carrier, "source": r.source, "citation": citation(r.source),
            "settings": settings(id), "expand": [k.__name__ for k in r.expand], "fold_batchnorm": r.fold,
            "rows": [{"selector": selector.label, "rule": rule.label, "source": rule.source} for selector, rule in r.rules]}


def formulas(r: RuleSet) -> dict[str, str]:
    """Rule label -> first line of its documentation, where the rule is a function that has one."""
    from importlib import import_module

    modules = [import_module(f"xaicore.rules.{name}") for name in ("lrp", "attention", "deeplift", "guided", "gradient", "taylor")]
    out = {}
    for _, rule in r.rules:
        name = {"zero": "epsilon"}.get(rule.label, rule.label.split("(")[0])
        made = next((getattr(m, name) for m in modules if callable(getattr(m, name, None))), None)
        text = (getattr(made, "__doc__", None) or "").strip()
        if text and text != type(made).__doc__:
            out[rule.label] = text.splitlines()[0]
    return out


def card(id: str, r: RuleSet) -> None:
    """One rule set, printed."""
    import inspect

    from xaicore.cli.methods import citation, parts, say_parts
    from xaicore.cli.shared import say, show
    from xaicore.rules import RULE_SETS
    from xaicore.rules.sources import SOURCES
    from xaicore.show.table import listing

    (_, idea), *rest = parts(id, "settings", "references", "the equation")
    say(idea[0])
    say()
    say(inspect.getdoc(RULE_SETS[id]) or id)
    say()
    say(str(r))
    say("  The first row that matches decides; a node that no row matches is an error.")
    say()
    found = formulas(r)
    if found:
        say("the rules")
        width = max(len(k) for k in found)
        for label, line in found.items():
            say(f"  {label:{width}}  {line}")
        say()
    say_parts(rest)
    known = settings(id)
    if known:
        show(listing(([k, repr(v)] for k, v in known.items()), "setting", "default"))
        if "low" in known:
            say("low, high: the range of the input, taken as 0 to 1 in the table above.")
        say()
    keys = dict.fromkeys(k.split()[0].rstrip(",") for k in (r.source, *(rule.source for _, rule in r.rules)) if k)
    say("sources")
    for key in keys:
        say(f"  {key}: {citation(key) if key in SOURCES else '?'}")
