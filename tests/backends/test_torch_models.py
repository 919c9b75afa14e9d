"""Whole torch models, small and with weights drawn anew: forward and gradient against torch, at another batch than the example's.

Transformers are in test_torch_transformers.py, recurrent networks in test_torch_recurrent.py.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402

from tests.backends.torch_cases import draw  # noqa: E402
from tests.backends.torch_compare import check  # noqa: E402
from tests.backends.torch_networks import IMAGES  # noqa: E402
from xaicore.graph.passes import fold_batchnorm  # noqa: E402
from xaicore.ops import BatchNorm  # noqa: E402

# ----- convolutional networks -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", IMAGES)
def test_convolutional_network(name: str) -> None:
    graph = check(IMAGES[name](), draw(5, 3, 16, 16))
    x = draw(2, 3, 16, 16).numpy()
    folded = fold_batchnorm(graph)
    assert any(isinstance(n.op, BatchNorm) for n in graph.nodes) >= (name in ("vgg", "resnet"))
    for one, two in zip(np.atleast_1d(folded(x)), np.atleast_1d(graph(x))):
        assert np.abs(one - two).max() <= 1e-12 * np.abs(two).max()         # folding rounds each weight once


def test_a_module_reused_three_times_is_three_nodes_of_one_layer() -> None:
    class Reused(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.step, self.act = nn.Linear(6, 6), nn.Tanh()

        def forward(self, x: Any) -> Any:
            for _ in range(3):
                x = x + self.act(self.step(x))
            return x

    graph = check(Reused(), draw(5, 6))
    assert [n.name for n in graph.nodes if n.layer == "step"] == ["step", "step@2", "step@3"]
    assert [n.name for n in graph.nodes if n.layer == "act"] == ["act", "act@2", "act@3"]
    assert len({n.inputs[1:] for n in graph.nodes if n.layer == "step"}) == 1
    assert set(graph.params) == {"step.weight", "step.bias"}


# ----- other kinds ----------------------------------------------------------------------------------------------------


class Mixer(nn.Module):
    """Layers over patches and over channels, by transposing."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.tokens, self.channels, self.norm = nn.Conv2d(3, 6, 4, 4), nn.Linear(16, 16), nn.Linear(6, 6), nn.LayerNorm(6)

    def forward(self, x: Any) -> Any:
        x = self.stem(x).flatten(2).mT
        x = x + self.tokens(self.norm(x).mT).mT
        return (x + self.channels(F.gelu(x))).mean(dim=1)


class Audio(nn.Module):
    """One-dimensional convolutions with gates and dilation."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.gated, self.last = nn.Conv1d(2, 4, 5, 2), nn.Conv1d(4, 8, 3, padding="same", dilation=2), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        y = F.glu(self.gated(F.elu(self.first(x))), dim=1)
        return self.last(F.adaptive_max_pool1d(F.instance_norm(y), 3).transpose(1, 2)).flatten(1)


class Fusion(nn.Module):
    """An image, a row of numbers and a category; where the row says so, the image counts double."""

    def __init__(self) -> None:
        super().__init__()
        self.image, self.row, self.kind = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Flatten()), nn.Linear(4, 6), nn.Embedding(5, 3)
        self.head = nn.Linear(392 + 6 + 3, 4)

    def forward(self, image: Any, row: Any, kind: Any) -> Any:
        seen = self.image(image)
        seen = torch.where((row.sum(1) > 0)[:, None], seen * 2, seen)
        return F.log_softmax(self.head(torch.cat([seen, F.softplus(self.row(row)), self.kind(kind)], -1)), -1)


class Video(nn.Module):
    """Convolutions over space, then over time, with a pool over both; gates by context."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv3d(3, 4, (1, 3, 3), (1, 2, 2), (0, 1, 1), bias=False), nn.BatchNorm3d(4), nn.ReLU(inplace=True))
        self.time, self.norm = nn.Conv3d(4, 4, (3, 1, 1), padding=(1, 0, 0), bias=False), nn.BatchNorm3d(4)
        self.gate, self.head = nn.Linear(4, 4), nn.Linear(4, 5)

    def forward(self, x: Any) -> Any:
        x = F.max_pool3d(self.stem(x), (1, 3, 3), (1, 2, 2), (0, 1, 1))
        y = self.norm(self.time(x)) + x
        y = y * torch.sigmoid(self.gate(y.mean((2, 3, 4))))[:, :, None, None, None]
        return self.head(F.adaptive_avg_pool3d(F.relu(y), 1).flatten(1))


def test_video() -> None:
    check(Video(), draw(5, 3, 4, 16, 16))


def test_mixer() -> None:
    check(Mixer(), draw(5, 3, 16, 16))


def test_audio() -> None:
    check(Audio(), draw(5, 2, 40))


def test_several_kinds_of_input() -> None:
    graph = check(Fusion(), draw(5, 3, 16, 16), draw(5, 4, seed=1), torch.arange(5))
    assert [spec.kind for spec in graph.inputs.values()] == ["float", "float", "int"]
