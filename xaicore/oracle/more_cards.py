"""Cards of operators and of axioms, in the form of those of methods (cards.py): headings with lines, read from where things are kept.

``operator_card("Conv")`` and ``axiom_card("completeness")`` are the one source of ``xaicore rules ID``, the viewer and docs/cards_*.md.
What no docstring says (the idea, the example, when it misleads) stands in operators/ and axiom_ideas.py.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from typing import Any

from xaicore.errors import UncoveredNode, UnknownName, nearest
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.methods.table import METHODS
from xaicore.ops import OPS, Op
from xaicore.oracle.axiom_ideas import AXIOM_IDEAS
from xaicore.oracle.axioms import AXIOMS
from xaicore.oracle.cards import PROMISED, code_lines, shown
from xaicore.oracle.operators import TOLD, Told, value
from xaicore.rules import RULE_SETS
from xaicore.rules.sources import SOURCES, cite

Sections = list[tuple[str, list[str]]]
OPERATORS, EXAMPLE, VERDICTS = ("tests/ops/test_ops.py::", "tests/oracle/test_operator_cards.py::test_the_example[{}]",
                                "tests/oracle/test_operator_cards.py::test_the_verdicts[{}]")
PLANTED = "tests/meta/test_planted.py::test_every_axiom_finds_its_violation"
SETS = ("gradient", "guided_backprop", "lrp.epsilon", "lrp.z_plus", "deeplift.rescale")
"""Rule sets whose row for an operator is on its card."""


def operator_card(name: str) -> Sections:
    """The card of an operator, whose name may be written in any case; UnknownName with the nearest names."""
    if name not in OPS:
        name = next((k for k in OPS if k.lower() == name.lower()), name)
    if name not in OPS:
        raise UnknownName(f"no operator is called {name!r}: {nearest(name, OPS)}")
    op, told = OPS[name], TOLD[name]
    first, _, rest = (op.__doc__ or "").partition("\n")
    words = " ".join(rest.split())
    peers = re.findall(r"(?:Same as|Differs)[^:]{0,12}: .*?\.(?= [A-Z]|$)", " ".join((op.__doc__ or "").split()))
    known = [f"{f.name}{'' if f.default is MISSING else f' = {f.default!r}'}" for f in fields(op)]
    return [
        ("the idea", [told.idea]),
        ("the equation", [first.strip()]),
        *((f"the code: {title} in {where}", list(lines)) for title, where, lines in _functions(op)),
        ("worked by hand", _worked(told, name)),
        ("what it claims, and the test that holds it",
         [line for what, test in claims(name) for line in (what, f"    held by {OPERATORS}{test}")]),
        ("what a signal does at it", treated(told)),
        ("variants, and who else", [*(f"setting {k}" for k in known), *(peers or [words]), "where frameworks' own operators become it: the "
                                    "tables of backends/*/lower*.py, and coverage"]),
        ("when it misleads", [told.misleads]),
        ("references", [*re.findall(r"Source: [^.]*?\d{4}[^.]*\.", words), "the frameworks' own definitions, which "
                        f"{OPERATORS}test_framework runs on the same numbers"]),
    ]


def _functions(op: type[Op]) -> list[tuple[str, str, tuple[str, ...]]]:
    """The functions that compute: forward and vjp, an activation's own value and derivative, and what they call of their file."""
    out: list[tuple[str, Any]] = []
    for part in ("forward", "value", "vjp", "derivative"):
        function = getattr(op, part, None)
        if inspect.isfunction(function) and function is not getattr(Op, part, None):
            out.append((f"{op.__name__}.{part}", function))
    module = sys.modules[op.__module__]
    helpers = {k: v for k, v in vars(module).items() if inspect.isfunction(v) and v.__module__ == op.__module__ and k[0] != "_"}
    named = dict.fromkeys(k for _, f in out for k in re.findall(r"\b\w+(?=\()", inspect.getsource(f)) if k in helpers and "check" not in k)
    return [(title, code.where, code.lines) for title, f in [*out, *((k, helpers[k]) for k in named)] for code in [code_lines(f)]]


def _worked(told: Told, name: str) -> list[str]:
    given = ", ".join(f"{k} = {shown(v)}" for k, v in told.inputs.items())
    lines = [f"{told.op}: {given}", "y = " + sums(told.y)]
    if told.back:
        lines.append(f"backward, for g = {told.g or '1 everywhere'}: " + sums(told.back))
    return [*lines, f"held by {EXAMPLE.format(name)}"]


def sums(expressions: str) -> str:
    """Expressions with their values: "3*1 + 4*2 = 11; 7"."""
    out = []
    for e in expressions.split("; "):
        number = f"{value(e):.5g}"
        out.append(e if e.strip() == number else f"{e} = {number}")
    return "; ".join(out)


def claims(name: str) -> list[tuple[str, str]]:
    """(what the operator claims, the test that proves it for all of its cases)."""
    op, told = TOLD[name].op, TOLD[name]
    xs = told.arrays()
    at = passes_to(told)
    active = tuple(k == at for k in range(len(xs)))
    out = [("samples never mix; no input is changed", "test_samples_do_not_mix")]
    if at is not None:
        out.append(("its vjp is the derivative, by central differences and as an adjoint", "test_vjp_is_the_derivative"))
        names = list(told.inputs)
        if op.affine(active) and not op.routes:
            out.append((f"affine in {names[at]}: relevance rules share it by contributions, DeepLIFT is exact", "test_affine_means_affine"))
        if len(xs) == 2 and op.bilinear((True, True)):
            out.append(("linear in each of two active inputs: a product, shared or at the midpoint", "test_bilinear_means_linear_in_each"))
        if op.routes:
            out.append(("every entry of y is a copy: relevance goes where the value came from, and is conserved exactly",
                        "test_routes_copy_one_entry"))
        if op.elementwise:
            out.append(("entry by entry: relevance passes unchanged", "test_elementwise_means_entry_by_entry"))
        if op.fixed_weights:
            out.append((f"its weights are fixed: {op.fixed_weights}", "test_fixed_weights_are_what_they_claim"))
        if op.kinks(*xs) is not None:
            out.append(("piecewise linear, and it says where its pieces end", "test_kinks_bound_the_linear_pieces"))
        if type(op).expand is not Op.expand:
            out.append(("the same function out of simpler operators", "test_expansion_is_the_same_function"))
    out.append(("rationals give rationals: exact mode has no tolerance", "test_rational_operators_are_exact") if op.rational else
               ("not rational: exact mode refuses it", "test_rational_operators_are_exact"))
    return out


def passes_to(told: Told) -> int | None:
    """The first input that a signal may pass to."""
    return next((i for i, x in enumerate(told.arrays()) if x.dtype.kind == "f" and not told.op.blocks(i)), None) if told.back else None


def treated(told: Told) -> list[str]:
    """Rule set: the row that decides at this operator, when its first input is what is explained."""
    at = passes_to(told)
    if at is None:
        return ["nothing flows through it"]
    graph = alone(told, at)
    shapes = {**{k: x.shape for k, x in zip(told.inputs, told.arrays()) if k in graph.inputs}, "y": told.op.forward(*told.arrays()).shape}
    out = []
    for id in SETS:
        try:
            rules = RULE_SETS[id]()
            ready = rules.prepare(graph, shapes)
            plan = rules.plan(ready)
            rows = dict.fromkeys(plan.rule(n).label for n in ready.nodes if n.name in plan.rows)
            out.append(f"{id}: {'taken apart: ' if len(ready.nodes) > len(graph.nodes) else ''}{', '.join(rows)}")
        except UncoveredNode:
            out.append(f"{id}: refused; no row covers it, and the error says how to add one")
    return out


def alone(told: Told, at: int) -> Graph:
    """A graph of this operator alone; its other inputs are parameters."""
    b, names = Builder("one"), []
    for i, (name, x) in enumerate(zip(told.inputs, told.arrays())):
        names.append(b.input(name, (None, *x.shape[1:])) if i == at else b.param(name, x))
    return b.build(b.add(told.op, *names, name="y"))


# ----- axioms -----------------------------------------------------------------------------------------------------------


def axiom_card(id: str) -> Sections:
    """The card of an axiom; UnknownName with the nearest names."""
    if id not in AXIOMS:
        raise UnknownName(f"no axiom is called {id!r}: {nearest(id, AXIOMS)}")
    axiom, told = AXIOMS[id], AXIOM_IDEAS[id]
    e, code = told.example, code_lines(axiom.measure)
    promised = [m for m, row in METHODS.items() if id in row.promises]
    verdicts = f"{e.keeps} keeps it there" + (f", {e.breaks} does not" if e.breaks else "; none of the methods breaks it")
    return [
        ("the idea", [told.idea]),
        ("the equation", [axiom.statement]),
        (f"the code: {code.name} in {code.where}", list(code.lines)),
        ("worked by hand", [f"{(e.net.__doc__ or '').strip()}  x = ({', '.join(f'{v:g}' for v in e.x)})", e.by_hand, verdicts,
                            f"held by {VERDICTS.format(id)}"]),
        ("when it applies", [axiom.precondition]),
        ("who promises it, and the test that holds it", [", ".join(promised), f"    held by {PROMISED.format('METHOD')}",
                                                         "that a violation is seen", f"    held by {PLANTED}"]),
        ("when it misleads", [told.misleads]),
        ("references", [f"{axiom.source}: {cite(axiom.source)}" if axiom.source in SOURCES else "xaicore: what any function should do"]),
    ]


PARTS = ("the idea", "the equation", "the code", "worked by hand", "when it misleads", "references")
OPERATOR_PARTS = (*PARTS, "what it claims", "what a signal does", "variants")
AXIOM_PARTS = (*PARTS, "when it applies", "who promises it")


def missing(card: Sections, parts: tuple[str, ...]) -> list[str]:
    """The parts that a card has not, or that are empty."""
    return [p for p in parts if not any(h.startswith(p) and any(line.strip() for line in body) for h, body in card)]


def cards() -> Mapping[str, Callable[[str], Sections]]:
    """Every operator and axiom -> the function that makes its card."""
    found: dict[str, Any] = dict.fromkeys(OPS, operator_card)
    return {**found, **dict.fromkeys(AXIOMS, axiom_card)}
