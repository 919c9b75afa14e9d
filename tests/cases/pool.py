"""Pools. Random geometries are in tests/ops/test_pool.py."""

from __future__ import annotations

from xaicore.errors import ShapeError
from xaicore.ops import AdaptiveAvgPool, AdaptiveMaxPool, AvgPool, GlobalAvgPool, GlobalMaxPool, LpPool, MaxPool, MaxPoolIndices

from .case import Case, distinct


def functional(name, **settings):
    def run(x):
        from torch.nn import functional

        return getattr(functional, name)(x, **settings)

    return run


def where(name, **settings):
    return lambda x: functional(name, return_indices=True, **settings)(x)[1]


WRONG_RANK = tuple(((shape,), ShapeError, "one spatial axis for each entry of") for shape in ((3, 2, 4), (3, 2, 4, 4, 4)))

CASES = (
    Case(
        "MaxPool",
        MaxPool((2, 2)),
        ((3, 2, 4, 5),),
        distinct,
        torch=functional("max_pool2d", kernel_size=2),
        errors=(*WRONG_RANK, (((3, 2, 1, 4),), ShapeError, "a window of 2 does not fit an axis of 1 + 0 + 0 entries")),
    ),
    Case("MaxPool-1d", MaxPool((3,), (1,)), ((3, 2, 5),), distinct, torch=functional("max_pool1d", kernel_size=3, stride=1)),
    Case("MaxPool-3d", MaxPool((2, 1, 2), (1, 1, 1)), ((3, 1, 3, 2, 3),), distinct,
         torch=functional("max_pool3d", kernel_size=(2, 1, 2), stride=1)),
    Case("MaxPool-overlap-pads", MaxPool((3, 3), (2, 2), (), ((1, 1), (1, 1))), ((3, 2, 5, 4),), distinct,
         torch=functional("max_pool2d", kernel_size=3, stride=2, padding=1)),
    Case("MaxPool-ceil", MaxPool((3, 2), (2, 2), ceil=True), ((3, 1, 6, 5),), distinct,
         torch=functional("max_pool2d", kernel_size=(3, 2), stride=2, ceil_mode=True)),
    Case(
        "MaxPool-ceil-last-window-outside",
        MaxPool((2,), (2,), (), ((1, 1),), ceil=True),
        ((3, 2, 3),),
        distinct,
        torch=functional("max_pool1d", kernel_size=2, stride=2, padding=1, ceil_mode=True),
    ),
    Case("MaxPool-dilation", MaxPool((2, 2), (1, 1), (2, 3), ((1, 1), (1, 1))), ((3, 1, 4, 5),), distinct,
         torch=functional("max_pool2d", kernel_size=2, stride=1, dilation=(2, 3), padding=1)),
    Case("MaxPool-negative-beside-padding", MaxPool((2, 2), (), (), ((1, 1), (1, 1))), ((3, 1, 4, 4),),
         lambda rng, shape: distinct(rng, shape) - 10, torch=functional("max_pool2d", kernel_size=2, padding=1)),
    Case("MaxPool-only-padding", MaxPool((2,), (1,), (2,), ((1, 1),)), ((3, 1, 5),), distinct, errors=(
        (((3, 1, 1),), ShapeError, "sees only padding"),
    )),
    Case("MaxPool-single", MaxPool((1, 1)), ((3, 2, 2, 2),), distinct, torch=functional("max_pool2d", kernel_size=1)),
    Case("AdaptiveMaxPool", AdaptiveMaxPool((3, 2)), ((3, 2, 5, 7),), distinct,
         torch=functional("adaptive_max_pool2d", output_size=(3, 2)),
         errors=(*WRONG_RANK, (((3, 2, 0, 4),), ShapeError, "no empty axis in S"))),
    Case("AdaptiveMaxPool-grows", AdaptiveMaxPool((5,)), ((3, 2, 3),), distinct, torch=functional("adaptive_max_pool1d", output_size=5)),
    Case("AdaptiveMaxPool-3d", AdaptiveMaxPool((1, 2, 2)), ((3, 1, 2, 3, 2),), distinct,
         torch=functional("adaptive_max_pool3d", output_size=(1, 2, 2))),
    Case("GlobalMaxPool", GlobalMaxPool(), ((3, 2, 3, 4),), distinct, torch=lambda x: x.amax((2, 3), keepdim=True),
         errors=((((3, 2),), ShapeError, "(N, C, *S)"), (((3, 2, 0),), ShapeError, "no empty axis in S"))),
    Case("GlobalMaxPool-1d", GlobalMaxPool(), ((3, 2, 5),), distinct, torch=lambda x: x.amax(2, keepdim=True)),
    Case("MaxPoolIndices", MaxPoolIndices((2, 2)), ((3, 2, 4, 5),), distinct, torch=where("max_pool2d", kernel_size=2), errors=WRONG_RANK),
    Case("MaxPoolIndices-all", MaxPoolIndices((3, 2), (2, 1), (1, 2), ((1, 1), (1, 1)), True), ((3, 2, 6, 5),), distinct,
         torch=where("max_pool2d", kernel_size=(3, 2), stride=(2, 1), dilation=(1, 2), padding=(1, 1), ceil_mode=True)),
    Case("MaxPoolIndices-3d", MaxPoolIndices((2, 1, 2), (1, 1, 1)), ((3, 1, 3, 2, 3),), distinct,
         torch=where("max_pool3d", kernel_size=(2, 1, 2), stride=1)),
    Case("AvgPool", AvgPool((2, 2)), ((3, 2, 4, 5),), torch=functional("avg_pool2d", kernel_size=2), errors=WRONG_RANK),
    Case("AvgPool-1d", AvgPool((3,), (1,)), ((3, 2, 5),), torch=functional("avg_pool1d", kernel_size=3, stride=1)),
    Case("AvgPool-3d", AvgPool((2, 2, 1), (1, 2, 1)), ((3, 1, 3, 4, 2),),
         torch=functional("avg_pool3d", kernel_size=(2, 2, 1), stride=(1, 2, 1))),
    Case("AvgPool-pads", AvgPool((3, 3), (2, 1), (), ((1, 1), (1, 1))), ((3, 2, 5, 3),),
         torch=functional("avg_pool2d", kernel_size=3, stride=(2, 1), padding=1)),
    Case("AvgPool-pads-not-counted", AvgPool((3, 3), (2, 1), (), ((1, 1), (1, 1)), count_include_pad=False), ((3, 2, 5, 3),),
         torch=functional("avg_pool2d", kernel_size=3, stride=(2, 1), padding=1, count_include_pad=False)),
    Case("AvgPool-ceil", AvgPool((3, 2), (2, 2), (), ((1, 1), (0, 0)), True), ((3, 1, 4, 5),),
         torch=functional("avg_pool2d", kernel_size=(3, 2), stride=2, padding=(1, 0), ceil_mode=True)),
    Case("AvgPool-ceil-not-counted", AvgPool((3, 2), (2, 2), (), ((1, 1), (0, 0)), True, False), ((3, 1, 4, 5),),
         torch=functional("avg_pool2d", kernel_size=(3, 2), stride=2, padding=(1, 0), ceil_mode=True, count_include_pad=False)),
    Case("AvgPool-divisor", AvgPool((2, 2), (), (), ((1, 1), (1, 1)), divisor=3), ((3, 1, 4, 4),),
         torch=functional("avg_pool2d", kernel_size=2, padding=1, divisor_override=3)),
    Case("AvgPool-dilation", AvgPool((2,), (1,), (3,), ((1, 2),)), ((3, 2, 5),)),
    Case("AvgPool-stride-over-kernel", AvgPool((2,), (3,)), ((3, 2, 7),), torch=functional("avg_pool1d", kernel_size=2, stride=3)),
    Case("AdaptiveAvgPool", AdaptiveAvgPool((3, 2)), ((3, 2, 5, 7),), torch=functional("adaptive_avg_pool2d", output_size=(3, 2)),
         errors=WRONG_RANK),
    Case("AdaptiveAvgPool-grows", AdaptiveAvgPool((5,)), ((3, 2, 3),), torch=functional("adaptive_avg_pool1d", output_size=5)),
    Case("AdaptiveAvgPool-3d", AdaptiveAvgPool((1, 2, 2)), ((3, 1, 2, 3, 2),),
         torch=functional("adaptive_avg_pool3d", output_size=(1, 2, 2))),
    Case("GlobalAvgPool", GlobalAvgPool(), ((3, 2, 3, 4),), torch=lambda x: x.mean((2, 3), keepdim=True),
         errors=((((3, 2),), ShapeError, "(N, C, *S)"),)),
    Case("GlobalAvgPool-1d", GlobalAvgPool(), ((3, 2, 5),), torch=lambda x: x.mean(2, keepdim=True)),
    Case("LpPool", LpPool(2, (2, 2)), ((3, 2, 4, 5),), torch=functional("lp_pool2d", norm_type=2, kernel_size=2), errors=WRONG_RANK),
    Case("LpPool-4", LpPool(4, (3,), (1,)), ((3, 2, 5),), torch=functional("lp_pool1d", norm_type=4, kernel_size=3, stride=1)),
    Case("LpPool-1", LpPool(1, (2,), (1,)), ((3, 2, 5),), torch=lambda x: 2 * functional("avg_pool1d", kernel_size=2, stride=1)(x.abs())),
    Case("LpPool-cubic-pads-ceil", LpPool(3, (2, 2), (2, 2), (1, 2), ((1, 1), (1, 0)), True), ((3, 1, 4, 4),)),
)
