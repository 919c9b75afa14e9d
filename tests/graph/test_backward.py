"""A backward pass that ends at the values that are asked for gives the bits of the whole pass, and goes through nothing else."""

import itertools

import numpy as np
import pytest

import xaicore as xc
from xaicore import Builder
from xaicore.ops import Add, BatchNorm, Conv, Dense, Flatten, MaxPool, Mul, ReLU
from xaicore.rules.gradient import gradient
from xaicore.trace import backward, forward


def branches(dtype: str = "float64") -> xc.Graph:
    """Two blocks with skips, a gate that reads the input anew, a value beside the way."""
    rng, b = np.random.default_rng(0), Builder("branches", dtype)

    def conv(x: str, name: str, outputs: int, inputs: int) -> str:
        return b.add(Conv(pads=((1, 1), (1, 1))), x, b.param(f"{name}.w", rng.normal(size=(outputs, inputs, 3, 3)) / 4), name=name)

    x = b.input("x", (None, 2, 6, 6))
    first = b.add(ReLU(), conv(x, "a", 4, 2), name="first")
    second = b.add(Add(), b.add(ReLU(), conv(first, "b", 4, 4)), first, name="second")
    gate = b.add(Mul(), second, conv(x, "gate", 4, 2), name="gated")
    norm = b.add(BatchNorm(), gate, *(b.param(k, rng.uniform(0.5, 1.5, 4)) for k in ("gamma", "beta", "mean", "var")), name="norm")
    third = b.add(Add(), norm, conv(first, "side", 4, 4), name="third")
    conv(third, "beside", 1, 4)
    h = b.add(Flatten(), b.add(MaxPool((2, 2)), third, name="pool"))
    return b.build(b.add(Dense(), h, b.param("v", rng.normal(size=(3, 36)))), "beside")


@pytest.mark.parametrize("dtype", ["float64", "float32"])
def test_ends_at_what_is_asked(dtype):
    graph = branches(dtype)
    trace = forward(graph, {"x": np.random.default_rng(1).normal(size=(2, 2, 6, 6)).astype(dtype)})
    passed = []

    class Counted:
        measure = staticmethod(lambda *_: np.zeros(2))

        def rule(self, node):
            passed.append(node.name)
            return lambda step, g: step.vjp(g)

    end = graph.outputs[0]
    seed = {end: np.eye(3, dtype=dtype)[[1, 2]]}
    names = [n.name for n in graph.nodes]
    whole = backward(trace, gradient().plan(graph), seed, names).values
    assert {"x", "first", "third"} <= whole.keys()
    assert "beside" not in whole
    for only in itertools.chain.from_iterable(itertools.combinations(["x", *names], k) for k in (1, 2)):
        passed.clear()
        found = backward(trace, Counted(), seed, books=False, only=only).values
        assert found.keys() == whole.keys() & set(only)
        assert all(found[k].tobytes() == whole[k].tobytes() for k in found)
        behind = {n for k in only for n in _readers(graph, k)}
        assert set(passed) == behind & whole.keys()


def test_a_value_that_is_not_explained_has_no_signal():
    """One input is explained, and a value depends on another one alone: as in the whole pass, nothing comes to it."""
    b = Builder("two")
    x, z = b.input("x", (None, 3)), b.input("z", (None, 3))
    graph = b.build(b.add(Add(), b.add(ReLU(), x, name="mine"), b.add(ReLU(), z, name="other"), name="sum"))
    one = np.ones((1, 3))
    trace = forward(graph, {"x": one, "z": one}, wrt=["x"])
    plan = gradient().plan(graph, ["x"])
    assert backward(trace, plan, {"sum": one}, only=["mine", "other"]).values.keys() == {"mine"}
    assert backward(trace, plan, {"sum": one}, ["mine", "other"]).values.keys() == {"x", "mine"}


def _readers(graph: xc.Graph, name: str) -> set[str]:
    """All nodes that depend on a value."""
    found = {name}
    for node in graph.nodes:
        if found & set(node.inputs):
            found.add(node.name)
    return found - {name}


def test_grad_cam_takes_no_more_than_it_needs(monkeypatch):
    graph, ran = branches(), []
    whole = Conv.vjp
    monkeypatch.setattr(Conv, "vjp", lambda self, *args: ran.append(1) or whole(self, *args))
    x = np.random.default_rng(1).normal(size=(1, 2, 6, 6))
    for method in ("grad_cam", "layer_cam", "hires_cam", "xgrad_cam", "grad_cam_plus_plus"):
        xc.explain(graph, x, method, (graph.outputs[0], 1), layer="third")
    assert not ran                                                        # every convolution lies before this layer
    xc.explain(graph, x, "gradient", (graph.outputs[0], 1))
    assert len(ran) == 4
