"""Second opinions on representations: covariances instead of bases, loops over pairs, enumeration, pixels that are really changed."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.graph.passes import prune
from xaicore.graph.run import evaluate
from xaicore.numerics import Array
from xaicore.ops import Add, Conv, Dense, Flatten, MaxPool, ReLU
from xaicore.oracle.twins.numeric import central_differences
from xaicore.oracle.twins.second import Second
from xaicore.represent import (
    blocks,
    cka,
    dictionary,
    features,
    meta_sne,
    neighbours,
    nmf,
    patches,
    receptive,
    recurrent,
    sequence,
    svcca,
    tsne,
)

# ----- networks that the twins are asked about ------------------------------------------------------------------------


def net(rng: np.random.Generator, size: int = 5) -> Graph:
    """conv - relu - pool, a skip around a strided-back convolution, dense: every kind of dependence, small."""
    b = Builder("net")
    x = b.input("x", (None, 2, size, size))
    h = b.add(Conv(pads=((1, 1), (1, 1))), x, b.param("w1", rng.normal(size=(3, 2, 3, 3))), b.param("b1", rng.normal(size=3)), name="conv")
    h = b.add(ReLU(), h, name="seen")
    p = b.add(MaxPool((2, 2), stride=(1, 1)), h, name="pool")
    c = b.add(Conv(pads=((2, 2), (0, 0)), dilation=(2, 1)), p, b.param("w2", rng.normal(size=(3, 3, 3, 1))), name="wide")
    s = b.add(ReLU(), b.add(Add(), p, c, name="skip"), name="deep")
    w3 = b.param("w3", rng.normal(size=(2, 3 * (size - 1) ** 2)))
    return b.build(b.add(Dense(), b.add(Flatten(), s), w3, name="logits"))


def _value(graph: Graph, x: Array, layer: str) -> Array:
    return evaluate(prune(graph, [layer]), {"x": x}, keep=[layer])[layer]


# ----- canonical correlations -----------------------------------------------------------------------------------------


def by_covariances(x: Array, y: Array) -> list[float]:
    """Square roots of the eigenvalues of Σxx⁻¹ Σxy Σyy⁻¹ Σyx, from covariances that are summed pair by pair."""
    def cov(a: Array, b: Array) -> Array:
        ma, mb = [float(np.mean(c)) for c in a.T], [float(np.mean(c)) for c in b.T]
        return np.array([[sum((a[n, i] - ma[i]) * (b[n, j] - mb[j]) for n in range(len(a))) / len(a) for j in range(b.shape[1])]
                         for i in range(a.shape[1])])

    m = np.linalg.solve(cov(x, x), cov(x, y)) @ np.linalg.solve(cov(y, y), cov(y, x))
    values = sorted((max(float(v.real), 0.0) for v in np.linalg.eigvals(m)), reverse=True)
    return [math.sqrt(v) for v in values[:min(x.shape[1], y.shape[1])]]


def principal(x: Array, keep: float) -> Array:
    """Scores on the eigenvectors of the covariance matrix, as many as hold the share of the variance."""
    c = x - x.mean(axis=0)
    values, vectors = np.linalg.eigh(c.T @ c)
    order, share, taken = np.argsort(-values), 0.0, []
    for k in order:
        taken.append(k)
        share += values[k] / values.sum()
        if share >= keep - 1e-12:
            break
    return np.asarray(c @ vectors[:, taken])


def weighted_correlations(x: Array, y: Array) -> float:
    """Morcos et al. 2018 with canonical variates from eigenvectors, sample by sample; x has at most the rank of y."""
    cx, cy = x - x.mean(axis=0), y - y.mean(axis=0)
    m = np.linalg.solve(cx.T @ cx, cx.T @ cy) @ np.linalg.solve(cy.T @ cy, cy.T @ cx)
    values, vectors = np.linalg.eig(m)
    top = bottom = 0.0
    for value, v in zip(values.real, vectors.real.T):
        h = cx @ v
        h = h / math.sqrt(sum(e * e for e in h))
        alpha = sum(abs(sum(h[n] * cx[n, j] for n in range(len(x)))) for j in range(x.shape[1]))
        top, bottom = top + alpha * math.sqrt(max(value, 0.0)), bottom + alpha
    return float(top / bottom)


def at_frequencies(x: Array, y: Array) -> Array:
    """Complex canonical correlations at each frequency, from a transform that is a double sum, by whitening with eigenvectors."""
    n, _, h, w = x.shape

    def transformed(a: Array, i: int, j: int) -> Array:
        waves = np.array([[np.exp(-2j * math.pi * (i * r / h + j * s / w)) for s in range(w)] for r in range(h)])
        rows = np.array([[(a[k, c] * waves).sum() for c in range(a.shape[1])] for k in range(n)])
        return np.asarray(rows - rows.mean(axis=0))

    def white(a: Array) -> Array:
        values, vectors = np.linalg.eigh(a.conj().T @ a)
        return np.asarray(a @ vectors / np.sqrt(values))

    return np.array([[float(np.sqrt(np.maximum(np.linalg.eigvalsh((m := white(transformed(x, i, j)).conj().T @ white(transformed(y, i, j)))
                                                                 @ m.conj().T), 0)).mean()) for j in range(w)] for i in range(h)])


# ----- alignment, neighbours, distances ---------------------------------------------------------------------------------


def kernel_by_pairs(x: Array, kernel: str, width: float) -> list[list[float]]:
    """K entry by entry."""
    n = len(x)
    d = [[math.dist(x[i], x[j]) for j in range(n)] for i in range(n)]
    if kernel == "linear":
        return [[float(sum(a * b for a, b in zip(x[i], x[j]))) for j in range(n)] for i in range(n)]
    pairs = sorted(d[i][j] for i in range(n) for j in range(i))
    half = len(pairs) // 2
    median = pairs[half] if len(pairs) % 2 else (pairs[half - 1] + pairs[half]) / 2
    return [[math.exp(-d[i][j] ** 2 / (2 * (width * median) ** 2)) for j in range(n)] for i in range(n)]


def alignment(x: Array, y: Array, kernel: str, width: float, unbiased: bool) -> float:
    """HSIC as a sum over all quadruples of samples: with repetitions (biased), or of four different ones (the U-statistic)."""
    k, m = kernel_by_pairs(x, kernel, width), kernel_by_pairs(y, kernel, width)
    n = len(x)
    quadruples = list(itertools.permutations(range(n), 4)) if unbiased else list(itertools.product(range(n), repeat=4))

    def hsic(a: list[list[float]], b: list[list[float]]) -> float:
        return sum(a[i][j] * (b[i][j] + b[p][q] - 2 * b[i][p]) for i, j, p, q in quadruples) / len(quadruples)

    return hsic(k, m) / math.sqrt(hsic(k, k) * hsic(m, m))


def nearest_by_sorting(x: Array, k: int) -> list[list[int]]:
    """For each sample the k others, sorted by distance."""
    return [[j for _, j in sorted((math.dist(row, other), j) for j, other in enumerate(x) if j != i)[:k]] for i, row in enumerate(x)]


def apart(several: Sequence[Array]) -> list[list[float]]:
    """Distances between normalised distance matrices, by four nested loops."""
    def distances(x: Array) -> list[float]:
        flat = [math.dist(a, b) for a in x for b in x]
        size = math.sqrt(sum(v * v for v in flat) / len(flat))
        return [v / size for v in flat]

    maps = [distances(x) for x in several]
    return [[math.dist(a, b) for b in maps] for a in maps]


# ----- t-SNE ----------------------------------------------------------------------------------------------------------------


def affinities_by_rows(x: Array, perplexity: float) -> list[list[float]]:
    """β of every point by bisection on its own row, with sums in Python."""
    n = len(x)
    rows = []
    for i in range(n):
        d = [math.dist(x[i], x[j]) ** 2 for j in range(n) if j != i]
        low, high = 0.0, 1e6
        for _ in range(300):
            beta = (low + high) / 2
            e = [math.exp(-beta * (v - min(d))) for v in d]
            p = [v / sum(e) for v in e]
            entropy = -sum(v * math.log(v) for v in p if v > 0)
            low, high = (beta, high) if entropy > math.log(perplexity) else (low, beta)
        rows.append([*p[:i], 0.0, *p[i:]])
    return [[(rows[i][j] + rows[j][i]) / (2 * n) for j in range(n)] for i in range(n)]


def tsne_slope(p: Array, y: Array, h: float = 1e-5) -> list[list[float]]:
    """Central differences of the divergence, which is a double sum."""
    def kl(z: list[list[float]]) -> float:
        n = len(z)
        w = [[0.0 if i == j else 1 / (1 + math.dist(z[i], z[j]) ** 2) for j in range(n)] for i in range(n)]
        total = sum(map(sum, w))
        return float(sum(p[i][j] * math.log(p[i][j] * total / w[i][j]) for i in range(n) for j in range(n) if p[i][j] > 0))

    out = []
    for i in range(len(y)):
        line = []
        for k in range(len(y[0])):
            up, down = ([[v + s * h * (a == i and b == k) for b, v in enumerate(row)] for a, row in enumerate(y)] for s in (1, -1))
            line.append((kl(up) - kl(down)) / (2 * h))
        out.append(line)
    return out


# ----- parts of activations ---------------------------------------------------------------------------------------------------


def one_group(a: Array) -> float:
    """The best single non-negative direction leaves |A|² - σ₁² (Perron and Frobenius): by power iteration."""
    v = [1.0] * len(a[0])
    for _ in range(3000):
        u = [sum(x * y for x, y in zip(row, v)) for row in a]
        v = [sum(u[i] * a[i][j] for i in range(len(a))) for j in range(len(a[0]))]
        size = math.sqrt(sum(x * x for x in v))
        v = [x / size for x in v]
    top = sum(sum(x * y for x, y in zip(row, v)) ** 2 for row in a)
    return float(1 - top / sum(x * x for row in a for x in row))


def loadings_by_faces(rows: Array, d: Array) -> list[list[float]]:
    """Non-negative least squares by trying every set of directions that are not 0."""
    out = []
    for row in rows:
        best, found = math.inf, [0.0] * len(d)
        for on in itertools.product((False, True), repeat=len(d)):
            used = [k for k in range(len(d)) if on[k]]
            s = np.linalg.lstsq(d[used].T, row, rcond=None)[0] if used else np.zeros(0)
            if (s < -1e-12).any():
                continue
            error = float(((row - s @ d[used]) ** 2).sum())
            if error < best - 1e-14:
                best, found = error, [float(s[used.index(k)]) if k in used else 0.0 for k in range(len(d))]
        out.append(found)
    return out


def advantage_sums(rewards: Sequence[float], values: Sequence[float], discount: float, decay: float) -> list[float]:
    """A_t = Σ_k (γλ)^k δ_{t+k}, without a recursion."""
    t = len(rewards)
    ahead = [*values[1:], 0.0]
    delta = [rewards[k] + discount * ahead[k] - values[k] for k in range(t)]
    return [sum((discount * decay) ** (k - i) * delta[k] for k in range(i, t)) for i in range(t)]


# ----- attribution at layers --------------------------------------------------------------------------------------------------


def behind(graph: Graph, layer: str, output: str, a: Array) -> Array:
    """What the rest of the network makes of given values of a layer."""
    blank = np.zeros((len(a), *[n or 1 for n in graph.inputs["x"].shape[1:]]))
    return evaluate(graph, {"x": blank}, keep=[output], override={layer: a})[output]


def layer_slopes(graph: Graph, x: Array, layer: str, k: int, h: float = 1e-6) -> Array:
    """a ⊙ ∂S/∂a by changing one unit of the layer at a time; exact up to rounding where no kink is near."""
    a = _value(graph, x, layer)
    out = np.zeros_like(a)
    for at in np.ndindex(*a.shape):
        e = np.zeros_like(a)
        e[at] = h
        out[at] = a[at] * (behind(graph, layer, "logits", a + e)[at[0], k] - behind(graph, layer, "logits", a - e)[at[0], k]) / (2 * h)
    return out


def lengths_between(graph: Graph, x: Array, lower: str, upper: str, h: float = 1e-6) -> Array:
    """Σ_c a_c ∂|b(p)| / ∂a_c by central differences of the length itself."""
    a = _value(graph, x, lower)
    space = _value(graph, x, upper).shape[2:]
    out = np.zeros((*space, *a.shape[2:]))
    for at in np.ndindex(*a.shape):
        e = np.zeros_like(a)
        e[at] = h
        up, down = (np.sqrt((behind(graph, lower, upper, a + s * e)[0] ** 2).sum(axis=0)) for s in (1, -1))
        out[(..., *at[2:])] += a[at] * (up - down) / (2 * h)
    return out


def changed_pixels(graph: Graph, layer: str, unit: tuple[int, ...], rng: np.random.Generator, tries: int = 30) -> Array:
    """Every entry of the input is really changed, on several networks of this structure with weights of one sign, on inputs > 0 whose size
    varies, so that every entry of a window is the largest in turn."""
    spec = graph.inputs["x"].shape[1:]
    seen = np.zeros([n or 1 for n in spec], bool)
    positive = Graph(graph.inputs, {k: np.abs(v) + 0.1 for k, v in graph.params.items()}, graph.nodes, graph.outputs)
    for _ in range(tries):
        x = rng.uniform(0.1, 1, (1, *seen.shape))
        own: Any = (slice(None), *unit)
        base = _value(positive, x, layer)[own]
        many = np.repeat(x, x.size, axis=0)
        many.reshape(x.size, -1)[np.arange(x.size), np.arange(x.size)] += 10
        seen |= (_value(positive, many, layer)[own] != base).reshape(seen.shape)
    return seen


def cells_by_hand(vectors: Array, layout: Array, cells: int) -> Array:
    """Mean vectors of a square grid over the layout, margins of 10 % beyond the 1st and 99th percentile."""
    out = [[[0.0] * len(vectors[0]) for _ in range(cells)] for _ in range(cells)]
    low, high = np.percentile(layout, 1, axis=0), np.percentile(layout, 99, axis=0)
    wide = [h - v for v, h in zip(low, high)]
    edges = [[low[k] - 0.1 * wide[k] + 1.2 * wide[k] * c / cells for c in range(cells + 1)] for k in (0, 1)]
    for r in range(cells):
        for c in range(cells):
            inside = [v for v, (a, b) in zip(vectors, layout) if edges[0][c] <= a < edges[0][c + 1] and edges[1][r] <= b < edges[1][r + 1]]
            if inside:
                out[r][c] = [sum(v[i] for v in inside) / len(inside) for i in range(len(vectors[0]))]
    return np.array(out)


def moved_earth(low: Sequence[float], high: Sequence[float]) -> float:
    """The least mean distance over all ways to match two sets of equal size, signed by the means."""
    best = min(sum(abs(a - b) for a, b in zip(low, order)) for order in itertools.permutations(high)) / len(low)
    return math.copysign(best, sum(high) - sum(low))


# ----- the table ------------------------------------------------------------------------------------------------------------------


def _normal(*shapes: tuple[int, ...]) -> Any:
    return lambda rng: tuple(rng.normal(size=s) for s in shapes)


def _quantile_groups(h: Array, x: Array) -> Array:
    out = []
    for unit in h.T:
        line = []
        for f in x.T:
            order = sorted(range(len(f)), key=lambda n: f[n])
            line.append(moved_earth([unit[n] for n in order[:3]], [unit[n] for n in order[-3:]]))
        out.append(line)
    return np.array(out)


def _in_net(rng: np.random.Generator) -> tuple[Any, ...]:
    return net(rng), rng.normal(size=(1, 2, 5, 5))


def _sorted_patches(graph: Graph, x: Array) -> list[tuple[float, ...]]:
    a = _value(graph, x, "seen")[:, 1]
    best = [max((float(a[n, i, j]), -n, i, j) for i in range(a.shape[1]) for j in range(a.shape[2])) for n in range(len(a))]
    return [(v, -n, i, j) for v, n, i, j in sorted(best, reverse=True)[:3]]


def _reduced(graph: Graph, x: Array, d: Array) -> Array:
    """Ten right-hand slopes on the line from zero activations, one after the other; loadings over all faces; sums."""
    a = _value(graph, x, "pool")
    g = np.zeros_like(a)
    for k in range(1, 11):
        for at in np.ndindex(*a.shape):
            e = np.zeros_like(a)
            e[at] = 1e-6
            up, down = (behind(graph, "pool", "logits", k / 10 * a + s * e)[at[0], 0] for s in (1, -1))
            g[at] += (up - down) / 2e-6 / 10
    raw = np.moveaxis(a * g, 1, -1)
    rows = raw.reshape(-1, raw.shape[-1])
    t = np.array(loadings_by_faces(np.maximum(rows, 0), d)) - np.array(loadings_by_faces(np.maximum(-rows, 0), d))
    t = t * np.abs(d).sum(axis=1)
    return np.hstack([t, rows.sum(axis=1, keepdims=True) - t.sum(axis=1, keepdims=True)])


def _reduced_by_tool(graph: Graph, x: Array, d: Array) -> Array:
    found = sequence.reduced_attributions(graph, x, "pool", nmf.Groups(np.zeros((1, len(d))), d), 0)
    return np.hstack([found.reduced.reshape(-1, len(d)), found.residual.reshape(-1, 1)])


def _group_parts(graph: Graph, x: Array) -> Array:
    groups = nmf.neuron_groups(graph, x, "deep", 2)
    return blocks.blocks(graph, x, "deep", 1).groups(groups)[0]


def _group_loops(graph: Graph, x: Array) -> Array:
    groups = nmf.neuron_groups(graph, x, "deep", 2)
    a = _value(graph, x, "deep")
    w = graph.params["w3"][1].reshape(a.shape[1:])                       # the slope of a dense end is its weights
    return np.array([[sum(groups.loadings[0, i, j, g] * groups.directions[g, c] * w[c, i, j] for c, i, j in np.ndindex(*w.shape))
                      for g in range(2)]])


def merged_by_means(rows: Array, count: int) -> list[bool]:
    """Which pairs are in one of ``count`` clusters, when the two with the least mean distance over all pairs are merged again and again."""
    far = [[math.dist(a, b) for b in rows] for a in rows]
    groups = [[k] for k in range(len(rows))]
    while len(groups) > count:
        i, j = min(itertools.combinations(range(len(groups)), 2), key=lambda ij: float(np.mean([[far[a][b] for b in groups[ij[1]]]
                                                                                                for a in groups[ij[0]]])))
        groups[i] += groups.pop(j)
    return [any(a in g and b in g for g in groups) for a in range(len(rows)) for b in range(len(rows))]


_FD = 1e-7                                                               # central differences: 1e-16 / 1e-6 of values near 10, twice
_ROWS: dict[str, Second] = {
    "cca": Second("eigenvalues of covariance matrices", _normal((12, 3), (12, 2)), lambda x, y: svcca.cca(x, y).correlations,
                  by_covariances),
    "svcca": Second("eigenvectors of the covariance, then covariances again", _normal((14, 4), (14, 5)),
                    lambda x, y: svcca.svcca(x, y, 0.8).correlations, lambda x, y: by_covariances(principal(x, 0.8), principal(y, 0.8))),
    "pwcca": Second("eigenvectors as directions, weights by loops", _normal((12, 2), (12, 3)), svcca.pwcca, weighted_correlations),
    "svcca_fourier": Second("Fourier transform as double sums, whitening by eigenvectors", _normal((9, 2, 3, 2), (9, 3, 3, 2)),
                            lambda x, y: svcca.svcca_fourier(x, y, 1.0), at_frequencies),
    "cka": Second("a sum over all quadruples of samples", _normal((6, 3), (6, 2)),
                  lambda x, y: [cka.cka(x, y, k, 0.7, u) for k in cka.KERNELS for u in (False, True)],
                  lambda x, y: [alignment(x, y, k, 0.7, u) for k in cka.KERNELS for u in (False, True)]),
    "tsne": Second("bisection row by row; central differences of a double sum", _normal((7, 3), (7, 2)),
                   lambda x, y: [*(p := tsne.affinities(x, 3.0)).reshape(-1), *tsne.gradient(p, y).reshape(-1)],
                   lambda x, y: [*(p := np.array(affinities_by_rows(x, 3.0))).reshape(-1), *np.array(tsne_slope(p, y)).reshape(-1)], 1e-7),
    # h² times third derivatives, and 1e-16 / h: some 1e-9
    "meta_sne": Second("distances by four nested loops", _normal((5, 3), (5, 2), (5, 4)),
                       lambda *xs: meta_sne.representation_distances(xs), lambda *xs: apart(xs)),
    "neighbours": Second("sorting all distances", _normal((8, 3)), lambda x: neighbours.neighbours(x, k=3).indices,
                         lambda x: nearest_by_sorting(x, 3)),
    "nmf": Second("the largest singular value by power iteration, for one group", lambda rng: (rng.uniform(0, 1, (6, 4)),),
                  lambda a: nmf.nmf(a, 1, 500, tolerance=0).residual, one_group),
    "neuron_groups": Second("slopes of the dense end read off its weights, group by group", _in_net, _group_parts, _group_loops),
    "reduced_attributions": Second("slopes one unit at a time, non-negative least squares over all faces",
                                   lambda rng: (*_in_net(rng), rng.uniform(0.1, 1, (2, 3))), _reduced_by_tool, _reduced, _FD),
    "advantages": Second("sums over all later steps", _normal((6,), (6,)), lambda r, v: sequence.advantages(r, v, 0.9, 0.8),
                         lambda r, v: advantage_sums(list(r), list(v), 0.9, 0.8)),
    "timeline": Second("sums over positions by loops", _normal((3, 2, 2, 2), (3, 2, 2), (3,)),
                       lambda r, s, v: sequence.timeline(sequence.Reduced(r, s, np.zeros((3, 1, 2, 2)), v, v * 0)).groups,
                       lambda r, s, v: [[sum(r[t, i, j, g] for i in range(2) for j in range(2)) for g in range(2)] for t in range(3)]),
    "feature_maps": Second("the loop of the convolution", _in_net, lambda g, x: patches.feature_maps(g, x, "conv"),
                           lambda g, x: [[[[g.params["b1"][o] + sum(
                               g.params["w1"][o, c, k, m] * x[0, c, i + k - 1, j + m - 1]
                               for c in range(2) for k in range(3) for m in range(3) if 0 <= i + k - 1 < 5 and 0 <= j + m - 1 < 5)
                               for j in range(5)] for i in range(5)] for o in range(3)]]),
    "top_patches": Second("sorting every position of every sample", lambda rng: (net(rng), rng.normal(size=(4, 2, 5, 5))),
                          lambda g, x: [(p.value, p.sample, *p.position) for p in patches.top_patches(g, x, "seen", 1, 3)],
                          _sorted_patches),
    "receptive_field": Second("every pixel is really changed",
                              lambda rng: (net(rng), tuple(int(v) for v in rng.integers(0, (3, 4, 4))), rng),
                              lambda g, u, rng: receptive.receptive_field(g, "deep", u).mask.astype(float),
                              lambda g, u, rng: changed_pixels(g, "deep", u, rng).astype(float)),
    "semantic_dictionary": Second("sorting channels, position by position", _in_net,
                                  lambda g, x: dictionary.semantic_dictionary(g, x, "conv", 2).channels,
                                  lambda g, x: [[sorted(range(3), key=lambda c: -_value(g, x, "conv")[0, c, i, j])[:2] for j in range(5)]
                                                for i in range(5)]),
    "activation_grid": Second("one position after the other", _in_net, lambda g, x: dictionary.activation_grid(g, x, "conv").norms,
                              lambda g, x: [[math.hypot(*_value(g, x, "conv")[0, :, i, j]) for j in range(5)] for i in range(5)]),
    "atlas": Second("edges of the cells by hand", _normal((40, 3), (40, 2)), lambda v, at: dictionary.atlas(v, at, 3).vectors,
                    lambda v, at: cells_by_hand(v, at, 3)),
    "blocks": Second("every unit of the layer is changed by itself", _in_net, lambda g, x: blocks.blocks(g, x, "seen", 0).units,
                     lambda g, x: layer_slopes(g, x, "seen", 0), _FD),
    "between": Second("central differences of the lengths", _in_net, lambda g, x: blocks.between(g, x, "seen", "deep"),
                      lambda g, x: lengths_between(g, x, "seen", "deep"), _FD),
    "responses": Second("all ways to match the low with the high samples", _normal((12, 2), (12, 3)),
                        lambda h, x: recurrent.responses(h, x, 0.2), _quantile_groups),
    "clusters": Second("all mean distances anew before each merge", _normal((7, 5)),
                       lambda r: [a == b for labels in (lambda c: (c.units, c.features))(recurrent.clusters(r, 3, 2)) for a in labels
                                  for b in labels],
                       lambda r: merged_by_means(r, 3) + merged_by_means(r.T, 2)),
    "importance_over_time": Second("central differences, entry by entry", _in_net, lambda g, x: recurrent.importance_over_time(g, x, 1),
                                   lambda g, x: abs(x * central_differences(g, x, lambda y: float(y[0, 1]))), _FD),
    "activations": Second("the whole batch at once", lambda rng: (net(rng), rng.normal(size=(5, 2, 5, 5))),
                          lambda g, x: features.activations(g, x, "pool", 2)["pool"], lambda g, x: _value(g, x, "pool")),
}
REPRESENT_TWINS: Mapping[str, Second] = MappingProxyType(_ROWS)
