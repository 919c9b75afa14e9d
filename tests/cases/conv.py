"""Conv and ConvTranspose. Random geometries are in tests/ops/test_conv.py."""

from __future__ import annotations

from xaicore.errors import ShapeError
from xaicore.ops import Conv, ConvTranspose

from .case import Case


def conv(**settings):
    def run(x, w, b=None):
        from torch.nn import functional as F  # noqa: N812 (its usual name)

        return (F.conv1d, F.conv2d, F.conv3d)[x.ndim - 3](x, w, b, **settings)

    return run


def conv_transpose(**settings):
    def run(x, w, b=None):
        from torch.nn import functional as F  # noqa: N812

        return (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[x.ndim - 3](x, w, b, **settings)

    return run


def asymmetric(x, w):
    from torch.nn import functional as F  # noqa: N812

    return F.conv2d(F.pad(x, (0, 2, 1, 0)), w)


CASES = (
    Case(
        "Conv",
        Conv(),
        ((3, 2, 4, 5), (3, 2, 2, 3)),
        torch=conv(),
        errors=(
            (((3, 2, 5), (3, 2, 2, 3)), ShapeError, "x has shape (3, 2, 5) and w (3, 2, 2, 3)"),
            (((3, 2), (3, 2)), ShapeError, "one to three spatial axes"),
            (((3, 2, 4, 4, 4, 4), (3, 2, 1, 1, 1, 1)), ShapeError, "one to three spatial axes"),
            (((3, 4, 4, 5), (3, 2, 2, 3)), ShapeError, "x has 4 channels and w has shape (3, 2, 2, 3)"),
            (((3, 2, 1, 5), (3, 2, 2, 3)), ShapeError, "a window of 2 does not fit an axis of 1 + 0 + 0 entries"),
        ),
    ),
    Case("Conv-bias", Conv(), ((3, 2, 4, 5), (3, 2, 2, 3), (3,)), torch=conv(), errors=(
        (((3, 2, 4, 5), (3, 2, 2, 3), (2,)), ShapeError, "the bias has shape (2,), but w has 3 outputs"),
    )),
    Case("Conv-1d", Conv((2,), (), ((1, 1),)), ((3, 2, 6), (3, 2, 3), (3,)), torch=conv(stride=2, padding=1), errors=(
        (((3, 2, 4, 5), (3, 2, 2, 3)), ShapeError, "stride has 1 entries, but w (3, 2, 2, 3) has 2 spatial axes"),
    )),
    Case("Conv-3d", Conv((), (), ((1, 1), (0, 0), (1, 1))), ((3, 2, 2, 3, 2), (2, 2, 2, 2, 3)), torch=conv(padding=(1, 0, 1))),
    Case("Conv-pointwise", Conv(), ((3, 3, 2, 3), (2, 3, 1, 1), (2,)), torch=conv()),
    Case("Conv-pointwise-stride", Conv((2, 2)), ((3, 3, 3, 4), (2, 3, 1, 1)), torch=conv(stride=2)),
    Case("Conv-stride-leaves-rest", Conv((3, 2)), ((3, 2, 6, 5), (2, 2, 2, 2)), torch=conv(stride=(3, 2))),
    Case("Conv-dilation", Conv((), (2, 3)), ((3, 2, 4, 5), (2, 2, 2, 2)), torch=conv(dilation=(2, 3))),
    Case("Conv-stride-dilation", Conv((2, 1), (1, 2), ((1, 1), (2, 2))), ((3, 2, 4, 4), (2, 2, 3, 2), (2,)),
         torch=conv(stride=(2, 1), dilation=(1, 2), padding=(1, 2))),
    Case("Conv-pads-differ", Conv((), (), ((1, 0), (0, 2))), ((3, 2, 3, 3), (2, 2, 2, 2)), torch=asymmetric),
    Case("Conv-pads-wider-than-window", Conv((), (), ((2, 2), (3, 3))), ((3, 1, 2, 2), (2, 1, 2, 2)), torch=conv(padding=(2, 3))),
    Case(
        "Conv-groups",
        Conv((), (), ((1, 1), (1, 1)), 2),
        ((3, 4, 3, 3), (6, 2, 2, 2), (6,)),
        torch=conv(padding=1, groups=2),
        errors=(
            (((3, 3, 3, 3), (6, 2, 2, 2), (6,)), ShapeError, "x has 3 channels"),
            (((3, 4, 3, 3), (5, 2, 2, 2), (5,)), ShapeError, "O a multiple of 2"),
        ),
    ),
    Case("Conv-groups-stride", Conv((2, 1), groups=2), ((3, 4, 4, 3), (4, 2, 2, 2)), torch=conv(stride=(2, 1), groups=2)),
    Case("Conv-depthwise", Conv((), (), ((1, 1), (1, 1)), 3), ((3, 3, 3, 4), (3, 1, 3, 3), (3,)), torch=conv(padding=1, groups=3)),
    Case("Conv-depthwise-multiplier", Conv((2, 1), (1, 2), (), 2), ((3, 2, 5, 4), (6, 1, 2, 2)),
         torch=conv(stride=(2, 1), dilation=(1, 2), groups=2)),
    Case(
        "ConvTranspose",
        ConvTranspose(),
        ((3, 3, 2, 3), (3, 2, 2, 3)),
        torch=conv_transpose(),
        errors=(
            (((3, 2, 2, 3), (3, 2, 2, 3)), ShapeError, "x has 2 channels and w has shape (3, 2, 2, 3)"),
            (((3, 3, 2), (3, 2, 2, 3)), ShapeError, "x has shape (3, 3, 2)"),
        ),
    ),
    Case("ConvTranspose-bias", ConvTranspose((2, 2)), ((3, 3, 2, 3), (3, 2, 2, 3), (2,)), torch=conv_transpose(stride=2), errors=(
        (((3, 3, 2, 3), (3, 2, 2, 3), (3,)), ShapeError, "the bias has shape (3,), but w has 2 outputs"),
    )),
    Case(
        "ConvTranspose-1d",
        ConvTranspose((2,), (), ((1, 1),), (1,)),
        ((3, 2, 3), (2, 3, 3)),
        torch=conv_transpose(stride=2, padding=1, output_padding=1),
        errors=(
            (((3, 2, 3, 3), (2, 3, 3, 3)), ShapeError, "stride has 1 entries"),
            (((3, 2, 1), (2, 3, 1)), ShapeError, "the output of x (3, 2, 1) and w (2, 3, 1) would have the size (0,)"),
        ),
    ),
    Case("ConvTranspose-3d", ConvTranspose((1, 2, 1)), ((3, 2, 2, 2, 1), (2, 2, 1, 2, 2)), torch=conv_transpose(stride=(1, 2, 1))),
    Case("ConvTranspose-stride-pads", ConvTranspose((2, 3), (), ((1, 1), (0, 0)), (1, 2)), ((3, 2, 3, 2), (2, 3, 3, 2), (3,)),
         torch=conv_transpose(stride=(2, 3), padding=(1, 0), output_padding=(1, 2))),
    Case("ConvTranspose-stride-over-kernel", ConvTranspose((3, 3)), ((3, 2, 2, 2), (2, 2, 2, 1)), torch=conv_transpose(stride=3)),
    Case("ConvTranspose-dilation", ConvTranspose((), (2, 1)), ((3, 2, 2, 3), (2, 2, 2, 2)), torch=conv_transpose(dilation=(2, 1))),
    Case("ConvTranspose-groups", ConvTranspose((2, 1), groups=2), ((3, 4, 2, 2), (4, 3, 2, 2), (6,)),
         torch=conv_transpose(stride=(2, 1), groups=2)),
    Case("ConvTranspose-depthwise", ConvTranspose((2, 2), groups=3), ((3, 3, 2, 2), (3, 1, 2, 2)),
         torch=conv_transpose(stride=2, groups=3)),
)
