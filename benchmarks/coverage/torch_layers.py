"""Every class of torch.nn that computes something at inference, one layer each, and a few small networks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import nn

from benchmarks.coverage.measure import Subject
from benchmarks.coverage.torch_subject import draw, torch_subject


class Part(nn.Module):
    """One result of a layer with several."""

    def __init__(self, layer: nn.Module, pick: Callable[..., Any], *more: str):
        super().__init__()
        self.layer, self.pick = layer, pick

    def forward(self, *inputs: Any) -> Any:
        return self.pick(self.layer, *inputs)


class Bag(nn.Module):
    """Token ids in bags of four, then a layer."""

    def __init__(self, mode: str):
        super().__init__()
        self.bag, self.head = nn.EmbeddingBag(11, 6, mode=mode), nn.Linear(6, 3)

    def forward(self, ids: Any) -> Any:
        return self.head(self.bag(ids))


class Looked(nn.Module):
    """Token ids, looked up."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.head = nn.Embedding(11, 6), nn.Linear(6, 3)

    def forward(self, ids: Any) -> Any:
        return self.head(self.table(ids)).tanh().mean(1)


class Block(nn.Module):
    """A residual block whose ReLU is called twice."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two = nn.Conv2d(4, 4, 3, padding=1), nn.Conv2d(4, 4, 3, padding=1)
        self.norm1, self.norm2, self.relu = nn.BatchNorm2d(4), nn.BatchNorm2d(4), nn.ReLU(inplace=True)

    def forward(self, x: Any) -> Any:
        return self.relu(self.norm2(self.two(self.relu(self.norm1(self.one(x))))) + x)


class Tied(nn.Module):
    """An encoder whose transpose decodes."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(6, 4)

    def forward(self, x: Any) -> Any:
        return torch.sigmoid(self.layer(x)) @ self.layer.weight


class Causal(nn.Module):
    """Attention written out, with a causal mask."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(6, 18)

    def forward(self, x: Any) -> Any:
        q, k, v = self.qkv(x).chunk(3, -1)
        scores = (q @ k.mT) / 6**0.5
        scores = scores.masked_fill(torch.ones(5, 5).triu(1).bool(), float("-inf"))
        return scores.softmax(-1) @ v


class Cells(nn.Module):
    """A recurrent cell, three steps by hand."""

    def __init__(self, cell: nn.Module, pair: bool):
        super().__init__()
        self.cell, self.pair = cell, pair

    def forward(self, x: Any) -> Any:
        state = self.cell(x[:, 0])
        for k in (1, 2):
            state = self.cell(x[:, k], state)
        return state[0] if self.pair else state


def encoder_decoder(layer: nn.Module, x: Any, y: Any) -> Any:
    """The target attends to the source."""
    return layer(y, x)


def self_attention(layer: nn.Module, x: Any) -> Any:
    """Queries, keys and values from one sequence, with the weights."""
    return layer(x, x, x)


def first(layer: nn.Module, *inputs: Any) -> Any:
    """The outputs of all steps."""
    return layer(*inputs)[0]


def unpooled(layer: nn.Module, x: Any) -> Any:
    """Maxima put back to where they were."""
    pool = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[x.ndim - 2]
    return layer(*pool(x, 2, return_indices=True))


LINE, IMAGE, VOLUME, ROW, TOKENS = (4, 12), (4, 8, 9), (4, 4, 6, 5), (6,), (5, 6)
SPACES = {1: LINE, 2: IMAGE, 3: VOLUME}

Row = tuple[Callable[[], nn.Module], tuple[tuple[int, ...], ...]]
"""A layer, and the shapes of its inputs without the batch."""


def _rows() -> dict[str, Row]:
    rows: dict[str, Row] = {}

    def on(shape: tuple[int, ...], /, **layers: Callable[[], nn.Module]) -> None:
        rows.update({k: (v, (shape,)) for k, v in layers.items()})

    for n, shape in SPACES.items():
        def of(kind: str, *args: Any, n: int = n, **settings: Any) -> Callable[[], nn.Module]:
            return lambda: getattr(nn, f"{kind}{n}d")(*args, **settings)

        on(shape, **{
            f"Conv{n}d": of("Conv", 4, 6, 3, stride=2, padding=1, groups=2), f"ConvTranspose{n}d": of("ConvTranspose", 4, 3, 3, stride=2, padding=1),
            f"MaxPool{n}d": of("MaxPool", 3, 2, 1), f"AvgPool{n}d": of("AvgPool", 3, 2, 1), f"LPPool{n}d": of("LPPool", 2, 2),
            f"AdaptiveAvgPool{n}d": of("AdaptiveAvgPool", 3), f"AdaptiveMaxPool{n}d": of("AdaptiveMaxPool", 3), f"BatchNorm{n}d": of("BatchNorm", 4),
            f"InstanceNorm{n}d": of("InstanceNorm", 4, affine=True), f"ReflectionPad{n}d": of("ReflectionPad", 1),
            f"ReplicationPad{n}d": of("ReplicationPad", 1), f"ZeroPad{n}d": of("ZeroPad", 1), f"ConstantPad{n}d": of("ConstantPad", 1, 0.5),
            f"CircularPad{n}d": of("CircularPad", 1), f"Dropout{'' if n == 1 else f'{n}d'}": lambda n=n: nn.Sequential(
                (nn.Dropout, nn.Dropout2d, nn.Dropout3d)[n - 1](), nn.Tanh()),
        })
        rows[f"MaxUnpool{n}d"] = (lambda n=n: Part(getattr(nn, f"MaxUnpool{n}d")(2), unpooled), ((4, 8, 6, 4)[: n + 1],))
    on(IMAGE, **{k: (lambda k=k: getattr(nn, k)()) for k in (
        "ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU", "Mish", "Sigmoid", "Hardsigmoid", "Hardswish",
        "Hardtanh", "Tanh", "Softplus", "Softsign", "LogSigmoid", "Hardshrink", "Softshrink", "Tanhshrink", "Softmax2d", "Flatten", "Identity")})
    on(IMAGE,
       Threshold=lambda: nn.Threshold(0.1, 0.5), GLU=lambda: nn.GLU(1), Softmax=lambda: nn.Softmax(1), Softmin=lambda: nn.Softmin(-1),
       LogSoftmax=lambda: nn.LogSoftmax(1), GroupNorm=lambda: nn.GroupNorm(2, 4), LayerNorm=lambda: nn.LayerNorm((8, 9)),
       RMSNorm=lambda: nn.RMSNorm(9), LocalResponseNorm=lambda: nn.LocalResponseNorm(3, 0.1), CrossMapLRN2d=lambda: nn.CrossMapLRN2d(3, 0.1),
       Linear=lambda: nn.Linear(9, 5), PixelShuffle=lambda: nn.PixelShuffle(2), ChannelShuffle=lambda: nn.ChannelShuffle(2),
       Unflatten=lambda: nn.Unflatten(1, (2, 2)), Upsample=lambda: nn.Upsample(scale_factor=2, mode="bilinear"),
       UpsamplingNearest2d=lambda: nn.UpsamplingNearest2d(scale_factor=2), UpsamplingBilinear2d=lambda: nn.UpsamplingBilinear2d(scale_factor=2),
       Unfold=lambda: nn.Unfold((2, 3), stride=2, padding=1), AlphaDropout=lambda: nn.Sequential(nn.AlphaDropout(), nn.Tanh()),
       FeatureAlphaDropout=lambda: nn.Sequential(nn.FeatureAlphaDropout(), nn.Tanh()),
       AdaptiveLogSoftmaxWithLoss=lambda: nn.Sequential(nn.Flatten(), Part(nn.AdaptiveLogSoftmaxWithLoss(288, 12, [4, 8]), lambda m, x: m.log_prob(x))))
    on((4, 8, 10), PixelUnshuffle=lambda: nn.PixelUnshuffle(2))
    on((8, 12), Fold=lambda: nn.Fold((4, 5), (2, 2)))
    rows["Bilinear"] = (lambda: nn.Bilinear(6, 5, 3), (ROW, (5,)))
    rows["CosineSimilarity"] = (lambda: nn.CosineSimilarity(), (IMAGE, IMAGE))
    rows["PairwiseDistance"] = (lambda: nn.PairwiseDistance(), (ROW, ROW))
    on(TOKENS,
       MultiheadAttention=lambda: Part(nn.MultiheadAttention(6, 2, batch_first=True), self_attention),
       TransformerEncoderLayer=lambda: nn.TransformerEncoderLayer(6, 2, 8, batch_first=True),
       TransformerEncoder=lambda: nn.TransformerEncoder(nn.TransformerEncoderLayer(6, 2, 8, batch_first=True, norm_first=True), 2, nn.LayerNorm(6), False),
       RNN=lambda: Part(nn.RNN(6, 4, batch_first=True), first), GRU=lambda: Part(nn.GRU(6, 4, batch_first=True), first),
       LSTM=lambda: Part(nn.LSTM(6, 4, batch_first=True), first),
       LSTM_two_layers_both_ways=lambda: Part(nn.LSTM(6, 4, 2, batch_first=True, bidirectional=True), first),
       LSTM_projected=lambda: Part(nn.LSTM(6, 4, batch_first=True, proj_size=3), first),
       RNNCell=lambda: Cells(nn.RNNCell(6, 4), False), GRUCell=lambda: Cells(nn.GRUCell(6, 4), False), LSTMCell=lambda: Cells(nn.LSTMCell(6, 4), True))
    rows["TransformerDecoderLayer"] = (lambda: Part(nn.TransformerDecoderLayer(6, 2, 8, batch_first=True), encoder_decoder), (TOKENS, (4, 6)))
    rows["TransformerDecoder"] = (
        lambda: Part(nn.TransformerDecoder(nn.TransformerDecoderLayer(6, 2, 8, batch_first=True), 2), encoder_decoder), (TOKENS, (4, 6)))
    rows["Transformer"] = (lambda: nn.Transformer(6, 2, 1, 1, 8, batch_first=True), (TOKENS, (4, 6)))
    rows["Embedding"] = (Looked, ((4,),))
    rows |= {f"EmbeddingBag_{mode}": (lambda mode=mode: Bag(mode), ((4,),)) for mode in ("mean", "sum", "max")}
    on(IMAGE,
       weight_norm=lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 3, 3)),
       spectral_norm=lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(4, 3, 3)),
       net_residual=Block, net_tied=lambda: nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Linear(4, 6), Tied()),
       net_convolutional=lambda: nn.Sequential(nn.Conv2d(4, 6, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(54, 5), nn.Softmax(-1)),
       net_autoencoder=lambda: nn.Sequential(nn.Conv2d(4, 6, 3, 2, 1), nn.ELU(), nn.ConvTranspose2d(6, 4, 4, 2, 1)))
    on(ROW, net_mlp=lambda: nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 3)))
    on(TOKENS, net_causal=Causal)
    return rows


MODELS: Mapping[str, Row] = _rows()


def subject(name: str) -> Subject:
    """The layer in float64 on Gaussian noise, or on token ids where it looks something up."""
    build, shapes = MODELS[name]
    torch.manual_seed(0)
    model = build()
    if name.startswith("Embedding"):
        ids = torch.tensor([[1, 5, 2, 7], [3, 3, 8, 0]])
        return torch_subject(model, ids, leaf="table" if name == "Embedding" else "bag")
    inputs = tuple(draw(*shape, seed=k) for k, shape in enumerate(shapes))
    return torch_subject(model, inputs[0] if len(inputs) == 1 else inputs)
