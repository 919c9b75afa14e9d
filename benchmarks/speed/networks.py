"""The networks of the benchmark, as torch modules with random weights, as the peers want them: modules, each used once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn


def lenet() -> nn.Module:
    """28 x 28 digits: two convolutions, two pools, three dense layers."""
    return nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                         nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))


def mlp() -> nn.Module:
    """784 - 512 - 256 - 10."""
    return nn.Sequential(nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10))


class VGG16(nn.Module):
    """Simonyan and Zisserman's configuration D without batch normalisation, for images of ``size`` x ``size``."""

    def __init__(self, size: int = 224) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for block in ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)):
            for n in block:
                layers += [nn.Conv2d(channels, n, 3, padding=1), nn.ReLU()]
                channels = n
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        wide = 4096 if size == 224 else 256
        self.classifier = nn.Sequential(nn.Linear(512 * (size // 32) ** 2, wide), nn.ReLU(), nn.Linear(wide, wide), nn.ReLU(),
                                        nn.Linear(wide, 1000))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.classifier(torch.flatten(self.features(x), 1))


class Block(nn.Module):
    """A residual block: convolutions with batch normalisation, a skip, a ReLU after the sum."""

    def __init__(self, into: int, mid: int, out: int, stride: int, bottleneck: bool):
        super().__init__()
        sizes = [(into, mid, 1, 1), (mid, mid, 3, stride), (mid, out, 1, 1)] if bottleneck else [(into, out, 3, stride), (out, out, 3, 1)]
        parts: list[nn.Module] = []
        for k, (a, b, size, s) in enumerate(sizes):
            parts += [nn.Conv2d(a, b, size, s, size // 2, bias=False), nn.BatchNorm2d(b)] + ([nn.ReLU()] if k + 1 < len(sizes) else [])
        self.main = nn.Sequential(*parts)
        self.skip = nn.Identity() if into == out and stride == 1 else nn.Sequential(nn.Conv2d(into, out, 1, stride, bias=False), nn.BatchNorm2d(out))
        self.relu = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.relu(self.main(x) + self.skip(x))


class ResNet(nn.Module):
    """He et al.'s ResNet-18 or ResNet-50."""

    def __init__(self, counts: tuple[int, ...], bottleneck: bool):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1))
        blocks, into = [], 64
        for stage, count in enumerate(counts):
            mid = 64 * 2**stage
            out = 4 * mid if bottleneck else mid
            for k in range(count):
                blocks.append(Block(into, mid, out, 2 if k == 0 and stage else 1, bottleneck))
                into = out
        self.blocks = nn.Sequential(*blocks)
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(into, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(self.pool(self.blocks(self.stem(x))), 1))


class Inverted(nn.Module):
    """An inverted residual block: 1 x 1 up, depthwise, 1 x 1 down, a skip where the sizes allow it."""

    def __init__(self, into: int, out: int, kernel: int, stride: int, factor: int):
        super().__init__()
        wide = into * factor
        up = [nn.Conv2d(into, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6()] if factor > 1 else []
        self.main = nn.Sequential(*up, nn.Conv2d(wide, wide, kernel, stride, kernel // 2, groups=wide, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
                                  nn.Conv2d(wide, out, 1, bias=False), nn.BatchNorm2d(out))
        self.skip = into == out and stride == 1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x + self.main(x) if self.skip else self.main(x)


class EfficientNetLite0(nn.Module):
    """Tan and Le's B0 without squeeze-and-excitation and with ReLU6."""

    def __init__(self) -> None:
        super().__init__()
        blocks: list[nn.Module] = [nn.Conv2d(3, 32, 3, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU6()]
        into = 32
        for factor, out, count, stride, kernel in ((1, 16, 1, 1, 3), (6, 24, 2, 2, 3), (6, 40, 2, 2, 5), (6, 80, 3, 2, 3), (6, 112, 3, 1, 5),
                                                   (6, 192, 4, 2, 5), (6, 320, 1, 1, 3)):
            for k in range(count):
                blocks.append(Inverted(into, out, kernel, stride if k == 0 else 1, factor))
                into = out
        self.features = nn.Sequential(*blocks, nn.Conv2d(320, 1280, 1, bias=False), nn.BatchNorm2d(1280), nn.ReLU6(), nn.AdaptiveAvgPool2d(1))
        self.fc = nn.Linear(1280, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.flatten(self.features(x), 1))


class Attention(nn.Module):
    """A transformer block before or after its normalisations, with the attention written out."""

    def __init__(self, width: int, heads: int, first: bool):
        super().__init__()
        self.heads, self.first = heads, first
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.act, self.down = nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def attend(self, x: torch.Tensor) -> torch.Tensor:
        n, t, d = x.shape
        q, k, v = (p.reshape(n, t, self.heads, -1).transpose(1, 2) for p in self.qkv(x).chunk(3, -1))
        a = torch.softmax(q @ k.transpose(-1, -2) / (d // self.heads) ** 0.5, -1)
        return self.out((a @ v).transpose(1, 2).reshape(n, t, d))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.first:                                                       # as in ViT
            x = x + self.attend(self.norm1(x))
            return x + self.down(self.act(self.up(self.norm2(x))))
        x = self.norm1(x + self.attend(x))                                   # as in BERT
        return self.norm2(x + self.down(self.act(self.up(x))))


class BertLike(nn.Module):
    """Four blocks on 64 embedded tokens of width 256."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks, self.head = nn.Sequential(*(Attention(256, 4, False) for _ in range(4))), nn.Linear(256, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(x)[:, 0])


class ViTLike(nn.Module):
    """Six blocks on the 196 patches of an image of 224 x 224, width 192."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 192, 16, 16)
        self.blocks, self.head = nn.Sequential(*(Attention(192, 3, True) for _ in range(6))), nn.Linear(192, 1000)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.blocks(self.patches(x).flatten(2).transpose(1, 2)).mean(1))


class Recurrent(nn.Module):
    """One LSTM over 100 steps of 64 features, and a dense layer on its last state."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm, self.head = nn.LSTM(64, 128, batch_first=True), nn.Linear(128, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.lstm(x)[0][:, -1])


IMAGE = (3, 224, 224)
NETWORKS: dict[str, tuple[Callable[..., nn.Module], tuple[int, ...]]] = {
    "MLP": (mlp, (784,)), "LeNet": (lenet, (1, 28, 28)), "LSTM": (Recurrent, (100, 64)), "BERT-like": (BertLike, (64, 256)), "ViT-like": (ViTLike, IMAGE),
    "EfficientNet-Lite0": (EfficientNetLite0, IMAGE), "ResNet18": (lambda: ResNet((2, 2, 2, 2), False), IMAGE),
    "ResNet50": (lambda: ResNet((3, 4, 6, 3), True), IMAGE), "VGG16": (VGG16, IMAGE),
}
"""Name -> (builder, shape of one input), the smaller first."""

SMALL = 64
"""The side of the images on which values are compared in float64, which takes a twelfth of the time."""


def network(name: str, seed: int = 0, size: int = 224) -> nn.Module:
    """The network in float32, evaluation mode, with random weights and random statistics of its normalisations."""
    torch.manual_seed(seed)
    model = (NETWORKS[name][0](size) if name == "VGG16" else NETWORKS[name][0]()).eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for t, low, high in ((module.running_mean, -0.2, 0.2), (module.running_var, 0.5, 1.5), (module.weight.data, 0.7, 1.3), (module.bias.data, -0.2, 0.2)):
                t.uniform_(low, high)
            module.eps = 1e-16                                               # zennit merges the norm and leaves its eps behind
    return model


def inputs(name: str, batch: int, seed: int = 1, size: int = 224) -> torch.Tensor:
    """Standard normal inputs; images of ``size`` x ``size`` where the network takes any."""
    shape = NETWORKS[name][1]
    return torch.randn((batch, *((3, size, size) if shape == IMAGE else shape)), generator=torch.Generator().manual_seed(seed))
