"""Fourier transforms, as the product with a constant matrix, and normalisation by a vector norm."""

from __future__ import annotations

import numpy as np

from xaicore.errors import ConversionError
from xaicore.numerics import Array
from xaicore.ops import Abs, Compare, Div, Einsum, Gather, Mul, Sqrt, Sum, Where
from xaicore_onnx.call import Call, Lowering, Results
from xaicore_onnx.values import Live, onnx_axis

MAX_LENGTH = 1 << 12
"""A transform of this length has a matrix of 64 million weights, 512 MB; longer ones need a fast transform, which a graph has not."""


def dft(c: Call) -> Results:
    """y_k = sum_n x_n exp(-2 pi i k n / L) along an axis; the last axis holds real and imaginary parts, or the real part alone."""
    x = c.live()
    default = -2 if c.opset >= 20 else 1
    k = int(c.array(2, "axis").reshape(-1)[0]) if c.has(2) else c.attr("axis", default)
    axis = x.axis(k, c.who)
    if onnx_axis(k, x.rank, c.who) == x.rank - 1 or x.axis(-1, c.who) != len(x.tail):
        raise ConversionError(f"{c.who} transforms axis {k}, the one of real and imaginary parts; the file is inconsistent")
    have, parts = x.tail[axis - 1], x.tail[-1]
    inverse, half = bool(c.attr("inverse", 0)), bool(c.attr("onesided", 0))
    whole = 2 * (have - 1) if inverse and half else have
    length = int(c.array(1, "length").reshape(-1)[0]) if c.has(1) else whole
    return _transformed(c, x, axis, fourier(c, have, length, parts, inverse, half))


def stft(c: Call) -> Results:
    """The transform of each frame of a signal, times a window: (N, T, parts) -> (N, frames, frequencies, 2)."""
    x, step = c.live(), int(c.array(1, "frame step").reshape(-1)[0])
    window = c.array(2, "window").reshape(-1) if c.has(2) else None
    axis = x.axis(1, c.who)
    time = x.tail[axis - 1]
    length = int(c.array(3, "frame length").reshape(-1)[0]) if c.has(3) else len(window) if window is not None else time
    if not 1 <= length <= time or step < 1 or (window is not None and len(window) != length):
        raise ConversionError(f"{c.who} cuts frames of {length} entries every {step} out of {time}; the file is inconsistent")
    starts = np.arange(0, time - length + 1, step)
    matrix = fourier(c, length, length, x.tail[-1], False, bool(c.attr("onesided", 1)))
    if window is not None:
        matrix = matrix * window[:, None]
    frames = c.put(Gather(axis), x, c.derived(starts[:, None] + np.arange(length), f"{c.name}/places"), part="frames")
    return _transformed(c, frames, axis + 1, matrix)


def fourier(c: Call, have: int, length: int, parts: int, inverse: bool, half: bool) -> Array:
    """(K, parts of y, L, parts of x): what each entry of x adds to each entry of y."""
    if not 1 <= length <= MAX_LENGTH or parts not in (1, 2):
        raise ConversionError(f"{c.who} of {length} entries of {parts} parts is not converted; 1 to {MAX_LENGTH} of 1 or 2 parts are")
    used = min(have, length // 2 + 1 if inverse and half else length)
    n, k = np.arange(used), np.arange(length if inverse or not half else length // 2 + 1)
    angle = 2 * np.pi * (np.outer(k, n) % length) / length
    cos, sin = np.cos(angle), np.sin(angle) * (1 if inverse else -1)
    weight = np.ones(used) / (length if inverse else 1)
    if inverse and half:                                    # the other half of the frequencies holds the conjugates of these
        weight[[j for j in range(used) if j not in (0, length / 2)]] *= 2
    real = np.stack([cos, -sin], -1)[..., :parts] * weight[:, None]
    imaginary = np.stack([sin, cos], -1)[..., :parts] * weight[:, None]
    matrix = np.stack([real] if inverse and half else [real, imaginary], 1)
    return np.pad(matrix, ((0, 0), (0, 0), (0, have - used), (0, 0)))


def _transformed(c: Call, x: Live, axis: int, matrix: Array) -> Live:
    labels = "ABCDEFGHIJKLMNOPQRSTUVW"[: len(x.tail) + 1]
    time, part = labels[axis], labels[-1]
    target = labels[:-1].replace(time, "k") + "p"
    return c.put(Einsum(f"{labels},kp{time}{part}->{target}"), x, c.derived(matrix, f"{c.name}/matrix"), part="transform")


def lp_normalization(c: Call) -> Results:
    """x / |x|_p along an axis; a row of zeros stays one."""
    x, p = c.live(), c.attr("p", 2)
    if p not in (1, 2):
        raise ConversionError(f"{c.who} has p={p}; 1 or 2 is expected")
    axis = x.axis(c.attr("axis", -1), c.who)
    power = c.put(Abs(), x) if p == 1 else c.put(Mul(), x, x, part="square")
    total = c.put(Sum((axis,), True), power)
    none = c.put(Compare("eq"), total, c.number(0, "zero"), part="none")
    total = c.put(Where(), none, c.number(1, "one"), total, like=total)
    return c.put(Div(), x, total if p == 1 else c.put(Sqrt(), total))


SIGNAL: dict[str, Lowering] = {"DFT": dft, "STFT": stft, "LpNormalization": lp_normalization}
