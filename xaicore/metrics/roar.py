"""ROAR and KAR: take the most important pixels out of training and test data, train again, and see what can still be learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError
from xaicore.graph.graph import Graph
from xaicore.graph.run import check_feeds
from xaicore.methods.games import channel_axis
from xaicore.methods.sweep import chosen, whole
from xaicore.metrics.removal import places
from xaicore.metrics.statistics import area, descending
from xaicore.metrics.subject import Score, Subject, space_of
from xaicore.metrics.train import accuracy, fresh
from xaicore.metrics.train import train as train_graph
from xaicore.numerics import Array

Trainer = Callable[[Graph, Array, Array, int], Graph]
"""(graph with fresh parameters, x, y, seed) -> the trained graph."""
SHARES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9)


@dataclass(frozen=True, eq=False)
class Data:
    """A training set and a test set: inputs (N, ...) of the model's one input, and class numbers (N,)."""

    x: Array
    y: Array
    x_test: Array
    y_test: Array


@dataclass(frozen=True, eq=False)
class Retrained:
    """Test accuracies (methods, shares, repeats): ``curves[label]`` is their mean over repeats, (shares,)."""

    shares: tuple[float, ...]
    accuracies: Mapping[str, Array]
    keep: bool

    @property
    def curves(self) -> dict[str, Array]:
        """Label -> mean test accuracy at each share."""
        return {k: v.mean(axis=1) for k, v in self.accuracies.items()}

    @property
    def areas(self) -> dict[str, float]:
        """Label -> the area under its curve, over the shares as they are, scaled to a width of 1."""
        at = np.asarray(self.shares)
        return {k: float(area(v, at) / (at[-1] - at[0])) for k, v in self.curves.items()}

    @property
    def ranking(self) -> tuple[str, ...]:
        """The best first: for ROAR that whose accuracy falls most, for KAR that whose accuracy stays."""
        return tuple(sorted(self.areas, key=lambda k: -self.areas[k] if self.keep else self.areas[k]))

    def __str__(self) -> str:
        width = max(len(k) for k in self.accuracies)
        what = "kept" if self.keep else "removed"
        lines = [f"{what:<{width}}  " + "  ".join(f"{100 * p:5.0f}%" for p in self.shares)]
        return "\n".join([*lines, *(f"{k:<{width}}  " + "  ".join(f"{v:6.3f}" for v in self.curves[k]) for k in self.ranking)])


def retrain(
    graph: Graph, data: Data, maps: Mapping[str, Any], shares: Sequence[float] = SHARES, keep: bool = False, repeats: int = 1,
    seed: int = 0, trainer: Trainer | None = None, progress: Callable[[int, int], None] | None = None, sign: str = "signed",
    per: str = "image",
) -> Retrained:
    """Test accuracy after the top t of each image's pixels are replaced, for every t, in training and test images, by a new model.

    graph    the architecture; its parameters are drawn anew (``train.fresh``) for each training
    maps     label -> (maps of the training set, maps of the test set): arrays in the shape of the inputs, with one channel, or without
             a channel axis. ``maps_of`` makes them for a method
    shares   t;  the top is by descending value, of equal values the first in row-major order
    keep     False: ROAR, the top is replaced;  True: KAR, all but the top
    repeats  models for each t, with seeds seed, seed + 1, ...;  all maps use the same ones
    trainer  (fresh graph, x, y, seed) -> trained graph; default 20 epochs of Adam
    per      "image": each image by its own map, as in the paper;  "set": all images by the mean of |map| over the training set. A
             mask that is made for the true class tells the class, and the new model reads it off the mask (rong2022): by "image" a good
             method can look worse than random

    A pixel is replaced, in all its channels, by each channel's mean over the training set. ``shares`` with 0 give the original
    accuracy (for KAR: 1). Source: hooker2019, section 3 (where the maps are those of the original model; retraining is what tells the
    loss of information from the strangeness of the perturbed images).
    """
    at = np.asarray(shares, dtype=float).reshape(-1)
    if len(at) < 2 or (np.diff(at) <= 0).any() or at[0] < 0 or at[-1] > 1:
        raise InputError(f"shares={shares!r} must be two or more rising numbers from 0 to 1")
    (name,) = graph.inputs if len(graph.inputs) == 1 else (None,)
    if name is None:
        raise Inapplicable(f"retraining is for models with one input, and this has {', '.join(graph.inputs)}")
    x, x_test = (check_feeds(graph, v)[name] for v in (data.x, data.x_test))
    fit = trainer or (lambda g, a, b, s: train_graph(g, a, b, seed=s))
    chosen("per", per, ("image", "set"))
    maps = maps if per == "image" else {k: _common(_pair(v, k), sign) for k, v in maps.items()}
    orders = {k: tuple(_order(graph, name, v, one, k, sign) for v, one in zip((x, x_test), _pair(pair, k))) for k, pair in maps.items()}
    axis = _channels(graph, name, x)
    over = tuple(k for k in range(x.ndim) if axis is None or k != axis + 1) if axis is not None else (0,)
    mean = x.mean(axis=over, keepdims=True)
    done, count = 0, len(orders) * len(at) * whole("repeats", repeats, 1)
    out = {}
    for label, (first, second) in orders.items():
        table = np.empty((len(at), repeats))
        for k, share in enumerate(at):
            a, b = (_replaced(v, order, float(share), mean, keep, axis) for v, order in ((x, first), (x_test, second)))
            for r in range(repeats):
                if progress is not None:
                    progress(done, count)
                model = fit(fresh(graph, seed + r), a, np.asarray(data.y), seed + r)
                table[k, r] = accuracy(model, b, data.y_test)
                done += 1
        out[label] = table
    if progress is not None:
        progress(count, count)
    return Retrained(tuple(float(v) for v in at), out, keep)


def maps_of(ask: Callable[[Array, Array], Any], data: Data) -> tuple[Any, Any]:
    """The maps of a method for both sets; ask(x, y) gives the map of the true classes."""
    return ask(data.x, data.y), ask(data.x_test, data.y_test)


def _common(pair: tuple[Any, Any], sign: str) -> tuple[Array, Array]:
    """The mean of |map| (with sign="positive" of its positive part) over the training set, for every image of both sets."""
    from xaicore.metrics.subject import signed

    first, second = (np.asarray(v, dtype=float) for v in pair)
    mean = signed(first, "absolute" if sign == "signed" else sign).mean(axis=0)
    return np.broadcast_to(mean, first.shape), np.broadcast_to(mean, second.shape)


def _pair(pair: Any, label: str) -> tuple[Any, Any]:
    if not (isinstance(pair, tuple) and len(pair) == 2):
        raise InputError(f"the maps of {label!r} must be a pair: those of the training set, and those of the test set")
    return pair


def _channels(graph: Graph, name: str, x: Array) -> int | None:
    from xaicore.methods.propagate import channels_last

    return None if x.ndim < 3 else x.ndim - 2 if channels_last(graph.meta, name) else 0


def _order(graph: Graph, name: str, x: Array, given: Any, label: str, sign: str) -> Array:
    """The place of each position in the descending order of the map, (N, M)."""
    from xaicore.metrics.subject import signed

    a, axis = np.asarray(given, dtype=float), _channels(graph, name, x)
    space = x.shape[1:] if axis is None else x.shape[1:axis + 1] + x.shape[axis + 2:]
    if axis is not None and a.ndim == x.ndim:
        a = a.sum(axis=axis + 1)
    if a.shape != (len(x), *space):
        raise ShapeError(f"the maps of {label!r} have shape {np.shape(given)}; {x.shape} is expected, or {(len(x), *space)}")
    return places(descending(signed(a.reshape(len(x), -1), sign)))


def _replaced(x: Array, place: Array, share: float, mean: Array, keep: bool, axis: int | None) -> Array:
    count = round(share * place.shape[1])
    gone = place >= count if keep else place < count
    shape = x.shape[1:] if axis is None else x.shape[1:axis + 1] + x.shape[axis + 2:]
    hole = gone.reshape(len(x), *shape)
    return np.asarray(np.where(hole if axis is None else np.expand_dims(hole, axis + 1), mean, x).astype(x.dtype))


# ----- as metrics -------------------------------------------------------------------------------------------------------


def roar(s: Subject, data: Data | None = None, shares: Sequence[float] = SHARES, repeats: int = 1, seed: int = 0,
         trainer: Trainer | None = None, per: str = "image") -> Score:
    """Remove and retrain: the area under the test accuracy of new models over the share of pixels replaced, one number for the method.

    data  the training and test set (``roar.Data``); the subject's method explains the true class of every image with the subject's model

    The score is the same for every sample of the batch: it is about the method. Small is good: what it calls important is not to
    be learned from the rest. extras: "retrained". Source: hooker2019. Details and several methods at once:
    ``xaicore.metrics.roar.retrain``.
    """
    return _score(s, data, shares, repeats, seed, trainer, per, keep=False)


def kar(s: Subject, data: Data | None = None, shares: Sequence[float] = SHARES, repeats: int = 1, seed: int = 0,
        trainer: Trainer | None = None, per: str = "image") -> Score:
    """Keep and retrain: the area under the test accuracy over the share of pixels kept; large is good. Source: hooker2019."""
    return _score(s, data, shares, repeats, seed, trainer, per, keep=True)


def _score(s: Subject, data: Data | None, shares: Sequence[float], repeats: int, seed: int, trainer: Any, per: str, keep: bool) -> Score:
    if data is None:
        raise Inapplicable("retraining needs data=xaicore.metrics.roar.Data(x, y, x_test, y_test)")
    if s.ask is None:
        s.again()
    name, ask = s.name, s.ask
    assert ask is not None

    def maps(x: Array, y: Array) -> Array:
        found = ask(s.graph, check_feeds(s.graph, x), np.asarray(y))
        a = np.asarray(found.values[name] if hasattr(found, "values") and not isinstance(found, Mapping) else
                       found[name] if isinstance(found, Mapping) else found, dtype=float)
        axis = channel_axis(s.task, name)
        return a if axis is None or a.ndim < x.ndim else a.sum(axis=axis + 1).reshape(len(a), *space_of(s.task, name))

    done = retrain(s.graph, data, {s.label: maps_of(maps, data)}, shares, keep, repeats, seed, trainer, per=per)
    return Score(np.full(s.size, done.areas[s.label]), {"retrained": done})


__all__ = ["SHARES", "Data", "Retrained", "kar", "maps_of", "retrain", "roar"]
