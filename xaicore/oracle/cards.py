"""Rule cards: a method on one page, all of it read from where it is kept: the docstring, the code itself, the worked examples, the axioms.

``card(id)`` is the one source of ``xaicore methods ID``, ``xaicore rules ID``, the viewer and docs/cards.md. Only the sentence about the
idea and the one about when it misleads are written for the card (ideas.py), and the notes that tie a line of code to its equation.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from xaicore.errors import UnknownName, nearest
from xaicore.methods.table import METHODS
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.ideas import IDEAS
from xaicore.oracle.profiles import Entry, named
from xaicore.oracle.twins import TWINS
from xaicore.oracle.worked import WORKED, Worked
from xaicore.rules import RULE_SETS
from xaicore.rules.ruleset import Rule
from xaicore.rules.sources import SOURCES, cite

NOTES: Mapping[str, tuple[tuple[str, str], ...]] = {
    "epsilon": (("found = times(step.xs", "R_i = x_i Σ_j w_ij s_j"), ("return passed(parts", "s_j = R_j / (z_j + eps sign z_j)")),
    "gamma": (("z = a.apply()", "z_j: its sign says which contributions are favoured"), ("above, below =", "R_j of z_j > 0 and of z_j < 0"),
              ("parts = branch(a, above", "z_j > 0: w + γ w+ where x w > 0"), ("return plus(parts, branch", "z_j < 0: the other sign")),
    "alpha_beta": (("parts = one_sign(a, r, positive", "(x_i w_ij)+ R_j / z_j+"),
                   ("return parts if alpha == 1", "α of these, less β (x_i w_ij)- R_j / z_j-, β = α - 1")),
    "w_square": (("z = a.apply(", "Σ_i w_ij²"), ("return a.back(", "R_i = Σ_j w_ij² R_j / Σ_i w_ij²")),
    "flat": (("return share_bias", "R_i = Σ_j R_j / (number of inputs of j)"),),
    "z_box": (("from_low, from_high", "x_i - l_i and x_i - h_i"), ("terms =", "(x_i - l_i) w_ij+ and (x_i - h_i) w_ij-"),
              ("return shared(a", "R_i = Σ_j (both) R_j / Σ_i (both)")),
    "_vjp": (("return step.vjp", "g_i = Σ_j g_j ∂y_j/∂x_i"),),
    "_rectified_signal": (("return (positive", "g_i = max(g_j, 0)"),),
    "_positive_gradient": (("return step.vjp(positive", "g_i = max(g_j, 0) if z_i > 0, else 0"),),
    "_linear": (("return step.vjp", "m_i = Σ_j w_ij m_j"),),
    "_pass_routes": (("return step.vjp", "R goes where the value came from"),),
    "_identity": (("return tuple(r", "R_i = R_j"),),
    "half": (("s = divide(", "s = R / 2y"), ("return tuple(", "R_x = x ⊙ ∂y/∂xᵀ s")),
}
"""Function -> (beginning of a line of it, the step of the equation that it is)."""

PROMISED = "tests/oracle/test_promises.py::test_promises[{}]"
SECOND = "tests/oracle/test_twins.py::test_twin[{}:{}]"
BY_HAND = "tests/oracle/test_worked.py::test_worked[{}:{}]"


@dataclass(frozen=True)
class Code:
    """Lines of a function, with what each step is; ``where``: the file in the package and the line at which it begins."""

    name: str
    where: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Kept:
    """Something that a test holds."""

    what: str
    test: str


@dataclass(frozen=True)
class Card:
    """One method in nine parts; each is there for every method (``missing`` says what is not)."""

    id: str
    idea: str
    equation: str
    code: tuple[Code, ...]
    examples: tuple[Worked, ...]
    promises: tuple[Kept, ...]
    settings: Mapping[str, Any]
    peers: tuple[Entry, ...]
    differs: tuple[str, ...]
    misleads: str
    references: tuple[str, ...]

    def missing(self) -> list[str]:
        """The parts that are empty. Peers may be: some methods exist here alone."""
        need = ("idea", "equation", "code", "examples", "promises", "differs", "misleads", "references")
        return [part for part in need if not getattr(self, part)]


def card(id: str) -> Card:
    """The card of a method or rule set; UnknownName with the nearest names."""
    if id not in METHODS:
        raise UnknownName(f"no method is called {id!r}: {nearest(id, METHODS)}")
    row, idea = METHODS[id], IDEAS[id]
    examples = WORKED.get(id, ())
    promises = [Kept(_statement(p), PROMISED.format(id)) for p in row.promises]
    seconds = {t.how: k for k, t in reversed([*enumerate(TWINS.get(id, ()))])}
    promises += [Kept(f"the same numbers by {how}", SECOND.format(id, k)) for how, k in reversed(seconds.items())]
    keys = [row.source, *(w.source for w in examples), *(r.source for r in rules_of(id).values())]
    cited = dict.fromkeys(k for k in keys if k and k.split()[0].rstrip(",") in SOURCES)
    merged = {k.split()[0].rstrip(","): k for k in sorted(cited, key=len)}
    return Card(id, idea.idea, row.summary, code_of(id), examples, tuple(promises),
                {k: "required" if v is inspect.Parameter.empty else v for k, v in row.settings.items()}, _peers(id),
                tuple(_sentences(row.doc or row.summary)), idea.misleads, tuple(f"{v}: {cite(v)}" for v in merged.values()))


def _statement(axiom: str) -> str:
    one = AXIOMS[axiom]
    return f"{axiom.replace('_', ' ')}: {one.statement}" + ("" if one.precondition == "none" else f"  (precondition: {one.precondition})")


def _peers(id: str) -> tuple[Entry, ...]:
    from xaicore.oracle.profiles import ENTRIES

    return tuple(e for e in ENTRIES if e.ours == id) or named(id)


def _sentences(doc: str) -> list[str]:
    """What the docstring says about who else computes the same, who differs, and on what it stands."""
    text = " ".join(doc.split())
    return re.findall(r"(?:Source|Same as|Differs)[^:]{0,12}: .*?(?=(?: (?:Source|Same as|Differs)[^:]{0,12}: )|$)", text)


# ----- the code itself ------------------------------------------------------------------------------------------------


def rules_of(id: str) -> dict[str, Rule]:
    """Label -> rule of the rows that are the method's own: those for layers, which stand before the rows that all LRP sets share."""
    if id not in RULE_SETS:
        return {}
    build = RULE_SETS[id]
    made = build(**({"low": 0, "high": 1} if "low" in inspect.signature(build).parameters else {}))
    labels = [rule.label for _, rule in made.rules]
    own = labels.index("winner_takes_all") if made.carrier == "relevance" and "winner_takes_all" in labels else len(labels)
    return {rule.label: rule for _, rule in made.rules[:own]}


def code_of(id: str) -> tuple[Code, ...]:
    """The functions that a method is: the rules at layers of a rule set, else its own."""
    found: dict[str, Code] = {}
    for rule in rules_of(id).values():
        one = code_lines(innermost(rule.apply))
        found.setdefault(one.where, one)
    if not found:
        one = code_lines(METHODS[id].run)
        found[one.where] = one
    return tuple(found.values())


def innermost(function: Callable[..., Any]) -> Callable[..., Any]:
    """The rule that another one wraps to check something first."""
    while True:
        names = getattr(getattr(function, "__code__", None), "co_freevars", ())
        cells = dict(zip(names, (c.cell_contents for c in function.__closure__ or ()))) if names else {}
        if not isinstance(cells.get("rule"), Rule):
            return function
        function = cells["rule"].apply


def code_lines(function: Callable[..., Any]) -> Code:
    """The lines of a function without its docstring, with the notes."""
    owner = function.__qualname__.split(".")[0]
    lines = textwrap.dedent(inspect.getsource(function)).rstrip().splitlines()
    first = inspect.getsourcelines(function)[1]
    body = ast.parse("\n".join(lines)).body[0]
    assert isinstance(body, ast.FunctionDef)
    doc = body.body[0] if ast.get_docstring(body) is not None else None
    kept = [line for n, line in enumerate(lines, 1) if doc is None or not doc.lineno <= n <= (doc.end_lineno or doc.lineno)]
    notes = dict(NOTES.get(owner, ()))
    written = []
    for line in kept:
        note = next((v for k, v in notes.items() if line.strip().startswith(k)), "")
        plain = line.split("  #")[0].rstrip() if note else line
        written.append(f"{plain}  # {note}" if note else plain)
    place = inspect.getsourcefile(function) or ""
    where = f"xaicore/{place.replace(chr(92), '/').rpartition('/xaicore/')[2]}:{first}"
    return Code(owner, where, tuple(written))


# ----- in words -------------------------------------------------------------------------------------------------------


def shown(value: Any) -> str:
    """Nested numbers in a line: [[6, -5]], 7/8."""
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {shown(v)}" for k, v in value.items())
    value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(value, (list, tuple)):
        return "[" + ", ".join(shown(v) for v in value) + "]"
    if isinstance(value, Fraction):
        return str(value)
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _long(text: str, most: int = 300) -> str:
    return text if len(text) <= most else text[:most - 4] + " ..."


def sections(c: Card, examples: int = 2) -> list[tuple[str, list[str]]]:
    """(heading, lines) of a card, for a terminal or a document; long data are cut."""
    out: list[tuple[str, list[str]]] = [("the idea", [c.idea]), ("the equation", [c.equation])]
    for one in c.code:
        out.append((f"the code: {one.name} in {one.where}", list(one.lines)))
    for w in c.examples[:examples]:
        given = ", ".join(f"{k}={_long(shown(v), 60)}" for k, v in w.settings.items())
        out.append((f"worked by hand: {w.name}", [
            f"x = {_long(shown(w.x))}" + (f", {given}" if given else ""), *(w.by_hand.split("\n")),
            f"gives {_long(shown(w.expected))}", f"held by {BY_HAND.format(c.id, w.name)}"]))
    tests: dict[str, list[str]] = {}
    for p in c.promises:
        tests.setdefault(p.test, []).append(p.what)
    out.append(("what it promises, and the test that holds it", [
        line for test, what in tests.items() for line in (*what, f"    held by {test}")]))
    known = [f"{k} = {_long(repr(v), 60) if v != 'required' else 'required'}" for k, v in c.settings.items()]
    out.append(("settings", known or ["none"]))
    who = [f"{e.name}: {e.verdict}" + (f" ({', '.join(f'{k}={v!r}' for k, v in e.settings.items())})" if e.settings else "")
           + "".join(f"; {t}" for t in (e.note, e.defect) if t) for e in c.peers]
    out.append(("who else", [*who, *c.differs]))
    out.append(("when it misleads", [c.misleads]))
    out.append(("references", list(c.references)))
    return out


def plain(c: Card) -> dict[str, Any]:
    """A card as plain data: heading -> lines."""
    return dict(sections(c))


def markdown(c: Card) -> str:
    """A card as a section of a document."""
    return document_of(c.id, sections(c))


def document_of(id: str, card: list[tuple[str, list[str]]]) -> str:
    """Headings and lines, the idea first, as a section of a document."""
    lines = [f"## {id}", "", *card[0][1], ""]
    for heading, body in card[1:]:
        code = heading.startswith("the code") or heading == "the equation"
        heading = re.sub(r":\d+$", "", heading)                         # a document does not follow the lines of a file
        lines += [f"**{heading[0].upper()}{heading[1:]}**", ""]
        if code:
            lines += ["```python" if heading.startswith("the code") else "```text", *body, "```", ""]
        else:
            lines += [*(f"- {line.strip()}".replace("*", "\\*").replace("<", "&lt;") for line in body), ""]
    return "\n".join(lines)
