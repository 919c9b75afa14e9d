"""xaicore methods: list the attribution methods, or show the card of one: idea, code, worked example, promises, settings, source."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xaicore.methods.table import Method


def arguments(parser: argparse.ArgumentParser) -> None:
    """[ID]."""
    parser.add_argument("id", nargs="?", metavar="ID", help="a method, such as lrp.epsilon")


def run(args: argparse.Namespace) -> int:
    """The list, or one method."""
    from xaicore.cli import shared
    from xaicore.errors import UnknownName, nearest
    from xaicore.methods.table import METHODS
    from xaicore.show.table import listing

    if args.id is None:
        rows = list(METHODS.values())
        if args.json:
            shared.dump({"methods": [facts(m) for m in rows]})
            return 0
        shared.show(listing(([m.id, "baseline" if m.baseline else "seed" if m.random else "", m.summary] for m in rows),
                            "method", "takes", "what it computes", notes=["", "xaicore methods ID shows one: settings, promises, source.",
                                   "xaicore rules ID shows the table of rules behind it."]))
        return 0
    if args.id not in METHODS:
        raise UnknownName(f"no method is called {args.id!r}: {nearest(args.id, METHODS)}")
    row = METHODS[args.id]
    if args.json:
        shared.dump({**facts(row), "card": dict(parts(row.id))})
    else:
        card(row)
    return 0


def facts(m: Method) -> dict[str, Any]:
    """One row of METHODS as plain data."""
    return {"id": m.id, "summary": m.summary, "promises": list(m.promises), "source": m.source, "citation": citation(m.source),
            "settings": {k: default(v) for k, v in m.settings.items()}, "baseline": m.baseline, "random": m.random, "layer": m.layer,
            "model_free": m.free, "cost": m.cost}


def parts(id: str, *left_out: str) -> list[tuple[str, list[str]]]:
    """The parts of a method's card, as it is made for the documentation and the viewer, without those that stand elsewhere."""
    from xaicore.oracle.cards import card, sections

    return [(heading, lines) for heading, lines in sections(card(id)) if not heading.startswith(left_out)]


def say_parts(found: list[tuple[str, list[str]]]) -> None:
    """Headings with indented lines."""
    from xaicore.cli.shared import say

    for heading, lines in found:
        say(heading)
        for line in lines:
            say(f"  {line}")
        say()


def default(value: Any) -> Any:
    """A default value; the word "required" where there is none."""
    import inspect

    return "required" if value is inspect.Parameter.empty else value


def citation(source: str) -> str:
    """The publication of a source key such as "bach2015 eq. 58"; "" when there is none."""
    from xaicore.rules.sources import SOURCES, cite

    key = source.split()[0].rstrip(",") if source else ""
    return str(cite(source)) if key in SOURCES else ""


def card(m: Method) -> None:
    """One method, printed."""
    from xaicore.cli.shared import say, show
    from xaicore.rules import RULE_SETS
    from xaicore.show.table import listing

    say(m.id)
    say()
    (_, idea), *rest = parts(m.id, "settings", "references", "the equation")
    say(idea[0])
    say()
    say(m.doc or m.summary)
    say()
    say_parts(rest)
    where = {"signal": "layer= reads the backward signal at that layer", "cut": "layer= explains the part of the model behind that layer",
             "own": "layer= is a setting of the method", "": "has no layer version"}
    promises = ", ".join(p.replace("_", " ") for p in m.promises)
    say(f"promises   {promises or 'nothing'}   (xaicore check measures them on your model)")
    say(f"costs      {m.cost}" + ("   (only evaluates f: takes any Python function, xc.from_function)" if m.free else ""))
    say("layers     " + where.get(m.layer, m.layer))
    say("source     " + (citation(m.source) or m.source))
    say()
    if m.settings:
        show(listing(([k, "required" if default(v) == "required" else repr(v)] for k, v in m.settings.items()), "setting", "default"))
        first = next(iter(m.settings))
        say(f"\non the command line: xaicore explain MODEL INPUT -m {m.id}:{first}=... -o out.png")
    else:
        say(f"no settings; on the command line: xaicore explain MODEL INPUT -m {m.id} -o out.png")
    if m.id in RULE_SETS:
        say(f"the table of rules: xaicore rules {m.id}")
