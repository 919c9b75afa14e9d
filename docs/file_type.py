"""What kind of file is this, and which bytes say so? Google's magika, an ONNX file on 2,048 bytes.

    pip install ".[onnx]" && pip install --no-deps magika
    python docs/file_type.py                             # writes file_type.png and file_type.html
    python docs/file_type.py some.file -o mine.png       # a file of yours

What there is to see, and what not to conclude from it, stands in file_type.md.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from shared import explained, few_colours, file_of, numbers

import xaicore as xc
from xaicore.graph.passes import prune
from xaicore.show.sequence import Coloured, text_html, text_image
from xaicore.show.sheet import png

LENGTH, PADDING = 1024, 256                              # bytes from the beginning and from the end; what stands where there are none
MODEL = ("models", "standard_v3_3")
PROGRAM = b"""import os


def main():
    for name in os.listdir("."):
        print(name, os.path.getsize(name))


if __name__ == "__main__":
    main()
"""
PAGE = b"""<!DOCTYPE html>
<html><head><title>Prices</title></head>
<body>
<h1>Prices</h1>
<p>Tea 2.20, coffee 2.80, water free.</p>
</body></html>
"""
METHODS: dict[str, dict[str, Any]] = {
    "gradient_x_input": {}, "integrated_gradients": {"steps": 128}, "lrp.epsilon": {"bias": "ignore", "eps": 1e-6}, "deeplift.rescale": {},
}


class Model:
    """The graph up to the logits, the one-hot bytes in it, and the labels."""

    def __init__(self, verify: bool = False):
        path = file_of("magika", *MODEL, "model.onnx")
        example = np.random.default_rng(0).integers(0, 257, (2, 2 * LENGTH)).astype("int32")
        self.graph = xc.load(path, verify=verify, example=example)
        names = [n.name for n in self.graph.nodes]
        self.hot = next(n for n in names if n.endswith("one_hot_/Cast_1"))            # (N, 2048, 257): the bytes, one-hot
        self.logits = next(n for n in names if n.endswith("Dense_1/AddV2"))
        self.core = prune(self.graph, [self.logits])                                  # the softmax is written out in the file
        self.labels: list[str] = json.loads(file_of("magika", *MODEL, "config.min.json").read_text())["target_labels_space"]
        self.nothing = prune(self.graph, [self.hot])(np.full((1, 2 * LENGTH), PADDING))     # the baseline: a file without bytes


def tokens(content: bytes) -> Any:
    """(2048,) whole numbers, as magika prepares them: both ends without white space around, 256 where there is no byte."""
    begin, end = content[:4096].lstrip()[:LENGTH], content[-4096:].rstrip()[-LENGTH:]
    return np.array([*begin, *[PADDING] * (LENGTH - len(begin)), *[PADDING] * (LENGTH - len(end)), *end])


def explain(model: Model, content: bytes) -> dict[str, xc.Attribution]:
    """Why the likeliest kind: the methods, at the one-hot bytes."""
    x = tokens(content)[None]
    return explained(model.core, x, int(model.core(x)[0].argmax()), METHODS, baseline=model.nothing, layer=model.hot)


def per_byte(a: xc.Attribution, content: bytes) -> Any:
    """A number for each byte of a short file: what it has in the part from the beginning and in the part from the end."""
    v = np.asarray(a)[0].sum(axis=-1)
    whole = content.strip()
    return v[:len(whole)] + v[2 * LENGTH - len(whole):]


def rows(model: Model, content: bytes, results: dict[str, xc.Attribution]) -> list[Coloured]:
    """The text of a short file in the colours of each method."""
    letters = [chr(b) if b < 128 else "?" for b in content.strip()]
    return [Coloured(name, letters, per_byte(a, content)) for name, a in results.items()]


def main() -> None:
    parser = argparse.ArgumentParser(description="the type of a file, explained")
    parser.add_argument("file", nargs="?", help="a text file of at most 1,024 bytes (default: a program and a page)")
    parser.add_argument("-o", "--out", default="file_type.png", help="the picture; a page with the same name is written, too")
    args = parser.parse_args()
    model, out = Model(), Path(args.out)
    files = {"a program": PROGRAM, "a page": PAGE} if args.file is None else {args.file: Path(args.file).read_bytes()}
    found: list[Coloured] = []
    for name, content in files.items():
        if len(content.strip()) > LENGTH:
            raise SystemExit(f"{name} has {len(content)} bytes; at most {LENGTH} are drawn: its beginning and its end are then the same")
        x = tokens(content)[None]
        p = model.graph(x)[0]
        best = np.argsort(-p)[:3]
        print(f"\n{name}: " + ", ".join(f"{model.labels[k]} {p[k]:.3f}" for k in best))
        results = explain(model, content)
        print(numbers(results))
        for row in rows(model, content, results):
            if row.title in ("integrated_gradients", "deeplift.rescale", "lrp.epsilon") or args.file is not None:
                found.append(Coloured(f"{name}, why {model.labels[best[0]]}?   {row.title}", row.tokens, row.values))
    out.write_bytes(png(few_colours(text_image(found, "Which bytes say what the file is", width=480), 16)))
    out.with_suffix(".html").write_text(text_html(found, "Which bytes say what the file is"), encoding="utf-8")
    print(f"\n{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
