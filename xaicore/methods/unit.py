"""One unit of a backward pass taken apart: what it adds up on the way forward, what it receives and hands on on the way back.

A message from unit j to entry i is what the node's rule makes of a signal that is R_j at j and 0 at every other unit. Rules treat the
units of a node one by one, so that the messages that leave all units for i add up to the signal at i; a test holds them to it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, UnknownName
from xaicore.graph.graph import Node
from xaicore.methods.attribution import Attribution
from xaicore.methods.propagate import Passage, pass_back, seed_of
from xaicore.methods.table import METHODS, rule_set_of
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array, difference, filled, scalar
from xaicore.rules.linear import Affine, ones, same
from xaicore.rules.ruleset import Pair, Rule, RuleSet
from xaicore.trace import Signal, Step

ENTRIES = 2**22
"""Entries of one batch of copies of a node's inputs."""

Index = tuple[int, ...]


@dataclass(frozen=True)
class Term:
    """One entry of an input that a unit depends on.

    value, index  the entry x;  weight: ∂y/∂x, or the other factor of a product;  added: what it adds to y (None where y is no sum)
    passed        the signal that the unit hands to it, as the result reads signals;  difference: x - baseline, where there is one
    """

    value: str
    index: Index
    x: Any
    weight: Any
    added: Any = None
    passed: Any = None
    difference: Any = None


@dataclass(frozen=True)
class Message:
    """What one unit behind hands to this one."""

    value: str
    index: Index
    amount: Any


@dataclass(frozen=True)
class Unit:
    """The arithmetic of one unit.

    kind      "sum" (y = Σ x w + bias), "function" (y = f(x)), "maximum", "product" (a sum of products of two signals), "input", or
              "other", where y is no sum of its terms
    signal    what arrives: relevance; multiplier times difference (its multiplier apart); gradient
    seed      what of it starts here, at the explained value;  unlisted: how many units hand something to it where ``most`` left them out
    """

    value: str
    index: Index
    kind: str
    y: Any
    signal: Any
    operator: str = ""
    rule: Rule | None = None
    carrier: str = ""
    bias: Any = 0
    terms: tuple[Term, ...] = ()
    received: tuple[Message, ...] = ()
    seed: Any = 0
    unlisted: int = 0
    multiplier: Any = None

    @property
    def passed(self) -> Any:
        """The sum of what it hands on."""
        return sum((t.passed for t in self.terms), start=0 * self.signal)

    @property
    def absorbed(self) -> Any:
        """signal - passed: what bias, stabiliser or an empty denominator keep (of relevance and contributions)."""
        return self.signal - self.passed


# ----- from a result ------------------------------------------------------------------------------------------------


def passage_of(a: Attribution, sample: int = 0, rules: RuleSet | None = None) -> Passage:
    """The backward pass behind one sample of a result, again and with all its signals. ``rules``: of a method that is your own rule set.

    Inapplicable where the method is not one backward pass of a rule set.
    """
    made = rule_set_of(a.method, a.settings) if rules is None else rules
    task = task_of(a, sample)
    row = METHODS.get(a.method)
    start = str(a.settings.get("start", "value")) if row is not None and "start" in row.settings else None
    base = None if a.baseline is None else {k: v[sample:sample + 1] for k, v in a.baseline.items() if k in task.wrt}
    return pass_back(task, made, a.method, base, seed=None if start is None else seed_of(task, start))


def task_of(a: Attribution, sample: int = 0) -> Task:
    """The question behind one sample of a result, to ask more about it."""
    feeds = {k: v[sample:sample + 1] for k, v in a.feeds.items()}
    wrt = [k for k in a.values if k in a.graph.inputs] or None
    return make_task(a.graph, feeds, _one(a.target, sample, len(a.output)), str(a.settings.get("output", "logit")), wrt=wrt)


def _one(target: Any, sample: int, size: int) -> Any:
    """The target of one sample of a batch."""
    if isinstance(target, str):                                         # the words for "the largest"
        return None
    if isinstance(target, list) or (isinstance(target, np.ndarray) and target.ndim and len(target) == size and
                                    (target.dtype.kind in "iu" or target.ndim > 1)):
        return target[sample:sample + 1]
    if isinstance(target, tuple) and target and isinstance(target[0], str):
        return (target[0], *(_one(t, sample, size) for t in target[1:]))
    return target


def values_of(p: Passage) -> tuple[str, ...]:
    """Every value that the signal reached, from the explained value to the inputs."""
    back = [n.name for n in reversed(p.trace.graph.nodes) if n.name in p.signals.values and n.name not in p.trace.wrt]
    return (*back, *(k for k in p.trace.wrt if k in p.signals.values))


def locate(p: Passage, name: str, index: Index) -> tuple[str, Index]:
    """The value and index that a user means, checked: "conv2" may be a layer. UnknownName, or InputError with the shape."""
    found = p.trace.graph.find(name)
    if found not in p.signals.values:
        raise UnknownName(f"no signal reaches {found!r}, which lies behind the explained value or beside it; values that it reaches: "
                          f"{', '.join(values_of(p)[:12])}")
    shape = p.trace[found].shape[1:]
    if len(index) != len(shape) or not all(0 <= i < n for i, n in zip(index, shape)):
        last = ",".join(str(n - 1) for n in shape)
        raise InputError(f"{found}[{','.join(map(str, index))}] is no unit: {found!r} has shape (N, {', '.join(map(str, shape))}), so its "
                         f"units are {found}[{','.join('0' for _ in shape)}] to {found}[{last}]")
    return found, index


# ----- messages -----------------------------------------------------------------------------------------------------


def messages(p: Passage, node: Node, units: Sequence[int]) -> Iterator[tuple[Array | None, ...]]:
    """For each unit of a node (flat indices, in order): what it hands to each input, in the input's shape without the batch, as read."""
    step, signal = p.trace.step(node), p.signals.values[node.name]
    batched = [_batched(p, i) for i in node.inputs]
    size = max([step.y.size, *(x.size for x, on in zip(step.xs, step.active) if on)])
    most = max(1, ENTRIES // max(size, 1))
    for first in range(0, len(units), most):
        part = list(units[first:first + most])
        many = _copies(step, len(part), batched)
        alone = _map(signal, lambda v, part=part: _alone(v, part))
        parts = p.plan.rule(node)(many, alone)
        read = [None if g is None or not on else _read(p, many, k, g) for k, (g, on) in enumerate(zip(parts, step.active))]
        for n in range(len(part)):
            yield tuple(None if g is None else g[n] for g in read)


def _read(p: Passage, step: Step, k: int, signal: Signal) -> Array:
    """A signal at input k as the result has it."""
    if p.rules.carrier != "multiplier":
        return np.asarray(signal)
    assert step.ref is not None
    delta = difference(step.xs[k], step.ref.xs[k])
    if isinstance(signal, Pair):
        note = step.notes[k] if step.notes else None
        none = scalar(0, delta)
        plus, minus = (note.plus, note.minus) if note is not None else (np.where(delta > 0, delta, none), np.where(delta < 0, delta, none))
        return np.asarray(signal.plus * plus + signal.minus * minus)
    return np.asarray(signal * delta)


def _batched(p: Passage, name: str) -> bool:
    """Does the value have one row for each sample, which it has if it depends on an input?"""
    seen, stack = set(), [name]
    nodes = {n.name: n for n in p.trace.graph.nodes}
    while stack:
        one = stack.pop()
        if one in p.trace.graph.inputs:
            return True
        if one in nodes and one not in seen:
            seen.add(one)
            stack += nodes[one].inputs
    return False


def _map(signal: Signal, f: Any) -> Signal:
    return signal.map(f) if hasattr(signal, "map") else f(signal)


def _alone(v: Array, units: Sequence[int]) -> Array:
    """(1, *S) -> (K, *S): row k has unit k's signal, and nothing else."""
    out = filled((len(units), v[0].size), 0, v)
    out[np.arange(len(units)), list(units)] = v.reshape(-1)[list(units)]
    return out.reshape(len(units), *v.shape[1:])


def _copies(step: Step, count: int, batched: Sequence[bool]) -> Step:
    """The step with its one sample ``count`` times."""
    def rows(v: Any) -> Any:
        return None if v is None else _map(v, lambda x: np.repeat(x, count, axis=0))

    ref = None if step.ref is None else _copies(step.ref, count, batched)
    xs = tuple(rows(x) if on else x for x, on in zip(step.xs, batched))
    return step._replace(xs=xs, y=rows(step.y), ref=ref, notes=tuple(rows(n) for n in step.notes), note=rows(step.note))


def dependents(p: Passage, node: Node, k: int, unit: int) -> list[int]:
    """The units of ``node`` (flat) that may depend on entry ``unit`` of its input ``k``, and that a signal reached."""
    step = p.trace.step(node)
    signal = p.signals.values[node.name]
    reached = np.flatnonzero(_size(signal).reshape(-1) != 0)
    if node.op.elementwise:
        return [unit] if unit in reached else []
    x, op = step.xs[k], node.op
    if op.affine(step.active):
        a = Affine(step)
        probe: list[Array | None] = [filled(x.shape, 0, x) if on else None for x, on in zip(step.xs, step.active)]
        alone = filled(x.shape, 0, x)
        alone.reshape(-1)[unit] = scalar(1, x)
        probe[k] = alone
        known = op.weights(step.active)
        moved = a.apply(probe, ones if known else same) != 0
    else:
        far = scalar(1, x) + 2 * abs(np.where(np.isfinite(x.astype(float)), x, scalar(0, x))).max()
        moved = np.zeros(step.y.shape, bool)
        for sign in (1, -1):
            there = x.copy()
            there.reshape(-1)[unit] = there.reshape(-1)[unit] + sign * far
            with np.errstate(all="ignore"):
                moved |= op.forward(*step.xs[:k], there, *step.xs[k + 1:]) != step.y
    return [int(j) for j in reached[moved.reshape(-1)[reached]]]


def _size(signal: Signal) -> Array:
    return abs(signal.plus) + abs(signal.minus) if isinstance(signal, Pair) else abs(signal)


# ----- one unit -----------------------------------------------------------------------------------------------------


Known = dict[str, "dict[int, tuple[Array | None, ...]] | None"]
"""Node -> what each of its units hands on, for those who take many units apart; None where that would be too much to keep."""


def unit_of(p: Passage, name: str, index: Index, known: Known | None = None, most: int | None = None) -> Unit:
    """The arithmetic of the unit ``name``[``index``] of a backward pass: every term, every message.

    ``known``: an empty dictionary for many units of one pass, which then work out the messages of a node once.
    ``most``: entries that the messages which it received may take; where they take more they are counted, not listed (default: no limit).
    Errors: UnknownName where no signal reaches the value, InputError where it has no such index.
    """
    name, index = locate(p, name, index)
    at = int(np.ravel_multi_index(index, p.trace[name].shape[1:])) if index else 0
    nodes = {n.name: n for n in p.trace.graph.nodes}
    y = p.trace[name].reshape(-1)[at]
    raw = p.signals.values[name]
    signal = np.asarray(p.read(name, raw)).reshape(-1)[at]
    seed: Any = signal * 0
    received, unlisted = _received(p, name, at, known, most)
    if not unlisted and (name == p.trace.graph.outputs[0] or not received):
        seed = signal - sum((m.amount for m in received), start=signal * 0)
    whole = None if p.rules.carrier != "multiplier" or isinstance(raw, Pair) else raw.reshape(-1)[at]
    if name in p.trace.wrt:
        return Unit(name, index, "input", y, signal, "input", None, p.rules.carrier, received=received, seed=seed, unlisted=unlisted,
                    multiplier=whole)
    node = nodes[name]
    step = p.trace.step(node)
    kind, terms, bias = _forward(step, at)
    stored = None if known is None else _stored(p, node, known)
    back = next(messages(p, node, [at])) if stored is None or at not in stored else stored[at]
    return Unit(name, index, kind, y, signal, str(node.op), p.plan.rule(node), p.rules.carrier, bias,
                tuple(_with_messages(p, step, terms, back)), received, seed, unlisted, whole)


def _stored(p: Passage, node: Node, known: Known) -> dict[int, tuple[Array | None, ...]] | None:
    """The messages of all units of a node that a signal reached, made once."""
    if node.name not in known:
        step = p.trace.step(node)
        reached = np.flatnonzero(_size(p.signals.values[node.name]).reshape(-1))
        size = len(reached) * max(x.size for x, on in zip(step.xs, step.active) if on)
        units = [int(j) for j in reached] if size <= ENTRIES else []
        known[node.name] = dict(zip(units, messages(p, node, units))) if size <= ENTRIES else None
    return known[node.name]


def _received(p: Passage, name: str, at: int, known: Known | None, most: int | None) -> tuple[tuple[Message, ...], int]:
    """The messages to an entry; () and their number where they would take more than ``most`` entries."""
    found: list[Message] = []
    unlisted = 0
    for node in p.trace.graph.nodes:
        if node.name not in p.signals.values or node.name in p.trace.wrt:
            continue
        uses = [k for k, i in enumerate(node.inputs) if i == name and p.trace.active[node.name][k]]
        if not uses:
            continue
        shape = p.trace[node.name].shape[1:]
        stored = None if known is None else _stored(p, node, known)
        units = sorted({j for k in uses for j in dependents(p, node, k, at)}) if stored is None else list(stored)
        if stored is None and most is not None and len(units) * max(p.trace[name].size, p.trace[node.name].size) > most:
            unlisted += len(units)
            continue
        for j, parts in zip(units, messages(p, node, units) if stored is None else stored.values()):
            amount = sum((g.reshape(-1)[at] for g in (parts[k] for k in uses) if g is not None), start=0)
            if amount != 0:
                found.append(Message(node.name, _index(j, shape), amount))
    return ((), unlisted + len(found)) if unlisted else (tuple(found), 0)


def _index(j: int, shape: Sequence[int]) -> Index:
    return tuple(int(i) for i in np.unravel_index(j, tuple(shape))) if len(shape) else ()


def _forward(step: Step, at: int) -> tuple[str, dict[tuple[int, int], tuple[Any, Any]], Any]:
    """(kind, {(input, entry): (weight, what it adds)}, bias) of a unit."""
    op, y = step.node.op, step.y
    one = filled(y.shape, 0, y)
    one.reshape(-1)[at] = scalar(1, y)
    slopes = {k: g.reshape(-1) for k, g in enumerate(step.vjp(one)) if g is not None}
    entries = {(k, int(i)): (g[i], None) for k, g in slopes.items() for i in np.flatnonzero(g != 0)}
    if op.elementwise:
        return "function", {(0, at): (slopes[0][at] if 0 in slopes else scalar(0, y), None)}, scalar(0, y)
    if op.affine(step.active):
        terms = {(k, i): (w, step.xs[k].reshape(-1)[i] * w) for (k, i), (w, _) in entries.items()}
        with np.errstate(all="ignore"):
            rest = op.forward(*(filled(x.shape, 0, x) if on else x for x, on in zip(step.xs, step.active))).reshape(-1)[at]
        return "sum", terms, rest
    if op.bilinear(step.active):
        first = next(k for k, on in enumerate(step.active) if on)
        added = {(k, i): (w, step.xs[k].reshape(-1)[i] * w if k == first else None) for (k, i), (w, _) in entries.items()}
        return "product", added, scalar(0, y)
    window = _window(step, at)
    if window is not None:
        return "maximum", {key: (slopes[key[0]][key[1]], None) for key in window}, scalar(0, y)
    return "other", entries, scalar(0, y)


def _window(step: Step, at: int) -> list[tuple[int, int]] | None:
    """The entries that a maximum chooses from: its candidates of an array that numbers the entries."""
    op, shift, numbered, where = step.node.op, 1, [], {}
    for k, x in enumerate(step.xs):
        where.update({shift + i: (k, i) for i in range(x.size)} if step.active[k] else {})
        numbered.append(np.arange(shift, shift + x.size, dtype=float).reshape(x.shape))
        shift += x.size
    found = op.candidates(*numbered)
    if found is None:
        return None
    row = np.abs(np.asarray(found).reshape(step.y.size, -1)[at])        # minima have their candidates negated
    return [where[int(v)] for v in row if np.isfinite(v) and int(v) in where]


def _with_messages(
    p: Passage, step: Step, terms: Mapping[tuple[int, int], tuple[Any, Any]], back: Sequence[Array | None],
) -> Iterator[Term]:
    zero = scalar(0, step.y)
    keys = dict.fromkeys(terms)
    for k, g in enumerate(back):                                        # entries of weight 0 get something of some rules
        keys |= {} if g is None else dict.fromkeys((k, int(i)) for i in np.flatnonzero(g.reshape(-1) != 0))
    affine = step.node.op.affine(step.active) and not step.node.op.elementwise
    for k, i in keys:
        weight, added = terms.get((k, i), (zero, zero if affine else None))
        g = back[k]
        x = step.xs[k].reshape(-1)[i]
        delta = None if step.ref is None else x - step.ref.xs[k].reshape(-1)[i]
        yield Term(step.node.inputs[k], _index(i, step.xs[k].shape[1:]), x, weight, added, zero if g is None else g.reshape(-1)[i], delta)
