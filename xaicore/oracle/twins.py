"""Second opinions: slower, dumber implementations that share no code with what they check.

The LRP twins are the papers' formulas with loops over the neurons of one layer, given as a matrix (W, b); the matrix of
any affine node comes from feeding it unit vectors. All work on floats and on Fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations, product
from math import comb, factorial
from typing import Any

import numpy as np

from xaicore.graph.graph import Graph
from xaicore.numerics import Array
from xaicore.trace import Step

Vector = Sequence[Any]
Matrix = Sequence[Sequence[Any]]


def as_matrix(step: Step, i: int = 0) -> tuple[list[Any], list[list[Any]], list[Any]]:
    """(x, W, b) of an affine node in its active input ``i``, for the first sample: y_j = Σ_k W[j][k] x_k + b_j."""
    xs = [v[:1] if on else v for v, on in zip(step.xs, step.active)]
    x = xs[i].reshape(-1)

    def f(values: list[Any]) -> list[Any]:
        new = np.array(values, dtype=x.dtype).reshape(xs[i].shape)
        return list(step.node.op.forward(*(new if k == i else v for k, v in enumerate(xs))).reshape(-1))

    zero = [v * 0 for v in x]
    b = f(zero)
    columns = []
    for k in range(len(x)):
        unit = list(zero)
        unit[k] = zero[k] + 1
        columns.append([p - q for p, q in zip(f(unit), b)])
    w = [[columns[k][j] for k in range(len(x))] for j in range(len(b))]
    return list(x), w, b


def _sign(z: Any) -> int:
    return -1 if z < 0 else 1


def _spread(r: Vector, shares: Callable[[int], list[Any]], n: int) -> list[Any]:
    """R_i = Σ_j shares(j)[i] R_j."""
    out: list[Any] = [0] * n
    for j, rj in enumerate(r):
        if rj == 0:
            continue
        for i, part in enumerate(shares(j)):
            out[i] = out[i] + part * rj
    return out


def _quotients(parts: list[Any], z: Any) -> list[Any]:
    return [p / z if z != 0 else p * 0 for p in parts]


def epsilon(x: Vector, w: Matrix, b: Vector, r: Vector, eps: Any = 0, bias: str = "absorb") -> list[Any]:
    """Bach et al. 2015, eqs. 56 and 58, with the three bias policies; every input with a weight that is not 0 counts."""
    def shares(j: int) -> list[Any]:
        parts = [x[i] * w[j][i] for i in range(len(x))]
        z = sum(parts) + (b[j] if bias != "ignore" else 0)
        if bias == "distribute":
            fan_in = sum(1 for v in w[j] if v != 0)
            parts = [p + (b[j] / fan_in if w[j][i] != 0 else 0) for i, p in enumerate(parts)]
        return _quotients(parts, z + eps * _sign(z))

    return _spread(r, shares, len(x))


def alpha_beta(x: Vector, w: Matrix, b: Vector, r: Vector, alpha: Any = 2, bias: str = "absorb", split: str = "contributions") -> list[Any]:
    """Bach et al. 2015, eq. 60, with alpha - beta = 1."""
    beta = alpha - 1

    def shares(j: int) -> list[Any]:
        out: list[Any] = [0] * len(x)
        for factor, positive in ((alpha, True), (-beta, False)):
            def keep(v: Any, positive: bool = positive) -> bool:
                return bool(v > 0) if positive else bool(v < 0)

            parts = []
            for i in range(len(x)):
                decides = x[i] * w[j][i] if split == "contributions" else w[j][i]
                parts.append(x[i] * w[j][i] if keep(decides) else 0)
            z = sum(parts) + (b[j] if bias == "absorb" and keep(b[j]) else 0)
            for i, q in enumerate(_quotients(parts, z)):
                out[i] = out[i] + factor * q
        return out

    return _spread(r, shares, len(x))


def z_plus(x: Vector, w: Matrix, b: Vector, r: Vector, bias: str = "absorb") -> list[Any]:
    """Montavon et al. 2017: shares of the positive contributions."""
    def shares(j: int) -> list[Any]:
        parts = [max(x[i] * w[j][i], 0) for i in range(len(x))]
        return _quotients(parts, sum(parts) + (max(b[j], 0) if bias == "absorb" else 0))

    return _spread(r, shares, len(x))


def gamma(x: Vector, w: Matrix, b: Vector, r: Vector, gamma: Any, variant: str = "generalized", bias: str = "absorb") -> list[Any]:
    """x (w + γ w+) and its form for signed inputs, which favours the contributions of the sign of z."""
    def shares(j: int) -> list[Any]:
        offset = b[j] if bias == "absorb" else 0
        z = sum(x[i] * w[j][i] for i in range(len(x))) + offset
        if variant == "generalized" and z == 0:
            return [0] * len(x)
        up = variant == "original" or z > 0

        def favour(contribution: Any, by: Any) -> Any:
            favoured = by > 0 if up else by < 0
            return contribution * (1 + gamma) if favoured else contribution

        parts = [favour(x[i] * w[j][i], w[j][i] if variant == "original" else x[i] * w[j][i]) for i in range(len(x))]
        return _quotients(parts, sum(parts) + favour(offset, offset))

    return _spread(r, shares, len(x))


def w_square(x: Vector, w: Matrix, b: Vector, r: Vector) -> list[Any]:
    """Montavon et al. 2017, eq. 12."""
    return _spread(r, lambda j: _quotients([v * v for v in w[j]], sum(v * v for v in w[j])), len(x))


def flat(x: Vector, w: Matrix, b: Vector, r: Vector) -> list[Any]:
    """Equal shares among the inputs that are wired to j (weight not 0)."""
    return _spread(r, lambda j: _quotients([v / v if v != 0 else v for v in w[j]], sum(1 for v in w[j] if v != 0)), len(x))


def z_box(x: Vector, w: Matrix, b: Vector, r: Vector, low: Any, high: Any) -> list[Any]:
    """Montavon et al. 2017, pixels in a box."""
    def shares(j: int) -> list[Any]:
        parts = [x[i] * w[j][i] - low * max(w[j][i], 0) - high * min(w[j][i], 0) for i in range(len(x))]
        return _quotients(parts, sum(parts))

    return _spread(r, shares, len(x))


# ----- whole graphs -----------------------------------------------------------------------------------------------


def winning_probability(x: Vector, w: Matrix, p: Vector) -> list[Any]:
    """P_i = Σ_j P(i | j) P_j with P(i | j) = x_i w_ij / Z_j for w_ij >= 0 and 0 otherwise, Z_j making Σ_i P(i | j) = 1. zhang2016."""
    out = [v * 0 for v in x]
    for j, row in enumerate(w):
        excitatory = [i for i in range(len(x)) if row[i] >= 0]
        z = sum(x[i] * row[i] for i in excitatory)
        for i in excitatory:
            if z != 0:
                out[i] += x[i] * row[i] / z * p[j]
    return out


def central_differences(graph: Graph, x: Array, score: Callable[[Any], float], h: float = 1e-6) -> Array:
    """∂ score(graph(x)) / ∂x for one sample, one entry at a time."""
    out = np.zeros(x.shape)
    for k in range(x.size):
        up, down = x.copy(), x.copy()
        up.reshape(-1)[k] += h
        down.reshape(-1)[k] -= h
        out.reshape(-1)[k] = (score(graph(up)) - score(graph(down))) / (2 * h)
    return out


def dense_integrated_gradients(grad: Callable[[Array], Array], x: Array, baseline: Array, steps: int) -> Array:
    """(x - x') ⊙ mean of ∇f at the midpoints of ``steps`` equal parts of the straight path."""
    total = np.zeros(x.shape)
    for k in range(steps):
        total += grad(baseline + (x - baseline) * ((k + 0.5) / steps))
    return (x - baseline) * total / steps


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


# ----- games ------------------------------------------------------------------------------------------------------

Worth = Callable[[frozenset[int]], Any]
"""v: what a set of players is worth."""


def shapley_by_orders(v: Worth, players: int) -> list[Any]:
    """The mean, over all M! orders, of what each player adds to those before it."""
    out: list[Any] = [0] * players
    orders = list(permutations(range(players)))
    for order in orders:
        before: frozenset[int] = frozenset()
        for i in order:
            out[i] = out[i] + v(before | {i}) - v(before)
            before = before | {i}
    return [o / len(orders) for o in out]


def subsets(of: Sequence[int]) -> list[frozenset[int]]:
    """Every subset, the empty one first."""
    return [frozenset(s) for k in range(len(of) + 1) for s in combinations(of, k)]


def shapley_by_formula(v: Worth, players: int) -> list[Any]:
    """Shapley 1953: Σ |S|! (M - |S| - 1)! [v(S + i) - v(S)] / M!."""
    out = []
    for i in range(players):
        others = [k for k in range(players) if k != i]
        terms = [factorial(len(s)) * factorial(players - len(s) - 1) * (v(s | {i}) - v(s)) for s in subsets(others)]
        out.append(sum(terms) / factorial(players))
    return out


def banzhaf(v: Worth, players: int) -> list[Any]:
    """The mean, over all sets of the other players, of what each player adds."""
    out = []
    for i in range(players):
        every = subsets([k for k in range(players) if k != i])
        out.append(sum(v(s | {i}) - v(s) for s in every) / len(every))
    return out


def shapley_interaction(v: Worth, players: int, i: int, j: int) -> Any:
    """Grabisch and Roubens 1999: Σ |S|! (M - |S| - 2)! [v(S + i + j) - v(S + i) - v(S + j) + v(S)] / (M - 1)!."""
    total: Any = 0
    for s in subsets([k for k in range(players) if k not in (i, j)]):
        weight = factorial(len(s)) * factorial(players - len(s) - 2)
        total = total + weight * (v(s | {i, j}) - v(s | {i}) - v(s | {j}) + v(s))
    return total / factorial(players - 1)


def shapley_by_integral(v: Worth, players: int) -> list[float]:
    """Owen 1972: the integral over t of the derivatives, at (t, ..., t), of the multilinear extension of v.

    The derivative is a polynomial of degree M - 1 in t, so ceil(M / 2) Gauss-Legendre nodes are exact.
    """
    nodes, weights = np.polynomial.legendre.leggauss((players + 1) // 2)
    out = [0.0] * players
    for node, weight in zip((nodes + 1) / 2, weights / 2):
        for i in range(players):
            for s in subsets([k for k in range(players) if k != i]):
                chance = node ** len(s) * (1 - node) ** (players - 1 - len(s))
                out[i] += float(weight * chance * (v(s | {i}) - v(s)))
    return out


Tree = Any
"""A player's number, or a sequence of trees: a group."""


def orders_of(tree: Tree) -> list[tuple[int, ...]]:
    """All orders in which the members of every group come one after the other."""
    if isinstance(tree, int):
        return [(tree,)]
    out = []
    for order in permutations(tree):
        for parts in product(*(orders_of(child) for child in order)):
            out.append(tuple(i for part in parts for i in part))
    return out


def owen_by_orders(v: Worth, tree: Tree) -> dict[int, Any]:
    """The mean, over all orders that keep groups together, of what each player adds to those before it."""
    orders = orders_of(tree)
    out: dict[int, Any] = dict.fromkeys(orders[0], 0)
    for order in orders:
        for k, i in enumerate(order):
            out[i] = out[i] + v(frozenset(order[: k + 1])) - v(frozenset(order[:k]))
    return {i: o / len(orders) for i, o in out.items()}


def kernel_shap_literal(v: Worth, players: int) -> Array:
    """Lundberg and Lee 2017, theorem 2: the weighted least squares with a multiplier for the condition on the sum."""
    rows, targets, weights = [], [], []
    for s in subsets(range(players)):
        if 0 < len(s) < players:
            rows.append([1.0 if k in s else 0.0 for k in range(players)])
            targets.append(float(v(s) - v(frozenset())))
            weights.append((players - 1) / (comb(players, len(s)) * len(s) * (players - len(s))))
    z, y, w = np.array(rows), np.array(targets), np.array(weights)
    system = np.ones((players + 1, players + 1))
    system[:-1, :-1], system[-1, -1] = 2 * z.T @ (w[:, None] * z), 0
    right = np.append(2 * z.T @ (w * y), float(v(frozenset(range(players))) - v(frozenset())))
    return np.asarray(np.linalg.solve(system, right)[:-1])
