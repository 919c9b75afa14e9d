"""What happens to the pixels after each step: decay, blur, and setting to 0 what is small or contributes little.

Each is ``after(image, gradient, step) -> image``. What is a term of the objective instead (total variation, norms) is in objectives.py.
Source: yosinski2015, r_θ of section 3 as in the authors' toolbox.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from xaicore.errors import InputError
from xaicore.numerics import Array, along


class After(Protocol):
    """What can follow a step; ``g`` is the gradient at the image before the step."""

    def after(self, x: Array, g: Array, step: int) -> Array: ...


@dataclass(frozen=True)
class Decay:
    """x <- (1 - amount) x. On a linear score with rate η: the fixed point (1 - θ) η g / θ, θ = ``amount``."""

    amount: float

    def __post_init__(self) -> None:
        _share("amount", self.amount, 1)

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Closer to 0."""
        return np.asarray((1 - self.amount) * x)


@dataclass(frozen=True)
class Blur:
    """A Gaussian of standard deviation ``width`` pixels along both axes, every ``every`` steps; cut at 4 widths, mirrored at the edges."""

    width: float
    every: int = 1

    def __post_init__(self) -> None:
        if not self.width > 0 or self.every < 1:
            raise InputError(f"width={self.width!r} must be above 0, and every={self.every!r} at least 1")

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Blurred when it is this step's turn; the first step is."""
        return along(x, [gaussian(n, self.width) for n in x.shape[-2:]]) if step % self.every == 0 else x


@dataclass(frozen=True)
class Kernel:
    """A blur by the same weights along both axes, such as (1/3, 1/3, 1/3), mirrored at the edges."""

    weights: tuple[float, ...]

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Blurred."""
        return along(x, [banded(n, np.asarray(self.weights)) for n in x.shape[-2:]])


@dataclass(frozen=True)
class ClipNorm:
    """Pixels (N, ·, H, W) whose norm over the channels is below the ``percent``th percentile of their image become 0."""

    percent: float

    def __post_init__(self) -> None:
        _share("percent", self.percent, 100)

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Small pixels are 0."""
        return _without_low(x, np.sqrt((x**2).sum(axis=1)), self.percent)


@dataclass(frozen=True)
class ClipValue:
    """Entries whose |x| is below the ``percent``th percentile of all entries of their image become 0. Source: gildenblat2016."""

    percent: float

    def __post_init__(self) -> None:
        _share("percent", self.percent, 100)

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Small entries are 0."""
        limit = np.percentile(np.abs(x).reshape(len(x), -1), self.percent, axis=1).reshape(-1, *(1,) * (x.ndim - 1))
        return np.asarray(np.where(np.abs(x) < limit, 0.0, x))


@dataclass(frozen=True)
class ClipContribution:
    """Pixels whose |Σ_c x ∂f/∂x| is below the ``percent``th percentile of their image become 0: to first order they matter least."""

    percent: float

    def __post_init__(self) -> None:
        _share("percent", self.percent, 100)

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Pixels of little contribution are 0."""
        return _without_low(x, np.abs((x * g).sum(axis=1)), self.percent)


@dataclass(frozen=True)
class Mixed:
    """The weighted mean of what several regularisers make of the image."""

    parts: tuple[tuple[float, After], ...]

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Σ w_k r_k(x) / Σ w_k."""
        total = sum(w for w, _ in self.parts)
        return np.asarray(sum(w * r.after(x, g, step) for w, r in self.parts) / total)


@dataclass(frozen=True)
class Bounded:
    """No pixel leaves [low, high]."""

    low: float
    high: float

    def after(self, x: Array, g: Array, step: int) -> Array:
        """Clipped."""
        return np.clip(x, self.low, self.high)


def gaussian(n: int, width: float) -> Array:
    """The (n, n) matrix of a Gaussian blur of an axis; rows sum to 1. Same as: scipy.ndimage.gaussian_filter1d, its defaults."""
    reach = int(4 * width + 0.5)
    k = np.exp(-0.5 * (np.arange(-reach, reach + 1) / width) ** 2)
    return banded(n, k / k.sum())


def banded(n: int, kernel: Array) -> Array:
    """The (n, n) matrix of a blur by an odd kernel; entries beyond the ends are mirrored about the edge (d c b a | a b c d | d c b a)."""
    reach = len(kernel) // 2
    out = np.zeros((n, n))
    for k, w in enumerate(kernel):
        at = np.mod(np.arange(n) + k - reach, 2 * n)
        np.add.at(out, (np.arange(n), np.where(at < n, at, 2 * n - 1 - at)), w)
    return out


def _without_low(x: Array, size: Array, percent: float) -> Array:
    limit = np.percentile(size.reshape(len(x), -1), percent, axis=1).reshape(-1, *(1,) * (size.ndim - 1))
    return np.asarray(np.where((size < limit)[:, None], 0.0, x))


def _share(name: str, value: float, most: int) -> None:
    if isinstance(value, bool) or not 0 <= value <= most:
        raise InputError(f"{name}={value!r} must lie between 0 and {most}")
