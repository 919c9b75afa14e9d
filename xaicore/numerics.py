"""Array functions that several layers share: broadcasting and its adjoint, sign parts, exact scalars, sliding windows.

No operator, graph or rule appears in here. Everything works on float32, float64 and object arrays of ``Fraction``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from fractions import Fraction
from functools import lru_cache
from math import isfinite, prod
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xaicore.errors import ExactnessError, InputError

Array: TypeAlias = NDArray[Any]

np.empty(31 * 2**20, np.uint8)
"""Made and freed at once. From then on the C library of Linux keeps freed memory for the next array of up to this size; before, it gives
large arrays back to the system, and every page of the next one interrupts: a tenth of the time of VGG16, half of LeNet's in batches."""


# ----- broadcasting -----------------------------------------------------------------------------------------------


def unbroadcast(g: Array, shape: Sequence[int]) -> Array:
    """Sums ``g`` over the axes along which an array of ``shape`` was broadcast: the adjoint of broadcasting.

    >>> unbroadcast(np.ones((2, 3)), (3,))
    array([2., 2., 2.])
    """
    shape = tuple(shape)
    if g.shape == shape:
        return g
    g = g.sum(axis=tuple(range(g.ndim - len(shape)))) if g.ndim > len(shape) else g
    stretched = tuple(k for k, n in enumerate(shape) if n == 1 and g.shape[k] != 1)
    return g.sum(axis=stretched, keepdims=True) if stretched else g


# ----- products ---------------------------------------------------------------------------------------------------

THREADED = 2**13
"""Multiplications above which a BLAS library may share a product among its threads."""


def matmul(a: Array, b: Array, out: Array | None = None) -> Array:
    """a @ b, as np.matmul; where overflow is an error (np.errstate) also when another thread of the BLAS library saw it.

    NumPy reads the floating-point flags of its own thread alone, so that np.matmul with two threads gives infinity without a word.
    """
    y: Array = np.matmul(a, b) if out is None else np.matmul(a, b, out=out)
    if a.size * b.shape[-1] < THREADED or (y.size <= SMALL and y.dtype.kind == "f" and isfinite(np.vdot(y, y))):
        return y
    return in_range(y)


SMALL = 2**15
"""Entries whose squares are added up, in one call, to see whether they are finite: where that sum is, they are."""


def all_finite(x: Array) -> bool:
    """Is every float finite?"""
    if x.size <= SMALL and isfinite(np.vdot(x, x)):                     # which raises no floating-point flag into an error
        return True
    return bool(np.isfinite(x).all())


def in_range(y: Array) -> Array:
    """y; FloatingPointError where it is not finite and overflow is an error."""
    if y.dtype.kind != "f":
        return y
    if y.size <= SMALL and isfinite(np.vdot(y, y)):
        return y
    if np.geterr()["over"] == "raise":
        with np.errstate(all="ignore"):
            finite = np.isfinite(np.add.reduce(y, axis=None)) or np.isfinite(y).all()   # the sum is faster, and may itself overflow
        if not finite:
            raise FloatingPointError("overflow encountered in a product")
    return y


# ----- signs and division -----------------------------------------------------------------------------------------


ZEROS: Mapping[str, Array] = MappingProxyType({k: np.zeros((), k) for k in "fd"})
ONES: Mapping[str, Array] = MappingProxyType({k: np.ones((), k) for k in "fd"})
"""0 and 1 as arrays by the character of their dtype: beside a short array they take half of the time that a Python number takes."""

LONG = 2**11
"""Entries from which on NumPy's clip, and a mask that is read as whole numbers, pay their calls. With 100,000 entries, maximum with a
number took 130 us and clip 8 us; a product with a mask took 42 us and one with its numbers 15 us."""


def long(x: Array) -> bool:
    """Is this a float array of LONG entries or more?"""
    return x.size >= LONG and x.dtype.kind == "f"


def between(x: Array, low: float | None = None, high: float | None = None, out: Array | None = None) -> Array:
    """min(max(x, low), high); None is no bound, and with low > high every entry is high. ``out``, maybe x, is used where x is long."""
    if long(x):
        return np.asarray(x.clip(scalar(-np.inf if low is None else low, x), scalar(np.inf if high is None else high, x), out=out))
    x = x if low is None else np.maximum(x, scalar(low, x))
    return np.asarray(x if high is None else np.minimum(x, scalar(high, x)))


def positive(x: Array) -> Array:
    """max(x, 0), the part written x+."""
    if x.size < LONG and x.dtype.char in ZEROS:
        return np.asarray(np.maximum(x, ZEROS[x.dtype.char]))
    return between(x, low=0)


def negative(x: Array) -> Array:
    """min(x, 0), the part written x-."""
    if x.size < LONG and x.dtype.char in ZEROS:
        return np.asarray(np.minimum(x, ZEROS[x.dtype.char]))
    return between(x, high=0)


def above_zero(x: Array) -> Array:
    """x > 0."""
    return np.asarray(x > ZEROS.get(x.dtype.char, 0))


def numbers(mask: Array, like: Array) -> Array:
    """1 where the mask is true and 0 elsewhere, in the dtype of ``like``."""
    if is_exact(like):
        return np.asarray(np.where(mask, scalar(1, like), scalar(0, like)))
    return np.asarray(mask.view(np.int8).astype(like.dtype))


def masked(g: Array, mask: Array) -> Array:
    """g where the mask is true, 0 times g elsewhere; both of one shape."""
    if g.size < LONG and g.dtype.kind == "f":
        return np.asarray(g * mask)
    out = numbers(mask, g)
    out *= g
    return out


STABILIZERS: Mapping[str, Callable[[Array, Any], Array]] = MappingProxyType({
    "sign": lambda z, e: np.where(z < 0, z - e, z + e),
    "plain": lambda z, e: z + e,
    "zero": lambda z, e: np.where(z == 0, z + e, z),
    "clip": lambda z, e: np.where(z < 0, np.minimum(z, -e), np.maximum(z, e)),
})
"""name -> (z, eps) -> a denominator. sign: z + eps sign(z), sign(0) = +1; plain: z + eps, which can be zero (lxt); zero: eps where
z is 0 alone (innvestigate); clip: sign(z) max(|z|, eps) (an option of zennit)."""


@lru_cache(maxsize=64)
def _alone(value: float | Fraction, char: str) -> Array:
    """A number as an array, as ZEROS are."""
    return np.array(float(value), char)


def stabilize(z: Array, eps: float | Fraction, how: str = "sign") -> Array:
    """z + eps * sign(z) with sign(0) = +1, so that the sum is never zero for eps > 0; ``how`` names another of STABILIZERS."""
    if how == "sign" and z.size < LONG and z.dtype.char in ZEROS and eps >= 0:
        out = np.asarray(z + ZEROS[z.dtype.char])                       # of which -0 is 0
        np.copysign(_alone(eps, z.dtype.char), out, out=out)
        out += z
        return out
    e = scalar(eps, z)
    if how != "sign":
        return np.asarray(STABILIZERS[how](z, e))
    if is_exact(z):
        return np.asarray(np.where(z < 0, z - e, z + e))
    out = numbers(z < 0, z)                                             # -2 e below 0, then + e: in place, this one is in every rule
    out *= scalar(-2, z) * e
    out += e
    out += z
    return out


def either(mask: Array, a: Any, b: Any) -> Array:
    """a where the mask is true, b elsewhere: np.where, for finite floats as a sum of two products.

    Products keep the memory order of their factors and do not branch; np.where was measured to take ten to twenty times as long.
    """
    if all(np.asarray(v).dtype.kind in "fi" for v in (a, b)):
        try:
            with np.errstate(invalid="raise"):                          # 0 times an infinity
                out = _part(a, mask)
                if np.ndim(b) or b != 0:
                    out += _part(b, ~mask)
                return out
        except FloatingPointError:
            pass
    return np.asarray(np.where(mask, a, b))


def _part(a: Any, mask: Array) -> Array:
    return masked(a, mask) if isinstance(a, np.ndarray) and a.shape == np.shape(mask) else np.asarray(a * mask)


def divide(r: Array, z: Array) -> Array:
    """r / z where z is not zero, and 0 where it is."""
    if np.count_nonzero(z) == z.size if z.size < LONG // 4 else z.all():        # whichever is faster
        return np.asarray(r / z)
    zero = z == 0
    if is_exact(z):
        return np.asarray(np.where(zero, scalar(0, z), r / np.where(zero, scalar(1, z), z)))
    return either(~zero, r / (z + numbers(zero, z)), 0)


def product(g: Array, y: Array) -> Array:
    """g y, and 0 where g is 0, also beside an infinite y: a masked score (-inf) that no signal reaches counts nothing."""
    try:
        with np.errstate(invalid="raise"):
            return np.asarray(g * y)
    except FloatingPointError:
        return np.asarray(g * np.where(g == 0, scalar(0, y), y))


def difference(x: Array, x0: Array) -> Array:
    """x - x0, and 0 where both are the same infinity, such as a score that is masked (-inf) in both runs.

    Raises FloatingPointError where one of the two is infinite alone: no share of an infinite difference means anything.
    """
    with np.errstate(invalid="ignore"):
        d = np.asarray(x - x0)
    if is_exact(d) or np.isfinite(d).all():
        return d
    d = np.where(x == x0, scalar(0, d), d)
    if not np.isfinite(d).all():
        raise FloatingPointError("a value is infinite on the input or on the baseline alone, such as a score that only one of them masks")
    return d


# ----- exact arithmetic -------------------------------------------------------------------------------------------


def is_exact(x: Array) -> bool:
    """Is this an array of rationals?"""
    return x.dtype == object


def scalar(value: float | int | Fraction, like: Array) -> Any:
    """A number in the arithmetic of ``like``; in exact mode a float setting is read as its shortest decimal (0.1 = 1/10)."""
    if is_exact(like):
        return value if isinstance(value, Fraction) else Fraction(str(value))
    return like.dtype.type(value)


def in_arithmetic_of(like: Array, x: Array) -> Array:
    """Whole numbers as numbers of ``like``, so that a part of them can be taken; others as they are.

    >>> in_arithmetic_of(np.zeros(1), np.array([1, 2])).dtype
    dtype('float64')
    """
    if x.dtype.kind not in "iub":
        return x
    return rationals(x, "whole numbers") if is_exact(like) else x.astype(like.dtype)


def at_least(setting: str, value: Any, least: int, why: str = "") -> Any:
    """``value`` as it is, when it is a finite real number of at least ``least``; InputError otherwise."""
    real = isinstance(value, (int, float, Fraction, np.integer, np.floating)) and not isinstance(value, bool)
    if not real or not least <= value < float("inf"):
        raise InputError(f"{setting}={value!r} must be a finite number of at least {least}" + (f": {why}" if why else ""))
    return value


def filled(shape: Sequence[int], value: float | int | Fraction, like: Array) -> Array:
    """An array of ``shape`` that holds ``value`` in the dtype of ``like``."""
    if value == 0 and like.dtype.kind == "f":
        return np.zeros(tuple(shape), like.dtype)
    return np.full(tuple(shape), scalar(value, like), dtype=like.dtype)


def rationals(x: Array, who: str) -> Array:
    """The same numbers as ``Fraction``; a float among them is an error, since it would no longer be exact."""
    flat = [_rational(v, who) for v in x.reshape(-1)]
    out = np.empty(x.shape, dtype=object)
    out.reshape(-1)[:] = flat if flat else []
    return out


def _rational(value: Any, who: str) -> Fraction:
    if isinstance(value, Fraction):
        return value
    if isinstance(value, (int, np.integer)):
        return Fraction(int(value))
    raise ExactnessError(
        f"{who}: {value!r} is a {type(value).__name__}, and exact mode takes only int and Fraction. "
        f"Write it as a fraction (Fraction('0.1') is one tenth), or leave exact mode with graph.astype('float64')"
    )


# ----- windows and axes of space ----------------------------------------------------------------------------------


def pad_spatial(x: Array, pads: Sequence[tuple[int, int]], value: float | int | Fraction = 0) -> Array:
    """Adds (before, after) entries of ``value`` to each of the last ``len(pads)`` axes; a negative number takes entries away.

    Its own adjoint with the signs turned: ``pad_spatial(g, [(-a, -b)])`` takes away what ``[(a, b)]`` added.

    >>> pad_spatial(np.ones((1, 3)), [(1, -2)])
    array([[0., 1.]])
    """
    kept, grown, inside = _padding(x.shape, tuple(pads))
    x = x[kept]
    if grown == x.shape:
        return x
    if value == 0 and x.dtype.kind == "f" and x.flags.c_contiguous:
        out = np.zeros(grown, x.dtype)
    else:
        out = np.empty_like(x, shape=grown)  # keeps the memory layout of x, so that channels-last stays so
        out[...] = scalar(value, x)
    out[inside] = x
    return out


@lru_cache(maxsize=256)
def _padding(shape: tuple[int, ...], pads: tuple[tuple[int, int], ...]) -> tuple[Any, tuple[int, ...], Any]:
    """What is kept of an array of ``shape``, the shape that it grows to, and where in that the kept part lies."""
    lead = len(shape) - len(pads)
    kept = [slice(max(-a, 0), n - max(-b, 0)) for (a, b), n in zip(pads, shape[lead:], strict=True)]
    left = [len(range(*s.indices(n))) for s, n in zip(kept, shape[lead:])]
    grown = (*shape[:lead], *(n + max(a, 0) + max(b, 0) for (a, b), n in zip(pads, left)))
    return (..., *kept), grown, (..., *(slice(max(a, 0), max(a, 0) + n) for (a, _), n in zip(pads, left)))


def windows(x: Array, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """A read-only view (..., *O, *K) of the last ``len(kernel)`` axes: entry [..., o, k] is x[..., o * stride + k * dilation].

    O is the number of windows that lie wholly inside x.

    >>> windows(np.arange(5.), (2,), (2,), (1,))
    array([[0., 1.],
           [2., 3.]])
    """
    span = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    axes = tuple(range(x.ndim - len(span), x.ndim))
    every: Any = tuple(slice(None, None, step) for step in (*stride, *dilation))
    view: Array = np.lib.stride_tricks.sliding_window_view(x, span, axes)
    return view[(..., *every)]


def taps(kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int], count: Sequence[int]) -> Iterator[Any]:
    """For each position k in the window, row-major: (k, the slices of space that all ``count`` windows see there)."""
    return iter(_taps(tuple(kernel), tuple(stride), tuple(dilation), tuple(count)))


@lru_cache(maxsize=256)
def _taps(kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...], count: tuple[int, ...]) -> list[Any]:
    def seen(k: tuple[int, ...]) -> tuple[slice, ...]:
        starts = [at * d for at, d in zip(k, dilation, strict=True)]
        return tuple(slice(a, a + (n - 1) * s + 1, s) for a, n, s in zip(starts, count, stride, strict=True))

    return [(k, seen(k)) for k in np.ndindex(*kernel)]


def scatter(g: Array, space: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Array:
    """The adjoint of ``windows``: g (..., *O, *K) summed back to (..., *space), where windows overlap they add up.

    >>> scatter(np.ones((4, 2)), (5,), (1,), (1,))
    array([1., 2., 2., 2., 1.])
    """
    rank = len(space)
    lead, count, kernel = g.shape[: g.ndim - 2 * rank], g.shape[g.ndim - 2 * rank : g.ndim - rank], g.shape[g.ndim - rank :]
    out = filled((*lead, *space), 0, g)
    for k, seen in taps(kernel, stride, dilation, count):
        out[(..., *seen)] += g[(..., *k)]
    return out


def along(x: Array, matrices: Sequence[Array]) -> Array:
    """Applies one matrix (O, L) along each of the last ``len(matrices)`` axes: (..., *L) -> (..., *O), a separable linear map.

    The adjoint is the same with the transposes.
    """
    for axis, matrix in enumerate(matrices, start=x.ndim - len(matrices)):
        before, after = x.shape[:axis], x.shape[axis + 1 :]
        if after:
            x = matmul(matrix, x.reshape(prod(before), x.shape[axis], prod(after)))
        else:
            x = matmul(x.reshape(prod(before), x.shape[axis]), matrix.T)  # one product instead of many by a vector
        x = x.reshape(*before, len(matrix), *after)
    return x
