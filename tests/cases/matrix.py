"""Cases of functions of whole matrices."""

from __future__ import annotations

import numpy as np

from xaicore.errors import ShapeError
from xaicore.ops import Det

from .case import Case, normal


def singular(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """The last row is twice the first."""
    x = normal(rng, shape)
    x[..., -1, :] = 2 * x[..., 0, :]
    return x


def leibniz(x):
    """The sum over all permutations of three."""
    signs = {(0, 1, 2): 1, (1, 2, 0): 1, (2, 0, 1): 1, (0, 2, 1): -1, (2, 1, 0): -1, (1, 0, 2): -1}
    return sum(sign * x[..., 0, a] * x[..., 1, b] * x[..., 2, c] for (a, b, c), sign in signs.items())


CASES = (
    Case("Det", Det(), ((3, 4, 4),), torch=lambda x: x.det(), errors=(
        (((3, 3),), ShapeError, "(N, ..., M, M) is expected"), (((3, 3, 2),), ShapeError, "(N, ..., M, M) is expected"),
    )),
    Case("Det-stack", Det(), ((3, 2, 3, 3),), torch=leibniz),
    Case("Det-singular", Det(), ((3, 3, 3),), singular, torch=leibniz),
    Case("Det-one", Det(), ((3, 1, 1),), torch=lambda x: x[:, 0, 0]),
)
