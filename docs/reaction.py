"""How will people react, and which characters say so? reactionrnn, a GRU that reads a text character by character.

    pip install ".[keras]" && pip install --no-deps reactionrnn                     # keras brings h5py, which reads the weights
    python docs/reaction.py                              # writes reaction.png and reaction.html
    python docs/reaction.py "What a day!" -o mine.png    # a text of yours

What there is to see, and what not to conclude from it, stands in reaction.md.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from shared import explained, few_colours, file_of, numbers

import xaicore as xc
from xaicore.graph.passes import prune
from xaicore.ops import GRU, Dense, Div, Embedding, Flatten, HardSigmoid, ReLU, Slice, Sum
from xaicore.show.sequence import Coloured, text_html, text_image
from xaicore.show.sheet import png

LENGTH = 140                                             # characters; shorter texts are padded in front
REACTIONS = ("love", "wow", "haha", "sad", "angry")
TEXTS = {
    "sad": "Rest in peace, my dear old friend.",
    "love": "Happy Mother's Day to all the moms out there!",
    "angry": "I am outraged by this disgusting decision!",
    "haha": "That was so funny lol",
}
METHODS: dict[str, dict[str, Any]] = {
    "gradient_x_input": {}, "integrated_gradients": {"steps": 64}, "lrp.epsilon": {"bias": "ignore", "eps": 0.01}, "deeplift.rescale": {},
}


def weights() -> tuple[dict[str, Any], dict[str, int]]:
    """The arrays of the package's Keras 2 file by their names, and the number of each character. No code of the package runs."""
    import h5py

    with h5py.File(file_of("reactionrnn", "reactionrnn_weights.hdf5"), "r") as file:
        names = ("embedding/embeddings", "rnn/kernel", "rnn/recurrent_kernel", "rnn/bias", "output/kernel", "output/bias")
        found = {k: np.array(file[f"{k.split('/')[0]}/{k}"], dtype=float) for k in names}
    return found, json.loads(file_of("reactionrnn", "reactionrnn_vocab.json").read_text(encoding="utf-8"))


def network(w: Mapping[str, Any]) -> xc.Graph:
    """Characters -> vectors of 100 -> GRU of 256 -> relu(5 scores), as shares of their sum.

    Keras 2 has the gates in the order z, r, h, resets before the product, and a hard sigmoid of slope 0.2; ``GRU`` has r, z, n.
    """
    def gates(x: Any) -> Any:
        z, r, n = np.split(x, 3, axis=-1)
        return np.concatenate([r, z, n], axis=-1).T

    b = xc.Builder("reactionrnn")
    ids = b.input("characters", (None, LENGTH), "int")
    h = b.add(Embedding(), b.param("embedding/embeddings", w["embedding/embeddings"]), ids, name="embedding")
    recurrent = [b.param(k, gates(w[k])) for k in ("rnn/kernel", "rnn/recurrent_kernel", "rnn/bias")]
    states = b.add(GRU(reset="before", gate=HardSigmoid(0.2)), h, *recurrent, b.param("none", np.zeros(768)), name="rnn")
    last = b.add(Flatten(), b.add(Slice(1, -1), states, name="end"), name="last")
    scores = b.add(Dense(), last, b.param("output/kernel", w["output/kernel"].T), b.param("output/bias", w["output/bias"]), name="scores")
    positive = b.add(ReLU(), scores, name="positive")
    return b.build(b.add(Div(), positive, b.add(Sum((1,), keepdims=True), positive, name="sum"), name="shares"))


class Model:
    """The graph, its part before the shares, and the numbers of the characters."""

    def __init__(self) -> None:
        arrays, self.numbers = weights()
        self.graph = network(arrays)
        self.core = prune(self.graph, ["scores"])
        self.nothing = prune(self.graph, ["embedding"])(np.zeros((1, LENGTH), int))        # the baseline: a text without characters

    def characters(self, texts: Sequence[str]) -> Any:
        """(N, 140) as the package has them: unknown characters left out, the last 140, padding in front."""
        x = np.zeros((len(texts), LENGTH), int)
        for row, text in zip(x, texts):
            ids = [self.numbers[c] for c in self.known(text)]
            row[LENGTH - len(ids):] = ids
        return x

    def known(self, text: str) -> str:
        """The characters of a text that the network reads."""
        return "".join(c for c in text if c in self.numbers)[-LENGTH:]

    def explain(self, text: str, target: int) -> dict[str, xc.Attribution]:
        """Why the reaction ``target``: the methods, at the characters' vectors."""
        return explained(self.core, self.characters([text]), target, METHODS, baseline=self.nothing, layer="embedding")


def per_character(a: xc.Attribution, text: str) -> Any:
    """A number for each character: the sum over its vector."""
    return np.asarray(a)[0].sum(axis=-1)[LENGTH - len(text):]


def main() -> None:
    parser = argparse.ArgumentParser(description="reactions to a text, explained")
    parser.add_argument("text", nargs="*", help="texts of yours (default: four of the page)")
    parser.add_argument("-o", "--out", default="reaction.png", help="the picture; a page with the same name is written, too")
    args = parser.parse_args()
    model, out = Model(), Path(args.out)
    print(f"{len(model.graph.nodes)} operators, {model.graph.size:,} weights")
    rows: list[Coloured] = []
    for text in args.text or list(TEXTS.values()):
        shares = model.graph(model.characters([text]))[0]
        best = int(shares.argmax())
        print(f"\n{text}\n" + ", ".join(f"{REACTIONS[k]} {shares[k]:.2f}" for k in np.argsort(-shares)))
        results = model.explain(text, best)
        print(numbers(results))
        known = model.known(text)
        question = f"why {REACTIONS[best]} ({shares[best]:.2f})?"
        rows += [Coloured(f"{question}   {name}", known, per_character(a, known)) for name, a in results.items()]
    title = "Which characters call for which reaction"
    out.write_bytes(png(few_colours(text_image(rows, title, width=560), 16)))
    out.with_suffix(".html").write_text(text_html(rows, title), encoding="utf-8")
    print(f"\n{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
