"""A rule set is one readable table of (selector, rule), first match wins; a plan is what it decides for one graph.

No match is an error that says how to add a row: there is no silent fall-back to the gradient.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np

from xaicore.errors import UncoveredNode
from xaicore.graph.graph import Graph, Node
from xaicore.graph.passes import expand, fold_batchnorm, fold_padding
from xaicore.graph.written import fold_bias, recognise_batchnorm, recognise_rmsnorm, recognise_silu
from xaicore.numerics import Array, difference, negative, positive, product
from xaicore.ops import Op
from xaicore.rules.select import Selector, View
from xaicore.trace import Annotate, Measure, Signal, Step, Trace, activity, with_notes

Carrier: TypeAlias = Literal["cotangent", "relevance", "probability", "multiplier"]
Parts: TypeAlias = tuple[Signal | None, ...]


@dataclass(frozen=True)
class Rule:
    """How a signal passes one kind of node: (step, signal at y) -> one signal for each input, None at the inactive ones."""

    label: str
    apply: Callable[[Step, Signal], Parts] = field(repr=False)
    source: str = ""

    def __call__(self, step: Step, signal: Signal) -> Parts:
        return self.apply(step, signal)

    def __str__(self) -> str:
        return self.label

    @property
    def settings(self) -> dict[str, Any]:
        """The numbers and names that the rule was made with, read from the closure of its function: {"eps": 1e-6, "bias": "absorb"}."""
        found: dict[str, Any] = {}
        _closed_over(self.apply, found)
        return found


def _closed_over(function: Any, found: dict[str, Any]) -> None:
    """Collects the plain values in a function's closure, and in the closures of the functions and rules that it calls."""
    for name, cell in zip(getattr(getattr(function, "__code__", None), "co_freevars", ()), getattr(function, "__closure__", None) or ()):
        value = cell.cell_contents
        if isinstance(value, (int, float, str, Fraction)):
            found.setdefault(name, value)
        elif isinstance(value, Rule) or callable(value):
            _closed_over(value.apply if isinstance(value, Rule) else value, found)


def _known(
    known: dict[Any, tuple[Graph | None, bool]], key: Any, make: Callable[[Mapping[str, Sequence[int]] | None], Graph], graph: Graph,
    shapes: Mapping[str, Sequence[int]] | None,
) -> Graph:
    """``make(shapes)``, a rewrite of ``graph``, or what is known of it under ``key``: (None where it is ``graph`` itself, did it ask for a
    shape?). Where it did, the run that the shapes are of is taken each time, so that its errors do not depend on what is known."""
    if key not in known:
        asked = _Asked(shapes)
        made = make(None if shapes is None else asked)
        known[key] = None if made is graph else made, asked.asked
    result, ran = known[key]
    if ran and shapes is not None:
        shapes[graph.outputs[0]]
    return result or graph


class _Asked(Mapping[str, Sequence[int]]):
    """Shapes, and whether anybody asked for one."""

    def __init__(self, shapes: Mapping[str, Sequence[int]] | None) -> None:
        self.shapes, self.asked = shapes or {}, False

    def __getitem__(self, name: str) -> Sequence[int]:
        self.asked = True
        return self.shapes[name]

    def __contains__(self, name: object) -> bool:
        return name in self.shapes

    def __iter__(self) -> Iterator[str]:
        self.asked = True
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)


Row: TypeAlias = tuple[Selector, Rule]
Annotation: TypeAlias = tuple[Selector, Annotate]


@dataclass(frozen=True)
class RuleSet:
    """A table of rules, with what decides the start and the end of its backward pass.

    carrier     what flows: "cotangent" starts at 1 and ends as the gradient; "relevance" starts at the explained value
                and ends as the attribution; "probability" does the same from 1; "multiplier" starts at 1, and the attribution is
                multiplier times (x - baseline)
    rules       rows (selector, rule); the first match wins
    expand      operators that are decomposed into simpler ones first; composite ones that no row covers are, too
    fold        first fold BatchNorm into the layer before it, and zero padding into the convolution behind it; "padding": that alone
    annotate    rows (selector, note): what a forward pre-pass notes at each node for the rules to read (RevealCancel)
    source      keys of rules/sources.py
    """

    name: str
    carrier: Carrier
    rules: tuple[Row, ...]
    expand: tuple[type[Op], ...] = ()
    fold: bool | Literal["padding"] = False
    source: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    annotate: tuple[Annotation, ...] = ()
    key: Hashable = field(default=None, init=False, repr=False, compare=False)

    def known_as(self, key: Hashable) -> RuleSet:
        """The same rule set, whose plans a graph may remember under ``key``: from equal keys, equal tables. A changed copy has no key."""
        named = replace(self)
        object.__setattr__(named, "key", key)
        return named

    def before(self, *rows: Row) -> RuleSet:
        """The same rule set with the user's rows in front; the original is untouched."""
        return replace(self, rules=(*rows, *self.rules))

    def prepare(
        self, graph: Graph, shapes: Mapping[str, Sequence[int]] | None = None, known: dict[Any, tuple[Graph | None, bool]] | None = None,
    ) -> Graph:
        """The graph as this rule set wants it, the same function: written-out layers recognised, BatchNorm, bias and padding folded,
        operators expanded, composite ones that no row covers among them. ``known``, a dictionary for one graph and one set of shapes,
        gives rule sets that want the same the same object."""
        known = {} if known is None else known
        first = (self.fold, self.expand)

        def folded(sizes: Mapping[str, Sequence[int]] | None) -> Graph:
            merged, own = graph, sizes
            if self.fold is True:
                recognised = recognise_silu(graph)
                for recognise in (recognise_batchnorm, recognise_rmsnorm):
                    recognised = recognise(recognised, own)
                    own = None if own is None or any(n.name not in own for n in recognised.nodes) else own
                merged = fold_batchnorm(fold_bias(recognised, own), own)
            return expand(fold_padding(merged, own) if self.fold else graph, self.expand, own)

        grown = _known(known, first, folded, graph, shapes)
        uncovered = self._uncovered(grown)
        if not uncovered:
            return grown
        return _known(known, (*first, uncovered),
                      lambda sizes: expand(grown, (*self.expand, *uncovered), sizes if grown is graph else None), grown, shapes)

    def as_it_is(self, graph: Graph) -> bool:
        """Is there nothing to prepare in any case, whatever the shapes are?"""
        return not self.fold and not self.expand and not self._uncovered(graph)

    def _uncovered(self, graph: Graph) -> frozenset[type[Op]]:
        """The composite operators that no row covers where every value that depends on an input is explained."""
        return self._open(graph) if self.key is None else graph.once(("uncovered", self.key), lambda: self._open(graph))

    def _open(self, graph: Graph) -> frozenset[type[Op]]:
        flags = {n.name: tuple(i not in graph.params and not n.op.blocks(k) for k, i in enumerate(n.inputs)) for n in graph.nodes}
        view = View(graph, flags)
        nodes = [n for n in graph.nodes if n.op.composite and any(flags[n.name])]
        return frozenset(type(n.op) for n in nodes if not any(selector(n, view) for selector, _ in self.rules))

    def plan(self, graph: Graph, wrt: Sequence[str] | None = None, target: str | None = None) -> Plan:
        """Which rule each node gets. UncoveredNode when a node between input and output has none.

        ``target`` limits the plan to what lies before this value (default: all outputs).
        """
        explained = graph.float_inputs if wrt is None else tuple(wrt)
        if self.key is None:
            return Plan(self, graph, self._rows(graph, explained, target))
        return Plan(self, graph, graph.once(("plan", self.key, explained, target), lambda: self._rows(graph, explained, target)))

    def _rows(self, graph: Graph, wrt: Sequence[str], target: str | None) -> Mapping[str, tuple[int, Selector, Rule]]:
        view = View(graph, activity(graph, wrt))
        wanted = set(graph.outputs if target is None else [target])
        for node in reversed(graph.nodes):
            if node.name in wanted:
                wanted.update(node.inputs)
        rows: dict[str, tuple[int, Selector, Rule]] = {}
        for node in graph.nodes:
            if node.name in wanted and any(view.active[node.name]):
                rows[node.name] = self._match(node, view)
        return MappingProxyType(rows)

    def note(self, trace: Trace) -> Trace:
        """The trace with the notes that this rule set's forward pre-pass takes; the trace itself when it takes none."""
        if not self.annotate:
            return trace
        view = View(trace.graph, trace.active)
        table = {n.name: next(f for sel, f in self.annotate if sel(n, view)) for n in trace.graph.nodes}
        return with_notes(trace, table, sign_parts)

    def _match(self, node: Node, view: View) -> tuple[int, Selector, Rule]:
        for k, (selector, rule) in enumerate(self.rules):
            if selector(node, view):
                return k, selector, rule
        kind = type(node.op).__name__
        raise UncoveredNode(
            f"{self.name}: no row covers node {node.name!r} ({node.op}; layer {node.layer or '?'}). "
            f"Add one in front: rules.before((op({kind}), <rule>)), for example with identity, epsilon() or gradient from xaicore.rules"
        )

    def __str__(self) -> str:
        lines = [f"{self.name}: carries {self.carrier}" + (f"   [{self.source}]" if self.source else "")]
        if self.fold:
            merged = "" if self.fold == "padding" else "BatchNorm is folded into the layer before it, "
            lines.append(f"  first: {merged}zero padding into the convolution behind it" + (" is folded" if not merged else ""))
        if self.expand:
            lines.append("  first: decomposed into simpler operators: " + ", ".join(k.__name__ for k in self.expand)
                         + ", and composite ones without a row")
        lines += [f"  {k:3}  {selector.label:52} {rule.label}" for k, (selector, rule) in enumerate(self.rules)]
        return "\n".join(lines)


@dataclass(frozen=True)
class Plan:
    """The decision of a rule set for one graph, as data: node -> (row number, selector, rule)."""

    ruleset: RuleSet
    graph: Graph
    rows: Mapping[str, tuple[int, Selector, Rule]]

    def rule(self, node: Node) -> Rule:
        """The rule of a node."""
        row = self.rows.get(node.name)
        if row is None:
            raise UncoveredNode(f"{self.ruleset.name}: node {node.name!r} is not part of this plan")
        return row[2]

    @property
    def measure(self) -> Measure:
        """How a signal is summed for the ledger."""
        return MEASURES[self.ruleset.carrier]

    def __str__(self) -> str:
        lines = [f"{'node':34} {'operator':20} {'row':>3}  {'rule':34} because"]
        for node in self.graph.nodes:
            if node.name in self.rows:
                k, selector, rule = self.rows[node.name]
                lines.append(f"{node.name:34} {type(node.op).__name__:20} {k:3}  {rule.label:34} {selector.label}")
        return "\n".join(lines)


def total(x: Array) -> Array:
    """The sum over everything but the batch: (N, ...) -> (N,)."""
    if not x.size:
        return np.zeros(len(x))
    if x.flags.c_contiguous:
        return np.asarray(np.add.reduce(x.reshape(len(x), -1), axis=1))
    in_memory = sorted(range(1, x.ndim), key=lambda k: -x.strides[k])       # so that the reshape is a view
    return np.asarray(x.transpose(0, *in_memory).reshape(len(x), -1).sum(axis=1))


@dataclass(frozen=True, eq=False)
class Pair:
    """Two arrays for the positive and the negative contributions: a difference (Δ+, Δ-), or its multipliers (m+, m-)."""

    plus: Array
    minus: Array

    __array_ufunc__ = None                                              # array + Pair is ours, not one Pair for each entry

    def __add__(self, other: Pair | Array) -> Pair:
        """The sum; an array is a pair whose two parts are equal."""
        if isinstance(other, Pair):
            return Pair(self.plus + other.plus, self.minus + other.minus)
        return Pair(self.plus + other, self.minus + other)

    __radd__ = __add__

    def map(self, f: Callable[[Array], Array]) -> Pair:
        """``f`` of both."""
        return Pair(f(self.plus), f(self.minus))


def sign_parts(delta: Array) -> Pair:
    """Δ split by its sign: (max(Δ, 0), min(Δ, 0))."""
    return Pair(positive(delta), negative(delta))


def _relevance(r: Array, y: Array, ref: Array | None, note: Any) -> Array:
    return total(r)


def _gradient_times_value(g: Array, y: Array, ref: Array | None, note: Any) -> Array:
    return total(product(g, y))


def _contribution(m: Array | Pair, y: Array, ref: Array | None, note: Pair | None) -> Array:
    delta = y if ref is None else difference(y, ref)
    if isinstance(m, Pair):
        parts = sign_parts(delta) if note is None else note
        return total(m.plus * parts.plus + m.minus * parts.minus)
    return total(m * delta)


MEASURES: Mapping[str, Measure] = {
    "relevance": _relevance, "probability": _relevance, "cotangent": _gradient_times_value, "multiplier": _contribution}
"""How a signal is summed, per sample, for the ledger: relevance or probability; gradient times value; multiplier times difference."""
