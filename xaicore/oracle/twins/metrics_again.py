"""Twins of the metrics that ask the method again, train again or compress pictures: one draw, one layer, one pixel at a time."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.metrics.subject import Subject
from xaicore.numerics import Array
from xaicore.oracle.twins.metrics import F_TWINS, mid_ranks, vary, x_of
from xaicore.oracle.twins.metrics_maps import MAP_TWINS, NAN, Twin, correlation, first_place, rows, trapezoid


def maps(s: Subject, x: Array | None = None, graph: Graph | None = None, target: Any = None) -> list[list[float]]:
    """The map of the whole batch asked anew, a list of all entries for each sample."""
    (name,) = s.task.feeds
    assert s.ask is not None
    found = s.ask(graph or s.graph, {name: s.task.feeds[name] if x is None else x}, s.target if target is None else target)
    values = found.values[name] if hasattr(found, "feeds") else found[name] if isinstance(found, Mapping) else found
    return [[float(v) for v in one.reshape(-1)] for one in np.asarray(values)]


def summed(s: Subject, flat: list[list[float]]) -> list[list[float]]:
    """Channels added up."""
    (x,) = s.task.feeds.values()
    channels = 1 if x.ndim == 2 else x.shape[1]
    size = len(flat[0]) // channels
    return [[sum(row[c * size + k] for c in range(channels)) for k in range(size)] for row in flat]


def length(a: list[float], p: float = 2) -> float:
    """The p-norm."""
    return float(sum(abs(v) ** p for v in a) ** (1 / p))


def minus(a: Any, b: Any) -> list[float]:
    """Entry by entry."""
    return [float(p) - float(q) for p, q in zip(np.asarray(a).reshape(-1), np.asarray(b).reshape(-1))]


# ----- robustness -------------------------------------------------------------------------------------------------------


def displaced(x: Array, radius: float, noise: str, seed: int, k: int) -> Array:
    """The whole batch moved by one draw."""
    rng, shape = np.random.default_rng([seed, k]), x.shape[1:]
    if noise == "uniform":
        return np.stack([one + rng_draw for one, rng_draw in zip(x, [rng.uniform(-radius, radius, shape)] * len(x))])
    d = rng.standard_normal(shape)
    if noise == "gaussian":
        return np.stack([one + radius * d for one in x])
    reach = radius * rng.random() ** (1 / d.size)
    return np.stack([one + d / length(d.reshape(-1).tolist()) * reach for one in x])


def over_draws(s: Subject, radius: float, samples: int, noise: str, seed: int, each: Callable[[int, list[float], list[float], Array], float]
               ) -> list[list[float]]:
    """each(sample, e, e', x') for every sample and draw."""
    (x,) = s.task.feeds.values()
    start = maps(s)
    out: list[list[float]] = [[] for _ in range(s.size)]
    for k in range(samples):
        there = displaced(x, radius, noise, seed, k)
        moved = maps(s, there)
        for n in range(s.size):
            out[n].append(each(n, start[n], moved[n], there[n]))
    return out


def local_lipschitz(s: Subject, radius: float = 0.1, samples: int = 20, seed: int = 0) -> list[float]:
    """The largest quotient."""
    found = over_draws(s, radius, samples, "ball", seed, lambda n, a, b, x: length(minus(a, b)) / length(minus(x, x_of(s, n))))
    return [max(v) for v in found]


def max_sensitivity(s: Subject, radius: float = 0.02, samples: int = 10, seed: int = 0) -> list[float]:
    """The largest change over the size."""
    return [max(v) for v in over_draws(s, radius, samples, "uniform", seed, lambda n, a, b, x: length(minus(a, b)) / length(a))]


def avg_sensitivity(s: Subject, radius: float = 0.02, samples: int = 10, seed: int = 0) -> list[float]:
    """The mean change over the size."""
    found = over_draws(s, radius, samples, "uniform", seed, lambda n, a, b, x: length(minus(a, b)) / length(a))
    return [sum(v) / len(v) for v in found]


def continuity(s: Subject, shifts: int = 4) -> list[float]:
    """The picture moved to the right pixel by pixel."""
    (x,), start = s.task.feeds.values(), maps(s)
    out = [-math.inf] * s.size
    for k in range(1, shifts + 1):
        there = np.zeros_like(x)
        for column in range(k, x.shape[-1]):
            there[..., column] = x[..., column - k]
        moved = maps(s, there)
        for n in range(s.size):
            out[n] = max(out[n], sum(abs(v) for v in minus(start[n], moved[n])) / length(minus(x[n], there[n])))
    return out


def parts(a: list[float], b: list[float], eps: float = 1e-6) -> list[float]:
    """(a - b) / a, entry by entry."""
    return [(p - q) / (p or eps) for p, q in zip(a, b)]


def stability(s: Subject, change: Callable[[Array, Array], float], radius: float, samples: int, seed: int) -> list[float]:
    """The largest relative change of the map over that of something else, while the class stays."""
    def each(n: int, a: list[float], b: list[float], there: Array) -> float:
        old, new = (s.task.graph(v[None])[0] for v in (x_of(s, n), there))
        if old.argmax() != new.argmax():
            return NAN
        return length(parts(a, b)) / max(change(x_of(s, n), there), 1e-6)

    found = over_draws(s, radius, samples, "gaussian", seed, each)
    return [max(kept) if (kept := [v for v in row if not math.isnan(v)]) else NAN for row in found]


def stability_input(s: Subject, radius: float = 0.05, samples: int = 20, seed: int = 0) -> list[float]:
    """... of the input."""
    return stability(s, lambda x, y: length(parts(x.reshape(-1).tolist(), y.reshape(-1).tolist())), radius, samples, seed)


def stability_output(s: Subject, radius: float = 0.05, samples: int = 20, seed: int = 0) -> list[float]:
    """... of the logits, absolute."""
    return stability(s, lambda x, y: length(minus(s.task.graph(x[None]), s.task.graph(y[None]))), radius, samples, seed)


def stability_representation(s: Subject, layer: str, radius: float = 0.05, samples: int = 20, seed: int = 0) -> list[float]:
    """... of a layer."""
    cut = replace(s.task.graph, outputs=(s.task.graph.find(layer),))
    return stability(s, lambda x, y: length(parts(cut(x[None]).reshape(-1).tolist(), cut(y[None]).reshape(-1).tolist())), radius, samples,
                     seed)


# ----- randomisation ----------------------------------------------------------------------------------------------------


def redrawn(graph: Graph, names: list[str], seed: int) -> Graph:
    """Weights normal with their own root mean square, vectors in a random order."""
    params = dict(graph.params)
    for name in names:
        w, rng = params[name], np.random.default_rng([seed, *name.encode()])
        if w.ndim == 1:
            params[name] = w[rng.permutation(len(w))]
        else:
            rms = math.sqrt(sum(float(v) ** 2 for v in w.reshape(-1)) / w.size)
            params[name] = rng.standard_normal(w.shape) * rms
    return replace(graph, params=params)


def layers(graph: Graph) -> list[list[str]]:
    """The parameters of each node that has some."""
    found = [[i for i in node.inputs if i in graph.params and graph.params[i].size > 1] for node in graph.nodes]
    return [names for names in found if names]


def rank_correlation(a: list[float], b: list[float]) -> float:
    """Of absolute values."""
    p, q = mid_ranks([abs(v) for v in a]), mid_ranks([abs(v) for v in b])
    return correlation(p, q) if vary(p) and vary(q) else NAN


def mprt(s: Subject, seed: int = 0) -> list[float]:
    """From the top down, one layer more each time."""
    start, names, found = summed(s, maps(s)), list[str](), []
    for own in reversed(layers(s.graph)):
        names += own
        moved = summed(s, maps(s, graph=redrawn(s.graph, names, seed)))
        found.append([rank_correlation(a, b) for a, b in zip(start, moved)])
    return [sum(v for v in column if not math.isnan(v)) / len(column) for column in zip(*found)]


def mprt_smooth(s: Subject, samples: int = 10, sigma: float = 0.1, seed: int = 0) -> list[float]:
    """From the bottom up, absolute maps averaged over noisy inputs."""
    (x,) = s.task.feeds.values()

    def averaged(graph: Graph) -> list[list[float]]:
        total = [[0.0] * (x[0].size) for _ in x]
        for k in range(samples):
            d = np.random.default_rng([seed, k]).standard_normal(x.shape[1:])
            there = np.stack([one + sigma * (one.max() - one.min()) * d for one in x])
            total = [[t + abs(v) / samples for t, v in zip(row, new)] for row, new in zip(total, maps(s, there, graph))]
        return total

    start, names, found = summed(s, averaged(s.graph)), list[str](), []
    for own in layers(s.graph):
        names += own
        found.append([rank_correlation(a, b) for a, b in zip(start, summed(s, averaged(redrawn(s.graph, names, seed))))])
    return [sum(column) / len(column) for column in zip(*found)]


def mprt_efficient(s: Subject, bins: int = 100, seed: int = 0) -> list[float]:
    """Entropies of histograms, counted by hand."""
    def disorder(a: list[float]) -> float:
        low, high, count = min(a), max(a), [0] * bins
        for v in a:
            edges = np.linspace(low, high, bins + 1)
            count[min(int(np.searchsorted(edges, v, side="right")) - 1, bins - 1)] += 1
        return sum(c / len(a) * math.log(len(a) / c) for c in count if c)

    after = summed(s, maps(s, graph=redrawn(s.graph, [n for own in layers(s.graph) for n in own], seed)))
    return [(disorder(b) - disorder(a)) / disorder(a) for a, b in zip(rows(s), after)]


def random_logit(s: Subject, seed: int = 0) -> list[float]:
    """Structural similarity window by window, of the map and that of another class."""
    (x,), k = s.task.feeds.values(), s.task.weights.shape[1]
    step = int(np.random.default_rng(seed).integers(1, k))
    other = [(int(w.argmax()) + step) % k for w in s.task.weights]
    space = x.shape[2:] or x.shape[1:]
    out = []
    for a, b in zip(rows(s), summed(s, maps(s, target=other))):
        wide = max(*a, *b) - min(*a, *b)
        p, q = (np.array(v).reshape(space) / wide for v in (a, b))
        sizes = [min(7, n) for n in space]
        found = []
        for at in np.ndindex(*(n - w + 1 for n, w in zip(space, sizes))):
            u, v = (m[tuple(slice(i, i + w) for i, w in zip(at, sizes))].reshape(-1) for m in (p, q))
            mu, mv, n = sum(u) / len(u), sum(v) / len(v), len(u) - 1
            su, sv = sum((t - mu) ** 2 for t in u) / n, sum((t - mv) ** 2 for t in v) / n
            suv = sum((t - mu) * (r - mv) for t, r in zip(u, v)) / n
            found.append((2 * mu * mv + 1e-4) * (2 * suv + 9e-4) / ((mu**2 + mv**2 + 1e-4) * (su + sv + 9e-4)))
        out.append(float(sum(found) / len(found)))
    return out


def csc(s: Subject, samples: int = 10, seed: int = 0) -> list[float]:
    """Pairs of directions, their maps, the cosine."""
    found = []
    for k in range(samples):
        rng = np.random.default_rng([seed, k])
        pair = []
        for _ in range(2):
            v = rng.standard_normal(s.task.weights.shape[1:])
            pair.append(summed(s, maps(s, target=np.stack([v] * s.size))))
        found.append([abs(sum(p * q for p, q in zip(a, b))) / length(a) / length(b) for a, b in zip(*pair)])
    return [sum(column) / samples for column in zip(*found)]


def input_invariance(s: Subject, shift: float = -1.0) -> list[float]:
    """The first layers' biases take the shift back: b - W m, by evaluating the layer at m."""
    (x,), (first,) = s.task.feeds.values(), [n for n in s.graph.nodes if n.inputs[0] in s.graph.inputs]
    w, *bias = [s.graph.params[i] for i in first.inputs[1:]]
    if x.ndim != 2 or not bias:
        raise ValueError("the twin takes a first dense layer with a bias")
    moved = replace(s.graph, params={**s.graph.params, first.inputs[2]: bias[0] - w @ np.full(x.shape[1], shift)})
    return [max(abs(p - q) for p, q in zip(a, b)) / max(abs(p) for p in a) for a, b in zip(maps(s), maps(s, x + shift, moved))]


# ----- information curves and retraining --------------------------------------------------------------------------------


def pic(s: Subject, accuracy: bool, thresholds: tuple[float, ...], keep: float, seed: int) -> list[float]:
    """One picture after the other; each unknown pixel by the plane through the triangle of known pixels around it."""
    from PIL import Image
    from scipy.spatial import Delaunay

    out = []
    for n, a in enumerate(rows(s)):
        x = x_of(s, n)[0]
        height, width = x.shape
        order, label = first_place(a), int(s.task.weights[n].argmax())
        flat = np.random.default_rng(seed).permutation(x.size)[:max(1, round(keep * x.size))]
        known = {(int(i) // width, int(i) % width) for i in flat} | {(r, c) for r in (0, height - 1) for c in (0, width - 1)}
        points = sorted(known)
        mesh = Delaunay(np.array(points, dtype=float))
        start = x.copy()
        for r, c in np.ndindex(x.shape):
            if (r, c) not in known:
                corners = mesh.simplices[int(mesh.find_simplex(np.array([[r, c]], dtype=float))[0])]
                plane = np.linalg.solve(np.array([[1.0, *points[k]] for k in corners]), [x[points[k]] for k in corners])
                start[r, c] = plane @ [1, r, c]

        def measured(shown: Array, x: Array = x, label: int = label) -> tuple[float, float, float]:
            low, high = float(x.min()), float(x.max())
            z = s.task.graph(shown[None, None])[0]
            p = math.exp(z[label]) / sum(math.exp(v) for v in z)
            file = io.BytesIO()
            grey = [round(round(255 * float(min(max((v - low) / (high - low), 0), 1)), 9)) for v in shown.reshape(-1)]
            Image.frombytes("L", shown.shape[::-1], bytes(grey)).save(file, "PNG", optimize=True)
            return float(len(file.getvalue())), float(z.argmax() == label), p

        pictures = [start]
        for t in thresholds:
            shown = start.copy()
            for k in order[:round(t * len(a))]:
                shown[k // width, k % width] = x[k // width, k % width]
            pictures.append(shown)
        found = [measured(v) for v in [*pictures, x]]
        bits, p = [v[0] for v in found], [v[1 if accuracy else 2] for v in found]
        if found[-1][2] < 0.8 or p[0] >= p[-1] or bits[0] >= bits[-1]:
            out.append(NAN)
            continue
        curve = sorted(((min(max((b - bits[0]) / (bits[-1] - bits[0]), 0), 1), min(max((v - p[0]) / (p[-1] - p[0]), 0), 1))
                        for b, v in zip(bits, p)), key=lambda point: point[0])
        rising, top = [(0.0, 0.0)], 0.0
        for at, v in [*curve, (1.0, 1.0)]:
            top = max(top, v)
            rising.append((at, top))
        out.append(trapezoid(rising))
    return out


def sic(s: Subject, thresholds: tuple[float, ...], keep: float = 0.01, seed: int = 0) -> list[float]:
    """Of probabilities."""
    return pic(s, False, thresholds, keep, seed)


def aic(s: Subject, thresholds: tuple[float, ...], keep: float = 0.01, seed: int = 0) -> list[float]:
    """Of hits."""
    return pic(s, True, thresholds, keep, seed)


def retrained(s: Subject, data: Any, shares: tuple[float, ...], trainer: Any, keep: bool) -> list[float]:
    """Image by image, pixel by pixel; the models by the given trainer, from the given architecture."""
    from xaicore.metrics.train import fresh

    (name,), curve = s.task.feeds, []
    ask = s.ask
    assert ask is not None

    def changed(x: Array, y: Array, share: float) -> Array:
        out = x.copy()
        (a,) = ask(s.graph, {name: x}, y).values.values()
        for n in range(len(x)):
            order = first_place([float(v) for v in a[n]])
            count = round(share * len(order))
            for k in order[count:] if keep else order[:count]:
                out[n, k] = sum(data.x[:, k]) / len(data.x)
        return out

    for share in shares:
        model = trainer(fresh(s.graph, 0), changed(data.x, data.y, share), data.y, 0)
        test = changed(data.x_test, data.y_test, share)
        hits = [model(one[None])[0].argmax() == label for one, label in zip(test, data.y_test)]
        curve.append((share, sum(hits) / len(hits)))
    return [float(trapezoid(curve) / (shares[-1] - shares[0]))] * s.size


def roar(s: Subject, data: Any, shares: tuple[float, ...], trainer: Any) -> list[float]:
    """The top is replaced."""
    return retrained(s, data, shares, trainer, keep=False)


def kar(s: Subject, data: Any, shares: tuple[float, ...], trainer: Any) -> list[float]:
    """All but the top is replaced."""
    return retrained(s, data, shares, trainer, keep=True)


METRIC_TWINS: Mapping[str, Twin] = MappingProxyType({
    **MAP_TWINS, **F_TWINS, "local_lipschitz": local_lipschitz, "sensitivity.max": max_sensitivity,
    "sensitivity.avg": avg_sensitivity, "continuity": continuity, "stability.input": stability_input,
    "stability.output": stability_output, "stability.representation": stability_representation, "mprt": mprt,
    "mprt.smooth": mprt_smooth, "mprt.efficient": mprt_efficient, "random_logit": random_logit, "csc": csc,
    "input_invariance": input_invariance, "pic.sic": sic, "pic.aic": aic, "roar": roar, "kar": kar})
"""metric -> its twin: (subject, the metric's settings) -> one number for each sample. ``tests/metrics/test_twins.py`` compares."""
