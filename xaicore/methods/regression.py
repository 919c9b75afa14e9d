"""Weighted least squares, with a ridge, with the lasso's path and with forward selection: what surrogate models are fitted with.

Floats are solved by orthogonal factorisation, Fractions by Gaussian elimination of the normal equations.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from xaicore.errors import InputError
from xaicore.numerics import Array, filled, is_exact, scalar


def least_squares(z: Array, y: Array, w: Array, ridge: float = 0, intercept: bool = True) -> tuple[Array, Any]:
    """argmin over (β, c) of Σ_k w_k (y_k - z_k β - c)² + ridge |β|²: (β (P,), c).

    z (K, P), y (K,), w (K,) >= 0; c is not penalised, and 0 without ``intercept``. InputError where the rows do not determine β.

    >>> z, y = np.array([[0.0], [1.0], [2.0]]), np.array([1.0, 3.0, 5.0])
    >>> [v.round(9).tolist() for v in least_squares(z, y, np.ones(3))]
    [[2.0], 1.0]
    """
    columns = np.concatenate([z, filled((len(z), 1), 1, z)], axis=1) if intercept else z
    if len(z) < columns.shape[1] and not ridge:
        raise _undetermined(len(z), columns.shape[1])
    if is_exact(columns):
        beta = _by_elimination(columns, y, w, ridge, z.shape[1])
    else:
        root = np.sqrt(w)[:, None]
        a, b = columns * root, y * root[:, 0]
        if ridge:
            more = np.zeros((z.shape[1], columns.shape[1]), dtype=z.dtype)
            np.fill_diagonal(more, np.sqrt(ridge))
            a, b = np.concatenate([a, more]), np.concatenate([b, np.zeros(len(more), dtype=y.dtype)])
        beta, _, rank, _ = np.linalg.lstsq(a, b, rcond=None)
        if rank < a.shape[1]:
            raise _undetermined(len(z), columns.shape[1])
    return (beta[:-1], beta[-1]) if intercept else (beta, scalar(0, beta))


def _undetermined(rows: int, weights: int) -> InputError:
    return InputError(f"{rows} samples do not determine {weights} weights: they must differ enough, and there must be as many at least. "
                      f"Raise samples, make the players fewer (mask=...), or give ridge=1 where the method has it")


def _by_elimination(columns: Array, y: Array, w: Array, ridge: Any, penalised: int) -> Array:
    a = (columns * w[:, None]).T @ columns
    b = (columns * w[:, None]).T @ y
    for k in range(penalised):
        a[k, k] = a[k, k] + scalar(ridge, a)
    return solved(a, b, len(columns))


def solved(a: Array, b: Array, rows: int) -> Array:
    """x with a x = b, for Fractions, by Gauss and Jordan."""
    n = len(b)
    m = [[*a[k], b[k]] for k in range(n)]
    for k in range(n):
        pivot = next((r for r in range(k, n) if m[r][k] != 0), None)
        if pivot is None:
            raise _undetermined(rows, n)
        m[k], m[pivot] = m[pivot], m[k]
        m[k] = [v / m[k][k] for v in m[k]]
        for r in range(n):
            if r != k and m[r][k] != 0:
                m[r] = [p - m[r][k] * q for p, q in zip(m[r], m[k])]
    out = np.empty(n, dtype=object)
    out[:] = [row[-1] for row in m]
    return out


# ----- which columns count ----------------------------------------------------------------------------------------


def centred(z: Array, y: Array, w: Array) -> tuple[Array, Array]:
    """√w (z - z̄) and √w (y - ȳ) with the weighted means, so that a fit to them needs no intercept."""
    total = w.sum()
    z, y = z - (w[:, None] * z).sum(axis=0) / total, y - (w * y).sum() / total
    return z * np.sqrt(w)[:, None], y * np.sqrt(w)


def lasso_path(x: Array, y: Array) -> Iterator[tuple[float, Array]]:
    """(λ, β) at every kink of β(λ) = argmin ½ |y - x β|² + λ |β|_1, from the λ above which β is 0 down to 0.

    The homotopy: between kinks β is linear in λ; at one, a column comes in (its correlation with the residual reaches λ) or
    goes out (its weight reaches 0). Source: efron2004, with the modification for the lasso.
    """
    p = x.shape[1]
    beta = np.zeros(p)
    active: list[int] = []
    c = x.T @ y
    level = float(abs(c).max(initial=0))
    floor = 1e-12 * max(level, 1e-300)                                  # below, correlations are rounding of sums of products
    yield level, beta.copy()
    dropped = -1
    while level > floor and len(active) <= min(p, len(x)):
        for j in np.flatnonzero(abs(c) >= level - 1e-9 * level).tolist():         # ties come in one after the other
            if j not in active and j != dropped:
                active.append(j)
                break
        gram = x[:, active].T @ x[:, active]
        if np.linalg.matrix_rank(gram) < len(active):
            active.pop()
            return
        d = np.linalg.solve(gram, np.sign(c[active]))
        slope = x.T @ (x[:, active] @ d)
        step, out = level, -1
        for j in sorted(set(range(p)) - set(active)):
            for top, bottom in ((level - c[j], 1 - slope[j]), (level + c[j], 1 + slope[j])):
                if bottom > 1e-12 and 1e-12 * level < top / bottom < step and not (j == dropped and top / bottom < 1e-9 * level):
                    step = float(top / bottom)
        for k, j in enumerate(active):
            gone = float(-beta[j] / d[k]) if d[k] != 0 else -1.0
            if 1e-12 * level < gone < step:
                step, out = gone, k
        beta[active] += step * d
        level -= step
        dropped = -1
        if out >= 0:
            dropped = active.pop(out)
            beta[dropped] = 0
        c = x.T @ (y - x @ beta)
        yield max(level, 0.0), beta.copy()


def lasso(z: Array, y: Array, w: Array, penalty: float) -> tuple[Array, Any]:
    """argmin over (β, c) of Σ_k w_k (y_k - z_k β - c)² / (2 Σ w) + penalty |β|_1: scikit-learn's objective, from the path.

    Between two kinks of the path β is linear in λ = penalty Σ w.
    """
    total = w.sum()
    level, beta = float(penalty * total), np.zeros(z.shape[1])
    above: tuple[float, Array] | None = None
    for here in lasso_path(*centred(z, y, w)):
        beta = here[1]
        if here[0] <= level:
            if above is not None and above[0] > here[0]:
                part = (above[0] - level) / (above[0] - here[0])
                beta = above[1] + part * (here[1] - above[1])
            break
        above = here
    beta = beta.astype(z.dtype)
    return beta, (w * (y - z @ beta)).sum() / total


def by_lasso(z: Array, y: Array, w: Array, count: int) -> list[int]:
    """The columns that the lasso uses at the last kink at which it uses no more than ``count``: K-Lasso.

    Not the kink before the first at which it uses more: a column may go out again.
    """
    best: Array = np.zeros(0, dtype=int)
    for _, beta in lasso_path(*centred(z, y, w)):
        used = np.flatnonzero(beta)
        if len(used) <= count:
            best = used
    return sorted(int(j) for j in best)


def by_forward(z: Array, y: Array, w: Array, count: int) -> list[int]:
    """One column after the other, each time the one with which least squares leaves the smallest residual."""
    x, target = centred(z, y, w)
    found: list[int] = []
    for _ in range(min(count, z.shape[1])):
        left = {}
        for j in set(range(z.shape[1])) - set(found):
            columns = x[:, [*found, j]]
            left[j] = float(((target - columns @ np.linalg.lstsq(columns, target, rcond=None)[0]) ** 2).sum())
        found.append(min(left, key=lambda j: (left[j], j)))
    return sorted(found)


def by_weight(z: Array, y: Array, w: Array, count: int) -> list[int]:
    """The columns with the largest weights of a ridge regression (0.01) on all of them."""
    beta, _ = least_squares(z, y, w, 0.01)
    return sorted(int(j) for j in np.argsort(-abs(beta), kind="stable")[:count])


SELECTIONS = {"lasso": by_lasso, "forward": by_forward, "highest": by_weight}


def r_squared(z: Array, y: Array, w: Array, beta: Array, intercept: Any) -> Any:
    """1 - Σ w (y - prediction)² / Σ w (y - ȳ)²; 1 where y is constant and met."""
    left = (w * (y - z @ beta - intercept) ** 2).sum()
    spread = (w * (y - (w * y).sum() / w.sum()) ** 2).sum()
    return scalar(1, y) - left / spread if spread != 0 else scalar(int(left == 0), y)
