"""A photograph and every class-activation map: EfficientNet-Lite0 with its ImageNet weights, one contact sheet.

    pip install ".[torch,real]"
    python docs/maps.py                                  # the cat that scikit-image ships
    python docs/maps.py --small -o maps.png

What there is to see, and what not to conclude from it, stands in maps.md.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from photograph import network, pixels, predictions, shipped, through_torch
from shared import few_colours

import xaicore as xc
from xaicore.show.sheet import contact_sheet, png
from xaicore.show.table import attributions

METHODS: dict[str, dict[str, Any]] = {
    "cam": {}, "grad_cam": {}, "grad_cam_plus_plus": {"score": "linear"}, "xgrad_cam": {}, "hires_cam": {}, "layer_cam": {},
    "faster_score_cam": {"top": 16}, "ablation_cam": {}, "eigen_cam": {}, "guided_grad_cam": {}, "smoe": {}, "fastcam": {},
    "xrai": {"steps": 16}, "guided_ig": {"steps": 50}, "blur_ig": {"steps": 32},
}


def main() -> None:
    parser = argparse.ArgumentParser(description="the class-activation maps of EfficientNet-Lite0 on a photograph")
    parser.add_argument("--name", default="chelsea", choices=("chelsea", "coffee", "flower", "china"), help="a photograph that is shipped")
    parser.add_argument("--target", type=int, help="class to explain (default: the likeliest)")
    parser.add_argument("--small", action="store_true", help="write the sheet with about a hundred colours, for a page")
    parser.add_argument("-o", "--out", default="maps.png", help="the contact sheet (default: maps.png)")
    args = parser.parse_args()

    x = pixels([shipped(args.name)]).astype("float32")
    graph = through_torch(network(), x).astype("float32")
    print(predictions(graph(x)[0]))
    results = {name: xc.explain(graph, x, name, args.target, batch_size=8, **settings) for name, settings in METHODS.items()}
    print(attributions(results))
    sheet = contact_sheet(results, "EfficientNet-Lite0, ImageNet weights", columns=6, over=True)
    Path(args.out).write_bytes(png(few_colours(sheet, 120) if args.small else sheet))
    print(f"{args.out}: {Path(args.out).stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
