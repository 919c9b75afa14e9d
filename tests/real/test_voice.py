"""silero-vad with its weights: an ONNX file of a voice detector, whose LSTM gets its states as an input.

The package is no extra of ours (it asks for torchaudio): pip install --no-deps silero-vad.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xaicore as xc
from tests.backends.onnx_models import onnx, opinions
from xaicore.ops import LSTM

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def proto() -> Any:
    spec = find_spec("silero_vad")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("silero-vad is not installed: pip install --no-deps silero-vad")
    return onnx.load(Path(next(iter(spec.submodule_search_locations))) / "data" / "silero_vad_16k_op15.onnx")


def test_a_real_lstm_is_one_node_and_passes_relevance_and_multipliers_on(proto: Any) -> None:
    """36 ms of noise at 16 kHz and random states, two samples; values against the reference evaluator in single precision."""
    from xaicore_onnx import to_graph

    rng = np.random.default_rng(0)
    sound, state = rng.normal(size=(2, 576)).astype(np.float32) / 10, rng.normal(size=(2, 2, 128)).astype(np.float32) / 10
    rate = np.array(16000, np.int64)
    graph = to_graph(proto, {"input": sound, "state": state}, constants={"sr": rate})
    (op, layer), *more = [(n.op, n.layer) for n in graph.nodes if isinstance(n.op, LSTM)]
    assert (op, layer) == (LSTM(), "model.decoder.rnn")
    assert [one for one, _ in more] == [LSTM(output="cell")]
    swapped = np.moveaxis(state, 0, 1)                                   # in the graph the batch is on axis 0
    feeds = {"input": sound.astype(float), "state": swapped.astype(float)}
    theirs = opinions(proto, {"input": sound, "state": state, "sr": rate}, runtime=False)["onnx.reference"][0]
    assert np.abs(graph(feeds)[0].reshape(-1) - theirs.reshape(-1)).max() < 1e-5
    target = (graph.outputs[0], 0)
    a = xc.explain(graph, feeds, "lrp.zero", target=target, bias="ignore")
    assert np.abs(a.total() - a.output).max() <= 1e-12 * np.abs(a.values["input"]).max()
    d = xc.explain(graph, feeds, "deeplift.rescale", target=target, baseline=0)
    assert np.abs(d.total() - (d.output - d.baseline_output)).max() <= 1e-12
