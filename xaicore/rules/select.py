"""Selectors: which nodes a row of a rule set is for. They combine with ``&``, ``|`` and ``~``.

``op(Conv)``, ``named("features.*")``, the claims ``affine``, ``bilinear``, ``elementwise``, ``routes``, ``weighted``, and
the positions ``first(...)`` and ``last(...)``, which are computed on the graph, not on the order of declaration.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cached_property

from xaicore.graph.graph import Graph, Node
from xaicore.ops import Op


@dataclass(frozen=True, eq=False)
class View:
    """What a selector may look at: the graph and which inputs of each node are active."""

    graph: Graph
    active: Mapping[str, tuple[bool, ...]]

    @cached_property
    def nodes(self) -> Mapping[str, Node]:
        """The nodes by name."""
        return {n.name: n for n in self.graph.nodes}

    @cached_property
    def _feeding(self) -> Mapping[str, list[str]]:
        """For each node what it reads actively."""
        return {n.name: [i for i, on in zip(n.inputs, self.active[n.name]) if on] for n in self.graph.nodes}

    @cached_property
    def _reading(self) -> Mapping[str, list[str]]:
        """For each node what reads it actively."""
        readers: dict[str, list[str]] = {n.name: [] for n in self.graph.nodes}
        for name, inputs in self._feeding.items():
            for i in inputs:
                if i in readers:
                    readers[i].append(name)
        return readers

    def upstream(self, node: Node) -> set[str]:
        """The names of all active nodes from which the signal reaches ``node``."""
        return self._closure(node, self._feeding)

    def downstream(self, node: Node) -> set[str]:
        """The names of all nodes that the signal reaches from ``node``."""
        return self._closure(node, self._reading)

    @staticmethod
    def _closure(node: Node, edges: Mapping[str, list[str]]) -> set[str]:
        seen: set[str] = set()
        stack = list(edges[node.name])
        while stack:
            name = stack.pop()
            if name in edges and name not in seen:
                seen.add(name)
                stack.extend(edges[name])
        return seen


@dataclass(frozen=True, eq=False)
class Selector:
    """A named test on (node, view)."""

    label: str
    test: Callable[[Node, View], bool]

    def __call__(self, node: Node, view: View) -> bool:
        return self.test(node, view)

    def __and__(self, other: Selector) -> Selector:
        return Selector(f"{self.label} & {other.label}", lambda n, v: self(n, v) and other(n, v))

    def __or__(self, other: Selector) -> Selector:
        return Selector(f"({self.label} | {other.label})", lambda n, v: self(n, v) or other(n, v))

    def __invert__(self) -> Selector:
        return Selector(f"~{self.label}", lambda n, v: not self(n, v))

    def __str__(self) -> str:
        return self.label


def op(*kinds: type[Op]) -> Selector:
    """Nodes whose operator is one of ``kinds``."""
    return Selector(f"op({', '.join(k.__name__ for k in kinds)})", lambda n, v: isinstance(n.op, kinds))


def named(pattern: str) -> Selector:
    """Nodes whose layer or own name matches a glob: ``named("features.*")``."""
    return Selector(f"named({pattern!r})", lambda n, v: fnmatchcase(n.layer, pattern) or fnmatchcase(n.name, pattern))


routes = Selector("routes", lambda n, v: n.op.routes)
affine = Selector("affine", lambda n, v: n.op.affine(v.active[n.name]))
bilinear = Selector("bilinear", lambda n, v: n.op.bilinear(v.active[n.name]))
elementwise = Selector("elementwise", lambda n, v: n.op.elementwise)
anything = Selector("anything", lambda n, v: True)


def _is_weighted(node: Node, view: View) -> bool:
    """A layer in the papers' sense: affine, with a kernel that mixes inputs (not a pool, sum or per-entry scale)."""
    from xaicore.ops import Conv, ConvTranspose, Dense, Einsum, MatMul

    active = view.active[node.name]
    return isinstance(node.op, (Dense, Conv, ConvTranspose, MatMul, Einsum)) and node.op.affine(active) and bool(node.op.weights(active))


weighted = Selector("weighted", _is_weighted)


def first(selector: Selector) -> Selector:
    """Selected nodes with no other selected node between them and the explained inputs."""
    def test(node: Node, view: View) -> bool:
        if node.op.routes or not selector(node, view):
            return False
        above = view.upstream(node)
        return not any(n.name in above and not n.op.routes and selector(n, view) for n in view.graph.nodes)

    return Selector(f"first({selector.label})", test)


def last(selector: Selector) -> Selector:
    """Selected nodes with no other selected node between them and the output."""
    def test(node: Node, view: View) -> bool:
        if node.op.routes or not selector(node, view):
            return False
        below = view.downstream(node)
        return not any(n.name in below and not n.op.routes and selector(n, view) for n in view.graph.nodes)

    return Selector(f"last({selector.label})", test)
