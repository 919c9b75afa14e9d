"""What a hidden layer does while the input goes along the line from a baseline, or is moved: conductance and internal influence."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.run import evaluate
from xaicore.methods.attribution import Attribution
from xaicore.methods.noise import noise_of
from xaicore.methods.paths import QUADRATURES, kinks_of, numbers_of
from xaicore.methods.polyline import STEPS, between
from xaicore.methods.sweep import chosen, column, parts_of, quiet, reference, whole
from xaicore.methods.task import Feeds, Task, target_weights
from xaicore.numerics import Array, filled, scalar
from xaicore.rules.gradient import gradient
from xaicore.trace import backward, forward

DISTRIBUTIONS = ("line", "point", "gaussian")
EXACT = "exact"
CAPTUM = "captum_gauss_legendre"


def conductance(
    task: Task, layer: str | None = None, neuron: Any = None, baseline: Any = 0, steps: int = 50, quadrature: str = "midpoint",
) -> Attribution:
    """C_k = ∫ ∂f/∂h_k dh_k along the line from x0 to x,  of every unit k of a layer; Σ_k C_k = f(x) - f(x0) where all paths meet it.

    layer       h. Without it the inputs themselves, where conductance is integrated_gradients
    neuron      one unit of the layer, or several (an index, a tuple, weights, as in a target): what passes through it is attributed to
                the inputs, (x - x0)_i ∫ ∂f/∂h_k ∂h_k/∂x_i dα; over all units of such a layer these add up to integrated_gradients
    baseline    x0: a number, one sample, a batch, or a mapping by input name
    quadrature  for a layer Σ_j (h(α_{j+1}) - h(α_j)) ⊙ ∂f/∂h in the "midpoint" of step j, at its "left" or "right", or both
                ("trapezoid"); "captum_gauss_legendre": steps + 1 Gauss-Legendre nodes in place of k/steps, gradients at the left (captum;
                its path does not reach 0 and 1). For a neuron a name of paths.QUADRATURES. "exact": pieces between the kinks, without
                error, where the graph is piecewise linear

    The value is at the layer, in the shape of it, under its name; with ``neuron`` at the inputs. ``baseline_output`` is f(x0), so that
    gap() is what the quadrature misses, and what goes past the layer. Raises InputError for a neuron without a layer, or that does not
    exist; Inapplicable when the layer does not lie on the way, or for "exact" on a bent graph. Cost: two forward and one backward pass
    for every step. Source: dhamdhere2019. Same as: captum LayerConductance (quadrature="left" is its riemann_trapezoid) and
    NeuronConductance (quadrature="trapezoid_captum", 2 % low at 50 steps even for a linear f).
    """
    steps = whole("steps", steps, 1)
    chosen("quadrature", quadrature, (*(STEPS if neuron is None else QUADRATURES), EXACT, *([CAPTUM] if neuron is None else [])))
    start = reference(task, baseline, "baseline")
    if layer is None and neuron is not None:
        raise InputError(f"neuron={neuron!r:.40} is one unit of a layer; name the layer with layer=")
    names = task.wrt if layer is None else (_on_the_way(task, "conductance", layer),)
    if neuron is None:
        parts = _layer_conductance(task, names, start, steps, quadrature)
    else:
        parts = _neuron_conductance(task, names[0], neuron, start, steps, quadrature)
    there = quiet(task).at(start, np.arange(task.size))
    return Attribution(parts, task.result, "conductance", task.graph, task.feeds, task.target, {}, task.words, start, there)


def internal_influence(
    task: Task, layer: str | None = None, baseline: Any = 0, steps: int = 50, quadrature: str = "gauss_legendre",
    distribution: str = "line", samples: int = 50, sigma: float = 0.15, noise: Any = "relative", seed: int = 0, multiply: bool = False,
) -> Attribution:
    """I_k = ∫ ∂f/∂h_k(z) dP(z), the mean gradient at every unit k of a layer over a distribution P of inputs: from x0 to x by default.

    layer         h, the cut; without it the inputs themselves. f is the quantity: any target
    distribution  P, of interest. "line": x0 + α (x - x0), α uniform; "point": x itself; "gaussian": x and noise
    baseline      x0: a number, one sample, a batch, or a mapping by input name
    steps, quadrature   of the line: a name of paths.QUADRATURES, or "exact" (pieces between kinks, for a piecewise-linear graph)
    samples, sigma, noise, seed   of the Gaussian, as for smoothgrad
    multiply      True: times h(x) - h(x0)

    The value is at the layer, in the shape of the layer, under its name. The one form behind others: at the inputs the point is gradient,
    the Gaussian smoothgrad, the line times x - x0 integrated_gradients. Raises what conductance does, UnknownName for a distribution.
    Source: leino2018. Same as: captum InternalInfluence; TruLens InternalInfluence with a PointDoi, LinearDoi or GaussianDoi (there
    multiply_activation=True is the default).
    """
    steps = whole("steps", steps, 1)
    chosen("quadrature", quadrature, (*QUADRATURES, EXACT))
    chosen("distribution", distribution, DISTRIBUTIONS)
    start = reference(task, baseline, "baseline")
    names = task.wrt if layer is None else (_on_the_way(task, "internal_influence", layer),)
    if distribution == "gaussian":
        draws, drawn = noise_of(task, samples, sigma, noise, seed, False)
        count = drawn["samples"]
        rows, j = np.repeat(np.arange(task.size), count), np.tile(np.arange(count), task.size)
        weights = filled((len(rows),), 1, task.weights) / scalar(count, task.weights)

        def points(part: slice) -> Feeds:
            there = {k: v[rows[part]] for k, v in task.feeds.items()}
            return {**there, **{k: there[k] + draws[k](rows[part], j[part]) for k in task.wrt}}
    else:
        rows, alphas, weights = _line_nodes(task, start, steps, quadrature) if distribution == "line" else _end_of_line(task)

        def points(part: slice) -> Feeds:
            return _feeds(task, start, rows[part], alphas[part])

    sums: dict[str, Array] = {}
    for part in parts_of(task, len(rows)):
        trace = forward(task.graph, points(part), wrt=names)
        signals = task.pull(trace, gradient(), task.weights[rows[part]], names)
        for k in names:
            g = signals.values[k] if k in signals.values else trace[k] * scalar(0, trace[k])
            _add(sums, k, column(weights[part], g) * g, rows[part], task.size)
    if multiply:
        here, there = (evaluate(task.graph, {**task.feeds, **v}, keep=names) for v in (task.feeds, start))
        sums = {k: v * (here[k] - there[k]) for k, v in sums.items()}
    return Attribution(sums, task.result, "internal_influence", task.graph, task.feeds, task.target, {}, task.words, start)


def _end_of_line(task: Task) -> tuple[Array, Array, Array]:
    """x itself as the only node of every line."""
    one = filled((task.size,), 1, task.weights)
    return np.arange(task.size), one, one


# ----- the two forms of conductance -------------------------------------------------------------------------------


def _layer_conductance(task: Task, names: tuple[str, ...], start: Feeds, steps: int, rule: str) -> dict[str, Array]:
    """Σ over steps of the line of (h at its end - h at its start) times the gradient within."""
    rows, low, high = _segments(task, start, steps, rule)
    within = STEPS[{EXACT: "midpoint", CAPTUM: "left"}.get(rule, rule)]
    sums: dict[str, Array] = {}
    for part in parts_of(task, len(rows)):
        ends = [evaluate(task.graph, _feeds(task, start, rows[part], a[part]), keep=names) for a in (low, high)]
        for w in within:
            at = low[part] + (high[part] - low[part]) * scalar(w, low)
            trace = forward(task.graph, _feeds(task, start, rows[part], at), wrt=names)
            signals = task.pull(trace, gradient(), task.weights[rows[part]], names)
            for k in names:
                moved = ends[1][k] - ends[0][k]
                g = signals.values[k] if k in signals.values else moved * scalar(0, moved)
                _add(sums, k, moved * g / scalar(len(within), g), rows[part], task.size)
    return sums


def _neuron_conductance(task: Task, name: str, neuron: Any, start: Feeds, steps: int, rule: str) -> dict[str, Array]:
    """(x - x0) ⊙ Σ w of the gradient that passes through the chosen units."""
    assert task.trace is not None
    chosen_units = target_weights(task.trace[name], neuron, name)
    rows, alphas, weights = _line_nodes(task, start, steps, rule)
    sums: dict[str, Array] = {}
    for part in parts_of(task, len(rows)):
        trace = forward(task.graph, _feeds(task, start, rows[part], alphas[part]), wrt=task.wrt)
        signals = task.pull(trace, gradient(), task.weights[rows[part]], only=[name])
        passing = signals.values[name] * chosen_units[rows[part]]
        at_inputs = backward(trace, gradient().plan(trace.graph, trace.wrt, name), {name: passing})
        for k in task.wrt:
            x = trace[k]
            g = at_inputs.values[k] if k in at_inputs.values else x * scalar(0, x)
            _add(sums, k, column(weights[part], g) * g, rows[part], task.size)
    return {k: (task.feeds[k] - start[k]) * v for k, v in sums.items()}


# ----- helpers ----------------------------------------------------------------------------------------------------


def _on_the_way(task: Task, method: str, layer: str) -> str:
    """The value of a layer through which f depends on the inputs."""
    assert task.trace is not None
    name = task.graph.find(layer)
    if not task.trace.carries(name):
        raise Inapplicable(f"{method}: layer {layer!r} does not depend on the input, so nothing is conducted through it")
    return name


def _segments(task: Task, start: Feeds, steps: int, rule: str) -> tuple[Array, Array, Array]:
    """(rows, start, end) of the steps of each sample's line, as α."""
    like = task.feeds[task.wrt[0]]
    if rule == EXACT:
        kinks, _ = kinks_of(task, start)
        rows = np.repeat(np.arange(task.size), [len(b) - 1 for b in kinks])
        low, high = (np.concatenate([b[s] for b in kinks]).astype(like.dtype) for s in (slice(None, -1), slice(1, None)))
        return rows, low, high
    if rule == CAPTUM:
        nodes = numbers_of(QUADRATURES["gauss_legendre"](steps + 1)[0], like, "gauss_legendre")
    else:
        left, right = QUADRATURES["left"](steps)[0], QUADRATURES["right"](steps)[0]
        nodes = numbers_of([*left, right[-1]], like, rule)
    return np.repeat(np.arange(task.size), len(nodes) - 1), np.tile(nodes[:-1], task.size), np.tile(nodes[1:], task.size)


def _line_nodes(task: Task, start: Feeds, steps: int, rule: str) -> tuple[Array, Array, Array]:
    """(rows, α, weights) of a quadrature on each sample's line, or of the middles of its linear pieces."""
    if rule == EXACT:
        rows, low, high = _segments(task, start, steps, rule)
        return rows, (low + high) / scalar(2, low), high - low
    like = task.feeds[task.wrt[0]]
    nodes, weights = (numbers_of(v, like, rule) for v in QUADRATURES[rule](steps))
    return np.repeat(np.arange(task.size), len(nodes)), np.tile(nodes, task.size), np.tile(weights, task.size)


def _feeds(task: Task, start: Feeds, rows: Array, alphas: Array) -> dict[str, Array]:
    """All inputs at points of the lines; those that are not explained keep the sample's values."""
    feeds = {k: v[rows] for k, v in task.feeds.items()}
    return {**feeds, **{k: between(start[k][rows], feeds[k], alphas) for k in task.wrt}}


def _add(sums: dict[str, Array], name: str, values: Array, rows: Array, size: int) -> None:
    """Adds the values of points to those of their samples."""
    if name not in sums:
        sums[name] = filled((size, *values.shape[1:]), 0, values)
    np.add.at(sums[name], rows, values)
