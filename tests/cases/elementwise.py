"""Cases of the activations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from xaicore.errors import ShapeError
from xaicore.ops import (
    CELU,
    ELU,
    GELU,
    SELU,
    Clip,
    HardSigmoid,
    HardSwish,
    LeakyReLU,
    Mish,
    PReLU,
    ReLU,
    ReLU6,
    Sigmoid,
    SiLU,
    Softplus,
    Softsign,
    Tanh,
)

from .case import Case, normal

FLOAT32_CONSTANTS = 1e-7
"""torch keeps the constants of these two functions as float32 in the backward pass, also that of float64."""


def functional(name: str, **settings: Any) -> Callable[..., Any]:
    """torch.nn.functional.<name> with these settings."""

    def call(*xs: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(*xs, **settings)

    return call


def wide(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """About N(0, 4^2), in odd multiples of 1/32, so that every branch is met and no kink."""
    return 4 * normal(rng, shape)


def prelu(x: Any, slope: Any) -> Any:
    import torch

    return torch.nn.functional.prelu(x, slope.reshape(-1))


X = ((3, 2, 5),)

CASES = (
    Case("ReLU", ReLU(), X, torch=functional("relu")),
    Case("LeakyReLU", LeakyReLU(), X, torch=functional("leaky_relu")),
    Case("LeakyReLU-0.2", LeakyReLU(0.2), X, torch=functional("leaky_relu", negative_slope=0.2)),
    Case("LeakyReLU-negative", LeakyReLU(-0.5), X, torch=functional("leaky_relu", negative_slope=-0.5)),
    Case(
        "PReLU-channel", PReLU(), ((3, 2, 4), (2, 1)), torch=prelu,
        errors=((((3, 2, 4), (3,)), ShapeError, "does not broadcast"), (((3, 4), (2, 3, 4)), ShapeError, "(C, 1, 1)")),
    ),
    Case("PReLU-shared", PReLU(), ((3, 4), (1,)), torch=prelu),
    Case("PReLU-scalar", PReLU(), ((3, 4), ()), torch=prelu),
    Case("ReLU6", ReLU6(), X, wide, torch=functional("relu6")),
    Case("Clip", Clip(-1.0, 2.0), X, wide, torch=lambda x: x.clamp(-1.0, 2.0)),
    Case("Clip-low", Clip(low=0.1), X, torch=lambda x: x.clamp(min=0.1)),
    Case("Clip-high", Clip(high=0.1), X, torch=lambda x: x.clamp(max=0.1)),
    Case("Clip-infinite", Clip(-np.inf, np.inf), X, torch=lambda x: x.clamp(-np.inf, np.inf)),
    Case("Clip-crossed", Clip(1.0, -1.0), X, torch=lambda x: x.clamp(1.0, -1.0)),
    Case("HardSigmoid", HardSigmoid(), X, wide, torch=functional("hardsigmoid"), torch_rtol=FLOAT32_CONSTANTS),
    Case("HardSigmoid-onnx", HardSigmoid(0.2, 0.5), X, wide, torch=lambda x: (0.2 * x + 0.5).clamp(0, 1)),
    Case("HardSwish", HardSwish(), X, wide, torch=functional("hardswish")),
    Case("Softsign", Softsign(), X, torch=functional("softsign")),
    Case("ELU", ELU(), X, torch=functional("elu")),
    Case("ELU-alpha", ELU(0.3), X, torch=functional("elu", alpha=0.3)),
    Case("SELU", SELU(), X, torch=functional("selu")),
    Case("CELU", CELU(), X, torch=functional("celu")),
    Case("CELU-alpha", CELU(0.3), X, torch=functional("celu", alpha=0.3), torch_rtol=FLOAT32_CONSTANTS),
    Case("Sigmoid", Sigmoid(), X, wide, torch=lambda x: x.sigmoid()),
    Case("Tanh", Tanh(), X, wide, torch=lambda x: x.tanh()),
    Case("SiLU", SiLU(), X, wide, torch=functional("silu")),
    Case("SiLU-beta", SiLU(1.5), X, torch=lambda x: x * (1.5 * x).sigmoid()),
    Case("GELU", GELU(), X, torch=functional("gelu")),
    Case("GELU-tanh", GELU("tanh"), X, torch=functional("gelu", approximate="tanh")),
    Case("Mish", Mish(), X, wide, torch=functional("mish")),
    Case("Softplus", Softplus(), X, wide, torch=functional("softplus")),
    Case("Softplus-beta", Softplus(3.0), X, torch=functional("softplus", beta=3.0)),
)
