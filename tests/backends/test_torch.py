"""The torch backend against torch: every operator forward and backward, the names that it gives, and what it refuses."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from xaicore_torch import to_graph  # noqa: E402

from tests.backends.common import input_gradients  # noqa: E402 (torch first)
from tests.backends.torch_cases import FAMILIES, Family, shake  # noqa: E402

FORWARD, GRADIENT = 1e-9, 1e-8
"""Of the largest entry, in float64: the bounds that were measured to leave a factor of 1e3 to what real networks show."""

LESS_PRECISE = {"hardsigmoid": 1e-7}
"""torch's own derivative of hardsigmoid has 1/6 rounded to float32."""

SAMPLES = 5


def draw(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@functools.cache
def converted(family: str) -> tuple[Any, Any, Any, Mapping[str, Any]]:
    """The family's model, its graph, an input with another batch than it was converted with, and torch's outputs."""
    shape, parts = FAMILIES[family]
    model = shake(Family(parts))
    graph = to_graph(model, draw(2, *shape, seed=1))
    x = draw(SAMPLES, *shape).requires_grad_()
    return model, graph, x, model(x)


def close(ours: np.ndarray, theirs: np.ndarray, tolerance: float, what: str) -> None:
    assert ours.shape == theirs.shape, what
    assert np.abs(ours - theirs).max() <= tolerance * np.abs(theirs).max(), what


every = pytest.mark.parametrize(("family", "part"), [(f, p) for f, (_, parts) in FAMILIES.items() for p in parts])


@every
def test_operator(family: str, part: str) -> None:
    _, graph, x, outputs = converted(family)
    theirs = outputs[part]
    k = list(outputs).index(part)
    ours = graph(x.detach().numpy())[k]
    close(ours, theirs.detach().numpy(), FORWARD, "forward")
    assert np.abs(ours[0] - ours[1]).max() > 1e-3 * np.abs(ours).max(), "the output hardly depends on the input, so nothing was tested"
    seeds = [np.zeros(tuple(y.shape)) for y in outputs.values()]
    seeds[k] = draw(*theirs.shape, seed=2).numpy()
    (gradient,) = torch.autograd.grad(theirs, x, torch.from_numpy(seeds[k]), retain_graph=True, allow_unused=True) if theirs.requires_grad else (None,)
    gradient = np.zeros(tuple(x.shape)) if gradient is None else gradient.numpy(force=True)
    close(input_gradients(graph, x.detach().numpy(), seeds)["x"], gradient, LESS_PRECISE.get(part, GRADIENT), "gradient")
