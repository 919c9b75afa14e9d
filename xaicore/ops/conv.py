"""Conv and ConvTranspose in one to three dimensions, as matrix products over sliding windows.

The three functions at the end are all there is to compute: a convolution, its adjoint in x and its adjoint in w.
ConvTranspose is the adjoint with the roles turned. Other uses of windows (pooling) are in pool.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import prod
from typing import Any, NamedTuple, final

import numpy as np

from xaicore.errors import ShapeError
from xaicore.numerics import Array, filled, in_range, matmul, pad_spatial, taps
from xaicore.ops import depthwise, laid, shifts, small, together
from xaicore.ops.linear import Weighted, check_bias
from xaicore.ops.winograd import correlate


class Geometry(NamedTuple):
    """How windows lie on the input, with one entry for each spatial axis."""

    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    groups: int
    fast: bool


@final
@dataclass(frozen=True)
class Conv(Weighted):
    """y[n, o, s] = sum_{c, k} w[o, c, k] x[n, c, s * stride + k * dilation - pad] + b[o], with zeros outside x.

    x (N, C, *S), w (O, C / groups, *K), [b (O,)] -> (N, O, *S'), one to three spatial axes (as many as K has).
    S' = floor((S + before + after - dilation * (K - 1) - 1) / stride) + 1.
    Output channels come in ``groups`` equal runs; each sees its own equal run of the input channels.
    Raises ShapeError when ranks, channels, groups or settings do not fit, and when a window is larger than the padded input.
    ``fast`` may take the sums in another order (Winograd's, for 3 x 3 windows with stride 1), with a larger rounding error.
    Same as: torch.nn.Conv1d to 3d (which pads alike on both sides), ONNX Conv. It is what signal processing calls correlation.
    """

    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()
    groups: int = 1
    fast: bool = False

    def __post_init__(self) -> None:
        check_geometry(self.stride, self.dilation, self.pads, self.groups, self)

    def forward(self, *xs: Array) -> Array:
        x, w = xs[0], xs[1]
        return convolve(x, w, _fitting(self, x.shape, w.shape), _bias(xs, len(w), self))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if i == 2:
            return np.asarray(g.sum(axis=(0, *range(2, g.ndim))))
        at = _fitting(self, xs[0].shape, xs[1].shape)
        return adjoint_x(g, xs[1], xs[0].shape[2:], at) if i == 0 else adjoint_w(g, xs[0], xs[1].shape[2:], at)

    def laid(self, i: int, x: Array) -> Array:
        return laid.laid(x) if i == 1 and self.groups == 1 and not self.fast else x


@final
@dataclass(frozen=True)
class ConvTranspose(Weighted):
    """y[n, o, s * stride + k * dilation - pad] += x[n, c, s] w[c, o, k], then + b[o]: the adjoint of Conv.

    x (N, C, *S), w (C, O / groups, *K), [b (O,)] -> (N, O, *S'), one to three spatial axes.
    S' = (S - 1) * stride + dilation * (K - 1) + 1 - before - after + output_padding: output_padding appends positions, which
    windows reach only if padding had cut them off there; else they hold the bias alone.
    Raises ShapeError when ranks, channels, groups or settings do not fit, and when nothing is left of the output.
    Same as: torch.nn.ConvTranspose1d to 3d, ONNX ConvTranspose. Keras stores w as (*K, O, C).
    """

    stride: tuple[int, ...] = ()
    dilation: tuple[int, ...] = ()
    pads: tuple[tuple[int, int], ...] = ()
    output_padding: tuple[int, ...] = ()
    groups: int = 1

    def __post_init__(self) -> None:
        check_geometry(self.stride, self.dilation, self.pads, self.groups, self)
        if any(n < 0 for n in self.output_padding):
            raise ShapeError(f"{self}: output_padding must not be negative; use pads to make the output smaller")

    def forward(self, *xs: Array) -> Array:
        x, w = xs[0], xs[1]
        at = _geometry(self, x.shape, w.shape)
        if x.shape[1] != w.shape[0] or w.shape[0] % self.groups:
            raise ShapeError(
                f"{self}: x has {x.shape[1]} channels and w has shape {w.shape}, but w (C, O / groups, *K) with as many "
                f"channels as x and a multiple of {self.groups} is expected; check groups, and that x is channels-first"
            )
        extra = self.output_padding or (0,) * len(at.stride)
        if len(extra) != len(at.stride):
            raise ShapeError(f"{self}: output_padding has {len(extra)} entries, but w has {len(at.stride)} spatial axes")
        space = tuple(
            (n - 1) * s + (k - 1) * d + 1 - a - b + e
            for n, k, s, d, (a, b), e in zip(x.shape[2:], w.shape[2:], at.stride, at.dilation, at.pads, extra, strict=True)
        )
        if min(space) < 1:
            raise ShapeError(f"{self}: the output of x {x.shape} and w {w.shape} would have the size {space}; use less padding")
        y = adjoint_x(x, w, space, _reaching(at, extra))
        return _biased(y, _bias(xs, y.shape[1], self))

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        if i == 2:
            return np.asarray(g.sum(axis=(0, *range(2, g.ndim))))
        at = _geometry(self, xs[0].shape, xs[1].shape)
        at = _reaching(at, self.output_padding or (0,) * len(at.stride))
        return convolve(g, xs[1], at) if i == 0 else adjoint_w(xs[0], g, xs[1].shape[2:], at)


# ----- settings ---------------------------------------------------------------------------------------------------


def check_geometry(stride: Sequence[int], dilation: Sequence[int], pads: Sequence[Sequence[int]], groups: int, who: object) -> None:
    """Refuses settings that no input can fit."""
    if any(n < 1 for n in (*stride, *dilation, groups)):
        raise ShapeError(f"{who}: stride, dilation and groups must be at least 1")
    if any(len(pair) != 2 or min(pair) < 0 for pair in pads):
        raise ShapeError(f"{who}: pads must hold one (before, after) for each spatial axis, none negative; crop with Slice")


@lru_cache(maxsize=256)
def _fitting(op: Conv, x: tuple[int, ...], w: tuple[int, ...]) -> Geometry:
    """``_geometry`` of a convolution of x by w, of these shapes; refuses channels and windows that do not fit."""
    at = _geometry(op, x, w)
    if x[1] != w[1] * op.groups or w[0] % op.groups:
        raise ShapeError(
            f"{op}: x has {x[1]} channels and w has shape {w}, but w (O, C / groups, *K) with {w[1]} * {op.groups} = {w[1] * op.groups} "
            f"channels in x and O a multiple of {op.groups} is expected; check groups, and that x is channels-first"
        )
    for n, k, d, (a, b) in zip(x[2:], w[2:], at.dilation, at.pads):
        if n + a + b < (k - 1) * d + 1:
            raise ShapeError(
                f"{op}: a window of {(k - 1) * d + 1} does not fit an axis of {n} + {a} + {b} entries (x {x}, w {w}); use a larger "
                f"input or more padding"
            )
    return at


@lru_cache(maxsize=256)
def _geometry(op: Conv | ConvTranspose, x: tuple[int, ...], w: tuple[int, ...]) -> Geometry:
    """The settings with defaults filled in for the rank of w; refuses ranks that do not fit."""
    rank = len(w) - 2
    if not 1 <= rank <= 3 or len(x) != len(w):
        raise ShapeError(
            f"{op}: x has shape {x} and w {w}, but (N, C, *S) and a w of the same rank with one to three spatial axes are expected; "
            f"reshape one of them"
        )
    for name, value in (("stride", op.stride), ("dilation", op.dilation), ("pads", op.pads)):
        if value and len(value) != rank:
            raise ShapeError(f"{op}: {name} has {len(value)} entries, but w {w} has {rank} spatial axes")
    fast = isinstance(op, Conv) and op.fast
    return Geometry(op.stride or (1,) * rank, op.dilation or (1,) * rank, op.pads or ((0, 0),) * rank, op.groups, fast)


def _reaching(at: Geometry, extra: Sequence[int]) -> Geometry:
    """Output padding is padding that the convolution of which this is the adjoint does without, at the end of each axis."""
    return at._replace(pads=tuple((a, b - e) for (a, b), e in zip(at.pads, extra, strict=True)))


def _bias(xs: Sequence[Array], outputs: int, who: object) -> Array | None:
    """The bias among the inputs, if there is one; refuses one that does not fit."""
    if len(xs) == 2:
        return None
    check_bias(xs[2], outputs, who)
    return xs[2]


def _biased(y: Array, b: Array | None) -> Array:
    """y (N, O, *S), to which b (O,) is added in place."""
    if b is not None:
        y += b.reshape(-1, *(1,) * (y.ndim - 2))
    return y


# ----- the arithmetic ---------------------------------------------------------------------------------------------
#
# Space is laid out channels-last inside, so that every window is a few long runs of memory; results are returned as views
# with the channels on axis 1, and the next convolution finds them channels-last again.

BLOCK_BYTES = 1 << 21
"""Windows are gathered in pieces of about this size, which the cache holds while they are multiplied; measured best from 1 to 4 MiB."""

BLOCK_ROWS = 800
"""Fewer rows than this make a product slow, since the library packs the weights anew for each: 512 channels at 28 x 28 positions took
21.5 ms in pieces of 168 rows and 18.0 ms in one piece, at 14 x 14 positions 7.4 ms as 182 and 14 rows and 6.2 ms in one piece."""

LARGEST_BLOCK = 1 << 24
"""Bytes of a piece at most, where a single row is not larger: rows of very many channels."""


def block_bytes(row: int) -> int:
    """About how many bytes of windows are gathered at a time, where those of one position take ``row``."""
    return max(BLOCK_BYTES, min(BLOCK_ROWS * row, LARGEST_BLOCK))


def convolve(x: Array, w: Array, at: Geometry, b: Array | None = None) -> Array:
    """Conv. Where the output is made piece by piece, the bias is added while the cache holds a piece."""
    if (plan := small.planned(x, w, at)) is not None:
        return small.convolve(x, w, plan, b)
    if at.groups > 1 and w.shape[1] > 1:
        runs = zip(np.split(x, at.groups, 1), np.split(w, at.groups), strict=True)
        return _biased(np.concatenate([convolve(some, own, at._replace(groups=1)) for some, own in runs], axis=1), b)
    if at.groups == 1 and not at.fast and together.innermost(x):
        return _biased(together.convolve(x, w, at.stride, at.dilation, at.pads), b)
    if x.shape[1] == 1 and at.groups == 1:
        return _biased(_convolve_planes(x, w, at), b)
    if at.fast and (tile := _tile(w, at, len(x), [n + before + after - 2 for n, (before, after) in zip(x.shape[2:], at.pads)])):
        return _tiles(x, w, tile, at.pads, b=b)
    if at.groups == len(w) == x.shape[1] > 1 and x.dtype.kind == "f":
        return _biased(_channels_first(depthwise.convolve(_channels_last(x), w, at.stride, at.dilation, at.pads)), b)
    padded, kernel = pad_spatial(_channels_last(x), (*at.pads, (0, 0))), w.shape[2:]
    seen = shifts.windows(padded, kernel, at.stride, at.dilation)  # (N, *S', *K, C)
    count = seen.shape[1 : 1 + len(kernel)]
    if at.groups > 1:
        y = filled((len(x), *count, at.groups, len(w) // at.groups), 0, x)
        for k, slices in taps(kernel, at.stride, at.dilation, count):
            y += padded[(slice(None), *slices)][..., None] * w[(slice(None), 0, *k)].reshape(y.shape[-2:])
        return _biased(_channels_first(y.reshape(len(x), *count, len(w))), b)
    return _products(seen, laid.ahead, w, b)


def _products(seen: Array, matrix: Callable[[Array], Array], w: Array, b: Array | None = None) -> Array:
    """From windows (N, *S', *K, C) and weights as a matrix (K * C, O): what each window gives, plus b (O,): (N, O, *S')."""
    rank = (seen.ndim - 2) // 2
    outputs, times = w.size // prod(seen.shape[1 + rank :]), laid.times(matrix, w, prod(seen.shape[: 1 + rank]))
    y = np.empty((*seen.shape[: 1 + rank], outputs), dtype=seen.dtype)
    for block, columns in _columns(seen, y.shape[1:-1]):
        part = times(columns, y[block].reshape(-1, outputs))
        if b is not None:
            part += b
    return _channels_first(y)


def adjoint_x(g: Array, w: Array, space: Sequence[int], at: Geometry) -> Array:
    """<g, convolve(x, w)> = <adjoint_x(g, w), x> for x (N, C, *space)."""
    if (plan := small.planned_back(g, w, space, at)) is not None:
        return small.adjoint_x(g, w, plan)
    if at.groups > 1 and w.shape[1] > 1:
        runs = zip(np.split(g, at.groups, 1), np.split(w, at.groups), strict=True)
        return np.concatenate([adjoint_x(some, own, space, at._replace(groups=1)) for some, own in runs], axis=1)
    kernel = w.shape[2:]
    if at.groups == 1 and w.shape[1] > 1 and together.pays(g, w):
        back = together.adjoint_x(g, w, space, at.stride, at.dilation, at.pads)
        return back if together.innermost(g) else _channels_first(_channels_last(back))
    if w.shape[1] <= shifts.PLANES and at.groups == 1:
        return _adjoint_planes(g, w, space, at)
    if at.groups == 1 and set(at.stride) == {1} and len(w) <= 3 * w.shape[1]:
        # Then the adjoint is the convolution with the kernel turned around. Per position it copies O * K numbers where the
        # scattering below adds up C * K, and adding up was measured to cost about three copies.
        rest = [((k - 1) * d - a, (k - 1) * d - b) for k, d, (a, b) in zip(kernel, at.dilation, at.pads, strict=True)]
        if at.fast and (tile := _tile(w, at, len(g), space)):
            return _tiles(g, w, tile, rest, turned=True)
        around = np.swapaxes(w[(slice(None), slice(None), *(slice(None, None, -1),) * len(kernel))], 0, 1)
        if len(w) == 1 or (w.size < laid.LARGE and together.innermost(g)):
            return convolve(g, around, at._replace(pads=tuple(rest)))
        seen = shifts.windows(pad_spatial(_channels_last(g), (*rest, (0, 0))), kernel, at.stride, at.dilation)
        return _products(seen, laid.ahead, around) if w.size < laid.LARGE else _products(seen, laid.back, w)
    g = _channels_last(g)
    if at.groups == len(w) > 1 and g.dtype.kind == "f":
        return _channels_first(depthwise.adjoint_x(g, w, space, at.stride, at.dilation, at.pads))
    count = g.shape[1:-1]
    out = filled((len(g), *(n + a + max(b, 0) for n, (a, b) in zip(space, at.pads, strict=True)), w.shape[1] * at.groups), 0, g)
    if at.groups > 1:
        by_channel = g.reshape(*g.shape[:-1], at.groups, -1)
        for k, slices in taps(kernel, at.stride, at.dilation, count):
            factor = w[(slice(None), 0, *k)].reshape(by_channel.shape[-2:])
            out[(slice(None), *slices)] += (by_channel * factor).sum(axis=-1)
    else:
        times = laid.times(laid.scattered, w, g.size // len(w))
        for n, rows in _blocks(len(g), count, prod(w.shape[1:]) * g.itemsize):
            part = g[n, rows]
            columns = times(part.reshape(-1, len(w)), None).reshape(*part.shape[:-1], *kernel, w.shape[1])
            seen = out[n, rows.start * at.stride[0] :]
            for k, slices in taps(kernel, at.stride, at.dilation, part.shape[1:-1]):
                seen[(slice(None), *slices)] += columns[(slice(None),) * (1 + len(count)) + k]
    inside: tuple[Any, ...] = (slice(None), *(slice(a, a + n) for n, (a, _) in zip(space, at.pads)))
    return _channels_first(out[inside])


def _convolve_planes(x: Array, w: Array, at: Geometry) -> Array:
    """``convolve`` of images with one channel: there runs along a row are longer than runs along the channels."""
    kernel = w.shape[2:]
    seen = shifts.windows(pad_spatial(x, at.pads)[:, 0, ..., None], kernel, at.stride, at.dilation)[..., 0]  # (N, *S', *K)
    count, rank = seen.shape[1 : 1 + len(kernel)], len(kernel)
    taps_first = seen.transpose(0, *range(1 + rank, 1 + 2 * rank), *range(1, 1 + rank))  # (N, *K, *S')
    y, matrix = np.empty((len(x), len(w), prod(count)), dtype=x.dtype), w.reshape(len(w), -1)
    for n in _samples(len(x), prod(kernel) * prod(count) * x.itemsize):
        matmul(matrix, taps_first[n].reshape(-1, prod(kernel), prod(count)), out=y[n])
    return y.reshape(len(x), len(w), *count)


def _adjoint_planes(g: Array, w: Array, space: Sequence[int], at: Geometry) -> Array:
    """``adjoint_x`` of images with few channels, plane by plane.

    Of few numbers what comes from each place in the window is laid beside the others and summed at once. Of many it is added in place,
    where what stands ``stride`` apart is laid side by side meanwhile, so that every addition runs along memory.
    """
    kernel, count, rank = w.shape[2:], g.shape[2:], g.ndim - 2
    padded = tuple(n + a + max(b, 0) for n, (a, b) in zip(space, at.pads, strict=True))
    inside: tuple[Any, ...] = (..., *(slice(a, a + n) for n, (a, _) in zip(space, at.pads)))
    if prod(w.shape[1:]) > 1 and shifts.few(len(g) * w.shape[1], kernel, padded, g.dtype):
        planes = g if g.flags.c_contiguous else _channels_first(_channels_last(g))
        columns = matmul(w.reshape(len(w), -1).T, planes.reshape(len(g), len(w), -1))
        out = shifts.added_up(columns.reshape(len(g) * w.shape[1], *kernel, *count), padded, at.stride, at.dilation)
        return np.asarray(out.reshape(len(g), w.shape[1], *padded)[inside])
    reach = [-(-n // s) for n, s in zip(padded, at.stride, strict=True)]
    out = filled((len(g), w.shape[1], *at.stride, *reach), 0, g)
    matrix, rows = w.reshape(len(w), -1).T, _channels_last(g)           # (C * K, O), (N, *S', O)
    for n, r in _blocks(len(g), count, len(matrix) * g.itemsize):
        part = rows[n, r]
        columns = np.matmul(matrix, part.reshape(len(part), -1, len(w)).swapaxes(1, 2))
        columns = columns.reshape(len(part), w.shape[1], *kernel, *part.shape[1:-1])
        for k, seen in _side_by_side(kernel, at.stride, at.dilation, (r.start, *(0,) * (rank - 1)), part.shape[1:-1]):
            out[(n, slice(None), *seen)] += columns[(slice(None), slice(None), *k)]
    whole = in_range(out).transpose(0, 1, *(axis for k in range(rank) for axis in (2 + rank + k, 2 + k)))
    whole = whole.reshape(*out.shape[:2], *(n * s for n, s in zip(reach, at.stride)))
    return np.asarray(whole[inside])


@lru_cache(maxsize=256)
def _side_by_side(
    kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], start: tuple[int, ...], count: tuple[int, ...],
) -> list[tuple[Any, Any]]:
    """For each position k in the window: k, and where ``count`` windows from ``start`` on see it when axes are split by the stride."""
    found = []
    for k in np.ndindex(*kernel):
        first, phase = zip(*(divmod(i * d, s) for i, d, s in zip(k, dilation, stride)))
        found.append((k, (*phase, *(slice(f + b, f + b + m) for f, b, m in zip(first, start, count)))))
    return found


def _samples(count: int, bytes_each: int) -> Iterator[slice]:
    """Some samples of about BLOCK_BYTES at a time."""
    step = max(1, BLOCK_BYTES // max(1, bytes_each))
    return (slice(n, n + step) for n in range(0, count, step))


def adjoint_w(g: Array, x: Array, kernel: Sequence[int], at: Geometry) -> Array:
    """<g, convolve(x, w)> = <adjoint_w(g, x), w> for w (O, C / groups, *kernel)."""
    if at.groups > 1 and x.shape[1] > at.groups:
        runs = zip(np.split(g, at.groups, 1), np.split(x, at.groups, 1), strict=True)
        return np.concatenate([adjoint_w(some, own, kernel, at._replace(groups=1)) for some, own in runs])
    padded, g, outputs = pad_spatial(_channels_last(x), (*at.pads, (0, 0))), _channels_last(g), g.shape[1]
    count = g.shape[1:-1]
    if at.groups > 1:
        w = filled((outputs, 1, *kernel), 0, g)
        by_channel = g.reshape(*g.shape[:-1], at.groups, -1)
        for k, slices in taps(kernel, at.stride, at.dilation, count):
            product = by_channel * padded[(slice(None), *slices)][..., None]
            w[(slice(None), 0, *k)] = product.sum(axis=tuple(range(g.ndim - 1))).reshape(-1)
        return w
    seen = shifts.windows(padded, kernel, at.stride, at.dilation)
    total = filled((outputs, prod(kernel) * x.shape[1]), 0, g)
    for block, columns in _columns(seen, count):
        total += matmul(g[block].reshape(-1, outputs).T, columns)
    return _channels_first(total.reshape(outputs, *kernel, x.shape[1]))


def _tiles(x: Array, w: Array, tile: int, pads: Sequence[tuple[int, int]], turned: bool = False, b: Array | None = None) -> Array:
    """Winograd's sums for x (N, C, *S), with padding that may be negative."""
    cut = pad_spatial(_channels_last(x), (*((min(a, 0), min(z, 0)) for a, z in pads), (0, 0)))
    return _channels_first(correlate(cut, w, tile, [(max(a, 0), max(z, 0)) for a, z in pads], turned, b))


def _tile(w: Array, at: Geometry, samples: int, count: Sequence[int]) -> int:
    """The tile of Winograd's algorithm for ``count`` output positions, where ``fast`` allows it and it was measured to win; 0: direct.

    Tiles of 4 took 0.37 to 0.45 of the direct sums from 20 x 20 positions and 64 channels on, 0.52 to 0.63 with 32 to 48, 0.82 with
    16. Tiles of 2 took 0.57 at 14 x 14 with 256 channels and more, 0.8 at 7 x 7, and 0.7 to 1.2 with fewer than 64. That is with weights
    that are kept. With weights transformed at each call, tiles of 4 took 0.5 to 0.8, tiles of 2 1.0 to 1.3 at 14 x 14 and 2.6 at 7 x 7,
    where reading the weights, of which there are 1.8 times as many then, takes as long as multiplying.
    """
    alike = w.dtype.kind == "f" and w.shape[2:] == (3, 3) and at.groups == 1 and {*at.stride, *at.dilation} == {1}
    channels, positions = min(w.shape[:2]), prod(count) if alike else 0
    if channels >= 16 and positions >= 400:
        return 4
    return 2 if channels >= 64 and positions >= 40 and samples * positions >= 100 else 0


def _last(x: Array) -> Array:
    """Axis 1 as the last one, a view."""
    return x.transpose(0, *range(2, x.ndim), 1)


def _channels_last(x: Array) -> Array:
    """(N, *S, C), contiguous. The planes of a large image are copied one by one, in a third of the time."""
    if x.shape[1] > shifts.PLANES or x.size < 2**12 or _last(x).flags.c_contiguous:
        return np.ascontiguousarray(_last(x))
    out = np.empty_like(_last(x), order="C")
    for k in range(x.shape[1]):
        out[..., k] = x[:, k]
    return out


def _channels_first(x: Array) -> Array:
    """The last axis as axis 1, a view."""
    return x.transpose(0, x.ndim - 1, *range(1, x.ndim - 1))


def _blocks(samples: int, count: Sequence[int], bytes_each: int) -> Iterator[tuple[slice, slice]]:
    """Pieces of about BLOCK_BYTES: some rows of one sample or all rows of some, so that each piece of y is contiguous."""
    rows = max(1, block_bytes(bytes_each) // max(1, bytes_each) // max(1, prod(count[1:])))
    several = max(1, rows // max(1, count[0]))
    for n in range(0, samples, several):
        for r in range(0, count[0], rows):
            yield slice(n, n + several), slice(r, r + rows)


def _columns(seen: Array, count: Sequence[int]) -> Iterator[tuple[tuple[slice, slice], Array]]:
    """From windows (N, *S', *K, C): which piece of the output, and its windows as the rows of a matrix (positions, K * C)."""
    width = prod(seen.shape[1 + len(count) :])
    for block in _blocks(len(seen), count, width * seen.itemsize):
        yield block, seen[block].reshape(-1, width)
