"""Rewrites: the same function under the same names (unless the name says otherwise), and the graph that was given is untouched.

Here are the small ones and what holds for all; those with a file of their own: test_expand, test_fold_batchnorm, test_fold_padding,
test_cut, test_written.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.graph.graphs import cnn, equal, feed, normalised
from xaicore.errors import GraphError
from xaicore.graph import Builder, Graph, passes, written
from xaicore.ops import Add, BatchNorm, Dense, Dropout, Identity, LogSoftmax, Mul, Op, ReLU, Softmax, Sub

# ----- fold_constants and prune -----------------------------------------------------------------------------------------


def with_constants(dtype: str = "float64") -> Graph:
    """y = x * relu(p - q) + n, where only x is fed; z is a constant output."""
    b = Builder("c", dtype)
    x, p, q = b.input("x", (None, 2)), b.param("p", [[3, -1]]), b.param("q", [[1, 1]])
    inner = b.add(ReLU(), b.add(Sub(), p, q, name="difference"), name="scale")
    b.param("unread", [[9.0, 9.0]] if dtype != "exact" else [[9, 9]])
    y = b.add(Add(), b.add(Mul(), x, inner, name="scaled"), b.param("n", np.array([[1, 2]])), name="y")
    b.add(ReLU(), y, name="dead")
    return b.build(y, b.add(ReLU(), p, name="z"))


@pytest.mark.parametrize("dtype", ["float64", "exact"])
def test_constants_are_folded_and_keep_their_names(dtype: str) -> None:
    graph = with_constants(dtype)
    folded = passes.fold_constants(graph)
    equal(graph, folded, [[5, 7]], ["scaled"])
    assert [n.name for n in folded.nodes] == ["scaled", "y", "z"]       # z is an output, and an output is a node
    assert sorted(folded.params) == ["n", "p", "scale"]
    assert folded.params["scale"].tolist() == [[2, 0]]
    assert passes.fold_constants(folded) is folded


def test_pruning_drops_what_no_output_needs() -> None:
    graph = with_constants()
    pruned = passes.prune(graph)
    equal(graph, pruned, [[5.0, 7.0]])
    assert "dead" not in [n.name for n in pruned.nodes]
    assert "unread" not in pruned.params
    other = passes.prune(graph, ["z"])
    assert ([n.name for n in other.nodes], list(other.params), list(other.inputs), other.outputs) == (["z"], ["p"], ["x"], ("z",))
    assert passes.prune(graph, ["dead"])([[5.0, 7.0]]).tolist() == [[11.0, 2.0]]
    with pytest.raises(GraphError, match="the output 'nowhere' is not a value"):
        passes.prune(graph, ["nowhere"])


def test_renaming_reaches_readers_and_outputs() -> None:
    graph = cnn()
    named = passes.rename(graph, {"relu": "activation", "logits": "scores", "not there": "anywhere"})
    assert named.outputs == ("probabilities", "scores")
    for a, b in zip(graph(feed(graph)), named(feed(graph)), strict=True):
        assert a.tolist() == b.tolist()
    with pytest.raises(GraphError, match="defined twice"):
        passes.rename(graph, {"relu": "conv"})


# ----- heads ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("head", "kind"), [(Softmax(), "Softmax"), (LogSoftmax(), "LogSoftmax"), (Softmax(axis=1), "Softmax"),
                                            (ReLU(), None), (Identity(), None)])
@pytest.mark.parametrize("between", [(), (Identity(),), (Dropout(), Identity())], ids=str)
def test_a_softmax_head_is_found(head: Op, kind: str | None, between: tuple[Op, ...]) -> None:
    b = Builder()
    y = b.add(head, b.add(Dense(), b.input("x", (None, 2)), b.param("w", np.eye(2)), name="logits"), name="head")
    for one in between:
        y = b.add(one, y)
    graph = b.build(y)
    assert passes.without_head(graph, y) == (("logits", kind) if kind else (y, None))


def test_a_softmax_inside_is_no_head() -> None:
    graph, _ = normalised()
    assert passes.without_head(graph, "mixed") == ("mixed", None)
    assert passes.without_head(graph, "x") == ("x", None)


# ----- all together -----------------------------------------------------------------------------------------------------

PASSES: dict[str, Callable[[Graph], Graph]] = {
    "prune": passes.prune, "expand": lambda g: passes.expand(g, [BatchNorm, Softmax]), "fold_constants": passes.fold_constants,
    "fold_batchnorm": passes.fold_batchnorm, "fold_padding": passes.fold_padding, "rename nothing": lambda g: passes.rename(g, {}),
    "recognise_batchnorm": written.recognise_batchnorm, "fold_bias": written.fold_bias, "recognise_silu": written.recognise_silu,
    "recognise_rmsnorm": written.recognise_rmsnorm,
}


@pytest.mark.parametrize("one", PASSES)
@pytest.mark.parametrize("two", PASSES)
def test_passes_in_any_order_keep_function_meta_and_inputs(one: str, two: str) -> None:
    graph = cnn()
    text = str(graph)
    out = PASSES[two](PASSES[one](graph))
    equal(graph, out, feed(graph), ["bn", "relu", "skip"])
    assert dict(out.meta) == dict(graph.meta)
    assert dict(out.inputs) == dict(graph.inputs)
    assert out.name == graph.name
    assert str(graph) == text


def test_a_pass_never_shares_a_writeable_array() -> None:
    for one in PASSES.values():
        assert not any(v.flags.writeable for v in one(cnn()).params.values())
