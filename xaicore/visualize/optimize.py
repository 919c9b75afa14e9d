"""Optimisers that ascend: each is pure, ``step(gradient, state) -> (change, state)``. L-BFGS is SciPy's, and is called in search.py."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import numpy as np

from xaicore.errors import InputError
from xaicore.methods.sweep import chosen
from xaicore.numerics import Array

State: TypeAlias = tuple[Array, ...] | None


def _rms(g: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(np.sqrt((g**2).mean(axis=axes, keepdims=True)) + 1e-5)


def _mean_abs(g: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(np.abs(g).mean(axis=axes, keepdims=True) + 1e-12)


def _l2(g: Array, axes: tuple[int, ...]) -> Array:
    return np.asarray(np.sqrt((g**2).sum(axis=axes, keepdims=True)) + 1e-12)


NORMALIZE: Mapping[str, Callable[[Array, tuple[int, ...]], Array]] = MappingProxyType({"rms": _rms, "mean_abs": _mean_abs, "l2": _l2})
"""What the gradient of each image is divided by: sqrt(mean g²) + 1e-5 (Keras blog), mean |g| (DeepDream), |g| (keras-vis)."""


@dataclass(frozen=True)
class SGD:
    """x <- x + rate · g / size(g), with ``momentum`` m: v <- m v + g, x <- x + rate v. ``normalize`` is a name of NORMALIZE or None."""

    rate: float = 1.0
    normalize: str | None = None
    momentum: float = 0.0

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        if self.normalize is not None:
            chosen("normalize", self.normalize, NORMALIZE)
        if not 0 <= self.momentum < 1:
            raise InputError(f"momentum={self.momentum!r} must lie in [0, 1)")

    def step(self, g: Array, state: State) -> tuple[Array, State]:
        """The change of x, and the state."""
        axes = tuple(range(1, g.ndim))
        g = g if self.normalize is None else g / NORMALIZE[self.normalize](g, axes)
        v = g if state is None else self.momentum * state[0] + g
        return self.rate * v, (v,)


@dataclass(frozen=True)
class Progress:
    """x <- x + min(wanted / |g|², most) g: to first order the objective rises by ``wanted``. Source: yosinski2015, the toolbox."""

    wanted: float = 2.0
    most: float = 100.0

    def __post_init__(self) -> None:
        _positive("wanted", self.wanted)
        _positive("most", self.most)

    def step(self, g: Array, state: State) -> tuple[Array, State]:
        """The change of x, and no state."""
        size = (g**2).sum(axis=tuple(range(1, g.ndim)), keepdims=True)
        return np.minimum(self.wanted / np.maximum(size, 1e-300), self.most) * g, None


@dataclass(frozen=True)
class Adam:
    """x <- x + rate · m̂ / (sqrt(v̂) + eps), running means m of g and v of g², corrected for their start at 0. Source: kingma2015."""

    rate: float = 0.05
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8

    def __post_init__(self) -> None:
        _positive("rate", self.rate)
        for name, b in (("beta1", self.beta1), ("beta2", self.beta2)):
            if not 0 <= b < 1:
                raise InputError(f"{name}={b!r} must lie in [0, 1)")

    def step(self, g: Array, state: State) -> tuple[Array, State]:
        """The change of x, and (m, v, number of steps)."""
        m, v, t = (np.zeros_like(g), np.zeros_like(g), np.zeros(())) if state is None else state
        t = t + 1
        m, v = self.beta1 * m + (1 - self.beta1) * g, self.beta2 * v + (1 - self.beta2) * g**2
        return self.rate * (m / (1 - self.beta1**t)) / (np.sqrt(v / (1 - self.beta2**t)) + self.eps), (m, v, t)


@dataclass(frozen=True)
class LBFGS:
    """SciPy's L-BFGS-B, ``memory`` pairs; for objectives without random transformations, which it cannot follow."""

    memory: int = 10


Optimizer: TypeAlias = SGD | Progress | Adam | LBFGS
OPTIMIZERS: Mapping[str, type[Any]] = MappingProxyType({"sgd": SGD, "progress": Progress, "adam": Adam, "lbfgs": LBFGS})


def _positive(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.number)) or not 0 < value < np.inf:
        raise InputError(f"{name}={value!r} must be a finite number above 0")
