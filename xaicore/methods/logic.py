"""Logic Explained Networks: what a network on yes-or-no concepts says, as a formula, and the shortest formula with that truth table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, ShapeError, UnknownName
from xaicore.graph.graph import Graph, Node
from xaicore.methods.sweep import whole
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array
from xaicore.ops import Dense, Sigmoid

FAMILIES = ("relu", "mu", "psi")
WIDEST = 12
"""Truth tables have 2 ** WIDEST rows at most."""
CANDIDATES = 16
"""Among so many prime implicants the smallest cover is searched exactly; among more it is found greedily."""

Term = tuple[tuple[int, bool], ...]
"""A conjunction: (concept, whether it holds), by rising concept."""


@dataclass(frozen=True)
class Formula:
    """A disjunction of conjunctions of concepts. No term is False, the empty term is True."""

    terms: tuple[Term, ...]
    names: tuple[str, ...]

    def __call__(self, x: Any) -> Array:
        """Does the formula hold? Concepts (N, n), which hold above 1/2, -> truth values (N,)."""
        holds = np.asarray(x, dtype=float) > 0.5
        out = np.zeros(len(holds), dtype=bool)
        for term in self.terms:
            out |= np.logical_and.reduce([holds[:, j] == value for j, value in term], axis=0) if term else np.ones(len(holds), dtype=bool)
        return out

    @property
    def literals(self) -> int:
        """The number of literals in all terms: the complexity of the formula."""
        return sum(map(len, self.terms))

    def __str__(self) -> str:
        words = [" & ".join(self.names[j] if value else "~" + self.names[j] for j, value in term) or "True" for term in self.terms]
        return words[0] if len(words) == 1 else " | ".join(f"({w})" if "&" in w else w for w in words) or "False"


@dataclass(frozen=True, eq=False)
class Logic:
    """What a network says about one class, as a formula.

    fidelity  the share of the samples on which the formula says what the network says
    accuracy  the share on which it says what the labels say; None without labels
    local     the conjunction of each sample that the network puts in the class, None for the others; empty for "psi"
    """

    formula: Formula
    fidelity: float
    accuracy: float | None
    local: tuple[Term | None, ...]

    def __str__(self) -> str:
        right = "" if self.accuracy is None else f", accuracy {self.accuracy:.1%}"
        return f"{self.formula}   (fidelity {self.fidelity:.1%}{right}, {len(self.formula.terms)} terms, {self.formula.literals} literals)"


def explain_logic(
    graph: Graph, x: Any, target: int | None = None, labels: Any = None, family: str = "relu", threshold: float = 0.5,
    terms: int = 10, fan_in: int | None = 2, names: Sequence[str] = (),
) -> Logic:
    """A formula for "the network says class ``target``", out of samples x (N, n) of concepts in [0, 1], which hold above 1/2.

    The network says it where the class is the largest of several, or its only output is above 0 (above 1/2 behind a sigmoid).

    family     "relu": for each sample the affine map of its firing path, f = w·x + b there; the concepts with |w_j| >= ``threshold`` times
               the largest, each as it is in the sample, are its conjunction. "mu": the conjunction of all concepts that the first layer
               reads (its network is pruned to few). "psi": sigmoid layers whose neurons read ``fan_in`` values at most (None: any number);
               every neuron is its truth table over values rounded to 0 or 1, composed layer by layer
    labels     truth values (N,): only samples that are rightly put in the class speak, and terms are kept for accuracy, not fidelity
    terms      "relu" and "mu": how many of the most frequent conjunctions are tried, each kept where more samples come out right
    names      of the concepts; default c0, c1, ...

    The network is explained as it is; the paper also trains it for that. Its formula is simplified without a change of its truth table
    where it has up to 12 concepts, as "psi" must. Raises Inapplicable for a network of another family, naming the node; InputError,
    ShapeError, UnknownName. Source: ciravegna2023 (as in the authors' code).
    """
    if family not in FAMILIES:
        raise UnknownName(f"family={family!r} does not exist; there are " + ", ".join(map(repr, FAMILIES)))
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)) or not 0 <= threshold <= 1:
        raise InputError(f"threshold={threshold!r} is a share of the largest weight, from 0 to 1")
    whole("terms", terms, 1)
    task = _concepts(graph, x, target)
    (samples,) = (np.asarray(task.feeds[k]) for k in task.wrt)
    called = tuple(names) or tuple(f"c{j}" for j in range(samples.shape[1]))
    if len(called) != samples.shape[1]:
        raise InputError(f"{len(called)} names came for {samples.shape[1]} concepts")
    said = _says(graph, target)(samples)
    truth = None if labels is None else np.asarray(labels)
    if truth is not None and (truth.shape != said.shape or not np.isin(truth, (0, 1)).all()):
        raise ShapeError(f"labels have shape {truth.shape}; one truth value for each of {len(said)} samples is expected: is it the class?")
    wanted = said if truth is None else truth.astype(bool)
    local: tuple[Term | None, ...] = ()
    if family == "psi":
        formula = _by_truth_tables(task, graph, target, fan_in, called)
    else:
        used = _firing_path(task, threshold) if family == "relu" else np.broadcast_to(_read_by_first_layer(task), samples.shape)
        holds = samples > 0.5
        local = tuple(tuple((int(j), bool(holds[n, j])) for j in np.flatnonzero(used[n])) if said[n] else None for n in range(len(said)))
        frequent = Counter(t for t, right in zip(local, wanted) if t is not None and right).most_common(terms)
        formula = simplify(_kept([t for t, _ in frequent], samples, wanted, called))
    answer = formula(samples)
    return Logic(formula, float((answer == said).mean()), None if truth is None else float((answer == wanted).mean()), local)


def _concepts(graph: Graph, x: Any, target: int | None) -> Task:
    if graph.dtype == "exact":
        raise ExactnessError("a formula is read off floats; use graph.astype('float64')")
    task = make_task(graph, x, target)
    if len(task.wrt) != 1 or task.feeds[task.wrt[0]].ndim != 2:
        raise Inapplicable("concepts are one input (N, n), one column for each")
    v = task.feeds[task.wrt[0]]
    if (v < 0).any() or (v > 1).any():
        raise InputError(f"concepts lie in [0, 1], and {float(v.min())} to {float(v.max())} came")
    if task.trace is not None and task.trace[task.value].ndim != 2:
        raise Inapplicable(f"the output has shape {task.trace[task.value].shape}; (N, K), a number for each class, is expected")
    return task


def _says(graph: Graph, target: int | None) -> Callable[[Array], Array]:
    """Does the network put samples (N, n) in the class?"""
    last = next((n for n in graph.nodes if n.name == graph.outputs[0]), None)
    cut = 0.5 if last is not None and isinstance(last.op, Sigmoid) else 0.0

    def says(samples: Array) -> Array:
        y = np.asarray(graph(samples))
        if y.shape[1] == 1:
            return np.asarray(y[:, 0] > cut)
        if target is None:
            raise InputError(f"the network has {y.shape[1]} classes; give the one to explain, target=0 to {y.shape[1] - 1}")
        return np.asarray(y.argmax(axis=1) == target)

    return says


# ----- the families -------------------------------------------------------------------------------------------------


def _firing_path(task: Task, threshold: float) -> Array:
    """Which concepts (N, n) weigh enough in the affine map of each sample's firing path: its weights are the gradient."""
    (name,) = task.wrt
    w = abs(task.gradients({name: task.feeds[name]}, np.arange(task.size))[0][name])
    top = w.max(axis=1, keepdims=True)
    return np.asarray((w >= threshold * top) & (w > 0))


def _read_by_first_layer(task: Task) -> Array:
    """The concepts (n,) with a weight that is not 0 in a Dense layer that reads the input."""
    readers = [n for n in task.graph.nodes if task.wrt[0] in n.inputs]
    if not readers or not all(isinstance(n.op, Dense) for n in readers):
        found = readers[0] if readers else None
        raise Inapplicable(f"family='mu' reads the weights of a first Dense layer, and {found.name if found else 'nothing'!r} "
                           f"({found.op if found else 'no node'}) reads the concepts; use family='relu'")
    return np.asarray(np.any([(_weights(task.graph, n) != 0).any(axis=0) for n in readers], axis=0))


def _weights(graph: Graph, node: Node) -> Array:
    if node.inputs[1] not in graph.params:
        raise Inapplicable(f"the weights of layer {node.name!r} are computed, not given")
    return graph.params[node.inputs[1]]


def _by_truth_tables(task: Task, graph: Graph, target: int | None, fan_in: int | None, names: tuple[str, ...]) -> Formula:
    """Sigmoid layers as logic: every neuron's value is rounded to 0 or 1, for all values of the concepts that are read."""
    if fan_in is not None:
        whole("fan_in", fan_in, 1)
    for node in graph.nodes:
        if not isinstance(node.op, (Dense, Sigmoid)):
            raise Inapplicable(f"family='psi' is of Dense layers and sigmoids, and node {node.name!r} is {node.op}; use family='relu'")
        if isinstance(node.op, Dense) and fan_in is not None:
            reads = (_weights(graph, node) != 0).sum(axis=1)
            if reads.max(initial=0) > fan_in:
                raise Inapplicable(f"family='psi': neuron {int(reads.argmax())} of {node.name!r} reads {reads.max()} values, more than "
                                   f"fan_in={fan_in}; prune the network first, or give fan_in=None")
    used = np.flatnonzero(_read_by_first_layer(task))
    _small(len(used))
    rows = np.zeros((2 ** len(used), len(names)))
    rows[:, used] = _table(len(used))
    values: dict[str, Array] = {**graph.params, task.wrt[0]: rows}
    for node in graph.nodes:
        y = node.op.forward(*(values[i] for i in node.inputs))
        values[node.name] = (y > 0.5).astype(float) if isinstance(node.op, Sigmoid) else y
    y = values[graph.outputs[0]]
    if y.shape[1] > 1 and isinstance(next(n.op for n in graph.nodes if n.name == graph.outputs[0]), Sigmoid):
        holds = y[:, target or 0] > 0.5                                 # a neuron for each class
    else:
        holds = y[:, 0] > 0 if y.shape[1] == 1 else y.argmax(axis=1) == target
    return _renamed(minimise(holds), used, names)


def _kept(candidates: Sequence[Term], samples: Array, wanted: Array, names: tuple[str, ...]) -> Formula:
    """The disjunction of candidates, each of which is kept where more samples come out as wanted with it than without."""
    formula = Formula((), names)
    right = int((formula(samples) == wanted).sum())
    for term in candidates:
        longer = Formula((*formula.terms, term), names)
        now = int((longer(samples) == wanted).sum())
        if now > right:
            formula, right = longer, now
    return formula


# ----- the shortest formula -----------------------------------------------------------------------------------------


def simplify(formula: Formula) -> Formula:
    """A shortest disjunction of conjunctions with the same truth table; the formula itself where it has more than 12 concepts.

    >>> str(simplify(Formula((((0, True), (1, True)), ((0, True), (1, False))), ("a", "b"))))
    'a'
    """
    used = sorted({j for term in formula.terms for j, _ in term})
    if len(used) > WIDEST:
        return formula
    rows = np.zeros((2 ** len(used), len(formula.names)))
    rows[:, used] = _table(len(used))
    return _renamed(minimise(formula(rows)), used, formula.names)


def _renamed(terms: Sequence[Term], used: Any, names: tuple[str, ...]) -> Formula:
    return Formula(tuple(tuple((int(used[j]), value) for j, value in term) for term in terms), names)


def _small(n: int) -> None:
    if n > WIDEST:
        raise Inapplicable(f"{n} concepts have a truth table of {2**n:,} rows, and {WIDEST} are the most; prune the first layer, or use "
                           f"family='relu'")


def _table(n: int) -> Array:
    """All 2^n rows of n truth values, the last one changing fastest."""
    return np.array(np.indices((2,) * n).reshape(n, -1).T, dtype=float) if n else np.zeros((1, 0))


def minimise(truth: Any) -> tuple[Term, ...]:
    """The fewest conjunctions, and of those the fewest literals, whose disjunction has this truth table (2^n,), rows as in a binary count.

    Quine and McCluskey: two implicants that differ in one literal make one without it; those that nothing absorbs are prime; the ones
    that alone cover a row are taken, the smallest cover of what is left is searched (greedily where more than 16 are in question).
    Source: mccluskey1956.

    >>> minimise([0, 1, 1, 0])
    (((0, False), (1, True)), ((0, True), (1, False)))
    """
    table = np.asarray(truth).astype(bool)
    n = table.size.bit_length() - 1
    if table.ndim != 1 or table.size != 2**n:
        raise ShapeError(f"a truth table has 2^n rows, and this has shape {table.shape}")
    _small(n)
    rows = frozenset(int(k) for k in np.flatnonzero(table))
    primes = sorted(_primes(rows, n))
    covers = {p: frozenset(k for k in rows if k & p[0] == p[1]) for p in primes}
    by_row = {k: [p for p in primes if k in covers[p]] for k in rows}
    chosen = {ps[0] for ps in by_row.values() if len(ps) == 1}
    left = rows - frozenset().union(*(covers[p] for p in chosen))
    chosen |= set(_cover(left, {p: covers[p] & left for p in primes if covers[p] & left}))
    terms = [tuple((j, bool(value >> (n - 1 - j) & 1)) for j in range(n) if mask >> (n - 1 - j) & 1) for mask, value in chosen]
    return tuple(sorted(terms))


Implicant = tuple[int, int]
"""(mask of the concepts that matter, their values)."""


def _primes(rows: frozenset[int], n: int) -> set[Implicant]:
    level: set[Implicant] = {(2**n - 1, k) for k in rows}
    primes: set[Implicant] = set()
    while level:
        above, merged = set(), set()
        for mask, value in level:
            for bit in (1 << k for k in range(n)):
                if mask & bit and (mask, value ^ bit) in level:
                    merged.add((mask, value))
                    above.add((mask ^ bit, value & ~bit))
        primes |= level - merged
        level = above
    return primes


def _cover(rows: frozenset[int], covers: dict[Implicant, frozenset[int]]) -> Sequence[Implicant]:
    """The fewest implicants that cover all rows, of those the ones with the fewest literals."""
    if not rows:
        return ()
    if len(covers) <= CANDIDATES:
        for size in range(1, len(covers) + 1):
            full = [c for c in combinations(covers, size) if frozenset().union(*(covers[p] for p in c)) == rows]
            if full:
                return min(full, key=lambda c: sum(p[0].bit_count() for p in c))
    best = max(covers, key=lambda p: (len(covers[p] & rows), -p[0].bit_count()))
    return (best, *_cover(rows - covers[best], {p: c - covers[best] for p, c in covers.items() if c - covers[best]}))
