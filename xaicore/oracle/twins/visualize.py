"""Second opinions on made images: objectives as loops with central differences, presets as the published loop on a linear network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.graph import Builder, Graph
from xaicore.numerics import Array
from xaicore.ops import Conv, Dense, Flatten, Softplus
from xaicore.oracle.twins.second import Second
from xaicore.visualize import objectives as o
from xaicore.visualize.objective import Objective, bind
from xaicore.visualize.presets import PRESETS
from xaicore.visualize.search import render

# ----- objectives -----------------------------------------------------------------------------------------------------


def slopes(f: Callable[[Array], float], a: Array, h: float = 1e-5) -> Array:
    """Central differences of a number."""
    out = np.zeros_like(a)
    for at in np.ndindex(*a.shape):
        e = np.zeros_like(a)
        e[at] = h
        out[at] = (f(a + e) - f(a - e)) / (2 * h)
    return out


def _measured(objective: Objective, a: Array) -> list[float]:
    """The number of each sample and the gradient, by the objective itself."""
    (term,) = objective.terms
    scores, g = term.measure(a)
    return [*scores, *g.reshape(-1)]


def _looped(value: Callable[[Array], Any], a: Array) -> list[float]:
    """``value`` gives the numbers of all samples, by loops."""
    return [*value(a), *slopes(lambda x: float(sum(value(x))), a).reshape(-1)]


def _each(value: Callable[[Any], float]) -> Callable[[Array], list[float]]:
    return lambda a: [value(one) for one in a]


def gram(one: Any) -> list[list[float]]:
    """Products of channels, summed over positions."""
    rows = [np.ravel(c) for c in one]
    return [[float(sum(x * y for x, y in zip(r, s))) for s in rows] for r in rows]


def unlike(a: Array) -> list[float]:
    """-Σ_j cos(G_i, G_j) / N."""
    flat = [np.ravel(gram(one)) for one in a]

    def cos(u: Any, v: Any) -> float:
        return float(sum(x * y for x, y in zip(u, v)) / math.sqrt(sum(x * x for x in u) * sum(y * y for y in v)))

    return [-sum(cos(flat[i], flat[j]) for j in range(len(a)) if j != i) / len(a) for i in range(len(a))]


def _towards(one: Any, v: Any, power: float) -> float:
    total, cells = 0.0, list(np.ndindex(*one.shape[1:]))
    for at in cells:
        here = [one[(c, *at)] for c in range(len(v))]
        dot = sum(x * y for x, y in zip(here, v))
        cos = dot / math.sqrt(sum(x * x for x in here) * sum(y * y for y in v))
        total += dot * max(cos, 0.1) ** power
    return total / len(cells)


def _variation(one: Any, power: float) -> float:
    total = 0.0
    for c in one:
        for i in range(len(c)):
            for j in range(len(c[0])):
                right = c[i][j + 1] - c[i][j] if j + 1 < len(c[0]) else 0.0
                below = c[i + 1][j] - c[i][j] if i + 1 < len(c) else 0.0
                total += (right**2 + below**2) ** (power / 2)
    return float(total)


def _guided(one: Any, example: Any) -> float:
    cells, places = list(np.ndindex(*one.shape[1:])), list(np.ndindex(*example.shape[1:]))
    return float(sum(max(sum(one[(c, *p)] * example[(c, *q)] for c in range(len(one))) for q in places) for p in cells))


def net(rng: np.random.Generator) -> Graph:
    """A smooth network on (N, 2, 3, 3) with three classes."""
    b = Builder("smooth")
    h = b.add(Conv(), b.input("x", (None, 2, 3, 3)), b.param("w", rng.normal(size=(3, 2, 2, 2))), name="conv")
    h = b.add(Softplus(), h, name="soft")
    return b.build(b.add(Dense(), b.add(Flatten(), h), b.param("v", rng.normal(size=(3, 12))), name="logits"))


def _through(objective: Objective) -> Callable[[Graph, Array], list[float]]:
    def run(graph: Graph, x: Array) -> list[float]:
        scores, g, _ = bind(graph, objective).at(x)
        return [*scores, *g.reshape(-1)]

    return run


def _shares(z: Any) -> list[float]:
    e = [math.exp(v) for v in z]
    return [v / sum(e) for v in e]


def _maps(n: int = 2) -> Callable[[np.random.Generator], tuple[Any, ...]]:
    return lambda rng: (rng.normal(size=(n, 3, 2, 3)),)


def _with_net(rng: np.random.Generator) -> tuple[Any, ...]:
    return net(rng), rng.normal(size=(2, 2, 3, 3))


_FD = 1e-7                                                               # h² = 1e-10 times third derivatives of some 10², and 1e-16 / h
V = (0.5, -1.0, 2.0)
EXAMPLE = np.random.default_rng(5).normal(size=(3, 2, 2))
ONE = np.random.default_rng(6).normal(size=(3, 2, 3))
_ROWS: dict[str, Second] = {
    "neuron": Second("the entry itself", _maps(), lambda a: _measured(o.neuron("l", 1), a),
                     lambda a: _looped(_each(lambda s: s[1, 1, 1]), a), _FD),
    "channel": Second("a mean by a loop", _maps(), lambda a: _measured(o.channel("l", 2), a),
                      lambda a: _looped(_each(lambda s: sum(s[2, i, j] for i in range(2) for j in range(3)) / 6), a), _FD),
    "layer": Second("a mean of powers by a loop", _maps(), lambda a: _measured(o.layer("l", 3), a),
                    lambda a: _looped(_each(lambda s: sum(abs(v) ** 3 for v in np.ravel(s)) / 18), a), _FD),
    "energy": Second("a sum of squares by a loop", _maps(), lambda a: _measured(o.energy("l"), a),
                     lambda a: _looped(_each(lambda s: sum(v * v for v in np.ravel(s)) / 2), a), _FD),
    "direction": Second("products and cosines position by position", _maps(), lambda a: _measured(o.direction("l", V, 2), a),
                        lambda a: _looped(_each(lambda s: _towards(s, V, 2)), a), _FD),
    "diversity": Second("cosines of all pairs, Gram matrices by loops", _maps(3), lambda a: _measured(o.diversity("l"), a),
                        lambda a: _looped(unlike, a), _FD),
    "style": Second("Gram matrices by loops", _maps(), lambda a: _measured(o.style("l", EXAMPLE), a),
                    lambda a: _looped(_each(lambda s: -sum((x / 18 - y / 12) ** 2 for x, y in zip(
                        np.ravel(gram(s)), np.ravel(gram(EXAMPLE))))), a), _FD),
    "match": Second("squares by a loop", _maps(), lambda a: _measured(o.match("l", ONE), a),
                    lambda a: _looped(_each(lambda s: -sum((x - y) ** 2 for x, y in zip(np.ravel(s), np.ravel(ONE))) / sum(
                        y * y for y in np.ravel(ONE))), a), _FD),
    "guide": Second("the best of all places, position by position", _maps(), lambda a: _measured(o.guide("l", EXAMPLE), a),
                    lambda a: _looped(_each(lambda s: _guided(s, EXAMPLE)), a), _FD),
    "l2": Second("squares by a loop", _maps(), lambda a: _measured(o.l2(), a),
                 lambda a: _looped(_each(lambda s: sum(v * v for v in np.ravel(s))), a), _FD),
    "norm": Second("powers by a loop", _maps(), lambda a: _measured(o.norm(4), a),
                   lambda a: _looped(_each(lambda s: sum(v**4 for v in np.ravel(s))), a), 1e-6),      # third derivatives of 24 |x|
    "total_variation": Second("differences pixel by pixel", _maps(), lambda a: _measured(o.total_variation(3), a),
                              lambda a: _looped(_each(lambda s: _variation(s, 3)), a), _FD),
    "class_logit": Second("the whole network by central differences", _with_net, _through(o.class_logit(1)),
                          lambda g, x: _looped(lambda y: list(g(y)[:, 1]), x), _FD),
    "class_probability": Second("a softmax by hand behind the network, central differences", _with_net, _through(o.class_probability(1)),
                                lambda g, x: _looped(lambda y: [_shares(z)[1] for z in g(y)], x), _FD),
    "difference": Second("two channels by hand, central differences through the network", _with_net,
                         _through(o.difference(o.channel("soft", 0), 2 * o.neuron("conv", 1))),
                         lambda g, x: _looped(lambda y: _softplus_less(g, y), x), _FD),
}


def _faded(a: Array) -> list[float]:
    """From the first channel's mean to an entry of the second, over three images."""
    first = [sum(s[0, i, j] for i in range(2) for j in range(3)) / 6 for s in a]
    return [first[0], first[1] / 2 + a[1, 1, 0, 2] / 2, a[2, 1, 0, 2]]


def _summed(objective: Objective, a: Array) -> list[float]:
    """All terms, which measure one layer."""
    parts = [t.measure(a) for t in objective.terms]
    return [*np.sum([s for s, _ in parts], axis=0), *np.sum([g for _, g in parts], axis=0).reshape(-1)]


def _softplus_less(g: Graph, y: Array) -> list[float]:
    w = g.params["w"]
    out = []
    for s in y:
        z = [[[sum(w[k, c, a, b] * s[c, i + a, j + b] for c in range(2) for a in range(2) for b in range(2)) for j in range(2)]
              for i in range(2)] for k in range(2)]
        out.append(sum(math.log1p(math.exp(z[0][i][j])) for i in range(2) for j in range(2)) / 4 - 2 * z[1][1][1])
    return out


# ----- presets --------------------------------------------------------------------------------------------------------------

BLACK, WHITE = -0.5, 1.5
UNIT = (WHITE - BLACK) / 255
SHAPE = (3, 5, 4)
STEPS = 7


def linear(w: Array) -> Graph:
    """f(x) = Σ w x: the gradient is w everywhere."""
    b = Builder("linear")
    flat = b.add(Flatten(), b.input("x", (None, *w.shape)), name="flat")
    return b.build(b.add(Dense(), flat, b.param("w", w.reshape(1, -1)), name="score"))


def _problem(rng: np.random.Generator) -> tuple[Any, ...]:
    return rng.normal(size=SHAPE), rng.uniform(BLACK, WHITE, SHAPE)


def _by_preset(id: str) -> Callable[[Array, Array], Array]:
    def run(w: Array, x: Array) -> Array:
        return np.asarray(render(linear(w), o.class_logit(0), id, start=x, steps=STEPS, bounds=(BLACK, WHITE), seed=3).images[0])

    return run


def _simonyan(w: Array, x: Array) -> Array:
    """From x to the stationary point of w·x - λ |x|²; 0.9 of the distance is left after each step."""
    top = w / (2 * 0.05 / (WHITE - BLACK) ** 2)
    return np.asarray(top + 0.9**STEPS * (x - top))


def _deepvis(decay: float, blur: float, norm: float, contribution: float, most: float | None) -> Callable[[Array, Array], Array]:
    """The toolbox's loop in grey levels (x' = x / UNIT), SciPy's Gaussian filter, one pixel after the other."""
    def run(w: Array, x: Array) -> Array:
        from scipy.ndimage import gaussian_filter

        x, g = x / UNIT, w * UNIT
        for k in range(STEPS):
            x = x + (100.0 if most is None else min(2.0 / float((g**2).sum()), most)) * g
            x = x * (1 - decay)
            if blur and k % 4 == 0:
                x = np.stack([gaussian_filter(c, blur) for c in x])
            for percent, size in ((norm, lambda p: math.sqrt(sum(v * v for v in p[0]))),
                                  (contribution, lambda p: abs(sum(v * s for v, s in zip(*p))))):
                if percent:
                    sizes = {at: size((x[(slice(None), *at)], g[(slice(None), *at)])) for at in np.ndindex(*SHAPE[1:])}
                    limit = np.percentile(list(sizes.values()), percent)
                    x = np.array([[[0.0 if sizes[i, j] < limit else x[c, i, j] for j in range(SHAPE[2])] for i in range(SHAPE[1])]
                                  for c in range(3)])
            x = np.minimum(np.maximum(x, BLACK / UNIT), WHITE / UNIT)
        return np.asarray(x * UNIT)

    return run


def _keras_blog(w: Array, x: Array) -> Array:
    size = math.sqrt(sum(v * v for v in np.ravel(w)) / w.size) + 1e-5
    for _ in range(20 if STEPS > 20 else STEPS):
        x = x + UNIT * w / size
    return x


def _jacobgil(w: Array, x: Array) -> Array:
    size = math.sqrt(sum(v * v for v in np.ravel(w)) / w.size) + 1e-5
    for _ in range(STEPS):
        x = x + 0.9 * UNIT * w / size
        wide = np.pad(x, ((0, 0), (1, 1), (1, 1)), "symmetric")
        blurred = sum(wide[:, i:i + SHAPE[1], j:j + SHAPE[2]] for i in range(3) for j in range(3)) / 9
        clipped = np.where(abs(x) < np.percentile([abs(v) for v in x.flat], 1), 0, x)
        x = (3 * blurred + 3 * 0.8 * x + clipped) / 7
    return x


def _deepdream(w: Array, x: Array) -> Array:
    rng = np.random.default_rng(3)
    for _ in range(STEPS):
        by = int(rng.integers(-32, 33)), int(rng.integers(-32, 33))
        g = np.roll(w, (-by[0], -by[1]), (1, 2))
        x = np.clip(x + 1.5 * UNIT * g / np.abs(g).mean(), BLACK, WHITE)
    return x


def _adam(p: Array, slope: Callable[[Array], Array], rate: float, after: Callable[[Array], Array] = lambda p: p) -> Array:
    """Adam entry by entry, as in the paper's algorithm 1."""
    m, v, flat = [0.0] * p.size, [0.0] * p.size, [float(e) for e in p.reshape(-1)]
    for t in range(1, STEPS + 1):
        g = slope(np.array(flat).reshape(p.shape)).reshape(-1)
        for k in range(p.size):
            m[k], v[k] = 0.9 * m[k] + 0.1 * g[k], 0.999 * v[k] + 0.001 * g[k] ** 2
            flat[k] += rate * (m[k] / (1 - 0.9**t)) / (math.sqrt(v[k] / (1 - 0.999**t)) + 1e-8)
        flat = list(after(np.array(flat)))
    return np.array(flat).reshape(p.shape)


def _fooling(w: Array, x: Array) -> Array:
    return _adam(x, lambda _: w, 2 * UNIT, lambda p: np.clip(p, BLACK, WHITE))


def _basis() -> Array:
    """What each real and imaginary coefficient adds to one channel: a sum of cosines, written out. (2, H, W//2+1, H, W)."""
    h, w = SHAPE[1:]
    out = np.zeros((2, h, w // 2 + 1, h, w))
    for k in range(h):
        for m in range(w // 2 + 1):
            f = math.hypot(min(k, h - k) / h, m / w)
            scale = math.sqrt(h * w) / max(f, 1 / max(h, w)) / 4
            twice = 1 if m == 0 or 2 * m == w else 2
            for i in range(h):
                for j in range(w):
                    angle = 2 * math.pi * (k * i / h + m * j / w)
                    out[0, k, m, i, j] = scale * twice * math.cos(angle) / (h * w)
                    out[1, k, m, i, j] = -scale * twice * math.sin(angle) / (h * w)
    return out


_COLOURS = ((0.26, 0.09, 0.02), (0.27, 0.0, -0.05), (0.27, -0.09, 0.03))


def _fourier_image(p: Array) -> Array:
    size = max(math.sqrt(sum(row[k] ** 2 for row in _COLOURS)) for k in range(3))
    flat = np.einsum("rckm,rkmij->cij", p, _basis())
    z = sum(np.array(_COLOURS)[:, k, None, None] / size * flat[k] for k in range(3))
    return np.asarray(BLACK + (WHITE - BLACK) / (1 + np.exp(-np.asarray(z))))


def _start(seed: int = 3) -> Array:
    return np.random.default_rng(seed).normal(size=(2, 1, 3, SHAPE[1], SHAPE[2] // 2 + 1))[:, 0] * 0.01


def _olah(w: Array, x: Array) -> Array:
    """From the drawn coefficients, without transformations; slopes of the score by central differences."""
    return _fourier_image(_adam(_start(), lambda p: slopes(lambda q: float((w * _fourier_image(q)).sum()), p), 0.05))


def _olah_by_preset(id: str) -> Callable[[Array, Array], Array]:
    def run(w: Array, x: Array) -> Array:
        plain = replace(PRESETS[id].make((BLACK, WHITE)), transforms=())
        return np.asarray(render(linear(w), o.class_logit(0), plain, steps=STEPS, bounds=(BLACK, WHITE), seed=3).images[0])

    return run


def _inversion(w: Array, x: Array) -> Array:
    """The minimum of |Ax - a|² / |a|² + μ TV(x), a quadratic function: its normal equations."""
    many = np.random.default_rng(9).normal(size=(40, w.size))
    goal = many @ x.reshape(-1)
    mu = 1e-8 / UNIT**2

    number = np.arange(w.size).reshape(SHAPE)
    second = np.zeros((w.size, w.size))
    for pairs in (zip(number[:, :, 1:].flat, number[:, :, :-1].flat), zip(number[:, 1:].flat, number[:, :-1].flat)):
        for p, q in pairs:                                              # (x_p - x_q)² as a matrix
            second[p, p] += 1
            second[q, q] += 1
            second[p, q] -= 1
            second[q, p] -= 1
    size = float((goal**2).sum())
    return np.linalg.solve(many.T @ many / size + mu * second, many.T @ goal / size).reshape(SHAPE)


def _inversion_by_preset(w: Array, x: Array) -> Array:
    many = np.random.default_rng(9).normal(size=(40, w.size))
    b = Builder("many")
    flat = b.add(Flatten(), b.input("x", (None, *SHAPE)), name="flat")
    graph = b.build(b.add(Dense(), flat, b.param("w", many), name="seen"))
    made = render(graph, o.match("seen", many @ x.reshape(-1)), "inversion", steps=5000, bounds=(BLACK, WHITE))
    return np.asarray(made.images[0])


_FOURIER = 1e-5                                                          # Adam divides slopes by their own size: an error of 1e-9 counts
TOOLBOX = "the toolbox's loop in grey levels, pixel by pixel"
_PRESETS: dict[str, Second] = {
    "simonyan": Second("the maximum in closed form", _problem, _by_preset("simonyan"), _simonyan),
    "yosinski1": Second(TOOLBOX, _problem, _by_preset("yosinski1"), _deepvis(0, 0.5, 50, 0, 100)),
    "yosinski2": Second(TOOLBOX, _problem, _by_preset("yosinski2"), _deepvis(0.3, 0, 20, 0, None)),
    "yosinski3": Second(TOOLBOX, _problem, _by_preset("yosinski3"), _deepvis(1e-4, 1, 0, 0, None)),
    "yosinski4": Second(TOOLBOX, _problem, _by_preset("yosinski4"), _deepvis(0, 0.5, 0, 90, 1e8)),
    "keras_blog": Second("the update written out", _problem, _by_preset("keras_blog"), _keras_blog),
    "jacobgil": Second("nine shifted copies for the blur", _problem, _by_preset("jacobgil"), _jacobgil),
    "olah": Second("cosines written out, slopes by differences, Adam entry by entry; transformations are tested by themselves", _problem,
                   _olah_by_preset("olah"), _olah, _FOURIER),
    "olah_small": Second("cosines written out, slopes by differences, Adam entry by entry", _problem, _olah_by_preset("olah_small"), _olah,
                         _FOURIER),
    "deepdream": Second("the rolled gradient written out", _problem, _by_preset("deepdream"), _deepdream),
    "inversion": Second("normal equations of the quadratic problem", _problem, _inversion_by_preset, _inversion, 1e-5),
    # L-BFGS stops where the function no longer falls by 1e-14 of its size, which is quadratic in the distance; measured 1e-6
    "fooling": Second("Adam entry by entry", _problem, _by_preset("fooling"), _fooling),
}
_ROWS["interpolation"] = Second("shares written out for three images", _maps(3),
                                lambda a: _summed(o.interpolation(o.channel("l", 0), o.neuron("l", 1, (0, 2))), a),
                                lambda a: _looped(_faded, a), _FD)
OBJECTIVE_TWINS: Mapping[str, Second] = MappingProxyType(_ROWS)
PRESET_TWINS: Mapping[str, Second] = MappingProxyType(_PRESETS)
