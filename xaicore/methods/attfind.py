"""AttFind: which coordinates of a generator's style change what a classifier says, and which few of them suffice for a set of images."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError, UnknownName
from xaicore.graph.graph import Graph
from xaicore.methods.sweep import whole
from xaicore.methods.task import make_task
from xaicore.numerics import Array, scalar

SELECTIONS = ("independent", "subset")
DIRECTIONS = ("min", "max")


@dataclass(frozen=True)
class Choice:
    """One attribute: the coordinate, the end that it is moved to, the mean effect when it was chosen, the samples that it counted."""

    coordinate: int
    direction: str
    effect: float
    samples: int


@dataclass(frozen=True, eq=False)
class AttFind:
    """effects (N, 2, D): f(G(s moved)) - f(G(s)) for each sample, towards (minimum, maximum), of each coordinate; chosen: best first."""

    effects: Array
    chosen: tuple[Choice, ...]
    explained: str

    @property
    def mean(self) -> Array:
        """The mean effect over samples, (2, D)."""
        return np.asarray(self.effects.mean(axis=0))

    def __str__(self) -> str:
        lines = [f"AttFind: what raises {self.explained}, {len(self.effects)} samples, {self.effects.shape[2]} coordinates"]
        lines += [f"  s[{c.coordinate}] to its {c.direction:3}  {c.effect:+.6g} on average over {c.samples} samples" for c in self.chosen]
        return "\n".join(lines)


def attfind(
    decoder: Graph | Callable[[Array], Any], classifier: Graph, s: Any, target: Any = None, output: str = "logit", shift: float = 1.0,
    low: Any = None, high: Any = None, selection: str = "independent", top: int = 8, threshold: float = 1.0, batch_size: int = 64,
) -> AttFind:
    """Δ[n, d, j] = f(G(s_n with s_nj + shift (e_dj - s_nj))) - f(G(s_n)), e the minimum and maximum of coordinate j over the samples.

    decoder    G: a graph, or a function of (M, D), that makes inputs of the classifier out of styles
    s          styles (N, D);  low, high: the ends (D,) or a number, instead of those of s
    target     the explained value of the classifier, as for ``explain``
    selection  "independent": the ``top`` coordinates with the largest mean effect over all samples, each in its better direction.
               "subset": the same one after the other over the samples that are left; a sample leaves when the effects of what was chosen
               add up to ``threshold`` on it
    A coordinate is chosen once, and only while its mean effect is positive. The authors drop unstable images and may ask a discriminator;
    this does neither. A linear decoder and score give Δ = (e - s_j)(Bᵀc)_j, and then the choice is the best of its size. Costs
    N (2 D + 1) evaluations. Raises ShapeError, InputError or UnknownName for styles and settings that cannot be. Source: lang2021,
    algorithm 1 (as in the authors' notebook).
    """
    styles = np.asarray(s)
    if styles.ndim != 2 or 0 in styles.shape or styles.dtype.kind not in "fiu":
        raise ShapeError(f"styles are numbers (N, D), and these have shape {styles.shape} and dtype {styles.dtype}")
    check(shift, selection, top, threshold)
    whole("batch_size", batch_size, 1)
    styles = styles.astype(np.float32 if styles.dtype == np.float32 else float)
    if len(classifier.inputs) != 1:
        raise InputError(f"the classifier has {len(classifier.inputs)} inputs ({', '.join(classifier.inputs)}), and a decoder makes one")
    points, rows = moved(styles, low, high, shift)
    base = make_task(classifier, _decoded(decoder, styles), target, output, batch_size)
    (name,) = base.feeds
    values = np.concatenate([base.at({name: _decoded(decoder, points[k:k + batch_size])}, rows[k:k + batch_size])
                             for k in range(0, len(points), batch_size)])
    effects = values.reshape(len(styles), 2, -1) - base.result[:, None, None]
    return AttFind(effects, chosen(effects, selection, top, threshold), base.words)


def check(shift: float, selection: str, top: int, threshold: float) -> None:
    """Refuses settings that cannot be."""
    if selection not in SELECTIONS:
        raise UnknownName(f"selection={selection!r} does not exist; there are " + ", ".join(map(repr, SELECTIONS)))
    whole("top", top, 1)
    for name, v in (("shift", shift), ("threshold", threshold)):
        if isinstance(v, bool) or not isinstance(v, (int, float)) or not 0 < v < float("inf"):
            raise InputError(f"{name}={v!r} must be a positive number")


def moved(styles: Array, low: Any, high: Any, shift: float) -> tuple[Array, Array]:
    """Every style with one coordinate moved towards either end, (N · 2 · D, D), and the sample that each belongs to."""
    ends = np.stack([_end("low", low, styles.min(axis=0)), _end("high", high, styles.max(axis=0))])
    n, d = styles.shape
    out = np.broadcast_to(styles[:, None, None, :], (n, 2, d, d)).copy()
    every = np.arange(d)
    out[:, :, every, every] += scalar(shift, styles) * (ends[None] - styles[:, None, :])
    return out.reshape(-1, d), np.repeat(np.arange(n), 2 * d)


def chosen(effects: Array, selection: str, top: int, threshold: float) -> tuple[Choice, ...]:
    left, taken = np.ones(len(effects), dtype=bool), np.zeros(effects.shape[2], dtype=bool)
    found: list[Choice] = []
    gathered = np.zeros(len(effects))
    while len(found) < top and left.any() and not taken.all():
        mean = np.where(taken, -np.inf, effects[left].mean(axis=0).astype(float))
        direction, j = (int(k) for k in np.unravel_index(mean.argmax(), mean.shape))
        if mean[direction, j] <= 0:
            break
        found.append(Choice(j, DIRECTIONS[direction], float(mean[direction, j]), int(left.sum())))
        taken[j] = True
        if selection == "subset":
            gathered += effects[:, direction, j]
            left &= gathered < threshold
    return tuple(found)


def _end(name: str, given: Any, own: Array) -> Array:
    end = own if given is None else np.asarray(given, dtype=own.dtype)
    if end.shape not in ((), own.shape):
        raise ShapeError(f"{name} has shape {end.shape}; a number or {own.shape}, one for each coordinate, is expected")
    return np.array(np.broadcast_to(end, own.shape))


def _decoded(decoder: Graph | Callable[[Array], Any], styles: Array) -> Array:
    images = np.asarray(decoder(styles))
    if images.ndim < 2 or len(images) != len(styles):
        raise ShapeError(f"the decoder made {images.shape} of {len(styles)} styles; one output array with an image for each is expected")
    return images

