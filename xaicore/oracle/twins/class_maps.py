"""Twins of class-activation maps and forward saliency: whole methods on the plain CNN, from the input to the map in its size."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from xaicore.numerics import Array
from xaicore.oracle.twins import maps
from xaicore.oracle.twins.draws import Rng, each, odd, telling
from xaicore.oracle.twins.maps import Map, Maps
from xaicore.oracle.twins.plain_cnn import Plain, network, rectified
from xaicore.oracle.twins.twin import Problem, Twin

# ----- from a map at a layer to the input ---------------------------------------------------------------------------------


def stretched(m: Map, size: int, how: str) -> Map:
    """A square map in another size: pixels as areas, corners onto corners, or each pixel repeated."""
    if how == "bilinear":
        return maps.resized(m, size, size)
    old = len(m)
    out = []
    for i in range(size):
        line = []
        for j in range(size):
            if how == "nearest":
                line.append(m[i * old // size][j * old // size])
            else:
                y, x = (k * (old - 1) / (size - 1) for k in (i, j))
                p, q = min(int(y), max(old - 2, 0)), min(int(x), max(old - 2, 0))
                s, t, below, right = y - p, x - q, min(p + 1, old - 1), min(q + 1, old - 1)
                line.append((1 - s) * ((1 - t) * m[p][q] + t * m[p][right]) + s * ((1 - t) * m[below][q] + t * m[below][right]))
        out.append(line)
    return out


def scaled(m: Map, how: str) -> Map:
    """By its maximum, or from 0 to 1."""
    if how.startswith("min_max"):
        return maps.min_max(m)
    top = max(0.0, max(map(max, m)))
    return [[v / top if top > 0 else 0.0 for v in row] for row in m]


def finished(m: Map, size: int, own: Mapping[str, Any]) -> list[Map]:
    """Negative part, scale and size, in the order that the settings ask for; one channel."""
    m = rectified(m) if own["relu"] else m
    how = own.get("normalize")
    if how and how.endswith("first"):
        return [stretched(scaled(m, how), size, own["upsample"])]
    m = stretched(m, size, own["upsample"])
    return [scaled(m, how) if how else m]


At = Callable[[Plain, Any, Mapping[str, Any]], Map]
"""(network, one sample, settings) -> the map at the layer."""


def _made(at: At) -> Callable[[Problem], Array]:
    def run(problem: Problem) -> Array:
        plain = Plain(problem.graph, problem.target)
        return each(problem, lambda x: finished(at(plain, x.tolist(), problem.settings), len(x[0]), problem.settings))

    return run


def _drawn(run: Callable[[Problem], Array], choices: Mapping[str, Sequence[Any]], pooled: bool = False) -> Callable[[Rng], Problem]:
    """Two samples, every setting drawn from its choices, until a map is not all 0."""
    every: dict[str, Sequence[Any]] = {
        "upsample": ("bilinear", "bilinear_corners", "nearest"), "relu": (True, True, False),
        "normalize": (None, None, None, None, "max", "min_max", "max_first", "min_max_first"), **choices}

    def draw(rng: Rng) -> Problem:
        own = {k: v[int(rng.integers(len(v)))] for k, v in every.items() if v}
        return Problem(network(rng, pooled), odd(rng, 2, 2, 6, 6), int(rng.integers(3)), own)

    return lambda rng: telling(rng, draw, run)


def value_and_slope(plain: Plain, x: Any, own: Mapping[str, Any]) -> tuple[Maps, Maps]:
    """(A, ∂f/∂A) at relu2, the default, or at relu1."""
    if own.get("layer") == "relu1":
        return [rectified(m) for m in plain.maps(x)[0]], plain.at_relu1(x)[0]
    a = plain.maps(x)[3]
    return a, plain.slopes(a)


# ----- weighed by the gradient ---------------------------------------------------------------------------------------------


def _flat(m: Map) -> list[float]:
    return [v for row in m for v in row]


def _cam(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    return maps.weighted_sum(plain.maps(x)[3], plain.w, False)


def _grad_cam(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    a, g = value_and_slope(plain, x, own)
    sign, how = -1 if own.get("counterfactual") else 1, own.get("weights", "mean")
    weights = []
    for ak, gk in zip(a, g):
        values, slopes = _flat(ak), [sign * v for v in _flat(gk)]
        if how == "guided":
            slopes = [s if s > 0 and v > 0 else 0.0 for v, s in zip(values, slopes)]
        weights.append(sum(slopes) / (1 if how == "sum" else len(slopes)))
    if how == "normalized":
        top = max(sign * v for gk in g for v in _flat(gk))
        weights = [w / (top + 1e-7) for w in weights]
    return maps.weighted_sum(a, weights, False)


def _grad_cam_plus_plus(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    a, g = value_and_slope(plain, x, own)
    how = own["weights"]
    weights = []
    for ak, gk in zip(a, g):
        values, slopes = _flat(ak), _flat(gk)
        third = sum(v * s**3 for v, s in zip(values, slopes))
        shares = []
        for s in slopes:
            total = third if how == "elementwise" else sum(values) / (len(values) if how == "mean" else 1) * s**3
            shares.append(s * s if how == "square" else s * s / (2 * s * s + total) if s != 0 and 2 * s * s + total != 0 else 0.0)
        whole = sum(shares) if how == "normalized" else len(slopes) if how == "mean" else 1
        weights.append(sum(share * max(s, 0.0) for share, s in zip(shares, slopes)) / whole if whole else 0.0)
    factor = math.exp(plain(x)) if own["score"] == "exp" else 1.0
    return maps.weighted_sum(a, [w * factor for w in weights], False)


def _by_place(positive: bool) -> At:
    """HiResCAM and Layer-CAM: each place has its own weight."""
    def at(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
        a, g = value_and_slope(plain, x, own)
        g = [rectified(m) for m in g] if positive else g
        return maps.hires_cam(a, g)

    return at


def _xgrad_cam(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    a, g = value_and_slope(plain, x, own)
    sums = [(sum(v * s for v, s in zip(_flat(ak), _flat(gk))), sum(_flat(ak))) for ak, gk in zip(a, g)]
    return maps.weighted_sum(a, [top / below if below else 0.0 for top, below in sums], False)


def _guided_grad_cam(problem: Problem) -> Array:
    plain = Plain(problem.graph, problem.target)

    def answer(x: Array) -> Any:
        (m,) = finished(_grad_cam(plain, x.tolist(), problem.settings), 6, problem.settings)
        return [[[v * s for v, s in zip(*rows)] for rows in zip(m, gk)] for gk in plain.gradient(x.tolist(), guided=True)]

    return each(problem, answer)


# ----- without a gradient --------------------------------------------------------------------------------------------------


def _score_cam(faster: bool) -> Callable[[Problem], Array]:
    def run(problem: Problem) -> Array:
        own, classes = problem.settings, [Plain(problem.graph, k) for k in range(3)]
        plain: Plain = classes[problem.target]

        def probability(x: Any) -> float:
            powers = [math.exp(one(x)) for one in classes]
            return math.exp(plain(x)) / sum(powers)

        def at(_: Plain, x: Any, __: Mapping[str, Any]) -> Map:
            a = plain.maps(x)[3]
            how, first = own["weights"], own["order"] == "normalize_first"
            found = []
            for ak in a:
                mask = stretched(maps.min_max(ak) if first else ak, 6, own["upsample"])
                mask = mask if first else maps.min_max(mask)
                seen = [[[v * h for v, h in zip(*rows)] for rows in zip(channel, mask)] for channel in x]
                found.append(probability(seen) if how == "class_softmax" else plain(seen))
            black = plain([[[own["baseline"]] * 6] * 6] * 2)
            kept = list(range(len(a)))
            if faster:
                spread = [sum((v - sum(_flat(ak)) / len(_flat(ak))) ** 2 for v in _flat(ak)) for ak in a]
                kept = sorted(kept, key=lambda k: -spread[k])[: own["top"]]
            powers = [math.exp(found[k] - black) if k in kept else 0.0 for k in range(len(a))]
            weights = {"increase": [f - black for f in found], "class_softmax": found, "softmax": [p / sum(powers) for p in powers]}[how]
            return maps.weighted_sum(a, [w if k in kept else 0.0 for k, w in enumerate(weights)], False)

        return _made(at)(problem)

    return run


def _ablation_cam(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    a = plain.maps(x)[3]
    whole = plain.behind(a)
    empty = [[own["fill"]] * len(row) for row in a[0]]
    lost = [whole - plain.behind([empty if i == k else ak for i, ak in enumerate(a)]) for k in range(len(a))]
    return maps.weighted_sum(a, [v / whole if own["weights"] == "relative" else v for v in lost], False)


def _eigen_cam(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    a = plain.maps(x)[2]
    if own["center"]:
        a = [[[v - sum(_flat(ak)) / len(_flat(ak)) for v in row] for row in ak] for ak in a]
    return maps.eigen_cam(a)


# ----- forward saliency ------------------------------------------------------------------------------------------------------


def _statistic(values: Sequence[float], how: str) -> float:
    """Of the channels at one place."""
    mean = sum(values) / len(values)
    if how == "smoe":
        logs = sum(math.log2(v + 1e-7) for v in values) / len(values)
        return float((mean + 1e-7) * (math.log2(mean + 1e-7) - logs))
    if how == "std":
        return math.sqrt(sum((v - mean) ** 2 for v in values) / (len(values) - 1))
    return mean if how == "mean" else max(values)


def _smoe(plain: Plain, x: Any, own: Mapping[str, Any]) -> Map:
    z1, _, _, a2 = plain.maps(x)
    out = [[0.0] * 6 for _ in range(6)]
    for weight, a in zip(own["weights"], ([rectified(m) for m in z1], a2)):
        raw = [[_statistic([ak[i][j] for ak in a], own["statistic"]) for j in range(len(a[0]))] for i in range(len(a[0]))]
        if own["normalize"]:
            raw = maps.gaussian_scale(raw) if own["normalize"] == "gaussian" else maps.min_max(raw)
        large = stretched(raw, 6, own["upsample"])
        out = [[p + q * weight / sum(own["weights"]) for p, q in zip(*rows)] for rows in zip(out, large)]
    return out


def _forward(problem: Problem) -> Array:
    plain = Plain(problem.graph, problem.target)
    return each(problem, lambda x: [_smoe(plain, x.tolist(), problem.settings)])


def _fastcam(problem: Problem) -> Array:
    plain, own = Plain(problem.graph, problem.target), problem.settings
    at = {"grad_cam": _grad_cam, "grad_cam_plus_plus": _grad_cam_plus_plus, "xgrad_cam": _xgrad_cam}[own["cam"]]

    def answer(x: Array) -> Any:
        s = _smoe(plain, x.tolist(), own)
        m = rectified(at(plain, x.tolist(), {"weights": "paper" if at is _grad_cam_plus_plus else "mean", "score": "linear"}))
        m = maps.min_max(stretched(m, 6, own["upsample"]))
        return [[[v * (1 - w if own["inverse"] else w) for v, w in zip(*rows)] for rows in zip(s, m)]]

    return each(problem, answer)


# ----- the table -------------------------------------------------------------------------------------------------------------

LAYERS = (None, "relu1")
HOW = "activations and gradients of the plain CNN in loops; "
_STATISTICS: dict[str, Sequence[Any]] = {
    "statistic": ("smoe", "std", "mean", "max"), "relu": (), "normalize": ("gaussian", "min_max", None, None),
    "weights": ((1, 1), (1, 3), (0.5, 0))}


def _own(how: str, run: Callable[[Problem], Array], **choices: Sequence[Any]) -> tuple[Twin, ...]:
    """One twin for each value of the first choice, the others drawn."""
    first, values = next(iter(choices.items()))
    return tuple(Twin(f"{how}, with {first}={v!r}", run, _drawn(run, {**choices, first: (v,)})) for v in values)


def _twin(how: str, at: At, **choices: Sequence[Any]) -> tuple[Twin, ...]:
    return _own(how, _made(at), **choices)


_SCORE: dict[str, Sequence[Any]] = {"weights": ("softmax", "increase", "class_softmax"), "order": ("upsample_first", "normalize_first"),
                                    "baseline": (0, 0.25)}

TWINS: Mapping[str, tuple[Twin, ...]] = MappingProxyType({
    "cam": (Twin("the head's weights times the plain CNN's maps", _made(_cam), _drawn(_made(_cam), {}, pooled=True)),),
    "grad_cam": _twin(HOW + "the weights of each library by its words", _grad_cam, weights=("mean", "sum", "guided", "normalized"),
                      layer=LAYERS, counterfactual=(True, False)),
    "guided_grad_cam": _own(HOW + "times a guided backward pass in loops", _guided_grad_cam, weights=("mean", "sum"), layer=LAYERS),
    "grad_cam_plus_plus": _twin(HOW + "α place by place", _grad_cam_plus_plus,
                                weights=("paper", "normalized", "elementwise", "mean", "square"), layer=LAYERS, score=("exp", "linear")),
    "layer_cam": _twin(HOW + "their positive part times the value", _by_place(True), layer=LAYERS),
    "hires_cam": _twin(HOW + "their product place by place", _by_place(False), layer=LAYERS),
    "xgrad_cam": _twin(HOW + "weights Σ g A / Σ A", _xgrad_cam, layer=LAYERS),
    "score_cam": _own("the plain CNN on one masked input after the other", _score_cam(False), **_SCORE),
    "faster_score_cam": _own("the same for the channels that sort first by their variance", _score_cam(True), **_SCORE, top=(1, 2, 3)),
    "ablation_cam": _twin("the plain CNN behind the layer with one channel replaced", _ablation_cam, weights=("relative", "difference"),
                          fill=(0, 0.5), normalize=(None,)),
    # 2000 turns bring the second direction down to (its share)^2000; the sign and the first direction are then right to some 1e-12
    "eigen_cam": tuple(Twin(f"power iteration on the matrix of channel products, with center={center}", _made(_eigen_cam),
                            _drawn(_made(_eigen_cam), {"center": (center,), "layer": ("conv2",)}), 1e-9) for center in (True, False)),
    "smoe": _own("logarithms, means and the error function place by place, in both scales of the plain CNN", _forward, **_STATISTICS),
    "fastcam": _own("the same times a map from 0 to 1", _fastcam, cam=("grad_cam", "grad_cam_plus_plus", "xgrad_cam"),
                    inverse=(True, False), **_STATISTICS),
})
