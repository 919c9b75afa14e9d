"""Second opinions on the rules of LRP: the papers' formulas with loops over the neurons of one layer, given as a matrix (W, b).

The matrix of any affine node comes from feeding it unit vectors. All work on floats and on Fractions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

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


def _with_share(parts: list[Any], w: Vector, amount: Any) -> list[Any]:
    """The parts, and of ``amount`` the same for every input that is wired to the neuron."""
    if amount == 0:
        return parts
    fan_in = sum(1 for v in w if v != 0)
    return [p + (amount / fan_in if v != 0 else 0) for p, v in zip(parts, w)]


def _stable(z: Any, eps: Any, how: str = "sign") -> Any:
    """z moved away from 0: by eps to its own side ("sign"), upwards ("plain"), at 0 alone ("zero"), or to eps at least ("clip")."""
    if how == "plain":
        return z + eps
    if how == "zero":
        return z if z != 0 else z + eps
    if how == "clip":
        return z if abs(z) > eps else _sign(z) * eps
    return z + _sign(z) * eps


def epsilon(x: Vector, w: Matrix, b: Vector, r: Vector, eps: Any = 0, bias: str = "absorb", stabilizer: str = "sign") -> list[Any]:
    """Bach et al. 2015, eqs. 56 and 58, with the bias policies; every input with a weight that is not 0 counts."""
    def shares(j: int) -> list[Any]:
        parts = [x[i] * w[j][i] for i in range(len(x))]
        z = sum(parts) + (b[j] if bias != "ignore" else 0)
        return _quotients(_with_share(parts, w[j], b[j]) if bias == "distribute" else parts, _stable(z, eps, stabilizer))

    return _spread(r, shares, len(x))


def alpha_beta(x: Vector, w: Matrix, b: Vector, r: Vector, alpha: Any = 2, bias: str = "absorb", split: str = "contributions",
               eps: Any = 0) -> list[Any]:
    """Bach et al. 2015, eq. 60, with alpha - beta = 1; bias="whole" has all of b in both denominators."""
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
            offset = b[j] if bias == "whole" or (bias != "ignore" and keep(b[j])) else 0
            z = _stable(sum(parts) + offset, eps) if eps else sum(parts) + offset
            if bias == "distribute":
                parts = _with_share(parts, w[j], offset)
            for i, q in enumerate(_quotients(parts, z)):
                out[i] = out[i] + factor * q
        return out

    return _spread(r, shares, len(x))


def z_plus(x: Vector, w: Matrix, b: Vector, r: Vector, bias: str = "absorb", split: str = "contributions", eps: Any = 0) -> list[Any]:
    """Montavon et al. 2017: shares of the positive contributions."""
    return alpha_beta(x, w, b, r, 1, bias, split, eps)


def gamma(x: Vector, w: Matrix, b: Vector, r: Vector, gamma: Any, variant: str = "generalized", bias: str = "absorb", eps: Any = 0
          ) -> list[Any]:
    """x (w + γ w+) and its form for signed inputs, which favours the contributions of the sign of z; bias="whole" never favours b."""
    def shares(j: int) -> list[Any]:
        offset = b[j] if bias != "ignore" else 0
        z = sum(x[i] * w[j][i] for i in range(len(x))) + offset
        if variant == "generalized" and z == 0:
            return [0] * len(x)
        up = variant == "original" or z > 0

        def favour(contribution: Any, by: Any) -> Any:
            favoured = by > 0 if up else by < 0
            return contribution * (1 + gamma) if favoured else contribution

        parts = [favour(x[i] * w[j][i], w[j][i] if variant == "original" else x[i] * w[j][i]) for i in range(len(x))]
        added = offset if bias == "whole" else favour(offset, offset)
        z = sum(parts) + added
        return _quotients(_with_share(parts, w[j], added) if bias == "distribute" else parts, _stable(z, eps) if eps else z)

    return _spread(r, shares, len(x))


def w_square(x: Vector, w: Matrix, b: Vector, r: Vector, with_bias: bool = False) -> list[Any]:
    """Montavon et al. 2017, eq. 12; zennit adds b²."""
    return _spread(r, lambda j: _quotients([v * v for v in w[j]], sum(v * v for v in w[j]) + (b[j] * b[j] if with_bias else 0)), len(x))


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

