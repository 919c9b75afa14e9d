"""How time grows with the batch, the size of the image, the depth and the number of methods: gradients beside torch's, methods beside themselves."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from torch import nn

import xaicore as xc
from benchmarks.speed.measure import apart, far, together
from benchmarks.speed.networks import network
from benchmarks.speed.rows import TARGET, explained, torch_gradient
from benchmarks.speed.run import LIMITS

METHODS = ("gradient", "lrp.epsilon_plus", "guided_backprop", "lrp.epsilon", "gradient_x_input", "lrp.epsilon_alpha2_beta1", "deconvnet", "lrp.epsilon_gamma_box")
BOX = {"lrp.epsilon_gamma_box": {"low": -4.0, "high": 4.0}}


def chain(depth: int) -> nn.Module:
    """``depth`` convolutions of 64 channels on maps of 56 x 56."""
    layers: list[nn.Module] = []
    for k in range(depth):
        layers += [nn.Conv2d(64 if k else 3, 64, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)).eval()


def cases() -> Iterator[tuple[str, int, nn.Module, torch.Tensor]]:
    """(what grows, to what, network, input)."""
    draw = torch.Generator().manual_seed(1)
    for batch in (1, 2, 4, 8):
        yield "batch, ResNet18 at 112 x 112", batch, network("ResNet18"), torch.randn((batch, 3, 112, 112), generator=draw)
    for size in (64, 128, 224, 320):
        yield "side of the image, ResNet18", size, network("ResNet18"), torch.randn((1, 3, size, size), generator=draw)
    for depth in (4, 8, 16, 32):
        torch.manual_seed(0)
        yield "convolutions of 64 channels at 56 x 56", depth, chain(depth), torch.randn((1, 3, 56, 56), generator=draw)


def scaled(rounds: int) -> Iterator[dict[str, Any]]:
    """One result for each size: seconds of ours and of the other, the ratio, and how far the numbers are apart. Beside torch these agree in
    float64; in float32 one unit in millions may lie within rounding of its kink, and fall on its other side in one of the two."""
    ours = explained("gradient")
    for what, value, model, x in cases():
        graph = _graph(model, x)
        truth = torch_gradient(copy.deepcopy(model).double(), x.double())()
        wide = apart(ours(graph.astype("float64"), x.double().numpy(), "exact"), truth)
        found = _result(what, value, "torch", lambda g=graph, x=x: ours(g, x.numpy(), "exact"), torch_gradient(model, x), rounds, truth)
        yield {**found, "float64": wide, "agrees": wide <= 1e-10}
    model, x = network("ResNet18"), torch.randn((1, 3, 224, 224), generator=torch.Generator().manual_seed(1))
    graph, array = _graph(model, x), x.numpy()
    for count in (1, 2, 4, 8):
        asked = {m: (m, BOX.get(m, {})) for m in METHODS[:count]}
        yield _result("methods in one call, ResNet18", count, "ours, one by one", lambda a=asked: _all(graph, array, a), lambda a=asked: _each(graph, array, a), rounds)


def _graph(model: nn.Module, x: torch.Tensor) -> xc.Graph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return xc.from_model(model, (x,), verify=False).astype("float32")


def _all(graph: xc.Graph, x: np.ndarray, asked: dict[str, Any]) -> np.ndarray:
    return np.stack([np.asarray(v[0]) for v in xc.explain_all(graph, x, asked, [TARGET], keep="inputs").values()])


def _each(graph: xc.Graph, x: np.ndarray, asked: dict[str, Any]) -> np.ndarray:
    return np.stack([np.asarray(xc.explain(graph, x, m, target=TARGET, keep="inputs", **own)) for m, own in asked.values()])


def _result(what: str, value: int, other: str, ours: Callable[[], np.ndarray], theirs: Callable[[], np.ndarray], rounds: int,
            truth: np.ndarray | None = None) -> dict[str, Any]:
    found, reference = together({"exact": ours}, theirs, rounds)
    t, truth = found["exact"], reference if truth is None else truth
    mine = far(t.value, truth)
    return {"what": what, "value": value, "other": other, "ours": t.ours, "theirs": t.peer, "ratio": t.ratio, "float64": None, "float32": mine,
            "their_float32": far(reference, truth), "agrees": mine <= LIMITS["exact"]}
