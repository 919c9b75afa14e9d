"""The saturation curve: f along the way from the baseline to the input, as a small drawing."""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from xaicore.errors import InputError
from xaicore.methods.attribution import Attribution
from xaicore.show.heatmap import finite

INK, FAINT, LINE = (140, 14, 36), (95, 95, 105), (205, 205, 212)


def curve(alphas: Any, values: Any, box: int = 224) -> Image.Image:
    """f at ascending α between 0 and 1, α to the right and f upwards, from the smallest to the largest value; a line where f is 0.

    InputError for fewer than two points, or for α and f of different lengths.
    """
    at, f = finite(alphas, "alphas"), finite(values, "the curve")
    if at.ndim != 1 or at.shape != f.shape or len(at) < 2:
        raise InputError(f"a curve needs two points at least, as many α as values; got shapes {at.shape} and {f.shape}")
    low, high = min(float(f.min()), 0.0), max(float(f.max()), 0.0)
    inner = box - 17

    def place(a: float, v: float) -> tuple[float, float]:
        return 8 + a * inner, 8 + (high - v) / ((high - low) or 1.0) * inner

    image = Image.new("RGB", (box, box), "white")
    pen = ImageDraw.Draw(image)
    pen.line([place(0, 0), place(1, 0)], fill=LINE)
    pen.line([place(float(a), float(v)) for a, v in zip(at, f)], fill=INK, width=2)
    for a, v in zip(at, f):
        x, y = place(float(a), float(v))
        if len(at) <= 24:
            pen.ellipse((x - 2, y - 2, x + 2, y + 2), fill=INK)
    return image


def curve_of(a: Attribution, sample: int) -> Image.Image | None:
    """The curve of an attribution that keeps the gradients on its way one by one (interior_gradients); else None."""
    if "gradients" not in a.extras or a.baseline_output is None:
        return None
    alphas, f = a.extras["alphas"], a.extras["curve"][sample]
    return curve(np.concatenate([[0.0], alphas.astype(float)]), np.concatenate([[float(a.baseline_output[sample])], f.astype(float)]))
