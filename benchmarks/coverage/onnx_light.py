"""The nine light models of the onnx package: networks of 2012 to 2017 at opset 9, at their own size, up to the logits, with
constants drawn anew."""

from __future__ import annotations

from benchmarks.coverage.measure import Subject
from benchmarks.coverage.onnx_files import calibrate, light, noise, onnx_subject

MODELS = {name: name for name in (
    "bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50", "shufflenet", "squeezenet", "vgg19", "zfnet512",
)}  # fmt: skip


def subject(name: str) -> Subject:
    """A light model as a subject."""
    proto = light(name)
    defaults = {t.name for t in proto.graph.initializer}
    (image,) = [v for v in proto.graph.input if v.name not in defaults]
    _, *sizes = (d.dim_value for d in image.type.tensor_type.shape.dim)
    calibrate(proto, noise(1, *sizes, seed=1))
    return onnx_subject(proto, {image.name: noise(2, *sizes)})
