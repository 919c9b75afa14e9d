"""The objectives: a neuron, a channel, a layer, a class, a direction; differences, diversity, style, a match; what images should not be.

Each is a measure written with its gradient; ``objective.py`` says what that is. Channels are axis 1, positions the axes behind it, and a
measure over positions is their mean, so that a channel and a layer of any size have one scale.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.methods.sweep import whole
from xaicore.numerics import Array
from xaicore.rules.formulas import OBJECTIVE_FORMULAS, Formula
from xaicore.visualize.objective import IMAGE, OUTPUT, PROBABILITY, Measure, Objective, Term

TINY = 1e-12


def _objective(layer: str, words: str, measure: Measure) -> Objective:
    return Objective((Term(layer, measure, words),))


def _sum(x: Array) -> Array:
    return np.asarray(x.reshape(len(x), -1).sum(axis=1))


def _positions(a: Array) -> int:
    return int(np.prod(a.shape[2:])) if a.ndim > 2 else 1


def _shape(a: Array) -> str:
    return f"(N, {', '.join(map(str, a.shape[1:]))})"


def _need_index(a: Array, k: int, layer: str) -> None:
    if a.ndim < 2 or not 0 <= k < a.shape[1]:
        raise InputError(f"channel {k} of layer {layer!r}: its value has shape {_shape(a)}, so channels 0 to "
                         f"{a.shape[1] - 1 if a.ndim > 1 else 0} exist")


# ----- units ------------------------------------------------------------------------------------------------------------


def neuron(layer: str, channel: int, position: Sequence[int] | None = None) -> Objective:
    """a[channel, position], one unit; the middle position (S // 2 along each axis) unless one is given. Source: erhan2009, olah2017."""
    channel = whole("channel", channel, 0)
    given = None if position is None else tuple(whole("position", p, 0) for p in position)

    def measure(a: Array) -> tuple[Array, Array]:
        _need_index(a, channel, layer)
        at = tuple(n // 2 for n in a.shape[2:]) if given is None else given
        if len(at) != a.ndim - 2 or any(p >= n for p, n in zip(at, a.shape[2:])):
            raise InputError(f"position {at} of layer {layer!r}: its value has positions of shape {a.shape[2:]}")
        g = np.zeros_like(a)
        g[(slice(None), channel, *at)] = 1
        return a[(slice(None), channel, *at)], g

    return _objective(layer, f"neuron {channel}{'' if given is None else f' at {given}'} of {layer}", measure)


def channel(layer: str, index: int) -> Objective:
    """The mean over positions of a[index]. Source: olah2017; lucid's and lucent's channel objective; Keras's blog."""
    index = whole("index", index, 0)

    def measure(a: Array) -> tuple[Array, Array]:
        _need_index(a, index, layer)
        g = np.zeros_like(a)
        g[:, index] = 1 / _positions(a)
        return a[:, index].reshape(len(a), -1).mean(axis=1), g

    return _objective(layer, f"channel {index} of {layer}", measure)


def layer(name: str, power: float = 2.0) -> Objective:
    """The mean over all units of |a|^power: everything that the layer sees, more of it (DeepDream). Source: mordvintsev2015, olah2017.

    power 2 is lucid's deepdream objective; 1 and more. ``energy`` is the sum ½ a², whose gradient is a itself.
    """
    if not power >= 1:
        raise InputError(f"power={power!r} must be at least 1")

    def measure(a: Array) -> tuple[Array, Array]:
        units = int(np.prod(a.shape[1:]))
        size = np.abs(a)
        return _sum(size**power) / units, power * np.sign(a) * size ** (power - 1) / units

    return _objective(name, f"layer {name}", measure)


def energy(name: str) -> Objective:
    """½ Σ a², whose gradient at the layer is the activation itself. Source: mordvintsev2015."""
    return _objective(name, f"energy of {name}", lambda a: (_sum(a**2) / 2, a.copy()))


def class_logit(index: int, layer: str | None = None) -> Objective:
    """S_c, the class score before the softmax. Source: simonyan2013, section 2, which warns of the probability: it also grows by
    making the other classes smaller."""
    return _class(OUTPUT if layer is None else layer, whole("index", index, 0), "logit")


def class_probability(index: int) -> Objective:
    """p_c, behind the softmax (one is added where the network ends in logits). Source: olah2017."""
    return _class(PROBABILITY, whole("index", index, 0), "probability")


def _class(name: str, index: int, what: str) -> Objective:
    def measure(a: Array) -> tuple[Array, Array]:
        _need_index(a, index, "the output" if name in (OUTPUT, PROBABILITY) else name)
        g = np.zeros_like(a)
        g[:, index] = 1 / _positions(a)
        return a[:, index].reshape(len(a), -1).mean(axis=1), g

    return _objective(name, f"{what} of class {index}", measure)


def direction(layer: str, vector: Any, power: float = 0.0, position: Sequence[int] | None = None) -> Objective:
    """The mean over positions of v·a max(0.1, cos(v, a))^power, v one number for each channel. Source: olah2017, carter2019.

    vector    (C,), or (N, C): one direction for each image of the batch
    power     0 is the plain product; larger ones ask for the direction rather than for a large activation in other directions. The
              cosine is held at 0.1 from below, where its factor has no slope (lucid)
    position  one position alone, such as a cell of an activation grid
    """
    v = np.atleast_2d(np.asarray(vector, dtype=float))
    if v.ndim != 2 or not np.isfinite(v).all() or not v.size or not v.any(axis=1).all():
        raise InputError(f"a direction is finite numbers, one for each channel, not all 0, not {vector!r:.60}")
    if not power >= 0:
        raise InputError(f"power={power!r} must be at least 0")

    def measure(a: Array) -> tuple[Array, Array]:
        if a.ndim < 2 or a.shape[1] != v.shape[1] or len(v) not in (1, len(a)):
            raise ShapeError(f"the direction has shape {v.shape} and layer {layer!r} {a.shape}; (channels,) or (batch, channels) fits")
        w = v.reshape(*v.shape, *(1,) * (a.ndim - 2))
        on = np.ones(a.shape[2:]) / _positions(a)
        if position is not None:
            on = np.zeros(a.shape[2:])
            on[tuple(position)] = 1
        dot = (a * w).sum(axis=1, keepdims=True)
        if not power:
            return _sum(dot * on), np.asarray(w * np.broadcast_to(on, (len(a), 1, *a.shape[2:])))
        size = np.sqrt((a**2).sum(axis=1, keepdims=True)) + TINY
        length = np.sqrt((w**2).sum(axis=1, keepdims=True))
        cos = dot / (size * length)
        held = np.maximum(cos, 0.1)
        slope = np.where(cos > 0.1, power * held ** (power - 1), 0.0)
        d_cos = w / (size * length) - cos * a / size**2
        return _sum(dot * held**power * on), on * (w * held**power + dot * slope * d_cos)

    return _objective(layer, f"direction in {layer}", measure)


def difference(first: Objective, second: Objective) -> Objective:
    """first - second: what excites the one and not the other."""
    return first - second


def interpolation(first: Objective, second: Objective) -> Objective:
    """Image k of N: (1 - k / (N - 1)) first + k / (N - 1) second, from the one to the other across the batch. Source: olah2017.

    One image has the first alone. Both are of each image by itself (no diversity).
    """
    def share(measure: Measure, rising: bool) -> Measure:
        def run(a: Array) -> tuple[Array, Array]:
            scores, g = measure(a)
            k = np.arange(len(a)) / max(len(a) - 1, 1)
            w = k if rising else 1 - k
            return scores * w, g * w.reshape(-1, *(1,) * (g.ndim - 1))

        return run

    terms = [replace(t, measure=share(t.measure, rising), words=f"{t.words} ({'rising' if rising else 'falling'})")
             for one, rising in ((first, False), (second, True)) for t in one.terms]
    return Objective(tuple(terms))


# ----- many images at once ----------------------------------------------------------------------------------------------


def _grams(a: Array) -> tuple[Array, Array]:
    """(F (N, C, P), G = F Fᵀ (N, C, C))."""
    f = a.reshape(len(a), a.shape[1], -1)
    return f, f @ f.transpose(0, 2, 1)


def diversity(layer: str) -> Objective:
    """-Σ_{i≠j} cos(G_i, G_j) / N over the images of a batch, G = F Fᵀ the Gram matrix of channels: images that differ. Source: olah2017.

    The number of image i is its own share -Σ_j cos(G_i, G_j) / N. It does not depend on the order of the images; one image has 0.
    Differs: lucid's and lucent's have the other sign, and are subtracted.
    """
    def measure(a: Array) -> tuple[Array, Array]:
        f, gram = _grams(a)
        n = len(a)
        size = np.sqrt((gram**2).sum(axis=(1, 2), keepdims=True)) + TINY
        unit = gram / size
        cos = np.einsum("iab,jab->ij", unit, unit)
        np.fill_diagonal(cos, 0)
        others = unit.sum(axis=0, keepdims=True) - unit
        along = (others * unit).sum(axis=(1, 2), keepdims=True)
        d_gram = -2 / n * (others - along * unit) / size
        return -cos.sum(axis=1) / n, np.asarray((2 * d_gram @ f).reshape(a.shape))

    return _objective(layer, f"diversity in {layer}", measure)


def style(layer: str, example: Any) -> Objective:
    """-|G(a) - G(example)|² with G = F Fᵀ / (C P), the Gram matrix of C channels over P positions.

    Source: gatys2016 (scale: reconstruction).

    example  the layer's activations (C, *S) of the image whose style is wanted; the size S may be another
    """
    e = np.asarray(example, dtype=float)
    e = e[0] if e.ndim == 4 and len(e) == 1 else e
    if e.ndim < 2:
        raise ShapeError(f"the example has shape {e.shape}; activations of a layer with positions, (C, H, W), are expected")
    _, wanted = _grams(e[None])
    wanted = wanted / e.size

    def measure(a: Array) -> tuple[Array, Array]:
        if a.shape[1] != len(e):
            raise ShapeError(f"the example has {len(e)} channels, and layer {layer!r} has {a.shape[1]}")
        f, gram = _grams(a)
        units = int(np.prod(a.shape[1:]))
        off = gram / units - wanted
        return -(off**2).sum(axis=(1, 2)), np.asarray((-4 / units * off @ f).reshape(a.shape))

    return _objective(layer, f"style of {layer}", measure)


def match(layer: str, example: Any) -> Objective:
    """-|a - a0|² / |a0|²: the image whose activations are those of an example (feature inversion). Source: mahendran2015.

    example  a0 (*K), in the layer's shape without the batch, or (1, *K)
    """
    e = np.asarray(example, dtype=float)

    def measure(a: Array) -> tuple[Array, Array]:
        one = e[0] if e.ndim == a.ndim and len(e) == 1 else e
        if one.shape != a.shape[1:]:
            raise ShapeError(f"the example has shape {e.shape}, and a sample of layer {layer!r} has shape {a.shape[1:]}")
        size = max(float((one**2).sum()), TINY)
        d = a - one
        return -_sum(d**2) / size, -2 * d / size

    return _objective(layer, f"match in {layer}", measure)


def guide(layer: str, example: Any) -> Objective:
    """Σ over positions of a·e*, e* that position's best match max_e a·e among the positions of a guide image. Source: mordvintsev2015.

    example  the guide's activations (C, *S); the gradient at each position is its best match
    """
    e = np.asarray(example, dtype=float)
    e = e[0] if e.ndim == 4 and len(e) == 1 else e
    rows = e.reshape(len(e), -1)

    def measure(a: Array) -> tuple[Array, Array]:
        if a.ndim < 3 or a.shape[1] != len(rows):
            raise ShapeError(f"the guide has {len(rows)} channels, and layer {layer!r} has the shape {_shape(a)}")
        f = a.reshape(*a.shape[:2], -1)
        best = np.einsum("cq,ncp->nqp", rows, f).argmax(axis=1)
        g = np.moveaxis(rows[:, best], 0, 1)
        return (g * f).sum(axis=(1, 2)), np.asarray(g.reshape(a.shape))

    return _objective(layer, f"guided {layer}", measure)


# ----- of the image itself ------------------------------------------------------------------------------------------------


def l2(centre: float = 0.0) -> Objective:
    """Σ (x - centre)², to be subtracted: class_logit(c) - λ l2() is the class model of simonyan2013."""
    return _objective(IMAGE, f"|x - {centre:g}|²" if centre else "|x|²", lambda x: (_sum((x - centre) ** 2), 2 * (x - centre)))


def norm(power: float = 6.0) -> Objective:
    """Σ |x|^power, to be subtracted: it bounds the largest values. Source: mahendran2015 (power 6); keras-vis takes 6, too."""
    if not power >= 1:
        raise InputError(f"power={power!r} must be at least 1")
    return _objective(IMAGE, f"Σ|x|^{power:g}", lambda x: (_sum(np.abs(x) ** power), power * np.sign(x) * np.abs(x) ** (power - 1)))


def total_variation(power: float = 2.0, smooth: float = 0.0) -> Objective:
    """Σ (d_h² + d_v² + smooth)^(power/2), d_h and d_v the differences to the next pixel to the right and below, 0 at the edge.

    To be subtracted: it is 0 for a constant image. power 2 is quadratic, 1 the total variation proper, which wants ``smooth`` > 0 for a
    gradient where the image is flat. Source: mahendran2015, eq. 5 (β = power).
    """
    if not power > 0 or not smooth >= 0:
        raise InputError(f"power={power!r} must be above 0, and smooth={smooth!r} at least 0")

    def measure(x: Array) -> tuple[Array, Array]:
        if x.ndim != 4:
            raise ShapeError(f"total variation is of images (N, C, H, W); the image has shape {x.shape}")
        h, v = np.zeros_like(x), np.zeros_like(x)
        h[..., :-1] = np.diff(x, axis=-1)
        v[..., :-1, :] = np.diff(x, axis=-2)
        inside = h**2 + v**2 + smooth
        slope = power * np.where(inside > 0, np.maximum(inside, 1e-300), 1.0) ** (power / 2 - 1) * (inside > 0)
        gh, gv = slope * h, slope * v
        g = -gh - gv
        g[..., 1:] += gh[..., :-1]
        g[..., 1:, :] += gv[..., :-1, :]
        return _sum(inside ** (power / 2) - smooth ** (power / 2)), g

    return _objective(IMAGE, "total variation", measure)


# ----- the table ------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Kind:
    """One row: ``make`` builds the objective."""

    id: str
    make: Callable[..., Objective]
    source: str

    @property
    def summary(self) -> str:
        """In one line."""
        return (self.make.__doc__ or "").strip().splitlines()[0]

    @property
    def formula(self) -> Formula:
        """Where it stands in the source, and what it was compared with."""
        return OBJECTIVE_FORMULAS[self.id]


_ROWS = (
    Kind("neuron", neuron, "erhan2009"), Kind("channel", channel, "olah2017"), Kind("layer", layer, "olah2017"),
    Kind("energy", energy, "mordvintsev2015"), Kind("class_logit", class_logit, "simonyan2013"),
    Kind("class_probability", class_probability, "olah2017"), Kind("direction", direction, "olah2017"),
    Kind("difference", difference, "olah2017"), Kind("interpolation", interpolation, "olah2017"),
    Kind("diversity", diversity, "olah2017"), Kind("style", style, "gatys2016"),
    Kind("match", match, "mahendran2015"), Kind("guide", guide, "mordvintsev2015"), Kind("l2", l2, "simonyan2013"),
    Kind("norm", norm, "mahendran2015"), Kind("total_variation", total_variation, "mahendran2015"),
)
OBJECTIVES: Mapping[str, Kind] = MappingProxyType({row.id: row for row in _ROWS})
"""Name -> what an image can be made to do: excite a neuron, a channel, a class, match an activation."""
