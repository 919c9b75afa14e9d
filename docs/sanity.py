"""Sanity checks on a real network: EfficientNet-Lite0 and a photograph, which maps are still there when the network knows nothing.

    pip install ".[torch,real]"
    python docs/sanity.py -o docs/sanity.png

What there is to see, and what not to conclude from it, stands in sanity.md. On a model of yours: ``xaicore sanity MODEL INPUT``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import photograph as example
from PIL import Image

from xaicore.oracle.sanity import sanity
from xaicore.show.sanity import grid, sheet
from xaicore.show.sheet import png

METHODS: tuple[Any, ...] = (
    "gradient", "gradient_x_input", "guided_backprop", "deconvnet", ("smoothgrad", {"samples": 5, "sigma": 0.1, "seed": 0}), "lrp.epsilon",
    "lrp.epsilon_plus", "deeplift.rescale", "grad_cam",
)
CHECKS = ("randomisation", "last_layer", "outline", "recovery", "class", "collapse", "input", "shift", "stability")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--out", type=Path, default=Path("sanity.png"))
    args = parser.parse_args()
    x = example.pixels([example.shipped("chelsea")])
    graph = example.through_torch(example.network(), x).astype("float32")
    report = sanity(graph, x, list(METHODS), 285, CHECKS)
    print(grid(report))
    print(f"\n{report}")
    image = sheet(report, "EfficientNet-Lite0: chelsea")
    args.out.write_bytes(png(image.quantize(96, dither=Image.Dither.NONE)))


if __name__ == "__main__":
    main()
