"""keras.applications: the 40 constructors, without trained weights, on small pictures."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.coverage.keras_subject import SAMPLES, keras, keras_subject
from benchmarks.coverage.measure import Subject

CLASSES = 10

SIZES: Mapping[str, int] = {"InceptionV3": 96, "InceptionResNetV2": 96, "Xception": 96}
"""Side of the picture where 64 is too small."""


def _convnext(kind: str, third: int, last: int) -> Callable[[int], Any]:
    from keras.src.applications import convnext

    settings = {**convnext.MODEL_CONFIGS[kind], "depths": [3, 3, third, last]}
    return lambda size: convnext.ConvNeXt(
        **{k: settings[k] for k in ("depths", "projection_dims", "default_size")}, name=f"convnext_{kind}", weights=None,
        input_shape=(size, size, 3), classes=CLASSES,
    )


def _nasnet_mobile(size: int) -> Any:
    from keras.src.applications.nasnet import NASNet

    return NASNet((size, size, 3), penultimate_filters=1056, num_blocks=4, stem_block_filters=32, skip_reduction=False, filter_multiplier=2,
                  weights=None, classes=CLASSES, default_size=224)


DEEP: Mapping[str, tuple[str, Callable[[int], Any]]] = {"ConvNeXtXLarge": ("9 of 27 blocks in its third stage", _convnext("xlarge", 9, 3))}
"""The one of 350 million parameters, which float64 does not hold in the memory limit twice: what was made smaller, and how."""

SMALLER: Mapping[str, tuple[str, Callable[[int], Any]]] = {
    "ConvNeXtLarge": ("9 of 27 blocks in its third stage", _convnext("large", 9, 3)),
    "ConvNeXtXLarge": ("3 of 27 blocks in its third stage, 1 of 3 in its last", _convnext("xlarge", 3, 1)),
}
"""The same for the comparison of routes, which holds a model three times."""

MODELS: Mapping[str, Any] = {
    name: one for name, one in sorted(vars(keras.applications).items())
    if inspect.isfunction(one) and "weights" in inspect.signature(one).parameters
}


def compared(name: str) -> Subject:
    """The subject for the comparison of routes."""
    return subject(name, {**DEEP, **SMALLER})


def subject(name: str, deep: Mapping[str, tuple[str, Callable[[int], Any]]] = DEEP) -> Subject:
    """The model with its softmax head, 10 classes, for pictures of 64 x 64 pixels from 0 to 255."""
    size = SIZES.get(name, 64)
    reduced = ""
    if name in deep:
        reduced, build = deep[name]
        model = build(size)
    elif name == "NASNetMobile":                # its constructor refuses on torch for a fault in loading weights; the network is this call
        model = _nasnet_mobile(size)
    else:
        model = MODELS[name](weights=None, input_shape=(size, size, 3), classes=CLASSES)
    return keras_subject(model, [np.random.default_rng(1).uniform(0, 255, (SAMPLES, size, size, 3))], reduced=reduced)
