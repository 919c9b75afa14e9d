"""Integrals of the gradient along the straight line from a baseline: by quadratures of every library, and exactly."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from xaicore.errors import ExactnessError, InputError
from xaicore.graph.passes import expand
from xaicore.methods.attribution import Attribution
from xaicore.methods.front import affine_front
from xaicore.methods.line import Line
from xaicore.methods.polyline import between
from xaicore.methods.sweep import chosen, column, quiet, reference, sweep, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, scalar
from xaicore.ops import RNN
from xaicore.rules.gradient import gradient
from xaicore.trace import backward

# ----- quadratures on [0, 1] --------------------------------------------------------------------------------------

Nodes: TypeAlias = tuple[Sequence[Fraction | float], Sequence[Fraction | float]]


@lru_cache(maxsize=16)
def _gauss_legendre(n: int) -> Nodes:
    """n zeros of the Legendre polynomial: exact for polynomials of degree 2n - 1. alibi, captum in float32 (n = 50)."""
    at, weights = np.polynomial.legendre.leggauss(n)
    return tuple(((at + 1) / 2).tolist()), tuple((weights / 2).tolist())


def _gauss_legendre_captum(n: int) -> Nodes:
    """The same with weights rounded to float32, as captum and inseq have them in every pipeline: about 1e-9 off in float64."""
    at, weights = _gauss_legendre(n)
    return at, [float(np.float32(w)) for w in weights]


def _left(n: int) -> Nodes:
    """k/n for k = 0 .. n-1. iNNvestigate (n = 64), captum riemann_left."""
    return [Fraction(k, n) for k in range(n)], [Fraction(1, n)] * n


def _right(n: int) -> Nodes:
    """k/n for k = 1 .. n. zennit (n = 20), DeepExplain (n = 100), captum riemann_right; the paper's own sum."""
    return [Fraction(k + 1, n) for k in range(n)], [Fraction(1, n)] * n


def _midpoint(n: int) -> Nodes:
    """(k + 1/2)/n for k = 0 .. n-1. deeplift's helper, captum riemann_middle."""
    return [Fraction(2 * k + 1, 2 * n) for k in range(n)], [Fraction(1, n)] * n


def _trapezoid(n: int) -> Nodes:
    """n intervals, so n + 1 nodes k/n, the ends at half weight. The authors' code (n = 50)."""
    return [Fraction(k, n) for k in range(n + 1)], [Fraction(1, 2 * n), *[Fraction(1, n)] * (n - 1), Fraction(1, 2 * n)]


def _trapezoid_xplique(n: int) -> Nodes:
    """n nodes, so n - 1 intervals, the ends at half weight; n >= 2. xplique (n = 50)."""
    _at_least_two("trapezoid_xplique", n)
    return _trapezoid(n - 1)


def _trapezoid_captum(n: int) -> Nodes:
    """n nodes k/(n-1) with weights 1/n, half at the ends, n >= 2: they sum to (n-1)/n. captum and alibi riemann_trapezoid."""
    _at_least_two("trapezoid_captum", n)
    return _trapezoid(n - 1)[0], [Fraction(1, 2 * n), *[Fraction(1, n)] * (n - 2), Fraction(1, 2 * n)]


def _inclusive_mean(n: int) -> Nodes:
    """The mean over n nodes k/(n-1), both ends at full weight. PAIR saliency (n = 25), trulens (50), tf-explain (10)."""
    return [Fraction(k, max(n - 1, 1)) for k in range(n)], [Fraction(1, n)] * n


def _at_least_two(name: str, n: int) -> None:
    if n < 2:
        raise InputError(f"quadrature={name!r} has both ends of the path among its nodes; steps={n} must be at least 2")


QUADRATURES: Mapping[str, Callable[[int], Nodes]] = MappingProxyType({
    "gauss_legendre": _gauss_legendre, "gauss_legendre_captum": _gauss_legendre_captum, "left": _left, "right": _right,
    "midpoint": _midpoint, "trapezoid": _trapezoid,
    "trapezoid_xplique": _trapezoid_xplique, "trapezoid_captum": _trapezoid_captum, "inclusive_mean": _inclusive_mean,
})
"""name -> (steps -> (nodes, weights)). Weights sum to 1, but for trapezoid_captum. The docstrings say who uses which."""


# ----- methods ----------------------------------------------------------------------------------------------------


def integrated_gradients(
    task: Task, baseline: Any = 0, steps: int = 50, quadrature: str = "gauss_legendre", multiply: bool = True,
) -> Attribution:
    """A_i = (x_i - x0_i) Σ_k w_k ∂f/∂x_i(x0 + α_k (x - x0)), a quadrature of the integral over α from 0 to 1.

    baseline    x0: a number, one sample, a batch, or a mapping by input name
    steps       of the quadrature; QUADRATURES says how many nodes that are
    multiply    False leaves the factor (x - x0) out: the averaged gradient (tf-explain)

    Values in the shape of the inputs. ``extras["alphas"]`` (K,) are the nodes and ``extras["curve"]`` (N, K) is f there, the
    saturation curve. Raises UnknownName for a quadrature that does not exist, InputError for steps < 1, ExactnessError for
    gauss_legendre in exact mode, whose nodes are irrational. Source: sundararajan2017, eq. 1 and 3. The sum misses
    f(x) - f(x0) by the quadrature's error; integrated_gradients.exact has none on piecewise-linear graphs. Differs: libraries
    differ in the quadrature (see QUADRATURES) and in explaining a probability (output="probability") or a logit.
    """
    steps = whole("steps", steps, 1)
    rule = QUADRATURES[chosen("quadrature", quadrature, QUADRATURES)]
    start = reference(task, baseline, "baseline")
    nodes, weights = rule(steps)
    like = task.feeds[task.wrt[0]]
    alphas, w = numbers_of(nodes, like, quadrature), numbers_of(weights, like, quadrature)
    rows, k = np.repeat(np.arange(task.size), len(alphas)), np.tile(np.arange(len(alphas)), task.size)
    mean, curve = _integral(task, start, rows, alphas[k], w[k])
    parts = {name: (task.feeds[name] - start[name]) * g if multiply else g for name, g in mean.items()}
    return _attribution(task, "integrated_gradients", parts, start, {"alphas": alphas, "curve": curve.reshape(task.size, -1)})


def integrated_gradients_exact(task: Task, baseline: Any = 0, max_pieces: int = 100_000) -> Attribution:
    """A_i = (x_i - x0_i) Σ_p (α_{p+1} - α_p) ∂f/∂x_i in the middle of piece p: the integral itself, for piecewise-linear f.

    The pieces are found exactly: at every ReLU, clip, absolute value and maximum (pooling too) the zero or the crossing is
    solved for on each piece, in the order of the graph. Values in the shape of the inputs; f(x) - f(x0) - ΣA is rounding,
    and Fraction(0) in exact mode. ``extras``: "pieces" (N,), "breakpoints" and "curve": for each sample the α of the kinks
    with 0 and 1, and f there. A float32 graph has its kinks found in float64.

    baseline     as for integrated_gradients
    max_pieces   Inapplicable for a sample whose line has more

    Inapplicable, naming the node, when a product of two moving values, a softmax or another bent function lies on the path.
    Source: sotoudeh2019 for the kinks, sundararajan2017 for the integral. The pieces are those of all units before the
    explained value, so f itself may have fewer. A unit that is zero along a whole piece has no derivative there: the
    convention at the kink (ReLU: 0) decides, and only single attributions, never the sum, depend on it. No library has it, as far as we
    know.
    """
    max_pieces = whole("max_pieces", max_pieces, 1)
    start = reference(task, baseline, "baseline")
    breaks, curves = kinks_of(task, start, max_pieces)
    like = task.feeds[task.wrt[0]]
    rows = np.repeat(np.arange(task.size), [len(b) - 1 for b in breaks])
    middles = np.concatenate([(b[:-1] + b[1:]) / 2 for b in breaks])
    widths = np.concatenate([np.diff(b) for b in breaks])
    mean, _ = _integral(task, start, rows, middles, widths.astype(like.dtype))
    parts = {k: (task.feeds[k] - start[k]) * g for k, g in mean.items()}
    extras = {"pieces": np.array([len(b) - 1 for b in breaks]), "breakpoints": tuple(breaks), "curve": tuple(curves)}
    return _attribution(task, "integrated_gradients.exact", parts, start, extras)


def interior_gradients(task: Task, alphas: Any = None, baseline: Any = 0, steps: int = 50, multiply: bool = True) -> Attribution:
    """A_i = (x_i - x0_i) Σ_k (α_k - α_{k-1}) ∂f/∂x_i(x0 + α_k (x - x0)): the gradients of counterfactuals, kept one by one, and their sum.

    alphas      ascending numbers in (0, 1], α_0 = 0; default k/steps for k = 1 .. steps, with which A is integrated_gradients with
                quadrature="right"; with a last α below 1 A is what has come together up to there
    baseline    x0: a number, one sample, a batch, or a mapping by input name; the paper's is black
    multiply    False leaves the factor (x - x0) out: the cumulative gradient

    Values in the shape of the inputs. ``extras``: "gradients", by input (K, N, ...), "alphas" (K,) and "curve" (N, K), f at every α, the
    saturation curve. Raises InputError for alphas that do not ascend or lie outside (0, 1]. Source: sundararajan2016. No library has it.
    The gradient at α = 1 is the method "gradient", the paper's final gradients.
    """
    start, like = reference(task, baseline, "baseline"), task.feeds[task.wrt[0]]
    given = [Fraction(k + 1, whole("steps", steps, 1)) for k in range(whole("steps", steps, 1))] if alphas is None else alphas
    at = _ascending(given, like)
    parts = {k: task.feeds[k] * scalar(0, like) for k in task.wrt}
    stack: dict[str, list[Array]] = {k: [] for k in task.wrt}
    curve, every, before = [], np.arange(task.size), scalar(0, like)
    for step, a in enumerate(at):
        if task.progress is not None:
            task.progress(step, len(at))
        point = {k: np.asarray((1 - a) * start[k] + a * task.feeds[k]).astype(like.dtype) for k in task.wrt}
        grads, f = quiet(task).gradients(point, every)
        curve.append(f)
        for k, g in grads.items():
            stack[k].append(g)
            parts[k] = parts[k] + (a - before) * g
        before = a
    if task.progress is not None:
        task.progress(len(at), len(at))
    parts = {k: (task.feeds[k] - start[k]) * v if multiply else v for k, v in parts.items()}
    extras = {"gradients": {k: np.stack(v) for k, v in stack.items()}, "alphas": at, "curve": np.stack(curve, axis=1)}
    return _attribution(task, "interior_gradients", parts, start, extras)


def _ascending(alphas: Any, like: Array) -> Array:
    try:
        at = np.array([scalar(v, like) for v in alphas], dtype=like.dtype)
    except (TypeError, ValueError):
        raise InputError(f"alphas={alphas!r:.60} must be a sequence of numbers") from None
    if not len(at) or not (at > 0).all() or not (at <= 1).all() or (np.diff(at) <= 0).any():
        raise InputError(f"alphas={alphas!r:.60} must ascend, and lie in (0, 1]")
    return at


# ----- helpers ----------------------------------------------------------------------------------------------------


def numbers_of(values: Sequence[Fraction | float], like: Array, quadrature: str) -> Array:
    """Nodes or weights in the arithmetic of ``like``; ExactnessError for irrational ones in exact mode."""
    if like.dtype == object and any(isinstance(v, float) for v in values):
        raise ExactnessError(f"the nodes of quadrature={quadrature!r} are irrational, so it has no exact value; use quadrature='midpoint' "
                             f"(or left, right, trapezoid), or integrated_gradients.exact")
    return np.array([scalar(v, like) for v in values], dtype=like.dtype)


def kinks_of(task: Task, start: Mapping[str, Array], max_pieces: int = 100_000) -> tuple[list[Array], list[Array]]:
    """For each sample the α of the kinks on its line, 0 and 1 at the ends, and f there."""
    breaks, curves = [], []
    for n in range(task.size):
        found, values = _line(task, start, n, max_pieces).kinks()
        breaks.append(found)
        curves.append((values * task.weights[n]).reshape(len(values), -1).sum(axis=1))
    return breaks, curves


def _line(task: Task, start: Mapping[str, Array], n: int, most: int) -> Line:
    """The line of sample n, an RNN step by step. In float32 half of the digits of α would be rounding: kinks are found in float64."""
    assert task.trace is not None
    graph = expand(task.graph, (RNN,), {k: v.shape for k, v in task.trace.values.items()})
    wide = "exact" if task.graph.dtype == "exact" else "float64"

    def one(x: Array) -> Array:
        return x[n:n + 1].astype(np.float64) if x.dtype == np.float32 else x[n:n + 1]

    fixed = {k: one(v) for k, v in task.feeds.items() if k not in task.wrt}
    ends = {k: one(task.feeds[k]) for k in task.wrt}
    return Line(graph.astype(wide), task.value, {k: one(start[k]) for k in task.wrt}, ends, fixed, task.batch_size, most)


def _integral(task: Task, start: Mapping[str, Array], rows: Array, alphas: Array, weights: Array) -> tuple[dict[str, Array], Array]:
    """Σ w ∇f over the points (1 - α) x0 + α x of each sample, and f at every point. Added up in the order of the points.

    What stands before the first bend is affine in α: there both the values and the way back are taken once, not at every point.
    """
    front = affine_front(task, LARGER * sum(task.feeds[k][0].size for k in task.wrt))
    if front is not None:
        inner, at = task.at_layer(front, start)
        assert at is not None
        mean, f = _integral(inner, at, rows, alphas, weights)
        assert task.trace is not None
        back = backward(task.trace, gradient().plan(task.graph, task.wrt, front), {front: mean[front]}).values
        return {k: back[k] if k in back else task.feeds[k] * scalar(0, task.feeds[k]) for k in task.wrt}, f
    sums = {k: task.feeds[k] * scalar(0, task.feeds[k]) for k in task.wrt}
    values = []

    def points(part: slice) -> dict[str, Array]:
        return {k: between(start[k][rows[part]], task.feeds[k][rows[part]], alphas[part]) for k in task.wrt}

    for part, grads, f in sweep(task, rows, points):
        for k, g in grads.items():
            for n, one in zip(rows[part].tolist(), column(weights[part], g) * g):
                sums[k][n] += one
        values.append(f)
    return sums, np.concatenate(values)


LARGER = 8
"""How many times as large as the inputs the last affine value may be: the gradients there are added up at every point, which takes as long
as the adjoint of a small layer. Measured: a dense layer of two thirds of the input's size, and a convolution to six times its size, each
save a fifth of the time."""


def _attribution(task: Task, method: str, parts: dict[str, Array], start: dict[str, Array], extras: dict[str, Any]) -> Attribution:
    there = quiet(task).at(start, np.arange(task.size))
    return Attribution(parts, task.result, method, task.graph, task.feeds, task.target, {}, task.words, start, there, extras=extras)
