"""Cases of grid sampling: every mode with every padding; places inside and outside, never on an entry or an edge."""

from __future__ import annotations

import numpy as np

from xaicore.errors import ShapeError
from xaicore.ops import GridSample

from .case import Case, Domain, normal

BOTH = (True, True)


def places(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """In [-2, 2], odd multiples of 1/128: a fifth of them beyond each end."""
    return (2 * rng.integers(-128, 128, shape) + 1) / 128


def sample(mode, padding, corners):
    def run(x, grid):
        from torch.nn.functional import grid_sample

        batch = max(len(x), len(grid))
        x, grid = (v.expand(batch, *v.shape[1:]) for v in (x, grid))
        return grid_sample(x, grid, mode, padding, corners)

    return run


def on_a_line(x, grid):
    """An image of one row, read in its middle."""
    import torch
    from torch.nn.functional import grid_sample

    wide = torch.cat([grid, torch.zeros_like(grid)], -1)[:, None]
    return grid_sample(x[:, :, None], wide, "bilinear", "border", False)[:, :, 0]


IMAGE, GRID = (3, 2, 4, 5), (3, 3, 2, 2)
WITH: tuple[Domain, ...] = (normal, places)

CASES = (
    Case("GridSample", GridSample(), (IMAGE, GRID), WITH, BOTH, torch=sample("bilinear", "zeros", False), errors=(
        (((3, 2), (3, 1)), ShapeError, "(N, C, *S) with one to three axes in S"),
        (((3, 2, 4, 5), (3, 3, 2)), ShapeError, "(N, *O, 2) with 2 axes in O is expected"),
        (((3, 2, 4, 5), (2, 3, 2, 2)), ShapeError, "x has 3 samples and the grid 2"),
    )),
    *(Case(f"GridSample-{mode}-{padding}{'-corners' * corners}", GridSample(mode, padding, corners), (IMAGE, GRID), WITH,
           (True, mode != "nearest"), torch=sample(name, padding, corners), batched=BOTH)
      for mode, name in (("linear", "bilinear"), ("nearest", "nearest"), ("cubic", "bicubic"))
      for padding in ("zeros", "border", "reflection") for corners in (False, True) if (mode, padding, corners) != ("linear", "zeros", False)),
    Case("GridSample-same-for-all", GridSample(), (IMAGE, (1, 3, 2, 2)), WITH, torch=sample("bilinear", "zeros", False)),
    Case("GridSample-constant-image", GridSample(), ((1, 2, 4, 5), GRID), WITH, (False, True), torch=sample("bilinear", "zeros", False)),
    Case("GridSample-1d", GridSample("linear", "border"), ((3, 2, 5), (3, 4, 1)), WITH, BOTH, torch=on_a_line),
    Case("GridSample-3d", GridSample("linear", "reflection"), ((3, 1, 2, 3, 4), (3, 2, 1, 2, 3)), WITH, BOTH,
         torch=sample("bilinear", "reflection", False)),
)
