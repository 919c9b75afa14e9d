"""What is measured of one model: does it convert, is it the same function with the same gradient, do LRP and DeepLIFT add up.

Nothing in here knows a framework: a ``Subject`` brings the graph's inputs, and what the framework says about them.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

import xaicore as xc
from xaicore.errors import Inapplicable
from xaicore.graph import Graph
from xaicore.graph.run import check_feeds
from xaicore.methods.explain import from_layer
from xaicore.oracle.conservation import unexplained
from xaicore.trace import Ledger, backward, forward

Array = np.ndarray[Any, Any]

FORWARD = 1e-9
"""Largest difference over the largest entry, in float64; 1e-6 for models that themselves compute parts in float32 (``Subject.float32``)."""
GRADIENT = 1e-8
"""The same for the gradient; 1e-5 with parts in float32, whose rounding the backward pass multiplies as it does in torch itself."""
DIFFERENCES = 1e-5
"""The same where the opinion is central differences: wide ones step over kinks, narrow ones round, and between is not always more."""
ROUNDED = ("HardSigmoid",)
"""Operators whose derivative torch has with 1/6 rounded to float32, which is 3e-8 off."""
ROUNDING = 4
"""How many times the framework's own rounding two right answers may lie apart (``Subject.rounding``), as in ``xaicore.graph.verify``."""
SENSITIVITY = 1e-3
"""||y(x1) - y(x2)|| / ||y(x1)|| of two samples, below which a converter could drop the input and pass."""
SUMS = 1e-6
"""Largest error of a sum of relevances, relative to the explained value, or to the difference for DeepLIFT."""


@dataclass(frozen=True)
class Subject:
    """One model. ``outputs`` and ``gradient`` are the framework's own, at the same inputs as ``feeds``, with the batch first.

    gradient   from one seed for each output to the gradient of sum_k <seed_k, output_k>, by the name of a graph value
               None where no framework has one: the graph's own central differences along random directions are taken
    emitted    from a graph, its inputs and the seeds to the same by another backward pass, asked where the differences are too rough
    rounding   from the seeds to how far the framework's own outputs and gradient move, over their largest entry, when inputs and
               parameters move by one unit in the last place: asked for where a limit is exceeded
    limit      of the forward pass, where the framework computes in float32 and the graph in float64
    plain      the graph as ``benchmarks.coverage.routes`` takes it, where that is cheaper: unverified, for the batch that is fed; None: ``convert``
    routes     name -> other ways to a graph of the same function, for ``benchmarks.coverage.routes``
    zeros      are zeros in the domain of the model, or does DeepLIFT need the other sample as baseline?
    leaf       for models whose inputs are whole numbers: the layer at whose value everything is explained
    reduced    in words what was made smaller so that the model fits the machine; "" for the model as it is published
    """

    convert: Callable[[], Graph]
    feeds: Callable[[], Mapping[str, Array]]
    outputs: Callable[[], Sequence[Array]]
    gradient: Callable[[Sequence[Array]], Mapping[str, Array]] | None = None
    emitted: Callable[[Graph, Mapping[str, Array], Sequence[Array]], Mapping[str, Array]] | None = None
    rounding: Callable[[Sequence[Array]], tuple[float, float]] | None = None
    leaf: str = ""
    limit: float = 0.0
    zeros: bool = True
    float32: bool = False
    reduced: str = ""
    plain: Callable[[], Graph] | None = None
    routes: Mapping[str, Callable[[], Graph]] = field(default_factory=dict)
    facts: Mapping[str, Any] = field(default_factory=dict)


def measure(subject: Subject, note: Callable[[dict[str, Any]], None]) -> None:
    """Hands facts about the subject to ``note`` as they come, so that a crash loses only what follows it."""
    note({**({"reduced": subject.reduced} if subject.reduced else {}), **subject.facts})
    started = time.perf_counter()
    graph = subject.convert()
    first = next(iter(graph.inputs.values()))
    note({"converts": True, "convert_seconds": _rounded(time.perf_counter() - started), "nodes": len(graph.nodes),
          "batch": "free" if first.shape[0] is None else int(first.shape[0])})
    feeds = check_feeds(graph, dict(subject.feeds()))
    theirs = [np.asarray(y) for y in subject.outputs()]
    started = time.perf_counter()
    ours = graph(feeds)
    note({"forward_seconds": _rounded(time.perf_counter() - started)})
    ours = ours if isinstance(ours, tuple) else (ours,)
    facts = _forward(ours, theirs, subject.limit or (FORWARD if not subject.float32 else 1e-6))
    note(facts)
    rounded = any(type(n.op).__name__ in ROUNDED for n in graph.nodes)
    facts["gradient_limit"] = 1e-5 if subject.float32 else DIFFERENCES if subject.gradient is None else 1e-7 if rounded else GRADIENT
    rng = np.random.default_rng(0)
    seeds = [rng.standard_normal(y.shape) if y.dtype.kind == "f" else np.zeros(y.shape) for y in theirs]
    behind, inner = (graph, feeds) if not subject.leaf else from_layer(graph, feeds, subject.leaf)
    wrt = behind.float_inputs if not subject.leaf else (graph.find(subject.leaf),)
    facts["gradient"] = _gradient(behind, inner, wrt, seeds, subject)
    if subject.rounding is not None and any(facts[k] > facts[f"{k}_limit"] for k in ("forward", "gradient")):
        for k, own in zip(("forward", "gradient"), subject.rounding(seeds)):
            facts |= {f"{k}_itself": own, f"{k}_limit": max(facts[f"{k}_limit"], ROUNDING * own)}
    note(facts)
    other = bool(subject.leaf) or not subject.zeros
    baseline: Any = {k: inner[k][::-1] for k in wrt} if other else 0
    if all(spec.shape[0] is None for spec in behind.inputs.values()):       # then one sample says as much as two
        baseline = {k: v[:1] for k, v in baseline.items()} if other else 0
        inner = {k: v[:1] for k, v in inner.items()}
    note(_sums(behind, inner, wrt, _target(ours, behind, inner, wrt), baseline))


def _forward(ours: Sequence[Array], theirs: Sequence[Array], tolerance: float) -> dict[str, Any]:
    if [y.shape for y in ours] != [y.shape for y in theirs]:
        raise AssertionError(f"outputs have shapes {[y.shape for y in ours]}, the framework's {[y.shape for y in theirs]}")
    errors, moved = [], [0.0]
    for one, two in zip(ours, theirs):
        if two.dtype.kind != "f":
            errors.append(0.0 if (one == two).all() else np.inf)
            continue
        finite = np.isfinite(two)
        if (finite != np.isfinite(one)).any():
            errors.append(np.inf)
            continue
        one, two = np.where(finite, one, 0), np.where(finite, two, 0)
        errors.append(float(np.abs(one - two).max() / max(np.abs(two).max(), 1e-300)))
        if len(two) > 1:
            moved.append(float(np.linalg.norm(two[0] - two[1]) / max(np.linalg.norm(two[0]), 1e-300)))
    return {"forward": max(errors), "forward_limit": tolerance, "sensitivity": max(moved)}


def _gradient(graph: Graph, feeds: Mapping[str, Array], wrt: Sequence[str], seeds: Sequence[Array], subject: Subject) -> float:
    trace = forward(graph, feeds, wrt=wrt)
    seeded: dict[str, Array] = {}
    for name, seed in zip(graph.outputs, seeds, strict=True):
        if trace.carries(name):
            seeded[name] = seeded[name] + seed if name in seeded else seed
    plan = xc.RULE_SETS["gradient"]().plan(trace.graph, wrt)
    found = backward(trace, plan, seeded).values
    if subject.gradient is None:
        error = _along_directions(graph, feeds, wrt, seeds, found)
        if error <= DIFFERENCES or subject.emitted is None:
            return error
        expected = subject.emitted(graph, feeds, seeds)
    else:
        expected = subject.gradient(seeds)
    errors = []
    for name, theirs in expected.items():
        one = found.get(name, np.zeros_like(theirs))
        errors.append(float(np.abs(one - theirs).max() / max(np.abs(theirs).max(), 1e-300)))
    return max(errors)


def _along_directions(graph: Graph, feeds: Mapping[str, Array], wrt: Sequence[str], seeds: Sequence[Array], found: Mapping[str, Array]) -> float:
    """<gradient, d> against (f(x + h d) - f(x - h d)) / 2h for three directions d: the largest error, each at the best h of seven.

    f is the random projection of all outputs. A large h bends, a small one rounds, and one between may step over a kink; a gradient
    that is wrong is wrong at all of them.
    """
    rng, errors = np.random.default_rng(1), []
    if all(spec.shape[0] is None for spec in graph.inputs.values()):       # one sample says as much as two
        feeds, found = ({k: v[:1] for k, v in values.items()} for values in (feeds, found))
        seeds = [seed[:1] for seed in seeds]

    def project(values: Mapping[str, Array]) -> float:
        ys = graph(dict(values))
        ys = ys if isinstance(ys, tuple) else (ys,)
        return float(sum(np.vdot(seed, np.where(np.isfinite(y), y, 0)) for seed, y in zip(seeds, ys, strict=True)))

    for _ in range(3):
        way = {k: rng.standard_normal(feeds[k].shape) for k in wrt}
        for k in wrt:                                       # half of it along the gradient: a random direction alone is nearly at a right angle
            size = float(np.linalg.norm(found[k])) if k in found else 0.0
            along = found[k] * np.linalg.norm(way[k]) / size if size else 0
            way[k] = (way[k] + along) * max(float(np.abs(feeds[k]).max()), 1e-3)
        mine = float(sum(np.vdot(found[k], way[k]) for k in wrt if k in found))
        best = np.inf
        for h in (1e-7, 1e-8, 1e-9, 1e-10, 1e-6, 1e-5, 1e-4):
            ends = [project({k: x + sign * h * way[k] if k in way else x for k, x in feeds.items()}) for sign in (1, -1)]
            theirs = (ends[0] - ends[1]) / (2 * h)
            best = min(best, abs(mine - theirs) / max(abs(theirs), 1e-300))
            if best < DIFFERENCES / 10:
                break
        errors.append(best)
    return max(errors)


def _target(outputs: Sequence[Array], graph: Graph, feeds: Mapping[str, Array], wrt: Sequence[str]) -> Any:
    """The entry of the first floating output that is largest in size, for each sample, as weights."""
    trace = forward(graph, feeds, wrt=wrt)
    name = next(o for o, y in zip(graph.outputs, outputs) if y.dtype.kind == "f" and trace.carries(o))
    from xaicore.graph.passes import without_head

    value = trace[without_head(graph, name)[0]]
    weights = np.zeros_like(value)
    flat = np.abs(value.reshape(len(value), -1))
    weights.reshape(len(value), -1)[np.arange(len(value)), flat.argmax(1)] = 1
    return (name, weights)


METHODS: Mapping[str, tuple[str, Mapping[str, Any]]] = {
    "lrp": ("lrp.gamma", {"gamma": 100, "eps": 0, "bias": "ignore", "attention": "cp"}),
    "deeplift": ("deeplift.rescale", {}),
}
"""Column -> method and settings. γ = 100 keeps relevance bounded: with LRP-0 and no bias the denominators z - b come near 0, relevance
grows some 1e22-fold on its way through ResNet-18, and what float64 rounds off is then more than the whole; z+ absorbs at neurons whose
contributions are all negative, which behind SiLU and GELU have a value all the same. "cp" takes attention weights and normalisation
scales as constants (ali2022), which conserves; "attnlrp" has a first-order Taylor expansion at the softmax, which does not
(achtibat2024)."""


def _sums(graph: Graph, feeds: Mapping[str, Array], wrt: Sequence[str], target: Any, baseline: Any) -> dict[str, Any]:
    """The baseline is 0, and the other sample's embedding for tokens: a norm of nothing but zeros has a slope of 1e3."""
    found: dict[str, Any] = {}
    for column, (method, settings) in METHODS.items():
        more = {"baseline": baseline} if column == "deeplift" else {}
        try:
            a = xc.explain(graph, dict(feeds), method, target, wrt=list(wrt), keep="inputs", **settings, **more)
        except xc.XaicoreError as error:
            found[f"{column}_error"] = f"{type(error).__name__}: {error}"[:400]
            continue
        assert a.ledger is not None
        start = np.asarray(a.ledger.seed, dtype=float)                  # f(x), or f(x) - f(baseline)
        gap = np.abs(start - a.total())
        found[column] = float((gap / np.maximum(np.abs(start), 1e-300)).max())
        if found[column] > SUMS:
            found[f"{column}_lost"] = _lost(a.ledger)
            if column == "lrp":
                found["lrp_reason"] = _reason(xc.explain(graph, dict(feeds), method, target, wrt=list(wrt), **settings), method)
    return found


def _reason(a: xc.Attribution, method: str) -> str:
    """Why the rules' own definition keeps what was kept, "" if it does not: then relevance was lost."""
    try:
        unexplained(a, method)
    except Inapplicable as reason:
        return str(reason)
    return ""


def _lost(ledger: Ledger) -> dict[str, float]:
    """Which operators kept more than rounding, and how much of the whole: operator -> share, the largest first."""
    size = np.maximum(np.abs(np.asarray(ledger.seed, dtype=float)), 1e-300)
    kept: Counter[str] = Counter()
    for entry in ledger:
        share = float((np.abs(np.asarray(entry.absorbed, dtype=float)) / size).max())
        if share > SUMS / 100:
            kept[type(entry.node.op).__name__] += share                 # type: ignore[assignment]
    return {k: float(f"{v:.3g}") for k, v in kept.most_common(4)}


def _rounded(seconds: float) -> float:
    return round(seconds, 2)
