"""Sanity checks of methods on a model and input: what is known to go wrong (N1 to N19 of the literature), measured, with a verdict each.

A failed check is no bug: guided backpropagation survives parameter randomisation everywhere. It is what one must know before one
believes the picture. Definitions and networks made for the purpose: ``tests/identities/test_impossibility.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Literal

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName, Unsupported, XaicoreError, nearest
from xaicore.graph.graph import Graph
from xaicore.methods.attribution import Attribution
from xaicore.methods.sweep import quiet
from xaicore.methods.table import METHODS
from xaicore.metrics.axiomatic import input_invariance
from xaicore.metrics.controls import CONTROLS, contrast_map, sobel_map
from xaicore.metrics.randomisation import csc, randomized, weighted_layers
from xaicore.metrics.removal import of_players, players, present, starts
from xaicore.metrics.robustness import joined, norm
from xaicore.metrics.statistics import cosine, pearson, spearman
from xaicore.metrics.subject import Subject, subject
from xaicore.numerics import Array
from xaicore.oracle.axioms import AXIOMS, Case
from xaicore.oracle.sanity_theory import ALIKE, again_with, curvature, definition, mean, method_of, path, slope

Status = Literal["passes", "fails", "does not apply"]
SURVIVES = 0.5
"""The correlation above which a map survived: chosen, not derived, as ``ALIKE``. The figure stands beside each verdict, so that another
line can be drawn."""


@dataclass(frozen=True)
class Finding:
    """One check of one method: the figure, the verdict, and what it says in words."""

    method: str
    check: str
    status: Status
    figure: float | None = None
    words: str = ""


@dataclass(frozen=True)
class Sanity:
    """A check: its number in the literature's list, the question, and what the figure is."""

    id: str
    numbers: str
    question: str
    figure: str
    source: str
    run: Callable[[Subject, int], tuple[float, bool, str]] = field(repr=False)


@dataclass(frozen=True, eq=False)
class SanityReport:
    """All findings, and maps to look at: method -> what was changed -> map (N, ...)."""

    findings: tuple[Finding, ...]
    pictures: Mapping[str, Mapping[str, Array]]
    channels_last: bool
    graph: str
    explained: str

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def of(self, method: str, check: str) -> Finding:
        """One finding; UnknownName for one that was not made."""
        for one in self.findings:
            if (one.method, one.check) == (method, check):
                return one
        raise UnknownName(f"no finding on {method!r} and {check!r}: {nearest(check, {f.check for f in self.findings})}")

    @property
    def survivors(self) -> tuple[str, ...]:
        """The methods, not controls, whose map is still there when all parameters, or those of the last layer, are random."""
        found = (f.method for f in self.findings if f.check in ("randomisation", "last_layer") and f.status == "fails")
        return tuple(dict.fromkeys(m for m in found if m not in CONTROLS))

    @property
    def exit_code(self) -> int:
        """1 where a method survives parameter randomisation, 5 where nothing was checked, else 0."""
        if all(f.status == "does not apply" for f in self.findings):
            return 5
        return 1 if self.survivors else 0

    def verdict(self, method: str) -> str:
        """One sentence."""
        failed = [f for f in self.findings if f.method == method and f.status == "fails"]
        if any(f.check == "randomisation" for f in failed):
            return "SURVIVES parameter randomisation: much of its map does not depend on what the model has learned"
        if any(f.check == "last_layer" for f in failed):
            rest = [f.check for f in failed if f.check != "last_layer"]
            words = "SURVIVES randomisation of the last layer: one map, whatever the outputs mean"
            return words + (f"; fails {', '.join(rest)}" if rest else "")
        if any(f.check == "outline" for f in failed):
            rest = [f.check for f in failed if f.check != "outline"]
            return "its outline survives parameter randomisation, its signs do not" + (f"; fails {', '.join(rest)}" if rest else "")
        if not failed and not any(f.method == method and f.status == "passes" for f in self.findings):
            return "was not checked"
        return "passes all that apply" if not failed else "fails " + ", ".join(f.check for f in failed)

    def as_json(self) -> list[dict[str, Any]]:
        """The findings as plain data."""
        return [{"method": f.method, "check": f.check, "numbers": CHECKS[f.check].numbers, "status": f.status, "figure": f.figure,
                 "words": f.words}
                for f in self.findings]

    def __str__(self) -> str:
        methods = list(dict.fromkeys(f.method for f in self.findings))
        width = max(len(m) for m in methods)
        return "\n".join(f"{m:<{width}}  {self.verdict(m)}" for m in methods)


# ----- the checks -------------------------------------------------------------------------------------------------------


def _blank(s: Subject, seed: int) -> Graph:
    return randomized(s.graph, [n for _, names in weighted_layers(s.graph) for n in names], "normal", seed)


def _randomisation(s: Subject, seed: int) -> tuple[float, bool, str]:
    figure = mean(np.concatenate([pearson(s.positions(), b) for b in _random_maps(s, seed)]))
    return figure, figure <= SURVIVES, "correlation of the map with that of a model whose layers are all random, three draws"


def _last_layer(s: Subject, seed: int) -> tuple[float, bool, str]:
    if not weighted_layers(s.graph):
        raise Inapplicable("the model has no parameters that could be randomised")
    layer, names = weighted_layers(s.graph)[-1]
    found = [s.positions(values=s.again(graph=randomized(s.graph, names, "normal", seed + k))) for k in range(3)]
    figure = mean(np.abs(np.concatenate([pearson(s.positions(), b) for b in found])))
    return figure, figure <= ALIKE, f"|correlation| of the map with that of a model whose last layer {layer!r} is random, three draws"


def _outline(s: Subject, seed: int) -> tuple[float, bool, str]:
    figure = mean(np.concatenate([spearman(s.positions("absolute"), np.abs(b)) for b in _random_maps(s, seed)]))
    return figure, figure <= SURVIVES, "rank correlation of |map| with that of a model whose layers are all random, three draws"


def _random_maps(s: Subject, seed: int) -> list[Array]:
    if not weighted_layers(s.graph):
        raise Inapplicable("the model has no parameters that could be randomised")
    return [s.positions(values=s.again(graph=_blank(s, seed + k))) for k in range(3)]


def _recovery(s: Subject, seed: int) -> tuple[float, bool, str]:
    blank = s.positions("absolute", s.again(graph=_blank(s, seed)))
    found = {"|x|": mean(np.abs(spearman(blank, s.positions("absolute", {k: s.task.feeds[k] for k in s.values}))))}
    if all(s.task.feeds[k].ndim == 4 for k in s.values):
        for name, control in (("edges", sobel_map), ("contrast", contrast_map)):
            a = control(s.graph, s.task.feeds, None)
            found[name] = mean(np.abs(spearman(blank, np.concatenate([a[k].reshape(s.size, -1) for k in s.values], axis=1))))
    best = max(found, key=lambda k: found[k])
    return found[best], found[best] <= SURVIVES, f"rank correlation of the map of a random model with the input's {best}"


def _class(s: Subject, seed: int) -> tuple[float, bool, str]:
    weights = np.asarray(s.task.weights, dtype=float)
    if callable(s.target) or weights.ndim != 2 or weights.shape[1] < 2 or (np.count_nonzero(weights, axis=1) != 1).any():
        raise Inapplicable("the explained value is not one class of several")
    k, own = weights.shape[1], weights.argmax(axis=1)
    steps = range(1, k) if k <= 10 else 1 + np.random.default_rng(seed).permutation(k - 1)[:9]
    found = []
    for step in steps:
        other = np.zeros(weights.shape, dtype=s.task.weights.dtype)
        other[np.arange(len(own)), (own + int(step)) % k] = 1
        target = (s.target[0], other) if isinstance(s.target, tuple) else other
        found.append(pearson(s.positions(), s.positions(values=s.again(target=target))))
    figure = mean(np.concatenate(found))
    return figure, figure <= ALIKE, f"mean correlation of the map with those of {len(found)} other classes"


def _collapse(s: Subject, seed: int) -> tuple[float, bool, str]:
    figure = mean(csc(s, samples=5, seed=seed).values)
    return figure, figure <= ALIKE, "mean |cos| between the maps of random directions at the output"


def _other_input(s: Subject, seed: int) -> tuple[float, bool, str]:
    rng, there = np.random.default_rng(seed), {}
    for k in s.values:
        x = s.task.feeds[k]
        flat = x.reshape(len(x), -1)
        there[k] = flat[:, rng.permutation(flat.shape[1])].reshape(x.shape)
    figure = mean(pearson(s.positions(), s.positions(values=s.again(there))))
    return figure, figure <= ALIKE, "correlation of the map with that of the input's entries in random order"


def _shift(s: Subject, seed: int) -> tuple[float, bool, str]:
    figure = mean(input_invariance(s).values)
    limit = 1e-2 if s.graph.dtype == "float32" else 1e-6  # x + 1 - 1 is not x, and falls beside a kink
    return figure, figure <= limit, "largest change, relative, when input and first bias are shifted against each other by 1"


def _silent(s: Subject, seed: int) -> tuple[float, bool, str]:
    g = players(s, None, 0)                                             # of a picture at most 64 equal parts: each costs an f
    f = np.asarray(s.task.result, dtype=float)
    drops = np.abs(f[:, None] - present(g, g.count, lambda n, k: np.arange(g.count)[None] != k[:, None]))
    a = of_players(replace(s, values={k: np.abs(v) for k, v in s.values.items()}), g)
    counts = drops > 0.01 * drops.max(axis=1, keepdims=True)
    if not counts.any():
        raise Inapplicable("no feature alone changes f when it is set to 0")
    silent = counts & (a <= 1e-12 * a.max(axis=1, keepdims=True))
    figure = float(silent.sum() / counts.sum())
    return figure, figure == 0, "share of the parts that change f alone (by over 1 % of the most) and have attribution 0"


def _sum(s: Subject, seed: int) -> tuple[float, bool, str]:
    f, total = np.asarray(s.task.result, dtype=float), joined(s.values, s).sum(axis=1)
    at = np.asarray(s.task.at(starts(s.task, 0), np.arange(s.size)), dtype=float)
    gaps = {"f(x)": np.abs(total - f), "f(x) - f(0)": np.abs(total - (f - at))}
    best = min(gaps, key=lambda k: float(gaps[k].max()))
    size = np.maximum(np.abs(f), np.abs(f - at))
    figure = float((gaps[best] / np.where(size > 0, size, 1)).max())
    return figure, figure <= 1e-2, f"largest |Σ map - ({best})| over |f|, the nearer of f(x) and f(x) - f(0)"


def _unstable(s: Subject, seed: int) -> tuple[float, bool, str]:
    worst = np.zeros(s.size)
    for k in range(3):
        rng, there = np.random.default_rng([seed, k]), {}
        for name in s.values:
            x = s.task.feeds[name]
            if x.dtype.kind != "f":
                raise Inapplicable(f"input {name!r} holds whole numbers")
            spread = np.ptp(x.reshape(len(x), -1), axis=1).reshape(-1, *(1,) * (x.ndim - 1))
            there[name] = (x + 1e-5 * spread * rng.standard_normal(x.shape[1:])).astype(x.dtype)
        moved = norm(joined(s.task.feeds, s) - joined({**s.task.feeds, **there}, s)) / np.maximum(norm(joined(s.task.feeds, s)), 1e-30)
        change = norm(joined(s.values, s) - joined(s.again(there), s)) / np.maximum(norm(joined(s.values, s)), 1e-30)
        worst = np.maximum(worst, change / np.maximum(moved, 1e-30))
    figure = float(worst.max())
    return figure, figure <= 1e3, "relative change of the map over that of the input, for noise of 1e-5 of its range, the worst of three"


def _baseline(s: Subject, seed: int) -> tuple[float, bool, str]:
    method = method_of(s)
    if "baseline" not in METHODS[method].settings:
        raise Inapplicable("the method has no baseline")
    x = {k: s.task.feeds[k] for k in s.values}
    middle = {k: np.array(np.broadcast_to(v.reshape(len(v), -1).mean(axis=1).reshape(-1, *(1,) * (v.ndim - 1)), v.shape))
              for k, v in x.items()}
    figure = mean(cosine(s.positions(), again_with(s, baseline=middle)))
    return figure, figure > ALIKE, "cosine of the map with that for each sample's mean as the baseline"


def _seed(s: Subject, seed: int) -> tuple[float, bool, str]:
    if "seed" not in METHODS[method_of(s)].settings:
        raise Inapplicable("the method draws nothing")
    figure = min(mean(cosine(s.positions(), again_with(s, seed=seed + k))) for k in (1, 2, 3))
    return figure, figure > ALIKE, "smallest cosine of the map with those of three other seeds"


def _question(s: Subject, seed: int) -> tuple[float, bool, str]:
    if s.task.output != "logit" or s.task.head is None:
        raise Inapplicable("the output has no softmax that was taken off")
    figure = mean(cosine(s.positions(), again_with(s, output="probability")))
    return figure, figure > ALIKE, "cosine of the map of the logit with that of the probability"


def _rewriting(s: Subject, seed: int) -> tuple[float, bool, str]:
    run = getattr(s.ask, "keywords", None)
    if run is None:
        raise Inapplicable("a function that does not go through the graph is not rewritten with it")
    options = {k: v for k, v in run["options"].items() if k not in ("batch_size", "wrt")}
    case = Case.of(s.graph, s.task.feeds, run["method"], s.target, options, seed=seed)
    verdict = AXIOMS["implementation_invariance"].check(case)
    if verdict.status == "does not apply" or verdict.residual is None:
        raise Inapplicable(verdict.reason)
    words = f"largest change of the map in a model that is written another way (allowed {verdict.tolerance:.2g})"
    return float(verdict.residual), verdict.status == "holds", words


CHECKS: Mapping[str, Sanity] = MappingProxyType({c.id: c for c in (
    Sanity("randomisation", "N7", "does the map depend on the parameters?", "correlation", "adebayo2018", _randomisation),
    Sanity("last_layer", "N7", "does the map depend on the weights of the last layer?", "|correlation|", "adebayo2018", _last_layer),
    Sanity("outline", "N7", "does the map without its signs depend on the parameters?", "rank correlation", "adebayo2018", _outline),
    Sanity("recovery", "N6", "does a random model give a picture of the input?", "rank correlation", "nie2018", _recovery),
    Sanity("class", "N8", "does the map depend on the class?", "correlation", "sixt2020", _class),
    Sanity("collapse", "N8", "do all directions at the output give one map?", "|cosine|", "sixt2020", _collapse),
    Sanity("input", "N17", "does the map depend on the input?", "correlation", "nie2018", _other_input),
    Sanity("silence", "N1, N2", "do features that change f get 0?", "share", "sundararajan2017", _silent),
    Sanity("sum", "N4, N9, N11", "does the map add up?", "relative gap", "sundararajan2017", _sum),
    Sanity("shift", "N5", "does a shift of the input that the model undoes change the map?", "relative change", "kindermans2019", _shift),
    Sanity("rewriting", "N3", "does the map change when the same function is written another way?", "change", "sundararajan2017",
           _rewriting),
    Sanity("stability", "N10", "does the map jump when the input hardly moves?", "amplification", "bach2015", _unstable),
    Sanity("baseline", "N14", "does another baseline give the same map?", "cosine", "sundararajan2020", _baseline),
    Sanity("seed", "N15", "does another seed give the same map?", "cosine", "ribeiro2016", _seed),
    Sanity("question", "N16", "do logit and probability have the same map?", "cosine", "simonyan2013", _question),
    Sanity("slope", "N12", "does the map tell two models apart that differ in their slope at the input?", "share", "bilodeau2024", slope),
    Sanity("path", "N13", "does another path give the same complete map?", "cosine", "lundstrom2022", path),
    Sanity("curvature", "N18", "do the second derivatives tell anything?", "share", "chattopadhyay2019", curvature),
    Sanity("definition", "N19", "do other definitions under the method's name give the same map?", "cosine", "agarwal2022", definition),
)})
"""What is measured on a model."""


# ----- running them -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ById:
    """An id with its settings, asked through ``explain``; what it was made of can be read from it."""

    keywords: Mapping[str, Any]
    inner: Callable[..., Any]

    def __call__(self, graph: Graph, feeds: Any, target: Any) -> Any:
        return self.inner(graph, feeds, target)


def sanity(
    graph: Graph, x: Any, methods: Any, target: Any = None, checks: Sequence[str] | None = None, *, output: str = "logit",
    controls: bool = True, seed: int = 0, progress: Callable[[int, int], None] | None = None,
) -> SanityReport:
    """Every check of every method.

    methods   ids, or pairs (id, settings), or a mapping label -> one of them;  checks: ids of CHECKS, default all
    controls  also check maps that know no model (they survive everything: that is what it looks like)

    A check that does not apply says why. UnknownName for names, InputError for values that cannot be used. Exit code 1 where a
    method survives parameter randomisation.
    """
    from xaicore.metrics.evaluate import _methods

    wanted = list(CHECKS) if checks is None else list(checks)
    for one in wanted:
        if one not in CHECKS:
            raise UnknownName(f"no check is called {one!r}: {nearest(one, CHECKS)}")
    if not wanted:
        raise InputError("checks is empty, so nothing would be checked; leave it out for all")
    asked = _methods(methods)
    if controls:
        own = [k for k in CONTROLS if k not in asked and (k in ("control.input", "control.random") or _pictures(graph))]
        asked |= _methods(own)
    findings: list[Finding] = []
    pictures: dict[str, dict[str, Array]] = {}
    explained = ""
    for at, (label, (method, settings)) in enumerate(asked.items()):
        if progress is not None:
            progress(at, len(asked))
        try:
            s = subject(graph, x, method, target, output=output, label=label, **settings)
        except (Inapplicable, Unsupported, ExactnessError) as error:
            findings += [Finding(label, k, "does not apply", words=str(error)) for k in wanted]
            continue
        s = replace(s, task=quiet(s.task))
        if isinstance(method, str):
            assert s.ask is not None
            s = replace(s, ask=_ById({"method": method, "options": {"output": output, **settings}}, s.ask))
        explained = s.task.words
        findings += [_checked(s, CHECKS[k], seed) for k in wanted]
        pictures[label] = _maps(s, seed)
    if progress is not None:
        progress(len(asked), len(asked))
    from xaicore.methods.propagate import channels_last

    name = next(iter(graph.inputs))
    return SanityReport(tuple(findings), pictures, channels_last(graph.meta, name), graph.name, explained)


def _pictures(graph: Graph) -> bool:
    return all(len(graph.inputs[k].shape) == 4 for k in graph.float_inputs)


def _checked(s: Subject, check: Sanity, seed: int) -> Finding:
    try:
        figure, good, words = check.run(s, seed)
    except (Inapplicable, Unsupported, ExactnessError) as error:
        return Finding(s.label, check.id, "does not apply", words=str(error))
    return Finding(s.label, check.id, "passes" if good else "fails", figure, words)


def _maps(s: Subject, seed: int) -> dict[str, Array]:
    """The map, and what becomes of it: of the only explained input, or the first."""
    name = next(iter(s.values))
    found = {"the map": s.values[name]}
    changes: dict[str, Callable[[], dict[str, Array]]] = {"all parameters random": lambda: s.again(graph=_blank(s, seed))}
    layers = weighted_layers(s.graph)
    if layers:
        changes = {f"{layers[-1][0]} random": lambda: s.again(graph=randomized(s.graph, layers[-1][1], "normal", seed)), **changes}
    weights = np.asarray(s.task.weights)
    if not callable(s.target) and weights.ndim == 2 and weights.shape[1] > 1:
        other = np.roll(weights, 1, axis=1)
        target = (s.target[0], other) if isinstance(s.target, tuple) else other
        changes["the next class"] = lambda: s.again(target=target)
    for title, make in changes.items():
        try:
            found[title] = make()[name]
        except XaicoreError:
            continue                                                    # a picture that cannot be had; the finding says why
    return found


__all__ = ["CHECKS", "Attribution", "Finding", "Sanity", "SanityReport", "sanity"]
