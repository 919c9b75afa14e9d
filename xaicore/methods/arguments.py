"""DAX: a network's answer as arguments. Which neurons speak for which, and against, from the messages of a relevance rule."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.graph import Graph
from xaicore.methods.contrast import Base, base_rules
from xaicore.methods.propagate import propagate
from xaicore.methods.sweep import whole
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array, filled, scalar
from xaicore.rules.ruleset import Plan, RuleSet
from xaicore.trace import activity


@dataclass(frozen=True)
class Argument:
    """A unit of a stratum and its dialectical strength: its relevance, the sum of all messages that it receives.

    heard: the part of the strength that came from the arguments above that are shown; the rest came from units that are not
    """

    stratum: str
    unit: tuple[int, ...]
    strength: Any
    heard: Any

    def __str__(self) -> str:
        return self.stratum + ("[" + ", ".join(map(str, self.unit)) + "]" if self.unit else "")


@dataclass(frozen=True)
class Relation:
    """``lower`` supports ``upper`` where its message has the sign of the upper one's strength, and attacks it where not."""

    lower: Argument
    upper: Argument
    message: Any
    kind: Literal["support", "attack"]


@dataclass(frozen=True)
class Arguments:
    """A graph of arguments: strata from the inputs up, the explained value last; relations between neighbouring strata."""

    strata: tuple[str, ...]
    arguments: tuple[Argument, ...]
    relations: tuple[Relation, ...]
    explained: str
    rules: str

    def at(self, stratum: str) -> tuple[Argument, ...]:
        """The arguments of one stratum, strongest first."""
        return tuple(a for a in self.arguments if a.stratum == stratum)

    def to_json(self) -> str:
        """The graph as JSON: {"explained", "rules", "strata", "arguments": [{"id", "stratum", "unit", "strength", "heard"}],
        "relations": [{"from", "to", "message", "kind"}]}, numbers as floats."""
        return json.dumps({
            "explained": self.explained, "rules": self.rules, "strata": list(self.strata),
            "arguments": [{"id": str(a), "stratum": a.stratum, "unit": list(a.unit), "strength": float(a.strength), "heard": float(a.heard)}
                          for a in self.arguments],
            "relations": [{"from": str(r.lower), "to": str(r.upper), "message": float(r.message), "kind": r.kind} for r in self.relations],
        }, indent=1)

    def __str__(self) -> str:
        lines = [f"arguments for {self.explained}, by {self.rules}"]
        for stratum in reversed(self.strata):
            for a in self.at(stratum):
                lines.append(f"{a!s:24} strength {float(a.strength):+.6g}")
                for kind, verb in (("support", "supported"), ("attack", "attacked")):
                    those = [r for r in self.relations if r.upper == a and r.kind == kind]
                    if those:
                        lines.append(f"    {verb} by " + ", ".join(f"{r.lower!s} ({float(r.message):+.6g})" for r in those))
        return "\n".join(lines)


def dax(
    graph: Graph, x: Any, target: Any = None, layers: Sequence[str] | None = None, top: int | None = 5, base: Base = "lrp.zero",
    output: str = "logit",
) -> Arguments:
    """Arguments (j) of strength σ(j) = R_j, and messages R_i<-j from each to the stratum below: support where R_i<-j R_j > 0, else attack.

    x       one sample (1, ...), or a mapping by input name
    layers  the strata between the inputs and the explained value, from below; default: every value that a layer with weights makes
    top     how many arguments a stratum shows, those of largest |σ|; None: all whose strength is not 0
    base    the relevance rule set whose messages these are; "lrp.zero" conserves as far as biases allow

    A unit is one entry of an input or of a layer (N, C), and one channel of a layer with further axes. R_i<-j is the relevance of i
    that starts as R_j at j alone, so σ(i) is the sum of its messages where nothing passes the stratum above by (W56: additive
    monotonicity, the conservation of LRP); ``heard`` says how much of it the arguments shown account for. A message of 0
    is no relation. Rational in exact mode. Raises Inapplicable for a layer that is not on the way or out of order, InputError for several
    samples. Costs one forward and backward pass of ``top`` samples for each stratum. Source: albini2020 (relations and strength:
    reconstruction).
    """
    task = make_task(graph, x, target, output)
    if task.size != 1:
        raise InputError(f"dax argues about one sample, and {task.size} came; give x[n:n + 1]")
    return argued(task, layers, top, base)


def argued(task: Task, layers: Sequence[str] | None, top: int | None, base: Base) -> Arguments:
    """``dax`` of a task of one sample."""
    if top is not None:
        whole("top", top, 1)
    assert task.trace is not None
    rules = base_rules(base)
    prepared = task.prepared(rules)
    names, plan = _strata(task, prepared, layers), rules.plan(prepared, task.wrt, task.value)
    whole_map = propagate(task, rules, "dax")
    relevance = {**whole_map.layers, **whole_map.values}
    for name in names:
        if name not in relevance:
            raise Inapplicable(f"no relevance arrives at layer {name!r}, which lies beside the way to {task.value!r}; leave it out")
    f = whole_map.output[0]
    top_argument = Argument(task.value, (), f, f)
    arguments, relations, above = [top_argument], [], [top_argument]
    for level, upper in zip([*((n,) for n in reversed(names)), task.wrt], [None, *reversed(names)]):
        sent: dict[str, Array] = {}
        if upper is None:
            sent = relevance
        elif above:                                                     # nothing of a silent stratum: what passes it by is unheard
            sent = _messages(task, rules, plan, upper, above, relevance[upper])
        known = [pair for name in level for pair in _units(name, relevance[name], sent.get(name), name in task.wrt)]
        known = sorted((pair for pair in known if pair[0].strength != 0), key=lambda pair: -abs(pair[0].strength))[:top]
        relations += [Relation(i, j, m, "support" if m * j.strength > 0 else "attack")
                      for i, messages in known for j, m in zip(above, messages) if m != 0]
        above = [i for i, _ in known]
        arguments += above
    return Arguments((*task.wrt, *names, task.value), tuple(arguments), tuple(relations), task.words, rules.name)


def _strata(task: Task, graph: Graph, layers: Sequence[str] | None) -> tuple[str, ...]:
    """The inner strata from below, checked."""
    active = activity(graph, task.wrt)
    inner = [n for n in graph.nodes if any(active[n.name]) and n.name != task.value]
    order = [n.name for n in inner]
    if layers is None:
        return tuple(n.name for n in inner if n.op.weights(active[n.name]))
    names = tuple(graph.find(one) for one in layers)
    for name in names:
        if name not in order:
            raise Inapplicable(f"layer {name!r} is no inner layer between the inputs and {task.value!r}; name one in between")
    places = [order.index(name) for name in names]
    if places != sorted(set(places)):
        raise Inapplicable(f"the layers {', '.join(names)} are not in order from the inputs up, each once; the order is "
                           f"{', '.join(sorted(set(names), key=order.index))}")
    return names


def _units(name: str, r: Array, sent: Array | None, is_input: bool) -> list[tuple[Argument, Array]]:
    """Each unit of a value with relevance r (1, *S), and the messages (K,) to it out of ``sent`` (K, *S); None: no way leads here."""
    sent = r[:0] if sent is None else sent
    shape = r.shape[1:] if is_input else r.shape[1:2]
    count = int(np.prod(shape))
    strengths, messages = (v.reshape(len(v), count, int(np.prod(v.shape[1:])) // count).sum(axis=2) for v in (r, sent))
    return [(Argument(name, tuple(int(v) for v in np.unravel_index(k, shape)), strengths[0, k], messages[:, k].sum()), messages[:, k])
            for k in range(strengths.shape[1])]


def _messages(task: Task, rules: RuleSet, plan: Plan, upper: str, senders: Sequence[Argument], like: Array) -> dict[str, Array]:
    """The relevance of all values below, (K, *S), that starts at the k-th sender of ``upper`` alone, by the plan of the whole way."""
    masks = filled((len(senders), *like.shape[1:]), 0, like)
    for k, sender in enumerate(senders):
        masks[(k, *sender.unit)] = scalar(1, like)
    from_upper = replace(task.moved({}, np.zeros(len(senders), dtype=int)), value=upper, weights=masks)
    a = propagate(from_upper, rules, "dax", seed=masks * like, plan=plan)
    return {**a.layers, **a.values}
