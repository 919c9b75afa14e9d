"""Small random transformations that an image must survive, each with its exact adjoint: it is an operator of the engine.

``draw(rng, shape)`` gives the operator and its constant inputs of one step, ``Drawn.forward`` applies it and ``Drawn.adjoint`` is that
operator's own vector-Jacobian product, so that nothing about the adjoint is written twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.methods.sweep import whole
from xaicore.numerics import Array, along
from xaicore.ops import Op, Pad, Resize


@dataclass(frozen=True)
class Drawn:
    """One drawn transformation: y = op(x), affine in x."""

    op: Op

    def forward(self, x: Array) -> Array:
        """(N, C, H, W) -> (N, C, H', W')."""
        return self.op.forward(x)

    def adjoint(self, g: Array, x: Array, y: Array) -> Array:
        """T'g in the shape of x: <T x - T 0, g> = <x, T'g>."""
        return self.op.vjp(0, g, y, x)


@dataclass(frozen=True)
class Sized:
    """Resized linearly along both axes: one matrix for each, whose adjoint is the transpose."""

    size: tuple[int, int]

    def _matrices(self, x: Array) -> list[Array]:
        return [_resizing(n, m) for n, m in zip(x.shape[-2:], self.size, strict=True)]

    def forward(self, x: Array) -> Array:
        """(N, C, *size)."""
        return along(x, self._matrices(x))

    def adjoint(self, g: Array, x: Array, y: Array) -> Array:
        """T'g."""
        return along(g, [m.T for m in self._matrices(x)])


@lru_cache(maxsize=128)
def _resizing(n: int, m: int) -> Array:
    """The matrix (m, n) of the engine's own Resize along one axis: what it makes of unit vectors. Kept, since its weights are rationals."""
    matrix = np.ascontiguousarray(Resize((m,), "linear").forward(np.eye(n)[:, None])[:, 0].T)
    matrix.flags.writeable = False
    return matrix


@dataclass(frozen=True)
class Turned:
    """A rotation by bilinear reading: a sparse matrix over the pixels, whose adjoint is the transpose."""

    angle: float
    fill: float = 0.0

    @lru_cache(maxsize=64)  # noqa: B019  (frozen and small: two numbers)
    def _matrix(self, h: int, w: int) -> object:
        from scipy.sparse import csr_matrix

        t = np.deg2rad(self.angle)
        v, u = np.meshgrid(np.arange(h) - (h - 1) / 2, np.arange(w) - (w - 1) / 2, indexing="ij")
        rows = np.round(np.cos(t) * v + np.sin(t) * u + (h - 1) / 2, 12)        # so that right angles hit the pixels
        columns = np.round(np.cos(t) * u - np.sin(t) * v + (w - 1) / 2, 12)
        top, left = np.floor(rows).astype(int), np.floor(columns).astype(int)
        a, b = rows - top, columns - left
        to = np.arange(h * w).reshape(h, w)
        parts = []
        for i, j, weight in ((0, 0, (1 - a) * (1 - b)), (0, 1, (1 - a) * b), (1, 0, a * (1 - b)), (1, 1, a * b)):
            r, c = top + i, left + j
            on = (r >= 0) & (r < h) & (c >= 0) & (c < w)
            parts.append((weight[on], to[on], r[on] * w + c[on]))
        weights, out, read = (np.concatenate(p) for p in zip(*parts, strict=True))
        return csr_matrix((weights, (out, read)), (h * w, h * w))

    def forward(self, x: Array) -> Array:
        """The image turned about its middle, anticlockwise; outside it there is ``fill``."""
        h, w = x.shape[-2:]
        m = self._matrix(h, w)
        flat = (x - self.fill).reshape(-1, h * w)
        return np.asarray((m @ flat.T).T.reshape(x.shape) + self.fill)  # type: ignore[operator]

    def adjoint(self, g: Array, x: Array, y: Array) -> Array:
        """T'g."""
        h, w = x.shape[-2:]
        return np.asarray((self._matrix(h, w).T @ g.reshape(-1, h * w).T).T.reshape(x.shape))  # type: ignore[attr-defined]


@dataclass(frozen=True)
class Rolled:
    """The image moved by (rows, columns), what leaves at one side coming in at the other; the adjoint moves it back."""

    by: tuple[int, int]

    def forward(self, x: Array) -> Array:
        """Rolled."""
        return np.roll(x, self.by, (-2, -1))

    def adjoint(self, g: Array, x: Array, y: Array) -> Array:
        """Rolled back."""
        return np.roll(g, (-self.by[0], -self.by[1]), (-2, -1))


class Step(Protocol):
    """What a drawn transformation can do."""

    def forward(self, x: Array) -> Array: ...
    def adjoint(self, g: Array, x: Array, y: Array) -> Array: ...


class Transform(Protocol):
    """What can be drawn for an image of this shape."""

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Step: ...


@dataclass(frozen=True)
class Padded:
    """``by`` entries on every side, of ``value`` (mode "constant"), mirrored ("reflect") or repeated ("edge")."""

    by: int
    value: float = 0.5
    mode: str = "constant"

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Step:
        """Always the same."""
        return Drawn(Pad(((self.by, self.by),) * 2, self.mode, self.value))  # type: ignore[arg-type]


@dataclass(frozen=True)
class Jitter:
    """A cut that is ``by`` pixels smaller, at a random place; with ``roll`` the image is moved by up to ``by`` around its edges instead."""

    by: int
    roll: bool = False

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Step:
        """Where the cut lies, each place as likely."""
        by = whole("jitter", self.by, 0)
        if self.roll:
            return Rolled((int(rng.integers(-by, by + 1)), int(rng.integers(-by, by + 1))))
        if min(shape[-2:]) <= by:
            raise ShapeError(f"jitter by {by} leaves nothing of an image of {shape[-2]} x {shape[-1]}; use less, or pad before")
        top, left = (int(rng.integers(0, by + 1)) for _ in range(2))
        return Drawn(Pad(((-top, top - by), (-left, left - by))))


@dataclass(frozen=True)
class Scaled:
    """Resized by a factor drawn among ``factors``, linearly."""

    factors: tuple[float, ...]

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Step:
        """One of the factors, each as likely."""
        if not self.factors or min(self.factors) <= 0:
            raise InputError(f"factors={self.factors!r} must be numbers above 0")
        f = float(rng.choice(self.factors))
        return Sized((max(1, round(shape[-2] * f)), max(1, round(shape[-1] * f))))


@dataclass(frozen=True)
class Rotated:
    """Turned about the middle by an angle in degrees drawn among ``angles``, outside it ``fill``."""

    angles: tuple[float, ...]
    fill: float = 0.5

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Step:
        """One of the angles, each as likely."""
        if not self.angles:
            raise InputError("angles is empty; leave Rotated out, or give (0,)")
        return Turned(float(rng.choice(self.angles)), self.fill)


@dataclass(frozen=True)
class Fitted:
    """The middle cut or padded with ``value`` to the size (H, W) that a network takes."""

    size: tuple[int, int]
    value: float = 0.5

    def draw(self, rng: np.random.Generator, shape: tuple[int, ...]) -> Step:
        """Always the same: the difference shared between both sides, the odd pixel behind."""
        pads = tuple(((n - have) // 2, n - have - (n - have) // 2) for n, have in zip(self.size, shape[-2:], strict=True))
        return Drawn(Pad(pads, "constant", self.value))


def standard(unit: int = 1, value: float = 0.5) -> tuple[Transform, ...]:
    """Pad 12, jitter 8, scale 0.90 to 1.10, rotate -10° to 10° (0° six times as often), jitter 4. Source: olah2017, as in lucid.

    They are for images of about 128 to 224 pixels; ``unit`` divides the distances, for smaller ones (rounded up).
    """
    def less(n: int) -> int:
        return -(-n // unit)

    factors = tuple(round(1 + (k - 5) / 50, 2) for k in range(11))
    return (Padded(less(12), value), Jitter(less(8)), Scaled(factors), Rotated((*range(-10, 11), *(0,) * 5), value), Jitter(less(4)))


def applied(steps: Sequence[Step], x: Array) -> list[Array]:
    """The image before each step, and at the end."""
    seen = [x]
    for step in steps:
        seen.append(step.forward(seen[-1]))
    return seen


def pulled(steps: Sequence[Step], seen: Sequence[Array], g: Array) -> Array:
    """The adjoint of all steps, from the last to the first."""
    for k in range(len(steps) - 1, -1, -1):
        g = steps[k].adjoint(g, seen[k], seen[k + 1])
    return g
