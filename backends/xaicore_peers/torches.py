"""What the peers on torch share: arrays to tensors and back, a module's layer by name, its output for a target, its gradient."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import InputError, nearest
from xaicore_peers.protocol import Array, filled, targets


def tensor(x: Array) -> Any:
    """A copy of an array as a tensor."""
    import torch

    return torch.from_numpy(np.array(x))


def array(t: Any) -> Array:
    """A tensor, or the one tensor of a tuple, as an array."""
    while isinstance(t, (tuple, list)) and len(t) == 1:
        t = t[0]
    return np.array(t.detach().cpu().numpy())


def base(baseline: Any, x: Array) -> Any:
    """The baseline as a tensor in x's shape."""
    return tensor(filled(baseline, x))


def index(target: Any, n: int) -> Any:
    """The target as captum takes it: None, or a tensor of one index for each sample."""
    return None if target is None else tensor(np.array(targets(target, n), dtype=np.int64))


def layer_of(model: Any, layer: Any) -> Any:
    """A submodule by its dotted name."""
    known = dict(model.named_modules())
    if layer not in known:
        raise InputError(f"the model has no layer {layer!r}: {nearest(str(layer), known)}")
    return known[layer]


def one_hot(out: Any, target: Any) -> Any:
    """1 at the target of each sample, 0 elsewhere, in the output's shape."""
    import torch

    if target is None:
        return torch.ones_like(out)
    seed = torch.zeros_like(out)
    seed[torch.arange(len(out)), index(target, len(out))] = 1
    return seed


def score(model: Any, target: Any) -> Any:
    """The function x -> the target's output of each sample, shape (N,)."""
    def f(x: Any) -> Any:
        out = model(x)
        return (out * one_hot(out, target)).flatten(1).sum(1) if out.ndim > 1 else out

    return f


def gradient(model: Any, x: Any, target: Any) -> Any:
    """d target / d x by autograd."""
    import torch

    x = x.clone().requires_grad_()
    (g,) = torch.autograd.grad(score(model, target)(x).sum(), x)
    return g
