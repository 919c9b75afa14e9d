"""Whole torch models, small and with weights drawn anew: forward and gradient against torch, at another batch than the example's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402
from xaicore_torch import to_graph  # noqa: E402

from tests.backends.common import input_gradients  # noqa: E402
from tests.backends.torch_cases import shake  # noqa: E402
from xaicore.graph.passes import fold_batchnorm  # noqa: E402
from xaicore.ops import BatchNorm, Embedding, Softmax  # noqa: E402

FORWARD, GRADIENT = 1e-12, 1e-10
"""Of the largest entry, in float64: rounding of 1e-16 through some dozens of layers. What is asked for is 1e-6."""


def draw(*shape: int, seed: int = 0) -> Any:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def calibrate(model: nn.Module, *inputs: Any) -> None:
    """BatchNorms take over the statistics of a batch: in a deep network drawn statistics switch the input's influence off."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    for m in norms:
        m.momentum = 0.9
        m.train()
    with torch.no_grad():
        model(*inputs)
    model.eval()


def check(model: nn.Module, *inputs: Any, leaf: str = "") -> Any:
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
        assert np.abs(one - two.detach().numpy()).max() <= FORWARD * np.abs(one).max()
        assert np.abs(one[0] - one[1]).max() > 1e-3 * np.abs(one).max(), "the output hardly depends on the input, so nothing was tested"
    seeds = [draw(*y.shape, seed=9) for y in theirs]
    total = sum((y * s).sum() for y, s in zip(theirs, seeds))
    expected = torch.autograd.grad(total, [x for x, f in zip(fed, floats) if f] or caught)
    found = input_gradients(graph, given, [s.numpy() for s in seeds]) if not leaf else from_leaf(graph, given, seeds, leaf)
    for one, two in zip(found.values(), expected, strict=True):
        assert np.abs(one - two.numpy()).max() <= GRADIENT * np.abs(two.numpy()).max()
    return graph


def from_leaf(graph: Any, given: Any, seeds: list[Any], leaf: str) -> dict[str, np.ndarray]:
    """The gradient at a node, for models whose inputs are whole numbers."""
    from tests.backends.common import GradientPlan
    from xaicore.graph.run import check_feeds
    from xaicore.trace import backward, forward

    trace = forward(graph, check_feeds(graph, given), wrt=[leaf])
    return {leaf: backward(trace, GradientPlan(), dict(zip(graph.outputs, (s.numpy() for s in seeds)))).values[leaf]}


# ----- convolutional networks -----------------------------------------------------------------------------------------


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


# ----- transformers ---------------------------------------------------------------------------------------------------


class Bert(nn.Module):
    """Token and position ids, a padding mask, nn.TransformerEncoder, the first token's head, an output tied to the embedding."""

    def __init__(self, **settings: Any) -> None:
        super().__init__()
        self.tokens, self.positions, self.norm = nn.Embedding(11, 8, padding_idx=0), nn.Embedding(9, 8), nn.LayerNorm(8)
        layer = nn.TransformerEncoderLayer(8, 2, 12, activation="gelu", **settings)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.pooler, self.head = nn.Linear(8, 8), nn.Linear(8, 3)
        self.batch_first = settings["batch_first"]

    def forward(self, ids: Any) -> Any:
        x = self.norm(self.tokens(ids) + self.positions(torch.arange(ids.shape[1], device=ids.device)))
        hidden = ids == 0
        if self.batch_first:
            y = self.encoder(x, src_key_padding_mask=hidden)
        else:
            y = self.encoder(x.transpose(0, 1), src_key_padding_mask=hidden).transpose(0, 1)
        return self.head(torch.tanh(self.pooler(y[:, 0]))), y @ self.tokens.weight.t()


@pytest.mark.parametrize("settings", [
    {"batch_first": True}, {"batch_first": False, "norm_first": True, "bias": False}], ids=str)
def test_bert(settings: dict[str, Any]) -> None:
    ids = torch.randint(0, 11, (5, 6), generator=torch.Generator().manual_seed(1))
    ids[:, 0] = 3                                                           # a sample of nothing but padding has no scores to compare
    ids[1:] = torch.where(ids[1:] == ids[0], (ids[1:] + 1) % 11, ids[1:])
    graph = check(Bert(**settings), ids, leaf="tokens")
    assert graph.inputs["ids"].kind == "int"
    assert isinstance(graph.node("tokens").op, Embedding)
    assert sum(isinstance(n.op, Softmax) for n in graph.nodes) == 2
    assert [n.name for n in graph.nodes if n.layer == "encoder.layers.1.self_attn.out_proj"] == ["encoder.layers.1.self_attn.out_proj"]


class ViT(nn.Module):
    """Patches by convolution, a class token, position embeddings, nn.MultiheadAttention that also returns its weights."""

    def __init__(self) -> None:
        super().__init__()
        self.patch, self.token = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.zeros(1, 1, 8))
        self.position, self.norm = nn.Parameter(torch.zeros(1, 17, 8)), nn.LayerNorm(8)
        self.attention, self.scale = nn.MultiheadAttention(8, 2, batch_first=True), nn.Parameter(torch.zeros(8))
        self.mlp, self.head = nn.Sequential(nn.Linear(8, 16), nn.GELU(), nn.Dropout(0.1), nn.Linear(16, 8)), nn.Linear(8, 5)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], dim=1) + self.position
        y = self.norm(x)
        mixed, weights = self.attention(y, y, y, need_weights=True)
        x = x + self.scale * mixed
        x = x + self.mlp(F.layer_norm(x, (8,)))
        return self.head(x[:, 0]), weights


def test_vit() -> None:
    graph = check(ViT(), draw(5, 3, 16, 16))
    assert {"patch", "attention.out_proj", "mlp.1", "head"} <= {n.name for n in graph.nodes}
    assert {"token", "position", "scale"} <= set(graph.params)               # expanded and added, but still the model's own


class Swin(nn.Module):
    """Attention in windows, with a relative position bias and, shifted, with a mask: (N, H, W, C) -> (N * windows, w * w, C) and back."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv, self.proj, self.merge, self.head = nn.Linear(8, 24), nn.Linear(8, 8), nn.Linear(32, 8, bias=False), nn.Linear(8, 5)
        self.patch, self.table, self.norm = nn.Conv2d(3, 8, 4, 4), nn.Parameter(torch.zeros(9, 2)), nn.LayerNorm(8)
        at = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
        self.register_buffer("index", ((at[:, :, None] - at[:, None, :] + 1) * torch.tensor([3, 1])[:, None, None]).sum(0))

    def attend(self, x: Any, mask: Any) -> Any:
        n, tokens, width = x.shape
        q, k, v = self.qkv(x).reshape(n, tokens, 3, 2, 4).permute(2, 0, 3, 1, 4).unbind(0)
        scores = (q * 4**-0.5) @ k.transpose(-2, -1)
        scores = scores + self.table[self.index.view(-1)].view(tokens, tokens, -1).permute(2, 0, 1).contiguous().unsqueeze(0)
        if mask is not None:
            windows = mask.shape[0]
            scores = (scores.view(n // windows, windows, 2, tokens, tokens) + mask.unsqueeze(1).unsqueeze(0)).view(-1, 2, tokens, tokens)
        return self.proj((scores.softmax(-1) @ v).transpose(1, 2).reshape(n, tokens, width))

    def block(self, x: Any, shift: int) -> Any:
        n, h, w, c = x.shape
        y, mask = self.norm(x), None
        if shift:
            y = torch.roll(y, (-shift, -shift), (1, 2))
            regions = torch.zeros(h, w)
            regions[-2:-1] = 1
            regions[-1:] = 2
            regions = regions.view(h // 2, 2, w // 2, 2).permute(0, 2, 1, 3).reshape(-1, 4)
            mask = torch.where(regions[:, None] == regions[:, :, None], 0.0, -100.0).to(x.dtype)
        y = y.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).contiguous().view(-1, 4, c)
        y = self.attend(y, mask).view(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, c)
        return x + (torch.roll(y, (shift, shift), (1, 2)) if shift else y)

    def forward(self, x: Any) -> Any:
        x = self.patch(x).permute(0, 2, 3, 1)
        x = self.block(self.block(x, 0), 1)
        x = torch.cat([x[:, a::2, b::2] for a in (0, 1) for b in (0, 1)], -1)
        return self.head(self.merge(x).flatten(1, 2).mean(1))


def test_shifted_windows() -> None:
    check(Swin(), draw(5, 3, 16, 16))


class Gpt(nn.Module):
    """Causal attention written out, with a mask of infinities, rotary positions and a gated layer; float embeddings as input."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.qkv, self.out = nn.RMSNorm(8, eps=1e-6), nn.Linear(8, 24, bias=False), nn.Linear(8, 8)
        self.gate, self.up, self.down = nn.Linear(8, 12), nn.Linear(8, 12), nn.Linear(12, 8)
        self.register_buffer("causal", torch.ones(6, 6).tril().view(1, 1, 6, 6))

    def rotate(self, x: Any) -> Any:
        angle = torch.arange(x.shape[2], dtype=x.dtype)[:, None] / torch.tensor([1.0, 10.0], dtype=x.dtype)
        cos, sin = (f(torch.cat([angle, angle], -1)) for f in (torch.cos, torch.sin))
        half = x.shape[-1] // 2
        return x * cos + torch.cat((-x[..., half:], x[..., :half]), -1) * sin

    def forward(self, embedded: Any) -> Any:
        n, length, width = embedded.size()
        q, k, v = (t.view(n, length, 2, width // 2).transpose(1, 2) for t in self.qkv(self.norm(embedded)).split(width, dim=2))
        scores = self.rotate(q) @ self.rotate(k).transpose(-2, -1) * (1.0 / 2)
        scores = scores.masked_fill(self.causal[:, :, :length, :length] == 0, float("-inf"))
        mixed = (F.softmax(scores, dim=-1) @ v).transpose(1, 2).contiguous().view(n, length, width)
        x = embedded + self.out(mixed)
        return x + self.down(F.silu(self.gate(x)) * self.up(x))


def test_gpt() -> None:
    check(Gpt(), draw(5, 6, 8))


class T5(nn.Module):
    """Token ids, RMS norms, a relative position bias in buckets that both layers share, no scale, a gated layer, a tied head."""

    def __init__(self) -> None:
        super().__init__()
        self.tokens, self.bias = nn.Embedding(11, 8), nn.Embedding(6, 2)
        self.layers = nn.ModuleList(nn.ModuleDict({
            "norm": nn.RMSNorm(8), "q": nn.Linear(8, 8, False), "k": nn.Linear(8, 8, False), "v": nn.Linear(8, 8, False), "o": nn.Linear(8, 8, False),
            "gate": nn.Linear(8, 12, False), "up": nn.Linear(8, 12, False), "down": nn.Linear(12, 8, False)}) for _ in range(2))

    def buckets(self, length: int) -> Any:
        there = torch.arange(length)
        far = there[None] - there[:, None]
        small = far.abs() < 2
        large = (2 + (far.abs().clamp(min=1).float() / 2).log2().long()).clamp(max=2)
        return torch.where(small, far.abs(), large) + (far > 0) * 3

    def forward(self, ids: Any) -> Any:
        x = self.tokens(ids)
        n, length, width = x.shape
        bias = self.bias(self.buckets(length)).permute(2, 0, 1).unsqueeze(0)
        for layer in self.layers:
            y = layer["norm"](x)
            q, k, v = (layer[name](y).view(n, length, 2, 4).transpose(1, 2) for name in "qkv")
            scores = torch.matmul(q, k.transpose(3, 2)) + bias
            mixed = torch.matmul(scores.float().softmax(-1).type_as(scores), v).transpose(1, 2).reshape(n, length, width)
            x = x + layer["o"](mixed)
            x = x + layer["down"](F.gelu(layer["gate"](x), approximate="tanh") * layer["up"](x))
        return F.linear(x * width**-0.5, self.tokens.weight)


def test_t5(monkeypatch: pytest.MonkeyPatch) -> None:
    ids = torch.tensor([[1, 5, 2, 7, 0], [3, 3, 8, 0, 4], [9, 1, 1, 6, 2], [4, 0, 2, 2, 10], [7, 8, 9, 10, 1]])
    monkeypatch.setitem(globals(), "FORWARD", 1e-6)                         # the softmax is torch's in float32
    monkeypatch.setitem(globals(), "GRADIENT", 1e-5)
    graph = check(T5(), ids, leaf="tokens")
    assert [n.name for n in graph.nodes if isinstance(n.op, Embedding)] == ["tokens"]            # the bias was looked up when the graph was built


@pytest.mark.parametrize("settings", [{"add_bias_kv": True, "add_zero_attn": True}, {"batch_first": True, "kdim": 3, "vdim": 5}], ids=str)
def test_cross_attention(settings: dict[str, Any]) -> None:
    """nn.MultiheadAttention in all its forms, with the batch in the middle or in front, and a causal mask."""

    class Cross(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, **settings)

        def forward(self, q: Any, k: Any, v: Any) -> Any:
            mask = torch.ones(4, 6, dtype=torch.bool).triu(3)
            if not settings.get("batch_first"):
                q, k, v = (t.transpose(0, 1) for t in (q, k, v))
            y, weights = self.attention(q, k, v, attn_mask=mask, average_attn_weights="add_zero_attn" in settings)
            return y if settings.get("batch_first") else y.transpose(0, 1), weights

    check(Cross(), draw(5, 4, 8), draw(5, 6, settings.get("kdim", 8), seed=1), draw(5, 6, settings.get("vdim", 8), seed=2))


def test_encoder_and_decoder() -> None:
    """nn.Transformer as a whole: self-attention, causal self-attention and cross-attention."""

    class Translate(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body = nn.Transformer(8, 2, 1, 1, 12, batch_first=True)

        def forward(self, source: Any, target: Any) -> Any:
            return self.body(source, target, tgt_mask=nn.Transformer.generate_square_subsequent_mask(4, dtype=target.dtype), tgt_is_causal=True)

    check(Translate(), draw(5, 6, 8), draw(5, 4, 8, seed=1))


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
