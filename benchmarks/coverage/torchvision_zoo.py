"""torchvision: 80 classifiers, 6 segmentation networks, 9 video networks, without trained weights, on small pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from unittest.mock import patch

import torch
import torchvision
from torchvision.models.video import mvit

from benchmarks.coverage.measure import Subject
from benchmarks.coverage.torch_subject import draw, torch_subject

CLASSES = 10

SIZES: Mapping[str, int] = {"inception_v3": 96, "alexnet": 96, "vit_h_14": 56}
"""Side of the picture where 64 is too small, or does not fit the patches."""

DEEP: Mapping[str, tuple[str, Callable[[], Any]]]
"""Models of more than 250 million parameters, which float64 does not hold in the memory limit twice, and one whose windows ask for
pictures of 224 x 224: what was made smaller, and how."""


def _vit(patch: int, layers: int, heads: int, width: int, mlp: int, size: int) -> Callable[[], Any]:
    return lambda: torchvision.models.VisionTransformer(size, patch, layers, heads, width, mlp, num_classes=CLASSES)


def _regnet() -> Any:
    from torchvision.models.regnet import BlockParams, RegNet

    return RegNet(BlockParams.from_init_params(depth=9, w_0=456, w_a=160.83, w_m=2.52, group_width=264, se_ratio=0.25), num_classes=CLASSES)


def _maxvit() -> Any:
    return torchvision.models.MaxVit((64, 64), 64, 2, [64, 128, 256, 512], [2, 2, 5, 2], 32, 0.2, num_classes=CLASSES)


DEEP = {
    "vit_l_16": ("6 of 24 layers", _vit(16, 6, 16, 1024, 4096, 64)), "vit_l_32": ("6 of 24 layers", _vit(32, 6, 16, 1024, 4096, 64)),
    "maxvit_t": ("windows of 2 x 2, not 7 x 7", _maxvit), "vit_h_14": ("4 of 32 layers", _vit(14, 4, 16, 1280, 5120, 56)), "regnet_y_128gf": ("9 of 27 blocks", _regnet),
}

def _convnext_large() -> Any:
    from torchvision.models.convnext import CNBlockConfig, ConvNeXt

    stages = [CNBlockConfig(192, 384, 3), CNBlockConfig(384, 768, 3), CNBlockConfig(768, 1536, 9), CNBlockConfig(1536, None, 3)]
    return ConvNeXt(stages, num_classes=CLASSES)


def _s3d() -> Any:
    model = torchvision.models.get_model("s3d", weights=None, num_classes=CLASSES)
    model.avgpool = torch.nn.AvgPool3d((2, 2, 2), stride=1)
    return model


SMALLER: Mapping[str, tuple[str, Callable[[], Any], tuple[int, ...]]] = {
    "convnext_large": ("9 of 27 blocks in its third stage", _convnext_large, (3, 32, 32)),
    "s3d": ("its last pool 2 x 2 x 2, not 2 x 7 x 7", _s3d, (3, 16, 64, 64)),
}
"""Models that the comparison of routes, which holds a model three times, would not hold in the memory limit: how made smaller, on what."""

FIRST = frozenset({
    "alexnet", "convnext_tiny", "densenet121", "efficientnet_b0", "efficientnet_v2_s", "googlenet", "inception_v3", "maxvit_t", "mnasnet0_5",
    "mobilenet_v2", "mobilenet_v3_small", "regnet_x_400mf", "regnet_y_400mf", "resnet18", "resnet50", "shufflenet_v2_x0_5", "squeezenet1_0",
    "squeezenet1_1", "swin_t", "swin_v2_t", "vgg11", "vgg11_bn", "vit_b_32",
})
"""One or two of each family. The others are measured on pictures of 32 x 32: the same operators, a quarter of the time."""

CLASSIFICATION = sorted(m for m in torchvision.models.list_models(module=torchvision.models) if not m.startswith("raft"))
SEGMENTATION = sorted(torchvision.models.list_models(module=torchvision.models.segmentation))
VIDEO = sorted(torchvision.models.list_models(module=torchvision.models.video))
MODELS = dict.fromkeys([*CLASSIFICATION, *SEGMENTATION, *VIDEO])


def subject(name: str) -> Subject:
    """The model with 10 classes, for pictures of 64 x 64 or 32 x 32 (films of 8) where it can take them."""
    if name in VIDEO:
        return _video(name)
    settings: dict[str, Any] = {"num_classes": CLASSES, "weights": None}
    size = SIZES.get(name, 64 if name in FIRST or name.startswith("vit") else 32)
    reduced = ""
    if name in SEGMENTATION:
        settings["weights_backbone"] = None
    if name.startswith("vit_"):
        settings["image_size"] = size
    if name in ("googlenet", "inception_v3"):
        settings["init_weights"] = False
    if name in DEEP:
        reduced, build = DEEP[name]
        model = build()
    else:
        model = torchvision.models.get_model(name, **settings)
    return torch_subject(model, draw(3, size, size), reduced=reduced, side=size)


def compared(name: str) -> Subject:
    """The same for the comparison of routes."""
    if name not in SMALLER:
        return subject(name)
    reduced, build, shape = SMALLER[name]
    return torch_subject(build(), draw(*shape), reduced=reduced, side=shape[-1])


def _video(name: str) -> Subject:
    settings: dict[str, Any] = {"num_classes": CLASSES, "weights": None}
    frames, size = 8, 64 if name.startswith(("mvit", "swin")) else 32
    if name.startswith("mvit"):
        inner = mvit._mvit
        with patch.object(mvit, "_mvit", lambda *a, **k: inner(*a, **{**k, "spatial_size": (size, size), "temporal_size": frames})):
            return torch_subject(torchvision.models.get_model(name, **settings), draw(3, frames, size, size), side=size)
    if name == "s3d":
        frames, size = 16, 224                                          # its last pool is 2 x 7 x 7
    return torch_subject(torchvision.models.get_model(name, **settings), draw(3, frames, size, size), side=size)
