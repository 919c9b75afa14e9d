"""PatternNet and PatternAttribution: backward passes through patterns, what the data put into a neuron, in place of its weights.

A neuron y = wᵀ x is a filter: w also has to cancel distractors, so that it does not show the signal's direction. The pattern a
does: it is estimated from data so that x - a y is uncorrelated with y.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError
from xaicore.graph.graph import Graph
from xaicore.graph.passes import fold_batchnorm
from xaicore.graph.run import check_feeds
from xaicore.numerics import Array, divide, in_arithmetic_of, scalar
from xaicore.ops import Conv, ConvTranspose, Dense
from xaicore.rules.gradient import vjp
from xaicore.rules.linear import Affine
from xaicore.rules.ruleset import Parts, Rule, RuleSet
from xaicore.rules.select import anything, op
from xaicore.trace import Step, forward

ESTIMATORS = ("linear", "relu")
LAYERS = (Dense, Conv, ConvTranspose)


@dataclass(frozen=True, eq=False)
class Patterns:
    """Node name -> pattern, in the shape of the node's weight; what they were estimated from and how."""

    values: Mapping[str, Array]
    estimator: str
    samples: int

    def __getitem__(self, node: str) -> Array:
        if node not in self.values:
            raise Inapplicable(f"no pattern was fitted for node {node!r}; fit_patterns(graph, data) with the graph that is explained")
        return self.values[node]

    def __str__(self) -> str:
        return f"patterns ({self.estimator}, {self.samples} samples) of " + ", ".join(f"{k} {v.shape}" for k, v in self.values.items())


def fit_patterns(graph: Graph, x: Any, estimator: str = "relu") -> Patterns:
    """The pattern of every dense layer and convolution, from data x (a batch, or what the graph takes).

    With y = wᵀ x (bias left out) over all samples, and over all positions of a convolution:
    "linear"   a = cov[x, y] / var[y]
    "relu"     a = (E₊[x y] - E₊[x] E[y]) / (wᵀ E₊[x y] - wᵀ E₊[x] E[y]), E₊ the mean over y > 0: for neurons behind a ReLU (the
               two-component estimator)
    Either makes wᵀ a = 1 for each neuron, 0 for a neuron whose y never varies (never is positive). x (N, ...), N >= 2.
    Source: kindermans2018, eqs. 4 and 7 (numbers from descriptions). Same as: innvestigate 1.0 "linear" and "relu" up to its
    own mask: there and here E[y] runs over all samples. Second opinion: loops in oracle/twins/rules.py.
    """
    if estimator not in ESTIMATORS:
        raise InputError(f"estimator={estimator!r} does not exist; there are " + ", ".join(map(repr, ESTIMATORS)))
    graph = fold_batchnorm(graph)
    feeds = check_feeds(graph, x)
    trace = forward(graph, feeds)
    samples = len(next(iter(feeds.values())))
    if samples < 2:
        raise InputError("patterns are covariances over data, and one sample has none; give a batch of training samples")
    found = {}
    for step in trace:
        if isinstance(step.node.op, LAYERS) and step.active[0]:
            found[step.node.name] = _pattern(step, estimator)
    if not found:
        raise Inapplicable("the graph has no dense layer or convolution, so there are no weights to find patterns for")
    return Patterns(found, estimator, samples)


def _pattern(step: Step, estimator: str) -> Array:
    """The pattern of one layer: means over samples and positions, taken with the layer's own adjoint in its weights."""
    op_, x, w = step.node.op, step.xs[0], in_arithmetic_of(step.y, step.xs[1])
    y = Affine(step).apply()
    outputs = _outputs(step)
    others = tuple(k for k in range(y.ndim) if k != outputs)

    def along(v: Array) -> Array:
        """One entry for each neuron, shaped to broadcast against y."""
        return v.reshape(tuple(len(v) if k == outputs else 1 for k in range(y.ndim)))

    mask = y > scalar(0, y) if estimator == "relu" else np.ones(y.shape, bool)
    share = np.where(mask, scalar(1, y), scalar(0, y))
    share = divide(share, np.broadcast_to(along(share.sum(axis=others)), y.shape))  # weights that make a mean over the masked ones
    mean_xy = op_.vjp(1, share * y, y, x, w)
    mean_x = op_.vjp(1, share, y, x, w)
    mean_y = y.sum(axis=others) / scalar(y.size // y.shape[outputs], y)
    covariance = mean_xy - mean_x * _per_output(mean_y, op_, w)
    return divide(covariance, np.broadcast_to(_per_output(_sums(w * covariance, op_), op_, w), w.shape))


def _outputs(step: Step) -> int:
    return step.y.ndim - 1 if isinstance(step.node.op, Dense) else 1


def _per_output(v: Array, op_: Any, w: Array) -> Array:
    """One number for each output neuron, shaped to broadcast against its weights."""
    if isinstance(op_, ConvTranspose):                                  # w is (C, O / groups, *K): outputs run group by group
        rows = np.repeat(v.reshape(op_.groups, -1), w.shape[0] // op_.groups, axis=0)
        return rows.reshape(rows.shape + (1,) * (w.ndim - 2))
    return v.reshape(v.shape + (1,) * (w.ndim - 1))


def _sums(t: Array, op_: Any) -> Array:
    """The sum over the inputs of each output neuron, of an array in the shape of the weights."""
    if isinstance(op_, ConvTranspose):
        grouped = t.reshape(op_.groups, -1, *t.shape[1:])
        return np.asarray(grouped.sum(axis=(1, *range(3, grouped.ndim)))).reshape(-1)
    return np.asarray(t.reshape(len(t), -1).sum(axis=1))


# ----- the rules ----------------------------------------------------------------------------------------------------


def through_pattern(patterns: Patterns, times_weight: bool) -> Rule:
    """s_i = Σ_j a_ij s_j (PatternNet), or Σ_j w_ij a_ij s_j (PatternAttribution): the layer's backward with other weights."""
    def apply(step: Step, s: Array) -> Parts:
        a = patterns[step.node.name].astype(step.y.dtype)
        return Affine(step).back(s, lambda w: w * a if times_weight else a)

    return Rule("w * pattern" if times_weight else "pattern", apply, "kindermans2018")


def pattern_rules(name: str, patterns: Patterns, times_weight: bool) -> RuleSet:
    """Patterns at dense layers and convolutions, the gradient elsewhere (a ReLU gates by its input)."""
    return RuleSet(name, "relevance", (
        (op(*LAYERS), through_pattern(patterns, times_weight)),
        (anything, vjp),
    ), fold=True, source="kindermans2018", settings={"estimator": patterns.estimator})


def patternnet(patterns: Patterns) -> RuleSet:
    """The signal that the network saw: f(x) carried back through the patterns. Source: kindermans2018."""
    return pattern_rules("patternnet", patterns, False)


def pattern_attribution(patterns: Patterns) -> RuleSet:
    """How much each part of the signal contributed: f(x) carried back through w ⊙ a. Source: kindermans2018.

    For a linear network without bias it is complete, since wᵀ a = 1.
    """
    return pattern_rules("pattern_attribution", patterns, True)

