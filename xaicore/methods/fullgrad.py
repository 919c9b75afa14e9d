"""FullGrad: the gradient of the input and of every bias, which together are the function: f(x) = Σ x ∂f/∂x + Σ_b b ∂f/∂b."""

from __future__ import annotations

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.methods.attribution import Attribution
from xaicore.methods.maps import as_fed, at_inputs, min_max
from xaicore.methods.propagate import channels_last, propagate
from xaicore.methods.sweep import chosen
from xaicore.methods.task import Task
from xaicore.numerics import Array, filled
from xaicore.rules.gradient import gradient
from xaicore.rules.linear import Affine
from xaicore.trace import Step


def fullgrad(task: Task, rescale: str | None = None, upsample: str = "bilinear") -> Attribution:
    """S = ψ(x ⊙ ∂f/∂x) + Σ_layers Σ_channels ψ(b ⊙ ∂f/∂z), ψ(m) = |m| in the size of the image.

    rescale   None leaves |m| as it is; "min_max" brings every map to [0, 1] first: (|m| - min) / (max - min); "layer" all channels of a
              layer together, with one min and max for each sample
    upsample  "bilinear", "bilinear_corners" or "nearest"

    Values (N, 1, *S) for images; b of a nonlinear unit is its implicit bias σ(z) - σ'(z) z, of a ReLU 0. Layers without space (dense
    ones) are not drawn, as in the paper. ``extras``: "input" (N,) = Σ x ∂f/∂x, "biases" node -> (N,), which add up to f exactly, whatever
    the operators are (W3): they are what the ledger of the gradient absorbs. Raises Inapplicable without a spatial input.
    Source: srinivas2019. Differs: pytorch-grad-cam rescales every term ("min_max"), the authors' code by rescale="layer", with 1e-6
    added to max - min, and upsample="bilinear_corners"; captum has none.
    """
    if rescale is not None:
        chosen("rescale", rescale, ("min_max", "layer"))
    assert task.trace is not None
    a = propagate(task, gradient(), "fullgrad")
    spatial = [k for k in task.wrt if task.feeds[k].ndim > 2]
    if not spatial:
        raise Inapplicable("fullgrad draws maps over an image, and no explained input has spatial axes; gradient_x_input and the biases in "
                           "the gradient's ledger say the same for other inputs")

    def psi(m: Array) -> Array:
        size = abs(m)
        if rescale == "layer":
            return min_max(size.reshape(len(m), 1, -1)).reshape(m.shape)
        return size if rescale is None else min_max(size)

    def first(k: str, v: Array) -> Array:
        return np.moveaxis(v, -1, 1) if channels_last(task.graph.meta, k) else v

    maps = {k: psi(first(k, a.values[k] * task.feeds[k])).sum(axis=1, keepdims=True) for k in spatial}
    assert a.ledger is not None
    biases = {}
    for entry in a.ledger:
        biases[entry.node.name] = entry.absorbed
        step = task.trace.step(entry.node)
        bias = implicit_bias(step)
        if bias is None or step.y.ndim < 3 or not bias.any():
            continue
        parts = psi(a.layers[entry.node.name] * bias).sum(axis=1, keepdims=True)
        for k, m in at_inputs(task, "fullgrad", entry.node.name, parts, upsample).items():
            maps[k] = maps[k] + m
    total = sum(((a.values[k] * task.feeds[k]).reshape(task.size, -1).sum(axis=1) for k in task.wrt), task.result * 0)
    return Attribution({k: as_fed(task, k, m) for k, m in maps.items()}, task.result, "fullgrad", task.graph, task.feeds, task.target, {},
                       task.words, ledger=a.ledger, extras={"input": total, "biases": biases})


def implicit_bias(step: Step) -> Array | None:
    """y - J x, the value that a node has where its inputs are extrapolated to 0; None where it is not drawn (products, softmax)."""
    if step.node.op.routes:
        return None
    if step.node.op.affine(step.active):
        a = Affine(step)
        return np.asarray(step.y - a.apply()) if a.has_bias else None
    if step.node.op.elementwise:
        one = filled(step.y.shape, 1, step.y)
        return np.asarray(step.y - step.xs[0] * step.node.op.vjp(0, one, step.y, *step.xs))
    return None
