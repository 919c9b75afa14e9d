"""cut, extend and shift_first_bias: a graph with another beginning or another end."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from tests.graph.graphs import ROUNDING, bypassed, cnn, feed, values
from xaicore.errors import GraphError, UnknownName
from xaicore.graph import Builder, passes
from xaicore.ops import Dense, Mul, Sub

# ----- cut --------------------------------------------------------------------------------------------------------------


def test_what_lies_behind_a_value_is_the_same_function_of_it() -> None:
    graph = bypassed()
    feeds = {"x": np.array([[1.0, -2.0], [0.5, 3.0]]), "other": np.array([[1.0, 2.0], [3.0, 4.0]])}
    h = values(graph, feeds, ["h"])["h"]
    behind = passes.cut(graph, "h", h.shape)
    assert {k: s.shape for k, s in behind.inputs.items()} == {"x": (None, 2), "other": (None, 2), "h": (None, 2)}
    assert "w1" not in behind.params
    assert behind({**feeds, "h": h}).tolist() == graph(feeds).tolist()
    moved = behind({**feeds, "h": h + 1}) - behind({**feeds, "h": h})
    assert moved.tolist() == [[1.5, 1.0]] * 2                           # the bypass is not moved with it: w2 times (1, 1)


def test_inputs_that_only_the_cut_part_read_go() -> None:
    graph = cnn()
    behind = passes.cut(graph, "flat", (5, 12))
    assert list(behind.inputs) == ["flat"]
    x = feed(graph)
    flat = values(graph, x, ["flat"])["flat"]
    for a, b in zip(graph(x), behind(flat), strict=True):
        assert a.tolist() == b.tolist()
    assert behind.meta == graph.meta


def test_a_cut_at_an_output_among_several_keeps_the_others() -> None:
    graph = cnn()
    behind = passes.cut(graph, "logits", (1, 4))
    y = np.array([[1.0, 2.0, 3.0, 4.0]])
    probabilities, same = behind(y)
    assert same.tolist() == y.tolist()
    np.testing.assert_allclose(probabilities, np.exp(y) / np.exp(y).sum(), rtol=1e-14)    # four terms and a division


def test_a_cut_where_nothing_can_be_cut() -> None:
    graph = bypassed()
    assert passes.cut(graph, "x", (1, 2)) is graph
    with pytest.raises(GraphError, match="'y' is the output itself"):
        passes.cut(graph, "y", (1, 2))
    with pytest.raises(UnknownName, match="no node is called 'nowhere'"):
        passes.cut(graph, "nowhere", (1, 2))


# ----- extend -----------------------------------------------------------------------------------------------------------


def test_extending_adds_an_output_behind() -> None:
    graph = cnn()
    x = feed(graph)
    longer, name = passes.extend(graph, lambda b: b.add(Sub(), b.add(Mul(), "logits", b.constant(2)), "logits", name="logits"))
    assert (name, longer.outputs) == ("logits@2", ("probabilities", "logits", "logits@2"))
    _, logits, same = longer(x)
    np.testing.assert_allclose(same, logits, rtol=1e-15)
    assert longer.meta == graph.meta
    assert len(graph.nodes) == len(longer.nodes) - 2
    again, name = passes.extend(graph, lambda b: "relu")
    assert (name, again.outputs) == ("relu", ("probabilities", "logits", "relu"))


# ----- shift_first_bias -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", ["float64", "float32", "exact"])
@pytest.mark.parametrize("kind", ["integers", "numbers", "one number"])
def test_a_shifted_input_gives_the_same_output(dtype: str, kind: str) -> None:
    graph = cnn(dtype)
    x = feed(graph)["x"]
    shift: Any = np.arange(32).reshape(2, 4, 4) - 10
    if kind != "integers":
        shift = shift / 4 if dtype != "exact" else np.vectorize(Fraction, otypes=[object])(shift, 4)
    if kind == "one number":
        shift = shift.reshape(-1)[0]
    moved = passes.shift_first_bias(graph, {"x": shift})
    assert list(moved.inputs) == ["x"]
    for a, b in zip(np.atleast_1d(graph(x)), np.atleast_1d(moved(x + shift)), strict=True):
        if dtype == "exact":
            assert a.tolist() == b.tolist()
        else:                                                           # x + m - m rounds once more, at the size of m
            np.testing.assert_allclose(a, b, rtol=0, atol=ROUNDING[dtype] * abs(a).max())


def test_a_shift_of_the_first_layer_is_a_change_of_its_bias() -> None:
    """g(x) = W (x - m) + b = W x + (b - W m), as in Kindermans et al. 2019."""
    w, bias, m = np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([0.5, -0.5]), np.array([10.0, -1.0])
    b = Builder()
    graph = b.build(b.add(Dense(), b.input("x", (None, 2)), b.param("w", w), b.param("b", bias)))
    x = np.array([[1.0, 1.0], [2.0, -3.0]])
    assert passes.shift_first_bias(graph, {"x": m})(x).tolist() == (x @ w.T + (bias - w @ m)).tolist()


def test_every_reader_of_a_shifted_input_is_shifted_and_others_are_not() -> None:
    graph = bypassed()
    x, other = np.array([[1.0, -2.0]]), np.array([[1.0, 2.0]])
    moved = passes.shift_first_bias(graph, {"x": [4.0, 8.0]})
    assert moved(x + [[4.0, 8.0]], other).tolist() == graph(x, other).tolist()
    with pytest.raises(GraphError, match="'z' is not an input of the graph; the inputs are x, other"):
        passes.shift_first_bias(graph, {"z": [1.0]})
