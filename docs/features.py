"""What units look for: feature visualisations of the digits network and of EfficientNet-Lite0, and what its layers know of a photograph.

    pip install ".[torch,real]"
    python docs/features.py                              # writes features.png, features_grid.png and features_digits.png
    python docs/features.py --part digits                # the small network alone: no torch, half a minute

What there is to see, and what not to conclude from it, stands in features.md.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from xaicore.data import digits_images, digits_model
from xaicore.graph.graph import Graph, InputSpec
from xaicore.represent.dictionary import Grid, activation_grid
from xaicore.represent.patches import top_patches
from xaicore.show.pictures import Shown, drawn, mosaic
from xaicore.show.sheet import png, stacked
from xaicore.visualize import PRESETS, dream, invert, picture_grid, render
from xaicore.visualize.objectives import channel, class_logit, diversity, energy

SIDE = 128
GRIDS = ("_blocks.7/add", "_blocks.10/add")
CLASSES = (985, 947, 340, 1)                             # daisy, mushroom, zebra, goldfish
CHANNELS = ("_blocks.2/add:4", "_blocks.4/add:7", "_blocks.7/add:5", "_blocks.9/add:20", "_blocks.12/add:30")
CONTRAST = 0.005                                         # this share of the values at either end is beyond black and white


# ----- the digits network ---------------------------------------------------------------------------------------------


def digits(seed: int) -> Image.Image:
    """Ten classes by five recipes, then channels beside the patches that excite them most."""
    graph, (images, _) = digits_model(), digits_images()
    recipes: dict[str, Any] = {
        "olah_small": "olah_small", "simonyan, weight 5": PRESETS["simonyan"].make((0.0, 1.0), weight=5.0), "keras_blog": "keras_blog",
        "yosinski3, strength 200": PRESETS["yosinski3"].make((0.0, 1.0), strength=200.0), "fooling (control)": "fooling",
    }
    parts = []
    for name, recipe in recipes.items():
        made = [render(graph, class_logit(k), recipe, seed=seed, steps=300 if "yosinski" in name else None) for k in range(10)]
        parts.append(mosaic([Shown(drawn(m.images[0], stretch=CONTRAST), str(k), f"logit {m.scores[0]:.1f}") for k, m in enumerate(made)],
                            10, 72, name))
    shown = []
    for index in (0, 3, 4, 9, 13):
        one = render(graph, channel("relu2", index), "olah_small", seed=seed)
        shown.append(Shown(drawn(one.images[0], stretch=CONTRAST), f"channel {index}", f"mean {one.scores[0]:.2f}"))
        best = top_patches(graph, images, "relu2", index, 1)[0]
        shown.append(Shown(best.pixels, f"in sample {best.sample}", f"{best.value:.2f}"))
    return stacked([*parts, mosaic(shown, 10, 72, "five channels of relu2, and what in twelve digits excites each most")])


# ----- EfficientNet-Lite0 ---------------------------------------------------------------------------------------------


def network() -> tuple[Graph, Any, tuple[float, float]]:
    """The network for images of any size that 32 divides, a photograph for it, and its black and white."""
    from photograph import HIGH, LOW, pixels, shipped, through_torch
    from photograph import network as lite0

    x = pixels([shipped("chelsea")])
    graph = through_torch(lite0(), x).astype("float32")
    free = replace(graph, inputs={k: InputSpec((None, 3, None, None)) for k in graph.inputs})
    half = np.asarray(Image.fromarray(drawn(x[0], (LOW, HIGH))).resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=float)
    return free, (half.transpose(2, 0, 1) - 127) / 128, (LOW, HIGH)


def photographs(seed: int, steps: int, say: Callable[[str], None] = print) -> Image.Image:
    """Classes, channels, three images of one class, other recipes, a dream, inversions."""
    from photograph import named

    graph, cat, bounds = network()
    size, shown = (3, SIDE, SIDE), []

    def add(title: str, line: str, image: Any, stretch: float = CONTRAST) -> None:
        say(f"{title}: {line}")
        shown.append(Shown(drawn(image, None if stretch else bounds, stretch), title, line))

    def make(objective: Any, recipe: Any, **more: Any) -> Any:
        return render(graph, objective, recipe, size=size, seed=seed, bounds=bounds, **more)

    for k in CLASSES:
        made = make(class_logit(k), "olah", steps=steps)
        add(named(k).split(",")[0], f"logit {made.scores[0]:.1f}", made.images[0])
    for text in CHANNELS:
        layer, index = text.split(":")
        made = make(channel(layer, int(index)), "olah", steps=steps)
        add(f"channel {index}", f"of {layer}, {made.scores[0]:.1f}", made.images[0])
    apart = make(class_logit(340) + 5 * diversity("_blocks.9/add"), "olah", steps=steps, batch=3)
    for n, image in enumerate(apart.images):
        add(f"zebra {n + 1} of 3", "with diversity", image)
    for name, recipe, count in (("yosinski3", PRESETS["yosinski3"].make(bounds, strength=3.0), 2 * steps), ("keras_blog", "keras_blog", 20),
                                ("simonyan", "simonyan", 60), ("fooling", "fooling", 60)):
        made = make(class_logit(985), recipe, steps=count)
        add(f"985 by {name}", f"logit {made.scores[0]:.1f}", made.images[0])
    add("the photograph", "128 x 128", cat, 0)
    made = dream(graph, energy("_blocks.7/add"), cat, octaves=3, seed=seed, bounds=bounds)
    add("dream", "of _blocks.7/add", made.images[0], 0)
    for layer in ("_blocks.2/add", "_blocks.7/add", "_blocks.14/add"):
        made = invert(graph, layer, cat, seed=seed, steps=steps, bounds=bounds)
        add("inverted", f"{layer}: {-made.scores[0]:.3f} off", np.clip(made.images[0], *bounds), 0)
    return mosaic(shown, 7, SIDE, "EfficientNet-Lite0, ImageNet weights: what it responds to")


def seen(seed: int, steps: int) -> Image.Image:
    """The photograph, and for every second of the 8 x 8 positions of two layers what the network sees there: its direction, visualised."""
    graph, cat, bounds = network()
    shown = [Shown(drawn(cat, bounds), "the photograph", "128 x 128")]
    for layer in GRIDS:
        whole = activation_grid(graph, cat[None], layer)
        half = Grid(whole.vectors[::2, ::2], whole.norms[::2, ::2])
        picture = picture_grid(graph, layer, half, batch=16, size=(3, 64, 64), seed=seed, steps=steps, bounds=bounds)
        shown.append(Shown(drawn(picture, stretch=CONTRAST), layer, f"{half.norms.shape[0]} x {half.norms.shape[1]} positions"))
    return mosaic(shown, len(shown), 256, "What EfficientNet-Lite0 sees where")


def main() -> None:
    parser = argparse.ArgumentParser(description="what units look for")
    parser.add_argument("--part", choices=("digits", "photographs", "grid", "all"), default="all")
    parser.add_argument("--steps", type=int, default=192, help="of the searches on EfficientNet-Lite0 (default 192)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("-o", "--out", default=".", help="the folder of the pictures (default: this one)")
    args = parser.parse_args()
    folder = Path(args.out)
    if args.part in ("digits", "all"):
        (folder / "features_digits.png").write_bytes(png(digits(args.seed).quantize(64, dither=Image.Dither.NONE)))
    if args.part in ("grid", "all"):
        (folder / "features_grid.png").write_bytes(png(seen(args.seed, args.steps // 3).quantize(128)))
    if args.part in ("photographs", "all"):
        sheet = photographs(args.seed, args.steps, lambda line: print(line, flush=True))
        (folder / "features.png").write_bytes(png(sheet.quantize(128)))


if __name__ == "__main__":
    main()
