"""The axioms, each with its statement, source, precondition and residual; ``check`` measures them for a graph and an input.

An axiom that talks about other functions (symmetric, shifted, equal) builds them around the user's graph, so that the
verdict is about this model. Nothing is assumed from a method's name: what its row promises is shown beside the fact.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, NothingChecked, UnknownName, Unsupported, XaicoreError, nearest
from xaicore.graph.build import Builder
from xaicore.graph.graph import Graph
from xaicore.graph.passes import shift_first_bias
from xaicore.graph.run import check_feeds, evaluate, sample_feeds
from xaicore.methods.attribution import Attribution
from xaicore.methods.table import METHODS
from xaicore.numerics import Array, filled, scalar
from xaicore.ops import Dense
from xaicore.oracle import constructions as made
from xaicore.oracle.case import Case, amounts, difference, same_shape
from xaicore.oracle.conservation import unexplained
from xaicore.oracle.report import Report, Verdict
from xaicore.oracle.tolerance import largest, tolerance

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
        """The three-valued verdict of this axiom for one case. A method that refuses a construction is not measured on it."""
        try:
            with np.errstate(invalid="ignore", over="ignore"):          # what is not a number fails below
                residual, limit, where = self.measure(case)
        except XaicoreError as reason:
            return Verdict(case.method, self.id, "does not apply", promised=promised, reason=str(reason))
        worst = largest(np.asarray(residual))
        if not np.isfinite(worst):
            return Verdict(case.method, self.id, "fails", worst, limit, promised, f"the attribution is not finite; {where}")
        return Verdict(case.method, self.id, "holds" if worst <= limit else "fails", worst, limit, promised, where)


# ----- sums -------------------------------------------------------------------------------------------------------


def _completeness(case: Case) -> Finding:
    same_shape(case)
    a = case.a
    if a.settings.get("spread") == "repeat":
        raise Inapplicable("spread='repeat' shows all of a player's value in each of its entries, so that they add up to more")
    if a.settings.get("endpoints", "constraint") != "constraint":
        raise Inapplicable(f"endpoints={a.settings['endpoints']!r} gives the condition on the sum up")
    where = f"f(x){'' if a.baseline_output is None else ' - f(baseline)'} - sum"
    if "quadrature" in case.has:
        where += f"; the quadrature's error at steps={a.settings.get('steps')} (integrated_gradients.exact has none)"
    return a.gap(), tolerance(a.graph, *amounts(a)), where


def _conservation(case: Case) -> Finding:
    if case.a.ledger is None or not case.a.ledger.entries:
        raise Inapplicable("the method keeps no ledger: it is not one backward pass of a rule set")
    if not case.method.startswith(("lrp", "deep")):
        raise Inapplicable("a gradient is no quantity that is passed on: gradient times value is not conserved")
    settings: dict[str, Any] = {"keep": "all"}
    if case.a.settings.get("bias", "absorb") == "absorb" and "bias" in case.has:
        settings["bias"] = "ignore"                                     # the precondition: biases and eps take no part
    if "eps" in case.has:
        settings["eps"] = 0
    residual, limit, where = unexplained(case.again(**settings), case.method)
    shown = ", ".join(f"{k}={v!r}" for k, v in settings.items() if k != "keep")
    return residual, limit, where + (f", with {shown}" if shown else "")


# ----- which features count ---------------------------------------------------------------------------------------


def _sensitivity_a(case: Case, tries: int = 6) -> Finding:
    name = case.input
    if case.a.settings.get("background") is not None:
        raise Inapplicable("the method compares with a set of samples, and the axiom speaks of one baseline")
    one = case.rows([0])
    starts = {k: (case.a.baseline or {}).get(k, filled(one.feeds[k].shape, 0, one.feeds[k]))[:1] for k in {name, *case.graph.float_inputs}}
    x, start = one.feeds[name], starts[name]
    one = replace(one, feeds={**one.feeds, **{k: v for k, v in starts.items() if k != name}})     # the other inputs do not differ at all
    different = np.flatnonzero(x.reshape(-1) != start.reshape(-1))
    if not different.size:
        raise Inapplicable("the input equals the baseline")
    chosen = np.random.default_rng(case.seed).permutation(different)[:tries]
    moved = np.repeat(start, len(chosen) + 1, axis=0)
    for row, k in enumerate(chosen):
        moved[row].reshape(-1)[k] = x.reshape(-1)[k]
    many = one.rows([0] * len(moved))
    task = many.task()
    f = task.at({**many.feeds, name: moved}, np.arange(len(moved)))
    effects = np.array([abs(float(v - f[-1])) for v in f[:-1]])
    counts = effects > tolerance(case.graph, f)
    if not counts.any():
        raise Inapplicable(f"none of {len(chosen)} single features changed the output")
    missed = 0.0
    for row, k in enumerate(chosen):
        if counts[row]:
            given = one.again(feeds={**one.feeds, name: moved[row:row + 1]}).values[name].reshape(-1)[k]
            missed = max(missed, float(effects[row]) if given == 0 else 0.0)
    return missed, 0.0, f"{int(counts.sum())} single features compared; the residual is the largest effect that got attribution 0"


def _dummy(case: Case) -> Finding:
    """Every third feature (or group of them, where the players are) is multiplied by 0; a second input is read in ways that cancel."""
    name = case.input
    x = case.feeds[name]
    players = case.a.extras.get("labels", {}).get(name, np.arange(x[0].size).reshape(x.shape[1:]))
    kept = players % 3 != 0                                             # a group of features counts when one of them does
    mask = made.numbers(kept.astype(int), x)
    if any(np.ndim(case.a.settings.get(k, 0)) for k in ("low", "high")):  # bounds in the shape of x do not fit a layer before it
        a = case.again(made.masked(case.graph, name, mask))
        return a.values[name][:, ~kept], tolerance(case.graph, *amounts(a)), "attribution of features that are multiplied by 0"
    u = np.array(x[::-1] + scalar(1, x))
    graph, extra = made.masked_beside(case.graph, name, mask, u)
    a = case.again(graph, {**case.feeds, extra: u}, **_likewise(case, extra))
    got = np.concatenate([a.values[name][:, ~kept].reshape(-1), a.values[extra].reshape(-1)])
    return got, tolerance(case.graph, *amounts(a)), "attribution of features that are multiplied by 0, or whose effects cancel"


def _likewise(case: Case, extra: str) -> dict[str, Any]:
    """Settings by input name, with the same for a second input as for the first; where there are players it is one more."""
    own = {k: {**v, extra: v[case.input]} for k, v in case.settings.items() if isinstance(v, Mapping) and case.input in v}
    labels = case.a.extras.get("labels")
    if labels is not None and "mask" in case.has:
        own["mask"] = {**labels, extra: np.full_like(labels[case.input], max(v.max() for v in labels.values()) + 1)}
    background = case.settings.get("background")
    if isinstance(background, np.ndarray):
        own["background"] = {case.input: background, extra: background}
    return own


def _symmetry(case: Case) -> Finding:
    name = case.input
    x = case.feeds[name]
    axis = made.mirror_axis(case.graph, name, x)
    players = case.a.extras.get("labels", {}).get(name)
    pairs = set() if players is None else set(zip(players.reshape(-1), np.flip(players, axis - 1).reshape(-1)))
    if len(pairs) > len({p for p, _ in pairs}):
        raise Inapplicable("the players are groups of features, and their mirror images are other groups")

    def even(v: Any) -> Any:
        if isinstance(v, Mapping):
            return {k: even(one) if k == name else one for k, one in v.items()}
        if not isinstance(v, np.ndarray) or v.ndim < x.ndim - 1:
            return v
        return (v + np.flip(v, axis - x.ndim)) / scalar(2, v)

    own = {k: v if k == "mask" else even(v) for k, v in case.settings.items()}
    for k in ("low", "high"):
        bound = np.asarray(case.a.settings.get(k, 0))
        if bound.ndim >= x.ndim - axis and (bound != np.flip(bound, axis - x.ndim)).any():
            raise Inapplicable(f"the setting {k} differs between a feature and its mirror image")
    output = case.target[0] if isinstance(case.target, tuple) else case.graph.outputs[0]
    a = case.again(made.mirrored(case.graph, output, name, axis), {**case.feeds, name: even(x)}, **own)
    got = a.values[name]
    return abs(got - np.flip(got, axis)), tolerance(case.graph, *amounts(a)), "f(x) + f(mirrored x) at an x that is its own mirror image"


# ----- functions of functions -------------------------------------------------------------------------------------


def _linearity(case: Case) -> Finding:
    output, weights = case.target if isinstance(case.target, tuple) else (None, case.target)
    for k in ("features", "lasso"):
        if case.a.settings.get(k):
            raise Inapplicable(f"{k}={case.a.settings[k]!r} chooses players by what f does, which is not linear in f")
    if case.a.settings.get("score") == "complement":
        raise Inapplicable("score='complement' is 1 - f, which is not linear in f")
    if callable(weights):
        raise Inapplicable("the target is a callable; for a sum of two entries the output itself is needed")
    size = weights.shape[1] if weights.ndim == 2 else 0
    if weights.ndim != 2 or size < 2:
        raise Inapplicable(f"the explained value has shape (N, {', '.join(map(str, weights.shape[1:]))}); a vector of two entries or more "
                           f"is needed for a sum of two")
    i, j = (int(k) for k in np.random.default_rng(case.seed).choice(size, 2, replace=False))
    row = made.numbers([[2 * (k == i) - 3 * (k == j) for k in range(size)]], weights)

    def mixed(b: Builder, name: str) -> str:
        return b.add(Dense(), name, b.constant(row, "linearity/weights"))

    whole, a, c = (case.again(target=t if output is None else (output, t)) for t in (mixed, i, j))
    gaps = [np.asarray(abs(v - (a.values[k] * scalar(2, v) - c.values[k] * scalar(3, v)))).reshape(-1) for k, v in whole.values.items()]
    limit = tolerance(case.graph, *amounts(whole), *(v * scalar(3, v) for v in [*amounts(a), *amounts(c)]))
    return np.concatenate(gaps), limit, f"2 f_{i} - 3 f_{j} against 2 A_{i} - 3 A_{j}"


def _implementation_invariance(case: Case) -> Finding:
    """The same function with x written as relu(x + c) - relu(-x - c) - c + (two networks that are equal, subtracted)."""
    name, x = case.input, case.feeds[case.input]
    graph, again = made.rewritten(case.graph, name, x, _off_kink(x))
    inner = evaluate(graph, case.feeds, keep=[again])[again]            # x up to rounding, bit for bit what f sees
    gap, limit = difference(_at(case, inner), case.again(graph))
    return gap, limit, "x rewritten as relu(x + c) - relu(-x - c) - c + p - q, p = q"


def _at(case: Case, x: Array) -> Attribution:
    """The attribution at x, which is the case's own where x is the case's own."""
    same = bool((x == case.feeds[case.input]).all())
    return case.a if same else case.again(feeds={**case.feeds, case.input: x})


def _off_kink(x: Array) -> Array:
    """A constant c with x + c != 0 everywhere, at a distance from rounding; 2^-20 keeps c off the points of usual paths."""
    for k in range(1, 64):
        c = Fraction(3 * k, 8) + Fraction(1, 2**20)
        if all(abs(float(v) + float(c)) > 1e-3 for v in x.reshape(-1)):
            return made.numbers(c if x.dtype == object else float(c), x)
    raise Inapplicable("no shift keeps the input away from the kink of the rewriting")


def _input_shift(case: Case) -> Finding:
    name, x = case.input, case.feeds[case.input]
    quarters = np.array([(3 * k) % 7 - 3 for k in range(x[0].size)]).reshape(x.shape[1:])
    shift = made.numbers(quarters, x) / scalar(4, x)
    inner = (x + shift) - shift                                         # x up to rounding, bit for bit what f sees
    moved = case.again(shift_first_bias(case.graph, {name: shift}), {**case.feeds, name: x + shift})
    gap, limit = difference(_at(case, inner), moved)
    return gap, limit, "f2(x + m) = f(x), explained at x + m, settings (also a baseline) unchanged"


# ----- how it is computed -----------------------------------------------------------------------------------------


def _batch_invariance(case: Case) -> Finding:
    if case.size == 1:
        four = case.rows([0] * 4)                                       # beside samples that have other activations
        a = four.again(feeds={k: _varied(v) if v.dtype.kind in "fO" else v for k, v in four.feeds.items()})
        gaps = [np.asarray(abs(v[:1] - case.a.values[k])).reshape(-1) for k, v in a.values.items()]
        return np.concatenate(gaps), tolerance(case.graph, *amounts(case.a)), "alone against in a batch of 4"
    gaps, limit = [], 0.0
    for r in range(min(case.size, 3)):
        one = case.rows([r]).again()
        gaps += [np.asarray(abs(v - case.a.values[k][r:r + 1])).reshape(-1) for k, v in one.values.items()]
        limit = max(limit, tolerance(case.graph, *amounts(one)))
    return np.concatenate(gaps), limit, "one by one against the batch"


def _varied(x: Array) -> Array:
    """x (4, ...), whose first sample stays: the others are its mirror image, halved, its mirror image, and itself shifted by a place."""
    back = np.flip(x[1:2])
    return np.concatenate([x[:1], back / scalar(2, x), back, np.roll(x[3:], 1)])


def _determinism(case: Case) -> Finding:
    before = {k: v.copy() for k, v in case.feeds.items()}
    again = case.again()
    changed = any((before[k] != case.feeds[k]).any() for k in before)
    gaps = [np.asarray(abs(again.values[k] - case.a.values[k])).reshape(-1) for k in again.values]
    return np.concatenate([*gaps, [float(changed)]]), 0.0, "two runs, bit for bit" + ("; the input was changed" if changed else "")


AXIOMS: Mapping[str, Axiom] = {one.id: one for one in (
    Axiom("completeness", "Σ_i A_i = f(x) - f(baseline), or f(x) without a baseline", "sundararajan2017",
          "attributions in the input's shape", _completeness),
    Axiom("conservation", "Σ_i R_i = Σ_j R_j at every node", "bach2015",
          "LRP: bias 'ignore' and eps 0, no neuron with relevance and a zero denominator, no softmax or norm; DeepLIFT: none",
          _conservation),
    Axiom("sensitivity_a", "if input and baseline differ in one feature and f differs, this feature's attribution is not 0",
          "sundararajan2017", "a feature that changes f alone", _sensitivity_a),
    Axiom("dummy", "a feature on which f does not depend, by whatever network, gets 0 (sensitivity (b))", "sundararajan2017", "none",
          _dummy),
    Axiom("symmetry", "two features that f treats alike, with equal values and baselines, get the same", "friedman2004",
          "two features side by side", _symmetry),
    Axiom("linearity", "A of a f + b g is a A_f + b A_g", "sundararajan2017", "two output entries", _linearity),
    Axiom("implementation_invariance", "equal functions get equal attributions, whatever the network", "sundararajan2017",
          "not at a kink", _implementation_invariance),
    Axiom("input_shift", "f2(x + m) = f(x) gets the same attribution at x + m as f at x", "kindermans2019", "none", _input_shift),
    Axiom("batch_invariance", "a sample's attribution does not depend on the batch that it is in", "xaicore", "a free batch",
          _batch_invariance),
    Axiom("determinism", "the same call gives the same bits, and changes nothing that it was given", "xaicore", "none", _determinism),
)}


def check(
    graph: Graph, x: Any = None, methods: str | Sequence[str] | None = None, target: Any = None, axioms: str | Sequence[str] | None = None,
    settings: Mapping[str, Mapping[str, Any]] | None = None, seed: int = 0,
) -> Report:
    """Every axiom for every method on this graph and input: what is promised, what holds, what does not apply and why.

    x         input as for ``explain``; None draws one (of the graph's input shapes)
    methods   ids of xc.METHODS (default: all);  axioms: ids of AXIOMS (default: all)
    target    as for ``explain``; the default, the largest logit at x, is the same class in every construction
    settings  method id -> its settings

    ``report.exit_code`` is 1 when a promise is broken and 5 when nothing applied; ``print(report)`` shows the grid. Raises
    UnknownName for a method or axiom that does not exist, NothingChecked when none is chosen, InputError for no Graph.
    """
    if not isinstance(graph, Graph):
        raise InputError(f"check takes a Graph, not {type(graph).__name__}; convert the model with xaicore.from_model first")
    chosen, wanted = _chosen("method", methods, METHODS), _chosen("axiom", axioms, AXIOMS)
    own = {_known("method", k, METHODS): dict(v) for k, v in (settings or {}).items()}
    unused = [k for k in own if k not in chosen]
    if unused:
        raise InputError(f"settings are given for {unused[0]!r}, which is not among the methods to check; add it, or leave them out")
    feeds = check_feeds(graph, sample_feeds(graph, batch=2, seed=seed) if x is None else x)
    verdicts: list[Verdict] = []
    for method in chosen:
        promises = METHODS[method].promised(own.get(method) or {})
        try:
            case = Case.of(graph, feeds, method, target, own.get(method), seed=seed)
        except XaicoreError as error:
            if methods is not None and not isinstance(error, (Inapplicable, Unsupported, ExactnessError)):
                raise
            verdicts += [Verdict(method, k, "does not apply", promised=k in promises, reason=str(error)) for k in wanted]
            continue
        verdicts += [AXIOMS[k].check(case, k in promises) for k in wanted]
    return Report(tuple(verdicts))


def _chosen(what: str, names: str | Sequence[str] | None, table: Mapping[str, object]) -> list[str]:
    found = list(table) if names is None else [names] if isinstance(names, str) else list(names)
    if not found:
        raise NothingChecked(f"no {what} was chosen, so nothing was checked; leave {what}s out to take all")
    return list(dict.fromkeys(_known(what, one, table) for one in found))


def _known(what: str, name: str, table: Mapping[str, object]) -> str:
    if name not in table:
        raise UnknownName(f"no {what} is called {name!r}: {nearest(str(name), table)}")
    return name


__all__ = ["AXIOMS", "Axiom", "Case", "Report", "Verdict", "check"]
