"""fold_padding: zeros before a convolution become its own padding, and what else reads them reads them still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.graph.graphs import equal, feed
from xaicore.graph import Builder, Graph, passes
from xaicore.ops import Conv, Dropout, Identity, Op, Pad, ReLU


def padded(*pads: Op, conv: Conv, weight: tuple[int, ...], inner: tuple[int, ...], dtype: str = "float64") -> Graph:
    """x -> pads -> conv "lin", and a second reader of the last of the pads."""
    b = Builder(dtype=dtype)
    h = b.input("x", (None, *inner))
    for k, one in enumerate(pads):
        h = b.add(one, h, name=f"pad{k}")
    w = np.random.default_rng(0).integers(-4, 5, weight)
    y = b.add(conv, h, b.param("w", w), name="lin", layer="body.lin")
    return b.build(y, b.add(ReLU(), h, name="other"))


@pytest.mark.parametrize(("pads", "conv", "weight", "inner", "expected"), [
    ((Pad(((1, 2),)),), Conv(), (2, 3, 3), (3, 4), ((1, 2),)),
    ((Pad(((0, 1), (2, 0))),), Conv((2, 1), (1, 2), ((1, 0), (0, 1)), 3), (3, 1, 3, 2), (3, 4, 5), ((1, 1), (2, 1))),
    ((Pad(((1, 1),)), Identity(), Pad(((0, 0), (0, 2), (1, 0))), Dropout()), Conv(), (2, 3, 2, 2), (3, 4, 5), ((0, 2), (2, 1))),
    ((Pad(((0, 0), (1, 1), (1, 1), (0, 3))),), Conv(), (2, 2, 2, 2, 2), (2, 3, 3, 3), ((1, 1), (1, 1), (0, 3))),
], ids=["1d", "strided, dilated, grouped", "several", "3d"])
def test_zeros_before_a_convolution_become_its_padding(
    pads: tuple[Op, ...], conv: Conv, weight: tuple[int, ...], inner: tuple[int, ...], expected: tuple[tuple[int, int], ...],
) -> None:
    for dtype in ("float64", "exact"):
        graph = padded(*pads, conv=conv, weight=weight, inner=inner, dtype=dtype)
        folded = passes.fold_padding(graph)
        equal(graph, folded, feed(graph), [n.name for n in graph.nodes])
        assert folded.node("lin").op == replace(conv, pads=expected)
        crop = folded.node(folded.node("lin").inputs[0])
        assert (crop.name, crop.layer, crop.inputs) == ("lin/unpadded", "body.lin", graph.node("lin").inputs[:1])
        assert passes.fold_padding(folded) is folded


@pytest.mark.parametrize("pad", [
    Pad(((1, 1),), value=1.0), Pad(((1, 1),), mode="reflect"), Pad(((1, 1),), mode="edge"), Pad(((-1, 2),)), Pad(((1, 0), (1, 1))), ReLU(), Pad(((0, 0),)),
], ids=str)
def test_what_is_no_padding_of_a_convolution_stays(pad: Op) -> None:
    channels = 4 if pad == Pad(((1, 0), (1, 1))) else 3
    graph = padded(pad, conv=Conv(), weight=(2, channels, 2), inner=(3, 4))
    assert passes.fold_padding(graph) is graph


def test_padding_before_computed_weights_needs_their_shape() -> None:
    b = Builder()
    w = b.add(Identity(), b.param("w", np.ones((2, 3, 2))), name="computed")
    graph = b.build(b.add(Conv(), b.add(Pad(((1, 1),)), b.input("x", (None, 3, 4))), w, name="lin"))
    assert passes.fold_padding(graph) is graph
    folded = passes.fold_padding(graph, {"computed": (2, 3, 2)})
    assert folded.node("lin").op == Conv(pads=((1, 1),))
    equal(graph, folded, feed(graph))
