"""The families of networks that docs/conformance.md runs every peer on: small, drawn with a fixed seed, in float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

IMAGE, ROW, SEQUENCE = (2, 2, 6, 6), (2, 5), (2, 4, 6)


class Cnn(nn.Module):
    """conv - batch norm before or after - activation - pool - conv - activation - pool - dense, with everything to choose."""

    def __init__(self, norm: str = "", pool: Callable[[], nn.Module] | None = None, groups: int = 1, dilation: int = 1):
        super().__init__()
        self.conv1 = nn.Conv2d(2, 4, 3, padding=1)
        if norm:
            self.norm = nn.BatchNorm2d(4)
        self.place = norm
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.pool = pool() if pool else nn.AvgPool2d(2)
        self.conv2 = nn.Conv2d(4, 4, 3, padding=dilation, groups=groups, dilation=dilation)
        self.mean, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = self.conv1(x)
        h = self.relu1(self.norm(h) if self.place == "before" else h)
        h = self.norm(h) if self.place == "after" else h
        return self.fc(self.mean(self.relu2(self.conv2(self.pool(h)))).flatten(1))


class Residual(nn.Module):
    """conv - relu, then h + conv(relu(h))."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu1, self.relu2, self.mean, self.fc = nn.ReLU(), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = self.relu1(self.conv1(x))
        return self.fc(self.mean(self.relu2(h + self.conv2(h))).flatten(1))


class Shared(nn.Module):
    """One convolution and one ReLU, called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2 = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.relu, self.mean, self.fc = nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = self.relu(self.conv1(x))
        return self.fc(self.mean(self.relu(self.conv2(self.relu(self.conv2(h))))).flatten(1))


class Functional(nn.Module):
    """Activations and pools as functions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.fc = nn.Conv2d(2, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        h = functional.max_pool2d(functional.relu(self.conv1(x)), 2)
        return self.fc(torch.relu(self.conv2(h)).mean((2, 3)))


class Recurrent(nn.Module):
    """LSTM, its last state, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.fc = nn.LSTM(6, 4, batch_first=True), nn.Linear(4, 3)

    def forward(self, x: Any) -> Any:
        return self.fc(self.lstm(x)[0][:, -1])


class Transformer(nn.Module):
    """One layer of attention written out, layer norm, a gated part, mean over the tokens, dense."""

    def __init__(self) -> None:
        super().__init__()
        self.q, self.k, self.v, self.o = (nn.Linear(6, 6) for _ in range(4))
        self.norm1, self.norm2, self.up, self.act, self.down, self.fc = (
            nn.LayerNorm(6), nn.LayerNorm(6), nn.Linear(6, 8), nn.GELU(), nn.Linear(8, 6), nn.Linear(6, 3))
        self.softmax = nn.Softmax(-1)

    def forward(self, x: Any) -> Any:
        h = self.norm1(x)
        x = x + self.o(self.softmax(self.q(h) @ self.k(h).transpose(1, 2) / 6**0.5) @ self.v(h))
        return self.fc((x + self.down(self.act(self.up(self.norm2(x))))).mean(1))


def mlp() -> nn.Module:
    """5 - 6 - 4 - 3 with two kinds of activations."""
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 4), nn.Tanh(), nn.Linear(4, 3))


FAMILIES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "MLP": (mlp, ROW), "CNN": (Cnn, IMAGE), "residual": (Residual, IMAGE), "shared modules": (Shared, IMAGE),
    "functional calls": (Functional, IMAGE), "grouped": (lambda: Cnn(groups=2), IMAGE), "dilated": (lambda: Cnn(dilation=2), IMAGE),
    "batch norm before": (lambda: Cnn("before"), IMAGE), "batch norm after": (lambda: Cnn("after"), IMAGE),
    "max pool": (lambda: Cnn(pool=lambda: nn.MaxPool2d(2)), IMAGE),
    "overlapping pool": (lambda: Cnn(pool=lambda: nn.MaxPool2d(3, stride=2, padding=1)), IMAGE),
    "LSTM": (Recurrent, SEQUENCE), "transformer": (Transformer, SEQUENCE),
}
"""Family -> (its maker, the shape of its input)."""


def made(family: str) -> Any:
    """The network of a family, the same each time, in eval mode."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        net = FAMILIES[family][0]().double().eval()
        for module in net.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.3)
                module.running_var.uniform_(0.5, 2)
                module.weight.data.uniform_(0.5, 1.5)
                module.bias.data.normal_(0, 0.3)
    return net
