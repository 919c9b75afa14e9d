"""Transformers in torch, small and with weights drawn anew: forward and gradient against torch, at another batch than the example's."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

import torch.nn.functional as F  # noqa: E402, N812 (torch may be absent)
from torch import nn  # noqa: E402

from tests.backends.torch_cases import draw  # noqa: E402
from tests.backends.torch_compare import check  # noqa: E402
from xaicore.ops import Embedding, Softmax  # noqa: E402


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


def test_t5() -> None:
    ids = torch.tensor([[1, 5, 2, 7, 0], [3, 3, 8, 0, 4], [9, 1, 1, 6, 2], [4, 0, 2, 2, 10], [7, 8, 9, 10, 1]])
    graph = check(T5(), ids, leaf="tokens", values=1e-6, gradients=1e-5)     # the softmax is torch's in float32
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
