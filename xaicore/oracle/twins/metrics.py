"""Twins of the metrics that evaluate f or ask the method again: the definitions as loops over samples, features and draws.

They evaluate the graph for one input at a time and call no function of ``xaicore.metrics`` but the subject's ``ask``.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.metrics.subject import Subject
from xaicore.numerics import Array
from xaicore.oracle.twins.metrics_maps import NAN, Twin, correlation, first_place, rows, trapezoid


def f(s: Subject, n: int, x: Array) -> float:
    """f at one input with the target of sample n."""
    return float((s.task.weights[n] * s.task.graph(x[None])[0]).sum())


def x_of(s: Subject, n: int) -> Array:
    """Sample n of the only input."""
    (x,) = s.task.feeds.values()
    return np.array(x[n])


def with_gone(x: Array, gone: set[int] | list[int], fill: Any = 0.0) -> Array:
    """x with these positions (of all channels) at the filling."""
    out, other = x.copy(), np.broadcast_to(fill, x.shape)
    for k in gone:
        at = (k,) if x.ndim == 1 else np.unravel_index(k, x.shape[1:])
        if x.ndim == 1:
            out[at] = other[at]
        else:
            for c in range(x.shape[0]):
                out[(c, *at)] = other[(c, *at)]
    return out


def subset(seed: int, k: int, count: int, size: int) -> set[int]:
    """The k-th random subset."""
    return {int(v) for v in np.random.default_rng([seed, k]).permutation(count)[:size]}


def uniform(x: Array, seed: int) -> Array:
    """One sample of noise over the range of x: the only input is number 0."""
    return np.asarray(x.min() + (x.max() - x.min()) * np.random.default_rng([seed, 0]).random(x.shape))


def vary(a: list[float]) -> bool:
    """Are not all equal?"""
    return max(a) > min(a)


def mid_ranks(a: list[float]) -> list[float]:
    """How many are smaller, plus half of those that are equal."""
    return [sum(w < v for w in a) + sum(w == v for w in a) / 2 for v in a]


# ----- faithfulness -----------------------------------------------------------------------------------------------------


def subsets_correlation(s: Subject, subset_size: int, samples: int, seed: int) -> list[float]:
    """Pearson over random subsets of the sum of a and the loss of f."""
    out = []
    for n, a in enumerate(rows(s)):
        x, sums, drops = x_of(s, n), [], []
        for k in range(samples):
            gone = subset(seed, k, len(a), subset_size)
            sums.append(sum(a[i] for i in gone))
            drops.append(f(s, n, x) - f(s, n, with_gone(x, gone)))
        out.append(correlation(sums, drops) if vary(sums) and vary(drops) else NAN)
    return out


def faithfulness_correlation(s: Subject, samples: int = 100, seed: int = 0) -> list[float]:
    """Subsets of a fifth."""
    return subsets_correlation(s, max(1, len(rows(s)[0]) // 5), samples, seed)


def sensitivity_n(s: Subject, sizes: list[int], samples: int = 100, seed: int = 0) -> list[float]:
    """The mean over the given sizes."""
    each = [subsets_correlation(s, n, samples, seed * 1_000_003 + k) for k, n in enumerate(sizes)]
    return [sum(v) / len(v) if (v := [one for one in column if not math.isnan(one)]) else NAN for column in zip(*each)]


def faithfulness_estimate(s: Subject) -> list[float]:
    """One feature at a time."""
    out = []
    for n, a in enumerate(rows(s)):
        x = x_of(s, n)
        out.append(correlation(a, [f(s, n, x) - f(s, n, with_gone(x, [i])) for i in range(len(a))]))
    return out


def monotonicity(s: Subject) -> list[float]:
    """Features come back, the least important first."""
    out = []
    for n, a in enumerate(rows(s)):
        order, x = first_place([-v for v in a]), x_of(s, n)
        curve = [f(s, n, with_gone(x, order[k:])) for k in range(1, len(a) + 1)]
        out.append(float(all(later >= earlier for earlier, later in itertools.pairwise(curve))))
    return out


def monotonicity_correlation(s: Subject, samples: int = 10, seed: int = 0) -> list[float]:
    """Ranks of |a| and of the expected squared loss."""
    out = []
    for n, a in enumerate(rows(s)):
        x, losses = x_of(s, n), []
        own = f(s, n, x)
        for i in range(len(a)):
            each = [(own - f(s, n, with_gone(x, [i], uniform(x, seed * 1_000_003 + k)))) ** 2 for k in range(samples)]
            losses.append(sum(each) / samples / (own**2 if abs(own) >= 1e-5 else 1))
        out.append(correlation(mid_ranks([abs(v) for v in a]), mid_ranks(losses)))
    return out


def infidelity(s: Subject, samples: int = 100, sigma: float = 0.2, seed: int = 0) -> list[float]:
    """Noisy baseline 0: I = x - sigma ε."""
    out, (a,) = [], s.values.values()
    for n in range(s.size):
        x, errors = x_of(s, n), []
        for k in range(samples):
            noise = sigma * np.random.default_rng([seed, k]).standard_normal(x.shape)
            said = sum(float((x[at] - noise[at]) * a[n][at]) for at in np.ndindex(x.shape))
            errors.append((said - (f(s, n, x) - f(s, n, noise))) ** 2)
        out.append(sum(errors) / samples)
    return out


# ----- curves -----------------------------------------------------------------------------------------------------------


def counts(total: int, steps: int) -> list[int]:
    """Equal steps, rounded half to even."""
    return sorted({round(k * total / steps) for k in range(steps + 1)})


def flipping(s: Subject, steps: int = 100) -> list[float]:
    """Take away the most important, and the area below."""
    out = []
    for n, a in enumerate(rows(s)):
        order, x = first_place(a), x_of(s, n)
        out.append(trapezoid([(k / len(a), f(s, n, with_gone(x, order[:k]))) for k in counts(len(a), steps)]))
    return out


def insertion(s: Subject, steps: int = 100, baseline: float = 0.0) -> list[float]:
    """Put back the most important, and the area below."""
    out = []
    for n, a in enumerate(rows(s)):
        order, x = first_place(a), x_of(s, n)
        out.append(trapezoid([(k / len(a), f(s, n, with_gone(x, order[k:], baseline))) for k in counts(len(a), steps)]))
    return out


def blocks(s: Subject, window: int) -> list[list[int]]:
    """The positions of each square, row-major; the features one by one where there is no space."""
    (a,) = s.values.values()
    if a.ndim == 2:
        return [[k] for k in range(a.shape[1])]
    height, width = a.shape[2:]
    return [[y * width + x for y in range(top, min(top + window, height)) for x in range(left, min(left + window, width))]
            for top in range(0, height, window) for left in range(0, width, window)]


def block_curve(s: Subject, n: int, parts: list[list[int]], fill: Any, mean: bool = False) -> list[float]:
    """f after no, one, two, ... of the parts of the largest sums (or means) are gone."""
    a, x = rows(s)[n], x_of(s, n)
    order = first_place([sum(a[k] for k in part) / (len(part) if mean else 1) for part in parts])
    return [f(s, n, with_gone(x, [k for part in order[:m] for k in parts[part]], fill)) for m in range(len(parts) + 1)]


def region_perturbation(s: Subject, window: int = 2, regions: int = 100, seed: int = 0) -> list[float]:
    """The mean of f(x) - f over the curve up to L."""
    out = []
    for n in range(s.size):
        curve = block_curve(s, n, blocks(s, window), uniform(x_of(s, n), seed))[:regions + 1]
        out.append(sum(curve[0] - v for v in curve) / len(curve))
    return out


def selectivity(s: Subject, window: int = 2) -> list[float]:
    """The area, parts being equally wide."""
    out = []
    for n in range(s.size):
        curve = block_curve(s, n, blocks(s, window), 0.0)
        out.append(trapezoid([(k / (len(curve) - 1), v) for k, v in enumerate(curve)]))
    return out


def irof(s: Subject, segments: Any) -> list[float]:
    """The area over f / f(x), regions filled with the mean of each channel."""
    out, labels = [], np.asarray(segments).reshape(-1)
    for n in range(s.size):
        x = x_of(s, n)
        fill = np.stack([np.full(c.shape, sum(c.reshape(-1).tolist()) / c.size) for c in x])
        parts = [[k for k, v in enumerate(labels) if v == one] for one in sorted(set(labels.tolist()))]
        curve = block_curve(s, n, parts, fill, mean=True)
        out.append(1 - trapezoid([(k / (len(curve) - 1), v / curve[0]) for k, v in enumerate(curve)]))
    return out


def road(s: Subject, shares: Any = (0.1, 0.3, 0.5, 0.7, 0.9), sigma: float = 0.01, seed: int = 0,
         measure: str = "accuracy") -> list[float]:
    """The imputation by repeating "every missing pixel is the mean of its neighbours" until nothing moves."""
    out = []
    for n, a in enumerate(rows(s)):
        x, hits = x_of(s, n), []
        height, width = x.shape[1:]
        order = first_place(a)
        for k, share in enumerate(shares):
            gone = {(i // width, i % width) for i in order[:round(share * len(a))]}
            y = x.copy()
            for at in gone:
                y[:, at[0], at[1]] = 0
            for _ in range(5000):
                before = y.copy()
                for r, c in gone:
                    near = [(r + dr, c + dc, 1 / 6 if dr == 0 or dc == 0 else 1 / 12) for dr in (-1, 0, 1) for dc in (-1, 0, 1) if dr or dc]
                    near = [(p, q, w) for p, q, w in near if 0 <= p < height and 0 <= q < width]
                    y[:, r, c] = sum(w * y[:, p, q] for p, q, w in near) / sum(w for _, _, w in near)
                if np.abs(y - before).max() < 1e-13:
                    break
            noise = sigma * np.random.default_rng([seed, k]).standard_normal(x.shape)
            for r, c in gone:
                y[:, r, c] += noise[:, r, c]
            right = s.task.graph(y[None])[0].argmax() == s.task.weights[n].argmax()
            hits.append(float(right) if measure == "accuracy" else f(s, n, y))
        out.append(sum(hits) / len(hits))
    return out


def effective_complexity(s: Subject) -> list[float]:
    """k upwards until keeping the k largest is good enough."""
    out = []
    for n, a in enumerate(rows(s)):
        order, x = first_place([abs(v) for v in a]), x_of(s, n)
        own = f(s, n, x)
        good = [k for k in range(len(a)) if (f(s, n, with_gone(x, order[k:])) - own) ** 2 <= 0.01 * own**2]
        out.append(float([*good, len(a)][0]))
    return out


# ----- batches ----------------------------------------------------------------------------------------------------------


def share_of_same(s: Subject, alike: Any) -> list[float]:
    """Of the other samples that are alike, those of the same class."""
    label = [int(s.task.graph(x_of(s, n)[None])[0].argmax()) for n in range(s.size)]
    out = []
    for n in range(s.size):
        others = [m for m in range(s.size) if m != n and alike(n, m)]
        out.append(sum(label[m] == label[n] for m in others) / len(others) if others else NAN)
    return out


def sufficiency(s: Subject, threshold: float = 0.6) -> list[float]:
    """Distances in units of each feature's deviation over the batch."""
    a = rows(s)
    columns = list(zip(*a))
    spread = [math.sqrt(sum((v - sum(c) / len(c)) ** 2 for v in c) / (len(c) - 1)) for c in columns]
    return share_of_same(s, lambda n, m: math.sqrt(sum(((p - q) / d) ** 2 for p, q, d in zip(a[n], a[m], spread) if d)) <= threshold)


def consistency(s: Subject, n: int = 5) -> list[float]:
    """The set of the n largest |a|, each with its sign."""
    codes = [{(k, math.copysign(1, a[k]) if a[k] else 0.0) for k in first_place([abs(v) for v in a])[:n]} for a in rows(s)]
    return share_of_same(s, lambda i, j: codes[i] == codes[j])


# ----- axioms -----------------------------------------------------------------------------------------------------------


def completeness(s: Subject) -> list[float]:
    """The gap over the difference."""
    out, (a,) = [], s.values.values()
    for n in range(s.size):
        x = x_of(s, n)
        reached = f(s, n, x) - f(s, n, x * 0)
        out.append(abs(reached - sum(float(v) for v in a[n].reshape(-1))) / abs(reached))
    return out


def non_sensitivity(s: Subject, eps: float = 1e-5, samples: int = 5, seed: int = 0) -> list[float]:
    """Features for which map and f disagree about whether they matter."""
    out = []
    for n, a in enumerate(rows(s)):
        x, wrong = x_of(s, n), 0
        own = f(s, n, x)
        for i, v in enumerate(a):
            moves = any(abs(f(s, n, with_gone(x, [i], uniform(x, seed * 1_000_003 + k))) - own) > eps for k in range(samples))
            wrong += (abs(v) > eps) != moves
        out.append(float(wrong))
    return out


F_TWINS: Mapping[str, Twin] = MappingProxyType({
    "faithfulness.correlation": faithfulness_correlation, "faithfulness.estimate": faithfulness_estimate,
    "monotonicity": monotonicity, "monotonicity.correlation": monotonicity_correlation, "sensitivity_n": sensitivity_n,
    "infidelity": infidelity, "pixel_flipping": flipping, "deletion": flipping, "insertion": insertion,
    "region_perturbation": region_perturbation, "selectivity": selectivity, "irof": irof, "road": road,
    "effective_complexity": effective_complexity, "sufficiency": sufficiency, "consistency": consistency,
    "completeness": completeness, "non_sensitivity": non_sensitivity})
