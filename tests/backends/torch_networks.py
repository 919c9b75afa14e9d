"""Small convolutional networks as they are written in torch, one of each kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402


def conv_block(inputs: int, outputs: int, kernel: int = 3, **settings: Any) -> nn.Sequential:
    settings.setdefault("padding", kernel // 2)
    return nn.Sequential(nn.Conv2d(inputs, outputs, kernel, bias=False, **settings), nn.BatchNorm2d(outputs), nn.ReLU(inplace=True))


def lenet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(4, 6, 3), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(), nn.Linear(24, 8), nn.Tanh(),
        nn.Linear(8, 5))


def vgg() -> nn.Module:
    return nn.Sequential(
        conv_block(3, 4), conv_block(4, 4), nn.MaxPool2d(2, 2), conv_block(4, 6), nn.MaxPool2d(3, 2, 1), nn.AdaptiveAvgPool2d((3, 3)),
        nn.Flatten(), nn.Linear(54, 8), nn.ReLU(True), nn.Dropout(), nn.Linear(8, 5))


class Residual(nn.Module):
    """One ReLU module is called twice, the shortcut is a strided convolution where the shape changes."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False), nn.BatchNorm2d(outputs)
        self.conv2, self.bn2 = nn.Conv2d(outputs, outputs, 3, 1, 1, bias=False), nn.BatchNorm2d(outputs)
        self.relu = nn.ReLU(inplace=True)
        self.down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)) if stride > 1 else None

    def forward(self, x: Any) -> Any:
        y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
        y += x if self.down is None else self.down(x)
        return self.relu(y)


def resnet() -> nn.Module:
    return nn.Sequential(
        conv_block(3, 4, stride=2), nn.MaxPool2d(3, 2, 1), Residual(4, 4), Residual(4, 6, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


class Dense(nn.Module):
    """Every layer sees all layers before it."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Sequential(nn.BatchNorm2d(3 + 2 * k), nn.ReLU(), nn.Conv2d(3 + 2 * k, 2, 3, padding=1)) for k in range(3))
        self.head = nn.Linear(9, 5)

    def forward(self, x: Any) -> Any:
        found = [x]
        for layer in self.layers:
            found.append(layer(torch.cat(found, 1)))
        return self.head(F.adaptive_avg_pool2d(F.relu(torch.cat(found, 1)), 1).flatten(1))


class Inception(nn.Module):
    """Branches of other kernels, joined; overlapping pools with padding; two heads."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three, self.five = conv_block(3, 2, 1), conv_block(3, 3, 3), nn.Sequential(conv_block(3, 2, 1), conv_block(2, 2, 5))
        self.asymmetric = nn.Sequential(conv_block(3, 2, 1), nn.Conv2d(2, 2, (1, 3), padding=(0, 1)), nn.Conv2d(2, 2, (3, 1), padding=(1, 0)))
        self.pool = nn.Sequential(nn.MaxPool2d(3, 1, 1), conv_block(3, 2, 1))
        self.fc, self.auxiliary = nn.Linear(11, 5), nn.Linear(11 * 9, 5)

    def forward(self, x: Any) -> Any:
        y = torch.cat([part(x) for part in (self.one, self.three, self.five, self.asymmetric, self.pool)], 1)
        y = F.max_pool2d(y, 3, 2, ceil_mode=True)
        side = self.auxiliary(F.avg_pool2d(y, 5, 3, padding=2)[:, :, :3, :3].flatten(1))
        return self.fc(y.mean((2, 3))), side


class Inverted(nn.Module):
    """Expand, depthwise, squeeze-and-excite, project."""

    def __init__(self, width: int, stride: int):
        super().__init__()
        self.expand, self.depthwise = nn.Conv2d(width, 8, 1), nn.Conv2d(8, 8, 3, stride, 1, groups=8)
        self.squeeze, self.excite, self.project = nn.Conv2d(8, 2, 1), nn.Conv2d(2, 8, 1), nn.Conv2d(8, width, 1)
        self.norm, self.stride = nn.BatchNorm2d(8), stride

    def forward(self, x: Any) -> Any:
        y = F.hardswish(self.norm(self.depthwise(F.relu6(self.expand(x)))))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        y = self.project(y)
        return x + y if self.stride == 1 else y


def mobilenet() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), Inverted(4, 1), Inverted(4, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))


class UNet(nn.Module):
    """Down, a dilated middle, up by transposed convolution and by interpolation, skips, a spatial output."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = conv_block(3, 4, stride=2), nn.Conv2d(4, 4, 3, padding=2, dilation=2)
        self.up, self.skip, self.last = nn.ConvTranspose2d(4, 3, 4, 2, 1), nn.Conv2d(6, 4, 3, padding=1, groups=2), nn.Conv2d(8, 2, 1)

    def forward(self, x: Any) -> Any:
        y = F.leaky_relu(self.middle(self.down(x)), 0.1)
        fine = self.skip(torch.cat([self.up(y), x], 1))
        return self.last(torch.cat([fine, F.interpolate(y, scale_factor=2, mode="bilinear")], 1))


class Shuffle(nn.Module):
    """Half of the channels pass by, then the halves are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.body, self.fc = nn.Conv2d(3, 8, 3, 2), conv_block(4, 4), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        left, right = self.first(x).chunk(2, dim=1)
        y = torch.cat((left, self.body(right)), dim=1)
        n, c, h, w = y.shape
        y = y.view(n, 2, c // 2, h, w).transpose(1, 2).contiguous().view(n, -1, h, w)
        return self.fc(y.amax((2, 3)))


IMAGES: dict[str, Callable[[], nn.Module]] = {
    "lenet": lenet, "vgg": vgg, "resnet": resnet, "densenet": Dense, "inception": Inception, "mobilenet": mobilenet, "unet": UNet, "shufflenet": Shuffle,
}
