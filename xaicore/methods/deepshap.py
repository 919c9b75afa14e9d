"""Differences from many references: DeepSHAP, hypothetical contributions, GradientSHAP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable
from xaicore.methods.attribution import Attribution, Layers
from xaicore.methods.games import backgrounds, channel_axis
from xaicore.methods.propagate import propagate
from xaicore.methods.sequences import dinucleotide_shuffle
from xaicore.methods.sweep import chosen, column, quiet, reference, sweep, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, at_least, scalar
from xaicore.rules.deeplift import deeplift_genomics, deeplift_rescale, deeplift_reveal_cancel, merged
from xaicore.rules.ruleset import RuleSet
from xaicore.trace import forward

VARIANTS: Mapping[str, Callable[..., RuleSet]] = MappingProxyType({
    "rescale": deeplift_rescale, "reveal_cancel": deeplift_reveal_cancel, "genomics": deeplift_genomics,
})
SHUFFLES = ("dinucleotide",)


def deep_shap(task: Task, baseline: Any = 0, background: Any = None, variant: str = "rescale", threshold: float | Fraction = 1e-10,
              fallback: str = "input", samples: int = 10, seed: int = 0) -> Attribution:
    """A = mean over the background b of DeepLIFT's contributions m(x, b) (x - b).

    baseline    one reference: a number, one sample, a batch, a mapping by input name (then this is DeepLIFT itself)
    background  a set of samples (B, ...) instead, a mapping by input name, with an axis more, (B, N, ...), a set for each sample; or
                "dinucleotide": ``samples`` shuffles of each one-hot sequence that keep its pairs of neighbours, drawn from ``seed``
    variant     the rules: "rescale", "reveal_cancel", "genomics" (Rescale after convolutions, RevealCancel after dense layers)
    threshold, fallback    as for deeplift.rescale

    Values in the shape of the inputs, complete with respect to the mean output over the background. Costs 2 B forward and B
    backward passes. It is the Shapley value of affine f, and an approximation of it elsewhere. Rational in exact mode.
    Source: lundberg2017, section 4.2, Deep SHAP. Same as: shap DeepExplainer, captum DeepLiftShap (there with their thresholds, and
    softmax and products by their own rules), deeplift with several references. InputError for a sequence that is not one-hot.
    """
    rules = VARIANTS[chosen("variant", variant, VARIANTS)](threshold=threshold, fallback=fallback)
    sets = _references(task, baseline, background, samples, seed)
    count = len(next(iter(sets.values())))
    results: list[Attribution] = []
    for b in _counted(task, count):
        one = propagate(quiet(task), rules, "deep_shap", {k: v[b] for k, v in sets.items()})
        results.append(one if not results else _plus(results.pop(), one))
    (summed,) = results
    if count == 1:
        return summed
    assert summed.baseline_output is not None

    def mean(v: Array) -> Array:
        return np.asarray(v / scalar(count, v))

    layers = summed.layers
    assert isinstance(layers, Layers)
    return replace(summed, values={k: mean(v) for k, v in summed.values.items()}, baseline_output=mean(summed.baseline_output),
                   layers=Layers(layers.graph, {k: mean(v) for k, v in layers.items()}), extras={"references": count})


def hypothetical(task: Task, baseline: Any = 0, background: Any = None, variant: str = "rescale", threshold: float | Fraction = 1e-10,
                 fallback: str = "input", samples: int = 10, seed: int = 0) -> Attribution:
    """H_lc = mean over b of Σ_c' m_lc'(x, b) (1[c' = c] - b_lc'): what place l would contribute with the letter c there.

    Sequences (N, letters, L), or channels-last (N, L, letters) where the graph says so. Settings as for deep_shap; the multipliers m are
    those of x itself, only the letter is exchanged. Σ_c x_lc H_lc, over the letters that are there, is the contribution of place l
    to deep_shap, so these products are complete and the values themselves are not. Costs as deep_shap.
    Inapplicable for inputs without an axis of letters. Source: shrikumar2017. Same as: the authors' library (hypothetical
    contributions, the input of TF-MoDISco).
    """
    rules = VARIANTS[chosen("variant", variant, VARIANTS)](threshold=threshold, fallback=fallback)
    axes = {}
    for k in task.wrt:
        axis = channel_axis(task, k)
        if axis is None:
            raise Inapplicable(f"input {k!r} of shape {task.feeds[k].shape} has no axis of letters; (N, letters, L) is expected")
        axes[k] = axis + 1
    sets = _references(task, baseline, background, samples, seed)
    assert task.trace is not None
    graph = task.prepared(rules)
    count = len(next(iter(sets.values())))
    sums = {k: task.feeds[k] * scalar(0, task.feeds[k]) for k in task.wrt}
    for b in _counted(task, count):
        start = task.baseline({k: v[b] for k, v in sets.items()})
        trace = rules.note(forward(graph, task.feeds, start, task.wrt))
        signals = task.pull(trace, rules, task.weights).values
        for k in task.wrt:
            if k in signals:
                m = merged(signals[k], task.feeds[k] - start[k])
                sums[k] = sums[k] + m - (m * start[k]).sum(axis=axes[k], keepdims=True)
    values = {k: np.asarray(v / scalar(count, v)) for k, v in sums.items()}
    return Attribution(values, task.result, "deep_shap.hypothetical", task.graph, task.feeds, task.target, {}, task.words,
                       extras={"references": count})


def gradient_shap(task: Task, samples: int = 50, baseline: Any = 0, background: Any = None, sigma: float = 0, noise: str = "absolute",
                  seed: int = 0) -> Attribution:
    """A = 1/K Σ_k (x + ε_k - b_k) ∂f/∂x(b_k + α_k (x + ε_k - b_k)): b_k drawn from the background, α_k uniform, ε_k normal.

    samples     K
    baseline    one reference for all draws;  background  a set of samples (B, ...) from which each draw takes one
    sigma       deviation of ε; with noise="relative" times max(x) - min(x) of the sample, with "absolute" as it is
    seed        of all draws, which are the same for every sample of a batch

    Values in the shape of the inputs, complete in expectation: an unbiased estimate of the mean of integrated gradients over the
    background (expected gradients), for sigma = 0. ``extras["standard_error"]`` by input, not for samples = 1. Costs K
    forward and K backward passes. Raises InputError for samples < 1 or sigma < 0, UnknownName for another noise,
    ExactnessError for sigma > 0 in exact mode. Source: lundberg2017's library, erion2021. Differs: captum 5 draws; shap 200, with
    noise local_smoothing = 0.
    """
    samples = whole("samples", samples, 1)
    at_least("sigma", sigma, 0)
    chosen("noise", noise, ("absolute", "relative"))
    if sigma and task.graph.dtype == "exact":
        raise ExactnessError("normal noise is not rational; use sigma=0, or graph.astype('float64')")
    sets = _references(task, baseline, background, 1, seed)
    count = len(next(iter(sets.values())))
    rng = np.random.default_rng(seed)
    chosen_b, drawn = rng.integers(0, count, samples), [Fraction(float(a)) for a in rng.random(samples)]
    errors = {k: rng.normal(size=(samples, *task.feeds[k].shape[1:])) * sigma if sigma else None for k in task.wrt}
    rows, draw = np.tile(np.arange(task.size), samples), np.repeat(np.arange(samples), task.size)
    alphas = np.array([scalar(a, task.weights) if task.weights.dtype == object else float(a) for a in drawn], dtype=task.weights.dtype)

    def ends(k: str, part: slice) -> tuple[Array, Array]:
        x, n, d = task.feeds[k], rows[part], draw[part]
        b = sets[k][chosen_b[d], n if sets[k].shape[1] > 1 else 0]
        e = errors[k]
        if e is None:
            return x[n], b
        flat = x.reshape(len(x), -1)
        width = (flat.max(axis=1) - flat.min(axis=1))[n] if noise == "relative" else np.ones(len(n), dtype=x.dtype)
        return np.asarray(x[n] + (e[d] * column(width, x)).astype(x.dtype)), b

    def points(part: slice) -> dict[str, Array]:
        made = {}
        for k in task.wrt:
            x, b = ends(k, part)
            made[k] = np.asarray(b + column(alphas[draw[part]], x) * (x - b))
        return made

    sums, squares = ({k: task.feeds[k] * scalar(0, task.feeds[k]) for k in task.wrt} for _ in range(2))
    for part, grads, _ in sweep(task, rows, points):
        for k, g in grads.items():
            x, b = ends(k, part)
            np.add.at(sums[k], rows[part], (x - b) * g)
            np.add.at(squares[k], rows[part], ((x - b) * g) ** 2)
    values = {k: np.asarray(v / scalar(samples, v)) for k, v in sums.items()}
    extras: dict[str, Any] = {}
    if samples > 1:
        spread = {k: np.maximum((squares[k] - samples * values[k] ** 2).astype(float), 0) / (samples - 1) for k in task.wrt}
        extras["standard_error"] = {k: np.sqrt(v / samples) for k, v in spread.items()}
    there = [quiet(task).at({k: np.array(np.broadcast_to(v[b], task.feeds[k].shape)) for k, v in sets.items()}, np.arange(task.size))
             for b in range(count)]
    single = {k: np.array(np.broadcast_to(v[0], task.feeds[k].shape)) for k, v in sets.items()} if count == 1 else None
    return Attribution(values, task.result, "gradient_shap", task.graph, task.feeds, task.target, {}, task.words, single,
                       np.asarray(sum(there[1:], there[0]) / scalar(count, there[0])), extras=extras)


# ----- references -------------------------------------------------------------------------------------------------


def _references(task: Task, baseline: Any, background: Any, samples: int, seed: int) -> dict[str, Array]:
    """(B, N or 1, *S) by input name."""
    if background is None:
        return {k: v[None] for k, v in reference(task, baseline, "baseline").items()}
    if not isinstance(background, str):
        return backgrounds(task, background, baseline)
    chosen("background", background, SHUFFLES)
    samples = whole("samples", samples, 1)
    found = {}
    for k in task.wrt:
        axis = channel_axis(task, k)
        if axis is None or task.feeds[k].ndim != 3:
            raise Inapplicable(f"background={background!r} shuffles sequences (N, letters, L), and input {k!r} has shape "
                               f"{task.feeds[k].shape}; give an array of references")
        found[k] = dinucleotide_shuffle(task.feeds[k], samples, seed, axis + 1)
    return found


def _counted(task: Task, count: int) -> Any:
    """0 .. count - 1, with progress."""
    for b in range(count):
        if task.progress is not None:
            task.progress(b, count)
        yield b
    if task.progress is not None:
        task.progress(count, count)


def _plus(a: Attribution, b: Attribution) -> Attribution:
    """Two results of one rule set added up."""
    assert isinstance(a.layers, Layers)
    assert a.baseline_output is not None
    assert b.baseline_output is not None
    layers = Layers(a.layers.graph, {k: v + b.layers[k] for k, v in a.layers.items()})
    return replace(a, values={k: v + b.values[k] for k, v in a.values.items()}, layers=layers, ledger=None, baseline=None,
                   baseline_output=a.baseline_output + b.baseline_output)
