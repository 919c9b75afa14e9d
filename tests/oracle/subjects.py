"""Explainers for the tests of the vectors: the reference itself, and ones that are wrong, loud or strange."""

from __future__ import annotations

import numpy as np

import xaicore as xc
from xaicore.oracle.vectors.model import graph_of


def reference(method, model, x, target, settings, id):
    """Ours, in float64."""
    a = xc.explain(graph_of(model, "float64"), x, method, target=target, **settings)
    return dict(a.values)


def ignores_bias(method, model, x, target, settings, id):
    """LRP-0 in another convention, whatever was asked for; nothing else is offered."""
    if method != "lrp.zero":
        return NotImplemented
    return np.asarray(xc.explain(graph_of(model, "float64"), x, "lrp.zero", target=target, bias="ignore"))


def of_torch(method, model, x, target, settings, id):
    """The gradient of a torch module by autograd."""
    import torch

    if method != "gradient" or settings or len(x) != 1 or not isinstance(target, int):
        return NotImplemented
    leaf = torch.tensor(next(iter(x.values())), requires_grad=True)
    return torch.autograd.grad(model.double()(leaf)[:, target].sum(), leaf)[0]


def half(**question):
    """Half of what is right."""
    return {k: v / 2 for k, v in reference(**question).items()}


def broken(method, model, x, target, settings, id):
    """Raises, gives NaN, another shape, text, or nothing, by the length of the id."""
    kind = len(id) % 4
    if kind == 0:
        raise RuntimeError("no weights here")
    return [np.full_like(next(iter(x.values())), np.nan), np.zeros(7), "text"][kind - 1]
