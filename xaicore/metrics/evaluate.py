"""``evaluate``: many methods by many metrics in one call."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName, Unsupported, nearest
from xaicore.graph.graph import Graph
from xaicore.methods.explain import progress_of
from xaicore.methods.sweep import quiet
from xaicore.methods.table import METHODS
from xaicore.methods.task import Progress
from xaicore.metrics.controls import CONTROLS
from xaicore.metrics.statistics import ranks
from xaicore.metrics.subject import Score, Subject, subject
from xaicore.metrics.table import METRICS, Metric
from xaicore.numerics import Array


@dataclass(frozen=True)
class Missing:
    """Why there is no number: the metric does not apply to this method, model or data, or the method not to the model."""

    reason: str


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The scores of methods by metrics.

    scores    method's label -> metric's label -> Score, or Missing with the reason
    metrics   metric's label -> its row;  settings: metric's label -> what it was run with;  seconds: the same two keys -> time
    maps      method's label -> input -> the map that was judged
    """

    graph: str
    explained: str
    methods: tuple[str, ...]
    metrics: Mapping[str, Metric]
    scores: Mapping[str, Mapping[str, Score | Missing]]
    settings: Mapping[str, Mapping[str, Any]]
    seconds: Mapping[str, Mapping[str, float]]
    maps: Mapping[str, Mapping[str, Array]] = field(repr=False, default_factory=dict)

    def __getitem__(self, key: tuple[str, str]) -> Score | Missing:
        """The score of (method, metric)."""
        method, metric = key
        if method not in self.scores:
            raise UnknownName(f"no method {method!r} was evaluated: {nearest(method, self.scores)}")
        if metric not in self.metrics:
            raise UnknownName(f"no metric {metric!r} was measured: {nearest(metric, self.metrics)}")
        return self.scores[method][metric]

    def mean(self, method: str, metric: str) -> float | None:
        """The mean over the samples for which the metric is defined; None where it does not apply or is defined for none."""
        score = self[method, metric]
        return None if isinstance(score, Missing) or np.isnan(score.mean) else score.mean

    def reasons(self) -> dict[tuple[str, str], str]:
        """(method, metric) -> why there is no number."""
        return {(m, k): v.reason for m, row in self.scores.items() for k, v in row.items() if isinstance(v, Missing)}

    def ranking(self, metric: str) -> dict[str, float]:
        """Method -> its rank by this metric, 1 the best, equal ones sharing the mean of their ranks; methods without a number are left out.

        InputError for a metric that does not say which way is better.
        """
        row = self.metrics[metric] if metric in self.metrics else self[self.methods[0], metric]
        assert isinstance(row, Metric)
        if row.better == "neither":
            raise InputError(f"{metric} describes maps and does not judge them, so there is no ranking by it")
        known = {m: v for m in self.methods if (v := self.mean(m, metric)) is not None}
        if not known:
            return {}
        values = np.array(list(known.values()))
        return dict(zip(known, (float(r) for r in ranks(values if row.better == "smaller" else -values))))

    def agreement(self) -> dict[tuple[str, str], float]:
        """(metric, metric) -> Kendall's tau of their rankings of the methods that both know (b: ties count for neither); at least
        3 of them."""
        order = {k: self.ranking(k) for k, row in self.metrics.items() if row.better != "neither"}
        out = {}
        for a, b in ((a, b) for i, a in enumerate(order) for b in list(order)[i + 1:]):
            shared = [m for m in order[a] if m in order[b]]
            if len(shared) >= 3:
                out[a, b] = kendall([order[a][m] for m in shared], [order[b][m] for m in shared])
        return {k: v for k, v in out.items() if not np.isnan(v)}

    def rows(self) -> Iterator[tuple[str, list[float | None]]]:
        """(method, its mean by every metric)."""
        for m in self.methods:
            yield m, [self.mean(m, k) for k in self.metrics]

    def to_json(self) -> str:
        """{"graph", "explained", "metrics": {id, better, needs, source, settings}, "scores": [{"method", "metric", "mean",
        "values", "undefined",
        "seconds"} or {"method", "metric", "reason"}]}; a number that is not defined is null."""
        return json.dumps(self.document(), indent=1, allow_nan=False)

    def document(self) -> dict[str, Any]:
        """What ``to_json`` writes, as plain data."""
        entries: list[dict[str, Any]] = []
        for m in self.methods:
            for k, score in self.scores[m].items():
                if isinstance(score, Missing):
                    entries.append({"method": m, "metric": k, "reason": score.reason})
                    continue
                values = [None if np.isnan(v) else float(v) for v in score.values]
                entries.append({"method": m, "metric": k, "mean": self.mean(m, k), "values": values, "undefined": values.count(None),
                                "seconds": round(self.seconds[m][k], 4)})
        rows = {k: {"id": r.id, "better": r.better, "needs": list(r.needs), "source": r.source, "settings": _plain(self.settings[k])}
                for k, r in self.metrics.items()}
        return {"graph": self.graph, "explained": self.explained, "methods": list(self.methods), "metrics": rows, "scores": entries}

    def __str__(self) -> str:
        width = max([len(m) for m in self.methods] + [6])
        heads = [f"{k} {'↑' if r.better == 'larger' else '↓' if r.better == 'smaller' else ' '}" for k, r in self.metrics.items()]
        lines = [f"{'method':<{width}}  " + "  ".join(heads)]
        for m, row in self.rows():
            cells = ["-" if v is None else f"{v:.4g}" for v in row]
            lines.append(f"{m:<{width}}  " + "  ".join(c.rjust(len(h)) for c, h in zip(cells, heads)))
        return "\n".join(lines)


def kendall(a: Sequence[float], b: Sequence[float]) -> float:
    """Kendall's tau-b of two rankings; NaN where one of them has only ties."""
    x, y = np.asarray(a, dtype=float), np.asarray(b, dtype=float)
    upper = np.triu_indices(len(x), 1)
    p, q = (np.sign(v[:, None] - v[None])[upper] for v in (x, y))
    below = np.sqrt((p != 0).sum() * (q != 0).sum())
    return float((p * q).sum() / below) if below else float("nan")


def evaluate(
    graph: Graph, x: Any, methods: Any = None, metrics: Any = None, target: Any = None, *, output: str = "logit",
    wrt: Sequence[str] | None = None, batch_size: int | None = None, progress: bool | Progress | None = None, **shared: Any,
) -> Evaluation:
    """Every method judged by every metric.

    graph, x, target, output, wrt, batch_size, progress   as for ``xc.explain``
    methods   ids of xc.METHODS, "control.random", "control.input", "control.sobel", "control.contrast"; an id with settings is a pair
              ("smoothgrad", {"samples": 10}). A mapping label -> one of these, or a function of (graph, inputs, target), or a map
              as numbers
    metrics   ids of METRICS, or pairs with settings, or a mapping label -> one of them. None: all that the model and ``shared`` allow, but
              for retraining
    shared    settings for every metric that knows them: truth=, human=, fixations=, baseline=, seed=, steps=, samples=, segments= ...

    A metric that does not apply to a method leaves a reason in its place (``Missing``), and so does a method that does not apply
    to the model. Raises UnknownName for names, settings and a shared setting that no chosen metric has, InputError for values that cannot
    be used.
    """
    rows = _metrics(metrics, shared)
    asked = _methods(methods)
    report = progress_of(progress)
    scores: dict[str, dict[str, Score | Missing]] = {}
    seconds: dict[str, dict[str, float]] = {}
    maps, explained = {}, ""
    for at, (label, (method, settings)) in enumerate(asked.items()):
        scores[label], seconds[label] = {}, {}
        if report is not None:
            report(at, len(asked))
        try:
            one = subject(graph, x, method, target, output=output, label=label, wrt=wrt, batch_size=batch_size, **settings)
        except (Inapplicable, Unsupported, ExactnessError) as error:
            scores[label] = {k: Missing(f"{label}: {error}") for k in rows}
            continue
        maps[label], explained = one.values, one.task.words
        for k, (row, own) in rows.items():
            started = time.perf_counter()
            scores[label][k] = measured(one, row, own)
            seconds[label][k] = time.perf_counter() - started
    if report is not None:
        report(len(asked), len(asked))
    used, chosen_rows = {k: own for k, (_, own) in rows.items()}, {k: row for k, (row, _) in rows.items()}
    return Evaluation(graph.name, explained, tuple(asked), chosen_rows, scores, used, seconds, maps)


def measured(s: Subject, row: Metric, settings: Mapping[str, Any]) -> Score | Missing:
    """One metric of one subject; what does not apply is a reason, not an error."""
    try:
        found = row.run(replace(s, task=quiet(s.task)), **settings)
    except (Inapplicable, Unsupported, ExactnessError) as error:
        return Missing(str(error))
    assert isinstance(found, Score)
    return found


def _methods(given: Any) -> dict[str, tuple[Any, dict[str, Any]]]:
    """Label -> (method, settings)."""
    if given is None:
        given = ["gradient", *(k for k in CONTROLS if k in ("control.random", "control.input"))]
    single = isinstance(given, str) or callable(given) or (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping))
    items = [given] if single else given
    if isinstance(items, Mapping):
        pairs = [(str(k), v) for k, v in items.items()]
    elif isinstance(items, Sequence):
        pairs = [(_label(v), v) for v in items]
    else:
        raise InputError(f"methods={type(items).__name__} must be an id, a list of ids or pairs (id, settings), or a mapping from labels")
    if not pairs:
        raise InputError("methods is empty, so nothing would be evaluated; give at least one id")
    out: dict[str, tuple[Any, dict[str, Any]]] = {}
    for label, one in pairs:
        method, settings = one if isinstance(one, tuple) and len(one) == 2 and isinstance(one[1], Mapping) else (one, {})
        if isinstance(method, str) and method in CONTROLS:
            control, own = CONTROLS[method], dict(settings)
            method, settings = (lambda graph, feeds, target, control=control, own=own: control(graph, feeds, target, **own)), {}
        elif isinstance(method, str) and method not in METHODS:
            raise UnknownName(f"no method is called {method!r}: {nearest(method, [*METHODS, *CONTROLS])}")
        if label in out:
            raise InputError(f"two methods have the label {label!r}; give a mapping with a label for each")
        out[label] = (method, dict(settings))
    return out


def _label(one: Any) -> str:
    if isinstance(one, str):
        return one
    if isinstance(one, tuple) and len(one) == 2 and isinstance(one[0], str) and isinstance(one[1], Mapping):
        return one[0] + (":" + ",".join(f"{k}={v}" for k, v in one[1].items()) if one[1] else "")
    if callable(one):
        return str(getattr(one, "__name__", "function"))
    raise InputError("maps given as numbers need labels: methods={'mine': array}")


def _metrics(given: Any, shared: Mapping[str, Any]) -> dict[str, tuple[Metric, dict[str, Any]]]:
    """Label -> (row, settings with the shared ones)."""
    if given is None:
        lacking = {"truth", "human", "fixations", "data"} - set(shared)
        given = [k for k, row in METRICS.items() if not set(row.needs) & lacking]
    single = isinstance(given, str) or (isinstance(given, tuple) and len(given) == 2 and isinstance(given[1], Mapping))
    items = [given] if single else given
    pairs = [(str(k), v) for k, v in items.items()] if isinstance(items, Mapping) else [(_label(v), v) for v in items]
    if not pairs:
        raise InputError("metrics is empty, so nothing would be measured; give at least one id")
    out: dict[str, tuple[Metric, dict[str, Any]]] = {}
    for label, one in pairs:
        id, settings = one if isinstance(one, tuple) else (one, {})
        if id not in METRICS:
            raise UnknownName(f"no metric is called {id!r}: {nearest(str(id), METRICS)}  (xaicore metrics lists them)")
        row = METRICS[id]
        for k in settings:
            if k not in row.settings:
                raise UnknownName(f"{id} has no setting {k!r}: {nearest(k, row.settings) if row.settings else 'it has none'}")
        own = {**{k: v for k, v in shared.items() if k in row.settings}, **settings}
        out[label] = (replace(row, better=row.judged(own)), own)
    for k in shared:
        if not any(k in row.settings for row, _ in out.values()):
            every = {name for row, _ in out.values() for name in row.settings}
            raise UnknownName(f"none of the chosen metrics has a setting {k!r}: {nearest(k, every)}")
    return out


def _plain(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings for JSON: arrays of more than 16 entries by their shape."""
    def plain(v: Any) -> Any:
        if isinstance(v, np.ndarray):
            return v.tolist() if v.size <= 16 else f"array of shape {v.shape}"
        if isinstance(v, (list, tuple)):
            return [plain(one) for one in v]
        return v.item() if isinstance(v, np.generic) else v if isinstance(v, (bool, int, float, str, type(None))) else str(type(v).__name__)

    return {k: plain(v) for k, v in settings.items()}


__all__ = ["Evaluation", "Missing", "evaluate", "kendall", "measured"]
