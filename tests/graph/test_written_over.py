"""Evaluation writes values over others that nobody reads any more; nobody can tell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from xaicore import Builder, Graph, numerics
from xaicore.errors import InputError
from xaicore.graph.run import _written_over, evaluate, evaluate_all
from xaicore.ops import Add, BatchNorm, Clip, Conv, Detach, Dropout, Identity, Mul, ReLU, Reshape, Slice, Transpose


@st.composite
def graphs(draw: st.DrawFn) -> tuple[Graph, list[str]]:
    """Values (N, 2, 3, 3): layers, views and sums of any that came before, some of them read twice; and names to keep."""
    rng, b = np.random.default_rng(draw(st.integers(0, 2**16))), Builder("net", draw(st.sampled_from(["float32", "float64"])))
    made = [b.input("x", (None, 2, 3, 3))]
    for k in range(draw(st.integers(2, 14))):
        h = made[draw(st.integers(max(0, len(made) - 3), len(made) - 1))]
        kind = draw(st.sampled_from(["conv", "norm", "relu", "relu", "clip", "add", "add", "constant", "identity", "turned", "flat", "detach", "mul"]))
        other = made[draw(st.integers(0, len(made) - 1))]
        if kind == "conv":
            h = b.add(Conv(pads=((1, 1), (1, 1))), h, b.param(f"w{k}", rng.normal(size=(2, 2, 3, 3))), b.param(f"b{k}", rng.normal(size=2)))
        elif kind == "norm":
            h = b.add(BatchNorm(), h, *(b.param(f"n{k}.{i}", rng.uniform(0.5, 1.5, 2)) for i in range(4)))
        elif kind in ("add", "mul"):
            h = b.add(Add() if kind == "add" else Mul(), h, other)
        elif kind == "constant":
            h = b.add(Add(), h, b.constant(rng.normal(size=(1, 2, 1, 1))))
        elif kind == "turned":
            h = b.add(Transpose((0, 1, 3, 2)), h)
        elif kind == "flat":
            h = b.add(Reshape((2, 3, 3)), b.add(Reshape((18,)), h))
        else:
            h = b.add({"relu": ReLU(), "clip": Clip(-0.5, 1.0), "identity": Identity(), "detach": Detach()}[kind], h)
        made.append(h)
    graph = b.build(*dict.fromkeys([made[-1], *draw(st.lists(st.sampled_from(made[1:]), max_size=2))]))
    return graph, draw(st.lists(st.sampled_from([n.name for n in graph.nodes]), max_size=3, unique=True))


@given(graphs(), st.integers(1, 2))
@settings(max_examples=150, deadline=None, derandomize=True)
def test_values_are_those_of_a_pass_that_keeps_all(made: tuple[Graph, list[str]], batch: int) -> None:
    graph, keep = made
    x = np.random.default_rng(1).normal(size=(batch, 2, 3, 3)).astype(graph.dtype)
    before, params = x.copy(), {k: v.copy() for k, v in graph.params.items()}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numerics, "LONG", 1)
        everything = evaluate_all(graph, {"x": x})
        for wanted in (None, keep):
            found = evaluate(graph, {"x": x}, wanted)
            assert all(v.tobytes() == everything[k].tobytes() for k, v in found.items())
            assert set(found) == set(graph.outputs if wanted is None else wanted)
    assert (x == before).all()
    assert all((graph.params[k] == v).all() for k, v in params.items())


def test_which_values_are_written_over() -> None:
    """What a layer made and one node reads; not an input, what is read twice, kept, or seen through a view."""
    b = Builder("net")
    x = b.input("x", (None, 2, 3, 3))
    conv = b.add(Conv(), b.add(ReLU(), x, name="of the input"), b.param("w", np.ones((2, 2, 1, 1))), name="conv")
    norm = b.add(BatchNorm(), conv, *(b.param(k, np.ones(2)) for k in ("gamma", "beta", "mean", "var")), name="norm")
    relu = b.add(ReLU(), norm, name="relu")
    view = b.add(Slice(((0, 2, 1),), (2,)), relu, name="view")
    b.add(ReLU(), view, name="of a view")
    b.add(ReLU(), relu, name="read twice")
    graph = b.build(b.add(Dropout(), "of a view"), "read twice")
    assert _written_over(graph, graph.outputs) == {"conv", "norm", "relu", *(n.name for n in graph.nodes if isinstance(n.op, Dropout))}
    assert _written_over(graph, ["norm"]) & {"norm", "relu"} == {"norm"}


def test_overflow_names_the_node() -> None:
    b = Builder("net", "float32")
    h = b.add(Conv(), b.input("x", (None, 1, 50, 50)), b.param("w", np.full((1, 1, 1, 1), 1e30)), name="conv")
    graph = b.build(b.add(BatchNorm(), h, *(b.param(k, np.array([v])) for k, v in {"gamma": 1e30, "beta": 0.0, "mean": 0.0, "var": 1.0}.items()), name="norm"))
    with pytest.raises(InputError, match="node 'norm'.*leaves the range of float32"):
        graph(np.ones((1, 1, 50, 50), np.float32))
    assert graph(np.full((1, 1, 50, 50), 1e-30, np.float32)).max() == pytest.approx(1e30, rel=1e-5)     # 1 / sqrt(1 + eps)
