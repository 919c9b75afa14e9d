"""How an image depends on what is optimised: its pixels, or its Fourier coefficients with decorrelated colours.

A parameterisation does not change which images there are but which way is uphill: the same gradient at the image becomes another step.
Each is ``start(rng, shape)``, ``image(parameters)`` and ``pull(parameters, g)``, the vector-Jacobian product.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from xaicore.errors import InputError
from xaicore.numerics import Array

COLOURS = np.array([[0.26, 0.09, 0.02], [0.27, 0.00, -0.05], [0.27, -0.09, 0.03]])
"""How three independent numbers become red, green and blue as they vary together in photographs: light, blue-yellow, green-red. The square
root of the covariance of ImageNet's colours, rows as published with lucid (olah2017), divided by the largest norm of a column."""
DECORRELATE = COLOURS / np.linalg.norm(COLOURS, axis=0).max()


@dataclass(frozen=True)
class Squash:
    """z -> low + (high - low) / (1 + e^-z), so that no pixel leaves the range; ``None`` as range leaves z as it is."""

    bounds: tuple[float, float] | None = None

    def __post_init__(self) -> None:
        if self.bounds is not None and not self.bounds[0] < self.bounds[1]:
            raise InputError(f"bounds={self.bounds!r} are (value of black, value of white), the smaller one first")

    def __call__(self, z: Array) -> Array:
        if self.bounds is None:
            return z
        low, high = self.bounds
        return np.asarray(low + (high - low) * _sigmoid(z))

    def pull(self, z: Array, g: Array) -> Array:
        """g ∂image/∂z."""
        if self.bounds is None:
            return g
        s = _sigmoid(z)
        return np.asarray(g * (self.bounds[1] - self.bounds[0]) * s * (1 - s))

    def inverse(self, x: Array) -> Array:
        """z of an image; values at or beyond the ends of the range become those 1 % inside."""
        if self.bounds is None:
            return x
        low, high = self.bounds
        t = np.clip((x - low) / (high - low), 0.01, 0.99)
        return np.asarray(np.log(t / (1 - t)))


def _sigmoid(z: Array) -> Array:
    return np.asarray(0.5 * (1 + np.tanh(z / 2)))


@dataclass(frozen=True)
class Pixels:
    """The pixels themselves. They start as ``mean`` plus noise, uniform in ±``noise``, or with ``normal`` of that standard deviation.

    With ``squash`` the parameters are what is behind the sigmoid.
    """

    mean: float = 0.0
    noise: float = 0.0
    squash: Squash = Squash()
    normal: bool = False

    def start(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Parameters of an image (N, C, H, W) or (N, F)."""
        drawn = rng.normal(size=shape) if self.normal else rng.uniform(-1, 1, shape)
        return self.squash.inverse(np.asarray(self.mean + self.noise * drawn))

    def of(self, image: Array) -> Array:
        """The parameters of a given image."""
        return self.squash.inverse(image)

    def image(self, p: Array, shape: tuple[int, ...]) -> Array:
        """(N, C, H, W)."""
        return self.squash(p)

    def pull(self, p: Array, g: Array, shape: tuple[int, ...]) -> Array:
        """g ∂image/∂p."""
        return self.squash.pull(p, g)


@dataclass(frozen=True)
class Fourier:
    """Complex coefficients of a real two-dimensional Fourier transform: image = squash(colours · irfft2(p ⊙ scale) / 4).

    scale(f) = sqrt(H W) / max(f, 1 / max(H, W))^decay, f the frequency in cycles per pixel, so that all frequencies have the energy that
    they have in photographs. The parameters are real, (2, N, C, H, W // 2 + 1): real and imaginary parts, normal with deviation
    ``deviation`` at the start. ``decorrelate`` mixes three channels by DECORRELATE; other numbers of channels stay
    as they are. Every image of the size is reached. Source: olah2017, scale and constants as in lucid.
    Same as: lucent, whose orthonormal transform holds the sqrt(H W).
    """

    decay: float = 1.0
    deviation: float = 0.01
    decorrelate: bool = True
    squash: Squash = Squash((0.0, 1.0))

    def scale(self, shape: tuple[int, ...]) -> Array:
        """(H, W // 2 + 1)."""
        h, w = shape[-2:]
        f = np.hypot(np.fft.fftfreq(h)[:, None], np.fft.rfftfreq(w)[None])
        return np.asarray(np.sqrt(h * w) / np.maximum(f, 1 / max(h, w)) ** self.decay)

    def start(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
        """Parameters of an image (N, C, H, W)."""
        if len(shape) != 4:
            raise InputError(f"Fourier coefficients are of images (N, C, H, W), not of shape {shape}; use the parameterisation Pixels")
        return rng.normal(size=(2, *shape[:3], shape[3] // 2 + 1)) * self.deviation

    def of(self, image: Array) -> Array:
        """The parameters of a given image."""
        z = self.squash.inverse(image)
        if self._mixes(z.shape):
            z = np.einsum("cd,ndhw->nchw", np.linalg.inv(DECORRELATE), z)
        c = np.fft.rfft2(z * 4) / self.scale(image.shape)
        return np.stack([c.real, c.imag])

    def _mixes(self, shape: tuple[int, ...]) -> bool:
        return self.decorrelate and shape[1] == 3

    def _behind(self, p: Array, shape: tuple[int, ...]) -> Array:
        """The image before the sigmoid."""
        z = np.fft.irfft2((p[0] + 1j * p[1]) * self.scale(shape), s=shape[-2:]) / 4
        return np.einsum("cd,ndhw->nchw", DECORRELATE, z) if self._mixes(shape) else z

    def image(self, p: Array, shape: tuple[int, ...]) -> Array:
        """(N, C, H, W)."""
        return self.squash(self._behind(p, shape))

    def pull(self, p: Array, g: Array, shape: tuple[int, ...]) -> Array:
        """g ∂image/∂p. The adjoint of irfft2 is m rfft2 / (H W), m = 2 for columns whose mirror image is not stored, else 1."""
        g = self.squash.pull(self._behind(p, shape), g)
        if self._mixes(shape):
            g = np.einsum("cd,nchw->ndhw", DECORRELATE, g)
        h, w = shape[-2:]
        m = np.full(w // 2 + 1, 2.0)
        m[0] = 1
        if w % 2 == 0:
            m[-1] = 1
        c = np.fft.rfft2(g / 4) * (m / (h * w) * self.scale(shape))
        return np.stack([c.real, c.imag])


Parameterisation: TypeAlias = Pixels | Fourier
