"""A piecewise-linear network on a straight line: every unit as affine functions of x on stretches of the way, in Fractions."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from typing import Any

from xaicore.oracle.twins.plain import Plain

Stretch = tuple[Any, Any, list[Any], Any]
"""(low, high, gradient, constant): the unit is gradient · x + constant while low <= α <= high."""


class Pieces:
    """One unit. ``path`` holds (start, end) of every entry of the input."""

    def __init__(self, path: Sequence[tuple[Any, Any]], stretches: Sequence[Stretch]):
        self.path, self.stretches = path, stretches

    @staticmethod
    def entry(path: Sequence[tuple[Any, Any]], i: int) -> Pieces:
        """The entry i of the input itself."""
        return Pieces(path, [(Fraction(0), Fraction(1), [Fraction(int(i == j)) for j in range(len(path))], Fraction(0))])

    def at(self, grad: Sequence[Any], const: Any, t: Any) -> Any:
        """gradient · x + constant at α = t."""
        return sum((g * (s + t * (e - s)) for g, (s, e) in zip(grad, self.path)), Fraction(0)) + const

    def relu(self) -> Pieces:
        """Cut where the unit crosses zero; 0 on the stretches below it."""
        out: list[Stretch] = []
        for low, high, grad, const in self.stretches:
            left, right = self.at(grad, const, low), self.at(grad, const, high)
            cuts = [low, high]
            if left * right < 0:
                cuts.insert(1, low + (high - low) * left / (left - right))
            for a, b in pairwise(cuts):
                on = self.at(grad, const, (a + b) / 2) > 0
                out.append((a, b, grad if on else [Fraction(0)] * len(grad), const if on else Fraction(0)))
        return Pieces(self.path, out)

    @staticmethod
    def sum(units: Sequence[Pieces], weights: Sequence[Any], bias: Any = Fraction(0)) -> Pieces:
        """Σ w unit + bias, cut wherever one of the units is."""
        path = units[0].path
        cuts = sorted({c for u in units for s in u.stretches for c in s[:2]})
        out: list[Stretch] = []
        for a, b in pairwise(cuts):
            grad, const = [Fraction(0)] * len(path), Fraction(bias)
            for u, w in zip(units, weights):
                _, _, g, c = next(s for s in u.stretches if s[0] <= a and b <= s[1])
                grad = [p + w * q for p, q in zip(grad, g)]
                const += w * c
            out.append((a, b, grad, const))
        return Pieces(path, out)

    def maximum(self, other: Pieces) -> Pieces:
        """max(p, q) = q + relu(p - q): the second where they are equal."""
        return Pieces.sum([other, Pieces.sum([self, other], [1, -1]).relu()], [1, 1])

    def integral(self) -> list[Any]:
        """(end - start) ∫ gradient dα of every entry: integrated gradients."""
        return [(e - s) * sum(((high - low) * grad[i] for low, high, grad, _ in self.stretches), Fraction(0))
                for i, (s, e) in enumerate(self.path)]


def pieces_of(net: Plain, x: Sequence[Any], x0: Sequence[Any]) -> dict[str, list[Pieces]]:
    """Every value of a plain network on the line from x0 to x."""
    path = list(zip(x0, x))
    found = {net.input: [Pieces.entry(path, i) for i in range(len(path))]}
    for layer in net.layers:
        units = []
        for u in layer.units:
            reads = [found[k][i] for k, i in u.wires]
            if layer.kind == "affine":
                units.append(Pieces.sum(reads, u.weights, u.bias))
            elif layer.kind == "relu":
                units.append(reads[0].relu())
            else:
                top = reads[-1]
                for one in reversed(reads[:-1]):
                    top = top.maximum(one)
                units.append(top)
        found[layer.name] = units
    return found
