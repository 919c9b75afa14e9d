"""Normalisations: by stored statistics (BatchNorm), by those of the sample itself, and across neighbouring channels.

Those by the sample's own statistics are not affine. Each expands into means, products and a Rsqrt, and each has
``vjp_detached(g, y, *xs)``: the cotangent of x with the scale, the 1 / sqrt(...), held constant (the mean still moves). Seen
that way they are linear in x, which is what LRP uses.
Source of the detached form: Ali et al. 2022, "XAI for Transformers: Better Explanations through Conservative Propagation".
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import TYPE_CHECKING, final

import numpy as np

from xaicore.errors import GraphError, ShapeError
from xaicore.numerics import Array, long, unbroadcast
from xaicore.ops.arithmetic import Add, Mul, Sub
from xaicore.ops.linear import Einsum
from xaicore.ops.op import Op
from xaicore.ops.pointwise import Pow, Rsqrt, refuse
from xaicore.ops.reduce import Mean, sizes_of
from xaicore.ops.shape import Reshape, Unsqueeze

if TYPE_CHECKING:
    from xaicore.ops.op import Wiring


@final
@dataclass(frozen=True)
class BatchNorm(Op):
    """y = (x - mean) / sqrt(var + eps) * gamma + beta, with the stored mean and var of each channel (as at inference).

    x (N, C, ...), gamma, beta, mean, var (C,).   ShapeError for other shapes, InputError where var + eps <= 0.
    Affine in x, mean and beta jointly. With x active its weight is gamma, and beta and mean are only added.
    Expands to x * scale + shift with scale = gamma / sqrt(var + eps) and shift = beta - mean * scale.
    Same as: torch.nn.BatchNorm1d to 3d in eval mode, ONNX BatchNormalization.
    """

    eps: float = 1e-5
    arity = (5, 5)
    rational = False
    fresh = True

    def affine(self, active: Sequence[bool]) -> bool:
        return not (active[1] or active[4])

    def weights(self, active: Sequence[bool]) -> tuple[int, ...] | None:
        return None if active[1] or active[2] or active[4] else (1,)

    def biases(self, active: Sequence[bool]) -> tuple[int, ...]:
        return tuple(i for i in (0, 2, 3) if not active[i])

    def forward(self, *xs: Array) -> Array:
        return self._normalised(None, *xs)

    def over(self, *xs: Array) -> Array:
        return self._normalised(xs[0], *xs) if long(xs[0]) and xs[0].dtype == xs[3].dtype else self.forward(*xs)

    def _normalised(self, out: Array | None, *xs: Array) -> Array:
        x, gamma, beta, mean, _ = self._parts(*xs)
        y = np.asarray(np.subtract(x, mean, out=out))
        y *= gamma * self._rscale(xs[4], x)
        y += beta
        return y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x, gamma, _, mean, _ = self._parts(*xs)
        r = self._rscale(xs[4], x)
        if i == 0:
            return np.asarray(g * (gamma * r))
        per_entry = ((x - mean) * r, np.ones_like(x), -gamma * r, (x - mean) * (gamma * (-0.5 * r**3)))[i - 1]
        return np.asarray((g * per_entry).sum(axis=(0, *range(2, x.ndim))))

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        x, gamma, beta, mean, var = inputs
        r = b.add(Rsqrt(), b.add(Add(), var, b.constant(self.eps)))
        scale = b.add(Mul(), gamma, r, name="scale")
        shift = b.add(Sub(), beta, b.add(Mul(), mean, scale), name="shift")
        product = b.add(Mul(), x, _per_channel_node(b, scale, b.rank(x)))
        return b.add(Add(), product, _per_channel_node(b, shift, b.rank(x)))

    def _parts(self, x: Array, *params: Array) -> tuple[Array, ...]:
        return (x, *(_per_channel(p, x, name, "BatchNorm") for p, name in zip(params, ("gamma", "beta", "mean", "var"))))

    def _rscale(self, var: Array, x: Array) -> Array:
        total = var + self.eps
        refuse(~(total > 0), total, "BatchNorm", "it must be > 0; is this parameter the variance?", what="var plus eps")
        return _per_channel(1 / np.sqrt(total), x, "var", "BatchNorm")


# ----- by the sample's own statistics -----------------------------------------------------------------------------


class _Standardising(Op):
    """y = xhat * gamma + beta with xhat = (x - mean) / sqrt(mean((x - mean)^2) + eps), over axes that a subclass names.

    A subclass says how x is seen (``_view``: the array and the axes of its statistics) and how gamma and beta are.
    """

    eps: float
    arity = (1, 3)
    rational = False
    centred = True

    def _view(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        raise TypeError(f"{type(self).__name__} does not define _view")

    def _param(self, p: Array, x: Array, name: str) -> Array:
        raise TypeError(f"{type(self).__name__} does not define _param")

    def forward(self, *xs: Array) -> Array:
        x = xs[0]
        y = self._standardised(x)[0]
        y = y * self._param(xs[1], x, "gamma") if len(xs) > 1 else y
        return y + self._param(xs[2], x, "beta") if len(xs) > 2 else y

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        x = xs[0]
        xhat, r, axes = self._standardised(x)
        if i > 0:
            shape = self._param(xs[i], x, "gamma").shape
            return np.asarray(unbroadcast(g * xhat if i == 1 else g, shape)).reshape(xs[i].shape)
        h = self._view(self._scaled(g, *xs))[0]
        flat = self._view(xhat)[0]
        moved = self._centre(h, axes) - flat * (h * flat).mean(axis=axes, keepdims=True)
        return np.asarray((moved * r).reshape(x.shape))

    def vjp_detached(self, g: Array, y: Array, *xs: Array) -> Array:
        """The cotangent of x with 1 / sqrt(...) held constant."""
        x = xs[0]
        _, r, axes = self._standardised(x)
        h = self._view(self._scaled(g, *xs))[0]
        return (self._centre(h, axes) * r).reshape(x.shape)

    def _scaled(self, g: Array, *xs: Array) -> Array:
        return g * self._param(xs[1], xs[0], "gamma") if len(xs) > 1 else g

    def _standardised(self, x: Array) -> tuple[Array, Array, tuple[int, ...]]:
        """xhat in the shape of x, the factor 1 / sqrt(...) and the axes, these two in the shape of the view."""
        v, axes = self._view(x)
        d = self._centre(v, axes)
        total = (d * d).mean(axis=axes, keepdims=True) + self.eps
        who = type(self).__name__
        refuse(~(total > 0), total, who, f"it must be > 0; give an eps > {self.eps}", what="mean square plus eps")
        r = 1 / np.sqrt(total)
        return (d * r).reshape(x.shape), r, axes

    def _centre(self, v: Array, axes: tuple[int, ...]) -> Array:
        return v - v.mean(axis=axes, keepdims=True) if self.centred else v

    def _expand_standardised(self, b: Wiring, x: str, axes: tuple[int, ...]) -> str:
        d = b.add(Sub(), x, b.add(Mean(axes, keepdims=True), x, name="mean"), name="centred") if self.centred else x
        mean_square = b.add(Mean(axes, keepdims=True), b.add(Mul(), d, d, name="square"), name="mean_square")
        total = b.add(Add(), mean_square, b.constant(self.eps, name="eps"))
        return b.add(Mul(), d, b.add(Rsqrt(), total, name="scale"), name="standardised")


@final
@dataclass(frozen=True)
class LayerNorm(_Standardising):
    """y = (x - mean) / sqrt(var + eps) * gamma + beta, statistics over the last ``axes`` axes of each sample.

    x (N, ..., *D) with ``axes`` sizes D, [gamma], [beta] of shape D, or what broadcasts to it.   ShapeError for other shapes,
    InputError where var + eps is 0.
    Same as: torch.nn.LayerNorm, ONNX LayerNormalization.
    """

    axes: int = 1
    eps: float = 1e-5

    def __post_init__(self) -> None:
        _need_axes("LayerNorm", self.axes)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        y = self._expand_standardised(b, inputs[0], tuple(range(-self.axes, 0)))
        y = b.add(Mul(), y, inputs[1]) if len(inputs) > 1 else y
        return b.add(Add(), y, inputs[2]) if len(inputs) > 2 else y

    def _view(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        return x, _last_axes(x, self.axes, "LayerNorm")

    def _param(self, p: Array, x: Array, name: str) -> Array:
        return _need_trailing(p, x, self.axes, name, "LayerNorm")


@final
@dataclass(frozen=True)
class RMSNorm(_Standardising):
    """y = x / sqrt(mean(x^2) + eps) * gamma, the mean over the last ``axes`` axes of each sample.

    x (N, ..., *D) with ``axes`` sizes D, [gamma] of shape D, or what broadcasts to it.   ShapeError for other shapes,
    InputError where mean(x^2) + eps is 0.   Source: Zhang and Sennrich 2019, "Root Mean Square Layer Normalization".
    """

    axes: int = 1
    eps: float = 1e-5
    arity = (1, 2)
    centred = False

    def __post_init__(self) -> None:
        _need_axes("RMSNorm", self.axes)

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        y = self._expand_standardised(b, inputs[0], tuple(range(-self.axes, 0)))
        return b.add(Mul(), y, inputs[1]) if len(inputs) > 1 else y

    def _view(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        return x, _last_axes(x, self.axes, "RMSNorm")

    def _param(self, p: Array, x: Array, name: str) -> Array:
        return _need_trailing(p, x, self.axes, name, "RMSNorm")


@final
@dataclass(frozen=True)
class GroupNorm(_Standardising):
    """y = (x - mean) / sqrt(var + eps) * gamma + beta, statistics over each of ``groups`` groups of neighbouring channels.

    x (N, C, ...), C a multiple of ``groups``, [gamma], [beta] (C,).   ShapeError for other shapes.
    Same as: torch.nn.GroupNorm, ONNX GroupNormalization.
    """

    groups: int
    eps: float = 1e-5

    def __post_init__(self) -> None:
        if self.groups < 1:
            raise GraphError(f"GroupNorm: groups is {self.groups}; a number >= 1 is expected")

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return _expand_grouped(self, b, self.groups, *inputs)

    def _view(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        _need_at_least(x, 2, "GroupNorm", "(N, C, ...)")
        if x.shape[1] % self.groups:
            raise ShapeError(f"GroupNorm: {x.shape[1]} channels (shape {x.shape}) do not divide into {self.groups} groups")
        return x.reshape(x.shape[0], self.groups, prod(x.shape[1:]) // self.groups), (2,)

    def _param(self, p: Array, x: Array, name: str) -> Array:
        return _per_channel(p, x, name, "GroupNorm")


@final
@dataclass(frozen=True)
class InstanceNorm(_Standardising):
    """y = (x - mean) / sqrt(var + eps) * gamma + beta, statistics over the positions of each channel of each sample.

    x (N, C, *S) with at least one spatial axis, [gamma], [beta] (C,).   ShapeError for other shapes.
    Same as: torch.nn.InstanceNorm1d to 3d without stored statistics, ONNX InstanceNormalization.
    """

    eps: float = 1e-5

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        return _expand_grouped(self, b, sizes_of(b, inputs[0])[0], *inputs)

    def _view(self, x: Array) -> tuple[Array, tuple[int, ...]]:
        _need_at_least(x, 3, "InstanceNorm", "(N, C, *S) with at least one spatial axis")
        return x, tuple(range(2, x.ndim))

    def _param(self, p: Array, x: Array, name: str) -> Array:
        return _per_channel(p, x, name, "InstanceNorm")


# ----- across channels --------------------------------------------------------------------------------------------


@final
@dataclass(frozen=True)
class LocalResponseNorm(Op):
    """y_c = x_c / (k + alpha / size * sum of x_j^2 over the ``size`` channels j around c)^beta, channels outside counting as 0.

    x (N, C, ...).   An even window reaches one channel further down than up (as torch; ONNX runtimes take odd sizes only).
    InputError where the bracket is not > 0.   Source: Krizhevsky et al. 2012, section 3.3 (there alpha is not divided by size).
    """

    size: int
    alpha: float = 1e-4
    beta: float = 0.75
    k: float = 1.0
    rational = False

    def __post_init__(self) -> None:
        if self.size < 1:
            raise GraphError(f"LocalResponseNorm: size is {self.size}; a number >= 1 is expected")

    def forward(self, *xs: Array) -> Array:
        (x,) = xs
        return x * self._bracket(x) ** -self.beta

    def vjp(self, i: int, g: Array, y: Array, *xs: Array) -> Array:
        (x,) = xs
        d = self._bracket(x)
        through = self._window(g * x * d ** (-self.beta - 1), self._after, self._before)
        return g * d**-self.beta - (2 * self.beta * self.alpha / self.size) * x * through

    def vjp_detached(self, g: Array, y: Array, *xs: Array) -> Array:
        """The cotangent of x with the bracket held constant."""
        return g * self._bracket(xs[0]) ** -self.beta

    def expand(self, b: Wiring, *inputs: str) -> str | None:
        (x,) = inputs
        c, *space = sizes_of(b, x)
        rest = "xyzuvw"[: len(space)]
        away = np.arange(c)[None, :] - np.arange(c)[:, None]              # away[c, j] = j - c
        band = ((away >= -self._before) & (away <= self._after)) * (self.alpha / self.size)
        square = b.add(Mul(), x, x, name="square")
        around = b.add(Einsum(f"cj,nj{rest}->nc{rest}"), b.constant(band, name="window"), square, name="around")
        bracket = b.add(Add(), around, b.constant(self.k, name="k"))
        return b.add(Mul(), x, b.add(Pow(-self.beta), bracket, name="scale"))

    @property
    def _before(self) -> int:
        return self.size // 2

    @property
    def _after(self) -> int:
        return (self.size - 1) // 2

    def _bracket(self, x: Array) -> Array:
        _need_at_least(x, 2, "LocalResponseNorm", "(N, C, ...)")
        d = self.k + (self.alpha / self.size) * self._window(x * x, self._before, self._after)
        refuse(~(d > 0), d, "LocalResponseNorm", f"it must be > 0; give a k > {self.k}", what="k + alpha/size * sum x^2")
        return d

    def _window(self, v: Array, before: int, after: int) -> Array:
        """The sum over channels c - before to c + after."""
        c = v.shape[1]
        padded = np.pad(v, [(0, 0), (before, after)] + [(0, 0)] * (v.ndim - 2))
        total = padded[:, :c]
        for k in range(1, before + after + 1):
            total = total + padded[:, k : k + c]
        return total


# ----- helpers ----------------------------------------------------------------------------------------------------


def _need_at_least(x: Array, rank: int, who: object, layout: str) -> None:
    if x.ndim < rank:
        raise ShapeError(f"{who}: the input has shape {x.shape}, but {layout} is expected (rank {rank} or more)")


def _per_channel(p: Array, x: Array, name: str, who: object) -> Array:
    """A parameter (C,) as (C, 1, ...), so that it broadcasts over the positions of x (N, C, ...)."""
    _need_at_least(x, 2, who, "(N, C, ...)")
    if p.shape != (x.shape[1],):
        raise ShapeError(f"{who}: {name} has shape {p.shape}, but ({x.shape[1]},) is expected, the channels of x {x.shape}")
    return p.reshape(-1, *(1,) * (x.ndim - 2))


def _per_channel_node(b: Wiring, p: str, rank: int) -> str:
    return b.add(Unsqueeze(tuple(range(1, rank - 1))), p) if rank > 2 else p


def _expand_grouped(op: _Standardising, b: Wiring, groups: int, *inputs: str) -> str:
    """x as (N, groups, -1), standardised over the last axis, back in its shape, then scaled and shifted by channel."""
    sizes = sizes_of(b, inputs[0])
    y = op._expand_standardised(b, b.add(Reshape((groups, -1)), inputs[0], name="groups"), (-1,))
    y = b.add(Reshape(sizes), y, name="channels")
    y = b.add(Mul(), y, _per_channel_node(b, inputs[1], 1 + len(sizes))) if len(inputs) > 1 else y
    return b.add(Add(), y, _per_channel_node(b, inputs[2], 1 + len(sizes))) if len(inputs) > 2 else y


def _last_axes(x: Array, axes: int, who: object) -> tuple[int, ...]:
    _need_at_least(x, axes + 1, who, f"(N, ..., and the {axes} normalised axes)")
    return tuple(range(x.ndim - axes, x.ndim))


def _need_axes(who: object, axes: int) -> None:
    if axes < 1:
        raise GraphError(f"{who}: axes is {axes}; the number of last axes to normalise, >= 1, is expected")


def _need_trailing(p: Array, x: Array, axes: int, name: str, who: object) -> Array:
    want = x.shape[x.ndim - axes :]
    try:
        fits = np.broadcast_shapes(p.shape, want) == want
    except ValueError:
        fits = False
    if not fits:
        raise ShapeError(f"{who}: {name} has shape {p.shape}, but {want} is expected, the last {axes} axes of x {x.shape}")
    return p
