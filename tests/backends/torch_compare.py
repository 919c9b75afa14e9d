"""How the tests of the torch backend compare whole models with torch: outputs, and the gradient, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from torch import nn  # noqa: E402
from xaicore_torch import to_graph  # noqa: E402

from tests.backends.common import GradientPlan, input_gradients  # noqa: E402
from tests.backends.torch_cases import draw, shake  # noqa: E402
from xaicore.graph.run import check_feeds  # noqa: E402
from xaicore.trace import backward, forward  # noqa: E402

FORWARD, GRADIENT = 1e-12, 1e-10
"""Of the largest entry, in float64: rounding of 1e-16 through some dozens of layers. What is asked for is 1e-6."""


def calibrate(model: nn.Module, *inputs: Any) -> None:
    """BatchNorms take over the statistics of a batch: in a deep network drawn statistics switch the input's influence off."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        m.momentum = 0.9
        m.train()
    with torch.no_grad():
        model(*inputs)
    model.eval()


def check(model: nn.Module, *inputs: Any, leaf: str = "", values: float = FORWARD, gradients: float = GRADIENT) -> Any:
    """Converts with two samples, compares with five: outputs, and the gradient at the inputs (or at the node ``leaf``)."""
    floats = [x.is_floating_point() for x in inputs]
    calibrate(shake(model), *inputs)
    graph = to_graph(model, tuple(x[:2] for x in inputs))
    fed = [x.detach().requires_grad_() if f else x for x, f in zip(inputs, floats)]
    caught: list[Any] = []
    if leaf:
        model.get_submodule(leaf).register_forward_hook(lambda m, i, o: caught.append(o))
    outputs = model(*fed)
    theirs = [y for y in (outputs if isinstance(outputs, (tuple, list)) else [outputs]) if isinstance(y, torch.Tensor)]
    given = tuple(x.detach().numpy() for x in inputs)
    ours = graph(*given) if len(theirs) > 1 else (graph(*given),)
    for one, two in zip(ours, theirs, strict=True):
        assert one.shape == tuple(two.shape)
        assert np.abs(one - two.detach().numpy()).max() <= values * np.abs(one).max()
        assert np.abs(one[0] - one[1]).max() > 1e-3 * np.abs(one).max(), "the output hardly depends on the input, so nothing was tested"
    seeds = [draw(*y.shape, seed=9) for y in theirs]
    total = sum((y * s).sum() for y, s in zip(theirs, seeds))
    expected = torch.autograd.grad(total, [x for x, f in zip(fed, floats) if f] or caught)
    found = input_gradients(graph, given, [s.numpy() for s in seeds]) if not leaf else from_leaf(graph, given, seeds, leaf)
    for one, two in zip(found.values(), expected, strict=True):
        assert np.abs(one - two.numpy()).max() <= gradients * np.abs(two.numpy()).max()
    return graph


def from_leaf(graph: Any, given: Any, seeds: list[Any], leaf: str) -> dict[str, np.ndarray]:
    """The gradient at a node, for models whose inputs are whole numbers."""
    trace = forward(graph, check_feeds(graph, given), wrt=[leaf])
    return {leaf: backward(trace, GradientPlan(), dict(zip(graph.outputs, (s.numpy() for s in seeds)))).values[leaf]}
