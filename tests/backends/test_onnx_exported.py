"""What torch writes into ONNX files for lack of an operator: read as what it stands for."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from xaicore_onnx import to_graph

from tests.backends.onnx_models import model, node, opinions
from xaicore.errors import ConversionError
from xaicore.ops import Gather, MatMul, Mul


def noise(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def agrees(proto: Any, x: np.ndarray) -> Any:
    """The graph, verified node by node and by every opinion."""
    graph = to_graph(proto, x)
    for source, (y, *_) in opinions(proto, {"x": x}).items():
        np.testing.assert_allclose(graph(x), y, rtol=1e-4, atol=1e-5, err_msg=source)       # float32 of the opinions
    return graph


# ----- strides, as a look-up across the batch -------------------------------------------------------------------------


def strided(numbers: np.ndarray) -> Any:
    """x (2, 3, 4) flattened and looked up by numbers; the file fixes a batch of two."""
    nodes = [node("Reshape", "x row", "r"), node("Gather", "r at", "y", axis=0)]
    return model(nodes, {"x": [2, 3, 4]}, "y", {"row": np.array([-1]), "at": numbers})


def test_each_sample_looks_up_its_own_entries() -> None:
    own = np.random.default_rng(1).permutation(12)[:6].reshape(3, 2)
    graph = agrees(strided(np.stack([own, own + 12])), noise(2, 3, 4))
    assert [type(n.op) for n in graph.nodes][-1] is Gather
    assert graph.inputs["x"].shape == (None, 3, 4)
    x = noise(5, 3, 4, seed=2)
    np.testing.assert_array_equal(graph(x), x.reshape(5, 12)[:, own].astype(float))


@pytest.mark.parametrize("numbers", [[[0, 1], [12, 14]], [[0, 12], [12, 24 - 1]], [[12, 13], [0, 1]], [[-1, 0], [11, 12]], [[0], [12], [0]]],
                         ids=["other entries", "another sample's", "samples swapped", "from the end", "more rows"])
def test_entries_of_other_samples_mix(numbers: Any) -> None:
    with pytest.raises(ConversionError, match="Gather works along axis 0, which holds the batch, so that samples would mix"):
        to_graph(strided(np.array(numbers)), noise(2, 3, 4))


def test_with_a_free_batch_the_numbers_are_computed() -> None:
    nodes = [
        node("Shape", "x", "n", start=0, end=1), node("Squeeze", "n", "count"), node("Range", "zero count one", "samples"), node("Mul", "samples size", "starts"),
        node("Unsqueeze", "starts last", "column"), node("Add", "column own", "at"), node("Reshape", "x row", "r"), node("Gather", "r at", "y", axis=0)]
    weights = {"zero": np.array(0), "one": np.array(1), "size": np.array(12), "last": np.array([1]), "own": np.array([[11, 0, 5]]), "row": np.array([-1])}
    graph = agrees(model(nodes, {"x": noise(2, 3, 4)}, "y", weights), noise(3, 3, 4))
    assert graph(noise(7, 3, 4)).shape == (7, 3)


# ----- an uneven pool, as blocks in front of the batch ----------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
def test_blocks_by_numbers_of_axes_before_the_batch(depth: int) -> None:
    at = np.random.default_rng(0).integers(-2, 3, (2, 5, depth))
    nodes = [node("Transpose", "x", "t", perm=[2, 3, 0, 1]), node("GatherND", "t at", "g"), node("Relu", "g", "y")]
    proto = model(nodes, {"x": noise(2, 6, 3, 4)}, "y", {"at": at})
    rank = 2 + 4 - depth
    proto.graph.node[2].input[0] = "b"
    batch = rank - 2
    proto.graph.node.insert(2, node("Transpose", "g", "b", perm=[batch, *(k for k in range(rank) if k != batch)]))
    graph = agrees(proto, noise(2, 6, 3, 4))
    assert graph.inputs["x"].shape[0] is None
    wrong = model(nodes[:2], {"x": noise(2, 6, 3, 4)}, "g", {"at": at * 0 + 7})
    with pytest.raises(ConversionError, match=r"GatherND names an entry beyond the sizes \(3(, 4)?,?\) of .*; the file is inconsistent, export it again"):
        to_graph(wrong, noise(2, 6, 3, 4))


@pytest.mark.parametrize("reduction", ["none", "add"])
@pytest.mark.parametrize("depth", [1, 2])
def test_blocks_put_at_numbers_of_axes_before_the_batch(depth: int, reduction: str) -> None:
    """x[:, :, 1:] += z of torch: the axis comes to the front, the updates are put there, and it goes back."""
    rng = np.random.default_rng(0)
    at = np.stack([rng.permutation(3)[:2], rng.integers(-4, 4, 2)], 1)[:, :depth]       # two places, none of them twice
    there, back = [2, 3, 0, 1], [2, 3, 0, 1]
    nodes = [node("Transpose", "x", "t", perm=there), node("GatherND", "t own", "u"), node("Relu", "u", "v"),
             node("ScatterND", "t at v", "s", reduction=reduction), node("Transpose", "s", "p", perm=back),
             node("Shape", "u", "n"), node("ConstantOfShape", "n", "k", value=onnx.numpy_helper.from_array(np.array([1.5], np.float32))),
             node("ScatterND", "t at k", "q"),
             node("Transpose", "q", "r", perm=back), node("Add", "p r", "y")]
    weights = {"at": at, "own": at[::-1].copy()}
    graph = agrees(model(nodes, {"x": noise(2, 6, 3, 4)}, "y", weights), noise(2, 6, 3, 4))
    assert graph.inputs["x"].shape[0] is None
    x = noise(5, 6, 3, 4, seed=3)
    alone = np.concatenate([graph(one[None]) for one in x])
    np.testing.assert_array_equal(graph(x), alone)


def test_updates_of_other_samples_mix() -> None:
    nodes = [node("Transpose", "x", "t", perm=[2, 0, 1]), node("Transpose", "x", "u", perm=[2, 1, 0]), node("ScatterND", "t at u", "y")]
    with pytest.raises(ConversionError, match="ScatterND puts 'u.*' into 't.*', whose batches lie on different axes: samples would mix"):
        to_graph(model(nodes, {"x": noise(2, 2, 3)}, "y", {"at": np.array([[0], [1], [2]])}), noise(2, 2, 3))


# ----- attention, scaled on both sides --------------------------------------------------------------------------------


@pytest.mark.parametrize(("left", "right", "kinds"), [
    (0.5, 0.5, ["MatMul", "Mul"]), (0.5, 0.25, ["Mul", "Mul", "MatMul"]), (None, 0.5, ["Mul", "MatMul"]),
], ids=["the root of the scale", "two numbers", "one side"])
def test_scores_that_are_scaled_on_both_sides_are_scaled_once(left: float | None, right: float, kinds: list[str]) -> None:
    nodes = [node("Mul", "x s", "q"), node("Transpose", "x", "t", perm=[0, 2, 1]), node("Mul", "t u", "k"), node("MatMul", "q k" if left else "x k", "y")]
    weights = {"s": np.array([left or 0], np.float32), "u": np.array([right], np.float32)}
    graph = agrees(model(nodes if left else nodes[1:], {"x": noise(2, 3, 4)}, "y", weights), noise(2, 3, 4))
    assert [type(n.op).__name__ for n in graph.nodes if isinstance(n.op, (MatMul, Mul))] == kinds
    assert graph.outputs == ("y",)


@pytest.mark.parametrize("bias", [0.0, 0.5])
@pytest.mark.parametrize("last", ["Softmax", "Relu"])
def test_the_lowest_number_is_minus_infinity_before_a_softmax(last: str, bias: float) -> None:
    """torch writes a causal mask with float64's lowest number, twice of which is beyond float64, and folds positions' own bias into it."""
    import xaicore as xc

    lowest = np.finfo(np.float64).min
    mask = np.triu(np.full((4, 4), lowest), 1)[None] + bias * noise(1, 4, 4, seed=3)
    proto = model([node("Add", "x m", "s"), node(last, "s", "y")], {"x": noise(2, 4, 4).astype(float)}, "y", {"m": mask})
    graph = to_graph(proto, noise(2, 4, 4).astype(float))
    added = [v for v in graph.params.values() if v.shape == (1, 4, 4)]
    assert sum(np.isneginf(v).sum() for v in added) == (6 if last == "Softmax" else 0)
    assert len(added) == (2 if bias and last == "Softmax" else 1)
    if last == "Softmax":
        x = noise(2, 4, 4, seed=1).astype(float)
        a = xc.explain(graph, x, "deeplift.rescale", (1, 2), output="probability", baseline=noise(2, 4, 4, seed=2).astype(float))
        assert np.isfinite(np.asarray(a)).all()
        assert np.abs(a.gap()).max() < 1e-12


# ----- a batch that is written down, beside a size that is left to be found -------------------------------------------


@pytest.mark.parametrize("equation", ["bhc,khc->bhk", "bhc,bkc->bhk", "bhc->bc", "bhc,hc->b"])
def test_an_einsum_on_heads_that_are_joined_with_the_batch(equation: str) -> None:
    """As SAM's relative positions have it: (N, 6, 4) is (N * 2, 3, 4) around the product, and apart again behind it."""
    x, w = noise(2, 6, 4), noise(*{"khc": (5, 3, 4), "hc": (3, 4)}.get(equation[4:].partition("-")[0], (1,)))
    sizes = {"b": -1, "h": 3, "k": 5 if "khc" in equation else 3, "c": 4}
    inputs = "r" if "," not in equation else "r r" if "bkc" in equation else "r w"
    nodes = [node("Reshape", "x in", "r"), node("Einsum", inputs, "e", equation=equation), node("Reshape", "e out", "y")]
    weights = {"in": np.array([-1, 3, 4]), "out": np.array([-1, 2, *(sizes[k] for k in equation.partition("->b")[2])]), "w": w}
    graph = to_graph(model(nodes, {"x": x}, "y", weights), x)
    more = noise(5, 6, 4)
    operands = {"r": more.reshape(10, 3, 4).astype(float), "w": w.astype(float)}
    whole = np.einsum(equation, *(operands[k] for k in inputs.split()))
    np.testing.assert_allclose(graph(more), whole.reshape(5, 2, *whole.shape[1:]), rtol=1e-12, atol=1e-12)    # a dozen float64 products
    mixed = [nodes[0], node("Einsum", "r w", "e", equation="bhc,bc->bhc"), nodes[2]]
    with pytest.raises(ConversionError, match="does not keep the batch as first axis"):
        to_graph(model(mixed, {"x": x}, "y", {"in": weights["in"], "out": np.array([-1, 2, 3, 4]), "w": noise(4, 4)}), x)


@pytest.mark.parametrize("stack", [(3, 4, 5), (1, 4, 5)])
def test_a_product_whose_rows_are_samples(stack: tuple[int, ...]) -> None:
    """As MViT's relative positions have it: (N, 2, 3, 4) turned to (3, N * 2, 4), times a stack of matrices, and back."""
    x, w = noise(2, 2, 3, 4), noise(*stack, seed=1)
    nodes = [node("Transpose", "x", "t", perm=[2, 0, 1, 3]), node("Reshape", "t in", "r"), node("MatMul", "r w", "m"),
             node("Reshape", "m out", "o"), node("Transpose", "o", "y", perm=[1, 2, 0, 3])]
    proto = model(nodes, {"x": x}, "y", {"in": np.array([3, -1, 4]), "out": np.array([3, -1, 2, 5]), "w": w})
    graph = agrees(proto, x)
    assert [type(n.op).__name__ for n in graph.nodes].count("Einsum") == 1
    more = noise(5, 2, 3, 4, seed=2)
    expected = np.einsum("nhtc,tck->nhtk", more.astype(float), np.broadcast_to(w, (3, 4, 5)).astype(float))
    np.testing.assert_allclose(graph(more), expected, rtol=1e-12, atol=1e-12)                     # a dozen float64 products


@pytest.mark.parametrize("heads", [[2, 7, -1, 8], [2, -1, 4, 8], [2, -1, 8]])
def test_what_is_left_beside_a_written_batch_is_none(heads: list[int]) -> None:
    """(2, 7, 32) to (2, 7, -1, 8) in a file for two samples: four heads, whatever the batch."""
    x = noise(2, 7, 32)
    nodes, weights = [node("Reshape", "x heads", "r"), node("Tanh", "r", "y")], {"heads": np.array(heads)}
    graph = agrees(model(nodes, {"x": x.shape}, "y", weights), x)
    assert graph.inputs["x"].shape == (None, 7, 32)
    more = noise(5, 7, 32, seed=1)
    np.testing.assert_allclose(graph(more), np.tanh(more.astype(float)).reshape(5, *heads[1:]))
    with pytest.raises(ConversionError, match="Reshape makes"):
        to_graph(model(nodes, {"x": x}, "y", weights), x)              # where the batch is free, they are joined
