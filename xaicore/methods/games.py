"""Players and coalitions: the parts of an input that are there or not, and what f says when only some of them are there.

The one place for every method that takes parts away: ablation, LIME, Shapley values, KernelSHAP, Owen values, interactions.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from math import prod
from typing import Any, TypeAlias

import numpy as np

from xaicore.errors import Inapplicable, InputError, ShapeError, UnknownName, XaicoreError, nearest
from xaicore.graph.passes import prune
from xaicore.graph.run import check_feeds, evaluate
from xaicore.methods.attribution import Attribution
from xaicore.methods.front import affine_front, affine_nodes, multiplications
from xaicore.methods.local import scores_near
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import chosen, parts_of, quiet, reference
from xaicore.methods.task import BUDGET, Task
from xaicore.methods.workers import in_order
from xaicore.numerics import Array, filled, matmul, rationals, scalar

Coalitions: TypeAlias = Array
"""(K, M) of bool: who is there."""

SPREADS = ("share", "repeat")
WORDS = ("entries", "positions")

PRODUCT, MIXING, CACHE = 4, 32, 2**23
"""The multiplications of one large product that take as long as one of a first layer, and as choosing one entry of an input does; and the
bytes of a batch of its results that the layers behind find in a cache."""


@dataclass(frozen=True, eq=False)
class Game:
    """v(S) = mean over b of f(x where the players in S are, b elsewhere), for every sample x of a task.

    labels  input name -> the player, 0 .. M-1, of each entry of a sample
    count   M
    absent  input name -> what stands for absent players: (B, N or 1, *S), B of them to average over
    start   the one baseline where B = 1, by input name; None for a background set
    """

    task: Task
    labels: Mapping[str, Array]
    count: int
    absent: Mapping[str, Array]
    start: Mapping[str, Array] | None = None

    @property
    def backgrounds(self) -> int:
        """B: how many evaluations one v(S) takes."""
        return len(next(iter(self.absent.values())))

    def values(self, coalitions: Coalitions) -> Array:
        """v of K coalitions, (N, K). A coalition that comes several times is evaluated once."""
        packed = np.packbits(coalitions, axis=1)
        if packed.shape[1] <= 8:                                        # as one number each, which is sooner sorted
            packed = np.pad(packed, ((0, 0), (0, 8 - packed.shape[1]))).view(np.uint64)
        _, first, again = np.unique(packed, axis=0, return_index=True, return_inverse=True)
        once = coalitions[first]
        return self.scores(len(once), lambda part: once[part])[:, again.reshape(-1)]

    def scores(self, count: int, make: Callable[[Array], Coalitions], near: Mapping[str, Array] | None = None) -> Array:
        """v of ``count`` coalitions, (N, count), which ``make`` gives for an array of their numbers when they are needed.

        No more than ``batch_size`` inputs of f are in memory at a time; progress counts evaluations of f. ``near`` are inputs from which
        those of each coalition differ in a part of space alone, such as x itself where one is absent: only that part is computed.
        """
        if near is not None:
            return self._scores_near(count, make, near)
        front = self._front(count)
        if front is not None:
            return self._scores_behind(front, count, make)
        silent, b = quiet(self.task), self.backgrounds
        sums = filled((self.task.size * count,), 0, self.task.weights)

        def points() -> Iterator[tuple[Array, Array, dict[str, Array]]]:
            for part in parts_of(self.task, len(sums) * b):
                cell, back = np.divmod(np.arange(part.start, part.stop), b)
                n, k = np.divmod(cell, count)
                there = make(k)
                yield cell, n, {name: self._mixed(name, there, n, back) for name in self.task.wrt}

        for (cell, _, _), f in in_order(self.task.workers, lambda point: silent.at(point[2], point[1]), points()):
            np.add.at(sums, cell, f)
        return self._mean(sums.reshape(self.task.size, count))

    def _front(self, count: int) -> str | None:
        """The affine value that is cheaper to mix from one column for each player than to compute for each of ``count`` coalitions."""
        task = self.task
        if count < 4 * (self.count + 1) or any(v.dtype.kind not in "fO" for v in self.absent.values()):
            return None
        saved = multiplications(task, affine_nodes(task)) + MIXING * sum(self.labels[k].size for k in task.wrt)
        return affine_front(task, min(PRODUCT * saved, BUDGET / 4 / task.weights.itemsize) / self.count)

    def _scores_behind(self, front: str, count: int, make: Callable[[Array], Coalitions]) -> Array:
        """v with the front A as a product: A(absent + Σ_{i in S} part i) = A(absent) + Σ_{i in S} [A(absent + part i) - A(absent)]."""
        task, b, silent = self.task, self.backgrounds, quiet(self.task.at_layer(front)[0])
        before = task.graph.once(("before", front), lambda: prune(replace(task.graph, outputs=(front,)), [front]))
        alone = np.concatenate([np.zeros((1, self.count), dtype=bool), np.eye(self.count, dtype=bool)])
        sums = filled((task.size, count), 0, task.weights)
        for n, back in np.ndindex(task.size, b):
            rows = np.full(self.count + 1, n)
            feeds = {**{k: v[rows] for k, v in task.feeds.items()}, **{k: self._mixed(k, alone, rows, rows * 0 + back) for k in task.wrt}}
            values = evaluate(before, {k: feeds[k] for k in before.inputs})[front]
            parts = np.concatenate([values[:1], values[1:] - values[:1]]).reshape(len(values), -1).T     # of nobody, then of each player
            step = max(1, min(task.batch_size, CACHE // values[0].nbytes))
            batches = (np.arange(at, min(at + step, count)) for at in range(0, count, step))

            def behind(point: tuple[Array, Coalitions], n: int = n, parts: Array = parts, shape: Any = values.shape[1:]) -> Array:
                there = np.concatenate([np.ones((len(point[1]), 1), dtype=bool), point[1]], axis=1)
                mixed = matmul(parts, numbers(there, parts).T).reshape(*shape, len(there))
                return silent.at({front: np.moveaxis(mixed, -1, 0)}, np.full(len(there), n))      # the batch last in memory: long runs

            for (k, _), f in in_order(task.workers, behind, ((k, make(k)) for k in batches)):
                sums[n, k] += f
                if task.progress is not None:
                    task.progress((n * b + back) * count + int(k[-1]) + 1, task.size * b * count)
        return self._mean(sums)

    def _mean(self, sums: Array) -> Array:
        return np.asarray(sums / scalar(self.backgrounds, sums)) if self.backgrounds > 1 else sums

    def _scores_near(self, count: int, make: Callable[[Array], Coalitions], near: Mapping[str, Array]) -> Array:
        task, b = self.task, self.backgrounds

        def made(point: Array) -> dict[str, Array]:
            cell, back = np.divmod(point, b)
            n, k = np.divmod(cell, count)
            there = make(k)
            return {name: self._mixed(name, there, n, back) for name in task.wrt}

        cells = np.repeat(np.arange(task.size * count), b)
        sums = filled((task.size * count,), 0, task.weights)
        np.add.at(sums, cells, scores_near(task, near, cells // count, made))
        return self._mean(sums.reshape(task.size, count))

    def _mixed(self, name: str, there: Coalitions, n: Array, back: Array) -> Array:
        absent = self.absent[name]
        others = absent[back, n if absent.shape[1] > 1 else 0]
        return np.where(there[:, self.labels[name]], self.task.feeds[name][n], others)

    # ----- results ----------------------------------------------------------------------------------------------

    def sizes(self) -> Array:
        """The number of entries of each player, (M,)."""
        return sum((np.bincount(v.reshape(-1), minlength=self.count) for v in self.labels.values()), np.zeros(self.count, dtype=int))

    def differing(self) -> Array:
        """(N, M): does a player have an entry at which x and what stands for it when it is absent are not the same?"""
        out = np.zeros((self.task.size, self.count), dtype=bool)
        for k, labels in self.labels.items():
            differ = (self.absent[k] != self.task.feeds[k][None]).any(axis=0).reshape(self.task.size, -1)
            for n, row in enumerate(differ):
                out[n] |= np.bincount(labels.reshape(-1), weights=row, minlength=self.count) > 0
        return out

    def spread(self, phi: Array, how: str) -> dict[str, Array]:
        """(N, M) in the shape of the inputs: each entry of a player gets an equal "share" of it, or all of it ("repeat")."""
        chosen("spread", how, SPREADS)
        if how == "share":
            phi = phi / _row(self.sizes(), phi)
        return {k: np.asarray(phi[:, v.reshape(-1)].reshape(len(phi), *v.shape)) for k, v in self.labels.items()}

    def attribution(self, method: str, phi: Array, spread: str, empty: Array | None = None, settings: Mapping[str, Any] | None = None,
                    **extras: Any) -> Attribution:
        """The result: maps of φ (N, M), and in ``extras`` "players" (φ itself) and "labels" (which entry is whose).

        ``empty`` is v of nobody; given for values that say how f(x) - v(nobody) comes about.
        """
        t = self.task
        return Attribution(self.spread(phi, spread), t.result, method, t.graph, t.feeds, t.target, dict(settings or {}), t.words,
                           self.start if empty is not None else None, empty,
                           extras={"players": phi, "labels": dict(self.labels), **extras})


def game(task: Task, mask: Any = None, baseline: Any = 0, background: Any = None, limit: int = 64) -> Game:
    """The game of a task: who the players are (``mask``) and what stands where they are absent.

    mask        the players. An array of whole numbers in the shape of a sample, or one that broadcasts to it: entries with one
                number are one player (with several inputs: of each input by itself). A mapping by input name: a number means
                the same player in all of them. "entries": each entry; "positions": each place in space with all its channels;
                a whole number k, or one for each axis of space: space is cut into k parts along each axis.
                None: each entry of an input (N, F); of an input with space (N, C, *S), as many equal parts along every axis as
                give ``limit`` parts at most
    baseline    a number, one sample, a batch, or a mapping by input name; "mean": of each channel of a player over its own entries
    background  a set of samples (B, ...) instead, or a mapping by input name: v is the mean over them (with an axis more,
                (B, N, ...), each sample has its own)

    Raises ShapeError for a mask or set that does not fit, InputError for both a baseline and a background or a mask that is
    not of whole numbers, UnknownName for a word or an input that does not exist.
    """
    labels, count = _players(task, mask, limit)
    if background is None:
        start = _means(task, labels, baseline) if isinstance(baseline, str) else reference(task, baseline, "baseline")
        return Game(task, labels, count, {k: v[None] for k, v in start.items()}, start)
    return Game(task, labels, count, backgrounds(task, background, baseline))


def backgrounds(task: Task, background: Any, baseline: Any = 0, setting: str = "background") -> dict[str, Array]:
    """A background set as arrays (B, N or 1, *S) by input name, checked like an input."""
    if not (np.isscalar(baseline) and baseline == 0):
        raise InputError(f"baseline and {setting} were both given, and both say what stands where a player is absent; leave one out")
    given = background if isinstance(background, Mapping) else {task.wrt[0]: background} if len(task.wrt) == 1 else {}
    for k in given:
        if k not in task.wrt:
            raise UnknownName(f"the {setting} names {k!r}, which is no explained input: {nearest(str(k), task.wrt)}")
    missing = [k for k in task.wrt if k not in given]
    if missing:
        raise InputError(f"the {setting} has nothing for input {missing[0]!r}; give a mapping with arrays for {', '.join(task.wrt)}")
    out = {}
    for k, v in given.items():
        x, b = task.feeds[k], np.asarray(v)
        own = b.ndim == x.ndim + 1
        shape = b.shape[2:] if own else b.shape[1:]
        if shape != x.shape[1:] or (own and b.shape[1] != len(x)) or not b.shape[0]:
            one, each = (", ".join(map(str, shape)) for shape in (x.shape[1:], x.shape))
            raise ShapeError(f"the {setting} of input {k!r} has shape {b.shape}; (B, {one}) is expected, a set of B samples for all, or "
                             f"(B, {each}), a set for each")
        flat = b.reshape(-1, *x.shape[1:])
        others = {o: np.repeat(v[:1], len(flat), axis=0) for o, v in task.feeds.items() if o != k}
        try:
            checked = check_feeds(task.graph, {**others, k: flat})[k]
        except XaicoreError as error:
            raise type(error)(f"the {setting}: {error}") from None
        out[k] = checked.reshape(len(b), len(x) if own else 1, *x.shape[1:])
    if len({len(v) for v in out.values()}) > 1:
        raise ShapeError(f"the {setting} has different numbers of samples: {({k: len(v) for k, v in out.items()})}; row b of every input "
                         f"is one sample")
    return out


MOST = 2**31
"""Entries of a table of coalitions: two GiB."""


def few_enough(g: Game, coalitions: int, method: str) -> None:
    """Inapplicable for a table of coalitions that does not fit into memory, before it is made."""
    if g.count * coalitions > MOST:
        raise Inapplicable(f"{method} would draw {coalitions:,} coalitions of {g.count:,} players, a table of "
                           f"{g.count * coalitions / 2**30:,.0f} GiB; make the players fewer (mask=...: a number of parts, or an array "
                           f"that groups entries), or lower samples")


# ----- players ----------------------------------------------------------------------------------------------------


def channel_axis(task: Task, name: str) -> int | None:
    """The position of the channel axis among the axes behind the batch; None without spatial axes."""
    rank = task.feeds[name].ndim
    if rank < 3:
        return None
    return rank - 2 if channels_last(task.graph.meta, name) else 0


def _players(task: Task, mask: Any, limit: int) -> tuple[dict[str, Array], int]:
    """Labels 0 .. M-1 by input, and M."""
    if isinstance(mask, Mapping):
        for k in mask:
            if k not in task.wrt:
                raise UnknownName(f"the mask names {k!r}, which is no explained input: {nearest(str(k), task.wrt)}")
        missing = [k for k in task.wrt if k not in mask]
        if missing:
            raise InputError(f"the mask has nothing for input {missing[0]!r}; give a mapping with labels for {', '.join(task.wrt)}")
        raw = {k: _labels(task, k, mask[k], limit) for k in task.wrt}
    else:
        raw, above = {}, 0
        for k in task.wrt:
            own = _labels(task, k, mask, limit)
            raw[k] = own - own.min() + above                           # the players of one input are not those of another
            above = raw[k].max() + 1
    every = np.unique(np.concatenate([v.reshape(-1) for v in raw.values()]))
    return {k: np.searchsorted(every, v) for k, v in raw.items()}, len(every)


def _labels(task: Task, name: str, mask: Any, limit: int) -> Array:
    shape = task.feeds[name].shape[1:]
    channel = channel_axis(task, name)
    if isinstance(mask, str):
        chosen("mask", mask, WORDS)
        if mask == "entries" or channel is None:
            return np.arange(prod(shape)).reshape(shape)
        return _parts(shape, channel, [n for k, n in enumerate(shape) if k != channel])
    if mask is None and channel is None:
        return np.arange(prod(shape)).reshape(shape)
    rank = len(shape) - (channel is not None)
    if mask is None or _is_whole(mask) or (isinstance(mask, tuple) and len(mask) == rank and all(map(_is_whole, mask))):
        space = [n for k, n in enumerate(shape) if k != channel]
        cuts = [max(k for k in range(1, limit + 1) if k**rank <= limit)] * rank if mask is None else \
            [mask] * rank if _is_whole(mask) else list(mask)
        if any(k < 1 for k in cuts):
            raise InputError(f"mask={mask!r} cuts an axis into fewer than 1 part; give whole numbers of at least 1")
        return _parts(shape, channel, [min(int(k), n) for k, n in zip(cuts, space)])
    given = np.asarray(mask)
    if given.dtype.kind not in "iub":
        raise InputError(f"the mask of input {name!r} has dtype {given.dtype}; it holds whole numbers, one for each player "
                         f"({', '.join(map(repr, WORDS))} and a number of parts are known, too)")
    try:
        return np.array(np.broadcast_to(given, shape)).astype(np.int64)
    except ValueError:
        raise ShapeError(f"the mask of input {name!r} has shape {given.shape}; {shape}, the shape of one sample, is expected, or one that "
                         f"broadcasts to it (all samples have the same players)") from None


def _means(task: Task, labels: Mapping[str, Array], word: str) -> dict[str, Array]:
    """Every entry replaced by the mean of its player's entries in the same channel."""
    chosen("baseline", word, ("mean",))
    out = {}
    for k, own in labels.items():
        x, channel = task.feeds[k], channel_axis(task, k)
        if x.dtype.kind not in "fO":
            raise InputError(f"baseline='mean' is no whole number in general, and input {k!r} holds such; give one (the id of a padding)")
        size = own.shape[channel] if channel is not None else 1
        place = own if channel is None else own * size + np.arange(size).reshape(-1, *(1,) * (own.ndim - 1 - channel))
        _, which, count = np.unique(place, return_inverse=True, return_counts=True)
        sums = filled((task.size, len(count)), 0, x)
        np.add.at(sums.T, which.reshape(-1), x.reshape(task.size, -1).T)
        out[k] = np.asarray((sums / _row(count, x))[:, which.reshape(-1)].reshape(x.shape))
    return out


def _is_whole(v: Any) -> bool:
    return isinstance(v, (int, np.integer)) and not isinstance(v, bool)


def _parts(shape: tuple[int, ...], channel: int | None, cuts: Sequence[int]) -> Array:
    """Space cut into equal parts along each axis, each part with all its channels, numbered row-major."""
    out = np.zeros(shape, dtype=np.int64)
    wanted = iter(cuts)
    for k, n in enumerate(shape):
        if k == channel:
            continue
        parts = next(wanted)
        at = (2 * np.arange(n) + 1) * parts // (2 * n)                  # by the middle of each entry: symmetric where n allows it
        out = out * parts + at.reshape(-1, *(1,) * (len(shape) - 1 - k))
    return out


def numbers(there: Array, like: Array) -> Array:
    """Presence as 0 and 1 in the arithmetic of ``like``."""
    return np.asarray(np.where(there, scalar(1, like), scalar(0, like)).astype(like.dtype))


def _row(counts: Sequence[int] | Array, like: Array) -> Array:
    """Whole numbers (M,) in the arithmetic of ``like``."""
    x = np.asarray(counts)
    return rationals(x, "players") if like.dtype == object else x.astype(like.dtype)
