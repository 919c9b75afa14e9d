"""The same model by several routes: does every method say the same, whichever framework handed the model over?

A set's ``subject`` brings, beside the graph by its own backend, other ways to a graph of the same function (``Subject.routes``): a torch
model through the ONNX file that torch writes of it, a Keras application through torch.export and through that file.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

import xaicore as xc
from benchmarks.coverage.measure import ROUNDING, Array, Subject, _target
from xaicore.errors import InputError
from xaicore.graph import Graph
from xaicore.graph.run import check_feeds
from xaicore.methods.explain import from_layer
from xaicore.ops import Op

METHODS: Mapping[str, Mapping[str, Any]] = {
    "gradient": {}, "lrp.epsilon": {}, "lrp.epsilon_plus": {}, "deeplift.rescale": {}, "integrated_gradients": {"steps": 4},
}
"""Method -> settings; ε is that of the rule set, 1e-6. A handful of nodes of the quadrature is as good as many for a comparison."""
LARGE = 2**29
"""Bytes of parameters above which the backend's own graph is made anew where it is needed a second time."""
SAME = 1e-6
"""Largest difference of two attributions over their largest entry."""


def measure(subject: Subject, note: Callable[[dict[str, Any]], None]) -> None:
    """Hands ``note`` a row: for each route and method how far its attribution is from that of the backend's own graph.

    ``itself``  where that is more than ``SAME``: the same when the input moves by one unit in the last place; ``ROUNDING`` times that is allowed
    ``because`` for each method that is still further off: what makes it the same, see ``_reasons``
    ``refused`` method -> the error that it raises on the backend's own graph: then it must raise one by each route, too
    """
    note({**({"reduced": subject.reduced} if subject.reduced else {}), **subject.facts})
    again = lru_cache(subject.plain or subject.convert)                 # a graph of a gibibyte is not kept beside the other one
    graph = again()
    feeds = check_feeds(graph, dict(subject.feeds()))
    behind, inner = _behind(graph, feeds, subject.leaf)
    wrt = _explained(graph, behind, subject.leaf)
    outputs = graph(feeds)
    name, weights = _target(outputs if isinstance(outputs, tuple) else (outputs,), behind, inner, wrt)
    target = (graph.outputs.index(name), weights)
    rng = np.random.default_rng(0)
    moved = {k: x * (1 + 2.0**-52 * rng.choice((-1, 1), x.shape)) if k in wrt else x for k, x in inner.items()}
    refused: dict[str, str] = {}
    own = _attributions(behind, inner, wrt, target, subject, refused=refused)
    note({"converts": True, "nodes": len(graph.nodes), **({"refused": refused} if refused else {})})
    if sum(x.nbytes for x in graph.params.values()) > LARGE:
        again.cache_clear()
    del graph, behind
    known: dict[str, float] = {}

    def itself(method: str) -> float:
        if method not in known:
            one = _attributions(_behind(again(), feeds, subject.leaf)[0], moved, wrt, target, subject, [method])
            known[method] = _distance(one[method], own[method])
            note({"itself": known})
        return known[method]

    found: dict[str, Any] = {}
    for name, build in subject.routes.items():
        try:
            found[name] = _one_route(build(), again, feeds, own, itself, target, subject, refused)
        except Exception as error:                              # whatever it is, it is this route's result
            found[name] = {"error": _words(error)[:600]}
        note({"routes": found})


def _one_route(
    other: Graph, again: Callable[[], Graph], feeds: Mapping[str, Array], own: Mapping[str, Any], itself: Callable[[str], float], target: Any,
    subject: Subject, refused: Mapping[str, str],
) -> dict[str, Any]:
    fed = {k: feeds[k] for k in other.inputs} if set(feeds) == set(other.inputs) else dict(zip(other.inputs, feeds.values(), strict=True))
    found: dict[str, Any] = {"nodes": len(other.nodes), "batch": "free" if next(iter(other.inputs.values())).shape[0] is None else "fixed"}
    also: dict[str, str] = {}
    theirs = _by_route(other, fed, target, subject, METHODS, refused=also)
    if set(also) != set(refused):
        raise AssertionError(f"refused here: {also}; on the backend's own graph: {dict(refused)}")
    distances = {k: _distance(a, own[k]) for k, a in theirs.items()}
    far = [k for k, d in distances.items() if not d <= SAME]
    why = _reasons(far, again(), other, feeds, fed, theirs, itself, target, subject) if far else {}
    return {**found, **distances, "because": {k: reason for k, reason in why.items() if reason or not distances[k] <= ROUNDING * itself(k)}}


def _reasons(
    far: Sequence[str], graph: Graph, other: Graph, feeds: Mapping[str, Array], fed: Mapping[str, Array], theirs: Mapping[str, Any],
    itself: Callable[[str], float], target: Any, subject: Subject,
) -> dict[str, str]:
    """For each method that differs, what of these makes it the same; "" if nothing does.

    "ties"     the baseline is noise of a thousandth: on zeros all windows of a picture see the same, and rounding chooses among their maxima
    "float32"  the numbers that stand in the model's code (a scale, the slope of a hard sigmoid, the ε of a norm, the deviations of a
               Rescaling), which the file holds in float32, are rounded so in the graph too
    "eps"      the stabiliser is 1e-12: one graph has several operators where the other has one, and each stabilises its sum
    """
    found = dict.fromkeys(far, "")
    singles = [_single(graph, other, *which) for which in ((True, False), (False, True), (True, True))]
    plain, small, noise = "", "eps", "noise"
    settings: dict[str, dict[str, float]] = {plain: {}, small: {"eps": 1e-12}, noise: {"noise": 1e-3}}
    known: dict[str, dict[str, Any]] = {plain: dict(theirs), small: {}, noise: {}}
    for reason, mine, how in (
        ("ties", graph, noise), *(("float32", g, plain) for g in singles), ("eps", graph, small), *(("float32 and eps", g, small) for g in singles),
    ):
        left = [k for k in far if not found[k] and (how != small or k.startswith("lrp.")) and (how != noise or k.startswith("deeplift."))]
        if left:
            missing = [k for k in left if k not in known[how]]
            known[how] |= _by_route(other, fed, target, subject, missing, settings[how]) if missing else {}
            ours = _by_route(mine, feeds, target, subject, left, settings[how])
            for k in left:
                distance = _distance(known[how][k], ours[k])
                found[k] = reason if distance <= SAME or distance <= ROUNDING * itself(k) else ""
    return found


def _single(graph: Graph, other: Graph, settings: bool, numbers: bool) -> Graph:
    """The graph with settings of its operators, or parameters that are a single number or that the other has so, as float32 has them.

    A larger array that the other has with the error of a few float32 operations (a positional encoding that the exporter computed from
    such numbers) is taken from there.
    """
    theirs = [x for x in other.params.values() if x.dtype.kind == "f"]
    held, arrays = {_bytes(x) for x in theirs if x.size <= 16}, [x for x in theirs if x.size > 16]
    floats = {k: x for k, x in graph.params.items() if numbers and x.dtype.kind == "f"}
    single = {k: y for k, x in floats.items() if x.size <= 16 for y in (x.astype(np.float32).astype(np.float64),) if x.size == 1 or _bytes(y) in held}
    single |= {k: y for k, x in floats.items() for y in arrays if y.shape == x.shape and 0 < _distance([x], [y]) < 2.0**-20}
    nodes = tuple(replace(n, op=_rounded(n.op)) for n in graph.nodes) if settings else graph.nodes
    return replace(graph, params={**graph.params, **single}, nodes=nodes)


def _bytes(x: Array) -> bytes:
    return np.ascontiguousarray(x, np.float64).tobytes()


def _rounded(op: Op) -> Op:
    numbers = {f.name: getattr(op, f.name) for f in fields(op)}
    return replace(op, **{k: float(np.float32(v)) for k, v in numbers.items() if isinstance(v, float)})


def _words(error: BaseException) -> str:
    """The error that was first: torch's exporter wraps it in pages of advice."""
    while error.__cause__ is not None:
        error = error.__cause__
    return f"{type(error).__name__}: {error}"


# ----- attributions -----------------------------------------------------------------------------------------------


def _behind(graph: Graph, feeds: Mapping[str, Array], leaf: str) -> tuple[Graph, dict[str, Array]]:
    return from_layer(graph, dict(feeds), leaf) if leaf else (graph, dict(feeds))


def _explained(graph: Graph, behind: Graph, leaf: str) -> tuple[str, ...]:
    return (graph.find(leaf),) if leaf else behind.float_inputs


def _by_route(
    graph: Graph, feeds: Mapping[str, Array], target: Any, subject: Subject, which: Any, settings: Mapping[str, Any] | None = None,
    refused: dict[str, str] | None = None,
) -> dict[str, list[Array]]:
    """The attributions on a graph whose values have other names: the same output by its number."""
    behind, inner = _behind(graph, feeds, subject.leaf)
    return _attributions(behind, inner, _explained(graph, behind, subject.leaf), target, subject, which, settings, refused)


def _attributions(
    graph: Graph, feeds: Mapping[str, Array], wrt: Sequence[str], target: Any, subject: Subject, which: Any = METHODS,
    settings: Mapping[str, Any] | None = None, refused: dict[str, str] | None = None,
) -> dict[str, list[Array]]:
    """Method -> one attribution for each explained input, of one sample where the batch is free. "noise" among the settings: as baseline.

    A method that raises an error of ours stands in ``refused`` with its words, if that is given.
    """
    settings = dict(settings or {})
    noise, rng = settings.pop("noise", 0), np.random.default_rng(2)
    other = bool(subject.leaf) or not subject.zeros or bool(noise)
    base: Any = {k: noise * rng.standard_normal(feeds[k].shape) if noise else feeds[k][::-1] for k in wrt} if other else 0
    (output, weights), free = target, all(spec.shape[0] is None for spec in graph.inputs.values())
    if free:
        base = {k: v[:1] for k, v in base.items()} if other else 0
        feeds, weights = {k: v[:1] for k, v in feeds.items()}, weights[:1]
    found = {}
    for method in (m for m in METHODS if m in which):
        more = {"baseline": base} if "baseline" in xc.METHODS[method].settings else {}
        try:
            a = xc.explain(graph, dict(feeds), method, (graph.outputs[output], weights), wrt=list(wrt), keep="inputs", **{**METHODS[method], **more, **settings})
        except InputError as error:
            if refused is None:
                raise
            refused[method] = _words(error)
            continue
        found[method] = [np.asarray(a[k])[:1] for k in wrt]
    return found


def _distance(one: Sequence[Array], two: Sequence[Array]) -> float:
    """The largest difference over the largest entry, of all inputs."""
    largest = max(float(np.abs(b).max(initial=0)) for b in two)
    return max(float(np.abs(a - b).max(initial=0)) for a, b in zip(one, two, strict=True)) / max(largest, 1e-300)
