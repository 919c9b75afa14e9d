"""The way back: a graph as a Keras model computes the same, has layers with the graph's weights, and converts to the same function again."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.backends.keras_compare import MARKS, close, double, outputs, redraw, run_keras, small_cnn, torch
from tests.cases import CASES
from tests.cases.case import Case
from tests.graph.graphs import cnn, feed, graph_of
from xaicore.errors import ConversionError, InputError
from xaicore.graph import Builder, Graph
from xaicore.ops import OPS, Conv, Dense, LocalResponseNorm, LpPool, MatMul, Op, ReLU
from xaicore.oracle.strategies import cnns, inputs_of, mlps

from xaicore_keras import emit, load, to_graph  # isort: skip
from xaicore_keras.emission import EMITTERS  # isort: skip

__all__ = ["double"]
pytestmark = [*MARKS, pytest.mark.filterwarnings("ignore:The structure of `inputs` doesn't match:UserWarning")]

TOLERANCE = 1e-12
"""Of the largest entry, or of 1: two ways of computing one operator in float64 round differently by some 1e-15."""

PARTLY = {"Conv", "ConvTranspose", "LeakyReLU", "RMSNorm", "MaxPool", "AvgPool", "Variance", "Resize", "Expand", "RNN", "GRU", "LSTM"}
"""Operators of which Keras lacks some settings (stride with dilation, windows that hang over, resizing by corners ...)."""


def agree(graph: Graph, feeds: dict[str, np.ndarray], tolerance: float = TOLERANCE) -> Any:
    model = emit(graph)
    theirs = run_keras(model, tuple(torch.from_numpy(np.array(x)) for x in feeds.values()))
    ours = outputs(graph, tuple(feeds.values()))
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs):
        b = b.detach().numpy()
        assert a.shape == b.shape
        assert np.abs(a.astype(float) - b).max(initial=0) <= tolerance * max(np.abs(a.astype(float)).max(initial=1), 1)
    return model


@pytest.mark.parametrize("kind", EMITTERS, ids=lambda k: k.__name__)
def test_every_row_computes_what_the_operator_computes(kind: type[Op]) -> None:
    """All cases of an operator; where Keras lacks a setting an error says so, but never for all of them."""
    cases = [case for case in CASES if type(case.op) is kind]
    served = [case.id for case in cases if emitted(case)]
    assert served
    assert len(served) == len(cases) or kind.__name__ in PARTLY


def emitted(case: Case) -> bool:
    """Whether the case was served, and then well."""
    graph, feeds = graph_of(case)
    try:
        agree(graph, feeds)
    except ConversionError as error:
        message = str(error)
    else:
        return True
    assert re.search(rf"{type(case.op).__name__}.*so it has no counterpart in Keras\. To do: ", message)
    return False


@pytest.mark.parametrize("name", [k for k, op in OPS.items() if op not in EMITTERS])
def test_an_operator_without_a_row_is_refused(name: str) -> None:
    for graph, _ in (graph_of(case) for case in CASES if type(case.op) is OPS[name]):
        with pytest.raises(ConversionError, match=rf"{name}.*has no row in .*EMITTERS, so it has no counterpart in Keras\. To do: "):
            emit(graph)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.data())
def test_random_networks_come_through(data: st.DataObject) -> None:
    graph = data.draw(st.one_of(mlps(), cnns()))
    agree(graph, {k: np.asarray(v) for k, v in zip(graph.inputs, [data.draw(inputs_of(graph))])} if len(graph.inputs) == 1 else feed(graph))


def test_a_network_comes_back_as_it_was_and_can_be_saved(tmp_path: Path) -> None:
    graph = to_graph(redraw(small_cnn()))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 3))
    model = agree(graph, {"photo": x})
    assert {"first", "norm", "side", "pool", "head"} <= {layer.name for layer in model.layers}
    kernels = [w for w in model.weights if w.path == "first/kernel"]
    assert np.array_equal(kernels[0].numpy() if hasattr(kernels[0], "numpy") else kernels[0], np.moveaxis(graph.params["first/kernel"], (0, 1), (3, 2)))
    again = to_graph(model)
    close(again(x), graph(x), TOLERANCE)
    assert [type(n.op).__name__ for n in again.nodes if n.op.__class__.__name__ == "Transpose"] == ["Transpose"] * 2      # one in, one out
    model.save(tmp_path / "m.keras")
    close(load(tmp_path / "m.keras")(x), graph(x), TOLERANCE)


def test_several_inputs_and_outputs() -> None:
    b = Builder()
    x, ids = b.input("image/x", (None, 3, 5, 4)), b.input("ids", (None, 4), "int")
    h = b.add(Conv(), x, b.param("w", np.random.default_rng(0).normal(size=(2, 3, 2, 2))), name="conv.1")
    table = b.param("table", np.random.default_rng(1).normal(size=(6, 3)))
    graph = b.build(h, b.add(ReLU(), b.add(OPS["Embedding"](), table, ids, name="words"), name="relu"))
    rng = np.random.default_rng(2)
    model = agree(graph, {"image/x": rng.normal(size=(2, 3, 5, 4)), "ids": rng.integers(0, 6, (2, 4))})
    assert [t.name for t in model.inputs] == ["image_x", "ids"]
    assert {"conv_1", "words", "relu"} <= {layer.name for layer in model.layers}


def test_what_keras_has_not_is_refused() -> None:
    with pytest.raises(InputError, match=r"no rational numbers; emit graph\.astype"):
        emit(cnn().astype("exact"))
    for op in (LpPool(2, (2, 2)), LocalResponseNorm(3)):
        b = Builder()
        x = b.input("x", (None, 3, 4, 4))
        with pytest.raises(ConversionError, match=rf"node 'odd': {type(op).__name__}.* has no row in .*EMITTERS.*emit to torch or ONNX"):
            emit(b.build(b.add(op, x, name="odd")))
    b = Builder()
    x, w = b.input("x", (None, 3, 4)), b.input("w", (None, 3))
    with pytest.raises(ConversionError, match=r"node 'fc': Dense\(\) has the weight 'w', which is computed from an input"):
        emit(b.build(b.add(Dense(), x, w, name="fc")))
    b = Builder()
    x = b.input("x", (None, 4))
    m = b.add(MatMul(), b.param("a", np.ones((2, 3, 4))), b.param("b", np.ones((2, 4, 5))), name="constant")
    with pytest.raises(ConversionError, match=r"node 'constant': MatMul\(\) depends on no input.*fold_constants"):
        emit(b.build(b.add(ReLU(), x), m))


def test_operators_in_a_form_that_keras_has_not() -> None:
    """What was found, and the operator to write instead."""
    from xaicore.ops import Expand

    b = Builder()
    x = b.input("x", (None, 4))
    with pytest.raises(ConversionError, match=r"node 'wide': Expand\(.*\) adds axes, so it has no counterpart in Keras\. To do: use Unsqueeze first"):
        emit(b.build(b.add(Expand((2, 4)), x, name="wide")))
    b = Builder()
    ids = b.input("ids", (None, 3), "int")
    rows = b.add(OPS["Embedding"](), b.param("table", np.ones((5, 2, 2))), ids, name="words")
    with pytest.raises(ConversionError, match=r"node 'words': .* has a table of shape \(5, 2, 2\).*use a table \(rows, width\)"):
        emit(b.build(rows))


def test_what_keras_does_not_take(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its own words come through, and a second operand that a row of the table does not expect is no silent loss."""
    from xaicore_keras import emission

    b = Builder()
    graph = b.build(b.add(OPS["Add"](), b.input("x", (None, 4)), b.input("y", (None, 4)), name="sum"))

    def fails(*_: object) -> None:
        raise NotImplementedError("no such kernel")

    monkeypatch.setitem(emission.EMITTERS, OPS["Add"], fails)
    with pytest.raises(ConversionError, match=r"node 'sum': Add\(\) is not taken by Keras on torch: no such kernel, so it has no counterpart"):
        emit(graph)
    monkeypatch.setitem(emission.EMITTERS, OPS["Add"], emission.own(lambda e, op, x, name: x))
    with pytest.raises(ConversionError, match=r"node 'sum': Add\(\) takes 'y' beside its input"):
        emit(graph)



def test_a_planted_mistake_shows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were strides forgotten, or kernels turned, the comparison above would see it."""
    from xaicore_keras import emission as module

    honest = dict(module.EMITTERS)

    def turned(e: Any, op: Any, out: str, x: str, w: str, *b: str) -> None:
        e.graph.params[w]
        honest[Conv](e, Conv(op.stride, op.dilation, tuple((q, p) for p, q in op.pads), op.groups), out, x, w, *b)

    monkeypatch.setattr(module, "EMITTERS", {**honest, Conv: turned})
    b = Builder()
    x = b.input("x", (None, 1, 4, 4))
    graph = b.build(b.add(Conv((), (), ((1, 0), (0, 0))), x, b.param("w", np.ones((1, 1, 2, 1)))))
    with pytest.raises(AssertionError):
        agree(graph, {"x": np.random.default_rng(0).normal(size=(1, 1, 4, 4))})
