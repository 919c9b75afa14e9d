"""Does the map depend on what the model has learned, and on the class? Randomised parameters, other logits, collapsing directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.graph import Graph
from xaicore.methods.attribution import Attribution
from xaicore.methods.sweep import chosen, whole
from xaicore.metrics.complexity import shannon
from xaicore.metrics.statistics import cosine, pearson, spearman, ssim
from xaicore.metrics.subject import Score, Subject, signed
from xaicore.numerics import Array

SIMILARITIES = ("spearman", "pearson", "cosine", "ssim")
DRAWS = ("normal", "permute")
MODES = ("cascading", "independent")


def similarity(s: Subject, a: Mapping[str, Array], b: Mapping[str, Array], how: str, sign: str) -> Array:
    """How alike two maps of the same inputs are, (N,): rank or linear correlation, cosine, or SSIM over space. NaN where not defined."""
    if how == "ssim":
        return ssim(s.picture(sign, a), s.picture(sign, b))
    return {"spearman": spearman, "pearson": pearson, "cosine": cosine}[how](s.positions(sign, a), s.positions(sign, b))


# ----- models with other parameters -------------------------------------------------------------------------------------


def weighted_layers(graph: Graph) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """(layer, its floating parameters) from the input up; a parameter that several share belongs to the first."""
    out: list[tuple[str, tuple[str, ...]]] = []
    seen: set[str] = set()
    for node in graph.nodes:
        arrays = {i: graph.params[i] for i in node.inputs if i in graph.params and i not in seen}
        own = tuple(i for i, w in arrays.items() if w.dtype.kind in "fO" and w.ndim and w.size > 1)
        if own:
            seen.update(own)
            out.append((node.layer or node.name, own))
    return tuple(out)


def randomized(graph: Graph, names: Sequence[str], draw: str = "normal", seed: int = 0) -> Graph:
    """The graph with these parameters drawn anew; each by a generator of its own name and the seed, so that the order does not matter.

    draw  "normal": arrays of two or more axes from a normal distribution of mean 0 and the array's own root mean square; vectors (biases,
          scales, running variances) have their entries in a random order.  "permute": all arrays have their entries in a random order
    """
    chosen("draw", draw, DRAWS)
    params = dict(graph.params)
    for name in names:
        w = params[name]
        rng = np.random.default_rng([seed, *name.encode()])
        if draw == "permute" or w.ndim < 2:
            params[name] = rng.permutation(w.reshape(-1)).reshape(w.shape)
        elif w.dtype == object:
            raise Inapplicable("normal numbers are not rational: give draw='permute' in exact mode, or use graph.astype('float64')")
        else:
            params[name] = (rng.standard_normal(w.shape) * np.sqrt(np.mean(w.astype(float) ** 2))).astype(w.dtype)
    return replace(graph, params=params)


def stages(graph: Graph, mode: str, order: str, draw: str, seed: int) -> Iterator[tuple[str, Graph]]:
    """(layer, graph) for each layer: all up to it randomised ("cascading"), or it alone ("independent")."""
    chosen("mode", mode, MODES)
    chosen("order", order, ("top_down", "bottom_up"))
    layers = list(weighted_layers(graph))
    if not layers:
        raise Inapplicable("the model has no parameters that could be randomised")
    done: list[str] = []
    for layer, names in layers[::-1] if order == "top_down" else layers:
        done += names
        yield layer, randomized(graph, done if mode == "cascading" else names, draw, seed)


def mprt(s: Subject, mode: str = "cascading", order: str = "top_down", how: str = "spearman", sign: str = "absolute", draw: str = "normal",
         seed: int = 0) -> Score:
    """Model parameter randomisation: the mean over layers of the similarity of the map to that of the model with randomised layers.

    mode   "cascading": all layers from the top to this one;  "independent": this one alone
    order  "top_down" (the paper's), "bottom_up"
    how    "spearman", "pearson", "cosine", "ssim";  sign: of the maps that are compared
    draw   "normal" or "permute", see ``randomized``

    1: the map does not depend on what was learned; small is good. The target stays that of the trained model. extras: "layers",
    "curve" (N, L), its last entry in the cascading mode: the whole model is random. NaN where a map is constant. Source: adebayo2018.
    Differs: Quantus scales each map by its maximum first (no change to ranks), reinitialises as the framework does, and gives the curve.
    """
    chosen("how", how, SIMILARITIES)
    names, curve = [], []
    for layer, graph in stages(s.graph, mode, order, draw, seed):
        names.append(layer)
        curve.append(similarity(s, s.values, s.again(graph=graph), how, sign))
    found = np.stack(curve, axis=1)
    return Score(_mean(found), {"layers": names, "curve": found})


def smooth_mprt(s: Subject, order: str = "bottom_up", samples: int = 10, sigma: float = 0.1, how: str = "spearman", sign: str = "absolute",
                draw: str = "normal", seed: int = 0) -> Score:
    """MPRT of the map averaged over ``samples`` noisy inputs, which takes the noise of gradients out of the comparison.

    sigma  of the normal noise, relative to each sample's range; draw k by default_rng([seed, k])

    Source: hedstrom2024, "smooth MPRT" (bottom-up: reconstruction). Otherwise as mprt.
    """
    chosen("how", how, SIMILARITIES)
    whole("samples", samples, 1)
    noisy = []
    for k in range(samples):
        rng, one = np.random.default_rng([seed, k]), {}
        for name in s.values:
            x = s.task.feeds[name]
            if x.dtype.kind != "f":
                raise Inapplicable(f"noise is for inputs of floats, and {name!r} holds {x.dtype}")
            flat = x.reshape(len(x), -1)
            spread = (flat.max(axis=1) - flat.min(axis=1)).reshape(-1, *(1,) * (x.ndim - 1))
            one[name] = (x + sigma * spread * rng.standard_normal(x.shape[1:])).astype(x.dtype)
        noisy.append(one)

    def averaged(graph: Graph) -> dict[str, Array]:
        maps = [s.again(feeds, graph) for feeds in noisy]
        return {k: sum(signed(m[k], sign) for m in maps) / samples for k in s.values}     # type: ignore[misc]

    start, names, curve = averaged(s.graph), [], []
    for layer, graph in stages(s.graph, "cascading", order, draw, seed):
        names.append(layer)
        curve.append(similarity(s, start, averaged(graph), how, "signed"))
    found = np.stack(curve, axis=1)
    return Score(_mean(found), {"layers": names, "curve": found})


def efficient_mprt(s: Subject, bins: int = 100, draw: str = "normal", seed: int = 0) -> Score:
    """(ξ(e') - ξ(e)) / ξ(e), ξ the entropy of the map's histogram, e' the map of the model with all parameters randomised: large is good.

    bins  of the histogram of the map's values, from its smallest to its largest

    One comparison instead of one for each layer, and none between maps: a random model should give a more disordered map.
    NaN where ξ(e) is 0 (a constant map). Source: hedstrom2024, "efficient MPRT".
    """
    whole("bins", bins, 2)
    last = randomized(s.graph, [n for _, names in weighted_layers(s.graph) for n in names], draw, seed)
    before, after = (histogram_entropy(s.positions(values=v), bins) for v in (s.values, s.again(graph=last)))
    return Score(np.where(before > 0, (after - before) / np.where(before > 0, before, 1), np.nan), {"before": before, "after": after})


def histogram_entropy(a: Array, bins: int) -> Array:
    """The entropy, in nats, of the histogram of each row; 0 for a constant one."""
    return np.array([0.0 if row.max() == row.min() else float(shannon(np.histogram(row, bins)[0].astype(float))) for row in a])


def _mean(found: Array) -> Array:
    known = ~np.isnan(found)
    return np.asarray(np.where(known.any(axis=1), np.where(known, found, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan))


# ----- other outputs ----------------------------------------------------------------------------------------------------


def random_logit(s: Subject, how: str = "ssim", sign: str = "signed", seed: int = 0) -> Score:
    """The similarity of the map to that of another class, drawn at random: 1, the map does not know which class it is about.

    The other class is the target's plus a step from 1 to K - 1 by default_rng(seed), the same step for all samples. Small is good.
    Source: sixt2020. Differs: Quantus draws another class for each sample, and takes the SSIM of the flattened maps, along one
    axis whose windows run from one row of the picture into the next.
    """
    chosen("how", how, SIMILARITIES)
    value = _classes(s)
    k = value.shape[1]
    step = int(np.random.default_rng(seed).integers(1, k))
    other = (np.asarray(s.task.weights, dtype=float).argmax(axis=1) + step) % k
    weights = np.zeros(value.shape, dtype=s.task.weights.dtype)
    weights[np.arange(len(other)), other] = 1
    return Score(similarity(s, s.values, s.again(target=_named(s, weights)), how, sign), {"others": other})


def csc(s: Subject, samples: int = 10, seed: int = 0) -> Score:
    """Cosine similarity convergence: the mean |cos| between the maps of two random directions at the output: 1, all of them collapse.

    Pair k of normal vectors v, w at the explained value by default_rng([seed, k]); the map of v is that of the target Σ v_j y_j.
    extras: "layers" layer -> (N, K) for methods that keep the signal inside the graph (propagation), "each" (N, K) at the input.
    Non-negative propagation matrices (LRP z+, excitation backprop) converge to 1 with depth; LRP-0 and DeepLIFT do not. Small is good.
    NaN where a map is 0. Source: sixt2020, section 4 (which starts from v itself; relevance rules here start from v_j y_j).
    """
    if s.ask is None:
        s.again()
    assert s.ask is not None
    shape = s.task.weights.shape
    if int(np.prod(shape[1:])) < 2:
        raise Inapplicable("the output is one number, so all its directions are the same")
    each: list[Array] = []
    layers: dict[str, list[Array]] = {}
    for k in range(whole("samples", samples, 1)):
        rng = np.random.default_rng([seed, k])
        found: list[Any] = []
        for _ in range(2):
            v = rng.standard_normal(shape[1:])
            found.append(s.ask(s.graph, s.task.feeds, _named(s, np.array(np.broadcast_to(v, shape)))))
        maps = [s.positions(values=_values(s, a)) for a in found]
        each.append(np.abs(cosine(*maps)))
        if all(isinstance(a, Attribution) for a in found):
            for name in found[0].layers:
                flat = [np.asarray(a.layers[name], dtype=float).reshape(s.size, -1) for a in found]
                layers.setdefault(name, []).append(np.abs(cosine(*flat)))
    table = np.stack(each, axis=1)
    return Score(_mean(table), {"each": table, "layers": {k: np.stack(v, axis=1) for k, v in layers.items()}})


def _values(s: Subject, found: Any) -> dict[str, Array]:
    from xaicore.metrics.subject import in_shape

    return in_shape(s.label, found, {k: s.task.feeds[k] for k in s.values}, s.task)


def _named(s: Subject, weights: Array) -> Any:
    """Weights as a target, under the output's name where the subject's target has one."""
    return (s.target[0], weights) if isinstance(s.target, tuple) else weights


def _classes(s: Subject) -> Array:
    assert s.task.trace is not None
    value = s.task.trace[s.task.value]
    if callable(s.target) or value.ndim != 2 or value.shape[1] < 2:
        raise Inapplicable(f"another class needs an output of classes, and the explained value has shape {value.shape}")
    if (np.count_nonzero(s.task.weights, axis=1) != 1).any():
        raise InputError("another class than a weighted sum of outputs is not defined; give one class index for each sample")
    return value


__all__ = ["DRAWS", "SIMILARITIES", "csc", "efficient_mprt", "histogram_entropy", "mprt", "random_logit", "randomized", "similarity",
           "smooth_mprt", "stages", "weighted_layers"]
