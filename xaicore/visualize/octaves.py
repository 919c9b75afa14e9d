"""DeepDream: an image made more of what a layer sees in it, from small sizes to large ones; guided by another image if wanted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.represent.features import activations
from xaicore.visualize.objective import Objective
from xaicore.visualize.objectives import guide
from xaicore.visualize.search import Recipe, Rendering, render
from xaicore.visualize.transform import Sized


def dream(
    graph: Graph, objective: Objective, image: Any, octaves: int = 4, ratio: float = 1.4, recipe: Recipe | str = "deepdream",
    steps: int | None = None, seed: int = 0, bounds: tuple[float, float] | None = None, progress: Callable[[int, int], None] | None = None,
) -> Rendering:
    """Gradient ascent from ``image`` on ``octaves`` sizes, ``ratio`` apart, the smallest first; what was added is carried to the next size.

    image  (C, H, W) or (N, C, H, W) in the units of the network

    At each size: x = image at that size + detail; ascent; detail = x - image at that size; detail is enlarged. A network of a fixed size
    sees the middle of the image, padded with grey where it is smaller. Objectives as published: energy(layer), or guide(layer,
    activations of a guide image). Source: mordvintsev2015 (10 steps of 1.5 on 4 octaves of 1.4, rolled by up to 32 pixels; reconstruction).
    """
    octaves = whole("octaves", octaves, 1)
    if not ratio > 1:
        raise InputError(f"ratio={ratio!r} must be above 1")
    x = np.asarray(image, dtype=float)
    x = x[None] if x.ndim == 3 else x
    if x.ndim != 4:
        raise ShapeError(f"the image has shape {np.asarray(image).shape}; (C, H, W) or (N, C, H, W) is expected")
    sizes = [tuple(max(1, round(n / ratio**k)) for n in x.shape[-2:]) for k in range(octaves)][::-1]
    detail, made, history, frames = np.zeros((*x.shape[:2], *sizes[0])), None, [], []
    for k, size in enumerate(sizes):
        base = x if size == x.shape[-2:] else Sized((size[0], size[1])).forward(x)
        detail = Sized((size[0], size[1])).forward(detail) if k else detail
        made = render(graph, objective, recipe, start=base + detail, steps=steps, seed=seed + k, bounds=bounds)
        detail = made.images - base
        history.append(made.history)
        frames.append((sum(map(len, history)), made.images))
        if progress is not None:
            progress(k + 1, octaves)
    assert made is not None
    settings = {**made.settings, "octaves": octaves, "ratio": ratio, "seed": seed}
    return Rendering(made.images, made.scores, np.concatenate(history), made.objective, settings, tuple(frames), made.bounds)


def guided(graph: Graph, layer: str, example: Any) -> Objective:
    """The objective ``guide`` for a guide image (C, H, W) or (1, C, H, W): its activations at the layer."""
    x = np.asarray(example)
    return guide(layer, activations(graph, x[None] if x.ndim == 3 else x, layer)[layer])


def invert(
    graph: Graph, layer: str, image: Any, recipe: Recipe | str = "inversion", steps: int | None = None, seed: int = 0,
    bounds: tuple[float, float] | None = None, progress: Callable[[int, int], None] | None = None,
) -> Rendering:
    """An image whose activations at a layer are those of ``image``: what the layer still knows of it. ``scores`` is -|a - a0|² / |a0|².

    image  (C, H, W) or (1, C, H, W). Source: mahendran2015.
    """
    from xaicore.visualize.objectives import match

    x = np.asarray(image, dtype=float)
    x = x[None] if x.ndim == 3 else x
    if len(x) != 1:
        raise ShapeError(f"one image is inverted at a time; {len(x)} came")
    a: Array = activations(graph, x, layer)[layer]
    return render(graph, match(layer, a), recipe, size=x.shape[1:], steps=steps, seed=seed, bounds=bounds, progress=progress)
