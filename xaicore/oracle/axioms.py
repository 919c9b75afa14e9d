"""The axioms, each with its statement, source, precondition and residual; ``check`` measures them for a graph and an input.

An axiom that talks about other functions (symmetric, shifted, equal) builds them around the user's graph, so that the
verdict is about this model. Nothing is assumed from a method's name: what its row promises is shown beside the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, NothingChecked, UnknownName, Unsupported, XaicoreError, nearest
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.passes import shift_first_bias, without_head
from xaicore.graph.run import check_feeds, sample_feeds
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.explain import explain
from xaicore.methods.table import METHODS
from xaicore.numerics import Array, filled, negative, positive, scalar
from xaicore.ops import Add, Dense, Mul, Neg, ReLU
from xaicore.oracle.report import Report, Verdict
from xaicore.oracle.tolerance import largest, tolerance
from xaicore.rules.linear import Affine
from xaicore.trace import forward


@dataclass(frozen=True, eq=False)
class Case:
    """One method on one graph and input; ``a`` is the attribution that the axioms are about."""

    graph: Graph
    feeds: Mapping[str, Array]
    method: str
    target: Any
    settings: Mapping[str, Any]
    a: Attribution
    run: Callable[..., Attribution] = explain
    seed: int = 0

    def again(self, graph: Graph | None = None, feeds: Mapping[str, Array] | None = None, target: Any = None, **settings: Any
              ) -> Attribution:
        """The same method on another graph, input, target, or with other settings."""
        return self.run(graph or self.graph, feeds or self.feeds, method=self.method, target=self.target if target is None else target,
                        **{**self.settings, **settings})

    @property
    def rng(self) -> np.random.Generator:
        """Numbers for constructions, the same at every call."""
        return np.random.default_rng(self.seed)

    @property
    def input(self) -> str:
        """The input that constructions change: the first that is attributed to."""
        return next(iter(self.a.values))

    @property
    def has(self) -> Mapping[str, Any]:
        """The settings that the method knows, with their defaults."""
        return METHODS[self.method].settings if self.method in METHODS else {}


Finding = tuple[Array | float, float, str]
"""(residual, tolerance, where)"""


@dataclass(frozen=True)
class Axiom:
    """A statement about attributions. ``measure`` gives residual and tolerance, or raises Inapplicable with the reason."""

    id: str
    statement: str
    source: str
    precondition: str
    measure: Callable[[Case], Finding] = field(repr=False)

    def check(self, case: Case, promised: bool = False) -> Verdict:
        """The three-valued verdict of this axiom for one case."""
        try:
            residual, limit, where = self.measure(case)
        except (Inapplicable, Unsupported) as reason:
            return Verdict(case.method, self.id, "does not apply", promised=promised, reason=str(reason))
        worst = largest(np.asarray(residual))
        return Verdict(case.method, self.id, "holds" if worst <= limit else "fails", worst, limit, promised, where)


def same_shape(case: Case) -> None:
    """Refuses methods whose attribution has not the shape of the input (class-activation maps)."""
    for k, v in case.a.values.items():
        if v.shape != case.feeds[k].shape:
            raise Inapplicable(f"{case.method} gives one map of shape {v.shape} for input {k!r} of shape {case.feeds[k].shape}")


def difference(a: Attribution, b: Attribution, name: str | None = None) -> tuple[Array, float]:
    """|A - B| over all shared inputs, and the tolerance for it."""
    names = [name] if name else [k for k in a.values if k in b.values]
    gaps = [np.asarray(abs(a.values[k] - b.values[k])) for k in names]
    limit = max(tolerance(a.graph, a.values[k], b.values[k], a.output) for k in names)
    return np.concatenate([g.reshape(-1) for g in gaps]), limit


# ----- sums -------------------------------------------------------------------------------------------------------


def _completeness(case: Case) -> Finding:
    same_shape(case)
    a = case.a
    where = f"f(x){'' if a.baseline_output is None else ' - f(baseline)'} - sum"
    if "quadrature" in case.settings or "quadrature" in case.has:
        where += f"; the quadrature's error at steps={a.settings.get('steps')} (integrated_gradients.exact has none)"
    return a.gap(), tolerance(a.graph, a.output, *a.values.values()), where


def _conservation(case: Case) -> Finding:
    if case.a.ledger is None or not case.a.ledger.entries:
        raise Inapplicable("the method keeps no ledger: it is not one backward pass of a rule set")
    settings: dict[str, Any] = {}
    if "bias" in case.has and case.settings.get("bias", "absorb") == "absorb":
        settings["bias"] = "ignore"                                     # the precondition: biases and eps take no part
    if "eps" in case.has and "eps" not in case.settings:
        settings["eps"] = 0
    if not case.method.startswith(("lrp", "deep")):
        raise Inapplicable("a gradient is no quantity that is passed on: gradient times value is not conserved")
    a = case.again(**settings) if settings else case.a
    assert a.ledger is not None
    if case.a.settings.get("alpha", 1) != 1 or "alpha2" in case.method:
        _refuse_empty_parts(a)
    size = max(tolerance(a.graph, e.arrived, *a.values.values(), a.output) for e in a.ledger)
    leaks = sorted(((largest(e.absorbed), e.node.name) for e in a.ledger), reverse=True)
    return leaks[0][0], size, f"largest leak at node {leaks[0][1]!r}" + (f" with {settings}" if settings else "")


def _refuse_empty_parts(a: Attribution) -> None:
    """alpha-beta hands on alpha R - beta R = R only at neurons that have contributions of both signs."""
    assert isinstance(a.layers, Layers)
    trace = forward(a.layers.graph, a.feeds)
    for step in trace:
        if step.node.name not in a.layers or not step.node.op.weights(step.active) or not step.node.op.affine(step.active):
            continue
        m = Affine(step)
        up = m.apply(m.actives(positive), positive) + m.apply(m.actives(negative), negative)
        down = m.apply(m.actives(positive), negative) + m.apply(m.actives(negative), positive)
        empty = ((up == 0) | (down == 0)) & (a.layers[step.node.name] != 0)
        if empty.any():
            raise Inapplicable(f"at node {step.node.name!r} {int(empty.sum())} neurons with relevance have contributions of one sign only, "
                               f"and alpha-beta conserves only where both signs occur")


# ----- which features count ---------------------------------------------------------------------------------------


def _sensitivity_a(case: Case, tries: int = 6) -> Finding:
    same_shape(case)
    name, x = case.input, case.feeds[case.input]
    start = (case.a.baseline or {}).get(name, filled(x.shape, 0, x))
    start = np.array(np.broadcast_to(start, x.shape))
    different = [k for k in range(x[0].size) if x.reshape(len(x), -1)[0, k] != start.reshape(len(x), -1)[0, k]]
    if not different:
        raise Inapplicable("the input equals the baseline")
    chosen = case.rng.permutation(different)[:tries]
    one = {k: v[:1] for k, v in case.feeds.items()}
    target = _target_of_first(case)
    baseline: dict[str, Any] = {"baseline": {name: start[:1]}} if "baseline" in case.has else {}
    missed, compared, f0 = 0.0, 0, _outputs(case, {**one, name: start[:1]}, target)
    for k in chosen:
        moved = start[:1].copy()
        moved.reshape(-1)[k] = x[:1].reshape(-1)[k]
        f1 = _outputs(case, {**one, name: moved}, target)
        effect = abs(float(f1) - float(f0))
        if effect <= tolerance(case.graph, np.asarray([f1]), np.asarray([f0])):
            continue
        compared += 1
        given = case.again(feeds={**one, name: moved}, target=target, **baseline).values[name].reshape(-1)[k]
        if given == 0:
            missed = max(missed, effect)
    if not compared:
        raise Inapplicable(f"none of {len(chosen)} single features changed the output")
    return missed, 0.0, f"{compared} single features compared; the residual is the largest effect that got attribution 0"


def _outputs(case: Case, feeds: Mapping[str, Array], target: Any) -> Any:
    return explain(case.graph, feeds, "gradient", target).output[0]


def _target_of_first(case: Case) -> Any:
    """The target of sample 0, as one that holds for a batch of one."""
    t = case.target
    if isinstance(t, (list, np.ndarray)) and np.ndim(t) >= 1 and len(t) == len(case.a.output) and np.asarray(t).dtype.kind in "iu":
        return list(t[:1])
    return t


def _dummy(case: Case) -> Finding:
    same_shape(case)
    name = case.input
    graph = _behind_input(case.graph, name, lambda b, x, extra: b.add(Add(), x, b.add(Mul(), extra, b.constant(0), name="dummy/unread")))
    noise = case.feeds[name][::-1] + scalar(1, case.feeds[name])
    a = case.again(graph, {**case.feeds, "dummy": np.array(noise)}, **_baselines(case, "dummy"))
    got = a.values["dummy"]
    return got, tolerance(case.graph, *case.a.values.values()), "attribution of an input that is multiplied by 0"


def _symmetry(case: Case) -> Finding:
    same_shape(case)
    name = case.input
    graph = _behind_input(case.graph, name, lambda b, x, extra: b.add(Add(), x, extra, name="dummy/sum"))
    half = case.feeds[name] / scalar(2, case.feeds[name])
    a = case.again(graph, {**case.feeds, name: half, "dummy": half}, **_baselines(case, "dummy", halved=True))
    gap = abs(a.values[name] - a.values["dummy"])
    return gap, tolerance(case.graph, a.values[name], a.values["dummy"]), "f(a + b) at a = b: the two get the same"


def _baselines(case: Case, extra: str, halved: bool = False) -> dict[str, Any]:
    """The baseline setting for a graph with a second input: split in halves, or zero there."""
    if "baseline" not in case.has or case.a.baseline is None:
        return {}
    b = {k: case.a.baseline[k] for k in case.a.values}
    name = case.input
    if halved:
        b[name] = b[name] / scalar(2, b[name])
        return {"baseline": {**b, extra: b[name]}}
    return {"baseline": {**b, extra: filled(b[name].shape, 0, b[name])}}


def _behind_input(graph: Graph, name: str, build: Callable[[Builder, str, str], str]) -> Graph:
    """The graph that reads ``build(x, dummy)`` wherever it read x; dummy is a second input like x."""
    b = Builder(graph.name, graph.dtype)
    b.copy_inputs(graph)
    b.input("dummy", graph.inputs[name].shape)
    if f"layout.{name}" in graph.meta:
        b.meta["layout.dummy"] = graph.meta[f"layout.{name}"]
    new = build(b, name, "dummy")
    for node in graph.nodes:
        b.keep(node, [new if i == name else i for i in node.inputs])
    return b.build(*graph.outputs)


# ----- functions of functions -------------------------------------------------------------------------------------


def _linearity(case: Case) -> Finding:
    size = _classes(case)
    if size < 2:
        raise Inapplicable("the model has one output entry; two are needed for a sum of two")
    i, j = (int(k) for k in case.rng.choice(size, 2, replace=False))

    def mixed(b: Builder, name: str) -> str:
        w = [0] * size
        w[i], w[j] = 2, -1
        return b.add(Dense(), name, b.param("linearity/weights", np.array([w], dtype=object if case.graph.dtype == "exact" else float)))

    whole = case.again(target=mixed)
    a, c = case.again(target=i), case.again(target=j)
    gaps, limit = [], 0.0
    for k in whole.values:
        expected = a.values[k] * scalar(2, a.values[k]) - c.values[k]
        gaps.append(np.asarray(abs(whole.values[k] - expected)).reshape(-1))
        limit = max(limit, tolerance(case.graph, whole.values[k], a.values[k] * scalar(2, a.values[k]), c.values[k]))
    return np.concatenate(gaps), limit, f"2 f_{i} - f_{j} against 2 A_{i} - A_{j}"


def _classes(case: Case) -> int:
    if len(case.graph.outputs) > 1 or callable(case.target):
        raise Inapplicable("only for one output whose entries can be summed")
    name, _ = without_head(case.graph, case.graph.outputs[0])
    shape = explain(case.graph, {k: v[:1] for k, v in case.feeds.items()}, "gradient", _target_of_first(case)).layers[name].shape
    if len(shape) != 2:
        raise Inapplicable(f"the output {name!r} has shape (N, {shape[1:]}); the check takes a vector of classes")
    return int(shape[1])


def _implementation_invariance(case: Case) -> Finding:
    """f(x) written as f(relu(x + c) - relu(-x - c) - c), the same function with c away from every entry of -x."""
    name, x = case.input, case.feeds[case.input]
    c = _off_kink(x)
    b = Builder(case.graph.name, case.graph.dtype)
    b.copy_inputs(case.graph)
    plus, minus = b.constant(c, "rewrite/plus"), b.constant(-c, "rewrite/minus")
    moved = b.add(Add(), name, plus, name="rewrite/moved")
    up = b.add(ReLU(), moved, name="rewrite/up")
    down = b.add(Neg(), b.add(ReLU(), b.add(Neg(), moved, name="rewrite/negated"), name="rewrite/down"), name="rewrite/back")
    same = b.add(Add(), b.add(Add(), up, down, name="rewrite/both"), minus, name="rewrite/same")
    for node in case.graph.nodes:
        b.keep(node, [same if i == name else i for i in node.inputs])
    other = case.again(b.build(*case.graph.outputs))
    gap, limit = difference(case.a, other)
    return gap, limit, "x rewritten as relu(x + c) - relu(-x - c) - c"


def _off_kink(x: Array) -> Any:
    """A constant c with x + c != 0 everywhere, at a distance from rounding."""
    from fractions import Fraction

    for k in range(1, 64):
        c = Fraction(3 * k, 8)
        if all(abs(float(v) + float(c)) > 1e-3 for v in x.reshape(-1)):
            return c if x.dtype == object else float(c)
    raise Inapplicable("no shift keeps the input away from the kink of the rewriting")


def _input_shift(case: Case) -> Finding:
    name, x = case.input, case.feeds[case.input]
    m = np.array([(3 * k) % 7 - 3 for k in range(x[0].size)]).reshape(x.shape[1:])
    shift = np.vectorize(lambda v: scalar(int(v), x), otypes=[object])(m) if x.dtype == object else (m / 4).astype(x.dtype)
    other = case.again(shift_first_bias(case.graph, {name: shift}), {**case.feeds, name: x + shift})
    gap, limit = difference(case.a, other)
    return gap, limit, "f2(x + m) = f(x), explained at x + m, settings (also a baseline) unchanged"


# ----- how it is computed -----------------------------------------------------------------------------------------


def _batch_invariance(case: Case) -> Finding:
    if "seed" in case.has:
        raise Inapplicable("the method draws noise; one sample alone draws other numbers than in a batch")
    n = len(case.a.output)
    if n < 2:
        feeds = {k: np.concatenate([v, v / scalar(2, v) if v.dtype.kind in "fO" else v]) for k, v in case.feeds.items()}
        if any(s.shape[0] is not None for s in case.graph.inputs.values()):
            raise Inapplicable("the graph was converted with a fixed batch of 1")
        a = case.again(feeds=feeds, target=_doubled(case.target), **_baseline_rows(case, 2))
        parts = {k: v[:1] for k, v in a.values.items()}
        gap = [np.asarray(abs(parts[k] - case.a.values[k])).reshape(-1) for k in parts]
        limit = max(tolerance(case.graph, case.a.values[k], case.a.output) for k in parts)
        return np.concatenate(gap), limit, "alone against in a batch of 2"
    gaps, limit = [], 0.0
    for r in range(min(n, 3)):
        one = case.again(feeds={k: v[r:r + 1] for k, v in case.feeds.items()}, target=_row(case.target, r, n), **_baseline_rows(case, 1, r))
        for k, v in one.values.items():
            gaps.append(np.asarray(abs(v - case.a.values[k][r:r + 1])).reshape(-1))
            limit = max(limit, tolerance(case.graph, v, one.output))
    return np.concatenate(gaps), limit, "one by one against the batch"


def _row(target: Any, r: int, n: int) -> Any:
    if isinstance(target, (list, np.ndarray)) and np.ndim(target) >= 1 and len(target) == n:
        return list(target[r:r + 1]) if np.asarray(target).dtype.kind in "iu" else np.asarray(target)[r:r + 1]
    return target


def _doubled(target: Any) -> Any:
    if isinstance(target, (list, np.ndarray)) and np.ndim(target) == 1 and len(target) == 1:
        return [target[0], target[0]]
    return target


def _baseline_rows(case: Case, n: int, row: int = 0) -> dict[str, Any]:
    if "baseline" not in case.has or case.a.baseline is None:
        return {}
    return {"baseline": {k: np.repeat(case.a.baseline[k][row:row + 1], n, axis=0) for k in case.a.values}}


def _determinism(case: Case) -> Finding:
    before = {k: v.copy() for k, v in case.feeds.items()}
    again = case.again()
    changed = any((before[k] != case.feeds[k]).any() for k in before)
    gaps = [abs(again.values[k] - case.a.values[k]) for k in again.values]
    worst = np.concatenate([np.asarray(g).reshape(-1) for g in gaps] + [np.array([float(changed)])])
    return worst, 0.0, "two runs, bit for bit; the input is unchanged"


AXIOMS: Mapping[str, Axiom] = {one.id: one for one in (
    Axiom("completeness", "Σ_i A_i = f(x) - f(baseline), or f(x) without a baseline", "sundararajan2017",
          "attributions in the input's shape", _completeness),
    Axiom("conservation", "Σ_i R_i = Σ_j R_j at every node", "bach2015",
          "LRP: bias 'ignore' and eps 0, no neuron with relevance and a zero denominator; DeepLIFT: none", _conservation),
    Axiom("sensitivity_a", "if input and baseline differ in one feature and f differs, this feature's attribution is not 0",
          "sundararajan2017", "a feature that changes f alone", _sensitivity_a),
    Axiom("dummy", "a feature on which f does not depend gets 0 (sensitivity (b))", "sundararajan2017", "none", _dummy),
    Axiom("symmetry", "two features that f treats alike, with equal values and baselines, get the same", "friedman2004", "none",
          _symmetry),
    Axiom("linearity", "A of a f + b g is a A_f + b A_g", "sundararajan2017", "two output entries", _linearity),
    Axiom("implementation_invariance", "equal functions get equal attributions, whatever the network", "sundararajan2017",
          "not at a kink", _implementation_invariance),
    Axiom("input_shift", "f2(x + m) = f(x) gets the same attribution at x + m as f at x", "kindermans2019", "none", _input_shift),
    Axiom("batch_invariance", "a sample's attribution does not depend on the batch that it is in", "xaicore", "no drawn noise",
          _batch_invariance),
    Axiom("determinism", "the same call gives the same bits, and changes nothing that it was given", "xaicore", "none", _determinism),
)}


def check(
    graph: Graph, x: Any = None, methods: Sequence[str] | None = None, target: Any = None, axioms: Sequence[str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 0,
) -> Report:
    """Every axiom for every method on this graph and input: what is promised, what holds, what does not apply and why.

    x         input as for ``explain``; None draws one (of the graph's input shapes)
    methods   ids of xc.METHODS (default: all);  axioms: ids of AXIOMS (default: all)
    settings  method id -> its settings

    ``report.exit_code`` is 1 when a promise is broken and 5 when nothing applied; ``print(report)`` shows the grid.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"check takes a Graph, not {type(graph).__name__}; convert the model with xaicore.from_model first")
    feeds = check_feeds(graph, sample_feeds(graph, batch=2, seed=seed) if x is None else x)
    chosen = list(METHODS) if methods is None else list(methods)
    wanted = list(AXIOMS) if axioms is None else list(axioms)
    for name, known in [*((m, METHODS) for m in chosen), *((a, AXIOMS) for a in wanted)]:
        if name not in known:
            raise UnknownName(f"{name!r} is no {'method' if known is METHODS else 'axiom'}: {nearest(name, known)}")
    if not chosen or not wanted:
        raise NothingChecked("no method or no axiom was chosen, so nothing was checked")
    verdicts: list[Verdict] = []
    fixed = _fixed_target(graph, feeds, target)
    for method in chosen:
        row, own = METHODS[method], dict((settings or {}).get(method, {}))
        try:
            a = explain(graph, feeds, method, fixed, **own)
        except XaicoreError as error:
            if methods is not None and not isinstance(error, (Inapplicable, Unsupported)):
                raise
            verdicts += [Verdict(method, k, "does not apply", promised=k in row.promises, reason=str(error)) for k in wanted]
            continue
        case = Case(graph, feeds, method, fixed, own, a, seed=seed)
        verdicts += [AXIOMS[k].check(case, k in row.promises) for k in wanted]
    return Report(tuple(verdicts))


def _fixed_target(graph: Graph, feeds: Mapping[str, Array], target: Any) -> Any:
    """The target that every construction shares: the largest logit at x is not the largest elsewhere."""
    if target is not None:
        return target
    a = explain(graph, feeds, "gradient")
    top = a.layers[without_head(graph, graph.outputs[0])[0]] if len(graph.outputs) == 1 else None
    if top is None or top.ndim != 2 or top.shape[1] == 1:
        return None
    return [int(np.argmax(row != 0)) for row in top]


__all__ = ["AXIOMS", "Axiom", "Case", "Report", "Verdict", "check"]
