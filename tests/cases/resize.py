"""Pad and Resize. What torch has no setting for is compared with ONNX in tests/backends, and with a loop in tests/ops/test_resize.py."""

from __future__ import annotations

from fractions import Fraction

from xaicore.errors import ShapeError
from xaicore.ops import Pad, Resize

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
    Case("Resize", Resize((4, 9), "nearest", "asymmetric", "floor"), ((3, 2, 2, 3),), distinct, torch=interpolate(size=(4, 9)), errors=(
        (((3, 2),), ShapeError, "the batch, an axis for each entry of size and no empty one are expected"),
        (((3, 2, 0, 4),), ShapeError, "no empty one"),
    )),
    Case("Resize-1d", Resize((5,), "nearest", "asymmetric", "floor"), ((3, 2, 3),), distinct, torch=interpolate(size=5)),
    Case("Resize-3d", Resize((2, 4, 1), "nearest", "asymmetric", "floor"), ((3, 1, 1, 2, 3),), distinct, torch=interpolate(size=(2, 4, 1))),
    Case("Resize-smaller", Resize((2, 3), "nearest", "asymmetric", "floor"), ((3, 2, 5, 4),), distinct, torch=interpolate(size=(2, 3))),
    Case("Resize-scales", Resize((5, 4), "nearest", "asymmetric", "floor", (2.5, 1.5)), ((3, 2, 2, 3),), distinct,
         torch=interpolate(scale_factor=(2.5, 1.5))),
    Case("Resize-exact", Resize((4, 7), "nearest", "half_pixel", "round_prefer_ceil"), ((3, 2, 3, 5),), distinct,
         torch=interpolate(size=(4, 7), mode="nearest-exact")),
    Case("Resize-nearest-onnx", Resize((4, 2), "nearest"), ((3, 2, 3, 5),), distinct),
    Case("Resize-keras", Resize((4, 7), "nearest", "tf_half_pixel_for_nn", "floor"), ((3, 2, 3, 5),), distinct),
    Case("Resize-ceil", Resize((4,), "nearest", "align_corners", "ceil"), ((3, 5),), distinct),
    Case("Resize-linear", Resize((5, 4), "linear"), ((3, 2, 3, 4),), distinct, torch=interpolate(size=(5, 4), mode="bilinear")),
    Case("Resize-linear-1d", Resize((7,), "linear"), ((3, 2, 3),), distinct, torch=interpolate(size=7, mode="linear")),
    Case("Resize-linear-3d", Resize((3, 2, 4), "linear"), ((3, 1, 2, 3, 2),), distinct,
         torch=interpolate(size=(3, 2, 4), mode="trilinear")),
    Case("Resize-linear-corners", Resize((5, 1), "linear", "align_corners"), ((3, 2, 3, 4),), distinct,
         torch=interpolate(size=(5, 1), mode="bilinear", align_corners=True)),
    Case("Resize-linear-scales", Resize((5, 2), "linear", scales=(2.5, 0.5)), ((3, 2, 2, 5),), distinct,
         torch=interpolate(scale_factor=(2.5, 0.5), mode="bilinear")),
    Case("Resize-linear-symmetric", Resize((3, 4), "linear", "half_pixel_symmetric", scales=(0.625, 1.375)), ((3, 1, 5, 3),), distinct),
    Case("Resize-linear-pytorch", Resize((1, 7), "linear", "pytorch_half_pixel"), ((3, 1, 4, 3),), distinct),
    Case("Resize-linear-antialias", Resize((2, 7), "linear", exclude_outside=True, antialias=True), ((3, 2, 7, 4),), distinct,
         torch=interpolate(size=(2, 7), mode="bilinear", antialias=True)),
    Case("Resize-linear-antialias-onnx", Resize((2, 3), "linear", antialias=True, scales=(0.4375, 0.5625)), ((3, 1, 5, 6),), distinct),
    Case("Resize-cubic", Resize((5, 3), "cubic"), ((3, 2, 4, 5),), distinct, torch=interpolate(size=(5, 3), mode="bicubic")),
    Case("Resize-cubic-corners", Resize((5, 1), "cubic", "align_corners"), ((3, 1, 3, 4),), distinct,
         torch=interpolate(size=(5, 1), mode="bicubic", align_corners=True)),
    Case("Resize-cubic-scales", Resize((7, 2), "cubic", scales=(2.5, 0.5)), ((3, 1, 3, 5),), distinct,
         torch=interpolate(scale_factor=(2.5, 0.5), mode="bicubic")),
    Case("Resize-cubic-antialias", Resize((3, 7), "cubic", cubic=-0.5, exclude_outside=True, antialias=True), ((3, 1, 8, 4),), distinct,
         torch=interpolate(size=(3, 7), mode="bicubic", antialias=True)),
    Case("Resize-cubic-inside", Resize((9,), "cubic", exclude_outside=True, cubic=-0.5), ((3, 2, 4),), distinct),
    Case("Resize-crop", Resize((3, 5), "linear", "tf_crop_and_resize", crop=((0.25, 0.75), (-0.5, 1.25))), ((3, 2, 5, 4),), distinct),
    Case("Resize-crop-nearest", Resize((3,), "nearest", "tf_crop_and_resize", crop=((-0.5, 0.5),)), ((3, 2, 5),), distinct),
)
