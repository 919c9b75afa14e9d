"""lxt: its ε-rule on the layers of a sequence of torch modules; activations hand relevance on."""

from __future__ import annotations

from typing import Any

from xaicore_peers.protocol import Array, Library
from xaicore_peers.torches import array, one_hot, tensor


def epsilon(model: Any, x: Array, target: Any, baseline: Any, eps: float = 1e-6) -> Array:
    """The relevance of x from f(x), by lxt's wrappers around each module of an nn.Sequential."""
    from lxt.explicit.rules import EpsilonRule, IdentityRule
    from torch import nn

    weighted = (nn.Linear, nn.Conv1d, nn.Conv2d)                        # what only moves values has no place here
    made = [EpsilonRule(m, epsilon=eps) if isinstance(m, weighted) else IdentityRule(m) for m in model]
    leaf = tensor(x).requires_grad_()
    out = nn.Sequential(*made)(leaf)
    out.backward(one_hot(out, target) * out.detach())
    return array(leaf.grad)


LXT = Library("lxt", "lxt", "lxt", "torch", {"Epsilon": epsilon})
