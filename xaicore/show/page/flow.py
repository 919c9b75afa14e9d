"""The numbers of the viewer: for one sample, every layer that a signal passed, from the output to the input, for each method.

A row is a value of the graph, a column a method. A cell holds a map (channels summed, blocks of entries summed where it is large, so that
sums stay what they are), the books of the node, and the arithmetic of its units: of the unit of largest signal in every cell first, then
of the largest, as many as fit.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, XaicoreError
from xaicore.methods.attribution import Attribution
from xaicore.methods.propagate import Passage
from xaicore.methods.propagate import channels_last as has_channels_last
from xaicore.methods.unit import Known, Unit, passage_of, unit_of, values_of
from xaicore.numerics import Array
from xaicore.ops import OPS
from xaicore.oracle.cards import card, sections
from xaicore.oracle.more_cards import Sections, operator_card
from xaicore.oracle.rule_cards import rule_card
from xaicore.oracle.rule_ideas import RULE_IDEAS
from xaicore.oracle.tolerance import largest, tolerance
from xaicore.rules.linear import Affine
from xaicore.rules.ruleset import RuleSet, total
from xaicore.show import arithmetic, table
from xaicore.show.heatmap import symmetric_limit, view
from xaicore.show.page import way
from xaicore.show.page.maps import Grid, grid_of, packed
from xaicore.show.table import clean
from xaicore.trace import Entry

DIGITS = 9                                            # of a printed number: one more than float32 holds
LINES = 5                                             # messages of a unit
TEXT = 1_000_000                                      # bytes of arithmetic on a page
UNIT = 1_600                                          # bytes of one unit, about
MAPS = 900_000                                        # bytes of maps within the layers, above which they are summed in blocks
SIDE = 32                                             # and to how many cells a side
WORK = 2**18                                          # entries that the units of one row may take
MESSAGES = 2**19                                      # and the messages to one of them
ROWS = 48                                             # of more nodes only those that share a signal out anew have a row

WORDS = {"relevance": ("relevance", "R"), "probability": ("probability", "P"), "cotangent": ("gradient", "g"),
         "multiplier": ("contribution", "C")}


OWN_FORMULA = ("taylor_softmax", "stop", "first_is_constant", "detached_normalisation", "copied", "batchnorm_reverse",
               "batchnorm_surrogate")
"""Rules that do not conserve, and say so."""


@dataclass(frozen=True, eq=False)
class Column:
    """A method's result with its backward pass; ``p`` is None where it has none (path and perturbation methods)."""

    label: str
    a: Attribution
    p: Passage | None
    why: str = ""
    at: Mapping[str, Array] = field(default_factory=dict)

    @property
    def conserves(self) -> bool:
        """Is what it carries handed on, so that what a node keeps is worth a line?"""
        return self.p is not None and self.p.rules.carrier != "cotangent"


def columns_of(results: Mapping[str, Attribution], sample: int, rules: Mapping[str, RuleSet] | None = None) -> list[Column]:
    """One for each result."""
    out = []
    for label, a in results.items():
        try:
            p = passage_of(a, sample, (rules or {}).get(label))
        except XaicoreError as reason:
            own = {k: v[sample] for k, v in a.values.items()}
            out.append(Column(label, a, None, str(reason) if not isinstance(reason, Inapplicable) else "not one backward pass", own))
            continue
        at = {k: np.asarray(p.read(k, p.signals.values[k]))[0] for k in values_of(p)}
        out.append(Column(label, a, p, "", {**at, **{k: v[sample] for k, v in a.values.items() if k in p.trace.graph.inputs}}))
    return out


def names_of(columns: Sequence[Column]) -> list[str]:
    """Every value that has a row: those of all columns, merged in the order of the passes."""
    merged: list[str] = []
    for c in columns:
        place = 0
        for name in c.at:
            if name in merged:
                place = merged.index(name) + 1
            else:
                merged.insert(place, name)
                place += 1
    if len(merged) <= ROWS:
        return merged
    kept = {n.name for c in columns if c.p is not None for n in c.p.trace.graph.nodes if not (n.op.elementwise or n.op.routes)}
    return [n for k, n in enumerate(merged) if k == 0 or n in kept or all(c.p is None or n in c.p.trace.wrt for c in columns if n in c.at)]


# ----- the books ----------------------------------------------------------------------------------------------------------


def books(c: Column) -> dict[str, dict[str, Any]]:
    """Node -> what arrived, what it kept, why it may, and what it lost without a reason."""
    if c.p is None:
        return {}
    limit = tolerance(c.p.trace.graph, c.p.seed, *(np.asarray(v) for v in c.at.values()))
    out = {}
    for e in c.p.signals.ledger:
        kept, (reason, expected) = float(e.absorbed[0]), _reason(c.p, e)
        lost = kept - expected if expected is not None else kept if not reason else 0.0
        leaks = c.conserves and abs(lost) > limit
        out[e.node.name] = {"arrived": float(e.arrived[0]), "absorbed": kept, "why": reason, "leak": lost if leaks else 0.0}
    return out


def _reason(p: Passage, e: Entry) -> tuple[str, float | None]:
    """Why a node may keep something by its rule's own formula, and how much, where the formula says it."""
    rule, step = p.plan.rule(e.node), p.trace.step(e.node)
    settings = rule.settings
    name = rule.label.split("(")[0]
    eps, bias = settings.get("eps", 0), settings.get("bias", "")
    if p.rules.carrier == "multiplier":
        return "", None
    if name in ("epsilon", "zero") and settings.get("stabilizer", "sign") == "sign" and bias in ("absorb", "whole"):
        y, r = (np.asarray(v, dtype=float) for v in (step.y, p.signals.values[e.node.name]))
        sign = np.where(y < 0, -1.0, 1.0)
        bottom = y + float(eps) * sign
        rest = y - np.asarray(Affine(step).apply(), dtype=float) + float(eps) * sign
        share = np.where(bottom == 0, 1.0, rest / np.where(bottom == 0, 1.0, bottom))
        return "bias and stabiliser" if np.any(rest != float(eps) * sign) else "stabiliser", float(total(r * share)[0])
    if largest(e.absorbed) == 0:
        return "", None
    why = []
    if name in OWN_FORMULA:
        why.append("the rule's own formula")
    if e.node.op.affine(step.active) and not e.node.op.elementwise and Affine(step).has_bias and bias not in ("ignore", "distribute", ""):
        why.append("bias")
    if eps or settings.get("layer_eps", 0):
        why.append("stabiliser")
    if name in ("alpha_beta", "z_plus", "gamma", "winning_probability", "euler", "flat", "w_square", "z_box"):
        why.append("neurons without a part to share by")
    return ", ".join(why), None


# ----- units ----------------------------------------------------------------------------------------------------------------


def units_of(c: Column, name: str, grid: Grid, most: int, known: Known) -> list[dict[str, Any]]:
    """The arithmetic of at most ``most`` units of a value, those first that are the largest of their cell."""
    assert c.p is not None
    size = np.abs(np.asarray(c.at[name], dtype=float)).reshape(-1)
    order = np.argsort(-size, kind="stable")
    order = order[size[order] > 0]
    _, first = np.unique(grid.cell[order], return_index=True)
    lead = order[np.sort(first)]
    rest = order[~np.isin(order, lead)]
    shape = c.p.trace[name].shape[1:]
    near = [c.p.trace[i].size for n in c.p.trace.graph.nodes if n.name == name or name in n.inputs for i in (*n.inputs, n.name)]
    most = min(most, WORK // max([size.size, *near]))
    out = []
    for at in np.concatenate([lead, rest])[:most]:
        index = tuple(int(i) for i in np.unravel_index(int(at), shape)) if shape else ()
        out.append({"cell": int(grid.cell[at]), **unit_data(unit_of(c.p, name, index, known, MESSAGES))})
    return out


def unit_data(u: Unit) -> dict[str, Any]:
    """One unit for the page: numbers, and its lines of arithmetic, the largest of each kind."""
    def lines(found: list[arithmetic.Line]) -> dict[str, Any]:
        shown, left, rest = arithmetic.largest(found, LINES)
        return {"lines": [[clean(one.entry), one.expression, float(one.value)] for one in shown], "left": left, "rest": float(rest)}

    out: dict[str, Any] = {"unit": clean(arithmetic.named(u.value, u.index)), "y": float(u.y), "signal": float(u.signal), "kind": u.kind,
                           "in": lines(arithmetic.gathered(u, DIGITS))}
    if u.unlisted:
        out["in"] = {"lines": [], "left": u.unlisted, "rest": float(u.signal)}
    if u.kind != "input":
        out |= {"forward": lines(arithmetic.forward(u, DIGITS)), "out": _passed_on(u), "passed": float(u.passed),
                "rule": clean(str(u.rule)), "equation": arithmetic.symbols(u), "operator": clean(u.operator)}
    return out


def _passed_on(u: Unit) -> dict[str, Any]:
    shown = arithmetic.backward(u, DIGITS, LINES)
    return {"lines": [[clean(one.entry), one.expression, float(one.value)] for one in shown], "left": len(u.terms) - len(shown),
            "rest": float(u.passed - sum(one.value for one in shown))}


# ----- all of it --------------------------------------------------------------------------------------------------------------


def data(results: Mapping[str, Attribution], sample: int = 0, rules: Mapping[str, RuleSet] | None = None) -> dict[str, Any]:
    """Everything that the viewer shows of one sample, as plain data."""
    columns = columns_of(results, sample, rules)
    names = names_of(columns)
    first = columns[0].a
    shapes = {n: next(np.shape(c.at[n]) for c in columns if n in c.at) for n in names}
    explained = {k for c in columns for k in c.a.values}
    inside = [n for n in names if n not in explained]
    heavy = sum(4 / 3 * 4 * grid_of(shapes[n]).width * grid_of(shapes[n]).height for n in inside) * len(columns) > MAPS
    grids = {n: grid_of(shapes[n], has_channels_last(first.graph.meta, n), SIDE if heavy and n in inside else None) for n in names}
    nodes = {n.name: n for c in columns if c.p is not None for n in c.p.trace.graph.nodes}
    cells = max(1, sum(1 for c in columns if c.p is not None for n in names if n in c.at))
    most = max(2, TEXT // UNIT // cells)
    books_of = [books(c) for c in columns]
    stored: list[Known] = [{} for _ in columns]
    rows = []
    for n in names:
        g = grids[n]
        traced = next((c.p for c in columns if c.p is not None and n in c.p.trace.values), None)
        y = None if traced is None else packed(g.of(traced.trace[n]))
        kind = type(nodes[n].op).__name__ if n in nodes else "input"
        rows.append({"name": clean(n), "op": kind, "layer": clean(nodes[n].layer) if n in nodes and nodes[n].layer != n else "",
                     "shape": [int(k) for k in shapes[n]], "height": g.height, "width": g.width, "how": g.how, "y": y,
                     "from": sorted(names.index(i) for i in _ancestors(nodes, n, set(names)))})
    shown = [t for t in dict.fromkeys(str(r["op"]) for r in rows) if t in OPS]
    used = dict.fromkeys(rule.label.split("(")[0] for c in columns if c.p is not None for _, _, rule in c.p.plan.rows.values())
    return {
        "cards": {"The rules": [[k, _texts(rule_card(k))] for k in used if k in RULE_IDEAS],
                  "The operators": [[t, _texts(operator_card(t))] for t in shown]},
        "explained": clean(first.explained), "output": float(first.output[sample]), "rows": rows,
        "methods": [_method(c, sample) for c in columns],
        "cells": [[None if n not in c.at else _cell(c, n, grids[n], books_of[k].get(n), most, stored[k]) for n in names]
                  for k, c in enumerate(columns)],
    }


def _texts(card: Sections) -> list[list[Any]]:
    return [[clean(heading), [clean(line) for line in lines]] for heading, lines in card]


def _ancestors(nodes: Mapping[str, Any], name: str, shown: set[str]) -> set[str]:
    """The rows that a row's value is made from, through nodes that have no row of their own."""
    out: set[str] = set()
    stack, seen = list(nodes[name].inputs) if name in nodes else [], set()
    while stack:
        i = stack.pop()
        if i in shown:
            out.add(i)
        elif i in nodes and i not in seen:
            seen.add(i)
            stack += nodes[i].inputs
    return out


def _cell(c: Column, name: str, grid: Grid, book: dict[str, Any] | None, most: int, known: Known) -> dict[str, Any]:
    values = np.asarray(c.at[name], dtype=float)
    summed = grid.of(values)
    out: dict[str, Any] = {"map": packed(summed), "limit": symmetric_limit(summed), "sum": float(values.sum()), **(book or {})}
    if c.p is not None and name in c.p.signals.values:
        out["units"] = units_of(c, name, grid, most, known)
    return out


def _method(c: Column, sample: int) -> dict[str, Any]:
    a = c.a
    word, letter = WORDS[c.p.rules.carrier] if c.p is not None else ("attribution", "A")
    out: dict[str, Any] = {
        "label": clean(c.label), "method": clean(a.method), "word": word, "letter": letter, "note": clean(c.why),
        "total": float(a.total()[sample]),
        "gap": float(a.gap()[sample]), "sums": table.sums_up(a), "conserves": c.conserves,
        "settings": clean(", ".join(f"{k}={v!r}" for k, v in table.settings(a.settings).items())), "card": [], "curve": []}
    if a.baseline_output is not None:
        out["baseline"] = float(a.baseline_output[sample])
    try:
        out["card"] = [[clean(heading), [clean(line) for line in lines]] for heading, lines in sections(card(a.method), 1)]
    except XaicoreError:
        out["note"] = out["note"] or "a rule set of your own, which has no card"
    out["curve"], out["way"] = way.curve_of(a, sample), way.way_of(a, sample)
    return out


def input_view(a: Attribution, name: str, sample: int) -> str:
    """How an input is shown: "image", "bars" (a table), "series", "cells"."""
    x = a.feeds[name][sample] if name in a.feeds else a.values[name][sample]
    if (x.ndim == 2 and min(x.shape) <= 8 <= 4 * min(x.shape) <= x.shape[1]) or (x.ndim == 2 and x.shape[0] <= 2 and x.shape[1] >= 32):
        return "series"
    return view(np.zeros(x.shape)).kind
