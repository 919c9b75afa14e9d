"""A forward pass that remembers (Trace) and a backward pass that keeps books (Signals and their Ledger).

``backward`` knows no rule: it hands each Step and the signal at its output to the rule that a plan names, and adds up
what comes back. A signal only has to support "+".
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np

from xaicore.errors import GraphError, InputError, ShapeError, Unsupported
from xaicore.graph.graph import DTYPES, Graph, Node
from xaicore.graph.run import evaluate_all, raising
from xaicore.numerics import Array, rationals
from xaicore.ops import Detach

Signal = Any
"""What a rule set carries: an array, or a pair of arrays (RevealCancel). The engine only needs "+"."""


class Step(NamedTuple):
    """One node of a trace: all that a rule may look at.

    ``xs`` and ``y`` are its inputs and output, ``active`` says which inputs carry the signal, ``ref`` is the same node
    on the baseline (None in a run without one), ``notes`` and ``note`` what a pre-pass noted at its inputs and output.
    """

    node: Node
    xs: tuple[Array, ...]
    y: Array
    active: tuple[bool, ...]
    ref: Step | None = None
    notes: tuple[Any, ...] = ()
    note: Any = None

    def vjp(self, g: Array, xs: Sequence[Array] | None = None, y: Array | None = None) -> tuple[Array | None, ...]:
        """The cotangents of the active inputs (None at the others), here or at other inputs ``xs``."""
        at = self.xs if xs is None else tuple(xs)
        out = self.y if xs is None else y if y is not None else self.node.op.forward(*at)
        vjp, found = self.node.op.vjp, []
        for i, on in enumerate(self.active):
            found.append(vjp(i, g, out, *at) if on else None)          # in a third less time than a comprehension, and at every node
        return tuple(found)


def activity(graph: Graph, wrt: Collection[str]) -> Mapping[str, tuple[bool, ...]]:
    """For every node, which of its inputs depend on ``wrt`` by a path that no operator blocks."""
    return graph.once(("activity", tuple(wrt)), lambda: MappingProxyType(_activity(graph, wrt)))


def _activity(graph: Graph, wrt: Collection[str]) -> dict[str, tuple[bool, ...]]:
    on = set(wrt)
    flags: dict[str, tuple[bool, ...]] = {}
    for node in graph.nodes:
        flags[node.name] = tuple(i in on and not node.op.blocks(k) for k, i in enumerate(node.inputs))
        if node.name not in on and any(flags[node.name]):
            on.add(node.name)
    return flags


@dataclass(frozen=True, eq=False)
class Trace:
    """The values of one forward pass, and of the baseline's where there is one."""

    graph: Graph
    values: Mapping[str, Array]
    active: Mapping[str, tuple[bool, ...]]
    wrt: tuple[str, ...]
    ref: Trace | None = None
    notes: Mapping[str, Any] = field(default_factory=dict)

    def step(self, node: Node) -> Step:
        """The Step of a node."""
        values, notes = self.values, self.notes
        xs = tuple(map(values.__getitem__, node.inputs))
        if self.ref is None and not notes:
            return tuple.__new__(Step, (node, xs, values[node.name], self.active[node.name], None, (), None))    # as Step(...), and faster
        ref = None if self.ref is None else self.ref.step(node)
        noted = tuple([notes.get(i) for i in node.inputs]) if notes else ()
        return Step(node, xs, values[node.name], self.active[node.name], ref, noted, notes.get(node.name))

    def __iter__(self) -> Iterator[Step]:
        return (self.step(n) for n in self.graph.nodes)

    def __getitem__(self, name: str) -> Array:
        return self.values[name]

    def carries(self, name: str) -> bool:
        """Does the value depend on what is explained?"""
        return name in self.wrt or (name in self.active and any(self.active[name]))


def forward(
    graph: Graph,
    feeds: Mapping[str, Array],
    baseline: Mapping[str, Array] | None = None,
    wrt: Collection[str] | None = None,
    later: bool = False,
) -> Trace:
    """Runs the graph and keeps every value; ``wrt`` are the explained values (default: the floating inputs). ``later``: when the first
    value is asked for.

    With ``baseline`` (feeds of the same shapes) the trace carries the baseline's values as ``ref``. A Detach node with
    ``shared=True`` (the shift of a softmax) has the main trace's value in both, so that it cancels in every difference.
    """
    explained = tuple(graph.float_inputs if wrt is None else wrt)
    if not explained:
        first = next((n.layer or n.name for n in graph.nodes), "embedding")
        raise InputError(f"no input of this graph is floating, so there is nothing to differentiate; explain a layer instead, for example "
                         f"layer={first!r} (xaicore inspect lists the layers)")
    values = Later(graph, feeds) if later else evaluate_all(graph, feeds)
    trace = Trace(graph, values, activity(graph, explained), explained)
    return trace if baseline is None else beside(trace, baseline)


class Later(Mapping[str, Array]):
    """The values of a forward pass that is taken when the first of them is asked for."""

    def __init__(self, graph: Graph, feeds: Mapping[str, Array]) -> None:
        self.graph, self.feeds = graph, feeds

    @cached_property
    def found(self) -> dict[str, Array]:
        """All of them."""
        return evaluate_all(self.graph, self.feeds)

    def __getitem__(self, name: str) -> Array:
        return self.found[name]

    def __contains__(self, name: object) -> bool:
        graph = self.graph                                              # known without a pass
        return name in graph.inputs or name in graph.params or any(n.name == name for n in graph.nodes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.found)

    def __len__(self) -> int:
        return len(self.graph.inputs) + len(self.graph.params) + len(self.graph.nodes)


def beside(trace: Trace, baseline: Mapping[str, Array]) -> Trace:
    """The trace with the baseline's values as ``ref``."""
    graph, values = trace.graph, trace.values
    shared = {n.name: values[n.name] for n in graph.nodes if isinstance(n.op, Detach) and n.op.shared}
    return replace(trace, ref=Trace(graph, evaluate_all(graph, baseline, shared), trace.active, trace.wrt))


Annotate = Callable[[Step], Any]
"""A note at a node's output, from the step and the notes at its inputs."""


def with_notes(trace: Trace, table: Mapping[str, Annotate], start: Callable[[Array], Any]) -> Trace:
    """The trace with a note at every value that carries the signal; ``start`` of the difference is the note at the inputs."""
    if trace.ref is None:
        raise InputError("these rules compare with a baseline; give one (baseline=...)")
    notes: dict[str, Any] = {k: start(trace.values[k] - trace.ref.values[k]) for k in trace.wrt}
    noted = replace(trace, notes=notes)
    for node in trace.graph.nodes:
        if node.name not in notes and any(trace.active[node.name]):
            with _in_range(node, trace.graph.dtype, "its difference from the baseline"):
                notes[node.name] = table[node.name](noted.step(node))
    return noted


@contextmanager
def _in_range(node: Node, dtype: str, what: str) -> Iterator[None]:
    """Overflow and invalid operations inside are an InputError that names the node."""
    try:
        with raising():
            yield
    except FloatingPointError as error:
        raise _out_of_range(node, dtype, what, error) from error


def _out_of_range(node: Node, dtype: str, what: str, error: FloatingPointError) -> InputError:
    return InputError(f"node {node.name!r}: {what} leaves the range of {dtype} at {node.op} ({error}); check the scale of the input, "
                      f"that a baseline masks what the input masks, or give a rule with a denominator a larger eps")


@contextmanager
def summing(what: str) -> Iterator[None]:
    """Around sums of numbers that are in range each: an InputError where the sum is not."""
    try:
        with raising():
            yield
    except FloatingPointError as error:
        raise InputError(f"{what} leaves the range of the numbers ({error}); scale the input down, or use float64") from error


# ----- backward ---------------------------------------------------------------------------------------------------

Rule = Callable[[Step, Signal], tuple[Signal | None, ...]]
Measure = Callable[[Signal, Array, Array | None, Any], Array]


class Plan(Protocol):
    """What backward needs of a plan: the rule of each node, and how a signal is summed for the ledger."""

    def rule(self, node: Node) -> Rule: ...

    @property
    def measure(self) -> Measure: ...


@dataclass(frozen=True)
class Entry:
    """One line of the ledger, per sample: the signal that came to a node's output and what it passed to its inputs."""

    node: Node
    arrived: Array
    passed: Array

    @property
    def absorbed(self) -> Array:
        """arrived - passed: what biases, stabilisers and empty denominators kept. InputError beyond the range of the numbers."""
        with summing(f"what node {self.node.name!r} absorbed"):
            return self.arrived - self.passed


@dataclass(frozen=True)
class Ledger:
    """The books of a backward pass: an Entry for each node that was passed, from the output to the input.

    What arrives at a node is the sum, over its entries, of the signal in the unit of the explained quantity: relevance
    for LRP, multiplier times difference for DeepLIFT, gradient times value for gradients (not conserved there).
    """

    entries: tuple[Entry, ...] = ()
    seed: Array = field(default_factory=lambda: np.zeros(0))

    def __iter__(self) -> Iterator[Entry]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __getitem__(self, name: str) -> Entry:
        return next(e for e in self.entries if e.node.name == name)

    @property
    def absorbed(self) -> Array:
        """The sum over all nodes, per sample: explained value minus what reached the inputs."""
        start = self.seed * 0
        with summing("what all nodes absorbed"):
            for e in self.entries:
                start = start + e.absorbed
        return start

    def leaks(self, tolerance: float = 1e-9) -> tuple[Entry, ...]:
        """The entries that absorbed more than ``tolerance`` times the seed, largest first."""
        size = max(float(max(abs(v) for v in self.seed.reshape(-1))) if self.seed.size else 0.0, 1e-300)
        found = [(max(abs(float(v)) for v in np.asarray(e.absorbed).reshape(-1)), e) for e in self.entries]
        return tuple(e for amount, e in sorted(found, key=lambda pair: -pair[0]) if amount > tolerance * size)

    @staticmethod
    def later(make: Callable[[], Ledger]) -> Ledger:
        """The ledger that ``make`` gives, which is asked when somebody looks into it."""
        return _Later(make)

    def __str__(self) -> str:
        wide = max([8, *(len(e.node.name) for e in self.entries)])
        kind = max([8, *(len(type(e.node.op).__name__) for e in self.entries)])
        lines = [f"{'node':{wide}} {'operator':{kind}} {'arrived':>13} {'passed on':>13} {'absorbed':>13}"]
        for e in self.entries:
            a, p, d = (float(np.asarray(v).reshape(-1)[0]) for v in (e.arrived, e.passed, e.absorbed))
            op = type(e.node.op).__name__
            lines.append(f"{e.node.name:{wide}} {op:{kind}} {a:13.6g} {p:13.6g} {d:13.3g}")
        return "\n".join(lines)


class _Later(Ledger):
    """``Ledger.later``."""

    def __init__(self, make: Callable[[], Ledger]) -> None:
        object.__setattr__(self, "make", make)

    @cached_property
    def _made(self) -> Ledger:
        return self.make()                                              # type: ignore[attr-defined,no-any-return]

    @property
    def entries(self) -> tuple[Entry, ...]:                             # type: ignore[override]
        return self._made.entries

    @property
    def seed(self) -> Array:                                            # type: ignore[override]
        return self._made.seed


EMPTY = Ledger()
"""The books that nobody kept."""


@dataclass(frozen=True)
class Signals:
    """The signal at the explained values (and at whatever else was kept), and the ledger."""

    values: Mapping[str, Signal]
    ledger: Ledger


def backward(
    trace: Trace, plan: Plan, seed: Mapping[str, Signal], keep: Collection[str] = (), books: bool = True, release: bool = False,
    only: Collection[str] | None = None,
) -> Signals:
    """Carries ``seed`` (signals at values of the graph) back to the explained inputs, by the plan's rules.

    keep     further values whose signal is returned
    books    False: the ledger stays empty
    release  uses the trace up: a value goes as soon as no rule needs it again, which is when its own node has been passed, as all that
             read it come before
    only     the values whose signal is all that is returned, so that the pass ends at them (Grad-CAM at its layer): nodes that depend on
             none of them are not passed

    Raises Unsupported when the seed cannot reach an input, InputError where a signal leaves the range of the dtype.
    """
    graph = trace.graph
    for name in seed:
        if name not in trace.values:
            raise GraphError(f"the seed sits at {name!r}, which is not a value of the graph")
        if not trace.carries(name):
            raise Unsupported(f"{name!r} does not depend on {', '.join(trace.wrt)}, so there is nothing to attribute")
    flowing: dict[str, Signal] = dict(seed)
    kept: dict[str, Signal] = {k: v for k, v in seed.items() if k in keep} if keep else {}
    ledger = Books(trace, plan.measure) if books else None
    ends, dtype = trace.wrt if only is None else tuple(only), graph.dtype
    wanted, own = {*keep, *ends}, None if dtype == "exact" else DTYPES[dtype]       # of rationals every entry is looked at
    with raising():
        for node, carrying in _order(trace, only):
            name = node.name
            if name not in flowing:
                continue
            signal = flowing.pop(name)
            if name in wanted:
                kept[name] = signal
            step, passed = trace.step(node), []
            try:
                parts = plan.rule(node)(step, signal)
                if not isinstance(parts, tuple) or len(parts) != len(step.xs):
                    raise GraphError(f"the rule for node {name!r} must return one signal for each of its {len(step.xs)} inputs")
                for k, i in carrying:
                    part, shape = parts[k], step.xs[k].shape
                    if part is None:
                        continue
                    if type(part) is not np.ndarray or part.dtype is not own or part.shape != shape:
                        part = _in_dtype(part, shape, dtype, name)
                    passed.append((i, part))
                    flowing[i] = flowing[i] + part if i in flowing else part
                if ledger is not None:
                    ledger.enter(step, signal, passed)
            except FloatingPointError as error:
                raise _out_of_range(node, dtype, "the signal on its way back", error) from error
            if release and name not in seed and isinstance(trace.values, dict):
                del step, trace.values[name]
    reached = {k: flowing[k] for k in ends if k in flowing}
    return Signals({**kept, **reached}, EMPTY if ledger is None else ledger.closed(seed))


class Books:
    """A ledger in the making: what arrived at each node and what it passed on, in the unit that ``measure`` gives."""

    def __init__(self, trace: Trace, measure: Measure) -> None:
        self.trace, self.measure = trace, measure
        self.entries: list[Entry] = []
        self.came: dict[str, tuple[Signal, Array]] = {}

    def enter(self, step: Step, signal: Signal, parts: Sequence[tuple[str, Signal]]) -> None:
        """One node, and what it passed to its inputs. What goes to a parameter (explained along with the inputs) has no sample, and counts
        as absorbed.

        A signal that came from one node alone was measured there: it is not measured again where it arrives.
        """
        came, arrived = self.came.pop(step.node.name, (None, np.zeros(0)))
        if came is not signal:
            arrived = self.amount(step.node.name, signal)
        passed = arrived * 0
        for i, part in parts:
            if i not in self.trace.graph.params:
                amount = self.amount(i, part)
                passed = passed + amount
                self.came[i] = part, amount
        self.entries.append(Entry(step.node, arrived, passed))

    def amount(self, name: str, signal: Signal) -> Array:
        """The measure of a signal at a value."""
        ref = self.trace.ref
        return self.measure(signal, self.trace.values[name], None if ref is None else ref.values[name], self.trace.notes.get(name))

    def closed(self, seed: Mapping[str, Signal]) -> Ledger:
        """The ledger, with what was there at the start."""
        total = None
        for name, signal in seed.items():
            amount = self.amount(name, signal)
            total = amount if total is None else total + amount
        return Ledger(tuple(self.entries), np.zeros(0) if total is None else total)


Order: TypeAlias = tuple[tuple[Node, tuple[tuple[int, str], ...]], ...]
"""Nodes, each with its active inputs: their places and names."""


def _order(trace: Trace, only: Collection[str] | None) -> Order:
    """The nodes that a backward pass goes through, the last one first; with ``only`` those that depend on one of these values."""
    def made() -> Order:
        behind = trace.active if only is None else activity(trace.graph, only)
        return tuple((n, tuple((k, i) for k, (i, on) in enumerate(zip(n.inputs, trace.active[n.name])) if on))
                     for n in reversed(trace.graph.nodes) if n.name not in trace.wrt and any(behind[n.name]))

    return trace.graph.once(("backward", trace.wrt, None if only is None else tuple(only)), made)


def _in_dtype(part: Signal, shape: tuple[int, ...], dtype: str, name: str) -> Signal:
    """A part that a rule gave, in the right shape and arithmetic."""
    if not isinstance(part, np.ndarray) and hasattr(part, "map"):  # a pair of signals
        return part.map(lambda array: _in_dtype(array, shape, dtype, name))
    if part.shape != shape:
        raise ShapeError(f"the rule for node {name!r} gave a signal of shape {part.shape} for an input of shape {shape}")
    if dtype == "exact":
        return rationals(part, f"the rule for node {name!r}")
    if part.dtype != DTYPES[dtype]:
        raise GraphError(f"the rule for node {name!r} gave {part.dtype} in a {dtype} graph; a rule keeps the dtype")
    return part
