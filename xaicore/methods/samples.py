"""Methods that need more than the input: examples of a concept, checkpoints, labels, a data set. Each is its family's function, whose
answer is read out as a map over the batch; what else it found stands in ``extras``, in words as ``extras["says"]``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from xaicore.errors import ExactnessError, Inapplicable
from xaicore.graph.graph import layers_of
from xaicore.methods.attfind import AttFind, check, chosen, moved
from xaicore.methods.attribution import Attribution
from xaicore.methods.concepts import along_concept
from xaicore.methods.difficulty import architecture, at_checkpoint, class_normalized, spread
from xaicore.methods.independence import feature_relevance
from xaicore.methods.lime import lime
from xaicore.methods.propagate import channels_last
from xaicore.methods.rate import of_network
from xaicore.methods.sweep import scores, whole
from xaicore.methods.task import Task
from xaicore.numerics import Array


def read_out(task: Task, method: str, values: dict[str, Array], says: object, **extras: Any) -> Attribution:
    """The attribution of a method whose answer is more than a map: ``says`` is the answer in words."""
    return Attribution(values, task.result, method, task.graph, task.feeds, task.target, {}, task.words,
                       extras={**extras, "says": str(says)})


def needed(method: str, **settings: Any) -> None:
    """Refuses a call without what the method is about; the value of a setting is what to give."""
    for name, (value, what) in settings.items():
        if value is None:
            raise Inapplicable(f"{method} needs {what}: give {name}=")


def floats_only(task: Task, method: str, why: str) -> None:
    """ExactnessError for a method that has no value in rationals."""
    if task.graph.dtype == "exact":
        raise ExactnessError(f"{method} {why}, which is not rational; use graph.astype('float64')")


def same_for_all(task: Task, flat: Array) -> dict[str, Array]:
    """One number for each entry of a sample (F,), the inputs one after the other, as a map of every sample."""
    out, at = {}, 0
    for k in task.wrt:
        x = task.feeds[k]
        width = x[0].size
        out[k] = np.array(np.broadcast_to(flat[at:at + width].reshape(x.shape[1:]), x.shape), dtype=x.dtype)
        at += width
    return out


def entries(task: Task) -> Array:
    """The data (N, F) of all explained inputs, one after the other, entries in row-major order."""
    return np.concatenate([np.asarray(task.feeds[k]).reshape(task.size, -1) for k in task.wrt], axis=1)


# ----- concepts and training ----------------------------------------------------------------------------------------


def tcav(task: Task, layer: str | None = None, concept: Any = None, random: Sequence[Any] | None = None, classifier: str = "logistic",
         ridge: float = 0.01, normalize: str = "l2", test: float = 0.33, null: str = "half", seed: int = 0) -> Attribution:
    """A = ∂h/∂a ⊙ v̄ at a layer with activations a, v̄ the mean of R directions towards a concept; its sum is the sensitivity S.

    layer    where the concept is looked for;  concept: examples of it, like x;  random: a list of R sets of examples without it
    classifier, ridge, normalize, test, null, seed   as for xaicore.methods.concepts.tcav: how v is fitted and what is tested

    Values {layer: (N, *K)} in the shape of the layer. ``extras``: "score", the share of the batch with S > 0, a mean over the R sets (the
    batch should be of one class); "scores" (R,), "sensitivities" (R, N), "magnitudes", "shares", "p" of the two-sided t-test (None for one
    set) and "accuracy" (R,) of the hyperplanes on held-out examples. S = 0 does not count as above 0. Costs one forward and backward
    pass, and one forward pass over the examples. Raises Inapplicable without layer, concept or random, and where the layer does not lead
    to the output; InputError for too few examples or a fit without a minimum; ExactnessError in exact mode. Source: kim2018, sections 3.2
    to 3.4 (reconstruction; the map is ours). Differs: captum and xplique fit v by stochastic gradient descent, and test nothing.
    """
    floats_only(task, "tcav", "fits a hyperplane")
    needed("tcav", layer=(layer, f"the layer to look for the concept in ({', '.join(layers_of(task.graph.nodes)[:8])})"),
           concept=(concept, "examples of the concept, samples like x"), random=(random, "a list of sets of examples without the concept"))
    assert layer is not None
    assert random is not None
    slopes, found = along_concept(task, layer, concept, random, null, classifier=classifier, ridge=ridge, normalize=normalize, test=test,
                                  seed=seed)
    mean = np.mean([d.vector for d in found.directions], axis=0).astype(slopes.dtype)
    return read_out(task, "tcav", {task.graph.find(layer): slopes * mean}, found, score=found.score, scores=found.scores, p=found.p,
                    sensitivities=found.sensitivities, magnitudes=found.magnitudes, shares=found.shares,
                    accuracy=np.array([d.accuracy for d in found.directions]))


def vog(task: Task, checkpoints: Any = None, channels: str = "mean") -> Attribution:
    """A = sqrt(1/K Σ_t (S_t - mean S)²), S_t = ∂f/∂x at checkpoint t: how much the gradient changed during training; its mean is VoG.

    checkpoints  K >= 2 states of the training, graphs that differ in parameters alone; the explained model counts only if it is one of them
    channels     "mean": gradients of an image (N, C, H, W) are averaged over channels first, as in the authors' script; "each": not

    Values in the shape of the inputs, one channel for channels="mean". ``extras``: "scores" (N,), VoG of each sample, large for a hard one,
    and "normalized" (N,), the same on a scale that classes share (mean 0, deviation 1 within the samples of one target). Give the true
    class as target. A standard deviation in spite of its name (N19); equal checkpoints give 0. Costs K forward and backward passes. Raises
    Inapplicable without checkpoints, InputError for one, GraphError where they are no states of the explained model, ExactnessError in
    exact mode. Source: agarwal2022 (as in the authors' code). Differs: their script for toy data explains output="probability".
    """
    floats_only(task, "vog", "takes a square root")
    needed("vog", checkpoints=(checkpoints, "states of the model's training, a list of two graphs at least"))
    found = spread([at_checkpoint(task, g) for g in architecture(checkpoints)], channels)
    values = {}
    for k, v in found.pixels.items():
        axis = task.feeds[k].ndim - 1 if channels_last(task.graph.meta, k) else 1
        values[k] = v if v.ndim == task.feeds[k].ndim else np.expand_dims(v, axis)
    _, targets = np.unique(task.weights.reshape(task.size, -1), axis=0, return_inverse=True)
    return read_out(task, "vog", values, found, scores=found.scores, normalized=class_normalized(found.scores, targets.reshape(-1)))


# ----- variables of a data set --------------------------------------------------------------------------------------


def rate(task: Task, response: Any = None, projection: str = "covariance", prior: float = 1.0, noise: float = 1.0) -> Attribution:
    """RATE_j = KLD_j / Σ KLD, KLD_j = μ_j² α_j / 2: what the effect of variable j tells about those of the others.

    The effects are β ~ N(μ, Σ) of a network whose last layer has a posterior for weights; the batch is the data set.
    response     y, what was measured (N,); None: what the network itself says
    projection   "covariance": β_j = cov(x_j, f) (the authors' default); "linear": β = X⁺ f
    prior, noise variances of the weights and of the response

    Values in the shape of the inputs, all samples alike, shares that add up to 1 for each. ``extras``: "kld", "mean" (F,), "covariance"
    (F, F), "delta" and "ess". Entries of all inputs are the variables, in row-major order. Costs one forward pass of the batch and F
    inversions of F x F, F the number of entries: meant for tables. Raises Inapplicable where no Dense layer makes the explained value, or
    where no effect tells anything about another, or the batch has one sample. Source: crawford2019, ishhorowicz2019 (as in the
    authors' code). Differs: the authors take a diagonal posterior covariance for the last layer, this keeps the whole one.
    """
    floats_only(task, "rate", "takes logarithms and eigenvalues")
    if task.size < 2:
        raise Inapplicable("rate is about a data set, and this batch has one sample; give all samples at once")
    found = of_network(task, response, projection, prior, noise)
    return read_out(task, "rate", same_for_all(task, found.rate), found, kld=found.kld, mean=found.mean, covariance=found.covariance,
                    delta=found.delta, ess=found.ess)


def independence(task: Task, labels: Any = None, test: str = "partial_correlation", statistic: str = "correlation",
                 permutations: int | str = 999, neighbours: int = 3, seed: int = 0) -> Attribution:
    """A_j = the dependence of entry j of the input and f given the label: the network uses x_j where x_j and f are not independent given L.

    labels  L: the true classes (N,) as whole numbers, truth values or words, or numbers (N,) or (N, K) as floats; one value for all
            samples: no condition. The batch is the data set
    test, statistic, permutations, neighbours, seed   as for xaicore.methods.independence.feature_relevance: "partial_correlation" by
            Fisher's z, or "permutation" of "correlation", "distance" or "cmi"

    Values in the shape of the inputs, all samples alike: the statistic (the partial correlation has a sign). ``extras``: "p" (*S) (by
    input where there are several), the chance of as much under independence. Features of your own (the size of an object) go to
    ``feature_relevance`` itself. An entry that is constant given L has 0 and p = 1. Costs one forward pass; "permutation" also its
    statistic permutations + 1 times for each entry. Raises Inapplicable without labels, InputError for too few samples, ShapeError for
    labels of another length, ExactnessError in exact mode. Source: reimers2020 (reconstruction; which tests the paper votes over was not
    at hand). No library has it.
    """
    floats_only(task, "independence", "takes roots and logarithms")
    needed("independence", labels=(labels, "the true label of each sample of the batch, which is the data set"))
    known = np.asarray(labels)
    known = np.full(task.size, known) if known.ndim == 0 else known
    found = [feature_relevance(x, task.result, known, test, statistic, permutations, neighbours, seed)
             for x in entries(task).astype(float).T]
    p = np.array([one.p for one in found])
    used = f"{(p < 0.05).sum()} of {len(p)} entries are used at level 0.05, given the label, by {found[0].test} over {task.size} samples"
    chance = {k: v[0] for k, v in same_for_all(task, p).items()}
    return read_out(task, "independence", same_for_all(task, np.array([one.statistic for one in found])), used,
                    p=chance if len(chance) > 1 else chance[task.wrt[0]])


def attfind(task: Task, shift: float = 1.0, low: Any = None, high: Any = None, selection: str = "independent", top: int = 8,
            threshold: float = 1.0) -> Attribution:
    """A_nj = f(s_n with s_nj moved by shift (e - s_nj)) - f(s_n), f the classifier behind a generator, s its style coordinates.

    e is the end of coordinate j, minimum or maximum over the batch, that raises f more on average. The graph is the classifier behind the
    decoder, one graph on styles (N, D): ``passes.chain(decoder, classifier)``.
    low, high   the ends (D,) or a number, in place of the batch's own
    selection, top, threshold   which coordinates are chosen, as for xaicore.methods.attfind.attfind

    Values (N, D). ``extras``: "effects" (N, 2, D) towards both ends, "chosen": the attributes, best first. A coordinate that G does not
    read has 0; a linear f has A = shift (e - s_j) ∂f/∂s_j. Costs 2 D forward passes for each sample. The authors drop unstable images and
    may ask a discriminator; this does neither. Raises Inapplicable for several inputs or inputs that are not (N, D), InputError,
    ShapeError or UnknownName for settings that cannot be. Source: lang2021, algorithm 1 (as in the authors' notebook). No library has it.
    """
    check(shift, selection, top, threshold)
    if len(task.wrt) != 1 or task.feeds[task.wrt[0]].ndim != 2:
        shapes = ", ".join(f"{k} {task.feeds[k].shape}" for k in task.wrt)
        raise Inapplicable(f"attfind moves style coordinates, one input (N, D), and the graph reads {shapes}; put the classifier "
                           f"behind its decoder, xaicore.graph.passes.chain(decoder, classifier), and explain styles")
    (name,) = task.wrt
    points, rows = moved(task.feeds[name], low, high, shift)
    found = scores(task, rows, lambda part: {name: points[part]}).reshape(task.size, 2, -1) - task.result[:, None, None]
    better = found.mean(axis=0).argmax(axis=0)
    answer = AttFind(found, chosen(found, selection, top, threshold), task.words)
    return read_out(task, "attfind", {name: np.ascontiguousarray(found[:, better, np.arange(len(better))])}, answer, effects=found,
                    chosen=answer.chosen)


ROUNDING = 1e-12
"""The share of the largest weight below which one is taken for the rounding of a sum, and not for a weight."""


def submodular_pick(task: Task, top: int = 5, **settings: Any) -> Attribution:
    """LIME of every sample, and the ``top`` samples that together show most of what counts: max c(V) = Σ_j [some i in V has β_ij ≠ 0] I_j.

    top   how many are picked (at most all N), one after the other, each where c grows most (no pick of that size has more than 1/(1 -
          1/e) times its c); equal ones by their number in the batch. Other settings as for lime, with ``features`` as the paper has it
          (K-Lasso): a model that keeps all players covers all of them at once

    I_j = sqrt(Σ_i |β_ij|) over the batch, so players must mean the same in all samples: columns of a table, or places, not regions of
    one's own. Values in the shape of the inputs, as from lime. ``extras``: those of lime, "picked" (top,), "importance" I (M,) and
    "coverage" (top,), c after each pick. A β below 1e-12 of the largest is rounding, and counts as 0. Costs as many forward passes as
    lime. Raises InputError for top < 1, and what lime does. Source: ribeiro2016, algorithm 1, eqs. 3 and 4 (reconstruction). Same as:
    lime's submodular_pick with an "explicit" list and sample_size=None.
    """
    top = min(whole("top", top, 1), task.size)
    a = lime(task, **settings)
    beta = abs(np.asarray(a.extras["players"], dtype=float))
    shown = beta > ROUNDING * beta.max(initial=0)
    importance = np.sqrt((beta * shown).sum(axis=0))
    picked: list[int] = []
    covered, coverage = np.zeros(beta.shape[1], dtype=bool), []
    for _ in range(top):
        gain = np.where(np.isin(np.arange(task.size), picked), -1.0, (shown & ~covered) @ importance)
        picked.append(int(gain.argmax()))
        covered |= shown[picked[-1]]
        coverage.append(float(importance[covered].sum()))
    share = coverage[-1] / importance.sum() if importance.sum() else 1.0
    says = f"samples {', '.join(map(str, picked))} show {share:.1%} of what counts in {task.size} samples"
    found = {"picked": np.array(picked), "importance": importance, "coverage": np.array(coverage), "says": says}
    return replace(a, method="lime.submodular_pick", settings={**a.settings, "top": top}, extras={**a.extras, **found})
