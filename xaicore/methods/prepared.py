"""The graph as a rule set wants it, and the forward pass through it: made once for all that ask for the same."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from xaicore.graph.graph import Graph
from xaicore.graph.run import Shapes
from xaicore.numerics import Array
from xaicore.rules.ruleset import RuleSet
from xaicore.trace import Trace, forward


def prepared(trace: Trace, feeds: Mapping[str, Array], rules: RuleSet) -> Graph:
    """The graph of a trace as ``rules`` want it. The graph remembers it for the sizes of the inputs that it saw last, since folded weights
    take memory; of the batch, operators tell one sample from several."""
    if rules.as_it_is(trace.graph):
        return trace.graph
    sizes = tuple([(k, min(len(v), 2), v.shape[1:]) for k, v in feeds.items()])
    slot: dict[Any, dict[Any, Any]] = trace.graph.once("prepared", dict)
    known = slot.get(sizes)
    if known is None:
        known = {}
        slot.clear()
        slot[sizes] = known
    return rules.prepare(trace.graph, Shapes(trace.values), known)


@dataclass(eq=False)
class Memo:
    """Traces of the graphs that rule sets prepared, beside one, by the ids of the graphs and of the rule sets, which are held: methods that
    explain the same forward pass share them."""

    trace: Trace | None = None
    traces: dict[int, Trace] = field(default_factory=dict)
    asked: dict[int, tuple[RuleSet, Trace]] = field(default_factory=dict)

    def of(self, trace: Trace) -> Memo:
        """This memory where it is about ``trace``, an empty one otherwise."""
        if self.trace is not trace:
            self.trace, self.traces, self.asked = trace, {}, {}
        return self

    def traced(self, trace: Trace, feeds: Mapping[str, Array], rules: RuleSet) -> Trace:
        """The forward pass of the graph as ``rules`` want it: ``trace`` itself where nothing has to be prepared."""
        known = self.of(trace).asked.get(id(rules))
        if known is None:
            graph = prepared(trace, feeds, rules)
            if graph is not trace.graph and id(graph) not in self.traces:
                self.traces[id(graph)] = forward(graph, feeds, wrt=trace.wrt)
            known = self.asked[id(rules)] = rules, trace if graph is trace.graph else self.traces[id(graph)]
        return known[1]
