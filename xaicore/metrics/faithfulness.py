"""Does the map say what f does? Correlations between attributions and what f loses when features are taken away."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.methods.sweep import chosen, parts_of, quiet, whole
from xaicore.metrics.removal import draws, keeping, of_players, players, present, starts
from xaicore.metrics.statistics import descending, pearson, spearman
from xaicore.metrics.subject import Score, Subject, signed
from xaicore.numerics import Array


def faithfulness_correlation(s: Subject, subset: int | None = None, samples: int = 100, mask: Any = "positions", baseline: Any = 0,
                             seed: int = 0, sign: str = "signed") -> Score:
    """Pearson correlation over random subsets S of Σ_{i in S} a_i and f(x) - f(x with S at the baseline).

    subset   |S|; default a fifth of the features, at least 1
    samples  how many subsets; subset k by default_rng([seed, k]), the same for all samples of the batch

    1 for the contributions of an affine f. NaN where a side does not vary. extras: "subsets" (K, M), "drops" (N, K), "sums" (N, K).
    Source: bhatt2020, eq. 1. Same as: Quantus FaithfulnessCorrelation with perturb_baseline 0 and normalise=False, which draws 224
    features.
    """
    g = players(s, mask, baseline, seed)
    chosen_sets = draws(whole("samples", samples, 2), g.count, max(1, g.count // 5) if subset is None else subset, seed)
    sums, drops = _sums_and_drops(s, g, chosen_sets, sign)
    return Score(pearson(sums, drops), {"subsets": chosen_sets, "sums": sums, "drops": drops})


def _sums_and_drops(s: Subject, g: Any, sets: Array, sign: str) -> tuple[Array, Array]:
    f = np.asarray(s.task.result, dtype=float)
    drops = f[:, None] - present(g, len(sets), lambda n, k: ~sets[k])
    return signed(of_players(s, g), sign) @ sets.T.astype(float), drops


def faithfulness_estimate(s: Subject, step: int = 1, mask: Any = None, baseline: Any = 0, seed: int = 0,
                          sign: str = "signed") -> Score:
    """Pearson correlation over features of a_i and f(x) - f(x with i at the baseline), one at a time.

    step  so many features, in descending order of a, are taken away together, and their a summed
    mask  what a feature is, as for the methods that take parts away; None: every entry, of a picture at most 64 equal parts;
          "positions": every pixel, each of which costs an f

    NaN where a side does not vary. Source: alvarezmelis2018. Same as: Quantus FaithfulnessEstimate (its features_in_step is step).
    """
    g = players(s, mask, baseline, seed)
    a = signed(of_players(s, g), sign)
    size = whole("step", step, 1)
    if -(-g.count // size) < 2:
        raise InputError(f"step={size} leaves one group of the {g.count} features; a correlation needs two")
    order = descending(a)
    group = np.empty_like(order)
    np.put_along_axis(group, order, np.arange(g.count)[None] // size, axis=1)
    count = -(-g.count // size)
    f = np.asarray(s.task.result, dtype=float)
    drops = f[:, None] - present(g, count, lambda n, k: group[n] != k[:, None])
    sums = np.stack([np.bincount(row, weights=v, minlength=count) for row, v in zip(group, a)])
    return Score(pearson(sums, drops), {"drops": drops, "sums": sums})


def monotonicity(s: Subject, step: int = 1, order: str = "ascending", mask: Any = None, baseline: Any = 0, seed: int = 0,
                 sign: str = "signed") -> Score:
    """1 where f never falls while features are added to the baseline in ascending order of a, else 0.

    step   so many are added at a time; the last step adds the rest
    mask   what a feature is: see faithfulness.estimate
    order  "ascending", the least important first, or "descending"

    extras: "curve" (N, K + 1) from f(x0) to f(x), "share" (N,) of the steps at which f does not fall. Source: arya2019
    ("Monotonicity" of AI Explainability 360, which compares f after one and more features; f(x0) is not compared: reconstruction),
    luss2019. Differs: Quantus puts the baseline back instead of the feature, so that its f never changes and its answer is always true.
    """
    chosen("order", order, ("ascending", "descending"))
    g = players(s, mask, baseline, seed)
    a = signed(of_players(s, g), sign)
    counts = np.unique([*range(0, g.count, whole("step", step, 1)), g.count])
    curve = keeping(g, descending(-a if order == "ascending" else a), counts)
    up = np.diff(curve[:, 1:], axis=1) >= 0
    return Score(up.all(axis=1).astype(float), {"curve": curve, "share": up.mean(axis=1) if up.shape[1] else np.ones(len(up))})


def monotonicity_correlation(s: Subject, samples: int = 10, mask: Any = None, background: Any = None, seed: int = 0) -> Score:
    """Spearman correlation over features of |a_i| and the mean squared loss e_i = E (f(x) - f(x with i drawn))² / f(x)².

    samples     draws for each feature, uniform over the sample's range: draw k, of all features of the j-th input, is
                default_rng([1,000,003 seed + k, j]).random(shape) of that range
    background  a set of samples (B, ...) to draw from instead: all of its B are used
    mask        what a feature is: see faithfulness.estimate

    NaN where a side does not vary. Source: nguyen2020, whose expectation is over the data's distribution of x_i given the rest.
    Where |f(x)| < 1e-5, 1 stands for f(x)², as in Quantus.
    """
    g = players(s, mask, 0)
    f = np.asarray(s.task.result, dtype=float)
    sets = _drawn(s, whole("samples", samples, 1), background, seed)
    loss = np.zeros((s.size, g.count))
    for fill in sets:
        one = players(s, mask, fill)
        loss += (f[:, None] - present(one, g.count, lambda n, k: np.arange(g.count)[None] != k[:, None])) ** 2
    loss = loss / len(sets) / np.where(np.abs(f) < 1e-5, 1, f * f)[:, None]
    return Score(spearman(np.abs(of_players(s, g)), loss), {"losses": loss})


def _drawn(s: Subject, samples: int, background: Any, seed: int) -> list[Any]:
    if background is None:
        return [starts(s.task, "uniform", seed * 1_000_003 + k) for k in range(samples)]
    from xaicore.methods.games import backgrounds

    sets = backgrounds(s.task, background)
    return [{k: np.broadcast_to(v[b], s.task.feeds[k].shape) for k, v in sets.items()} for b in range(len(next(iter(sets.values()))))]


def sensitivity_n(s: Subject, sizes: Any = None, samples: int = 100, mask: Any = "positions", baseline: Any = 0, seed: int = 0,
                  sign: str = "signed") -> Score:
    """For each n the Pearson correlation over random subsets of n features of Σ a_i and f(x) - f(x without them); the mean over n.

    sizes  the n; default ten from 1 to 4/5 of the features, in equal ratios. Subset k of the j-th size by
           default_rng([1,000,003 seed + j, k])

    1 for the contributions of an affine f, whatever n. A size at which a side does not vary is left out; NaN where that is all of them.
    extras: "sizes" (K,), "correlations" (N, K). Source: ancona2018, definition and section 4. Differs: Quantus takes the features in
    descending order, one growing set, so that its correlation is over n, not over subsets.
    """
    g = players(s, mask, baseline, seed)
    given = np.geomspace(1, max(1, 4 * g.count // 5), 10) if sizes is None else np.asarray(sizes)
    ns = np.unique(np.rint(given).astype(int))
    per = []
    for at, n in enumerate(ns):
        sums, drops = _sums_and_drops(s, g, draws(whole("samples", samples, 2), g.count, int(n), seed * 1_000_003 + at), sign)
        per.append(pearson(sums, drops))
    found = np.stack(per, axis=1)
    known = ~np.isnan(found)
    mean = np.where(known.any(axis=1), np.where(known, found, 0).sum(axis=1) / np.maximum(known.sum(axis=1), 1), np.nan)
    return Score(mean, {"sizes": ns, "correlations": found})


def infidelity(s: Subject, samples: int = 100, perturb: str = "noisy_baseline", sigma: float = 0.2, baseline: Any = 0,
               multiplied: bool = False,
               normalize: bool = False, seed: int = 0) -> Score:
    """E_I [ (Σ_i I_i a_i - (f(x) - f(x - I)))² ], the expected error of the map as a linear model of f's change.

    perturb     "noisy_baseline"  I = x - (x0 + sigma ε), ε normal;  "gaussian"  I = sigma ε;  "removal"  I = x - x0 at a random subset of
                entries, each with probability ½, and 0 elsewhere
    sigma       of ε, absolute
    multiplied  the map is a contribution (of the kind gradient * input): it is multiplied by I / (x - x0) instead of I (0/0 = 0)
    normalize   first scale the map by β = E[b c] / E[b²], b the map's answer and c f's change: the best it can be by scale
    Perturbation k by default_rng([seed, k]), the same for all samples.

    0 for the gradient of an affine f. Source: yeh2019, definition 2.1. Same as: captum.metrics.infidelity with these perturbations
    (multiplied is its multiply_by_inputs). Differs: Quantus by default replaces blocks of a grid one after the other and sums up.
    """
    chosen("perturb", perturb, ("noisy_baseline", "gaussian", "removal"))
    start, x = starts(s.task, baseline, seed), s.task.feeds
    count = whole("samples", samples, 1)
    said, done = np.empty((s.size, count)), np.empty((s.size, count))
    rows = np.arange(s.size)
    f = np.asarray(s.task.result, dtype=float)
    for part in parts_of(s.task, count):
        for k in range(part.start, part.stop):
            moved = _perturbation(x, start, perturb, sigma, np.random.default_rng([seed, k]))
            total = np.zeros(s.size)
            for name, i in moved.items():
                weight = i
                if multiplied:
                    d = np.asarray(x[name] - start[name], dtype=float)
                    weight = np.divide(i, d, out=np.zeros(i.shape), where=d != 0)
                total += (weight * s.values[name]).reshape(s.size, -1).sum(axis=1)
            said[:, k] = total
            there = {name: np.asarray(x[name] - i, dtype=x[name].dtype) for name, i in moved.items()}
            done[:, k] = f - np.asarray(quiet(s.task).at(there, rows), dtype=float)
    scale = np.ones((s.size, 1))
    if normalize:
        below = (said * said).sum(axis=1, keepdims=True)
        scale = np.where(below > 0, (said * done).sum(axis=1, keepdims=True) / np.where(below > 0, below, 1), 1)
    return Score(((scale * said - done) ** 2).mean(axis=1), {"said": said, "done": done})


def _perturbation(x: Any, start: Any, perturb: str, sigma: float, rng: np.random.Generator) -> dict[str, Array]:
    """I for every explained input, (N, ...): one draw in the shape of a sample."""
    out = {}
    for k, x0 in start.items():
        if x[k].dtype.kind != "f":
            raise Inapplicable(f"infidelity perturbs numbers, and input {k!r} holds {x[k].dtype}")
        shape = x[k].shape[1:]
        if perturb == "removal":
            out[k] = np.asarray((x[k] - x0) * (rng.random(shape) < 0.5), dtype=float)
        else:
            noise = sigma * rng.standard_normal(shape)
            out[k] = np.asarray(x[k] - (x0 + noise), dtype=float) if perturb == "noisy_baseline" else np.broadcast_to(noise, x[k].shape)
    return out


def sufficiency(s: Subject, threshold: float = 0.6, distance: str = "seuclidean", mask: Any = "positions") -> Score:
    """Of the other samples with a map at most ``threshold`` away, the share that f puts into the same class.

    distance  "seuclidean" (each feature in units of its standard deviation over the batch, n - 1; those that do not vary are left out),
              "euclidean", "cosine"

    Needs a batch of at least 2 and an output of classes. NaN for a sample without such neighbours. Source: dasgupta2022, whose maps are
    equal, not near. Differs: Quantus divides the distances by the largest of the batch, and gives 0 to a sample without neighbours.
    """
    chosen("distance", distance, ("seuclidean", "euclidean", "cosine"))
    a, label = of_players(s, players(s, mask, 0)), classes(s)
    near = _distances(a, distance) <= threshold
    return Score(_agreement(near, label))


def _distances(a: Array, how: str) -> Array:
    if len(a) < 2:
        raise Inapplicable("this metric compares the samples of a batch with one another; give two at least")
    if how == "cosine":
        size = np.sqrt((a * a).sum(axis=1))
        return np.asarray(1 - (a @ a.T) / np.maximum(size[:, None] * size[None], np.finfo(float).tiny))
    if how == "seuclidean":
        spread = a.std(axis=0, ddof=1)
        a = a[:, spread > 0] / spread[spread > 0]
    return np.asarray(np.sqrt(((a[:, None] - a[None]) ** 2).sum(axis=2)))


def _agreement(near: Array, label: Array) -> Array:
    """For each sample: of the others that are near, the share with its label; NaN without any."""
    others = near & ~np.eye(len(near), dtype=bool)
    count = others.sum(axis=1)
    same = (others & (label[:, None] == label[None])).sum(axis=1)
    return np.asarray(np.where(count > 0, same / np.maximum(count, 1), np.nan))


def consistency(s: Subject, code: str = "top_n_sign", n: int = 5, mask: Any = "positions") -> Score:
    """Of the other samples with the same coded map, the share that f puts into the same class.

    code  "top_n_sign" the n features of largest |a| with their signs;  "sign" the signs of all;  "rank" the order of all

    Needs a batch of at least 2. NaN for a sample whose code no other has. Source: dasgupta2022, eq. 1 (estimated on the batch).
    Differs: Quantus takes the signs of the first n entries under the name "top_n_sign", not of the n largest, and 0 where we have NaN.
    """
    chosen("code", code, ("top_n_sign", "sign", "rank"))
    a, label = of_players(s, players(s, mask, 0)), classes(s)
    if len(a) < 2:
        raise Inapplicable("this metric compares the samples of a batch with one another; give two at least")
    if code == "top_n_sign":
        top = np.sort(descending(np.abs(a))[:, :whole("n", n, 1)], axis=1)
        codes = np.concatenate([top, np.sign(np.take_along_axis(a, top, axis=1))], axis=1)
    else:
        codes = np.sign(a) if code == "sign" else descending(a)
    return Score(_agreement((codes[:, None] == codes[None]).all(axis=2), label))


def classes(s: Subject) -> Array:
    """The class that f gives each sample: the largest entry of the explained value. Inapplicable for outputs that are no classes."""
    assert s.task.trace is not None
    value = s.task.trace[s.task.value]
    if value.ndim != 2 or value.shape[1] < 2:
        raise Inapplicable(f"this metric is about classes, and the explained value {s.task.value!r} has shape {value.shape}")
    return np.asarray(value.argmax(axis=1))


__all__ = ["classes", "consistency", "faithfulness_correlation", "faithfulness_estimate", "infidelity", "monotonicity",
           "monotonicity_correlation",
           "sensitivity_n", "sufficiency"]
