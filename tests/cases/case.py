"""What a case is: one operator with everything that the tests in tests/ops need to prove it. The cases are in the other files.

How to add one: append a ``Case`` to ``CASES`` in the file of its family; forward, vjp, dtype, batch, claim, exactness,
framework and error tests follow by themselves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np

from xaicore.ops.op import Op

Array = np.ndarray
Domain = Callable[[np.random.Generator, tuple[int, ...]], Array]
"""Draws one input. Every floating draw is an odd multiple of 1/128: exact in float32 and as a small Fraction, and never on a
kink at 0, 1/2, 1, 3 or 6, where a central difference would measure the mean of two slopes."""

BATCH = 3


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """About N(0, 1)."""
    return (2 * np.floor(64 * rng.standard_normal(shape)) + 1) / 128


def positive(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """At least 1/4, for logarithms, roots and divisors."""
    return np.abs(normal(rng, shape)) + 0.25


def nonzero(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Both signs, at least 1/4 away from zero."""
    x = normal(rng, shape)
    return x + np.where(x < 0, -0.25, 0.25)


def distinct(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """No two entries closer than 1/64, both signs: a maximum stays where it is under a small step."""
    n = int(np.prod(shape))
    return (2 * (rng.permutation(n) - n // 2).reshape(shape) + 1) / 128


def binary(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    """Conditions."""
    return rng.integers(0, 2, shape).astype(bool)


def index(n: int) -> Domain:
    """Integers of [0, n)."""
    return lambda rng, shape: rng.integers(0, n, shape)


def given(value: Any) -> Domain:
    """Always this value (the case's shape must be its shape)."""
    return lambda rng, shape: np.array(value).reshape(shape)


@dataclass(frozen=True)
class Case:
    id: str
    """Unique; starts with the operator's name: ``Conv-stride2-groups``."""
    op: Op
    shapes: tuple[tuple[int, ...], ...]
    """Of each input; an active one has the batch of 3 on axis 0."""
    domain: Domain | tuple[Domain, ...] = normal
    """One for all inputs, or one for each."""
    active: tuple[bool, ...] | None = None
    """Which inputs carry the signal, and thus a batch on axis 0; None: the first alone."""
    torch: Callable[..., Any] | None = None
    """The framework's own result: one torch tensor for each input -> a tensor. Imports torch inside, or uses tensor methods."""
    errors: tuple[tuple[tuple[Any, ...], type[Exception], str], ...] = ()
    """(inputs, error, text that the message contains); an input is a shape (zeros of float64 are made) or an array."""
    batched: tuple[bool, ...] | None = None
    """Which inputs have a batch on axis 0, where that is not the same (a batch of ids or of conditions carries no signal)."""
    torch_rtol: float = 1e-12
    """Agreement with torch in float64; larger only where torch itself is less precise, with a comment that says where."""

    def mask(self) -> tuple[bool, ...]:
        return self.active if self.active is not None else (True,) + (False,) * (len(self.shapes) - 1)

    def sliced(self) -> tuple[bool, ...]:
        return self.batched if self.batched is not None else self.mask()

    def draw(self, rng: np.random.Generator) -> tuple[Array, ...]:
        """Fresh float64 (or int, or bool) inputs."""
        domains = self.domain if isinstance(self.domain, tuple) else (self.domain,) * len(self.shapes)
        return tuple(np.asarray(one(rng, shape)) for one, shape in zip(domains, self.shapes, strict=True))


def cast(xs: tuple[Array, ...], dtype: Any) -> tuple[Array, ...]:
    """The floating inputs in another dtype; ``object`` gives exact fractions. Integers and booleans stay as they are."""
    return tuple(x if x.dtype.kind != "f" else exact(x) if dtype is object else x.astype(dtype) for x in xs)


def exact(x: Array) -> Array:
    """The same numbers as ``Fraction``."""
    out = np.empty(x.shape, dtype=object)
    for k in np.ndindex(x.shape):
        out[k] = Fraction(float(x[k]))
    return out
