"""Second opinion on DeepLIFT: a fully connected ReLU network as nested lists, its rules as loops over the neurons."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Vector = Sequence[Any]
Matrix = Sequence[Sequence[Any]]


class ReluNet:
    """A plain fully connected ReLU network as nested lists: x -> relu(W1 x + b1) -> ... -> W x + b, with DeepLIFT by loops."""

    def __init__(self, weights: Sequence[Matrix], biases: Sequence[Vector]):
        self.weights, self.biases = weights, biases

    def values(self, x: Vector) -> list[tuple[list[Any], list[Any]]]:
        """For every layer its input and its pre-activation."""
        out = []
        h = list(x)
        for k, (w, b) in enumerate(zip(self.weights, self.biases)):
            z = [sum(w[j][i] * h[i] for i in range(len(h))) + b[j] for j in range(len(w))]
            out.append((h, z))
            h = [max(v, 0 * v) for v in z] if k + 1 < len(self.weights) else z
        return out

    def deeplift(self, x: Vector, reference: Vector, target: int, reveal: bool) -> list[Any]:
        """Contributions of the inputs, with the Rescale or the RevealCancel rule (Shrikumar et al. 2017, section 3.5)."""
        here, there = self.values(x), self.values(reference)
        last = len(self.weights) - 1
        up: list[Any] = [1 if j == target else 0 for j in range(len(self.weights[last]))]
        down = list(up)                                                 # multipliers of Δz+ and Δz-
        for layer in range(last, -1, -1):
            w, (h, _), (h0, _) = self.weights[layer], here[layer], there[layer]
            m: list[Any] = []
            for i in range(len(h)):
                d = h[i] - h0[i]
                terms = []
                for j in range(len(w)):
                    effect = w[j][i] * d
                    chosen = up[j] if effect > 0 else down[j] if effect < 0 else (up[j] + down[j]) * _half(w[j][i])
                    terms.append(w[j][i] * chosen)
                m.append(sum(terms))
            if layer == 0:
                return [m[i] * (h[i] - h0[i]) for i in range(len(h))]
            up, down = self._through_relu(layer - 1, m, here, there, reveal)
        raise ValueError("a network has at least one layer")

    def _through_relu(self, layer: int, m: list[Any], here: Any, there: Any, reveal: bool) -> tuple[list[Any], list[Any]]:
        w, (h, z), (h0, z0) = self.weights[layer], here[layer], there[layer]
        up, down = [], []
        for j in range(len(w)):
            effects = [w[j][i] * (h[i] - h0[i]) for i in range(len(h))]
            plus, minus = sum(e for e in effects if e > 0), sum(e for e in effects if e < 0)

            def relu(v: Any) -> Any:
                return v if v > 0 else v * 0

            r = z0[j]
            if reveal:
                dp = (relu(r + plus) - relu(r) + relu(r + plus + minus) - relu(r + minus)) * _half(r)
                dm = (relu(r + minus) - relu(r) + relu(r + plus + minus) - relu(r + plus)) * _half(r)
                up.append(m[j] * (dp / plus if plus != 0 else (_step(r) + _step(r + minus)) * _half(r)))
                down.append(m[j] * (dm / minus if minus != 0 else (_step(r) + _step(r + plus)) * _half(r)))
            else:
                dz = z[j] - r
                slope = (relu(z[j]) - relu(r)) / dz if dz != 0 else (1 if z[j] > 0 else 0)
                up.append(m[j] * slope)
                down.append(m[j] * slope)
        return up, down


def _step(z: Any) -> int:
    """The derivative of relu, 0 at 0."""
    return 1 if z > 0 else 0


def _half(like: Any) -> Any:
    from fractions import Fraction

    return Fraction(1, 2) if isinstance(like, Fraction) else 0.5
