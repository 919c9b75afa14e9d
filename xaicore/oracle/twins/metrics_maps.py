"""Twins of the metrics that look at the map alone: complexity, localisation, fixation. Plain loops over Python numbers."""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from itertools import pairwise, product
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.metrics.subject import Subject

Twin = Callable[..., list[float]]
NAN = float("nan")


def rows(s: Subject) -> list[list[float]]:
    """The map with channels (axis 1 of an image) added up, as one list for each sample."""
    (a,) = s.values.values()
    out = []
    for one in a:
        if one.ndim == 1:
            out.append([float(v) for v in one])
        else:
            out.append([float(sum(one[(c, *at)] for c in range(one.shape[0]))) for at in np.ndindex(one.shape[1:])])
    return out


def known(s: Subject, given: Any) -> list[list[float]]:
    """Something known about every position, as one list for each sample."""
    a = np.asarray(given, dtype=float)
    count = len(rows(s)[0])
    return [[float(v) for v in a.reshape(-1)]] * s.size if a.size == count else [[float(v) for v in one.reshape(-1)] for one in a]


def gini(s: Subject) -> list[float]:
    """Σ_i Σ_j |a_i - a_j| / (2 n Σ a): the mean difference, not the sorted form."""
    out = []
    for row in rows(s):
        a = [abs(v) for v in row]
        total = sum(a)
        out.append(sum(abs(p - q) for p in a for q in a) / (2 * len(a) * total) if total else NAN)
    return out


def entropy(s: Subject) -> list[float]:
    """Σ p ln(1/p)."""
    out = []
    for row in rows(s):
        total = sum(abs(v) for v in row)
        out.append(sum(abs(v) / total * math.log(total / abs(v)) for v in row if v) if total else NAN)
    return out


def file_size(s: Subject, format: str = "png") -> list[float]:
    """Pixel by pixel to grey, then Pillow."""
    from PIL import Image

    (a,) = s.values.values()
    out = []
    for row in rows(s):
        top = max(abs(v) for v in row) or 1.0
        height, width = a.shape[-2:]
        image = Image.new("L", (width, height))
        for k, v in enumerate(row):
            image.putpixel((k % width, k // width), round(127.5 + 127.5 * v / top))
        file = io.BytesIO()
        image.save(file, format.upper(), optimize=True)
        out.append(float(len(file.getvalue())))
    return out


def first_place(row: list[float]) -> list[int]:
    """Positions from the largest value to the smallest, by taking out the first largest again and again."""
    left, out = list(range(len(row))), []
    while left:
        best = left[0]
        for k in left:
            if row[k] > row[best]:
                best = k
        left.remove(best)
        out.append(best)
    return out


def pointing(s: Subject, truth: Any) -> list[float]:
    """Is the first largest entry inside?"""
    return [t[first_place(row)[0]] if sum(t) else NAN for row, t in zip(rows(s), known(s, truth))]


def mass(s: Subject, truth: Any) -> list[float]:
    """The share of what is positive that lies inside."""
    out = []
    for row, t in zip(rows(s), known(s, truth)):
        inside = total = 0.0
        for v, m in zip(row, t):
            if v > 0:
                total += v
                inside += v * m
        out.append(inside / total if total and sum(t) else NAN)
    return out


def mass_weighted(s: Subject, truth: Any) -> list[float]:
    """Mean positive relevance inside over mean positive relevance anywhere."""
    out = []
    for row, t in zip(rows(s), known(s, truth)):
        everywhere = [max(v, 0.0) for v in row]
        inside = [v for v, m in zip(everywhere, t) if m]
        out.append((sum(inside) / len(inside)) / (sum(everywhere) / len(everywhere)) if inside and sum(everywhere) else NAN)
    return out


def rank(s: Subject, truth: Any) -> list[float]:
    """As many of the largest as the truth has."""
    out = []
    for row, t in zip(rows(s), known(s, truth)):
        top = first_place([max(v, 0.0) for v in row])[:int(sum(t))]
        out.append(sum(t[k] for k in top) / len(top) if top else NAN)
    return out


def top_k(s: Subject, truth: Any, k: int | None = None) -> list[float]:
    """Of the k largest, those inside."""
    out = []
    for row, t in zip(rows(s), known(s, truth)):
        size = max(1, len(row) // 10) if k is None else k
        out.append(sum(t[i] for i in first_place(row)[:size]) / size if sum(t) else NAN)
    return out


def pairs_auc(s: Subject, truth: Any) -> list[float]:
    """All pairs of one inside and one outside."""
    out = []
    for row, t in zip(rows(s), known(s, truth)):
        inside, outside = ([v for v, m in zip(row, t) if bool(m) is which] for which in (True, False))
        won = sum(1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside)
        out.append(won / len(inside) / len(outside) if inside and outside else NAN)
    return out


# ----- fixations --------------------------------------------------------------------------------------------------------


def trapezoid(points: list[tuple[float, float]]) -> float:
    """The area under a line through points in order."""
    return sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(points))


def judd(s: Subject, fixations: Any) -> list[float]:
    """A point of the ROC curve at the value of each fixation, counted anew."""
    out = []
    for row, hits in zip(rows(s), known(s, fixations)):
        on, off = [v for v, h in zip(row, hits) if h], [v for v, h in zip(row, hits) if not h]
        points = [(0.0, 0.0)]
        for t in sorted(on, reverse=True):
            points.append((sum(v >= t for v in off) / len(off), sum(v >= t for v in on) / len(on)))
        out.append(trapezoid([*points, (1.0, 1.0)]))
    return out


def _split_area(level: list[float], on: list[int], off: list[int], step: float) -> float:
    values = [level[k] for k in [*on, *off]]
    points, count = [(0.0, 0.0)], int(max(values) / step + 1e-9)
    for k in range(count, -1, -1):
        t = k * step
        points.append((sum(level[i] >= t for i in off) / len(on), sum(level[i] >= t for i in on) / len(on)))
    return trapezoid([*points, (1.0, 1.0)])


def _split_auc(s: Subject, fixations: Any, draw: Callable[[np.random.Generator, list[float], int, int], list[int]], splits: int,
               step: float,
               seed: int) -> list[float]:
    out = []
    for n, (row, hits) in enumerate(zip(rows(s), known(s, fixations))):
        low, high = min(row), max(row)
        level, on = [(v - low) / (high - low) for v in row], [k for k, h in enumerate(hits) if h]
        areas = [_split_area(level, on, draw(np.random.default_rng([seed, k]), row, len(on), n), step) for k in range(splits)]
        out.append(sum(areas) / splits)
    return out


def borji(s: Subject, fixations: Any, splits: int = 100, step: float = 0.1, seed: int = 0) -> list[float]:
    """Against positions drawn anywhere."""
    return _split_auc(s, fixations, lambda rng, row, n, _: [int(v) for v in rng.integers(0, len(row), n)], splits, step, seed)


def shuffled(s: Subject, fixations: Any, splits: int = 100, step: float = 0.1, seed: int = 0) -> list[float]:
    """Against positions where the other samples have fixations."""
    counts = known(s, fixations)

    def draw(rng: np.random.Generator, row: list[float], n: int, sample: int) -> list[int]:
        pool = [k for k in range(len(row)) if any(counts[m][k] for m in range(len(counts)) if m != sample)]
        return [int(v) for v in rng.choice(pool, n, replace=n > len(pool))]

    return _split_auc(s, fixations, draw, splits, step, seed)


def nss(s: Subject, fixations: Any) -> list[float]:
    """The mean z-score of fixations, one after the other."""
    out = []
    for row, hits in zip(rows(s), known(s, fixations)):
        mean = sum(row) / len(row)
        spread = math.sqrt(sum((v - mean) ** 2 for v in row) / len(row))
        z = [(v - mean) / spread for v, h in zip(row, hits) for _ in range(int(h))]
        out.append(sum(z) / len(z))
    return out


def shares(row: list[float]) -> list[float]:
    """Made non-negative and divided by the sum."""
    low = min(min(row), 0.0)
    total = sum(v - low for v in row)
    return [(v - low) / total for v in row]


def correlation(a: list[float], b: list[float]) -> float:
    """Pearson's coefficient as the mean product of z-scores."""
    n = len(a)
    za, zb = ([(v - sum(c) / n) / math.sqrt(sum((w - sum(c) / n) ** 2 for w in c) / n) for v in c] for c in (a, b))
    return sum(p * q for p, q in zip(za, zb)) / n


def cc(s: Subject, human: Any) -> list[float]:
    """Pearson's coefficient of both maps."""
    return [correlation(row, q) for row, q in zip(rows(s), known(s, human))]


def sim(s: Subject, human: Any) -> list[float]:
    """1 - ½ Σ |P - Q|."""
    return [1 - sum(abs(p - q) for p, q in zip(shares(row), shares(h))) / 2 for row, h in zip(rows(s), known(s, human))]


def kl(s: Subject, human: Any) -> list[float]:
    """Σ Q ln(Q / P), written out."""
    eps = 2.220446049250313e-16
    return [sum(q * math.log(eps + q / (p + eps)) for p, q in zip(shares(row), shares(h))) for row, h in zip(rows(s), known(s, human))]


def emd(s: Subject, human: Any, grid: int = 8) -> list[float]:
    """By cancelling cycles: mass moved along the cheapest paths of the residual network, one path after the other."""
    (a,) = s.values.values()
    space = a.shape[2:] or a.shape[1:]
    if any(n > grid for n in space):
        raise ValueError("the twin takes maps that fit the grid")
    places = list(product(*(range(n) for n in space)))
    cost = [[math.dist(p, q) for q in places] for p in places]
    return [_cheapest(shares(row), shares(h), cost) for row, h in zip(rows(s), known(s, human))]


def _cheapest(p: list[float], q: list[float], cost: list[list[float]]) -> float:
    """The transport by successive shortest paths (Bellman and Ford)."""
    n = len(p)
    have, want = list(p), list(q)
    flow = [[0.0] * n for _ in range(n)]
    while sum(have) > 1e-12:
        far = [0.0 if have[i] > 1e-15 else math.inf for i in range(n)] + [math.inf] * n
        back: list[int | None] = [None] * (2 * n)
        for _ in range(2 * n):
            moved = False
            for i in range(n):
                for j in range(n):
                    if far[i] + cost[i][j] < far[n + j] - 1e-12:
                        far[n + j], back[n + j], moved = far[i] + cost[i][j], i, True
                    if flow[i][j] > 1e-15 and far[n + j] - cost[i][j] < far[i] - 1e-12:
                        far[i], back[i], moved = far[n + j] - cost[i][j], n + j, True
            if not moved:
                break
        end = min((n + j for j in range(n) if want[j] > 1e-15), key=lambda k: far[k])
        path = [end]
        while (before := back[path[-1]]) is not None:
            path.append(before)
        path.reverse()
        steps = list(pairwise(path))
        amount = min([have[path[0]], want[end - n], *(flow[v][u - n] for u, v in steps if u >= n)])
        for u, v in steps:
            if u < n:
                flow[u][v - n] += amount
            else:
                flow[v][u - n] -= amount
        have[path[0]] -= amount
        want[end - n] -= amount
    return sum(flow[i][j] * cost[i][j] for i in range(n) for j in range(n))


def gain(s: Subject, fixations: Any) -> list[float]:
    """The mean of log2(P / uniform) over fixations, one after the other."""
    out = []
    for row, hits in zip(rows(s), known(s, fixations)):
        p, eps = shares(row), 2.220446049250313e-16
        bits = [math.log2((v + eps) / (1 / len(row) + eps)) for v, h in zip(p, hits) for _ in range(int(h))]
        out.append(sum(bits) / len(bits))
    return out


MAP_TWINS: Mapping[str, Twin] = MappingProxyType({
    "sparseness": gini, "entropy": entropy, "file_size": file_size, "pointing_game": pointing, "attribution_localisation": mass,
    "relevance_mass": mass, "mu_weighted": mass_weighted, "relevance_rank": rank, "top_k_intersection": top_k,
    "localisation_auc": pairs_auc, "fixation.auc_judd": judd, "fixation.auc_borji": borji, "fixation.auc_shuffled": shuffled,
    "fixation.nss": nss, "fixation.cc": cc, "fixation.sim": sim, "fixation.kl": kl, "fixation.emd": emd,
    "fixation.information_gain": gain})
