"""An affine step taken apart: y = Σ_i W_i x_i + b, with W by sign, squared or set to one. The LRP rules speak through this.

It calls the operator itself with other arguments, so that convolutions, products and sums need no case of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from typing import TypeAlias

import numpy as np

from xaicore.errors import Inapplicable
from xaicore.numerics import Array, divide, filled, in_arithmetic_of, negative, positive, stabilize
from xaicore.ops.kept import kept
from xaicore.trace import Step

Change = Callable[[Array], Array]
Number: TypeAlias = float | int | Fraction
Term: TypeAlias = tuple["tuple[Array | None, ...]", Change]
"""Active inputs, and how the weights that meet them are changed."""


def same(x: Array) -> Array:
    """x, unchanged."""
    return x


def zeros(x: Array) -> Array:
    """An array of zeros like x."""
    return filled(x.shape, 0, x)


def ones(x: Array) -> Array:
    """An array of ones like x."""
    return filled(x.shape, 1, x)


def square(x: Array) -> Array:
    """x², entry by entry."""
    return x * x


class Affine:
    """The affine map of one step, callable with its weights changed.

    ``apply(xs, weights, bias)`` is y for other active inputs; ``back(s, weights)`` gives Wᵀ s for each active input.
    An operator whose weights are fixed and nonnegative (a sum, an average) has no weight input: there a change f acts as
    the factor f(1), so that ``negative`` gives the zero map. What a rule asks for twice is made once: claims, parts by sign, weights.
    """

    def __init__(self, step: Step) -> None:
        op = step.node.op
        self.step, self.kernels, self.additive = step, op.weights(step.active), op.biases(step.active)
        self._constants: dict[tuple[int, Change], Array] = {}
        self._actives: dict[Change, tuple[Array | None, ...]] = {}

    def inputs(self, xs: Sequence[Array | None] | None, weights: Change, bias: Change) -> tuple[Array, ...]:
        """The operator's arguments with changed actives, weights and bias."""
        step, kernels = self.step, self.kernels
        if kernels is None and weights is not same:
            raise Inapplicable(
                f"node {step.node.name!r}: {step.node.op} cannot split its weights by sign, so this rule does not apply to it; "
                f"put another rule in front: rules.before((named({step.node.name!r}), epsilon()))"
            )
        out = list(step.xs)
        if xs is not None:
            for k, x in enumerate(xs):
                if x is not None and step.active[k]:
                    out[k] = x
        additive = self.additive
        if bias is zeros and additive == (len(out) - 1,) and len(out) > step.node.op.arity[0]:
            additive = ()
            out.pop()                                                   # a bias that the operator does without
        for constants, change in ((kernels or (), weights), (additive, bias)):
            for k in constants:
                if change is not same or out[k].dtype is not step.y.dtype:
                    out[k] = self._changed(k, change)
        return tuple(out)

    def _changed(self, k: int, change: Change) -> Array:
        """Constant input ``k`` in the arithmetic of y, changed."""
        found = self._constants.get((k, change))
        if found is None:
            own = in_arithmetic_of(self.step.y, self.step.xs[k])
            found = self._part(k, own, change) if change in (positive, negative) and k not in self.additive else change(own)
            self._constants[k, change] = found
        return found

    def _part(self, k: int, own: Array, sign: Change) -> Array:
        """The part of weight ``k`` of one sign, remembered, as the operator reads it fastest."""
        op = self.step.node.op
        return kept(own, sign, lambda w: op.laid(k, sign(w)), getattr(op, "fast", False))

    def apply(self, xs: Sequence[Array | None] | None = None, weights: Change = same, bias: Change = zeros) -> Array:
        """W x + b with changed weights and bias (bias 0 unless said)."""
        op = self.step.node.op
        y = op.forward(*self.inputs(xs, weights, bias))
        if self.kernels:                                                # weights that are inputs, and all that was to be changed
            return y
        if self._offset() and bias is zeros:                           # a constant that is no input, such as a padding value
            y = y - op.forward(*self.inputs(self.actives(zeros), weights, bias))
        factor = self._factor(weights)
        if factor is None:
            return y
        added = op.forward(*self.inputs(self.actives(zeros), weights, bias)) if self.additive and bias is not zeros else None
        return factor * y if added is None else factor * (y - added) + added

    def back(self, s: Array, weights: Change = same) -> tuple[Array | None, ...]:
        """Wᵀ s for each active input, None at the others."""
        factor, step = self._factor(weights), self.step
        return step.vjp(s if factor is None else factor * s, self.inputs(None, weights, same), step.y)

    def actives(self, change: Change) -> tuple[Array | None, ...]:
        """``change`` of each active input, None at the others."""
        if change not in self._actives:
            self._actives[change] = tuple([change(x) if on else None for x, on in zip(self.step.xs, self.step.active)])
        return self._actives[change]

    # ----- sums of terms: z = Σ_terms f(w) x, and what each input contributes --------------------------------------

    def terms(self, up: Change, down: Change) -> tuple[Term, ...]:
        """x+ with weights up(w), and x- with weights down(w): without the second where no active input is negative."""
        for x, on in zip(self.step.xs, self.step.active):
            if on and x.size and x.min() < 0:
                return (self.actives(positive), up), (self.actives(negative), down)
        return ((self.actives(same), up),)

    def sum(self, terms: Sequence[Term], bias: Change = zeros) -> Array:
        """z = Σ_terms f(w) x + bias(b)."""
        (xs, weights), *others = terms
        z = self.apply(xs, weights, bias)
        for xs, weights in others:
            z = z + self.apply(xs, weights, zeros)
        return z

    def shares(self, terms: Sequence[Term], s: Array) -> tuple[Array | None, ...]:
        """Σ_terms x f(w)ᵀ s for each active input: what it contributed to z, in proportion."""
        first, *others = [times(xs, self.back(s, weights)) for xs, weights in terms]
        return plus(first, *others) if others else first

    @property
    def has_bias(self) -> bool:
        """Is there anything in y that no active input contributes?"""
        return bool(self.additive) or self._offset()

    def _offset(self) -> bool:
        return self.kernels is None

    def _factor(self, weights: Change) -> Array | None:
        """What a weight change amounts to where there is no weight input: f(1), or None for 1."""
        if weights is same or self.kernels != ():
            return None
        return weights(filled((1,) * self.step.y.ndim, 1, self.step.y))

    def check_uniform(self) -> None:
        """Refuses an operator whose fixed weights are not all equal, for rules that need the weights themselves."""
        op = self.step.node.op
        if self.kernels == () and op.fixed_weights == "nonnegative":
            raise Inapplicable(f"node {self.step.node.name!r}: the weights of {op} are not inputs, so they cannot be squared or set to one")


def times(xs: Sequence[Array | None], cs: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """x_i c_i for each active input."""
    return tuple([None if c is None or x is None else x * c for x, c in zip(xs, cs)])


def plus(first: Sequence[Array | None], *others: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """The sum of parts, input by input."""
    out = list(first)
    for parts in others:
        out = [a if b is None else b if a is None else a + b for a, b in zip(out, parts)]
    return tuple(out)


def scaled(factor: object, parts: Sequence[Array | None]) -> tuple[Array | None, ...]:
    """factor times each part."""
    return tuple([None if p is None else np.asarray(p * factor) for p in parts])


# ----- division by z ----------------------------------------------------------------------------------------------

TINY = 1e-37
"""What is larger is not 0 in any arithmetic."""


def ratio(r: Array, z: Array, eps: Number, stabilizer: str = "sign") -> Array:
    """R / (z + eps sign(z)), or with another stabiliser; for eps = 0, R / z where z is not zero and 0 (absorbed) where it is."""
    if stabilizer == "sign" and eps > TINY:
        return np.asarray(r / stabilize(z, eps))                        # of which no entry is 0
    return divide(r, stabilize(z, eps, stabilizer) if eps else z)


def passed(
    parts: Callable[[Array], tuple[Array | None, ...]], r: Array, z: Array, eps: Number, stabilizer: str = "sign",
) -> tuple[Array | None, ...]:
    """parts(R / z) for linear ``parts``, also where R / z is no float although the shares x w R / z are: x w is as small as z.

    Where it overflows, which is an error in a backward pass (trace.py), the neurons whose R / z is large take a second pass
    with R 2^-k, whose shares are multiplied by 2^k: powers of two round nothing. Shares that overflow themselves stay an error.
    """
    try:
        return parts(ratio(r, z, eps, stabilizer))
    except FloatingPointError:
        k = int(np.finfo(r.dtype).maxexp) // 2                          # half of the exponents that there are
        less, more = np.ldexp(r, -k), np.ldexp(r.dtype.type(1), k)
        large = np.abs(less) > np.abs(stabilize(z, eps, stabilizer))
        ordinary, rest = (parts(ratio(some, z, eps, stabilizer)) for some in (np.where(large, 0, r), np.where(large, less, 0)))
        return plus(ordinary, scaled(more, rest))


__all__ = [
    "Affine", "Change", "Number", "Term", "negative", "ones", "passed", "plus", "positive", "ratio", "same", "scaled",
    "square", "times", "zeros",
]
