"""Pad and Upsample."""

from __future__ import annotations

from fractions import Fraction

from xaicore.errors import ShapeError
from xaicore.ops import Pad, Upsample

from .case import Case, distinct


def pad(*pads, **settings):
    def run(x):
        from torch.nn.functional import pad

        return pad(x, pads, **settings)

    return run


def interpolate(**settings):
    def run(x):
        from torch.nn.functional import interpolate

        return interpolate(x, **settings)

    return run


CASES = (
    Case("Pad", Pad(((1, 0), (2, 3))), ((3, 2, 3, 4),), distinct, torch=pad(2, 3, 1, 0), errors=(
        (((3, 4),), ShapeError, "3 axes at least are expected"),
    )),
    Case("Pad-value", Pad(((1, 2),), value=2.5), ((3, 2, 3),), distinct, torch=pad(1, 2, value=2.5)),
    Case("Pad-value-fraction", Pad(((1, 2),), value=Fraction(1, 4)), ((3, 2, 3),), distinct, torch=pad(1, 2, value=0.25)),
    Case("Pad-crop", Pad(((-1, 2), (1, -2))), ((3, 3, 4),), distinct, torch=pad(1, -2, -1, 2), errors=(
        (((3, 1, 4),), ShapeError, "nothing is left of an axis of 1 entries"),
    )),
    Case("Pad-reflect", Pad(((1, 2), (3, 0)), "reflect"), ((3, 2, 3, 4),), distinct, torch=pad(3, 0, 1, 2, mode="reflect"), errors=(
        (((3, 2, 2, 4),), ShapeError, "an axis of 2 entries of x (3, 2, 2, 4) can be mirrored by 1 entries at most"),
    )),
    Case("Pad-edge", Pad(((1, 2), (5, 0)), "edge"), ((3, 2, 3, 4),), distinct, torch=pad(5, 0, 1, 2, mode="replicate")),
    Case("Upsample", Upsample((4, 9)), ((3, 2, 2, 3),), distinct, torch=interpolate(size=(4, 9)), errors=(
        (((3, 2, 4),), ShapeError, "one spatial axis for each entry of size"),
        (((3, 2, 0, 4),), ShapeError, "empty axis"),
    )),
    Case("Upsample-1d", Upsample((5,)), ((3, 2, 3),), distinct, torch=interpolate(size=5)),
    Case("Upsample-3d", Upsample((2, 4, 1)), ((3, 1, 1, 2, 3),), distinct, torch=interpolate(size=(2, 4, 1))),
    Case("Upsample-smaller", Upsample((2, 3)), ((3, 2, 5, 4),), distinct, torch=interpolate(size=(2, 3))),
    Case("Upsample-scales", Upsample((5, 4), scales=(2.5, 1.5)), ((3, 2, 2, 3),), distinct, torch=interpolate(scale_factor=(2.5, 1.5))),
    Case("Upsample-linear", Upsample((5, 4), "linear"), ((3, 2, 3, 4),), distinct, torch=interpolate(size=(5, 4), mode="bilinear")),
    Case("Upsample-linear-1d", Upsample((7,), "linear"), ((3, 2, 3),), distinct, torch=interpolate(size=7, mode="linear")),
    Case("Upsample-linear-3d", Upsample((3, 2, 4), "linear"), ((3, 1, 2, 3, 2),), distinct,
         torch=interpolate(size=(3, 2, 4), mode="trilinear")),
    Case("Upsample-linear-corners", Upsample((5, 1), "linear", True), ((3, 2, 3, 4),), distinct,
         torch=interpolate(size=(5, 1), mode="bilinear", align_corners=True)),
    Case("Upsample-linear-scales", Upsample((5, 2), "linear", scales=(2.5, 0.5)), ((3, 2, 2, 5),), distinct,
         torch=interpolate(scale_factor=(2.5, 0.5), mode="bilinear")),
)
