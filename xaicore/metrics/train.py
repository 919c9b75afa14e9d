"""A small trainer: stochastic gradient descent and Adam on a graph's parameters, through the same vjps that explain it.

No other framework takes part. The gradient of the loss comes from ``trace.backward`` with the gradient rule set, asked for with
respect to the parameters, so a network that learns is also a check of every weight vjp that it uses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph, Node
from xaicore.graph.passes import prune, without_head
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.sweep import chosen, whole
from xaicore.numerics import Array
from xaicore.rules.gradient import vjp
from xaicore.rules.ruleset import Rule
from xaicore.trace import backward, forward

LOSSES = ("cross_entropy", "squared")
Params = Mapping[str, Array]


# ----- optimisers -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sgd:
    """v <- momentum v + g;  w <- w - rate (v + decay w), the decay for arrays of two or more axes."""

    rate: float = 0.1
    momentum: float = 0.9
    decay: float = 0.0

    def start(self, params: Params) -> Any:
        """The velocities: zeros."""
        return {k: np.zeros_like(w) for k, w in params.items()}

    def step(self, params: Params, grads: Params, state: Any, t: int, scale: float) -> tuple[dict[str, Array], Any]:
        """New parameters and velocities; ``scale`` times the rate is what the schedule leaves of it."""
        velocity = {k: self.momentum * state[k] + grads[k] for k in grads}
        rate = self.rate * scale
        return {k: params[k] - rate * (v + _decay(self.decay, params[k]) * params[k]) for k, v in velocity.items()}, velocity


@dataclass(frozen=True)
class Adam:
    """m <- .9 m + .1 g;  v <- .999 v + .001 g²;  w <- w - rate (m̂ / (√v̂ + 1e-8) + decay w), with the bias of both means taken off.

    Source: D. P. Kingma, J. Ba, "Adam", ICLR 2015; the decay apart from the moments: I. Loshchilov, F. Hutter, ICLR 2019.
    """

    rate: float = 4e-3
    decay: float = 0.0

    def start(self, params: Params) -> Any:
        """First and second moments: zeros."""
        return {k: (np.zeros_like(w), np.zeros_like(w)) for k, w in params.items()}

    def step(self, params: Params, grads: Params, state: Any, t: int, scale: float) -> tuple[dict[str, Array], Any]:
        """New parameters and moments after step t = 1, 2, ..."""
        rate, out, moments = self.rate * scale, {}, {}
        for k, g in grads.items():
            m, v = state[k]
            m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
            moments[k] = (m, v)
            step = m / (1 - 0.9**t) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
            out[k] = params[k] - rate * (step + _decay(self.decay, params[k]) * params[k])
        return out, moments


def _decay(decay: float, w: Array) -> float:
    return decay if w.ndim > 1 else 0


# ----- loss -------------------------------------------------------------------------------------------------------------


class EveryGradient:
    """The plan of the gradient rule set, without a ledger: a parameter has no batch axis, so no sum for each sample."""

    def rule(self, node: Node) -> Rule:
        return vjp

    def measure(self, signal: Array, value: Array, ref: Array | None, note: object) -> Array:
        return np.zeros(1)


def loss_and_gradients(graph: Graph, x: Mapping[str, Array], y: Array, loss: str = "cross_entropy") -> tuple[float, Params]:
    """The mean loss of a batch and its gradient for every floating parameter.

    "cross_entropy"  -ln softmax(z)_y of the output's logits z (N, K), a softmax head or not, y (N,) of class numbers
    "squared"        ½ |z - y|², y in the shape of the output
    """
    chosen("loss", loss, LOSSES)
    value, head = (without_head(graph, graph.outputs[0])[0], True) if loss == "cross_entropy" else (graph.outputs[0], False)
    inner = _pruned(graph, value) if head else graph
    names = [k for k, w in inner.params.items() if w.dtype.kind == "f"]
    trace = forward(inner, dict(x), wrt=names)
    z = trace[value]
    if loss == "squared":
        if np.shape(y) != z.shape:
            raise ShapeError(f"the output has shape {z.shape}, and the target of the squared loss {np.shape(y)}")
        error = z - y
        amount, seed = float((error**2).sum() / 2 / len(z)), error / z.dtype.type(len(z))
    else:
        shifted = z - z.max(axis=1, keepdims=True)
        p = np.exp(shifted)
        p /= p.sum(axis=1, keepdims=True)
        rows = np.arange(len(y))
        amount = float(-np.log(np.maximum(p[rows, y], 1e-30)).mean())
        p[rows, y] -= 1                                                 # ∂loss/∂logits = (p - onehot) / N
        seed = p / z.dtype.type(len(y))
    found = backward(trace, EveryGradient(), {value: seed}).values
    return amount, {k: found[k] for k in names if k in found}


def _pruned(graph: Graph, value: str) -> Graph:
    return graph if value == graph.outputs[0] else prune(replace(graph, outputs=(value,)), [value])


# ----- training -----------------------------------------------------------------------------------------------------------


def fresh(graph: Graph, seed: int = 0) -> Graph:
    """The graph with new parameters: weights normal with deviation √(2 / fan-in) (He), vectors that only add zeros.

    A vector of entries that are all positive (a scale, a running variance) becomes ones, any other vector zeros. Drawn in the order of the
    parameters by default_rng(seed).
    """
    rng, params = np.random.default_rng(seed), {}
    for k, w in graph.params.items():
        if w.dtype.kind != "f" or w.ndim == 0:
            params[k] = w
        elif w.ndim == 1:
            params[k] = np.ones_like(w) if w.size and (w > 0).all() else np.zeros_like(w)
        else:
            params[k] = (rng.standard_normal(w.shape) * np.sqrt(2 / np.prod(w.shape[1:]))).astype(w.dtype)
    return replace(graph, params=params)


def batches(count: int, size: int, rng: np.random.Generator) -> Iterator[Array]:
    """Every sample once, in random order, ``size`` at a time."""
    order = rng.permutation(count)
    for k in range(0, count, size):
        yield order[k:k + size]


def train(
    graph: Graph, x: Any, y: Any, *, optimizer: Sgd | Adam | None = None, epochs: int = 20, batch: int = 64, loss: str = "cross_entropy",
    schedule: str = "cosine", seed: int | np.random.Generator = 0, augment: Callable[[Array, np.random.Generator], Array] | None = None,
    constrain: Callable[[str, Array], Array] | None = None, progress: Callable[[int, float], None] | None = None,
) -> Graph:
    """The graph after ``epochs`` passes over the data: every floating parameter is trained, from what it is now (``fresh`` starts anew).

    x, y       inputs as for the graph, and class numbers (N,) or, for loss="squared", targets in the shape of the output
    optimizer  Sgd(rate, momentum, decay) or Adam(rate, decay); default Adam()
    schedule   "cosine" lets the rate fall to 0, "constant" keeps it
    augment    (batch of the only input, rng) -> batch;  constrain: (name, new parameter) -> parameter
    progress   called with (epoch, mean loss)

    Draws (order, augmentation) come from default_rng(seed), which may be a generator itself; same seed and same NumPy build, same
    result. InputError when the loss is no number.
    """
    optimizer = Adam() if optimizer is None else optimizer
    chosen("schedule", schedule, ("cosine", "constant"))
    whole("epochs", epochs, 0)
    if graph.dtype == "exact":
        raise Inapplicable("training is not rational arithmetic: use graph.astype('float64')")
    feeds, labels = check_feeds(graph, x), _labels(graph, y, loss)
    count = len(next(iter(feeds.values())))
    if len(labels) != count:
        raise ShapeError(f"{count} inputs and {len(labels)} targets were given; one target for each sample is expected")
    rng, state, t = np.random.default_rng(seed), optimizer.start(graph.params), 0
    steps = epochs * -(-count // whole("batch", batch, 1))
    for epoch in range(epochs):
        losses = []
        for part in batches(count, batch, rng):
            t += 1
            some = {k: v[part] for k, v in feeds.items()}
            if augment is not None:
                (name,) = some
                some = {name: augment(some[name], rng)}
            amount, grads = loss_and_gradients(graph, some, labels[part], loss)
            if not np.isfinite(amount):
                raise InputError(f"the loss is {amount} in epoch {epoch + 1}: the rate {optimizer.rate} is too large for these data")
            losses.append(amount)
            scale = (1 + np.cos(np.pi * t / steps)) / 2 if schedule == "cosine" else np.float64(1)  # a float64 step in float32, too
            new, moved = optimizer.step(graph.params, grads, state, t, scale)
            state = {**state, **moved}
            done = {k: np.asarray(w if constrain is None else constrain(k, w)).astype(graph.params[k].dtype) for k, w in new.items()}
            graph = replace(graph, params={**graph.params, **done})
        if progress is not None:
            progress(epoch + 1, float(np.mean(losses)))
    return graph


def _labels(graph: Graph, y: Any, loss: str) -> Array:
    labels = np.asarray(y)
    if loss == "squared":
        return labels.astype(graph.dtype)
    if labels.ndim != 1 or labels.dtype.kind not in "iu" or (labels.size and labels.min() < 0):
        raise InputError(f"the cross-entropy takes class numbers (N,), not {labels.dtype} of shape {labels.shape}")
    return labels


def accuracy(graph: Graph, x: Any, y: Any, batch: int = 512) -> float:
    """The share of samples whose largest output is at their label."""
    feeds, labels = check_feeds(graph, x), np.asarray(y)
    hits = 0
    for k in range(0, len(labels), batch):
        out = evaluate(graph, {n: v[k:k + batch] for n, v in feeds.items()})[graph.outputs[0]]
        hits += int((out.argmax(axis=1) == labels[k:k + batch]).sum())
    return hits / len(labels)


__all__ = ["Adam", "Sgd", "accuracy", "batches", "fresh", "loss_and_gradients", "train"]
