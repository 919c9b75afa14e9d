"""TCAV: does a class use a concept that people name? A direction in a layer, found from examples, and the class's slope along it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable, InputError, UnknownName
from xaicore.graph.graph import Graph
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.task import Task, make_task
from xaicore.numerics import Array, at_least

CLASSIFIERS = ("logistic", "ridge")
NORMS = ("l2", "l1", "none")
NULLS = ("half", "random")


@dataclass(frozen=True, eq=False)
class Direction:
    """A concept activation vector: ``vector`` (*K), in the shape of one sample of the layer, points towards the concept.

    accuracy  share of the held-out examples that the hyperplane puts on the right side (of all examples where none was held out)
    """

    layer: str
    vector: Array
    accuracy: float


@dataclass(frozen=True, eq=False)
class Tcav:
    """sensitivities (R, N): S of each sample along each of R directions; what follows from them is computed when asked.

    scores (R,)     the share of samples with S > 0; 0 itself does not count
    magnitudes (R,) the mean of S, signed, which captum returns as magnitude
    shares (R,)     Σ max(S, 0) / Σ |S|, which captum's documentation describes; 0 where every S is 0
    null (R,)       scores along directions between two random sets, for ``null="random"``; else None
    p               of the two-sided t-test; None for a single random set
    """

    explained: str
    directions: tuple[Direction, ...]
    sensitivities: Array
    null: Array | None
    p: float | None

    @property
    def scores(self) -> Array:
        return _share_above_zero(self.sensitivities)

    @property
    def score(self) -> float:
        """The mean of the scores over all random sets."""
        return float(self.scores.mean())

    @property
    def magnitudes(self) -> Array:
        return np.asarray(self.sensitivities.mean(axis=1))

    @property
    def shares(self) -> Array:
        size = np.abs(self.sensitivities).sum(axis=1)
        return np.asarray(np.maximum(self.sensitivities, 0).sum(axis=1) / np.where(size == 0, 1, size))

    def __str__(self) -> str:
        layer, accuracy = self.directions[0].layer, np.mean([d.accuracy for d in self.directions])
        against = "scores between random sets" if self.null is not None else "1/2"
        test = "no test with one random set" if self.p is None else f"p = {self.p:.3g} against {against}"
        return (f"TCAV of {self.explained} at {layer!r}: {self.score:.3f} +- {self.scores.std():.3f} over {self.sensitivities.shape[1]} "
                f"samples and {len(self.scores)} random sets; {test}; the direction separates {accuracy:.1%} of the examples")


def tcav(
    graph: Graph, x: Any, layer: str, concept: Any, random: Sequence[Any], target: Any = None, output: str = "logit",
    classifier: str = "logistic", ridge: float = 0.01, normalize: str = "l2", test: float = 0.33, null: str = "half", seed: int = 0,
) -> Tcav:
    """TCAV = |{x: S(x) > 0}| / |X| with S(x) = ∇h(a(x)) · v, h the explained value as a function of the layer's activations a.

    x           samples of the class (N, ...), or a mapping by input name
    concept     examples of the concept, like x;  random: a list of R sets of examples without it
    classifier  v is the normal of a hyperplane between the activations: "logistic" or "ridge" regression with weight ``ridge`` on |w|²
    normalize   "l2": v has length 1, as the paper says; "l1": |v|_1 = 1 (xplique); "none": the classifier's weights (captum). It scales
                S, and leaves the scores as they are
    test        the share of both kinds of examples that is held out to tell how well v separates (captum 0.33, xplique 0.2)
    null        "half": the scores over the R sets against 1/2, as in the paper; "random": against scores of directions from each random
                set to the next, as in the authors' code

    Captum and xplique fit by stochastic gradient descent, so that their v agree with this only nearly; they test nothing. Scores that are
    all the same have p = 0, or 1 where they are what they are compared with. Raises UnknownName for a layer or setting that does not
    exist, Inapplicable where the layer does not lead to the output, InputError for too few examples. Costs one forward and backward pass
    over x, one forward pass over the examples. Source: kim2018, sections 3.2 to 3.4 (reconstruction).
    """
    task = make_task(graph, x, target, output)
    name = graph.find(layer)
    if name not in {*task.graph.inputs, *(n.name for n in task.graph.nodes)}:
        raise Inapplicable(f"layer {layer!r} lies behind the explained value {task.value!r} or beside it, so nothing flows to it")
    settings: dict[str, Any] = {"classifier": classifier, "ridge": ridge, "normalize": normalize, "test": test, "seed": seed}
    return along_concept(task, layer, concept, random, null, **settings)[1]


def along_concept(task: Task, layer: str, concept: Any, random: Sequence[Any], null: str, **settings: Any) -> tuple[Array, Tcav]:
    """The slopes ∇h (N, *K) at the layer and what ``tcav`` makes of them; ``settings`` are those of the hyperplane."""
    if null not in NULLS:
        raise UnknownName(f"null={null!r} does not exist; there are " + ", ".join(map(repr, NULLS)))
    if not isinstance(random, (list, tuple)) or not random:
        raise InputError(f"random is a list of sets of examples, one direction for each, and {type(random).__name__} came; a single set is "
                         f"[set]")
    if null == "random" and len(random) < 3:
        raise InputError(f"null='random' compares with directions between random sets, and {len(random)} are too few; give 3 at least")
    name = task.graph.find(layer)
    behind, _ = task.at_layer(name)
    slopes = behind.gradients({name: behind.feeds[name]}, np.arange(task.size))[0][name]
    values = activations(task.graph, layer, concept)
    sets = [activations(task.graph, layer, one) for one in random]
    directions = tuple(_direction(layer, values, one, **settings) for one in sets)

    def along(ds: Sequence[Direction]) -> Array:
        return np.stack([(slopes * d.vector).reshape(task.size, -1).sum(axis=1) for d in ds])

    found = along(directions)
    compared = None
    if null == "random":
        between = [_direction(layer, one, sets[k + 1 - len(sets)], **settings) for k, one in enumerate(sets)]
        compared = _share_above_zero(along(between))
    return slopes, Tcav(task.words, directions, found, compared, _p_value(_share_above_zero(found), compared))


def direction(
    graph: Graph, layer: str, concept: Any, random: Any, classifier: str = "logistic", ridge: float = 0.01, normalize: str = "l2",
    test: float = 0.33, seed: int = 0,
) -> Direction:
    """The concept activation vector of one set of examples against another; settings as in ``tcav``."""
    values, others = activations(graph, layer, concept), activations(graph, layer, random)
    return _direction(layer, values, others, classifier, ridge, normalize, test, seed)


def activations(graph: Graph, layer: str, x: Any) -> Array:
    """The layer's values (N, *K) for samples x."""
    if graph.dtype == "exact":
        raise ExactnessError("concepts are separated by a fit and a test, which are not rational; use graph.astype('float64')")
    name = graph.find(layer)
    return evaluate(graph, check_feeds(graph, x), keep=[name])[name]


# ----- the hyperplane ---------------------------------------------------------------------------------------------


def _direction(
    layer: str, concept: Array, random: Array, classifier: str, ridge: float, normalize: str, test: float, seed: int,
) -> Direction:
    for setting, value, known in (("classifier", classifier, CLASSIFIERS), ("normalize", normalize, NORMS)):
        if value not in known:
            raise UnknownName(f"{setting}={value!r} does not exist; there are " + ", ".join(map(repr, known)))
    if at_least("ridge", ridge, 0) == 0:
        raise InputError("ridge=0: examples that a hyperplane separates have no best one then; give a small weight such as 1e-4")
    if at_least("test", test, 0) >= 1:
        raise InputError(f"test={test!r} is the share of examples held out, from 0 to below 1")
    rng = np.random.default_rng(seed)
    parts = [_divided(rng.permutation(v.reshape(len(v), -1).astype(float)), test) for v in (concept, random)]
    a, y = (np.concatenate([train for train, _ in parts]), np.repeat([1.0, -1.0], [len(train) for train, _ in parts]))
    w, b = {"logistic": logistic, "ridge": ridge_regression}[classifier](a, y, ridge)
    held = [(train if test == 0 else kept) @ w + b for train, kept in parts]
    right = np.concatenate([held[0] > 0, held[1] <= 0]).mean()
    size = {"l2": np.sqrt((w * w).sum()), "l1": np.abs(w).sum(), "none": 1.0}[normalize]
    if size == 0:
        raise InputError(f"the examples of the concept and the random ones have the same mean activations at {layer!r}, so no "
                         f"hyperplane of this kind separates them; choose another layer or other examples")
    return Direction(layer, (w / size).reshape(concept.shape[1:]), float(right))


def _divided(v: Array, test: float) -> tuple[Array, Array]:
    """(for the fit, held out): both have one example at least where any is held out."""
    count = 0 if test == 0 else max(1, round(len(v) * test))
    if len(v) <= count:
        raise InputError(f"{len(v)} examples are too few to hold out a share of {test}; give more of them, or test=0")
    return v[count:], v[:count]


def ridge_regression(a: Array, y: Array, ridge: float) -> tuple[Array, float]:
    """argmin over (w, b) of the mean of (y - w·a - b)² plus ridge |w|²: w (m,), b. a (n, m), y (n,).

    Solved in the smaller of both dimensions: w = Aᵀ (A Aᵀ + n ridge)⁻¹ y on centred A and y.

    >>> ridge_regression(np.array([[1.0], [-1.0]]), np.array([1.0, -1.0]), 1.0)
    (array([0.5]), 0.0)
    """
    mean, level = a.mean(axis=0), y.mean()
    c, n, m = a - mean, *a.shape
    weight = n * ridge
    if m <= n:
        w = np.linalg.solve(c.T @ c + weight * np.eye(m), c.T @ (y - level))
    else:
        w = c.T @ np.linalg.solve(c @ c.T + weight * np.eye(n), y - level)
    return w, float(level - w @ mean)


def logistic(a: Array, y: Array, ridge: float) -> tuple[Array, float]:
    """argmin over (w, b) of the mean of ln(1 + exp(-y (w·a + b))) plus ridge / 2 |w|²: w (m,), b. a (n, m), y (n,) of +-1.

    Newton's method in a trust region, in the space that the examples span, where w lies. InputError where it finds no minimum.
    """
    from scipy.optimize import minimize
    from scipy.special import expit

    mean = a.mean(axis=0)
    u, s, v = np.linalg.svd(a - mean, full_matrices=False)
    z = np.column_stack([u * s, np.ones(len(a))])
    weight = np.append(np.full(len(s), ridge), 0.0)

    def value(t: Array) -> float:
        return float(np.logaddexp(0, -y * (z @ t)).mean() + (weight * t * t).sum() / 2)

    def slope(t: Array) -> Array:
        return np.asarray(-(y * expit(-y * (z @ t))) @ z / len(z) + weight * t)

    def curvature(t: Array) -> Array:
        q = expit(z @ t)
        return np.asarray((z * (q * (1 - q))[:, None]).T @ z / len(z) + np.diag(weight))

    t = minimize(value, np.zeros(z.shape[1]), jac=slope, hess=curvature, method="trust-exact", options={"gtol": 1e-12}).x
    if not np.abs(slope(t)).max() <= 1e-8 * max(1.0, float(np.abs(z).max())):
        raise InputError(f"the logistic fit found no minimum: activations reach {np.abs(a).max():.3g}; use classifier='ridge', or a layer "
                         f"behind a normalisation")
    w = t[:-1] @ v
    return w, float(t[-1] - w @ mean)


# ----- the test ---------------------------------------------------------------------------------------------------


def _share_above_zero(sensitivities: Array) -> Array:
    return np.asarray((sensitivities > 0).mean(axis=1))


def _p_value(scores: Array, null: Array | None) -> float | None:
    """p of Student's two-sided t-test: the scores against 1/2, or two samples of scores against each other."""
    from scipy.stats import ttest_1samp, ttest_ind

    if len(scores) < 2:
        return None
    against = np.array([0.5]) if null is None else null
    if np.ptp(scores) == 0 and np.ptp(against) == 0:
        return 1.0 if scores[0] == against[0] else 0.0
    found = ttest_1samp(scores, 0.5) if null is None else ttest_ind(scores, null)
    return float(found.pvalue)
