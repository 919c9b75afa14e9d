"""The networks of the benchmark, as torch modules with random weights, as the peers want them: modules, each used once."""

from __future__ import annotations

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
    """Simonyan and Zisserman's configuration D without batch normalisation."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for block in ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512)):
            for n in block:
                layers += [nn.Conv2d(channels, n, 3, padding=1), nn.ReLU()]
                channels = n
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Linear(4096, 4096), nn.ReLU(), nn.Linear(4096, 1000))

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


NETWORKS = {
    "MLP": (mlp, (784,)), "LeNet": (lenet, (1, 28, 28)), "LSTM": (Recurrent, (100, 64)), "BERT-like": (BertLike, (64, 256)),
    "ViT-like": (ViTLike, (3, 224, 224)), "ResNet18": (lambda: ResNet((2, 2, 2, 2), False), (3, 224, 224)),
    "ResNet50": (lambda: ResNet((3, 4, 6, 3), True), (3, 224, 224)), "VGG16": (VGG16, (3, 224, 224)),
}
"""Name -> (builder, shape of one input), the smaller first."""


def network(name: str, seed: int = 0) -> nn.Module:
    """The network in float32, evaluation mode, with random weights and random statistics of its normalisations."""
    torch.manual_seed(seed)
    model = NETWORKS[name][0]().eval()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            for t, low, high in ((module.running_mean, -0.2, 0.2), (module.running_var, 0.5, 1.5), (module.weight.data, 0.7, 1.3), (module.bias.data, -0.2, 0.2)):
                t.uniform_(low, high)
            module.eps = 1e-12                                               # zennit merges the norm and leaves its eps behind
    return model


def inputs(name: str, batch: int, seed: int = 1) -> torch.Tensor:
    """Standard normal inputs."""
    return torch.randn((batch, *NETWORKS[name][1]), generator=torch.Generator().manual_seed(seed))
