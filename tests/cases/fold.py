"""Windows as columns and back. Random geometries are in tests/ops/test_fold.py."""

from __future__ import annotations

from xaicore.errors import ShapeError
from xaicore.ops import Fold, Unfold

from .case import Case, normal


def functional(name, **settings):
    def run(x):
        from torch.nn import functional

        return getattr(functional, name)(x, **settings)

    return run


def on_a_line(name, size=None, pads=(0, 0), **settings):
    """torch's operator for images, on images of one row; uneven padding is added before or cut off behind."""
    def run(x):
        from torch.nn.functional import pad

        if name == "unfold":
            return functional(name, **settings)(pad(x, pads)[:, :, None])
        y = functional(name, output_size=(1, size + sum(pads)), **settings)(x)[:, :, 0]
        return y[..., pads[0] : y.shape[-1] - pads[1]]

    return run


def volumes(x):
    """Windows of 2 x 1 x 2, written with slices."""
    import torch

    parts = [x[:, :, a : a + 2, :, c : c + 3] for a in (0, 1) for c in (0, 1)]
    return torch.stack(parts, 2).reshape(len(x), 4 * x.shape[1], -1)


CASES = (
    Case("Unfold", Unfold((2, 3)), ((3, 2, 4, 5),), normal, torch=functional("unfold", kernel_size=(2, 3)), errors=(
        (((3, 2, 4),), ShapeError, "one spatial axis for each entry of kernel"),
        (((3, 2, 1, 5),), ShapeError, "a window of 2 does not fit an axis of 1 + 0 + 0 entries"),
    )),
    Case("Unfold-all", Unfold((2, 3), (2, 1), (1, 2), ((1, 1), (2, 2))), ((3, 2, 4, 5),), normal,
         torch=functional("unfold", kernel_size=(2, 3), stride=(2, 1), dilation=(1, 2), padding=(1, 2))),
    Case("Unfold-1d", Unfold((3,), (2,), (), ((2, 1),)), ((3, 2, 5),), normal, torch=on_a_line("unfold", pads=(2, 1), kernel_size=(1, 3), stride=(1, 2))),
    Case("Unfold-3d", Unfold((2, 1, 2)), ((3, 2, 3, 2, 4),), normal, torch=volumes),
    Case("Fold", Fold((4, 5), (2, 3)), ((3, 12, 9),), normal, torch=functional("fold", output_size=(4, 5), kernel_size=(2, 3)), errors=(
        (((3, 12, 8),), ShapeError, "x has shape (3, 12, 8), but (N, C * 6, 9) is expected"),
        (((3, 11, 9),), ShapeError, "(N, C * 6, 9) is expected"),
    )),
    Case("Fold-all", Fold((4, 5), (2, 3), (2, 1), (1, 2), ((1, 1), (2, 2))), ((3, 6, 15),), normal,
         torch=functional("fold", output_size=(4, 5), kernel_size=(2, 3), stride=(2, 1), dilation=(1, 2), padding=(1, 2))),
    Case("Fold-1d", Fold((5,), (3,), (2,), (), ((2, 1),)), ((3, 6, 3),), normal,
         torch=on_a_line("fold", size=5, pads=(2, 1), kernel_size=(1, 3), stride=(1, 2))),
    Case("Fold-3d", Fold((3, 2, 4), (2, 1, 2)), ((3, 8, 12),), normal),
)
