"""XGNN: which small graph a graph network finds most typical of a class, by search over all of them or edge by edge."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.methods.task import make_task
from xaicore.numerics import Array, at_least
from xaicore.ops import Add, Dense, MatMul, Mean, Mul, ReLU, Rsqrt, Softmax, Sum

SEARCHES = ("exhaustive", "greedy")
MOST = 200_000
"""How many graphs an exhaustive search may evaluate."""
PART = 4096


@dataclass(frozen=True)
class Candidate:
    """An undirected graph: the type of each node, and edges (i, j) with i < j."""

    types: tuple[int, ...]
    edges: tuple[tuple[int, int], ...] = ()

    @property
    def adjacency(self) -> Array:
        """(n, n), 0 and 1."""
        a = np.zeros((len(self.types), len(self.types)))
        for i, j in self.edges:
            a[i, j] = a[j, i] = 1
        return a

    @property
    def connected(self) -> bool:
        """Is there a way between any two nodes?"""
        reach = {0}
        while True:
            more = reach | {k for e in self.edges if reach & set(e) for k in e}
            if more == reach:
                return len(reach) == len(self.types)
            reach = more

    def __str__(self) -> str:
        return f"nodes of types {list(self.types)}, edges {', '.join(f'{i}-{j}' for i, j in self.edges) or 'none'}"


@dataclass(frozen=True)
class Typical:
    """The graph of the highest reward; probability p_c of the class for it; evaluated: how many graphs the network saw."""

    graph: Candidate
    probability: float
    reward: float
    evaluated: int

    def __str__(self) -> str:
        return f"{self.graph}: p = {self.probability:.4f}, reward {self.reward:+.4f}, best of {self.evaluated:,} graphs"


def reward(probability: float, classes: int, rollouts: Sequence[float] = (), valid: bool = True, future: float = 1.0,
           rules: float = 1.0) -> float:
    """R = R_f + future · mean of R_f over rollouts + rules · R_rules, R_f = p_c - 1 / classes, R_rules = -1 for an invalid graph, else 0.

    ``rollouts`` are the probabilities of the graphs that random further steps lead to. Source: yuan2020 (λ1 = ``future`` and λ2 = ``rules``
    are not stated where we could read them: reconstruction).

    >>> round(reward(0.9, 2, rollouts=[0.7, 0.9]), 9)
    0.7
    """
    ahead = sum(p - 1 / classes for p in rollouts) / len(rollouts) if len(rollouts) else 0.0
    return probability - 1 / classes + future * ahead - (0.0 if valid else rules)


def xgnn(
    graph: Graph, target: int, features: Any = ((1.0,),), nodes: int = 5, search: str = "exhaustive", degrees: Sequence[int] | None = None,
    start: int = 0, steps: int = 10, rollouts: int = 10, future: float = 1.0, rules: float = 1.0, seed: int = 0,
) -> Typical:
    """argmax over connected graphs G of up to ``nodes`` nodes of R(G) = p_c(G) - 1 / classes - rules [G is invalid].

    graph     a network with inputs "adjacency" (N, n, n) and "features" (N, n, F) for any n, such as ``gcn`` makes, or a converted one
    features  (T, F): the features of each of T types of nodes
    degrees   how many edges a node of each type may have (valency); a graph that breaks it is invalid; None: any number
    search    "exhaustive": every graph. "greedy": from one node of type ``start``, at most ``steps`` times the edge, to an old node or a
              new one, whose reward with ``rollouts`` random completions is highest; the best graph on the way

    The paper trains a policy by reinforcement for the greedy walk; this takes the best step of all instead, with the same reward. Graphs
    that differ in the order of nodes have the same reward; among equal ones the first with the fewest nodes and edges is returned.
    Raises Inapplicable, with the number of graphs, where an exhaustive search is too long. Source: yuan2020 (reconstruction).
    """
    if isinstance(start, bool) or not isinstance(start, (int, np.integer)) or not 0 <= start < len(np.asarray(features)):
        count = len(np.asarray(features))
        raise InputError(f"start={start!r}: there are {count} types of nodes, 0 to {count - 1}")
    return searched(graph, target, features, nodes, search, degrees, Candidate((int(start),)), steps, rollouts, future, rules, seed)


def searched(
    graph: Graph, target: int, features: Any, nodes: int, search: str, degrees: Sequence[int] | None, start: Candidate, steps: int,
    rollouts: int, future: float, rules: float, seed: int,
) -> Typical:
    """``xgnn`` whose greedy walk begins at any graph."""
    if search not in SEARCHES:
        raise UnknownName(f"search={search!r} does not exist; there are " + ", ".join(map(repr, SEARCHES)))
    for name, value, least in (("nodes", nodes, 1), ("steps", steps, 1), ("rollouts", rollouts, 0)):
        whole(name, value, least)
    for name, weight in (("future", future), ("rules", rules)):
        at_least(name, weight, 0)
    if set(graph.inputs) != {"adjacency", "features"}:
        raise Inapplicable(f"xgnn searches among graphs, and the network reads {', '.join(graph.inputs)}; inputs called 'adjacency' and "
                           f"'features' are expected")
    table = np.asarray(features, dtype=float)
    if table.ndim != 2 or 0 in table.shape:
        raise ShapeError(f"features have shape {table.shape}; one row for each type of node, (T, F), is expected")
    if degrees is not None and len(degrees) != len(table):
        raise InputError(f"degrees has {len(degrees)} entries for {len(table)} types of nodes")
    judge = _Judge(graph, target, table, degrees)
    if search == "exhaustive":
        return _exhaustive(judge, nodes, len(table), rules)
    return _greedy(judge, nodes, len(table), start, steps, rollouts, future, rules, np.random.default_rng(seed))


@dataclass(frozen=True, eq=False)
class _Judge:
    graph: Graph
    target: int
    features: Array
    degrees: Sequence[int] | None

    def valid(self, g: Candidate) -> bool:
        """Does every node keep to the degree of its type?"""
        return self.degrees is None or all(d <= self.degrees[t] for d, t in zip(g.adjacency.sum(axis=0), g.types))

    def __call__(self, graphs: Sequence[Candidate]) -> tuple[list[float], int]:
        """p_c of each graph, and the number of classes."""
        out, classes = [0.0] * len(graphs), 0
        for n in {len(g.types) for g in graphs}:
            own = [k for k, g in enumerate(graphs) if len(g.types) == n]
            for part in (own[k:k + PART] for k in range(0, len(own), PART)):
                feeds = {"adjacency": np.stack([graphs[k].adjacency for k in part]),
                         "features": np.stack([self.features[list(graphs[k].types)] for k in part])}
                task = make_task(self.graph, feeds, self.target, "probability")
                assert task.trace is not None
                if task.trace[task.value].ndim != 2 or task.trace[task.value].shape[1] < 2:
                    raise Inapplicable(f"the network's output has shape {task.trace[task.value].shape}; two classes at least, (N, C), are "
                                       f"expected")
                classes = task.trace[task.value].shape[1]
                for k, p in zip(part, task.result):
                    out[k] = float(p)
        return out, classes


def _exhaustive(judge: _Judge, nodes: int, types: int, rules: float) -> Typical:
    count = sum(types**n * 2 ** (n * (n - 1) // 2) for n in range(1, nodes + 1))
    if count > MOST:
        raise Inapplicable(f"there are {count:,} graphs of up to {nodes} nodes of {types} types, and {MOST:,} are the most; take fewer "
                           f"nodes, or search='greedy'")
    graphs = sorted(all_graphs(nodes, types), key=lambda g: (len(g.types), len(g.edges)))
    probabilities, classes = judge(graphs)
    rewards = [reward(p, classes, valid=judge.valid(g), rules=rules) for g, p in zip(graphs, probabilities)]
    best = next(k for k, r in enumerate(rewards) if r >= max(rewards) - 1e-12)          # equal up to the rounding of another order of sums
    return Typical(graphs[best], probabilities[best], rewards[best], len(graphs))


def all_graphs(nodes: int, types: int = 1) -> Iterator[Candidate]:
    """Every connected graph of 1 to ``nodes`` labelled nodes, with every choice of types."""
    for n in range(1, nodes + 1):
        pairs = list(combinations(range(n), 2))
        for there in product((False, True), repeat=len(pairs)):
            edges = tuple(e for e, on in zip(pairs, there) if on)
            if Candidate((0,) * n, edges).connected:
                yield from (Candidate(chosen, edges) for chosen in product(range(types), repeat=n))


def _greedy(judge: _Judge, nodes: int, types: int, start: Candidate, steps: int, rollouts: int, future: float, rules: float,
            rng: np.random.Generator) -> Typical:
    here, seen = start, 1
    (p,), classes = judge([here])
    best = Typical(here, p, reward(p, classes, valid=judge.valid(here), rules=rules), 1)
    for step in range(steps):
        options = _steps(here, nodes, types)
        if not options:
            break
        ends = [[_completed(g, steps - step - 1, nodes, types, rng) for _ in range(rollouts)] for g in options]
        now, _ = judge(options)
        later, _ = judge([g for one in ends for g in one]) if rollouts else ([], classes)
        values = [reward(p, classes, later[k * rollouts:(k + 1) * rollouts], judge.valid(g), future, rules)
                  for k, (g, p) in enumerate(zip(options, now))]
        seen += len(options) * (1 + rollouts)
        k = int(np.argmax(values))
        here, own = options[k], reward(now[k], classes, valid=judge.valid(options[k]), rules=rules)
        if own > best.reward:
            best = Typical(here, now[k], own, seen)
    return Typical(best.graph, best.probability, best.reward, seen)


def _steps(g: Candidate, nodes: int, types: int) -> list[Candidate]:
    """The graphs with one edge more: between two nodes, or to a new node of any type."""
    n = len(g.types)
    inner = [Candidate(g.types, tuple(sorted((*g.edges, e)))) for e in combinations(range(n), 2) if e not in g.edges]
    if n == nodes:
        return inner
    return inner + [Candidate((*g.types, t), tuple(sorted((*g.edges, (i, n))))) for i in range(n) for t in range(types)]


def _completed(g: Candidate, steps: int, nodes: int, types: int, rng: np.random.Generator) -> Candidate:
    """The graph after further steps drawn at random, as long as there are any."""
    for _ in range(steps):
        options = _steps(g, nodes, types)
        if not options:
            break
        g = options[int(rng.integers(len(options)))]
    return g


# ----- a network ----------------------------------------------------------------------------------------------------


def gcn(weights: Sequence[Any], head: Any, bias: Any = None, dtype: str = "float64") -> Graph:
    """softmax(W mean_i h_i + b) with h <- relu(D^-1/2 (A + I) D^-1/2 h W_kᵀ), layer by layer: a graph convolution network on dense graphs.

    weights  W_k (O, I) of each layer;  head  W (C, O), bias (C,)
    Inputs "adjacency" A (N, n, n) of 0 and 1, symmetric, and "features" h (N, n, F), for any n; D holds the row sums of A + I. Layers
    conv1, relu1, ...; the same for any order of the nodes. Source: kipf2017, equation 2 (reconstruction).
    """
    b = Builder("gcn", dtype)
    a, h = b.input("adjacency", (None, None, None)), b.input("features", (None, None, np.asarray(weights[0]).shape[1]))
    degree = b.add(Add(), b.add(Sum((2,), keepdims=True), a), b.constant(1.0, "one"), name="degree")
    scale = b.add(Rsqrt(), degree, name="scale")

    def scaled(value: str, name: str) -> str:
        return b.add(Mul(), value, scale, name=name)

    for k, w in enumerate(weights, 1):
        h = scaled(h, f"sent{k}")
        h = scaled(b.add(Add(), b.add(MatMul(), a, h, name=f"heard{k}"), h, name=f"gathered{k}"), f"mixed{k}")
        h = b.add(ReLU(), b.add(Dense(), h, b.param(f"w{k}", w), name=f"conv{k}"), name=f"relu{k}")
    extra = () if bias is None else (b.param("bias", bias),)
    logits = b.add(Dense(), b.add(Mean((1,)), h, name="readout"), b.param("head", head), *extra, name="logits")
    return b.build(b.add(Softmax(-1), logits, name="probabilities"))
