"""What f loses when a part of the input is taken away: occlusion by sliding windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from math import prod
from types import MappingProxyType
from typing import Any

import numpy as np

from xaicore.errors import InputError, UnknownName, nearest
from xaicore.methods.attribution import Attribution
from xaicore.methods.local import scores_near
from xaicore.methods.propagate import channels_last
from xaicore.methods.sweep import chosen, reference
from xaicore.methods.task import Task
from xaicore.numerics import Array, divide, filled, scalar

SCORES: Mapping[str, Callable[[Array, Array], Array]] = MappingProxyType({
    "difference": lambda f, occluded: f - occluded,
    "raw": lambda f, occluded: occluded,
    "complement": lambda f, occluded: scalar(1, occluded) - occluded,
})
"""name -> (f(x) (N, 1), f of the occluded inputs (N, W)) -> the score of each window. zennit keeps "raw", tf-explain 1 - p."""

CONVENTIONS: Mapping[str, Mapping[str, Any]] = MappingProxyType({
    "xaicore": {"fill": 0, "score": "difference", "overlap": "mean", "border": "crop", "mode": "drop"},
    "captum": {"stride": 1, "fill": 0, "score": "difference", "overlap": "mean", "border": "crop", "mode": "drop"},
    "pair": {"window": 15, "stride": 1, "fill": 0, "score": "difference", "overlap": "sum", "border": "valid", "mode": "drop"},
    "xplique": {"window": 3, "stride": 3, "fill": 0, "score": "difference", "overlap": "sum", "border": "valid", "mode": "drop"},
    "deepexplain": {"stride": 1, "fill": 0, "score": "difference", "overlap": "mean_per_cell", "border": "valid", "mode": "drop"},
    "zennit": {"window": 8, "stride": 8, "fill": 0, "score": "raw", "overlap": "sum", "border": "wrap", "mode": "keep"},
    "tf_explain": {"fill": 127.5, "score": "complement", "overlap": "mean", "border": "crop", "mode": "drop"},
    "zeiler": {"fill": "mean", "score": "raw", "overlap": "mean", "border": "crop", "mode": "drop"},
})
"""name -> what a library, or the paper, does where nothing else is asked for."""

OVERLAPS = ("mean", "sum", "mean_per_cell")
BORDERS = ("crop", "valid", "wrap")


def occlusion(
    task: Task, convention: str = "xaicore", window: Any = None, stride: Any = None, fill: Any = None, score: str | None = None,
    overlap: str | None = None, border: str | None = None, mode: str | None = None, channels: str = "together",
) -> Attribution:
    """A_i = mean over the windows w that cover i of f(x) - f(x with w filled).

    convention  whose settings hold where none are given (CONVENTIONS): "xaicore": fill 0, score "difference", overlap "mean",
              border "crop", mode "drop"; "captum", "pair", "xplique", "deepexplain", "zennit", "tf_explain" (stride = window);
              "zeiler" (a grey square, and f itself). Those that have no window of their own take the one below
    window    the size of the window, for every input by itself while the others stay: a number, one entry for each spatial
              axis, one for each axis but the batch, or a mapping by input name. Default: one feature of (N, F); of an input
              with spatial axes, (N, C, *S), a tenth of each axis, at least 3, at most the axis
    stride    likewise; default a third of the window, at least 1: about a thousand evaluations for an image of any size
    fill      what stands in a filled place: a number, one sample, a batch, a mapping by input name, or "mean", each
              channel's mean over the sample's own positions
    score     "difference" f(x) - f(x'), "raw" f(x'), "complement" 1 - f(x')
    overlap   of the scores of the windows that cover an entry: their "mean", "sum", or "mean_per_cell", the sum divided by the
              number of entries in these windows
    border    "crop": windows cover all, those at the end are cut off; "valid": only whole windows; "wrap": they go on at the start
    mode      "drop" fills the window, "keep" fills all but the window
    channels  "together": a window goes through all channels; "separate": each channel by itself. Unused where ``window`` has
              an entry for the channel axis, along which the windows are laid edge to edge unless stride has one too

    Values in the shape of the inputs; ``extras["counts"]``: by input, how many windows cover each entry. An entry that none
    covers (stride > window, or border="valid") gets 0. Not complete: Σ A is not f(x) - f(x0) in general. Of each layer only the part
    that a window can change is computed, where that is less work (local.py); same numbers, up to rounding.
    Raises InputError for a window larger than the input, for sizes that are not whole numbers of at least 1 and for
    fill="mean" without spatial axes, UnknownName for another name, ShapeError for a fill that does not fit. Source:
    zeiler2014, section 4.2, who plot f itself (score="raw", output="probability").
    Differs: captum is this default with a stride of 1; the others as ``convention`` says. DeepExplain explains the sum of
    all outputs, tf-explain and the paper a probability (output="probability").
    """
    usual = CONVENTIONS[chosen("convention", convention, CONVENTIONS)]
    given = {"window": window, "stride": stride, "fill": fill, "score": score, "overlap": overlap, "border": border, "mode": mode}
    settled: dict[str, Any] = {k: usual.get(k) if v is None else v for k, v in given.items()}
    if convention == "tf_explain" and settled["stride"] is None:
        settled["stride"] = settled["window"]
    if fill is None and task.graph.dtype == "exact" and settled["fill"] != "mean":
        settled["fill"] = Fraction(settled["fill"])                     # tf-explain's 127.5, which a float graph takes as it is
    for setting, known in (("score", SCORES), ("overlap", OVERLAPS), ("border", BORDERS), ("mode", ("drop", "keep"))):
        chosen(setting, settled[setting], known)
    chosen("channels", channels, ("together", "separate"))
    judge, filling = SCORES[settled["score"]], _filling(task, settled["fill"])
    sizes, strides = _by_input(task, "window", settled["window"]), _by_input(task, "stride", settled["stride"])
    grids = {k: _Grid.of(task, k, sizes[k], strides[k], channels == "separate") for k in task.wrt}
    places = [(k, at, count) for k, grid in grids.items() for at, count in grid.windows(settled["border"])]
    rows, which = np.repeat(np.arange(task.size), len(places)), np.tile(np.arange(len(places)), task.size)

    inside, outside = (filling, task.feeds) if settled["mode"] == "drop" else (task.feeds, filling)

    def occluded(part: Array) -> dict[str, Array]:
        made = {k: task.feeds[k][rows[part]] for k in task.wrt}
        for r, (n, w) in enumerate(zip(rows[part], which[part])):
            name, at, _ = places[w]
            made[name][r] = outside[name][n]
            made[name][(r, *at)] = inside[name][(n, *at)]
        return made

    found = judge(task.result[:, None], scores_near(task, outside, rows, occluded).reshape(task.size, -1))
    sums = {k: filled(task.feeds[k].shape, 0, task.weights) for k in task.wrt}
    counts, entries = ({k: filled(task.feeds[k].shape[1:], 0, task.weights) for k in task.wrt} for _ in range(2))
    for w, (name, at, count) in enumerate(places):
        everywhere: Any = (slice(None), *at)
        sums[name][everywhere] += found[:, w].reshape(-1, *(1,) * len(at))
        counts[name][at] += scalar(1, counts[name])
        entries[name][at] += scalar(count, entries[name])
    shares = {"mean": counts, "mean_per_cell": entries}.get(settled["overlap"])
    parts = sums if shares is None else {k: divide(s, shares[k][None]) for k, s in sums.items()}
    shown = {**settled, "window": {k: g.sizes for k, g in grids.items()}, "stride": {k: g.strides for k, g in grids.items()}}
    return Attribution(parts, task.result, "occlusion", task.graph, task.feeds, task.target, shown, task.words,
                       extras={"counts": {k: c.astype(int) for k, c in counts.items()}})


# ----- windows ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Grid:
    """The windows of one input: length, window and stride of each axis but the batch."""

    lengths: tuple[int, ...]
    sizes: tuple[int, ...]
    strides: tuple[int, ...]

    @classmethod
    def of(cls, task: Task, name: str, window: Any, stride: Any, separate: bool) -> _Grid:
        """Numbers for every axis out of what was given for this input."""
        x = task.feeds[name]
        lengths, channel = x.shape[1:], _channel(task, name)
        space = tuple(k for k in range(len(lengths)) if k != channel)
        usual = tuple(min(n, max(3, round(n / 10))) if channel is not None else 1 for n in lengths)
        sizes = _entries("window", window, usual, space, name)
        if channel is not None and not _is_full(window, lengths, space):
            sizes[channel] = 1 if separate else lengths[channel]
        for k, (size, n) in enumerate(zip(sizes, lengths)):
            if size > n:
                raise InputError(f"window {tuple(sizes)} is larger than input {name!r} of shape {x.shape}: {size} > {n} on axis {k + 1}")
        strides = _entries("stride", stride, tuple(max(1, size // 3) for size in sizes), space, name)
        if channel is not None and not _is_full(stride, lengths, space):
            strides[channel] = sizes[channel]
        return cls(lengths, tuple(sizes), tuple(strides))

    def windows(self, border: str) -> Iterator[tuple[Any, int]]:
        """The index of every window, row-major, and how many entries it has."""
        axes = [list(_positions(*one, border)) for one in zip(self.lengths, self.sizes, self.strides)]
        for at in product(*axes):
            yield np.ix_(*at) if border == "wrap" else tuple(slice(one.start, one.stop) for one in at), prod(map(len, at))


def _positions(length: int, size: int, stride: int, border: str) -> Iterator[Any]:
    """What each window along one axis covers: a range, or an array where windows go on at the start."""
    if border == "wrap":
        for start in range(0, length, stride):
            yield (start + np.arange(size)) % length
        return
    room = length - size
    count = (room // stride if border == "valid" else -(-room // stride)) + 1
    for start in range(0, min(count * stride, length), stride):
        yield range(start, min(start + size, length))


def _channel(task: Task, name: str) -> int | None:
    """The position of the channel axis among the axes behind the batch; None without spatial axes."""
    rank = task.feeds[name].ndim
    if rank < 3:
        return None
    return rank - 2 if channels_last(task.graph.meta, name) else 0


def _by_input(task: Task, setting: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        return dict.fromkeys(task.wrt, value)
    for k in value:
        if k not in task.wrt:
            raise UnknownName(f"{setting} names {k!r}, which is no explained input: {nearest(str(k), task.wrt)}")
    return {k: value.get(k) for k in task.wrt}


def _is_full(value: Any, lengths: tuple[int, ...], space: tuple[int, ...]) -> bool:
    return isinstance(value, (tuple, list)) and len(value) == len(lengths) != len(space)


def _entries(setting: str, value: Any, usual: tuple[int, ...], space: tuple[int, ...], name: str) -> list[int]:
    """One number for each axis: ``usual`` where nothing was given."""
    out = list(usual)
    if value is None:
        return out
    given = list(value) if isinstance(value, (tuple, list)) else [value] * len(space)
    for v in given:
        if isinstance(v, bool) or not isinstance(v, (int, np.integer)) or v < 1:
            raise InputError(f"{setting}={value!r} must be whole numbers of at least 1")
    if len(given) not in (len(space), len(usual)):
        raise InputError(f"{setting}={value!r} has {len(given)} entries; input {name!r} takes {len(space)} (one for each spatial axis)"
                         + (f" or {len(usual)} (one for each axis but the batch)" if len(usual) != len(space) else ""))
    for k, v in zip(space if len(given) == len(space) else range(len(usual)), given):
        out[k] = int(v)
    return out


def _filling(task: Task, fill: Any) -> dict[str, Array]:
    if not isinstance(fill, str):
        return reference(task, fill, "fill")
    chosen("fill", fill, ("mean",))
    out = {}
    for name in task.wrt:
        x, channel = task.feeds[name], _channel(task, name)
        if channel is None:
            raise InputError(f"fill='mean' is the mean over positions, and input {name!r} of shape {x.shape} has none; give the values "
                             f"(fill=...)")
        axes = tuple(k for k in range(1, x.ndim) if k != channel + 1)
        mean = x.sum(axis=axes, keepdims=True) / scalar(prod(x.shape[k] for k in axes), x)
        out[name] = np.array(np.broadcast_to(mean, x.shape))
    return out
