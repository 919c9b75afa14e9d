"""The building blocks of interpretability: attribution at a layer, joined by position, by channel or by group, and between layers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.paths import integrated_gradients
from xaicore.methods.sweep import chosen, whole
from xaicore.methods.task import make_task
from xaicore.numerics import Array
from xaicore.ops import AvgPool, MaxPool
from xaicore.represent.features import activations
from xaicore.represent.nmf import Groups
from xaicore.rules.gradient import gradient
from xaicore.rules.ruleset import Parts, Rule
from xaicore.rules.select import op
from xaicore.trace import Step

PATHS = ("linear", "integrated")
BY = ("spatial", "channel")


@dataclass(frozen=True, eq=False)
class Blocks:
    """The attribution of every unit of a layer to a score, and its sums.

    units       (N, C, *S): a ⊙ ∂S/∂a, or a ⊙ its mean along the path from zero activations
    gradients   (N, C, *S), the second factor;  activations (N, C, *S), the first
    output      (N,), the score
    """

    units: Array
    gradients: Array
    activations: Array
    output: Array

    @property
    def spatial(self) -> Array:
        """(N, *S): what each position adds, Σ over channels."""
        return np.asarray(self.units.sum(axis=1))

    @property
    def channel(self) -> Array:
        """(N, C): what each channel adds, Σ over positions."""
        return np.asarray(self.units.reshape(*self.units.shape[:2], -1).sum(axis=2))

    def groups(self, found: Groups) -> tuple[Array, Array]:
        """What each group of ``neuron_groups`` adds, and what they leave: (N, G), (N,).

        Group g stands for the part loading_g d_g of the activations: Σ over positions of loading_g (d_g · ∂S/∂a). With the rest it is Σ
        a ∂S/∂a.
        """
        loadings = found.loadings.reshape(len(found.loadings), -1, len(found.directions))
        g = np.moveaxis(self.gradients.reshape(*self.gradients.shape[:2], -1), 1, 2)
        if loadings.shape[:2] != g.shape[:2] or found.directions.shape[1] != g.shape[2]:
            raise ShapeError(f"the groups are of activations (N, *S, C) {loadings.shape[:2]} and {found.directions.shape[1]} channels, the "
                             f"attribution of {g.shape}; make both from the same samples and layer")
        parts = np.einsum("npg,gc,npc->ng", loadings, found.directions, g)
        return parts, np.asarray(self.units.reshape(len(g), -1).sum(axis=1) - parts.sum(axis=1))


def blocks(graph: Graph, x: Any, layer: str, target: Any = None, path: str = "linear", steps: int = 100, quadrature: str = "left",
           relax: bool = False, output: str = "logit", batch_size: int | None = None) -> Blocks:
    """Attribution at a layer to a class, to the difference of two (weights +1 and -1 as target), or to any neuron.

    path     "linear": the gradient at the activations. "integrated": its mean from zero activations, ``steps`` of ``quadrature``; then Σ
             units is S(a) - S(0) up to the quadrature's error
    relax    max-pools pass the gradient of avg(x²) / (0.01 + avg |x|) instead of to their winner: the authors' display hack, no derivative

    Linear in the target. Raises Inapplicable where the layer does not lie before the target. Source: olah2018 (the notebooks: path of 100
    left steps).
    """
    chosen("path", path, PATHS)
    whole("steps", steps, 1)
    task, _ = make_task(graph, x, target, output, batch_size).at_layer(layer)
    (name,) = task.wrt
    a = task.feeds[name]
    if path == "integrated":
        if relax:
            raise InputError("relax=True replaces the gradient at the activations; it does not go with path='integrated'")
        found = integrated_gradients(task, 0, steps, quadrature, multiply=False)
        g = found.values[name]
    else:
        rules = gradient().before((op(MaxPool), RELAXED)) if relax else gradient()
        g = task.gradients(task.feeds, np.arange(task.size), rules)[0][name]
    return Blocks(a * g, g, a, task.result)


def between(graph: Graph, x: Any, lower: str, upper: str, by: str = "spatial", batch_size: int | None = None) -> Array:
    """How much each position (channel) of a lower layer adds to each position (channel) of an upper one: (*S_up, *S_low), (C_up, C_low).

    x is one sample. The score of an upper position p is |a(p)|₂, whose gradient is a(p) / |a(p)|; of a channel the sum of its positions.
    a ⊙ gradient at the lower layer, summed. Source: olah2018 (channels: by analogy).
    """
    chosen("by", by, BY)
    a = activations(graph, x, upper)[upper]
    if len(a) != 1 or a.ndim < 3:
        raise ShapeError(f"one sample and a layer with positions are compared; layer {upper!r} gave {a.shape}")
    channels, space = a.shape[1], a.shape[2:]
    if by == "spatial":
        places = list(np.ndindex(*space))
        weights = np.zeros((len(places), channels, *space))
        for k, p in enumerate(places):
            v = np.asarray(a[(0, slice(None), *p)], dtype=float)
            weights[(k, slice(None), *p)] = v / max(float(np.linalg.norm(v)), 1e-300)
    else:
        weights = np.zeros((channels, channels, *space))
        weights[np.arange(channels), np.arange(channels)] = 1
    feeds = x if isinstance(x, Mapping) else {next(iter(graph.inputs)): x}
    many = {k: np.repeat(np.asarray(v), len(weights), axis=0) for k, v in feeds.items()}
    found = blocks(graph, many, lower, (upper, weights), batch_size=batch_size)
    if by == "channel":
        return found.channel
    return found.spatial.reshape(*space, *found.spatial.shape[1:])


def _relaxed(step: Step, g: Array) -> Parts:
    x, pool = step.xs[0], step.node.op
    assert isinstance(pool, MaxPool)
    mean = AvgPool(pool.kernel, pool.stride, pool.dilation, pool.pads, pool.ceil, count_include_pad=False)
    top, bottom = mean.forward(x * x), mean.forward(np.abs(x)) + x.dtype.type(0.01)
    down = mean.vjp(0, g / bottom, bottom, x) * 2 * x
    return (down - mean.vjp(0, g * top / bottom**2, bottom, x) * np.sign(x),)


RELAXED = Rule("relaxed maximum", _relaxed, "olah2018")
