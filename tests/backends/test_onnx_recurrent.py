"""LSTM, GRU and RNN from ONNX: every setting of the standard against onnxruntime, places of the batch, lengths, relevance, refusals."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from xaicore_onnx import emit, to_graph

import xaicore as xc
from tests.backends.common import input_gradients
from tests.backends.onnx_models import model, node, opinions
from tests.nets import close
from xaicore.errors import ConversionError
from xaicore.graph import Builder
from xaicore.ops import GRU, LSTM, RNN

T, N, X, H = 4, 3, 2, 3
BLOCKS = {"RNN": 1, "GRU": 3, "LSTM": 4}
WAYS = {"forward": 1, "reverse": 1, "bidirectional": 2}


def layer(kind: str, first: bool = False, lengths: Any = None, states: bool = False, bias: bool = True, peepholes: bool = False,
          seed: int = 0, **settings: Any) -> tuple[Any, np.ndarray]:
    """A model that turns a batch-first input into what the layer wants, its outputs turned to have the batch first; and an input."""
    rng = np.random.default_rng(seed)
    d, g = WAYS[settings.get("direction", "forward")], BLOCKS[kind]
    weights = {"W": rng.normal(size=(d, g * H, X)), "R": rng.normal(size=(d, g * H, H)) / 2}
    if bias:
        weights["B"] = rng.normal(size=(d, 2 * g * H)) / 2
    if states:
        weights |= {"h": rng.normal(size=(d, 1, H)), "c": rng.normal(size=(d, 1, H))}
    if peepholes:
        weights["P"] = rng.normal(size=(d, 3 * H))
    weights = {k: v.astype(np.float32) for k, v in weights.items()}
    if lengths is not None:
        weights["lengths"] = np.array([lengths], np.int32)
    nodes, x = [], "x"
    if not first:
        nodes.append(node("Transpose", "x", "turned", perm=[1, 0, 2]))
        x = "turned"
    if states or lengths is not None:                              # what has one entry for each sample: repeated in the file
        weights |= {"zero": np.array([0]), "one": np.array([1]), "two": np.array([2])}
        nodes.append(node("Shape", "x", "n", start=0, end=1))
        nodes.append(node("Concat", "one n one", "sizes", axis=0))
        nodes += [node("Expand", f"{k} sizes", f"{k}_n") for k in "hc"] if states else []
        nodes += [node("Expand", "lengths n", "lengths_n")] if lengths is not None else []
    b, at = "B" if bias else "-", "lengths_n" if lengths is not None else "-"
    inputs = f"{x} W R {b} {at} {'h_n' if states else '-'}"
    inputs += f" {'c_n' if states else '-'} {'P' if peepholes else '-'}" if kind == "LSTM" else ""
    outputs = ["Y", "Yh"] + (["Yc"] if kind == "LSTM" else [])
    nodes.append(node(kind, inputs.rstrip(" -") if inputs.endswith("-") else inputs, " ".join(outputs), name="rnn", hidden_size=H,
                      **({"layout": 1} if first else {}), **settings))
    for o in outputs:
        perm = ([0, 1, 2, 3] if first else [2, 0, 1, 3]) if o == "Y" else [0, 1, 2] if first else [1, 0, 2]
        nodes.append(node("Transpose", o, f"{o}_n", perm=perm))
    x_value = rng.normal(size=(N, T, X)).astype(np.float32)
    return model(nodes, {"x": x_value}, " ".join(f"{o}_n" for o in outputs), weights, opset=18), x_value


CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "rnn": ("RNN", {}), "rnn-both-relu": ("RNN", {"direction": "bidirectional", "activations": ["Relu", "Tanh"]}),
    "rnn-threshold": ("RNN", {"activations": ["ThresholdedRelu"], "activation_alpha": [0.25]}),
    "rnn-reverse-clip": ("RNN", {"direction": "reverse", "clip": 0.4}), "rnn-states": ("RNN", {"states": True}),
    "gru": ("GRU", {"bias": False}), "gru-linear-before": ("GRU", {"linear_before_reset": 1, "direction": "bidirectional"}),
    "gru-states-reverse": ("GRU", {"states": True, "direction": "reverse"}),
    "gru-hard": ("GRU", {"activations": ["HardSigmoid", "Softsign"], "activation_alpha": [0.3], "activation_beta": [0.4]}),
    "gru-clip": ("GRU", {"clip": 0.5, "linear_before_reset": 1}), "gru-short": ("GRU", {"lengths": 3, "direction": "bidirectional"}),
    "lstm": ("LSTM", {}), "lstm-both-states": ("LSTM", {"direction": "bidirectional", "states": True}),
    "lstm-peepholes": ("LSTM", {"peepholes": True}), "lstm-peepholes-states": ("LSTM", {"peepholes": True, "states": True}),
    "lstm-clip": ("LSTM", {"clip": 0.3, "peepholes": True, "states": True}),
    "lstm-coupled": ("LSTM", {"input_forget": 1, "states": True}),
    "lstm-short": ("LSTM", {"lengths": 2, "states": True, "direction": "reverse"}),
    "lstm-elu": ("LSTM", {"activations": ["HardSigmoid", "Elu", "LeakyRelu"], "activation_alpha": [0.3, 0.7, 0.1], "activation_beta": [0.4]}),
}


@pytest.mark.parametrize("case", CASES)
def test_every_setting(case: str) -> None:
    """Against onnxruntime and the repaired reference evaluator: single precision, so 1e-5."""
    kind, settings = CASES[case]
    proto, x = layer(kind, **settings)
    graph = to_graph(proto, x)
    for name, theirs in opinions(proto, {"x": x}).items():
        for mine, other in zip(graph(x.astype(float)), theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5, err_msg=name)
    seeds = [np.random.default_rng(1).normal(size=y.shape) for y in graph(x.astype(float))]
    gradient = input_gradients(graph, x.astype(float), seeds)["x"]
    at = (1, 2, 1)
    bent = [sum((s * y).sum() for s, y in zip(seeds, graph(x + e))) for e in (_one(x, at, 1e-5), _one(x, at, -1e-5))]
    assert abs(gradient[at] - (bent[0] - bent[1]) / 2e-5) < 1e-6       # central differences: 1e-10 / 6 of the third derivative


def _one(x: np.ndarray, at: tuple[int, ...], h: float) -> np.ndarray:
    out = np.zeros(x.shape)
    out[at] = h
    return out


@pytest.mark.parametrize("kind", BLOCKS)
def test_the_batch_first_layout_is_the_same(kind: str) -> None:
    settings = {"direction": "bidirectional", "states": False}
    proto, x = layer(kind, **settings)
    other, _ = layer(kind, first=True, **settings)
    for a, b in zip(to_graph(proto, x)(x), to_graph(other, x)(x)):
        assert close(a.reshape(N, -1), np.moveaxis(b, 2, 1).reshape(N, -1) if a.ndim == 4 and a.shape != b.shape else b.reshape(N, -1))


def test_lengths_that_are_an_input() -> None:
    proto, x = layer("GRU", direction="bidirectional", lengths=4)
    lengths = np.array([4, 1, 2], np.int32)
    for one in list(proto.graph.node):
        if one.output[0] == "lengths_n":
            proto.graph.node.remove(one)
    proto.graph.input.append(_declared("lengths_n"))
    feeds = {"x": x, "lengths_n": lengths}
    graph = to_graph(proto, feeds)
    for name, theirs in opinions(proto, feeds).items():
        for mine, other in zip(graph({"x": x.astype(float), "lengths_n": lengths}), theirs, strict=True):
            np.testing.assert_allclose(mine, other, rtol=1e-5, atol=1e-5, err_msg=name)


def _declared(name: str) -> Any:
    from onnx import TensorProto, helper

    return helper.make_tensor_value_info(name, TensorProto.INT32, ["N"])


@pytest.mark.parametrize("kind", BLOCKS)
def test_relevance_is_conserved_and_deeplift_complete(kind: str) -> None:
    proto, x = layer(kind, direction="bidirectional")
    graph = to_graph(proto, x)
    x = x.astype(float)
    a = xc.explain(graph, x, "lrp.zero", target=("Yh_n", (1, 2)), bias="ignore")
    assert np.abs(a.total() - a.output).max() <= 1e-12 * np.abs(np.asarray(a)).max()
    d = xc.explain(graph, x, "deeplift.rescale", target=("Yh_n", (0, 1)), baseline=0)
    assert close(d.total(), d.output - d.baseline_output)


def test_refusals() -> None:
    for settings, text in (
        ({"activations": ["Affine"]}, "the activation 'Affine'; of a recurrent layer elu, hardsigmoid"),
        ({"activations": ["Tanh", "Tanh"]}, "2 activations, but 1 are expected"),
        ({"direction": "sideways"}, "direction 'sideways'"),
    ):
        proto, x = layer("RNN")
        for key, value in settings.items():
            _set(proto, key, value)
        with pytest.raises(ConversionError, match=text):
            to_graph(proto, x, verify=False)
    proto, x = layer("LSTM")
    _weight(proto, "R", np.zeros((2, 12, 3), np.float32))
    with pytest.raises(ConversionError, match=r"the recurrent weights of LSTM have shape \(2, 12, 3\)"):
        to_graph(proto, x, verify=False)
    _weight(proto, "R", np.zeros((1, 12, 4), np.float32))
    with pytest.raises(ConversionError, match="do not fit 4 gates of 4 units"):
        to_graph(proto, x, verify=False)


def _set(proto: Any, key: str, value: Any) -> None:
    from onnx import helper

    one = next(n for n in proto.graph.node if n.op_type == "RNN")
    one.attribute.append(helper.make_attribute(key, value))


def _weight(proto: Any, name: str, value: np.ndarray) -> None:
    from onnx import numpy_helper

    next(t for t in proto.graph.initializer if t.name == name).CopyFrom(numpy_helper.from_array(value, name))


def test_what_cannot_be_unrolled_is_refused_on_the_way_back() -> None:
    b = Builder("free")
    x = b.input("x", (None, None, X))
    params = [b.param(k, np.ones(s)) for k, s in (("w", (H, X)), ("u", (H, H)), ("b", (H,)), ("c", (H,)))]
    graph = b.build(b.add(RNN(activation=xc.ops.ReLU()), x, *params, name="rnn"))
    with pytest.raises(ConversionError, match=r"node 'rnn': ONNX has no operator for RNN.*one length"):
        emit(graph)
    assert "RNN" in {n.op_type for n in emit(replace(graph, nodes=(replace(graph.nodes[0], op=RNN()),))).graph.node}


def test_there_and_back_keeps_the_operators() -> None:
    for op, g in ((LSTM(True), 4), (GRU(), 3), (GRU(reset="before"), 3), (RNN(), 1)):
        rng = np.random.default_rng(2)
        b = Builder("net")
        x = b.input("x", (None, T, X))
        params = [b.param(k, rng.normal(size=s)) for k, s in (("w", (g * H, X)), ("u", (g * H, H)), ("b", (g * H,)), ("c", (g * H,)))]
        graph = b.build(b.add(op, x, *params, name="rnn"))
        back = to_graph(emit(graph))
        assert [n.op for n in back.nodes if isinstance(n.op, (LSTM, GRU, RNN))] == [op]
        data = rng.normal(size=(N, T, X))
        assert close(back(data), graph(data))
