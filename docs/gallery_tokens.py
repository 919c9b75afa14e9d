"""Trains the small transformer that reads the gallery's sentence: two blocks of attention, 1,428 weights, half a minute.

    pip install ".[torch]"
    python docs/gallery_tokens.py                        # writes gallery_tokens.json

It learns whether "[cls] the film was not very good" is praise: "good" and "great" are, unless "not" or "never" stands before them.
A quarter of the 432 sentences is held out; it reads all of them rightly.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import torch
from torch import nn

import xaicore as xc
from xaicore.graph.files import save

SLOTS = (("the", "a"), ("film", "plot", "actor"), ("was", "seems"), ("not", "never", "so", "really"), ("very", "quite", "truly"),
         ("good", "great", "bad", "dull"))
WORDS = ("[cls]", *(w for slot in SLOTS for w in slot))
WIDTH, HEADS, INNER = 8, 2, 16


class Block(nn.Module):
    """Self-attention and a layer of rectified units, each with a skip connection and a normalisation behind it."""

    def __init__(self) -> None:
        super().__init__()
        self.query, self.key, self.value, self.mix = (nn.Linear(WIDTH, WIDTH) for _ in range(4))
        self.up, self.down = nn.Linear(WIDTH, INNER), nn.Linear(INNER, WIDTH)
        self.after_attention, self.after_units = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        n, t, _ = h.shape
        q, k, v = (part(h).view(n, t, HEADS, WIDTH // HEADS).transpose(1, 2) for part in (self.query, self.key, self.value))
        weights = torch.softmax(q @ k.transpose(-1, -2) / (WIDTH // HEADS) ** 0.5, -1)
        h = self.after_attention(h + self.mix((weights @ v).transpose(1, 2).reshape(n, t, WIDTH)))
        return self.after_units(h + self.down(torch.relu(self.up(h))))


class Reader(nn.Module):
    """Words and places, two blocks, two classes from the first token."""

    def __init__(self) -> None:
        super().__init__()
        self.words, self.places = nn.Embedding(len(WORDS), WIDTH), nn.Parameter(torch.randn(len(SLOTS) + 1, WIDTH) * 0.3)
        self.one, self.two, self.head = Block(), Block(), nn.Linear(WIDTH, 2)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.two(self.one(self.words(tokens) + self.places))[:, 0])


def main() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    every = list(product(*SLOTS))
    x = torch.tensor([[WORDS.index(w) for w in ("[cls]", *s)] for s in every])
    y = torch.tensor([int((s[5] in ("good", "great")) != (s[3] in ("not", "never"))) for s in every])
    model, draws = Reader(), torch.Generator().manual_seed(0)
    order = torch.randperm(len(x), generator=draws)
    train, held = order[:3 * len(x) // 4], order[3 * len(x) // 4:]
    optimiser = torch.optim.AdamW(model.parameters(), 3e-3, weight_decay=1e-2)
    for _ in range(1500):
        batch = train[torch.randint(0, len(train), (64,), generator=draws)]
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(x[batch]), y[batch]).backward()
        optimiser.step()
    model.eval()
    print(f"held out: {(model(x[held]).argmax(1) == y[held]).float().mean():.1%} of {len(held)} sentences")
    graph = xc.from_model(model, (x[:2],)).astype("float32")
    save(replace(graph, name="reader", meta={**graph.meta, "words": " ".join(WORDS)}), Path(__file__).with_name("gallery_tokens.json"))


if __name__ == "__main__":
    main()
