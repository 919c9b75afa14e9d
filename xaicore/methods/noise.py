"""Statistics of the gradient, or of any other method, under noise on the input: mean (SmoothGrad), mean square, variance (VarGrad)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, InputError, ShapeError, UnknownName, nearest
from xaicore.methods.attribution import Attribution
from xaicore.methods.sweep import chosen, column, parts_of, sweep, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled, is_exact, rationals, scalar

SCALES = ("relative", "absolute")


def smoothgrad(
    task: Task, samples: int = 50, sigma: float = 0.15, noise: Any = "relative", seed: int = 0, of: Any = "gradient",
    clean: bool = False,
) -> Attribution:
    """A = 1/M Σ_j ∇f(x + ε_j),  ε_j ~ N(0, σ²) for every entry of the input.

    samples  M
    sigma    σ; with noise="relative" times max(x) - min(x) of the sample (each input by itself), with "absolute" as it is
    noise    "relative", "absolute", or the ε themselves: an array (M, N, ...) for an input (N, ...), or a mapping by input name, with
             which samples, sigma and seed have no meaning
    seed     of the draws. Every sample of a batch gets the same draws, so that its map does not depend on its batch
    of       what is averaged in place of the gradient: the id of any method, or (id, {its settings})
    clean    the last of the M draws is x itself, without noise (zennit)

    Values in the shape of the inputs (of what ``of`` gives). ``extras["standard_error"]``: of the mean, from the spread of the M
    gradients (not for M = 1). Raises InputError for samples < 1 or sigma < 0, UnknownName for another kind of noise, another
    method or setting, ShapeError for noise that does not fit, ExactnessError for drawn noise in exact mode (an array of
    Fractions works). A constant input has range 0, and relative noise leaves it unchanged. Source: smilkov2017; ROAR's
    setting is samples=15, hooker2019. Differs: captum, iNNvestigate, tf-explain and xplique take σ as absolute; zennit's last draw
    is zero (clean=True); PAIR's default is smoothgrad_squared; tf-keras-vis averages |∇f| (of="saliency"), captum's NoiseTunnel
    whatever method it wraps.
    """
    return _statistic(task, "smoothgrad", lambda g: g, samples, sigma, noise, seed, of, clean)


def smoothgrad_squared(
    task: Task, samples: int = 50, sigma: float = 0.15, noise: Any = "relative", seed: int = 0, of: Any = "gradient",
    clean: bool = False,
) -> Attribution:
    """A = 1/M Σ_j ∇f(x + ε_j)², entry by entry.

    Settings, shapes and errors as for smoothgrad: raises what it does. Equals vargrad + smoothgrad² on the same noise. Source:
    hooker2019. Same as: PAIR's GetSmoothedMask by default (magnitude=True), captum smoothgrad_sq, xplique SquareGrad.
    """
    return _statistic(task, "smoothgrad_squared", lambda g: g * g, samples, sigma, noise, seed, of, clean)


def vargrad(
    task: Task, samples: int = 50, sigma: float = 0.15, noise: Any = "relative", seed: int = 0, ddof: int = 0, of: Any = "gradient",
    clean: bool = False,
) -> Attribution:
    """A = 1/(M - ddof) Σ_j (∇f(x + ε_j) - mean)², entry by entry.

    ddof   0: the variance of the M gradients (captum); 1: the unbiased estimate (xplique). InputError unless M > ddof

    Other settings, shapes and errors as for smoothgrad. ``extras["mean"]`` is smoothgrad on the same noise. Source: adebayo2018local.
    Same as: captum vargrad, xplique VarGrad with ddof=1.
    """
    ddof = whole("ddof", ddof, 0)
    draws, settings = noise_of(task, samples, sigma, noise, seed, clean)
    m = settings["samples"]
    if ddof >= m:
        raise InputError(f"ddof={ddof} needs more than {ddof} samples, and there are {m}")
    mean, squares = _moments(task, draws, m, of, lambda g: g)
    parts = {k: s / scalar(m - ddof, s) for k, s in squares.items()}
    return Attribution(parts, task.result, "vargrad", task.graph, task.feeds, task.target, {**settings, "ddof": ddof}, task.words,
                       extras={"mean": mean})


# ----- helpers ----------------------------------------------------------------------------------------------------

Draw = Callable[[Array, Array], Array]
"""The noise of points, (points, ...), from (the sample of each point, the number of its draw)."""
Draws = Mapping[str, Draw]


def _statistic(task: Task, method: str, each: Callable[[Array], Array], samples: int, sigma: float, noise: Any, seed: int, of: Any,
               clean: bool) -> Attribution:
    """The mean of ``each`` of the maps over the noise, with its standard error."""
    draws, settings = noise_of(task, samples, sigma, noise, seed, clean)
    m = settings["samples"]
    mean, squares = _moments(task, draws, m, of, each)
    errors = {} if m == 1 else {"standard_error": {k: np.sqrt(s.astype(float) / (m - 1) / m) for k, s in squares.items()}}
    return Attribution(mean, task.result, method, task.graph, task.feeds, task.target, settings, task.words, extras=errors)


def _moments(task: Task, draws: Draws, m: int, of: Any, each: Callable[[Array], Array]) -> tuple[dict[str, Array], dict[str, Array]]:
    """Mean and sum of squared deviations of h = each(map) over m draws, per sample, in one pass.

    Sums are taken of h - h_0, the first draw's: Σ(h - h_0)² - (Σ(h - h_0))²/m then loses no digits to a large mean, and is
    exactly 0 where h is constant.
    """
    rows, k = np.repeat(np.arange(task.size), m), np.tile(np.arange(m), task.size)
    first: dict[str, Array] = {}
    sums: dict[str, Array] = {}
    squares: dict[str, Array] = {}

    def points(part: slice) -> dict[str, Array]:
        return {name: task.feeds[name][rows[part]] + draws[name](rows[part], k[part]) for name in task.wrt}

    for part, maps in _maps(task, of, rows, points):
        begins = k[part] == 0
        for name, g in maps.items():
            h = each(g)
            for kept in (first, sums, squares):
                if name not in kept:
                    kept[name] = filled((task.size, *h.shape[1:]), 0, h)
            first[name][rows[part][begins]] = h[begins]
            moved = h - first[name][rows[part]]
            np.add.at(sums[name], rows[part], moved)
            np.add.at(squares[name], rows[part], moved * moved)
    mean = {name: np.asarray(first[name] + s / scalar(m, s)) for name, s in sums.items()}
    spread = {name: np.maximum(squares[name] - s * s / scalar(m, s), scalar(0, s)) for name, s in sums.items()}
    return mean, spread


def _maps(task: Task, of: Any, rows: Array, points: Callable[[slice], dict[str, Array]]) -> Iterator[tuple[slice, Mapping[str, Array]]]:
    """(range, the maps of ``of`` there) for one batch of points after the other."""
    if of == "gradient":
        for part, grads, _ in sweep(task, rows, points):
            yield part, grads
        return
    run = method_named(task, of)
    for part in parts_of(task, len(rows)):
        yield part, run(task.moved(points(part), rows[part]), rows[part]).values


def method_named(task: Task, of: Any) -> Callable[[Task, Array], Attribution]:
    """The method that ``of`` names, as a function of a task and the samples that its points belong to."""
    from xaicore.methods.table import METHODS

    name, own = of if isinstance(of, tuple) and len(of) == 2 else (of, {})
    row = METHODS[chosen("of", name, METHODS)]
    if not isinstance(own, Mapping):
        raise InputError(f"of={of!r:.60} must be the id of a method, or (id, {{its settings}})")
    for k in own:
        if k not in row.settings:
            raise UnknownName(f"of: {row.id} has no setting {k!r}: {nearest(str(k), row.settings)}")

    def at(value: Any, rows: Array) -> Any:
        """A setting with a row for each sample, as a row for each point."""
        if isinstance(value, Mapping):
            return {k: at(v, rows) for k, v in value.items()}
        return value[rows] if isinstance(value, np.ndarray) and value.shape in {task.feeds[k].shape for k in task.wrt} else value

    return lambda there, rows: row.run(there, **{k: at(v, rows) for k, v in own.items()})


def noise_of(task: Task, samples: int, sigma: float, noise: Any, seed: int, clean: bool) -> tuple[Draws, dict[str, Any]]:
    """How each point's noise is made, and the settings that say it again."""
    if not isinstance(noise, str):
        arrays = _given(task, noise)
        return {k: _looked_up(a) for k, a in arrays.items()}, {"samples": len(next(iter(arrays.values()))), "sigma": None, "seed": None}
    samples, seed = whole("samples", samples, 1), whole("seed", seed, 0)
    if isinstance(sigma, bool) or not isinstance(sigma, (int, float, np.number)) or not 0 <= sigma < np.inf:
        raise InputError(f"sigma={sigma!r} must be a finite number of at least 0")
    relative = chosen("noise", noise, SCALES) == "relative"
    draws: dict[str, Draw] = {}
    for position, name in enumerate(task.wrt):
        x = task.feeds[name]
        if is_exact(x):
            raise ExactnessError("drawn noise is not rational; give the noise itself, noise= an array (M, N, ...) of Fractions or whole "
                                 "numbers, or use graph.astype('float64')")
        flat = x.reshape(len(x), -1)
        scale = sigma * (flat.max(axis=1) - flat.min(axis=1)) if relative else np.full(len(x), sigma)
        unit = np.random.default_rng([seed, position]).standard_normal((samples, *x.shape[1:]))
        unit[samples - bool(clean):] = 0
        draws[name] = _scaled(unit, scale, x)
    return draws, {"samples": samples, "sigma": sigma, "noise": noise, "seed": seed}


def _scaled(unit: Array, scale: Array, x: Array) -> Draw:
    """Draws (M, ...) times a number for each sample."""
    return lambda rows, j: (column(scale[rows], x) * unit[j]).astype(x.dtype)


def _looked_up(noise: Array) -> Draw:
    """Draws (M, N, ...) as they are."""
    return lambda rows, j: np.asarray(noise[j, rows])


def _given(task: Task, given: Any) -> dict[str, Array]:
    """The user's noise by input name, each (M, N, ...) in the arithmetic of the graph."""
    by_name = dict(given) if isinstance(given, Mapping) else {task.wrt[0]: given}
    for k in by_name:
        if k not in task.wrt:
            raise UnknownName(f"noise names {k!r}, which is not explained: {nearest(str(k), task.wrt)}")
    missing = [k for k in task.wrt if k not in by_name]
    if missing:
        raise InputError(f"noise holds nothing for input {missing[0]!r}; give a mapping with one array for each of "
                         f"{', '.join(task.wrt)}")
    out = {}
    for k, value in by_name.items():
        x, a = task.feeds[k], np.asarray(value)
        if a.shape[1:] != x.shape or not len(a):
            raise ShapeError(f"noise for input {k!r} has shape {a.shape}; (M, {', '.join(map(str, x.shape))}) is expected, M >= 1")
        if a.dtype.kind not in "fiuO":
            raise InputError(f"noise for input {k!r} has dtype {a.dtype}; numbers are expected")
        out[k] = rationals(a, f"noise for input {k!r}") if is_exact(x) else a.astype(x.dtype)
    counts = {k: len(a) for k, a in out.items()}
    if len(set(counts.values())) > 1:
        raise ShapeError(f"noise must have the same number of draws for every input, not {counts}")
    return out
