"""Second opinions on class-activation maps and forward saliency: the papers' sums as loops over channels and positions.

All are about one sample: activations and gradients are nested lists [channel][row][column], maps [row][column]. They share no
code with what they check, and work on floats and, but for logarithms and exponentials, on Fractions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

Map = list[list[Any]]
Maps = Sequence[Map]


def _over(shape_of: Map, value: Callable[[int, int], Any]) -> Map:
    return [[value(i, j) for j in range(len(shape_of[0]))] for i in range(len(shape_of))]


def _sum(m: Map) -> Any:
    return sum(sum(row) for row in m)


def weighted_sum(a: Maps, w: Sequence[Any], relu: bool) -> Map:
    """Σ_k w_k A_k, its negative part cut off or not."""
    out = _over(a[0], lambda i, j: sum(w[k] * a[k][i][j] for k in range(len(a))))
    return [[max(v, 0 * v) for v in row] for row in out] if relu else out


def grad_cam(a: Maps, g: Maps) -> Map:
    """Selvaraju et al. 2017: α_k is the mean of ∂f/∂A_k over the positions."""
    z = len(a[0]) * len(a[0][0])
    return weighted_sum(a, [_sum(gk) / z for gk in g], True)


def grad_cam_plus_plus(a: Maps, g: Maps, score: float | None) -> Map:
    """Chattopadhay et al. 2018, with the three derivatives of Y = e^S (S affine in A); score None leaves e^S out of the weights."""
    y = 1.0 if score is None else math.exp(score)
    weights = []
    for ak, gk in zip(a, g):
        activation, w = _sum(ak), 0 * gk[0][0]
        for row in gk:
            for v in row:
                second, third = y * v * v, y * v * v * v
                denominator = 2 * second + activation * third
                alpha = second / denominator if denominator != 0 else 0
                w = w + alpha * max(y * v, 0 * v)
        weights.append(w)
    return weighted_sum(a, weights, True)


def layer_cam(a: Maps, g: Maps) -> Map:
    """Jiang et al. 2021."""
    out = _over(a[0], lambda i, j: sum(max(g[k][i][j], 0) * a[k][i][j] for k in range(len(a))))
    return [[max(v, 0 * v) for v in row] for row in out]


def hires_cam(a: Maps, g: Maps) -> Map:
    """Draelos and Carin 2020."""
    return _over(a[0], lambda i, j: sum(g[k][i][j] * a[k][i][j] for k in range(len(a))))


def xgrad_cam(a: Maps, g: Maps) -> Map:
    """Fu et al. 2020."""
    weights = []
    for ak, gk in zip(a, g):
        top = sum(x * y for rows in zip(ak, gk) for x, y in zip(*rows))
        weights.append(top / _sum(ak) if _sum(ak) != 0 else 0 * top)
    return weighted_sum(a, weights, True)


def resized(m: Map, rows: int, columns: int) -> Map:
    """Bilinear, pixels taken as areas: entry i of n new ones lies at (i + 1/2) old/n - 1/2, held inside the old ones."""
    def place(i: int, old: int, new: int) -> tuple[int, int, float]:
        at = min(max((i + 0.5) * old / new - 0.5, 0.0), old - 1.0)
        low = min(int(at), old - 1)
        return low, min(low + 1, old - 1), at - low

    out = []
    for i in range(rows):
        top, bottom, s = place(i, len(m), rows)
        line = []
        for j in range(columns):
            left, right, t = place(j, len(m[0]), columns)
            line.append((1 - s) * ((1 - t) * m[top][left] + t * m[top][right]) + s * ((1 - t) * m[bottom][left] + t * m[bottom][right]))
        out.append(line)
    return out


def min_max(m: Map) -> Map:
    """From 0 to 1; a constant map becomes 0."""
    low, high = min(map(min, m)), max(map(max, m))
    return [[(v - low) / (high - low) if high > low else 0 * v for v in row] for row in m]


def score_cam(a: Maps, x: Maps, f: Callable[[Maps], float]) -> Map:
    """Wang et al. 2020, algorithm 1, with a black baseline: weights are a softmax over the channels of f(x ⊙ H) - f(0)."""
    black = [[[0.0] * len(row) for row in channel] for channel in x]
    gains = []
    for ak in a:
        mask = min_max(resized(ak, len(x[0]), len(x[0][0])))
        seen = [[[v * h for v, h in zip(*rows)] for rows in zip(channel, mask)] for channel in x]
        gains.append(f(seen) - f(black))
    powers = [math.exp(v - max(gains)) for v in gains]
    return weighted_sum(a, [p / sum(powers) for p in powers], True)


def ablation_cam(a: Maps, behind: Callable[[Maps], Any]) -> Map:
    """Desai and Ramaswamy 2020: the share of f that is lost with channel k, f given as a function of the activations."""
    whole = behind(a)
    weights = []
    for k in range(len(a)):
        without = [[[0 * v for v in row] for row in ak] if i == k else ak for i, ak in enumerate(a)]
        weights.append((whole - behind(without)) / whole)
    return weighted_sum(a, weights, True)


def eigen_cam(a: Maps, turns: int = 2000) -> Map:
    """Muhammad and Yeasin 2020: the first principal direction by power iteration on the C x C matrix of channel products."""
    rows = [[ak[i][j] for ak in a] for i in range(len(a[0])) for j in range(len(a[0][0]))]
    c = len(a)
    products = [[sum(r[p] * r[q] for r in rows) for q in range(c)] for p in range(c)]
    v = [1.0 + 0.01 * k for k in range(c)]
    for _ in range(turns):
        v = [sum(products[p][q] * v[q] for q in range(c)) for p in range(c)]
        size = math.sqrt(sum(e * e for e in v))
        v = [e / size for e in v]
    out = weighted_sum(a, v, False)
    along = sum(out[i][j] * sum(ak[i][j] for ak in a) for i in range(len(a[0])) for j in range(len(a[0][0])))
    return out if along >= 0 else [[-e for e in row] for row in out]


def smoe(a: Maps) -> Map:
    """Mundhenk et al. 2019: μ (log2 μ - mean log2 x) with 1e-7 added to x = max(A, 0)."""
    def at(i: int, j: int) -> Any:
        values = [max(ak[i][j], 0.0) + 1e-7 for ak in a]
        mean = sum(values) / len(values)
        return mean * (math.log2(mean) - sum(math.log2(v) for v in values) / len(values))

    return _over(a[0], at)


def gaussian_scale(m: Map) -> Map:
    """Φ of the standardised map, by the error function; the variance is divided by Z - 1."""
    flat = [v for row in m for v in row]
    mean = sum(flat) / len(flat)
    std = math.sqrt(sum((v - mean) ** 2 for v in flat) / (len(flat) - 1))
    return [[0.5 * (1 + math.erf((v - mean) / (std * math.sqrt(2)))) if std > 0 else 0.5 for v in row] for row in m]
