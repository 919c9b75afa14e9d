"""Cases of functions with steps. Their jumps lie on numbers that no draw meets."""

from __future__ import annotations

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import FakeQuantize, Mod, Shrink, Threshold

from .case import Case, given, nonzero, normal

X = ((3, 2, 5),)


def functional(name, *args):
    def run(x):
        from torch.nn import functional

        return getattr(functional, name)(x, *args)

    return run


def onnx_shrink(lambd, bias):
    return lambda x: (x - bias) * (x > lambd) + (x + bias) * (x < -lambd)


def wide(rng, shape):
    """Several whole numbers apart, in odd multiples of 1/512: no multiple of an odd multiple of 1/128."""
    return 4 * normal(rng, shape) + 1 / 512


def fake_quantize(low, high, axis=None):
    """torch's own, with the scales of its choice: float32."""
    def run(x, scale, zero):
        import torch

        if axis is None:
            return torch.fake_quantize_per_tensor_affine(x, float(scale.detach()), int(zero.detach()), low, high)
        return torch.fake_quantize_per_channel_affine(x, scale.detach().reshape(-1).float(), zero.detach().reshape(-1).int(), axis, low, high)

    return run


CASES = (
    Case("Threshold", Threshold(0.5), X, torch=functional("threshold", 0.5, 0.0)),
    Case("Threshold-below", Threshold(-0.25, 2.0), X, torch=functional("threshold", -0.25, 2.0)),
    Case("Threshold-continuous", Threshold(0.25, 0.25), X, torch=functional("threshold", 0.25, 0.25)),
    Case("Shrink", Shrink(), X, torch=functional("hardshrink", 0.5)),
    Case("Shrink-soft", Shrink(0.25, 0.25), X, torch=functional("softshrink", 0.25)),
    Case("Shrink-onnx", Shrink(0.75, 0.5), X, torch=onnx_shrink(0.75, 0.5)),
    Case("Mod", Mod(), ((3, 2, 5), (3, 2, 5)), (wide, nonzero), (True, True), torch=lambda a, b: a.remainder(b), errors=(
        ((np.ones((1, 2)), np.array([1.0, 0.0])), InputError, "Mod: the input is 0.0 at index (1,)"),
        (((3, 2), (3,)), ShapeError, "do not broadcast"),
    )),
    Case("Mod-trunc", Mod("trunc"), ((3, 2, 5), (2, 1)), (wide, nonzero), torch=lambda a, b: a.fmod(b)),
    Case("FakeQuantize", FakeQuantize(-3, 4), ((3, 2, 5), (), ()), (normal, given(0.25), given(1)), torch=fake_quantize(-3, 4), errors=(
        (((3, 2), (3, 1, 1), ()), ShapeError, "scale of shape (3, 1, 1) does not broadcast to x of shape (3, 2)"),
        ((np.zeros((3, 2)), np.zeros(()), np.zeros(())), InputError, "FakeQuantize: the scale is 0.0"),
    )),
    Case("FakeQuantize-channels", FakeQuantize(0, 7), ((3, 2, 5), (2, 1), (2, 1)), (normal, given([0.25, 0.5]), given([3.0, 4.0])),
         torch=fake_quantize(0, 7, 1)),
)

