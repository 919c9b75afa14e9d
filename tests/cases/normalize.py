"""Cases of the normalisations."""

from __future__ import annotations

from typing import Any

import numpy as np

from xaicore.errors import InputError, ShapeError
from xaicore.ops import BatchNorm, GroupNorm, InstanceNorm, LayerNorm, LocalResponseNorm, RMSNorm

from .case import Case, normal, positive
from .elementwise import functional


def batch_norm(x: Any, gamma: Any, beta: Any, mean: Any, var: Any) -> Any:
    import torch

    return torch.nn.functional.batch_norm(x, mean.detach(), var.detach(), gamma, beta, training=False, eps=1e-5)


def norm(name: str, *settings: Any) -> Any:
    """layer_norm, group_norm or rms_norm of torch, whose settings stand between x and the parameters."""

    def call(x: Any, *params: Any) -> Any:
        import torch

        return getattr(torch.nn.functional, name)(x, *settings, *params, eps=1e-5)

    return call


def instance_norm(x: Any, gamma: Any = None, beta: Any = None) -> Any:
    import torch

    return torch.nn.functional.instance_norm(x, weight=gamma, bias=beta, eps=1e-5)


STATS = (normal, normal, normal, normal, positive)
C = (4,)

CASES = (
    Case("BatchNorm", BatchNorm(), ((3, 4, 2, 3), C, C, C, C), STATS, torch=batch_norm, errors=(
        (((3, 5), C, C, C, C), ShapeError, "gamma has shape (4,)"),
        (((3,), C, C, C, C), ShapeError, "rank 2 or more"),
        (((2, 1), (1,), (1,), (1,), np.array([-1.0])), InputError, "var plus eps"),
    )),
    Case("BatchNorm-flat", BatchNorm(), ((3, 4), C, C, C, C), STATS, torch=batch_norm),
    Case("BatchNorm-3d", BatchNorm(), ((3, 4, 2, 1, 2), C, C, C, C), STATS, torch=batch_norm),
    Case("LayerNorm", LayerNorm(), ((3, 2, 5), (5,), (5,)), torch=norm("layer_norm", (5,)), errors=(
        (((3, 2, 5), (2,), (5,)), ShapeError, "gamma has shape (2,)"),
        (((3,),), ShapeError, "rank 2 or more"),
    )),
    Case("LayerNorm-plain", LayerNorm(), ((3, 6),), torch=norm("layer_norm", (6,))),
    Case("LayerNorm-gamma", LayerNorm(), ((3, 6), (6,)), torch=norm("layer_norm", (6,))),
    Case("LayerNorm-two-axes", LayerNorm(axes=2), ((3, 2, 2, 3), (2, 3), (2, 3)), torch=norm("layer_norm", (2, 3))),
    Case("LayerNorm-eps0", LayerNorm(eps=0.0), ((3, 6),), errors=((((3, 6),), InputError, "mean square plus eps is 0.0"),)),
    Case("RMSNorm", RMSNorm(), ((3, 2, 5), (5,)), torch=norm("rms_norm", (5,)), errors=(
        (((3, 2, 5), (2, 5)), ShapeError, "gamma has shape (2, 5)"),
    )),
    Case("RMSNorm-plain", RMSNorm(), ((3, 5),), torch=norm("rms_norm", (5,))),
    Case("RMSNorm-two-axes", RMSNorm(axes=2), ((3, 2, 3), (2, 3)), torch=norm("rms_norm", (2, 3))),
    Case("GroupNorm", GroupNorm(2), ((3, 4, 2, 3), C, C), torch=norm("group_norm", 2), errors=(
        (((3, 5, 2),), ShapeError, "do not divide into 2 groups"),
        (((3, 4, 2), (2,)), ShapeError, "gamma has shape (2,)"),
    )),
    Case("GroupNorm-plain", GroupNorm(2), ((3, 4, 3),), torch=norm("group_norm", 2)),
    Case("GroupNorm-one", GroupNorm(1), ((3, 4), C, C), torch=norm("group_norm", 1)),
    Case("InstanceNorm", InstanceNorm(), ((3, 4, 2, 3), C, C), torch=instance_norm, errors=(
        (((3, 4),), ShapeError, "at least one spatial axis"),
    )),
    Case("InstanceNorm-plain", InstanceNorm(), ((3, 2, 6),), torch=instance_norm),
    Case("LocalResponseNorm", LocalResponseNorm(3, alpha=0.5), ((3, 5, 2, 3),), torch=functional(
        "local_response_norm", size=3, alpha=0.5,
    ), errors=((((3,),), ShapeError, "rank 2 or more"),)),
    Case("LocalResponseNorm-even", LocalResponseNorm(2, 0.3, 0.6, 2.0), ((3, 5, 4),), torch=functional(
        "local_response_norm", size=2, alpha=0.3, beta=0.6, k=2.0,
    )),
    Case("LocalResponseNorm-wide", LocalResponseNorm(7, 0.9, 0.75, 1.0), ((3, 3, 2),), torch=functional(
        "local_response_norm", size=7, alpha=0.9,
    )),
    Case("LocalResponseNorm-k0", LocalResponseNorm(1, 1.0, 0.5, 0.0), ((3, 2, 2),), positive, errors=(
        (((3, 2, 2),), InputError, "k + alpha/size * sum x^2 is 0.0"),
    )),
)
